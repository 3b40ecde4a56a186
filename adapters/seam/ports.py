"""The seam between the core and the world: what a port is, and how sound passes from one port to another.

Sound: mono, in `bytes`, of a format: 24 kHz PCM, where a frame of 20 ms has 960 bytes, unless an ear or a speaker says otherwise in its
`sound`. Audio never passes through the core.
"""

from collections.abc import Callable
from typing import Concatenate, ParamSpec, Protocol

import attrs

from fsm.call.effects import Effect
from fsm.call.events import Event

FRAME_MS = 20


@attrs.frozen(eq=False)
class Sound:
    """A format of sound; there is one value of each, so they are told apart by identity."""

    name: str
    rate_hz: int
    sample_bytes: int
    silence: bytes
    """A silent sample."""
    frame_bytes: int = attrs.field(init=False)
    """How many bytes a frame has."""

    @frame_bytes.default
    def _frame_bytes(self) -> int:
        return self.bytes_of(FRAME_MS)

    def ms_of(self, size: int) -> float:
        """How many milliseconds so many bytes of sound last."""
        return size * 1000 / (self.rate_hz * self.sample_bytes)

    def bytes_of(self, ms: float) -> int:
        """How many bytes so many milliseconds of sound have, in whole samples."""
        return int(ms * self.rate_hz / 1000) * self.sample_bytes


PCM = Sound("pcm", 24_000, 2, b"\0\0")
"""Signed 16-bit little-endian samples."""
PCMU = Sound("pcmu", 8_000, 1, b"\xff")
"""G.711 mu-law, a telephone's (`adapters.seam.mulaw`)."""
RATE_HZ, FRAME_BYTES = PCM.rate_hz, PCM.frame_bytes
"""Those of PCM, which all but a telephone line take."""


def sound_of(port: object) -> Sound:
    """What an ear or a speaker takes: PCM, unless its `sound` says otherwise."""
    sound: Sound = getattr(port, "sound", PCM)
    return sound


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
        """Queue sound of a response, in its format (`sound_of`), of any length in whole samples; False when it was refused.

        The first sound of an admitted response, and of each further content part of it (`item_id`, `content_index`), posts AudioArrived,
        and a Flush is answered with what was heard of each (R88). `sentence` is a synthesis session id; the first frame of a new one
        being heard posts SentenceStarted.
        """


class Ear(Protocol):
    """Who hears the caller; the realtime LLM is one."""

    def hear(self, pcm: bytes) -> None:
        """Take 20 ms of the caller's sound, in its format (`sound_of`); never blocks."""


class Caller(Protocol):
    """Where the caller's sound comes from."""

    @property
    def finished(self) -> bool:
        """Does the caller hang up now?"""

    def next_frame(self, agent_audible: bool) -> bytes:
        """Give the next 20 ms; `agent_audible` says whether the agent's last 20 ms could be heard."""
