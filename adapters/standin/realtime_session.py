"""One session of the stand-in realtime LLM: a client's messages and sound in, the server's events out; no socket, clock or task in here.

It speaks the GA wire of OpenAI's Realtime API and is as strict: what the original refuses is refused with the same code, and
`error.event_id` names the client event that caused it. Codes and messages that could not be read anywhere are modelled on
their nearest relatives. It differs on purpose in these: `session.audio.input.turn_detection.idle_timeout_ms`, stored
prompts, MCP tools and transcription sessions are refused; semantic_vad is server_vad with a silence that follows from its
eagerness; the words of `instructions` and tools reach the dialogue, and what becomes of them is its affair.
"""

from collections.abc import Callable

from adapters.standin.checks import Refused
from adapters.standin.conversation import Conversation
from adapters.standin.dialogue import Turn
from adapters.standin.ears import SpeechBegan, SpeechEnded
from adapters.standin.input_buffer import InputBuffer
from adapters.standin.realtime_events import Begin, Events, Out, Transcribe
from adapters.standin.realtime_grammar import EVENT, Json, parsed, sound_of
from adapters.standin.realtime_response import Plan, Response
from adapters.standin.session_settings import DEFAULT_MODEL, SessionSettings

APPEND_BYTES = 15 * 2**20
"""The most sound that one append may carry (documentation of input_audio_buffer.append)."""
COMMIT_MS = 100
"""The least sound that can be committed (the original's own message)."""
PREFIX_MS = 300
"""The padding of a turn whose detection names none: the original's default."""


class Session:
    """The state of one connection; each method returns, in order, what must be sent or begun because of it."""

    def __init__(self, *, name: str, model: str = DEFAULT_MODEL, expires_at: int = 0) -> None:
        """`name` makes the ids unique between sessions; `expires_at` is in Unix seconds and only told."""
        self._events = Events(name)
        self._settings = SessionSettings(session_id=f"sess_{name}", model=model, expires_at=expires_at)
        self._conversation = Conversation(name, self._events, self._settings)
        self._buffer = InputBuffer(self._settings.kind)
        self._active: dict[str, Response] = {}
        self._turn_item = ""
        self._handlers: dict[str, Callable[[Json], list[Out]]] = {
            "session.update": self._on_session_update,
            "input_audio_buffer.append": self._on_append,
            "input_audio_buffer.commit": self._on_commit,
            "input_audio_buffer.clear": self._on_clear,
            "conversation.item.create": self._conversation.create,
            "conversation.item.retrieve": self._conversation.retrieve,
            "conversation.item.truncate": self._conversation.truncate,
            "conversation.item.delete": self._conversation.delete,
            "response.create": self._on_response_create,
            "response.cancel": self._on_response_cancel,
        }

    def open(self) -> list[Out]:
        """What a new connection is told."""
        return [self._events.event("session.created", session=self._settings.told())]

    def receive(self, message: str | bytes) -> list[Out]:
        """Answer one message of the client; never raises on what a client may send."""
        event_id = None
        try:
            event = parsed(message)
            event_id = event.get("event_id") if isinstance(event.get("event_id"), str) else None
            EVENT(event, "")
            return self._handlers[event["type"]](event)
        except Refused as refusal:
            return [self._events.error(refusal, event_id)]

    def expire(self) -> list[Out]:
        """The session has lasted as long as it may; the host closes the connection after this."""
        return [self._events.error(Refused("session_expired", "Your session hit the maximum duration of 60 minutes."), None)]

    # What the host does for a response. Everything about one that is no longer in progress is dropped, so no delta follows a cancel.

    def plan(self, response_id: str) -> Plan | None:
        """How to give the response; None once it is over."""
        response = self._active.get(response_id)
        return response.plan if response else None

    def turn(self, response_id: str) -> Turn | None:
        """What the dialogue has to answer, with the caller's words once `heard` was told them; None once the response is over."""
        response = self._active.get(response_id)
        return response.turn() if response else None

    def say(self, response_id: str, words: str) -> list[Out]:
        """The next word of the response; one too many ends it instead."""
        response = self._active.get(response_id)
        if not response:
            return []
        if response.is_full:
            return self._end(response, "incomplete", {"type": "incomplete", "reason": "max_output_tokens"})
        return response.say(words)

    def sound(self, response_id: str, data: bytes) -> list[Out]:
        """The next sound of the response, already in its wire format."""
        response = self._active.get(response_id)
        return response.sound(data) if response else []

    def call(self, response_id: str, name: str, arguments: str) -> list[Out]:
        """The response is a function call; `arguments` is JSON. The client answers with a function_call_output item."""
        response = self._active.get(response_id)
        return response.call(name, arguments) if response else []

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
        self._conversation.note_heard(item_id, words)

    def transcribed(self, item_id: str, words: str, seconds: float) -> list[Out]:
        """Tell the client what the caller said; `seconds` is the length of the turn."""
        return self._conversation.transcribed(item_id, words, seconds)

    # Session and input sound.

    def _on_session_update(self, event: Json) -> list[Out]:
        self._settings.update(event["session"])
        self._buffer.take_format(self._settings.kind)
        if not self._settings.vad:
            self._buffer.drop_turn()
        return [self._events.event("session.updated", session=self._settings.told())]

    def _on_append(self, event: Json) -> list[Out]:
        data = sound_of(event["audio"], "audio", self._settings.kind)
        if len(data) > APPEND_BYTES:
            raise Refused("invalid_value", f"Invalid 'audio': {len(data)} bytes are more than the {APPEND_BYTES} of one append.", "audio")
        out: list[Out] = []
        for change in self._buffer.append(data, self._settings.detection):
            out += self._speech_began(change.at_ms) if isinstance(change, SpeechBegan) else self._speech_ended(change)
        self._buffer.forget_old_sound(detecting=bool(self._settings.vad), prefix_ms=self._prefix_ms)
        return out

    def _on_commit(self, _: Json) -> list[Out]:
        held_ms = self._buffer.held_ms
        if held_ms < COMMIT_MS:
            lack = f"Expected at least {COMMIT_MS}ms of audio, but buffer only has {held_ms:.2f}ms of audio."
            raise Refused("input_audio_buffer_commit_empty", f"Error committing input audio buffer: buffer too small. {lack}")
        item_id = self._turn_item if self._buffer.turn_open else self._events.new_id("item")
        return self._committed(item_id, self._buffer.take_all())

    def _on_clear(self, _: Json) -> list[Out]:
        self._buffer.clear()
        return [self._events.event("input_audio_buffer.cleared")]

    @property
    def _prefix_ms(self) -> int:
        return int(self._settings.vad.get("prefix_padding_ms", PREFIX_MS))

    def _speech_began(self, at_ms: int) -> list[Out]:
        """The caller begins: keep the sound from a little earlier on, and interrupt if that is the server's to do."""
        self._turn_item = self._events.new_id("item")
        start_ms = max(at_ms - self._prefix_ms, self._buffer.start_ms, 0)
        self._buffer.take_before(start_ms)
        out: list[Out] = [
            self._events.event("input_audio_buffer.speech_started", audio_start_ms=int(start_ms), item_id=self._turn_item),
        ]
        main = self._main
        if main and self._settings.vad["interrupt_response"]:
            out += self._end(main, "cancelled", {"type": "cancelled", "reason": "turn_detected"})
        return out

    def _speech_ended(self, change: SpeechEnded) -> list[Out]:
        """The caller ends: the turn is committed, and answered if that is the server's to do."""
        out: list[Out] = [
            self._events.event("input_audio_buffer.speech_stopped", audio_end_ms=change.at_ms, item_id=self._turn_item),
        ]
        out += self._committed(self._turn_item, self._buffer.take_before(change.at_ms))
        if not self._settings.vad["create_response"]:
            return out
        try:
            return out + self._create({})
        except Refused as refusal:
            return [*out, self._events.error(refusal, None)]

    def _committed(self, item_id: str, sound: bytes) -> list[Out]:
        """The sound of a turn is an item of the conversation."""
        previous = self._conversation.last_id
        committed = self._events.event("input_audio_buffer.committed", previous_item_id=previous, item_id=item_id)
        item = self._conversation.add_turn(item_id, sound)
        return [committed, *item, Transcribe(item_id, self._settings.kind, sound, self._settings.transcribes)]

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
        if wishes.get("conversation") != "none" and self._main:
            busy = f"Conversation already has an active response in progress: {self._main.id}."
            advice = "Wait until the response is finished before creating a new one."
            raise Refused("conversation_already_has_active_response", f"{busy} {advice}")
        response = Response(wishes, events=self._events, settings=self._settings, conversation=self._conversation)
        self._active[response.id] = response
        return [response.created(), Begin(response.id)]

    def _end(self, response: Response, status: str, details: Json | None) -> list[Out]:
        del self._active[response.id]
        return response.end(status, details)

    @property
    def _main(self) -> Response | None:
        """The response in progress in the conversation; at most one."""
        return next((response for response in self._active.values() if not response.aside), None)
