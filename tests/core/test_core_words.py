"""Claims about a voice that stays held until the caller's words are known: "yeah" lets it go on, "no, wait" interrupts (R29, R74, R94)."""

import pytest

from fsm import admits, events as ev, states
from fsm.call.effects import CancelResponse, Cause, CommitTurn, CreateResponse, Flush, Hold, Level, Log, Resume, RunTool
from tests.shared.core import Script, answering, caller_says, expired, hear, heard_out, playing_out, put, speaking

FALSE_ALARM = Log(Level.INFO, "false_interruption")
WAITS = {"interruption_words_ms": 1_500}


def spoken_over(script: Script, item_id: str = "u2") -> Script:
    """The caller said something short over the voice, which is a turn of the conversation by now; its words are not known."""
    script.post(ev.SpeechStarted, item_id)
    assert script.wait(150) == []
    script.expects(interruption=states.WORDS_AWAITED, playout=states.PLAYING)
    assert script.post(ev.SpeechStopped, item_id) == []
    assert script.post(ev.TurnCommitted, item_id) == []
    return script


def test_a_voice_that_is_held_for_words_is_not_heard() -> None:
    """R30, R74: nothing is decided, and nothing sounds."""
    script = spoken_over(speaking(**WAITS))
    assert script.of(Hold) == [Hold()]
    assert not script.of(Resume)
    assert not admits(script.call, "r1")
    script.expects(response=states.IN_PROGRESS, phase=states.AI_SPEAKING)


@pytest.mark.parametrize("told", [("yeah", True), ("", False), (" ", False)])
def test_a_listeners_word_lets_the_voice_go_on_and_is_not_answered(told: tuple[str, bool]) -> None:
    """R29, R94: nor does a sound without words."""
    script = spoken_over(speaking(**WAITS))
    assert script.post(ev.Transcribed, "u2", *told) == [Resume(), FALSE_ALARM]
    script.expects(interruption=states.CLEAR, playout=states.PLAYING, response=states.IN_PROGRESS)
    script.post(ev.ResponseCompleted, "r1")
    hear(script, ms=2_000)
    assert heard_out(script) == []
    script.expects(pending=states.NOTHING)


def test_other_words_interrupt_and_are_answered() -> None:
    """R22, R29."""
    script = spoken_over(speaking(**WAITS))
    assert script.post(ev.Transcribed, "u2", "no, wait") == [Flush("r1"), Resume(), CancelResponse("r1")]
    script.expects(interruption=states.LOCKED, phase=states.CANCELLING)
    assert CreateResponse(Cause.USER_TURN) in script.post(ev.ResponseCancelled, "r1")


def test_a_listeners_word_to_a_question_is_an_answer() -> None:
    """R94: the voice goes on, and then it is answered; so is a sound in which no words are found, as they may have been missed."""
    for told in (("yeah", True), ("", False)):
        script = spoken_over(speaking(**WAITS))
        script.post(ev.QuestionAsked, "r1")
        assert script.post(ev.Transcribed, "u2", *told) == [Resume(), FALSE_ALARM]
        script.post(ev.ResponseCompleted, "r1")
        assert heard_out(hear(script, ms=2_000)) == [CreateResponse(Cause.USER_TURN)]


def test_words_that_do_not_come_in_time_are_an_interruption() -> None:
    """R74, R78: so are those of a caller who still speaks; the hold has an end."""
    stopped = spoken_over(speaking(**WAITS))
    assert stopped.wait(1_499) == []
    assert stopped.wait(1) == [Flush("r1"), Resume(), CancelResponse("r1")]
    speaks = speaking(**WAITS)
    speaks.post(ev.SpeechStarted, "u2")
    assert speaks.wait(1_650) == [Flush("r1"), Resume(), CancelResponse("r1")]


def test_who_speaks_again_interrupts() -> None:
    """R29: a caller who goes on is never passed over, though their first word was a listener's."""
    script = spoken_over(speaking(**WAITS))
    assert script.post(ev.SpeechStarted, "u3") == [Flush("r1"), Resume(), CancelResponse("r1")]
    script.post(ev.Transcribed, "u2", "yeah", True)
    script.expects(interruption=states.LOCKED)


def test_words_of_an_earlier_turn_decide_nothing() -> None:
    """R20: they are late by nature; whether the turn at hand is committed or not."""
    script = speaking(**WAITS)
    script.post(ev.SpeechStarted, "u2")
    script.wait(150)
    for words in (("What about tomorrow?",), ("yeah", True), ("",)):
        assert script.post(ev.Transcribed, "u1", *words) == []
    script.post(ev.SpeechStopped, "u2")
    script.post(ev.TurnCommitted, "u2")
    for words in (("What about tomorrow?",), ("yeah", True), ("",)):
        assert script.post(ev.Transcribed, "u1", *words) == []
    script.expects(interruption=states.WORDS_AWAITED)


def test_a_sound_that_is_short_or_ends_unverified_waits_for_no_words() -> None:
    """R29: the voice goes on at once, as without words."""
    short = speaking(**WAITS)
    short.post(ev.SpeechStarted, "u2")
    short.wait(100)
    assert short.post(ev.SpeechStopped, "u2") == [Resume(), FALSE_ALARM]
    cough = speaking(interruption_by="detector", **WAITS)
    cough.post(ev.SpeechStarted)
    assert cough.post(ev.VoicePaused) == [Resume(), FALSE_ALARM]


def test_what_a_detector_verifies_waits_for_words_too() -> None:
    """R29: at the first sound, from a suspicion, and where it was taken for an echo."""
    for begin in ("clear", "suspected", "echoed"):
        local = {"interruption_by": "detector", "turns": "local", **WAITS}
        script = hear(answering(**local), ms=0) if begin == "echoed" else speaking(**local)
        if begin != "clear":
            script.post(ev.SpeechStarted)
        assert script.post(ev.BargeInDetected) == ([] if begin == "suspected" else [Hold()])
        script.expects(interruption=states.WORDS_AWAITED)
        assert script.post(ev.BargeInDetected) == []
        assert script.post(ev.SpeechStopped) == [CommitTurn()]
        script.post(ev.TurnCommitted, "u2")
        assert script.post(ev.Transcribed, "u2", "stop") == [Flush("r1"), Resume(), CancelResponse("r1")]


def test_what_a_detector_knows_for_a_listeners_word_lets_the_voice_go_on_before_its_transcript() -> None:
    """R29, R94: the turn is committed later, and is none."""
    script = speaking(**WAITS)
    script.post(ev.SpeechStarted, "u2")
    script.wait(150)
    assert script.post(ev.BackchannelHeard) == [Resume(), FALSE_ALARM]
    script.post(ev.SpeechStopped, "u2")
    script.post(ev.TurnCommitted, "u2")
    script.post(ev.ResponseCompleted, "r1")
    assert heard_out(hear(script, ms=2_000)) == []
    script.expects(pending=states.NOTHING)


def test_a_listeners_word_that_a_server_would_answer_is_left_to_nobody() -> None:
    """R25, R94: whoever answers turns, and though no words were waited for."""
    script = speaking(create_response=True)
    caller_says(script, "u2", ms=100)
    script.expects(pending=states.OWED)
    script.post(ev.Transcribed, "u2", "yeah", True)
    script.post(ev.ResponseCompleted, "r1")
    assert heard_out(hear(script, ms=2_000)) == []
    script.expects(pending=states.NOTHING)


def test_without_a_voice_to_hold_or_a_wait_nothing_is_waited_for() -> None:
    """R28, R29: a sound that lasts interrupts in the step in which its deadline passes."""
    for words_ms, ends, state in ((0, False, states.LOCKED), (1, False, states.WORDS_AWAITED), (1, True, states.LOCKED)):
        script = playing_out(interruption_words_ms=words_ms)
        script.post(ev.SpeechStarted, "u2")
        if ends:
            script.post(ev.PlayoutFinished, "r1", 1_000.0)
        expired(script, "interruption")
        script.expects(interruption=state)
        echoed = hear(answering(interruption_words_ms=words_ms), ms=0)
        echoed.post(ev.SpeechStarted, "u2")
        if ends:
            echoed.post(ev.ResponseFailed, "r1", "quota")
            put(echoed, "playout", states.SILENT)
        expired(echoed, "interruption")
        echoed.expects(interruption=state)


def test_a_call_that_is_taken_up_waits_for_no_words() -> None:
    """R110: what was held is lost, with its process."""
    script = spoken_over(speaking(**WAITS))
    script.post(ev.TakenUp)
    script.expects(interruption=states.CLEAR)


def test_a_sound_behind_the_agents_first_waits_for_words_once_it_lasts() -> None:
    """R29, R33."""
    script = hear(answering(**WAITS), ms=0)
    script.post(ev.SpeechStarted, "u2")
    assert script.wait(350) == [Hold()]
    script.expects(interruption=states.WORDS_AWAITED)


def test_speech_told_at_once_interrupts_if_it_outlasts_the_wait_for_its_words() -> None:
    """R29: its two ends come together from a connection that stalled; nothing is held meanwhile."""
    for spoken_ms, interrupts in ((1_649.0, False), (1_650.0, True)):
        script = speaking(**WAITS)
        script.post(ev.SpeechStarted, "u2")
        assert (Flush("r1") in script.post(ev.SpeechStopped, "u2", spoken_ms)) is interrupts


def test_over_silence_no_words_are_awaited() -> None:
    """R11, R28: the voice was over before the turn was, so it is answered at once."""
    script = playing_out(**WAITS)
    script.post(ev.SpeechStarted, "u2")
    script.wait(150)
    script.post(ev.PlayoutFinished, "r1", 1_000.0)
    script.post(ev.SpeechStopped, "u2")
    assert script.post(ev.TurnCommitted, "u2") == [Resume(), CreateResponse(Cause.USER_TURN)]
    script.expects(interruption=states.CLEAR)

    calls = speaking(**WAITS)
    calls.post(ev.SpeechStarted, "u2")
    calls.wait(150)
    calls.post(ev.ToolCalled, "t1", "look_up", "{}", "r1")
    calls.post(ev.ResponseCompleted, "r1")
    calls.post(ev.PlayoutFinished, "r1", 1_000.0)
    calls.post(ev.SpeechStopped, "u2")
    calls.post(ev.TurnCommitted, "u2")
    assert calls.of(RunTool), "what waited for the decision is done"


def test_no_answer_is_asked_for_before_the_words_have_decided() -> None:
    """R11: they would cut it off; a voice that ends while it is held leaves the turn owed, and it is answered once they come."""
    for words in (("no, wait",), ("yeah", True)):
        script = spoken_over(playing_out(**WAITS))
        assert heard_out(script) == []
        script.expects(pending=states.WANTED, playout=states.SILENT, interruption=states.WORDS_AWAITED)
        assert script.post(ev.Transcribed, "u2", *words)[-1] == CreateResponse(Cause.USER_TURN)


def test_a_tool_call_waits_for_the_words() -> None:
    """R90: it is not run if they interrupt."""
    for words, runs in ((("yeah", True), True), (("no, wait",), False)):
        script = spoken_over(speaking(**WAITS))
        script.post(ev.ToolCalled, "t1", "look_up", "{}", "r1")
        assert not script.of(RunTool)
        script.post(ev.Transcribed, "u2", *words)
        assert bool(script.of(RunTool)) is runs


def test_a_key_interrupts_while_words_are_awaited() -> None:
    """R101."""
    script = spoken_over(speaking(**WAITS))
    assert Flush("r1") in script.post(ev.DigitPressed, "1")
    script.expects(interruption=states.LOCKED)


def test_a_servers_own_cancel_ends_the_wait() -> None:
    """R02, R74: nothing is left to hold."""
    script = spoken_over(speaking(**WAITS))
    assert Resume() in script.post(ev.ResponseCancelled, "r1")
    script.expects(interruption=states.CLEAR)


def test_words_of_an_older_turn_end_no_suspicion_of_the_next() -> None:
    """R20, R29: a listener's word whose transcript is late says nothing of the sound that follows it."""
    script = speaking()
    script.post(ev.SpeechStarted, "u2")
    script.post(ev.SpeechStopped, "u2")
    script.post(ev.TurnCommitted, "u2")
    script.post(ev.SpeechStarted, "u3")
    assert script.post(ev.Transcribed, "u2", "yeah", True) == []
    script.expects(interruption=states.SUSPECTED)
    assert Flush("r1") in script.wait(150)
