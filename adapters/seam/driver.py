"""The driver: events in, step, effects out; it holds no rule of a call.

One screen on purpose. `post` answers an event at once, in the task that posts it, so no queue and no task switch stands between the
caller's first sound and silence. Deadlines that have passed are answered before any event.
"""

import math
from collections import deque
from collections.abc import Callable, Iterable
from typing import Concatenate, ParamSpec

import anyio

from adapters.seam.ports import P, Port
from fsm.call.effects import Effect
from fsm.call.events import CallerHungUp, Event, PortFailed
from fsm.call.machine import CALL
from fsm.call.snapshot import Call
from fsm.call.states import CLOSED
from fsm.engine.machine import Machine, Step

Q = ParamSpec("Q")
Watch = Callable[[Event, Step[Call]], None]
"""Whoever looks on: a trace, a terminal, a metric. It sees each step after its effects have begun, and changes nothing."""


class Driver:
    """Runs one call over its ports; `watches` look on."""

    def __init__(self, call: Call, ports: Iterable[Port], watches: Iterable[Watch] = (), *, machine: Machine[Call] = CALL) -> None:
        self.call = call
        self._machine = machine
        self._ports = tuple(ports)
        self._watches = tuple(watches)
        self._inbox: deque[Event] = deque()
        self._draining = False
        self._sleep: anyio.CancelScope | None = None
        self._start_s = 0.0
        self._bug: Exception | None = None
        self._performers: dict[type[Effect], tuple[Port, ...]] = {
            kind: tuple(port for port in self._ports if kind in port.performs) for port in self._ports for kind in port.performs
        }

    async def run(self) -> Call:
        """Run the call to its end and give its last snapshot; a bug closes the call first and is raised then (R87).

        Whoever cancels this hangs up: the call is closed as if the caller had gone, and its ports are unwound.
        """
        self._start_s = anyio.current_time()
        async with anyio.create_task_group() as group:
            for port in self._ports:
                group.start_soon(self._own, port)
            try:
                while self.call.phase.state is not CLOSED:
                    with anyio.CancelScope(deadline=self._deadline_s()) as self._sleep:
                        await anyio.sleep_forever()
                    self._drain()
            finally:
                self.post(CallerHungUp, "stopped from outside")
                group.cancel_scope.cancel()
        if self._bug is not None:
            raise self._bug
        return self.call

    def now_ms(self) -> float:
        """The call's clock: monotonic, in milliseconds (R55)."""
        return (anyio.current_time() - self._start_s) * 1000

    def post(self, event: Callable[Concatenate[float, P], Event], *args: P.args, **kwargs: P.kwargs) -> None:
        """See `adapters.seam.ports.Post`."""
        if self.call.phase.state is CLOSED:
            return
        self._inbox.append(event(self.now_ms(), *args, **kwargs))
        if not self._draining:
            self._drain()
            if self._sleep is not None:
                self._sleep.deadline = self._deadline_s()

    def _drain(self) -> None:
        self._draining = True
        try:
            while (event := self._overdue() or (self._inbox.popleft() if self._inbox else None)) is not None:
                answer = self._machine.step(self.call, event)
                self.call = answer.snapshot
                for effect in answer.effects:
                    for port in self._performers.get(type(effect), ()):
                        self._let(port, port.do, effect)
                for watch in self._watches:
                    self._let(watch, watch, event, answer)
        finally:
            self._draining = False

    def _overdue(self) -> Event | None:
        """The expiry that is due, by the very comparison that ends the sleep: rounding to ms and back must not part the two."""
        due = self._machine.due_ms(self.call)
        passed = anyio.current_time() >= self._start_s + due / 1000
        event: Event | None = self._machine.expiry(self.call, max(self.now_ms(), due) if passed else self.now_ms())
        return event

    def _let(self, who: object, act: Callable[Q, None], *args: Q.args, **kwargs: Q.kwargs) -> None:
        """Let a port or a watch act; its bug closes the call, and keeps no other from acting."""
        try:
            act(*args, **kwargs)
        except Exception as bug:
            self._close_for(who, bug)

    def _close_for(self, who: object, bug: Exception) -> None:
        if self._bug is None:
            self._bug = bug
            self.post(PortFailed, f"{type(who).__name__}: {type(bug).__name__}: {bug}")

    async def _own(self, port: Port) -> None:
        try:
            await port.run(self.post)
        except Exception as bug:
            self._close_for(port, bug)

    def _deadline_s(self) -> float:
        if self.call.phase.state is CLOSED:
            return -math.inf
        return self._start_s + self._machine.due_ms(self.call) / 1000
