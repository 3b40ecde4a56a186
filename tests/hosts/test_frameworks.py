"""The guard of a call inside a framework, with no framework: a real stand-in over loopback, and whoever plays and speaks is in here."""

import asyncio
import base64
import importlib
import json
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from importlib.util import find_spec
from itertools import accumulate
from pathlib import Path
from typing import Any

import attrs
import pytest

from adapters.hosts.frameworks.guard import Guard
from adapters.hosts.frameworks.words import Words, cut_to_heard
from adapters.realtime.messages import Told
from adapters.realtime.settings import RealtimeSettings
from adapters.seam.frames import Part, Run
from adapters.seam.ports import FRAME_BYTES, FRAME_MS, PCM
from adapters.telling.picture.timeline import read_stereo
from adapters.telling.trace import read_trace
from fsm.call import effects as fx, events as ev
from fsm.call.policy import Policy
from fsm.call.snapshot import Call
from fsm.engine.machine import Step
from tests.matrix import SETTINGS, SILENT, VOICED, Servers, servers
from tests.shared.shell import PATIENCE_S, python

POLICY = Policy(voice="realtime", greeting=False, calibration_ms=0, echo_window_ms=0)
FRAMEWORKS = {"openai_agents": ("agents", "openai-agents"), "pipecat": ("pipecat", "pipecat"), "livekit": ("livekit", "livekit")}
"""The modules, what each imports first, and its extra."""


@pytest.fixture(scope="module")
def world() -> Iterator[Servers]:
    with servers() as found:
        yield found


class Player:
    """A framework in small: it plays what it is given, in real time, and can tell what was played."""

    def __init__(self) -> None:
        self.heard = b""
        self.handed = self.hushes = 0
        self.steps: list[tuple[ev.Event, tuple[fx.Effect, ...]]] = []
        self.told: list[fx.TellEnded] = []
        self.messages: list[Any] = []
        self._handed_s: list[float] = []
        self._queue: list[tuple[Part, bytes]] = []
        self._place: tuple[Part, float] | None = None
        self._news = asyncio.Event()

    def sound(self, run: Run) -> None:
        self._queue.append((run.part, bytes(run.pcm)))
        self.handed += len(run.pcm)
        self._handed_s.append(time.monotonic())

    def hush(self) -> None:
        self.hushes += 1
        self._queue.clear()
        self._place = None

    def happened(self, event: ev.Event, answer: Step[Call]) -> None:
        self.steps.append((event, answer.effects))
        self._news.set()

    def overheard(self, told: Told) -> None:
        self.messages.append(told.message)
        self._news.set()

    def ended(self, ended: fx.TellEnded) -> None:
        self.told.append(ended)
        self._news.set()

    def position(self) -> tuple[Part, float] | None:
        return self._place

    async def play(self) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            left = FRAME_BYTES
            while left and self._queue:
                part, sound = self._queue.pop(0)
                if sound[left:]:
                    self._queue.insert(0, (part, sound[left:]))
                sound = sound[:left]
                left -= len(sound)
                self.heard += sound
                before_ms = self._place[1] if self._place and self._place[0] == part else 0.0
                self._place = (part, before_ms + PCM.ms_of(len(sound)))
                self._news.set()
            due += FRAME_MS / 1000
            await asyncio.sleep(max(0.0, due - loop.time()))

    async def until(self, done: Callable[[], object]) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while not done():
                self._news.clear()
                await self._news.wait()

    def ran_ahead(self) -> float:
        """By how many frames the sound that was handed over was, at worst, ahead of the time that had passed."""
        behind = [number - at_s / (FRAME_MS / 1000) for number, at_s in enumerate(self._handed_s)]
        return max(later - least for later, least in zip(behind, accumulate(behind, min), strict=True))

    def effects(self, kind: type[fx.Effect]) -> list[Any]:
        return [effect for _, effects in self.steps for effect in effects if isinstance(effect, kind)]

    def events(self, kind: type[ev.Event]) -> list[Any]:
        return [event for event, _ in self.steps if isinstance(event, kind)]

    def sent(self) -> bytes:
        """The server's sound so far, in order."""
        deltas = [one["delta"] for one in self.messages if one["type"] == "response.output_audio.delta"]
        return b"".join(map(base64.b64decode, deltas))


class Caller:
    """Speaks for as long as it is told to, in real time."""

    def __init__(self, guard: Guard) -> None:
        self.frames = 0
        self._guard = guard

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            self._guard.hear(VOICED if self.frames > 0 else SILENT)
            self.frames -= 1
            due += FRAME_MS / 1000
            await asyncio.sleep(max(0.0, due - loop.time()))


@asynccontextmanager
async def called(url: str, policy: Policy = POLICY, *, told: bool = False, **parts: Any) -> AsyncIterator[tuple[Guard, Player, Caller]]:
    """A call in which the block does what the caller and the framework do; then the caller goes. `told`: is its player's position?"""
    player = Player()
    ahead = {"position": player.position, "ahead_ms": 100} if told else {}
    guard = Guard(player, url=url, key=None, settings=SETTINGS, policy=policy, **ahead, **parts)
    caller = Caller(guard)
    tasks = [asyncio.create_task(one) for one in (guard.hold(), player.play(), caller.run())]
    await player.until(lambda: player.events(ev.SessionConfirmed))
    yield guard, player, caller
    guard.leave("went out")
    await asyncio.wait_for(tasks[0], PATIENCE_S)
    for task in tasks[1:]:
        task.cancel()


async def asks(player: Player, caller: Caller) -> None:
    """The caller asks, and hears 300 ms of the answer."""
    caller.frames = 15
    await player.until(lambda: PCM.ms_of(len(player.heard)) >= 300)


def received(log: Path, kind: str) -> list[Any]:
    """What the server received of a kind."""
    events = [json.loads(line).get("event") for line in log.read_text(encoding="utf-8").splitlines()]
    return [event for event in events if isinstance(event, dict) and event["type"] == kind]


@pytest.mark.parametrize("told", [False, True], ids=["by the clock", "by a position"])
async def test_an_interrupted_answer_is_hushed_cancelled_once_and_remembered_as_heard(world: Servers, tmp_path: Path, told: bool) -> None:
    url, log = world.begin("realtime")
    async with called(url, told=told, out=tmp_path / "call") as (_, player, caller):
        await asks(player, caller)
        caller.frames = 30
        await player.until(lambda: player.effects(fx.Flush))
        # By the clock, what was handed over is what is heard, however late a busy player is.
        heard, handed = len(player.heard) if told else player.handed, player.handed
        await player.until(lambda: len(player.events(ev.ResponseCreated)) > 1)
        assert player.handed == handed, "old sound after the flush"
        await player.until(lambda: player.handed > handed)
    assert len(received(log, "response.cancel")) == 1
    [truncation] = received(log, "conversation.item.truncate")
    assert abs(truncation["audio_end_ms"] - PCM.ms_of(heard)) <= FRAME_MS
    if not told:
        assert player.ran_ahead() < 2, "nothing may run ahead of what is heard"
    assert [one.reason for one in player.told] == [fx.Reason.CALLER_HUNG_UP]
    _, agent = read_stereo(tmp_path / "call" / "call.wav")
    recorded = sum(any(agent[start : start + FRAME_BYTES]) for start in range(0, len(agent), FRAME_BYTES)) * FRAME_MS
    assert abs(recorded - PCM.ms_of(len(player.heard) if told else player.handed)) <= 140, (
        "the recording has what was heard, and what was on its way at the end"
    )
    trace = read_trace(tmp_path / "call" / "call.trace")
    assert trace.whole
    assert trace.first_difference() is None
    assert {path.name for path in (tmp_path / "call").iterdir()} >= {"call.svg", "call.trace", "call.wav", "summary.txt"}


@pytest.mark.parametrize("told", [False, True], ids=["by the clock", "by a position"])
async def test_after_a_cough_the_voice_goes_on_without_a_lost_or_a_doubled_sample(world: Servers, told: bool) -> None:
    url, log = world.begin("realtime")
    async with called(url, attrs.evolve(POLICY, interruption_min_ms=2_000), told=told) as (_, player, caller):
        await asks(player, caller)
        caller.frames = 5
        await player.until(lambda: player.effects(fx.Resume))
        then = len(player.heard)
        await player.until(lambda: PCM.ms_of(len(player.heard) - then) >= 300)
        assert player.hushes == told, "what was given ahead is dropped, and given again"
    assert player.effects(fx.Hold)
    assert player.sent().startswith(player.heard)
    assert not received(log, "response.cancel") + received(log, "conversation.item.truncate")


async def test_a_loop_that_was_busy_gives_no_burst_afterwards(world: Servers) -> None:
    async with called(world.begin("realtime")[0]) as (_, player, caller):
        await asks(player, caller)
        time.sleep(0.2)
        then = len(player.heard)
        await player.until(lambda: PCM.ms_of(len(player.heard) - then) >= 100)
    assert player.ran_ahead() < 2


async def test_what_a_framework_writes_is_answered_and_whom_it_makes_of_the_agent_is_asked_for(world: Servers) -> None:
    url, log = world.begin("realtime")
    tool = {"type": "function", "name": "look", "description": "d", "parameters": {"type": "object", "properties": {}}}
    async with called(url) as (guard, player, _):
        guard.llm.become(RealtimeSettings(instructions="You are the mechanic.", tools=(tool,)))
        guard.write("item_note", {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hello?"}]})
        await player.until(lambda: PCM.ms_of(len(player.heard)) >= 100)
        guard.interrupt()
        await player.until(lambda: player.effects(fx.Flush))
    first, second = (update["session"] for update in received(log, "session.update"))
    assert (second["instructions"], second["tools"], second["tool_choice"]) == ("You are the mechanic.", [tool], "auto")
    assert "audio" in first
    assert "audio" not in second, "the server's VAD may begin anew with each update of it"
    [written] = received(log, "conversation.item.create")
    assert written["item"]["id"] == "item_note"
    assert len(received(log, "response.create")) == 1


async def test_a_session_that_is_opened_anew_is_the_agent_of_now_and_knows_what_was_written(world: Servers) -> None:
    url, log = world.begin("realtime", '[[fault]]\nname = "close"\ncode = 1011\non = "conversation.item.added"\n')
    async with called(url) as (guard, player, _):
        guard.llm.become(RealtimeSettings(instructions="You are the mechanic."))
        guard.write("item_note", {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hello?"}]})
        await player.until(lambda: player.heard)
    updates, written = received(log, "session.update"), received(log, "conversation.item.create")
    assert [update["session"]["instructions"] for update in updates][-2:] == ["You are the mechanic."] * 2
    assert [one["item"]["id"] for one in written] == ["item_note"] * 2


def test_an_item_is_cut_to_about_the_words_that_were_heard() -> None:
    assert cut_to_heard("one two three four", ev.Heard("i", 0, 500.0, 1_000.0)) == "one two"
    assert cut_to_heard("one two three four", ev.Heard("i", 0, 1_000.0, 1_000.0)) == "one two three four"


def test_words_go_with_the_sound_that_they_are_of() -> None:
    def delta(kind: str, item_id: str, delta: str) -> Told:
        return Told({"type": f"response.output_audio{kind}.delta", "item_id": item_id, "response_id": "r", "delta": delta})

    def run(item_id: str, size: int) -> Run:
        return Run("r", (item_id, 0), "", False, bytearray(size))

    words = Words()
    assert words.overhear(delta("_transcript", "i", "one two three four")) == "one two three four"
    assert words.overhear(delta("", "i", base64.b64encode(bytes(1_200)).decode())) == ""
    assert [words.went(run("i", 300)) for _ in range(3)] == ["one", " two", " three"]
    words.overhear(delta("_transcript", "j", "five"))
    assert words.went(run("nobody's", 300)) == ""
    assert words.rest("r") == " four five"
    assert words.rest("r") == ""


def test_a_framework_speaks_with_the_models_voice() -> None:
    with pytest.raises(ValueError, match=r"policy\.voice is 'chatterbox': inside a framework it takes 'realtime'"):
        Guard(Player(), url="ws://127.0.0.1:1", key=None, settings=SETTINGS, policy=Policy())


@pytest.mark.parametrize("name", FRAMEWORKS)
def test_a_framework_that_is_not_installed_is_told_in_one_line(name: str) -> None:
    needs, extra = FRAMEWORKS[name]
    if find_spec(needs) is not None:
        assert importlib.import_module(f"adapters.hosts.frameworks.{name}")
        return
    program = f"import adapters.hosts.frameworks.{name}"
    done = python("-c", program)
    assert done.stderr.splitlines()[-1] == f"ImportError: {needs} is not installed: pip install 'callfsm[{extra}]'"
    assert "During handling" not in done.stderr
