"""The interruption: from the caller's first sound over the agent's voice to a decision; the only table that holds the voice.

A hold has exactly two exits, both bounded by a deadline: the sound stops and the voice goes on, or it lasts and is an interruption
(R74). The decision is `InterruptionExpired`: the tables of playout, synthesis, response and phase act on that one event.
"""

from fsm.call import events as ev
from fsm.call.common import ending, guarded
from fsm.call.effects import Hold, Level, Log, Resume
from fsm.call.guards import nothing_to_interrupt, of_response, protected
from fsm.call.snapshot import Call, Interruption
from fsm.call.states import CALIBRATED, CLEAR, CONFIRMED, ECHOED, ONSET, OVER, SUSPECTED
from fsm.engine.notation import always, go, ignore, region, row

LIVE = (CLEAR, ECHOED, SUSPECTED, CONFIRMED)


def uncalibrated(call: Call, _: object) -> bool:
    """Is the noise floor unknown (R29)?"""
    return call.calibration.state is not CALIBRATED


def newborn(call: Call, _: ev.SpeechStarted) -> bool:
    """Has the agent's voice only just begun, so that the sound may be its echo (R29, R33)?"""
    return call.playout.state is ONSET


def hold(_: Call, __: ev.Event) -> Hold:
    """Be silent at once."""
    return Hold()


def resume(_: Call, __: ev.Event) -> Resume:
    """End the hold."""
    return Resume()


def log_false_alarm(_: Call, __: ev.SpeechStopped) -> Log:
    """Note a sound that was no interruption."""
    return Log(Level.INFO, "false_interruption")


INTERRUPTION = region(
    "interruption",
    *guarded(LIVE),
    *ending(LIVE),
    #   while                          on                       if                     then
    row(CLEAR,                         ev.SpeechStarted,        uncalibrated,          ignore("echo and line noise until the noise floor is known (R29)")),
    row(CLEAR,                         ev.SpeechStarted,        nothing_to_interrupt,  ignore("nothing is heard and nothing is on its way (R28)")),
    row(CLEAR,                         ev.SpeechStarted,        protected,             ignore("the greeting is heard to its end (R36)")),
    row(CLEAR,                         ev.SpeechStarted,        newborn,               go(ECHOED)),
    row(CLEAR,                         ev.SpeechStarted,        always,                go(SUSPECTED, hold)),
    row(CLEAR,                         ev.BargeInDetected,      uncalibrated,          ignore("echo and line noise until the noise floor is known (R29)")),
    row(CLEAR,                         ev.BargeInDetected,      nothing_to_interrupt,  ignore("nothing is heard and nothing is on its way (R28)")),
    row(CLEAR,                         ev.BargeInDetected,      protected,             ignore("the greeting is heard to its end (R36)")),
    row((CLEAR, ECHOED),               ev.BargeInDetected,      always,                go(CONFIRMED, hold)),
    row(SUSPECTED,                     ev.BargeInDetected,      always,                go(CONFIRMED)),

    row(ECHOED,                        ev.SpeechStopped,        always,                go(CLEAR)),
    row(ECHOED,                        ev.InterruptionExpired,  always,                go(CLEAR)),
    row(ECHOED,                        ev.ResponseCancelled,    of_response,           go(CLEAR)),
    row(SUSPECTED,                     ev.SpeechStopped,        always,                go(CLEAR, resume, log_false_alarm)),
    row((SUSPECTED, CONFIRMED),        ev.InterruptionExpired,  always,                go(CLEAR, resume)),
    row((SUSPECTED, CONFIRMED),        ev.ResponseCancelled,    of_response,           go(CLEAR, resume)),

    row(LIVE,                          ev.CallerEvent,          always,                ignore("it tells nothing about an interruption, or nothing new (R70)")),
    row(LIVE,                          ev.ModelEvent,           always,                ignore("only the server's own cancel decides a suspicion")),
    row(LIVE,                          ev.Expired,              always,                ignore("another region's deadline")),
    row(LIVE,                          (ev.DeviceEvent, ev.SentenceEvent), always,     ignore("what the agent does is no sound of the caller")),
    row(LIVE,                          (ev.LineEvent, ev.AppEvent), always,            ignore("it is no sound of the caller")),
    doc="whether the caller interrupts: held at the first sound, decided by a deadline",
    record=Interruption,
    states=(*LIVE, OVER),
    expired=ev.InterruptionExpired,
)  # fmt: skip
