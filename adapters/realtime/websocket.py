"""A WebSocket client over anyio's byte streams, for asyncio and trio; it knows nothing of what the messages mean.

The protocol is websockets' Sans-I/O `ClientProtocol` (15 to 17); this module moves its bytes. Nothing that could hold a
secret, a header, a path or a query, enters a message, a repr or a log line: a place is named by host and port alone.
"""

import logging
import os
import socket
import ssl
from collections import deque
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from math import inf

import anyio
from anyio.abc import ByteStream
from websockets.client import ClientProtocol
from websockets.exceptions import InvalidStatus, InvalidURI
from websockets.frames import Frame, Opcode
from websockets.protocol import State
from websockets.uri import WebSocketURI, parse_uri

MAX_MESSAGE_BYTES = 16 * 2**20
"""The longest message taken: OpenAI's own limit of 15 MiB a message, rounded up."""
ABNORMAL = 1006
"""The close code of RFC 6455 for a connection that ended without a close frame."""

_STATUS_HINTS = {
    401: "the key is missing or not accepted",
    403: "the key may not be used here",
    404: "there is no WebSocket at this path",
    429: "too many connections, or no quota left",
}


class WebSocketError(Exception):
    """The connection could not be opened; the text is one plain line, and `status` the HTTP status where there was one."""

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class WebSocketClosed(Exception):
    """A message could not be sent because the connection is closed, or closing."""


@asynccontextmanager
async def connect(
    url: str,
    *,
    headers: Mapping[str, str] | None = None,
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
    "half-open". `max_size` bounds a received message, in bytes. Raises WebSocketError.
    """
    protocol, place = _protocol(url, max_size)
    request = protocol.connect()
    for name, value in (headers or {}).items():
        if not (name + value).isascii() or not (name + value).isprintable():
            raise WebSocketError(f"the header {name!a} holds a character that no header may hold: a line break perhaps")
        request.headers[name] = value
    protocol.send_request(request)
    try:
        with anyio.fail_after(open_timeout_s):
            stream = await _stream(protocol.uri, place, tls)
            ws = WebSocket(protocol, stream, close_timeout_s, write_timeout_s, ping_interval_s, ping_timeout_s)
            try:
                await ws._shake_hands(place)
            except BaseException:
                await anyio.aclose_forcefully(stream)
                raise
    except TimeoutError:
        raise WebSocketError(f"{place} did not answer within {open_timeout_s:g} s") from None
    try:
        yield ws
    finally:
        with anyio.CancelScope(shield=True):
            await ws.close()


class WebSocket:
    """An open connection: `send` from any task, iterate from one; made by `connect`."""

    def __init__(
        self,
        protocol: ClientProtocol,
        stream: ByteStream,
        close_timeout_s: float,
        write_timeout_s: float,
        ping_interval_s: float,
        ping_timeout_s: float,
    ) -> None:
        self._protocol = protocol
        self._stream = stream
        self._close_timeout_s = close_timeout_s
        self._write_timeout_s = write_timeout_s
        self._ping_interval_s = ping_interval_s
        self._ping_timeout_s = ping_timeout_s
        self._messages: deque[str] = deque()
        self._fragments: list[bytes] = []
        self._unwritten: deque[bytes] = deque()
        self._reading = anyio.Lock(fast_acquire=True)
        self._writing = anyio.Lock(fast_acquire=True)
        self._close_by = inf
        self._fault = ""

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

    async def send(self, text: str) -> None:
        """Send one text message. Raises WebSocketClosed, also when the server takes no bytes in time."""
        if not self._fault and self._is(State.OPEN):
            self._protocol.send_text(text.encode())
            await self._flush()
        if self._fault or not self._is(State.OPEN):
            raise WebSocketClosed(self._fault or "the connection is closed")

    def __aiter__(self) -> AsyncIterator[str]:
        return self

    async def __anext__(self) -> str:
        """The next message, text or binary, as UTF-8; bytes that are none become U+FFFD, which is for the reader of the text to refuse."""
        while not self._messages:
            async with self._reading:
                if self._is(State.CLOSED):
                    raise StopAsyncIteration
                await self._read()
        return self._messages.popleft()

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Close politely, for at most `close_timeout_s`; then close the TCP connection in any case. Safe to call again."""
        with anyio.move_on_after(self._close_timeout_s):
            if not self._fault and self._is(State.OPEN):
                self._protocol.send_close(code, reason)
                await self._flush()
            while not self._is(State.CLOSED):
                async with self._reading:
                    if not self._is(State.CLOSED):
                        await self._read()
        await self._abandon("the server did not answer our close frame")

    async def _shake_hands(self, place: str) -> None:
        """Send the request and read until the server has agreed. Raises WebSocketError."""
        await self._flush()
        while self._is(State.CONNECTING) and self._protocol.handshake_exc is None:
            await self._read()
        error = self._protocol.handshake_exc
        if isinstance(error, InvalidStatus):
            status = error.response.status_code
            hint = _STATUS_HINTS.get(status, "it did not agree to a WebSocket")
            raise WebSocketError(f"{place} answered {status}: {hint}", status)
        if not self._is(State.OPEN, State.CLOSING):
            raise WebSocketError(f"{place} is not a WebSocket server: it did not answer the handshake as one") from None

    def _is(self, *states: State) -> bool:
        """Is the protocol in one of these states?"""
        return self._protocol.state in states

    async def _read(self) -> None:
        """Take what the server sends next, ping it if that is long in coming, and end the connection if nothing comes."""
        data = await self._receive(self._ping_interval_s)
        if data is None and self._is(State.OPEN):
            self._protocol.send_ping(b"")
            await self._flush()
            data = await self._receive(self._ping_timeout_s)
        if data is None:
            await self._abandon(f"half-open: no answer to a ping within {self._ping_timeout_s:g} s")
        elif not data:
            self._protocol.receive_eof()
        elif not self._is(State.CLOSED):
            self._protocol.receive_data(data)
        for event in self._protocol.events_received():
            if isinstance(event, Frame):
                self._gather(event)
        await self._flush()
        if self._is(State.CLOSING):
            self._close_by = min(self._close_by, anyio.current_time() + self._close_timeout_s)

    async def _receive(self, patience_s: float) -> bytes | None:
        """What arrives within that time, no byte at the end of the connection, None if nothing arrived."""
        with anyio.move_on_at(min(self._close_by, anyio.current_time() + patience_s)):
            try:
                return await self._stream.receive()
            except (anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError, ssl.SSLError):
                return b""
        return None

    def _gather(self, frame: Frame) -> None:
        """Put the fragments of a message together; control frames are the protocol's affair."""
        if frame.opcode not in (Opcode.TEXT, Opcode.BINARY, Opcode.CONT):
            return
        self._fragments.append(bytes(frame.data))
        if frame.fin:
            self._messages.append(b"".join(self._fragments).decode(errors="replace"))
            self._fragments.clear()

    async def _flush(self) -> None:
        """Write what the protocol has to say, one writer at a time: a pong must not fall into the middle of a message."""
        # The empty string is the protocol's wish for a half-close, which TLS has not; a client that wishes it closes anyway.
        self._unwritten += filter(None, self._protocol.data_to_send())
        if not self._unwritten:
            return
        with anyio.move_on_after(self._write_timeout_s) as patience:
            async with self._writing:
                while self._unwritten:
                    await self._write(self._unwritten.popleft())
        if patience.cancelled_caught:
            await self._abandon(f"half-open: the server took no bytes for {self._write_timeout_s:g} s")

    async def _write(self, data: bytes) -> None:
        """Write some bytes, or note that nothing can be written any more."""
        try:
            await self._stream.send(data)
        except (anyio.BrokenResourceError, anyio.ClosedResourceError, ssl.SSLError):
            # What the server sent before, its close frame perhaps, is still to be read: the reader finds the end.
            self._fault = self._fault or "the connection broke while we sent"
        except BaseException:
            # A frame may be half written: nothing sensible can follow it.
            self._fault = self._fault or "cut off in the middle of a message"
            raise

    async def _abandon(self, fault: str) -> None:
        """Close the TCP connection now; a reader wakes and finds the end."""
        if not self._is(State.CLOSED):
            self._fault = fault
            self._protocol.receive_eof()
        await anyio.aclose_forcefully(self._stream)

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
    return ClientProtocol(uri, max_size=max_size, logger=logger), f"{uri.host}:{uri.port}"


async def _stream(uri: WebSocketURI, place: str, tls: ssl.SSLContext | None) -> ByteStream:
    """A TCP or TLS connection. Raises WebSocketError."""
    try:
        if uri.secure:
            return await anyio.connect_tcp(uri.host, uri.port, ssl_context=tls, tls=True, tls_standard_compatible=False)
        return await anyio.connect_tcp(uri.host, uri.port)
    except ssl.SSLCertVerificationError as error:
        raise WebSocketError(f"TLS with {place} failed: {error.verify_message}") from None
    except (ssl.SSLError, anyio.EndOfStream, anyio.BrokenResourceError):
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
