"""The agent's voice on a telephone line: which messages are to be sent, and when; no I/O in here.

The line asks `fill` for messages, hands over the marks that come back, and tells the time. A clear empties the line; what of that was
not heard is sent again after a hold, from the first frame that was not.
"""

from collections import Counter, deque
from collections.abc import Callable
from math import inf

from adapters.seam import mulaw
from adapters.seam.ports import PCMU, Sound
from adapters.seam.tape import Tape
from adapters.twilio.marks import Marks
from adapters.twilio.narrowband import Downsampler
from adapters.twilio.wire import clear, mark, media

LOW_S = 0.06
"""With less than this on the line, a queue without sound is empty; before that, what comes is still in time."""


class Voice:
    """The voice of one call; times are seconds of the clock that `fill` and `take_mark` are told."""

    def __init__(self, stream_sid: str, tape: Tape, ahead_s: float, stream_name: str = "streamSid") -> None:
        """Speak what is on the tape to a stream, with at most `ahead_s` of it on the line; the carrier calls the stream's id so."""
        self.outbox: deque[str] = deque()
        """Messages to be sent, in order."""
        self.counts: Counter[str] = Counter()
        self.marks = Marks(tape, ahead_s)
        self._tape = tape
        self._stream_sid, self._stream_name = stream_sid, stream_name
        self._octets = _coding(tape.playout.sound)
        self._to_clear = False

    def begin(self, now_s: float) -> None:
        """Measure the line."""
        self._send(mark, self.marks.probe(now_s))

    def cut(self) -> None:
        """Have what the line holds cleared by the next `fill`."""
        self._to_clear = True

    def fill(self, now_s: float) -> float:
        """Put what is due into the outbox, and give the time at which something will be due next, unless something happens before."""
        marks = self.marks
        if self._to_clear:
            self._to_clear = False
            if self._tape.on_way:
                self._send(mark, marks.clear(now_s))
                self._send(clear)
                self.counts["clears"] += 1
            else:
                # All of it was heard in the meantime.
                self._tape.cut(now_s)
        if marks.settling:
            if now_s < marks.settle_by_s:
                return marks.settle_by_s
            self.counts["clears unanswered"] += 1
            marks.settle(now_s)
            self._octets = _coding(self._tape.playout.sound)
        return inf if self._tape.playout.held else self._feed(now_s)

    def take_mark(self, name: str, now_s: float) -> None:
        """A mark is back, sent at `now_s` by `FarClock`."""
        was_settling = self.marks.settling
        if not self.marks.returned(name, now_s):
            self.counts["marks without meaning"] += 1
        elif was_settling and not self.marks.settling:
            self._octets = _coding(self._tape.playout.sound)

    def _feed(self, now_s: float) -> float:
        """Put the next frames into the outbox if the line has room for them; gives when to look again."""
        playout, marks = self._tape.playout, self.marks
        if not playout.queued and not playout.sounding:
            return inf
        # What may still come in time is waited for; else the end is taken, and told.
        due_s = marks.batch_at_s if playout.queued else marks.dry_at_s - LOW_S
        if now_s < due_s:
            return due_s
        octets = b""
        for frame in marks.batch(now_s):
            if not frame.runs:
                self._octets = _coding(playout.sound)
                return inf
            octets += self._octets(frame.whole)
            if frame.mark:
                self._send(media, octets)
                self._send(mark, frame.mark)
                octets = b""
        return now_s

    def _send(self, write: Callable[..., str], *fields: str | bytes) -> None:
        self.outbox.append(write(self._stream_sid, *fields, self._stream_name))


def _coding(sound: Sound) -> Callable[[bytes], bytes]:
    """What makes the line's octets of the next frames of a format, from silence on."""
    if sound is PCMU:
        return bytes
    down = Downsampler()
    return lambda pcm: mulaw.encode(down.feed(pcm))
