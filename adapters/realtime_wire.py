"""The OpenAI Realtime wire, GA and beta names, as our events and effects: pure, no socket, no clock, no task.

One `Wire` serves one connection. What it remembers is bounded, and no text from the server makes it raise (R07, R84).
"""

import binascii
import itertools
import json
import re
from collections import Counter
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit, urlunsplit

import attrs

from adapters.realtime_settings import RealtimeSettings, says_goodbye
from fsm.call.effects import (
    AddEntry,
    CancelResponse,
    Cause,
    ConfigureSession,
    CreateResponse,
    DeleteItem,
    Effect,
    ReleaseGreeting,
    RewriteItem,
    SendToolResult,
    TruncateItem,
)
from fsm.call.events import (
    CancelRefused,
    CreateRefused,
    ErrorReceived,
    Event,
    GoodbyeSaid,
    ReceiverFailed,
    ResponseCancelled,
    ResponseCompleted,
    ResponseCreated,
    ResponseEnded,
    ResponseFailed,
    ResponseIncomplete,
    ResponseTranscribed,
    SessionConfirmed,
    SessionLost,
    SessionOpened,
    SessionRefused,
    SpeechStarted,
    SpeechStopped,
    TextArrived,
    ToolCalled,
    Transcribed,
    TurnCommitted,
)
from fsm.call.policy import Policy

REMEMBERED = 64
"""How many commands, items and foreign responses are remembered; a call has a handful of each open at a time."""

FATAL = frozenset(
    {
        "account_deactivated",
        "authentication_error",
        "billing_hard_limit_reached",
        "billing_not_active",
        "insufficient_quota",
        "invalid_api_key",
        "model_not_found",
        "unsupported_country_region_territory",
    }
)
"""Error codes or types after which no answer will ever come: the call ends (R18)."""


@attrs.frozen
class Happened:
    """An event to post: `post(happened.event, *happened.args)`."""

    event: Callable[..., Event]
    args: tuple[str, ...] = ()


@attrs.frozen
class Audio:
    """Sound of a response: 24 kHz mono signed 16-bit little-endian PCM, whole samples."""

    response_id: str
    item_id: str
    pcm: bytes


@attrs.frozen
class TextDelta:
    """A piece of a response's text, cut anywhere."""

    response_id: str
    item_id: str
    delta: str


Incoming = Happened | Audio | TextDelta


class _Gate(StrEnum):
    """How far the session is set up (R39)."""

    UNASKED = "unasked"
    ASKED = "asked"
    CONFIRMED = "confirmed"


class _Malformed(Exception):
    """A message lacks what its type promises; the text says what."""


class Wire:
    """Both directions of one connection; `receive` and `send` may be called from within one another's results."""

    def __init__(self, settings: RealtimeSettings, policy: Policy) -> None:
        self.quarantined: Counter[str] = Counter()
        """How many messages were set aside, by code: `malformed_event`, `unknown_event`, `error` (R84)."""
        self._settings = settings
        self._policy = policy
        self._gate = _Gate.UNASKED
        self._turn_detection = self._rights(held=policy.guards_greeting)
        self._numbers = itertools.count(1)
        self._commands: dict[str, Effect] = {}
        self._items: dict[str, str] = {}
        self._foreign: dict[str, str] = {}
        self._worded: dict[str, bool] = {}
        self._half_sample = ("", b"")

    @property
    def confirmed(self) -> bool:
        """Has the server confirmed the session that we asked for?"""
        return self._gate is _Gate.CONFIRMED

    def send(self, effect: Effect) -> list[dict[str, Any]]:
        """The messages that carry an effect out, each with an event_id of ours (R03); none when there is nothing to say."""
        messages = []
        for body in self._bodies(effect):
            event_id = f"cf_{next(self._numbers)}"
            _remember(self._commands, event_id, effect)
            messages.append({"type": body.pop("type"), "event_id": event_id, **body})
        return messages

    def receive(self, text: str) -> list[Incoming]:
        """What a message from the server says; one that cannot be understood becomes an ErrorReceived (R84)."""
        try:
            message = json.loads(text)
        except (ValueError, RecursionError):
            return self._set_aside("malformed_event", "not JSON")
        try:
            kind = _name(message, "type")
            translate = _TRANSLATIONS.get(_GA_NAMES.get(kind, kind))
            if translate is not None:
                return translate(self, message)
        except _Malformed as error:
            return self._set_aside("malformed_event", str(error))
        return [] if _GA_NAMES.get(kind, kind) in _WITHOUT_MEANING else self._set_aside("unknown_event", kind[:80])

    def _set_aside(self, code: str, message: str) -> list[Incoming]:
        self.quarantined[code] += 1
        return [Happened(ErrorReceived, (code, message))]

    # Our commands.

    def _bodies(self, effect: Effect) -> list[dict[str, Any]]:
        """The messages of an effect, without their event_ids."""
        match effect:
            case ConfigureSession():
                self._gate = _Gate.ASKED
                return [{"type": "session.update", "session": self._session()}]
            case ReleaseGreeting():
                return self._release()
            case CreateResponse(cause=cause, instructions=instructions):
                return [{"type": "response.create", **self._wishes(cause, instructions)}]
            case CancelResponse(response_id=response_id):
                return [{"type": "response.cancel", "response_id": response_id}]
            case TruncateItem(item_id=item_id, audio_end_ms=audio_end_ms):
                return [{"type": "conversation.item.truncate", "item_id": item_id, "content_index": 0, "audio_end_ms": audio_end_ms}]
            case DeleteItem(item_id=item_id):
                return [{"type": "conversation.item.delete", "item_id": item_id}]
            case RewriteItem(item_id=item_id, text=text):
                said = {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": text}]}
                return [{"type": "conversation.item.delete", "item_id": item_id}, {"type": "conversation.item.create", "item": said}]
            case AddEntry(digits=digits):
                entered = {"type": "input_text", "text": self._settings.entry.replace("{digits}", digits)}
                return [{"type": "conversation.item.create", "item": {"type": "message", "role": "user", "content": [entered]}}]
            case SendToolResult(tool_call_id=tool_call_id, output=output):
                result = {"type": "function_call_output", "call_id": tool_call_id, "output": output}
                return [{"type": "conversation.item.create", "item": result}]
        return []

    def _wishes(self, cause: Cause, instructions: str) -> dict[str, Any]:
        """The `response` part of a create: what to say for this cause, after who the model is, since it replaces that."""
        own = {
            Cause.GREETING: self._settings.greeting,
            Cause.IDLE_PROMPT: self._settings.idle_prompt,
            Cause.FAREWELL: self._settings.farewell,
            Cause.LIMIT_WARNING: self._settings.limit_warning,
        }
        wanted = instructions or own.get(cause, "")
        if not wanted:
            return {}
        return {"response": {"instructions": "\n\n".join(filter(None, (self._settings.instructions, wanted)))}}

    def _session(self) -> dict[str, Any]:
        """The one session.update that sets the session up (R39)."""
        transcription = {"model": self._settings.transcription} if self._settings.transcription else None
        sound = {"type": "audio/pcm", "rate": 24_000}
        audio: dict[str, Any] = {"input": {"format": sound, "transcription": transcription, "turn_detection": self._turn_detection}}
        if self._policy.voice == "realtime":
            audio["output"] = {"format": sound, "voice": self._settings.voice}
        return {"type": "realtime", "output_modalities": self._modalities(), "instructions": self._settings.instructions, "audio": audio}

    def _modalities(self) -> list[str]:
        return ["audio"] if self._policy.voice == "realtime" else ["text"]

    def _rights(self, held: bool) -> dict[str, Any]:
        """The server's VAD, and what it may do by itself; nothing while the greeting is protected (R36)."""
        return {
            "type": "server_vad",
            "threshold": self._settings.vad_threshold,
            "prefix_padding_ms": self._settings.vad_prefix_ms,
            "silence_duration_ms": self._settings.vad_silence_ms,
            "create_response": self._policy.create_response and not held,
            "interrupt_response": self._policy.interrupts == "server" and not held,
        }

    def _release(self) -> list[dict[str, Any]]:
        """An update of the VAD's rights alone; none when nothing was held, as an update may reset the server's VAD."""
        rights = self._rights(held=False)
        if rights == self._turn_detection:
            return []
        self._turn_detection = rights
        return [{"type": "session.update", "session": {"type": "realtime", "audio": {"input": {"turn_detection": rights}}}}]

    # The server's events.

    def _session_created(self, _: Any) -> list[Incoming]:
        return [Happened(SessionOpened)]

    def _session_updated(self, message: Any) -> list[Incoming]:
        """Compare with what was asked; the answer to ReleaseGreeting confirms nothing a second time (R39)."""
        if self._gate is _Gate.UNASKED:
            return []
        difference = self._difference(message.get("session"))
        if self._gate is _Gate.CONFIRMED:
            return self._set_aside("error", difference) if difference else []
        self._gate = _Gate.UNASKED if difference else _Gate.CONFIRMED
        return [Happened(SessionRefused, (difference,)) if difference else Happened(SessionConfirmed)]

    def _difference(self, session: Any) -> str:
        """The first thing in which the session is not what was asked, in words; empty when there is none."""
        vad = self._turn_detection
        wanted: list[tuple[str, object]] = [("output_modalities", self._modalities())]
        for way in ("input", "output") if self._policy.voice == "realtime" else ("input",):
            wanted += [(f"audio.{way}.format.type", "audio/pcm"), (f"audio.{way}.format.rate", 24_000)]
        wanted += [(f"audio.input.turn_detection.{name}", vad[name]) for name in ("type", "create_response", "interrupt_response")]
        for path, asked in wanted:
            got = _dig(session, *path.split("."))
            # audio/pcm has one rate only, and a server may leave it out.
            if got != asked and not (got is None and path.endswith(".rate")):
                shown = repr(got)[:60] if isinstance(got, str | int | float | None) else "something else"
                return f"the server set {path} to {shown}, and we asked for {asked!r}"
        return ""

    def _created(self, message: Any) -> list[Incoming]:
        response_id = _name(message, "response", "id")
        if self._is_foreign(message, response_id):
            _remember(self._foreign, response_id, "")
            return []
        return [Happened(ResponseCreated, (response_id,))]

    def _is_foreign(self, message: Any, response_id: str) -> bool:
        """Is the response out of band, in no conversation? Such a one is somebody else's, and not for the caller."""
        response = _dig(message, "response")
        out_of_band = isinstance(response, Mapping) and response.get("conversation_id", "ours") in (None, "none")
        return out_of_band or response_id in self._foreign

    def _done(self, message: Any) -> list[Incoming]:
        response_id = _name(message, "response", "id")
        if self._is_foreign(message, response_id):
            return []
        status = _text(message, "response", "status", default="")
        reasons = (("reason",), ("error", "code"), ("error", "type"))
        reason = next(filter(None, (_text(message, "response", "status_details", *path, default="") for path in reasons)), "")
        if status not in _ENDS:
            # It is over all the same: to ignore it would leave the caller in silence until a deadline.
            return [Happened(ResponseFailed, (response_id, reason or "unknown_status"))]
        return [Happened(_ENDS[status], (response_id, reason))]

    def _item_added(self, message: Any) -> list[Incoming]:
        if _text(message, "item", "type", default="message") == "message":
            _remember(self._items, _name(message, "response_id"), _name(message, "item", "id"))
        return []

    def _of_response(self, message: Any) -> tuple[str, str] | None:
        """The response and item of a delta, None for a foreign one; an item left out is the last one added."""
        response_id = _name(message, "response_id")
        if response_id in self._foreign:
            return None
        return response_id, _text(message, "item_id", default=self._items.get(response_id, ""))

    def _audio(self, message: Any) -> list[Incoming]:
        ids = self._of_response(message)
        try:
            sound = binascii.a2b_base64(_text(message, "delta"), strict_mode=True)
        except ValueError:
            raise _Malformed("delta is not base64") from None
        if ids is None:
            return []
        owner, rest = self._half_sample
        sound = rest + sound if owner == ids[0] else sound
        whole = len(sound) // 2 * 2
        self._half_sample = (ids[0], sound[whole:])
        return [Audio(*ids, sound[:whole])] if whole else []

    def _text_delta(self, message: Any) -> list[Incoming]:
        ids, delta = self._of_response(message), _text(message, "delta")
        return [TextDelta(*ids, delta)] if ids and delta else []

    def _text_done(self, message: Any) -> list[Incoming]:
        ids = self._of_response(message)
        text = _text(message, "transcript", default="") or _text(message, "text", default="")
        if not ids:
            return []
        said: list[Incoming] = [Happened(ResponseTranscribed, (ids[0], text))]
        return [*said, Happened(GoodbyeSaid, ids[:1])] if says_goodbye(text, self._settings.goodbye_phrases) else said

    def _spoken_text(self, message: Any) -> list[Incoming]:
        """The first words of a response that the model speaks itself (R16)."""
        ids = self._of_response(message)
        if not ids or ids[0] in self._worded:
            return []
        _remember(self._worded, ids[0], True)
        return [Happened(TextArrived, ids[:1])]

    def _tool_called(self, message: Any) -> list[Incoming]:
        return [
            Happened(ToolCalled, (_name(message, "call_id"), _text(message, "name", default=""), _text(message, "arguments", default="")))
        ]

    def _transcribed(self, message: Any) -> list[Incoming]:
        return [Happened(Transcribed, (_name(message, "item_id"), _text(message, "transcript")))]

    def _speech_started(self, message: Any) -> list[Incoming]:
        return [Happened(SpeechStarted, (_text(message, "item_id", default=""),))]

    def _speech_stopped(self, message: Any) -> list[Incoming]:
        return [Happened(SpeechStopped, (_text(message, "item_id", default=""),))]

    def _committed(self, message: Any) -> list[Incoming]:
        return [Happened(TurnCommitted, (_text(message, "item_id", default=""),))]

    def _error(self, message: Any) -> list[Incoming]:
        """An error, told as the refusal of the command that it names; one after which no answer comes ends the call (R03, R18)."""
        if not isinstance(message.get("error"), Mapping):
            raise _Malformed("error is missing or is no object")
        kind = _text(message, "error", "type", default="")
        code = _text(message, "error", "code", default="") or kind or "unknown_error"
        words = re.sub(r"\bsk-\S+", "sk-…", _text(message, "error", "message", default=""))[:300]
        command = self._commands.pop(_text(message, "error", "event_id", default=""), None)
        reason = f"{code}: {words}" if words else code
        self.quarantined["error"] += 1
        if code == "session_expired":
            return [Happened(SessionLost, (reason,))]
        if not FATAL.isdisjoint((code, kind)):
            return [Happened(ReceiverFailed, (reason,))]
        match command:
            case ConfigureSession():
                return [Happened(SessionRefused, (reason,))]
            case CreateResponse():
                return [Happened(CreateRefused, (code,))]
            case CancelResponse(response_id=response_id):
                return [Happened(CancelRefused, (response_id, code))]
        return [Happened(ErrorReceived, (code, words))]

    def _transcription_failed(self, message: Any) -> list[Incoming]:
        code = _text(message, "error", "code", default="transcription_failed") or "transcription_failed"
        self.quarantined["error"] += 1
        return [Happened(ErrorReceived, (code, _text(message, "error", "message", default="")[:300]))]


def address(url: str, model: str) -> str:
    """The URL with `?model=` put in, unless it already names a model."""
    parts = urlsplit(url)
    if "model" in parse_qs(parts.query):
        return url
    query = "&".join(filter(None, (parts.query, urlencode({"model": model}))))
    return urlunsplit(parts._replace(query=query))


def append(pcm: bytes) -> str:
    """The message that carries the caller's sound; made by hand, as there are fifty a second."""
    return '{"type":"input_audio_buffer.append","audio":"' + binascii.b2a_base64(pcm, newline=False).decode("ascii") + '"}'


def _dig(message: Any, *path: str) -> Any:
    """What lies at a path of object fields, None where there is nothing."""
    for name in path:
        message = message.get(name) if isinstance(message, Mapping) else None
    return message


def _text(message: Any, *path: str, default: str | None = None) -> str:
    """The text at a path; `default` stands in for null or nothing. Raises _Malformed."""
    value = _dig(message, *path)
    value = default if value is None else value
    if not isinstance(value, str):
        raise _Malformed(f"{'.'.join(path)} is missing or is no text")
    return value


def _name(message: Any, *path: str) -> str:
    """The text at a path, which must not be empty. Raises _Malformed."""
    value = _text(message, *path)
    if not value:
        raise _Malformed(f"{'.'.join(path)} is empty")
    return value


def _remember(store: dict[str, Any], key: str, value: Any) -> None:
    """Keep a value under a key, and forget the oldest beyond REMEMBERED (R07)."""
    store[key] = value
    if len(store) > REMEMBERED:
        del store[next(iter(store))]


_ENDS: dict[str, type[ResponseEnded]] = {
    "completed": ResponseCompleted,
    "cancelled": ResponseCancelled,
    "failed": ResponseFailed,
    "incomplete": ResponseIncomplete,
}

_GA_NAMES = {
    "response.audio.delta": "response.output_audio.delta",
    "response.audio.done": "response.output_audio.done",
    "response.audio_transcript.delta": "response.output_audio_transcript.delta",
    "response.audio_transcript.done": "response.output_audio_transcript.done",
    "response.text.delta": "response.output_text.delta",
    "response.text.done": "response.output_text.done",
}

_TRANSLATIONS: dict[str, Callable[[Wire, Any], list[Incoming]]] = {
    "conversation.item.input_audio_transcription.completed": Wire._transcribed,
    "conversation.item.input_audio_transcription.failed": Wire._transcription_failed,
    "error": Wire._error,
    "input_audio_buffer.committed": Wire._committed,
    "input_audio_buffer.speech_started": Wire._speech_started,
    "input_audio_buffer.speech_stopped": Wire._speech_stopped,
    "response.created": Wire._created,
    "response.done": Wire._done,
    "response.output_audio.delta": Wire._audio,
    "response.function_call_arguments.done": Wire._tool_called,
    "response.output_audio_transcript.delta": Wire._spoken_text,
    "response.output_audio_transcript.done": Wire._text_done,
    "response.output_item.added": Wire._item_added,
    "response.output_text.delta": Wire._text_delta,
    "response.output_text.done": Wire._text_done,
    "session.created": Wire._session_created,
    "session.updated": Wire._session_updated,
}

_WITHOUT_MEANING = frozenset(
    f"{family}.{name}"
    for family, names in {
        "conversation": "created",
        "conversation.item": "added created deleted done retrieved truncated",
        "conversation.item.input_audio_transcription": "delta segment",
        "input_audio_buffer": "cleared dtmf_event_received timeout_triggered",
        "mcp_list_tools": "completed failed in_progress",
        "output_audio_buffer": "cleared started stopped",
        "rate_limits": "updated",
        "response.content_part": "added done",
        "response.function_call_arguments": "delta",
        "response.mcp_call": "completed failed in_progress",
        "response.mcp_call_arguments": "delta done",
        "response.output_audio": "done",
        "response.output_item": "done",
    }.items()
    for name in names.split()
)
"""Events that the server really sends and that change nothing here."""
