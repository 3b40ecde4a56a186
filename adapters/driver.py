"""The driver: events in, step, effects out; it holds no rule of a call.

One screen on purpose. `post` answers an event at once, in the task that posts it, so no queue and no task switch stands between the
caller's first sound and silence. Deadlines that have passed are answered before any event.
"""

import math
from collections import deque
from collections.abc import Callable, Iterable
from typing import Concatenate

import anyio

from adapters.ports import P, Port
from fsm.call.effects import Effect
from fsm.call.events import Event, ReceiverFailed
from fsm.call.machine import due_ms, expiry, step
from fsm.call.snapshot import Call
from fsm.call.states import CLOSED
from fsm.engine.machine import Step

Watch = Callable[[Event, Step[Call]], None]
"""Whoever looks on: a trace, a terminal, a metric. It sees each step after its effects have begun, and changes nothing."""


class Driver:
    """Runs one call over its ports; `watches` look on."""

    def __init__(self, call: Call, ports: Iterable[Port], watches: Iterable[Watch] = ()) -> None:
        self.call = call
        self._ports = tuple(ports)
        self._watches = tuple(watches)
        self._inbox: deque[Event] = deque()
        self._draining = False
        self._sleep = anyio.CancelScope()
        self._start_s = 0.0
        self._bug: Exception | None = None
        self._performers: dict[type[Effect], tuple[Port, ...]] = {
            kind: tuple(port for port in self._ports if kind in port.performs) for port in self._ports for kind in port.performs
        }

    async def run(self) -> Call:
        """Run the call to its end and give its last snapshot; a bug of a port closes the call first and is raised then (R87)."""
        self._start_s = anyio.current_time()
        async with anyio.create_task_group() as group:
            for port in self._ports:
                group.start_soon(self._own, port)
            while self.call.phase.state is not CLOSED:
                with anyio.CancelScope(deadline=self._deadline_s()) as self._sleep:
                    await anyio.sleep_forever()
                self._drain()
            group.cancel_scope.cancel()
        if self._bug is not None:
            raise self._bug
        return self.call

    def now_ms(self) -> float:
        """The call's clock: monotonic, in milliseconds (R55)."""
        return (anyio.current_time() - self._start_s) * 1000

    def post(self, event: Callable[Concatenate[float, P], Event], *args: P.args, **kwargs: P.kwargs) -> None:
        """See `adapters.ports.Post`."""
        self._inbox.append(event(self.now_ms(), *args, **kwargs))
        if not self._draining:
            self._drain()
            self._sleep.deadline = self._deadline_s()

    def _drain(self) -> None:
        self._draining = True
        try:
            while (event := expiry(self.call, self.now_ms()) or (self._inbox.popleft() if self._inbox else None)) is not None:
                answer = step(self.call, event)
                self.call = answer.snapshot
                for effect in answer.effects:
                    for port in self._performers.get(type(effect), ()):
                        port.do(effect)
                for watch in self._watches:
                    watch(event, answer)
        finally:
            self._draining = False

    async def _own(self, port: Port) -> None:
        try:
            await port.run(self.post)
        except Exception as bug:
            self._bug = self._bug or bug
            self.post(ReceiverFailed, f"{type(port).__name__}: {type(bug).__name__}: {bug}")

    def _deadline_s(self) -> float:
        if self.call.phase.state is CLOSED:
            return -math.inf
        return self._start_s + due_ms(self.call) / 1000
