"""HTTP as the Chatterbox port needs it: a client for one server, requests of bounded size and time, and every fault as one line."""

import socket
import ssl
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from enum import StrEnum
from functools import cache
from urllib.request import getproxies

import anyio
import attrs
import httpx

from adapters.chatterbox.servers import Server, detail_of, is_too_long, names_voice, object_in, root_of
from adapters.seam.errors import unkeyed
from adapters.seam.waits import refused_for_s

IDLE_S = 2.0
"""How long an unused connection is kept: less than the 5 s of uvicorn, which would close it just as we write."""
MAX_CONNECTIONS = 8
"""One sentence plays while the next is synthesised; the rest are cancelled ones that a server without /cancel still works on."""
MAX_ANSWER_BYTES = 1_000_000
"""The most that an answer without sound may hold: an /openapi.json takes some 100 kB."""
MAX_UNPACKED_BYTES = 4_000_000
"""The most that one part of a packed answer, of some 64 kB, may hold: zeros shrink to a thousandth, and are unpacked in memory."""
CONNECT_S = 3.0
"""How long a connection may take to be made: a host that is down does not refuse."""
TEXT_STATUSES = frozenset({400, 413, 422})
"""What is wrong is the text: another server would not like it either."""
PASSING_STATUSES = frozenset({408, 409, 425, 429, 500, 502, 503, 504})
"""Another attempt may succeed; 409: the server has not noticed yet that the connection of the first one is gone."""


class Blame(StrEnum):
    """Whose fault it is, and so what helps."""

    TEXT = "the text"
    """Nothing: the sentence is skipped."""
    LENGTH = "the text's length"
    """Two halves."""
    SERVER = "the server"
    """Another server."""
    MOMENT = "the moment"
    """The same again, after a pause."""
    ABSENCE = "nobody there"
    """The same: a server that is started again is back soon."""
    BUSY = "the load"
    """Patience: it is there and does something else, as loading its model or another synthesis."""
    CONNECTION = "the connection"
    """The same again, at once: a server that was restarted has closed the connection that we kept."""


class Fault(Exception):
    """A request that came to nothing; its text is one line.

    `wait_s` is the pause that the server asks for; `timed_out` says that it may still be at work.
    """

    def __init__(self, reason: str, blame: Blame, *, wait_s: float = 0.0, timed_out: bool = False) -> None:
        super().__init__(reason)
        self.blame = blame
        self.wait_s = wait_s
        self.timed_out = timed_out


@attrs.frozen
class Answer:
    """A whole answer."""

    status: int
    body: bytes
    allows: str = ""
    """The methods that its header Allow names."""


def client_of(server: Server) -> httpx.AsyncClient:
    """A client with connections of its own; our timeouts are of whole requests, so it has none, but for connecting.

    It goes through the proxy that the environment names. Raises ValueError, in one line, for a proxy that cannot be used.
    """
    root = root_of(server.url)
    # reading the certificates of all authorities takes 50 ms of the loop, and plain http without a proxy never looks at them
    verify = _trusted() if root.scheme == "https" or getproxies() else False
    # sound does not shrink, and whoever packs it keeps back what should be heard; what comes packed all the same is unpacked
    headers = {"Accept-Encoding": "identity", **({"Authorization": f"Bearer {server.key}"} if server.key else {})}
    limits, timeout = httpx.Limits(max_connections=MAX_CONNECTIONS, keepalive_expiry=IDLE_S), httpx.Timeout(None, connect=CONNECT_S)
    try:
        return httpx.AsyncClient(base_url=root, verify=verify, limits=limits, headers=headers, timeout=timeout)
    except (ValueError, httpx.InvalidURL):
        hint = "write it as HTTPS_PROXY=http://HOST:PORT, or ALL_PROXY=socks5h://HOST:PORT"
        raise ValueError(f"the proxy that the environment names cannot be used: {hint}") from None


@cache
def _trusted() -> ssl.SSLContext:
    """The certificates that servers are checked by, read once a process."""
    return httpx.create_ssl_context()


Client = Callable[[Server], httpx.AsyncClient]
"""What makes a client for a server."""


async def ask(client: httpx.AsyncClient, method: str, path: str, timeout_s: float, fields: Mapping[str, object] | None = None) -> Answer:
    """One request and its whole answer, whatever its status; Fault when there is none in time."""
    try:
        with anyio.fail_after(timeout_s), faults() as progress:
            async with client.stream(method, path, json=fields) as response:
                progress.answered = True
                body = await body_of(response)
                return Answer(response.status_code, body, response.headers.get("Allow", ""))
    except TimeoutError:
        raise Fault(f"no answer within {timeout_s:g} s", Blame.MOMENT, timed_out=True) from None


async def body_of(response: httpx.Response) -> bytes:
    """The body of an answer without sound; Fault when it is larger than one should be."""
    body = bytearray()

    def take(chunk: bytes) -> None:
        body.extend(chunk)
        if len(body) > MAX_ANSWER_BYTES:
            raise Fault(f"the answer is larger than {MAX_ANSWER_BYTES} bytes", Blame.SERVER)

    await read_through(response, take)
    return bytes(body)


async def read_through(response: httpx.Response, take: Callable[[bytes], None]) -> None:
    """Give the body to `take` as it comes, until it raises Fault.

    That ends the reading by a cancel from within: httpx's generators, one inside another, are closed by what comes from the
    innermost, and left to the garbage collector by an exception of ours.
    """
    fault: Fault | None = None
    unpacked = _unpacking(response.headers.get("Content-Encoding", ""))
    with anyio.CancelScope() as scope:
        async for chunk in response.aiter_raw():
            if fault is None:
                try:
                    take(unpacked(chunk))
                except Fault as error:
                    fault = error
                    scope.cancel()
    if fault is not None:
        raise fault


def _unpacking(encoding: str) -> Callable[[bytes], bytes]:
    """What unpacks the next part of a body; Fault when it is none."""
    if encoding.strip().lower() not in ("gzip", "x-gzip", "deflate"):
        return bytes
    packed = zlib.decompressobj(zlib.MAX_WBITS | 32)

    def unpacked(part: bytes) -> bytes:
        try:
            whole = packed.decompress(part, MAX_UNPACKED_BYTES)
        except zlib.error:
            raise Fault("the answer is packed, and cannot be unpacked", Blame.SERVER) from None
        if packed.unconsumed_tail:
            raise Fault(f"the answer is packed, and a part of it is more than {MAX_UNPACKED_BYTES} bytes", Blame.SERVER)
        return whole

    return unpacked


async def refusal(response: httpx.Response, key: str | None = None, said: str = "") -> Fault:
    """What an answer other than 200 and 204 means; what was to be `said` is not repeated."""
    body = await body_of(response)
    status = response.status_code
    reason = unkeyed(f"the server answered {status}{detail_of(body, said)}", key)
    if 400 <= status < 500 and names_voice(body, said):
        return Fault(reason, Blame.SERVER)
    if is_too_long(status, body):
        return Fault(reason, Blame.LENGTH)
    if status in TEXT_STATUSES:
        return Fault(reason, Blame.TEXT)
    if status not in PASSING_STATUSES:
        return Fault(reason + elsewhere(status), Blame.SERVER)
    return Fault(reason, Blame.MOMENT, wait_s=refused_for_s(status, response.headers, object_in(body)))


def elsewhere(status: int) -> str:
    """What to do about a redirect, which is not followed: it would take the text, and perhaps the key, to another server."""
    return ", which points elsewhere: give the url that it points to" if 300 <= status < 400 else ""


@attrs.define
class Progress:
    """How far a request came."""

    answered: bool = False
    """Has the answer begun?"""


@contextmanager
def faults() -> Iterator[Progress]:
    """Turns httpx's exceptions into a Fault; the block says in `answered` when the answer has begun."""
    progress = Progress()
    try:
        yield progress
    except httpx.ConnectTimeout:
        raise Fault(f"no connection within {CONNECT_S:g} s", Blame.ABSENCE) from None
    except httpx.ConnectError as error:
        raise Fault(_unconnected(error), Blame.ABSENCE) from None
    except httpx.ProxyError as error:
        raise Fault(f"no way through the proxy: {error}", Blame.MOMENT) from None
    except httpx.HTTPError as error:
        if progress.answered:
            raise Fault("the answer was cut off: the connection was closed", Blame.MOMENT) from error
        raise Fault(f"the connection failed ({type(error).__name__})", Blame.CONNECTION) from error


def _unconnected(error: httpx.ConnectError) -> str:
    """Why there is no connection: a name that nobody knows, a certificate that is not trusted, or nobody who listens."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLError | socket.gaierror):
            return f"no connection: {cause}"
        cause = cause.__cause__ or cause.__context__
    return "the connection was refused"
