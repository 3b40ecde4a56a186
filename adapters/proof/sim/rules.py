"""The judge of a simulated call: every step by the judges of the world, every frame that is heard, and the call's end."""

from collections import Counter
from collections.abc import Callable, Mapping
from operator import attrgetter
from typing import Any

import attrs

from adapters.proof.deadlines import untimely
from adapters.proof.judges import Judge, at_rest
from adapters.proof.laws import Rule
from adapters.proof.meanings import untrue
from adapters.proof.world import begin
from fsm.call import effects as fx, events as ev, states as st
from fsm.call.machine import admits
from fsm.call.snapshot import Call
from fsm.engine.machine import Step
from fsm.engine.notation import NEVER, Record, Row

OVER = (st.CLOSING, st.CLOSED)
AT_ONCE = 300
"""How many steps may follow at one instant; a call takes some twenty."""
PATIENT = frozenset({"limit", "idle", "session"})
"""Deadlines that are no answer to a caller who waits: the end of the call, and whether they are there; a session's, unless it is made."""
SETTLED = (st.READY, st.AGED)
"""A session that stands: that it grows old is no wait."""
SPARE_MS = 1_000
"""How much later than its deadlines a call may end: what is late by a frame or a rounding."""


class Rules:
    """A watch of the driver. `fault` is the first rule that was broken, in words, and `at` the number of steps by then."""

    def __init__(self, call: Call, broken: Callable[[], None]) -> None:
        self.fault = ""
        self.at = 0
        self.steps: list[tuple[ev.Event, Step[Call]]] = []
        self.rows: set[Row] = set()
        self.heard_ms: Mapping[str, int] = {}
        """What was heard of each item so far: the line's record."""
        self.received_ms: Mapping[str, Mapping[str, int]] = {}
        """What came of each item of each response."""
        self._call = call
        self._broken = broken
        self._world = begin(call.policy)
        self._cancels: Counter[str] = Counter()
        self._cut: dict[str, int] = {}
        self._begun: dict[str, int] = {}
        self._instant_ms, self._at_once = -1.0, 0
        self._dues: Callable[[Call], tuple[float, ...]] = attrgetter(*_deadlines_of(call))

    def __call__(self, event: ev.Event, answer: Step[Call]) -> None:
        """Judge one step, and what has left by then: a message leaves within the step that sends it."""
        self._judge_pace(event)
        if self.fault:
            return
        self.steps.append((event, answer))
        self.rows.update(answer.rows)
        before, after = self._call, answer.snapshot
        self._call = after
        self._know(event)
        self._judge_step(before, event, answer)
        self.rule(max(self._cancels.values(), default=1) == 1, "a response is cancelled once on the wire (R01)")
        self._judge_rest(after, event)

    def hear(self, number: int) -> None:
        """Judge a frame of a response as it is heard."""
        if not admits(self._call, f"r{number}"):
            state = "flushed" if any(fx.Flush(f"r{number}") in answer.effects for _, answer in self.steps) else "not admitted"
            self.break_rule(f"only what may be heard is heard, but r{number} is, though {state} or held (R09, R30, R69)")

    def send(self, message: Mapping[str, Any]) -> None:
        """Judge a message of ours as it leaves."""
        self.rule(self._call.phase.state not in OVER, f"nothing is sent once the call is over, but {message['type']} was (R50)")
        if message["type"] == "response.cancel" and "response_id" in message:
            self._cancels[message["response_id"]] += 1

    def break_rule(self, rule: str) -> None:
        """Note the first rule that is broken, and end the call."""
        if not self.fault:
            self.fault, self.at = rule, len(self.steps)
            self._broken()

    def judge_end(self, told: int, ended_ms: float, bound_ms: float) -> None:
        """Judge the call as a whole, once it is over."""
        asked = Counter(type(effect) for _, answer in self.steps for effect in answer.effects)
        self.rule(self._call.phase.state is st.CLOSED, "every call ends in closed (R50)")
        self.rule(asked[fx.TellEnded] == told == 1, f"the application is told of the end once, but was {told} times (R86)")
        self.rule(ended_ms <= bound_ms + SPARE_MS, f"a call ends within {bound_ms / 1000:.1f} s, but took {ended_ms / 1000:.1f} (R82)")
        self.rule(asked[fx.HangUp] <= 1, "the line is hung up once (R47)")

    def rule(self, kept: bool, rule: str) -> None:
        """Break the rule unless it is kept."""
        if not kept:
            self.break_rule(rule)

    def _know(self, event: ev.Event) -> None:
        response_id = getattr(event, "response_id", "")
        if isinstance(event, ev.SentenceCut):
            self._cut[f"{self._call.call_id}.{response_id}.{event.sentence}"] = len(event.text.split())
        elif isinstance(event, ev.SentenceStarted):
            spoken_id = event.session_id.split(".")[1]
            self._begun[spoken_id] = self._begun.get(spoken_id, 0) + self._cut.pop(event.session_id, 0)

    def _judge_step(self, before: Call, event: ev.Event, answer: Step[Call]) -> None:
        after = answer.snapshot
        over = before.phase.state in OVER
        expires = isinstance(event, ev.Expired)
        timely = expires and _timely(before, event)  # type: ignore[arg-type]
        judge = Judge(
            self._world,
            before.policy,
            event,
            answer.effects,
            answer.signals,
            over=over,
            stale=expires and not timely,
        )
        self._world = judge.world
        for rule in judge.faults:
            self.break_rule(rule)
        if after.phase.state not in OVER:
            for what in untrue(after, self._world):
                self.break_rule(f"{Rule.MEANING}: {what}")
            for what in untimely(before, after, judge.moment):
                self.break_rule(f"{Rule.LASTS}: {what}")
        if timely and after.phase.state not in OVER:
            again = getattr(after, event.region).epoch == getattr(before, event.region).epoch  # type: ignore[attr-defined]
            self.rule(not again, f"{type(event).__name__} fires, and its deadline runs on (R78)")
        for effect in answer.effects:
            if isinstance(effect, fx.TruncateItem | fx.RewriteItem | fx.DeleteItem):
                self._judge_memory(effect)
        if isinstance(event, ev.PlayoutStopped) and event.response_id in before.truncation.awaited and not over:
            corrected = {effect.item_id for effect in answer.effects if isinstance(effect, fx.TruncateItem | fx.DeleteItem)}
            for item_id, received_ms in self.received_ms.get(event.response_id, {}).items():
                whole = self.heard_ms.get(item_id, 0) >= received_ms
                self.rule(whole or item_id in corrected, f"{item_id}, which was not heard whole, is cut or deleted (R88)")

    def _judge_memory(self, effect: fx.TruncateItem | fx.RewriteItem | fx.DeleteItem) -> None:
        """The model is left to remember no more than was heard: milliseconds, or the words of the sentences that were begun."""
        heard = self.heard_ms.get(effect.item_id, 0)
        if isinstance(effect, fx.DeleteItem):
            spoken = self._call.policy.voice == "realtime"
            self.rule(not spoken or not heard, f"what was heard is remembered, but {heard} ms of {effect.item_id} are deleted (R88)")
            return
        if isinstance(effect, fx.TruncateItem):
            kept = effect.audio_end_ms
        else:
            kept, heard = len(effect.text.split()), self._begun.get(effect.item_id.removeprefix("item_").partition("_")[0], 0)
        self.rule(kept <= heard, f"the model remembers what was heard, but {kept} ms or words of {heard} are kept (R34, R71, R88)")

    def _judge_rest(self, after: Call, event: ev.Event) -> None:
        """A state in which the call may stay for long."""
        if after.phase.state in OVER:
            return
        due_ms = min(self._dues(after))
        session = after.session
        if session.state not in SETTLED:
            due_ms = min(due_ms, session.due_ms)
        if due_ms <= event.at_ms:
            return
        if due_ms == NEVER:
            floor = session.state in SETTLED and after.line.state is st.OPEN
            self.rule(floor, "who listens has a session and a line (R78)")
            for rule in at_rest(self._world):
                self.break_rule(rule)

    def _judge_pace(self, event: ev.Event) -> None:
        """Even a call in which a rule was broken must be left: its driver may go on for ever."""
        if self._instant_ms != event.at_ms:
            self._instant_ms, self._at_once = event.at_ms, 0
        self._at_once += 1
        if self._at_once > AT_ONCE:
            self.break_rule(f"time stands still: {AT_ONCE} steps at one instant (R78)")
            raise TimeStands


class TimeStands(BaseException):
    """The driver would go on for ever at one instant; no handler of `Exception` may let it."""


def _deadlines_of(call: Call) -> list[str]:
    """The paths of the deadlines that are an answer to a caller who waits."""
    regions = [field.name for field in attrs.fields(Call) if isinstance(getattr(call, field.name), Record)]
    return [f"{name}.due_ms" for name in regions if name not in PATIENT]


def _timely(call: Call, event: ev.Expired) -> bool:
    record = getattr(call, event.region)
    return bool(event.epoch == record.epoch and event.at_ms >= record.due_ms)
