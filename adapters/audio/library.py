"""PortAudio, loaded when a call needs it: which devices there are, and the one that a name stands for; no stream is opened in here."""

import atexit
import ctypes
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any, Literal

import attrs

from adapters.seam.device import LineLost
from adapters.seam.ports import RATE_HZ

INSTALL = "apt install libportaudio2 (Debian, Ubuntu), dnf install portaudio (Fedora) or brew install portaudio (macOS)"

Kind = Literal["microphone", "loudspeaker"]

_one_at_a_time = threading.RLock()


class NoSound(ValueError):
    """There is no such device, or no library for one; the text is one line that says what and what to do."""


class SoundLost(LineLost):
    """A device that was there can no longer be used; the text says which and why."""


@attrs.frozen
class Device:
    """A sound device as PortAudio tells of it."""

    index: int
    name: str
    system: str
    """ALSA, Core Audio, WASAPI, …"""
    inputs: int
    outputs: int
    rate_hz: int
    is_default_input: bool
    is_default_output: bool


@attrs.frozen
class Endpoint:
    """One side of a device, and the rate at which it is used."""

    index: int
    name: str
    kind: Kind
    rate_hz: int

    def __str__(self) -> str:
        return f"the {self.kind} {self.name!r}"


@cache
def load() -> Any:
    """The module `sounddevice`, once a process; raises NoSound when it or PortAudio is missing."""
    try:
        with quietly():
            import sounddevice
    except ImportError:
        raise NoSound("sound devices need the package sounddevice: pip install 'callfsm[sound]'; or use --caller WAV") from None
    except OSError:
        raise NoSound(f"sound devices need the library PortAudio: {INSTALL}; or use --caller WAV") from None
    except Exception as error:
        # Its own class of error cannot be named before it is loaded.
        if type(error).__name__ != "PortAudioError":
            raise
        raise NoSound(f"PortAudio does not start ({error}); check the sound system, or hold the call with --caller WAV") from None
    _silence_alsa()
    return sounddevice


def devices() -> list[Device]:
    """Every device of this machine; raises NoSound without the library."""
    library = load()
    systems = library.query_hostapis()
    default_input, default_output = library.default.device
    return [
        Device(
            index=index,
            name=told["name"],
            system=systems[told["hostapi"]]["name"],
            inputs=told["max_input_channels"],
            outputs=told["max_output_channels"],
            rate_hz=round(told["default_samplerate"]),
            is_default_input=index == default_input,
            is_default_output=index == default_output,
        )
        for index, told in enumerate(library.query_devices())
    ]


def find(wanted: str, kind: Kind, *, rate_hz: int | None = None) -> Endpoint:
    """The microphone or loudspeaker that `wanted` names: "default", an index, a name or a part of one that only one device has.

    It is used at 24 kHz if it can be, else at its own rate, or at `rate_hz`. Raises NoSound.
    """
    library = load()
    all_devices = devices()
    able = [device for device in all_devices if (device.inputs if kind == "microphone" else device.outputs)]
    if not able:
        raise NoSound(f"this machine has no {kind}; plug one in, or hold the call with --caller WAV and without --device")
    device = _chosen(wanted, kind, able, all_devices)
    check = library.check_input_settings if kind == "microphone" else library.check_output_settings
    refusal = ""
    for rate in dict.fromkeys((rate_hz,) if rate_hz else (RATE_HZ, device.rate_hz)):
        try:
            with quietly():
                check(device=device.index, channels=1, dtype="int16", samplerate=rate)
        except (library.PortAudioError, ValueError) as error:
            refusal = str(error).splitlines()[0].split(" [PaErrorCode")[0]
        else:
            return Endpoint(device.index, device.name, kind, rate)
    raise NoSound(f"the {kind} {device.name!r} cannot be used ({refusal}); free it, or choose another from `callfsm devices`")


def _chosen(wanted: str, kind: Kind, able: list[Device], all_devices: list[Device]) -> Device:
    if wanted == "default":
        marked = [device for device in able if (device.is_default_input if kind == "microphone" else device.is_default_output)]
        return (marked or able)[0]
    if wanted.isdigit():
        found = [device for device in able if device.index == int(wanted)]
        there = int(wanted) < len(all_devices)
    else:
        found = [device for device in able if device.name == wanted]
        found = found or [device for device in able if wanted.casefold() in device.name.casefold()]
        there = any(wanted.casefold() in device.name.casefold() for device in all_devices)
    if not found:
        lack = f"has no {kind}" if there else "is not there"
        raise NoSound(f"the sound device {wanted!r} {lack}; `callfsm devices` lists them, --microphone may name another than --device")
    if len(found) > 1:
        names = ", ".join(f"{device.index} ({device.name})" for device in found[:4])
        raise NoSound(f"the sound device {wanted!r} may be {names}; give its number")
    return found[0]


def leave_behind() -> None:
    """A driver hangs: do not end PortAudio when the process ends, as that would wait for it."""
    atexit.unregister(load()._exit_handler)


def _silence_alsa() -> None:
    """Have ALSA keep what it thinks of each underrun to itself: they are counted."""
    try:
        ctypes.CDLL("libasound.so.2").snd_lib_error_set_handler(_handler)
    except OSError:
        return  # Another system than Linux.


def _say_nothing(*_: object) -> None:
    """Where ALSA's words go."""


_handler = ctypes.CFUNCTYPE(None, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p)(_say_nothing)


@contextmanager
def quietly() -> Iterator[None]:
    """Keep what C libraries write to standard error from the user: PortAudio and ALSA tell of every device that is not there."""
    with _one_at_a_time, open(os.devnull, "wb") as nowhere:  # noqa: PTH123
        sys.stderr.flush()
        kept = os.dup(2)
        os.dup2(nowhere.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)
