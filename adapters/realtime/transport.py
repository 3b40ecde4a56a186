"""TCP and TLS connections whose writes do not wait, on asyncio and on trio; what the bytes mean is not in here.

On asyncio the event loop's own transports serve: a write is a system call and nothing else, and what is read is passed on within
the loop's callback. anyio's streams, which serve on trio, cost a task switch a write, for fifty frames a second.
"""

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from functools import partial
from typing import Protocol, cast

import anyio
from anyio.abc import ByteStream
from anyio.streams.tls import TLSStream

from adapters.realtime.proxy import Way, tunnel

EYEBALLS_S = 0.25
"""How long one address of a host is tried alone, before the next is tried beside it (RFC 8305)."""
LOST_S = 1.0
"""A connection that was broken off is told as lost in the loop's next round; longer than this nobody waits for that."""
AT_ONCE = 4 * 1024
"""How many bytes are read before others have their turn: a flood of small messages must not hold the event loop for longer than
some milliseconds."""
BROKEN = (anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError, ssl.SSLError)


class User(Protocol):
    """Whose connection it is. Both are called in the event loop's thread, perhaps outside of any task: they wait for nothing."""

    def received(self, data: bytes) -> None:
        """Take what came; no byte at all is the end, which is told once or more."""

    def drained(self) -> None:
        """All that was written has left."""


class Transport(Protocol):
    """An open connection."""

    @property
    def stalled(self) -> bool:
        """Does something that was written wait here, as the far side takes no more?"""

    def write(self, data: bytes) -> None:
        """Send these bytes after all others; they wait here if they must. A connection that is lost takes them for nothing."""

    def abort(self) -> None:
        """Break the connection off; the user is told its end."""

    def carried(self) -> AbstractAsyncContextManager[None]:
        """The time in which bytes pass: a block, at whose end the connection is broken off."""


async def open_transport(host: str, port: int, tls: ssl.SSLContext | None, user: User, way: Way | None = None) -> Transport:
    """Connect, with TLS if a context for it is given, and through a proxy if a way is; then enter `carried` at once.

    Raises OSError where there is no connection; ssl.SSLError, anyio.EndOfStream or ConnectionResetError where there is no TLS;
    ProxyFault where the proxy lets nobody through.
    """
    if way is not None:
        return _Streamed(await _tunnelled(host, port, tls, way), user)
    if _is_asyncio():
        return await _direct(host, port, tls, user)
    if tls is None:
        return _Streamed(await anyio.connect_tcp(host, port), user)
    return _Streamed(await anyio.connect_tcp(host, port, ssl_context=tls, tls=True, tls_standard_compatible=False), user)


async def _direct(host: str, port: int, tls: ssl.SSLContext | None, user: User) -> Transport:
    """As `open_transport`. asyncio has its own race of addresses, but one that is cancelled may forget an open socket (Python 3.11)."""
    loop, errors, won = asyncio.get_running_loop(), list[OSError](), list[_Direct]()
    name = host if tls else None

    async def attempt(address: str, failed: anyio.Event) -> None:
        try:
            transport, protocol = await loop.create_connection(partial(_Direct, user), address, port, ssl=tls, server_hostname=name)
        except OSError as error:
            errors.append(error)
            failed.set()
            return
        if won:
            transport.abort()
        else:
            won.append(protocol)
            tasks.cancel_scope.cancel()

    addresses = await _addresses(host, port)
    try:
        async with anyio.create_task_group() as tasks:
            for address in addresses:
                failed = anyio.Event()
                tasks.start_soon(attempt, address, failed)
                with anyio.move_on_after(EYEBALLS_S):
                    await failed.wait()
    except BaseException:
        for protocol in won:
            protocol.abort()
        raise
    if not won:
        raise errors[0]
    return won[0]


async def _tunnelled(host: str, port: int, tls: ssl.SSLContext | None, way: Way) -> ByteStream:
    """The stream through a proxy. A task switch a write, as on trio, is little beside the way there."""
    stream = await tunnel(way, host, port)
    if tls is None:
        return stream
    try:
        return await TLSStream.wrap(stream, hostname=host, ssl_context=tls, standard_compatible=False)
    except BaseException:
        await anyio.aclose_forcefully(stream)
        raise


async def _addresses(host: str, port: int) -> list[str]:
    """The addresses of a host, the best first; one that is an address itself needs no thread to ask in."""
    with suppress(ValueError):
        return [str(ipaddress.ip_address(host))]
    found = await anyio.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(where[0]) for *_, where in found))


class Unconnected:
    """The transport before there is one: it takes nothing, and has no end."""

    stalled = False

    def write(self, data: bytes) -> None:
        """See Transport."""

    def abort(self) -> None:
        """See Transport."""

    @asynccontextmanager
    async def carried(self) -> AsyncIterator[None]:
        """See Transport."""
        yield


class _Direct(asyncio.BufferedProtocol):
    """A transport of asyncio's own; what comes before it is carried waits, as its user is not ready for it."""

    def __init__(self, user: User) -> None:
        self.stalled = False
        self._transport = asyncio.Transport()
        self._early, self._buffer = bytearray(), bytearray(AT_ONCE)
        self._carried = False
        self._lost = asyncio.Event()
        self._user = user

    def write(self, data: bytes) -> None:
        self._transport.write(data)

    def abort(self) -> None:
        self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.pause_reading()

    def get_buffer(self, sizehint: int) -> bytearray:
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        data = bytes(self._buffer[:nbytes])
        if self._carried:
            self._user.received(data)
        else:
            # Some versions of asyncio read although they were told to pause.
            self._early += data
            self._transport.pause_reading()

    def eof_received(self) -> None:
        if self._carried:
            self._user.received(b"")

    def connection_lost(self, exc: Exception | None) -> None:
        if self._carried:
            self._user.received(b"")
        self._lost.set()

    def pause_writing(self) -> None:
        self.stalled = True

    def resume_writing(self) -> None:
        self.stalled = False
        self._user.drained()

    @asynccontextmanager
    async def carried(self) -> AsyncIterator[None]:
        # What the kernel does not take at once is a stall; with a limit of 0 TLS would be stalled from the start. Under TLS the
        # first of it is kept below the records, and the next write shows the stall.
        self._transport.set_write_buffer_limits(high=1, low=0)
        self._carried = True
        if self._early:
            self._user.received(bytes(self._early))
            self._early.clear()
        if self._lost.is_set():
            self._user.received(b"")
        self._transport.resume_reading()
        try:
            yield
        finally:
            self.abort()
            with anyio.move_on_after(LOST_S, shield=True):
                await self._lost.wait()


class _Streamed:
    """A stream of anyio's, with a task that reads and one that writes."""

    def __init__(self, stream: ByteStream, user: User) -> None:
        self._stream = stream
        self._user = user
        self._unwritten = bytearray()
        self._written = anyio.Event()
        # Whoever cancels the user has not cancelled the close frame that is still to leave.
        self._life = anyio.CancelScope(shield=True)

    @property
    def stalled(self) -> bool:
        return bool(self._unwritten)

    def write(self, data: bytes) -> None:
        self._unwritten += data
        self._written.set()

    def abort(self) -> None:
        self._life.cancel()

    @asynccontextmanager
    async def carried(self) -> AsyncIterator[None]:
        raised = None
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._carry)
            try:
                yield
            except Exception as error:
                # The block knows of no task group: what it raises must not come out in one.
                raised = error
            finally:
                self.abort()
        if raised is not None:
            raise raised

    async def _carry(self) -> None:
        """Read and write until the end."""
        with self._life:
            try:
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(self._write_all)
                    await self._read_all()
                    tasks.cancel_scope.cancel()
            finally:
                self._user.received(b"")
                await anyio.aclose_forcefully(self._stream)

    async def _read_all(self) -> None:
        while True:
            try:
                data = await self._stream.receive()
            except BROKEN:
                return
            self._user.received(data)

    async def _write_all(self) -> None:
        while True:
            while self._unwritten:
                data = bytes(self._unwritten)
                try:
                    await self._stream.send(data)
                except BROKEN:
                    # What came before is still to be read: the reader finds the end.
                    return
                del self._unwritten[: len(data)]
                if not self._unwritten:
                    self._user.drained()
            self._written = anyio.Event()
            await self._written.wait()


def _is_asyncio() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
