"""Claims about types: mypy refuses a guard or an act that is not made for its row's event, and accepts the same row set right."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.shared.shell import PATIENCE_S

HEADER = """
from fsm.call import events as ev
from fsm.call.effects import Hold
from fsm.call.snapshot import Call
from fsm.call.states import CLEAR, SUSPECTED
from fsm.engine.notation import always, go, row, stay


def said(call: Call, event: ev.Transcribed) -> bool:
    return bool(event.text)


def of_caller(call: Call, event: ev.CallerEvent) -> bool:
    return event.at_ms > 0


def hold(call: Call, event: ev.SpeechStarted) -> Hold:
    return Hold()


"""
RIGHT = (
    "row(CLEAR, ev.Transcribed, said, go(SUSPECTED))",
    "row(CLEAR, (ev.Transcribed, ev.SpeechStarted), of_caller, go(SUSPECTED))",
    "row(CLEAR, ev.SpeechStarted, of_caller, go(SUSPECTED, hold))",
    "row(CLEAR, ev.CallerEvent, always, stay())",
)
WRONG = (
    "row(CLEAR, ev.SpeechStarted, said, go(SUSPECTED))",
    "row(CLEAR, (ev.Transcribed, ev.SpeechStarted), said, go(SUSPECTED))",
    "row(CLEAR, ev.Transcribed, always, go(SUSPECTED, hold))",
    "row(CLEAR, (ev.SpeechStarted, ev.SpeechStopped), always, go(SUSPECTED, hold))",
    "row(CLEAR, ev.CallerEvent, said, go(SUSPECTED))",
    "row(CLEAR, ev.Transcribed, 'said', go(SUSPECTED))",
)


@pytest.fixture(scope="module")
def refused(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """The rows that mypy finds fault with."""
    written = tmp_path_factory.mktemp("typed") / "rows.py"
    lines = (HEADER + "\n".join((*RIGHT, *WRONG)) + "\n").lstrip().splitlines()
    written.write_text("\n".join(lines) + "\n")
    command = [sys.executable, "-m", "mypy", "--strict", "--no-error-summary", "--hide-error-context", "--config-file=", str(written)]
    root = Path(__file__).parents[2]
    told = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    assert not told.stderr, told.stderr
    found = {int(line.split(":")[1]) for line in told.stdout.splitlines() if ": error:" in line}
    return {lines[number - 1] for number in found}


@pytest.mark.parametrize("written", WRONG)
def test_mypy_refuses_what_is_made_for_another_event(refused: set[str], written: str) -> None:
    assert written in refused


@pytest.mark.parametrize("written", RIGHT)
def test_mypy_accepts_what_is_made_for_the_event(refused: set[str], written: str) -> None:
    assert written not in refused
