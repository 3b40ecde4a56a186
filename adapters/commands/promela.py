"""`callfsm promela`: the tables as a Promela model, and what spin makes of it."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adapters.commands.common import Refused, command, settings

if TYPE_CHECKING:
    from adapters.promela.check import Plan
    from adapters.promela.model import Model

SECONDS = 45.0
"""How long the searches take in all, unless told otherwise; making the checkers takes some ten seconds more."""


def add(commands: Any) -> None:
    """Declare the command."""
    text = "write the tables as a Promela model, or let spin check them and walk them beside step"
    parser = command(commands, "promela", _promela, text, "callfsm promela --check --scope talk --set interrupts=server")
    parser.add_argument("--out", type=Path, metavar="FILE", help="where the model goes (default: the terminal)")
    parser.add_argument("--check", action="store_true", help="let spin judge the rules; needs spin and gcc")
    parser.add_argument("--scope", metavar="NAME", help="what may happen: everything, talk or opening (default: one after the other)")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="a field of the policy, e.g. interrupts=server")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="how long the searches may take in all (default: 45)")


def _promela(options: argparse.Namespace) -> int:
    from adapters.promela.check import PLANS, model_of
    from adapters.promela.spin import Missing, need

    chosen = [plan for plan in PLANS if options.scope in (None, plan.scope.name)]
    if not chosen:
        raise Refused(f"--scope {options.scope}: there is {', '.join(dict.fromkeys(plan.scope.name for plan in PLANS))}")
    if not 1 <= options.seconds <= 86_400:
        raise Refused(f"--seconds {options.seconds:g}: it takes 1 to 86400")
    try:
        if options.check:
            need()
        policy = settings(options.set)
        models = [model_of(plan, **policy) for plan in (chosen if options.check else chosen[:1])]
    except Missing as error:
        raise Refused(f"--check: {error}") from None
    except ValueError as error:
        raise Refused(f"{error}; correct the --set of that name") from None
    if options.out is not None:
        try:
            options.out.write_text(models[0].text)
        except OSError as error:
            raise Refused(f"--out {options.out}: {error.strerror}") from None
    elif not options.check:
        sys.stdout.write(models[0].text)
    return _checked(list(zip(chosen, models, strict=True)), options.seconds, policy) if options.check else 0


def _checked(models: "list[tuple[Plan, Model]]", seconds: float, policy: dict[str, Any]) -> int:
    from rich.console import Console

    from adapters.promela import check as pc
    from adapters.promela.spin import Failed, Progress

    console = Console(highlight=False)

    def say(*lines: str) -> None:
        for line in lines:
            console.print(line, markup=False, soft_wrap=True)

    say(*pc.left_out(models[0][1]))
    done = []
    try:
        for plan, made in models:
            with console.status(f"{plan.name}   spin and gcc make the checker") as status:

                def tell(progress: Progress, name: str = plan.name) -> None:
                    rate = progress.transitions / max(progress.seconds, 1e-9)
                    status.update(f"{name}   {progress.states:,} states, {progress.transitions:,} steps, {rate:,.0f} steps/s")

                done.append(pc.check(plan, made, seconds / len(models), tell))
            say(*pc.summary(done[-1]))
        count, differs = pc.agreement(models[0][0], **policy)
    except Failed as error:
        raise Refused(str(error)) from None
    say(*pc.report(done))
    say(f"DIFFERS {differs}" if differs else f"agrees  spin's interpreter and step take every region to the same state, {count:,} events")
    rows, silent = pc.unmet(done)
    say(
        f"met     {rows - len(silent)} of {rows} rows answered{'; in no search so far:' if silent else ''}",
        *(f"        {row}" for row in silent),
    )
    return 1 if differs or any(list(one.ways()) for one in done) else 0
