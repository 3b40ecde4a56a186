"""Claims about waiting: silence on both sides, the maximum duration, tools, words without sound (R16, R25, R51 to R54, R78 to R82)."""

from typing import Any

from fsm import events as ev, states
from fsm.call.effects import (
    AddEntry,
    CancelResponse,
    Cause,
    CreateResponse,
    Flush,
    HangUp,
    Level,
    Log,
    Reason,
    Retire,
    RunTool,
    SendToolResult,
    TellEnded,
)
from fsm.call.tool import NOT_RUN
from tests.shared.core import Script, answering, asked, caller_says, hear, heard_out, idle, interrupted, playing_out, speaking

PROMPT = CreateResponse(Cause.IDLE_PROMPT)
FAREWELL = CreateResponse(Cause.FAREWELL)
TOOL_RESULT = CreateResponse(Cause.TOOL_RESULT)
WARNING = CreateResponse(Cause.LIMIT_WARNING)


def answered(**policy: Any) -> Script:
    """`r1` was generated and heard; both sides are silent from now on."""
    script = playing_out(**{"idle_ms": 20_000, **policy})
    heard_out(script)
    return script.expects(phase=states.LISTENING, idle=states.ARMED)


def say(script: Script, response_id: str) -> None:
    """A response that was asked for is created, completed and heard."""
    script.post(ev.ResponseCreated, response_id)
    hear(script, response_id)
    script.post(ev.ResponseCompleted, response_id)
    heard_out(script, response_id)


def test_a_silent_caller_is_asked_whether_they_are_there() -> None:
    """R51, R54: the deadline runs from the end of what was heard."""
    script = answered()
    assert script.wait(script.call.policy.idle_ms - 1) == []
    assert script.wait(1) == [PROMPT]
    script.expects(idle=states.DISARMED)


def test_who_enters_a_number_is_not_asked_whether_they_are_there() -> None:
    """R52: also where the prompt was refused, and would be asked for again meanwhile; their entry is answered instead."""
    script = answered()
    assert script.wait(script.call.policy.idle_ms) == [PROMPT]
    script.post(ev.DigitPressed, "1")
    script.post(ev.CreateRefused, "server_error")
    assert script.wait(script.call.policy.dtmf_pause_ms - 1) == []
    assert script.wait(1) == [AddEntry("1"), CreateResponse(Cause.ENTRY)]


def test_a_prompt_without_sound_is_not_asked_for_again_while_a_tool_runs() -> None:
    """R16, R52: nothing is owed then, until the tool has answered."""
    script = answered()
    assert script.wait(script.call.policy.idle_ms) == [PROMPT]
    script.post(ev.ResponseCreated, "p1")
    script.post(ev.ToolCalled, "t1", "look_up", "{}", "p1")
    script.wait(script.call.policy.first_audio_ms)
    script.expects(pending=states.NOTHING, response=states.CANCEL_IN_FLIGHT)


def test_who_enters_a_number_and_speaks_is_answered() -> None:
    """R52: only what is said to a silent caller waits for the end of an entry."""
    script = answered()
    script.post(ev.DigitPressed, "1")
    assert CreateResponse(Cause.USER_TURN) in caller_says(script, "u2")


def test_a_caller_who_never_speaks_is_asked_twice_told_goodbye_and_the_call_ends() -> None:
    """R53, R54: bounded, and the farewell is heard before the line is closed."""
    script = answered()
    for response_id in ("p1", "p2"):
        assert script.wait(script.call.policy.idle_ms) == [PROMPT]
        say(script, response_id)
    assert script.wait(script.call.policy.idle_ms) == [FAREWELL]
    script.expects(hangup=states.PARTING)
    script.post(ev.ResponseCreated, "bye")
    script.expects(hangup=states.GOODBYE)
    hear(script, "bye")
    assert script.of(HangUp) == []
    script.post(ev.ResponseCompleted, "bye")
    heard_out(script, "bye")
    assert script.of(HangUp) == [HangUp(Reason.IDLE)]
    assert script.of(TellEnded) == [TellEnded(Reason.IDLE)]


def test_a_caller_who_answers_a_prompt_is_asked_anew_later() -> None:
    """R54: the count is of prompts in a row."""
    script = answered(idle_prompts=1)
    script.wait(script.call.policy.idle_ms)
    say(script, "p1")
    caller_says(script, "u2")
    say(script, "r2")
    assert script.wait(script.call.policy.idle_ms) == [PROMPT]


def test_a_turn_told_twice_is_no_answer_to_a_prompt() -> None:
    """R21: the late word of an old turn neither disarms nor resets."""
    script = answered(idle_prompts=1)
    script.wait(script.call.policy.idle_ms)
    say(script, "p1")
    script.post(ev.TurnCommitted, "u1")
    assert script.wait(script.call.policy.idle_ms) == [FAREWELL]


def test_noise_never_refills_the_deadline() -> None:
    """R81: a voice that is no turn changes nothing."""
    script = answered()
    script.wait(script.call.policy.idle_ms - 1_000)
    script.post(ev.VoiceHeard, 900.0)
    assert script.wait(1_000) == [PROMPT]


def test_a_silent_caller_may_be_left_in_peace() -> None:
    """R53: policy, not code, decides whether silence ends a call."""
    script = answered(idle_prompts=0, idle_hangup=False)
    assert script.wait(5 * script.call.policy.idle_ms) == []
    script.expects(idle=states.DISARMED, phase=states.LISTENING)


def test_silence_is_not_counted_while_the_caller_speaks() -> None:
    """R52: and a deadline that passes meanwhile starts again."""
    script = answered()
    script.wait(script.call.policy.idle_ms - 100)
    script.post(ev.SpeechStarted, "u2")
    assert script.wait(5_000) == []
    script.expects(idle=states.ARMED)


def test_silence_is_not_counted_while_a_tool_runs() -> None:
    """R52, R80."""
    script = answered(tool_ms=100_000, tool_filler_ms=0)
    script.post(ev.ToolCalled, "t1", "look_up", "{}")
    assert script.wait(script.call.policy.idle_ms) == []


def test_silence_is_counted_anew_from_each_key() -> None:
    """R52: digits come in; the caller is there."""
    script = answered()
    script.wait(script.call.policy.idle_ms - 1_000)
    script.post(ev.DigitPressed, "#")
    assert script.wait(script.call.policy.idle_ms - 1) == []
    assert script.wait(1) == [PROMPT]


def test_silence_is_not_counted_while_digits_come_in() -> None:
    """R52: the pause hands the entry in, and only then the caller waits."""
    script = answered(idle_ms=4_000, dtmf_pause_ms=10_000)
    script.post(ev.DigitPressed, "7")
    assert script.wait(9_000) == []


def test_silence_is_not_counted_while_the_agent_speaks() -> None:
    """R51: neither the first sound nor the onset's end arms the deadline."""
    speaking().expects(idle=states.DISARMED)


def test_silence_is_counted_from_the_beginning_when_nobody_greets() -> None:
    """R51, R81: armed as soon as the call is ready, whichever of line and session comes last."""
    script = idle(idle_ms=20_000)
    script.expects(idle=states.ARMED)
    assert script.wait(script.call.policy.idle_ms) == [PROMPT]


def test_a_line_that_opens_last_arms_the_deadline() -> None:
    """R81: in every way into listening."""
    script = Script(idle().call.policy)
    script.post(ev.LineOpened)
    script.expects(idle=states.ARMED)


def test_every_way_into_listening_arms_the_deadline() -> None:
    """R81: an interruption, a response that ends unheard, a create that nobody answers, a turn that never closes."""
    script = interrupted()
    script.expects(idle=states.ARMED)
    script = answering()
    script.expects(idle=states.DISARMED)
    script.post(ev.ResponseCancelled, "r1")
    script.expects(idle=states.ARMED)
    script = asked()
    script.wait(script.call.policy.create_ack_ms)
    script.expects(idle=states.ARMED)
    script = answering()
    script.post(ev.SpeechStarted, "u2")
    script.wait(script.call.policy.interruption_min_ms)
    script.expects(idle=states.ARMED)


def test_a_caller_who_speaks_before_the_farewell_stays() -> None:
    """R45: the farewell is not yet created; the call goes on."""
    script = answered(idle_prompts=0)
    assert script.wait(script.call.policy.idle_ms) == [FAREWELL]
    caller_says(script, "u2", ms=100)
    script.expects(hangup=states.STAYING)


def test_a_caller_who_interrupts_the_request_for_the_farewell_stays() -> None:
    """R45, R68: speech between create and created."""
    script = answered(idle_prompts=0)
    script.wait(script.call.policy.idle_ms)
    script.post(ev.SpeechStarted, "u2")
    script.wait(script.call.policy.interruption_min_ms)
    script.expects(hangup=states.STAYING, response=states.WITHDRAWN)


def test_an_old_turn_told_again_does_not_keep_a_silent_caller() -> None:
    """R21: while the farewell is asked for."""
    script = answered(idle_prompts=0)
    script.wait(script.call.policy.idle_ms)
    script.post(ev.TurnCommitted, "u1")
    script.expects(hangup=states.PARTING)


def test_a_duplicate_of_the_last_response_is_no_farewell() -> None:
    """R53, R72: only the response that we asked for is waited for."""
    script = answered(idle_prompts=0)
    script.wait(script.call.policy.idle_ms)
    script.post(ev.ResponseCreated, "r1")
    script.expects(hangup=states.PARTING)


def test_a_farewell_that_never_comes_ends_the_call_all_the_same() -> None:
    """R78: the wait for it has an end."""
    script = answered(idle_prompts=0, create_ack_ms=60_000)
    script.wait(script.call.policy.idle_ms)
    script.wait(script.call.policy.goodbye_ms)
    assert script.of(HangUp) == [HangUp(Reason.IDLE)]


def test_a_call_is_warned_and_then_ended_at_its_maximum_duration() -> None:
    """R82: by its own clock, whatever is going on."""
    script = idle(call_ms=60_000, call_warning_ms=10_000, idle_ms=600_000)
    assert script.wait_to(50_000) == [Log(Level.INFO, "call_limit_near"), WARNING]
    say(script, "w1")
    script.wait_to(60_000)
    assert script.of(HangUp) == [HangUp(Reason.LIMIT)]


def test_a_late_warning_gives_no_more_time() -> None:
    """R82: a machine that slept wakes to the warning; the end counts from the call's beginning."""
    script = idle(call_ms=60_000, call_warning_ms=10_000, idle_ms=600_000)
    script.now_ms = 59_000
    assert script.wait_to(59_000) == [Log(Level.INFO, "call_limit_near"), WARNING]
    script.wait_to(59_999)
    assert script.of(HangUp) == []
    script.wait_to(60_000)
    assert script.of(HangUp) == [HangUp(Reason.LIMIT)]


def test_a_call_that_slept_past_its_maximum_ends_at_once_and_is_warned_of_nothing() -> None:
    """R82: the first thing that it does awake is to close, with the reason."""
    script = idle(call_ms=60_000, call_warning_ms=10_000, idle_ms=600_000)
    script.now_ms = 60_000
    assert script.wait(0)[0] == HangUp(Reason.LIMIT)
    assert WARNING not in script.effects
    assert Log(Level.INFO, "call_limit_near") not in script.effects


def test_a_call_at_its_limit_ends_in_the_middle_of_a_word() -> None:
    """R82: a stalled or endless response keeps no call alive; it is flushed."""
    script = speaking(call_ms=10_000, call_warning_ms=9_000)
    script.wait_to(10_000)
    assert Flush("r1") in script.effects
    assert script.of(TellEnded) == [TellEnded(Reason.LIMIT)]


def test_a_tool_is_run_and_its_answer_is_answered() -> None:
    """R12, R80: the response for it is asked for once, for that cause."""
    script = answering()
    assert script.post(ev.ToolCalled, "t1", "opening_hours", '{"day": "monday"}') == [RunTool("t1", "opening_hours", '{"day": "monday"}')]
    script.post(ev.ResponseCompleted, "r1")
    script.expects(tool=states.TOOL_RUNNING, response=states.COMPLETED)
    assert script.post(ev.ToolFinished, "t1", "nine to five") == [SendToolResult("t1", "nine to five"), TOOL_RESULT]
    script.expects(tool=states.NO_TOOL)


def test_tools_that_run_side_by_side_are_answered_together() -> None:
    """R12: one create when the last has answered."""
    script = answering()
    script.post(ev.ToolCalled, "t1", "a")
    script.post(ev.ToolCalled, "t2", "b")
    script.post(ev.ToolCalled, "t2", "b")
    script.post(ev.ResponseCompleted, "r1")
    assert script.post(ev.ToolFinished, "t2", "two") == [SendToolResult("t2", "two")]
    assert script.post(ev.ToolFinished, "t2", "two") == []
    assert script.post(ev.ToolFinished, "t1", "one") == [SendToolResult("t1", "one"), TOOL_RESULT]
    assert len(script.of(RunTool)) == 2
    assert script.call.tool.pending == ()


def test_the_answer_of_a_tool_waits_for_the_response_that_called_it() -> None:
    """R11: no create while that response is generated."""
    script = answering()
    script.post(ev.ToolCalled, "t1", "a")
    assert script.post(ev.ToolFinished, "t1", "one") == [SendToolResult("t1", "one")]
    script.expects(pending=states.WANTED)
    assert script.post(ev.ResponseCompleted, "r1") == [Retire("r1"), TOOL_RESULT]


def test_more_tools_than_may_run_are_refused() -> None:
    """R07."""
    script = answering(tools_at_once=1)
    script.post(ev.ToolCalled, "t1", "a")
    assert script.post(ev.ToolCalled, "t2", "b") == [SendToolResult("t2", "error: too many tools at once")]
    assert script.call.tool.pending == ("t1",)


def test_a_tool_that_never_answers_is_given_up_and_the_model_is_told() -> None:
    """R78, R80: one after the other, and then the model may go on."""
    script = answering(tool_filler_ms=0)
    script.post(ev.ToolCalled, "t1", "a")
    script.post(ev.ToolCalled, "t2", "b")
    script.post(ev.ResponseCompleted, "r1")
    timeout = "error: the tool did not answer in time"
    lost = Log(Level.WARNING, "tool_timeout")
    assert script.wait(script.call.policy.tool_ms) == [SendToolResult("t1", timeout), lost]
    script.expects(tool=states.TOOL_SLOW)
    assert list(script.call.tool.pending) == ["t2"]
    assert script.wait(script.call.policy.tool_ms) == [SendToolResult("t2", timeout), lost, TOOL_RESULT]
    script.expects(tool=states.NO_TOOL)
    assert not script.call.tool.pending
    assert script.post(ev.ToolFinished, "t1", "too late") == []


def test_the_deadline_of_an_earlier_tool_gives_up_no_other() -> None:
    """R49."""
    script = answering()
    script.post(ev.ToolCalled, "t1", "a")
    script.post(ev.ToolFinished, "t1", "one")
    script.post(ev.ToolCalled, "t2", "b")
    assert script.post(ev.ToolExpired, 1) == []
    assert script.call.tool.pending == ("t2",)


def test_speech_over_a_running_tool_does_not_end_it() -> None:
    """R80: filler speech and interruptions pass by."""
    script = speaking()
    script.post(ev.ToolCalled, "t1", "a")
    script.post(ev.SpeechStarted, "u2")
    script.wait(script.call.policy.interruption_min_ms)
    script.expects(tool=states.TOOL_RUNNING, phase=states.CANCELLING)


def test_words_without_sound_are_cancelled_and_asked_for_again() -> None:
    """R16: 1.2 s after the first words of a response that the model is to speak."""
    script = answering()
    script.post(ev.TextArrived, "r1")
    script.expects(playout=states.VOICELESS)
    effects = script.wait(script.call.policy.no_sound_ms)
    assert effects[:2] == [Flush("r1"), CancelResponse("r1")]
    script.post(ev.ResponseCancelled, "r1")
    assert script.wait(script.call.policy.recovery_pause_ms) == [CreateResponse(Cause.RECOVERY)]


def test_sound_that_follows_the_words_is_heard() -> None:
    """R16."""
    script = answering()
    script.post(ev.TextArrived, "r1")
    hear(script)
    script.expects(playout=states.PLAYING, phase=states.AI_SPEAKING)


def test_words_that_chatterbox_will_speak_may_take_longer() -> None:
    """R16 is of a model that speaks itself."""
    script = answering(voice="chatterbox")
    script.post(ev.TextArrived, "r1")
    script.expects(playout=states.ADMITTED)


def test_words_of_another_response_say_nothing() -> None:
    """R72."""
    script = answering()
    script.post(ev.TextArrived, "r9")
    script.expects(playout=states.ADMITTED)


def test_a_stop_command_closes_the_turn_without_an_answer() -> None:
    """R25: whatever was wanted is wanted no more."""
    script = asked(create_response=True)
    script.post(ev.TurnDismissed)
    script.expects(pending=states.NOTHING)
    assert [effect for effect in script.wait(10_000) if isinstance(effect, CreateResponse)] == []


def test_a_long_goodbye_is_heard_to_its_end() -> None:
    """R44: while it is heard its progress counts, not a fixed cap; no goodbye is cut in mid-sentence."""
    script = playing_out()
    script.post(ev.GoodbyeSaid, "r1")
    for _ in range(40):
        script.wait(500)
        script.post(ev.PlayoutProgressed, "r1")
    assert script.now_ms > script.call.policy.goodbye_ms
    script.expects(hangup=states.GOODBYE)
    assert script.of(HangUp) == []
    heard_out(script)
    assert script.of(HangUp) == [HangUp(Reason.GOODBYE)]


def test_a_goodbye_of_which_nothing_is_heard_is_not_waited_for_any_longer() -> None:
    """R44, R78: requested of a response that never comes."""
    script = speaking()
    script.post(ev.HangupRequested, "r9")
    for _ in range(30):
        script.wait(500)
        script.post(ev.PlayoutProgressed, "r1")
    assert script.of(HangUp) == [HangUp(Reason.APPLICATION)]


def test_a_hang_up_wished_for_before_the_goodbye_has_an_id_waits_for_it() -> None:
    """R42: the live response is the one that was asked for, not the one before it."""
    script = answered()
    caller_says(script, "u2")
    script.expects(response=states.REQUESTED)
    script.post(ev.HangupRequested)
    script.expects(hangup=states.PARTING)
    say(script, "r2")
    assert script.of(HangUp) == [HangUp(Reason.APPLICATION)]


def test_a_tool_is_run_once_however_often_it_is_told() -> None:
    """R89: also after it has answered."""
    script = answering()
    assert script.post(ev.ToolCalled, "t1", "book", "{}", "r1") == [RunTool("t1", "book", "{}")]
    assert script.post(ev.ToolCalled, "t1", "book", "{}", "r1") == []
    script.post(ev.ToolFinished, "t1", "booked")
    assert script.post(ev.ToolCalled, "t1", "book", "{}", "r1") == []


def test_a_tool_of_what_was_cut_off_or_is_not_ours_is_not_run() -> None:
    """R90: the model is told of the one, and nothing of the other."""
    script = interrupted()
    for response_id in ("r1", ""):
        assert script.post(ev.ToolCalled, f"t{response_id}", "book", "{}", response_id) == [SendToolResult(f"t{response_id}", NOT_RUN)]
    assert speaking().post(ev.ToolCalled, "t1", "book", "{}", "foreign") == []


def test_a_tool_waits_for_the_decision_whether_the_caller_interrupts() -> None:
    """R90."""
    script = speaking()
    script.post(ev.SpeechStarted, "u2")
    assert script.post(ev.ToolCalled, "t1", "book", "{}", "r1") == []
    assert RunTool("t1", "book", "{}") in script.post(ev.SpeechStopped, "u2")
    script.expects(tool=states.TOOL_RUNNING)
    for lost in (False, True):
        script = speaking()
        script.post(ev.SpeechStarted, "u2")
        script.post(ev.ToolCalled, "t1", "book", "{}", "r1")
        after = script.post(ev.ResponseCancelled, "r1", "turn_detected") if lost else script.wait(150)
        assert SendToolResult("t1", NOT_RUN) in after
        assert not script.of(RunTool)
