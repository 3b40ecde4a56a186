"""The stand-in realtime LLM as a WebSocket server on this machine: the process, its door and what its connections share.

`run_realtime` is the process, `serve` the coroutine. One asyncio loop carries every connection; synthesis and transcription
run in threads, because either would hold up the sound of the other calls.
"""

import asyncio
import hmac
import signal
from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from websockets.asyncio.server import Server, ServerConnection
from websockets.asyncio.server import serve as serve_websockets
from websockets.http11 import Request, Response

from adapters.standin.client_log import ClientLog
from adapters.standin.dialogue import BluebirdCycles, Dialogue
from adapters.standin.ears import Transcriber
from adapters.standin.realtime_connection import House, Pace, Speech
from adapters.standin.voice import Voice

PATH = "/v1/realtime"
MESSAGE_BYTES = 24 * 2**20
"""A base64 message of 15 MiB of sound, and room to refuse what is a little longer with an event."""

CLOSE_S = 2.0
"""How long a client may take to answer a close frame."""


def run_realtime(
    port: int,
    *,
    host: str = "127.0.0.1",
    key: str | None = None,
    dialogue: Dialogue | None = None,
    pace: Pace | None = None,
    log: Path | None = None,
) -> None:
    """Be the server until SIGTERM or SIGINT; prints one line, `ready ws://…`, when it takes connections. OSError when it cannot listen."""
    asyncio.run(_until_told(port, host=host, key=key, dialogue=dialogue, pace=pace, log=log))


async def serve(
    *,
    port: int,
    host: str = "127.0.0.1",
    key: str | None = None,
    dialogue: Dialogue | None = None,
    pace: Pace | None = None,
    on_ready: Callable[[str], None],
    log: Path | None = None,
    voice: Speech | None = None,
) -> None:
    """Serve until cancelled; `on_ready` is told the URL, with the port that port 0 became.

    With a `key` a client must send it as a bearer token. `log` receives the client's events, a JSON line each, sound
    replaced by its size. OSError when the port is taken or the log cannot be written; RuntimeError without a voice.
    """
    transcriber = Transcriber()
    spoken, _ = await asyncio.gather(_loaded(voice), asyncio.to_thread(transcriber.load))
    with ClientLog(log) as notes:
        house = House(dialogue or BluebirdCycles(), pace or Pace(), spoken, transcriber, notes)
        async with serve_websockets(
            house.receive,
            host,
            port,
            process_request=_door(key),
            max_size=MESSAGE_BYTES,
            compression=None,
            close_timeout=CLOSE_S,
        ) as server:
            on_ready(f"ws://{host}:{_port_of(server)}{PATH}")
            await server.wait_closed()


async def _until_told(port: int, **settings: Any) -> None:
    """Serve until a signal comes."""
    serving = asyncio.ensure_future(serve(port=port, on_ready=_print_ready, **settings))
    loop = asyncio.get_running_loop()
    for one in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(one, serving.cancel)
    await asyncio.wait([serving])
    if not serving.cancelled():
        serving.result()


def _print_ready(url: str) -> None:
    print(f"ready {url}", flush=True)


async def _loaded(voice: Speech | None) -> Speech:
    return await asyncio.to_thread(Voice.load) if voice is None else voice


def _port_of(server: Server) -> int:
    return int(next(iter(server.sockets)).getsockname()[1])


def _door(key: str | None) -> Callable[[ServerConnection, Request], Response | None]:
    """What lets a client in: the path, and the key where there is one."""

    def judge(connection: ServerConnection, request: Request) -> Response | None:
        if urlsplit(request.path).path != PATH:
            return connection.respond(HTTPStatus.NOT_FOUND, f"There is no WebSocket here: connect to {PATH}.\n")
        given = request.headers.get("Authorization", "")
        if key is not None and not hmac.compare_digest(given.encode(errors="replace"), f"Bearer {key}".encode()):
            return connection.respond(HTTPStatus.UNAUTHORIZED, "The API key is missing or not accepted.\n")
        return None

    return judge
