"""The realtime wire's fuzzer: whole simulated calls whose server sends every form of every message at every moment.

    python -m adapters.proof.sim.wire 100000     # so many forms; prints what went wrong, with the seed that shows it again

A call is right when nothing raises, it is never silent for longer than its deadlines allow, and its end is told once with its reason.
"""

import json
import random
import sys
from typing import Any

import anyio
import attrs

from adapters.chatterbox.port import Chatterbox
from adapters.chatterbox.servers import Server
from adapters.proof.sim.app import App, Caller
from adapters.proof.sim.call import CHATTERBOX_URL, REALTIME_URL
from adapters.proof.sim.clock import Clock, Stuck, run_virtually
from adapters.proof.sim.device import SimulatedLine
from adapters.proof.sim.forms import Ids, bent, drawn
from adapters.proof.sim.link import Network, Socket
from adapters.proof.sim.plan import Item, Plan
from adapters.proof.sim.voice import Voice
from adapters.proof.sim.world import World
from adapters.realtime.port import RealtimeLLM
from adapters.realtime.settings import RealtimeSettings
from adapters.seam.driver import Driver
from adapters.seam.playout import Playout
from adapters.text.sentences import SentenceCutter
from fsm.call import events as ev
from fsm.call.snapshot import Call, start
from fsm.engine.machine import Step

BENDS, INSERTS = 0.25, 0.5
"""How many of the server's own messages are bent, and behind how many a drawn one comes."""
SILENCE_MS = 30_000.0
"""The longest that nobody may be heard: the idle deadline, and every recovery of an answer with all its waits."""
LASTS_MS = 60_000.0
QUICK = {
    "idle_ms": 5_000,
    "create_ack_ms": 3_000,
    "first_audio_ms": 3_000,
    "response_ms": 10_000,
    "speaking_ms": 5_000,
    "greeting_ms": 10_000,
    "tool_ms": 5_000,
    "call_ms": LASTS_MS,
}
"""Deadlines short enough for many calls; each is the policy's own."""


@attrs.define
class Fuzzed:
    """What came of a call: how many forms its server sent, why it ended, and what was wrong with it, or nothing."""

    forms: int = 0
    reason: str = ""
    fault: str = ""


def fuzz(seed: int) -> Fuzzed:
    """Hold one call, and judge it."""
    call = _Fuzz(seed)
    try:
        run_virtually(call.hold)
    except Stuck as error:
        call.found.fault = f"time stands still: {error}"
    except BaseExceptionGroup as group:
        call.found.fault = f"a part raised {group.exceptions[0]!r}"
    # Whatever a part raises is what is looked for.
    except Exception as error:
        call.found.fault = f"a part raised {type(error).__name__}: {error}"
    return call.found


class _Fuzz:
    """A call that is held with a server of many forms."""

    def __init__(self, seed: int) -> None:
        self.found = Fuzzed()
        self._dice = random.Random(seed)
        self._ids = Ids()
        voice = self._dice.choice(("realtime", "chatterbox"))
        owns = self._dice.choice((True, False))
        settings = {**QUICK, "voice": voice, "interrupts": "server" if owns else "client", "create_response": owns}
        items = [Item("speak", after_ms=at, value=self._dice.randrange(200, 1_500)) for at in range(4_000, int(LASTS_MS), 6_000)]
        self._plan = Plan(seed, tuple(settings.items()), (*items, Item("hang_up", after_ms=int(LASTS_MS) - 8_000)))
        self._world: World | None = None
        self._quiet_since_ms = 0.0

    async def hold(self, clock: Clock) -> None:
        """Hold it to its end."""
        policy = self._plan.policy
        self._world = world = World(self._plan, clock)
        network, voice, app = _Forms(world, self), Voice(world), App(world)
        device = SimulatedLine(world, Playout(), self._hear)
        Caller(world, network.live, device.hung_up, local=False)
        llm = RealtimeLLM(
            url=REALTIME_URL,
            key=None,
            settings=RealtimeSettings(),
            policy=policy,
            speaker=device,
            cutter=SentenceCutter,
            connect=network.connect,
        )
        ports: list[Any] = [device, llm, app]
        if policy.voice == "chatterbox":
            server = Server(url=CHATTERBOX_URL, dialect=voice.dialect)
            ports.append(Chatterbox(url=server, speaker=device, timeout_s=15.0, client=voice.client))
        with anyio.move_on_after((LASTS_MS + 30_000) / 1000) as patience:
            held = Driver(start(policy), ports, [self._watch])
            world.post = held.post
            world.happened("start")
            await held.run()
        if world.bug is not None:
            raise world.bug
        if patience.cancelled_caught:
            self.found.fault = "the call did not end"
        elif len(app.told) != 1:
            self.found.fault = f"its end was told {len(app.told)} times"
        self.found.reason = app.told[0].reason.value if app.told else "none"

    def bend(self, kind: str, text: str) -> list[tuple[str, str]]:
        """What is sent in the place of a message: that or another form of it, and perhaps a drawn one behind it."""
        try:
            message = json.loads(text)
        except ValueError:
            return [(kind, text)]
        self._ids.note(message)
        sent = [(kind, text)]
        if self._world is not None and self._world.now_ms() > 1_000:
            if self._dice.random() < BENDS:
                sent = [(kind, json.dumps(bent(self._dice, message, self._ids)))]
                self.found.forms += 1
            if self._dice.random() < INSERTS:
                sent.append(("drawn", json.dumps(drawn(self._dice, self._ids))))
                self.found.forms += 1
        return sent

    def _hear(self, _: int) -> None:
        self._be_heard()

    def _be_heard(self) -> None:
        assert self._world is not None
        self._quiet_since_ms = self._world.now_ms()

    def _watch(self, event: ev.Event, answer: Step[Call]) -> None:
        """Judge how long nobody was heard."""
        quiet_ms = event.at_ms - self._quiet_since_ms
        if quiet_ms > SILENCE_MS and not self.found.fault:
            self.found.fault = f"nobody was heard for {quiet_ms / 1000:.0f} s, until {type(event).__name__} at {event.at_ms:.0f} ms"
        if isinstance(event, ev.SpeechStarted | ev.SpeechStopped):
            self._be_heard()


class _Forms(Network):
    """Connections whose server sends forms."""

    def __init__(self, world: World, fuzz: _Fuzz) -> None:
        super().__init__(world)
        self._fuzz = fuzz

    def make(self, *args: Any) -> Socket:
        """A connection."""
        return _FormSocket(self._fuzz, *args)


class _FormSocket(Socket):
    def __init__(self, fuzz: _Fuzz, *args: Any) -> None:
        super().__init__(*args)
        self._fuzz = fuzz

    def _say(self, kind: str, text: str) -> None:
        for one in self._fuzz.bend(kind, text):
            super()._say(*one)


def main(arguments: list[str]) -> int:
    """Draw so many forms; exit code 1 when a call went wrong."""
    wanted = int(arguments[0]) if arguments else 10_000
    seed = int(arguments[1]) if len(arguments) > 1 else 1
    forms = calls = wrong = 0
    while forms < wanted:
        found = fuzz(seed)
        forms, calls = forms + found.forms, calls + 1
        if found.fault:
            wrong += 1
            print(f"seed {seed}: {found.fault}", flush=True)
        seed += 1
    print(f"{forms} forms in {calls} calls, {wrong} of them wrong")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
