"""A memory that forgets its oldest: what a port remembers of the far side never grows (R07)."""

from typing import TypeVar

K = TypeVar("K")
V = TypeVar("V")

REMEMBERED = 64
"""How many commands, items and foreign responses are remembered; a call has a handful of each open at a time."""


class Bounded(dict[K, V]):
    """A dict in which a new key makes the oldest be forgotten beyond `most`; a key that is set again keeps its age."""

    def __init__(self, most: int = REMEMBERED) -> None:
        super().__init__()
        self._most = most

    def __setitem__(self, key: K, value: V) -> None:
        super().__setitem__(key, value)
        if len(self) > self._most:
            del self[next(iter(self))]

    def setdefault(self, key: K, default: V) -> V:
        """As a dict's, but for the oldest."""
        if key not in self:
            self[key] = default
        return self[key]
