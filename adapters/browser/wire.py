"""What a page and its line say to one another, as typed records; bounded, no I/O and no clock in here.

Sound is binary, all else JSON. The page sends 20 ms of the microphone at a time, with how much of the agent it has played by then, and
answers each cut with the very sample at which its loudspeaker fell silent. The line sends the agent's sound, to be played at once or behind
what waits, and `cut`: drop what waits.
"""

import json
import struct
from collections import Counter

import attrs

from adapters.seam.ports import FRAME_BYTES
from adapters.seam.wellformed import read_json

HEAD = struct.Struct("<I")
"""Before the sound of each message: the samples played so far. It begins anew after 49 hours, and no call lasts as long."""
LONGEST = 200
"""The longest text of a page, in characters."""


@attrs.frozen
class Heard:
    """20 ms of the microphone, and how many samples of the agent had been played by then."""

    played: int
    pcm: bytes = attrs.field(repr=False)


@attrs.frozen
class WasCut:
    """The loudspeaker fell silent for cut number `number` after so many samples."""

    number: int
    played: int


@attrs.frozen
class Left:
    """The caller hangs up."""


class Unreadable(ValueError):
    """A message that is set aside; its text is the reason under which it is counted, a constant without anything received."""


class Wire:
    """What a page says, read; what can't be is counted, and is no fault of the call's."""

    def __init__(self) -> None:
        self.quarantined: Counter[str] = Counter()
        """Messages set aside, by reason."""

    def receive(self, message: str | bytes) -> Heard | WasCut | Left | None:
        """The message, or None when it is set aside; never raises."""
        try:
            return _read(message)
        except Unreadable as reason:
            self.quarantined[str(reason)] += 1
            return None


def cut(number: int) -> str:
    """Drop what waits to be played, and say when that was."""
    return json.dumps({"cut": number})


def _read(message: str | bytes) -> Heard | WasCut | Left:
    if isinstance(message, bytes):
        if len(message) != HEAD.size + FRAME_BYTES:
            raise Unreadable("sound that is not 20 ms")
        return Heard(HEAD.unpack_from(message)[0], message[HEAD.size :])
    if len(message) > LONGEST:
        raise Unreadable("oversized")
    try:
        fields = read_json(message)
    except ValueError:
        raise Unreadable("not JSON") from None
    match fields:
        case {"cut": int(number), "played": int(played)} if not isinstance(number, bool) and not isinstance(played, bool) and played >= 0:
            return WasCut(number, played)
        case {"left": True}:
            return Left()
        case _:
            raise Unreadable("unknown")
