"""What the realtime LLM is asked, effect by effect, as messages of its wire in GA words; the session is set up in `session`."""

from typing import Any

from adapters.realtime.calls import wire_id
from adapters.realtime.memory import is_made
from adapters.realtime.settings import RealtimeSettings
from fsm.call.effects import (
    AddEntry,
    CancelResponse,
    Cause,
    CommitTurn,
    CreateResponse,
    DeleteItem,
    Effect,
    SendToolResult,
    TruncateItem,
)


def bodies(effect: Effect, settings: RealtimeSettings, modalities: list[str]) -> list[dict[str, Any]]:
    """The messages of an effect, without their event_ids; `modalities` are what a response is to be given in."""
    match effect:
        case CommitTurn():
            return [{"type": "input_audio_buffer.commit"}]
        case CreateResponse(cause=cause, instructions=instructions):
            # A server may obey the wish of a response alone, and only echo that of the session.
            return [{"type": "response.create", "response": {"output_modalities": modalities, **_wishes(settings, cause, instructions)}}]
        case CancelResponse(response_id=response_id):
            named = {} if is_made(response_id) else {"response_id": response_id}
            return [{"type": "response.cancel", **named}]
        case TruncateItem(item_id=item_id, audio_end_ms=audio_end_ms, content_index=content_index):
            place = {"item_id": item_id, "content_index": content_index}
            return [{"type": "conversation.item.truncate", **place, "audio_end_ms": audio_end_ms}]
        case DeleteItem(item_id=item_id):
            return [{"type": "conversation.item.delete", "item_id": item_id}]
        case AddEntry(digits=digits):
            entered = {"type": "input_text", "text": settings.entry.replace("{digits}", digits)}
            return [{"type": "conversation.item.create", "item": {"type": "message", "role": "user", "content": [entered]}}]
        case SendToolResult(tool_call_id=tool_call_id, output=output):
            return [{"type": "conversation.item.create", "item": function_call_output(wire_id(tool_call_id), output)}]
    return []


def _wishes(settings: RealtimeSettings, cause: Cause, instructions: str) -> dict[str, Any]:
    """What to say for this cause, after who the model is, since it replaces that."""
    own = {
        Cause.GREETING: settings.greeting,
        Cause.IDLE_PROMPT: settings.idle_prompt,
        Cause.FAREWELL: settings.farewell,
        Cause.LIMIT_WARNING: settings.limit_warning,
        Cause.TOOL_FILLER: settings.tool_filler,
    }
    wanted = instructions or own.get(cause, "")
    if not wanted:
        return {}
    # A filler speaks about the tool that runs: it must not call it again.
    further = {"tool_choice": "none"} if cause is Cause.TOOL_FILLER else {}
    return {**further, "instructions": "\n\n".join(filter(None, (settings.instructions, wanted)))}


def function_call_output(tool_call_id: str, output: str) -> dict[str, Any]:
    """A tool's answer as an item."""
    return {"type": "function_call_output", "call_id": tool_call_id, "output": output}
