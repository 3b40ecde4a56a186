"""The guards' Python, read and said in Promela: a small, strict translator; what it does not know is unclear, never guessed.

It reads functions of the shape `(snapshot, event) -> value` and follows the functions that they call. It knows

- `snapshot.region.field`, `snapshot.x.y` where that is a constant of the call (the policy), `event.field`, `isinstance(event, …)`;
- `is`, `is not`, `==`, `!=`, `<` …, `in`, `not in`; `and`, `or`, `not`, `… if … else …`, `+`, `-`;
- tuples with stars, `t[0]`, `t[1:]`, `t[:n]`, `t[-n:]`; `len`, `bool`, `min`, `max`, `tuple`, `any`, `all` over a generator with one `for`;
- `return`, `if`, assignments to names and tuples of names; f-strings that put an id together from ids and numbers;
- names of the function's module, and records that it makes.
"""

import ast
import inspect
import textwrap
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import attrs

from adapters.promela.reading import EVENT, SNAPSHOT, Names, Reading
from adapters.promela.shape import Shape
from adapters.promela.values import (
    TRUE,
    Known,
    Term,
    Unclear,
    Value,
    truth,
)
from fsm.engine.notation import State, always


@attrs.define
class Translator:
    """Translates the functions of one machine's tables.

    With `named`, a question becomes a macro of its own (`macros`, in the order of their definition), and one that is unclear becomes a
    choice (`chosen`, with the reason). Without, all is unfolded; `states` then says in which states some regions are taken to be.
    """

    shape: Shape
    events: tuple[type, ...]
    given: dict[Callable[..., Any], str] = attrs.field(factory=dict)
    """Guards that are not read: what stands for them."""
    named: bool = True
    states: dict[str, State] = attrs.field(factory=dict)
    macros: dict[Callable[..., Any], tuple[str, Term]] = attrs.field(factory=dict)
    chosen: dict[Callable[..., Any], str] = attrs.field(factory=dict)
    families: dict[type, str] = attrs.field(factory=dict)
    """The families of events that are asked for."""
    _at_work: list[Callable[..., Any]] = attrs.field(factory=list)

    def guard(self, guard: Callable[..., Any]) -> Value:
        """A guard as a bool."""
        return truth(self.call(guard, (SNAPSHOT, EVENT)))

    def call(self, function: Callable[..., Any], arguments: tuple[Value, ...]) -> Value:
        """What a function gives for these arguments."""
        if function is always:
            return TRUE
        if function in self.given:
            return Term(self.given[function], reads=frozenset((f"given.{self.given[function]}",)))
        asks = all(argument in (SNAPSHOT, EVENT) or argument == Known(None) for argument in arguments)
        if asks and function in self.macros:
            return self._macro(function)
        if function in self._at_work:
            return Unclear(f"{function.__name__} calls itself")
        self._at_work.append(function)
        try:
            value = self._run(function, arguments)
        finally:
            self._at_work.pop()
        if not asks or not self.named:
            return value
        if isinstance(value, Unclear) and function.__annotations__.get("return") is bool:
            name = self._name("a_", function)
            self.chosen[function] = value.why
            value = Term(name, reads=frozenset((f"chosen.{name}",)))
            self.macros[function] = name, value
        elif isinstance(value, Term) and value.kind.name == "bool":
            self.macros[function] = self._name("if_", function), value
        return self._macro(function) if function in self.macros else value

    def family(self, event: type) -> str:
        """The macro that asks whether the event is of this class."""
        return self.families.setdefault(event, f"is_{event.__name__}")

    def _macro(self, function: Callable[..., Any]) -> Term:
        name, term = self.macros[function]
        return attrs.evolve(term, text=name, top="")

    def _name(self, prefix: str, function: Callable[..., Any]) -> str:
        taken = {name for name, _ in self.macros.values()}
        plain = f"{prefix}{function.__name__}"
        return plain if plain not in taken else f"{plain}_{function.__module__.rpartition('.')[2]}"

    def _run(self, function: Callable[..., Any], arguments: tuple[Value, ...]) -> Value:
        read = _read(function)
        if isinstance(read, Unclear):
            return read
        parameters, body, outer = read
        if len(parameters) != len(arguments):
            return Unclear(f"{function.__name__} takes {len(parameters)} arguments")
        return Reading(self, outer).returned(body, dict(zip(parameters, arguments, strict=True)))


@lru_cache(maxsize=10_000)
def _read(function: Callable[..., Any]) -> tuple[list[str], list[ast.stmt], Names] | Unclear:
    """A function's parameters, its statements, and the names around it."""
    try:
        (body,) = ast.parse(textwrap.dedent(inspect.getsource(function))).body
    except (OSError, TypeError, SyntaxError, ValueError):
        return Unclear(f"{getattr(function, '__name__', function)} has no source to read")
    if not isinstance(body, ast.FunctionDef) or body.args.defaults or body.args.kwonlyargs or body.args.vararg or body.args.kwarg:
        return Unclear(f"{getattr(function, '__name__', function)} is no plain function")
    found = inspect.getclosurevars(function)
    outer: Names = {name: Known(value) for name, value in {**found.globals, **found.nonlocals}.items()}
    return [one.arg for one in body.args.args], body.body, outer
