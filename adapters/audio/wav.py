"""Decodes a WAV file as it arrives, in pieces of any size, into 24 kHz mono PCM; no I/O and no clock in here."""

# mypy: disable-error-code="import-untyped"

import math
import struct
from enum import Enum

import numpy as np
import numpy.typing as npt
import soxr

from adapters.seam.ports import RATE_HZ

MAX_AUDIO_S = 120
"""Longer than any sentence: a server that sends more is at fault; a file may be longer."""
MAX_HEADER_BYTES = 65_536
"""What may stand before the sound: names and pictures take less."""
NO_WAV = "that is no WAV"
_INTEGERS, _FLOATS, _A_LAW, _MU_LAW = 1, 3, 6, 7
_KINDS = {(_INTEGERS, 8), (_INTEGERS, 16), (_INTEGERS, 24), (_INTEGERS, 32), (_FLOATS, 32), (_FLOATS, 64), (_A_LAW, 8), (_MU_LAW, 8)}
"""The samples that are understood: their kind and their bits."""
_SILENCES = {(_INTEGERS, 8): b"\x80", (_A_LAW, 8): b"\xd5", (_MU_LAW, 8): b"\xff"}
"""The octet that silence has, where it is not 0."""


class WavError(ValueError):
    """A WAV that cannot be played; its text is one line."""


class _Part(Enum):
    """Where in the file the next byte stands."""

    HEADER = "header"
    SOUND = "sound"
    BEHIND = "behind the declared sound"
    TRAILER = "what follows the sound"


class WavStream:
    """One WAV file on its way in. `feed` and `end` give s16le PCM at 24 kHz, mono, whole samples; WavError says what is wrong.

    A header may lie: a size of nothing, or of more than may come, is that of a server which did not know it yet; one of less than comes
    is that of a first piece, and pieces with headers of their own are put together.
    Takes one or two channels of integers of 8 to 32 bits, floats of 32 or 64, mu-law or A-law at 4 to 384 kHz.
    With `whole` the declared size is
    believed, so that a file which stops short is told as such; without it, sound lasts as long as it comes. A last sample of which
    a part is missing is left out. An RF64 is one whose true size stands in a part of its own (EBU Tech 3306).
    """

    def __init__(self, *, whole: bool = False, longest_s: int = MAX_AUDIO_S) -> None:
        self._whole = whole
        self._longest_s = longest_s
        self._part = _Part.HEADER
        self._head = b""
        self._format: _Format | None = None
        self._declared = 0
        self._left = math.inf
        self._came = 0
        self._rest = b""
        self.loud = False
        """Has sound come that is more than silence?"""

    def feed(self, data: bytes) -> bytes:
        """The sound that these bytes complete; often none."""
        pcm = b""
        while data:
            match self._part:
                case _Part.HEADER:
                    data = self._read_header(self._head + data)
                case _Part.SOUND if self._left == math.inf:
                    data = self._head + data
                    at = _header_in(data)
                    pcm += self._sound(data[:at])
                    self._head, data = data[at:], b""
                    if len(self._head) >= _HEAD_BYTES:
                        self._part, data, self._head = _Part.HEADER, self._head, b""
                case _Part.SOUND:
                    size = int(min(len(data), self._left))
                    pcm += self._sound(data[:size])
                    data = data[size:]
                    self._left -= size
                    if not self._left:
                        self._part = _Part.BEHIND
                case _Part.BEHIND:
                    data = self._look_behind(self._head + data)
                case _Part.TRAILER:
                    data = b""
        return pcm

    def end(self) -> bytes:
        """The last of the sound; WavError when there was none, or when it is damaged."""
        if self._format is None:
            raise WavError(
                "the WAV is damaged: it has no format or no sound in it"
                if len(self._head) >= 12
                else f"{NO_WAV}{'' if self._head else ': it is empty'}"
            )
        if self._whole and self._part is _Part.SOUND and self._left < math.inf:
            raise WavError(f"the WAV is cut off: {self._declared} bytes are declared and {self._came} came")
        rest = self._sound(self._head) if self._part is _Part.SOUND else b""
        if self._came < self._format.block:
            raise WavError("the WAV holds no sound")
        return rest + self._format.pcm(b"", last=True)

    def _read_header(self, head: bytes) -> bytes:
        """The sound behind the header once that is whole; until then nothing."""
        self._head = head
        if not (any(name.startswith(head[:4]) for name in _NAMES) and b"WAVE".startswith(head[8:12])):
            raise WavError(f"{NO_WAV}{_likeness(head)}")
        at, form, large = 12, b"", _UNKNOWN
        while at + 8 <= len(head):
            name, size = head[at : at + 4], struct.unpack_from("<I", head, at + 4)[0]
            at += 8
            if name == b"data":
                self._format = _format_of(form, self._format)
                self._declared = size = large if size == _UNKNOWN else size
                self._left = math.inf if size == 0 or size > self._most else size
                self._part, self._head = _Part.SOUND, b""
                return head[at:]
            if name == b"fmt ":
                form = head[at : at + size]
            elif name == b"ds64" and at + 16 <= len(head):
                large = struct.unpack_from("<Q", head, at + 8)[0]
            at += size + size % 2
        if max(at, len(head)) > MAX_HEADER_BYTES:
            raise WavError(f"the WAV is damaged: there is no sound in its first {MAX_HEADER_BYTES} bytes")
        return b""

    def _look_behind(self, data: bytes) -> bytes:
        """What stands where the sound should end: the next piece's header, the notes of an honest file, or more sound after a lie."""
        self._head = b""
        padded = self._declared % 2 == 1 and data[:1] == b"\0"
        if len(data) < 4 + padded:
            self._head = data
            return b""
        follows = data[padded:]
        if follows.startswith(b"RIFF"):
            self._part, data = _Part.HEADER, follows
        elif follows[:4].strip(b" ").isalnum():
            self._part = _Part.TRAILER
        else:
            self._part, self._left = _Part.SOUND, math.inf
        return data

    @property
    def _most(self) -> int:
        """So many bytes of sound may come."""
        assert self._format is not None
        return self._longest_s * self._format.rate * self._format.block

    def _sound(self, data: bytes) -> bytes:
        assert self._format is not None
        self._came += len(data)
        block = self._format.block
        if self._came > self._most:
            raise WavError(f"the WAV lasts more than {self._longest_s} s")
        samples = self._rest + data
        size = len(samples) - len(samples) % block
        self._rest = samples[size:]
        self.loud = self.loud or self._format.is_loud(samples[:size])
        return self._format.pcm(samples[:size])


_HEAD_BYTES = 12
_NAMES = (b"RIFF", b"RF64")
_UNKNOWN = 0xFFFF_FFFF
"""A size that is not known, or stands elsewhere."""


def _header_in(sound: bytes) -> int:
    """Where the next piece's header stands in sound without a length, or may begin at its end; behind the sound where there is none."""
    at = sound.find(b"RIFF")
    while at >= 0 and not b"WAVE".startswith(sound[at + 8 : at + _HEAD_BYTES]):
        at = sound.find(b"RIFF", at + 1)
    if at >= 0:
        return at
    return next((len(sound) - size for size in (3, 2, 1) if sound.endswith(b"RIFF"[:size])), len(sound))


class _Format:
    """How samples are written, and the way from there to ours."""

    def __init__(self, kind: int, channels: int, rate: int, bits: int) -> None:
        self.fields = (kind, channels, rate, bits)
        self.rate, self.block = rate, channels * bits // 8
        self._silence = _SILENCES.get((kind, bits), b"\0")
        self._kind, self._bits, self._channels = kind, bits, channels
        self._resampler = None if rate == RATE_HZ else soxr.ResampleStream(rate, RATE_HZ, 1, dtype="int16", quality="HQ")

    def pcm(self, samples: bytes, *, last: bool = False) -> bytes:
        """Whole blocks as PCM; the resampler keeps some back until the `last`."""
        mono = self._mono(samples)
        if self._resampler is not None:
            mono = self._resampler.resample_chunk(mono, last=last)
        return mono.astype("<i2").tobytes()

    def is_loud(self, samples: bytes) -> bool:
        """Are they more than silence? Numbers that are none, and channels that undo each other, are not."""
        return bool(samples.strip(self._silence)) and bool(self._mono(samples).any())

    def _mono(self, samples: bytes) -> npt.NDArray[np.int16]:
        sound = _numbers(samples, self._kind, self._bits)
        mono: npt.NDArray[np.int16] = sound.reshape(-1, self._channels).mean(axis=1).astype(np.int16)
        return mono


def _numbers(samples: bytes, kind: int, bits: int) -> npt.NDArray[np.float64]:
    """Samples as numbers of the size that 16 bits have; those of 8 bits are unsigned in a WAV."""
    if kind == _FLOATS:
        return np.clip(np.nan_to_num(np.frombuffer(samples, f"<f{bits // 8}").astype(np.float64)), -1.0, 1.0) * 32_767
    if kind in (_A_LAW, _MU_LAW):
        return np.take(_LEVELS[kind], np.frombuffer(samples, "u1"))
    if bits == 8:
        return (np.frombuffer(samples, "u1").astype(np.float64) - 128) * 256
    if bits == 24:
        octets = np.frombuffer(samples, "u1").reshape(-1, 3)
        samples, bits = np.pad(octets, ((0, 0), (1, 0))).tobytes(), 32
    return np.frombuffer(samples, f"<i{bits // 8}").astype(np.float64) / float(1 << bits - 16)


def _levels() -> dict[int, npt.NDArray[np.float64]]:
    """The sample of each octet of G.711's two laws."""
    code = np.arange(256) ^ 0x55
    steps, segment = code & 15, code >> 4 & 7
    size = np.where(segment > 0, (steps * 16 + 264) << np.maximum(segment - 1, 0), steps * 16 + 8)
    a_law = np.where(code & 0x80, size, -size)
    code = np.arange(256) ^ 0xFF
    size = (((code & 15) * 8 + 132) << (code >> 4 & 7)) - 132
    return {_A_LAW: a_law.astype(np.float64), _MU_LAW: np.where(code & 0x80, -size, size).astype(np.float64)}


_LEVELS = _levels()


def _format_of(header: bytes, before: _Format | None) -> _Format:
    if len(header) < 16:
        raise WavError("the WAV is damaged: it has no format or no sound in it")
    kind, channels, rate, _, block, bits = struct.unpack_from("<HHIIHH", header)
    if kind == 0xFFFE and len(header) >= 26:
        kind = struct.unpack_from("<H", header, 24)[0]
    if (kind, bits) not in _KINDS or channels not in (1, 2) or not 4_000 <= rate <= 384_000:
        raise WavError(f"the WAV is of kind {kind} with {channels} channels, {bits} bits, {rate} Hz: send 16-bit PCM, mono or stereo")
    if block != channels * bits // 8:
        raise WavError("the WAV is damaged: its samples are not whole")
    if before is not None and before.fields == (kind, channels, rate, bits):
        return before
    return _Format(kind, channels, rate, bits)


_LIKENESSES = {
    b"ID3": "an MP3",
    b"\xff\xfb": "an MP3",
    b"\xff\xf3": "an MP3",
    b"OggS": "Ogg",
    b"fLaC": "FLAC",
    b"\x1f\x8b": "gzip",
    b"{": "JSON",
}


def _likeness(head: bytes) -> str:
    """What the bytes look like instead, where that helps."""
    return next((f" but {name}" for mark, name in _LIKENESSES.items() if head.startswith(mark)), "")
