"""A call's sound on a real microphone and a real loudspeaker, recorded to a stereo WAV as it is heard; what it means is the core's to say.

The microphone and the loudspeaker are parts given to it: PortAudio's, a player process, a caller on a WAV file. Both have clocks of
their own, so everything carries the time at which it was heard, in seconds of `time.monotonic`.
"""

import math
import time
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Iterable
from enum import Enum
from pathlib import Path
from typing import Protocol

import anyio

from adapters.audio.library import SoundLost
from adapters.audio.recording import Recording, RecordingFailed
from adapters.audio.tape import Heard, Tape
from adapters.audio.wake import Ring, Wake
from adapters.seam.playout import BYTES_A_MS, Playout, tell
from adapters.seam.ports import FRAME_MS, Ear, Post
from fsm.call.effects import Admit, Effect, Flush, HangUp, Hold, Resume, Retire
from fsm.call.events import CallerHungUp, DeviceFailed, LineClosed, LineOpened, PlayoutStopped, VadCalibrated

REMEMBERED_PIECES = 30_000
"""What was heard of whom is known of the last ten minutes."""
ECHO_S = 0.4
"""How long after the agent was heard an echo of it may still come from the microphone: the room, and both devices' buffers."""


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


class _Line(Enum):
    NOT_OPEN = "not open"
    OPEN = "open"
    HANGING_UP = "hanging up"
    GONE = "gone"


class SoundDevice:
    """The audio device of a call on this machine's sound devices: a port and a speaker. It serves one call."""

    performs: tuple[type[Effect], ...] = (Admit, Hold, Resume, Flush, Retire, HangUp)

    def __init__(
        self, path: Path, microphone: Microphone, loudspeaker: Loudspeaker, ears: Iterable[Ear] = (), *, calibration_ms: float | None = 500
    ) -> None:
        """Record to `path` (left: caller, right: agent), and let all `ears` hear the caller; more may be added to `ears` before `run`.

        VadCalibrated is posted after `calibration_ms` of heard sound; never for None, when an ear does so by itself.
        """
        self.ears = list(ears)
        self._path = path
        self._microphone = microphone
        self._loudspeaker = loudspeaker
        self._calibration_frames = 0 if calibration_ms is None else max(1, math.ceil(calibration_ms / FRAME_MS))
        self._playout = Playout()
        self._tape = Tape(self._playout)
        self._line = _Line.NOT_OPEN
        self._fault = ""
        self._post: Post | None = None
        self._wake: Wake | None = None
        self._frames = 0
        self._heard_s = 0.0
        self._clock_s = 0.0
        self._unrecorded: list[Heard] = []
        self._sounded: deque[tuple[float, str, float]] = deque(maxlen=REMEMBERED_PIECES)
        self._loudness: deque[tuple[float, float]] = deque(maxlen=100)

    @property
    def playout(self) -> Playout:
        """The queue and its tallies, to be read; `played` counts what the device took."""
        return self._playout

    @property
    def estimated(self) -> bool:
        """Is the heard position an estimate (`PlayoutStopped`, progress), since the loudspeaker is a player that tells none?"""
        return self._loudspeaker.estimated

    @property
    def counts(self) -> Counter[str]:
        """Under- and overflows, reopenings and restarts, by name."""
        return self._microphone.counts + self._loudspeaker.counts

    def agent_rms(self) -> float:
        """How loud the loudest 20 ms of the agent were of which the last frame may hold an echo, in 16-bit sample units."""
        since_s = self._heard_s - ECHO_S
        return max((rms for at_s, rms in self._loudness if at_s >= since_s), default=0.0)

    async def run(self, post: Post) -> None:
        """Carry sound until the line is gone or the task is cancelled; a device that is lost is DeviceFailed, as is a full disk.

        Returns after LineClosed (the agent hung up), CallerHungUp or DeviceFailed; the WAV is complete by then.
        """
        self._post = post
        self._clock_s = anyio.current_time() - time.monotonic()
        try:
            with Recording(self._path) as recording, Wake() as self._wake:
                await self._carry_sound(recording, self._wake)
        except* RecordingFailed as group:
            self._fault = str(group.exceptions[0])
        ended, self._line = self._line, _Line.GONE
        if ended is _Line.HANGING_UP:
            post(LineClosed)
        elif self._fault:
            post(DeviceFailed, self._fault)
        else:
            post(CallerHungUp, "caller hung up")

    def do(self, effect: Effect) -> None:
        """Begin an effect at once; what the device holds is dropped by its own thread, in about a millisecond."""
        match effect:
            case Admit(response_id):
                self._tape.admit(response_id)
            case Hold():
                if self._tape.hold():
                    self._loudspeaker.cut()
            case Resume():
                self._tape.resume()
            case Flush(response_id):
                if self._tape.flush(response_id):
                    self._loudspeaker.cut()
                self._report()
            case Retire(response_id):
                self._tape.retire(response_id)
            case HangUp():
                self._hang_up()
            case _:
                raise ValueError(f"the sound device doesn't perform {type(effect).__name__}: give it one of its `performs`")

    def play(self, response_id: str, pcm: bytes, *, item_id: str = "", sentence: str = "") -> bool:
        """Queue sound of a response; False when it was refused (see `Playout.play`)."""
        taken = self._tape.play(response_id, pcm, item_id, sentence)
        self._report()
        return taken

    def sounded_after(self, at_s: float, response_id: str | None = None) -> float:
        """How many milliseconds of the agent's sound were heard at or after `at_s` on `anyio.current_time()`, by the device's clock.

        With `response_id`, of that response alone: after an interruption it is how much of it was heard too long.
        """
        at_s -= self._clock_s
        return sum(min(ms, max(0.0, (when_s - at_s) * 1000 + ms)) for when_s, of, ms in self._sounded if response_id in (None, of))

    async def _carry_sound(self, recording: Recording, wake: Wake) -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(self._own, self._play_tape)
            group.start_soon(self._own, self._listen)
            while self._line in (_Line.NOT_OPEN, _Line.OPEN):
                with anyio.move_on_after(self._until_due_s()):
                    await wake.wait()
                self._open_line()
                self._note_heard(recording)
                self._hear(recording)
            group.cancel_scope.cancel()

    async def _play_tape(self, ring: Ring) -> None:
        await self._loudspeaker.run(self._tape, ring)

    async def _listen(self, ring: Ring) -> None:
        await self._microphone.run(ring)

    async def _own(self, part: Callable[[Ring], Awaitable[None]]) -> None:
        """Run the microphone or the loudspeaker; the end of either is the end of the line."""
        assert self._wake is not None
        try:
            await part(self._wake.ring)
        except SoundLost as lost:
            self._fault = str(lost)
        if self._line is not _Line.HANGING_UP:
            self._line = _Line.GONE
        self._wake.ring()

    def _until_due_s(self) -> float:
        """How long nothing need be told."""
        due_s = self._tape.due_s
        return math.inf if due_s is None else max(0.0, due_s - time.monotonic())

    def _open_line(self) -> None:
        if self._line is _Line.NOT_OPEN and self._post is not None and self._microphone.is_open and self._loudspeaker.is_open:
            self._line = _Line.OPEN
            self._post(LineOpened)
            self._report()

    def _hear(self, recording: Recording) -> None:
        """Let the ears hear what the microphone heard."""
        for at_s, frame in self._microphone.frames():
            if self._line is not _Line.OPEN or self._post is None:
                return
            recording.caller(at_s, frame)
            self._heard_s = at_s
            for ear in self.ears:
                ear.hear(frame)
            self._frames += 1
            if self._frames == self._calibration_frames:
                self._post(VadCalibrated)

    def _note_heard(self, recording: Recording) -> None:
        self._report()
        unrecorded, self._unrecorded = self._unrecorded, []
        for piece in unrecorded:
            recording.agent(piece.start_s, piece.pcm)

    def _hang_up(self) -> None:
        match self._line:
            case _Line.NOT_OPEN | _Line.OPEN:
                self._line = _Line.HANGING_UP
                if self._wake is not None:
                    self._wake.ring()
            case _Line.GONE if self._post is not None:
                self._post(LineClosed)
            case _:
                return

    def _report(self) -> None:
        """Post what has happened to the sound; before `run` it waits."""
        if self._post is None:
            return
        facts, heard, stopped = self._tape.heard(time.monotonic())
        for piece in heard:
            self._loudness.append((piece.start_s, piece.rms))
            self._sounded.extend((piece.start_s, of, size / BYTES_A_MS) for of, size in piece.sounding.items())
        self._unrecorded += heard
        tell(facts, self._post)
        for one in stopped:
            self._post(PlayoutStopped, one.response_id, one.played_ms, one.received_ms)
