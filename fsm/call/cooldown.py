"""Responses without sound: one is replaced, and a further one so soon after it ends the call instead (R16)."""

from fsm.call import events as ev
from fsm.call.common import closing
from fsm.call.guards import may_replace, unheard
from fsm.call.snapshot import Call
from fsm.call.states import COOLING, OVER, WARM
from fsm.engine.notation import Record, always, go, ignore, region, row

LIVE = (WARM, COOLING)


def soundless(call: Call, event: ev.VoiceMissing) -> bool:
    """Is a response replaced of which no sound came at all?"""
    return may_replace(call, event) and unheard(call, None)


COOLDOWN = region(
    "cooldown",
    *closing(LIVE),
    #   while   on                  if           then
    row(WARM,   ev.VoiceMissing,    soundless,   go(COOLING)),
    row(COOLING, ev.CooldownExpired, always,     go(WARM)),
    row(LIVE,   (ev.Expired, ev.Signal), always, ignore("another region's deadline, or sound that comes")),
    row(LIVE,   (ev.ModelEvent, ev.CallerEvent, ev.DeviceEvent), always, ignore("only a response that brings no sound counts")),
    row(LIVE,   (ev.SentenceEvent, ev.LineEvent, ev.AppEvent), always,   ignore("only a response that brings no sound counts")),
    doc="whether a response without sound may be replaced",
    record=Record,
    states=(*LIVE, OVER),
    expired=ev.CooldownExpired,
)  # fmt: skip
