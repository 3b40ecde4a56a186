"""A call's sound in a browser: what it hears, what it plays, and what of that was heard to the very sample; one call, decided elsewhere.

The page's own loudspeaker thread counts the samples that it has played, and tells the count with every 20 ms of its microphone. That
count is the clock of the tape here: nothing is estimated, and a flush is exact. What is sent stays a little ahead of it.
"""

from collections import Counter, deque
from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

import anyio

from adapters.audio.recording import Recording
from adapters.browser.wire import Heard, Left, WasCut, Wire, cut
from adapters.seam.channel import ChannelClosed
from adapters.seam.device import CALIBRATION_MS, Device, Line, LineLost
from adapters.seam.frames import Frame
from adapters.seam.playout import Playout
from adapters.seam.ports import FRAME_MS, RATE_HZ, Ear
from adapters.seam.tape import Tape

AHEAD_S = 0.2
"""How much sound the page is given ahead of what it has played: it outlives a busy tab, and a cut drops all of it at once."""
SILENT_S = 5.0
"""A page that sends nothing for so long carries no call: it sends 50 messages a second."""
SEND_S = 5.0
"""How long a message may take to leave."""
BEGUN = 0.1
"""Of a sample: how far the page must be in a frame for it to have begun."""


class Channel(Protocol):
    """A duplex channel of texts and sound; one task receives and one sends. See `adapters.seam.channel`."""

    async def receive(self) -> str | bytes:
        """The next message; raises ChannelClosed at the end."""

    async def send(self, message: str | bytes) -> None:
        """Send one message; raises ChannelClosed when it cannot leave any more."""


class BrowserLine(Device):
    """The line of one call in a browser: run it once, under the call's driver."""

    def __init__(
        self,
        channel: Channel,
        path: Path,
        ears: Iterable[Ear] = (),
        *,
        calibration_ms: float | None = CALIBRATION_MS,
        silent_s: float = SILENT_S,
    ) -> None:
        """Prepare; the call is recorded to `path` (left: caller, right: agent).

        A page that sends nothing, or leaves a cut unanswered, for `silent_s` is DeviceFailed.
        """
        super().__init__(ears, tape=Tape(Playout(), whole=False), calibration_ms=calibration_ms)
        self._channel, self._path, self._silent_s = channel, path, silent_s
        self._wire = Wire()
        self._outbox: deque[str | bytes] = deque()
        self._news = anyio.Event()
        self._scope: anyio.CancelScope | None = None
        self._recording: Recording | None = None
        self._played = self._sent = 0
        """Samples: what the page has played, and what it was given."""
        self._told_s = 0.0
        """When it said so."""
        self._cuts = self._cuts_done = 0
        self._cut_s = 0.0

    @property
    def counts(self) -> Counter[str]:
        """Frames sent, heard and cleared, and messages set aside, by name; a name that is missing counts 0."""
        tape = self._tape
        frames = {
            "frames sent": tape.sent,
            "frames heard": tape.heard,
            "frames cleared": tape.cleared,
            "frames of the caller": self._frames,
        }
        return +Counter(frames | {f"set aside: {reason}": number for reason, number in self._wire.quarantined.items()})

    async def _carry(self) -> str:
        with Recording(self._path) as self._recording:
            async with anyio.create_task_group() as group:
                self._scope = group.cancel_scope
                self._stir()
                group.start_soon(self._send_all)
                words = await self._listen()
                group.cancel_scope.cancel()
                return words
        return ""

    async def _listen(self) -> str:
        """Take what the page says until it is gone; gives how it went. Raises LineLost."""
        try:
            while True:
                with anyio.fail_after(self._silent_s):
                    message = self._wire.receive(await self._channel.receive())
                match message:
                    case Heard(played, pcm):
                        self._take(played, pcm)
                    case WasCut(number, played) if number == self._cuts > self._cuts_done:
                        self._cut_at(played)
                    case Left():
                        return "the caller pressed the button"
                    case _:
                        pass
        except ChannelClosed as closed:
            return f"the page is gone: {closed}"
        except TimeoutError:
            raise LineLost(f"the page sent no sound for {self._silent_s:g} s; keep its tab open, and let it use the microphone") from None

    def _take(self, played: int, pcm: bytes) -> None:
        """20 ms of the caller, and what has been heard of the agent by then."""
        now_s = anyio.current_time()
        if self._cuts > self._cuts_done and now_s > self._cut_s + self._silent_s:
            raise LineLost(f"the page did not fall silent within {self._silent_s:g} s; load it anew")
        if not self._open():
            return
        self._move(played, now_s)
        if self._recording is not None:
            self._recording.caller(now_s - FRAME_MS / 1000, pcm)
        self._hear(pcm)
        self._fill()

    def _move(self, played: int, now_s: float) -> None:
        """The page has played so much; less than before, or more than it was given, cannot be."""
        self._played = max(self._played, min(played, self._sent))
        self._told_s = now_s
        self._report(self._played / RATE_HZ)

    def _cut_at(self, played: int) -> None:
        self._cuts_done = self._cuts
        self._move(played, anyio.current_time())
        self._tape.cut(self._played / RATE_HZ)
        self._sent = self._played
        self._report(self._played / RATE_HZ)
        self._fill()

    def _fill(self) -> None:
        """Give the page what it has room for; what it was told to drop is answered first."""
        playout = self._tape.playout
        while self._cuts == self._cuts_done and self._sent - self._played < AHEAD_S * RATE_HZ and not playout.held:
            if not playout.queued and not playout.sounding:
                return
            # Sound begins to be heard with its first sample, not with the last one before it; what ended does so with that.
            frame = self._tape.take((self._sent + BEGUN * bool(playout.queued)) / RATE_HZ)
            if not frame.runs:
                return
            self._post_out(frame.sound)
            self._sent += len(frame.sound) // 2

    def _post_out(self, message: str | bytes) -> None:
        self._outbox.append(message)
        self._news.set()

    async def _send_all(self) -> None:
        """Send what is to be sent; the listener finds out how the channel ended."""
        try:
            while True:
                self._news = anyio.Event()
                while self._outbox:
                    with anyio.fail_after(SEND_S):
                        await self._channel.send(self._outbox.popleft())
                await self._news.wait()
        except ChannelClosed:
            return
        except TimeoutError:
            raise LineLost(f"the page took nothing for {SEND_S:g} s; keep its tab open") from None

    def _stir(self) -> None:
        if self.line is Line.HANGING_UP and self._scope is not None:
            self._scope.cancel()
        elif self.line is Line.OPEN:
            self._fill()

    def _cut(self) -> None:
        """Have the page drop what waits; its answer says what of that was heard."""
        self._cuts, self._cut_s = self._cuts + 1, anyio.current_time()
        self._post_out(cut(self._cuts))

    def _note(self, frame: Frame) -> None:
        """A frame has been heard: it began so long before the page told its count."""
        frame.start_s = self._told_s - (self._played / RATE_HZ - frame.start_s)
        super()._note(frame)
        if self._recording is not None:
            self._recording.agent(frame.start_s, frame.sound)
