"""The telephone server's web side: Twilio's webhooks and streams in, whole calls out; each stream is one call in a task of its own.

What comes is checked before anything is begun: its size, its signature, its account, and on a stream the token that the webhook's answer
gave to Twilio as a <Parameter>. A call that goes wrong is closed alone (R87).
"""

import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl
from xml.sax.saxutils import escape, quoteattr

import anyio
import attrs
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from adapters.cluster.journal import Unreachable
from adapters.cluster.record import Left
from adapters.hosts.channel import StarletteChannel
from adapters.hosts.phone.calls import Calls, Handler, NotAdmitted, Refused
from adapters.hosts.phone.holding import Holding
from adapters.hosts.phone.log import last_digits, masked, tell
from adapters.hosts.phone.metrics import CallFigures, Metrics
from adapters.hosts.phone.rest import TwilioRest
from adapters.hosts.phone.signature import is_signed
from adapters.seam.ports import Sound
from adapters.twilio.port import Answered, LineError, TwilioLine, answer
from adapters.twilio.watched import WatchedChannel
from adapters.twilio.wire import Started, is_id
from fsm.call.effects import Reason

if TYPE_CHECKING:
    from adapters.hosts.phone.membership import Membership

AGAIN = "/again"
"""Where a call asks what to do once its stream is over, in a cluster."""
MOST_TURNS = 12
"""So often a call is connected anew: one whose stream never holds is given up."""
MAX_FORM_BYTES = 32 * 1024
"""The longest webhook read; one of Twilio's has about 1 KiB."""
MAX_FIELDS = 200
TOKEN = "token"
"""The name of the <Parameter>."""
POLICY_VIOLATION = 1008
NORMAL = 1000
INTERNAL_ERROR = 1011
MAX_REASON_BYTES = 123
"""What a close frame has room for."""
TRACE_CONTEXT = ("traceparent", "tracestate")
"""The headers of W3C's trace context."""
OVER = frozenset({"completed", "busy", "failed", "no-answer", "canceled"})
"""The CallStatus of a call that is over."""

Form = dict[str, str]


@attrs.frozen(kw_only=True)
class PhoneServer:
    """One server: who is let in, who holds the calls, and what is told of it. Without a `token` no signature is checked."""

    calls: Calls
    holding: Holding
    metrics: Metrics
    rest: TwilioRest | None = None
    """What ends a call at Twilio; without it the end of its stream does, as no verb follows that."""
    public_url: str = ""
    """Where Twilio finds the server, without a slash at the end; empty: where each request says that it is, on loopback."""
    token: str | None = attrs.field(default=None, repr=False)
    account: str | None = None
    """The one account whose calls are taken; None: whichever signs."""
    start_s: float = 10.0
    """How long a stream may take to say which call it is, and a form to come."""
    membership: "Membership | None" = None
    """This machine's part in a cluster, if it is in one."""
    gap: str = ""
    """What the caller hears first when a call comes to another process: words that Twilio says, or the URL of a sound that it plays."""

    def app(self) -> Starlette:
        """The application: POST /voice, POST /again in a cluster, POST /status, the WebSocket /stream, GET /healthz."""
        again = [Route(AGAIN, partial(self._posted, then=self._again), methods=["POST"])] if self.membership else []
        return Starlette(
            routes=[
                Route("/voice", partial(self._posted, then=self._voice), methods=["POST"]),
                *again,
                Route("/status", partial(self._posted, then=self._status), methods=["POST"]),
                WebSocketRoute("/stream", self._stream),
                Route("/healthz", self.health),
                WebSocketRoute("/{path:path}", self._stray_stream),
            ],
            exception_handlers={404: self._stray, 405: self._stray},
        )

    async def _stray(self, request: Request, error: Exception) -> Response:
        """A mistyped webhook: Twilio's console shows the answer, and our log what was asked for."""
        words = self._note_stray(request, request.method)
        assert isinstance(error, HTTPException)
        return Response(f"{words}\n", error.status_code, error.headers, "text/plain")

    async def _stray_stream(self, websocket: WebSocket) -> None:
        self._note_stray(websocket, "a stream at")
        await websocket.close()

    def _note_stray(self, connection: Request | WebSocket, what: str) -> str:
        words = f"{what} {_path(connection)}: the webhook is POST /voice, the status callback POST /status, the stream /stream"
        self.note_refused(Refused.WRONG_ADDRESS, words)
        return words

    async def health(self, _: Request) -> Response:
        """200 while calls are taken, 503 while the server drains: a load balancer sends it no more."""
        calls = self.calls
        status = "draining" if calls.draining else "busy" if calls.places_taken >= calls.max_calls else "ok"
        about = {"status": status, "places": calls.max_calls, "places_taken": calls.places_taken}
        machine = {"machine": self.membership.name} if self.membership else {}
        return JSONResponse(about | machine, status_code=503 if calls.draining else 200)

    async def _posted(self, request: Request, then: Callable[[Request, Form], Awaitable[Response]]) -> Response:
        """Check what is posted, and answer it."""
        try:
            return await then(request, await self._checked(request))
        except NotAdmitted as refused:
            self.note_refused(refused.why, str(refused))
            forbidden = refused.why in (Refused.WRONG_SIGNATURE, Refused.WRONG_ACCOUNT)
            return Response(f"{refused}\n", 403 if forbidden else 400, media_type="text/plain")

    async def _checked(self, request: Request) -> Form:
        """The form that Twilio posts. Raises NotAdmitted."""
        try:
            with anyio.fail_after(self.start_s):
                body = await _body(request)
            fields = parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=MAX_FIELDS)
        except (TimeoutError, ClientDisconnect):
            raise NotAdmitted(Refused.BAD_REQUEST, f"the form did not come whole within {self.start_s:g} s") from None
        except ValueError:
            raise NotAdmitted(Refused.BAD_REQUEST, "the body is no form") from None
        given, url = request.headers.get("X-Twilio-Signature", ""), self._url("http", request, _path(request), request.url.query)
        if self.token is not None and not is_signed(given, url, fields, self.token):
            raise NotAdmitted(Refused.WRONG_SIGNATURE, "the signature is not Twilio's for this URL")
        form = dict(fields)
        if not is_id(form.get("CallSid", "")) or not is_id(form.get("AccountSid", "")):
            raise NotAdmitted(Refused.BAD_REQUEST, "there is no CallSid, or no AccountSid")
        if self.account is not None and form["AccountSid"] != self.account:
            raise NotAdmitted(Refused.WRONG_ACCOUNT, "the call is another account's")
        return form

    async def _voice(self, request: Request, form: Form) -> Response:
        """A call rings: connect it to the stream, or say that we are busy."""
        try:
            verbs = await self._connect(request, form, 1)
        except NotAdmitted as refused:
            self.note_refused(refused.why, str(refused), form["CallSid"])
            return _twiml('<Reject reason="busy"/>')
        tell(logging.INFO, "call_announced", form["CallSid"], caller=last_digits(form.get("From", "")))
        return _twiml(verbs)

    async def _again(self, request: Request, form: Form) -> Response:
        """A call's stream is over: connect it anew if the call is not, for this machine or another takes it up (R110)."""
        assert self.membership is not None
        call_sid, turn = form["CallSid"], request.query_params.get("turn", "")
        number = int(turn) if turn.isdecimal() and len(turn) < 4 else MOST_TURNS
        try:
            left = Left.OVER if number >= MOST_TURNS else await self.membership.left(call_sid)
            if left is Left.OVER:
                return _twiml("<Hangup/>")
            if left is Left.COMING:
                return self._later(request, number)
            verbs = await self._connect(request, form, number + 1)
            return _twiml(f"{_heard(self.gap)}{verbs}" if left is Left.BEGUN else verbs)
        except (NotAdmitted, Unreachable) as refused:
            # Another machine may have room, or the store be there again.
            self.note_refused(refused.why if isinstance(refused, NotAdmitted) else Refused.STORE, str(refused), call_sid)
            return self._later(request, number)

    def _later(self, request: Request, number: int) -> Response:
        """Have the call ask again in a second."""
        return _twiml(f'<Pause length="1"/>{self._redirect(request, number + 1)}')

    async def _connect(self, request: Request, form: Form, number: int) -> str:
        """What connects a call to our stream, with a ticket for it; in a cluster, and what brings it back. Raises NotAdmitted."""
        call_sid, behind = form["CallSid"], ""
        came_with = {name: request.headers[name] for name in TRACE_CONTEXT if name in request.headers}
        if self.membership is None:
            token = self.calls.announce(call_sid, form, came_with)
        else:
            token = await self.membership.ring(call_sid, form, came_with, self.calls.places_free)
            behind = self._redirect(request, number)
        stream, status = self._url("ws", request, "/stream"), self._url("http", request, "/status")
        parameter = f'<Parameter name="{TOKEN}" value={quoteattr(token)}/>'
        return f"<Connect><Stream url={quoteattr(stream)} statusCallback={quoteattr(status)}>{parameter}</Stream></Connect>{behind}"

    def _redirect(self, request: Request, number: int) -> str:
        return f'<Redirect method="POST">{escape(self._url("http", request, AGAIN, f"turn={number}"))}</Redirect>'

    def again_url(self) -> str:
        """Where a call asks what to do that is brought back from outside."""
        return f"{self.public_url}{AGAIN}?turn=1"

    async def _status(self, _: Request, form: Form) -> Response:
        """What Twilio tells of a call, or of its stream."""
        call_sid, status = form["CallSid"], form.get("CallStatus", "")
        if form.get("StreamEvent") == "stream-error":
            self.metrics.stream_errors.inc()
            tell(logging.WARNING, "stream_error", call_sid, words=masked(form.get("StreamError", "")))
        elif status in OVER and self.calls.note_completed(call_sid):
            tell(logging.INFO, "call_completed", call_sid, status=status)
        return Response(status_code=204)

    async def _stream(self, websocket: WebSocket) -> None:
        """A stream begins: find out whose it is, and hold the call."""
        given, url = websocket.headers.get("X-Twilio-Signature", ""), self._url("ws", websocket, _path(websocket), websocket.url.query)
        if self.token is not None and not is_signed(given, url, (), self.token):
            self.note_refused(Refused.WRONG_SIGNATURE, "the signature is not Twilio's for this URL")
            await websocket.close()
            return
        await websocket.accept()
        channel = WatchedChannel(StarletteChannel(websocket))
        try:
            answered = await self._answered(channel)
            handler = await self._begun(answered.started)
        except NotAdmitted as refused:
            self.note_refused(refused.why, str(refused))
            await _close(websocket, POLICY_VIOLATION, str(refused))
            return
        left = False
        try:
            await self.holding.hold(handler, partial(self._line, handler, answered, channel))
            left = self.membership is not None and handler.application.ended is None
        except NotAdmitted as refused:
            self.note_refused(refused.why, str(refused), handler.call_sid)
            left = refused.why is not Refused.UNKNOWN_CALL
        finally:
            self.calls.end(handler)
            ended = handler.application.ended
            gone = left or (ended is not None and ended.reason is Reason.CALLER_HUNG_UP and not handler.scope.cancel_called)
            await _close(websocket, NORMAL if gone else INTERNAL_ERROR, "the call is over" if gone else "the call was cut off")

    async def _begun(self, started: Started) -> Handler:
        """Who holds the call of a stream that has begun. Raises NotAdmitted."""
        token = started.parameters.get(TOKEN, "")
        if self.membership is None:
            return self.calls.begin(started.call_sid, token)
        return self.calls.enter(started.call_sid, *await self.membership.answered(started.call_sid, token))

    def _line(self, handler: Handler, answered: Answered, channel: WatchedChannel, figures: CallFigures, sound: Sound) -> TwilioLine:
        """The stream as the line of a call, whose figures look on; it is spoken to in `sound`."""
        channel.onlooker = figures
        hang_up = partial(_hang_up, self.rest, handler.call_id, answered.started) if self.rest else None
        return TwilioLine(answered, sound=sound, hang_up=hang_up)

    async def _answered(self, channel: WatchedChannel) -> Answered:
        """The stream, once it has said which call it is. Raises NotAdmitted."""
        try:
            answered = await answer(channel, timeout_s=self.start_s)
        except LineError as error:
            raise NotAdmitted(Refused.NO_START, str(error)) from None
        if self.account is not None and answered.started.account_sid != self.account:
            raise NotAdmitted(Refused.WRONG_ACCOUNT, "the call is another account's")
        return answered

    def _url(self, scheme: str, connection: Request | WebSocket, path: str, query: str = "") -> str:
        """A URL of this server as Twilio knows it; `scheme` is http or ws, and secure if the public URL is."""
        mounted = connection.scope.get("root_path", "")
        where = self.public_url or f"http://{connection.headers.get('Host', connection.url.netloc)}{mounted}"
        return scheme + where.removeprefix("http") + path + (f"?{query}" if query else "")

    def note_refused(self, why: Refused, words: str, call_sid: str = "") -> None:
        """Count somebody who was not let in, and say so."""
        self.metrics.refused.labels(why.value).inc()
        tell(logging.WARNING, "refused", call_sid, why=why.value, words=masked(words))


async def _hang_up(rest: TwilioRest, call_id: str, started: Started) -> None:
    """End a call at Twilio, and log that it could not be. Raises LineError."""
    try:
        await rest.hang_up(started.account_sid, started.call_sid)
    except LineError as error:
        tell(logging.ERROR, "hang_up_failed", call_id, words=str(error))
        raise


def _path(connection: Request | WebSocket) -> str:
    """The path below the place at which the application is mounted."""
    return connection.url.path.removeprefix(connection.scope.get("root_path", ""))


async def _body(request: Request) -> bytes:
    """All of a request's body. Raises NotAdmitted, and starlette's ClientDisconnect."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_FORM_BYTES:
            raise NotAdmitted(Refused.BAD_REQUEST, f"the form is longer than {MAX_FORM_BYTES} bytes")
    return body


def _heard(gap: str) -> str:
    """What says or plays that; nothing for nothing."""
    verb = "Play" if gap.startswith(("http://", "https://")) else "Say"
    return f"<{verb}>{escape(gap)}</{verb}>" if gap else ""


def _twiml(verb: str) -> Response:
    return Response(f'<?xml version="1.0" encoding="UTF-8"?><Response>{verb}</Response>', media_type="text/xml")


async def _close(websocket: WebSocket, code: int, words: str) -> None:
    """Close a stream, unless it is closed."""
    if WebSocketState.DISCONNECTED in (websocket.client_state, websocket.application_state):
        return
    with suppress(WebSocketDisconnect, RuntimeError):
        await websocket.close(code, words.encode()[:MAX_REASON_BYTES].decode(errors="ignore"))
