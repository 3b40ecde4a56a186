"""The rules that every step and every state of a call must keep, written apart from the tables, and what must be remembered to judge them.

What a snapshot does not say, and a rule needs, is the `Past`: a few bits, and for each response id that the snapshot still
holds what was done with it.
"""

from typing import Any, NamedTuple

import attrs

from fsm.call import effects as fx, events as ev, states as st
from fsm.call.machine import admits
from fsm.call.snapshot import Call, Playout, Response
from fsm.engine.machine import Step
from fsm.engine.notation import NEVER, Record

HELD, POSTED, TOLD, HUNG_UP, LATE = 1, 2, 4, 8, 16
"""Bits of a past: the voice is held; a synthesis is under way; the application was told; the line was hung up; the driver is late."""
NEW, HEARD, SPENT_HEARD, SPENT, UNHEARD = range(5)
"""What was done with a response: nothing; admitted; admitted and cancelled or ended; cancelled or ended; it was heard or flushed."""
_SILENCED = (NEW, UNHEARD, SPENT, SPENT, UNHEARD)
_FORGOTTEN = (NEW, HEARD, HEARD, NEW, NEW)
_CANONICAL = tuple(f"r{number}" for number in range(1, 100))

GENERATED = (st.NONE, st.COMPLETED, st.CANCELLED, st.FAILED, st.INCOMPLETE)
CANCELLINGS = (st.SERVER_CANCELLING, st.CANCEL_IN_FLIGHT, st.CANCEL_UNSENT)
HOLDING = (st.SUSPECTED,)
OVER = (st.CLOSING, st.CLOSED)
AT_REST: dict[str, tuple[Any, ...]] = {
    "phase": (st.LISTENING,),
    "response": GENERATED,
    "playout": (st.SILENT,),
    "interruption": (st.CLEAR,),
    "synthesis": (st.RESTING,),
    "truncation": (st.IN_STEP,),
    "pending": (st.NOTHING,),
    "turn": (st.QUIET,),
    "tool": (st.NO_TOOL,),
    "cooldown": (st.WARM,),
    "hangup": (st.STAYING,),
}
"""Where each region may be when no deadline runs: anything else is dead air, or a wait for ever."""
_REGIONS = [field.name for field in attrs.fields(Call) if field.name not in ("call_id", "policy", "phase")]
_TOUCH_TURN = (
    *(ev.CallerEvent, ev.AppEvent, ev.SessionLost, ev.SessionConfirmed),
    *(ev.TurnExpired, ev.ResponseCreated, ev.Ending),
)
_ABOUT_PAST = (ev.ResponseEnded, ev.CancelUnsent, ev.SynthesisEnded)


class Past(NamedTuple):
    """The bits, and one of `NEW` … `UNHEARD` for each of r1, r2, … of the snapshot."""

    bits: int = 0
    of: tuple[int, ...] = ()


class Judge:
    """Judges one step: `faults` are the rules that it broke, `bits` and `of` (by id) the past after it."""

    def __init__(self, call: Call, event: ev.Event, answer: Step[Call], past: Past) -> None:
        self.before, self.event, self.after, self.signals = call, event, answer.snapshot, answer.signals
        self.faults: list[str] = []
        self.bits = past.bits
        self.of = {f"r{number}": done for number, done in enumerate(past.of, start=1)}
        if isinstance(event, _ABOUT_PAST):
            self._take_event(event)
        for effect in answer.effects:
            self._take_effect(effect)
        self._compare()

    def _rule(self, kept: bool, rule: str) -> None:
        if not kept:
            self.faults.append(rule)

    def _take_event(self, event: ev.Event) -> None:
        before = self.before
        live = before.phase.state not in OVER
        if isinstance(event, ev.ResponseEnded) and live:
            self._spend(event.response_id)
        elif (
            isinstance(event, ev.CancelUnsent) and before.response.state is st.CANCEL_IN_FLIGHT and event.response_id == before.response.id
        ):
            done = self.of.get(event.response_id, NEW)
            self.of[event.response_id] = {SPENT_HEARD: HEARD, SPENT: UNHEARD}.get(done, done)
        elif isinstance(event, ev.SynthesisEnded) and event.session_id == before.synthesis.session_id:
            self.bits &= ~POSTED

    def _spend(self, response_id: str) -> None:
        self.of[response_id] = SPENT_HEARD if self.of.get(response_id, NEW) in (HEARD, SPENT_HEARD) else SPENT

    def _take_effect(self, effect: fx.Effect) -> None:
        self._rule(not self.bits & TOLD, f"nothing is asked for once the call is over, but {type(effect).__name__} was (R50, R62)")
        match effect:
            case fx.CancelResponse(response_id):
                self._rule(
                    self.of.get(response_id, NEW) not in (SPENT, SPENT_HEARD), "no response is cancelled twice, or after its end (R01, R06)"
                )
                self._spend(response_id)
            case fx.CreateResponse():
                self._rule(_free(self.after), "no response is asked for while anything is in its way (R11, R19, R39, R40, R73)")
            case fx.Admit(response_id):
                self._rule(self.of.get(response_id, NEW) == NEW, "what was heard, flushed, cancelled or ended is never admitted (R09, R69)")
                self.of[response_id] = HEARD
            case fx.Flush(response_id):
                done = self.of.get(response_id, NEW)
                self._rule(done in (HEARD, SPENT_HEARD), "a response is flushed once, while it may be heard (R31)")
                self.of[response_id] = SPENT if done == SPENT_HEARD else UNHEARD
            case fx.Retire(response_id):
                if (done := self.of.get(response_id, NEW)) in (HEARD, SPENT_HEARD):
                    self.of[response_id] = SPENT if done == SPENT_HEARD else UNHEARD
            case fx.Synthesise(response_id=response_id):
                self._rule(self.of.get(response_id, NEW) in (HEARD, SPENT_HEARD), "only what may be heard is synthesised (R66, R67)")
                self._rule(not self.bits & POSTED, "one sentence at a time is in synthesis (R58)")
                self.bits |= POSTED
            case fx.CancelSynthesis(session_id):
                ours = bool(self.bits & POSTED) and session_id == self.before.synthesis.session_id
                self._rule(ours, "a synthesis is cancelled once, while it runs (R64)")
                self.bits &= ~POSTED
            case _:
                self._take_other_effect(effect)

    def _take_other_effect(self, effect: fx.Effect) -> None:
        before, after = self.before, self.after
        match effect:
            case fx.Hold():
                self._rule(not self.bits & HELD, "a voice that is held is not held again (R74)")
                self.bits |= HELD
            case fx.Resume():
                self._rule(bool(self.bits & HELD), "only a held voice is resumed (R74)")
                self.bits &= ~HELD
            case fx.HangUp():
                self._rule(not self.bits & HUNG_UP, "the line is hung up once (R47)")
                self.bits |= HUNG_UP
            case fx.TellEnded():
                self.bits |= TOLD
            case fx.ConfigureSession():
                once = before.session.state is st.CONNECTING and after.session.state is not st.CONNECTING
                self._rule(once, "a session is configured once (R39)")
            case fx.ReleaseResponse():
                once = before.session.state not in (st.READY, st.AGED) and after.session.state is st.READY
                self._rule(once, "the server's VAD gets its rights once (R36)")
            case fx.RunTool(tool_call_id):
                self._rule(
                    tool_call_id not in (*before.tool.pending, *before.tool.told) or before.tool.waiting, "a tool call is run once (R80)"
                )
            case fx.SendToolResult(tool_call_id):
                refused = isinstance(self.event, ev.ToolCalled) or any(call.id == tool_call_id for call in before.tool.waiting)
                self._rule(refused or tool_call_id in before.tool.pending, "a tool call is answered once (R80)")

    def _compare(self) -> None:
        """What must hold between the snapshots before and after."""
        before, after, event = self.before, self.after, self.event
        if after.phase.state in OVER:
            self._rule(bool(self.bits & TOLD), "the application is told of every end (R86)")
            self.bits &= ~(HELD | POSTED)
            self._rule(all(_is_over(getattr(after, name)) for name in _REGIONS), "closing ends every region (R49, R62)")
            return
        self._rule(not self.bits & TOLD, "the application is told of the end only when there is one (R86)")
        if after.turn is not before.turn:
            self._rule(isinstance(event, _TOUCH_TURN), "what the agent does leaves the caller's turn as it is (R22, R76)")
        self._rule(
            bool(self.bits & HELD) == (after.interruption.state in HOLDING),
            "the voice is held while an interruption is suspected, and only then (R74)",
        )
        self._rule(bool(self.bits & POSTED) == (after.synthesis.state is st.SYNTHESISING), "no synthesis is forgotten while it runs (R77)")
        for name in ("session", "line", "calibration"):
            was, now = getattr(before, name), getattr(after, name)
            self._rule(was.state is now.state or now.epoch > was.epoch, f"{name} changes by an entry only")
        if event_of_end := isinstance(event, ev.ResponseEnded):
            self._rule(_remembers(after, event.response_id), "an ended response is remembered (R06)")
        if after.response is not before.response and not event_of_end:
            for response_id, done in self.of.items():
                known = done not in (SPENT, SPENT_HEARD) or _remembers(after, response_id) or not _remembers(before, response_id)
                full = len(after.response.ended) == after.policy.remembered_ids
                self._rule(known or full, "a cancelled or ended response is remembered while there is room (R06)")
        if ev.BargedIn in self.signals:
            self._rule(not admits(after, before.playout.id), "after an interruption the interrupted response is not heard (R30, R69)")

    def past(self, names: tuple[str, ...], playout: Playout, response: Response) -> Past:
        """The past with the ids in their new order, given what the plain snapshot holds of playout and response.

        A response may have ceased to be heard; one that is remembered no more is as good as new (that it is remembered while it must
        be is a rule of its own).
        """
        done = []
        for name, old in zip(_CANONICAL, names, strict=False):
            was = self.of.get(old, NEW)
            if was and name != playout.id and name != playout.next_id:
                was = _SILENCED[was]
            if was and name != response.id and name not in response.ended:
                was = _FORGOTTEN[was]
            done.append(was)
        return Past(self.bits & ~LATE, tuple(done))


def faults_of(call: Call, past: Past, runs: bool) -> list[str]:
    """The rules that a state breaks by itself; `runs` says whether a deadline runs in it."""
    faults = []
    policy = call.policy
    if call.phase.state in OVER:
        if not runs and call.phase.state is not st.CLOSED:
            faults.append("closing ends (R50)")
        return faults
    for number, done in enumerate(past.of, start=1):
        if admits(call, f"r{number}") and done not in (HEARD, SPENT_HEARD):
            faults.append("only what was admitted, and not flushed, may be heard (R09, R69)")
    if call.phase.state is st.CANCELLING and call.response.state not in CANCELLINGS:
        faults.append("the phase is cancelling only while a response is (R73)")
    bounded = (
        len(call.response.ended) <= policy.remembered_ids
        and len(call.synthesis.queue) <= policy.queued_sentences
        and len(call.truncation.items) <= policy.queued_sentences
        and len(call.tool.pending) <= policy.tools_at_once
        and len(call.dtmf.digits) <= 64
        and call.pending.recoveries <= max(1, policy.recoveries)
        and call.response.unsent < policy.cancel_attempts
    )
    if not bounded:
        faults.append("what a call remembers is bounded (R07)")
    if not runs:
        stuck = [name for name, rest in AT_REST.items() if getattr(call, name).state not in rest]
        if stuck or past.bits & HELD:
            faults.append(f"every wait has an end, but none has that of {', '.join(stuck) or 'the held voice'} (R78)")
    return faults


def forgotten_ids(call: Call, past: Past) -> tuple[str, ...]:
    """Responses that are still heard, but that so many later ones pushed out of what is remembered: no server creates one anew."""
    return tuple(f"r{number}" for number, done in enumerate(past.of, start=1) if done != NEW and not _remembers(call, f"r{number}"))


def _free(call: Call) -> bool:
    return (
        call.response.state is st.REQUESTED
        and call.phase.state is st.LISTENING
        and call.playout.state is st.SILENT
        and call.turn.state is st.QUIET
        and call.session.state in (st.GUARDED, st.READY, st.AGED)
        and call.line.state is st.OPEN
        and call.hangup.state in (st.STAYING, st.PARTING)
    )


def _is_over(record: Record) -> bool:
    return record.state is st.OVER and record.due_ms == NEVER


def _remembers(call: Call, response_id: str) -> bool:
    return response_id == call.response.id or response_id in call.response.ended
