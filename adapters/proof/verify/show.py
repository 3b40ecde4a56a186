"""What the checker's user sees: how far it is, a line for each exploration, and each broken rule with the way to it."""

from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from itertools import combinations
from multiprocessing import get_context
from pathlib import Path

from rich.console import Console

from adapters.proof.verify.checker import (
    Checked,
    Progress,
    Violation,
    can_move,
    check,
    dead_rows,
    in_words,
    never_moved,
    never_seen,
    report,
)
from adapters.proof.verify.plans import CHOICES, Plan, chosen_in, combinations_of_choices
from adapters.proof.workers import end_with_parent, stop_workers
from fsm.call.machine import CALL


def check_all(plans: Iterable[Plan], console: Console) -> list[Checked]:
    """Explore every plan; a line each, and on a terminal how far the one at work is."""
    done = []
    for plan in plans:
        with console.status(str(plan)) as status:

            def tell(progress: Progress) -> None:
                rate = progress.steps / max(progress.seconds, 1e-9)
                waiting = progress.states - progress.explored
                status.update(
                    f"{progress.plan}   {progress.explored:,} states, {waiting:,} wait, {progress.depth} deep, {rate:,.0f} steps/s"
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
            running = [pool.submit(check, plan) for plan in waiting]
            for number, future in enumerate(as_completed(running), start=1):
                status.update(f"{number} of {len(waiting)} explored")
                checked = future.result()
                console.print(in_words(checked), markup=False, soft_wrap=True)
                done.append(checked)
        except BaseException:
            stop_workers()
            raise
    return done


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
    return [f"DEAD    {row} answers in no state" for row in dead_rows(CALL, (place for one in checked for place in one.places))]


def covered_in_words(checked: Iterable[Checked]) -> Iterator[str]:
    """What was covered: combinations of choices, pairs of regions, pairs of states."""
    checked = list(checked)
    chosen = {chosen_in(one.plan) for one in checked}
    made = len(combinations_of_choices())
    yield f"{len(chosen)} of {made} combinations of {', '.join(CHOICES)} (of 2**{len(CHOICES)}; the others contradict themselves)"
    never, pairs = never_moved(checked), list(combinations(CALL.regions, 2))
    can = can_move()
    left = [pair for pair in never if frozenset(pair) in can]
    named = ", ".join(f"{one} and {two}" for one, two in left) or "none"
    moved, still = len(pairs) - len(never), len(never) - len(left)
    yield f"{moved} of {len(pairs)} pairs of regions moved in one step; no event moves {still}; left: {named}"
    unseen, every = never_seen(checked)
    yield f"{unseen} of {every} pairs of states of two regions were never seen side by side"
    yield f"deadlines alone bring every call to rest within {max(one.rests_ms for one in checked) / 1000:.1f} s"


def _length(violation: Violation) -> int:
    return len(violation.way)
