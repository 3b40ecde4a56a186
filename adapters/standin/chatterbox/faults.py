"""What the stand-in speech server can do wrong, by name, and what each fault makes of an answer's sound; see `faults` for the script."""

# mypy: disable-error-code="import-untyped"

import struct

import attrs
import numpy as np
import soxr

from adapters.standin.faults import Fault, Kind, Param, Repertoire, Schedule
from adapters.standin.voice import RATE_HZ

SYNTHESIS, CANCEL = "a synthesis", "a cancel"
_DOWN = {"ms": Param(1_000, "how long", high=600_000)}

CHATTERBOX = Repertoire(
    "chatterbox",
    {
        "refuse": Kind("no new connection is taken, and open ones are closed when they are done", _DOWN),
        "crash": Kind(
            "every connection breaks at once, nothing is remembered, and the server is back after `ms`",
            {**_DOWN, "loading_ms": Param(0, "how long it then loads its model", high=600_000)},
        ),
        "loading": Kind("it loads its model: it says so, and no synthesis succeeds", {"ms": Param(3_000, "how long", high=600_000)}),
        "status": Kind(
            "the POST is answered by a status",
            {"code": Param(503, low=400, high=599), "retry_after_s": Param(-1, "the header Retry-After, if not negative", low=-1)},
            SYNTHESIS,
        ),
        "wrong_voice": Kind("the POST is answered by 422, and the voice is named", {}, SYNTHESIS),
        "bursts": Kind(
            "streamed sound comes at once, but for a pause after each part of it",
            {"burst_ms": Param(500, low=20, high=60_000), "pause_ms": Param(400, high=60_000)},
            SYNTHESIS,
        ),
        "slow": Kind("it takes longer by `ms`", {"ms": Param(3_000, high=600_000)}, SYNTHESIS),
        "hang": Kind("it never ends", {}, SYNTHESIS),
        "damaged_wav": Kind("the WAV has no format", {}, SYNTHESIS),
        "empty_wav": Kind("the WAV holds no sound", {}, SYNTHESIS),
        "silent_wav": Kind("the sound is silence alone", {}, SYNTHESIS),
        "other_rate": Kind("the WAV is of another rate", {"hz": Param(16_000, low=4_000, high=384_000)}, SYNTHESIS),
        "stereo": Kind("the WAV has two channels", {}, SYNTHESIS),
        "far_too_long": Kind("silence follows the sound up to `s`", {"s": Param(130, low=1, high=600)}, SYNTHESIS),
        "cut_off": Kind("the connection is closed in mid-answer", {"share": Param(0.5, "of the body that is sent", high=1.0)}, SYNTHESIS),
        "lost_cancel": Kind("it is never answered, and the synthesis goes on", {}, CANCEL),
        "cancel_404": Kind("the server knows no such route", {}, CANCEL),
    },
    frozenset({"tts", "cancel", "health"}),
    has_connections=False,
)
DOWNS = ("refuse", "crash")


def struck(schedule: Schedule, occasion: str) -> dict[str, Fault]:
    """The faults that strike at this occasion, by name."""
    found = {name: schedule.occasion(name) for name, kind in CHATTERBOX.kinds.items() if kind.occasion == occasion}
    return {name: fault for name, fault in found.items() if fault is not None}


@attrs.frozen
class Sound:
    """The sound of an answer as it is sent: s16le samples, and what the header says of them."""

    pcm: bytes
    rate: int = RATE_HZ
    channels: int = 1
    damaged: bool = False

    @property
    def audio_ms(self) -> int:
        """How long it lasts."""
        return len(self.pcm) * 1000 // (2 * self.channels * self.rate)

    def header(self, *, open_length: bool = False) -> bytes:
        """The 44 bytes before the samples; of open length as travisvn/chatterbox-tts-api writes it."""
        size = 0xFFFF_FFFF if open_length else len(self.pcm)
        riff = 0x7FFF_FFFF - 36 if open_length else 36 + size
        block = 2 * self.channels
        form = b"junk" if self.damaged else b"fmt "
        return struct.pack(
            "<4sI4s4sIHHIIHH4sI", b"RIFF", riff, b"WAVE", form, 16, 1, self.channels, self.rate, self.rate * block, block, 16, b"data", size
        )


def spoiled(pcm: bytes, faults: dict[str, Fault]) -> Sound:
    """The sound of an answer, with what the faults do to it; the voice's own is 24 kHz, mono."""
    rate, channels = RATE_HZ, 1
    samples = np.frombuffer(b"" if "empty_wav" in faults else pcm, "<i2")
    if "silent_wav" in faults:
        samples = np.zeros_like(samples)
    if "other_rate" in faults:
        rate = faults["other_rate"]["hz"]
        samples = soxr.resample(samples, RATE_HZ, rate)
    if "far_too_long" in faults:
        missing = faults["far_too_long"]["s"] * rate - len(samples)
        samples = np.concatenate([samples, np.zeros(max(0, missing), "<i2")])
    if "stereo" in faults:
        samples, channels = np.repeat(samples, 2), 2
    return Sound(samples.astype("<i2").tobytes(), rate, channels, "damaged_wav" in faults)
