"""Random walks through `step` and through spin's interpreter of the model: both must take every region to the same state."""

import random
from collections import Counter
from collections.abc import Iterable, Iterator
from functools import partial
from typing import Any

import attrs

from adapters.promela.model import Model
from adapters.promela.processes import BEGIN, EVENT, FIRST
from adapters.promela.spin import simulate
from fsm.engine.machine import Machine
from fsm.engine.notation import NEVER, Row

TRIES = 24
"""How many events are drawn, of which one happens."""
LAST = 0.15
"""The part of a walk, its last, in which an event may end all."""


@attrs.frozen
class Walk:
    """One walk: its events, the numbers that tell them to the model, and after each the names of the states of all regions."""

    events: tuple[Any, ...]
    script: str
    states: tuple[tuple[str, ...], ...]


@attrs.frozen
class Difference:
    """Where the two differ: after event number `at`, from 0, of a walk."""

    walk: Walk
    at: int
    spins: list[str]


def walks(model: Model, machine: Machine[Any], seed: int, count: int, length: int, *, named: bool = False) -> list[Walk]:
    """Random walks of `length` events each through `machine`, from the model's starting snapshot; they seek rows that few events took.

    With `named` the scripts are for a model that names ids anew after each event.
    """
    walker = _Walker(model, machine, random.Random(seed), named)
    return [walker.walked(length) for _ in range(count)]


def difference(model: Model, walked: Iterable[Walk], *, named: bool = False) -> Difference | None:
    """Run the walks through spin, all in one run; where the states first differ, if they do. Raises as `simulate` does."""
    walked = tuple(walked)
    spins = iter(simulate(model, "".join(BEGIN + one.script for one in walked) + ".", named=named))
    for one in walked:
        for at, states in enumerate(one.states):
            said = next(spins, [])
            if said != list(states):
                return Difference(one, at, said)
    return None


@attrs.define
class _Walker:
    model: Model
    machine: Machine[Any]
    draw: random.Random
    named: bool
    now_ms: float = 0.0
    taken: Counter[Row] = attrs.field(factory=Counter)
    """How often each row was taken."""
    held: tuple[Any, dict[str, list[str]]] = (None, {})
    """A snapshot and the ids that it holds, by their sort."""

    def walked(self, length: int) -> Walk:
        self.now_ms = 0.0
        snapshot, begins = self.model.tables.start, list(self.model.world.begins)
        events: list[Any] = []
        script: list[str] = []
        states: list[tuple[str, ...]] = []
        for left in range(length, 0, -1):
            event, numbers = self._next(snapshot, begins.pop(0) if begins else None, left < length * LAST)
            script.append(EVENT + "".join(chr(FIRST + number) for number in [*numbers, *self._chosen(snapshot, event)]))
            snapshot, _, rows = self.machine.step(snapshot, event)
            self.taken.update(row for row in rows if not row.ignores)
            events.append(event)
            states.append(tuple(repr(getattr(snapshot, region.name).state) for region in self.machine.regions))
        return Walk(tuple(events), "".join(script), tuple(states))

    def _next(self, snapshot: Any, kind: type | None, may_end: bool) -> tuple[Any, list[int]]:
        """An event with its numbers: of those that are drawn the one whose rarest row was taken least; what ends all comes last."""
        drawn = [self._drawn(snapshot, kind or self._kind(snapshot)) for _ in range(1 if kind else TRIES)]
        event, numbers = min(drawn, key=partial(self._dullness, snapshot, may_end))
        self.now_ms = max(self.now_ms, event.at_ms)
        return event, numbers

    def _dullness(self, snapshot: Any, may_end: bool, drawn: tuple[Any, list[int]]) -> float:
        """How often the rarest row that acts on an event was taken; endless for one that moves nothing, or ends all too soon."""
        answer = self.machine.step(snapshot, drawn[0])
        ends = any(row.then.target in self.model.rules.ends for row in answer.rows)
        acting = [self.taken[row] for row in answer.rows if not row.ignores]
        return min(acting, default=NEVER) if may_end or not ends else NEVER

    def _kind(self, snapshot: Any) -> type:
        """The class of an event; of those that deadlines post mostly that of the nearest, as it would be in a call."""
        kind = self.draw.choice(self.machine.events)
        waiting = [(getattr(snapshot, region.name).due_ms, place) for place, region in enumerate(self.machine.regions)]
        nearest, place = min(waiting)
        if any(region.expired is kind for region in self.machine.regions) and nearest < NEVER and self.draw.random() < 0.9:
            return self.machine.regions[place].expired
        return kind

    def _drawn(self, snapshot: Any, kind: Any) -> tuple[Any, list[int]]:
        expires = next((region for region in self.machine.regions if region.expired is kind), None)
        given: dict[str, Any] = {"at_ms": self.now_ms + self.draw.choice((0, 10))}
        stale = 0
        if expires is not None:
            record = getattr(snapshot, expires.name)
            stale = int(record.due_ms == NEVER or self.draw.random() < 0.15)
            given["epoch"] = record.epoch - (stale if self.draw.random() < 0.7 or record.due_ms <= self.now_ms else 0)
            given["at_ms"] = self.now_ms if stale else max(self.now_ms, record.due_ms)
        numbers = [self.machine.events.index(kind) + 1, stale]
        for name in self.model.world.told:
            number = 0
            if name in self.model.world.reads[kind]:
                number, given[name] = self.draw.choice(list(self.model.world.values(kind, name).items()))
                number = self._name(snapshot, name, given[name], number) if self.named else number
            numbers.append(number)
        for field in attrs.fields(kind):
            if field.name not in given and field.default is attrs.NOTHING:
                given[field.name] = _PLAIN.get(field.type, "")
        return kind(**given), numbers

    def _name(self, snapshot: Any, field: str, value: Any, number: int) -> int:
        """What an id is named at present: by its place among those that are held, or next to them."""
        if self.held[0] is not snapshot:
            self.held = snapshot, self.model.world.ids_held(snapshot)
        sort, held = self.model.world.term(field).kind.of, self.held[1]
        if sort not in held or not value:
            return number
        return held[sort].index(value) + 1 if value in held[sort] else len(held[sort]) + 1

    def _chosen(self, snapshot: Any, event: Any) -> Iterator[int]:
        """What the guards that the model chooses say; one that is not made for the event says nothing that counts."""
        for guard in self.model.tables.translator.chosen:
            try:
                yield int(guard(snapshot, event))
            except AttributeError:
                yield 0


_PLAIN: dict[Any, Any] = {int: 1, float: 0.0, bool: False}
