"""What a message of the server's becomes: an event of the core, sound, words, or a message of ours that it calls for."""

from collections.abc import Callable
from typing import Any

import attrs

from adapters.seam.ports import PCM, Sound
from fsm.call.effects import Effect
from fsm.call.events import Event


@attrs.frozen
class Happened:
    """An event to post: `post(happened.event, *happened.args)`."""

    event: Callable[..., Event]
    args: tuple[Any, ...] = ()


@attrs.frozen
class Audio:
    """Sound of a response, in whole samples of a format; it belongs to a content part of an item (R88)."""

    response_id: str
    item_id: str
    pcm: bytes
    content_index: int = 0
    sound: Sound = PCM

    @property
    def ms(self) -> float:
        """How long it is heard."""
        return self.sound.ms_of(len(self.pcm))


@attrs.frozen
class TextDelta:
    """A piece of a response's text, cut anywhere, that a voice is to speak."""

    response_id: str
    item_id: str
    delta: str
    last: bool = False
    """Is no more of its item to come?"""


@attrs.frozen
class SpokenDelta:
    """A piece of what a response says in its own sound, cut anywhere; nobody is to speak it."""

    response_id: str
    item_id: str
    delta: str


@attrs.frozen
class Reply:
    """A message of ours that the server's calls for, without its event_id, and the effect that it carries out."""

    effect: Effect
    body: dict[str, Any]


Incoming = Happened | Audio | TextDelta | SpokenDelta | Reply
