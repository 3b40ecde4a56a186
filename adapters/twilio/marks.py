"""When a telephone line that buffers plays what it was sent, by the marks that it sends back; no I/O and no clock of its own in here.

The line plays what it was sent, in order, and sends a mark back when it is reached. Each frame gets the time at which it would be played
if the line were here and played at once; a mark that comes back says how much later than that it is heard of. A clear
empties the line and sends every mark back too, so those prove nothing (R71). But a last mark, sent right before the clear, comes back
when the clear is carried out, or when all has been played: what was heard is what is played before its return, less the usual delay of
marks. The line plays whole frames, so a frame that had begun counts as heard. On a line that sends no marks back at all the clock decides.

A return is timed by the far side's clock, which the caller's sound carries (`FarClock`): what the network held up on the way
back makes no difference.
"""

from collections import deque
from math import inf, nextafter

from adapters.seam.frames import Frame
from adapters.seam.ports import FRAME_MS
from adapters.seam.tape import Tape

FRAME_S = FRAME_MS / 1000
BATCH = 5
"""So many frames go at once, where the line has room for twice as many and they are there, and a mark behind them: every 100 ms. What is
heard is known to the frame at each mark, and between them by the clock."""
OFFSETS = 500
"""The shortest way back is looked for among ten seconds of sound: a clock's drift in that time is under a millisecond."""
MOST_HELD_UP_S = 1.0
"""Sound that is older than this says nothing of when a message was sent."""
DELAYS = 2
"""The lesser delay of the last so many marks is taken: one may have been held up; older ones know nothing of a gap since then."""
ROUNDING_S = 1e-6
AT_ONCE_S = FRAME_S * 1.5
"""Marks that a clear sends back come at once; one that came back longer than this before the last was reached."""
SETTLE_S = 0.7
"""How long the answer to a clear is awaited, within the core's `position_ms`: the longest of round trips; then the clock alone decides."""
NO_MARKS_S = 1.0
"""A line that has sent none back for so long since it was first asked sends none: longer than the longest of round trips, and within the
core's `stall_ms`. Then the clock says what is heard."""
MOST_UNHEARD = 250
"""A line of which nothing is heard for 5 s takes no more (R58)."""


class FarClock:
    """When a message was sent, by the caller's sound that came before it: the line numbers that in milliseconds of its own clock."""

    def __init__(self) -> None:
        self._offsets_s: deque[float] = deque(maxlen=OFFSETS)
        self._at_s = 0.0

    def note(self, at_ms: int, now_s: float) -> None:
        """Sound that began `at_ms` into the stream has come."""
        self._at_s = at_ms / 1000
        self._offsets_s.append(now_s - self._at_s)

    def sent_s(self, now_s: float) -> float:
        """When what comes now was sent, on our clock, as if it had taken the shortest way of late; without such sound, now."""
        if not self._offsets_s:
            return now_s
        sent_s = self._at_s + min(self._offsets_s) + FRAME_S / 2
        return min(now_s, sent_s) if now_s - sent_s < MOST_HELD_UP_S else now_s


class Marks:
    """The marks of the frames that a tape has on its way; a frame's `start_s` is when the line would play it if it were here."""

    def __init__(self, tape: Tape, ahead_s: float) -> None:
        """Keep at most `ahead_s` of sound on the line."""
        self._tape = tape
        self._ahead_s = ahead_s
        self._dry_s = 0.0
        self._marks = 0
        self._probes: dict[str, float] = {}
        self._deaf_s = inf
        self._clear = ""
        self._cleared_s = 0.0
        self._unsure: list[tuple[str, float]] = []
        self._delays: deque[float] = deque(maxlen=DELAYS)
        self._usual_delay_s: float | None = None
        self._round_trip_s: float | None = None

    @property
    def settling(self) -> bool:
        """Was the line cleared, and is it not known yet what was heard?"""
        return bool(self._clear)

    def heard_by_s(self, now_s: float) -> float:
        """Up to when sound is heard by the clock alone: now, on a line that sends no marks back, and never on any other."""
        return now_s if now_s >= self._deaf_s else -inf

    @property
    def look_at_s(self) -> float:
        """When something is heard by the clock alone."""
        return max(self._deaf_s, self._tape.due_s)

    @property
    def settle_by_s(self) -> float:
        """Until when the answer to the clear is awaited; not at all on a line that sends no marks back."""
        return self._cleared_s + (SETTLE_S if self._cleared_s < self._deaf_s else 0.0)

    @property
    def waits_s(self) -> float:
        """How long the line waits before it plays: a buffer of its own, or sound that came late to it."""
        delay_s = self._delay_s
        return 0.0 if delay_s is None or self._round_trip_s is None else max(0.0, delay_s - self._round_trip_s)

    @property
    def dry_at_s(self) -> float:
        """When the line has played all that it was sent, by the clock."""
        return self._dry_s + self.waits_s

    @property
    def room_at_s(self) -> float:
        """When the line has room for a frame; never, while it tells of nothing that was heard."""
        return inf if self._tape.on_way >= MOST_UNHEARD else self.dry_at_s + FRAME_S - self._ahead_s

    def probe(self, now_s: float) -> str:
        """The name of a mark to send on the empty line: its return measures the round trip."""
        name = self._name("p")
        self._probes[name] = now_s
        self._deaf_s = now_s + NO_MARKS_S
        return name

    @property
    def batch_at_s(self) -> float:
        """When the line has room for what is to be sent at once."""
        playout = self._tape.playout
        there = -(-playout.queued // playout.sound.frame_bytes)
        return self.room_at_s + (max(1, min(BATCH, there, round(self._ahead_s / FRAME_S) // 2)) - 1) * FRAME_S

    def batch(self, now_s: float) -> list[Frame]:
        """Take the tape's next frames, which are sent now, as many as may be sent at once; a mark is due behind the last at the latest."""
        frames: list[Frame] = []
        while not frames or (self._tape.playout.queued and self.room_at_s <= now_s + ROUNDING_S and len(frames) < BATCH):
            frames.append(self._take(now_s))
        if frames[-1].runs and not frames[-1].mark:
            frames[-1].mark = self._name("m")
        return frames

    def _take(self, now_s: float) -> Frame:
        """The tape's next frame; what is told of it is known by a mark behind it."""
        frame = self._tape.take(max(now_s, self._dry_s))
        if frame.runs:
            if self.dry_at_s <= now_s:
                self._usual_delay_s = self._delay_s
                self._delays.clear()
            self._dry_s = frame.start_s + FRAME_S
            if frame.facts:
                frame.mark = self._name("m")
        # What has ended with nothing on the line has been heard to its end.
        self._tape.heard_to("")
        return frame

    def returned(self, mark: str, now_s: float) -> bool:
        """Note that a mark is back; False when it proves nothing: cleared, or not ours."""
        self._deaf_s = inf
        if mark in self._probes:
            self._measure(now_s - self._probes.pop(mark))
            return True
        if self._clear and mark == self._clear:
            for one, at_s in self._unsure:
                if now_s - at_s > AT_ONCE_S:
                    self._prove(one, at_s)
            self.settle(now_s, answered=True)
            return True
        if self._clear:
            self._unsure.append((mark, now_s))
            return False
        return self._prove(mark, now_s)

    def clear(self, now_s: float) -> str:
        """Note that the line is cleared now, and name the mark to send right before the clear."""
        self._clear, self._cleared_s = self._name("c"), now_s
        self._unsure.clear()
        return self._clear

    def settle(self, now_s: float, *, answered: bool = False) -> None:
        """Decide what of the cleared line was heard."""
        if answered:
            self._measure(now_s - self._cleared_s)
        played_s = self._cleared_s - self.waits_s
        if answered and (delay_s := self._delay_s) is not None:
            played_s = now_s - delay_s
        # A frame that would begin just then has not.
        self._tape.cut(nextafter(played_s, -inf))
        self._clear, self._dry_s = "", now_s

    def _prove(self, mark: str, now_s: float) -> bool:
        """All up to a mark was heard by then."""
        last = self._tape.heard_to(mark)
        if last is None:
            return False
        self._delays.append(now_s - last.start_s - FRAME_S)
        self._measure(self._delays[-1])
        return True

    @property
    def _delay_s(self) -> float | None:
        """How much later than by the clock a mark is back, at the least."""
        return min(self._delays) if self._delays else self._usual_delay_s

    def _measure(self, round_trip_s: float) -> None:
        """Keep the shortest round trip."""
        self._round_trip_s = round_trip_s if self._round_trip_s is None else min(self._round_trip_s, round_trip_s)

    def _name(self, kind: str) -> str:
        self._marks += 1
        return f"{kind}{self._marks}"
