"""The bookkeeping of what an agent may say and has said, shared by every line; no clock, no thread, no I/O in it.

Sound is handed over with `play`, taken with `next_frame`, and given back when it was taken and never heard. "Played" means taken and
not given back: `adapters.seam.tape` lies between this and an ear that hears later. It is kept for each response, and for each
content part of its items. Not thread-safe: the tape has the lock.

Silence alone is no sound of a response: nothing is told of it until more has come (R91), and where it lasts it comes to an end (R97).
"""

from collections import Counter, deque
from collections.abc import Iterable, Mapping
from enum import StrEnum

import attrs

from adapters.seam.bounded import Bounded
from adapters.seam.frames import Arrived, Fact, Frame, Part, Progressed, RanOut, Run, SentenceBegan, Stopped
from adapters.seam.ports import PCM, Sound
from fsm.call.events import Heard

PROGRESS_MS = 500
"""How often progress is told, in sound: well under the shortest stall limit (R79)."""
PAUSE_MS = 4_000
"""So much silence in a response is a pause; what comes behind that, until there is sound again, is not played (R97).

A second more than the longest gap that a voice of ours fills in the middle of a sentence (`adapters.chatterbox.source.GAP_S`)."""


class Refusal(StrEnum):
    """Why sound was refused (R57)."""

    NOT_ADMITTED = "not admitted"
    FLUSHED = "flushed"
    FULL = "full"
    HALF_SAMPLE = "half a sample"
    LASTING_SILENCE = "lasting silence"


@attrs.define
class _Tally:
    """The bytes of a response, or of one part of it."""

    received: int = 0
    played: int = 0
    loud: bool = False
    """Was any of it more than silence?"""


@attrs.define
class _Account(_Tally):
    """The bytes of one response; received > played + queued says that it was cut because the queue was full."""

    queued: int = 0
    told: int = 0
    """How much of it was played when progress was told last; 0: no sound of it was ever taken."""
    silent: int = 0
    """How much silence came since its last sound."""
    dry: bool = False
    """Has it run out of sound, so that more of it is to be told of?"""
    sentence: str = ""
    """The sentence that was queued last."""
    parts: Bounded[Part, _Tally] = attrs.Factory(Bounded)

    def part(self, part: Part) -> _Tally:
        """The bytes of one part."""
        if part not in self.parts:
            self.parts[part] = _Tally()
        return self.parts[part]


@attrs.define(kw_only=True)
class Playout:
    """The queue of sound, and the responses that may be heard.

    `limit_ms` bounds what may be queued: more is refused, not dropped from the middle (R57, R58). `remembered` bounds the
    admitted and the flushed ids that are kept (R07); the oldest admitted one is flushed for a newer.
    """

    sound: Sound = PCM
    """The format of all that is played."""
    limit_ms: int = 600_000
    remembered: int = 100

    handed_over: int = attrs.field(default=0, init=False)
    """Bytes given to `play`; always played + queued + dropped + the sum of refused (R57)."""
    played: int = attrs.field(default=0, init=False)
    """Bytes taken and not given back; padding is not counted."""
    queued: int = attrs.field(default=0, init=False)
    """Bytes that wait."""
    dropped: int = attrs.field(default=0, init=False)
    """Bytes that waited, or were given back, and were flushed."""
    refused: Counter[Refusal] = attrs.field(factory=Counter, init=False)
    """Bytes that were refused, by reason."""
    silent: Counter[str] = attrs.field(factory=Counter, init=False)
    """Responses of which no sound was taken, once that is over: `without sound` never had any, and `unsent` had some (R40)."""

    _queue: deque[Run] = attrs.field(factory=deque, init=False)
    _admitted: dict[str, _Account] = attrs.field(factory=dict, init=False)
    _flushed: Bounded[str, _Account] = attrs.field(init=False)
    _sounding: dict[str, int] = attrs.field(factory=dict, init=False)
    _facts: list[Fact] = attrs.field(factory=list, init=False)
    _held: bool = attrs.field(default=False, init=False)
    _resumed: bool = attrs.field(default=False, init=False)

    def __attrs_post_init__(self) -> None:
        self._flushed = Bounded(self.remembered)

    @property
    def held(self) -> bool:
        """Is there silence until `resume`?"""
        return self._held

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
        """Go on with the very next sample; however little it is, that is progress (R79)."""
        self._resumed = self._resumed or self._held
        self._held = False

    def flush(self, response_id: str) -> None:
        """Drop what is queued of a response and refuse it for good, admitted or not; a second flush does nothing (R70).

        Sound of other responses stays queued in order (R31).
        """
        if response_id in self._flushed:
            return
        account = self._admitted.pop(response_id, None)
        if account is None:
            account = _Account()
        elif not account.told:
            self.silent["unsent" if account.loud else "without sound"] += 1
        self._queue = deque(run for run in self._queue if run.response_id != response_id)
        self.queued -= account.queued
        self.dropped += account.queued
        account.queued = 0
        self._flushed[response_id] = account

    def retire(self, response_id: str) -> None:
        """Refuse what still comes of a response, all of which has been heard."""
        if response_id in self._admitted:
            self.flush(response_id)

    def close(self) -> None:
        """Refuse everything from now on: the line is over."""
        for response_id in list(self._admitted):
            self.flush(response_id)

    def stopped(self, response_id: str) -> Stopped:
        """What a flush of a response came to; nothing was heard of one that was never admitted."""
        account = self._account(response_id)
        ms_of = self.sound.ms_of
        heard = (Heard(*part, ms_of(one.played), ms_of(one.received)) for part, one in account.parts.items() if part[0])
        return Stopped(response_id, ms_of(account.played), ms_of(account.received), tuple(heard))

    def received(self, response_id: str) -> list[tuple[str, int, float]]:
        """How much of a response's sound has come, part by part: item, content index, milliseconds."""
        return [(*part, self.sound.ms_of(one.received)) for part, one in self._account(response_id).parts.items()]

    def play(self, response_id: str, pcm: bytes, part: Part = ("", 0), sentence: str = "") -> bool:
        """Queue sound of a response, of any length in whole samples; False when it was refused, which is counted by reason.

        Once the queue was too full for a piece of a response, the rest of that response is refused too: cut, not holed, so
        that `played_ms` stays a position in it. Silence that lasts is played as a pause, and the rest of it is left out.
        """
        self.handed_over += len(pcm)
        account = self._admitted.get(response_id)
        refusal = self._refusal(response_id, account, pcm)
        if refusal is not None:
            self.refused[refusal] += len(pcm)
        elif account is not None:
            pcm = self._listen(account, response_id, part, pcm)
        if account is not None and refusal in (None, Refusal.FULL) and pcm:
            for tally in (account, account.part(part)):
                tally.received += len(pcm)
            if refusal is None:
                self._enqueue(account, response_id, part, sentence, pcm)
        return refusal is None

    def next_frame(self) -> Frame:
        """Take a frame: silence when held or empty; it is short only when nothing more is queued."""
        before, self._sounding = self._sounding, {}
        for response_id in before:
            if self.is_out(response_id) and self._admitted[response_id].loud:
                self._admitted[response_id].dry = True
                self._facts.append(RanOut(response_id, self.sound.ms_of(self._admitted[response_id].played)))
        frame, left = Frame(of=self.sound), 0 if self._held else self.sound.frame_bytes
        while left and self._queue:
            frame.runs.append(self._take(left))
            left -= len(frame.runs[-1].pcm)
        self._sounding = frame.sounding
        for response_id in self._sounding:
            account = self._admitted[response_id]
            begins = response_id not in before or self._resumed or not account.told
            if account.loud and (begins or account.played - account.told >= self.sound.bytes_of(PROGRESS_MS)):
                account.told = account.played
                self._facts.append(Progressed(response_id, self.sound.ms_of(account.played)))
        self._resumed = self._resumed and not frame.runs
        return frame

    def give_back(self, runs: Iterable[Run]) -> None:
        """Have sound that was taken, and never heard, taken again before all other; what is flushed of it is dropped."""
        for run in reversed(list(runs)):
            account, size = self._account(run.response_id), len(run.pcm)
            for tally in (account, account.part(run.part)):
                tally.played -= size
            self.played -= size
            if run.response_id in self._admitted:
                self._queue.appendleft(run)
                account.queued += size
                self.queued += size
            else:
                self.dropped += size
            # It goes on after a gap.
            self._sounding.pop(run.response_id, None)

    def played_ms(self, response_id: str) -> float:
        """How much of an admitted response was played; 0 for any other."""
        return self.sound.ms_of(self._admitted[response_id].played) if response_id in self._admitted else 0.0

    def is_out(self, response_id: str) -> bool:
        """Has all that came so far of an admitted response been taken?"""
        account = self._admitted.get(response_id)
        return account is not None and not account.queued

    def facts(self) -> list[Fact]:
        """What has happened since the last call, in order; the caller has it from here on."""
        facts, self._facts = self._facts, []
        return facts

    def _account(self, response_id: str) -> _Account:
        return self._admitted.get(response_id) or self._flushed.get(response_id) or _Account()

    def _refusal(self, response_id: str, account: _Account | None, pcm: bytes) -> Refusal | None:
        """Why a piece of sound is not to be heard; None: it is (R09, R58, R69)."""
        if account is None:
            return Refusal.FLUSHED if response_id in self._flushed else Refusal.NOT_ADMITTED
        if len(pcm) % self.sound.sample_bytes:
            return Refusal.HALF_SAMPLE
        cut = account.received > account.played + account.queued
        return Refusal.FULL if cut or self.queued + len(pcm) > self.sound.bytes_of(self.limit_ms) else None

    def _listen(self, account: _Account, response_id: str, part: Part, pcm: bytes) -> bytes:
        """Note whether there is sound in a piece, the first of its part or since it ran out; gives what is to be played of it."""
        if pcm.strip(self.sound.silence):
            account.silent = 0
            tally = account.part(part)
            if account.dry or not (tally.loud if part[0] else account.loud):
                self._facts.append(Arrived(response_id, *part))
            account.loud, tally.loud, account.dry = True, True, False
            return pcm
        room = self.sound.bytes_of(PAUSE_MS) - account.silent
        account.silent += len(pcm[:room])
        if pcm[room:]:
            self.refused[Refusal.LASTING_SILENCE] += len(pcm[room:])
        return pcm[:room]

    def _enqueue(self, account: _Account, response_id: str, part: Part, sentence: str, pcm: bytes) -> None:
        account.queued += len(pcm)
        self.queued += len(pcm)
        last = self._queue[-1] if self._queue else None
        if last is not None and (last.response_id, last.part, last.sentence) == (response_id, part, sentence):
            last.pcm += pcm
            return
        begins = bool(sentence) and sentence != account.sentence
        account.sentence = sentence or account.sentence
        self._queue.append(Run(response_id, part, sentence, begins, bytearray(pcm)))

    def _take(self, size: int) -> Run:
        """Take up to `size` bytes from the head of the queue and account for them."""
        head = self._queue[0]
        run = Run(head.response_id, head.part, head.sentence, head.begins, head.pcm[:size])
        del head.pcm[:size]
        head.begins = False
        if not head.pcm:
            self._queue.popleft()
        account = self._admitted[run.response_id]
        if run.begins:
            self._facts.append(SentenceBegan(run.sentence, self.sound.ms_of(account.played)))
        account.queued -= len(run.pcm)
        for tally in (account, account.part(run.part)):
            tally.played += len(run.pcm)
        self.queued -= len(run.pcm)
        self.played += len(run.pcm)
        return run
