"""What a carrier that speaks Twilio's protocol may lack of Twilio's own ways: each by a name, as `callfsm dial --without` takes it."""

import uuid
from collections.abc import Mapping
from typing import Any

from adapters.standin.twilio.ids import Ids

LACKS = {
    "sids": "ids are UUIDs, with dashes, as SignalWire's",
    "strings": "whole numbers where Twilio has strings of digits",
    "media_format": "the start does not say how the sound is coded",
    "stream_sid": "what follows the start does not say of which stream it is",
    "numbers": "messages have no numbers and sound has no timestamp",
    "marks": "marks are not sent back",
    "order": "message numbers jump ahead after a second, and begin anew after two",
    "after_break": "what follows a <Connect> is not done when its stream breaks off, and the call ends",
    "once": "the webhook is posted twice, and the first answer is carried out",
}
JUMP_AT, AGAIN_AT, JUMP = 50, 100, 1_000_000


def made_ids(without: frozenset[str], account: str | None = None) -> Ids:
    """The ids of a new call."""
    given = {"account": account} if account else {}
    if "sids" not in without:
        return Ids(**given)
    return Ids(**{"account": str(uuid.uuid4()), "call": str(uuid.uuid4()), "stream": str(uuid.uuid4()), **given})


def told(message: Mapping[str, Any], number: int, without: frozenset[str]) -> dict[str, Any]:
    """A message of Twilio's as such a carrier sends it; `number` counts the messages of the stream from 1."""
    kind = message["event"]
    fields = {**message, kind: dict(message[kind])}
    inner = fields[kind]
    if "order" in without:
        fields["sequenceNumber"] = str(number if number < JUMP_AT else JUMP + number if number < AGAIN_AT else number - AGAIN_AT + 1)
    if "media_format" in without:
        inner.pop("mediaFormat", None)
    if "numbers" in without:
        fields.pop("sequenceNumber")
        inner.pop("timestamp", None)
    if "stream_sid" in without and kind != "start":
        del fields["streamSid"]
    if "strings" in without:
        for place, names in ((fields, ("sequenceNumber",)), (inner, ("chunk", "timestamp", "digit"))):
            place |= {name: int(place[name]) for name in names if str(place.get(name, "")).isdecimal()}
    return fields
