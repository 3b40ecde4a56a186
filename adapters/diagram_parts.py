"""A region's table as a picture: what its edges say, and the same edges in Graphviz DOT and in Mermaid; it decides nothing of a call.

Only rows that enter a state are edges. Rows between the same states share one label, sources that share a label share its box, and what
ends a region from each of its living states is one edge from the frame around them. Log effects are left out: they move nothing.
"""

import textwrap
from collections.abc import Callable, Iterable
from html import escape
from typing import Any, get_type_hints

import attrs
from graphviz import Digraph

from fsm.call.effects import Effect, Log
from fsm.engine.notation import Region, Row, State

INK, GUARD, EFFECT, LIMIT, LINE, FRAME = "#1f2937", "#7c3aed", "#0f766e", "#b45309", "#64748b", "#cbd5e1"
"""Colours: text, guards, effects, deadlines, edges, the frame around the living states."""
FILL = {"starts": ("#e0ecff", "#2563eb"), "waits": ("#fff7e6", "#d97706"), "stays": ("#ffffff", "#64748b"), "ends": ("#e5e7eb", "#6b7280")}
"""The fill and the border of a state: where a call starts, where a deadline runs, where none runs, what nothing leaves."""
FONT = "Arial"
"""Its widths are those of Helvetica and Liberation Sans, so that a label fits its box on every machine."""
NARROW = 34
"""Longer lists of events are broken (characters)."""
FEW = 2
"""An edge from more sources than this is drawn from the first one; the label names the others."""
WIDE = 46
"""Longer lines of a label are broken before their effects (characters)."""


@attrs.frozen
class Line:
    """One line of a label: the events that it is about, the guard's name (empty for none), the names of the effects."""

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
    starts: tuple[State, ...]
    living: tuple[State, ...]
    edges: tuple[Edge, ...]
    """Edges between states, neither of the other two kinds."""
    restarts: tuple[Edge, ...]
    """Edges from a state to itself: its deadline starts anew."""
    endings: tuple[Edge, ...]
    """Edges to an end, on events that end every living state; the sources of those to one end are all living states together."""


def drawing(region: Region, starts: Iterable[State]) -> Drawing:
    """Lay out `region`, of which a call starts in one of `starts`."""
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
        tuple(starts),
        living,
        edges=_edges(region, [row for row in rows if row.then.target is not row.state and not ending(row)]),
        restarts=_edges(region, [row for row in rows if row.then.target is row.state]),
        endings=_edges(region, [row for row in rows if ending(row)]),
    )


def effect_name(make: Callable[..., Any]) -> str:
    """The name of the effect that `make` makes: its return type, or its own name where that says nothing."""
    made = get_type_hints(make).get("return")
    return made.__name__ if isinstance(made, type) and issubclass(made, Effect) else make.__name__


def _ending_events(region: Region, end: State, living: tuple[State, ...]) -> set[type]:
    """The events on which every living state has a row to `end`."""
    leading = [{row.on for row in region.rows if row.state is state and row.then.target is end} for state in living]
    return set.intersection(*leading) if leading else set()


def _condition(region: Region, row: Row) -> str:
    """The guard's name; `else` for a row without one that stands under a row of the same event with one."""
    if not row.unconditional:
        return row.guard.__name__
    under = any(other.state is row.state and other.on is row.on and not other.ignores for other in region.rows[: region.rows.index(row)])
    return "else" if under else ""


def _edges(region: Region, rows: list[Row]) -> tuple[Edge, ...]:
    """Rows merged: events of one guard and effect into a line, lines of one way into an edge, sources of one label into one edge."""
    ways: dict[tuple[State, State], dict[tuple[str, tuple[str, ...]], list[str]]] = {}
    for row in rows:
        assert row.then.target is not None
        effects = tuple(name for name in map(effect_name, row.then.effects) if name != Log.__name__)
        lines = ways.setdefault((row.state, row.then.target), {})
        lines.setdefault((_condition(region, row), effects), []).append(row.on.__name__)
    labels: dict[tuple[State, tuple[Line, ...]], list[State]] = {}
    for (source, target), lines in ways.items():
        label = tuple(Line(tuple(events), guard, effects) for (guard, effects), events in lines.items())
        labels.setdefault((target, label), []).append(source)
    return tuple(Edge(tuple(sources), target, lines) for (target, lines), sources in labels.items())


# Graphviz.


def dot(drawn: Drawing) -> str:
    """The region's diagram in DOT."""
    graph = Digraph(drawn.region.name, comment=drawn.region.doc)
    graph.attr(compound="true", newrank="true", nodesep="0.3", ranksep="0.22", bgcolor="white", pad="0.25", fontname=FONT, fontcolor=INK)
    graph.attr(label=_title(drawn.region), labelloc="t", labeljust="l", tooltip=drawn.region.doc)
    graph.attr("node", fontname=FONT, fontsize="12", fontcolor=INK, shape="box")
    graph.attr("edge", color=LINE, penwidth="1.2", arrowsize="0.75")
    ends = [state for state in drawn.region.states if state not in drawn.living]
    with graph.subgraph(name="cluster_living") as frame:
        frame.attr(label="", style="rounded", color=FRAME, penwidth="1.2" if drawn.endings else "0", margin="14", tooltip="")
        for state in drawn.living:
            _state(frame, drawn, state)
        for state in drawn.starts:
            frame.node(f"start_{state.name}", label="", shape="circle", width="0.14", style="filled", fillcolor=INK, color=INK, tooltip="start")
            frame.edge(f"start_{state.name}", state.name)
        inside = [edge for edge in drawn.edges if edge.target in drawn.living]
        for number, edge in enumerate(inside):
            _edge(frame, drawn, edge, f"way_{number}")
    for state in ends:
        _state(graph, drawn, state)
    for number, edge in enumerate(edge for edge in drawn.edges if edge.target not in drawn.living):
        _edge(graph, drawn, edge, f"out_{number}")
    for number, (target, edges) in enumerate(_by_target(drawn.endings).items()):
        _ending(graph, drawn, target, edges, f"end_{number}")
    return str(graph.source)


def _title(region: Region) -> str:
    """The region's name and purpose, and how to read a label."""
    name = f'<FONT POINT-SIZE="15"><B>{escape(region.name)}</B></FONT>'
    doc = f'<FONT POINT-SIZE="12" COLOR="{LINE}">    {escape(region.doc)}</FONT>'
    key = f'<B>Event</B> <FONT COLOR="{GUARD}">[guard]</FONT> <FONT COLOR="{EFFECT}">/ Effect</FONT>    <FONT COLOR="{LIMIT}">deadline</FONT>'
    lines = (f"{name}{doc}", f'<FONT POINT-SIZE="10">{key}</FONT>')
    rows = "".join(f'<TR><TD ALIGN="LEFT">{line}</TD></TR>' for line in lines)
    return f'<<TABLE BORDER="0" CELLBORDER="0" CELLSPACING="0" CELLPADDING="2">{rows}</TABLE>>'


def _state(graph: Any, drawn: Drawing, state: State) -> None:
    """A state: its name, its deadline, and what starts the deadline anew."""
    kind = "waits" if state.at_most else "stays"
    if not any(row.state is state and row.then.target for row in drawn.region.rows):
        kind = "ends"
    elif state in drawn.starts:
        kind = "starts"
    rows = [f'<TR><TD><FONT POINT-SIZE="13"><B>{escape(state.name)}</B></FONT></TD></TR>']
    if state.at_most:
        rows.append(f'<TR><TD><FONT POINT-SIZE="11" COLOR="{LIMIT}">{escape(limit_name(state))}</FONT></TD></TR>')
    for edge in drawn.restarts:
        if state in edge.sources:
            rows.append('<TR><TD><FONT POINT-SIZE="10.5">again on:</FONT></TD></TR>')
            rows += [f'<TR><TD><FONT POINT-SIZE="10.5">{line}</FONT></TD></TR>' for line in _html(edge.lines)]
    fill, border = FILL[kind]
    table = f'<<TABLE BORDER="0" CELLBORDER="0" CELLSPACING="0" CELLPADDING="1">{"".join(rows)}</TABLE>>'
    width = "2" if kind in ("starts", "waits") else "1.4"
    peripheries = "2" if kind == "ends" else "1"
    graph.node(
        state.name,
        label=table,
        style="rounded,filled",
        fillcolor=fill,
        color=border,
        penwidth=width,
        peripheries=peripheries,
        margin="0.12,0.06",
        tooltip=state.doc,
    )


def limit_name(state: State) -> str:
    """How long a state may last, by the names of the policy's settings."""
    assert state.at_most is not None
    name = state.at_most.__name__
    return "at once" if name.startswith("_") else f"\N{LESS-THAN OR EQUAL TO} {name}"


def _edge(graph: Any, drawn: Drawing, edge: Edge, name: str) -> None:
    """An edge by way of its label; one that leads back up is laid out from its target down, so that the states keep their order."""
    places = drawn.region.states.index
    back = all(places(edge.target) < places(source) for source in edge.sources)
    drawn_from, named = (edge.sources, ()) if len(edge.sources) <= FEW else (edge.sources[:1], edge.sources[1:])
    _label(graph, name, [*_html(edge.lines), *_named("also from ", named)])
    for source in drawn_from:
        if back:
            graph.edge(name, source.name, dir="none")
        else:
            graph.edge(source.name, name, dir="none")
    if back:
        graph.edge(edge.target.name, name, dir="back")
    else:
        graph.edge(name, edge.target.name)


def _ending(graph: Any, drawn: Drawing, target: State, edges: list[Edge], name: str) -> None:
    """The edges from the frame around the living states to an end, as one."""
    lines: list[str] = []
    for edge in edges:
        if len(edge.sources) < len(drawn.living):
            lines += _named("from ", edge.sources)
        lines += _html(edge.lines)
    _label(graph, name, lines)
    graph.edge(drawn.living[-1].name, name, dir="none", ltail="cluster_living")
    for state in ():
        graph.edge(state.name, name, style="invis", weight="0")
    graph.edge(name, target.name)


def _named(words: str, states: tuple[State, ...]) -> list[str]:
    """The names of states, as lines of a label."""
    parts = textwrap.wrap(words + ", ".join(state.name for state in states), WIDE - 10) if states else []
    return [f'<FONT COLOR="{LINE}"><I>{escape(part)}</I></FONT>' for part in parts]


def _label(graph: Any, name: str, lines: list[str]) -> None:
    rows = "".join(f'<TR><TD ALIGN="LEFT">{line}</TD></TR>' for line in lines)
    table = f'<<TABLE BORDER="0" CELLBORDER="0" CELLSPACING="0" CELLPADDING="1">{rows}</TABLE>>'
    graph.node(name, label=table, shape="plain", fontsize="11", tooltip="")


def _html(lines: Iterable[Line]) -> list[str]:
    """The lines of a label as Graphviz's HTML, a long one broken."""
    html: list[str] = []
    for line in lines:
        packed = textwrap.wrap(" or ".join(line.events), NARROW, break_long_words=False)
        *first, last = [" ".join(word if word == "or" else f"<B>{word}</B>" for word in part.split()) for part in packed]
        guard = f' <FONT COLOR="{GUARD}">[{line.guard}]</FONT>' if line.guard else ""
        effects = f'<FONT COLOR="{EFFECT}">/ {", ".join(line.effects)}</FONT>' if line.effects else ""
        html += first
        if effects and len(line.text) <= WIDE:
            html.append(f"{last}{guard} {effects}")
        else:
            html += [f"{last}{guard}", *([f"   {effects}"] if effects else [])]
    return html


def _by_target(edges: Iterable[Edge]) -> dict[State, list[Edge]]:
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
    lines += [f"{pad}[*] --> {state.name}" for state in drawn.starts]
    for edge in (*drawn.edges, *drawn.restarts):
        if edge.target in drawn.living:
            lines += _arrows(edge, pad)
    if drawn.endings:
        lines.append("    }")
    lines += [f"    {_described(state)}" for state in ends]
    for edge in drawn.edges:
        if edge.target not in drawn.living:
            lines += _arrows(edge, "    ")
    for target, edges in _by_target(drawn.endings).items():
        lines.append(f"    live --> {target.name} : {_joined(edges, drawn)}")
    lines += [f"    {state.name} --> [*]" for state in ends if not any(row.state is state and row.then.target for row in drawn.region.rows)]
    return "\n".join(lines) + "\n"


def _described(state: State) -> str:
    limit = f"<br/>{limit_name(state)}" if state.at_most else ""
    return f"{state.name} : {state.name}{limit}"


def _arrows(edge: Edge, pad: str) -> list[str]:
    label = "<br/>".join(line.text for line in edge.lines)
    return [f"{pad}{source.name} --> {edge.target.name} : {label}" for source in edge.sources]


def _joined(edges: list[Edge], drawn: Drawing) -> str:
    parts: list[str] = []
    for edge in edges:
        if len(edge.sources) < len(drawn.living):
            parts.append(f"from {', '.join(state.name for state in edge.sources)}")
        parts += [line.text for line in edge.lines]
    return "<br/>".join(parts)
