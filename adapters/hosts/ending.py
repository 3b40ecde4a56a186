"""How a process ends: politely when it is told to, and within a second when it is told twice, whatever hangs (R105).

The handlers are Python's own, which run even while the event loop is blocked; the one who ends the process is a thread.
"""

import logging
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from queue import Empty, SimpleQueue
from types import FrameType

LAST_S = 0.8
"""How long the rest may take, once all is to end."""
_LOG = logging.getLogger("callfsm.ending")


class Ending:
    """The signals that came, and the end of the process where it does not come of itself; made by `ending`."""

    def __init__(self, told: Callable[[], None]) -> None:
        """`told` is called at each signal, in the main thread, perhaps in the middle of anything: have it only wake somebody."""
        self.signals: list[int] = []
        self._told = told
        self._orders: SimpleQueue[int | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._watch, name="ending", daemon=True)
        self._thread.start()

    def note(self, number: int, _: FrameType | None) -> None:
        """Take a signal; the second one ends the process soon."""
        self.signals.append(number)
        if len(self.signals) > 1:
            self.must_end(128 + number)
        self._told()

    def must_end(self, code: int) -> None:
        """All that was to be done is done: whatever still hangs after LAST_S is cut off, with this exit code."""
        self._orders.put(code)

    def has_ended(self) -> None:
        """It came to its end by itself."""
        self._orders.put(None)

    def _watch(self) -> None:
        code = self._orders.get()
        if code is None:
            return
        try:
            while (later := self._orders.get(timeout=LAST_S)) is not None:
                code = later
        except Empty:
            _LOG.error("cut_off: something does not end, and the process ends without it")
            # The log has a writer of its own, which may be a moment behind.
            threading.Event().wait(0.1)
            os._exit(code)


@contextmanager
def ending(told: Callable[[], None]) -> Iterator[Ending]:
    """While the block lasts SIGTERM and Ctrl-C are noted; from the main thread alone."""
    end = Ending(told)
    before = {number: signal.signal(number, end.note) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield end
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        end.has_ended()
