"""The wait that a server states, in whatever field and words it does: `retry_after`, a header of that name, "try again in 2.5s" (R92).

What needs no language is read in any: amounts with units, durations and times of ISO 8601, the dates of HTTP, seconds since 1970.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from email.utils import parsedate_to_datetime
from time import time
from typing import Any

LONGEST_MS = 86_400_000.0
"""A day: no call waits as long, and a number without end is none that a trace can hold (R107)."""
LIMITS = (429, 503)
"""The statuses of a server to which we come too often, or at a bad time: it may say when to come again."""
_MOST = 4_096
"""So much of a text is looked at for a duration."""
_DEEPEST = 6
"""How deep a field may lie; a server's nesting is not ours to follow for ever."""
_FIELD = re.compile(
    r"(?:x-)?(?:rate[-_ ]?limit[-_ ]?)?(?:retry[-_ ]?(?:after|in|delay)|wait[-_ ]?(?:for|time)?|reset[-_ ]?(?:after|in|seconds))"
    r"|(?:cool[-_ ]?down|back[-_ ]?off)(?:[-_ ]?(?:m?s|milliseconds|sec(?:ond)?s|time|for))?$"
)
"""A field that states one, before its unit."""
_RESET = re.compile(r"(?=.*rate[-_ ]?limit)(?=.*reset)|resets?[-_ ]?(?:at|time|on)$|(?:x-)?rate[-_ ]?limit$|retry[-_ ]?(?:at|time|date)$")
"""A field that says when a limit is whole again, which may be longer than one has to wait, or when to come again."""
_LEFT = re.compile(r"resets?", re.IGNORECASE), "remaining"
"""How the name of such a field becomes that of the one which tells what is left."""
_TEXT = re.compile(r"(?:error[-_]?|status[-_]?)?(?:message|msg|details?|reason|error|description|title)$")
"""A field that tells of an error in words."""
UNSTATED_MS = 2_000.0
"""What a rate limit asks for that states no wait: a limit fills up again within seconds, and asking at once only uses it up."""
_ABSOLUTE_S, _ABSOLUTE_MS = 1e9, 1e11
"""A number of seconds that is larger is a time, not a wait; and so large a one counts milliseconds."""
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
_SPAN = re.compile(r"P(?:(?P<d>\d+)D)?(?:T(?:(?P<h>\d+)H)?(?:(?P<m>\d+)M)?(?:(?P<s>\d+(?:[.,]\d+)?)S)?)?$")
"""A duration of ISO 8601."""
_CLOCK = re.compile(r"(?:(?P<h>\d{1,4}):)?(?P<m>\d{1,2}):(?P<s>\d{2}(?:\.\d+)?)$")
_SPAN_MS = {"d": 86_400_000.0, "h": 3_600_000.0, "m": 60_000.0, "s": 1_000.0}
_LISTED = re.compile(r"(?:^|[\s,;])(?:reset|t)\s*=\s*(?P<s>\d+)(?![.\d])")
"""The wait in a header that lists what it says: `limit=10, remaining=0, reset=12`, `"default";r=0;t=12`."""
_SINCE, _DATE = re.compile(r"[0-9]{10,13}(?:\.[0-9]+)?"), re.compile(r"[0-9]+-[0-9]")
"""Seconds since 1970, or milliseconds; and a date that is no time."""
_TIME = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:?\d\d)", re.IGNORECASE)
"""A time of ISO 8601 that says in which zone."""
_DURATION = re.compile(
    r"(?<![A-Za-z0-9_.,/:-])(?:P(?:\d+D)?T(?:\d+[HMS])*\d+(?:[.,]\d+)?[HMS]"
    r"|(?:\d+\s?h\s?)?(?:\d+\s?m(?:in)?\s?)?\d+(?:[.,]\d+)?\s?(?:ms|s|secs?|mins?))(?![A-Za-z0-9_/])"
)
"""A duration in a text of whatever language. A bare `5m` may be five million."""
_RATE = re.compile(r"(?:/|\b(?:per|pro|par|por|each|every|any|last))\s*$", re.IGNORECASE)
"""What stands before the time in which so much is allowed."""


def stated_wait_ms(told: Any, now_s: float | None = None) -> float:
    """The wait that a message, or a part of one, asks for, in ms; 0.0 where it asks for none.

    Where it names a time, that is `now_s` (since 1970) before it; None: such a one says nothing.
    """
    fields = list(_fields(told, 0))
    left = {name.lower(): value for name, value in fields}
    for form in (_FIELD, _RESET):
        for name, value in fields:
            if not form.match(name.lower()) or (form is _RESET and _is_left(left.get(_LEFT[0].sub(_LEFT[1], name.lower())))):
                continue
            if wait_ms := field_wait_ms(name, value, now_s):
                return wait_ms
    for words in _texts(fields):
        if wait_ms := wait_in(words):
            return wait_ms
    return 0.0


def duration_ms(told: Any, now_s: float | None = None) -> float:
    """The last duration in the words of a message, in whatever language they are, or the time in them; 0.0 where there is none.

    For one that is about a wait, as that of a rate limit is: it says nothing of what it is the duration of.
    """
    for words in _texts(_fields(told, 0)):
        words = words[:_MOST]
        if now_s is not None and (times := _TIME.findall(words)):
            return _until(times[-1], now_s)
        found = [one for one in _DURATION.finditer(words) if not _RATE.search(words[max(0, one.start() - 9) : one.start()])]
        if found:
            return _amount(found[-1][0], _MS["s"])
    return 0.0


def field_wait_ms(name: str, value: Any, now_s: float | None = None) -> float:
    """The wait in a field that states one, a header perhaps, in ms; see `stated_wait_ms`."""
    if isinstance(value, Mapping):
        return sum(_positive(value.get(part)) * unit for part, unit in _PARTS_MS.items())
    unit_ms = _MS["ms"] if name.lower().endswith(("ms", "millis", "milliseconds")) else _MS["s"]
    if isinstance(value, str):
        return _of_text(value.strip(), unit_ms, now_s)
    if _is_number(value) and _ABSOLUTE_S <= value < LONGEST_MS * _ABSOLUTE_S and now_s is not None:
        return max(0.0, float(value if value < _ABSOLUTE_MS else value / 1000) - now_s) * 1000
    return _positive(value) * unit_ms


def refused_for_s(status: int, headers: Mapping[str, str], answer: Any = None) -> float:
    """How long an HTTP refusal asks to be left alone, in seconds: Retry-After or, where a limit refuses us, whatever says so; else 0.0."""
    own = {name: value for name, value in headers.items() if status in LIMITS or name.lower().startswith("retry-")}
    date = next((value for name, value in headers.items() if name.lower() == "date"), "")
    return min(LONGEST_MS, stated_wait_ms({"headers": own, "answer": answer if status in LIMITS else None}, _clock_of(date))) / 1000


def is_rate_limit(code: str) -> bool:
    """Does a code say that we ask too often?"""
    return code == "429" or "rate_limit" in code or code.lower() in ("too_many_requests", "resource_exhausted")


def wait_in(words: str) -> float:
    """The wait that a text asks for, in ms; 0.0 where it asks for none."""
    found = _WORDS.search(words)
    return _sum(words[found.end() :], _MS["s"]) if found else 0.0


def _is_left(value: Any) -> bool:
    """Is there something left of a limit?"""
    return (_is_number(value) and value > 0) or (isinstance(value, str) and value.strip().isdecimal() and int(value[:9]) > 0)


def _of_text(text: str, unit_ms: float, now_s: float | None) -> float:
    """The wait that a field's text is: a number, amounts, a duration or a time."""
    if _SINCE.fullmatch(text):
        return field_wait_ms("", float(text), now_s)
    if listed := _LISTED.search(text[:_MOST]):
        return float(listed["s"]) * unit_ms
    if text[:1].isalpha() and not text.startswith("P"):
        return 0.0 if now_s is None else _until(text[:64], now_s)
    if stamp := _TIME.match(text):
        return 0.0 if now_s is None else _until(stamp[0], now_s)
    return 0.0 if _DATE.match(text) else _amount(text, unit_ms)


def _amount(text: str, unit_ms: float) -> float:
    """A duration as ISO 8601 or a clock writes it, or amounts with their units."""
    if span := _SPAN.match(text) or _CLOCK.match(text):
        return sum(float(amount.replace(",", ".")) * _SPAN_MS[unit] for unit, amount in span.groupdict().items() if amount)
    return _sum(text, unit_ms)


def _until(stamp: str, now_s: float) -> float:
    """How long it is until a time, in ms; 0.0 when that has passed, or is none."""
    try:
        at = datetime.fromisoformat(stamp.upper()) if stamp[:1].isdigit() else parsedate_to_datetime(stamp)
        return max(0.0, at.timestamp() - now_s) * 1000
    except (ValueError, TypeError, IndexError, OverflowError, OSError):
        return 0.0


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _positive(value: Any) -> float:
    """A number that can be a wait, else 0.0."""
    return float(value) if _is_number(value) and 0 < value < _ABSOLUTE_S else 0.0


def _texts(fields: Iterable[tuple[str, Any]]) -> Iterator[str]:
    """What is said in words."""
    return (value for name, value in fields if isinstance(value, str) and _TEXT.match(name.lower()))


def _sum(text: str, unit_ms: float) -> float:
    """The amounts with which a text begins, "1m 2.5s"; a number without a unit counts in `unit_ms`."""
    text, total_ms, at = text[:_MOST], 0.0, 0
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


def _clock_of(date: str) -> float:
    """What time it is, since 1970, by the Date of an answer: the clock by which its other times are meant; without one, by ours."""
    try:
        return parsedate_to_datetime(date).timestamp()
    except (ValueError, TypeError, IndexError, OverflowError, OSError):
        return time()
