"""What a drawn graph looks like, read from Graphviz's SVG: its arrows as points, where a number on each can be read, what can be confused.

Lengths are in points.
"""

import math
import re
from collections.abc import Iterator, Sequence
from functools import cache
from html import unescape
from itertools import combinations, dropwhile, pairwise

import attrs

Point = tuple[float, float]
Box = tuple[Point, Point]
"""The corner of the least values, and that of the greatest."""
STEP = 7.0
"""Arrows are followed in steps of about this length."""
CLOSE = 5.0
"""Two arrows nearer than this can be taken for one."""
ALONG = 18.0
"""Two that are that close for longer than this can be confused."""
FORK = 30.0
"""So near a state that they share, two may run together."""
RADIUS = 7.5
"""Of the circle around a number."""


@attrs.frozen
class Curve:
    """An arrow: the states or labels at its ends, its number (empty for none), and points along it."""

    ends: tuple[str, str]
    number: str
    points: tuple[Point, ...]
    box: Box


@attrs.frozen
class Badge:
    """A number on an arrow, at a place; is it so cramped that it touches a state, an arrowhead or another number?"""

    number: str
    at: Point
    cramped: bool


def curves(svg: str) -> tuple[Curve, ...]:
    """The arrows of a graph, in order."""
    found = []
    for edge in re.finditer(r'<g id="([^"]+)" class="edge">\s*<title>(.*?)</title>(.*?)</g>\s*(?=<|$)', svg, re.DOTALL):
        path = re.search(r'<path fill="none"[^>]* d="([^"]+)"', edge[3])
        if path is not None:
            tail, head = unescape(edge[2]).split("->")
            number = edge[1].removeprefix("way_") if edge[1].startswith("way_") else ""
            points = tuple(_followed(path[1]))
            found.append(Curve((tail, head), number, points, _box(points)))
    return tuple(found)


def crossings(arrows: tuple[Curve, ...]) -> int:
    """How often two arrows cross."""
    near = [(one, other) for one, other in combinations(arrows, 2) if _meet(one.box, other.box)]
    return sum(_cross(piece, other) for one, two in near for piece in pairwise(one.points) for other in pairwise(two.points))


def confusions(arrows: tuple[Curve, ...]) -> list[tuple[Curve, Curve]]:
    """The pairs of arrows of which an eye may leave one for the other: they run side by side, away from a state that they share."""
    near = [(one, other) for one, other in combinations(arrows, 2) if _meet(one.box, other.box, CLOSE)]
    return [(one, other) for one, other in near if _together(one, other) > ALONG]


@cache
def badges(svg: str) -> list[Badge]:
    """A place for the number of each arrow, away from states, other arrows and other numbers: on it, or beside one that is short."""
    arrows = curves(svg)
    boxes = list(_boxes(svg))
    placed: list[Badge] = []
    for arrow in sorted((arrow for arrow in arrows if arrow.number), key=_length):
        others = [point for other in arrows if other is not arrow and _meet(arrow.box, other.box, 2 * RADIUS) for point in other.points]
        best = max(_places(arrow), key=lambda place: _worth(place, others, boxes, placed))[0]
        placed.append(Badge(arrow.number, best, cramped=_room(best, boxes, placed) < RADIUS))
    return placed


def _room(at: Point, boxes: list[Box], placed: list[Badge]) -> float:
    """How large the circle around a number may be at a point."""
    apart = min((math.dist(at, badge.at) - RADIUS for badge in placed), default=math.inf)
    return min(apart, min((_outside(at, box) for box in boxes), default=math.inf))


def _places(arrow: Curve) -> Iterator[tuple[Point, float, bool]]:
    """The points along an arrow and close beside it, each with where it stands (0 to 1), and whether that is on the arrow."""
    pieces = list(pairwise(arrow.points))
    for number, ((x0, y0), (x1, y1)) in enumerate(pieces, start=1):
        share = (number - 0.5) / len(pieces)
        x, y, length = (x0 + x1) / 2, (y0 + y1) / 2, math.dist((x0, y0), (x1, y1)) or 1.0
        across = (RADIUS + 1.5) / length
        for side in (0, 1, -1):
            yield (x + side * across * (y1 - y0), y - side * across * (x1 - x0)), share, not side


def _worth(place: tuple[Point, float, bool], others: list[Point], boxes: list[Box], placed: list[Badge]) -> float:
    """How well a number can be read at a place."""
    at, share, on = place
    free = min((math.dist(at, other) for other in others), default=math.inf)
    return 4 * min(_room(at, boxes, placed), RADIUS + 2) + min(free, 2 * RADIUS) + 10 * min(share, 1 - share, 0.4) + 10 * on


def _outside(at: Point, box: Box) -> float:
    """How far a point is from a box; 0 inside."""
    return math.hypot(*(max(low - value, 0.0, value - high) for value, low, high in zip(at, *box, strict=True)))


def _length(arrow: Curve) -> float:
    return sum(math.dist(one, other) for one, other in pairwise(arrow.points))


def _together(one: Curve, other: Curve) -> float:
    """For how long two arrows run side by side at most; how they leave a state that they share, or come to it, does not count."""
    points = one.points
    for end in one.ends:
        points = _onward(points, other)[::-1] if end in other.ends else points[::-1]
    runs = [0.0]
    for before, at in pairwise(points):
        runs.append(runs[-1] + math.dist(before, at) if _near(at, other) else 0.0)
    return max(runs)


def _onward(points: tuple[Point, ...], other: Curve) -> tuple[Point, ...]:
    """The points from where an arrow has left another one."""
    return tuple(dropwhile(lambda at: math.dist(at, points[0]) < FORK or _near(at, other), points))


def _near(at: Point, other: Curve) -> bool:
    return any(math.dist(at, point) < CLOSE for point in other.points)


def _cross(one: tuple[Point, Point], other: tuple[Point, Point]) -> bool:
    (a, b), (c, d) = one, other
    if max(a[0], b[0]) < min(c[0], d[0]) or max(c[0], d[0]) < min(a[0], b[0]):
        return False
    return _side(a, b, c) * _side(a, b, d) < 0 and _side(c, d, a) * _side(c, d, b) < 0


def _side(a: Point, b: Point, c: Point) -> float:
    return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])


def _numbers(text: str) -> list[Point]:
    values = [float(value) for value in re.findall(r"-?\d+(?:\.\d+)?", text)]
    return list(zip(values[::2], values[1::2], strict=True))


def _followed(path: str) -> Iterator[Point]:
    """Points along a path of cubic curves."""
    knots = _numbers(path)
    yield knots[0]
    for i in range(0, len(knots) - 3, 3):
        a, b, c, d = knots[i : i + 4]
        steps = max(1, math.ceil((math.dist(a, b) + math.dist(b, c) + math.dist(c, d)) / STEP))
        for step in range(1, steps + 1):
            t, u = step / steps, 1 - step / steps
            x, y = (u**3 * a[i] + 3 * u * u * t * b[i] + 3 * u * t * t * c[i] + t**3 * d[i] for i in (0, 1))
            yield x, y


def _boxes(svg: str) -> Iterator[Box]:
    """The corners of what a number may not hide: states, labels, and the heads of arrows."""
    for thing in re.finditer(r'<g id="[^"]+" class="(node|edge)">(.*?)</g>\s*(?=<!--|<g id|</g>)', svg, re.DOTALL):
        shapes = re.findall(r' points="([^"]+)"' if thing[1] == "edge" else r' (?:d|points)="([^"]+)"', thing[2])
        if points := [point for shape in shapes for point in _numbers(shape)]:
            yield _box(points)


def _box(points: Sequence[Point]) -> Box:
    xs, ys = zip(*points, strict=True)
    return (min(xs), min(ys)), (max(xs), max(ys))


def _meet(one: Box, other: Box, margin: float = 0.0) -> bool:
    return all(one[0][i] <= other[1][i] + margin and other[0][i] <= one[1][i] + margin for i in (0, 1))
