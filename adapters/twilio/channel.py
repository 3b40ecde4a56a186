"""How a telephone stream's messages come and go: the protocol that a socket must fit, and the fit for starlette's."""

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from starlette.websockets import WebSocket


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
    """A WebSocket that starlette has accepted."""

    def __init__(self, websocket: "WebSocket") -> None:
        self._websocket = websocket

    async def receive(self) -> str | bytes:
        """See Channel."""
        if self._gone:
            raise ChannelClosed("the socket is closed")
        message = await self._websocket.receive()
        if message["type"] == "websocket.disconnect":
            raise ChannelClosed(f"closed with {message.get('code', 1005)} {message.get('reason') or ''}".rstrip())
        text: str | None = message.get("text")
        return text if text is not None else bytes(message.get("bytes") or b"")

    async def send(self, text: str) -> None:
        """See Channel."""
        from starlette.websockets import WebSocketDisconnect

        if self._gone:
            raise ChannelClosed("the socket is closed")
        try:
            await self._websocket.send_text(text)
        except WebSocketDisconnect:
            raise ChannelClosed("the socket broke while we sent") from None

    async def close(self) -> None:
        """See Channel."""
        from starlette.websockets import WebSocketDisconnect

        if self._gone:
            return
        try:
            await self._websocket.close()
        except WebSocketDisconnect:
            return

    @property
    def _gone(self) -> bool:
        """Has either side closed?"""
        from starlette.websockets import WebSocketState

        return WebSocketState.DISCONNECTED in (self._websocket.client_state, self._websocket.application_state)
