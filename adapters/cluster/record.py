"""The record of a live call, as another process reads it: the lines of a trace, and what ports remember beside them; pure.

The first line of each owner says who it is, and in which format it writes. A line with an `event` is a trace's own. One with `remembered`
holds what a port said that it would need in another process; one with `received`, how much sound of a response has come, part by part.
"""

import json
from collections.abc import Iterable, Mapping
from enum import Enum
from typing import Any

import attrs

from adapters.seam.wellformed import read_json
from adapters.telling.trace import TraceError, answer_to_json, event_from_json, event_to_json
from fsm.call import events as ev
from fsm.call.machine import step
from fsm.call.policy import Policy
from fsm.call.snapshot import Call, start
from fsm.call.states import CLOSED, CLOSING
from fsm.engine.machine import Step

FORMAT = 1
"""What this version writes."""
READS = (1,)
"""What it can take up."""
MOST_OWNERS = 6
"""A call whose owners die one after the other is taken up no more: it may be the call that kills them."""


class Unreadable(ValueError):
    """A record that this version cannot take up; the message is one line that says why."""


class Left(Enum):
    """What is left of a call whose stream is over."""

    UNBEGUN = "no process has held it yet"
    BEGUN = "it can be taken up"
    COMING = "it is being brought back: whoever took it up now would lose its stream"
    OVER = "nothing"


@attrs.frozen(kw_only=True)
class Owner:
    """Who holds a call: which process, and the how-many-eth owner it is."""

    name: str
    epoch: int


@attrs.define(kw_only=True)
class Record:
    """A call by its record."""

    call: Call
    began_unix_ms: float
    """When the call's clock was 0."""
    told: Mapping[str, str]
    """What the webhook told of the call."""
    owner: Owner
    events: list[ev.Event] = attrs.field(factory=list)
    remembered: dict[str, dict[str, Any]] = attrs.field(factory=dict)
    received: dict[str, list[tuple[str, int, float]]] = attrs.field(factory=dict)
    """Of each response the parts of its sound that came: item, content index, milliseconds."""
    coming_until_ms: float = 0.0
    """Until when, by the clock of 1970, the call is being brought back, so that its present stream is about to be closed."""

    @property
    def over(self) -> bool:
        """Is the call being closed, or closed?"""
        return self.call.phase.state in (CLOSING, CLOSED)

    def left(self, now_unix_ms: float) -> Left:
        """What is left of it for another process."""
        if self.over or self.owner.epoch >= MOST_OWNERS:
            return Left.OVER
        return Left.COMING if now_unix_ms < self.coming_until_ms else Left.BEGUN

    def taken_up(self, at_ms: float, repeatable: frozenset[str]) -> ev.TakenUp:
        """The event with which the call goes on; `repeatable` are the names of the tools that may run twice."""
        call = self.call
        named = dict.fromkeys(name for name in (call.playout.id, call.playout.next_id, *call.truncation.awaited) if name)
        calls = {event.tool_call_id: event for event in self.events if isinstance(event, ev.ToolCalled)}
        ran = [calls[tool] for tool in call.tool.pending if tool in calls]
        at_ms = max(at_ms, self.events[-1].at_ms if self.events else 0.0)
        return ev.TakenUp(at_ms, tuple(self._heard(name) for name in named), tuple(one for one in ran if one.name in repeatable))

    def _heard(self, response_id: str) -> ev.PlayoutStopped:
        """What was heard of a response, by the position that was told last; a queue that was empty was heard out by now (R27)."""
        parts = self.received.get(response_id, [])
        received_ms, played_ms = sum(ms for _, _, ms in parts), 0.0
        for event in self.events:
            if isinstance(event, ev.PlayedEvent) and event.response_id == response_id:
                played_ms = event.played_ms
            elif isinstance(event, ev.QueueEmptied) and event.response_id == response_id:
                played_ms = received_ms
        items, left_ms = [], played_ms
        for item_id, index, ms in parts:
            if item_id:
                items.append(ev.Heard(item_id, index, min(ms, left_ms), ms))
            left_ms = max(0.0, left_ms - ms)
        return ev.PlayoutStopped(0.0, response_id, min(played_ms, received_ms), received_ms, tuple(items))


def head(owner: Owner, call: Call | None = None, *, began_unix_ms: float = 0.0, told: Mapping[str, str] | None = None) -> str:
    """An owner's first line; the first owner's says how the call began."""
    line: dict[str, Any] = {"callfsm_journal": FORMAT, "owner": owner.name, "epoch": owner.epoch}
    if call is not None:
        line |= {"call_id": call.call_id, "policy": attrs.asdict(call.policy), "began_unix_ms": began_unix_ms, "told": dict(told or {})}
    return json.dumps(line)


def coming(until_ms: float) -> str:
    """The call is being brought back until then; 0: it is no more."""
    return json.dumps({"coming_until_ms": until_ms})


def event_line(event: ev.Event, answer: Step[Call]) -> str:
    """A step, as a trace has it."""
    return json.dumps(event_to_json(event) | answer_to_json(answer))


def read(lines: Iterable[str]) -> Record:
    """The call that a record tells, folded by today's tables. Raises Unreadable."""
    record: Record | None = None
    for text in lines:
        try:
            line = read_json(text)
            if "callfsm_journal" in line:
                record = _begun(record, line)
            elif record is None:
                raise Unreadable("its first line does not say whose it is")
            elif "event" in line:
                event = event_from_json(line)
                record.events.append(event)
                record.call = step(record.call, event).snapshot
            elif "remembered" in line:
                record.remembered.update(line["remembered"])
            elif "coming_until_ms" in line:
                record.coming_until_ms = float(line["coming_until_ms"])
            elif "received" in line:
                response_id, parts = line["received"]
                record.received[response_id] = [(str(item), int(index), float(ms)) for item, index, ms in parts]
        except (TraceError, KeyError, TypeError, ValueError) as error:
            raise error if isinstance(error, Unreadable) else Unreadable(f"a line does not fit this version: {error}") from None
    if record is None:
        raise Unreadable("it is empty")
    return record


def _begun(record: Record | None, line: Mapping[str, Any]) -> Record:
    if line["callfsm_journal"] not in READS:
        raise Unreadable(f"it is of format {line['callfsm_journal']!r}; this version reads {', '.join(map(str, READS))}")
    owner = Owner(name=str(line["owner"]), epoch=int(line["epoch"]))
    if record is not None:
        record.owner = owner
        return record
    call = start(Policy(**line["policy"]), str(line["call_id"]))
    return Record(call=call, began_unix_ms=float(line["began_unix_ms"]), told=line["told"], owner=owner)
