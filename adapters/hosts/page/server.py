"""The page's server: who may come in, the page itself, and its sockets, which talk and watch.

It is reached on loopback alone, by a name of this machine, and with the token that stands in its address. A page of elsewhere can send a
browser here, so `Host` must be a name of this machine, and `Origin` the same. From afar it is reached through `ssh -L`, on any port.
"""

import hmac
import re
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any, Protocol

import anyio
import attrs
from anyio import to_thread
from starlette.applications import Starlette
from starlette.requests import HTTPConnection, Request
from starlette.responses import FileResponse, HTMLResponse, PlainTextResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from adapters.hosts.channel import StarletteChannel
from adapters.hosts.embedded import StandIn, StandInError
from adapters.hosts.page.broadcast import Place, Shown
from adapters.hosts.page.faults import faults_of
from adapters.hosts.page.fleet import Fleet
from adapters.hosts.page.question import answer
from adapters.hosts.page.talk import Busy, Talk
from adapters.hosts.phone.calls import Refused
from adapters.hosts.phone.door import Door
from adapters.seam.channel import ChannelClosed
from adapters.telling.folder import PAGE
from adapters.telling.page.html import live_page, worklet
from adapters.telling.page.tables import tables

WATCHERS = 8
"""How many may watch at a time."""
BATCH_S = 0.04
"""How often those who watch are told: as fast as eyes see."""
FLEET_S = 1.0
"""How often those who look at all calls are."""
LAST_S = 1.0
"""How long a page may take to take the last news, when its server ends."""
LONGEST_QUESTION = 64_000_000
"""The longest trace that is looked at, in bytes: a day of a call."""
SEND_S = 10.0
"""How long a page may take to take what it is sent."""
NORMAL, POLICY_VIOLATION, TRY_LATER = 1000, 1008, 4013
"""1013 came after RFC 6455: WebKitGTK takes it for an error, and tells the page no reason."""
MAX_REASON_BYTES = 120
"""The longest reason that a close can carry is 123 bytes."""
LOCAL = re.compile(r"(127\.0\.0\.1|localhost|\[::1\])(:\d{1,5})?", re.ASCII)
"""What a browser calls this machine; the port may be that of `ssh -L`."""
HEADERS = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class Source(Protocol):
    """What is shown."""

    def shown(self, call_id: str) -> Shown | None:
        """The call of that id, or whichever there is."""


@attrs.define(kw_only=True, eq=False)
class PageServer:
    """A page that shows what `source` has; the token is shown nowhere but in its address."""

    source: Source
    talk: Talk | None = None
    """Where a page may talk, if it may."""
    fleet: Fleet | None = None
    """The calls of which there are many."""
    stand_ins: Mapping[str, StandIn] = attrs.Factory(dict)
    """The far sides on this machine, which fail when they are asked to."""
    token: str = attrs.field(factory=lambda: secrets.token_urlsafe(16), repr=False)
    _watchers: int = attrs.field(default=0, init=False)
    _ends: anyio.Event = attrs.field(factory=anyio.Event, init=False)
    _alone: anyio.Event = attrs.field(factory=anyio.Event, init=False)

    def app(self) -> Starlette:
        """The application."""
        return Starlette(
            routes=[
                Route("/{token}/", self.page),
                Route("/{token}/line.js", self.line),
                Route("/{token}/call.html", self.left),
                Route("/{token}/call.trace", self.trace),
                Route("/{token}/future", self.future, methods=["POST"]),
                Route("/{token}/fault", self.fault, methods=["POST"]),
                WebSocketRoute("/{token}/talk", self.talks),
                WebSocketRoute("/{token}/watch", partial(self.watched, then=self._show)),
                WebSocketRoute("/{token}/fleet", partial(self.watched, then=self._show_fleet)),
            ]
        )

    def offers(self) -> dict[str, Any]:
        """What the page may offer."""
        faults = [{"name": name, "words": one.words, "says": one.says} for name, one in faults_of(self.stand_ins).items()]
        return {"talk": self.talk is not None, "fleet": self.fleet is not None, "faults": faults}

    async def drain(self) -> None:
        """Tell those who watch the last news, and have them gone."""
        self._ends.set()
        with anyio.move_on_after(LAST_S, shield=True):
            while self._watchers:
                self._alone = anyio.Event()
                await self._alone.wait()

    async def page(self, request: Request) -> Response:
        """The page."""
        return self._refusal(request) or HTMLResponse(live_page(request.url.netloc, self.offers()), headers=HEADERS)

    async def line(self, request: Request) -> Response:
        """What runs in the page's own sound thread."""
        return self._refusal(request) or Response(worklet(), media_type="text/javascript", headers=HEADERS)

    async def left(self, request: Request) -> Response:
        """The page that the last call left."""
        refusal = self._refusal(request)
        if refusal is not None:
            return refusal
        folder = self.talk.last if self.talk is not None else None
        if folder is None:
            return _plain("no call is over yet", 404)
        return FileResponse(folder / PAGE, media_type="text/html", headers=HEADERS)

    async def trace(self, request: Request) -> Response:
        """The trace of a call, as far as it has come."""
        refusal = self._refusal(request)
        if refusal is not None:
            return refusal
        shown = self.source.shown(request.query_params.get("call", ""))
        if shown is None or shown.redacted:
            return _plain("there is no such call" if shown is None else "its words are not shown; --page-words allows it", 404)
        return PlainTextResponse(await to_thread.run_sync(shown.trace), headers=HEADERS)

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

    async def fault(self, request: Request) -> Response:
        """A stand-in is to fail, as one of the faults of `faults.py`."""
        refusal = self._refusal(request)
        if refusal is not None:
            return refusal
        fault = faults_of(self.stand_ins).get(request.query_params.get("name", ""))
        if fault is None:
            return _plain("there is no such fault here", 404)
        try:
            await self.stand_ins[fault.server].order(fault.script)
        except StandInError as error:
            return _plain(str(error), 409)
        return Response(status_code=204, headers=HEADERS)

    async def talks(self, websocket: WebSocket) -> None:
        """A page talks: a call from here to its end."""
        if self.talk is None or self._stranger(websocket):
            await websocket.close(POLICY_VIOLATION)
            return
        await websocket.accept()
        try:
            await _close(websocket, NORMAL, await self.talk.hold(StarletteChannel(websocket)))
        except Busy as busy:
            await _close(websocket, TRY_LATER, str(busy))
        except OSError as error:
            await _close(websocket, TRY_LATER, f"the call's folder can't be written: {error.strerror}")

    async def watched(self, websocket: WebSocket, then: Callable[[StarletteChannel, str], Awaitable[str]]) -> None:
        """A page watches."""
        if self._stranger(websocket):
            await websocket.close(POLICY_VIOLATION)
            return
        await websocket.accept()
        if self._watchers >= WATCHERS:
            await _close(websocket, TRY_LATER, f"{WATCHERS} tabs watch already; close one")
            return
        self._watchers += 1
        channel, words = StarletteChannel(websocket), ""
        try:
            async with anyio.create_task_group() as group:
                group.start_soon(self._leave, channel, group.cancel_scope)
                with suppress(ChannelClosed):
                    words = await then(channel, websocket.query_params.get("call", ""))
                group.cancel_scope.cancel()
        except* TimeoutError:
            words = "the page did not take what it was sent"
        finally:
            self._watchers -= 1
            self._alone.set()
            await _close(websocket, TRY_LATER, words)

    @staticmethod
    async def _leave(channel: StarletteChannel, scope: anyio.CancelScope) -> None:
        """Whoever watches has nothing to say: what comes is dropped, until they go."""
        with suppress(ChannelClosed):
            while True:
                await channel.receive()
        scope.cancel()

    async def _show(self, channel: StarletteChannel, call_id: str) -> str:
        """Send the news of a call, from its beginning on, until the page takes no more; gives why nothing more comes."""
        place = Place()
        while (shown := self.source.shown(call_id)) is not None:
            message = shown.told(place)
            if message is not None:
                await _send(channel, message)
            elif self._ends.is_set():
                return "the server has ended"
            else:
                await self._or_the_end(shown.news)
            await self._pause(BATCH_S)
        return "there is no such call, or not any more"

    async def _show_fleet(self, channel: StarletteChannel, _: str) -> str:
        """Send what the fleet is like, time and again."""
        while self.fleet is not None and not self._ends.is_set():
            await _send(channel, self.fleet.told())
            await self._pause(FLEET_S)
        return "the server has ended"

    async def _pause(self, seconds: float) -> None:
        """Wait so long, or until the server ends."""
        with anyio.move_on_after(seconds):
            await self._ends.wait()

    async def _or_the_end(self, wait: Callable[[], Awaitable[None]]) -> None:
        """Wait for that, or until the server ends."""

        async def first(awaited: Callable[[], Awaitable[object]]) -> None:
            await awaited()
            group.cancel_scope.cancel()

        async with anyio.create_task_group() as group:
            group.start_soon(first, wait)
            group.start_soon(first, self._ends.wait)

    def _refusal(self, request: Request) -> Response | None:
        words = self._stranger(request)
        return _plain(words, 404) if words else None

    def _stranger(self, connection: HTTPConnection) -> str:
        """Why somebody is not let in, in words; empty for who may come in."""
        host, origin = connection.headers.get("Host", ""), connection.headers.get("Origin")
        if not LOCAL.fullmatch(host):
            return "the page is for this machine alone, by the name of localhost"
        if (isinstance(connection, WebSocket) or origin is not None) and origin != f"http://{host}":
            return "no page of elsewhere is let in"
        if not hmac.compare_digest(connection.path_params["token"].encode(errors="surrogatepass"), self.token.encode()):
            return "that is not the page's address; take the one that `callfsm` shows"
        return ""


@asynccontextmanager
async def served(server: PageServer, port: int) -> AsyncIterator[str]:
    """Serve the page while the block lasts, and give its address; a port of 0 is a free one. Raises OSError."""
    # They take a third of a second to read, once: not when somebody looks, and calls go on.
    await to_thread.run_sync(tables)
    door = Door(server.app(), "127.0.0.1", port, 4 * WATCHERS, note=_quiet)
    with door.listener:
        async with anyio.create_task_group() as group:
            group.start_soon(door.serve, [door.listener])
            try:
                yield f"{door.url}/{server.token}/"
                await server.drain()
            finally:
                door.should_exit = True


async def _send(channel: StarletteChannel, message: str) -> None:
    """Send it. Raises ChannelClosed, and TimeoutError for a page that does not take it."""
    with anyio.fail_after(SEND_S):
        await channel.send(message)


def _plain(words: str, status: int) -> Response:
    return PlainTextResponse(f"{words}\n", status, HEADERS)


def _quiet(_: Refused, __: str) -> None:
    """Who is sent away is told so, and nobody else."""


async def _close(websocket: WebSocket, code: int, words: str) -> None:
    with suppress(WebSocketDisconnect, RuntimeError):
        await websocket.close(code, words.encode()[:MAX_REASON_BYTES].decode(errors="ignore"))
