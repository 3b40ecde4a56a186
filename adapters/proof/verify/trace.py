"""A way through the explorer's states made a call again: real ids, real times, and a trace that `callfsm replay` runs."""

from pathlib import Path

import attrs

from adapters.proof.verify.alphabet import DUE, LATE, Happening
from adapters.proof.verify.canon import ids_of, rename
from adapters.proof.verify.model import Model
from adapters.proof.verify.plans import Plan
from adapters.telling.trace import TraceWriter
from fsm.call import events as ev
from fsm.call.policy import Policy
from fsm.call.snapshot import Call, start
from fsm.engine.machine import Machine, Step
from fsm.engine.notation import NEVER

_PAUSE_MS, _LONG_MS = 10.0, 5_000.0
"""The time between two events from outside, and before one that comes late."""


class Retold:
    """A call that goes the way of the labels it is given, from the beginning of a plan."""

    def __init__(self, machine: Machine[Call], plan: Plan) -> None:
        self.steps: list[tuple[ev.Event, Step[Call] | None]] = []
        """Each event with its answer, None where the step raised."""
        self.call = start(plan.policy)
        self._machine = machine
        self._now_ms = 0.0
        self._made = {"r": 0, "u": 0}
        self._real: dict[str, str] = {}
        """The ids of this call by those of the explorer's present state."""
        self._model = Model(machine, plan)
        self._node = self._model.start
        for event in self._model.begun:
            self._take(event)
        for name in self._model.canon.known(self._node.numbers):
            self._real[name] = name
            self._made[name[0]] = max(self._made[name[0]], int(name[1:]))

    def follow(self, label: Happening) -> None:
        """Let happen what the label says, with the ids and the time of this call."""
        event = label.event
        if isinstance(event, ev.Expired):
            record = getattr(self.call, event.region)
            if event.at_ms >= DUE and event.epoch == 0:
                self._now_ms = max(self._now_ms, record.due_ms + event.at_ms - DUE)
            self._take(type(event)(self._now_ms, record.epoch + event.epoch))
        else:
            self._now_ms += _LONG_MS if event.at_ms == LATE else _PAUSE_MS
            for name in sorted(ids_of(event) - self._real.keys()):
                self._made[name[0]] += 1
                self._real[name] = f"{name[0]}{self._made[name[0]]}"
            self._take(attrs.evolve(rename(event, self._real), at_ms=self._now_ms))
        self._go(label)

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

    def _go(self, label: Happening) -> None:
        """Go the way in the explorer's states too, to know how it calls the ids."""
        node, names = self._model.follow(self._node, label)
        self._node = node
        new = dict(names)
        kept = {name: real for name, real in self._real.items() if name in new} if new else self._real
        self._real = {new.get(name, name): real for name, real in kept.items()}

    def _take(self, event: ev.Event) -> None:
        try:
            answer = self._machine.step(self.call, event)
        except Exception:  # it is what this way leads to
            self.steps.append((event, None))
            return
        self.call = answer.snapshot
        self.steps.append((event, answer))


def _line(event: ev.Event, answer: Step[Call] | None) -> str:
    told = [str(value) for name, value in attrs.asdict(event).items() if name not in ("at_ms", "epoch") and value not in ("", ())]
    line = f"{event.at_ms / 1000:9.3f} s  {' '.join([type(event).__name__, *told])}"
    if answer is None:
        return f"{line}  RAISES"
    moved = [f"{row.region} {row.state!r} > {row.then.target!r}" for row in answer.rows if row.then.target is not None]
    signals = [f"{'':13}! {signal.__name__}" for signal in answer.signals]
    return "\n".join([f"{line:60} {', '.join(moved)}", *signals, *[f"{'':13}{effect}" for effect in answer.effects]])
