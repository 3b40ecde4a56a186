"""What can happen in a call and its world: the moves and faults that the explorer asks for, made with the real `step`."""

from collections.abc import Callable, Iterable, Iterator
from copy import copy
from functools import partial
from random import Random
from typing import NamedTuple, Self

from adapters.proof.deadlines import untimely
from adapters.proof.events import happened
from adapters.proof.judges import Judge, at_rest
from adapters.proof.laws import Rule
from adapters.proof.meanings import untrue
from adapters.proof.verify.alphabet import ASLEEP, DUE, NOW, SOUND_MS, Happening, happenings, new_turn, sentence
from adapters.proof.verify.canon import Canon, Names
from adapters.proof.verify.plans import Plan
from adapters.proof.verify.reads import unread_in
from adapters.proof.world import World, begin
from fsm.call import events as ev, states
from fsm.call.snapshot import Call, start
from fsm.engine.explore import Move, Space, explore, wander
from fsm.engine.machine import Machine, Step
from fsm.engine.notation import NEVER, Row, State

BEGUN = (ev.LineOpened, ev.SessionOpened, ev.SessionConfirmed, ev.VadCalibrated)
"""What happens first, but where the opening itself is walked."""
PATIENT = ("limit", "idle")
"""Deadlines that are no answer to a caller who waits; and so is the age of a session that stands."""
SETTLED = (states.READY, states.AGED)
LENGTH = 4
"""How many steps a random walk goes before another begins: of 1 to 25 tried, with 2 to 4 most was met; with 12, a quarter less."""
FOLLOWED = 0.05
"""How many of the steps that end a call are followed at random: little can happen behind an end."""


Waits = tuple[tuple[int, float, int], ...]
"""Each deadline that runs: the place of its region, how long it is in all, and the places, a bit each, of those that pass before it."""


class Node(NamedTuple):
    """A state: a number for each region's record and one for the world, the deadlines that run, and how many faults have happened."""

    numbers: tuple[int, ...]
    waits: Waits
    spent: int


class Model:
    """What can happen in a machine's calls, as a plan says."""

    def __init__(self, machine: Machine[Call], plan: Plan) -> None:
        self.machine, self.plan = machine, plan
        self.steps = 0
        self.kinds: set[type] = set()
        self.rows: set[tuple[Row, ...]] = set()
        self.answered: tuple[Row, ...] = ()
        """The rows that answered the last step."""
        self.memory = "memory" in plan.parts
        self.begun = tuple(_beginning(plan))
        call, world = start(plan.policy), begin(plan.policy)
        for event in self.begun:
            answer = machine.step(call, event)
            by_itself = isinstance(event, ev.ResponseCreated) and world.asked is None
            world = Judge(world, plan.policy, event, answer.effects, answer.signals, by_itself=by_itself, memory=self.memory).world
            call = answer.snapshot
        self.canon = Canon(machine, call, plan.still, unread_in(machine))
        self._walked = [(place, name) for place, name in enumerate(self.canon.names) if name not in plan.still]
        durations = [(place, getattr(call, name).due_ms) for place, name in self._walked if getattr(call, name).due_ms != NEVER]
        self.start = Node(self.canon.settle(call, world)[0], _begun_together((), dict(durations)), 0)
        self._expiries = [
            (place, region.name, region.expired(DUE, 0), region.expired(DUE, -1), region.expired(NOW, 0))
            for place, region in enumerate(machine.regions)
            if region.name not in plan.still
        ]
        self._session = self.canon.names.index("session")
        self._aging = "outage" in plan.parts
        self._early: set[int] = set()
        self._least: dict[tuple[tuple[int, ...], Waits], int] = {}

    def explored(self, most: int | None = None, watch: Callable[[Space[Node], int], None] | None = None) -> Space[Node]:
        """What can be reached, as the plan says: the `most` nearest states, or those that some random steps meet."""
        if self.plan.steps:
            rng = Random(str(self.plan))
            draw = partial(self.draw, rng)
            return wander(self.start, draw, self.faults, self._states, steps=self.plan.steps, length=LENGTH, chance=rng.random)
        return explore(self.start, self.moves, self.faults, most=most or self.plan.most, watch=watch)

    def on(self, machine: Machine[Call]) -> Self:
        """The same states, with the steps of another machine."""
        other = copy(self)
        other.machine, other._early, other._least = machine, set(), {}
        return other

    def moves(self, node: Node) -> Iterator[Move[Node]]:
        """Everything that can happen in a node and changes something."""
        call, world = self.canon.call(node.numbers), self.canon.world(node.numbers)
        for happening in self.possible(node, call, world):
            if move := self.after(node, call, world, happening):
                yield move

    def breaks(self, way: Iterable[Happening], rule: str) -> bool:
        """Can all of it happen, one after the other, and is the rule broken on the way?"""
        node = self.start
        for happening in way:
            call, world = self.canon.call(node.numbers), self.canon.world(node.numbers)
            if happening not in self.possible(node, call, world):
                return False
            move = self.after(node, call, world, happening)
            if move is not None:
                node = move.target
                if rule in move.faults or (not move.faults and rule in self.faults(node)):
                    return True
        return False

    def draw(self, rng: Random, node: Node) -> Move[Node] | None:
        """One thing that can happen in a node, each kind of event as likely as another; None if nothing comes of it.

        Few of the steps that end a call are followed.
        """
        call, world = self.canon.call(node.numbers), self.canon.world(node.numbers)
        by: dict[type, list[Happening]] = {}
        for happening in self.possible(node, call, world):
            by.setdefault(type(happening.event), []).append(happening)
        if not by:
            return None
        move = self.after(node, call, world, rng.choice(by[rng.choice(list(by))]))
        if move is None or move.faults or not self.canon.world(move.target.numbers).told or rng.random() < FOLLOWED:
            return move
        return None

    def possible(self, node: Node, call: Call, world: World) -> Iterator[Happening]:
        """Everything that can happen in a node."""
        left = self.plan.faults - node.spent
        there = {answer.id for answer in world.answers}
        known = tuple(sorted(name for name in self.canon.known(node.numbers) if name[0] == "r" and name not in there))
        yield from (happening for happening in happenings(world, self.plan, known) if happening.fault <= left)
        yield from self.expiries(node, call)

    def expiries(self, node: Node, call: Call) -> Iterator[Happening]:
        """The deadlines that may pass."""
        first = {place: before for place, _, before in node.waits}
        for place, name, due, stale, early in self._expiries:
            record = getattr(call, name)
            if record.due_ms != NEVER and (place != self._session or self._aging or record.state not in SETTLED):
                if not first.get(place):
                    yield Happening(due)
                    if name == "limit":
                        yield Happening(type(due)(ASLEEP, 0))
                if node.numbers[place] not in self._early:
                    self._early.add(node.numbers[place])
                    yield Happening(stale)
                    yield Happening(early)

    def faults(self, node: Node) -> list[str]:
        """The rules that a node breaks by itself."""
        world = self.canon.world(node.numbers)
        call = self.canon.call(node.numbers)
        policy = call.policy
        if call.phase.state in (states.CLOSING, states.CLOSED):
            over = all(getattr(call, name).state is states.OVER for name in self.canon.names if name != "phase")
            closed = call.phase.state is states.CLOSED or (call.phase.due_ms != NEVER and not world.closed)
            return [] if over and world.told and closed else [Rule.CLOSES]
        found: list[str] = []
        bounded = (
            max(len(call.response.ended), len(call.response.unwanted), len(call.truncation.cut), len(call.tool.told))
            <= policy.remembered_ids
            and max(len(call.synthesis.queue), len(call.truncation.items)) <= policy.queued_sentences
            and len(call.tool.pending) + len(call.tool.waiting) <= policy.tools_at_once
            and len(call.truncation.awaited) <= 3
            and len(call.pending.owed) <= 6 + policy.queued_notices
        )
        if not bounded:
            found.append(Rule.BOUNDED)
        found += [f"{Rule.MEANING}: {what}" for what in untrue(call, world, self.plan.still)]
        waits = any(
            record.due_ms != NEVER
            for name in self.canon.names
            if name not in PATIENT and ((record := getattr(call, name)).state not in SETTLED)
        )
        if not waits:
            found += at_rest(world, memory=self.memory)
        return found

    def _states(self, node: Node) -> tuple[State, ...]:
        """What nodes are like: the states of all regions. By these a third more is met than by the rows that led to a node."""
        return tuple([self.canon.things[number].state for number in node.numbers[: len(self.canon.names)]])

    def follow(self, node: Node, happening: Happening) -> tuple[Node, Names]:
        """The node that a happening leads to, and how the ids were renamed on the way."""
        call, world = self.canon.call(node.numbers), self.canon.world(node.numbers)
        event = happening.event
        try:
            answer = self.machine.step(call, event)
        except Exception:  # the way ends here
            return node, ()
        if isinstance(event, ev.Expired) and (event.at_ms < DUE or event.epoch != 0):
            return node, ()
        judge = self.judge(world, answer, happening, over=call.phase.state in (states.CLOSING, states.CLOSED))
        numbers, names = self.canon.settle(answer.snapshot, judge.world, node.numbers)
        return Node(numbers, self._waits(node.waits, answer.snapshot, event.at_ms), node.spent + happening.fault), names

    def after(self, node: Node, call: Call, world: World, happening: Happening) -> Move[Node] | None:
        """What comes of it in a node; None if nothing does."""
        self.steps += 1
        event = happening.event
        expires = isinstance(event, ev.Expired)
        try:
            answer = self.machine.step(call, event)
        except Exception as error:  # whatever it is, it is what is looked for
            return Move(happening, node, (f"{Rule.RAISES}: {type(error).__name__}: {error}",))
        self.answered = answer.rows
        self.rows.add(answer.rows)
        self.kinds.add(type(event))
        self.kinds.update(answer.signals)
        stale = expires and (event.at_ms < DUE or event.epoch != 0)  # type: ignore[attr-defined]
        if answer.snapshot is call and not answer.effects:
            if stale:
                return None
            if expires:
                return Move(happening, node, (Rule.EXPIRY,))
            if happened(world, event, self.plan.policy, by_itself=happening.by_itself) is world:
                return None
        elif stale:
            return Move(happening, node, (Rule.STALE,))
        judge = self.judge(world, answer, happening, over=call.phase.state in (states.CLOSING, states.CLOSED))
        faults: list[str] = list(judge.faults)
        if not judge.world.told:
            faults += [f"{Rule.LASTS}: {what}" for what in untimely(call, answer.snapshot, judge.moment, self.plan.still)]
        if expires and getattr(answer.snapshot, event.region).epoch == 0 and answer.snapshot.phase.state is not states.CLOSED:  # type: ignore[attr-defined]
            faults.append(Rule.EXPIRY)
        numbers, _ = self.canon.settle(answer.snapshot, judge.world, node.numbers)
        target = self._node(numbers, self._waits(node.waits, answer.snapshot, event.at_ms), node.spent + happening.fault)
        return None if target == node and not faults else Move(happening, target, faults)

    def _node(self, numbers: tuple[int, ...], waits: Waits, spent: int) -> Node:
        """The node, or the same with fewer faults if that is known: whatever can happen in the one can happen in the other."""
        least = self._least.get((numbers, waits))
        if least is None or spent < least:
            self._least[numbers, waits] = least = spent
        return Node(numbers, waits, least)

    def _waits(self, waits: Waits, after: Call, at_ms: float) -> Waits:
        """The deadlines that run after an event: one that begins passes after all that ran already and are no longer in all."""
        begun: dict[int, float] = {}
        ended = 0
        for place, name in self._walked:
            record = getattr(after, name)
            if record.epoch:
                ended |= 1 << place
                if record.due_ms != NEVER and (place != self._session or self._aging or record.state not in SETTLED):
                    begun[place] = record.due_ms - at_ms
        if not ended:
            return waits
        left = tuple([(place, lasts, before & ~ended) for place, lasts, before in waits if not ended >> place & 1])
        return _begun_together(left, begun)

    def judge(self, world: World, answer: Step[Call], happening: Happening, *, over: bool) -> Judge:
        """The step judged."""
        return Judge(
            world,
            self.plan.policy,
            happening.event,
            answer.effects,
            answer.signals,
            over=over,
            by_itself=happening.by_itself,
            memory=self.memory,
        )


def _beginning(plan: Plan) -> Iterator[ev.Event]:
    """What has happened before: nothing, the opening, or an answer has begun to be heard."""
    if "opening" in plan.parts:
        return
    yield from (kind(0.0) for kind in BEGUN)
    if "answering" in plan.parts:
        yield ev.TurnCommitted(0.0, new_turn(World(), plan))
        yield ev.ResponseCreated(0.0, "r1")
        if plan.policy.voice == "realtime":
            yield ev.AudioArrived(0.0, "r1", "r1.a")
            yield ev.PlayoutProgressed(0.0, "r1", 20.0)
        else:
            yield sentence("r1", 1)
            yield ev.SentenceSynthesised(0.0, "call.r1.1", SOUND_MS)
            yield ev.AudioArrived(0.0, "r1")
            yield ev.SentenceStarted(0.0, "call.r1.1", 0.0)


def _begun_together(left: Waits, begun: dict[int, float]) -> Waits:
    made = list(left)
    for place, lasts in begun.items():
        before = sum([1 << other for other, whole, _ in left if whole <= lasts])
        before |= sum([1 << other for other, whole in begun.items() if whole < lasts])
        made.append((place, lasts, before))
    return tuple(sorted(made))
