"""A wall round the code of others (R105): it is begun, waited for as long as somebody cares, and then abandoned, never awaited.

Whatever it raises, SystemExit included, is its failure and nobody else's. A coroutine runs in a task that belongs to no task group, so
that one which swallows its cancellation holds nobody; a plain function runs in a thread that the process does not wait for.
"""

import asyncio
import inspect
import logging
import threading
from collections.abc import Awaitable, Callable, Mapping
from contextvars import copy_context
from functools import partial
from typing import Any

import anyio

STUCK_S = 1.0
"""How long after it was abandoned foreign code may take to end, before that is logged."""
_LOG = logging.getLogger("callfsm.foreign")
_TASKS: set["asyncio.Task[None]"] = set()


class Foreign:
    """One run of foreign code, begun by being made; `done` is set at its end, and `result` or `failure` tell what it was."""

    def __init__(self, name: str, function: Callable[..., Any], arguments: Mapping[str, Any]) -> None:
        """Begin `function(**arguments)`; `name` is what it is called in the log."""
        self.name = name
        self.done = anyio.Event()
        self.result: Any = None
        self.failure: BaseException | None = None
        self._work = partial(function, **arguments)
        self.cancel: Callable[[], object] = _nothing
        """Cancel it; what it makes of that is its own affair. Of no effect on a plain function."""
        if inspect.iscoroutinefunction(function):
            self.cancel = _spawn(self._await)
        else:
            context, told = copy_context(), thread_safe(self.done.set)
            # A daemon: the end of the process waits for no other kind of thread.
            threading.Thread(target=context.run, args=(self._call, told), name=f"foreign {name}", daemon=True).start()

    def abandon(self) -> None:
        """Nobody cares for it any more: cancel it, once, and log its name should it not end by that."""
        if not self.done.is_set():
            self.cancel()
            _spawn(self._look)

    async def _await(self) -> None:
        try:
            self.result = await self._work()
        # Foreign code: a SystemExit of its own, and the cancellation with which it was abandoned, end here and go no further.
        except BaseException as failure:
            self.failure = failure
        finally:
            self.done.set()

    def _call(self, told: Callable[[], None]) -> None:
        try:
            self.result = self._work()
        # Foreign code, in a thread of its own: nobody above would hear of it.
        except BaseException as failure:
            self.failure = failure
        finally:
            told()

    async def _look(self) -> None:
        with anyio.move_on_after(STUCK_S):
            await self.done.wait()
        if not self.done.is_set():
            _LOG.error("tool_stuck: %s was abandoned %g s ago and still runs", self.name, STUCK_S)


def _nothing() -> None:
    """A thread cannot be cancelled."""


def _spawn(work: Callable[[], Awaitable[None]]) -> Callable[[], object]:
    """Begin a task that belongs to nobody; gives what cancels it once. anyio's scopes cancel for ever, and a deaf task would spin."""
    if not _on_asyncio():
        import trio

        scope = trio.CancelScope()

        async def scoped() -> None:
            with scope:
                await work()

        trio.lowlevel.spawn_system_task(scoped, context=copy_context())
        return scope.cancel

    async def alone() -> None:
        await work()

    task = asyncio.get_running_loop().create_task(alone())
    # The loop itself keeps no task alive.
    _TASKS.add(task)
    task.add_done_callback(_TASKS.discard)
    return task.cancel


def thread_safe(act: Callable[[], None]) -> Callable[[], None]:
    """What another thread may call to have `act` done in this one; of no effect once the event loop has ended."""
    post: Callable[[Callable[[], None]], object]
    if not _on_asyncio():
        import trio

        post = trio.lowlevel.current_trio_token().run_sync_soon
        ended: type[Exception] = trio.RunFinishedError
    else:
        post, ended = asyncio.get_running_loop().call_soon_threadsafe, RuntimeError

    def told() -> None:
        try:
            post(act)
        except ended:
            return

    return told


def _on_asyncio() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
