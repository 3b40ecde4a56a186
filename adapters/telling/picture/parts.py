"""Where things stand in a call's picture: time, sound as an outline, and flags and captions that never overlap; nothing is drawn here.

Pure and deterministic: the same data give the same answer on every machine. Lengths are in SVG user units (px), times in ms.
"""

from collections.abc import Sequence
from itertools import pairwise

import attrs
import numpy as np
import numpy.typing as npt

from adapters.telling.picture.text import Wrapped, width_of, wrapped

Heights = npt.NDArray[np.float64]


@attrs.frozen
class Scale:
    """A stretch of a call laid along a line: `start_ms` at `left`, `end_ms` at `right`; the call itself ends at `call_ms`."""

    start_ms: float
    end_ms: float
    call_ms: float
    left: float
    right: float

    @property
    def until_ms(self) -> float:
        """Where the call, or the line, ends."""
        return min(self.end_ms, self.call_ms)

    def px(self, ms: float) -> float:
        """How long a duration is on the line."""
        return (self.right - self.left) * ms / (self.end_ms - self.start_ms)

    def x(self, at_ms: float) -> float:
        """Where a time is, kept within the line."""
        return self.left + self.px(min(max(at_ms, self.start_ms), self.end_ms) - self.start_ms)

    def meets(self, start_ms: float, end_ms: float) -> bool:
        """Is any of a stretch of time, perhaps an empty one, on this line?"""
        return self.holds(start_ms) or (start_ms < self.end_ms and end_ms > self.start_ms)

    def holds(self, at_ms: float) -> bool:
        """Is a time on this line, of all the lines of the call? Each time is on exactly one."""
        return max(at_ms, 0) >= self.start_ms and (at_ms < self.end_ms or self.end_ms >= self.call_ms)


def envelope(pcm: bytes, rate_hz: int, start_ms: float, column_ms: float, columns: int) -> tuple[Heights, Heights]:
    """Peak and RMS of each of `columns` columns of mono s16le sound from `start_ms` on, of full scale (0 to 1); silence past its end."""
    edges = ((start_ms + column_ms * np.arange(columns + 1)) * rate_hz / 1000).astype(np.int64)
    first, last = (min(int(edge), len(pcm) // 2) for edge in (edges[0], edges[-1]))
    sound = np.zeros(int(edges[-1] - edges[0]), dtype=np.float64)
    sound[: last - first] = np.frombuffer(pcm, dtype="<i2", count=last - first, offset=2 * first)
    loud = np.abs(sound) / 32_768
    starts = edges[:-1] - edges[0]
    peak: Heights = np.maximum.reduceat(loud, starts)
    rms: Heights = np.sqrt(np.add.reduceat(loud * loud, starts) / np.diff(edges))
    return peak, rms


def outline(heights: npt.NDArray[np.int64]) -> str:
    """A path from y = 0 up through one height a unit of x and down to 0 again; empty for silence. A level stretch is one step."""
    if not heights.any():
        return ""
    steps = np.diff(heights)
    level = steps == 0
    cuts = (0, *(np.flatnonzero(level[1:] != level[:-1]) + 1), len(steps))
    strokes = [f"M0 0v{-heights[0]}"]
    for begin, end in pairwise(cuts):
        if level[begin:end].any():
            strokes.append(f"h{end - begin}")
        else:
            strokes.extend(f"l1{'' if step > 0 else ' '}{-step}" for step in steps[begin:end])
    return "".join((*strokes, f"v{heights[-1]}z"))


@attrs.frozen
class Flag:
    """A marker's flag: its pole's x, its box from `left`, `width` wide, on `level` (0 is nearest the lanes)."""

    pole: float
    left: float
    width: float
    level: int


FLAG_LEVELS = 8
FLAG_GAP = 4.0
_SAME_POST = 6.0  # poles so close share a signpost: their flags fly to one side, the earliest on top


def place_flags(wanted: Sequence[tuple[float, float]], right: float) -> tuple[Flag | None, ...]:
    """A place for each (pole, width), given from left to right: no two boxes overlap, and poles avoid boxes where they can.

    A flag flies to the right of its pole, or to the left where it would pass `right`. None: no level has room for it.
    """
    posts: list[list[int]] = []
    for i, (pole, _) in enumerate(wanted):
        if posts and pole - wanted[posts[-1][-1]][0] < _SAME_POST:
            posts[-1].append(i)
        else:
            posts.append([i])
    leftward = [post for post in posts if any(sum(wanted[i]) > right for i in post)]
    rightward = [post for post in posts if post not in leftward]
    placed: dict[int, Flag] = {}
    for post in (*leftward, *reversed(rightward)):
        above = 0
        for i in reversed(post):
            pole, width = wanted[i]
            flag = _place(Flag(pole, pole - width if post in leftward else pole, width, above), tuple(placed.values()))
            if flag:
                placed[i] = flag
                above = flag.level + 1
    return tuple(placed.get(i) for i in range(len(wanted)))


def _place(lowest: Flag, placed: Sequence[Flag]) -> Flag | None:
    """The flag on the best free level from its own upwards, or on any free one."""
    levels = (*range(lowest.level, FLAG_LEVELS), *range(min(lowest.level, FLAG_LEVELS)))
    flags = [attrs.evolve(lowest, level=level) for level in levels]
    free = [flag for flag in flags if not any(_overlap(flag, other) for other in placed)]
    tidy = [flag for flag in free if not any(_crosses(flag, other) or _crosses(other, flag) for other in placed)]
    return next(iter(tidy or free), None)


def _overlap(one: Flag, other: Flag) -> bool:
    return one.level == other.level and one.left < other.left + other.width + FLAG_GAP and other.left < one.left + one.width + FLAG_GAP


def _crosses(upper: Flag, lower: Flag) -> bool:
    """Does the pole of `upper` run through the box of `lower`, on another signpost?"""
    inside = lower.left < upper.pole < lower.left + lower.width
    return inside and upper.level > lower.level and abs(upper.pole - lower.pole) >= _SAME_POST


@attrs.frozen
class Caption:
    """What one side says, in lines from `left` on; `width` is the widest line's."""

    left: float
    width: float
    lines: tuple[str, ...]


CAPTION_LINES = 5
CAPTION_GAP = 10.0
_CAPTION_WIDTH = 96.0
_JOIN = 30.0


def place_captions(said: Sequence[tuple[float, float, str]], left: float, right: float, size: float) -> tuple[Caption, ...]:
    """Captions for (start, end, text) of one side, from left to right, no two overlapping, all between `left` and `right`.

    Each begins where its sound does and may go on to where the next begins. Text that does not fit runs on into the next
    caption if that follows closely, moves left if there is room, and is elided at last.
    """
    captions: list[Caption] = []
    queue = sorted(said, key=_where)
    while queue:
        start, end, text = queue.pop(0)
        limit = queue[0][0] - CAPTION_GAP if queue else right
        fit = _fitted(text, end - start, limit - start, size)
        if not fit.whole and queue and queue[0][0] - end < _JOIN:
            _, next_end, more = queue.pop(0)
            queue.insert(0, (start, max(end, next_end), f"{text} {more}"))
            continue
        if not fit.whole:
            taken = captions[-1].left + captions[-1].width + CAPTION_GAP if captions else left
            start = min(start, max(taken, limit - _CAPTION_WIDTH * 2))
            fit = _fitted(text, end - start, limit - start, size)
        if fit.lines:
            captions.append(Caption(start, max(width_of(line, size) for line in fit.lines), fit.lines))
    return tuple(captions)


def _where(said: tuple[float, float, str]) -> tuple[float, float]:
    return said[:2]


def _fitted(text: str, spoken: float, room: float, size: float) -> Wrapped:
    """The text in the narrowest block that holds it, not narrower than its sound, not wider than `room`."""
    width = min(max(spoken, _CAPTION_WIDTH), room)
    fit = wrapped(text, width, size, CAPTION_LINES)
    while not fit.whole and width < room:
        width = min(width + 24, room)
        fit = wrapped(text, width, size, CAPTION_LINES)
    return fit
