"""Claims about the record of a live call: what another process makes of it (R107, R110)."""

import json
from collections.abc import Iterable

import pytest

from adapters.cluster.record import FORMAT, Owner, Record, Unreadable, event_line, head, read
from fsm import Policy, events as ev, start, states, step

POLICY = Policy(greeting=False, voice="realtime")
OPENING = (ev.LineOpened(0.0), ev.SessionOpened(0.0), ev.SessionConfirmed(0.0), ev.VadCalibrated(0.0), ev.TurnCommitted(10.0, "u1"))
SPEAKING = (
    *OPENING,
    ev.ResponseCreated(20.0, "r1"),
    ev.AudioArrived(30.0, "r1", "a"),
    ev.PlayoutProgressed(40.0, "r1", 20.0),
    ev.PlayoutProgressed(540.0, "r1", 520.0),
)
RECEIVED = json.dumps({"received": ["r1", [["a", 0, 400.0], ["b", 1, 800.0]]]})


def lines(events: Iterable[ev.Event], owner: Owner | None = None) -> list[str]:
    """The record of a call in which these happened."""
    call = start(POLICY, "call_1")
    told = [head(owner or Owner(name="w1", epoch=1), call, began_unix_ms=1_000.0, told={"From": "+1"})]
    for event in events:
        answer = step(call, event)
        call = answer.snapshot
        told.append(event_line(event, answer))
    return told


def test_a_record_is_the_call() -> None:
    record = read(lines(SPEAKING))
    call = start(POLICY, "call_1")
    for event in SPEAKING:
        call = step(call, event).snapshot
    assert record.call == call
    assert (record.events, record.told, record.began_unix_ms) == (list(SPEAKING), {"From": "+1"}, 1_000.0)
    assert not record.over


def test_what_was_heard_is_the_position_that_was_told_last_part_by_part() -> None:
    """R71, R88."""
    record = read([*lines(SPEAKING), RECEIVED])
    event = record.taken_up(900.0, frozenset())
    assert event == ev.TakenUp(
        900.0, (ev.PlayoutStopped(0.0, "r1", 520.0, 1_200.0, (ev.Heard("a", 0, 400.0, 400.0), ev.Heard("b", 1, 120.0, 800.0))),)
    )


def test_what_the_line_had_whole_was_heard_to_its_end() -> None:
    """R27: an empty queue is heard out by the time that another process is there."""
    record = read([*lines((*SPEAKING, ev.ResponseCompleted(550.0, "r1"), ev.QueueEmptied(560.0, "r1"))), RECEIVED])
    [stopped] = record.taken_up(900.0, frozenset()).heard
    assert (stopped.played_ms, stopped.received_ms) == (1_200.0, 1_200.0)


def test_of_what_nothing_came_nothing_was_heard() -> None:
    record = read(lines((*OPENING, ev.ResponseCreated(20.0, "r1"))))
    assert record.taken_up(0.0, frozenset()).heard == (ev.PlayoutStopped(0.0, "r1", 0.0, 0.0),)


def test_a_call_goes_on_no_earlier_than_it_was_left() -> None:
    """R55: whatever another machine's clock says."""
    assert read(lines(SPEAKING)).taken_up(3.0, frozenset()).at_ms == 540.0


def test_the_tools_that_ran_and_may_run_twice_are_named() -> None:
    """R89."""
    called = ev.ToolCalled(50.0, "t1", "look_up", "{}", "r1"), ev.ToolCalled(60.0, "t2", "book", "{}", "r1")
    record = read(lines((*SPEAKING, *called)))
    assert record.taken_up(900.0, frozenset({"look_up", "weather"})).repeatable == (called[0],)
    answered = read(lines((*SPEAKING, *called, ev.ToolFinished(70.0, "t1", "found"))))
    assert answered.taken_up(900.0, frozenset({"look_up"})).repeatable == ()


def test_a_record_of_several_owners_is_one_call() -> None:
    told = lines(SPEAKING)
    event = read(told).taken_up(900.0, frozenset())
    told += [head(Owner(name="w2", epoch=2)), event_line(event, step(read(told).call, event))]
    record = read(told)
    assert record.owner == Owner(name="w2", epoch=2)
    assert record.call.playout.state is states.SILENT
    assert record.call.call_id == "call_1"


def test_what_ports_remember_is_there_by_its_latest_words() -> None:
    record = read([*lines(OPENING), '{"remembered": {"a": {"text": "one"}, "b": {}}}', '{"remembered": {"a": {"text": "two"}}}'])
    assert record.remembered == {"a": {"text": "two"}, "b": {}}


def test_a_closed_call_is_over() -> None:
    assert read(lines((*OPENING, ev.CallerHungUp(20.0)))).over
    assert read(lines((*OPENING, ev.DeviceFailed(20.0)))).over


@pytest.mark.parametrize(
    ("told", "words"),
    [
        ([], "it is empty"),
        (['{"event": "LineOpened"}'], "its first line does not say whose it is"),
        (['{"callfsm_journal": 99, "owner": "w1", "epoch": 1}'], "format 99; this version reads 1"),
        ([*lines(OPENING), '{"event": "Teleported", "at_ms": 1.0}'], "there is no event 'Teleported'"),
        ([*lines(OPENING), "{"], "a line does not fit this version"),
        (['{"callfsm_journal": 1, "owner": "w1", "epoch": 1}'], "a line does not fit this version: 'policy'"),
    ],
)
def test_a_record_that_cannot_be_read_says_why(told: list[str], words: str) -> None:
    """R107: before anything is taken up."""
    with pytest.raises(Unreadable) as refused:
        read(told)
    assert words in str(refused.value)


def test_this_version_reads_what_it_writes() -> None:
    assert isinstance(read(lines(())), Record)
    assert json.loads(lines(())[0])["callfsm_journal"] == FORMAT
