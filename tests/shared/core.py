"""What the tests of the core share: a script that feeds events as the driver does, and calls in common situations; no claim is here.

`Script` runs whatever machine `machine()` gives: the real one, or the one that a test of the tests put in its place with `running`.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Concatenate, ParamSpec, TypeVar

import attrs

from fsm import Call, Policy, effects, events, start, states
from fsm.call.machine import CALL
from fsm.engine.machine import Machine, Step
from fsm.engine.notation import NEVER, State

P = ParamSpec("P")
E = TypeVar("E", bound=effects.Effect)

_machines: list[Machine[Call]] = [CALL]


def machine() -> Machine[Call]:
    """The machine that new scripts run."""
    return _machines[-1]


@contextmanager
def running(other: Machine[Call]) -> Iterator[None]:
    """New scripts run `other` meanwhile."""
    _machines.append(other)
    try:
        yield
    finally:
        _machines.pop()


class Script:
    """One call from its beginning, on a clock of its own; deadlines that have passed are answered before any event."""

    def __init__(self, policy: Policy | None = None, call_id: str = "call") -> None:
        self.machine = machine()
        self.call = start(policy or Policy(), call_id)
        self.now_ms = 0.0
        self.effects: list[effects.Effect] = []
        """All effects so far, in order."""

    def post(self, event: Callable[Concatenate[float, P], events.Event], *args: P.args, **kwargs: P.kwargs) -> list[effects.Effect]:
        """Let `event` happen now, and give the effects of it and of what is due at once."""
        before = len(self.effects)
        self.step(event(self.now_ms, *args, **kwargs))
        self._expire(self.now_ms)
        return self.effects[before:]

    def wait(self, ms: float) -> list[effects.Effect]:
        """Let time pass, and give the effects of the deadlines that pass with it."""
        before = len(self.effects)
        until_ms = self.now_ms + ms
        self._expire(until_ms)
        self.now_ms = until_ms
        return self.effects[before:]

    def wait_to(self, at_ms: float) -> list[effects.Effect]:
        """Let time pass until `at_ms`."""
        return self.wait(at_ms - self.now_ms)

    def settle(self, steps: int = 400) -> list[effects.Effect]:
        """Let every deadline pass but the call's own, one after the other, until none runs; a call that needs more `steps` is stuck."""
        before = len(self.effects)
        for _ in range(steps):
            due_ms = min(getattr(self.call, name).due_ms for name in self.states() if name != "limit")
            if due_ms == float("inf"):
                return self.effects[before:]
            self.wait_to(max(due_ms, self.now_ms))
        raise AssertionError(f"after {steps} deadlines others still run: {self.states()}")

    def step(self, event: events.Event) -> Step[Call]:
        """Answer one event and nothing that is due."""
        answer = self.machine.step(self.call, event)
        self.call = answer.snapshot
        self.effects += answer.effects
        return answer

    def of(self, kind: type[E]) -> list[E]:
        """All effects of one kind so far."""
        return [effect for effect in self.effects if isinstance(effect, kind)]

    def states(self) -> dict[str, State]:
        """The state of each region, by its name."""
        return {region.name: getattr(self.call, region.name).state for region in self.machine.regions}

    def expects(self, **expected: State) -> "Script":
        """Fail unless the regions named are in the states given."""
        actual = {name: state for name, state in self.states().items() if name in expected}
        assert actual == expected, f"{actual} is not {expected}"
        return self

    def _expire(self, until_ms: float) -> None:
        for _ in range(1000):
            due_ms = max(self.machine.due_ms(self.call), self.now_ms)
            if due_ms > until_ms:
                return
            self.now_ms = due_ms
            self.step(self.machine.expiry(self.call, due_ms))
        raise AssertionError(f"time stands still: {self.states()}")


def begun(**policy: Any) -> Script:
    """A call whose line and session are there and whose noise floor is known; a greeting, if the policy has one, waits for its text.

    Silence and the maximum duration are far off, unless the policy says otherwise.
    """
    script = Script(Policy(**{"idle_ms": 600_000, "call_ms": 86_400_000, **policy}))
    script.post(events.LineOpened)
    script.post(events.SessionOpened)
    script.post(events.SessionConfirmed)
    script.post(events.VadCalibrated)
    return script


def idle(**policy: Any) -> Script:
    """The agent listens, nothing is wanted, and there was no greeting."""
    return begun(**{"greeting": False, "voice": "realtime", **policy}).expects(phase=states.LISTENING, session=states.READY)


def greeting(response_id: str = "g1", **policy: Any) -> Script:
    """The greeting `g1` is accepted, and nothing of it is heard yet."""
    script = begun(**{"voice": "realtime", **policy})
    script.post(events.GreetingPrepared, "Say hello.")
    script.expects(response=states.REQUESTED)
    script.post(events.ResponseCreated, response_id)
    return script.expects(phase=states.GREETING_LOCK)


def caller_says(script: Script, item_id: str = "u1", ms: float = 400) -> list[effects.Effect]:
    """The caller says something for `ms`, and the turn is committed."""
    before = len(script.effects)
    script.post(events.SpeechStarted, item_id)
    script.wait(ms)
    script.post(events.SpeechStopped, item_id)
    script.post(events.TurnCommitted, item_id)
    return script.effects[before:]


def asked(item_id: str = "u1", **policy: Any) -> Script:
    """The caller said something, and our response.create for it is under way; or the server owes the answer, if that is its work."""
    script = idle(**policy)
    caller_says(script, item_id)
    if script.call.policy.create_response:
        return script.expects(pending=states.OWED)
    return script.expects(response=states.REQUESTED)


def answering(response_id: str = "r1", **policy: Any) -> Script:
    """`r1` is being generated and may be heard; no sound of it has come."""
    script = asked(**policy)
    script.post(events.ResponseCreated, response_id)
    return script.expects(response=states.IN_PROGRESS, playout=states.ADMITTED)


def hear(script: Script, response_id: str = "r1", ms: float = 1000) -> Script:
    """The first sound of a response comes, and the device plays it for `ms` more."""
    script.post(events.AudioArrived, response_id, "item_" + response_id)
    played_ms = 0.0
    script.post(events.PlayoutProgressed, response_id, 0.0)
    while played_ms < ms:
        part_ms = min(500, ms - played_ms)
        script.wait(part_ms)
        played_ms += part_ms
        script.post(events.PlayoutProgressed, response_id, played_ms)
    return script


def speaking(response_id: str = "r1", **policy: Any) -> Script:
    """`r1` is being generated, and has been heard for a second."""
    script = hear(answering(response_id, **policy), response_id)
    return script.expects(phase=states.AI_SPEAKING, playout=states.PLAYING, response=states.IN_PROGRESS)


def playing_out(response_id: str = "r1", **policy: Any) -> Script:
    """`r1` is generated to its end, and still being heard."""
    script = speaking(response_id, **policy)
    script.post(events.ResponseCompleted, response_id)
    return script.expects(phase=states.AI_SPEAKING, playout=states.PLAYING, response=states.COMPLETED)


def interrupted(response_id: str = "r1", **policy: Any) -> Script:
    """The caller spoke over `r1` long enough, and still does; the end of `r1` is awaited."""
    script = speaking(response_id, **policy)
    script.post(events.SpeechStarted, "u2")
    script.wait(script.call.policy.interruption_min_ms)
    return script.expects(phase=states.CANCELLING, playout=states.SILENT, interruption=states.LOCKED)


def heard_out(script: Script, response_id: str = "r1") -> list[effects.Effect]:
    """Everything queued of a response is heard; what follows, but that it is retired."""
    before = len(script.effects)
    script.post(events.QueueEmptied, response_id)
    script.wait(100)
    script.post(events.PlayoutFinished, response_id, 1000.0)
    return [effect for effect in script.effects[before:] if not isinstance(effect, effects.Retire)]


def reading(response_id: str = "r1", **policy: Any) -> Script:
    """A Chatterbox voice: sentence 1 of `r1` is in synthesis, and nothing of it is heard."""
    script = answering(response_id, voice="chatterbox", **policy)
    script.post(events.SentenceCut, response_id, 1, "One.", "item_" + response_id)
    return script.expects(synthesis=states.SYNTHESISING)


def put(script: Script, name: str, state: State, **fields: Any) -> Script:
    """The call, with a region in that state from now on."""
    record = getattr(script.call, name)
    due_ms = NEVER if state.at_most is None else script.now_ms + state.at_most(script.call)
    record = attrs.evolve(record, state=state, epoch=record.epoch + 1, due_ms=due_ms, **fields)
    script.call = attrs.evolve(script.call, **{name: record})
    return script


def now(script: Script, kind: Any, *fields: Any) -> tuple[Any, ...]:
    """Let an event happen, and give its own effects alone."""
    return script.step(kind(script.now_ms, *fields)).effects


def expired(script: Script, name: str) -> tuple[Any, ...]:
    """Let a region's deadline pass now, and give its own effects alone."""
    region = next(region for region in script.machine.regions if region.name == name)
    record = attrs.evolve(getattr(script.call, name), due_ms=script.now_ms)
    script.call = attrs.evolve(script.call, **{name: record})
    return script.step(region.expired(script.now_ms, record.epoch)).effects
