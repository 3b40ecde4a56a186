"""`callfsm verify`: every reachable state, judged."""

import argparse
import os
from pathlib import Path
from typing import Any

from adapters.commands.agent import list_policy
from adapters.commands.common import Refused, command, refuse_unwritable, settings
from adapters.commands.extras import need


def add(commands: Any) -> None:
    """Declare the command."""
    text = "explore every reachable state of the tables and judge every rule in each"
    parser = command(commands, "verify", _verify, text, "callfsm verify --set voice=chatterbox --plan speech")
    parser.add_argument("--deep", action="store_true", help="larger bounds, every policy, and all events at once: hours, and several GB")
    parser.add_argument("--plan", metavar="NAME", help="one kind of plan only, e.g. speech, tools, memory")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="a field of every policy, e.g. interrupts=server")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="how many processes (default: one a core)")
    parser.add_argument(
        "--out", type=Path, default=Path("violations"), help="the folder for the traces of broken rules (default: violations)"
    )


def _verify(options: argparse.Namespace) -> int:
    if "help" in options.set:
        return list_policy()
    need("callfsm verify", "tables")
    from rich.console import Console

    from adapters.proof.verify import show as verify_show
    from adapters.proof.verify.plans import TAKEN_OUT, plans

    if not 1 <= options.jobs <= 64:
        raise Refused(f"--jobs {options.jobs}: it takes a number from 1 to 64")
    refuse_unwritable("--out", options.out)
    try:
        chosen = [plan for plan in plans(options.deep, **settings(options.set)) if options.plan in (None, plan.name)]
    except ValueError as error:
        raise Refused(f"{error}; correct the --set of that name") from None
    if not chosen:
        raise Refused(f"--plan {options.plan}: there is {', '.join(dict.fromkeys(plan.name for plan in plans(options.deep)))}")
    console = Console(highlight=False)
    console.print(TAKEN_OUT, markup=False, soft_wrap=True)
    if options.jobs == 1 or len(chosen) == 1:
        checked = verify_show.check_all(chosen, console)
    else:
        checked = verify_show.check_side_by_side(chosen, console, options.jobs)
    whole = options.plan is None and not options.set
    dead = verify_show.dead_in_words(checked) if whole else []
    for line in (*verify_show.report_all(checked, options.out), *verify_show.covered_in_words(checked), *dead):
        console.print(line, markup=False, soft_wrap=True)
    return 1 if dead or any(one.violations for one in checked) else 0
