"""A way through the explorer's states made a call again: real ids, real times, and a trace that `callfsm replay` runs."""

from pathlib import Path
from typing import Any

import attrs

from adapters.proof.verify.alphabet import FOREIGN, ITEM, LAST_TURN, NEXT_TURN, Scope
from adapters.proof.verify.states import LATER, States
from adapters.telling.trace import TraceWriter
from fsm.call import events as ev
from fsm.call.policy import Policy
from fsm.call.snapshot import Call, start
from fsm.engine.machine import Machine, Step
from fsm.engine.notation import NEVER

_PAUSE_MS = 10.0
"""The time between two events from outside."""


class Retold:
    """A call that goes the way of the labels it is given, from the beginning of a scope."""

    def __init__(self, machine: Machine[Call], policy: Policy, scope: Scope) -> None:
        self.steps: list[tuple[ev.Event, Step[Call] | None]] = []
        """Each event with its answer, None where the step raised."""
        self.call = start(policy)
        self._machine = machine
        self._now_ms = 0.0
        self._made = 0
        for kind in scope.begins:
            self._take(kind(0.0))
        self._states = States(machine, policy, self.call, scope.still, scope.unread)

    def follow(self, label: ev.Event) -> None:
        """Let happen what the label says, with the ids and the time of this call."""
        self._take(self._expiry(label) if isinstance(label, ev.Expired) else self._outside(label))

    def wait(self, deadlines: int) -> None:
        """Let as many deadlines pass, the nearest first."""
        for _ in range(deadlines):
            due_ms = self._machine.due_ms(self.call)
            if due_ms == NEVER:
                return
            self._now_ms = max(self._now_ms, due_ms)
            self._take(self._machine.expiry(self.call, self._now_ms))

    def lines(self) -> list[str]:
        """The call in words: a line an event, with what it moved and what was asked for."""
        return [_line(event, answer) for event, answer in self.steps]

    def write(self, path: Path, policy: Policy) -> None:
        """Write the trace."""
        path.parent.mkdir(parents=True, exist_ok=True)
        writer = TraceWriter(path, start(policy))
        for event, answer in self.steps:
            if answer is not None:
                writer(event, answer)
        writer.close()

    def _take(self, event: ev.Event) -> None:
        try:
            answer = self._machine.step(self.call, event)
        except Exception:  # it is what this way leads to
            self.steps.append((event, None))
            return
        self.call = answer.snapshot
        self.steps.append((event, answer))

    def _expiry(self, label: ev.Expired) -> ev.Event:
        record = getattr(self.call, label.region)
        if label.at_ms == LATER and label.epoch == 0:
            self._now_ms = max(self._now_ms, record.due_ms)
        return type(label)(self._now_ms, record.epoch + label.epoch)

    def _outside(self, label: ev.Event) -> ev.Event:
        self._now_ms += _PAUSE_MS
        names = self._states.settle(self.call, self._now_ms)[1]
        fields: dict[str, Any] = attrs.asdict(label)
        for field, value in fields.items():
            fields[field] = self._meant(field, value, names)
        return type(label)(**{**fields, "at_ms": self._now_ms})

    def _meant(self, field: str, value: Any, names: tuple[str, ...]) -> Any:
        if field == "response_id" and value:
            return self._known_or_new(value, names, "resp")
        if field == "tool_call_id":
            return self._known_or_new(value, self.call.tool.pending, "tool")
        if field == "session_id" and value != FOREIGN:
            return self.call.synthesis.session_id
        if field == "sentence" or value == NEXT_TURN:
            self._made += 1
            return self._made if field == "sentence" else f"turn_{self._made}"
        if value == LAST_TURN:
            return self.call.asking.item_id or "turn_0"
        return "item_1" if value == ITEM else value

    def _known_or_new(self, value: str, known: tuple[str, ...], word: str) -> str:
        place = int(value[1:]) - 1
        if place < len(known):
            return known[place]
        self._made += 1
        return f"{word}_{self._made}"


def _line(event: ev.Event, answer: Step[Call] | None) -> str:
    told = [str(value) for name, value in attrs.asdict(event).items() if name not in ("at_ms", "epoch") and value != ""]
    line = f"{event.at_ms / 1000:9.3f} s  {' '.join([type(event).__name__, *told])}"
    if answer is None:
        return f"{line}  RAISES"
    moved = [f"{row.region} {row.state!r} > {row.then.target!r}" for row in answer.rows if row.then.target is not None]
    return f"{line:60} {', '.join(moved)}" + "".join(f"\n{'':13}{effect}" for effect in answer.effects)
