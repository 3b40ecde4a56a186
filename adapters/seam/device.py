"""What every line of a call is: the six effects, the caller's sound to the ears, and how it opens and ends; each line adds its own way.

A line is a port and a speaker of one call, and decides nothing of it. A new one says how sound is carried (`_carry`), hands over what
it hears (`_hear`), takes what is to be said from the `tape`, and drops what it holds when it is told to (`_cut`). One of another format
than PCM says so in `sounds`, and gives an ear the format that it takes (`_told_in`).
"""

import math
from collections import Counter, deque
from collections.abc import Callable, Iterable
from enum import Enum
from typing import Concatenate

import numpy as np
import numpy.typing as npt

from adapters.seam.errors import first_of
from adapters.seam.frames import Fact, Frame, tell
from adapters.seam.playout import Playout
from adapters.seam.ports import FRAME_MS, PCM, Ear, P, Post, Sound, sound_of
from adapters.seam.tape import Tape
from fsm.call.effects import Admit, Effect, Flush, HangUp, Hold, Resume, Retire
from fsm.call.events import CallerHungUp, DeviceFailed, Event, LineClosed, LineOpened, VadCalibrated

CALIBRATION_MS = 500.0
"""How much of the caller is heard before VadCalibrated is told, unless an ear tells it by itself."""
REMEMBERED_FRAMES = 30_000
"""When what was heard is known of the last ten minutes."""

Samples = npt.NDArray[np.int16]
"""Sound as samples, mono."""
Onlooker = Callable[[str, float | None, bytes, Sound], None]
"""Sees the sound of a call: of `caller` or `agent`, since when on `anyio.current_time()` (None: it has just ended), it, and its format."""


class LineLost(Exception):
    """A line that cannot go on; the text is one line that says what and what to do. It becomes DeviceFailed."""


class Line(Enum):
    """Whether a line carries sound."""

    NOT_OPEN = "not open"
    OPEN = "open"
    HANGING_UP = "hanging up"
    GONE = "gone"


class Device:
    """The line of one call; more may be added to `ears` before `run`."""

    performs: tuple[type[Effect], ...] = (Admit, Hold, Resume, Flush, Retire, HangUp)
    sounds: tuple[Sound, ...] = (PCM,)
    """The formats in which an ear may be told what is heard, the line's own first, and in which it may be spoken to."""

    def __init__(self, ears: Iterable[Ear] = (), *, tape: Tape | None = None, calibration_ms: float | None = CALIBRATION_MS) -> None:
        """Let all `ears` hear the caller. VadCalibrated is posted after `calibration_ms` of the caller; never for None.

        Raises ValueError for a tape of a format that the line does not carry.
        """
        self.ears = list(ears)
        self.line = Line.NOT_OPEN
        """Whether it carries sound now."""
        self._tape = tape or Tape(Playout())
        self._check(self.sound)
        self._calibration_frames = 0 if calibration_ms is None else max(1, math.ceil(calibration_ms / FRAME_MS))
        self._frames = 0
        self.onlooker: Onlooker | None = None
        """Who sees the sound of both sides as it is heard, if anybody."""
        self._post: Post = _nobody
        self._clock_s = 0.0
        self._sounded: deque[tuple[float, str, float]] = deque(maxlen=REMEMBERED_FRAMES)

    @property
    def playout(self) -> Playout:
        """The queue and its tallies, to be read; `played` counts what was taken."""
        return self._tape.playout

    @property
    def sound(self) -> Sound:
        """The format in which it is spoken to."""
        return self.playout.sound

    @property
    def estimated(self) -> bool:
        """Is what was heard (`PlayoutStopped`, progress) a guess by the clock, because nothing tells it?"""
        return False

    @property
    def counts(self) -> Counter[str]:
        """What went wrong with it, or went over it, by name; a name that is missing counts 0."""
        return Counter()

    @property
    def agent_sound(self) -> Callable[[], Samples] | None:
        """Gives what was heard of the agent lately in the room where the caller is heard, samples at 24 kHz; None where no echo can be."""
        return None

    async def run(self, post: Post) -> None:
        """Carry sound until the line is gone or the task is cancelled.

        Returns after LineClosed (we hung up), CallerHungUp or DeviceFailed. Raises RuntimeError when it was run before, and ValueError
        for an ear that takes a format which the line cannot give it.
        """
        if self._post is not _nobody:
            raise RuntimeError(f"a {type(self).__name__} serves one call: make another for the next")
        for ear in self.ears:
            self._check(sound_of(ear))
        self._post = post
        words = fault = ""
        try:
            self._report()
            try:
                words = await self._carry()
            except* LineLost as lost:
                fault = str(first_of(lost))
            if self.line is Line.HANGING_UP:
                await self._end_call()
            ended, self.line = self.line, Line.GONE
            if ended is Line.HANGING_UP:
                post(LineClosed)
            elif fault:
                post(DeviceFailed, fault)
            else:
                post(CallerHungUp, words)
        finally:
            self.line = Line.GONE
            self._tape.close()

    def do(self, effect: Effect) -> None:
        """Begin an effect at once; nothing of what was flushed is taken any more."""
        match effect:
            case Admit(response_id):
                self._tape.admit(response_id)
            case Hold():
                if self._tape.hold():
                    self._cut()
            case Resume():
                self._tape.resume()
            case Flush(response_id):
                if self._tape.flush(response_id):
                    self._cut()
                self._report()
            case Retire(response_id):
                self._tape.retire(response_id)
            case HangUp():
                self._hang_up()
            case _:
                raise ValueError(f"a {type(self).__name__} doesn't perform {type(effect).__name__}: give it one of its `performs`")
        self._stir()

    def play(self, response_id: str, pcm: bytes, *, item_id: str = "", content_index: int = 0, sentence: str = "") -> bool:
        """Queue sound of a response; False when it was refused (see `Playout.play`)."""
        waits = not self.playout.queued
        taken = self._tape.play(response_id, pcm, (item_id, content_index), sentence)
        self._report()
        if waits:
            self._stir()
        return taken

    def sounded_after(self, at_s: float, response_id: str | None = None) -> float:
        """How many milliseconds of the agent's sound were heard at or after `at_s` on `anyio.current_time()`.

        With `response_id`, of that response alone: after an interruption it is how much of it was heard too long.
        """
        at_s -= self._clock_s
        sounded = ((start_s, ms) for start_s, of, ms in self._sounded if response_id in (None, of))
        if self._tape.whole:
            return sum(ms for start_s, ms in sounded if start_s >= at_s)
        return sum(min(ms, max(0.0, (start_s - at_s) * 1000 + ms)) for start_s, ms in sounded)

    # What a line adds.

    async def _carry(self) -> str:
        """Open the line (`_open`) and be it as long as it is open; gives how it ended. Raises LineLost."""
        raise NotImplementedError

    def _stir(self) -> None:
        """Look again: something is to be said or not to be said, or the line is to be hung up."""

    def _cut(self) -> None:
        """Begin to drop what the line holds; `Tape.cut` follows. A line that holds nothing is never asked."""

    async def _end_call(self) -> None:
        """Hang up at the far side."""

    def _note(self, frame: Frame) -> None:
        """A frame has been heard."""
        self._sounded.extend((frame.start_s, of, frame.of.ms_of(size)) for of, size in frame.sounding.items())
        if self.onlooker is not None:
            self.onlooker("agent", frame.start_s + self._clock_s, frame.sound, frame.of)

    def _told_in(self, sound: Sound, frame: bytes) -> bytes:
        """A frame of the caller in another format than the line's own; asked of each frame, or of none."""
        raise NotImplementedError

    def _tell(self, fact: Fact) -> None:
        """Post what has happened to the sound."""
        tell(fact, self._post)

    # What a line uses.

    def _open(self) -> bool:
        """Tell that the line is open, unless it was hung up before; is it?"""
        if self.line is Line.NOT_OPEN:
            self.line = Line.OPEN
            self._post(LineOpened)
        return self.line is Line.OPEN

    def _hear(self, frame: bytes) -> None:
        """Let all ears hear 20 ms of the caller, which come in the line's own format."""
        told = {self.sounds[0]: frame}
        for ear in self.ears:
            sound = sound_of(ear)
            if sound not in told:
                told[sound] = self._told_in(sound, frame)
            ear.hear(told[sound])
        if self.onlooker is not None:
            self.onlooker("caller", None, frame, self.sounds[0])
        self._frames += 1
        if self._frames == self._calibration_frames:
            self._post(VadCalibrated)

    def _report(self, now_s: float = -math.inf) -> bool:
        """Post what has happened to the sound by `now_s`, if anything has; before `run` it waits."""
        if self._post is _nobody:
            return False
        facts, frames = self._tape.look(now_s)
        for frame in frames:
            self._note(frame)
        for fact in facts:
            self._tell(fact)
        return bool(facts)

    def _check(self, sound: Sound) -> None:
        if sound not in self.sounds:
            names = " or ".join(one.name for one in self.sounds)
            raise ValueError(f"a {type(self).__name__} carries {names}, not {sound.name}: give the ear or the voice another format")

    def _hang_up(self) -> None:
        if self.line in (Line.NOT_OPEN, Line.OPEN):
            self.line = Line.HANGING_UP
        elif self.line is Line.GONE:
            self._post(LineClosed)


def _nobody(event: Callable[Concatenate[float, P], Event], *args: P.args, **kwargs: P.kwargs) -> None:
    """The call has not begun: there is nobody to tell."""
