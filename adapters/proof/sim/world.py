"""The world of one simulated call: its clock, its agenda, and the cues at which what is planned comes about."""

import heapq
import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from itertools import count
from typing import Any

from adapters.proof.sim.clock import Clock, Idle
from adapters.proof.sim.plan import Dice, Item, Plan
from adapters.seam.ports import Post
from fsm.call.events import Event

Act = Callable[[Item], None]


class World:
    """What every part of a simulated call shares."""

    def __init__(self, plan: Plan, clock: Clock) -> None:
        self.clock = clock
        self.dice = Dice(plan.seed)
        self.acts: dict[str, Act] = {}
        """What happens by itself, by its name; an item that no act has is asked for by whoever told the cue."""
        self.strikes: Counter[str] = Counter()
        """How often each item struck, by its name."""
        self.bug: Exception | None = None
        """What an act raised, if one did: a bug of an adapter, or of the simulation."""
        self.post: Post = _nobody
        """How acts tell the core what happened, once the call runs."""
        self.stop: Callable[[], None] = _nothing
        """Ends the call at once, since something was found."""
        self.sent: Callable[[Mapping[str, Any]], None] = _unread
        """Told of each message of ours that leaves."""
        self.meanwhile: Idle = _no_sound
        """What happens while the agenda is waited for: the device takes its frames."""
        self._planned: dict[tuple[str, int], list[Item]] = {}
        for item in plan.items:
            self._planned.setdefault((item.cue, item.nth), []).append(item)
        self._cues: Counter[str] = Counter()
        self._agenda: list[tuple[float, int, Callable[..., None], tuple[Any, ...]]] = []
        self._order = count()
        clock.idle = self._pass_time

    def now_ms(self) -> float:
        """The call's time, in milliseconds from its beginning."""
        return self.clock.now_s * 1000

    def after(self, ms: float, act: Callable[..., None], *args: Any) -> None:
        """Do something in `ms`, after what was put there earlier."""
        self.at(self.now_ms() + ms, act, *args)

    def at(self, at_ms: float, act: Callable[..., None], *args: Any) -> None:
        """Do something at a time, after what was put there earlier."""
        heapq.heappush(self._agenda, (at_ms / 1000, next(self._order), act, args))

    def happened(self, cue: str) -> Iterable[Item]:
        """Tell that something happened once more: the acts that wait for it are put on the agenda, the other items are given, as struck."""
        self._cues[cue] += 1
        planned = self._planned.get((cue, self._cues[cue]))
        if planned is None:
            return ()
        given = []
        for item in planned:
            if item.what in self.acts:
                self.after(item.after_ms, self._act, item)
            else:
                self.strikes[item.kind] += 1
                given.append(item)
        return given

    def count(self, cue: str) -> int:
        """How often that happened."""
        return self._cues[cue]

    def _act(self, item: Item) -> None:
        self.strikes[item.kind] += 1
        self.acts[item.what](item)

    def _pass_time(self, now_s: float, until_s: float) -> float:
        """The clock's `Idle`: what others do in the meantime, and then what is on the agenda."""
        agenda, clock = self._agenda, self.clock
        next_s = agenda[0][0] if agenda else math.inf
        if now_s < next_s:
            reached_s = self.meanwhile(now_s, min(next_s, until_s))
            if reached_s < next_s:
                return reached_s
            clock.now_s = reached_s
        while agenda and agenda[0][0] <= clock.now_s:
            _, _, act, args = heapq.heappop(agenda)
            try:
                act(*args)
            # The bug of a part, which the call raises once it has stopped.
            except Exception as error:
                self.bug = self.bug or error
                self.stop()
        return clock.now_s


def _no_sound(_: float, until_s: float) -> float:
    """Nothing happens in the meantime."""
    return until_s


def _nobody(event: Callable[..., Event], *args: Any, **kwargs: Any) -> None:
    """The call does not run yet: nobody listens."""


def _unread(_: Mapping[str, Any]) -> None:
    """Nobody reads what leaves."""


def _nothing() -> None:
    """Nothing can be ended yet."""
