"""Sound on its way from the queue to the ear: what a line took, when it is heard, and what it was made to drop; no clock, no I/O in here.

A line holds sound for a while after taking it. So a fact of the playout is told when it is heard, and what is cut off before goes back
to the playout: it is taken again after a hold (R74), and a flush does not count it as played (R71). A line knows what is heard by its
clock (`look`, `cut`), by marks that come back (`heard_to`), or by both. Times are seconds of one monotonic clock. One short lock guards
it all: a thread of a device's may take while the event loop does the rest.
"""

import math
import threading
from collections import deque

from adapters.seam.frames import Emptied, Fact, Frame, Part, RanOut, Run
from adapters.seam.playout import Playout

ROUNDING_MS = 0.01
"""A quarter of a sample: what is lost in reckoning with seconds must not cost a sample."""


class Tape:
    """What lies between a `Playout` and the ear."""

    def __init__(self, playout: Playout, *, whole: bool = True, late: bool = False) -> None:
        """`whole`: a frame that has begun is heard to its end. `late`: an empty queue is told as such, as its end is heard later (R27)."""
        self.playout = playout
        self.sent = self.heard = self.cleared = 0
        """Frames with sound that were taken, heard, and cut off; sent = heard + cleared + those on their way (R57)."""
        self.whole, self.late = whole, late
        self._lock = threading.Lock()
        self._cutting = False
        self._way: deque[Frame] = deque()
        self._facts: list[Fact] = []
        self._passed: list[Frame] = []
        self._stops: list[str] = []

    # The event loop's side.

    def admit(self, response_id: str) -> None:
        """See `Playout.admit`."""
        with self._lock:
            self.playout.admit(response_id)

    def play(self, response_id: str, pcm: bytes, part: Part = ("", 0), sentence: str = "") -> bool:
        """See `Playout.play`."""
        with self._lock:
            taken = self.playout.play(response_id, pcm, part, sentence)
            self._facts += self.playout.facts()
            return taken

    def retire(self, response_id: str) -> None:
        """See `Playout.retire`."""
        with self._lock:
            self.playout.retire(response_id)

    def close(self) -> None:
        """See `Playout.close`."""
        with self._lock:
            self.playout.close()

    def hold(self) -> bool:
        """Give silence until `resume`; True when the line has sound that must be cut off, with `cut` to follow."""
        with self._lock:
            self.playout.hold()
            return self._must_cut(any(frame.runs for frame in self._way))

    def resume(self) -> None:
        """Go on with the first sample that was not heard."""
        with self._lock:
            self.playout.resume()

    def flush(self, response_id: str) -> bool:
        """Refuse a response for good and drop what is not heard of it; True when the line has some that must be cut off.

        Stopped is among the facts, at once or when the line was cut. A second flush has the figures of the first (R70).
        """
        with self._lock:
            self.playout.flush(response_id)
            self._stops.append(response_id)
            must_cut = self._must_cut(any(response_id in frame.sounding for frame in self._way))
            self._settle()
            return must_cut

    def look(self, now_s: float = -math.inf) -> tuple[list[Fact], list[Frame]]:
        """What has happened since the last call, and the frames that have been heard since, each in order."""
        with self._lock:
            self._pass_by(now_s)
            answer = self._facts, self._passed
            self._facts, self._passed = [], []
            return answer

    @property
    def due_s(self) -> float:
        """When the next fact is heard; never, while none is on its way."""
        with self._lock:
            return next((frame.start_s for frame in self._way if frame.facts), math.inf)

    @property
    def on_way(self) -> int:
        """How many frames are on their way."""
        return self.sent - self.heard - self.cleared

    # The line's side, from any thread.

    def take(self, start_s: float) -> Frame:
        """The next sound, to be heard from `start_s` on: silence when held, while it is cut off, and when there is none."""
        with self._lock:
            if self._cutting:
                return Frame(of=self.playout.sound)
            frame = self.playout.next_frame()
            facts = self.playout.facts()
            ended: list[Fact] = [fact for fact in facts if isinstance(fact, RanOut)]
            if ended:
                # It is heard behind what was taken before.
                self._way.append(Frame([], ended, start_s))
                if self.late:
                    self._facts += [Emptied(fact.response_id) for fact in facts if isinstance(fact, RanOut)]
            if frame.runs:
                frame.start_s, frame.facts = start_s, [fact for fact in facts if not isinstance(fact, RanOut)]
                self._way.append(frame)
                self.sent += 1
            return frame

    def heard_to(self, mark: str) -> Frame | None:
        """The frame with this mark has been heard, which is given, and all before it; None when there is none on its way."""
        with self._lock:
            last = next((frame for frame in self._way if mark and frame.mark == mark), None)
            heard = last is None
            while self._way and not (heard and self._way[0].runs):
                frame = self._way.popleft()
                self._tell(frame)
                self._put_aside(frame)
                heard = heard or frame is last
            return last

    def cut(self, at_s: float) -> None:
        """The line is silent since `at_s` and has dropped all that it held: what was not heard of that is given back, or is stopped."""
        with self._lock:
            self._pass_by(at_s)
            way, self._way = self._way, deque()
            unheard: list[Run] = []
            for frame in way:
                begun = frame.start_s <= at_s
                rest = frame.cut(frame.of.bytes_of((at_s - frame.start_s) * 1000 + ROUNDING_MS)) if begun else frame
                unheard += rest.runs
                if begun and frame.runs:
                    self._put_aside(frame)
                elif rest.runs:
                    self.cleared += 1
            self.playout.give_back(unheard)
            for frame in way:
                if not frame.runs:
                    self._tell(frame)
            self._cutting = False
            self._settle()

    # Under the lock.

    def _must_cut(self, wanted: bool) -> bool:
        wanted = wanted and not self._cutting
        self._cutting = self._cutting or wanted
        return wanted

    def _pass_by(self, now_s: float) -> None:
        """Tell the facts of all that has begun to be heard, and put aside what has been heard to its end."""
        for frame in self._way:
            if frame.start_s > now_s:
                break
            self._tell(frame)
        while self._way and self._way[0].start_s <= now_s and (self.whole or self._way[0].end_s <= now_s + ROUNDING_MS / 1000):
            self._put_aside(self._way.popleft())

    def _put_aside(self, frame: Frame) -> None:
        if frame.runs:
            self._passed.append(frame)
            self.heard += 1

    def _tell(self, frame: Frame) -> None:
        """Tell what there is to be told of a frame; that a response ran out, unless more of it came meanwhile."""
        facts, frame.facts = frame.facts, []
        for fact in facts:
            if not isinstance(fact, RanOut) or self._is_out(fact):
                self._facts.append(fact)

    def _is_out(self, fact: RanOut) -> bool:
        return self.playout.is_out(fact.response_id) and self.playout.played_ms(fact.response_id) == fact.played_ms

    def _settle(self) -> None:
        """Answer the flushes that wait, unless what was heard is still to be found out."""
        if not self._cutting:
            self._facts += map(self.playout.stopped, self._stops)
            self._stops.clear()
