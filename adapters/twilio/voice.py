"""The agent's voice on a telephone line: what is to be sent and when, and what the caller has heard of it; no I/O in here.

The line asks `fill` for messages, hands over the marks that come back, and tells the time. A hold clears what the line has; what of
that was not heard is sent again after the resume, from the first frame that was not.
"""

from collections import Counter, deque
from collections.abc import Callable, Iterable
from math import inf

from adapters.seam.bounded import remember
from adapters.seam.playout import Arrived, Fact, Playout, Progressed, RanOut, SentenceBegan
from adapters.seam.ports import Post
from adapters.twilio import mulaw
from adapters.twilio.narrowband import Downsampler
from adapters.twilio.tape import Frame, Tape
from adapters.twilio.wire import clear, mark, media
from fsm.call.events import AudioArrived, PlayoutFinished, PlayoutProgressed, PlayoutStopped, QueueEmptied, SentenceStarted

LOW_S = 0.06
"""With less than this on the line, a queue without sound is empty; before that, what comes is still in time."""


class Voice:
    """The voice of one call; times are seconds of the clock that `fill` and `take_mark` are told."""

    def __init__(self, stream_sid: str, ahead_s: float) -> None:
        """Speak to a stream, with at most `ahead_s` of sound on the line."""
        self.outbox: deque[str] = deque()
        """Messages to be sent, in order."""
        self.counts: Counter[str] = Counter()
        self.playout = Playout()
        self.tape = Tape(ahead_s)
        self._stream_sid = stream_sid
        self._post: Post | None = None
        self._down = Downsampler()
        self._held = False
        self._to_clear = False
        self._stops: list[tuple[str, float]] = []
        self._ended: set[str] = set()
        self._unsent: dict[str, bool] = {}

    def attach(self, post: Post) -> None:
        """Tell what happens, and what has happened so far."""
        self._post = post
        self._tell(self.playout.facts())
        self._answer_stops()

    def begin(self, now_s: float) -> None:
        """Measure the line."""
        self._send(mark, self.tape.probe(now_s))

    def end(self) -> None:
        """The call is over: note what was never sent."""
        for sounded in self._unsent.values():
            self._note_unsent(sounded)
        self._unsent.clear()

    def admit(self, response_id: str) -> None:
        """Let a response be heard."""
        self.playout.admit(response_id)
        remember(self._unsent, response_id, False)

    def play(self, response_id: str, pcm: bytes, item_id: str, sentence: str) -> bool:
        """Queue sound; see `Playout.play`."""
        taken = self.playout.play(response_id, pcm, item_id, sentence)
        if taken and pcm:
            self._ended.discard(response_id)
            if response_id in self._unsent:
                self._unsent[response_id] = True
        if self._post is not None:
            self._tell(self.playout.facts())
        return taken

    def hold(self) -> None:
        """Be silent at once: what the line has is cleared."""
        self._held = True
        self._to_clear = self._to_clear or not self.tape.empty

    def resume(self) -> None:
        """Go on from the first frame that was not heard."""
        self._held = False

    def flush(self, response_id: str) -> None:
        """Refuse a response for good, and take it off the line; PlayoutStopped follows when it is known what was heard."""
        _, received_ms = self.playout.flush(response_id)
        if response_id in self._unsent:
            self._note_unsent(self._unsent.pop(response_id))
        self._ended.discard(response_id)
        self._stops.append((response_id, received_ms))
        self._to_clear = self._to_clear or (not self.tape.settling and self.tape.holds(response_id))
        self.tape.flush(response_id)
        self._answer_stops()

    def retire(self, response_id: str) -> None:
        """Refuse what still comes of a response, all of which has been heard; the line is left as it is."""
        self.playout.retire(response_id)
        if response_id in self._unsent:
            self._note_unsent(self._unsent.pop(response_id))
        self._ended.discard(response_id)

    def fill(self, now_s: float) -> float:
        """Put what is due into the outbox, and give the time at which something will be due next, unless something happens before."""
        tape = self.tape
        if self._to_clear and not tape.settling:
            self._to_clear = False
            if not tape.empty:
                self._send(mark, tape.clear(now_s))
                self._send(clear)
                self.counts["clears"] += 1
            self._answer_stops()
        if tape.settling:
            if now_s < tape.settle_by_s:
                return tape.settle_by_s
            self.counts["clears unanswered"] += 1
            self._settle(tape.settle(now_s))
        return inf if self._held else self._feed(now_s)

    def take_mark(self, name: str, now_s: float) -> None:
        """A mark is back, sent at `now_s` by `FarClock`: tell what was heard, if it proves anything."""
        was_settling = self.tape.settling
        heard = self.tape.returned(name, now_s)
        if heard is None:
            self.counts["marks without meaning"] += 1
        elif was_settling and not self.tape.settling:
            self._settle(heard)
        else:
            self._tell_heard(heard)

    def _feed(self, now_s: float) -> float:
        """Put the next frame into the outbox if the line has room for it; gives when to look again."""
        tape = self.tape
        if not tape.again and not self.playout.queued:
            if not self.playout.sounding:
                return inf
            low_at_s = tape.dry_at_s - LOW_S
            if now_s < low_at_s:
                return low_at_s
            self._tell_run_out(self._take_frame()[1])
            return inf
        if now_s < tape.room_at_s():
            return tape.room_at_s()
        frame, run_out = (tape.again.popleft(), []) if tape.again else self._take_frame()
        for response_id in frame.owners:
            self._unsent.pop(response_id, None)
        name = tape.put(frame, now_s, last=not tape.again and not self.playout.queued)
        self._send(media, mulaw.encode(self._down.feed(frame.pcm)))
        if name:
            self._send(mark, name)
        self._tell_run_out(run_out)
        return now_s

    def _take_frame(self) -> tuple[Frame, list[tuple[RanOut, bool]]]:
        """The playout's next frame, with what is to be told when it is heard; and what ran out before it, and whether the line has that."""
        pcm = self.playout.next_frame()
        frame = Frame(pcm, tuple(self.playout.sounding.items()))
        facts = self.playout.facts()
        frame.facts = [fact for fact in facts if not isinstance(fact, RanOut)]
        if not frame.owners:
            self._down = Downsampler()
        return frame, [(fact, self.tape.tell_behind_last(fact)) for fact in facts if isinstance(fact, RanOut)]

    def _tell_run_out(self, run_out: list[tuple[RanOut, bool]]) -> None:
        """Tell of empty queues, and of the end of those of which nothing is on the line."""
        self._ended.update(fact.response_id for fact, _ in run_out)
        for fact, on_line in run_out:
            if self._post is not None:
                self._post(QueueEmptied, fact.response_id)
            if not on_line:
                self._tell([fact])

    def _send(self, write: Callable[..., str], *fields: str | bytes) -> None:
        self.outbox.append(write(self._stream_sid, *fields))

    def _settle(self, heard: list[Frame]) -> None:
        """What a clear left unheard is known."""
        self._down = Downsampler()
        self._tell_heard(heard)
        self._answer_stops()

    def _answer_stops(self) -> None:
        """Answer the flushes, unless what was heard is still to be found out."""
        if self._post is None or self._to_clear or self.tape.settling:
            return
        stops, self._stops = self._stops, []
        for response_id, received_ms in stops:
            self._post(PlayoutStopped, response_id, min(self.tape.heard_ms(response_id), received_ms), received_ms)

    def _tell_heard(self, frames: Iterable[Frame]) -> None:
        self._tell([fact for frame in frames for fact in frame.facts])

    def _tell(self, facts: Iterable[Fact]) -> None:
        """Post what has become true."""
        if self._post is None:
            return
        for fact in facts:
            match fact:
                case Arrived(response_id, item_id):
                    self._post(AudioArrived, response_id, item_id)
                case Progressed(response_id):
                    self._post(PlayoutProgressed, response_id, self.tape.heard_ms(response_id))
                case SentenceBegan(sentence, played_ms):
                    self._post(SentenceStarted, sentence, played_ms)
                case RanOut(response_id):
                    if response_id in self._ended:
                        self._ended.discard(response_id)
                        self._post(PlayoutFinished, response_id, self.tape.heard_ms(response_id))

    def _note_unsent(self, sounded: bool) -> None:
        self.counts["responses unsent" if sounded else "responses without sound"] += 1
