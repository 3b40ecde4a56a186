"""Claims about `callfsm report`: a call whose process was killed is told from what it left (R107)."""

import json
import signal
from pathlib import Path

import pytest

from adapters.cli import main
from tests.shared.shell import PATIENCE_S, begin_callfsm


def test_a_call_whose_process_was_killed_is_replayed_and_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "call"
    process = begin_callfsm("call", "--out", out, "--voice", "realtime")
    for line in process.stdout:
        # The terminal shows the first words of the call: its trace has lines by now.
        if " s  " in line and "agent" in line:
            break
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=PATIENCE_S)
    for line in (out / "call.trace").read_text(encoding="ascii").splitlines()[:-1]:
        json.loads(line)
    assert main(["replay", str(out / "call.trace")]) == 0
    assert "the process died" in capsys.readouterr().out
    assert main(["report", str(out)]) == 0
    assert "the process died" in capsys.readouterr().out
    assert (out / "call.svg").read_text(encoding="utf-8").startswith("<svg")
    assert (out / "summary.txt").stat().st_mode & 0o077 == 0
    assert out.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("what", ["nothing", "damaged"])
def test_a_folder_without_a_call_is_refused_in_one_line(tmp_path: Path, what: str, capsys: pytest.CaptureFixture[str]) -> None:
    if what == "damaged":
        (tmp_path / "call.trace").write_text("{}\n")
    assert main(["report", str(tmp_path)]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1
