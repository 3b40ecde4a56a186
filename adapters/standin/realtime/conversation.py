"""The conversation of a stand-in realtime session: its items in order, with what was heard in them; responses are not made in here.

What a client asks of it is refused as the original refuses it, and each change returns the events that tell of it.
"""

import base64
import copy

from adapters.standin.checks import Refused
from adapters.standin.ears import bytes_per_ms
from adapters.standin.realtime.events import Events, Out
from adapters.standin.realtime.grammar import Json, sound_of
from adapters.standin.realtime.settings import SessionSettings

SOUNDS_KEPT = 16
"""The caller's latest turns whose sound conversation.item.retrieve still gives."""

_DOING = {"create": "adding", "retrieve": "retrieving", "truncate": "truncating", "delete": "deleting"}


class Conversation:
    """The items and what belongs to them, by their ids: the caller's sound, the words heard in it, and how long the agent spoke."""

    def __init__(self, name: str, events: Events, settings: SessionSettings) -> None:
        self.id = f"conv_{name}"
        self.items: list[Json] = []
        self.spoken_ms: dict[str, float] = {}
        self._events = events
        self._settings = settings
        self._sounds: dict[str, bytes] = {}
        self._heard: dict[str, str] = {}

    # What a client may ask.

    def create(self, event: Json) -> list[Out]:
        """Add the client's item at its place."""
        item = copy.deepcopy(event["item"])
        item_id = item.setdefault("id", self._events.new_id("item"))
        if self.find(item_id):
            raise Refused("item_create_duplicate_item_id", f"Error adding item: an item with id '{item_id}' already exists.", "item.id")
        after = event.get("previous_item_id")
        place = 0 if after == "root" else len(self.items) if after is None else self._place(after, "create", "previous_item_id") + 1
        for part in item.get("content", ()):
            if part["type"] == "input_audio":
                self._keep_sound(item_id, sound_of(part.pop("audio"), "item.content[0].audio", self._settings.kind))
                part.setdefault("transcript", None)
        if item["type"] == "function_call_output" and not self._has_call(item["call_id"]):
            raise Refused("invalid_tool_call_id", f"Tool call ID '{item['call_id']}' not found in conversation.")
        if item["type"] == "function_call":
            item.setdefault("call_id", self._events.new_id("call"))
        item |= {"object": "realtime.item", "status": "completed"}
        self.items.insert(place, item)
        return self._told(item)

    def retrieve(self, event: Json) -> list[Out]:
        """Give an item, with the caller's sound while it is kept."""
        item = copy.deepcopy(self.items[self._place(event["item_id"], "retrieve")])
        sound = self._sounds.get(item["id"])
        for part in item.get("content", ()):
            if part["type"] == "input_audio" and sound is not None:
                part["audio"] = base64.b64encode(sound).decode()
        return [self._events.event("conversation.item.retrieved", item=item)]

    def truncate(self, event: Json) -> list[Out]:
        """Forget what the agent said beyond a time, and with it all of the transcript."""
        item = self.items[self._place(event["item_id"], "truncate")]
        has_ms, end_ms = self.spoken_ms.get(item["id"]), event["audio_end_ms"]
        if has_ms is None:
            raise Refused("unsupported_content_type", "Only model output audio messages can be truncated")
        if end_ms > has_ms:
            raise Refused("invalid_value", f"Audio content of {int(has_ms)}ms is already shorter than {end_ms}ms")
        self.spoken_ms[item["id"]] = end_ms
        for part in item["content"]:
            part["transcript"] = ""
        place = {name: event[name] for name in ("item_id", "content_index", "audio_end_ms")}
        return [self._events.event("conversation.item.truncated", **place)]

    def delete(self, event: Json) -> list[Out]:
        """Forget an item and all that belongs to it."""
        item_id = event["item_id"]
        del self.items[self._place(item_id, "delete")]
        self._sounds.pop(item_id, None)
        self._heard.pop(item_id, None)
        self.spoken_ms.pop(item_id, None)
        return [self._events.event("conversation.item.deleted", item_id=item_id)]

    # What the session adds, and what it looks up.

    @property
    def last_id(self) -> str | None:
        """The id of the last item."""
        return self.items[-1]["id"] if self.items else None

    def add_turn(self, item_id: str, sound: bytes) -> list[Out]:
        """The caller's turn becomes an item."""
        content = [{"type": "input_audio", "transcript": None}]
        item = {"id": item_id, "object": "realtime.item", "type": "message", "status": "completed", "role": "user", "content": content}
        self.items.append(item)
        self._keep_sound(item_id, sound)
        return self._told(item)

    def tell(self, kind: str, item: Json) -> Json:
        """The event `kind` of an item, as it is now."""
        place = self.items.index(item)
        previous = self.items[place - 1]["id"] if place else None
        return self._events.event(kind, previous_item_id=previous, item=copy.deepcopy(item))

    def note_heard(self, item_id: str, words: str) -> None:
        """The caller said `words` as `item_id`."""
        if self.find(item_id):
            self._heard[item_id] = words

    def transcribed(self, item_id: str, words: str, seconds: float) -> list[Out]:
        """The caller's words become the transcript of an item."""
        item = self.find(item_id)
        if item:
            item["content"][0]["transcript"] = words
        usage = {"type": "duration", "seconds": seconds}
        kind = "conversation.item.input_audio_transcription.completed"
        return [self._events.event(kind, item_id=item_id, content_index=0, transcript=words, usage=usage)]

    def words_of(self, item: Json) -> str:
        """The text of an item, or what was heard in it."""
        parts = item.get("content", ())
        return self._heard.get(item.get("id", "")) or " ".join(part.get("text") or part.get("transcript") or "" for part in parts)

    def heard_ms(self) -> float:
        """How long the caller's sound is, as far as it is kept."""
        return sum(len(sound) for sound in self._sounds.values()) / bytes_per_ms(self._settings.kind)

    def find(self, item_id: str) -> Json | None:
        """The item of an id."""
        return next((item for item in self.items if item["id"] == item_id), None)

    def _has_call(self, call_id: str) -> bool:
        """Is there a function call of this id?"""
        return any(item["type"] == "function_call" and item["call_id"] == call_id for item in self.items)

    def _place(self, item_id: str, doing: str, param: str | None = None) -> int:
        """Where in the conversation the item is; refused when it is not there."""
        for place, item in enumerate(self.items):
            if item["id"] == item_id:
                return place
        message = f"Error {_DOING[doing]} item: the item with id '{item_id}' does not exist."
        raise Refused(f"item_{doing}_invalid_item_id", message, param)

    def _told(self, item: Json) -> list[Out]:
        """The events of an item that is whole from the start."""
        return [self.tell(kind, item) for kind in ("conversation.item.added", "conversation.item.done")]

    def _keep_sound(self, item_id: str, sound: bytes) -> None:
        self._sounds[item_id] = sound
        while len(self._sounds) > SOUNDS_KEPT:
            del self._sounds[next(iter(self._sounds))]
