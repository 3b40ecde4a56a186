"""The seam between the core and the world: what a port is, and how sound passes from one port to another.

Sound: 24 kHz, mono, signed 16-bit little-endian PCM, in `bytes`; a frame is 20 ms, so 480 samples or 960 bytes. Audio
never passes through the core.
"""

from collections.abc import Callable
from typing import Concatenate, ParamSpec, Protocol

from fsm.call.effects import Effect
from fsm.call.events import Event

RATE_HZ = 24_000
FRAME_MS = 20
FRAME_BYTES = RATE_HZ * FRAME_MS // 1000 * 2


def ms_of(size: int) -> float:
    """How many milliseconds so many bytes of sound last."""
    return size * 1000 / (RATE_HZ * 2)


def bytes_of(ms: float) -> int:
    """How many bytes so many milliseconds of sound have, in whole samples."""
    return int(ms * RATE_HZ / 1000) * 2


P = ParamSpec("P")


class Post(Protocol):
    """How a port tells the core that something happened.

    `post(SpeechStarted, "item_1")` stamps the event with the call's clock and puts it into the driver's inbox. It never
    blocks and never raises; after the call it does nothing. It must be called from the event loop's thread.
    """

    def __call__(self, event: Callable[Concatenate[float, P], Event], *args: P.args, **kwargs: P.kwargs) -> None:
        """Post `event(now, *args, **kwargs)`."""


class Port(Protocol):
    """One resource of a call: an audio device, a realtime LLM, a synthesiser, a telephone line."""

    @property
    def performs(self) -> tuple[type[Effect], ...]:
        """The effects that this port carries out; the driver gives it no others."""

    async def run(self, post: Post) -> None:
        """Own the resource until cancelled; a fault of it is posted as an event, a bug raises and closes this call alone."""

    def do(self, effect: Effect) -> None:
        """Begin an effect and return at once, without waiting for anything remote."""


class Speaker(Protocol):
    """Where the agent's sound goes; the audio device is one."""

    def play(self, response_id: str, pcm: bytes, *, item_id: str = "", content_index: int = 0, sentence: str = "") -> bool:
        """Queue sound of a response (of any length, whole samples); False when it was refused because the response is not admitted.

        The first sound of an admitted response, and of each further content part of it (`item_id`, `content_index`), posts AudioArrived,
        and a Flush is answered with what was heard of each (R88). `sentence` is a synthesis session id; the first frame of a new one
        being heard posts SentenceStarted.
        """


class Ear(Protocol):
    """Who hears the caller; the realtime LLM is one."""

    def hear(self, pcm: bytes) -> None:
        """Take 20 ms of the caller's sound; never blocks."""


class Caller(Protocol):
    """Where the caller's sound comes from."""

    @property
    def finished(self) -> bool:
        """Does the caller hang up now?"""

    def next_frame(self, agent_audible: bool) -> bytes:
        """Give the next 20 ms; `agent_audible` says whether the agent's last 20 ms could be heard."""
