"""The words in which a table is written; nothing here runs one.

A machine is a few regions side by side. Each region has a record in the snapshot and a table of rows; a row says

    row(while_in, on, if_, then)

in that order: the state, the event, the guard, what follows. Rows are tried from the top and the first that holds wins.

A row may raise a signal: an event of a class of its own, which every region answers within the same step, from the snapshot that the
event left behind.
"""

import math
from collections.abc import Callable
from typing import Any, Generic, TypeVar, overload

import attrs

NEVER = math.inf
"""The due time of a state without a deadline."""


class Value:
    """What events, effects and settings share: two of one class with equal fields are equal, and print as they are made.

    Written once, as making it anew for each of a hundred small classes takes most of the time of an import; records are compared so often
    that each has an equality of its own.
    """

    __slots__ = ("__weakref__",)

    def _fields(self) -> tuple[Any, ...]:
        return tuple([getattr(self, name) for name in self._names()])

    def _names(self) -> list[str]:
        return [field.name for field in getattr(type(self), "__attrs_attrs__", ())]

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and isinstance(other, Value) and other._fields() == self._fields()

    def __hash__(self) -> int:
        return hash((type(self), self._fields()))

    def __repr__(self) -> str:
        said = ", ".join(f"{name}={value!r}" for name, value in zip(self._names(), self._fields(), strict=True))
        return f"{type(self).__name__}({said})"


@attrs.frozen(eq=False, repr=False)
class State:
    """A declared state. It says how long it may last (`at_most`) or why it may last for ever (`for_ever`): exactly one of both.

    `at_most` takes the snapshot and gives milliseconds; it is read on entering the state. States are compared by identity.
    """

    name: str
    doc: str
    at_most: Callable[[Any], float] | None = None
    for_ever: str | None = None

    def __attrs_post_init__(self) -> None:
        """Every wait has an end, or says why not (R78)."""
        if (self.at_most is None) == (self.for_ever is None):
            raise ValueError(f"state {self.name}: say either at_most=… or for_ever=…, so that every wait has an end or a reason")

    def __repr__(self) -> str:
        return self.name.upper()


@attrs.frozen(repr=False)
class Record(Value):
    """What a region keeps in the snapshot: its state, the count of entries into states, and when the state is due to end.

    A region with data of its own subclasses it; every field has a default, so that a record is complete at construction.
    """

    state: State
    epoch: int = 0
    due_ms: float = NEVER


S = TypeVar("S")
E = TypeVar("E")
S_contra = TypeVar("S_contra", contravariant=True)
E_contra = TypeVar("E_contra", contravariant=True)
F = TypeVar("F", bound=Callable[..., Any])
A = TypeVar("A")
B = TypeVar("B")
C = TypeVar("C")

Guard = Callable[[S, E], bool]
Act = Callable[[S, E], Any]


def always(_snapshot: object, _event: object) -> bool:
    """The guard of an unconditional row."""
    return True


def sets(*fields: str) -> Callable[[F], F]:
    """Mark a function as an update: what it returns (a tuple, for several fields) becomes these fields of the region's record."""

    def mark(function: F) -> F:
        function.__dict__["sets"] = fields
        return function

    return mark


def fields_set_by(act: Callable[..., Any]) -> tuple[str, ...]:
    """The fields that `act` updates; empty for one that makes an effect or raises a signal."""
    return getattr(act, "sets", ())


def several(function: F) -> F:
    """Mark a function as one that makes any number of effects: it returns them as a tuple, in order."""
    function.__dict__["several"] = True
    return function


def makes_several(act: Callable[..., Any]) -> bool:
    """Does `act` make any number of effects?"""
    return getattr(act, "several", False)


def raises(signal: type) -> Callable[[Any, Any], Any]:
    """An act that raises `signal`: every region answers it within the same step, once the rows of the event have been carried out.

    A signal carries nothing but the time of its event: what there is to say stands in the snapshot.
    """

    def act(_snapshot: object, event: Any) -> Any:
        return signal(event.at_ms)

    act.__name__ = act.__qualname__ = f"raises_{signal.__name__}"
    act.__dict__["signal"] = signal
    return act


def signal_of(act: Callable[..., Any]) -> type | None:
    """The signal that `act` raises, if it raises one."""
    return getattr(act, "signal", None)


def _raised_by(acts: tuple[Callable[..., Any], ...]) -> tuple[type, ...]:
    return tuple([signal for act in acts if (signal := signal_of(act)) is not None])


@attrs.frozen(eq=False, repr=False)
class Then(Value, Generic[S_contra, E_contra]):
    """What a row does: `target` is None where the state stays; `reason` is given where the event is ignored."""

    target: State | None
    acts: tuple[Callable[[Any, Any], Any], ...]
    reason: str = ""
    signals: tuple[type, ...] = attrs.field(init=False, default=attrs.Factory(lambda then: _raised_by(then.acts), takes_self=True))
    """The signals that the row raises, in order."""

    @property
    def updates(self) -> tuple[Callable[[Any, Any], Any], ...]:
        """The acts that change the record."""
        return tuple(act for act in self.acts if fields_set_by(act))

    @property
    def effects(self) -> tuple[Callable[[Any, Any], Any], ...]:
        """The acts that make an effect, in order."""
        return tuple(act for act in self.acts if not fields_set_by(act) and not signal_of(act))


def go(target: State, *acts: Act[S, E]) -> Then[S, E]:
    """Enter `target` (anew, if already there): its deadline starts, its epoch grows; then the acts, in order."""
    return Then(target, acts)


def stay(*acts: Act[S, E]) -> Then[S, E]:
    """Stay, with the running deadline kept, and do the acts in order."""
    return Then(None, acts)


def ignore(reason: str) -> Then[Any, Any]:
    """Nothing happens, and `reason` says why that is right."""
    if not reason:
        raise ValueError("an event is ignored for a reason: ignore('…')")
    return Then(None, (), reason)


@attrs.frozen(eq=False, repr=False)
class Row:
    """One row for one state: a declared row over several states or events is unfolded into one for each."""

    region: str
    state: State
    on: type
    guard: Callable[[Any, Any], bool]
    then: Then[Any, Any]
    declared: int
    """The number of the declared row in its table, from 0."""

    @property
    def name(self) -> str:
        """The row's identity, as logs, traces, tests and diagrams use it: `phase:AI_SPEAKING/SpeechStarted/always`."""
        return f"{self.region}:{self.state!r}/{self.on.__name__}/{self.guard.__name__}"

    @property
    def unconditional(self) -> bool:
        """Does the row hold whatever the snapshot says?"""
        return self.guard is always

    @property
    def ignores(self) -> bool:
        """Does the row ignore its event?"""
        return bool(self.then.reason)

    def __repr__(self) -> str:
        return self.name


States = State | tuple[State, ...]


@attrs.frozen(eq=False, repr=False)
class Declared(Value):
    """A row as written, before it is unfolded."""

    states: tuple[State, ...]
    events: tuple[type, ...]
    guard: Callable[[Any, Any], bool]
    then: Then[Any, Any]


@overload
def row(while_in: States, on: type[A], if_: Guard[S, A], then: Then[S, A]) -> Declared: ...
@overload
def row(while_in: States, on: tuple[type[A], type[B]], if_: Guard[S, A | B], then: Then[S, A | B]) -> Declared: ...
@overload
def row(while_in: States, on: tuple[type[A], type[B], type[C]], if_: Guard[S, A | B | C], then: Then[S, A | B | C]) -> Declared: ...
@overload
def row(while_in: States, on: tuple[type[E], ...], if_: Guard[S, E], then: Then[S, E]) -> Declared: ...
def row(while_in: States, on: Any, if_: Any, then: Any) -> Declared:
    """While in `while_in`, on `on`, if `if_`: then.

    Several states or events stand in a tuple; an event's base class means all of its kind. mypy refuses a guard or an act that
    is not made for every event of the row.
    """
    states = while_in if isinstance(while_in, tuple) else (while_in,)
    events = on if isinstance(on, tuple) else (on,)
    return Declared(states, events, if_, then)


@attrs.frozen(eq=False)
class Region:
    """One region: its record in the snapshot (field `name`), where it starts, its table, and the event that its deadlines post."""

    name: str
    doc: str
    record: type[Record]
    starts: State
    states: tuple[State, ...]
    expired: type
    rows: tuple[Row, ...]
    declared: tuple[Declared, ...] = attrs.field(repr=False)


def region(name: str, *rows: Declared, doc: str, record: type[Record], states: tuple[State, ...], expired: type) -> Region:
    """Declare a region that starts in the first of `states`.

    Raises ValueError where a row names a state or a field that the region lacks, or two rows would have one identity.
    """
    known = {field.name for field in attrs.fields(record)}
    unfolded: list[Row] = []
    seen: set[tuple[State, type, Callable[[Any, Any], bool]]] = set()
    for number, declared in enumerate(rows):
        for state in (*declared.states, *([declared.then.target] if declared.then.target else [])):
            if state not in states:
                raise ValueError(f"{name}: row {number} names the state {state!r}, which the region does not have")
        for act in declared.then.updates:
            if missing := set(fields_set_by(act)) - known:
                raise ValueError(f"{name}: {act.__name__} sets {', '.join(sorted(missing))}, which {record.__name__} does not have")
        for state in declared.states:
            for on in declared.events:
                if (state, on, declared.guard) in seen:
                    raise ValueError(f"{name}: {state!r}/{on.__name__}/{declared.guard.__name__} is declared twice")
                seen.add((state, on, declared.guard))
                unfolded.append(Row(name, state, on, declared.guard, declared.then, number))
    return Region(name, doc, record, states[0], states, expired, tuple(unfolded), rows)
