"""What the commands share: how one is declared, how it refuses bad input, and how settings of the policy are read from flags."""

import argparse
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs

from adapters.seam.wellformed import well_formed
from fsm.call.policy import Policy


class Refused(Exception):
    """Something that the user can mend; its text is the one line that they see."""


def command(commands: Any, name: str, run: Callable[[argparse.Namespace], int], text: str, example: str) -> argparse.ArgumentParser:
    """Declare a command: `run` gets its options and gives the exit code; `text` is its help, `example` ends it."""
    parser: argparse.ArgumentParser = commands.add_parser(
        name, help=text, description=text, epilog=f"example: {example}", formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.set_defaults(run=run, parser=parser)
    return parser


def add_page(parser: argparse.ArgumentParser, what: str) -> None:
    """Declare `--page`, which shows `what`."""
    text = f"show {what} on a page, at this port of 127.0.0.1 (default: a free one)"
    parser.add_argument("--page", type=int, nargs="?", const=0, metavar="PORT", help=text)


def add_without(parser: argparse.ArgumentParser, what: str) -> None:
    """Declare `--without`, which makes a stand-in a `what` that lacks something."""
    text = f"be a compatible {what} that lacks this; may be given again; `--without help` lists the names"
    parser.add_argument("--without", action="append", default=[], metavar="NAME", help=text)


@contextmanager
def refusing(give: str) -> Iterator[None]:
    """Why a server could not begin, or go on, as a Refused: in its words, or those of a port or folder with what to `give` instead."""
    from adapters.hosts.embedded import StandInError
    from adapters.realtime.websocket import WebSocketError
    from adapters.seam.errors import first_of

    try:
        yield
        return
    except* WebSocketError as group:
        refusal = f"--realtime: {first_of(group)}"
    except* (StandInError, ValueError) as group:
        refusal = str(first_of(group))
    except* OSError as group:
        error = first_of(group)
        refusal = f"{error.filename}: {error.strerror}; give {give}" if isinstance(error, OSError) and error.filename else str(error)
    raise Refused(refusal)


def refuse_no_text(values: Iterable[object]) -> None:
    """Raise Refused for words that are none: the name of a file may be of any octets, what is said to a server may not."""
    for value in values:
        for words in value if isinstance(value, list) else [value]:
            if isinstance(words, str) and well_formed(words) != words:
                raise Refused(f"{words}: that is no text in UTF-8")


def refuse_port(option: str, port: int) -> None:
    """Raise Refused for what is no port."""
    if not 0 <= port <= 65_535:
        raise Refused(f"{option} {port}: it takes a number from 0 to 65,535")


def refuse_unwritable(option: str, folder: Path) -> None:
    """Raise Refused for a folder that is none, or that could not be made or written."""
    try:
        os.lstat(folder)
    except FileNotFoundError:
        pass
    except OSError as error:
        raise Refused(f"{option} {folder}: {error.strerror}; give a folder that can be written") from None
    try:
        above = folder.absolute().parents
    except OSError:
        raise Refused(f"{option} {folder}: the folder that we are in is gone; change to another, or give a whole path") from None
    there = next(path for path in (folder, *above) if os.path.lexists(path))
    if not there.is_dir() or not os.access(there, os.W_OK):
        raise Refused(f"{option} {folder}: {there} is no folder that can be written; give one that can")


def refuse_used(option: str, folder: Path, *files: str) -> None:
    """The same, and for a folder that holds one of these files of an older call, which is never written over."""
    refuse_unwritable(option, folder)
    if there := [name for name in files if os.path.lexists(folder / name)]:
        raise Refused(f"{option} {folder}: it holds {there[0]} of another call; give a folder without one")


def settings(given: list[str]) -> dict[str, Any]:
    """The fields of the policy that `--set NAME=VALUE` gives, by name; Refused for a name that is none."""
    values: dict[str, Any] = {}
    kinds = {field.name: type(field.default) for field in attrs.fields(Policy)}
    for setting in given:
        name, _, text = setting.partition("=")
        if name not in kinds or not text:
            raise Refused(f"--set {setting}: give NAME=VALUE with a field of the policy; `callfsm call --set help` lists them")
        values[name] = _parsed(text, kinds[name])
    return values


def _parsed(text: str, kind: type) -> object:
    """The value of a setting; what cannot be read is left to the policy's own validator to refuse."""
    if kind is bool:
        return {"true": True, "yes": True, "false": False, "no": False}.get(text.lower(), text)
    if kind is str:
        return text
    try:
        return int(text) if kind is int and text.lstrip("-").isdigit() else float(text)
    except ValueError:
        return text
