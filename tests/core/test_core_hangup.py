"""Claims about the end: why a call ends, that its goodbye is heard, that it ends once and in every state (R18, R39 to R50, R59, R83)."""

from collections.abc import Callable
from functools import partial

import attrs

from fsm import Policy, admits, events as ev, states
from fsm.call.effects import (
    Admit,
    CancelSynthesis,
    CloseSession,
    ConfigureSession,
    CreateResponse,
    Effect,
    Flush,
    HangUp,
    Log,
    Reason,
    ReleaseResponse,
    Resume,
    Retire,
    TellEnded,
)
from fsm.call.snapshot import Synthesis
from tests.shared.core import (
    Script,
    answering,
    asked,
    begun,
    caller_says,
    expired,
    greeting,
    hear,
    heard_out,
    idle,
    interrupted,
    playing_out,
    put,
    reading,
    speaking,
)


def held() -> Script:
    """The caller may be interrupting, and the position of the last answer is awaited."""
    script = interrupted(create_response=True)
    script.post(ev.SpeechStopped, "u2")
    script.wait(script.call.policy.interruption_lock_ms)
    script.post(ev.TurnCommitted, "u2")
    script.post(ev.ResponseCreated, "r2")
    script.post(ev.SpeechStarted, "u3")
    return script.expects(interruption=states.SUSPECTED, truncation=states.POSITION_AWAITED)


def entering() -> Script:
    """The caller presses keys, and stopped speaking a moment ago."""
    script = idle()
    script.post(ev.DigitPressed, "4")
    script.post(ev.SpeechStopped, "u1")
    return script.expects(dtmf=states.ENTERING, turn=states.STOPPED)


def reading_ahead() -> Script:
    """A sentence is synthesised and waits to be heard, another waits for its synthesis."""
    script = hear(reading(), ms=0)
    script.post(ev.SentenceCut, "r1", 2, "Two.")
    script.post(ev.SentenceSynthesised, "call.r1.1", 900.0)
    return script.expects(synthesis=states.AHEAD)


SITUATIONS: tuple[Callable[[], Script], ...] = (
    Script,
    begun,
    idle,
    asked,
    answering,
    speaking,
    playing_out,
    interrupted,
    reading,
    greeting,
    held,
    entering,
    reading_ahead,
)
ENDS = {
    ev.ReceiverFailed: Reason.RECEIVER_FAILED,
    ev.SessionRefused: Reason.SESSION_REFUSED,
    ev.DeviceFailed: Reason.DEVICE_FAILED,
}


def closed(reason: Reason, detail: str = "") -> list[Effect]:
    """What closing a call asks for, after the device is silent."""
    return [HangUp(reason), CloseSession(), TellEnded(reason, detail)]


def over(script: Script) -> None:
    """Fail unless nothing of the call is left but the wait for the line."""
    for name, state in script.states().items():
        assert name == "phase" or state is states.OVER, name
    assert script.call.synthesis == attrs.evolve(Synthesis(), state=states.OVER, epoch=script.call.synthesis.epoch)


def test_a_fatal_receiver_closes_the_call_in_every_state() -> None:
    """R59, R83, and the fourth seed: nothing sticks, and no flag is left to clear."""
    for situation in SITUATIONS:
        for kind, reason in ENDS.items():
            script = situation()
            assert script.post(kind, "why")[-3:] == closed(reason, "why")
            script.expects(phase=states.CLOSING)
            over(script)


def test_a_caller_who_hangs_up_closes_the_call_in_every_state() -> None:
    """R41, R83: nobody needs to hang up any more."""
    for situation in SITUATIONS:
        script = situation()
        assert script.post(ev.CallerHungUp)[-2:] == [CloseSession(), TellEnded(Reason.CALLER_HUNG_UP)]
        script.expects(phase=states.CLOSED)
        over(script)
        assert not script.of(HangUp)


def test_the_end_silences_the_device_and_the_synthesis_first() -> None:
    """R30, R77: silence before the network."""
    script = hear(reading(), ms=0)
    assert script.post(ev.ReceiverFailed) == [Flush("r1"), CancelSynthesis("call.r1.1"), *closed(Reason.RECEIVER_FAILED)]
    assert not admits(script.call, "r1")
    script = hear(reading(), ms=0)
    script.post(ev.SentenceSynthesised, "call.r1.1", 900.0)
    assert script.post(ev.ReceiverFailed) == [Flush("r1"), *closed(Reason.RECEIVER_FAILED)]


def test_the_end_silences_the_next_answer_too() -> None:
    """R69: both that are admitted, whether a fault or a decision ends the call."""
    script = playing_out(create_response=True)
    script.post(ev.ResponseCreated, "r2")
    assert script.post(ev.SessionRefused) == [Flush("r1"), Flush("r2"), *closed(Reason.SESSION_REFUSED)]
    over(script)
    script = playing_out(create_response=True)
    script.post(ev.ResponseCreated, "r2")
    script.post(ev.ResponseFailed, "r2", "insufficient_quota")
    assert sorted(script.of(Flush), key=repr) == [Flush("r1"), Flush("r2")]
    over(script)


def test_an_end_decided_while_speaking_silences_the_voice() -> None:
    """R18, R50."""
    script = hear(reading(), ms=0)
    told = script.post(ev.ResponseFailed, "r1", "insufficient_quota")
    assert told == [Flush("r1"), CancelSynthesis("call.r1.1"), *closed(Reason.MODEL_FAILED, "insufficient_quota")]
    over(script)


def test_a_closed_call_is_told_once_and_nothing_comes_after() -> None:
    """R47, R50, R62, R86: whatever still arrives, in whatever order."""
    for situation in SITUATIONS:
        script = situation()
        script.post(ev.ReceiverFailed)
        for event in _everything(script):
            assert script.step(event).effects == (), event
        script.wait(60_000)
        assert len(script.of(TellEnded)) == 1
        script.expects(phase=states.CLOSED)
        for event in _everything(script):
            assert script.step(event).effects == (), event
        script.expects(phase=states.CLOSED)


def test_closing_waits_for_the_line_and_not_for_ever() -> None:
    """R50, R62, R78."""
    for event in (ev.LineClosed, ev.CallerHungUp):
        script = idle()
        script.post(ev.ReceiverFailed)
        script.post(ev.SpeechStarted)
        script.expects(phase=states.CLOSING)
        script.post(event)
        script.expects(phase=states.CLOSED)
    script = idle()
    script.post(ev.ReceiverFailed)
    script.wait(1_999)
    script.expects(phase=states.CLOSING)
    script.wait(1)
    script.expects(phase=states.CLOSED)


def test_closing_leaves_no_deadline_but_its_own() -> None:
    """R49, and the second seed's timer leak: there is nothing to cancel."""
    for situation in SITUATIONS:
        script = situation()
        script.post(ev.ReceiverFailed)
        due = {name: getattr(script.call, name).due_ms for name in script.states()}
        assert due.pop("phase") == script.now_ms + 2_000
        assert set(due.values()) == {float("inf")}


def test_a_deadline_of_an_earlier_state_does_nothing() -> None:
    """R49: dead epochs, and deadlines that come before their time, in every region."""
    for situation in SITUATIONS:
        script = situation()
        before = script.call
        for kind in (kind for kind in script.machine.events if issubclass(kind, ev.Expired)):
            epoch = getattr(before, kind.region).epoch
            script.step(kind(script.now_ms + 1e9, epoch - 1))
            script.step(kind(script.now_ms + 1e9, epoch + 1))
            if getattr(before, kind.region).due_ms > script.now_ms:
                script.step(kind(script.now_ms, epoch))
        assert script.call == before


def test_a_deadline_of_another_call_does_nothing() -> None:
    """R49: the hang-up timer of the last call cannot end this one."""
    last = playing_out()
    last.post(ev.GoodbyeSaid, "r1")
    script = idle()
    stray = ev.HangupExpired(last.now_ms + 15_000, last.call.hangup.epoch)
    assert script.step(stray).effects == ()
    script.expects(hangup=states.STAYING, phase=states.LISTENING)


def test_the_goodbye_is_heard_before_the_line_closes() -> None:
    """R42, R44: said, completed and heard."""
    script = playing_out()
    script.post(ev.GoodbyeSaid, "r1")
    script.expects(hangup=states.GOODBYE, phase=states.AI_SPEAKING)
    script.post(ev.QueueEmptied, "r1")
    assert not script.of(HangUp)
    assert script.post(ev.PlayoutFinished, "r1", 900.0) == [Retire("r1"), *closed(Reason.GOODBYE)]


def test_the_goodbye_may_be_told_in_any_order() -> None:
    """R42: its transcript before its first sound, before its end, or after all was heard."""
    for place in range(4):
        script = answering()
        steps: list[Callable[[], object]] = [
            partial(hear, script),
            partial(script.post, ev.ResponseCompleted, "r1"),
            partial(heard_out, script),
        ]
        steps.insert(place, partial(script.post, ev.GoodbyeSaid, "r1"))
        for act in steps:
            assert not script.of(TellEnded), place
            act()
        assert script.of(TellEnded) == [TellEnded(Reason.GOODBYE)], place


def test_a_goodbye_of_which_nothing_was_heard_ends_no_call() -> None:
    """R91: it has words and a tool call and no sound, and the tool has answered."""
    for heard in (True, False):
        script = hear(answering()) if heard else answering()
        script.post(ev.GoodbyeSaid, "r1")
        script.post(ev.ToolCalled, "t1", "look_up", "{}", "r1")
        script.post(ev.ToolFinished, "t1", "found")
        script.post(ev.ResponseCompleted, "r1")
        assert not script.of(TellEnded)
        if heard:
            heard_out(script)
            assert script.of(TellEnded) == [TellEnded(Reason.GOODBYE)]


def test_a_goodbye_that_is_told_when_its_tool_runs_still_ends_no_call() -> None:
    """R80, R91: the response is over, maybe unheard, and its tool is to be answered; the application may wish the end all the same."""
    script = answering()
    script.post(ev.ToolCalled, "t1", "look_up", "{}", "r1")
    script.post(ev.ResponseCompleted, "r1")
    assert script.post(ev.GoodbyeSaid, "r1") == []
    script.expects(hangup=states.STAYING, tool=states.TOOL_RUNNING)
    assert TellEnded(Reason.APPLICATION, "done") in script.post(ev.HangupRequested, "r1", "done")
    script = answering()
    script.post(ev.ToolCalled, "t1", "look_up", "{}", "r1")
    script.post(ev.GoodbyeSaid, "r1")
    script.expects(hangup=states.GOODBYE)


def test_no_silence_and_no_empty_queue_ends_a_call() -> None:
    """R41: hang-up needs a reason of its own."""
    script = playing_out()
    heard_out(script)
    script.wait(600_000)
    script.expects(phase=states.LISTENING, hangup=states.STAYING)
    assert not script.of(HangUp)


def test_a_goodbye_that_was_not_heard_ends_no_call() -> None:
    """R41, R45: of an interrupted response, or of none that we know."""
    script = interrupted()
    script.post(ev.GoodbyeSaid, "r1")
    script.expects(hangup=states.STAYING)
    script = speaking()
    script.post(ev.GoodbyeSaid, "r9")
    script.expects(hangup=states.STAYING)


def test_a_wish_to_end_after_a_goodbye_that_was_cut_off_ends_no_call() -> None:
    """R42, R45: interrupted, and its end awaited or known; broken off; or one before the last."""
    awaited = interrupted()
    ended = interrupted()
    ended.post(ev.ResponseCancelled, "r1")
    broken = [speaking(recoveries=0), speaking(recoveries=0)]
    broken[0].post(ev.TurnCommitted, "u2")
    broken[0].post(ev.ResponseFailed, "r1", "server_error")
    broken[1].post(ev.TurnCommitted, "u2")
    broken[1].post(ev.ResponseIncomplete, "r1", "content_filter")
    followed = interrupted()
    followed.post(ev.ResponseCancelled, "r1")
    followed.post(ev.TurnCommitted, "u2")
    followed.post(ev.ResponseCreated, "r2")
    for script in (awaited, ended, *broken, followed):
        assert script.post(ev.HangupRequested, "r1", "done") == []
        script.expects(hangup=states.STAYING)


def test_a_hang_up_after_an_answer_that_is_over_waits_for_nothing_that_is_asked_for_since() -> None:
    """R45, R93: another response is asked for; to end after that one, the application names it, or none."""
    script = playing_out()
    heard_out(script)
    script.post(ev.NoticeRequested, "This call is recorded.")
    script.expects(response=states.REQUESTED)
    assert script.post(ev.HangupRequested, "r1", "done") == []
    script.expects(hangup=states.STAYING)


def test_a_goodbye_that_is_known_when_the_caller_speaks_again_ends_no_call() -> None:
    """R45: they speak, or wait for their answer; one that is still heard is waited for."""
    for kind, more in ((ev.GoodbyeSaid, ()), (ev.HangupRequested, ("done",))):
        script = playing_out(create_response=True)
        heard_out(script)
        for event in (ev.SpeechStarted, ev.SpeechStopped, ev.TurnCommitted):
            script.post(event, "u2")
            assert script.post(kind, "r1", *more) == []
            script.expects(hangup=states.STAYING)
        script.expects(turn=states.QUIET, pending=states.OWED)
    script = playing_out()
    script.post(ev.SpeechStarted, "u2")
    script.post(ev.GoodbyeSaid, "r1")
    script.expects(hangup=states.GOODBYE)


def test_a_turn_whose_speech_was_not_told_is_a_turn_of_the_callers() -> None:
    """R46: a goodbye counts after as many turns as policy says, whether or not the server told of their sound."""
    script = idle(goodbye_min_turns=1)
    script.post(ev.TurnCommitted, "u1")
    script.post(ev.ResponseCreated, "r1")
    hear(script, "r1")
    script.post(ev.GoodbyeSaid, "r1")
    script.expects(hangup=states.GOODBYE)


def test_a_greeting_that_says_goodbye_ends_no_call() -> None:
    """R48."""
    script = hear(greeting(), "g1")
    script.post(ev.GoodbyeSaid, "g1")
    script.post(ev.ResponseCompleted, "g1")
    heard_out(script, "g1")
    script.expects(hangup=states.STAYING, phase=states.LISTENING)


def test_a_goodbye_after_a_withdrawn_wish_is_a_goodbye() -> None:
    """R41: the reason told is that of the end that came, heard already or not."""
    script = playing_out()
    script.post(ev.HangupRequested, "r1", "done")
    script.post(ev.TurnCommitted, "u2")
    script.expects(hangup=states.STAYING)
    heard_out(script)
    script.post(ev.ResponseCreated, "r2")
    hear(script, "r2")
    script.post(ev.ResponseCompleted, "r2")
    heard_out(script, "r2")
    assert script.post(ev.GoodbyeSaid, "r2") == closed(Reason.GOODBYE)


def test_a_hopeless_failure_ends_the_call_though_a_turn_waits() -> None:
    """R18: it would fail as this one did."""
    script = speaking()
    script.post(ev.TurnCommitted, "u2")
    script.expects(pending=states.WANTED)
    assert closed(Reason.MODEL_FAILED, "insufficient_quota") == script.post(ev.ResponseFailed, "r1", "insufficient_quota")[-3:]


def test_the_first_goodbye_counts() -> None:
    """R43: told again it changes nothing."""
    script = playing_out()
    script.post(ev.GoodbyeSaid, "r1")
    before = script.call.hangup
    script.wait(500)
    script.post(ev.GoodbyeSaid, "r1")
    assert script.call.hangup == before


def test_speech_into_the_goodbye_withdraws_it() -> None:
    """R45: an interruption, or a turn."""
    script = playing_out()
    script.post(ev.GoodbyeSaid, "r1")
    script.post(ev.SpeechStarted, "u2")
    script.expects(hangup=states.GOODBYE)
    script.wait(150)
    script.expects(hangup=states.STAYING, phase=states.LISTENING)
    script = playing_out()
    script.post(ev.GoodbyeSaid, "r1")
    script.post(ev.TurnCommitted, "u2")
    script.expects(hangup=states.STAYING)
    assert CreateResponse in map(type, heard_out(script))
    assert not script.of(HangUp)


def test_the_turn_that_the_goodbye_answers_does_not_withdraw_it() -> None:
    """R21, R45: its commit is told twice."""
    script = playing_out()
    script.post(ev.GoodbyeSaid, "r1")
    script.post(ev.TurnCommitted, "u1")
    script.expects(hangup=states.GOODBYE)


def test_a_goodbye_that_fails_is_withdrawn() -> None:
    """R15, R42: cancelled, failed or incomplete is no completion."""
    for kind in (ev.ResponseCancelled, ev.ResponseFailed, ev.ResponseIncomplete):
        script = speaking()
        script.post(ev.GoodbyeSaid, "r1")
        script.post(kind, "r9")
        script.expects(hangup=states.GOODBYE)
        script.post(kind, "r1")
        script.expects(hangup=states.STAYING)


def test_a_goodbye_that_fails_is_withdrawn_though_the_end_of_another_is_awaited() -> None:
    """R15, R42, R73: one that the server began meanwhile was cancelled at its birth; a farewell of ours is asked for again."""
    for kind in (ev.ResponseCompleted, ev.ResponseFailed, ev.ResponseIncomplete):
        for reason, left in ((Reason.GOODBYE, states.STAYING), (Reason.APPLICATION, states.PARTING)):
            script = put(speaking(), "hangup", states.GOODBYE, id="r1", reason=reason)
            put(script, "playout", states.ADMITTED, heard=False)
            script.post(ev.ResponseCreated, "r2")
            script.post(kind, "r1")
            script.expects(response=states.CANCEL_IN_FLIGHT, hangup=left)


def test_another_response_that_fails_withdraws_no_goodbye() -> None:
    """R42, R73: the goodbye is still heard; the server began one more answer meanwhile, and yet another, cancelled at its birth."""
    script = put(speaking(), "hangup", states.GOODBYE, id="r1", reason=Reason.GOODBYE)
    script.post(ev.ResponseCompleted, "r1")
    put(script, "response", states.IN_PROGRESS, id="r2", ended=("r1",), unwanted=("r3",))
    script.post(ev.ResponseFailed, "r2", "server_error")
    script.expects(response=states.CANCEL_IN_FLIGHT, hangup=states.GOODBYE)


def test_the_silence_of_another_response_withdraws_no_goodbye() -> None:
    """R16, R42: the goodbye was heard, and its end never told; the server answered by itself once more, without a sound."""
    for goodbye in (ev.GoodbyeSaid, ev.HangupRequested):
        script = speaking(create_response=True)
        script.post(goodbye, "r1", *(["done"] if goodbye is ev.HangupRequested else []))
        script.post(ev.PlayoutFinished, "r1", 2000.0)
        put(script, "response", states.CANCEL_IN_FLIGHT)
        put(script, "playout", states.SILENT)
        script.post(ev.ResponseCreated, "r2")
        script.expects(response=states.IN_PROGRESS, playout=states.ADMITTED)
        expired(script, "playout")
        script.expects(response=states.CANCEL_IN_FLIGHT, hangup=states.GOODBYE)
        assert script.call.hangup.id == "r1"


def test_a_goodbye_of_a_response_that_was_given_up_is_none_though_another_came_since() -> None:
    """R42, R97: it was cancelled as nothing more of it came, nobody knows what of."""
    for late in (False, True):
        script = speaking(create_response=True)
        script.post(ev.PlayoutFinished, "r1", 2000.0)
        expired(script, "response")
        script.expects(response=states.CANCEL_IN_FLIGHT, playout=states.STARVED)
        if late:
            script.post(ev.ResponseCreated, "r2")
            script.expects(response=states.IN_PROGRESS)
        script.post(ev.GoodbyeSaid, "r1")
        script.expects(hangup=states.STAYING)


def test_a_goodbye_of_which_nothing_was_admitted_ends_no_call() -> None:
    """R42, R73: the cancel at its birth came too late, and it completes all the same."""
    withdrawn, unasked, servers, second = (
        put(idle(), "response", states.WITHDRAWN),
        idle(create_response=True),
        idle(create_response=True, interrupts="server"),
        speaking(),
    )
    for script in (withdrawn, unasked, servers, second):
        if script in (unasked, servers):
            script.post(ev.SpeechStarted, "u2")
        script.post(ev.ResponseCreated, "r9")
        assert not script.of(Admit)[1:]
        if script is second:
            script.post(ev.ResponseCompleted, "r1")
            put(script, "playout", states.SILENT)
        script.post(ev.ResponseCompleted, "r9")
        put(script, "turn", states.QUIET).expects(response=states.COMPLETED)
        assert script.post(ev.GoodbyeSaid, "r9") == []
        script.expects(hangup=states.STAYING)


def test_an_end_is_carried_out_in_the_step_that_decides_it() -> None:
    """R41, R83: every region ends with it, and nothing is left of any."""
    for situation in SITUATIONS:
        script = situation()
        script.post(ev.HangupRequested, "r7", "done")
        script.expects(hangup=states.GOODBYE)
        script.now_ms = script.call.hangup.due_ms
        answer = script.step(ev.HangupExpired(script.now_ms, script.call.hangup.epoch))
        assert answer.signals == (ev.HangupDue,)
        assert script.effects[-3:] == closed(Reason.APPLICATION, "done")
        script.expects(phase=states.CLOSING)
        over(script)


def test_a_goodbye_that_never_ends_is_not_waited_for_for_ever() -> None:
    """R44, R78."""
    script = answering(first_audio_ms=60_000)
    script.post(ev.GoodbyeSaid, "r1")
    script.wait(14_999)
    script.expects(hangup=states.GOODBYE)
    assert script.wait(1) == [Flush("r1"), *closed(Reason.GOODBYE)]


def test_the_applications_wish_waits_for_what_is_said() -> None:
    """R42, R44: for the response that it names, or the live one."""
    for named in ("r1", ""):
        script = playing_out()
        script.post(ev.HangupRequested, named, "done")
        script.expects(hangup=states.GOODBYE)
        script.post(ev.HangupRequested, "", "again")
        assert heard_out(script) == closed(Reason.APPLICATION, "done")


def test_the_applications_wish_outlives_a_response_that_fails() -> None:
    """R93: it waited for what is said; what is asked for in its place is the last that is said."""
    script = asked()
    script.post(ev.ResponseCreated, "r1")
    script.post(ev.HangupRequested, "r1", "done")
    script.post(ev.ResponseFailed, "r1", "boom")
    script.expects(hangup=states.PARTING)
    script.wait(script.call.policy.recovery_pause_ms)
    script.post(ev.ResponseCreated, "r2")
    script.expects(hangup=states.GOODBYE)
    hear(script, "r2")
    script.post(ev.ResponseCompleted, "r2")
    assert heard_out(script, "r2") == closed(Reason.APPLICATION, "done")


def test_a_wish_that_names_a_response_of_long_ago_ends_nothing() -> None:
    """R45: the one after it was heard to its end, and nobody has spoken since."""
    script = playing_out()
    heard_out(script)
    caller_says(script, "u2")
    script.post(ev.ResponseCreated, "r2")
    hear(script, "r2")
    script.post(ev.ResponseCompleted, "r2")
    heard_out(script, "r2")
    assert script.post(ev.HangupRequested, "r1", "done") == []
    script.expects(hangup=states.STAYING)


def test_a_hangup_that_names_no_response_is_not_that_of_one_that_was_never_born() -> None:
    """R41, R83: the first response was refused, and has no id; the application's wish has none either, and stands."""
    script = asked()
    script.post(ev.CreateRefused, "boom")
    script.expects(response=states.FAILED, pending=states.PAUSED)
    assert HangUp(Reason.APPLICATION) in script.post(ev.HangupRequested, "", "done")


def test_the_applications_wish_is_granted_at_once_in_silence() -> None:
    """R42: what it names was heard already, or nothing is said."""
    script = idle()
    assert script.post(ev.HangupRequested, "", "done") == closed(Reason.APPLICATION, "done")
    script = playing_out()
    heard_out(script)
    assert script.post(ev.HangupRequested, "r1", "done") == closed(Reason.APPLICATION, "done")


def test_the_applications_wish_for_a_response_to_come_waits_for_it() -> None:
    """R42, R45: and a caller who speaks before it withdraws the wish."""
    script = idle()
    assert script.post(ev.HangupRequested, "r7", "done") == []
    script.expects(hangup=states.GOODBYE)
    script.post(ev.SpeechStarted, "u1")
    script.expects(hangup=states.STAYING)


def test_a_greeting_is_heard_before_a_wished_end() -> None:
    """R36, R48: a detector of our own does not withdraw the wish from a protected greeting."""
    script = hear(greeting(), "g1")
    script.post(ev.HangupRequested, "", "done")
    script.post(ev.BargeInDetected)
    script.expects(hangup=states.GOODBYE, phase=states.GREETING_LOCK)
    script.post(ev.ResponseCompleted, "g1")
    assert heard_out(script, "g1")[-3:] == closed(Reason.APPLICATION, "done")


def test_nothing_is_asked_for_after_the_goodbye() -> None:
    """The second seed's fourth fix: no create while a hang-up is pending."""
    script = speaking()
    script.post(ev.TurnCommitted, "u2")
    script.post(ev.GoodbyeSaid, "r1")
    script.post(ev.ResponseCompleted, "r1")
    heard_out(script)
    assert len(script.of(CreateResponse)) == 1
    script.expects(phase=states.CLOSING)


def test_a_session_that_is_not_confirmed_ends_the_call() -> None:
    """R39, R78: not opened, or opened and not confirmed."""
    script = Script(Policy(greeting=False))
    script.post(ev.LineOpened)
    assert script.wait(10_000) == closed(Reason.SESSION_UNCONFIRMED)
    script = Script(Policy(greeting=False))
    script.post(ev.LineOpened)
    script.wait(9_000)
    assert script.post(ev.SessionOpened) == [ConfigureSession()]
    assert script.post(ev.SessionOpened) == []
    script.wait(9_999)
    script.expects(session=states.CONFIGURING)
    assert script.wait(1) == closed(Reason.SESSION_UNCONFIRMED)


def test_a_line_that_never_opens_ends_the_call() -> None:
    """R40, R78."""
    script = Script(Policy(greeting=False))
    script.post(ev.SessionConfirmed)
    script.expects(session=states.READY)
    assert script.wait(59_999) == []
    assert script.wait(1) == closed(Reason.NO_LINE)


def test_the_session_is_configured_once() -> None:
    """R39: a second confirmation changes nothing."""
    script = idle()
    before = script.call
    assert script.post(ev.SessionOpened) == []
    assert script.post(ev.SessionConfirmed) == []
    assert script.call == before
    assert len(script.of(ConfigureSession)) == 1


def test_the_servers_vad_has_its_rights_after_the_greeting() -> None:
    """R36: once, when the protected greeting was heard."""
    script = hear(greeting(), "g1")
    script.post(ev.ResponseCompleted, "g1")
    script.expects(session=states.GUARDED)
    assert heard_out(script, "g1") == [ReleaseResponse()]
    script.expects(session=states.READY)
    script.wait(60_000)
    assert len(script.of(ReleaseResponse)) == 1


def test_an_unprotected_greeting_guards_nothing() -> None:
    """R36: policy."""
    begun(greeting_protected=False).expects(session=states.READY)


def test_the_guard_ends_with_a_turn_before_the_greeting_or_in_time() -> None:
    """R35, R37, R78."""
    script = begun()
    assert ReleaseResponse() in caller_says(script)
    script.expects(session=states.READY)
    script = hear(greeting(greeting_ms=1_500), "g1", ms=1_000)
    assert ReleaseResponse() in script.wait(500)
    script.expects(session=states.READY, phase=states.GREETING_LOCK)


def test_a_server_whose_vad_cancels_the_guarded_greeting_has_its_rights() -> None:
    """R12, R36: so it answers the turn that follows, and we do not; a cancel of another kind or response tells nothing of that."""
    for response_id, reason in (("g0", "turn_detected"), ("g1", "client_cancelled")):
        script = greeting(create_response=True)
        script.post(ev.ResponseCancelled, response_id, reason)
        script.expects(session=states.GUARDED)
    script = greeting(create_response=True)
    assert script.post(ev.ResponseCancelled, "g1", "turn_detected") == [Flush("g1"), ReleaseResponse(), Retire("g1")]
    script.expects(session=states.READY)
    script.post(ev.TurnCommitted, "u1")
    script.expects(pending=states.OWED)

    script = idle()
    script.post(ev.NoticeRequested, "This call is recorded.")
    script.post(ev.ResponseCreated, "n1")
    script.post(ev.ResponseCancelled, "n1", "turn_detected")
    script.expects(session=states.GUARDED)


def test_a_turn_into_the_greeting_does_not_end_its_guard() -> None:
    """R36."""
    script = hear(greeting(), "g1")
    caller_says(script)
    script.expects(session=states.GUARDED)
    script = begun(voice="realtime")
    script.post(ev.GreetingPrepared, "Hello.")
    script.post(ev.TurnCommitted, "u1")
    script.expects(session=states.GUARDED, response=states.REQUESTED)


def test_a_held_voice_needs_no_resume_when_the_call_ends() -> None:
    """R74: the end is the other end of a hold."""
    script = speaking()
    script.post(ev.SpeechStarted, "u2")
    assert Resume() not in script.post(ev.ReceiverFailed)


def test_the_end_of_a_line_that_we_did_not_ask_for_is_no_hangup() -> None:
    """R41."""
    script = idle()
    assert script.post(ev.LineClosed) == []
    assert script.post(ev.LineOpened) == []
    script.expects(phase=states.LISTENING, line=states.OPEN)


def test_every_reason_has_its_own_words() -> None:
    """R41: an allow-list, each told apart."""
    assert len({reason.value for reason in Reason}) == len(Reason)
    assert not [effect for effect in speaking().effects if isinstance(effect, Log)]


def _everything(script: Script) -> list[ev.Event]:
    """One of each event but those that end the closing, about what the call was about."""
    values = {
        "at_ms": script.now_ms,
        "response_id": "r1",
        "epoch": 0,
        "session_id": "call.r1.1",
        "sentence": 1,
        "text": "One.",
        "code": "boom",
        "outcome": "acknowledged",
        "played_ms": 1.0,
        "received_ms": 2.0,
        "digit": "1",
        "tool_call_id": "t1",
        "name": "look_up",
        "item_id": "item_r1",
    }
    kinds = [kind for kind in script.machine.events if kind not in (ev.LineClosed, ev.CallerHungUp)]
    return [kind(**{field.name: values[field.name] for field in attrs.fields(kind) if field.name in values}) for kind in kinds]
