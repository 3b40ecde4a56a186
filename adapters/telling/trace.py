"""The trace of a call: each event with what it moved and what was asked for, a line of JSON each; written live, replayed to the same rows.

The first line holds the format's version, the call's id, its policy and its start; the last one counts the steps and seals them, so
that a damaged file is known as such, and a cut one as that of a call whose process died. A trace holds what was said, and no key.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from types import UnionType
from typing import Any, get_args, get_origin, get_type_hints

import attrs

from adapters.seam.errors import without_key
from adapters.seam.files import private_lines, read_whole
from adapters.seam.wellformed import read_json
from fsm.call import effects as fx, events as ev
from fsm.call.machine import step
from fsm.call.policy import Policy
from fsm.call.snapshot import Call, start
from fsm.engine.machine import Step

VERSION = 2
_BEGINS = b'{"callfsm_trace": '
LARGEST = 1e15
"""No number of a call is larger: in ms, thirty thousand years."""
_EVENTS = {kind.__name__: kind for kind in ev.kinds()}
_HINTS = {kind: {field.name: get_type_hints(kind)[field.name] for field in attrs.fields(kind)} for kind in _EVENTS.values()}
_NEEDED = {kind: [field.name for field in attrs.fields(kind) if field.default is attrs.NOTHING] for kind in _EVENTS.values()}
"""The fields of each event that every trace has: one that came later has a default."""


class TraceError(ValueError):
    """A file that is no trace, or a damaged one; the message says which line and what to do."""


class TraceWriter:
    """Writes the trace of a call as it happens; a `Watch` of the driver. Close it, and the file is sealed."""

    def __init__(self, path: Path, call: Call, at_ms: float = 0.0, key: str | None = None) -> None:
        """Begin; `key` is what nobody may read in it (R96)."""
        self._key = key
        self._file = private_lines(path)
        self._seal = hashlib.sha256()
        self._steps = 0
        try:
            self._write({"callfsm_trace": VERSION, "call_id": call.call_id, "at_ms": at_ms, "policy": attrs.asdict(call.policy)})
        except OSError:
            self.abandon()
            raise

    def __call__(self, event: ev.Event, answer: Step[Call]) -> None:
        """Write one step."""
        self._steps += 1
        self._write({**event_to_json(event), **answer_to_json(answer)})

    def close(self) -> None:
        """Seal the file. Closing twice does nothing."""
        if not self._file.closed:
            self._file.write(json.dumps({"steps": self._steps, "sha256": self._seal.hexdigest()}) + "\n")
            self._file.close()

    def abandon(self) -> None:
        """Write no more, and keep no file open."""
        with suppress(OSError):
            self._file.close()

    def _write(self, line: dict[str, Any]) -> None:
        # ASCII: a text from outside may hold what nothing can encode (R105).
        text = without_key(json.dumps(line), self._key).replace("…", "\\u2026") + "\n"
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
            if self._writer is not None:
                self._writer.abandon()
            self._writer = None
            self._failed(error)


@attrs.frozen
class Trace:
    """A trace as read: the call as it began, and its lines (one a step)."""

    call: Call
    lines: tuple[dict[str, Any], ...]
    whole: bool = True
    """Does it end with its seal? That of a call whose process died ends with its last whole line (R107)."""

    def steps(self) -> Iterator[tuple[ev.Event, Step[Call], dict[str, Any]]]:
        """Run the events through `step` anew: each event, today's answer, and the line as recorded."""
        for (event, answer), line in zip(fold(self.call, map(event_from_json, self.lines)), self.lines, strict=True):
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


def fold(call: Call, events: Iterable[ev.Event]) -> Iterator[tuple[ev.Event, Step[Call]]]:
    """The steps that a call takes on these events."""
    for event in events:
        answer = step(call, event)
        call = answer.snapshot
        yield event, answer


def text_of(call: Call, steps: Iterable[tuple[ev.Event, Step[Call]]], key: str | None = None) -> str:
    """The trace of a call that began as `call` and took these steps; `key` is what nobody may read in it (R96)."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "call.trace"
        writer = TraceWriter(path, call, key=key)
        for event, answer in steps:
            writer(event, answer)
        writer.close()
        return path.read_text(encoding="ascii")


MOST_MIB = 512
"""What a trace may hold: a day's."""


def read_trace(path: Path) -> Trace:
    """Read a trace up to its last whole line (R107). Raises TraceError for what is none, and for a damaged one."""
    try:
        return trace_in(read_whole(path, MOST_MIB), str(path))
    except OSError as error:
        raise TraceError(f"{path}: {error.strerror}; give the path of a call.trace") from None


def trace_in(content: bytes, path: str) -> Trace:
    """The trace that is the content of a file; `path` is what it is called where it is none. Raises what `read_trace` does."""
    raw = content.splitlines(keepends=True)
    # The process died while it wrote the last one.
    cut = raw.pop() if raw and not raw[-1].endswith(b"\n") else b""
    head, *body = [_line(path, number, line) for number, line in enumerate(raw, start=1)] or [{}]
    if not raw and _BEGINS.startswith(cut[: len(_BEGINS)]):
        raise TraceError(f"{path}: it ends before its first line does; the disk was full, or the process died: there is nothing to read")
    if head.get("callfsm_trace") != VERSION:
        raise TraceError(f"{path}: not a trace of version {VERSION}; record the call anew with this version of callfsm")
    whole = bool(body) and "sha256" in body[-1]
    if whole and body.pop() != {"steps": len(body), "sha256": hashlib.sha256(b"".join(raw[:-1])).hexdigest()}:
        raise TraceError(f"{path}: the seal does not fit; the file was changed")
    for number, line in enumerate(body, start=2):
        try:
            event_from_json(line)
        except TraceError as error:
            raise TraceError(f"{path}: line {number}: {error}; record the call anew with this version of callfsm") from None
    try:
        call = start(Policy(**head["policy"]), _field(head, "call_id", str), _field(head, "at_ms", float))
    except (KeyError, TypeError, ValueError, TraceError) as error:
        raise TraceError(f"{path}: line 1 does not fit this version of callfsm: {error}") from None
    return Trace(call, tuple(body), whole)


def _line(path: str, number: int, raw: bytes) -> dict[str, Any]:
    """A line as an object. Raises TraceError."""
    try:
        line = read_json(raw.decode())
    except ValueError:
        line = None
    if not isinstance(line, dict):
        what = "it is no trace" if number == 1 else f"line {number} is damaged"
        raise TraceError(f"{path}: {what}; give the call.trace of a call")
    return line


def event_to_json(event: ev.Event) -> dict[str, Any]:
    """An event as a JSON object: `event` is its name, the other keys its fields."""
    return {"event": type(event).__name__, **attrs.asdict(event)}


def event_from_json(line: dict[str, Any]) -> ev.Event:
    """The event of a line; raises TraceError if there is no such event, or a part is missing that an older version wrote, too."""
    if not isinstance(line, dict) or not isinstance(line.get("event"), str):
        raise TraceError("a step is an object that names its event")
    kind = _EVENTS.get(line["event"])
    if kind is None:
        raise TraceError(f"there is no event {line['event']!r}")
    wanted = _HINTS[kind]
    if missing := [name for name in (*_NEEDED[kind], "moves", "effects") if name not in line]:
        raise TraceError(f"{line['event']} lacks {', '.join(missing)}")
    return kind(**{name: _field(line, name, hint) for name, hint in wanted.items() if name in line})


def _field(line: dict[str, Any], name: str, hint: Any) -> Any:
    """A field of the type that it has in the event. Raises TraceError: nothing else may reach the tables."""
    value = line[name]
    if get_origin(hint) is tuple:
        [one, _] = get_args(hint)
        wanted = get_type_hints(one)
        if isinstance(value, list) and all(isinstance(part, dict) and part.keys() == wanted.keys() for part in value):
            return tuple(one(**{field: _field(part, field, kind) for field, kind in wanted.items()}) for part in value)
    elif get_origin(hint) is UnionType:
        return None if value is None else _field(line, name, get_args(hint)[0])
    elif hint is str or hint is bool:
        if isinstance(value, hint):
            return value
    elif type(value) in ((int, float) if hint is float else (int,)) and (0 if name == "at_ms" else -LARGEST) <= value <= LARGEST:
        return value
    raise TraceError(f"{name} is {_cut(value)}, which it cannot be")


def _cut(value: object) -> str:
    words = ascii(value)
    return words if len(words) <= 40 else f"{words[:40]}…"


def answer_to_json(answer: Step[Call]) -> dict[str, Any]:
    """What a step did: the rows that moved or acted, and the effects."""
    return {
        "moves": [f"{row.name} -> {row.then.target!r}" if row.then.target else row.name for row in answer.rows if not row.ignores],
        "effects": [effect_to_json(effect) for effect in answer.effects],
    }


def effect_to_json(effect: fx.Effect) -> dict[str, Any]:
    """An effect as a JSON object: `effect` is its name, the other keys its fields."""
    return {"effect": type(effect).__name__, **attrs.asdict(effect)}
