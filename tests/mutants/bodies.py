"""Every way in which one change breaks a guard, an update or an act: another comparison, field, bound, constant or joint.

A body mutant is a function of the core with other code: the code object of the function itself is changed while a witness runs, so that
whoever calls it, by whatever name, meets the change.
"""

import ast
import copy
import inspect
import textwrap
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from types import CodeType, FunctionType, ModuleType

import attrs

from fsm.call import debts, guards, machine, states
from fsm.call.machine import CALL

MODULES: tuple[ModuleType, ...] = (
    guards,
    debts,
    *dict.fromkeys(
        inspect.getmodule(function)  # type: ignore[misc]
        for region in CALL.regions
        for row in region.rows
        for function in (row.guard, *row.then.acts)
        if isinstance(function, FunctionType) and function.__module__.startswith("fsm.call.")
    ),
    machine,
    states,
)
"""Where the functions stand that the tables name, and those that these call."""
COMPARED: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
}
SIBLINGS: dict[str, tuple[tuple[str, ...], ...]] = {
    "playout": (("id", "next_id", "arrived_id"),),
    "event": (("played_ms", "received_ms"),),
    "part": (("played_ms", "received_ms"),),
    "pending": (("owed", "asked"),),
    "truncation": (("awaited", "cut"), ("items", "spoken")),
    "account": (("items", "spoken"),),
    "tool": (("pending", "told"),),
    "synthesis": (("response_id", "item_id", "session_id"),),
    "sentence": (("response_id", "item_id"),),
    "item": (("response_id", "item_id"),),
    "idle": (("prompts", "asked"),),
    "policy": (("idle_prompts", "idle_prompts_in_all"), ("remembered_ids", "queued_sentences"), ("queued_notices", "tools_at_once")),
    "response": (("id", "fault"),),
}
"""Fields of the things of these names that could be taken for one another."""


Definition = ast.FunctionDef | ast.AsyncFunctionDef


@attrs.frozen(eq=False)
class BodyMutant:
    """A function of the core with one change: its name, and the code that it has meanwhile."""

    function: FunctionType
    name: str
    code: CodeType

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Meanwhile the function is the broken one."""
        sound = self.function.__code__
        self.function.__code__ = self.code
        try:
            yield
        finally:
            self.function.__code__ = sound


@cache
def functions() -> tuple[FunctionType, ...]:
    """Every function of the core that a table names or that such a function calls, once, in the order of the modules."""
    found: dict[CodeType, FunctionType] = {}
    for module in MODULES:
        for thing in vars(module).values():
            if isinstance(thing, FunctionType) and thing.__module__ == module.__name__:
                found.setdefault(thing.__code__, thing)
    return tuple(found.values())


def body_mutants() -> Iterator[BodyMutant]:
    """Every one-change mutant of every function, each with a name of its own."""
    for function in functions():
        if not function.__closure__ and _is_of_the_tables(function):
            yield from mutants_of_function(function)


def mutants_of_function(function: FunctionType) -> Iterator[BodyMutant]:
    """Every one-change mutant of a function that has no closure."""
    (definition,) = ast.parse(textwrap.dedent(inspect.getsource(function))).body
    if not isinstance(definition, Definition):  # a lambda
        return
    definition.decorator_list = []
    counts: dict[str, int] = {}
    for what, changed in _changes(definition):
        number = counts[what] = counts.get(what, 0) + 1
        name = f"{function.__module__.rpartition('.')[2]}.{function.__name__}: {what}" + (f" ({number})" if number > 1 else "")
        yield BodyMutant(function, name, _compiled(function, changed))


def idle(function: FunctionType) -> BodyMutant:
    """The function that does nothing."""
    (definition,) = ast.parse(textwrap.dedent(inspect.getsource(function))).body
    assert isinstance(definition, Definition)
    definition.decorator_list = []
    definition.body = [ast.Pass()]
    return BodyMutant(function, f"{function.__module__.rpartition('.')[2]}.{function.__name__}: nothing", _compiled(function, definition))


def _is_of_the_tables(function: FunctionType) -> bool:
    """Not those that run at import, or that only pass a step on."""
    return function.__module__ != machine.__name__ or function.__name__ == "admits"


def _compiled(function: FunctionType, definition: Definition) -> CodeType:
    module = ast.fix_missing_locations(ast.Module([definition], []))
    names: dict[str, object] = {}
    exec(compile(module, f"<broken {definition.name}>", "exec"), function.__globals__, names)
    made = names[definition.name]
    assert isinstance(made, FunctionType)
    return made.__code__


def _changes(definition: Definition) -> Iterator[tuple[str, Definition]]:
    """What is changed, and the definition with the change."""
    nodes = [node for node in ast.walk(definition) if not _in_annotation(definition, node)]
    for place, node in enumerate(nodes):
        for what, change in _changes_of(node):
            twin = copy.deepcopy(definition)
            change([other for other in ast.walk(twin) if not _in_annotation(twin, other)][place])
            yield what, twin


def _in_annotation(definition: Definition, node: ast.AST) -> bool:
    """Does the node say a type, or is it the docstring?"""
    parts = [definition.returns, *(argument.annotation for argument in definition.args.args)]
    parts += [one.annotation for one in ast.walk(definition) if isinstance(one, ast.AnnAssign)]
    inside = {id(part) for whole in parts if whole is not None for part in ast.walk(whole)}
    first = definition.body[0]
    return id(node) in inside or (isinstance(first, ast.Expr) and node in (first, first.value))


def _changes_of(node: ast.AST) -> Iterator[tuple[str, Callable[[ast.AST], None]]]:
    """The ways to change one node."""
    if isinstance(node, ast.Compare):
        for operator in COMPARED.get(type(node.ops[0]), ()):
            yield f"{ast.unparse(node)} by {operator.__name__}", _setting("ops", [operator(), *node.ops[1:]])
    elif isinstance(node, ast.BoolOp):
        other = ast.Or if isinstance(node.op, ast.And) else ast.And
        yield f"{other.__name__} in {ast.unparse(node)}", _setting("op", other())
        for place, value in enumerate(node.values):
            nothing = ast.Constant(isinstance(node.op, ast.And))
            yield (
                f"without {ast.unparse(value)}",
                _setting("values", [nothing if at == place else one for at, one in enumerate(node.values)]),
            )
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        yield f"without not in {ast.unparse(node)}", _setting("op", ast.UAdd())
    elif isinstance(node, ast.Attribute):
        for group in SIBLINGS.get(ast.unparse(node.value).rpartition(".")[2], ()):
            if node.attr in group:
                for name in group:
                    if name != node.attr:
                        yield f"{ast.unparse(node)} as {name}", _setting("attr", name)
    elif isinstance(node, ast.Constant) and isinstance(node.value, bool):
        yield f"{not node.value}", _setting("value", not node.value)
    elif isinstance(node, ast.Constant) and isinstance(node.value, int | float):
        yield f"{node.value + 1} for {node.value}", _setting("value", node.value + 1)
    elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add | ast.Sub):
        other_op = ast.Sub if isinstance(node.op, ast.Add) else ast.Add
        yield f"{other_op.__name__} in {ast.unparse(node)}", _setting("op", other_op())
    elif isinstance(node, ast.Return) and node.value is not None and isinstance(node.value, ast.IfExp):
        yield "the other branch", _setting("value", ast.IfExp(node.value.test, node.value.orelse, node.value.body))


def _setting(field: str, value: object) -> Callable[[ast.AST], None]:
    def change(node: ast.AST) -> None:
        setattr(node, field, copy.deepcopy(value))

    return change
