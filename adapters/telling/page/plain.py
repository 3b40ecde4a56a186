"""Records, events and effects as JSON values, and the same with nothing private in them."""

import math
import re
from enum import Enum
from typing import Any

import attrs

from fsm.call.events import ResponseEnded
from fsm.engine.notation import State

HIDDEN = "…"
CODE = re.compile(r"[a-z]+([_.][a-z]+)*", re.ASCII)
"""What may be shown of a server's code: words of the protocol, no numbers."""
CODES = frozenset({"code", "outcome"})
NAMED = {
    "response_id": "response",
    "id": "response",
    "next_id": "response",
    "arrived_id": "response",
    "ended": "response",
    "unwanted": "response",
    "awaited": "response",
    "cut": "response",
    "item_id": "item",
    "session_id": "sentence",
    "tool_call_id": "tool",
    "pending": "tool",
    "told": "tool",
}
"""Fields that hold ids, and of what."""


class Plain:
    """Makes JSON values."""

    def value(self, value: Any, field: str = "") -> Any:
        """Of a record, event, effect, or what is in one; a deadline that never comes is None."""
        if isinstance(value, State):
            return value.name
        if isinstance(value, Enum):
            return value.value
        if isinstance(value, str):
            return self.text(value, field)
        if isinstance(value, float):
            return value if math.isfinite(value) else None
        if isinstance(value, tuple):
            return [self.value(one, field) for one in value]
        return self.fields(value) if attrs.has(type(value)) else value

    def fields(self, thing: Any) -> dict[str, Any]:
        """Of each field of a record, event or effect."""
        return {field.name: self.value(getattr(thing, field.name), field.name) for field in attrs.fields(type(thing))}

    def text(self, text: str, field: str) -> str:
        """A text as it may be shown."""
        return text


class Redacted(Plain):
    """The same without words and numbers: a text is shown if it is a word of the protocol, and ids are replaced by names, one each."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}
        self._counts: dict[str, int] = {}

    def fields(self, thing: Any) -> dict[str, Any]:
        """See Plain; the server's reason for the end of a response is a word of the protocol."""
        shown = super().fields(thing)
        if isinstance(thing, ResponseEnded) and CODE.fullmatch(thing.reason):
            shown["reason"] = thing.reason
        return shown

    def text(self, text: str, field: str) -> str:
        """See Plain."""
        if not text or (field in CODES and CODE.fullmatch(text)):
            return text
        kind = NAMED.get(field)
        if kind is None:
            return HIDDEN
        if text not in self._names:
            self._counts[kind] = self._counts.get(kind, 0) + 1
            self._names[text] = f"{kind}-{self._counts[kind]}"
        return self._names[text]
