"""A telephone call as Twilio holds it: rings at a webhook or goes straight to a WebSocket, and runs what the TwiML says; asyncio alone."""

from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress

import anyio
import attrs
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake

from adapters.standin.twilio import http
from adapters.standin.twilio.ids import Ids
from adapters.standin.twilio.stream import Caller, Conditions, Hung, SocketClosed, Stream

OPEN_S = 10.0
CLOSE_S = 2.0
MAX_MESSAGE_BYTES = 2**20
ASKED_AGAIN, ASK_AGAIN_S = 2, 0.3
"""How often more, and how much later, an application is asked that does not answer a <Redirect>: a load balancer's other machines do."""


class CallFailed(Exception):
    """There was no call: nothing answers, or what answers is none; the text is one line."""


@attrs.define
class Call:
    """One call: `dial` it once; `say` is told what happens, in words."""

    application: http.Application
    caller: Caller
    conditions: Conditions
    say: Callable[[str], None]
    status_callback: str = ""
    stream: Stream | None = None
    """The stream that the caller was last connected to."""
    hung: Hung | None = None
    """How that stream ended."""
    rejected: str = ""
    """Why the call was rejected; empty when it was not."""
    redirects: int = 0
    """How often it asked for other TwiML."""
    _elsewhere: str = ""
    _ended: Hung | None = None
    """How the call was ended from outside, between two streams too."""

    @property
    def duration_ms(self) -> int:
        """How long the caller was connected."""
        return self.stream.ears.now_ms if self.stream else 0

    async def dial(self, url: str, parameters: Mapping[str, str]) -> None:
        """Hold the call. `url` is a webhook (http, https), or the WebSocket itself, which then gets `parameters`. Raises CallFailed."""
        try:
            url = http.checked(url, *http.WEB, *http.STREAM)
            if url.startswith(("ws://", "wss://")):
                await self._connect(http.Stream(url, parameters))
            else:
                verbs = await self.application.ring(url)
                if "once" in self.conditions.without:
                    await self.application.ring(url)
                await self._run(verbs)
        except http.Refused as refused:
            raise CallFailed(str(refused)) from None
        if self.status_callback:
            await self._tell(self.application.tell_status(self.status_callback, "completed", self.duration_ms // 1000, 0))

    def end(self, hung: Hung = Hung.API) -> None:
        """End it: by REST, or since the caller hangs up."""
        self._elsewhere, self._ended = "", hung
        if self.stream is not None:
            self.stream.hang_up(hung)

    def send_to(self, url: str) -> None:
        """Leave the stream, and ask `url` what to do: by REST."""
        self._elsewhere = url
        if self.stream is not None:
            self.stream.hang_up(Hung.REDIRECTED)

    async def _run(self, verbs: list[http.Verb]) -> None:
        """Do one verb after another; after a stream only when the application closed it, or it broke off."""
        waiting = deque(verbs)
        while waiting and self._ended is None:
            verb = waiting.popleft()
            if isinstance(verb, http.Rejected):
                self.rejected = verb.reason
                self.say(f"rejected: {verb.reason}")
                return
            if isinstance(verb, http.Stream):
                try:
                    await self._connect(verb)
                except CallFailed as failed:
                    if not waiting:
                        raise
                    self.say(str(failed))
                    continue
                if self.hung is Hung.REDIRECTED and self._elsewhere:
                    waiting = deque(await self._ask(self._elsewhere))
                elif self.hung is not Hung.APPLICATION and not (self.hung is Hung.CUT_OFF and "after_break" not in self.conditions.without):
                    return
            elif isinstance(verb, http.Redirect):
                waiting = deque(await self._ask(verb.url))
            else:
                self.say(f"<{verb.verb}>")
                if verb.verb == "Hangup":
                    return
                if verb.verb == "Pause":
                    await anyio.sleep(1)

    async def _ask(self, url: str) -> list[http.Verb]:
        """Other TwiML; an application that does not answer is asked twice more. Raises Refused."""
        self.redirects += 1
        for _ in range(ASKED_AGAIN):
            with suppress(http.Refused):
                return await self.application.ask_again(url)
            await anyio.sleep(ASK_AGAIN_S)
        return await self.application.ask_again(url)

    async def _connect(self, wanted: http.Stream) -> None:
        """Connect the caller to a stream until it ends."""
        if self.stream is not None:
            self.application = attrs.evolve(self.application, ids=attrs.evolve(self.application.ids, stream=Ids().stream))
        async with _socket(wanted.url, self.application.headers(wanted.url, {})) as socket:
            self.stream = Stream(socket, self.application.ids, wanted.parameters, self.caller, self.conditions)
            if self._ended is not None:
                self.stream.hang_up(self._ended)
            self.say(f"connected, call {self.application.ids.call}")
            if wanted.status_callback:
                await self._tell(self.application.tell_stream(wanted, "stream-started"))
            self.hung = await self.stream.run()
        self.say(self.stream.ended)
        if wanted.status_callback:
            failed = self.hung is Hung.VIOLATION
            event = "stream-error" if failed else "stream-stopped"
            await self._tell(self.application.tell_stream(wanted, event, self.stream.words))

    async def _tell(self, posting: Awaitable[None]) -> None:
        """Post a status; a call does not fail by it."""
        try:
            await posting
        except http.Refused as refused:
            self.say(f"status callback: {refused}")


@asynccontextmanager
async def _socket(url: str, headers: Mapping[str, str]) -> AsyncIterator["_End"]:
    """Open a WebSocket. Raises CallFailed."""
    headers = {name: value for name, value in headers.items() if name != "User-Agent"}
    agent = "Twilio.TmeWs/1.0"
    opening = connect(
        url,
        additional_headers=headers,
        user_agent_header=agent,
        open_timeout=OPEN_S,
        close_timeout=CLOSE_S,
        compression=None,
        max_size=MAX_MESSAGE_BYTES,
        proxy=None,
    )
    try:
        connection = await opening
    except (OSError, TimeoutError, InvalidHandshake) as error:
        raise CallFailed(
            f"31920: the WebSocket {url} did not open ({str(error) or type(error).__name__}); is the server running?"
        ) from None
    try:
        yield _End(connection)
    finally:
        with anyio.CancelScope(shield=True):
            await connection.close()


@attrs.frozen(eq=False)
class _End:
    """Twilio's end of a WebSocket, as `Stream` likes it."""

    connection: ClientConnection

    async def receive(self) -> str | bytes:
        try:
            return await self.connection.recv()
        except ConnectionClosed as closed:
            raise _told(closed) from None

    async def send(self, text: str) -> None:
        try:
            await self.connection.send(text)
        except ConnectionClosed as closed:
            raise _told(closed) from None

    async def close(self, code: int, reason: str) -> None:
        await self.connection.close(code, reason)


def _told(closed: ConnectionClosed) -> SocketClosed:
    received = closed.rcvd
    return SocketClosed(received.code, received.reason) if received else SocketClosed(1006)
