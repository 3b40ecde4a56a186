"""The rows of a model: each region answers by its own, in their order, all from the same snapshot; then all change at once."""

from collections.abc import Iterator

import attrs

from adapters.promela.rules import IN_VAIN, NO_DEADLINE, TIME_STANDS, Rules
from adapters.promela.tables import Tables
from adapters.promela.values import Known, Term
from adapters.promela.world import World
from fsm.engine.notation import Declared, Region, State

LONGEST_CHAIN = 40
"""So many deadlines of 0 ms in a row are taken for a round that never ends."""


def name_of(region: Region, declared: Declared) -> str:
    """A declared row's identity: `phase:CLOSING/LineClosed/always`."""
    states, events = "|".join(map(repr, declared.states)), "|".join(event.__name__ for event in declared.events)
    return f"{region.name}:{states}/{events}/{declared.guard.__name__}"


@attrs.frozen
class Answers:
    """Writes how a model answers an event."""

    tables: Tables
    rules: Rules
    world: World

    def region(self, region: Region) -> Iterator[str]:
        """The inline by which a region answers."""
        yield ""
        yield f"/* {region.name}: {region.doc} */"
        yield f"inline answer_{region.name}()"
        yield "{"
        yield f"    r_{region.name} = 0;"
        for number, declared in enumerate(region.declared, start=1):
            yield from self._row(region, number, declared)
        yield "    unanswered = 1;"
        yield f"answered_{region.name}: skip"
        yield "}"

    def step(self) -> Iterator[str]:
        """The inline by which all regions answer one event."""
        variables = self.tables.variables()
        yield ""
        yield "inline judge(flaw, found) { if :: found -> flaw = 1 :: else fi }"
        yield ""
        yield "/* all regions answer one event, from the same snapshot; then all change at once */"
        yield "inline answer()"
        yield "{"
        yield "    d_step {"
        yield f"    entered = 0; waited = (e_stale == 0 && ({self.world.waited()}));"
        for flaw in self.rules.flaws:
            yield f"    {flaw} = 0;"
        for one in variables:
            yield f"    n_{one.name} = {one.name};"
        yield from (f"    {statement};" for statement in self.rules.before)
        yield "    skip };"
        yield from (f"    d_step {{ answer_{region.name}() }};" for region in self.tables.regions)
        yield "    d_step {"
        yield from (f"    {line};" for line in self._judged())
        for one in variables:
            if (name := one.path.partition(".")[0]) not in self.world.still:
                yield f"    {one.name} = n_{one.name};"
            elif one.path.endswith(".state"):
                yield from (f"    if :: n_{name} == {end!r} -> {name} = n_{name} :: else fi;" for end in self._ends(name))
        yield from (f"    {line};" for line in self._tidied())
        yield "#if !defined(SCRIPT) || defined(NAMED)"
        yield from (f"    {line};" for line in self.world.naming())
        yield "#endif"
        yield from ("    skip }", "}")

    def _row(self, region: Region, number: int, declared: Declared) -> Iterator[str]:
        told = next(self.tables.rows[row] for row in region.rows if row.declared == number - 1)
        then = declared.then
        said = f"ignored, {then.reason}" if then.reason else ", ".join(act.__name__ for act in then.acts)
        yield f"    /* {name_of(region, declared)}{': ' if said else ''}{said.replace('*/', '')} */"
        if isinstance(told.guard, Known) and not told.guard.value:
            yield "    /* never, under this policy */"
            return
        events = " || ".join(self.tables.translator.family(event) for event in declared.events)
        states = " || ".join(f"{region.name} == {state!r}" for state in declared.states)
        condition = f"({events}) && ({states}){'' if isinstance(told.guard, Known) else f' && {_in_brackets(told.guard)}'}"
        does = [f"r_{region.name} = {number}"]
        for effect, given in told.effects:
            does += self._asked(effect, given)
        if then.target is not None:
            place = self.tables.regions.index(region)
            does += [f"n_{region.name} = {then.target!r}", f"entered = entered | {1 << place}"]
        does += [f"n_{name} = {term.text}" for name, term in told.sets if term.text != name]
        yield f"    if :: {condition} -> {'; '.join(does)}; goto answered_{region.name} :: else fi;"

    def _asked(self, effect: type, given: dict[str, Term | None]) -> Iterator[str]:
        """What is judged when an effect is asked for: nothing that turns on an argument which is unclear."""
        names, statements = self.rules.asks[effect]
        unclear = [name for name in names if given[name] is None]
        texts = {name: term.text for name, term in given.items() if term is not None}
        for statement in statements:
            if not any(f"{{{name}}}" in statement for name in unclear):
                yield statement.format(**texts)

    def _ends(self, name: str) -> list[State]:
        """The states of a region that are never left."""
        return [state for region in self.tables.regions if region.name == name for state in region.states if state in self.rules.ends]

    def _judged(self) -> Iterator[str]:
        names = [region.name for region in self.tables.regions if region.name != "phase"]
        others = " && ".join(f"n_{name} == {end!r}" for name in names for end in self._ends(name))
        for statement in self.rules.after:
            yield statement.replace("{all_others_over}", others)
        for region in self.tables.regions:
            for end in self._ends(region.name):
                yield f"judge(revived, {region.name} == {end!r} && n_{region.name} != {end!r})"
        for one in self.tables.variables():
            if one.kind.name == "number" and one.high < 255:
                yield f"judge(unbounded, n_{one.name} > {one.high})"

    def _tidied(self) -> Iterator[str]:
        """What makes states that differ in nothing that counts one: unread fields are 0, and an id that nothing holds is as good as new."""
        variables = self.tables.variables()
        for path, states in self.tables.unread().items():
            region, names = path.partition(".")[0], [one.name for one in variables if one.path == path]
            if states:
                unread = " || ".join(f"{region} == {state!r}" for state in states)
                yield f"if :: {unread} -> {'; '.join(f'{name} = 0' for name in names)} :: else fi"
        ended = self.tables.ended()
        if all(ended.values()):
            asked = [" || ".join(f"{name} == {state!r}" for state in states) for name, states in ended.items()]
            over = " && ".join(f"({states})" for states in asked)
            zeros = [f"{one.name} = 0" for one in variables if not one.path.endswith(".state")]
            yield f"if :: {over} -> {'; '.join([*zeros, *(['spent = 0'] if self.rules.spent else [])]) or 'skip'} :: else fi"
        yield from self._timed()

    def _timed(self) -> Iterator[str]:
        """What is judged about deadlines: `late` says that others may have passed meanwhile, `chain` counts those of 0 ms in a row."""
        running = [region for region, _ in self.world.running()]
        for place, region in enumerate(self.tables.regions):
            if region in running:
                passed = f"waited && e_kind == {region.expired.__name__} && (waits_{region.name} || urgent_{region.name})"
                yield f"judge({IN_VAIN}, {passed} && !(entered & {1 << place}))"
        yield "late = (urgent && (waited == 2 || (waited == 1 && late)) -> 1 : 0)"
        yield f"chain = (urgent && waited == 1 && !late -> (chain < {LONGEST_CHAIN} -> chain + 1 : chain) : 0)"
        yield f"judge({TIME_STANDS}, chain == {LONGEST_CHAIN})"
        yield f"judge({NO_DEADLINE}, !(urgent || waits || ({self.rules.closed})))"


def _in_brackets(term: Term) -> str:
    return f"({term.text})" if term.top == "||" else term.text
