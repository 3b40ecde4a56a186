"""`callfsm serve`: a server that answers telephone calls from Twilio, many at a time."""

import argparse
import contextlib
import gc
import ipaddress
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from adapters.commands.agent import add_agent, chosen, list_policy, voice_of, with_stand_ins
from adapters.commands.common import Refused, add_page, command, refuse_port, refuse_unwritable, refusing
from adapters.commands.dial import ACCOUNT_VARIABLE, TOKEN_VARIABLE
from adapters.commands.extras import need
from adapters.commands.output import announce

if TYPE_CHECKING:
    from adapters.hosts.ending import Ending
    from adapters.hosts.page.fleet import Fleet

CLUSTER_VARIABLE = "CALLFSM_CLUSTER"
OTHERS = "another --host and --port, --metrics-host and --metrics-port, --page or --traces"
MAX_GAP = 500
"""The longest `--gap`; Twilio says some thousand characters, but nobody listens to so many."""


def add(commands: Any) -> None:
    """Declare the command."""
    text = "answer telephone calls from Twilio, many at a time; without options with a stand-in LLM, for `callfsm dial` on this machine"
    example = f"{TOKEN_VARIABLE}=… callfsm serve --public-url https://phone.example.com --realtime wss://api.openai.com/v1/realtime"
    parser = command(commands, "serve", _serve, text, example)
    parser.add_argument("--host", default="127.0.0.1", help="the address to listen on (default: 127.0.0.1)")
    parser.add_argument("--port", type=int, default=8080, help="the port for Twilio; 0: any (default: 8080)")
    parser.add_argument("--public-url", default="", metavar="URL", help="where Twilio finds this server, e.g. https://phone.example.com")
    add_agent(parser, voice="realtime")
    parser.add_argument(
        "--line-sound",
        choices=("auto", "pcmu", "pcm"),
        default="auto",
        help="how sound goes to the realtime LLM and back: pcmu, the line's own (G.711), or pcm, 24 kHz; auto: pcmu where OpenAI's server, "
        "or one that shows it, takes it (default: auto)",
    )
    parser.add_argument("--max-calls", type=int, default=20, metavar="N", help="more callers than this hear a busy tone (default: 20)")
    parser.add_argument("--drain-s", type=float, default=30.0, metavar="S", help="how long calls may go on after SIGTERM (default: 30)")
    parser.add_argument("--traces", type=Path, metavar="FOLDER", help="keep a trace of each call there; traces hold what was said")
    parser.add_argument("--twilio-api", metavar="URL", help="the root of Twilio's REST interface (default: https://api.twilio.com)")
    parser.add_argument("--metrics-host", default="127.0.0.1", metavar="HOST", help="where /metrics listens (default: 127.0.0.1)")
    parser.add_argument("--metrics-port", type=int, default=8081, metavar="PORT", help="its port; 0: any (default: 8081)")
    add_page(parser, "all calls, and each while it goes on,")
    parser.add_argument("--page-words", action="store_true", help="let the page show what is said in them, too")
    parser.add_argument(
        "--cluster",
        default=os.environ.get(CLUSTER_VARIABLE, ""),
        metavar="NATS",
        help="be one machine of several that share calls by this NATS server, nats://…: a call goes on when its process dies "
        f"(default: {CLUSTER_VARIABLE}, the place for a URL with a password)",
    )
    parser.add_argument(
        "--workers", type=int, default=0, metavar="N", help="serve with N processes, over a NATS of their own unless --cluster names one"
    )
    parser.add_argument(
        "--replicas", type=int, default=1, metavar="N", help="on how many NATS servers of --cluster calls are kept: 3 of 3 (default: 1)"
    )
    parser.add_argument(
        "--gap",
        default="",
        metavar="TEXT|URL",
        help="what the caller hears when a call comes to another process: words that Twilio says, or a sound that it plays",
    )
    parser.add_argument("--listen-fd", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--count-rows", action="store_true", help="count in /metrics each row of the tables that is taken: some 1,400")


def _serve(options: argparse.Namespace) -> int:
    if "help" in options.set:
        return list_policy()
    shared = ["cluster"] if options.cluster or options.workers else []
    need("callfsm serve", "serve", *(["stand-in"] if with_stand_ins(options) else []), *shared)
    if options.workers:
        return _serve_with_workers(options)
    import anyio
    from prometheus_client import disable_created_metrics

    from adapters.hosts.ending import Ending, FirmLoop
    from adapters.hosts.phone import service as phone_service
    from adapters.hosts.phone.log import logging_to, printing_to_log

    plan, agent = _plan(options), chosen(options).served(options.line_sound)
    disable_created_metrics()  # type: ignore[no-untyped-call]

    async def serve() -> int:
        fleet = _fleet(options)
        async with (
            phone_service.checked(agent) as found,
            phone_service.serving(plan, found, fleet) as server,
            _page(options.page, fleet, server) as page,
        ):
            _tune_collector()
            _say_so(plan, server, page)
            with end.listening(), printing_to_log():
                if plan.listener is not None:
                    _end_with_parent()
                code = await _until_told(server, options.drain_s, end)
            end.must_end(code)
            return code

    end = Ending()
    with refusing(OTHERS), logging_to(), end:
        return anyio.run(serve, backend_options={"loop_factory": FirmLoop})


def _serve_with_workers(options: argparse.Namespace) -> int:
    """Serve with several processes; this one holds no call."""
    import socket

    import anyio

    from adapters.cluster.nats import embedded
    from adapters.hosts.embedded import stand_in
    from adapters.hosts.ending import Ending
    from adapters.hosts.phone.log import logging_to
    from adapters.hosts.phone.workers import Workers

    _plan(options)
    family = socket.AF_INET6 if ":" in options.host else socket.AF_INET
    ready = set[int]()

    async def serve() -> int:
        async with contextlib.AsyncExitStack() as stack:
            try:
                listener = stack.enter_context(socket.create_server((options.host, options.port), family=family, backlog=128))
            except OSError as error:
                raise OSError(error.errno, error.strerror, f"{options.host}:{options.port}") from None
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            cluster = [] if options.cluster else ["--cluster", await stack.enter_async_context(embedded())]
            far_sides: list[str] = []
            if not options.realtime:
                far_sides += ["--realtime", (await stack.enter_async_context(stand_in("realtime", "--words-per-s", "12"))).url]
            if voice_of(options) == "chatterbox" and not options.chatterbox:
                far_sides += ["--chatterbox", (await stack.enter_async_context(stand_in("chatterbox"))).url]
            host = f"[{options.host}]" if ":" in options.host else options.host
            url = options.public_url or f"http://{host}:{listener.getsockname()[1]}"

            def command(number: int) -> list[str]:
                port = options.metrics_port + number if options.metrics_port else 0
                ours = ["--workers", "0", "--listen-fd", str(listener.fileno()), "--metrics-port", str(port)]
                return [*options.given, *cluster, *far_sides, *ours]

            def told(number: int, line: str) -> None:
                if line.startswith("metrics "):
                    announce(line)
                elif line.startswith("ready ") and number not in ready:
                    ready.add(number)
                    if len(ready) == options.workers:
                        announce(f"ready {url}/voice")

            workers = Workers(command, options.workers, listener.fileno(), told)
            with end.listening():
                async with anyio.create_task_group() as tasks:

                    async def ending() -> None:
                        await end.told()
                        workers.end()
                        await end.told()
                        workers.end()

                    tasks.start_soon(ending)
                    code = await workers.run()
                    tasks.cancel_scope.cancel()
            end.must_end(code)
            return code

    end = Ending()
    with refusing(OTHERS), logging_to(), end:
        return anyio.run(serve)


def _end_with_parent() -> None:
    """End as by SIGTERM when our standard input does: whoever started us is gone."""
    import signal
    import threading

    def wait() -> None:
        # not sys.stdin, whose lock would be held when the program ends
        while os.read(0, 4_096):
            pass
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=wait, daemon=True).start()


def _tune_collector() -> None:
    """Have the collector look at the calls alone, and soon after some have ended.

    What is loaded by now stays, and going through it in mid-call takes some 20 ms. What a call leaves are rings of tasks and exceptions, of
    megabytes perhaps; Python looks for them when they are a quarter of what was there at the last look, and on every tenth occasion,
    which is after 150 calls. Every second one is after 30.
    """
    gc.collect()
    gc.freeze()
    gc.collect()
    young, middle, _ = gc.get_threshold()
    gc.set_threshold(young, middle, 2)


def _fleet(options: argparse.Namespace) -> "Fleet | None":
    """The calls for their page; None where there is none."""
    from adapters.hosts.page.fleet import Fleet

    if options.page is None:
        return None
    return Fleet(words=options.page_words)


@asynccontextmanager
async def _page(port: int | None, fleet: "Fleet | None", server: Any) -> AsyncIterator[str]:
    """Serve the page of all calls while the block lasts, and give its address; empty without a port. Raises OSError."""
    from adapters.hosts.page.server import PageServer, served

    if port is None or fleet is None:
        yield ""
        return
    fleet.calls = server.calls
    async with served(PageServer(source=fleet, fleet=fleet), port) as url:
        yield url


def _say_so(plan: Any, server: Any, page: str) -> None:
    """Say what a person at a terminal must know; the log goes to standard error."""
    if plan.token is None:
        announce(f"{TOKEN_VARIABLE} is not set: nothing is checked, so calls are taken from this machine alone")
    announce(f"metrics {server.metrics_url}/metrics")
    if page:
        announce(f"page {page}")
    announce(f"ready {plan.public_url or server.url}/voice")


async def _until_told(server: Any, drain_s: float, end: "Ending") -> int:
    """Serve until SIGTERM or Ctrl-C, then drain; a second signal ends everything at once. Gives the exit code."""
    import anyio

    await end.told()
    code = 0
    async with anyio.create_task_group() as tasks:

        async def drain() -> None:
            await server.drain(drain_s)
            tasks.cancel_scope.cancel()

        tasks.start_soon(drain)
        code = 128 + await end.told()
        tasks.cancel_scope.cancel()
    return code


def _plan(options: argparse.Namespace) -> Any:
    """What to serve, checked. Raises Refused."""
    import socket

    from adapters.hosts.phone.rest import API, root_of
    from adapters.hosts.phone.service import Listeners, Plan

    for name, value, low, high in (
        ("--port", options.port, 0, 65_535),
        ("--metrics-port", options.metrics_port, 0, 65_535),
        ("--max-calls", options.max_calls, 1, 1_000),
        ("--drain-s", options.drain_s, 0, 3_600),
        ("--workers", options.workers, 0, 64),
        ("--replicas", options.replicas, 1, 5),
    ):
        if not low <= value <= high:
            raise Refused(f"{name} {value}: it takes a number from {low} to {high:,}")
    if options.traces:
        refuse_unwritable("--traces", options.traces)
    if options.page is not None:
        refuse_port("--page", options.page)
    elif options.page_words:
        raise Refused("--page-words: there is no page to show them; give --page too")
    if options.replicas > 1 and not options.cluster:
        raise Refused("--replicas: the NATS of one machine keeps calls once; give the URL of several servers' --cluster")
    if options.gap and not (options.cluster or options.workers):
        raise Refused("--gap: there is one process, so no call comes to another; give --workers or --cluster")
    if len(options.gap) > MAX_GAP or not options.gap.isprintable():
        raise Refused(f"--gap: it takes {MAX_GAP} printable characters at most, on one line")
    with refusing("another --twilio-api"):
        root_of(options.twilio_api or API)
    token, account = _secret(TOKEN_VARIABLE), _secret(ACCOUNT_VARIABLE)
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
        account=account,
        api=options.twilio_api or API,
        max_calls=options.max_calls,
        traces=options.traces,
        rows=options.count_rows,
        cluster=options.cluster,
        replicas=options.replicas,
        gap=options.gap,
        listener=None if options.listen_fd is None else socket.socket(fileno=options.listen_fd),
    )


def _public_url(given: str) -> str:
    """The public URL, without a slash at its end; empty for none. Raises Refused."""
    if not given:
        return ""
    try:
        parts = urlsplit(given)
        secure = parts.scheme == "https" or (parts.scheme == "http" and _is_loopback(parts.hostname or ""))
        good = secure and parts.hostname and parts.port != 0 and not (parts.query or parts.fragment or parts.username)
    except ValueError:
        good = False
    if not good or not given.isascii() or not given.isprintable() or " " in given:
        raise Refused(f"--public-url {given}: give one like https://phone.example.com; Twilio streams over TLS alone")
    return given.rstrip("/")


def _secret(variable: str) -> str | None:
    """What Twilio's console shows, from the environment; None where there is nothing. Raises Refused for what cannot be it."""
    value = os.environ.get(variable)
    if value and not (value.isascii() and value.isalnum()):
        raise Refused(f"{variable} holds more than letters and digits: set it to what Twilio's console shows, without spaces")
    return value or None


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
