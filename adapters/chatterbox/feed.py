"""Hands the sound of sentences to the speaker, and keeps it from running dry while more of a sentence is to come."""

import anyio

from adapters.chatterbox.figures import Count, Figures
from adapters.seam.ports import PCM, Speaker
from fsm.call.effects import Flush, Hold, Resume, Retire

MARGIN_S = 0.06
"""How long before the speaker would run dry it is given silence: three frames, as a device takes one every 20 ms."""
FILLING = bytes(PCM.bytes_of(100))
"""100 ms of silence: what is heard anyway when sound comes late, but the speaker does not take it for the end of the response."""
TAIL_S = 0.5
"""How long after the reckoned end of all sound a line may still hold some of it (`Policy.line_tail_ms`, R27)."""


class Feed:
    """The speaker as the sentences use it. When it runs dry is reckoned from what it took, was told to drop, and how long it was held."""

    def __init__(self, speaker: Speaker, figures: Figures) -> None:
        self._speaker = speaker
        self._figures = figures
        self._dry_s = 0.0
        self._heard_s = 0.0
        """When all sound has been heard that is no filling."""
        self._awaited: tuple[anyio.CancelScope, float, float] | None = None
        self._last_id = ""
        self._held_s = 0.0
        self._resumed: anyio.Event | None = None
        """There is one while the speaker is held, since `_held_s`."""

    def play(self, response_id: str, pcm: bytes, session_id: str = "", *, filling: bool = False) -> bool:
        """Hand sound over, as part of a sentence or none; False when the speaker refused it."""
        taken = self._speaker.play(response_id, pcm, sentence=session_id)
        if taken:
            now_s = self._held_s if self._resumed else anyio.current_time()
            self._dry_s = max(self._dry_s, now_s) + PCM.ms_of(len(pcm)) / 1000
            self._heard_s = self._heard_s if filling else self._dry_s
            self._last_id = response_id
        return taken

    def await_more(self, scope: anyio.CancelScope, gap_s: float, latest_s: float) -> None:
        """Give the reading in this scope up when the speaker has had no sound for `gap_s`, the time that it is held aside, or then."""
        self._awaited = scope, gap_s, latest_s
        self._set_patience()

    def _set_patience(self) -> None:
        if self._awaited is not None:
            scope, gap_s, latest_s = self._awaited
            scope.deadline = latest_s if self._resumed else min(latest_s, self._heard_s + gap_s)

    def follow(self, effect: Hold | Resume | Flush | Retire) -> None:
        """Reckon with what the speaker does at the same time."""
        match effect:
            case Hold():
                self._held_s, self._resumed = anyio.current_time(), anyio.Event()
                self._set_patience()
            case Resume() if self._resumed is not None:
                held_s = anyio.current_time() - self._held_s
                self._dry_s, self._heard_s = self._dry_s + held_s, self._heard_s + held_s
                self._resumed.set()
                self._resumed = None
                self._set_patience()
            case Flush(response_id) | Retire(response_id) if response_id == self._last_id:
                self._dry_s = self._heard_s = 0.0

    async def fill(self, response_id: str, session_id: str) -> None:
        """Give the speaker silence whenever it would run dry, until it refuses or this is cancelled."""
        while True:
            await self._reach(-MARGIN_S)
            if not self.play(response_id, FILLING, session_id, filling=True):
                return
            self._figures.counts[Count.FILLED] += 1

    async def heard(self) -> None:
        """Come back when all that was handed over has surely been heard, however long the speaker is held."""
        await self._reach(TAIL_S)

    async def _reach(self, after_s: float) -> None:
        """Come back so long after the speaker ran dry, or before it does."""
        while True:
            if self._resumed is not None:
                await self._resumed.wait()
            await anyio.sleep_until(self._dry_s + after_s)
            if self._resumed is None and anyio.current_time() >= self._dry_s + after_s:
                return
