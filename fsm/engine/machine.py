"""A machine: regions side by side over one snapshot, checked and compiled when it is made.

All regions answer an event from the same snapshot, taken before it; each answers with exactly one row, and no region sees
another's change, so their order cannot matter to the state. Effects come out in the order of the regions. The signals that rows
raise are answered next, in the same step and in the same way, each from the snapshot that was left behind by what came before it.
"""

import functools
import types
from collections.abc import Callable, Iterable
from typing import Any, Generic, NamedTuple, TypeVar

import attrs

from fsm.engine.checks import check
from fsm.engine.notation import NEVER, Region, Row, State, fields_set_by, makes_several

S = TypeVar("S")
Build = Callable[[Any, Any], Any]


class Step(NamedTuple, Generic[S]):
    """The answer to one event: the next snapshot, the effects in order, and the rows that answered.

    Of each region there is one row for the event and one for each signal: first all regions' rows for the event, in the regions'
    order, then all for the first signal, and so on.
    """

    snapshot: S
    effects: tuple[Any, ...]
    rows: tuple[Row, ...]

    @property
    def signals(self) -> tuple[type, ...]:
        """The signals that the rows raised, each once, in the order in which they were raised."""
        return tuple(dict.fromkeys([signal for row in self.rows for signal in row.then.signals]))


class _Cell(NamedTuple):
    """A row compiled: its guard (None if unconditional), the constructor of the next record (None if it stays), what else it does."""

    guard: Callable[[Any, Any], bool] | None
    row: Row
    build: Build | None
    effects: tuple[tuple[Build, bool], ...]
    """Each with whether it makes several."""
    signals: tuple[type, ...]


class _Plan(NamedTuple):
    """How one event is answered in one combination of states: the rows that need no thought, and the regions that do."""

    rows: tuple[Row, ...]
    active: tuple[tuple[int, str, tuple[_Cell, ...]], ...]
    shared: Callable[[Any, Any], bool] | None
    """A guard that stands first in every region that has one: it is asked once, and where it holds `if_shared` ignores the event."""
    if_shared: tuple[Row, ...]


_PLANS = 100_000
"""The most combinations of event and states that are remembered; a call of `make run` meets about 400."""


class Machine(Generic[S]):
    """The tables of `regions` over the snapshot class `snapshot`, for the events that `events` lists and the signals that rows raise.

    `signals` stand in the order in which they are answered: a row that answers one raises later ones only, so that a step ends.
    `alphabet` is all that the tables answer, events and signals. Making a machine raises ValueError for an unanswered pair, rows that
    compete, a row that can never be reached, or signals out of order. `step` is total over the listed events and pure; an object that
    is no listed event is a TypeError, as it would be for any function.
    """

    def __init__(self, snapshot: type[S], regions: Iterable[Region], events: Iterable[type], signals: Iterable[type] = ()) -> None:
        self.snapshot = snapshot
        self.regions = tuple(regions)
        self.events = tuple(events)
        self.signals = tuple(signals)
        self.alphabet = (*self.events, *self.signals)
        self._answers = check(self.regions, self.events, self.signals)
        names = [region.name for region in self.regions]
        self._records = _getter(names)
        self._states = _getter([f"{name}.state" for name in names])
        self._changed = _changer(snapshot)
        self._cells: dict[Row, _Cell] = {}
        self._plans: dict[type, dict[tuple[State, ...], _Plan]] = {event: {} for event in self.alphabet}
        self._listed = frozenset(self.events)

    def step(self, snapshot: S, event: Any) -> Step[S]:
        """Answer one event and the signals that its rows raise: pure, total, without clock or I/O."""
        if type(event) not in self._listed:
            raise TypeError(f"{type(event).__name__} is not an event of this machine")
        effects: list[Any] = []
        raised: set[type] = set()
        snapshot, rows = self._answer(snapshot, event, effects, raised)
        if raised:
            for signal in self.signals:
                if signal in raised:
                    snapshot, more = self._answer(snapshot, signal(event.at_ms), effects, raised)
                    rows += more
        return Step(snapshot, tuple(effects), rows)

    def _answer(self, snapshot: S, event: Any, effects: list[Any], raised: set[type]) -> tuple[S, tuple[Row, ...]]:
        """The snapshot after `event` alone, and the row of each region; adds its effects, and the kinds of the signals it raises."""
        states = self._states(snapshot)
        plan = self._plans[type(event)].get(states) or self._plan(type(event), states)
        if plan.shared is not None and plan.shared(snapshot, event):
            return snapshot, plan.if_shared
        if not plan.active:
            return snapshot, plan.rows
        rows = list(plan.rows)
        changed: list[tuple[str, Any]] = []
        for index, name, cells in plan.active:
            for guard, row, build, makers, signals in cells:  # pragma: no branch (the last one holds)
                if guard is None or guard(snapshot, event):
                    rows[index] = row
                    if build is not None:
                        changed.append((name, build(snapshot, event)))
                    for make, many in makers:
                        if many:
                            effects += make(snapshot, event)
                        else:
                            effects.append(make(snapshot, event))
                    if signals:
                        raised.update(signals)
                    break
        return self._changed(snapshot, changed) if changed else snapshot, tuple(rows)

    def _plan(self, event: type, states: tuple[State, ...]) -> _Plan:
        """Work out, once, how `event` is answered in this combination of states."""
        plans = self._plans[event]
        if len(plans) * len(self.events) >= _PLANS:
            plans.clear()
        answers = [table[event][state] for table, state in zip(self._answers, states, strict=True)]
        shared, if_shared = _shared(answers), tuple([rows[0] for rows in answers])
        if shared is not None:
            answers = [rows[1:] or rows for rows in answers]
        active = [
            (index, self.regions[index].name, tuple([self._cell(self.regions[index], row) for row in rows]))
            for index, rows in enumerate(answers)
            if len(rows) > 1 or not rows[0].then.reason
        ]
        plan = plans[states] = _Plan(tuple([rows[-1] for rows in answers]), tuple(active), shared, if_shared)
        return plan

    def _cell(self, region: Region, row: Row) -> _Cell:
        """The row compiled, once, when it is first needed: most calls meet a third of them."""
        cell = self._cells.get(row)
        if cell is None:
            cell = self._cells[row] = _compile(region, row)
        return cell

    def due_ms(self, snapshot: S) -> float:
        """When the nearest deadline passes; `NEVER` if none runs."""
        return float(min([record.due_ms for record in self._records(snapshot)]))

    def expiry(self, snapshot: S, now_ms: float) -> Any:
        """The expiry event of the nearest deadline if it has passed at `now_ms`, else None; regions in their order where two are due."""
        nearest, found = now_ms, None
        for region, record in zip(self.regions, self._records(snapshot), strict=True):
            if record.due_ms <= nearest and (found is None or record.due_ms < nearest):
                nearest, found = record.due_ms, (region, record)
        return None if found is None else found[0].expired(now_ms, found[1].epoch)


def _shared(answers: list[tuple[Row, ...]]) -> Callable[[Any, Any], bool] | None:
    """The guard of every first row, if it is one and the same, and each of these rows ignores the event."""
    guards = {rows[0].guard for rows in answers if len(rows) > 1}
    return guards.pop() if len(guards) == 1 and all(rows[0].then.reason for rows in answers) else None


def _getter(paths: list[str]) -> Callable[[Any], tuple[Any, ...]]:
    """A function that gives these attributes of a snapshot as a tuple; a third of the time that an attrgetter takes."""
    get: Callable[[Any], tuple[Any, ...]] = _define("get(s)", [f"return ({''.join(f's.{path}, ' for path in paths)})"], {})
    return get


def _compile(region: Region, row: Row) -> _Cell:
    guard = None if row.unconditional else row.guard
    effects = tuple([(act, makes_several(act)) for act in row.then.effects])
    return _Cell(guard, row, _builder(region, row), effects, row.then.signals)


def _builder(region: Region, row: Row) -> Build | None:
    """A function that makes a row's next record: the updates, and each field of the record once."""
    target, updates = row.then.target, row.then.updates
    if target is None and not updates:
        return None
    names: dict[str, Any] = {"T": target, "NEVER": NEVER}
    value = {field.name: f"r.{field.name}" for field in attrs.fields(region.record)}
    if target is not None:
        value |= {"state": "T", "epoch": "r.epoch + 1", "due_ms": "NEVER" if target.at_most is None else "e.at_ms + at_most(s)"}
        names["at_most"] = target.at_most
    lines = [f"r = s.{region.name}"]
    for number, update in enumerate(updates):
        names[f"u{number}"] = update
        fields = fields_set_by(update)
        lines.append(f"v{number} = u{number}(s, e)")
        value |= {field: f"v{number}[{place}]" if len(fields) > 1 else f"v{number}" for place, field in enumerate(fields)}
    build: Build = _define("build(s, e)", [*lines, *_making(region.record, value, names)], names)
    return build


def _changer(kind: Any) -> Callable[[Any, list[tuple[str, Any]]], Any]:
    """A function that makes the next snapshot of the one before and the records that have changed, each with its region's name."""
    twin = _open_twin(kind)
    if twin is None:
        return lambda before, changed: attrs.evolve(before, **dict(changed))
    copies = [f"n.{field.name} = s.{field.name}" for field in attrs.fields(kind)]
    body = ["n = N()", *copies, "for name, record in changed:", "    setattr(n, name, record)", "n.__class__ = K", "return n"]
    change: Callable[[Any, list[tuple[str, Any]]], Any] = _define("change(s, changed)", body, {"K": kind, "N": twin})
    return change


def _making(kind: Any, value: dict[str, str], names: dict[str, Any]) -> list[str]:
    """The lines that make one `kind` of these values, by its open twin where it has one (`make bench`: what that buys)."""
    names["K"] = kind
    twin = names["N"] = _open_twin(kind)
    if twin is None:
        return [f"return K({', '.join(value.values())})"]
    return ["n = N()", *[f"n.{field} = {said}" for field, said in value.items()], "n.__class__ = K", "return n"]


@functools.cache
def _open_twin(kind: Any) -> Any:
    """A class of the same slots that may be assigned to, until its object is made one of `kind`: the constructor of a frozen class calls
    a function for each field, which takes longer than all else in a step. None where `kind` does more than keep its fields."""
    plain = all(field.init and field.validator is None and field.converter is None for field in attrs.fields(kind))
    if not plain or hasattr(kind, "__attrs_post_init__") or "__slots__" not in vars(kind):
        return None
    plainly = {name: vars(object)[name] for name in ("__init__", "__setattr__", "__delattr__")}
    body = {"__slots__": tuple(vars(kind)["__slots__"]), **plainly}
    twin = type(kind)(f"Open{kind.__name__}", kind.__bases__, body)
    try:
        twin().__class__ = kind
    except TypeError:  # Python lays it out in another way: with __weakref__ among its slots, say
        return None
    return twin


def _define(head: str, lines: list[str], names: dict[str, Any]) -> Any:
    """Compile a function from source that is made of our own tables' field names only, as attrs makes its constructors."""
    exec(_code(f"def {head}:\n    " + "\n    ".join(lines)), names)
    return names[head.partition("(")[0]]


@functools.cache
def _code(source: str) -> types.CodeType:
    """Many rows are alike but for the functions that they name: each text is compiled once."""
    return compile(source, "<table>", "exec")
