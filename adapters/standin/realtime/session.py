"""One session of the stand-in realtime LLM: a client's messages and sound in, the server's events out; no socket, clock or task in here.

It speaks the GA wire of OpenAI's Realtime API and is as strict: what the original refuses is refused with the same code, and
`error.event_id` names the client event that caused it. Codes and messages that could not be read anywhere are modelled on
their nearest relatives. It differs on purpose in these: `session.audio.input.turn_detection.idle_timeout_ms`, stored
prompts, MCP tools and transcription sessions are refused; semantic_vad is server_vad with a silence that follows from its
eagerness; the words of `instructions` and tools reach the dialogue, and what becomes of them is its affair.
"""

from collections.abc import Callable
from functools import partial

from adapters.standin.checks import Refused
from adapters.standin.ears import SpeechBegan, SpeechEnded
from adapters.standin.faults import Schedule, Script
from adapters.standin.realtime.conversation import Conversation
from adapters.standin.realtime.events import Events, Later, Out, Transcribe
from adapters.standin.realtime.faults import REALTIME
from adapters.standin.realtime.grammar import EVENT, Json, parsed, sound_of
from adapters.standin.realtime.input_buffer import InputBuffer
from adapters.standin.realtime.lacks import Lacks
from adapters.standin.realtime.responses import Faults, Responses
from adapters.standin.realtime.settings import DEFAULT_MODEL, SessionSettings

APPEND_BYTES = 15 * 2**20
"""The most sound that one append may carry (documentation of input_audio_buffer.append)."""
COMMIT_MS = 100
"""The least sound that can be committed (the original's own message)."""
PREFIX_MS = 300
"""The padding of a turn whose detection names none: the original's default."""


class Session:
    """The state of one connection; each method returns, in order, what must be sent or begun because of it."""

    def __init__(
        self, events: Events, *, model: str = DEFAULT_MODEL, expires_at: int = 0, faults: Faults | None = None, lacks: Lacks | None = None
    ) -> None:
        """`events` is the session's own; `expires_at` is in Unix seconds and only told. Without `faults` and `lacks` it has none."""
        self._events = events
        self._faults = faults or Schedule(Script(REALTIME), _still)
        self._lacks = lacks or Lacks()
        self._settings = SessionSettings(session_id=f"sess_{events.name}", model=model, expires_at=expires_at)
        self._conversation = Conversation(events.name, self._events, self._settings)
        self._buffer = InputBuffer(self._settings.kind)
        if "early_hearing" in self._lacks:
            self._settings.transcribe_unasked()
        self._settings.ignores_text = "session_text" in self._lacks
        self.responses = Responses(self._events, self._settings, self._conversation, self._faults)
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
            "response.cancel": self.responses.cancel,
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
            self._lacks.refuse(event)
            event = self._lacks.understood(event)
            EVENT(event, "")
            self._lacks.ignore(event)
            return self._handlers[event["type"]](event)
        except Refused as refusal:
            return [self._events.error(refusal, event_id)]

    def expiry(self, limit_s: float) -> Json:
        """The session has lasted as long as it may: the event that tells so, after which the host closes the connection."""
        return self._events.error(Refused("session_expired", expiry_words(limit_s)), None)

    # What the host heard.

    def heard(self, item_id: str, words: str) -> None:
        """The caller said `words` as `item_id`: for the dialogue alone."""
        self._conversation.note_heard(item_id, words)

    def transcribed(self, item_id: str, words: str, seconds: float) -> list[Out]:
        """Tell the client what the caller said; `seconds` is the length of the turn."""
        lost, late = self._faults.occasion("no_transcript"), self._faults.occasion("late_transcript")
        if lost:
            return [self._transcription_failed(item_id)] if lost["told"] else []
        if late:
            return [Later(late["ms"], partial(self._told_words, item_id, words, seconds))]
        return self._told_words(item_id, words, seconds)

    def _told_words(self, item_id: str, words: str, seconds: float) -> list[Out]:
        told = self._conversation.transcribed(item_id, words, seconds)
        if "whole_transcripts" not in self._lacks:
            return told
        part = " ".join(words.split()[: len(words.split()) // 2])
        kind = "conversation.item.input_audio_transcription"
        growing: list[Out] = [self._events.event(f"{kind}.updated", item_id=item_id, transcript=part)]
        growing += [self._events.event(f"{kind}.completed", item_id=item_id, content_index=0, transcript=part, status="in_progress")]
        return [*growing, *told, *self._conversation.transcribed(item_id, words, seconds)]

    def _transcription_failed(self, item_id: str) -> Json:
        error = {"type": "transcription_error", "code": "audio_unintelligible", "message": "The audio could not be transcribed."}
        kind = "conversation.item.input_audio_transcription.failed"
        return self._events.event(kind, item_id=item_id, content_index=0, error=error | {"param": None})

    # Session and input sound.

    def _on_session_update(self, event: Json) -> list[Out]:
        never, refused = self._faults.occasion("session_never_updated"), self._faults.occasion("refuse_session")
        if never:
            return []
        if refused:
            raise Refused(refused["code"], refused["message"], "session")
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
        fault = self._faults.occasion("duplicate_speech_started")
        times = 1 + (int(fault["times"]) if fault else 0)
        began = {"audio_start_ms": int(start_ms), "item_id": self._turn_item}
        out: list[Out] = [self._events.event("input_audio_buffer.speech_started", **began) for _ in range(times)]
        ended = self.responses.interrupt() if self._settings.vad["interrupt_response"] else []
        return ended + out if "cancel_order" in self._lacks else out + ended

    def _speech_ended(self, change: SpeechEnded) -> list[Out]:
        """The caller ends: the turn is committed, and answered if that is the server's to do."""
        out: list[Out] = [
            self._events.event("input_audio_buffer.speech_stopped", audio_end_ms=change.at_ms, item_id=self._turn_item),
        ]
        out += self._committed(self._turn_item, self._buffer.take_before(change.at_ms))
        if not self._settings.vad["create_response"] and "own_answers" not in self._lacks:
            return out
        try:
            return out + self.responses.create({})
        except Refused as refusal:
            return [*out, self._events.error(refusal, None)]

    def _committed(self, item_id: str, sound: bytes) -> list[Out]:
        """The sound of a turn is an item of the conversation."""
        previous = self._conversation.last_id
        committed = self._events.event("input_audio_buffer.committed", previous_item_id=previous, item_id=item_id)
        item = self._conversation.add_turn(item_id, sound)
        told = self._settings.transcribes or "early_hearing" in self._lacks
        return [committed, *item, Transcribe(item_id, self._settings.kind, sound, told)]

    def _on_response_create(self, event: Json) -> list[Out]:
        return self.responses.create(event.get("response") or {}, event.get("event_id"))


def expiry_words(limit_s: float) -> str:
    """What the original says at the end of a session's time."""
    limit = f"{limit_s / 60:g} minutes" if limit_s >= 60 else f"{limit_s:g} seconds"
    return f"Your session hit the maximum duration of {limit}."


def _still() -> float:
    """The clock of a session without faults."""
    return 0.0
