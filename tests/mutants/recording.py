"""The sound machine, which notes what it answers: the rows, the pairs of state and event, and the moments."""

from typing import Any

from fsm import CALL, Call
from fsm.engine.machine import Machine, Step
from fsm.engine.notation import Row, State


class Recorder(Machine[Call]):
    """The call's machine; `rows`, `met` (region, state, class of event) and `moments` (snapshot, event) grow as it runs."""

    def __init__(self) -> None:
        vars(self).update(vars(CALL))
        self.rows: set[Row] = set()
        self.met: set[tuple[str, State, type]] = set()
        self.moments: set[tuple[Call, Any]] = set()
        self.keeps_moments = False

    def step(self, snapshot: Call, event: Any) -> Step[Call]:
        """Answer as ever, and note it."""
        answer = super().step(snapshot, event)
        self.rows.update(answer.rows)
        if self.keeps_moments:
            self.moments.add((snapshot, event))
        return answer

    def _answer(self, snapshot: Call, event: Any, effects: list[Any], raised: set[type]) -> tuple[Call, tuple[Row, ...]]:
        after, rows = super()._answer(snapshot, event, effects, raised)
        if self.keeps_moments:
            self.met.update((row.region, row.state, type(event)) for row in rows)
        return after, rows
