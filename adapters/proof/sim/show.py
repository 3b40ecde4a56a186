"""What the simulation's user sees while it runs: how many calls are held, how fast, and how many broke a rule."""

import time

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from adapters.proof.sim.campaign import Tally, campaign


def hold_all(calls: int, seed: int, jobs: int, console: Console) -> tuple[Tally, float]:
    """Hold the calls; on a terminal with a bar. Gives their tally, and how many seconds it took."""
    columns = (TextColumn("calls"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[told]}"), TimeRemainingColumn())
    began_s = time.perf_counter()
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        bar = progress.add_task("calls", total=calls, told="")

        def tell(tally: Tally) -> None:
            broken = f"{len(tally.broken)} broke a rule" if tally.broken else ""
            progress.update(bar, completed=tally.calls, told=broken)

        tally = campaign(calls, seed, jobs, tell)
    return tally, time.perf_counter() - began_s
