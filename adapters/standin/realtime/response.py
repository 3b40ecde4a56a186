"""One response of a stand-in realtime session: what the host gives it becomes an item and events; it neither begins nor ends by itself."""

import base64
import copy
from typing import Any

import attrs

from adapters.standin.dialogue import Tool, Turn
from adapters.standin.ears import bytes_per_ms, tone
from adapters.standin.realtime.conversation import Conversation
from adapters.standin.realtime.events import Events, Out
from adapters.standin.realtime.grammar import Json
from adapters.standin.realtime.settings import SessionSettings

USER_TOKEN_MS, AGENT_TOKEN_MS = 100, 50
"""How much sound the original counts as a token, of the caller's and of its own."""
ARGUMENTS_CHARS = 12
"""How much of a call's arguments one delta carries."""
STRAGGLER, STRAGGLER_MS = " straggler", 200
"""What comes after a cancel when a script wants it: a word, or a tone as long as an ordinary delta."""


@attrs.frozen
class Plan:
    """How a response is to be given: `modality` is text or audio, `kind` the wire format, `speed` the pace of the voice."""

    modality: str
    kind: str
    speed: float


class Response:
    """A response in progress, in the conversation or `aside` of it."""

    def __init__(self, wishes: Json, *, events: Events, settings: SessionSettings, conversation: Conversation) -> None:
        """`wishes` are the client's for this response alone. Raises Refused for a voice that cannot be had any more."""
        self._wishes, self._events, self._settings, self._conversation = wishes, events, settings, conversation
        asked = settings.with_wishes(wishes)
        modalities = asked["output_modalities"]
        output = settings.output_for(wishes, modalities)
        self.id = events.new_id("resp")
        self.aside = wishes.get("conversation") == "none"
        self.plan = Plan(modalities[0], output["format"]["type"], output["speed"])
        self._output: list[Json] = []
        self._item: Json | None = None
        self._said = ""
        self.status = "in_progress"
        self.words = 0
        """How many words it has said."""
        self._sound_ms = 0.0
        self._frame: Json = {
            "object": "realtime.response",
            "id": self.id,
            "status": "in_progress",
            "status_details": None,
            "output": [],
            "conversation_id": None if self.aside else conversation.id,
            "output_modalities": modalities,
            "max_output_tokens": asked["max_output_tokens"],
            "audio": {"output": {"format": output["format"], "voice": output["voice"]}},
            "usage": None,
            "metadata": wishes.get("metadata"),
        }

    @property
    def is_full(self) -> bool:
        """Has it as many words as it may have? A word counts as a token."""
        limit = self._frame["max_output_tokens"]
        return bool(limit != "inf" and self.words >= limit)

    def turn(self) -> Turn:
        """What the dialogue has to answer."""
        items: list[Json] = self._wishes.get("input", self._conversation.items)
        latest = items[-1] if items else {}
        said = [self._conversation.words_of(item) for item in items if item.get("role") == "user"]
        orders = [self._conversation.words_of(item) for item in items if item.get("role") == "system"]
        asked = self._settings.with_wishes(self._wishes)
        choice = asked["tool_choice"]
        named = choice["name"] if isinstance(choice, dict) else None
        return Turn(
            heard=said[-1] if said else "",
            earlier=tuple(said[:-1]),
            replies=sum(item.get("role") == "assistant" for item in self._conversation.items),
            caller_spoke=bool(said),
            caller_spoke_last=latest.get("role") == "user",
            tool_output=latest.get("output"),
            instructions="\n".join([str(asked["instructions"]), *orders]),
            offers=tuple(_tool(one) for one in asked["tools"] if choice != "none" and named in (None, one["name"])),
            must_call=choice == "required" or named is not None,
        )

    def created(self) -> Json:
        """The event that tells of it."""
        return self._events.event("response.created", response=copy.deepcopy(self._frame))

    def say(self, words: str) -> list[Out]:
        """The next word: a text delta, or a transcript delta when it is given in sound."""
        events = self._with_message()
        self._said += words
        self.words += 1
        kind = "response.output_text.delta" if self.plan.modality == "text" else "response.output_audio_transcript.delta"
        return [*events, self._part_event(kind, delta=words)]

    def sound(self, data: bytes) -> list[Out]:
        """The next sound, already in its wire format."""
        events = self._with_message()
        self._sound_ms += len(data) / bytes_per_ms(self.plan.kind)
        if self._item:
            self._conversation.spoken_ms[self._item["id"]] = self._sound_ms
        self._settings.fix_voice()
        return [*events, self._part_event("response.output_audio.delta", delta=base64.b64encode(data).decode())]

    def next_item(self) -> list[Out]:
        """What it says from now on is another item."""
        out = self._close_item("completed")
        self._said, self._sound_ms = "", 0.0
        return out

    def call(self, name: str, arguments: str) -> list[Out]:
        """It calls a function, after what it has said so far; `arguments` is JSON."""
        events = self._close_item("completed")
        call_id = self._events.new_id("call")
        item = {"type": "function_call", "name": name, "call_id": call_id, "arguments": ""}
        events += self._open_item(item)
        place = {"response_id": self.id, "item_id": item["id"], "output_index": self._index, "call_id": call_id}
        for start in range(0, len(arguments), ARGUMENTS_CHARS):
            piece = arguments[start : start + ARGUMENTS_CHARS]
            events.append(self._events.event("response.function_call_arguments.delta", **place, delta=piece))
        item["arguments"] = arguments
        return [*events, self._events.event("response.function_call_arguments.done", **place, name=name, arguments=arguments)]

    def straggle(self) -> list[Out]:
        """One more delta, although the response has ended: a word, or a tone."""
        if self.plan.modality == "text":
            return [self._part_event("response.output_text.delta", delta=STRAGGLER)]
        return [self._part_event("response.output_audio.delta", delta=base64.b64encode(tone(self.plan.kind, STRAGGLER_MS)).decode())]

    def end(self, status: str, details: Json | None) -> list[Out]:
        """Close whatever is open and tell how it ended."""
        out = self._close_item(status)
        output = copy.deepcopy(self._output)
        self.status = status
        frame = self._frame | {"status": status, "status_details": details, "output": output, "usage": self._usage()}
        return [*out, self._events.event("response.done", response=frame)]

    def _with_message(self) -> list[Out]:
        """The events that open the message, the first time that something is said."""
        if self._item:
            return []
        events = self._open_item({"type": "message", "role": "assistant", "content": []})
        part = {"type": "text", "text": ""} if self.plan.modality == "text" else {"type": "audio", "transcript": ""}
        return [*events, self._part_event("response.content_part.added", part=part)]

    def _open_item(self, item: Json) -> list[Out]:
        """A new item of the response, and of the conversation unless the response stands beside it."""
        item |= {"id": self._events.new_id("item"), "object": "realtime.item", "status": "in_progress"}
        self._item = item
        self._output.append(item)
        out: list[Out] = [self._output_event("added", item)]
        if not self.aside:
            self._conversation.items.append(item)
            out.append(self._conversation.tell("conversation.item.added", item))
        return out

    def _close_item(self, status: str) -> list[Out]:
        """The events that close the open item, if there is one; `status` is that of the response."""
        item, out = self._item, list[Out]()
        if not item:
            return out
        item["status"] = "completed" if status == "completed" else "incomplete"
        if item["type"] == "message":
            out += self._close_part(item)
        if not self.aside and self._conversation.find(item["id"]):
            out.append(self._conversation.tell("conversation.item.done", item))
        out.append(self._output_event("done", item))
        self._item = None
        return out

    def _close_part(self, item: Json) -> list[Out]:
        """The done events of the message's one part, whose content is now known."""
        if self.plan.modality == "text":
            item["content"] = [{"type": "output_text", "text": self._said}]
            part = {"type": "text", "text": self._said}
            out: list[Out] = [self._part_event("response.output_text.done", text=self._said)]
        else:
            truncated = self._conversation.spoken_ms.get(item["id"], self._sound_ms) < self._sound_ms
            item["content"] = [{"type": "output_audio", "transcript": "" if truncated else self._said}]
            part = {"type": "audio", "transcript": self._said}
            out = [
                self._part_event("response.output_audio.done"),
                self._part_event("response.output_audio_transcript.done", transcript=self._said),
            ]
        return [*out, self._part_event("response.content_part.done", part=part)]

    def _usage(self) -> Json:
        """Tokens as the original counts them: sound by its length, text by a word each."""
        others = (item for item in self._conversation.items if not any(item is own for own in self._output))
        text = sum(len(self._conversation.words_of(item).split()) for item in others)
        audio = int(self._conversation.heard_ms() / USER_TOKEN_MS)
        cached = {"text_tokens": 0, "audio_tokens": 0, "image_tokens": 0}
        said, spoken = self.words, int(self._sound_ms / AGENT_TOKEN_MS)
        taken = {"text_tokens": text, "audio_tokens": audio, "image_tokens": 0, "cached_tokens": 0, "cached_tokens_details": cached}
        return {
            "total_tokens": text + audio + said + spoken,
            "input_tokens": text + audio,
            "output_tokens": said + spoken,
            "input_token_details": taken,
            "output_token_details": {"text_tokens": said, "audio_tokens": spoken},
        }

    def _output_event(self, what: str, item: Json) -> Json:
        kind = f"response.output_item.{what}"
        return self._events.event(kind, response_id=self.id, output_index=self._index, item=copy.deepcopy(item))

    def _part_event(self, kind: str, **fields: Any) -> Json:
        item_id = self._output[-1]["id"] if self._output else self._events.new_id("item")
        return self._events.event(kind, response_id=self.id, item_id=item_id, output_index=self._index, content_index=0, **fields)

    @property
    def _index(self) -> int:
        """Where in the output the latest item is."""
        return max(len(self._output) - 1, 0)


def _tool(told: Json) -> Tool:
    """A function of the client's, as the dialogue knows it."""
    return Tool(told["name"], told.get("description", ""), told.get("parameters", {}))
