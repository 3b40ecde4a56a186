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
from time import monotonic
from types import FrameType

import anyio

from adapters.seam.foreign import thread_safe

LAST_S = 0.8
"""How long the rest may take, once all is to end."""
_LOG = logging.getLogger("callfsm.ending")


class Ending:
    """The signals that come while it is `listening`, and the end of the process where that does not come by itself."""

    def __init__(self) -> None:
        self._signals: list[int] = []
        self._taken = 0
        self._wake: Callable[[], None] | None = None
        self._orders: SimpleQueue[int | None] = SimpleQueue()

    async def told(self) -> int:
        """The number of the next signal, once it has come."""
        while self._taken == len(self._signals):
            news = anyio.Event()
            self._wake = thread_safe(news.set)
            if self._taken == len(self._signals):
                await news.wait()
        self._taken += 1
        return self._signals[self._taken - 1]

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Note SIGTERM, SIGHUP and Ctrl-C while the block lasts, in the main thread; a second one ends the process soon, whatever hangs.

        A SIGHUP that is ignored, as `nohup` has it, stays so.
        """
        numbers = [signal.SIGTERM, signal.SIGINT, *([] if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN else [signal.SIGHUP])]
        before = {number: signal.signal(number, self._note) for number in numbers}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def must_end(self, code: int) -> None:
        """All that was to be done is done: what hangs for more than LAST_S is cut off, and the exit code is this one."""
        self._orders.put(code)

    def _note(self, number: int, _: FrameType | None) -> None:
        self._signals.append(number)
        if len(self._signals) > 1:
            self.must_end(128 + number)
        if self._wake is not None:
            self._wake()

    def _watch(self) -> None:
        code, until_s = self._orders.get(), monotonic() + LAST_S
        try:
            while code is not None:
                # Whoever asks again does not put it off.
                last = code
                code = self._orders.get(timeout=max(0.0, until_s - monotonic()))
        except Empty:
            _LOG.error("cut_off: something does not end, and the process ends without it")
            # The log has a writer of its own, which may be a moment behind.
            threading.Event().wait(0.1)
            os._exit(last)

    def __enter__(self) -> "Ending":
        # Begun now: a signal may come in the middle of anything, where no thread can be started.
        threading.Thread(target=self._watch, name="ending", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        """It has come to its end by itself."""
        self._orders.put(None)
