"""A telephone call over Twilio Media Streams, as a port, a speaker and ears; it serves one call and decides nothing of it.

The stream begins before the call: `answer` waits for its `start`, whose parameters say which call it is; then a `TwilioLine` is made and
run. What is sent when, and what the caller has heard, is the affair of `adapters.twilio.voice`.
"""

from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from enum import Enum

import anyio
import attrs

from adapters.seam.playout import Playout
from adapters.seam.ports import FRAME_BYTES, FRAME_MS, Ear, Post
from adapters.twilio import mulaw
from adapters.twilio.channel import Channel, ChannelClosed
from adapters.twilio.narrowband import Upsampler
from adapters.twilio.tape import FarClock
from adapters.twilio.voice import Voice
from adapters.twilio.wire import Marked, Media, Pressed, Started, Stopped, Wire
from fsm.call.effects import Admit, Effect, Flush, HangUp, Hold, Resume, Retire
from fsm.call.events import CallerHungUp, DeviceFailed, DigitPressed, LineClosed, LineOpened, VadCalibrated

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
    """Wait for the stream's `start`; what comes before it is set aside (R40). Raises LineError, which names what was."""
    wire = Wire()
    try:
        with anyio.fail_after(timeout_s):
            while True:
                message = wire.receive(await channel.receive())
                if isinstance(message, Started):
                    return Answered(channel, wire, message)
    except ChannelClosed as closed:
        raise LineError(_without_start(wire) or f"the stream ended before its start: {closed}") from None
    except TimeoutError:
        raise LineError(_without_start(wire) or f"the stream sent no start within {timeout_s:g} s") from None


def _without_start(wire: Wire) -> str:
    """What came in the place of a start, if anything did."""
    aside = ", ".join(f"{reason} ({number})" for reason, number in wire.quarantined.most_common(3))
    return f"no start could be used; set aside: {aside}" if aside else ""


class _Line(Enum):
    NOT_OPEN = "not open"
    OPEN = "open"
    HANGING_UP = "hanging up"
    GONE = "gone"


class TwilioLine:
    """The telephone line of one call: run it once, under the call's driver."""

    performs: tuple[type[Effect], ...] = (Admit, Hold, Resume, Flush, Retire, HangUp)

    def __init__(
        self,
        answered: Answered,
        ears: Iterable[Ear] = (),
        *,
        hang_up: HangUpCall | None = None,
        ahead_ms: float = AHEAD_MS,
        calibration_ms: float = 500,
        hang_up_timeout_s: float = 5.0,
        send_timeout_s: float = 5.0,
    ) -> None:
        """Prepare; more may be added to `ears` before `run`. `hang_up` ends the call at Twilio; without it the end of the stream must.

        VadCalibrated is posted after `calibration_ms` of the caller. A channel that takes nothing for `send_timeout_s` is DeviceFailed.
        Raises ValueError when `ahead_ms` is not from 60 to 400: less starves the line, more is slow to hush.
        """
        if not 60 <= ahead_ms <= 400:
            raise ValueError(f"ahead_ms is {ahead_ms:g}: it takes a number from 60 to 400")
        self.ears = list(ears)
        self._answered = answered
        self._hang_up = hang_up
        self._calibration_frames = max(1, round(calibration_ms / FRAME_MS))
        self._hang_up_timeout_s, self._send_timeout_s = hang_up_timeout_s, send_timeout_s
        self._line = _Line.NOT_OPEN
        self._post: Post | None = None
        self._scope: anyio.CancelScope | None = None
        self._caller = _Caller()
        self._clock = FarClock()
        self._voice = Voice(answered.started.stream_sid, ahead_ms / 1000)
        self._stirred = False
        self._waiter: anyio.Event | None = None
        self._counts: Counter[str] = Counter()

    def __repr__(self) -> str:
        return f"<TwilioLine {self._answered.started.call_sid} {self._line.value}>"

    @property
    def playout(self) -> Playout:
        """The queue and its tallies, to be read."""
        return self._voice.playout

    @property
    def counts(self) -> Counter[str]:
        """What went over the line, by name; a name that is missing counts 0.

        `frames sent` = `frames heard` + `frames cleared` + those that Twilio has (R57). `responses unsent` had sound, and none of it was
        sent (R40); `responses without sound` never had any. `set aside: …` are messages of Twilio's that could not be used (R84).
        """
        wire, tape = self._answered.wire, self._voice.tape
        frames = {"frames sent": tape.sent, "frames heard": tape.heard, "frames cleared": tape.cleared}
        aside = {f"set aside: {reason}": number for reason, number in wire.quarantined.items()}
        refused = {f"bytes refused: {reason}": number for reason, number in self.playout.refused.items()}
        return +Counter({**self._counts, **self._voice.counts, **frames, "messages missing": wire.gaps, **aside, **refused})

    async def run(self, post: Post) -> None:
        """Carry sound until the caller or the core hangs up; in the second case the call is ended at Twilio, and LineClosed posted."""
        if self._post is not None:
            raise RuntimeError("a TwilioLine serves one call: make another for the next")
        self._post = post
        self._voice.attach(post)
        try:
            words = await self._carry(post) if self._line is _Line.NOT_OPEN else ""
            hung_up = self._line is _Line.HANGING_UP
            if hung_up:
                await self._end_call()
            self._line = _Line.GONE
            if hung_up:
                post(LineClosed)
            else:
                post(CallerHungUp, words)
        finally:
            self._line = _Line.GONE
            self._voice.end()
            with anyio.move_on_after(self._send_timeout_s, shield=True):
                await self._answered.channel.close()

    def do(self, effect: Effect) -> None:
        """Begin an effect: a clear leaves before any more sound."""
        match effect:
            case Admit(response_id):
                self._voice.admit(response_id)
            case Hold():
                self._voice.hold()
            case Resume():
                self._voice.resume()
            case Flush(response_id):
                self._voice.flush(response_id)
            case Retire(response_id):
                self._voice.retire(response_id)
            case HangUp():
                self._begin_to_hang_up()
            case _:
                raise ValueError(f"a telephone line doesn't perform {type(effect).__name__}: give it one of its `performs`")
        self._stir()

    def play(self, response_id: str, pcm: bytes, *, item_id: str = "", sentence: str = "") -> bool:
        """Queue sound of a response; False when it was refused (see `Playout.play`)."""
        waits = not self.playout.queued
        taken = self._voice.play(response_id, pcm, item_id, sentence)
        if waits:
            self._stir()
        return taken

    def sounded_after(self, at_s: float, response_id: str | None = None) -> float:
        """How many milliseconds of the agent's sound, as far as marks told of it, Twilio began to play at or after `at_s`.

        `at_s` is on `anyio.current_time()`. With `response_id`, of that response alone: after an interruption it is how much of it was
        heard too long; what the network takes, there and back, comes on top.
        """
        return self._voice.tape.sounded_after(at_s, response_id)

    async def _carry(self, post: Post) -> str:
        """Be the line until the stream is over, or the core hangs up; gives how it ended."""
        words = ""
        self._line = _Line.OPEN
        with anyio.CancelScope() as self._scope:
            post(LineOpened)
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._send_all, post)
                words = await self._listen(post)
                tasks.cancel_scope.cancel()
        return words

    async def _listen(self, post: Post) -> str:
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
                    self._hear(octets, post)
                case Marked(_, name):
                    self._voice.take_mark(name, self._clock.sent_s(anyio.current_time()))
                    self._stir()
                case Pressed(_, digit):
                    post(DigitPressed, digit)
                case Stopped():
                    return "the stream stopped"
                case _:
                    pass

    def _hear(self, octets: bytes, post: Post) -> None:
        """Let all ears hear the caller."""
        for frame in self._caller.frames(octets):
            for ear in self.ears:
                ear.hear(frame)
            self._counts["frames of the caller"] += 1
            if self._counts["frames of the caller"] == self._calibration_frames:
                post(VadCalibrated)

    async def _send_all(self, post: Post) -> None:
        """Send what is due until nothing can be sent any more; the listener finds out how the channel ended."""
        outbox = self._voice.outbox
        self._voice.begin(anyio.current_time())
        try:
            while True:
                # Before the look: what happens during it must be looked at too.
                self._stirred = False
                now_s = anyio.current_time()
                due_s = self._voice.fill(now_s)
                if outbox:
                    with anyio.CancelScope(deadline=now_s + self._send_timeout_s) as patience:
                        while outbox:
                            await self._answered.channel.send(outbox.popleft())
                    if patience.cancelled_caught:
                        post(DeviceFailed, f"the stream took nothing for {self._send_timeout_s:g} s")
                        return
                elif not self._stirred:
                    self._waiter = anyio.Event()
                    with anyio.CancelScope(deadline=due_s):
                        await self._waiter.wait()
        except ChannelClosed:
            return

    def _stir(self) -> None:
        """Have the sender look again."""
        self._stirred = True
        if self._waiter is not None:
            self._waiter.set()

    def _begin_to_hang_up(self) -> None:
        match self._line:
            case _Line.NOT_OPEN | _Line.OPEN:
                self._line = _Line.HANGING_UP
                if self._scope is not None:
                    self._scope.cancel()
            case _Line.GONE if self._post is not None:
                self._post(LineClosed)
            case _:
                return

    async def _end_call(self) -> None:
        """Have the call ended at Twilio, once, whoever cancels us meanwhile (R47); a failure is counted, as the stream's end follows."""
        if self._hang_up is None:
            return
        try:
            with anyio.fail_after(self._hang_up_timeout_s, shield=True):
                await self._hang_up()
        except LineError:
            self._counts["hang-ups failed"] += 1
        except TimeoutError:
            self._counts["hang-ups timed out"] += 1


class _Caller:
    """The caller's sound on its way from mu-law to frames of 24 kHz."""

    def __init__(self) -> None:
        self._up = Upsampler()
        self._rest = b""

    def frames(self, octets: bytes) -> list[bytes]:
        """The whole frames that there are now."""
        sound = self._rest + self._up.feed(mulaw.decode(octets))
        whole = len(sound) - len(sound) % FRAME_BYTES
        self._rest = sound[whole:]
        return [sound[start : start + FRAME_BYTES] for start in range(0, whole, FRAME_BYTES)]
