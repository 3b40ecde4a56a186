"""Sound between 24 kHz and the telephone's 8 kHz: two small linear-phase filters, for one stream of frames each; no I/O in here.

They are ours because a telephone must not wait: soxr's streams gather blocks and lag by up to 74 ms (MQ, in bursts of 65) or 40
(LQ), these by 2.5, and give exactly a third, or three times, of the samples that they take.

Their sums are exact, so that frames of any size give the same samples on any machine: 16-bit samples times taps of 30 bits, 121 of
them, stay under the 53 bits of a float64. BLAS adds in another order for each number of rows, and rounds each way of it differently.
"""

import numpy as np
import numpy.typing as npt

Samples = npt.NDArray[np.float64]

_PCM = np.dtype("<i2")
_LEAST, _MOST = np.float64(-32_768), np.float64(32_767)

RATIO = 3
TAPS = 121
"""A multiple of RATIO, plus one: the delay is (TAPS - 1) / 2 samples of 24 kHz, 2.5 ms, and the edge between pass and stop 700 Hz wide."""
CUTOFF_HZ = 3_600
"""Half way down its edge: a telephone carries 300 to 3,400 Hz, and from 4,000 on there must be nothing."""
BETA = 5.65
"""Kaiser's window for 60 dB in the stop band: below what mu-law's own noise covers."""

TAP_STEPS = 2**30
"""A tap is a whole number of these parts of one."""


def _prototype() -> Samples:
    """The low-pass filter at 24 kHz, with unit gain for a constant."""
    place = np.arange(TAPS) - (TAPS - 1) / 2
    taps = np.sinc(2 * CUTOFF_HZ / 24_000 * place) * np.kaiser(TAPS, BETA)
    return np.asarray(np.rint(taps / taps.sum() * TAP_STEPS) / TAP_STEPS)


_LOW_PASS = _prototype()
_PHASES: Samples = np.stack([np.pad(_LOW_PASS, (0, RATIO - 1))[phase::RATIO][: TAPS // RATIO + 1] for phase in range(RATIO)], axis=1)[::-1]
"""The filter's taps for each of the three samples that come of one, the oldest sample's first."""
_RAISED: Samples = _PHASES * RATIO
"""The same, as loud as before: two samples of three are zeros that were put in."""


class Downsampler:
    """24 kHz to 8 kHz."""

    def __init__(self) -> None:
        self._past: Samples = np.zeros(TAPS - 1, np.float64)

    def feed(self, pcm: bytes) -> bytes:
        """Take s16 samples, a multiple of 3, and give a third as many. Raises ValueError for another number."""
        if len(pcm) % (2 * RATIO):
            raise ValueError(f"{len(pcm)} bytes: give 16-bit samples, a multiple of {RATIO}")
        sound = np.concatenate([self._past, np.frombuffer(pcm, _PCM).astype(np.float64)])
        self._past = sound[len(sound) - TAPS + 1 :]
        if not pcm:
            return b""
        return _rounded(_windows(sound, TAPS, RATIO) @ _LOW_PASS)


class Upsampler:
    """8 kHz to 24 kHz."""

    def __init__(self) -> None:
        self._past: Samples = np.zeros(len(_RAISED) - 1, np.float64)

    def feed(self, pcm: bytes) -> bytes:
        """Take s16 samples and give three times as many."""
        sound = np.concatenate([self._past, np.frombuffer(pcm, _PCM).astype(np.float64)])
        self._past = sound[len(sound) - len(_RAISED) + 1 :]
        if not pcm:
            return b""
        return _rounded((_windows(sound, len(_RAISED), 1) @ _RAISED).ravel())


def _windows(sound: Samples, size: int, step: int) -> Samples:
    """Every stretch of `size` samples, `step` apart; copied, as BLAS takes no rows that overlap, and is three times as fast."""
    number, width = (len(sound) - size) // step + 1, sound.itemsize
    return np.ascontiguousarray(np.ndarray((number, size), np.float64, sound, strides=(step * width, width)))


def _rounded(sound: Samples) -> bytes:
    return bytes(np.minimum(np.maximum(np.rint(sound), _LEAST), _MOST).astype(_PCM).tobytes())
