"""What is explored: in each plan a policy and the parts of the world that act in it, small enough to be walked to its end."""

from contextlib import suppress
from itertools import product
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
    """One exploration; of its states the `most` nearest are explored, or all; or some are met at random."""

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
    steps: int = 0
    """How many steps are gone at random instead, from states whose step was new (`fsm.engine.explore.wander`)."""

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
    """What is explored; `policy` overrides settings of every policy. Raises ValueError for one that is none."""
    Policy(**{**PLAIN, **policy})
    choices = combinations_of_choices()
    stride = len(choices) // DAILY + 1
    made = []
    for number, (name, parts, settings) in enumerate(_KINDS):
        for chosen in choices if deep else choices[number % stride :: stride]:
            with suppress(ValueError):
                made.append(_plan(name, parts, {**chosen, **settings, **policy}))
    found = list(dict.fromkeys(made))
    if deep:
        found = [attrs.evolve(plan, faults=2, responses=3, most=DEEP_MOST) for plan in found]
    walks = []
    for number, chosen in enumerate(choices):
        with suppress(ValueError):
            begins, steps = ("", " opening", " answering")[number % 3], DEEP_WALKED if deep else WALKED
            walks.append(_plan("walk", EVERYTHING + begins, {**_WALK, **chosen, **policy, "steps": steps}))
    return [*found, *dict.fromkeys(walks)]


def chosen_in(plan: Plan) -> tuple[Any, ...]:
    """The choices that a plan's policy makes."""
    return tuple(getattr(plan.policy, name) for name in CHOICES)


DAILY = 4
"""Of how many combinations of choices each kind of plan is walked in a daily run, about."""
MOST, DEEP_MOST = 1_000, 100_000
"""How many of the nearest states of a plan are explored."""
WALKED, DEEP_WALKED = 2_000, 100_000
"""How many steps are gone at random with each combination of choices: as many as leave a daily run within four minutes on two cores."""
_BOUNDS = ("faults", "responses", "sentences", "notices", "most", "steps")
_KINDS: list[tuple[str, str, dict[str, Any]]] = [
    ("keypad", "turns keys", {"dtmf_digits": 2}),
    ("keypad", "speech keys idle answering", {"greeting": False}),
    ("notice", "turns notices whole", {"notices": 2, "tools_at_once": 2}),
    ("notice", "speech notices answering", {"greeting": False}),
    ("greeting", "turns opening dismiss", {"greeting": True}),
    ("greeting", "speech opening", {"greeting": True}),
    ("goodbye", "turns goodbye whole", {"goodbye_min_turns": 2}),
    ("goodbye", "speech goodbye answering", {"greeting": False}),
    ("idle", "turns idle tools", {}),
    ("limit", "turns limit answering", {"greeting": False}),
    ("limit", "speech limit", {}),
    ("outage", "turns outage opening", {"greeting": True, "faults": 2}),
    ("outage", "goodbye outage answering", {"greeting": False, "faults": 2}),
    ("tools", "turns tools", {"tools_at_once": 2}),
    ("tools", "speech tools twice late unasked answering", {"greeting": False, "tools_at_once": 2, "remembered_ids": 2}),
    ("memory", "turns memory items whole", {"sentences": 2, "queued_sentences": 4}),
    ("memory", "speech memory items late answering", {"greeting": False, "sentences": 2, "queued_sentences": 4}),
    ("speech", "speech", {}),
    ("speech", "speech progress whole answering", {"greeting": False}),
    ("speech", "speech twice late answering", {"greeting": False, "remembered_ids": 2}),
    ("listening", "speech listens dismiss", {}),
    ("listening", "speech listens dismiss answering", {"greeting": False}),
    ("listening", "turns dismiss keys faults", {}),
    ("words", "speech listens tools", {"greeting": False, "interruption_words_ms": 1_500}),
    ("words", "speech listens keys dismiss answering", {"greeting": False, "interruption_words_ms": 1_500}),
    ("sentences", "turns late", {"voice": "chatterbox", "sentences": 4, "voice_failures": 2}),
    ("sentences", "unasked answering", {"greeting": False, "voice": "chatterbox", "sentences": 3, "most": 4_000}),
    ("outage", "turns outage faults", {"faults": 2}),
    ("outage", "outage notices", {"greeting": False, "reconnect_pause_ms": 50}),
    ("takeup", "turns takeup opening", {"greeting": True, "faults": 2}),
    ("takeup", "speech takeup answering goodbye", {"greeting": False}),
    ("takeup", "turns takeup memory items tools answering", {"greeting": False, "tools_at_once": 2, "sentences": 2, "queued_sentences": 4}),
    ("takeup", "turns takeup notices whole", {}),
    ("takeup", "speech takeup tools keys idle", {}),
    ("faults", "turns faults late twice unasked mute", {"remembered_ids": 2}),
    ("faults", "speech faults unasked answering", {"greeting": False, "cancel_attempts": 2, "remembered_ids": 2, "faults": 2}),
    ("goodbye", "unasked goodbye late answering", {"greeting": False}),
]
"""The kinds of plans: what acts in each, besides responses, their sound and their end. `answering`: an answer is heard already."""
EVERYTHING = (
    "speech keys idle limit tools notices whole goodbye listens dismiss memory items progress outage takeup late twice unasked mute faults"
)
"""What acts in a random walk."""
_WALK: dict[str, Any] = {
    **dict.fromkeys(("cancel_attempts", "recoveries", "tools_at_once", "queued_notices", "voice_failures", "dtmf_digits"), 2),
    **{"remembered_ids": 3, "queued_sentences": 8, "responses": 3, "sentences": 3, "most": None},
}
"""Its bounds: as many as three responses of two items need to be told apart."""


def combinations_of_choices() -> list[dict[str, Any]]:
    """Every combination of the choices that makes a policy."""
    values = {name: getattr(attrs.fields(Policy), name).validator for name in CHOICES}
    every = product(*[getattr(one, "choices", (False, True)) for one in values.values()])
    made = []
    for combination in every:
        chosen = dict(zip(CHOICES, combination, strict=True))
        with suppress(ValueError):
            Policy(**{**PLAIN, **chosen})
            made.append(chosen)
    return made


def _plan(name: str, parts: str, settings: dict[str, Any]) -> Plan:
    bounds = {bound: settings.pop(bound) for bound in _BOUNDS if bound in settings}
    policy = Policy(**{**PLAIN, **settings})
    acts = [*parts.split(), *(["greeting"] if policy.greets else [])]
    return Plan(name, frozenset(acts), policy, **{"most": MOST, **bounds})
