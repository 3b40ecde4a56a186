"""What one step of the core costs, on the events of a recorded call, beside other ways to walk the same tables; nothing is printed here."""

import gc
import statistics
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter

import attrs

from adapters.handover import Walker
from adapters.handover import run as run_walker
from adapters.trace import event_from_json, read_trace
from fsm import CALL, Call, step
from fsm.call.events import Event
from fsm.call.snapshot import Phase
from fsm.call.states import CLOSED
from fsm.engine.machine import Machine
from fsm.engine.reference import walk

RECORDED = Path(__file__).with_name("recorded.trace")
"""The trace of one `callfsm call`."""

Say = Callable[[str], None]
Clock = Callable[[], float]


@attrs.frozen
class Kind:
    """One kind of event: how often it stands in the recorded call, and its mean cost."""

    name: str
    count: int
    us: float


@attrs.frozen
class StepFigures:
    """Microseconds an event, by name of the way to walk, medians; and the kinds of event, the slowest first."""

    events: int
    us: dict[str, float]
    kinds: tuple[Kind, ...]


def recorded() -> tuple[Call, tuple[Event, ...]]:
    """The recorded call as it began, and its events. Raises ValueError if they no longer end a call."""
    trace = read_trace(RECORDED)
    events = tuple(event_from_json(line) for line in trace.lines)
    if _stepped(trace.call, events).phase.state is not CLOSED:
        raise ValueError(f"{RECORDED}: with today's tables the recorded call does not end; record another with `callfsm call`")
    return trace.call, events


def measure_steps(*, repetitions: int = 9, passes: int = 100, say: Say) -> StepFigures:
    """Walk the recorded call in every way, in turn, `repetitions` times; ours `passes` times each, the slower ones a tenth of it."""
    call, events = recorded()
    walker = Walker(CALL, call)
    slow = max(1, passes // 10)

    def transitions() -> Call:
        walker.stand(call)
        walked: Call = run_walker(walker, events)
        return walked

    ways: dict[str, tuple[Callable[[], float], int]] = {
        "fsm.step": (_timed(lambda: _stepped(call, events)), passes),
        "fsm.step, first call of a process": (lambda: _first_call(call, events), 1),
        "reference walk of the tables": (_timed(lambda: _walked(call, events)), slow),
        "the tables in `transitions`": (_timed(transitions), slow),
        "floor: a lookup and a record": (_timed(lambda: _floor(events)), passes),
    }
    if not _stepped(call, events) == _walked(call, events) == transitions():
        raise ValueError("the three interpreters of the tables do not end the recorded call alike; run the tests")
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for repetition in range(repetitions):
        say(f"steps: repetition {repetition + 1} of {repetitions}")
        for name, (once, count) in ways.items():
            taken[name].append(sum(once() for _ in range(count)) / count / len(events) * 1e6)
    say("steps: each kind of event")
    kinds = _kinds(call, events, repetitions=repetitions, passes=passes)
    return StepFigures(len(events), {name: statistics.median(times) for name, times in taken.items()}, kinds)
