"""Delta debugging: what is left of a failing sequence of which nothing can be spared."""

from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def smallest(parts: list[T], fails: Callable[[list[T]], bool]) -> list[T]:
    """Zeller's ddmin, with complements alone: drop a part in `pieces`, ever finer, while it still fails."""
    pieces = 2
    while parts:
        size = -(-len(parts) // pieces)
        for at in range(0, len(parts), size):
            kept = parts[:at] + parts[at + size :]
            if fails(kept):
                parts, pieces = kept, max(2, pieces - 1)
                break
        else:
            if size <= 1:
                break
            pieces = min(len(parts), pieces * 2)
    return parts
