"""What can happen in a call's states: the moves, the waits and the faults that the explorer asks for, made with the real `step`."""

from collections.abc import Iterator
from typing import NamedTuple

from adapters.proof.verify.alphabet import Alphabet, Scope
from adapters.proof.verify.rules import LATE, Judge, Past, faults_of, forgotten_ids
from adapters.proof.verify.states import States
from fsm.call import events as ev
from fsm.call.policy import Policy
from fsm.call.snapshot import Call, start
from fsm.engine.explore import Move
from fsm.engine.machine import Machine
from fsm.engine.notation import Row


class Node(NamedTuple):
    """A state: a number for each region's record, and the past."""

    numbers: tuple[int, ...]
    past: Past


class Model:
    """What can happen in a machine's states, within a scope, under a policy."""

    def __init__(self, machine: Machine[Call], policy: Policy, scope: Scope) -> None:
        self.machine = machine
        self.steps = 0
        self.rows: set[tuple[Row, ...]] = set()
        call = start(policy)
        for kind in scope.begins:
            call = machine.step(call, kind(0.0)).snapshot
        self.begun = call
        self.states = States(machine, policy, call, scope.still, scope.unread)
        self.alphabet = Alphabet(machine, scope)
        self.start = Node(self.states.settle(call, 0.0)[0], Past())
        self._bit = {name: 1 << place for place, name in enumerate(self.states.names)}
        self._playout, self._response = self.states.names.index("playout"), self.states.names.index("response")

    def moves(self, node: Node) -> Iterator[Move[Node]]:
        """Everything that can happen in a node and changes something."""
        call = self.states.call(node.numbers)
        urgent = self.alphabet.urgent(call)
        late = bool(node.past.bits & LATE)
        if not urgent:
            forgotten = forgotten_ids(call, node.past)
            for event in self.alphabet.outside(call, len(node.past.of)):
                if forgotten and isinstance(event, ev.ResponseCreated) and event.response_id in forgotten:
                    continue
                yield from self._move(node, call, event, False)
        for _, event in urgent:
            yield from self._move(node, call, event, late)
        if late or not urgent:
            for _, event in self.alphabet.running(call):
                yield from self._move(node, call, event, True)

    def faults(self, node: Node) -> list[str]:
        """The rules that a node breaks by itself."""
        call = self.states.call(node.numbers)
        runs = bool(self.alphabet.urgent(call) or self.alphabet.running(call))
        return faults_of(call, node.past, runs)

    def waits(self, node: Node) -> int:
        """The deadlines that run in a node, a bit a region."""
        call = self.states.call(node.numbers)
        return sum(1 << place for place, _ in (*self.alphabet.urgent(call), *self.alphabet.running(call)))

    def urgent_waits(self, node: Node) -> int:
        """The deadlines that are due at once in a node, a bit a region."""
        return sum(1 << place for place, _ in self.alphabet.urgent(self.states.call(node.numbers)))

    def stands(self, node: Node) -> bool:
        """Does time stand in a node, until what is due at once is answered?"""
        return not node.past.bits & LATE and any(self.states.urgent[number] for number in node.numbers)

    def _move(self, node: Node, call: Call, event: ev.Event, late: bool) -> tuple[Move[Node], ...]:
        """What `event` does in a node, if anything. `late` says that other deadlines may have passed meanwhile."""
        self.steps += 1
        try:
            answer = self.machine.step(call, event)
        except Exception as error:  # whatever it is, it is what is looked for
            return (Move(event, node, (f"step raises {type(error).__name__}: {error}",)),)
        self.rows.add(answer.rows)
        fired = event.region if isinstance(event, ev.Expired) and _timely(call, event) else None
        if answer.snapshot is call and not answer.effects:
            return (Move(event, node, (f"{type(event).__name__} fires, and nothing comes of it (R78)",)),) if fired else ()
        judge = Judge(call, event, answer, node.past)
        states = self.states
        numbers, names = states.settle(answer.snapshot, event.at_ms, node.numbers)
        past = judge.past(names, states.records[numbers[self._playout]], states.records[numbers[self._response]])
        if late and any(states.urgent[number] for number in numbers):
            past = past._replace(bits=past.bits | LATE)
        anew = self._anew(answer.snapshot) if fired else None
        if fired and anew is not None and not anew & self._bit[fired]:
            judge.faults.append(f"{type(event).__name__} fires, and its deadline runs on (R78)")
        return (Move(event, Node(numbers, past), judge.faults, anew),)

    def _anew(self, after: Call) -> int:
        """The regions that entered a state, a bit each: a plain snapshot has epoch 0."""
        return sum([bit for name, bit in self._bit.items() if getattr(after, name).epoch])


def _timely(call: Call, event: ev.Expired) -> bool:
    return event.epoch == 0 and event.at_ms >= float(getattr(call, event.region).due_ms)
