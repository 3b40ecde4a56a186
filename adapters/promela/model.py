"""The tables as a Promela model, which spin checks and walks: an interpreter of the same rows that shares no line with ours.

    text = model(CALL.regions, CALL.events, start(policy), CALL_RULES).text

Each region answers an event by its own rows, in their order, all from the same snapshot; then all change at once. What may happen is
chosen by spin: an event, its ids and figures, whether a deadline passes and whether it is stale. With `-DSCRIPT` the model reads its
events from standard input instead and says after each where every region is; with `-DSILENCE` the world may fall silent for ever.
"""

from collections.abc import Iterable, Iterator
from typing import Any

import attrs

from adapters.promela.processes import Processes
from adapters.promela.rows import Answers
from adapters.promela.rules import Rules
from adapters.promela.shape import MOST_PLACES, Variable
from adapters.promela.tables import Tables
from adapters.promela.world import World, choices
from fsm.engine.notation import Region, State


@attrs.frozen
class Model:
    """A Promela model: its text, and what it was made of. The rows of a region are numbered from 1, as they are declared."""

    text: str
    tables: Tables
    rules: Rules
    world: World


def model(
    regions: Iterable[Region],
    events: Iterable[type],
    start: Any,
    rules: Rules,
    *,
    ids: int = 2,
    begins: tuple[type, ...] = (),
    without: Iterable[type] = (),
    still: Iterable[str] = (),
) -> Model:
    """The model of tables that start as the snapshot `start` does.

    `begins` are events that happen first, `without` those that never happen, `still` regions that do not move before all is over; `ids` is
    how many ids of a sort there are. Raises ValueError
    where two states have one name, or the policy lets a tuple of ids become longer than a model can hold.
    """
    watched = {effect: names for effect, (names, _) in rules.asks.items()}
    tables = Tables(tuple(regions), tuple(events), start, watched, rules.given, ids)
    names: dict[str, State] = {}
    for state in (state for region in tables.regions for state in region.states):
        if names.setdefault(repr(state), state) is not state:
            raise ValueError(f"two states are named {state!r}: a Promela model needs a name for each")
    if long := tables.too_long():
        raise ValueError(f"{long[0]} is {long[1]}: a Promela model holds at most {MOST_PLACES}")
    world = World(tables, rules, tuple(begins), frozenset(without), frozenset(still))
    text = "\n".join(_Writer(tables, rules, world).lines()) + "\n"
    return Model(text, tables, rules, world)


def said(tables: Tables) -> list[str]:
    """How the guards are said, and which are not and so chosen anew in each step, with the reason: a line each."""
    chosen = [f"{function.__name__} is chosen anew in each step: {why}" for function, why in tables.translator.chosen.items()]
    return chosen or [f"every guard is translated: {len(tables.translator.macros)}"]


@attrs.define
class _Writer:
    """Writes one model."""

    tables: Tables
    rules: Rules
    world: World

    def lines(self) -> Iterator[str]:
        yield from self._heading()
        yield from self._declarations()
        answers = Answers(self.tables, self.rules, self.world)
        regions = [line for region in self.tables.regions for line in answers.region(region)]
        yield from self._questions()
        yield from regions
        yield from answers.step()
        yield from choices(self.world)
        yield from Processes(self.tables, self.rules, self.world).lines()

    def _heading(self) -> Iterator[str]:
        yield "/* Made from the declared rows by `callfsm promela`; a change belongs into the tables."
        for line in said(self.tables):
            yield f"   {line}"
        policy = getattr(self.tables.start, "policy", None)
        if policy is not None:
            yield f"   {policy}"
        yield "*/"

    def _declarations(self) -> Iterator[str]:
        states = dict.fromkeys(repr(state) for region in self.tables.regions for state in region.states)
        yield f"mtype = {{ {', '.join(states)} }}"
        yield ""
        yield "#ifdef SILENCE"
        yield "#define hushed silent"
        yield "#else"
        yield "#define hushed 0"
        yield "#endif"
        for number, event in enumerate(self.tables.events, start=1):
            yield f"#define {event.__name__} {number}"
        yield "hidden byte e_kind, e_stale;"
        for name in self.world.told:
            yield f"hidden byte e_{name}; /* {self.world.legend(name)} */"
        for name in self.world.chosen:
            yield f"hidden byte {name};"
        yield ""
        yield "/* the snapshot, and what the rules remember */"
        for one in self.tables.variables():
            yield f"{_kind(one)} {one.name} = {one.start};"
        yield from (f"{one};" for one in self.rules.remembered)
        yield "bit late; byte chain; byte begun;"
        yield "#ifdef SILENCE"
        yield "bit silent; byte owed;"
        yield "#endif"
        yield ""
        yield "/* the snapshot after the event, the rows that answer, and the regions that enter a state */"
        for one in self.tables.variables():
            yield f"hidden {_kind(one).replace('bit', 'byte')} n_{one.name};"
        yield from (f"hidden short r_{region.name};" for region in self.tables.regions)
        yield "hidden int entered; hidden byte waited;"
        yield "/* the flaws */"
        yield from (f"hidden byte {flaw}; /* {rule} */" for flaw, rule in self.rules.flaws.items())
        yield ""

    def _questions(self) -> Iterator[str]:
        """The families of events, the guards, and the deadlines."""
        translator = self.tables.translator
        for event in self.tables.events:
            translator.family(event)
        for family, name in translator.families.items():
            numbers = [number for number, event in enumerate(self.tables.events, start=1) if issubclass(event, family)]
            yield f"#define {name} ({_among(numbers, len(self.tables.events))})"
        yield ""
        for function, (name, term) in translator.macros.items():
            if function not in translator.chosen:
                yield f"/* {function.__module__}.{function.__name__} */"
                yield f"#define {name} ({term.text})"
        yield ""
        yield from self.world.deadlines()


def _kind(one: Variable) -> str:
    return "mtype" if one.kind.name == "state" else "bit" if one.high == 1 else "byte"


def _among(numbers: list[int], count: int) -> str:
    """Is the event one of these numbers?"""
    if len(numbers) == count:
        return "1"
    runs: list[list[int]] = []
    for number in numbers:
        if runs and runs[-1][-1] == number - 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    parts = [f"e_kind == {run[0]}" if len(run) == 1 else f"(e_kind >= {run[0]} && e_kind <= {run[-1]})" for run in runs]
    return " || ".join(parts) or "0"
