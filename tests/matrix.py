"""The calls of the fault matrix: how each is held, what is kept of it, and what may be wrong with it; the claims are in test_fault_matrix.

`python -m tests.matrix [WORDS…]` holds every call of the matrix, or those whose name holds one of the words, and prints what it finds.
"""

import argparse
import json
import math
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import anyio
import attrs
import numpy as np

from adapters.audio.wav_device import WavDevice
from adapters.chatterbox.port import Chatterbox
from adapters.realtime.port import RealtimeLLM
from adapters.realtime.settings import RealtimeSettings
from adapters.seam.driver import Driver
from adapters.seam.ports import FRAME_MS, RATE_HZ, Port
from adapters.text.sentences import SentenceCutter
from fsm.call import effects as fx, events as ev
from fsm.call.snapshot import Call, start
from fsm.engine.machine import Step
from tests.matrix_faults import BACKENDS, DELTA, DELTAS, FAULTS, Cell, Fault, every_cell

AT_ONCE = 10
"""How many calls are held side by side."""
LIMIT_S = 20.0
"""A call that lasts longer hangs: an untroubled one takes two seconds."""
ATTEMPTS = 8
"""A call that went wrong while this machine was LATE_MS late is no evidence: it is held again, alone, until it was held so often."""
LATE_MS = 100.0
SERVERS = Path(__file__).with_name("matrix_servers.py")
SETTINGS = RealtimeSettings(vad_silence_ms=100, transcription="gpt-4o-mini-transcribe")
VOICED = (np.sin(np.arange(RATE_HZ * FRAME_MS // 1000) * (2 * np.pi * 300 / RATE_HZ)) * 9_000).astype("<i2").tobytes()
SILENT = bytes(len(VOICED))


class CallerOfTwoTurns:
    """A caller and a watch: asks, interrupts the answer, listens to what is said to that, and hangs up.

    The caller asks once the session is confirmed, speaks again when 200 ms of an answer were heard (or 150 ms after the turn was
    committed, when there is to be no answer yet), and is content when 100 ms of an answer are heard after the second turn was committed.
    """

    SPEECH_FRAMES, HEARD_FRAMES, BETWEEN_FRAMES, CONTENT_FRAMES = 20, 10, 8, 5

    def __init__(self, speaks_again: bool, commits_told: bool = True) -> None:
        """`commits_told`: is every turn's commit told, so that an answer before it is none to that turn?"""
        self.content = False
        self.turns = 0
        self.spoke: list[tuple[float, float]] = []
        """From when to when, on `anyio.current_time()`."""
        self._speaks_again = speaks_again
        self._confirmed = False
        self._commits_told = commits_told
        self._committed: set[str] = set()
        self._saying = 0
        self._since = 0

    @property
    def finished(self) -> bool:
        return self.content

    def __call__(self, event: ev.Event, answer: Step[Call]) -> None:
        self._confirmed |= isinstance(event, ev.SessionConfirmed)
        if isinstance(event, ev.TurnCommitted):
            self._committed.add(event.item_id)

    def next_frame(self, agent_audible: bool) -> bytes:
        """20 ms."""
        if self._saying:
            self._saying -= 1
            if not self._saying:
                self.spoke[-1] = (self.spoke[-1][0], anyio.current_time())
            return VOICED
        if self._is_next_due(agent_audible):
            self.turns, self._since = self.turns + 1, 0
            if self.turns > 2:
                self.content = True
            else:
                self._saying = self.SPEECH_FRAMES
                self.spoke.append((anyio.current_time(), math.inf))
        return SILENT

    def _is_next_due(self, agent_audible: bool) -> bool:
        if self.turns == 0:
            return self._confirmed
        between = self._speaks_again and self.turns == 1
        heard = len(self._committed) >= self.turns or not self._commits_told
        self._since += 1 if between or (agent_audible and heard) else 0
        return self._since >= (self.BETWEEN_FRAMES if between else self.HEARD_FRAMES if self.turns == 1 else self.CONTENT_FRAMES)


@attrs.frozen
class Happening:
    """A step of a call: when it was done, on `anyio.current_time()`, what it answered, and its effects."""

    at_s: float
    event: ev.Event
    effects: tuple[fx.Effect, ...]


@attrs.define
class Held:
    """What is kept of a call."""

    cell: Cell
    caller: CallerOfTwoTurns
    device: WavDevice
    llm: RealtimeLLM
    steps: list[Happening] = attrs.Factory(list)
    log: list[dict[str, Any]] = attrs.Factory(list)
    """What the server noted that the fault befalls."""
    realtime_log: list[dict[str, Any]] = attrs.Factory(list)
    lasted_s: float = 0.0
    hung: bool = False
    late_ms: float = 0.0
    """How late this machine woke up whom, at worst, while it was held."""

    def __call__(self, event: ev.Event, answer: Step[Call]) -> None:
        """Look on."""
        self.steps.append(Happening(anyio.current_time(), event, answer.effects))

    @property
    def fault(self) -> Fault:
        """What befell it."""
        return FAULTS[self.cell.fault]

    @property
    def ends(self) -> list[fx.TellEnded]:
        """What the application was told of its end."""
        return [effect for step in self.steps for effect in step.effects if isinstance(effect, fx.TellEnded)]

    @property
    def provoked(self) -> list[str]:
        """The codes of the errors that the script did not ask for."""
        errors = (ev.ErrorReceived, ev.CreateRefused, ev.CancelRefused)
        codes = [str(step.event.code) for step in self.steps if isinstance(step.event, errors) and not self._crossed(step.event)]
        races = ("response_cancel_not_active", "conversation_already_has_active_response") if self.fault.races else ()
        return [code for code in codes if code not in self.fault.codes and code not in races]

    def _crossed(self, refused: ev.Event) -> bool:
        """Is it a cancel that left before the end of its response had come?"""
        if not isinstance(refused, ev.CancelRefused):
            return False
        name, steps = refused.response_id, list(enumerate(self.steps))
        sent = [number for number, step in steps if fx.CancelResponse(name) in step.effects]
        ended = [number for number, step in steps if isinstance(step.event, ev.ResponseEnded) and step.event.response_id == name]
        return bool(sent) and sent[:1] < ended[:1]

    @property
    def struck(self) -> bool:
        """Did the fault strike?"""
        return not self.fault.script or any("fault" in (line, line.get("event")) or "fault" in line for line in self.log)

    @property
    def old_audio_ms(self) -> list[float]:
        """For each turn of the caller: how much was heard, after its first sound arrived, of answers that began before it ended."""
        found: list[float] = []
        created: list[str] = []
        began_s: float | None = None
        for step in self.steps:
            if isinstance(step.event, ev.ResponseCreated):
                created.append(step.event.response_id)
            elif isinstance(step.event, ev.SpeechStarted) and began_s is None:
                # what a new session hears again is told late, when the caller is silent
                began_s = step.at_s if self._spoke(step.at_s) else None
            elif isinstance(step.event, ev.TurnCommitted | ev.SpeechStopped) and began_s is not None:
                found.append(sum(self.device.sounded_after(began_s, response_id) for response_id in created))
                began_s = None
        return found

    def _spoke(self, at_s: float) -> bool:
        return any(began_s < at_s < ended_s for began_s, ended_s in self.caller.spoke)

    @property
    def sound_after_flush_ms(self) -> float:
        """How much was heard of answers after they were flushed."""
        flushes = [(step.at_s, effect.response_id) for step in self.steps for effect in step.effects if isinstance(effect, fx.Flush)]
        return sum(self.device.sounded_after(*one) for one in flushes)

    @property
    def sound_in_holds_ms(self) -> float:
        """How much was heard while the voice was held."""
        total, held_s = 0.0, None
        for step in self.steps:
            for effect in step.effects:
                if isinstance(effect, fx.Hold):
                    held_s = step.at_s
                elif isinstance(effect, fx.Resume) and held_s is not None:
                    total += self.device.sounded_after(held_s) - self.device.sounded_after(step.at_s)
                    held_s = None
        return total

    @property
    def talks_over(self) -> list[fx.CreateResponse]:
        """The responses that were asked for while the caller spoke, and the core had been told so (R19)."""
        found: list[fx.CreateResponse] = []
        told_s = -math.inf
        for step in self.steps:
            told_s = step.at_s if isinstance(step.event, ev.SpeechStarted) else told_s
            asked = [effect for effect in step.effects if isinstance(effect, fx.CreateResponse)]
            if any(began_s < told_s < step.at_s < ended_s for began_s, ended_s in self.caller.spoke):
                found += asked
        return found

    @property
    def cancels(self) -> list[str]:
        """The response ids of the cancels that the server received."""
        events = [line["event"] for line in self.realtime_log if isinstance(line.get("event"), dict)]
        return [event["response_id"] for event in events if event["type"] == "response.cancel"]

    def story(self) -> str:
        """The call in lines, for whoever looks for a fault."""
        began_s = self.steps[0].at_s if self.steps else 0.0
        lines = [
            f"{(step.at_s - began_s) * 1000:7.0f}  {_short(step.event)}  →  {', '.join(map(_short, step.effects))}"
            for step in self.steps
            if step.effects or not isinstance(step.event, ev.Expired)
        ]
        return "\n".join([str(self.cell), *lines])


def _short(thing: Any) -> str:
    fields = [str(value)[:70] for name, value in attrs.asdict(thing).items() if name not in ("at_ms", "epoch") and value != ""]
    return f"{type(thing).__name__}({', '.join(fields)})"


@attrs.frozen
class Wait:
    """A wait that took longer than it should have: when it was over, on the machine's clock, and how late."""

    at_s: float
    late_ms: float


async def watch(waits: list[Wait]) -> None:
    """Note each wait of this event loop that is over much too late."""
    while True:
        began_s = time.monotonic()
        await anyio.sleep(FRAME_MS / 1000)
        now_s = time.monotonic()
        if (late_ms := (now_s - began_s) * 1000 - FRAME_MS) > LATE_MS / 2:
            waits.append(Wait(now_s, late_ms))


class Servers:
    """The process that all servers are in."""

    def __init__(self, process: "subprocess.Popen[str]", folder: Path) -> None:
        self._process, self._folder = process, folder
        self._count = 0

    @property
    def waits(self) -> list["Wait"]:
        """The waits of its event loop that took too long."""
        log = self._folder / "late.log"
        return [Wait(*map(float, line.split())) for line in log.read_text().splitlines()] if log.exists() else []

    def begin(self, kind: str, script: str = "", without: Sequence[str] = (), dialect: str = "seed") -> tuple[str, Path]:
        """A server with a script, which lacks some things: its URL, and its log."""
        self._count += 1
        log = self._folder / f"{self._count}.log"
        assert self._process.stdin and self._process.stdout
        wish = {"kind": kind, "script": script, "without": without, "dialect": dialect, "log": str(log)}
        self._process.stdin.write(json.dumps(wish) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        assert answer.startswith("ready "), f"the servers are gone: {answer!r}"
        return answer.split()[1], log


@contextmanager
def servers() -> Iterator[Servers]:
    """Run the process of the servers."""
    with TemporaryDirectory() as folder:
        process = subprocess.Popen(
            [sys.executable, str(SERVERS), f"{folder}/late.log"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        try:
            yield Servers(process, Path(folder))
        finally:
            process.communicate(timeout=30)


def hold_all(backend: str, cells: Sequence[Cell], world: Servers, at_once: int = AT_ONCE) -> tuple[list[Held], list[str]]:
    """Hold calls on one backend, some at a time; returns them, and what is left of them afterwards: threads, sockets, tasks."""
    held, left = _side_by_side(backend, cells, world, at_once)
    for _ in range(1, ATTEMPTS):
        doubtful = [one for one in held if one.late_ms > LATE_MS and verdicts(one)]
        if doubtful:
            print(
                "held again, as this machine was late:", *(f"{one.cell} ({one.late_ms:.0f} ms)" for one in doubtful), sep="\n  ", flush=True
            )
            again, still_left = _side_by_side(backend, [one.cell for one in doubtful], world, at_once=1)
            held, left = [one for one in held if one not in doubtful] + again, left + still_left
    return held, left


def _side_by_side(backend: str, cells: Sequence[Cell], world: Servers, at_once: int) -> tuple[list[Held], list[str]]:
    speech_url, speech_log = world.begin("chatterbox")
    begun = []
    for cell in cells:
        one = FAULTS[cell.fault]
        script = one.script.replace(DELTA, DELTAS[cell.voice])
        if one.server == "realtime":
            realtime, speech = world.begin("realtime", script, one.without), (speech_url, speech_log)
        else:
            realtime, speech = world.begin("realtime"), world.begin("chatterbox", script, one.without, one.dialect)
        begun.append((cell, realtime, speech))
    held: list[Held] = []
    left: list[str] = []
    waits: list[Wait] = []

    async def main() -> None:
        before = _belongings()
        limiter = anyio.CapacityLimiter(at_once)

        async def one(cell: Cell, realtime: tuple[str, Path], speech: tuple[str, Path]) -> None:
            async with limiter:
                began_s = time.monotonic()
                call = await hold(cell, realtime, speech)
                during = [wait.late_ms for wait in (*waits, *world.waits) if began_s <= wait.at_s]
                call.late_ms = max(during, default=0.0)
                held.append(call)

        async with anyio.create_task_group() as looking_on:
            looking_on.start_soon(watch, waits)
            async with anyio.create_task_group() as group:
                for part in begun:
                    group.start_soon(one, *part)
            looking_on.cancel_scope.cancel()
        left.extend(_belongings() - before)

    anyio.run(main, backend=backend)
    return held, left


async def hold(cell: Cell, realtime: tuple[str, Path], speech: tuple[str, Path]) -> Held:
    """Hold one call, to its end or for LIMIT_S."""
    one, policy = FAULTS[cell.fault], cell.policy
    caller = CallerOfTwoTurns(one.speaks_again, commits_told="input_audio_buffer.committed" not in one.script)
    with TemporaryDirectory() as folder:
        device = WavDevice(Path(folder) / "call.wav", caller, calibration_ms=20)
        pings = {"ping_interval_s": 0.4, "ping_timeout_s": 0.6} if one.pings else {}
        llm = RealtimeLLM(
            url=realtime[0], key=None, settings=SETTINGS, policy=policy, speaker=device, cutter=SentenceCutter, open_timeout_s=2.0, **pings
        )
        device.ears.append(llm)
        ports: list[Port] = [device, llm]
        if cell.voice == "chatterbox":
            ports.append(Chatterbox(url=speech[0], speaker=device, timeout_s=policy.synthesis_ms / 1000))
        held = Held(cell, caller, device, llm)
        began_s = anyio.current_time()
        with anyio.move_on_after(LIMIT_S) as patience:
            await Driver(start(policy, str(cell).replace(" ", "_")), ports, [caller, held]).run()
    held.hung, held.lasted_s = patience.cancelled_caught, anyio.current_time() - began_s
    held.realtime_log = _lines(realtime[1])
    held.log = _lines(speech[1]) if one.server == "chatterbox" else held.realtime_log
    return held


def _lines(log: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]


def _belongings() -> set[str]:
    """The threads of this process, its sockets, and the tasks of the running loop."""
    threads = {f"thread {thread.name}" for thread in threading.enumerate()}
    return threads | _sockets() | _tasks()


def _sockets() -> set[str]:
    found = set()
    for entry in Path("/proc/self/fd").iterdir():
        with suppress(OSError):
            target = str(entry.readlink())
            found |= {target} if target.startswith("socket:") else set()
    return found


def _tasks() -> set[str]:
    return {f"task {task.name} {task.id}" for task in anyio.get_running_tasks()}


def end_of(held: Held) -> str:
    """What is wrong with its end, else empty: the next turn is to be answered, or the call closed for its one reason, before LIMIT_S."""
    if held.hung:
        return f"it did not end within {LIMIT_S:g} s"
    if len(held.ends) != 1:
        return f"{len(held.ends)} ends"
    if held.fault.reason and held.ends[0].reason is not held.fault.reason:
        return f"ended as {held.ends[0]}, not as {held.fault.reason}"
    return "" if held.fault.reason or held.caller.content else f"the next turn was not answered: {held.ends[0]}"


def old_audio_of(held: Held) -> str:
    """What is wrong with what was heard: of an old answer, or of a held voice, at most one frame of the device; else empty."""
    found = []
    if held.sound_after_flush_ms or held.sound_in_holds_ms:
        found.append(f"{held.sound_after_flush_ms} ms after a flush, {held.sound_in_holds_ms} ms in holds")
    if any(ms > FRAME_MS for ms in held.old_audio_ms):
        found.append(f"{held.old_audio_ms} ms after the caller's first sound")
    return "".join(f"old audio: {one}; " for one in found)


def words_of(held: Held) -> str:
    """What is wrong with what we asked of the servers: errors that nobody scripted, a second cancel, a wish while the caller speaks."""
    found = []
    if held.provoked:
        found.append(f"errors: {held.provoked}")
    if len(set(held.cancels)) != len(held.cancels):
        found.append(f"cancels: {held.cancels}")
    if held.talks_over:
        found.append(f"asked for while the caller spoke: {held.talks_over}")
    return "; ".join(found)


def verdicts(held: Held) -> list[str]:
    """All that is wrong with a call, in words."""
    missed = "" if held.struck else "the fault did not strike"
    return [words for words in (missed, end_of(held), old_audio_of(held), words_of(held)) if words]


def main(arguments: Sequence[str]) -> int:
    """Hold the matrix and print what is wrong, and with `--story` how it came about; exit code 1 when something is."""
    parser = argparse.ArgumentParser(prog="python -m tests.matrix", description=__doc__.partition("\n")[0])
    parser.add_argument("word", nargs="*", help="the calls with one of these in their name, e.g. 'half_open, realtime' (default: all)")
    parser.add_argument("--story", action="store_true", help="show how what is wrong came about")
    options = parser.parse_args(arguments)
    cells = [cell for cell in every_cell() if not options.word or any(word in str(cell) for word in options.word)]
    wrong = 0
    with servers() as world:
        for backend in BACKENDS:
            held, left = hold_all(backend, [cell for cell in cells if cell.backend == backend], world)
            for one in sorted(held, key=_name):
                found = verdicts(one)
                wrong += bool(found)
                print(f"{one.lasted_s:5.1f} s  {one.cell}: {'; '.join(found) or 'ok'}", flush=True)
                if found and options.story:
                    print(one.story())
            wrong += bool(left)
            print(f"{backend}: {len(held)} calls, left over: {sorted(left) or 'nothing'}")
    print(f"{len(cells)} calls, {wrong} of them not as expected")
    return 1 if wrong else 0


def _name(held: Held) -> str:
    return str(held.cell)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
