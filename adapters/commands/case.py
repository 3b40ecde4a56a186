"""`callfsm case`: field logs, run through the core and judged."""

import argparse
from pathlib import Path
from typing import Any

from adapters.commands.common import Refused, command


def add(commands: Any) -> None:
    """Declare the command."""
    parser = command(commands, "case", _case, "run field logs through the core and judge their checks", "callfsm case tests/cases/*.jsonl")
    parser.add_argument("file", type=Path, nargs="+", help="a case: a header line with its checks, then a JSON row a line")


def _case(options: argparse.Namespace) -> int:
    """Judge each file; those that are no cases are refused at the end, after all others were judged."""
    from adapters.proof.cases.judge import CaseError

    failed, refused = 0, []
    for file in options.file:
        try:
            failed += _judged(file)
        except CaseError as error:
            refused.append(str(error))
    if judged := len(options.file) - len(refused):
        print(f"{judged} cases, {failed} checks failed")
    if refused:
        raise Refused("; ".join(refused))
    return 1 if failed else 0


def _judged(file: Path) -> int:
    """Print what became of each check of a case; gives how many failed. Raises CaseError."""
    from adapters.proof.cases import judge as cases

    case = cases.read_case(file)
    verdicts, history = cases.judge(case)
    _say(case.name)
    for verdict in verdicts:
        word = {True: "pass", False: "FAIL", None: "    "}[verdict.holds]
        _say(f"  {word}  {verdict.check}" + ("" if verdict.holds is None else f"   [{verdict.seen}]"))
        if verdict.holds is False:
            for line in cases.steps_before(history, verdict.until_ms):
                _say(f"          {line}")
    for unknown in cases.passed_over(case):
        _say(f"  note  passed over: {unknown}")
    return sum(verdict.holds is False for verdict in verdicts)


def _say(line: str) -> None:
    """Print a line of a log's words, which need not be whole characters."""
    print(line.encode(errors="backslashreplace").decode())
