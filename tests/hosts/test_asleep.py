"""Claims about processes that are stopped in mid-call for longer than a call may last, and go on: real ones, by real signals."""

import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import attrs
import pytest
from anyio import to_thread

from adapters.standin.twilio import http
from adapters.standin.twilio.call import Call
from adapters.standin.twilio.ids import Ids
from adapters.standin.twilio.stream import Conditions
from adapters.telling.trace import read_trace
from tests.shared.phone_model import ToneModel, tone_server
from tests.shared.phone_process import server
from tests.shared.shell import PATIENCE_S, begin_callfsm, callfsm, until, write_wav
from tests.shared.telephone import Silent

LIMIT_MS = 10_000
"""The shortest that a policy allows."""
ASLEEP_S = 1.5 * LIMIT_MS / 1000
SET = ("--set", f"call_ms={LIMIT_MS}", "--set", "call_warning_ms=1000")
FILES = ["call.html", "call.svg", "call.trace", "call.wav", "summary.txt"]


@attrs.frozen
class Woken:
    """What came of a `callfsm call` and a `callfsm serve` that slept."""

    folder: Path
    returncode: int
    said: str
    complaint: str
    traces: list[Path]
    log: list[dict[str, Any]]
    served: int


@pytest.fixture(scope="module")
def woken(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Woken]:
    """Both begin, are stopped together, and go on when their calls should be over."""
    folder = tmp_path_factory.mktemp("asleep")

    async def be() -> Woken:
        silence = write_wav(folder / "caller.wav", bytes(2 * 24_000 * 300))
        process = begin_callfsm("call", "--voice", "realtime", "--caller", silence, "--out", folder / "out", *SET)
        try:
            async with (
                tone_server(ToneModel()) as (url, _),
                server("--realtime", url, "--voice", "realtime", "--traces", folder / "traces", *SET) as (serving, told, log),
            ):
                call = Call(http.Application(Ids()), Silent(300 * 50), Conditions(), str)
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(call.dial, told["ready"], {})
                    await to_thread.run_sync(_until_said, process.stdout, "listening")
                    await until(lambda: any('"call_began"' in line for line in log))
                    for one in (process, serving):
                        one.send_signal(signal.SIGSTOP)
                    await anyio.sleep(ASLEEP_S)
                    for one in (process, serving):
                        one.send_signal(signal.SIGCONT)
                said, complaint = await to_thread.run_sync(process.communicate, None, PATIENCE_S)
                serving.send_signal(signal.SIGTERM)
                served = await to_thread.run_sync(serving.wait, PATIENCE_S)
        finally:
            process.kill()
        lines = [json.loads(line) for line in log]
        return Woken(folder / "out", process.returncode, said, complaint, sorted((folder / "traces").iterdir()), lines, served)

    yield anyio.run(be)


def _until_said(lines: Any, words: str) -> None:
    for line in lines:
        if words in line:
            return


def test_a_call_that_slept_past_its_maximum_ends_with_that_reason_and_a_whole_record(woken: Woken) -> None:
    assert (woken.returncode, woken.complaint) == (0, "")
    assert "the call ends: the call reached its maximum duration" in woken.said
    assert sorted(file.name for file in woken.folder.iterdir()) == FILES
    trace = read_trace(woken.folder / "call.trace")
    assert trace.first_difference() is None
    assert trace.lines[-1]["event"] == "LineClosed"
    assert [line["event"] for line in trace.lines].count("LimitExpired") == 1, "it is warned of nothing"
    assert callfsm("replay", woken.folder / "call.trace").returncode == 0
    assert "maximum duration" in (woken.folder / "summary.txt").read_text()


def test_a_served_call_that_slept_past_its_maximum_ends_once_with_that_reason(woken: Woken) -> None:
    assert [line["reason"] for line in woken.log if line["event"] == "call_ended"] == ["limit"]
    assert woken.served == 0
    (path,) = woken.traces
    assert read_trace(path).first_difference() is None
    assert not [line for line in woken.log if line["event"] in ("call_crashed", "call_limit_near")]
