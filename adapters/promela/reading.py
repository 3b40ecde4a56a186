"""One function's Python, read statement by statement; what is not known is unclear, never guessed."""

import ast
import builtins
import inspect
from typing import TYPE_CHECKING, Any

import attrs

from adapters.promela import sequences as seq
from adapters.promela.shape import is_id
from adapters.promela.values import (
    FALSE,
    NUMBER,
    TEXT,
    TRUE,
    Choice,
    Kind,
    Known,
    Parts,
    Sequence,
    Term,
    Unclear,
    Value,
    both,
    choose,
    compare,
    either,
    lift,
    negate,
    number,
    truth,
)
from fsm.engine.notation import Region, State

if TYPE_CHECKING:
    from adapters.promela.translate import Translator

SNAPSHOT, EVENT = Known(object()), Known(object())
"""What stands for the two arguments of a guard."""
Names = dict[str, Value]
_ORDER = {ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">="}


@attrs.define
class Reading:
    """One function being read: `outer` holds the names of its module."""

    translator: "Translator"
    outer: Names

    def returned(self, body: list[ast.stmt], names: Names) -> Value:
        """What a list of statements returns."""
        if not body:
            return Known(None)
        first, rest = body[0], body[1:]
        match first:
            case ast.Return(value):
                return self.of(value, names) if value is not None else Known(None)
            case ast.Expr(ast.Constant()):
                return self.returned(rest, names)
            case ast.Assign([target], value):
                given = self._assigned(target, self.of(value, names))
                return given if isinstance(given, Unclear) else self.returned(rest, {**names, **given})
            case ast.If(test, then, other):
                return choose(truth(self.of(test, names)), self.returned([*then, *rest], names), self.returned([*other, *rest], names))
        return Unclear(f"a {type(first).__name__}")

    def of(self, node: ast.expr, names: Names) -> Value:
        """What an expression is."""
        match node:
            case ast.Constant(value):
                return Known(value)
            case ast.Name(name):
                known = Known(getattr(builtins, name)) if hasattr(builtins, name) else Unclear(name)
                return names.get(name) or self.outer.get(name) or known
            case ast.Attribute(of, name):
                return self._attribute(self.of(of, names), name)
            case ast.BoolOp(operator, values):
                return self._all_or_any(operator, values, names)
            case ast.UnaryOp(ast.Not(), operand):
                return negate(truth(self.of(operand, names)))
            case ast.UnaryOp(ast.USub(), operand):
                return number(Known(0), "-", self.of(operand, names))
            case ast.BinOp(left, ast.Add() | ast.Sub() as sign, right):
                return self._sum(self.of(left, names), "+" if isinstance(sign, ast.Add) else "-", self.of(right, names))
            case ast.Compare(left, operators, rights):
                return self._compared([self.of(left, names), *[self.of(right, names) for right in rights]], operators)
            case ast.IfExp(test, then, other):
                return choose(truth(self.of(test, names)), self.of(then, names), self.of(other, names))
            case ast.Tuple(items):
                return self._tuple(items, names)
            case ast.Subscript(of, key):
                return self._item(self.of(of, names), key, names)
            case ast.GeneratorExp(made, [ast.comprehension(ast.Name(name), over, tests)]):
                return self._generated(made, name, self.of(over, names), tests, names)
            case ast.JoinedStr(parts):
                return self._joined([self._part(part, names) for part in parts])
            case ast.Call(function, arguments, keywords):
                return self._called(self.of(function, names), [*arguments, *[keyword.value for keyword in keywords]], keywords, names)
        return Unclear(f"a {type(node).__name__}")

    def _assigned(self, target: ast.expr, value: Value) -> Names | Unclear:
        match target:
            case ast.Name(name):
                return {name: value}
            case ast.Tuple(targets) if all(isinstance(one, ast.Name | ast.Starred) for one in targets):
                value = seq.sequence(value)
                given: Names = {}
                for place, one in enumerate(targets):
                    into = one.value if isinstance(one, ast.Starred) else one
                    assert isinstance(into, ast.Name)
                    if isinstance(one, ast.Starred) and place != len(targets) - 1:
                        return Unclear("a star that is not the last")
                    given[into.id] = seq.after(value, place) if isinstance(one, ast.Starred) else seq.at(value, place)
                return given
        return Unclear(f"an assignment to a {type(target).__name__}")

    def _attribute(self, value: Value, name: str) -> Value:
        shape = self.translator.shape
        if isinstance(value, Choice):
            return lift(value, lambda one: self._attribute(one, name))
        if value is SNAPSHOT:
            region = next((region for region in shape.regions if region.name == name), None)
            return (
                Known(region) if region is not None else Known(getattr(shape.start, name)) if hasattr(shape.start, name) else Unclear(name)
            )
        if value is EVENT:
            kinds = {field.type for event in self.translator.events for field in attrs.fields(event) if field.name == name}
            return shape.told(kinds.pop(), name) if len(kinds) == 1 else Unclear(f"event.{name}")
        if isinstance(value, Known) and isinstance(value.value, Region):
            state = self.translator.states.get(value.value.name)
            return Known(state) if name == "state" and state is not None else shape.field(value.value, name)
        if isinstance(value, Parts):
            return value.fields.get(name, Unclear(name))
        if isinstance(value, Known):
            return Known(getattr(value.value, name)) if hasattr(value.value, name) else Unclear(name)
        return value if isinstance(value, Unclear) else Unclear(f".{name}")

    def _all_or_any(self, operator: ast.boolop, nodes: list[ast.expr], names: Names) -> Value:
        value = self.of(nodes[0], names)
        for node in nodes[1:]:
            asked = truth(value)
            if isinstance(asked, Known) and asked.value != isinstance(operator, ast.And):
                return value
            right = self.of(node, names)
            if isinstance(right, Known | Term) and ((isinstance(right, Known) and isinstance(right.value, bool)) or _is_bool_term(right)):
                value = both(asked, right) if isinstance(operator, ast.And) else either(asked, right)
            else:
                value = choose(asked, right, value) if isinstance(operator, ast.And) else choose(asked, value, right)
        return value

    def _sum(self, left: Value, sign: str, right: Value) -> Value:
        for value, other in ((left, right), (right, left)):
            if isinstance(value, Choice):
                change = (lambda one: self._sum(one, sign, right)) if value is left else (lambda one: self._sum(left, sign, one))
                return lift(value, change)
            if isinstance(value, Term) and value.kind.name == "words" and isinstance(other, Term) and other.kind == TEXT:
                return number(other, sign, self.translator.shape.length(value))
        return number(left, sign, right)

    def _compared(self, values: list[Value], operators: list[ast.cmpop]) -> Value:
        result: Value = TRUE
        for left, operator, right in zip(values, operators, values[1:], strict=False):
            result = both(result, self._one_compared(left, operator, right))
        return result

    def _one_compared(self, left: Value, operator: ast.cmpop, right: Value) -> Value:
        match operator:
            case ast.Is() | ast.Eq():
                return self.equal(left, right)
            case ast.IsNot() | ast.NotEq():
                return negate(self.equal(left, right))
            case ast.In():
                return self.among(left, right)
            case ast.NotIn():
                return negate(self.among(left, right))
        return compare(left, _ORDER[type(operator)], right)

    def equal(self, left: Value, right: Value) -> Value:
        """`left == right`, or `is`, which is the same for states, choices and constants."""
        for value, other in ((left, right), (right, left)):
            if isinstance(value, Unclear):
                return value
            if isinstance(value, Choice):
                return lift(value, lambda one, other=other: self.equal(one, other))  # type: ignore[misc]
        if isinstance(left, Known) and isinstance(right, Known):
            return Known(left.value is right.value or left.value == right.value)
        if isinstance(left, Known):
            left, right = right, left
        shape = self.translator.shape
        match left, right:
            case (Term(kind=Kind(name="state")), Known(State() as state)):
                return Term(f"{left.text} == {state!r}", reads=left.reads, top="==")
            case (Term(kind=Kind(name="words")), Known(word)):
                return shape.asked(left, (word,))
            case (Term(), Known("")) if is_id(left) or left.kind == TEXT:
                return negate(truth(left))
            case (Term(), Term()) if is_id(left) and is_id(right):
                return self._same_id(left, right)
            case (Sequence(), _):
                return seq.equal(left, seq.sequence(right), self.equal)
        return compare(left, "==", right)

    def among(self, one: Value, many: Value) -> Value:
        """`one in many`."""
        if isinstance(one, Choice):
            return lift(one, lambda each: self.among(each, many))
        if isinstance(many, Choice):
            return lift(many, lambda each: self.among(one, each))
        if isinstance(many, Known) and isinstance(one, Known):
            return Known(one.value in many.value)
        if isinstance(many, Known) and isinstance(one, Term) and one.kind.name == "words":
            return self.translator.shape.asked(one, many.value)
        many = seq.sequence(many)
        if isinstance(many, Unclear) or isinstance(one, Unclear):
            return many if isinstance(many, Unclear) else one
        assert isinstance(many, Sequence)
        found: Value = FALSE
        for place, item in enumerate(many.items):
            found = either(found, both(seq.counts(many, place), self.equal(one, item)))
        return found

    def _same_id(self, left: Term, right: Term) -> Value:
        a, b = (
            self.translator.shape.encoded(one, other.kind) if one.kind.name == "made" else one
            for one, other in ((left, right), (right, left))
        )
        if isinstance(a, Unclear) or isinstance(b, Unclear) or left.kind.of != right.kind.of != "":
            return Unclear(f"{left.text} == {right.text}")
        reads = a.reads | b.reads
        return Term(f"{a.text} == {b.text}", reads=reads, told_apart=reads, top="==")

    def _tuple(self, nodes: list[ast.expr], names: Names) -> Value:
        items: Value = Known(())
        for node in nodes:
            if isinstance(node, ast.Starred):
                items = seq.joined(items, seq.sequence(self.of(node.value, names)))
            else:
                items = seq.joined(items, Sequence(Known(1), (self.of(node, names),)))
        return seq.settled(items)

    def _item(self, value: Value, key: ast.expr, names: Names) -> Value:
        if isinstance(key, ast.Slice) and key.step is None:
            lower, upper = (None if end is None else self.of(end, names) for end in (key.lower, key.upper))
            if isinstance(value, Term) and value.kind == TEXT and lower is None and isinstance(upper, Known):
                return choose(compare(value, ">", upper), Known("." * upper.value), value) if value.high > upper.value else value
            if isinstance(value, Choice):
                return lift(value, lambda one: self._item(one, key, names))
            ends = [None if end is None else end.value if isinstance(end, Known) else "?" for end in (lower, upper)]
            return seq.part(seq.sequence(value), *ends)
        place = self.of(key, names)
        if isinstance(place, Known) and isinstance(place.value, int) and place.value >= 0:
            return lift(value, lambda one: seq.at(seq.sequence(one), place.value))
        return Unclear("an item of something")

    def _generated(self, made: ast.expr, name: str, over: Value, tests: list[ast.expr], names: Names) -> Value:
        over = seq.sequence(over)
        if isinstance(over, Choice):
            return Unclear("a generator over one of two")
        if not isinstance(over, Sequence):
            return over
        kept = []
        for place, item in enumerate(over.items):
            keeps = seq.counts(over, place)
            for test in tests:
                keeps = both(keeps, truth(self.of(test, {**names, name: item})))
            kept.append((keeps, self.of(made, {**names, name: item})))
        return seq.kept(kept) if tests else Sequence(over.size, tuple(item for _, item in kept))

    def _part(self, part: ast.expr, names: Names) -> Value:
        return self.of(part.value, names) if isinstance(part, ast.FormattedValue) else self.of(part, names)

    def _joined(self, parts: list[Value]) -> Value:
        """An id that is put together: the texts between its parts keep any two of them apart."""
        if not all(isinstance(part, Known) or (isinstance(part, Term) and part.kind.name in ("ids", "number")) for part in parts):
            return Unclear("an f-string of more than ids and numbers")
        code, terms = "0", [part for part in parts if isinstance(part, Term)]
        for term in terms:
            code = f"{code} * {term.high + 1} + {term.text}" if code != "0" else term.text
            code = f"({code})"
        pattern = tuple(str(part.value) if isinstance(part, Known) else part for part in parts)
        reads = frozenset().union(*[term.reads for term in terms])
        return Term(f"({code} + 1)", Kind("made", pattern), 1, 255, reads, reads) if terms else Known("".join(map(str, pattern)))

    def _called(self, function: Value, nodes: list[ast.expr], keywords: list[ast.keyword], names: Names) -> Value:
        if isinstance(function, Unclear):
            return function
        if not isinstance(function, Known) or any(isinstance(node, ast.Starred) for node in nodes):
            return Unclear("a call of something")
        called, given = function.value, [self.of(node, names) for node in nodes]
        if isinstance(called, type) and attrs.has(called):
            told = [field.name for field in attrs.fields(called)][: len(given) - len(keywords)] + [
                keyword.arg or "" for keyword in keywords
            ]
            missing = {field.name: Known(field.default) for field in attrs.fields(called) if field.default is not attrs.NOTHING}
            return Parts(called, {**missing, **dict(zip(told, given, strict=False))})
        if inspect.isfunction(called) and not keywords:
            return self.translator.call(called, tuple(given))
        if called is isinstance and len(given) == 2 and given[0] is EVENT:
            return self._is_of(nodes[1], given[1])
        if len(given) == 2 and called in (min, max):
            less = compare(given[0], "<" if called is min else ">", given[1])
            return choose(less, given[0], given[1])
        if len(given) == 1 and called in (len, bool, tuple, all, any):
            return lift(given[0], lambda one: self._builtin(called, one))
        return Unclear(f"a call of {getattr(called, '__name__', called)}")

    def _is_of(self, node: ast.expr, kinds: Value) -> Value:
        if not isinstance(kinds, Known):
            return Unclear(f"isinstance of {ast.unparse(node)}")
        found: Value = FALSE
        for kind in kinds.value if isinstance(kinds.value, tuple) else (kinds.value,):
            found = either(found, Term(self.translator.family(kind)))
        return found

    def _builtin(self, called: Any, value: Value) -> Value:
        if called is bool:
            return truth(value)
        if called is len and isinstance(value, Term) and value.kind == TEXT:
            return attrs.evolve(value, kind=NUMBER)
        value = seq.sequence(value)
        if not isinstance(value, Sequence):
            return value
        if called is len:
            return value.size
        if called is tuple:
            return value
        result: Value = TRUE if called is all else FALSE
        for place, item in enumerate(value.items):
            there = seq.counts(value, place)
            result = both(result, either(negate(there), truth(item))) if called is all else either(result, both(there, truth(item)))
        return result


def _is_bool_term(value: Value) -> bool:
    return isinstance(value, Term) and value.kind.name == "bool"
