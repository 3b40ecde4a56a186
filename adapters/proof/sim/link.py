"""The network between us and a simulated realtime LLM: it stands in for `adapters.realtime.websocket.connect`, and fails as planned."""

import json
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, Self

import anyio

from adapters.proof.sim.model import Model
from adapters.proof.sim.plan import Item
from adapters.proof.sim.world import World
from adapters.realtime.websocket import ABNORMAL, WebSocketClosed, WebSocketError

LATENCY_MS = (15, 90)
"""One way over the internet to a realtime LLM (a live system's logs)."""


class Network:
    """Every connection of one call, the last of them first."""

    def __init__(self, world: World) -> None:
        self.sockets: list[Socket] = []
        self._world = world
        world.acts |= {"close": self._close, "hush": self._hush, "block": self._block}

    def make(self, world: World, patience_ms: float, drained: Callable[[], None]) -> "Socket":
        """A connection that stands."""
        return Socket(world, patience_ms, drained)

    def live(self) -> Model | None:
        """The server at the other end of the connection that is open, if one is."""
        return self.sockets[-1].model if self.sockets and not self.sockets[-1].closed else None

    @asynccontextmanager
    async def connect(
        self,
        url: str,
        *,
        drained: Callable[[], None],
        open_timeout_s: float = 10.0,
        ping_interval_s: float = 5.0,
        ping_timeout_s: float = 5.0,
        **_: Any,
    ) -> AsyncIterator[Any]:
        """See `adapters.realtime.websocket.connect`; it gives a `Socket`."""
        delay_ms = self._world.dice.between("connect", 30, 300)
        for item in self._world.happened("connect"):
            if item.what == "refuse":
                raise WebSocketError("the simulated server refused the connection (503)", 503)
            delay_ms += {"slow": float(item.value), "never": 1e9}[item.what]
        if delay_ms >= open_timeout_s * 1000:
            await anyio.sleep(open_timeout_s)
            raise WebSocketError(f"the simulated server did not answer within {open_timeout_s:g} s")
        await anyio.sleep(delay_ms / 1000)
        socket = self.make(self._world, (ping_interval_s + ping_timeout_s) * 1000, drained)
        self.sockets.append(socket)
        socket.model.open()
        try:
            yield socket
        finally:
            socket.close(1000, "")

    def _close(self, item: Item) -> None:
        if self.sockets:
            self.sockets[-1].close(int(item.value), "planned")

    def _hush(self, _: Item) -> None:
        if self.sockets:
            self.sockets[-1].hush()

    def _block(self, item: Item) -> None:
        if self.sockets:
            self.sockets[-1].block(float(item.value))


class Socket:
    """What `adapters.realtime.websocket.WebSocket` is to its user, with a simulated server behind it."""

    def __init__(self, world: World, patience_ms: float, drained: Callable[[], None]) -> None:
        self.close_code: int | None = None
        self.close_reason = ""
        self.closed = False
        self.model = Model(world, self._say)
        self._world = world
        self._patience_ms = patience_ms
        self._drained = drained
        self._inbox: deque[str] = deque()
        self._news = anyio.Event()
        self._down_ms = self._up_ms = 0.0
        self._hushed = False
        self._blocks = 0

    def close(self, code: int, reason: str) -> None:
        """End the connection, as the server or the network does, or as our side has done."""
        if not self.closed:
            self.closed, self.close_code, self.close_reason = True, code, reason
            self.model.close()
            self._news.set()

    def hush(self) -> None:
        """Nothing passes any more, either way, and nobody is told: our pings will notice."""
        if not self._hushed:
            self._hushed = True
            self._world.after(self._patience_ms, self.close, ABNORMAL, "half-open: no answer to a ping")

    def block(self, ms: float) -> None:
        """Take no byte of ours for a while."""
        self._blocks += 1
        self._world.after(ms, self._unblock)

    @property
    def has_room(self) -> bool:
        """Would what is sent now leave at once?"""
        return not self.closed and not self._blocks

    def send(self, text: str) -> None:
        """Send a message of ours. Raises WebSocketClosed."""
        if self.closed:
            raise WebSocketClosed
        if self._hushed:
            return
        message = json.loads(text)
        self._world.sent(message)
        late_ms = 0.0
        for item in self._world.happened("<" + message["type"]):
            if item.what == "lose":
                return
            late_ms += float(item.value)
        self._up_ms = max(self._up_ms, self._world.now_ms() + self._latency()) + 0.001
        self._world.at(self._up_ms + late_ms, self._arrive_there, message)

    def _unblock(self) -> None:
        self._blocks -= 1
        if self.has_room:
            self._drained()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> str:
        if await self.first() is None:
            raise StopAsyncIteration
        return self._inbox.popleft()

    async def first(self) -> str | None:
        """The message that is next, which stays it; None once there will be none."""
        while not self._inbox:
            if self.closed:
                return None
            self._news = anyio.Event()
            await self._news.wait()
        return self._inbox[0]

    def _arrive_there(self, message: Mapping[str, Any]) -> None:
        if not self.closed and not self._hushed:
            self.model.receive(message)

    def _say(self, kind: str, text: str) -> None:
        """A message of the server's sets out, and something may happen to it: `late` ones are overtaken, `stall` delays all that follow."""
        if self.closed or self._hushed:
            return
        late_ms = 0.0
        copies = 1
        for item in self._world.happened(">" + kind):
            match item.what:
                case "lose":
                    return
                case "double":
                    copies = 2
                case "garble":
                    text = text[: len(text) * 2 // 3]
                case "stall":
                    self._down_ms += float(item.value)
                case "late":
                    late_ms = float(item.value)
        self._down_ms = max(self._down_ms, self._world.now_ms() + self._latency()) + 0.001
        for copy in range(copies):
            self._world.at(self._down_ms + late_ms + copy * self._world.dice.between("copy", 0, 800), self._arrive_here, text)

    def _arrive_here(self, text: str) -> None:
        if not self.closed and not self._hushed:
            self._inbox.append(text)
            self._news.set()

    def _latency(self) -> float:
        return self._world.dice.between("latency", *LATENCY_MS)
