"""The call's own maximum duration, kept by its own clock: a warning, and then the end, whatever else is going on (R82)."""

from fsm.call import events as ev
from fsm.call.common import closing
from fsm.call.effects import Level, Log
from fsm.call.guards import limit_reached
from fsm.call.snapshot import Call
from fsm.call.states import OVER, UNLIMITED, WARNED
from fsm.engine.notation import Record, always, go, ignore, region, row, sets

LIVE = (UNLIMITED, WARNED)


@sets("due_ms")
def at_the_maximum(call: Call, _: ev.LimitExpired) -> float:
    """The end counts from the call's beginning, however late the warning comes."""
    return call.limit.due_ms + call.policy.call_warning_ms


def log_limit_near(_: Call, __: ev.LimitExpired) -> Log:
    """Note that the call is to end soon."""
    return Log(Level.INFO, "call_limit_near")


LIMIT = region(
    "limit",
    *closing(LIVE),
    #   while      on               if             then
    row(UNLIMITED, ev.LimitExpired, limit_reached, go(OVER)),
    row(UNLIMITED, ev.LimitExpired, always,        go(WARNED, at_the_maximum, log_limit_near)),
    row(WARNED,    ev.LimitExpired, always,        go(OVER)),
    row(LIVE,      (ev.Expired, ev.Signal), always, ignore("another region's deadline, or nothing that counts")),
    row(LIVE,      (ev.ModelEvent, ev.CallerEvent, ev.DeviceEvent), always, ignore("nothing but time counts (R82)")),
    row(LIVE,      (ev.SentenceEvent, ev.LineEvent, ev.AppEvent),  always, ignore("nothing but time counts (R82)")),
    doc="the call's own maximum duration",
    record=Record,
    states=(*LIVE, OVER),
    expired=ev.LimitExpired,
)  # fmt: skip
