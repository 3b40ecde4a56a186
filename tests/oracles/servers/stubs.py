"""What stands in for the neural parts of a server that others wrote: a tone for a voice, loudness for a detector, numpy for torch.

Its scripts run as `python SCRIPT.py CHECKOUT FOLDER`, in an environment of their own: they import the server's own code from a copy of the
checkout in the folder, say `ready PORT` once it answers, and end when standard input does.
"""

import contextlib
import importlib.abc
import importlib.machinery
import os
import shutil
import socket
import sys
import threading
import types
import wave
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import uvicorn

RATE_HZ = 24_000
LETTER_MS = 50
"""How long the voice takes for a letter: a second for twenty."""


LINES = {
    400: "Can you hear me?",
    560: "What are your opening hours?",
    720: "How much is a puncture repair?",
    880: "Thank you. Goodbye!",
}
"""What a caller says, by the pitch in Hz of the tone that stands for it."""


class Hollow(types.ModuleType):
    """A module, a class and a function in one: whatever is asked of it is another."""

    __path__: ClassVar[list[str]] = []

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return type(name, (), {"__init__": lambda self, *_, **__: None})


class _Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    def __init__(self, names: tuple[str, ...]) -> None:
        self._names = names

    def find_spec(self, name: str, *_: Any) -> importlib.machinery.ModuleSpec | None:
        ours = any(name == one or name.startswith(f"{one}.") for one in self._names)
        return importlib.machinery.ModuleSpec(name, self, is_package=True) if ours else None

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> types.ModuleType:
        return Hollow(spec.name)

    def exec_module(self, module: types.ModuleType) -> None:
        return


def hollow(*names: str) -> None:
    """Packages that are imported, and never used by what is run."""
    sys.meta_path.insert(0, _Finder(names))


def checkout() -> Path:
    """A copy of the checkout, as servers write where they stand: the working directory from now on, and where modules come from."""
    copy = Path(sys.argv[2]) / "checkout"
    shutil.copytree(sys.argv[1], copy, ignore=shutil.ignore_patterns(".git", "node_modules", "*.gif", "*.mp4"))
    os.chdir(copy)
    sys.path.insert(0, str(copy))
    return copy


def listening() -> socket.socket:
    """A socket on a free port of loopback."""
    return socket.create_server(("127.0.0.1", 0))


def serve(app: Any, listener: socket.socket) -> None:
    """Serve an application until standard input ends."""
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning"))

    def say() -> None:
        while not server.started:
            threading.Event().wait(0.05)
        print("ready", listener.getsockname()[1], flush=True)
        sys.stdin.read()
        os._exit(0)

    # What the server itself prints is no word of ours.
    threading.Thread(target=say, daemon=True).start()
    server.run(sockets=[listener])


def tone(text: str, rate_hz: int = RATE_HZ) -> np.ndarray[Any, Any]:
    """What a text sounds like: 50 ms of a tone a letter, float from -1 to 1."""
    at_s = np.arange(len(text) * LETTER_MS * rate_hz // 1000) / rate_hz
    return (0.25 * np.sin(2 * np.pi * 440 * at_s)).astype(np.float32)


def loudness(sound: np.ndarray[Any, Any], window: int) -> np.ndarray[Any, Any]:
    """How probably each window of a sound is speech: whatever is loud is."""
    return (np.abs(sound.reshape(-1, window)).mean(1) > 0.01).astype(np.float32)


def heard(sound: np.ndarray[Any, Any], rate_hz: int) -> str:
    """What a caller said: each line is a tone of its own."""
    loud = sound[np.abs(sound) > 0.01]
    if loud.size < rate_hz // 10:
        return ""
    strength = np.abs(np.fft.rfft(sound * np.hanning(sound.size)))
    pitch = float(np.fft.rfftfreq(sound.size, 1 / rate_hz)[strength.argmax()])
    return LINES[min(LINES, key=lambda one: abs(one - pitch))]


def answer(messages: list[tuple[str, str]], tools: list[str]) -> tuple[str, str]:
    """What the LLM says to messages, each a role and a text: words, and the name of the tool that it calls instead."""
    role, text = next(((role, text) for role, text in reversed(messages) if role != "assistant"), ("system", ""))
    if role == "tool":
        return f"It costs {text}. Is there anything else?", ""
    if role != "user":
        return "Hello, this is the bicycle shop. How can I help you?", ""
    if "puncture" in text and tools:
        return "", tools[0]
    if "Goodbye" in text:
        return "Thank you for your call. Goodbye!", ""
    return (
        "We are open from nine to five on every weekday, and from ten to four at the weekend. Do come in. You are always welcome here.",
        "",
    )


class Tensor(np.ndarray[Any, Any]):
    """An array with those methods of torch's that servers use on sound."""

    def detach(self) -> "Tensor":
        """The same."""
        return self

    cpu = clone = contiguous = float = detach

    def to(self, kind: Any, *_: Any, **__: Any) -> "Tensor":
        """The same, as another type of number where one is named; there is one device."""
        return self if isinstance(kind, str) else self.astype(kind)

    def numpy(self) -> np.ndarray[Any, Any]:
        """As an array."""
        return np.asarray(self)

    def dim(self) -> int:
        """How many dimensions."""
        return self.ndim

    def numel(self) -> int:
        """How many numbers."""
        return self.size

    def unsqueeze(self, at: int) -> "Tensor":
        """With one more dimension."""
        return tensor(np.expand_dims(self, at))


def tensor(values: Any, **_: Any) -> Tensor:
    """Values as a tensor."""
    return np.asarray(values).view(Tensor)


def torch_of_numpy() -> None:
    """`torch` and `torchaudio`, as far as a server uses them beside its model."""
    torch, audio = Hollow("torch"), Hollow("torchaudio")
    nowhere = types.SimpleNamespace(is_available=lambda: False, device_count=lambda: 0)
    torch.__dict__.update(
        Tensor=Tensor,
        tensor=tensor,
        is_tensor=lambda value: isinstance(value, Tensor),
        from_numpy=tensor,
        zeros=lambda *shape, **_: tensor(np.zeros(shape, np.float32)),
        cat=lambda parts, dim=0: tensor(np.concatenate(parts, dim)),
        clamp=lambda values, low, high: tensor(np.clip(values, low, high)),
        int16=np.int16,
        float32=np.float32,
        load=lambda *_, **__: {},
        manual_seed=lambda _: None,
        no_grad=_Nothing,
        inference_mode=_Nothing,
        cuda=nowhere,
        mps=nowhere,
        backends=types.SimpleNamespace(mps=nowhere),
    )
    audio.__dict__.update(save=_save)
    sys.modules.update({"torch": torch, "torchaudio": audio})


class _Nothing(contextlib.ContextDecorator):
    def __enter__(self) -> None:
        return

    def __exit__(self, *_: object) -> None:
        return


def _save(file: Any, sound: Tensor, rate_hz: int, **_: Any) -> None:
    with wave.open(file, "wb") as out:
        out.setparams((1, 2, rate_hz, 0, "NONE", "not compressed"))
        out.writeframes((np.clip(sound, -1, 1) * 32767).astype("<i2").tobytes())


class Chatterbox:
    """In the place of the Chatterbox models: a tone, after as long as a model takes on a graphics card."""

    sr = RATE_HZ

    @classmethod
    def from_pretrained(cls, device: str) -> "Chatterbox":
        """There is nothing to load."""
        return cls()

    def generate(self, text: str, **_: Any) -> Tensor:
        """The sound of a text."""
        threading.Event().wait(0.3)
        return tensor(tone(text)[None])


def chatterbox_of_tones() -> None:
    """The package `chatterbox`."""
    names = ("chatterbox", "chatterbox.tts", "chatterbox.mtl_tts", "chatterbox.tts_turbo", "chatterbox.models", "chatterbox.models.s3gen")
    modules = {name: Hollow(name) for name in (*names, "chatterbox.models.s3gen.const")}
    for module in modules.values():
        kinds = dict.fromkeys(("ChatterboxTTS", "ChatterboxTurboTTS", "ChatterboxMultilingualTTS"), Chatterbox)
        module.__dict__.update(kinds, SUPPORTED_LANGUAGES={"en": "English"}, S3GEN_SR=RATE_HZ)
    sys.modules.update(modules)
