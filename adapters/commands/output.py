"""Where a command's words go: a terminal of few letters, a pipe that closes or a full disk spoils the words, and nothing else."""

import errno
import os
import sys
from contextlib import suppress
from io import TextIOWrapper
from typing import TYPE_CHECKING, Any, TextIO, cast

if TYPE_CHECKING:
    from rich.console import Console

LONGEST = 2_000
"""So many characters a complaint may have: somebody else's words may be in it (R108)."""
_LOST: list[OSError] = []
"""What befell the words of an onlooker's console."""


def prepare() -> None:
    """What a terminal has no letters for is written as its code; a stream that was closed takes words for nothing.

    A descriptor that is free would be given to the next file: a program that we start would write its words into a recording.
    """
    _LOST.clear()
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    if sys.stderr is None:
        sys.stderr = os.fdopen(2, "w", errors="backslashreplace", closefd=False)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            with suppress(OSError):
                stream.reconfigure(errors="backslashreplace")


def console() -> "Console":
    """A console that takes words as they are, `[so]` and `:so:` too, and that ends no call when nobody can read it any more (R105).

    From then on what anybody prints goes the same way: a tool that prints has not failed because a pipe was closed.
    """
    from rich.console import Console

    if sys.stdout and not isinstance(sys.stdout, _Onlooker):
        sys.stdout = cast(TextIO, _Onlooker(sys.stdout))
    file: Any = sys.stdout
    return Console(file=file, highlight=False, markup=False, emoji=False, soft_wrap=True)


def announce(line: str) -> None:
    """Write a line at once, of a program that goes on whoever reads it (R105)."""
    try:
        print(line, flush=True)
    except OSError as error:
        _LOST.append(error)
    except ValueError:
        _LOST.append(_closed())


def complain(words: str) -> None:
    """Write one line to standard error; where that takes nothing, the exit code says it alone.

    What would break the line or steer the terminal, in the name of a file perhaps, is written as its code.
    """
    words = words.rstrip("\n")
    words = words if len(words) <= LONGEST else f"{words[:LONGEST]}…"
    line = "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in words)
    try:
        sys.stderr.write(f"{line}\n")
        sys.stderr.flush()
    except ValueError:  # somebody's code closed it, and with it not the descriptor
        with suppress(OSError):
            os.write(2, f"{line}\n".encode(errors="backslashreplace"))
    except OSError:
        _to_nothing(sys.stderr)  # else Python fails on what is left to be written, and its exit code is not ours


def finish(code: int) -> int:
    """Write what is left to be written. Gives the exit code, which is 1 where words were lost and all else went well."""
    try:
        if sys.stdout:
            sys.stdout.flush()
        lost = _LOST[0] if _LOST else None
    except (OSError, ValueError) as error:
        lost = error if isinstance(error, OSError) else None
    return lose(lost, code) if lost else code


def lose(error: OSError, code: int = 0) -> int:
    """Standard output takes no more: say so, unless it was closed by who reads it. Gives the exit code."""
    _to_nothing(sys.stdout)
    if isinstance(error, BrokenPipeError):
        return code
    complain(f"callfsm: standard output can't be written ({error.strerror}); send it elsewhere\n")
    return code or 1


def _closed() -> OSError:
    """What befell words for a stream that somebody's code closed: Python says no more than ValueError."""
    return OSError(errno.EBADF, os.strerror(errno.EBADF))


def _to_nothing(stream: TextIO | None) -> None:
    """From now on what is written there goes nowhere."""
    with suppress(OSError, ValueError, AttributeError):
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, stream.fileno())  # type: ignore[union-attr]
        os.close(nothing)


class _Onlooker:
    """A stream whose faults are remembered and not raised."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        try:
            return self._stream.write(text)
        except OSError as error:
            _LOST.append(error)
        except ValueError:
            _LOST.append(_closed())
        return len(text)

    def flush(self) -> None:
        try:
            self._stream.flush()
        except OSError as error:
            _LOST.append(error)
        except ValueError:
            _LOST.append(_closed())
