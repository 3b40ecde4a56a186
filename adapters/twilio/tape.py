"""What was put on a telephone line that buffers, and what of it the caller has heard; no I/O and no clock of its own in here.

The line plays what it was sent, in order, and sends a mark back when it is reached. Each frame gets the time at which it would be played
if the line were here and played at once; a mark that comes back says how much later than that it is heard of. A clear
empties the line and sends every mark back too, so those prove nothing (R71). But a last mark, sent right before the clear, comes back
when the clear is carried out, or when all has been played: what was heard is what is played before its return, less the usual delay of
marks. The line plays whole frames, so a frame that had begun counts as heard.

A return is timed by the far side's clock, which the caller's sound carries (`FarClock`): what the network held up on the way
back makes no difference.
"""

from collections import deque
from collections.abc import Iterable

import attrs

from adapters.seam.playout import BYTES_A_MS, Fact, Progressed, RanOut
from adapters.seam.ports import FRAME_MS

FRAME_S = FRAME_MS / 1000
MARK_FRAMES = 5
"""A mark every 100 ms: what is heard is known to the frame at each, and between them by the clock."""
OFFSETS = 500
"""The shortest way back is looked for among ten seconds of sound: a clock's drift in that time is under a millisecond."""
MOST_HELD_UP_S = 1.0
"""Sound that is older than this says nothing of when a message was sent."""
DELAYS = 2
"""The lesser delay of the last so many marks is taken: one may have been held up; older ones know nothing of a gap since then."""
AT_ONCE_S = FRAME_S * 1.5
"""Marks that a clear sends back come at once; one that came back longer than this before the last was reached."""
SETTLE_S = 0.7
"""How long the answer to a clear is awaited, within the core's `position_ms`: the longest of round trips; then the clock alone decides."""
MOST_UNHEARD = 250
"""A line of which nothing is heard for 5 s takes no more (R58)."""
PLAYED = 3_000
"""When frames were played is known of a minute of them: what is asked is how much of a response was heard after its interruption."""
REMEMBERED = 100
"""Of how many responses is it known what was heard (R07); as many as the playout knows."""


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


@attrs.define(eq=False)
class Frame:
    """20 ms for the line: its PCM, the bytes of it that each response has, and what is to be told when it has been heard."""

    pcm: bytes = attrs.field(repr=False)
    shares: tuple[tuple[str, int], ...]
    facts: list[Fact] = attrs.Factory(list)
    plays_s: float = 0.0
    mark: str = ""

    @property
    def owners(self) -> list[str]:
        """The responses that have a share of it."""
        return [owner for owner, _ in self.shares if owner]

    def take_out(self, response_id: str) -> None:
        """Silence what is a response's, and tell nothing of it."""
        sound, place = bytearray(self.pcm), 0
        for owner, size in self.shares:
            if owner == response_id:
                sound[place : place + size] = bytes(size)
            place += size
        self.pcm = bytes(sound)
        # Its place stays taken, under no name, before those behind it.
        self.shares = tuple(("" if owner == response_id else owner, size) for owner, size in self.shares)
        self.facts = [fact for fact in self.facts if not (isinstance(fact, Progressed | RanOut) and fact.response_id == response_id)]


@attrs.define(eq=False)
class Tape:
    """The frames on the line, and those that a clear took off it and that are to be sent again; times in seconds of one clock."""

    ahead_s: float
    """How much sound the line may hold."""

    again: deque[Frame] = attrs.field(factory=deque, init=False)
    """Frames that were cleared and not heard: the next to be sent."""
    sent: int = attrs.field(default=0, init=False)
    """Frames put on the line; always heard + cleared + those on it (R57)."""
    heard: int = attrs.field(default=0, init=False)
    """Frames that were heard."""
    cleared: int = attrs.field(default=0, init=False)
    """Frames that a clear took off the line unheard."""

    _line: deque[Frame] = attrs.field(factory=deque, init=False)
    _played: deque[tuple[float, str, int]] = attrs.field(factory=lambda: deque(maxlen=PLAYED), init=False)
    _heard_bytes: dict[str, int] = attrs.field(factory=dict, init=False)
    _flushed: set[str] = attrs.field(factory=set, init=False)
    _dry_s: float = attrs.field(default=0.0, init=False)
    _marks: int = attrs.field(default=0, init=False)
    _unmarked: int = attrs.field(default=0, init=False)
    _probes: dict[str, float] = attrs.field(factory=dict, init=False)
    _clear: str = attrs.field(default="", init=False)
    _cleared_s: float = attrs.field(default=0.0, init=False)
    _unsure: list[tuple[str, float]] = attrs.field(factory=list, init=False)
    _delays: deque[float] = attrs.field(factory=lambda: deque(maxlen=DELAYS), init=False)
    _usual_delay_s: float | None = attrs.field(default=None, init=False)
    _round_trip_s: float | None = attrs.field(default=None, init=False)

    @property
    def empty(self) -> bool:
        """Has all that was put on the line been heard, or cleared?"""
        return not self._line

    @property
    def settling(self) -> bool:
        """Was the line cleared, and is it not known yet what was heard?"""
        return bool(self._clear)

    @property
    def settle_by_s(self) -> float:
        """Until when the answer to the clear is awaited."""
        return self._cleared_s + SETTLE_S

    @property
    def dry_at_s(self) -> float:
        """When the line has played all that it was sent, by the clock."""
        return self._dry_s + self._waits_s

    def room_at_s(self) -> float:
        """When the line has room for a frame; never, while it tells of nothing that was heard."""
        if len(self._line) >= MOST_UNHEARD:
            return float("inf")
        return self.dry_at_s + FRAME_S - self.ahead_s

    def holds(self, response_id: str) -> bool:
        """Is any of a response on the line?"""
        return any(response_id in frame.owners for frame in self._line)

    def heard_ms(self, response_id: str) -> float:
        """How much of a response was heard."""
        return self._heard_bytes.get(response_id, 0) / BYTES_A_MS

    def sounded_after(self, at_s: float, response_id: str | None) -> float:
        """How many milliseconds of a response, or of all, the line began to play at or after a time, in the last minute of sound."""
        return sum(size for when_s, of, size in self._played if when_s >= at_s and response_id in (None, of)) / BYTES_A_MS

    def probe(self, now_s: float) -> str:
        """The name of a mark to send on the empty line: its return measures the round trip."""
        self._marks += 1
        self._probes[f"p{self._marks}"] = now_s
        return f"p{self._marks}"

    def put(self, frame: Frame, now_s: float, *, last: bool) -> str:
        """Note a frame as sent, and name the mark to send behind it, if one is due; `last` says that nothing more is at hand."""
        if self.dry_at_s <= now_s:
            self._usual_delay_s = self._delay_s
            self._delays.clear()
        frame.plays_s = max(now_s, self._dry_s)
        self._dry_s = frame.plays_s + FRAME_S
        self._line.append(frame)
        self.sent += 1
        self._unmarked += 1
        frame.mark = ""
        if last or frame.facts or self._unmarked >= MARK_FRAMES:
            self._unmarked = 0
            self._marks += 1
            frame.mark = f"m{self._marks}"
        return frame.mark

    def tell_behind_last(self, fact: Fact) -> bool:
        """Have a fact told when the line's last frame has been heard; False when it has been."""
        if self._line:
            self._line[-1].facts.append(fact)
        return bool(self._line)

    def returned(self, mark: str, now_s: float) -> list[Frame] | None:
        """The frames that were heard, now that a mark is back; None for a mark that proves nothing: cleared, or not ours."""
        if mark in self._probes:
            self._measure(now_s - self._probes.pop(mark))
            return []
        if self._clear and mark == self._clear:
            before = [frame for one, at_s in self._unsure if now_s - at_s > AT_ONCE_S for frame in self._prove(one, at_s)]
            return before + self.settle(now_s, answered=True)
        if not any(frame.mark == mark for frame in self._line):
            return None
        if self._clear:
            self._unsure.append((mark, now_s))
            return None
        return self._prove(mark, now_s)

    def clear(self, now_s: float) -> str:
        """Note that the line is cleared now, and name the mark to send right before the clear."""
        self._marks += 1
        self._clear, self._cleared_s = f"c{self._marks}", now_s
        self._unsure.clear()
        return self._clear

    def settle(self, now_s: float, *, answered: bool = False) -> list[Frame]:
        """Decide what of the cleared line was heard, and give it; the rest is to be sent again, but for what was flushed."""
        if answered:
            self._measure(now_s - self._cleared_s)
        played_s = self._cleared_s - self._waits_s
        if answered and (delay_s := self._delay_s) is not None:
            played_s = now_s - delay_s
        heard = [frame for frame in self._line if frame.plays_s < played_s]
        rest = [frame for frame in self._line if frame.plays_s >= played_s]
        self.cleared += len(rest)
        self._line.clear()
        self._clear, self._dry_s, self._unmarked = "", now_s, 0
        self._count(heard)
        self.again.extendleft(reversed(rest))
        self._take_out_flushed(self._flushed)
        self._flushed.clear()
        if self.again:
            self._tell_that_it_goes_on(self.again[0])
        return heard

    def flush(self, response_id: str) -> None:
        """Never send a response's frames again; those on the line are dealt with when it is cleared."""
        if self.holds(response_id):
            self._flushed.add(response_id)
        self._take_out_flushed({response_id})

    def _prove(self, mark: str, now_s: float) -> list[Frame]:
        """All up to a mark was heard by then."""
        heard = [self._line.popleft()]
        while heard[-1].mark != mark:
            heard.append(self._line.popleft())
        self._delays.append(now_s - heard[-1].plays_s - FRAME_S)
        self._measure(self._delays[-1])
        self._count(heard)
        return heard

    @property
    def _delay_s(self) -> float | None:
        """How much later than by the clock a mark is back, at the least."""
        return min(self._delays) if self._delays else self._usual_delay_s

    @property
    def _waits_s(self) -> float:
        """How long the line waits before it plays: a buffer of its own, or sound that came late to it."""
        delay_s = self._delay_s
        return 0.0 if delay_s is None or self._round_trip_s is None else max(0.0, delay_s - self._round_trip_s)

    def _measure(self, round_trip_s: float) -> None:
        """Keep the shortest round trip."""
        self._round_trip_s = round_trip_s if self._round_trip_s is None else min(self._round_trip_s, round_trip_s)

    def _count(self, frames: Iterable[Frame]) -> None:
        for frame in frames:
            self.heard += 1
            for response_id, size in frame.shares:
                self._played.append((frame.plays_s + self._waits_s, response_id, size))
                before = self._heard_bytes.pop(response_id, 0)
                self._heard_bytes[response_id] = before + size
        while len(self._heard_bytes) > REMEMBERED:
            del self._heard_bytes[next(iter(self._heard_bytes))]

    def _take_out_flushed(self, response_ids: Iterable[str]) -> None:
        for frame in self.again:
            for response_id in response_ids:
                frame.take_out(response_id)
        self.again = deque(frame for frame in self.again if frame.owners)

    def _tell_that_it_goes_on(self, frame: Frame) -> None:
        """After a gap progress is told (R79)."""
        if not any(isinstance(fact, Progressed) for fact in frame.facts):
            frame.facts.insert(0, Progressed(frame.owners[0], self.heard_ms(frame.owners[0])))
