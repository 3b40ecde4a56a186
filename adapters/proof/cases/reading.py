"""A field log read from its file: its header and rows, or one line that says what is wrong with it; nothing is fed or judged here."""

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import attrs

from adapters.proof.cases.fields import SOURCES, Row, is_fed
from adapters.seam.files import read_whole
from fsm.call.effects import Level
from fsm.call.phase import PHASE

SETTINGS = ("interrupts", "voice", "create_response", "direction", "dtmf_digits")
PHASES = tuple(state.name for state in PHASE.states)
LEVELS = tuple(Level)
NEEDED: dict[str, tuple[str, ...]] = {
    "policy": ("set",),
    "cancels": ("response",),
    "creates": (),
    "flushes": (),
    "audible": ("response", "at_ms", "is"),
    "hangups": (),
    "phase": ("at_ms",),
    "ends_in": (),
    "effects_after": ("t_ms", "max"),
    "synth_posts": ("sentence",),
    "synth_cancels": (),
    "log_level": ("of", "max"),
    "unjudged": (),
}
"""The checks, and what each cannot do without."""


LARGEST = 1e15
"""No number of a case is larger: a time of thirty thousand years."""


class CaseError(ValueError):
    """A file that is no case; the message says which line and why."""


@attrs.frozen
class Case:
    """A field log: its header and rows."""

    name: str
    header: dict[str, Any]
    rows: list[Row]

    @property
    def end_ms(self) -> float:
        """The last row, or the latest time that a check names."""
        named = [value for check in self.header["checks"] for key, value in check.items() if key.endswith("_ms")]
        return float(max([row["t_ms"] for row in self.rows] + named))


MOST_MIB = 64
"""What a case may hold."""


def read_case(path: Path) -> Case:
    """Read a case. Raises CaseError in one line for anything that is none."""
    try:
        text = read_whole(path, MOST_MIB).decode("utf-8-sig").replace("\r\n", "\n")
    except OSError as error:
        raise CaseError(f"{path}: {error.strerror}; give the path of a case (.jsonl)") from None
    except ValueError:
        raise CaseError(f"{path}: not a case: it is no text; each line is a JSON object") from None
    lines = [(number, _parsed(path, number, line)) for number, line in enumerate(text.split("\n"), start=1) if line.strip()]
    if not lines or not isinstance(header := lines[0][1], dict) or "checks" not in header:
        raise CaseError(f"{path}: not a case: the first line is a header with `case` and `checks`")
    header["checks"] = [_without_nulls(check) for check in _listed(header["checks"])]
    for complaint in filter(None, map(_complaint, header["checks"])):
        raise CaseError(f"{path}: {complaint}")
    for number, row in lines[1:]:
        if wrong := _row_complaint(row):
            raise CaseError(f"{path}: line {number}: {wrong}")
    if len(lines) == 1:
        raise CaseError(f"{path}: a case has rows after its header")
    return Case(str(header.get("case", path.stem)), header, _in_order([row for _, row in lines[1:]]))


def _parsed(path: Path, number: int, line: str) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError) as error:
        why = error.msg if isinstance(error, json.JSONDecodeError) else "nested too deep, or a number too long"
        raise CaseError(f"{path}: line {number}: {why}; each line is a JSON object") from None


def _row_complaint(row: object) -> str | None:
    """What is wrong with a row, if anything. One without a payload gets an empty one."""
    if not isinstance(row, dict):
        return "a row is a JSON object"
    row["payload"] = row.get("payload") or {}
    words = isinstance(row.get("source"), str) and isinstance(row.get("event"), str)
    if not (words and _is_number(row.get("t_ms")) and isinstance(row["payload"], dict)):
        return "a row has t_ms (a number), source, event and payload (an object)"
    if row["source"] not in SOURCES and is_fed(row):
        return f"there is no source {row['source']!r}; the sources are {', '.join(SOURCES)}"
    return None


def _in_order(rows: list[Row]) -> list[Row]:
    """The rows by their times; one with an inferred time stays between its neighbours, since the order is firmer than such a time."""
    for row, after in zip(rows[-2::-1], rows[:0:-1], strict=True):
        if row.get("inferred"):
            row["t_ms"] = min(row["t_ms"], after["t_ms"])
    for before, row in pairwise(rows):
        if row.get("inferred"):
            row["t_ms"] = max(row["t_ms"], before["t_ms"])
    return sorted(rows, key=lambda row: float(row["t_ms"]))


def _without_nulls(check: object) -> object:
    """A check without the bounds that are null: they bound nothing."""
    return {key: value for key, value in check.items() if value is not None} if isinstance(check, dict) else check


def _listed(checks: object) -> list[object]:
    return checks if isinstance(checks, list) else [None]


def _complaint(check: object) -> str | None:
    """What is wrong with a check, if anything."""
    if not isinstance(check, dict) or not isinstance(check.get("check"), str):
        return "`checks` is a list of objects that name their `check`"
    kind = check["check"]
    if kind not in NEEDED:
        return f"there is no check {kind!r}; the checks are {', '.join(NEEDED)}"
    if missing := [key for key in NEEDED[kind] if key not in check]:
        return f"the check {kind} lacks {', '.join(missing)}"
    numbers = [key for key in check if key.endswith("_ms") or (key in ("min", "max") and kind != "log_level")]
    if odd := [key for key in numbers if not _is_number(check[key])]:
        return f"the check {kind} has {odd[0]} {check[odd[0]]!r}, which is no number"
    if kind == "policy" and not isinstance(check["set"], dict):
        return "the check policy has a `set` that is no object"
    if odd := [key for key in ("response", "of") if not isinstance(check.get(key, ""), str)]:
        return f"the check {kind} has {odd[0]} {check[odd[0]]!r}, which is no text"
    if kind == "audible" and not isinstance(check["is"], bool):
        return f"the check audible has is {check['is']!r}; it takes true or false"
    if odd := [phase for key in ("in", "not_in") for phase in _listed(check.get(key, [])) if phase not in PHASES]:
        return f"the check {kind} has phase {odd[0]!r}; the phases are {', '.join(PHASES)}"
    if kind == "log_level" and check["max"] not in LEVELS:
        return f"the check log_level has max {check['max']!r}; it takes one of {', '.join(LEVELS)}"
    return None


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= LARGEST
