"""Twilio's REST API as far as a call needs it, on 127.0.0.1: a call is updated to `completed`, with basic auth; asyncio alone."""

import base64
import binascii
import hmac
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from urllib.parse import parse_qs

import anyio
import attrs
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from adapters.standin.twilio.ids import Ids

MAX_BODY_BYTES = 16 * 1024


@attrs.define
class Calls:
    """The one call that there is: who may end it, and how."""

    ids: Ids
    token: str | None = attrs.field(repr=False)
    """The auth token of basic auth; without one any password does."""
    end: Callable[[], None]
    send_to: Callable[[str], None] | None = None
    """Has the call leave its stream and ask that URL what to do."""
    updates: int = 0
    """How often the call was updated."""

    async def update(self, request: Request) -> Response:
        """POST …/Calls/{sid}.json, Status=completed."""
        if not self._may(request.headers.get("Authorization", "")):
            return _error(401, 20003, "Authenticate")
        if (request.path_params["account"], request.path_params["call"]) != (self.ids.account, self.ids.call):
            return _error(404, 20404, f"The requested resource {request.url.path} was not found")
        body = b""
        async for chunk in request.stream():
            body += chunk
            if len(body) > MAX_BODY_BYTES:
                return _error(413, 20001, "The body is too long")
        fields = parse_qs(body.decode(errors="replace"))
        [url] = fields.get("Url", [""])
        if url and self.send_to is not None:
            self.updates += 1
            self.send_to(url)
        elif fields.get("Status") == ["completed"]:
            self.updates += 1
            self.end()
        else:
            return _error(400, 20001, "Status: the stand-in takes completed, or a Url")
        return JSONResponse({"sid": self.ids.call, "account_sid": self.ids.account, "status": "in-progress", "api_version": "2010-04-01"})

    def _may(self, given: str) -> bool:
        kind, _, coded = given.partition(" ")
        try:
            name, _, password = base64.b64decode(coded, validate=True).decode().partition(":")
        except (binascii.Error, ValueError):
            return False
        known = self.token is None or hmac.compare_digest(password.encode(), self.token.encode())
        return kind.lower() == "basic" and name == self.ids.account and known


@asynccontextmanager
async def serve_rest(calls: Calls, port: int = 0) -> AsyncIterator[str]:
    """Serve while the block lasts, and give the API's root, as https://api.twilio.com is. OSError when the port is taken."""
    with socket.create_server(("127.0.0.1", port)) as listener:
        app = Starlette(routes=[Route("/2010-04-01/Accounts/{account}/Calls/{call}.json", calls.update, methods=["POST"])])
        server = _Server(uvicorn.Config(app, log_level="critical", access_log=False, lifespan="off", timeout_graceful_shutdown=1))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(server.serve, [listener])
            try:
                yield f"http://127.0.0.1:{listener.getsockname()[1]}"
            finally:
                server.should_exit = True


class _Server(uvicorn.Server):
    """A server that leaves the signals to the command."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none."""
        yield


def _error(status: int, code: int, message: str) -> Response:
    more = {"code": code, "message": message, "more_info": f"https://www.twilio.com/docs/errors/{code}", "status": status}
    return JSONResponse(more, status_code=status, headers={"WWW-Authenticate": 'Basic realm="Twilio API"'} if status == 401 else None)
