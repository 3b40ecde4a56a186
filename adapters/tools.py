"""The application's tools as a port: functions that the model may call, declared by their signatures; nothing here decides a call.

tools = Tools()

@tools.tool
async def opening_hours(day: Annotated[str, "a weekday"]) -> str:
    \"""When the shop is open.\"""
    return "nine to five"

RealtimeSettings(tools=tools.declarations)      # what the model is told
Driver(call, [device, llm, tools])              # runs them
"""

import inspect
import json
import logging
import os
import runpy
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import anyio
import attrs
from anyio.abc import TaskGroup

from adapters.seam.errors import described
from adapters.seam.foreign import Foreign
from adapters.seam.ports import Post
from adapters.seam.wellformed import read_json, well_formed
from fsm.call.effects import Effect, RunTool
from fsm.call.events import ToolFinished

F = TypeVar("F", bound=Callable[..., Any])
MAX_OUTPUT = 16_000
"""The longest output that the model is told, in characters: it is read back within the caller's patience."""
MOST_HANGING = 32
"""How many runs of all tools may have been given up and not have ended; beyond that no tool is begun. Each may hold a thread."""
_KINDS: dict[Any, str] = {str: "string", int: "integer", float: "number", bool: "boolean", NoneType: "null"}
_LOG = logging.getLogger("callfsm.tools")


@attrs.frozen
class _Tool:
    run: Callable[..., Any]
    declaration: dict[str, Any]
    hints: dict[str, Any]
    required: frozenset[str]
    repeatable: bool = False


class Tools:
    """The tools of an application; as a port it serves one call at a time, and `for_call` makes another one for each of many.

    A tool takes keyword arguments of the types str, int, float, bool, Literal, lists of these, and those or None; it returns text, or
    anything that JSON can say. A plain function runs in a thread of its own; a coroutine shares the event loop, and must not block it.
    What goes wrong in a tool is logged, and told to the model in a line. One that does not end is given up and not waited for (R105).
    """

    performs: tuple[type[Effect], ...] = (RunTool,)

    def __init__(self, timeout_s: float = 30.0) -> None:
        """A tool that takes longer than `timeout_s` is cancelled: give it `Policy.tool_ms`, after which the core gives it up (R80)."""
        self._tools: dict[str, _Tool] = {}
        self.timeout_s = timeout_s
        self._hanging: set[Foreign] = set()
        self._early: list[RunTool] = []
        self._group: TaskGroup | None = None
        self._post: Post | None = None

    @property
    def declarations(self) -> tuple[Mapping[str, Any], ...]:
        """The tools as the wire declares functions, for `RealtimeSettings.tools`."""
        return tuple(tool.declaration for tool in self._tools.values())

    def for_call(self) -> "Tools":
        """The same tools as a port of their own: calls that are held at once need one each."""
        port = Tools(self.timeout_s)
        port._tools, port._hanging = self._tools, self._hanging
        return port

    @property
    def repeatable(self) -> frozenset[str]:
        """The names of the tools that may run twice."""
        return frozenset(name for name, tool in self._tools.items() if tool.repeatable)

    def safe_to_repeat(self, function: F) -> F:
        """A `tool` that may run twice: if its process dies another runs it again; of others the model is told that nobody knows (R110)."""
        self.tool(function)
        self._tools[function.__name__] = attrs.evolve(self._tools[function.__name__], repeatable=True)
        return function

    def tool(self, function: F) -> F:
        """Let the model call `function`: its name, docstring and signature are what the model is told. Raises ValueError."""
        hints = get_type_hints(function, include_extras=True)
        properties: dict[str, Any] = {}
        required: list[str] = []
        for name, parameter in inspect.signature(function).parameters.items():
            if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY) or name not in hints:
                raise ValueError(f"{function.__name__}: {name} must be a named parameter with a type")
            properties[name] = _schema(hints[name], f"{function.__name__}: {name}")
            if parameter.default is parameter.empty:
                required.append(name)
        if function.__name__ in self._tools or not (description := inspect.getdoc(function)):
            raise ValueError(f"{function.__name__}: a tool needs a name of its own, and a docstring that tells the model what it does")
        parameters = {"type": "object", "properties": properties, "required": required, "additionalProperties": False}
        declaration = {"type": "function", "name": function.__name__, "description": description, "parameters": parameters}
        plain = {name: hints[name] for name in properties}
        self._tools[function.__name__] = _Tool(_telling(function), declaration, plain, frozenset(required))
        return function

    async def run(self, post: Post) -> None:
        """Run the tools that are called, until cancelled; with it, those that still run. Raises RuntimeError while it serves a call."""
        if self._post is not None:
            raise RuntimeError("these tools serve another call: give each call its own, by Tools.for_call")
        self._post = post
        try:
            async with anyio.create_task_group() as self._group:
                for effect in self._early:
                    self._group.start_soon(self._run, effect)
                await anyio.sleep_forever()
        finally:
            self._group = self._post = None
            self._early.clear()

    def do(self, effect: Effect) -> None:
        """Begin a tool; one that is called before `run` has begun waits for it, as no more run at once than the core allows."""
        if isinstance(effect, RunTool):
            if self._group is None:
                self._early.append(effect)
            else:
                self._group.start_soon(self._run, effect)

    async def _run(self, effect: RunTool) -> None:
        output = await self._output(effect)
        if self._post is not None:
            self._post(ToolFinished, effect.tool_call_id, output[:MAX_OUTPUT])

    async def _output(self, effect: RunTool) -> str:
        tool, name = self._tools.get(effect.name), effect.name
        if tool is None:
            return f"error: there is no tool {well_formed(name)}"
        try:
            arguments = _arguments(tool, effect.arguments)
        except ValueError as error:
            return f"error: {error}"
        self._hanging -= {run for run in self._hanging if run.done.is_set()}
        if len(self._hanging) >= MOST_HANGING:
            return f"error: {name} is not available"
        run = Foreign(name, tool.run, arguments)
        try:
            with anyio.move_on_after(self.timeout_s):
                await run.done.wait()
        finally:
            if not run.done.is_set():
                self._hanging.add(run)
                run.abandon()
        if not run.done.is_set():
            return f"error: {name} did not answer in time"
        if run.failure is None:
            return str(run.result)
        _LOG.error("the tool %s failed", name, exc_info=run.failure)
        return f"error: {name} failed ({type(run.failure).__name__})"


def _telling(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, with what the model is told in place of what it returns: a result is the application's too, and may do anything when
    it is looked at, so that belongs within the wall.
    """
    if inspect.iscoroutinefunction(function):

        async def waiting(**arguments: Any) -> str:
            return _told(await function(**arguments))

        return waiting
    return lambda **arguments: _told(function(**arguments))


def _told(result: Any) -> str:
    """A text as it is, in a string that is one and no more; else JSON. Raises what looking at the result does."""
    return well_formed(str.__str__(result)) if isinstance(result, str) else json.dumps(result, allow_nan=False)


def load(path: Path, timeout_s: float) -> Tools:
    """The `Tools` that a Python file makes, which may import its neighbours; each tool is bounded by `timeout_s`.

    Raises ValueError or OSError in one line; a KeyboardInterrupt passes, as a key may have been pressed.
    """
    if path.is_char_device() or path.is_fifo():
        raise ValueError("it is a device or a pipe, which cannot be read twice and may never end; give a Python file")
    try:
        # last, so that no neighbour hides a module of ours, and for good, as a tool may import when it is called
        if (folder := str(Path(os.path.realpath(path)).parent)) not in sys.path:
            sys.path.append(folder)
        made = runpy.run_path(str(path))
    except OSError as error:
        raise OSError(f"{error.strerror}; give a Python file") from None
    except KeyboardInterrupt:
        raise
    # Whatever the file's own code raises, SystemExit too, is the user's to mend, and its last line says where.
    except BaseException as error:
        raise ValueError(described(error)) from error
    found = [thing for thing in made.values() if isinstance(thing, Tools)]
    if len(found) != 1 or not found[0].declarations:
        raise ValueError("it has to make one Tools() with at least one tool in it")
    found[0].timeout_s = timeout_s
    return found[0]


def _schema(hint: Any, where: str) -> dict[str, Any]:
    """The JSON schema of a parameter's type; ValueError for a type that has none here."""
    origin, parts = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return {**_schema(parts[0], where), "description": str(parts[1])}
    if origin is Literal:
        return {"enum": list(parts)}
    if origin is list:
        return {"type": "array", "items": _schema(parts[0], where)}
    if origin in (Union, UnionType):
        return {"anyOf": [_schema(part, where) for part in parts]}
    if hint not in _KINDS:
        raise ValueError(f"{where} has the type {hint}: give it str, int, float, bool, Literal, a list of these, or one of them or None")
    return {"type": _KINDS[hint]}


def _arguments(tool: _Tool, text: str) -> dict[str, Any]:
    """The model's arguments, checked; ValueError in words that the model can act on."""
    try:
        given = read_json(text or "{}")
    except ValueError:
        raise ValueError("the arguments are not JSON") from None
    if not isinstance(given, dict):
        raise ValueError("the arguments are not an object")
    if missing := tool.required - set(given):
        raise ValueError(f"missing: {', '.join(sorted(missing))}")
    if unknown := set(given) - set(tool.hints):
        raise ValueError(f"unknown: {', '.join(sorted(unknown))}")
    for name, value in given.items():
        if not _fits(value, tool.hints[name]):
            raise ValueError(f"{name} is not what was declared")
    return given


def _fits(value: Any, hint: Any) -> bool:
    """Is a value from JSON of the declared type?"""
    origin, parts = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return _fits(value, parts[0])
    if origin is Literal:
        return value in parts
    if origin is list:
        return isinstance(value, list) and all(_fits(one, parts[0]) for one in value)
    if origin in (Union, UnionType):
        return any(_fits(value, part) for part in parts)
    if isinstance(value, bool):
        return hint is bool
    return isinstance(value, (int, float) if hint is float else hint)
