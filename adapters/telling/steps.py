"""What one step of a call means to those who tell of it: an interruption, or a sound that was none."""

from fsm.call import events as ev
from fsm.call.snapshot import Call
from fsm.call.states import CLEAR, SUSPECTED
from fsm.engine.machine import Step


def barged_in(before: Call, event: ev.Event, answer: Step[Call]) -> bool:
    """Did the caller interrupt what could be heard: by our decision, or by the server's own cancel while we held the voice?"""
    after = answer.snapshot
    if isinstance(event, ev.ResponseCancelled):
        return before.interruption.state is not CLEAR and after.interruption.state is CLEAR
    decided = ev.BargedIn in answer.signals
    return decided and after.playout.state is not before.playout.state


def false_alarm(before: Call, event: ev.Event, answer: Step[Call]) -> bool:
    """Was the voice held for a sound that was no interruption, so that it goes on?"""
    resumed = ev.VoiceResumed in answer.signals
    return resumed and before.interruption.state is SUSPECTED and not isinstance(event, ev.ResponseCancelled)
