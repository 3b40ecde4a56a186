"""Judges every event of a realtime server: by the strict types of the `openai` package, and as one consistent story from first to last.

The types come from the environment's own `openai` package, which every realtime oracle depends on; the story's rules are what
clients of the API rely on. No client and no socket in here.
"""

import json
from collections import Counter
from collections.abc import Callable
from typing import Any, get_args

from openai.types.realtime import RealtimeServerEvent, RealtimeSessionCreateRequest, RealtimeSessionCreateResponse
from pydantic import BaseModel, ValidationError

Json = dict[str, Any]
EVENTS: dict[str, type[BaseModel]] = {
    get_args(model.model_fields["type"].annotation)[0]: model for model in get_args(get_args(RealtimeServerEvent)[0])
}
"""The members of the package's union of server events, by their types."""
NORMAL_RACES = ("response_cancel_not_active", "conversation_already_has_active_response")
"""Errors that a client meets when two things happen at once, with the original as well."""
TEXTS = {
    "response.output_text": "text",
    "response.output_audio_transcript": "transcript",
    "response.function_call_arguments": "arguments",
}
"""Events whose deltas add up to a field of their `done`."""


class Wire:
    """The story so far: `faults` in it, `errors` that are no normal race, the `latest` event of each kind, the responses' `ends`."""

    def __init__(self) -> None:
        self.kinds: Counter[str] = Counter()
        self.latest: dict[str, Json] = {}
        self.faults: list[str] = []
        self.errors: list[Json] = []
        self.ends: list[Json] = []
        self._event_ids: set[str] = set()
        self._responses: dict[str, str] = {}
        self._items: list[str] = []
        self._open: set[str] = set()
        self._texts: dict[tuple[str, str], str] = {}

    def judge(self, raw: Json | str | bytes) -> Any:
        """Judge one event; it is returned as the package's type, or None when it is of no type that the package knows."""
        text = json.dumps(raw) if isinstance(raw, dict) else raw
        event: Json = json.loads(text)
        kind = str(event.get("type"))
        self.kinds[kind] += 1
        self.latest[kind] = event
        self._follow(event)
        if kind not in EVENTS:
            self.faults.append(f"{kind}: the package knows no such event")
            return None
        try:
            typed = EVENTS[kind].model_validate_json(text, strict=True)
        except ValidationError as error:
            self.faults.append(f"{kind}: {error}"[:400])
            return None
        self.faults += [f"{event['type']} holds {name}, which the package does not know" for name in _unknown(typed)]
        return typed

    def tell(self, check: Callable[..., None]) -> None:
        """What it came to, as checks."""
        knows = f"each of {self.kinds.total()} events is of a type that `openai` knows, and all are one story"
        check(knows, not self.faults, self.faults)
        check("the server sent no error", not self.errors, self.errors)

    # The story.

    def _follow(self, event: Json) -> None:
        kind, event_id = event.get("type", "?"), event.get("event_id")
        if not event_id or event_id in self._event_ids:
            self._wrong(event, f"its event_id is {event_id!r}: it must be new")
        self._event_ids.add(str(event_id))
        if (self.kinds.total() == 1) != (kind == "session.created"):
            self._wrong(event, "session.created comes first, and once")
        if kind == "error":
            self._note_error(event)
        if kind in ("response.created", "response.done"):
            self._begin_or_end(event, kind)
        elif "response_id" in event:
            self._continue(event)
        if kind in ("conversation.item.added", "conversation.item.done"):
            self._place(event)
        if kind == "conversation.item.deleted" and event["item_id"] in self._items:
            self._items.remove(event["item_id"])
        self._add_up(event, kind)

    def _note_error(self, event: Json) -> None:
        if event["error"].get("code") not in NORMAL_RACES:
            self.errors.append(event["error"])

    def _begin_or_end(self, event: Json, kind: str) -> None:
        response = event["response"]
        before, status = self._responses.get(response["id"]), response["status"]
        if kind == "response.created":
            if before is not None or status != "in_progress":
                self._wrong(event, f"it begins {status}, and was {before} before")
        elif before != "in_progress" or status not in ("completed", "cancelled", "failed", "incomplete"):
            self._wrong(event, f"it ends {status}, and was {before} before")
        elif left := [item["id"] for item in response["output"] if item["id"] in self._open]:
            self._wrong(event, f"its items {left} are still open")
        self._responses[response["id"]] = status
        if kind == "response.done":
            self.ends.append(response)

    def _continue(self, event: Json) -> None:
        kind, item = event["type"], event.get("item", {}).get("id") or event.get("item_id")
        if self._responses.get(event["response_id"]) != "in_progress":
            self._wrong(event, f"its response is {self._responses.get(event['response_id'], 'unknown')}")
        if kind == "response.output_item.added":
            self._open.add(item)
        elif item not in self._open:
            self._wrong(event, f"its item {item} is not open")
        elif kind == "response.output_item.done":
            self._open.discard(item)

    def _place(self, event: Json) -> None:
        item, previous = event["item"]["id"], event.get("previous_item_id")
        if previous and previous not in self._items:
            self._wrong(event, f"its previous_item_id {previous} was never told")
        if (event["type"] == "conversation.item.added") == (item in self._items):
            self._wrong(event, f"item {item} is added once, then done")
        if item not in self._items:
            self._items.append(item)

    def _add_up(self, event: Json, kind: str) -> None:
        name, _, what = kind.rpartition(".")
        if name not in TEXTS or what not in ("delta", "done"):
            return
        place = (name, event["item_id"])
        if what == "delta":
            self._texts[place] = self._texts.get(place, "") + event["delta"]
        elif event[TEXTS[name]] != self._texts.get(place, ""):
            self._wrong(event, f"its deltas add up to {self._texts.get(place, '')!r}, it says {event[TEXTS[name]]!r}")

    def _wrong(self, event: Json, what: str) -> None:
        self.faults.append(f"{event.get('type')}: {what}")


def _unknown(value: Any) -> list[str]:
    """The names of fields that the package's types do not have, at any depth."""
    if isinstance(value, list):
        return [name for one in value for name in _unknown(one)]
    if not isinstance(value, BaseModel):
        return []
    # The package types a session as the client asks for it; the server's has an id and such besides.
    known = RealtimeSessionCreateResponse.model_fields if isinstance(value, RealtimeSessionCreateRequest) else {}
    found = [name for name in value.model_extra or {} if name not in known]
    return found + [name for field in type(value).model_fields for name in _unknown(getattr(value, field))]
