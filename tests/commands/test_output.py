"""Claims about where a command's words go: letters that a terminal lacks, a pipe that closes and a full disk spoil words alone."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from tests.commands.test_cli import end, greeted, silence, whole
from tests.shared.shell import PATIENCE_S, ROOT, callfsm, environment, python

FULL = Path("/dev/full")
RECORDED = ROOT / "tests/bench/recorded.trace"
NARROW = {"PYTHONIOENCODING": "", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "LC_ALL": "C"}


run = partial(callfsm, text=False)
"""Bytes of any encoding are its output."""


@contextmanager
def closed_pipe() -> Iterator[int]:
    """The writing end of a pipe that nobody reads."""
    reading, writing = os.pipe()
    os.close(reading)
    try:
        yield writing
    finally:
        os.close(writing)


@pytest.mark.parametrize(
    "variables", [NARROW, {"PYTHONIOENCODING": "ascii"}, {"PYTHONIOENCODING": "latin-1"}], ids=["C", "ascii", "latin-1"]
)
@pytest.mark.parametrize(
    ("arguments", "code"),
    [(("--help",), 0), (("serve", "--help"), 0), (("call", "--help"), 0), (("call", "--set", "help"), 0), (("rules", "\u2026"), 2)],
    ids=["help", "serve", "call", "set", "refusal"],
)
def test_a_terminal_of_few_letters_is_written_to(variables: dict[str, str], arguments: tuple[str, ...], code: int, tmp_path: Path) -> None:
    done = run(*arguments, cwd=tmp_path, **variables)
    assert (done.returncode, b"Traceback" in done.stderr) == (code, False)
    assert done.stdout or code


@pytest.mark.parametrize("arguments", [("rules",), ("--help",), ("call", "--set", "help"), ("--version",)], ids=str)
def test_who_closes_a_pipe_wants_no_more_and_is_told_nothing(arguments: tuple[str, ...], tmp_path: Path) -> None:
    with closed_pipe() as writing:
        done = run(*arguments, cwd=tmp_path, stdout=writing)
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.skipif(not FULL.exists(), reason="needs /dev/full, which Linux has")
@pytest.mark.parametrize("arguments", [("rules",), ("--help",), ("--version",)], ids=str)
def test_output_that_cannot_be_written_is_told_in_one_line(arguments: tuple[str, ...], tmp_path: Path) -> None:
    with FULL.open("wb") as full:
        done = run(*arguments, cwd=tmp_path, stdout=full)
    assert done.returncode == 1
    assert done.stderr == b"callfsm: standard output can't be written (No space left on device); send it elsewhere\n"


@pytest.mark.skipif(not FULL.exists(), reason="needs /dev/full, which Linux has")
@pytest.mark.parametrize("arguments", [("replay", "nowhere"), ("nonsense",), ("call", "--odd")], ids=str)
def test_a_refusal_that_nobody_can_read_is_told_by_the_exit_code(arguments: tuple[str, ...], tmp_path: Path) -> None:
    with FULL.open("wb") as full:
        done = run(*arguments, cwd=tmp_path, stderr=full)
    assert (done.returncode, done.stdout) == (2, b"")


@pytest.mark.skipif(not FULL.exists(), reason="needs /dev/full, which Linux has")
def test_a_summary_that_cannot_be_shown_is_no_fault_of_the_folder(tmp_path: Path) -> None:
    shutil.copy(RECORDED, tmp_path / "call.trace")
    with FULL.open("wb") as full:
        done = run("report", tmp_path, cwd=tmp_path, stdout=full)
    assert (done.returncode, done.stderr) == (
        1,
        b"callfsm: standard output can't be written (No space left on device); send it elsewhere\n",
    )
    assert sorted(file.name for file in tmp_path.iterdir()) == ["call.html", "call.svg", "call.trace", "summary.txt"]


@pytest.mark.skipif(os.name != "posix", reason="needs a limit of a file's size")
def test_a_picture_that_does_not_fit_on_the_disk_is_none_and_told_by_its_name(tmp_path: Path) -> None:
    shutil.copy(RECORDED, tmp_path / "call.trace")
    program = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000)); from adapters.cli import main; sys.exit(main())"
    )
    done = python("-B", "-c", program, "report", tmp_path, cwd=tmp_path, text=False)
    assert done.returncode == 2
    assert done.stderr.decode() == f"callfsm: {tmp_path}/call.svg: File too large; make it a folder that can be written\n"
    assert [file.name for file in tmp_path.iterdir()] == ["call.trace"]


@pytest.mark.skipif(os.name != "posix", reason="needs a shell")
def test_a_stream_that_was_closed_is_no_file_of_ours(tmp_path: Path) -> None:
    """The next file would have its number, and what a program that we start says would land in it."""
    program = "from adapters.commands import output; output.prepare(); file = open('next', 'w'); raise SystemExit(file.fileno() > 2)"
    line = f'"{sys.executable}" -c "{program}" <&- >&- 2>&-'
    done = subprocess.run(["sh", "-c", line], cwd=tmp_path, env=environment(PYTHONPATH=str(ROOT)), timeout=PATIENCE_S, check=False)
    assert done.returncode == 1
    done = subprocess.run(
        ["sh", "-c", f'"{sys.executable}" -m adapters.cli replay nowhere 2>&-'],
        cwd=tmp_path,
        env=environment(PYTHONPATH=str(ROOT)),
        stdout=subprocess.PIPE,
        timeout=PATIENCE_S,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, b"")


PRINTING = """
from adapters.commands import output
output.prepare()
output.console()
print('what a tool says', flush=True)
raise SystemExit(output.finish(0))
"""


def test_a_tool_that_prints_has_not_failed_as_nobody_reads(tmp_path: Path) -> None:
    with closed_pipe() as writing:
        done = python("-c", PRINTING, cwd=tmp_path, stdout=writing, text=False)
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.parametrize("where", ["closed", "full", "ascii"])
def test_a_call_is_held_to_its_end_whoever_reads_of_it(where: str, tmp_path: Path) -> None:
    if where == "full" and not FULL.exists():
        pytest.skip("needs /dev/full, which Linux has")
    caller = silence(tmp_path / "caller.wav", 1.0)
    out = tmp_path / "[red] :smile: call"
    arguments = ("call", "--voice", "realtime", "--caller", caller, "--out", out)
    if where == "ascii":
        done = run(*arguments, cwd=tmp_path, PYTHONIOENCODING="ascii")
        assert (done.returncode, done.stderr) == (0, b"")
        assert f"{out}: call.html".encode() in done.stdout
    else:
        with closed_pipe() if where == "closed" else FULL.open("wb") as writing:
            done = run(*arguments, cwd=tmp_path, stdout=writing)
        assert (done.returncode, done.stderr.count(b"\n")) == ((0, 0) if where == "closed" else (1, 1))
    whole(out, "the caller hung up")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_second_signal_ends_a_call_at_once_and_without_a_word(number: signal.Signals, tmp_path: Path) -> None:
    caller = silence(tmp_path / "caller.wav", 60.0)
    with greeted("--caller", caller, "--out", tmp_path / "out") as (process, _):
        process.send_signal(number)
        process.send_signal(number)
        _, complaint = process.communicate(timeout=PATIENCE_S)
    assert "Traceback" not in complaint
    assert process.returncode in (128 + number, -number)


def test_a_call_whose_terminal_is_gone_hangs_up_and_leaves_whole_files(tmp_path: Path) -> None:
    caller = silence(tmp_path / "caller.wav", 60.0)
    with greeted("--voice", "realtime", "--caller", caller, "--out", tmp_path / "out") as (process, _):
        process.send_signal(signal.SIGHUP)
        _, complaint = process.communicate(timeout=PATIENCE_S)
    assert (complaint, process.returncode) == ("", 128 + signal.SIGHUP)
    whole(tmp_path / "out", "the caller hung up: stopped from outside")


IGNORANT = """
import os, signal, sys
signal.signal(signal.SIGHUP, signal.SIG_IGN)
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""
"""What `nohup` does."""


def test_a_hangup_that_is_ignored_stays_ignored(tmp_path: Path) -> None:
    caller = silence(tmp_path / "caller.wav", 1.0)
    command = [sys.executable, "-c", IGNORANT, "-u", "-m", "adapters.cli", "call"]
    process = subprocess.Popen(
        [*command, "--voice", "realtime", "--caller", caller, "--out", tmp_path / "out"],
        cwd=ROOT,
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        next(iter(process.stdout))
        process.send_signal(signal.SIGHUP)
        process.communicate(timeout=PATIENCE_S)
    finally:
        end(process, set())
    assert process.returncode == 0
