"""The whole transition table as Markdown: every (state, event) pair answered, every deadline, every word; it decides nothing of a call."""

from collections.abc import Callable, Iterable
from inspect import getdoc
from typing import Any

from adapters.telling.diagrams.parts import effect_name
from fsm.engine.checks import candidates
from fsm.engine.machine import Machine
from fsm.engine.notation import Region, Row, State, signal_of

SPELT_OUT = 3
"""What is left of a family of events is spelt out up to this many."""


def table(machine: Machine[Any], fresh: Any) -> str:
    """The document; `fresh` is the snapshot of a call that begins, from which default deadlines are read."""
    parts = [
        "# The transition table",
        "Made from the tables in `fsm/call` by `make diagrams`; a test fails when it is stale.",
        "All regions answer each event from the same snapshot, each with the first row that holds. `go` enters a state and starts its "
        "deadline; `stay` keeps both; what is ignored says why. A row may raise "
        "a signal, which all regions answer in the same step. A family of events, `every ModelEvent`, means all of its kind that no "
        "row above has answered already without a condition; [the glossary](#events) lists each family.",
        _contents(machine),
        *(_region(machine, region) for region in machine.regions),
        _deadlines(machine, fresh),
        _glossary(machine),
    ]
    return "\n\n".join(parts) + "\n"


def answered(machine: Machine[Any], region: Region, state: State) -> list[tuple[Row, tuple[type, ...]]]:
    """The rows that may answer in `state`, in order, each with the events that reach it."""
    reached: dict[Row, list[type]] = {}
    for event in machine.alphabet:
        for row in candidates(region, state, event):
            reached.setdefault(row, []).append(event)
    return [(row, tuple(reached[row])) for row in region.rows if row in reached]


def _contents(machine: Machine[Any]) -> str:
    rows = [
        (
            f"[{region.name}](#{region.name})",
            region.doc,
            str(len(region.states)),
            str(len(region.declared)),
            str(len(region.states) * len(machine.alphabet)),
        )
        for region in machine.regions
    ]
    total = str(sum(len(region.states) for region in machine.regions) * len(machine.alphabet))
    end = ("[deadlines](#deadlines), [events](#events), [effects](#effects), [guards](#guards), [updates](#updates)", "", "", "", total)
    return _markdown(("region", "what it keeps", "states", "rows", "pairs answered"), [*rows, end])


def _region(machine: Machine[Any], region: Region) -> str:
    """A region's section: states that answer every event alike share a table."""
    alike: dict[str, list[State]] = {}
    for state in region.states:
        alike.setdefault(_rows(machine, region, state), []).append(state)
    parts = [f"## {region.name}", _sentence(region.doc), f"![{region.name}]({region.name}.svg)"]
    for rows, states in alike.items():
        lasting = "\n".join(f"- **{state.name}**: {state.doc} {_lasts(state, region)}" for state in states)
        parts += [f"### {region.name}: {', '.join(state.name for state in states)}", lasting, rows]
    return "\n\n".join(parts)


def _lasts(state: State, region: Region) -> str:
    if state.at_most is None:
        return f"It may last for ever: {state.for_ever}."
    name = state.at_most.__name__
    limit = "no time at all" if name.startswith("_") else f"at most `{name}`"
    return f"It lasts {limit}, then comes `{region.expired.__name__}`."


def _rows(machine: Machine[Any], region: Region, state: State) -> str:
    """The rows of a state; neighbours that differ in their event alone are one line."""
    lines: list[tuple[str, ...]] = []
    for row, reached in answered(machine, region, state):
        events = _events(machine, row, reached)
        rest = ("" if row.unconditional else f"`{row.guard.__name__}`", _then(row), row.then.reason)
        if lines and lines[-1][1:] == rest:
            events = f"{lines.pop()[0]}; {events}"
        lines.append((events, *rest))
    return _markdown(("on", "if", "then", "because"), lines)


def _events(machine: Machine[Any], row: Row, reached: tuple[type, ...]) -> str:
    """The row's event; of a family that is answered in part above, what is left."""
    family = kinds_of(machine, row.on)
    name = f"`{row.on.__name__}`"
    if family == (row.on,):
        return name
    if reached == family:
        return f"every {name}"
    if len(reached) <= SPELT_OUT:
        return f"every other {name}: {', '.join(f'`{event.__name__}`' for event in reached)}"
    return f"every other {name}"


def kinds_of(machine: Machine[Any], family: type) -> tuple[type, ...]:
    """The events of the machine that are of `family`."""
    return tuple(event for event in machine.alphabet if issubclass(event, family))


def _then(row: Row) -> str:
    if row.ignores:
        return "ignored"
    acts = ", ".join(f"`{act.__name__}`" for act in row.then.acts if not signal_of(act))
    raised = " and ".join(f"`{signal.__name__}`" for signal in row.then.signals)
    acts = "; ".join([*([acts] if acts else []), *([f"raises {raised}"] if raised else [])])
    where = "stay" if row.then.target is None else f"go **{row.then.target.name}**"
    return f"{where}: {acts}" if acts else where


def _deadlines(machine: Machine[Any], fresh: Any) -> str:
    rows = [
        (
            region.name,
            f"**{state.name}**",
            "at once" if state.at_most.__name__.startswith("_") else f"`{state.at_most.__name__}`",
            f"{state.at_most(fresh):,.0f} ms",
            f"`{region.expired.__name__}`",
        )
        for region in machine.regions
        for state in region.states
        if state.at_most is not None
    ]
    head = "## Deadlines\n\nEvery wait that has an end, with the default of its limit and the event that ends it."
    return f"{head}\n\n" + _markdown(("region", "state", "limit", "default", "then comes"), rows)


def _glossary(machine: Machine[Any]) -> str:
    rows = [row for region in machine.regions for row in region.rows]
    guards = _unique(row.guard for row in rows if not row.unconditional)
    acts = _unique(act for row in rows for act in row.then.acts)
    effects = [act for act in acts if not hasattr(act, "sets") and not signal_of(act)]
    updates = [act for act in acts if hasattr(act, "sets")]
    parts = [
        "## Events",
        _markdown(("event", "what happened", "family", "regions that act on it"), [_event(machine, event) for event in machine.alphabet]),
        "A family stands for all of its kind:",
        _markdown(("family", "what it is", "its events"), [_family(machine, family) for family in _families(machine)]),
        "## Effects",
        _markdown(("effect", "what it asks for", "made by"), _effects(effects)),
        "## Guards",
        _markdown(("guard", "what it asks", "table"), [_word(guard, machine) for guard in guards]),
        "## Updates",
        _markdown(("update", "what it remembers", "table"), [_word(update, machine) for update in updates]),
        "## States",
        _markdown(
            ("state", "what it means", "region"),
            [(f"**{state.name}**", state.doc, region.name) for region in machine.regions for state in region.states],
        ),
    ]
    return "\n\n".join(parts)


def _event(machine: Machine[Any], event: type) -> tuple[str, str, str, str]:
    acting = [
        region.name
        for region in machine.regions
        if any(not row.ignores for state in region.states for row in candidates(region, state, event))
    ]
    families = [f"`{family.__name__}`" for family in _families(machine) if issubclass(event, family)]
    return f"`{event.__name__}`", _first_line(event), ", ".join(families), ", ".join(acting) or "none"


def _families(machine: Machine[Any]) -> list[type]:
    """The classes of events that stand for several, as rows name them."""
    named = _unique(row.on for region in machine.regions for row in region.rows)
    return [family for family in named if family not in machine.alphabet]


def _family(machine: Machine[Any], family: type) -> tuple[str, str, str]:
    kinds = kinds_of(machine, family)
    every = "all" if kinds == machine.alphabet else ", ".join(f"`{event.__name__}`" for event in kinds)
    return f"`{family.__name__}`", _first_line(family), every


def _effects(makers: list[Callable[..., Any]]) -> list[tuple[str, str, str]]:
    made: dict[str, list[Callable[..., Any]]] = {}
    for make in makers:
        made.setdefault(effect_name(make), []).append(make)
    return [
        (f"`{name}`", _first_line(_made_by(same[0])), "<br>".join(f"`{make.__name__}`: {_first_line(make)}" for make in _by_name(same)))
        for name, same in sorted(made.items())
    ]


def _made_by(make: Callable[..., Any]) -> Any:
    return make.__globals__.get(effect_name(make), make)


def _word(act: Callable[..., Any], machine: Machine[Any]) -> tuple[str, str, str]:
    used = [region.name for region in machine.regions if any(act is row.guard or act in row.then.acts for row in region.rows)]
    return f"`{act.__name__}`", _first_line(act), ", ".join(used)


def _by_name(things: Iterable[Callable[..., Any]]) -> list[Callable[..., Any]]:
    return sorted(things, key=_name)


def _name(thing: Callable[..., Any]) -> str:
    return thing.__name__


def _unique(things: Iterable[Any]) -> list[Any]:
    return list(dict.fromkeys(things))


def _first_line(thing: Any) -> str:
    return (getdoc(thing) or "").split("\n", 1)[0]


def _sentence(words: str) -> str:
    return words[:1].upper() + words[1:] + "."


def _markdown(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in line) + " |" for line in lines)
