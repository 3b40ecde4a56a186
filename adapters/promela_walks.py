"""Random walks through `step` and through spin's interpreter of the model: both must take every region to the same state."""

import random
from collections.abc import Iterable, Iterator
from typing import Any

import attrs

from adapters.promela import Model
from adapters.promela_processes import BEGIN, EVENT, FIRST
from adapters.promela_spin import simulate
from fsm.engine.machine import Machine
from fsm.engine.notation import NEVER

TRIES = 12
"""How many events are drawn to find one that moves something."""


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


def walk(model: Model, machine: Machine[Any], seed: int, length: int) -> Walk:
    """A random walk of `length` events through `machine`, from the model's starting snapshot."""
    return _Walker(model, machine, random.Random(seed)).walked(length)


def difference(model: Model, walks: Iterable[Walk]) -> Difference | None:
    """Run the walks through spin, all in one run; where the states first differ, if they do. Raises as `simulate` does."""
    walks = tuple(walks)
    spins = iter(simulate(model, "".join(BEGIN + one.script for one in walks) + "."))
    for one in walks:
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
    now_ms: float = 0.0
    weights: list[int] = attrs.field(init=False)
    """For each event how often it is drawn: more often if more rows act on it."""

    def __attrs_post_init__(self) -> None:
        acting = [row for region in self.machine.regions for row in region.rows if not row.ignores and row.on in self.machine.events]
        self.weights = [1 + sum(row.on is event for row in acting) for event in self.machine.events]

    def walked(self, length: int) -> Walk:
        snapshot, begins = self.model.tables.start, list(self.model.world.begins)
        events: list[Any] = []
        script: list[str] = []
        states: list[tuple[str, ...]] = []
        for _ in range(length):
            event, numbers = self._next(snapshot, begins.pop(0) if begins else None)
            script.append(EVENT + "".join(chr(FIRST + number) for number in [*numbers, *self._chosen(snapshot, event)]))
            snapshot = self.machine.step(snapshot, event).snapshot
            events.append(event)
            states.append(tuple(repr(getattr(snapshot, region.name).state) for region in self.machine.regions))
        return Walk(tuple(events), "".join(script), tuple(states))

    def _next(self, snapshot: Any, kind: type | None) -> tuple[Any, list[int]]:
        """An event with its numbers: mostly one that moves something, and seldom one that ends all."""
        for _ in range(TRIES):
            event, numbers = self._drawn(snapshot, kind or self._kind(snapshot))
            answer = self.machine.step(snapshot, event)
            ends = any(getattr(answer.snapshot, region.name).state in self.model.rules.ends for region in self.machine.regions)
            if kind or (answer.snapshot is not snapshot and (not ends or self.draw.random() < 0.02)):
                break
        self.now_ms = event.at_ms if event.at_ms > self.now_ms else self.now_ms
        return event, numbers

    def _kind(self, snapshot: Any) -> type:
        """The class of an event; of those that deadlines post mostly that of the nearest, as it would be in a call."""
        (kind,) = self.draw.choices(self.machine.events, self.weights)
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
            numbers.append(number)
        for field in attrs.fields(kind):
            if field.name not in given and field.default is attrs.NOTHING:
                given[field.name] = _PLAIN.get(field.type, "")
        return kind(**given), numbers

    def _chosen(self, snapshot: Any, event: Any) -> Iterator[int]:
        """What the guards that the model chooses say; one that is not made for the event says nothing that counts."""
        for guard in self.model.tables.translator.chosen:
            try:
                yield int(guard(snapshot, event))
            except AttributeError:
                yield 0


_PLAIN: dict[Any, Any] = {int: 1, float: 0.0, bool: False}
