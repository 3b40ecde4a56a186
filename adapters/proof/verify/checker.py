"""The call's checker: what `step` reaches in a plan's world is explored, every rule judged, and a broken one comes with the way to it."""

import gc
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import combinations, product
from pathlib import Path
from typing import Any

import attrs

from adapters.proof.laws import Rule
from adapters.proof.smaller import smallest
from adapters.proof.verify.alphabet import Happening
from adapters.proof.verify.model import PATIENT, SETTLED, Model, Node
from adapters.proof.verify.plans import Plan
from adapters.proof.verify.trace import Retold
from fsm.call import states
from fsm.call.machine import CALL
from fsm.call.snapshot import Call
from fsm.engine.explore import Fault, Space
from fsm.engine.machine import Machine
from fsm.engine.notation import NEVER, Region, Row, State

ROUNDS = 300
"""More deadlines than a call may need to come to rest."""
SHOWN = 12
"""How many deadlines are shown of a call that never does."""

Watch = Callable[["Progress"], None]
Pair = tuple[str, str]


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
    way: tuple[Happening, ...]

    def retell(self, machine: Machine[Call] = CALL) -> Retold:
        """The way as a call of the machine in which it was found."""
        retold = Retold(machine, self.plan)
        for label in self.way:
            retold.follow(label)
        if self.rule == Rule.LIVELOCK:
            retold.wait(SHOWN)
        return retold


@attrs.frozen
class Checked:
    """What came of one plan."""

    plan: Plan
    states: int
    steps: int
    seconds: float
    depth: int
    complete: bool
    """Was everything within the plan explored?"""
    explored: int
    """How many states were explored: all of them, or the nearest."""
    rests_ms: float
    """The longest that deadlines alone need to bring a call of the plan to rest."""
    violations: tuple[Violation, ...]
    places: frozenset[tuple[str, int]]
    """The declared rows that answered at least once: region and number."""
    events: frozenset[type]
    """The kinds of events and signals that happened."""
    moved: frozenset[Pair]
    """The pairs of regions that moved in one step, other than by the call's end."""
    seen: frozenset[tuple[str, str, str, str]]
    """The pairs of states that stood side by side: region, state, region, state."""


def check(plan: Plan, machine: Machine[Call] = CALL, *, most: int | None = None, watch: Watch | None = None) -> Checked:
    """Explore one plan to its end, or to its `most` nearest states."""
    began_s = time.perf_counter()
    model = Model(machine, plan)

    def tell(space: Space[Node], at: int) -> None:
        if watch is not None:
            watch(Progress(plan, len(space.nodes), at, model.steps, time.perf_counter() - began_s, space.depth[at]))

    with _uncollected():
        space = model.explored(most, tell)
        rests_ms, restless = longest_rest(model, space)
    faults = [*space.faults, *([] if restless is None else [Fault(Rule.LIVELOCK, restless, None)])]
    return Checked(
        plan=plan,
        states=len(space.nodes),
        steps=model.steps,
        seconds=time.perf_counter() - began_s,
        depth=max(space.depth),
        complete=space.complete,
        explored=space.explored,
        rests_ms=rests_ms,
        violations=tuple(_violation(model, space, fault) for fault in faults),
        places=frozenset((row.region, row.declared) for rows in model.rows for row in rows),
        events=frozenset(model.kinds),
        moved=frozenset(pair for rows in model.rows for pair in combinations(dict.fromkeys(filter(None, map(_moves, rows))), 2)),
        seen=_side_by_side(model, space),
    )


def longest_rest(model: Model, space: Space[Node]) -> tuple[float, int | None]:
    """The longest that deadlines alone, on a clock, need from any state to bring the call to rest or its end, and a node that never rests.

    Each deadline that runs is taken to have just begun. Those that are no answer to a caller who waits are left out.
    """
    longest, done = 0.0, set()
    for number, node in enumerate(space.nodes):
        if node.numbers[:-1] in done:
            continue
        done.add(node.numbers[:-1])
        rests = rest_ms(model.machine, model.canon.call(node.numbers), model.plan.still)
        if rests == NEVER:
            return NEVER, number
        longest = max(longest, rests)
    return longest, None


def rest_ms(machine: Machine[Call], call: Call, still: frozenset[str]) -> float:
    """How long a call needs to come to rest with no event at all; `NEVER` if it does not."""
    for region in machine.regions:
        record = getattr(call, region.name)
        if record.due_ms != NEVER:
            call = attrs.evolve(call, **{region.name: attrs.evolve(record, due_ms=record.state.at_most(call))})
    now_ms = 0.0
    for _ in range(ROUNDS):
        running = [
            (record.due_ms, region, record.epoch)
            for region in machine.regions
            if (record := getattr(call, region.name)).due_ms != NEVER
            and not (region.name in PATIENT or region.name in still or record.state in SETTLED)
        ]
        if not running:
            return now_ms
        now_ms, region, epoch = min(running, key=lambda due: due[0])
        call = machine.step(call, region.expired(now_ms, epoch)).snapshot
    return NEVER


def dead_rows(machine: Machine[Call], taken: Iterable[tuple[str, int]]) -> list[str]:
    """The declared rows that never answered, given those that did, by region and number."""
    alive = set(taken)
    numbered = [(region, number) for region in machine.regions for number in range(len(region.declared))]
    return [_declared(region, number) for region, number in numbered if (region.name, number) not in alive]


def never_moved(checked: Iterable[Checked]) -> list[Pair]:
    """The pairs of regions of which no step moved both."""
    moved = {frozenset(pair) for one in checked for pair in one.moved}
    return [pair for pair in combinations([region.name for region in CALL.regions], 2) if frozenset(pair) not in moved]


def can_move(machine: Machine[Call] = CALL) -> set[frozenset[str]]:
    """The pairs of regions that some event moves both, as the tables say, other than by the call's end."""
    found: set[frozenset[str]] = set()
    for event in machine.events:
        kinds, moved = [event], set()
        for kind in kinds:
            rows = [row for region in machine.regions for row in region.rows if issubclass(kind, row.on)]
            moved |= set(filter(None, map(_moves, rows)))
            kinds += [signal for row in rows for signal in row.then.signals if signal not in kinds]
        found |= set(map(frozenset, combinations(moved, 2)))
    return found


def _moves(row: Row) -> str | None:
    """The region that a row moves, unless it ends."""
    return row.region if row.then.target is not None and _lives(row.then.target) else None


def never_seen(checked: Iterable[Checked]) -> tuple[int, int]:
    """How many pairs of states of two regions never stood side by side while the call lived, and how many there are."""
    seen = {pair for one in checked for pair in one.seen}
    live = {region.name: [state for state in region.states if _lives(state)] for region in CALL.regions}
    every = {(one, repr(a), two, repr(b)) for one, two in combinations(live, 2) for a, b in product(live[one], live[two])}
    return len(every - seen), len(every)


def in_words(checked: Checked) -> str:
    """One plan, in a line."""
    rate = checked.steps / max(checked.seconds, 1e-9)
    end = "" if checked.complete else f"   stopped at {checked.explored:,} states"
    return (
        f"{checked.states:>9,} states {checked.steps:>11,} steps {checked.seconds:>6.1f} s {rate:>8,.0f} steps/s"
        f"   {checked.depth:>3} deep   at rest in {checked.rests_ms / 1000:.1f} s   {checked.plan}{end}"
    )


def report(violations: Iterable[Violation], folder: Path, machine: Machine[Call] = CALL) -> Iterator[str]:
    """Each violation in words; its trace is written to `folder`."""
    for number, violation in enumerate(violations, start=1):
        path, retold = folder / f"{number}_{violation.plan.name}.trace", violation.retell(machine)
        retold.write(path, violation.plan.policy)
        yield f"BROKEN  {violation.rule}"
        yield f"        {violation.plan}; callfsm replay {path}"
        yield from (f"    {line}" for line in retold.lines())


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


def _violation(model: Model, space: Space[Node], fault: Fault) -> Violation:
    way = space.way_to(fault.node) + ([] if fault.label is None else [fault.label])
    if model.plan.steps and fault.rule != Rule.LIVELOCK:
        way = smallest(way, lambda kept: model.breaks(kept, fault.rule))
    return Violation(fault.rule, model.plan, tuple(way))


def _side_by_side(model: Model, space: Space[Node]) -> frozenset[tuple[str, str, str, str]]:
    names, things = model.canon.names, model.canon.things
    walked = [place for place, name in enumerate(names) if name not in model.plan.still]
    met = {tuple([things[node.numbers[place]].state for place in walked]) for node in space.nodes}
    found = set()
    for states_of in met:
        if states_of[names.index("phase")] in (states.CLOSING, states.CLOSED):
            continue
        for a, b in combinations(range(len(walked)), 2):
            found.add((walked[a], states_of[a], walked[b], states_of[b]))
    return frozenset((names[a], repr(one), names[b], repr(two)) for a, one, b, two in found)


def _lives(state: State) -> bool:
    return state not in (states.OVER, states.CLOSING, states.CLOSED)


def _declared(region: Region, number: int) -> str:
    declared: Any = region.declared[number]
    of, on = "|".join(map(repr, declared.states)), "|".join(event.__name__ for event in declared.events)
    return f"{region.name}:{of}/{on}/{declared.guard.__name__}"
