"""The parts of a call's picture: measured text, colours, envelopes, and places that never overlap; no SVG element is written here.

Pure and deterministic: the same data give the same answer on every machine. Lengths are in SVG user units (px), times in ms.
"""

import re
import unicodedata
from collections.abc import Sequence
from itertools import pairwise
from zlib import crc32

import attrs
import numpy as np
import numpy.typing as npt

Heights = npt.NDArray[np.float64]

# Widths in em of DejaVu Sans, the widest of the fonts that a system is likely to show the picture in, rounded up to 0.05.
_BY_WIDTH = """
0.3 'IJijl
0.35 ,./:;|\\
0.4 ()-[]ft
0.45 !r
0.5 "*_`
0.55 ?csz
0.6 FLkvxy
0.7 ABCKRVXZ
0.75 NU
0.8 &DGHOQ
0.85 #+<=>^w~
0.9 M
1 %@Wm…—
"""
_WIDTHS = {character: float(em) for em, characters in map(str.split, _BY_WIDTH.strip().splitlines()) for character in characters} | {
    " ": 0.35
}
_WIDTH_ASCII = 0.65
_WIDTH_OTHER = 0.75
_WIDTH_WIDE = 1.05
BOLD = 1.12  # a bold face is about this much wider

# What XML 1.0 forbids, and the marks that turn the direction of whatever text follows them.
_UNFIT = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]|[\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def clean(text: str) -> str:
    """The text as XML may hold it: each control, surrogate or direction mark as U+FFFD, each run of blanks as one space."""
    return " ".join(_UNFIT.sub("\ufffd", text).split())


def escaped(text: str) -> str:
    """The text, cleaned, for use between tags or inside an attribute's double quotes."""
    plain = clean(text)
    for character, entity in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ('"', "&quot;"), ("'", "&#39;")):
        plain = plain.replace(character, entity)
    return plain


def width_of(text: str, size: float) -> float:
    """The most that `text` is likely to take at font size `size`."""
    return size * sum(map(_em, text))


def elided(text: str, width: float, size: float) -> str:
    """The text if it fits into `width`, else as much of its beginning as does and `…`; empty when not even that fits."""
    if width_of(text, size) <= width:
        return text
    room = width - width_of("…", size)
    for length, character in enumerate(text):
        room -= width_of(character, size)
        if room < 0:
            return f"{text[:length].rstrip()}…" if length else ""
    return text


@attrs.frozen
class Wrapped:
    """Text in lines; `whole` when nothing is left out and no word is broken."""

    lines: tuple[str, ...]
    whole: bool


def wrapped(text: str, width: float, size: float, limit: int) -> Wrapped:
    """The text in at most `limit` lines of `width`; words too wide for a line are broken, and what is left over is elided."""
    lines: list[str] = []
    rest, unbroken = text, True
    while rest and len(lines) < limit - 1:
        line = _line(rest, width, size)
        if not line:
            return Wrapped((), whole=False)
        after = rest[len(line) :]
        unbroken = unbroken and (not after or after.startswith(" "))
        lines.append(line)
        rest = after.strip()
    last = elided(rest, width, size)
    return Wrapped((*lines, last) if last else tuple(lines), unbroken and last == rest)


def n(value: float) -> str:
    """A number as SVG wants it, to a tenth."""
    return f"{value:.1f}".removesuffix(".0")


def clock(ms: float, precise: bool = False) -> str:
    """A time as m:ss, or m:ss.t if `precise`."""
    tenths = round(ms / 100)
    return f"{tenths // 600}:{tenths // 10 % 60:02d}" + (f".{tenths % 10}" if precise else "")


def _line(text: str, width: float, size: float) -> str:
    """The longest beginning of `text` that fits: whole words if at least one does, else characters."""
    used, space = 0.0, 0
    for length, character in enumerate(text):
        if character == " ":
            space = length
        used += width_of(character, size)
        if used > width:
            return text[:length] if character != " " and not space else text[: space or length]
    return text


def _em(character: str) -> float:
    if character in _WIDTHS:
        return _WIDTHS[character]
    if character.isascii():
        return _WIDTH_ASCII
    if unicodedata.combining(character):
        return 0.0
    return _WIDTH_WIDE if unicodedata.east_asian_width(character) in "WF" or ord(character) > 0xFFFF else _WIDTH_OTHER


@attrs.frozen
class Paint:
    """A fill and the ink that can be read on it; hatched fills mean sound held back."""

    fill: str
    ink: str
    hatched: bool = False


@attrs.frozen
class FlagPaint:
    """A flag's fill, ink, and the line of its border and pole; `strong` for what a reader looks for first."""

    fill: str
    ink: str
    line: str
    strong: bool = False


_BY_PAINT = {
    Paint("#e9edf2", "#64748b"): "none silent clear resting in_step nothing open quiet ready calibrated staying idle",
    Paint("#dbe1e9", "#475569"): "over closed completed finished",
    Paint("#d5e5db", "#3a5f4b"): "listening",
    Paint("#7556c2", "#ffffff"): "greeting_lock",
    Paint("#dcd3f2", "#4f389b"): "guarded goodbye preparing",
    Paint("#3568d1", "#ffffff"): "ai_speaking playing",
    Paint("#b9cff5", "#1e3f8a"): "in_progress requested onset synthesising",
    Paint("#d9e4f8", "#1e3f8a"): "admitted tail ahead wanted due owed",
    Paint("#14796f", "#ffffff"): "speaking",
    Paint("#b5dcd6", "#0f544d"): "stopped connecting configuring calibrating awaited",
    Paint("#cf4a12", "#ffffff"): "cancelling cancel_in_flight server_cancelling confirmed",
    Paint("#f7d3c0", "#8a3410"): "cancelled withdrawn incomplete position_awaited leaving",
    Paint("#f9dd9b", "#7a4b00"): "echoed starved paused",
    Paint("#f9dd9b", "#7a4b00", hatched=True): "suspected held",
    Paint("#b3202c", "#ffffff"): "failed cancel_unsent",
    Paint("#3b4656", "#ffffff"): "closing",
}
_STATES = {state: paint for paint, states in _BY_PAINT.items() for state in states.split()}
_OTHERS = (
    Paint("#d9d2f0", "#483290"),
    Paint("#c9e3ee", "#1f5468"),
    Paint("#efdcc6", "#6b4518"),
    Paint("#dfe5c3", "#4c5619"),
    Paint("#efd0de", "#7d2450"),
    Paint("#cfe0e4", "#2b4f57"),
)
_KINDS = {
    "barge-in": FlagPaint("#cf4a12", "#ffffff", "#cf4a12", strong=True),
    "error": FlagPaint("#b3202c", "#ffffff", "#b3202c", strong=True),
    "hang-up": FlagPaint("#3b4656", "#ffffff", "#3b4656", strong=True),
    "cancel": FlagPaint("#fef1ea", "#8a3410", "#e3a284"),
    "synthesis cancel": FlagPaint("#f4f0fd", "#4f389b", "#b4a3e2"),
    "truncate": FlagPaint("#eef3fd", "#1e3f8a", "#9db6e8"),
    "false alarm": FlagPaint("#fdf3d9", "#7a4b00", "#e0b657"),
}
_OTHER_KIND = FlagPaint("#f3f5f8", "#3b4656", "#aab4c2")


def paint_of(state: str) -> Paint:
    """The colour of a region's state, by its name; a name not known here always gets the same one of six pale colours."""
    return _STATES.get(state) or _OTHERS[crc32(state.encode("utf-8", "replace")) % len(_OTHERS)]


def flag_of(kind: str) -> FlagPaint:
    """The colours of a marker's flag, by its kind; slate for a kind not known here."""
    return _KINDS.get(kind, _OTHER_KIND)


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
