"""What those who watch a call are sent: the document of its page as it grows, and how loud both sides are; bounded, and no socket in here.

The call itself pays for an event that is kept, and for nothing else: a step is taken once more, and told, when somebody looks. Each
onlooker keeps its place in what there is, so that a slow one costs nothing: it is sent more at a time.
"""

import json
import math
from collections.abc import Callable
from typing import Any

import anyio
import attrs
import numpy as np

from adapters.seam import mulaw
from adapters.seam.errors import without_key
from adapters.seam.ports import FRAME_MS, PCM, PCMU, Sound
from adapters.telling.page.document import Telling
from adapters.telling.page.sound import ENVELOPE_HZ
from adapters.telling.trace import fold, text_of
from fsm.call import events as ev
from fsm.call.machine import step
from fsm.call.snapshot import Call
from fsm.engine.machine import Step

MOST_STEPS = 50_000
"""After so many steps, hours of a call, its page stands still; the trace goes on."""
MOST_AT_ONCE = 50
"""How many steps are told at a time: some 3 ms of work, in which no call is served."""
MOST_LEVELS = 24 * 3600 * ENVELOPE_HZ
LAG_MS = 100
"""What was heard of the agent is known a little later than it was heard."""


class Shown:
    """A call as it is shown: a `Watch` of its driver, and an onlooker of its line."""

    def __init__(self, call: Call, now_ms: Callable[[], float] = float, *, redact: bool = False, key: str | None = None) -> None:
        """`now_ms` is the call's clock; `redact` leaves out words, numbers and ids; `key` is what nobody may read (R96)."""
        self.redacted = redact
        self.live = True
        """Does it go on?"""
        self.saved = ""
        """Where what it left behind is, in words, once that is there."""
        self.looked_at: Callable[[], object] = _nothing
        """Called when somebody looks for the first time."""
        self.levels: dict[str, bytearray] = {"caller": bytearray(), "agent": bytearray()}
        self._begun = self._call = call
        self._now_ms, self._key = now_ms, key
        self._events: list[ev.Event] = []
        self._telling = Telling(call, redact=redact)
        self._told: list[str] = []
        self._over = False
        self._end: str | None = None
        self._waiting: anyio.Event | None = None

    def __call__(self, event: ev.Event, _: Step[Call]) -> None:
        """Keep a step's event."""
        if len(self._events) < MOST_STEPS:
            self._events.append(event)
            self.ring()

    def end(self) -> None:
        """The call is over."""
        self.live, self._over = False, True
        self.ring()

    def save(self, words: str) -> None:
        """What the call left behind is there; `words` say where."""
        self.saved = words
        self.ring()

    def hear(self, who: str, start_s: float | None, sound: bytes, of: Sound = PCM) -> None:
        """Note how loud `who`, the caller or the agent, was from `start_s` on, or just now (None): the peak of each 10 ms."""
        size = of.rate_hz // ENVELOPE_HZ
        pcm = mulaw.decode(sound) if of is PCMU else sound
        side = np.abs(np.frombuffer(pcm, "<i2").astype(np.int32))
        peaks = np.pad(side, (0, -side.size % size)).reshape(-1, size).max(axis=1) * 255 // 32_768
        ago_ms = FRAME_MS if start_s is None else (anyio.current_time() - start_s) * 1000
        levels, at = self.levels[who], max(0, round((self._now_ms() - ago_ms) * ENVELOPE_HZ / 1000))
        if at + len(peaks) <= MOST_LEVELS:
            levels.extend(bytes(max(0, at + len(peaks) - len(levels))))
            levels[at : at + len(peaks)] = bytes(peaks.astype(np.uint8))
            self.ring()

    def trace(self) -> str:
        """What has happened so far, as a trace."""
        return text_of(self._begun, fold(self._begun, self._events), self._key)

    async def news(self) -> None:
        """Wait until something is new."""
        if self._waiting is None:
            self._waiting = anyio.Event()
        await self._waiting.wait()

    def ring(self) -> None:
        """Have those who wait look again."""
        if self._waiting is not None:
            self._waiting.set()
            self._waiting = None

    def told(self, place: "Place") -> str | None:
        """What `place` has not been told yet, as one message; None where there is nothing."""
        self.looked_at()
        self.looked_at = _nothing
        self._tell()
        parts: list[str] = []
        if place.of is not self:
            place.of, place.steps, place.levels, place.ended, place.saved = self, 0, 0, False, False
            parts.append(f'"head":{json.dumps(self._telling.head())}')
        if place.steps < len(self._told):
            parts.append(f'"steps":[{",".join(self._told[place.steps :])}]')
            place.steps = len(self._told)
        if place.levels < (known := self._known()):
            parts.append(f'"levels":{json.dumps(self._slice(place.levels, known))}')
            place.levels = known
        if self._end is not None and not place.ended:
            place.ended = True
            parts.append(f'"end":{self._end}')
        if self.saved and not place.saved:
            place.saved = True
            parts.append(f'"saved":{json.dumps(self.saved)}')
        if not parts:
            return None
        live = self.live or (self._over and self._end is None)
        parts.append(f'"live":{json.dumps(live)},"now":{self._now_ms() if live else 0:.1f}')
        return without_key(f"{{{','.join(parts)}}}", self._key)

    def _tell(self) -> None:
        """Take a few of the steps that nobody has been told of, and, behind the last one, the end."""
        for event in self._events[len(self._told) : len(self._told) + MOST_AT_ONCE]:
            answer = step(self._call, event)
            self._call = answer.snapshot
            self._told.append(json.dumps(self._telling.step(event, answer), separators=(",", ":")))
        if self._over and self._end is None and len(self._told) == len(self._events):
            self._end = json.dumps(self._telling.end())

    def _known(self) -> int:
        """How many levels are final."""
        longest = max(map(len, self.levels.values()))
        return min(longest, max(0, math.floor((self._now_ms() - LAG_MS) * ENVELOPE_HZ / 1000))) if self.live else longest

    def _slice(self, begin: int, end: int) -> dict[str, Any]:
        return {"from": begin, **{who: list(levels[begin:end].ljust(end - begin, b"\0")) for who, levels in self.levels.items()}}


def _nothing() -> None:
    """Nobody wants to know."""


@attrs.define
class Place:
    """How far an onlooker has been told."""

    of: Shown | None = None
    steps: int = 0
    levels: int = 0
    ended: bool = False
    saved: bool = False


class Stage:
    """Where one call at a time is shown: the one that is held, or the last one."""

    def __init__(self, call: Call) -> None:
        """Show `call`, which never begins, until one does."""
        self._shown = Shown(call)
        self._shown.live = False

    def shown(self, _: str = "") -> Shown:
        """The call that is shown."""
        return self._shown

    def show(self, shown: Shown) -> Shown:
        """Show another call in the place of the last."""
        last, self._shown = self._shown, shown
        last.ring()
        return shown
