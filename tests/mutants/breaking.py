"""Every way in which one change breaks a table, and the machine that runs with it; who notices is no business of this module.

A mutant changes one declared row, or the place of two, or the deadline of one state. What its change is to be told by stands in
`rows`: a call in which none of these rows answers (`takes`), or might answer (`meets`), goes the same way with the mutant as without.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from functools import cached_property, lru_cache, partial
from typing import Any

import attrs

from fsm import CALL, Call
from fsm.call import snapshot as snapshots
from fsm.engine.checks import Answers, answers_of
from fsm.engine.machine import Machine
from fsm.engine.notation import NEVER, Declared, Region, Row, State, always, fields_set_by, region, signal_of

Act = Callable[[Any, Any], Any]
Both = frozenset[tuple[str, int, int]]
"""(region, earlier row, later row): declared rows that some call brings to hold at once."""


class Kind(StrEnum):
    """What is changed."""

    ROW = "row removed"
    PAIR = "row removed for one pair"
    GUARD = "guard changed"
    TARGET = "target moved"
    EFFECT = "effect dropped or doubled"
    SIGNAL = "signal dropped"
    UPDATE = "update dropped"
    DEADLINE = "deadline removed"
    ORDER = "row moved up"
    BODY = "body of a function changed"


@attrs.frozen(eq=False, slots=False)
class Mutant:
    """One change: its table, its kind, its name (which no other mutant has), and the unfolded rows by which it is told."""

    table: Region
    kind: Kind
    name: str
    rows: frozenset[Row]
    make: Callable[[], Region]
    """The table with the change; raises ValueError where the notation itself refuses it."""
    endless: State | None = None
    """The state whose deadline is gone."""

    @property
    def by_meeting(self) -> bool:
        """May it change what a pair is answered with, although no row of `rows` answers it in the sound table?"""
        return self.kind is Kind.GUARD

    @cached_property
    def pairs(self) -> frozenset[tuple[str, State, type]]:
        """The region, state and event of every pair that a row of `rows` might answer."""
        return frozenset((row.region, row.state, event) for row in self.rows for event in CALL.alphabet if issubclass(event, row.on))


def mutants_of(table: Region, both: Both = frozenset()) -> Iterator[Mutant]:
    """Every mutant of a table; rows change places where `both` says that a call tells their order."""
    for number, declared in enumerate(table.declared):
        rows = frozenset(row for row in table.rows if row.declared == number)
        name = name_of(table, number)
        yield Mutant(table, Kind.ROW, f"{name} gone", rows, partial(_replaced, table, number, None))
        if len(rows) > 1 and declared.then.reason == "":
            yield from _narrowed(table, number, rows)
        for kind, what, by in _changed(table, declared):
            yield Mutant(table, kind, f"{name}: {what}", rows, partial(_replaced, table, number, by))
    for region_name, earlier, later in sorted(both):
        if region_name == table.name:
            rows = frozenset(row for row in table.rows if row.declared in (earlier, later))
            name = f"{name_of(table, later)} before {name_of(table, earlier).partition(':')[2]}"
            yield Mutant(table, Kind.ORDER, name, rows, partial(_moved_up, table, earlier, later))
    for state in table.states:
        if state.at_most is not None:
            rows = frozenset(row for row in table.rows if state in (row.state, row.then.target))
            yield Mutant(table, Kind.DEADLINE, f"{table.name}:{state!r} for ever", rows, partial(_same, table), state)


def name_of(table: Region, number: int) -> str:
    """A declared row in words."""
    declared = table.declared[number]
    states, events = "|".join(map(repr, declared.states)), "|".join(event.__name__ for event in declared.events)
    return f"{table.name}:{states}/{events}/{declared.guard.__name__}"


class Broken(Machine[Call]):
    """The call's machine with one region in another's place, which need not be sound."""

    def __init__(self, table: Region, endless: State | None = None) -> None:
        vars(self).update(vars(CALL))
        self.regions = tuple(table if table.name == one.name else one for one in CALL.regions)
        self._endless = endless
        self._cells = dict(CALL._cells)
        self._answers = tuple(answers_in(one) for one in self.regions)
        self._plans = {event: {} for event in CALL.alphabet}

    def _cell(self, region: Region, row: Row) -> Any:
        cell = super()._cell(region, row)
        return _without_deadline(cell) if self._endless is not None and row.then.target is self._endless else cell


@lru_cache(maxsize=64)
def answers_in(table: Region) -> Answers:
    """What may answer in a table, for each event of a call."""
    return answers_of(table, CALL.alphabet)


@contextmanager
def beginning_without(state: State | None) -> Iterator[None]:
    """Meanwhile a call that begins in `state` begins without its deadline; None changes nothing."""
    makers = {name: made for name, made in vars(snapshots).items() if state is not None and _begins_in(made)}
    for name, made in makers.items():
        setattr(snapshots, name, partial(_begun, made, state))
    try:
        yield
    finally:
        for name, made in makers.items():
            setattr(snapshots, name, made)


def _begins_in(made: Any) -> bool:
    return isinstance(made, type) and any(table.record is made for table in CALL.regions)


def _begun(made: Callable[..., Any], state: State, /, *values: Any, **fields: Any) -> Any:
    record = made(*values, **fields)
    return attrs.evolve(record, due_ms=NEVER) if record.state is state else record


def _without_deadline(cell: Any) -> Any:
    return cell._replace(build=partial(_built_for_ever, cell.build))


def _built_for_ever(build: Act, call: Any, event: Any) -> Any:
    return attrs.evolve(build(call, event), due_ms=NEVER)


def _changed(table: Region, declared: Declared) -> Iterator[tuple[Kind, str, Declared]]:
    """A declared row with its guard, its target or one of its acts changed: the kind, what is changed, the row."""
    guard, then = declared.guard, declared.then
    if guard is not always:
        yield Kind.GUARD, "whatever the guard says", attrs.evolve(declared, guard=holds)
        yield Kind.GUARD, "if not", attrs.evolve(declared, guard=_negated(guard))
    if then.target is not None:
        yield Kind.TARGET, "stays", attrs.evolve(declared, then=attrs.evolve(then, target=None))
        for state in table.states:
            if state is not then.target:
                yield Kind.TARGET, f"goes to {state!r}", attrs.evolve(declared, then=attrs.evolve(then, target=state))
    for place, act in enumerate(then.acts):
        changes: list[tuple[Kind, str, tuple[Act, ...]]] = [(Kind.UPDATE, "dropped", ())]
        if signal_of(act):
            changes = [(Kind.SIGNAL, "dropped", ())]
        elif not fields_set_by(act):
            changes = [(Kind.EFFECT, "dropped", ()), (Kind.EFFECT, "doubled", (act, act))]
        for kind, what, instead in changes:
            acts = (*then.acts[:place], *instead, *then.acts[place + 1 :])
            yield kind, f"{act.__name__} {what}", attrs.evolve(declared, then=attrs.evolve(then, acts=acts))


def holds(_: object, __: object) -> bool:
    """A guard that always holds, and is not known to: what stands behind it is not called unreachable."""
    return True


def _negated(guard: Act) -> Act:
    def negated(call: Any, event: Any) -> bool:
        return not guard(call, event)

    return negated


def _replaced(table: Region, number: int, by: Declared | None) -> Region:
    """The table with another row in that place, or with none."""
    return _remade(table, [*table.declared[:number], *([by] if by else []), *table.declared[number + 1 :]])


def _narrowed(table: Region, number: int, rows: Iterable[Row]) -> Iterator[Mutant]:
    """A declared row taken out for one of its states and one of its events, for each."""
    declared = table.declared[number]
    for row in sorted(rows, key=lambda row: row.name):
        name = f"{name_of(table, number)} not for {row.state!r}/{row.on.__name__}"
        parts = [
            attrs.evolve(declared, states=tuple(state for state in declared.states if state is not row.state)),
            attrs.evolve(declared, states=(row.state,), events=tuple(event for event in declared.events if event is not row.on)),
        ]
        kept = [part for part in parts if part.states and part.events]
        whole = [*table.declared[:number], *kept, *table.declared[number + 1 :]]
        yield Mutant(table, Kind.PAIR, name, frozenset([row]), partial(_remade, table, whole))


def _moved_up(table: Region, earlier: int, later: int) -> Region:
    """The table with a later row right before an earlier one."""
    rows = list(table.declared)
    rows.insert(earlier, rows.pop(later))
    return _remade(table, rows)


def _same(table: Region) -> Region:
    return _remade(table, table.declared)


def _remade(table: Region, rows: Iterable[Declared]) -> Region:
    return region(table.name, *rows, doc=table.doc, record=table.record, states=table.states, expired=table.expired)
