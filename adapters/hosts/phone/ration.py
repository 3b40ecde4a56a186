"""How much may be written to a log (R108): of each kind the first few in a minute, and then how many more there were."""

import logging
from collections.abc import Callable
from time import monotonic

import attrs

from adapters.seam.bounded import Bounded

FEW, MOST = 5, 50
"""How many lines of one kind are written in a window, and how many of one call in all."""
WINDOW_S = 60.0
KINDS = 2_000
"""How many kinds are told apart; beyond that the oldest is forgotten."""
ENDED = "call_ended"


@attrs.define
class _Kind:
    until_s: float
    written: int = 0
    withheld: int = 0


class Ration(logging.Filter):
    """Lets a line pass, or counts it; the next of its kind that passes, and the end of its call, say how many were withheld."""

    def __init__(self, now_s: Callable[[], float] = monotonic) -> None:
        super().__init__()
        self._now_s = now_s
        self._kinds: Bounded[tuple[str, ...], _Kind] = Bounded(KINDS)
        self._calls: Bounded[tuple[str, ...], _Kind] = Bounded(KINDS)

    def filter(self, record: logging.LogRecord) -> bool:
        """May it be written?"""
        fields = getattr(record, "fields", {})
        call = str(fields.get("call", ""))
        whole = self._of(self._calls, (call,)) if call else _Kind(0.0)
        if record.msg == ENDED:
            record.withheld = whole.withheld
            self._calls.pop((call,), None)
            return True
        if whole.written >= MOST:
            whole.withheld += 1
            return False
        kind = self._of(self._kinds, (record.name, str(record.msg), call, str(fields.get("why", "") or fields.get("code", ""))))
        if kind.until_s <= self._now_s():
            kind.until_s, kind.written = self._now_s() + WINDOW_S, 0
        if kind.written >= FEW:
            kind.withheld += 1
            whole.withheld += 1
            return False
        kind.written += 1
        whole.written += 1
        record.withheld, kind.withheld = kind.withheld, 0
        return True

    def _of(self, kinds: dict[tuple[str, ...], _Kind], name: tuple[str, ...]) -> _Kind:
        return kinds.setdefault(name, _Kind(self._now_s() + WINDOW_S))
