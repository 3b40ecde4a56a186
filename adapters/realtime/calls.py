"""The tool calls of a connection, gathered from whichever messages tell of them, until each is whole: pure and bounded (R89, R90).

A call is whole when its item is done and not cut off, when its arguments are told to be done and are an object, or when its response
completes. It is told once.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import attrs

from adapters.realtime.surrogates import whole_everywhere


@attrs.define
class ToolCall:
    """What is known of a call; `deltas` are its arguments as far as they came."""

    response_id: str
    item_id: str = ""
    call_id: str = ""
    name: str = ""
    arguments: str = ""
    deltas: str = ""
    told: bool = False
    cut: bool = False
    """Is its item told to be incomplete? Then what there is of it is not carried out."""

    @property
    def id(self) -> str:
        """What its answer names: the call's id, and the item's where the server gives calls none."""
        return self.call_id or self.item_id

    @property
    def said(self) -> str:
        """Its arguments, whole characters all."""
        return _mended(self.arguments or self.deltas)


class Calls:
    """The latest calls; where a message leaves out which one it means, its item says so, or it is the last of its response."""

    def __init__(self) -> None:
        self._calls: list[ToolCall] = []
        self.settles_next: ToolCall | None = None
        """The call whose arguments are done, until the next message shows whether it was cut off."""

    def find(self, response_id: str, item_id: str, call_id: str) -> ToolCall:
        """The call that a message means, as far as it says so; a new one where it is none of those that are known."""
        for call in reversed(self._calls):
            if (call_id and call.call_id == call_id) or (item_id and call.item_id == item_id):
                break
            if not call_id and not item_id and call.response_id == response_id:
                break
        else:
            call = ToolCall(response_id)
            self._calls = [*self._calls[1 - MOST :], call]
        call.item_id, call.call_id = call.item_id or item_id, call.call_id or call_id
        call.response_id = call.response_id or response_id
        return call

    def of(self, response_id: str) -> Iterator[ToolCall]:
        """The calls of a response, in their order."""
        return (call for call in self._calls if call.response_id == response_id)


MOST = 64
"""How many calls are remembered."""


def is_whole(arguments: str) -> bool:
    """Are they a JSON object, to its end?"""
    try:
        return isinstance(json.loads(arguments), Mapping)
    except (ValueError, RecursionError):
        return False


def _mended(arguments: str) -> str:
    """Arguments without half a character, and no text of a text or null; as they are where nothing is to be mended."""
    if "\\u" not in arguments and arguments.lstrip()[:1] not in ("n", '"'):
        return arguments
    try:
        value: Any = json.loads(arguments)
        if isinstance(value, str):
            value = json.loads(value)
        elif isinstance(value, Mapping) and value == json.loads(json.dumps(whole_everywhere(value))):
            return arguments
        return json.dumps(whole_everywhere(value)) if value is not None else "{}"
    except (ValueError, RecursionError):
        return arguments
