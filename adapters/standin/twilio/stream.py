"""Twilio's side of one Media Stream, over any text socket: paces the caller, plays what comes, sends marks back; on asyncio and trio."""

import base64
import json
import random
from collections import Counter, deque
from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any, Protocol

import anyio
import attrs

from adapters.standin.twilio.buffer import FRAME_MS, Buffer
from adapters.standin.twilio.ears import SILENT, Ears
from adapters.standin.twilio.grammar import Clear, Mark, Play, Violation, read
from adapters.standin.twilio.ids import Ids
from adapters.standin.twilio.lacks import told

DIGIT_GAP_S = 0.3
"""From one key to the next."""
STOP_S = 2.0
"""How long an application may take to take the last messages."""


class Hung(Enum):
    """How a stream ended."""

    CALLER = "the caller hung up"
    API = "the call was ended by REST"
    REDIRECTED = "the call was sent elsewhere by REST"
    APPLICATION = "the application closed the stream"
    CUT_OFF = "the application cut the call off"
    VIOLATION = "the application broke the protocol"


CLOSED = (1000, 1005)
"""The codes of an application that meant to close: a normal closure, or none given. Any other, and none at all, cuts the caller off."""


class SocketClosed(Exception):
    """The application closed the socket with `code`, 1006 where its connection was lost; the text holds that and its words."""

    def __init__(self, code: int, words: str = "") -> None:
        super().__init__(f"closed with {code} {words}".rstrip())
        self.hung = Hung.APPLICATION if code in CLOSED else Hung.CUT_OFF


class Socket(Protocol):
    """The socket to the application."""

    async def receive(self) -> str | bytes:
        """The next message; raises SocketClosed."""

    async def send(self, text: str) -> None:
        """Send one; raises SocketClosed."""

    async def close(self, code: int, reason: str) -> None:
        """Close; safe to call again."""


class Caller(Protocol):
    """Who speaks into the telephone."""

    @property
    def finished(self) -> bool:
        """Do they hang up now?"""

    def next_frame(self, agent_audible: bool) -> bytes:
        """The next 20 ms, 160 mu-law octets; `agent_audible` says whether the agent's last 20 ms could be heard."""


@attrs.frozen(kw_only=True)
class Conditions:
    """How bad the network is, what the carrier lacks, and what the caller's hands do; the same `seed` gives the same line."""

    jitter_ms: float = 0.0
    """Each message, either way, is held up by anything up to this, in order."""
    loss: float = 0.0
    """This share of frames is lost: the caller's never reach the application, the agent's are silent."""
    digits: str = ""
    digits_at_s: float = 0.0
    hang_up_after_s: float | None = None
    without: frozenset[str] = frozenset()
    """Names of `lacks.LACKS`."""
    seed: int = 1


class Stream:
    """One stream: run it once."""

    def __init__(self, socket: Socket, ids: Ids, parameters: Mapping[str, str], caller: Caller, conditions: Conditions) -> None:
        self.buffer = Buffer()
        self.ears = Ears()
        self.counts: Counter[str] = Counter()
        self.words = ""
        """What is known of how it ended."""
        self._socket, self._ids, self._parameters, self._caller, self._conditions = socket, ids, dict(parameters), caller, conditions
        self._random = random.Random(conditions.seed)
        self._number = 0
        self._hung: Hung | None = None
        self._over = anyio.Event()
        self._out, self._in = _Delayed(self._delay_s), _Delayed(self._delay_s)
        self._keys = deque(conditions.digits)

    @property
    def ended(self) -> str:
        """How it ended, in words; empty before."""
        return ": ".join(filter(None, [self._hung.value if self._hung else "", self.words]))

    async def run(self) -> Hung:
        """Be the stream until somebody ends it."""
        try:
            await self._say({"event": "connected", "protocol": "Call", "version": "1.0.0"})
            await self._say(self._numbered("start", self._start()))
            async with anyio.create_task_group() as tasks:
                for work in (self._pace, self._listen, self._send_all, self._take_all):
                    tasks.start_soon(self._guarded, work)
                await self._over.wait()
                if self._hung in (Hung.CALLER, Hung.API, Hung.REDIRECTED):
                    self._out.put(json.dumps(self._numbered("stop", {"accountSid": self._ids.account, "callSid": self._ids.call})))
                    with anyio.move_on_after(STOP_S):
                        await self._out.quiet.wait()
                tasks.cancel_scope.cancel()
        except SocketClosed as closed:
            self._end(closed.hung, str(closed))
        assert self._hung is not None
        code, reason = (1008, self.words) if self._hung is Hung.VIOLATION else (1000, "")
        await self._socket.close(code, reason[:100])
        return self._hung

    def hang_up(self, hung: Hung = Hung.API) -> None:
        """The call is ended from outside: by REST, or by the caller."""
        self._end(hung, "")

    async def _guarded(self, work: Callable[[], Any]) -> None:
        try:
            await work()
        except SocketClosed as closed:
            self._end(closed.hung, str(closed))
        except Violation as violation:
            self._end(Hung.VIOLATION, str(violation))

    def _end(self, hung: Hung, words: str) -> None:
        if self._hung is None:
            self._hung, self.words = hung, words
            self._over.set()

    async def _pace(self) -> None:
        """Frame n at start + n * 20 ms, both ways."""
        start_s = anyio.current_time()
        frames = 0
        while self._hung is None:
            await anyio.sleep_until(start_s + frames * FRAME_MS / 1000)
            agent, names = self.buffer.take()
            if agent is not None and self._lost():
                agent, self.counts["frames lost to the caller"] = SILENT, self.counts["frames lost to the caller"] + 1
            for name in names:
                self._return(name)
            spoken = self._caller.next_frame(self.ears.agent_audible)
            self.ears.hear(spoken, agent)
            self._send_frame(spoken, frames)
            frames += 1
            now_s = frames * FRAME_MS / 1000
            if self._keys and now_s >= self._conditions.digits_at_s + (len(self._conditions.digits) - len(self._keys)) * DIGIT_GAP_S:
                self._out.put(json.dumps(self._numbered("dtmf", {"track": "inbound_track", "digit": self._keys.popleft()})))
            if self._caller.finished or (self._conditions.hang_up_after_s is not None and now_s >= self._conditions.hang_up_after_s):
                self._end(Hung.CALLER, "")

    def _send_frame(self, spoken: bytes, frames: int) -> None:
        payload = base64.b64encode(spoken).decode()
        fields = {"track": "inbound", "chunk": str(frames + 1), "timestamp": str(frames * FRAME_MS), "payload": payload}
        message = self._numbered("media", fields)
        if self._lost():
            self.counts["frames of the caller lost"] += 1
        else:
            self.counts["frames of the caller"] += 1
            self._out.put(json.dumps(message))

    async def _listen(self) -> None:
        while True:
            self._in.put(await self._socket.receive())

    async def _send_all(self) -> None:
        while True:
            text = await self._out.take()
            assert isinstance(text, str)
            await self._socket.send(text)
            self._out.settle()

    async def _take_all(self) -> None:
        while True:
            self._obey(read(await self._in.take(), self._ids.stream))
            self._in.settle()

    def _obey(self, order: Play | Mark | Clear) -> None:
        """Do what the application asks."""
        match order:
            case Play(frames):
                self.buffer.put(frames)
                self.counts["frames of the agent"] += len(frames)
            case Mark(name):
                self.counts["marks"] += 1
                for reached in self.buffer.mark(name):
                    self._return(reached)
            case Clear():
                self.counts["clears"] += 1
                self.ears.clears_ms.append(self.ears.now_ms)
                for cleared in self.buffer.clear():
                    self.counts["marks returned by a clear"] += 1
                    self._return(cleared)

    def _return(self, name: str) -> None:
        if "marks" in self._conditions.without:
            return
        self.counts["marks returned"] += 1
        self._out.put(json.dumps(self._numbered("mark", {"name": name})))

    async def _say(self, message: dict[str, Any]) -> None:
        await self._socket.send(json.dumps(message))

    def _numbered(self, event: str, fields: dict[str, Any]) -> dict[str, Any]:
        self._number += 1
        message = {"event": event, "sequenceNumber": str(self._number), "streamSid": self._ids.stream, event: fields}
        return told(message, self._number, self._conditions.without) if self._conditions.without else message

    def _start(self) -> dict[str, Any]:
        return {
            "accountSid": self._ids.account,
            "streamSid": self._ids.stream,
            "callSid": self._ids.call,
            "tracks": ["inbound"],
            "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
            "customParameters": self._parameters,
        }

    def _lost(self) -> bool:
        return self._conditions.loss > 0 and self._random.random() < self._conditions.loss

    def _delay_s(self) -> float:
        return self._random.uniform(0, self._conditions.jitter_ms) / 1000 if self._conditions.jitter_ms else 0.0


class _Delayed:
    """Messages on their way through a network that holds each up for a while and keeps their order."""

    def __init__(self, delay_s: Callable[[], float]) -> None:
        self.quiet = anyio.Event()
        """Set when nothing is on its way."""
        self._delay_s = delay_s
        self._waiting: deque[tuple[float, str | bytes]] = deque()
        self._last_s = 0.0
        self._more = anyio.Event()

    def settle(self) -> None:
        """What was taken last has arrived."""
        if not self._waiting:
            self.quiet.set()

    def put(self, text: str | bytes) -> None:
        self._last_s = max(self._last_s, anyio.current_time() + self._delay_s())
        self._waiting.append((self._last_s, text))
        self._more.set()
        if self.quiet.is_set():
            self.quiet = anyio.Event()

    async def take(self) -> str | bytes:
        while not self._waiting:
            self._more = anyio.Event()
            await self._more.wait()
        due_s, text = self._waiting.popleft()
        await anyio.sleep_until(due_s)
        return text
