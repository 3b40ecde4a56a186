"""Claims about one step at a time: what a single event changes, before anything that is due at once follows (R19, R29, R49, R62, R83)."""

from collections.abc import Callable
from typing import Any

import attrs

from fsm import Call, admits, events as ev, states
from fsm.call.effects import (
    CancelResponse,
    CancelSynthesis,
    Cause,
    CloseSession,
    ConfigureSession,
    CreateResponse,
    Flush,
    Hold,
    Level,
    Log,
    OpenSession,
    Reason,
    ReleaseResponse,
    TellEnded,
)
from fsm.engine.machine import Step
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

ONE, TWO = "call.r1.1", "call.r1.2"


def expire(script: Script, name: str) -> Step[Call]:
    """Let a region's deadline pass, after every earlier one, and answer nothing that is due because of it."""
    expired = next(region.expired for region in script.machine.regions if region.name == name)
    record = getattr(script.call, name)
    while (due_ms := script.machine.due_ms(script.call)) < record.due_ms:
        script.wait_to(due_ms)
    script.now_ms = max(script.now_ms, record.due_ms)
    return script.step(expired(script.now_ms, record.epoch))


def changed(before: Call, after: Call) -> set[str]:
    """The regions that changed."""
    return {field.name for field in attrs.fields(Call) if getattr(before, field.name) != getattr(after, field.name)}


def suspected(script: Script) -> Script:
    """The caller makes a sound over the voice."""
    script.post(ev.SpeechStarted, "u2")
    return script.expects(interruption=states.SUSPECTED)


DETECTED: dict[str, Any] = {"interruption_by": "detector"}


def followed(**policy: Any) -> Script:
    """`r1` is being heard, and `r2` is admitted behind it."""
    script = playing_out(create_response=True, **policy)
    script.post(ev.ResponseCreated, "r2")
    return script


def parting(**policy: object) -> Script:
    """`r1`, a goodbye, is being heard."""
    script = speaking(**policy)
    script.post(ev.GoodbyeSaid, "r1")
    return script.expects(hangup=states.GOODBYE)


def waiting(**policy: Any) -> Script:
    """While `r1` is being heard a turn and a notice wait."""
    script = playing_out(**policy)
    script.post(ev.TurnCommitted, "u9")
    script.post(ev.NoticeRequested, "This call is recorded.")
    return script.expects(pending=states.WANTED)


def locked() -> Script:
    """The caller interrupted, and their turn is being answered before the lock of the interruption ends."""
    script = interrupted()
    script.post(ev.ResponseCancelled, "r1")
    script.post(ev.SpeechStopped, "u2")
    script.post(ev.TurnCommitted, "u2")
    return script.expects(interruption=states.LOCKED, idle=states.DISARMED)


def test_only_a_decided_interruption_moves_anything_else() -> None:
    """R29: the deadlines of a suspicion, of an echo and of the lock are the interruption's own affair."""
    situations = (
        *(suspected(script) for script in (speaking(**DETECTED), answering(**DETECTED), followed(**DETECTED), waiting(**DETECTED))),
        suspected(parting(**DETECTED)),
        locked(),
    )
    for script in situations:
        before = script.call
        answer = expire(script, "interruption")
        assert ev.BargedIn not in answer.signals
        assert changed(before, script.call) == {"interruption"}, [row.name for row in answer.rows]


def test_a_decided_interruption_moves_every_table_in_one_step() -> None:
    """R30, R36, R45, R73: before anything else that is due."""
    script = parting()
    script.step(ev.BargeInDetected(script.now_ms))
    script.expects(
        interruption=states.LOCKED,
        playout=states.SILENT,
        response=states.CANCEL_IN_FLIGHT,
        phase=states.CANCELLING,
        truncation=states.POSITION_AWAITED,
        hangup=states.STAYING,
        idle=states.ARMED,
    )
    script = waiting()
    assert CreateResponse(Cause.USER_TURN) in script.step(ev.BargeInDetected(script.now_ms)).effects
    script.expects(phase=states.LISTENING, playout=states.SILENT, response=states.REQUESTED, pending=states.WANTED)
    script = followed()
    assert script.step(ev.BargeInDetected(script.now_ms)).effects[:3] == (Hold(), Flush("r1"), Flush("r2"))
    script.expects(playout=states.SILENT)


def test_a_deadline_that_is_stale_or_early_changes_nothing() -> None:
    """R49, R62: whichever region's, and whatever goes on."""
    tool = idle()
    tool.post(ev.ToolCalled, "t1", "look_up", "{}")
    for script in (tool, waiting(), suspected(speaking()), parting(), interrupted(), reading(), asked(create_response=True), begun()):
        before = script.call
        for region in script.machine.regions:
            record = getattr(before, region.name)
            script.step(region.expired(script.now_ms + 1e9, record.epoch - 1))
            assert script.call is before, region.name
            if record.due_ms > script.now_ms:
                script.step(region.expired(script.now_ms, record.epoch))
                assert script.call is before, region.name


def test_an_end_ends_every_table_in_its_very_step() -> None:
    """R49, R62, R83: nothing is left that could answer anything."""
    for script in (idle(), speaking(), waiting(), parting(), interrupted(), reading(), begun()):
        script.step(ev.DeviceFailed(script.now_ms, "unplugged"))
        ends = {name: state for name, state in script.states().items() if state is not states.OVER}
        assert ends == {"phase": states.CLOSING}
        assert script.machine.due_ms(script.call) == script.call.phase.due_ms


def test_what_ends_the_call_in_time_is_over_in_the_step_that_decides_it() -> None:
    """R39, R40, R60, R82: its deadline does not begin anew, and a session that was given up is not taken for one that is there."""
    silent_line, unconfirmed, refused = Script(), Script(), Script()
    unconfirmed.post(ev.LineOpened)
    refused.post(ev.LineOpened)
    refused.post(ev.SessionOpened)
    limited, lost = idle(call_ms=40_000), idle(reconnects=0)
    limited.wait(10_000)
    limited.post(ev.ResponseCreated, "r1")
    limited.post(ev.ResponseCompleted, "r1")
    limited.expects(limit=states.WARNED)
    silent_line.post(ev.SessionOpened)
    silent_line.post(ev.SessionConfirmed)
    for script, name in ((silent_line, "line"), (unconfirmed, "session"), (refused, "session"), (limited, "limit")):
        expire(script, name)
        assert getattr(script.call, name).state is states.OVER, name
        assert len(script.of(TellEnded)) == 1
    lost.step(ev.SessionLost(lost.now_ms, "1006"))
    lost.expects(session=states.OVER, hangup=states.OVER)


def test_the_end_of_a_call_closes_the_session_once() -> None:
    """R47, R50: whoever ends it."""
    assert idle().post(ev.CallerHungUp, "") == [CloseSession(), TellEnded(Reason.CALLER_HUNG_UP)]


def test_a_wish_is_not_due_while_the_caller_speaks() -> None:
    """R19: it waits from their first sound, be it about to be tried again or the server's to answer."""
    paused, owed = answering(), asked(create_response=True)
    paused.post(ev.ResponseFailed, "r1", "server_error")
    for script, state in ((paused, states.PAUSED), (owed, states.OWED)):
        script.expects(pending=state)
        script.step(ev.SpeechStarted(script.now_ms, "u2"))
        script.expects(pending=states.WANTED)


def test_a_lost_answer_is_asked_for_again_after_a_pause() -> None:
    """R15, R85."""
    for script in (asked(), answering()):
        script.post(ev.SessionLost, "1006")
        script.expects(pending=states.PAUSED)


def test_a_refused_create_is_a_failed_response() -> None:
    """R14: it neither was nor was cancelled."""
    script = asked()
    script.post(ev.CreateRefused, "boom")
    script.expects(response=states.FAILED)


def test_an_answer_of_a_server_that_interrupts_is_in_progress() -> None:
    """R02, R68: it is taken for cancelled only if the caller speaks over it, and one that is known is not taken at all."""
    script = asked(create_response=True, interrupts="server")
    script.post(ev.ResponseCreated, "r1")
    script.expects(response=states.IN_PROGRESS, playout=states.ADMITTED)
    script.post(ev.ResponseCancelled, "r1", "turn_detected")
    script.post(ev.SpeechStarted, "u2")
    before = script.call
    assert script.post(ev.ResponseCreated, "r1") == []
    assert script.call.response == before.response


def test_a_response_without_sound_is_cancelled_and_the_floor_awaits_its_end() -> None:
    """R16, R73: nothing of it is admitted any more, though the cancel is never confirmed."""
    script = answering()
    script.post(ev.TextArrived, "r1")
    script.expects(playout=states.VOICELESS, phase=states.LISTENING, cooldown=states.WARM)
    assert Flush("r1") in expire(script, "playout").effects
    script.expects(playout=states.SILENT, phase=states.CANCELLING, cooldown=states.COOLING, pending=states.PAUSED)
    script.wait(600)
    assert not admits(script.call, "r1")
    script = answering()
    expire(script, "playout")
    script.expects(playout=states.SILENT, phase=states.CANCELLING)


def test_an_answer_with_sound_begins_no_cooldown() -> None:
    """R16."""
    script = playing_out()
    heard_out(script)
    script.expects(cooldown=states.WARM)
    script = speaking()
    script.wait(2_000)
    script.expects(response=states.CANCEL_IN_FLIGHT, cooldown=states.WARM)


def test_a_greeting_whose_only_sentence_is_lost_leaves_its_lock() -> None:
    """R35, R78, R91: nothing of it will be heard; and it is asked for again."""
    script = greeting(voice="chatterbox")
    script.post(ev.SentenceCut, "g1", 1, "Hello.", "item_g1")
    script.post(ev.ResponseCompleted, "g1")
    script.post(ev.SynthesisDiscarded, "call.g1.1")
    script.expects(phase=states.LISTENING, playout=states.SILENT, pending=states.PAUSED, session=states.GUARDED)


def test_a_held_voice_goes_on_as_it_was() -> None:
    """R74, R79: its deadline begins anew, and what follows the hold is no onset."""
    script = playing_out(interruption_min_ms=3_000)
    suspected(script)
    expire(script, "playout")
    script.expects(playout=states.PLAYING, interruption=states.SUSPECTED)


def test_silence_in_the_middle_of_an_answer_is_bounded() -> None:
    """R97: what was heard of it is corrected, and the answer is asked for again."""
    script = speaking()
    script.post(ev.PlayoutFinished, "r1", 1_000.0)
    script.expects(playout=states.STARVED)
    assert script.wait(3_999) == []
    assert script.wait(1)[:2] == [Flush("r1"), CancelResponse("r1")]
    script.expects(pending=states.PAUSED, cooldown=states.WARM, truncation=states.POSITION_AWAITED)


def test_a_tool_that_runs_or_a_sentence_in_synthesis_explains_a_silence() -> None:
    """R97: until it has answered, or was given up."""
    script = speaking()
    script.post(ev.ToolCalled, "t1", "look_up", "{}", "r1")
    script.post(ev.PlayoutFinished, "r1", 1_000.0)
    assert script.wait(12_000) == []
    script.post(ev.ToolFinished, "t1", "found")
    assert CancelResponse("r1") in script.wait(4_000)
    script = hear(reading(), ms=0)
    script.post(ev.PlayoutFinished, "r1", 10.0)
    assert script.wait(12_000) == []


def test_an_answer_that_never_ends_gives_way_to_the_tool_that_it_called() -> None:
    """R97: nothing of it was heard, and what the tool said waits behind it."""
    script = answering()
    script.post(ev.ToolCalled, "t1", "look_up", "{}", "r1")
    script.post(ev.ToolFinished, "t1", "found")
    assert CancelResponse("r1") in script.wait(4_000)
    assert script.post(ev.ResponseCancelled, "r1") == [CreateResponse(Cause.RECOVERY)]


def test_a_sentence_behind_a_silence_has_the_time_of_a_first_sound() -> None:
    """R79, R97: the device has to begin anew."""
    script = hear(reading(), ms=0)
    script.post(ev.PlayoutFinished, "r1", 10.0)
    script.expects(playout=states.STARVED)
    script.post(ev.SentenceSynthesised, ONE, 900.0)
    assert script.wait(3_999) == []
    assert script.wait(1)[:2] == [Flush("r1"), Log(Level.WARNING, "playout_without_progress", "r1")]


def test_a_sentence_behind_a_discarded_one_has_its_own_time() -> None:
    """R58, R78; and a discarded one that was the last leaves nothing behind (R07)."""
    script = reading(first_audio_ms=60_000)
    script.post(ev.SentenceCut, "r1", 2, "Two.")
    script.wait(10_000)
    script.post(ev.SynthesisDiscarded, ONE)
    script.wait(14_999)
    assert script.call.synthesis.session_id == TWO
    script.post(ev.SynthesisDiscarded, TWO)
    script.expects(synthesis=states.RESTING)
    assert (script.call.synthesis.session_id, script.call.synthesis.text, script.call.synthesis.queue) == ("", "", ())


def test_a_synthesis_is_cancelled_once() -> None:
    """R64: by the server's cancel, or by the end of what it was for."""
    cancelled, abandoned = reading(), hear(reading(), ms=0)
    cancelled.post(ev.ResponseCancelled, "r1", "turn_detected")
    abandoned.wait(2_200)
    for script in (cancelled, abandoned):
        assert script.of(CancelSynthesis) == [CancelSynthesis(ONE)]


def test_a_position_that_is_not_told_is_noted_once() -> None:
    """R71."""
    script = interrupted()
    script.post(ev.ResponseCancelled, "r1")
    missed = [effect for effect in script.wait(1_000) if isinstance(effect, Log)]
    assert len(missed) == 1


def test_the_server_gets_its_rights_once() -> None:
    """R36: by a turn before the greeting, or in time."""
    turned, late = begun(), hear(greeting(greeting_ms=1_500), "g1", ms=1_000)
    caller_says(turned)
    late.wait(500)
    for script in (turned, late):
        assert script.of(ReleaseResponse) == [ReleaseResponse()]


def test_an_aged_session_is_opened_anew_from_the_beginning() -> None:
    """R39, R60."""
    script = idle(session_life_ms=10_000)
    script.wait(10_000)
    assert expire(script, "session").effects == (OpenSession(),)
    script.expects(session=states.CONNECTING)
    assert script.post(ev.SessionOpened) == [ConfigureSession()]


def test_a_turn_that_is_ours_to_commit_awaits_its_commit() -> None:
    """R24, R78: and is answered without it in the end."""
    script = idle(turns="local")
    script.post(ev.SpeechStarted)
    script.post(ev.SpeechStopped)
    script.expects(turn=states.STOPPED)
    script.wait(1_800)
    script.expects(turn=states.QUIET, response=states.REQUESTED)


def test_a_notice_that_gives_way_waits() -> None:
    """R21, R36, R93: to a turn, committed or not; and the one behind a notice that begins waits for its end."""
    ways: tuple[Callable[[Script], object], ...] = (_commits, _is_not_committed)
    for way in ways:
        script = idle()
        script.post(ev.NoticeRequested, "one")
        script.post(ev.CreateRefused, "boom")
        script.expects(pending=states.PAUSED)
        way(script)
        script.expects(pending=states.WANTED, response=states.REQUESTED)
        assert [(debt.cause, debt.text) for debt in script.call.pending.owed] == [(Cause.NOTICE, "one")]

    script = idle()
    for text in ("one", "two"):
        script.step(ev.NoticeRequested(script.now_ms, text))
    assert [debt.text for debt in script.call.pending.owed] == ["two"]


def _commits(script: Script) -> object:
    return script.step(ev.TurnCommitted(script.now_ms, "u1"))


def _is_not_committed(script: Script) -> object:
    script.post(ev.SpeechStarted, "u1")
    script.post(ev.SpeechStopped, "u1")
    return expire(script, "turn")


def test_a_turn_without_a_notice_leaves_none() -> None:
    """R24: one that is closed without its commit displaces nothing."""
    script = idle()
    script.post(ev.SpeechStarted, "u1")
    script.post(ev.SpeechStopped, "u1")
    script.wait(1_800)
    assert script.call.pending.owed == ()
    assert len(script.of(CreateResponse)) == 1
