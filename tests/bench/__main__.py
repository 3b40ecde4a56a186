"""`python -m tests.bench`: runs every part, then prints the figures, and names what could not be measured; each part is a module here."""

import argparse
import os
import platform
import sys
from collections.abc import Callable
from time import perf_counter

import anyio
from rich.console import Console
from rich.table import Table

from .cluster import cluster_table, measure_cluster
from .faults import fault_table, measure_faults
from .imports import measure_imports
from .line import line_tables, measure_lines
from .load import load_table, measure_load
from .page import measure_page, page_table
from .phone import measure_phone, phone_tables
from .reaction import measure_reaction
from .sound import measure_sound, sound_table
from .steps import measure_steps
from .tables import import_table, kind_table, reaction_table, step_table

Say = Callable[[str], None]


def _steps(say: Say) -> list[Table]:
    figures = measure_steps(say)
    return [step_table(figures), kind_table(figures)]


PARTS: dict[str, Callable[[Say], list[Table]]] = {
    "steps": _steps,
    "reactions": lambda say: list(map(reaction_table, anyio.run(measure_reaction, say))),
    "sound": lambda say: [sound_table(anyio.run(measure_sound, say))],
    "faults": lambda say: [fault_table(measure_faults(say))],
    "load": lambda say: [load_table(anyio.run(measure_load, say))],
    "line": lambda say: line_tables(anyio.run(measure_lines, say)),
    "phone": lambda say: phone_tables(anyio.run(measure_phone, say)),
    "cluster": lambda say: [cluster_table(*anyio.run(measure_cluster, say))],
    "page": lambda say: [page_table(*anyio.run(measure_page, say))],
    "imports": lambda say: [import_table(measure_imports(say))],
}


def main(parts: dict[str, Callable[[Say], list[Table]]] = PARTS) -> int:
    """Measure and print; progress goes to standard error. Exit code 1: nothing could be measured."""
    began_s = perf_counter()
    console, progress = Console(highlight=False), Console(stderr=True, highlight=False, style="dim")
    tables: list[Table] = []
    missing: list[str] = []
    for name, measure in parts.items():
        try:
            tables += measure(progress.print)
        except Exception as error:  # Whatever kept one part from its figures keeps no other from theirs.
            missing.append(f"{name}: not measured: {_plain(error)}")
    console.print(f"callfsm, Python {platform.python_version()} on {os.cpu_count()} cores, in {perf_counter() - began_s:.0f} s\n")
    for one in tables:
        console.print(one)
    for line in missing:
        console.print(line, markup=False, soft_wrap=True)
    return 0 if tables else 1


def _plain(error: BaseException) -> str:
    """What went wrong in one line; of several things the first."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return " ".join(str(error).split()) or type(error).__name__


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description="measures callfsm beside its floors and rivals")
    parser.add_argument("part", nargs="*", choices=[[], *PARTS], default=[], metavar="PART", help=f"{', '.join(PARTS)} (default: all)")
    chosen = parser.parse_args().part or PARTS
    sys.exit(main({name: PARTS[name] for name in chosen}))
