"""Where LiveKit's session hears a caller who is no room: the frames that are pushed."""

import asyncio
from typing import Any

from livekit import rtc
from livekit.agents.voice import io

RATE_HZ = 24_000


class Ear(io.AudioInput):
    """The caller's frames."""

    def __init__(self) -> None:
        super().__init__(label="oracle")
        self._frames: asyncio.Queue[bytes] = asyncio.Queue()

    async def push(self, frame: bytes) -> None:
        """The caller's next 20 ms."""
        self._frames.put_nowait(frame)

    async def __anext__(self) -> Any:
        frame = await self._frames.get()
        return rtc.AudioFrame(frame, RATE_HZ, 1, len(frame) // 2)
