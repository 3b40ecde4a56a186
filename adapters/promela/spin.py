"""spin, gcc and the checker that they make of a model, as processes: they are started, watched, stopped in time and read.

The search keeps a few bits a state (`-DBITSTATE`) in 32 MB, so it takes little room and may miss a state: where pan's hash factor is above
100 that is less than one in a hundred.
"""

import re
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import attrs

from adapters.promela.model import Model
from adapters.promela.processes import SAYS
from adapters.promela.rules import LIVELOCK

TABLE_BITS = 28
"""The bits of the search's table, as a power of two: 32 MB."""
DEPTH = 2_000_000
"""How long a way may become; pan keeps 46 bytes a step."""
SHALLOW = (200, 400, 800, 3_000)
"""Depths to which a flaw is looked for first, each for a sixth of the time that is left; an event takes about 25 steps."""
QUICK_S = 10.0
"""A search this short does not pay for an optimised checker."""
BUILD_S = 120
"""How long spin and gcc may take: they take two seconds."""
_PROGRESS = re.compile(r"^SOFAR (\d+) (\d+)$")
_ROW = re.compile(r"^ROW (\d+) (\d+)$")
_STORED = re.compile(r"^\s*(\d+) states, stored", re.MULTILINE)
_STEPS = re.compile(r"^\s*(\d+) transitions", re.MULTILINE)
_REACHED = re.compile(r"depth reached (\d+)")
_FACTOR = re.compile(r"hash factor: (\S+)")
_FLAW = re.compile(r"^pan:\d+: assertion violated\s+\(?(\w+)\s*!=\s*1\)?")


_CUT = "max search depth too small"


class Missing(Exception):
    """spin or gcc is not installed; its text says what to do."""


class Failed(Exception):
    """spin, gcc or the checker did not do what they should; its text holds their words."""


@attrs.frozen
class Progress:
    """How far a search is."""

    states: int
    transitions: int
    seconds: float


@attrs.frozen
class Search:
    """What came of one search."""

    states: int
    transitions: int
    depth: int
    seconds: float
    complete: bool
    """Was all explored, as far as the table told states apart?"""
    cut: bool
    """Was a way so long that it was not followed to its end?"""
    factor: float
    """Bits of the table for each state."""
    flaws: dict[str, list[list[int]]]
    """The flaws that were found, each with the numbers of the events that lead to it."""
    rows: frozenset[tuple[int, int]]
    """The rows that answered: the number of the region from 0, that of the row from 1."""


def need() -> None:
    """Raise Missing unless spin and gcc are there."""
    missing = [tool for tool in ("spin", "gcc") if shutil.which(tool) is None]
    if missing:
        raise Missing(f"{' and '.join(missing)} not found: apt-get install {' '.join(missing)}, or `brew install {' '.join(missing)}`")


def search(
    model: Model, seconds: float, *, silence: bool = False, until: str = "", watch: Callable[[Progress], None] | None = None
) -> Search:
    """Explore a model for at most `seconds`, or until the flaw `until` is found, and judge its rules.

    With `silence` it is judged whether deadlines alone lead to the end; without, all else. Raises Missing or Failed.
    """
    need()
    with _workshop(model) as folder:
        _run(folder, "spin", "-a", *(["-DSILENCE"] if silence else []), "model.pml")
        kind = ["-DNOFAIR"] if silence else ["-DSAFETY"]
        _run(folder, "gcc", "-O1" if seconds > QUICK_S else "-O0", "-w", "-DBITSTATE", "-DNOREDUCE", *kind, "-o", "pan", "pan.c")
        flags = ["-a", "-A", "-c1"] if silence else ["-c0", "-e"]
        return _deepened(folder, [*flags, "-E"], seconds, {until} if until else set(), watch)


def simulate(model: Model, script: str, *, named: bool = False, seconds: float = 60) -> list[list[str]]:
    """Run a script through spin's own interpreter: after each event the names of the states of all regions.

    With `named` ids are named anew after each event, as they are in a search. Raises Missing or Failed.
    """
    need()
    with _workshop(model) as folder:
        said = _run(folder, "spin", "-DSCRIPT", *(["-DNAMED"] if named else []), "-T", "model.pml", told=script, seconds=seconds)
    return [line.removeprefix(SAYS).split() for line in map(str.strip, said.splitlines()) if line.startswith(SAYS)]


@contextmanager
def _workshop(model: Model) -> Iterator[Path]:
    """A folder of its own with the model in it: spin and gcc leave files behind."""
    with tempfile.TemporaryDirectory(prefix="callfsm-promela-") as name:
        (Path(name) / "model.pml").write_text(model.text)
        yield Path(name)


def _run(folder: Path, *command: str, told: str = "", seconds: float = BUILD_S) -> str:
    try:
        done = subprocess.run(command, cwd=folder, input=told, capture_output=True, text=True, timeout=seconds, check=False)
    except subprocess.TimeoutExpired:
        raise Failed(f"{command[0]} takes longer than {seconds:g} s") from None
    if done.returncode:
        words = " ".join((done.stdout + done.stderr).split())[:500]
        raise Failed(f"{' '.join(command)}: {words}")
    return done.stdout


def _deepened(folder: Path, flags: list[str], seconds: float, until: set[str], watch: Callable[[Progress], None] | None) -> Search:
    """Search near the start first, and ever deeper, until a flaw is found: the first way to one is then short."""
    began_s, rows, steps = time.monotonic(), frozenset[tuple[int, int]](), 0
    for depth in (*SHALLOW, DEPTH):
        left_s = seconds - (time.monotonic() - began_s)
        found = _explored(folder, [*flags, f"-m{depth}"], max(1.0, left_s if depth == DEPTH else left_s / 6), until, watch)
        rows, steps = rows | found.rows, steps + found.transitions
        if found.complete or found.flaws:
            break
    return attrs.evolve(found, rows=rows, transitions=steps, seconds=time.monotonic() - began_s)


def _explored(folder: Path, flags: list[str], seconds: float, until: set[str], watch: Callable[[Progress], None] | None = None) -> Search:
    """Run the checker until it ends, its time is over, or it has told of all flaws of `until`, if that names any."""
    began_s = time.monotonic()
    said: list[str] = []
    so_far, left = (0, 0), set(until)
    with subprocess.Popen(
        ["./pan", *flags, f"-w{TABLE_BITS}"], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as pan:
        stop = threading.Timer(seconds, pan.send_signal, [signal.SIGINT])
        stop.start()
        try:
            assert pan.stdout is not None
            for line in pan.stdout:
                if told := _PROGRESS.match(line):
                    so_far = int(told[1]), int(told[2])
                    if watch is not None:
                        watch(Progress(*so_far, time.monotonic() - began_s))
                    continue
                said.append(line)
                if left and not (left := left - {_flaw(line)}):
                    pan.send_signal(signal.SIGINT)
        except BaseException:
            pan.kill()
            raise
        finally:
            stop.cancel()
    found = _read(folder, said, so_far, time.monotonic() - began_s)
    if found is None:
        raise Failed(f"pan: {' '.join(''.join(said).split())[-500:]}")
    return found


def _read(folder: Path, said: list[str], so_far: tuple[int, int], seconds: float) -> Search | None:
    """What pan said, or None if it makes no sense. It may be stopped while it says it: then what it told on the way counts."""
    text = "".join(said)
    stored, steps, reached, factor = (pattern.search(text) for pattern in (_STORED, _STEPS, _REACHED, _FACTOR))
    flaws = _flaws(folder, said)
    if stored is None and not flaws:
        return None
    return Search(
        states=int(stored[1]) if stored else so_far[0],
        transitions=int(steps[1]) if steps else so_far[1],
        depth=int(reached[1]) if reached else 0,
        seconds=seconds,
        complete=stored is not None and "Search not completed" not in text and _CUT not in text,
        cut=_CUT in text,
        factor=float(factor[1]) if factor else 0.0,
        flaws=flaws,
        rows=frozenset((int(told[1]), int(told[2])) for told in map(_ROW.match, said) if told),
    )


def _flaws(folder: Path, said: Iterable[str]) -> dict[str, list[list[int]]]:
    """Each flaw that pan told of, with the events of its trail: trails are numbered as the errors are."""
    found: dict[str, list[list[int]]] = {}
    for line in said:
        name = _flaw(line)
        if name and name not in found:
            number = line.split(":")[1]
            trails = [folder / f"model.pml{number}.trail", folder / "model.pml.trail"]
            found[name] = _retold(folder, next((trail for trail in trails if trail.exists()), None))
    return found


def _flaw(line: str) -> str:
    """The flaw that a line of pan tells of, or nothing."""
    if told := _FLAW.match(line):
        return told[1]
    return LIVELOCK if line.startswith("pan:") and "acceptance cycle" in line else ""


def _retold(folder: Path, trail: Path | None) -> list[list[int]]:
    """The numbers of each event on a trail, as the checker runs it again."""
    if trail is None:
        return []
    done = subprocess.run(["./pan", "-r", trail.name], cwd=folder, capture_output=True, text=True, timeout=BUILD_S, check=False)
    return [[int(word) for word in line.split()[1:]] for line in map(str.strip, done.stdout.splitlines()) if line.startswith("STEP ")]
