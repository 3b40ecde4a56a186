"""The realtime session: nothing is asked of the model before the server has confirmed what we configured (R39).

A session that is lost is opened anew after a pause, a few times in a row at most; one that grows old, when nothing goes on (R60, R85).
"""

from fsm.call import events as ev
from fsm.call.common import closing
from fsm.call.effects import Cause, ConfigureSession, Level, Log, OpenSession, ProtectResponse, ReleaseResponse
from fsm.call.guards import CONFIRMED_SESSION, call_is_quiet, may_ask, may_reconnect, next_cause, of_response, protected, protected_next
from fsm.call.pending import turn_alone
from fsm.call.snapshot import Call, Session
from fsm.call.states import (
    AGED,
    CONFIGURING,
    CONNECTING,
    GREETING_LOCK,
    GUARDED,
    LOST,
    OVER,
    PAUSED,
    PREPARING,
    READY,
    WANTED,
)
from fsm.engine.notation import always, go, ignore, region, row, sets, stay

CONNECTED = (CONNECTING, CONFIGURING, *CONFIRMED_SESSION)
LIVE = (*CONNECTED, LOST)


def something_to_protect(call: Call, _: ev.SessionConfirmed) -> bool:
    """Is the greeting owed, or what is protected under way or still heard, in a session that keeps the server's VAD from it (R36)?"""
    owed = call.pending.state in (PREPARING, WANTED, PAUSED) and next_cause(call) is Cause.GREETING
    return call.policy.guards_greeting and (owed or protected(call, None))


def protected_begins(call: Call, _: ev.ResponseDue) -> bool:
    """Is a notice asked for now, or a greeting that is protected (R36)?"""
    cause = next_cause(call)
    return may_ask(call, None) and (cause is Cause.NOTICE or (cause is Cause.GREETING and call.policy.greeting_protected))


def greeting_past(call: Call, _: ev.SessionConfirmed) -> bool:
    """Does the session, opened anew, keep the server's VAD from a greeting that is past?"""
    return call.policy.guards_greeting


def greeting_forgone(call: Call, event: ev.TurnDismissed) -> bool:
    """Is nothing left to protect, as a turn that was taken instead of the greeting wants no answer (R25, R36)?"""
    return turn_alone(call, event) and not protected(call, None)


def nothing_goes_on(call: Call, _: ev.SessionExpired) -> bool:
    """Would nobody notice that the session is opened anew?"""
    return call_is_quiet(call, None)


def protected_heard(call: Call, _: ev.PlayoutOver) -> bool:
    """Is the greeting or a notice over, and is none to be said next?"""
    return (call.playout.notice or call.phase.state is GREETING_LOCK) and not protected_next(call, None)


def servers_vad_cut_in(call: Call, event: ev.ResponseCancelled) -> bool:
    """Did the server's VAD cancel the greeting all the same, so that it has its rights, whatever we configured?"""
    return of_response(call, event) and call.response.cause is Cause.GREETING and event.reason == "turn_detected"


def configure_session(_: Call, __: ev.SessionOpened) -> ConfigureSession:
    """Send the one session.update."""
    return ConfigureSession()


def open_session(_: Call, __: ev.SessionExpired) -> OpenSession:
    """Open the socket anew."""
    return OpenSession()


def log_lost(_: Call, event: ev.SessionLost) -> Log:
    """Note that the session was lost, and how."""
    return Log(Level.WARNING, "session_lost", event.reason)


def protect_response(_: Call, __: ev.Event) -> ProtectResponse:
    """Take its rights from the server's VAD."""
    return ProtectResponse()


def release_response(_: Call, __: ev.Event) -> ReleaseResponse:
    """Give the server's VAD its rights."""
    return ReleaseResponse()


@sets("lost")
def count_lost(call: Call, _: ev.SessionLost) -> int:
    """One more loss in a row."""
    return call.session.lost + 1


@sets("lost")
def outage_over(_: Call, __: ev.ResponseCompleted) -> int:
    """A response completed: the session works."""
    return 0


SESSION = region(
    "session",
    *closing(LIVE),
    #   while                        on                   if                    then
    row(CONNECTING,                  ev.SessionOpened,    always,               go(CONFIGURING, configure_session)),
    row((CONNECTING, CONFIGURING),   ev.SessionConfirmed, something_to_protect, go(GUARDED)),
    row((CONNECTING, CONFIGURING),   ev.SessionConfirmed, protected,            go(GUARDED, protect_response)),
    row((CONNECTING, CONFIGURING),   ev.SessionConfirmed, greeting_past,        go(READY, release_response)),
    row((CONNECTING, CONFIGURING),   ev.SessionConfirmed, always,               go(READY)),
    row((CONNECTING, CONFIGURING),   ev.SessionExpired,   always,               go(OVER)),
    row(GUARDED,                     ev.PlayoutOver,      protected_heard,      go(READY, release_response)),
    row(GUARDED,                     ev.ResponseCancelled, servers_vad_cut_in,  go(READY, release_response)),
    row(GUARDED,                     ev.ResponseDue,      protected_begins,     go(GUARDED)),
    row(GUARDED,                     ev.ResponseDue,      may_ask,              go(READY, release_response)),
    row(GUARDED,                     ev.TurnDismissed,    greeting_forgone,     go(READY, release_response)),
    row(GUARDED,                     ev.SessionExpired,   always,               go(READY, release_response)),
    row((READY, AGED),               ev.ResponseDue,      protected_begins,     go(GUARDED, protect_response)),
    row(READY,                       ev.SessionExpired,   always,               go(AGED)),
    row(AGED,                        ev.SessionExpired,   nothing_goes_on,      go(CONNECTING, open_session)),
    row(AGED,                        ev.SessionExpired,   always,               go(AGED)),

    row(CONNECTED,                   ev.SessionLost,      may_reconnect,        go(LOST, count_lost, log_lost)),
    row(CONNECTED,                   ev.SessionLost,      always,               go(OVER)),
    row(LOST,                        ev.SessionExpired,   always,               go(CONNECTING, open_session)),
    row(LIVE,                        ev.TakenUp,          always,               go(CONNECTING)),
    row(CONFIRMED_SESSION,           ev.ResponseCompleted, always,              stay(outage_over)),

    row(LIVE,                        ev.ModelEvent,       always,               ignore("it does not change the session")),
    row(LIVE,                        (ev.Expired, ev.Signal), always,           ignore("another region's deadline, or nothing that changes the session")),
    row(LIVE,                        ev.CallerEvent,      always,               ignore("the caller does not change the session")),
    row(LIVE,                        (ev.DeviceEvent, ev.SentenceEvent, ev.LineEvent, ev.AppEvent), always, ignore("it does not change the session")),
    doc="the realtime session, and whether the server's VAD has its rights yet",
    record=Session,
    states=(*LIVE, OVER),
    expired=ev.SessionExpired,
)  # fmt: skip
