"""`callfsm diff`: what a change of the tables changes."""

import argparse
from pathlib import Path
from typing import Any

from adapters.commands.common import Refused, command

ROOT = Path(__file__).parents[2]


def add(commands: Any) -> None:
    """Declare the command."""
    parser = command(commands, "diff", _diff, "show which rows of the tables differ from those of a git revision", "callfsm diff main")
    parser.add_argument("revision", metavar="REV", help="a commit, a branch or a tag of this clone")


def _diff(options: argparse.Namespace) -> int:
    from adapters.proof.review import ReviewError, changes

    if options.revision.startswith("-") or not (ROOT / ".git").exists():
        raise Refused(f"REV {options.revision!r}: it takes a revision of a clone of the project, and this is none")
    try:
        found = changes(options.revision, ROOT)
    except ReviewError as error:
        raise Refused(f"REV {options.revision!r}: {error}") from None
    table = ""
    for change in found:
        if change.table != table:
            table = change.table
            print(f"{table}  (diagrams/{table}.svg)")
        if change.was is not None:
            print(f"  - {change.row}\n      {change.was}")
        if change.now is not None:
            print(f"  + {change.row}\n      {change.now}")
    came, gone = sum(change.was is None for change in found), sum(change.now is None for change in found)
    print(f"{came} rows came, {gone} went, {len(found) - came - gone} say something else; callfsm verify judges what the tables do now")
    return 0
