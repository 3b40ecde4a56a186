"""Checks of what a client sent, put together from small ones, and the refusal that they raise; they know JSON and no event of the wire.

A check takes a value and the path at which it lies, and raises Refused with the code and the words of the original.
"""

from collections.abc import Callable, Mapping
from typing import Any

Check = Callable[[Any, str], None]


class Refused(Exception):
    """A client event that is not carried out; becomes an `error` event."""

    def __init__(self, code: str, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.code, self.message, self.param = code, message, param


def typed(value: Any, path: str, wanted: str, *types: type) -> None:
    """A value of one of the types, which `wanted` names."""
    if type(value) not in types:
        raise Refused("invalid_type", f"Invalid type for '{path}': expected {wanted}, but got {name_of(value)} instead.", path)


def text(value: Any, path: str) -> None:
    """A string."""
    typed(value, path, "a string", str)


def flag(value: Any, path: str) -> None:
    """A boolean."""
    typed(value, path, "a boolean", bool)


def anything(value: Any, path: str) -> None:
    """What the stand-in only echoes, as long as it can be copied."""
    level, depth = [value], 0
    while level:
        depth += 1
        if depth > 50:
            raise Refused("invalid_value", f"Invalid '{path}': it is nested more than 50 deep.", path)
        level = [inner for one in level if isinstance(one, dict | list) for inner in (one.values() if isinstance(one, dict) else one)]


def unsupported(value: Any, path: str) -> None:
    """Something of the original's that the stand-in does not have."""
    if value is not None:
        raise Refused("invalid_value", f"Invalid '{path}': this stand-in does not support it. Leave it out or send null.", path)


def number(low: float, high: float, *, whole: bool = False) -> Check:
    """A number from `low` to `high`."""
    wanted, types, kind = ("an integer", (int,), "integer") if whole else ("a number", (int, float), "decimal")

    def check(value: Any, path: str) -> None:
        typed(value, path, wanted, *types)
        if not low <= value <= high:
            side, sign, bound = ("below_min", ">=", low) if value < low else ("above_max", "<=", high)
            code = f"{kind}_{side}_value"
            words = "below minimum" if value < low else "above maximum"
            raise Refused(
                code, f"Invalid '{path}': {kind} {words} value. Expected a value {sign} {bound:g}, but got {value} instead.", path
            )

    return check


def one_of(*allowed: Any) -> Check:
    """One of a few values."""

    def check(value: Any, path: str) -> None:
        if not any(value == one and type(value) is type(one) for one in allowed):
            listed = ", ".join(f"'{one}'" for one in allowed)
            raise Refused("invalid_value", f"Invalid value: '{value}'. Supported values are: {listed}.", path)

    return check


def null_or(inner: Check) -> Check:
    """null, or what `inner` takes."""

    def check(value: Any, path: str) -> None:
        if value is not None:
            inner(value, path)

    return check


def by_type(**checks: Check) -> Check:
    """One check for each JSON type that is allowed; the names are those of Python's types."""

    def check(value: Any, path: str) -> None:
        inner = checks.get(type(value).__name__)
        if inner is None:
            typed(value, path, " or ".join(checks))
        else:
            inner(value, path)

    return check


def array(inner: Check) -> Check:
    """An array of what `inner` takes."""

    def check(value: Any, path: str) -> None:
        typed(value, path, "an array", list)
        for place, one in enumerate(value):
            inner(one, f"{path}[{place}]")

    return check


def record(needs: Mapping[str, Check] | None = None, /, **may: Check) -> Check:
    """An object with the fields that it needs, those that it may have, and no others."""
    needed = dict(needs or {})
    fields = may | needed

    def check(value: Any, path: str) -> None:
        typed(value, path, "an object", dict)
        prefix = f"{path}." if path else ""
        for name in needed:
            if name not in value:
                raise Refused("missing_required_parameter", f"Missing required parameter: '{prefix}{name}'.", prefix + name)
        for name, inner in value.items():
            if name not in fields:
                raise Refused("unknown_parameter", f"Unknown parameter: '{prefix}{name}'.", prefix + name)
            fields[name](inner, prefix + name)

    return check


def variant(key: str, kinds: dict[str, Check]) -> Check:
    """An object whose `key` says which of the `kinds` it is."""
    known = one_of(*kinds)

    def check(value: Any, path: str) -> None:
        typed(value, path, "an object", dict)
        place = f"{path}.{key}" if path else key
        if key not in value:
            raise Refused("missing_required_parameter", f"Missing required parameter: '{place}'.", place)
        known(value[key], place)
        kinds[value[key]](value, path)

    return check


def name_of(value: Any) -> str:
    """What the original calls a value of this type."""
    names = {bool: "a boolean", int: "an integer", float: "a decimal", str: "a string", list: "an array", dict: "an object"}
    return names.get(type(value), "null")
