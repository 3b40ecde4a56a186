"""The grammar of the realtime wire: which messages a client may send, and what each may hold; what becomes of them is not in here."""

import base64
import binascii
import json
import re
from typing import Any

from adapters.standin.checks import (
    Check,
    Refused,
    anything,
    array,
    by_type,
    flag,
    name_of,
    null_or,
    number,
    one_of,
    record,
    text,
    typed,
    unsupported,
    variant,
)

Json = dict[str, Any]

VOICES = ("alloy", "ash", "ballad", "coral", "echo", "sage", "shimmer", "verse", "marin", "cedar")
EAGERNESS_MS = {"low": 1_600, "medium": 800, "auto": 800, "high": 400}
"""The silence that ends a turn under semantic_vad: a fifth of the documented longest waits of 8, 4 and 2 seconds."""
ITEM_ID_CHARS = 32
CALL_ID = "^[a-zA-Z0-9_-]+$"


def parsed(message: str | bytes) -> Json:
    """The JSON object in a text frame, or a refusal."""
    if isinstance(message, bytes):
        raise Refused("invalid_value", "Expected a text frame with a JSON object, but got a binary frame.")
    try:
        event = json.loads(message)
    except (ValueError, RecursionError) as error:
        raise Refused("invalid_json", f"Could not parse the event as JSON: {error}.") from error
    if not isinstance(event, dict):
        raise Refused("invalid_type", f"Invalid type for the event: expected an object, but got {name_of(event)} instead.")
    return event


def sound_of(encoded: str, param: str, kind: str) -> bytes:
    """Decode base64 sound of the wire format `kind`, or refuse it."""
    try:
        data = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError) as error:
        raise Refused("invalid_value", f"Invalid '{param}': expected base64-encoded audio: {error}.", param) from error
    if kind == "audio/pcm" and len(data) % 2:
        raise Refused("invalid_value", f"Invalid '{param}': {len(data)} bytes are not whole 16-bit samples.", param)
    return data


def _modalities(value: Any, path: str) -> None:
    """Text or sound, never both."""
    array(one_of("text", "audio"))(value, path)
    if len(value) != 1:
        allowed = "Supported combinations are: ['text'] and ['audio']."
        raise Refused("invalid_value", f"Invalid modalities: {value}. {allowed}", path)


def _metadata(value: Any, path: str) -> None:
    """At most 16 pairs of strings, of at most 64 and 512 characters (documentation of Metadata)."""
    typed(value, path, "an object", dict)
    if len(value) > 16:
        raise Refused("object_above_max_properties", f"Invalid '{path}': too many properties: at most 16, but got {len(value)}.", path)
    for name, words in value.items():
        text(words, f"{path}.{name}")
        if len(name) > 64 or len(words) > 512:
            limit = "a key has at most 64 characters and a value at most 512"
            raise Refused("string_above_max_length", f"Invalid '{path}.{name}': {limit}.", f"{path}.{name}")


def _item_id(value: Any, path: str) -> None:
    """The id of an item: at most 32 characters (the original's own message)."""
    text(value, path)
    if len(value) > ITEM_ID_CHARS:
        wanted = f"Expected a string with maximum length {ITEM_ID_CHARS}, but got a string with length {len(value)} instead."
        raise Refused("string_above_max_length", f"Invalid '{path}': string too long. {wanted}", path)


def _call_id(value: Any, path: str) -> None:
    """The id of a function call, of the characters that the original takes (its own message)."""
    text(value, path)
    if not re.fullmatch(CALL_ID, value):
        wanted = f"Expected a string that matches the pattern '{CALL_ID}'."
        raise Refused("invalid_value", f"Invalid '{path}': string does not match pattern. {wanted}", path)


_TYPE: dict[str, Check] = {"type": text}
_FORMAT = variant("type", {"audio/pcm": record(_TYPE, rate=one_of(24_000)), "audio/pcmu": record(_TYPE), "audio/pcma": record(_TYPE)})
_TURN_RIGHTS: dict[str, Check] = {"create_response": flag, "interrupt_response": flag}
_DETECTION = variant(
    "type",
    {
        "server_vad": record(
            _TYPE,
            threshold=number(0, 1),
            prefix_padding_ms=number(0, 5_000, whole=True),
            silence_duration_ms=number(0, 10_000, whole=True),
            idle_timeout_ms=unsupported,
            **_TURN_RIGHTS,
        ),
        "semantic_vad": record(_TYPE, eagerness=one_of(*EAGERNESS_MS), **_TURN_RIGHTS),
    },
)
_TRANSCRIPTION = record(model=text, language=text, prompt=text, delay=text, languages=array(text), keywords=array(text))
_INPUT = record(
    format=_FORMAT,
    transcription=null_or(_TRANSCRIPTION),
    noise_reduction=null_or(record(type=one_of("near_field", "far_field"), strength=number(0, 1))),
    turn_detection=null_or(_DETECTION),
)
_OUTPUT_FIELDS: dict[str, Check] = {"format": _FORMAT, "voice": by_type(str=one_of(*VOICES), dict=record({"id": text}))}
_TOOL = variant("type", {"function": record({**_TYPE, "name": text}, description=text, parameters=by_type(dict=anything))})
_ANSWERING: dict[str, Check] = {
    "instructions": text,
    "output_modalities": _modalities,
    "max_output_tokens": by_type(int=number(1, 4_096, whole=True), str=one_of("inf")),
    "tools": array(_TOOL),
    "tool_choice": by_type(str=one_of("none", "auto", "required"), dict=record({"type": one_of("function"), "name": text})),
    "parallel_tool_calls": flag,
    "reasoning": record(effort=text),
    "prompt": unsupported,
}
_SESSION = record(
    {"type": one_of("realtime")},
    model=text,
    audio=record(input=_INPUT, output=record(speed=number(0.25, 1.5), **_OUTPUT_FIELDS)),
    include=null_or(array(one_of("item.input_audio_transcription.logprobs"))),
    tracing=null_or(by_type(str=one_of("auto"), dict=anything)),
    truncation=by_type(str=one_of("auto", "disabled"), dict=anything),
    **_ANSWERING,
)
_TEXT_PART = variant("type", {"input_text": record({**_TYPE, "text": text})})
_USER_PART = variant(
    "type",
    {
        "input_text": record({**_TYPE, "text": text}),
        "input_audio": record({**_TYPE, "audio": text}, transcript=null_or(text)),
        "input_image": record({**_TYPE, "image_url": text}, detail=one_of("auto", "low", "high")),
    },
)
_AGENT_PART = record({"type": one_of("output_text", "output_audio"), "text": text}, transcript=null_or(text))
_ITEM_MAY: dict[str, Check] = {
    "id": _item_id,
    "object": one_of("realtime.item"),
    "status": one_of("completed", "incomplete", "in_progress"),
}


def _message(part: Check) -> Check:
    """A message whose content is made of `part`."""
    return record({**_TYPE, "role": text, "content": array(part)}, **_ITEM_MAY)


_ITEM = variant(
    "type",
    {
        "message": variant("role", {"system": _message(_TEXT_PART), "user": _message(_USER_PART), "assistant": _message(_AGENT_PART)}),
        "function_call": record({**_TYPE, "name": text, "arguments": text}, call_id=_call_id, **_ITEM_MAY),
        "function_call_output": record({**_TYPE, "call_id": _call_id, "output": text}, **_ITEM_MAY),
    },
)
_RESPONSE = record(
    conversation=one_of("auto", "none"),
    input=array(_ITEM),
    metadata=null_or(_metadata),
    audio=record(output=record(**_OUTPUT_FIELDS)),
    **_ANSWERING | {"instructions": null_or(text)},
)


def _client_event(**needs: Check) -> Check:
    """A client event with the fields that it needs."""
    return record(_TYPE | needs, event_id=text)


_EVENTS = {
    "session.update": _client_event(session=_SESSION),
    "input_audio_buffer.append": _client_event(audio=text),
    "input_audio_buffer.commit": _client_event(),
    "input_audio_buffer.clear": _client_event(),
    "conversation.item.create": record(_TYPE | {"item": _ITEM}, event_id=text, previous_item_id=null_or(text)),
    "conversation.item.retrieve": _client_event(item_id=text),
    "conversation.item.truncate": _client_event(item_id=text, content_index=one_of(0), audio_end_ms=number(0, 1e9, whole=True)),
    "conversation.item.delete": _client_event(item_id=text),
    "response.create": record(_TYPE, event_id=text, response=null_or(_RESPONSE)),
    "response.cancel": record(_TYPE, event_id=text, response_id=null_or(text)),
}
CLIENT_EVENTS = frozenset(_EVENTS)
"""The client events that the stand-in carries out; output_audio_buffer.clear is for WebRTC and SIP alone."""
EVENT = variant("type", _EVENTS)
"""Checks a client event."""
SERVER_EVENTS = frozenset(
    f"{family}.{name}"
    for family, names in {
        "session": "created updated",
        "input_audio_buffer": "speech_started speech_stopped committed cleared",
        "conversation.item": "added done retrieved truncated deleted",
        "conversation.item.input_audio_transcription": "completed failed",
        "rate_limits": "updated",
        "response": "created done",
        "response.output_item": "added done",
        "response.content_part": "added done",
        "response.output_text": "delta done",
        "response.output_audio": "delta done",
        "response.output_audio_transcript": "delta done",
        "response.function_call_arguments": "delta done",
    }.items()
    for name in names.split()
) | {"error"}
"""The events that the stand-in sends."""
