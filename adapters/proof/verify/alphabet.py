"""The finite alphabet of a call's explorer: which events may happen in a state, and what the ids and figures in them may be.

Every event may happen in every state, in order or not, about any id that the call knows and about one that it does not; what is left
out is left out by a `Scope`, by name. Figures are those that a guard can tell apart.
"""

from collections.abc import Iterable, Iterator
from itertools import product
from typing import Any

import attrs

from adapters.proof.verify.states import LATER, NOW
from fsm.call import events as ev
from fsm.call.guards import ACTIVE_ALREADY
from fsm.call.snapshot import Call
from fsm.engine.machine import Machine
from fsm.engine.notation import NEVER

FOREIGN = "call.foreign.1"
"""A synthesis session that nobody awaits."""
ITEM, LAST_TURN, NEXT_TURN = "i", "u", "v"
_HEARD = ((0.0, 900.0), (400.0, 900.0), (900.0, 900.0))
"""(played, received) of a flushed response: nothing, a part, everything."""
_ONE: dict[str, tuple[Any, ...]] = {
    "text": ("Hello.",),
    "reason": ("",),
    "message": ("",),
    "outcome": ("acknowledged",),
    "name": ("look_up",),
    "arguments": ("{}",),
    "output": ("found",),
    "rms": (500.0,),
    "audio_ms": (900.0,),
    "played_ms": (400.0,),
    "item_id": (ITEM,),
    "digit": ("1", "#"),
    "code": ("response_cancel_not_active", "boom"),
    "sentence": (99,),
}
"""What a field may be in any event."""
_OF: dict[tuple[type[ev.Event], str], tuple[Any, ...]] = {
    (ev.ResponseCancelled, "reason"): ("", "turn_detected"),
    (ev.ResponseFailed, "reason"): ("", "insufficient_quota"),
    (ev.CreateRefused, "code"): ("boom", ACTIVE_ALREADY),
}
"""What a field may be in one event."""


@attrs.frozen
class Scope:
    """What an exploration is about: how it begins, what never happens in it, and how many ids may be known at once."""

    name: str
    about: str
    begins: tuple[type[ev.Event], ...] = ()
    """Events without fields that happen first."""
    without: frozenset[type[ev.Event]] = frozenset()
    """Events that never happen."""
    still: frozenset[str] = frozenset()
    """Regions that never move, as nothing that would move them happens and no other region reads them."""
    unread: frozenset[tuple[str, str]] = frozenset()
    """(region, field) that no guard reads, with these events left out."""
    repeated: bool = False
    """May a caller's turn be told twice?"""
    ids: int = 3
    """A response with an id that the call does not know turns up only while it knows fewer than this."""


class Alphabet:
    """The events of a machine within a scope."""

    def __init__(self, machine: Machine[Call], scope: Scope) -> None:
        self._scope = scope
        self._kinds: list[type[ev.Event]] = [
            kind for kind in machine.events if issubclass(kind, ev.Event) and not issubclass(kind, ev.Expired) and kind not in scope.without
        ]
        self._expiries = [
            (place, region.name, region.expired)
            for place, region in enumerate(machine.regions)
            if region.name not in scope.still and region.expired not in scope.without
        ]
        self._known: dict[tuple[int, str, int], tuple[ev.Event, ...]] = {}
        self._timely = {place: kind(LATER, 0) for place, _, kind in self._expiries}
        self._urgent = {place: kind(NOW, 0) for place, _, kind in self._expiries}
        self._stale = tuple(kind(LATER, -1) for _, _, kind in self._expiries)
        self._early = {place: kind(NOW, 0) for place, _, kind in self._expiries}

    def outside(self, call: Call, ids: int) -> Iterator[ev.Event]:
        """Everything that may come from outside in a state that knows `ids` response ids, and every deadline stale or too early."""
        key = (ids, call.synthesis.session_id, len(call.tool.pending))
        known = self._known.get(key)
        if known is None:
            known = self._known[key] = (*self._made(*key), *self._stale)
        yield from known
        for place, name, _ in self._expiries:
            if getattr(call, name).due_ms == LATER:
                yield self._early[place]

    def urgent(self, call: Call) -> list[tuple[int, ev.Event]]:
        """The deadlines of states that last 0 ms, with the place of their region."""
        return [(place, self._urgent[place]) for place, name, _ in self._expiries if getattr(call, name).due_ms == NOW]

    def running(self, call: Call) -> list[tuple[int, ev.Event]]:
        """The other deadlines that run, with the place of their region."""
        return [(place, self._timely[place]) for place, name, _ in self._expiries if NOW < getattr(call, name).due_ms < NEVER]

    def _made(self, ids: int, session_id: str, tools: int) -> Iterator[ev.Event]:
        fresh = [f"r{ids + 1}"] if ids < self._scope.ids else []
        values = {
            **_ONE,
            "response_id": (*[f"r{number}" for number in range(1, ids + 1)], *fresh),
            "session_id": (session_id, FOREIGN) if session_id else (FOREIGN,),
            "tool_call_id": tuple(f"t{number}" for number in range(1, tools + 2)),
        }
        turns = (NEXT_TURN, LAST_TURN) if self._scope.repeated else (NEXT_TURN,)
        for kind in self._kinds:
            if issubclass(kind, ev.CallerEvent):
                yield from _events(kind, {**values, "item_id": turns})
            else:
                yield from _events(kind, values)


def _events(kind: type[ev.Event], values: dict[str, tuple[Any, ...]]) -> Iterable[ev.Event]:
    """Every event of one kind, at `NOW`."""
    fields = [field.name for field in attrs.fields(kind) if field.name != "at_ms"]
    if kind is ev.PlayoutStopped:
        return [ev.PlayoutStopped(NOW, name, *heard) for name in values["response_id"] for heard in _HEARD]
    choices = [_OF.get((kind, field)) or values.get(field) for field in fields]
    if kind is ev.HangupRequested:
        choices = [("", *values["response_id"]), ("application",)]
    if None in choices:
        raise ValueError(f"{kind.__name__}.{fields[choices.index(None)]}: say in adapters/proof/verify/alphabet.py what it may be")
    return [kind(NOW, *chosen) for chosen in product(*[choice for choice in choices if choice is not None])]
