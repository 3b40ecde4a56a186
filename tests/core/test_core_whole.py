"""Claims about an answer that was heard whole, and whose end does not come: it is over, and is not asked for again (R12, R97)."""

from typing import Any

from fsm import events as ev, states
from fsm.call.effects import CancelResponse, Cause, CreateResponse, Flush, Log, Reason, Retire, TellEnded
from fsm.call.snapshot import Debt
from tests.shared.core import Script, answering, expired, hear, heard_out, now, put, reading, speaking

TURN = Debt(Cause.USER_TURN, item_id="u2")


def starved(script: Script | None = None, **fields: Any) -> Script:
    """All that came of an answer was heard, and more of it, or its end, is awaited."""
    script = put(speaking() if script is None else script, "playout", states.STARVED, heard=True)
    return put(script, "response", states.IN_PROGRESS, whole=True, **fields)


def asked_again(script: Script) -> bool:
    """Is the answer asked for again once its response is given up?"""
    script.effects.clear()
    script.wait(4_000)
    return bool(script.of(CreateResponse))


def test_what_was_heard_whole_is_over_without_its_end() -> None:
    """R12, R73, R97: its response is cancelled, as nothing else is asked for before it has ended; what was heard is left as it is."""
    script = hear(answering(), ms=1_000)
    script.post(ev.ItemsDone, "r1")
    assert heard_out(script) == []
    script.expects(playout=states.STARVED, phase=states.AI_SPEAKING)
    effects = script.wait(4_000)
    assert [effect for effect in effects if not isinstance(effect, Log | Retire)] == [CancelResponse("r1")]
    script.expects(playout=states.SILENT, response=states.CANCEL_IN_FLIGHT, phase=states.CANCELLING, truncation=states.IN_STEP)
    script.expects(pending=states.NOTHING, idle=states.ARMED)
    script.post(ev.ResponseCancelled, "r1", "client_cancelled")
    script.expects(pending=states.NOTHING, phase=states.LISTENING)
    assert not asked_again(script)


def test_a_late_end_of_what_was_heard_whole_changes_nothing() -> None:
    """R06, R97: whatever it is."""
    for end in (ev.ResponseCompleted, ev.ResponseCancelled, ev.ResponseFailed, ev.ResponseIncomplete):
        script = starved()
        expired(script, "playout")
        script.post(end, "r1", "boom")
        script.expects(pending=states.NOTHING, phase=states.LISTENING)
        assert not asked_again(script)


def test_what_is_not_known_to_be_whole_is_asked_for_again() -> None:
    """R97: nor is what was begun after the rest was done, or what nobody heard."""
    for kind, fields in ((ev.ItemAdded, ("r1", "item_2")), (ev.AudioArrived, ("r1", "item_2"))):
        script = starved()
        now(script, kind, *fields)
        assert not script.call.response.whole
        script = starved()
        now(script, kind, "r9", *fields[1:])
        assert script.call.response.whole
    script = speaking()
    now(script, ev.ItemsDone, "r9")
    assert not script.call.response.whole
    for script in (put(starved(), "response", states.IN_PROGRESS, whole=False), put(starved(), "playout", states.STARVED, heard=False)):
        effects = expired(script, "playout")
        assert (Flush("r1") in effects, CancelResponse("r1") in effects) == (True, True)
        script.post(ev.ResponseCancelled, "r1")
        assert asked_again(script)
    earlier = put(starved(), "playout", states.PLAYING, heard=True, id="r0")
    assert CancelResponse("r1") not in expired(earlier, "playout")


def test_a_new_response_is_not_whole_before_its_items_are() -> None:
    """R97: whoever begins it."""
    for status in (states.REQUESTED, states.NONE):
        script = put(put(speaking(), "response", status, whole=True), "playout", states.SILENT)
        now(script, ev.ResponseCreated, "r2")
        assert not script.call.response.whole


def test_another_answer_that_is_owed_is_asked_for_and_the_one_heard_is_not() -> None:
    """R93, R97: once the end of the heard one has come, or its deadline."""
    for voice in (speaking, reading):
        entry = Debt(Cause.ENTRY)
        script = put(starved(voice()), "pending", states.WANTED, owed=(entry,), asked=(TURN,))
        put(script, "synthesis", states.RESTING)
        effects = expired(script, "playout")
        assert not [effect for effect in effects if isinstance(effect, CreateResponse)]
        assert script.call.pending.owed == (entry,)
        script.post(ev.ResponseCancelled, "r1")
        assert script.of(CreateResponse)[-1].cause is Cause.ENTRY


def test_what_is_still_heard_is_not_over_though_it_has_come_whole() -> None:
    """R36, R78: a notice whose end does not come in all its time is flushed, and said again."""
    script = put(starved(cause=Cause.NOTICE), "playout", states.PLAYING, heard=True, notice=True)
    put(script, "pending", states.NOTHING, asked=(Debt(Cause.NOTICE, text="recorded"),))
    assert Flush("r1") in expired(script, "response")
    assert [debt.cause for debt in script.call.pending.owed] == [Cause.NOTICE]


def test_recoveries_are_not_used_up_by_what_was_heard_whole() -> None:
    """R16, R97: nor does the last of them end the call."""
    script = put(starved(), "pending", states.NOTHING, asked=(TURN,), recoveries=2)
    effects = expired(script, "playout")
    assert not [effect for effect in effects if isinstance(effect, TellEnded)]
    script.expects(hangup=states.STAYING, cooldown=states.WARM, playout=states.SILENT)
    assert script.call.pending.recoveries == 2


def test_a_goodbye_that_was_heard_whole_ends_the_call_without_its_end() -> None:
    """R42, R97: a farewell of ours too; another response's goodbye is awaited."""
    for cause in (Cause.USER_TURN, Cause.FAREWELL):
        script = put(starved(), "hangup", states.GOODBYE, id="r1", reason=Reason.GOODBYE)
        put(script, "pending", states.NOTHING, asked=(Debt(cause),))
        ends = [effect for effect in expired(script, "playout") if isinstance(effect, TellEnded)]
        assert [end.reason for end in ends] == [Reason.GOODBYE]
    other = put(starved(), "hangup", states.GOODBYE, id="r9", reason=Reason.GOODBYE)
    expired(other, "playout")
    other.expects(hangup=states.GOODBYE)


def test_a_notice_that_was_heard_whole_is_paid() -> None:
    """R36, R97: it is not said twice."""
    script = put(starved(cause=Cause.NOTICE), "playout", states.STARVED, heard=True, notice=True)
    put(script, "pending", states.NOTHING, asked=(Debt(Cause.NOTICE, text="recorded"),))
    expired(script, "playout")
    script.post(ev.ResponseCancelled, "r1")
    assert not asked_again(script)
