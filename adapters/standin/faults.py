"""The fault script of a stand-in server: a TOML file of faults by name, checked when it is read, and when each of them strikes.

A server declares its `Repertoire`: the names, what each takes, and the events that a script may name. `read` makes a `Script` of
a file; a `Schedule` of it says, for one connection or for the whole server, which faults strike now. No socket and no clock of
its own are in here: how a fault strikes is the server's affair.

    session_limit_s = 90                     # a setting of the server

    [[fault]]
    name = "close"                           # at once, when 2.5 s of the connection have passed
    code = 1006
    at_s = 2.5

    [[fault]]
    name = "failed_response"                 # the occasion is a response; nth: the second one of the connection
    nth = 2
    connection = "every"                     # else the first connection alone is struck

    [[fault]]
    name = "malformed_json"                  # on an event, of either side
    on = "response.output_audio.delta"
    nth = 3
"""

import json
import tomllib
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import attrs

EVERY = "every"
Value = bool | int | float | str
_WHEN = ("name", "at_s", "on", "nth", "connection")


class ScriptError(ValueError):
    """A script that cannot be used; the message is one line that says where and why."""


@attrs.frozen
class Param:
    """What a fault or a setting takes: its type is that of the default, its bounds are `low` to `high` or the `choices`."""

    default: Value
    says: str = ""
    low: float = 0
    high: float = 1e9
    choices: tuple[Value, ...] = ()

    def taken(self, value: object, place: str) -> Value:
        """The value, if it may be had; ScriptError with the place otherwise."""
        wanted = float if type(self.default) is float else type(self.default)
        whole_as_float = wanted is float and type(value) is int
        if type(value) is not wanted and not whole_as_float:
            raise ScriptError(f"{place} = {_shown(value)}: it takes {self._wanted()}")
        assert isinstance(value, bool | int | float | str)
        if self.choices and value not in self.choices:
            raise ScriptError(f"{place} = {_shown(value)}: it takes {self._wanted()}")
        if isinstance(value, int | float) and not isinstance(value, bool) and not self.low <= value <= self.high:
            raise ScriptError(f"{place} = {_shown(value)}: it takes {self._wanted()}")
        return value

    def _wanted(self) -> str:
        if self.choices:
            return f"one of {', '.join(_shown(one) for one in self.choices)}"
        names = {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}
        bounds = f" from {self.low:g} to {self.high:g}" if type(self.default) in (int, float) else ""
        return names[type(self.default)] + bounds


@attrs.frozen
class Kind:
    """A fault of a repertoire.

    With an `occasion` (in words) it waits for the next one once its time has come, and may do without `at_s` and `on`: then `nth`
    counts the occasions. With `strikes` it is done to the very event that `on` names, which must be one of these. With neither
    it strikes at once, and needs `at_s` or `on`.
    """

    says: str
    params: Mapping[str, Param] = attrs.field(factory=dict)
    occasion: str = ""
    strikes: frozenset[str] = frozenset()

    def __attrs_post_init__(self) -> None:
        assert not set(self.params) & set(_WHEN), f"a parameter cannot be called {set(self.params) & set(_WHEN)}"


@attrs.frozen
class Repertoire:
    """What a server can do wrong: `kinds` by name, `events` that `on` may name, and `settings` at the top of a script."""

    server: str
    kinds: Mapping[str, Kind]
    events: frozenset[str]
    settings: Mapping[str, Param] = attrs.field(factory=dict)
    has_connections: bool = True
    """False for a server whose script is about the whole of it: then no fault names a connection, and `at_s` is its own age."""

    def listed(self) -> str:
        """All of it for a reader: how a fault is written, then each name with its parameters and their defaults, a line each."""
        which = ', connection = 1 or "every"' if self.has_connections else ""
        lines = [
            f'[[fault]] with a name, its parameters, and when: at_s = seconds, or on = "an event" with nth = 1 or "every"{which}.',
            "On what a client sent a fault strikes before that is carried out, on what the server sends right after it.",
            "What strikes at an occasion waits for it, and without at_s and on nth counts the occasions.",
            "",
        ]
        lines += [f"{name} = {_shown(one.default)}  {one.says}" for name, one in self.settings.items()]
        for name, kind in self.kinds.items():
            params = ", ".join(f"{key} = {_shown(one.default)}" for key, one in kind.params.items())
            when = "on an event" if kind.strikes else f"at {kind.occasion}" if kind.occasion else "at once"
            lines.append(f"{name}{f' ({params})' if params else ''}: {kind.says}; {when}")
        return "\n".join(lines)


@attrs.frozen
class Fault:
    """One fault of a script; `nth` None means each time, `connection` None each connection. `fault["ms"]` is a parameter."""

    name: str
    kind: Kind
    params: Mapping[str, Value]
    at_s: float | None = None
    on: str | None = None
    nth: int | None = 1
    connection: int | None = 1

    def __getitem__(self, name: str) -> Any:
        return self.params[name]

    def told(self) -> dict[str, Value]:
        """For a log: the name and the parameters."""
        return {"name": self.name, **self.params}


@attrs.frozen
class Script:
    """The faults in the order of the file, and the settings, those that the file leaves out by their defaults."""

    repertoire: Repertoire
    faults: tuple[Fault, ...] = ()
    settings: Mapping[str, Value] = attrs.field(factory=dict)

    def holds(self, name: str) -> bool:
        """Is there a fault of this name?"""
        return any(fault.name == name for fault in self.faults)


MOST_MIB = 4
"""What a script may hold."""


def read(path: Path, repertoire: Repertoire) -> Script:
    """The script in a file. ScriptError when it cannot be read, is not TOML, or asks for what the server does not have."""
    try:
        with path.open("rb") as file:
            held = file.read((MOST_MIB << 20) + 1)
        text = held.decode("utf-8-sig")
    except OSError as error:
        raise ScriptError(f"{path}: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise ScriptError(f"{path}: it is not a text in UTF-8") from None
    if len(held) > MOST_MIB << 20:
        raise ScriptError(f"{path}: it holds more than {MOST_MIB} MiB")
    return parse(text, repertoire, str(path))


def parse(text: str, repertoire: Repertoire, place: str = "the script") -> Script:
    """The script in a text; `place` is what a ScriptError calls it."""
    try:
        document = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise ScriptError(f"{place}: {error}") from None
    listed = document.pop("fault", [])
    if not isinstance(listed, list) or not all(isinstance(one, dict) for one in listed):
        raise ScriptError(f"{place}: write each fault under a line [[fault]]")
    for name in document:
        if name not in repertoire.settings:
            raise ScriptError(f"{place}: {name} is no setting; there is {', '.join(['[[fault]]', *repertoire.settings])}")
    settings = {name: one.taken(document.get(name, one.default), f"{place}: {name}") for name, one in repertoire.settings.items()}
    faults = tuple(_fault(one, repertoire, f"{place}: fault {number}") for number, one in enumerate(listed, 1))
    return Script(repertoire, faults, settings)


class Schedule:
    """When the faults of a script strike in one connection: `connection` counts from 1, `now_s` is any clock; its age begins here."""

    def __init__(self, script: Script, now_s: Callable[[], float], connection: int = 1) -> None:
        self._faults = [one for one in script.faults if one.connection in (None, connection)]
        self._now_s, self._began_s = now_s, now_s()
        self._events: Counter[str] = Counter()
        self._occasions: Counter[str] = Counter()
        self._waiting: list[Fault] = []
        self._spent: list[Fault] = []

    def add(self, fault: Fault) -> bool:
        """Have a fault more, whose times and counts begin now; does it strike at once, which is then the server's to do?"""
        at_s = fault.at_s if fault.at_s is None else fault.at_s + self._now_s() - self._began_s
        counted = self._events[fault.on] if fault.on is not None else self._occasions[fault.name]
        self._faults.append(attrs.evolve(fault, at_s=at_s, nth=fault.nth and fault.nth + counted, connection=None))
        return fault.at_s is not None and not fault.kind.occasion

    def timed(self) -> list[tuple[float, Fault]]:
        """What strikes at once at a time of its own: the seconds from now and the fault, soonest first. The server waits for them."""
        age_s = self._now_s() - self._began_s
        found = [(one.at_s - age_s, one) for one in self._faults if one.at_s is not None and not one.kind.occasion]
        return sorted(found, key=_first)

    def happened(self, event: str) -> list[Fault]:
        """An event came or is about to go: what strikes because of it now. What needs an occasion is kept for `occasion`."""
        self._events[event] += 1
        due = [one for one in self._faults if one.on == event and one.nth in (None, self._events[event])]
        self._waiting += [one for one in due if one.kind.occasion]
        return [one for one in due if not one.kind.occasion]

    def occasion(self, name: str) -> Fault | None:
        """There is an occasion for the faults of this name: the one that strikes now."""
        self._occasions[name] += 1
        count = self._occasions[name]
        counted = (one for one in self._faults if one.name == name and one.on is None and one.at_s is None and one.nth in (None, count))
        return self.armed(name) or next(counted, None)

    def armed(self, name: str) -> Fault | None:
        """An occasion that has been counted goes on: the fault of this name whose time or event has come meanwhile."""
        return next((one for one in self._faults if one.name == name and self._has_come(one)), None)

    def _has_come(self, fault: Fault) -> bool:
        """Has the time or the event of a fault come? It is then spent."""
        if fault.on is not None:
            waits = any(one is fault for one in self._waiting)
            self._waiting = [one for one in self._waiting if one is not fault]
            return waits
        if fault.at_s is None or self._now_s() - self._began_s < fault.at_s or any(one is fault for one in self._spent):
            return False
        self._spent.append(fault)
        return True


def _first(pair: tuple[float, Fault]) -> float:
    return pair[0]


def _fault(table: Mapping[str, object], repertoire: Repertoire, place: str) -> Fault:
    """One [[fault]]."""
    name = table.get("name")
    if not isinstance(name, str) or name not in repertoire.kinds:
        given = f"name = {_shown(name)}: no fault of the {repertoire.server} stand-in" if name is not None else "it has no name"
        raise ScriptError(f"{place}: {given}; there is {', '.join(repertoire.kinds)}")
    kind, place = repertoire.kinds[name], f"{place} ({name})"
    for key in table:
        if key not in (*_WHEN, *kind.params) or (key == "connection" and not repertoire.has_connections):
            may = [*kind.params, *(one for one in _WHEN[1:] if repertoire.has_connections or one != "connection")]
            raise ScriptError(f"{place}: it does not take {key}; it takes {', '.join(may)}")
    params = {key: one.taken(table.get(key, one.default), f"{place}: {key}") for key, one in kind.params.items()}
    at_s = Param(0.0).taken(table["at_s"], f"{place}: at_s") if "at_s" in table else None
    on = table.get("on")
    _check_when(kind, table, repertoire, place)
    return Fault(
        name=name,
        kind=kind,
        params=params,
        at_s=None if at_s is None else float(at_s),
        on=on if isinstance(on, str) else None,
        nth=_count(table, "nth", place),
        connection=_count(table, "connection", place) if repertoire.has_connections else None,
    )


def _check_when(kind: Kind, table: Mapping[str, object], repertoire: Repertoire, place: str) -> None:
    """That a fault says when it strikes, once, and in a way that is possible for it."""
    on = table.get("on")
    if "at_s" in table and ("on" in table or "nth" in table):
        raise ScriptError(f"{place}: at_s stands alone; give a time or an event with its nth")
    if "on" in table and (not isinstance(on, str) or on not in repertoire.events):
        raise ScriptError(f"{place}: on = {_shown(on)}: no event of the {repertoire.server} wire")
    if kind.strikes and on not in kind.strikes:
        given = f"on = {_shown(on)}" if "on" in table else "on is missing"
        raise ScriptError(f"{place}: {given}: it is done to an event that the server sends, so name one")
    if not kind.occasion and "at_s" not in table and "on" not in table:
        raise ScriptError(f"{place}: it needs at_s, a time in seconds, or on, an event")


def _count(table: Mapping[str, object], name: str, place: str) -> int | None:
    """Which one: a number from 1, or None for every one."""
    value = table.get(name, 1)
    if value == EVERY:
        return None
    if type(value) is not int or value < 1:
        raise ScriptError(f'{place}: {name} = {_shown(value)}: it takes a whole number from 1, or "{EVERY}"')
    return value


def _shown(value: object) -> str:
    """A value as a script writes it, cut to a readable length."""
    text = (
        json.dumps(value, ensure_ascii=False) if isinstance(value, str) else str(value).lower() if isinstance(value, bool) else str(value)
    )
    return text if len(text) <= 60 else text[:60] + "…"
