"""The proof asked about one mutant: states of the checker's plans in which a changed row or function answers, and what follows from them.

The sound tables are explored once, as far as `MOST`, to know in which states each row answers. A mutant is then judged by the rules of
`callfsm verify` where it goes another way than the sound tables: in that step, in the states that follow, and as deadlines pass.
"""

from collections.abc import Iterable, Iterator
from functools import cache
from itertools import islice
from types import CodeType, FunctionType
from typing import Any

import attrs

from adapters.proof.judges import Rule
from adapters.proof.verify.checker import rest_ms
from adapters.proof.verify.model import Model, Node
from adapters.proof.verify.plans import Plan, plans
from fsm import CALL, Call, events as ev
from fsm.engine.explore import Move, explore
from fsm.engine.machine import Machine
from fsm.engine.notation import NEVER, Row

from .bodies import BodyMutant
from .breaking import Mutant, beginning_without
from .recording import Recorder

MOST = 1_500
"""How many of the nearest states of each plan are explored on the sound tables: about a second a plan, once a process."""
BEYOND = 30
"""How many states behind one that a mutant alone leads to are explored."""
KEPT = 10
"""In how many states of a plan a row is tried: the nearest, and then always twice as far."""
TRIED = 8
"""Behind how many such states of a plan."""


@attrs.frozen(eq=False)
class Explored:
    """A plan of the sound tables: its model, and some of the states in which each row answers."""

    plan: Plan
    model: Model
    nodes: dict[Row, list[Node]]
    broken: frozenset[str]
    """Rules that the sound tables break themselves in the plan, and so can tell nothing: `callfsm verify` shows how."""

    def usual(self, rows: Iterable[Row]) -> dict[Node, set[Node]]:
        """The states kept for these rows, and where the sound tables go from each."""
        starts = dict.fromkeys(node for row in rows for node in self.nodes.get(row, ()))
        return {node: {move.target for move in self.model.moves(node)} for node in starts}


def proof_of(mutant: Mutant, machine: Machine[Call], chosen: tuple[Plan, ...] = (), most: int = MOST) -> str:
    """The first rule that the mutant breaks, and in which plan; empty if none is found broken. No `chosen` are all of `callfsm verify`."""
    told_by = _told_by(mutant)
    with beginning_without(mutant.endless):
        for explored in _all_explored(chosen or tuple(plans()), most):
            rule = _told(explored, explored.model.on(machine), explored.usual(told_by))
            if rule:
                return rule
    return ""


def proof_of_body(mutant: BodyMutant, chosen: tuple[Plan, ...] = (), most: int = MOST) -> str:
    """The first rule that is broken while the function is the mutant, and in which plan; empty if none is found broken."""
    told_by = _rows_with(mutant.function)
    for explored in _all_explored(chosen or tuple(plans()), most):
        usual = explored.usual(told_by)
        with mutant.in_place():
            rule = _told(explored, explored.model, usual)
        if rule:
            return rule
    return ""


def _told(explored: Explored, broken: Model, usual: dict[Node, set[Node]]) -> str:
    fresh = (rule for rule in _faults(broken, usual) if rule not in explored.broken)
    return next((f"{rule} ({explored.plan})" for rule in fresh), "")


def _rows_with(function: FunctionType) -> list[Row]:
    """The rows that may answer where the function is asked, or whose acts or deadline it is part of."""
    rows: list[Row] = []
    for table in CALL.regions:
        asked = {(row.state, row.on) for row in table.rows if _calls(row.guard, function)}
        rows += [row for row in table.rows if (row.state, row.on) in asked or any(_calls(part, function) for part in _parts(row))]
    return rows


def _parts(row: Row) -> tuple[Any, ...]:
    target = row.then.target
    return (*row.then.acts, *((target.at_most,) if target is not None and target.at_most is not None else ()))


@cache
def _calls(caller: Any, function: FunctionType) -> bool:
    """Does a function of the core run another, or is it that?"""
    return caller is function or any(_calls(one, function) for one in _called(caller))


def _called(caller: Any) -> tuple[FunctionType, ...]:
    if not isinstance(caller, FunctionType) or not caller.__module__.startswith("fsm."):
        return ()
    names = [name for code in _codes(caller.__code__) for name in code.co_names]
    found = [caller.__globals__.get(name) for name in names]
    return tuple(one for one in found if isinstance(one, FunctionType) and one is not caller)


def _codes(code: CodeType) -> Iterator[CodeType]:
    """The code, and that of the comprehensions in it."""
    yield code
    for part in code.co_consts:
        if isinstance(part, CodeType):
            yield from _codes(part)


def _told_by(mutant: Mutant) -> list[Row]:
    """The rows in whose place the mutant may answer otherwise."""
    if not mutant.by_meeting:
        return [row for row in mutant.table.rows if row in mutant.rows]
    met = {(row.state, row.on) for row in mutant.rows}
    return [row for row in mutant.table.rows if any(row.state is state and issubclass(row.on, on) for state, on in met)]


@cache
def _all_explored(chosen: tuple[Plan, ...], most: int) -> tuple[Explored, ...]:
    return tuple(_explored(plan, most) for plan in chosen)


def _explored(plan: Plan, most: int) -> Explored:
    recorder = Recorder()
    model = Model(recorder, plan)
    seen: dict[Row, int] = {}
    nodes: dict[Row, list[Node]] = {}

    def moves(node: Node) -> Iterator[Move[Node]]:
        recorder.rows.clear()
        yield from model.moves(node)
        for row in recorder.rows:
            seen[row] = count = seen.get(row, 0) + 1
            if count & (count - 1) == 0 and count < 1 << KEPT:
                nodes.setdefault(row, []).append(node)

    space = explore(model.start, moves, model.faults, most=most)
    broken = {fault.rule for fault in space.faults}
    if any(_restless(model, node) for row in nodes for node in nodes[row][:1]):
        broken.add(Rule.LIVELOCK)
    return Explored(plan, model, nodes, frozenset(broken))


def _faults(broken: Model, usual: dict[Node, set[Node]]) -> Iterator[str]:
    """The rules that the broken model breaks in these nodes, and then behind the nodes to which it alone leads."""
    new: dict[Node, None] = {}
    for node, targets in usual.items():
        for move in broken.moves(node):
            yield from move.faults
            if move.target not in targets:
                new[move.target] = None
    for node in new:
        yield from broken.faults(node)
    for node in islice(new, TRIED):
        yield from _at_rest(broken, node)
        space = explore(node, broken.moves, broken.faults, most=BEYOND)
        yield from (fault.rule for fault in space.faults)
        if _restless(broken, node):
            yield Rule.LIVELOCK


def _at_rest(model: Model, node: Node) -> Iterator[str]:
    """The rules that are broken as nothing happens any more but deadlines, the nearest table's first, until none runs or all was seen."""
    seen = set()
    while node not in seen:
        seen.add(node)
        due = [move for move in model.moves(node) if isinstance(move.label.event, ev.Expired)]
        if not due:
            return
        yield from due[0].faults
        node = due[0].target
        yield from model.faults(node)


def _restless(model: Model, node: Node) -> bool:
    return rest_ms(model.machine, model.canon.call(node.numbers), model.plan.still) == NEVER
