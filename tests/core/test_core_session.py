"""Claims about the realtime session: lost and opened anew, grown old, and the caller's turn is answered all the same (R60, R85)."""

from typing import Any

from fsm import Policy, admits, events as ev, states
from fsm.call.effects import (
    AddEntry,
    CancelResponse,
    CancelSynthesis,
    Cause,
    CloseSession,
    CommitTurn,
    ConfigureSession,
    CreateResponse,
    Flush,
    HangUp,
    Level,
    Log,
    OpenSession,
    ProtectResponse,
    Reason,
    ReleaseResponse,
    TellEnded,
)
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
    reading,
    speaking,
)

BUSY = "conversation_already_has_active_response"
SESSION_LOST = Log(Level.WARNING, "session_lost", "1006")


def lose(script: Script) -> Script:
    """The socket closes without a close frame."""
    script.post(ev.SessionLost, "1006")
    return script.expects(session=states.LOST)


def reopen(script: Script) -> Script:
    """The pause passes, and the server accepts a new session."""
    while script.call.session.state is not states.CONNECTING:
        script.wait_to(script.call.session.due_ms)
    script.post(ev.SessionOpened)
    script.post(ev.SessionConfirmed)
    return script


def test_a_lost_session_is_opened_anew_after_a_pause() -> None:
    """R60, R85: and configured again, once."""
    script = idle()
    assert script.post(ev.SessionLost, "1006") == [SESSION_LOST]
    assert script.wait(499) == []
    assert script.wait(1) == [OpenSession()]
    script.expects(session=states.CONNECTING)
    assert script.post(ev.SessionOpened) == [ConfigureSession()]
    assert script.post(ev.SessionConfirmed) == []
    script.expects(session=states.READY, phase=states.LISTENING)


def test_a_loss_told_twice_is_one_loss() -> None:
    """R85: session_expired, and then the close."""
    script = lose(idle(reconnects=1))
    assert script.post(ev.SessionLost, "1001") == []
    script.expects(session=states.LOST, hangup=states.STAYING)
    assert script.call.session.lost == 1


def test_the_pause_doubles_with_each_loss() -> None:
    """R60: backed off."""
    script = lose(idle())
    assert script.wait(500) == [OpenSession()]
    lose(script)
    assert script.wait(999) == []
    assert script.wait(1) == [OpenSession()]


def test_a_session_lost_too_often_ends_the_call_with_its_reason() -> None:
    """R60, R85, R86: bounded, in every state of the session."""
    script = idle(reconnects=0)
    assert script.post(ev.SessionLost, "1011") == [HangUp(Reason.SESSION_LOST), CloseSession(), TellEnded(Reason.SESSION_LOST, "1011")]

    script = lose(idle())
    script.wait(500)
    lose(script)
    script.wait(1_000)
    assert script.post(ev.SessionLost, "1006")[-1] == TellEnded(Reason.SESSION_LOST, "1006")
    script.expects(phase=states.CLOSING)


def test_a_completed_response_ends_the_outage() -> None:
    """R60: the reconnects of an hour are not counted together; whichever response it is, the session works."""
    for response_id in ("r1", "r9"):
        script = reopen(lose(idle()))
        caller_says(script)
        script.post(ev.ResponseCreated, "r1")
        assert script.call.session.lost == 1
        script.post(ev.ResponseCompleted, response_id)
        assert script.call.session.lost == 0


def test_a_greeting_that_gave_way_to_a_turn_without_an_answer_keeps_the_servers_vad_from_nothing() -> None:
    """R25, R36: unless something else is to be protected, or is said."""
    forgone, notice, said = Script(Policy(voice="realtime")), Script(Policy(voice="realtime")), greeting()
    for script in (forgone, notice):  # no line yet, so that nothing is asked for
        script.post(ev.SessionOpened)
        script.post(ev.SessionConfirmed)
    notice.post(ev.NoticeRequested, "The shop closes.")
    for script in (forgone, notice, said.expects(session=states.GUARDED)):
        script.post(ev.TurnCommitted, "u1")
        script.post(ev.TurnDismissed)
    assert forgone.expects(session=states.READY, pending=states.NOTHING).of(ReleaseResponse) == [ReleaseResponse()]
    notice.expects(session=states.GUARDED)
    said.expects(session=states.GUARDED)


def test_a_session_that_is_not_confirmed_again_ends_the_call() -> None:
    """R39, R78."""
    script = lose(idle())
    script.wait(500)
    assert script.wait(10_000)[-1] == TellEnded(Reason.SESSION_UNCONFIRMED)


def test_the_turn_whose_answer_was_lost_is_answered() -> None:
    """R85: asked for, or being generated, or owed by the server."""
    for situation in (asked, answering):
        script = lose(situation())
        script.expects(response=states.FAILED)
        reopen(script)
        assert script.effects[-1] == CreateResponse(Cause.RECOVERY)

    script = asked(create_response=True)
    script.step(ev.SessionLost(script.now_ms, "1006"))
    script.expects(pending=states.WANTED, session=states.LOST)
    reopen(script)
    assert script.effects[-1] == CreateResponse(Cause.USER_TURN)


def test_the_greeting_that_was_lost_unheard_is_a_greeting_still() -> None:
    """R35, R85."""
    script = reopen(lose(greeting()))
    script.wait(500)
    assert script.of(CreateResponse)[1:] == [CreateResponse(Cause.GREETING, "Say hello.")]
    script.expects(session=states.GUARDED)
    script = greeting()
    script.post(ev.ResponseFailed, "g1", "server_error")
    script.wait(500)
    script.expects(response=states.REQUESTED)
    reopen(lose(script)).expects(session=states.GUARDED)


def test_the_server_has_its_rights_as_soon_as_something_else_is_asked_for() -> None:
    """R36, R37, R63: a number that is entered makes the greeting needless; a greeting and a notice stay protected."""
    script = begun(voice="realtime").expects(session=states.GUARDED)
    script.post(ev.DigitPressed, "1")
    assert script.post(ev.DigitPressed, "#") == [AddEntry("1"), ReleaseResponse(), CreateResponse(Cause.ENTRY)]
    script.expects(session=states.READY)
    spoken = begun(voice="realtime")
    spoken.post(ev.SpeechStarted, "u1")
    for digit in "1#":
        assert ReleaseResponse() not in spoken.post(ev.DigitPressed, digit)
    spoken.expects(session=states.GUARDED)
    greeting().expects(session=states.GUARDED, response=states.IN_PROGRESS)
    theirs = begun(voice="realtime", create_response=True).expects(session=states.GUARDED)
    assert ReleaseResponse() in caller_says(theirs)
    over = hear(greeting(), "g1")
    over.post(ev.ResponseCompleted, "g1")
    for event in (ev.TurnCommitted, ev.SpeechStarted):
        over.post(event, "u1")
    assert ReleaseResponse() in heard_out(over.expects(session=states.GUARDED, pending=states.WANTED, turn=states.SPEAKING), "g1")


def test_a_session_opened_anew_is_not_guarded_for_a_greeting_that_is_past() -> None:
    """R36: configured like the first, it gets its rights at once."""
    script = hear(greeting(), "g1")
    script.post(ev.ResponseCompleted, "g1")
    heard_out(script, "g1")
    reopen(lose(script)).expects(session=states.READY)
    assert script.of(ReleaseResponse) == [ReleaseResponse(), ReleaseResponse()]


def test_what_is_protected_and_still_heard_is_so_in_the_next_session_too() -> None:
    """R36, R85: the greeting and a notice, generated before the loss; the server's VAD would cut them off. A new session that keeps its
    VAD from the greeting is not told to once more; one that does not, is told, and confirmed before it is opened as well."""
    for script, response_id, told in ((greeting(stall_ms=60_000), "g1", 0), (idle(stall_ms=60_000), "n1", 2)):
        if response_id == "n1":
            script.post(ev.NoticeRequested, "This call is recorded.")
            script.post(ev.ResponseCreated, "n1")
        hear(script, response_id)
        script.post(ev.ResponseCompleted, response_id)
        before = script.of(ReleaseResponse)
        reopen(lose(script)).expects(session=states.GUARDED, playout=states.PLAYING)
        assert (script.of(ReleaseResponse), len(script.of(ProtectResponse))) == (before, told)
        assert ReleaseResponse() in heard_out(script, response_id)
        script.expects(session=states.READY)

    script = idle(stall_ms=60_000)
    script.post(ev.NoticeRequested, "This call is recorded.")
    script.post(ev.ResponseCreated, "n1")
    hear(script, "n1")
    lose(script).wait_to(script.call.session.due_ms)
    assert script.post(ev.SessionConfirmed) == [ProtectResponse()]


def test_a_notice_that_was_lost_is_protected_in_the_next_session_too() -> None:
    """R36, R85: and nothing but a notice is."""
    script = idle()
    script.post(ev.NoticeRequested, "This call is recorded.")
    script.post(ev.ResponseCreated, "n1")
    reopen(lose(script)).expects(session=states.GUARDED)
    script.wait(500)
    assert script.of(ProtectResponse) == [ProtectResponse(), ProtectResponse()]
    script.post(ev.ResponseCreated, "n2")
    hear(script, "n2")
    script.post(ev.ResponseCompleted, "n2")
    assert ReleaseResponse() in heard_out(script, "n2")

    script = idle()
    script.post(ev.NoticeRequested, "This call is recorded.")
    lose(script).wait(500)
    script.expects(session=states.CONNECTING)
    assert script.post(ev.SessionConfirmed)[0] == ProtectResponse()
    assert not reopen(lose(answering())).of(ProtectResponse)


def test_a_completed_answer_is_heard_to_its_end_and_not_asked_for_again() -> None:
    """R75, R85: what has come is played; the session is not the device."""
    script = lose(playing_out())
    assert admits(script.call, "r1")
    heard_out(script)
    script.expects(playout=states.SILENT, phase=states.LISTENING)
    reopen(script)
    script.wait(5_000)
    assert len(script.of(CreateResponse)) == 1


def test_what_came_of_a_lost_answer_is_heard_before_the_next() -> None:
    """R11, R75."""
    script = lose(speaking())
    script.expects(response=states.FAILED, playout=states.PLAYING)
    reopen(script)
    assert len(script.of(CreateResponse)) == 1
    heard_out(script)
    assert len(script.of(CreateResponse)) == 2


def test_a_lost_answer_without_sound_is_not_awaited() -> None:
    """R35, R78: nothing more of it can come, unless a sentence of it is in synthesis."""
    lose(answering()).expects(playout=states.SILENT, phase=states.LISTENING)
    lose(reading()).expects(playout=states.ADMITTED, synthesis=states.SYNTHESISING)
    script = hear(answering())
    script.post(ev.QueueEmptied, "r1")
    script.post(ev.PlayoutFinished, "r1", 1000.0)
    script.expects(playout=states.STARVED)
    lose(script).expects(playout=states.SILENT, phase=states.LISTENING)


def test_an_interrupted_answer_that_is_lost_is_not_asked_for_again() -> None:
    """R73: its end is no longer awaited, and nothing is cancelled in the new session."""
    script = lose(interrupted())
    script.expects(response=states.CANCELLED, phase=states.LISTENING, turn=states.STOPPED)
    script.post(ev.CancelUnsent, "r1")
    reopen(script)
    script.wait(1_700)
    assert len(script.of(CancelResponse)) == 1
    assert len(script.of(CreateResponse)) == 1

    script = asked()
    script.post(ev.BargeInDetected)
    script.expects(response=states.WITHDRAWN)
    lose(script).expects(response=states.CANCELLED)


def test_an_id_of_the_lost_session_is_remembered() -> None:
    """R06, R09: a late word of it is known as such."""
    for situation in (answering, interrupted):
        script = lose(situation())
        assert "r1" in script.call.response.ended


def test_a_turn_that_was_cut_by_the_loss_is_told_anew() -> None:
    """R19, R24, R85: what the caller said goes to the new session, whose VAD tells of it; nothing is asked for before."""
    for stopped in (False, True):
        script = answering() if stopped else idle()
        script.post(ev.SpeechStarted, "u2")
        if stopped:
            script.post(ev.SpeechStopped, "u2")
        lose(script).expects(turn=states.STOPPED)
        asked_before = len(script.of(CreateResponse))
        script.wait(400)
        reopen(script).expects(turn=states.STOPPED)
        script.wait(1_000)
        script.post(ev.SpeechStarted, "v1")
        script.wait(2_000)
        script.post(ev.SpeechStopped, "v1")
        assert len(script.of(CreateResponse)) == asked_before
        script.post(ev.TurnCommitted, "v1")
        assert script.effects[-1] == CreateResponse(Cause.USER_TURN)


def test_a_turn_of_which_the_new_session_tells_nothing_is_closed_there() -> None:
    """R24, R78: not while there is no session, however long that lasts, and a while after there is one."""
    script = idle()
    script.post(ev.SpeechStarted, "u1")
    lose(script)
    script.wait(500)
    script.wait(4_000)
    script.expects(session=states.CONNECTING, turn=states.STOPPED, pending=states.NOTHING)
    script.post(ev.SessionOpened)
    script.post(ev.SessionConfirmed)
    assert script.wait(1_799) == []
    assert script.wait(1) == [CreateResponse(Cause.USER_TURN)]
    script.expects(turn=states.QUIET)


def test_a_notice_gives_way_to_no_turn_while_there_is_no_session() -> None:
    """R36, R85: it is wanted still, and waits once."""
    script = idle()
    script.post(ev.NoticeRequested, "This call is recorded.")
    script.post(ev.SpeechStarted, "u1")
    lose(script)
    script.wait(2_500)
    script.expects(pending=states.WANTED)
    assert [debt.cause for debt in script.call.pending.owed] == [Cause.NOTICE]


def test_a_server_that_still_has_an_older_response_is_asked_again_when_that_ends() -> None:
    """R11, R14: for the same reason; or after a while."""
    script = asked()
    script.post(ev.CreateRefused, BUSY)
    script.expects(response=states.BLOCKED, pending=states.WANTED)
    assert script.post(ev.ResponseCancelled, "r0") == [CreateResponse(Cause.USER_TURN)]
    assert "r0" in script.call.response.ended

    script = asked()
    script.post(ev.CreateRefused, BUSY)
    assert script.wait(4_999) == []
    assert script.wait(1) == [CreateResponse(Cause.USER_TURN)]


def test_a_server_that_stays_busy_is_not_asked_for_ever() -> None:
    """R14, R15, R86."""
    script = asked(recoveries=1)
    script.post(ev.CreateRefused, BUSY)
    script.wait(5_000)
    assert script.post(ev.CreateRefused, BUSY)[-1] == TellEnded(Reason.MODEL_FAILED, BUSY)


def test_a_blocked_request_meets_every_other_end() -> None:
    """R11, R85: a response of the server's own, another refusal, a lost session."""
    script = asked(create_response=True)
    script.wait(3_000)
    script.post(ev.CreateRefused, BUSY)
    script.post(ev.CreateRefused, BUSY)
    script.expects(response=states.BLOCKED)
    script.post(ev.ResponseCreated, "r1")
    script.expects(response=states.IN_PROGRESS, playout=states.ADMITTED, pending=states.NOTHING)

    script = asked()
    script.post(ev.CreateRefused, BUSY)
    script.post(ev.SpeechStarted, "u2")
    script.post(ev.ResponseCreated, "r1")
    script.expects(response=states.CANCEL_IN_FLIGHT)

    script = asked()
    script.post(ev.CreateRefused, BUSY)
    lose(script).expects(response=states.FAILED, pending=states.WANTED)
    reopen(script)
    assert script.effects[-1] == CreateResponse(Cause.USER_TURN)


def test_an_aged_session_is_opened_anew_when_nothing_goes_on() -> None:
    """R60: before the server's limit strikes."""
    script = idle(session_life_ms=10_000)
    assert script.wait(10_000) == []
    script.expects(session=states.AGED)
    assert script.wait(1_000) == [OpenSession()]
    script.post(ev.SessionOpened)
    script.post(ev.SessionConfirmed)
    script.expects(session=states.READY)
    assert script.call.session.lost == 0


def test_an_aged_session_serves_until_then() -> None:
    """R60: a response is asked for in it, and it is not taken away under one."""
    script = idle(session_life_ms=10_000)
    script.wait(10_000)
    caller_says(script)
    script.expects(session=states.AGED, response=states.REQUESTED)
    script.post(ev.ResponseCreated, "r1")
    hear(script, ms=3_000)
    script.post(ev.ResponseCompleted, "r1")
    assert not script.of(OpenSession)
    heard_out(script)
    assert script.wait(1_000) == [OpenSession()]


def test_an_aged_session_answers_by_itself_as_before() -> None:
    """R60."""
    script = idle(session_life_ms=10_000, create_response=True)
    script.wait(10_000)
    caller_says(script)
    script.expects(pending=states.OWED)


def test_silence_is_counted_from_the_new_session() -> None:
    """R51, R85: an outage ends no count for ever."""
    script = lose(answering(idle_ms=4_000, recoveries=0))
    reopen(script).expects(idle=states.ARMED)


def test_a_turn_is_ours_to_commit_where_the_server_has_no_vad() -> None:
    """R24: and only there."""
    script = idle(turns="local")
    script.post(ev.SpeechStarted)
    assert script.post(ev.SpeechStopped) == [CommitTurn()]
    script.post(ev.TurnCommitted, "u1")
    script.expects(turn=states.QUIET, response=states.REQUESTED)
    script = idle()
    script.post(ev.SpeechStarted)
    assert script.post(ev.SpeechStopped) == []


def test_a_voice_that_fails_too_often_ends_the_call() -> None:
    """R18, R86: three sentences in a row, with the last one's reason; one that is spoken between starts the count anew."""
    script = reading()
    for number in (2, 3, 4, 5):
        script.post(ev.SentenceCut, "r1", number, "More.", "item_r1")
    script.post(ev.SynthesisFailed, "call.r1.1", "500")
    script.post(ev.SentenceSynthesised, "call.r1.2", 900.0)
    script.post(ev.SentenceStarted, "call.r1.2")
    script.post(ev.SynthesisFailed, "call.r1.3", "500")
    script.post(ev.SynthesisFailed, "call.r1.9", "500")
    script.post(ev.SynthesisFailed, "call.r1.4", "500")
    script.expects(phase=states.LISTENING, hangup=states.STAYING)
    assert script.post(ev.SynthesisFailed, "call.r1.5", "503")[-1] == TellEnded(Reason.VOICE_FAILED, "503")


def test_a_voice_that_fails_as_often_as_the_model_may_is_the_reason_itself() -> None:
    """R86: answers of one sentence, none of which could be spoken: it is not the model that failed."""
    script = reading()
    for number in (1, 2, 3):
        script.post(ev.ResponseCompleted, f"r{number}")
        ended = script.post(ev.SynthesisFailed, f"call.r{number}.1", f"40{number}")
        if number < 3:
            script.wait(500)
            script.post(ev.ResponseCreated, f"r{number + 1}")
            script.post(ev.SentenceCut, f"r{number + 1}", 1, "Hello.", f"item_r{number + 1}")
    assert ended[-1] == TellEnded(Reason.VOICE_FAILED, "403")


def test_a_voice_that_never_answers_ends_the_call() -> None:
    """R78, R86: each sentence that was not answered counts, the last of a response as well."""
    script = reading(voice_failures=2)
    script.post(ev.SentenceCut, "r1", 2, "More.", "item_r1")
    script.wait(15_000)
    script.expects(synthesis=states.SYNTHESISING)
    assert script.call.synthesis.failed == 1
    assert script.wait(15_000)[-1] == TellEnded(Reason.VOICE_FAILED, "no answer came")

    script = reading(voice_failures=2)
    script.wait(15_000)
    assert script.call.synthesis.failed == 1
    script = reading(voice_failures=2)
    script.post(ev.SynthesisFailed, "call.r1.1", "500")
    assert script.call.synthesis.failed == 1


def test_a_cancelled_sentence_is_no_failure_of_the_voice() -> None:
    """R66."""
    script = reading(voice_failures=1)
    script.post(ev.SentenceCut, "r1", 2, "More.", "item_r1")
    script.post(ev.SynthesisDiscarded, "call.r1.1")
    script.post(ev.SynthesisDiscarded, "call.r1.2")
    script.expects(hangup=states.STAYING, synthesis=states.RESTING)
    assert not script.of(CancelSynthesis)


def test_a_first_session_that_is_lost_while_it_opens_is_tried_again() -> None:
    """R85: a server that restarts just now."""
    script = Script(Policy(greeting=False))
    script.post(ev.LineOpened)
    lose(script)
    reopen(script).expects(session=states.READY)
    script = begun(greeting=False)
    assert len(script.of(ConfigureSession)) == 1
    assert not script.of(Flush)


def blocked(**policy: Any) -> Script:
    """The server refused our request, as it still has an older response."""
    script = asked(**policy)
    script.post(ev.CreateRefused, BUSY)
    return script.expects(response=states.BLOCKED)


def test_a_blocked_request_failed_when_the_older_response_ends() -> None:
    """R15: whatever became of that one, and the wish waits meanwhile."""
    script = asked()
    script.step(ev.CreateRefused(script.now_ms, BUSY))
    script.expects(response=states.BLOCKED, pending=states.WANTED)
    script.step(ev.ResponseCompleted(script.now_ms, "r0"))
    script.expects(response=states.REQUESTED, pending=states.NOTHING)


def test_errors_meet_a_blocked_request_as_any_other() -> None:
    """R02, R03."""
    script = blocked()
    for code, level in (("boom", Level.WARNING), ("response_cancel_not_active", Level.DEBUG)):
        assert script.post(ev.ErrorReceived, code) == [Log(level, code)]
        assert script.post(ev.CancelRefused, "r0", code) == [Log(level, code)]
    assert script.post(ev.CreateRefused, "late") == [Log(Level.DEBUG, "late")]
    script.expects(response=states.BLOCKED)


def test_a_response_over_a_speaking_caller_is_the_servers_to_cancel_while_blocked() -> None:
    """R02, R19."""
    script = blocked(interrupts="server")
    script.post(ev.SpeechStarted, "u2")
    assert script.post(ev.ResponseCreated, "r1") == []
    script.expects(response=states.SERVER_CANCELLING)


def test_a_turn_that_had_stopped_has_all_its_time_in_the_next_session() -> None:
    """R24, R85: its wait begins anew with the loss."""
    script = idle()
    script.post(ev.SpeechStarted, "u1")
    script.post(ev.SpeechStopped, "u1")
    script.wait(1_000)
    epoch = script.call.turn.epoch
    lose(script).expects(turn=states.STOPPED)
    assert script.call.turn.epoch == epoch + 1
