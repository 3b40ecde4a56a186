"""Claims about which response a goodbye, a protection or a failure belongs to: the named one, and no other beside it."""

from itertools import product

from fsm import events as ev, states
from fsm.call.effects import AddEntry, Cause, Flush, Reason, ReleaseResponse
from fsm.call.guards import ANSWERS, CANCELLINGS
from fsm.call.playout import LEADING
from fsm.call.snapshot import Debt
from tests.shared.core import Script, answering, asked, expired, greeting, hear, idle, now, playing_out, put, reading, speaking

ONE = "call.r1.1"
TURN = Debt(Cause.USER_TURN, item_id="u1")


def heard() -> Script:
    """`r1` was completed and heard, and nothing is said."""
    script = playing_out()
    now(script, ev.PlayoutFinished, "r1", 1000.0)
    return script.expects(playout=states.SILENT, response=states.COMPLETED)


def over(script: Script) -> bool:
    return script.call.hangup.state is states.OVER


def barge(script: Script) -> None:
    expired(put(script, "interruption", states.SUSPECTED), "interruption")


def test_a_goodbye_that_was_heard_ends_the_call_and_one_that_is_heard_waits() -> None:
    """R42, R45: whichever of the two that may be heard it is; one that was never heard or is none ends nothing."""
    ended, foreign, nameless = heard(), heard(), idle()
    now(ended, ev.GoodbyeSaid, "r1")
    assert over(ended)
    now(foreign, ev.GoodbyeSaid, "r9")
    now(put(foreign, "response", states.COMPLETED, id="r2"), ev.GoodbyeSaid, "r1")
    now(nameless, ev.GoodbyeSaid, "")
    silent = put(idle(), "response", states.IN_PROGRESS, id="r1")
    now(silent, ev.GoodbyeSaid, "r1")
    for script in (foreign, nameless, silent):
        script.expects(hangup=states.STAYING)
    for goodbye, response_id in (("r1", "r1"), ("r1", "r2"), ("r2", "r2")):
        script = put(playing_out(), "playout", states.PLAYING, next_id="r2")
        put(script, "response", states.COMPLETED, id=response_id, ended=("r1",), completed=("r1", response_id))
        now(script, ev.GoodbyeSaid, goodbye)
        script.expects(hangup=states.GOODBYE)
        assert script.call.hangup.id == goodbye
    behind_greeting = put(
        put(playing_out(), "playout", states.PLAYING, next_id="g2"), "response", states.COMPLETED, id="g2", cause=Cause.GREETING
    )
    now(behind_greeting, ev.GoodbyeSaid, "r1")
    behind_greeting.expects(hangup=states.GOODBYE)


def test_a_greeting_that_says_goodbye_ends_no_call_though_an_answer_is_to_follow_it() -> None:
    """R48."""
    script = hear(greeting("g1", greeting_protected=False), "g1")
    now(script, ev.ResponseCompleted, "g1")
    put(put(script, "playout", states.PLAYING, next_id="r2"), "response", states.IN_PROGRESS, id="r2", cause=Cause.USER_TURN)
    put(script, "turn", states.QUIET, turns=2)
    now(script, ev.GoodbyeSaid, "g1")
    script.expects(hangup=states.STAYING, phase=states.GREETING_LOCK)
    now(script, ev.GoodbyeSaid, "r2")
    script.expects(hangup=states.GOODBYE)
    over_already = put(put(heard(), "response", states.COMPLETED, cause=Cause.GREETING), "turn", states.QUIET, turns=2)
    now(over_already, ev.GoodbyeSaid, "r1")
    over_already.expects(hangup=states.STAYING)


def test_a_wished_end_that_names_nothing_is_withdrawn_by_nothing() -> None:
    """R41, R45: though the caller speaks, or what was said last was cut off."""
    for status in (states.COMPLETED, states.CANCELLED, states.FAILED):
        script = put(put(heard(), "response", status), "turn", states.SPEAKING)
        now(script, ev.HangupRequested, "", "done")
        assert over(script)
        named = put(put(heard(), "response", status), "turn", states.SPEAKING)
        now(named, ev.HangupRequested, "r1", "done")
        named.expects(hangup=states.STAYING)


def test_an_end_that_is_known_once_its_goodbye_was_heard_waits_for_nothing_but_an_answer() -> None:
    """R42, R45: not for what the application or the call itself has to say."""
    for kind in (ev.GoodbyeSaid, ev.HangupRequested):
        for cause in Cause:
            script = put(heard(), "pending", states.WANTED, owed=(Debt(cause),))
            now(script, kind, "r1")
            assert over(script) is (cause not in ANSWERS), cause


def test_a_call_ends_with_its_goodbye_and_with_no_voice_before_it() -> None:
    """R42, R91: nor with a goodbye of which nothing was heard."""
    before = put(put(playing_out(), "playout", states.TAIL, next_id="r2"), "response", states.COMPLETED, id="r2")
    put(before, "hangup", states.GOODBYE, id="r2")
    now(before, ev.PlayoutFinished, "r1", 1000.0)
    unheard = put(put(answering(), "response", states.IN_PROGRESS, called=True), "hangup", states.GOODBYE, id="r1")
    now(unheard, ev.ResponseCompleted, "r1")
    unheard.expects(playout=states.SILENT)
    for script in (before, unheard):
        script.expects(hangup=states.GOODBYE)


def test_a_wished_end_waits_for_what_is_said_last_and_for_nothing_else() -> None:
    """R42, R93: not for the response that was cancelled at its birth; and though what is said had failed by then."""
    for status, response_id, next_id in (
        (states.CANCEL_IN_FLIGHT, "r2", ""),
        (states.FAILED, "r1", ""),
        (states.COMPLETED, "r2", "r2"),
    ):
        script = put(put(playing_out(), "response", status, id=response_id, ended=("r1",)), "playout", states.PLAYING, next_id=next_id)
        now(script, ev.HangupRequested, "", "done")
        assert script.call.hangup.id == (next_id or "r1")
        for heard_id in ("r1", next_id):
            assert not over(script)
            now(script, ev.AudioArrived, heard_id)
            now(script, ev.PlayoutFinished, heard_id, 1000.0)
            if heard_id == (next_id or "r1"):
                break
        assert over(script)


def test_a_goodbye_that_failed_is_none_whatever_came_after_it() -> None:
    """R42, R45: known while it is heard still."""
    for kind, words in ((ev.ResponseFailed, "boom"), (ev.ResponseIncomplete, "content_filter"), (ev.SessionLost, "1006")):
        script = speaking()
        now(script, kind, *([words] if kind is ev.SessionLost else ["r1", words]))
        put(script, "response", states.IN_PROGRESS, id="r2")
        put(script, "playout", states.PLAYING, next_id="r2")
        now(script, ev.GoodbyeSaid, "r1")
        script.expects(hangup=states.STAYING)


def test_a_goodbye_of_which_nothing_was_heard_is_none_though_nobody_waits_for_it_any_more() -> None:
    """R42, R91: it brought no sound, or none in time, or lost its only sentence, and its turn is dismissed."""
    silent, beside, missed = answering(), put(answering(), "response", states.IN_PROGRESS, unwanted=("x1",)), answering()
    lost = answering(voice="chatterbox")
    now(lost, ev.SentenceCut, "r1", 1, "Goodbye.", "r1.a")
    expired(missed, "playout")
    for script in (silent, beside, missed, lost):
        now(script, ev.ResponseCompleted, "r1")
    beside.expects(response=states.CANCEL_IN_FLIGHT)
    now(lost, ev.SynthesisFailed, ONE, "boom")
    for script in (silent, beside, missed, lost):
        script.expects(pending=states.PAUSED, playout=states.SILENT)
        now(script, ev.TurnDismissed)
        now(script, ev.GoodbyeSaid, "r1")
        script.expects(hangup=states.STAYING)
        assert script.call.playout.heard_out == ""


def test_a_goodbye_whose_session_goes_before_its_end_is_none() -> None:
    """R42: its last words may be missing, though all that came of it was heard; where the end is our wish, another goodbye is said."""
    for status in (states.IN_PROGRESS, states.CANCEL_IN_FLIGHT):
        for says, left in ((ev.GoodbyeSaid, states.STAYING), (ev.HangupRequested, states.PARTING)):
            script = hear(answering())
            now(script, says, "r1")
            now(put(put(script, "playout", states.STARVED), "response", status), ev.SessionLost, "1006")
            script.expects(hangup=left, playout=states.STARVED if status is states.CANCEL_IN_FLIGHT else states.SILENT)
    for says in (ev.GoodbyeSaid, ev.HangupRequested):
        whole, followed = playing_out(), playing_out()
        put(put(followed, "playout", states.PLAYING, next_id="r2"), "response", states.IN_PROGRESS, id="r2")
        for script in (whole, followed):
            now(script, says, "r1")
            now(script, ev.SessionLost, "1006")
            script.expects(hangup=states.GOODBYE)
        now(whole, ev.PlayoutFinished, "r1", 1000.0)
        assert over(whole)


def test_a_notice_that_is_the_goodbye_and_is_lost_is_said_again_whatever_the_server_said_meanwhile() -> None:
    """R42, R73, R93: the wished end is behind the next that is said."""
    for interrupts, state in (("server", states.SPEAKING), ("client", states.QUIET)):
        script = idle(voice="chatterbox", interrupts=interrupts)
        for kind, *words in (
            (ev.NoticeRequested, "This call is recorded."),
            (ev.ResponseCreated, "r1"),
            (ev.SentenceCut, "r1", 1, "This call is recorded.", "i1"),
            (ev.ResponseCompleted, "r1"),
            (ev.HangupRequested, "", "done"),
        ):
            now(script, kind, *words)
        now(put(script, "turn", state), ev.ResponseCreated, "r2")
        now(script, ev.SynthesisFailed, ONE, "boom")
        script.expects(hangup=states.PARTING, pending=states.PAUSED)


def test_a_goodbye_that_the_caller_cut_off_is_none_though_they_said_nothing() -> None:
    """R45, R95: it was complete already, or is told so later, and what they said was no turn."""
    for make, policy in product((speaking, playing_out), ("client", "server")):
        for heard_id in ("r1", "r2"):
            script = put(make(interrupts=policy), "playout", states.PLAYING, next_id="r2" if heard_id == "r2" else "")
            put(put(script, "response", script.call.response.state, id=heard_id), "pending", states.NOTHING, asked=())
            barge(script)
            now(script, ev.ResponseCompleted, heard_id)
            script.expects(response=states.COMPLETED, playout=states.SILENT)
            now(script, ev.GoodbyeSaid, heard_id)
            script.expects(hangup=states.STAYING)
    for state in (*CANCELLINGS, states.CANCELLED):
        for playout in (states.SILENT, states.PLAYING):
            script = put(put(playing_out(), "response", state, ended=(), completed=()), "playout", playout)
            now(script, ev.GoodbyeSaid, "r1")
            script.expects(hangup=states.STAYING)


def test_of_the_completed_no_more_are_remembered_than_may_be_heard() -> None:
    """R06, R07, R42: the first end that is told of each counts, whatever else is awaited."""
    beside = put(speaking(), "response", states.IN_PROGRESS, unwanted=("x1",))
    now(beside, ev.ResponseCompleted, "r1")
    now(beside, ev.GoodbyeSaid, "r1")
    beside.expects(response=states.CANCEL_IN_FLIGHT, hangup=states.GOODBYE)
    script = put(put(playing_out(), "playout", states.PLAYING, next_id="r2"), "response", states.IN_PROGRESS, id="r2")
    assert script.call.response.completed == ("r1",)
    now(script, ev.AudioArrived, "r2", "i2")
    now(script, ev.ResponseCompleted, "x9")
    now(script, ev.ResponseCompleted, "r2")
    now(script, ev.ResponseCompleted, "r2")
    assert script.call.response.completed == ("r1", "r2")
    put(put(script, "playout", states.PLAYING, id="r2", next_id="r3"), "response", states.IN_PROGRESS, id="r3")
    now(script, ev.ToolCalled, "t1", "look_up", "{}", "r3")
    now(script, ev.ResponseCompleted, "r3")
    assert script.call.response.completed == ("r2", "r3")
    put(put(script, "playout", states.PLAYING, id="r3", next_id="r4"), "response", states.IN_PROGRESS, id="r4")
    now(script, ev.ResponseFailed, "r4", "boom")
    now(script, ev.ResponseCompleted, "r4")
    assert "r4" not in script.call.response.completed


def test_what_was_heard_out_is_what_the_device_played_to_its_end() -> None:
    """R42, R91: not what was flushed, nor what was never heard; the one behind it is another."""
    whole, followed, behind, unheard, stalled, cut = (playing_out() for _ in range(6))
    put(whole, "truncation", states.IN_STEP, cut=("r1",))
    for script, arrived in ((followed, ""), (behind, "r2"), (unheard, "")):
        put(put(script, "playout", states.PLAYING, next_id="r2", arrived_id=arrived), "response", states.IN_PROGRESS, id="r2")
    for script in (whole, followed, behind):
        now(script, ev.PlayoutFinished, "r1", 1000.0)
        assert script.call.playout.heard_out == "r1"
    put(put(unheard, "response", states.IN_PROGRESS, called=True), "playout", states.STARVED, heard=False)
    expired(unheard, "playout")
    unheard.expects(playout=states.ADMITTED)
    assert unheard.call.playout.heard_out == ""
    expired(put(put(stalled, "response", states.COMPLETED, called=True), "playout", states.PLAYING), "playout")
    barge(put(cut, "response", states.COMPLETED, called=True))
    for script in (stalled, cut):
        script.expects(playout=states.SILENT, response=states.COMPLETED)
        assert script.call.playout.heard_out == ""
        now(script, ev.HangupRequested, "r1", "done")
        script.expects(hangup=states.STAYING)


def test_a_notice_that_says_goodbye_and_is_never_played_ends_no_call_though_that_is_told_late() -> None:
    """R42, R91, R93: it was synthesised, the device plays nothing of it, and it is to be said again."""
    script = idle(voice="chatterbox")
    now(script, ev.NoticeRequested, "We close now. Goodbye.")
    now(script, ev.ResponseCreated, "r1")
    now(script, ev.SentenceCut, "r1", 1, "We close now. Goodbye.", "r1.a")
    now(script, ev.ResponseCompleted, "r1")
    now(script, ev.SentenceSynthesised, ONE, 900.0)
    expired(script, "playout")
    script.expects(playout=states.SILENT, response=states.COMPLETED, pending=states.PAUSED)
    now(put(script, "turn", states.QUIET, turns=2), ev.GoodbyeSaid, "r1")
    script.expects(hangup=states.STAYING)


def test_a_goodbye_that_took_too_long_and_was_cut_by_the_caller_is_none_though_it_completes() -> None:
    """R42, R45: all that had come of it was heard, and its cancel was too late."""
    for playout in (states.TAIL, states.STARVED):
        script = put(put(speaking(), "playout", playout, heard=True), "response", states.CANCEL_IN_FLIGHT)
        barge(put(script, "pending", states.NOTHING, asked=()))
        now(script, ev.ResponseCompleted, "r1")
        now(script, ev.GoodbyeSaid, "r1")
        script.expects(hangup=states.STAYING, response=states.COMPLETED)


def test_a_goodbye_of_which_the_device_plays_nothing_was_not_heard() -> None:
    """R42, R44, R93: it is said again, ours with the end behind it, and so is a notice; one of which some was heard ends the call."""
    for reason, was_heard, notice, after in (
        (Reason.GOODBYE, False, False, states.STAYING),
        (Reason.APPLICATION, False, False, states.PARTING),
        (Reason.GOODBYE, True, False, states.OVER),
        (Reason.APPLICATION, True, False, states.OVER),
        (Reason.APPLICATION, True, True, states.PARTING),
    ):
        for make, goodbye in product((playing_out, speaking), ("r1", "r2")):
            script = put(make(), "playout", states.PLAYING, heard=was_heard, notice=notice)
            put(put(script, "pending", states.NOTHING, asked=(TURN,)), "hangup", states.GOODBYE, id=goodbye, reason=reason)
            expired(script, "playout")
            script.expects(hangup=after if goodbye == "r1" else states.GOODBYE)


def test_a_goodbye_that_completes_after_it_was_heard_ends_the_call() -> None:
    """R42: in whatever order; the end of another does not."""
    for response_id, playing, ends in (("r1", "", True), ("r9", "", False), ("r1", "r1", False)):
        script = put(playing_out(), "playout", states.PLAYING if playing else states.SILENT, id=playing)
        put(put(script, "response", states.CANCEL_IN_FLIGHT, id=response_id, ended=()), "hangup", states.GOODBYE, id="r1")
        now(script, ev.ResponseCompleted, response_id)
        assert over(script) is ends


def test_a_wished_end_waits_for_a_response_that_is_generated_though_it_is_not_heard_any_more() -> None:
    """R97: it was heard whole, and its end does not come."""
    script = put(put(idle(), "response", states.IN_PROGRESS, id="r1"), "playout", states.SILENT, id="")
    now(script, ev.HangupRequested, "", "done")
    assert script.call.hangup.id == "r1"


def test_a_sentence_that_begins_is_heard_if_its_response_is() -> None:
    """R79: in every state of the voice; another's is not."""
    for state in LEADING:
        for session_id, of, was_heard in ((ONE, "r1", True), ("call.r1.2", "r1", False), (ONE, "r2", False)):
            script = put(put(reading(), "playout", state), "synthesis", states.AHEAD, response_id=of)
            now(script, ev.SentenceStarted, session_id, 0.0)
            script.expects(playout=state)
            assert script.call.playout.heard is was_heard


def test_a_farewell_is_the_response_that_was_asked_for() -> None:
    """R53: not one of the server's own, nor one that is known."""
    unasked, known, ours = (put(make(), "hangup", states.PARTING) for make in (idle, asked, asked))
    put(known, "response", states.REQUESTED, ended=("r0",))
    now(unasked, ev.ResponseCreated, "r1")
    now(known, ev.ResponseCreated, "r0")
    now(ours, ev.ResponseCreated, "r1")
    for script, state in ((unasked, states.PARTING), (known, states.PARTING), (ours, states.GOODBYE)):
        script.expects(hangup=state)


def test_a_voice_is_lost_by_the_sentence_in_synthesis_alone() -> None:
    """R66: a foreign failure, or one of a sentence that is synthesised, is none."""
    for session_id, state, lost in (
        (ONE, states.SYNTHESISING, True),
        ("call.r9.1", states.SYNTHESISING, False),
        (ONE, states.AHEAD, False),
    ):
        script = put(reading(voice_failures=1), "synthesis", state)
        now(script, ev.SynthesisFailed, session_id, "500")
        assert over(script) is lost


def test_the_loss_of_a_sentence_ends_no_voice_but_its_own() -> None:
    """R66, R77: nor that of one that is synthesised."""
    for playout in (states.ADMITTED, states.STARVED):
        for of, synthesis in (("r2", states.SYNTHESISING), ("r1", states.AHEAD)):
            script = put(put(reading(), "playout", playout, next_id="r2"), "response", states.COMPLETED, id="r1")
            put(script, "synthesis", synthesis, response_id=of)
            now(script, ev.SynthesisFailed, ONE, "500")
            script.expects(playout=playout)


def test_a_stalled_voice_that_was_heard_is_no_failure() -> None:
    """R79, R93: but a notice is; and one that pays nothing is none."""
    for cause, was_heard, debts, failed in (
        (Cause.USER_TURN, True, (TURN,), False),
        (Cause.USER_TURN, False, (TURN,), True),
        (Cause.USER_TURN, False, (), False),
        (Cause.NOTICE, True, (Debt(Cause.NOTICE),), True),
    ):
        for recoveries in (0, 2):
            notice = cause is Cause.NOTICE
            script = put(playing_out(recoveries=recoveries), "playout", states.PLAYING, heard=was_heard, notice=notice)
            put(put(script, "response", states.COMPLETED, cause=cause), "pending", states.NOTHING, asked=debts)
            assert Flush("r1") in expired(script, "playout")
            assert over(script) is (failed and not recoveries)
            if recoveries:
                script.expects(pending=states.PAUSED if failed else states.NOTHING)
    other = put(playing_out(recoveries=0), "response", states.COMPLETED, id="r9", cause=Cause.NOTICE)
    expired(put(other, "pending", states.NOTHING, asked=(Debt(Cause.NOTICE),)), "playout")
    assert not over(other)


def test_a_response_that_stalls_over_its_last_try_leaves_the_others_debts() -> None:
    """R15, R93: what failed too often is not owed again."""
    script = put(
        put(playing_out(recoveries=1), "playout", states.PLAYING, heard=False),
        "pending",
        states.WANTED,
        owed=(Debt(Cause.ENTRY),),
        recoveries=1,
    )
    expired(put(script, "turn", states.SPEAKING), "playout")
    assert [debt.cause for debt in script.call.pending.owed] == [Cause.ENTRY]
    assert script.call.pending.recoveries == 1


def test_a_pause_in_the_middle_of_an_answer_may_be_replaced_soon_after_another() -> None:
    """R16, R97: the cooldown counts answers without any sound."""
    for playout, replaced in ((states.STARVED, True), (states.VOICELESS, False)):
        script = put(put(speaking(), "cooldown", states.COOLING), "playout", playout)
        expired(script, "playout")
        assert over(script) is not replaced
    script = put(put(answering(recoveries=0), "playout", states.VOICELESS), "pending", states.WANTED, owed=(Debt(Cause.ENTRY),))
    expired(script, "playout")
    script.expects(cooldown=states.WARM, hangup=states.STAYING)


def test_a_greeting_that_fails_while_it_is_heard_is_gone_on_with() -> None:
    """R15."""
    script = put(playing_out(), "response", states.REQUESTED, cause=Cause.GREETING)
    put(script, "pending", states.NOTHING, asked=(Debt(Cause.GREETING),))
    now(script, ev.CreateRefused, "boom")
    assert [debt.cause for debt in script.call.pending.owed] == [Cause.RECOVERY]


def test_the_answer_behind_the_voice_is_unheard_though_the_voice_is_heard() -> None:
    """R93: an interruption owes it again."""
    for arrived_id in ("", "r2"):
        script = put(playing_out(), "playout", states.PLAYING, next_id="r2", arrived_id=arrived_id, heard=True)
        put(put(script, "response", states.COMPLETED, id="r2"), "turn", states.SPEAKING)
        barge(put(script, "pending", states.NOTHING, asked=(TURN,)))
        assert script.call.pending.owed == (TURN,)


def test_what_was_protected_is_what_is_said() -> None:
    """R36: a notice that is heard to its end, whatever follows it, a greeting that is under way; not one that failed, or is over."""
    for notice, cause, status, response_id, interrupts in (
        (True, Cause.NOTICE, states.COMPLETED, "r1", False),
        (True, Cause.USER_TURN, states.IN_PROGRESS, "r9", False),
        (False, Cause.NOTICE, states.COMPLETED, "r9", True),
        (False, Cause.NOTICE, states.REQUESTED, "r9", False),
        (False, Cause.NOTICE, states.IN_PROGRESS, "r9", False),
        (False, Cause.GREETING, states.REQUESTED, "r9", False),
        (False, Cause.GREETING, states.FAILED, "r9", True),
        (False, Cause.USER_TURN, states.IN_PROGRESS, "r1", True),
    ):
        script = put(put(playing_out(), "playout", states.PLAYING, notice=notice), "response", status, id=response_id, cause=cause)
        now(script, ev.SpeechStarted, "u2")
        script.expects(interruption=states.SUSPECTED if interrupts else states.CLEAR)
        script = put(put(playing_out(), "playout", states.PLAYING, notice=notice), "response", status, id=response_id, cause=cause)
        script = put(script, "turn", states.SPEAKING)
        expired(put(script, "interruption", states.LOCKED), "interruption")
        script.expects(interruption=states.SUSPECTED if interrupts else states.CLEAR)


def test_a_turn_gives_the_rights_back_only_where_nothing_is_said_or_protected() -> None:
    """R36, R37: a notice that was never created protects nothing."""
    for make, cause, status, released in (
        (idle, Cause.NOTICE, states.FAILED, True),
        (idle, Cause.NOTICE, states.REQUESTED, False),
        (playing_out, Cause.USER_TURN, states.COMPLETED, False),
    ):
        script = put(put(make(), "session", states.GUARDED), "response", status, cause=cause)
        assert (ReleaseResponse() in now(script, ev.TurnCommitted, "u9")) is released


def test_the_floor_is_given_by_new_responses_alone() -> None:
    """R35, R68: a greeting told twice gives none, and another beside the one in progress takes none."""
    twice = put(asked(), "response", states.REQUESTED, id="g1", cause=Cause.GREETING)
    now(twice, ev.ResponseCreated, "g1")
    beside = answering()
    now(beside, ev.ResponseCreated, "r9")
    for script in (twice, beside):
        script.expects(phase=states.LISTENING)
    for status, phase in ((states.CANCEL_IN_FLIGHT, states.CANCELLING), (states.COMPLETED, states.LISTENING)):
        script = put(playing_out(), "response", status, id="r9")
        barge(put(script, "turn", states.SPEAKING))
        script.expects(phase=phase)


def test_another_responses_end_completes_nothing() -> None:
    """R72, R91: though it is the one that may be heard."""
    script = put(answering(), "response", states.IN_PROGRESS, id="r2")
    now(script, ev.ResponseCompleted, "r1")
    script.expects(response=states.IN_PROGRESS, pending=states.NOTHING)
    heard_before = put(hear(answering()), "response", states.IN_PROGRESS, id="r2")
    now(heard_before, ev.ResponseCompleted, "r1")
    heard_before.expects(response=states.IN_PROGRESS, pending=states.NOTHING)


def test_the_key_that_ends_an_entry_is_no_digit_of_it() -> None:
    """R63: though it is pressed where the last digit would be."""
    script = put(idle(dtmf_digits=2), "dtmf", states.ENTERING, digits="1")
    assert AddEntry("1") in now(script, ev.DigitPressed, "#")
    assert AddEntry("12") in now(put(idle(dtmf_digits=2), "dtmf", states.ENTERING, digits="1"), ev.DigitPressed, "2")


def test_a_failure_of_two_ends_is_told_of_the_first() -> None:
    """R73, R92: the response that failed is asked for again when the other's end has come, and the server's wait counts."""
    for kind, fault in ((ev.ResponseFailed, "busy"), (ev.ResponseIncomplete, "busy"), (ev.ResponseCompleted, "nothing_to_hear")):
        script = put(answering(), "response", states.IN_PROGRESS, unwanted=("r9",), fault="old", wait_ms=9.0)
        now(script, kind, "r1", *(("busy", 2_000.0) if fault == "busy" else ()))
        script.expects(response=states.CANCEL_IN_FLIGHT, pending=states.PAUSED)
        response = script.call.response
        assert (response.id, response.fault, response.wait_ms) == ("r9", fault, 2_000.0 if fault == "busy" else 0.0)


def test_a_wish_without_debts_asks_for_nothing() -> None:
    """R11."""
    assert now(put(idle(), "pending", states.WANTED, owed=()), ev.VadCalibrated) == ()


def test_what_stands_behind_the_voice_is_moved_by_its_own_events_alone() -> None:
    """R31, R72."""
    for kind in (ev.ResponseCompleted, ev.ResponseCancelled, ev.ResponseFailed, ev.ResponseIncomplete, ev.AudioArrived):
        script = put(playing_out(), "playout", states.PLAYING, next_id="r2")
        assert not [effect for effect in now(script, kind, "r9") if isinstance(effect, Flush)]
        assert (script.call.playout.next_id, script.call.playout.arrived_id) == ("r2", "")
        script.expects(truncation=states.IN_STEP)
