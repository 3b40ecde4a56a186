"""How a telephone stream's messages come and go: the protocol that a socket must fit, and the fit for starlette's."""

from contextlib import suppress
from typing import Protocol

from starlette.websockets import WebSocket, WebSocketDisconnect


class ChannelClosed(Exception):
    """The far side has gone, or we have closed; the text says what is known of why."""


class Channel(Protocol):
    """A duplex channel of text messages; one task receives and one sends."""

    async def receive(self) -> str | bytes:
        """The next message; raises ChannelClosed at the end."""

    async def send(self, text: str) -> None:
        """Send one message; raises ChannelClosed when it cannot leave any more."""

    async def close(self) -> None:
        """Close politely; safe to call again, and after the far side has gone."""


class StarletteChannel:
    """A WebSocket that starlette has accepted; from then on nobody else sends, receives or closes."""

    def __init__(self, websocket: WebSocket) -> None:
        self._websocket = websocket
        self._closed = False

    async def receive(self) -> str | bytes:
        """See Channel."""
        if self._closed:
            raise ChannelClosed("the socket is closed")
        message = await self._websocket.receive()
        if message["type"] == "websocket.disconnect":
            self._closed = True
            raise ChannelClosed(f"closed with {message.get('code', 1005)} {message.get('reason') or ''}".rstrip())
        text: str | None = message.get("text")
        return text if text is not None else bytes(message.get("bytes") or b"")

    async def send(self, text: str) -> None:
        """See Channel."""
        if self._closed:
            raise ChannelClosed("the socket is closed")
        try:
            await self._websocket.send_text(text)
        except WebSocketDisconnect:
            self._closed = True
            raise ChannelClosed("the socket broke while we sent") from None

    async def close(self) -> None:
        """See Channel."""
        if self._closed:
            return
        self._closed = True
        with suppress(WebSocketDisconnect):
            await self._websocket.close()
