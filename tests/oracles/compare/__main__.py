"""`python -m tests.oracles.compare [NAME…]`: what a caller who interrupts still hears of each framework, on a server with each fault."""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import attrs

from tests.oracles.catalog import FOLDER, Oracle, oracles
from tests.oracles.environment import NoEnvironment, python_of, version_of
from tests.oracles.running import QUIET, ROOT, recorded, standing_in

LINES = ("What are your opening hours?", "Sorry, how much is a puncture repair?")
CUES = ("heard", "committed")
"""When the caller interrupts: 1.2 s into the answer, or 0.3 s after their question, before its answer is created."""
RUN_S = 90.0
"""How long one call may take."""
CLIENTS = {"callfsm_call": "", "agents_call": "openai_agents", "pipecat_call": "pipecat_service", "livekit_call": "livekit_session"}
"""The scripts, and the oracles whose environments they run in; callfsm runs in ours."""


@attrs.frozen
class Trial:
    """A fault, and when the caller interrupts; `script` is the stand-in's fault script."""

    name: str
    script: str
    cue: str = "heard"


def _fault(name: str, **params: int | str) -> str:
    """A fault that strikes each connection."""
    lines = [f"{key} = {json.dumps(value)}" for key, value in {"name": name, "connection": "every", **params}.items()]
    return "\n".join(("[[fault]]", *lines, ""))


SECOND_SPEECH = {"on": "input_audio_buffer.speech_started", "nth": 2}
TRIALS = (
    Trial("none", ""),
    Trial("5 stragglers after the cancel", _fault("stragglers", count=5)),
    Trial("the same behind response.done", _fault("stragglers", count=5, after_done=True)),
    Trial("speech between create and created", _fault("slow_created", ms=1_000, nth=1), "committed"),
    Trial("speech_started twice, stragglers", _fault("duplicate_speech_started", nth=2) + _fault("stragglers", count=5)),
    Trial("malformed JSON at the interruption", _fault("malformed_json", **SECOND_SPEECH)),
    Trial("1006 at the interruption", _fault("close", code=1006, **SECOND_SPEECH)),
)


def main(arguments: list[str] | None = None) -> int:
    """Hold every call so many times; 0 when all could be held, 1 when an environment is missing, 2 for bad input."""
    parser = argparse.ArgumentParser(prog="python -m tests.oracles.compare", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(CLIENTS)} (default: all)")
    parser.add_argument("--calls", type=int, default=3, help="calls for each fault (default: 3)")
    options = parser.parse_args(arguments)
    if unknown := [name for name in options.names if name not in CLIENTS]:
        print(f"compare: there is no {unknown[0]}; there are {', '.join(CLIENTS)}", file=sys.stderr)
        return 2
    known = {oracle.name: oracle for oracle in oracles()}
    names = options.names or list(CLIENTS)
    try:
        pythons = {name: python_of(known[CLIENTS[name]]) if CLIENTS[name] else Path(sys.executable) for name in names}
    except NoEnvironment as lack:
        print(f"compare: {lack}", file=sys.stderr)
        return 1
    titles = [_title(known.get(CLIENTS[name]), pythons[name]) for name in names]
    print("| fault | " + " | ".join(titles) + " |\n|" + " --- |" * (len(names) + 1), flush=True)
    with tempfile.TemporaryDirectory(prefix="callfsm-compare-") as folder:
        for trial in TRIALS:
            print(f"| {trial.name} | " + " | ".join(_trial(trial, pythons, Path(folder), options.calls)) + " |", flush=True)
    print("\nOld sound heard after the server heard the caller, in ms: median / worst; and how often the interruption was answered.")
    return 0


def _title(oracle: Oracle | None, python: Path) -> str:
    return f"{oracle.client} {version_of(oracle, python)}" if oracle else "callfsm"


def _trial(trial: Trial, pythons: dict[str, Path], folder: Path, calls: int) -> list[str]:
    """The cells of a row."""
    script = folder / "faults.toml"
    script.write_text(trial.script, encoding="utf-8")
    lines = [recorded(text, folder / f"line{number}.wav") for number, text in enumerate(LINES)]
    with ExitStack() as stack:
        url = stack.enter_context(standing_in("realtime", "--faults", str(script)))
        return [_cell([_call(name, python, url, trial.cue, lines) for _ in range(calls)]) for name, python in pythons.items()]


def _call(name: str, python: Path, url: str, cue: str, lines: list[Path]) -> dict[str, Any]:
    """The verdict of one call."""
    environment = {**os.environ, **QUIET, "PYTHONPATH": os.pathsep.join((str(FOLDER), str(ROOT)))}
    command = [python, FOLDER / "compare" / f"{name}.py", url, cue, *lines]
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=RUN_S, env=environment, check=False
        )
    except subprocess.TimeoutExpired:
        return {"old_ms": 0, "answered": False, "interrupted": False, "died": f"hung for {RUN_S:g} s"}
    last = done.stdout.strip().splitlines()[-1:] or ["{}"]
    if not last[0].startswith('{"old_ms"'):
        raise RuntimeError(f"{name} gave no verdict: {done.stderr[-500:]}")
    verdict: dict[str, Any] = json.loads(last[0])
    if verdict["died"]:
        print(f"    {name}: {verdict['died']}", file=sys.stderr, flush=True)
    return verdict


def _cell(verdicts: list[dict[str, Any]]) -> str:
    """Median and worst of the old sound, and how many were answered."""
    old = sorted(one["old_ms"] for one in verdicts if one["interrupted"])
    if not old:
        return "never heard"
    answered = sum(one["answered"] for one in verdicts)
    closed = ", call ended" if all(one["died"] for one in verdicts) else ""
    return f"{old[len(old) // 2]} / {old[-1]} ms, answered {answered} of {len(verdicts)}{closed}"


if __name__ == "__main__":
    sys.exit(main())
