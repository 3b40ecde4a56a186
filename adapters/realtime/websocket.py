"""A WebSocket client for asyncio and trio whose sends do not wait; it knows nothing of what the messages mean.

The protocol is websockets' Sans-I/O `ClientProtocol` (15 to 17); this module keeps its times. Nothing that could hold a
secret, a header, a path or a query, enters a message, a repr or a log line: a place is named by host and port alone.
"""

import logging
import os
import socket
import ssl
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from math import inf

import anyio
import anyio.lowlevel
from websockets.client import ClientProtocol
from websockets.datastructures import Headers
from websockets.exceptions import InvalidStatus, InvalidURI
from websockets.frames import Frame, Opcode
from websockets.protocol import State
from websockets.typing import Subprotocol
from websockets.uri import WebSocketURI, parse_uri

from adapters.realtime.proxy import ProxyFault, Way, way_to
from adapters.realtime.transport import Transport, Unconnected, open_transport
from adapters.seam.budget import Budget
from adapters.seam.waits import refused_for_s

MAX_MESSAGE_BYTES = 4 * 2**20
"""The longest message taken: some servers send the sound of an answer in one delta, and this holds a minute of it (R14: none lasts
longer), 24,000 samples of 2 bytes a second as base64. All that is not sound is a hundredth of that."""
OCTETS_HZ, FRAMES_HZ = 2 * 2**20, 500.0
"""How much a server may send in a second: thirty times the sound of a voice, and ten times the messages that such a one has."""
CONTROL = 50
"""A ping counts as so many messages: it costs an answer, and no server has a use for ten of them a second."""
TURN = 16
"""After so many messages others have their turn, even if more are there."""
WEIGHT = 4 * 2**10
"""A message counts once more for so many characters: what one comes to takes time as it is long."""
DATA = (Opcode.TEXT, Opcode.BINARY, Opcode.CONT)
"""The frames that carry messages."""
ABNORMAL = 1006
"""The close code of RFC 6455 for a connection that ended without a close frame."""

SUBPROTOCOL = Subprotocol("realtime")
"""What OpenAI's own browser clients offer, and some servers wait for."""

_STATUS_HINTS = {
    401: "the key is missing or not accepted",
    403: "the key may not be used here",
    404: "there is no WebSocket at this path",
    429: "too many connections, or no quota left",
}


class WebSocketError(Exception):
    """The connection could not be opened; the text is one plain line, `status` the HTTP status, and `wait_s` its Retry-After, if any."""

    def __init__(self, message: str, status: int | None = None, wait_s: float = 0.0) -> None:
        super().__init__(message)
        self.status, self.wait_s = status, wait_s


class WebSocketClosed(Exception):
    """A message could not be sent because the connection is closed, or closing."""


class _Protocol(ClientProtocol):
    """A client that offers a subprotocol, and takes any answer to that: servers name one unasked, or another, and mean nothing by it."""

    def process_subprotocol(self, headers: Headers) -> Subprotocol | None:
        """Take what the server names."""
        return None


def _nothing() -> None:
    """Nobody waits for room."""


@asynccontextmanager
async def connect(
    url: str,
    *,
    headers: Mapping[str, str] | None = None,
    drained: Callable[[], None] = _nothing,
    open_timeout_s: float = 10.0,
    close_timeout_s: float = 1.0,
    write_timeout_s: float = 5.0,
    ping_interval_s: float = inf,
    ping_timeout_s: float = 5.0,
    max_size: int = MAX_MESSAGE_BYTES,
    tls: ssl.SSLContext | None = None,
) -> AsyncIterator["WebSocket"]:
    """Open a WebSocket and close it at the end of the block, politely for at most `close_timeout_s`.

    A server that has said nothing for `ping_interval_s` is pinged; one that then says nothing for `ping_timeout_s`, or
    that takes no bytes for `write_timeout_s`, is given up: the connection ends with 1006 and a reason that says
    "half-open". `drained` is called whenever there is room again, perhaps outside of any task. `max_size` bounds a received
    message, in bytes. Raises WebSocketError.
    """
    protocol, place = _protocol(url, max_size)
    request = protocol.connect()
    for name, value in (headers or {}).items():
        if not (name + value).isascii() or not (name + value).isprintable():
            raise WebSocketError(f"the header {name!a} holds a character that no header may hold: a line break perhaps")
        request.headers[name] = value
    protocol.send_request(request)
    ws = WebSocket(protocol, drained, close_timeout_s, write_timeout_s, ping_interval_s, ping_timeout_s)
    way, place = _way(protocol.uri, place, tls)
    by_s = anyio.current_time() + open_timeout_s
    late = f"{place} did not answer within {open_timeout_s:g} s"
    with _within(by_s, late):
        ws._transport = await _transport(protocol.uri, place, tls, ws, way)
    async with ws._transport.carried():
        with _within(by_s, late):
            await ws._shake_hands(place)
        try:
            yield ws
        finally:
            with anyio.CancelScope(shield=True):
                await ws.close()


class WebSocket:
    """An open connection: `send`, and iterate; made by `connect`. Its times pass while it is iterated or closed."""

    def __init__(
        self,
        protocol: ClientProtocol,
        drained: Callable[[], None],
        close_timeout_s: float,
        write_timeout_s: float,
        ping_interval_s: float,
        ping_timeout_s: float,
    ) -> None:
        self._protocol = protocol
        self._drained = drained
        self._close_timeout_s = close_timeout_s
        self._write_timeout_s = write_timeout_s
        self._ping_interval_s = ping_interval_s
        self._ping_timeout_s = ping_timeout_s
        self._messages: deque[str] = deque()
        self._fragments: list[bytes] = []
        self._news = anyio.Event()
        self._octets, self._frames, self._taken = Budget(OCTETS_HZ), Budget(FRAMES_HZ), 0
        self._heard = self._pinged = False
        self._quiet_by = self._write_by = self._close_by = inf
        self._fault = ""
        self._transport: Transport = Unconnected()

    def __repr__(self) -> str:
        return f"<WebSocket {self._protocol.state.name.lower()}>"

    @property
    def close_code(self) -> int | None:
        """The code that the connection ended with: the server's, ours if it broke the protocol, else 1006; None while it is open."""
        return self._end()[0]

    @property
    def close_reason(self) -> str:
        """The words that came with the code; empty while the connection is open."""
        return self._end()[1]

    @property
    def has_room(self) -> bool:
        """Is the connection open, and has all that was sent left?"""
        return not self._transport.stalled and self._protocol.state is State.OPEN

    def send(self, text: str) -> None:
        """Send one text message without waiting: without room it is kept here, however long it is. Raises WebSocketClosed."""
        if self._protocol.state is not State.OPEN:
            raise WebSocketClosed(self._fault or "the connection is closed")
        self._protocol.send_text(text.encode())
        self._flush()

    def received(self, data: bytes) -> None:
        """See `adapters.realtime.transport.User`."""
        if self._is(State.CLOSED):
            return
        if data:
            self._protocol.receive_data(data)
        else:
            self._protocol.receive_eof()
        self._heard, self._pinged = True, False
        fast = not self._octets.takes(len(data))
        for event in self._protocol.events_received():
            if isinstance(event, Frame):
                fast |= not self._frames.takes(1 if event.opcode in DATA else CONTROL)
                self._gather(event)
        if fast:
            self._abandon("the server sent faster than anybody speaks")
            return
        self._flush()
        self._news.set()

    def drained(self) -> None:
        """See `adapters.realtime.transport.User`."""
        self._write_by = inf
        if self.has_room:
            self._drained()

    def __aiter__(self) -> AsyncIterator[str]:
        return self

    async def __anext__(self) -> str:
        """The next message, text or binary, as UTF-8; bytes that are none become U+FFFD, which is for the reader of the text to refuse."""
        while not self._messages:
            if self._is(State.CLOSED):
                raise StopAsyncIteration
            await self._wait()
        message = self._messages.popleft()
        self._taken += 1 + len(message) // WEIGHT
        if self._taken >= TURN:
            self._taken = 0
            await anyio.lowlevel.checkpoint()
        return message

    async def first(self) -> str | None:
        """The message that is next, which stays it; None once there will be none."""
        while not self._messages:
            if self._is(State.CLOSED):
                return None
            await self._wait()
        return self._messages[0]

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Close politely, for at most `close_timeout_s`; then break the connection off in any case. Safe to call again."""
        if self._is(State.OPEN):
            self._protocol.send_close(code, reason)
            self._flush()
        while not self._is(State.CLOSED):
            await self._wait()
        self._transport.abort()

    async def _shake_hands(self, place: str) -> None:
        """Send the request and wait until the server has agreed. Raises WebSocketError."""
        self._flush()
        while self._is(State.CONNECTING) and self._protocol.handshake_exc is None:
            await self._wait()
        error = self._protocol.handshake_exc
        if isinstance(error, InvalidStatus):
            status = error.response.status_code
            hint = _STATUS_HINTS.get(status, "it did not agree to a WebSocket")
            raise WebSocketError(
                f"{place} answered {status}: {hint}", status, refused_for_s(status, dict(error.response.headers.raw_items()))
            )
        if self._fault:
            raise WebSocketError(f"{place} was left: {self._fault}")
        if not self._is(State.OPEN, State.CLOSING):
            raise WebSocketError(f"{place} is not a WebSocket server: it did not answer the handshake as one") from None

    def _is(self, *states: State) -> bool:
        """Is the protocol in one of these states?"""
        return self._protocol.state in states

    async def _wait(self) -> None:
        """Wait until something has come or a time has passed, and act on that time."""
        if self._news.is_set():
            self._news = anyio.Event()
        with anyio.move_on_at(self._next_s()) as patience:
            await self._news.wait()
        if patience.cancelled_caught:
            self._lose_patience()

    def _next_s(self) -> float:
        """When patience ends next: with a server that says nothing, takes nothing, or does not close."""
        now_s = anyio.current_time()
        if self._heard:
            self._heard, self._quiet_by = False, now_s + self._ping_interval_s
        if self._transport.stalled and self._write_by == inf:
            self._write_by = now_s + self._write_timeout_s
        if self._is(State.CONNECTING):
            return self._write_by
        if self._is(State.CLOSING):
            self._close_by = min(self._close_by, now_s + self._close_timeout_s)
            return min(self._write_by, self._close_by)
        return min(self._write_by, self._quiet_by)

    def _lose_patience(self) -> None:
        """Ping a server that has said nothing, and give one up that does not answer. What was waited for may have come in time."""
        now_s = anyio.current_time()
        if now_s >= self._write_by:
            self._abandon(f"half-open: the server took no bytes for {self._write_timeout_s:g} s")
        elif now_s < self._next_s():
            return
        elif self._is(State.CLOSING):
            self._abandon("the server did not answer our close frame")
        elif self._pinged:
            self._abandon(f"half-open: no answer to a ping within {self._ping_timeout_s:g} s")
        else:
            self._pinged, self._quiet_by = True, now_s + self._ping_timeout_s
            self._protocol.send_ping(b"")
            self._flush()

    def _gather(self, frame: Frame) -> None:
        """Put the fragments of a message together; control frames are the protocol's affair."""
        if frame.opcode not in DATA:
            return
        self._fragments.append(bytes(frame.data))
        if frame.fin:
            self._messages.append(b"".join(self._fragments).decode(errors="replace"))
            self._fragments.clear()

    def _flush(self) -> None:
        """Write what the protocol has to say."""
        # In one write: the answers to a flood of pings are thousands. The protocol's wish for a half-close, which TLS has not, is the
        # empty string; a client that wishes it closes anyway.
        data = b"".join(self._protocol.data_to_send())
        if data:
            self._transport.write(data)
        if self._transport.stalled:
            # Whoever waits looks at the time anew.
            self._news.set()

    def _abandon(self, fault: str) -> None:
        """Break the connection off; whoever waits finds the end."""
        self._fault = fault
        self._protocol.receive_eof()
        self._transport.abort()
        self._news.set()

    def _end(self) -> tuple[int | None, str]:
        """The code and the words of the end, as the two properties give them."""
        received, sent = self._protocol.close_rcvd, self._protocol.close_sent
        if self._protocol.state is not State.CLOSED:
            return None, ""
        if sent is not None and self._protocol.parser_exc is not None and not isinstance(self._protocol.parser_exc, EOFError):
            return int(sent.code), sent.reason
        if received is not None:
            return int(received.code), received.reason
        return ABNORMAL, self._fault or "the connection ended without a close frame"


def _protocol(url: str, max_size: int) -> tuple[ClientProtocol, str]:
    """The protocol for a URL, and the place to name in messages: host and port, never the rest of the URL."""
    # websockets logs request headers at DEBUG, the key among them.
    logger = logging.getLogger("callfsm.websocket")
    logger.setLevel(logging.WARNING)
    try:
        uri = parse_uri(url)
    except (InvalidURI, ValueError):
        raise WebSocketError("that is no WebSocket URL: it must look like wss://host/path or ws://127.0.0.1:8000/path") from None
    return _Protocol(uri, subprotocols=[SUBPROTOCOL], max_size=max_size, logger=logger), f"{uri.host}:{uri.port}"


@contextmanager
def _within(by_s: float, late: str) -> Iterator[None]:
    """Give up at a time. Raises WebSocketError with the words `late`."""
    try:
        with anyio.fail_after(by_s - anyio.current_time()):
            yield
    except TimeoutError:
        raise WebSocketError(late) from None


def _way(uri: WebSocketURI, place: str, tls: ssl.SSLContext | None) -> tuple[Way | None, str]:
    """The way through a proxy, and the place to name in messages with it. Raises WebSocketError."""
    try:
        way = way_to(uri, tls)
    except ProxyFault as fault:
        raise WebSocketError(f"could not connect to {place}: {fault}") from None
    return way, f"{place} ({way})" if way else place


async def _transport(uri: WebSocketURI, place: str, tls: ssl.SSLContext | None, ws: WebSocket, way: Way | None) -> Transport:
    """A TCP or TLS connection. Raises WebSocketError."""
    try:
        context = (tls or ssl.create_default_context()) if uri.secure else None
        return await open_transport(uri.host, uri.port, context, ws, way)
    except ProxyFault as fault:
        raise WebSocketError(f"could not connect to {place}: {fault}") from None
    except ssl.SSLCertVerificationError as error:
        raise WebSocketError(f"TLS with {place} failed: {error.verify_message}") from None
    except (ssl.SSLError, anyio.EndOfStream, anyio.BrokenResourceError, ConnectionResetError):
        raise WebSocketError(f"TLS with {place} failed: does it speak TLS? wss:// needs it, ws:// does without") from None
    except OSError as error:
        raise WebSocketError(f"could not connect to {place}: {_cause(error)}") from None


def _cause(error: BaseException) -> str:
    """The system's own words for why a connection failed, from under whatever wraps them."""
    while error.__cause__ is not None:
        error = error.__cause__
        if isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
    if isinstance(error, socket.gaierror):
        return "the host's name is not known"
    number = error.errno if isinstance(error, OSError) else None
    return os.strerror(number).lower() if number else "no route to it"
