"""The interruption: from the caller's first sound over the agent's voice to a decision; the only table that holds the voice.

A hold has exactly two exits, both bounded by a deadline: the sound was none that counts and the voice goes on, or it is an
interruption (R74), and `BargedIn` is raised: the tables of playout, synthesis, response and phase act on it in the same step.
"""

from fsm.call import events as ev
from fsm.call.common import closing
from fsm.call.effects import Hold, Level, Log, Resume
from fsm.call.guards import HELD, SOUNDING, ended_before, nothing_to_interrupt, of_response, protected
from fsm.call.snapshot import Call, Interruption
from fsm.call.states import CALIBRATED, CLEAR, ECHOED, LOCKED, ONSET, OVER, QUIET, SPEAKING, STARVED, SUBMITTED, SUSPECTED, WORDS_AWAITED
from fsm.engine.notation import always, go, ignore, raises, region, row, sets, stay

LIVE = (CLEAR, ECHOED, SUSPECTED, WORDS_AWAITED, LOCKED)


def uncalibrated(call: Call, _: object) -> bool:
    """Is the noise floor unknown (R29)?"""
    return call.calibration.state is not CALIBRATED


def newborn(call: Call, _: ev.SpeechStarted) -> bool:
    """Has the agent's voice only just begun, so that the sound may be its echo (R29, R33)?"""
    return call.playout.state is ONSET


def unheeded(call: Call, _: ev.SpeechStarted) -> bool:
    """Is there nothing that the caller may interrupt: nothing is heard nor on its way (R28), or it is heard to its end (R36)?"""
    return nothing_to_interrupt(call, None) or protected(call, None)


def unverified(call: Call, _: ev.InterruptionExpired) -> bool:
    """Would a detector of our own have said by now that this is an interruption?"""
    return call.policy.interruption_by == "detector"


def outlasts(call: Call, event: ev.SpeechStopped) -> bool:
    """Did the caller speak for as long as an interruption lasts, though that is told at once, as after a connection that stalled (R29)?"""
    policy = call.policy
    echo_ms = policy.echo_window_ms if call.interruption.state is ECHOED else 0
    least_ms = policy.interruption_min_ms + policy.interruption_words_ms + echo_ms
    return policy.interruption_by == "duration" and event.spoken_ms >= least_ms


def awaits_words(call: Call, _: object) -> bool:
    """Are the words of the sound awaited, over a voice that it may interrupt?"""
    return call.policy.interruption_words_ms > 0 and not nothing_to_interrupt(call, None)


def told_now(call: Call, event: ev.Transcribed) -> bool:
    """Are these the words of what was said over the voice, and not of an earlier turn?"""
    return call.turn.state is QUIET and event.item_id == call.turn.item_id


def says_nothing(call: Call, event: ev.Transcribed) -> bool:
    """Was what was said over the voice a listener's word, or none at all (R29, R94)?"""
    return told_now(call, event) and (event.backchannel or not event.text.strip())


def talks_on(call: Call, _: ev.InterruptionExpired) -> bool:
    """Does the caller speak over a voice that may be interrupted?"""
    return call.turn.state is SPEAKING and not nothing_to_interrupt(call, None) and not protected(call, None)


def stops_the_prompt(call: Call, event: ev.DigitPressed) -> bool:
    """Does the key stop what is heard: policy lets keys do so, nothing protects it, and the key is no late terminator (R63, R101)?"""
    heard = call.playout.state in (*SOUNDING, STARVED) and not protected(call, None)
    late = call.dtmf.state is SUBMITTED and event.digit == call.policy.dtmf_terminator
    return call.policy.keys_interrupt and heard and not late


def hold(_: Call, __: ev.Event) -> Hold:
    """Be silent at once."""
    return Hold()


def resume(_: Call, __: ev.Event) -> Resume:
    """End the hold."""
    return Resume()


@sets("false_alarm")
def begin(_: Call, __: ev.SpeechStarted) -> bool:
    """Nothing is known of this sound."""
    return False


@sets("false_alarm")
def note_interruption(_: Call, __: ev.BargedIn) -> bool:
    """The sound is an interruption."""
    return False


@sets("false_alarm")
def note_false_alarm(_: Call, __: ev.Event) -> bool:
    """The sound is no interruption, as far as is known."""
    return True


def log_false_alarm(_: Call, __: ev.Event) -> Log:
    """Note a sound that was no interruption."""
    return Log(Level.INFO, "false_interruption")


def cuts_in(call: Call, event: ev.ResponseCancelled) -> bool:
    """Did the server cancel what was under way?"""
    return of_response(call, event) and not ended_before(call, event)


INTERRUPTION = region(
    "interruption",
    *closing(LIVE),
    #   while                          on                       if                     then
    row(CLEAR,                         (ev.SpeechStarted, ev.BargeInDetected), uncalibrated, ignore("echo and line noise until the noise floor is known (R29)")),
    row(CLEAR,                         ev.SpeechStarted,        unheeded,              stay(begin)),
    row(CLEAR,                         ev.SpeechStarted,        newborn,               go(ECHOED, begin)),
    row(CLEAR,                         ev.SpeechStarted,        always,                go(SUSPECTED, begin, hold)),
    row(CLEAR,                         ev.BargeInDetected,      nothing_to_interrupt,  ignore("nothing is heard and nothing is on its way (R28)")),
    row(CLEAR,                         ev.BargeInDetected,      protected,             ignore("it is heard to its end (R36)")),
    row((CLEAR, ECHOED),               ev.BargeInDetected,      awaits_words,          go(WORDS_AWAITED, hold)),
    row((CLEAR, ECHOED),               ev.BargeInDetected,      always,                go(LOCKED, hold, raises(ev.BargedIn))),
    row((CLEAR, ECHOED),               ev.DigitPressed,         stops_the_prompt,      go(LOCKED, hold, raises(ev.BargedIn))),
    row(HELD,                          ev.DigitPressed,         stops_the_prompt,      go(LOCKED, raises(ev.BargedIn))),

    row(ECHOED,                        ev.SpeechStopped,        outlasts,              go(LOCKED, hold, raises(ev.BargedIn))),
    row(ECHOED,                        (ev.SpeechStopped, ev.BackchannelHeard), always, go(CLEAR, note_false_alarm, raises(ev.VoiceResumed))),
    row(ECHOED,                        ev.InterruptionExpired,  unverified,            go(CLEAR, note_false_alarm, raises(ev.VoiceResumed))),
    row(ECHOED,                        ev.InterruptionExpired,  awaits_words,          go(WORDS_AWAITED, hold)),
    row(ECHOED,                        ev.InterruptionExpired,  always,                go(LOCKED, hold, raises(ev.BargedIn))),
    row(ECHOED,                        ev.ResponseCancelled,    cuts_in,               go(CLEAR, raises(ev.VoiceResumed))),
    row(SUSPECTED,                     ev.SpeechStopped,        outlasts,              go(LOCKED, raises(ev.BargedIn))),
    row(SUSPECTED,                     (ev.SpeechStopped, ev.VoicePaused), always,     go(CLEAR, note_false_alarm, resume, log_false_alarm, raises(ev.VoiceResumed))),
    row(SUSPECTED,                     ev.InterruptionExpired,  unverified,            go(CLEAR, note_false_alarm, resume, log_false_alarm, raises(ev.VoiceResumed))),
    row(SUSPECTED,                     (ev.BargeInDetected, ev.InterruptionExpired), awaits_words, go(WORDS_AWAITED)),
    row(SUSPECTED,                     (ev.BargeInDetected, ev.InterruptionExpired), always, go(LOCKED, raises(ev.BargedIn))),
    row(WORDS_AWAITED,                 ev.Transcribed,          says_nothing,          go(CLEAR, resume, log_false_alarm, raises(ev.VoiceResumed))),
    row(WORDS_AWAITED,                 ev.Transcribed,          told_now,              go(LOCKED, raises(ev.BargedIn))),
    row(WORDS_AWAITED,                 ev.TurnCommitted,        nothing_to_interrupt,  go(CLEAR, resume, raises(ev.VoiceResumed))),
    row(WORDS_AWAITED,                 (ev.SpeechStarted, ev.InterruptionExpired), always, go(LOCKED, raises(ev.BargedIn))),
    row(HELD,                          ev.BackchannelHeard,     always,                go(CLEAR, note_false_alarm, resume, log_false_alarm, raises(ev.VoiceResumed))),
    row(HELD,                          ev.ResponseCancelled,    cuts_in,               go(CLEAR, resume, raises(ev.VoiceResumed))),
    row(LOCKED,                        ev.BargedIn,             always,                stay(note_interruption, resume)),
    row(LOCKED,                        ev.InterruptionExpired,  talks_on,              go(SUSPECTED, hold)),
    row(LOCKED,                        ev.InterruptionExpired,  always,                go(CLEAR)),

    row((ECHOED, *HELD, LOCKED),       ev.TakenUp,              always,                go(CLEAR)),

    row(LIVE,                          ev.CallerEvent,          always,                ignore("it tells nothing about an interruption, or nothing new (R70)")),
    row(LIVE,                          ev.ModelEvent,           always,                ignore("only the server's own cancel decides a suspicion")),
    row(LIVE,                          (ev.Expired, ev.Signal), always,                ignore("another region's deadline, or what follows from an interruption")),
    row(LIVE,                          (ev.DeviceEvent, ev.SentenceEvent), always,     ignore("what the agent does is no sound of the caller")),
    row(LIVE,                          (ev.LineEvent, ev.AppEvent), always,            ignore("it is no sound of the caller")),
    doc="whether the caller interrupts: held at the first sound, decided by a deadline",
    record=Interruption,
    states=(*LIVE, OVER),
    expired=ev.InterruptionExpired,
)  # fmt: skip
