"""A raw client of the stand-in realtime server, and the server in a thread: what the tests of the stand-in share."""

import asyncio
import base64
import json
import queue
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from websockets.asyncio.client import ClientConnection, connect

from adapters.standin.faults import parse
from adapters.standin.realtime.connection import Pace
from adapters.standin.realtime.faults import REALTIME
from adapters.standin.realtime.server import serve
from tests.shared.shell import PATIENCE_S

SECOND = bytes(48_000)
QUICK = Pace(first_token_s=0.02, words_per_s=150, audio_speed=10, transcript_s=0.05, hearing_s=60)
WRITTEN = (
    "response.created",
    "rate_limits.updated",
    "response.output_item.added",
    "conversation.item.added",
    "response.content_part.added",
    "response.output_text.delta",
    "response.output_text.done",
    "response.content_part.done",
    "conversation.item.done",
    "response.output_item.done",
    "response.done",
)
"""The kinds of events of an answer in text."""
Json = dict[str, Any]
WEATHER = {
    "type": "function",
    "name": "get_weather",
    "description": "The forecast for a place.",
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string"}, "days": {"type": "integer", "minimum": 1, "maximum": 7}, "unit": {"enum": ["C", "F"]}},
        "required": ["city", "days", "unit"],
    },
}


@contextmanager
def serving(*, faults: str = "", pace: Pace = QUICK, **choices: Any) -> Iterator[str]:
    """Serve in a thread, on a free port, with a script of faults."""
    ready: queue.Queue[str] = queue.Queue()
    running: queue.Queue[tuple[asyncio.AbstractEventLoop, asyncio.Task[None]]] = queue.Queue()

    async def body() -> None:
        task = asyncio.ensure_future(serve(port=0, on_ready=ready.put, pace=pace, faults=parse(faults, REALTIME), **choices))
        running.put((asyncio.get_running_loop(), task))
        await asyncio.wait([task])

    thread = threading.Thread(target=asyncio.run, args=(body(),))
    thread.start()
    loop, task = running.get(timeout=PATIENCE_S)
    try:
        yield ready.get(timeout=PATIENCE_S)
    finally:
        loop.call_soon_threadsafe(task.cancel)
        thread.join(PATIENCE_S)
        assert not thread.is_alive()


class Client:
    """A raw client that remembers every event."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.events: list[Json] = []

    async def send(self, kind: str, **fields: Any) -> None:
        """Send one event."""
        await self.socket.send(json.dumps({"type": kind, **fields}))

    async def until(self, kind: str) -> Json:
        """The next event of this kind."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                event: Json = json.loads(await self.socket.recv())
                self.events.append(event)
                if event["type"] == kind:
                    return event

    async def error(self) -> Json:
        """The next error."""
        return (await self.until("error"))["error"]

    async def update(self, **session: Any) -> Json:
        """Change the session; the settings in force."""
        await self.send("session.update", session={"type": "realtime", **session})
        return (await self.until("session.updated"))["session"]

    async def detect(self, **detection: Any) -> None:
        """Change the turn detection."""
        await self.update(audio={"input": {"turn_detection": {"type": "server_vad", **detection}}})

    async def hear(self, *sounds: bytes) -> None:
        """Append sound, 100 ms at a time and faster than real time."""
        for sound in sounds:
            for start in range(0, len(sound), 4_800):
                await self.send("input_audio_buffer.append", audio=b64(sound[start : start + 4_800]))

    async def ask(self, text: str, **response: Any) -> Json:
        """Say something in text and ask for the answer; the response that was created."""
        content = [{"type": "input_text", "text": text}]
        await self.send("conversation.item.create", item={"type": "message", "role": "user", "content": content})
        await self.send("response.create", response=response)
        return (await self.until("response.created"))["response"]

    async def done(self) -> Json:
        """The next response that is over."""
        return (await self.until("response.done"))["response"]

    async def answer(self, text: str, **response: Any) -> Json:
        """Say something in text, and ask for the answer; it, once it is over."""
        await self.ask(text, **response)
        return await self.done()

    async def barrier(self) -> None:
        """Everything that the server sends because of what was sent so far has arrived."""
        await self.send("conversation.item.retrieve", item_id="nowhere", event_id="barrier")
        while (await self.error())["event_id"] != "barrier":
            pass

    def kinds(self, *leaving_out: str) -> list[str]:
        """The kinds of all events, repeats of a delta as one."""
        kinds = [event["type"] for event in self.events if event["type"] not in leaving_out]
        return [kind for place, kind in enumerate(kinds) if not (place and kind == kinds[place - 1] and kind.endswith("delta"))]

    def of(self, kind: str) -> list[Json]:
        """All events of one kind."""
        return [event for event in self.events if event["type"] == kind]


@asynccontextmanager
async def meeting(url: str, **options: Any) -> AsyncIterator[Client]:
    """A connection, and nothing more."""
    async with connect(url, **options) as socket:
        yield Client(socket)


@asynccontextmanager
async def calling(url: str, **options: Any) -> AsyncIterator[Client]:
    """A connection with an open session that answers in text."""
    async with meeting(url + "?model=any-model", compression=None, **options) as client:
        created = await client.until("session.created")
        assert created["session"]["model"] == "any-model"
        await client.update(output_modalities=["text"])
        client.events.clear()
        yield client


def b64(data: bytes) -> str:
    """Sound as the wire carries it."""
    return base64.b64encode(data).decode()


def text_of(text: str) -> list[Json]:
    """The content of a message in text."""
    return [{"type": "input_text", "text": text}]


def update(**session: Any) -> Json:
    """A session.update."""
    return {"type": "session.update", "session": {"type": "realtime", **session}}
