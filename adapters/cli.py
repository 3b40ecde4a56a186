"""The command line: `callfsm COMMAND …`; it parses, hands over, and turns every expected fault into one line and exit code 2."""

import argparse
import errno
import os
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

from adapters.commands import call, case, devices, diagrams, dial, diff, output, page, replay, report, rules, serve, sim, stand_in, verify
from adapters.commands.common import Refused, refuse_no_text

COMMANDS = (call, page, devices, serve, dial, stand_in, replay, report, case, rules, diagrams, diff, verify, sim)
"""The commands, in the order in which `--help` shows them; each module has an `add`."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command. Exit codes: 0 done, 1 a check failed or words were lost, 2 bad input, 128 and more for the signal that ended it."""
    output.prepare()
    try:
        return output.finish(_run(arguments))
    except KeyboardInterrupt:
        return 130


def _run(arguments: Sequence[str] | None) -> int:
    try:
        options, unknown = _parser().parse_known_args(arguments)
        if unknown:
            options.parser.error(f"unrecognized arguments: {' '.join(unknown)}")
        refuse_no_text(vars(options).values())
        _reach_ourselves_directly()
        options.given = list(sys.argv[1:] if arguments is None else arguments)[1:]
        return int(options.run(options))
    except SystemExit as end:
        return int(end.code or 0)
    except Refused as error:
        output.complain(f"callfsm: {error}\n")
        return 2
    except OSError as error:
        # a fault that names no file is that of the output, where no command has said otherwise
        if error.filename or error.errno not in (errno.EPIPE, errno.ENOSPC, errno.EIO):
            raise
        return output.lose(error)


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

    def _print_message(self, message: str, file: Any = None) -> None:
        """Write it, and raise what argparse would hide: an output that takes nothing is told."""
        if file is sys.stdout:
            file.write(message)
        else:
            output.complain(message)


class _Version(argparse.Action):
    """Tells the version, of the package that is installed."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> NoReturn:
        from importlib.metadata import PackageNotFoundError, version

        try:
            found = version("callfsm")
        except PackageNotFoundError:
            found = "of a folder that is not installed"
        print(f"callfsm {found}")
        parser.exit()


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="callfsm", description="An explicit, checked state machine for a voice agent's call.")
    parser.add_argument("--version", action=_Version, nargs=0, help="show the version")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for one in COMMANDS:
        one.add(commands)
    return parser


if __name__ == "__main__":
    sys.exit(main())
