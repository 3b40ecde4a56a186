"""The realtime LLM as a port and an ear: one WebSocket session for one call; what its messages mean is the wire's affair.

Sound goes straight from the wire to the speaker, whose frame gate refuses what is not admitted; nothing here decides.
"""

import json
from collections import Counter, deque
from collections.abc import Callable

import anyio
import attrs

from adapters.ports import Post, Speaker
from adapters.realtime_commands import address
from adapters.realtime_settings import RealtimeSettings
from adapters.realtime_wire import Audio, Happened, Incoming, TextDelta, Wire, append
from adapters.response_sentences import Cutter, ResponseSentences
from adapters.websocket import WebSocket, WebSocketClosed, WebSocketError, connect
from fsm.call.effects import (
    AddEntry,
    CancelResponse,
    CloseSession,
    ConfigureSession,
    CreateResponse,
    DeleteItem,
    Effect,
    ReleaseResponse,
    RewriteItem,
    SendToolResult,
    TruncateItem,
)
from fsm.call.events import CancelUnsent, ResponseCompleted, ResponseEnded, SentenceCut, SessionLost
from fsm.call.policy import Policy

KEPT_FRAMES = 100
"""How many frames of the caller wait for the session, or for a stalled socket: 2 s, all that a late answer can still be about."""
KEPT_COMMANDS = 64
"""How many commands wait for a stalled socket; a call has one or two at a time."""


class RealtimeLLM:
    """The realtime LLM of one call: run it once, under the call's driver.

    A connection that cannot be made, or ends without our asking, is posted as SessionLost with one plain line, and `run`
    returns. `check` makes the same connection and raises that line as a WebSocketError: a preflight for a command line.
    """

    performs: tuple[type[Effect], ...] = (
        ConfigureSession,
        ReleaseResponse,
        CreateResponse,
        CancelResponse,
        TruncateItem,
        DeleteItem,
        RewriteItem,
        AddEntry,
        SendToolResult,
        CloseSession,
    )

    def __init__(
        self,
        *,
        url: str,
        key: str | None,
        settings: RealtimeSettings,
        policy: Policy,
        speaker: Speaker,
        cutter: Callable[[], Cutter] | None = None,
        open_timeout_s: float = 10.0,
        ping_interval_s: float = 5.0,
        ping_timeout_s: float = 5.0,
        write_timeout_s: float = 5.0,
    ) -> None:
        """Prepare; nothing is opened. `key` is sent as a bearer token; `cutter` makes a sentence cutter, which voice="chatterbox" needs.

        A silent server is noticed `ping_interval_s + ping_timeout_s` after its last word, a stalled one after `write_timeout_s`
        (R85). Raises ValueError.
        """
        if policy.voice == "chatterbox" and cutter is None:
            raise ValueError('voice="chatterbox" speaks sentence by sentence: RealtimeLLM needs a cutter')
        self._url = url
        self._key = key
        self._settings = settings
        self._speaker = speaker
        self._sentences = ResponseSentences(cutter) if policy.voice == "chatterbox" and cutter else None
        self._timeouts = _Timeouts(open_timeout_s, ping_interval_s, ping_timeout_s, write_timeout_s)
        self._wire = Wire(settings, policy)
        self._outbox = _Outbox(self._wire)
        self._post: Post | None = None
        self._session: anyio.CancelScope | None = None

    def __repr__(self) -> str:
        return f"<RealtimeLLM {self._settings.model}>"

    @property
    def counts(self) -> Counter[str]:
        """Frames of the caller (`heard` = `sent` + `dropped: …` + those that wait), and messages set aside, by code (R57, R84)."""
        return self._outbox.counts + self._wire.quarantined

    async def check(self) -> None:
        """Open a connection and close it again. Raises WebSocketError, whose text is one plain line without a secret."""
        async with connect(self._address(), headers=self._headers(), open_timeout_s=self._timeouts.open_s):
            pass

    async def run(self, post: Post) -> None:
        """Hold the session until it ends, CloseSession is performed, or the task is cancelled; a second run is refused."""
        if self._post is not None:
            raise RuntimeError("a RealtimeLLM serves one call: make another for the next")
        self._post = post
        end = ""
        try:
            with anyio.CancelScope() as self._session:
                if not self._outbox.is_shut:
                    end = await self._hold(post)
        finally:
            unsent = self._outbox.shut()
        for effect in unsent:
            self._report_unsent(effect)
        if end:
            post(SessionLost, end)

    def do(self, effect: Effect) -> None:
        """Put an effect's message into the outbox; close the session at once for CloseSession."""
        if isinstance(effect, CloseSession):
            for unsent in self._outbox.shut():
                self._report_unsent(unsent)
            if self._session is not None:
                self._session.cancel()
            return
        for message in self._wire.send(effect):
            if not self._outbox.put(effect, json.dumps(message)):
                self._report_unsent(effect)

    def hear(self, pcm: bytes) -> None:
        """Take 20 ms of the caller; until the session is confirmed the last 2 s are kept, and sent then (R26)."""
        self._outbox.hear(pcm)

    def _address(self) -> str:
        try:
            return address(self._url, self._settings.model)
        except ValueError:
            return self._url

    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self._key}"} if self._key else {}

    async def _hold(self, post: Post) -> str:
        """Connect, send and receive until the connection ends; return why it did."""
        limits = self._timeouts
        try:
            async with connect(
                self._address(),
                headers=self._headers(),
                open_timeout_s=limits.open_s,
                write_timeout_s=limits.write_s,
                ping_interval_s=limits.ping_interval_s,
                ping_timeout_s=limits.ping_s,
            ) as ws:
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(self._send_all, ws)
                    async for text in ws:
                        for incoming in self._wire.receive(text):
                            self._take(incoming, post)
                        # That may have been the confirmation which the caller's sound waits for.
                        self._outbox.wake()
                    tasks.cancel_scope.cancel()
                return " ".join(f"closed with {ws.close_code} {ws.close_reason}".split())
        except WebSocketError as error:
            return str(error)

    async def _send_all(self, ws: WebSocket) -> None:
        """Send what the outbox holds until the connection takes no more; its reader tells how it ended."""
        while True:
            effect, text = await self._outbox.take()
            try:
                await ws.send(text)
            except WebSocketClosed:
                self._report_unsent(effect)
                return

    def _take(self, incoming: Incoming, post: Post) -> None:
        """Pass on what the server said. Posting may bring effects back to `do` before it returns, so state changes come first."""
        match incoming:
            case Audio(response_id, item_id, pcm):
                if self._sentences is None:
                    self._speaker.play(response_id, pcm, item_id=item_id)
            case TextDelta(response_id, item_id, delta):
                if self._sentences is not None:
                    for sentence in self._sentences.feed(response_id, item_id, delta):
                        post(SentenceCut, *sentence)
            case Happened(event, args):
                if self._sentences is not None and isinstance(event, type) and issubclass(event, ResponseEnded):
                    last = self._sentences.end(args[0])
                    # What a cancelled or broken response left unfinished is no sentence.
                    for sentence in last if event is ResponseCompleted else ():
                        post(SentenceCut, *sentence)
                post(event, *args)

    def _report_unsent(self, effect: Effect | None) -> None:
        """Tell the core of a cancel that has not left (R05); other commands have deadlines of their own."""
        if isinstance(effect, CancelResponse) and self._post is not None:
            self._post(CancelUnsent, effect.response_id)


@attrs.frozen
class _Timeouts:
    """The limits of a connection, in seconds."""

    open_s: float
    ping_interval_s: float
    ping_s: float
    write_s: float


class _Outbox:
    """What waits to be sent, bounded: commands first, then the caller's sound once the session is confirmed."""

    def __init__(self, wire: Wire) -> None:
        self.counts: Counter[str] = Counter()
        self.is_shut = False
        self._wire = wire
        self._commands: deque[tuple[Effect, str]] = deque()
        self._frames: deque[bytes] = deque()
        self._waiter: anyio.Event | None = None

    def put(self, effect: Effect, text: str) -> bool:
        """Queue a command; False when it will never leave."""
        if self.is_shut or len(self._commands) >= KEPT_COMMANDS:
            return False
        self._commands.append((effect, text))
        self.wake()
        return True

    def hear(self, pcm: bytes) -> None:
        """Queue a frame of the caller, and drop the oldest beyond KEPT_FRAMES (R57)."""
        self.counts["heard"] += 1
        if self.is_shut:
            self.counts["dropped: no session"] += 1
            return
        if len(self._frames) >= KEPT_FRAMES:
            self._frames.popleft()
            self.counts["dropped: stalled" if self._wire.confirmed else "dropped: before the session"] += 1
        self._frames.append(pcm)
        self.wake()

    async def take(self) -> tuple[Effect | None, str]:
        """Wait for the next text to send, and the command that it carries, if it is one."""
        while True:
            if self._commands:
                return self._commands.popleft()
            if self._frames and self._wire.confirmed:
                self.counts["sent"] += 1
                return None, append(self._frames.popleft())
            self._waiter = anyio.Event()
            await self._waiter.wait()

    def wake(self) -> None:
        """Look again whether something can be sent."""
        if self._waiter is not None:
            self._waiter.set()

    def shut(self) -> list[Effect]:
        """Take nothing more; return the commands that have not left."""
        self.is_shut = True
        unsent = [effect for effect, _ in self._commands]
        self.counts["dropped: no session"] += len(self._frames)
        self._commands.clear()
        self._frames.clear()
        return unsent
