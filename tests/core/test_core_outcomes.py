"""Claims about tools, responses, the session and the hang-up in every state: what becomes of each, and what is remembered of it."""

from typing import Any

from fsm import events as ev, states
from fsm.call.effects import (
    CancelResponse,
    Cause,
    CreateResponse,
    Flush,
    Hold,
    ProtectResponse,
    Reason,
    ReleaseResponse,
    Resume,
    RunTool,
    SendToolResult,
    TellEnded,
)
from fsm.call.guards import ACTIVE_ALREADY, AUDIBLE, CANCELLINGS, IDLE
from fsm.call.snapshot import Debt, Sentence, ToolCall
from fsm.call.tool import NOT_RUN
from tests.shared.core import (
    answering,
    asked,
    begun,
    caller_says,
    expired,
    greeting,
    hear,
    idle,
    now,
    playing_out,
    put,
    reading,
    speaking,
)

ONE = "call.r1.1"
TOOLS = ((states.NO_TOOL, ()), (states.TOOL_RUNNING, ("t1",)), (states.TOOL_SLOW, ("t1",)))
WAITING = (ToolCall("w1", "look_up", "{}", "r1"), ToolCall("w2", "write", "[]", "r1"))


def of(effects: Any, *kinds: type) -> list[Any]:
    return [effect for effect in effects if isinstance(effect, kinds)]


# Tools.


def test_a_tool_of_what_was_interrupted_is_refused_whatever_runs() -> None:
    """R89, R90: once."""
    for state, pending in TOOLS:
        for status in (states.WITHDRAWN, *CANCELLINGS, states.CANCELLED):
            script = put(put(speaking(), "response", status), "tool", state, pending=pending)
            assert now(script, ev.ToolCalled, "t9", "look_up", "{}", "r1") == (SendToolResult("t9", NOT_RUN),)
            script.expects(tool=state)
            assert (script.call.tool.pending, script.call.tool.told) == (pending, ("t9",))
            assert now(script, ev.ToolCalled, "t9", "look_up", "{}", "r1") == ()


def test_a_tool_of_what_was_cancelled_at_its_birth_is_refused_whatever_runs() -> None:
    """R68, R90: once; it is one response too many, and what is heard goes on."""
    for state, pending in TOOLS:
        script = put(speaking(), "tool", state, pending=pending)
        script.post(ev.ResponseCreated, "r2")
        assert now(script, ev.ToolCalled, "t9", "look_up", "{}", "r2") == (SendToolResult("t9", NOT_RUN),)
        assert (script.call.tool.state, script.call.tool.pending, script.call.tool.told) == (state, pending, ("t9",))
        assert now(script, ev.ToolCalled, "t9", "look_up", "{}", "r2") == ()


def test_tools_that_run_and_wait_are_bounded_together() -> None:
    """R07, R89: the one too many is refused once."""
    for state, pending in TOOLS:
        for most, refused in ((len(pending) + 1, True), (len(pending) + 2, False)):
            script = put(speaking(tools_at_once=most), "tool", state, pending=pending, waiting=WAITING[:1])
            effects = now(script, ev.ToolCalled, "t9", "look_up", "{}", "r1")
            assert effects == ((SendToolResult("t9", "error: too many tools at once"),) if refused else (RunTool("t9", "look_up", "{}"),))
            assert script.call.tool.told == ("t9",)
            assert now(script, ev.ToolCalled, "t9", "look_up", "{}", "r1") == ()


def test_a_tool_waits_for_the_decision_whatever_runs() -> None:
    """R90: and each is remembered, the last ones alone (R07)."""
    for state, pending in TOOLS:
        for suspicion in (states.ECHOED, states.SUSPECTED):
            script = put(put(speaking(remembered_ids=2), "interruption", suspicion), "tool", state, pending=pending, told=("a", "b"))
            assert now(script, ev.ToolCalled, "w1", "look_up", "{}", "r1") == ()
            assert now(script, ev.ToolCalled, "w2", "write", "[]", "r1") == ()
            assert script.call.tool.waiting == WAITING
            assert (script.call.tool.pending, script.call.tool.told) == (pending, ("w1", "w2"))


def test_tools_that_waited_run_when_the_voice_goes_on() -> None:
    """R74, R90: whatever runs and however it is decided; once, behind those that run; where none waits, none does."""
    for state, pending in TOOLS:
        for waiting in (WAITING, ()):
            for suspicion in (states.ECHOED, states.SUSPECTED):
                for decides in ("stopped", "backchannel", "unverified", "cancelled"):
                    script = put(put(speaking(interruption_by="detector"), "interruption", suspicion), "tool", state, pending=pending)
                    script = put(script, "tool", state, waiting=waiting)
                    if decides == "cancelled":
                        script = put(script, "tool", state, waiting=tuple(ToolCall(one.id, one.name, one.arguments, "") for one in waiting))
                    effects: tuple[Any, ...]
                    if decides == "unverified":
                        effects = expired(script, "interruption")
                    elif decides == "cancelled":
                        effects = now(script, ev.ResponseCancelled, "r1")
                    else:
                        effects = now(script, ev.SpeechStopped if decides == "stopped" else ev.BackchannelHeard)
                    assert of(effects, RunTool, SendToolResult) == [RunTool(one.id, one.name, one.arguments) for one in waiting]
                    assert script.call.tool.pending == (*pending, *[one.id for one in waiting])
                    assert script.call.tool.waiting == ()
                    script.expects(tool=states.TOOL_RUNNING if waiting and state is states.NO_TOOL else state, interruption=states.CLEAR)
                    assert len(of(effects, Resume)) == int(suspicion is states.SUSPECTED)


def test_tools_that_waited_are_refused_with_what_is_interrupted_or_cancelled() -> None:
    """R90: whatever runs; and the end of another response refuses none."""
    for state, pending in TOOLS:
        for decided in (True, False):
            for waiting in (WAITING, ()):
                script = put(put(speaking(), "interruption", states.SUSPECTED), "tool", state, pending=pending, waiting=waiting)
                effects = expired(script, "interruption") if decided else now(script, ev.ResponseCancelled, "r1")
                assert of(effects, RunTool, SendToolResult) == [SendToolResult(one.id, NOT_RUN) for one in waiting]
                assert (script.call.tool.pending, script.call.tool.waiting) == (pending, ())
                script.expects(tool=state)
        script = put(put(speaking(), "interruption", states.SUSPECTED), "tool", state, pending=pending, waiting=WAITING)
        assert of(now(script, ev.ResponseCancelled, "r9"), SendToolResult) == []
        assert script.call.tool.waiting == WAITING


def test_the_caller_of_a_slow_tool_is_told_once() -> None:
    """R80: by the shortest pause that may be set, and not when it is given up, nor where the policy says never, nor over a voice."""
    for state, filler_ms, told in ((states.TOOL_RUNNING, 1, True), (states.TOOL_SLOW, 1, False), (states.TOOL_RUNNING, 0, False)):
        script = put(idle(tool_filler_ms=filler_ms), "tool", state, pending=("t1", "t2"))
        assert (CreateResponse(Cause.TOOL_FILLER) in expired(script, "tool")) is told
        script.expects(tool=states.TOOL_SLOW)
        assert len(script.call.tool.pending) == (2 if told else 1)
    script = put(speaking(), "tool", states.TOOL_RUNNING, pending=("t1",))
    expired(script, "tool")
    script.expects(pending=states.NOTHING)
    assert script.call.pending.owed == ()


# The response.


def test_the_end_of_one_response_leads_to_the_end_of_the_one_refused_at_its_birth() -> None:
    """R73: in every status; a failure ends both."""
    for status in (states.IN_PROGRESS, *CANCELLINGS):
        for kind in (ev.ResponseCompleted, ev.ResponseCancelled):
            script = put(speaking(), "response", status, unwanted=("r8", "r9"), unsent=1)
            now(script, kind, "r1")
            script.expects(response=states.CANCEL_IN_FLIGHT)
            assert (script.call.response.id, script.call.response.unwanted, script.call.response.unsent) == ("r8", ("r9",), 0)
            assert script.call.response.ended == ("r1",)
            now(script, ev.ResponseCancelled, "r8")
            now(script, ev.ResponseCancelled, "r9")
            script.expects(response=states.CANCELLED)
            assert (script.call.response.ended, script.call.response.unwanted) == (("r1", "r8", "r9"), ())


def test_every_end_is_remembered_in_every_status() -> None:
    """R06: and one refused at its birth is awaited no longer; another's failure ends nothing."""
    for status in (states.IN_PROGRESS, *CANCELLINGS):
        for kind in (ev.ResponseCompleted, ev.ResponseCancelled, ev.ResponseFailed, ev.ResponseIncomplete):
            script = put(speaking(), "response", status)
            now(script, kind, "r1")
            assert script.call.response.ended == ("r1",)
            foreign = put(speaking(), "response", status, unwanted=("r9", "r8"))
            now(foreign, kind, "r9")
            foreign.expects(response=status)
            assert (foreign.call.response.id, foreign.call.response.ended, foreign.call.response.unwanted) == ("r1", ("r9",), ("r8",))
    unanswered = put(speaking(), "response", states.CANCEL_IN_FLIGHT, unwanted=("r9",))
    unsent = put(speaking(cancel_attempts=1), "response", states.CANCEL_IN_FLIGHT, unwanted=("r9",))
    expired(unanswered, "response")
    now(unsent, ev.CancelUnsent, "r1")
    for script in (unanswered, unsent):
        script.expects(response=states.CANCELLED)
        assert (script.call.response.ended, script.call.response.unwanted) == (("r1",), ())


def test_a_response_that_ends_with_nothing_to_hear_is_completed_and_failed_us() -> None:
    """R06, R91: with no sound, and no tool called; then the model is said to be at fault when it happens too often."""
    for recoveries in (0, 1):
        script = answering(recoveries=recoveries)
        effects = now(script, ev.ResponseCompleted, "r1")
        if not recoveries:
            assert TellEnded(Reason.MODEL_FAILED, "nothing_to_hear") in effects
            continue
        script.expects(response=states.COMPLETED, pending=states.PAUSED)
        assert script.call.response.ended == ("r1",)
        assert (script.call.response.fault, script.call.response.wait_ms) == ("nothing_to_hear", 0.0)
    for tool_response, failed in (("r1", False), ("", False), ("r9", True)):
        script = answering()
        now(script, ev.ToolCalled, "t1", "look_up", "{}", tool_response)
        assert script.call.response.called is not failed
        now(script, ev.ResponseCompleted, "r1")
        script.expects(pending=states.PAUSED if failed else states.NOTHING)
    for status in (states.ONSET, states.PLAYING, states.TAIL, states.STARVED):
        script = put(speaking(), "playout", status)
        now(script, ev.ResponseCompleted, "r1")
        script.expects(pending=states.NOTHING)
    spoken = reading()
    now(spoken, ev.ResponseCompleted, "r1")
    spoken.expects(pending=states.NOTHING)
    other = answering()
    now(other, ev.ResponseCompleted, "r9")
    other.expects(response=states.IN_PROGRESS, pending=states.NOTHING)
    behind = put(put(playing_out(), "playout", states.PLAYING, next_id="r2"), "response", states.IN_PROGRESS, id="r2")
    now(behind, ev.ResponseCompleted, "r2")
    behind.expects(pending=states.PAUSED)
    behind = put(put(playing_out(), "playout", states.PLAYING, next_id="r2", arrived_id="r2"), "response", states.IN_PROGRESS, id="r2")
    now(behind, ev.ResponseCompleted, "r2")
    behind.expects(pending=states.NOTHING)


def test_what_is_told_of_a_failure_is_of_that_failure() -> None:
    """R14, R92: silence says nothing, and a new response begins anew."""
    script = put(asked(), "response", states.REQUESTED, wait_ms=2_000.0, fault="boom")
    expired(script, "response")
    assert (script.call.response.wait_ms, script.call.response.fault) == (0.0, "")
    for state in IDLE:
        script = put(idle(), "response", state, id="r0", fault="boom", unsent=2, wait_ms=2_000.0, called=True, cause=Cause.NOTICE)
        now(script, ev.ResponseCreated, "r1")
        response = script.call.response
        assert (response.id, response.unsent, response.ended, response.called, response.wait_ms) == ("r1", 0, ("r0",), False, 0.0)
        assert response.cause is Cause.USER_TURN
    script = put(asked(), "response", states.REQUESTED, id="r0", fault="boom", unsent=2, wait_ms=2_000.0, called=True)
    now(script, ev.ResponseCreated, "r1")
    response = script.call.response
    assert (response.id, response.unsent, response.ended, response.called, response.wait_ms) == ("r1", 0, ("r0",), False, 0.0)


def test_the_responses_refused_at_their_birth_are_bounded() -> None:
    """R07, R73."""
    script = speaking(remembered_ids=2, queued_sentences=64)
    for ours in ("r7", "r8", "r9"):
        assert now(script, ev.ResponseCreated, ours) == (CancelResponse(ours),)
    assert (script.call.response.unwanted, script.call.response.ended) == (("r8", "r9"), ("r8", "r9"))


def test_a_blocked_request_fails_with_the_end_that_it_waited_for() -> None:
    """R11: however that ended."""
    for kind in (ev.ResponseCompleted, ev.ResponseCancelled, ev.ResponseFailed, ev.ResponseIncomplete):
        script = asked()
        now(script, ev.CreateRefused, ACTIVE_ALREADY)
        script.call = put(script, "turn", states.SPEAKING).call
        now(script, kind, "r0")
        script.expects(response=states.FAILED)
        assert script.call.response.ended == ("r0",)


# The voice.


def test_a_device_that_plays_nothing_is_stalled_in_every_state_in_which_it_should() -> None:
    """R79: but not while the voice is held."""
    for state, ahead in ((states.ADMITTED, True), (states.STARVED, True), (states.PLAYING, True), (states.PLAYING, False)):
        for suspicion in (states.CLEAR, states.LOCKED, states.SUSPECTED):
            script = put(put(reading(), "playout", state), "interruption", suspicion)
            script = put(script, "synthesis", states.AHEAD if ahead else states.RESTING)
            flushed = Flush("r1") in expired(script, "playout")
            assert flushed is (suspicion is not states.SUSPECTED)
            script.expects(playout=states.SILENT if flushed else state)


def test_the_loss_of_the_only_sentence_is_a_failed_answer() -> None:
    """R77, R91: however it is lost; not where another waits, or more is generated, or it is another response's; then the voice waits."""
    for state, heard in ((states.ADMITTED, False), (states.STARVED, True), (states.STARVED, False)):
        for lost in (ev.SynthesisFailed, ev.SynthesisDiscarded, None):
            for status, response_id, queue, session_id, over in (
                (states.COMPLETED, "r1", (), ONE, True),
                (states.INCOMPLETE, "r1", (), ONE, True),
                (states.COMPLETED, "r2", (), ONE, True),
                (states.COMPLETED, "r1", (Sentence("r1", 2, "Two.", "item_r1"),), ONE, False),
                (states.COMPLETED, "r1", (Sentence("r2", 2, "Two.", "r1"),), ONE, True),
                (states.IN_PROGRESS, "r1", (), ONE, False),
                (states.COMPLETED, "r1", (), "call.r9.1", False),
            ):
                if lost is None and session_id != ONE:
                    continue
                script = put(put(reading(), "playout", state, heard=heard), "response", status, id=response_id)
                script = put(script, "synthesis", states.SYNTHESISING, queue=queue)
                if lost is None:
                    expired(script, "synthesis")
                else:
                    now(script, lost, session_id)
                script.expects(playout=states.SILENT if over else state)
                failed = over and not heard and status is states.COMPLETED and response_id == "r1"
                script.expects(pending=states.PAUSED if failed else states.NOTHING)


def test_an_answer_that_waits_for_its_tool_may_go_on_longer() -> None:
    """R97: as long as any pause in its middle, from the tool's answer; where it called none, its first sound is awaited as before."""
    for called in (True, False):
        for status in (states.IN_PROGRESS, states.COMPLETED):
            script = put(put(answering(), "response", status, called=called), "tool", states.TOOL_RUNNING, pending=("t1",))
            now(script, ev.ToolFinished, "t1", "found")
            script.expects(playout=states.STARVED if called and status is states.IN_PROGRESS else states.ADMITTED)


def test_a_pause_in_the_middle_is_counted_from_the_last_sentence() -> None:
    """R97: and explained by a tool or a sentence; then it is counted anew."""
    script = put(reading(), "playout", states.STARVED)
    script.now_ms += 1_000
    now(script, ev.SentenceSynthesised, "call.r9.1", 500.0)
    assert script.call.playout.due_ms == script.now_ms + 3_000
    now(script, ev.SentenceSynthesised, ONE, 500.0)
    script.expects(playout=states.STARVED)
    assert script.call.playout.due_ms == script.now_ms + 4_000
    tool = put(put(speaking(), "playout", states.STARVED), "tool", states.TOOL_RUNNING, pending=("t1",))
    sentence = put(put(reading(), "playout", states.STARVED), "response", states.COMPLETED)
    for script in (tool, sentence):
        expired(script, "playout")
        script.expects(playout=states.STARVED)
        assert script.call.playout.due_ms == script.now_ms + 4_000
    ended = put(put(put(speaking(), "playout", states.STARVED), "tool", states.TOOL_RUNNING, pending=("t1",)), "response", states.COMPLETED)
    expired(ended, "playout")
    ended.expects(playout=states.SILENT, truncation=states.IN_STEP)
    generated = put(speaking(), "playout", states.STARVED)
    expired(generated, "playout")
    generated.expects(playout=states.SILENT, truncation=states.POSITION_AWAITED)


def test_an_interruption_by_a_key_is_one_from_every_state() -> None:
    """R63, R101: the voice is held once; a late terminator, a protected voice or one that is not heard is none, nor where keys may not."""
    for suspicion in (states.CLEAR, states.ECHOED, states.SUSPECTED):
        for playout in AUDIBLE:
            heard = playout not in (states.ADMITTED, states.VOICELESS)
            script = put(put(speaking(), "playout", playout), "interruption", suspicion)
            effects = now(script, ev.DigitPressed, "1")
            script.expects(interruption=states.LOCKED if heard else suspicion)
            assert len(of(effects, Hold)) == int(heard and suspicion is not states.SUSPECTED)
            assert (Flush("r1") in effects) is heard
        for key, entry, interrupts in (("#", states.SUBMITTED, False), ("1", states.SUBMITTED, True), ("#", states.NO_ENTRY, True)):
            script = put(put(speaking(), "interruption", suspicion), "dtmf", entry)
            now(script, ev.DigitPressed, key)
            script.expects(interruption=states.LOCKED if interrupts else suspicion)
        script = put(speaking(keys_interrupt=False), "interruption", suspicion)
        now(script, ev.DigitPressed, "1")
        script.expects(interruption=suspicion)
        script = put(put(hear(greeting(), "g1"), "interruption", suspicion), "turn", states.SPEAKING)
        now(script, ev.DigitPressed, "1")
        script.expects(interruption=suspicion)


# The session.


def test_a_notice_is_guarded_from_its_own_beginning() -> None:
    """R36: as long as any, in a session that is guarded already; and nothing else is."""
    for state in (states.GUARDED, states.READY, states.AGED):
        script = put(idle(), "session", state)
        script.now_ms += 10
        effects = now(script, ev.NoticeRequested, "one")
        assert CreateResponse(Cause.NOTICE, "one") in effects
        assert (ProtectResponse() in effects) is (state is not states.GUARDED)
        script.expects(session=states.GUARDED)
        assert script.call.session.due_ms == script.now_ms + script.call.policy.greeting_ms
    script = put(idle(), "session", states.GUARDED)
    due_ms = script.call.session.due_ms
    script.now_ms += 10
    now(script, ev.DigitPressed, "1")
    caller_says(script)
    assert script.of(CreateResponse) == [CreateResponse(Cause.USER_TURN)]
    waits = put(put(idle(), "session", states.GUARDED), "turn", states.SPEAKING)
    waits.now_ms += 10
    now(waits, ev.NoticeRequested, "one")
    assert waits.call.session.due_ms == due_ms


def test_only_what_was_protected_gives_the_rights_back() -> None:
    """R36: the end of a notice or the greeting; not another answer's, nor where a notice or the greeting is next."""
    for notice, phase, released in (
        (True, states.AI_SPEAKING, True),
        (False, states.AI_SPEAKING, False),
        (False, states.GREETING_LOCK, True),
    ):
        for pending, owed in ((states.NOTHING, ()), (states.WANTED, (Debt(Cause.NOTICE),)), (states.OWED, (Debt(Cause.NOTICE),))):
            script = put(put(playing_out(), "playout", states.PLAYING, notice=notice), "session", states.GUARDED)
            script = put(put(put(script, "phase", phase), "pending", pending, owed=owed), "turn", states.SPEAKING)
            effects = now(script, ev.PlayoutFinished, "r1", 1000.0)
            assert (ReleaseResponse() in effects) is (released and pending is not states.WANTED)


def test_a_new_session_guards_a_greeting_that_is_owed_or_under_way() -> None:
    """R36: and no other."""
    for pending, owed, cause, status, guards in (
        (states.WANTED, (Debt(Cause.GREETING),), Cause.USER_TURN, states.NONE, True),
        (states.WANTED, (Debt(Cause.USER_TURN),), Cause.USER_TURN, states.NONE, False),
        (states.NOTHING, (), Cause.GREETING, states.REQUESTED, True),
        (states.NOTHING, (), Cause.USER_TURN, states.REQUESTED, False),
        (states.NOTHING, (), Cause.GREETING, states.FAILED, False),
    ):
        script = put(put(begun(), "session", states.CONFIGURING), "pending", pending, owed=owed)
        script = put(put(script, "response", status, cause=cause), "turn", states.SPEAKING)
        effects = now(script, ev.SessionConfirmed)
        script.expects(session=states.GUARDED if guards else states.READY)
        assert (ReleaseResponse() in effects) is not guards


# The hang-up.


def test_a_refusal_for_good_ends_the_call_whatever_was_wished() -> None:
    """R18: in the server's words, and only of what we asked for."""
    for state in (states.STAYING, states.PARTING, states.GOODBYE):
        script = put(put(asked(), "pending", states.WANTED, owed=(Debt(Cause.ENTRY),)), "hangup", state)
        assert TellEnded(Reason.MODEL_FAILED, "insufficient_quota") in now(script, ev.CreateRefused, "insufficient_quota")
        script.expects(hangup=states.OVER)
        script = put(speaking(), "hangup", state)
        now(script, ev.CreateRefused, "insufficient_quota")
        script.expects(hangup=state)


def test_an_answer_cut_once_too_often_ends_the_call_whatever_was_wished() -> None:
    """R93: with nobody speaking and no other answer owed; a greeting ends none."""
    for state in (states.STAYING, states.PARTING, states.GOODBYE):
        for turn, owed, cause, over in (
            (states.QUIET, (), Cause.USER_TURN, True),
            (states.SPEAKING, (), Cause.USER_TURN, False),
            (states.QUIET, (Debt(Cause.ENTRY),), Cause.USER_TURN, False),
            (states.QUIET, (Debt(Cause.ENTRY, again=True),), Cause.USER_TURN, True),
            (states.QUIET, (), Cause.GREETING, False),
        ):
            script = put(put(answering(recoveries=0), "hangup", state), "turn", turn)
            script = put(put(script, "response", states.IN_PROGRESS, cause=cause), "pending", states.WANTED, owed=owed)
            now(script, ev.ResponseCancelled, "r1")
            assert (script.call.hangup.state is states.OVER) is over


def test_a_farewell_that_fails_is_asked_for_again_and_another_goodbye_is_not_awaited() -> None:
    """R53, R54: whether it failed or brought no sound; another response's failure changes neither."""
    for missing in (False, True):
        for cause, response_id, after in (
            (Cause.FAREWELL, "r1", states.PARTING),
            (Cause.USER_TURN, "r1", states.STAYING),
            (Cause.FAREWELL, "r9", states.GOODBYE),
        ):
            script = put(put(answering(), "hangup", states.GOODBYE, id=response_id), "playout", states.VOICELESS)
            script = put(script, "pending", states.NOTHING, asked=(Debt(cause),))
            if missing:
                expired(script, "playout")
            else:
                now(script, ev.ResponseFailed, "r1", "server_error")
            script.expects(hangup=after)
    script = put(put(answering(), "hangup", states.GOODBYE, id="r1"), "pending", states.WANTED, owed=(Debt(Cause.FAREWELL),), asked=())
    now(script, ev.ResponseFailed, "r1", "server_error")
    script.expects(hangup=states.STAYING)


def test_a_stopped_response_is_a_goodbye_only_when_it_was_heard() -> None:
    """R42, R91: the one that is over, which came to its end before or after another."""
    for goodbye_id, status, response_id, over in (
        ("r1", states.COMPLETED, "r1", True),
        ("r9", states.COMPLETED, "r1", False),
        ("r1", states.CANCEL_IN_FLIGHT, "r1", False),
        ("r1", states.CANCEL_IN_FLIGHT, "r2", True),
    ):
        script = put(put(playing_out(), "response", status, id=response_id), "hangup", states.GOODBYE, id=goodbye_id)
        now(script, ev.PlayoutFinished, "r1", 1000.0)
        assert (script.call.hangup.state is states.OVER) is over
