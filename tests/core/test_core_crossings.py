"""Claims about responses that cross: one behind another, one beside another, one whose end is told twice, late or never."""

from typing import Any

import pytest

from fsm import events as ev, states
from fsm.call.effects import CancelResponse, CancelSynthesis, Cause, CreateResponse, Flush, HangUp, ProtectResponse, RunTool, Synthesise
from fsm.call.guards import CANCELLINGS
from fsm.call.snapshot import Debt, Item, Sentence, Spoken
from tests.shared.core import Script, answering, expired, idle, now, playing_out, put, reading, speaking

ENDS: tuple[Any, ...] = (ev.ResponseCompleted, ev.ResponseCancelled, ev.ResponseFailed, ev.ResponseIncomplete)
TURN = Debt(Cause.USER_TURN)


def test_what_is_created_over_the_callers_voice_is_cancelled_by_us_whoever_interrupts() -> None:
    """R68: a server cuts at the caller's first sound, which was before; what it made earlier, or by itself, is left to it."""
    for over_speech in (True, False):
        script = put(put(speaking(interrupts="server"), "interruption", states.SUSPECTED), "turn", states.SPEAKING)
        put(script, "response", states.IN_PROGRESS, over_speech=over_speech)
        assert (CancelResponse("r1") in expired(script, "interruption")) is over_speech
        script.expects(response=states.CANCEL_IN_FLIGHT if over_speech else states.SERVER_CANCELLING)
    for turn, status, over_speech in (
        (states.SPEAKING, states.REQUESTED, True),
        (states.QUIET, states.REQUESTED, False),
        (states.SPEAKING, states.NONE, False),
    ):
        script = put(put(idle(interrupts="server"), "turn", turn), "response", status, over_speech=not over_speech)
        now(script, ev.ResponseCreated, "r1")
        assert script.call.response.over_speech is over_speech


# The end of a response, while another one's is awaited.


def test_the_end_of_what_was_cancelled_at_its_birth_is_awaited_however_ours_ends() -> None:
    """R73: whichever of the two ends first, and in whatever status ours is cancelled."""
    for state in CANCELLINGS:
        for kind in ENDS:
            script = put(idle(), "response", state, id="r1", unwanted=("r8", "r9"))
            script = put(script, "phase", states.CANCELLING)
            now(script, kind, "r1")
            script.expects(response=states.CANCEL_IN_FLIGHT)
            response = script.call.response
            assert (response.id, response.unwanted, response.ended) == ("r8", ("r9",), ("r1",))


def test_an_end_that_is_told_again_ends_nothing() -> None:
    """R06: neither the voice, nor its sentences, nor its account, nor a goodbye, nor a suspicion."""
    for kind in ENDS:
        script = put(playing_out(), "hangup", states.GOODBYE, id="r1")
        assert now(script, kind, "r1") == ()
        script.expects(playout=states.PLAYING, truncation=states.IN_STEP, hangup=states.GOODBYE)
        for state in (states.SYNTHESISING, states.AHEAD):
            script = put(put(reading(), "response", states.COMPLETED, ended=("r1",)), "synthesis", state)
            assert now(script, kind, "r1") == ()
            script.expects(synthesis=state)
        for state in (states.ECHOED, states.SUSPECTED):
            script = put(put(playing_out(), "interruption", state), "turn", states.SPEAKING)
            assert now(script, kind, "r1") == ()
            script.expects(interruption=state)
    for state in (states.ECHOED, states.SUSPECTED):
        script = put(put(speaking(), "interruption", state), "turn", states.SPEAKING)
        now(script, ev.ResponseCancelled, "r1")
        script.expects(interruption=states.CLEAR)
    goodbye = put(speaking(), "hangup", states.GOODBYE, id="r1")
    now(goodbye, ev.ResponseCancelled, "r1")
    goodbye.expects(hangup=states.STAYING)
    assert goodbye.of(HangUp) == []


def test_what_ends_without_having_begun_was_never_heard() -> None:
    """R88: what the conversation gets of it later is forgotten; and not of one that we know in any way."""
    for state in (states.IN_STEP, states.POSITION_AWAITED):
        for kind in ENDS:
            script = put(idle(), "truncation", state, cut=("r7",))
            now(script, kind, "r9")
            assert script.call.truncation.cut == ("r7", "r9")
            now(script, kind, "r7")
            assert script.call.truncation.cut == ("r7", "r9")
            cut_off = ("r1", "r2") if kind is ev.ResponseCancelled else ()
            for response_id in {"r1", "r2", "r3", "r4"}.difference(cut_off):
                for arrived_id, spoken in (("r2", "r1"), ("", "r2")):
                    script = put(reading(), "playout", states.PLAYING, next_id="r2", arrived_id=arrived_id)
                    script = put(script, "synthesis", states.SYNTHESISING, response_id=spoken)
                    script = put(script, "response", states.IN_PROGRESS, id="r3", ended=("r4",))
                    now(put(script, "truncation", state, cut=()), kind, response_id)
                    assert script.call.truncation.cut == ()


# A response that takes too long.


def test_what_is_not_to_be_heard_is_cancelled_alone_when_it_takes_too_long() -> None:
    """R72, R78: another that waits for its first sound is not it."""
    script = put(put(answering(), "playout", states.ADMITTED, heard=False), "response", states.IN_PROGRESS, id="r9")
    effects = expired(script, "response")
    assert CancelResponse("r9") in effects
    assert Flush("r1") not in effects
    script.expects(playout=states.ADMITTED, response=states.CANCEL_IN_FLIGHT)


def test_the_sentences_go_with_a_response_that_takes_too_long() -> None:
    """R77: in synthesis or ahead, of which nothing was heard."""
    for state in (states.SYNTHESISING, states.AHEAD):
        script = put(put(reading(), "synthesis", state), "playout", states.ADMITTED, heard=False)
        effects = expired(script, "response")
        assert (CancelSynthesis("call.r1.1") in effects) is (state is states.SYNTHESISING)
        script.expects(synthesis=states.RESTING, playout=states.SILENT, response=states.CANCEL_IN_FLIGHT)


# The sentences of the response behind.


def test_the_sentences_of_the_response_behind_are_spoken_when_the_one_ahead_is_gone() -> None:
    """R69, R77, R79: cancelled by the server or not played by the device; its own sentences go, the others come in their order."""
    queue = (Sentence("r1", 2, "Gone.", "item_r1"), Sentence("r2", 1, "First.", "item_r2"), Sentence("r2", 2, "Second.", "item_r2"))
    for state in (states.SYNTHESISING, states.AHEAD):
        for stalls in (True, False):
            script = put(reading(), "synthesis", state, queue=queue)
            script = put(script, "playout", states.PLAYING, next_id="r2", heard=True)
            script = put(script, "response", states.COMPLETED if stalls else states.IN_PROGRESS, ended=())
            epoch = script.call.synthesis.epoch
            effects = expired(script, "playout") if stalls else now(script, ev.ResponseCancelled, "r1")
            assert script.call.synthesis.epoch > epoch, "it has its own time"
            cancels = [effect for effect in effects if isinstance(effect, CancelSynthesis)]
            assert cancels == ([CancelSynthesis("call.r1.1")] if state is states.SYNTHESISING else [])
            assert [effect for effect in effects if isinstance(effect, Synthesise)] == [Synthesise("call.r2.1", "r2", "First.")]
            script.expects(synthesis=states.SYNTHESISING)
            synthesis = script.call.synthesis
            assert (synthesis.session_id, synthesis.response_id, synthesis.item_id, synthesis.text) == (
                "call.r2.1",
                "r2",
                "item_r2",
                "First.",
            )
            assert synthesis.queue == queue[2:]


def test_a_sentence_of_the_response_behind_stays_in_synthesis_whatever_becomes_of_the_one_ahead() -> None:
    """R69, R77: while those that wait of the one ahead go."""
    own, other = Sentence("r1", 3, "Gone.", "item_r1"), Sentence("r2", 2, "Second.", "item_r2")
    for state in (states.SYNTHESISING, states.AHEAD):
        for stalls in (True, False):
            script = put(
                reading(), "synthesis", state, session_id="call.r2.1", response_id="r2", queue=(other,) if stalls else (own, other)
            )
            script = put(script, "playout", states.PLAYING, next_id="r2", heard=True)
            script = put(script, "response", states.COMPLETED if stalls else states.IN_PROGRESS, ended=())
            effects = expired(script, "playout") if stalls else now(script, ev.ResponseCancelled, "r1")
            assert not [effect for effect in effects if isinstance(effect, CancelSynthesis | Synthesise)]
            script.expects(synthesis=state)
            assert script.call.synthesis.queue == (other,)


# What is owed, and by whom.


def test_a_voice_that_stalls_before_another_leaves_what_that_is_to_pay() -> None:
    """R79, R93: it is to be heard yet, whether its sound is there or not."""
    for arrived_id in ("", "r2"):
        for heard in (True, False):
            script = put(playing_out(), "playout", states.PLAYING, next_id="r2", arrived_id=arrived_id, heard=heard)
            script = put(script, "pending", states.NOTHING, asked=(TURN,))
            assert Flush("r1") in expired(script, "playout")
            script.expects(pending=states.NOTHING)
            assert (script.call.pending.owed, script.call.pending.asked) == ((), (TURN,))


def test_a_device_without_a_line_does_not_stall() -> None:
    """R40, R79: what it is given waits until the line is there; and then it has its time."""
    for line, stalls in ((states.LINE_AWAITED, False), (states.OPEN, True)):
        script = put(put(reading(), "synthesis", states.AHEAD), "playout", states.ADMITTED, heard=False)
        effects = expired(put(script, "line", line), "playout")
        assert (Flush("r1") in effects) is stalls


def test_a_greeting_asked_for_again_is_protected_again_if_it_is_to_be() -> None:
    """R36: whatever became of the server's rights since."""
    for protected in (True, False):
        script = put(idle(greeting_protected=protected), "session", states.READY)
        script = put(script, "pending", states.PAUSED, owed=(Debt(Cause.GREETING, again=True),))
        effects = expired(script, "pending")
        assert (ProtectResponse() in effects) is protected
        assert [effect.cause for effect in effects if isinstance(effect, CreateResponse)] == [Cause.GREETING]


# Tool calls.


def test_a_tool_call_of_a_response_that_is_past_is_not_run() -> None:
    """R90: it failed, or the next is asked for; one that was whole may have called it, and one that is told of no response may be ours."""
    for state in (states.REQUESTED, states.BLOCKED, states.FAILED, states.INCOMPLETE):
        script = put(idle(), "response", state, id="r1")
        assert now(script, ev.ToolCalled, "t1", "look_up", "{}", "r1") == ()
        assert now(script, ev.ToolCalled, "t1", "look_up", "{}", "") == (RunTool("t1", "look_up", "{}"),)
    for state in (states.IN_PROGRESS, states.COMPLETED):
        script = put(idle(), "response", state, id="r1")
        assert now(script, ev.ToolCalled, "t1", "look_up", "{}", "r1") == (RunTool("t1", "look_up", "{}"),)


# The account of what was spoken.


def synthesised(script: Script, *items: str) -> tuple[Spoken, ...]:
    """Let so many sentences of these items go to the device, 100 ms each, one behind the other."""
    for number, item_id in enumerate(items):
        put(
            script,
            "synthesis",
            states.SYNTHESISING,
            session_id=f"call.r1.{number}",
            response_id="r1",
            item_id=item_id,
            text=f"word{number}",
        )
        now(script, ev.SentenceSynthesised, f"call.r1.{number}", 100.0)
        now(script, ev.SentenceStarted, f"call.r1.{number}", 100.0 * number)
    return script.call.truncation.spoken


def test_sentences_beyond_the_bound_are_told_as_one() -> None:
    """R07, R34: those of one item together, of two the later; those of another response stay."""
    other = Spoken("r0", "x", "other", 5.0, 0.0)

    def after(*items: str) -> tuple[Spoken, ...]:
        return synthesised(put(reading(queued_sentences=2), "truncation", states.IN_STEP, spoken=(other,)), *items)

    assert after("a", "a") == (other, Spoken("r1", "a", "word0", 100.0, 0.0), Spoken("r1", "a", "word1", 100.0, 100.0))
    assert after("a", "a", "b") == (other, Spoken("r1", "a", "word0 word1", 200.0, 0.0), Spoken("r1", "b", "word2", 100.0, 200.0))
    assert after("a", "b", "b") == (other, Spoken("r1", "b", "word1", 100.0, 100.0), Spoken("r1", "b", "word2", 100.0, 200.0))
    assert after("a", "a", "a", "a") == (
        other,
        Spoken("r1", "a", "word0 word1 word2", 300.0, 0.0),
        Spoken("r1", "a", "word3", 100.0, 300.0),
    )


@pytest.mark.parametrize(("first_ms", "second_ms", "lasted_ms"), [(50.0, 350.0, 400.0), (50.0, None, 1_000.0), (None, 350.0, 1_000.0)])
def test_a_sentence_told_as_one_with_the_next_lasted_until_that_began(
    first_ms: float | None, second_ms: float | None, lasted_ms: float
) -> None:
    """R34: the length of a streamed sentence is reckoned; where the device told when the next began, that is what it lasted."""
    spoken = (Spoken("r1", "a", "word0", 900.0, first_ms), Spoken("r1", "a", "word1", 100.0, second_ms))
    script = put(reading(queued_sentences=2), "truncation", states.IN_STEP, spoken=spoken)
    put(script, "synthesis", states.SYNTHESISING, session_id="call.r1.2", response_id="r1", item_id="a", text="word2")
    now(script, ev.SentenceSynthesised, "call.r1.2", 100.0)
    assert script.call.truncation.spoken[0] == Spoken("r1", "a", "word0 word1", lasted_ms, first_ms)


def test_an_item_whose_sentences_are_forgotten_was_heard_and_is_not_deleted() -> None:
    """R07, R88: an interruption cuts the item that is heard, and leaves those before it, however many sentences they had."""
    items = (Item("r1", "a", sounds=True), Item("r1", "b", sounds=True), Item("r0", "a"), Item("r1", "c"))
    script = put(reading(queued_sentences=2), "truncation", states.IN_STEP, items=items)
    synthesised(script, "a", "a", "b")
    assert script.call.truncation.items == items
    synthesised(script, "b", "b")
    assert script.call.truncation.items == items[1:]


def test_an_item_sounds_when_a_sentence_of_it_is_synthesised() -> None:
    """R88: that item of that response alone."""
    items = (Item("r1", "a"), Item("r1", "b"), Item("r2", "a"))
    script = put(reading(), "truncation", states.IN_STEP, items=items)
    synthesised(script, "a")
    assert script.call.truncation.items == (Item("r1", "a", sounds=True), *items[1:])


def test_items_of_one_name_in_two_responses_are_two() -> None:
    """R88: some servers count anew in each response."""
    for kind in (ev.ItemAdded, ev.AudioArrived):
        script = put(speaking(), "truncation", states.IN_STEP, items=(Item("r0", "a"),))
        now(script, kind, "r1", "a")
        assert script.call.truncation.items == (Item("r0", "a"), Item("r1", "a", kind is ev.AudioArrived))


def test_the_words_of_the_item_that_was_heard_last_are_cut_whatever_was_told_first() -> None:
    """R34, R88: items may be added in another order than they are spoken in."""
    spoken = (Spoken("r1", "b", "one two", 100.0, 0.0), Spoken("r1", "a", "three four", 100.0, 100.0))
    script = put(reading(), "truncation", states.POSITION_AWAITED, items=(Item("r1", "a"), Item("r1", "b")), spoken=spoken, awaited=("r1",))
    assert [effect.item_id for effect in now(script, ev.PlayoutStopped, "r1", 150.0, 200.0)] == ["a"]
