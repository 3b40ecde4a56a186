"""The tool calls of a connection, gathered from whichever messages tell of them, until each is whole: pure and bounded (R89, R90).

A call is whole when its item is done and not cut off, when its arguments are told to be done and are an object, or when its response
completes. It is told once.
"""

import json
import re
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
    number: int = 1
    """It is so many calls that had this call_id, or say that they have."""
    told: bool = False
    cut: bool = False
    """Is its item told to be incomplete? Then what there is of it is not carried out."""

    @property
    def id(self) -> str:
        """Its own name: the call's id, and the item's where the server gives calls none; one that is used again has a number besides."""
        return f"{self.call_id}{AGAIN}{self.number}" if self.number > 1 else self.call_id or self.item_id

    @property
    def said(self) -> str:
        """Its arguments, whole characters all."""
        return _mended(self.arguments or self.deltas)

    def is_another(self, response_id: str, item_id: str, arguments: str) -> bool:
        """Is what a message says of this call_id about another call? Servers use ids again, and tell a call again (R89)."""
        if self.response_id == response_id or (item_id and item_id == self.item_id):
            return False
        return bool(item_id and self.item_id) or bool(arguments and _value(arguments) != _value(self.said))


class Calls:
    """The latest calls; where a message leaves out which one it means, its item says so, or it is the last of its response."""

    def __init__(self) -> None:
        self._calls: list[ToolCall] = []
        self.settles_next: ToolCall | None = None
        """The call whose arguments are done, until the next message shows whether it was cut off."""

    def find(self, response_id: str, item_id: str, call_id: str, arguments: str | None = None) -> ToolCall:
        """The call that a message means, as far as it says so; a new one where it is none of those that are known.

        `arguments` are those in the message, None where it does not name its response: then it begins no call under an id that is known.
        """
        number = 1
        for call in reversed(self._calls):
            if call_id and call.call_id == call_id:
                if arguments is None or not call.is_another(response_id, item_id, arguments):
                    break
                number = max(number, call.number + 1)
            elif item_id and call.item_id == item_id:
                break
            if not call_id and not item_id and call.response_id == response_id:
                break
        else:
            call = ToolCall(response_id, number=number)
            self._calls = [*self._calls[1 - MOST :], call]
        call.item_id, call.call_id = call.item_id or item_id, call.call_id or call_id
        call.response_id = call.response_id or response_id
        return call

    def of(self, response_id: str) -> Iterator[ToolCall]:
        """The calls of a response, in their order."""
        return (call for call in self._calls if call.response_id == response_id)


MOST = 64
"""How many calls are remembered."""
AGAIN = " again "
"""What stands between a call_id that is used again and its number; no id of the wire holds a blank."""


def wire_id(tool_call_id: str) -> str:
    """What the server calls a call."""
    return tool_call_id.partition(AGAIN)[0]


def is_whole(arguments: str) -> bool:
    """Are they a JSON object, to its end?"""
    try:
        return isinstance(json.loads(arguments), Mapping)
    except (ValueError, RecursionError):
        return False


def _value(arguments: str) -> Any:
    try:
        return json.loads(_mended(arguments))
    except (ValueError, RecursionError):
        return arguments


def _mended(arguments: str) -> str:
    """Arguments without half a character, no text of a text or null, and one object; as they are where nothing is to be mended."""
    if _SEVERAL.search(arguments):
        arguments = _one_of(arguments)
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


_SEVERAL = re.compile(r"\}\s*\{")


def _one_of(arguments: str) -> str:
    """The one object that several come to, one behind the other: it is told twice, or beside empty ones. Else as they are."""
    said, at = list[str](), 0
    try:
        while at < len(arguments):
            value, end = json.JSONDecoder().raw_decode(arguments, at)
            if value not in ({}, [], "") and arguments[at:end] not in said:
                said.append(arguments[at:end])
            at = end + len(arguments[end:]) - len(arguments[end:].lstrip())
    except (ValueError, RecursionError):
        return arguments
    return said[0] if len(said) == 1 else arguments
