"""`callfsm sim`: whole calls with seeded faults, on a virtual clock."""

import argparse
import os
from pathlib import Path
from typing import Any

from adapters.commands.common import Refused, command, refuse_unwritable
from adapters.commands.extras import need

CALLS = 10_000
"""How many calls are held by default: one to two minutes on two cores."""
MOST_MIB = 4
"""The largest plan that is read; one has some KiB."""


def add(commands: Any) -> None:
    """Declare the command."""
    text = "hold whole calls with faults of every kind, drawn from a seed, on a virtual clock, and judge each step"
    parser = command(commands, "sim", _sim, text, "callfsm sim --calls 1000 --seed 42")
    parser.add_argument("--calls", type=int, default=CALLS, metavar="N", help=f"how many calls (default: {CALLS:,})")
    parser.add_argument("--seed", type=int, default=1, metavar="S", help="the first call's seed; the next call's is one more (default: 1)")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, metavar="N", help="how many processes (default: one a core)")
    parser.add_argument("--plan", type=Path, help="hold one call again, from the plan of a call that was made small")
    parser.add_argument("--rows", action="store_true", help="list the rows of the tables that no call took")
    parser.add_argument(
        "--out", type=Path, default=Path("violations"), help="the folder for the calls that broke a rule (default: violations)"
    )


def _sim(options: argparse.Namespace) -> int:
    need("callfsm sim", "call")
    _refuse_bad(options)
    from rich.console import Console

    from adapters.proof.sim import campaign as sim, show as sim_show

    console = Console(highlight=False)
    if options.plan is not None:
        return _again(options.plan)
    tally, seconds = sim_show.hold_all(options.calls, options.seed, options.jobs, console)
    for line in sim.in_words(tally, seconds):
        console.print(line, markup=False, soft_wrap=True)
    if options.rows:
        for row in sim.rows_never_taken(tally):
            console.print(f"never   {row}", markup=False, soft_wrap=True)
    try:
        for line in sim.report(sim.again(tally), options.out):
            console.print(line, markup=False, soft_wrap=True)
    except OSError as error:
        raise Refused(f"--out {options.out}: {error.strerror}; give a folder that can be written") from None
    return 1 if tally.broken else 0


def _again(path: Path) -> int:
    """Hold the call of a plan, and say what came of it."""
    from adapters.proof.sim.call import simulate
    from adapters.proof.sim.plan import PlanError, plan_from_json
    from adapters.proof.sim.shrink import lines
    from adapters.seam.files import read_whole

    try:
        held = simulate(plan_from_json(read_whole(path, MOST_MIB).decode()))
    except OSError as error:
        raise Refused(f"--plan {path}: {error.strerror}; give a file that `callfsm sim` wrote") from None
    except (PlanError, UnicodeDecodeError) as error:
        raise Refused(f"--plan {path}: {error}; give a file that `callfsm sim` wrote") from None
    for line in lines(held):
        print(line)
    print(f"BROKEN  {held.fault}" if held.fault else f"{path}: {len(held.steps)} steps, no rule is broken; {held.reason}")
    return 1 if held.fault else 0


def _refuse_bad(options: argparse.Namespace) -> None:
    if options.calls < 1:
        raise Refused(f"--calls {options.calls}: give 1 or more")
    if options.seed < 0:
        raise Refused(f"--seed {options.seed}: a seed is 0 or more")
    if not 1 <= options.jobs <= 64:
        raise Refused(f"--jobs {options.jobs}: it takes a number from 1 to 64")
    refuse_unwritable("--out", options.out)
