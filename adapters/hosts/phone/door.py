"""The door of a phone server: its listener, and a clock on every connection from its first moment on (R106).

Whoever says nothing, or half of a request, costs no place: such connections are bounded in number, the oldest goes first, and none stays
longer than HEAD_S. A stream that sends faster than anybody speaks is told so and closed. What is asked is the affair of the application.
"""

import asyncio
import ipaddress
import socket
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, cast
from urllib.parse import urlsplit

import h11
import uvicorn
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from adapters.hosts.phone.calls import Refused
from adapters.seam.budget import Budget
from adapters.twilio.wire import MAX_MESSAGE_CHARS

HEAD_S = 10.0
"""How long a request may take to come whole, from the first moment of its connection or the end of the answer before it."""
ANSWER_S = 30.0
"""How long an answer may take to be made, and to be taken."""
WAITING = 256
"""How many connections may wait to say something; beyond that the oldest goes."""
STOP_S = 2
"""How long a connection may take to close at the end."""
FRAMES_HZ, OCTETS_HZ = 100.0, 64 * 1024.0
"""How much of a stream may come in a second: twice the messages of a caller's sound, four times its octets."""
SLICE = 1024
"""How much is read of a stream before others have their turn, and its rate is looked at: three messages of a caller's, 170 of a flood's."""
LINED_UP = 8
"""So many messages of a stream may wait before nothing more is read: uvicorn stops at each, which is two system calls a message."""
LONGEST = 64 * 1024
"""How much of a request is waited for; a webhook of Twilio's has about 1 KiB."""
HEALTH = "/healthz"

Note = Callable[[Refused, str], None]
"""Who is told of everybody who was sent away, and in which words."""


class Door(uvicorn.Server):
    """A listener and what answers there; the signals are left to the command."""

    def __init__(
        self,
        app: ASGIApp,
        host: str,
        port: int,
        most: int,
        *,
        note: Note,
        head_s: float = HEAD_S,
        local: bool = False,
        listener: socket.socket | None = None,
    ) -> None:
        """Listen; `most` requests and streams are served at a time. `local`: only for this machine. `listener` is one that listens already.

        Raises OSError, whose `filename` is the place.
        """
        try:
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            self.listener = listener or socket.create_server((host, port), family=family, backlog=128)
        except OSError as error:
            raise OSError(error.errno, error.strerror, f"{host}:{port}") from None
        # What is accepted inherits it. asyncio sets it on its own sockets alone, and without it a frame waits for the receipt of the last.
        self.listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        place = f"[{host}]" if ":" in host else host
        self.url = f"http://{place}:{self.listener.getsockname()[1]}"
        hall = _Hall(note, head_s)
        super().__init__(
            uvicorn.Config(
                _Guard(app, most, note, local),
                http=cast(type[asyncio.Protocol], partial(_Visitor, hall)),
                ws=cast(type[asyncio.Protocol], partial(_Stream, hall)),
                backlog=128,
                log_config=None,
                access_log=False,
                lifespan="off",
                server_header=False,
                # What a proxy says of itself is not believed: the public URL is a setting.
                proxy_headers=False,
                ws_max_size=MAX_MESSAGE_CHARS,
                ws_per_message_deflate=False,
                timeout_graceful_shutdown=STOP_S,
            )
        )

    def deafen(self) -> None:
        """Accept no more connections; those that there are go on."""
        for server in self.servers:
            server.close()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none."""
        yield


class _Hall:
    """Who has come in and not said anything whole yet, the oldest first (R106)."""

    def __init__(self, note: Note, head_s: float) -> None:
        self.note, self.head_s = note, head_s
        self._waiting: dict[_Visitor, None] = {}

    def come(self, visitor: "_Visitor") -> None:
        self._waiting[visitor] = None
        if len(self._waiting) > WAITING:
            next(iter(self._waiting)).send_away(Refused.SILENT, "too many connections say nothing")

    def go(self, visitor: "_Visitor") -> None:
        self._waiting.pop(visitor, None)


class _Visitor(H11Protocol):
    """A connection that speaks HTTP, with a clock: one for its request, and one for the answer (R106)."""

    def __init__(self, hall: _Hall, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self._hall = hall
        self._clock: asyncio.TimerHandle | None = None
        self._waits: bool | None = None
        self._fed = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(cast(asyncio.Transport, transport))
        self._look()

    def data_received(self, data: bytes) -> None:
        self._fed = True
        super().data_received(data)
        self._look()

    def on_response_complete(self) -> None:
        self._fed = False
        super().on_response_complete()
        self._look()

    def connection_lost(self, exc: Exception | None) -> None:
        self._leave()
        super().connection_lost(exc)

    def handle_websocket_upgrade(self, event: h11.Request) -> None:
        self._leave()
        super().handle_websocket_upgrade(event)

    def send_away(self, why: Refused, words: str) -> None:
        """Break the connection off."""
        self._leave()
        self._hall.note(why, words)
        self.transport.abort()

    def _look(self) -> None:
        """Is a request still to come, or its answer? Each has a time of its own."""
        if self.transport.is_closing() or self.transport.get_protocol() is not self:
            return
        cycle = self.cycle
        waits = cycle is None or cycle.response_complete or cycle.more_body
        if waits is self._waits:
            return
        self._leave()
        self._waits = waits
        if waits:
            self._clock = self.loop.call_later(self._hall.head_s, self._too_late)
            self._hall.come(self)
        else:
            self._clock = self.loop.call_later(ANSWER_S, self.send_away, Refused.SILENT, "the answer was not taken")

    def _too_late(self) -> None:
        """A connection that is kept for the next request and says nothing has done no wrong."""
        if self.cycle is None or self._fed:
            self.send_away(Refused.SILENT, f"no whole request came within {self._hall.head_s:g} s")
        elif self.transport.get_write_buffer_size():
            self.send_away(Refused.SILENT, "the answer was not taken")
        else:
            self._leave()
            self.transport.abort()

    def _leave(self) -> None:
        if self._clock is not None:
            self._clock.cancel()
            self._clock = None
        self._hall.go(self)


class _Stream(WebSocketsSansIOProtocol, asyncio.BufferedProtocol):
    """A connection that speaks WebSocket, and is not read faster than somebody could speak: its buffer is all that is read at a time."""

    def __init__(self, hall: _Hall, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self._hall = hall
        self._octets, self._messages = Budget(OCTETS_HZ), Budget(FRAMES_HZ)
        self._buffer = bytearray(SLICE)
        self.read_paused = False

    def get_buffer(self, sizehint: int) -> bytearray:
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        if self._octets.takes(nbytes):
            self.data_received(bytes(self._buffer[:nbytes]))
        else:
            self._send_away()

    def send_receive_event_to_app(self) -> None:
        self.read_paused = True
        super().send_receive_event_to_app()
        self.read_paused = not self.close_sent and self.queue.qsize() >= LINED_UP
        if self.read_paused:
            self.transport.pause_reading()

    def handle_text(self, event: Any) -> None:
        self._count(event, super().handle_text)

    def handle_bytes(self, event: Any) -> None:
        self._count(event, super().handle_bytes)

    def handle_cont(self, event: Any) -> None:
        self._count(event, super().handle_cont)

    def handle_pong(self, event: Any) -> None:
        self._count(event, super().handle_pong)

    def handle_ping(self) -> None:
        if self._messages.takes(1):
            super().handle_ping()
        else:
            self._send_away()

    def _count(self, event: Any, handle: Callable[[Any], None]) -> None:
        if self._messages.takes(1):
            handle(event)
        else:
            self._send_away()

    async def run_asgi(self) -> None:
        await super().run_asgi()
        # Whoever does not take our last words must not keep the connection for that.
        self.loop.call_later(ANSWER_S, self.transport.abort)

    def _send_away(self) -> None:
        """Tell it why, and close."""
        if self.close_sent:
            return
        self._hall.note(Refused.TOO_FAST, "a stream sent faster than anybody speaks")
        self.conn.fail(1008, "faster than real time")
        self.handle_parser_exception()


class _Guard:
    """The application behind the door: no more at a time than it can serve, but how the server is can always be asked."""

    def __init__(self, app: ASGIApp, most: int, note: Note, local: bool) -> None:
        self._app, self._most, self._note, self._local = app, most, note, local
        self._served = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request or stream."""
        if self._local and (words := stranger(scope)):
            self._note(Refused.FOREIGN, words)
            await _refuse(scope, receive, send, 403, words)
            return
        if scope["path"] in (HEALTH, "/metrics"):
            await self._app(scope, receive, send)
            return
        if scope["type"] == "http":
            # What is not whole yet takes no place; the connection's clock ends it.
            whole = await _whole(receive)
            if whole is None:
                return
            receive = whole
        if self._served >= self._most:
            words = "the server has more to do than it can"
            self._note(Refused.OVERLOADED, words)
            await _refuse(scope, receive, send, 503, words)
        else:
            self._served += 1
            try:
                await self._app(scope, receive, send)
            finally:
                self._served -= 1


async def _whole(receive: Receive) -> Receive | None:
    """Wait until a request has come whole, or is too long for anything; gives what came, to be received again. None: it never came."""
    came, size = deque[Message](), 0
    while not came or (came[-1].get("more_body", False) and size <= LONGEST):
        came.append(await receive())
        size += len(came[-1].get("body", b""))
    if came[-1]["type"] == "http.disconnect":
        return None

    async def again() -> Message:
        return came.popleft() if came else await receive()

    return again


async def _refuse(scope: Scope, receive: Receive, send: Send, status: int, words: str) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close"})
    else:
        await PlainTextResponse(words + "\n", status, {"Connection": "close"})(scope, receive, send)


def stranger(scope: Scope) -> str:
    """Why a request is not from this machine's own, in words: a page elsewhere may send a browser here under a name of its own."""
    headers = {name.lower(): value.decode("latin-1") for name, value in scope["headers"]}
    host, origin = headers.get(b"host"), headers.get(b"origin")
    if host is not None and not _is_here(f"//{host}"):
        return "without TWILIO_AUTH_TOKEN only this machine is served, by the name of localhost"
    if origin is not None and not _is_here(origin):
        return "without TWILIO_AUTH_TOKEN no page of elsewhere is served"
    return ""


def _is_here(url: str) -> bool:
    try:
        name = urlsplit(url).hostname or ""
        return name == "localhost" or ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
