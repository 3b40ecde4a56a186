"""Claims about asking for a response: once a turn, for a cause, never over the caller or another response (R11 to R25, R35 to R40)."""

from fsm import Policy, events as ev, states
from fsm.call.effects import (
    AddEntry,
    Admit,
    CancelResponse,
    Cause,
    CreateResponse,
    Flush,
    Level,
    Log,
    ProtectResponse,
    Reason,
    Retire,
    TellEnded,
)
from fsm.call.guards import next_cause
from tests.shared.core import (
    Script,
    answering,
    asked,
    begun,
    caller_says,
    greeting,
    hear,
    heard_out,
    idle,
    interrupted,
    playing_out,
    speaking,
)

USER_TURN = CreateResponse(Cause.USER_TURN)
ENTRY = CreateResponse(Cause.ENTRY)


def test_a_committed_turn_is_answered_once() -> None:
    """R12: the create names its cause, and nothing asks again."""
    script = idle()
    assert caller_says(script) == [USER_TURN]
    script.post(ev.Transcribed, "u1", "hello")
    script.post(ev.ResponseCreated, "r1")
    hear(script)
    script.post(ev.ResponseCompleted, "r1")
    heard_out(script)
    script.wait(60_000)
    assert script.of(CreateResponse) == [USER_TURN]


def test_a_turn_that_is_told_twice_is_answered_once() -> None:
    """R21: by its item, not by text or time."""
    script = asked()
    script.post(ev.ResponseCreated, "r1")
    script.post(ev.TurnCommitted, "u1")
    hear(script)
    script.post(ev.ResponseCompleted, "r1")
    script.wait(10_000)
    assert len(script.of(CreateResponse)) == 1


def test_turns_without_items_are_turns() -> None:
    """R21: an empty id is no item."""
    script = idle()
    script.post(ev.TurnCommitted)
    script.post(ev.CreateRefused, "boom")
    script.post(ev.TurnCommitted)
    assert script.call.pending.state is states.NOTHING
    assert len(script.of(CreateResponse)) == 2


def test_a_commit_told_twice_does_not_end_the_next_turn() -> None:
    """R19, R21: the caller speaks on, and is still answered when the new turn closes."""
    script = asked(create_response=True)
    script.post(ev.SpeechStarted, "u2")
    script.post(ev.TurnCommitted, "u1")
    script.expects(turn=states.SPEAKING)
    script.post(ev.SpeechStopped, "u2")
    script.post(ev.TurnCommitted, "u1")
    script.expects(turn=states.STOPPED, pending=states.WANTED)
    script.wait(1_800)
    script.expects(turn=states.QUIET, pending=states.OWED)


def test_the_end_of_a_committed_turn_that_comes_late_opens_none() -> None:
    """R21, R24: speech_stopped after its commit."""
    script = idle()
    script.post(ev.SpeechStarted, "u1")
    script.post(ev.TurnCommitted, "u1")
    script.post(ev.SpeechStopped, "u1")
    script.expects(turn=states.QUIET)
    script.wait(5_000)
    assert len(script.of(CreateResponse)) == 1


def test_a_transcript_asks_for_nothing() -> None:
    """R20, R22."""
    script = idle()
    assert script.post(ev.Transcribed, "u1", "hello") == []
    assert script.post(ev.VoiceHeard, 900.0) == []
    script.wait(10_000)
    assert not script.of(CreateResponse)


def test_nothing_is_asked_for_while_the_caller_speaks() -> None:
    """R19: a response that is due waits for the caller's turn, and that turn is what is answered."""
    script = asked()
    script.post(ev.CreateRefused, "boom")
    script.post(ev.SpeechStarted, "u2")
    assert script.wait(5_000) == []
    script.expects(pending=states.WANTED)
    script.post(ev.SpeechStopped, "u2")
    assert script.post(ev.TurnCommitted, "u2") == [USER_TURN]


def test_an_owed_answer_is_not_asked_for_over_the_caller() -> None:
    """R19, and the second seed's watchdog: it waits for the caller."""
    script = asked(create_response=True)
    script.post(ev.SpeechStarted, "u2")
    assert script.wait(10_000) == []
    assert not script.of(CreateResponse)


def test_a_turn_without_commit_is_answered() -> None:
    """R24: 1.8 s after the caller stopped, with or without text."""
    script = idle()
    script.post(ev.SpeechStarted, "u1")
    script.post(ev.SpeechStopped, "u1")
    assert script.wait(1_799) == []
    assert script.wait(1) == [USER_TURN]
    script.expects(turn=states.QUIET)


def test_a_stop_without_start_is_a_turn() -> None:
    """R76: its start was muted or lost."""
    script = idle()
    script.post(ev.SpeechStopped, "u1")
    script.expects(turn=states.STOPPED)
    assert script.wait(1_800) == [USER_TURN]


def test_a_start_after_the_stop_goes_on_with_the_turn() -> None:
    """R19, R24."""
    script = idle()
    script.post(ev.SpeechStarted, "u1")
    script.post(ev.SpeechStopped, "u1")
    script.wait(1_000)
    script.post(ev.SpeechStarted, "u1")
    assert script.wait(10_000) == []
    script.expects(turn=states.SPEAKING)


def test_a_caller_whose_stop_is_lost_is_answered_in_the_end() -> None:
    """R78: nobody speaks for two minutes without a stop."""
    script = idle()
    script.post(ev.SpeechStarted, "u1")
    assert script.wait(120_000) == [USER_TURN]
    script.expects(turn=states.QUIET)


def test_the_server_that_answers_by_itself_is_not_asked() -> None:
    """R11, R12: one creator."""
    script = asked(create_response=True)
    script.wait(2_999)
    assert script.post(ev.ResponseCreated, "r1") == [Admit("r1")]
    script.expects(pending=states.NOTHING, response=states.IN_PROGRESS)
    hear(script)
    script.post(ev.ResponseCompleted, "r1")
    script.wait(10_000)
    assert not script.of(CreateResponse)


def test_the_servers_answer_closes_a_turn_without_commit() -> None:
    """R12, R24: what is answered is not asked for again when the turn would have closed."""
    script = idle(create_response=True)
    script.post(ev.SpeechStarted, "u1")
    script.post(ev.SpeechStopped, "u1")
    script.post(ev.ResponseCreated, "r1")
    script.expects(turn=states.QUIET)
    hear(script)
    script.post(ev.ResponseCompleted, "r1")
    script.wait(10_000)
    assert not script.of(CreateResponse)


def test_a_creation_that_answers_nothing_does_not_close_the_turn() -> None:
    """R24, R72: the word of an old response is told again, and the turn is still answered."""
    script = playing_out()
    heard_out(script)
    script.post(ev.SpeechStarted, "u2")
    script.post(ev.SpeechStopped, "u2")
    script.post(ev.ResponseCreated, "r1")
    script.expects(turn=states.STOPPED)
    assert script.wait(1_800) == [USER_TURN]


def test_the_answer_to_the_last_turn_does_not_close_the_next_one() -> None:
    """R24: a short word between create and created is answered too."""
    script = asked()
    script.post(ev.SpeechStarted, "u2")
    script.post(ev.SpeechStopped, "u2")
    script.post(ev.ResponseCreated, "r1")
    script.expects(turn=states.STOPPED)
    script.post(ev.ResponseCompleted, "r1")
    assert script.wait(1_800) == [USER_TURN]


def test_a_server_that_owes_the_answer_too_long_is_asked() -> None:
    """R78: the watchdog."""
    script = asked(create_response=True)
    assert script.wait(2_999) == []
    assert script.wait(1) == [USER_TURN]
    script.expects(pending=states.NOTHING, response=states.REQUESTED)
    script = idle(create_response=True)
    script.post(ev.SpeechStopped, "u1")
    assert script.wait(1_800) == []
    script.expects(pending=states.OWED)
    assert script.wait(3_000) == [USER_TURN]


def test_an_owed_answer_waits_while_the_agent_still_speaks() -> None:
    """R11: the second seed's watchdog fired while the AI was speaking."""
    script = playing_out(create_response=True, stall_ms=60_000)
    script.post(ev.TurnCommitted, "u2")
    assert script.wait(3_000) == []
    script.expects(pending=states.WANTED)
    assert heard_out(script) == [USER_TURN]


def test_a_turn_during_an_answer_waits_for_its_end_and_its_sound() -> None:
    """R11, R27: generated to its end is not heard to its end."""
    script = speaking()
    assert script.post(ev.TurnCommitted, "u2") == []
    script.expects(pending=states.WANTED)
    assert script.post(ev.ResponseCompleted, "r1") == []
    assert heard_out(script) == [USER_TURN]


def test_two_turns_are_answered_by_one_response() -> None:
    """R11, R93."""
    script = speaking()
    script.post(ev.TurnCommitted, "u2")
    script.post(ev.TurnCommitted, "u3")
    script.post(ev.ResponseCompleted, "r1")
    heard_out(script)
    assert script.of(CreateResponse) == [USER_TURN, USER_TURN]
    assert [debt.item_id for debt in script.call.pending.asked] == [""], "no listener's word is both of them"


def test_nothing_is_asked_before_the_session_is_confirmed() -> None:
    """R39: session.created is no confirmation."""
    script = Script(Policy(greeting=False))
    script.post(ev.LineOpened)
    script.post(ev.SessionOpened)
    assert caller_says(script) == []
    script.expects(pending=states.WANTED)
    assert script.post(ev.SessionConfirmed) == [USER_TURN]


def test_nothing_is_asked_before_the_line_is_open() -> None:
    """R40."""
    script = Script(Policy())
    script.post(ev.SessionOpened)
    script.post(ev.SessionConfirmed)
    script.post(ev.GreetingPrepared, "Hello.")
    assert not script.of(CreateResponse)
    assert script.post(ev.LineOpened) == [CreateResponse(Cause.GREETING, "Hello.")]


def test_a_create_without_answer_is_asked_again_and_then_given_up() -> None:
    """R14: no pending lock outlives its deadline; after `recoveries` the call ends with a reason."""
    script = asked(recoveries=1)
    assert script.wait(6_000) == [Log(Level.WARNING, "create_unanswered")]
    script.expects(response=states.FAILED, pending=states.PAUSED)
    assert script.wait(500) == [CreateResponse(Cause.RECOVERY)]
    script.wait(6_000)
    assert script.of(TellEnded) == [TellEnded(Reason.MODEL_FAILED, "no answer came")]


def test_a_refused_create_is_asked_again_and_then_given_up() -> None:
    """R03, R14."""
    script = asked(recoveries=1)
    assert script.post(ev.CreateRefused, "boom") == [Log(Level.WARNING, "boom")]
    assert script.wait(500) == [CreateResponse(Cause.RECOVERY)]
    script.post(ev.CreateRefused, "boom")
    assert script.of(TellEnded) == [TellEnded(Reason.MODEL_FAILED, "boom")]


def test_a_create_refused_for_an_active_response_is_a_debug_line() -> None:
    """R02, R11."""
    script = asked()
    code = "conversation_already_has_active_response"
    assert script.post(ev.CreateRefused, code) == [Log(Level.DEBUG, code)]
    script.expects(response=states.BLOCKED, pending=states.WANTED)


def test_a_late_refusal_touches_no_live_response() -> None:
    """R03."""
    script = answering()
    assert script.post(ev.CreateRefused, "boom") == [Log(Level.DEBUG, "boom")]
    script.expects(response=states.IN_PROGRESS, pending=states.NOTHING)


def test_a_failed_or_incomplete_response_is_asked_for_again() -> None:
    """R15: after a pause, as a recovery, and never more often than the policy says."""
    for kind in (ev.ResponseFailed, ev.ResponseIncomplete):
        script = answering(recoveries=1)
        assert script.post(kind, "r1", "server_error") == [Retire("r1")]
        script.expects(pending=states.PAUSED)
        assert script.wait(499) == []
        assert script.wait(1) == [CreateResponse(Cause.RECOVERY)]
        script.post(ev.ResponseCreated, "r2")
        script.post(kind, "r2", "server_error")
        assert script.of(TellEnded) == [TellEnded(Reason.MODEL_FAILED, "server_error")]


def test_a_failure_told_twice_is_one_failure() -> None:
    """R15, R72: neither a second recovery nor an end of the call."""
    for kind in (ev.ResponseFailed, ev.ResponseIncomplete):
        script = answering(recoveries=1)
        script.post(kind, "r1", "server_error")
        script.wait(500)
        script.expects(response=states.REQUESTED)
        assert script.post(kind, "r1", "server_error") == []
        script.expects(pending=states.NOTHING, hangup=states.STAYING)


def test_a_new_turn_has_all_its_recoveries() -> None:
    """R15: failures in a row."""
    script = answering(recoveries=1)
    script.post(ev.ResponseFailed, "r1", "server_error")
    script.wait(500)
    script.post(ev.ResponseCreated, "r2")
    hear(script, "r2")
    script.post(ev.ResponseCompleted, "r2")
    heard_out(script, "r2")
    caller_says(script, "u2")
    script.post(ev.ResponseCreated, "r3")
    script.post(ev.ResponseFailed, "r3", "server_error")
    script.expects(pending=states.PAUSED, hangup=states.STAYING)


def test_a_callers_turn_replaces_a_recovery() -> None:
    """R12, R15: one answer, to what was said last."""
    script = answering()
    script.post(ev.ResponseFailed, "r1", "server_error")
    assert caller_says(script, "u2", ms=100) == [USER_TURN]
    script.post(ev.ResponseCreated, "r2")
    hear(script, "r2")
    script.post(ev.ResponseCompleted, "r2")
    script.wait(10_000)
    assert len(script.of(CreateResponse)) == 2


def test_a_failure_that_asking_again_cannot_mend_ends_the_call() -> None:
    """R18: at once, with the server's code."""
    script = answering()
    script.post(ev.ResponseFailed, "r1", "insufficient_quota")
    assert script.of(TellEnded) == [TellEnded(Reason.MODEL_FAILED, "insufficient_quota")]
    script.expects(phase=states.CLOSING)
    script = answering()
    script.post(ev.ResponseFailed, "r9", "insufficient_quota")
    script.expects(phase=states.LISTENING, response=states.IN_PROGRESS)


def test_a_silent_response_is_cancelled_and_replaced() -> None:
    """R16: flushed, cancelled, and asked for once more; then the call ends with a reason."""
    script = answering(recoveries=1)
    assert script.wait(5_000) == [
        Flush("r1"),
        CancelResponse("r1"),
        Log(Level.WARNING, "response_without_end_or_sound", "r1"),
        Retire("r1"),
    ]
    script.expects(phase=states.CANCELLING, pending=states.PAUSED, playout=states.SILENT)
    script.post(ev.ResponseCancelled, "r1")
    assert script.wait(500) == [CreateResponse(Cause.RECOVERY)]
    script.post(ev.ResponseCreated, "r2")
    script.wait(5_000)
    assert script.of(TellEnded) == [TellEnded(Reason.MODEL_FAILED, "no answer came")]


def test_the_greeting_follows_its_text() -> None:
    """R12, R35: asked for as a greeting, and locked when it is accepted, not before."""
    script = begun()
    script.expects(pending=states.PREPARING, session=states.GUARDED)
    assert script.post(ev.GreetingPrepared, "Say hello.") == [CreateResponse(Cause.GREETING, "Say hello.")]
    script.expects(phase=states.LISTENING)
    script.post(ev.ResponseCreated, "g1")
    script.expects(phase=states.GREETING_LOCK)


def test_a_greeting_text_that_never_comes_is_done_without() -> None:
    """R78."""
    script = begun()
    assert CreateResponse(Cause.GREETING) in script.wait(10_000)


def test_an_outbound_call_waits_for_the_callee() -> None:
    """R38: nobody is greeted before they spoke."""
    script = begun(direction="outbound")
    script.post(ev.GreetingPrepared, "Hello.")
    script.wait(30_000)
    assert not script.of(CreateResponse)
    assert caller_says(script) == [USER_TURN]


def test_a_greeting_is_void_once_the_caller_had_a_turn() -> None:
    """R37: its text comes late, and nobody is greeted after an answer."""
    script = begun(voice="realtime")
    caller_says(script)
    script.post(ev.ResponseCreated, "r1")
    assert script.post(ev.GreetingPrepared, "Hello.") == []
    hear(script)
    script.post(ev.ResponseCompleted, "r1")
    script.wait(30_000)
    assert script.of(CreateResponse) == [USER_TURN]


def test_a_greeting_that_waits_is_replaced_by_the_callers_turn() -> None:
    """R37, R19: the caller spoke first."""
    script = begun(voice="realtime")
    script.post(ev.SpeechStarted, "u1")
    assert script.post(ev.GreetingPrepared, "Hello.") == []
    script.post(ev.SpeechStopped, "u1")
    assert script.post(ev.TurnCommitted, "u1")[-1] == USER_TURN


def test_a_greeting_cancelled_before_it_was_heard_is_tried_once_more() -> None:
    """R36: as a greeting, with its text, and only once."""
    script = greeting()
    assert Flush("g1") in script.post(ev.ResponseCancelled, "g1", "turn_detected")
    script.expects(phase=states.LISTENING, pending=states.PAUSED)
    assert script.wait(500) == [ProtectResponse(), CreateResponse(Cause.GREETING, "Say hello.")]
    script.post(ev.ResponseCreated, "g2")
    script.expects(phase=states.GREETING_LOCK)
    script.post(ev.ResponseCancelled, "g2", "turn_detected")
    script.expects(pending=states.NOTHING)


def test_a_greeting_cancelled_when_it_was_heard_is_not_repeated() -> None:
    """R36."""
    script = hear(greeting(), "g1")
    script.post(ev.ResponseCancelled, "g1", "turn_detected")
    script.expects(pending=states.NOTHING, phase=states.LISTENING)


def test_an_answer_that_the_server_cancels_unheard_is_given_once() -> None:
    """R12, R93: the turn for which it was cancelled is answered, once; where none comes, the old one still is."""
    script = answering()
    script.post(ev.SpeechStarted, "u2")
    script.post(ev.ResponseCancelled, "r1", "turn_detected")
    script.wait(1_000)
    script.post(ev.SpeechStopped, "u2")
    assert script.post(ev.TurnCommitted, "u2") == [USER_TURN]
    assert script.call.pending.owed == ()
    script = answering()
    script.post(ev.ResponseCancelled, "r1", "turn_detected")
    assert script.wait(500) == [CreateResponse(Cause.RECOVERY)]


def test_a_failed_greeting_is_repeated_as_it_was_heard() -> None:
    """R15, R36, R43: unheard as a greeting; after its first sound as a recovery, without the words to begin it anew."""
    script = greeting()
    script.post(ev.ResponseFailed, "g1", "server_error")
    assert script.wait(500) == [CreateResponse(Cause.GREETING, "Say hello.")]
    script = hear(greeting(), "g1")
    script.post(ev.ResponseFailed, "g1", "server_error")
    heard_out(script, "g1")
    assert CreateResponse(Cause.RECOVERY) in script.wait(500)
    script = begun(voice="realtime")
    script.post(ev.GreetingPrepared, "Hello.")
    script.post(ev.CreateRefused, "boom")
    assert script.wait(500) == [CreateResponse(Cause.GREETING, "Hello.")]


def test_what_the_caller_says_into_the_greeting_is_answered_after_it() -> None:
    """R36, R76: nothing that was muted is lost; a caller who still speaks is waited for."""
    script = hear(greeting(), "g1")
    assert caller_says(script, "u1") == []
    script.post(ev.ResponseCompleted, "g1")
    assert USER_TURN in heard_out(script, "g1")
    script = hear(greeting(), "g1")
    script.post(ev.SpeechStarted, "u1")
    script.post(ev.ResponseCompleted, "g1")
    heard_out(script, "g1")
    script.expects(phase=states.LISTENING, turn=states.SPEAKING)
    script.post(ev.SpeechStopped, "u1")
    assert script.post(ev.TurnCommitted, "u1") == [USER_TURN]


def test_a_greeting_without_sound_leaves_its_lock() -> None:
    """R35: 5 s without audio, and nothing is stuck."""
    script = greeting(recoveries=0)
    script.wait(5_000)
    assert script.of(TellEnded) == [TellEnded(Reason.MODEL_FAILED, "no answer came")]
    script = greeting(recoveries=1)
    script.wait(5_000)
    script.expects(phase=states.CANCELLING, pending=states.PAUSED)
    script.post(ev.ResponseCancelled, "g1")
    assert script.wait(500) == [CreateResponse(Cause.GREETING, "Say hello.")]


def _after_greeting(create_response: bool = False) -> Script:
    """The greeting was heard, and was the last that was asked for."""
    script = hear(greeting(create_response=create_response), "g1")
    script.post(ev.ResponseCompleted, "g1")
    heard_out(script, "g1")
    return script.expects(phase=states.LISTENING, session=states.READY)


def test_what_follows_the_greeting_is_no_greeting() -> None:
    """R12: an uncommitted turn and an entry name their own cause, and carry none of the greeting's text."""
    for create_response in (False, True):
        script = _after_greeting(create_response)
        script.post(ev.SpeechStopped, "u1")
        script.wait(5_000)
        assert script.of(CreateResponse)[1:] == [USER_TURN]
    script = _after_greeting()
    script.post(ev.DigitPressed, "4")
    assert script.wait(4_000) == [AddEntry("4"), ENTRY]
    script = _after_greeting()
    script.post(ev.DigitPressed, "4")
    assert script.post(ev.DigitPressed, "#") == [AddEntry("4"), ENTRY]


def test_a_turn_between_create_and_created_is_answered() -> None:
    """R12: what we asked for answers the turn before; the new one still waits."""
    script = asked()
    script.post(ev.TurnCommitted, "u2")
    script.expects(pending=states.WANTED)
    script.post(ev.ResponseCreated, "r1")
    assert script.post(ev.ResponseCompleted, "r1") == [Retire("r1"), USER_TURN]


def test_a_sound_leaves_the_greetings_second_try_as_it_is() -> None:
    """R36: only an answer to the caller is put off by the caller's next sound."""
    script = greeting()
    script.post(ev.ResponseCancelled, "g1", "turn_detected")
    script.post(ev.SpeechStarted, "u1")
    script.expects(pending=states.PAUSED)


def test_a_fixed_length_entry_hands_itself_in_once() -> None:
    """R63: the late terminator is swallowed, and the entry is answered once."""
    script = idle(dtmf_digits=3)
    assert script.post(ev.DigitPressed, "1") == []
    assert script.post(ev.DigitPressed, "2") == []
    assert script.post(ev.DigitPressed, "3") == [AddEntry("123"), ENTRY]
    script.expects(dtmf=states.SUBMITTED)
    assert script.post(ev.DigitPressed, "#") == []
    script.expects(dtmf=states.SUBMITTED)
    assert script.call.dtmf.digits == ""
    script.wait(4_000)
    script.expects(dtmf=states.NO_ENTRY, pending=states.NOTHING)


def test_an_entry_ends_with_its_terminator_or_a_pause() -> None:
    """R63, R78."""
    script = idle()
    assert script.post(ev.DigitPressed, "#") == []
    script.expects(dtmf=states.NO_ENTRY)
    for digit in "42":
        script.post(ev.DigitPressed, digit)
    assert script.post(ev.DigitPressed, "#") == [AddEntry("42"), ENTRY]
    script.expects(dtmf=states.SUBMITTED)
    script.post(ev.DigitPressed, "7")
    script.expects(dtmf=states.ENTERING)
    assert script.wait(3_999) == []
    assert AddEntry("7") in script.wait(1)
    script.expects(dtmf=states.NO_ENTRY, pending=states.WANTED)
    assert script.call.dtmf.digits == ""


def test_each_key_gives_an_entry_its_time_anew() -> None:
    """R63, R78: the pause is counted from the last key."""
    script = idle()
    for digit in "123":
        script.post(ev.DigitPressed, digit)
        assert script.wait(3_000) == []
    assert script.wait(1_000) == [AddEntry("123"), ENTRY]


def test_an_entry_of_one_digit_hands_itself_in() -> None:
    """R63: also right after another."""
    script = idle(dtmf_digits=1)
    assert script.post(ev.DigitPressed, "1") == [AddEntry("1"), ENTRY]
    assert script.post(ev.DigitPressed, "2")[0] == AddEntry("2")


def test_what_is_kept_of_an_entry_is_bounded() -> None:
    """R07: and nothing of it is kept when it is handed in."""
    script = idle()
    for _ in range(70):
        script.post(ev.DigitPressed, "5")
    assert script.post(ev.DigitPressed, "#")[0] == AddEntry("5" * 64)
    assert script.call.dtmf.digits == ""


def test_a_wish_that_waits_is_asked_for_when_the_interruption_is_decided() -> None:
    """R11, R78: every obstacle's end makes the wish due."""
    script = hear(greeting(greeting_protected=False), "g1")
    script.post(ev.ResponseCompleted, "g1")
    script.post(ev.TurnCommitted, "u1")
    script.expects(pending=states.WANTED)
    assert USER_TURN in script.post(ev.BargeInDetected)


def test_the_server_does_not_answer_while_the_greeting_is_guarded() -> None:
    """R36: its VAD has no rights yet, so the turn is ours to answer."""
    script = hear(greeting(create_response=True), "g1")
    caller_says(script)
    script.expects(pending=states.WANTED)
    script.post(ev.ResponseCompleted, "g1")
    assert USER_TURN in heard_out(script, "g1")


def test_an_answer_of_the_server_makes_no_wish_outlive_it() -> None:
    """R12, R37: a greeting that still waits is void when the server has answered."""
    script = begun(voice="realtime")
    script.post(ev.ResponseCreated, "r1")
    script.expects(pending=states.NOTHING, response=states.IN_PROGRESS)
    assert script.post(ev.GreetingPrepared, "Hello.") == []


def test_interruption_of_the_greetings_wait_is_no_turn() -> None:
    """R19: a sound postpones the answer, never drops it."""
    script = interrupted()
    script.post(ev.SpeechStopped, "u2")
    script.post(ev.ResponseCancelled, "r1")
    assert script.wait(1_800)[-1] == USER_TURN


def test_an_answer_that_the_server_always_cancels_ends_the_call() -> None:
    """R12, R93: it is owed, and asked for again a few times; a caller who speaks has another coming."""
    script = answering(recoveries=1)
    script.post(ev.ResponseCancelled, "r1", "turn_detected")
    script.wait(500)
    script.post(ev.ResponseCreated, "r2")
    script.post(ev.ResponseCancelled, "r2", "turn_detected")
    assert script.of(TellEnded) == [TellEnded(Reason.MODEL_FAILED, "no answer came")]
    script = answering(recoveries=0)
    script.post(ev.SpeechStarted, "u2")
    script.post(ev.ResponseCancelled, "r1", "turn_detected")
    script.expects(pending=states.WANTED, hangup=states.STAYING)


def test_what_was_generated_and_not_heard_is_owed_again() -> None:
    """R93: the voice was held when its sound came, and a cough is no turn that would be answered instead."""
    script = answering(turns="local")
    script.post(ev.SpeechStarted)
    script.post(ev.AudioArrived, "r1", "item_r1")
    script.post(ev.ResponseCompleted, "r1")
    assert script.wait(150)[:1] == [Flush("r1")]
    script.post(ev.SpeechStopped)
    assert script.post(ev.CommitRefused, "input_audio_buffer_commit_empty") == [USER_TURN]


def test_failures_are_counted_and_paused_whatever_else_is_owed() -> None:
    """R14, R15: a notice that waits behind an answer hastens no other try; and an answer that has not failed has a try of its own."""
    script = asked(recoveries=1)
    script.post(ev.NoticeRequested, "This call is recorded.")
    assert CreateResponse(Cause.RECOVERY) not in script.post(ev.CreateRefused, "boom")
    assert script.wait(500) == [CreateResponse(Cause.RECOVERY)]
    script.post(ev.CreateRefused, "boom")
    assert script.of(TellEnded) == [TellEnded(Reason.MODEL_FAILED, "boom")]
    script = asked(recoveries=0)
    script.post(ev.TurnCommitted, "u2")
    assert script.post(ev.CreateRefused, "boom")[1:] == [CreateResponse(Cause.USER_TURN)]
    script.post(ev.CreateRefused, "boom")
    assert script.of(TellEnded) == [TellEnded(Reason.MODEL_FAILED, "boom")]


def test_a_prompt_that_was_cut_off_or_that_a_tool_overtook_is_not_repeated() -> None:
    """R52, R54."""
    script = idle(idle_ms=20_000)
    script.wait(20_000)
    script.post(ev.ResponseCreated, "p1")
    script.post(ev.ResponseCancelled, "p1", "turn_detected")
    assert not [effect for effect in script.wait(5_000) if isinstance(effect, CreateResponse)]
    script = idle(idle_ms=20_000)
    script.wait(20_000)
    script.post(ev.ResponseCreated, "p1")
    script.post(ev.ToolCalled, "t1", "look_up", "{}", "p1")
    script.post(ev.ResponseFailed, "p1", "server_error")
    assert CreateResponse(Cause.IDLE_PROMPT) not in script.wait(3_000)


def test_a_wait_that_the_server_states_is_kept_up_to_a_bound() -> None:
    """R92: whether it fails a response, or refuses to create one."""
    for asked_ms, waits_ms in ((100.0, 500.0), (2_500.0, 2_500.0), (60_000.0, 10_000.0)):
        failed, refused = answering(), asked()
        failed.post(ev.ResponseFailed, "r1", "rate_limit_exceeded", asked_ms)
        refused.post(ev.CreateRefused, "rate_limit_exceeded", asked_ms)
        for script in (failed, refused):
            assert script.wait(waits_ms - 1) == []
            assert script.wait(1) == [CreateResponse(Cause.RECOVERY)]


def test_a_refused_commit_is_no_turn() -> None:
    """R95: nothing is asked for, and the caller may go on."""
    script = idle(turns="local")
    script.post(ev.SpeechStarted)
    script.post(ev.SpeechStopped)
    assert script.post(ev.CommitRefused, "input_audio_buffer_commit_empty") == []
    script.expects(turn=states.QUIET, idle=states.ARMED)
    assert script.wait(5_000) == []
    script.post(ev.SpeechStarted)
    script.expects(turn=states.SPEAKING)
    script.post(ev.CommitRefused, "late")
    script.expects(turn=states.SPEAKING)


def test_a_commit_that_comes_late_is_no_second_turn() -> None:
    """R12, R24: the turn was closed without it, and is answered; the next one counts."""
    script = idle()
    script.post(ev.SpeechStarted, "u1")
    script.post(ev.SpeechStopped, "u1")
    assert script.wait(1_800) == [USER_TURN]
    assert script.post(ev.TurnCommitted, "u1") == []
    assert script.call.pending.owed == ()
    script.post(ev.SpeechStarted, "u2")
    script.post(ev.TurnCommitted, "u2")
    assert [debt.item_id for debt in script.call.pending.owed] == ["u2"]


def test_a_tool_that_answers_behind_the_servers_answer_is_answered_too() -> None:
    """R93: the server began to answer before it could know of it."""
    script = asked(create_response=True)
    script.post(ev.ToolCalled, "t1", "look_up", "{}")
    script.wait(100)
    script.post(ev.ToolFinished, "t1", "found")
    script.post(ev.ResponseCreated, "r1")
    hear(script)
    script.post(ev.ResponseCompleted, "r1")
    assert CreateResponse(Cause.TOOL_RESULT) in heard_out(script)


def test_a_completed_answer_of_which_nothing_was_heard_has_failed() -> None:
    """R91: it is asked for again; not where a tool was called, and not where sound came."""
    script = answering()
    script.post(ev.ResponseCompleted, "r1")
    assert script.wait(500) == [CreateResponse(Cause.RECOVERY)]
    script = answering()
    script.post(ev.ToolCalled, "t1", "look_up", "{}", "r1")
    script.post(ev.ResponseCompleted, "r1")
    script.wait(500)
    assert len(script.of(CreateResponse)) == 1
    script = speaking(create_response=True)
    script.post(ev.ResponseCompleted, "r1")
    script.post(ev.ResponseCreated, "r2")
    script.post(ev.ResponseCompleted, "r2")
    assert script.of(Flush) == [Flush("r2")]
    script.expects(pending=states.PAUSED, playout=states.PLAYING)


def test_what_a_device_did_not_play_is_owed_still() -> None:
    """R79, R93: a notice to its end, an answer of which nothing was heard; and a device that never plays ends the call."""
    script = idle(recoveries=1)
    script.post(ev.NoticeRequested, "This call is recorded.")
    script.post(ev.ResponseCreated, "n1")
    hear(script, "n1")
    script.post(ev.ResponseCompleted, "n1")
    script.wait(2_000)
    assert CreateResponse(Cause.NOTICE, "This call is recorded.") in script.wait(500)
    script.expects(session=states.GUARDED)
    script.post(ev.ResponseCreated, "n2")
    hear(script, "n2")
    script.post(ev.ResponseCompleted, "n2")
    script.wait(2_000)
    assert script.of(TellEnded) == [TellEnded(Reason.DEVICE_FAILED, "it plays nothing")]
    heard_in_part = playing_out()
    heard_in_part.wait(5_000)
    heard_in_part.expects(pending=states.NOTHING, playout=states.SILENT)


def test_a_greeting_whose_sound_came_is_not_said_twice() -> None:
    """R43: it failed before the device told that it is heard."""
    script = greeting()
    script.post(ev.AudioArrived, "g1", "item_g1")
    script.post(ev.ResponseFailed, "g1", "server_error")
    assert [debt.cause for debt in script.call.pending.owed] == [Cause.RECOVERY]


def test_a_failed_answer_leaves_one_cancelled_at_birth_awaited() -> None:
    """R73: nothing is asked for before its end."""
    for kind in (ev.ResponseFailed, ev.ResponseCompleted):
        script = answering()
        script.post(ev.ResponseCreated, "x1")
        script.post(kind, "r1")
        script.expects(response=states.CANCEL_IN_FLIGHT, pending=states.PAUSED)
        assert CreateResponse(Cause.RECOVERY) not in script.wait(500)
        assert CreateResponse(Cause.RECOVERY) in script.post(ev.ResponseCancelled, "x1")


def test_nothing_owed_has_no_cause() -> None:
    """R12."""
    assert next_cause(idle().call) is None


def test_a_create_that_is_refused_for_good_ends_the_call() -> None:
    """R18: an outage of the quota is told by either message."""
    script = asked()
    script.post(ev.CreateRefused, "insufficient_quota")
    assert script.of(TellEnded) == [TellEnded(Reason.MODEL_FAILED, "insufficient_quota")]
