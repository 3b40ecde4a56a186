"""Claims about the report: what a call was like, told from its trace alone."""

from pathlib import Path

import pytest

from adapters.telling.report import Report, report_on
from fsm.call import events as ev
from tests.shared.shell import ANSWER, BARGE_IN, OPENING, Said, at, silent_policy, traced

END = at(9000, ev.CallerHungUp)


def told(path: Path, script: tuple[Said, ...], *, old_audio_ms: float | None = None, **policy: object) -> Report:
    """The report on a call of this script."""
    trace = traced(path / "call.trace", script, policy=silent_policy(**policy))

    def old_audio(_: float, __: str) -> float | None:
        return old_audio_ms

    return report_on(trace, old_audio)


def test_an_interruption_is_told_from_the_callers_first_sound(tmp_path: Path) -> None:
    report = told(tmp_path, (*BARGE_IN, END), old_audio_ms=40.0)
    [barge] = report.barge_ins
    assert barge.response_id == "r1"
    assert barge.heard_ms == pytest.approx(1500)
    assert barge.decided_ms == pytest.approx(1650)
    assert barge.old_audio_ms == 40.0
    assert dict(report.figures())["old audio after speech, worst"] == "40 ms"


def test_the_outcome_of_a_cancel_is_told(tmp_path: Path) -> None:
    report = told(tmp_path, (*BARGE_IN, END))
    assert {(cancel.id, cancel.outcome) for cancel in report.cancels.values()} == {("r1", "cancelled")}


def test_a_cancel_that_came_too_late_is_told_as_such(tmp_path: Path) -> None:
    script = tuple(
        at(ms, ev.ResponseCompleted, *fields) if event is ev.ResponseCancelled else (ms, event, fields) for ms, event, fields in BARGE_IN
    )
    assert [cancel.outcome for cancel in told(tmp_path, (*script, END)).cancels.values()] == ["completed"]


def test_a_cancel_without_an_answer_is_told_as_unconfirmed(tmp_path: Path) -> None:
    script = tuple(line for line in BARGE_IN if line[1] is not ev.ResponseCancelled)
    assert [cancel.outcome for cancel in told(tmp_path, (*script, END)).cancels.values()] == ["unconfirmed"]


def test_a_cough_is_a_false_alarm_and_no_interruption(tmp_path: Path) -> None:
    cough = (at(1400, ev.PlayoutProgressed, "r1", 500.0), at(1500, ev.SpeechStarted, "u2"), at(1600, ev.SpeechStopped, "u2"))
    report = told(tmp_path, (*ANSWER, *cough, at(2000, ev.CallerHungUp)))
    assert report.barge_ins == []
    assert report.false_alarms == pytest.approx([1600])
    assert report.cancels == {}


@pytest.mark.parametrize("speech_ms", [1500, 1520], ids=["told first", "told after the cancel"])
def test_what_the_server_cancels_by_itself_is_an_interruption(tmp_path: Path, speech_ms: float) -> None:
    speech, cancelled = at(speech_ms, ev.SpeechStarted, "u2"), at(1510, ev.ResponseCancelled, "r1", "turn_detected")
    script = (*ANSWER, at(1400, ev.PlayoutProgressed, "r1", 500.0), *sorted((speech, cancelled), key=lambda said: said[0]))
    report = told(tmp_path, (*script, END), interrupts="server")
    assert [(barge.response_id, barge.heard_ms) for barge in report.barge_ins] == [("r1", pytest.approx(min(speech_ms, 1510)))]
    assert report.cancels == {}


def test_what_the_server_cancels_for_another_reason_is_none(tmp_path: Path) -> None:
    script = (*ANSWER, at(1400, ev.PlayoutProgressed, "r1", 500.0), at(1510, ev.ResponseCancelled, "r1", "client_cancelled"))
    assert told(tmp_path, (*script, END), interrupts="server").barge_ins == []


def test_the_caller_is_quoted_where_they_spoke(tmp_path: Path) -> None:
    report = told(tmp_path, (*ANSWER, at(950, ev.Transcribed, "u1", "hello there"), END))
    [said] = [said for said in report.said if said.who == "caller"]
    assert said.text == "hello there"
    assert (said.start_ms, said.end_ms) == pytest.approx((0, 500))


def test_a_turn_that_is_told_again_with_more_of_its_words_is_quoted_once(tmp_path: Path) -> None:
    """R24: as some servers do; turns that nobody names are one each."""
    again = [at(950 + n, ev.Transcribed, "u1", text) for n, text in enumerate(("hello", "hello there"))]
    nameless = [at(960 + n, ev.Transcribed, "", text) for n, text in enumerate(("one", "two"))]
    report = told(tmp_path, (*ANSWER, *again, *nameless, END))
    assert [said.text for said in report.said if said.who == "caller"] == ["hello there", "one", "two"]


@pytest.mark.parametrize("at_ms", [1600, 1740, 2600], ids=["before", "after", "long after"])
def test_an_interrupted_answer_is_quoted_as_far_as_it_was_heard_whenever_its_words_come(tmp_path: Path, at_ms: float) -> None:
    """R34: many servers tell them only when the response has ended."""
    words = at(at_ms, ev.ResponseTranscribed, "r1", "one two three four five six")
    turn = at(2550, ev.Transcribed, "u2", "What?")
    report = told(tmp_path, (*sorted((*BARGE_IN, words, turn), key=lambda line: line[0]), END))
    [agent, caller] = report.said
    assert (agent.who, agent.text, caller.text) == ("agent", "one two three four —", "What?")
    assert (agent.start_ms, agent.end_ms) == pytest.approx((900, 1700))


def test_each_state_is_told_from_its_entry_to_the_next(tmp_path: Path) -> None:
    report = told(tmp_path, (*BARGE_IN, END))
    [phase] = [ribbon for ribbon in report.ribbons if ribbon.name == "phase"]
    states = [span.state for span in phase.spans]
    assert states[:4] == ["listening", "ai_speaking", "cancelling", "listening"]
    for earlier, later in zip(phase.spans, phase.spans[1:], strict=False):
        assert later.start_ms >= earlier.end_ms


def test_the_end_is_told_with_its_reason(tmp_path: Path) -> None:
    events = (*OPENING, at(500, ev.DeviceFailed, "unplugged"), at(600, ev.LineClosed))
    assert told(tmp_path, events).ended == "the audio device failed: unplugged"
    assert "the caller hung up" in told(tmp_path, (*OPENING, END)).summary()


def test_a_call_in_which_nothing_happened_can_be_told(tmp_path: Path) -> None:
    report = told(tmp_path, (at(0, ev.CallerHungUp),))
    assert dict(report.figures())["barge-ins"] == "0"
    assert dict(report.figures())["response cancels"] == "none"
    assert report.summary().endswith("\n")


def test_sound_is_drawn_from_when_the_line_was_open(tmp_path: Path) -> None:
    late = (at(700, ev.LineOpened), at(700, ev.SessionConfirmed), at(2_000, ev.CallerHungUp))
    report = told(tmp_path, late)
    assert report.line_ms == pytest.approx(700)
    picture = report.picture("", b"\1\0", b"\2\0")
    silence = bytes(2 * 700 * 24)
    assert (picture.caller, picture.agent) == (silence + b"\1\0", silence + b"\2\0")


def test_what_a_server_says_steers_no_terminal(tmp_path: Path) -> None:
    """R105: neither its reasons nor its ids."""
    script = (*BARGE_IN, at(8000, ev.ReceiverFailed, "gone \x1b[2J\x1b]0;mine\x07"))
    summary = told(tmp_path, script).summary()
    assert "gone \ufffd[2J" in summary
    assert not {"\x1b", "\x07"} & set(summary)
