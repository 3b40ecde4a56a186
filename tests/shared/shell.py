"""What the tests of the adapters around a call share: ports made of a script, clocks, the command line as a process; no claim is here."""

import os
import signal
import subprocess
import sys
import wave
from array import array
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anyio
import attrs
import numpy as np
import numpy.typing as npt
import pytest
from trio.testing import MockClock

from adapters.seam.driver import Driver
from adapters.seam.ports import RATE_HZ, Port, Post
from adapters.telling.trace import Trace, TraceWriter, read_trace
from fsm.call import effects as fx, events as ev
from fsm.call.policy import Policy
from fsm.call.snapshot import Call, start
from fsm.engine.machine import Step

ROOT = Path(__file__).parents[2]
BACKENDS = ("asyncio", "trio")
each_backend = pytest.mark.parametrize("anyio_backend", BACKENDS, indirect=True)
"""A test that is a coroutine, run on both."""
PATIENCE_S = 300.0
"""How long anything in a test may take before it counts as hung."""

Said = tuple[float, Callable[..., ev.Event], tuple[Any, ...]]
"""Something for a port to post: when in ms, which event, its fields."""

EVERYTHING = tuple(kind for kind in vars(fx).values() if isinstance(kind, type) and issubclass(kind, fx.Effect) and kind is not fx.Effect)


def at(at_ms: float, event: Callable[..., ev.Event], *fields: Any) -> Said:
    """One line of a port's script."""
    return at_ms, event, fields


@attrs.define(eq=False)
class Puppet:
    """A port that posts a script, and notes what is asked of it in `asked`, which several puppets may share."""

    script: Iterable[Said] = ()
    performs: tuple[type[fx.Effect], ...] = EVERYTHING
    name: str = "puppet"
    asked: list[tuple[str, fx.Effect]] = attrs.Factory(list)
    ended: str = "never ran"

    async def run(self, post: Post) -> None:
        """Post the script at its times, then wait to be cancelled."""
        self.ended = "runs"
        began_s = anyio.current_time()
        try:
            for at_ms, event, fields in self.script:
                await anyio.sleep_until(began_s + at_ms / 1000)
                post(event, *fields)
            await self.after(post)
        except anyio.get_cancelled_exc_class():
            self.ended = "cancelled"
            raise

    async def after(self, post: Post) -> None:
        """What follows the script."""
        await anyio.sleep_forever()

    def do(self, effect: fx.Effect) -> None:
        """Note it."""
        self.asked.append((self.name, effect))

    def of(self, kind: type[fx.Effect]) -> list[fx.Effect]:
        """What was asked of a kind."""
        return [effect for _, effect in self.asked if isinstance(effect, kind)]


@attrs.define
class Onlooker:
    """A watch that keeps every step."""

    steps: list[tuple[ev.Event, Step[Call]]] = attrs.Factory(list)

    def __call__(self, event: ev.Event, answer: Step[Call]) -> None:
        """Keep it."""
        self.steps.append((event, answer))

    def events(self) -> list[str]:
        """The names of the events, in order."""
        return [type(event).__name__ for event, _ in self.steps]


OPENING: tuple[Said, ...] = (
    at(0, ev.LineOpened),
    at(0, ev.SessionOpened),
    at(0, ev.SessionConfirmed),
    at(0, ev.VadCalibrated),
)
"""A line, a session and a known noise floor."""

ANSWER: tuple[Said, ...] = (
    *OPENING,
    at(0, ev.SpeechStarted, "u1"),
    at(500, ev.SpeechStopped, "u1"),
    at(500, ev.TurnCommitted, "u1"),
    at(600, ev.ResponseCreated, "r1"),
    at(900, ev.AudioArrived, "r1", "item_r1"),
    at(900, ev.PlayoutProgressed, "r1", 0.0),
)
"""A turn of the caller, and an answer that begins to be heard."""

BARGE_IN: tuple[Said, ...] = (
    *ANSWER,
    at(1400, ev.PlayoutProgressed, "r1", 500.0),
    at(1500, ev.SpeechStarted, "u2"),
    at(1700, ev.PlayoutStopped, "r1", 600.0, 900.0),
    at(1750, ev.ResponseCancelled, "r1"),
    at(2500, ev.SpeechStopped, "u2"),
    at(2500, ev.TurnCommitted, "u2"),
)
"""The caller interrupts that answer."""


def silent_policy(**settings: Any) -> Policy:
    """A policy without a greeting, for a voice that needs no synthesis."""
    return Policy(**{"greeting": False, "voice": "realtime", **settings})


PATIENT: dict[str, float] = {
    "create_ack_ms": 60_000,
    "busy_ms": 60_000,
    "first_audio_ms": 60_000,
    "cancel_ack_ms": 10_000,
    "server_cancel_ms": 10_000,
    "stall_ms": 60_000,
    "goodbye_stall_ms": 60_000,
    "position_ms": 10_000,
    "session_ms": 120_000,
    "goodbye_ms": 120_000,
    "closing_ms": 30_000,
    "no_sound_ms": 60_000,
    "mid_answer_ms": 60_000,
    "response_ms": 600_000,
    "synthesis_ms": 120_000,
    "turn_close_ms": 60_000,
    "watchdog_ms": 60_000,
}
"""For calls in real time that are to meet no failure: a busy machine is late, and its lateness is none."""
PATIENTLY = tuple(word for name, value in PATIENT.items() for word in ("--set", f"{name}={value:g}"))
"""The same, for the command line."""


def run_on(backend: str, main: Callable[[], Awaitable[Any]]) -> Any:
    """Run `main`: on trio with a virtual clock, which passes no real time; on asyncio with the real one."""
    options = {"clock": MockClock(autojump_threshold=0)} if backend == "trio" else {}
    with at_most(2 * PATIENCE_S):
        return anyio.run(main, backend=backend, backend_options=options)


def drive(backend: str, ports: Iterable[Port], *watches: Any, policy: Policy | None = None, call_id: str = "call") -> Call:
    """Drive one call to its end."""
    call = start(policy or silent_policy(), call_id)
    ports = tuple(ports)

    async def main() -> Call:
        return await Driver(call, ports, watches).run()

    return run_on(backend, main)


def traced(path: Path, script: Iterable[Said], *watches: Any, policy: Policy | None = None, call_id: str = "call") -> Trace:
    """The trace of a call of this script, written as it happened and read again."""
    policy = policy or silent_policy()
    writer = TraceWriter(path, start(policy, call_id))
    drive("trio", [Puppet(script)], writer, *watches, policy=policy, call_id=call_id)
    writer.close()
    return read_trace(path)


async def until(holds: Callable[[], object]) -> None:
    """Wait until it does; what never does fails."""
    with anyio.fail_after(PATIENCE_S):
        while not holds():
            await anyio.sleep(0.005)


@contextmanager
def at_most(seconds: float) -> Iterator[None]:
    """Raise TimeoutError in this thread when the body hangs, even in a loop that never waits."""

    def ring(*_: object) -> None:
        raise TimeoutError(f"still running after {seconds:g} s")

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


# The command line as a process.


def environment(**more: str) -> dict[str, str]:
    """This process's environment without any key, and with `more`."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("CALLFSM_", "OPENAI_"))}
    return {**kept, "COLUMNS": "200", **more}


def python(
    *arguments: object, cwd: Path = ROOT, stdout: Any = subprocess.PIPE, stderr: Any = subprocess.PIPE, text: bool = True, **variables: str
) -> "subprocess.CompletedProcess[Any]":
    """Run Python, which finds us, to its end."""
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=cwd,
        env=environment(**{"PYTHONPATH": str(ROOT), **variables}),
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=stderr,
        text=text,
        timeout=PATIENCE_S,
        check=False,
    )


def callfsm(*arguments: object, **how: Any) -> "subprocess.CompletedProcess[Any]":
    """Run `callfsm ARGUMENTS` to its end."""
    return python("-m", "adapters.cli", *arguments, **how)


def begin_callfsm(*arguments: object, **variables: str) -> "subprocess.Popen[str]":
    """Begin `callfsm ARGUMENTS`, in a process group of its own, its output to be read line by line."""
    return subprocess.Popen(
        [sys.executable, "-u", "-m", "adapters.cli", *map(str, arguments)],
        cwd=ROOT,
        env=environment(**variables),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def descendants(pid: int) -> set[int]:
    """The ids of the processes that a process has begun, and of those that these have."""
    found: set[int] = set()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and _parent(entry) == pid:
            found |= {int(entry.name)} | descendants(int(entry.name))
    return found


def alive(pid: int) -> bool:
    """Is the process there, and not just waiting to be reaped?"""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def _parent(entry: Path) -> int:
    try:
        return int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
    except OSError:
        return -1


# Sound.


def level(ms: float, value: int = 3_000) -> bytes:
    """So many milliseconds of one value, at 24 kHz."""
    return array("h", [value] * round(ms * RATE_HZ / 1000)).tobytes()


def distinct(ms: float, seed: int = 1) -> bytes:
    """So many milliseconds in which every sample can be told from the others, and none is silence."""
    return np.random.default_rng(seed).integers(1, 20_000, round(ms * RATE_HZ / 1000), dtype=np.int16).tobytes()


def write_wav(path: Path, pcm: bytes, rate_hz: int = RATE_HZ, channels: int = 1, width: int = 2) -> Path:
    """Write sound: mono s16, unless it is said to be other."""
    with wave.open(str(path), "wb") as file:
        file.setparams((channels, width, rate_hz, 0, "NONE", "not compressed"))
        file.writeframes(pcm)
    return path


def channels(path: Path) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """The caller's and the agent's samples of a call.wav."""
    with wave.open(str(path), "rb") as file:
        both = np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(np.float64).reshape(-1, 2)
    return both[:, 0], both[:, 1]
