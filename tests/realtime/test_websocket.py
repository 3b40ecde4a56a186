"""The WebSocket client against real servers on loopback, on asyncio and trio."""

import contextlib
import logging
import math
import queue
import socket
import ssl
import struct
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import anyio
import anyio.abc
import anyio.lowlevel
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.server import ServerConnection, serve
from websockets.utils import accept_key

from adapters.realtime.websocket import FRAMES_HZ, TURN, WebSocket, WebSocketClosed, WebSocketError, connect
from adapters.seam.budget import BURST_S
from tests.shared.shell import PATIENCE_S, each_backend, until

pytestmark = each_backend
SECRET = "sk-verysecret"
TOO_MUCH = "x" * 8_000_000
"""More than two sockets hold."""


@contextlib.contextmanager
def serving(handler: Callable[[ServerConnection], None], **options: object) -> Iterator[str]:
    """A WebSocket server in threads of its own; yields its URL."""
    with serve(handler, "127.0.0.1", 0, **options) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"{'wss' if 'ssl' in options else 'ws'}://127.0.0.1:{server.socket.getsockname()[1]}"
        finally:
            server.shutdown()
            thread.join(PATIENCE_S)


@contextlib.contextmanager
def raw_server(behave: Callable[[socket.socket], None]) -> Iterator[int]:
    """A TCP server that does what it is told with its one connection, and holds it open to the end; yields its port."""
    over = threading.Event()

    def accept() -> None:
        with contextlib.suppress(OSError):
            connection, _ = listener.accept()
            with connection:
                behave(connection)
                over.wait(PATIENCE_S)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=accept)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            over.set()
            listener.close()
            thread.join(PATIENCE_S)


def shake_hands(connection: socket.socket) -> None:
    """Agree to a WebSocket and then fall silent for ever."""
    request = connection.recv(65536).decode()
    key = next(line.split(": ")[1] for line in request.split("\r\n") if line.startswith("Sec-WebSocket-Key"))
    answer = (
        f"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept_key(key)}\r\n\r\n"
    )
    connection.sendall(answer.encode())


def echo(ws: ServerConnection) -> None:
    for message in ws:
        ws.send(message)


async def collect(ws: WebSocket) -> list[str]:
    with anyio.fail_after(PATIENCE_S):
        return [text async for text in ws]


async def take(ws: WebSocket) -> str:
    with anyio.fail_after(PATIENCE_S):
        return await anext(aiter(ws))


@pytest.mark.parametrize("text", ["", "hello", "grüße 👋", "x" * 3_000_000], ids=["empty", "short", "unicode", "3 MB"])
async def test_a_message_comes_back_as_it_went(text: str) -> None:
    with serving(echo, max_size=None) as url:
        async with connect(url) as ws:
            ws.send(text)
            assert await take(ws) == text


async def test_a_fragmented_message_is_one_message() -> None:
    def fragments(ws: ServerConnection) -> None:
        ws.send(["one ", "mess", "age"])
        ws.send("another")

    with serving(fragments) as url:
        async with connect(url) as ws:
            assert await collect(ws) == ["one message", "another"]


async def test_a_message_that_arrives_byte_by_byte_is_one_message() -> None:
    def dribble(connection: socket.socket) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        shake_hands(connection)
        for byte in b"\x81\x07message\x89\x00\x01\x03one\x80\x04 two":
            connection.sendall(bytes([byte]))

    with raw_server(dribble) as port:
        async with connect(f"ws://127.0.0.1:{port}", close_timeout_s=0.05) as ws:
            assert [await take(ws), await take(ws)] == ["message", "one two"]


async def test_a_reader_who_takes_their_time_gets_every_message_in_order() -> None:
    def hurry(ws: ServerConnection) -> None:
        for number in range(300):
            ws.send(str(number) * 1000)

    with serving(hurry) as url:
        got = []
        async with connect(url) as ws:
            with anyio.fail_after(PATIENCE_S):
                async for text in ws:
                    await anyio.lowlevel.checkpoint()
                    got.append(text)
    assert got == [str(number) * 1000 for number in range(300)]


async def test_bytes_that_are_no_utf8_do_not_end_the_connection() -> None:
    def garble(ws: ServerConnection) -> None:
        ws.send(b"\xff\xfe", text=True)
        ws.send("fine")

    with serving(garble) as url:
        async with connect(url) as ws:
            assert await collect(ws) == ["��", "fine"]


async def test_a_ping_of_the_server_is_answered_while_messages_are_sent() -> None:
    def ping(ws: ServerConnection) -> None:
        pongs = []
        for _ in range(100):
            pongs.append(ws.ping())
            assert ws.recv(PATIENCE_S) == "x" * 100_000
        ws.send(str(sum(pong.wait(PATIENCE_S) for pong in pongs)))

    async def send_all(ws: WebSocket) -> None:
        for _ in range(100):
            ws.send("x" * 100_000)
            await anyio.lowlevel.checkpoint()

    with serving(ping) as url:
        async with connect(url) as ws, anyio.create_task_group() as tasks:
            tasks.start_soon(send_all, ws)
            assert await take(ws) == "100"


@pytest.mark.parametrize(("code", "reason"), [(1000, ""), (1001, "going away"), (1011, "internal error"), (4000, "session over")])
async def test_the_code_and_reason_of_a_close_are_told(code: int, reason: str) -> None:
    def leave(ws: ServerConnection) -> None:
        ws.send("last words")
        ws.close(code, reason)

    with serving(leave) as url:
        async with connect(url) as ws:
            assert not ws.close_reason
            assert await collect(ws) == ["last words"]
            assert f"{ws.close_code} {ws.close_reason}" == f"{code} {reason}"
            with pytest.raises(WebSocketClosed):
                ws.send("too late")


async def test_a_connection_that_breaks_off_ends_with_1006() -> None:
    def break_off(ws: ServerConnection) -> None:
        ws.socket.shutdown(socket.SHUT_RDWR)

    with serving(break_off) as url:
        async with connect(url) as ws:
            assert await collect(ws) == []
            assert (ws.close_code, ws.close_reason) == (1006, "the connection ended without a close frame")


async def test_a_server_that_answers_no_ping_is_given_up_as_half_open() -> None:
    with raw_server(shake_hands) as port:
        async with connect(f"ws://127.0.0.1:{port}", ping_interval_s=0.05, ping_timeout_s=0.05, close_timeout_s=0.1) as ws:
            assert await collect(ws) == []
            assert ws.close_code == 1006
            assert ws.close_reason == "half-open: no answer to a ping within 0.05 s"


async def test_a_quiet_server_is_pinged_and_kept_while_it_answers() -> None:
    def answer_pings(connection: socket.socket) -> None:
        shake_hands(connection)
        for _ in range(5):
            assert connection.recv(6, socket.MSG_WAITALL)[0] == 0x89
            connection.sendall(b"\x8a\x00")
        connection.sendall(b"\x81\x05alive")

    with raw_server(answer_pings) as port:
        async with connect(f"ws://127.0.0.1:{port}", ping_interval_s=0.02, close_timeout_s=0.1) as ws:
            assert await take(ws) == "alive"


async def test_a_server_that_takes_no_bytes_is_given_up_as_half_open() -> None:
    with raw_server(shake_hands) as port:
        async with connect(f"ws://127.0.0.1:{port}", write_timeout_s=0.1, close_timeout_s=0.1) as ws:
            ws.send(TOO_MUCH)
            assert not ws.has_room
            assert await collect(ws) == []
            assert (ws.close_code, ws.close_reason) == (1006, "half-open: the server took no bytes for 0.1 s")
            with pytest.raises(WebSocketClosed, match="half-open: the server took no bytes"):
                ws.send("more")


async def test_a_stall_while_somebody_reads_is_noticed_too() -> None:
    with raw_server(shake_hands) as port:
        async with connect(f"ws://127.0.0.1:{port}", write_timeout_s=0.1, close_timeout_s=0.1) as ws, anyio.create_task_group() as tasks:
            tasks.start_soon(collect, ws)
            await anyio.wait_all_tasks_blocked()
            ws.send(TOO_MUCH)
        assert ws.close_reason == "half-open: the server took no bytes for 0.1 s"


async def test_a_server_that_goes_while_it_takes_no_bytes_is_noticed_before_the_stall_is_over() -> None:
    stalled = threading.Event()

    def go(connection: socket.socket) -> None:
        shake_hands(connection)
        stalled.wait(PATIENCE_S)
        connection.shutdown(socket.SHUT_WR)

    with raw_server(go) as port:
        async with connect(f"ws://127.0.0.1:{port}", write_timeout_s=math.inf, close_timeout_s=0.1) as ws:
            ws.send(TOO_MUCH)
            stalled.set()
            assert await collect(ws) == []
            assert (ws.close_code, ws.close_reason) == (1006, "the connection ended without a close frame")


async def test_a_server_that_takes_its_bytes_late_gets_them_all_in_order_and_we_are_told_of_the_room() -> None:
    reading, told = threading.Event(), list[bool]()

    def read_late(ws: ServerConnection) -> None:
        reading.wait(PATIENCE_S)
        ws.send(",".join(f"{text[:5]} {len(text)}" for text in (str(ws.recv(PATIENCE_S)) for _ in range(3))))
        with contextlib.suppress(ConnectionClosed):
            ws.recv(PATIENCE_S)

    with serving(read_late, max_size=None) as url:
        async with connect(url, drained=lambda: told.append(True), write_timeout_s=PATIENCE_S) as ws:
            assert ws.has_room
            for word in ("one  ", "two  ", "three"):
                ws.send(word + TOO_MUCH)
            assert not ws.has_room
            # The server's own thread may have taken the first while the second was sent: there was room between.
            before = len(told)
            reading.set()
            assert await take(ws) == ",".join(f"{word} {len(TOO_MUCH) + 5}" for word in ("one  ", "two  ", "three"))
            await until(lambda: len(told) > before)
            assert ws.has_room


async def test_a_send_on_a_broken_connection_is_told_without_a_reader() -> None:
    def reset(connection: socket.socket) -> None:
        shake_hands(connection)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.close()

    with raw_server(reset) as port:
        async with connect(f"ws://127.0.0.1:{port}") as ws:
            with pytest.raises(WebSocketClosed), anyio.fail_after(PATIENCE_S):
                while True:
                    ws.send("x" * 100)
                    await anyio.lowlevel.checkpoint()
            assert await collect(ws) == []
            assert ws.close_code == 1006
            assert not ws.has_room


async def test_after_our_close_nothing_is_sent() -> None:
    with serving(echo) as url:
        async with connect(url) as ws:
            await ws.close(4001, "enough")
            assert (ws.close_code, ws.close_reason) == (4001, "enough")
            assert not ws.has_room
            with pytest.raises(WebSocketClosed):
                ws.send("too late")
            await ws.close()


async def test_what_a_block_raises_comes_out_as_it_is() -> None:
    with serving(echo) as url, pytest.raises(ZeroDivisionError):
        async with connect(url):
            raise ZeroDivisionError


async def test_a_server_that_says_goodbye_and_does_not_hang_up_is_left_in_time() -> None:
    def linger(connection: socket.socket) -> None:
        shake_hands(connection)
        connection.sendall(b"\x88\x02\x03\xe9")

    with raw_server(linger) as port:
        async with connect(f"ws://127.0.0.1:{port}", close_timeout_s=0.05) as ws:
            assert await collect(ws) == []
            assert ws.close_code == 1001


async def test_a_message_longer_than_the_limit_ends_the_connection_with_1009() -> None:
    def boast(ws: ServerConnection) -> None:
        ws.send("x" * 2000)

    with serving(boast) as url:
        async with connect(url, max_size=1000) as ws:
            assert await collect(ws) == []
            assert ws.close_code == 1009


async def test_leaving_the_block_closes_politely() -> None:
    codes: queue.Queue[int | None] = queue.Queue()

    def note(ws: ServerConnection) -> None:
        with contextlib.suppress(ConnectionClosed):
            ws.recv(PATIENCE_S)
        codes.put(ws.close_code)

    with serving(note) as url:
        async with connect(url):
            pass
        assert codes.get(timeout=PATIENCE_S) == 1000
        with anyio.CancelScope() as scope:
            async with connect(url) as ws:
                scope.cancel()
                await take(ws)
        assert codes.get(timeout=PATIENCE_S) == 1000


async def test_a_server_that_does_not_answer_a_close_is_left_in_time() -> None:
    with raw_server(shake_hands) as port, anyio.fail_after(PATIENCE_S):
        async with connect(f"ws://127.0.0.1:{port}", close_timeout_s=0.05) as ws:
            await ws.close()
            assert (ws.close_code, ws.close_reason) == (1006, "the server did not answer our close frame")


async def test_a_reader_that_gives_up_waiting_loses_no_message() -> None:
    with serving(echo) as url:
        async with connect(url) as ws:
            with anyio.move_on_after(0.01):
                await take(ws)
            ws.send("kept")
            assert await take(ws) == "kept"


@pytest.mark.parametrize(
    ("status", "words"), [(401, "the key is missing or not accepted"), (403, "may not be used"), (503, "did not agree")]
)
async def test_a_refusal_is_told_in_one_line_with_its_status(status: int, words: str) -> None:
    with (
        serving(echo, process_request=lambda ws, _: ws.respond(status, SECRET)) as url,
        pytest.raises(WebSocketError, match=words) as caught,
    ):
        async with connect(f"{url}/path?token={SECRET}", headers={"Authorization": f"Bearer {SECRET}"}):
            pass
    assert caught.value.status == status
    assert_plain(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "http://127.0.0.1/",
        "ws://",
        "ws://127.0.0.1:x/",
        "ws://[::1/",
        "ws://h/#f",
        "ws://h:99999/",
        f"wss:/{SECRET}",
        f"ws://{SECRET}@h/",
    ],
)
async def test_what_is_no_websocket_url_is_told_in_one_line(url: str) -> None:
    with pytest.raises(WebSocketError, match="no WebSocket URL") as caught:
        async with connect(url):
            pass
    assert_plain(caught.value)


async def test_a_refused_connection_is_told_in_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(WebSocketError, match=f"could not connect to 127.0.0.1:{port}: connection refused") as caught:
        async with connect(f"ws://127.0.0.1:{port}/{SECRET}"):
            pass
    assert_plain(caught.value)


async def test_a_host_all_of_whose_addresses_refuse_is_told_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in ("127.0.0.1", "127.0.0.2")]

    def two(*_: object, **__: object) -> list[object]:
        return list(found)

    monkeypatch.setattr(socket, "getaddrinfo", two)
    with pytest.raises(WebSocketError, match=f"could not connect to two.example:{port}: connection refused") as caught:
        async with connect(f"ws://two.example:{port}/{SECRET}"):
            pass
    assert_plain(caught.value)


@pytest.mark.parametrize("answer", [b"220 mail.example ESMTP\r\n\r\n", b"\xff" * 20 + b"\r\n", b"HTTP/1.1 101 Fine\r\n\r\n", b""])
async def test_a_server_of_another_kind_is_told_in_one_line(answer: bytes) -> None:
    def answer_so(connection: socket.socket) -> None:
        if not answer.startswith(b"220"):
            connection.recv(65536)
        connection.sendall(answer)
        connection.shutdown(socket.SHUT_RDWR)

    with raw_server(answer_so) as port, pytest.raises(WebSocketError, match="is not a WebSocket server") as caught:
        async with connect(f"ws://127.0.0.1:{port}"):
            pass
    assert_plain(caught.value)


async def test_a_server_that_does_not_answer_is_told_in_one_line() -> None:
    with raw_server(lambda _: None) as port, pytest.raises(WebSocketError, match=r"did not answer within 0\.1 s") as caught:
        async with connect(f"ws://127.0.0.1:{port}", open_timeout_s=0.1):
            pass
    assert_plain(caught.value)


async def test_tls_to_a_server_without_tls_is_told_in_one_line() -> None:
    with serving(echo) as url, pytest.raises(WebSocketError, match="does it speak TLS") as caught:
        async with connect(url.replace("ws://", "wss://")):
            pass
    assert_plain(caught.value)


async def test_a_server_may_agree_long_after_it_took_the_request() -> None:
    """The request waited for room for a moment: its deadline for that is over, and there is nothing to ping before a server agrees."""

    def agree_late(connection: socket.socket) -> None:
        time.sleep(1.5)
        shake_hands(connection)

    with raw_server(agree_late) as port:
        async with connect(
            f"ws://127.0.0.1:{port}", open_timeout_s=PATIENCE_S, write_timeout_s=1.0, ping_interval_s=0.1, close_timeout_s=0.1
        ) as ws:
            assert ws.close_code is None


async def test_a_header_with_a_line_break_is_refused_without_showing_it() -> None:
    with pytest.raises(WebSocketError, match="'Authorization'") as caught:
        async with connect("ws://127.0.0.1:1", headers={"Authorization": f"Bearer {SECRET}\n"}):
            pass
    assert_plain(caught.value)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed certificate for 127.0.0.1 and its key, in one file."""
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    made = subprocess.run(
        [*command, "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", "-", "-out", "-"],
        capture_output=True,
        check=True,
        timeout=PATIENCE_S,
    )
    path.write_bytes(made.stdout)
    return path


@pytest.mark.needs("openssl")
async def test_an_unknown_certificate_is_refused_and_a_known_one_taken(certificate: Path) -> None:
    server_tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_tls.load_cert_chain(certificate)
    with serving(echo, ssl=server_tls, max_size=None) as url:
        with pytest.raises(WebSocketError, match=r"TLS with 127.0.0.1:.* failed: self.signed certificate") as caught:
            async with connect(url):
                pass
        assert_plain(caught.value)
        async with connect(url, tls=ssl.create_default_context(cafile=str(certificate))) as ws:
            ws.send("x" * 1_000_000)
            assert len(await take(ws)) == 1_000_000
            await ws.close()
            assert ws.close_code == 1000


@pytest.mark.needs("openssl")
async def test_a_server_that_takes_no_bytes_over_tls_is_given_up_as_half_open(certificate: Path) -> None:
    server_tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_tls.load_cert_chain(certificate)
    wrapped = contextlib.ExitStack()

    def shake_both_hands(connection: socket.socket) -> None:
        shake_hands(wrapped.enter_context(server_tls.wrap_socket(connection, server_side=True)))

    known = ssl.create_default_context(cafile=str(certificate))
    with wrapped, raw_server(shake_both_hands) as port:
        async with connect(f"wss://127.0.0.1:{port}", tls=known, write_timeout_s=0.1, close_timeout_s=0.1) as ws:
            assert ws.has_room
            ws.send(TOO_MUCH)
            ws.send("and a little more")
            assert not ws.has_room
            assert await collect(ws) == []
            assert ws.close_reason == "half-open: the server took no bytes for 0.1 s"


async def test_no_secret_is_logged_or_shown(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with serving(echo, logger=logging.Logger("server")) as url:
        async with connect(f"{url}/?token={SECRET}", headers={"Authorization": f"Bearer {SECRET}"}, ping_interval_s=math.inf) as ws:
            ws.send(SECRET)
            await take(ws)
            assert SECRET not in repr(ws)
    assert SECRET not in caplog.text


def assert_plain(error: WebSocketError) -> None:
    assert SECRET not in f"{error!r}{error}"
    assert "\n" not in str(error)
    assert len(str(error)) < 160


@pytest.mark.parametrize("ends", [False, True])
async def test_what_a_server_says_unasked_and_too_early_is_no_websocket(ends: bool) -> None:
    """An SMTP server greets at once; it may be read before we have asked, and may end there too (R59)."""

    async def greet(stream: anyio.abc.SocketStream) -> None:
        async with stream:
            await stream.send(b"220 mail.example ESMTP\r\n")
            if not ends:
                await anyio.sleep_forever()

    async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, greet)
        port = listener.extra(anyio.abc.SocketAttribute.local_port)
        for _ in range(20):
            with pytest.raises(WebSocketError, match="is not a WebSocket server"):
                async with connect(f"ws://127.0.0.1:{port}/"):
                    pass
        tasks.cancel_scope.cancel()


async def test_a_server_that_sends_faster_than_anybody_speaks_is_left_and_others_have_their_turn() -> None:
    """The connection ends with a reason, after no more messages than half a minute of speech has, and another task never waits for it."""
    flood = int(FRAMES_HZ * BURST_S * 2)

    def handler(ws: ServerConnection) -> None:
        with contextlib.suppress(ConnectionClosed):
            for _ in range(flood):
                ws.send('{"type": "unknown"}')

    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await anyio.lowlevel.checkpoint()

    with serving(handler) as url:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(other)
            async with connect(url) as ws:
                taken = [text async for text in ws]
            tasks.cancel_scope.cancel()
    assert FRAMES_HZ * BURST_S <= len(taken) < flood
    assert ws.close_reason == "the server sent faster than anybody speaks"
    assert turns > len(taken) / TURN / 2


async def test_a_server_that_pings_without_end_is_left() -> None:
    """R106: each ping costs an answer; a ping a second for as long as a call may last is none of that."""

    def handler(ws: ServerConnection) -> None:
        with contextlib.suppress(ConnectionClosed):
            for _ in range(int(FRAMES_HZ * BURST_S)):
                ws.ping()

    with serving(handler) as url:
        reason = ""
        try:
            async with connect(url) as ws:
                assert await collect(ws) == []
            reason = ws.close_reason
        except WebSocketError as error:
            # They came with the handshake's answer.
            reason = str(error)
    assert reason.endswith("the server sent faster than anybody speaks")
