"""One simulated call: the real driver, realtime and Chatterbox ports, playout and wire, with a simulated world in the sockets' place."""

import json
from collections import Counter, deque
from collections.abc import Callable, Iterator
from typing import Any, cast

import anyio
import attrs

from adapters.chatterbox.port import Chatterbox
from adapters.chatterbox.servers import Server
from adapters.proof.sim.app import App, Caller
from adapters.proof.sim.clock import Clock, Stuck, run_virtually
from adapters.proof.sim.device import SimulatedLine
from adapters.proof.sim.draw import is_calm
from adapters.proof.sim.link import Network
from adapters.proof.sim.model import misfortunes
from adapters.proof.sim.plan import Item, Plan
from adapters.proof.sim.rules import Rules, TimeStands
from adapters.proof.sim.voice import Voice
from adapters.proof.sim.world import World
from adapters.realtime.port import RealtimeLLM
from adapters.realtime.settings import RealtimeSettings
from adapters.seam.driver import Driver
from adapters.seam.playout import Playout
from adapters.telling.trace import answer_to_json, event_from_json, event_to_json
from adapters.text.sentences import SentenceCutter
from fsm.call.effects import Reason, TellEnded
from fsm.call.events import Event, Heard, PlayoutStopped, TakenUp
from fsm.call.machine import CALL
from fsm.call.snapshot import Call, start
from fsm.call.states import CLOSED, CLOSING
from fsm.engine.machine import Machine, Step
from fsm.engine.notation import Row

REALTIME_URL, CHATTERBOX_URL = "ws://127.0.0.1:1/v1/realtime", "http://127.0.0.1:1"
"""Addresses at which nothing is: the network and the voice are simulated."""
SETTINGS = RealtimeSettings()
PEACEFUL = (Reason.CALLER_HUNG_UP, Reason.GOODBYE, Reason.APPLICATION, Reason.IDLE, Reason.LIMIT)
"""Why a call may end in which nothing goes wrong."""
MOST_KEPT = 300
"""More than any collection of an adapter may hold at the end of a call: the largest bound that one declares is 256."""


@attrs.frozen(kw_only=True)
class Parts:
    """What a call is made of, where a test puts something else."""

    machine: Machine[Call] = CALL
    playout: Callable[[], Playout] = Playout


@attrs.frozen
class Simulated:
    """What came of a call. `fault` is the first rule that it broke, in words, or empty; the steps end with it."""

    plan: Plan
    fault: str
    steps: tuple[tuple[Event, Step[Call]], ...]
    reason: str
    ended_ms: float
    strikes: Counter[str]
    rows: frozenset[Row]


def simulate(plan: Plan, parts: Parts | None = None) -> Simulated:
    """Hold one call, and judge it."""
    held = _Held(plan, parts or Parts())
    try:
        run_virtually(held.hold)
    except (Stuck, TimeStands) as error:
        held.break_rule(str(error) or "time stands still")
    except BaseExceptionGroup as group:
        if group.split((Stuck, TimeStands, Exception))[1] is not None:
            raise
        held.break_rule(f"a part raised {group.exceptions[0]!r} (R59, R87)")
    # Whatever a part raises is what a simulated call looks for.
    except Exception as error:
        held.break_rule(f"a part raised {type(error).__name__}: {error} (R59, R87)")
    return held.result()


class _Held:
    """A call that is being held, and what is known of it however it ends."""

    def __init__(self, plan: Plan, parts: Parts) -> None:
        self._plan, self._parts = plan, parts
        self._policy = plan.policy
        self._call = start(self._policy)
        self._scope: anyio.CancelScope | None = None
        self._rules = Rules(self._call, self._stop)
        self._world: World | None = None
        self._told: list[TellEnded] = []
        self._ended_ms = 0.0
        self._driver: Driver | None = None
        self._line: SimulatedLine | None = None
        self._death: Item | None = None
        self._gone = ""

    async def hold(self, clock: Clock) -> None:
        """Hold the call to its end, or to the first broken rule."""
        policy = self._policy
        self._world = world = World(self._plan, clock)
        world.stop, world.sent = self._stop, self._rules.send
        network, voice = Network(world), Voice(world)
        misfortunes(world, network.live)
        Caller(world, network.live, self._hang_up, local=policy.turns == "local")
        world.acts["die_process"] = self._die
        judge = _Judge(self._rules, self._parts.machine)
        call, first = self._call, None
        while True:
            ports = self._ports(world, network, voice)
            self._death = None
            with anyio.CancelScope() as self._scope:
                self._driver = Driver(call, ports, [judge], machine=cast(Machine[Call], judge), first=first)
                world.post = self._driver.post
                if first is None:
                    world.happened("start")
                await self._driver.run()
            if self._death is None or self._rules.fault or world.bug is not None:
                break
            await anyio.sleep(float(self._death.value) / 1000)
            call, first = self._by_record(world.now_ms())
        self._ended_ms = world.now_ms()
        if world.bug is not None:
            raise world.bug
        bound_ms = policy.call_ms + policy.closing_ms + sum(float(item.value) for item in self._plan.items if item.what == "jump")
        self._rules.judge_end(len(self._told), self._ended_ms, bound_ms)
        if is_calm(self._plan):
            self._rules.rule(self._told[0].reason in PEACEFUL, "a call in which nothing goes wrong ends in peace (R41)")
        self._rules.rule(all(socket.closed for socket in network.sockets), "every socket is closed at the end (R50)")
        for part in (*[port for port in ports if isinstance(port, RealtimeLLM | Chatterbox)], ports[0].playout):
            for name, size in _sizes(part, type(part).__name__, 2):
                self._rules.rule(size <= MOST_KEPT, f"what an adapter remembers is bounded, but {name} holds {size} (R07)")

    def _ports(self, world: World, network: Network, voice: Voice) -> list[Any]:
        """The ports of a process that holds the call; what the caller has heard, and who was told of the end, is the world's to know."""
        policy, before = self._policy, self._line
        line = self._line = SimulatedLine(world, self._parts.playout(), self._rules.hear)
        if before is None:
            self._rules.heard_ms, self._rules.received_ms = line.heard_ms, line.received_ms
        else:
            line.heard_ms, line.received_ms = before.heard_ms, before.received_ms
        if self._gone:
            line.hung_up(self._gone)
        llm = RealtimeLLM(
            url=REALTIME_URL, key=None, settings=SETTINGS, policy=policy, speaker=line, cutter=SentenceCutter, connect=network.connect
        )
        ports: list[Any] = [line, llm, App(world, self._told)]
        if policy.voice == "chatterbox":
            server = Server(url=CHATTERBOX_URL, dialect=voice.dialect)
            ports.append(Chatterbox(url=server, speaker=line, timeout_s=policy.synthesis_ms / 1000, client=voice.client))
        return ports

    def _hang_up(self, words: str) -> None:
        self._gone = words
        if self._line is not None:
            self._line.hung_up(words)

    def _die(self, item: Item) -> None:
        """The process is killed: nothing of it does or tells anything any more."""
        driver = self._driver
        if driver is None or self._death is not None or driver.call.phase.state in (CLOSING, CLOSED):
            return
        self._death = item
        driver.call = attrs.evolve(driver.call, phase=attrs.evolve(driver.call.phase, state=CLOSED))
        self._stop()

    def _by_record(self, at_ms: float) -> tuple[Call, TakenUp]:
        """What another process makes of the record: the call as it was, and that it is taken up."""
        lines = [json.dumps(event_to_json(event) | answer_to_json(answer)) for event, answer in self._rules.steps]
        call = self._call
        for line in lines:
            call = self._parts.machine.step(call, event_from_json(json.loads(line))).snapshot
        assert self._line is not None
        heard, received = self._line.heard_ms, self._line.received_ms
        told = []
        for response_id in dict.fromkeys(filter(None, (call.playout.id, call.playout.next_id, *call.truncation.awaited))):
            items = tuple(Heard(item, 0, float(heard[item]), float(ms)) for item, ms in received.get(response_id, {}).items())
            told.append(PlayoutStopped(at_ms, response_id, sum(i.played_ms for i in items), sum(i.received_ms for i in items), items))
        return call, TakenUp(at_ms, tuple(told))

    def break_rule(self, rule: str) -> None:
        """The call is over already, and what ended it was no rule of its own."""
        self._scope = None
        self._rules.break_rule(rule)

    def result(self) -> Simulated:
        """The call as it was."""
        rules = self._rules
        steps = tuple(rules.steps[: rules.at] if rules.fault else rules.steps)
        told = self._told
        strikes = self._world.strikes if self._world else Counter[str]()
        reason = told[0].reason.value if told else "none"
        return Simulated(self._plan, rules.fault, steps, reason, self._ended_ms, strikes, frozenset(rules.rows))

    def _stop(self) -> None:
        if self._scope is not None:
            self._scope.cancel()


class _Judge:
    """The rules as a watch, and the driver's machine: what they raise stops the call, where any other watch is only dropped."""

    def __init__(self, rules: Rules, machine: Machine[Call]) -> None:
        self._rules, self._machine = rules, machine
        self.due_ms, self.expiry = machine.due_ms, machine.expiry
        self._raised: BaseException | None = None

    def __call__(self, event: Event, answer: Step[Call]) -> None:
        try:
            self._rules(event, answer)
        # The driver drops a watch that fails: whatever it was comes out of the next step.
        except BaseException as error:
            self._raised = error

    def step(self, call: Call, event: Event) -> Step[Call]:
        if self._raised is not None:
            raise self._raised
        return self._machine.step(call, event)


def _sizes(part: object, name: str, depth: int) -> Iterator[tuple[str, int]]:
    """How much each collection holds that a part of an adapter keeps, and the parts that it is made of."""
    for field, value in _fields_of(part):
        if isinstance(value, list | dict | set | deque):
            yield f"{name}.{field}", len(value)
        elif (
            depth
            and type(value).__module__.startswith("adapters.")
            and not type(value).__module__.startswith("adapters.proof.sim.campaign")
        ):
            yield from _sizes(value, f"{name}.{field}", depth - 1)


def _fields_of(part: object) -> list[tuple[str, object]]:
    names = [*getattr(part, "__dict__", ()), *getattr(type(part), "__slots__", ())]
    return [(name, getattr(part, name)) for name in names if hasattr(part, name)]
