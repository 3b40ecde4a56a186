"""The trace of a call: each event with what it moved and what was asked for, a line of JSON each; written live, replayed to the same rows.

The first line holds the format's version, the call's id, its policy and its start; the last one counts the steps and seals them, so
that a damaged or cut file is known as such. A trace holds what was said, and no key.
"""

import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs

from adapters.seam.errors import without_key
from fsm.call import effects as fx, events as ev
from fsm.call.machine import step
from fsm.call.policy import Policy
from fsm.call.snapshot import Call, start
from fsm.engine.machine import Step

VERSION = 2
_EVENTS = {kind.__name__: kind for kind in ev.kinds()}


class TraceError(ValueError):
    """A file that is no trace, or a damaged one; the message says which line and what to do."""


class TraceWriter:
    """Writes the trace of a call as it happens; a `Watch` of the driver. Close it, and the file is sealed."""

    def __init__(self, path: Path, call: Call, at_ms: float = 0.0, key: str | None = None) -> None:
        """Begin; `key` is what nobody may read in it (R96)."""
        self._key = key
        self._file = path.open("w", encoding="utf-8", buffering=1)
        self._seal = hashlib.sha256()
        self._steps = 0
        self._write({"callfsm_trace": VERSION, "call_id": call.call_id, "at_ms": at_ms, "policy": attrs.asdict(call.policy)})

    def __call__(self, event: ev.Event, answer: Step[Call]) -> None:
        """Write one step."""
        self._steps += 1
        self._write({**event_to_json(event), **answer_to_json(answer)})

    def close(self) -> None:
        """Seal the file. Closing twice does nothing."""
        if not self._file.closed:
            self._file.write(json.dumps({"steps": self._steps, "sha256": self._seal.hexdigest()}) + "\n")
            self._file.close()

    def _write(self, line: dict[str, Any]) -> None:
        text = without_key(json.dumps(line, ensure_ascii=False), self._key) + "\n"
        self._seal.update(text.encode())
        self._file.write(text)


class Tracing:
    """The trace of a call in a file, or none, as a `Watch`; a disk that takes no more ends the trace, is told once, and not the call."""

    def __init__(self, path: Path | None, call: Call, failed: Callable[[OSError], None], key: str | None = None) -> None:
        self._failed = failed
        self._writer: TraceWriter | None = None
        with self._on_disk():
            self._writer = TraceWriter(path, call, key=key) if path is not None else None

    def __call__(self, event: ev.Event, answer: Step[Call]) -> None:
        """Write a step."""
        with self._on_disk():
            if self._writer is not None:
                self._writer(event, answer)

    def close(self) -> None:
        """Seal the trace."""
        with self._on_disk():
            if self._writer is not None:
                self._writer.close()

    @contextmanager
    def _on_disk(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self._writer = None
            self._failed(error)


@attrs.frozen
class Trace:
    """A trace as read: the call as it began, and its lines (one a step)."""

    call: Call
    lines: tuple[dict[str, Any], ...]

    def steps(self) -> Iterator[tuple[ev.Event, Step[Call], dict[str, Any]]]:
        """Run the events through `step` anew: each event, today's answer, and the line as recorded."""
        call = self.call
        for line in self.lines:
            event = event_from_json(line)
            answer = step(call, event)
            call = answer.snapshot
            yield event, answer, line

    def first_difference(self) -> str | None:
        """None if today's tables answer every event as the call did; else the first difference, in words."""
        for number, (event, answer, line) in enumerate(self.steps(), start=2):
            now = answer_to_json(answer)
            for part in ("moves", "effects"):
                if now[part] != line[part]:
                    return (
                        f"line {number}, {type(event).__name__} at {event.at_ms:.1f} ms: {part} were {line[part]}, and are now {now[part]}"
                    )
        return None


def read_trace(path: Path) -> Trace:
    """Read a sealed trace. Raises TraceError for anything that is none."""
    try:
        raw = path.read_bytes().splitlines(keepends=True)
    except OSError as error:
        raise TraceError(f"{path}: {error.strerror}; give the path of a call.trace") from None
    try:
        head, *body, tail = [json.loads(line) for line in raw]
    except (ValueError, RecursionError):
        raise TraceError(f"{path}: not a trace, or cut short; a trace ends with its seal") from None
    if not isinstance(head, dict) or head.get("callfsm_trace") != VERSION:
        raise TraceError(f"{path}: not a trace of version {VERSION}; record the call anew with this version of callfsm")
    if tail != {"steps": len(body), "sha256": hashlib.sha256(b"".join(raw[:-1])).hexdigest()}:
        raise TraceError(f"{path}: the seal does not fit; the file was changed or cut short")
    for number, line in enumerate(body, start=2):
        try:
            event_from_json(line)
        except TraceError as error:
            raise TraceError(f"{path}: line {number}: {error}; record the call anew with this version of callfsm") from None
    try:
        return Trace(start(Policy(**head["policy"]), head["call_id"], head["at_ms"]), tuple(body))
    except (KeyError, TypeError, ValueError) as error:
        raise TraceError(f"{path}: line 1 does not fit this version of callfsm: {error}") from None


def event_to_json(event: ev.Event) -> dict[str, Any]:
    """An event as a JSON object: `event` is its name, the other keys its fields."""
    return {"event": type(event).__name__, **attrs.asdict(event)}


def event_from_json(line: dict[str, Any]) -> ev.Event:
    """The event of a line; raises TraceError if there is no such event, or a part of the line is missing."""
    if not isinstance(line, dict) or not isinstance(line.get("event"), str):
        raise TraceError("a step is an object that names its event")
    kind = _EVENTS.get(line["event"])
    if kind is None:
        raise TraceError(f"there is no event {line['event']!r}")
    wanted = [field.name for field in attrs.fields(kind)]
    if missing := [name for name in (*wanted, "moves", "effects") if name not in line]:
        raise TraceError(f"{line['event']} lacks {', '.join(missing)}")
    fields = {name: line[name] for name in wanted}
    if kind is ev.PlayoutStopped:
        fields["items"] = tuple(ev.Heard(**heard) for heard in fields["items"])
    return kind(**fields)


def answer_to_json(answer: Step[Call]) -> dict[str, Any]:
    """What a step did: the rows that moved or acted, and the effects."""
    return {
        "moves": [f"{row.name} -> {row.then.target!r}" if row.then.target else row.name for row in answer.rows if not row.ignores],
        "effects": [effect_to_json(effect) for effect in answer.effects],
    }


def effect_to_json(effect: fx.Effect) -> dict[str, Any]:
    """An effect as a JSON object: `effect` is its name, the other keys its fields."""
    return {"effect": type(effect).__name__, **attrs.asdict(effect)}
