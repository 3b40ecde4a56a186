"""What of a snapshot and of an event Promela keeps: a variable for each id, number, choice and short tuple.

- **States** are themselves. **Ids** are numbers from 1, 0 is the empty one: a field's name says of which sort.
- **Choices** (enumerations) and an event's words are the answers to the questions that the tables ask of them, a bit each.
- **Numbers** are small ones. Of a record's other words only the length counts.
- **Tuples** have as many places as the policy lets them have.
- Times, epochs and words that are only handed on are left out: a guard that reads them is unclear.
"""

import enum
from collections.abc import Callable, Iterable
from typing import Any, get_args, get_origin

import attrs

from adapters.promela.values import BOOL, NUMBER, STATE, TEXT, Choice, Kind, Known, Parts, Sequence, Term, Unclear, Value, truth
from fsm.engine.notation import Region, State

SORTS = {"id": "response_id", "next_id": "response_id", "arrived_id": "response_id", "ended": "response_id", "pending": "tool_call_id"}
"""Fields of ids that are not named after their sort; others that end with the name of one are of that sort (`next_item_id`)."""
NAMED = ("response_id", "item_id", "session_id", "tool_call_id")
"""The sorts of ids that fields are named after; any other field that ends with `_id` is of a sort of its own."""
PLACES = {
    "ended": "remembered_ids",
    "queue": "queued_sentences",
    "spoken": "queued_sentences",
    "waiting": "queued_notices",
    "pending": "tools_at_once",
}
"""The policy's bound of each tuple."""
MOST_PLACES = 4
"""The most places of a tuple: more than that no search gets through."""
NUMBERS = {"sentence": (1, 2), "number": (0, 2)}
"""The least and the most that a number is; (0, 2) in an event where nothing is said: none, a part, everything."""
OTHER = {"digit": "5"}
"""What a word of an event is when it is none that a table asks for; `other` where nothing is said."""
LEFT_OUT = ("at_ms", "epoch", "due_ms", "region")


@attrs.frozen
class Variable:
    """A Promela variable: `path` is the field that it keeps (`playout.id`), `high` the most it can be."""

    name: str
    path: str
    kind: Kind
    high: int
    start: int | str = 0


@attrs.define
class Shape:
    """The variables of a machine's snapshots and events, as far as they are known: a translation finds more out (`grown`)."""

    regions: tuple[Region, ...]
    start: Any
    ids: int
    """How many ids of a sort there are."""
    dropped: dict[str, str] = attrs.field(factory=dict)
    """Paths that are not kept, and why."""
    questions: dict[Any, list[frozenset[Any]]] = attrs.field(factory=dict)
    """For each sort of words the sets that membership is asked of."""
    made: dict[str, tuple[Any, ...]] = attrs.field(factory=dict)
    """For each sort of ids that is put together from others: its parts, texts and terms."""
    unread: frozenset[str] = frozenset()
    """Paths that nothing turns on: no variable keeps them."""
    flags: frozenset[str] = frozenset()
    """Paths of ids of which only whether they are empty is ever asked."""
    grown: int = 0
    _most: dict[str, int] = attrs.field(factory=dict)

    def most(self, sort: str) -> int:
        """The greatest id of a sort; the last one of a sort that is made of others is one that nothing made."""
        if sort in self.made:
            most = 1
            for part in self.made[sort]:
                most *= 1 if isinstance(part, str) else part.high + 1
            return most + 1
        if sort not in self._most:
            tuples = [field.name for region in self.regions for field in attrs.fields(region.record) if get_origin(field.type) is tuple]
            longer = [self.places(name) + 1 for name in tuples if _sort(name) == sort and sort != "response_id"]
            self._most[sort] = max([self.ids, *longer])
        return self._most[sort]

    def places(self, name: str) -> int:
        """How many items of a tuple of this name are kept apart."""
        return min(MOST_PLACES, self.bound(name))

    def bound(self, name: str) -> int:
        """How long a tuple of this name may be."""
        return int(getattr(getattr(self.start, "policy", None), PLACES.get(name, ""), 2))

    def field(self, region: Region, name: str) -> Value:
        """A field of a region's record, as guards read it."""
        kinds = {field.name: field.type for field in attrs.fields(region.record)}
        if name not in kinds:
            return Unclear(f"{region.name}.{name}")
        if name == "state":
            return Term(region.name, STATE, reads=frozenset((f"{region.name}.state",)))
        return self._kept(f"{region.name}.{name}", f"{region.name}_{name}", name, kinds[name])

    def told(self, kind: type, name: str) -> Value:
        """A field of an event."""
        path = f"event.{name}"
        if name in LEFT_OUT:
            return Unclear(f"{name}, which is time")
        if kind is str and not _sort(name):
            self.questions.setdefault(path, [])
            return Term(f"e_{name}", Kind("words", path), 0, 255, frozenset((path,)))
        if kind in (int, float):
            low, high = NUMBERS.get(name, (0, 2))
            return Term(f"e_{name}", NUMBER, low, high, frozenset((path,)))
        return self._kept(path, f"e_{name}", name, kind)

    def asked(self, term: Term, these: Iterable[Any]) -> Value:
        """Is a word or a choice one of these?"""
        sets, wanted = self.questions.setdefault(term.kind.of, []), frozenset(these)
        if wanted not in sets:
            sets.append(wanted)
            self.grown += 1
        return Term(f"({term.text} & {1 << sets.index(wanted)})", BOOL, 0, 1, term.reads)

    def answers(self, sort: Any, word: Any) -> int:
        """A word as its answers to the questions that are asked of its sort."""
        return sum(1 << place for place, these in enumerate(self.questions.get(sort, [])) if word in these)

    def words(self, sort: Any, name: str) -> dict[int, Any]:
        """For each answer that a word of an event can give, one that gives it."""
        known = [word for these in self.questions.get(sort, []) for word in sorted(these)]
        return {self.answers(sort, word): word for word in reversed([*known, OTHER.get(name, "other")])}

    def length(self, word: Term) -> Term | Unclear:
        """The length of an event's word, if all words that it can be are of one."""
        lengths = {len(one) for one in self.words(word.kind.of, word.text.removeprefix("e_")).values()}
        return self._constant(".", TEXT) if lengths == {1} else Unclear(f"the length of {word.text}")

    def make(self, sort: str, parts: tuple[Any, ...]) -> bool:
        """Ids of this sort are put together from `parts`; False if they are put together otherwise already."""
        if sort not in self.made:
            self.made[sort] = parts
            self.grown += 1
        return _pattern(self.made[sort]) == _pattern(parts)

    def drop(self, path: str, why: str) -> None:
        """Keep a field no longer: whatever reads it is unclear."""
        if path not in self.dropped:
            self.dropped[path] = why
            self.grown += 1

    def encoded(self, value: Value, kind: Kind) -> Term | Unclear:
        """A value as the number that a variable of this kind keeps."""
        match value:
            case Choice(condition, then, other):
                a, b = self.encoded(then, kind), self.encoded(other, kind)
                if isinstance(a, Unclear) or isinstance(b, Unclear):
                    return a if isinstance(a, Unclear) else b
                parts = (condition, a, b)
                reads, apart = (frozenset().union(*[getattr(part, which) for part in parts]) for which in ("reads", "told_apart"))
                text = a.text if a.text == b.text else f"({condition.text} -> {a.text} : {b.text})"
                return Term(text, kind, min(a.low, b.low), max(a.high, b.high), reads, apart)
            case Known(known):
                return self._constant(known, kind)
            case Term(kind=Kind(name="words")) if kind == TEXT:
                return self.length(value)
            case Term() if value.kind == kind or (value.kind == NUMBER and kind == TEXT):
                return value
            case Term() if value.kind.name == "made" and kind.name == "ids" and self.make(kind.of, value.kind.of):
                return value
            case Unclear():
                return value
        return Unclear(f"a {type(value).__name__.lower()} in a field of {kind.name}")

    def variables(self) -> list[Variable]:
        """Every variable of the snapshot that is kept, region by region, with where it starts."""
        found = []
        for region in self.regions:
            record = getattr(self.start, region.name)
            found.append(Variable(region.name, f"{region.name}.state", STATE, 255, repr(record.state)))
            for field in attrs.fields(region.record):
                if field.name not in ("state", *LEFT_OUT):
                    found += self.of(self.field(region, field.name), getattr(record, field.name), f"{region.name}.{field.name}")
        return found

    def of(self, value: Value, start: Any, path: str) -> list[Variable]:
        """The variables that a field's value stands on."""
        match value:
            case Term():
                if path in self.unread:
                    return []
                begins = self.encoded(Known(start), value.kind)
                return [Variable(value.text, path, value.kind, value.high, 0 if isinstance(begins, Unclear) else int(begins.text))]
            case Sequence(size, items):
                found = self.of(size, len(start), path)
                for place, item in enumerate(items):
                    parts = item.fields.items() if isinstance(item, Parts) else [("[]", item)]
                    given = start[place] if place < len(start) else None
                    for name, part in parts:
                        begins = _blank(part) if given is None else given if name == "[]" else getattr(given, name)
                        found += self.of(part, begins, f"{path}.{name}")
                return found
        return []

    def _kept(self, path: str, name: str, field: str, kind: Any) -> Value:
        if path in self.dropped:
            return Unclear(self.dropped[path])
        reads, sort = frozenset((path,)), _sort(field)
        if kind is bool:
            return Term(name, BOOL, reads=reads)
        if kind in (int, float):
            return Term(name, NUMBER, *NUMBERS.get(field, (0, 255)), reads)
        if isinstance(kind, type) and issubclass(kind, enum.Enum):
            return Term(name, Kind("words", kind), 0, 255, reads)
        if kind is str:
            return Term(name, Kind("ids", sort), 0, self.most(sort), reads) if sort else Term(name, TEXT, 0, 64, reads)
        if get_origin(kind) is tuple and get_args(kind)[1:] == (...,):
            return self._several(path, name, field, get_args(kind)[0])
        return Unclear(f"{path} is a {getattr(kind, '__name__', kind)}")

    def _several(self, path: str, name: str, field: str, kind: Any) -> Value:
        places = self.places(field)
        size = Term(f"{name}_n", NUMBER, 0, self.bound(field), frozenset((path,)))
        if attrs.has(kind):
            told = {one.name: one.type for one in attrs.fields(kind)}
            slots = [{of: self._kept(f"{path}.{of}", f"{name}_{place}_{of}", of, told[of]) for of in told} for place in range(places)]
            return Sequence(size, tuple(Parts(kind, slot) for slot in slots))
        if kind is str and _sort(field):
            return Sequence(size, tuple(self._kept(f"{path}.[]", f"{name}_{place}", field, str) for place in range(places)))
        return Sequence(size, (Unclear(f"{path} is a tuple of {getattr(kind, '__name__', kind)}"),) * places)

    def _constant(self, known: Any, kind: Kind) -> Term | Unclear:
        if known is None:
            return Term("0", kind, 0, 0)
        if kind.name == "ids" and known == "":
            return Term("0", kind, 0, 0)
        if kind.name == "words" and (isinstance(known, str) or not isinstance(kind.of, str)):
            code = self.answers(kind.of, known)
            return Term(str(code), kind, code, code)
        if kind.name == "text" and isinstance(known, str):
            return Term(str(len(known)), kind, len(known), len(known))
        if kind.name in ("number", "bool") and isinstance(known, int | float) and known == int(known):
            return Term(str(int(known)), kind, int(known), int(known))
        if kind == STATE and isinstance(known, State):
            return Term(repr(known), kind)
        return Unclear(f"{known!r} as one of {kind.name}")


def is_id(value: Value) -> bool:
    """Is it a term of ids?"""
    return isinstance(value, Term) and value.kind.name in ("ids", "made")


def flagged(term: Term) -> Term:
    """An id of which only whether it is empty counts."""
    asked = truth(term)
    text = asked.text if isinstance(asked, Term) else "1"
    return attrs.evolve(term, text="0" if term.text == "0" else f"({text})", high=1)


def _sort(name: str) -> str:
    named = next((sort for sort in NAMED if name == sort or name.endswith(f"_{sort}")), "")
    return SORTS.get(name) or named or (name if name.endswith("_id") else "")


def _blank(part: Value) -> Any:
    return "" if isinstance(part, Term) and part.kind.name in ("ids", "text") else 0


def _pattern(parts: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(part if isinstance(part, str) else (part.kind, part.high) for part in parts)


Reader = Callable[[Region, str], Value]
