"""Sound in frames that know whose they are, and the facts that are told of it: what playout, tape and line pass to one another."""

import attrs

from adapters.seam.ports import PCM, Post, Sound
from fsm.call.events import AudioArrived, Heard, PlayoutFinished, PlayoutProgressed, PlayoutStopped, QueueEmptied, SentenceStarted

Part = tuple[str, int]
"""A content part: its item, and its index there."""


@attrs.frozen
class Arrived:
    """The first sound of an admitted response, or of a further content part of it, was queued."""

    response_id: str
    item_id: str
    content_index: int = 0


@attrs.frozen
class Progressed:
    """Sound of a response was taken: its first, the first after a gap, or 500 ms more; `played_ms` includes the frame just taken."""

    response_id: str
    played_ms: float


@attrs.frozen
class SentenceBegan:
    """The first sample of a sentence was taken, after `played_ms` of its response."""

    sentence: str
    played_ms: float


@attrs.frozen
class Emptied:
    """All that was queued of a response was taken, by a line that tells later when that has been heard."""

    response_id: str


@attrs.frozen
class RanOut:
    """All that was queued of a response was taken, and the frame with its last sample has had its 20 ms; more may still come."""

    response_id: str
    played_ms: float


@attrs.frozen
class Stopped:
    """What a flush came to: of `received_ms` of the response, `played_ms` were played; and of each of its parts, in order (R88)."""

    response_id: str
    played_ms: float
    received_ms: float
    items: tuple[Heard, ...] = ()


Fact = Arrived | Progressed | SentenceBegan | Emptied | RanOut | Stopped


def tell(fact: Fact, post: Post) -> None:
    """Post a fact as the core's event."""
    match fact:
        case Arrived(response_id, item_id, content_index):
            post(AudioArrived, response_id, item_id, content_index)
        case Progressed(response_id, played_ms):
            post(PlayoutProgressed, response_id, played_ms)
        case SentenceBegan(sentence, played_ms):
            post(SentenceStarted, sentence, played_ms)
        case Emptied(response_id):
            post(QueueEmptied, response_id)
        case RanOut(response_id, played_ms):
            post(PlayoutFinished, response_id, played_ms)
        case Stopped(response_id, played_ms, received_ms, items):
            post(PlayoutStopped, response_id, played_ms, received_ms, items)


@attrs.define
class Run:
    """Sound that lies together: of one response, one content part and one sentence; `begins`: is it the sentence's first?"""

    response_id: str
    part: Part
    sentence: str
    begins: bool
    pcm: bytearray = attrs.field(repr=False)


@attrs.define(eq=False)
class Frame:
    """What is taken at once: whose sound it is, and what is to be told when it is heard; silence when there is no sound in it."""

    runs: list[Run] = attrs.Factory(list)
    facts: list[Fact] = attrs.Factory(list)
    start_s: float = 0.0
    """When it is heard."""
    mark: str = ""
    """What the line sends back when it has been heard, for one that does."""
    of: Sound = PCM
    """The format of its sound."""

    @property
    def sound(self) -> bytes:
        """Its sound, of at most 20 ms."""
        return b"".join(run.pcm for run in self.runs)

    @property
    def whole(self) -> bytes:
        """Exactly 20 ms: its sound, and silence behind it."""
        sound = self.sound
        return sound + self.of.silence * ((self.of.frame_bytes - len(sound)) // self.of.sample_bytes)

    @property
    def size(self) -> int:
        """How many bytes of sound it has."""
        return sum(len(run.pcm) for run in self.runs)

    @property
    def end_s(self) -> float:
        """When its sound has been heard."""
        return self.start_s + self.of.ms_of(self.size) / 1000

    @property
    def sounding(self) -> dict[str, int]:
        """The bytes that each response has of it."""
        sizes: dict[str, int] = {}
        for run in self.runs:
            sizes[run.response_id] = sizes.get(run.response_id, 0) + len(run.pcm)
        return sizes

    def cut(self, size: int) -> "Frame":
        """Cut it after `size` bytes, and give what was behind; a sentence that begins in there was told with this frame."""
        rest = Frame(start_s=self.start_s, of=self.of)
        runs, self.runs = self.runs, []
        for run in runs:
            before = min(size, len(run.pcm))
            size -= before
            if before:
                self.runs.append(attrs.evolve(run, pcm=run.pcm[:before]))
            if before < len(run.pcm):
                rest.runs.append(attrs.evolve(run, pcm=run.pcm[before:], begins=False))
        return rest
