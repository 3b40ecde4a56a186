"""Proxies on loopback, in threads: CONNECT, and SOCKS 5; whoever asks for any host is let through to one port of this machine."""

import contextlib
import socket
import socketserver
import ssl
import struct
import threading
from base64 import b64encode
from collections.abc import Callable, Iterator

import attrs

LIMIT_S = 15
ACCOUNT = ("name", "pass word")
"""Whom a proxy that asks lets in."""


@attrs.define
class Proxying:
    """A proxy that runs: what it was asked for, in order."""

    port: int
    asked: list[str] = attrs.field(factory=list)


@contextlib.contextmanager
def connect_proxy(to: int, *, account: bool = False, status: str = "200 OK", tls: ssl.SSLContext | None = None) -> Iterator[Proxying]:
    """A proxy that takes CONNECT; its answer comes in two pieces."""

    def begin(connection: socket.socket, proxying: Proxying) -> bool:
        head = b""
        while b"\r\n\r\n" not in head:
            head += connection.recv(1)
        proxying.asked.append(head.split(b"\r\n")[0].decode())
        secret = b64encode(":".join(ACCOUNT).encode())
        answer = status if not account or b"Basic " + secret in head else "407 Proxy Authentication Required"
        connection.sendall(f"HTTP/1.1 {answer}\r\n".encode())
        connection.sendall(b"Via: 1.1 somebody\r\n\r\n")
        return answer.startswith("200")

    with _running(begin, to, tls) as proxying:
        yield proxying


@contextlib.contextmanager
def socks_proxy(to: int, *, account: bool = False, reply: int = 0) -> Iterator[Proxying]:
    """A SOCKS 5 proxy (RFC 1928, RFC 1929)."""

    def begin(connection: socket.socket, proxying: Proxying) -> bool:
        _exactly(connection, _exactly(connection, 2)[1])
        connection.sendall(b"\x05\x02" if account else b"\x05\x00")
        if account:
            name = _exactly(connection, _exactly(connection, 2)[1])
            word = _exactly(connection, _exactly(connection, 1)[0])
            good = (name.decode(), word.decode()) == ACCOUNT
            connection.sendall(b"\x01\x00" if good else b"\x01\x01")
            if not good:
                return False
        kind = _exactly(connection, 4)[3]
        host = _exactly(connection, 4 if kind == 1 else _exactly(connection, 1)[0])
        where = socket.inet_ntoa(host) if kind == 1 else host.decode()
        proxying.asked.append(f"{where}:{struct.unpack('>H', _exactly(connection, 2))[0]}")
        connection.sendall(bytes([5, reply, 0, 1, 0, 0, 0, 0, 0, 0]))
        return reply == 0

    with _running(begin, to, None) as proxying:
        yield proxying


def _exactly(connection: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        data += connection.recv(count - len(data)) or _gone()
    return data


def _gone() -> bytes:
    raise OSError("the client has gone")


@contextlib.contextmanager
def _running(begin: Callable[[socket.socket, Proxying], bool], to: int, tls: ssl.SSLContext | None) -> Iterator[Proxying]:
    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with contextlib.suppress(OSError):
                connection = tls.wrap_socket(self.request, server_side=True) if tls else self.request
                with connection:
                    if begin(connection, proxying):
                        with socket.create_connection(("127.0.0.1", to), LIMIT_S) as far:
                            back = threading.Thread(target=_copy, args=(far, connection))
                            back.start()
                            _copy(connection, far)
                            back.join(LIMIT_S)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        proxying = Proxying(server.server_address[1])
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield proxying
        finally:
            server.shutdown()
            thread.join(LIMIT_S)


def _copy(one: socket.socket, other: socket.socket) -> None:
    """Pass bytes on until the end, and the end too."""
    with contextlib.suppress(OSError):
        while data := one.recv(65536):
            other.sendall(data)
    with contextlib.suppress(OSError):
        other.shutdown(socket.SHUT_WR)
