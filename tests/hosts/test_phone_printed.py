"""Claims about what tools print in a server, and about a server whose words nobody reads."""

import io
import json
import os
import signal
import subprocess
import sys
import threading
import urllib.request

import pytest

from adapters.hosts.phone.log import logging_to, printing_to_log
from tests.shared.shell import PATIENCE_S, ROOT, environment


def test_what_a_tool_prints_is_lines_of_the_log_and_breaks_none() -> None:
    """R105: half a line, odd characters, long numbers, a million lines, from any thread and to either stream."""
    before, stream = (sys.stdout, sys.stderr), io.StringIO()
    with logging_to(stream), printing_to_log():
        print("half a line", end="")
        thread = threading.Thread(target=print, args=("[red]\ud800\x1b[31m\x00 +49 30 1234567",), kwargs={"file": sys.stderr})
        thread.start()
        thread.join()
        print(", and the rest")
        print("\n" * 1_000_000)
        print("x" * 1_000_000, file=sys.stderr)
        sys.stdout.flush()
    assert (sys.stdout, sys.stderr) == before
    told = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert {one["event"] for one in told} == {"printed"}
    assert [(one["to"], one["words"][:26]) for one in told] == [
        ("stderr", "[red]\ud800\x1b[31m\x00 …"),
        ("stdout", "half a line, and the rest"),
        ("stderr", "x" * 26),
    ]


@pytest.mark.skipif(os.name != "posix", reason="needs signals")
def test_a_server_whose_words_nobody_reads_serves_and_drains() -> None:
    """R105: its standard output is closed before it has said that it is ready."""
    reading, writing = os.pipe()
    os.close(reading)
    arguments = ["serve", "--port", "0", "--metrics-port", "0", "--voice", "realtime"]
    program = "\n".join(
        [
            "import sys",
            "from adapters import cli",
            "from adapters.commands import serve",
            "say = serve.announce",
            "serve.announce = lambda line: (say(line), print(line, file=sys.__stderr__, flush=True))",
            "raise SystemExit(cli.main())",
        ]
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program, *arguments],
        env=environment(PYTHONPATH=str(ROOT)),
        stdin=subprocess.DEVNULL,
        stdout=writing,
        stderr=subprocess.PIPE,
        text=True,
    )
    os.close(writing)
    try:
        told = next(line for line in process.stderr if line.startswith(("ready ", "callfsm")))
        assert told.startswith("ready ")
        with urllib.request.urlopen(told.split()[1].replace("/voice", "/healthz"), timeout=PATIENCE_S) as answer:
            assert answer.status == 200
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE_S) == 0
    finally:
        process.kill()
        process.communicate()
