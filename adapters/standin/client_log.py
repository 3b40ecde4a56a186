"""What the stand-in realtime server notes: one JSON line for each client event, close frame and fault that struck, without any sound."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TextIO


class ClientLog:
    """The file that is written to; without a path it writes nothing. Connections count from 1, `at_ms` is the age of the connection."""

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

    def note(self, session: str, connection: int, at_ms: int, message: str | bytes) -> None:
        """Write one event; what is no JSON object is written as text."""
        if self._file:
            self._write(session, connection, at_ms, event=_without_sound(message))

    def note_close(self, session: str, connection: int, at_ms: int, code: int | None, reason: str) -> None:
        """Write that a connection is over, with the close frame that came; `code` None when none did."""
        self._write(session, connection, at_ms, closed={"code": code, "reason": reason})

    def note_fault(self, session: str | None, connection: int, at_ms: int, fault: Mapping[str, Any]) -> None:
        """Write that a fault has struck; one at the door has no session."""
        self._write(session, connection, at_ms, fault=fault)

    def _write(self, session: str | None, connection: int, at_ms: int, **what: Any) -> None:
        if self._file:
            self._file.write(json.dumps({"session": session, "connection": connection, "at_ms": at_ms, **what}) + "\n")


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
