"""Claims about what the agent says unasked, notices, fillers and prompts, and about silent answers and early goodbyes (R16, R36, R46)."""

from itertools import product

from fsm import events as ev, states
from fsm.call.effects import (
    Admit,
    CancelResponse,
    Cause,
    CreateResponse,
    Hold,
    Level,
    Log,
    ProtectResponse,
    Reason,
    ReleaseResponse,
    SendToolResult,
    TellEnded,
)
from fsm.call.snapshot import Debt
from tests.shared.core import Script, answering, asked, begun, caller_says, hear, heard_out, idle, interrupted, playing_out, put, speaking

NOTICE = CreateResponse(Cause.NOTICE, "This call is recorded.")
FILLER = CreateResponse(Cause.TOOL_FILLER)


def noticed(script: Script) -> Script:
    """The application wants something said."""
    script.post(ev.NoticeRequested, "This call is recorded.")
    return script


def notices(script: Script) -> list[str]:
    """The notices that wait, in their order."""
    return [debt.text for debt in script.call.pending.owed if debt.cause is Cause.NOTICE]


def answered(script: Script) -> Script:
    """The response that was asked for is created."""
    script.post(ev.ResponseCreated, "r1")
    return script


def test_a_notice_is_asked_for_when_the_floor_is_free() -> None:
    """R12, R36: its cause is its own, and the server's VAD is kept from it first."""
    script = idle()
    assert script.post(ev.NoticeRequested, "This call is recorded.") == [ProtectResponse(), NOTICE]
    script.expects(pending=states.NOTHING, session=states.GUARDED, response=states.REQUESTED)


def test_a_notice_waits_for_whoever_has_the_floor() -> None:
    """R11, R19: the answer under way, the caller, the line, the session."""
    script = noticed(speaking())
    script.post(ev.ResponseCompleted, "r1")
    assert NOTICE not in script.effects
    assert NOTICE in heard_out(script)

    script = idle()
    script.post(ev.SpeechStarted, "u1")
    noticed(script)
    script.post(ev.SpeechStopped, "u1")
    script.post(ev.TurnCommitted, "u1")
    assert script.of(CreateResponse) == [CreateResponse(Cause.USER_TURN)]
    assert notices(script) == ["This call is recorded."]

    script = idle()
    script.post(ev.SpeechStarted, "u1")
    noticed(script)
    script.post(ev.SpeechStopped, "u1")
    script.post(ev.TurnCommitted, "u1")
    hear(answered(script))
    script.post(ev.BargeInDetected)
    script.post(ev.ResponseCancelled, "r1")
    assert NOTICE in script.effects


def test_a_notice_waits_for_the_line() -> None:
    """R40."""
    script = Script(begun(greeting=False).call.policy)
    script.post(ev.SessionConfirmed)
    noticed(script)
    assert NOTICE not in script.effects
    assert NOTICE in script.post(ev.LineOpened)


def test_a_dismissed_turn_frees_the_floor_for_a_notice() -> None:
    """R25, R78."""
    script = playing_out()
    caller_says(script, "u2", ms=100)
    noticed(script)
    heard_out(script)
    script = idle(create_response=True)
    caller_says(script)
    noticed(script)
    script.expects(pending=states.OWED)
    assert NOTICE in script.post(ev.TurnDismissed)


def test_a_notice_waits_for_a_call_that_may_end() -> None:
    """R42: what was decided to be the last word is."""
    script = speaking()
    script.post(ev.GoodbyeSaid, "r1")
    noticed(script)
    script.post(ev.ResponseCompleted, "r1")
    heard_out(script)
    assert NOTICE not in script.effects
    script.expects(phase=states.CLOSING)


def test_a_notice_does_not_begin_under_a_held_voice() -> None:
    """R74: the suspicion is decided first, or it would interrupt what must be heard."""
    script = playing_out()
    script.post(ev.SpeechStarted, "u2")
    script.post(ev.TurnCommitted, "u2")
    script.post(ev.TurnDismissed)
    heard_out(script)
    script.expects(interruption=states.SUSPECTED, turn=states.QUIET, playout=states.SILENT)
    noticed(script)
    assert NOTICE not in script.effects
    assert NOTICE in script.wait(50)


def test_a_notice_is_heard_to_its_end() -> None:
    """R36: asked for, generated, or only played: the caller speaks, and is answered afterwards."""
    script = noticed(idle())
    script.post(ev.SpeechStarted, "u1")
    script.post(ev.BargeInDetected)
    script.expects(interruption=states.CLEAR, response=states.REQUESTED)
    script.post(ev.ResponseCreated, "n1")
    hear(script, "n1")
    script.post(ev.BargeInDetected)
    script.expects(interruption=states.CLEAR)
    script.post(ev.SpeechStopped, "u1")
    script.post(ev.TurnCommitted, "u1")
    script.expects(session=states.GUARDED)
    script.post(ev.ResponseCompleted, "n1")
    script.post(ev.BargeInDetected)
    assert not script.of(Hold)
    assert heard_out(script, "n1") == [ReleaseResponse(), CreateResponse(Cause.USER_TURN)]
    script.expects(session=states.READY)


def test_the_guard_of_a_notice_ends_with_it_alone() -> None:
    """R36: not with the playout of another."""
    script = noticed(idle())
    script.post(ev.ResponseCreated, "n1")
    script.post(ev.ResponseFailed, "n1", "server_error")
    script.expects(session=states.GUARDED, pending=states.PAUSED)
    script.wait(500)
    script.post(ev.ResponseCreated, "n2")
    hear(script, "n2")
    script.post(ev.ResponseCompleted, "n2")
    assert ReleaseResponse() in heard_out(script, "n2")


def test_a_notice_that_gave_way_to_a_turn_is_said_later() -> None:
    """R36, R37: it failed, and before it was tried again the caller spoke, or was taken to have spoken."""
    script = noticed(idle())
    script.post(ev.ResponseCreated, "n1")
    script.post(ev.ResponseFailed, "n1", "server_error")
    script.post(ev.TurnCommitted, "u1")
    script.expects(session=states.READY, pending=states.WANTED)
    script.post(ev.TurnCommitted, "u1")
    assert notices(script) == ["This call is recorded."]
    hear(answered(script), "r1")
    script.post(ev.ResponseCompleted, "r1")
    heard_out(script)
    assert script.of(CreateResponse) == [NOTICE, CreateResponse(Cause.USER_TURN), NOTICE]

    script = noticed(idle(turn_close_ms=300))
    script.post(ev.ResponseCreated, "n1")
    script.post(ev.SpeechStopped, "u1")
    script.post(ev.ResponseFailed, "n1", "server_error")
    script.wait(300)
    script.expects(response=states.REQUESTED)
    assert notices(script) == ["This call is recorded."]


def test_a_lock_that_ends_in_a_notice_holds_nothing() -> None:
    """R36: the caller speaks on, and the notice is heard to its end."""
    script = interrupted()
    script.post(ev.SpeechStopped, "u2")
    script.post(ev.ResponseCancelled, "r1")
    script.post(ev.TurnDismissed)
    script.wait(0)
    script.post(ev.TurnCommitted, "u2")
    script.post(ev.TurnDismissed)
    script.post(ev.CreateRefused, "boom")
    noticed(script)
    script.post(ev.TurnDismissed)
    script.expects(interruption=states.LOCKED)
    script.post(ev.SpeechStarted, "u3")
    script.wait(700)
    assert len(script.of(Hold)) == 1


def test_a_notice_that_was_cancelled_unheard_is_tried_again_as_one() -> None:
    """R36: by a server whose VAD was faster than our update."""
    script = noticed(idle())
    script.post(ev.ResponseCreated, "n1")
    script.post(ev.ResponseCancelled, "n1", "turn_detected")
    script.wait(500)
    assert script.of(CreateResponse) == [NOTICE, NOTICE]


def test_notices_are_said_one_after_the_other_and_bounded() -> None:
    """R07."""
    script = asked(queued_notices=2)
    script.post(ev.NoticeRequested, "one")
    script.post(ev.NoticeRequested, "two")
    assert script.post(ev.NoticeRequested, "three") == [Log(Level.WARNING, "notice_dropped")]
    for _ in range(3):
        response_id = f"r{len(script.of(CreateResponse))}"
        script.post(ev.ResponseCreated, response_id)
        hear(script, response_id)
        script.post(ev.ResponseCompleted, response_id)
        heard_out(script, response_id)
    assert [effect.instructions for effect in script.of(CreateResponse)] == ["", "one", "two"]
    assert notices(script) == []


def test_a_notice_that_comes_while_one_is_due_is_kept() -> None:
    """R07: two in one step of the clock."""
    script = idle()
    script.step(ev.NoticeRequested(0, "one"))
    script.step(ev.NoticeRequested(0, "two"))
    assert script.of(CreateResponse) == [CreateResponse(Cause.NOTICE, "one")]
    assert notices(script) == ["two"]


def test_a_notice_that_calls_a_tool_and_is_not_said_is_asked_for_again() -> None:
    """R91, R93: whether the tool has answered before the response ends, or not."""
    for answers_first in (False, True):
        script = idle()
        script.post(ev.NoticeRequested, "one")
        script.post(ev.ResponseCreated, "n1")
        script.post(ev.ToolCalled, "t1", "look_up", "{}", "n1")
        if answers_first:
            script.post(ev.ToolFinished, "t1", "found")
        script.post(ev.ResponseCompleted, "n1")
        assert notices(script) == ["one"]


def test_a_notice_whose_sentence_is_lost_behind_its_tool_is_asked_for_again() -> None:
    """R91, R93: also where the tool answered before anything of it was heard, or the server said something meanwhile that was not heard."""
    for answers_first, server_speaks in product((False, True), (False, True)):
        script = noticed(idle(voice="chatterbox"))
        script.post(ev.ResponseCreated, "n1")
        script.post(ev.ToolCalled, "t1", "look_up", "{}", "n1")
        if answers_first:
            script.post(ev.ToolFinished, "t1", "found")
        script.post(ev.SentenceCut, "n1", 1, "This call is recorded.", "i1")
        script.post(ev.ResponseCompleted, "n1")
        if server_speaks:
            assert script.post(ev.ResponseCreated, "r2") == [CancelResponse("r2")]
        script.post(ev.SynthesisFailed, "call.n1.1", "boom")
        assert notices(script) == ["This call is recorded."]


def test_nothing_follows_a_notice_before_it_is_heard() -> None:
    """R93: nor a warning; so whatever becomes of it, it is not lost to what the server says by itself, and that is asked for again."""
    warned = put(put(answering(), "pending", states.NOTHING, asked=(Debt(Cause.LIMIT_WARNING),)), "response", states.COMPLETED)
    noted = hear(answered(noticed(idle())))
    noted.post(ev.ResponseCompleted, "r1")
    for script in (warned, noted):
        script.post(ev.TurnCommitted, "u2")
        assert script.post(ev.ResponseCreated, "r2") == [CancelResponse("r2")]
        assert [debt.cause for debt in script.call.pending.owed] == [Cause.USER_TURN]
    being_warned = put(hear(answering()), "pending", states.NOTHING, asked=(Debt(Cause.LIMIT_WARNING),))
    being_warned.post(ev.ResponseCompleted, "r1")
    told = hear(answered(noticed(idle())))
    told.post(ev.ResponseCompleted, "r1")
    heard_out(told)
    calls_instead = put(answering(), "pending", states.NOTHING, asked=(Debt(Cause.LIMIT_WARNING),))
    put(calls_instead, "response", states.COMPLETED, called=True)
    for script in (being_warned, told, calls_instead):
        assert Admit("r2") in script.post(ev.ResponseCreated, "r2")


def test_the_floor_is_the_agents_though_a_response_that_is_not_heard_ends_meanwhile() -> None:
    """R27, R73: a notice to be heard is admitted already as the server's own answer is cancelled at its birth."""
    script = noticed(idle(voice="chatterbox"))
    for kind, *words in (
        (ev.ResponseCreated, "n1"),
        (ev.SentenceCut, "n1", 1, "This call is recorded.", "i1"),
        (ev.SentenceSynthesised, "call.n1.1", 900.0),
        (ev.ResponseCompleted, "n1"),
        (ev.ResponseCreated, "r2"),
        (ev.AudioArrived, "n1", "i1"),
    ):
        script.post(kind, *words)
    script.expects(response=states.CANCEL_IN_FLIGHT, phase=states.AI_SPEAKING)
    script.post(ev.ResponseCancelled, "r2")
    script.expects(phase=states.AI_SPEAKING)
    generated = put(answering(), "playout", states.SILENT, id="")
    generated.post(ev.ResponseCreated, "r2")
    generated.expects(response=states.IN_PROGRESS, phase=states.LISTENING)


def test_a_long_tool_is_told_to_the_caller() -> None:
    """R80: once, when nobody speaks, and the tool runs on."""
    script = answering()
    script.post(ev.ToolCalled, "t1", "look_up")
    script.post(ev.ResponseCompleted, "r1")
    assert script.wait(3_999) == []
    assert script.wait(1) == [FILLER]
    script.expects(tool=states.TOOL_SLOW)
    script.post(ev.ResponseCreated, "f1")
    hear(script, "f1")
    script.post(ev.ResponseCompleted, "f1")
    heard_out(script, "f1")
    assert script.post(ev.ToolFinished, "t1", "found") == [SendToolResult("t1", "found"), CreateResponse(Cause.TOOL_RESULT)]


def test_a_long_tool_is_not_told_while_somebody_speaks() -> None:
    """R19, R80."""
    script = idle()
    script.post(ev.ToolCalled, "t1", "look_up")
    script.post(ev.SpeechStarted, "u1")
    assert FILLER not in script.wait(4_000)
    script.expects(tool=states.TOOL_SLOW)


def test_a_tool_has_its_whole_time() -> None:
    """R78, R80: the filler takes nothing of it."""
    script = idle()
    script.post(ev.ToolCalled, "t1", "look_up")
    script.post(ev.SpeechStarted, "u1")
    assert not [effect for effect in script.wait(29_999) if isinstance(effect, SendToolResult)]
    assert SendToolResult("t1", "error: the tool did not answer in time") in script.wait(1)


def test_without_fillers_a_tool_is_awaited_in_silence() -> None:
    """R80: policy."""
    script = idle(tool_filler_ms=0)
    script.post(ev.ToolCalled, "t1", "look_up")
    assert script.wait(29_999) == []
    script.expects(tool=states.TOOL_RUNNING)
    script.wait(1)
    script.expects(tool=states.NO_TOOL)


def test_a_second_tool_beside_a_slow_one_is_answered_too() -> None:
    """R80."""
    script = idle()
    script.post(ev.ToolCalled, "t1", "a")
    script.post(ev.SpeechStarted, "u1")
    script.wait(4_000)
    script.post(ev.ToolCalled, "t2", "b")
    assert script.post(ev.ToolCalled, "t2", "b") == []
    assert script.post(ev.ToolFinished, "t1", "one") == [SendToolResult("t1", "one")]
    script.expects(tool=states.TOOL_SLOW)
    assert script.call.tool.pending == ("t2",)


def test_an_answer_without_sound_is_replaced_once_in_a_while() -> None:
    """R16: one so soon after it ends the call; one much later is replaced again."""
    script = answering()
    script.post(ev.TextArrived, "r1")
    script.wait(1_200)
    script.post(ev.ResponseCancelled, "r1")
    script.wait(500)
    script.post(ev.ResponseCreated, "r2")
    script.post(ev.TextArrived, "r2")
    ended = script.wait(1_200)
    assert next(effect for effect in ended if isinstance(effect, TellEnded)).reason is Reason.MODEL_FAILED
    assert script.of(CancelResponse) == [CancelResponse("r1"), CancelResponse("r2")]

    script = answering()
    script.post(ev.TextArrived, "r1")
    script.wait(1_200)
    script.post(ev.ResponseCancelled, "r1")
    script.wait(500)
    script.post(ev.ResponseCreated, "r2")
    hear(script, "r2")
    script.post(ev.ResponseCompleted, "r2")
    heard_out(script, "r2")
    script.wait(12_000)
    script.expects(cooldown=states.WARM)
    caller_says(script, "u2")
    script.post(ev.ResponseCreated, "r3")
    script.post(ev.TextArrived, "r3")
    script.wait(1_200)
    script.expects(cooldown=states.COOLING, hangup=states.STAYING)


def test_a_silent_caller_is_asked_so_often_in_the_whole_call() -> None:
    """R54: though they answer each time."""
    script = idle(idle_ms=4_000, idle_prompts_in_all=1)
    caller_says(script, "u1")
    for number in (1, 2, 3):
        script.post(ev.ResponseCreated, f"r{number}")
        hear(script, f"r{number}")
        script.post(ev.ResponseCompleted, f"r{number}")
        heard_out(script, f"r{number}")
        script.wait(4_000)
        if number == 2:
            assert script.of(CreateResponse)[-1] == CreateResponse(Cause.FAREWELL)
            return
        assert script.of(CreateResponse)[-1] == CreateResponse(Cause.IDLE_PROMPT)
        caller_says(script, "u2")
        script.post(ev.ResponseCreated, "r9")
        script.post(ev.ResponseCompleted, "r9")


def test_a_goodbye_before_the_caller_has_spoken_ends_no_call() -> None:
    """R46: policy says how many turns it takes; more are not counted."""
    script = speaking(goodbye_min_turns=2)
    script.post(ev.GoodbyeSaid, "r1")
    script.expects(hangup=states.STAYING)
    script.post(ev.ResponseCompleted, "r1")
    heard_out(script)
    caller_says(script, "u2")
    script.post(ev.ResponseCreated, "r2")
    hear(script, "r2")
    script.post(ev.GoodbyeSaid, "r2")
    script.expects(hangup=states.GOODBYE)
    script.post(ev.ResponseCompleted, "r2")
    caller_says(script, "u3")
    assert script.call.turn.turns == 2


def test_a_goodbye_to_a_callee_who_has_not_spoken_ends_no_call() -> None:
    """R48: a ring or a beep is no conversation; a turn is one, whoever tells of its end."""
    for heard, stays in ((True, False), (False, True)):
        script = idle(direction="outbound", create_response=True)
        if heard:
            script.post(ev.SpeechStarted, "u1")
            script.post(ev.SpeechStopped, "u1")
        script.post(ev.ResponseCreated, "r1")
        hear(script, "r1")
        script.post(ev.GoodbyeSaid, "r1")
        script.expects(hangup=states.STAYING if stays else states.GOODBYE)
    script = idle(direction="outbound")
    script.post(ev.SpeechStarted, "u1")
    script.post(ev.SpeechStopped, "u1")
    script.wait(1_800)
    assert script.call.turn.turns == 1
