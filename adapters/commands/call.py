"""`callfsm call`: one live call, between a caller at a microphone, on a WAV file or the demonstration's and real or stand-in servers."""

import argparse
import os
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adapters.commands import output
from adapters.commands.agent import add_agent, chosen, list_policy, with_stand_ins
from adapters.commands.common import Refused, add_page, command, refuse_port, refuse_used
from adapters.commands.extras import need
from adapters.telling.steps import DUE_ENDS

if TYPE_CHECKING:
    from adapters.hosts.embedded import StandIn
    from adapters.hosts.ending import Ending
    from adapters.hosts.page.broadcast import Stage


def add(commands: Any) -> None:
    """Declare the command."""
    text = "hold a call; without options between a caller who speaks and stand-in servers, all on this machine"
    parser = command(
        commands, "call", _call, text, "callfsm call --voice realtime --realtime wss://api.openai.com/v1/realtime --caller me.wav"
    )
    parser.add_argument(
        "--out", type=Path, help="the folder for call.wav, call.trace, call.svg and summary.txt (default: calls/DATE-TIME-PID)"
    )
    parser.add_argument(
        "--caller", type=Path, metavar="WAV", help="what the caller says (default: a caller who greets, asks and interrupts)"
    )
    parser.add_argument("--backend", choices=("asyncio", "trio"), default="asyncio", help="the event loop (default: asyncio)")
    add_page(parser, "the call while it goes on")
    add_agent(parser, voice="chatterbox")
    _add_sound(parser)


def _add_sound(parser: argparse.ArgumentParser) -> None:
    """The options for real sound."""
    parser.add_argument(
        "--device", metavar="NAME", help="hold the call on this sound device: a name or number of `callfsm devices`, or `default`"
    )
    parser.add_argument("--microphone", metavar="NAME", help="hear the caller on this one (default: that of --device)")
    parser.add_argument("--player", choices=("aplay", "ffplay"), help="play the agent's voice through this program instead")
    parser.add_argument(
        "--vad",
        choices=("server", "local", "key"),
        default="server",
        help="who hears the caller: the server's VAD, a detector of our own, or the Enter key on standard input (default: server)",
    )


def _call(options: argparse.Namespace) -> int:
    if "help" in options.set:
        return list_policy()
    sounds = options.device or options.microphone or options.vad == "local"
    stands_in = with_stand_ins(options) or not (options.caller or options.device or options.microphone)
    need("callfsm call", "call", *(["sound"] if sounds else []), *(["stand-in"] if stands_in else []))
    if options.page is not None:
        _can_show(options)
    import anyio

    from adapters.hosts.ending import Ending, FirmLoop
    from adapters.hosts.terminal import live

    if options.microphone and not (options.device or options.player):
        raise Refused("--microphone needs a loudspeaker too: give --device NAME or --player aplay")
    if options.out:
        refuse_used("--out", options.out, "call.wav", "call.trace")
    ours = {} if options.vad == "server" else {"turns": "local", "interruption_by": "detector"}
    agent = chosen(options, **ours)
    plan = live.Plan(
        policy=agent.policy,
        chained=agent.chained,
        settings=agent.settings,
        out=options.out or Path("calls") / f"{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}",
        realtime_url=agent.realtime_url,
        key=agent.key,
        voice=agent.voice,
        tools=agent.tools,
        caller=options.caller,
        device=options.device,
        microphone=options.microphone,
        player=options.player,
        vad=options.vad,
    )
    console, began_s = output.console(), time.time()
    try:
        with Ending() as end:
            firm = {"loop_factory": FirmLoop} if options.backend == "asyncio" else {}
            return anyio.run(_hold_until_told, plan, console, end, options.page, backend=options.backend, backend_options=firm)
    finally:
        _show_folder(console, plan.out, began_s)


def _can_show(options: argparse.Namespace) -> None:
    """Raise Refused where there can be no page."""
    need("callfsm call --page", "serve")
    refuse_port("--page", options.page)
    if options.backend == "trio":
        raise Refused("--page: its server runs on asyncio alone; leave --backend out")


async def _hold_until_told(plan: Any, console: Any, end: "Ending", page: int | None) -> int:
    """Hold the call; Ctrl-C, SIGTERM and SIGHUP hang up. Gives the exit code."""
    import anyio

    from adapters.hosts.terminal import live

    told: list[int] = []
    refusal, reason = "", None

    async def hang_up() -> None:
        told.append(await end.told())
        group.cancel_scope.cancel()

    with end.listening():
        started: dict[str, StandIn] = {}
        async with _shown(plan, page, started) as stage, anyio.create_task_group() as group:
            group.start_soon(hang_up)
            try:
                reason = await live.hold_call(plan, console, stage, started)
            except live.CannotStart as error:
                refusal = str(error)
            group.cancel_scope.cancel()
    if refusal:
        raise Refused(refusal)
    code = 128 + told[0] if told else int(reason not in DUE_ENDS)
    end.must_end(code)
    return code


@asynccontextmanager
async def _shown(plan: Any, port: int | None, started: "dict[str, StandIn]") -> AsyncIterator["Stage | None"]:
    """Where the call is shown while the block lasts, with the faults of the stand-ins that are `started`; nowhere without a port.

    Raises Refused for one that cannot be had.
    """
    if port is None:
        yield None
        return
    from adapters.hosts.page.broadcast import Stage
    from adapters.hosts.page.server import PageServer, served
    from fsm.call.snapshot import start

    stage = Stage(start(plan.policy, "no call yet"))
    async with AsyncExitStack() as stack:
        try:
            url = await stack.enter_async_context(served(PageServer(source=stage, stand_ins=started), port))
        except OSError as error:
            raise Refused(f"--page {port}: {error.strerror}; give another port") from None
        output.announce(f"page {url}")
        yield stage


def _show_folder(console: Any, out: Path, began_s: float) -> None:
    """Show what the call left, unless that is an older one's."""
    summary = out / "summary.txt"
    if os.path.lexists(summary) and summary.stat().st_mtime >= began_s:
        console.print()
        console.print(summary.read_text(encoding="utf-8"))
        console.print(f"{out}: " + ", ".join(sorted(file.name for file in out.iterdir())))
