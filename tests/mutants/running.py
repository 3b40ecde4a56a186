"""All mutants judged, on as many processes as are wanted; each process gathers the claims and cases for itself."""

import os
import re
import signal
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from random import Random

import attrs

from adapters.proof.rules import numbers_in, words_of
from adapters.proof.workers import end_with_parent
from fsm import CALL

from .bodies import BodyMutant, body_mutants
from .breaking import Mutant, mutants_of
from .judging import Finding, judged, judged_body
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
    failing = gathered(wanted.folders).failing
    made = list(range(len(mutants(wanted)) + len(bodies(wanted))))
    if wanted.alone:
        made = sorted(Random(wanted.alone).sample(made, min(wanted.alone, len(made))))
    step = -(-len(made) // SHARE)
    shares = [tuple(made[start::step]) for start in range(step)]
    found: dict[int, Finding] = {}
    with ProcessPoolExecutor(jobs or os.cpu_count(), mp_context=get_context("spawn"), initializer=_prepare) as pool:
        try:
            for done in as_completed([pool.submit(_judge, wanted, share) for share in shares]):
                found.update(done.result())
                if watch is not None:
                    watch(len(found), len(made))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return Score(tuple(found[number] for number in made), failing)


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
    both = gathered(wanted.folders).both
    made = [mutant for table in tables for mutant in mutants_of(table, both)]
    if wanted.rule:
        made = [mutant for mutant in made if any(wanted.rule in numbers_in(words_of(row)) for row in mutant.rows)]
    return tuple(made)


def _prepare() -> None:
    """Make a process ready to judge: an interrupt is its parent's business, and whoever is in a hurry goes first."""
    end_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _judge(wanted: Wanted, share: tuple[int, ...]) -> dict[int, Finding]:
    rows, changed = mutants(wanted), bodies(wanted)
    seen = () if wanted.alone else gathered(wanted.folders).witnesses

    def finding(number: int) -> Finding:
        if number < len(rows):
            return judged(rows[number], seen, wanted.proof)
        return judged_body(changed[number - len(rows)], seen, proof=bool(wanted.alone))

    return {number: finding(number) for number in share}
