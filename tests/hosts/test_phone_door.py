"""Claims about the door of the phone server: silence costs nothing, floods are told and closed, health always answers (R106)."""

import contextlib
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import httpx
import pytest
import uvicorn
from anyio.abc import SocketStream
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.frames import Frame, Opcode

from adapters.hosts.phone import door as doors
from adapters.hosts.phone.calls import Refused
from adapters.hosts.phone.door import FRAMES_HZ, OCTETS_HZ, SLICE, WAITING, Door
from adapters.seam.budget import BURST_S, Budget
from adapters.standin.twilio.stream import Hung
from tests.shared.phone_model import exchange
from tests.shared.shell import PATIENCE_S, until
from tests.shared.telephone import Silent

HALF = b"POST /voice HTTP/1.1\r\nHost: 127.0.0.1\r\n"
FORM = b"POST /voice HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 10\r\n\r\nCall"


async def until_closed(stream: SocketStream) -> bytes:
    """All that the server says until it closes."""
    said = b""
    with anyio.fail_after(PATIENCE_S), contextlib.suppress(anyio.EndOfStream, anyio.BrokenResourceError):
        while True:
            said += await stream.receive()
    await stream.aclose()
    return said


async def _ok(_: Request) -> Response:
    return Response("ok")


@asynccontextmanager
async def door(*routes: BaseRoute, most: int = 4, head_s: float = 0.1, local: bool = True) -> AsyncIterator[tuple[Door, list[Refused]]]:
    """A door alone."""
    refused: list[Refused] = []
    app = Starlette(routes=[*routes, Route("/", _ok), Route("/healthz", _ok)])
    one = Door(app, "127.0.0.1", 0, most, note=lambda why, _: refused.append(why), head_s=head_s, local=local)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(one.serve, [one.listener])
        try:
            yield one, refused
        finally:
            one.should_exit = True


# Silence.


@pytest.mark.parametrize("words", [b"", b"P", HALF, FORM])
async def test_callers_come_in_past_any_number_of_connections_that_say_nothing_whole(words: bytes) -> None:
    """R106: more of them than the server serves calls, on both ports; health and metrics answer as ever, and a call is held to its end."""
    async with exchange(max_calls=2) as phone, httpx.AsyncClient() as client:
        silent = []
        for url in (phone.server.url, phone.server.metrics_url):
            for _ in range(WAITING + 50):
                silent.append(await anyio.connect_tcp("127.0.0.1", httpx.URL(url).port))
                if words:
                    await silent[-1].send(words)
        for url in (f"{phone.server.url}/healthz", f"{phone.server.metrics_url}/healthz", f"{phone.server.metrics_url}/metrics"):
            assert (await client.get(url)).status_code == 200
        call = await phone.dial(phone.place(Silent(40)))
        assert call.hung is Hung.CALLER
        assert call.stream.counts["frames of the agent"] > 5
        assert phone.count("refused_total", why="silent") >= 100
        for stream in silent:
            await stream.aclose()


@pytest.mark.parametrize("words", [b"", b"P", HALF, FORM])
async def test_a_connection_that_says_nothing_whole_in_time_is_closed(words: bytes) -> None:
    async with door() as (one, refused):
        stream = await anyio.connect_tcp("127.0.0.1", httpx.URL(one.url).port)
        if words:
            await stream.send(words)
        await until_closed(stream)
        assert refused == [Refused.SILENT]


async def test_half_a_request_after_a_whole_one_has_the_same_time() -> None:
    async with door() as (one, refused):
        stream = await anyio.connect_tcp("127.0.0.1", httpx.URL(one.url).port)
        await stream.send(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        assert b"200 OK" in await stream.receive()
        await stream.send(HALF)
        await until_closed(stream)
        assert refused == [Refused.SILENT]


async def test_a_connection_kept_for_the_next_request_is_closed_without_blame() -> None:
    async with door() as (one, refused):
        stream = await anyio.connect_tcp("127.0.0.1", httpx.URL(one.url).port)
        await stream.send(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        assert b"200 OK" in await until_closed(stream)
        assert refused == []


async def test_an_answer_that_nobody_takes_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who asks for much and reads nothing would hold a place for ever."""
    monkeypatch.setattr(doors, "ANSWER_S", 0.1)

    async def much(_: Request) -> Response:
        return Response(b"x" * 20_000_000)

    async with door(Route("/much", much)) as (one, refused):
        stream = await anyio.connect_tcp("127.0.0.1", httpx.URL(one.url).port)
        await stream.send(b"GET /much HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        await until(lambda: refused and not one.server_state.tasks)
        await stream.aclose()


async def test_health_answers_while_everything_else_is_too_much() -> None:
    began, go = anyio.Event(), anyio.Event()

    async def slow(_: Request) -> Response:
        began.set()
        await go.wait()
        return Response("slow")

    async with door(Route("/slow", slow), most=1, head_s=10) as (one, refused), httpx.AsyncClient(base_url=one.url) as client:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(client.get, "/slow")
            await began.wait()
            assert (await client.get("/")).status_code == 503
            assert (await client.get("/healthz")).status_code == 200
            assert refused == [Refused.OVERLOADED]
            go.set()
        assert (await client.get("/")).status_code == 200


# Floods.


async def _fragments(ws: ClientConnection) -> None:
    """One message without an end, of fragments without anything in them."""
    first = ws.protocol.state.name == "OPEN" and not getattr(ws, "begun", False)
    ws.begun = True
    ws.transport.write(Frame(Opcode.TEXT if first else Opcode.CONT, b"", fin=False).serialize(mask=True))
    await anyio.sleep(0)


FLOODS: dict[str, Callable[[ClientConnection], Awaitable[Any]]] = {
    "texts": lambda ws: ws.send(json.dumps({"event": "media", "media": {"payload": "/w=="}})),
    "large": lambda ws: ws.send("x" * 60_000),
    "pings": lambda ws: ws.ping(),
    "pongs": lambda ws: ws.pong(),
    "fragments": _fragments,
}


@pytest.mark.parametrize("what", FLOODS.values(), ids=FLOODS)
async def test_a_stream_that_sends_faster_than_anybody_speaks_is_told_so_and_closed(
    what: Callable[[ClientConnection], Awaitable[Any]],
) -> None:
    async with exchange(token=None, start_s=PATIENCE_S) as phone:
        url = f"ws://127.0.0.1:{httpx.URL(phone.server.url).port}/stream"
        async with connect(url, compression=None, ping_interval=None) as ws:
            sent = 0
            with contextlib.suppress(ConnectionClosed):
                while sent < 4 * BURST_S * FRAMES_HZ:
                    await what(ws)
                    sent += 1
                    if ws.transport.is_closing():
                        break
            await ws.wait_closed()
            assert (ws.close_code, ws.close_reason) == (1008, "faster than real time")
        assert phone.count("refused_total", why="too_fast") == 1
        assert (await phone.dial(phone.place(Silent(5), token=None))).hung is Hung.CALLER


@pytest.mark.parametrize("frame", [Frame(Opcode.TEXT, b"{}"), Frame(Opcode.PING, b"")])
async def test_between_two_slices_of_a_flood_others_have_their_turn(frame: Frame, monkeypatch: pytest.MonkeyPatch) -> None:
    """R106: what came at once is not taken at once, however much of it the system has in hand."""
    came, most = 0, 0
    takes = Budget.takes

    def counted(budget: Budget, amount: float) -> bool:
        nonlocal came
        came += amount == 1
        return takes(budget, amount)

    async def listen(websocket: WebSocket) -> None:
        await websocket.accept()
        with contextlib.suppress(WebSocketDisconnect):
            while True:
                await websocket.receive_text()

    monkeypatch.setattr(Budget, "takes", counted)
    flood = frame.serialize(mask=True) * 2_000
    async with (
        door(WebSocketRoute("/stream", listen)) as (one, _),
        connect(f"ws://127.0.0.1:{httpx.URL(one.url).port}/stream", compression=None, ping_interval=None) as ws,
    ):
        ws.transport.write(flood)
        while came < 2_000:
            before = came
            await anyio.sleep(0)
            most = max(most, came - before)
    assert most <= SLICE / len(flood) * 2_000 + 1


def test_a_stream_may_catch_up_after_a_network_that_stood_still() -> None:
    """Half a minute of a caller's sound comes at once, then goes on as somebody speaks."""
    now_s = 0.0
    messages, octets = (Budget(hz, now_s=lambda: now_s) for hz in (FRAMES_HZ, OCTETS_HZ))
    assert all(messages.takes(1) and octets.takes(320) for _ in range(30 * 50))
    for _ in range(60 * 50):
        now_s += 0.02
        assert messages.takes(1) and octets.takes(320)


# Who may come.


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "localhost:1"}, 200),
        ({"Host": "[::1]:1"}, 200),
        ({"Host": "127.0.0.1", "Origin": "http://localhost:3000"}, 200),
        ({"Host": "evil.example"}, 403),
        ({"Host": "127.0.0.1.evil.example"}, 403),
        ({"Host": "127.0.0.1", "Origin": "https://evil.example"}, 403),
        ({"Host": "127.0.0.1", "Origin": "null"}, 403),
        ({"Host": "[", "Origin": "http://["}, 403),
    ],
)
async def test_without_a_token_only_this_machine_is_served(headers: dict[str, str], status: int) -> None:
    """A page elsewhere can have its own name lead a browser to 127.0.0.1, or send it here with an Origin of its own."""
    async with exchange(token=None) as phone, httpx.AsyncClient() as client:
        for url in (f"{phone.server.url}/healthz", f"{phone.server.metrics_url}/metrics"):
            assert (await client.get(url, headers=headers)).status_code == status
        form = {"CallSid": "CA1", "AccountSid": "AC1"}
        assert (await client.post(f"{phone.server.url}/voice", headers=headers, data=form)).status_code == status
        if status == 403:
            port = httpx.URL(phone.server.url).port
            origin = {name: value for name, value in headers.items() if name == "Origin"}
            with socket.create_connection(("127.0.0.1", port)) as sock, pytest.raises(InvalidStatus) as refused:
                sock.setblocking(False)
                async with connect(f"ws://{headers['Host'].replace('[', 'a')}/stream", sock=sock, additional_headers=origin):
                    pass
            assert refused.value.response.status_code == 403
            assert phone.count("refused_total", why="foreign") == 4


async def test_with_a_token_the_signature_says_who_may_come() -> None:
    """Twilio comes by the server's public name, which no list of ours knows."""
    async with exchange() as phone, httpx.AsyncClient() as client:
        answer = await client.get(f"{phone.server.url}/healthz", headers={"Host": "phone.example.com"})
        assert answer.status_code == 200
        assert (await phone.dial(phone.place(Silent(5)))).hung is Hung.CALLER


async def test_a_stream_whose_end_nobody_takes_is_broken_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that is refused and reads nothing leaves nothing behind."""
    monkeypatch.setattr(doors, "ANSWER_S", 0.1)
    async with exchange(token=None, start_s=0.1) as phone:
        url = f"ws://127.0.0.1:{httpx.URL(phone.server.url).port}/stream"
        ws = await connect(url, compression=None, ping_interval=None)
        ws.transport.pause_reading()
        await until(lambda: phone.count("refused_total", why="no_start"))
        ws.transport.resume_reading()
        with anyio.fail_after(PATIENCE_S):
            await ws.wait_closed()


# What it is made of.


async def test_uvicorn_has_what_the_door_is_made_of() -> None:
    """Its protocols are no public part of it: a release that changes them is named here, before anything else fails."""
    config = uvicorn.Config(lambda: None, log_config=None, lifespan="off")
    config.load()
    state = uvicorn.server.ServerState()
    visitor, stream = H11Protocol(config, state, {}), WebSocketsSansIOProtocol(config, state, {})
    needed = {
        visitor: "transport loop cycle conn connection_made data_received on_response_complete connection_lost handle_websocket_upgrade",
        stream: "transport loop conn close_sent data_received handle_text handle_bytes handle_cont handle_pong handle_ping run_asgi"
        " handle_parser_exception",
    }
    lacking = [f"{type(one).__name__}.{name}" for one, names in needed.items() for name in names.split() if not hasattr(one, name)]
    assert not lacking, f"uvicorn {uvicorn.__version__} lacks {', '.join(lacking)}"
