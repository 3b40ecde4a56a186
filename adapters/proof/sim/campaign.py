"""Many simulated calls: each seed a call of its own, over all cores, counted together; and what is shown of those that broke a rule."""

import gc
import multiprocessing
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from fnmatch import fnmatchcase
from pathlib import Path

import attrs

from adapters.proof.sim.call import Parts, Simulated, simulate
from adapters.proof.sim.draw import draw
from adapters.proof.sim.shrink import kind_of, lines, shrink, write
from adapters.proof.verify.checker import dead_rows
from adapters.proof.workers import end_with_parent, stop_workers
from fsm.call.events import kinds
from fsm.call.machine import CALL

CHUNK = 25
"""How many calls a process holds before it tells what came of them."""
KEPT = 200
"""How many failing seeds are remembered."""

Place = tuple[str, int]
"""A declared row: its region, and its number in the table."""


@attrs.define
class Tally:
    """What came of some calls, added up."""

    calls: int = 0
    steps: int = 0
    lasted_s: float = 0.0
    """How long the calls lasted, on their own clocks."""
    strikes: Counter[str] = attrs.Factory(Counter)
    reasons: Counter[str] = attrs.Factory(Counter)
    rows: set[Place] = attrs.Factory(set)
    events: set[str] = attrs.Factory(set)
    """The events that happened, by name."""
    broken: list[tuple[int, str]] = attrs.Factory(list)
    """The seeds that broke a rule, and which."""

    def take(self, held: Simulated) -> None:
        """Add one call."""
        self.calls += 1
        self.steps += len(held.steps)
        self.lasted_s += held.ended_ms / 1000
        self.strikes.update(held.strikes)
        self.reasons["a rule was broken" if held.fault else held.reason] += 1
        self.rows.update((row.region, row.declared) for row in held.rows)
        self.events.update(type(event).__name__ for event, _ in held.steps)
        if held.fault:
            self.broken.append((held.plan.seed, held.fault))

    def add(self, other: "Tally") -> None:
        """Add the calls of another tally."""
        self.calls += other.calls
        self.steps += other.steps
        self.lasted_s += other.lasted_s
        self.strikes.update(other.strikes)
        self.reasons.update(other.reasons)
        self.rows |= other.rows
        self.events |= other.events
        self.broken = sorted(self.broken + other.broken)[:KEPT]


Watch = Callable[[Tally], None]


def hold_calls(seeds: Iterable[int], parts: Parts | None = None) -> Tally:
    """Hold the calls of these seeds, here."""
    tally = Tally()
    was = gc.isenabled()
    gc.disable()  # it would look for garbage in the tables all the time, and takes a tenth of it
    try:
        for seed in seeds:
            tally.take(simulate(draw(seed), parts))
    finally:
        if was:
            gc.enable()
            gc.collect()
    return tally


def campaign(calls: int, seed: int, jobs: int, watch: Watch | None = None) -> Tally:
    """Hold `calls` calls, with the seeds from `seed` on, in `jobs` processes; `watch` sees the tally as it grows."""
    total = Tally()
    chunks = [range(at, min(at + CHUNK, seed + calls)) for at in range(seed, seed + calls, CHUNK)]
    for tally in map(hold_calls, chunks) if jobs == 1 or len(chunks) == 1 else _spread(chunks, jobs):
        total.add(tally)
        if watch is not None:
            watch(total)
    return total


def in_words(tally: Tally, seconds: float) -> Iterator[str]:
    """The tally, in lines."""
    rate = tally.calls / max(seconds, 1e-9)
    yield (
        f"{tally.calls:,} calls   {tally.steps:,} steps   {tally.lasted_s / 3600:,.1f} hours of calls"
        f"   {seconds:.1f} s   {rate:,.0f} calls/s   {len(tally.broken)} broke a rule"
    )
    yield "struck  " + _counted(tally.strikes)
    yield "ended   " + _counted(tally.reasons)
    never = [kind.__name__ for kind in kinds() if kind.__name__ not in tally.events]
    yield f"events  {len(tally.events)} of {len(kinds())} happened" + (f", never {', '.join(never)}" if never else "")
    declared, never = sum(len(region.declared) for region in CALL.regions), dead_rows(CALL, tally.rows)
    left = rows_never_taken(tally)
    yield f"rows    {len(tally.rows)} of {declared} taken, {len(left)} never" + (", listed by --rows" if left else "")
    for row, why in UNMET.items():
        if met := sum(fnmatchcase(name, row) for name in never):
            yield f"        and {met} that no driver meets: {row}: {why}"


UNMET = {"*/Expired/stale": "a driver asks for the deadline that is due, and posts no other"}
"""The rows that no call takes, each with the reason; `callfsm verify` takes them."""


def rows_never_taken(tally: Tally) -> list[str]:
    """The declared rows that no call took, but for those that none can take."""
    return [row for row in dead_rows(CALL, tally.rows) if not any(fnmatchcase(row, unmet) for unmet in UNMET)]


def report(broken: Iterable[Simulated], folder: Path, parts: Parts | None = None) -> Iterator[str]:
    """Each kind of broken rule once: made small, written to `folder`, and in words. Raises OSError."""
    first: dict[str, Simulated] = {}
    for held in broken:
        first.setdefault(kind_of(held.fault), held)
    for held in first.values():
        small = shrink(held, parts)
        trace, plan = write(small, folder)
        yield f"BROKEN  {small.fault}"
        settings = ", ".join(f"{name}={value}" for name, value in small.plan.settings)
        yield f"        seed {small.plan.seed}, made small: {'; '.join(map(str, small.plan.items)) or 'nothing goes wrong'}; {settings}"
        yield f"        again: callfsm sim --calls 1 --seed {small.plan.seed}, or small: callfsm sim --plan {plan}; callfsm replay {trace}"
        yield from (f"    {line}" for line in lines(small))


def again(tally: Tally, parts: Parts | None = None) -> Iterator[Simulated]:
    """The first call of each kind of broken rule, held again."""
    kinds = set()
    for seed, fault in tally.broken:
        if kind_of(fault) not in kinds:
            kinds.add(kind_of(fault))
            yield simulate(draw(seed), parts)


def _spread(chunks: list[range], jobs: int) -> Iterator[Tally]:
    """Hold the chunks in processes of their own, a few ahead; the processes end when nobody asks on."""
    pool = ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn"), initializer=end_with_parent)
    waiting, left = set[Future[Tally]](), iter(chunks)
    try:
        while True:
            waiting |= {pool.submit(hold_calls, chunk) for _, chunk in zip(range(2 * jobs - len(waiting)), left, strict=False)}
            if not waiting:
                return
            done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
            yield from (future.result() for future in done)
    except BaseException:
        stop_workers()
        raise
    finally:
        pool.shutdown(cancel_futures=True)


def _counted(counts: Counter[str]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in counts.most_common()) or "nothing"
