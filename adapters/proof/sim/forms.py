"""Forms of the realtime wire's messages, drawn from its table: every field absent, null, empty, of another type, in another place."""

import base64
import copy
import json
import random
from collections.abc import Callable
from typing import Any

import attrs

from adapters.realtime.messages import ENDS, FIELDS, GA_NAMES
from adapters.realtime.table import TABLE

_BETA = {ga: beta for beta, ga in GA_NAMES.items()}
_TEXTS = ("Hello there.", "We are open from nine to five. ", "Goodbye!", "Shall I? ", "\ud83d", "\ude00 ok", "a\u0000b", "é" * 400, "…")
_SOUND = base64.b64encode(bytes(960)).decode()
_WRONG: tuple[Any, ...] = (0, 1.5, True, [], {}, [None], {"id": 3}, "r" + "9" * 300)
_SESSIONS: tuple[dict[str, Any], ...] = (
    {},
    {"type": "realtime"},
    {"modalities": ["audio", "text"]},
    {"audio": {"input": {"turn_detection": None}}},
)
_NAMES = tuple(sorted({*TABLE, *GA_NAMES, *ENDS, "response.novelty.delta", "ping"}))


@attrs.define
class Ids:
    """The ids that were seen in a call, so that a form can be about what is there."""

    responses: list[str] = attrs.field(factory=lambda: ["r1"])
    items: list[str] = attrs.field(factory=lambda: ["item_r1"])
    commands: list[str] = attrs.field(factory=lambda: ["cf_1"])

    def note(self, message: Any) -> None:
        """See a message of either side."""
        if not isinstance(message, dict):
            return
        for store, names in ((self.responses, ("response_id",)), (self.items, ("item_id",)), (self.commands, ("event_id",))):
            store += [message[name] for name in names if isinstance(message.get(name), str)]
        for store, part in ((self.responses, "response"), (self.items, "item")):
            inner = message.get(part)
            store += [inner["id"]] if isinstance(inner, dict) and isinstance(inner.get("id"), str) else []
        for store in (self.responses, self.items, self.commands):
            del store[:-8]


def drawn(dice: random.Random, ids: Ids) -> dict[str, Any]:
    """A message of any kind in any form."""
    name = dice.choice(_NAMES)
    declared = TABLE.get("response.done" if name in ENDS else GA_NAMES.get(name, name))
    message: dict[str, Any] = {"type": name, "event_id": "event_form"}
    for field in declared.fields if declared else ("response_id", "item_id", "delta"):
        _put(message, field, _form(dice, field, _value(dice, field, ids, name)), dice)
    return message


def bent(dice: random.Random, message: dict[str, Any], ids: Ids) -> dict[str, Any]:
    """A message of the server's in another form: one or two of its fields are otherwise, or its name is the beta's."""
    message = json.loads(json.dumps(message))
    name = str(message.get("type"))
    declared = TABLE.get(GA_NAMES.get(name, name))
    fields = declared.fields if declared else ()
    for field in dice.sample(fields, min(len(fields), dice.choice((0, 1, 1, 2)))):
        value = _form(dice, field, _value(dice, field, ids, name), right=0.1)
        for place in FIELDS[field].places:
            _take(message, place.split("."))
        _put(message, field, value, dice)
    return message | {"type": _BETA[name]} if name in _BETA and dice.random() < 0.3 else message


_ABSENT = object()


def _form(dice: random.Random, field: str, value: Any, right: float = 0.6) -> Any:
    """A field's value, or what may stand there instead."""
    if dice.random() < right:
        return value
    return dice.choice((_ABSENT, _ABSENT, None, "", value, dice.choice(_WRONG)))


def _value(dice: random.Random, field: str, ids: Ids, name: str) -> Any:
    """What a field may well hold."""
    choice = dice.choice
    made: dict[str, Callable[[], Any]] = {
        "response_id": lambda: choice([*ids.responses, "resp_unknown", "x1"]),
        "item_id": lambda: choice([*ids.items, "item_unknown", "u1", "u2"]),
        "output_index": lambda: choice((0, 1, 2, -1, 2**40)),
        "content_index": lambda: choice((0, 0, 1, 7)),
        "previous_item_id": lambda: choice([*ids.items, "root"]),
        "audio_start_ms": lambda: choice((0, 400, 1_000, 2**40)),
        "audio_end_ms": lambda: choice((0, 900, 2_000, 2**40)),
        "call_id": lambda: f"call_{dice.randrange(4)}",
        "name": lambda: choice(("look_up", "look_up", "no_such_tool")),
        "arguments": lambda: choice(("{}", '{"a": 1}', '{}{"a": 1}', '{"a', "", "[]", "null", '{"a": "\\ud83d"}')),
        "delta": lambda: _SOUND if "audio.delta" in name else choice(_TEXTS),
        "words": lambda: choice(_TEXTS),
        "transcript": lambda: choice((*_TEXTS, "yeah", "stop", "")),
        "item_type": lambda: choice(("message", "message", "function_call", "reasoning", "mcp_call", "novelty")),
        "role": lambda: choice(("assistant", "assistant", "user", "system")),
        "item_status": lambda: choice(("completed", "completed", "incomplete", "in_progress", "novel")),
        "status": lambda: choice(
            ("completed", "completed", "cancelled", "failed", "incomplete", "in_progress", "requires_action", "novel")
        ),
        "reason": lambda: choice(("turn_detected", "client_cancelled", "content_filter", "rate_limit_exceeded", "server_error")),
        "failure": lambda: choice(("drawn", "Please try again in 0.5s.", "x" * 2_000)),
        "output": lambda: [_item(dice, ids) for _ in range(dice.randrange(3))],
        "session": lambda: choice(_SESSIONS),
        "error": lambda: {"type": "invalid_request_error", "message": "drawn"},
        "code": lambda: choice(("server_error", "item_not_found", "input_audio_buffer_commit_empty", "response_cancel_not_active")),
        "type": lambda: choice(("invalid_request_error", "server_error")),
        "param": lambda: choice(("input_audio_buffer.commit", "session.voice")),
        "message": lambda: choice(("drawn", "Please try again in 0.5s.", "x" * 2_000)),
        "event_id": lambda: choice([*ids.commands, "not_ours"]),
        "rate_limits": lambda: [{"name": "tokens", "remaining": choice((0, 5)), "reset_seconds": choice((1.0, "2", None))}],
    }
    return made[field]()


def _item(dice: random.Random, ids: Ids) -> Any:
    """An item as a response's end lists it."""
    if dice.random() < 0.1:
        return dice.choice(_WRONG)
    item = {"id": dice.choice(ids.items), "type": dice.choice(("message", "function_call", "reasoning")), "status": "completed"}
    if item["type"] == "function_call":
        return {**item, "call_id": f"call_{dice.randrange(4)}", "name": "look_up", "arguments": dice.choice(("{}", "", '{"a'))}
    return {**item, "role": "assistant", "content": [{"type": "output_audio", "transcript": dice.choice((*_TEXTS, None))}]}


def _put(message: dict[str, Any], field: str, value: Any, dice: random.Random) -> None:
    """Put a value at one of a field's places, mostly the first; what lies on the way there and is no object is replaced."""
    places = FIELDS[field].places
    *way, last = (places[0] if dice.random() < 0.8 else dice.choice(places)).split(".")
    place = message
    for name in way:
        if not isinstance(place.get(name), dict):
            place[name] = {}
        place = place[name]
    if value is _ABSENT:
        place.pop(last, None)
    else:
        # a copy, as what is put here may be bent further, and the next form must not have that
        place[last] = copy.deepcopy(value)


def _take(message: dict[str, Any], path: list[str]) -> None:
    *way, last = path
    place: Any = message
    for name in way:
        place = place.get(name) if isinstance(place, dict) else None
    if isinstance(place, dict) and [*way, last] != ["type"]:
        place.pop(last, None)
