"""The syntheses of the stand-in speech server: which are live, which have ended, which were cancelled lately; no socket in here."""

import time
from collections import OrderedDict
from collections.abc import Callable
from enum import StrEnum
from typing import Any

import anyio
import attrs

REMEMBERED_S = 2.0
"""How long a cancelled id is remembered (the cancel contract's tombstone)."""
MAX_ENDED = 1_000
"""How many ended jobs are known by their id, so that a late cancel is answered as late."""


class JobState(StrEnum):
    """Where a synthesis stands; the last four are its end."""

    QUEUED = "queued"
    SYNTHESISING = "synthesising"
    CANCELLED = "cancelled"
    ABANDONED = "abandoned"
    """The client closed the connection."""
    REFUSED = "refused"
    """The voice found nothing to say in the text, or a fault of the script refused it."""
    DONE = "done"


LIVE = frozenset({JobState.QUEUED, JobState.SYNTHESISING})
STOPS = frozenset({JobState.CANCELLED, JobState.ABANDONED})


@attrs.define(eq=False)
class Job:
    """One POST for a text; leaving its scope is how its work stops."""

    session_id: str
    state: JobState = JobState.QUEUED
    scope: anyio.CancelScope = attrs.field(factory=anyio.CancelScope)


@attrs.define
class Jobs:
    """Which sessions are live, which have ended, and which ids were cancelled lately; all bounded, `clock` in seconds."""

    clock: Callable[[], float] = time.monotonic
    _live: dict[str, Job] = attrs.field(factory=dict, init=False)
    _ended: OrderedDict[str, JobState] = attrs.field(factory=OrderedDict, init=False)
    _remembered: OrderedDict[str, float] = attrs.field(factory=OrderedDict, init=False)

    def open(self, session_id: str) -> Job:
        """A new job, already cancelled when its cancel came first; KeyError when the id is live."""
        if session_id in self._live:
            raise KeyError(session_id)
        job = Job(session_id)
        if self._remembered.get(session_id, -1.0) > self.clock():
            job.state = JobState.CANCELLED
        else:
            self._live[session_id] = job
        return job

    def begin(self, job: Job) -> None:
        """The job's turn has come."""
        job.state = JobState.SYNTHESISING

    def end(self, job: Job, state: JobState) -> None:
        """The job ends so, unless it has ended already: what came first stands."""
        if job.state not in LIVE:
            return
        job.state = state
        if state in STOPS:
            job.scope.cancel()
        del self._live[job.session_id]
        self._ended[job.session_id] = state
        _keep_last(self._ended)

    def cancel(self, session_id: str) -> str:
        """Cancel and remember; gives the state that the id was in, `unknown` when it has never come."""
        self._remembered[session_id] = self.clock() + REMEMBERED_S
        self._remembered.move_to_end(session_id)
        _keep_last(self._remembered)
        job = self._live.get(session_id)
        if job is None:
            return self._ended.get(session_id, "unknown")
        before = job.state
        self.end(job, JobState.CANCELLED)
        return before


def _keep_last(memory: OrderedDict[str, Any]) -> None:
    while len(memory) > MAX_ENDED:
        memory.popitem(last=False)
