"""The tables as plain data, for a page that shows which row fired, and which row above it did not because of its guard."""

import ast
import sys
from functools import cache
from inspect import getdoc
from pathlib import Path
from types import ModuleType
from typing import Any, get_type_hints

import attrs

from adapters.telling.picture.style import tone_of
from fsm.call import effects as fx, events as ev, machine
from fsm.call.machine import CALL
from fsm.engine.notation import Declared, Region, State, signal_of


@cache
def tables() -> dict[str, Any]:
    """Every region with its states and its rows as declared, and what each event, guard, act and effect means; JSON values throughout.

    A row is named by its number in its region's table. A row answers an event in a state if it names the state, and the event or one of
    its families; the first whose guard holds fires.
    """
    rows = [declared for region in CALL.regions for declared in region.declared]
    acts = [act for declared in rows for act in declared.then.acts if not signal_of(act)]
    effects = [kind for kind in vars(fx).values() if isinstance(kind, type) and issubclass(kind, fx.Effect) and kind is not fx.Effect]
    return {
        "regions": [_region(region) for region in CALL.regions],
        "events": {event.__name__: {"doc": _doc(event), "families": _families(event), "fields": _fields(event)} for event in CALL.alphabet},
        "signals": [signal.__name__ for signal in CALL.signals],
        "guards": {declared.guard.__name__: _doc(declared.guard) for declared in rows if declared.guard.__name__ != "always"},
        "acts": {act.__name__: _doc(act) for act in acts},
        "effects": {effect.__name__: _doc(effect) for effect in effects},
    }


def _region(region: Region) -> dict[str, Any]:
    module = _module(region)
    lines = _lines(module, region)
    return {
        "name": region.name,
        "doc": region.doc,
        "file": f"{module.__name__.replace('.', '/')}.py",
        "expires": region.expired.__name__,
        "states": [_state(state) for state in region.states],
        "rows": [_row(declared, line) for declared, line in zip(region.declared, lines, strict=True)],
    }


def _state(state: State) -> dict[str, Any]:
    lasts = f"at most {state.at_most.__name__}" if state.at_most is not None else f"for ever: {state.for_ever}"
    return {"name": state.name, "doc": state.doc, "lasts": lasts, "tone": tone_of(state.name)}


def _row(declared: Declared, line: int | None) -> dict[str, Any]:
    then = declared.then
    return {
        "while": [state.name for state in declared.states],
        "on": [event.__name__ for event in declared.events],
        "if": declared.guard.__name__,
        "go": then.target.name if then.target is not None else None,
        "acts": [act.__name__ for act in then.acts if not signal_of(act)],
        "raises": [signal.__name__ for signal in then.signals],
        "reason": then.reason,
        "line": line,
    }


def _module(region: Region) -> ModuleType:
    """Where the region is declared."""
    modules = [module for name, module in sys.modules.items() if name.startswith("fsm.call.") and module is not machine]
    return next(module for module in modules if any(value is region for value in vars(module).values()))


def _lines(module: ModuleType, region: Region) -> list[int | None]:
    """The line of each declared row in its file; None for those that several tables share, which stand elsewhere.

    A table is `region("name", *shared, row(…), *shared, row(…), …)`: a row of its own is known by its events and its guard, in order.
    """
    source = Path(module.__file__ or "").read_text(encoding="utf-8")
    calls = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    [table] = [call for call in calls if _name(call.func) == "region" and _text(call.args[0]) == region.name]
    own = [part for part in table.args if isinstance(part, ast.Call) and _name(part.func) == "row"]
    lines: list[int | None] = []
    for declared in region.declared:
        says = declared.events, declared.guard
        lines.append(own.pop(0).lineno if own and _says(own[0], module) == says else None)
    return lines


def _says(row: ast.Call, module: ModuleType) -> tuple[tuple[type, ...], object]:
    """The events and the guard of a row, as its own module reads what is written there."""
    on, guard = (eval(compile(ast.Expression(part), "<row>", "eval"), vars(module)) for part in row.args[1:3])
    return on if isinstance(on, tuple) else (on,), guard


def _name(node: ast.expr) -> str:
    return node.id if isinstance(node, ast.Name) else ""


def _text(node: ast.expr) -> object:
    return node.value if isinstance(node, ast.Constant) else None


def _families(event: type) -> list[str]:
    """The event and the kinds that it is of, as rows name them."""
    return [kind.__name__ for kind in event.__mro__ if kind.__module__.startswith("fsm.call")]


def _fields(event: type) -> dict[str, Any] | None:
    """What is to be said of an event that somebody puts in, with what stands for nothing; None of one that is no event of the world."""
    if not issubclass(event, ev.Event) or issubclass(event, ev.Expired) or event in CALL.signals:
        return None
    empty = {str: "", float: 0.0, int: 0}
    hints = get_type_hints(event)
    fields = attrs.fields(event)[1:]
    return {one.name: empty.get(hints[one.name]) if one.default is attrs.NOTHING else one.default for one in fields}


def _doc(thing: Any) -> str:
    return " ".join((getdoc(thing) or "").split("\n\n", 1)[0].replace("`", "").split())
