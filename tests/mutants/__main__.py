"""`python -m tests.mutants`: breaks the tables one change at a time, prints who noticed each, and fails if nobody did."""

import argparse
import re
import sys
from pathlib import Path
from time import perf_counter

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from adapters.proof.cases.judge import CaseError
from fsm import CALL

from .running import Score, Wanted, score
from .showing import CAUGHT, percent, score_tables, verdict
from .witnesses import CASES


def main(arguments: list[str] | None = None) -> int:
    """Judge and print. Exit code 1: a mutant survived, or the list of equivalents is wrong; 2: something cannot be read."""
    given = _parser().parse_args(arguments)
    proof = not given.fast or bool(given.alone)
    wanted = Wanted(tuple(given.table), (CASES, *given.cases), proof, given.body, given.rule, given.alone)
    if missing := [str(folder) for folder in given.cases if not folder.is_dir()]:
        print(f"mutants: no such folder: {missing[0]}; --cases takes a folder of cases (.jsonl)", file=sys.stderr)
        return 2
    began_s = perf_counter()
    try:
        found = _judged(wanted, given.jobs)
    except CaseError as error:
        print(f"mutants: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("mutants: interrupted", file=sys.stderr)
        return 130
    whole = not (given.table or given.body or given.rule or given.alone)
    return _shown(found, perf_counter() - began_s, every=given.list or bool(given.rule), whole=whole, alone=bool(given.alone))


def _judged(wanted: Wanted, jobs: int | None) -> Score:
    """The score, with its progress on standard error."""
    columns = (TextColumn("mutants"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("mutants", total=None)

        def watch(done: int, of: int) -> None:
            progress.update(task, completed=done, total=of)

        return score(wanted, jobs, watch)


def _shown(found: Score, seconds: float, *, every: bool, whole: bool, alone: bool) -> int:
    """Print the score; the exit code."""
    console = Console(highlight=False, soft_wrap=True)
    if every:
        for finding in found.findings:
            console.print(f"{finding.by:12}  {finding.name}{'  ' if finding.word else ''}{finding.word}", markup=False)
    for table in score_tables(found.findings):
        console.print(table)
        console.print()
    judgement = verdict(found.findings, whole=whole)
    faults = [*judgement.lines(), *[f"LEFT OUT, as it fails on the sound tables  {name}" for name in found.failing]]
    for line in faults:
        console.print(line, markup=False)
    caught = sum(one.by in CAUGHT for one in found.findings)
    console.print(
        f"{len(found.findings):,} mutants, {caught:,} caught, {len(judgement.survivors):,} survived: "
        f"{percent(found.findings):.2f} % of those that a call can tell, in {seconds:.0f} s"
    )
    return 1 if faults and not alone else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m tests.mutants", description=__doc__)
    parser.add_argument("--table", action="append", default=[], choices=[table.name for table in CALL.regions], help="this table alone")
    parser.add_argument("--body", type=_pattern, default="", metavar="REGEX", help="bodies of functions alone, whose mutants' names match")
    parser.add_argument("--rule", type=_rule, default=0, metavar="R30", help="what names this rule alone, each with who notices it broken")
    parser.add_argument(
        "--alone",
        type=_count,
        default=0,
        metavar="N",
        help="a sample of N (not of the places of rows), shown to the import check and the proof alone",
    )
    parser.add_argument("--fast", action="store_true", help="ask no proof: as the tests do")
    parser.add_argument("--cases", action="append", default=[], type=Path, metavar="DIR", help="more cases than those of tests/cases")
    parser.add_argument("--jobs", type=_count, metavar="N", help="how many processes (as many as there are cores)")
    parser.add_argument("--list", action="store_true", help="print each mutant with what noticed it")
    return parser


def _pattern(word: str) -> str:
    try:
        re.compile(word)
    except re.error as error:
        raise argparse.ArgumentTypeError(f"{word!r} is no regular expression: {error}") from None
    return word


def _rule(word: str) -> int:
    if not re.fullmatch(r"R\d{2,3}", word):
        raise argparse.ArgumentTypeError(f"{word!r} is no rule: R01 to R110")
    return int(word[1:])


def _count(word: str) -> int:
    if not word.isdecimal() or not 1 <= int(word) <= 256:
        raise argparse.ArgumentTypeError(f"{word!r} is no number from 1 to 256")
    return int(word)


if __name__ == "__main__":
    sys.exit(main())
