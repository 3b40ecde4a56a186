"""The line of a call inside a framework: frames go out in real time and no sooner, so that what is not heard yet can still be held."""

import math
from collections import Counter, deque
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Protocol

import anyio
import attrs

from adapters.audio.recording import StereoWav
from adapters.seam.device import Device, Line
from adapters.seam.frames import Part, Run
from adapters.seam.playout import Playout
from adapters.seam.ports import FRAME_BYTES, FRAME_MS, PCM
from adapters.seam.tape import Tape

KEPT_FRAMES = 100
"""How many frames of each side wait to be recorded: 2 s."""
NEAR_MS = 1.0
"""A position this close to the end of a frame is its end: players count in floats."""
Position = Callable[[], tuple[Part, float] | None]
"""How many milliseconds of a part were heard since the line was last hushed; None where nothing is heard."""


class Sink(Protocol):
    """Who carries the sound on, to a caller."""

    def sound(self, run: Run) -> None:
        """Carry on sound of a response, at most 20 ms of it."""

    def hush(self) -> None:
        """Drop all sound that is not heard yet: the caller speaks. What of it is still wanted comes again."""


@attrs.define
class _Handed:
    """A frame that the sink has, and what of its part it has with it since it was last hushed."""

    mark: str
    part: Part
    end_ms: float


class FrameworkLine(Device):
    """The line of one call; it is over once `gone`, or when the core hangs up."""

    def __init__(self, sink: Sink, *, out: Path | None = None, ahead_ms: float = 0, position: Position | None = None) -> None:
        """Record to `out`, a WAV, if given. The sink is given `ahead_ms` of sound at once, then as much as is heard.

        `position` tells what was heard; without it a frame is taken for heard at its time. Raises ValueError.
        """
        if not 0 <= ahead_ms <= 500:
            raise ValueError(f"ahead_ms is {ahead_ms:g}: it takes a number from 0 to 500")
        super().__init__(tape=Tape(Playout(), late=position is not None))
        self._sink, self._out, self._position = sink, out, position
        self._ahead = round(ahead_ms / FRAME_MS)
        self._next, self._marks = 0, 0
        self._handed: deque[_Handed] = deque()
        self._sizes: Counter[Part] = Counter()
        self._left = ""
        self._rest = b""
        self._caller: deque[bytes] = deque(maxlen=KEPT_FRAMES)
        self._said: deque[bytes] = deque(maxlen=KEPT_FRAMES)

    @property
    def estimated(self) -> bool:
        """See Device."""
        return self._position is None

    def hear_sound(self, pcm: bytes) -> None:
        """Take sound of the caller, of any length."""
        sound = self._rest + pcm
        whole = len(sound) - len(sound) % FRAME_BYTES
        self._rest = sound[whole:]
        for start in range(0, whole, FRAME_BYTES):
            frame = sound[start : start + FRAME_BYTES]
            if self._out is not None:
                self._caller.append(frame)
            self._hear(frame)

    def gone(self, words: str) -> None:
        """The caller is not there any more."""
        self._left = self._left or words

    async def _carry(self) -> str:
        with StereoWav(self._out) if self._out is not None else nullcontext() as recording:
            self._open()
            begin_s, frames = anyio.current_time(), 0
            while self.line is Line.OPEN and not self._left:
                await anyio.sleep_until(begin_s + frames * FRAME_MS / 1000)
                # A loop that was busy gives no burst afterwards: whoever listens has heard silence meanwhile.
                missed = max(0, int((anyio.current_time() - begin_s) * 1000 / FRAME_MS) - frames)
                if self.line is Line.OPEN:
                    self._say(frames + missed, begin_s)
                for left in range(missed, -1, -1):
                    if recording is not None:
                        said = self._said.popleft() if self._said and not left else b""
                        recording.write(self._caller.popleft() if self._caller else bytes(FRAME_BYTES), said.ljust(FRAME_BYTES, b"\0"))
                frames += missed + 1
        return self._left

    def _say(self, number: int, begin_s: float) -> None:
        """Give the sink what it may have by this frame's time."""
        self._follow()
        self._next = max(self._next, number)
        while self._next <= number + self._ahead:
            heard_s = begin_s + self._next * FRAME_MS / 1000
            frame = self._tape.take(heard_s if self._position is None else math.inf)
            if not frame.runs:
                break
            self._next += 1
            frame.mark = self._hand_over(frame.runs)
            if self._out is not None:
                self._said.append(frame.sound)
        self._report(begin_s + number * FRAME_MS / 1000)

    def _hand_over(self, runs: list[Run]) -> str:
        self._marks += 1
        for run in runs:
            self._sizes[run.part] += len(run.pcm)
            self._sink.sound(run)
        if self._position is not None:
            self._handed.append(_Handed(str(self._marks), runs[-1].part, PCM.ms_of(self._sizes[runs[-1].part])))
        return str(self._marks)

    def _follow(self) -> None:
        """Find out what was heard by now, where that is told."""
        place = self._position() if self._position is not None else None
        if place is None:
            return
        part, ms = place
        reached = [number for number, one in enumerate(self._handed) if one.part == part]
        count = sum(self._handed[number].end_ms <= ms + NEAR_MS for number in reached)
        # Whoever plays a part has played those before it.
        heard = reached[0] + count if reached else 0
        if heard:
            last = [self._handed.popleft() for _ in range(heard)][-1]
            self._tape.heard_to(last.mark)
            self._report()

    def _cut(self) -> None:
        self._follow()
        self._sink.hush()
        self._handed.clear()
        self._sizes.clear()
        self._said.clear()
        self._next = 0
        self._tape.cut(anyio.current_time())
