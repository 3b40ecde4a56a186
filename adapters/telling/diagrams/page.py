"""A region's diagram on a page: its name, its graph, the key to its numbers; laid out so that it fits A4 and nothing can be confused."""

import re
import shutil
import subprocess
import sysconfig
from collections.abc import Iterator
from functools import cache
from html import escape
from itertools import accumulate, product

import attrs

from adapters.telling.diagrams.curves import RADIUS, Badge, badges, confusions, crossings, curves
from adapters.telling.diagrams.dot import EFFECT, ENDS, FONT, GUARD, IN_KEY, INK, LIMIT, LINE, SMALL, Layout, dot, key
from adapters.telling.diagrams.parts import Drawing

A4_PT = (595 - 28, 842 - 28)
"""The sheet, upright, less the 5 mm at each edge that a printer leaves white."""
PROGRAM = "graphviz-pure"
"""Draws the same bytes on every platform, which a system's own `dot` does not."""
RENDER_S = 60
"""How long one drawing may take; one takes about 30 ms."""
HEAD = 40
"""The height of a region's name and what stands below it."""
GAP = 10
"""Between the graph and its key."""


class DiagramError(RuntimeError):
    """A diagram could not be drawn; the message says what to do."""


@attrs.frozen
class Picture:
    """Something that graphviz-pure drew: its size in points, and its SVG."""

    width: float
    height: float
    text: str


@attrs.frozen
class Page:
    """A diagram laid out: its size, the graph, and the key with its place."""

    width: float
    height: float
    graph: Picture
    key: tuple[tuple[float, float, Picture], ...] = ()
    """Each column with its place."""

    @property
    def over(self) -> float:
        """By how much it is too large for A4, upright or across: 0 for one that fits."""
        (short, long), (one, other) = A4_PT, sorted((self.width, self.height))
        return max(one - short, 0) + max(other - long, 0)


def svg(drawn: Drawing) -> str:
    """A region's diagram as SVG. Raises DiagramError where graphviz-pure is not installed."""
    name = drawn.region.name
    page = laid_out(drawn)
    parts = [_placed(0, HEAD, page.graph), *(_placed(*column) for column in page.key)]
    width, height = round(page.width), round(page.height)
    return "\n".join(
        (
            f'<svg width="{width}pt" height="{height}pt" viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg"'
            ' xmlns:xlink="http://www.w3.org/1999/xlink">',
            f"<title>{escape(name)}: {escape(drawn.region.doc)}</title>",
            '<rect width="100%" height="100%" fill="white"/>',
            f'<g font-family="{FONT}" fill="{INK}">',
            f'<text x="4" y="18" font-size="15"><tspan font-weight="bold">{escape(name)}</tspan>'
            f'<tspan dx="12" font-size="12" fill="{LINE}">{escape(drawn.region.doc)}</tspan></text>',
            f'<text x="4" y="36" font-size="{SMALL}"><tspan font-weight="bold">Event</tspan><tspan dx="3" fill="{GUARD}">[guard]</tspan>'
            f'<tspan dx="3" fill="{EFFECT}">/ Effect</tspan><tspan dx="12" fill="{LIMIT}">deadline</tspan></text>',
            "</g>",
            *parts,
            "</svg>\n",
        )
    ).replace(f'font-family="{FONT}"', f'font-family="{FONT},Helvetica,Liberation Sans,sans-serif"')


def laid_out(drawn: Drawing) -> Page:
    """The words on the ways where that fits and nothing can be confused; else numbers and a key, laid out in the clearest way that fits."""
    worded = _clearest(_pages(drawn, numbered=False))
    return _clearest(_pages(drawn, numbered=True)) if worded.over or _unclear(worded.graph.text)[0] else worded


def _clearest(pages: Iterator[Page]) -> Page:
    """Of those that fit, else of the one that nearly does; and of some that are equally clear the smallest."""
    by_size = sorted(pages, key=lambda page: (page.over, page.width * page.height))
    return min([page for page in by_size if not page.over] or by_size[:1], key=lambda page: _unclear(page.graph.text))


@cache
def _unclear(text: str) -> tuple[int, int, int]:
    """How many arrows of a graph can be confused, how many of their numbers touch something, and how many arrows cross."""
    arrows = curves(text)
    return len(confusions(arrows)), sum(badge.cramped for badge in badges(text)), crossings(arrows)


def _pages(drawn: Drawing, *, numbered: bool) -> Iterator[Page]:
    shapes = product((1, 2, 3), IN_KEY) if numbered else ()
    keys = [[_drawn(column) for column in key(drawn, *shape)] for shape in shapes]
    gaps = (0.4, 0.25, 0.18) if numbered else (0.22,)
    least = _head_width(drawn)
    for direction, gap, end in product(("TB", "LR"), gaps, ENDS if drawn.endings else ENDS[:1]):
        graph = _drawn(dot(drawn, Layout(direction, gap, numbered, end)))
        if not numbered:
            yield Page(max(least, graph.width), HEAD + graph.height, graph)
        for columns in keys:
            wide, high = sum(column.width + GAP for column in columns) - GAP, max(column.height for column in columns)
            below, right = HEAD + graph.height + GAP, graph.width + GAP
            yield Page(max(least, graph.width, wide), below + high, graph, _side_by_side(columns, 0, below))
            yield Page(max(least, right + wide), HEAD + max(graph.height, high), graph, _side_by_side(columns, right, HEAD))


def _side_by_side(columns: list[Picture], x: float, y: float) -> tuple[tuple[float, float, Picture], ...]:
    lefts = accumulate((column.width + GAP for column in columns), initial=x)
    return tuple((left, y, column) for left, column in zip(lefts, columns, strict=False))


def _head_width(drawn: Drawing) -> float:
    """The most that the name and the purpose may take."""
    return 16 + 9 * len(drawn.region.name) + 5.8 * len(drawn.region.doc)


def _drawn(source: str) -> Picture:
    text = _render(_program(), source)
    size = re.search(r'<svg width="(\d+)pt" height="(\d+)pt"', text)
    assert size is not None
    return Picture(float(size[1]), float(size[2]), text)


def _badge(badge: Badge) -> str:
    x, y = badge.at
    return (
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{RADIUS}" fill="white" stroke="{LINE}" stroke-width="0.8"/>'
        f'<text x="{x:.1f}" y="{y + 3.6:.1f}" text-anchor="middle" font-family="{FONT}" font-size="{SMALL}" fill="{INK}">'
        f"{badge.number}</text>\n"
    )


def _placed(x: float, y: float, picture: Picture) -> str:
    """A picture at its place, with its numbers on its ways."""
    text = picture.text
    inside = text[text.index("<g ") : text.rindex("</g>")] + "".join(map(_badge, badges(text))) + "</g>"
    inside = re.sub(r"<!--.*?-->\n?", "", inside, flags=re.DOTALL)
    return f'<g transform="translate({x:g} {y:g})">\n' + re.sub(r'<g id="[^"]+"', "<g", inside) + "\n</g>"


@cache
def _render(program: str, source: str) -> str:
    """What graphviz-pure makes of a graph."""
    run = subprocess.run([program, "-Tsvg"], input=source, capture_output=True, encoding="utf-8", timeout=RENDER_S, check=False)
    if run.returncode or "<svg" not in run.stdout:
        raise DiagramError(f"{PROGRAM} could not draw a graph: {run.stderr.strip() or f'exit code {run.returncode}'}")
    return run.stdout


def _program() -> str:
    """graphviz-pure beside this Python, or on the path."""
    found = shutil.which(PROGRAM, path=sysconfig.get_path("scripts")) or shutil.which(PROGRAM)
    if found is None:
        raise DiagramError(f"the diagrams are drawn by {PROGRAM}, which is not installed: pip install 'callfsm[tables]'")
    return found
