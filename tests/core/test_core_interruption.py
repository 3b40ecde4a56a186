"""Claims about barge-in: what counts as one, held first, decided by a deadline, carried out in one step (R20 to R36, R68 to R75)."""

from fsm import Policy, admits, events as ev, states
from fsm.call.effects import (
    Admit,
    CancelResponse,
    CancelSynthesis,
    Cause,
    CreateResponse,
    DeleteItem,
    Flush,
    Hold,
    Level,
    Log,
    Resume,
    Retire,
    RewriteItem,
    TruncateItem,
)
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

FALSE_ALARM = Log(Level.INFO, "false_interruption")


def test_a_sound_before_the_noise_floor_is_known_is_no_barge_in() -> None:
    """R29, and the second seed's first fix: neither the server's VAD nor our own is believed."""
    script = _uncalibrated_speaking()
    assert script.post(ev.SpeechStarted, "u2") == []
    assert script.post(ev.BargeInDetected) == []
    script.expects(interruption=states.CLEAR, phase=states.AI_SPEAKING)


def test_the_noise_floor_is_taken_as_known_after_a_while() -> None:
    """R78: a calibration that is never told does not make the agent deaf."""
    script = _uncalibrated_speaking()
    script.wait(10_000 - script.now_ms)
    script.expects(calibration=states.CALIBRATED)


def test_a_barge_in_during_silence_is_none() -> None:
    """R28: nothing is heard and nothing is on its way."""
    script = idle()
    assert script.post(ev.SpeechStarted, "u1") == []
    assert script.post(ev.BargeInDetected) == []
    script.expects(interruption=states.CLEAR, phase=states.LISTENING)


def test_the_first_sound_of_the_caller_holds_the_voice() -> None:
    """R29, R74: silence at once, nothing flushed or cancelled yet."""
    script = speaking()
    assert script.post(ev.SpeechStarted, "u2") == [Hold()]
    assert not admits(script.call, "r1")
    script.expects(interruption=states.SUSPECTED, phase=states.AI_SPEAKING, response=states.IN_PROGRESS)


def test_a_short_sound_lets_the_voice_go_on() -> None:
    """R74: the first exit of a hold."""
    script = speaking()
    script.post(ev.SpeechStarted, "u2")
    script.wait(149)
    assert script.post(ev.SpeechStopped, "u2") == [Resume(), Log(Level.INFO, "false_interruption")]
    assert admits(script.call, "r1")
    script.expects(interruption=states.CLEAR, phase=states.AI_SPEAKING, playout=states.PLAYING)
    script.wait(149)
    assert not script.of(Flush)


def test_a_lasting_sound_interrupts_in_one_step() -> None:
    """R30, R74: frames refused and dropped, the hold ended, the synthesis and the response cancelled, in this order."""
    script = hear(reading())
    script.post(ev.SentenceSynthesised, "call.r1.1")
    script.post(ev.SentenceCut, "r1", 2, "Two.")
    script.post(ev.SentenceStarted, "call.r1.1")
    script.expects(synthesis=states.SYNTHESISING)
    script.post(ev.SpeechStarted, "u2")
    assert script.wait(150) == [Flush("r1"), Resume(), CancelSynthesis("call.r1.2"), CancelResponse("r1")]
    script.expects(phase=states.CANCELLING, playout=states.SILENT, synthesis=states.RESTING, interruption=states.LOCKED)
    assert script.call.playout.id == ""


def test_speech_that_is_told_in_one_burst_interrupts_if_it_lasted() -> None:
    """R29: the connection had stalled, and the server tells both ends of the caller's speech at once, and by its clock how long it was."""
    for onset, spoken_ms, interrupts in ((False, 150, True), (False, 149, False), (True, 350, True), (True, 349, False)):
        script = put(speaking(), "playout", states.ONSET if onset else states.PLAYING)
        now(script, ev.SpeechStarted, "u2")
        script.expects(interruption=states.ECHOED if onset else states.SUSPECTED)
        effects = now(script, ev.SpeechStopped, "u2", spoken_ms)
        script.expects(interruption=states.LOCKED if interrupts else states.CLEAR)
        assert (Flush("r1") in effects) is interrupts
        assert Resume() in effects or (onset and not interrupts)
        assert effects.count(Hold()) == (onset and interrupts)
    for policy in ({"interruption_by": "detector"}, {"greeting_protected": True}):
        script = speaking(**policy)
        if "greeting_protected" in policy:
            put(script, "phase", states.GREETING_LOCK)
        now(script, ev.SpeechStarted, "u2")
        assert Flush("r1") not in now(script, ev.SpeechStopped, "u2", 5000)


def test_a_verified_barge_in_interrupts_at_once() -> None:
    """R29: a detector of our own waits for no deadline, held or not."""
    script = speaking()
    assert script.post(ev.BargeInDetected) == [Hold(), Flush("r1"), Resume(), CancelResponse("r1")]
    script = speaking()
    script.post(ev.SpeechStarted, "u2")
    assert script.post(ev.BargeInDetected) == [Flush("r1"), Resume(), CancelResponse("r1")]


def test_a_sound_at_the_onset_may_be_our_echo() -> None:
    """R29, R33: nothing is held, and when it ends soon nothing happened."""
    script = hear(answering(), ms=0)
    script.wait(100)
    assert script.post(ev.SpeechStarted, "u2") == []
    script.expects(interruption=states.ECHOED)
    assert admits(script.call, "r1")
    assert script.post(ev.SpeechStopped, "u2") == []
    script.expects(interruption=states.CLEAR)


def test_a_sound_that_outlasts_the_echo_interrupts() -> None:
    """R29, R33: after the echo window and the shortest speech."""
    script = hear(answering(), ms=0)
    script.post(ev.SpeechStarted, "u2")
    assert script.wait(349) == []
    assert script.wait(1) == [Hold(), Flush("r1"), Resume(), CancelResponse("r1")]
    script.expects(interruption=states.LOCKED, phase=states.CANCELLING)


def test_a_verified_barge_in_is_no_echo() -> None:
    """R29."""
    script = hear(answering(), ms=0)
    script.post(ev.SpeechStarted, "u2")
    assert script.post(ev.BargeInDetected) == [Hold(), Flush("r1"), Resume(), CancelResponse("r1")]


def test_a_second_start_changes_nothing() -> None:
    """R70: no second hold, no second deadline."""
    script = speaking()
    script.post(ev.SpeechStarted, "u2")
    script.wait(100)
    before = script.call
    assert script.post(ev.SpeechStarted, "u2") == []
    assert script.call.interruption == before.interruption
    script.wait(50)
    assert script.of(Flush) == [Flush("r1")]


def test_a_cancel_by_the_server_ends_every_suspicion() -> None:
    """R02, R74: of an echo, of a held sound."""
    script = speaking()
    script.post(ev.SpeechStarted, "u2")
    assert script.post(ev.ResponseCancelled, "r1", "turn_detected") == [Flush("r1"), Resume(), Retire("r1")]
    script.expects(interruption=states.CLEAR, phase=states.LISTENING)
    script = hear(answering(), ms=0)
    script.post(ev.SpeechStarted, "u2")
    script.post(ev.ResponseCancelled, "r1", "turn_detected")
    script.expects(interruption=states.CLEAR, phase=states.LISTENING)


def test_a_cancel_of_another_response_ends_no_hold() -> None:
    """R72, R74."""
    script = speaking()
    script.post(ev.SpeechStarted, "u2")
    script.post(ev.ResponseCancelled, "r9")
    script.expects(interruption=states.SUSPECTED)
    script = hear(answering(), ms=0)
    script.post(ev.SpeechStarted, "u2")
    script.post(ev.ResponseCancelled, "r9")
    script.expects(interruption=states.ECHOED)


def test_speech_over_an_answer_not_yet_heard_interrupts() -> None:
    """R28, R68: what is on its way counts."""
    script = answering()
    script.post(ev.SpeechStarted, "u2")
    assert script.wait(150) == [Flush("r1"), Resume(), CancelResponse("r1")]
    script.expects(phase=states.CANCELLING)


def test_what_is_still_played_is_interrupted_after_its_end() -> None:
    """R27, R75: generated to its end, and still heard."""
    script = playing_out()
    script.post(ev.SpeechStarted, "u2")
    assert script.wait(150) == [Flush("r1"), Resume()]
    script.expects(phase=states.LISTENING)


def test_the_tail_on_the_line_is_interrupted_too() -> None:
    """R27: our queue is empty, the line is not."""
    script = playing_out()
    script.post(ev.QueueEmptied, "r1")
    script.expects(playout=states.TAIL, phase=states.AI_SPEAKING)
    assert script.post(ev.SpeechStarted, "u2") == [Hold()]
    assert script.wait(150) == [Flush("r1"), Resume()]


def test_a_transcript_never_interrupts() -> None:
    """R20, R22: nor does local voice energy."""
    script = speaking()
    before = script.call
    assert script.post(ev.Transcribed, "u1", "late") == []
    assert script.post(ev.VoiceHeard, 900.0) == []
    assert script.call == before


def test_only_the_interrupted_response_is_flushed() -> None:
    """R31, R32: the next answer is admitted while the old one's end is awaited, and nothing flushes it."""
    script = interrupted(create_response=True)
    script.post(ev.SpeechStopped, "u2")
    script.post(ev.TurnCommitted, "u2")
    script.post(ev.ResponseCreated, "r2")
    script.post(ev.PlayoutStopped, "r1", 1000.0, 1500.0)
    script.post(ev.ResponseCancelled, "r1")
    assert script.of(Flush) == [Flush("r1")]
    assert admits(script.call, "r2")


def test_both_the_heard_and_the_next_response_are_interrupted() -> None:
    """R30, R69: an answer that the server had queued behind the one that is heard."""
    script = playing_out(create_response=True)
    assert script.post(ev.ResponseCreated, "r2") == [Admit("r2")]
    assert admits(script.call, "r1")
    assert admits(script.call, "r2")
    script.post(ev.SpeechStarted, "u2")
    assert script.wait(150) == [Flush("r1"), Flush("r2"), Resume(), CancelResponse("r2")]
    assert not admits(script.call, "r1")
    assert not admits(script.call, "r2")
    script.expects(phase=states.CANCELLING, playout=states.SILENT)
    assert (script.call.playout.id, script.call.playout.next_id) == ("", "")


def test_the_model_remembers_what_was_played() -> None:
    """R34, R71: the device's own milliseconds, whole, of the interrupted item."""
    script = interrupted()
    script.expects(truncation=states.POSITION_AWAITED)
    script.wait(300)
    assert script.post(ev.PlayoutStopped, "r1", 1012.7, 1500.0) == [TruncateItem("item_r1", 1012)]
    script.expects(truncation=states.IN_STEP)


def test_what_was_heard_in_full_is_not_truncated() -> None:
    """R71: past the end would be an error of the server."""
    for played_ms in (1500.0, 1520.0):
        script = interrupted()
        assert script.post(ev.PlayoutStopped, "r1", played_ms, 1500.0) == []
        script.expects(truncation=states.IN_STEP)


def test_an_item_of_which_nothing_was_heard_is_deleted() -> None:
    """R71: even if nothing of it had been received."""
    for received_ms in (1500.0, 0.0):
        script = interrupted()
        assert script.post(ev.PlayoutStopped, "r1", 0.0, received_ms) == [DeleteItem("item_r1")]
        script.expects(truncation=states.IN_STEP)


def test_a_response_is_truncated_once() -> None:
    """R70, R71: a second stop, or that of another response, says nothing."""
    script = interrupted()
    assert script.post(ev.PlayoutStopped, "r9", 10.0, 1500.0) == []
    script.expects(truncation=states.POSITION_AWAITED)
    script.post(ev.PlayoutStopped, "r1", 700.0, 1500.0)
    script.post(ev.PlayoutStopped, "r1", 700.0, 1500.0)
    assert script.of(TruncateItem) == [TruncateItem("item_r1", 700)]


def test_a_device_that_does_not_say_what_it_played_is_not_awaited_for_ever() -> None:
    """R71, R78: no guess by a wall clock."""
    script = interrupted()
    assert Log(Level.WARNING, "played_position_unknown", "r1") in script.wait(1_000)
    script.expects(truncation=states.IN_STEP)
    assert not script.of(TruncateItem)


def test_an_answer_without_sound_leaves_nothing_to_truncate() -> None:
    """R71: nothing of an item was heard."""
    script = answering()
    script.post(ev.BargeInDetected)
    assert script.post(ev.PlayoutStopped, "r1", 0.0, 0.0) == []
    script.expects(truncation=states.IN_STEP)


def test_what_the_server_cut_is_truncated_too() -> None:
    """R34, R71: whoever cancels, the memory follows the device."""
    script = speaking(interrupts="server")
    script.post(ev.ResponseCancelled, "r1", "turn_detected")
    assert script.post(ev.PlayoutStopped, "r1", 900.0, 1500.0) == [TruncateItem("item_r1", 900)]
    script = answering(interrupts="server")
    script.post(ev.ResponseCancelled, "r1", "turn_detected")
    assert script.post(ev.PlayoutStopped, "r1", 0.0, 0.0) == []


def test_a_protected_greeting_is_heard_to_its_end() -> None:
    """R36: neither a sound nor a detector of our own touches it."""
    script = hear(greeting(), "g1")
    for event in (ev.SpeechStarted, ev.BargeInDetected):
        assert script.post(event) == []
    script.wait(400)
    script.expects(phase=states.GREETING_LOCK, interruption=states.CLEAR, response=states.IN_PROGRESS)
    assert admits(script.call, "g1")


def test_a_greeting_that_is_asked_for_is_protected_already() -> None:
    """R36: between create and created."""
    script = begun(voice="realtime")
    script.post(ev.GreetingPrepared, "Hello.")
    script.expects(response=states.REQUESTED)
    assert script.post(ev.BargeInDetected) == []
    script.expects(response=states.REQUESTED, interruption=states.CLEAR)


def test_an_unprotected_greeting_is_interrupted() -> None:
    """R36: protection is policy."""
    script = hear(greeting(greeting_protected=False), "g1")
    script.post(ev.SpeechStarted, "u1")
    assert script.wait(150) == [Flush("g1"), Resume(), CancelResponse("g1")]
    script.expects(phase=states.CANCELLING)


def test_an_unprotected_greeting_is_interrupted_while_only_played() -> None:
    """R27, R36."""
    script = hear(greeting(greeting_protected=False), "g1")
    script.post(ev.ResponseCompleted, "g1")
    script.post(ev.SpeechStarted, "u1")
    assert script.wait(150) == [Flush("g1"), Resume()]
    script.expects(phase=states.LISTENING)


def test_a_hold_that_outlives_the_voice_is_ended() -> None:
    """R74: all was heard while the sound lasted; the voice is free again, and nothing is cancelled."""
    script = playing_out()
    script.post(ev.SpeechStarted, "u2")
    heard_out(script)
    script.expects(playout=states.SILENT, phase=states.LISTENING)
    script.wait(150)
    assert script.effects.count(Hold()) == script.effects.count(Resume()) == 1
    assert not script.of(Flush)
    script.expects(interruption=states.LOCKED)


def test_a_sound_over_a_cancelled_response_is_no_interruption() -> None:
    """R28, R70."""
    script = interrupted()
    script.post(ev.SpeechStopped, "u2")
    script.wait(script.call.policy.interruption_lock_ms)
    assert script.post(ev.SpeechStarted, "u3") == []
    script.expects(interruption=states.CLEAR)


def test_a_request_can_be_interrupted_by_a_detector_of_our_own() -> None:
    """R68."""
    script = asked()
    assert script.post(ev.BargeInDetected) == [Hold(), Resume()]
    script.expects(response=states.WITHDRAWN)


def _uncalibrated_speaking() -> Script:
    script = Script(Policy(greeting=False, voice="realtime", calibration_ms=10_000))
    for event in (ev.LineOpened, ev.SessionOpened, ev.SessionConfirmed):
        script.post(event)
    caller_says(script)
    script.post(ev.ResponseCreated, "r1")
    return hear(script).expects(phase=states.AI_SPEAKING, calibration=states.CALIBRATING)


# What a sound over the voice is taken for.


def test_a_second_interruption_waits_for_the_lock() -> None:
    """R29: 700 ms after an interruption a new sound is none."""
    script = interrupted(create_response=True, interrupts="client")
    script.post(ev.SpeechStopped, "u2")
    script.post(ev.TurnCommitted, "u2")
    script.post(ev.ResponseCreated, "r2")
    hear(script, "r2", ms=0)
    assert script.post(ev.SpeechStarted, "u3") == []
    assert script.post(ev.BargeInDetected) == []
    script.post(ev.SpeechStopped, "u3")
    assert Hold() not in script.wait(700)
    script.expects(interruption=states.CLEAR, playout=states.PLAYING)


def test_a_caller_who_still_speaks_when_the_lock_ends_interrupts() -> None:
    """R29: the lock delays an interruption; it never lets the agent talk over its caller."""
    script = interrupted(create_response=True)
    script.post(ev.SpeechStopped, "u2")
    script.post(ev.TurnCommitted, "u2")
    script.post(ev.ResponseCreated, "r2")
    script.post(ev.SpeechStarted, "u3")
    assert script.wait(699) == []
    assert script.wait(1) == [Hold()]
    script.expects(interruption=states.SUSPECTED)
    assert Flush("r2") in script.wait(150)


def test_a_lock_that_ends_in_silence_holds_nothing() -> None:
    """R28: the caller still speaks, and there is nothing to interrupt."""
    script = interrupted()
    assert Hold() not in script.wait(700)
    script.expects(interruption=states.CLEAR, turn=states.SPEAKING)


def test_without_the_detectors_word_a_sound_is_no_interruption() -> None:
    """R29, R74: with a detector of our own as the judge, the voice goes on when it hears nobody, or has not told anything for long."""
    script = speaking(interruption_by="detector")
    assert script.post(ev.SpeechStarted, "u2") == [Hold()]
    assert script.post(ev.VoicePaused) == [Resume(), FALSE_ALARM]
    assert script.post(ev.VoicePaused) == []
    script.post(ev.SpeechStopped, "u2")
    assert script.post(ev.SpeechStarted, "u3") == [Hold()]
    assert not script.call.interruption.false_alarm
    assert script.wait(1_499) == []
    assert script.wait(1) == [Resume(), FALSE_ALARM]
    assert script.call.interruption.false_alarm
    script.expects(interruption=states.CLEAR, playout=states.PLAYING, response=states.IN_PROGRESS)
    assert script.post(ev.BargeInDetected) == [Hold(), Flush("r1"), Resume(), CancelResponse("r1")]


def test_without_the_detectors_word_an_echo_is_no_interruption() -> None:
    """R29, R33."""
    script = hear(answering(interruption_by="detector"), ms=0)
    script.post(ev.SpeechStarted, "u2")
    script.expects(interruption=states.ECHOED)
    assert script.wait(350) == []
    script.expects(interruption=states.CLEAR)


def test_a_backchannel_lets_the_voice_go_on() -> None:
    """R29, R74: "mm-hm" is no turn."""
    script = speaking()
    script.post(ev.SpeechStarted, "u2")
    assert script.post(ev.BackchannelHeard) == [Resume(), FALSE_ALARM]
    script.expects(interruption=states.CLEAR, playout=states.PLAYING)

    script = hear(answering(), ms=0)
    script.post(ev.SpeechStarted, "u2")
    assert script.post(ev.BackchannelHeard) == []
    script.expects(interruption=states.CLEAR)


def test_a_backchannel_over_the_voice_is_not_answered() -> None:
    """R12, R25, R94: it was committed as a turn, its transcript says that it is none, and the voice goes on."""
    for owner in (False, True):
        script = speaking(create_response=owner)
        caller_says(script, "u2", ms=100)
        script.post(ev.BackchannelHeard, "u2")
        script.post(ev.ResponseCompleted, "r1")
        hear(script, ms=1_500)
        heard_out(script)
        script.expects(pending=states.NOTHING)
        script.wait(5_000)
        assert len(script.of(CreateResponse)) == (0 if owner else 1)


def test_a_short_answer_is_a_turn() -> None:
    """R94: to a question, however long it goes on, and over the last words of what is said."""
    for asks, ms in ((True, 3_000.0), (False, 1_000.0)):
        script = speaking()
        if asks:
            script.post(ev.QuestionAsked, "r1")
        caller_says(script, "u2", ms=100)
        script.post(ev.BackchannelHeard, "u2")
        script.post(ev.ResponseCompleted, "r1")
        hear(script, ms=ms)
        assert heard_out(script) == [CreateResponse(Cause.USER_TURN)]


def coughed_over(script: Script, item_id: str = "u2") -> Script:
    """A sound over the voice that no detector takes for an interruption, committed as a turn."""
    script.post(ev.SpeechStarted, item_id)
    assert FALSE_ALARM in script.post(ev.VoicePaused)
    script.post(ev.SpeechStopped, item_id)
    script.post(ev.TurnCommitted, item_id)
    script.post(ev.ResponseCompleted, "r1")
    return script


def test_a_sound_that_is_no_interruption_and_has_no_words_is_no_turn() -> None:
    """R94: the voice went on, or it is known that there are no words; whoever answers, nothing is asked for."""
    for owner in (False, True):
        script = coughed_over(speaking(create_response=owner, interruption_by="detector"))
        assert heard_out(hear(script, ms=1_500)) == []
        script.expects(pending=states.NOTHING)

        script = coughed_over(speaking(create_response=owner, interruption_by="detector"))
        script.post(ev.Transcribed, "u2", " \n")
        script.expects(pending=states.NOTHING)
        assert heard_out(script) == []

    short = speaking()
    short.post(ev.SpeechStarted, "u2")
    assert FALSE_ALARM in short.post(ev.SpeechStopped, "u2")
    short.post(ev.TurnCommitted, "u2")
    short.post(ev.ResponseCompleted, "r1")
    assert heard_out(hear(short, ms=1_500)) == []

    newborn = hear(answering(interruption_by="detector"), ms=0)
    newborn.post(ev.SpeechStarted, "u2")
    newborn.wait(350)
    newborn.expects(interruption=states.CLEAR)
    newborn.post(ev.TurnCommitted, "u2")
    newborn.post(ev.ResponseCompleted, "r1")
    assert heard_out(hear(newborn, ms=1_500)) == []

    newborn = hear(answering(interruption_by="detector"), ms=0)
    newborn.post(ev.SpeechStarted, "u2")
    newborn.post(ev.SpeechStopped, "u2")
    newborn.post(ev.TurnCommitted, "u2")
    newborn.post(ev.ResponseCompleted, "r1")
    assert heard_out(hear(newborn, ms=1_500)) == []


def test_such_a_sound_is_a_turn_where_it_may_be_an_answer_or_has_words() -> None:
    """R22, R24, R94: over the last words, to a question, by its transcript, or without its commit, which no transcript can be told from."""
    last_words = coughed_over(speaking(interruption_by="detector"))
    assert heard_out(hear(last_words, ms=1_000)) == [CreateResponse(Cause.USER_TURN)]

    question = speaking(interruption_by="detector")
    question.post(ev.QuestionAsked, "r1")
    assert heard_out(hear(coughed_over(question), ms=3_000)) == [CreateResponse(Cause.USER_TURN)]

    worded = coughed_over(speaking(interruption_by="detector"))
    worded.post(ev.Transcribed, "u9", "")
    worded.post(ev.Transcribed, "u2", "Stop.")
    worded.post(ev.Transcribed, "u2", "")
    assert heard_out(hear(worded, ms=3_000)) == [CreateResponse(Cause.USER_TURN)]

    uncommitted = speaking(interruption_by="detector")
    uncommitted.post(ev.SpeechStarted, "u2")
    uncommitted.post(ev.VoicePaused)
    uncommitted.post(ev.SpeechStopped, "u2")
    uncommitted.post(ev.ResponseCompleted, "r1")
    hear(uncommitted, ms=4_000)
    assert heard_out(uncommitted) == [CreateResponse(Cause.USER_TURN)]


def test_a_sound_over_which_nothing_went_on_is_no_false_alarm() -> None:
    """R74, R93, R94: verified later, cut by the server, or the next one, over what nobody may interrupt or over nothing."""
    verified = speaking(interruption_by="detector")
    verified.post(ev.SpeechStarted, "u2")
    verified.post(ev.VoicePaused)
    assert verified.call.interruption.false_alarm
    verified.post(ev.BargeInDetected)
    assert not verified.call.interruption.false_alarm

    cut = speaking(interrupts="server")
    cut.post(ev.SpeechStarted, "u2")
    cut.post(ev.ResponseCancelled, "r1", "turn_detected")
    assert not cut.call.interruption.false_alarm

    silent = coughed_over(speaking(interruption_by="detector"))
    heard_out(hear(silent, ms=1_500))
    assert silent.call.interruption.false_alarm
    silent.post(ev.SpeechStarted, "u3")
    assert not silent.call.interruption.false_alarm
    silent.expects(interruption=states.CLEAR)

    notice = coughed_over(speaking(interruption_by="detector"))
    heard_out(hear(notice, ms=1_500))
    notice.post(ev.NoticeRequested, "This call is recorded.")
    notice.post(ev.ResponseCreated, "r2")
    hear(notice, "r2")
    caller_says(notice, "u3")
    notice.post(ev.ResponseCompleted, "r2")
    hear(notice, "r2", ms=3_000)
    assert CreateResponse(Cause.USER_TURN) in heard_out(notice, "r2")

    for begun_at in (0, 1_000):
        again = hear(answering(interruption_by="detector"), ms=begun_at)
        again = put(again, "interruption", states.CLEAR, false_alarm=True)
        again.post(ev.SpeechStarted, "u3")
        assert not again.call.interruption.false_alarm
        again.expects(interruption=states.SUSPECTED if begun_at else states.ECHOED)


def test_a_cough_after_a_turn_that_waits_takes_nothing_from_it() -> None:
    """R93: nor does a listener's word."""
    for word in (False, True):
        script = speaking(interruption_by="detector")
        script.post(ev.TurnCommitted, "u2")
        coughed_over(script, "u3")
        if word:
            script.post(ev.BackchannelHeard, "u3")
        else:
            script.post(ev.Transcribed, "u3", "")
        assert heard_out(hear(script, ms=3_000)) == [CreateResponse(Cause.USER_TURN)]
    script = coughed_over(speaking(interruption_by="detector"))
    script.post(ev.TurnCommitted, "u3")
    assert [debt.noise for debt in script.call.pending.owed] == [True], "two coughs are one"


def test_an_interruption_after_a_cough_leaves_nothing_owed() -> None:
    """R51, R94: so that a caller who then says nothing is asked; but what was cut off unheard is owed."""
    for answers, state in ((False, states.WANTED), (True, states.OWED)):
        script = hear(coughed_over(speaking(interruption_by="detector", create_response=answers)), ms=2_000)
        script.expects(pending=state)
        script.post(ev.BargeInDetected)
        script.expects(pending=states.NOTHING)
        assert script.call.pending.owed == ()

    unheard = hear(coughed_over(speaking(interruption_by="detector")), ms=3_000)
    put(unheard, "playout", states.PLAYING, next_id="r2")
    assert unheard.post(ev.BargeInDetected)[-1] == CreateResponse(Cause.USER_TURN)


def test_a_question_is_that_of_its_response() -> None:
    """R94: the next one asks nothing."""
    script = speaking(create_response=True)
    script.post(ev.QuestionAsked, "r1")
    script.post(ev.QuestionAsked, "r9")
    script.post(ev.ResponseCompleted, "r1")
    assert script.call.playout.asks
    script.post(ev.ResponseCreated, "r2")
    heard_out(script)
    assert not script.call.playout.asks


def test_a_question_that_is_told_before_it_is_heard_is_one() -> None:
    """R94: of the response that follows, however soon the model is ahead of the voice; not of one that is flushed before."""
    script = speaking(create_response=True)
    script.post(ev.ResponseCompleted, "r1")
    script.post(ev.ResponseCreated, "r2")
    script.post(ev.QuestionAsked, "r2")
    assert not script.call.playout.asks
    heard_out(script)
    assert script.call.playout.asks

    dropped = speaking(create_response=True)
    dropped.post(ev.ResponseCompleted, "r1")
    dropped.post(ev.ResponseCreated, "r2")
    dropped.post(ev.QuestionAsked, "r2")
    dropped.post(ev.ResponseCancelled, "r2", "turn_detected")
    dropped.post(ev.ResponseCreated, "r3")
    heard_out(dropped)
    assert not dropped.call.playout.asks


def test_a_yes_to_a_question_is_answered() -> None:
    """R20, R22: the same word in silence, or of an earlier turn, is a turn like any other."""
    script = speaking()
    caller_says(script, "u2", ms=100)
    script.post(ev.BackchannelHeard, "u1")
    script.expects(pending=states.WANTED)

    script = interrupted()
    script.post(ev.SpeechStopped, "u2")
    script.post(ev.TurnCommitted, "u2")
    script.post(ev.BackchannelHeard, "u2")
    script.expects(pending=states.WANTED)


def test_a_response_whose_sound_came_behind_another_is_truncated_too() -> None:
    """R71: its item is known though its first sound came while the one before was heard; one that is dropped leaves no item behind."""
    script = playing_out(create_response=True)
    script.post(ev.ResponseCreated, "r2")
    script.post(ev.AudioArrived, "r2", "item_r2")
    script.post(ev.ResponseCompleted, "r2")
    heard_out(script)
    script.expects(playout=states.ONSET, phase=states.AI_SPEAKING)
    script.post(ev.PlayoutProgressed, "r2", 0.0)
    script.wait(400)
    script.post(ev.SpeechStarted, "u2")
    script.wait(150)
    assert script.post(ev.PlayoutStopped, "r2", 400.0, 900.0) == [TruncateItem("item_r2", 400)]

    script = playing_out(create_response=True)
    script.post(ev.ResponseCreated, "r2")
    script.post(ev.AudioArrived, "r2", "item_r2")
    script.post(ev.ResponseCancelled, "r2")
    script.post(ev.ResponseCreated, "r3")
    heard_out(script)
    assert script.call.playout.id == "r3"
    assert script.post(ev.PlayoutStopped, "r2", 0.0, 900.0) == [DeleteItem("item_r2")]
    assert script.post(ev.AudioArrived, "r2", "item_r2", 1) == []


def test_items_of_an_answer_that_was_never_heard_are_forgotten() -> None:
    """R88, R91: nothing is flushed, and nobody answers for them; and whatever comes late of it is forgotten too."""
    script = answering()
    script.post(ev.ItemAdded, "r1", "item_r1")
    assert DeleteItem("item_r1") in script.post(ev.ResponseCompleted, "r1")
    assert script.post(ev.AudioArrived, "r1", "item_r1") == []
    assert script.post(ev.ItemAdded, "r1", "item_r2") == [DeleteItem("item_r2")]
    script = reading()
    script.post(ev.ResponseCompleted, "r1")
    assert DeleteItem("item_r1") in script.post(ev.SynthesisFailed, "call.r1.1", "500")


def test_each_item_is_corrected_by_what_was_heard_of_it() -> None:
    """R88: those heard whole stay, the one that was being heard is cut in its own content part, the rest go."""
    script = hear(answering())
    for item_id in ("item_b", "item_c", "item_d"):
        script.post(ev.ItemAdded, "r1", item_id)
    script.post(ev.BargeInDetected)
    heard = (
        ev.Heard("item_r1", 0, 800.0, 800.0),
        ev.Heard("item_b", 0, 100.0, 100.0),
        ev.Heard("item_b", 1, 100.0, 900.0),
        ev.Heard("item_c", 0, 0.0, 400.0),
    )
    assert script.post(ev.PlayoutStopped, "r1", 1000.0, 2200.0, heard) == [
        TruncateItem("item_b", 100, 1),
        DeleteItem("item_c"),
        DeleteItem("item_d"),
    ]


def test_two_texts_are_cut_apart() -> None:
    """R34, R88: the first stays, the second keeps the words of it that were heard, the third goes."""
    script = hear(reading(), ms=0)
    for number, item_id in ((1, "item_r1"), (2, "item_b"), (3, "item_c")):
        if number > 1:
            script.post(ev.SentenceCut, "r1", number, "Two words more.", item_id)
        script.post(ev.SentenceSynthesised, f"call.r1.{number}", 900.0)
        if number < 3:
            script.post(ev.SentenceStarted, f"call.r1.{number}", 900.0 * (number - 1))
    script.post(ev.BargeInDetected)
    assert script.post(ev.PlayoutStopped, "r1", 1500.0, 2700.0) == [RewriteItem("item_b", "Two words"), DeleteItem("item_c")]


def test_a_key_stops_what_is_being_said() -> None:
    """R101: as policy says; not what is protected, nor what is not heard yet, nor by a terminator that comes late (R63)."""
    script = speaking()
    assert script.post(ev.DigitPressed, "1")[:2] == [Hold(), Flush("r1")]
    for other in (speaking(keys_interrupt=False), answering(), hear(greeting(), "g1")):
        assert not [effect for effect in other.post(ev.DigitPressed, "1") if isinstance(effect, Hold | Flush)]
    entered = speaking(dtmf_digits=1, keys_interrupt=True)
    entered.post(ev.DigitPressed, "1")
    entered.post(ev.ResponseCancelled, "r1")
    entered.post(ev.ResponseCreated, "r2")
    hear(entered, "r2")
    assert not [effect for effect in entered.post(ev.DigitPressed, "#") if isinstance(effect, Hold | Flush)]
    held = speaking()
    held.post(ev.SpeechStarted, "u2")
    assert held.post(ev.DigitPressed, "1")[:2] == [Flush("r1"), Resume()]
