"""Claims about a call's beginning: its policy is checked and frozen, its snapshot complete, and two calls share nothing."""

from typing import Any

import attrs
import pytest

from fsm import CALL, Call, Policy, admits, events, start, states, step
from tests.shared.core import Script


@pytest.mark.parametrize(
    ("setting", "value", "said"),
    [
        ("voice", "robot", "voice is 'robot': it takes one of chatterbox, realtime"),
        ("interrupts", "both", "interrupts is 'both': it takes one of client, server"),
        ("direction", "", "direction is '': it takes one of inbound, outbound"),
        ("greeting", 1, "greeting is 1: it takes true or false"),
        ("create_response", "yes", "create_response is 'yes': it takes true or false"),
        ("echo_window_ms", -1, "echo_window_ms is -1: it takes a number from 0 to 2000"),
        ("echo_window_ms", 2001, "echo_window_ms is 2001: it takes a number from 0 to 2000"),
        ("recoveries", True, "recoveries is True: it takes a whole number from 0 to 10"),
        ("create_ack_ms", "6000", "create_ack_ms is '6000': it takes a number from 100 to 60000"),
        ("response_ms", float("nan"), "response_ms is nan: it takes a number from 1000 to 600000"),
        ("response_ms", float("inf"), "response_ms is inf: it takes a number from 1000 to 600000"),
    ],
)
def test_a_bad_setting_is_one_line_that_says_what_it_takes(setting: str, value: Any, said: str) -> None:
    with pytest.raises(ValueError, match=r".") as raised:
        Policy(**{setting: value})
    assert str(raised.value) == said


def test_the_warning_comes_before_the_end() -> None:
    """R82."""
    with pytest.raises(ValueError, match=r"^call_warning_ms is 30000: it takes less than call_ms, which is 30000$"):
        Policy(call_ms=30_000, call_warning_ms=30_000)


@pytest.mark.parametrize("setting", [field.name for field in attrs.fields(Policy)])
def test_every_setting_has_a_valid_default_and_a_check(setting: str) -> None:
    wrong: dict[str, Any] = {setting: object()}
    with pytest.raises(ValueError, match=f"^{setting} is "):
        attrs.evolve(Policy(), **wrong)
    assert getattr(Policy(), setting) is not None


def test_every_wait_of_the_policy_is_longer_than_nothing() -> None:
    """R78: every state with a limit reads it from the policy, in milliseconds."""
    call = start(Policy(interruption_words_ms=1_500))
    limits = {state: state.at_most(call) for region in CALL.regions for state in region.states if state.at_most}
    assert all(limit > 0 for limit in limits.values())
    assert len({state.name for state in limits}) == len(limits)


def test_every_state_of_a_region_is_told_apart_and_explained() -> None:
    for region in CALL.regions:
        assert len({state.name for state in region.states}) == len(region.states)
        assert all(state.doc for state in region.states)
        assert region.doc


def test_each_region_has_its_record_and_its_expiry() -> None:
    """R59: a snapshot is complete when it is made."""
    call = start(Policy(), at_ms=500.0)
    for region in CALL.regions:
        record = getattr(call, region.name)
        assert type(record) is region.record
        assert record.state in region.states
        assert record.due_ms == float("inf") if record.state.at_most is None else record.due_ms > 500.0
        assert region.expired.region == region.name  # type: ignore[attr-defined]
    assert {field.name for field in attrs.fields(Call)} == {"call_id", "policy", *(region.name for region in CALL.regions)}


@pytest.mark.parametrize("thing", [Policy(), start(Policy()), start(Policy()).response, events.LineOpened(0.0)])
def test_nothing_of_a_call_can_be_changed_or_added(thing: Any) -> None:
    """R59: no attribute appears later."""
    with pytest.raises(AttributeError):
        thing.closing = True
    first = attrs.fields(type(thing))[0].name
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        setattr(thing, first, None)


def test_two_calls_share_nothing() -> None:
    """R07, R49: what one goes through, the other never sees."""
    first, second = Script(call_id="first"), Script(call_id="second")
    before = second.call
    first.post(events.LineOpened)
    first.post(events.ReceiverFailed)
    assert second.call == before
    assert first.call.call_id == "first"


def test_a_greeting_is_wanted_inbound_alone() -> None:
    """R38."""
    assert start(Policy()).pending.state is states.PREPARING
    assert start(Policy(direction="outbound")).pending.state is states.NOTHING
    assert start(Policy(greeting=False)).pending.state is states.NOTHING


def test_a_new_call_admits_nothing() -> None:
    """R09: not even a frame without an id."""
    call = start(Policy())
    assert not admits(call, "")
    assert not admits(call, "r1")


def test_every_event_is_answered_in_the_first_state() -> None:
    """R59: with any fields, none raises."""
    values: dict[str, Any] = {"epoch": 0, "sentence": 1, "at_ms": 0.0, "played_ms": 0.0, "received_ms": 0.0}
    for kind in CALL.events:
        fields = {field.name: values.get(field.name, "") for field in attrs.fields(kind) if field.default is attrs.NOTHING}
        answer = step(start(Policy()), kind(**fields))
        assert len(answer.rows) == len(CALL.regions) * (1 + len(answer.signals))


def test_a_filler_comes_before_its_tool_is_given_up() -> None:
    with pytest.raises(ValueError, match="tool_filler_ms is 5000: it takes less than tool_ms, which is 5000"):
        Policy(tool_filler_ms=5_000, tool_ms=5_000)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"turns": "local", "create_response": True}, "create_response is True: it takes turns='server'"),
        ({"turns": "local", "interrupts": "server"}, "interrupts is 'server': it takes turns='server'"),
        ({"interruption_words_ms": 1, "interrupts": "server"}, "interruption_words_ms takes interrupts='client'"),
        ({"interruption_words_ms": 1, "create_response": True}, "interruption_words_ms takes create_response=False"),
        ({"remembered_ids": 2.5}, "remembered_ids is 2.5: it takes a whole number from 1 to 100"),
        ({"recoveries": 1.0}, "recoveries is 1.0: it takes a whole number from 0 to 10"),
    ],
)
def test_a_policy_that_contradicts_itself_or_counts_in_fractions_is_refused(settings: dict[str, Any], says: str) -> None:
    """R109: in one line, before any call."""
    with pytest.raises(ValueError, match=f"^{says}"):
        Policy(**settings)


def test_events_and_effects_are_values() -> None:
    """Equal where they are of one class and hold the same; they print as they are made, and stand in sets."""
    assert events.SpeechStarted(1.0, "u1") == events.SpeechStarted(1.0, "u1") != events.SpeechStopped(1.0, "u1")
    assert len({events.TurnCommitted(1.0, "u1"), events.TurnCommitted(1.0, "u1"), events.TurnCommitted(2.0, "u1")}) == 2
    assert repr(events.TurnCommitted(1.0, "u1")) == "TurnCommitted(at_ms=1.0, item_id='u1')"
