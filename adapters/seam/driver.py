"""The driver: events in, step, effects out; it holds no rule of a call.

One screen on purpose. `post` answers an event at once, in the task that posts it, so no queue and no task switch stands between the
caller's first sound and silence. Deadlines that have passed are answered before any event.
"""

import logging
import math
from collections import deque
from collections.abc import Callable, Iterable
from typing import Concatenate

import anyio

from adapters.seam.errors import described, is_cancellation
from adapters.seam.ports import P, Port
from adapters.seam.sleep import asleep_s
from fsm.call.effects import Effect
from fsm.call.events import CallerHungUp, Event, PortFailed
from fsm.call.machine import CALL
from fsm.call.snapshot import Call
from fsm.call.states import CLOSED
from fsm.engine.machine import Machine, Step

Watch = Callable[[Event, Step[Call]], None]
"""Whoever looks on: a trace, a terminal, a metric. It sees each step after its effects have begun, and changes nothing.

One that fails is dropped, and the call goes on without it (R105).
"""
SLEEP_S = 1.0
"""The least sleep of the machine that counts: the clocks that tell of it are read one after the other."""
_LOG = logging.getLogger("callfsm.driver")


class Driver:
    """Runs one call over its ports; `watches` look on."""

    def __init__(
        self,
        call: Call,
        ports: Iterable[Port],
        watches: Iterable[Watch] = (),
        *,
        machine: Machine[Call] = CALL,
        first: Event | None = None,
        asleep_s: Callable[[], float] = asleep_s,
    ) -> None:
        """Prepare; `asleep_s` tells how long the machine has slept.

        A call that is taken up goes on at the time of its `first` event, which is answered before any deadline that has passed meanwhile.
        """
        self.call = call
        self._machine = machine
        self._ports = tuple(ports)
        self._watches = list(watches)
        self._inbox: deque[Event] = deque()
        self._draining = False
        self._sleep: anyio.CancelScope | None = None
        self._first = first
        self._start_s = 0.0
        self._asleep_s, self._slept_s = asleep_s, asleep_s()
        self._bug: Exception | None = None
        self._performers: dict[type[Effect], tuple[Port, ...]] = {
            kind: tuple(port for port in self._ports if kind in port.performs) for port in self._ports for kind in port.performs
        }

    async def run(self) -> Call:
        """Run the call to its end and give its last snapshot; a bug closes the call first and is raised then (R87).

        Whoever cancels this hangs up: the call is closed as if the caller had gone, and its ports are unwound.
        """
        self._start_s = anyio.current_time() - (self._first.at_ms / 1000 if self._first is not None else 0.0)
        async with anyio.create_task_group() as group:
            for port in self._ports:
                group.start_soon(self._own, port)
            try:
                if self._first is not None:
                    self._inbox.appendleft(self._first)
                    self._drain()
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
        """The call's clock, in milliseconds: monotonic (R55), and with what the machine has slept, as people count."""
        slept_s = self._asleep_s()
        if slept_s >= self._slept_s + SLEEP_S:
            self._start_s -= slept_s - self._slept_s
            self._slept_s = slept_s
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
            while (event := self._next()) is not None:
                answer = self._machine.step(self.call, event)
                self.call = answer.snapshot
                for effect in answer.effects:
                    for port in self._performers.get(type(effect), ()):
                        self._let(port, effect)
                for watch in tuple(self._watches):
                    self._show(watch, event, answer)
        finally:
            self._draining = False

    def _next(self) -> Event | None:
        if self._inbox and self._inbox[0] is self._first:
            return self._inbox.popleft()
        return self._overdue() or (self._inbox.popleft() if self._inbox else None)

    def _overdue(self) -> Event | None:
        """The expiry that is due, by the very comparison that ends the sleep: rounding to ms and back must not part the two."""
        due, now_ms = self._machine.due_ms(self.call), self.now_ms()
        passed = anyio.current_time() >= self._start_s + due / 1000
        event: Event | None = self._machine.expiry(self.call, max(now_ms, due) if passed else now_ms)
        return event

    def _let(self, port: Port, effect: Effect) -> None:
        """Let a port act; its bug closes the call, and keeps no other from acting."""
        try:
            port.do(effect)
        # An application's port may raise anything, SystemExit too: it is that port's bug, and ends no more than this call (R105).
        except BaseException as bug:
            self._close_for(port, bug)

    def _show(self, watch: Watch, event: Event, answer: Step[Call]) -> None:
        try:
            watch(event, answer)
        # Whatever an onlooker dies of, a full disk or a bug: the call is not its affair (R105).
        except BaseException as bug:
            self._watches.remove(watch)
            _LOG.error("onlooker_dropped: %s", type(watch).__name__, exc_info=bug)

    def _close_for(self, port: Port, bug: BaseException) -> None:
        if self._bug is None:
            words = f"{type(port).__name__}: {described(bug)}"
            # What ends a program must not come out of a call.
            self._bug = bug if isinstance(bug, Exception) else RuntimeError(words)
            self.post(PortFailed, words)

    async def _own(self, port: Port) -> None:
        try:
            await port.run(self.post)
        # As in `_let`. A cancellation is ours only if we, or whoever runs the call, cancelled.
        except BaseException as bug:
            if anyio.current_effective_deadline() == -math.inf and is_cancellation(bug):
                raise
            self._close_for(port, bug)

    def _deadline_s(self) -> float:
        if self.call.phase.state is CLOSED:
            return -math.inf
        return self._start_s + self._machine.due_ms(self.call) / 1000
