"""What those who watch a call are sent: the document of its page as it grows, and how loud both sides are; bounded, and no socket in here.

Each onlooker keeps its place in what there is, so that a slow one costs nothing: it is sent more at a time.
"""

import json
import math
from collections.abc import Callable
from typing import Any

import anyio
import attrs
import numpy as np

from adapters.seam.ports import RATE_HZ
from adapters.telling.page.document import Telling
from adapters.telling.page.sound import ENVELOPE_HZ
from fsm.call import events as ev
from fsm.call.snapshot import Call
from fsm.engine.machine import Step

MOST_STEPS = 50_000
"""After so many steps, hours of a call, its page stands still; the trace goes on."""
MOST_LEVELS = 24 * 3600 * ENVELOPE_HZ
LAG_MS = 100
"""What was heard of the agent is known a little later than it was heard."""


@attrs.define
class Place:
    """How far an onlooker has been told."""

    call: int = -1
    steps: int = 0
    levels: int = 0
    ended: bool = False
    saved: bool = False


@attrs.define(eq=False)
class _Shown:
    """What there is of a call."""

    telling: Telling
    now_ms: Callable[[], float]
    steps: list[str] = attrs.Factory(list)
    end: dict[str, Any] | None = None
    saved: str = ""
    levels: dict[str, bytearray] = attrs.Factory(lambda: {"caller": bytearray(), "agent": bytearray()})


class Broadcast:
    """The call that is held, or the last one, for all who watch; a `Watch` of the driver."""

    def __init__(self, call: Call) -> None:
        """Show `call`, which never begins, until one does."""
        self.news = anyio.Event()
        """Set at the next news, and another then takes its place."""
        self.live = False
        """Does the call go on?"""
        self._number = 0
        self._shown = _Shown(Telling(call), float)

    def begin(self, call: Call, now_ms: Callable[[], float]) -> None:
        """A call begins, and takes the place of the last; `now_ms` is its clock."""
        self._number, self.live = self._number + 1, True
        self._shown = _Shown(Telling(call), now_ms)
        self._ring()

    def __call__(self, event: ev.Event, answer: Step[Call]) -> None:
        """Note a step."""
        shown = self._shown
        if len(shown.steps) < MOST_STEPS:
            shown.steps.append(json.dumps(shown.telling.step(event, answer), separators=(",", ":")))
            self._ring()

    def end(self) -> None:
        """The call is over."""
        self.live, self._shown.end = False, self._shown.telling.end()
        self._ring()

    def saved(self, words: str) -> None:
        """What the call left behind is there; `words` say where."""
        self._shown.saved = words
        self._ring()

    def hear(self, who: str, start_ms: float, pcm: bytes) -> None:
        """Note how loud `who`, the caller or the agent, was from `start_ms` on: the peak of each 10 ms (s16le, 24 kHz)."""
        size = RATE_HZ // ENVELOPE_HZ
        side = np.abs(np.frombuffer(pcm, "<i2").astype(np.int32))
        peaks = np.pad(side, (0, -side.size % size)).reshape(-1, size).max(axis=1) * 255 // 32_768
        levels, at = self._shown.levels[who], max(0, round(start_ms * ENVELOPE_HZ / 1000))
        if at + len(peaks) <= MOST_LEVELS:
            levels.extend(bytes(max(0, at + len(peaks) - len(levels))))
            levels[at : at + len(peaks)] = bytes(peaks.astype(np.uint8))
            self._ring()

    def message(self, place: Place) -> str | None:
        """What `place` has not been told yet, as one message; None where there is nothing."""
        parts: list[str] = []
        shown = self._shown
        if place.call != self._number:
            place.call, place.steps, place.levels, place.ended, place.saved = self._number, 0, 0, False, False
            parts.append(f'"head":{json.dumps(shown.telling.head())}')
        if place.steps < len(shown.steps):
            parts.append(f'"steps":[{",".join(shown.steps[place.steps :])}]')
            place.steps = len(shown.steps)
        if place.levels < (known := self._known()):
            parts.append(f'"levels":{json.dumps(self._slice(place.levels, known))}')
            place.levels = known
        if shown.end is not None and not place.ended:
            place.ended = True
            parts.append(f'"end":{json.dumps(shown.end)}')
        if shown.saved and not place.saved:
            place.saved = True
            parts.append(f'"saved":{json.dumps(shown.saved)}')
        if not parts:
            return None
        parts.append(f'"live":{json.dumps(self.live)},"now":{shown.now_ms() if self.live else 0:.1f}')
        return f"{{{','.join(parts)}}}"

    def _known(self) -> int:
        """How many levels are final."""
        shown = self._shown
        longest = max(map(len, shown.levels.values()))
        return min(longest, max(0, math.floor((shown.now_ms() - LAG_MS) * ENVELOPE_HZ / 1000))) if self.live else longest

    def _slice(self, begin: int, end: int) -> dict[str, Any]:
        return {"from": begin, **{who: list(levels[begin:end].ljust(end - begin, b"\0")) for who, levels in self._shown.levels.items()}}

    def _ring(self) -> None:
        self.news.set()
        self.news = anyio.Event()
