"""A small synthetic voice in this process, for stand-in servers and virtual callers; no network and no server in here.

The voice is hibari-tts: one American English voice inside its wheel, no download, no GPU. Sound is 24 kHz, mono, signed
16-bit little-endian PCM. Synthesis runs in the thread that asks for the next chunk, so there are no threads to join.
"""

# mypy: disable-error-code="import-untyped"

import threading
from collections.abc import Generator
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import soxr

RATE_HZ = 24_000
PITCH_RANGE = (0.7, 1.5)
"""Beyond these the resampled voice no longer sounds like a person."""
PACE_RANGE = (0.5, 2.0)
"""What the model was trained to do: it clips anything else without a word."""

_QUIET = 0.004
"""Amplitude below which the model's own padding lies (measured: 300 ms before and 450 ms after each sentence)."""
_LEAD_MS, _TAIL_MS = 40, 160
"""What is left of that padding: a caller should not wait for it, and two sentences should not run together."""
_WARM_UP = "Hibari callfsm."
"""Two words that no lexicon holds, so that everything which is loaded on first use is loaded."""


class Voice:
    """The voice, loaded once a process; several threads may speak at a time, each with an iterator of its own."""

    _lock: ClassVar[threading.Lock] = threading.Lock()
    _loaded: ClassVar["Voice | None"] = None

    def __init__(self, model: Any) -> None:
        """Wrap a loaded model; use `Voice.load()`."""
        self._model = model

    @classmethod
    def load(cls) -> "Voice":
        """The one voice of this process: about a second on the first call, nothing on later ones; RuntimeError without hibari-tts."""
        with cls._lock:
            if cls._loaded is None:
                cls._loaded = cls(_load_model())
            return cls._loaded

    def speak(self, text: str, *, seed: int = 0, pitch: float = 1.0, pace: float = 1.0) -> Generator[bytes, None, None]:
        """Say `text`: PCM chunks, one a sentence, each as soon as it is synthesised; close the iterator to stop between two.

        The same text, seed, pitch and pace give the same bytes. `pitch` moves the whole voice, throat included (0.8 is a
        deeper speaker, 1.25 a higher one), at the same tempo; `pace` is the tempo, 1.0 being natural. A text with nothing in
        it that English can say yields nothing. ValueError, at once, when pitch or pace is out of range.
        """
        if not PITCH_RANGE[0] <= pitch <= PITCH_RANGE[1]:
            raise ValueError(f"pitch is {pitch!r}: it takes a number from {PITCH_RANGE[0]:g} to {PITCH_RANGE[1]:g}")
        tempo = pace / pitch
        if not PACE_RANGE[0] <= tempo <= PACE_RANGE[1]:
            raise ValueError(f"pace over pitch is {tempo:g}: it takes a number from {PACE_RANGE[0]:g} to {PACE_RANGE[1]:g}")
        return self._chunks(text, seed, pitch, tempo)

    def _chunks(self, text: str, seed: int, pitch: float, tempo: float) -> Generator[bytes, None, None]:
        for sound in self._model.stream(text, speed=tempo, seed=seed):
            voiced = _without_padding(sound)
            if pitch != 1.0:
                voiced = soxr.resample(voiced, RATE_HZ * pitch, RATE_HZ, quality="MQ")
            if len(voiced):
                yield (np.clip(voiced, -1.0, 1.0) * 32_767).astype("<i2").tobytes()


def _load_model() -> Any:
    """Load the model and everything that it would load on first use."""
    try:
        from hibari import Hibari
    except ImportError as error:
        raise RuntimeError("the stand-in voice needs the package hibari-tts: pip install hibari-tts") from error
    model = Hibari()
    model(_WARM_UP, seed=0)
    return model


def _without_padding(sound: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """The sound less the model's silence at both ends; empty when there is nothing else."""
    loud = np.flatnonzero(np.abs(sound) > _QUIET)
    if not len(loud):
        return sound[:0]
    start = max(0, int(loud[0]) - RATE_HZ * _LEAD_MS // 1000)
    return sound[start : int(loud[-1]) + RATE_HZ * _TAIL_MS // 1000]
