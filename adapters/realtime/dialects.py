"""The dialects of the wire, GA, the beta and xAI's: which one a server speaks, and our messages and its session in the others (R103).

All else of the room speaks GA; the others are written and read in here alone. xAI's is GA whose voice and turn detection stand in the
session itself (read in the clients that LiveKit and Pipecat have for it).
"""

from collections.abc import Mapping
from typing import Any

from adapters.realtime.messages import value_at

GA, BETA, XAI = "ga", "beta", "xai"
WIRES = ("auto", GA, BETA, XAI)
"""What `--realtime-wire` takes; `auto` goes by the server's first message."""
_BETA_FIELDS = frozenset(("modalities", "input_audio_format", "output_audio_format", "input_audio_transcription", "turn_detection"))
"""Fields of a session that the beta has at its top and the GA has not."""
_AT_THE_TOP = (("input", "turn_detection"), ("output", "voice"))
"""What xAI has at the session's top, and in which part of its sound the GA has it."""
_BETA_FORMATS = {"pcm16": "audio/pcm", "g711_ulaw": "audio/pcmu", "g711_alaw": "audio/pcma"}
FORMAT_NAMES = {**_BETA_FORMATS, "audio/g711-ulaw": "audio/pcmu", "audio/g711-alaw": "audio/pcma"}
"""What a format is called elsewhere, in small letters, and the GA calls it: by the beta, and by LiteLLM's proxy (read)."""


def dialect_of(session: Any) -> str:
    """The dialect of a server whose session.created holds `session`: GA, unless fields that the others alone have are there (R103)."""
    if not isinstance(session, Mapping) or not (_BETA_FIELDS & session.keys()):
        return GA
    if "audio" not in session and "output_modalities" not in session:
        return BETA
    heard = value_at(session, "audio", "input")
    in_place = isinstance(heard, Mapping) and "turn_detection" in heard
    return XAI if "turn_detection" in session and not in_place else GA


def spoken(dialect: str, message: Mapping[str, Any]) -> dict[str, Any]:
    """A GA message of ours in a dialect."""
    match dialect:
        case "beta":
            return to_beta(message)
        case "xai" if "session" in message:
            return {**message, "session": _session_to_xai(message["session"])}
    return dict(message)


def understood(dialect: str, session: Mapping[str, Any]) -> Mapping[str, Any]:
    """A server's session, told in a dialect, as the GA has it, as far as we look at one; what is absent stays absent."""
    match dialect:
        case "beta":
            return session_from_beta(session)
        case "xai":
            return _session_from_xai(session)
    return session


def place_of_vad(dialect: str, session: dict[str, Any]) -> dict[str, Any]:
    """The part of a session of ours, already in the dialect, in which the turn detection stands."""
    return session if dialect != GA else session["audio"]["input"]


def _session_to_xai(session: Mapping[str, Any]) -> dict[str, Any]:
    told = {name: value for name, value in session.items() if name != "audio"}
    audio = {way: dict(settings) for way, settings in session.get("audio", {}).items()}
    for way, name in _AT_THE_TOP:
        if name in audio.get(way, {}):
            told[name] = audio[way].pop(name)
    kept = {way: settings for way, settings in audio.items() if settings}
    return {**told, "audio": kept} if kept else told


def _session_from_xai(session: Mapping[str, Any]) -> dict[str, Any]:
    told = {name: value for name, value in session.items() if name != "audio"}
    audio: dict[str, dict[str, Any]] = {}
    for way in ("input", "output"):
        settings = value_at(session, "audio", way)
        audio[way] = dict(settings) if isinstance(settings, Mapping) else {}
    for way, name in _AT_THE_TOP:
        if name in told:
            audio[way][name] = told.pop(name)
    return {**told, "audio": audio}


def to_beta(message: Mapping[str, Any]) -> dict[str, Any]:
    """A GA message of ours in the beta's words."""
    told = dict(message)
    if "session" in told:
        told["session"] = _session_to_beta(told["session"])
    if "response" in told:
        told["response"] = _renamed_modalities(told["response"])
    if value_at(told, "item", "role") == "assistant":
        content = [part | {"type": "text"} if part["type"] == "output_text" else part for part in told["item"]["content"]]
        told["item"] = told["item"] | {"content": content}
    return told


def session_from_beta(session: Mapping[str, Any]) -> dict[str, Any]:
    """The beta's session as the GA has it, as far as we look at one; what is absent stays absent."""
    told: dict[str, Any] = {}
    modalities = session.get("modalities")
    if isinstance(modalities, list):
        told["output_modalities"] = ["audio"] if "audio" in modalities else modalities
    audio: dict[str, dict[str, Any]] = {"input": {}, "output": {}}
    for way in audio:
        named = session.get(f"{way}_audio_format")
        if named is not None:
            audio[way]["format"] = {"type": _BETA_FORMATS.get(named, named) if isinstance(named, str) else named}
    if "turn_detection" in session:
        audio["input"]["turn_detection"] = session["turn_detection"]
    if session.get("input_audio_transcription") is not None:
        audio["input"]["transcription"] = session["input_audio_transcription"]
    return {**told, "audio": audio}


def _session_to_beta(session: Mapping[str, Any]) -> dict[str, Any]:
    told = _renamed_modalities({name: value for name, value in session.items() if name not in ("type", "audio")})
    audio = session.get("audio", {})
    formats = {kind: name for name, kind in _BETA_FORMATS.items()}
    for way, settings in audio.items():
        if "format" in settings:
            told[f"{way}_audio_format"] = formats[settings["format"]["type"]]
    heard = audio.get("input", {})
    for name in ("turn_detection", "transcription"):
        if name in heard:
            told[name if name == "turn_detection" else f"input_audio_{name}"] = heard[name]
    if "voice" in audio.get("output", {}):
        told["voice"] = audio["output"]["voice"]
    return told


def _renamed_modalities(told: Mapping[str, Any]) -> dict[str, Any]:
    """The beta's sound is always with text."""
    renamed = {name: value for name, value in told.items() if name != "output_modalities"}
    if "output_modalities" in told:
        renamed["modalities"] = ["audio", "text"] if told["output_modalities"] == ["audio"] else told["output_modalities"]
    return renamed
