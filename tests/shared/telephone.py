"""What the tests of the telephone share: a line in virtual time, between the port and Twilio's stand-in; no claim is here."""

import json
import socket
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import attrs
import uvicorn
from starlette.applications import Starlette
from starlette.routing import BaseRoute
from starlette.types import ASGIApp

from adapters.seam.channel import ChannelClosed
from adapters.standin.twilio.ids import Ids
from adapters.standin.twilio.stream import Caller, Conditions, Hung, SocketClosed, Stream
from adapters.twilio.port import TwilioLine, answer
from fsm.call.events import Event
from tests.shared.shell import level as sound, run_on

IDS = Ids("AC" + "0" * 32, "CA" + "1" * 32, "MZ" + "2" * 32)
QUIET = b"\xff" * 160


class Wire:
    """Two ends of a connection that carries each message at once, or `delay_s` later, in order."""

    def __init__(self, delay_s: float = 0.0) -> None:
        self.up, self.down = _Way(delay_s), _Way(delay_s)
        self.sent: list[str] = []

    @property
    def channel(self) -> "ApplicationEnd":
        """Our end."""
        return ApplicationEnd(self)

    @property
    def socket(self) -> "TwilioEnd":
        """Twilio's end."""
        return TwilioEnd(self)


@attrs.define(eq=False)
class ApplicationEnd:
    """A `Channel`."""

    wire: Wire

    async def receive(self) -> str | bytes:
        text = await self.wire.up.get()
        if text is None:
            raise ChannelClosed("closed with 1000")
        return text

    async def send(self, text: str) -> None:
        if self.wire.down.closed:
            raise ChannelClosed("closed")
        self.wire.sent.append(text)
        self.wire.down.put(text)
        await anyio.lowlevel.checkpoint()

    async def close(self) -> None:
        self.wire.down.close()


@attrs.define(eq=False)
class TwilioEnd:
    """A `Socket`."""

    wire: Wire

    async def receive(self) -> str | bytes:
        text = await self.wire.down.get()
        if text is None:
            raise SocketClosed(1000)
        return text

    async def send(self, text: str) -> None:
        if self.wire.up.closed:
            raise SocketClosed(1000)
        self.wire.up.put(text)
        await anyio.lowlevel.checkpoint()

    async def close(self, code: int, reason: str) -> None:
        self.wire.up.close()


class _Way:
    """One direction."""

    def __init__(self, delay_s: float) -> None:
        self.closed = False
        self._delay_s = delay_s
        self._texts: deque[tuple[float, str | bytes | None]] = deque()
        self._more = anyio.Event()

    def put(self, text: str | bytes | None) -> None:
        self._texts.append((anyio.current_time() + self._delay_s, text))
        self._more.set()

    def close(self) -> None:
        if not self.closed:
            self.closed = True
            self.put(None)

    async def get(self) -> str | bytes | None:
        while not self._texts:
            self._more = anyio.Event()
            await self._more.wait()
        await anyio.sleep_until(self._texts[0][0])
        text = self._texts[0][1]
        if text is not None:
            self._texts.popleft()
        return text


@attrs.define
class Log:
    """A core that only writes down: (milliseconds, event), each event stamped 0, so that they compare."""

    posted: list[tuple[int, Event]] = attrs.Factory(list)
    on: dict[type[Event], Callable[[], object]] = attrs.Factory(dict)

    def post(self, event: Callable[..., Event], *args: Any, **kwargs: Any) -> None:
        """Take an event, and act on it as a core would: within the post."""
        made = event(0.0, *args, **kwargs)
        self.posted.append((round(anyio.current_time() * 1000), made))
        action = self.on.get(type(made))
        if action is not None:
            action()

    def of(self, *kinds: type[Event]) -> list[Event]:
        """The events of these kinds, in order."""
        return [event for _, event in self.posted if isinstance(event, kinds)]

    def when(self, kind: type[Event]) -> int:
        """When the first of a kind was posted."""
        return next(at_ms for at_ms, event in self.posted if isinstance(event, kind))


@attrs.define
class Silent:
    """A caller who says nothing and hangs up after `frames`."""

    frames: int = 500
    sound: bytes = QUIET
    taken: int = 0

    @property
    def finished(self) -> bool:
        return self.taken >= self.frames

    def next_frame(self, agent_audible: bool) -> bytes:
        self.taken += 1
        return self.sound


@attrs.define
class Held:
    """A call that was held without a core."""

    line: TwilioLine
    stream: Stream
    log: Log
    sent: list[str]
    hung: Hung


Act = Callable[[TwilioLine, Stream], object]


def call(
    *acts: tuple[float, Act],
    caller: Caller | None = None,
    conditions: Conditions | None = None,
    delay_ms: float = 0.0,
    log: Log | None = None,
    **settings: Any,
) -> Held:
    """A whole call in virtual time, with things done to the line at given milliseconds."""
    held: list[Held] = []

    async def hold() -> None:
        wire, noted = Wire(delay_ms / 1000), log or Log()
        stream = Stream(wire.socket, IDS, {}, caller or Silent(), conditions or Conditions())
        ended: list[Hung] = []

        async def be_twilio() -> None:
            ended.append(await stream.run())

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(be_twilio)
            line = TwilioLine(await answer(wire.channel), **settings)
            tasks.start_soon(line.run, noted.post)
            began_s = anyio.current_time()
            for at_ms, act in acts:
                await anyio.sleep_until(began_s + at_ms / 1000)
                act(line, stream)
        held.append(Held(line, stream, noted, wire.sent, ended[0]))

    run_on("trio", hold)
    return held[0]


def speak(response_id: str, ms: float, value: int = 3_000, **more: str) -> Act:
    """Admit a response and give it all of its sound at once."""
    from fsm.call.effects import Admit

    def act(line: TwilioLine, _: Stream) -> None:
        line.do(Admit(response_id))
        line.play(response_id, sound(ms, value), item_id="item", **more)

    return act


def do(*effects: Any) -> Act:
    """Perform effects."""

    def act(line: TwilioLine, _: Stream) -> None:
        for effect in effects:
            line.do(effect)

    return act


def twice(act: Act) -> Act:
    """Do it, and again."""

    def act_twice(line: TwilioLine, stream: Stream) -> None:
        act(line, stream)
        act(line, stream)

    return act_twice


async def answered(wire: Wire, channel: ApplicationEnd | None = None, **settings: Any) -> TwilioLine:
    """A line whose stream has begun."""
    await wire.socket.send(json.dumps({"event": "start", "start": Stream(wire.socket, IDS, {}, Silent(), Conditions())._start()}))
    return TwilioLine(await answer(channel or wire.channel), **settings)


@asynccontextmanager
async def serving(*routes: BaseRoute, made_for: Callable[[str], ASGIApp] | None = None) -> AsyncIterator[str]:
    """A real server on loopback while the block lasts, of routes or of what is made for its URL; gives that URL."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        app = made_for(url) if made_for else Starlette(routes=routes)
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning", lifespan="on", timeout_graceful_shutdown=1))
        async with anyio.create_task_group() as tasks:
            # `serve` would take the signals, which are pytest's.
            tasks.start_soon(server._serve, [listener])
            try:
                yield url
            finally:
                server.should_exit = True
