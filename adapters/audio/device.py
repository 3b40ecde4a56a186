"""A call's sound on a real microphone and a real loudspeaker, recorded to a stereo WAV as it is heard; what it means is the core's to say.

The microphone and the loudspeaker are parts given to it: PortAudio's, a player process, a caller on a WAV file. Both have clocks of
their own, so everything carries the time at which it was heard, in seconds of `time.monotonic`.
"""

import math
import time
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Protocol

import anyio
import numpy as np

from adapters.audio.levels import AGENT_MS
from adapters.audio.library import SoundLost
from adapters.audio.recording import Recording
from adapters.audio.wake import Ring, Wake
from adapters.seam.device import CALIBRATION_MS, Device, Line, Samples
from adapters.seam.frames import Frame
from adapters.seam.playout import Playout
from adapters.seam.ports import FRAME_MS, RATE_HZ, Ear
from adapters.seam.tape import Tape


class Microphone(Protocol):
    """Where the caller's sound comes from."""

    @property
    def is_open(self) -> bool:
        """Does it hear?"""

    @property
    def counts(self) -> Counter[str]:
        """What went wrong, by name."""

    async def run(self, ring: Ring) -> None:
        """Hear until cancelled, and ring when there are frames; return when the caller has hung up. Raises SoundLost."""

    def frames(self) -> list[tuple[float, bytes]]:
        """The frames of 20 ms since the last call, with the time at which each began."""


class Loudspeaker(Protocol):
    """Where the agent's sound goes."""

    @property
    def estimated(self) -> bool:
        """Is the heard position a guess by the clock, because nothing tells it?"""

    @property
    def is_open(self) -> bool:
        """Can it be heard?"""

    @property
    def counts(self) -> Counter[str]:
        """What went wrong, by name."""

    async def run(self, tape: Tape, ring: Ring) -> None:
        """Play what `tape.take` gives until cancelled, and ring after `tape.cut`. Raises SoundLost."""

    def cut(self) -> None:
        """Begin to drop what it holds, and return at once; `tape.cut` follows when it is silent."""


class SoundDevice(Device):
    """The audio device of a call on this machine's sound devices."""

    def __init__(
        self,
        path: Path,
        microphone: Microphone,
        loudspeaker: Loudspeaker,
        ears: Iterable[Ear] = (),
        *,
        calibration_ms: float | None = CALIBRATION_MS,
    ) -> None:
        """Record to `path` (left: caller, right: agent); a device that is lost is DeviceFailed, as is a path that cannot be written."""
        super().__init__(ears, tape=Tape(Playout(), whole=False), calibration_ms=calibration_ms)
        self._path = path
        self._microphone = microphone
        self._loudspeaker = loudspeaker
        self._wake: Wake | None = None
        self._lost: SoundLost | None = None
        self._clock_s = 0.0
        self._heard_s = 0.0
        self._unrecorded: list[tuple[float, bytes]] = []
        self._spoken: deque[tuple[float, bytes]] = deque(maxlen=100)

    @property
    def estimated(self) -> bool:
        """Is the loudspeaker a player, which tells nothing?"""
        return self._loudspeaker.estimated

    @property
    def counts(self) -> Counter[str]:
        """Under- and overflows, reopenings and restarts, by name."""
        return self._microphone.counts + self._loudspeaker.counts

    @property
    def agent_sound(self) -> Callable[[], Samples]:
        """Gives the agent's sound of which the last frame of the microphone may hold an echo."""
        return self._agent_lately

    def _agent_lately(self) -> Samples:
        lately = np.zeros(AGENT_MS * RATE_HZ // 1000, np.int16)
        since_s = self._heard_s + (FRAME_MS - AGENT_MS) / 1000
        for at_s, pcm in self._spoken:
            at, samples = round((at_s - since_s) * RATE_HZ), np.frombuffer(pcm, "<i2")
            begin, end = max(at, 0), min(at + len(samples), len(lately))
            if begin < end:
                lately[begin:end] = samples[begin - at : end - at]
        return lately

    async def _carry(self) -> str:
        self._clock_s = anyio.current_time() - time.monotonic()
        with Recording(self._path) as recording, Wake() as self._wake:
            async with anyio.create_task_group() as group:
                group.start_soon(self._own, partial(self._loudspeaker.run, self._tape, self._wake.ring))
                group.start_soon(self._own, partial(self._microphone.run, self._wake.ring))
                while self.line in (Line.NOT_OPEN, Line.OPEN):
                    with anyio.move_on_after(max(0.0, self._tape.due_s - time.monotonic())):
                        await self._wake.wait()
                    if self._microphone.is_open and self._loudspeaker.is_open:
                        self._open()
                    self._report()
                    self._take_sound(recording)
                group.cancel_scope.cancel()
        if self._lost is not None:
            raise self._lost
        return "caller hung up"

    async def _own(self, part: Callable[[], Awaitable[None]]) -> None:
        """Run the microphone or the loudspeaker; the end of either is the end of the line."""
        try:
            await part()
        except SoundLost as lost:
            self._lost = lost
        if self.line is not Line.HANGING_UP:
            self.line = Line.GONE
        assert self._wake is not None
        self._wake.ring()

    def _take_sound(self, recording: Recording) -> None:
        """Record what was heard of the agent, and let the ears hear what the microphone heard."""
        unrecorded, self._unrecorded = self._unrecorded, []
        for start_s, pcm in unrecorded:
            recording.agent(start_s, pcm)
        for at_s, frame in self._microphone.frames():
            if self.line is not Line.OPEN:
                return
            recording.caller(at_s, frame)
            self._heard_s = at_s
            self._hear(frame)

    def _stir(self) -> None:
        if self.line is Line.HANGING_UP and self._wake is not None:
            self._wake.ring()

    def _cut(self) -> None:
        """What the device holds is dropped by its own thread, in about a millisecond."""
        self._loudspeaker.cut()

    def _note(self, frame: Frame) -> None:
        super()._note(frame)
        self._spoken.append((frame.start_s, frame.sound))
        self._unrecorded.append((frame.start_s, frame.sound))

    def _report(self, now_s: float = -math.inf) -> bool:
        return super()._report(max(now_s, time.monotonic()))
