"""One session of the stand-in realtime LLM: a client's messages and sound in, the server's events out; no socket, clock or task in here.

It speaks the GA wire of OpenAI's Realtime API and is as strict: what the original refuses is refused with the same code, and
`error.event_id` names the client event that caused it. Codes and messages that could not be read anywhere are modelled on
their nearest relatives. It differs on purpose in these: `session.audio.input.turn_detection.idle_timeout_ms`, stored
prompts, MCP tools and transcription sessions are refused; semantic_vad is server_vad with a silence that follows from its
eagerness; the words of `instructions` and tools reach the dialogue, and what becomes of them is its affair.
"""

import base64
import binascii
import copy
import json
from collections.abc import Callable, Mapping
from typing import Any

import attrs

from adapters.standin.ears import Detection, SpeechBegan, SpeechEnded, TurnDetector, bytes_per_ms

Json = dict[str, Any]
Check = Callable[[Any, str], None]

APPEND_BYTES = 15 * 2**20
"""The most sound that one append may carry (documentation of input_audio_buffer.append)."""
COMMIT_MS = 100
"""The least sound that can be committed (the original's own message)."""
BUFFER_MS = 600_000
"""A buffer that nobody commits forgets its oldest sound beyond ten minutes."""
ONSET_MS = 200
"""More than the detector takes to be sure that speech has begun: two frames, a started one and the resampler's delay."""
SOUNDS_KEPT = 16
"""The caller's latest turns whose sound conversation.item.retrieve still gives."""
EAGERNESS_MS = {"low": 1_600, "medium": 800, "auto": 800, "high": 400}
"""The silence that ends a turn under semantic_vad: a fifth of the documented longest waits of 8, 4 and 2 seconds."""
USER_TOKEN_MS, AGENT_TOKEN_MS = 100, 50
"""How much sound the original counts as a token, of the caller's and of its own."""
DEFAULT_MODEL = "gpt-realtime-2.1"
VOICES = ("alloy", "ash", "ballad", "coral", "echo", "sage", "shimmer", "verse", "marin", "cedar")


class Refused(Exception):
    """A client event that is not carried out; becomes an `error` event."""

    def __init__(self, code: str, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.code, self.message, self.param = code, message, param


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
class Turn:
    """What a dialogue knows when it must answer.

    `heard` is the caller's latest words, `replies` how often the agent has spoken, `tool_output` the answer to its latest
    function call; `instructions` and `tools` (names) are the client's wishes.
    """

    heard: str = ""
    replies: int = 0
    caller_spoke: bool = False
    tool_output: str | None = None
    instructions: str = ""
    tools: tuple[str, ...] = ()


@attrs.frozen
class Plan:
    """How a response is to be given: `modality` is text or audio, `kind` the wire format, `speed` the pace of the voice."""

    modality: str
    kind: str
    speed: float


Out = Json | Begin | Transcribe


@attrs.define
class _Response:
    """A response in progress."""

    id: str
    wishes: Json
    plan: Plan
    conversation_id: str | None
    frame: Json
    item: Json | None = None
    said: str = ""
    words: int = 0
    sound_ms: float = 0.0
    output: list[Json] = attrs.Factory(list)


class Session:
    """The state of one connection; each method returns, in order, what must be sent or begun because of it."""

    def __init__(self, *, name: str, model: str = DEFAULT_MODEL, expires_at: int = 0) -> None:
        """`name` makes the ids unique between sessions; `expires_at` is in Unix seconds and only told."""
        self._name = name
        self._count = 0
        self._detector = TurnDetector()
        self._settings = _first_settings(f"sess_{name}", model, expires_at)
        self._conversation_id = f"conv_{name}"
        self._items: list[Json] = []
        self._sounds: dict[str, bytes] = {}
        self._heard: dict[str, str] = {}
        self._sound_ms: dict[str, float] = {}
        self._active: dict[str, _Response] = {}
        self._spoke_aloud = False
        self._buffer = bytearray()
        self._appended_ms = 0.0
        self._turn_item = ""
        self._handlers: dict[str, Callable[[Json], list[Out]]] = {
            "session.update": self._on_session_update,
            "input_audio_buffer.append": self._on_append,
            "input_audio_buffer.commit": self._on_commit,
            "input_audio_buffer.clear": self._on_clear,
            "conversation.item.create": self._on_item_create,
            "conversation.item.retrieve": self._on_item_retrieve,
            "conversation.item.truncate": self._on_item_truncate,
            "conversation.item.delete": self._on_item_delete,
            "response.create": self._on_response_create,
            "response.cancel": self._on_response_cancel,
        }

    def open(self) -> list[Out]:
        """What a new connection is told."""
        return [self._event("session.created", session=copy.deepcopy(self._settings))]

    def receive(self, message: str | bytes) -> list[Out]:
        """Answer one message of the client; never raises on what a client may send."""
        event_id = None
        try:
            event = _parsed(message)
            event_id = event.get("event_id") if isinstance(event.get("event_id"), str) else None
            EVENT(event, "")
            return self._handlers[event["type"]](event)
        except Refused as refusal:
            return [self._error(refusal, event_id)]

    # What the host does for a response. Everything about one that is no longer in progress is dropped, so no delta follows a cancel.

    def plan(self, response_id: str) -> Plan | None:
        """How to give the response; None once it is over."""
        response = self._active.get(response_id)
        return response.plan if response else None

    def turn(self, response_id: str) -> Turn | None:
        """What the dialogue has to answer, with the caller's words once `heard` was told them; None once the response is over."""
        response = self._active.get(response_id)
        if not response:
            return None
        wishes = response.wishes
        items: list[Json] = wishes.get("input", self._items)
        latest = items[-1] if items else {}
        spoken_by_caller = [item for item in items if item.get("role") == "user"]
        asked = self._settings | wishes
        return Turn(
            heard=self._words_of(spoken_by_caller[-1]) if spoken_by_caller else "",
            replies=sum(item.get("role") == "assistant" for item in self._items),
            caller_spoke=bool(spoken_by_caller),
            tool_output=latest.get("output"),
            instructions=str(asked["instructions"]),
            tools=tuple(tool["name"] for tool in asked["tools"]),
        )

    def say(self, response_id: str, words: str) -> list[Out]:
        """The next word of the response: a text delta, or a transcript delta when it is given in sound; a word counts as a token."""
        response = self._active.get(response_id)
        if not response:
            return []
        events = self._with_item(response)
        limit = response.frame["max_output_tokens"]
        if limit != "inf" and response.words >= limit:
            return events + self._end(response, "incomplete", {"type": "incomplete", "reason": "max_output_tokens"})
        response.said += words
        response.words += 1
        kind = "response.output_text.delta" if response.plan.modality == "text" else "response.output_audio_transcript.delta"
        return [*events, self._part_event(kind, response, delta=words)]

    def sound(self, response_id: str, data: bytes) -> list[Out]:
        """The next sound of the response, already in its wire format."""
        response = self._active.get(response_id)
        if not response:
            return []
        events = self._with_item(response)
        response.sound_ms += len(data) / bytes_per_ms(response.plan.kind)
        if response.item:
            self._sound_ms[response.item["id"]] = response.sound_ms
        self._spoke_aloud = True
        return [*events, self._part_event("response.output_audio.delta", response, delta=base64.b64encode(data).decode())]

    def call(self, response_id: str, name: str, arguments: str) -> list[Out]:
        """The response is a function call; `arguments` is JSON. The client answers with a function_call_output item."""
        response = self._active.get(response_id)
        if not response:
            return []
        call_id = self._new_id("call")
        item = {"type": "function_call", "name": name, "call_id": call_id, "arguments": ""}
        events = self._open_item(response, item)
        place = {"response_id": response_id, "item_id": item["id"], "output_index": 0, "call_id": call_id}
        item["arguments"] = arguments
        events.append(self._event("response.function_call_arguments.delta", **place, delta=arguments))
        events.append(self._event("response.function_call_arguments.done", **place, name=name, arguments=arguments))
        return events

    def complete(self, response_id: str) -> list[Out]:
        """The response is said to its end."""
        response = self._active.get(response_id)
        return self._end(response, "completed", None) if response else []

    def fail(self, response_id: str, code: str, message: str) -> list[Out]:
        """The response failed for a reason of the server's own."""
        response = self._active.get(response_id)
        error = {"type": "server_error", "code": code, "message": message}
        return self._end(response, "failed", {"type": "failed", "error": error}) if response else []

    # What the host heard.

    def heard(self, item_id: str, words: str) -> None:
        """The caller said `words` as `item_id`: for the dialogue alone."""
        if self._find(item_id):
            self._heard[item_id] = words

    def transcribed(self, item_id: str, words: str, seconds: float) -> list[Out]:
        """Tell the client what the caller said; `seconds` is the length of the turn."""
        item = self._find(item_id)
        if item:
            item["content"][0]["transcript"] = words
        usage = {"type": "duration", "seconds": seconds}
        kind = "conversation.item.input_audio_transcription.completed"
        return [self._event(kind, item_id=item_id, content_index=0, transcript=words, usage=usage)]

    def expire(self) -> list[Out]:
        """The session has lasted as long as it may; the host closes the connection after this."""
        return [self._error(Refused("session_expired", "Your session hit the maximum duration of 60 minutes."), None)]

    # Session and input sound.

    def _on_session_update(self, event: Json) -> list[Out]:
        wanted = event["session"]
        if wanted.get("model", self._settings["model"]) != self._settings["model"]:
            raise Refused("invalid_value", "The model of a session cannot be changed.", "session.model")
        voice = wanted.get("audio", {}).get("output", {}).get("voice", self._voice)
        self._keep_voice(voice)
        was = self._settings["audio"]["input"]
        self._settings = _merged(self._settings, wanted)
        now = self._settings["audio"]["input"]
        if now["format"] != was["format"]:
            self._buffer.clear()
            self._detector.drop_turn()
        if now["turn_detection"] is None:
            self._detector.drop_turn()
        return [self._event("session.updated", session=copy.deepcopy(self._settings))]

    def _on_append(self, event: Json) -> list[Out]:
        data = _sound_of(event["audio"], "audio", self._kind)
        if len(data) > APPEND_BYTES:
            raise Refused("invalid_value", f"Invalid 'audio': {len(data)} bytes are more than the {APPEND_BYTES} of one append.", "audio")
        self._buffer += data
        self._appended_ms += len(data) / bytes_per_ms(self._kind)
        out: list[Out] = []
        for change in self._detector.hear(self._kind, data, self._detection):
            out += self._speech_began(change.at_ms) if isinstance(change, SpeechBegan) else self._speech_ended(change)
        self._forget_old_sound()
        return out

    def _on_commit(self, _: Json) -> list[Out]:
        held_ms = len(self._buffer) / bytes_per_ms(self._kind)
        if held_ms < COMMIT_MS:
            lack = f"Expected at least {COMMIT_MS}ms of audio, but buffer only has {held_ms:.2f}ms of audio."
            raise Refused("input_audio_buffer_commit_empty", f"Error committing input audio buffer: buffer too small. {lack}")
        item_id = self._turn_item if self._detector.turn_open else self._new_id("item")
        self._detector.drop_turn()
        sound = bytes(self._buffer)
        self._buffer.clear()
        return self._committed(item_id, sound)

    def _on_clear(self, _: Json) -> list[Out]:
        self._buffer.clear()
        self._detector.drop_turn()
        return [self._event("input_audio_buffer.cleared")]

    def _speech_began(self, at_ms: int) -> list[Out]:
        """The caller begins: keep the sound from a little earlier on, and interrupt if that is the server's to do."""
        self._turn_item = self._new_id("item")
        start_ms = max(at_ms - self._vad.get("prefix_padding_ms", 300), self._buffer_start_ms, 0)
        self._drop_before(start_ms)
        out: list[Out] = [self._event("input_audio_buffer.speech_started", audio_start_ms=int(start_ms), item_id=self._turn_item)]
        main = self._main
        if main and self._vad["interrupt_response"]:
            out += self._end(main, "cancelled", {"type": "cancelled", "reason": "turn_detected"})
        return out

    def _speech_ended(self, change: SpeechEnded) -> list[Out]:
        """The caller ends: the turn is committed, and answered if that is the server's to do."""
        out: list[Out] = [self._event("input_audio_buffer.speech_stopped", audio_end_ms=change.at_ms, item_id=self._turn_item)]
        sound = self._drop_before(change.at_ms)
        out += self._committed(self._turn_item, sound)
        if not self._vad["create_response"]:
            return out
        try:
            return out + self._create({})
        except Refused as refusal:
            return [*out, self._error(refusal, None)]

    def _committed(self, item_id: str, sound: bytes) -> list[Out]:
        """The sound of a turn is an item of the conversation."""
        previous = self._items[-1]["id"] if self._items else None
        content = [{"type": "input_audio", "transcript": None}]
        item = {"id": item_id, "object": "realtime.item", "type": "message", "status": "completed", "role": "user", "content": content}
        self._items.append(item)
        self._keep_sound(item_id, sound)
        told = self._settings["audio"]["input"]["transcription"] is not None
        return [
            self._event("input_audio_buffer.committed", previous_item_id=previous, item_id=item_id),
            *self._item_events(item),
            Transcribe(item_id, self._kind, sound, told),
        ]

    # The conversation.

    def _on_item_create(self, event: Json) -> list[Out]:
        item = copy.deepcopy(event["item"])
        item_id = item.setdefault("id", self._new_id("item"))
        if self._find(item_id):
            raise Refused("item_create_duplicate_item_id", f"Error adding item: an item with id '{item_id}' already exists.", "item.id")
        after = event.get("previous_item_id")
        place = 0 if after == "root" else len(self._items) if after is None else self._place(after, "create", "previous_item_id") + 1
        for part in item.get("content", ()):
            if part["type"] == "input_audio":
                self._keep_sound(item_id, _sound_of(part.pop("audio"), "item.content[0].audio", self._kind))
                part.setdefault("transcript", None)
        item |= {"object": "realtime.item", "status": "completed"}
        self._items.insert(place, item)
        return self._item_events(item)

    def _on_item_retrieve(self, event: Json) -> list[Out]:
        item = copy.deepcopy(self._items[self._place(event["item_id"], "retrieve")])
        sound = self._sounds.get(item["id"])
        for part in item.get("content", ()):
            if part["type"] == "input_audio" and sound is not None:
                part["audio"] = base64.b64encode(sound).decode()
        return [self._event("conversation.item.retrieved", item=item)]

    def _on_item_truncate(self, event: Json) -> list[Out]:
        item = self._items[self._place(event["item_id"], "truncate")]
        has_ms, end_ms = self._sound_ms.get(item["id"]), event["audio_end_ms"]
        if has_ms is None:
            raise Refused("unsupported_content_type", "Only model output audio messages can be truncated")
        if end_ms > has_ms:
            raise Refused("invalid_value", f"Audio content of {int(has_ms)}ms is already shorter than {end_ms}ms")
        self._sound_ms[item["id"]] = end_ms
        for part in item["content"]:
            part["transcript"] = ""
        place = {name: event[name] for name in ("item_id", "content_index", "audio_end_ms")}
        return [self._event("conversation.item.truncated", **place)]

    def _on_item_delete(self, event: Json) -> list[Out]:
        item_id = event["item_id"]
        del self._items[self._place(item_id, "delete")]
        for memory in (self._sounds, self._heard, self._sound_ms):
            memory.pop(item_id, None)
        return [self._event("conversation.item.deleted", item_id=item_id)]

    # Responses.

    def _on_response_create(self, event: Json) -> list[Out]:
        return self._create(event.get("response") or {})

    def _on_response_cancel(self, event: Json) -> list[Out]:
        named = event.get("response_id")
        response = self._active.get(named) if named else self._main
        if not response:
            raise Refused("response_cancel_not_active", "Cancellation failed: no active response found")
        return self._end(response, "cancelled", {"type": "cancelled", "reason": "client_cancelled"})

    def _create(self, wishes: Json) -> list[Out]:
        """Begin a response: one at a time in the conversation, any number beside it."""
        aside = wishes.get("conversation") == "none"
        if not aside and self._main:
            busy = f"Conversation already has an active response in progress: {self._main.id}."
            advice = "Wait until the response is finished before creating a new one."
            raise Refused("conversation_already_has_active_response", f"{busy} {advice}")
        output = self._settings["audio"]["output"] | wishes.get("audio", {}).get("output", {})
        asked = self._settings | wishes
        modalities = asked["output_modalities"]
        if modalities == ["audio"]:
            self._keep_voice(output["voice"])
        conversation_id = None if aside else self._conversation_id
        frame: Json = {
            "object": "realtime.response",
            "id": self._new_id("resp"),
            "status": "in_progress",
            "status_details": None,
            "output": [],
            "conversation_id": conversation_id,
            "output_modalities": modalities,
            "max_output_tokens": asked["max_output_tokens"],
            "audio": {"output": {"format": output["format"], "voice": output["voice"]}},
            "usage": None,
            "metadata": wishes.get("metadata"),
        }
        plan = Plan(modalities[0], output["format"]["type"], output["speed"])
        response = _Response(frame["id"], wishes, plan, conversation_id, frame)
        self._active[response.id] = response
        return [self._event("response.created", response=copy.deepcopy(frame)), Begin(response.id)]

    def _with_item(self, response: _Response) -> list[Out]:
        """The events that open the response's message, the first time that something is said."""
        if response.item:
            return []
        events = self._open_item(response, {"type": "message", "role": "assistant", "content": []})
        part = {"type": "text", "text": ""} if response.plan.modality == "text" else {"type": "audio", "transcript": ""}
        return [*events, self._part_event("response.content_part.added", response, part=part)]

    def _open_item(self, response: _Response, item: Json) -> list[Out]:
        """A new item of the response, and of the conversation unless the response stands beside it."""
        item |= {"id": self._new_id("item"), "object": "realtime.item", "status": "in_progress"}
        response.item = item
        out: list[Out] = [
            self._event("response.output_item.added", response_id=response.id, output_index=0, item=copy.deepcopy(item)),
        ]
        if response.conversation_id:
            self._items.append(item)
            out.append(self._event("conversation.item.added", previous_item_id=self._before(item), item=copy.deepcopy(item)))
        return out

    def _end(self, response: _Response, status: str, details: Json | None) -> list[Out]:
        """Close whatever the response has open and tell how it ended."""
        del self._active[response.id]
        out: list[Out] = []
        item = response.item
        if item:
            item["status"] = "completed" if status == "completed" else "incomplete"
            if item["type"] == "message":
                out += self._close_part(response, item)
            if response.conversation_id and self._find(item["id"]):
                out.append(self._event("conversation.item.done", previous_item_id=self._before(item), item=copy.deepcopy(item)))
            out.append(self._event("response.output_item.done", response_id=response.id, output_index=0, item=copy.deepcopy(item)))
        output = [copy.deepcopy(item)] if item else []
        frame = response.frame | {"status": status, "status_details": details, "output": output, "usage": self._usage(response)}
        return [*out, self._event("response.done", response=frame)]

    def _close_part(self, response: _Response, item: Json) -> list[Out]:
        """The done events of the message's one part, whose content is now known."""
        if response.plan.modality == "text":
            item["content"] = [{"type": "output_text", "text": response.said}]
            part = {"type": "text", "text": response.said}
            out: list[Out] = [self._part_event("response.output_text.done", response, text=response.said)]
        else:
            truncated = self._sound_ms.get(item["id"], response.sound_ms) < response.sound_ms
            item["content"] = [{"type": "output_audio", "transcript": "" if truncated else response.said}]
            part = {"type": "audio", "transcript": response.said}
            out = [
                self._part_event("response.output_audio.done", response),
                self._part_event("response.output_audio_transcript.done", response, transcript=response.said),
            ]
        return [*out, self._part_event("response.content_part.done", response, part=part)]

    def _usage(self, response: _Response) -> Json:
        """Tokens as the original counts them: sound by its length, text by a word each."""
        heard_ms = sum(len(sound) for sound in self._sounds.values()) / bytes_per_ms(self._kind)
        words = sum(len(self._words_of(item).split()) for item in self._items if item is not response.item)
        text, audio = words, int(heard_ms / USER_TOKEN_MS)
        cached = {"text_tokens": 0, "audio_tokens": 0, "image_tokens": 0}
        said, spoken = response.words, int(response.sound_ms / AGENT_TOKEN_MS)
        taken = {"text_tokens": text, "audio_tokens": audio, "image_tokens": 0, "cached_tokens": 0, "cached_tokens_details": cached}
        return {
            "total_tokens": text + audio + said + spoken,
            "input_tokens": text + audio,
            "output_tokens": said + spoken,
            "input_token_details": taken,
            "output_token_details": {"text_tokens": said, "audio_tokens": spoken},
        }

    # Small matters.

    @property
    def _main(self) -> _Response | None:
        """The response in progress in the conversation; at most one."""
        return next((response for response in self._active.values() if response.conversation_id), None)

    @property
    def _kind(self) -> str:
        return str(self._settings["audio"]["input"]["format"]["type"])

    @property
    def _voice(self) -> Any:
        return self._settings["audio"]["output"]["voice"]

    @property
    def _vad(self) -> Json:
        return self._settings["audio"]["input"]["turn_detection"] or {}

    @property
    def _detection(self) -> Detection | None:
        vad = self._vad
        if not vad:
            return None
        if vad["type"] == "semantic_vad":
            return Detection(0.5, EAGERNESS_MS[vad["eagerness"]])
        return Detection(vad["threshold"], vad["silence_duration_ms"])

    @property
    def _buffer_start_ms(self) -> float:
        """Where in all the sound appended the buffer begins."""
        return self._appended_ms - len(self._buffer) / bytes_per_ms(self._kind)

    def _drop_before(self, at_ms: float) -> bytes:
        """Take what the buffer holds of the time before `at_ms`."""
        size = int((at_ms - self._buffer_start_ms) * bytes_per_ms(self._kind)) & ~1
        taken = bytes(self._buffer[: max(size, 0)])
        del self._buffer[: len(taken)]
        return taken

    def _forget_old_sound(self) -> None:
        """Between two turns only what may prove to be the next one's beginning is kept."""
        between_turns = self._vad and not self._detector.turn_open
        keep_ms = ONSET_MS + self._vad.get("prefix_padding_ms", 300) if between_turns else BUFFER_MS
        self._drop_before(self._appended_ms - keep_ms)

    def _keep_sound(self, item_id: str, sound: bytes) -> None:
        self._sounds[item_id] = sound
        while len(self._sounds) > SOUNDS_KEPT:
            del self._sounds[next(iter(self._sounds))]

    def _keep_voice(self, voice: Any) -> None:
        if self._spoke_aloud and voice != self._voice:
            raise Refused("cannot_update_voice", "Cannot update a conversation's voice if assistant audio is present.")

    def _words_of(self, item: Json) -> str:
        """The text of an item, or what the host heard in it."""
        parts = item.get("content", ())
        return self._heard.get(item.get("id", "")) or " ".join(part.get("text") or part.get("transcript") or "" for part in parts)

    def _find(self, item_id: str) -> Json | None:
        return next((item for item in self._items if item["id"] == item_id), None)

    def _place(self, item_id: str, doing: str, param: str | None = None) -> int:
        """Where in the conversation the item is; refused when it is not there."""
        for place, item in enumerate(self._items):
            if item["id"] == item_id:
                return place
        message = f"Error {_DOING[doing]} item: the item with id '{item_id}' does not exist."
        raise Refused(f"item_{doing}_invalid_item_id", message, param)

    def _before(self, item: Json) -> str | None:
        place = self._items.index(item)
        return self._items[place - 1]["id"] if place else None

    def _item_events(self, item: Json) -> list[Out]:
        kinds = ("conversation.item.added", "conversation.item.done")
        return [self._event(kind, previous_item_id=self._before(item), item=copy.deepcopy(item)) for kind in kinds]

    def _part_event(self, kind: str, response: _Response, **fields: Any) -> Json:
        item_id = response.item["id"] if response.item else ""
        return self._event(kind, response_id=response.id, item_id=item_id, output_index=0, content_index=0, **fields)

    def _event(self, kind: str, **fields: Any) -> Json:
        return {"type": kind, "event_id": self._new_id("event"), **fields}

    def _error(self, refusal: Refused, event_id: str | None) -> Json:
        error = {"type": "invalid_request_error", "code": refusal.code, "message": refusal.message, "param": refusal.param}
        return self._event("error", error=error | {"event_id": event_id})

    def _new_id(self, prefix: str) -> str:
        self._count += 1
        return f"{prefix}_{self._name}{self._count:05d}"


_DOING = {"create": "adding", "retrieve": "retrieving", "truncate": "truncating", "delete": "deleting"}


def _first_settings(session_id: str, model: str, expires_at: int) -> Json:
    """The settings of a session that nobody has updated: the defaults that the original documents."""
    pcm = {"type": "audio/pcm", "rate": 24_000}
    hearing = {"format": pcm, "transcription": None, "noise_reduction": None, "turn_detection": dict(_FIRST_DETECTION["server_vad"])}
    return {
        "type": "realtime",
        "object": "realtime.session",
        "id": session_id,
        "model": model,
        "expires_at": expires_at,
        "output_modalities": ["audio"],
        "instructions": "You are a helpful voice assistant.",
        "tools": [],
        "tool_choice": "auto",
        "max_output_tokens": "inf",
        "tracing": None,
        "truncation": "auto",
        "prompt": None,
        "include": None,
        "audio": {"input": hearing, "output": {"format": dict(pcm), "voice": "marin", "speed": 1.0}},
    }


_FIRST_DETECTION: dict[str, Json] = {
    "server_vad": {
        "type": "server_vad",
        "threshold": 0.5,
        "prefix_padding_ms": 300,
        "silence_duration_ms": 500,
        "idle_timeout_ms": None,
        "create_response": True,
        "interrupt_response": True,
    },
    "semantic_vad": {"type": "semantic_vad", "eagerness": "auto", "create_response": True, "interrupt_response": True},
}


def _merged(settings: Json, wanted: Json) -> Json:
    """The settings with only what the client named changed."""
    merged = copy.deepcopy(settings | {name: value for name, value in wanted.items() if name != "audio"})
    for side, values in copy.deepcopy(wanted.get("audio", {})).items():
        current = merged["audio"][side]
        if values.get("format") == {"type": "audio/pcm"}:
            values["format"]["rate"] = 24_000
        if values.get("turn_detection"):
            kind = values["turn_detection"]["type"]
            kept = current["turn_detection"] or {}
            base = kept if kept.get("type") == kind else _FIRST_DETECTION[kind]
            values["turn_detection"] = base | values["turn_detection"]
        current |= values
    return merged


def _sound_of(text: str, param: str, kind: str) -> bytes:
    """Decode base64 sound of the wire format `kind`, or refuse it."""
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise Refused("invalid_value", f"Invalid '{param}': expected base64-encoded audio: {error}.", param) from error
    if kind == "audio/pcm" and len(data) % 2:
        raise Refused("invalid_value", f"Invalid '{param}': {len(data)} bytes are not whole 16-bit samples.", param)
    return data


def _parsed(message: str | bytes) -> Json:
    """The JSON object in a text frame, or a refusal."""
    if isinstance(message, bytes):
        raise Refused("invalid_value", "Expected a text frame with a JSON object, but got a binary frame.")
    try:
        event = json.loads(message)
    except (ValueError, RecursionError) as error:
        raise Refused("invalid_json", f"Could not parse the event as JSON: {error}.") from error
    if not isinstance(event, dict):
        raise Refused("invalid_type", f"Invalid type for the event: expected an object, but got {_name_of(event)} instead.")
    return event


# The wire's grammar: what a client event may hold. A check raises Refused; its second argument is the path of what it checks.


def _name_of(value: Any) -> str:
    """What the original calls a value of this type."""
    names = {bool: "a boolean", int: "an integer", float: "a decimal", str: "a string", list: "an array", dict: "an object"}
    return names.get(type(value), "null")


def _typed(value: Any, path: str, wanted: str, *types: type) -> None:
    if type(value) not in types:
        raise Refused("invalid_type", f"Invalid type for '{path}': expected {wanted}, but got {_name_of(value)} instead.", path)


def _text(value: Any, path: str) -> None:
    _typed(value, path, "a string", str)


def _flag(value: Any, path: str) -> None:
    _typed(value, path, "a boolean", bool)


def _anything(value: Any, path: str) -> None:
    """What the stand-in only echoes, as long as it can be copied."""
    level, depth = [value], 0
    while level:
        depth += 1
        if depth > 50:
            raise Refused("invalid_value", f"Invalid '{path}': it is nested more than 50 deep.", path)
        level = [inner for one in level if isinstance(one, dict | list) for inner in (one.values() if isinstance(one, dict) else one)]


def _unsupported(value: Any, path: str) -> None:
    """Something of the original's that the stand-in does not have."""
    if value is not None:
        raise Refused("invalid_value", f"Invalid '{path}': this stand-in does not support it. Leave it out or send null.", path)


def _number(low: float, high: float, *, whole: bool = False) -> Check:
    """A number from `low` to `high`."""
    wanted, types, kind = ("an integer", (int,), "integer") if whole else ("a number", (int, float), "decimal")

    def check(value: Any, path: str) -> None:
        _typed(value, path, wanted, *types)
        if not low <= value <= high:
            side, sign, bound = ("below_min", ">=", low) if value < low else ("above_max", "<=", high)
            code = f"{kind}_{side}_value"
            words = "below minimum" if value < low else "above maximum"
            raise Refused(
                code, f"Invalid '{path}': {kind} {words} value. Expected a value {sign} {bound:g}, but got {value} instead.", path
            )

    return check


def _one_of(*allowed: Any) -> Check:
    """One of a few values."""

    def check(value: Any, path: str) -> None:
        if not any(value == one and type(value) is type(one) for one in allowed):
            listed = ", ".join(f"'{one}'" for one in allowed)
            raise Refused("invalid_value", f"Invalid value: '{value}'. Supported values are: {listed}.", path)

    return check


def _null_or(inner: Check) -> Check:
    """null, or what `inner` takes."""

    def check(value: Any, path: str) -> None:
        if value is not None:
            inner(value, path)

    return check


def _by_type(**checks: Check) -> Check:
    """One check for each JSON type that is allowed; the names are those of Python's types."""

    def check(value: Any, path: str) -> None:
        inner = checks.get(type(value).__name__)
        if inner is None:
            _typed(value, path, " or ".join(checks))
        else:
            inner(value, path)

    return check


def _array(inner: Check) -> Check:
    """An array of what `inner` takes."""

    def check(value: Any, path: str) -> None:
        _typed(value, path, "an array", list)
        for place, one in enumerate(value):
            inner(one, f"{path}[{place}]")

    return check


def _record(needs: Mapping[str, Check] | None = None, /, **may: Check) -> Check:
    """An object with the fields that it needs, those that it may have, and no others."""
    needed = dict(needs or {})
    fields = may | needed

    def check(value: Any, path: str) -> None:
        _typed(value, path, "an object", dict)
        prefix = f"{path}." if path else ""
        for name in needed:
            if name not in value:
                raise Refused("missing_required_parameter", f"Missing required parameter: '{prefix}{name}'.", prefix + name)
        for name, inner in value.items():
            if name not in fields:
                raise Refused("unknown_parameter", f"Unknown parameter: '{prefix}{name}'.", prefix + name)
            fields[name](inner, prefix + name)

    return check


def _variant(key: str, kinds: dict[str, Check]) -> Check:
    """An object whose `key` says which of the `kinds` it is."""
    known = _one_of(*kinds)

    def check(value: Any, path: str) -> None:
        _typed(value, path, "an object", dict)
        place = f"{path}.{key}" if path else key
        if key not in value:
            raise Refused("missing_required_parameter", f"Missing required parameter: '{place}'.", place)
        known(value[key], place)
        kinds[value[key]](value, path)

    return check


def _modalities(value: Any, path: str) -> None:
    """Text or sound, never both."""
    _array(_one_of("text", "audio"))(value, path)
    if len(value) != 1:
        allowed = "Supported combinations are: ['text'] and ['audio']."
        raise Refused("invalid_value", f"Invalid modalities: {value}. {allowed}", path)


def _metadata(value: Any, path: str) -> None:
    """At most 16 pairs of strings, of at most 64 and 512 characters (documentation of Metadata)."""
    _typed(value, path, "an object", dict)
    if len(value) > 16:
        raise Refused("object_above_max_properties", f"Invalid '{path}': too many properties: at most 16, but got {len(value)}.", path)
    for name, text in value.items():
        _text(text, f"{path}.{name}")
        if len(name) > 64 or len(text) > 512:
            limit = "a key has at most 64 characters and a value at most 512"
            raise Refused("string_above_max_length", f"Invalid '{path}.{name}': {limit}.", f"{path}.{name}")


_TYPE: dict[str, Check] = {"type": _text}
_FORMAT = _variant("type", {"audio/pcm": _record(_TYPE, rate=_one_of(24_000)), "audio/pcmu": _record(_TYPE), "audio/pcma": _record(_TYPE)})
_TURN_RIGHTS: dict[str, Check] = {"create_response": _flag, "interrupt_response": _flag}
_DETECTION = _variant(
    "type",
    {
        "server_vad": _record(
            _TYPE,
            threshold=_number(0, 1),
            prefix_padding_ms=_number(0, 5_000, whole=True),
            silence_duration_ms=_number(0, 10_000, whole=True),
            idle_timeout_ms=_unsupported,
            **_TURN_RIGHTS,
        ),
        "semantic_vad": _record(_TYPE, eagerness=_one_of(*EAGERNESS_MS), **_TURN_RIGHTS),
    },
)
_TRANSCRIPTION = _record(model=_text, language=_text, prompt=_text, delay=_text, languages=_array(_text), keywords=_array(_text))
_INPUT = _record(
    format=_FORMAT,
    transcription=_null_or(_TRANSCRIPTION),
    noise_reduction=_null_or(_record(type=_one_of("near_field", "far_field"), strength=_number(0, 1))),
    turn_detection=_null_or(_DETECTION),
)
_OUTPUT_FIELDS: dict[str, Check] = {"format": _FORMAT, "voice": _by_type(str=_one_of(*VOICES), dict=_record({"id": _text}))}
_TOOL = _variant("type", {"function": _record({**_TYPE, "name": _text}, description=_text, parameters=_by_type(dict=_anything))})
_ANSWERING: dict[str, Check] = {
    "instructions": _text,
    "output_modalities": _modalities,
    "max_output_tokens": _by_type(int=_number(1, 4_096, whole=True), str=_one_of("inf")),
    "tools": _array(_TOOL),
    "tool_choice": _by_type(str=_one_of("none", "auto", "required"), dict=_record({"type": _one_of("function"), "name": _text})),
    "parallel_tool_calls": _flag,
    "reasoning": _record(effort=_text),
    "prompt": _unsupported,
}
_SESSION = _record(
    {"type": _one_of("realtime")},
    model=_text,
    audio=_record(input=_INPUT, output=_record(speed=_number(0.25, 1.5), **_OUTPUT_FIELDS)),
    include=_null_or(_array(_one_of("item.input_audio_transcription.logprobs"))),
    tracing=_null_or(_by_type(str=_one_of("auto"), dict=_anything)),
    truncation=_by_type(str=_one_of("auto", "disabled"), dict=_anything),
    **_ANSWERING,
)
_TEXT_PART = _variant("type", {"input_text": _record({**_TYPE, "text": _text})})
_USER_PART = _variant(
    "type",
    {
        "input_text": _record({**_TYPE, "text": _text}),
        "input_audio": _record({**_TYPE, "audio": _text}, transcript=_null_or(_text)),
        "input_image": _record({**_TYPE, "image_url": _text}, detail=_one_of("auto", "low", "high")),
    },
)
_AGENT_PART = _record({"type": _one_of("output_text", "output_audio"), "text": _text}, transcript=_null_or(_text))
_ITEM_MAY: dict[str, Check] = {"id": _text, "object": _one_of("realtime.item"), "status": _one_of("completed", "incomplete", "in_progress")}


def _message(part: Check) -> Check:
    """A message whose content is made of `part`."""
    return _record({**_TYPE, "role": _text, "content": _array(part)}, **_ITEM_MAY)


_ITEM = _variant(
    "type",
    {
        "message": _variant("role", {"system": _message(_TEXT_PART), "user": _message(_USER_PART), "assistant": _message(_AGENT_PART)}),
        "function_call": _record({**_TYPE, "name": _text, "arguments": _text}, call_id=_text, **_ITEM_MAY),
        "function_call_output": _record({**_TYPE, "call_id": _text, "output": _text}, **_ITEM_MAY),
    },
)
_RESPONSE = _record(
    conversation=_one_of("auto", "none"),
    input=_array(_ITEM),
    metadata=_null_or(_metadata),
    audio=_record(output=_record(**_OUTPUT_FIELDS)),
    **_ANSWERING,
)


def _client_event(**needs: Check) -> Check:
    """A client event with the fields that it needs."""
    return _record(_TYPE | needs, event_id=_text)


EVENT = _variant(
    "type",
    {
        "session.update": _client_event(session=_SESSION),
        "input_audio_buffer.append": _client_event(audio=_text),
        "input_audio_buffer.commit": _client_event(),
        "input_audio_buffer.clear": _client_event(),
        "conversation.item.create": _record(_TYPE | {"item": _ITEM}, event_id=_text, previous_item_id=_null_or(_text)),
        "conversation.item.retrieve": _client_event(item_id=_text),
        "conversation.item.truncate": _client_event(item_id=_text, content_index=_one_of(0), audio_end_ms=_number(0, 1e9, whole=True)),
        "conversation.item.delete": _client_event(item_id=_text),
        "response.create": _record(_TYPE, event_id=_text, response=_null_or(_RESPONSE)),
        "response.cancel": _record(_TYPE, event_id=_text, response_id=_null_or(_text)),
    },
)
"""The client events that the stand-in carries out; output_audio_buffer.clear is for WebRTC and SIP alone."""
