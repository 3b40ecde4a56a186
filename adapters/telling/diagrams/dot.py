"""The picture of a region in Graphviz's DOT: where things stand and which colours they have; what it says comes from `diagram_parts`.

A way is what leads from states to a state. Its words stand on it, or it has a number and the words stand in a key of their own.
"""

import textwrap
from collections.abc import Iterable
from html import escape
from typing import Any

import attrs
from graphviz import Digraph

from adapters.telling.diagrams.parts import NARROW, Drawing, Line, by_target, limit_name, named_after, told
from fsm.engine.notation import State

INK, GUARD, EFFECT, LIMIT, LINE, FRAME = "#1f2937", "#7c3aed", "#0f766e", "#b45309", "#64748b", "#cbd5e1"
"""Colours: text, guards, effects, deadlines, edges, the frame around the living states."""
FILL = {"starts": ("#e0ecff", "#2563eb"), "waits": ("#fff7e6", "#d97706"), "stays": ("#ffffff", "#64748b"), "ends": ("#e5e7eb", "#6b7280")}
"""The fill and the border of a state: where a call starts, where a deadline runs, where none runs, what nothing leaves."""
FONT = "Arial"
"""Its widths are those of Helvetica and Liberation Sans, so that a label fits its box on every machine."""
Widths = tuple[int, int]
"""Longer lists of events and of states are broken, and longer lines before their effects (characters)."""
ON_WAY: Widths = (NARROW, 46)
IN_KEY: tuple[Widths, ...] = ((46, 54), (42, 48))
ENDS = ("beside", "behind the last", "behind all")
"""Where an end may stand."""
SMALL = 10
"""The smallest type, in points."""


@attrs.frozen
class Layout:
    """One way of laying a region out: downwards (TB) or to the right (LR), with how much between two rows of states (inches).

    Are ways numbered? Where does the end stand: beside the first state, behind the last one, or behind all?
    """

    direction: str
    gap: float
    numbered: bool
    end: str


@attrs.frozen
class Way:
    """An arrow to `target` from each of `sources`, or from the frame around all living states; and its words, in Graphviz's HTML."""

    sources: tuple[State, ...]
    target: State
    lines: tuple[str, ...]
    of_frame: bool = False


def ways(drawn: Drawing, widths: Widths = ON_WAY) -> tuple[Way, ...]:
    """The ways of a region, in the order of the states that they leave and enter; those from the frame last. Their lines have `widths`."""
    place = drawn.region.states.index
    found = []
    for edge in sorted(drawn.edges, key=lambda edge: (place(edge.sources[0]), place(edge.target))):
        sources, named = told(edge)
        found.append(Way(sources, edge.target, (*_html(edge.lines, widths), *_named("also from ", named, widths))))
    for target, edges in by_target(drawn.endings).items():
        lines: list[str] = []
        for edge in edges:
            if len(edge.sources) < len(drawn.living):
                lines += _named("from ", edge.sources, widths)
            lines += _html(edge.lines, widths)
        found.append(Way(drawn.living, target, tuple(lines), of_frame=True))
    return tuple(found)


def dot(drawn: Drawing, layout: Layout) -> str:
    """The region's graph in DOT. The arrows of a numbered way have its number as their id: `way_3`."""
    graph = Digraph(drawn.region.name, comment=drawn.region.doc)
    graph.attr(compound="true", newrank="true", rankdir=layout.direction, bgcolor="white", pad="0.02")
    graph.attr(nodesep="0.2", ranksep=str(layout.gap), fontname=FONT, fontcolor=INK, tooltip=drawn.region.doc)
    graph.attr("node", fontname=FONT, fontsize="11", fontcolor=INK, shape="box", height="0.3", width="0.3")
    graph.attr("edge", fontname=FONT, fontsize=str(SMALL), fontcolor=LINE, color=LINE, penwidth="1.2", arrowsize="0.75")
    frame = Digraph("cluster_living")
    frame.attr(label="", style="rounded", color=FRAME, penwidth="1.2" if drawn.endings else "0", margin="7", tooltip="")
    for state in drawn.living:
        _state(frame, drawn, state, layout)
    for start, when in drawn.starts.items():
        name = f"start_{start.name}"
        with frame.subgraph(graph_attr={} if when or not layout.numbered else {"rank": "same"}) as row:
            row.node(name, label="", shape="circle", width="0.14", height="0.14", style="filled", fillcolor=INK, color=INK, tooltip="start")
            row.edge(name, start.name, label=f" {when}" if when else "")
    for state in (state for state in drawn.region.states if state not in drawn.living):
        _state(graph, drawn, state, layout)
    for number, way in enumerate(ways(drawn), start=1):
        draw = _numbered if layout.numbered else _worded
        draw(frame if way.target in drawn.living else graph, drawn, way, f"way_{number}", layout)
    if layout.end == "behind all":
        # no line that is seen: they keep the end behind all states
        for state in _leaves(drawn):
            graph.edge(state.name, drawn.region.states[-1].name, style="invis", weight="0")
    graph.subgraph(frame)
    return str(graph.source)


def key(drawn: Drawing, columns: int, widths: Widths) -> list[str]:
    """The words of the numbered ways, and what starts a deadline anew, in DOT: tables of about one height, a graph each."""
    entries = [(f"<B>{number}</B>", way.lines) for number, way in enumerate(ways(drawn, widths), start=1)]
    for edge in drawn.restarts:
        entries.append(("", (f"<B>{_names(edge.sources)}</B> again on", *_html(edge.lines, widths))))
    share = sum(len(lines) for _, lines in entries) / columns
    tables: list[list[str]] = [[] for _ in range(columns)]
    above = 0
    for number, lines in entries:
        rows = tables[min(columns - 1, int((above + len(lines) / 2) / share))]
        for shown, line in zip((number, *[""] * len(lines)), lines, strict=False):
            rows.append(f'<TR><TD ALIGN="RIGHT" WIDTH="12">{shown}</TD><TD WIDTH="3"></TD><TD ALIGN="LEFT">{line}</TD></TR>')
        rows.append('<TR><TD HEIGHT="3" FIXEDSIZE="TRUE" WIDTH="3"></TD></TR>')
        above += len(lines)
    return [_alone(_table("".join(rows))) for rows in tables if rows]


def _alone(label: str) -> str:
    """A graph that is one label."""
    graph = Digraph("key", graph_attr={"bgcolor": "white", "pad": "0", "margin": "0"})
    graph.node("key", label=f"<{label}>", shape="plain", fontname=FONT, fontsize=str(SMALL), fontcolor=INK, tooltip="")
    return str(graph.source)


def _table(rows: str) -> str:
    return f'<TABLE BORDER="0" CELLBORDER="0" CELLSPACING="0" CELLPADDING="0">{rows}</TABLE>'


def _names(states: Iterable[State]) -> str:
    return ", ".join(escape(state.name) for state in states)


def _state(graph: Any, drawn: Drawing, state: State, layout: Layout) -> None:
    """A state: its name, its deadline, and, if there is no key, what starts the deadline anew."""
    kind = "waits" if state.at_most else "stays"
    if _is_end(drawn, state):
        kind = "ends"
    elif state in drawn.starts:
        kind = "starts"
    rows = [f'<TR><TD><FONT POINT-SIZE="11"><B>{escape(state.name)}</B></FONT></TD></TR>']
    limit = textwrap.wrap(limit_name(state), NARROW) if state.at_most else []
    small = [f'<FONT COLOR="{LIMIT}">{escape(line)}</FONT>' for line in limit]
    for edge in () if layout.numbered else drawn.restarts:
        if state in edge.sources:
            small += ["again on:", *_html(edge.lines, ON_WAY)]
    rows += [f'<TR><TD><FONT POINT-SIZE="{SMALL}">{line}</FONT></TD></TR>' for line in small]
    fill, border = FILL[kind]
    graph.node(
        state.name,
        label=f"<{_table(''.join(rows))}>",
        style="rounded,filled",
        fillcolor=fill,
        color=border,
        penwidth="2" if kind in ("starts", "waits") else "1.4",
        peripheries="2" if kind == "ends" else "1",
        margin="0.1,0.03",
        tooltip=state.doc,
    )


def _is_end(drawn: Drawing, state: State) -> bool:
    return not any(row.state is state and row.then.target for row in drawn.region.rows)


def _worded(graph: Any, drawn: Drawing, way: Way, name: str, layout: Layout) -> None:
    """A way by a node with its words; one that leads back is laid out from its target on, so that the states keep their order."""
    rows = "".join(f'<TR><TD ALIGN="LEFT">{line}</TD></TR>' for line in way.lines)
    graph.node(name, label=f"<{_table(rows)}>", shape="plain", fontsize=str(SMALL), tooltip="")
    if way.of_frame:
        graph.edge(_border(drawn, layout), name, dir="none", ltail="cluster_living")
    for source in () if way.of_frame else way.sources:
        _edge(graph, source.name, name, back=_leads_back(drawn, way), dir="none")
    _edge(graph, name, way.target.name, back=_leads_back(drawn, way))


def _numbered(graph: Any, drawn: Drawing, way: Way, name: str, layout: Layout) -> None:
    """A way as arrows from state to state."""
    if way.of_frame:
        graph.edge(_border(drawn, layout), way.target.name, id=name, ltail="cluster_living")
        return
    for source in way.sources:
        _edge(graph, source.name, way.target.name, back=_leads_back(drawn, way), id=name)


def _leaves(drawn: Drawing) -> list[State]:
    """The living states from which no way leads on; none where nothing ends them all."""
    place = drawn.region.states.index
    onward = {state for edge in drawn.edges for state in told(edge)[0] if place(edge.target) > place(state)}
    return [state for state in drawn.living if state not in onward] if drawn.endings else []


def _border(drawn: Drawing, layout: Layout) -> str:
    """The state at whose place an arrow leaves the frame."""
    return drawn.living[0 if layout.end == "beside" else -1].name


def _leads_back(drawn: Drawing, way: Way) -> bool:
    place = drawn.region.states.index
    return not way.of_frame and all(place(way.target) < place(source) for source in way.sources)


def _edge(graph: Any, tail: str, head: str, *, back: bool, **look: str) -> None:
    if back:
        graph.edge(head, tail, **{"dir": "back", **look})
    else:
        graph.edge(tail, head, **look)


def _named(words: str, states: tuple[State, ...], widths: Widths) -> list[str]:
    """The names of states, as lines of a label."""
    return [f'<FONT COLOR="{LINE}"><I>{escape(part)}</I></FONT>' for part in named_after(words, states, widths[0])]


def _html(lines: Iterable[Line], widths: Widths) -> list[str]:
    """The lines of a label as Graphviz's HTML, a long one broken."""
    html: list[str] = []
    for line in lines:
        packed = textwrap.wrap(" or ".join(line.events), widths[0], break_long_words=False)
        shown = [" ".join(word if word in ("or", "other") else f"<B>{word}</B>" for word in part.split()) for part in packed]
        length = len(packed[-1])
        for words, colour in ((line.guard and f"[{line.guard}]", GUARD), (line.effects and f"/ {', '.join(line.effects)}", EFFECT)):
            if not words:
                continue
            length += 1 + len(words)
            if length <= widths[1]:
                shown[-1] += f' <FONT COLOR="{colour}">{words}</FONT>'
            else:
                shown.append(f'   <FONT COLOR="{colour}">{words}</FONT>')
                length = 3 + len(words)
        html += shown
    return html
