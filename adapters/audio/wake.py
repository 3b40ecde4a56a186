"""How a thread of a sound device wakes the call's event loop: a byte into a socket pair, which asyncio and trio both can wait for."""

import socket
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Self

import anyio

Ring = Callable[[], None]
"""How anybody wakes whoever waits."""


class Wake:
    """A bell: `ring` from any thread, `wait` in one task. Rings while nobody waits are one ring. A context."""

    def __init__(self) -> None:
        self._near, self._far = socket.socketpair()
        self._near.setblocking(False)
        self._far.setblocking(False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._far.close()
        self._near.close()

    def ring(self) -> None:
        """Wake the waiter; never blocks, and does nothing when a thread is late and the bell is gone."""
        with suppress(OSError):
            self._far.send(b"\0")

    async def wait(self) -> None:
        """Wait for a ring since the last `wait`."""
        await anyio.wait_readable(self._near)
        with suppress(BlockingIOError):
            self._near.recv(4096)


def nobody() -> None:
    """The ring when nobody waits yet."""
