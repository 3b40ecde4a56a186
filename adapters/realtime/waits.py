"""The wait that a server states, in whatever field and words it does: `retry_after`, a header of that name, "try again in 2.5s" (R92)."""

import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

LONGEST_MS = 86_400_000.0
"""A day: no call waits as long, and a number without end is none that a trace can hold (R107)."""
_DEEPEST = 6
"""How deep a field may lie; a server's nesting is not ours to follow for ever."""
_FIELD = re.compile(
    r"(?:x-)?(?:rate[-_ ]?limit[-_ ]?)?(?:retry[-_ ]?(?:after|in|delay)|wait[-_ ]?(?:for|time)?|reset[-_ ]?(?:after|in|seconds))"
)
"""A field that states one, before its unit."""
_MS = {"ms": 1.0, "s": 1_000.0, "m": 60_000.0, "h": 3_600_000.0}
_UNIT = r"(?:(?P<ms>ms|milli-?sec(?:ond)?s?)|(?P<s>s(?:ec(?:ond)?s?)?)|(?P<m>m(?:in(?:ute)?s?)?)|(?P<h>h(?:(?:ou)?rs?)?))(?![a-z])"
_AMOUNT = re.compile(rf"(?P<number>\d+(?:[.,]\d+)?)\s*(?:{_UNIT})?[\s,]*", re.IGNORECASE)
_WORDS = re.compile(
    r"(?:try(?:ing)?\s+again|retry(?:[-_ ]after)?|wait(?:ing)?|available\s+again|resets?)(?:\W+[a-z]+){0,3}?\W*(?=\d)", re.IGNORECASE
)


def stated_wait_ms(told: Any) -> float:
    """The wait that a message, or a part of one, asks for, in ms; 0.0 where it asks for none."""
    for name, value in _fields(told, 0):
        if _FIELD.match(name.lower()) and (wait_ms := _of_field(name.lower(), value)):
            return wait_ms
    for name, value in _fields(told, 0):
        if (
            isinstance(value, str)
            and name.lower() in ("message", "detail", "reason", "error", "description")
            and (wait_ms := wait_in(value))
        ):
            return wait_ms
    return 0.0


def wait_in(words: str) -> float:
    """The wait that a text asks for, in ms; 0.0 where it asks for none."""
    found = _WORDS.search(words)
    return _sum(words[found.end() :], _MS["s"]) if found else 0.0


def _of_field(name: str, value: Any) -> float:
    unit = _MS["ms"] if name.endswith(("ms", "millis", "milliseconds")) else _MS["s"]
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return 0.0
    if isinstance(value, str):
        # a date, as HTTP allows one, begins with no digit
        return _sum(value.strip(), unit)
    return value * unit if math.isfinite(value) and value > 0 else 0.0


def _sum(text: str, unit_ms: float) -> float:
    """The amounts with which a text begins, "1m 2.5s"; a number without a unit counts in `unit_ms`."""
    total_ms, at = 0.0, 0
    while amount := _AMOUNT.match(text, at):
        name = next((name for name in _MS if amount[name]), "")
        if at and not name:
            break
        total_ms += float(amount["number"].replace(",", ".")) * _MS.get(name, unit_ms)
        at = amount.end()
        if not name:
            break
    return total_ms


def _fields(told: Any, depth: int) -> Iterator[tuple[str, Any]]:
    """Every field of an object and of those in it, by its own name."""
    if depth > _DEEPEST:
        return
    if isinstance(told, Mapping):
        for name, value in told.items():
            yield str(name), value
            yield from _fields(value, depth + 1)
    elif isinstance(told, list):
        for one in told[:32]:
            yield from _fields(one, depth + 1)
