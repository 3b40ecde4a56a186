"""Runs one oracle: its environment, the stand-ins that it wants as processes on loopback, its lines as recordings; tells its output."""

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
import wave
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import attrs

from adapters.commands.common import Refused
from adapters.standin.voice import RATE_HZ, Voice
from tests.oracles.catalog import Oracle
from tests.oracles.environment import BUILD_S, NoEnvironment, python_of, version_of
from tests.oracles.served import PLACE_TAKEN, NoCheckout, checkout_of, hold, serving

ROOT = Path(__file__).parents[2]
START_S = 60.0
STOP_S = 5.0
RUN_S = 180.0
"""How long an oracle may run; it ends itself after 150 s."""
PITCH = 0.8
"""The caller's voice is the agent's, as much lower as in the demonstration call."""
QUIET = {"LOGURU_LEVEL": "WARNING", "PYTHONUNBUFFERED": "1"}
"""No banner of a framework between the checks."""


@attrs.frozen(kw_only=True)
class Verdict:
    """How an oracle judged: the checks that `held` and those that were `broken`, the client events that the stand-ins took, and times in s.

    `missing` says why the oracle could not judge at all.
    """

    oracle: Oracle
    version: str = "-"
    held: int = 0
    broken: tuple[str, ...] = ()
    events: Counter[str] = attrs.Factory(Counter)
    build_s: float = 0.0
    call_s: float = 0.0
    missing: str | None = None

    @property
    def agrees(self) -> bool:
        """Did it hold its call, with nothing to say against the stand-in?"""
        return self.missing is None and not self.broken and self.held > 0


def judge(oracle: Oracle, tell: Callable[[str], None], *, build_s: float = BUILD_S) -> Verdict:
    """Run it to its end; `tell` is given each of its lines. Building its environment may take `build_s` for each command."""
    began = time.monotonic()
    try:
        checkout = checkout_of(oracle.server or oracle.tests) if oracle.server or oracle.tests else None
        python = python_of(oracle, build_s=build_s)
    except (NoEnvironment, NoCheckout) as lack:
        return Verdict(oracle=oracle, missing=str(lack))
    built = time.monotonic()
    if checkout is not None and oracle.server:
        tell(f"{oracle.server}; its environment took {built - began:.1f} s")
        held, broken = _serve(oracle, python, checkout, tell)
        times = {"build_s": built - began, "call_s": time.monotonic() - built}
        return Verdict(oracle=oracle, held=held, broken=tuple(broken), **times)
    version = version_of(oracle, python)
    tell(f"{oracle.client} {version}; its environment took {built - began:.1f} s")
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="callfsm-oracle-")))
        lines = [recorded(text, folder / f"line{number}.wav") for number, text in enumerate(oracle.says)]
        logs = [folder / f"{number}.jsonl" for number, _ in enumerate(oracle.stand_ins)]
        urls = [
            stack.enter_context(standing_in(*words.split(), "--log", str(log))) for words, log in zip(oracle.stand_ins, logs, strict=True)
        ]
        held, broken = follow([python, oracle.script, *urls, *lines, *([checkout] if checkout else [])], tell)
        events = sum(map(_taken, logs), Counter[str]())
    return Verdict(
        oracle=oracle,
        version=version,
        held=held,
        broken=tuple(broken),
        events=events,
        build_s=built - began,
        call_s=time.monotonic() - built,
    )


def _serve(oracle: Oracle, python: Path, checkout: Path, tell: Callable[[str], None]) -> tuple[int, list[str]]:
    """Hold its calls with the server of others; how many checks held, and the lines of those that did not."""
    checks: list[tuple[str, bool, str]] = []
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="callfsm-oracle-")))
        urls = {words.split()[0]: stack.enter_context(standing_in(*words.split())) for words in oracle.stand_ins}
        try:
            port = stack.enter_context(serving(python, oracle, checkout, folder / "server.log"))
            for number, way in enumerate(oracle.ways):
                tell(f"{oracle.call} {way}".strip())
                place = folder / str(number)
                place.mkdir()
                flags = f"{oracle.call} {way}".format(port=port, **urls).split()
                held = hold(place, flags, by_tone="realtime" not in urls)
                checks += held.checks({*oracle.warns, *(PLACE_TAKEN if number else ())})
        except (RuntimeError, OSError, ValueError, Refused) as error:
            return 0, [str(error)]
        for claim, holds, seen in checks:
            tell(f"ok    {claim}" if holds else f"FAIL  {claim}: {seen}")
    return sum(holds for _, holds, _ in checks), [f"{claim}: {seen}" for claim, holds, seen in checks if not holds]


@contextmanager
def standing_in(name: str, *options: str) -> Iterator[str]:
    """A stand-in as a process on a free port of 127.0.0.1; its URL."""
    command = [sys.executable, "-m", "adapters.cli", "stand-in", name, "--port", "0", "--with-parent", *options]
    process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True)
    assert process.stdin and process.stdout
    overdue = threading.Timer(START_S, process.kill)
    overdue.start()
    try:
        ready, _, url = process.stdout.readline().strip().partition(" ")
        overdue.cancel()
        if ready != "ready":
            raise RuntimeError(f"the stand-in {name} was not ready within {START_S:g} s, or ended before: see its message above")
        yield url
    finally:
        overdue.cancel()
        process.stdin.close()
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()


def follow(command: list[str | Path], tell: Callable[[str], None]) -> tuple[int, list[str]]:
    """Run the oracle's script; how many checks held, and the lines of those that did not."""
    held, broken = 0, []
    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    with subprocess.Popen(command, **pipes, text=True, env={**os.environ, **QUIET}) as process:
        overdue = threading.Timer(RUN_S, process.kill)
        overdue.start()
        for line in process.stdout:
            tell(line.rstrip())
            held += line.startswith("ok ")
            if line.startswith("FAIL "):
                broken.append(line[5:].strip())
        overdue.cancel()
        code = process.wait()
    if code and not broken:
        broken.append(f"the script ended with exit code {code}: see its last lines")
    return held, broken


def recorded(text: str, path: Path) -> Path:
    """The line in the caller's voice, as a WAV file."""
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, RATE_HZ, 0, "NONE", "not compressed"))
        file.writeframes(b"".join(Voice.load().speak(text, pitch=PITCH)))
    return path


def _taken(log: Path) -> Counter[str]:
    """The client events in a stand-in's log, by type."""
    if not log.exists():
        return Counter()
    events = (json.loads(line).get("event") for line in log.read_text(encoding="utf-8").splitlines())
    return Counter(event.get("type", "?") for event in events if isinstance(event, dict))
