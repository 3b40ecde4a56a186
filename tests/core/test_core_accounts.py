"""Claims about the account of what was heard, item by item, in both of its states, and about what follows the voice in each of its own."""

from itertools import product
from typing import Any

from fsm import events as ev, states
from fsm.call.effects import DeleteItem, Flush, Level, Log, Retire, RewriteItem, TruncateItem
from fsm.call.guards import AUDIBLE
from fsm.call.playout import LEADING
from fsm.call.snapshot import Item, Spoken
from tests.shared.core import Script, answering, expired, hear, idle, now, playing_out, put, reading, speaking

LIVE = (states.IN_STEP, states.POSITION_AWAITED)
ONE = "call.r1.1"
R1 = Item("r1", "item_r1")
R2 = Item("r2", "item_r2")
KINDS: tuple[tuple[Any, tuple[Any, ...]], ...] = ((ev.ItemAdded, ()), (ev.AudioArrived, ()), (ev.SentenceCut, (1, "One.")))


def named(script: Script, kind: Any, response_id: str, item_id: str) -> tuple[Any, ...]:
    """An event that names an item of a response."""
    return now(script, kind, response_id, *((1, "One.", item_id) if kind is ev.SentenceCut else (item_id,)))


def deleted(effects: tuple[Any, ...]) -> list[str]:
    return [effect.item_id for effect in effects if isinstance(effect, DeleteItem)]


def corrected(effects: tuple[Any, ...]) -> list[Any]:
    return [effect for effect in effects if isinstance(effect, DeleteItem | TruncateItem | RewriteItem)]


# Which items count.


def test_an_item_of_what_was_flushed_is_deleted_the_first_time_that_it_is_told() -> None:
    """R88: however it is told, and not while the device is to say what was heard of it."""
    for state in LIVE:
        for kind, _ in KINDS:
            for cut in (("r5",), ()):
                for awaited in (("r5",), ("r0",)):
                    for item_id in ("x", ""):
                        for items in ((), (Item("r5", "x"),)):
                            script = put(idle(), "truncation", state, cut=cut, awaited=awaited, items=items)
                            gone = bool(cut and item_id and not items and "r5" not in awaited)
                            assert deleted(named(script, kind, "r5", item_id)) == (["x"] if gone else [])
                            noted = bool(item_id and not items and (gone or "r5" in awaited))
                            sounds = kind is ev.AudioArrived and item_id == "x" and (noted or bool(items))
                            assert script.call.truncation.items == ((Item("r5", "x", sounds),) if noted or items else ())
                            script.expects(truncation=state)


def test_an_item_counts_that_may_be_heard() -> None:
    """R88: of what is heard or follows, told once; and not of another response, nor of none in a silence."""
    for state in LIVE:
        for kind, _ in KINDS:
            for response_id, counts in (("r1", True), ("r2", True), ("r9", False)):
                for item_id in ("x", ""):
                    for items in ((), (Item(response_id, "x"),)):
                        script = put(put(speaking(), "playout", states.PLAYING, next_id="r2"), "truncation", state, items=items)
                        assert deleted(named(script, kind, response_id, item_id)) == []
                        sounds = kind is ev.AudioArrived and item_id == "x" and (counts or bool(items))
                        known = bool(items) or (counts and bool(item_id))
                        assert script.call.truncation.items == ((Item(response_id, "x", sounds),) if known else ())
            script = put(idle(), "truncation", state)
            named(script, kind, "", "x")
            assert script.call.truncation.items == ()


def test_what_is_remembered_is_bounded() -> None:
    """R07: items and sentences by their setting, responses by theirs."""
    script = put(
        speaking(queued_sentences=2, remembered_ids=3), "truncation", states.IN_STEP, items=(R1, R2), cut=("a", "b"), awaited=("c",)
    )
    now(script, ev.ItemAdded, "r1", "x")
    assert script.call.truncation.items == (R2, Item("r1", "x"))
    for ours in ("r9", "r8"):
        now(script, ev.ResponseCreated, ours)
    assert script.call.truncation.cut == ("b", "r9", "r8")


def test_a_response_that_is_cancelled_at_its_birth_leaves_no_item() -> None:
    """R68, R88: over another, withdrawn, or over the caller; and one that is heard keeps its items."""
    for state in LIVE:
        over = put(speaking(), "truncation", state)
        withdrawn = put(put(idle(), "response", states.WITHDRAWN), "truncation", state)
        unasked = put(put(idle(), "turn", states.SPEAKING), "truncation", state)
        for script in (over, withdrawn, unasked):
            now(script, ev.ResponseCreated, "r9")
            assert script.call.truncation.cut == ("r9",)
            assert deleted(now(script, ev.ItemAdded, "r9", "x")) == ["x"]
            script.expects(truncation=state)
        welcome, told_twice = put(idle(), "truncation", state), put(speaking(), "truncation", state)
        now(welcome, ev.ResponseCreated, "r9")
        now(told_twice, ev.ResponseCreated, "r1")
        assert welcome.call.truncation.cut == told_twice.call.truncation.cut == ()


# What is flushed.


def test_a_voice_that_is_missing_or_stalled_is_accounted_for_alone() -> None:
    """R16, R71, R79, R88: whatever is awaited already; and what follows is not flushed."""
    for state, before in ((states.IN_STEP, ()), (states.POSITION_AWAITED, ("r0",))):
        for playout in (states.VOICELESS, states.PLAYING):
            script = put(playing_out() if playout is states.PLAYING else answering(), "playout", playout, next_id="r2")
            script = put(script, "truncation", state, awaited=before, cut=before)
            effects = expired(script, "playout")
            assert Flush("r1") in effects
            assert Flush("r2") not in effects
            script.expects(truncation=states.POSITION_AWAITED)
            assert script.call.truncation.awaited == script.call.truncation.cut == (*before, "r1")


def test_the_answer_behind_is_accounted_for_when_it_is_flushed() -> None:
    """R31, R71, R88: it ends with nothing to hear, or the server cancels it; with the voice, both are."""
    for state, before in ((states.IN_STEP, ()), (states.POSITION_AWAITED, ("r0",))):
        for kind, arrived_id in (
            (ev.ResponseCompleted, ""),
            (ev.ResponseFailed, ""),
            (ev.ResponseCancelled, ""),
            (ev.ResponseCancelled, "r2"),
        ):
            script = put(playing_out(), "playout", states.PLAYING, next_id="r2", arrived_id=arrived_id)
            script = put(script, "truncation", state, awaited=before, cut=before)
            assert Flush("r2") in now(script, kind, "r2")
            script.expects(truncation=states.POSITION_AWAITED)
            assert script.call.truncation.awaited == script.call.truncation.cut == (*before, "r2")
        for next_id in ("", "r2"):
            script = put(put(playing_out(), "playout", states.PLAYING, next_id=next_id), "truncation", state, awaited=before, cut=before)
            expired(put(script, "interruption", states.SUSPECTED), "interruption")
            ours = (*before, "r1", "r2") if next_id else (*before, "r1")
            assert script.call.truncation.awaited == script.call.truncation.cut == ours


def test_the_end_of_a_response_that_is_not_heard_flushes_nothing() -> None:
    """R71, R72: of none, of another, of the one behind with sound to come; in a silence or while one is heard."""
    for kind in (ev.ResponseCancelled, ev.ResponseCompleted, ev.ResponseFailed, ev.ResponseIncomplete):
        for response_id in ("", "r9"):
            for make in (idle, playing_out):
                script = make()
                assert not [effect for effect in now(script, kind, response_id) if isinstance(effect, Flush)]
                script.expects(truncation=states.IN_STEP)
        if kind is not ev.ResponseCancelled:
            script = put(playing_out(), "playout", states.PLAYING, next_id="r2", arrived_id="r2")
            assert not [effect for effect in now(script, kind, "r2") if isinstance(effect, Flush)]
            assert script.call.playout.next_id == "r2"
            script.expects(truncation=states.IN_STEP)


def test_a_response_of_which_nothing_was_heard_leaves_no_item() -> None:
    """R88, R91: it ends without sound, so that no device accounts for it; a flushed one is left to the device, and of one that was heard
    those items stay of which sound came."""
    for state in LIVE:
        script = put(answering(), "truncation", state, items=(R1, R2, Item("r1", "more")), spoken=spoken("r1", "r2"), awaited=("r0",))
        assert deleted(now(script, ev.ResponseCompleted, "r1")) == ["item_r1", "more"]
        assert [one.response_id for one in script.call.truncation.spoken] == ["r2"]
        assert script.call.truncation.cut == ("r1",)
        assert deleted(now(script, ev.AudioArrived, "r1", "late")) == ["late"]
        cancelled = put(answering(), "truncation", state, items=(R1,))
        assert deleted(now(cancelled, ev.ResponseCancelled, "r1")) == []
        items = (Item("r1", "item_r1", sounds=True), R2, Item("r1", "mute"))
        heard = put(playing_out(), "truncation", state, items=items, spoken=spoken("r1", "r2"), awaited=("r0",), cut=("r1",))
        assert deleted(now(heard, ev.PlayoutFinished, "r1", 1000.0)) == ["mute"]
        assert heard.call.truncation.items == (R2,)
        assert [one.response_id for one in heard.call.truncation.spoken] == ["r2"]


def test_a_response_that_calls_a_tool_instead_leaves_no_item_either() -> None:
    """R71, R91: it did not fail, and nothing of it was heard; whether a position is awaited of another or not."""
    for state in (states.IN_STEP, states.POSITION_AWAITED):
        script = put(answering(), "truncation", state)
        script.post(ev.ItemAdded, "r1", "r1.a")
        script.post(ev.ToolCalled, "t1", "look_up", "{}", "r1")
        assert DeleteItem("r1.a") in script.post(ev.ResponseCompleted, "r1")
        assert script.post(ev.ItemAdded, "r1", "r1.b") == [DeleteItem("r1.b")]


def test_what_comes_of_a_response_that_was_given_up_is_deleted_and_what_was_heard_of_it_stays() -> None:
    """R88, R97: its end does not come, though all that came of it was heard; what is told twice is no news."""
    for followed, awaited in product((False, True), repeat=2):
        script = speaking(create_response=True)
        if awaited:
            put(script, "truncation", states.POSITION_AWAITED, awaited=("r0",))
        now(script, ev.ItemAdded, "r1", "silent")
        now(script, ev.ItemAdded, "r1", "heard")
        now(script, ev.AudioArrived, "r1", "heard", 0)
        now(script, ev.PlayoutFinished, "r1", 2000.0)
        expired(script, "response")
        if followed:
            now(script, ev.ResponseCreated, "r2")
        assert deleted(expired(script, "playout")) == ["silent"]
        assert script.call.playout.id != "r1"
        assert now(script, ev.ItemAdded, "r1", "late") == (DeleteItem("late"),)
        for item_id in ("heard", "silent", "late"):
            assert now(script, ev.ItemAdded, "r1", item_id) == now(script, ev.AudioArrived, "r1", item_id, 0) == ()


def test_the_cancel_of_another_response_leaves_what_was_heard_to_its_end() -> None:
    """R73, R88: it was cancelled at its birth, and its end is awaited; all of the answer was heard, and nothing of it is remembered."""
    script = put(playing_out(), "response", states.CANCEL_IN_FLIGHT, id="r2")
    now(script, ev.AudioArrived, "r1", "heard", 0)
    now(script, ev.PlayoutFinished, "r1", 1000.0)
    script.expects(playout=states.SILENT)
    assert not script.call.truncation.items
    assert "r1" not in script.call.truncation.cut


def test_what_is_awaited_keeps_its_items_when_its_voice_is_over() -> None:
    """R88: the device is still to say what was heard of them."""
    script = put(speaking(), "truncation", states.IN_STEP, items=(R1, R2), spoken=spoken("r1"))
    now(script, ev.ResponseCancelled, "r1")
    assert script.call.truncation.items == (R1, R2)
    assert len(script.call.truncation.spoken) == 1
    script = put(speaking(), "truncation", states.POSITION_AWAITED, items=(R1,), spoken=spoken("r1"), awaited=("r1",))
    now(put(script, "response", states.CANCEL_IN_FLIGHT), ev.PlayoutFinished, "r1", 1000.0)
    assert (script.call.truncation.items, len(script.call.truncation.spoken)) == ((R1,), 1)


# What the device says.


def spoken(*responses: str) -> tuple[Spoken, ...]:
    return tuple(Spoken(response_id, f"item_{response_id}", "One two.", 1000.0) for response_id in responses)


def test_an_answer_settles_the_response_that_it_names() -> None:
    """R71, R88: alone; and a word on one that is not awaited, or again, corrects nothing."""
    script = put(
        idle(), "truncation", states.POSITION_AWAITED, items=(R1, R2), spoken=spoken("r1", "r2"), awaited=("r1", "r2"), cut=("r9",)
    )
    assert corrected(now(script, ev.PlayoutStopped, "r9", 5.0, 9.0)) == []
    assert corrected(now(script, ev.PlayoutStopped, "r1", 5.0, 9.0)) == [TruncateItem("item_r1", 5)]
    script.expects(truncation=states.POSITION_AWAITED)
    assert script.call.truncation.awaited == ("r2",)
    assert [one.response_id for one in script.call.truncation.spoken] == ["r2"]
    assert corrected(now(script, ev.PlayoutStopped, "r1", 5.0, 9.0)) == []
    assert corrected(now(script, ev.PlayoutStopped, "r2", 5.0, 9.0)) == [TruncateItem("item_r2", 5)]
    script.expects(truncation=states.IN_STEP)
    assert (script.call.truncation.awaited, script.call.truncation.spoken) == ((), ())


def test_an_answer_that_never_comes_is_given_up_with_its_sentences() -> None:
    """R71, R78: what is not awaited stays."""
    script = put(
        idle(), "truncation", states.POSITION_AWAITED, items=(R1,), spoken=spoken("r1", "r2"), awaited=("r1", "r3"), cut=("r0", "r2")
    )
    assert expired(script, "truncation") == (Log(Level.WARNING, "played_position_unknown", "r1 r3"),)
    script.expects(truncation=states.IN_STEP)
    assert script.call.truncation.awaited == ()
    assert [one.response_id for one in script.call.truncation.spoken] == ["r2"]


def test_an_item_is_cut_from_one_millisecond_on_and_deleted_below() -> None:
    """R88: in the part that was being heard; and the device's parts count before its sum."""
    for played_ms, effects in (
        (0.9, [DeleteItem("item_r1")]),
        (1.0, [TruncateItem("item_r1", 1)]),
        (1.5, [TruncateItem("item_r1", 1)]),
        (900.0, []),
    ):
        script = put(idle(), "truncation", states.POSITION_AWAITED, items=(R1,), awaited=("r1",))
        assert corrected(now(script, ev.PlayoutStopped, "r1", played_ms, 900.0)) == effects
        script = put(idle(), "truncation", states.POSITION_AWAITED, items=(R1,), awaited=("r1",))
        parts = (ev.Heard("item_r1", 0, 0.0, 0.0), ev.Heard("item_r1", 1, played_ms, 900.0))
        heard = [TruncateItem("item_r1", 1, 1)] if effects and isinstance(effects[0], TruncateItem) else effects
        assert corrected(now(script, ev.PlayoutStopped, "r1", 700.0, 900.0, parts)) == heard


def rewritten(played_ms: float, *sentences: Spoken) -> list[Any]:
    items = (R1,)
    script = put(idle(voice="chatterbox"), "truncation", states.POSITION_AWAITED, items=items, spoken=sentences, awaited=("r1",))
    return corrected(now(script, ev.PlayoutStopped, "r1", played_ms, 9000.0))


def test_a_sentence_is_kept_as_far_as_it_was_heard() -> None:
    """R34: whole from a millisecond of the next on, and from its first millisecond its first word."""
    first = Spoken("r1", "item_r1", "one two three four five", 1000.0, 0.0)
    then = Spoken("r1", "item_r1", "six seven", 1000.0, 600.0)
    kept = (
        (0.9, ""),
        (1.0, "one"),
        (1.5, "one"),
        (599.5, "one two"),
        (600.0, "one two three"),
        (600.5, "one two three"),
        (601.0, "one two three four five six"),
        (601.5, "one two three four five six"),
        (1600.0, "one two three four five six seven"),
    )
    for played_ms, text in kept:
        assert rewritten(played_ms, first, then) == [RewriteItem("item_r1", text) if text else DeleteItem("item_r1")], played_ms
    assert rewritten(500.0, Spoken("r1", "", "one two", 1000.0, 0.0)) == [DeleteItem("item_r1")]


def test_a_sentence_joins_the_account_when_it_is_synthesised() -> None:
    """R34, R88: in either state, once, with where it began; and of a response no more than may wait (R07)."""
    whole = Spoken("r1", "item_r1", "One.", 900.0, None, ONE)
    for state in LIVE:
        script = put(reading(queued_sentences=2), "truncation", state, spoken=spoken("r2", "r2"))
        now(script, ev.SentenceSynthesised, "call.r9.1", 900.0)
        assert script.call.truncation.spoken == spoken("r2", "r2")
        now(script, ev.SentenceStarted, ONE, 5.0)
        assert script.call.truncation.spoken == spoken("r2", "r2")
        now(script, ev.SentenceSynthesised, ONE, 900.0)
        now(script, ev.SentenceSynthesised, ONE, 900.0)
        assert script.call.truncation.spoken == (*spoken("r2", "r2"), whole)
        now(script, ev.SentenceStarted, "call.r9.1", 5.0)
        assert script.call.truncation.spoken == (*spoken("r2", "r2"), whole)
        now(script, ev.SentenceStarted, ONE, 5.0)
        assert script.call.truncation.spoken == (*spoken("r2", "r2"), Spoken("r1", "item_r1", "One.", 900.0, 5.0))
        script.expects(truncation=state)
        for before in (1, 2):
            script = put(reading(queued_sentences=2, remembered_ids=64), "truncation", state, spoken=spoken(*["r1"] * before))
            now(script, ev.SentenceSynthesised, ONE, 900.0)
            assert len(script.call.truncation.spoken) == 2
        script = put(put(reading(), "synthesis", states.AHEAD), "truncation", state, items=(R1,))
        now(script, ev.SentenceStarted, ONE, 5.0)
        assert script.call.truncation.spoken == ()


def test_a_sentence_that_begins_as_its_response_is_flushed_was_heard() -> None:
    """R34, R88: what the device says of it crossed the flush."""
    script = hear(reading(), ms=900)
    now(script, ev.SentenceSynthesised, ONE, 900.0)
    now(script, ev.SentenceStarted, ONE, 0.0)
    now(script, ev.SentenceCut, "r1", 2, "Two three.", "item_r1")
    now(script, ev.SentenceSynthesised, "call.r1.2", 900.0)
    expired(put(script, "interruption", states.SUSPECTED), "interruption")
    now(script, ev.SentenceStarted, "call.r1.2", 900.0)
    assert now(script, ev.PlayoutStopped, "r1", 920.0, 1800.0) == (RewriteItem("item_r1", "One. Two"),)


# What follows the voice.


def test_what_follows_is_heard_next_in_every_state_of_the_voice() -> None:
    """R31, R75, R91: from its first sound, if that has come; and nothing of the voice before it counts for it."""
    for state in LEADING:
        for arrived_id, after in (("r2", states.ONSET), ("", states.ADMITTED)):
            script = put(playing_out(), "playout", state, next_id="r2", arrived_id=arrived_id, heard=True, asks=True)
            script = put(script, "response", states.IN_PROGRESS, id="r1", ended=())
            assert Retire("r1") in now(script, ev.ResponseCancelled, "r1")
            script.expects(playout=after)
            playout = script.call.playout
            assert (playout.id, playout.next_id, playout.arrived_id, playout.heard, playout.asks) == ("r2", "", "", False, False)
        script = put(put(playing_out(), "playout", state, heard=True, asks=True), "response", states.IN_PROGRESS, ended=())
        now(script, ev.ResponseCancelled, "r1")
        playout = script.call.playout
        assert (playout.id, playout.next_id, playout.arrived_id, playout.heard, playout.asks) == ("", "", "", False, False)
        script = put(playing_out(), "playout", state, heard=True, asks=True, next_id="r2", arrived_id="r2")
        expired(put(script, "interruption", states.SUSPECTED), "interruption")
        playout = script.call.playout
        assert (playout.id, playout.next_id, playout.arrived_id, playout.heard, playout.asks) == ("", "", "", False, False)


def test_what_follows_is_dropped_in_every_state_of_the_voice() -> None:
    """R31, R91: cancelled, with its sound here or not; or ended with nothing to hear."""
    for state in LEADING:
        for kind, arrived_id in (
            (ev.ResponseCancelled, "r2"),
            (ev.ResponseCancelled, ""),
            (ev.ResponseCompleted, ""),
            (ev.ResponseFailed, ""),
        ):
            script = put(playing_out(), "playout", state, next_id="r2", arrived_id=arrived_id)
            assert Flush("r2") in now(script, kind, "r2")
            script.expects(playout=state)
            assert (script.call.playout.id, script.call.playout.next_id, script.call.playout.arrived_id) == ("r1", "", "")


def test_what_follows_is_not_dropped_while_a_sentence_of_it_is_to_be_spoken() -> None:
    """R75, R91: one in synthesis, one ahead, or one that waits; another response's is none."""
    from fsm.call.snapshot import Sentence

    for state in (states.SYNTHESISING, states.AHEAD, states.RESTING):
        for of, queued in (
            ("r2", ()),
            ("r1", (Sentence("r2", 1, "Two.", "item_r2"),)),
            ("r1", (Sentence("r1", 2, "Two.", "r2"),)),
            ("r1", ()),
        ):
            script = put(hear(reading(), ms=100), "playout", states.PLAYING, next_id="r2")
            script = put(script, "synthesis", state, response_id=of, item_id="item", session_id="s", queue=queued)
            kept = (of == "r2" and state is not states.RESTING) or any(one.response_id == "r2" for one in queued)
            assert (Flush("r2") in now(script, ev.ResponseCompleted, "r2")) is not kept
            assert script.call.playout.next_id == ("r2" if kept else "")


def test_a_question_is_one_in_every_state_of_the_voice() -> None:
    """R94: of what is heard, and of no other response."""
    for state in AUDIBLE:
        for response_id in ("r1", "r9", "r2"):
            script = put(playing_out(), "playout", state, next_id="r2")
            now(script, ev.QuestionAsked, response_id)
            assert script.call.playout.asks is (response_id == "r1")
            assert script.call.playout.next_asks is (response_id == "r2" and state in LEADING)
            script.expects(playout=state)


def test_whatever_the_device_says_of_the_response_tells_that_it_was_heard() -> None:
    """R27, R93: in every state; of another response it tells nothing."""
    for state in AUDIBLE:
        for kind in (ev.PlayoutProgressed, ev.QueueEmptied, ev.PlayoutFinished):
            for response_id in ("r1", "r9"):
                script = put(speaking(), "playout", state, heard=False)
                now(script, kind, response_id)
                waits = kind is ev.PlayoutFinished and state in (states.ADMITTED, states.VOICELESS, states.STARVED)
                empty = kind is ev.QueueEmptied and state not in (states.ONSET, states.PLAYING)
                assert script.call.playout.heard is (response_id == "r1" and not waits and not empty), (state, kind)
