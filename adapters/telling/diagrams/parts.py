"""What the picture of a region's table says: its states, its edges, their labels; and the same in Mermaid. It decides nothing of a call.

Only rows that enter a state are edges. Rows between the same states share one label, sources that share a label share an edge, and what
ends every living state of a region is one edge from the frame around them. Log effects are left out: they move nothing.
"""

import textwrap
from collections.abc import Callable, Iterable, Mapping
from typing import Any, get_args, get_origin, get_type_hints

import attrs

from fsm.call.effects import Effect, Log
from fsm.engine.notation import Region, Row, State

NARROW = 34
"""Longer lists of events are broken (characters)."""
FEW = 2
"""An edge from more sources than this is drawn from the first one; the label names the others."""


@attrs.frozen
class Line:
    """One line of a label: the events that it is about, the guard's name (empty for none), the effects and signals by name."""

    events: tuple[str, ...]
    guard: str
    effects: tuple[str, ...]

    @property
    def text(self) -> str:
        """`Event [guard] / Effect, Effect`."""
        guard = f" [{self.guard}]" if self.guard else ""
        effects = f" / {', '.join(self.effects)}" if self.effects else ""
        return " or ".join(self.events) + guard + effects


@attrs.frozen
class Edge:
    """Lines that lead from each of `sources` to `target`."""

    sources: tuple[State, ...]
    target: State
    lines: tuple[Line, ...]


@attrs.frozen
class Drawing:
    """A region laid out for drawing: the states inside the frame, the ends outside it, and the three kinds of edges."""

    region: Region
    starts: Mapping[State, str]
    """Where a call starts, and which call; that is empty where all start in one state."""
    living: tuple[State, ...]
    edges: tuple[Edge, ...]
    """Edges between states, neither of the other two kinds."""
    restarts: tuple[Edge, ...]
    """Edges from a state to itself: its deadline starts anew."""
    endings: tuple[Edge, ...]
    """Edges to an end, on events that end every living state; the sources of those to one end are all living states together."""


def drawing(region: Region, starts: Mapping[State, str]) -> Drawing:
    """Lay out `region`, of which a call starts in one of `starts`; each says which calls do."""
    ends: list[State] = []
    frames: dict[State, tuple[tuple[State, ...], set[type]]] = {}
    for state in reversed(region.states):
        living = tuple(other for other in region.states if other not in ends and other is not state)
        shared = _ending_events(region, state, living)
        if len(living) < 2 or not shared or any(row.then.target in living for row in region.rows if row.state is state):
            break
        ends.append(state)
        frames[state] = living, shared
    living = tuple(state for state in region.states if state not in ends)

    def ending(row: Row) -> bool:
        return row.state in living and row.then.target in frames and row.on in frames[row.then.target][1]

    rows = [row for row in region.rows if row.then.target is not None]
    return Drawing(
        region,
        starts,
        living,
        edges=_edges(region, [row for row in rows if row.then.target is not row.state and not ending(row)]),
        restarts=_edges(region, [row for row in rows if row.then.target is row.state]),
        endings=_by_line(_edges(region, [row for row in rows if ending(row)])),
    )


def told(edge: Edge) -> tuple[tuple[State, ...], tuple[State, ...]]:
    """The sources that an edge is drawn from, and those that its label names."""
    return (edge.sources, ()) if len(edge.sources) <= FEW else (edge.sources[:1], edge.sources[1:])


def named_after(words: str, states: tuple[State, ...], width: int = NARROW) -> list[str]:
    """The names of states after `words`, in lines; none for no states."""
    return textwrap.wrap(words + ", ".join(state.name for state in states), width) if states else []


def effect_name(make: Callable[..., Any]) -> str:
    """The name of the effect that `make` makes: its return type, or its own name where that says nothing."""
    made = get_type_hints(make).get("return")
    if get_origin(made) is tuple:
        made = get_args(made)[0]
    return made.__name__ if isinstance(made, type) and issubclass(made, Effect) and made is not Effect else make.__name__


def _ending_events(region: Region, end: State, living: tuple[State, ...]) -> set[type]:
    """The events on which every living state has a row to `end`."""
    leading = [{row.on for row in region.rows if row.state is state and row.then.target is end} for state in living]
    return set.intersection(*leading) if leading else set()


def _event_name(region: Region, row: Row) -> str:
    """The event's name; a family of which a row above answers some, and goes elsewhere, is `other`."""
    above = region.rows[: region.rows.index(row)]
    rest = any(
        other.state is row.state and other.unconditional and not other.ignores and issubclass(other.on, row.on) and other.then != row.then
        for other in above
    )
    return f"other {row.on.__name__}" if rest else row.on.__name__


def _condition(region: Region, row: Row) -> str:
    """The guard's name; `else` for a row without one that stands under a row of the same event with one."""
    if not row.unconditional:
        return row.guard.__name__
    under = any(
        other.state is row.state and issubclass(row.on, other.on) and not other.ignores for other in region.rows[: region.rows.index(row)]
    )
    return "else" if under else ""


def _edges(region: Region, rows: list[Row]) -> tuple[Edge, ...]:
    """Rows merged: events of one guard and effect into a line, lines of one way into an edge, sources of one label into one edge."""
    ways: dict[tuple[State, State], dict[tuple[str, tuple[str, ...]], list[str]]] = {}
    for row in rows:
        assert row.then.target is not None
        effects = tuple(name for name in map(effect_name, row.then.effects) if name != Log.__name__)
        effects += tuple(f"raises {signal.__name__}" for signal in row.then.signals)
        lines = ways.setdefault((row.state, row.then.target), {})
        lines.setdefault((_condition(region, row), effects), []).append(_event_name(region, row))
    labels: dict[tuple[State, tuple[Line, ...]], list[State]] = {}
    for (source, target), lines in ways.items():
        label = tuple(Line(tuple(events), guard, effects) for (guard, effects), events in lines.items())
        labels.setdefault((target, label), []).append(source)
    return tuple(Edge(tuple(sources), target, lines) for (target, lines), sources in labels.items())


def _by_line(edges: tuple[Edge, ...]) -> tuple[Edge, ...]:
    """The same edges with each line once: lines that hold in the same sources share an edge, those of the most sources first."""
    sources: dict[tuple[State, Line], list[State]] = {}
    for edge in edges:
        for line in edge.lines:
            sources.setdefault((edge.target, line), []).extend(edge.sources)
    lines: dict[tuple[State, tuple[State, ...]], list[Line]] = {}
    for (target, line), found in sources.items():
        lines.setdefault((target, tuple(found)), []).append(line)
    merged = [Edge(found, target, tuple(same)) for (target, found), same in lines.items()]
    return tuple(sorted(merged, key=lambda edge: -len(edge.sources)))


def limit_name(state: State) -> str:
    """How long a state may last, by the names of the policy's settings."""
    assert state.at_most is not None
    name = state.at_most.__name__
    return "at once" if name.startswith("_") else f"\N{LESS-THAN OR EQUAL TO} {name}"


def by_target(edges: Iterable[Edge]) -> dict[State, list[Edge]]:
    """The edges to each target, in order."""
    found: dict[State, list[Edge]] = {}
    for edge in edges:
        found.setdefault(edge.target, []).append(edge)
    return found


# Mermaid.


def mermaid(drawn: Drawing) -> str:
    """The region's diagram in Mermaid's stateDiagram-v2, as GitHub renders it."""
    lines = ["stateDiagram-v2", "    direction TB"]
    ends = [state for state in drawn.region.states if state not in drawn.living]
    pad = "        " if drawn.endings else "    "
    if drawn.endings:
        lines.append("    state live {")
    lines += [f"{pad}{_described(state)}" for state in drawn.living]
    lines += [f"{pad}[*] --> {state.name}{when and f' : {when}'}" for state, when in drawn.starts.items()]
    for edge in (*drawn.edges, *drawn.restarts):
        if edge.target in drawn.living:
            lines += _arrows(edge, pad)
    if drawn.endings:
        lines.append("    }")
    lines += [f"    {_described(state)}" for state in ends]
    for edge in drawn.edges:
        if edge.target not in drawn.living:
            lines += _arrows(edge, "    ")
    for target, edges in by_target(drawn.endings).items():
        lines.append(f"    live --> {target.name} : {_joined(edges, drawn)}")
    lines += [f"    {state.name} --> [*]" for state in ends if not any(row.state is state and row.then.target for row in drawn.region.rows)]
    return "\n".join(lines) + "\n"


def _described(state: State) -> str:
    limit = f"<br/>{limit_name(state)}" if state.at_most else ""
    return f"{state.name} : {state.name}{limit}"


def _arrows(edge: Edge, pad: str) -> list[str]:
    """The arrows of an edge: one from each source, or from the first one of many, with the others named."""
    sources, named = told(edge)
    label = "<br/>".join([*(line.text for line in edge.lines), *named_after("also from ", named)])
    return [f"{pad}{source.name} --> {edge.target.name} : {label}" for source in sources]


def _joined(edges: list[Edge], drawn: Drawing) -> str:
    parts: list[str] = []
    for edge in edges:
        if len(edge.sources) < len(drawn.living):
            parts += named_after("from ", edge.sources)
        parts += [line.text for line in edge.lines]
    return "<br/>".join(parts)
