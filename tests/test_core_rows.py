"""Claims about the claims: every declared row is taken by one, and each row, guard and act is missed by one when it is gone.

A row that no test misses is a rule that nobody keeps. The claims are the tests without parameters of the modules in `CLAIMS`; each is
run again on a machine that lacks one thing, if it took that row, until one of them fails.
"""

from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import attrs
import core
import pytest
import test_core_asking
import test_core_cancel
import test_core_hangup
import test_core_interruption
import test_core_playout
import test_core_waiting

from fsm import CALL, Call
from fsm.engine.checks import faults_of
from fsm.engine.machine import Machine
from fsm.engine.notation import Declared, Region, State, region

CLAIMS = (test_core_cancel, test_core_interruption, test_core_asking, test_core_playout, test_core_hangup, test_core_waiting)
Claim = Callable[[], None]
Place = tuple[str, int]

UNREACHED = {
    f"{row}/InterruptionExpired/protected"
    for row in (
        "playout:ADMITTED|VOICELESS|ONSET|PLAYING|TAIL|STARVED",
        "synthesis:SYNTHESISING|AHEAD",
        "response:REQUESTED",
        "response:IN_PROGRESS",
        "memory:IN_STEP|POSITION_AWAITED",
        "phase:GREETING_LOCK|AI_SPEAKING",
        "hangup:GOODBYE",
    )
}
"""Rows that no call takes: no suspicion begins while the greeting is protected, and a greeting is asked for only when nobody speaks.

They keep each table right by itself; that they are not taken is a claim too.
"""


@attrs.frozen
class Seen:
    """A claim, the declared rows that it takes, and what it meets."""

    claim: Claim
    rows: frozenset[Place]
    met: frozenset[tuple[str, State, type]]


@cache
def claims() -> tuple[Seen, ...]:
    """All claims, the shortest first."""
    found: list[Seen] = []
    for module in CLAIMS:
        for name, claim in vars(module).items():
            if name.startswith("test_") and callable(claim):
                core.taken.clear()
                core.met.clear()
                claim()
                found.append(Seen(claim, frozenset((row.region, row.declared) for row in core.taken), frozenset(core.met)))
    return tuple(sorted(found, key=_size))


def _size(seen: Seen) -> int:
    return len(seen.met)


def takes(seen: Seen, place: Place) -> bool:
    """Does the claim take the row?"""
    return place in seen.rows


def meets(seen: Seen, place: Place) -> bool:
    """Does the claim meet a pair that the row might answer?"""
    declared = table_of(place).declared[place[1]]
    states = {state for region_name, state, event in seen.met if region_name == place[0] and issubclass(event, declared.events)}
    return not states.isdisjoint(declared.states)


def table_of(place: Place) -> Region:
    """The region of a row."""
    return next(table for table in CALL.regions if table.name == place[0])


def name_of(table: Region, number: int) -> str:
    """A declared row in words."""
    declared = table.declared[number]
    states, events = "|".join(map(repr, declared.states)), "|".join(event.__name__ for event in declared.events)
    return f"{table.name}:{states}/{events}/{declared.guard.__name__}"


def replaced(table: Region, number: int, by: Declared | None) -> Region:
    """The region with another row in that place, or with none."""
    rows = [*table.declared[:number], *([by] if by else []), *table.declared[number + 1 :]]
    return region(table.name, *rows, doc=table.doc, record=table.record, states=table.states, expired=table.expired)


def holds(_: object, __: object) -> bool:
    """A guard that always holds, and is not known to."""
    return True


def mutants(table: Region, number: int) -> Iterator[tuple[str, Region]]:
    """The region with one row gone, its guard gone, or one of its acts gone."""
    declared, name = table.declared[number], name_of(table, number)
    yield f"{name} gone", replaced(table, number, None)
    if declared.guard.__name__ != "always":
        yield f"{name}: guard gone", replaced(table, number, attrs.evolve(declared, guard=holds))
    if declared.then.target is not None:
        yield f"{name}: target gone", replaced(table, number, attrs.evolve(declared, then=attrs.evolve(declared.then, target=None)))
    for place, act in enumerate(declared.then.acts):
        acts = declared.then.acts[:place] + declared.then.acts[place + 1 :]
        yield f"{name}: {act.__name__} gone", replaced(table, number, attrs.evolve(declared, then=attrs.evolve(declared.then, acts=acts)))


def missed(mutant: Region, place: Place) -> bool:
    """Does the check of the tables, or any claim that takes the row, fail on the mutant?"""
    if any("nothing answers" in fault or "no row acts" in fault for fault in faults_of(mutant, CALL.events)):
        return True
    machine: Machine[Call] = Machine(Call, [mutant if table.name == mutant.name else table for table in CALL.regions], CALL.events)
    with core.running(machine):
        return any(_fails(seen.claim) for seen in claims() if takes(seen, place)) or any(
            _fails(seen.claim) for seen in claims() if meets(seen, place) and not takes(seen, place)
        )


def _fails(claim: Claim) -> bool:
    try:
        claim()
    except Exception:
        return True
    return False


@pytest.mark.parametrize("table", CALL.regions, ids=[table.name for table in CALL.regions])
def test_every_row_is_taken_by_a_claim(table: Region) -> None:
    taken = {place for seen in claims() for place in seen.rows}
    never = [name_of(table, number) for number in range(len(table.declared)) if (table.name, number) not in taken]
    assert not UNREACHED.intersection(name_of(table, number) for name, number in taken if name == table.name)
    never = [name for name in never if name not in UNREACHED]
    assert not never, "\n".join(["rows that no claim takes:", *never])


@pytest.mark.parametrize("table", CALL.regions, ids=[table.name for table in CALL.regions])
def test_every_row_guard_and_act_is_missed_when_it_is_gone(table: Region, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fsm.engine.machine.check", _unchecked)
    found = [
        name
        for number in range(len(table.declared))
        for name, mutant in mutants(table, number)
        if name.removesuffix(" gone") not in UNREACHED and not missed(mutant, (table.name, number))
    ]
    assert not found, "\n".join(["nobody misses:", *found])


def _unchecked(*_: Any) -> None:
    """Mutants need not be sound."""
