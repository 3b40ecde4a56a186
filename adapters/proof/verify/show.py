"""What the checker's user sees: how far it is, a line for each exploration, and each broken rule with the way to it."""

from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path

import attrs
from rich.console import Console

from adapters.proof.verify.checker import Checked, Progress, Violation, check, dead_rows, in_words, report
from adapters.proof.verify.scopes import Plan
from adapters.proof.workers import end_with_parent, stop_workers
from fsm.call.machine import CALL
from fsm.engine.notation import Row


def check_all(plans: Iterable[Plan], console: Console) -> list[Checked]:
    """Explore every plan; a line each, and on a terminal how far the one at work is."""
    done = []
    for plan in plans:
        with console.status(plan.name) as status:

            def tell(progress: Progress) -> None:
                rate = progress.steps / max(progress.seconds, 1e-9)
                waiting = progress.states - progress.explored
                status.update(
                    f"{progress.plan.name}   {progress.explored:,} states, {waiting:,} wait, {progress.depth} deep, {rate:,.0f} steps/s"
                )

            checked = check(plan, watch=tell)
        console.print(in_words(checked), markup=False, soft_wrap=True)
        done.append(checked)
    return done


def check_side_by_side(plans: Iterable[Plan], console: Console, jobs: int) -> list[Checked]:
    """Explore the plans in so many processes, the last ones, which are the largest, first; a line each as it is done."""
    waiting = list(plans)[::-1]
    done: list[Checked] = []
    pool = ProcessPoolExecutor(jobs, mp_context=get_context("spawn"), initializer=end_with_parent)
    with pool, console.status("") as status:
        try:
            running = [pool.submit(_check_apart, plan) for plan in waiting]
            for number, future in enumerate(as_completed(running), start=1):
                status.update(f"{number} of {len(waiting)} explored")
                told = future.result()
                # The way to a broken rule is made of the machine's own functions, which cannot be sent: it is walked again here.
                checked = check(told.plan) if told.broken else attrs.evolve(told.checked, rows=_rows(told.places))
                console.print(in_words(checked), markup=False, soft_wrap=True)
                done.append(checked)
        except BaseException:
            stop_workers()
            raise
    return done


@attrs.frozen
class _Told:
    """What a process tells of one plan."""

    plan: Plan
    checked: Checked
    broken: bool
    places: frozenset[tuple[str, int]]
    """The region and the number of each declared row that answered."""


def _check_apart(plan: Plan) -> _Told:
    checked = check(plan)
    places = frozenset((row.region, row.declared) for row in checked.rows)
    return _Told(plan, attrs.evolve(checked, violations=(), rows=frozenset()), bool(checked.violations), places)


def _rows(places: frozenset[tuple[str, int]]) -> frozenset[Row]:
    return frozenset(row for region in CALL.regions for row in region.rows if (row.region, row.declared) in places)


def report_all(checked: Iterable[Checked], folder: Path) -> Iterator[str]:
    """The sum, and every broken rule in words, once, by the shortest way to it; its trace is written to `folder`."""
    checked = list(checked)
    seconds = sum(one.seconds for one in checked)
    states, steps = sum(one.states for one in checked), sum(one.steps for one in checked)
    rate = steps / max(seconds, 1e-9)
    found = sorted((broken for one in checked for broken in one.violations), key=_length)
    first = {broken.rule: broken for broken in reversed(found)}
    yield f"{states:>9,} states {steps:>11,} steps {seconds:>6.1f} s {rate:>8,.0f} steps/s   {len(first)} rules broken"
    yield from report(first.values(), folder)


def dead_in_words(checked: Iterable[Checked]) -> list[str]:
    """The declared rows that no exploration took, a line each."""
    return [f"DEAD    {row} answers in no state" for row in dead_rows(CALL, (row for one in checked for row in one.rows))]


def _length(violation: Violation) -> int:
    return len(violation.retold.steps)
