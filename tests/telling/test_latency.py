"""Claims about where a call's time went, told from its steps alone."""

from collections.abc import Iterable
from pathlib import Path

import pytest

from adapters.telling.latency import MARKS, Timing
from adapters.telling.report import report_on
from adapters.telling.trace import read_trace
from fsm import start
from fsm.call import events as ev
from tests.shared.shell import BARGE_IN, ROOT, Onlooker, Puppet, Said, at, drive, silent_policy, traced

OPENED = (at(0, ev.LineOpened), at(0, ev.SessionConfirmed), at(0, ev.VadCalibrated))
SPOKEN = (at(0, ev.SpeechStarted, "u1"), at(500, ev.SpeechStopped, "u1"), at(530, ev.TurnCommitted, "u1"))


def timed(script: Iterable[Said], **settings: object) -> Timing:
    """The times of a call of this script, driven to its end."""
    looker = Onlooker()
    drive("trio", [Puppet((*script, at(30_000, ev.CallerHungUp)))], looker, policy=silent_policy(**settings))
    return timing_of(looker)


def timing_of(looker: Onlooker) -> Timing:
    """The times of a call that was looked at."""
    timing, call = Timing(), start(looker.steps[0][1].snapshot.policy)
    for event, answer in looker.steps:
        timing.tell(call, event, answer)
        call = answer.snapshot
    timing.finish()
    return timing


def test_an_answer_is_timed_from_the_callers_last_sound_to_the_first_that_is_heard() -> None:
    script = (
        at(610, ev.ResponseCreated, "r1"),
        at(900, ev.TextArrived, "r1"),
        at(950, ev.AudioArrived, "r1"),
        at(960, ev.PlayoutProgressed, "r1"),
    )
    [wait] = timed((*OPENED, *SPOKEN, *script)).waits
    assert (wait.kind, wait.answered, wait.from_ms) == ("turn", True, pytest.approx(500))
    parts = dict(wait.parts())
    assert list(parts) == ["end of turn", "asked", "created", "first words", "first sound", "heard"]
    assert list(parts.values()) == pytest.approx([30, 0, 80, 290, 50, 10])
    assert wait.total_ms == pytest.approx(460)


def test_a_sentences_synthesis_is_a_part_of_the_wait_for_it() -> None:
    script = (
        at(600, ev.ResponseCreated, "r1"),
        at(700, ev.SentenceCut, "r1", 1, "Yes."),
        at(1900, ev.SentenceSynthesised, "call.r1.1", 800.0),
        at(1900, ev.AudioArrived, "r1"),
        at(1920, ev.SentenceStarted, "call.r1.1"),
    )
    [wait] = timed((*OPENED, *SPOKEN, *script), voice="chatterbox").waits
    parts = dict(wait.parts())
    assert parts["synthesis"] == pytest.approx(1200)
    assert parts["heard"] == pytest.approx(20)
    assert wait.total_ms == pytest.approx(1420)


def test_a_tools_time_is_told_apart_and_what_came_before_it_is_no_answer() -> None:
    script = (
        at(600, ev.ResponseCreated, "r1"),
        at(700, ev.ToolCalled, "t1", "hours", "{}", "r1"),
        at(710, ev.ResponseCompleted, "r1"),
        at(1700, ev.ToolFinished, "t1", "nine to six"),
        at(1800, ev.ResponseCreated, "r2"),
        at(2000, ev.AudioArrived, "r2"),
        at(2010, ev.PlayoutProgressed, "r2"),
    )
    [wait] = timed((*OPENED, *SPOKEN, *script)).waits
    assert wait.response_id == "r2"
    parts = dict(wait.parts())
    assert parts["tool"] == pytest.approx(1100)
    assert parts["first sound"] == pytest.approx(300)
    assert wait.total_ms == pytest.approx(1510)


def test_a_turn_that_the_next_one_overtakes_is_not_answered() -> None:
    more = (at(1000, ev.SpeechStarted, "u2"), at(2000, ev.SpeechStopped, "u2"), at(2000, ev.TurnCommitted, "u2"))
    first, last = timed((*OPENED, *SPOKEN, *more)).waits
    assert not first.answered
    assert not last.answered
    assert last.from_ms == pytest.approx(2000)


def test_a_barge_in_is_timed_from_the_first_sound_to_the_end_of_the_response() -> None:
    [barge] = timed(BARGE_IN).interruptions
    assert barge.response_id == "r1"
    times = (barge.heard_ms, barge.held_ms, barge.decided_ms, barge.stopped_ms, barge.ended_ms)
    assert times == pytest.approx((1500, 1500, 1650, 1700, 1750))
    assert (barge.played_ms, barge.received_ms) == (600.0, 900.0)


def test_the_line_of_a_call_that_was_taken_up_begins_no_greeting() -> None:
    begun = (at(0, ev.LineOpened), at(0, ev.SessionOpened), at(0, ev.SessionConfirmed), at(0, ev.VadCalibrated))
    again = (at(3_000, ev.TakenUp), at(3_010, ev.LineOpened), at(3_010, ev.SessionOpened), at(3_010, ev.SessionConfirmed))
    waits = timed((*begun, at(2_000, ev.GreetingPrepared), *again), greeting=True).waits
    assert [(wait.kind, wait.from_ms) for wait in waits] == [("greeting", 0.0)]


def test_parts_make_up_the_whole_in_a_recorded_call() -> None:
    report = report_on(read_trace(ROOT / "tests/bench/recorded.trace"))
    answered = [wait for wait in report.waits if wait.answered]
    assert len(answered) >= 3
    for wait in answered:
        assert sum(ms for _, ms in wait.parts()) == pytest.approx(wait.total_ms)
        assert all(ms >= 0 and name in MARKS for name, ms in wait.parts())
    assert "answer time" in dict(report.figures())
    assert report.summary().count("answer to a turn ") == sum(wait.kind == "turn" for wait in answered)


def test_a_live_call_and_its_trace_are_timed_alike(tmp_path: Path) -> None:
    looker = Onlooker()
    told = report_on(traced(tmp_path / "call.trace", (*BARGE_IN, at(9000, ev.CallerHungUp)), looker))
    live = timing_of(looker)
    assert (told.waits, told.interruptions) == (live.waits, live.interruptions)
    assert told.interruptions


def test_what_we_say_while_the_server_lets_us_wait_is_no_answer() -> None:
    """R91, R92."""
    script = (
        at(610, ev.ResponseCreated, "r1"),
        at(620, ev.ResponseFailed, "r1", "rate_limit_exceeded", 4_000.0),
        at(700, ev.SentenceSynthesised, "call.r1.0", 900.0),
        at(710, ev.AudioArrived, "r1"),
        at(720, ev.PlayoutProgressed, "r1"),
        at(1_620, ev.PlayoutFinished, "r1", 900.0),
        at(4_700, ev.ResponseCreated, "r2"),
        at(4_800, ev.SentenceCut, "r2", 1, "Nine to five."),
        at(5_000, ev.SentenceSynthesised, "call.r2.1", 900.0),
        at(5_010, ev.AudioArrived, "r2"),
        at(5_020, ev.PlayoutProgressed, "r2"),
    )
    [wait] = timed((*OPENED, *SPOKEN, *script), voice="chatterbox").waits
    assert (wait.answered, wait.total_ms) == (True, pytest.approx(4_520, abs=30))
    assert dict(wait.parts())["created again"] == 4_090
