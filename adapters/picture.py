"""The picture of a call: one self-contained SVG of both sides' sound, what was said, what happened and each region's states.

It draws plain data and decides nothing; it knows no event, no effect and no port. Times are in ms from the call's start.
"""

import math
import wave
from collections.abc import Iterable, Sequence
from pathlib import Path

import attrs
import numpy as np

from adapters.picture_parts import (
    BOLD,
    Caption,
    Flag,
    Paint,
    Scale,
    clean,
    clock,
    elided,
    envelope,
    escaped,
    flag_of,
    n,
    outline,
    paint_of,
    place_captions,
    place_flags,
    width_of,
)
from adapters.ports import RATE_HZ


def _finite(_: object, field: "attrs.Attribute[float]", value: float) -> None:
    """A validator for a time."""
    if not math.isfinite(value):
        raise ValueError(f"{field.name} is {value!r}: it takes a number of milliseconds")


def _not_before_start(it: "Span | Said", field: "attrs.Attribute[float]", value: float) -> None:
    """A validator for the end of something that has a `start_ms`."""
    _finite(it, field, value)
    if value < it.start_ms:
        raise ValueError(f"{field.name} is {value!r}, before start_ms, {it.start_ms!r}: it takes a time not before it")


def _whole_samples(_: object, field: "attrs.Attribute[bytes]", value: bytes) -> None:
    """A validator for 16-bit sound."""
    if len(value) % 2:
        raise ValueError(f"{field.name} has {len(value)} bytes of sound: it takes whole 16-bit samples, so an even number")


@attrs.frozen
class Span:
    """A region was in `state` from `start_ms` to `end_ms`."""

    start_ms: float = attrs.field(validator=_finite)
    end_ms: float = attrs.field(validator=_not_before_start)
    state: str


@attrs.frozen
class Ribbon:
    """A region's states through the call; `name` is the region's."""

    name: str
    spans: tuple[Span, ...]


@attrs.frozen
class Marker:
    """A moment worth a flag; `kind` chooses its colour, `label` is on the flag (the kind if empty), `detail` in its tooltip."""

    at_ms: float = attrs.field(validator=_finite)
    kind: str
    label: str = ""
    detail: str = ""


@attrs.frozen
class Said:
    """`who` ("caller" or "agent") said `text`; for the agent, as much of it as was heard is in the sound."""

    start_ms: float = attrs.field(validator=_finite)
    end_ms: float = attrs.field(validator=_not_before_start)
    who: str = attrs.field(validator=attrs.validators.in_(("caller", "agent")))
    text: str


@attrs.frozen
class CallPicture:
    """All that a picture shows; sound is 24 kHz mono s16le and begins at 0 ms, `figures` are (name, value)."""

    title: str
    duration_ms: float = attrs.field(validator=_finite)
    caller: bytes = attrs.field(default=b"", validator=_whole_samples)
    agent: bytes = attrs.field(default=b"", validator=_whole_samples)
    ribbons: tuple[Ribbon, ...] = ()
    markers: tuple[Marker, ...] = ()
    said: tuple[Said, ...] = ()
    figures: tuple[tuple[str, str], ...] = ()


WIDTH = 1400
_LEFT, _RIGHT = 152, WIDTH - 36
_EDGE = 36
_LEAST_MS = 10_000  # a shorter call is not stretched over the whole width
_ONE_ROW_MS = 90_000  # the longest call that is drawn in one row
_ROW_MS = 60_000
_ROWS = 20  # a call of more than so many minutes gets longer rows, not more
_FINE_MS = 180_000  # calls up to here have a column of sound every px, longer ones every second px

_FLAG, _FLAG_H, _FLAG_TEXT = 19, 16, 10.5
_CAPTION, _CAPTION_TEXT = 14, 11.0
_HALF = 28  # half the height of an envelope
_LANE, _BAR, _STATE_TEXT = 23, 17, 10.5
_BETWEEN = 34

SIDES = {"caller": "#14796f", "agent": "#3568d1"}
_LEAST_PEAK = 0.05  # of full scale: a side quieter than this is drawn small, its noise not blown up
_STYLE = (
    "text{font-family:system-ui,-apple-system,'Segoe UI',Roboto,'Helvetica Neue',Arial,sans-serif;fill:#1e293b;"
    "font-variant-numeric:tabular-nums}"
    ".t{font-size:21px;font-weight:600}.k{font-size:11px;fill:#64748b}.v{font-size:16px;font-weight:600}"
    ".n{font-size:12px;font-weight:600;fill:#334155}.m{font-size:10.5px;fill:#64748b}"
    f".s{{font-size:{_STATE_TEXT}px}}.f{{font-size:{_FLAG_TEXT}px;font-weight:600}}.c{{font-size:{_CAPTION_TEXT:g}px}}"
    ".caller{fill:#0f544d}.agent{fill:#1e3f8a}.g{stroke:#eef1f5}.b{stroke:#d5dbe3}.p{stroke-width:1;stroke-dasharray:3 3;opacity:.75}"
    ".w{stroke-width:1.5;opacity:.9}"
    ".h,.c{paint-order:stroke;stroke:#fff;stroke-width:3px;stroke-linejoin:round}"
    ".e{text-anchor:end}.h,.s,.f{text-anchor:middle}"
)


def draw(call: CallPicture) -> str:
    """The picture as an SVG document. The same call always gives the same text; times outside the call stretch it."""
    end_ms = _end_of(call)
    states = sorted({span.state for ribbon in call.ribbons for span in ribbon.spans})
    classes = {state: f"q{number}" for number, state in enumerate(states)}
    head, top = _head(call, end_ms)
    rows: list[_Row] = []
    for scale in _scales(end_ms):
        rows.append(_row(call, scale, top))
        top = rows[-1].bottom + _BETWEEN
    body = [part for row in rows for part in _drawn(row, call, classes)]
    named = {bar.span.state for row in rows for ribbon in call.ribbons for bar in _bars(ribbon, row.scale) if bar.named}
    legend, top = _legend([state for state in states if state not in named], classes, top)
    height = round(top)
    return "\n".join(
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}" role="img">',
            f"<title>{escaped(call.title)}</title>",
            f"<style>{_STYLE}{''.join(_rule(state, name) for state, name in classes.items())}</style>",
            '<defs><pattern id="held" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">'
            '<rect width="6" height="6" fill="#fdf0cf"/><rect width="2.5" height="6" fill="#f1c969"/></pattern></defs>',
            f'<rect x=".5" y=".5" width="{WIDTH - 1}" height="{height - 1}" rx="12" fill="#fff" stroke="#d5dbe3"/>',
            *head,
            *body,
            *legend,
            "</svg>\n",
        )
    )


def read_stereo(path: Path | str) -> tuple[bytes, bytes]:
    """The caller's (left) and the agent's (right) sound of a call's WAV; ValueError says what is wrong with another file."""
    try:
        with wave.open(str(path), "rb") as file:
            shape = (file.getnchannels(), 8 * file.getsampwidth(), file.getframerate())
            frames = file.readframes(file.getnframes())
    except (wave.Error, EOFError) as error:
        raise ValueError(f"{path} is no WAV file ({str(error) or 'it ends too soon'}): give the call.wav of a call") from error
    if shape != (2, 16, RATE_HZ):
        found = "{} channel(s) of {} bits at {} Hz".format(*shape)
        raise ValueError(f"{path} has {found}: give a call.wav, which has 2 channels of 16 bits at {RATE_HZ} Hz")
    sides = np.frombuffer(frames[: len(frames) // 4 * 4], dtype="<i2").reshape(-1, 2)
    return sides[:, 0].tobytes(), sides[:, 1].tobytes()


def _end_of(call: CallPicture) -> float:
    """Where the picture ends: with the call, or with whatever came after it."""
    times = [call.duration_ms, *(marker.at_ms for marker in call.markers), *(said.end_ms for said in call.said)]
    times += [span.end_ms for ribbon in call.ribbons for span in ribbon.spans]
    times += [len(pcm) / 2 * 1000 / RATE_HZ for pcm in (call.caller, call.agent)]
    return max(0.0, *times)


def _scales(end_ms: float) -> list[Scale]:
    """One row for a short call; else rows of a minute, all on one scale, or of more minutes when there would be too many."""
    if end_ms <= _ONE_ROW_MS:
        return [Scale(0, max(end_ms, _LEAST_MS), end_ms, _LEFT, _RIGHT)]
    row_ms = _ROW_MS * math.ceil(end_ms / _ROW_MS / _ROWS)
    return [Scale(row * row_ms, (row + 1) * row_ms, end_ms, _LEFT, _RIGHT) for row in range(math.ceil(end_ms / row_ms))]


def _head(call: CallPicture, end_ms: float) -> tuple[list[str], float]:
    """The title, the call's length and the figures; and where what follows may begin."""
    room = _RIGHT - _EDGE
    parts = [
        f'<text class="t" x="{_EDGE}" y="46">{escaped(elided(clean(call.title), (room - 130) / BOLD, 21))}</text>',
        f'<text class="k e" x="{_RIGHT}" y="46">{clock(end_ms, precise=True)}</text>',
    ]
    x, y = float(_EDGE), 80.0
    for name, value in ((clean(name), clean(value)) for name, value in call.figures):
        width = min(max(width_of(name, 11), width_of(value, 16) * BOLD), room)
        if x > _EDGE and x + width > _RIGHT:
            x, y = float(_EDGE), y + 50
        if x > _EDGE:
            parts.append(f'<path class="b" d="M{n(x - 18)} {n(y - 10)}v34"/>')
        parts += [
            f'<text class="k" x="{n(x)}" y="{n(y)}">{escaped(elided(name, room, 11))}</text>',
            f'<text class="v" x="{n(x)}" y="{n(y + 22)}">{escaped(elided(value, room / BOLD, 16))}</text>',
        ]
        x += width + 36
    return parts, (y + 22 if call.figures else 46) + 30


def _rule(state: str, name: str) -> str:
    """The style of a state's bars and of the text on them."""
    paint = paint_of(state)
    return f"rect.{name}{{fill:{'url(#held)' if paint.hatched else paint.fill}}}text.{name}{{fill:{paint.ink}}}"


def _legend(states: Sequence[str], classes: dict[str, str], top: float) -> tuple[list[str], float]:
    """The states whose bars are too narrow for their names, by colour; and where the picture ends."""
    shown: dict[Paint, list[str]] = {}
    for state in states:
        shown.setdefault(paint_of(state), []).append(state)
    parts: list[str] = []
    x = float(_LEFT)
    for alike in shown.values():
        text = elided(clean(" \u00b7 ".join(alike)), _RIGHT - _LEFT - 18, 11)
        width = 18 + width_of(text, 11)
        if x + width > _RIGHT:
            x, top = float(_LEFT), top + 20
        parts.append(f'<rect class="{classes[alike[0]]}" x="{n(x)}" y="{n(top - 9)}" width="12" height="11" rx="2"/>')
        parts.append(f'<text class="k" x="{n(x + 18)}" y="{n(top)}">{escaped(text)}</text>')
        x += width + 22
    return parts, top + (26 if states else 0)


@attrs.frozen
class _Row:
    """One row of the picture: what is on it, and the y of its axis, of each side's middle and of its first ribbon."""

    scale: Scale
    flags: tuple[tuple[Marker, Flag | None], ...]
    captions: dict[str, tuple[Caption, ...]]
    axis: float
    middle: dict[str, float]
    ribbons: float
    bottom: float


def _row(call: CallPicture, scale: Scale, top: float) -> _Row:
    """Choose what belongs on a row that begins at `top`, and give it its place."""
    markers = sorted((marker for marker in call.markers if scale.holds(marker.at_ms)), key=_time_of)
    flags = place_flags([(scale.x(marker.at_ms), width_of(_label(marker), _FLAG_TEXT) * BOLD + 12) for marker in markers], _RIGHT)
    captions = {side: _captions(call.said, side, scale) for side in SIDES}
    lines = {side: max((len(caption.lines) for caption in captions[side]), default=0) for side in SIDES}
    axis = top + _FLAG * (1 + max((flag.level for flag in flags if flag), default=-1)) + 14
    caller = axis + 16 + lines["caller"] * _CAPTION + _HALF
    agent = caller + 2 * _HALF + 8
    ribbons = agent + _HALF + 14 + lines["agent"] * _CAPTION
    middle = {"caller": caller, "agent": agent}
    return _Row(scale, tuple(zip(markers, flags, strict=True)), captions, axis, middle, ribbons, ribbons + _LANE * len(call.ribbons))


def _time_of(marker: Marker) -> float:
    return marker.at_ms


def _label(marker: Marker) -> str:
    return elided(clean(marker.label or marker.kind), 220, _FLAG_TEXT)


def _captions(said: Iterable[Said], side: str, scale: Scale) -> tuple[Caption, ...]:
    """The captions of one side; one that runs over a row's end is on the row that has its middle."""
    mine = (one for one in said if one.who == side and scale.holds((one.start_ms + one.end_ms) / 2))
    spoken = [(scale.x(one.start_ms), scale.x(one.end_ms), clean(one.text)) for one in mine]
    return place_captions(spoken, _LEFT, _RIGHT, _CAPTION_TEXT)


def _drawn(row: _Row, call: CallPicture, classes: dict[str, str]) -> list[str]:
    """The row's elements, from the back to the front."""
    parts, names = _grid(row), []
    for side, pcm in (("caller", call.caller), ("agent", call.agent)):
        parts += [*_spoken(row, call.said, side), *_sound(row, side, pcm)]
    for number, ribbon in enumerate(call.ribbons):
        bars, named = _ribbon(row, ribbon, row.ribbons + number * _LANE, classes)
        parts += bars
        names += named
    return [*parts, *_poles(row), *names, *_times(row), *_written(row), *_flags(row)]


def _ticks(row: _Row) -> list[int]:
    """The times of the axis, a round number of seconds apart, up to the call's end."""
    scale = row.scale
    step_ms = next(step for step in (1_000, 2_000, 5_000, 10_000, 15_000, 30_000, 60_000) if scale.px(step) >= 50 or step == 60_000)
    return list(range(int(scale.start_ms), int(scale.until_ms) + 1, step_ms))


def _grid(row: _Row) -> list[str]:
    """The axis, and a faint line down from each time."""
    lines = "".join(f"M{n(row.scale.x(at))} {n(row.axis + 5)}V{n(row.bottom)}" for at in _ticks(row))
    return [
        f'<path class="g" d="{lines}"/>',
        f'<path class="b" d="M{_LEFT} {n(row.axis + 5)}H{n(row.scale.x(row.scale.until_ms))}"/>',
    ]


def _times(row: _Row) -> list[str]:
    return [f'<text class="m h" x="{n(row.scale.x(at))}" y="{n(row.axis)}">{clock(at)}</text>' for at in _ticks(row)]


def _spoken(row: _Row, said: Iterable[Said], side: str) -> list[str]:
    """A tint behind the sound of each thing said, with its words as a tooltip."""
    return [
        f'<rect x="{n(row.scale.x(one.start_ms))}" y="{n(row.middle[side] - _HALF)}" height="{2 * _HALF}" rx="3" fill="{SIDES[side]}"'
        f' width="{n(max(1, row.scale.x(one.end_ms) - row.scale.x(one.start_ms)))}" fill-opacity=".07">'
        f"<title>{side} {_stretch(one.start_ms, one.end_ms)}: {escaped(one.text)}</title></rect>"
        for one in said
        if one.who == side and row.scale.meets(one.start_ms, one.end_ms)
    ]


def _sound(row: _Row, side: str, pcm: bytes) -> list[str]:
    """A side's name, its level, and its envelope: the peak pale, the RMS dark; the lower half mirrors the upper."""
    y, colour, scale = row.middle[side], SIDES[side], row.scale
    samples = np.frombuffer(pcm, dtype="<i2")
    loudest = max(int(samples.max(initial=0)), -int(samples.min(initial=0))) / 32_768
    level = f"peak {_decibels(loudest)} dBFS" if loudest else "no sound"
    column = 1 if scale.call_ms <= _FINE_MS else 2
    peak, rms = envelope(pcm, RATE_HZ, scale.start_ms, column / scale.px(1), int(scale.x(scale.until_ms) - _LEFT) // column + 1)
    tall = 2 * _HALF / max(loudest, _LEAST_PEAK)
    paths = [(outline(np.rint(heights * tall).astype(np.int64)), opacity) for heights, opacity in ((peak, ".38"), (rms, "1"))]
    half = f"{side}{scale.start_ms:.0f}"
    return [
        f'<text class="n" x="{_EDGE}" y="{n(y)}">{side}</text>',
        f'<text class="m" x="{_EDGE}" y="{n(y + 14)}">{level}</text>',
        f'<path class="b" d="M{_LEFT} {n(y)}H{n(scale.x(scale.until_ms))}"/>',
        f'<g transform="translate({_LEFT} {n(y)})" fill="{colour}"><g id="{half}" transform="scale({column} .5)">',
        *(f'<path fill-opacity="{opacity}" d="{path}"/>' for path, opacity in paths if path),
        f'</g><use href="#{half}" transform="scale(1 -1)"/></g>',
    ]


def _decibels(loudness: float) -> str:
    return f"{round(20 * math.log10(loudness))}".replace("-", "\u2212")


@attrs.frozen
class _Bar:
    """The part of a span that is on a row: its place, and whether the state's name fits on it."""

    span: Span
    x: float
    width: float
    named: bool


def _bars(ribbon: Ribbon, scale: Scale) -> list[_Bar]:
    """A ribbon's bars on a row; the narrowest last, so that nothing hides them."""
    bars = []
    for span in ribbon.spans:
        if not scale.meets(span.start_ms, span.end_ms):
            continue
        x = scale.x(span.start_ms)
        width = scale.x(span.end_ms) - x
        bars.append(_Bar(span, x, max(width - 0.8, 1.2), width_of(clean(span.state), _STATE_TEXT) + 8 <= width))
    return sorted(bars, key=_narrowness)


def _narrowness(bar: _Bar) -> float:
    return -bar.width


def _ribbon(row: _Row, ribbon: Ribbon, top: float, classes: dict[str, str]) -> tuple[list[str], list[str]]:
    """A region's name and its states as bars; and the states' names, which lie over the poles."""
    title = escaped(elided(clean(ribbon.name), (_LEFT - _EDGE - 8) / BOLD, 12))
    bars = [f'<text class="n" x="{_EDGE}" y="{n(top + 13)}">{title}</text>', f'<g transform="translate(0 {n(top)})">']
    names = []
    for bar in _bars(ribbon, row.scale):
        state, name, corner = escaped(bar.span.state), classes[bar.span.state], ' rx="2"' if bar.width > 5 else ""
        bars.append(
            f'<rect class="{name}" x="{n(bar.x)}" width="{n(bar.width)}" height="{_BAR}"{corner}>'
            f"<title>{state} {_stretch(bar.span.start_ms, bar.span.end_ms)}</title></rect>"
        )
        if bar.named:
            names.append(f'<text class="s {name}" x="{n(bar.x + bar.width / 2)}" y="{n(top + 12.5)}">{state}</text>')
    return [*bars, "</g>"], names


def _poles(row: _Row) -> list[str]:
    """A line through all lanes for each marker, from its flag down; the strong ones over the others."""
    parts = []
    for marker, flag in sorted(row.flags, key=_strength):
        top = _flag_top(row, flag) if flag else row.axis + 5
        paint, x = flag_of(marker.kind), n(row.scale.x(marker.at_ms))
        weight = "w" if paint.strong else "p"
        parts.append(
            f'<path class="{weight}" stroke="{paint.line}" d="M{x} {n(top)}V{n(row.bottom)}"><title>{_told(marker)}</title></path>'
        )
    return parts


def _strength(flown: tuple[Marker, Flag | None]) -> bool:
    return flag_of(flown[0].kind).strong


def _flags(row: _Row) -> list[str]:
    """The markers' flags, and how many markers have none for want of room."""
    parts = []
    for marker, flag in ((marker, flag) for marker, flag in row.flags if flag):
        paint, top = flag_of(marker.kind), _flag_top(row, flag)
        parts.append(
            f'<g><title>{_told(marker)}</title><rect x="{n(flag.left)}" y="{n(top)}" width="{n(flag.width)}" height="{_FLAG_H}" rx="2.5"'
            f' fill="{paint.fill}" stroke="{paint.line}"/>'
            f'<text class="f" x="{n(flag.left + flag.width / 2)}" y="{n(top + 11.7)}" style="fill:{paint.ink}">'
            f"{escaped(_label(marker))}</text></g>"
        )
    bare = sum(flag is None for _, flag in row.flags)
    return [*parts, *([f'<text class="m" x="{_EDGE}" y="{n(row.axis)}">+{bare} without a flag</text>'] if bare else [])]


def _flag_top(row: _Row, flag: Flag) -> float:
    return row.axis - 14 - _FLAG * (flag.level + 1)


def _written(row: _Row) -> list[str]:
    """The captions: the caller's stand on their sound, the agent's hang under theirs."""
    parts = []
    for side in SIDES:
        for caption in row.captions[side]:
            over = row.middle[side] - _HALF - 5 - _CAPTION * (len(caption.lines) - 1)
            first = over if side == "caller" else row.middle[side] + _HALF + 14
            parts += [
                f'<text class="c {side}" x="{n(caption.left)}" y="{n(first + number * _CAPTION)}">{escaped(line)}</text>'
                for number, line in enumerate(caption.lines)
            ]
    return parts


def _told(marker: Marker) -> str:
    """A marker's tooltip."""
    words = [marker.kind, *(word for word in (marker.label, marker.detail) if word and word != marker.kind)]
    return f"{marker.at_ms / 1000:.3f} s {escaped(': '.join(words))}"


def _stretch(start_ms: float, end_ms: float) -> str:
    return f"{start_ms / 1000:.3f}\u2013{end_ms / 1000:.3f} s, {end_ms - start_ms:.0f} ms"
