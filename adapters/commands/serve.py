"""`callfsm serve`: a server that answers telephone calls from Twilio, many at a time."""

import argparse
import gc
import ipaddress
import os
import signal
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from adapters.commands.call import KEY_VARIABLE
from adapters.commands.common import Refused, command, settings
from adapters.commands.dial import ACCOUNT_VARIABLE, TOKEN_VARIABLE
from fsm.call.policy import Policy

STAND_IN = "stand-in"


def add(commands: Any) -> None:
    """Declare the command."""
    text = "answer telephone calls from Twilio, many at a time; without options with a stand-in LLM, for `callfsm dial` on this machine"
    example = f"{TOKEN_VARIABLE}=… callfsm serve --public-url https://phone.example.com --realtime wss://api.openai.com/v1/realtime"
    parser = command(commands, "serve", _serve, text, example)
    parser.add_argument("--host", default="127.0.0.1", help="the address to listen on (default: 127.0.0.1)")
    parser.add_argument("--port", type=int, default=8080, help="the port for Twilio; 0: any (default: 8080)")
    parser.add_argument("--public-url", default="", metavar="URL", help="where Twilio finds this server, e.g. https://phone.example.com")
    parser.add_argument(
        "--realtime", default=STAND_IN, metavar="URL", help=f"a realtime LLM, its key in {KEY_VARIABLE} (default: stand-in)"
    )
    parser.add_argument("--chatterbox", default=STAND_IN, metavar="URL", help="a Chatterbox server (default: stand-in)")
    parser.add_argument("--voice", choices=("chatterbox", "realtime"), default="realtime", help="who speaks (default: realtime)")
    parser.add_argument(
        "--interrupts", choices=("client", "server"), default="client", help="who cancels an interrupted response (default: client)"
    )
    parser.add_argument("--model", help="the realtime model's name")
    parser.add_argument("--instructions", metavar="TEXT", help="the model's instructions")
    parser.add_argument("--greeting", metavar="TEXT", help="the instructions for the greeting")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="a field of the policy, as for `callfsm call`")
    parser.add_argument("--max-calls", type=int, default=20, metavar="N", help="more callers than this hear a busy tone (default: 20)")
    parser.add_argument("--drain-s", type=float, default=30.0, metavar="S", help="how long calls may go on after SIGTERM (default: 30)")
    parser.add_argument("--traces", type=Path, metavar="FOLDER", help="keep a trace of each call there; traces hold what was said")
    parser.add_argument("--twilio-api", metavar="URL", help="the root of Twilio's REST interface (default: https://api.twilio.com)")
    parser.add_argument("--metrics-host", default="127.0.0.1", metavar="HOST", help="where /metrics listens (default: 127.0.0.1)")
    parser.add_argument("--metrics-port", type=int, default=8081, metavar="PORT", help="its port; 0: any (default: 8081)")
    parser.add_argument("--count-rows", action="store_true", help="count in /metrics each row of the tables that is taken: some 1,400")


def _serve(options: argparse.Namespace) -> int:
    import anyio
    from prometheus_client import disable_created_metrics

    from adapters.embedded import StandInError
    from adapters.phone import service as phone_service
    from adapters.phone.log import logging_to
    from adapters.realtime.settings import RealtimeSettings
    from adapters.realtime.websocket import WebSocketError

    plan = _plan(options)
    realtime, chatterbox = (None if url == STAND_IN else url for url in (options.realtime, options.chatterbox))
    key = os.environ.get(KEY_VARIABLE) or os.environ.get("OPENAI_API_KEY") if realtime else None
    if realtime and realtime.lower().startswith("wss://") and not key:
        raise Refused(f"no key: set {KEY_VARIABLE} (or OPENAI_API_KEY) in the environment for {realtime}")
    chosen = {"model": options.model, "instructions": options.instructions, "greeting": options.greeting}
    try:
        policy = Policy(**{"voice": options.voice, "interrupts": options.interrupts, **settings(options.set)})
        model = RealtimeSettings(**{name: value for name, value in chosen.items() if value is not None})
    except ValueError as error:
        raise Refused(f"{error}; correct the option or the --set of that name") from None
    disable_created_metrics()  # type: ignore[no-untyped-call]

    async def serve() -> int:
        async with (
            phone_service.served_agent(policy, model, realtime, key, chatterbox) as agent,
            phone_service.serving(plan, agent) as server,
        ):
            # What is loaded now stays: the collector need not go through it in mid-call, which takes it some 20 ms.
            gc.collect()
            gc.freeze()
            _say_so(plan, server)
            return await _until_told(server, options.drain_s)

    refusal = ""
    try:
        with logging_to():
            return anyio.run(serve)
    except* (StandInError, WebSocketError, ValueError) as group:
        refusal = str(_first(group))
    except* OSError as group:
        refusal = _os_words(_first(group))
    raise Refused(refusal)


def _say_so(plan: Any, server: Any) -> None:
    """Say what a person at a terminal must know; the log goes to standard error."""
    if plan.token is None:
        print(f"{TOKEN_VARIABLE} is not set: nothing is checked, so calls are taken from this machine alone", flush=True)
    print(f"metrics {server.metrics_url}/metrics", flush=True)
    print(f"ready {plan.public_url or server.url}/voice", flush=True)


async def _until_told(server: Any, drain_s: float) -> int:
    """Serve until SIGTERM or Ctrl-C, then drain; a second signal ends everything at once. Gives the exit code."""
    import anyio

    told: list[int] = []

    async def drain() -> None:
        await server.drain(drain_s)
        tasks.cancel_scope.cancel()

    with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async with anyio.create_task_group() as tasks:
            async for number in signals:
                told.append(number)
                if len(told) == 2:
                    tasks.cancel_scope.cancel()
                    break
                tasks.start_soon(drain)
    return 0 if len(told) == 1 else 128 + told[-1]


def _plan(options: argparse.Namespace) -> Any:
    """What to serve, checked. Raises Refused."""
    from adapters.phone.rest import API
    from adapters.phone.service import Listeners, Plan

    for name, value, low, high in (
        ("--port", options.port, 0, 65_535),
        ("--metrics-port", options.metrics_port, 0, 65_535),
        ("--max-calls", options.max_calls, 1, 1_000),
        ("--drain-s", options.drain_s, 0, 3_600),
    ):
        if not low <= value <= high:
            raise Refused(f"{name} {value:g}: it takes a number from {low} to {high:,}")
    token = os.environ.get(TOKEN_VARIABLE) or None
    public_url = _public_url(options.public_url)
    reached = urlsplit(public_url).hostname or options.host
    if token is None and not (_is_loopback(options.host) and _is_loopback(reached)):
        raise Refused(f"{TOKEN_VARIABLE} is not set, so anybody could call: set it, or serve on 127.0.0.1 without --public-url")
    if not public_url and not _is_loopback(options.host):
        raise Refused("--public-url: give the address at which Twilio finds this server, e.g. https://phone.example.com")
    return Plan(
        listeners=Listeners(host=options.host, port=options.port, metrics_host=options.metrics_host, metrics_port=options.metrics_port),
        public_url=public_url,
        token=token,
        account=os.environ.get(ACCOUNT_VARIABLE) or None,
        api=options.twilio_api or API,
        max_calls=options.max_calls,
        traces=options.traces,
        rows=options.count_rows,
    )


def _public_url(given: str) -> str:
    """The public URL, without a slash at its end; empty for none. Raises Refused."""
    parts = urlsplit(given)
    secure = parts.scheme == "https" or (parts.scheme == "http" and _is_loopback(parts.hostname or ""))
    if given and (not secure or not parts.hostname or parts.query or parts.fragment):
        raise Refused(f"--public-url {given}: give one like https://phone.example.com; Twilio streams over TLS alone")
    return given.rstrip("/")


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _os_words(error: BaseException) -> str:
    """What is wrong with a port or a folder; a server that is not there says so itself."""
    if isinstance(error, OSError) and error.filename:
        return f"{error.filename}: {error.strerror}; give another place"
    return str(error)


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The first error of a group, however deep it lies."""
    error = group.exceptions[0]
    return _first(error) if isinstance(error, BaseExceptionGroup) else error
