"""The trade-off as a picture: how soon an agent is silent for a caller, against how often it stops for what is none; a curve a system."""

import numpy as np

from adapters.telling.picture.style import STYLE
from adapters.telling.picture.text import escaped, n

from .ears_peers import Curve

WIDTH, HEIGHT = 760, 460
LEFT, RIGHT, TOP, BOTTOM = 64, 24, 84, 56
MOST_MS = 1_000
HALO = "paint-order:stroke;stroke:#fff;stroke-width:4px"
INKS = ("#14796f", "#3568d1", "#b4540a")


def draw(curves: list[Curve]) -> str:
    """The SVG document: the default of each system is a filled dot, its other settings are rings."""
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img">',
        f'<style>{STYLE}</style><rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>',
        f'<text class="t" x="{LEFT}" y="34">Silent for callers, and stopped by what is none</text>',
        f'<text class="k" x="{LEFT}" y="54">dots: defaults; rings: other least durations, in ms; beside: callers found</text>',
        *_axes(),
    ]
    labels: list[tuple[float, float]] = []
    for number, curve in enumerate(curves):
        parts += _curve(curve, INKS[number % len(INKS)], number, labels)
    return "\n".join([*parts, "</svg>\n"])


def _axes() -> list[str]:
    parts = []
    for percent in range(0, 101, 20):
        y = n(_y(percent))
        parts.append(
            f'<path class="b" d="M{LEFT} {y}H{WIDTH - RIGHT}"/><text class="k e" x="{LEFT - 8}" y="{n(_y(percent) + 4)}">{percent} %</text>'
        )
    for ms in range(0, MOST_MS + 1, 200):
        parts.append(f'<text class="k h" x="{n(_x(ms))}" y="{HEIGHT - BOTTOM + 18}">{ms}</text>')
    parts.append(f'<text class="k e" x="{WIDTH - RIGHT}" y="{HEIGHT - 14}">ms until the agent is silent for a caller (median)</text>')
    parts.append(f'<text class="k" x="{LEFT}" y="{TOP - 10}">of the sounds that are no interruption, so many stopped it for good</text>')
    return parts


def _curve(curve: Curve, ink: str, number: int, labels: list[tuple[float, float]]) -> list[str]:
    dots = []
    for setting, heard in sorted(curve.points.items()):
        wanted = [one for one in heard if one.scene.wanted]
        delays = [one.silent_ms for one in wanted if one.silent_ms is not None]
        unwanted = [one for one in heard if not one.scene.wanted]
        if delays and unwanted:
            cut = 100 * sum(one.cut for one in unwanted) / len(unwanted)
            found = 100 * sum(one.found for one in wanted) / len(wanted)
            dots.append((_x(float(np.median(delays))), _y(cut), setting, found))
    path = "L".join(f"{n(x)} {n(y)}" for x, y, _, _ in dots)
    parts = [f'<path d="M{path}" fill="none" stroke="{ink}" stroke-width="2"/>']
    for x, y, setting, found in dots:
        fill = ink if setting == curve.default else "#fff"
        parts.append(f'<circle cx="{n(x)}" cy="{n(y)}" r="5" fill="{fill}" stroke="{ink}" stroke-width="2"/>')
        at = y - 10
        while any(abs(at - other) < 13 and abs(x - beside) < 80 for beside, other in labels):
            at -= 13
        labels.append((x, at))
        parts.append(f'<text class="m" style="{HALO}" x="{n(x - 8)}" y="{n(at)}">{setting:g}: {found:.0f} %</text>')
    x = LEFT + 12
    y = TOP + 14 + 18 * number
    return [*parts, f'<circle cx="{x}" cy="{y - 4}" r="5" fill="{ink}"/><text class="n" x="{x + 12}" y="{y}">{escaped(curve.name)}</text>']


def _x(ms: float) -> float:
    return LEFT + (WIDTH - LEFT - RIGHT) * min(ms, MOST_MS) / MOST_MS


def _y(percent: float) -> float:
    return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * percent / 100
