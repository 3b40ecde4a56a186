"""Twilio Media Streams as typed records: JSON text in and out, strict and bounded; no I/O and no clock in here.

Written after Twilio's "Media Streams - WebSocket Messages". What Twilio sends is `connected`, `start`, then `media`, `mark` and
`dtmf`, and `stop` at the end; what it takes is `media`, `mark` and `clear`. Anything else is set aside and counted (R84).
"""

import base64
import binascii
import json
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

import attrs

RATE_HZ = 8_000
FRAME_OCTETS = 160
"""20 ms of mu-law."""

MAX_MESSAGE_CHARS = 64 * 1024
"""The longest message read: a `start` with twenty custom parameters of 500 characters, Twilio's limit for one, takes a sixth."""
MAX_OCTETS = RATE_HZ
"""The longest sound in one message: a second, where Twilio sends 20 ms."""
MAX_NAME_CHARS = 256
"""The longest id or mark: an id of Twilio's has 34."""
MAX_GAP = 3_000
"""How many messages may be missing: a minute of sound. A number further on is a mistake, and believed it would make all others late."""
DIGITS = frozenset("0123456789*#ABCD")


@attrs.frozen
class Connected:
    """The socket speaks the protocol."""


@attrs.frozen
class Started:
    """The stream begins; `parameters` are those of the TwiML's <Stream>, and as private as the application makes them."""

    stream_sid: str
    call_sid: str
    account_sid: str
    parameters: Mapping[str, str] = attrs.field(factory=dict, repr=False)


@attrs.frozen
class Media:
    """Sound of the caller, in mu-law octets; `at_ms` counts from the stream's start by Twilio's clock, None when it does not say."""

    stream_sid: str
    octets: bytes = attrs.field(repr=False)
    at_ms: int | None = None


@attrs.frozen
class Marked:
    """A mark of ours comes back: what was sent before it has been played, or was cleared."""

    stream_sid: str
    name: str


@attrs.frozen
class Pressed:
    """A key of the caller's keypad."""

    stream_sid: str
    digit: str


@attrs.frozen
class Stopped:
    """The stream is over: the caller hung up, or the call was ended."""

    stream_sid: str


Message = Connected | Started | Media | Marked | Pressed | Stopped


class Unreadable(ValueError):
    """A message that is set aside; its text is the reason under which it is counted, a constant without anything received."""


class Wire:
    """What Twilio sends on one stream, in order; `start` opens it and `stop` ends it."""

    def __init__(self) -> None:
        self.quarantined: Counter[str] = Counter()
        """Messages set aside, by reason."""
        self.gaps = 0
        """Messages that Twilio numbered and that never came."""
        self._started: Started | None = None
        self._stopped = False
        self._number = 0

    @property
    def started(self) -> Started | None:
        """The message that opened the stream, once it has come."""
        return self._started

    def receive(self, text: str | bytes) -> Message | None:
        """The message, or None when it is set aside and counted; never raises."""
        try:
            message, number = read(text)
            self._check_order(message, number)
        except Unreadable as reason:
            self.quarantined[str(reason)] += 1
            return None
        return message

    def _check_order(self, message: Message, number: int | None) -> None:
        """Is it the stream's, and does it come in turn (R09, R40)? An end is believed whatever its number."""
        if self._stopped:
            raise Unreadable("after the stop")
        if isinstance(message, Connected):
            return
        if isinstance(message, Started):
            if self._started is not None:
                raise Unreadable("a second start")
            if number is not None and number > MAX_GAP:
                raise Unreadable("out of order")
            self._started = message
        elif self._started is None:
            raise Unreadable("before the start")
        elif message.stream_sid != self._started.stream_sid:
            raise Unreadable("of another stream")
        elif isinstance(message, Stopped):
            self._stopped = True
            return
        elif number is not None and not self._number < number <= self._number + MAX_GAP:
            raise Unreadable("out of order")
        if number is not None:
            self.gaps += max(0, number - self._number - 1)
            self._number = number


def media(stream_sid: str, octets: bytes) -> str:
    """Play this sound after what was sent before."""
    # By hand, as it is done fifty times a second; neither a SID nor base64 needs to be escaped.
    payload = binascii.b2a_base64(octets, newline=False).decode()
    return f'{{"event": "media", "streamSid": "{stream_sid}", "media": {{"payload": "{payload}"}}}}'


def mark(stream_sid: str, name: str) -> str:
    """Send this name back when all that was sent before has been played or cleared."""
    return json.dumps({"event": "mark", "streamSid": stream_sid, "mark": {"name": name}})


def clear(stream_sid: str) -> str:
    """Drop what is not yet played, and send back its marks."""
    return json.dumps({"event": "clear", "streamSid": stream_sid})


def read(text: str | bytes) -> tuple[Message, int | None]:
    """One message of Twilio's and its sequenceNumber, if it has one. Raises Unreadable."""
    if not isinstance(text, str):
        raise Unreadable("not text")
    if len(text) > MAX_MESSAGE_CHARS:
        raise Unreadable("oversized")
    try:
        fields = _DECODER.decode(text)
    except (ValueError, RecursionError):
        raise Unreadable("not JSON") from None
    if not isinstance(fields, dict):
        raise Unreadable("not an object")
    kind = fields.get("event")
    reader = _READERS.get(kind) if isinstance(kind, str) else None
    if reader is None:
        raise Unreadable("unknown event")
    try:
        number = _number(fields["sequenceNumber"]) if "sequenceNumber" in fields else None
        return reader(fields), number
    except _Malformed:
        raise Unreadable(f"malformed {kind}") from None


class _Malformed(Exception):
    """A field that is missing or is not what it should be."""


def _connected(_: Mapping[str, Any]) -> Connected:
    return Connected()


def _started(fields: Mapping[str, Any]) -> Started:
    start = _object(fields, "start")
    layout = _object(start, "mediaFormat")
    form = (layout.get("encoding"), str(layout.get("sampleRate")), str(layout.get("channels")))
    if form != ("audio/x-mulaw", str(RATE_HZ), "1"):
        raise _Malformed
    parameters = start.get("customParameters", {})
    if not isinstance(parameters, dict) or not all(isinstance(value, str) for value in parameters.values()):
        raise _Malformed
    stream_sid = _sid(start, "streamSid")
    if fields.get("streamSid", stream_sid) != stream_sid:
        raise _Malformed
    return Started(stream_sid, _sid(start, "callSid"), _sid(start, "accountSid"), parameters)


def _media(fields: Mapping[str, Any]) -> Media:
    media = _object(fields, "media")
    if media.get("track", "inbound") not in ("inbound", "inbound_track"):
        # Our own voice: whoever hears the caller must not hear it (R29).
        raise _Malformed
    payload = media.get("payload")
    if not isinstance(payload, str):
        raise _Malformed
    try:
        octets = base64.b64decode(payload, validate=True)
    except (binascii.Error, ValueError):
        raise _Malformed from None
    if not 0 < len(octets) <= MAX_OCTETS:
        raise _Malformed
    at_ms = _number(media["timestamp"]) if "timestamp" in media else None
    return Media(_name(fields, "streamSid"), octets, at_ms)


def _marked(fields: Mapping[str, Any]) -> Marked:
    return Marked(_name(fields, "streamSid"), _name(_object(fields, "mark"), "name"))


def _pressed(fields: Mapping[str, Any]) -> Pressed:
    digit = _name(_object(fields, "dtmf"), "digit")
    if digit not in DIGITS:
        raise _Malformed
    return Pressed(_name(fields, "streamSid"), digit)


def _stopped(fields: Mapping[str, Any]) -> Stopped:
    return Stopped(_name(fields, "streamSid"))


_READERS: dict[str, Callable[[Mapping[str, Any]], Message]] = {
    "connected": _connected,
    "start": _started,
    "media": _media,
    "mark": _marked,
    "dtmf": _pressed,
    "stop": _stopped,
}


def _object(fields: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = fields.get(name)
    if not isinstance(value, dict):
        raise _Malformed
    return value


def _name(fields: Mapping[str, Any], name: str) -> str:
    value = fields.get(name)
    if not isinstance(value, str) or not 0 < len(value) <= MAX_NAME_CHARS:
        raise _Malformed
    return value


def _sid(fields: Mapping[str, Any], name: str) -> str:
    """An id of Twilio's: letters and digits, as it becomes part of a path, a file's name and what we send."""
    value = _name(fields, name)
    if not (value.isascii() and value.isalnum()):
        raise _Malformed
    return value


def _number(value: object) -> int:
    """A number of Twilio's: a string of digits."""
    if not isinstance(value, str) or not value.isascii() or not value.isdecimal() or len(value) > 18:
        raise _Malformed
    return int(value)


def _no_constant(_: str) -> NoReturn:
    raise ValueError("NaN and its like are no JSON")


_DECODER = json.JSONDecoder(parse_constant=_no_constant)
