"""The picture of a call: one self-contained SVG of both sides' sound, what was said, what happened and each region's states.

It draws plain data and decides nothing; it knows no event, no effect and no port. Times are in ms from the call's start.
"""

import math
import wave
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from adapters.seam.ports import RATE_HZ
from adapters.telling.picture.data import CallPicture
from adapters.telling.picture.parts import Scale
from adapters.telling.picture.rows import Row, bars_of, drawn, row_of
from adapters.telling.picture.style import EDGE, LEFT, RIGHT, STYLE, WIDTH, Paint, paint_of
from adapters.telling.picture.text import BOLD, clean, clock, elided, escaped, n, width_of

_LEAST_MS = 2_000  # a shorter call is not stretched over the whole width
_ONE_ROW_MS = 90_000  # the longest call that is drawn in one row
_ROW_MS = 60_000
_ROWS = 20  # a call of more than so many minutes gets longer rows, not more
_BETWEEN = 34
_SEEN = 2.0  # a state that is nowhere so wide has its name in its tooltip alone


def draw(call: CallPicture) -> str:
    """The picture as an SVG document. The same call always gives the same text; times outside the call stretch it."""
    end_ms = _end_of(call)
    states = sorted({span.state for ribbon in call.ribbons for span in ribbon.spans})
    classes = {state: f"q{number}" for number, state in enumerate(states)}
    head, top = _head(call, end_ms)
    rows: list[Row] = []
    for scale in _scales(end_ms):
        rows.append(row_of(call, scale, top))
        top = rows[-1].bottom + _BETWEEN
    body = [part for row in rows for part in drawn(row, call, classes)]
    bars = [bar for row in rows for ribbon in call.ribbons for bar in bars_of(ribbon, row.scale)]
    named = {bar.span.state for bar in bars if bar.named}
    seen = {bar.span.state for bar in bars if bar.width >= _SEEN}
    legend, top = _legend([state for state in states if state in seen - named], classes, top)
    height = round(top)
    return "\n".join(
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}" role="img">',
            f"<title>{escaped(call.title)}</title>",
            f"<style>{STYLE}{''.join(_rule(state, name) for state, name in classes.items())}</style>",
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
        return [Scale(0, max(end_ms, _LEAST_MS), end_ms, LEFT, RIGHT)]
    row_ms = _ROW_MS * math.ceil(end_ms / _ROW_MS / _ROWS)
    return [Scale(row * row_ms, (row + 1) * row_ms, end_ms, LEFT, RIGHT) for row in range(math.ceil(end_ms / row_ms))]


def _head(call: CallPicture, end_ms: float) -> tuple[list[str], float]:
    """The title, the call's length and the figures; and where what follows may begin."""
    room = RIGHT - EDGE
    parts = [
        f'<text class="t" x="{EDGE}" y="46">{escaped(elided(clean(call.title), (room - 130) / BOLD, 21))}</text>',
        f'<text class="k e" x="{RIGHT}" y="46">{clock(end_ms, precise=True)}</text>',
    ]
    x, y = float(EDGE), 80.0
    for name, value in ((clean(name), clean(value)) for name, value in call.figures):
        width = min(max(width_of(name, 11), width_of(value, 16) * BOLD), room)
        if x > EDGE and x + width > RIGHT:
            x, y = float(EDGE), y + 50
        if x > EDGE:
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
    """One line of the states whose bars are too narrow for their names, by colour; and where the picture ends."""
    shown: dict[Paint, list[str]] = {}
    for state in states:
        shown.setdefault(paint_of(state), []).append(state)
    parts: list[str] = []
    x = float(LEFT)
    for alike in shown.values():
        text = elided(clean(" \u00b7 ".join(alike)), RIGHT - LEFT - 18, 11)
        width = 18 + width_of(text, 11)
        if x + width <= RIGHT:
            parts.append(f'<rect class="{classes[alike[0]]}" x="{n(x)}" y="{n(top - 9)}" width="12" height="11" rx="2"/>')
            parts.append(f'<text class="k" x="{n(x + 18)}" y="{n(top)}">{escaped(text)}</text>')
            x += width + 22
    return parts, top + (26 if states else 0)
