"""A strict stand-in for a speech server, on 127.0.0.1 and in a process of its own; nothing of the project's core in here.

It is one of `adapters.standin.chatterbox.dialects`. The seed contract: POST /v1/tts {"text", "session_id"?, "synthesis_ms"?} answers a
whole WAV (24 kHz, mono, 16 bits) once the sentence is synthesised, or 204 when it was cancelled; POST /cancel/<session_id> says whether
it came in time, and is remembered for 2 s, since a cancel may overtake its POST. A script of faults makes it fail on purpose.
"""

import signal
import socket
import threading
from collections.abc import AsyncIterator, Iterable
from contextlib import ExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from adapters.standin.chatterbox.dialects import DEFAULTS, DIALECTS, MAX_SYNTHESIS_MS, Refusal
from adapters.standin.chatterbox.faults import CHATTERBOX
from adapters.standin.chatterbox.lacks import told
from adapters.standin.chatterbox.service import Service
from adapters.standin.faults import Script
from adapters.standin.orders import Orders
from adapters.standin.voice import Voice


def run_chatterbox(
    port: int,
    *,
    synthesis_ms: tuple[int, int] = (0, 0),
    log: Path | None = None,
    dialect: str = "seed",
    faults: Script | None = None,
    key: str | None = None,
    without: Iterable[str] = (),
    orders: Orders | None = None,
) -> None:
    """Serve until SIGTERM or SIGINT; prints the one line `ready http://127.0.0.1:PORT` once it listens.

    `port` 0 takes a free one. A synthesis lasts at least as long as a number within `synthesis_ms` that its text alone
    decides; one runs at a time, the others queue, as on a GPU. `log` gets one JSON line for whatever
    happens to a request, never its text. `without` names LACKS, `orders` are faults that come while it runs. With a `key` every request
    needs it (`Authorization: Bearer`).
    OSError when the port is taken, ValueError for a bad setting; main thread only.
    """
    if not 0 <= synthesis_ms[0] <= synthesis_ms[1] <= MAX_SYNTHESIS_MS:
        raise ValueError(f"synthesis_ms is {synthesis_ms!r}: it takes two numbers from 0 to {MAX_SYNTHESIS_MS}, the lower one first")
    if dialect not in DIALECTS:
        raise ValueError(f"dialect is {dialect!r}: it takes one of {', '.join(DIALECTS)}")
    with ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", port)))
        lines = stack.enter_context(log.open("a", encoding="utf-8", buffering=1)) if log else None
        script = faults or Script(CHATTERBOX)
        server = Service(Voice.load(), DIALECTS[dialect], script, key, synthesis_ms, 1, lines, frozenset(without))
        if orders is not None:
            orders.take = server.order
        stopped = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            # uvicorn stops at the first signal and then raises it again, for whoever had it before: us
            stack.callback(signal.signal, number, signal.signal(number, partial(_stop, stopped)))
        serve(server, listener, stopped)


def serve(server: Service, listener: socket.socket, stopped: threading.Event) -> None:
    """Serve a service of one's own, in any thread, on a socket that listens; prints `ready http://127.0.0.1:PORT` once it takes requests.

    A fault may end one spell of it, and begin the next on the same port; `stopped` keeps it from that. A signal ends it only in the
    main thread: elsewhere `Service.stop` does.
    """
    port = listener.getsockname()[1]
    _at_once(listener)
    server.ready = partial(print, f"ready http://127.0.0.1:{port}", flush=True)
    while True:
        config = uvicorn.Config(_application(server), log_level="critical", access_log=False, lifespan="on", timeout_graceful_shutdown=1)
        server.engine = uvicorn.Server(config)
        server.engine.run(sockets=[listener])
        down_s, server.down_s = server.down_s, None
        if down_s is None or stopped.wait(down_s):
            return
        listener = socket.create_server(("127.0.0.1", port))
        _at_once(listener)


def _at_once(listener: socket.socket) -> None:
    """Let every answer leave at once: a body would wait 40 ms for its header's receipt, and asyncio mends that for its own sockets only."""
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def _application(server: Service) -> Starlette:
    """The routes of the dialect, with every refusal as JSON; says once that it is ready, when it takes requests."""

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        server.begin()
        if server.ready:
            server.ready()
            server.ready = None
        async with anyio.create_task_group() as group:
            group.start_soon(server.strike_in_time)
            yield
            group.cancel_scope.cancel()

    dialect = server.dialect
    routes = [
        Route(path, partial(server.synthesise, endpoint), methods=["POST"])
        for endpoint in dialect.endpoints
        for path in (endpoint.path, *endpoint.aliases)
    ]
    gets = dict(dialect.gets)
    if dialect.described and "description" not in server.without:
        gets["/openapi.json"] = dialect.openapi()
    if "default_voice" in server.without:
        gets.pop(DEFAULTS, None)
    routes += [Route(path, partial(server.get, path, answer), methods=["GET"]) for path, answer in gets.items()]
    if dialect.cancels:
        routes.append(Route("/cancel/{session_id}", server.cancel, methods=["POST"]))
    handlers: dict[Any, Any] = {
        HTTPException: partial(_refuse, server.without),
        Refusal: partial(_refuse_in_words, server.without),
        ClientDisconnect: _nobody,
    }
    packs = [Middleware(_Packs)] if "plain_encoding" in server.without else []
    return Starlette(routes=routes, lifespan=lifespan, exception_handlers=handlers, middleware=packs)


class _Packs:
    """Packs every answer, as if its client had asked for that."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = GZipMiddleware(app, minimum_size=0)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app({**scope, "headers": [(b"accept-encoding", b"gzip"), *scope.get("headers", ())]}, receive, send)


async def _refuse(without: frozenset[str], request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    headers = {} if request.method == "OPTIONS" and "options" in without else error.headers
    return JSONResponse(told({"detail": error.detail}, without), status_code=error.status_code, headers=headers)


async def _refuse_in_words(without: frozenset[str], _: Request, error: Exception) -> Response:
    assert isinstance(error, Refusal)
    return JSONResponse(told(error.body, without), status_code=error.status)


async def _nobody(_: Request, __: Exception) -> Response:
    """The client went while it sent its body: there is nobody to answer."""
    return Response(status_code=400)


def _stop(stopped: threading.Event, _: int, __: object) -> None:
    """A signal came, or came back from uvicorn."""
    stopped.set()
