"""What a guard or an update computes, as Promela sees it: terms over the snapshot, records, and short sequences of them.

A `Known` is settled when the model is written, a `Term` when it runs; an `Unclear` is what Promela cannot say, and it spreads to whatever
needs it. A `Choice` is one of two values by a condition: operations go through to both, so that nothing but a term is ever written.
"""

from collections.abc import Callable
from typing import Any

import attrs


@attrs.frozen
class Kind:
    """What a term's number means: `name` is bool, number, state, ids, words, text or made; `of` says of which sort."""

    name: str
    of: Any = ""


BOOL, NUMBER, STATE, TEXT = Kind("bool"), Kind("number"), Kind("state"), Kind("text")


@attrs.frozen
class Known:
    """A Python value that is known when the model is written: a constant, a state, a setting of the policy, a function."""

    value: Any


@attrs.frozen
class Term:
    """A Promela expression: its kind, the least and the most that it can be, the variables that it reads, and those it compares.

    A variable that is `told_apart` is compared with another or with a number; of any other only whether it is 0 is asked.
    """

    text: str
    kind: Kind = BOOL
    low: int = 0
    high: int = 1
    reads: frozenset[str] = frozenset()
    told_apart: frozenset[str] = frozenset()
    top: str = ""
    """The operator that binds its text loosest: `&&`, `||`, another one, or none."""


@attrs.frozen
class Parts:
    """A record by its fields, or an effect: `made` is its class."""

    made: type
    fields: dict[str, "Value"]


@attrs.frozen
class Sequence:
    """A tuple of at most `len(items)` items, of which the first `size` count."""

    size: "Value"
    items: tuple["Value", ...]


@attrs.frozen
class Choice:
    """`then` where `condition` holds, else `other`."""

    condition: Term
    then: "Value"
    other: "Value"


@attrs.frozen
class Unclear:
    """What cannot be said in Promela, and why."""

    why: str


Value = Known | Term | Parts | Sequence | Choice | Unclear
TRUE, FALSE = Known(True), Known(False)


def choose(condition: Value, then: Value, other: Value) -> Value:
    """`then` where `condition` holds, else `other`."""
    match condition:
        case Unclear():
            return condition
        case Known(value):
            return then if value else other
        case Term() if _is_bool(then) and _is_bool(other):
            return _either_bool(condition, then, other)
        case Term() if isinstance(then, Unclear) and _is_bool(other):
            return then
        case Term() if isinstance(other, Unclear) and _is_bool(then):
            return other
        case Term():
            return then if then == other else Choice(condition, then, other)
    raise TypeError(condition)


def lift(value: Value, ask: Callable[[Value], Value]) -> Value:
    """`ask` of a value that is no choice: of both sides of one that is."""
    if isinstance(value, Choice):
        return choose(value.condition, lift(value.then, ask), lift(value.other, ask))
    return ask(value)


def both(left: Value, right: Value) -> Value:
    """`left and right`, of two bools; what is false is false whatever stands on the right."""
    if isinstance(left, Known):
        return right if left.value else FALSE
    if isinstance(right, Known):
        return left if right.value else FALSE
    return _joined("&&", left, right)


def either(left: Value, right: Value) -> Value:
    """`left or right`, of two bools."""
    if isinstance(left, Known):
        return TRUE if left.value else right
    if isinstance(right, Known):
        return TRUE if right.value else left
    return _joined("||", left, right)


def negate(value: Value) -> Value:
    """`not value`, of a bool."""
    if isinstance(value, Known):
        return Known(not value.value)
    if not isinstance(value, Term):
        return value
    if value.top == "==":
        return attrs.evolve(value, text=value.text.replace(" == ", " != "), top="!=")
    if value.top == "!=":
        return attrs.evolve(value, text=value.text.replace(" != ", " == "), top="==")
    return attrs.evolve(value, text=f"!{grouped(value)}", top="")


def truth(value: Value) -> Value:
    """`bool(value)`."""
    match value:
        case Choice():
            return lift(value, truth)
        case Known():
            return Known(bool(value.value))
        case Sequence():
            return truth(value.size)
        case Term() if value.kind == BOOL:
            return value
        case Term() if value.kind.name in ("number", "ids", "text", "made"):
            asks = Term(f"{grouped(value)} != 0", reads=value.reads, told_apart=value.told_apart, top="!=")
            return TRUE if value.low > 0 else asks
        case Parts():
            return TRUE
        case Unclear():
            return value
    return Unclear(f"whether {_word(value)} holds")


def number(left: Value, operator: str, right: Value) -> Value:
    """`left + right` or `left - right`, of numbers or of lengths."""
    for value in (left, right):
        if isinstance(value, Choice):
            return lift(value, (lambda v: number(v, operator, right)) if value is left else (lambda v: number(left, operator, v)))
        if isinstance(value, Unclear):
            return value
    if isinstance(left, Known) and isinstance(right, Known):
        return Known(left.value + right.value if operator == "+" else left.value - right.value)
    if right == Known(0) or (left == Known(0) and operator == "+"):
        return left if right == Known(0) else right
    a, b = _numeric(left), _numeric(right)
    if a is None or b is None:
        return Unclear(f"{_word(left)} {operator} {_word(right)}")
    low, high = (a.low + b.low, a.high + b.high) if operator == "+" else (a.low - b.high, a.high - b.low)
    kind = TEXT if TEXT in (a.kind, b.kind) else NUMBER
    return _told(f"({a.text} {operator} {b.text})", a, b, kind, low, high)


def compare(left: Value, operator: str, right: Value) -> Value:
    """A comparison of two numbers by `<`, `<=`, `>`, `>=`, `==` or `!=`; settled where their ranges settle it."""
    for value in (left, right):
        if isinstance(value, Choice):
            return lift(value, (lambda v: compare(v, operator, right)) if value is left else (lambda v: compare(left, operator, v)))
        if isinstance(value, Unclear):
            return value
    a, b = _numeric(left), _numeric(right)
    if a is None or b is None:
        return Unclear(f"{_word(left)} {operator} {_word(right)}")
    if (settled := _settled(a, operator, b)) is not None:
        return Known(settled)
    return _told(f"{a.text} {operator} {b.text}", a, b, BOOL, 0, 1, operator)


def grouped(term: Term) -> str:
    """A term's text, in brackets if an operator might tear it apart."""
    return f"({term.text})" if term.top else term.text


def _settled(a: Term, operator: str, b: Term) -> bool | None:
    """What the ranges of two numbers say of a comparison, if they settle it."""
    if operator in (">", ">="):
        a, b, operator = b, a, {">": "<", ">=": "<="}[operator]
    yes, no = {
        "<": (a.high < b.low, a.low >= b.high),
        "<=": (a.high <= b.low, a.low > b.high),
        "==": (a.low == a.high == b.low == b.high, a.high < b.low or b.high < a.low),
        "!=": (a.high < b.low or b.high < a.low, a.low == a.high == b.low == b.high),
    }[operator]
    return True if yes else False if no else None


def _told(text: str, a: Term, b: Term, kind: Kind, low: int, high: int, top: str = "") -> Term:
    return Term(text, kind, low, high, a.reads | b.reads, a.told_apart | b.told_apart | a.reads | b.reads, top)


def _numeric(value: Value) -> Term | None:
    """A number as a term, or None for what is none."""
    if isinstance(value, Term) and value.kind.name in ("number", "text", "bool"):
        return attrs.evolve(value, text=grouped(value), top="")
    if isinstance(value, Known):
        given = len(value.value) if isinstance(value.value, str) else value.value
        if isinstance(given, int | float) and given == int(given):
            return Term(str(int(given)), NUMBER, int(given), int(given))
    return None


def _is_bool(value: Value) -> bool:
    return (isinstance(value, Known) and isinstance(value.value, bool)) or (isinstance(value, Term) and value.kind == BOOL)


def _either_bool(condition: Term, then: Value, other: Value) -> Value:
    """`then if condition else other`, of two bools."""
    if then == condition or Known in (type(then), type(other)):
        return either(
            condition if then == condition else both(condition, then),
            other if then in (condition, TRUE) else both(negate(condition), other),
        )
    if other == condition:
        return both(condition, then)
    assert isinstance(then, Term) and isinstance(other, Term)
    parts = (condition, then, other)
    reads, apart = (frozenset().union(*[getattr(part, which) for part in parts]) for which in ("reads", "told_apart"))
    return Term(f"({condition.text} -> {then.text} : {other.text})", BOOL, 0, 1, reads, apart)


def _joined(operator: str, left: Value, right: Value) -> Value:
    if isinstance(left, Unclear) or isinstance(right, Unclear):
        return left if isinstance(left, Unclear) else right
    if not isinstance(left, Term) or not isinstance(right, Term):
        return Unclear(f"{_word(left)} {operator} {_word(right)}")
    if left.text == right.text:
        return left
    texts = [f"({one.text})" if one.top in ("&&", "||") and one.top != operator else one.text for one in (left, right)]
    text = f" {operator} ".join(texts)
    return Term(text, BOOL, 0, 1, left.reads | right.reads, left.told_apart | right.told_apart, operator)


def _word(value: Value) -> str:
    match value:
        case Known():
            return repr(value.value)
        case Term():
            return value.text
        case Parts():
            return value.made.__name__
        case Unclear():
            return value.why
    return type(value).__name__.lower()
