"""What Twilio takes from an application on a bidirectional Media Stream, as strict as its documentation; pure.

Twilio logs a warning for a message that is none of these, once a stream; the stand-in ends the call, so that nobody can miss it. It is
stricter in one thing: sound must come in whole frames of 20 ms, which Twilio recommends to nobody and everybody does.
"""

import base64
import binascii
import json
from typing import Any

import attrs

FRAME_OCTETS = 160
"""20 ms of mu-law."""
MALFORMED, INVALID, PROTOCOL = 31950, 31951, 31924
"""Twilio's error codes: a binary message, one that is not of the protocol, sound that is none."""


@attrs.frozen
class Play:
    """Sound to be played, in frames of 160 octets."""

    frames: list[bytes] = attrs.field(repr=False)


@attrs.frozen
class Mark:
    """A name to send back when all before it is played."""

    name: str


@attrs.frozen
class Clear:
    """What is not yet played is to be dropped."""


class Violation(Exception):
    """A message that breaks the protocol; `code` is Twilio's."""

    def __init__(self, code: int, words: str) -> None:
        super().__init__(f"{code}: {words}")
        self.code = code


def read(text: str | bytes, stream_sid: str) -> Play | Mark | Clear:
    """One message of the application's. Raises Violation."""
    if not isinstance(text, str):
        raise Violation(MALFORMED, "a binary message; the protocol is JSON text")
    try:
        fields = json.loads(text)
    except (ValueError, RecursionError):
        raise Violation(INVALID, "a message that is not JSON") from None
    if not isinstance(fields, dict):
        raise Violation(INVALID, "a message that is not a JSON object")
    event = fields.get("event")
    if event not in ("media", "mark", "clear"):
        raise Violation(INVALID, f"the event {str(event)[:40]!r}; an application sends media, mark and clear")
    expected = {"event", "streamSid"} | ({event} - {"clear"})
    if set(fields) != expected:
        raise Violation(INVALID, f"a {event} with the fields {', '.join(sorted(fields))}; it has {', '.join(sorted(expected))}")
    if fields["streamSid"] != stream_sid:
        raise Violation(INVALID, f"a {event} for a streamSid that is not this stream's")
    if event == "clear":
        return Clear()
    return Play(_frames(_only(fields, "media", "payload"))) if event == "media" else Mark(_only(fields, "mark", "name"))


def _only(fields: dict[str, Any], event: str, name: str) -> str:
    """The one string that the event's object holds."""
    inner = fields[event]
    if not isinstance(inner, dict) or set(inner) != {name} or not isinstance(inner[name], str) or not inner[name]:
        raise Violation(INVALID, f"a {event} that does not hold one string, {name}")
    value: str = inner[name]
    return value


def _frames(payload: str) -> list[bytes]:
    try:
        octets = base64.b64decode(payload, validate=True)
    except (binascii.Error, ValueError):
        raise Violation(INVALID, "a media payload that is not base64") from None
    if octets[:4] == b"RIFF":
        raise Violation(PROTOCOL, "a media payload with a WAV header; it holds mu-law octets alone")
    if len(octets) % FRAME_OCTETS:
        raise Violation(PROTOCOL, f"a media payload of {len(octets)} octets; 20 ms of mu-law are {FRAME_OCTETS}")
    return [octets[start : start + FRAME_OCTETS] for start in range(0, len(octets), FRAME_OCTETS)]
