"""Which oracles there are, and what each declares of itself; nothing is run or installed in here.

An oracle is a script in this folder that opens with inline metadata (PEP 723), so that `uv run ORACLE.py` understands it too:

    # /// script
    # requires-python = ">=3.11"
    # dependencies = ["the-client==1.2.3"]
    # [tool.uv]
    # exclude-newer = "2026-11-21T00:00:00Z"
    # [tool.callfsm]
    # stand-ins = ["realtime"]
    # says = ["What are your opening hours?"]
    # ///

The first dependency is the client whose word is wanted. Its URLs come first among the script's arguments, in the order of
`stand-ins`, then a recording of each line of `says`. A file without such a block is no oracle.

A script in `servers/` is a server that others wrote instead: `server = "owner/name"` says whose code it runs, and `call` with which
options of `callfsm call` a call is held with it; `{port}` is its port, `{realtime}` and `{chatterbox}` are the stand-ins' URLs. `ways` are
options beside those, a call for each. `warns` are the errors that it is known to send in a good call.

A script that runs tests which others wrote says whose: `tests = "owner/name"`; their checkout is its last argument.
"""

import re
import tomllib
from pathlib import Path

import attrs

FOLDER = Path(__file__).parent
STAND_INS = ("realtime", "chatterbox")
"""What an oracle may ask for: the servers of `callfsm stand-in`, options behind them (`chatterbox --dialect openai`)."""
_BLOCK = re.compile(r"^# /// script\n(?P<text>(?:#(?: .*)?\n)+?)# ///$", re.MULTILINE)


class Misdeclared(ValueError):
    """A declaration that cannot be followed; the message says which, and what is wrong with it."""


@attrs.frozen
class Oracle:
    """A script and its declaration: `needs` are requirements, `as_of` the time up to which packages count (RFC 3339)."""

    script: Path
    needs: tuple[str, ...]
    as_of: str
    stand_ins: tuple[str, ...]
    says: tuple[str, ...] = ()
    server: str = ""
    """Whose server this is, `owner/name`; empty for a client."""
    tests: str = ""
    """Whose tests these are, `owner/name`, if it runs any."""
    call: str = ""
    ways: tuple[str, ...] = ("",)
    warns: tuple[str, ...] = ()
    """The codes of the errors that the server is known to answer a good call with."""
    least_python: tuple[int, ...] = (3, 11)

    @property
    def name(self) -> str:
        """What the command line calls it."""
        return self.script.stem

    @property
    def client(self) -> str:
        """The package whose client this is, without its extras and version; of a server, whose it is."""
        return self.server or re.split(r"[\[=<>~!; ]", self.needs[0])[0]


def oracles(folder: Path = FOLDER) -> list[Oracle]:
    """All that the folder declares, by name. Misdeclared when one cannot be read."""
    scripts = [*sorted(folder.glob("*.py")), *sorted(folder.glob("servers/*.py"))]
    found = (_declared(script, _BLOCK.search(script.read_text(encoding="utf-8"))) for script in scripts)
    return [oracle for oracle in found if oracle]


def _declared(script: Path, block: re.Match[str] | None) -> Oracle | None:
    """The oracle that a script is; None when it is none."""
    if block is None or script.name == Path(__file__).name:
        return None
    try:
        told = tomllib.loads("\n".join(line[2:] for line in block["text"].splitlines()))
        ours, as_of = told["tool"]["callfsm"], told["tool"]["uv"]["exclude-newer"]
        needs, server = tuple(told["dependencies"]), str(ours.get("server", ""))
        stand_ins = tuple(ours.get("stand-ins", ()) if server else ours["stand-ins"])
        least = tuple(int(part) for part in re.findall(r"\d+", told.get("requires-python", ">=3.11")))
        kept = {
            "server": server,
            "tests": str(ours.get("tests", "")),
            "call": str(ours.get("call", "")),
            "ways": tuple(ours.get("ways", ("",))),
            "warns": tuple(ours.get("warns", ())),
            "least_python": least,
        }
        oracle = Oracle(script, needs, str(as_of), stand_ins, tuple(ours.get("says", ())), **kept)
    except (tomllib.TOMLDecodeError, KeyError, TypeError) as error:
        raise Misdeclared(f"{script.name}: its script block cannot be read: {error!r}") from None
    if not oracle.needs:
        raise Misdeclared(f"{script.name}: `dependencies` is empty; name the client first")
    if unknown := {words.partition(" ")[0] for words in oracle.stand_ins} - set(STAND_INS):
        raise Misdeclared(f"{script.name}: there is no stand-in {', '.join(sorted(unknown))}; choose of {', '.join(STAND_INS)}")
    return oracle
