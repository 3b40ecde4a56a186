"""A speech server for simulated calls: it takes the place of the HTTP client, keeps the contract of /cancel, and fails as planned."""

import json
import struct
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import lru_cache
from typing import Any, Self

import anyio
import attrs
import httpx

from adapters.proof.sim.response import CHAR_MS, sound_of
from adapters.proof.sim.world import World
from adapters.seam.ports import RATE_HZ

SYNTHESIS_MS = (150, 1_800)
"""How long a sentence takes: 1 to 3 s on the server that the contract is from, less on a faster one."""


MOST_NUMBERS = 2**16 - 1
"""The largest number that a sample holds."""
ANYONE = 30_000
"""The sample of sound whose response is told by its bookkeeping alone."""
PART_BYTES = 19_200
"""How much a server that streams sends at a time: 400 ms of sound."""


@attrs.frozen
class Answer:
    """An HTTP answer, as far as the port reads one."""

    status_code: int
    body: bytes = b""
    pause_ms: float = 0.0
    """How long each part after the first takes; 0: the body comes whole."""
    headers: Mapping[str, str] = attrs.Factory(dict)

    async def aiter_raw(self) -> AsyncIterator[bytes]:
        """The body, at once or in parts."""
        size = PART_BYTES if self.pause_ms else max(1, len(self.body))
        for at in range(0, len(self.body), size):
            if at:
                await anyio.sleep(self.pause_ms / 1000)
            yield self.body[at : at + size]


class Voice:
    """The server, and the clients that the port makes for it. `dialect` is what it speaks (`adapters.chatterbox.servers`)."""

    def __init__(self, world: World) -> None:
        self.dialect = "openai" if any(item.what == "streams" for item in world.happened("dialect")) else "seed"
        self._world = world
        self._cancelled: dict[str, anyio.Event] = {}

    def client(self, _: object) -> Any:
        """See `httpx.AsyncClient`: what the port opens."""
        return self

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        return None

    @asynccontextmanager
    async def stream(self, method: str, path: str, *, json: Mapping[str, object] | None = None) -> AsyncIterator[Answer]:
        """See `httpx.AsyncClient.stream`."""
        if path.startswith("/cancel/"):
            yield await self._cancel(path.removeprefix("/cancel/"))
        else:
            yield await self._synthesise(json or {})

    async def _cancel(self, session_id: str) -> Answer:
        delay_ms = self._world.dice.between("uncancel", 2, 40)
        for item in self._world.happened("uncancel"):
            if item.what == "status":
                return Answer(int(item.value))
            delay_ms += {"slow": float(item.value), "never": 1e9}[item.what]
        await anyio.sleep(delay_ms / 1000)
        self._of(session_id).set()
        return Answer(200, json.dumps({"cancelled": True}).encode())

    async def _synthesise(self, wanted: Mapping[str, Any]) -> Answer:
        session_id, text = str(wanted.get("session_id", "")), str(wanted.get("text", wanted.get("input", "")))
        delay_ms = self._world.dice.between("synthesis", *SYNTHESIS_MS)
        pause_ms = self._world.dice.between("part", 20, 200) if self.dialect == "openai" else 0.0
        size_ms, failed = len(text) * CHAR_MS, None
        for item in self._world.happened("synthesis"):
            match item.what:
                case "slow":
                    delay_ms += float(item.value)
                case "never":
                    delay_ms = 1e9
                case "status":
                    failed = Answer(int(item.value))
                case "noise":
                    failed = Answer(200, b"this is no WAV")
                case "short":
                    size_ms = 20
                case "drip" if pause_ms:
                    pause_ms = float(item.value)
                case "refused":
                    raise httpx.ConnectError("simulated")
        with anyio.move_on_after(delay_ms / 1000):
            await self._of(session_id).wait()
            return Answer(204)
        return failed or Answer(200, _wav(self._number(session_id), size_ms), pause_ms)

    def _number(self, session_id: str) -> int:
        """The response that is spoken; where no session is told, or the id is none that this world gave, a voice that belongs to none."""
        # words of ours may be said for a response whose id a form has drawn (R92)
        name = session_id.split(".")[1][1:] if session_id else ""
        number = int(name) if name.isdigit() else ANYONE
        return number if number <= MOST_NUMBERS else ANYONE

    def _of(self, session_id: str) -> anyio.Event:
        return self._cancelled.setdefault(session_id, anyio.Event()) if session_id else anyio.Event()


@lru_cache(maxsize=256)
def _wav(number: int, ms: int) -> bytes:
    pcm = sound_of(number, ms)
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, RATE_HZ, RATE_HZ * 2, 2, 16)
    return struct.pack("<4sI4s", b"RIFF", 36 + len(pcm), b"WAVE") + form + struct.pack("<4sI", b"data", len(pcm)) + pcm
