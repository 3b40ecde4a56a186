"""A telephone stream's channel that is watched: when a clear leaves, and which frames of the voice come too late."""

from collections.abc import Callable
from typing import Protocol

import anyio

from adapters.seam.channel import Channel
from adapters.twilio.wire import FRAME_OCTETS, clear, media, octets_in

FRAME_S = 0.02
GAP_S = 0.3
"""A line that is dry for longer than this was silent on purpose; a shorter gap in the voice is one that the caller hears."""
_MEDIA = media("", b"").partition(",")[0]
_CLEAR = clear("").partition(",")[0]


class Onlooker(Protocol):
    """Who is told."""

    def note_clear(self) -> None:
        """A clear has been sent."""

    def note_frame(self, late: bool) -> None:
        """Frames have been sent; `late`: the line had run dry in the middle of the voice."""


class WatchedChannel:
    """A `Channel` over another one; set `onlooker` once there is one."""

    def __init__(self, channel: Channel, now_s: Callable[[], float] = anyio.current_time) -> None:
        self.onlooker: Onlooker | None = None
        self._channel, self._now_s = channel, now_s
        self._dry_s: float | None = None

    async def receive(self) -> str | bytes:
        """See Channel."""
        return await self._channel.receive()

    async def send(self, text: str) -> None:
        """See Channel; what leaves is noted once it has left."""
        await self._channel.send(text)
        if text.startswith(_MEDIA):
            self._note_frames(octets_in(text) / FRAME_OCTETS)
        elif text.startswith(_CLEAR):
            self._dry_s = None
            if self.onlooker is not None:
                self.onlooker.note_clear()

    async def close(self) -> None:
        """See Channel."""
        await self._channel.close()

    def _note_frames(self, number: float) -> None:
        now_s = self._now_s()
        dry_s, late = now_s, False
        if self._dry_s is not None and now_s - self._dry_s < GAP_S:
            dry_s, late = max(now_s, self._dry_s), now_s > self._dry_s
        self._dry_s = dry_s + number * FRAME_S
        if self.onlooker is not None:
            self.onlooker.note_frame(late)
