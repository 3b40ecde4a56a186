"""`python -m tests.mutants.proving`: for each rule, what goes red when what keeps it is broken; writes `adapters/proof/proved.json`.

A rule that rows or functions of the tables name: all their mutants, and the claims and cases that noticed each. One that functions of the
adapters alone name: a few breaks of these, and the tests that noticed each (`tests.mutants.shell`). A quarter of an hour.
"""

import json
import subprocess
import sys
from collections import Counter, defaultdict
from pathlib import Path

from rich.console import Console
from rich.progress import track

from adapters.proof.rules import PROVED, RULES, numbers_in, words_of

from .judging import By
from .running import Wanted, bodies, mutants, score_of_all

MOST = 5
"""How many tests are named for a rule: those that notice most."""
Proof = dict[str, int | dict[str, int]]


def main() -> int:
    """Break, and write. Exit code 1: a rule is left that no break of anything tells."""
    found = {number: _told(by) for number, by in sorted(of_tables().items())}
    left = [number for number in range(1, len(RULES) + 1) if number not in found]
    console = Console(stderr=True)
    for number in track(left, "rules that adapters keep", console=console, transient=True):
        if by := of_adapters(number):
            found[number] = _told(by)
    PROVED.write_text(json.dumps({f"R{number:02d}": found[number] for number in sorted(found)}, indent=1) + "\n", encoding="utf-8")
    silent = [f"R{number:02d}" for number in left if number not in found]
    print(f"{len(found)} of {len(RULES)} rules, of which {len(found) - (len(left) - len(silent))} in the tables", *silent)
    return 1 if silent else 0


def of_tables() -> dict[int, Counter[str]]:
    """Of each rule that rows or functions of the tables name: who noticed its mutants, and how many."""
    by: dict[int, Counter[str]] = defaultdict(Counter)
    texts = [
        *[" ".join(words_of(row) for row in mutant.rows) for mutant in mutants(Wanted())],
        *[mutant.function.__doc__ or "" for mutant in bodies(Wanted())],
    ]
    for text, finding in zip(texts, score_of_all().findings, strict=True):
        if finding.by in (By.CLAIM, By.CASE):
            for number in numbers_in(text):
                by[number][finding.word.partition("[")[0]] += 1
    return by


def of_adapters(number: int) -> Counter[str]:
    """Who noticed the breaks of functions of the adapters that name the rule."""
    command = [sys.executable, "-m", "tests.mutants.shell", f"R{number:02d}"]
    done = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True, check=False)
    return Counter(json.loads(done.stdout.splitlines()[-1])[f"R{number:02d}"].values()) if done.stdout else Counter()


def _told(by: Counter[str]) -> Proof:
    return {"breaks": by.total(), "noticed_by": dict(by.most_common(MOST))}


if __name__ == "__main__":
    sys.exit(main())
