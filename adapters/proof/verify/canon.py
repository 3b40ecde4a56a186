"""The call's and the world's states made finite: without times and with plain ids, so that states that differ in nothing else are one.

- **Times.** A deadline that runs is due at `DUE`, and epochs are 0: deadlines may fire in any order, which is more than a clock allows.
  The times of debts are their ranks.
- **Ids.** Responses are r1, r2, …, turns u1, u2, … in the order of their birth; those that nobody holds any more are as good as new.
- **Fields that nothing reads** (`reads`) have their default, and so has everything in `OVER`.
"""

import re
from operator import attrgetter
from typing import Any

import attrs

from adapters.proof.verify.alphabet import DUE
from adapters.proof.world import Tool, World, is_past, without
from fsm.call import states
from fsm.call.snapshot import Call, Debt
from fsm.engine.machine import Machine
from fsm.engine.notation import NEVER, State

_ID = re.compile(r"\b([ru])(\d+)")
Names = tuple[tuple[str, str], ...]
"""Old ids with the new ones."""


class Canon:
    """The finite states of one machine: each record, and each world, has a number. `still` are regions that stay as they are in `start`."""

    def __init__(self, machine: Machine[Call], start: Call, still: frozenset[str], unread: frozenset[tuple[str, str]]) -> None:
        self.names = [region.name for region in machine.regions]
        self._records = attrgetter(*self.names)
        self.things: list[Any] = []
        self.ids: list[frozenset[str]] = []
        self._unread = unread
        self._number: dict[Any, int] = {}
        self._plain: dict[Any, int] = {}
        self._renamed: dict[tuple[int, Names], int] = {}
        self._still = {name: getattr(start, name) for name in still}
        self._order = [self.names.index(field.name) if field.name in self.names else None for field in attrs.fields(Call)]
        self._fixed = [getattr(start, field.name) for field in attrs.fields(Call)]

    def call(self, numbers: tuple[int, ...]) -> Call:
        """The snapshot of a node."""
        things = self.things
        return Call(*[fixed if place is None else things[numbers[place]] for place, fixed in zip(self._order, self._fixed, strict=True)])

    def world(self, numbers: tuple[int, ...]) -> World:
        """The world of a node."""
        world: World = self.things[numbers[-1]]
        return world

    def known(self, numbers: tuple[int, ...]) -> frozenset[str]:
        """The ids that the call holds."""
        ids = self.ids
        return frozenset().union(*[ids[number] for number in numbers[:-1]])

    def settle(self, call: Call, world: World, since: tuple[int, ...] = ()) -> tuple[tuple[int, ...], Names]:
        """The numbers of a call's records and of its world, made plain, and how its ids were renamed; `since`: those before."""
        things = self.things
        records = self._records(call)
        if since:
            pairs = zip(self.names, records, since, strict=False)
            numbers = [was if things[was] is record else self._plainly(name, record) for name, record, was in pairs]
        else:
            numbers = [self._plainly(name, record) for name, record in zip(self.names, records, strict=True)]
        ids = self.ids
        held: set[str] = set()
        for number in numbers:
            held |= ids[number]
        world = without(world, [answer.id for answer in world.answers if answer.id not in held and is_past(answer)])
        if world.tools:
            world = world._replace(tools=tuple([tool for tool in world.tools if _matters(tool, world, held)]))
        numbers.append(self._intern(world))
        held |= ids[numbers[-1]]
        names = _compressed(held)
        if names:
            numbers = [self._rename(number, names) for number in numbers]
        return tuple(numbers), names

    def _plainly(self, name: str, record: Any) -> int:
        number = self._plain.get(record)
        if number is None:
            number = self._plain[record] = self._intern(self._made_plain(name, record))
        return number

    def _made_plain(self, name: str, record: Any) -> Any:
        if record.state is states.OVER or record.state is states.CLOSED:
            return type(record)(state=record.state)
        if name in self._still:
            return self._still[name]
        changes: dict[str, Any] = {"epoch": 0, "due_ms": NEVER if record.due_ms == NEVER else DUE}
        for field in attrs.fields(type(record)):
            if (name, field.name) in self._unread:
                changes[field.name] = field.default
        record = attrs.evolve(record, **changes)
        return _with_ranks(record) if name == "pending" else record

    def _intern(self, thing: Any) -> int:
        number = self._number.get(thing)
        if number is None:
            number = self._number[thing] = len(self.things)
            self.things.append(thing)
            self.ids.append(frozenset(ids_of(thing)))
        return number

    def _rename(self, number: int, names: Names) -> int:
        held = self.ids[number]
        mine = tuple([pair for pair in names if pair[0] in held and pair[0] != pair[1]])
        if not mine:
            return number
        renamed = self._renamed.get((number, mine))
        if renamed is None:
            renamed = self._renamed[number, mine] = self._intern(rename(self.things[number], dict(mine)))
        return renamed


def _matters(tool: Tool, world: World, held: set[str]) -> bool:
    return tool.how in ("told", "runs") or tool.response_id in held or world.answer(tool.response_id) is not None


def _compressed(held: set[str]) -> Names:
    """How the ids must be called, each kind from 1 on in its order; empty if they are."""
    names = []
    plain = True
    for kind in "ru":
        numbers = sorted([int(name[1:]) for name in held if name[0] == kind])
        names += [(f"{kind}{was}", f"{kind}{now}") for now, was in enumerate(numbers, start=1)]
        plain = plain and (not numbers or numbers[-1] == len(numbers))
    return () if plain else tuple(names)


def _with_ranks(record: Any) -> Any:
    times = sorted({debt.at_ms for debt in (*record.owed, *record.asked)})
    if times == list(range(len(times))):
        return record
    rank = {at_ms: float(place) for place, at_ms in enumerate(times)}

    def ranked(debts: tuple[Debt, ...]) -> tuple[Debt, ...]:
        return tuple(attrs.evolve(debt, at_ms=rank[debt.at_ms]) for debt in debts)

    return attrs.evolve(record, owed=ranked(record.owed), asked=ranked(record.asked))


def ids_of(value: Any) -> set[str]:
    """The response and turn ids in any value."""
    if isinstance(value, str):
        return {kind + number for kind, number in _ID.findall(value)} if value[:1] in "ruc" else set()
    if isinstance(value, tuple | frozenset):
        return set().union(*[ids_of(one) for one in value])
    if attrs.has(type(value)) and not isinstance(value, type):
        return set().union(*[ids_of(getattr(value, field.name)) for field in attrs.fields(type(value))])
    return set()


def rename(value: Any, names: dict[str, str]) -> Any:
    """Any value with its ids renamed."""
    if isinstance(value, str):
        if not value or value[0] not in "ruc" or type(value) is not str:
            return value
        return _ID.sub(lambda found: names.get(found[0], found[0]), value)
    if isinstance(value, tuple | frozenset):
        renamed = [rename(one, names) for one in value]
        return type(value)(*renamed) if hasattr(value, "_fields") else type(value)(renamed)
    if attrs.has(type(value)) and not isinstance(value, State):
        changes = {}
        for field in attrs.fields(type(value)):
            was = getattr(value, field.name)
            now = rename(was, names)
            if now is not was:
                changes[field.name] = now
        return attrs.evolve(value, **changes) if changes else value
    return value
