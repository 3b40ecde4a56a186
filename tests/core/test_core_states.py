"""Claims about every state that a row names: what it says for several holds in each of them, however the call came there.

A state is put into a call in a common situation, with its deadline: what a row says must not turn on the way to it.
"""

from typing import Any

from fsm import admits, events as ev, states
from fsm.call.effects import (
    AddEntry,
    Admit,
    CancelResponse,
    CancelSynthesis,
    Cause,
    CommitTurn,
    CreateResponse,
    DeleteItem,
    Flush,
    Level,
    Log,
    ReleaseResponse,
    SendToolResult,
    TruncateItem,
)
from fsm.call.guards import AUDIBLE, CANCELLINGS, IDLE
from fsm.call.playout import LEADING
from fsm.call.snapshot import Debt, Item
from fsm.engine.notation import State
from tests.shared.core import Script, answering, asked, begun, expired, hear, idle, now, playing_out, put, reading, speaking

ONE = "call.r1.1"
HARMLESS = "response_cancel_not_active"
WISHES = (states.PREPARING, states.PAUSED, states.OWED, states.WANTED)
UNDECIDED = (states.STAYING, states.PARTING, states.GOODBYE)


# The end.


def test_every_state_ends_with_the_call() -> None:
    """R49, R62, R83: whether a fault or a decided hang-up ends it."""
    for region in idle().machine.regions:
        for state in region.states:
            if region.name in ("phase", "hangup") or state is states.OVER:
                continue
            for ends in (False, True):
                script = put(speaking(), region.name, state)
                if ends:
                    now(script, ev.DeviceFailed, "unplugged")
                else:
                    expired(put(script, "hangup", states.PARTING), "hangup")
                assert getattr(script.call, region.name).state is states.OVER, (region.name, state)
    for state in UNDECIDED:
        script = put(speaking(), "hangup", state)
        now(script, ev.DeviceFailed, "unplugged")
        script.expects(hangup=states.OVER)


def test_the_end_silences_both_answers_in_every_state_of_the_voice() -> None:
    """R49, R50, R83."""
    for state in LEADING:
        for ends in (False, True):
            script = put(speaking(), "playout", state, next_id="r2")
            effects = now(script, ev.DeviceFailed, "unplugged") if ends else expired(put(script, "hangup", states.PARTING), "hangup")
            assert effects[:2] == (Flush("r1"), Flush("r2")), state


def test_whatever_makes_a_call_hopeless_ends_it_whatever_was_wished() -> None:
    """R14, R15, R16, R18, R39, R40, R60, R82: a goodbye that is asked for or being said hides no fault."""
    for state in UNDECIDED:
        for kind in (ev.ResponseFailed, ev.ResponseIncomplete):
            script = put(answering(recoveries=0), "hangup", state)
            now(script, kind, "r1", "server_error")
            script.expects(hangup=states.OVER)
        fatal = put(put(answering(), "pending", states.WANTED), "hangup", state)
        now(fatal, ev.ResponseFailed, "r1", "insufficient_quota")
        refused, unanswered = (put(asked(recoveries=0), "hangup", state) for _ in range(2))
        now(refused, ev.CreateRefused, "boom")
        expired(unanswered, "response")
        soundless = put(put(answering(recoveries=0), "playout", states.VOICELESS), "hangup", state)
        expired(soundless, "playout")
        unconfirmed = put(put(idle(), "session", states.CONFIGURING), "hangup", state)
        expired(unconfirmed, "session")
        lost = put(idle(reconnects=0), "hangup", state)
        now(lost, ev.SessionLost, "1006")
        limited = put(put(idle(), "limit", states.WARNED), "hangup", state)
        expired(limited, "limit")
        lineless = put(put(idle(), "line", states.LINE_AWAITED), "hangup", state)
        expired(lineless, "line")
        voiceless, unsynthesised = (put(reading(voice_failures=1), "hangup", state) for _ in range(2))
        now(voiceless, ev.SynthesisFailed, ONE, "500")
        expired(unsynthesised, "synthesis")
        for script in (fatal, refused, unanswered, soundless, unconfirmed, lost, limited, lineless, voiceless, unsynthesised):
            script.expects(hangup=states.OVER)


def test_a_session_that_is_lost_too_often_is_over_in_every_state() -> None:
    """R60; and one that may be opened anew is, in every state."""
    for state in (states.CONNECTING, states.CONFIGURING, states.GUARDED, states.READY, states.AGED):
        for reconnects, after in ((0, states.OVER), (1, states.LOST)):
            script = put(idle(reconnects=reconnects), "session", state)
            now(script, ev.SessionLost, "1006")
            script.expects(session=after)


# The response.


def response_in(state: State, **policy: Any) -> Script:
    """`r1` is being heard and generated, or in another status."""
    return put(speaking(**policy), "response", state)


def test_an_error_is_noted_in_every_status() -> None:
    """R02: harmless ones quietly; and nothing else comes of it."""
    for state in (*IDLE, states.REQUESTED, states.WITHDRAWN, states.IN_PROGRESS, *CANCELLINGS):
        for code, level in ((HARMLESS, Level.DEBUG), ("boom", Level.WARNING)):
            script = response_in(state)
            assert now(script, ev.ErrorReceived, code) == now(script, ev.CancelRefused, "r1", code) == (Log(level, code),)
            script.expects(response=state)
        if state not in (states.REQUESTED, states.WITHDRAWN):
            script = response_in(state)
            assert now(script, ev.CreateRefused, "boom") == (Log(Level.DEBUG, "boom"),)
            script.expects(response=state)


def test_the_end_of_a_foreign_response_is_remembered_in_every_status() -> None:
    """R06: one that is created after its end is not heard."""
    for state in (*IDLE, states.REQUESTED, states.WITHDRAWN, states.IN_PROGRESS, *CANCELLINGS):
        script = response_in(state)
        now(script, ev.ResponseCompleted, "r9")
        assert "r9" in script.call.response.ended
        script.expects(response=state)


def test_every_end_of_our_response_is_its_end_in_every_status() -> None:
    """R06, R72: however it was to end; and the loss of the session ends a cancelling."""
    ends = (
        (ev.ResponseCompleted, states.COMPLETED),
        (ev.ResponseCancelled, states.CANCELLED),
        (ev.ResponseFailed, states.FAILED),
        (ev.ResponseIncomplete, states.INCOMPLETE),
    )
    for state in (states.IN_PROGRESS, *CANCELLINGS):
        for kind, status in ends:
            script = response_in(state)
            now(script, kind, "r1")
            script.expects(response=status)
    for state in CANCELLINGS:
        script = response_in(state)
        now(script, ev.SessionLost, "1006")
        script.expects(response=states.CANCELLED)


def test_an_unasked_answer_is_taken_in_every_status() -> None:
    """R01, R02, R68: it is heard, unless the caller speaks: then the server cancels it, or we do."""
    for state in (*IDLE, *CANCELLINGS):
        script = put(idle(), "response", state, id="r1")
        assert now(script, ev.ResponseCreated, "r2") == (Admit("r2"),)
        script.expects(response=states.IN_PROGRESS)
        for owner, status in (("server", states.SERVER_CANCELLING), ("client", states.CANCEL_IN_FLIGHT)):
            script = put(put(idle(interrupts=owner), "response", state, id="r1"), "turn", states.SPEAKING)
            assert now(script, ev.ResponseCreated, "r2") == (() if owner == "server" else (CancelResponse("r2"),))
            script.expects(response=status)


# The voice.


def voice_in(state: State, next_id: str = "") -> Script:
    """`r1` is generated to its end, and its voice is in that state, with another behind it or none."""
    script = put(playing_out(), "playout", state, next_id=next_id)
    return put(script, "response", states.IN_PROGRESS, id="r2") if next_id else script


def test_an_interruption_silences_the_voice_in_every_state() -> None:
    """R30, R69: and the answer behind it."""
    for state in AUDIBLE:
        alone, both = ("", (Flush("r1"),)), ("r2", (Flush("r1"), Flush("r2")))
        for next_id, flushed in (alone, both) if state in LEADING else (alone,):
            effects = expired(put(voice_in(state, next_id), "interruption", states.SUSPECTED), "interruption")
            assert effects[: len(flushed)] == flushed, state


def test_a_response_that_the_server_cancels_is_silenced_in_every_state() -> None:
    """R31, R69: itself alone."""
    for state in AUDIBLE:
        if state in LEADING:
            script = voice_in(state, "r2")
            assert Flush("r2") in now(script, ev.ResponseCancelled, "r2")
            script.expects(playout=state)
            assert script.call.playout.next_id == ""
        script = put(voice_in(state), "response", states.IN_PROGRESS, ended=())
        assert Flush("r1") in now(script, ev.ResponseCancelled, "r1")
        script.expects(playout=states.SILENT)
        script = voice_in(state)
        assert now(script, ev.ResponseCancelled, "r1") == (), "it has ended before"
        script.expects(playout=state)


def test_an_answer_may_follow_in_every_state_of_the_voice() -> None:
    """R31, R75, R88: it is admitted behind, and the item of its sound is in the account."""
    for state in LEADING:
        script = voice_in(state)
        assert now(script, ev.ResponseCreated, "r2") == (Admit("r2"),)
        assert script.call.playout.next_id == "r2"
        script.expects(playout=state)
        assert admits(script.call, "r2")
        now(script, ev.AudioArrived, "r2", "item_r2")
        assert script.call.playout.arrived_id == "r2"
        assert [item.item_id for item in script.call.truncation.items] == ["item_r1", "item_r2"]


def test_a_response_of_which_words_came_is_heard_when_its_sound_comes() -> None:
    """R16, R27: by the sound's arrival or its progress; and it may end or be lost without."""
    events = (
        (ev.AudioArrived, ("r1", "item_r1"), states.ONSET),
        (ev.PlayoutProgressed, ("r1", 0.0), states.ONSET),
        (ev.ResponseCompleted, ("r1",), states.SILENT),
        (ev.SessionLost, ("1006",), states.SILENT),
    )
    for state in (states.ADMITTED, states.VOICELESS):
        for kind, fields, after in events:
            script = put(answering(), "playout", state)
            now(script, kind, *fields)
            script.expects(playout=after)


def test_a_short_sound_may_end_before_its_echo_does() -> None:
    """R27, R29."""
    for kind, after in ((ev.QueueEmptied, states.TAIL), (ev.PlayoutFinished, states.SILENT)):
        for state in (states.ONSET, states.PLAYING):
            script = voice_in(state)
            now(script, kind, "r1")
            script.expects(playout=after)


def test_the_loss_of_the_last_sentence_ends_the_voice_however_it_is_lost() -> None:
    """R77, R78."""
    for state in (states.ADMITTED, states.STARVED):
        failed, discarded, unanswered = (put(put(reading(), "playout", state), "response", states.COMPLETED) for _ in range(3))
        now(failed, ev.SynthesisFailed, ONE, "500")
        now(discarded, ev.SynthesisDiscarded, ONE)
        expired(unanswered, "synthesis")
        for script in (failed, discarded, unanswered):
            script.expects(playout=states.SILENT)


def test_sentences_are_bounded_and_cancels_answered_whether_one_is_ahead_or_not() -> None:
    """R07, R64, R69."""
    for state in (states.SYNTHESISING, states.AHEAD):
        script = put(reading(queued_sentences=1), "synthesis", state)
        now(script, ev.SentenceCut, "r1", 2, "Two.")
        assert now(script, ev.SentenceCut, "r1", 3, "Three.") == (Log(Level.WARNING, "sentence_dropped", "call.r1.3"),)
        script = put(put(hear(reading(), ms=100), "playout", states.PLAYING, next_id="r2"), "synthesis", state)
        now(script, ev.SentenceCut, "r2", 1, "One more.")
        now(script, ev.ResponseCancelled, "r2")
        assert script.call.synthesis.queue == ()
        assert CancelSynthesis(ONE) not in script.effects
    for state in (states.RESTING, states.SYNTHESISING, states.AHEAD):
        script = put(reading(), "synthesis", state)
        assert [effect.detail for effect in now(script, ev.SynthesisCancelAnswered, ONE, "acknowledged")] == [ONE]


# What is owed.


def owing(state: State, *debts: Debt, **policy: Any) -> Script:
    """Nothing goes on, and something is owed, in that state."""
    return put(idle(**policy), "pending", state, owed=debts, recoveries=1)


def test_a_turn_is_owed_an_answer_in_every_state() -> None:
    """R12, R20, R24, R93: committed or not, ours to answer or the server's, or handed in on the keypad; and nothing else is forgotten."""
    notice = Debt(Cause.NOTICE, text="This call is recorded.")
    for state in (states.NOTHING, *WISHES):
        for creates in (False, True):
            committed, uncommitted = (owing(state, notice, create_response=creates) for _ in range(2))
            now(committed, ev.TurnCommitted, "u1")
            expired(put(uncommitted, "turn", states.STOPPED), "turn")
            for script, item_id in ((committed, "u1"), (uncommitted, "")):
                debts = script.call.pending.owed + script.call.pending.asked
                assert notice in debts
                assert [debt.item_id for debt in debts if debt.cause is Cause.USER_TURN] == [item_id]
                assert script.call.pending.recoveries == 0
                if creates:
                    script.expects(pending=states.OWED)
                else:
                    assert script.of(CreateResponse) == [CreateResponse(Cause.USER_TURN)]
        for paused in (False, True):
            script = put(owing(state, notice), "dtmf", states.ENTERING, digits="12")
            effects = expired(script, "dtmf") if paused else now(script, ev.DigitPressed, "#")
            assert AddEntry("12") in effects
            debts = script.call.pending.owed + script.call.pending.asked
            assert {debt.cause for debt in debts} == {Cause.NOTICE, Cause.ENTRY}


def test_a_server_that_asks_for_patience_is_not_asked_by_a_turn() -> None:
    """R92: nor by a failure that comes then."""
    script = put(owing(states.PAUSED, Debt(Cause.USER_TURN)), "response", states.FAILED, wait_ms=2_000.0)
    now(script, ev.TurnCommitted, "u1")
    script.expects(pending=states.PAUSED)
    assert script.of(CreateResponse) == []


def test_only_the_turn_ends_with_a_dismissal_and_only_answers_with_an_answer() -> None:
    """R20, R68, R93: what the server answers, or the caller dismissed, is not asked for; whatever else is owed is."""
    notice = Debt(Cause.NOTICE, text="This call is recorded.")
    for state in WISHES[1:]:
        dismissed, answered = (owing(state, Debt(Cause.USER_TURN)) for _ in range(2))
        now(dismissed, ev.TurnDismissed)
        now(answered, ev.ResponseCreated, "r1")
        for script in (dismissed, answered):
            script.expects(pending=states.NOTHING)
            assert script.call.pending.owed == ()
        dismissed, answered = (owing(state, Debt(Cause.USER_TURN), notice) for _ in range(2))
        now(dismissed, ev.TurnDismissed)
        now(answered, ev.ResponseCreated, "r1")
        assert notice in dismissed.call.pending.owed + dismissed.call.pending.asked
        assert answered.call.pending.owed == (notice,)


def test_what_is_owed_is_tried_again_with_whatever_may_have_cleared_its_way() -> None:
    """R11: a refusal too."""
    for kind, fields in ((ev.CreateRefused, ("boom",)), (ev.CancelUnsent, ("r1",)), (ev.SessionConfirmed, ()), (ev.LineOpened, ())):
        script = put(speaking(), "pending", states.WANTED, owed=(Debt(Cause.USER_TURN),))
        answer = script.step(kind(script.now_ms, *fields))
        assert ev.ResponseDue in answer.signals


def test_a_notice_joins_those_that_wait_in_every_state() -> None:
    """R07, R36, R93: and there is no room for more than may wait."""
    for state in WISHES:
        script = put(owing(state, Debt(Cause.NOTICE, text="one")), "turn", states.SPEAKING)
        now(script, ev.NoticeRequested, "two")
        assert [debt.text for debt in script.call.pending.owed] == ["one", "two"]
        script = owing(state, Debt(Cause.NOTICE, text="one"), queued_notices=1)
        assert now(script, ev.NoticeRequested, "two") == (Log(Level.WARNING, "notice_dropped"),)


# The rest.


def test_silence_is_counted_from_whatever_may_begin_it() -> None:
    """R51: and a turn or a key breaks one that is counted as well as one that is not."""
    for kind, fields in ((ev.ResponseCompleted, ("r1",)), (ev.SessionConfirmed, ()), (ev.LineOpened, ())):
        script = put(speaking(), "idle", states.DISARMED)
        now(script, kind, *fields)
        script.expects(idle=states.ARMED)
    for state in (states.DISARMED, states.ARMED):
        closed, pressed, heard, turned = (put(playing_out(), "idle", state, prompts=1) for _ in range(4))
        expired(put(closed, "turn", states.STOPPED), "turn")
        now(pressed, ev.DigitPressed, "1")
        now(heard, ev.PlayoutFinished, "r1")
        for script in (pressed, heard):
            script.expects(idle=states.ARMED)
        now(turned, ev.TurnCommitted, "u9")
        for script in (closed, turned):
            assert (script.call.idle.state, script.call.idle.prompts) == (states.DISARMED, 0)


def test_a_cut_is_answered_while_an_earlier_position_is_awaited() -> None:
    """R71, R88: by the caller's interruption, or by the server's; and the earlier one is told as well."""
    for decided in (True, False):
        script = put(
            speaking(), "truncation", states.POSITION_AWAITED, items=(Item("r0", "item_r0"), Item("r1", "item_r1")), awaited=("r0",)
        )
        if decided:
            expired(put(script, "interruption", states.SUSPECTED), "interruption")
        else:
            now(script, ev.ResponseCancelled, "r1", "turn_detected")
        assert now(script, ev.PlayoutStopped, "r0", 0.0, 900.0) == (DeleteItem("item_r0"),)
        assert now(script, ev.PlayoutStopped, "r1", 1000.0, 1900.0) == (TruncateItem("item_r1", 1000),)
        script.expects(truncation=states.IN_STEP)


def test_the_servers_cancel_ends_a_hold() -> None:
    """R74."""
    script = put(speaking(), "interruption", states.SUSPECTED)
    now(script, ev.ResponseCancelled, "r1")
    script.expects(interruption=states.CLEAR)


def test_a_session_serves_in_every_state_in_which_it_is_confirmed() -> None:
    """R36, R60: a completed response ends the outage, and a notice is protected; and a confirmation needs no word of the opening."""
    for state in (states.GUARDED, states.READY, states.AGED):
        script = put(speaking(), "session", state, lost=1)
        now(script, ev.ResponseCompleted, "r1")
        assert script.call.session.lost == 0
    for state in (states.READY, states.AGED):
        script = put(idle(), "session", state)
        now(script, ev.NoticeRequested, "one")
        script.expects(session=states.GUARDED)
    for state in (states.CONNECTING, states.CONFIGURING):
        script = put(begun(), "session", state)
        now(script, ev.SessionConfirmed)
        script.expects(session=states.GUARDED)
        script = put(put(begun(), "pending", states.NOTHING), "session", state)
        assert now(script, ev.SessionConfirmed) == (ReleaseResponse(),)
        script.expects(session=states.READY)


def test_a_slow_tool_is_a_tool() -> None:
    """R80: bounded, given up one by one, and answered by the last."""
    for state in (states.TOOL_RUNNING, states.TOOL_SLOW):
        script = put(idle(tools_at_once=1), "tool", state, pending=("t1",))
        assert now(script, ev.ToolCalled, "t2", "look_up", "{}") == (SendToolResult("t2", "error: too many tools at once"),)
        script = put(idle(), "tool", state, pending=("t1",))
        now(script, ev.ToolFinished, "t1", "found")
        script.expects(tool=states.NO_TOOL)
        script = put(idle(tool_filler_ms=0), "tool", state, pending=("t1", "t2"))
        expired(script, "tool")
        script.expects(tool=states.TOOL_SLOW)
        assert script.call.tool.pending == ("t2",)


def test_a_turn_is_ours_to_commit_though_its_beginning_was_not_told() -> None:
    """R24."""
    for state in (states.QUIET, states.SPEAKING):
        script = put(idle(turns="local"), "turn", state)
        assert now(script, ev.SpeechStopped) == (CommitTurn(),)
