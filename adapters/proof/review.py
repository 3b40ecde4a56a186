"""A change of the tables as a reviewer wants it: the rows that came, that went, and that say something else, table by table.

Both sets of tables are read by the program that they belong to: those of a revision from the files that git holds, in a process of its own.
"""

import json
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import attrs

PATIENCE_S = 60
_TELL = """
import json, sys
from fsm import CALL
def name(act): return "raises " + act.signal.__name__ if hasattr(act, "signal") else act.__name__
rows = {}
for region in CALL.regions:
    for one in region.declared:
        key = [region.name, "|".join(map(repr, one.states)), "|".join(event.__name__ for event in one.events), one.guard.__name__]
        then = one.then
        went = "ignored: " + then.reason if then.reason else ("stay" if then.target is None else "go " + repr(then.target))
        rows["\\t".join(key)] = ": ".join([went, *([", ".join(map(name, then.acts))] if then.acts else [])])
json.dump(rows, sys.stdout)
"""


class ReviewError(Exception):
    """The tables of a revision could not be read; the message is one line."""


@attrs.frozen
class Change:
    """A declared row that differs: `was` is None where it came, `now` where it went."""

    table: str
    row: str
    was: str | None
    now: str | None


def changes(revision: str, root: Path) -> tuple[Change, ...]:
    """The rows in which the tables under `root` differ from those of `revision`, in the order of the tables.

    A row is known by its states, events and guard. Raises ReviewError where git or the revision's own program fails.
    """
    with tempfile.TemporaryDirectory() as folder:
        _unpacked(revision, root, Path(folder))
        before = _rows(Path(folder))
    after = _rows(root)
    return tuple(_differing(before, after))


def _differing(before: dict[str, str], after: dict[str, str]) -> Iterator[Change]:
    order = {table: place for place, table in enumerate(dict.fromkeys(key.split("\t")[0] for key in (*after, *before)))}
    for key in sorted(dict.fromkeys((*before, *after)), key=lambda key: order[key.split("\t")[0]]):
        was, now = before.get(key), after.get(key)
        if was != now:
            table, states, events, guard = key.split("\t")
            yield Change(table, f"{states} / {events}" + ("" if guard == "always" else f" [{guard}]"), was, now)


def _unpacked(revision: str, root: Path, folder: Path) -> None:
    """Put the revision's `fsm` into `folder`."""
    made = _run(["git", "archive", "--format=tar", revision, "fsm"], root)
    with tarfile.open(fileobj=BytesIO(made)) as archive:
        # Python 3.11.3 and older know no filter
        archive.extractall(folder, **({"filter": "data"} if hasattr(tarfile, "data_filter") else {}))  # type: ignore[arg-type]


def _rows(root: Path) -> dict[str, str]:
    rows: dict[str, str] = json.loads(_run([sys.executable, "-c", _TELL], root))
    return rows


def _run(command: list[str], root: Path) -> bytes:
    try:
        return subprocess.run(command, cwd=root, capture_output=True, timeout=PATIENCE_S, check=True).stdout
    except FileNotFoundError:
        raise ReviewError(f"{command[0]} is not there; a revision is read with it") from None
    except subprocess.TimeoutExpired:
        raise ReviewError(f"{command[0]} took more than {PATIENCE_S} s") from None
    except subprocess.CalledProcessError as error:
        lines = error.stderr.decode(errors="replace").strip().splitlines()
        raise ReviewError(lines[-1] if lines else f"{command[0]} failed") from None
