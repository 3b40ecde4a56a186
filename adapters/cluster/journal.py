"""The journal of a call that goes on: a watch and a port of its driver, which writes the record as things happen.

Events are written in batches, one on its way at a time, and nothing waits for them but what cannot be undone: a tool that runs, a
hang-up, a notice. These wait until what they follow from is on record, so that whoever takes the call up knows of them. A journal that has
another owner by now refuses the batch, and the call is left alone (`OwnershipLost`): the record is the fence.
"""

import json
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from typing import Any, Protocol, runtime_checkable

import anyio
import attrs

from adapters.cluster.record import event_line
from adapters.seam.ports import Port, Post
from fsm.call.effects import Cause, CreateResponse, Effect, HangUp, RunTool, TellEnded
from fsm.call.events import AudioArrived, DeviceEvent, Event, OwnershipLost, ResponseEnded, TakenUp
from fsm.call.snapshot import Call
from fsm.engine.machine import Step

RETRY_S = 0.25
"""How long after a failure the store is tried again."""


class Overtaken(Exception):
    """The record has another owner."""


class Unreachable(Exception):
    """The store does not answer; the text is one line."""


Append = Callable[[str], Awaitable[None]]
"""Adds lines to the record, all or none. Raises Overtaken, and Unreachable where that is not known."""


@runtime_checkable
class Remembers(Protocol):
    """A port that knows what another process could not find in the events."""

    def remembered(self) -> dict[str, Any]:
        """What it learned since it was asked last, by name; later words of a name replace earlier ones."""

    def recall(self, remembered: dict[str, Any]) -> None:
        """Know that; before `run`."""


Received = Callable[[str], Iterable[tuple[str, int, float]]]
"""How much of a response's sound has come, part by part: item, content index, milliseconds."""


def is_irrevocable(effect: Effect) -> bool:
    """Can it not be undone, so that it must be on record before?"""
    return isinstance(effect, RunTool | HangUp | TellEnded) or (isinstance(effect, CreateResponse) and effect.cause is Cause.NOTICE)


@attrs.frozen
class _Batch:
    """Lines on their way, and what is to be done once they are there.

    One whose writer was cancelled is sent again as it was, before anything else: it may be there.
    """

    lines: list[str]
    acts: list[Callable[[], None]]


class Journal:
    """The journal of one call, for one owner."""

    performs: tuple[type[Effect], ...] = ()

    def __init__(self, append: Append, received: Received, remembers: Iterable[Remembers] = ()) -> None:
        self._append, self._received = append, received
        self._remembers = tuple(remembers)
        self._lines: list[str] = []
        self._acts: list[Callable[[], None]] = []
        self._batch: _Batch | None = None
        self._work = anyio.Event()
        self._lock = anyio.Lock()
        self._call: Call | None = None
        self.lost = False
        """Has the call another owner?"""

    def __call__(self, event: Event, answer: Step[Call]) -> None:
        """Note a step; see `Watch`."""
        self._call = answer.snapshot
        if isinstance(event, TakenUp | OwnershipLost):
            # The first is on record since the call is ours; the other is no event of the call, but of ours.
            self._stir()
            return
        if isinstance(event, AudioArrived | DeviceEvent | ResponseEnded) and (parts := list(self._received(_response_of(event)))):
            self._lines.append(json.dumps({"received": [_response_of(event), parts]}))
        self._lines.append(event_line(event, answer))
        self._stir()

    def guard(self, port: Port) -> Port:
        """The port, whose acts that cannot be undone wait until they are on record."""
        return _Guarded(port, self)

    def when_on_record(self, act: Callable[[], None]) -> None:
        """Do something once all that has happened, and this step, is on record; never, if the call is another's by then."""
        self._acts.append(act)
        self._stir()

    async def run(self, post: Post) -> None:
        """Write until cancelled; tell that the call is lost."""
        while not self.lost:
            await self._work.wait()
            self._work = anyio.Event()
            await self.flush()
        post(OwnershipLost)

    def do(self, effect: Effect) -> None:
        """Nothing: a journal performs no effect."""

    async def flush(self) -> None:
        """Write all that there is; tries until it is written or the call is lost."""
        async with self._lock:
            while (self._batch or self._lines or self._acts) and not self.lost:
                batch = self._batch = self._batch or self._next_batch()
                await self._write("\n".join(batch.lines))
                self._batch = None
                for act in batch.acts if not self.lost else ():
                    act()

    def _next_batch(self) -> _Batch:
        for port in self._remembers:
            if learned := port.remembered():
                self._lines.append(json.dumps({"remembered": learned}))
        batch = _Batch(self._lines, self._acts)
        self._lines, self._acts = [], []
        return batch

    def settle(self) -> None:
        """Nothing is written any more: what still waits for it is done all the same, so that an end is told (R86)."""
        acts = [*(self._batch.acts if self._batch else ()), *self._acts]
        self._batch, self._acts = None, []
        for act in acts if not self.lost else ():
            act()

    async def _write(self, text: str) -> None:
        while text:
            try:
                await self._append(text)
                return
            except Overtaken:
                self.lost = True
                return
            except Unreachable:
                await anyio.sleep(RETRY_S)

    def wanted(self, effect: Effect) -> bool:
        """Is an effect still wanted that waited: a tool that the core has given up meanwhile is not to run?"""
        return not isinstance(effect, RunTool) or self._call is None or effect.tool_call_id in self._call.tool.pending

    def _stir(self) -> None:
        self._work.set()


class _Guarded:
    """A port behind the journal."""

    def __init__(self, port: Port, journal: Journal) -> None:
        self._port, self._journal = port, journal
        self.performs = port.performs

    async def run(self, post: Post) -> None:
        await self._port.run(post)

    def do(self, effect: Effect) -> None:
        if is_irrevocable(effect):
            self._journal.when_on_record(partial(self._do_if_wanted, effect))
        else:
            self._port.do(effect)

    def _do_if_wanted(self, effect: Effect) -> None:
        if self._journal.wanted(effect):
            self._port.do(effect)


def _response_of(event: Event) -> str:
    return str(getattr(event, "response_id", ""))
