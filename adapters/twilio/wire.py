"""Twilio Media Streams as typed records: JSON text in and out, bounded; no I/O and no clock in here.

Written after Twilio's "Media Streams - WebSocket Messages". What Twilio sends is `connected`, `start`, then `media`, `mark` and
`dtmf`, and `stop` at the end; what it takes is `media`, `mark` and `clear`. Anything else is set aside and counted (R84). Carriers that
speak the same protocol have ids of other forms, whole numbers where Twilio has strings of digits, names with underscores, and leave
fields out: what is absent contradicts nothing (R102), and what says how the sound is coded must say mu-law at 8 kHz.
"""

import binascii
import json
import re
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import attrs

from adapters.seam.base64 import octets_of
from adapters.seam.wellformed import read_json

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
"""How many messages may be missing: a minute of sound. A number further on is a jump, which says nothing of what is missing."""
MAX_DIGITS = 18
"""The longest number."""
MISNUMBERED = 3
"""After so many messages in a row that neither go on nor follow each other, the numbers mean nothing, and none is looked at any more."""
DIGITS = frozenset("0123456789*#ABCD")
NOT_MULAW = "a start of sound that is not mu-law at 8 kHz"
_MULAW = frozenset({"mulaw", "ulaw", "pcmu", "basic", "g711u", "g711ulaw", "g711mulaw"})
NAMES = {
    "stream_sid": "streamSid",
    "stream_id": "streamSid",
    "call_sid": "callSid",
    "call_control_id": "callSid",
    "account_sid": "accountSid",
    "sequence_number": "sequenceNumber",
    "custom_parameters": "customParameters",
    "media_format": "mediaFormat",
    "sample_rate": "sampleRate",
}
"""What Telnyx and Exotel call a field, by their documentation, and Twilio calls it."""
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:~=+-]*", re.ASCII)


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
    stream_name: str = "streamSid"
    """What the carrier calls the stream's id, and is to be told it as."""


@attrs.frozen
class Media:
    """Sound of the caller, in mu-law octets; `at_ms` counts from the stream's start by Twilio's clock, None when it does not say."""

    stream_sid: str
    """Empty, as in the messages below, where the carrier does not say."""
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
        self._came = 0
        """The number of the last message, also of one that was set aside."""
        self._misnumbered = 0

    @property
    def started(self) -> Started | None:
        """The message that opened the stream, once it has come."""
        return self._started

    @property
    def unusable(self) -> bool:
        """Has a start come that cannot be used? No other will."""
        return self._started is None and bool(self.quarantined[NOT_MULAW] or self.quarantined["malformed start"])

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
            self._started = message
        elif self._started is None:
            raise Unreadable("before the start")
        elif message.stream_sid not in ("", self._started.stream_sid):
            raise Unreadable("of another stream")
        elif isinstance(message, Stopped):
            self._stopped = True
            return
        if isinstance(message, Started):
            # whatever it is, the next ones follow it
            self._number = self._came = number or 0
        elif number is not None and self._misnumbered < MISNUMBERED:
            self._count_on(number)

    def _count_on(self, number: int) -> None:
        """Is it the number of a message that has not come before? What follows the last to come does: numbers may begin anew, or jump."""
        new = number > self._number or number == self._came + 1
        self._came = number
        if not new:
            self._misnumbered += 1
            raise Unreadable("out of order")
        self._misnumbered = 0
        missing = number - self._number - 1
        self.gaps += missing if 0 < missing <= MAX_GAP else 0
        self._number = number


def media(stream_sid: str, octets: bytes, name: str = "streamSid") -> str:
    """Play this sound after what was sent before; `name` is what the carrier calls the stream's id."""
    # By hand, as it is done fifty times a second; neither a SID nor base64 needs to be escaped.
    payload = binascii.b2a_base64(octets, newline=False).decode()
    return f'{{"event": "media", "{name}": "{stream_sid}", "media": {{"payload": "{payload}"}}}}'


def octets_in(media_text: str) -> int:
    """How many octets of sound such a message carries."""
    payload = media_text[media_text.rindex(": ") + 3 : -3]
    return len(payload) // 4 * 3 - payload.count("=")


def mark(stream_sid: str, mark_name: str, name: str = "streamSid") -> str:
    """Send this name back when all that was sent before has been played or cleared."""
    return json.dumps({"event": "mark", name: stream_sid, "mark": {"name": mark_name}})


def clear(stream_sid: str, name: str = "streamSid") -> str:
    """Drop what is not yet played, and send back its marks."""
    return json.dumps({"event": "clear", name: stream_sid})


def read(text: str | bytes) -> tuple[Message, int | None]:
    """One message of Twilio's and its sequenceNumber, if it has one; some carriers send text in binary frames. Raises Unreadable."""
    if len(text) > MAX_MESSAGE_CHARS:
        raise Unreadable("oversized")
    try:
        text = text if isinstance(text, str) else text.decode()
    except UnicodeDecodeError:
        raise Unreadable("not text") from None
    try:
        fields = read_json(text)
    except ValueError:
        raise Unreadable("not JSON") from None
    if not isinstance(fields, dict):
        raise Unreadable("not an object")
    fields = _named(fields)
    kind = fields.get("event")
    reader = _READERS.get(kind) if isinstance(kind, str) else None
    if reader is None:
        raise Unreadable("unknown event")
    try:
        return reader(fields), _number(fields.get("sequenceNumber"))
    except _Malformed:
        raise Unreadable(f"malformed {kind}") from None


def is_id(text: str) -> bool:
    """Is it an id of a carrier's? It becomes part of a path, of a file's name and of what we send, so it holds nothing that cuts there."""
    return len(text) <= MAX_NAME_CHARS and _ID.fullmatch(text) is not None


class _Malformed(Exception):
    """A field that is missing or is not what it should be."""


def _connected(_: Mapping[str, Any]) -> Connected:
    return Connected()


def _started(fields: Mapping[str, Any]) -> Started:
    start = _object(fields, "start")
    _check_mulaw(_named(start.get("mediaFormat") or {}))
    given = start.get("customParameters") or {}
    if not isinstance(given, dict):
        raise _Malformed
    # what is no text is no parameter that we would read, and takes nothing from the rest
    parameters = {name: _text(value) for name, value in given.items() if not isinstance(value, dict | list)}
    outside, inside = fields.get("streamSid"), start.get("streamSid")
    stream_sid, call_sid = _id(outside or inside), _id(start.get("callSid") or fields.get("callSid"))
    if inside and _id(inside) != stream_sid:
        raise _Malformed
    account = start.get("accountSid") or fields.get("accountSid")
    called = next((name for name, ours in NAMES.items() if ours == "streamSid" and name in {*fields, *start}), "streamSid")
    return Started(stream_sid, call_sid, _id(account) if account else "", parameters, called)


def _named(fields: Any) -> Any:
    """The fields of an object under Twilio's names as well; those that have them already keep them."""
    if not isinstance(fields, dict) or NAMES.keys().isdisjoint(fields):
        return fields
    return {**{NAMES[name]: value for name, value in fields.items() if name in NAMES}, **fields}


def _check_mulaw(layout: object) -> None:
    """Does what is said of the sound say mu-law at 8 kHz, one channel? What is not said contradicts nothing (R102)."""
    if not isinstance(layout, dict):
        raise _Malformed
    named = str(layout.get("encoding") or "mulaw").lower().partition(";")[0]
    coding = re.sub(r"[^a-z0-9]", "", named.removeprefix("audio/").removeprefix("x-"))
    counts = ((layout.get("sampleRate"), RATE_HZ), (layout.get("channels"), 1))
    if coding not in _MULAW or any(given not in (None, "") and _number(given) != ours for given, ours in counts):
        raise Unreadable(NOT_MULAW)


def _media(fields: Mapping[str, Any]) -> Media:
    media = _object(fields, "media")
    if (media.get("track") or "inbound") not in ("inbound", "inbound_track"):
        # Our own voice: whoever hears the caller must not hear it (R29).
        raise _Malformed
    payload = media.get("payload")
    if not isinstance(payload, str):
        raise _Malformed
    try:
        octets = octets_of(payload)
    except ValueError:
        raise _Malformed from None
    if not 0 < len(octets) <= MAX_OCTETS:
        raise _Malformed
    return Media(_stream(fields), octets, _number(media.get("timestamp")))


def _marked(fields: Mapping[str, Any]) -> Marked:
    return Marked(_stream(fields), _name(_object(fields, "mark").get("name")))


def _pressed(fields: Mapping[str, Any]) -> Pressed:
    digit = _name(_object(fields, "dtmf").get("digit")).upper()
    if digit not in DIGITS:
        raise _Malformed
    return Pressed(_stream(fields), digit)


def _stopped(fields: Mapping[str, Any]) -> Stopped:
    return Stopped(_stream(fields))


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
    named: Mapping[str, Any] = _named(value)
    return named


def _text(value: object) -> str:
    """A text, or a number or truth value in its place; empty for null."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if not isinstance(value, str | int | float):
        raise _Malformed
    return str(value)


def _name(value: object) -> str:
    """A name, or a whole number in its place."""
    if isinstance(value, bool | float) or not 0 < len(name := _text(value)) <= MAX_NAME_CHARS:
        raise _Malformed
    return name


def _id(value: object) -> str:
    name = _name(value)
    if not is_id(name):
        raise _Malformed
    return name


def _stream(fields: Mapping[str, Any]) -> str:
    """The stream that a message says it is of; empty when it does not say."""
    return _name(value) if (value := fields.get("streamSid")) not in (None, "") else ""


def _number(value: object) -> int | None:
    """A number, as a string of digits or itself; None for what is none: it says nothing, and takes nothing from the rest (R102)."""
    if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) <= MAX_DIGITS:
        return int(value)
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 10**MAX_DIGITS and value == int(value):
        return int(value)
    return None
