"""What may notice that a table is broken by running a call: the claims of tests/core and the field logs, and what each meets.

A claim is a test without parameters, or one set of the values that it is parametrized with. Each is run once on the sound machine,
to know which rows answer in it: where none of a mutant's rows does, it need not be run again.
"""

import importlib
import inspect
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import cache, partial
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import attrs

from adapters.proof.cases import feed as case_feed
from adapters.proof.cases.judge import Case, judge, read_case
from fsm import CALL, Call
from fsm.engine.checks import candidates
from fsm.engine.machine import Machine, Step
from fsm.engine.notation import Row, State

from .breaking import Both, Mutant, beginning_without
from .recording import Recorder

TESTS = Path(__file__).parents[1]
CLAIMS = TESTS / "core"
CASES = TESTS / "cases"
NO_CLAIMS = ("test_core_walks",)
"""Modules of the core's tests that hold no claim about one call: about random walks."""
STEPS = 20_000
"""After how many steps a case is stuck; the longest takes 600."""

Run = Callable[[Machine[Call]], None]


@attrs.frozen(eq=False)
class Witness:
    """A claim or a case: its name, what it is, how to run it on a machine (it raises if it fails), and what it meets."""

    name: str
    sort: str
    run: Run
    rows: frozenset[Row]
    """The rows that answer in it."""
    met: frozenset[tuple[str, State, type]]
    """The region, its state and the class of the event, for every step."""
    ran: frozenset[CodeType] = frozenset()
    """The code of every function of the core that it ran."""

    def may_notice(self, mutant: Mutant) -> bool:
        """Can it go another way with the mutant than without?"""
        return not (mutant.pairs.isdisjoint(self.met) if mutant.by_meeting else mutant.rows.isdisjoint(self.rows))

    def notices(self, mutant: Mutant, machine: Machine[Call]) -> bool:
        """Does it fail on the mutant?"""
        try:
            with beginning_without(mutant.endless):
                self.run(machine)
        except Exception:  # a claim fails by whatever it meets on its way
            return True
        return False

    def notices_body(self, machine: Machine[Call]) -> bool:
        """Does it fail while a function of the core is another?"""
        try:
            self.run(machine)
        except Exception:  # a claim fails by whatever it meets on its way
            return True
        return False


@attrs.frozen
class Gathered:
    """All claims and then all cases, of each those first that meet least."""

    witnesses: tuple[Witness, ...]
    both: Both
    """The rows that a step of theirs brings to hold at once."""
    failing: tuple[str, ...]
    """Those that fail on the sound tables, and so can notice nothing: they are not among the witnesses."""


def gathered(folders: Iterable[Path] = (CASES,)) -> Gathered:
    """Run every claim, and every case of these folders, on the sound tables, once a process. CaseError: a file is no case."""
    parts = [_gathered_cases(folder) for folder in folders]
    parts.insert(0, _gathered_claims())
    return Gathered(
        tuple(witness for part in parts for witness in part.witnesses),
        frozenset(pair for part in parts for pair in part.both),
        tuple(name for part in parts for name in part.failing),
    )


@cache
def _gathered_claims() -> Gathered:
    return _gathered("claim", _claims())


@cache
def _gathered_cases(folder: Path) -> Gathered:
    return _gathered("case", _cases(folder))


def _gathered(sort: str, runs: Iterable[tuple[str, Run]]) -> Gathered:
    """Run each on the sound tables."""
    both: set[tuple[str, int, int]] = set()
    found: list[Witness] = []
    failing: list[str] = []
    for name, run in runs:
        recorder = Recorder()
        recorder.keeps_moments = True
        ran: set[CodeType] = set()
        try:
            with _noting(ran):
                run(recorder)
        except Exception:  # a claim fails by whatever it meets on its way
            failing.append(name)
            continue
        found.append(Witness(name, sort, run, frozenset(recorder.rows), frozenset(recorder.met), frozenset(ran)))
        for snapshot, event in recorder.moments:
            both.update(_both_hold(snapshot, event))
    return Gathered(tuple(sorted(found, key=_extent)), frozenset(both), tuple(failing))


@contextmanager
def _noting(ran: set[CodeType]) -> Iterator[None]:
    """Meanwhile the code of every function that is called is noted."""

    def note(frame: FrameType, what: str, _: object) -> None:
        if what == "call":
            ran.add(frame.f_code)

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        yield
    finally:
        sys.setprofile(before)


def _extent(witness: Witness) -> tuple[int, str]:
    return len(witness.met), witness.name


def _both_hold(call: Call, event: Any) -> Iterator[tuple[str, int, int]]:
    """The rows that hold in this step, and right behind each answering row the next guarded one that would hold too."""
    for region in CALL.regions:
        rows = candidates(region, getattr(call, region.name).state, type(event))[:-1]
        holding = [row for row in rows if row.guard(call, event)][:2]
        if len(holding) == 2 and not all(row.ignores for row in holding):
            yield region.name, holding[0].declared, holding[1].declared


def _claims() -> Iterator[tuple[str, Run]]:
    """Every claim of the core's tests, by name."""
    if str(CLAIMS) not in sys.path:
        sys.path.insert(0, str(CLAIMS))
    for path in sorted(CLAIMS.glob("test_core_*.py")):
        if path.stem not in NO_CLAIMS:
            module = importlib.import_module(path.stem)
            for name, test in sorted(vars(module).items()):
                if name.startswith("test_") and inspect.isfunction(test):
                    yield from _sets_of(f"{path.stem}::{name}", test)


def _sets_of(name: str, test: Callable[..., None]) -> Iterator[tuple[str, Run]]:
    """A test without parameters; or one that is parametrized once, with each set of its values. Others need pytest and are left out."""
    marks = [mark for mark in getattr(test, "pytestmark", ()) if mark.name == "parametrize"]
    if not inspect.signature(test).parameters:
        yield name, partial(_run_claim, test)
    elif len(marks) == 1:
        wanted, sets = marks[0].args
        names = [one.strip() for one in wanted.split(",")] if isinstance(wanted, str) else list(wanted)
        if set(names) == set(inspect.signature(test).parameters):
            for number, values in enumerate(sets):
                given = getattr(values, "values", values)
                chosen = (given,) if len(names) == 1 and not hasattr(values, "marks") else given
                yield f"{name}[{number}]", partial(_run_claim, partial(test, **dict(zip(names, chosen, strict=True))))


def _run_claim(claim: Callable[[], None], machine: Machine[Call]) -> None:
    from tests.shared import core

    with core.running(machine):
        claim()


def _cases(folder: Path) -> Iterator[tuple[str, Run]]:
    for path in sorted(folder.glob("*.jsonl")):
        yield f"{folder.name}/{path.stem}", partial(_run_case, read_case(path))


def _run_case(case: Case, machine: Machine[Call]) -> None:
    with _feeding(machine):
        verdicts, _ = judge(case)
    broken = [verdict.check for verdict in verdicts if verdict.holds is False]
    assert not broken, broken


@contextmanager
def _feeding(machine: Machine[Call]) -> Iterator[None]:
    """Cases are fed to `machine` meanwhile; one that takes more than `STEPS` steps raises RuntimeError."""
    left = iter(range(STEPS))

    def step(call: Call, event: Any) -> Step[Call]:
        if next(left, None) is None:
            raise RuntimeError("the case is stuck")
        return machine.step(call, event)

    instead = {"step": step, "due_ms": machine.due_ms, "expiry": machine.expiry}
    before = {name: getattr(case_feed, name) for name in instead}
    vars(case_feed).update(instead)
    try:
        yield
    finally:
        vars(case_feed).update(before)
