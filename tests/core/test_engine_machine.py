"""Claims about running a machine: the compiled one answers as the tables read, all regions see one snapshot, deadlines come in order."""

from typing import Any

import attrs
import pytest
from hypothesis import given, settings, strategies as st
from test_core_walks import PLANS, walk_with

from fsm import CALL, Policy, due_ms, events, expiry, start, step
from fsm.engine.machine import Machine, Step
from fsm.engine.notation import NEVER, Record, State, always, go, ignore, region, row, sets, stay
from fsm.engine.reference import walk
from tests.shared.core import Script

STEADY = settings(max_examples=150, derandomize=True, database=None)


@attrs.frozen
class Happened:
    at_ms: float


@attrs.frozen
class Coin(Happened):
    cents: int


@attrs.frozen
class Push(Happened):
    pass


@attrs.frozen
class Tired(Happened):
    epoch: int


@attrs.frozen
class Dark(Happened):
    epoch: int


LOCKED = State("locked", "Nobody passes.", for_ever="a coin opens it")
OPEN = State("open", "One may pass.", at_most=lambda hall: hall.patience_ms)
UNLIT = State("unlit", "The lamp is off.", for_ever="a coin lights it")
LIT = State("lit", "The lamp is on.", at_most=lambda _: 300.0)


@attrs.frozen
class Gate(Record):
    state: State = LOCKED
    passed: int = 0
    cents: int = 0


@attrs.frozen
class Lamp(Record):
    state: State = UNLIT


@attrs.frozen
class Hall:
    patience_ms: float = 300.0
    gate: Gate = Gate()
    lamp: Lamp = Lamp()


def enough(_: Hall, event: Coin) -> bool:
    return event.cents >= 20


def lit(hall: Hall, _: object) -> bool:
    return hall.lamp.state is LIT


def early(hall: Hall, event: Tired) -> bool:
    return event.epoch != hall.gate.epoch or event.at_ms < hall.gate.due_ms


@sets("cents", "passed")
def take(hall: Hall, event: Coin) -> tuple[int, int]:
    return hall.gate.cents + event.cents, hall.gate.passed


@sets("passed")
def let_pass(hall: Hall, _: Push) -> int:
    return hall.gate.passed + 1


def click(_: Hall, event: Happened) -> str:
    return f"click at {event.at_ms:g}"


def count(hall: Hall, _: Happened) -> str:
    return f"{hall.gate.passed} passed"


def glow(hall: Hall, _: Happened) -> str:
    return f"glow over {hall.gate.state!r}"


GATE = region(
    "gate",
    #   while on      if       then
    row(OPEN, Tired, early, ignore("an earlier push's")),
    row(LOCKED, Coin, enough, go(OPEN, take, click, count)),
    row(LOCKED, Push, lit, stay(click)),
    row(OPEN, Push, always, go(LOCKED, let_pass, count)),
    row(OPEN, Coin, always, stay(take)),
    row(OPEN, Tired, always, go(LOCKED)),
    row((LOCKED, OPEN), Happened, always, ignore("it stays as it is")),
    doc="a turnstile",
    record=Gate,
    states=(LOCKED, OPEN),
    expired=Tired,
)
LAMP = region(
    "lamp",
    row((UNLIT, LIT), Coin, always, go(LIT, glow)),
    row(LIT, Dark, always, go(UNLIT)),
    row((UNLIT, LIT), Happened, always, ignore("the lamp counts coins")),
    doc="a lamp",
    record=Lamp,
    states=(UNLIT, LIT),
    expired=Dark,
)
EVENTS = (Coin, Push, Tired, Dark)
BOTH = Machine(Hall, (GATE, LAMP), EVENTS)
ONE = Machine(Hall, (GATE,), EVENTS)
TIMES = st.floats(0, 1000, allow_nan=False)
EVENT = st.one_of(
    st.builds(Coin, TIMES, st.sampled_from([5, 20])),
    st.builds(Push, TIMES),
    st.builds(Tired, TIMES, st.integers(0, 4)),
    st.builds(Dark, TIMES, st.integers(0, 4)),
)


@pytest.mark.parametrize("machine", [BOTH, ONE], ids=["two regions", "one region"])
@given(events=st.lists(EVENT, max_size=30))
@STEADY
def test_the_compiled_machine_answers_as_the_tables_read(machine: Machine[Hall], events: list[Any]) -> None:
    hall = Hall()
    for event in events:
        answer = machine.step(hall, event)
        assert answer == walk(machine, hall, event)
        hall = answer.snapshot


@given(PLANS)
@STEADY
def test_the_compiled_call_answers_as_the_tables_read(plan: Any) -> None:
    answered: list[Step[Any]] = []

    class Compared(Script):
        def step(self, event: events.Event) -> Step[Any]:
            expected = walk(CALL, self.call, event)
            answered.append(super().step(event))
            assert answered[-1] == expected
            return answered[-1]

    walk_with(plan, Compared)
    assert answered


def test_a_record_that_checks_what_it_is_given_is_made_by_its_own_constructor() -> None:
    @attrs.frozen
    class Bounded(Gate):
        passed: int = attrs.field(default=0, validator=attrs.validators.lt(2))

    @attrs.frozen
    class Narrow(Hall):
        gate: Bounded = Bounded()

    narrow = region(
        "gate",
        row((LOCKED, OPEN), Push, always, stay(let_pass)),
        row(OPEN, Tired, always, go(LOCKED)),
        row((LOCKED, OPEN), Happened, always, ignore("it counts pushes")),
        doc="a turnstile that lets one pass",
        record=Bounded,
        states=(LOCKED, OPEN),
        expired=Tired,
    )
    machine = Machine(Narrow, (narrow,), EVENTS)
    hall = machine.step(Narrow(), Push(0.0)).snapshot
    assert hall == Narrow(gate=Bounded(passed=1))
    with pytest.raises(ValueError, match="'passed' must be < 2"):
        machine.step(hall, Push(1.0))


def test_what_a_step_makes_is_as_frozen_as_what_its_constructor_makes() -> None:
    call = step(start(Policy()), events.LineOpened(0.0)).snapshot
    for made in (call, call.line, BOTH.step(Hall(), Coin(0.0, 20)).snapshot.gate):
        with pytest.raises(attrs.exceptions.FrozenInstanceError):
            made.state = OPEN  # type: ignore[union-attr]
        assert type(made)(**attrs.asdict(made, recurse=False)) == made


def test_all_regions_answer_from_the_snapshot_before_the_event() -> None:
    answer = BOTH.step(Hall(), Coin(0.0, 20))
    assert answer.effects[-1] == "glow over LOCKED"
    assert answer.snapshot.gate.state is OPEN


def test_effects_come_in_the_order_of_regions_and_within_a_row_as_written() -> None:
    assert BOTH.step(Hall(), Coin(0.0, 20)).effects == ("click at 0", "0 passed", "glow over LOCKED")
    turned = Machine(Hall, (LAMP, GATE), EVENTS)
    assert turned.step(Hall(), Coin(0.0, 20)).effects == ("glow over LOCKED", "click at 0", "0 passed")


def test_each_region_answers_with_exactly_one_row() -> None:
    assert [row.name for row in BOTH.step(Hall(), Coin(0.0, 5)).rows] == ["gate:LOCKED/Happened/always", "lamp:UNLIT/Coin/always"]


def test_an_event_that_all_ignore_leaves_the_very_snapshot() -> None:
    hall = Hall()
    answer = BOTH.step(hall, Dark(0.0, 0))
    assert answer.snapshot is hall
    assert answer.effects == ()


def test_a_step_leaves_the_snapshot_that_it_was_given_as_it_was() -> None:
    hall = Hall()
    assert BOTH.step(hall, Coin(0.0, 20)).snapshot is not hall
    assert hall == Hall()


@pytest.mark.parametrize("foreign", [None, object(), "Coin", Happened(0.0), Coin])
def test_what_is_no_event_of_the_machine_is_a_type_error(foreign: object) -> None:
    with pytest.raises(TypeError, match="is not an event of this machine"):
        BOTH.step(Hall(), foreign)


def test_a_family_of_events_is_no_event_of_the_call() -> None:
    with pytest.raises(TypeError, match="CallerEvent is not an event of this machine"):
        step(start(Policy()), events.CallerEvent(0.0))


def test_no_deadline_runs_in_states_that_last_for_ever() -> None:
    assert BOTH.due_ms(Hall()) == NEVER
    assert BOTH.expiry(Hall(), 1e9) is None


def test_nothing_expires_before_its_time() -> None:
    hall = BOTH.step(Hall(), Coin(100.0, 20)).snapshot
    assert BOTH.due_ms(hall) == 400.0
    assert BOTH.expiry(hall, 399.9) is None


def test_of_two_deadlines_the_earlier_expires_first() -> None:
    hall = BOTH.step(Hall(patience_ms=900.0), Coin(100.0, 20)).snapshot
    assert BOTH.expiry(hall, 2000.0) == Dark(2000.0, 1)
    hall = BOTH.step(hall, Dark(2000.0, 1)).snapshot
    assert BOTH.expiry(hall, 2000.0) == Tired(2000.0, 1)


def test_of_two_deadlines_at_once_the_first_region_expires_first() -> None:
    hall = BOTH.step(Hall(), Coin(100.0, 20)).snapshot
    assert BOTH.expiry(hall, 400.0) == Tired(400.0, 1)


def test_each_entry_of_a_state_has_an_epoch_of_its_own() -> None:
    hall = Hall()
    for event in (Coin(0.0, 20), Push(10.0), Coin(20.0, 20)):
        hall = BOTH.step(hall, event).snapshot
    assert hall.gate.epoch == 3
    assert BOTH.step(hall, Tired(500.0, 1)).snapshot is hall
    assert BOTH.step(hall, Tired(500.0, 3)).snapshot.gate.state is LOCKED


def test_the_plans_that_are_remembered_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fsm.engine.machine._PLANS", 0)
    machine = Machine(Hall, (GATE, LAMP), EVENTS)
    hall = Hall()
    for event in (Coin(0.0, 20), Coin(1.0, 20), Push(2.0), Coin(3.0, 5)):
        assert machine.step(hall, event) == walk(machine, hall, event)
        hall = machine.step(hall, event).snapshot
        assert all(len(plans) <= 1 for plans in machine._plans.values())


def test_a_call_tells_its_deadlines_and_expires_them() -> None:
    call = start(Policy(calibration_ms=500), at_ms=1000.0)
    assert due_ms(call) == 1500.0
    assert expiry(call, 1499.0) is None
    assert expiry(call, 1500.0) == events.CalibrationExpired(1500.0, 0)
