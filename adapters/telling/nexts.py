"""Which states could come next in a call, each with an event that brings it: found by trying, on the very step that runs calls; pure.

Every kind of event is tried with the ids that the call has met, and with a new one. So what is found can happen; what is not found may
need an event of other fields, or several.
"""

from collections.abc import Iterable, Iterator
from itertools import product
from typing import Any, get_type_hints

import attrs

from fsm.call import events as ev
from fsm.call.machine import CALL, due_ms, expiry, step
from fsm.call.snapshot import Call

MET = 2
"""Of each field, so many of the last values are tried."""
NEW = "new"
"""An id that nobody has met."""
TRIED: dict[Any, tuple[object, ...]] = {str: ("",), float: (0.0, 1_000.0), int: (1,)}
"""What else is tried of a field, by its type."""


@attrs.frozen
class Next:
    """A state that a region could come to, and an event that brings it."""

    region: str
    state: str
    event: ev.Event


def nexts(call: Call, met: Iterable[ev.Event], at_ms: float) -> list[Next]:
    """The next states of a call at a time, after it has met these events, in the order of its tables."""
    found: dict[tuple[str, str], ev.Event] = {}
    for event in (*_deadline(call), *_events(tuple(met), at_ms)):
        after = step(call, event).snapshot
        for region in CALL.regions:
            was, now = getattr(call, region.name).state, getattr(after, region.name).state
            if now is not was:
                found.setdefault((region.name, now.name), event)
    return [
        Next(region.name, state.name, found[region.name, state.name])
        for region in CALL.regions
        for state in region.states
        if (region.name, state.name) in found
    ]


def _deadline(call: Call) -> Iterator[ev.Event]:
    """The deadline that passes next, if one runs."""
    due = expiry(call, due_ms(call))
    if due is not None:
        yield due


def _events(met: tuple[ev.Event, ...], at_ms: float) -> Iterator[ev.Event]:
    values: dict[str, list[object]] = {}
    for event in reversed(met):
        for field in attrs.fields(type(event))[1:]:
            known, value = values.setdefault(field.name, []), getattr(event, field.name)
            if len(known) < MET and value not in known:
                known.append(value)
    for kind in ev.kinds():
        if issubclass(kind, ev.Expired):
            continue
        hints = get_type_hints(kind)
        for fields in product(*(_tried(field, hints[field.name], values) for field in attrs.fields(kind)[1:])):
            yield kind(at_ms, *fields)


def _tried(field: Any, hint: Any, values: dict[str, list[object]]) -> list[object]:
    known = values.get(field.name, [])
    if field.default is not attrs.NOTHING:
        return list(dict.fromkeys((field.default, *known[:1])))
    new = (NEW,) if hint is str and field.name.endswith("_id") else TRIED.get(hint, ())
    return list(dict.fromkeys((*known, *new)))
