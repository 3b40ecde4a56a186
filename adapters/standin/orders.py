"""Faults that whoever started a stand-in orders while it runs: a line of its standard input is a script, which begins when it is read."""

import os
import signal
from collections.abc import Callable

from adapters.standin.faults import Fault, Repertoire, ScriptError, parse

LONGEST = 65_536
"""The longest line that is an order, in bytes; what cannot be read is none."""


class Orders:
    """The orders of the parent, and its end: then its end of our standard input closes, however it ended, and the stand-in stops."""

    def __init__(self, repertoire: Repertoire) -> None:
        self._repertoire = repertoire
        self.take: Callable[[Fault], object] = _nobody
        """Told each fault, in the thread of `read`."""

    def read(self) -> None:
        """Read until the parent is gone; for a thread of its own."""
        held = b""
        # not sys.stdin: a thread that sits in its lock when the process ends is a fatal error of the interpreter
        while piece := os.read(0, 65_536):
            *lines, held = (held + piece).split(b"\n")
            held = held[-LONGEST:]
            for line in lines:
                self.obey(line)
        os.kill(os.getpid(), signal.SIGTERM)

    def obey(self, line: bytes) -> None:
        """A line of the parent."""
        try:
            script = parse(line.decode(errors="replace"), self._repertoire, "the order")
        except ScriptError:
            return
        for fault in script.faults:
            self.take(fault)


def _nobody(_: Fault) -> None:
    """Nothing is served yet."""
