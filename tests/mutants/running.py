"""All mutants judged, on as many processes as are wanted; each process gathers the claims and cases for itself."""

import os
import re
import signal
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, as_completed, wait
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from random import Random

import attrs

from adapters.proof.rules import numbers_in, words_of
from adapters.proof.verify.plans import Plan, plans
from adapters.proof.workers import end_with_parent
from fsm import CALL

from .bodies import BodyMutant, body_mutants
from .breaking import Broken, Mutant, mutants_of
from .judging import By, Finding, by_form, found, judged, judged_body
from .witnesses import CASES, gathered

SHARE = 24
"""How many mutants a process takes at a time: few enough that all end together, about a tenth of a second."""

Watch = Callable[[int, int], None]
"""Told now and then: how many are judged, of how many."""


@attrs.frozen
class Wanted:
    """Which mutants are judged, and by what: the tables (none named: all), folders of cases, and whether the proof is asked."""

    tables: tuple[str, ...] = ()
    folders: tuple[Path, ...] = (CASES,)
    proof: bool = False
    bodies: str = ""
    """The body mutants whose name this pattern is found in, and no rows; empty: all rows, and the bodies if no table is named."""
    rule: int = 0
    """The mutants of the rows and functions alone that name this rule; 0: all."""
    alone: int = 0
    """So many mutants, drawn once for all, judged by the check at import and the proof alone; 0: by everybody."""


@attrs.frozen
class Score:
    """What became of the mutants, in the order of the tables, and which claims and cases could not be asked, as they fail anyway."""

    findings: tuple[Finding, ...]
    failing: tuple[str, ...]


def score(wanted: Wanted, jobs: int | None = None, watch: Watch | None = None) -> Score:
    """Judge the mutants on `jobs` processes, as many as there are cores if it is None. Raises CaseError for a file that is no case."""
    failing = () if wanted.alone else gathered(wanted.folders).failing
    made = range(len(mutants(wanted)) + len(bodies(wanted)))
    judge = _alone if wanted.alone else _by_all
    jobs = jobs or os.cpu_count() or 1
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn"), initializer=_prepare) as pool:
        try:
            done = judge(pool, jobs, wanted, made, watch or (lambda done, of: None))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return Score(tuple(done[number] for number in sorted(done)), failing)


def _by_all(pool: ProcessPoolExecutor, jobs: int, wanted: Wanted, made: range, watch: Watch) -> dict[int, Finding]:
    """Every mutant judged, a share of them at a time."""
    step = -(-len(made) // SHARE)
    done: dict[int, Finding] = {}
    for share in as_completed([pool.submit(_judge, wanted, tuple(made[start::step])) for start in range(step)]):
        done |= share.result()
        watch(len(done), len(made))
    return done


def _alone(pool: ProcessPoolExecutor, jobs: int, wanted: Wanted, made: range, watch: Watch) -> dict[int, Finding]:
    """A sample judged by the check at import, then by the proof: each plan is explored for all mutants that are left, near and then far."""
    sample = sorted(Random(wanted.alone).sample(made, min(wanted.alone, len(made))))
    done = {number: said for number in sample if (said := _by_form(wanted, number)) is not None}
    every, asked = plans(), set[Future[dict[int, str]]]()
    Random(wanted.alone).shuffle(every)  # so that plans of all kinds come soon
    waiting = [(plan, far) for far in (False, True) for plan in every][::-1]
    while waiting or asked:
        watch(len(done), len(sample))
        while waiting and len(asked) < jobs:
            if left := tuple(number for number in sample if number not in done):
                asked.add(pool.submit(_proved, wanted, *waiting.pop(), left))
            else:
                waiting.clear()
        ended, asked = wait(asked, return_when=FIRST_COMPLETED)
        for one in ended:
            done |= {number: found(_mutant(wanted, number), By.PROOF, rule) for number, rule in one.result().items()}
    return {number: found(_mutant(wanted, number), By.NOBODY) for number in sample} | done


@cache
def score_of_all() -> Score:
    """The score without the proof, made once a process: what the tests judge."""
    return score(Wanted())


@cache
def bodies(wanted: Wanted) -> tuple[BodyMutant, ...]:
    """The body mutants that are wanted: all, or none where some tables alone are."""
    if wanted.tables:
        return ()
    made = [one for one in body_mutants() if re.search(wanted.bodies, one.name)]
    return tuple(one for one in made if not wanted.rule or wanted.rule in numbers_in(one.function.__doc__ or ""))


@cache
def mutants(wanted: Wanted) -> tuple[Mutant, ...]:
    """The mutants that are wanted, always in the same order."""
    if wanted.bodies:
        return ()
    tables = [table for table in CALL.regions if not wanted.tables or table.name in wanted.tables]
    both = frozenset() if wanted.alone else gathered(wanted.folders).both  # which rows may change places, calls tell
    made = [mutant for table in tables for mutant in mutants_of(table, both)]
    if wanted.rule:
        made = [mutant for mutant in made if any(wanted.rule in numbers_in(words_of(row)) for row in mutant.rows)]
    return tuple(made)


def _prepare() -> None:
    """Make a process ready to judge: an interrupt is its parent's business, and whoever is in a hurry goes first."""
    end_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _judge(wanted: Wanted, share: tuple[int, ...]) -> dict[int, Finding]:
    seen = gathered(wanted.folders).witnesses

    def finding(number: int) -> Finding:
        mutant = _mutant(wanted, number)
        return judged_body(mutant, seen) if isinstance(mutant, BodyMutant) else judged(mutant, seen, wanted.proof)

    return {number: finding(number) for number in share}


def _proved(wanted: Wanted, plan: Plan, far: bool, left: tuple[int, ...]) -> dict[int, str]:
    """Which of the mutants one plan of the proof notices, and by which rule."""
    from .proof import FAR, NEAR, broken_by, broken_by_body, explored

    of = explored(plan, FAR if far else NEAR)
    said = {}
    for number in left:
        mutant = _mutant(wanted, number)
        if isinstance(mutant, BodyMutant):
            rule = broken_by_body(mutant, of)
        else:
            rule = broken_by(mutant, Broken(mutant.make(), mutant.endless), of)
        if rule:
            said[number] = rule
    explored.cache_clear()
    return said


def _mutant(wanted: Wanted, number: int) -> Mutant | BodyMutant:
    rows = mutants(wanted)
    return rows[number] if number < len(rows) else bodies(wanted)[number - len(rows)]


def _by_form(wanted: Wanted, number: int) -> Finding | None:
    mutant = _mutant(wanted, number)
    return None if isinstance(mutant, BodyMutant) else by_form(mutant)
