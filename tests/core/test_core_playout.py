"""Claims about what is heard and spoken: by the device's own word, and nothing for what is not heard (R27, R44, R64 to R67, R75 to R79)."""

import attrs

from fsm import admits, events as ev, states
from fsm.call.effects import (
    Admit,
    CancelResponse,
    CancelSynthesis,
    DeleteItem,
    Flush,
    Hold,
    Level,
    Log,
    Resume,
    Retire,
    RewriteItem,
    Synthesise,
    TruncateItem,
)
from fsm.call.snapshot import Synthesis
from tests.shared.core import Script, answering, greeting, hear, heard_out, idle, playing_out, reading, speaking

ONE, TWO = "call.r1.1", "call.r1.2"


def test_the_agent_speaks_from_its_first_sound_until_all_was_heard() -> None:
    """R27, R75: generated is not heard; an empty queue is not silence."""
    script = answering()
    script.expects(phase=states.LISTENING)
    script.post(ev.AudioArrived, "r1", "item_r1")
    script.expects(phase=states.AI_SPEAKING, playout=states.ONSET)
    script.wait(200)
    script.expects(playout=states.PLAYING)
    script.post(ev.ResponseCompleted, "r1")
    script.expects(phase=states.AI_SPEAKING)
    script.post(ev.QueueEmptied, "r1")
    script.expects(phase=states.AI_SPEAKING, playout=states.TAIL)
    script.post(ev.PlayoutFinished, "r1", 700.0)
    script.expects(phase=states.LISTENING, playout=states.SILENT)
    assert not admits(script.call, "r1")
    assert not script.of(Flush)
    assert script.call.playout.id == ""


def test_progress_alone_is_sound_too() -> None:
    """R27: a device that tells no first audio."""
    script = answering()
    script.post(ev.PlayoutProgressed, "r1", 0.0)
    script.expects(phase=states.AI_SPEAKING, playout=states.ONSET)


def test_sound_of_another_response_is_not_the_agents_voice() -> None:
    """R09, R10."""
    script = answering()
    for kind in (ev.AudioArrived, ev.PlayoutProgressed, ev.QueueEmptied, ev.PlayoutFinished):
        script.post(kind, "r9")
    script.expects(phase=states.LISTENING, playout=states.ADMITTED)
    script = speaking()
    script.wait(1_500)
    script.post(ev.PlayoutProgressed, "r9", 100.0)
    script.wait(500)
    script.expects(playout=states.SILENT)


def test_other_words_of_the_device_end_no_voice() -> None:
    """R10, R27."""
    script = speaking()
    script.post(ev.QueueEmptied, "r9")
    script.post(ev.PlayoutFinished, "r9", 1.0)
    script.expects(playout=states.PLAYING, phase=states.AI_SPEAKING)
    script.post(ev.QueueEmptied, "r1")
    script.post(ev.PlayoutProgressed, "r9", 1.0)
    script.expects(playout=states.TAIL)
    script.post(ev.PlayoutFinished, "r1", 1.0)
    script.post(ev.ResponseCompleted, "r9")
    script.post(ev.PlayoutProgressed, "r9", 1.0)
    script.expects(playout=states.STARVED)


def test_a_line_that_never_marks_is_waited_for_half_a_second() -> None:
    """R27, R44, R78."""
    script = playing_out()
    script.post(ev.QueueEmptied, "r1")
    script.wait(499)
    script.expects(phase=states.AI_SPEAKING)
    script.wait(1)
    script.expects(phase=states.LISTENING, playout=states.SILENT)


def test_a_queue_that_fills_again_is_no_end() -> None:
    """R75: empty for a moment while deltas come."""
    script = speaking()
    script.post(ev.QueueEmptied, "r1")
    script.post(ev.PlayoutProgressed, "r1", 1000.0)
    script.expects(playout=states.PLAYING)
    script.wait(1_000)
    script.expects(playout=states.PLAYING, phase=states.AI_SPEAKING)


def test_a_voice_that_waits_for_more_is_still_speaking() -> None:
    """R75: all that came was heard, and the response is not at its end."""
    for tail in (False, True):
        script = speaking()
        script.post(ev.QueueEmptied, "r1")
        if tail:
            script.wait(500)
        else:
            script.post(ev.PlayoutFinished, "r1", 1000.0)
        script.expects(playout=states.STARVED, phase=states.AI_SPEAKING)
        script.wait(3_000)
        script.expects(playout=states.STARVED)
        script.post(ev.PlayoutProgressed, "r1", 1000.0)
        script.expects(playout=states.PLAYING)
        script.post(ev.PlayoutFinished, "r1", 1000.0)
        script.post(ev.ResponseCompleted, "r1")
        script.expects(playout=states.SILENT, phase=states.LISTENING)


def test_the_rest_of_an_answer_that_comes_at_once_with_its_end_is_heard() -> None:
    """R27, R97: after a gap the server sends what is left and `response.done` in one burst, before any of it is played."""
    for tail in (False, True):
        script = speaking()
        script.post(ev.QueueEmptied if tail else ev.PlayoutFinished, "r1", *(() if tail else (1000.0,)))
        script.post(ev.AudioArrived, "r9", "item_r9")
        script.expects(playout=states.TAIL if tail else states.STARVED)
        assert script.post(ev.AudioArrived, "r1", "item_r1") == []
        script.expects(playout=states.PLAYING, phase=states.AI_SPEAKING)
        assert script.post(ev.ResponseCompleted, "r1") == []
        script.wait(1_000)
        script.expects(playout=states.PLAYING)
        assert script.post(ev.PlayoutFinished, "r1", 1_500.0) == [Retire("r1")]


def test_the_first_sound_after_a_tool_of_the_same_response_is_heard() -> None:
    """R27, R91: the tool has answered before, and the response's end comes before its sound is played."""
    script = answering()
    script.post(ev.ToolCalled, "t1", "look_up", "{}", "r1")
    script.post(ev.ToolFinished, "t1", "found")
    script.expects(playout=states.STARVED)
    script.post(ev.AudioArrived, "r1", "item_r1")
    script.expects(playout=states.ONSET)
    assert script.post(ev.ResponseCompleted, "r1") == []
    script.post(ev.PlayoutProgressed, "r1", 20.0)
    assert Retire("r1") in script.post(ev.PlayoutFinished, "r1", 900.0)


def test_a_voice_that_waits_for_a_response_that_was_given_up_falls_silent() -> None:
    """R75, R78: the cancelled response never ended, and nothing more of it will come."""
    script = hear(answering(response_ms=5_000), ms=4_000)
    script.post(ev.PlayoutFinished, "r1", 4_000.0)
    script.wait(1_600)
    script.expects(playout=states.STARVED, response=states.CANCELLED, phase=states.AI_SPEAKING)
    script.wait(3_400)
    script.expects(playout=states.SILENT, phase=states.LISTENING)


def test_a_device_without_progress_is_not_speaking() -> None:
    """R79: silent but "speaking" is left after 2 s, and what hangs in the device is flushed."""
    script = playing_out()
    assert script.wait(1_999) == []
    assert script.wait(1) == [Flush("r1"), Log(Level.WARNING, "playout_without_progress", "r1"), Retire("r1")]
    script.expects(phase=states.LISTENING, playout=states.SILENT)


def test_a_response_whose_device_stalls_is_cancelled() -> None:
    """R77, R79: nothing goes on generating what cannot be heard."""
    script = speaking()
    assert CancelResponse("r1") in script.wait(2_000)
    script.expects(phase=states.CANCELLING, response=states.CANCEL_IN_FLIGHT)
    script.post(ev.ResponseCancelled, "r1")
    script.expects(phase=states.LISTENING)


def test_progress_keeps_a_voice_alive() -> None:
    """R79."""
    script = hear(answering(), ms=9_000)
    script.expects(playout=states.PLAYING, phase=states.AI_SPEAKING)


def test_a_goodbye_that_stalls_is_not_waited_for_as_long() -> None:
    """R44: the end of the call alone waits for it."""
    script = playing_out()
    script.post(ev.GoodbyeSaid, "r1")
    script.post(ev.PlayoutProgressed, "r1", 500.0)
    script.wait(999)
    script.expects(hangup=states.GOODBYE, playout=states.PLAYING)
    script.wait(1)
    script.expects(phase=states.CLOSING)
    script = playing_out()
    script.post(ev.PlayoutProgressed, "r1", 500.0)
    script.wait(1_999)
    script.expects(playout=states.PLAYING)


def test_a_voice_that_is_held_does_not_stall() -> None:
    """R74, R79: we stopped it ourselves."""
    script = playing_out(interruption_min_ms=3_000)
    assert script.post(ev.SpeechStarted, "u2") == [Hold()]
    assert script.wait(2_500) == []
    script.expects(playout=states.PLAYING)
    script.post(ev.SpeechStopped, "u2")
    script.expects(interruption=states.CLEAR, playout=states.PLAYING)
    assert admits(script.call, "r1")


def test_an_answer_that_ends_without_sound_leaves_silence() -> None:
    """R78."""
    script = answering()
    script.post(ev.ResponseCompleted, "r1")
    script.expects(playout=states.SILENT, phase=states.LISTENING)
    assert not script.of(Flush)


def test_the_next_answer_is_heard_after_the_present_one() -> None:
    """R31, R75: admitted behind it, and not flushed with its end."""
    script = playing_out(create_response=True)
    script.post(ev.ResponseCreated, "r2")
    heard_out(script)
    script.expects(playout=states.ADMITTED, phase=states.LISTENING)
    assert admits(script.call, "r2")
    assert not admits(script.call, "r1")
    script.post(ev.PlayoutProgressed, "r2", 0.0)
    script.expects(phase=states.AI_SPEAKING)


def test_a_third_answer_is_not_admitted() -> None:
    """R07, R11: one is heard, one may follow."""
    script = playing_out(create_response=True)
    script.post(ev.ResponseCreated, "r2")
    script.post(ev.AudioArrived, "r2", "item_r2")
    script.post(ev.ResponseCompleted, "r2")
    assert script.post(ev.ResponseCreated, "r3") == [CancelResponse("r3")]
    assert not admits(script.call, "r3")
    heard_out(script)
    script.expects(response=states.CANCEL_IN_FLIGHT)


def test_a_next_answer_that_is_cancelled_is_flushed_alone() -> None:
    """R31, R69."""
    script = playing_out(create_response=True)
    script.post(ev.ResponseCreated, "r2")
    assert script.post(ev.ResponseCancelled, "r2", "turn_detected") == [Flush("r2")]
    assert admits(script.call, "r1")
    assert not admits(script.call, "r2")
    heard_out(script)
    script.expects(playout=states.SILENT, phase=states.LISTENING)


def test_a_stall_of_the_old_answer_does_not_cancel_the_next() -> None:
    """R10, R79: the id that hangs is the one that is dropped."""
    script = playing_out(create_response=True)
    script.post(ev.ResponseCreated, "r2")
    assert script.wait(2_000) == [Flush("r1"), Log(Level.WARNING, "playout_without_progress", "r1"), Retire("r1")]
    script.expects(response=states.IN_PROGRESS, playout=states.ADMITTED)
    assert admits(script.call, "r2")


def test_a_cancelled_response_that_stops_playing_leaves_the_phase_to_its_end() -> None:
    """R73: a response that took too long, all heard, its end still awaited."""
    script = hear(answering(response_ms=5_000), ms=4_500)
    assert CancelResponse("r1") in script.wait(500)
    script.expects(phase=states.AI_SPEAKING, response=states.CANCEL_IN_FLIGHT)
    script.post(ev.PlayoutFinished, "r1", 5_000.0)
    script.expects(phase=states.CANCELLING, playout=states.SILENT)
    script.wait(600)
    script.expects(phase=states.LISTENING)


def test_sentences_are_spoken_one_ahead() -> None:
    """R64: ids are known before the POST; the second begins when the first is heard."""
    script = answering(voice="chatterbox")
    assert script.post(ev.SentenceCut, "r1", 1, "One.") == [Synthesise(ONE, "r1", "One.")]
    assert script.post(ev.SentenceCut, "r1", 2, "Two.") == []
    hear(script, ms=0)
    assert script.post(ev.SentenceSynthesised, ONE, 900.0) == []
    script.expects(synthesis=states.AHEAD)
    assert script.post(ev.SentenceStarted, ONE) == [Synthesise(TWO, "r1", "Two.")]
    script.post(ev.SentenceSynthesised, TWO, 900.0)
    script.post(ev.SentenceStarted, TWO)
    script.expects(synthesis=states.RESTING)


def test_a_sentence_of_a_response_that_is_not_heard_is_never_spoken() -> None:
    """R67: the guard is the response, not a clock."""
    script = idle(voice="chatterbox")
    assert script.post(ev.SentenceCut, "r1", 1, "One.") == []
    script = answering(voice="chatterbox")
    assert script.post(ev.SentenceCut, "r9", 1, "One.") == []
    script.post(ev.BargeInDetected)
    assert script.post(ev.SentenceCut, "r1", 1, "One.") == []
    assert not script.of(Synthesise)


def test_the_next_turn_speaks_at_once() -> None:
    """R67: no guard of two seconds outlives the interrupted turn."""
    script = reading()
    script.post(ev.BargeInDetected)
    script.post(ev.ResponseCancelled, "r1")
    script.post(ev.TurnCommitted, "u2")
    script.post(ev.ResponseCreated, "r2")
    assert script.post(ev.SentenceCut, "r2", 1, "New.") == [Synthesise("call.r2.1", "r2", "New.")]


def test_an_interruption_cancels_what_is_in_synthesis_and_drops_what_waits() -> None:
    """R65, R77: playback first, then the POST, and no queued sentence is ever posted."""
    script = reading()
    script.post(ev.SentenceCut, "r1", 2, "Two.")
    assert script.post(ev.BargeInDetected) == [Hold(), Flush("r1"), Resume(), CancelSynthesis(ONE), CancelResponse("r1")]
    assert script.call.synthesis.queue == ()
    assert script.post(ev.SynthesisDiscarded, ONE) == []
    assert script.post(ev.SentenceSynthesised, ONE, 900.0) == []
    assert script.of(Synthesise) == [Synthesise(ONE, "r1", "One.")]
    script.expects(synthesis=states.RESTING)


def test_an_interruption_between_two_posts_cancels_none() -> None:
    """R64, R65: the sentence ahead is synthesised already; its queue is dropped."""
    script = hear(reading(), ms=0)
    script.post(ev.SentenceCut, "r1", 2, "Two.")
    script.post(ev.SentenceSynthesised, ONE, 900.0)
    script.expects(synthesis=states.AHEAD)
    script.post(ev.BargeInDetected)
    script.expects(synthesis=states.RESTING)
    assert not script.of(CancelSynthesis)
    assert script.post(ev.SentenceStarted, ONE) == []
    assert len(script.of(Synthesise)) == 1


def test_a_cancel_by_the_server_stops_the_sentences_too() -> None:
    """R77, R69."""
    script = reading()
    assert CancelSynthesis(ONE) in script.post(ev.ResponseCancelled, "r1", "turn_detected")
    script.expects(synthesis=states.RESTING)
    script = hear(reading(), ms=0)
    script.post(ev.SentenceSynthesised, ONE, 900.0)
    script.post(ev.ResponseCancelled, "r1", "turn_detected")
    script.expects(synthesis=states.RESTING)
    script = reading()
    script.post(ev.ResponseCancelled, "r9")
    script.expects(synthesis=states.SYNTHESISING)


def test_the_sentences_of_a_cancelled_next_answer_are_dropped() -> None:
    """R67: those in synthesis and those that wait; the present answer's go on."""
    script = hear(reading(create_response=True), ms=0)
    script.post(ev.ResponseCompleted, "r1")
    script.post(ev.ResponseCreated, "r2")
    script.post(ev.SentenceCut, "r2", 1, "New.")
    script.post(ev.ResponseCancelled, "r2", "turn_detected")
    script.expects(synthesis=states.SYNTHESISING)
    script.post(ev.SentenceSynthesised, ONE, 900.0)
    script.post(ev.SentenceStarted, ONE)
    assert script.of(Synthesise) == [Synthesise(ONE, "r1", "One.")]


def test_the_sentences_of_the_next_answer_do_not_keep_the_present_one_alive() -> None:
    """R10, R75: all of r1 was heard while r2's first sentence was in synthesis."""
    script = hear(reading(create_response=True), ms=0)
    script.post(ev.SentenceSynthesised, ONE, 900.0)
    script.post(ev.SentenceStarted, ONE)
    script.post(ev.ResponseCompleted, "r1")
    script.post(ev.ResponseCreated, "r2")
    assert script.post(ev.SentenceCut, "r2", 1, "New.") == [Synthesise("call.r2.1", "r2", "New.")]
    heard_out(script)
    assert script.call.playout.id == "r2"
    script.expects(playout=states.ADMITTED)


def test_a_lost_sentence_does_not_stop_the_next() -> None:
    """R78: a 5xx, a 204 that nobody asked for, or no answer at all."""
    for kind in (ev.SynthesisFailed, ev.SynthesisDiscarded):
        script = reading()
        script.post(ev.SentenceCut, "r1", 2, "Two.")
        assert script.post(kind, ONE) == [Synthesise(TWO, "r1", "Two."), Log(Level.WARNING, "sentence_lost", ONE)]
        assert script.post(kind, ONE) == []
        assert script.post(kind, TWO) == [Log(Level.WARNING, "sentence_lost", TWO)]
        script.expects(synthesis=states.RESTING)
    script = reading(synthesis_ms=3_000)
    script.post(ev.SentenceCut, "r1", 2, "Two.")
    told = [CancelSynthesis(ONE), Synthesise(TWO, "r1", "Two."), Log(Level.WARNING, "sentence_lost", ONE)]
    assert script.wait(3_000) == told
    assert script.wait(3_000) == [CancelSynthesis(TWO), Log(Level.WARNING, "sentence_lost", TWO)]
    script.expects(synthesis=states.RESTING)


def test_the_loss_of_the_last_sentence_ends_the_voice() -> None:
    """R75, R78: before its first sound, and when all that came was heard."""
    script = reading()
    script.post(ev.ResponseCompleted, "r1")
    script.expects(playout=states.ADMITTED)
    script.post(ev.SynthesisFailed, ONE, "500")
    script.expects(playout=states.SILENT)
    script = hear(reading(), ms=0)
    script.post(ev.ResponseCompleted, "r1")
    script.post(ev.PlayoutFinished, "r1", 10.0)
    script.expects(playout=states.STARVED)
    script.post(ev.SynthesisFailed, "call.r9.1", "500")
    script.expects(playout=states.STARVED, phase=states.AI_SPEAKING)
    script.post(ev.SynthesisFailed, ONE, "500")
    script.expects(playout=states.SILENT, phase=states.LISTENING)


def test_a_slow_synthesis_is_no_silent_response() -> None:
    """R16: the sentence is on its way, so nothing is cancelled for want of sound."""
    script = reading()
    script.post(ev.ResponseCompleted, "r1")
    script.wait(9_000)
    script.expects(playout=states.ADMITTED, synthesis=states.SYNTHESISING)
    hear(script, ms=0)
    script.post(ev.PlayoutFinished, "r1", 10.0)
    script.wait(5_500)
    script.expects(playout=states.STARVED, phase=states.AI_SPEAKING)


def test_sound_that_the_device_never_plays_is_given_up() -> None:
    """R78, R79: a sentence was synthesised, and the device stays silent."""
    script = reading()
    script.post(ev.SentenceSynthesised, ONE, 900.0)
    script.wait(5_000)
    assert script.of(Flush) == [Flush("r1")]
    assert script.of(CancelResponse) == [CancelResponse("r1")]
    script.expects(synthesis=states.RESTING, phase=states.CANCELLING, playout=states.SILENT)
    script = hear(reading(), ms=0)
    script.post(ev.ResponseCompleted, "r1")
    script.post(ev.PlayoutFinished, "r1", 10.0)
    script.post(ev.SentenceSynthesised, ONE, 900.0)
    script.wait(5_000)
    assert script.of(Flush) == [Flush("r1")]
    script.expects(synthesis=states.RESTING, phase=states.LISTENING, playout=states.SILENT)


def test_a_sentence_that_comes_late_has_its_time_to_be_heard() -> None:
    """R79: the stall runs from the sound's arrival, not from the silence before it."""
    script = hear(reading(), ms=0)
    script.post(ev.ResponseCompleted, "r1")
    script.post(ev.PlayoutFinished, "r1", 10.0)
    script.wait(4_990)
    script.post(ev.SentenceSynthesised, ONE, 900.0)
    script.wait(20)
    script.post(ev.PlayoutProgressed, "r1", 10.0)
    script.expects(playout=states.PLAYING, phase=states.AI_SPEAKING)


def test_a_stalled_device_orphans_no_synthesis() -> None:
    """R77."""
    script = hear(reading(), ms=0)
    assert CancelSynthesis(ONE) in script.wait(2_200)
    script.expects(synthesis=states.RESTING)


def test_sentences_that_wait_are_bounded() -> None:
    """R07: what has no room is dropped and told."""
    script = reading(queued_sentences=1)
    script.post(ev.SentenceCut, "r1", 2, "Two.")
    assert script.post(ev.SentenceCut, "r1", 3, "Three.") == [Log(Level.WARNING, "sentence_dropped", "call.r1.3")]
    assert len(script.call.synthesis.queue) == 1


def test_what_became_of_a_cancel_is_told() -> None:
    """R64: hit or miss, never a silent no-op."""
    script = reading()
    script.post(ev.BargeInDetected)
    assert script.post(ev.SynthesisCancelAnswered, ONE, "too late") == [Log(Level.INFO, "synthesis_cancel_too_late", ONE)]


def test_words_of_other_sentences_change_nothing() -> None:
    """R10, R66."""
    script = reading()
    for event in (ev.SentenceSynthesised, ev.SynthesisFailed, ev.SynthesisDiscarded, ev.SentenceStarted):
        script.post(event, "call.r9.1")
    script.expects(synthesis=states.SYNTHESISING, playout=states.ADMITTED)
    assert not script.call.truncation.spoken
    script.post(ev.SentenceSynthesised, ONE, 900.0)
    script.post(ev.SentenceStarted, "call.r9.1")
    script.post(ev.ResponseCancelled, "r9")
    script.expects(synthesis=states.AHEAD)


def test_a_foreign_sentence_gives_a_silent_device_no_more_time() -> None:
    """R79: only sound of ours does."""
    script = hear(reading(), ms=0)
    script.post(ev.SentenceSynthesised, ONE, 900.0)
    script.post(ev.PlayoutFinished, "r1", 10.0)
    script.wait(3_000)
    script.post(ev.SentenceSynthesised, "call.r9.1", 900.0)
    assert Flush("r1") in script.wait(1_000)


def test_a_sentence_that_is_told_twice_is_spoken_once() -> None:
    """R10, R34: the text that was heard holds it once."""
    script = reading()
    for _ in range(2):
        script.post(ev.SentenceSynthesised, ONE, 900.0)
    assert [spoken.text for spoken in script.call.truncation.spoken] == ["One."]


def test_the_start_of_the_voice_drops_no_sentence() -> None:
    """R77: only a stall does; the end of the onset is none."""
    script = hear(reading(), ms=0)
    script.post(ev.SentenceSynthesised, ONE, 900.0)
    script.wait(300)
    script.expects(playout=states.PLAYING, synthesis=states.AHEAD)


def test_each_sentence_has_its_own_time() -> None:
    """R78: the deadline of a lost sentence is not the next one's."""
    script = reading(synthesis_ms=3_000)
    script.post(ev.SentenceCut, "r1", 2, "Two.")
    script.wait(2_000)
    script.post(ev.SynthesisFailed, ONE, "500")
    script.wait(2_000)
    script.expects(synthesis=states.SYNTHESISING)
    assert CancelSynthesis(TWO) in script.wait(1_000)


def resting(script: Script) -> None:
    """Fail unless nothing of any sentence is left."""
    synthesis = script.call.synthesis
    assert synthesis == attrs.evolve(Synthesis(), epoch=synthesis.epoch, failed=synthesis.failed)


def test_a_sentence_that_is_done_with_leaves_nothing_behind() -> None:
    """R07: lost, given up, heard, interrupted, cancelled or stalled, in synthesis or ahead."""
    lost, unanswered, heard, interrupted, cancelled, ahead, stalled, stalled_ahead = (hear(reading(), ms=0) for _ in range(8))
    lost.post(ev.SynthesisFailed, ONE, "500")
    unanswered.wait(200)
    for _ in range(40):
        unanswered.post(ev.PlayoutProgressed, "r1", 1.0)
        unanswered.wait(500)
    for script in (heard, interrupted, ahead, stalled_ahead):
        script.post(ev.SentenceSynthesised, ONE, 900.0)
    heard.post(ev.SentenceStarted, ONE)
    for script in (interrupted, stalled_ahead, stalled, cancelled, ahead):
        script.post(ev.SentenceCut, "r1", 2, "Two.")
    interrupted.post(ev.BargeInDetected)
    for script in (cancelled, ahead):
        script.post(ev.ResponseCancelled, "r1")
    for script in (stalled, stalled_ahead):
        script.wait(2_200)
    for script in (lost, unanswered, heard, interrupted, cancelled, ahead, stalled, stalled_ahead):
        resting(script)


def test_a_protected_greeting_keeps_its_sentences() -> None:
    """R36."""
    script = greeting(voice="chatterbox")
    script.post(ev.SentenceCut, "g1", 1, "Hello.")
    script.post(ev.BargeInDetected)
    script.expects(synthesis=states.SYNTHESISING, phase=states.GREETING_LOCK)


def test_the_text_of_a_spoken_item_is_cut_to_what_was_heard() -> None:
    """R34, R71: whole sentences, and of the last as many words as were played."""
    script = answering(voice="chatterbox")
    script.post(ev.SentenceCut, "r1", 1, "One two.", "item_r1")
    hear(script, ms=0)
    script.post(ev.SentenceSynthesised, ONE, 1000.0)
    script.post(ev.SentenceCut, "r1", 2, "Three four five six.", "item_r1")
    script.post(ev.SentenceStarted, ONE)
    script.post(ev.SentenceSynthesised, TWO, 1000.0)
    script.post(ev.BargeInDetected)
    assert script.post(ev.PlayoutStopped, "r1", 1500.0, 2000.0) == [RewriteItem("item_r1", "One two. Three four")]
    script.expects(truncation=states.IN_STEP)
    assert not script.of(TruncateItem)


def test_a_text_of_which_a_recording_was_heard_is_forgotten() -> None:
    """R34: an apology for a voice that fails, say; nobody truncates a text by milliseconds."""
    script = hear(reading())
    script.post(ev.BargeInDetected)
    assert script.post(ev.PlayoutStopped, "r9", 1000.0, 2000.0) == []
    assert script.post(ev.PlayoutStopped, "r1", 1000.0, 2000.0) == [DeleteItem("item_r1")]
    script.expects(truncation=states.IN_STEP)


def test_a_spoken_item_of_which_little_was_heard_keeps_its_first_word() -> None:
    """R34, R71: and none of the sentence that was not begun; nothing heard deletes the item."""
    for played_ms, told in ((10.0, RewriteItem("item_r1", "One")), (0.0, DeleteItem("item_r1"))):
        script = answering(voice="chatterbox")
        script.post(ev.SentenceCut, "r1", 1, "One two.", "item_r1")
        hear(script, ms=0)
        script.post(ev.SentenceSynthesised, ONE, 1000.0)
        script.post(ev.SentenceCut, "r1", 2, "Three.", "item_r1")
        script.post(ev.SentenceStarted, ONE)
        script.post(ev.SentenceSynthesised, TWO, 1000.0)
        script.post(ev.BargeInDetected)
        assert script.post(ev.PlayoutStopped, "r1", played_ms, 2000.0) == [told]


def test_an_admission_names_its_response() -> None:
    """R09: nothing without an id is ever heard."""
    script = answering()
    assert script.of(Admit) == [Admit("r1")]
    assert admits(script.call, "r1")
    assert not admits(script.call, "")
    assert not admits(script.call, "r9")


def test_a_late_sentence_is_not_spoken_behind_those_of_the_next_response() -> None:
    """R31, R66: its own response would be over by then."""
    script = hear(answering(voice="chatterbox"))
    script.post(ev.ResponseCompleted, "r1")
    script.post(ev.ResponseCreated, "r2")
    assert script.post(ev.SentenceCut, "r2", 1, "Two.") == [Synthesise("call.r2.1", "r2", "Two.")]
    script.post(ev.SentenceCut, "r1", 2, "One.")
    assert script.call.synthesis.queue == ()


def test_what_is_over_is_not_heard_any_more() -> None:
    """R69: sound that comes after all that was told of it is refused, whether another response follows or not."""
    script = playing_out()
    heard_out(script)
    assert script.of(Retire) == [Retire("r1")]
    script = playing_out(create_response=True)
    script.post(ev.ResponseCreated, "r2")
    heard_out(script)
    assert script.of(Retire) == [Retire("r1")]
    script.expects(playout=states.ADMITTED)


def test_a_response_that_followed_with_its_sound_is_heard_at_once() -> None:
    """R27, R75: it is not awaited, and its end is not its playout's."""
    script = playing_out(create_response=True)
    script.post(ev.ResponseCreated, "r2")
    script.post(ev.AudioArrived, "r2", "")
    heard_out(script)
    script.expects(playout=states.ONSET, phase=states.AI_SPEAKING)
    assert script.of(Retire) == [Retire("r1")]
    script.post(ev.ResponseCompleted, "r2")
    script.wait(200)
    script.expects(playout=states.PLAYING, phase=states.AI_SPEAKING)
    assert script.post(ev.SpeechStarted, "u2") == [Hold()]


def reads_two(first_ms: float | None, second_ms: float | None) -> Script:
    """Two sentences of three words and a reckoned second each; the device tells, or not, where each began."""
    script = hear(reading(), ms=0)
    script.post(ev.SentenceCut, "r1", 2, "Four five six.", "item_r1")
    script.post(ev.SentenceSynthesised, ONE, 1000.0)
    script.post(ev.SentenceStarted, ONE, first_ms)
    script.post(ev.SentenceSynthesised, TWO, 1000.0)
    if second_ms is not None:
        script.post(ev.SentenceStarted, TWO, second_ms)
    return script


def test_what_was_heard_is_told_by_where_each_sentence_began() -> None:
    """R34, R71: the length of a voice that streams is reckoned, and gaps in it are no words."""
    script = reads_two(0.0, None)
    script.post(ev.BargeInDetected)
    assert script.post(ev.PlayoutStopped, "r1", 2_500.0, 2_500.0) == [RewriteItem("item_r1", "One.")]

    script = reads_two(0.0, 3_000.0)
    script.post(ev.BargeInDetected)
    assert script.post(ev.PlayoutStopped, "r1", 3_400.0, 4_000.0) == [RewriteItem("item_r1", "One. Four")]

    script = reads_two(0.0, 400.0)
    script.post(ev.BargeInDetected)
    assert script.post(ev.PlayoutStopped, "r1", 400.0, 1_400.0) == [RewriteItem("item_r1", "One.")]


def test_a_device_that_tells_no_beginnings_is_believed_its_lengths() -> None:
    """R34."""
    script = reads_two(None, None)
    script.post(ev.BargeInDetected)
    assert script.post(ev.PlayoutStopped, "r1", 1_700.0, 2_000.0) == [RewriteItem("item_r1", "One. Four five")]


def test_a_beginning_of_another_sentence_is_not_taken_for_its() -> None:
    """R10: of one that is over, and of one that is not synthesised yet."""
    script = reads_two(0.0, None)
    script.post(ev.SentenceStarted, ONE, 900.0)
    assert [sentence.from_ms for sentence in script.call.truncation.spoken] == [0.0, None]
    script = hear(reading(), ms=0)
    script.post(ev.SentenceStarted, ONE, 100.0)
    assert not script.call.truncation.spoken


def test_what_follows_the_greeting_is_no_greeting() -> None:
    """R36: it may be interrupted."""
    script = hear(greeting(create_response=True), "g1")
    script.post(ev.ResponseCompleted, "g1")
    script.post(ev.ResponseCreated, "r2")
    script.post(ev.AudioArrived, "r2", "item_r2")
    heard_out(script, "g1")
    script.expects(phase=states.AI_SPEAKING, playout=states.ONSET)


def test_the_answer_behind_one_that_is_not_played_is_spoken() -> None:
    """R69, R77, R79: whether it is in synthesis already, or waits behind a sentence of the other."""
    for behind in (False, True):
        script = hear(reading(create_response=True))
        script.post(ev.SentenceSynthesised, ONE, 900.0)
        if not behind:
            script.post(ev.SentenceStarted, ONE)
        script.post(ev.ResponseCompleted, "r1")
        script.post(ev.ResponseCreated, "r2")
        script.post(ev.SentenceCut, "r2", 1, "Two.", "item_r2")
        script.post(ev.ResponseCompleted, "r2")
        script.wait(2_000)
        assert script.of(Flush) == [Flush("r1")]
        assert [effect.session_id for effect in script.of(Synthesise)] == [ONE, "call.r2.1"]
        assert not script.of(CancelSynthesis)
        script.expects(playout=states.ADMITTED, synthesis=states.SYNTHESISING)
