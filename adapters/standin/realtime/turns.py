"""What a dialogue of the stand-in agent is told and what it answers: a turn, and words or a function call; what is said is not in here."""

from collections.abc import Mapping
from typing import Any, Protocol

import attrs


@attrs.frozen
class Tool:
    """A function that the client offers; `parameters` is the JSON Schema of its arguments, an object."""

    name: str
    description: str = ""
    parameters: Mapping[str, Any] = attrs.field(factory=dict)


@attrs.frozen
class Turn:
    """What a dialogue knows when it must answer.

    `heard` is the caller's latest words and `earlier` those before, `replies` how often the agent has spoken, `caller_spoke_last`
    whether nothing has come after the caller's words; `tool_output` the answer to the latest function call, when that came last;
    `instructions`, system messages behind them, and `offers` are the client's wishes, `must_call` that one of the offers be called.
    """

    heard: str = ""
    earlier: tuple[str, ...] = ()
    replies: int = 0
    caller_spoke: bool = False
    caller_spoke_last: bool = False
    tool_output: str | None = None
    instructions: str = ""
    offers: tuple[Tool, ...] = ()
    must_call: bool = False

    @property
    def tools(self) -> tuple[str, ...]:
        """The names of the offers."""
        return tuple(one.name for one in self.offers)


@attrs.frozen
class Say:
    """The agent says `text`."""

    text: str


@attrs.frozen
class Call:
    """The agent calls the client's function `name`; `arguments` is JSON. In the same response it first says `saying`."""

    name: str
    arguments: str
    saying: str = ""


class Dialogue(Protocol):
    """What the agent says; one serves all connections, so it must decide from the turn alone."""

    def answer(self, turn: Turn) -> Say | Call:
        """The answer to a turn; called from the event loop, so it must be quick."""
