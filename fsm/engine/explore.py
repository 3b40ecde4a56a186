"""The explorer: breadth-first over every state that moves lead to, with the shortest way to each; it knows nothing of calls.

A node is any hashable value. `moves` gives what can happen in it, `faults` what is wrong with it; both are the business of whoever
explores. What is explored is finite only if its nodes are: that too is theirs to see to.
"""

from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Any, Generic, NamedTuple, TypeVar

import attrs

N = TypeVar("N", bound=Hashable)


class Move(NamedTuple, Generic[N]):
    """One thing that can happen in a node.

    `faults` are the rules that it breaks, in words: a move that breaks one is reported and not followed. `waited` is None for a
    move from outside; for one that time alone brings about it says, a bit each, which waits began anew with it.
    """

    label: Any
    target: N
    faults: Sequence[str] = ()
    waited: int | None = None


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
    waits: list[tuple[tuple[int, int], ...]] = attrs.field(factory=list)
    """For each node the moves that time alone brings about: (target, bits of the waits that began anew)."""
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
        waits = []
        for move in moves(space.nodes[at]):
            space.moves += 1
            if move.faults:
                _note(space, at, move.label, move.faults)
                continue
            target = number.get(move.target)
            if target is None:
                target = number[move.target] = len(space.nodes)
                space.nodes.append(move.target)
                space.came_from.append(at)
                space.came_by.append(move.label)
                space.depth.append(space.depth[at] + 1)
                _note(space, target, None, faults(move.target))
            if move.waited is not None:
                waits.append((target, move.waited))
        space.waits.append(tuple(waits))
        at += 1
    space.complete = at == len(space.nodes)
    return space


def livelock(space: Space[N], running: Callable[[N], int], among: Callable[[N], bool] | None = None) -> int | None:
    """The number of the nearest node to which time alone can come back for ever, or None if there is none.

    `running` gives the waits of a node, a bit each. A round in which some wait runs all the time and never begins anew is no
    livelock: that wait ends, and with it the round. `among` limits the search to some nodes.
    """
    edges = space.waits
    if among is not None:
        inside = [among(node) for node in space.nodes]
        edges = [tuple(edge for edge in out if inside[edge[0]]) if inside[node] else () for node, out in enumerate(edges)]
    found = [min(group) for group in _rounds(edges) if not _ends(space, group, running)]
    return min(found, default=None)


def _note(space: Space[N], node: int, label: Any, rules: Sequence[str]) -> None:
    if not rules:
        return
    known = {fault.rule for fault in space.faults}
    space.faults += [Fault(rule, node, label) for rule in rules if rule not in known]


def _ends(space: Space[N], group: list[int], running: Callable[[N], int]) -> bool:
    """Is there a wait that runs in every node of a round, and that no move within it begins anew?"""
    members = set(group)
    throughout = -1
    for node in group:
        throughout &= running(space.nodes[node])
        for target, anew in space.waits[node]:
            if target in members:
                throughout &= ~anew
    return throughout != 0


def _rounds(edges: Sequence[Sequence[tuple[int, int]]]) -> list[list[int]]:
    """The groups of nodes that lead to one another: Tarjan's strongly connected components that hold a cycle, without recursion."""
    order = [0] * len(edges)
    low = [0] * len(edges)
    on_stack = bytearray(len(edges))
    stack: list[int] = []
    groups: list[list[int]] = []
    count = 0
    for root in range(len(edges)):
        if order[root]:
            continue
        work = [(root, 0)]
        while work:
            node, place = work.pop()
            if place == 0:
                count += 1
                order[node] = low[node] = count
                stack.append(node)
                on_stack[node] = 1
            else:
                low[node] = min(low[node], low[edges[node][place - 1][0]])
            for index in range(place, len(edges[node])):
                target = edges[node][index][0]
                if target >= len(edges):
                    continue
                if not order[target]:
                    work += [(node, index + 1), (target, 0)]
                    break
                if on_stack[target]:
                    low[node] = min(low[node], order[target])
            else:
                if low[node] == order[node]:
                    groups.append(_popped(stack, on_stack, node))
    return [group for group in groups if len(group) > 1 or any(target == group[0] for target, _ in edges[group[0]])]


def _popped(stack: list[int], on_stack: bytearray, root: int) -> list[int]:
    """Take the group of `root` off the stack."""
    group = []
    while True:
        node = stack.pop()
        on_stack[node] = 0
        group.append(node)
        if node == root:
            return group
