"""The command line: `callfsm COMMAND …`; it parses, hands over, and turns every expected fault into one line and exit code 2."""

import argparse
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from adapters.commands import call, case, devices, diagrams, dial, replay, report, rules, serve, sim, stand_in, verify
from adapters.commands.common import Refused

COMMANDS = (call, devices, serve, dial, stand_in, replay, report, case, rules, diagrams, verify, sim)
"""The commands, in the order in which `--help` shows them; each module has an `add`."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command. Exit codes: 0 done, 1 a check failed, 2 bad input, 130 interrupted."""
    options = _parser().parse_args(arguments)
    _reach_ourselves_directly()
    try:
        return int(options.run(options))
    except Refused as error:
        print(f"callfsm: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        sys.stderr.close()
        return 0


def _reach_ourselves_directly() -> None:
    """No proxy stands between this machine and itself: the stand-ins are here, and whoever sets HTTP_PROXY seldom thinks of that."""
    for name in ("no_proxy", "NO_PROXY"):
        given = os.environ.get(name)
        if given != "*" and (given is not None or name == "NO_PROXY"):
            os.environ[name] = ",".join(filter(None, [given, "localhost", "127.0.0.1", "::1"]))


class _Parser(argparse.ArgumentParser):
    """A parser that refuses in one line too."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong with the arguments, and where to read more."""
        self.exit(2, f"callfsm: {message}; see `{self.prog} --help`\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="callfsm", description="An explicit, checked state machine for a voice agent's call.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for one in COMMANDS:
        one.add(commands)
    return parser


if __name__ == "__main__":
    sys.exit(main())
