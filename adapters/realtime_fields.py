"""How a message of the realtime wire is read: a field by its path, whatever the server may have sent; no meaning is given in here."""

from collections.abc import Mapping
from typing import Any


class Malformed(Exception):
    """A message lacks what its type promises; the text says what."""


def value_at(message: Any, *path: str) -> Any:
    """What lies at a path of object fields, None where there is nothing."""
    for name in path:
        message = message.get(name) if isinstance(message, Mapping) else None
    return message


def text_at(message: Any, *path: str, default: str | None = None) -> str:
    """The text at a path; `default` stands in for null or nothing. Raises Malformed."""
    value = value_at(message, *path)
    value = default if value is None else value
    if not isinstance(value, str):
        raise Malformed(f"{'.'.join(path)} is missing or is no text")
    return value


def name_at(message: Any, *path: str) -> str:
    """The text at a path, which must not be empty. Raises Malformed."""
    value = text_at(message, *path)
    if not value:
        raise Malformed(f"{'.'.join(path)} is empty")
    return value
