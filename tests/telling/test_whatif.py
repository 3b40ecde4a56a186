"""Claims about what would have happened: exact up to the first difference, deadlines and all, and a trace like any other."""

from pathlib import Path
from typing import Any

import pytest

from adapters.telling.claim import claim_of
from adapters.telling.nexts import nexts
from adapters.telling.trace import Trace, answer_to_json, read_trace, trace_in
from adapters.telling.whatif import future_of
from fsm import step
from fsm.call import events as ev
from fsm.call.states import CLOSED
from tests.shared.shell import BARGE_IN, ROOT, at, traced


@pytest.fixture
def trace(tmp_path: Path) -> Trace:
    """A call with one barge-in, decided after 150 ms."""
    return traced(tmp_path / "call.trace", (*BARGE_IN, at(9_000, ev.CallerHungUp)))


@pytest.mark.parametrize("path", [None, ROOT / "tests/bench/recorded.trace"], ids=["a script", "a recorded call"])
def test_nothing_changed_is_the_same_call_step_by_step(trace: Trace, path: Path | None) -> None:
    trace = read_trace(path) if path else trace
    future = future_of(trace, {})
    assert future.difference is None
    assert [(taken.event, answer_to_json(taken.answer)) for taken in future.steps] == [
        (event, answer_to_json(answer)) for event, answer, _ in trace.steps()
    ]


def test_a_longer_patience_decides_the_interruption_later(trace: Trace) -> None:
    future = future_of(trace, {"interruption_min_ms": 190})
    [decided] = [taken for taken in future.steps if ev.BargedIn in taken.answer.signals]
    assert isinstance(decided.event, ev.InterruptionExpired)
    assert decided.event.at_ms == pytest.approx(1_690)
    assert decided.number is None
    assert future.difference.at_ms == pytest.approx(1_650)
    assert future.difference.words == "InterruptionExpired: this deadline passes 40 ms later"


def test_a_setting_that_never_matters_makes_no_difference(trace: Trace) -> None:
    assert future_of(trace, {"idle_prompts": 5}).difference is None


def test_without_the_callers_first_sound_nobody_interrupts(trace: Trace) -> None:
    spoke = [number for number, (event, _, _) in enumerate(trace.steps()) if isinstance(event, ev.SpeechStarted)][1]
    future = future_of(trace, {}, frozenset({spoke}))
    assert not [taken for taken in future.steps if ev.BargedIn in taken.answer.signals]
    assert future.difference.recorded > spoke
    assert spoke not in {taken.number for taken in future.steps}


def test_a_future_is_a_trace_that_replays(trace: Trace) -> None:
    text = future_of(trace, {"interruption_min_ms": 400, "cancel_ack_ms": 300}).text()
    again = trace_in(text.encode(), "whatif.trace")
    assert again.first_difference() is None
    assert again.call.policy.interruption_min_ms == 400
    assert future_of(again, {}).difference is None


@pytest.mark.parametrize(
    ("settings", "words"),
    [({"patience": 1}, "the policy has no patience"), ({"interruption_min_ms": -1}, "interruption_min_ms is -1: it takes a number from")],
)
def test_an_odd_setting_is_refused(trace: Trace, settings: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        future_of(trace, settings)


def test_an_event_that_is_put_in_is_the_first_difference_and_all_that_follows_from_it_is_there(trace: Trace) -> None:
    before = [event for event, _, _ in trace.steps()]
    gone = ev.CallerHungUp(1_620, "put in")
    future = future_of(trace, {}, added=[gone])
    assert future.difference.at_ms == 1_620
    assert future.difference.words.startswith("CallerHungUp is put in: now ")
    assert future.steps[future.difference.step].event is gone
    assert future.steps[-1].answer.snapshot.phase.state is CLOSED
    assert len(future.steps) < len(before)
    assert trace_in(future.text().encode(), "whatif.trace").first_difference() is None


def test_an_event_that_is_put_in_and_does_nothing_makes_no_difference(trace: Trace) -> None:
    future = future_of(trace, {}, added=[ev.SentenceSynthesised(1_600, "nobody.1", 5.0)])
    assert len(future.steps) == len(trace.lines) + 1
    assert future.difference is None


def test_a_call_is_a_test_of_the_core_that_holds_and_another_is_not(trace: Trace) -> None:
    future = future_of(trace, {"interruption_min_ms": 190})
    text = claim_of(future.call, ((taken.event, taken.answer) for taken in future.steps), 'a "test"')
    names: dict[str, Any] = {}
    exec(compile(text, "test_whatif.py", "exec"), names)
    names["test_each_event_has_its_effects"]()
    exec(compile(text.replace("interruption_min_ms=190", "interruption_min_ms=191"), "test_whatif.py", "exec"), names)
    with pytest.raises(AssertionError):
        names["test_each_event_has_its_effects"]()


def test_each_state_that_could_come_next_comes_by_its_event() -> None:
    trace = read_trace(ROOT / "tests/bench/recorded.trace")
    steps = [(event, answer) for event, answer, _ in trace.steps()]
    heard = next(at for at, (event, _) in enumerate(steps) if isinstance(event, ev.PlayoutProgressed))
    call, met = steps[heard][1].snapshot, [event for event, _ in steps[: heard + 1]]
    found = nexts(call, met, met[-1].at_ms)
    for one in found:
        after = step(call, one.event).snapshot
        assert getattr(after, one.region).state.name == one.state != getattr(call, one.region).state.name
    assert {one.state for one in found if one.region == "playout"} == {"playing", "tail", "starved", "silent", "over"}
