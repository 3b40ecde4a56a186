"""The rows that every table shares: what closes the call closes each region, and an expiry must be of its region's present state.

Whoever is not the call's owner any more does nothing at all: no table adds an effect to `OwnershipLost`.
"""

from typing import Any

from fsm.call import events as ev
from fsm.call.guards import stale
from fsm.call.states import OVER
from fsm.engine.notation import Declared, State, always, go, ignore, row


def guarded(live: tuple[State, ...]) -> tuple[Declared, ...]:
    """The first rows of a table: over is over, another's call is not ours (R110), and a stale deadline is nothing (R49, R62)."""
    return (
        row(OVER, ev.Event, always, ignore("the call is over")),
        row(live, ev.OwnershipLost, always, go(OVER)),
        row(live, ev.Expired, stale, ignore("a deadline of an earlier state, or before its time")),
    )


def ending(live: tuple[State, ...], *acts: Any) -> tuple[Declared, ...]:
    """What closes the call ends the region, with `acts`, in every state (R83)."""
    return (row(live, (ev.Ending, ev.HangupDue), always, go(OVER, *acts)),)


def closing(live: tuple[State, ...]) -> tuple[Declared, ...]:
    """Both, for a region that has nothing to put away."""
    return (*guarded(live), *ending(live))
