"""What is heard of an old answer when the server misbehaves while the caller interrupts: calls of the fault matrix, many times over.

The time runs from the arrival of speech_started; a frame of 20 ms that was due at that moment may still be heard.
"""

from collections.abc import Callable

import attrs
from rich.table import Table

from tests.matrix import LIMIT_S, Held, hold_all, servers
from tests.matrix_faults import FAULTS, OWNERS, VOICES, Cell

from .reaction import Spread, spread_of
from .tables import figure_table

Say = Callable[[str], None]

NAMES = (
    "none",
    "stragglers",
    "stragglers after done",
    "speech between create and created",
    "duplicate_speech_started with stragglers",
    "slow_cancel, in time",
    "cancel_races_done",
)
REPETITIONS = 3
AT_ONCE = 14
"""How many calls are held side by side."""


@attrs.frozen
class FaultFigures:
    """The old sound by fault, in ms: of all interruptions with both voices and both owners."""

    spreads: dict[str, Spread]


def measure_faults(say: Say, names: tuple[str, ...] = NAMES, repetitions: int = REPETITIONS) -> FaultFigures:
    """Hold the calls, all faults mixed. RuntimeError when a call was not interrupted, or its fault did not strike."""
    cells = [Cell(name, voice, owner, "asyncio") for name in names for voice in VOICES for owner in OWNERS if owner in FAULTS[name].owners]
    old: dict[str, list[float]] = {name: [] for name in names}
    with servers() as world:
        for number in range(repetitions):
            say(f"faults: {len(cells)} calls, repetition {number + 1} of {repetitions}")
            held, _ = hold_all("asyncio", cells, world, AT_ONCE)
            for one in held:
                old[one.cell.fault].append(_old_ms(one))
    return FaultFigures({name: spread_of(measured) for name, measured in old.items()})


def _old_ms(held: Held) -> float:
    """How much was heard of the interrupted answer, whether it was being heard or still to come when the caller spoke."""
    if held.hung or not held.struck or len(held.old_audio_ms) < 2:
        raise RuntimeError(f"the call under {held.cell} gave no figure in {LIMIT_S:g} s")
    return held.old_audio_ms[1]


def fault_table(figures: FaultFigures) -> Table:
    """The old sound, by fault."""
    count = min(one.count for one in figures.spreads.values())
    table = figure_table(f"Old sound after speech_started, {count} interruptions each", "ms under the fault", "p50", "p95", "worst")
    for name, one in figures.spreads.items():
        table.add_row(name, f"{one.p50_ms:.0f}", f"{one.p95_ms:.0f}", f"{one.worst_ms:.0f}")
    return table
