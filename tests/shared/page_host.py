"""What the tests of the page's server share: it on loopback, before an LLM that answers a tone, and pages that are no browser; no claim."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import anyio
import attrs
from rich.console import Console
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from adapters.browser.wire import HEAD
from adapters.hosts.page.server import PageServer, served
from adapters.hosts.page.talk import Talk
from adapters.hosts.phone.agent import ServedAgent
from adapters.realtime.settings import RealtimeSettings
from adapters.seam.ports import FRAME_BYTES
from fsm.call.policy import Policy
from tests.shared.phone_model import ToneModel, phone_policy, tone_server


@attrs.frozen
class Served:
    """A page, served."""

    url: str

    @property
    def origin(self) -> str:
        """What a browser says of a page that came from here."""
        return "{0.scheme}://{0.netloc}".format(urlsplit(self.url))

    def socket(self, name: str, **how: Any) -> connect:
        """A WebSocket of the page's."""
        how = {"origin": self.origin, "proxy": None, "max_size": None, **how}
        return connect(self.url.replace("http", "ws", 1) + name, **how)


@attrs.frozen
class Host(Served):
    """The page of a talk."""

    model: ToneModel
    talk: Talk
    out: Path

    def folders(self) -> list[Path]:
        """Of each call, what it left."""
        return sorted(self.out.iterdir()) if self.out.exists() else []


@asynccontextmanager
async def page_host(out: Path, model: ToneModel | None = None, policy: Policy | None = None) -> AsyncIterator[Host]:
    """Serve the page before that model."""
    model = model or ToneModel()
    async with tone_server(model) as (url, _):
        agent = ServedAgent(policy=policy or phone_policy(), settings=RealtimeSettings(), realtime_url=url)
        talk = Talk(agent=agent, out=out, console=Console(file=None, quiet=True))
        async with served(PageServer(source=talk.stage, talk=talk), 0) as address:
            yield Host(address, model, talk, out)


@attrs.define(eq=False)
class Pretender:
    """A page that is no browser: it plays what it is given at once, and hears `sound`, and silence behind it, in real time."""

    socket: ClientConnection
    sound: bytes = b""
    played: int = 0
    cuts: int = 0

    async def run(self) -> str:
        """Be a page until the server ends it; gives the reason."""
        async with anyio.create_task_group() as group:
            group.start_soon(self._hear)
            try:
                async for message in self.socket:
                    if isinstance(message, bytes):
                        self.played += len(message) // 2
                    else:
                        self.cuts += 1
                        await self.socket.send(json.dumps({"cut": json.loads(message)["cut"], "played": self.played}))
            finally:
                group.cancel_scope.cancel()
        return str(self.socket.close_reason)

    async def _hear(self) -> None:
        due_s = anyio.current_time()
        rest = self.sound
        while True:
            frame, rest = rest[:FRAME_BYTES].ljust(FRAME_BYTES, b"\0"), rest[FRAME_BYTES:]
            try:
                await self.socket.send(HEAD.pack(self.played) + frame)
            except ConnectionClosed:
                return
            due_s += 0.02
            await anyio.sleep_until(due_s)


async def watched(socket: ClientConnection, until: str = "saved") -> dict[str, Any]:
    """What a page that watches has been told when the call has left its folder, or what else is waited for, put together."""
    told: dict[str, Any] = {"steps": [], "levels": {"caller": [], "agent": []}}
    async for message in socket:
        news = json.loads(message)
        if "head" in news:
            told |= {"steps": [], "levels": {"caller": [], "agent": []}, **news["head"]}
        told["steps"] += news.get("steps", [])
        for side in ("caller", "agent"):
            told["levels"][side] += news.get("levels", {}).get(side, [])
        told |= {name: news[name] for name in ("end", "saved") if name in news}
        if until in told:
            break
    return told


def silence(ms: float) -> bytes:
    """So much of nothing."""
    return bytes(round(ms * 24) * 2)
