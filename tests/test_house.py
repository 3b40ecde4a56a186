"""Claims about the house: who may import whom, how long a module may be, and that each says what it is."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from tests.shared.shell import PATIENCE_S

ROOT = Path(__file__).parent.parent
MODULES = sorted(path for package in ("fsm", "adapters") for path in (ROOT / package).rglob("*.py"))
NAMES = [str(path.relative_to(ROOT)) for path in MODULES]
HOUSED = [name for name in NAMES if name != "adapters/__init__.py"]
CORE = [name for name in NAMES if name.startswith("fsm/")]
CALLERS = {f"adapters/standin/{one}.py" for one in ("caller", "demo", "dialling")}
"""Who speaks by a script; the rest of the room are servers."""
ARROWS = {
    "fsm": "",
    "seam": "fsm",
    "text": "",
    "audio": "fsm seam",
    "realtime": "fsm seam",
    "chatterbox": "fsm seam text audio.wav audio.wav_file",
    "twilio": "fsm seam",
    "browser": "seam audio.recording",
    "tools": "fsm seam",
    "telling": "fsm seam",
    "cluster": "fsm seam telling",
    "standin": "seam audio.wav_file twilio.narrowband",
    "hosts": "fsm seam text audio realtime chatterbox twilio browser tools telling cluster standin.caller standin.demo",
    "proof": "fsm seam text realtime chatterbox telling",
    "commands": "fsm seam audio realtime chatterbox tools telling cluster standin hosts proof",
    "cli": "commands",
    "entry": "cli",
}
"""What a room may import besides itself: rooms, or of a room the modules that are named."""
JOINS = {"adapters/hosts/terminal/live.py", "adapters/hosts/frameworks/guard.py"}
"""What joins ports to a call, and so must know them."""


def imports(name: str) -> set[str]:
    """The modules that a file imports, at its top or inside functions."""
    return imported(name, (ROOT / name).read_text())


def imported(name: str, text: str) -> set[str]:
    """The same for a file with this text."""
    tree = ast.parse(text)
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name}: a relative import"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def test_the_core_pulls_in_nothing_but_attrs() -> None:
    program = (
        "import sys; before = set(sys.modules); import fsm; print(*sorted({name.split('.')[0] for name in set(sys.modules) - before}))"
    )
    told = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE_S, check=True)
    foreign = set(told.stdout.split()) - sys.stdlib_module_names - {"fsm", "attr", "attrs"}
    assert not foreign


def room_of(name: str) -> str:
    """`fsm`, or the room of adapters in which a file lies; a file beside the rooms is one of its own."""
    return Path(name).with_suffix("").parts[0 if name.startswith("fsm/") else 1]


def leads(found: str, way: str) -> bool:
    """Is this import one of a room, or of a module in it?"""
    return f"{found.removeprefix('adapters.')}.".startswith(f"{way}.")


def astray(name: str, found: set[str]) -> set[str]:
    """Which of these imports of ours no arrow allows to this file."""
    ways = (room_of(name), *ARROWS[room_of(name)].split())
    return {one for one in found if one.split(".")[0] in ("fsm", "adapters") and not any(leads(one, way) for way in ways)}


@pytest.mark.parametrize("name", HOUSED)
def test_imports_run_one_way_between_the_rooms(name: str) -> None:
    assert not astray(name, imports(name))


@pytest.mark.parametrize("room", ARROWS)
def test_no_arrow_is_allowed_that_nothing_takes(room: str) -> None:
    taken = {one for name in HOUSED if room_of(name) == room for one in imports(name)}
    assert not [way for way in ARROWS[room].split() if not any(leads(one, way) for one in taken)]


def test_the_rooms_stand_in_one_order() -> None:
    order = list(ARROWS)
    assert not [(room, way) for room in order for way in ARROWS[room].split() if order.index(way.split(".")[0]) >= order.index(room)]


@pytest.mark.parametrize(
    ("name", "planted"),
    [
        ("fsm/call/machine.py", "from adapters.seam import driver"),
        ("adapters/seam/driver.py", "from adapters.audio.tape import Tape"),
        ("adapters/realtime/port.py", "import adapters.twilio.wire"),
        ("adapters/chatterbox/port.py", "from adapters.audio.wav_device import WavDevice"),
        ("adapters/telling/trace.py", "from adapters import tools"),
        ("adapters/standin/caller.py", "from adapters.hosts.terminal import live"),
        ("adapters/hosts/phone/server.py", "def late() -> None:\n    from adapters.standin.realtime.server import serve"),
        ("adapters/hosts/terminal/live.py", "from adapters.commands.call import add"),
        ("adapters/proof/rules.py", "from adapters.cli import main"),
    ],
)
def test_a_planted_import_is_found(name: str, planted: str) -> None:
    assert astray(name, imported(name, planted))


@pytest.mark.parametrize("name", CORE)
def test_the_core_imports_no_clock(name: str) -> None:
    roots = {found.split(".")[0] for found in imports(name)}
    assert not roots & {"time", "datetime", "random", "asyncio", "threading", "logging", "socket", "os"}


@pytest.mark.parametrize("name", [name for name in CORE if name.startswith("fsm/engine/")])
def test_the_engine_knows_nothing_of_calls(name: str) -> None:
    assert not {found for found in imports(name) if found.startswith("fsm.call")}


def dotted(name: str) -> str:
    return name.removesuffix(".py").replace("/", ".")


def ports() -> set[str]:
    """The files of adapters that own a resource: those with a class that says what it performs, or is a device."""
    found = set()
    for name in NAMES:
        classes = [node for node in ast.walk(ast.parse((ROOT / name).read_text())) if isinstance(node, ast.ClassDef)]
        says = {getattr(part, "name", "") or getattr(getattr(part, "target", None), "id", "") for one in classes for part in one.body}
        bases = {getattr(base, "id", "") for one in classes for base in one.bases}
        if ("performs" in says or "Device" in bases) and not name.startswith("adapters/seam/") and name not in JOINS:
            found.add(name)
    return found


def test_the_resources_are_known() -> None:
    assert ports() >= {f"adapters/{one}.py" for one in ("realtime/port", "chatterbox/port", "twilio/port", "audio/wav_device", "tools")}


@pytest.mark.parametrize("name", ["phone/agent", "phone/application", "phone/calls", "phone/holding", "channel"])
def test_who_holds_a_call_knows_no_kind_of_line(name: str) -> None:
    """A call over another line than Twilio's is held by the same hands."""
    assert not [found for found in imports(f"adapters/hosts/{name}.py") if found.startswith(("adapters.twilio", "adapters.audio"))]


@pytest.mark.parametrize("name", sorted(ports()))
def test_no_resource_imports_another_nor_what_joins_them(name: str) -> None:
    closed = [dotted(other) for other in (ports() | JOINS) - {name}] + ["adapters.seam.driver", "adapters.cli", "adapters.standin"]
    assert not [found for found in imports(name) for other in closed if f"{found}.".startswith(f"{other}.")]


@pytest.mark.parametrize("name", [name for name in NAMES if name.startswith("adapters/standin/") and name not in CALLERS])
def test_a_stand_in_knows_neither_the_core_nor_the_adapters(name: str) -> None:
    assert not [found for found in imports(name) if found.startswith(("fsm", "adapters.")) and not found.startswith("adapters.standin")]


@pytest.mark.parametrize("name", NAMES)
def test_a_module_opens_with_one_line_that_says_what_it_is(name: str) -> None:
    said = ast.get_docstring(ast.parse((ROOT / name).read_text()))
    assert said, "no docstring"
    assert len(said.splitlines()[0]) > 15


def classes() -> dict[str, list[ast.ClassDef]]:
    """The classes of the project, by name."""
    found: dict[str, list[ast.ClassDef]] = {}
    for name in NAMES:
        for node in ast.walk(ast.parse((ROOT / name).read_text())):
            if isinstance(node, ast.ClassDef):
                found.setdefault(node.name, []).append(node)
    return found


CLASSES = classes()
BUILDERS = {"__init__", "__attrs_post_init__", "__attrs_pre_init__", "__new__"}


def attributes(one: ast.ClassDef) -> tuple[set[str], dict[str, int]]:
    """What a class has once it is constructed, and what its other methods assign, with the line; a bare annotation makes nothing."""
    made = {part.target.id for part in one.body if isinstance(part, ast.AnnAssign) and isinstance(part.target, ast.Name)}
    made |= {name.id for part in one.body if isinstance(part, ast.Assign) for name in part.targets if isinstance(name, ast.Name)}
    late: dict[str, int] = {}
    for function in one.body:
        if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        bare = {part.target for part in ast.walk(function) if isinstance(part, ast.AnnAssign) and part.value is None}
        for part in ast.walk(function):
            if isinstance(part, ast.Attribute) and isinstance(part.ctx, ast.Store) and isinstance(part.value, ast.Name):
                if part.value.id != "self":
                    continue
                if function.name in BUILDERS and part not in bare:
                    made.add(part.attr)
                else:
                    late.setdefault(part.attr, part.lineno)
    for base in one.bases:
        for other in CLASSES.get(getattr(base, "id", getattr(base, "attr", "")), ()):
            made |= attributes(other)[0]
    return made, late


def test_every_object_is_complete_once_it_is_constructed() -> None:
    """R59: no attribute is made later, by another method or by a bare annotation: whoever calls back meets it whole."""
    late = [
        f"{one.name}.{attribute} (line {line})"
        for found in CLASSES.values()
        for one in found
        for made, later in [attributes(one)]
        for attribute, line in later.items()
        if attribute not in made
    ]
    assert not late


def test_nobody_makes_an_attribute_of_somebody_elses_object() -> None:
    """What is stored from outside is an attribute that the object has from its construction."""
    everything = {attribute for found in CLASSES.values() for one in found for attribute in attributes(one)[0]}
    late = []
    for name in NAMES:
        nodes = [node for node in ast.walk(ast.parse((ROOT / name).read_text())) if isinstance(node, ast.Attribute)]
        stored = [node for node in nodes if isinstance(node.ctx, ast.Store) and getattr(node.value, "id", "") != "self"]
        late += [
            f"{name}:{node.lineno} {node.attr}"
            for node in stored
            if node.attr.startswith("_") and not node.attr.endswith("__") and node.attr not in everything
        ]
    assert not late


def wide_handlers(name: str) -> list[tuple[int, bool]]:
    """Each handler of a file that catches everything: its line, and whether a comment says why."""
    text = (ROOT / name).read_text()
    lines, found = text.splitlines(), []
    for node in ast.walk(ast.parse(text)):
        if (
            isinstance(node, ast.ExceptHandler)
            and not raises_again(node)
            and (node.type is None or {"Exception", "BaseException"} & names_in(node.type))
        ):
            near = [*lines[node.lineno - 3 : node.lineno + 2]]
            found.append((node.lineno, any("#" in line for line in near)))
    return found


def raises_again(node: ast.ExceptHandler) -> bool:
    """Does it only tidy up?"""
    last = node.body[-1]
    return isinstance(last, ast.Raise) and last.exc is None


def names_in(node: ast.expr) -> set[str]:
    return {part.id for part in ast.walk(node) if isinstance(part, ast.Name)}


WIDE = {
    "adapters/audio/keeper.py": 2,
    "adapters/audio/library.py": 1,
    "adapters/hosts/frameworks/guard.py": 1,
    "adapters/hosts/frameworks/openai_agents.py": 1,
    "adapters/hosts/frameworks/pipecat.py": 1,
    "adapters/hosts/phone/application.py": 1,
    "adapters/hosts/phone/holding.py": 2,
    "adapters/proof/sim/call.py": 2,
    "adapters/proof/sim/wire.py": 1,
    "adapters/proof/sim/world.py": 1,
    "adapters/proof/verify/model.py": 2,
    "adapters/proof/verify/trace.py": 1,
    "adapters/realtime/transport.py": 1,
    "adapters/seam/driver.py": 3,
    "adapters/seam/errors.py": 1,
    "adapters/seam/foreign.py": 2,
    "adapters/telling/spans.py": 1,
    "adapters/tools.py": 1,
}
"""Where everything is caught: the edges, and how many handlers each has."""


def test_everything_is_caught_only_at_edges_that_are_known_and_say_why() -> None:
    found = {name: handlers for name in NAMES if (handlers := wide_handlers(name))}
    assert {name: len(handlers) for name, handlers in found.items()} == WIDE
    assert not [f"{name}:{line}" for name, handlers in found.items() for line, says in handlers if not says]


@pytest.mark.parametrize("name", CORE)
def test_a_module_of_the_core_is_short(name: str) -> None:
    limit = 500 if name == "fsm/call/events.py" else 400
    assert len((ROOT / name).read_text().splitlines()) < limit


@pytest.mark.parametrize("name", CORE)
def test_no_function_of_the_core_is_long(name: str) -> None:
    functions = [node for node in ast.walk(ast.parse((ROOT / name).read_text())) if isinstance(node, ast.FunctionDef)]
    assert not [node.name for node in functions if (node.end_lineno or 0) - node.lineno > 50]
