"""The fault matrix: what may go wrong, the calls that are held under it, and what is kept of each; the claims are in test_fault_matrix.

`python -m tests.matrix [WORDS…]` holds every call of the matrix, or those whose name holds one of the words, and prints what it finds.
"""

import itertools
import json
import math
import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import anyio
import attrs
import numpy as np

from adapters.chatterbox import Chatterbox
from adapters.driver import Driver
from adapters.ports import FRAME_MS, RATE_HZ, Port
from adapters.realtime import RealtimeLLM
from adapters.realtime_settings import RealtimeSettings
from adapters.sentences import SentenceCutter
from adapters.wav_device import WavDevice
from fsm.call import effects as fx
from fsm.call import events as ev
from fsm.call.policy import Policy
from fsm.call.snapshot import Call, start
from fsm.engine.machine import Step

VOICES, OWNERS, BACKENDS = ("realtime", "chatterbox"), ("client", "server"), ("asyncio", "trio")
AT_ONCE = 10
"""How many calls are held side by side."""
LIMIT_S = 20.0
"""A call that lasts longer hangs: an untroubled one takes two seconds."""
NOTICED_S = 0.2
"""How long a caller may speak before we have to know: the server's detector takes two of its frames."""
SERVERS = Path(__file__).with_name("matrix_servers.py")
SETTINGS = RealtimeSettings(vad_silence_ms=100)
VOICED = (np.sin(np.arange(RATE_HZ * FRAME_MS // 1000) * (2 * np.pi * 300 / RATE_HZ)) * 9_000).astype("<i2").tobytes()
SILENT = bytes(len(VOICED))
DELTA = "DELTA"
"""In a script: the delta of the answers, which is called otherwise in each voice."""
DELTAS = {"realtime": "response.output_audio.delta", "chatterbox": "response.output_text.delta"}


@attrs.frozen
class Fault:
    """A fault of the matrix: its script, which server it befalls, and what may come of it."""

    name: str
    script: str
    server: str = "realtime"
    voices: tuple[str, ...] = VOICES
    owners: tuple[str, ...] = OWNERS
    reason: fx.Reason | None = None
    """Why the call ends; None when the next turn is to be answered."""
    codes: frozenset[str] = frozenset()
    """What the server says is wrong, because the script has it say so."""
    races: bool = False
    """May a command of ours be refused as one that comes too late?"""
    speaks_again: bool = False
    """Does the caller speak again before the answer has begun, and not over its sound?"""
    pings: bool = False
    """Is the server to be asked often whether it is there?"""
    settings: Mapping[str, float] = attrs.Factory(dict)
    """What of the policy is otherwise under it."""
    known: str = ""
    """What is known to be wrong under it, and not repaired yet."""


def fault(name: str, *strikes: str, **more: Any) -> Fault:
    """A fault whose script has one [[fault]] for each of `strikes`, written in a line."""
    lines = (strike.replace(";", "\n") for strike in strikes)
    more["codes"] = frozenset(more.pop("codes", ()))
    return Fault(name, "".join(f"[[fault]]\n{line}\n" for line in lines), **more)


def _simple(kind: str, when: str = f'on = "{DELTA}"; nth = 3', **more: Any) -> Fault:
    """A fault of the stand-in by its own name."""
    return fault(kind, f'name = "{kind}"; {when}', **more)


AUDIO_ONLY, SPOKEN = ("realtime",), ("chatterbox",)
OURS = ("client",)
"""Where the server interrupts and answers by itself, we send neither a cancel nor a create as long as it does."""
EVERY = 'nth = "every"; connection = "every"'

REALTIME_FAULTS = (
    fault("none"),
    _simple("malformed_json", codes=["malformed_event"]),
    _simple("unknown_type", codes=["unknown_event"]),
    _simple("oversized_frame"),
    _simple("binary_frame", codes=["malformed_event"]),
    _simple("rate_limits"),
    _simple("foreign_done"),
    _simple("server_error", codes=["server_error"]),
    fault("server_error on create", 'name = "server_error"; on = "response.create"', codes=["server_error"], owners=OURS),
    fault(
        "server_error on cancel",
        'name = "server_error"; on = "response.cancel"',
        codes=["server_error"],
        owners=OURS,
        voices=AUDIO_ONLY,
        races=True,
        known="a cancel that the server refuses is not sent again, and a busy server is asked three times within the pauses of a failure",
    ),
    fault(
        "server_error on cancel, short answer",
        'name = "server_error"; on = "response.cancel"',
        codes=["server_error"],
        owners=OURS,
        voices=SPOKEN,
        races=True,
    ),
    _simple("failed_response", 'code = "server_error"'),
    fault("failed_response in the middle", f'name = "failed_response"; on = "{DELTA}"; nth = 4'),
    fault("no quota", f'name = "failed_response"; code = "insufficient_quota"; {EVERY}', reason=fx.Reason.MODEL_FAILED),
    fault("always fails", f'name = "failed_response"; {EVERY}', reason=fx.Reason.MODEL_FAILED),
    _simple("incomplete_response", 'reason = "content_filter"'),
    _simple("session_expired", codes=["session_expired"]),
    *(fault(f"close {code}", f'name = "close"; code = {code}; on = "{DELTA}"; nth = 4') for code in (1000, 1001, 1006, 1011)),
    fault(
        "close in a turn",
        'name = "close"; code = 1006; on = "input_audio_buffer.speech_started"; nth = 2',
        settings={"reconnect_pause_ms": 150},
        known="a loss makes the turn quiet, so the lost answer is asked for again while the caller speaks (R19)",
    ),
    fault("close after a turn", 'name = "close"; code = 1011; on = "input_audio_buffer.committed"'),
    fault("close on a cancel", 'name = "close"; code = 1006; on = "response.cancel"', owners=OURS),
    fault("close at created", 'name = "close"; code = 1006; on = "response.created"'),
    fault("closes for ever", f'name = "close"; on = "session.updated"; {EVERY}', reason=fx.Reason.SESSION_LOST),
    _simple("half_open", pings=True),
    _simple("hiccup", f'on = "{DELTA}"; nth = 3; ms = 400'),
    _simple("delay", 'on = "session.updated"; ms = 60'),
    _simple("refuse_session", "nth = 1", reason=fx.Reason.SESSION_REFUSED),
    _simple("session_never_updated", EVERY, reason=fx.Reason.SESSION_UNCONFIRMED),
    _simple("refuse_connection", "nth = 1"),
    fault("refused for ever", f'name = "refuse_connection"; times = 99; {EVERY}', reason=fx.Reason.SESSION_LOST),
    fault("refused for good", 'name = "refuse_connection"; status = 401; times = 99', reason=fx.Reason.RECEIVER_FAILED),
    fault("refused after a loss", f'name = "close"; on = "{DELTA}"; nth = 4', 'name = "refuse_connection"; connection = 2'),
    _simple("slow_created", "ms = 300"),
    fault("speech between create and created", 'name = "slow_created"; ms = 900', speaks_again=True, races=True),
    _simple("slow_cancel", 'ms = 800; nth = "every"', owners=("server",), races=True),
    fault(
        "slow_cancel, too late",
        'name = "slow_cancel"; ms = 800; nth = "every"',
        owners=OURS,
        races=True,
        known="a server that is busy for longer than cancel_ack_ms and the pauses of a failure ends the call",
    ),
    fault("slow_cancel, in time", 'name = "slow_cancel"; ms = 150; nth = "every"'),
    fault("stragglers", f'name = "stragglers"; count = 5; {EVERY}'),
    fault("stragglers after done", f'name = "stragglers"; count = 5; after_done = true; {EVERY}'),
    _simple("duplicate_speech_started", 'times = 2; nth = "every"'),
    fault(
        "duplicate_speech_started with stragglers",
        'name = "duplicate_speech_started"; times = 2; nth = "every"',
        f'name = "stragglers"; count = 5; {EVERY}',
    ),
    _simple("cancel_races_done", 'nth = "every"', races=True),
    *(
        fault(f"{kind} {event}", *(f'name = "{kind}"; on = "{name}"; nth = "every"' for name in names))
        for kind in ("duplicate", "out_of_order")
        for event, names in {
            "created": ("response.created",),
            "done": ("response.done",),
            "delta": (DELTA,),
            "speech": ("input_audio_buffer.speech_started", "input_audio_buffer.speech_stopped", "input_audio_buffer.committed"),
        }.items()
    ),
    fault("lost done", 'name = "lost"; on = "response.done"', races=True),
    fault("lost speech_stopped", 'name = "lost"; on = "input_audio_buffer.speech_stopped"; nth = "every"'),
    fault("lost committed", 'name = "lost"; on = "input_audio_buffer.committed"'),
    fault("foreign_id", f'name = "foreign_id"; on = "{DELTA}"; nth = 3'),
    _simple("silent_response", "nth = 1", voices=AUDIO_ONLY),
    fault("always silent", f'name = "silent_response"; {EVERY}', voices=AUDIO_ONLY, reason=fx.Reason.MODEL_FAILED),
    _simple("empty_response", "nth = 1"),
    _simple("stalled_response", "nth = 1"),
    _simple("response_never_created", "nth = 1"),
    _simple("no_transcript", 'nth = "every"'),
)
SPEECH_FAULTS = (
    fault("speech: refuse", 'name = "refuse"; on = "tts"; ms = 400', server="chatterbox", voices=SPOKEN),
    fault("speech: crash", 'name = "crash"; on = "tts"; nth = 2; ms = 300', server="chatterbox", voices=SPOKEN),
    fault("speech: status 500", 'name = "status"; code = 500', server="chatterbox", voices=SPOKEN),
    fault(
        "speech: status 500 for ever",
        'name = "status"; code = 500; nth = "every"',
        server="chatterbox",
        voices=SPOKEN,
        reason=fx.Reason.VOICE_FAILED,
    ),
    fault("speech: status 503", 'name = "status"; code = 503', server="chatterbox", voices=SPOKEN),
    fault("speech: slow", 'name = "slow"; ms = 700', server="chatterbox", voices=SPOKEN),
    fault("speech: hang", 'name = "hang"', server="chatterbox", voices=SPOKEN),
    fault("speech: damaged_wav", 'name = "damaged_wav"', server="chatterbox", voices=SPOKEN),
    fault("speech: empty_wav", 'name = "empty_wav"', server="chatterbox", voices=SPOKEN),
    fault("speech: cut_off", 'name = "cut_off"; nth = 2', server="chatterbox", voices=SPOKEN),
    fault(
        "speech: lost_cancel",
        'name = "slow"; ms = 600; nth = 2',
        'name = "lost_cancel"; nth = "every"',
        server="chatterbox",
        voices=SPOKEN,
    ),
    fault(
        "speech: cancel_404", 'name = "slow"; ms = 600; nth = 2', 'name = "cancel_404"; nth = "every"', server="chatterbox", voices=SPOKEN
    ),
)
FAULTS = {one.name: one for one in (*REALTIME_FAULTS, *SPEECH_FAULTS)}


@attrs.frozen
class Cell:
    """One call of the matrix."""

    fault: str
    voice: str
    owner: str
    backend: str

    def __str__(self) -> str:
        return f"{self.fault}, {self.voice}, {self.owner}, {self.backend}"

    @property
    def policy(self) -> Policy:
        """Short waits, and no greeting: the caller speaks first."""
        settings: dict[str, Any] = dict(
            voice=self.voice,
            interrupts=self.owner,
            create_response=self.owner == "server",
            greeting=False,
            calibration_ms=0,
            echo_window_ms=0,
            interruption_min_ms=60,
            interruption_lock_ms=100,
            create_ack_ms=1_000,
            first_audio_ms=2_500,
            cancel_ack_ms=400,
            server_cancel_ms=400,
            recovery_pause_ms=50,
            reconnect_pause_ms=50,
            session_ms=1_500,
            watchdog_ms=1_000,
            turn_close_ms=700,
            speaking_ms=1_500,
            no_sound_ms=400,
            closing_ms=500,
            position_ms=300,
            synthesis_ms=1_500,
            idle_ms=4_000,
        )
        return Policy(**settings | FAULTS[self.fault].settings)


def every_cell() -> list[Cell]:
    """The whole product; a fault that a voice cannot meet is left out for it."""
    return [Cell(*one) for one in itertools.product(FAULTS, VOICES, OWNERS, BACKENDS) if _meets(*one)]


def _meets(name: str, voice: str, owner: str, _: str) -> bool:
    return voice in FAULTS[name].voices and owner in FAULTS[name].owners


def covering_cells() -> list[Cell]:
    """Two calls a fault that differ in every dimension, in turn one of both pairs: all pairs of values of two dimensions are met."""
    cells = []
    for number, one in enumerate(FAULTS.values()):
        turned = number % 4
        for half in (0, 1):
            voice, owner = one.voices[half % len(one.voices)], one.owners[(half ^ turned & 1) % len(one.owners)]
            cells.append(Cell(one.name, voice, owner, BACKENDS[half ^ turned >> 1]))
    return cells


class CallerOfTwoTurns:
    """A caller and a watch: asks, interrupts the answer, listens to what is said to that, and hangs up.

    The caller asks once the session is confirmed, speaks again when 200 ms of an answer were heard (or 150 ms after the turn was
    committed, when there is to be no answer yet), and is content when 100 ms of the next answer are heard after the second turn.
    """

    SPEECH_FRAMES, HEARD_FRAMES, BETWEEN_FRAMES, CONTENT_FRAMES = 20, 10, 8, 5

    def __init__(self, speaks_again: bool) -> None:
        self.content = False
        self.turns = 0
        self.spoke: list[tuple[float, float]] = []
        """From when to when, on `anyio.current_time()`."""
        self._speaks_again = speaks_again
        self._confirmed = False
        self._saying = 0
        self._since = 0

    @property
    def finished(self) -> bool:
        return self.content

    def __call__(self, event: ev.Event, answer: Step[Call]) -> None:
        self._confirmed |= isinstance(event, ev.SessionConfirmed)

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
        self._since += 1 if between or agent_audible else 0
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
        codes = [str(step.event.code) for step in self.steps if isinstance(step.event, errors)]
        races = ("response_cancel_not_active", "conversation_already_has_active_response") if self.fault.races else ()
        return [code for code in codes if code not in self.fault.codes and code not in races]

    @property
    def struck(self) -> bool:
        """Did the fault strike?"""
        return self.cell.fault == "none" or any("fault" in (line, line.get("event")) or "fault" in line for line in self.log)

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
                began_s = step.at_s
            elif isinstance(step.event, ev.TurnCommitted | ev.SpeechStopped) and began_s is not None:
                found.append(sum(self.device.sounded_after(began_s, response_id) for response_id in created))
                began_s = None
        return found

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
        """The responses that were asked for while the caller had been speaking for so long that nobody could miss it (R19)."""
        return [
            effect
            for step in self.steps
            for effect in step.effects
            if isinstance(effect, fx.CreateResponse)
            if any(began_s + NOTICED_S < step.at_s < ended_s for began_s, ended_s in self.caller.spoke)
        ]

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


class Servers:
    """The process that all servers are in."""

    def __init__(self, process: "subprocess.Popen[str]", folder: Path) -> None:
        self._process, self._folder = process, folder
        self._count = 0

    def begin(self, kind: str, script: str = "") -> tuple[str, Path]:
        """A server with a script: its URL, and its log."""
        self._count += 1
        log = self._folder / f"{self._count}.log"
        assert self._process.stdin and self._process.stdout
        self._process.stdin.write(json.dumps({"kind": kind, "script": script, "log": str(log)}) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        assert answer.startswith("ready "), f"the servers are gone: {answer!r}"
        return answer.split()[1], log


@contextmanager
def servers() -> Iterator[Servers]:
    """Run the process of the servers."""
    with TemporaryDirectory() as folder:
        process = subprocess.Popen([sys.executable, str(SERVERS)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        try:
            yield Servers(process, Path(folder))
        finally:
            process.communicate(timeout=30)


def hold_all(backend: str, cells: Sequence[Cell], world: Servers, at_once: int = AT_ONCE) -> tuple[list[Held], list[str]]:
    """Hold calls on one backend, some at a time; returns them, and what is left of them afterwards: threads, sockets, tasks."""
    speech_url, speech_log = world.begin("chatterbox")
    begun = []
    for cell in cells:
        one = FAULTS[cell.fault]
        script = one.script.replace(DELTA, DELTAS[cell.voice])
        realtime = world.begin("realtime", script if one.server == "realtime" else "")
        speech = (speech_url, speech_log) if one.server == "realtime" else world.begin("chatterbox", script)
        begun.append((cell, realtime, speech))
    held: list[Held] = []
    left: list[str] = []

    async def main() -> None:
        before = _belongings()
        limiter = anyio.CapacityLimiter(at_once)

        async def one(cell: Cell, realtime: tuple[str, Path], speech: tuple[str, Path]) -> None:
            async with limiter:
                held.append(await hold(cell, realtime, speech))

        async with anyio.create_task_group() as group:
            for part in begun:
                group.start_soon(one, *part)
        left.extend(_belongings() - before)

    anyio.run(main, backend=backend)
    return held, left


async def hold(cell: Cell, realtime: tuple[str, Path], speech: tuple[str, Path]) -> Held:
    """Hold one call, to its end or for LIMIT_S."""
    one, policy = FAULTS[cell.fault], cell.policy
    caller = CallerOfTwoTurns(one.speaks_again)
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
        try:
            target = os.readlink(entry)
        except OSError:
            continue
        if target.startswith("socket:"):
            found.add(target)
    return found


def _tasks() -> set[str]:
    return {f"task {task.name} {task.id}" for task in anyio.get_running_tasks()}


def end_of(held: Held) -> str:
    """What is wrong with how it ended: the next turn is to be answered, or the call closed for its one reason, before LIMIT_S; else empty."""
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
    options = [argument for argument in arguments if argument.startswith("--")]
    words = [argument for argument in arguments if argument not in options]
    cells = [cell for cell in every_cell() if not words or any(word in str(cell) for word in words)]
    wrong = 0
    with servers() as world:
        for backend in BACKENDS:
            held, left = hold_all(backend, [cell for cell in cells if cell.backend == backend], world)
            for one in sorted(held, key=_name):
                found = verdicts(one)
                wrong += bool(found)
                print(f"{one.lasted_s:5.1f} s  {one.cell}: {'; '.join(found) or 'ok'}", flush=True)
                if found and "--story" in options:
                    print(one.story())
            wrong += bool(left)
            print(f"{backend}: {len(held)} calls, left over: {sorted(left) or 'nothing'}")
    print(f"{len(cells)} calls, {wrong} with something wrong")
    return 1 if wrong else 0


def _name(held: Held) -> str:
    return str(held.cell)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
