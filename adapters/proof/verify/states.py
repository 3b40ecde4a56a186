"""The call's states made finite: snapshots without times and with plain ids, so that states that differ in nothing else are one.

What is taken out, and why nothing is lost by it:

- **Times.** A deadline that runs is `LATER`, one of a state that lasts 0 ms is `NOW`, and epochs are 0. So deadlines may fire in any order,
  which is more than a clock allows.
- **Ids.** The tables only ask whether two ids are equal, so response ids become r1, r2, … in the order in which a snapshot
  holds them, tool ids t1, t2, …, sentences 1, 2, … An id that no field holds any more is as good as a new one.
- **Fields that nothing reads.** `READ_IN` says for each in which states it is read; in others it has its default. In `OVER` none is read.
- **Words.** Texts are one text, and of the digits of an entry without a fixed length only whether there are any.
"""

from collections.abc import Callable, Iterable
from operator import attrgetter
from typing import Any

import attrs

from fsm.call import states
from fsm.call.effects import Cause
from fsm.call.policy import Policy
from fsm.call.snapshot import Call, Sentence, Spoken
from fsm.engine.machine import Machine
from fsm.engine.notation import NEVER, Record, State

NOW, LATER = 0.0, 1.0
"""When a deadline is due: at once, before anything else can happen; or at some time."""

READ_IN: dict[tuple[str, str], tuple[State, ...]] = {
    ("hangup", "id"): (states.GOODBYE,),
    ("hangup", "reason"): (),
    ("hangup", "detail"): (),
    ("response", "unsent"): (states.CANCEL_IN_FLIGHT, states.CANCEL_UNSENT),
    ("asking", "cause"): (states.PREPARING, states.PAUSED, states.OWED, states.WANTED, states.DUE),
    ("asking", "instructions"): (),
    ("synthesis", "text"): (),
}
"""(region, field): the states in which a guard or an update reads it; effects alone may read it elsewhere."""
CAUSES = (Cause.GREETING, Cause.FAREWELL, Cause.NOTICE)
"""The causes that a guard tells from the others."""
_ID_FIELDS = ("id", "next_id", "arrived_id", "response_id")


class States:
    """The finite states of one machine under one policy: a node holds a number for each region's record, and interns them.

    `still` names regions that are taken as they are at `start` and never move; whoever explores leaves out what would move them.
    """

    def __init__(
        self, machine: Machine[Call], policy: Policy, start: Call, still: Iterable[str] = (), unread: Iterable[tuple[str, str]] = ()
    ) -> None:
        self.machine = machine
        self.policy = policy
        self.names = [region.name for region in machine.regions]
        self.records: list[Any] = []
        self.urgent: list[bool] = []
        """For each record, is it due at once?"""
        self.ids: list[tuple[str, ...]] = []
        """For each record the response ids that it holds."""
        self._unread = frozenset(unread)
        self._now: Callable[[Call], tuple[Record, ...]] = attrgetter(*self.names)
        self._number: dict[Record, int] = {}
        self._plain: list[dict[tuple[Record, float], int]] = [{} for _ in self.names]
        self._renamed: dict[tuple[int, tuple[str, ...]], int] = {}
        self._with_ids = [place for place, region in enumerate(machine.regions) if _holds_ids(region.record)]
        self._still = {place: getattr(start, name) for place, name in enumerate(self.names) if name in set(still)}
        self._memory = self.names.index("memory") if "memory" in self.names else -1
        self._readers = [self.names.index(name) for name in ("playout", "synthesis") if name in self.names]
        self._order = [self.names.index(field.name) if field.name in self.names else None for field in attrs.fields(Call)]
        self._fixed = [getattr(start, field.name) for field in attrs.fields(Call)]

    def call(self, numbers: tuple[int, ...]) -> Call:
        """The snapshot of a node."""
        records = self.records
        pairs = zip(self._order, self._fixed, strict=True)
        return Call(*[fixed if place is None else records[numbers[place]] for place, fixed in pairs])

    def settle(self, call: Call, at_ms: float, since: tuple[int, ...] = ()) -> tuple[tuple[int, ...], tuple[str, ...]]:
        """A snapshot as it is after an event at `at_ms`, made plain: a number a region, and the names that its ids had, in their new order.

        `since` is the node before the event, whose records are known to be plain.
        """
        records, now = self.records, self._now(call)
        if since:
            pairs = enumerate(zip(now, since, strict=True))
            numbers = [was if records[was] is record else self._plainly(place, record, at_ms) for place, (record, was) in pairs]
        else:
            numbers = [self._plainly(place, record, at_ms) for place, record in enumerate(now)]
        self._forget_memory(numbers)
        old: dict[str, None] = {}
        for place in self._with_ids:
            for name in self.ids[numbers[place]]:
                old[name] = None
        names = tuple(old)
        if names != _CANONICAL[: len(names)]:
            new = dict(zip(names, _CANONICAL, strict=False))
            for place in self._with_ids:
                numbers[place] = self._rename(numbers[place], new)
        return tuple(numbers), names

    def _plainly(self, place: int, record: Record, at_ms: float) -> int:
        known = self._plain[place]
        number = known.get((record, at_ms))
        if number is None:
            plain = self._made_plain(self.names[place], record, at_ms)
            still = self._still.get(place) if plain.state is not states.OVER else None
            number = known[record, at_ms] = self._intern(still or plain)
        return number

    def _intern(self, record: Record) -> int:
        number = self._number.get(record)
        if number is None:
            number = self._number[record] = len(self.records)
            self.records.append(record)
            self.urgent.append(record.due_ms == NOW)
            self.ids.append(_ids_of(record))
        return number

    def _made_plain(self, region: str, record: Any, at_ms: float) -> Any:
        if record.state is states.OVER or record.state is states.CLOSED:
            return type(record)(state=record.state)
        due_ms = record.due_ms
        if due_ms != NEVER and (record.epoch or due_ms not in (NOW, LATER)):
            due_ms = NOW if due_ms <= at_ms else LATER
        changes: dict[str, Any] = {"epoch": 0, "due_ms": due_ms}
        defaults = {field.name: field.default for field in attrs.fields(type(record))}
        for name in defaults:
            if (region, name) in self._unread or record.state not in READ_IN.get((region, name), (record.state,)):
                changes[name] = defaults[name]
        return _with_plain_words(attrs.evolve(record, **changes), self.policy)

    def _forget_memory(self, numbers: list[int]) -> None:
        """What was spoken of an earlier response is read no more: only of one that is heard, or whose sentences come, it would be."""
        if self._memory < 0:
            return
        memory = self.records[numbers[self._memory]]
        held = self.ids[numbers[self._memory]]
        if memory.state is states.IN_STEP and held and not any(held[0] in self.ids[numbers[place]] for place in self._readers):
            numbers[self._memory] = self._intern(type(memory)())

    def _rename(self, number: int, new: dict[str, str]) -> int:
        held = self.ids[number]
        if not held:
            return number
        names = tuple(new[name] for name in held)
        renamed = self._renamed.get((number, names))
        if renamed is None:
            renamed = self._renamed[number, names] = self._intern(_with_ids(self.records[number], new))
        return renamed


_CANONICAL = tuple(f"r{number}" for number in range(1, 100))


def _holds_ids(record: type[Record]) -> bool:
    return any(field.name in (*_ID_FIELDS, "ended", "queue") for field in attrs.fields(record))


def _ids_of(record: Any) -> tuple[str, ...]:
    """The response ids of a record, each once, in the order of its fields."""
    found: dict[str, None] = {}
    for field in attrs.fields(type(record)):
        value = getattr(record, field.name)
        if field.name in _ID_FIELDS and value:
            found[value] = None
        elif field.name == "ended":
            found.update(dict.fromkeys(value))
        elif field.name == "queue":
            found.update(dict.fromkeys(sentence.response_id for sentence in value))
    return tuple(found)


def _with_ids(record: Any, new: dict[str, str]) -> Any:
    """The record with its response ids renamed."""
    changes: dict[str, Any] = {}
    for field in attrs.fields(type(record)):
        value = getattr(record, field.name)
        if field.name in _ID_FIELDS and value:
            changes[field.name] = new[value]
        elif field.name == "ended":
            changes["ended"] = tuple(new[name] for name in value)
        elif field.name == "queue":
            changes["queue"] = tuple(attrs.evolve(sentence, response_id=new[sentence.response_id]) for sentence in value)
    renamed = attrs.evolve(record, **changes)
    return _with_plain_session(renamed)


def _with_plain_words(record: Any, policy: Policy) -> Any:
    """The record with sentences, tools, items and digits made plain."""
    fields = {field.name for field in attrs.fields(type(record))}
    if "pending" in fields:
        record = attrs.evolve(record, pending=tuple(f"t{number}" for number in range(1, len(record.pending) + 1)))
    if "waiting" in fields:
        record = attrs.evolve(record, waiting=("",) * len(record.waiting))
    if "spoken" in fields:
        record = attrs.evolve(record, spoken=(Spoken("", 0.0),) * len(record.spoken))
    if "digits" in fields and not policy.dtmf_digits:
        record = attrs.evolve(record, digits=record.digits[:1])
    if "recoveries" in fields and record.item_id:
        record = attrs.evolve(record, item_id="u")
    if "cause" in fields and record.cause not in CAUSES:
        record = attrs.evolve(record, cause=Cause.USER_TURN)
    if "queue" in fields:
        waiting = enumerate(record.queue, start=2)
        record = attrs.evolve(record, queue=tuple(Sentence(one.response_id, number, "", one.item_id) for number, one in waiting))
    return _with_plain_session(record)


def _with_plain_session(record: Any) -> Any:
    if not getattr(record, "session_id", ""):
        return record
    return attrs.evolve(record, session_id=f"call.{record.response_id}.1")
