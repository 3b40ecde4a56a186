"""A field log as a call: its rows become events on a virtual clock, and the core answers them; nothing is judged here.

A log is a header and then rows of what happened to an older system, as `tests/cases` has them. What the rows mean is in `rows`, how what
is admitted is heard in `line`; nothing else answers the core.
"""

import heapq
import math
from collections.abc import Callable
from functools import partial
from itertools import count
from typing import Any

import attrs

from adapters.proof.cases.fields import Row, kind
from adapters.proof.cases.line import Line
from adapters.proof.cases.rows import Reader
from adapters.proof.cases.survey import begins, marked, queues, under_way
from fsm.call import events as ev
from fsm.call.machine import due_ms, expiry, step
from fsm.call.policy import Policy
from fsm.call.snapshot import Call, start
from fsm.engine.machine import Step

BEFORE = 1.0
"""How long before the first row a call in mid-course is set up, in milliseconds."""


@attrs.frozen
class Moment:
    """One step of one call of the log: which call, its event, and the core's answer."""

    name: str
    event: ev.Event
    answer: Step[Call]


@attrs.define
class History:
    """All that the core did in a case, in order; and its synthesis sessions by the log's own `session_id`."""

    moments: list[Moment] = attrs.Factory(list)
    sessions: dict[str, str] = attrs.Factory(dict)

    def snapshot(self, name: str, at_ms: float) -> Call | None:
        """The call's snapshot after all that was due at `at_ms`; None before it began."""
        found = None
        for moment in self.moments:
            if moment.name == name and moment.event.at_ms <= at_ms:
                found = moment.answer.snapshot
        return found


def run_case(rows: list[Row], settings: dict[str, Any], end_ms: float) -> tuple[History, list[str]]:
    """Feed the rows up to `end_ms`; gives the history and the calls' names in the order in which they began. Raises RowError."""
    names = [str(row["payload"].get("call") or "") for row in rows]
    default = next((name for name in names if name), "")
    by_call: dict[str, list[Row]] = {}
    for name, row in zip(names, rows, strict=True):
        by_call.setdefault(name or default, []).append(row)
    history = History()
    for name in by_call:
        feed = _Feed(name, by_call[name], settings)
        history.moments += feed.run(end_ms)
        history.sessions |= feed.reader.sessions
    history.moments.sort(key=lambda moment: moment.event.at_ms)
    return history, list(by_call)


class _Feed:
    """One call of a log: a virtual clock, the core, and the little that the log leaves to its surroundings."""

    def __init__(self, name: str, rows: list[Row], settings: dict[str, Any]) -> None:
        self.name, self.rows = name, rows
        self.fresh = begins(rows)
        first = float(rows[0]["t_ms"])
        self.began_ms = first if self.fresh else first - BEFORE
        self.call = start(Policy(**settings, greeting=self.fresh), name or "call", self.began_ms)
        self.moments: list[Moment] = []
        self.queue: list[tuple[float, int, Callable[[float], None]]] = []
        self.order = count()
        self.line = Line(self, queues(rows), marked(rows))
        self.reader = Reader(self, self.line, rows)

    def run(self, end_ms: float) -> list[Moment]:
        """Feed everything up to `end_ms`."""
        self._open()
        for row in self.rows:
            self.at(float(row["t_ms"]), partial(self.reader.read, row=row))
        while (now := min(self._next_ms(), due_ms(self.call))) <= end_ms:
            if (expired := expiry(self.call, now)) is not None:
                self.post(expired)
            else:
                at_ms, _, act = heapq.heappop(self.queue)
                act(at_ms)
        return self.moments

    def at(self, at_ms: float, act: Callable[[float], None]) -> None:
        """Do something at a time, after what was put there earlier."""
        heapq.heappush(self.queue, (at_ms, next(self.order), act))

    def post(self, event: ev.Event) -> None:
        """Give the core one event, and carry out what it asks for."""
        answer = step(self.call, event)
        self.call = answer.snapshot
        self.moments.append(Moment(self.name, event, answer))
        for effect in answer.effects:
            self.line.do(effect, event.at_ms)

    def _next_ms(self) -> float:
        return self.queue[0][0] if self.queue else math.inf

    def _open(self) -> None:
        """Set up what the log does not show: a confirmed session, an open line, and in mid-call a known noise floor."""
        now, kinds = self.began_ms, {kind(row) for row in self.rows}
        running = None if self.fresh else under_way(self.rows)
        if not self.fresh or ("telephony", "start") not in kinds:
            self.post(ev.LineOpened(now))
        if not kinds & {("llm", "session.created"), ("llm", "setup_complete")}:
            self.post(ev.SessionOpened(now))
            if running is not None or ("llm", "session.updated") not in kinds:
                self.post(ev.SessionConfirmed(now))
        if not self.fresh:
            self.post(ev.VadCalibrated(now))
            # whoever is in mid-call has spoken: an outbound call's goodbye asks for that (R48)
            self.call = attrs.evolve(self.call, turn=attrs.evolve(self.call.turn, turns=self.call.policy.least_turns))
        elif ("llm", "greeting.text_ready") not in kinds:
            self.post(ev.GreetingPrepared(now))
        if running is not None:
            self.reader.begin_under_way(now, running)
