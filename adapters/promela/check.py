"""What spin is asked about a call, and what its answers mean: the scopes, the verdict on each rule, and the way to each flaw as events."""

import itertools
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import attrs

from adapters.promela.model import Model, model, said
from adapters.promela.rows import name_of
from adapters.promela.rules import CALL_RULES, LIVELOCK
from adapters.promela.spin import Progress, Search, search
from adapters.promela.values import FALSE
from adapters.promela.walks import difference, walks
from adapters.verify.alphabet import Scope
from adapters.verify.scopes import EVERYTHING, OPENING, PLAIN, TALK
from fsm.call.machine import CALL
from fsm.call.policy import Policy
from fsm.call.snapshot import start

SMALL: dict[str, Any] = {**PLAIN, "queued_notices": 1, "reconnects": 1, "voice_failures": 1, "idle_prompts_in_all": 1}
"""The smallest bounds: a space with larger ones is the same, drawn out."""
COUNTED: dict[str, Any] = {"cancel_attempts": 2, "recoveries": 1, "tools_at_once": 2, "remembered_ids": 2, "queued_notices": 2}
"""Bounds under which each count has a step between none and all."""
IDS = 2
"""How many ids of a sort there are."""


@attrs.frozen
class Plan:
    """What spin explores: a scope of the other checker, and what the policy has that the smallest one has not."""

    scope: Scope
    settings: dict[str, Any]

    @property
    def name(self) -> str:
        """The scope and the settings."""
        return " ".join([f"{self.scope.name}:", *[f"{name}={value}" for name, value in self.settings.items()]])


PLANS = (
    Plan(EVERYTHING, {"greeting": True, "voice": "chatterbox", **COUNTED}),
    Plan(EVERYTHING, {"greeting": True, "interrupts": "server", "create_response": True}),
    Plan(TALK, {}),
    Plan(OPENING, {"greeting": True}),
)
"""What is explored, all at once first. The other checker leaves out events that a rule does not turn on; spin gets through more."""
WALKS, STEPS = 40, 60
"""How many walks are compared, and how many events each has."""


@attrs.frozen
class Checked:
    """What came of one plan: the model, and both searches. Where deadlines are left out, silence is not judged."""

    plan: Plan
    model: Model
    rules: Search
    silence: Search | None

    def searches(self) -> list[tuple[str, Search]]:
        """The searches by what they judge."""
        return [("rules", self.rules), *([("silence", self.silence)] if self.silence else [])]

    def ways(self) -> Iterator[tuple[str, list[list[int]]]]:
        """Each flaw with the numbers of the events that lead to it."""
        for _, found in self.searches():
            yield from found.flaws.items()


def model_of(plan: Plan, **policy: Any) -> Model:
    """The call's model within a plan; `policy` overrides its settings. Raises ValueError for a policy that is none."""
    known = {field.name for field in attrs.fields(Policy)}
    settings = {name: value for name, value in {**SMALL, **plan.settings, **policy}.items() if name in known}
    scope = plan.scope
    return model(
        CALL.regions,
        CALL.events,
        start(Policy(**settings)),
        CALL_RULES,
        ids=IDS,
        begins=scope.begins,
        without=scope.without,
        still=scope.still,
    )


def check(plan: Plan, made: Model, seconds: float, watch: Callable[[Progress], None] | None = None) -> Checked:
    """Judge a plan's model, for at most `seconds` of search; half of them are for silence, where no deadline is left out."""
    silent = not plan.scope.still and not any(region.expired in plan.scope.without for region in CALL.regions)
    part = seconds / 2 if silent else seconds
    rules = search(made, part, watch=watch)
    return Checked(plan, made, rules, search(made, part, silence=True, watch=watch) if silent else None)


def agreement(plan: Plan, **policy: Any) -> tuple[int, str]:
    """How many events spin's interpreter and `step` answered alike, and where they first differ, in words, if they do.

    All events happen, and every region moves, whatever the plan's scope leaves out.
    """
    made = model_of(attrs.evolve(plan, scope=attrs.evolve(EVERYTHING, begins=TALK.begins)), **policy)
    found = difference(made, walks(made, CALL, 1, WALKS, STEPS))
    if found is None:
        return WALKS * STEPS, ""
    pairs = zip(CALL.regions, found.walk.states[found.at], found.spins or itertools.repeat("nothing"), strict=False)
    apart = ", ".join(f"{region.name} is {ours}, in spin {theirs}" for region, ours, theirs in pairs if ours != theirs)
    return found.at, f"after {found.walk.events[found.at]}: {apart}"


def unmet(checked: Iterable[Checked]) -> tuple[int, list[str]]:
    """How many declared rows may answer under some policy that was explored, and those that did in no search."""
    met: set[tuple[int, int]] = set()
    rows: dict[tuple[int, int], str] = {}
    for one in checked:
        met |= {row for _, found in one.searches() for row in found.rows}
        for place, region in enumerate(one.model.tables.regions):
            possible = {row.declared for row in region.rows if one.model.tables.rows[row].guard != FALSE}
            rows |= {(place, number + 1): name_of(region, region.declared[number]) for number in possible}
    return len(rows), [name for row, name in sorted(rows.items()) if row not in met]


def report(checked: list[Checked]) -> Iterator[str]:
    """A verdict for each rule; a broken one with the events that lead to it."""
    rules = {flaw: rule for one in checked for flaw, rule in one.model.rules.flaws.items()}
    for flaw, rule in rules.items():
        ways = [(len(way), one, way) for one in checked for found, way in one.ways() if found == flaw]
        if not ways:
            searches = [one.silence if flaw == LIVELOCK else one.rules for one in checked]
            judged = [one.complete for one in searches if one is not None]
            word = "kept    " if judged else "unasked "
            yield f"{word}{rule}{'' if all(judged) else ', as far as was explored'}"
            continue
        _, one, way = min(ways, key=_length)
        yield f"BROKEN  {rule}"
        yield f"        {one.plan.name}, after {len(way)} events:"
        yield from (f"        {line}" for line in retold(one.model, way))


def summary(one: Checked) -> Iterator[str]:
    """What was searched, a line for each of both searches."""
    for what, found in one.searches():
        rate = found.transitions / max(found.seconds, 1e-9)
        end = "all explored" if found.complete else f"ways of {found.depth:,} steps cut off" if found.cut else "stopped by its time"
        yield (
            f"{found.states:>10,} states {found.transitions:>11,} steps {found.seconds:>6.1f} s {rate:>9,.0f} steps/s"
            f"   {one.plan.name}, {what}: {end}, bitstate, {found.factor:.0f} bits a state"
        )


def left_out(made: Model) -> list[str]:
    """What a model does not tell apart, in words."""
    return [
        f"taken out: times (a deadline that runs may pass, those of 0 ms first), words that nothing turns on; {IDS} ids of a sort",
        *(f"           {line}" for line in said(made.tables)),
    ]


def retold(made: Model, way: list[list[int]]) -> Iterator[str]:
    """A way as events; ids are numbered anew after each, in the order in which the snapshot holds them."""
    events, names = made.tables.events, made.world.told
    for numbers in way:
        if not 0 < numbers[0] <= len(events):
            continue
        event = events[numbers[0] - 1]
        fields = dict(zip(names, numbers[2:], strict=False))
        told = [f"{name}={made.world.values(event, name).get(fields[name], fields[name])!r}" for name in made.world.reads[event]]
        told += ["stale"] if numbers[1] else []
        yield f"{event.__name__}({', '.join(told)})"


def _length(way: tuple[int, Checked, list[list[int]]]) -> int:
    return way[0]
