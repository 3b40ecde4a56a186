"""The beta's shape of a session, for a stand-in that speaks it: what its client sends and what it tells, to and from the shape in here."""

from typing import Any

from adapters.standin.checks import Refused
from adapters.standin.realtime.grammar import Json

FORMATS = {"pcm16": "audio/pcm", "g711_ulaw": "audio/pcmu", "g711_alaw": "audio/pcma"}
_NAMES = {kind: name for name, kind in FORMATS.items()}
_SAME = ("instructions", "tools", "tool_choice")


def understood(event: Json) -> Json:
    """A client's event, in the beta's words, in ours. Refused for what the beta does not have."""
    if event.get("type") == "session.update" and isinstance(event.get("session"), dict):
        return event | {"session": _session(event["session"])}
    if event.get("type") == "response.create" and isinstance(event.get("response"), dict):
        return event | {"response": _modalities(event["response"], "response")}
    item = event.get("item")
    if isinstance(item, dict) and item.get("role") == "assistant" and isinstance(item.get("content"), list):
        return event | {"item": item | {"content": [_part(part) for part in item["content"]]}}
    return event


def told(session: Json) -> Json:
    """The session as the beta tells of it."""
    audio = session["audio"]
    modalities = ["audio", "text"] if session["output_modalities"] == ["audio"] else ["text"]
    named = {f"{way}_audio_format": _NAMES[audio[way]["format"]["type"]] for way in ("input", "output")}
    heard = {"input_audio_transcription": audio["input"]["transcription"], "turn_detection": audio["input"]["turn_detection"]}
    same = {name: session[name] for name in ("id", "object", "model", *_SAME)}
    return {**same, "modalities": modalities, "voice": audio["output"]["voice"], **named, **heard, "max_response_output_tokens": "inf"}


def _session(session: Json) -> Json:
    heard: Json = {}
    for name in ("type", "audio", "output_modalities"):
        if name in session:
            raise Refused("unknown_parameter", f"Unknown parameter: 'session.{name}'.", f"session.{name}")
    if "turn_detection" in session:
        heard["turn_detection"] = session["turn_detection"]
    if "input_audio_transcription" in session:
        heard["transcription"] = session["input_audio_transcription"]
    spoken: Json = {"voice": session["voice"]} if "voice" in session else {}
    for way, place in (("input", heard), ("output", spoken)):
        if (kind := session.get(f"{way}_audio_format")) is not None:
            place["format"] = {"type": FORMATS.get(kind, kind)}
    known = {name: session[name] for name in _SAME if name in session}
    return _modalities({"type": "realtime", **known, "audio": {"input": heard, "output": spoken}} | _only(session, "modalities"), "session")


def _modalities(asked: Json, path: str) -> Json:
    if "output_modalities" in asked:
        raise Refused("unknown_parameter", f"Unknown parameter: '{path}.output_modalities'.", f"{path}.output_modalities")
    kept = {name: value for name, value in asked.items() if name != "modalities"}
    if "modalities" not in asked:
        return kept
    return kept | {"output_modalities": ["audio"] if "audio" in asked["modalities"] else asked["modalities"]}


def _only(asked: Json, name: str) -> Json:
    return {name: asked[name]} if name in asked else {}


def _part(part: Any) -> Any:
    if not isinstance(part, dict) or part.get("type") == "text":
        return part | {"type": "output_text"} if isinstance(part, dict) else part
    raise Refused("invalid_value", f"Invalid value: '{part.get('type')}'. Supported values are: 'text'.", "item.content[0].type")
