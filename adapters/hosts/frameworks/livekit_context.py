"""The conversation as the server has it, in LiveKit's own items: what its session's `chat_ctx` is, and what a new one changes."""

import json
from collections.abc import Collection
from typing import Any

from adapters.realtime.messages import Told, value_at

try:
    from livekit.agents import llm
except ImportError as lack:
    raise ImportError(f"{lack.name or lack} is not installed: pip install 'callfsm[livekit]'") from None

LONGEST_ID = 32
"""So many characters of an item's id a server takes (OpenAI's limit)."""


class Conversation:
    """What the server's conversation holds, in its order; the words of an answer are those that were heard of it."""

    def __init__(self) -> None:
        self._items: list[Any] = []
        self._hidden: set[str] = set()

    @property
    def context(self) -> Any:
        """A copy, as the package has it."""
        return llm.ChatContext(list(self._items)).copy()

    def hide(self, item_id: str) -> None:
        """An item is a wish of the application's about one answer, and no part of what was said."""
        self._hidden.add(item_id)

    def wrote(self, item: Any) -> None:
        """The application adds an item: it counts at once, though the server has not confirmed it."""
        self._items.append(item)

    def overhear(self, told: Told) -> Any:
        """Follow a message of the server's; gives the package's event for an item that only the server knew of, else None."""
        if told.kind == "conversation.item.deleted":
            self.drop(value_at(told.message, "item_id"))
        elif told.kind == "conversation.item.added":
            return self._added(value_at(told.message, "item"), value_at(told.message, "previous_item_id"))
        elif told.kind == "response.function_call_arguments.done":
            called, arguments = self._item(value_at(told.message, "item_id")), value_at(told.message, "arguments")
            if called is not None and called.type == "function_call" and isinstance(arguments, str):
                called.arguments = arguments
        return None

    def said(self, item_id: str, words: str) -> None:
        """Words of a message were heard, or understood."""
        item = self._item(item_id)
        if item is not None and item.type == "message" and words:
            item.content = [f"{''.join(item.content)}{words}"]

    def drop(self, item_id: Any) -> None:
        """An item is no more."""
        self._items = [item for item in self._items if item.id != item_id]

    def call(self, call_id: str) -> Any:
        """The item of a function call; None where none is known."""
        return next((item for item in self._items if item.type == "function_call" and item.call_id == call_id), None)

    def has(self, item: Any) -> bool:
        """Does the server have an item, if perhaps under an id of its own?"""
        return any(_is_same(item, other) for other in self._items)

    def without(self, items: Collection[Any]) -> list[Any]:
        """What it holds that is not among `items`."""
        return [item for item in self._items if not any(_is_same(item, other) for other in items)]

    def _added(self, fields: Any, previous_id: Any) -> Any:
        item_id = value_at(fields, "id")
        if not isinstance(item_id, str) or item_id in self._hidden or (item := _item_of(fields)) is None or self.has(item):
            return None
        ids = [other.id for other in self._items]
        at = ids.index(previous_id) + 1 if previous_id in ids else len(ids)
        self._items.insert(at, item)
        if item.type == "function_call_output":
            # The package has it, under an id of its own.
            return None
        return llm.RemoteItemAddedEvent(previous_item_id=ids[at - 1] if at else None, item=item)

    def _item(self, item_id: Any) -> Any:
        return next((item for item in self._items if item.id == item_id), None)


def wire_item(item: Any) -> dict[str, Any] | None:
    """An item of the package's as the wire has it; None for one that says nothing to a model."""
    match item.type:
        case "message" if item.text_content:
            kind = "output_text" if item.role == "assistant" else "input_text"
            role = "system" if item.role == "developer" else item.role
            return {"type": "message", "role": role, "content": [{"type": kind, "text": item.text_content}]}
        case "function_call":
            return {"type": item.type, "call_id": item.call_id, "name": item.name, "arguments": item.arguments}
        case "function_call_output":
            return {"type": item.type, "call_id": item.call_id, "output": item.output}
    return None


def _item_of(fields: Any) -> Any:
    """The package's item for what the wire has; None for a kind that it does not know."""
    kind, item_id = value_at(fields, "type"), value_at(fields, "id")
    call_id, name, output = (str(value_at(fields, name) or "") for name in ("call_id", "name", "output"))
    if kind == "function_call":
        arguments = value_at(fields, "arguments") or "{}"
        return llm.FunctionCall(
            id=item_id, call_id=call_id, name=name, arguments=arguments if isinstance(arguments, str) else json.dumps(arguments)
        )
    if kind == "function_call_output":
        return llm.FunctionCallOutput(id=item_id, call_id=call_id, output=output, is_error=False)
    role, content = value_at(fields, "role"), value_at(fields, "content")
    if kind not in (None, "message") or role not in ("system", "user", "assistant"):
        return None
    parts = content if isinstance(content, list) else []
    words = [value_at(part, "text") or value_at(part, "transcript") for part in parts]
    return llm.ChatMessage(id=item_id, role=role, content=[one for one in words if isinstance(one, str)])


def _is_same(one: Any, other: Any) -> bool:
    if one.type != other.type:
        return False
    return one.id[:LONGEST_ID] == other.id[:LONGEST_ID] or (
        one.type != "message" and getattr(one, "call_id", None) == getattr(other, "call_id", "")
    )
