"""The settings of a stand-in realtime session: the original's defaults, and how an update or a response's wishes change them.

Nothing here checks what a client sent: the grammar has done that before.
"""

import copy
from typing import Any

from adapters.standin.checks import Refused
from adapters.standin.ears import Detection
from adapters.standin.realtime.grammar import EAGERNESS_MS, Json

DEFAULT_MODEL = "gpt-realtime-2.1"


class SessionSettings:
    """The settings as the client last left them."""

    def __init__(self, *, session_id: str, model: str, expires_at: int) -> None:
        """`expires_at` is in Unix seconds and only told."""
        self._now = _first_settings(session_id, model, expires_at)
        self._voice_is_fixed = False
        self.ignores_text = False
        """Does only the wish of a response for text count?"""

    @property
    def kind(self) -> str:
        """The wire format of the caller's sound."""
        return str(self._now["audio"]["input"]["format"]["type"])

    @property
    def vad(self) -> Json:
        """The turn detection; empty when there is none."""
        return self._now["audio"]["input"]["turn_detection"] or {}

    @property
    def detection(self) -> Detection | None:
        """What the detector must know of the turn detection."""
        if not self.vad:
            return None
        if self.vad["type"] == "semantic_vad":
            return Detection(0.5, EAGERNESS_MS[self.vad["eagerness"]])
        return Detection(self.vad["threshold"], self.vad["silence_duration_ms"])

    @property
    def transcribes(self) -> bool:
        """Does the client want the caller's words?"""
        return self._now["audio"]["input"]["transcription"] is not None

    def transcribe_unasked(self) -> None:
        """Write down the caller's words from the beginning on."""
        self._now["audio"]["input"]["transcription"] = {"model": "whisper-1"}

    def told(self) -> Json:
        """A copy, as the client is told."""
        return copy.deepcopy(self._now)

    def update(self, wanted: Json) -> None:
        """Change only what the client named. Raises Refused for what a session never changes."""
        if wanted.get("model", self._now["model"]) != self._now["model"]:
            raise Refused("invalid_value", "The model of a session cannot be changed.", "session.model")
        self._keep_voice(wanted.get("audio", {}).get("output", {}))
        self._now = _merged(self._now, wanted)

    def with_wishes(self, wishes: Json) -> Json:
        """The settings with the wishes of one response before them, but for its sound."""
        obeyed = {"output_modalities": ["audio"]} if self.ignores_text else {}
        return self._now | obeyed | {name: wish for name, wish in wishes.items() if wish is not None}

    def output_for(self, wishes: Json, modalities: list[str]) -> Json:
        """The format, voice and speed of a response's sound. Raises Refused for another voice than has been heard."""
        wanted = wishes.get("audio", {}).get("output", {})
        if modalities == ["audio"]:
            self._keep_voice(wanted)
        output: Json = self._now["audio"]["output"] | wanted
        return output

    def fix_voice(self) -> None:
        """The agent has been heard: its voice stays."""
        self._voice_is_fixed = True

    def _keep_voice(self, output: Json) -> None:
        voice: Any = self._now["audio"]["output"]["voice"]
        if self._voice_is_fixed and output.get("voice", voice) != voice:
            raise Refused("cannot_update_voice", "Cannot update a conversation's voice if assistant audio is present.")


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
