"""What may happen in a model: every event with every id that is held and one that is not, and every deadline, in time or stale."""

from collections.abc import Iterator
from typing import Any

import attrs

from adapters.promela.rules import Rules
from adapters.promela.shape import NUMBERS, Variable
from adapters.promela.tables import Tables
from adapters.promela.values import Term
from fsm.engine.notation import Region


@attrs.define
class World:
    """What may happen to one machine; `begins` happens first, `without` never."""

    tables: Tables
    rules: Rules
    begins: tuple[type, ...]
    without: frozenset[type]
    still: frozenset[str] = frozenset()
    """Regions that stay where they start until all is over."""
    told: tuple[str, ...] = ()
    """The fields of events that a row turns on."""
    chosen: tuple[str, ...] = ()
    """What stands for guards that are unclear."""
    reads: dict[type, tuple[str, ...]] = attrs.field(factory=dict)
    """For each event the fields of it that a row turns on."""
    _held_by: dict[str, list[Variable]] = attrs.field(factory=dict)

    def __attrs_post_init__(self) -> None:
        macros = self.tables.translator.macros
        self.chosen = tuple(macros[function][0] for function in self.tables.translator.chosen)
        for event in self.tables.events:
            known = {field.name for field in attrs.fields(event)}
            self.reads[event] = tuple(sorted(self.tables.read_by(event) & known))
        self.told = tuple(sorted({name for names in self.reads.values() for name in names}))

    def term(self, name: str) -> Term:
        """A field of events as a term."""
        kind = next(field.type for event in self.tables.events for field in attrs.fields(event) if field.name == name)
        term = self.tables.shape.told(kind, name)
        assert isinstance(term, Term)
        return term

    def values(self, event: type, name: str) -> dict[int, Any]:
        """What a field of an event may be: its number in the model, and a value that is told by it."""
        term = self.term(name)
        default = next(field.default for field in attrs.fields(event) if field.name == name)
        if term.kind.name == "words":
            return self.tables.shape.words(term.kind.of, name)
        if term.kind.name == "ids":
            empty = {0: ""} if default == "" else {}
            return empty | {number: self._id(term.kind.of, number) for number in range(1, self.tables.shape.most(term.kind.of) + 1)}
        low, high = NUMBERS.get(name, (0, 2))
        return {number: number for number in range(low, high + 1)} if term.kind.name == "number" else {0: False, 1: True}

    def legend(self, name: str) -> str:
        """What the numbers of a field mean."""
        term = self.term(name)
        if term.kind.name != "words":
            return term.kind.name
        bits = [
            f"{1 << place}: one of {', '.join(sorted(map(str, these)))}"
            for place, these in enumerate(self.tables.shape.questions[term.kind.of])
        ]
        return "; ".join(bits)

    def deadlines(self) -> Iterator[str]:
        """The macros that ask which deadlines run, and which ids are held."""
        lasts = {state: self.tables.lasts(state) for region in self.tables.regions for state in region.states}
        kinds: dict[str, list[str]] = {"urgent": [], "waits": []}
        for region in self.tables.regions:
            moving = [state for state in region.states if region.name not in self.still]
            for name, states in (
                ("urgent", [state for state in moving if lasts[state] is False]),
                ("waits", [state for state in moving if lasts[state]]),
            ):
                asked = " || ".join(f"{region.name} == {state!r}" for state in states) or "0"
                yield f"#define {name}_{region.name} ({asked})"
                kinds[name].append(f"{name}_{region.name}")
        for name, regions in kinds.items():
            yield f"#define {name} ({' || '.join(regions)})"
        for sort, names in self.held().items():
            yield f"#define held_{sort}(x) ({' || '.join(f'x == {name}' for name in names) or '0'})"
            yield f"hidden byte new_{sort}; /* the least that nothing holds */"
        for sort in self.renamed():
            yield f"hidden byte to_{sort}[{self.tables.shape.most(sort) + 1}]; /* the new name of each */"
        yield "hidden byte names;"

    def renamed(self) -> dict[str, list[str]]:
        """The sorts whose ids are named anew after each step, in the order in which variables hold them: which id is which never matters.

        An id that is made of others can be told from those only while it is the only one held.
        """
        held = self.held()
        made = {
            part.kind.of
            for sort, parts in self.tables.shape.made.items()
            if len(held.get(sort, ())) > 1
            for part in parts
            if not isinstance(part, str)
        }
        return {
            sort: names
            for sort, names in held.items()
            if names and sort not in made and (sort not in self.tables.shape.made or len(names) == 1)
        }

    def ids_held(self, snapshot: Any) -> dict[str, list[str]]:
        """For each sort that is named anew the ids that a snapshot holds, in the order in which they are named."""
        if not self._held_by:
            by_name = {one.name: one for one in self.tables.variables()}
            self._held_by = {sort: [by_name[name] for name in names] for sort, names in self.renamed().items()}
        found: dict[str, list[str]] = {}
        ended = all(getattr(snapshot, name).state in states for name, states in self.tables.ended().items())
        for sort, variables in self._held_by.items():
            values = [] if ended else [self._value(snapshot, one) for one in variables]
            found[sort] = list(dict.fromkeys(value for value in values if value))
        return found

    def _value(self, snapshot: Any, variable: Variable) -> str:
        """The id that a variable keeps; none where nobody reads it."""
        region, field, *part = variable.path.split(".")
        record = getattr(snapshot, region)
        if record.state in self.tables.unread().get(variable.path, ()):
            return ""
        value = getattr(record, field)
        if part:
            place = int(variable.name.removeprefix(f"{region}_{field}_").partition("_")[0])
            value = "" if place >= len(value) else value[place] if part == ["[]"] else getattr(value[place], part[0])
        return str(value)

    def naming(self) -> Iterator[str]:
        """The statements that name ids anew."""
        for sort, variables in self.renamed().items():
            ids = range(1, self.tables.shape.most(sort) + 1)
            yield "; ".join(["names = 0", *[f"to_{sort}[{number}] = 0" for number in ids]])
            for name in variables:
                new = f"names = names + 1; to_{sort}[{name}] = names"
                yield f"if :: {name} && !to_{sort}[{name}] -> {new} :: else fi; {name} = to_{sort}[{name}]"
            if sort == self.rules.spent:
                bits = " | ".join(f"(((spent >> {number}) & 1) << to_{sort}[{number}])" for number in ids)
                yield f"spent = ({bits}) & 254"

    def running(self) -> list[tuple[Region, str]]:
        """The regions whose deadlines pass, with what asks whether one runs."""
        return [(region, f"waits_{region.name} || urgent_{region.name}") for region in self._passing()]

    def _passing(self) -> list[Region]:
        """The regions whose deadlines pass."""
        return [region for region in self.tables.regions if region.expired not in self.without and region.name not in self.still]

    def waited(self) -> str:
        """How the event came about: 2 by a deadline that ran, 1 by one of 0 ms, 0 from outside."""
        parts = "0"
        for region, _ in self.running():
            name = region.expired.__name__
            parts = f"e_kind == {name} -> (urgent_{region.name} -> 1 : (waits_{region.name} -> 2 : 0)) : ({parts})"
        return parts

    def script(self) -> str:
        """The statements that read an event."""
        names = ["e_kind", "e_stale", *[f"e_{name}" for name in self.told], *self.chosen]
        return " ".join(f"STDIN?c; {name} = c - 33;" for name in names)

    def held(self) -> dict[str, list[str]]:
        """For each sort of ids the variables that hold one."""
        found: dict[str, list[str]] = {}
        for name in self.told:
            if (term := self.term(name)).kind.name == "ids":
                found[term.kind.of] = []
        for one in self.tables.variables():
            if one.kind.name == "ids" and one.path not in self.tables.shape.flags:
                found.setdefault(one.kind.of, []).append(one.name)
        return found

    def _id(self, sort: str, number: int) -> str:
        """The id that a number stands for."""
        parts = self.tables.shape.made.get(sort)
        if parts is None:
            return f"{sort[:1]}{number}"
        left, texts = number - 1, []
        for part in reversed(parts):
            if isinstance(part, str):
                texts.append(part)
                continue
            left, digit = divmod(left, part.high + 1)
            texts.append(str(digit) if part.kind.name == "number" else self._id(part.kind.of, digit) if digit else "")
        return "".join(reversed(texts)) if not left else "foreign"


def choices(world: World) -> Iterator[str]:
    """The inline that chooses what happens next."""
    sorts = world.held()
    yield ""
    for name in world.told:
        events = [event for event in world.tables.events if name in world.reads[event]]
        for empty in sorted({0 in world.values(event, name) for event in events}):
            values = next(world.values(event, name) for event in events if (0 in world.values(event, name)) == empty)
            sort = world.term(name).kind.of if world.term(name).kind.name == "ids" else ""
            yield f"inline choose_{name}{'_or_none' if empty else ''}() {{ if"
            made = [part.text for sort in world.renamed() for part in world.tables.shape.made.get(sort, ()) if isinstance(part, Term)]
            for number in list(values)[: 1 if f"e_{name}" in made and not sort else None]:
                condition = f"held_{sort}({number}) || new_{sort} == {number} -> " if sort and number else ""
                yield f"    :: {condition}e_{name} = {number}"
            yield "fi }"
    yield ""
    yield "inline choose()"
    yield "{"
    yield "    d_step {"
    for sort in sorts:
        yield f"        new_{sort} = 0;"
        for number in range(world.tables.shape.most(sort), 0, -1):
            yield f"        if :: !held_{sort}({number}) -> new_{sort} = {number} :: else fi;"
    for name in ("e_stale", *[f"e_{name}" for name in world.told]):
        yield f"        {name} = 0;"
    yield "        skip };"
    yield from (f"    if :: {name} = 0 :: {name} = 1 fi;" for name in world.chosen)
    yield "    if"
    for place, event in enumerate(world.begins):
        yield f"    :: begun == {place} -> begun = {place + 1}; e_kind = {event.__name__}"
    yield from _from_outside(world, f"begun == {len(world.begins)} && !urgent && !hushed")
    for region, _ in world.running():
        name = region.expired.__name__
        yield f"    :: begun == {len(world.begins)} && urgent_{region.name} -> e_kind = {name}"
        yield f"    :: begun == {len(world.begins)} && waits_{region.name} && (!urgent || late) -> e_kind = {name}"
    yield "    fi"
    yield "}"


def _from_outside(world: World, when: str) -> Iterator[str]:
    expiries = {region.expired for region in world.tables.regions}
    yield "#ifdef SILENCE"
    yield f"    :: {when} -> silent = 1; goto again"
    yield "#endif"
    for event in world.tables.events:
        if event in world.without:
            continue
        if event in expiries:
            if world.rules.given:
                yield f"    :: {when} -> e_kind = {event.__name__}; e_stale = 1"
            continue
        given = [f"choose_{name}{'_or_none' if 0 in world.values(event, name) else ''}()" for name in world.reads[event]]
        barred = f"; !({world.rules.barred[event]})" if event in world.rules.barred else ""
        yield f"    :: {when} -> e_kind = {event.__name__}{''.join(f'; {one}' for one in given)}{barred}"
