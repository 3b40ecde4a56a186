"""One call held from its line's start to its end: its ports, its driver, its figures and its trace; a joiner of ports."""

import logging
import math
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Protocol

import anyio
import attrs

from adapters.cluster.journal import Journal, Remembers
from adapters.hosts.phone.agent import Agent, Answer, ServedAgent
from adapters.hosts.phone.calls import TAKEN_OVER, Handler
from adapters.hosts.phone.log import masked, tell, tell_bug
from adapters.hosts.phone.metrics import CallFigures, Metrics
from adapters.seam.device import Device
from adapters.seam.driver import Driver, Watch
from adapters.seam.errors import is_cancellation, without_key
from adapters.seam.foreign import Foreign
from adapters.seam.ports import Port, Sound, sound_of
from adapters.telling.latency import Timing
from adapters.telling.spans import Model, joined, spans_of
from adapters.telling.steps import Faults
from adapters.telling.trace import Tracing
from fsm.call import effects as fx
from fsm.call.events import Event
from fsm.call.snapshot import Call, start
from fsm.call.states import CLOSED
from fsm.engine.machine import Step

RECORDED_S = 5.0
"""How long the end of a call may take to be on record once the server is to end."""
GRACE_S = 12.0
"""How long the parts of a call may take to close, once it was cancelled: the line has five seconds to hang up, and five to close."""
if TYPE_CHECKING:
    from adapters.hosts.phone.membership import Held, Membership

_LOUD = {fx.Level.WARNING: logging.WARNING, fx.Level.ERROR: logging.ERROR}


class Gallery(Protocol):
    """Where people look at the calls that are held."""

    def begin(self, call: Call, figures: CallFigures, line: Device, now_ms: Callable[[], float], key: str | None) -> Watch:
        """A call begins, whose clock is `now_ms`; nobody may read `key` (R96)."""

    def end(self, call_id: str, ended: fx.TellEnded | None, seconds: float) -> None:
        """It is over, after so many seconds."""


@attrs.frozen(kw_only=True)
class Holding:
    """How calls are held: who answers them, and what is kept of them."""

    answer: Answer
    metrics: Metrics
    traces: Path | None = None
    """A folder for a trace of each call; traces hold what was said."""
    gallery: Gallery | None = None
    membership: "Membership | None" = None
    """This machine's part in a cluster, if it is in one: calls are on record there, and taken up from there."""

    async def hold(self, handler: Handler, line_for: Callable[[CallFigures, Sound], Device]) -> None:
        """Hold a call to its end, whatever becomes of it; raises nothing but cancellation, and NotAdmitted where it is not ours to hold.

        The line is made for its figures and the format in which its agent speaks.
        """
        agent = self._agent(handler)
        if agent is None:
            return
        held = await self._held(handler, agent)
        call = start(agent.policy, handler.call_id) if held is None else held.call
        figures = CallFigures(self.metrics, call)
        line = line_for(figures, sound_of(agent))
        path, key = self.traces and self.traces / f"{call.call_id}.trace", getattr(agent, "key", None)
        trace = Tracing(path, start(call.policy, call.call_id), partial(_tell_of_trace, call.call_id), key)
        for event, answer in held.steps() if held is not None else ():
            trace(event, answer)
        spans = spans_of(call, agent.model if isinstance(agent, ServedAgent) else Model(), handler.application.came_with)
        self.metrics.began.inc()
        tell(logging.INFO, "call_began", handler.call_id, sound=line.sound.name)
        bug: BaseException | None = None
        journal: Journal | None = None
        try:
            over = anyio.Event()
            watches: list[Watch] = [handler.application, figures, _WarningsLogged(handler.call_id, key), trace, partial(_note_over, over)]
            watches.append(TimesLogged(handler.call_id, figures.timing))
            ports = joined(spans, [line, handler.application, *agent.ports(line)], watches)
            if self.gallery is not None:
                watches.append(self.gallery.begin(call, figures, line, lambda: driver.now_ms(), key))
            if held is not None:
                journal = _on_record(held, line, ports, watches)
            driver = Driver(call, ports, watches, first=None if held is None else held.first)
            handler.call = partial(getattr, driver, "call")
            bug = await _held(handler, driver, over)
        # An agent's own code made the ports: whatever it raises, SystemExit too, is told, and no other call hears of it (R87, R105).
        except BaseException as error:
            if is_cancellation(error):
                raise
            bug = error
        finally:
            if bug is not None:
                self.metrics.crashed.inc()
                tell_bug("call_crashed", bug, handler.call_id)
            trace.close()
            if journal is not None and self.membership is not None:
                await on_record(journal, handler)
                await self.membership.store.release(self.membership.name, handler.call_sid)
            if spans is not None:
                spans.end(handler.application.ended)
            left = handler.application.ended is None and journal is not None
            for fault in [] if left else handler.application.finish():
                tell_bug("afterwards_failed", fault, handler.call_id)
            self._note_end(handler, figures, line, bug is not None, left)

    async def _held(self, handler: Handler, agent: Agent) -> "Held | None":
        """The call as the cluster has it. Raises NotAdmitted."""
        if self.membership is None:
            return None
        tools = getattr(agent, "tools", None)
        repeatable: frozenset[str] = getattr(tools, "repeatable", frozenset())
        told = dict(handler.application.told)
        held = await self.membership.hold(handler.call_sid, handler.call_id, told, agent.policy, repeatable)
        if held.first is not None:
            self.metrics.taken_up.inc()
            handler.application.recall(held.record.events)
            handler.application.told = held.record.told
        return held

    def _agent(self, handler: Handler) -> Agent | None:
        """Who answers this call; None where the application's own code does not say."""
        try:
            return self.answer(handler.application)
        # A SystemExit of an application's own too: it ends this call, and no other hears of it (R105).
        except BaseException as bug:
            self.metrics.crashed.inc()
            tell_bug("call_crashed", bug, handler.call_id)
            return None

    def _note_end(self, handler: Handler, figures: CallFigures, line: Device, crashed: bool, left: bool) -> None:
        ended, counts = handler.application.ended, line.counts
        seconds = figures.end(ended, counts)
        if self.gallery is not None:
            self.gallery.end(handler.call_id, ended, seconds)
        if ended is not None and ended.detail == TAKEN_OVER:
            self.metrics.taken_over.inc()
        tell(
            logging.INFO,
            "call_ended",
            handler.call_id,
            reason=ended.reason.name.lower() if ended else "left" if left else "never_began",
            # The text of a bug may hold what was said.
            detail=masked(ended.detail) if ended and not crashed else "",
            seconds=round(seconds, 1),
            barge_ins=figures.barge_ins,
            answers=len(figures.answers_ms),
            answer_ms=round(median(figures.answers_ms)) if figures.answers_ms else None,
            line={name: number for name, number in counts.items() if not name.startswith("bytes")},
        )


def _on_record(held: "Held", line: Device, ports: list[Port], watches: list[Watch]) -> Journal:
    """Have a call go on record: its ports know what they knew, and do what cannot be undone only when it is there."""
    for port in ports:
        if isinstance(port, Remembers):
            port.recall(held.record.remembered)
    journal = held.journal(line.playout.received, ports)
    ports[:] = [journal, *map(journal.guard, ports)]
    watches.append(journal)
    return journal


async def on_record(journal: Journal, handler: Handler) -> None:
    """Have the end on record before it is told: while the store is away, the call may be another's by now, so that waits (R86).

    A server that is to end waits for RECORDED_S, and tells it all the same.
    """
    limit_s = RECORDED_S if handler.scope.cancel_called else math.inf
    with anyio.move_on_after(limit_s, shield=True) as handler.recording:
        await journal.flush()
    journal.settle()


async def _held(handler: Handler, driver: Driver, over: anyio.Event) -> BaseException | None:
    """Run a call until it is `over`, and wait no longer for its parts than they may take; gives the bug that it died of.

    An application's port that hears no cancellation would hold the place of the call, and the end of the server (R105).
    """

    async def drive() -> None:
        try:
            await driver.run()
        finally:
            over.set()

    run = Foreign(handler.call_id, drive, {})
    try:
        with handler.scope:
            await over.wait()
    finally:
        if not over.is_set():
            run.cancel()
        with anyio.move_on_after(GRACE_S, shield=True):
            await run.done.wait()
        run.abandon()
    return run.failure if run.failure is not None and not is_cancellation(run.failure) else None


class TimesLogged:
    """Logs how long the caller waited for each answer, and what each barge-in took: a `Watch` behind the one that keeps `timing`."""

    def __init__(self, call_id: str, timing: Timing) -> None:
        self._call_id, self._timing = call_id, timing
        self._answers = self._barge_ins = 0

    def __call__(self, _: Event, __: Step[Call]) -> None:
        """Look whether there is something new."""
        for wait in self._timing.waits[self._answers :]:
            self._answers += 1
            parts = {name.replace(" ", "_"): round(ms) for name, ms in wait.parts() if ms >= 1}
            tell(logging.INFO, "answer", self._call_id, to=wait.kind, heard=wait.answered, ms=round(wait.total_ms), parts=parts)
        for one in self._timing.interruptions[self._barge_ins :]:
            if one.stopped_ms is None and one.ended_ms is None:
                return
            self._barge_ins += 1
            marks = {"held": one.held_ms, "decided": one.decided_ms, "stopped": one.stopped_ms, "ended": one.ended_ms}
            tell(
                logging.INFO,
                "barge_in",
                self._call_id,
                ms={name: round(at_ms - one.heard_ms) for name, at_ms in marks.items() if at_ms is not None},
                played_ms=None if one.played_ms is None else round(one.played_ms),
            )


def _note_over(over: anyio.Event, _: Event, answer: Step[Call]) -> None:
    if answer.snapshot.phase.state is CLOSED:
        over.set()


def _tell_of_trace(call_id: str, error: OSError) -> None:
    tell(logging.ERROR, "trace_failed", call_id, words=error.strerror or type(error).__name__)


class _WarningsLogged:
    """Logs what the core wants logged, from a warning on, with the server's own words: a `Watch`."""

    def __init__(self, call_id: str, key: str | None) -> None:
        self._call_id, self._key = call_id, key
        self._faults = Faults()

    def __call__(self, event: Event, answer: Step[Call]) -> None:
        for log, words in self._faults.warnings(event, answer):
            told = {"words": masked(without_key(words, self._key))} if words else {}
            tell(_LOUD[log.level], "call_log", self._call_id, code=masked(log.code), **told)
