"""What one simulated call is planned to be: its seed, the settings of its policy, and a list of things that people do and that go wrong.

Every item stands for itself, so that any of them can be left out. `adapters.proof.sim.draw` draws a plan from a seed.
"""

import json
import zlib
from collections.abc import Iterable
from typing import Any

import attrs

from adapters.seam.wellformed import read_json
from fsm.call.policy import Policy

MOMENTS = ("start", "create", "active", "sound", "silence", "speech", "done", "cancel", "hold", "flush")
"""Cues in the middle of things; `create` is heard at the server, so that speech soon after it comes before response.created."""
_WORDS = ("what", "cue", "nth", "after_ms", "value")


class PlanError(ValueError):
    """A text that is no plan; the message says what is wrong, in one line."""


@attrs.frozen
class Item:
    """One thing that happens: `what`, `after_ms` after `cue` has happened for the `nth` time; `value` is how long, which, or how many."""

    what: str
    cue: str = "start"
    nth: int = 1
    after_ms: int = 0
    value: int | str = 0

    @property
    def kind(self) -> str:
        """What it is counted as: the same thing at other messages, or at another moment, is the same kind."""
        ways = {">": "of theirs", "<": "of ours"}
        if self.cue[:1] in ways:
            return f"{self.what} {ways[self.cue[0]]}"
        return self.what if self.cue in MOMENTS else f"{self.what} {self.cue}"

    def __str__(self) -> str:
        value = f" {self.value}" if self.value != 0 else ""
        later = f", {self.after_ms} ms later" if self.after_ms else ""
        return f"{self.what}{value} at {self.cue} {self.nth}{later}"


@attrs.frozen
class Plan:
    """A call's plan. `settings` are the fields of its policy that are not the defaults."""

    seed: int
    settings: tuple[tuple[str, Any], ...] = ()
    items: tuple[Item, ...] = ()

    @property
    def policy(self) -> Policy:
        """The policy; raises ValueError for one that is none."""
        return Policy(**dict(self.settings))

    def to_json(self) -> str:
        """The plan as one line of JSON."""
        items = [[getattr(item, word) for word in _WORDS] for item in self.items]
        return json.dumps({"seed": self.seed, "settings": dict(self.settings), "items": items})


def plan_from_json(text: str) -> Plan:
    """The plan of a line that `Plan.to_json` wrote; other keys are passed over. Raises PlanError."""
    try:
        line = read_json(text)
        plan = Plan(int(line["seed"]), tuple(line["settings"].items()), tuple(_items(line["items"])))
        _ = plan.policy
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise PlanError(f"not a plan of a simulated call ({type(error).__name__}: {error})") from None
    return plan


def _items(lines: Iterable[Any]) -> Iterable[Item]:
    for what, cue, nth, after_ms, value in lines:
        if not isinstance(what, str) or not isinstance(cue, str):
            raise PlanError("an item names what happens, and at which cue")
        yield Item(what, cue, int(nth), int(after_ms), value)


class Dice:
    """Chance that depends on the seed, a key and how often that key was asked for alone: leaving one item out changes no other's luck."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._asked: dict[str, int] = {}

    def between(self, key: str, low: float, high: float) -> float:
        """A number from `low` to `high`."""
        asked = self._asked[key] = self._asked.get(key, 0) + 1
        return low + (high - low) * zlib.crc32(f"{self._seed}/{key}/{asked}".encode()) / 2**32
