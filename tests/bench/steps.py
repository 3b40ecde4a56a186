"""What one step of the core costs on the events of a recorded call, beside other ways to walk the same tables; nothing is printed here."""

import statistics
from collections.abc import Callable, Iterator
from functools import partial
from operator import attrgetter
from pathlib import Path
from time import perf_counter

import attrs

from adapters.proof.handover import Walker, run
from adapters.telling.trace import event_from_json, read_trace
from fsm import CALL, Call, step
from fsm.call.events import Event
from fsm.call.states import CLOSED, LISTENING
from fsm.engine.machine import Machine
from fsm.engine.notation import Record, Row
from fsm.engine.reference import next_record, walk

RECORDED = Path(__file__).with_name("recorded.trace")
"""The trace of the demonstration, as `callfsm call` left it."""

STEP = "fsm.step"
FIRST = "fsm.step, first call of a process"
EVOLVED = "the same with attrs.evolve, without made source"
REFERENCE = "the reference walk of the tables"
TRANSITIONS = "the same tables in `transitions`"
FLOOR = "floor: a dict lookup and one record"

Events = tuple[Event, ...]
Say = Callable[[str], None]


@attrs.frozen
class Kind:
    """One kind of event: how often it stands in the recorded call, and what a step on it costs in the mean."""

    name: str
    count: int
    us: float


@attrs.frozen
class StepFigures:
    """Mean microseconds an event by the way to walk (`STEP` to `FLOOR`), and the kinds of event, the slowest first."""

    events: int
    us: dict[str, float]
    kinds: tuple[Kind, ...]


def recorded() -> tuple[Call, Events]:
    """The recorded call as it began, and its events. Raises ValueError if today's tables do not bring it to its end."""
    trace = read_trace(RECORDED)
    events = tuple(event_from_json(line) for line in trace.lines)
    if _step_through(trace.call, events).phase.state is not CLOSED:
        raise ValueError(
            f"{RECORDED}: with today's tables the recorded call does not end; put the call.trace of a new `callfsm call` there"
        )
    return trace.call, events


def measure_steps(say: Say, *, repetitions: int = 9, passes: int = 100) -> StepFigures:
    """Walk the recorded call in every way, the ways in turn, and give the medians of `repetitions`.

    The fast ways walk it `passes` times in a repetition, the slow ones a tenth of that, a new machine once.
    """
    call, events = recorded()
    slow = max(1, passes // 10)
    new = iter([Machine(Call, CALL.regions, CALL.events, CALL.signals) for _ in range(repetitions)])
    by_transitions = partial(_transitions_through, Walker(CALL, call), call, events)
    ways: dict[str, tuple[Callable[[], object], int]] = {
        STEP: (partial(_step_through, call, events), passes),
        FIRST: (partial(_new_machine_through, new, call, events), 1),
        EVOLVED: (partial(_machine_through, _evolving(), call, events), slow),
        REFERENCE: (partial(_walk_through, call, events), slow),
        TRANSITIONS: (by_transitions, slow),
        FLOOR: (partial(_floor, events), passes),
    }
    if not _step_through(call, events) == _walk_through(call, events) == _machine_through(_evolving(), call, events) == by_transitions():
        raise ValueError("the interpreters of the tables do not bring the recorded call to the same end; run the tests first")
    taken_us: dict[str, list[float]] = {name: [] for name in ways}
    for repetition in range(repetitions):
        say(f"steps: repetition {repetition + 1} of {repetitions}")
        for name, (once, times) in ways.items():
            taken_us[name].append(_seconds(once, times) / len(events) * 1e6)
    say("steps: each kind of event")
    kinds = _kinds(call, events, repetitions, passes)
    return StepFigures(len(events), {name: statistics.median(taken) for name, taken in taken_us.items()}, kinds)


def _seconds(once: Callable[[], object], times: int) -> float:
    """The mean time of `once`."""
    began_s = perf_counter()
    for _ in range(times):
        once()
    return (perf_counter() - began_s) / times


def _kinds(call: Call, events: Events, repetitions: int, passes: int) -> tuple[Kind, ...]:
    """The cost of each event where it stands in the call, the median of `repetitions`, put together by its kind."""
    costs_us: dict[str, list[float]] = {}
    for event in events:
        once = partial(step, call, event)
        cost_us = statistics.median(_seconds(once, passes) * 1e6 for _ in range(repetitions))
        costs_us.setdefault(type(event).__name__, []).append(cost_us)
        call = step(call, event).snapshot
    kinds = (Kind(name, len(costs), statistics.mean(costs)) for name, costs in costs_us.items())
    return tuple(sorted(kinds, key=_cost, reverse=True))


def _cost(kind: Kind) -> float:
    return kind.us


def _step_through(call: Call, events: Events) -> Call:
    for event in events:
        call = step(call, event).snapshot
    return call


def _new_machine_through(machines: Iterator[Machine[Call]], call: Call, events: Events) -> Call:
    """With a machine that has met no combination of states yet, and works each out once."""
    return _machine_through(next(machines), call, events)


def _machine_through(machine: Machine[Call], call: Call, events: Events) -> Call:
    for event in events:
        call = machine.step(call, event).snapshot
    return call


def _evolving() -> Machine[Call]:
    """The machine without the functions that it makes of source: each next record, and the next snapshot, is an `attrs.evolve`."""
    machine = Machine(Call, CALL.regions, CALL.events, CALL.signals)
    machine._changed = lambda before, changed: attrs.evolve(before, **dict(changed))
    for region in machine.regions:
        for row in region.rows:
            cell = machine._cell(region, row)
            if cell.build is not None:
                machine._cells[row] = cell._replace(build=partial(_evolved, row, attrgetter(region.name)))
    return machine


def _evolved(row: Row, record_of: Callable[[Call], Record], call: Call, event: Event) -> Record:
    return next_record(row, record_of(call), call, event)


def _walk_through(call: Call, events: Events) -> Call:
    for event in events:
        call = walk(CALL, call, event).snapshot
    return call


def _transitions_through(walker: Walker, call: Call, events: Events) -> Call:
    walker.stand(call)
    return run(walker, events)


_ENTERS = dict.fromkeys(CALL.events, Record)


def _floor(events: Events) -> Record:
    """The least that a table and an immutable snapshot can cost: the event is looked up, and one record is made."""
    record = Record(LISTENING)
    for event in events:
        record = _ENTERS[type(event)](LISTENING, record.epoch + 1, event.at_ms)
    return record
