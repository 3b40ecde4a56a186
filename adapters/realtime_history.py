"""What was said in a call, as items that a new session can be given; pure, and of a bounded number of items (R07, R85).

A session that is lost takes its conversation with it. What the caller said is known by its transcript, what the agent said by its
text, cut to what was heard; sound is not kept.
"""

from typing import Any

import attrs

from adapters.realtime_commands import function_call_output
from adapters.realtime_wire import Audio, Happened, Incoming, TextDelta
from fsm.call.effects import AddEntry, DeleteItem, Effect, RewriteItem, SendToolResult, TruncateItem
from fsm.call.events import ResponseTranscribed, ToolCalled, Transcribed, TurnCommitted

KEPT_ITEMS = 48
"""How many of the last items are kept: a call of ten minutes has about as many."""
BYTES_PER_MS = 48
"""24 kHz, mono, 16 bits."""


@attrs.define
class _Item:
    """One item: who said it, the text, and of the agent's sound how much came."""

    role: str
    text: str = ""
    received_ms: float = 0.0
    fields: dict[str, Any] | None = None
    """The item as it is on the wire, if it is no message."""


class History:
    """The conversation so far: `hear` what the server says, `do` what we do to it, and give `items` to a new session."""

    def __init__(self) -> None:
        self._items: dict[str, _Item] = {}
        self._item_of: dict[str, str] = {}
        self._restored: set[str] = set()

    def hear(self, incoming: Incoming) -> None:
        """Note what the server says of the conversation."""
        match incoming:
            case Audio(response_id, item_id, pcm):
                self._agents(response_id, item_id).received_ms += len(pcm) / BYTES_PER_MS
            case TextDelta(response_id, item_id, _):
                self._agents(response_id, item_id)
            case Happened(event, args):
                self._hear_event(event, args)

    def do(self, effect: Effect) -> Effect:
        """Note what we do to the conversation; the effect to send in its place, as a restored item has no sound to truncate."""
        match effect:
            case TruncateItem(item_id, audio_end_ms):
                if (item := self._items.get(item_id)) is not None:
                    words = item.text.split()
                    share = min(1.0, audio_end_ms / item.received_ms) if item.received_ms else 1.0
                    item.text = " ".join(words[: round(len(words) * share)])
                    if item_id in self._restored:
                        return RewriteItem(item_id, item.text)
            case RewriteItem(item_id, text):
                if (item := self._items.get(item_id)) is not None:
                    item.text = text
            case DeleteItem(item_id):
                self._items.pop(item_id, None)
            case SendToolResult(tool_call_id, output):
                self._add(f"output of {tool_call_id}", function_call_output(tool_call_id, output))
        return effect

    def note_entry(self, effect: AddEntry, words: str) -> None:
        """Note what the caller entered on the keypad, in the words that the model was told."""
        self._keep(f"entry {len(self._items)} {effect.digits}", _Item("user", words))

    def items(self) -> list[dict[str, Any]]:
        """The items for a new session, the oldest first; those of which no text is known are left out."""
        self._restored = {item_id for item_id, item in self._items.items() if item.fields is None}
        return [item.fields or _message(item_id, item) for item_id, item in self._items.items() if item.fields or item.text]

    def _hear_event(self, event: object, args: tuple[str, ...]) -> None:
        if event is TurnCommitted and args[0]:
            self._keep(args[0], _Item("user"))
        elif event is Transcribed:
            self._keep(args[0], _Item("user")).text = args[1]
        elif event is ResponseTranscribed and (item_id := self._item_of.get(args[0])) and item_id in self._items:
            self._items[item_id].text = args[1]
        elif event is ToolCalled:
            call_id, name, arguments = args
            self._add(f"call {call_id}", {"type": "function_call", "call_id": call_id, "name": name, "arguments": arguments})

    def _agents(self, response_id: str, item_id: str) -> _Item:
        if self._item_of.get(response_id) != item_id:
            self._item_of[response_id] = item_id
            _forget_oldest(self._item_of)
        return self._keep(item_id, _Item("assistant"))

    def _add(self, name: str, fields: dict[str, Any]) -> None:
        self._keep(name, _Item("", fields=fields))

    def _keep(self, item_id: str, item: _Item) -> _Item:
        kept = self._items.setdefault(item_id, item)
        _forget_oldest(self._items)
        return kept


def _forget_oldest(store: dict[str, Any]) -> None:
    if len(store) > KEPT_ITEMS:
        del store[next(iter(store))]


def _message(item_id: str, item: _Item) -> dict[str, Any]:
    kind = "input_text" if item.role == "user" else "output_text"
    told = {"type": "message", "role": item.role, "content": [{"type": kind, "text": item.text}]}
    return told if " " in item_id else {"id": item_id, **told}
