"""The realtime LLM as a port and an ear: one WebSocket session for one call; what its messages mean is the wire's affair.

Sound goes straight from the wire to the speaker, whose frame gate refuses what is not admitted; nothing here decides.
"""

import json
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from math import inf
from time import time
from typing import Any

import anyio
import attrs

from adapters.realtime.history import History
from adapters.realtime.incoming import Audio, Happened, Incoming, Reply, TextDelta
from adapters.realtime.numbering import Cutter, ResponseSentences
from adapters.realtime.outbox import Outbox
from adapters.realtime.place import address, headers, is_openai, wire_at
from adapters.realtime.session import SessionSetup
from adapters.realtime.settings import RealtimeSettings
from adapters.realtime.websocket import WebSocket, WebSocketClosed, WebSocketError, connect
from adapters.realtime.wire import Wire
from adapters.seam.errors import unkeyed
from adapters.seam.ports import FRAME_MS, PCM, Post, Sound, Speaker, sound_of
from adapters.seam.waits import duration_ms, is_rate_limit, wait_in
from fsm.call.effects import (
    AddEntry,
    CancelResponse,
    CloseSession,
    CommitTurn,
    ConfigureSession,
    CreateResponse,
    DeleteItem,
    Effect,
    OpenSession,
    ProtectResponse,
    ReleaseResponse,
    RewriteItem,
    SendToolResult,
    TruncateItem,
)
from fsm.call.events import (
    CancelUnsent,
    ReceiverFailed,
    ResponseCompleted,
    ResponseEnded,
    SentenceCut,
    SessionConfirmed,
    SessionLost,
    SessionOpened,
    SessionRefused,
    SpeechStarted,
    TurnCommitted,
)
from fsm.call.policy import Policy

Connect = Callable[..., AbstractAsyncContextManager[WebSocket]]
"""What opens a connection: `adapters.realtime.websocket.connect`, or what stands in for it."""
SHOWN_S = 2.0
"""How long a connection is given to show what kind of server is at its end."""
ANSWER_S = 5.0
"""How long a server is given to say whether it will have a session."""
TRY_AGAIN_LATER = 1013
"""The close code of a server that has too much to do (IANA's registry)."""
REFUSED = (401, 403, 404)
"""HTTP statuses of a server that will not have us, however often we ask (R18)."""


class RealtimeLLM:
    """The realtime LLM of one call: run it once, under the call's driver.

    A connection that cannot be made, or ends without our asking, is posted as SessionLost with one plain line; `run` then waits for
    OpenSession, which also replaces a session that works. The next session is given what was said so far, and what the caller said
    of the turn that was cut (R85). A server that refuses us for good is ReceiverFailed. `checked` makes the connection ahead, on which
    `run` then holds its first session (R104), and raises that line as a WebSocketError: a preflight for a command line.
    """

    performs: tuple[type[Effect], ...] = (
        OpenSession,
        ConfigureSession,
        ProtectResponse,
        ReleaseResponse,
        CreateResponse,
        CancelResponse,
        CommitTurn,
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
        openai: bool | None = None,
        sound: Sound = PCM,
        open_timeout_s: float = 10.0,
        ping_interval_s: float = 5.0,
        ping_timeout_s: float = 5.0,
        write_timeout_s: float = 5.0,
        connect: Connect = connect,
        overheard: Callable[[str], None] | None = None,
    ) -> None:
        """Prepare; nothing is opened. `cutter` makes sentence cutters, which voice="chatterbox" needs; `key` is sent as the server wants.

        `openai`: has the server OpenAI's voices and transcription models? None: its address says so (R102). It hears the caller in
        `sound`, and speaks what the speaker takes.

        `overheard` is given each message of the server's, before it is read.

        A silent server is noticed `ping_interval_s + ping_timeout_s` after its last word, a stalled one after `write_timeout_s`
        (R85). Raises ValueError.
        """
        if policy.voice == "chatterbox" and cutter is None:
            raise ValueError('voice="chatterbox" speaks sentence by sentence: RealtimeLLM needs a cutter')
        self.sound = sound
        self._url = url
        self._key = key
        self._settings = attrs.evolve(settings, wire=wire_at(url, settings.wire))
        self._speaker = speaker
        self._connect = connect
        self._overheard = overheard
        self._sentences = ResponseSentences(cutter) if policy.voice == "chatterbox" and cutter else None
        self._timeouts = _Timeouts(open_timeout_s, ping_interval_s, ping_timeout_s, write_timeout_s)
        self._policy = policy
        self._openai = is_openai(url) if openai is None else openai
        self._wire = self._new_wire()
        self._checked: WebSocket | None = None
        self._quarantined: Counter[str] = Counter()
        self._outbox = Outbox(self._is_confirmed, settings.append_ms // FRAME_MS)
        self._history = History()
        self._opens = anyio.Event()
        self._not_before_s = -inf
        self._post: Post | None = None
        self._session: anyio.CancelScope | None = None

    def __repr__(self) -> str:
        return f"<RealtimeLLM {self._settings.model}>"

    @property
    def counts(self) -> Counter[str]:
        """Frames of the caller (`heard` = `sent` + `dropped: …` + those that wait), and messages set aside, by code (R57, R84)."""
        return self._outbox.counts + self._quarantined + self._wire.quarantined

    @asynccontextmanager
    async def checked(self) -> AsyncIterator[None]:
        """Open the connection that the first session is held on, to be used within the block and closed at its end at the latest (R104).

        Raises WebSocketError, whose text is one plain line without a secret.
        """
        async with self._open() as self._checked:
            try:
                yield
            finally:
                self._checked = None

    async def is_chained(self, within_s: float = SHOWN_S) -> bool:
        """Does the server of the connection that was `checked` show that it is a chained one? What it said first is the call's as well.

        It does where it writes down what callers say although nobody asked (`profiles`); one that says nothing in that time shows nothing.
        """
        shown = await self._shown(within_s)
        return shown is not None and shown.transcribes_unasked

    async def has_sound(self, within_s: float = SHOWN_S) -> bool:
        """Does that server show that the caller's sound is to come in our format anyway?"""
        shown = await self._shown(within_s)
        return shown is not None and shown.has_sound("input")

    async def refusal(self, within_s: float = ANSWER_S) -> str:
        """Why the server of the connection that was `checked` won't have our session, in one line; empty where it will.

        It is asked as in a call, so the connection is good for no call any more.
        """
        ws, wire = self._checked, self._new_wire()
        assert ws is not None, "there is no connection that was checked"
        with anyio.move_on_after(within_s), suppress(WebSocketClosed):
            if await _says_nothing(ws):
                ws.send(json.dumps(wire.send(ConfigureSession())[0]))
            async for text in ws:
                for incoming in wire.receive(text):
                    event = incoming.event if isinstance(incoming, Happened) else None
                    if event is SessionOpened and not wire.asked:
                        ws.send(json.dumps(wire.send(ConfigureSession())[0]))
                    elif event is SessionConfirmed:
                        return ""
                    elif event in (SessionRefused, SessionLost, ReceiverFailed) and isinstance(incoming, Happened):
                        return unkeyed(incoming.args[0], self._key)
        return f"it did not say so within {within_s:g} s"

    async def _shown(self, within_s: float) -> SessionSetup | None:
        """What the server of the connection that was `checked` showed with its first message."""
        first: str | None = None
        with anyio.move_on_after(within_s):
            first = await self._checked.first() if self._checked is not None else None
        return None if first is None else self._new_wire().shown(first)

    async def run(self, post: Post) -> None:
        """Hold one session after the other until CloseSession is performed or the task is cancelled; a second run is refused."""
        if self._post is not None:
            raise RuntimeError("a RealtimeLLM serves one call: make another for the next")
        self._post = post
        try:
            while not self._outbox.is_shut:
                end: Happened | None = None
                with anyio.CancelScope() as self._session:
                    end = await self._hold(post)
                self._session = None
                if end is not None:
                    self._lose()
                    post(end.event, *(unkeyed(words, self._key) for words in end.args))
                    await self._opens.wait()
                self._opens = anyio.Event()
        finally:
            unsent = self._outbox.shut()
        self._report_unsent(unsent)

    def do(self, effect: Effect) -> None:
        """Put an effect's message into the outbox; open a session anew for OpenSession, and close it for good for CloseSession."""
        if isinstance(effect, CloseSession):
            self._report_unsent(self._outbox.shut())
            self._replace()
            return
        if isinstance(effect, OpenSession):
            self._lose()
            self._replace()
            return
        noted = self._history.do(effect)
        if isinstance(noted, AddEntry):
            self._history.note_entry(noted, self._settings.entry.replace("{digits}", noted.digits))
        if noted is None:
            return
        if not self._wire.asked and not isinstance(noted, ConfigureSession):
            # It is part of the history now, which the next session is given.
            self._report_unsent([noted])
            return
        messages = self._wire.send(noted)
        if isinstance(noted, ConfigureSession):
            messages += self._wire.restore(self._history.items())
        for message in messages:
            if not self._outbox.put(noted, json.dumps(message)):
                self._report_unsent([noted])

    def hear(self, pcm: bytes) -> None:
        """Take 20 ms of the caller, in our `sound`; until the session is confirmed the last 2 s are kept, and sent then (R26)."""
        self._outbox.hear(pcm)

    def remembered(self) -> dict[str, Any]:
        """What was said since it was asked last, for another process that takes the call up (`adapters.cluster.journal.Remembers`)."""
        return self._history.remembered()

    def recall(self, remembered: dict[str, Any]) -> None:
        """Know what was said to another process; the first session is told it."""
        self._history.recall(remembered)

    def become(self, settings: RealtimeSettings) -> None:
        """Be somebody else from now on, in this session and in later ones: other instructions, other tools; all else stays as it was."""
        self._settings = settings
        for message in self._wire.become(settings):
            self._outbox.put(None, json.dumps(message))

    def write(self, item_id: str, item: Mapping[str, Any]) -> None:
        """Add an item of the application's to the conversation, as the wire has it; TurnCommitted of it is the application's to post."""
        self._history.add(item_id, {"id": item_id, **item})
        if self._wire.asked:
            for message in self._wire.restore([{"id": item_id, **item}]):
                self._outbox.put(None, json.dumps(message))

    def _is_confirmed(self) -> bool:
        return self._wire.confirmed

    def _lose(self) -> None:
        """Begin anew with a session that knows nothing; what has not left never will."""
        self._quarantined += self._wire.quarantined
        self._wire = self._new_wire()
        self._report_unsent(self._outbox.lose())

    def _replace(self) -> None:
        """End the session that is held, if there is one, and let `run` look again."""
        self._opens.set()
        if self._session is not None:
            self._session.cancel()

    def _new_wire(self) -> Wire:
        heard, spoken = self.sound, sound_of(self._speaker)
        return Wire(self._settings, self._policy, openai=self._openai, key=self._key, hears=heard, speaks=spoken)

    def _address(self) -> str:
        try:
            return address(self._url, self._settings.model)
        except ValueError:
            return self._url

    def _open(self) -> AbstractAsyncContextManager[WebSocket]:
        limits = self._timeouts
        return self._connect(
            self._address(),
            headers=headers(self._url, self._key),
            open_timeout_s=limits.open_s,
            write_timeout_s=limits.write_s,
            ping_interval_s=limits.ping_interval_s,
            ping_timeout_s=limits.ping_s,
            drained=self._outbox.pump,
        )

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[WebSocket]:
        """The connection that was made ahead, the first time; else a new one. It is closed at the end of the block."""
        ready, self._checked = self._checked, None
        if ready is None:
            async with self._open() as ws:
                yield ws
            return
        try:
            yield ready
        finally:
            with anyio.CancelScope(shield=True):
                await ready.close()

    async def _hold(self, post: Post) -> Happened:
        """Connect, and receive until the connection ends; return what to post about that."""
        await anyio.sleep_until(self._not_before_s)
        try:
            async with self._connection() as ws:
                self._outbox.open(ws)
                if await _says_nothing(ws):
                    post(SessionOpened)
                async for text in ws:
                    if (told := self._take_all(text, post)) is not None:
                        return told
                self._leave_alone(_stated(ws))
                return Happened(SessionLost, (" ".join(f"closed with {ws.close_code} {ws.close_reason}".split()),))
        except WebSocketError as error:
            self._leave_alone(error.wait_s * 1000)
            return Happened(ReceiverFailed if error.status in REFUSED else SessionLost, (str(error),))

    def _leave_alone(self, wait_ms: float) -> None:
        """Open no session before the time is over after which the server wants to be asked again, as far as a call can wait (R92)."""
        self._not_before_s = anyio.current_time() + min(wait_ms, self._policy.retry_after_most_ms, self._policy.session_ms / 2) / 1000

    def _take_all(self, text: str, post: Post) -> Happened | None:
        """Pass on what a message says; one that says that the session is over is returned, as nothing more of it counts."""
        self._outbox.answered()
        if self._overheard is not None:
            self._overheard(text)
        for incoming in self._wire.receive(text):
            if isinstance(incoming, Happened) and incoming.event is SessionLost:
                return incoming
            self._take(incoming, post)
        # That may have been the confirmation which the caller's sound waits for.
        self._outbox.pump()
        return None

    def _take(self, incoming: Incoming, post: Post) -> None:
        """Pass on what the server said. Posting may bring effects back to `do` before it returns, so state changes come first."""
        self._history.hear(incoming)
        match incoming:
            case Audio(response_id, item_id, pcm, content_index):
                self._speaker.play(response_id, pcm, item_id=item_id, content_index=content_index)
            case Reply(effect):
                if not self._outbox.put(effect, json.dumps(self._wire.answer(incoming))):
                    self._report_unsent([effect])
            case TextDelta(response_id, item_id, delta, last):
                if self._sentences is not None:
                    for sentence in self._sentences.feed(response_id, item_id, delta, last=last):
                        post(SentenceCut, *sentence)
            case Happened(event, args):
                if event is SpeechStarted:
                    self._outbox.begin_turn()
                elif event is TurnCommitted:
                    self._history.keep_sound(args[0], self._outbox.end_turn())
                if self._sentences is not None and isinstance(event, type) and issubclass(event, ResponseEnded):
                    rest = self._sentences.end(args[0])
                    # What a cancelled or broken response left unfinished is no sentence.
                    for sentence in rest if event is ResponseCompleted else ():
                        post(SentenceCut, *sentence)
                post(event, *args)

    def _report_unsent(self, effects: list[Effect]) -> None:
        """Tell the core of cancels that have not left (R05); other commands have deadlines of their own."""
        for effect in effects:
            if isinstance(effect, CancelResponse) and self._post is not None:
                self._post(CancelUnsent, effect.response_id)


async def _says_nothing(ws: WebSocket) -> bool:
    """Does a server say nothing of itself? It is asked for a session all the same, in the words that it is taken to know (R102)."""
    with anyio.move_on_after(SHOWN_S) as patience:
        await ws.first()
    return patience.cancelled_caught


def _stated(ws: WebSocket) -> float:
    """The wait that the end of a connection asks for, in ms; one that is about a rate limit may say it in any language."""
    words = ws.close_reason
    limits = ws.close_code == TRY_AGAIN_LATER or is_rate_limit(words.casefold())
    return wait_in(words) or (duration_ms({"reason": words}, time()) if limits else 0.0)


@attrs.frozen
class _Timeouts:
    """The limits of a connection, in seconds."""

    open_s: float
    ping_interval_s: float
    ping_s: float
    write_s: float
