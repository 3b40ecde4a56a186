"""One interruption, the same for every framework: a caller who asks and then interrupts, a loudspeaker in real time, and what was heard.

A framework's script gives the stage its server's events and its sound, and clears the loudspeaker when it says so. Stdlib only.
"""

import asyncio
import json
import os
import sys
import time
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from kit import FRAME_BYTES, FRAME_MS, Microphone, sound_of

HEARD_MS, COMMITTED_S = 1_200, 0.3
"""When the caller interrupts: so far into the answer, or so long after their question, before its answer is created."""
CALL_S = 60.0
PATIENCE_S = 12.0
"""How long the caller waits for the first answer, and for that to the interruption once it is said."""
Json = dict[str, Any]
Perform = Callable[["Stage", str], Coroutine[Any, Any, None]]


class Stage:
    """The caller and the loudspeaker of one call."""

    def __init__(self, cue: str, lines: list[bytes]) -> None:
        self._cue, self._lines = cue, lines
        self._queue: deque[bytes] = deque()
        self._rest = b""
        self._heard_at: list[float] = []
        self._at: dict[str, list[float]] = {}
        self._answers: set[str] = set()
        self._answered_at: float | None = None
        self._interrupts_at = 0.0

    # What a framework's script gives.

    def server(self, event: Json) -> None:
        """An event of the server has come."""
        kind, now = event.get("type", "?"), time.monotonic()
        self._at.setdefault(kind, []).append(now)
        if kind == "response.created" and len(self._at.get("input_audio_buffer.committed", ())) > 1:
            self._answers.add(event["response"]["id"])
        if kind == "response.output_audio.delta" and event["response_id"] in self._answers and self._answered_at is None:
            self._answered_at = now

    def play(self, sound: bytes) -> None:
        """Sound of the agent, to be heard after what is waiting."""
        sound = self._rest + sound
        whole = len(sound) - len(sound) % FRAME_BYTES
        self._queue.extend(sound[start : start + FRAME_BYTES] for start in range(0, whole, FRAME_BYTES))
        self._rest = sound[whole:]

    def heard(self, at_s: float) -> None:
        """From `at_s` on, on the monotonic clock, the caller heard 20 ms of the agent."""
        self._heard_at.append(at_s)

    def clear(self) -> None:
        """The framework wants silence."""
        self._queue.clear()
        self._rest = b""

    @property
    def waiting(self) -> int:
        """Frames that are still to be heard."""
        return len(self._queue)

    # The call.

    async def act(self, push: Callable[[bytes], Awaitable[None]]) -> None:
        """Ask, interrupt, and wait for the answer to that, or until patience ends."""
        playing = asyncio.create_task(self._play())
        microphone = Microphone(push)
        speaking = asyncio.create_task(microphone.speak())
        try:
            microphone.say(self._lines[0])
            await self._until(self._is_cued)
            self._interrupts_at = time.monotonic()
            microphone.say(self._lines[1])
            await asyncio.sleep(len(self._lines[1]) / 48_000)
            await self._until(self._is_answered)
        finally:
            for task in (playing, speaking):
                task.cancel()
            await asyncio.wait([playing, speaking])
            if not speaking.cancelled():
                speaking.exception()

    def verdict(self) -> Json:
        """What the caller heard of the old answer after they began to interrupt, in ms, and whether they were answered."""
        starts = [at for at in self._at.get("input_audio_buffer.speech_started", ()) if at > self._interrupts_at > 0]
        begin = starts[0] if starts else self._interrupts_at
        end = self._answered_at or float("inf")
        old = sum(begin < at < end for at in self._heard_at) * FRAME_MS
        answered = self._answered_at is not None and any(at > end for at in self._heard_at)
        return {"old_ms": old, "answered": answered, "interrupted": self._interrupts_at > 0}

    async def _play(self) -> None:
        due = time.monotonic()
        while True:
            if self._queue:
                self._queue.popleft()
                self.heard(time.monotonic())
            due += FRAME_MS / 1000
            await asyncio.sleep(max(0.0, due - time.monotonic()))

    def _is_cued(self) -> bool:
        if self._cue == "heard":
            return len(self._heard_at) * FRAME_MS >= HEARD_MS
        committed = self._at.get("input_audio_buffer.committed")
        return bool(committed) and time.monotonic() - committed[0] >= COMMITTED_S

    def _is_answered(self) -> bool:
        return self._answered_at is not None and bool(self._heard_at) and self._heard_at[-1] > self._answered_at

    async def _until(self, done: Callable[[], bool]) -> None:
        end = time.monotonic() + PATIENCE_S
        while not done() and time.monotonic() < end:
            await asyncio.sleep(0.005)


def stage(perform: Perform) -> None:
    """Run `perform(stage, url)` as a script, `SCRIPT URL CUE LINE.wav LINE.wav`; prints the verdict as the last line, in JSON."""
    url, cue, *lines = sys.argv[1:]
    asyncio.run(_performed(perform, Stage(cue, [sound_of(line) for line in lines]), url))


async def _performed(perform: Perform, found: Stage, url: str) -> None:
    """Perform, tell, and end at once: a framework whose server failed may never let its loop end."""
    died = ""
    try:
        await asyncio.wait_for(perform(found, url), CALL_S)
    except Exception as error:  # whatever a framework dies of is what we came to see
        died = f"{type(error).__name__}: {error}"[:200]
    print(json.dumps({**found.verdict(), "died": died}), flush=True)
    os._exit(0)
