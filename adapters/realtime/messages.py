"""The fields of the server's messages: where each may stand, and what it means that one is absent, said once for all of them.

Absent and null are the same. A field of another type than it must have makes the message malformed; what a message says is not in here.
"""

import json
from collections.abc import Mapping
from typing import Any

import attrs

from adapters.realtime.surrogates import whole

GA_NAMES = {
    "response.audio.delta": "response.output_audio.delta",
    "response.audio.done": "response.output_audio.done",
    "response.audio_transcript.delta": "response.output_audio_transcript.delta",
    "response.audio_transcript.done": "response.output_audio_transcript.done",
    "response.text.delta": "response.output_text.delta",
    "response.text.done": "response.output_text.done",
}
"""What the beta calls a message, and the GA wire calls it."""
ENDS = {
    "response.completed": "completed",
    "response.cancelled": "cancelled",
    "response.canceled": "cancelled",
    "response.interrupted": "cancelled",
    "response.incomplete": "incomplete",
    "response.failed": "failed",
}
"""The end of a response by a name that says how it ended, as compatible servers have it: the status."""
_HEARD = "conversation.item.input_audio_transcription"
_NAMES = {**GA_NAMES, **dict.fromkeys(ENDS, "response.done"), f"{_HEARD}.updated": f"{_HEARD}.delta"}
"""And what compatible servers call one."""

LONGEST = 64 * 2**10
"""A text may have so many characters (R106): an answer has 4,096 tokens at the most, and what is made of a text takes time."""


class Malformed(Exception):
    """A message lacks what its type promises; the text says what."""


@attrs.frozen
class Field:
    """A field: the places where it was seen, best first, its type, and what stands in for it where it is absent."""

    places: tuple[str, ...]
    type: type = str
    absent: str = "the message is malformed"
    as_json: tuple[Any, ...] = ()
    """Of a text: the types that it was seen as, and that are taken as their JSON."""


FIELDS = {
    "response_id": Field(
        ("response_id", "response.id"),
        absent="the response of its item, else the one in progress; a server that names none has its responses numbered",
    ),
    "item_id": Field(("item_id", "item.id"), absent="the item at its output_index, else the last of its response"),
    "output_index": Field(("output_index",), int, "behind the others"),
    "content_index": Field(("content_index",), int, "the first part of its item"),
    "previous_item_id": Field(("previous_item_id",), absent="where it stands is not known"),
    "call_id": Field(("call_id", "item.call_id"), absent="that of its item, else the item's id"),
    "name": Field(("name", "item.name", "item.function.name"), absent="that of its item"),
    "arguments": Field(("arguments", "item.arguments", "item.function.arguments"), absent="what came in deltas", as_json=(dict,)),
    "audio_start_ms": Field(("audio_start_ms",), int, "how long the caller spoke is not known"),
    "audio_end_ms": Field(("audio_end_ms",), int, "how long the caller spoke is not known"),
    "delta": Field(("delta",)),
    "words": Field(("transcript", "text", "part.transcript", "part.text"), absent="what came in deltas"),
    "transcript": Field(("transcript", "text"), absent="nothing was understood"),
    "item_type": Field(("item.type",), absent="a message"),
    "role": Field(("item.role",), absent="the assistant where a response adds it"),
    "item_status": Field(("item.status",), absent="completed"),
    "status": Field(("response.status", "status"), absent="completed"),
    "reason": Field(
        (
            *("response.status_details.reason", "response.status_details.error.code", "response.status_details.error.type"),
            *("response.error.code", "response.error.type", "status_details.reason", "reason", "error.code", "error.type"),
        ),
        absent="none is told",
        as_json=(int,),
    ),
    "failure": Field(
        ("response.status_details.error.message", "response.status_details.message", "response.error.message", "error.message"),
        absent="no more is said of it",
        as_json=(dict, list),
    ),
    "output": Field(("response.output",), list, "nothing that was not told before"),
    "session": Field(("session",), dict, "nothing is contradicted"),
    "error": Field(("error",), dict, "the message's own words"),
    "code": Field(("error.code", "code", "error.type"), absent="unknown_error", as_json=(int,)),
    "type": Field(("error.type",), absent="unknown_error"),
    "param": Field(("error.param", "param"), absent="no field is named"),
    "message": Field(("error.message", "error.detail", "message", "detail"), absent="the error, if it is a text", as_json=(dict, list)),
    "event_id": Field(("error.event_id", "event_id"), absent="the error names no command of ours"),
    "rate_limits": Field(("rate_limits",), list, "none is used up"),
}
"""Every field that is read, by the name that it has in here."""
_IDS = ("response_id", "item_id", "call_id", "previous_item_id", "event_id", "conversation_id", "id")
_PATHS = {name: tuple(tuple(place.split(".")) for place in field.places) for name, field in FIELDS.items()}


class Told:
    """One message of the server's, read field by field. Reading raises Malformed where a field has another type than it must have."""

    def __init__(self, message: Any, renamed: Mapping[str, str] | None = None) -> None:
        """`message` is what the JSON held, whose ids become text; responses whose id was used before are `renamed`."""
        self.message = message
        self._renamed = renamed or {}
        _write_ids(message)
        kind = value_at(message, "type")
        if not isinstance(kind, str) or not kind:
            raise Malformed("type is missing, empty or is no text")
        self.told_as = kind
        """What the server calls the message."""
        self.kind = _NAMES.get(kind, kind)
        """What the GA wire calls it."""

    def has(self, name: str) -> bool:
        """Does the field stand anywhere?"""
        return self._value(name) is not None

    def text(self, name: str) -> str:
        """A field of text, made whole; empty where it is absent."""
        text = whole(self.raw(name))
        return self._renamed.get(text, text) if name == "response_id" else text

    def raw(self, name: str) -> str:
        """A field of text as it came, perhaps with half a character at an end."""
        value = self._value(name)
        if value is None:
            return ""
        if isinstance(value, FIELDS[name].as_json):
            value = _json(value)
        if not isinstance(value, str):
            raise Malformed(f"{FIELDS[name].places[0]} is no text")
        if len(value) > LONGEST:
            raise Malformed(f"{FIELDS[name].places[0]} has {len(value):,} characters")
        return value

    def sound(self) -> str:
        """The delta of sound, as base64; it is as long as the message may be."""
        value = value_at(self.message, "delta")
        if not isinstance(value, str):
            raise Malformed("delta is missing or is no text")
        return value

    def delta(self) -> str:
        """The delta, which must be there."""
        if value_at(self.message, "delta") is None:
            raise Malformed("delta is missing")
        return self.raw("delta")

    def number(self, name: str) -> int:
        """A field that counts, 0 where it is absent or counts nothing."""
        value = self._value(name)
        return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0

    def items(self, name: str) -> list[Any]:
        """A list, empty where it is absent."""
        value = self._value(name)
        return value if isinstance(value, list) else []

    def object(self, name: str) -> Mapping[str, Any]:
        """An object, empty where it is absent."""
        value = self._value(name)
        if value is not None and not isinstance(value, Mapping):
            raise Malformed(f"{FIELDS[name].places[0]} is no object")
        return value or {}

    def _value(self, name: str) -> Any:
        for path in _PATHS[name]:
            if (value := value_at(self.message, *path)) is not None and value != "":
                return value
        return None


def _write_ids(message: Any) -> None:
    """Make ids that are numbers their text, wherever one is read: some servers count (R102)."""
    output = value_at(message, "response", "output")
    inside = (value_at(message, name) for name in ("response", "item", "error"))
    for part in (message, *inside, *(output if isinstance(output, list) else ())):
        if isinstance(part, dict):
            part |= {name: str(part[name]) for name in _IDS if type(part.get(name)) is int}


def _json(value: Any) -> str:
    try:
        return json.dumps(value)
    except RecursionError:
        raise Malformed("it is nested too deep") from None


def value_at(message: Any, *path: str) -> Any:
    """What lies at a path of object fields, None where there is nothing."""
    for name in path:
        message = message.get(name) if isinstance(message, Mapping) else None
    return message
