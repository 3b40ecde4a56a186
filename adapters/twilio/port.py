"""A telephone call over Twilio Media Streams, as a line; it serves one call and decides nothing of it.

The stream begins before the call: `answer` waits for its `start`, whose parameters say which call it is; then a `TwilioLine` is made and
run. What is sent when is the affair of `adapters.twilio.voice`, and what of it the caller has heard that of `adapters.twilio.marks`.

The line carries mu-law. Who takes that hears the caller's octets as they came, and speaks octets that go as they are; for others it is
decoded and resampled.
"""

import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable

import anyio
import attrs

from adapters.seam import mulaw
from adapters.seam.channel import Channel, ChannelClosed
from adapters.seam.device import CALIBRATION_MS, Device, Line
from adapters.seam.frames import Frame
from adapters.seam.playout import Playout
from adapters.seam.ports import PCM, PCMU, Ear, Post, Sound
from adapters.seam.tape import Tape
from adapters.twilio.marks import FarClock
from adapters.twilio.narrowband import Upsampler
from adapters.twilio.voice import Voice
from adapters.twilio.wire import Marked, Media, Pressed, Started, Stopped, Wire
from fsm.call.events import DeviceFailed, DigitPressed

_LOG = logging.getLogger("callfsm.twilio")
USUAL = {"unknown event", "out of order", "a second start"}
"""What is set aside of a stream that is well."""
AHEAD_MS = 200
"""How much sound Twilio is given ahead: a clear loses no more, and the last mark is back within the core's `line_tail_ms`."""


class LineError(Exception):
    """The stream did not begin, or the call could not be ended; the text is one plain line."""


HangUpCall = Callable[[], Awaitable[None]]
"""Ends the call at Twilio (REST, Status=completed); raises LineError when that failed."""


@attrs.frozen
class Answered:
    """A stream that has begun: its channel, the wire that has read its `start`, and that message."""

    channel: Channel
    wire: Wire
    started: Started


async def answer(channel: Channel, *, timeout_s: float = 10.0) -> Answered:
    """Wait for the stream's `start`; what comes before it is set aside (R40). Raises LineError, which names what was: at once for a start
    that cannot be used, so that nobody waits on a line that stays silent."""
    wire = Wire()
    try:
        with anyio.fail_after(timeout_s):
            while True:
                message = wire.receive(await channel.receive())
                if isinstance(message, Started):
                    return Answered(channel, wire, message)
                if wire.unusable:
                    raise LineError(_without_start(wire))
    except ChannelClosed as closed:
        raise LineError(_without_start(wire) or f"the stream ended before its start: {closed}") from None
    except TimeoutError:
        raise LineError(_without_start(wire) or f"the stream sent no start within {timeout_s:g} s") from None


def _without_start(wire: Wire) -> str:
    """What came in the place of a start, if anything did."""
    aside = ", ".join(f"{reason} ({number})" for reason, number in wire.quarantined.most_common(3))
    return f"no start could be used; set aside: {aside}" if aside else ""


class TwilioLine(Device):
    """The telephone line of one call: run it once, under the call's driver."""

    sounds = (PCMU, PCM)

    def __init__(
        self,
        answered: Answered,
        ears: Iterable[Ear] = (),
        *,
        sound: Sound = PCM,
        hang_up: HangUpCall | None = None,
        ahead_ms: float = AHEAD_MS,
        calibration_ms: float = CALIBRATION_MS,
        hang_up_timeout_s: float = 5.0,
        send_timeout_s: float = 5.0,
    ) -> None:
        """Prepare. It is spoken to in `sound`. `hang_up` ends the call at Twilio; without it the end of the stream must.

        A channel that takes nothing for `send_timeout_s` is DeviceFailed.
        Raises ValueError when `ahead_ms` is not from 60 to 400: less starves the line, more is slow to hush.
        """
        if not 60 <= ahead_ms <= 400:
            raise ValueError(f"ahead_ms is {ahead_ms:g}: it takes a number from 60 to 400")
        super().__init__(ears, tape=Tape(Playout(sound=sound), late=True), calibration_ms=calibration_ms)
        self._answered = answered
        self._hang_up_call = hang_up
        self._hang_up_timeout_s, self._send_timeout_s = hang_up_timeout_s, send_timeout_s
        self._scope: anyio.CancelScope | None = None
        self._rest = b""
        self._up = Upsampler()
        self._clock = FarClock()
        started = answered.started
        self._voice = Voice(started.stream_sid, self._tape, ahead_ms / 1000, started.stream_name)
        self._stirred = False
        self._waiter: anyio.Event | None = None
        self._failed: Counter[str] = Counter()
        self._aside = {*answered.wire.quarantined}

    def __repr__(self) -> str:
        return f"<TwilioLine {self._answered.started.call_sid} {self.line.value}>"

    @property
    def counts(self) -> Counter[str]:
        """What went over the line, by name; a name that is missing counts 0.

        `frames sent` = `frames heard` + `frames cleared` + those that Twilio has (R57). `responses unsent` had sound, and none of it was
        sent (R40); `responses without sound` never had any. `set aside: …` are messages of Twilio's that could not be used (R84).
        """
        wire, tape = self._answered.wire, self._tape
        frames = {
            "frames sent": tape.sent,
            "frames heard": tape.heard,
            "frames cleared": tape.cleared,
            "frames of the caller": self._frames,
        }
        silent = {f"responses {name}": number for name, number in self.playout.silent.items()}
        aside = {f"set aside: {reason}": number for reason, number in wire.quarantined.items()}
        refused = {f"bytes refused: {reason}": number for reason, number in self.playout.refused.items()}
        return +Counter({**self._failed, **self._voice.counts, **frames, **silent, "messages missing": wire.gaps, **aside, **refused})

    async def run(self, post: Post) -> None:
        """Carry sound until the caller or the core hangs up; in the second case the call is ended at Twilio, and LineClosed posted.

        Then the channel is closed. It is not when we are cancelled in mid-call: whose channel it is says that the call was cut off.
        """
        await super().run(post)
        with anyio.move_on_after(self._send_timeout_s, shield=True):
            await self._answered.channel.close()

    async def _carry(self) -> str:
        words = ""
        with anyio.CancelScope() as self._scope:
            if self._open():
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(self._send_all)
                    words = await self._listen()
                    tasks.cancel_scope.cancel()
        return words

    async def _listen(self) -> str:
        """Take what Twilio sends until the stream is over; gives how it ended."""
        while True:
            try:
                text = await self._answered.channel.receive()
            except ChannelClosed as closed:
                return str(closed)
            match self._answered.wire.receive(text):
                case Media(_, octets, at_ms):
                    if at_ms is not None:
                        self._clock.note(at_ms, anyio.current_time())
                    self._take(octets)
                case Marked(_, name):
                    self._voice.take_mark(name, self._clock.sent_s(anyio.current_time()))
                    self._report()
                    self._stir()
                case Pressed(_, digit):
                    self._post(DigitPressed, digit)
                case Stopped():
                    return "the stream stopped"
                case _:
                    self._say_aside()

    def _say_aside(self) -> None:
        """Log each reason for which a message that matters is set aside, once: a caller who cannot be read is not merely silent."""
        for reason in self._answered.wire.quarantined.keys() - self._aside - USUAL:
            self._aside.add(reason)
            _LOG.warning("set_aside: of the stream of %s: %s", self._answered.started.call_sid, reason)

    def _take(self, octets: bytes) -> None:
        """Hear the whole frames that there are now."""
        octets = self._rest + octets
        whole = len(octets) - len(octets) % PCMU.frame_bytes
        self._rest = octets[whole:]
        for start in range(0, whole, PCMU.frame_bytes):
            self._hear(octets[start : start + PCMU.frame_bytes])

    def _told_in(self, sound: Sound, frame: bytes) -> bytes:
        return self._up.feed(mulaw.decode(frame))

    async def _send_all(self) -> None:
        """Send what is due until nothing can be sent any more; the listener finds out how the channel ended."""
        outbox = self._voice.outbox
        self._voice.begin(anyio.current_time())
        try:
            while True:
                # Before the look: what happens during it must be looked at too.
                self._stirred = False
                now_s = anyio.current_time()
                due_s = min(self._voice.fill(now_s), self._voice.marks.look_at_s)
                self._report(self._voice.marks.heard_by_s(now_s))
                if outbox:
                    with anyio.CancelScope(deadline=now_s + self._send_timeout_s) as patience:
                        while outbox:
                            await self._answered.channel.send(outbox.popleft())
                    if patience.cancelled_caught:
                        self._post(DeviceFailed, f"the stream took nothing for {self._send_timeout_s:g} s")
                        return
                elif not self._stirred:
                    self._waiter = anyio.Event()
                    with anyio.CancelScope(deadline=due_s):
                        await self._waiter.wait()
        except ChannelClosed:
            return

    def _stir(self) -> None:
        """Have the sender look again, unless there is nothing left to send."""
        self._stirred = True
        if self._waiter is not None:
            self._waiter.set()
        if self.line is Line.HANGING_UP and self._scope is not None:
            self._scope.cancel()

    def _cut(self) -> None:
        self._voice.cut()

    def _note(self, frame: Frame) -> None:
        frame.start_s += self._voice.marks.waits_s
        super()._note(frame)

    async def _end_call(self) -> None:
        """Have the call ended at Twilio, once, whoever cancels us meanwhile (R47); a failure is counted, as the stream's end follows."""
        if self._hang_up_call is None:
            return
        try:
            with anyio.fail_after(self._hang_up_timeout_s, shield=True):
                await self._hang_up_call()
        except LineError:
            self._failed["hang-ups failed"] += 1
        except TimeoutError:
            self._failed["hang-ups timed out"] += 1
