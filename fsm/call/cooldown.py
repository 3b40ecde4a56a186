"""Responses without sound: one is replaced, and a further one so soon after it ends the call instead (R16)."""

from fsm.call import events as ev
from fsm.call.common import closing
from fsm.call.guards import may_replace
from fsm.call.snapshot import Cooldown
from fsm.call.states import COOLING, OVER, WARM
from fsm.engine.notation import always, go, ignore, region, row

LIVE = (WARM, COOLING)

COOLDOWN = region(
    "cooldown",
    *closing(LIVE),
    #   while   on                  if           then
    row(WARM,   ev.PlayoutExpired,  may_replace, go(COOLING)),
    row(COOLING, ev.CooldownExpired, always,     go(WARM)),
    row(LIVE,   ev.Expired,         always,      ignore("another region's deadline")),
    row(LIVE,   (ev.ModelEvent, ev.CallerEvent, ev.DeviceEvent), always, ignore("only a response that brings no sound counts")),
    row(LIVE,   (ev.SentenceEvent, ev.LineEvent, ev.AppEvent), always,   ignore("only a response that brings no sound counts")),
    doc="whether a response without sound may be replaced",
    record=Cooldown,
    states=(*LIVE, OVER),
    expired=ev.CooldownExpired,
)  # fmt: skip
