"""`callfsm stand-in`: a stand-in server on loopback, as a process."""

import argparse
import os
import threading
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adapters.commands.common import Refused, add_without, command
from adapters.commands.extras import need

if TYPE_CHECKING:
    from adapters.standin.orders import Orders

STAND_IN_KEY_VARIABLE = "CALLFSM_STAND_IN_KEY"
"""The environment variable with the key that the realtime and the `openai` stand-in demand; unset, they demand none."""


def add(commands: Any) -> None:
    """Declare the command."""
    parser = command(
        commands,
        "stand-in",
        _stand_in,
        "run a stand-in server on loopback: a realtime LLM or a Chatterbox",
        "callfsm stand-in realtime --port 4123 --faults bad-day.toml --log client.jsonl",
    )
    parser.add_argument("server", choices=("realtime", "chatterbox"))
    parser.add_argument("--port", type=int, default=0, help="the port on 127.0.0.1 (default: a free one, which is announced)")
    parser.add_argument("--log", type=Path, help="a file for one JSON line for each thing received, and each fault that struck")
    parser.add_argument(
        "--faults", type=Path, metavar="FILE", help="a TOML file of faults, at a time or on an event; `--faults help` lists them"
    )
    parser.add_argument(
        "--with-parent",
        action="store_true",
        help="stop when standard input closes, as it does when the parent ends; a line of it is a script of faults, which begins then",
    )
    parser.add_argument("--words-per-s", type=float, help="realtime: how fast a text answer is written (default: 25)")
    add_without(parser, "server")
    parser.add_argument("--synthesis-ms", metavar="LOW:HIGH", help="chatterbox: how long a synthesis takes at least (default: 0:0)")
    parser.add_argument(
        "--dialect",
        choices=("seed", "devnen", "travisvn", "openai"),
        help="chatterbox: which kind of server to be (default: seed, the contract with a cancel)",
    )


def _stand_in(options: argparse.Namespace) -> int:
    need("callfsm stand-in", "stand-in")
    if not 0 <= options.port <= 65_535:
        raise Refused(f"--port {options.port}: a port is a number from 0 to 65535")
    _refuse_the_others(options)
    if listed := _listed(options):
        print(listed)
        return 0
    orders = _parents(options) if options.with_parent else None
    try:
        return _realtime(options, orders) if options.server == "realtime" else _chatterbox(options, orders)
    except BrokenPipeError:
        raise
    except OSError as error:
        if error.filename:
            raise Refused(f"--log {error.filename}: {error.strerror}; give a file that can be written") from None
        raise Refused(
            f"the stand-in can't listen on port {options.port}: {error.strerror or error}; give another --port, or 0 for a free one"
        ) from None
    except ValueError as error:
        raise Refused(str(error)) from None


_OF: dict[str, dict[str, object]] = {"realtime": {"words_per_s": 25.0}, "chatterbox": {"synthesis_ms": "0:0", "dialect": "seed"}}
"""The options of each server alone, with their defaults."""


def _refuse_the_others(options: argparse.Namespace) -> None:
    """Raise Refused for an option that is the other server's; give the server's own their defaults."""
    for server, defaults in _OF.items():
        for name, default in defaults.items():
            given = getattr(options, name)
            if given is not None and server != options.server:
                flag = f"--{name.replace('_', '-')}"
                raise Refused(f"{flag} {given}: it is for `stand-in {server}`; `stand-in {options.server}` has no such thing: leave it out")
            setattr(options, name, default if given is None else given)


def _listed(options: argparse.Namespace) -> str:
    """What the server can do wrong, or lack, where that is asked for."""
    from adapters.standin.chatterbox import faults as chatterbox, lacks as chatterbox_lacks
    from adapters.standin.realtime import faults as realtime, lacks as realtime_lacks

    is_realtime = options.server == "realtime"
    if str(options.faults) == "help":
        return (realtime.REALTIME if is_realtime else chatterbox.CHATTERBOX).listed()
    if "help" not in options.without:
        return ""
    lacks = {name: lack.says for name, lack in realtime_lacks.LACKS.items()} if is_realtime else chatterbox_lacks.LACKS
    return "\n".join(f"{name}: {says}" for name, says in lacks.items())


def _faults(file: Path | None, grammar: Any) -> Any:
    """The faults of a file, None for none. Raises Refused."""
    from adapters.standin.faults import read

    try:
        return read(file, grammar) if file else None
    except ValueError as error:
        raise Refused(f"--faults {error}") from None


def _parents(options: argparse.Namespace) -> "Orders":
    """What whoever started us orders, from now on; we stop when they are gone."""
    from adapters.standin.chatterbox.faults import CHATTERBOX
    from adapters.standin.orders import Orders
    from adapters.standin.realtime.faults import REALTIME

    orders = Orders(REALTIME if options.server == "realtime" else CHATTERBOX)
    threading.Thread(target=orders.read, daemon=True).start()
    return orders


def _realtime(options: argparse.Namespace, orders: "Orders | None") -> int:
    """Be the realtime server."""
    from adapters.standin.realtime.faults import REALTIME
    from adapters.standin.realtime.lacks import LACKS

    if unknown := [name for name in options.without if name not in LACKS]:
        raise Refused(f"--without {unknown[0]}: it takes one of {', '.join(LACKS)}")
    if not 0.1 <= options.words_per_s <= 1_000:
        raise Refused(f"--words-per-s {options.words_per_s:g}: it takes a number from 0.1 to 1000")
    faults = _faults(options.faults, REALTIME)

    from adapters.standin.realtime.connection import Pace
    from adapters.standin.realtime.server import run_realtime, serve

    pace, key = Pace(words_per_s=options.words_per_s), os.environ.get(STAND_IN_KEY_VARIABLE)
    run_realtime(
        partial(serve, port=options.port, log=options.log, key=key, pace=pace, faults=faults, without=options.without, orders=orders)
    )
    return 0


def _chatterbox(options: argparse.Namespace, orders: "Orders | None") -> int:
    """Be the Chatterbox server."""
    from adapters.standin.chatterbox.dialects import MAX_SYNTHESIS_MS
    from adapters.standin.chatterbox.faults import CHATTERBOX
    from adapters.standin.chatterbox.lacks import LACKS

    if unknown := [name for name in options.without if name not in LACKS]:
        raise Refused(f"--without {unknown[0]}: it takes one of {', '.join(LACKS)}")
    low, _, high = options.synthesis_ms.partition(":")
    if not (low.isdecimal() and high.isdecimal() and int(low) <= int(high) <= MAX_SYNTHESIS_MS):
        raise Refused(f"--synthesis-ms {options.synthesis_ms}: give two whole numbers from 0 to {MAX_SYNTHESIS_MS}, LOW:HIGH")
    faults = _faults(options.faults, CHATTERBOX)

    from adapters.standin.chatterbox.server import run_chatterbox

    span_ms = (int(low), int(high))
    # of these servers OpenAI's alone knows keys
    key = os.environ.get(STAND_IN_KEY_VARIABLE) if options.dialect == "openai" else None
    more = {"dialect": options.dialect, "faults": faults, "key": key, "without": options.without, "orders": orders}
    run_chatterbox(options.port, synthesis_ms=span_ms, log=options.log, **more)
    return 0
