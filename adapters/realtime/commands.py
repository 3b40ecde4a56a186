"""What we ask of the realtime LLM, as messages of its wire: the session, and each effect; what it answers is not understood in here."""

from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit, urlunsplit

from adapters.realtime.messages import value_at
from adapters.realtime.settings import RealtimeSettings
from fsm.call.effects import (
    AddEntry,
    CancelResponse,
    Cause,
    CommitTurn,
    ConfigureSession,
    CreateResponse,
    DeleteItem,
    Effect,
    ProtectResponse,
    ReleaseResponse,
    RewriteItem,
    SendToolResult,
    TruncateItem,
)
from fsm.call.policy import Policy


class Commands:
    """The commands of one session; it remembers which rights the server's VAD was given."""

    def __init__(self, settings: RealtimeSettings, policy: Policy) -> None:
        self._settings = settings
        self._policy = policy
        self._turn_detection = self._rights(held=policy.guards_greeting)

    def bodies(self, effect: Effect) -> list[dict[str, Any]]:
        """The messages of an effect, without their event_ids."""
        match effect:
            case ConfigureSession():
                return [{"type": "session.update", "session": self.session()}]
            case ProtectResponse():
                return self._give(self._rights(held=True))
            case ReleaseResponse():
                return self._give(self._rights(held=False))
            case CommitTurn():
                return [{"type": "input_audio_buffer.commit"}]
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
                return [{"type": "conversation.item.create", "item": function_call_output(tool_call_id, output)}]
        return []

    def session(self) -> dict[str, Any]:
        """The one session.update that sets the session up (R39)."""
        transcription = {"model": self._settings.transcription} if self._settings.transcription else None
        sound = {"type": "audio/pcm", "rate": 24_000}
        audio: dict[str, Any] = {"input": {"format": sound, "transcription": transcription, "turn_detection": self._turn_detection}}
        if self._policy.voice == "realtime":
            audio["output"] = {"format": sound, "voice": self._settings.voice}
        tools = {"tools": list(self._settings.tools), "tool_choice": "auto"} if self._settings.tools else {}
        said = {"output_modalities": self._modalities(), "instructions": self._settings.instructions}
        return {"type": "realtime", **said, **tools, "audio": audio}

    def difference(self, session: Any) -> str:
        """The first thing in which the session is not what was asked, in words; empty when there is none."""
        vad = self._turn_detection
        wanted: list[tuple[str, object]] = [("output_modalities", self._modalities())]
        for way in ("input", "output") if self._policy.voice == "realtime" else ("input",):
            wanted += [(f"audio.{way}.format.type", "audio/pcm"), (f"audio.{way}.format.rate", 24_000)]
        if vad is None:
            wanted.append(("audio.input.turn_detection", None))
        else:
            wanted += [(f"audio.input.turn_detection.{name}", vad[name]) for name in ("type", "create_response", "interrupt_response")]
        for path, asked in wanted:
            got = value_at(session, *path.split("."))
            # audio/pcm has one rate only, and a server may leave it out.
            if got != asked and not (got is None and path.endswith(".rate")):
                shown = repr(got)[:60] if isinstance(got, str | int | float | None) else "something else"
                return f"the server set {path} to {shown}, and we asked for {asked!r}"
        return ""

    def _wishes(self, cause: Cause, instructions: str) -> dict[str, Any]:
        """The `response` part of a create: what to say for this cause, after who the model is, since it replaces that."""
        own = {
            Cause.GREETING: self._settings.greeting,
            Cause.IDLE_PROMPT: self._settings.idle_prompt,
            Cause.FAREWELL: self._settings.farewell,
            Cause.LIMIT_WARNING: self._settings.limit_warning,
            Cause.TOOL_FILLER: self._settings.tool_filler,
        }
        wanted = instructions or own.get(cause, "")
        if not wanted:
            return {}
        # A filler speaks about the tool that runs: it must not call it again.
        further = {"tool_choice": "none"} if cause is Cause.TOOL_FILLER else {}
        return {"response": {**further, "instructions": "\n\n".join(filter(None, (self._settings.instructions, wanted)))}}

    def _modalities(self) -> list[str]:
        return ["audio"] if self._policy.voice == "realtime" else ["text"]

    def _rights(self, held: bool) -> dict[str, Any] | None:
        """The server's VAD, and what it may do by itself: nothing while what is said is protected (R36); None where the VAD is ours."""
        if self._policy.turns == "local":
            return None
        return {
            "type": "server_vad",
            "threshold": self._settings.vad_threshold,
            "prefix_padding_ms": self._settings.vad_prefix_ms,
            "silence_duration_ms": self._settings.vad_silence_ms,
            "create_response": self._policy.create_response and not held,
            "interrupt_response": self._policy.interrupts == "server" and not held,
        }

    def _give(self, rights: dict[str, Any] | None) -> list[dict[str, Any]]:
        """An update of the VAD's rights alone; none when they stay what they are, as an update may reset the server's VAD."""
        if rights == self._turn_detection:
            return []
        self._turn_detection = rights
        return [{"type": "session.update", "session": {"type": "realtime", "audio": {"input": {"turn_detection": rights}}}}]


def function_call_output(tool_call_id: str, output: str) -> dict[str, Any]:
    """A tool's answer as an item."""
    return {"type": "function_call_output", "call_id": tool_call_id, "output": output}


def address(url: str, model: str) -> str:
    """The URL with `?model=` put in, unless it already names a model."""
    parts = urlsplit(url)
    if "model" in parse_qs(parts.query):
        return url
    query = "&".join(filter(None, (parts.query, urlencode({"model": model}))))
    return urlunsplit(parts._replace(query=query))
