"""G.711 mu-law, the telephone's eight bits a sample, as two numpy tables; any number of samples at a time.

PCM is mono, signed 16-bit little-endian; an octet is one sample. Encoding what was decoded gives the same octets, but for 0x7F,
the negative zero, which becomes 0xFF.
"""

import numpy as np
import numpy.typing as npt

SILENCE = b"\xff"
"""The octet of a silent sample."""

_BIAS, _CLIP = 132, 32_635
"""G.711's companding in 16-bit units: 33 and 8,158 of its 14-bit ones."""


def decode(octets: bytes) -> bytes:
    """Mu-law octets as PCM, two bytes for each."""
    return bytes(_LEVELS[np.frombuffer(octets, np.uint8)].tobytes())


def encode(pcm: bytes) -> bytes:
    """PCM as mu-law octets, one for each sample. Raises ValueError when half a sample is left over."""
    if len(pcm) % 2:
        raise ValueError(f"{len(pcm)} bytes are not whole 16-bit samples")
    return bytes(_CODES[np.frombuffer(pcm, "<u2")].tobytes())


def _levels() -> npt.NDArray[np.int16]:
    """The sample of each octet, G.711 table 2a."""
    code = ~np.arange(256, dtype=np.int32) & 0xFF
    size = ((((code & 15) << 3) + _BIAS) << (code >> 4 & 7)) - _BIAS
    return np.where(code & 0x80, -size, size).astype("<i2")


def _codes() -> npt.NDArray[np.uint8]:
    """The octet of each sample, by its 16 bits read as an unsigned number."""
    sample = np.arange(65_536, dtype=np.uint16).view(np.int16).astype(np.int32)
    size = np.minimum(np.abs(sample), _CLIP) + _BIAS
    segment = np.floor(np.log2(size)).astype(np.int32) - 7
    code = np.where(sample < 0, 0x80, 0) | segment << 4 | size >> (segment + 3) & 15
    octets: npt.NDArray[np.uint8] = (~code & 0xFF).astype(np.uint8)
    return octets


_LEVELS = _levels()
_CODES = _codes()
