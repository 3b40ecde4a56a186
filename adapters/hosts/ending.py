"""How a process ends: politely when it is told to, and within a second when it is told twice, whatever hangs (R105); never by a stray task.

The handlers are Python's own, which run even while the event loop is blocked; the one who ends the process is a thread.
"""

import asyncio
import logging
import os
import signal
import threading
from collections.abc import Awaitable, Callable, Generator, Iterator
from contextlib import contextmanager
from queue import Empty, SimpleQueue
from time import monotonic
from types import FrameType
from typing import Any, TypeVar, cast

import anyio

from adapters.seam.foreign import thread_safe

LAST_S = 0.8
"""How long the rest may take, once all is to end."""
T = TypeVar("T")
_LOG = logging.getLogger("callfsm.ending")


class FirmLoop(asyncio.SelectorEventLoop):
    """An event loop that no task or callback ends but the one that it was begun for.

    asyncio's own lets a SystemExit or a KeyboardInterrupt of any task through, such as one that a tool has left behind.
    """

    _whole: "asyncio.Future[Any] | None" = None

    def run_until_complete(self, future: Generator[Any, None, T] | Awaitable[T]) -> T:
        """See asyncio."""
        whole: asyncio.Future[T] = asyncio.ensure_future(cast(Awaitable[T], future), loop=self)
        self._whole = whole
        return super().run_until_complete(whole)

    def run_forever(self) -> None:
        """See asyncio; a real Ctrl-C, while nobody else listens for it, ends it as ever."""
        while True:
            try:
                super().run_forever()
                return
            except (SystemExit, KeyboardInterrupt) as stray:
                ours = self._whole is None or self._whole.done()
                if ours or (isinstance(stray, KeyboardInterrupt) and not Ending.listens):
                    raise
                _LOG.error("something that was left behind would have ended the program", exc_info=stray)


class Ending:
    """The signals that come while it is `listening`, and the end of the process where that does not come by itself."""

    listens = False
    """Are the process's signals noted, and raise nothing?"""

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
        Ending.listens = True
        try:
            yield
        finally:
            Ending.listens = False
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
