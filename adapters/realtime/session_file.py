"""A file with further fields of the session, as the server's documentation writes them; what other options decide is refused (R109)."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from adapters.seam.files import read_whole
from adapters.seam.wellformed import read_json

OURS = {
    "type": "it is always realtime",
    "model": "give --model",
    "instructions": "give --instructions",
    "output_modalities": "give --voice",
    "modalities": "give --voice",
    "input_audio_format": "a call's sound is PCM at 24 kHz; on a telephone line give --line-sound",
    "output_audio_format": "a call's sound is PCM at 24 kHz; on a telephone line give --line-sound",
    "audio.input.format": "a call's sound is PCM at 24 kHz; on a telephone line give --line-sound",
    "audio.output.format": "a call's sound is PCM at 24 kHz; on a telephone line give --line-sound",
    "turn_detection.create_response": "give --set create_response=true",
    "turn_detection.interrupt_response": "give --interrupts server",
}
"""What other options decide, and which."""


MOST_MIB = 4
"""What such a file may hold."""


def read_session_file(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """The fields of a JSON file: those of the session, and those of its turn detection. Raises ValueError in one line."""
    try:
        held = read_json(read_whole(path, MOST_MIB).decode("utf-8-sig"))
    except OSError as error:
        raise ValueError(f"{error.strerror}; give a JSON file with fields of the session") from None
    except ValueError as error:
        raise ValueError(f"it is no JSON: {str(error)[:120]}") from None
    if isinstance(held, Mapping) and isinstance(held.get("session"), Mapping):
        held = held["session"]
    if not isinstance(held, Mapping):
        raise ValueError('it must hold an object with fields of the session, {"audio": {"output": {"speed": 1.1}}} for one')
    return _parted(held)


def _parted(held: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Without what is ours: the session's fields, and the turn detection's, which may stand in two places."""
    session = json.loads(json.dumps(held))
    heard = session.get("audio", {}).get("input", {}) if _are_objects(session, "audio", "input") else {}
    found = [place.pop("turn_detection") for place in (session, heard) if "turn_detection" in place]
    if not all(isinstance(one, Mapping) for one in found):
        raise ValueError("turn_detection must be an object; for a detector of our own give --vad local")
    if not isinstance(session.get("tools", []), list):
        raise ValueError("tools must be a list")
    turn_detection = {name: value for one in found for name, value in one.items()}
    for path, instead in OURS.items():
        if _holds({**session, "turn_detection": turn_detection}, path.split(".")):
            if path == "type" and session["type"] == "realtime":
                del session["type"]
                continue
            raise ValueError(f"{path} is not for this file: {instead}")
    return session, turn_detection


def _are_objects(session: Mapping[str, Any], *path: str) -> bool:
    place: Any = session
    for name in path:
        place = place.get(name, {})
        if not isinstance(place, Mapping):
            raise ValueError(f"{name} must be an object")
    return True


def _holds(place: Any, path: list[str]) -> bool:
    for name in path:
        if not isinstance(place, Mapping) or name not in place:
            return False
        place = place[name]
    return True
