"""A WebSocket of starlette's as a channel (`adapters.seam.channel`), for every host whose calls come over one."""

from contextlib import suppress

from starlette.websockets import WebSocket, WebSocketDisconnect

from adapters.seam.channel import ChannelClosed


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

    async def send(self, message: str | bytes) -> None:
        """See Channel; sound may go as it is."""
        if self._closed:
            raise ChannelClosed("the socket is closed")
        try:
            await (self._websocket.send_text(message) if isinstance(message, str) else self._websocket.send_bytes(message))
        # The server below has closed it already, for what came over it: starlette has no other word for that.
        except (WebSocketDisconnect, RuntimeError):
            self._closed = True
            raise ChannelClosed("the socket broke while we sent") from None

    async def close(self) -> None:
        """See Channel."""
        if self._closed:
            return
        self._closed = True
        with suppress(WebSocketDisconnect, RuntimeError):
            await self._websocket.close()
