"""`callfsm stand-in`: a stand-in server on loopback, as a process."""

import argparse
import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any

from adapters.commands.common import Refused, command

STAND_IN_KEY_VARIABLE = "CALLFSM_STAND_IN_KEY"
"""The environment variable with the key that the stand-in realtime server demands; unset, it demands none."""


def add(commands: Any) -> None:
    """Declare the command."""
    parser = command(
        commands,
        "stand-in",
        _stand_in,
        "run a stand-in server on loopback: a realtime LLM or a Chatterbox",
        "callfsm stand-in chatterbox --port 4123",
    )
    parser.add_argument("server", choices=("realtime", "chatterbox"))
    parser.add_argument("--port", type=int, default=0, help="the port on 127.0.0.1 (default: a free one, which is announced)")
    parser.add_argument("--log", type=Path, help="a file for one JSON line for each thing received")
    parser.add_argument("--with-parent", action="store_true", help="stop when standard input closes, as it does when the parent ends")
    parser.add_argument("--words-per-s", type=float, default=25.0, help="realtime: how fast a text answer is written (default: 25)")
    parser.add_argument(
        "--synthesis-ms", default="0:0", metavar="LOW:HIGH", help="chatterbox: how long a synthesis takes at least (default: 0:0)"
    )


def _stand_in(options: argparse.Namespace) -> int:
    if not 0 <= options.port <= 65_535:
        raise Refused(f"--port {options.port}: a port is a number from 0 to 65535")
    if options.with_parent:
        threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        if options.server == "realtime":
            from adapters.standin.realtime_connection import Pace
            from adapters.standin.realtime_server import run_realtime

            if not 0.1 <= options.words_per_s <= 1_000:
                raise Refused(f"--words-per-s {options.words_per_s:g}: it takes a number from 0.1 to 1000")
            pace = Pace(words_per_s=options.words_per_s)
            run_realtime(options.port, log=options.log, key=os.environ.get(STAND_IN_KEY_VARIABLE), pace=pace)
        else:
            from adapters.standin.chatterbox_server import run_chatterbox

            low, _, high = options.synthesis_ms.partition(":")
            if not (low.isdigit() and high.isdigit()):
                raise Refused(f"--synthesis-ms {options.synthesis_ms}: give two whole numbers, LOW:HIGH")
            run_chatterbox(options.port, synthesis_ms=(int(low), int(high)), log=options.log)
    except OSError as error:
        if error.filename:
            raise Refused(f"--log {error.filename}: {error.strerror}; give a file that can be written") from None
        raise Refused(
            f"the stand-in can't listen on port {options.port}: {error.strerror or error}; give another --port, or 0 for a free one"
        ) from None
    except ValueError as error:
        raise Refused(str(error)) from None
    return 0


def _end_with_parent() -> None:
    """Stop when whoever started us is gone, however it ended: its end of our standard input closes."""
    sys.stdin.buffer.read()
    os.kill(os.getpid(), signal.SIGTERM)
