"""`callfsm rules`: what keeps each rule."""

import argparse
from typing import TYPE_CHECKING, Any

from adapters.commands.common import Refused, command

if TYPE_CHECKING:
    from adapters.proof.rules import Kept


def add(commands: Any) -> None:
    """Declare the command."""
    what = "list the rules, the rows that keep each, and the tests that go red when it is broken"
    parser = command(commands, "rules", _rules, what, "callfsm rules R01 R30")
    parser.add_argument("rule", nargs="*", help="only these, with all their rows and tests")


def _rules(options: argparse.Namespace) -> int:
    from adapters.proof.rules import TESTS, kept

    rules = kept()
    if unknown := set(options.rule) - {rule.name for rule in rules}:
        raise Refused(f"no such rule: {', '.join(sorted(unknown))}; they are {rules[0].name} to {rules[-1].name}")
    for rule in rules:
        if not options.rule:
            print(f"{rule.name}  {rule.title}  ({len(rule.rows)} rows; {_proved(rule)})")
        elif rule.name in options.rule:
            print(
                f"{rule.name}  {rule.title}",
                *(f"  row   {row.name}" for row in rule.rows),
                *(f"  red   {test}, at {count} of {rule.breaks} breaks" for test, count in rule.noticed_by),
                *(f"  test  {test}" for test in rule.tests),
                sep="\n",
            )
    if not options.rule:
        print(f"{sum(1 for rule in rules if rule.breaks)} of {len(rules)} are proved by breaking what names them; the others by their form")
    if TESTS is None:
        print("the tests that claim each are in the source distribution, not in the installed package")
    return 0


def _proved(rule: "Kept") -> str:
    if rule.breaks:
        return f"{rule.breaks} breaks noticed, most by {rule.noticed_by[0][0]}"
    return f"by its form: {', '.join(rule.tests) or 'the tests say'}"
