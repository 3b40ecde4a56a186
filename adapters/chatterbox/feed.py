"""Hands the sound of sentences to the speaker, and keeps it from running dry while more of a sentence is to come."""

import anyio

from adapters.chatterbox.figures import Count, Figures
from adapters.ports import RATE_HZ, Speaker

MARGIN_S = 0.06
"""How long before the speaker would run dry it is given silence: three frames, as a device takes one every 20 ms."""
FILLING = bytes(RATE_HZ // 10 * 2)
"""100 ms of silence: what is heard anyway when sound comes late, but the speaker does not take it for the end of the response."""


class Feed:
    """The speaker as the sentences use it. What it still has to play is reckoned by the clock: at least what was handed over."""

    def __init__(self, speaker: Speaker, figures: Figures) -> None:
        self._speaker = speaker
        self._figures = figures
        self._dry_s = 0.0

    def play(self, response_id: str, pcm: bytes, session_id: str) -> bool:
        """Hand sound over; False when the speaker refused it."""
        taken = self._speaker.play(response_id, pcm, sentence=session_id)
        if taken:
            self._dry_s = max(self._dry_s, anyio.current_time()) + len(pcm) / 2 / RATE_HZ
        return taken

    async def fill(self, response_id: str, session_id: str) -> None:
        """Give the speaker silence whenever it would run dry, until it refuses or this is cancelled."""
        while True:
            await anyio.sleep_until(self._dry_s - MARGIN_S)
            if anyio.current_time() < self._dry_s - MARGIN_S:
                continue
            if not self.play(response_id, FILLING, session_id):
                return
            self._figures.counts[Count.FILLED] += 1
