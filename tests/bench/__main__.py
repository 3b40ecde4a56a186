"""`python -m tests.bench`: runs every part, then prints the figures; what each part does stands in its module."""

import os
import platform
import sys
from time import perf_counter

import anyio
from rich.console import Console

from .faults import fault_table, measure_faults
from .imports import measure_imports
from .load import load_table, measure_load
from .phone import measure_phone, phone_tables
from .reaction import measure_reaction
from .sound import measure_sound, sound_tables
from .steps import measure_steps
from .tables import import_table, kind_table, reaction_table, step_table


def main() -> int:
    """Measure and print; progress goes to standard error. Exit code 2: something could not be measured."""
    began_s = perf_counter()
    console, progress = Console(highlight=False), Console(stderr=True, highlight=False, style="dim")
    try:
        steps = measure_steps(progress.print)
        reactions = anyio.run(measure_reaction, progress.print)
        sound = anyio.run(measure_sound, progress.print)
        faults = measure_faults(progress.print)
        load = anyio.run(measure_load, progress.print)
        phone = anyio.run(measure_phone, progress.print)
        imports_ms = measure_imports(progress.print)
    except (OSError, ValueError, RuntimeError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 2
    console.print(f"callfsm, Python {platform.python_version()} on {os.cpu_count()} cores, in {perf_counter() - began_s:.0f} s\n")
    for table in (
        step_table(steps),
        kind_table(steps),
        *map(reaction_table, reactions),
        fault_table(faults),
        load_table(load),
        *sound_tables(sound),
        *phone_tables(phone),
        import_table(imports_ms),
    ):
        console.print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
