"""A memory that forgets its oldest: what a port remembers of the far side never grows (R07)."""

from typing import Any

REMEMBERED = 64
"""How many commands, items and foreign responses are remembered; a call has a handful of each open at a time."""


def remember(store: dict[str, Any], key: str, value: Any) -> None:
    """Keep a value under a key, and forget the oldest beyond REMEMBERED (R07)."""
    store[key] = value
    if len(store) > REMEMBERED:
        del store[next(iter(store))]
