"""What it costs that calls are on record: the journals of many calls, in real time, over a real NATS; nothing is printed here.

Each call is the recorded one from a moment of its own, again and again; no sound flows, so what is measured is the record alone.
"""

import asyncio
import os
import time
from bisect import bisect_left
from collections.abc import Callable
from pathlib import Path
from statistics import quantiles

import anyio
import attrs
import nats
from nats.aio.client import Client
from rich.table import Table

from adapters.cluster.journal import Journal
from adapters.cluster.nats import embedded
from adapters.cluster.record import Owner, Record
from adapters.cluster.store import STREAM, Grip, opened
from adapters.telling.trace import read_trace
from fsm.call.events import Event
from fsm.call.snapshot import Call
from fsm.engine.machine import Step

SECONDS = 10.0
CALLS = (50, 200)
WRITERS, LINE = 200, "x" * 400
"""How many records are written at once, as fast as it goes, and what: a message of a call has some 400 octets."""
RECORDED = Path(__file__).with_name("recorded.trace")

Say = Callable[[str], None]
Steps = list[tuple[float, Event, Step[Call]]]
"""When, in seconds, which event, and its answer."""


@attrs.frozen
class Figures:
    """Of so many calls at a time, a call-second each; milliseconds until a batch is on record."""

    calls: int
    events: float
    messages: float
    bytes_: float
    ours_ms: float
    """Of this process's processor, the pacing without a record taken off."""
    nats_ms: float
    p50_ms: float
    p95_ms: float


@attrs.define(eq=False)
class _Timed:
    """Appends, and notes how long each took."""

    grip: Grip
    took: list[float]

    async def append(self, text: str) -> None:
        began_s = time.perf_counter()
        await self.grip.append(text)
        self.took.append((time.perf_counter() - began_s) * 1000)


async def measure_cluster(say: Say) -> tuple[list[Figures], float]:
    """Measure each number of calls, and how many messages a second are the most. Raises OSError where there is no NATS."""
    steps = [(event.at_ms / 1000, event, answer) for event, answer, _ in read_trace(RECORDED).steps()]
    return [await _measured(count, steps, say) for count in CALLS], await _most(steps[0][2].snapshot)


async def _most(call: Call) -> float:
    """How many messages a second one server takes from one process."""
    async with embedded() as url, opened(url) as store:
        grips = [await store.begin(f"CA{number}", "w", _record(call)) for number in range(WRITERS)]
        until_s, written = time.perf_counter() + SECONDS, 0

        async def write(grip: Grip) -> None:
            nonlocal written
            while time.perf_counter() < until_s:
                await grip.append(LINE)
                written += 1

        async with anyio.create_task_group() as tasks:
            for grip in grips:
                tasks.start_soon(write, grip)
    return written / SECONDS


def _record(call: Call) -> Record:
    return Record(call=call, began_unix_ms=0, told={}, owner=Owner(name="w", epoch=1))


async def _measured(count: int, steps: Steps, say: Say) -> Figures:
    say(f"{count} calls on record for {SECONDS:g} s")
    floor_s = await _paced(count, steps, lambda _: [])
    async with embedded() as url, opened(url) as store, await nats.connect(url) as looking:
        server, took = _children()[0], list[float]()
        journals: list[Journal] = []
        for number in range(count):
            grip = await store.begin(f"CA{number}", "w", _record(steps[0][2].snapshot))
            journals.append(Journal(_Timed(grip, took).append, lambda _: ()))
        nats_s, before = _processor_s(server), await _size(looking)
        async with anyio.create_task_group() as tasks:
            for journal in journals:
                tasks.start_soon(journal.run, _nobody)
            ours_s = await _paced(count, steps, lambda number: [journals[number]])
            tasks.cancel_scope.cancel()
        messages, size = (now - then for now, then in zip(await _size(looking), before, strict=True))
        nats_s = _processor_s(server) - nats_s
    seconds, cuts = count * SECONDS, quantiles(took, n=20)
    events = len(steps) / steps[-1][0]
    ours_ms, nats_ms = (ours_s - floor_s) * 1000 / seconds, nats_s * 1000 / seconds
    return Figures(count, events, messages / seconds, size / seconds, ours_ms, nats_ms, cuts[9], cuts[18])


async def _paced(count: int, steps: Steps, watches: Callable[[int], list[Journal]]) -> float:
    """Tell the steps in real time for SECONDS; gives the processor time that this took."""
    times, whole_s = [at_s for at_s, _, _ in steps], steps[-1][0]

    async def tell(number: int) -> None:
        at_s, looking = whole_s * number / count, watches(number)
        place, until_s = bisect_left(times, at_s), time.perf_counter() + SECONDS
        zero_s = time.perf_counter() - at_s
        while time.perf_counter() < until_s:
            if place == len(steps):
                place, zero_s = 0, zero_s + whole_s
            await asyncio.sleep(max(0.0, min(zero_s + times[place], until_s) - time.perf_counter()))
            for watch in looking:
                watch(steps[place][1], steps[place][2])
            place += 1

    began_s = time.process_time()
    async with anyio.create_task_group() as tasks:
        for number in range(count):
            tasks.start_soon(tell, number)
    return time.process_time() - began_s


def _nobody(*_: object) -> None:
    """No call listens."""


async def _size(client: Client) -> tuple[int, int]:
    state = (await client.jetstream().stream_info(STREAM)).state
    return state.messages, state.bytes


def _children() -> list[int]:
    return [int(pid) for file in Path("/proc/self/task").glob("*/children") for pid in file.read_text().split()]


def _processor_s(pid: int) -> float:
    words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


def cluster_table(figures: list[Figures], most: float) -> Table:
    """The figures as a table."""
    heads = ("calls at a time", "events", "messages", "KiB", "ms of ours", "ms of NATS", "on record, ms p50", "p95")
    table = Table(*heads, title=f"Calls on record, a call-second; one server takes {most:,.0f} messages a second")
    for one in figures:
        values = (one.events, one.messages, one.bytes_ / 1024, one.ours_ms, one.nats_ms, one.p50_ms, one.p95_ms)
        table.add_row(str(one.calls), *(f"{value:.2f}" for value in values))
    return table
