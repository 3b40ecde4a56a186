"""The wait that a server states, in whatever field and words it does: `retry_after`, a header of that name, "try again in 2.5s" (R92)."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

LONGEST_MS = 86_400_000.0
"""A day: no call waits as long, and a number without end is none that a trace can hold (R107)."""
_DEEPEST = 6
"""How deep a field may lie; a server's nesting is not ours to follow for ever."""
_FIELD = re.compile(
    r"(?:x-)?(?:rate[-_ ]?limit[-_ ]?)?(?:retry[-_ ]?(?:after|in|delay)|wait[-_ ]?(?:for|time)?|reset[-_ ]?(?:after|in|seconds))"
    r"|(?:cool[-_ ]?down|back[-_ ]?off)(?:[-_ ]?(?:m?s|milliseconds|sec(?:ond)?s|time|for))?$"
)
"""A field that states one, before its unit."""
_RESET = re.compile(r"(?:x-)?rate[-_ ]?limit[-_ ]?reset(?:[-_ ]?(?:tokens|requests))?$")
"""A field that says when a limit is whole again, which may be longer than one has to wait."""
_TEXT = re.compile(r"(?:error[-_]?|status[-_]?)?(?:message|msg|details?|reason|error|description|title)$")
"""A field that tells of an error in words."""
UNSTATED_MS = 2_000.0
"""What a rate limit asks for that states no wait: a limit fills up again within seconds, and asking at once only uses it up."""
_ABSOLUTE_S = 1e9
"""A number of seconds that is larger is a time, not a wait."""
_MS = {"ms": 1.0, "s": 1_000.0, "m": 60_000.0, "h": 3_600_000.0}
_UNIT = r"(?:(?P<ms>ms|milli-?sec(?:ond)?s?)|(?P<s>s(?:ec(?:ond)?s?)?)|(?P<m>m(?:in(?:ute)?s?)?)|(?P<h>h(?:(?:ou)?rs?)?))(?![a-z])"
_AMOUNT = re.compile(rf"(?P<number>\d+(?:[.,]\d+)?)\s*(?:{_UNIT})?[\s,]*", re.IGNORECASE)
_PARTS_MS = {"milliseconds": 1.0, "millis": 1.0, "ms": 1.0, "seconds": 1_000.0, "secs": 1_000.0, "s": 1_000.0, "nanos": 1e-6}
_WORDS = re.compile(
    r"\b(?:again|retry(?:ing)?|wait(?:ing)?|available|allowed|(?:another|next|new)\s+request|resets?)"
    r"(?:[\W_]+(?:in|after|for|about|around|approximately|roughly|at\s+least|another|your|the|this|request|call))*"
    r"[^\w-]*(?=\d)(?!\d+(?::|[-/]\d+[-/])\d)",
    re.IGNORECASE,
)
"""What stands before a wait in words; a date or a time of the day is none."""


def stated_wait_ms(told: Any) -> float:
    """The wait that a message, or a part of one, asks for, in ms; 0.0 where it asks for none."""
    for form in (_FIELD, _RESET):
        for name, value in _fields(told, 0):
            if form.match(name.lower()) and (wait_ms := _of_field(name.lower(), value)):
                return wait_ms
    for name, value in _fields(told, 0):
        if isinstance(value, str) and _TEXT.match(name.lower()) and (wait_ms := wait_in(value)):
            return wait_ms
    return 0.0


def is_rate_limit(code: str) -> bool:
    """Does a code say that we ask too often?"""
    return code == "429" or "rate_limit" in code or code.lower() in ("too_many_requests", "resource_exhausted")


def wait_in(words: str) -> float:
    """The wait that a text asks for, in ms; 0.0 where it asks for none."""
    found = _WORDS.search(words)
    return _sum(words[found.end() :], _MS["s"]) if found else 0.0


def _of_field(name: str, value: Any) -> float:
    if isinstance(value, Mapping):
        return sum(_positive(value.get(part)) * unit for part, unit in _PARTS_MS.items())
    unit = _MS["ms"] if name.endswith(("ms", "millis", "milliseconds")) else _MS["s"]
    if isinstance(value, str):
        # a date, as HTTP allows one, begins with no digit
        return _sum(value.strip().removeprefix("PT"), unit)
    return _positive(value) * unit


def _positive(value: Any) -> float:
    """A number that can be a wait, else 0.0."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number and 0 < value < _ABSOLUTE_S else 0.0


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
