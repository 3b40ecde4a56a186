"""Claims about a call that outlives its process: taken up from its record by another, and left alone by whoever has lost it (R110)."""

from typing import Any

from fsm import events as ev, states
from fsm.call.effects import (
    CancelSynthesis,
    Cause,
    ConfigureSession,
    CreateResponse,
    DeleteItem,
    HangUp,
    Reason,
    RewriteItem,
    RunTool,
    SendToolResult,
    TellEnded,
    TruncateItem,
)
from fsm.call.guards import AUDIBLE, CANCELLINGS
from fsm.call.tool import NOT_BEGUN, UNKNOWN
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
    now,
    playing_out,
    put,
    reading,
    speaking,
)

RECOVERY = [CreateResponse(Cause.RECOVERY)]


def told(response_id: str = "r1", played_ms: float = 400.0, received_ms: float = 900.0, *items: ev.Heard) -> ev.PlayoutStopped:
    """What the record tells of a response."""
    return ev.PlayoutStopped(0.0, response_id, played_ms, received_ms, items)


def taken_up(script: Script, *heard: ev.PlayoutStopped, repeatable: tuple[ev.ToolCalled, ...] = ()) -> list[Any]:
    """Another process goes on."""
    return script.post(ev.TakenUp, heard, repeatable)


def resumed(script: Script) -> list[Any]:
    """The line and the session are there again; what is asked for then."""
    before = len(script.effects)
    script.post(ev.LineOpened)
    script.post(ev.SessionOpened)
    script.post(ev.SessionConfirmed)
    return [effect for effect in script.effects[before:] if isinstance(effect, CreateResponse | HangUp | TellEnded)]


def test_a_call_in_which_nothing_goes_on_goes_on() -> None:
    """R110: nothing is said and nothing is asked for; line and session are awaited, the session is set up, and the caller is answered."""
    script = idle()
    assert taken_up(script) == []
    script.expects(line=states.LINE_AWAITED, session=states.CONNECTING, phase=states.LISTENING, calibration=states.CALIBRATED)
    assert resumed(script) == []
    assert script.of(ConfigureSession) == [ConfigureSession(), ConfigureSession()]
    caller_says(script)
    script.expects(response=states.REQUESTED)


def test_a_call_that_nobody_brings_back_ends() -> None:
    """R78, R82: the line is awaited as long as one that rings, and the session as long as any."""
    for event, reason in ((ev.LineOpened, Reason.SESSION_UNCONFIRMED), (ev.SessionOpened, Reason.NO_LINE)):
        script = idle()
        taken_up(script)
        script.post(event)
        if event is ev.SessionOpened:
            script.post(ev.SessionConfirmed)
        script.settle()
        assert script.of(TellEnded) == [TellEnded(reason)]


def test_whatever_is_under_way_is_under_way_no_more() -> None:
    """R110: in every state of the response, the voice, the suspicion and the session."""
    for state in (states.REQUESTED, states.BLOCKED, states.WITHDRAWN, states.IN_PROGRESS, *CANCELLINGS):
        script = put(speaking(), "response", state)
        taken_up(script, told())
        after = script.call.response
        assert after.state in (states.FAILED, states.CANCELLED)
        assert ("r1" in after.ended) is (state in (states.IN_PROGRESS, *CANCELLINGS)), state
    for state in AUDIBLE:
        script = put(speaking(), "playout", state)
        taken_up(script, told())
        script.expects(playout=states.SILENT)
        assert script.call.playout.id == ""
    for state in (states.ECHOED, states.SUSPECTED, states.LOCKED):
        script = put(speaking(), "interruption", state)
        assert not [effect for effect in taken_up(script, told()) if type(effect).__name__ == "Resume"], "the new line holds nothing"
        script.expects(interruption=states.CLEAR)
    for state in (states.CONNECTING, states.CONFIGURING, states.GUARDED, states.READY, states.AGED, states.LOST):
        script = put(idle(), "session", state)
        taken_up(script)
        script.expects(session=states.CONNECTING)
    for state in (states.GREETING_LOCK, states.AI_SPEAKING, states.CANCELLING):
        script = put(speaking(), "phase", state)
        taken_up(script, told())
        script.expects(phase=states.LISTENING)
    for state in (states.LINE_AWAITED, states.OPEN):
        script = put(idle(), "line", state)
        script.now_ms += 1_000
        now(script, ev.TakenUp)
        assert script.call.line.due_ms == script.now_ms + script.call.policy.line_ms


def test_an_answer_that_was_broken_off_is_gone_on_with_from_what_was_heard() -> None:
    """R34, R88, R93: the model remembers the part that was heard, and is asked to go on."""
    script = speaking()
    assert taken_up(script, told()) == [TruncateItem("item_r1", 400)]
    script.expects(truncation=states.IN_STEP, pending=states.WANTED)
    assert resumed(script) == RECOVERY


def test_an_answer_of_which_nothing_was_heard_is_forgotten_and_asked_for_again() -> None:
    """R71, R93."""
    script = answering()
    script.post(ev.ItemAdded, "r1", "item_r1")
    assert taken_up(script, told("r1", 0.0, 0.0)) == [DeleteItem("item_r1")]
    assert resumed(script) == RECOVERY


def test_an_answer_that_was_asked_for_is_asked_for_again() -> None:
    """R85, R93: its session is gone with the process."""
    script = asked()
    assert taken_up(script) == []
    assert resumed(script) == RECOVERY


def test_an_answer_that_is_generated_and_not_heard_out_is_gone_on_with() -> None:
    """R75, R93: in each state of what is owed."""
    script = playing_out()
    taken_up(script, told())
    assert resumed(script) == RECOVERY
    for state in (states.NOTHING, states.OWED, states.WANTED):
        script = put(playing_out(), "pending", state)
        taken_up(script, told())
        script.expects(pending=states.WANTED)


def test_an_answer_that_was_heard_to_its_end_is_not_said_again() -> None:
    """R91, R93: the record tells that all of it was heard."""
    script = playing_out()
    assert taken_up(script, told("r1", 900.0, 900.0)) == []
    assert resumed(script) == []
    script.expects(pending=states.NOTHING)


def test_only_an_answer_with_nothing_more_to_come_was_heard_to_its_end() -> None:
    """R75: not one that is generated, or that another follows; nor does what was heard of another say so."""
    for script in (speaking(), playing_out()):
        generated = script.call.response.state is states.IN_PROGRESS
        taken_up(script, told("r1" if generated else "r0", 900.0, 900.0))
        assert resumed(script) == RECOVERY
    script = playing_out(create_response=True)
    script.post(ev.TurnCommitted, "u2")
    script.post(ev.ResponseCreated, "r2")
    script.post(ev.ItemAdded, "r2", "item_r2")
    assert taken_up(script, told("r1", 900.0, 900.0), told("r2", 0.0, 0.0)) == [DeleteItem("item_r2")]
    assert resumed(script) == RECOVERY


def test_what_came_without_sound_was_not_heard_to_its_end() -> None:
    """R91: none of nothing is not all of it."""
    script = playing_out()
    taken_up(script, told("r1", 0.0, 0.0))
    assert resumed(script) == RECOVERY


def test_a_flush_that_nobody_answered_is_answered_by_the_record() -> None:
    """R71, R88: and only what is to be accounted for is."""
    script = interrupted()
    script.expects(truncation=states.POSITION_AWAITED)
    assert taken_up(script, told("r0", 100.0, 900.0), told()) == [TruncateItem("item_r1", 400)]
    assert script.call.truncation.awaited == ()
    assert script.post(ev.PlayoutStopped, "r1", 500.0, 900.0) == [], "nothing is corrected twice"


def test_a_sentence_that_was_being_spoken_is_cut_to_the_words_that_were_heard() -> None:
    """R34, R77: and the synthesis behind it is cancelled, for it runs on at its server."""
    script = reading()
    script.post(ev.SentenceSynthesised, "call.r1.1", 1_000.0)
    script.post(ev.SentenceCut, "r1", 2, "Two words.", "item_r1")
    script.post(ev.AudioArrived, "r1", "item_r1")
    script.post(ev.SentenceStarted, "call.r1.1", 0.0)
    script.expects(synthesis=states.SYNTHESISING)
    assert taken_up(script, told("r1", 1_000.0, 1_000.0)) == [CancelSynthesis("call.r1.2"), RewriteItem("item_r1", "One.")]
    script.expects(synthesis=states.RESTING)
    assert script.call.truncation.spoken == ()
    assert resumed(script) == RECOVERY
    script = put(reading(), "synthesis", states.AHEAD)
    assert CancelSynthesis("call.r1.1") not in taken_up(script, told("r1", 0.0, 0.0))
    script.expects(synthesis=states.RESTING)
    assert script.call.synthesis.queue == ()


def test_what_comes_late_of_an_answer_that_was_broken_off_is_forgotten() -> None:
    """R88: nothing more of it is heard."""
    script = speaking()
    taken_up(script, told())
    resumed(script)
    assert script.post(ev.ItemAdded, "r1", "item_late") == [DeleteItem("item_late")]


def test_a_turn_that_was_open_is_answered() -> None:
    """R24, R85: whoever spoke, or had stopped, waits for an answer."""
    for stops in (False, True):
        script = idle()
        script.post(ev.SpeechStarted, "u1")
        if stops:
            script.post(ev.SpeechStopped, "u1")
        taken_up(script)
        script.expects(turn=states.STOPPED)
        resumed(script)
        script.wait(script.call.policy.turn_close_ms)
        assert script.of(CreateResponse) == [CreateResponse(Cause.USER_TURN)]


def test_the_servers_own_answer_is_asked_for() -> None:
    """R93: the session that owed it is gone."""
    script = asked(create_response=True)
    taken_up(script)
    script.expects(pending=states.WANTED)
    assert resumed(script) == [CreateResponse(Cause.USER_TURN)]


def test_a_greeting_is_said_once() -> None:
    """R37, R43: said if nothing of it was heard, gone on with if something was, and not said again once it was heard."""
    script = greeting()
    taken_up(script, told("g1", 0.0, 0.0))
    assert resumed(script) == [CreateResponse(Cause.GREETING, "Say hello.")]
    script.expects(session=states.GUARDED)
    script = hear(greeting(), "g1")
    taken_up(script, told("g1"))
    assert resumed(script) == RECOVERY
    script = hear(greeting(), "g1")
    script.post(ev.ResponseCompleted, "g1")
    heard_out(script, "g1")
    taken_up(script)
    script.post(ev.GreetingPrepared, "Say hello.")
    assert resumed(script) == []


def test_a_greeting_whose_first_sentence_was_never_heard_is_said_from_its_beginning() -> None:
    """R37, R93: the speech server, and the device with what it held, are gone with the process."""
    for synthesised in (False, True):
        script = greeting(voice="chatterbox")
        script.post(ev.SentenceCut, "g1", 1, "Hello.", "item_g1")
        if synthesised:
            script.post(ev.SentenceSynthesised, "call.g1.1", 900.0)
        taken_up(script, told("g1", 0.0, 0.0))
        assert resumed(script) == [CreateResponse(Cause.GREETING, "Say hello.")]


def test_a_greeting_that_waits_for_its_text_waits_on() -> None:
    """R37."""
    script = begun()
    taken_up(script)
    script.expects(pending=states.PREPARING)
    resumed(script)
    assert script.post(ev.GreetingPrepared, "Say hello.") == [CreateResponse(Cause.GREETING, "Say hello.")]


def notice(script: Script) -> Script:
    """A notice is being said."""
    script.post(ev.NoticeRequested, "This call is recorded.")
    script.post(ev.ResponseCreated, "n1")
    return hear(script, "n1")


def test_a_notice_is_heard_once_to_its_end() -> None:
    """R36, R93: one that was cut is said again from its beginning, one that was heard is not."""
    script = notice(idle())
    taken_up(script, told("n1"))
    assert resumed(script) == [CreateResponse(Cause.NOTICE, "This call is recorded.")]
    script = notice(idle())
    script.post(ev.ResponseCompleted, "n1")
    taken_up(script, told("n1", 900.0, 900.0))
    assert resumed(script) == []


def test_a_tool_that_ran_is_not_run_again() -> None:
    """R89: the model is told that its outcome is not known, and answers that."""
    script = idle(tools_at_once=4)
    for tool in ("t1", "t2"):
        script.post(ev.ToolCalled, tool, "book", "{}")
    assert taken_up(script) == [SendToolResult("t1", UNKNOWN), SendToolResult("t2", UNKNOWN)]
    script.expects(tool=states.NO_TOOL)
    assert script.call.tool.pending == ()
    assert resumed(script) == [CreateResponse(Cause.TOOL_RESULT)]
    assert script.of(RunTool) == [RunTool("t1", "book", "{}"), RunTool("t2", "book", "{}")]


def test_a_tool_that_says_so_is_run_again() -> None:
    """R89, R110: beside one that does not; its own time goes on, and one that had answered is not run."""
    for state in (states.TOOL_RUNNING, states.TOOL_SLOW):
        script = put(idle(tools_at_once=4), "tool", state, pending=("t1", "t2"))
        due_ms = script.call.tool.due_ms
        again = tuple(ev.ToolCalled(0.0, tool, "look_up", "{}") for tool in ("t0", "t2"))
        assert taken_up(script, repeatable=again) == [RunTool("t2", "look_up", "{}"), SendToolResult("t1", UNKNOWN)]
        assert (script.call.tool.pending, script.call.tool.due_ms) == (("t2",), due_ms)
        resumed(script)
        assert script.post(ev.ToolFinished, "t2", "found") == [SendToolResult("t2", "found"), CreateResponse(Cause.TOOL_RESULT)]


def test_a_tool_call_that_waited_is_not_run() -> None:
    """R90: whether the caller interrupted is not known any more; the model is told, and answers."""
    for pending, again in (((), ()), (("t1",), ()), (("t1",), (ev.ToolCalled(0.0, "t1", "look_up", "{}"),))):
        script = speaking(tools_at_once=4)
        script.post(ev.SpeechStarted, "u2")
        script.post(ev.ToolCalled, "t9", "book", "{}", "r1")
        script = put(script, "tool", states.TOOL_RUNNING if pending else states.NO_TOOL, pending=pending)
        made = taken_up(script, told(), repeatable=again)
        assert SendToolResult("t9", NOT_BEGUN) in made
        assert script.call.tool.waiting == ()
        assert any(debt.cause is Cause.TOOL_RESULT for debt in script.call.pending.owed) is not bool(again)


def test_a_goodbye_that_was_heard_to_its_end_ends_the_call() -> None:
    """R42, R86: as soon as another process has it, once."""
    script = playing_out()
    script.post(ev.GoodbyeSaid, "r1")
    taken_up(script, told("r1", 900.0, 900.0))
    assert script.of(HangUp) == [HangUp(Reason.GOODBYE)]
    assert script.of(TellEnded) == [TellEnded(Reason.GOODBYE)]
    script = put(put(playing_out(), "hangup", states.GOODBYE, id="r1"), "response", states.SERVER_CANCELLING, id="r2", ended=("r1",))
    taken_up(script, told("r1", 900.0, 900.0))
    assert len(script.of(HangUp)) == 1
    script = speaking()
    script.post(ev.GoodbyeSaid, "r1")
    taken_up(script, told("r1", 900.0, 900.0))
    assert script.of(HangUp) == []
    script.expects(hangup=states.STAYING)


def test_a_goodbye_that_was_broken_off_ends_nothing() -> None:
    """R42: the model goes on from what was heard of it, and may say it again."""
    script = playing_out()
    script.post(ev.GoodbyeSaid, "r1")
    taken_up(script, told())
    script.expects(hangup=states.STAYING)
    assert resumed(script) == RECOVERY


def test_an_end_that_was_wished_for_is_still_to_come() -> None:
    """R93: after what is said next, which is that farewell; the application's wish, or ours for a silent caller."""
    script = speaking()
    script.post(ev.HangupRequested, "", "shop closes")
    taken_up(script, told())
    script.expects(hangup=states.PARTING)
    assert resumed(script) == RECOVERY
    script = idle(idle_ms=4_000, idle_prompts=0)
    script.post(ev.DigitPressed, "#")
    script.wait(4_000)
    script.post(ev.ResponseCreated, "f1")
    script.expects(hangup=states.GOODBYE)
    taken_up(script, told("f1", 0.0, 0.0))
    script.expects(hangup=states.PARTING)
    assert resumed(script) == [CreateResponse(Cause.FAREWELL)]


def test_the_clock_goes_on() -> None:
    """R82: the call is as old as it is, its silence and an entry on the keypad too."""
    script = idle(call_ms=100_000, dtmf_pause_ms=4_000)
    limit_ms = script.call.limit.due_ms
    script.post(ev.DigitPressed, "1")
    entry_ms = script.call.dtmf.due_ms
    script.wait(3_000)
    taken_up(script)
    assert (script.call.limit.due_ms, script.call.dtmf.due_ms, script.call.dtmf.digits) == (limit_ms, entry_ms, "1")


def test_a_call_that_is_being_closed_is_closed_on() -> None:
    """R47, R62: nothing is done twice, and its line's end is awaited no longer than before."""
    script = idle()
    script.post(ev.HangupRequested)
    script.expects(phase=states.CLOSING)
    due_ms = script.call.phase.due_ms
    assert taken_up(script) == []
    assert script.call.phase.due_ms == due_ms


def test_whoever_has_lost_the_call_does_nothing_for_it() -> None:
    """R110: in every state of every region, closing too; not even the end is told, for that is the other's to do."""
    for region in idle().machine.regions:
        for state in region.states:
            script = put(hear(reading()), region.name, state)
            assert now(script, ev.OwnershipLost) == (), (region.name, state)
            script.expects(phase=states.CLOSED)
            assert getattr(script.call, region.name).state in (states.OVER, states.CLOSED) or state is states.CLOSED
            assert script.post(ev.CallerHungUp) == []
    script = hear(reading())
    now(script, ev.OwnershipLost)
    assert {state for name, state in script.states().items() if name != "phase"} == {states.OVER}


def test_every_wait_begins_anew_with_the_process_that_waits() -> None:
    """R78: for a session that was being opened, and for the end of a turn."""
    script = put(idle(), "session", states.CONNECTING)
    script.now_ms += 2_000
    now(script, ev.TakenUp)
    assert script.call.session.due_ms == script.now_ms + script.call.policy.session_ms
    script = put(idle(), "turn", states.STOPPED)
    script.now_ms += 1_000
    now(script, ev.TakenUp)
    assert script.call.turn.due_ms == script.now_ms + script.call.policy.turn_close_ms
    script = interrupted()
    taken_up(script, told())
    script.expects(truncation=states.IN_STEP)


def test_what_a_broken_answer_was_to_pay_is_owed_again_whatever_else_is() -> None:
    """R93: and where it was to pay nothing, nothing is."""
    for state in (states.OWED, states.WANTED):
        script = put(playing_out(), "pending", state)
        taken_up(script, told())
        assert [debt.again for debt in script.call.pending.owed] == [True]
    script = put(playing_out(), "pending", states.NOTHING, asked=())
    taken_up(script, told())
    script.expects(pending=states.NOTHING)
    script = hear(greeting(), "g1")
    taken_up(script, told("g1"))
    assert [(debt.cause, debt.again, debt.text) for debt in script.call.pending.owed] == [(Cause.RECOVERY, True, "")]


def test_only_what_may_be_heard_was_heard_to_its_end() -> None:
    """R91: however short it was."""
    script = playing_out()
    taken_up(script, told("r1", 1.0, 1.0))
    script.expects(pending=states.NOTHING)


def test_what_was_accounted_for_is_not_corrected_again() -> None:
    """R88."""
    script = interrupted()
    script.post(ev.PlayoutStopped, "r1", 500.0, 900.0)
    assert taken_up(script, told()) == []


def test_only_the_goodbye_itself_heard_whole_ends_the_call() -> None:
    """R42: not the end of another answer, nor one that was not completed."""
    for script in (
        put(playing_out(), "hangup", states.GOODBYE, id="r9"),
        put(put(playing_out(), "hangup", states.GOODBYE, id="r1"), "response", states.FAILED),
    ):
        taken_up(script, told("r1", 900.0, 900.0))
        assert script.of(HangUp) == []


def test_each_tool_call_is_answered_once() -> None:
    """R89: one that is slow, too."""
    script = put(idle(tools_at_once=4), "tool", states.TOOL_SLOW, pending=("t1",))
    assert taken_up(script) == [SendToolResult("t1", UNKNOWN)]
    script.expects(tool=states.NO_TOOL)
    for pending, again in (((), ()), (("t1",), ()), (("t1",), (ev.ToolCalled(0.0, "t1", "look_up", "{}"),))):
        script = speaking(tools_at_once=4)
        script.post(ev.SpeechStarted, "u2")
        script.post(ev.ToolCalled, "t9", "book", "{}", "r1")
        script = put(script, "tool", states.TOOL_RUNNING if pending else states.NO_TOOL, pending=pending)
        assert taken_up(script, told(), repeatable=again).count(SendToolResult("t9", NOT_BEGUN)) == 1
