"""Which speech server speaks: the first one, and while that is ill the one behind it."""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager

import anyio

from adapters.chatterbox.figures import Count, Figures
from adapters.chatterbox.source import Source

CHECK_S = 2.0
"""How long after a failure the first server is asked whether it is well, and how often then."""
DISTRUST_S = 60.0
"""A server that is well by its own account and fails again is left alone for twice as long, up to this."""


class Sources:
    """The first server and its fallback, if there is one."""

    def __init__(self, first: Source, fallback: Source | None, figures: Figures) -> None:
        self.current = first
        """Who speaks the next sentence."""
        self.fallback = fallback
        self._first = first
        self._figures = figures
        self._fallen = anyio.Event()
        self._wait_s = CHECK_S

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[None]:
        """Own the connections of both."""
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self._first.connected())
            if self.fallback is not None:
                await stack.enter_async_context(self.fallback.connected())
            yield

    def fall_back(self, failed: Source) -> Source | None:
        """Who speaks now that one has failed; None when there is nobody else."""
        if self.fallback is None or failed is self.fallback:
            return None
        if self.current is self._first:
            self.current = self.fallback
            self._figures.counts[Count.FELL_BACK] += 1
            self._fallen.set()
        return self.fallback

    def trust(self, source: Source) -> None:
        """A sentence went well."""
        if source is self._first:
            self._wait_s = CHECK_S

    async def watch(self, recovered: Callable[[str], None]) -> None:
        """Go back to the first server when its health check says that it is well; `recovered` is told which that is."""
        while True:
            await self._fallen.wait()
            self._fallen = anyio.Event()
            await anyio.sleep(self._wait_s)
            while not await self._first.is_well():
                await anyio.sleep(CHECK_S)
            self._wait_s = min(2 * self._wait_s, DISTRUST_S)
            self.current = self._first
            self._figures.counts[Count.RECOVERED] += 1
            recovered(self._first.server.where)
