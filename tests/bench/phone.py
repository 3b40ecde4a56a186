"""What `callfsm serve` carries: calls a core, milliseconds from speech_started to the clear on the wire, memory a call; and a soak.

`python -m tests.bench.phone` runs this part alone, with `--soak-s 600` for ten minutes of callers who come and go. The server is
a process of its own, of one busy thread; its neighbours, Twilio and a realtime LLM, are another (`phone_peer`), which reports how late
it was itself: the floor of every other figure. Interruptions are decided at once here, as their verification is a wait by choice.
"""

import argparse
import json
import os
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from subprocess import DEVNULL
from typing import Any

import anyio
import attrs
import httpx
from anyio.abc import Process
from anyio.streams.buffered import BufferedByteReceiveStream
from rich import box
from rich.console import Console
from rich.table import Table

from .processes import begun
from .reaction import Spread, spread_of
from .tables import figure_table

Say = Callable[[str], None]

PEER = Path(__file__).with_name("phone_peer.py")
SETTINGS = {
    "greeting": "false",
    "calibration_ms": 0,
    "interruption_min_ms": 0,
    "interruption_lock_ms": 0,
    "echo_window_ms": 0,
    "idle_ms": 600_000,
    "call_ms": 7_200_000,
}
ANSWER_S = 30.0
MAX_LATE_MS = 40.0
"""A call is carried in real time while 99 of 100 frames are no later than this, both ways."""
LARGEST = 400


@attrs.frozen
class Load:
    """So many calls at a time, looked at for so long, each answer interrupted after `talk_s` (from, to) seconds."""

    calls: int
    seconds: float
    talk_s: tuple[float, float]

    def order(self, voice: str, settle_s: float) -> dict[str, Any]:
        """It as an order to the neighbours, at a server whose webhook or stream is `voice`."""
        return {"do": "hold", "voice": voice, "settle_s": settle_s, **attrs.asdict(self)}


LOADS = (Load(1, 6, (0.2, 0.4)), Load(20, 5, (0.5, 1.0)), Load(50, 5, (0.5, 1.0)))
STEP, STEP_S = 10, 3.0
"""Beyond the loads so many calls more are tried, for so long, until they are too many."""
SOAK_S, SOAK_CALLS = 6.0, 10
SETTLE_S = 2.5
"""How long after the last call its connections may take to be closed: the LLM's has a second to close politely."""


@attrs.frozen
class LoadFigures:
    """One load; times in milliseconds, `busy` is the server's share of a core, `late` counts frames that left a gap."""

    calls: int
    clear: Spread
    down_p99_ms: float
    up_p99_ms: float
    peer_p99_ms: float
    late: int
    busy: float
    kib_a_call: float

    @property
    def carried(self) -> bool:
        """In real time?"""
        return max(self.down_p99_ms, self.up_p99_ms) <= MAX_LATE_MS


@attrs.frozen
class Held:
    """What a process holds: resident KiB, and how many descriptors, threads and tasks of its event loop."""

    kib: int
    descriptors: int
    threads: int
    tasks: int


@attrs.frozen
class PhoneFigures:
    """All of it; `most` is the largest load that was carried. The soak held `soaked` calls; `before` it others had come and gone."""

    loads: tuple[LoadFigures, ...]
    most: int
    soaked: int
    before: Held
    after: Held


async def measure_phone(
    say: Say, loads: tuple[Load, ...] = LOADS, *, largest: int = LARGEST, soak_s: float = SOAK_S, step_s: float = STEP_S
) -> PhoneFigures:
    """Load a server more and more, then soak another. Raises RuntimeError for a call that was lost, or what grew."""
    figures: list[LoadFigures] = []
    async with peers() as peer, served(peer.url) as server:
        empty = await server.held()
        for load in loads:
            say(f"phone lines: {load.calls} at a time")
            figures.append(await _load(peer, server, load, empty.kib))
        calls = loads[-1].calls + STEP
        while figures[-1].carried and calls <= largest:
            say(f"phone lines: {calls} at a time")
            figures.append(await _load(peer, server, Load(calls, step_s, (0.5, 1.0)), empty.kib))
            calls += STEP
        most = max((one.calls for one in figures if one.carried), default=0)
    async with peers() as peer, served(peer.url) as server:
        soaked, before, after = await _soak(peer, server, soak_s, say)
    shown = tuple(figures[: len(loads)]) + tuple(one for one in figures[len(loads) :] if one.calls == most)
    return PhoneFigures(shown, most, soaked, before, after)


def phone_tables(figures: PhoneFigures) -> list[Table]:
    """The figures as tables."""
    table = Table(title="Phone lines: one server on one core", box=box.SIMPLE_HEAD, title_style="bold", title_justify="left")
    for column in ("calls at once", "p50", "p95", "worst", "late p99", "of the core", "KiB a call"):
        table.add_column(column, justify="right", no_wrap=True)
    for one in figures.loads:
        times = (f"{ms:.1f}" for ms in (one.clear.p50_ms, one.clear.p95_ms, one.clear.worst_ms))
        late_ms = max(one.down_p99_ms, one.up_p99_ms)
        table.add_row(f"{one.calls}", *times, f"{late_ms:.1f}", f"{one.busy:.0%}", f"{one.kib_a_call:.0f}")
    peer_ms = max(one.peer_p99_ms for one in figures.loads)
    table.caption_justify = "left"
    table.caption = (
        f"  ms from speech_started to the clear on the wire; late: frames, either way\n"
        f"  floor: the neighbour's own frames leave {peer_ms:.1f} ms late (p99)\n"
        f"  carried in real time: {figures.most} calls"
    )
    soak = figure_table(f"Phone lines: {figures.soaked} callers who come and go", "the server holds", "before", "after")
    names = {"kib": "resident KiB", "descriptors": "descriptors", "threads": "threads", "tasks": "tasks"}
    for name, words in names.items():
        soak.add_row(words, str(getattr(figures.before, name)), str(getattr(figures.after, name)))
    return [table, soak]


async def _load(peer: "Peer", server: "Server", load: Load, empty_kib: int) -> LoadFigures:
    await peer.send(load.order(server.voice, settle_s=1.0))
    busy = await server.busy_while(peer.answered)
    taken = peer.answer
    if taken["lost"]:
        raise RuntimeError(f"of {load.calls} calls, {taken['lost']} were lost")
    if not taken["clear"] or not taken["down"]:
        raise RuntimeError(f"at {load.calls} calls nothing was interrupted")
    held = await server.held()
    p99 = [_p99(taken[name]) for name in ("down", "up", "lag")]
    return LoadFigures(load.calls, spread_of(taken["clear"]), *p99, taken["late"], busy, (held.kib - empty_kib) / load.calls)


async def _soak(peer: "Peer", server: "Server", seconds: float, say: Say) -> tuple[int, Held, Held]:
    """Let callers come and go, twice: the first time everything grows that grows once."""
    order = {"do": "come and go", "calls": SOAK_CALLS, "voice": server.voice}
    say("phone lines: callers come and go, to warm up")
    await peer.ask({**order, "seconds": max(1.0, seconds / 4)})
    before = await server.idle()
    say(f"phone lines: callers come and go for {seconds:g} s")
    held: int = (await peer.ask({**order, "seconds": seconds}))["held"]
    after = await server.idle()
    for name in ("descriptors", "threads", "tasks"):
        if getattr(after, name) > getattr(before, name):
            raise RuntimeError(f"after {held} calls the server holds {getattr(after, name)} {name}, and {getattr(before, name)} before")
    return held, before, after


def _p99(measured_ms: list[float]) -> float:
    return sorted(measured_ms)[int(len(measured_ms) * 0.99)] if measured_ms else 0.0


@attrs.define
class Peer:
    """The neighbours' process."""

    url: str
    process: Process
    lines: BufferedByteReceiveStream
    answer: dict[str, Any] = attrs.Factory(dict)
    patience_s: float = ANSWER_S

    async def send(self, order: dict[str, Any]) -> None:
        self.patience_s = order["seconds"] + ANSWER_S
        await self.process.stdin.send(json.dumps(order).encode() + b"\n")

    async def answered(self) -> None:
        """Wait for the answer."""
        try:
            with anyio.fail_after(self.patience_s):
                self.answer = json.loads(await self.lines.receive_until(b"\n", 1 << 26))
        except anyio.IncompleteRead:
            raise RuntimeError("the neighbours of the phone server have ended") from None
        except TimeoutError:
            raise RuntimeError(f"the neighbours of the phone server have not answered within {self.patience_s:g} s") from None

    async def ask(self, order: dict[str, Any]) -> dict[str, Any]:
        await self.send(order)
        await self.answered()
        return self.answer


@attrs.define
class Server:
    """The server's process."""

    voice: str
    metrics: str
    pid: int

    async def busy_while(self, wait: Callable[[], Any]) -> float:
        """Its share of a core, in the last seconds of a wait."""
        samples = [(time.monotonic(), self._cpu_s())]
        async with anyio.create_task_group() as tasks:

            async def sample() -> None:
                while True:
                    await anyio.sleep(0.25)
                    samples.append((time.monotonic(), self._cpu_s()))

            tasks.start_soon(sample)
            await wait()
            tasks.cancel_scope.cancel()
        (began_s, before_s), (ended_s, after_s) = samples[-9 if len(samples) > 9 else 0], samples[-1]
        return (after_s - before_s) / (ended_s - began_s)

    async def held(self) -> Held:
        """What it holds now."""
        folder = Path(f"/proc/{self.pid}")
        descriptors = len(list((folder / "fd").iterdir()))
        async with httpx.AsyncClient() as client:
            figures = (await client.get(self.metrics)).text
        tasks = next(float(line.split()[1]) for line in figures.splitlines() if line.startswith("callfsm_tasks "))
        return Held(self.kib, descriptors, int(self._status["Threads"]), int(tasks))

    async def idle(self) -> Held:
        """What it holds when all calls are over and their connections closed, which takes a moment."""
        await anyio.sleep(SETTLE_S)
        return await self.held()

    @property
    def kib(self) -> int:
        """What it holds of memory."""
        return int(self._status["VmRSS"].split()[0])

    @property
    def _status(self) -> dict[str, str]:
        return dict(line.split(":", 1) for line in Path(f"/proc/{self.pid}/status").read_text().splitlines())

    def _cpu_s(self) -> float:
        fields = Path(f"/proc/{self.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@asynccontextmanager
async def peers() -> AsyncIterator[Peer]:
    """The neighbours, ready."""
    async with begun(PEER) as peer:
        yield Peer(peer.url, peer.process, peer.lines)


@asynccontextmanager
async def served(url: str, line_sound: str = "pcmu") -> AsyncIterator[Server]:
    """The server, which is one thread and so takes one core at most; its log goes nowhere."""
    options = ["--port", "0", "--metrics-port", "0", "--realtime", url, "--max-calls", "1000", "--line-sound", line_sound]
    for name, value in SETTINGS.items():
        options += ["--set", f"{name}={value}"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TWILIO_")}
    async with begun("-m", "adapters.cli", "serve", *options, environment=environment, errors=DEVNULL) as server:
        yield Server(server.url, server.told["metrics"], server.process.pid)


async def main() -> None:
    """Measure this part alone."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--soak-s", type=float, default=SOAK_S, help=f"how long callers come and go (default: {SOAK_S:g})")
    options = parser.parse_args()
    say = Console(stderr=True, highlight=False, style="dim").print
    for table in phone_tables(await measure_phone(say, soak_s=options.soak_s)):
        Console(highlight=False).print(table)


if __name__ == "__main__":
    anyio.run(main)
