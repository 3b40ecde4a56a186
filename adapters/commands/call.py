"""`callfsm call`: one live call, between a caller at a microphone, on a WAV file or the demonstration's and real or stand-in servers."""

import argparse
import os
import signal
import time
from pathlib import Path
from typing import Any

import attrs

from adapters.commands.common import Refused, command, settings
from fsm.call.policy import Policy

KEY_VARIABLE = "CALLFSM_REALTIME_KEY"
"""The environment variable with the realtime server's key, else OPENAI_API_KEY is read; never an argument, as those are public."""

SPEECH_KEY_VARIABLE = "CALLFSM_CHATTERBOX_KEY"
"""The environment variable with the Chatterbox server's key, where it demands one."""


def add(commands: Any) -> None:
    """Declare the command."""
    text = "hold a call; without options between a caller who speaks and stand-in servers, all on this machine"
    parser = command(
        commands, "call", _call, text, "callfsm call --voice realtime --realtime wss://api.openai.com/v1/realtime --caller me.wav"
    )
    parser.add_argument("--out", type=Path, help="the folder for call.wav, call.trace, call.svg and summary.txt (default: calls/DATE-TIME)")
    parser.add_argument(
        "--caller", type=Path, metavar="WAV", help="what the caller says (default: a caller who greets, asks and interrupts)"
    )
    parser.add_argument(
        "--realtime",
        metavar="URL",
        help=f"a realtime LLM (ws:// or wss://), its key in {KEY_VARIABLE} or OPENAI_API_KEY (default: the stand-in)",
    )
    parser.add_argument("--chatterbox", metavar="URL", help="a Chatterbox server (http:// or https://; default: the stand-in)")
    parser.add_argument("--voice", choices=("chatterbox", "realtime"), default="chatterbox", help="who speaks (default: chatterbox)")
    parser.add_argument(
        "--interrupts", choices=("client", "server"), default="client", help="who cancels an interrupted response (default: client)"
    )
    parser.add_argument("--model", help="the realtime model's name")
    parser.add_argument("--instructions", metavar="TEXT", help="the model's instructions")
    parser.add_argument("--greeting", metavar="TEXT", help="the instructions for the greeting")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a field of the policy, e.g. interruption_min_ms=300; `--set help` lists them",
    )
    parser.add_argument("--backend", choices=("asyncio", "trio"), default="asyncio", help="the event loop (default: asyncio)")
    parser.add_argument("--tools", type=Path, metavar="FILE", help="a Python file with a `Tools()` whose functions the model may call")
    _add_speech(parser)
    _add_sound(parser)


def _add_speech(parser: argparse.ArgumentParser) -> None:
    """The options for the Chatterbox server."""
    parser.add_argument(
        "--chatterbox-dialect", default="auto", metavar="NAME", help="seed, travisvn, devnen, openai or auto: found out by asking (default)"
    )
    parser.add_argument("--chatterbox-voice", default="", metavar="NAME", help="the voice, as the server names it (default: the server's)")
    parser.add_argument("--chatterbox-model", default="", metavar="NAME", help="the model, where the server has several")
    parser.add_argument("--chatterbox-fallback", metavar="URL", help="a second Chatterbox server, which speaks while the first does not")


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
    import anyio
    from rich.console import Console

    from adapters import live
    from adapters.realtime.settings import RealtimeSettings

    if "help" in options.set:
        return _list_policy()
    if options.microphone and not (options.device or options.player):
        raise Refused("--microphone needs a loudspeaker too: give --device NAME or --player aplay")
    policy = _policy(options)
    tools = _tools(options, policy)
    chosen = {
        "model": options.model,
        "instructions": options.instructions,
        "greeting": options.greeting,
        "tools": tools and tools.declarations,
    }
    try:
        model = RealtimeSettings(**{name: value for name, value in chosen.items() if value is not None})
    except ValueError as error:
        raise Refused(f"{error}; correct the option of that name") from None
    key = os.environ.get(KEY_VARIABLE) or os.environ.get("OPENAI_API_KEY") if options.realtime else None
    if options.realtime and options.realtime.lower().startswith("wss://") and not key:
        raise Refused(f"no key: set {KEY_VARIABLE} (or OPENAI_API_KEY) in the environment for {options.realtime}")
    plan = live.Plan(
        policy=policy,
        settings=model,
        out=options.out or Path("calls") / time.strftime("%Y%m%d-%H%M%S"),
        realtime_url=options.realtime,
        key=key,
        speech=_speech(options, options.chatterbox),
        fallback=_speech(options, options.chatterbox_fallback),
        tools=tools,
        caller=options.caller,
        device=options.device,
        microphone=options.microphone,
        player=options.player,
        vad=options.vad,
    )
    console, began_s = Console(), time.time()
    try:
        return anyio.run(_hold_until_told, plan, console, backend=options.backend)
    finally:
        _show_folder(console, plan.out, began_s)


def _speech(options: argparse.Namespace, url: str | None) -> Any:
    """The Chatterbox server at a URL, None for none."""
    from adapters.chatterbox.servers import Server

    if url is None:
        return None
    how = {"dialect": options.chatterbox_dialect, "voice": options.chatterbox_voice, "model": options.chatterbox_model}
    try:
        return Server(url=url, key=os.environ.get(SPEECH_KEY_VARIABLE) or None, **how)
    except ValueError as error:
        raise Refused(str(error)) from None


def _tools(options: argparse.Namespace, policy: Policy) -> Any:
    """The tools of a file, None for none."""
    from adapters.tools import load

    if options.tools is None:
        return None
    try:
        return load(options.tools, policy.tool_ms / 1000)
    except (ValueError, OSError) as error:
        raise Refused(f"--tools {options.tools}: {error}") from None


async def _hold_until_told(plan: Any, console: Any) -> int:
    """Hold the call; Ctrl-C and SIGTERM hang up. Gives the exit code."""
    import anyio

    from adapters import live

    told: list[int] = []
    refusal = ""
    async with anyio.create_task_group() as group:
        await group.start(_listen_for_signals, group.cancel_scope, told)
        try:
            await live.hold_call(plan, console)
        except live.CannotStart as error:
            refusal = str(error)
        group.cancel_scope.cancel()
    if refusal:
        raise Refused(refusal)
    return 128 + told[0] if told else 0


async def _listen_for_signals(scope: Any, told: list[int], *, task_status: Any) -> None:
    """Cancel at the first signal; a second one meets Python's own handler, and ends everything at once."""
    import anyio

    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        task_status.started()
        async for number in signals:
            told.append(number)
            scope.cancel()
            return


def _policy(options: argparse.Namespace) -> Policy:
    """The policy of the options; `--set` wins."""
    try:
        ours = {} if options.vad == "server" else {"turns": "local", "interruption_by": "detector"}
        return Policy(**{"voice": options.voice, "interrupts": options.interrupts, **ours, **settings(options.set)})
    except ValueError as error:
        raise Refused(f"{error}; correct the option or the --set of that name") from None


def _list_policy() -> int:
    for field in attrs.fields(Policy):
        print(f"{field.name}={field.default}")
    return 0


def _show_folder(console: Any, out: Path, began_s: float) -> None:
    """Show what the call left, unless that is an older one's."""
    summary = out / "summary.txt"
    if summary.exists() and summary.stat().st_mtime >= began_s:
        console.print()
        console.print(summary.read_text(encoding="utf-8"), highlight=False, markup=False, soft_wrap=True)
        console.print(f"{out}: " + ", ".join(sorted(file.name for file in out.iterdir())), highlight=False, soft_wrap=True)
