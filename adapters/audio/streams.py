"""Microphones and loudspeakers through PortAudio: one stream each, kept open by a thread, reopened when it is lost.

The two are separate streams, as a duplex one was late by up to two seconds. PortAudio calls back from a thread of its own every
10 or 20 ms; a callback copies bytes, and holds one short lock.
"""

from collections import Counter, deque
from typing import Any

import numpy as np
import soxr

from adapters.audio.keeper import LATENCY_S, Keeper, Stream
from adapters.audio.library import Endpoint, load
from adapters.audio.wake import Ring, nobody
from adapters.seam.ports import FRAME_BYTES, FRAME_MS, RATE_HZ
from adapters.seam.tape import Tape

BLOCK_MS = 10
"""How much the loudspeaker takes at once: an unplugged one is noticed soon, and the work stays small."""
KEPT_FRAMES = 100
"""How many frames of the microphone wait for a busy loop: 2 s."""


class Loudspeaker:
    """The agent's sound on a loudspeaker; see `adapters.audio.device.Loudspeaker`. The heard position comes from the device's clock."""

    estimated = False

    def __init__(self, endpoint: Endpoint) -> None:
        """Prepare; nothing is opened. At another rate than 24 kHz the sound is resampled on its way."""
        self.endpoint = endpoint
        self._keeper = Keeper(endpoint, self._stream, self._silent)
        self._tape: Tape | None = None
        self._resampler = _resampler(RATE_HZ, endpoint.rate_hz)
        self._rest = bytearray()
        self._latency_s = LATENCY_S

    @property
    def is_open(self) -> bool:
        """Has the stream called back?"""
        return self._keeper.is_open

    @property
    def counts(self) -> Counter[str]:
        """How often the device ran dry, was reopened, …"""
        return self._keeper.counts

    async def run(self, tape: Tape, ring: Ring) -> None:
        """Play what the tape gives until cancelled; raises SoundLost when the device is lost for good."""
        self._tape = tape
        await self._keeper.run(ring)

    def cut(self) -> None:
        """Be silent as soon as the device can; `Tape.cut` follows from a thread."""
        self._keeper.cut()

    def _silent(self, at_s: float) -> None:
        assert self._tape is not None
        self._rest.clear()
        if self._resampler is not None:
            self._resampler.clear()
        self._tape.cut(at_s)

    def _stream(self, latency_s: float) -> Stream:
        rate_hz = self.endpoint.rate_hz
        stream: Any = load().RawOutputStream(
            samplerate=rate_hz,
            blocksize=rate_hz * BLOCK_MS // 1000,
            device=self.endpoint.index,
            channels=1,
            dtype="int16",
            latency=latency_s,
            callback=self._keeper.calling(self._fill),
        )
        self._latency_s = stream.latency
        return stream  # type: ignore[no-any-return]

    def _fill(self, out: Any, frames: int, clock: Any) -> None:
        """Give PortAudio what comes next, and note when that will be heard."""
        assert self._tape is not None
        delay_s = clock.outputBufferDacTime - clock.currentTime
        if not 0 < delay_s < 1:  # Some drivers do not tell the time.
            delay_s = self._latency_s
        size, rate_hz = frames * 2, self.endpoint.rate_hz
        while len(self._rest) < size:
            pcm = self._tape.take(self._keeper.beat_s + delay_s + len(self._rest) / (2 * rate_hz)).whole
            self._rest += pcm if self._resampler is None else self._resampler.resample_chunk(_samples(pcm)).tobytes()
        out[:] = self._rest[:size]
        del self._rest[:size]


class Microphone:
    """The caller's sound from a microphone; see `adapters.audio.device.Microphone`."""

    def __init__(self, endpoint: Endpoint) -> None:
        """Prepare; nothing is opened."""
        self.endpoint = endpoint
        self._keeper = Keeper(endpoint, self._stream, _nothing)
        self._ring: Ring = nobody
        self._blocks: deque[tuple[float, bytes]] = deque(maxlen=KEPT_FRAMES)
        self._resampler = _resampler(endpoint.rate_hz, RATE_HZ)
        self._sound = bytearray()

    @property
    def is_open(self) -> bool:
        """Has the stream called back?"""
        return self._keeper.is_open

    @property
    def counts(self) -> Counter[str]:
        """How often sound was lost, the device was reopened, …"""
        return self._keeper.counts

    async def run(self, ring: Ring) -> None:
        """Listen until cancelled, and ring for each block; raises SoundLost when the device is lost for good."""
        self._ring = ring
        await self._keeper.run(ring)

    def frames(self) -> list[tuple[float, bytes]]:
        """The frames of 20 ms since the last call, with the time at which each began."""
        frames = []
        while self._blocks:
            at_s, block = self._blocks.popleft()
            at_s -= len(self._sound) / (2 * RATE_HZ)
            self._sound += block if self._resampler is None else self._resampler.resample_chunk(_samples(block)).tobytes()
            while len(self._sound) >= FRAME_BYTES:
                frames.append((at_s, bytes(self._sound[:FRAME_BYTES])))
                del self._sound[:FRAME_BYTES]
                at_s += FRAME_MS / 1000
        return frames

    def _stream(self, latency_s: float) -> Stream:
        rate_hz = self.endpoint.rate_hz
        return load().RawInputStream(  # type: ignore[no-any-return]
            samplerate=rate_hz,
            blocksize=rate_hz * FRAME_MS // 1000,
            device=self.endpoint.index,
            channels=1,
            dtype="int16",
            latency=latency_s,
            callback=self._keeper.calling(self._take),
        )

    def _take(self, sound: Any, frames: int, clock: Any) -> None:
        """Take what PortAudio heard."""
        keeper = self._keeper
        age_s = clock.currentTime - clock.inputBufferAdcTime
        if not 0 <= age_s < 1:
            age_s = frames / self.endpoint.rate_hz
        if len(self._blocks) == KEPT_FRAMES:  # The oldest makes room (R57).
            keeper.counts["dropped: the loop is busy"] += 1
        self._blocks.append((keeper.beat_s - age_s, bytes(sound)))
        self._ring()


def _resampler(from_hz: int, to_hz: int) -> Any:
    """A streaming resampler, or None where there is nothing to do; MQ is 20 µs a frame and delays by some ms."""
    return None if from_hz == to_hz else soxr.ResampleStream(from_hz, to_hz, 1, dtype="int16", quality="MQ")


def _samples(pcm: bytes) -> Any:
    return np.frombuffer(pcm, "<i2")


def _nothing(_: float) -> None:
    """A microphone holds nothing that could be cut off."""
