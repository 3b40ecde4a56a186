"""The stand-in realtime LLM as a WebSocket server on this machine: the process, its door and what its connections share.

`run_realtime` is the process, `serve` the coroutine. One asyncio loop carries every connection; synthesis and transcription
run in threads, because either would hold up the sound of the other calls.
"""

import asyncio
import hmac
import signal
from collections.abc import Callable, Coroutine, Iterable
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import attrs
from websockets.asyncio.server import ServerConnection, serve as serve_websockets
from websockets.http11 import Request, Response

from adapters.standin.client_log import ClientLog
from adapters.standin.dialogue import BluebirdCycles, Dialogue
from adapters.standin.ears import Transcriber
from adapters.standin.faults import Script
from adapters.standin.orders import Orders
from adapters.standin.realtime.connection import House, Pace, Speech
from adapters.standin.realtime.faults import REALTIME
from adapters.standin.realtime.lacks import Lacks
from adapters.standin.voice import Voice

HOST = "127.0.0.1"
PATH = "/v1/realtime"
MESSAGE_BYTES = 24 * 2**20
"""A base64 message of 15 MiB of sound, and room to refuse what is a little longer with an event."""

PING_S = 20.0
"""How often a client is asked whether it is there: the default of websockets."""
CLOSE_S = 2.0
"""How long a client may take to answer a close frame."""


def run_realtime(serving: Callable[..., Coroutine[Any, Any, None]]) -> None:
    """Be the server until SIGTERM or SIGINT: `serve` with its settings bound; prints one line, `ready ws://…`, when it takes connections.

    OSError when it cannot listen.
    """
    asyncio.run(_until_told(serving(on_ready=_print_ready)))


async def serve(
    *,
    port: int,
    key: str | None = None,
    dialogue: Dialogue | None = None,
    pace: Pace | None = None,
    on_ready: Callable[[str], None],
    log: Path | None = None,
    voice: Speech | None = None,
    transcriber: Transcriber | None = None,
    faults: Script | None = None,
    without: Iterable[str] = (),
    orders: Orders | None = None,
) -> None:
    """Serve until cancelled; `on_ready` is told the URL, with the port that port 0 became.

    With a `key` a client must send it as a bearer token. `log` receives the client's events, a JSON line each, sound
    replaced by its size, and the faults that struck; `faults` is a script of the REALTIME repertoire, `without` names from LACKS;
    `orders` are faults that come while it runs.
    OSError when the port is taken or the log cannot be written; RuntimeError without a voice.
    """
    ears, without = transcriber or Transcriber(), tuple(without)
    spoken, _ = await asyncio.gather(asyncio.to_thread(lambda: voice or Voice.load()), asyncio.to_thread(ears.load))
    with ClientLog(log) as notes:
        script = faults or Script(REALTIME)
        house = House(dialogue or BluebirdCycles(), _limited(pace or Pace(), script), spoken, ears, notes, script, Lacks(without))
        async with serve_websockets(
            house.receive,
            HOST,
            port,
            process_request=_door(key, house),
            process_response=_answer_a_subprotocol if "subprotocol" in without else None,
            max_size=MESSAGE_BYTES,
            compression=None,
            close_timeout=CLOSE_S,
            # A half-open connection would be found out by the server's own pings.
            ping_interval=None if script.holds("half_open") else PING_S,
        ) as server:
            if orders is not None:
                loop = asyncio.get_running_loop()
                orders.take = lambda fault: loop.call_soon_threadsafe(house.order, fault)
            on_ready(f"ws://{HOST}:{next(iter(server.sockets)).getsockname()[1]}{PATH}")
            try:
                await server.wait_closed()
            finally:
                house.let_go()


async def _until_told(served: Coroutine[Any, Any, None]) -> None:
    """Serve until a signal comes."""
    serving, loop = asyncio.ensure_future(served), asyncio.get_running_loop()
    for one in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(one, serving.cancel)
    await asyncio.wait([serving])
    if not serving.cancelled():
        serving.result()


def _print_ready(url: str) -> None:
    print(f"ready {url}", flush=True)


def _answer_a_subprotocol(_: ServerConnection, __: Request, response: Response) -> None:
    """Name a subprotocol, whatever was offered."""
    response.headers["Sec-WebSocket-Protocol"] = "realtime-by-the-server"


def _limited(pace: Pace, script: Script) -> Pace:
    """The pace with the script's limit of a session."""
    return attrs.evolve(pace, session_s=min(pace.session_s, float(script.settings.get("session_limit_s", pace.session_s))))


def _door(key: str | None, house: House) -> Callable[[ServerConnection, Request], Response | None]:
    """What lets a client in: the path, the key where there is one, and the script."""

    def judge(connection: ServerConnection, request: Request) -> Response | None:
        if urlsplit(request.path).path != PATH:
            return connection.respond(HTTPStatus.NOT_FOUND, f"There is no WebSocket here: connect to {PATH}.\n")
        given = request.headers.get("Authorization", "")
        if key is not None and not hmac.compare_digest(given.encode(errors="replace"), f"Bearer {key}".encode()):
            return connection.respond(HTTPStatus.UNAUTHORIZED, "The API key is missing or not accepted.\n")
        status = house.knock(connection)
        return None if status is None else connection.respond(HTTPStatus(status), "Refused by the fault script.\n")

    return judge
