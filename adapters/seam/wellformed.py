"""Text from outside, made whole before it goes anywhere (R105): JSON may hold halves of characters, which nothing can encode."""

import json
import math
import re
from typing import Any, NoReturn

_HALF = re.compile(r"\\u[dD][89a-fA-F]")
"""How JSON writes half of a character."""


def well_formed(text: str) -> str:
    """The text with U+FFFD in place of half characters; two halves that belong together become one."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text


def printable(text: str) -> str:
    """The text for a terminal: what would steer it, an escape perhaps, becomes U+FFFD."""
    return text if text.isprintable() else "".join(sign if sign.isprintable() or sign == "\n" else "\ufffd" for sign in text)


def read_json(text: str) -> Any:
    """What a JSON text says, all of its strings well-formed. Raises ValueError: NaN is no JSON, nor is what lies too deep."""
    try:
        value = _DECODER.decode(text)
        return _mended(value) if _HALF.search(text) else value
    except RecursionError:
        raise ValueError("nested too deep") from None


def _mended(value: Any) -> Any:
    if isinstance(value, str):
        return well_formed(value)
    if isinstance(value, list):
        return [_mended(one) for one in value]
    if isinstance(value, dict):
        return {well_formed(name): _mended(one) for name, one in value.items()}
    return value


def _no_constant(_: str) -> NoReturn:
    raise ValueError("NaN and its like are no JSON")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError("a number is too large")
    return number


_DECODER = json.JSONDecoder(parse_constant=_no_constant, parse_float=_finite)
