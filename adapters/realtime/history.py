"""What was said in a call, as items that a new session can be given; pure, and of a bounded number of items (R07, R85).

A session that is lost takes its conversation with it. What the caller said is known by its transcript, and their last turn by its sound
until that comes; what the agent said by its text, cut to what was heard.
"""

import binascii
import math
from typing import Any

import attrs

from adapters.realtime.commands import function_call_output
from adapters.realtime.incoming import Audio, Happened, Incoming, SpokenDelta, TextDelta
from adapters.seam.bounded import Bounded
from fsm.call.effects import AddEntry, DeleteItem, Effect, RewriteItem, SendToolResult, TruncateItem
from fsm.call.events import ResponseTranscribed, ToolCalled, Transcribed, TurnCommitted

KEPT_ITEMS = 48
"""How many of the last items are kept: a call of ten minutes has about as many."""


@attrs.define
class _Item:
    """One item: who said it, the text as far as it came, and of the agent's sound how much came and how much was heard."""

    role: str
    text: str = ""
    received_ms: float = 0.0
    heard_ms: float = math.inf
    rewritten: str | None = None
    """What the model was told to remember of it; empty: nothing."""
    fields: dict[str, Any] | None = None
    """The item as it is on the wire, if it is no message."""

    @property
    def said(self) -> str:
        """The text, cut to what was heard; what is still told of an interrupted answer lengthens it in vain (R34)."""
        if self.rewritten is not None:
            return self.rewritten
        if self.heard_ms >= self.received_ms:
            return self.text
        words = self.text.split()
        return " ".join(words[: round(len(words) * self.heard_ms / self.received_ms)])


class History:
    """The conversation so far: `hear` what the server says, `do` what we do to it, and give `items` to a new session."""

    def __init__(self) -> None:
        self._items: Bounded[str, _Item] = Bounded(KEPT_ITEMS)
        self._item_of: Bounded[str, str] = Bounded(KEPT_ITEMS)
        self._restored: set[str] = set()
        self._missing: Bounded[str, bool] = Bounded(KEPT_ITEMS)
        self._sound = ("", b"")
        self._shared: dict[str, dict[str, Any]] = {}

    def remembered(self) -> dict[str, Any]:
        """The items that are new or otherwise than they were told last, for another process; the caller's sound is not among them."""
        now = {item_id: _as_json(item) for item_id, item in self._items.items()}
        new = {item_id: told for item_id, told in now.items() if self._shared.get(item_id) != told}
        self._shared = now
        return new

    def recall(self, remembered: dict[str, Any]) -> None:
        """Know what another process told."""
        for item_id, told in remembered.items():
            heard_ms = told["heard_ms"]
            self._items[item_id] = _Item(**{**told, "heard_ms": math.inf if heard_ms is None else heard_ms})

    def hear(self, incoming: Incoming) -> None:
        """Note what the server says of the conversation."""
        match incoming:
            case Audio(response_id, item_id):
                self._agents(response_id, item_id).received_ms += incoming.ms
            case TextDelta(response_id, item_id, delta) | SpokenDelta(response_id, item_id, delta):
                self._agents(response_id, item_id).text += delta
            case Happened(event, args):
                self._hear_event(event, args)

    def keep_sound(self, item_id: str, pcm: bytes) -> None:
        """Keep the sound of the caller's last turn until its words are known: the answer to it may be lost before."""
        if pcm:
            self._sound = (item_id, pcm)

    def do(self, effect: Effect) -> Effect | None:
        """Note what we do to the conversation; the effect to send in its place, None if the session does not have the item.

        A restored item has no sound to truncate.
        """
        match effect:
            case TruncateItem(item_id) | RewriteItem(item_id) | DeleteItem(item_id) if item_id in self._missing:
                return None
            case TruncateItem(item_id, audio_end_ms):
                if (item := self._items.get(item_id)) is not None:
                    item.heard_ms = min(item.heard_ms, audio_end_ms)
                    if item_id in self._restored:
                        return RewriteItem(item_id, item.said)
            case RewriteItem(item_id, text):
                if (item := self._items.get(item_id)) is not None:
                    item.rewritten = text
            case DeleteItem(item_id):
                if (item := self._items.get(item_id)) is not None:
                    item.rewritten = ""
            case SendToolResult(tool_call_id, output):
                self._add(f"output of {tool_call_id}", function_call_output(tool_call_id, output))
        return effect

    def note_entry(self, effect: AddEntry, words: str) -> None:
        """Note what the caller entered on the keypad, in the words that the model was told."""
        self._keep(f"entry {len(self._items)} {effect.digits}", _Item("user", words))

    def add(self, item_id: str, fields: dict[str, Any]) -> None:
        """Note an item of the application's, as it is on the wire."""
        self._add(item_id, fields)

    def items(self) -> list[dict[str, Any]]:
        """The items for a new session, the oldest first; those of which neither text nor sound is known are forgotten."""
        given = {item_id: told for item_id, item in self._items.items() if (told := self._told(item_id, item)) is not None}
        for item_id in [item_id for item_id in self._items if item_id not in given]:
            del self._items[item_id]
            self._missing[item_id] = True
        self._restored = {item_id for item_id, item in self._items.items() if item.fields is None}
        return list(given.values())

    def _told(self, item_id: str, item: _Item) -> dict[str, Any] | None:
        """An item as a new session is told of it; None if there is nothing to tell."""
        if item.fields is not None:
            return item.fields
        if item.said:
            kind = "input_text" if item.role == "user" else "output_text"
            return _message(item_id, item.role, {"type": kind, "text": item.said})
        if item_id == self._sound[0]:
            sound = binascii.b2a_base64(self._sound[1], newline=False).decode("ascii")
            return _message(item_id, item.role, {"type": "input_audio", "audio": sound})
        return None

    def _hear_event(self, event: object, args: tuple[str, ...]) -> None:
        if event is TurnCommitted and args[0]:
            self._keep(args[0], _Item("user"))
        elif event is Transcribed:
            self._keep(args[0], _Item("user")).text = args[1]
            if args[1] and args[0] == self._sound[0]:
                self._sound = ("", b"")
        elif event is ResponseTranscribed and (item_id := self._item_of.get(args[0])) and item_id in self._items:
            self._items[item_id].text = args[1]
        elif event is ToolCalled:
            call_id, name, arguments = args[:3]
            self._add(f"call {call_id}", {"type": "function_call", "call_id": call_id, "name": name, "arguments": arguments})

    def _agents(self, response_id: str, item_id: str) -> _Item:
        self._item_of[response_id] = item_id
        return self._keep(item_id, _Item("assistant"))

    def _add(self, name: str, fields: dict[str, Any]) -> None:
        self._keep(name, _Item("", fields=fields))

    def _keep(self, item_id: str, item: _Item) -> _Item:
        return self._items.setdefault(item_id, item)


def _as_json(item: _Item) -> dict[str, Any]:
    return {**attrs.asdict(item), "heard_ms": None if item.heard_ms == math.inf else item.heard_ms}


def _message(item_id: str, role: str, part: dict[str, Any]) -> dict[str, Any]:
    told = {"type": "message", "role": role, "content": [part]}
    # a name of our own, with a blank in it, is no id of the wire
    return told if " " in item_id else {"id": item_id, **told}
