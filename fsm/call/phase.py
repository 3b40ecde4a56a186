"""The call phase: who has the floor, and whether the call is alive."""

from fsm.call import events as ev
from fsm.call.effects import Cause, CloseSession, HangUp, Reason, TellEnded
from fsm.call.guards import (
    AUDIBLE,
    cancelling,
    followed_by_sound,
    heard_in_progress,
    in_progress,
    known,
    of_playout,
    of_response,
    stale,
    welcome,
)
from fsm.call.response import out_of_attempts
from fsm.call.snapshot import Call
from fsm.call.states import (
    AI_SPEAKING,
    CANCEL_IN_FLIGHT,
    CANCELLING,
    CLOSED,
    CLOSING,
    GREETING_LOCK,
    LISTENING,
    REQUESTED,
    SILENT,
)
from fsm.engine.notation import Record, always, go, ignore, region, row

LIVE = (LISTENING, GREETING_LOCK, AI_SPEAKING, CANCELLING)

REASONS: dict[type[ev.Event], Reason] = {
    ev.CallerHungUp: Reason.CALLER_HUNG_UP,
    ev.ReceiverFailed: Reason.RECEIVER_FAILED,
    ev.PortFailed: Reason.INTERNAL,
    ev.SessionRefused: Reason.SESSION_REFUSED,
    ev.DeviceFailed: Reason.DEVICE_FAILED,
}
"""Why each ending event ends the call (R41)."""


def greeting_accepted(call: Call, event: ev.ResponseCreated) -> bool:
    """Is this the greeting that we asked for (R35)?"""
    return call.response.state is REQUESTED and call.response.cause is Cause.GREETING and welcome(call, event)


def cancelled_at_birth(call: Call, event: ev.ResponseCreated) -> bool:
    """Is this new response one that must not be heard, so that the response status goes straight to its cancel, with nothing to be heard?"""
    silent = call.playout.state is SILENT
    return silent and not known(call, event) and not welcome(call, event) and not in_progress(call, None)


def brings_sound(call: Call, event: ev.AudioArrived | ev.PlayoutProgressed) -> bool:
    """Is it sound of an admitted response?"""
    return of_playout(call, event) and call.playout.state in AUDIBLE


def still_generated(call: Call, _: object) -> bool:
    """Is the response that was interrupted not at its end?"""
    return in_progress(call, None) or cancelling(call, None)


def cancel_unconfirmed(call: Call, _: ev.ResponseExpired) -> bool:
    """Did the cancelled response's end never come?"""
    return call.response.state is CANCEL_IN_FLIGHT


def hang_up(_: Call, event: ev.Ending) -> HangUp:
    """Close the line because of a fault; once a call (R47)."""
    return HangUp(REASONS[type(event)])


def hang_up_as_decided(call: Call, _: ev.HangupDue) -> HangUp:
    """Close the line for the reason that the hang-up was decided for; once a call (R47)."""
    return HangUp(call.hangup.reason)


def close_session(_: Call, __: ev.Event) -> CloseSession:
    """Close the realtime session (R50)."""
    return CloseSession()


def tell_ended(_: Call, event: ev.Ending) -> TellEnded:
    """Tell the application which fault ended the call, once (R59, R86)."""
    return TellEnded(REASONS[type(event)], event.reason)


def tell_decided(call: Call, _: ev.HangupDue) -> TellEnded:
    """Tell the application why the call was ended."""
    return TellEnded(call.hangup.reason, call.hangup.detail)


PHASE = region(
    "phase",
    #   while                          on                     if                        then
    row(CLOSED,                        ev.Event,              always,                   ignore("the call is over")),
    row((*LIVE, CLOSING),              ev.Expired,            stale,                    ignore("a deadline of an earlier state, or before its time")),
    row((*LIVE, CLOSING),              ev.OwnershipLost,      always,                   go(CLOSED)),
    row(CLOSING,                       (ev.LineClosed, ev.CallerHungUp, ev.PhaseExpired), always, go(CLOSED)),
    row(CLOSING,                       ev.Event,              always,                   ignore("only the line's end counts while closing (R62)")),
    row(LIVE,                          ev.CallerHungUp,       always,                   go(CLOSED, close_session, tell_ended)),
    row(LIVE,                          ev.Ending,             always,                   go(CLOSING, hang_up, close_session, tell_ended)),
    row(LIVE,                          ev.HangupDue,          always,                   go(CLOSING, hang_up_as_decided, close_session, tell_decided)),

    row(LISTENING,                     ev.ResponseCreated,    greeting_accepted,        go(GREETING_LOCK)),
    row(LISTENING,                     ev.ResponseCreated,    cancelled_at_birth,       go(CANCELLING)),
    row(LISTENING,                     (ev.AudioArrived, ev.PlayoutProgressed), brings_sound, go(AI_SPEAKING)),
    row(LISTENING,                     ev.BargedIn,           in_progress,              go(CANCELLING)),
    row(LISTENING,                     (ev.VoiceMissing, ev.PlayoutStalled), heard_in_progress, go(CANCELLING)),

    row((GREETING_LOCK, AI_SPEAKING),  ev.BargedIn,           still_generated,          go(CANCELLING)),
    row((GREETING_LOCK, AI_SPEAKING),  ev.BargedIn,           always,                   go(LISTENING)),
    row((GREETING_LOCK, AI_SPEAKING),  ev.PlayoutOver,        cancelling,               go(CANCELLING)),
    row((GREETING_LOCK, AI_SPEAKING),  ev.PlayoutOver,        followed_by_sound,        go(AI_SPEAKING)),
    row((GREETING_LOCK, AI_SPEAKING),  ev.PlayoutOver,        always,                   go(LISTENING)),

    row(CANCELLING,                    ev.ResponseEnded,      of_response,              go(LISTENING)),
    row(CANCELLING,                    ev.ResponseCreated,    welcome,                  go(LISTENING)),
    row(CANCELLING,                    ev.ResponseExpired,    cancel_unconfirmed,       go(LISTENING)),
    row(CANCELLING,                    ev.SessionLost,        always,                   go(LISTENING)),
    row(CANCELLING,                    ev.CancelUnsent,       out_of_attempts,          go(LISTENING)),
    row(LIVE[1:],                      ev.TakenUp,            always,                   go(LISTENING)),

    row(LIVE,                          (ev.Expired, ev.Signal), always,                 ignore("another region's deadline, or nothing that moves the floor")),
    row(LIVE,                          ev.ModelEvent,         always,                   ignore("it does not change who has the floor")),
    row(LIVE,                          ev.DeviceEvent,        always,                   ignore("the playout region keeps what is heard, and its end moves the phase")),
    row(LIVE,                          ev.CallerEvent,        always,                   ignore("the interruption region decides whether the caller takes the floor")),
    row(LIVE,                          (ev.LineEvent, ev.AppEvent, ev.SentenceEvent), always, ignore("it does not change who has the floor")),
    doc="who has the floor, and whether the call is alive",
    record=Record,
    states=(*LIVE, CLOSING, CLOSED),
    expired=ev.PhaseExpired,
)  # fmt: skip
