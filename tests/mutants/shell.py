"""`python -m tests.mutants.shell R57`: breaks the functions that name a rule, one change at a time, until the tests notice.

For the rules that no row names: functions keep them, which say so in their docstring or in that of their class. The tests that claim the
rule are run once, to know which of these they run; then again with each broken. Prints one line of JSON: what was broken, and the test
that went red.
"""

import gc
import inspect
import io
import json
import signal
import sys
from collections.abc import Iterator
from contextlib import redirect_stdout
from itertools import islice, zip_longest
from pathlib import Path
from types import CodeType, FrameType, FunctionType

import pytest
from _pytest.runner import runtestprotocol

from adapters.proof.rules import TESTS, kept, numbers_in

from .bodies import BodyMutant, idle, mutants_of_function

ROOT = Path(__file__).parents[2]
OURS = (f"{ROOT}/fsm/", f"{ROOT}/adapters/")
ENOUGH = 3
"""How many breaks that are noticed show that a rule is kept."""
MOST = 60
"""How many breaks are tried."""
LONGEST_S = 20.0
"""A test that takes longer is not asked, and a broken one is stopped after twice that."""


class Breaking:
    """A plugin that runs the tests as they are, and then with one function broken after the other."""

    def __init__(self, rule: int) -> None:
        self._rule = rule
        self.noticed: dict[str, str] = {}
        """The test that went red, by what was broken."""

    @pytest.hookimpl
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Instead of pytest's own loop."""
        ran: dict[pytest.Item, set[CodeType]] = {}
        for item in session.items:
            codes: set[CodeType] = set()
            took_s = _run(item, codes)
            if took_s is not None and took_s < LONGEST_S:
                ran[item] = codes
        for mutant in self._mutants(set().union(*ran.values()) if ran else set()):
            if len(self.noticed) >= ENOUGH:
                break
            asked = [item for item, codes in ran.items() if mutant.function.__code__ in codes]
            with mutant.in_place():
                red = next((item for item in asked if _run(item) is None), None)
            if red is not None:
                self.noticed[f"{mutant.function.__module__}.{mutant.function.__qualname__}: {mutant.name.partition(': ')[2]}"] = (
                    f"{red.path.stem}::{getattr(red, 'originalname', red.name)}"
                )
        return True

    def _mutants(self, codes: set[CodeType]) -> Iterator[BodyMutant]:
        """Of each function that names the rule one break after the other, in turn."""
        named = [one for one in _functions() if self._rule in numbers_in(_words_of(one)) and one.__code__ in codes and not one.__closure__]
        turns = zip_longest(*[(*mutants_of_function(function), idle(function)) for function in named])
        return islice((mutant for turn in turns for mutant in turn if mutant is not None), MOST)


def _functions() -> list[FunctionType]:
    """Every function of the core and the adapters that is loaded, in the order of the files."""
    found = [one for one in gc.get_objects() if type(one) is FunctionType and one.__code__.co_filename.startswith(OURS)]
    return sorted(found, key=lambda one: (one.__code__.co_filename, one.__code__.co_firstlineno))


def _words_of(function: FunctionType) -> str:
    """The docstrings of the function and of the class that it is a method of."""
    owner = function.__globals__.get(function.__qualname__.partition(".")[0])
    return f"{function.__doc__} {owner.__doc__ if inspect.isclass(owner) else ''}"


def _run(item: pytest.Item, codes: set[CodeType] | None = None) -> float | None:
    """Run one test; the seconds that it took, None if it failed."""

    def note(frame: FrameType, what: str, _: object) -> None:
        if what == "call" and codes is not None:
            codes.add(frame.f_code)

    def too_long(*_: object) -> None:
        raise TimeoutError

    signal.signal(signal.SIGALRM, too_long)
    signal.alarm(int(2 * LONGEST_S))
    if codes is not None:
        sys.setprofile(note)
    try:
        reports = runtestprotocol(item, log=False, nextitem=None)
    except TimeoutError:
        return None
    finally:
        sys.setprofile(None)
        signal.alarm(0)
    return None if any(report.failed for report in reports) else sum(report.duration for report in reports)


def nodes_of(rule: int) -> list[str]:
    """The tests that claim the rule, as pytest names them."""
    assert TESTS is not None
    where = {path.stem: path for path in TESTS.rglob("test_*.py")}
    claimed = next(one for one in kept() if one.number == rule).tests
    return [f"{where[name.partition('::')[0]]}::{name.partition('::')[2]}" for name in claimed]


def main(rule: int) -> int:
    """Break and print. Exit code 1: no break was noticed."""
    breaking = Breaking(rule)
    with redirect_stdout(io.StringIO()):
        quiet = [f"-pno:{plugin}" for plugin in ("cacheprovider", "xdist", "unraisableexception")]
        ended = pytest.main(["-q", *quiet, *nodes_of(rule)], plugins=[breaking])
    if ended == pytest.ExitCode.INTERNAL_ERROR:
        raise RuntimeError(f"the tests of R{rule:02d} could not be run; run pytest on {' '.join(nodes_of(rule))}")
    print(json.dumps({f"R{rule:02d}": breaking.noticed}))
    return 0 if breaking.noticed else 1


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1].removeprefix("R"))))
