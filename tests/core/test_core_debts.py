"""Claims about the debts in every state of the pending response: none is lost, counted twice or paid twice, whatever stands in its way."""

from collections.abc import Callable
from typing import Any

from fsm import events as ev, states
from fsm.call.effects import Cause, CreateResponse, Log
from fsm.call.guards import ACTIVE_ALREADY
from fsm.call.snapshot import Debt
from fsm.engine.notation import State
from tests.shared.core import Script, answering, asked, expired, idle, now, playing_out, put, reading, speaking

LIVE = (states.NOTHING, states.PREPARING, states.PAUSED, states.OWED, states.WANTED)
OWING = LIVE[1:]
TURN = Debt(Cause.USER_TURN, item_id="u1")
ENTRY = Debt(Cause.ENTRY)
NOTICE = Debt(Cause.NOTICE, text="This call is recorded.")
UNDER_WAY = (states.NOTHING, states.OWED, states.WANTED)
"""Where a response may be under way: it is asked for from `WANTED`, and what fails leaves nothing asked."""
RETRIED = {states.NOTHING: states.PAUSED, states.WANTED: states.PAUSED}
"""Where a failure leads that is asked for again after a pause; elsewhere something else is waited for."""


def owing(script: Script, state: State, *debts: Debt, recoveries: int = 0) -> Script:
    """In that state, and that is owed; nothing, where nothing can be."""
    return put(script, "pending", state, owed=() if state is states.NOTHING else debts, recoveries=recoveries)


def owed(script: Script) -> list[tuple[Cause, bool]]:
    """What is owed, in order, and whether a response to it failed."""
    return [(debt.cause, debt.again) for debt in script.call.pending.owed]


def notices(state: State) -> list[tuple[Cause, bool]]:
    return [] if state is states.NOTHING else [(Cause.NOTICE, False)]


def unheard(**policy: Any) -> Script:
    """`r1` is generated to its end, and nothing of it was heard yet."""
    script = put(put(answering(**policy), "playout", states.ADMITTED), "response", states.COMPLETED)
    return put(script, "session", states.READY)


def barge(script: Script) -> tuple[Any, ...]:
    return expired(put(script, "interruption", states.SUSPECTED), "interruption")


# What failed.


def test_what_failed_is_owed_again_in_every_state_and_counted_once() -> None:
    """R11, R15: refused, unanswered or failed; and what is owed besides stays so."""
    for state in UNDER_WAY:
        refused, unanswered = (owing(asked(), state, NOTICE) for _ in range(2))
        failed, missing = (owing(answering(), state, NOTICE) for _ in range(2))
        now(refused, ev.CreateRefused, "boom")
        expired(unanswered, "response")
        now(failed, ev.ResponseFailed, "r1", "server_error")
        expired(put(missing, "playout", states.VOICELESS), "playout")
        for script in (refused, unanswered, failed, missing):
            script.expects(pending=RETRIED.get(state, state))
            assert owed(script) == [(Cause.USER_TURN, True), *notices(state)]
            assert (script.call.pending.asked, script.call.pending.recoveries) == ((), 1)


def test_what_failed_once_too_often_is_not_owed_again_where_another_answer_has_its_try() -> None:
    """R15: the other answer is asked for, and the count stays."""
    for count in (0, 1):
        refused = owing(asked(recoveries=1), states.OWED, ENTRY, recoveries=count)
        missing = put(owing(answering(recoveries=1), states.OWED, ENTRY, recoveries=count), "playout", states.VOICELESS)
        now(refused, ev.CreateRefused, "boom")
        expired(missing, "playout")
        for script in (refused, missing):
            script.expects(pending=states.OWED)
            assert owed(script) == ([(Cause.ENTRY, False)] if count else [(Cause.USER_TURN, True), (Cause.ENTRY, False)])
            assert script.call.pending.recoveries == 1


def test_an_answer_that_is_owed_besides_is_asked_for_at_once_with_what_failed() -> None:
    """R15, R93: for its own sake, so that no failure is counted; after a pause, if the server asks for one (R92)."""
    script = owing(asked(), states.WANTED, ENTRY)
    assert CreateResponse(Cause.RECOVERY) in now(script, ev.CreateRefused, "boom")
    script.expects(pending=states.NOTHING, response=states.REQUESTED)
    assert [(debt.cause, debt.again) for debt in script.call.pending.asked] == [(Cause.USER_TURN, True), (Cause.ENTRY, False)]
    assert script.call.pending.recoveries == 0
    script = owing(asked(), states.WANTED, ENTRY)
    assert not [effect for effect in now(script, ev.CreateRefused, "boom", 2_000.0) if isinstance(effect, CreateResponse)]
    script.expects(pending=states.PAUSED)
    assert owed(script) == [(Cause.USER_TURN, True), (Cause.ENTRY, False)]
    assert (script.call.pending.asked, script.call.pending.recoveries) == ((), 0)


def test_an_answer_without_sound_leaves_the_way_to_the_other_that_is_owed() -> None:
    """R16: both are wanted, none is counted, and neither the count nor the cooldown ends the call."""
    for recoveries in (0, 2):
        script = put(owing(answering(recoveries=recoveries), states.WANTED, ENTRY), "playout", states.VOICELESS)
        expired(script, "playout")
        script.expects(pending=states.WANTED, hangup=states.STAYING)
        assert owed(script) == [(Cause.USER_TURN, True), (Cause.ENTRY, False)]
        assert script.call.pending.recoveries == 0


def test_what_is_generated_to_its_end_and_brings_no_sound_is_not_asked_for_again() -> None:
    """R16, R35: in no state is anything put back or counted."""
    for state in LIVE:
        for debt in (NOTICE, ENTRY):
            script = put(owing(playing_out(), state, debt), "playout", states.VOICELESS)
            script = put(script, "turn", states.SPEAKING)
            expired(script, "playout")
            assert owed(script) == ([] if state is states.NOTHING else [(debt.cause, False)])
            assert script.call.pending.recoveries == 0
            script.expects(pending=state)


def test_a_busy_server_is_asked_again_in_every_state() -> None:
    """R11: for the same reason, and the refusal counts; but not for ever, and only where we asked."""
    for state in UNDER_WAY:
        script = owing(asked(), state, NOTICE)
        now(script, ev.CreateRefused, ACTIVE_ALREADY)
        script.expects(pending=states.WANTED if state is states.NOTHING else state, response=states.BLOCKED)
        assert owed(script) == [(Cause.USER_TURN, False), *notices(state)]
        assert (script.call.pending.asked, script.call.pending.recoveries) == ((), 1)
        stray = owing(speaking(), state, NOTICE)
        now(stray, ev.CreateRefused, ACTIVE_ALREADY)
        stray.expects(pending=state)
        assert owed(stray) == notices(state)
        assert stray.call.pending.recoveries == 0


def test_what_the_server_cancelled_unheard_is_owed_again_in_every_state() -> None:
    """R36, R93: at once behind the caller who speaks, else after a pause and counted; where another wait runs, with that."""
    for state in UNDER_WAY:
        for speaks in (False, True):
            script = owing(answering(), state, NOTICE)
            if speaks:
                put(script, "turn", states.SPEAKING)
            now(script, ev.ResponseCancelled, "r1", "turn_detected")
            counted = state in (states.NOTHING, states.WANTED) and not speaks
            after = state if state is states.OWED else states.PAUSED if counted else states.WANTED
            script.expects(pending=after)
            assert owed(script) == [(Cause.USER_TURN, counted), *notices(state)]
            assert (script.call.pending.asked, script.call.pending.recoveries) == ((), int(counted))


def test_what_was_heard_when_the_server_cancelled_it_is_not_owed_again() -> None:
    """R93: in no state; nor is what a foreign response was to pay."""
    for state in LIVE:
        heard, foreign = owing(speaking(), state, NOTICE), owing(answering(), state, NOTICE)
        for script, response_id in ((heard, "r1"), (foreign, "r9")):
            put(script, "turn", states.SPEAKING)
            now(script, ev.ResponseCancelled, response_id, "turn_detected")
            script.expects(pending=state)
            assert owed(script) == notices(state)
            assert script.call.pending.recoveries == 0


def test_the_caller_interrupts_an_answer_unheard_and_it_is_owed_again_in_every_state() -> None:
    """R93: being generated or at its end; and a heard one is not."""
    for state in UNDER_WAY:
        for make, unpaid in ((answering, True), (unheard, True), (speaking, False), (playing_out, False)):
            script = put(owing(make(), state, NOTICE), "turn", states.SPEAKING)
            barge(script)
            script.expects(pending=states.WANTED if state is states.NOTHING and unpaid else state)
            assert owed(script) == [*([(Cause.USER_TURN, False)] if unpaid else []), *notices(state)]
            if unpaid or state is not states.NOTHING:
                assert script.call.pending.asked == ()


def test_what_an_interruption_leaves_is_asked_for_at_once_if_nobody_speaks() -> None:
    """R11, R93: by a detector of our own, over what was generated to its end."""
    script = owing(unheard(), states.NOTHING)
    assert CreateResponse(Cause.USER_TURN) in now(script, ev.BargeInDetected)
    script.expects(response=states.REQUESTED, pending=states.NOTHING)
    script = owing(playing_out(), states.WANTED, ENTRY)
    assert CreateResponse(Cause.ENTRY) in now(script, ev.BargeInDetected)
    script.expects(response=states.REQUESTED, pending=states.NOTHING)


def test_what_is_lost_with_the_session_is_owed_again_in_every_state() -> None:
    """R85: asked for or being generated, after the reconnect; and what was complete is not, but a server that is gone owes nothing."""
    after = {states.NOTHING: states.PAUSED, states.OWED: states.WANTED}
    for state in LIVE:
        for make in (asked, speaking):
            if state not in (states.PREPARING, states.PAUSED):  # no response is under way in them
                script = owing(make(), state, NOTICE)
                now(script, ev.SessionLost, "1006")
                script.expects(pending=after.get(state, state))
                assert owed(script) == [(Cause.USER_TURN, True), *notices(state)]
                assert (script.call.pending.asked, script.call.pending.recoveries) == ((), 0)
        script = owing(playing_out(), state, NOTICE)
        now(script, ev.SessionLost, "1006")
        script.expects(pending=states.WANTED if state is states.OWED else state)
        assert owed(script) == notices(state)
        assert script.call.pending.asked != ()


def test_what_the_device_did_not_play_is_owed_again_in_every_state() -> None:
    """R79, R93: counted, and after a pause; not once too often, where another answer has its try."""
    for state in UNDER_WAY:
        script = put(owing(playing_out(), state, NOTICE), "playout", states.PLAYING, heard=False)
        expired(script, "playout")
        script.expects(pending=RETRIED.get(state, state))
        assert owed(script) == [(Cause.USER_TURN, True), *notices(state)]
        assert (script.call.pending.asked, script.call.pending.recoveries) == ((), 1)
        script = put(owing(playing_out(), state, NOTICE), "playout", states.PLAYING, heard=True)
        expired(put(script, "turn", states.SPEAKING), "playout")
        script.expects(pending=state)
        assert owed(script) == notices(state)
        assert script.call.pending.recoveries == 0
        if state is not states.NOTHING:
            script = put(owing(playing_out(recoveries=0), state, ENTRY), "playout", states.PLAYING, heard=False)
            expired(put(script, "turn", states.SPEAKING), "playout")
            script.expects(pending=state, hangup=states.STAYING)
            assert owed(script) == [(Cause.ENTRY, False)]
            assert script.call.pending.recoveries == 0


# What becomes owed.


def test_a_new_debt_joins_what_is_owed_in_every_state() -> None:
    """R63, R80, R82, R93: and a new answer has all its recoveries."""
    makers: tuple[tuple[Cause, Callable[[Script], Any]], ...] = (
        (Cause.TOOL_RESULT, lambda script: now(put(script, "tool", states.TOOL_RUNNING, pending=("t1",)), ev.ToolFinished, "t1", "x")),
        (Cause.TOOL_RESULT, lambda script: expired(put(script, "tool", states.TOOL_SLOW, pending=("t1",)), "tool")),
        (Cause.ENTRY, lambda script: now(put(script, "dtmf", states.ENTERING, digits="12"), ev.DigitPressed, "#")),
        (Cause.LIMIT_WARNING, lambda script: expired(put(script, "limit", states.UNLIMITED), "limit")),
        (Cause.USER_TURN, lambda script: now(script, ev.TurnCommitted, "u7")),
    )
    for state in LIVE:
        waits = state in (states.PREPARING, states.PAUSED, states.OWED)
        for cause, happen in makers:
            if cause is Cause.USER_TURN and state is not states.PAUSED:
                continue
            script = put(owing(speaking(), state, NOTICE, recoveries=2), "response", states.IN_PROGRESS, wait_ms=2_000.0)
            happen(script)
            answers = state is states.PREPARING and cause is not Cause.LIMIT_WARNING
            script.expects(pending=state if waits and not answers else states.WANTED)
            assert owed(script) == [*notices(state), (cause, False)]
            assert script.call.pending.owed[-1].at_ms == script.now_ms
            assert script.call.pending.recoveries == (2 if cause is Cause.LIMIT_WARNING else 0)


def test_what_becomes_owed_with_nothing_in_its_way_is_asked_for_at_once() -> None:
    """R11, R80, R82: with all its recoveries, but a warning, which is no answer."""
    tool, warning = (put(idle(), "pending", states.NOTHING, recoveries=2) for _ in range(2))
    assert CreateResponse(Cause.TOOL_RESULT) in now(put(tool, "tool", states.TOOL_RUNNING, pending=("t1",)), ev.ToolFinished, "t1", "x")
    assert CreateResponse(Cause.LIMIT_WARNING) in expired(put(warning, "limit", states.UNLIMITED), "limit")
    assert (tool.call.pending.recoveries, warning.call.pending.recoveries) == (0, 2)
    prompt = put(put(idle(), "pending", states.NOTHING, recoveries=2), "idle", states.ARMED)
    farewell = put(put(idle(idle_prompts=0), "pending", states.NOTHING, recoveries=2), "idle", states.ARMED)
    filler = put(put(idle(), "pending", states.NOTHING, recoveries=2), "tool", states.TOOL_RUNNING, pending=("t1",))
    for script, region, cause in (
        (prompt, "idle", Cause.IDLE_PROMPT),
        (farewell, "idle", Cause.FAREWELL),
        (filler, "tool", Cause.TOOL_FILLER),
    ):
        assert CreateResponse(cause) in expired(script, region)
        assert script.call.pending.recoveries == 0
        assert [debt.cause for debt in script.call.pending.asked] == [cause]


def test_a_notice_is_tried_anew_and_a_repeated_one_goes_on_counting() -> None:
    """R15: what failed before has its failures counted on."""
    for again, count in ((False, 0), (True, 1)):
        script = put(idle(), "pending", states.WANTED, owed=(Debt(Cause.NOTICE, text="one", again=again),), recoveries=1)
        assert CreateResponse(Cause.NOTICE, "one") in now(script, ev.VadCalibrated)
        assert script.call.pending.recoveries == count
    script = put(idle(), "pending", states.WANTED, owed=(Debt(Cause.USER_TURN),), recoveries=1)
    now(script, ev.VadCalibrated)
    assert script.call.pending.recoveries == 1


# What is owed no longer.


def test_a_dismissed_turn_is_owed_no_longer_in_every_state() -> None:
    """R25: what else is owed still is, and is asked for, where nothing else is waited for."""
    for state in OWING[1:]:
        script = owing(idle(), state, TURN, ENTRY)
        effects = now(script, ev.TurnDismissed)
        if state is states.PAUSED:
            script.expects(pending=state)
            assert owed(script) == [(Cause.ENTRY, False)]
        else:
            assert CreateResponse(Cause.ENTRY) in effects
            assert [debt.cause for debt in script.call.pending.asked] == [Cause.ENTRY]
        alone = owing(idle(), state, TURN)
        now(alone, ev.TurnDismissed)
        alone.expects(pending=states.NOTHING)


def test_an_answer_that_was_heard_to_its_end_is_paid() -> None:
    """R93, R95: the caller interrupts just as it is over."""
    script = playing_out()
    now(script, ev.PlayoutFinished, "r1", 1000.0)
    assert script.call.pending.asked
    barge(script)
    script.expects(pending=states.NOTHING, response=states.COMPLETED)


def test_a_dismissed_turn_is_asked_for_no_more_though_its_answer_fails_unheard() -> None:
    """R25, R93: nor though the caller interrupts it, with a sound that is no turn; what else it was to pay comes back."""
    for debts, left in (((TURN,), []), ((TURN, Debt(Cause.TOOL_RESULT)), [(Cause.TOOL_RESULT, True)])):
        for ends in ((ev.ResponseFailed, "r1", "server_error"), (ev.ResponseCompleted, "r1"), (ev.SessionLost, "1006")):
            script = put(answering(), "pending", states.NOTHING, asked=debts)
            now(script, ev.TurnDismissed)
            now(script, *ends)
            assert owed(script) == left
            script.expects(pending=states.PAUSED if left else states.NOTHING)
        refused = put(asked(), "pending", states.NOTHING, asked=debts)
        now(refused, ev.TurnDismissed)
        now(refused, ev.CreateRefused, ACTIVE_ALREADY)
        refused.expects(response=states.BLOCKED, pending=states.WANTED if left else states.NOTHING)
        script = put(answering(), "pending", states.NOTHING, asked=debts)
        now(script, ev.TurnDismissed)
        expired(put(script, "interruption", states.SUSPECTED), "interruption")
        assert owed(script) == [(cause, False) for cause, _ in left]


def test_the_servers_answer_leaves_what_it_could_not_know_of() -> None:
    """R68, R93: what we have to say, and an answer that was owed after the turn; those it pays come back if it fails."""
    for state in OWING:
        script = owing(idle(), state, TURN, NOTICE)
        now(script, ev.ResponseCreated, "r5")
        script.expects(pending=states.WANTED)
        assert owed(script) == [(Cause.NOTICE, False)]
        assert script.call.pending.asked == (TURN,)
        later = Debt(Cause.ENTRY, 1.0)
        script = owing(idle(), state, TURN, later)
        now(script, ev.ResponseCreated, "r5")
        assert script.call.pending.owed == (later,)
        script = owing(idle(), state, ENTRY)
        now(script, ev.ResponseCreated, "r5")
        script.expects(pending=states.NOTHING)
        assert [debt.cause for debt in script.call.pending.asked] == [Cause.ENTRY, Cause.USER_TURN]


def noise(**fields: Any) -> Debt:
    return Debt(Cause.USER_TURN, item_id="u2", noise=True, **fields)


def voice_over(script: Script) -> tuple[Any, ...]:
    return now(put(script, "playout", states.TAIL), ev.PlayoutFinished, "r1", 1000.0)


def test_a_listeners_word_is_settled_when_the_voice_is_over_in_every_state_in_which_it_waits() -> None:
    """R94: it is none that wants an answer where the voice went on; what else is owed stays so; and no mark outlives the voice."""
    for state in (states.OWED, states.WANTED):
        script = playing_out()
        script.wait(0)
        old, just = noise(at_ms=script.now_ms - 1_500), noise(at_ms=script.now_ms - 1_499)
        alone = put(playing_out(), "pending", state, owed=(old,), asked=())
        voice_over(alone)
        alone.expects(pending=states.NOTHING)
        assert alone.call.pending.owed == ()
        beside, soon = owing(playing_out(), state, old, NOTICE), owing(playing_out(), state, just)
        for owes in (beside, soon):
            put(owes, "turn", states.SPEAKING)
            voice_over(owes)
            owes.expects(pending=state)
        assert beside.call.pending.owed == (NOTICE,)
        assert [debt.noise for debt in soon.call.pending.owed] == [False]
        free = owing(playing_out(), states.WANTED, old, NOTICE)
        assert CreateResponse(Cause.NOTICE, NOTICE.text) in voice_over(free)


def test_a_listeners_word_settles_with_an_interruption_too() -> None:
    """R94: the voice is over then."""
    for state in OWING[1:]:
        script = playing_out()
        script = put(owing(script, state, noise(at_ms=script.now_ms - 5_000), NOTICE), "turn", states.SPEAKING)
        barge(script)
        assert script.call.pending.owed == (NOTICE,)


def test_only_the_word_that_is_told_becomes_a_listeners_word() -> None:
    """R94: while the voice is heard; another turn, or what else is owed, does not, nor any in a silence."""
    for state in (states.OWED, states.WANTED):
        script = put(
            owing(playing_out(), state, TURN, Debt(Cause.ENTRY, item_id="u2"), Debt(Cause.USER_TURN, item_id="u2")), "turn", states.STOPPED
        )
        now(script, ev.BackchannelHeard, "u2")
        assert [debt.noise for debt in script.call.pending.owed] == [False, False, True]
        quiet = put(owing(idle(), state, TURN), "turn", states.STOPPED)
        now(quiet, ev.BackchannelHeard, "u1")
        assert quiet.call.pending.owed == (TURN,)


def test_words_tell_of_each_sound_that_was_no_interruption_whether_it_was_a_turn() -> None:
    """R22, R93, R94: of that one alone, whatever else is owed, and who is to answer it."""
    for state in (states.OWED, states.WANTED):
        worded = put(owing(playing_out(), state, noise(), NOTICE), "turn", states.STOPPED)
        now(worded, ev.Transcribed, "u9", "")
        assert [debt.noise for debt in worded.call.pending.owed] == [True, False]
        now(worded, ev.Transcribed, "u2", "Stop.")
        assert [debt.noise for debt in worded.call.pending.owed] == [False, False]
        now(worded, ev.Transcribed, "u2", "")
        assert [debt.cause for debt in worded.call.pending.owed] == [Cause.USER_TURN, Cause.NOTICE]
        worded.expects(pending=state)
        wordless = put(owing(playing_out(), state, noise(), NOTICE), "turn", states.STOPPED)
        now(wordless, ev.Transcribed, "u2", "")
        assert wordless.call.pending.owed == (NOTICE,)
        wordless.expects(pending=state)
        alone = put(owing(playing_out(), state, noise()), "turn", states.STOPPED)
        now(alone, ev.Transcribed, "u2", "")
        assert alone.call.pending.owed == ()
        alone.expects(pending=states.NOTHING)


def test_words_of_a_turn_settle_nothing_and_clear_the_way() -> None:
    """R11, R20: those of another sound, or of what was a turn all along."""
    for debt, item_id in ((noise(), "u9"), (TURN, "u1")):
        script = put(owing(playing_out(), states.WANTED, debt), "turn", states.STOPPED)
        answer = script.step(ev.Transcribed(script.now_ms, item_id, ""))
        assert ev.ResponseDue in answer.signals
        assert script.call.pending.owed == (debt,)
    other, turn = Debt(Cause.USER_TURN, item_id="u9", noise=True), Debt(Cause.USER_TURN, item_id="u2")
    for text, left in (("", (other, turn)), ("Stop.", (Debt(Cause.USER_TURN, item_id="u2"), other, turn))):
        script = put(owing(playing_out(), states.WANTED, noise(), other, turn), "turn", states.STOPPED)
        now(script, ev.Transcribed, "u2", text)
        assert script.call.pending.owed == left


def test_a_sound_with_a_turn_that_waits_is_one_with_it() -> None:
    """R15, R93: whichever failed or came first; two sounds are one, which may be no turn."""
    early, late = Debt(Cause.USER_TURN, 1.0, item_id="u1", again=True), noise(at_ms=2.0)
    script = put(playing_out(), "interruption", states.CLEAR, false_alarm=True)
    now(put(owing(script, states.WANTED, early), "turn", states.STOPPED), ev.TurnCommitted, "u2")
    assert script.call.pending.owed == (Debt(Cause.USER_TURN, script.now_ms),)
    script = put(playing_out(), "interruption", states.CLEAR, false_alarm=True)
    now(put(owing(script, states.WANTED, late, NOTICE), "turn", states.STOPPED), ev.TurnCommitted, "u3")
    assert script.call.pending.owed == (NOTICE, Debt(Cause.USER_TURN, script.now_ms, item_id="u3", noise=True))
    script = put(asked(), "pending", states.WANTED, owed=(late, NOTICE), asked=(early,))
    now(script, ev.CreateRefused, ACTIVE_ALREADY)
    assert script.call.pending.owed == (Debt(Cause.USER_TURN, 2.0), NOTICE)


def test_a_sound_after_the_voice_is_a_turn() -> None:
    """R94: it was over the last words."""
    script = put(put(idle(), "interruption", states.CLEAR, false_alarm=True), "session", states.LOST)
    now(put(script, "turn", states.STOPPED), ev.TurnCommitted, "u2")
    assert [debt.noise for debt in script.call.pending.owed] == [False]


def test_a_listeners_word_of_no_debt_clears_the_way() -> None:
    """R11, R94: nothing is marked, and what is owed is asked for."""
    script = owing(playing_out(), states.WANTED, ENTRY)
    answer = script.step(ev.BackchannelHeard(script.now_ms, "u9"))
    assert ev.ResponseDue in answer.signals
    script = owing(idle(), states.WANTED, TURN)
    assert CreateResponse(Cause.USER_TURN) in now(script, ev.BackchannelHeard, "u1")


def test_a_full_queue_of_notices_takes_no_more_in_every_state() -> None:
    """R07."""
    for state in OWING:
        script = owing(speaking(queued_notices=2), state, NOTICE, TURN)
        assert not [effect for effect in now(script, ev.NoticeRequested, "two") if isinstance(effect, Log)]
        assert [effect.code for effect in now(script, ev.NoticeRequested, "three") if isinstance(effect, Log)] == ["notice_dropped"]
        assert [debt.text for debt in script.call.pending.owed if debt.cause is Cause.NOTICE] == [NOTICE.text, "two"]


def test_words_that_were_lost_beside_a_tool_call_are_not_asked_for_again() -> None:
    """R80, R91: the answer to the tool comes; but a notice is to be heard."""
    for cause, failed in ((Cause.USER_TURN, False), (Cause.NOTICE, True)):
        script = put(put(reading(), "playout", states.ADMITTED, heard=False), "synthesis", states.SYNTHESISING, queue=())
        script = put(put(script, "response", states.COMPLETED, called=True, cause=cause), "pending", states.NOTHING, asked=(Debt(cause),))
        now(script, ev.SynthesisFailed, script.call.synthesis.session_id, "boom")
        script.expects(playout=states.SILENT, pending=states.PAUSED if failed else states.NOTHING)


def test_a_greeting_that_failed_while_its_words_are_to_be_spoken_is_gone_on_with() -> None:
    """R43: it is not said whole again; but it is where nothing of it is to come."""
    for synthesis, cause in ((states.SYNTHESISING, Cause.RECOVERY), (states.AHEAD, Cause.RECOVERY), (states.RESTING, Cause.GREETING)):
        script = put(put(reading(), "playout", states.ADMITTED, heard=False), "synthesis", synthesis)
        script = put(
            put(script, "response", states.IN_PROGRESS, cause=Cause.GREETING), "pending", states.NOTHING, asked=(Debt(Cause.GREETING),)
        )
        now(script, ev.ResponseIncomplete, "r1", "max_output_tokens")
        assert [debt.cause for debt in script.call.pending.owed] == [cause]
