"""Both voices of a call for its page: how loud they were, and the sound itself, small enough to lie in the same file."""

import base64
import zlib
from typing import Any

import numpy as np
import numpy.typing as npt
import soxr

from adapters.seam.ports import RATE_HZ

ENVELOPE_HZ = 100
PLAYED_HZ = 12_000
"""Half the rate of a call: a telephone has 8,000."""
LARGEST = 16_000_000
"""The largest sound that is embedded, in characters: some ten minutes of speech."""
MU = 255.0


def sound_of(caller: bytes, agent: bytes, from_ms: float, *, hearable: bool = True) -> dict[str, Any] | None:
    """Both sides (s16le, 24 kHz, mono), which begin at `from_ms`, as JSON values; None where there is neither.

    `caller` and `agent` are the peaks of each 10 ms, a byte each (255: full scale), in base64. `pcm` holds both sides one after the other
    at `rate` Hz, a byte a sample in base64 of a zlib stream: sign(x) log(1 + 255 |x|) / log 256, times 127, as a telephone does; empty
    where that is too long, or not to be heard.
    """
    sides = [np.frombuffer(side[: len(side) // 2 * 2], "<i2").astype(np.float32) / np.float32(32_768) for side in (caller, agent)]
    if not any(side.size for side in sides):
        return None
    pcm = _packed(sides) if hearable else ""
    return {
        "from_ms": from_ms,
        "hz": ENVELOPE_HZ,
        "caller": _text(_peaks(sides[0])),
        "agent": _text(_peaks(sides[1])),
        "rate": PLAYED_HZ,
        "pcm": pcm if len(pcm) <= LARGEST else "",
    }


def _peaks(side: npt.NDArray[np.float32]) -> bytes:
    size = RATE_HZ // ENVELOPE_HZ
    padded = np.pad(np.abs(side), (0, -side.size % size)).reshape(-1, size)
    return bytes(np.minimum(255, np.ceil(padded.max(axis=1) * 255)).astype(np.uint8))


def _packed(sides: list[npt.NDArray[np.float32]]) -> str:
    return _text(zlib.compress(b"".join(_companded(soxr.resample(side, RATE_HZ, PLAYED_HZ)) for side in sides), 6))


def _companded(side: npt.NDArray[np.float32]) -> bytes:
    loud = np.log1p(MU * np.minimum(1.0, np.abs(side))) / np.log1p(MU)
    return bytes(np.rint(np.sign(side) * loud * 127).astype(np.int8))


def _text(raw: bytes) -> str:
    return base64.b64encode(raw).decode()
