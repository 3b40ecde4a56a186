"""Claims about every call: what no order of events can bring about, however late, doubled, foreign or early they are."""

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import attrs
from hypothesis import HealthCheck, event, given, settings, strategies as st

from fsm import Call, Policy, admits, effects, events as ev, states
from fsm.call.events import kinds
from fsm.call.guards import AUDIBLE, CANCELLINGS, HELD, IDLE
from fsm.engine.notation import State
from tests.shared.core import Script

S = TypeVar("S", bound=Script)

WALKS = settings(max_examples=600, derandomize=True, database=None, suppress_health_check=list(HealthCheck))

VALUES: dict[str, st.SearchStrategy[Any]] = {
    "response_id": st.sampled_from(["live", "heard", "next", "r1", "r2", "r3"]),
    "item_id": st.sampled_from(["", "u1", "u2"]),
    "session_id": st.sampled_from(["sentence", "sentence", "call.r1.1", "call.r2.1"]),
    "sentence": st.sampled_from([1, 2, 3]),
    "epoch": st.sampled_from(["now", 0, 1, 2]),
    "code": st.sampled_from(["response_cancel_not_active", "boom"]),
    "reason": st.sampled_from(["", "server_error"]),
    "text": st.sampled_from(["Hello.", "Hello.", ""]),
    "digit": st.sampled_from("12#"),
    "played_ms": st.sampled_from([0.0, 400.0, 900.0]),
    "received_ms": st.sampled_from([0.0, 900.0]),
    "outcome": st.just("acknowledged"),
    "message": st.just(""),
    "rms": st.just(0.0),
    "backchannel": st.booleans(),
    "audio_ms": st.just(900.0),
    "spoken_ms": st.sampled_from([0.0, 149.0, 900.0]),
    "tool_call_id": st.sampled_from(["t1", "t2"]),
    "name": st.just("look_up"),
    "arguments": st.just("{}"),
    "output": st.just("found"),
    "retry_after_ms": st.sampled_from([0.0, 2_000.0]),
    "content_index": st.just(0),
    "items": st.just(()),
    "heard": st.sampled_from([(), (ev.PlayoutStopped(0.0, "r1", 400.0, 900.0),), (ev.PlayoutStopped(0.0, "r1", 900.0, 900.0),)]),
    "repeatable": st.sampled_from([(), (ev.ToolCalled(0.0, "t1", "look_up", "{}"),)]),
}
END = (ev.Ending, ev.OwnershipLost, ev.HangupRequested, ev.GoodbyeSaid)
"""What may end a call: at most one in a walk, near its end, so that walks are long."""


def allowed(**policy: Any) -> Policy:
    """The policy, which awaits words only where it may (R109)."""
    waits = policy["interrupts"] == "client" and not policy["create_response"]
    return Policy(**{**policy, "interruption_words_ms": policy["interruption_words_ms"] if waits else 0})


POLICIES = st.builds(
    allowed,
    voice=st.sampled_from(["chatterbox", "realtime"]),
    interrupts=st.sampled_from(["client", "server"]),
    create_response=st.booleans(),
    direction=st.sampled_from(["inbound", "outbound"]),
    greeting=st.booleans(),
    greeting_protected=st.booleans(),
    echo_window_ms=st.sampled_from([0, 200]),
    interruption_min_ms=st.sampled_from([0, 150]),
    interruption_words_ms=st.sampled_from([0, 0, 1_500]),
    recoveries=st.sampled_from([0, 2, 9]),
    cancel_attempts=st.sampled_from([1, 2]),
    dtmf_digits=st.sampled_from([0, 2]),
    queued_sentences=st.sampled_from([1, 3]),
    tools_at_once=st.sampled_from([1, 2]),
    idle_ms=st.sampled_from([4_000, 20_000]),
    idle_prompts=st.sampled_from([0, 1]),
    idle_hangup=st.booleans(),
    call_ms=st.sampled_from([40_000, 600_000]),
)
WAITS = st.sampled_from([0.0, 1.0, 60.0, 150.0, 350.0, 600.0, 2_000.0, 5_000.0])
Move = tuple[type[ev.Event], dict[str, Any]] | float | str
OPENING: tuple[Move, ...] = tuple((kind, {}) for kind in (ev.LineOpened, ev.SessionOpened, ev.SessionConfirmed, ev.VadCalibrated))
ASKED: tuple[Move, ...] = (*OPENING, (ev.GreetingPrepared, {}), (ev.TurnCommitted, {"item_id": "u0"}))
CREATED: tuple[Move, ...] = (*ASKED, (ev.ResponseCreated, {"response_id": "r1"}))
CUT: tuple[Move, ...] = (*CREATED, (ev.SentenceCut, {"response_id": "r1", "sentence": 1, "text": "One."}))
HEARD: tuple[Move, ...] = (*CREATED, (ev.AudioArrived, {"response_id": "r1", "item_id": "i1"}), 350.0)
COMPLETED: tuple[Move, ...] = (*HEARD, (ev.ResponseCompleted, {"response_id": "r1"}))
INTERRUPTED: tuple[Move, ...] = (*HEARD, (ev.SpeechStarted, {"item_id": "u1"}), 150.0)
FOLLOWED: tuple[Move, ...] = (*COMPLETED, (ev.ResponseCreated, {"response_id": "r2"}))
OPENINGS: tuple[tuple[Move, ...], ...] = ((), OPENING, ASKED, CREATED, CUT, HEARD, COMPLETED, INTERRUPTED, FOLLOWED)
"""Where walks begin, so that they spend their steps in the middle of calls."""


def built(kind: type[ev.Event]) -> st.SearchStrategy[tuple[type[ev.Event], dict[str, Any]]]:
    """An event's class and the arguments to make it with, but for its time."""
    fields = [field.name for field in attrs.fields(kind) if field.name != "at_ms"]
    return st.tuples(st.just(kind), st.fixed_dictionaries({name: VALUES[name] for name in fields}))


EVERYDAY = [kind for kind in kinds() if not issubclass(kind, END)]
ANY_EVENT = st.one_of(*[built(kind) for kind in EVERYDAY], *[built(kind) for kind in EVERYDAY if issubclass(kind, ev.ModelEvent)])
LAST_EVENT = st.one_of(*[built(kind) for kind in kinds() if issubclass(kind, END)])
MOVES = st.one_of(ANY_EVENT, ANY_EVENT, ANY_EVENT, WAITS, WAITS, st.just("due"))
"""What a walk is made of: an event, the passing of time, or the nearest deadline."""
PLANS = st.tuples(
    POLICIES,
    st.sampled_from(OPENINGS),
    st.lists(MOVES, min_size=10, max_size=60),
    st.lists(LAST_EVENT, max_size=1),
    st.lists(MOVES, max_size=10),
)


LAST_STATES = (states.REQUESTED, states.WITHDRAWN, states.IN_PROGRESS, states.BLOCKED, *CANCELLINGS)
"""Response statuses that the event of the step may end, so that a response is asked for in it."""
OVER = (states.CLOSING, states.CLOSED)


class Witness(Script):
    """A script that judges every step of a walk."""

    def __init__(self, policy: Policy) -> None:
        super().__init__(policy)
        self.cancelled: set[str] = set()
        self.ended: set[str] = set()
        self.flushed: set[str] = set()
        self.admitted: set[str] = set()
        self.held = False
        self.over = False
        self.answers = False
        """Does the server answer a create at once?"""

    def step(self, event: ev.Event) -> Any:
        before = self.call
        answer = super().step(event)
        if isinstance(event, ev.CancelUnsent):
            self.cancelled.discard(event.response_id)
        for effect in answer.effects:
            self.judge(before, effect)
        if isinstance(event, ev.ResponseEnded):
            self.ended.add(event.response_id)
        self.judge_state(before, event)
        if self.answers and effects.CreateResponse in map(type, answer.effects):
            response_id = f"s{len(self.effects)}"
            self.step(ev.ResponseCreated(self.now_ms, response_id))
            self.step(ev.AudioArrived(self.now_ms, response_id, "item_" + response_id))
            self.step(ev.ResponseCompleted(self.now_ms, response_id))
            self.step(ev.PlayoutFinished(self.now_ms, response_id, 20.0))
        return answer

    def judge(self, before: Any, effect: effects.Effect) -> None:
        """What may be asked for, and when."""
        assert not self.over or isinstance(effect, effects.Log), f"{effect} after the call was over"
        match effect:
            case effects.CancelResponse(response_id):
                assert response_id not in self.cancelled, "a second cancel"
                assert response_id not in self.ended, "a cancel of what had ended"
                self.cancelled.add(response_id)
            case effects.CreateResponse():
                assert before.response.state in (*IDLE, *LAST_STATES)
                assert self.call.response.state is states.REQUESTED
                assert self.call.phase.state is states.LISTENING
                assert self.call.playout.state is states.SILENT
                assert self.call.turn.state is states.QUIET
                assert self.call.session.state in (states.GUARDED, states.READY, states.AGED)
                assert self.call.line.state is states.OPEN
                assert self.call.hangup.state in (states.STAYING, states.PARTING)
            case effects.Admit(response_id):
                assert response_id not in self.flushed | self.ended | self.admitted, "admitted again"
                self.admitted.add(response_id)
            case effects.Flush(response_id):
                assert response_id in self.admitted, "flushed, but never admitted"
                assert response_id not in self.flushed, "flushed twice, or after its end"
                self.flushed.add(response_id)
            case effects.Retire(response_id):
                self.flushed.add(response_id)
            case effects.Hold():
                assert not self.held, "held twice"
                self.held = True
            case effects.Resume():
                assert self.held, "resumed, but not held"
                self.held = False
            case effects.Synthesise(response_id=response_id):
                assert response_id in self.admitted - self.flushed, "synthesised, but never to be heard"
            case effects.TellEnded():
                assert len(self.of(effects.TellEnded)) == 1
                assert len(self.of(effects.HangUp)) <= 1

    def judge_state(self, before: Any, event: ev.Event) -> None:
        """What must hold after every step."""
        call = self.call
        if isinstance(event, ev.TakenUp | ev.OwnershipLost):
            # What the process that died held is heard no more, and held no more.
            self.flushed |= {before.playout.id, before.playout.next_id} - {""}
            self.held = False
        for response_id in self.flushed:
            assert not admits(call, response_id), "heard after its flush"
        assert len(call.response.ended) <= call.policy.remembered_ids
        assert len(call.synthesis.queue) <= call.policy.queued_sentences
        assert len(call.truncation.spoken) <= 4 * call.policy.queued_sentences
        assert len(call.dtmf.digits) <= 64
        of_turn = ev.CallerEvent | ev.TurnExpired | ev.ResponseCreated | ev.SessionLost | ev.SessionConfirmed
        if not isinstance(event, of_turn | ev.Ending | ev.TakenUp) and call.phase.state not in OVER:
            assert call.turn == before.turn, "the caller's turn was touched"
        heard = before.playout.state in AUDIBLE and call.playout.state in (states.SILENT, states.OVER)
        assert not heard or before.playout.id in self.flushed, "silenced, but not flushed"
        if call.phase.state in (states.CLOSING, states.CLOSED):
            self.over = True
            for region in self.machine.regions:
                record = getattr(call, region.name)
                assert region.name == "phase" or (record.state is states.OVER and record.due_ms == float("inf"))
            return
        assert self.held == (call.interruption.state in HELD), "held without a suspicion, or the reverse"
        if call.phase.state is states.CANCELLING:
            assert call.response.state in CANCELLINGS, "cancelling what nobody cancels"


def meant(call: Call, kind: type[ev.Event], fields: dict[str, Any]) -> dict[str, Any]:
    """The fields with the words for ids, which stand for what the call is about just now, made ids."""
    words: dict[Any, Any] = {
        "live": call.response.id or "r1",
        "heard": call.playout.id or "r1",
        "next": call.playout.next_id or "r2",
        "sentence": call.synthesis.session_id or "call.r1.1",
        "now": getattr(call, kind.region).epoch if issubclass(kind, ev.Expired) else 0,
    }
    return {name: words.get(value, value) for name, value in fields.items()}


def walked(plan: Any) -> Witness:
    """A call after a walk."""
    return walk_with(plan, Witness)


def walk_with(plan: Any, kind_of_script: Callable[[Policy], S]) -> S:
    """A call after a walk, as a script of that kind."""
    policy, opening, moves, ending, rest = plan
    script = kind_of_script(policy)
    for move in [*opening, *moves, *ending, *rest]:
        if move == "due":
            due_ms = script.machine.due_ms(script.call)
            if due_ms < float("inf"):
                script.wait_to(max(due_ms, script.now_ms))
        elif isinstance(move, float):
            script.wait(move)
        else:
            kind, fields = move
            script.post(kind, **meant(script.call, kind, fields))
    return script


@given(PLANS)
@WALKS
def test_no_walk_breaks_a_rule(plan: Any) -> None:
    """R01, R05, R06, R07, R11, R12, R19, R30, R39, R40, R47, R49, R50, R62, R67, R69, R70, R73, R74: see Witness."""
    event(f"ends {walked(plan).call.phase.state!r}")


@given(PLANS, st.sampled_from([True, True, True, False]))
@WALKS
def test_every_wait_has_an_end(plan: Any, answers: bool) -> None:
    """R78: whatever happened, deadlines alone bring a call to rest: listening with nothing pending, or closed.

    Neither the call's own limit nor a silent caller's goodbye may do it, and in most walks the server answers a create with a
    short response: an end of the call would hide a region that is stuck.
    """
    policy, *rest = plan
    patient = attrs.evolve(policy, idle_prompts=0, idle_hangup=False, call_ms=86_400_000)
    script = walked((patient, *rest))
    script.answers = answers
    script.settle()
    at_rest(script)
    event(f"rests {script.call.phase.state!r}")


def at_rest(script: Witness) -> None:
    """Fail if any region still waits for something."""
    if script.call.phase.state is states.CLOSED:
        return
    quiet: dict[str, Iterable[State]] = {
        "phase": [states.LISTENING],
        "response": IDLE,
        "playout": [states.SILENT],
        "interruption": [states.CLEAR],
        "synthesis": [states.RESTING],
        "truncation": [states.IN_STEP],
        "session": [states.READY],
        "line": [states.OPEN],
        "calibration": [states.CALIBRATED],
        "turn": [states.QUIET],
        "dtmf": [states.NO_ENTRY],
        "pending": [states.NOTHING],
        "tool": [states.NO_TOOL],
        "idle": [states.DISARMED],
        "limit": [states.UNLIMITED, states.WARNED],
        "hangup": [states.STAYING],
    }
    stuck = {name: state for name, state in script.states().items() if state not in quiet[name]}
    assert not stuck, f"stuck for ever: {stuck}"
    assert not script.held, "held for ever"
