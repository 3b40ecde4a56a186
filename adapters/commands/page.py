"""`callfsm page`: a page on this machine to talk to an agent with one's own voice, and to watch the call while it goes on."""

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adapters.commands import output
from adapters.commands.agent import add_agent, chosen, list_policy, with_stand_ins
from adapters.commands.common import command, refuse_port, refuse_unwritable, refusing
from adapters.commands.extras import need

if TYPE_CHECKING:
    from adapters.hosts.ending import Ending


def add(commands: Any) -> None:
    """Declare the command."""
    text = "talk to an agent in a browser and watch the call while it goes on; without options to the stand-in, on this machine"
    parser = command(commands, "page", _page, text, "callfsm page --realtime wss://api.openai.com/v1/realtime")
    parser.add_argument("--port", type=int, default=0, help="the port on 127.0.0.1 (default: a free one)")
    parser.add_argument(
        "--out", type=Path, default=Path("calls"), metavar="FOLDER", help="each call leaves a folder in there (default: calls)"
    )
    parser.add_argument("--open", action="store_true", help="open the page in the browser of this machine")
    add_agent(parser, voice="realtime")


def _page(options: argparse.Namespace) -> int:
    if "help" in options.set:
        return list_policy()
    need("callfsm page", "serve", *(["stand-in"] if with_stand_ins(options) else []))
    import anyio

    from adapters.hosts.ending import Ending, FirmLoop

    refuse_port("--port", options.port)
    refuse_unwritable("--out", options.out)
    agent = chosen(options).served("pcm")
    end = Ending()
    with refusing("another --port"), end:
        return anyio.run(_serve, agent, options, end, backend_options={"loop_factory": FirmLoop})


def _has_screen() -> bool:
    """Can a browser be shown? Elsewhere Python would begin one of those that take the terminal."""
    return sys.platform in ("darwin", "win32") or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


async def _serve(agent: Any, options: argparse.Namespace, end: "Ending") -> int:
    """Serve the page until SIGTERM or Ctrl-C; gives the exit code."""
    import webbrowser

    from adapters.hosts.embedded import StandIn
    from adapters.hosts.page.server import PageServer, served
    from adapters.hosts.page.talk import Talk
    from adapters.hosts.phone.service import checked

    stand_ins: dict[str, StandIn] = {}
    async with checked(agent, stand_ins) as found:
        talk = Talk(agent=found, out=options.out, console=output.console())
        async with served(PageServer(source=talk.stage, talk=talk, stand_ins=stand_ins), options.port) as url:
            with end.listening():
                output.announce(f"ready {url}")
                if options.open and _has_screen():
                    webbrowser.open(url)
                await end.told()
    return 0
