"""The log of a phone server: a line of JSON for each thing that happened to a call; never speech, a token, or a whole phone number.

The fields are chosen where they are logged; words from outside are cut and stripped of long numbers. Of an exception the type
and the places are logged, and not its text, which may hold what was said.
"""

import io
import json
import logging
import re
import sys
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from datetime import UTC, datetime
from types import TracebackType
from typing import TextIO, cast

from adapters.hosts.phone.ration import Ration
from adapters.telling.steady import Steady

LOG = logging.getLogger("callfsm.phone")
MAX_CHARS = 200
"""The longest text of a field."""
_NUMBER = re.compile(r"\+?\d[\d\s().-]{5,}\d")
_QUIET = ("uvicorn", "uvicorn.error", "websockets", "httpx", "httpcore", "callfsm.websocket")

Excuse = tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]


def tell(level: int, event: str, call: str = "", **fields: object) -> None:
    """Log that something happened; `call` is the id of a call."""
    LOG.log(level, event, extra={"fields": {**({"call": call} if call else {}), **fields}})


def tell_bug(event: str, bug: BaseException, call: str = "", **fields: object) -> None:
    """Log an exception by its type and where it came from."""
    tell(logging.ERROR, event, call, **fields, **described(bug))


def described(bug: BaseException) -> dict[str, object]:
    """An exception without its text."""
    if isinstance(bug, BaseExceptionGroup) and len(bug.exceptions) == 1:
        return described(bug.exceptions[0])
    return {"type": type(bug).__name__, "where": places(traceback.extract_tb(bug.__traceback__))}


def places(frames: traceback.StackSummary) -> list[str]:
    """The last few places of a stack, the innermost last."""
    return [f"{frame.filename.rsplit('/', 1)[-1]}:{frame.lineno} {frame.name}" for frame in frames[-6:]]


def masked(text: str) -> str:
    """Words from outside, fit for a log: one line, not long, and without anything like a phone number."""
    return _NUMBER.sub("…", " ".join(text.split()))[:MAX_CHARS]


def last_digits(number: str) -> str:
    """What is logged of a phone number: its last two digits."""
    return f"…{number[-2:]}" if len(number) > 4 else "…"


class JsonLines(logging.Formatter):
    """One JSON object a line: `at` (UTC), `level`, `event`, `call`, and the fields of the event."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        line: dict[str, object] = {"at": at, "level": record.levelname.lower()}
        fields = getattr(record, "fields", None)
        if fields is None:
            line |= {"event": "log", "logger": record.name, "words": masked(record.getMessage())}
        else:
            line |= {"event": record.getMessage(), **fields}
        if withheld := getattr(record, "withheld", 0):
            line["withheld"] = withheld
        bug = record.exc_info[1] if record.exc_info else None
        return json.dumps(line | (described(bug) if bug is not None else {}), default=str)


def _nobody(_: str) -> None:
    """A log that cannot be written has nowhere to say so."""


def _thread_failed(failed: threading.ExceptHookArgs) -> None:
    """A thread that somebody's code began has failed: that is a line of the log, too."""
    if failed.exc_value is not None:
        tell_bug("thread_failed", failed.exc_value)


@contextmanager
def logging_to(stream: TextIO | None = None, level: int = logging.INFO) -> Iterator[None]:
    """While the block lasts, everything is logged as JSON lines to `stream` (default: standard error); libraries only from a warning on.

    A stream that takes nothing holds nobody up, and a flood of one kind is counted (R105, R108).
    """
    steady = Steady(stream or sys.stderr, _nobody)
    handler = logging.StreamHandler(cast(TextIO, steady))
    handler.setFormatter(JsonLines())
    handler.addFilter(Ration())
    root = logging.getLogger()
    hook, threading.excepthook = threading.excepthook, _thread_failed
    before = root.handlers[:], root.level, {name: logging.getLogger(name).level for name in _QUIET}
    root.handlers[:] = [handler]
    root.setLevel(level)
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
    try:
        yield
    finally:
        threading.excepthook = hook
        steady.drain()
        root.handlers[:], quiet = before[0], before[2]
        root.setLevel(before[1])
        for name, one in quiet.items():
            logging.getLogger(name).setLevel(one)


class _Printed(io.TextIOBase):
    """A stream whose lines become lines of the log: what a tool prints breaks no JSON, and fails at no pipe that was closed (R105)."""

    def __init__(self, name: str) -> None:
        self._name, self._mine = name, threading.local()

    def writable(self) -> bool:
        """Yes."""
        return True

    def write(self, text: str) -> int:
        """Log the lines that are whole; each thread has its own. What a fault of the log prints is dropped, as it would log again."""
        if getattr(self._mine, "logs", False):
            return len(text)
        *lines, rest = (getattr(self._mine, "rest", "") + text[:_MOST]).split("\n")
        self._mine.rest, self._mine.logs = rest[:_MOST], True
        try:
            for line in lines:
                if words := masked(line):
                    tell(logging.INFO, "printed", to=self._name, words=words)
        finally:
            self._mine.logs = False
        return len(text)


_MOST = 4_096
"""The longest text that is looked at: the log shows a few lines of it at the most (R108)."""


@contextmanager
def printing_to_log() -> Iterator[None]:
    """While the block lasts, what is printed by anybody's Python code in this process is a line of the log."""
    with redirect_stdout(_Printed("stdout")), redirect_stderr(_Printed("stderr")):
        yield
