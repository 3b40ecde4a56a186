"""What one step of a call means to those who tell of it: an interruption, a sound that was none, or a fault."""

from fsm.call import effects as fx, events as ev
from fsm.call.snapshot import Call
from fsm.call.states import CLEAR
from fsm.engine.machine import Step

DUE_ENDS = frozenset({fx.Reason.CALLER_HUNG_UP, fx.Reason.GOODBYE, fx.Reason.APPLICATION, fx.Reason.IDLE, fx.Reason.LIMIT})
"""The ends that a call may have without anything being wrong."""


def barged_in(before: Call, event: ev.Event, answer: Step[Call]) -> bool:
    """Did the caller interrupt what could be heard: by our decision, or by the server's own cancel, while we held the voice or before?"""
    after = answer.snapshot
    if isinstance(event, ev.ResponseCancelled):
        return (before.interruption.state is not CLEAR and after.interruption.state is CLEAR) or cut_untold(before, event, answer)
    decided = ev.BargedIn in answer.signals
    return decided and after.playout.state is not before.playout.state


def cut_untold(before: Call, event: ev.Event, answer: Step[Call]) -> bool:
    """Did the server cancel what was heard because the caller speaks, and has not told yet that the caller does?"""
    if not isinstance(event, ev.ResponseCancelled) or before.interruption.state is not CLEAR:
        return False
    flushed = before.playout.heard and answer.snapshot.playout.state is not before.playout.state
    return event.reason == "turn_detected" and event.response_id == before.playout.id and flushed


def false_alarm(answer: Step[Call]) -> bool:
    """Was the voice held for a sound that was no interruption, so that it goes on? The table says so."""
    return any(isinstance(effect, fx.Log) and effect.code == "false_interruption" for effect in answer.effects)


class Faults:
    """What goes wrong in a call, told once: a server's own words of a refusal or a failure come right before it (R108)."""

    def __init__(self) -> None:
        self._told = ""

    def is_told(self, event: ev.Event) -> bool:
        """Did the event before this one tell it already, in words?"""
        before, self._told = self._told, ""
        match event:
            case ev.ErrorReceived(code=code):
                self._told = code
            case ev.CreateRefused(code=code) | ev.CancelRefused(code=code) | ev.ResponseFailed(reason=code):
                return before != "" and before == (code or before)
        return False

    def warnings(self, event: ev.Event, answer: Step[Call]) -> list[tuple[fx.Log, str]]:
        """The warnings and errors of a step, each with its words: the server's own, where it has some."""
        told = self.is_told(event)
        loud = [one for one in answer.effects if isinstance(one, fx.Log) and one.level in (fx.Level.WARNING, fx.Level.ERROR)]
        return [(one, _words(event, one)) for one in loud if not (told and one.code == getattr(event, "code", ""))]


def _words(event: ev.Event, log: fx.Log) -> str:
    """What is told of a log line: its detail, and what the server said itself."""
    match event:
        case ev.ErrorReceived(message=message):
            return log.detail or message
        case ev.SynthesisFailed(reason=reason) if reason:
            return f"{log.detail}: {reason}"
        case _:
            return log.detail
