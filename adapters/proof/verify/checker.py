"""The call's checker: every state that `step` reaches is explored, every rule judged, and a broken one comes with the way to it."""

import gc
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs

from adapters.proof.verify.model import Model, Node
from adapters.proof.verify.scopes import Plan
from adapters.proof.verify.trace import Retold
from fsm.call.machine import CALL
from fsm.call.snapshot import Call
from fsm.engine.explore import Fault, Space, explore, livelock
from fsm.engine.machine import Machine
from fsm.engine.notation import Region, Row

ROUNDS = 12
"""How many deadlines of a livelock are shown."""
LIVELOCK = "time alone leads back to this state for ever (R78)"

Watch = Callable[["Progress"], None]


@attrs.frozen
class Progress:
    """How far an exploration is."""

    plan: Plan
    states: int
    explored: int
    steps: int
    seconds: float
    depth: int


@attrs.frozen
class Violation:
    """A broken rule, and the shortest way to it as a call."""

    rule: str
    plan: Plan
    retold: Retold


@attrs.frozen
class Checked:
    """What came of one plan."""

    plan: Plan
    states: int
    steps: int
    seconds: float
    depth: int
    complete: bool
    """Was everything within the scope explored?"""
    explored: int
    """How many states were explored: all of them, or the nearest."""
    violations: tuple[Violation, ...]
    rows: frozenset[Row]
    """The rows that answered at least once."""


def check(plan: Plan, machine: Machine[Call] = CALL, *, most: int | None = None, watch: Watch | None = None) -> Checked:
    """Explore one plan to its end, or to its `most` nearest states."""
    began_s = time.perf_counter()
    model = Model(machine, plan.policy, plan.scope)

    def tell(space: Space[Node], at: int) -> None:
        if watch is not None:
            watch(Progress(plan, len(space.nodes), at, model.steps, time.perf_counter() - began_s, space.depth[at]))

    with _uncollected():
        space = explore(model.start, model.moves, model.faults, most=most or plan.most, watch=tell)
    faults = list(space.faults)
    for node in (livelock(space, model.waits), livelock(space, model.urgent_waits, model.stands)):
        if node is not None:
            faults.append(Fault(LIVELOCK, node, None))
    return Checked(
        plan=plan,
        states=len(space.nodes),
        steps=model.steps,
        seconds=time.perf_counter() - began_s,
        depth=max(space.depth),
        complete=space.complete,
        explored=len(space.waits),
        violations=tuple(_violation(machine, plan, space, fault) for fault in faults),
        rows=frozenset(row for rows in model.rows for row in rows),
    )


def dead_rows(machine: Machine[Call], taken: Iterable[Row]) -> list[str]:
    """The declared rows that never answered in any of their states and events."""
    alive = {(row.region, row.declared) for row in taken}
    numbered = [(region, number) for region in machine.regions for number in range(len(region.declared))]
    return [_declared(region, number) for region, number in numbered if (region.name, number) not in alive]


def in_words(checked: Checked) -> str:
    """One plan, in a line."""
    rate = checked.steps / max(checked.seconds, 1e-9)
    end = "" if checked.complete else f"   stopped at {checked.explored:,} states"
    return (
        f"{checked.states:>9,} states {checked.steps:>11,} steps {checked.seconds:>6.1f} s {rate:>8,.0f} steps/s"
        f"   {checked.depth:>3} deep   {checked.plan.name}{end}"
    )


def report(violations: Iterable[Violation], folder: Path) -> Iterator[str]:
    """Each violation in words; its trace is written to `folder`."""
    for number, violation in enumerate(violations, start=1):
        path = folder / f"{number}_{violation.plan.scope.name}.trace"
        violation.retold.write(path, violation.plan.policy)
        yield f"BROKEN  {violation.rule}"
        yield f"        {violation.plan.name}; callfsm replay {path}"
        yield from (f"    {line}" for line in violation.retold.lines())


@contextmanager
def _uncollected() -> Iterator[None]:
    """Without the garbage collector: nothing here is garbage, and looking for it takes a third of the time."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


def _violation(machine: Machine[Call], plan: Plan, space: Space[Node], fault: Fault) -> Violation:
    retold = Retold(machine, plan.policy, plan.scope)
    for label in space.way_to(fault.node):
        retold.follow(label)
    if fault.label is not None:
        retold.follow(fault.label)
    if fault.rule == LIVELOCK:
        retold.wait(ROUNDS)
    return Violation(fault.rule, plan, retold)


def _declared(region: Region, number: int) -> str:
    declared: Any = region.declared[number]
    states, on = "|".join(map(repr, declared.states)), "|".join(event.__name__ for event in declared.events)
    return f"{region.name}:{states}/{on}/{declared.guard.__name__}"
