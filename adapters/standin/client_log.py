"""What the stand-in realtime server notes of its clients: a file with one JSON line for each of their events, without any sound."""

import json
from pathlib import Path
from typing import Any, TextIO


class ClientLog:
    """The file that client events are written to; without a path it writes nothing."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._file: TextIO | None = None

    def __enter__(self) -> "ClientLog":
        if self._path:
            self._file = self._path.open("a", encoding="utf-8", buffering=1)
        return self

    def __exit__(self, *_: object) -> None:
        if self._file:
            self._file.close()

    def note(self, session: str, at_ms: int, message: str | bytes) -> None:
        """Write one event; what is no JSON object is written as text."""
        if self._file:
            line = {"session": session, "at_ms": at_ms, "event": _without_sound(message)}
            self._file.write(json.dumps(line) + "\n")


def _without_sound(message: str | bytes) -> Any:
    """The event with its sound replaced by the number of its bytes."""
    try:
        event = json.loads(message)
    except (ValueError, RecursionError):
        return repr(message[:200])
    if isinstance(event, dict) and isinstance(event.get("audio"), str):
        sound = event["audio"]
        event["audio"] = {"bytes": len(sound) * 3 // 4 - sound[-2:].count("=")}
    return event
