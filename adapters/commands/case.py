"""`callfsm case`: field logs, run through the core and judged."""

import argparse
from pathlib import Path
from typing import Any

from adapters.commands.common import Refused, command


def add(commands: Any) -> None:
    """Declare the command."""
    parser = command(commands, "case", _case, "run field logs through the core and judge their checks", "callfsm case cases/*.jsonl")
    parser.add_argument("file", type=Path, nargs="+", help="a case: a header line with its checks, then a JSON row a line")


def _case(options: argparse.Namespace) -> int:
    from adapters.cases import judge as cases

    failed = 0
    for file in options.file:
        try:
            case = cases.read_case(file)
            verdicts, history = cases.judge(case)
        except cases.CaseError as error:
            raise Refused(str(error)) from None
        print(case.name)
        for verdict in verdicts:
            word = {True: "pass", False: "FAIL", None: "    "}[verdict.holds]
            print(f"  {word}  {verdict.check}" + ("" if verdict.holds is None else f"   [{verdict.seen}]"))
            if verdict.holds is False:
                failed += 1
                for line in cases.steps_before(history, verdict.until_ms):
                    print(f"          {line}")
    print(f"{len(options.file)} cases, {failed} checks failed")
    return 1 if failed else 0
