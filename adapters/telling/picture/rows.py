"""One row of a call's picture as SVG elements: the axis, both sides' sound and words, the regions' states, and the flags of what happened.

Lengths are in SVG user units (px), times in ms.
"""

import math
from collections.abc import Iterable, Iterator

import attrs
import numpy as np

from adapters.seam.ports import RATE_HZ
from adapters.telling.picture.data import CallPicture, Marker, Ribbon, Said, Span
from adapters.telling.picture.parts import Caption, Flag, Scale, envelope, outline, place_captions, place_flags
from adapters.telling.picture.style import (
    BAR,
    CAPTION,
    CAPTION_MARGIN,
    CAPTION_TEXT,
    EDGE,
    FLAG,
    FLAG_H,
    FLAG_TEXT,
    HALF,
    LANE,
    LEFT,
    RIGHT,
    SIDES,
    STATE_TEXT,
    flag_of,
)
from adapters.telling.picture.text import BOLD, clean, clock, elided, escaped, n, width_of

_FINE_MS = 180_000  # calls up to here have a column of sound every px, longer ones every second px
_LEAST_PEAK = 0.05  # of full scale: a side quieter than this is drawn small, its noise not blown up


@attrs.frozen
class Row:
    """One row of the picture: what is on it, and the y of its axis, of each side's middle and of its first ribbon."""

    scale: Scale
    flags: tuple[tuple[Marker, Flag | None], ...]
    captions: dict[str, tuple[Caption, ...]]
    axis: float
    middle: dict[str, float]
    ribbons: float
    bottom: float


def row_of(call: CallPicture, scale: Scale, top: float) -> Row:
    """Choose what belongs on a row that begins at `top`, and give it its place."""
    markers = sorted((marker for marker in call.markers if scale.holds(marker.at_ms)), key=_time_of)
    flags = place_flags([(scale.x(marker.at_ms), width_of(_label(marker), FLAG_TEXT) * BOLD + 12) for marker in markers], RIGHT)
    captions = {side: _captions(call.said, side, scale) for side in SIDES}
    lines = {side: max((len(caption.lines) for caption in captions[side]), default=0) for side in SIDES}
    axis = top + FLAG * (1 + max((flag.level for flag in flags if flag), default=-1)) + 14
    caller = axis + 16 + lines["caller"] * CAPTION + HALF
    agent = caller + 2 * HALF + 8
    ribbons = agent + HALF + 14 + lines["agent"] * CAPTION
    middle = {"caller": caller, "agent": agent}
    return Row(scale, tuple(zip(markers, flags, strict=True)), captions, axis, middle, ribbons, ribbons + LANE * len(call.ribbons))


def _time_of(marker: Marker) -> float:
    return marker.at_ms


def _label(marker: Marker) -> str:
    return elided(clean(marker.label or marker.kind), 220, FLAG_TEXT)


def _captions(said: Iterable[Said], side: str, scale: Scale) -> tuple[Caption, ...]:
    """The captions of one side; one that runs over a row's end is on the row that has its middle."""
    mine = (one for one in said if one.who == side and scale.holds((one.start_ms + one.end_ms) / 2))
    spoken = [(scale.x(one.start_ms), scale.x(one.end_ms), clean(one.text)) for one in mine]
    return place_captions(spoken, LEFT, RIGHT, CAPTION_TEXT)


def drawn(row: Row, call: CallPicture, classes: dict[str, str]) -> list[str]:
    """The row's elements, from the back to the front."""
    parts, names = _grid(row), []
    for side, pcm in (("caller", call.caller), ("agent", call.agent)):
        parts += [*_spoken(row, call.said, side), *_sound(row, side, pcm)]
    for number, ribbon in enumerate(call.ribbons):
        bars, named = _ribbon(row, ribbon, row.ribbons + number * LANE, classes)
        parts += bars
        names += named
    return [*parts, *_poles(row), *names, *_times(row), *_written(row), *_flags(row)]


def _ticks(row: Row) -> list[int]:
    """The times of the axis, a round number of seconds apart, up to the call's end."""
    scale = row.scale
    step_ms = next(step for step in (1_000, 2_000, 5_000, 10_000, 15_000, 30_000, 60_000) if scale.px(step) >= 50 or step == 60_000)
    return list(range(int(scale.start_ms), int(scale.until_ms) + 1, step_ms))


def _grid(row: Row) -> list[str]:
    """The axis, and a faint line down from each time."""
    lines = "".join(f"M{n(row.scale.x(at))} {n(row.axis + 5)}V{n(row.bottom)}" for at in _ticks(row))
    return [
        f'<path class="g" d="{lines}"/>',
        f'<path class="b" d="M{LEFT} {n(row.axis + 5)}H{n(row.scale.x(row.scale.until_ms))}"/>',
    ]


def _times(row: Row) -> list[str]:
    return [f'<text class="m h" x="{n(row.scale.x(at))}" y="{n(row.axis)}">{clock(at)}</text>' for at in _ticks(row)]


def _spoken(row: Row, said: Iterable[Said], side: str) -> list[str]:
    """A tint behind the sound of each thing said, with its words as a tooltip."""
    return [
        f'<rect x="{n(row.scale.x(one.start_ms))}" y="{n(row.middle[side] - HALF)}" height="{2 * HALF}" rx="3" fill="{SIDES[side]}"'
        f' width="{n(max(1, row.scale.x(one.end_ms) - row.scale.x(one.start_ms)))}" fill-opacity=".07">'
        f"<title>{side} {_stretch(one.start_ms, one.end_ms)}: {escaped(one.text)}</title></rect>"
        for one in said
        if one.who == side and row.scale.meets(one.start_ms, one.end_ms)
    ]


def _sound(row: Row, side: str, pcm: bytes) -> list[str]:
    """A side's name, its level, and its envelope: the peak pale, the RMS dark; the lower half mirrors the upper."""
    y, colour, scale = row.middle[side], SIDES[side], row.scale
    samples = np.frombuffer(pcm, dtype="<i2")
    loudest = max(int(samples.max(initial=0)), -int(samples.min(initial=0))) / 32_768
    level = f"peak {_decibels(loudest)} dBFS" if loudest else "no sound"
    column = 1 if scale.call_ms <= _FINE_MS else 2
    peak, rms = envelope(pcm, RATE_HZ, scale.start_ms, column / scale.px(1), int(scale.x(scale.until_ms) - LEFT) // column + 1)
    tall = 2 * HALF / max(loudest, _LEAST_PEAK)
    paths = [(outline(np.rint(heights * tall).astype(np.int64)), opacity) for heights, opacity in ((peak, ".38"), (rms, "1"))]
    half = f"{side}{scale.start_ms:.0f}"
    return [
        f'<text class="n" x="{EDGE}" y="{n(y)}">{side}</text>',
        f'<text class="m" x="{EDGE}" y="{n(y + 14)}">{level}</text>',
        f'<path class="b" d="M{LEFT} {n(y)}H{n(scale.x(scale.until_ms))}"/>',
        f'<g transform="translate({LEFT} {n(y)})" fill="{colour}"><g id="{half}" transform="scale({column} .5)">',
        *(f'<path fill-opacity="{opacity}" d="{path}"/>' for path, opacity in paths if path),
        f'</g><use href="#{half}" transform="scale(1 -1)"/></g>',
    ]


def _decibels(loudness: float) -> str:
    return f"{round(20 * math.log10(loudness))}".replace("-", "\u2212")


@attrs.frozen
class Bar:
    """The part of a span that is on a row: its place, and whether the state's name fits on it."""

    span: Span
    x: float
    width: float
    named: bool


def bars_of(ribbon: Ribbon, scale: Scale) -> list[Bar]:
    """A ribbon's bars on a row; the narrowest last, so that nothing hides them."""
    bars = []
    for span in ribbon.spans:
        if not scale.meets(span.start_ms, span.end_ms):
            continue
        x = scale.x(span.start_ms)
        width = scale.x(span.end_ms) - x
        bars.append(Bar(span, x, max(width - 0.8, 1.2), width_of(clean(span.state), STATE_TEXT) + 8 <= width))
    return sorted(bars, key=_narrowness)


def _narrowness(bar: Bar) -> float:
    return -bar.width


def _ribbon(row: Row, ribbon: Ribbon, top: float, classes: dict[str, str]) -> tuple[list[str], list[str]]:
    """A region's name and its states as bars; and the states' names, which lie over the poles."""
    title = escaped(elided(clean(ribbon.name), (LEFT - EDGE - 8) / BOLD, 12))
    bars = [f'<text class="n" x="{EDGE}" y="{n(top + 13)}">{title}</text>', f'<g transform="translate(0 {n(top)})">']
    names = []
    for bar in bars_of(ribbon, row.scale):
        state, name, corner = escaped(bar.span.state), classes[bar.span.state], ' rx="2"' if bar.width > 5 else ""
        bars.append(
            f'<rect class="{name}" x="{n(bar.x)}" width="{n(bar.width)}" height="{BAR}"{corner}>'
            f"<title>{state} {_stretch(bar.span.start_ms, bar.span.end_ms)}</title></rect>"
        )
        if bar.named:
            names.append(f'<text class="s {name}" x="{n(bar.x + bar.width / 2)}" y="{n(top + 12.5)}">{state}</text>')
    return [*bars, "</g>"], names


def _poles(row: Row) -> list[str]:
    """A line through all lanes for each marker, from its flag down, but not through what is said; the strong ones over the others."""
    parts = []
    for marker, flag in sorted(row.flags, key=_strength):
        top = _flag_top(row, flag) if flag else row.axis + 5
        paint, x = flag_of(marker.kind), row.scale.x(marker.at_ms)
        weight = "w" if paint.strong else "p"
        line = "".join(f"M{n(x)} {n(begin)}V{n(end)}" for begin, end in _clear_of_captions(row, x, top))
        parts.append(f'<path class="{weight}" stroke="{paint.line}" d="{line}"><title>{_told(marker)}</title></path>')
    return parts


def _clear_of_captions(row: Row, x: float, top: float) -> Iterator[tuple[float, float]]:
    """The stretches of a pole from `top` down on which no caption stands."""
    for side in SIDES:
        for caption in row.captions[side]:
            if caption.left - CAPTION_MARGIN <= x <= caption.left + caption.width + CAPTION_MARGIN:
                first = _first_line(row, side, caption)
                yield top, first - CAPTION
                top = first + CAPTION * (len(caption.lines) - 1) + 4
    yield top, row.bottom


def _strength(flown: tuple[Marker, Flag | None]) -> bool:
    return flag_of(flown[0].kind).strong


def _flags(row: Row) -> list[str]:
    """The markers' flags, and how many markers have none for want of room."""
    parts = []
    for marker, flag in ((marker, flag) for marker, flag in row.flags if flag):
        paint, top = flag_of(marker.kind), _flag_top(row, flag)
        parts.append(
            f'<g><title>{_told(marker)}</title><rect x="{n(flag.left)}" y="{n(top)}" width="{n(flag.width)}" height="{FLAG_H}" rx="2.5"'
            f' fill="{paint.fill}" stroke="{paint.line}"/>'
            f'<text class="f" x="{n(flag.left + flag.width / 2)}" y="{n(top + 11.7)}" style="fill:{paint.ink}">'
            f"{escaped(_label(marker))}</text></g>"
        )
    bare = sum(flag is None for _, flag in row.flags)
    return [*parts, *([f'<text class="m" x="{EDGE}" y="{n(row.axis)}">+{bare} without a flag</text>'] if bare else [])]


def _flag_top(row: Row, flag: Flag) -> float:
    return row.axis - 14 - FLAG * (flag.level + 1)


def _written(row: Row) -> list[str]:
    """The captions: the caller's stand on their sound, the agent's hang under theirs."""
    parts = []
    for side in SIDES:
        for caption in row.captions[side]:
            first = _first_line(row, side, caption)
            parts += [
                f'<text class="c {side}" x="{n(caption.left)}" y="{n(first + number * CAPTION)}">{escaped(line)}</text>'
                for number, line in enumerate(caption.lines)
            ]
    return parts


def _first_line(row: Row, side: str, caption: Caption) -> float:
    """The y of a caption's first line."""
    return row.middle[side] + HALF + 14 if side == "agent" else row.middle[side] - HALF - 5 - CAPTION * (len(caption.lines) - 1)


def _told(marker: Marker) -> str:
    """A marker's tooltip."""
    words = [marker.kind, *(word for word in (marker.label, marker.detail) if word and word != marker.kind)]
    return f"{marker.at_ms / 1000:.3f} s {escaped(': '.join(words))}"


def _stretch(start_ms: float, end_ms: float) -> str:
    return f"{start_ms / 1000:.3f}\u2013{end_ms / 1000:.3f} s, {end_ms - start_ms:.0f} ms"
