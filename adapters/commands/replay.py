"""`callfsm replay`: a recorded call, run again."""

import argparse
from pathlib import Path
from typing import Any

from adapters.commands.common import Refused, command


def add(commands: Any) -> None:
    """Declare the command."""
    parser = command(
        commands, "replay", _replay, "run a recorded call again and compare every step", "callfsm replay calls/20260101-120000/call.trace"
    )
    parser.add_argument("trace", type=Path)


def _replay(options: argparse.Namespace) -> int:
    from adapters.telling.trace import TraceError, read_trace

    try:
        trace = read_trace(options.trace)
        difference = trace.first_difference()
    except TraceError as error:
        raise Refused(str(error)) from None
    if difference:
        print(f"{options.trace}: {difference}")
        return 1
    cut = "" if trace.whole else "; it ends with its last whole line: the process died in mid-call"
    print(f"{options.trace}: {len(trace.lines)} steps, every row and effect as recorded{cut}")
    return 0
