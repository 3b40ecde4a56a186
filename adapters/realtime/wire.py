"""The OpenAI Realtime wire, GA and beta names, as our events and effects: pure, no socket, no clock, no task.

One `Wire` serves one connection. What it remembers is bounded, and no text from the server makes it raise (R07, R84).
"""

import binascii
import itertools
import json
from collections import Counter
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any

import attrs

from adapters.realtime.commands import Commands
from adapters.realtime.messages import GA_NAMES, WITHOUT_MEANING, Malformed, name_at, text_at, value_at
from adapters.realtime.settings import RealtimeSettings, is_one_of, says_goodbye
from adapters.seam.bounded import remember
from adapters.seam.errors import unkeyed
from fsm.call.effects import CancelResponse, ConfigureSession, CreateResponse, Effect
from fsm.call.events import (
    BackchannelHeard,
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
    TurnDismissed,
)
from fsm.call.guards import FATAL
from fsm.call.policy import Policy


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


@attrs.frozen
class SpokenDelta:
    """A piece of what a response says in its own sound, cut anywhere; nobody is to speak it."""

    response_id: str
    item_id: str
    delta: str


Incoming = Happened | Audio | TextDelta | SpokenDelta


class _Gate(StrEnum):
    """How far the session is set up (R39)."""

    UNASKED = "unasked"
    ASKED = "asked"
    CONFIRMED = "confirmed"


class Wire:
    """Both directions of one connection; `receive` and `send` may be called from within one another's results."""

    def __init__(self, settings: RealtimeSettings, policy: Policy) -> None:
        self.quarantined: Counter[str] = Counter()
        """How many messages were set aside, by code: `malformed_event`, `unknown_event`, `error` (R84)."""
        self._settings = settings
        self._asked = Commands(settings, policy)
        self._gate = _Gate.UNASKED
        self._numbers = itertools.count(1)
        self._commands: dict[str, Effect] = {}
        self._items: dict[str, str] = {}
        self._foreign: dict[str, str] = {}
        self._worded: dict[str, bool] = {}
        self._half_sample = ("", b"")

    @property
    def asked(self) -> bool:
        """Have we told the server what the session is to be? Before that it is told nothing else."""
        return self._gate is not _Gate.UNASKED

    @property
    def confirmed(self) -> bool:
        """Has the server confirmed the session that we asked for?"""
        return self._gate is _Gate.CONFIRMED

    def send(self, effect: Effect) -> list[dict[str, Any]]:
        """The messages that carry an effect out, each with an event_id of ours (R03); none when there is nothing to say."""
        if isinstance(effect, ConfigureSession):
            self._gate = _Gate.ASKED
        messages = []
        for body in self._asked.bodies(effect):
            event_id = f"cf_{next(self._numbers)}"
            remember(self._commands, event_id, effect)
            messages.append({"type": body.pop("type"), "event_id": event_id, **body})
        return messages

    def restore(self, items: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """The messages that give a new session what was said so far (R85)."""
        return [{"type": "conversation.item.create", "event_id": f"cf_{next(self._numbers)}", "item": item} for item in items]

    def receive(self, text: str) -> list[Incoming]:
        """What a message from the server says; one that cannot be understood becomes an ErrorReceived (R84)."""
        try:
            message = json.loads(text)
        except (ValueError, RecursionError):
            return self._set_aside("malformed_event", "not JSON")
        try:
            kind = name_at(message, "type")
            translate = _TRANSLATIONS.get(GA_NAMES.get(kind, kind))
            if translate is not None:
                return translate(self, message)
        except Malformed as error:
            return self._set_aside("malformed_event", str(error))
        return [] if GA_NAMES.get(kind, kind) in WITHOUT_MEANING else self._set_aside("unknown_event", kind[:80])

    def _set_aside(self, code: str, message: str) -> list[Incoming]:
        self.quarantined[code] += 1
        return [Happened(ErrorReceived, (code, message))]

    # The server's events.

    def _session_created(self, _: Any) -> list[Incoming]:
        return [Happened(SessionOpened)]

    def _session_updated(self, message: Any) -> list[Incoming]:
        """Compare with what was asked; the answer to ReleaseResponse confirms nothing a second time (R39)."""
        if self._gate is _Gate.UNASKED:
            return []
        difference = self._asked.difference(message.get("session"))
        if self._gate is _Gate.CONFIRMED:
            return self._set_aside("error", difference) if difference else []
        self._gate = _Gate.UNASKED if difference else _Gate.CONFIRMED
        return [Happened(SessionRefused, (difference,)) if difference else Happened(SessionConfirmed)]

    def _created(self, message: Any) -> list[Incoming]:
        response_id = name_at(message, "response", "id")
        if self._is_foreign(message, response_id):
            remember(self._foreign, response_id, "")
            return []
        return [Happened(ResponseCreated, (response_id,))]

    def _is_foreign(self, message: Any, response_id: str) -> bool:
        """Is the response out of band, in no conversation? Such a one is somebody else's, and not for the caller."""
        response = value_at(message, "response")
        out_of_band = isinstance(response, Mapping) and response.get("conversation_id", "ours") in (None, "none")
        return out_of_band or response_id in self._foreign

    def _done(self, message: Any) -> list[Incoming]:
        response_id = name_at(message, "response", "id")
        if self._is_foreign(message, response_id):
            return []
        status = text_at(message, "response", "status", default="")
        reasons = (("reason",), ("error", "code"), ("error", "type"))
        reason = next(filter(None, (text_at(message, "response", "status_details", *path, default="") for path in reasons)), "")
        if status == "completed" and value_at(message, "response", "output") == []:
            # Nothing was said and no tool called: the caller would wait in silence (R15).
            return [Happened(ResponseIncomplete, (response_id, "empty_response"))]
        if status not in _ENDS:
            # It is over all the same: to ignore it would leave the caller in silence until a deadline.
            return [Happened(ResponseFailed, (response_id, reason or "unknown_status"))]
        return [Happened(_ENDS[status], (response_id, reason))]

    def _item_added(self, message: Any) -> list[Incoming]:
        if text_at(message, "item", "type", default="message") == "message":
            remember(self._items, name_at(message, "response_id"), name_at(message, "item", "id"))
        return []

    def _of_response(self, message: Any) -> tuple[str, str] | None:
        """The response and item of a delta, None for a foreign one; an item left out is the last one added."""
        response_id = name_at(message, "response_id")
        if response_id in self._foreign:
            return None
        return response_id, text_at(message, "item_id", default=self._items.get(response_id, ""))

    def _audio(self, message: Any) -> list[Incoming]:
        ids = self._of_response(message)
        try:
            sound = binascii.a2b_base64(text_at(message, "delta"), strict_mode=True)
        except ValueError:
            raise Malformed("delta is not base64") from None
        if ids is None:
            return []
        owner, rest = self._half_sample
        sound = rest + sound if owner == ids[0] else sound
        whole = len(sound) // 2 * 2
        self._half_sample = (ids[0], sound[whole:])
        return [Audio(*ids, sound[:whole])] if whole else []

    def _text_delta(self, message: Any) -> list[Incoming]:
        ids, delta = self._of_response(message), text_at(message, "delta")
        return [TextDelta(*ids, delta)] if ids and delta else []

    def _text_done(self, message: Any) -> list[Incoming]:
        ids = self._of_response(message)
        text = text_at(message, "transcript", default="") or text_at(message, "text", default="")
        if not ids:
            return []
        said: list[Incoming] = [Happened(ResponseTranscribed, (ids[0], text))]
        return [*said, Happened(GoodbyeSaid, ids[:1])] if says_goodbye(text, self._settings.goodbye_phrases) else said

    def _spoken_text(self, message: Any) -> list[Incoming]:
        """Words of a response that the model speaks itself; the first are told (R16)."""
        ids = self._of_response(message)
        if not ids:
            return []
        said: list[Incoming] = [SpokenDelta(*ids, text_at(message, "delta", default=""))]
        if ids[0] in self._worded:
            return said
        remember(self._worded, ids[0], True)
        return [*said, Happened(TextArrived, ids[:1])]

    def _tool_called(self, message: Any) -> list[Incoming]:
        return [
            Happened(
                ToolCalled, (name_at(message, "call_id"), text_at(message, "name", default=""), text_at(message, "arguments", default=""))
            )
        ]

    def _transcribed(self, message: Any) -> list[Incoming]:
        item_id, text = name_at(message, "item_id"), text_at(message, "transcript")
        said: list[Incoming] = [Happened(Transcribed, (item_id, text))]
        if is_one_of(text, self._settings.backchannels):
            said.append(Happened(BackchannelHeard, (item_id,)))
        elif is_one_of(text, self._settings.dismissals):
            said.append(Happened(TurnDismissed))
        return said

    def _speech_started(self, message: Any) -> list[Incoming]:
        return [Happened(SpeechStarted, (text_at(message, "item_id", default=""),))]

    def _speech_stopped(self, message: Any) -> list[Incoming]:
        return [Happened(SpeechStopped, (text_at(message, "item_id", default=""),))]

    def _committed(self, message: Any) -> list[Incoming]:
        return [Happened(TurnCommitted, (text_at(message, "item_id", default=""),))]

    def _error(self, message: Any) -> list[Incoming]:
        """An error, told as the refusal of the command that it names; one after which no answer comes ends the call (R03, R18)."""
        if not isinstance(message.get("error"), Mapping):
            raise Malformed("error is missing or is no object")
        kind = text_at(message, "error", "type", default="")
        code = text_at(message, "error", "code", default="") or kind or "unknown_error"
        words = unkeyed(text_at(message, "error", "message", default=""), None)[:300]
        command = self._commands.pop(text_at(message, "error", "event_id", default=""), None)
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
        code = text_at(message, "error", "code", default="transcription_failed") or "transcription_failed"
        self.quarantined["error"] += 1
        return [Happened(ErrorReceived, (code, text_at(message, "error", "message", default="")[:300]))]


def append(pcm: bytes) -> str:
    """The message that carries the caller's sound; made by hand, as there are fifty a second."""
    return '{"type":"input_audio_buffer.append","audio":"' + binascii.b2a_base64(pcm, newline=False).decode("ascii") + '"}'


_ENDS: dict[str, type[ResponseEnded]] = {
    "completed": ResponseCompleted,
    "cancelled": ResponseCancelled,
    "failed": ResponseFailed,
    "incomplete": ResponseIncomplete,
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
