"""The calls of a phone server for its page: which there are, what they are in, how they went; each may be watched while it goes on.

What was said is shown only where the operator allows it; without that a call is shown as `callfsm report --redact` shows it.
"""

import json
import os
import platform
from collections import Counter, deque
from collections.abc import Callable, Iterable
from functools import cache
from statistics import quantiles
from typing import Any

import attrs

from adapters.hosts.page.broadcast import Shown
from adapters.hosts.phone.calls import Calls
from adapters.hosts.phone.metrics import CallFigures
from adapters.seam.device import Device
from adapters.telling.page.document import REGIONS
from adapters.telling.page.tables import tables
from fsm.call import effects as fx, events as ev
from fsm.call.snapshot import Call
from fsm.engine.machine import Step

LATELY = 30
"""How many calls that are over can still be looked at."""
ANSWERS = 1_000
"""Of so many answers, the last ones, the times are told."""


@attrs.define(eq=False)
class Held:
    """A call of the fleet; a `Watch` of its driver."""

    call: Call
    figures: CallFigures
    now_ms: Callable[[], float]
    shown: Shown
    ended: str = ""
    """Why it ended, once it has."""
    ms: float = 0.0
    """How long it was, once it is over."""

    def __call__(self, event: ev.Event, answer: Step[Call]) -> None:
        """A step."""
        self.call = answer.snapshot
        self.shown(event, answer)

    def told(self) -> dict[str, Any]:
        """It in a line of the page."""
        answers = self.figures.answers_ms
        return {
            "id": self.call.call_id,
            "phase": self.call.phase.state.name,
            "response": self.call.response.state.name,
            "playout": self.call.playout.state.name,
            "turn": self.call.turn.state.name,
            "ms": round(self.ms or self.now_ms()),
            "barge_ins": self.figures.barge_ins,
            "answers": len(answers),
            "last_ms": round(answers[-1]) if answers else None,
            "worst_ms": round(max(answers)) if answers else None,
            "ended": self.ended,
        }


class Fleet:
    """All calls of a server: those that are held, and the last ones that were."""

    def __init__(self, *, words: bool = False) -> None:
        """With `words` those who watch a call see what is said in it."""
        self.words = words
        self.calls: Calls | None = None
        """Who lets calls in, once the server serves."""
        self._live: dict[str, Held] = {}
        self._over: deque[Held] = deque(maxlen=LATELY)
        self._reasons: Counter[str] = Counter()
        self._answers: deque[float] = deque(maxlen=ANSWERS)
        self._barge_ins = 0

    def begin(self, call: Call, figures: CallFigures, line: Device, now_ms: Callable[[], float], key: str | None) -> Held:
        """A call begins; gives its `Watch`. Its voices are shown from when somebody looks."""
        shown = Shown(call, now_ms, redact=not self.words, key=key)

        def listen() -> None:
            line.onlooker = shown.hear

        shown.looked_at = listen
        held = self._live[call.call_id] = Held(call, figures, now_ms, shown)
        return held

    def end(self, call_id: str, ended: fx.TellEnded | None, seconds: float) -> None:
        """A call is over, after so many seconds."""
        held = self._live.pop(call_id, None)
        if held is None:
            return
        held.ms, held.ended = seconds * 1000, ended.reason.value if ended else "it never began"
        self._reasons[held.ended] += 1
        self._answers.extend(held.figures.answers_ms)
        self._barge_ins += held.figures.barge_ins
        self._over.append(held)
        held.shown.end()

    def shown(self, call_id: str) -> Shown | None:
        """A call to be watched; None for one that is not known, or not any more."""
        held = self._live.get(call_id) or next((one for one in self._over if one.call.call_id == call_id), None)
        return held.shown if held is not None else None

    def told(self) -> str:
        """The fleet as it is, as a message."""
        live, calls = self._live.values(), self.calls
        answers = [*self._answers, *(ms for held in live for ms in held.figures.answers_ms)]
        return json.dumps(
            {
                "machine": f"{platform.node()}, process {os.getpid()}",
                "places": calls.max_calls if calls else None,
                "draining": calls.draining if calls else False,
                "words": self.words,
                "live": [held.told() for held in live],
                "over": [held.told() for held in reversed(self._over)],
                "regions": {name: Counter(getattr(held.call, name).state.name for held in live) for name in REGIONS},
                "tones": _tones(),
                "reasons": self._reasons,
                "barge_ins": self._barge_ins + sum(held.figures.barge_ins for held in live),
                "answers": _shares(answers),
            }
        )


@cache
def _tones() -> dict[str, dict[str, str]]:
    """How each state of each region is coloured."""
    return {region["name"]: {state["name"]: state["tone"] for state in region["states"]} for region in tables()["regions"]}


def _shares(answers: Iterable[float]) -> dict[str, float]:
    """How many there are, the time that half of them took at most, and 95 of 100; nothing of none."""
    times = sorted(answers)
    if not times:
        return {}
    cuts = quantiles(times, n=20, method="inclusive") if len(times) > 1 else times * 19
    return {"count": len(times), "p50": round(cuts[9]), "p95": round(cuts[18])}
