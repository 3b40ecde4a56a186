"""Claims about what a guard leaves out: the same event one step beside the case that a row names, in a call in which that shows."""

from typing import Any

from fsm import events as ev, states
from fsm.call.effects import (
    CancelResponse,
    Cause,
    CreateResponse,
    DeleteItem,
    Flush,
    Reason,
    TellEnded,
)
from fsm.call.guards import AUDIBLE, IDLE
from fsm.call.snapshot import Debt, Item, Sentence
from fsm.engine.notation import State
from tests.shared.core import Script, answering, asked, expired, hear, idle, now, playing_out, put, reading, speaking

UNDECIDED = (states.STAYING, states.PARTING, states.GOODBYE)
TURN = Debt(Cause.USER_TURN, item_id="u1")


def ripe(**regions: State) -> Script:
    """An answer is owed, and nothing is in its way, but what is given."""
    script = put(idle(), "pending", states.WANTED, owed=(TURN,))
    for name, state in regions.items():
        put(script, name, state)
    return script


def test_an_answer_is_asked_for_only_where_the_way_is_clear() -> None:
    """R11, R19, R39, R40: each region on its own may be in its way."""
    clear = (
        {},
        *[{"response": state} for state in IDLE],
        {"session": states.GUARDED},
        {"session": states.AGED},
        {"hangup": states.PARTING},
        {"interruption": states.SUSPECTED},
    )
    barred = (
        {"phase": states.AI_SPEAKING},
        {"phase": states.CANCELLING},
        *[{"playout": state} for state in AUDIBLE],
        {"turn": states.SPEAKING},
        {"turn": states.STOPPED},
        {"session": states.CONFIGURING},
        {"session": states.LOST},
        {"line": states.LINE_AWAITED},
        {"hangup": states.GOODBYE},
        {"response": states.BLOCKED},
    )
    for regions, free in (*[(one, True) for one in clear], *[(one, False) for one in barred]):
        script = ripe(**regions)
        assert (CreateResponse(Cause.USER_TURN) in now(script, ev.VadCalibrated)) is free, regions


def test_a_notice_waits_for_a_decision_and_for_nobody_who_leaves() -> None:
    """R36, R45: an answer does not."""
    for regions, free in (
        ({}, True),
        ({"interruption": states.LOCKED}, True),
        ({"interruption": states.SUSPECTED}, False),
        ({"interruption": states.ECHOED}, False),
        ({"hangup": states.PARTING}, False),
    ):
        script = put(ripe(**regions), "pending", states.WANTED, owed=(Debt(Cause.NOTICE, text="one"),))
        assert (CreateResponse(Cause.NOTICE, "one") in now(script, ev.VadCalibrated)) is free, regions


def test_nothing_that_is_owed_lets_silence_be_counted() -> None:
    """R52: nor a tool, a key entry or anything that is going on."""
    for name, state, fields in (
        ("pending", states.PREPARING, {"owed": (TURN,)}),
        ("pending", states.PAUSED, {"owed": (TURN,)}),
        ("pending", states.OWED, {"owed": (TURN,)}),
        ("tool", states.TOOL_RUNNING, {"pending": ("t1",)}),
        ("dtmf", states.ENTERING, {"digits": "1"}),
        ("turn", states.STOPPED, {}),
    ):
        for prompts in (0, 3):
            script = put(put(idle(idle_prompts=prompts), "idle", states.ARMED), name, state, **fields)
            before = script.call.pending.owed
            expired(script, "idle")
            assert script.call.pending.owed == before
            assert script.call.idle.asked == 0
            script.expects(idle=states.ARMED, hangup=states.STAYING)


def test_a_prompt_is_counted_in_a_row_and_in_all() -> None:
    """R54."""
    script = put(idle(), "idle", states.ARMED, prompts=1, asked=4)
    expired(script, "idle")
    assert (script.call.idle.prompts, script.call.idle.asked) == (2, 5)


def test_silence_begins_anew_with_whatever_ends_what_it_waited_for() -> None:
    """R51: a refused commit, a dismissed turn, a key that stops nothing, a turn that nobody can answer."""
    refused, dismissed, pressed, closed = (put(idle(keys_interrupt=False), "idle", states.DISARMED) for _ in range(4))
    now(put(refused, "turn", states.STOPPED), ev.CommitRefused, "empty")
    now(dismissed, ev.TurnDismissed)
    now(pressed, ev.DigitPressed, "1")
    expired(put(put(closed, "turn", states.STOPPED), "session", states.LOST), "turn")
    for script in (refused, dismissed, pressed, closed):
        script.expects(idle=states.ARMED)


def test_a_turn_that_no_session_hears_is_counted_and_not_owed() -> None:
    """R24, R85: while the caller speaks it ends, and afterwards it waits for the session."""
    for session in (states.LOST, states.CONNECTING, states.CONFIGURING):
        script = put(put(idle(goodbye_min_turns=5), "session", session), "turn", states.SPEAKING)
        expired(script, "turn")
        script.expects(turn=states.QUIET, pending=states.NOTHING)
        assert (script.call.turn.turns, script.call.turn.uncommitted) == (1, False)
        script = put(put(idle(goodbye_min_turns=5), "session", session), "turn", states.STOPPED)
        expired(script, "turn")
        script.expects(turn=states.STOPPED)


def test_a_late_commit_is_that_of_the_turn_that_was_taken_without_it() -> None:
    """R21, R24: and told again it is none; what is said after it is a turn of its own."""
    late = put(idle(), "turn", states.QUIET, uncommitted=True)
    for _ in range(2):
        assert now(late, ev.TurnCommitted, "u1") == ()
        assert (late.call.turn.item_id, late.call.turn.uncommitted) == ("u1", False)
    for state in (states.QUIET, states.STOPPED):
        new = put(idle(), "turn", state, uncommitted=True)
        now(new, ev.SpeechStarted, "u2")
        assert new.call.turn.uncommitted is False
    answered = put(idle(), "turn", states.STOPPED)
    now(answered, ev.ResponseCreated, "r1")
    assert answered.call.turn.uncommitted is True
    assert now(answered, ev.TurnCommitted, "u1") == ()


def test_a_cooldown_ends_by_its_own_deadline() -> None:
    """R16, R49: a stale one ends none."""
    script = put(idle(), "cooldown", states.COOLING)
    record = script.call.cooldown
    script.step(ev.CooldownExpired(record.due_ms, record.epoch - 1))
    script.step(ev.CooldownExpired(record.due_ms - 1, record.epoch))
    script.expects(cooldown=states.COOLING)
    script.step(ev.CooldownExpired(record.due_ms, record.epoch))
    script.expects(cooldown=states.WARM)


def test_a_voice_that_is_missing_leaves_the_floor_free_if_nothing_is_generated() -> None:
    """R16: with nothing to cancel, nothing is awaited."""
    script = put(put(playing_out(), "playout", states.VOICELESS), "phase", states.LISTENING)
    expired(script, "playout")
    script.expects(phase=states.LISTENING, playout=states.SILENT)


def test_a_sound_that_was_over_before_it_was_told_of_was_heard() -> None:
    """R27, R91: its items are the model's."""
    for state in (states.ONSET, states.PLAYING, states.TAIL):
        items = (Item("r1", "item_r1", sounds=True),)
        script = put(put(playing_out(), "playout", state, heard=False), "truncation", states.IN_STEP, items=items)
        assert DeleteItem("item_r1") not in now(script, ev.PlayoutFinished, "r1", 100.0)


def test_an_event_of_no_response_moves_nothing_in_a_silence() -> None:
    """R72: whatever has no id yet is not its response."""
    for kind in (ev.AudioArrived, ev.PlayoutProgressed, ev.QueueEmptied, ev.PlayoutFinished, ev.QuestionAsked, ev.TextArrived):
        script = idle()
        assert now(script, kind, "") == ()
        script.expects(phase=states.LISTENING, playout=states.SILENT)
    for kind in (ev.ResponseCompleted, ev.ResponseCancelled, ev.ResponseFailed, ev.ResponseIncomplete):
        script = put(playing_out(), "pending", states.NOTHING)
        assert now(script, kind, "") == ()
        script.expects(playout=states.PLAYING, truncation=states.IN_STEP)


def test_a_response_may_follow_only_one() -> None:
    """R31: whether its sound has come or not; a third is cancelled at its birth."""
    for arrived_id in ("", "r2"):
        script = put(
            put(playing_out(), "playout", states.PLAYING, next_id="r2", arrived_id=arrived_id), "response", states.COMPLETED, id="r2"
        )
        assert now(script, ev.ResponseCreated, "r3") == (CancelResponse("r3"),)


def test_what_ends_with_the_session_is_what_was_being_generated() -> None:
    """R60, R85: what is generated to its end goes on, as do sentences; another response's end is not its own."""
    for state in (states.ADMITTED, states.VOICELESS, states.STARVED):
        for status, response_id, synthesis, of, over in (
            (states.IN_PROGRESS, "r1", states.RESTING, "r1", True),
            (states.COMPLETED, "r1", states.RESTING, "r1", False),
            (states.IN_PROGRESS, "r2", states.RESTING, "r1", False),
            (states.IN_PROGRESS, "r1", states.SYNTHESISING, "r1", False),
            (states.IN_PROGRESS, "r1", states.AHEAD, "r1", False),
            (states.IN_PROGRESS, "r1", states.AHEAD, "r2", True),
        ):
            script = put(put(reading(), "playout", state), "response", status, id=response_id)
            put(script, "synthesis", synthesis, response_id=of)
            now(script, ev.SessionLost, "1006")
            script.expects(playout=states.SILENT if over else state)


def test_a_device_is_not_stalled_that_was_given_nothing() -> None:
    """R79: a voice that waits for another response's sentence, or for its own in synthesis."""
    for playout in (states.ADMITTED, states.STARVED):
        for synthesis, of in ((states.AHEAD, "r2"), (states.SYNTHESISING, "r1"), (states.RESTING, "r1")):
            script = put(put(reading(), "playout", playout), "synthesis", synthesis, response_id=of)
            codes = [getattr(effect, "code", "") for effect in expired(script, "playout")]
            assert "playout_without_progress" not in codes
    held = put(put(reading(), "playout", states.ONSET), "synthesis", states.AHEAD)
    expired(held, "playout")
    held.expects(playout=states.PLAYING)


def test_a_pause_that_another_response_would_explain_is_none() -> None:
    """R97: a tool explains the silence of the answer that is generated, and no other's."""
    script = put(put(speaking(), "response", states.IN_PROGRESS, id="r2"), "tool", states.TOOL_RUNNING, pending=("t1",))
    expired(put(script, "playout", states.STARVED), "playout")
    script.expects(playout=states.SILENT)


def test_a_repeated_debt_is_no_answer_that_waits() -> None:
    """R15, R93: it has had its try, so that the next failure ends the call."""
    for again in (True, False):
        script = put(asked(recoveries=0), "pending", states.WANTED, owed=(Debt(Cause.ENTRY, again=again),))
        now(script, ev.CreateRefused, "boom")
        assert (script.call.hangup.state is states.OVER) is again


def test_a_prompt_that_fails_is_repeated_only_to_a_caller_whom_no_tool_serves() -> None:
    """R15, R80: an answer is in any case; and a failure with nothing to repeat counts and pauses nothing."""
    for cause in (Cause.IDLE_PROMPT, Cause.FAREWELL, Cause.TOOL_FILLER, Cause.USER_TURN):
        for tool, pending in ((states.NO_TOOL, ()), (states.TOOL_RUNNING, ("t1",))):
            script = put(put(asked(), "pending", states.NOTHING, asked=(Debt(cause),)), "tool", tool, pending=pending)
            now(script, ev.CreateRefused, "boom")
            repeated = cause is Cause.USER_TURN or not pending
            assert [debt.cause for debt in script.call.pending.owed] == ([cause] if repeated else [])
            script.expects(pending=states.PAUSED if repeated else states.NOTHING)
            assert script.call.pending.recoveries == int(repeated)


def test_what_the_server_cancels_over_a_caller_is_protected_or_comes_at_once() -> None:
    """R36, R93: the greeting and a notice are counted, and paused."""
    for cause in (Cause.USER_TURN, Cause.LIMIT_WARNING, Cause.NOTICE, Cause.GREETING):
        protected = cause in (Cause.NOTICE, Cause.GREETING)
        script = put(put(answering(), "response", states.IN_PROGRESS, cause=cause), "pending", states.NOTHING, asked=(Debt(cause),))
        now(put(script, "turn", states.SPEAKING), ev.ResponseCancelled, "r1")
        script.expects(pending=states.PAUSED if protected else states.WANTED)
        assert script.call.pending.recoveries == int(protected)


def test_a_cancelled_response_is_said_again_as_often_as_a_failed_one() -> None:
    """R15, R36, R93: the greeting once; where it may not, another answer has its try."""
    for cause, counted, again in (
        (Cause.USER_TURN, 0, True),
        (Cause.USER_TURN, 1, True),
        (Cause.USER_TURN, 2, False),
        (Cause.GREETING, 0, True),
        (Cause.GREETING, 1, False),
    ):
        script = put(put(answering(), "response", states.IN_PROGRESS, cause=cause), "turn", states.QUIET)
        owed = (Debt(Cause.ENTRY),)
        script = put(script, "pending", states.WANTED, owed=owed, asked=(Debt(Cause.TOOL_RESULT),), recoveries=counted)
        now(script, ev.ResponseCancelled, "r1")
        assert script.call.pending.recoveries == counted + int(again)
        script.expects(pending=states.PAUSED if again else states.NOTHING)


def test_a_notice_is_owed_again_whether_it_was_heard_or_not_and_what_goes_with_an_answer_is_not() -> None:
    """R36, R93: by the server's cancel, a notice; by an interruption, an unheard one alone."""
    for cause, heard, back in (
        (Cause.NOTICE, True, True),
        (Cause.NOTICE, False, True),
        (Cause.USER_TURN, True, False),
        (Cause.USER_TURN, False, True),
    ):
        script = put(speaking() if heard else answering(), "response", states.IN_PROGRESS, cause=cause)
        script = put(script, "pending", states.NOTHING, asked=(Debt(cause),))
        now(script, ev.ResponseCancelled, "r1")
        assert (script.call.pending.owed != ()) is back
    for status in (states.COMPLETED, states.CANCEL_IN_FLIGHT):
        script = put(answering(), "response", status)
        now(script, ev.ResponseCancelled, "r1")
        assert script.call.pending.owed == ()
    for cause, kept in ((Cause.NOTICE, True), (Cause.USER_TURN, False)):
        script = put(answering(greeting_protected=False), "response", states.CANCEL_IN_FLIGHT, cause=cause)
        script = put(put(script, "pending", states.NOTHING, asked=(Debt(Cause.NOTICE),)), "response", states.COMPLETED)
        expired(put(put(script, "turn", states.SPEAKING), "interruption", states.SUSPECTED), "interruption")
        assert (script.call.pending.owed != ()) is kept


def test_nobody_needs_to_be_left_alone_for_less_than_a_millisecond() -> None:
    """R92: any wait that is asked for is one."""
    for wait_ms, waits in ((0.0, False), (0.5, True), (1.0, True)):
        script = put(asked(), "pending", states.WANTED, owed=(Debt(Cause.ENTRY),))
        now(script, ev.CreateRefused, "boom", wait_ms)
        script.expects(pending=states.PAUSED if waits else states.NOTHING)


def test_nothing_owed_is_no_listeners_word() -> None:
    """R94: where nothing is owed any more, the end of the voice asks for nothing and settles nothing."""
    for state in (states.OWED, states.WANTED):
        script = put(playing_out(), "pending", state, owed=(TURN,), asked=())
        now(put(script, "turn", states.SPEAKING), ev.PlayoutFinished, "r1", 1000.0)
        script.expects(pending=state)


def test_a_stalled_device_ends_the_call_whatever_was_wished() -> None:
    """R79, R93: once too often, with no other answer owed."""
    for state in UNDECIDED:
        for recoveries, owed, over in ((0, (), True), (1, (), False), (0, (TURN,), False)):
            script = put(put(reading(recoveries=recoveries), "synthesis", states.AHEAD), "hangup", state)
            script = put(script, "pending", states.WANTED, owed=owed)
            effects = expired(script, "playout")
            assert Flush("r1") in effects
            assert (TellEnded(Reason.DEVICE_FAILED, "it plays nothing") in effects) is over


def test_the_sentences_of_what_follows_come_after_those_of_the_voice() -> None:
    """R66, R67: one of the voice that comes after them is refused, as is one of no response that may be heard."""
    for following, queue, synthesis, refused in (
        ("r2", (Sentence("r2", 1, "Two.", "item_r2"),), "r1", True),
        ("r2", (Sentence("r1", 2, "More.", "r2"),), "r1", False),
        ("r2", (), "r2", True),
        ("", (), "r1", False),
    ):
        script = put(hear(reading(), ms=100), "playout", states.PLAYING, next_id=following)
        script = put(script, "synthesis", states.AHEAD, response_id=synthesis, queue=queue)
        now(script, ev.SentenceCut, "r1", 3, "Late.", "item_r1")
        assert len(script.call.synthesis.queue) == len(queue) + int(not refused)
        if following:
            now(script, ev.SentenceCut, "r2", 2, "Two.", "item_r2")
            assert script.call.synthesis.queue[-1].text == "Two."
        length = len(script.call.synthesis.queue)
        now(script, ev.SentenceCut, "r9", 1, "Lost.")
        assert len(script.call.synthesis.queue) == length
    script = idle(voice="chatterbox")
    effects: tuple[Any, ...] = now(script, ev.SentenceCut, "", 1, "Lost.")
    assert effects == ()


def test_a_foreign_session_moves_no_sentence() -> None:
    """R66: though another waits."""
    for state in (states.SYNTHESISING, states.AHEAD):
        for kind in (ev.SynthesisFailed, ev.SynthesisDiscarded, ev.SentenceStarted):
            script = put(reading(), "synthesis", state, queue=(Sentence("r1", 2, "More.", "item_r1"),))
            assert now(script, kind, "call.r9.1") == ()
            script.expects(synthesis=state)
            assert len(script.call.synthesis.queue) == 1
