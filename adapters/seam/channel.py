"""How a stream's messages come and go: the protocol that a socket must fit."""

from typing import Protocol


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
