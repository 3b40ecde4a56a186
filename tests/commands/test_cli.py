"""Claims about the command line, with the real command as a process: it teaches, refuses in one line, and leaves nothing half done."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import wave
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib import metadata
from pathlib import Path

import attrs
import pytest

from adapters.cli import main
from adapters.seam.ports import FRAME_BYTES, RATE_HZ
from adapters.telling.trace import read_trace
from fsm.call import events as ev
from fsm.call.policy import Policy
from tests.shared.shell import (
    BACKENDS,
    PATIENCE_S,
    PATIENTLY,
    ROOT,
    alive,
    at,
    at_most,
    begin_callfsm,
    callfsm,
    channels,
    descendants,
    traced,
    write_wav,
)

COMMANDS = ("call", "stand-in", "replay", "case", "diagrams")
FILES = ("call.html", "call.svg", "call.trace", "call.wav", "summary.txt")
SECRET = "sk-a-key-that-nobody-may-see"
NOBODY = "127.0.0.1:1"
"""An address at which nothing listens."""


def silence(path: Path, seconds: float) -> Path:
    """A WAV in which nobody speaks."""
    return write_wav(path, bytes(int(seconds * 1000 / 20) * FRAME_BYTES))


def one_line(done: "subprocess.CompletedProcess[str]") -> str:
    """The one line with which a command refused; it wrote nothing else."""
    assert done.returncode == 2, done
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    [line] = done.stderr.splitlines()
    assert line.startswith("callfsm: ")
    return line


Here = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Here:
    """Run `callfsm ARGUMENTS` in `tmp_path` and in this process, which takes a tenth of the time of one of its own."""

    def run(*arguments: object, **variables: str) -> "subprocess.CompletedProcess[str]":
        with monkeypatch.context() as patch, at_most(PATIENCE_S):
            patch.chdir(tmp_path)
            for name in ("CALLFSM_REALTIME_KEY", "OPENAI_API_KEY"):
                patch.delenv(name, raising=False)
            for name, value in variables.items():
                patch.setenv(name, value)
            try:
                code = main([str(argument) for argument in arguments])
            except SystemExit as exit:
                code = int(exit.code or 0)
        return subprocess.CompletedProcess([*map(str, arguments)], code, *capfd.readouterr())

    return run


# It teaches.


@pytest.mark.parametrize("command", COMMANDS)
def test_the_help_of_a_command_has_an_example(here: Here, command: str) -> None:
    done = here(command, "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert f"example: callfsm {command} " in done.stdout


def test_the_help_names_every_command() -> None:
    done = callfsm("--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert all(f"    {command} " in done.stdout for command in COMMANDS)


def test_the_version_is_that_of_the_package(here: Here) -> None:
    done = here("--version")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"callfsm {metadata.version('callfsm')}\n"


@pytest.mark.parametrize("command", COMMANDS)
def test_an_unknown_flag_points_to_the_help_of_its_command(here: Here, command: str) -> None:
    needed = {"stand-in": ["realtime"], "replay": ["none.trace"], "case": ["none.jsonl"]}.get(command, [])
    assert one_line(here(command, *needed, "--barks")).endswith(f"--barks; see `callfsm {command} --help`")


def test_the_settings_of_a_call_are_listed_with_what_they_take_and_mean(here: Here) -> None:
    done = here("call", "--set", "help")
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    assert [line.split("=")[0] for line in lines[::2]] == list(attrs.asdict(Policy()))
    assert all(line.startswith("    ") and len(line) > 20 for line in lines[1::2])
    assert "interruption_min_ms=150   0 to 5,000 ms" in lines
    assert "greeting=true   true | false" in lines
    assert "wait_words=One moment, please.   text" in lines
    assert "voice=chatterbox   chatterbox | realtime" in lines


def test_an_older_call_is_never_written_over(here: Here, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "call.trace").write_text("mine")
    caller = silence(tmp_path / "caller.wav", 1.0)
    assert "--out out: it holds call.trace" in one_line(here("call", "--voice", "realtime", "--caller", caller, "--out", "out"))
    assert [file.name for file in (tmp_path / "out").iterdir()] == ["call.trace"]


def test_a_file_of_tools_may_import_its_neighbours_and_not_end_the_program(here: Here, tmp_path: Path) -> None:
    tool = "from adapters.tools import Tools\ntools = Tools()\n@tools.tool\ndef hours() -> str:\n    'When.'\n    return NINE\n"
    (tmp_path / "neighbour_of_tools.py").write_text("NINE = 'nine'\n")
    (tmp_path / "tools.py").write_text("from neighbour_of_tools import NINE\n" + tool)
    assert NOBODY in one_line(here("call", *DIRECT, "--tools", "tools.py"))
    (tmp_path / "ends.py").write_text("import sys\nsys.exit(3)\n")
    assert "--tools ends.py: SystemExit" in one_line(here("call", *DIRECT, "--tools", "ends.py"))


@pytest.mark.parametrize(
    "raised", ["KeyboardInterrupt", "KeyboardInterrupt('stop')", "GeneratorExit", "asyncio.CancelledError", "BaseException(1)"]
)
def test_whatever_a_file_of_tools_raises_is_told_in_one_line(here: Here, tmp_path: Path, raised: str) -> None:
    """R105: it is the file's, and nobody pressed a key."""
    (tmp_path / "ends.py").write_text(f"import asyncio\nraise {raised}\n")
    told = raised.partition("(")[0].rpartition(".")[2]
    assert f"--tools ends.py: {told}" in one_line(here("call", *DIRECT, "--tools", "ends.py"))


def test_what_a_file_of_tools_says_is_bounded_and_told_though_it_closed_what_it_could(here: Here, tmp_path: Path) -> None:
    """R105, R108."""
    (tmp_path / "long.py").write_text("raise ValueError('x' * 20_000)\n")
    assert len(one_line(here("call", *DIRECT, "--tools", "long.py"))) < 2_100
    (tmp_path / "mute.py").write_text("import sys\nsys.stdout.close()\nsys.stderr.close()\nraise ValueError('mute')\n")
    done = callfsm("call", *DIRECT, "--tools", "mute.py", cwd=tmp_path)
    assert "--tools mute.py: ValueError: mute" in one_line(done)


def test_a_key_that_is_pressed_while_the_tools_are_read_ends_the_program(here: Here, tmp_path: Path) -> None:
    (tmp_path / "slow.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGINT)\n")
    done = here("call", *DIRECT, "--tools", "slow.py")
    assert (done.returncode, done.stderr) == (130, "")


# It refuses in one line, and has written nothing.

DIRECT = ("--realtime", f"ws://{NOBODY}/v1/realtime", "--voice", "realtime")
"""A call without a stand-in, so that refusing it takes no time."""


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ((*DIRECT, "--caller", "none.wav"), "none.wav"),
        ((*DIRECT, "--caller", "text.wav"), "text.wav: that is no WAV"),
        ((*DIRECT, "--caller", "empty.wav"), "empty.wav: the WAV holds no sound"),
        ((*DIRECT, "--caller", "."), "can't be read"),
        (DIRECT, NOBODY),
        (("--realtime", "http://127.0.0.1/v1/realtime", "--voice", "realtime"), "ws://"),
        (("--realtime", "foo", "--voice", "realtime"), "--realtime foo"),
        (("--realtime", f"ws://{NOBODY}/", "--chatterbox-dialect", "klingon"), "klingon"),
        (("--realtime", "ws://", "--voice", "realtime"), "ws://"),
        (("--realtime", "127.0.0.1", "--voice", "realtime"), "ws://"),
        (("--realtime", "ws://127.0.0.1:99999/", "--voice", "realtime"), "ws://"),
        (("--realtime", "ws://[::1/", "--voice", "realtime"), "ws://"),
        (("--realtime", "ws://127.0.0.1/#part", "--voice", "realtime"), "--realtime ws://127.0.0.1/#part"),
        (("--realtime", "wss://api.example.invalid/v1/realtime"), "CALLFSM_REALTIME_KEY"),
        (("--realtime", "WSS://api.example.invalid/v1/realtime"), "CALLFSM_REALTIME_KEY"),
        (("--realtime", f"ws://{NOBODY}/", "--chatterbox", f"http://{NOBODY}"), NOBODY),
        (("--realtime", f"ws://{NOBODY}/", "--chatterbox", "ftp://127.0.0.1"), "http://"),
        (("--realtime", f"ws://{NOBODY}/", "--chatterbox", "http://"), "http://"),
        (("--realtime", f"ws://{NOBODY}/", "--chatterbox", "http://127.0.0.1:no/"), "--chatterbox http://127.0.0.1:no"),
        (("--realtime", f"ws://{NOBODY}/", "--chatterbox-fallback", "foo"), "--chatterbox-fallback foo"),
        (("--realtime", f"ws://{NOBODY}/", "--chatterbox", "http://127.0.0.1:99999"), "--chatterbox http://127.0.0.1:99999"),
        ((*DIRECT, "--realtime-voice", ""), "--realtime-voice is ''"),
        ((*DIRECT, "--chatterbox", f"http://{NOBODY}"), "--chatterbox: with --voice realtime the model speaks itself"),
        ((*DIRECT, "--chatterbox-voice", "Emily"), "--chatterbox-voice: with --voice realtime"),
        ((*DIRECT, "--chatterbox-fallback", f"http://{NOBODY}"), "--chatterbox-fallback: with --voice realtime"),
        (("--set", "voice=realtime", "--chatterbox", f"http://{NOBODY}"), "--chatterbox: with --voice realtime"),
        (("--realtime", f"ws://{NOBODY}/", "--realtime-voice", "marin"), "--realtime-voice marin: a Chatterbox voice speaks"),
        ((*DIRECT, "--set", "voice=chatterbox", "--realtime-voice", "marin"), "--realtime-voice marin: a Chatterbox voice speaks"),
        (("--chatterbox-model", "turbo"), "--chatterbox-model: the stand-in speaks"),
        ((*DIRECT, "--append-ms", "0"), "--append-ms is 0"),
        (("--set", "interruption_min_ms=5001"), "interruption_min_ms"),
        (("--tools", "/dev/zero"), "--tools /dev/zero: it is a device"),
        (("--transcription", "none", "--set", "interruption_words_ms=900"), "--transcription none: --set interruption_words_ms waits"),
        (("--interrupts", "server", "--set", "interruption_words_ms=900"), "interruption_words_ms takes interrupts='client'"),
        (("--set", "interruption_min_ms=soon"), "interruption_min_ms"),
        (("--set", "interruption_min_ms=nan"), "interruption_min_ms"),
        (("--set", "greeting=maybe"), "greeting"),
        (("--set", "barks=1"), "--set help"),
        (("--set", "interruption_min_ms"), "--set help"),
        (("--voice", "dog"), "--voice"),
        (("--backend", "dog"), "--backend"),
        (("--barks",), "--barks"),
        (("--device", "hw:0"), "--caller WAV"),
        ((*DIRECT, "--model", ""), "--model is ''"),
    ],
    ids=str,
)
def test_a_call_that_cannot_begin_is_refused_in_one_line(here: Here, tmp_path: Path, arguments: tuple[str, ...], told: str) -> None:
    (tmp_path / "text.wav").write_text("this is no sound")
    write_wav(tmp_path / "empty.wav", b"")
    done = here("call", *arguments, "--out", "out")
    assert told in one_line(done)
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "calls").exists()


def test_a_link_to_itself_is_no_file_of_tools(here: Here, tmp_path: Path) -> None:
    (tmp_path / "tools.py").symlink_to("tools.py")
    assert "--tools tools.py: " in one_line(here("call", *DIRECT, "--tools", "tools.py"))


def test_a_pipe_is_no_file_of_tools(here: Here, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "tools.py")
    assert "--tools tools.py: it is a device or a pipe" in one_line(here("call", *DIRECT, "--tools", "tools.py"))


def test_a_folder_that_is_gone_is_told(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    python = f'"{sys.executable}"'
    command = f"{python} -c 'import os; os.rmdir(os.getcwd())'; exec {python} -m adapters.cli sim --calls 1"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(["/bin/sh", "-c", command], cwd=gone, env=environment, capture_output=True, text=True, timeout=PATIENCE_S)
    assert "--out violations: the folder that we are in is gone" in one_line(done)


def test_a_call_cannot_write_where_a_file_is(here: Here, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("mine")
    caller = silence(tmp_path / "caller.wav", 1.0)
    assert "out" in one_line(here("call", "--voice", "realtime", "--caller", caller, "--out", "out"))
    assert (tmp_path / "out").read_text() == "mine"


def test_a_folder_that_cannot_be_made_is_refused_before_the_call(here: Here) -> None:
    name = "a" * 300
    for command in (("dial", f"http://{NOBODY}/"), ("call", *DIRECT)):
        assert f"--out {name}: File name too long" in one_line(here(*command, "--out", name))


def test_a_key_that_is_none_is_refused_by_the_name_of_its_variable(here: Here) -> None:
    told = one_line(here("call", *DIRECT, OPENAI_API_KEY="two words", CALLFSM_REALTIME_KEY=""))
    assert told.startswith("callfsm: OPENAI_API_KEY holds what no key holds")
    assert "two words" not in told


def test_a_refused_call_shows_no_older_one(here: Here, tmp_path: Path) -> None:
    (tmp_path / "summary.txt").write_text("an older call\n")
    assert "older" not in one_line(here("call", *DIRECT, "--out", tmp_path))


@pytest.mark.parametrize("variable", ["CALLFSM_REALTIME_KEY", "OPENAI_API_KEY"])
def test_a_key_is_never_shown(here: Here, variable: str) -> None:
    done = here("call", "--realtime", f"wss://{NOBODY}/v1/realtime", "--voice", "realtime", "--out", "out", **{variable: SECRET})
    assert SECRET not in done.stdout + done.stderr
    assert NOBODY in one_line(done)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ((), "COMMAND"),
        (("barks",), "barks"),
        (("stand-in",), "server"),
        (("stand-in", "dog"), "dog"),
        (("stand-in", "chatterbox", "--port", "70000"), "70000"),
        (("stand-in", "realtime", "--port", "-1"), "-1"),
        (("stand-in", "realtime", "--port", "http"), "http"),
        (("stand-in", "realtime", "--words-per-s", "0"), "--words-per-s"),
        (("stand-in", "chatterbox", "--synthesis-ms", "9:1"), "--synthesis-ms 9:1"),
        (("stand-in", "realtime", "--faults", "/dev/zero"), "/dev/zero: it holds more than 4 MiB"),
        (("replay", "/dev/zero"), "/dev/zero: it holds more than 512 MiB"),
        (("case", "/dev/zero"), "/dev/zero: it holds more than 64 MiB"),
        (("stand-in", "chatterbox", "--words-per-s", "9"), "--words-per-s 9.0: it is for `stand-in realtime`"),
        (("stand-in", "realtime", "--synthesis-ms", "0:9"), "--synthesis-ms 0:9: it is for `stand-in chatterbox`"),
        (("stand-in", "realtime", "--dialect", "seed", "--faults", "help"), "--dialect seed: it is for `stand-in chatterbox`"),
        (("stand-in", "realtime", "--faults", "none.toml"), "--faults none.toml"),
        (("sim", "--jobs", "0"), "--jobs 0"),
        (("sim", "--out", "text.wav"), "--out text.wav"),
        (("verify", "--out", "text.wav"), "--out text.wav"),
        (("stand-in", "chatterbox", "--synthesis-ms", "fast"), "LOW:HIGH"),
        (("stand-in", "chatterbox", "--log", "none/log"), "none/log"),
        (("stand-in", "realtime", "--log", "none/log"), "none/log"),
        (("replay",), "trace"),
        (("replay", "none.trace"), "none.trace"),
        (("replay", "."), "directory"),
        (("case",), "file"),
        (("case", "none.jsonl"), "none.jsonl"),
        (("case", "text.wav"), "text.wav"),
        (("diagrams", "text.wav"), "text.wav"),
        (("sim", "--plan", "/dev/zero"), "--plan /dev/zero: it holds more than 4 MiB"),
        (("replay", "two\nlines.trace"), "two\\nlines.trace"),
        (("verify", "--set", "\x1b[31mred=1"), "--set \\x1b[31mred=1"),
        (("replay", "none.trace", "two\nlines"), "two\\nlines"),
        (("serve", "--max-calls", "1" + "0" * 400), "--max-calls 1000"),
        (("serve", "--twilio-api", "foo"), "--twilio-api foo: it is no URL"),
        (("dial", "ws://127.0.0.1:1/", "--called", "\udcff"), "\\udcff: that is no text in UTF-8"),
        (("dial", "http://127.0.0.1:1/", "--parameter", "x=1"), "--parameter x=1: it is for a ws:// stream"),
    ],
    ids=str,
)
def test_bad_input_is_refused_in_one_line(here: Here, tmp_path: Path, arguments: tuple[str, ...], told: str) -> None:
    (tmp_path / "text.wav").write_text("this is no sound")
    assert told in one_line(here(*arguments))
    assert [file.name for file in tmp_path.iterdir()] == ["text.wav"]


@pytest.mark.parametrize("server", ["realtime", "chatterbox"])
def test_a_port_that_is_taken_is_told(here: Here, server: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert str(port) in one_line(here("stand-in", server, "--port", port))


def test_a_process_of_its_own_refuses_in_the_same_way(tmp_path: Path) -> None:
    assert "COMMAND" in one_line(callfsm(cwd=tmp_path))
    assert NOBODY in one_line(callfsm("call", *DIRECT, "--out", "out", cwd=tmp_path))
    assert list(tmp_path.iterdir()) == []


# It replays and judges.


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    traced(tmp_path / "call.trace", [at(0, ev.LineOpened), at(100, ev.CallerHungUp)])
    return tmp_path / "call.trace"


def test_a_trace_is_replayed(here: Here, trace: Path) -> None:
    done = here("replay", trace)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"{trace}: 2 steps, every row and effect as recorded\n"


def test_a_damaged_trace_is_refused(here: Here, trace: Path) -> None:
    trace.write_text(trace.read_text().replace("LineOpened", "LineClosed"))
    assert "the seal does not fit" in one_line(here("replay", trace))


def test_cases_are_judged(here: Here, tmp_path: Path) -> None:
    case = ROOT / "tests" / "cases" / "goodbye_said_twice.jsonl"
    done = here("case", case)
    assert (done.returncode, done.stderr) == (0, "")
    assert "pass  hangups min=1 max=1" in done.stdout
    header, *rows = case.read_text(encoding="utf-8").splitlines()
    checks = json.loads(header)
    checks["checks"].append({"check": "hangups", "max": 0})
    (tmp_path / "failing.jsonl").write_text("\n".join([json.dumps(checks), *rows]))
    done = here("case", case, tmp_path / "failing.jsonl")
    assert (done.returncode, done.stderr) == (1, "")
    assert "FAIL  hangups max=0" in done.stdout
    assert "HangUp(the goodbye was heard)" in done.stdout
    assert done.stdout.endswith("2 cases, 1 checks failed\n")


# It holds calls.


def test_a_call_with_a_recorded_caller_leaves_its_folder(tmp_path: Path) -> None:
    caller = silence(tmp_path / "caller.wav", 4.0)
    done = callfsm("call", "--voice", "realtime", "--caller", caller, "--out", tmp_path / "out", *PATIENTLY)
    assert (done.returncode, done.stderr) == (0, "")
    whole(tmp_path / "out", "the caller hung up")
    assert "ended                           the caller hung up" in done.stdout
    assert f"{tmp_path / 'out'}: {', '.join(FILES)}" in done.stdout
    caller_sound, agent_sound = channels(tmp_path / "out" / "call.wav")
    assert len(caller_sound) == 4 * RATE_HZ
    assert abs(agent_sound).max() > 1_000, "the greeting was heard"


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["ctrl-c", "sigterm"])
def test_a_call_that_is_stopped_leaves_whole_files_and_no_process(tmp_path: Path, number: signal.Signals, backend: str) -> None:
    caller = silence(tmp_path / "caller.wav", 60.0)
    with greeted("--caller", caller, "--out", tmp_path / "out", "--backend", backend) as (process, children):
        process.send_signal(number)
        out, complaint = process.communicate(timeout=PATIENCE_S)
        left = {pid for pid in children if alive(pid)}
    assert len(children) == 2, "two stand-ins"
    assert complaint == ""
    assert process.returncode == (130 if number is signal.SIGINT else 143)
    assert not left
    whole(tmp_path / "out", "the caller hung up: stopped from outside")
    assert "the call ends: the caller hung up" in out
    assert callfsm("replay", tmp_path / "out" / "call.trace").returncode == 0


def test_a_call_that_failed_says_so_by_its_exit_code(tmp_path: Path) -> None:
    """A session that is refused for good, by a stand-in with a script."""
    (tmp_path / "script.toml").write_text('[[fault]]\nname = "refuse_session"\nnth = 1\nconnection = "every"\n')
    caller = silence(tmp_path / "caller.wav", 30.0)
    server = begin_callfsm("stand-in", "realtime", "--faults", tmp_path / "script.toml")
    try:
        with at_most(PATIENCE_S):
            url = next(line.split()[-1] for line in server.stdout if "ready" in line)
        done = callfsm("call", "--realtime", url, "--voice", "realtime", "--caller", caller, "--out", tmp_path / "out")
    finally:
        end(server, set())
    assert done.returncode == 1
    assert "the session was refused" in done.stdout


@pytest.mark.parametrize("arguments", [("verify", "--plan", "speech"), ("sim", "--calls", "20000")])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_workers_end_with_the_command_however_it_ends(arguments: tuple[str, ...], number: signal.Signals) -> None:
    process = begin_callfsm(*arguments, "--jobs", "2")
    children: set[int] = set()
    try:
        with at_most(PATIENCE_S):
            while len(children) < 3:
                children = descendants(process.pid)
        process.send_signal(number)
        process.wait(PATIENCE_S)
        with at_most(PATIENCE_S):
            while any(map(alive, children)):
                time.sleep(0.02)
    finally:
        left = end(process, children)
    assert not left
    assert process.returncode == (130 if number is signal.SIGINT else -number)


def test_ctrl_c_before_a_call_begins_leaves_nothing(tmp_path: Path) -> None:
    children: set[int] = set()
    process = begin_callfsm("call", "--out", tmp_path / "out")
    try:
        until = time.monotonic() + PATIENCE_S
        while len(children := descendants(process.pid)) < 2:
            assert time.monotonic() < until
            os.sched_yield()
        process.send_signal(signal.SIGINT)
        _, complaint = process.communicate(timeout=PATIENCE_S)
    finally:
        left = end(process, children)
    assert complaint == ""
    assert process.returncode == 130
    assert not left
    assert not (tmp_path / "out").exists()


@contextmanager
def greeted(*arguments: object) -> "Iterator[tuple[subprocess.Popen[str], set[int]]]":
    """`callfsm call` as a process in whose call the greeting begins, and its children; nothing of it is left behind."""
    process, children = begin_callfsm("call", *arguments, *PATIENTLY), set[int]()
    try:
        next(line for line in process.stdout if "greeting_lock" in line)
        children = descendants(process.pid)
        yield process, children
    finally:
        end(process, children)


def end(process: "subprocess.Popen[str]", children: set[int]) -> set[int]:
    """Leave nothing behind, whatever the test found; gives the children that were still there."""
    process.kill()
    with suppress(ValueError):
        process.communicate(timeout=PATIENCE_S)
    left = {pid for pid in children if alive(pid)}
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    return left


def whole(folder: Path, ended: str) -> None:
    """All files of a call are there and can be read."""
    assert sorted(file.name for file in folder.iterdir()) == list(FILES)
    trace = read_trace(folder / "call.trace")
    assert trace.first_difference() is None
    assert trace.lines[-1]["event"] in ("CallerHungUp", "LineClosed")
    with wave.open(str(folder / "call.wav"), "rb") as file:
        assert file.getnchannels() == 2
        assert file.getnframes() > 0
    assert (folder / "call.svg").read_text(encoding="utf-8").rstrip().endswith("</svg>")
    assert ended in (folder / "summary.txt").read_text(encoding="utf-8")
