"""The server's messages by name, and how their fields are read whatever it may have sent; what a message says is not in here."""

from collections.abc import Mapping
from typing import Any

GA_NAMES = {
    "response.audio.delta": "response.output_audio.delta",
    "response.audio.done": "response.output_audio.done",
    "response.audio_transcript.delta": "response.output_audio_transcript.delta",
    "response.audio_transcript.done": "response.output_audio_transcript.done",
    "response.text.delta": "response.output_text.delta",
    "response.text.done": "response.output_text.done",
}
"""What the beta called an event, and the GA wire calls it."""

WITHOUT_MEANING = frozenset(
    f"{family}.{name}"
    for family, names in {
        "conversation": "created",
        "conversation.item": "added created deleted done retrieved truncated",
        "conversation.item.input_audio_transcription": "delta segment",
        "input_audio_buffer": "cleared dtmf_event_received timeout_triggered",
        "mcp_list_tools": "completed failed in_progress",
        "output_audio_buffer": "cleared started stopped",
        "rate_limits": "updated",
        "response.content_part": "added done",
        "response.function_call_arguments": "delta",
        "response.mcp_call": "completed failed in_progress",
        "response.mcp_call_arguments": "delta done",
        "response.output_audio": "done",
        "response.output_item": "done",
    }.items()
    for name in names.split()
)
"""Events that the server really sends and that change nothing here."""


class Malformed(Exception):
    """A message lacks what its type promises; the text says what."""


def value_at(message: Any, *path: str) -> Any:
    """What lies at a path of object fields, None where there is nothing."""
    for name in path:
        message = message.get(name) if isinstance(message, Mapping) else None
    return message


def text_at(message: Any, *path: str, default: str | None = None) -> str:
    """The text at a path; `default` stands in for null or nothing. Raises Malformed."""
    value = value_at(message, *path)
    value = default if value is None else value
    if not isinstance(value, str):
        raise Malformed(f"{'.'.join(path)} is missing or is no text")
    return value


def name_at(message: Any, *path: str) -> str:
    """The text at a path, which must not be empty. Raises Malformed."""
    value = text_at(message, *path)
    if not value:
        raise Malformed(f"{'.'.join(path)} is empty")
    return value
