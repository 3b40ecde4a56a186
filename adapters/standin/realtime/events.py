"""What a session of the stand-in answers: events of the wire, each with an id, and what its host has to begin; it decides neither."""

from collections.abc import Callable
from typing import Any

import attrs

from adapters.standin.checks import Refused
from adapters.standin.realtime.grammar import Json


@attrs.frozen
class Begin:
    """For the host: somebody must now produce the words or the sound of `response_id`."""

    response_id: str


@attrs.frozen
class Transcribe:
    """For the host: the caller said `sound` (of the wire format `kind`) as `item_id`; `told` if the client wants the words too."""

    item_id: str
    kind: str
    sound: bytes
    told: bool


@attrs.frozen
class Later:
    """For the host: `change` the session so many milliseconds from now, and carry out what follows."""

    ms: int
    change: "Callable[[], list[Out]]"


Out = Json | Begin | Transcribe | Later


class Events:
    """Makes a session's events and ids; `name` makes them unique between sessions. Ids `in_digits` need a name in hexadecimal digits."""

    def __init__(self, name: str, *, in_digits: bool = False) -> None:
        self.name = name
        self._digits = str(int(name, 16)) if in_digits else ""
        self._count = 0

    def new_id(self, prefix: str) -> str:
        """An id that nothing else in any session has."""
        self._count += 1
        return f"{self._digits or f'{prefix}_{self.name}'}{self._count:05d}"

    def event(self, kind: str, **fields: Any) -> Json:
        """An event of type `kind`."""
        return {"type": kind, "event_id": self.new_id("event"), **fields}

    def error(self, refusal: Refused, event_id: str | None) -> Json:
        """The event that tells of a refusal; `event_id` is that of the client event which caused it."""
        error = {"type": "invalid_request_error", "code": refusal.code, "message": refusal.message, "param": refusal.param}
        return self.event("error", error=error | {"event_id": event_id})
