"""A call as a test of the core: a Python file that takes its events and claims its effects; it needs nothing but `fsm` and pytest."""

from collections.abc import Iterable
from enum import Enum
from typing import Any

import attrs

from fsm.call import effects as fx, events as ev
from fsm.call.policy import Policy
from fsm.call.snapshot import Call
from fsm.engine.machine import Step

HEAD = '''\
"""{words}"""

from fsm import Policy, events as ev, start, step
from fsm.call import effects as fx

POLICY = {policy}
STEPS = (
{steps}
)
"""Each event, and the effects that it is to have."""


def test_each_event_has_its_effects() -> None:
    call = start(POLICY, {call_id!r})
    for event, effects in STEPS:
        call, done, _ = step(call, event)
        assert done == effects, event
'''


def claim_of(call: Call, steps: Iterable[tuple[ev.Event, Step[Call]]], words: str) -> str:
    """The test of a call that began as `call` and took these steps; `words` say what it is about."""
    lines = (f"    ({_literal(event, 'ev')}, {_literal(answer.effects, 'fx')})," for event, answer in steps)
    return HEAD.format(
        words=words.replace("\\", "/").replace('"', "'"), policy=_policy(call.policy), steps="\n".join(lines), call_id=call.call_id
    )


def _policy(policy: Policy) -> str:
    """What of a policy is not the default."""
    given = {field.name: getattr(policy, field.name) for field in attrs.fields(Policy)}
    told = ", ".join(f"{field.name}={given[field.name]!r}" for field in attrs.fields(Policy) if given[field.name] != field.default)
    return f"Policy({told})"


def _literal(value: Any, module: str) -> str:
    """A value as Python writes it, of events (`ev`) or effects (`fx`)."""
    if isinstance(value, Enum):
        return f"fx.{type(value).__name__}.{value.name}"
    if isinstance(value, tuple):
        parts = [_literal(one, module) for one in value]
        return f"({parts[0]},)" if len(parts) == 1 else f"({', '.join(parts)})"
    if isinstance(value, ev.Event | fx.Effect) or attrs.has(type(value)):
        fields = ", ".join(f"{field.name}={_literal(getattr(value, field.name), module)}" for field in attrs.fields(type(value)))
        return f"{module}.{type(value).__name__}({fields})"
    return repr(value)
