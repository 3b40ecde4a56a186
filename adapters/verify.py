"""The call's checker: every state that `step` can reach is explored, and every rule judged in each; a broken rule comes with its shortest way."""

from collections.abc import Iterator
from typing import NamedTuple

from adapters.verify_alphabet import Alphabet, Scope
from adapters.verify_rules import LATE, Judge, Past, faults_of, forgotten_ids
from adapters.verify_states import States
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
                move = self._move(node, call, event, False)
                if move is not None:
                    yield move
        for _, event in urgent:
            move = self._move(node, call, event, late)
            if move is not None:
                yield move._replace(waited=self._anew(node, move.target))
        if late or not urgent:
            for _, event in self.alphabet.running(call):
                move = self._move(node, call, event, True)
                if move is not None:
                    yield move._replace(waited=self._anew(node, move.target))

    def faults(self, node: Node) -> list[str]:
        """The rules that a node breaks by itself."""
        call = self.states.call(node.numbers)
        runs = bool(self.alphabet.urgent(call) or self.alphabet.running(call))
        return faults_of(call, node.past, runs)

    def waits(self, node: Node) -> int:
        """The deadlines that may fire in a node, a bit a region."""
        call = self.states.call(node.numbers)
        return sum(1 << place for place, _ in self.alphabet.urgent(call) or self.alphabet.running(call))

    def _move(self, node: Node, call: Call, event: ev.Event, late: bool) -> Move[Node] | None:
        """What `event` does in a node; None if it changes nothing. `late` says that other deadlines may have passed meanwhile."""
        self.steps += 1
        try:
            answer = self.machine.step(call, event)
        except Exception as error:
            return Move(event, node, (f"step raises {type(error).__name__}: {error}",))
        self.rows.add(answer.rows)
        if answer.snapshot is call and not answer.effects:
            return None
        judge = Judge(call, event, answer, node.past)
        numbers, names = self.states.settle(answer.snapshot, event.at_ms, node.numbers)
        past = judge.past(names, self.states.records[numbers[self._playout]], self.states.records[numbers[self._response]])
        if late and any([self.states.urgent[number] for number in numbers]):
            past = past._replace(bits=past.bits | LATE)
        return Move(event, Node(numbers, past), judge.faults)

    def _anew(self, node, target):
        return 0
