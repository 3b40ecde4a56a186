"""Short tuples whose items are known only when the model runs: what Python does to one, said item by item."""

from collections.abc import Callable

from adapters.promela.values import (
    FALSE,
    NUMBER,
    TRUE,
    Choice,
    Known,
    Sequence,
    Term,
    Unclear,
    Value,
    both,
    choose,
    compare,
    either,
    lift,
    number,
)


def sequence(value: Value) -> Value:
    """A value as a sequence, if it is one; else unclear."""
    if isinstance(value, Choice):
        return lift(value, sequence)
    if isinstance(value, Known) and isinstance(value.value, tuple | list | frozenset):
        return Sequence(Known(len(value.value)), tuple(Known(item) for item in value.value))
    return value if isinstance(value, Sequence | Unclear) else Unclear("something that is no tuple")


def settled(value: Value) -> Value:
    """A sequence of which all is known as the tuple that it is."""
    if isinstance(value, Sequence) and isinstance(value.size, Known) and all(isinstance(item, Known) for item in value.items):
        return Known(tuple(item.value for item in value.items if isinstance(item, Known)))
    return value


def counts(value: Sequence, place: int) -> Value:
    """Does the item at `place` count?"""
    return compare(Known(place), "<", value.size)


def at(value: Value, place: int) -> Value:
    """The item at `place`, from 0."""
    if isinstance(value, Choice):
        return lift(value, lambda one: at(one, place))
    if not isinstance(value, Sequence):
        return value
    return value.items[place] if place < len(value.items) else Unclear(f"the item {place} of fewer")


def after(value: Value, number_of: int) -> Value:
    """What is left without the first items."""
    if isinstance(value, Choice):
        return lift(value, lambda one: after(one, number_of))
    if not isinstance(value, Sequence) or number_of == 0:
        return value
    some = compare(value.size, ">=", Known(number_of))
    return Sequence(choose(some, number(value.size, "-", Known(number_of)), Known(0)), value.items[number_of:])


def part(value: Value, lower: object, upper: object) -> Value:
    """`value[lower:upper]`: one end is missing, the other one known."""
    if isinstance(value, Choice):
        return lift(value, lambda one: part(one, lower, upper))
    if not isinstance(value, Sequence):
        return value
    if isinstance(lower, int) and lower >= 0 and upper is None:
        return after(value, lower)
    if isinstance(upper, int) and upper >= 0 and lower is None:
        return Sequence(_at_most(value.size, upper), value.items[:upper])
    if isinstance(lower, int) and lower < 0 and upper is None:
        return _last(value, -lower)
    return Unclear("a part of a tuple")


def joined(left: Value, right: Value) -> Value:
    """`(*left, *right)`."""
    left, right = sequence(left), sequence(right)
    for value, other in ((left, right), (right, left)):
        if isinstance(value, Unclear):
            return value
        if isinstance(value, Choice):
            return lift(value, (lambda one: joined(one, right)) if value is left else (lambda one: joined(left, one)))
        del other
    assert isinstance(left, Sequence) and isinstance(right, Sequence)
    if isinstance(left.size, Known):
        first = left.items[: left.size.value]
        return Sequence(number(Known(len(first)), "+", right.size), (*first, *right.items))
    items = list(left.items)
    for place in range(len(left.items) + len(right.items)):
        if place == len(items):
            items.append(right.items[-1])
        for begins in range(max(0, place - len(right.items) + 1), min(place, len(left.items)) + 1):
            items[place] = choose(compare(left.size, "==", Known(begins)), right.items[place - begins], items[place])
    return Sequence(number(left.size, "+", right.size), tuple(items))


def kept(items: list[tuple[Value, Value]]) -> Value:
    """The items whose condition holds, in their order."""
    size: Value = Known(0)
    places: list[Value] = []
    for keeps, item in items:
        if isinstance(keeps, Unclear):
            return keeps
        for place in range(len(places)):
            places[place] = choose(both(keeps, compare(size, "==", Known(place))), item, places[place])
        places.append(item)
        size = number(size, "+", _as_number(keeps))
    return Sequence(size, tuple(places))


def equal(left: Sequence, right: Value, same: Callable[[Value, Value], Value]) -> Value:
    """`left == right`."""
    if not isinstance(right, Sequence):
        return right
    result = compare(left.size, "==", right.size)
    if isinstance(right.size, Known):
        for item, other in zip(left.items, right.items, strict=False):
            result = both(result, same(item, other))
        return result
    for place in range(min(len(left.items), len(right.items))):
        result = both(result, either(_beyond(left, place), same(left.items[place], right.items[place])))
    return result


def _beyond(value: Sequence, place: int) -> Value:
    there = counts(value, place)
    return FALSE if there == TRUE else TRUE if there == FALSE else compare(Known(place), ">=", value.size)


def _last(value: Sequence, most: int) -> Value:
    items = []
    for place in range(min(most, len(value.items))):
        item = value.items[place]
        for gone in range(1, len(value.items) - most + 1):
            item = choose(compare(value.size, "==", Known(most + gone)), value.items[place + gone], item)
        items.append(item)
    return Sequence(_at_most(value.size, most), tuple(items))


def _at_most(size: Value, most: int) -> Value:
    if isinstance(size, Term) and size.low >= most:
        return Known(most)
    return choose(compare(size, ">", Known(most)), Known(most), size)


def _as_number(keeps: Value) -> Value:
    if isinstance(keeps, Term):
        return Term(f"({keeps.text} -> 1 : 0)", NUMBER, 0, 1, keeps.reads, keeps.told_apart)
    return Known(int(keeps.value)) if isinstance(keeps, Known) else keeps
