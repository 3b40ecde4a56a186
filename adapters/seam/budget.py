"""How much may come from outside in a time (R106): bounds what one connection can cost the others."""

from collections.abc import Callable
from time import monotonic

BURST_S = 30.0
"""How much may come at once, as after a network that stood still: that of so many seconds."""


class Budget:
    """So much a second, and that of BURST_S at once."""

    def __init__(self, a_second: float, now_s: Callable[[], float] = monotonic) -> None:
        self._a_second, self._most, self._now_s = a_second, a_second * BURST_S, now_s
        self._left, self._at_s = self._most, now_s()

    def takes(self, amount: float) -> bool:
        """Take it, if it is not too much."""
        now_s = self._now_s()
        self._left = min(self._most, self._left + (now_s - self._at_s) * self._a_second) - amount
        self._at_s = now_s
        return self._left >= 0
