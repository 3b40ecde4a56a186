"""What a call costs in each format of its sound, and how soon the LLM has it, beside a bare bridge that copies messages (`bridge`).

All three carry the same calls at the same time of day:
in turns, there and back, so that what else the machine does falls on all alike; what is compared is the median of the turns.
"""

from contextlib import AsyncExitStack
from pathlib import Path
from statistics import median

import attrs
from rich.table import Table

from adapters.twilio.narrowband import TAPS

from .phone import MAX_LATE_MS, Load, Peer, Say, Server, peers, served
from .processes import begun
from .tables import figure_table

BRIDGE = Path(__file__).with_name("bridge.py")
KINDS = {"pcm": "24 kHz PCM", "pcmu": "the line's octets", "bridge": "floor: a bare bridge"}
LOAD, TURNS, MOST = Load(20, 3, (0.5, 1.0)), 4, 4
"""So many turns are wanted, and at most so many times as many are held."""
FILTER_MS = {"pcm": (TAPS - 1) / 2 / 24, "pcmu": 0.0, "bridge": 0.0}
"""How much later the resampler's filter gives what it is given."""


@attrs.frozen
class Taken:
    """One kind in one turn: the processor's ms a call-second, the ms of a frame's way to the LLM, and the KiB that a call holds."""

    busy_ms: float
    through_ms: float
    kib: float


async def measure_lines(say: Say, load: Load = LOAD, turns: int = TURNS) -> dict[str, list[Taken]]:
    """Hold the same calls by each in turn. A turn for which the machine had no time is none: RuntimeError if that is most of them."""
    figures: dict[str, list[Taken]] = {kind: [] for kind in KINDS}
    async with AsyncExitStack() as stack:
        there: dict[str, tuple[Peer, Server, int]] = {}
        for kind in KINDS:
            peer = await stack.enter_async_context(peers())
            if kind == "bridge":
                bridge = await stack.enter_async_context(begun(BRIDGE, peer.url))
                server = Server(bridge.url, "", bridge.process.pid)
            else:
                server = await stack.enter_async_context(served(peer.url, kind))
            there[kind] = peer, server, server.kib
        for turn in range(MOST * turns):
            order = list(KINDS)[:: -1 if turn % 2 else 1]
            say(f"lines: {load.calls} calls, in turn {turn + 1} by {', '.join(order)}")
            taken = {kind: await _turn(kind, load, *there[kind]) for kind in order}
            if max(one.through_ms for one in taken.values()) < MAX_LATE_MS:
                for kind, one in taken.items():
                    figures[kind].append(one)
            if len(figures["bridge"]) == turns:
                return figures
    raise RuntimeError(f"the machine is too busy: of {MOST * turns} turns {len(figures['bridge'])} were held in real time")


async def _turn(kind: str, load: Load, peer: Peer, server: Server, empty_kib: int) -> Taken:
    await peer.send(load.order(server.voice, settle_s=0.8))
    busy = await server.busy_while(peer.answered)
    if peer.answer["lost"]:
        raise RuntimeError(f"of {load.calls} calls, {peer.answer['lost']} were lost")
    through_ms, kib = median(peer.answer["through"]) + FILTER_MS[kind], (server.kib - empty_kib) / load.calls
    await peer.ask({"do": "leave", "seconds": 0.0})
    return Taken(busy * 1000 / load.calls, through_ms, kib)


def line_tables(figures: dict[str, list[Taken]]) -> list[Table]:
    """The figures as a table."""
    table = figure_table("A call in each format of its sound", "median", "busy ms/s", "ratio", "ms to LLM", "KiB")
    for kind, turns in figures.items():
        ratio = median(one.busy_ms / floor.busy_ms for one, floor in zip(turns, figures["bridge"], strict=True))
        cells = (f"{median(one.busy_ms for one in turns):.1f}", f"{ratio:.2f}", f"{median(one.through_ms for one in turns):.1f}")
        table.add_row(KINDS[kind], *cells, f"{turns[0].kib:.0f}")
    return [table]
