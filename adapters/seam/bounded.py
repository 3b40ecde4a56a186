"""A memory that forgets its oldest: what a port remembers of the far side never grows (R07)."""

from typing import Any, TypeVar

K = TypeVar("K")
V = TypeVar("V")

REMEMBERED = 64
"""How many commands, items and foreign responses are remembered; a call has a handful of each open at a time."""


class Bounded(dict[K, V]):
    """A dict in which `memory[key] = value` forgets the oldest key beyond `most`; a key that is set again keeps its age."""

    def __init__(self, most: int = REMEMBERED) -> None:
        super().__init__()
        self._most = most

    def __setitem__(self, key: K, value: V) -> None:
        super().__setitem__(key, value)
        if len(self) > self._most:
            del self[next(iter(self))]


def remember(store: dict[str, Any], key: str, value: Any) -> None:
    """Keep a value under a key, and forget the oldest beyond REMEMBERED (R07)."""
    store[key] = value
    if len(store) > REMEMBERED:
        del store[next(iter(store))]
