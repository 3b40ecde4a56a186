"""The proof asked about one mutant: steps of the checker's plans that a changed row or function answers, and what follows from them.

The sound tables are explored once, as far as a `Look` says, to know by which rows each step is answered. A mutant is then judged by the
rules of `callfsm verify` where it may go another way: in those steps, in the states that they lead to, and as deadlines pass.
"""

from collections.abc import Iterable, Iterator
from functools import cache
from itertools import islice
from types import CodeType, FunctionType
from typing import Any, NamedTuple, TypeVar

import attrs

from adapters.proof.laws import Rule
from adapters.proof.verify.alphabet import Happening
from adapters.proof.verify.checker import ROUNDS, rest_ms
from adapters.proof.verify.model import Model, Node
from adapters.proof.verify.plans import Plan, plans
from adapters.proof.world import World
from fsm import CALL, Call, events as ev
from fsm.engine.explore import Move, explore
from fsm.engine.machine import Machine
from fsm.engine.notation import NEVER, Row, State

from .bodies import BodyMutant
from .breaking import Mutant, beginning_without


class Look(NamedTuple):
    """How far is looked."""

    most: int | None = None
    """How many of the nearest states of each plan are explored on the sound tables; None: as many as `callfsm verify` does."""
    alike: int = 8
    """How many steps that are answered by the very same rows, with as many responses to be heard, are kept: the nearest."""
    tried: int = 500
    """In how many steps of a plan a mutant is tried."""
    behind: int = 15
    """Behind how many states to which a mutant alone leads it is followed."""
    beyond: int = 60
    """How many states behind each are explored."""


NEAR = Look(500, 2, 100, 5, 30)
"""About a second a plan: it tells most."""
FAR = Look()
"""As far as `callfsm verify`: for what nobody has told."""

T = TypeVar("T")
Key = Row | tuple[str, State, type]
"""What a mutant is told by: a row that answers, or a region, its state and the event that it is asked about."""


class Taken(NamedTuple):
    """A step of the sound tables: in which node, on what, and the node that it leads to."""

    node: Node
    on: Happening
    target: Node


class Sound(Model):
    """The model of the sound tables, which notes its steps by the rows that answered."""

    def __init__(self, plan: Plan, alike: int) -> None:
        self.most_alike = alike
        self.kept: dict[tuple[type, tuple[Row, ...], int], list[Taken]] = {}
        super().__init__(CALL, plan)

    def after(self, node: Node, call: Call, world: World, happening: Happening) -> Move[Node] | None:
        """What comes of it, as ever."""
        move = super().after(node, call, world, happening)
        heard = sum(answer.audible for answer in world.answers)
        alike = self.kept.setdefault((type(happening.event), self.answered, heard), [])
        if len(alike) < self.most_alike:
            alike.append(Taken(node, happening, node if move is None else move.target))
        return move


@attrs.frozen(eq=False)
class Explored:
    """A plan of the sound tables: its model, and the steps by what is asked and answers in them."""

    plan: Plan
    look: Look
    model: Model
    nodes: list[Node]
    by: dict[Key, list[Taken]]
    broken: frozenset[str]
    """Rules that the sound tables break themselves in the plan, and so can tell nothing: `callfsm verify` shows how."""

    def steps(self, keys: Iterable[Key]) -> list[Taken]:
        """The steps in which any of the keys is met, as many as are tried, from near and far."""
        return _spread(list(dict.fromkeys(taken for key in keys for taken in self.by.get(key, ()))), self.look.tried)


def proof_of(mutant: Mutant, machine: Machine[Call], chosen: tuple[Plan, ...] = (), look: Look = NEAR) -> str:
    """The first rule that the mutant breaks, and in which plan; empty if none is found broken. No `chosen` are all of `callfsm verify`."""
    told = (broken_by(mutant, machine, explored(plan, look)) for plan in chosen or tuple(plans()))
    return next(filter(None, told), "")


def proof_of_body(mutant: BodyMutant, chosen: tuple[Plan, ...] = (), look: Look = NEAR) -> str:
    """The first rule that is broken while the function is the mutant, and in which plan; empty if none is found broken."""
    told = (broken_by_body(mutant, explored(plan, look)) for plan in chosen or tuple(plans()))
    return next(filter(None, told), "")


def broken_by(mutant: Mutant, machine: Machine[Call], of: Explored) -> str:
    """The first rule that the mutant breaks in one plan."""
    with beginning_without(mutant.endless):
        broken = of.model.on(machine)
        if mutant.endless is not None:
            begun = Model(machine, of.plan)
            if rule := _first(of, explore(begun.start, begun.moves, begun.faults, most=of.look.beyond).faults):
                return rule
        return _told(of, broken, of.steps(mutant.pairs if mutant.by_meeting else mutant.rows))


def broken_by_body(mutant: BodyMutant, of: Explored) -> str:
    """The first rule that is broken in one plan while the function is the mutant."""
    keys = _keys(mutant.function)
    with mutant.in_place():
        if not keys:
            return _first_said(of, (rule for node in of.nodes for rule in of.model.faults(node)))
        return _told(of, of.model.on(CALL), of.steps(keys))


def _told(of: Explored, broken: Model, steps: Iterable[Taken]) -> str:
    return _first_said(of, _faults(broken, steps, of.look))


def _first_said(of: Explored, rules: Iterable[str]) -> str:
    fresh = (rule for rule in rules if rule not in of.broken)
    return next((f"{rule} ({of.plan})" for rule in fresh), "")


def _first(of: Explored, faults: Iterable[Any]) -> str:
    return next((f"{fault.rule} ({of.plan})" for fault in faults if fault.rule not in of.broken), "")


@cache
def _keys(function: FunctionType) -> tuple[Key, ...]:
    """What is asked where the function is, and the rows whose acts or deadline it is part of."""
    keys: dict[Key, None] = {}
    for table in CALL.regions:
        for row in table.rows:
            if _calls(row.guard, function):
                keys |= dict.fromkeys((row.region, row.state, kind) for kind in CALL.alphabet if issubclass(kind, row.on))
            if any(_calls(part, function) for part in _parts(row)):
                keys[row] = None
    return tuple(keys)


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


@cache
def explored(plan: Plan, look: Look = NEAR) -> Explored:
    """The plan explored on the sound tables; remembered."""
    model, most = Sound(plan, look.alike), look.most or plan.most
    space = model.explored(most)
    broken = {fault.rule for fault in space.faults}
    if any(_restless(model, node) for node in space.nodes[:most:20]):
        broken.add(Rule.LIVELOCK)
    by: dict[Key, list[Taken]] = {}
    for (kind, rows, _), alike in model.kept.items():
        for key in _met(kind, rows):
            by.setdefault(key, []).extend(alike)
    return Explored(plan, look, model, space.nodes[:most:10], by, frozenset(broken))


def _met(kind: type, rows: tuple[Row, ...]) -> set[Key]:
    """The rows that answered a step, and what each region was asked in which state: first the event, then the signals in their order."""
    raised = {signal for row in rows for signal in row.then.signals}
    kinds = (kind, *(signal for signal in CALL.signals if signal in raised))
    width = len(CALL.regions)
    return {*rows, *((row.region, row.state, kinds[place // width]) for place, row in enumerate(rows))}


def _faults(broken: Model, steps: Iterable[Taken], look: Look) -> Iterator[str]:
    """The rules that the broken model breaks in these steps, and then behind the nodes to which it alone leads."""
    new: dict[Node, None] = {}
    for node, on, target in steps:
        move = broken.after(node, broken.canon.call(node.numbers), broken.canon.world(node.numbers), on)
        if move is not None and move.faults:
            yield from move.faults
        elif (reached := node if move is None else move.target) != target:
            new[reached] = None
    for node in new:
        yield from broken.faults(node)
    for node in _spread(list(new), look.behind):
        yield from _at_rest(broken, node)
        space = explore(node, broken.moves, broken.faults, most=look.beyond)
        yield from (fault.rule for fault in space.faults)
        if _restless(broken, node):
            yield Rule.LIVELOCK


def _spread(things: list[T], most: int) -> list[T]:
    """At most so many of the things, the first ones and then from all over."""
    stride = -(-len(things) // most) if things else 1
    return list(islice(things[::stride], most))


def _at_rest(model: Model, node: Node) -> Iterator[str]:
    """The rules that are broken as nothing happens any more but deadlines, the nearest table's first, until none runs or all was seen."""
    seen = set()
    while node not in seen and len(seen) < ROUNDS:
        seen.add(node)
        due = [move for move in model.moves(node) if isinstance(move.label.event, ev.Expired)]
        if not due:
            return
        yield from due[0].faults
        node = due[0].target
        yield from model.faults(node)


def _restless(model: Model, node: Node) -> bool:
    return rest_ms(model.machine, model.canon.call(node.numbers), model.plan.still) == NEVER
