"""The tables handed over to `transitions`: its interpreter and ours take the same rows."""

import random
from collections.abc import Iterator
from typing import Any

import attrs
import pytest
from hypothesis import given, settings, strategies as st
from transitions import Machine as Handed
from transitions.extensions import GraphMachine

from adapters.proof.handover import Model, Walker, machines, run, to_transitions
from fsm import CALL, Call, Policy, start
from fsm.call import events as ev, states
from fsm.call.phase import PHASE
from fsm.engine.notation import Record, State, always, go, ignore, region, row

POLICIES = (
    Policy(),
    Policy(greeting=False),
    Policy(interrupts="server", create_response=True, greeting_protected=False, recoveries=0),
    Policy(voice="realtime", direction="outbound", cancel_attempts=2, queued_sentences=2),
)
TEXTS = ("", "insufficient_quota", "response_cancel_not_active", "#", "5", "acknowledged")

WALKER = Walker(CALL, start(POLICIES[0]))
"""One for all walks: it is told where to stand at the start of each."""


def ids_of(call: Call) -> tuple[str, ...]:
    """Ids that mean something now, and some that do not."""
    return (
        call.response.id,
        call.playout.id,
        call.playout.next_id,
        (call.truncation.awaited or ("",))[-1],
        call.synthesis.session_id,
        "r1",
        "r2",
        "",
    )


LIKELY = (
    *(ev.ResponseCreated,) * 3,
    *(ev.AudioArrived, ev.PlayoutProgressed, ev.QueueEmptied, ev.PlayoutFinished, ev.PlayoutStopped) * 2,
    *(ev.SentenceCut, ev.SentenceSynthesised, ev.SentenceStarted, ev.SpeechStarted, ev.TurnCommitted, ev.CancelUnsent),
)
"""Events of which a call that gets somewhere has many."""


def event_of(call: Call, draw: random.Random, at_ms: float) -> ev.Event:
    """Some event at `at_ms`; mostly one that moves something, so that a walk gets somewhere, and seldom one that ends the call."""
    for _ in range(draw.choice((1, 20))):
        event = any_event(call, draw, at_ms)
        if not ends(call, event) and not all(row.ignores for row in CALL.step(call, event).rows):
            return event
    return event if draw.random() < 0.1 or not ends(call, event) else ev.VoiceHeard(at_ms)


def ends(call: Call, event: ev.Event) -> bool:
    """Does the event end the call, or decide its end?"""
    return CALL.step(call, event).snapshot.hangup.state is states.OVER


def any_event(call: Call, draw: random.Random, at_ms: float) -> ev.Event:
    """An event of any kind, with ids that may mean something."""
    kind: Any = draw.choice(LIKELY if draw.random() < 0.5 else CALL.events)
    if issubclass(kind, ev.Expired):
        expiry: ev.Event = kind(at_ms, getattr(call, kind.region).epoch - draw.choice((0, 0, 0, 1)))
        return expiry
    told: dict[str, Any] = {}
    for field in attrs.fields(kind):
        if field.name == "at_ms":
            told["at_ms"] = at_ms
        elif field.name.endswith("_id"):
            told[field.name] = draw.choice((*ids_of(call), f"r{draw.randrange(1_000)}"))
        elif field.name in ("items", "heard", "repeatable"):
            told[field.name] = ()
        elif field.type is str:
            told[field.name] = draw.choice(TEXTS)
        else:
            told[field.name] = draw.choice((0, 1, 40, 400))
    event: ev.Event = kind(**told)
    return event


def walk(call: Call, draw: random.Random, length: int) -> Iterator[tuple[Call, ev.Event]]:
    """A random walk of our own machine: each snapshot with the event that it answers next."""
    at_ms = 0.0
    opening = [ev.LineOpened, ev.SessionOpened, ev.SessionConfirmed, ev.VadCalibrated] if draw.random() < 0.9 else []
    for _ in range(length):
        wait_ms = CALL.due_ms(call) - at_ms
        waits = draw.random() < (0.4 if wait_ms < 700 else 0.04)
        at_ms += max(0, wait_ms) if waits and wait_ms < 100_000 else draw.choice((0, 10))
        event = CALL.expiry(call, at_ms) or (opening.pop(0)(at_ms) if opening else event_of(call, draw, at_ms))
        yield call, event
        call = CALL.step(call, event).snapshot


@settings(max_examples=60)
@given(st.sampled_from(POLICIES), st.integers(0, 2**32))
def test_transitions_takes_the_same_rows_to_the_same_states_with_the_same_effects(policy: Policy, seed: int) -> None:
    WALKER.stand(start(policy))
    for call, event in walk(start(policy), random.Random(seed), 120):
        ours, theirs = CALL.step(call, event), WALKER.step(event)
        assert [row.name for row in theirs.rows] == [row.name for row in ours.rows]
        assert theirs.effects == ours.effects
        assert theirs.snapshot == ours.snapshot
        assert {name: model.state for name, model in WALKER.models.items()} == {
            part.name: getattr(ours.snapshot, part.name).state.name for part in CALL.regions
        }


def test_the_walks_reach_most_of_what_acts() -> None:
    reached = set()
    for seed in range(150):
        for call, event in walk(start(POLICIES[seed % len(POLICIES)]), random.Random(seed), 120):
            reached |= {(row.region, row.declared) for row in CALL.step(call, event).rows}
    acting = {(row.region, row.declared) for part in CALL.regions for row in part.rows if not row.ignores}
    assert len(reached & acting) > 0.6 * len(acting), sorted(acting - reached)


def test_a_run_ends_where_its_last_step_does() -> None:
    pairs = list(walk(start(POLICIES[1]), random.Random(3), 60))
    call, last = pairs[-1]
    walker = Walker(CALL, start(POLICIES[1]))
    assert run(walker, [event for _, event in pairs]) == walker.snapshot == CALL.step(call, last).snapshot


def test_a_walker_can_stand_anywhere_in_a_call() -> None:
    for call, event in walk(start(POLICIES[1]), random.Random(8), 40):
        WALKER.stand(call)
        assert WALKER.step(event) == CALL.step(call, event)


def test_an_object_that_is_no_event_is_refused() -> None:
    with pytest.raises(TypeError, match="Event is not an event of this machine"):
        WALKER.step(ev.Event(0.0))


def test_each_region_is_a_machine_of_its_own() -> None:
    handed = machines(CALL)
    assert list(handed) == [part.name for part in CALL.regions]
    assert all(isinstance(machine, Handed) and not machine.has_queue and machine.send_event for machine in handed.values())
    assert list(handed["phase"].states) == [state.name for state in PHASE.states]
    assert set(handed["phase"].get_triggers("listening")) == {event.__name__ for event in CALL.alphabet}


def test_a_model_moves_by_triggers_named_after_events() -> None:
    model: Any = Model()
    to_transitions(PHASE, CALL.alphabet, model=model)
    call = start(Policy())
    assert model.CallerHungUp(call, ev.CallerHungUp(5.0))
    assert (model.state, model.epoch, model.is_closed()) == ("closed", 1, True)
    assert model.row.name == "phase:LISTENING/CallerHungUp/always"
    assert [type(effect).__name__ for effect in model.effects] == ["CloseSession", "TellEnded"]


def test_a_row_that_enters_its_own_state_starts_the_deadline_anew_and_one_that_stays_does_not() -> None:
    class Tick(ev.Event):
        """It is time."""

    class Knock(ev.Event):
        """Somebody is there."""

    def ten(_: object) -> float:
        return 10.0

    waiting = State("waiting", "It waits.", at_most=ten)
    part = region(
        "door",
        row(waiting, Tick, always, go(waiting)),
        row(waiting, Knock, always, ignore("nobody is at home")),
        doc="a door",
        record=Record,
        states=(waiting,),
        expired=Tick,
    )
    model: Any = Model()
    to_transitions(part, (Tick, Knock), model=model)
    model.Tick(None, Tick(1.0))
    assert (model.epoch, model.due_ms) == (1, 11.0)
    model.Knock(None, Knock(5.0))
    assert (model.epoch, model.due_ms) == (1, 11.0)
    assert model.row.then.reason == "nobody is at home"


def test_the_other_machines_of_that_package_take_the_tables_too() -> None:
    model: Any = Model()
    to_transitions(PHASE, CALL.alphabet, model=model, machine_class=GraphMachine, graph_engine="mermaid", show_conditions=True)
    drawn = model.get_graph().source
    assert "greeting_accepted" in drawn
    assert states.AI_SPEAKING.name in drawn
