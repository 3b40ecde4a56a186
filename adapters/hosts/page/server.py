"""The page's server: who may come in, the page itself, and two sockets, one that talks and one that watches.

It is reached on loopback alone, by a name of this machine, and with the token that stands in its address. A page of elsewhere can send a
browser here, so `Host` and `Origin` must be its own.
"""

import hmac
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import partial

import anyio
import attrs
from anyio import to_thread
from starlette.applications import Starlette
from starlette.requests import HTTPConnection, Request
from starlette.responses import FileResponse, HTMLResponse, PlainTextResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from adapters.hosts.channel import StarletteChannel
from adapters.hosts.page.broadcast import Place
from adapters.hosts.page.question import answer
from adapters.hosts.page.talk import Busy, Talk
from adapters.hosts.phone.calls import Refused
from adapters.hosts.phone.door import Door
from adapters.seam.channel import ChannelClosed
from adapters.telling.folder import PAGE, TRACE
from adapters.telling.page.html import live_page, worklet

WATCHERS = 8
"""How many may watch at a time."""
BATCH_S = 0.04
"""How often those who watch are told: as fast as eyes see."""
LONGEST_QUESTION = 64_000_000
"""The longest trace that is looked at, in bytes: a day of a call."""
SEND_S = 10.0
"""How long a page may take to take what it is sent."""
NORMAL, POLICY_VIOLATION, TRY_LATER = 1000, 1008, 1013
MAX_REASON_BYTES = 120
"""The longest reason that a close can carry is 123 bytes."""
HEADERS = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


@attrs.define(kw_only=True, eq=False)
class PageServer:
    """The page of `talk`; the token is shown nowhere but in its address."""

    talk: Talk
    token: str = attrs.field(factory=lambda: secrets.token_urlsafe(16), repr=False)
    port: int = attrs.field(default=0, init=False)
    """Where it is served."""
    _watchers: int = attrs.field(default=0, init=False)

    def app(self) -> Starlette:
        """The application."""
        return Starlette(
            routes=[
                Route("/{token}/", self.page),
                Route("/{token}/line.js", self.line),
                Route("/{token}/call.html", partial(self.left, PAGE, "text/html")),
                Route("/{token}/call.trace", partial(self.left, TRACE, "text/plain")),
                Route("/{token}/future", self.future, methods=["POST"]),
                WebSocketRoute("/{token}/talk", self.talks),
                WebSocketRoute("/{token}/watch", self.watch),
            ]
        )

    async def page(self, request: Request) -> Response:
        """The page."""
        return self._refusal(request) or HTMLResponse(live_page(request.url.netloc), headers=HEADERS)

    async def line(self, request: Request) -> Response:
        """What runs in the page's own sound thread."""
        return self._refusal(request) or Response(worklet(), media_type="text/javascript", headers=HEADERS)

    async def left(self, name: str, kind: str, request: Request) -> Response:
        """A file of the last call."""
        refusal = self._refusal(request)
        if refusal is not None:
            return refusal
        if self.talk.last is None:
            return _plain("no call is over yet", 404)
        return FileResponse(self.talk.last / name, media_type=kind, headers=HEADERS)

    async def future(self, request: Request) -> Response:
        """What a trace tells, as it was or with something changed (`question.py`)."""
        refusal = self._refusal(request)
        if refusal is not None:
            return refusal
        body = bytearray()
        async for part in request.stream():
            body += part
            if len(body) > LONGEST_QUESTION:
                return _plain(f"it is longer than {LONGEST_QUESTION:,} bytes; open a shorter trace", 413)
        try:
            # A long call takes a second, and others have a call to hold meanwhile.
            told = await to_thread.run_sync(answer, bytes(body))
        except ValueError as error:
            return _plain(str(error), 422)
        return Response(told, media_type="application/json", headers=HEADERS)

    async def talks(self, websocket: WebSocket) -> None:
        """A page talks: a call from here to its end."""
        if self._stranger(websocket):
            await websocket.close(POLICY_VIOLATION)
            return
        await websocket.accept()
        try:
            await _close(websocket, NORMAL, await self.talk.hold(StarletteChannel(websocket)))
        except Busy as busy:
            await _close(websocket, TRY_LATER, str(busy))
        except OSError as error:
            await _close(websocket, TRY_LATER, f"the call's folder can't be written: {error.strerror}")

    async def watch(self, websocket: WebSocket) -> None:
        """A page watches, from the beginning of the call on."""
        if self._stranger(websocket):
            await websocket.close(POLICY_VIOLATION)
            return
        await websocket.accept()
        if self._watchers >= WATCHERS:
            await _close(websocket, TRY_LATER, f"{WATCHERS} tabs watch already; close one")
            return
        self._watchers += 1
        try:
            async with anyio.create_task_group() as group:
                group.start_soon(self._leave, StarletteChannel(websocket), group.cancel_scope)
                await self._show(StarletteChannel(websocket))
                group.cancel_scope.cancel()
        finally:
            self._watchers -= 1
            await _close(websocket, TRY_LATER, "the page did not take what it was sent")

    @staticmethod
    async def _leave(channel: StarletteChannel, scope: anyio.CancelScope) -> None:
        """Whoever watches has nothing to say: what comes is dropped, until they go."""
        with suppress(ChannelClosed):
            while True:
                await channel.receive()
        scope.cancel()

    async def _show(self, channel: StarletteChannel) -> None:
        """Send the news until the page takes no more."""
        place, broadcast = Place(), self.talk.broadcast
        with suppress(ChannelClosed, TimeoutError):
            while True:
                news = broadcast.news
                message = broadcast.message(place)
                if message is None:
                    await news.wait()
                else:
                    with anyio.fail_after(SEND_S):
                        await channel.send(message)
                await anyio.sleep(BATCH_S)

    def _refusal(self, request: Request) -> Response | None:
        words = self._stranger(request)
        return _plain(words, 404) if words else None

    def _stranger(self, connection: HTTPConnection) -> str:
        """Why somebody is not let in, in words; empty for who may come in."""
        hosts = [f"{name}:{self.port}" for name in ("127.0.0.1", "localhost", "[::1]")]
        host, origin = connection.headers.get("Host", ""), connection.headers.get("Origin")
        if host not in hosts:
            return "the page is for this machine alone, by the name of localhost"
        if (isinstance(connection, WebSocket) or origin is not None) and origin != f"http://{host}":
            return "no page of elsewhere is let in"
        if not hmac.compare_digest(connection.path_params["token"].encode(errors="surrogatepass"), self.token.encode()):
            return "that is not the page's address; take the one that `callfsm page` shows"
        return ""


@asynccontextmanager
async def served(talk: Talk, port: int) -> AsyncIterator[str]:
    """Serve the page while the block lasts, and give its address; a port of 0 is a free one. Raises OSError."""
    server = PageServer(talk=talk)
    door = Door(server.app(), "127.0.0.1", port, 4 * WATCHERS, note=_quiet)
    server.port = door.listener.getsockname()[1]
    with door.listener:
        async with anyio.create_task_group() as group:
            group.start_soon(door.serve, [door.listener])
            try:
                yield f"{door.url}/{server.token}/"
            finally:
                door.should_exit = True


def _plain(words: str, status: int) -> Response:
    return PlainTextResponse(f"{words}\n", status, HEADERS)


def _quiet(_: Refused, __: str) -> None:
    """Who is sent away is told so, and nobody else."""


async def _close(websocket: WebSocket, code: int, words: str) -> None:
    with suppress(WebSocketDisconnect, RuntimeError):
        await websocket.close(code, words.encode()[:MAX_REASON_BYTES].decode(errors="ignore"))
