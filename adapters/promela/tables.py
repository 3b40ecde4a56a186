"""The tables as Promela can say them: each row's guard, updates and effects translated, and of the snapshot what they turn on.

What is kept of a snapshot is found, not written down: a field is kept if a guard, or an effect that is watched, turns on it, be it
by way of other fields; and in a state from which on nobody reads it, it is 0.
"""

from collections.abc import Callable
from typing import Any

import attrs

from adapters.promela import sequences as seq
from adapters.promela.reading import EVENT, SNAPSHOT
from adapters.promela.shape import MOST_PLACES, PLACES, Shape, Variable, flagged
from adapters.promela.translate import Translator
from adapters.promela.values import FALSE, Known, Parts, Sequence, Term, Unclear, Value, choose, lift
from fsm.engine.notation import Region, Row, State, always, fields_set_by

Act = Callable[[Any, Any], Any]


@attrs.frozen
class Told:
    """A row as Promela says it: its guard, the variables that it sets, and the effects that it asks for, None for an unclear argument."""

    guard: Term | Known
    sets: tuple[tuple[str, Term], ...]
    effects: tuple[tuple[type, dict[str, Term | None]], ...]


@attrs.define
class Tables:
    """A machine's tables, translated.

    `watched` are the effects whose arguments are told, with the names of these; `given` are the guards that are not read, with what
    stands for them.
    """

    regions: tuple[Region, ...]
    events: tuple[type, ...]
    start: Any
    watched: dict[type, tuple[str, ...]]
    given: dict[Callable[..., Any], str]
    ids: int = 2
    shape: Shape = attrs.field(init=False)
    translator: Translator = attrs.field(init=False)
    rows: dict[Row, Told] = attrs.field(factory=dict)
    _turned_on: dict[str, frozenset[str]] = attrs.field(factory=dict)
    """For each path the paths that its updates read."""
    _told_apart: set[str] = attrs.field(factory=set)
    _unread: dict[str, tuple[State, ...]] | None = None

    def __attrs_post_init__(self) -> None:
        self.shape = Shape(self.regions, self.start, self.ids)
        self._translate()
        self._leave_out()
        self._translate()
        self._find_flags()
        self._translate()

    def variables(self) -> list[Variable]:
        """The variables of the snapshot, in the order of the regions."""
        return [attrs.evolve(one, high=1) if one.path in self.shape.flags else one for one in self.shape.variables()]

    def lasts(self, state: State) -> bool | None:
        """Does a state last for some time, or only 0 ms, as the snapshot that calls start with says? None: for ever."""
        return None if state.at_most is None else state.at_most(self.start) > 0

    def read_by(self, event: type) -> set[str]:
        """The fields of an event that a row turns on."""
        found: set[str] = set()
        for row, told in self.rows.items():
            if issubclass(event, row.on):
                terms = [told.guard, *[term for _, term in told.sets], *[arg for _, args in told.effects for arg in args.values()]]
                found |= {path for term in terms if isinstance(term, Term) for path in term.reads}
        return {path.removeprefix("event.") for path in found if path.startswith("event.")}

    def too_long(self) -> tuple[str, int] | None:
        """A bound of the policy, and what it is, that lets a tuple whose items count become longer than a model can hold."""
        for one in self.variables():
            name = one.path.split(".")[1]
            if one.path.count(".") == 2 and self.shape.bound(name) > MOST_PLACES:
                return PLACES.get(name, name), self.shape.bound(name)
        return None

    def unread(self) -> dict[str, tuple[State, ...]]:
        """For each path of a record the states of its region in which nobody reads it any more."""
        if self._unread is None:
            self._unread = self._find_unread()
        return self._unread

    def _find_unread(self) -> dict[str, tuple[State, ...]]:
        found: dict[str, tuple[State, ...]] = {}
        paths = {one.path for one in self.variables() if not one.path.endswith(".state")}
        for region in self.regions:
            mine = {path for path in paths if path.startswith(f"{region.name}.")}
            if mine:
                live = self._live(region, mine)
                found |= {path: tuple(state for state in region.states if path not in live[state]) for path in sorted(mine)}
        return found

    def ended(self) -> dict[str, list[State]]:
        """For each region the states from which on nothing is read: their rows ask of no record, and lead to such states alone."""
        return {region.name: self._ended(region) for region in self.regions}

    def _ended(self, region: Region) -> list[State]:
        blind = (always, *self.given)
        rows = {state: [row for row in region.rows if row.state is state] for state in region.states}
        ended = [state for state in region.states if all(row.guard in blind and not row.then.updates for row in rows[state])]
        while True:
            left = [state for state in ended if all((row.then.target or state) in ended for row in rows[state])]
            if left == ended:
                return ended
            ended = left

    def _translate(self) -> None:
        """Translate every row, again and again until no translation finds anything out about the shape."""
        while True:
            grown = self.shape.grown
            self.translator = Translator(self.shape, self.events, self.given)
            self._turned_on, self._told_apart = {}, set()
            for region in self.regions:
                told: dict[int, Told] = {}
                for row in region.rows:
                    if row.declared not in told:
                        told[row.declared] = self._told(region, row)
                    self.rows[row] = told[row.declared]
            if self.shape.grown == grown:
                return

    def _told(self, region: Region, row: Row) -> Told:
        guard = self.translator.guard(row.guard)
        if isinstance(guard, Term):
            self._told_apart |= guard.told_apart
        assert isinstance(guard, Known | Term), f"{row}: {guard}"
        sets = [pair for update in row.then.updates for pair in self._updated(region, update)]
        effects = [self._effect(make) for make in row.then.effects]
        return Told(guard, tuple(sets), tuple(effect for effect in effects if effect is not None))

    def _updated(self, region: Region, update: Act) -> list[tuple[str, Term]]:
        fields = fields_set_by(update)
        value = self.translator.call(update, (SNAPSHOT, EVENT))
        values = [value] if len(fields) == 1 else [lift(value, lambda one, at=place: _of_several(one, at)) for place in range(len(fields))]  # type: ignore[misc]
        return [pair for field, one in zip(fields, values, strict=True) for pair in self._set(self.shape.field(region, field), one)]

    def _set(self, target: Value, value: Value) -> list[tuple[str, Term]]:
        """The assignments that make a field what `value` says; a field of which that cannot be said is kept no longer."""
        if isinstance(target, Term):
            (path,) = target.reads
            if path in self.shape.unread:
                return []
            term = self.shape.encoded(value, target.kind)
            if isinstance(term, Unclear):
                self.shape.drop(path, f"{path} is set to what is unclear: {term.why}")
                return []
            self._turned_on[path] = self._turned_on.get(path, frozenset()) | term.reads
            self._told_apart |= term.told_apart
            return [(target.text, flagged(term) if path in self.shape.flags else term)]
        if not isinstance(target, Sequence):
            return []
        value = seq.sequence(value)
        found = self._set(target.size, lift(value, _size))
        for place, item in enumerate(target.items):
            given = lift(value, lambda one, place=place: _at(one, place))  # type: ignore[misc]
            for name, part in item.fields.items() if isinstance(item, Parts) else [("", item)]:
                found += self._set(part, lift(given, lambda one, name=name: _named(one, name)))  # type: ignore[misc]
        return found

    def _effect(self, make: Act) -> tuple[type, dict[str, Term | None]] | None:
        value = self.translator.call(make, (SNAPSHOT, EVENT))
        made = value.made if isinstance(value, Parts) else make.__annotations__.get("return")
        names = self.watched.get(made) if isinstance(made, type) else None
        if names is None or not isinstance(made, type):
            return None
        arguments: dict[str, Term | None] = {}
        for name in names:
            term = value.fields[name] if isinstance(value, Parts) else value
            arguments[name] = term if isinstance(term, Term) else None
        return made, arguments

    def _leave_out(self) -> None:
        """Keep only what guards and watched effects turn on."""
        asked = {path for _, term in self.translator.macros.values() for path in term.reads}
        asked |= {path for told in self.rows.values() if isinstance(told.guard, Term) for path in told.guard.reads}
        asked |= {path for told in self.rows.values() for _, args in told.effects for term in args.values() if term for path in term.reads}
        while more := {path for of in asked for path in self._turned_on.get(of, ())} - asked:
            asked |= more
        unread = set()
        for one in self.shape.variables():
            if one.path not in asked and not one.path.endswith(".state"):
                unread.add(one.path)
        self.shape.unread = frozenset(unread)

    def _find_flags(self) -> None:
        """The ids of which only whether they are empty is asked, by any way."""
        apart = set(self._told_apart)
        ids = {one.path for one in self.shape.variables() if one.kind.name == "ids"}
        watched = {path for told in self.rows.values() for _, args in told.effects for term in args.values() if term for path in term.reads}
        apart |= watched
        while more := {path for of in apart & ids for path in self._turned_on.get(of, ())} - apart:
            apart |= more
        self.shape.flags = frozenset(ids - apart)

    def _live(self, region: Region, mine: set[str]) -> dict[State, set[str]]:
        """For each state the paths of the region that may still be read from it on."""
        live = {state: self._read_in(region, state, mine) for state in region.states}
        sets = {row: self._set_by(row, mine) for row in region.rows}
        changed = True
        while changed:
            changed = False
            for row in region.rows:
                more = (live[row.then.target or row.state] - sets[row]) - live[row.state]
                live[row.state] |= more
                changed = changed or bool(more)
        return live

    def _set_by(self, row: Row, mine: set[str]) -> set[str]:
        """Which of these paths a row sets anew."""
        names = {f"{row.region}.{name}" for update in row.then.updates for name in fields_set_by(update)}
        return {path for path in mine if ".".join(path.split(".")[:2]) in names}

    def _read_in(self, region: Region, state: State, mine: set[str]) -> set[str]:
        """What of a region is read while it is in `state`, by its own rows of that state or by any row of another region."""
        plain = Translator(self.shape, self.events, self.given, named=False, states={region.name: state})
        found: set[str] = set()
        guards: dict[Any, Value] = {}
        for row, told in self.rows.items():
            if (row.region == region.name and row.state is not state) or found >= mine:
                continue
            terms = [term for _, term in told.sets] + [arg for _, args in told.effects for arg in args.values() if arg]
            read = {path for term in terms for path in term.reads} & mine
            asked = mine & told.guard.reads if isinstance(told.guard, Term) else set()
            if not read - found and not asked - found:
                continue
            if row.guard not in guards:
                guards[row.guard] = plain.guard(row.guard)
            guard = guards[row.guard]
            if guard == FALSE:
                continue
            found |= read | (mine & guard.reads if isinstance(guard, Term) else set())
        return found


def _of_several(value: Value, place: int) -> Value:
    if isinstance(value, Unclear):
        return value
    return seq.at(seq.sequence(value), place)


def _size(value: Value) -> Value:
    return value.size if isinstance(value, Sequence) else value


def _at(value: Value, place: int) -> Value:
    """The item at `place`, blank beyond the end."""
    if not isinstance(value, Sequence):
        return value
    if place >= len(value.items):
        return Known(None)
    there = seq.counts(value, place)
    return choose(there, value.items[place], Known(None))


def _named(value: Value, name: str) -> Value:
    """A field of an item, blank for none."""
    if isinstance(value, Parts) and name:
        return value.fields[name]
    return value
