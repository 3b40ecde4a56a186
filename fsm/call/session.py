"""The realtime session: nothing is asked of the model before the server has confirmed what we configured (R39)."""

from fsm.call import events as ev
from fsm.call.common import closing
from fsm.call.effects import Cause, ConfigureSession, ReleaseGreeting
from fsm.call.guards import finished
from fsm.call.snapshot import Call, Session
from fsm.call.states import (
    CONFIGURING,
    CONNECTING,
    DUE,
    GREETING_LOCK,
    GUARDED,
    LISTENING,
    OVER,
    PAUSED,
    PREPARING,
    READY,
    REQUESTED,
    WANTED,
)
from fsm.engine.notation import always, go, ignore, region, row

LIVE = (CONNECTING, CONFIGURING, GUARDED, READY)


def greeting_to_protect(call: Call, _: ev.SessionConfirmed) -> bool:
    """Was the session configured to keep the server's VAD from a greeting (R36)?"""
    return call.policy.guards_greeting


def greeting_wanted(call: Call) -> bool:
    """Is the next response that we want the greeting?"""
    return call.asking.cause is Cause.GREETING and call.asking.state in (PREPARING, WANTED, PAUSED, DUE)


def greeting_heard(call: Call, event: ev.PlayoutExpired) -> bool:
    """Is the greeting over, and not to be tried again?"""
    return finished(call, event) and call.phase.state is GREETING_LOCK and not greeting_wanted(call)


def greeting_void(call: Call, _: ev.TurnCommitted) -> bool:
    """Has the caller spoken a turn before the greeting was asked for (R37)?"""
    return call.phase.state is LISTENING and call.response.state is not REQUESTED


def configure_session(_: Call, __: ev.SessionOpened) -> ConfigureSession:
    """Send the one session.update."""
    return ConfigureSession()


def release_greeting(_: Call, __: ev.Event) -> ReleaseGreeting:
    """Give the server's VAD its rights."""
    return ReleaseGreeting()


SESSION = region(
    "session",
    *closing(LIVE),
    #   while                        on                   if                    then
    row(CONNECTING,                  ev.SessionOpened,    always,               go(CONFIGURING, configure_session)),
    row((CONNECTING, CONFIGURING),   ev.SessionConfirmed, greeting_to_protect,  go(GUARDED)),
    row((CONNECTING, CONFIGURING),   ev.SessionConfirmed, always,               go(READY)),
    row((CONNECTING, CONFIGURING),   ev.SessionExpired,   always,               go(OVER)),
    row(GUARDED,                     ev.PlayoutExpired,   greeting_heard,       go(READY, release_greeting)),
    row(GUARDED,                     ev.TurnCommitted,    greeting_void,        go(READY, release_greeting)),
    row(GUARDED,                     ev.SessionExpired,   always,               go(READY, release_greeting)),

    row(LIVE,                        ev.ModelEvent,       always,               ignore("it does not change the session")),
    row(LIVE,                        ev.Expired,          always,               ignore("another region's deadline")),
    row(LIVE,                        ev.CallerEvent,      always,               ignore("the caller does not change the session")),
    row(LIVE,                        (ev.DeviceEvent, ev.SentenceEvent, ev.LineEvent, ev.AppEvent), always, ignore("it does not change the session")),
    doc="the realtime session, and whether the server's VAD has its rights yet",
    record=Session,
    states=(*LIVE, OVER),
    expired=ev.SessionExpired,
)  # fmt: skip
