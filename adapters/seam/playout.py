"""The bookkeeping of what an agent may say and has said, shared by every audio device; no clock, no thread, no I/O in it.

A device hands sound over with `play`, takes one frame every 20 ms with `next_frame`, and drains `facts` after each. "Played"
means taken by the device: one that holds sound for a while after taking it (a line, a sound card) subtracts what it holds.
Not thread-safe: a device with a thread of its own needs a lock around every call.
"""

from collections import Counter, deque
from collections.abc import Iterable, Mapping
from enum import StrEnum

import attrs

from adapters.seam.ports import FRAME_BYTES, RATE_HZ, Post
from fsm.call.events import AudioArrived, PlayoutFinished, PlayoutProgressed, SentenceStarted

BYTES_A_MS = RATE_HZ * 2 // 1000
PROGRESS_BYTES = 500 * BYTES_A_MS
"""How often progress is told: every 500 ms of sound, well under the shortest stall limit (R79)."""

SILENCE = bytes(FRAME_BYTES)


class Refusal(StrEnum):
    """Why sound was refused (R57)."""

    NOT_ADMITTED = "not admitted"
    FLUSHED = "flushed"
    FULL = "full"
    HALF_SAMPLE = "half a sample"


@attrs.frozen
class Arrived:
    """The first sound of an admitted response was queued."""

    response_id: str
    item_id: str


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
class RanOut:
    """All that was queued of a response was taken, and the frame with its last sample has had its 20 ms; more may still come."""

    response_id: str
    played_ms: float


Fact = Arrived | Progressed | SentenceBegan | RanOut


def tell(facts: Iterable[Fact], post: Post) -> None:
    """Post each fact as the core's event, for a device in which taken means heard.

    A device that still holds what it took answers `RanOut` with QueueEmptied itself, and PlayoutFinished when its mark or
    clock says so (R27).
    """
    for fact in facts:
        match fact:
            case Arrived(response_id, item_id):
                post(AudioArrived, response_id, item_id)
            case Progressed(response_id, played_ms):
                post(PlayoutProgressed, response_id, played_ms)
            case SentenceBegan(sentence, played_ms):
                post(SentenceStarted, sentence, played_ms)
            case RanOut(response_id, played_ms):
                post(PlayoutFinished, response_id, played_ms)


@attrs.define
class _Account:
    """The bytes of one admitted response; received > played + queued says that it was cut because the queue was full."""

    received: int = 0
    played: int = 0
    queued: int = 0
    told: int = 0
    sentence: str = ""


@attrs.define
class _Run:
    """Sound that lies together in the queue: of one response and one sentence."""

    response_id: str
    sentence: str
    pcm: bytearray


@attrs.define(kw_only=True)
class Playout:
    """The queue of sound, and the responses that may be heard.

    `limit_ms` bounds what may be queued: more is refused, not dropped from the middle (R57, R58). `remembered` bounds the
    admitted and the flushed ids that are kept (R07); the oldest admitted one is flushed for a newer.
    """

    limit_ms: int = 600_000
    remembered: int = 100

    handed_over: int = attrs.field(default=0, init=False)
    """Bytes given to `play`; always played + queued + dropped + the sum of refused (R57)."""
    played: int = attrs.field(default=0, init=False)
    """Bytes taken by the device; padding is not counted."""
    queued: int = attrs.field(default=0, init=False)
    """Bytes that wait."""
    dropped: int = attrs.field(default=0, init=False)
    """Bytes that waited and were flushed."""
    refused: Counter[Refusal] = attrs.field(factory=Counter, init=False)
    """Bytes that were refused, by reason."""

    _queue: deque[_Run] = attrs.field(factory=deque, init=False)
    _admitted: dict[str, _Account] = attrs.field(factory=dict, init=False)
    _flushed: dict[str, tuple[float, float]] = attrs.field(factory=dict, init=False)
    _sounding: dict[str, int] = attrs.field(factory=dict, init=False)
    _facts: list[Fact] = attrs.field(factory=list, init=False)
    _held: bool = attrs.field(default=False, init=False)

    @property
    def sounding(self) -> Mapping[str, int]:
        """The bytes of each response in the frame that was taken last; empty when it was silence."""
        return self._sounding

    def admit(self, response_id: str) -> None:
        """Let sound of a response be heard; one that was flushed stays refused (R32)."""
        if response_id in self._admitted or response_id in self._flushed:
            return
        if len(self._admitted) >= self.remembered:
            self.flush(next(iter(self._admitted)))
        self._admitted[response_id] = _Account()

    def hold(self) -> None:
        """Give silence until `resume`, and keep what is queued."""
        self._held = True

    def resume(self) -> None:
        """Go on with the very next sample."""
        self._held = False

    def flush(self, response_id: str) -> tuple[float, float]:
        """Drop what is queued of a response and refuse it for good; returns its (played_ms, received_ms).

        Sound of other responses stays queued in order (R31). A second flush returns the figures of the first (R70); a
        response that was never admitted has (0, 0) and is refused for good too.
        """
        if response_id in self._flushed:
            return self._flushed[response_id]
        account = self._admitted.pop(response_id, _Account())
        self._queue = deque(run for run in self._queue if run.response_id != response_id)
        self.queued -= account.queued
        self.dropped += account.queued
        if len(self._flushed) >= self.remembered:
            del self._flushed[next(iter(self._flushed))]
        self._flushed[response_id] = figures = (_ms(account.played), _ms(account.received))
        return figures

    def retire(self, response_id: str) -> None:
        """Refuse what still comes of a response, all of which has been heard."""
        if response_id in self._admitted:
            self.flush(response_id)

    def play(self, response_id: str, pcm: bytes, item_id: str = "", sentence: str = "") -> bool:
        """Queue sound of a response, of any length in whole samples; False when it was refused, which is counted by reason.

        Once the queue was too full for a piece of a response, the rest of that response is refused too: cut, not holed, so
        that `played_ms` stays a position in it.
        """
        self.handed_over += len(pcm)
        refusal = self._refusal(response_id, pcm)
        if refusal is not None:
            self.refused[refusal] += len(pcm)
            return False
        account = self._admitted[response_id]
        if pcm:
            if not account.received:
                self._facts.append(Arrived(response_id, item_id))
            account.received += len(pcm)
            account.queued += len(pcm)
            self.queued += len(pcm)
            self._enqueue(response_id, sentence, pcm)
        return True

    def next_frame(self) -> bytes:
        """Take exactly one frame: silence when held or empty; a frame is padded only when nothing more is queued."""
        before = self._sounding
        self._tell_what_ran_out(before)
        self._sounding = {}
        if self._held or not self._queue:
            return SILENCE
        frame = bytearray()
        while self._queue and len(frame) < FRAME_BYTES:
            frame += self._take(FRAME_BYTES - len(frame))
        for response_id in self._sounding:
            account = self._admitted[response_id]
            if response_id not in before or account.played - account.told >= PROGRESS_BYTES:
                account.told = account.played
                self._facts.append(Progressed(response_id, _ms(account.played)))
        return bytes(frame.ljust(FRAME_BYTES, b"\0"))

    def played_ms(self, response_id: str) -> float:
        """How much of an admitted response the device has taken; 0 for any other."""
        return _ms(self._admitted[response_id].played) if response_id in self._admitted else 0.0

    def facts(self) -> list[Fact]:
        """What has happened since the last call, in order; the caller has it from here on."""
        facts, self._facts = self._facts, []
        return facts

    def _refusal(self, response_id: str, pcm: bytes) -> Refusal | None:
        account = self._admitted.get(response_id)
        if account is None:
            return Refusal.FLUSHED if response_id in self._flushed else Refusal.NOT_ADMITTED
        if len(pcm) % 2:
            return Refusal.HALF_SAMPLE
        cut = account.received > account.played + account.queued
        if cut or self.queued + len(pcm) > self.limit_ms * BYTES_A_MS:
            account.received += len(pcm)
            return Refusal.FULL
        return None

    def _enqueue(self, response_id: str, sentence: str, pcm: bytes) -> None:
        last = self._queue[-1] if self._queue else None
        if last is not None and last.response_id == response_id and last.sentence == sentence:
            last.pcm += pcm
        else:
            self._queue.append(_Run(response_id, sentence, bytearray(pcm)))

    def _take(self, size: int) -> bytearray:
        """Take up to `size` bytes from the head of the queue and account for them."""
        run = self._queue[0]
        part = run.pcm[:size]
        del run.pcm[:size]
        if not run.pcm:
            self._queue.popleft()
        account = self._admitted[run.response_id]
        if run.sentence and run.sentence != account.sentence:
            account.sentence = run.sentence
            self._facts.append(SentenceBegan(run.sentence, _ms(account.played)))
        account.queued -= len(part)
        account.played += len(part)
        self.queued -= len(part)
        self.played += len(part)
        self._sounding[run.response_id] = self._sounding.get(run.response_id, 0) + len(part)
        return part

    def _tell_what_ran_out(self, before: Mapping[str, int]) -> None:
        for response_id in before:
            account = self._admitted.get(response_id)
            if account is not None and not account.queued:
                self._facts.append(RanOut(response_id, _ms(account.played)))


def _ms(size: int) -> float:
    return size / BYTES_A_MS
