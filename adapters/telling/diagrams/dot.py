"""The picture of a region in Graphviz's DOT: where things stand and which colours they have; what it says comes from `diagram_parts`."""

import textwrap
from collections.abc import Iterable
from html import escape
from typing import Any

from graphviz import Digraph

from adapters.telling.diagrams.parts import NARROW, Drawing, Edge, Line, by_target, limit_name, named_after, told
from fsm.engine.notation import Region, State

INK, GUARD, EFFECT, LIMIT, LINE, FRAME = "#1f2937", "#7c3aed", "#0f766e", "#b45309", "#64748b", "#cbd5e1"
"""Colours: text, guards, effects, deadlines, edges, the frame around the living states."""
FILL = {"starts": ("#e0ecff", "#2563eb"), "waits": ("#fff7e6", "#d97706"), "stays": ("#ffffff", "#64748b"), "ends": ("#e5e7eb", "#6b7280")}
"""The fill and the border of a state: where a call starts, where a deadline runs, where none runs, what nothing leaves."""
FONT = "Arial"
"""Its widths are those of Helvetica and Liberation Sans, so that a label fits its box on every machine."""
WIDE = 46
"""Longer lines of a label are broken before their effects (characters)."""


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
            frame.node(
                f"start_{state.name}", label="", shape="circle", width="0.14", style="filled", fillcolor=INK, color=INK, tooltip="start"
            )
            frame.edge(f"start_{state.name}", state.name)
        inside = [edge for edge in drawn.edges if edge.target in drawn.living]
        for number, edge in enumerate(inside):
            _edge(frame, drawn, edge, f"way_{number}")
    for state in ends:
        _state(graph, drawn, state)
    for number, edge in enumerate(edge for edge in drawn.edges if edge.target not in drawn.living):
        _edge(graph, drawn, edge, f"out_{number}")
    for number, (target, edges) in enumerate(by_target(drawn.endings).items()):
        _ending(graph, drawn, target, edges, f"end_{number}")
    return str(graph.source)


def _title(region: Region) -> str:
    """The region's name and purpose, and how to read a label."""
    name = f'<FONT POINT-SIZE="15"><B>{escape(region.name)}</B></FONT>'
    doc = f'<FONT POINT-SIZE="12" COLOR="{LINE}">    {escape(region.doc)}</FONT>'
    key = (
        f'<B>Event</B> <FONT COLOR="{GUARD}">[guard]</FONT> <FONT COLOR="{EFFECT}">/ Effect</FONT>    <FONT COLOR="{LIMIT}">deadline</FONT>'
    )
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


def _edge(graph: Any, drawn: Drawing, edge: Edge, name: str) -> None:
    """An edge by way of its label; one that leads back up is laid out from its target down, so that the states keep their order."""
    places = drawn.region.states.index
    back = all(places(edge.target) < places(source) for source in edge.sources)
    drawn_from, named = told(edge)
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
    graph.edge(name, target.name)


def _named(words: str, states: tuple[State, ...]) -> list[str]:
    """The names of states, as lines of a label."""
    return [f'<FONT COLOR="{LINE}"><I>{escape(part)}</I></FONT>' for part in named_after(words, states)]


def _label(graph: Any, name: str, lines: list[str]) -> None:
    rows = "".join(f'<TR><TD ALIGN="LEFT">{line}</TD></TR>' for line in lines)
    table = f'<<TABLE BORDER="0" CELLBORDER="0" CELLSPACING="0" CELLPADDING="1">{rows}</TABLE>>'
    graph.node(name, label=table, shape="plain", fontsize="11", tooltip="")


def _html(lines: Iterable[Line]) -> list[str]:
    """The lines of a label as Graphviz's HTML, a long one broken."""
    html: list[str] = []
    for line in lines:
        packed = textwrap.wrap(" or ".join(line.events), NARROW, break_long_words=False)
        *first, last = [" ".join(word if word in ("or", "other") else f"<B>{word}</B>" for word in part.split()) for part in packed]
        guard = f' <FONT COLOR="{GUARD}">[{line.guard}]</FONT>' if line.guard else ""
        effects = f'<FONT COLOR="{EFFECT}">/ {", ".join(line.effects)}</FONT>' if line.effects else ""
        html += first
        if effects and len(line.text) <= WIDE:
            html.append(f"{last}{guard} {effects}")
        else:
            html += [f"{last}{guard}", *([f"   {effects}"] if effects else [])]
    return html
