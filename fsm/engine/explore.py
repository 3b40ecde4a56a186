"""The explorer: breadth-first over every state that moves lead to, with the shortest way to each, or at random; it knows nothing of calls.

A node is any hashable value. `moves` gives what can happen in it, `faults` what is wrong with it; both are the business of whoever
explores. What is explored is finite only if its nodes are: that too is theirs to see to.
"""

from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Any, Generic, NamedTuple, TypeVar

import attrs

N = TypeVar("N", bound=Hashable)


class Move(NamedTuple, Generic[N]):
    """One thing that can happen in a node.

    `faults` are the rules that it breaks, in words: a move that breaks one is reported and not followed.
    """

    label: Any
    target: N
    faults: Sequence[str] = ()


class Fault(NamedTuple):
    """A rule that is broken: in words, the number of the node, and the move out of that node that breaks it (None: the node itself)."""

    rule: str
    node: int
    label: Any


@attrs.define
class Space(Generic[N]):
    """What was explored. Nodes are numbered in the order in which they were met, so a smaller number is never further from the start."""

    nodes: list[N]
    came_from: list[int] = attrs.field(factory=lambda: [-1])
    came_by: list[Any] = attrs.field(factory=lambda: [None])
    depth: list[int] = attrs.field(factory=lambda: [0])
    explored: int = 0
    """How many nodes were explored: all, or the nearest."""
    faults: list[Fault] = attrs.field(factory=list)
    """The first fault of each rule, hence the one nearest to the start."""
    moves: int = 0
    """How many moves led to another node or broke a rule."""
    complete: bool = False
    """Was everything reachable explored, or was there a limit?"""

    def way_to(self, node: int) -> list[Any]:
        """The labels of the shortest way from the start to a node."""
        labels = []
        while node:
            labels.append(self.came_by[node])
            node = self.came_from[node]
        return labels[::-1]


def explore(
    start: N,
    moves: Callable[[N], Iterable[Move[N]]],
    faults: Callable[[N], Sequence[str]],
    *,
    most: int | None = None,
    watch: Callable[[Space[N], int], None] | None = None,
) -> Space[N]:
    """Explore everything that `moves` reaches from `start`, or its `most` nodes nearest to it.

    `watch` is told the space and the number of the node at work, once in a thousand nodes.
    """
    space = Space([start])
    number = {start: 0}
    _note(space, 0, None, faults(start))
    at = 0
    while at < len(space.nodes) and (most is None or at < most):
        if watch is not None and at % 1000 == 0:
            watch(space, at)
        for move in moves(space.nodes[at]):
            _take(space, number, at, move, faults)
        at += 1
    space.explored = at
    space.complete = at == len(space.nodes)
    return space


def wander(
    start: N,
    move: Callable[[N], Move[N] | None],
    faults: Callable[[N], Sequence[str]],
    like: Callable[[N], Hashable],
    *,
    steps: int,
    length: int,
    chance: Callable[[], float],
) -> Space[N]:
    """Go at random, in walks of `length` steps, each from a node that was news; `steps` in all.

    `move` is one thing that happens in a node, by chance, None if nothing came of it; `like` says what a node is like, and one like none
    before is news (coverage-guided, as fuzzers go). `chance` gives a number from 0 up to 1: a walk begins the likelier in a node the
    later that was found.
    """
    space = Space([start])
    number, met, begins = {start: 0}, {like(start)}, [0]
    _note(space, 0, None, faults(start))
    for step in range(steps):
        if step % length == 0:
            at = begins[int(len(begins) * chance() ** 0.5)]
        taken = move(space.nodes[at])
        if taken is None or not _take(space, number, at, taken, faults):
            continue
        at = number[taken.target]
        if (new := like(taken.target)) not in met:
            met.add(new)
            begins.append(at)
    space.explored = len(space.nodes)
    return space


def _take(space: Space[N], number: dict[N, int], at: int, move: Move[N], faults: Callable[[N], Sequence[str]]) -> bool:
    """Note a move, and the node that it leads to; False if it breaks a rule, and is not followed."""
    space.moves += 1
    if move.faults:
        _note(space, at, move.label, move.faults)
        return False
    if move.target not in number:
        number[move.target] = len(space.nodes)
        space.nodes.append(move.target)
        space.came_from.append(at)
        space.came_by.append(move.label)
        space.depth.append(space.depth[at] + 1)
        _note(space, number[move.target], None, faults(move.target))
    return True


def _note(space: Space[N], node: int, label: Any, rules: Sequence[str]) -> None:
    if not rules:
        return
    known = {fault.rule for fault in space.faults}
    space.faults += [Fault(rule, node, label) for rule in rules if rule not in known]
