"""Silence on both sides: the caller is asked whether they are there, a few times at most, and then told goodbye (R51 to R54, R81).

The deadline runs from the end of what was heard. Noise never refills it, and it is never counted while either side is busy.
"""

from fsm.call import events as ev
from fsm.call.common import closing
from fsm.call.guards import call_is_quiet
from fsm.call.snapshot import Call, Idle
from fsm.call.states import ARMED, DISARMED, OVER
from fsm.engine.notation import always, go, ignore, region, row, sets

LIVE = (DISARMED, ARMED)


def may_prompt(call: Call) -> bool:
    """May a silent caller be asked once more (R54)?"""
    return call.idle.prompts < call.policy.idle_prompts and call.idle.asked < call.policy.idle_prompts_in_all


def prompts_left(call: Call, _: ev.IdleExpired) -> bool:
    """Is the caller silent, and may they be asked once more (R54)?"""
    return call_is_quiet(call, None) and may_prompt(call)


def gives_up_waiting(call: Call, _: ev.IdleExpired) -> bool:
    """Has the caller been silent through every prompt, so that they are told goodbye (R53)?"""
    return call_is_quiet(call, None) and not may_prompt(call) and call.policy.idle_hangup


@sets("prompts", "asked")
def count_prompt(call: Call, _: ev.IdleExpired) -> tuple[int, int]:
    """One more time that the caller was asked."""
    return call.idle.prompts + 1, call.idle.asked + 1


@sets("prompts")
def caller_is_there(_: Call, __: ev.TurnTaken) -> int:
    """The caller answered."""
    return 0


IDLE = region(
    "idle",
    *closing(LIVE),
    #   while       on                       if              then
    row(LIVE,       ev.TurnTaken,            always,         go(DISARMED, caller_is_there)),
    row(LIVE,       ev.PlayoutOver,          always,         go(ARMED)),
    row(DISARMED,   (ev.ResponseEnded, ev.ResponseExpired, ev.TurnExpired, ev.BargedIn), always, go(ARMED)),
    row(DISARMED,   (ev.SessionConfirmed, ev.LineOpened, ev.TurnDismissed, ev.CommitRefused), always, go(ARMED)),
    row(LIVE,       ev.DigitPressed,         always,         go(ARMED)),
    row(ARMED,      ev.IdleExpired,          prompts_left,   go(DISARMED, count_prompt)),
    row(ARMED,      ev.IdleExpired,          call_is_quiet,  go(DISARMED)),
    row(ARMED,      ev.IdleExpired,          always,         go(ARMED)),

    row(LIVE,       ev.CallerEvent,          always,         ignore("noise never refills the deadline: a turn or a key ends it (R81)")),
    row(LIVE,       ev.ModelEvent,           always,         ignore("silence counts from the end of what is heard (R51)")),
    row(LIVE,       (ev.Expired, ev.Signal), always,         ignore("another region's deadline, or no end of what is heard")),
    row(LIVE,       (ev.DeviceEvent, ev.SentenceEvent, ev.LineEvent, ev.AppEvent), always, ignore("silence counts from the end of what is heard (R51)")),
    doc="silence on both sides, and how often the caller was asked",
    record=Idle,
    states=(*LIVE, OVER),
    expired=ev.IdleExpired,
)  # fmt: skip
