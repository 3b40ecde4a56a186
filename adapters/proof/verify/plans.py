"""What is explored: in each plan a policy and the parts of the world that act in it, small enough to be walked to its end."""

from typing import Any

import attrs

from fsm.call.policy import Policy

PLAIN: dict[str, Any] = {
    "voice": "realtime",
    "greeting": False,
    "remembered_ids": 1,
    "queued_sentences": 2,
    "cancel_attempts": 1,
    "recoveries": 1,
    "idle_prompts": 1,
    "tools_at_once": 1,
    "reconnects": 1,
    "queued_notices": 1,
    "voice_failures": 1,
    "idle_prompts_in_all": 2,
}
"""The smallest bounds: a space with larger ones is the same, drawn out."""


TAKEN_OUT = """\
taken out: times (a deadline passes before another only where it must), ids (what nobody remembers is as good as new), texts (one), counts
(as small as each policy below says).
left in: what a strict server, device, caller and application may do in their state, in any order, and so many faults a path as a plan says:
late, twice, out of order, of an unknown id."""
"""What the checker does not tell apart, and what it does: said wherever its result is."""
CHOICES = ("voice", "interrupts", "create_response", "direction", "greeting", "greeting_protected", "turns", "interruption_by")
"""The settings that are choices, two values each."""


@attrs.frozen
class Plan:
    """One exploration; of its states the `most` nearest are explored, or all."""

    name: str
    parts: frozenset[str]
    policy: Policy
    faults: int = 1
    """How many faults a path may hold."""
    responses: int = 2
    """How many responses that matter there may be at once."""
    sentences: int = 1
    notices: int = 1
    most: int | None = None

    @property
    def still(self) -> frozenset[str]:
        """Regions that are not walked, as nothing that happens in the plan makes another region read them (`checker.still_unread`)."""
        parts = {"limit": "limit", "idle": "idle", "truncation": "memory"}
        return frozenset(region for region, part in parts.items() if part not in self.parts)

    def __str__(self) -> str:
        """The name, the parts, and what the policy has that the plainest one has not."""
        plain, policy = Policy(**PLAIN), self.policy
        names = [field.name for field in attrs.fields(Policy) if getattr(policy, field.name) != getattr(plain, field.name)]
        return " ".join([f"{self.name}:", *sorted(self.parts), *[f"{name}={getattr(policy, name)}" for name in names]])


def plans(deep: bool = False, **policy: Any) -> list[Plan]:
    """What is explored, the smallest first; `policy` overrides settings of every policy. Raises ValueError for one that is none."""
    made = [_plan(name, parts, {**settings, **policy}) for name, parts, settings in _DAILY]
    return made if not deep else [attrs.evolve(plan, faults=2, responses=3) for plan in made]


_BOUNDS = ("faults", "responses", "sentences", "notices", "most")
_CHATTERBOX = {"voice": "chatterbox"}
_SERVER = {"interrupts": "server", "create_response": True}
_DAILY: list[tuple[str, str, dict[str, Any]]] = [
    ("keypad", "turns keys", {}),
    ("notice", "turns notices", {}),
    ("greeting", "turns greeting opening", {"greeting": True}),
    ("goodbye", "turns goodbye", {}),
    ("idle", "turns idle tools", {}),
    ("outage", "turns outage", {"create_response": True}),
    ("tools", "turns tools", {"create_response": True}),
    ("memory", "turns memory items", {}),
    ("memory", "turns memory", {**_CHATTERBOX, "sentences": 2}),
    ("speech", "speech", {}),
    ("speech", "speech listens", _SERVER),
    ("local", "speech dismiss", {"turns": "local", "interruption_by": "detector"}),
    ("faults", "turns faults late twice unasked mute", {"remembered_ids": 2}),
]


def _plan(name: str, parts: str, settings: dict[str, Any]) -> Plan:
    bounds = {bound: settings.pop(bound) for bound in _BOUNDS if bound in settings}
    return Plan(name, frozenset(parts.split()), Policy(**{**PLAIN, **settings}), **bounds)
