"""`callfsm rules`: what keeps each rule."""

import argparse
from typing import Any

from adapters.commands.common import Refused, command


def add(commands: Any) -> None:
    """Declare the command."""
    parser = command(
        commands, "rules", _rules, "list the rules, the rows that keep each and the tests that claim it", "callfsm rules R01 R30"
    )
    parser.add_argument("rule", nargs="*", help="only these, with all their rows and tests")


def _rules(options: argparse.Namespace) -> int:
    from adapters.proof.rules import TESTS, kept

    rules = kept()
    if unknown := set(options.rule) - {rule.name for rule in rules}:
        raise Refused(f"no such rule: {', '.join(sorted(unknown))}; they are {rules[0].name} to {rules[-1].name}")
    for rule in rules:
        if not options.rule:
            tests = f", {len(rule.tests)} tests" if TESTS else ""
            print(f"{rule.name}  {rule.title}  ({len(rule.rows)} rows{tests})")
        elif rule.name in options.rule:
            print(
                f"{rule.name}  {rule.title}",
                *(f"  row   {row.name}" for row in rule.rows),
                *(f"  test  {test}" for test in rule.tests),
                sep="\n",
            )
    if TESTS is None:
        print("the tests that claim each are in the source distribution, not in the installed package")
    elif not options.rule:
        print(f"{sum(1 for rule in rules if rule.tests)} of {len(rules)} are claimed by a test")
    return 0
