"""Claims about the response: one cancel for each, an id that lives to its end, errors that touch nothing (R01 to R15, R68 to R73)."""

from fsm import admits, events as ev, states
from fsm.call.effects import Admit, CancelResponse, Cause, CreateResponse, Flush, Level, Log
from fsm.call.snapshot import Debt
from tests.shared.core import (
    asked,
    caller_says,
    expired,
    greeting,
    hear,
    heard_out,
    idle,
    interrupted,
    playing_out,
    put,
    speaking,
)


def test_an_interrupted_response_is_cancelled_once() -> None:
    """R01, and the first seed's double cancel: however often the caller starts again."""
    script = interrupted()
    assert script.of(CancelResponse) == [CancelResponse("r1")]
    for _ in range(3):
        script.post(ev.SpeechStarted, "u3")
        script.post(ev.BargeInDetected)
        script.wait(20)
    assert script.of(CancelResponse) == [CancelResponse("r1")]


def test_only_a_response_in_progress_is_cancelled() -> None:
    """R06: what is generated to its end is flushed, never cancelled."""
    script = playing_out()
    script.post(ev.SpeechStarted, "u2")
    assert Flush("r1") in script.wait(150)
    assert not script.of(CancelResponse)
    script.expects(phase=states.LISTENING, response=states.COMPLETED)


def test_no_cancel_is_sent_when_the_server_interrupts() -> None:
    """R02: one owner; the server's VAD cancels, and we wait for its word."""
    script = interrupted(interrupts="server")
    script.expects(response=states.SERVER_CANCELLING)
    script.post(ev.ResponseCancelled, "r1", "turn_detected")
    script.expects(response=states.CANCELLED, phase=states.LISTENING)
    script.wait(10_000)
    assert not script.of(CancelResponse)


def test_a_server_that_does_not_cancel_in_time_is_told_to() -> None:
    """R02, R78: the server's silence has an end."""
    script = interrupted(interrupts="server")
    script.post(ev.PlayoutStopped, "r1", 1000.0, 1000.0)
    assert script.wait(1_999) == []
    assert script.wait(1) == [CancelResponse("r1")]
    script.expects(response=states.CANCEL_IN_FLIGHT, phase=states.CANCELLING)


def test_cancel_not_active_is_a_debug_line_and_no_more() -> None:
    """R02: the race is harmless, at DEBUG, and the status waits for the response's own end."""
    script = interrupted()
    told = script.post(ev.CancelRefused, "r1", "response_cancel_not_active")
    assert told == [Log(Level.DEBUG, "response_cancel_not_active")]
    script.expects(response=states.CANCEL_IN_FLIGHT, phase=states.CANCELLING)
    script.post(ev.ResponseCompleted, "r1")
    script.expects(response=states.COMPLETED, phase=states.LISTENING)
    assert len(script.of(CancelResponse)) == 1


def test_an_error_of_another_command_touches_nothing() -> None:
    """R03, R84: it is noted, and the live response lives on."""
    script = speaking()
    before = script.call
    assert script.post(ev.ErrorReceived, "server_error", "sorry") == [Log(Level.WARNING, "server_error")]
    assert script.post(ev.CancelRefused, "r0", "boom") == [Log(Level.WARNING, "boom")]
    assert script.post(ev.CreateRefused, "boom") == [Log(Level.DEBUG, "boom")]
    assert script.call == before


def test_a_cancel_that_did_not_leave_is_sent_again() -> None:
    """R05: after the cooldown, and as often as the policy says."""
    script = interrupted(cancel_attempts=3)
    for _ in range(2):
        assert script.post(ev.CancelUnsent, "r1") == []
        script.expects(response=states.CANCEL_UNSENT)
        assert script.wait(199) == []
        assert script.wait(1) == [CancelResponse("r1")]
    assert script.post(ev.CancelUnsent, "r1") == [Log(Level.INFO, "cancel_unconfirmed", "r1")]
    script.expects(response=states.CANCELLED, phase=states.LISTENING)


def test_a_new_response_has_all_its_cancel_attempts() -> None:
    """R05: what failed for the last response is not counted against the next."""
    script = interrupted(cancel_attempts=2)
    script.post(ev.CancelUnsent, "r1")
    script.post(ev.ResponseCancelled, "r1")
    script.post(ev.SpeechStopped, "u2")
    script.post(ev.TurnCommitted, "u2")
    script.wait(script.call.policy.interruption_lock_ms)
    script.post(ev.ResponseCreated, "r2")
    script.post(ev.BargeInDetected)
    script.post(ev.CancelUnsent, "r2")
    script.expects(response=states.CANCEL_UNSENT)


def test_an_unsent_cancel_is_not_repeated_for_what_has_ended() -> None:
    """R05, R06."""
    script = interrupted()
    script.post(ev.CancelUnsent, "r1")
    script.post(ev.ResponseCompleted, "r1")
    script.wait(5_000)
    assert len(script.of(CancelResponse)) == 1
    script.expects(phase=states.LISTENING)


def test_an_unsent_cancel_of_another_response_changes_nothing() -> None:
    """R05, R10."""
    script = interrupted()
    script.post(ev.CancelUnsent, "r0")
    script.expects(response=states.CANCEL_IN_FLIGHT, phase=states.CANCELLING)


def test_an_unsent_cancel_told_twice_does_not_end_the_cancelling() -> None:
    """R05: the second word finds the retry waiting, and the floor stays where it is."""
    script = interrupted(cancel_attempts=2)
    script.post(ev.CancelUnsent, "r1")
    script.post(ev.CancelUnsent, "r1")
    script.expects(response=states.CANCEL_UNSENT, phase=states.CANCELLING)


def test_a_cancel_whose_end_never_comes_is_given_up() -> None:
    """R78: after 600 ms the response counts as cancelled, and is remembered as ended."""
    script = interrupted()
    assert script.wait(600) == [Log(Level.INFO, "cancel_unconfirmed", "r1")]
    script.expects(response=states.CANCELLED, phase=states.LISTENING)
    script.post(ev.ResponseCreated, "r1")
    script.expects(response=states.CANCELLED, phase=states.LISTENING)
    assert not admits(script.call, "r1")


def test_a_response_lives_until_its_own_end() -> None:
    """R08: all sound has come, its end has not; it can still be interrupted and cancelled."""
    script = speaking()
    script.post(ev.QueueEmptied, "r1")
    script.post(ev.PlayoutFinished, "r1", 1000.0)
    script.post(ev.SpeechStarted, "u2")
    assert CancelResponse("r1") in script.wait(150)


def test_a_response_that_is_told_twice_is_one() -> None:
    """R72: a second response.created of a live or ended response admits nothing."""
    script = speaking()
    before = script.call
    assert script.post(ev.ResponseCreated, "r1") == []
    assert script.call == before
    script.post(ev.ResponseCompleted, "r1")
    assert script.post(ev.ResponseCreated, "r1") == []
    script.expects(response=states.COMPLETED)


def test_the_end_of_another_response_never_ends_the_live_one() -> None:
    """R72."""
    script = speaking()
    for kind in (ev.ResponseCompleted, ev.ResponseCancelled, ev.ResponseFailed, ev.ResponseIncomplete):
        assert script.post(kind, "r9") == []
    script.expects(response=states.IN_PROGRESS, phase=states.AI_SPEAKING, playout=states.PLAYING, pending=states.NOTHING)
    assert admits(script.call, "r1")


def test_the_end_of_another_response_never_ends_the_cancelling() -> None:
    """R72, R73."""
    script = interrupted()
    script.post(ev.ResponseCancelled, "r9")
    script.expects(response=states.CANCEL_IN_FLIGHT, phase=states.CANCELLING)


def test_a_response_that_ended_before_it_was_created_is_not_heard() -> None:
    """R06, R10: ended ids are remembered, whoever they belong to."""
    script = idle()
    script.post(ev.ResponseCancelled, "r5")
    script.post(ev.ResponseCreated, "r5")
    script.expects(response=states.NONE, playout=states.SILENT)
    assert not script.of(Admit)


def test_what_is_remembered_of_ended_responses_is_bounded() -> None:
    """R07, and the third seed's leak: the newest are kept."""
    script = idle(remembered_ids=3)
    for number in range(9):
        script.post(ev.ResponseCompleted, f"r{number}")
        script.post(ev.ResponseCompleted, f"r{number}")
    assert script.call.response.ended == ("r6", "r7", "r8")


def test_each_end_has_a_status_of_its_own() -> None:
    """R15."""
    for kind, state in (
        (ev.ResponseCompleted, states.COMPLETED),
        (ev.ResponseCancelled, states.CANCELLED),
        (ev.ResponseFailed, states.FAILED),
        (ev.ResponseIncomplete, states.INCOMPLETE),
    ):
        script = speaking()
        script.post(kind, "r1")
        script.expects(response=state)
        script = interrupted()
        script.post(kind, "r1")
        script.expects(response=state, phase=states.LISTENING)


def test_speech_between_create_and_created_cancels_at_birth() -> None:
    """R68: the response is cancelled the moment that it has an id, and nothing of it is heard."""
    script = asked()
    script.post(ev.SpeechStarted, "u2")
    script.wait(150)
    script.expects(response=states.WITHDRAWN, phase=states.LISTENING)
    assert script.post(ev.ResponseCreated, "r1") == [CancelResponse("r1")]
    script.expects(response=states.CANCEL_IN_FLIGHT, phase=states.CANCELLING, playout=states.SILENT)
    assert not admits(script.call, "r1")


def test_the_turn_after_a_withdrawn_response_is_answered() -> None:
    """R68: the next turn is not lost, and waits for the cancelled response's end (R73)."""
    script = asked()
    script.post(ev.SpeechStarted, "u2")
    script.wait(150)
    script.post(ev.ResponseCreated, "r1")
    script.post(ev.SpeechStopped, "u2")
    script.post(ev.TurnCommitted, "u2")
    assert len(script.of(CreateResponse)) == 1
    assert script.post(ev.ResponseCancelled, "r1") == [CreateResponse(Cause.USER_TURN)]


def test_a_withdrawn_response_that_is_refused_or_lost_is_done_with() -> None:
    """R14, R68."""
    script = asked()
    script.post(ev.BargeInDetected)
    script.expects(response=states.WITHDRAWN)
    script.post(ev.SpeechStarted, "u2")
    assert script.post(ev.CreateRefused, "boom") == [Log(Level.DEBUG, "boom")]
    script.expects(response=states.CANCELLED, pending=states.WANTED)
    script = asked()
    script.post(ev.BargeInDetected)
    script.post(ev.SpeechStarted, "u2")
    assert script.wait(6_000) == [Log(Level.WARNING, "create_unanswered")]
    script.expects(response=states.CANCELLED)


def test_a_sound_that_was_no_interruption_withdraws_nothing() -> None:
    """R74: too short a sound between create and created, and the answer is heard."""
    script = asked()
    script.post(ev.SpeechStarted, "u2")
    script.wait(100)
    script.post(ev.SpeechStopped, "u2")
    script.expects(response=states.REQUESTED)
    assert script.post(ev.ResponseCreated, "r1") == [Admit("r1")]


def test_nothing_of_an_interrupted_response_is_heard_again() -> None:
    """R09, R69: late deltas, progress, its end or a second creation: whoever cancelled it."""
    for interrupts in ("client", "server"):
        script = interrupted(interrupts=interrupts)
        for _ in range(2):
            script.post(ev.AudioArrived, "r1", "item_r1")
            script.post(ev.PlayoutProgressed, "r1", 1200.0)
            script.post(ev.ResponseCreated, "r1")
            assert not admits(script.call, "r1")
            script.expects(playout=states.SILENT)
            script.post(ev.ResponseCancelled, "r1", "turn_detected")
        script.expects(phase=states.LISTENING)


def test_a_response_made_while_the_caller_speaks_is_cancelled_at_birth() -> None:
    """R19, R68: the server answered by itself, over the caller."""
    script = idle(create_response=True)
    script.post(ev.SpeechStarted, "u1")
    assert script.post(ev.ResponseCreated, "r1") == [CancelResponse("r1")]
    script.expects(response=states.CANCEL_IN_FLIGHT, phase=states.CANCELLING)
    script = idle(create_response=True, interrupts="server")
    script.post(ev.SpeechStarted, "u1")
    assert script.post(ev.ResponseCreated, "r1") == []
    script.expects(response=states.SERVER_CANCELLING, phase=states.CANCELLING)


def test_the_end_of_a_response_cancelled_at_birth_ends_the_cancelling() -> None:
    """R10, R72: its id is known, whoever cancels it."""
    for interrupts in ("client", "server"):
        script = idle(create_response=True, interrupts=interrupts)
        script.post(ev.SpeechStarted, "u1")
        script.post(ev.ResponseCreated, "r1")
        script.post(ev.ResponseCancelled, "r1", "turn_detected")
        script.expects(response=states.CANCELLED, phase=states.LISTENING)


def test_an_unwelcome_answer_does_not_end_the_cancelling() -> None:
    """R19, R73: the caller still speaks."""
    script = interrupted(create_response=True)
    assert script.post(ev.ResponseCreated, "r2") == [CancelResponse("r2")]
    script.expects(phase=states.CANCELLING, turn=states.SPEAKING)


def test_a_failure_told_after_the_end_is_none() -> None:
    """R10, R72: of a response that ended in any way, or was given up."""
    for kind in (ev.ResponseCompleted, ev.ResponseCancelled):
        script = speaking()
        script.post(kind, "r1")
        script.post(ev.ResponseFailed, "r1", "server_error")
        script.expects(pending=states.NOTHING, hangup=states.STAYING)
    script = interrupted()
    script.wait(600)
    script.post(ev.ResponseFailed, "r1", "server_error")
    script.expects(pending=states.NOTHING)
    script = interrupted(cancel_attempts=1)
    script.post(ev.CancelUnsent, "r1")
    script.post(ev.ResponseFailed, "r1", "server_error")
    script.expects(pending=states.NOTHING)


def test_a_second_response_beside_a_live_one_is_refused() -> None:
    """R11: it is cancelled, never heard, and the live one goes on."""
    script = speaking()
    assert script.post(ev.ResponseCreated, "r2") == [CancelResponse("r2")]
    assert script.post(ev.ResponseCreated, "r2") == []
    assert admits(script.call, "r1")
    assert not admits(script.call, "r2")
    script.expects(response=states.IN_PROGRESS, phase=states.AI_SPEAKING)


def test_a_new_answer_ends_the_cancelling() -> None:
    """R32, R69: suppression belongs to the old id; the server's next answer is heard at once."""
    script = interrupted(create_response=True)
    script.post(ev.SpeechStopped, "u2")
    script.post(ev.TurnCommitted, "u2")
    assert script.post(ev.ResponseCreated, "r2") == [Admit("r2")]
    script.expects(phase=states.LISTENING, response=states.IN_PROGRESS, playout=states.ADMITTED)
    assert admits(script.call, "r2")
    assert not admits(script.call, "r1")


def test_no_create_before_the_cancelled_response_has_ended() -> None:
    """R73: the next turn waits for the end, or for its deadline."""
    script = interrupted()
    script.post(ev.SpeechStopped, "u2")
    assert script.post(ev.TurnCommitted, "u2") == []
    script.expects(pending=states.WANTED)
    assert script.post(ev.ResponseCancelled, "r1") == [CreateResponse(Cause.USER_TURN)]
    script = interrupted()
    script.post(ev.SpeechStopped, "u2")
    script.post(ev.TurnCommitted, "u2")
    assert script.wait(600)[-1] == CreateResponse(Cause.USER_TURN)


def test_an_unsendable_cancel_does_not_keep_the_next_turn_waiting() -> None:
    """R05, R78."""
    script = interrupted(cancel_attempts=1)
    script.post(ev.SpeechStopped, "u2")
    script.post(ev.TurnCommitted, "u2")
    assert CreateResponse(Cause.USER_TURN) in script.post(ev.CancelUnsent, "r1")


def test_a_response_without_end_is_cancelled() -> None:
    """R78: generation has its own limit; what came of it is heard."""
    script = put(speaking(), "playout", states.PLAYING, heard=True)
    too_long = [CancelResponse("r1"), Log(Level.WARNING, "response_without_end_or_sound", "r1")]
    assert list(expired(script, "response")) == too_long
    script.expects(response=states.CANCEL_IN_FLIGHT, playout=states.PLAYING)


def test_a_response_without_end_of_which_nothing_was_heard_is_asked_for_again() -> None:
    """R78, R93: it owes its answer still; and so does a notice that was heard in part."""
    for cause, playout, heard in (
        (Cause.USER_TURN, states.ONSET, False),
        (Cause.USER_TURN, states.PLAYING, False),
        (Cause.NOTICE, states.PLAYING, True),
        (Cause.NOTICE, states.TAIL, True),
    ):
        script = put(speaking(), "playout", playout, heard=heard, notice=cause is Cause.NOTICE)
        script = put(script, "pending", states.NOTHING, asked=(Debt(cause),))
        script = put(script, "response", states.IN_PROGRESS, cause=cause)
        assert list(expired(script, "response"))[:2] == [Flush("r1"), CancelResponse("r1")]
        script.expects(response=states.CANCEL_IN_FLIGHT, playout=states.SILENT, pending=states.PAUSED)
        assert script.call.pending.owed == (Debt(cause, again=True),)
        assert script.call.pending.recoveries == 1


def test_a_response_that_waits_to_be_heard_has_its_time_when_it_is() -> None:
    """R75, R93: its end may be late while another is heard; nothing is lost."""
    script = put(put(speaking(), "playout", states.PLAYING, next_id="r2", heard=True), "response", states.IN_PROGRESS, id="r2")
    assert expired(script, "response") == ()
    script.expects(response=states.IN_PROGRESS, playout=states.PLAYING)
    assert script.call.response.due_ms == script.now_ms + script.call.policy.response_ms


def test_a_cancel_by_the_server_needs_none_of_ours() -> None:
    """R02: the caller's sound is held, the server cancels first, and we never do."""
    script = speaking()
    script.post(ev.SpeechStarted, "u2")
    script.wait(50)
    assert Flush("r1") in script.post(ev.ResponseCancelled, "r1", "turn_detected")
    script.wait(10_000)
    assert not script.of(CancelResponse)
    script.expects(phase=states.LISTENING, interruption=states.CLEAR)


def test_an_interruption_leaves_the_caller_as_they_are() -> None:
    """R22, and the first seed's state reset: only what the agent says is touched."""
    script = speaking()
    script.post(ev.SpeechStarted, "u2")
    before = script.call
    script.wait(150)
    after = script.call
    assert (after.turn, after.calibration, after.session, after.line, after.hangup) == (
        before.turn,
        before.calibration,
        before.session,
        before.line,
        before.hangup,
    )


def test_a_guarded_greeting_survives_the_servers_own_answer() -> None:
    """R11, R38: two creators, one greeting."""
    script = hear(greeting(), "g1")
    assert script.post(ev.ResponseCreated, "r9") == [CancelResponse("r9")]
    caller_says(script)
    script.expects(phase=states.GREETING_LOCK, response=states.IN_PROGRESS)


def test_a_response_cancelled_at_its_birth_is_awaited_before_the_next() -> None:
    """R11, R73: also where its end comes after that of the one that was live, or never."""
    for ends in (True, False):
        script = speaking()
        assert script.post(ev.ResponseCreated, "x1") == [CancelResponse("x1")]
        script.post(ev.ResponseCompleted, "r1")
        script.post(ev.TurnCommitted, "u2")
        assert heard_out(script) == []
        after = script.post(ev.ResponseCancelled, "x1") if ends else script.wait(600)
        assert CreateResponse(Cause.USER_TURN) in after
    script = speaking()
    script.post(ev.ResponseCreated, "x1")
    script.post(ev.ResponseCancelled, "x1")
    script.post(ev.ResponseCompleted, "r1")
    script.expects(response=states.COMPLETED)
