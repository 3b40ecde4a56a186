"""An oracle's own virtual environment: built once, kept in `.oracles/` while its declaration stays the same."""

import fcntl
import hashlib
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.oracles.catalog import Oracle

ENVIRONMENTS = Path(__file__).parents[2] / ".oracles"
BUILD_S = 600.0
"""How long one command of a build may take."""
DATED_PIP = "pip>=26.0"
"""The first that knows --uploaded-prior-to."""


class NoEnvironment(RuntimeError):
    """An environment that could not be built; the message says what is missing."""


def python_of(oracle: Oracle, *, folder: Path = ENVIRONMENTS, build_s: float = BUILD_S) -> Path:
    """The interpreter of the oracle's environment, built if need be. NoEnvironment when its packages cannot be had."""
    home = folder / oracle.name
    python = home / "bin" / "python"
    folder.mkdir(exist_ok=True)
    (folder / ".gitignore").write_text("*\n")
    with _locked(folder / f"{oracle.name}.lock"):
        stamp = home / "declaration"
        if not (stamp.exists() and stamp.read_text() == _fingerprint(oracle)):
            shutil.rmtree(home, ignore_errors=True)
            _build(oracle, home, python, build_s)
            stamp.write_text(_fingerprint(oracle))
    return python


def version_of(oracle: Oracle, python: Path) -> str:
    """The version of the client in an environment; a server has that of its checkout."""
    if oracle.server:
        return ""
    code = f"import importlib.metadata as m; print(m.version({oracle.client!r}))"
    return subprocess.run([python, "-I", "-c", code], capture_output=True, text=True, timeout=60, check=True).stdout.strip()


def _build(oracle: Oracle, home: Path, python: Path, build_s: float) -> None:
    """Build it with uv where there is one, else with venv and pip; without the date when the package index tells no upload times."""
    uv, base = shutil.which("uv"), _interpreter(oracle)
    needs = _installed(oracle)
    if uv and _runs([uv, "venv", "--quiet", "--python", base, home], build_s) is None:
        install = [uv, "pip", "install", "--quiet", "--python", python]
        if _runs([*install, "--exclude-newer", oracle.as_of, *needs], build_s) is None:
            return
    shutil.rmtree(home, ignore_errors=True)
    pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input"]
    for command in ([base, "-m", "venv", home], [*pip, "--upgrade", DATED_PIP]):
        if said := _runs(command, build_s):
            raise NoEnvironment(f"{oracle.name}: no environment: {said}")
    said = _runs([*pip, "--uploaded-prior-to", oracle.as_of, *needs], build_s)
    if said and "upload-time" in said:
        said = _runs([*pip, *needs], build_s)
    if said:
        raise NoEnvironment(f"{oracle.name}: {', '.join(oracle.needs)} cannot be installed: {said}")


def _installed(oracle: Oracle) -> list[str]:
    """What is to be installed; `callfsm`, with its extras, is this checkout."""
    ours = {need: need.removeprefix("callfsm") for need in oracle.needs if need.startswith("callfsm")}
    editable = [part for extras in ours.values() for part in ("--editable", f"{ENVIRONMENTS.parent}{extras}")]
    return [*(need for need in oracle.needs if need not in ours), *editable]


def _interpreter(oracle: Oracle) -> str:
    """A Python that is new enough: ours, else one on the path. NoEnvironment where there is none."""
    if sys.version_info[: len(oracle.least_python)] >= oracle.least_python:
        return sys.executable
    major, minor = oracle.least_python[:2]
    for newer in range(minor, minor + 3):
        found = shutil.which(f"python{major}.{newer}")
        if found and _runs([found, "-c", ""], BUILD_S) is None:
            return found
    raise NoEnvironment(f"{oracle.name}: it needs Python {major}.{minor} or newer: put python{major}.{minor} on the path")


def _runs(command: list[str | Path], build_s: float) -> str | None:
    """Run a command; None when it succeeded, else the line that says why not."""
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=build_s, check=False)
    except subprocess.TimeoutExpired:
        return f"{Path(command[0]).name} took longer than {build_s:g} s"
    if done.returncode == 0:
        return None
    lines = [line for line in (done.stderr or done.stdout).splitlines() if line.strip()]
    errors = [line for line in lines if "error" in line.lower()]
    return (errors or lines or [f"exit code {done.returncode}"])[-1].strip()


def _fingerprint(oracle: Oracle) -> str:
    """What must stay the same for an environment to be taken again."""
    parts = (sys.version, oracle.as_of, *oracle.needs)
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Only one process at a time builds an environment."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
