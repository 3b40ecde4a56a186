"""How a stand-in agent uses the client's functions: which one the caller's words ask for, with what arguments, and how a result is said.

It goes by words alone, so the same words give the same call: a function is asked for by a word of its name or its description.
Arguments are made to fit the function's JSON Schema, from the caller's words as far as they hold what is wanted.
"""

import json
import re
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

from adapters.standin.realtime.turns import Call, Tool, Turn

Schema = Mapping[str, Any]

RESULT_CHARS = 300
"""How much of a result is said: about twenty seconds."""
DEEPEST, MOST_ITEMS = 6, 5
"""What lies deeper in a schema is filled with the caller's words, and no array gets more items: a schema must not fill the memory."""
DATE = "2027-01-15"
"""The day of whoever asks for a day in the format of a date."""
_EVERY_DAY = frozenset(
    re.findall(
        r"\w+",
        "a about after again all an and any are as at be by call caller can customer data date do find for from "
        "function gets get give given have he help how i if in info information is it its look lookup make may me my "
        "name need of on one or our please query returns return run search set shall she show some tell that the their "
        "them they this time to today tool up use used user want what when where which who will with would you your",
    )
)
"""Words that are in every description and ask for nothing."""
_NUMBERS = {
    **{"one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6},
    **{"seven": 7, "eight": 8, "nine": 9, "ten": 10, "eleven": 11, "twelve": 12},
}
_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday", "today", "tomorrow", "tonight")


def wanted(turn: Turn) -> Call | None:
    """The function call that the caller's latest words ask for, or that the client demands; None for an answer in words."""
    if not turn.offers or not (turn.caller_spoke_last or turn.must_call):
        return None
    heard = set(_stems(turn.heard))
    scores = [3 * len(heard & set(_stems(_spaced(one.name)))) + len(heard & set(_stems(one.description))) for one in turn.offers]
    best = max(range(len(scores)), key=scores.__getitem__)
    if not scores[best] and not turn.must_call:
        return None
    return Call(turn.offers[best].name, json.dumps(_arguments(turn.offers[best], turn.heard)))


def told(output: str) -> str:
    """How the result of a function is said."""
    try:
        value = json.loads(output)
    except (ValueError, RecursionError):
        value = output
    if isinstance(value, dict) and value.get("error"):
        return f"I am sorry, that did not work: {_said(value['error'])}."
    words = _said(value)
    return f"I have looked it up: {words}." if words else "That is done."


def _said(value: Any) -> str:
    """A JSON value in words, cut to a length that can be listened to."""
    if isinstance(value, dict):
        text = ", ".join(f"{_spaced(str(name))} {_said(one)}" for name, one in value.items())
    elif isinstance(value, list):
        text = ", ".join(_said(one) for one in value)
    else:
        text = {True: "yes", False: "no", None: "nothing"}.get(value) or str(value) if isinstance(value, bool | None) else str(value)
    return text.strip().rstrip(".")[:RESULT_CHARS]


def _spaced(name: str) -> str:
    """A name of code as words: `getWeather` and `get_weather` are get weather."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])|[_\-.]+", " ", name).strip()


def _stems(text: str) -> list[str]:
    """The words of a text that ask for something, in small letters and without the s of a plural."""
    words = re.findall(r"[a-z]+", re.sub(r"'s\b", "", text.lower()))
    return [re.sub(r"(?<=...)s$", "", word) for word in words if word not in _EVERY_DAY]


def _arguments(tool: Tool, heard: str) -> dict[str, Any]:
    """Arguments that fit: what is required, and what else the caller's words hold."""
    value = _value({"type": "object", **tool.parameters}, "", heard, 0)
    return value if isinstance(value, dict) else {}


def _value(schema: Any, name: str, heard: str, depth: int) -> Any:
    """A value that fits the schema of the property `name`."""
    if not isinstance(schema, Mapping) or depth > DEEPEST:
        return heard
    if "const" in schema:
        return schema["const"]
    if isinstance(schema.get("enum"), list) and schema["enum"]:
        return next((one for one in schema["enum"] if str(one).lower() in heard.lower().split()), schema["enum"][0])
    for several in ("anyOf", "oneOf"):
        if isinstance(schema.get(several), list) and schema[several]:
            return _value(schema[several][0], name, heard, depth + 1)
    kind = schema.get("type", "string")
    kind = next((one for one in kind if one != "null"), "null") if isinstance(kind, list) and kind else kind
    if kind == "object":
        return _object(schema, heard, depth)
    if kind == "array":
        return [
            _value(schema.get("items", {}), name, heard, depth + 1)
            for _ in range(min(max(1, _whole(schema.get("minItems"), 1)), MOST_ITEMS))
        ]
    if kind in ("integer", "number"):
        return _number(schema, heard)
    if kind == "boolean":
        return bool(schema.get("default", True))
    return None if kind == "null" else _text(schema, name, heard)


def _object(schema: Schema, heard: str, depth: int) -> dict[str, Any]:
    """The required properties, and those that the caller's words fill."""
    properties = schema.get("properties")
    if not isinstance(properties, Mapping):
        return {}
    required = schema.get("required") or []
    return {
        name: _value(inner, name, heard, depth + 1)
        for name, inner in properties.items()
        if name in required or set(_stems(_spaced(str(name)))) & set(_stems(heard))
    }


def _number(schema: Schema, heard: str) -> int | float:
    """The first number in the words, if it lies within the bounds; else the default, or the least."""
    low, high = schema.get("minimum", 1), schema.get("maximum", 1e9)
    found = [int(word) if word.isdigit() else _NUMBERS[word] for word in re.findall(r"\d+|[a-z]+", heard.lower()) if _is_number(word)]
    return next((one for one in found if low <= one <= high), schema.get("default", low))


def _is_number(word: str) -> bool:
    return word.isdigit() or word in _NUMBERS


def _text(schema: Schema, name: str, heard: str) -> str:
    """A day or a place where one is wanted, else the default or all that the caller said, within the bounds."""
    words = re.findall(r"[A-Za-z']+", heard)
    about = _spaced(name).lower()
    if schema.get("format") in ("date", "date-time", "time"):
        return {"date": DATE, "date-time": f"{DATE}T09:00:00Z", "time": "09:00:00Z"}[schema["format"]]
    if any(part in about for part in ("date", "day", "when")):
        return next((word for word in words if word.lower() in _DAYS), str(schema.get("default", "tomorrow")))
    if any(part in about for part in ("city", "place", "location", "town", "where")):
        after = [word for before, word in pairwise(words) if before.lower() in ("in", "at", "for", "near")]
        return next((word for word in after if word.lower() not in ("the", "a", "an", *_DAYS)), str(schema.get("default", "London")))
    text = str(schema.get("default", heard)) or about or "nothing"
    least, most = _whole(schema.get("minLength"), 0), _whole(schema.get("maxLength"), RESULT_CHARS)
    return text[:most].ljust(least, ".")


def _whole(value: Any, otherwise: int) -> int:
    """A whole number of a schema, as far as it is one."""
    return value if type(value) is int and 0 <= value <= RESULT_CHARS else otherwise
