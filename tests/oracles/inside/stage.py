"""A caller who asks and interrupts, a loudspeaker in real time, and what was heard: the same for each framework, callfsm inside or not.

A framework's script gives the stage its server's events and its sound, and hushes it when the framework says so. Stdlib only.
"""

import array
import asyncio
import json
import math
import os
import sys
import time
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

RATE_HZ, FRAME_MS, FRAME_BYTES = 24_000, 20, 960
SPEECH_FRAMES, HEARD_FRAMES, BETWEEN_FRAMES, CONTENT_FRAMES = 20, 10, 8, 5
"""As the caller of the fault matrix: how long they speak, after how much of the answer they interrupt, and what contents them."""
FIRST_S, NEXT_S, READY_S = 12.0, 10.0, 3.0
"""How long the caller waits for the first answer, and for that to the interruption; they ask at the latest after READY_S."""
AT_ONCE = 5
VOICED = array.array("h", (int(9_000 * math.sin(2 * math.pi * 300 * n / RATE_HZ)) for n in range(FRAME_BYTES // 2))).tobytes()
Json = dict[str, Any]
STARTED, UPDATED = "input_audio_buffer.speech_started", "session.updated"
Perform = Callable[["Stage", Json], Coroutine[Any, Any, None]]


class Stage:
    """The caller and the loudspeaker of one call."""

    def __init__(self, cell: Json, agent_first: bool = False) -> None:
        """`agent_first`: does the agent open the call, so that the caller interrupts that and asks nothing before?"""
        self._first = 0 if agent_first else 1
        self.played: Callable[[Any, bytes], None] = lambda tag, sound: None
        """Is told what was heard, with the tag that it came with, by who wants to know."""
        self.ends: list[str] = []
        """What the application was told of an end."""
        self._speaks_again = bool(cell["speaks_again"])
        self._queue: deque[tuple[Any, bytes]] = deque()
        self._heard: list[tuple[float, float]] = []
        self._speech: deque[bytes] = deque()
        self._began_s: list[float] = []
        self._ended_s: list[float] = []
        self._events: list[tuple[float, Json]] = []

    # What a framework's script gives.

    def server(self, event: Json) -> None:
        """An event of the server's has come."""
        self._events.append((time.monotonic(), event))

    def play(self, sound: bytes, tag: Any = None) -> None:
        """Sound of the agent, to be heard after what is waiting."""
        if sound:
            self._queue.append((tag, bytes(sound)))

    def clear(self) -> None:
        """Be silent at once."""
        self._queue.clear()

    @property
    def waiting_s(self) -> float:
        """How much is still to be heard."""
        return sum(len(sound) for _, sound in self._queue) / 48_000

    def end(self, words: str) -> None:
        """The application was told that the call is over."""
        self.ends.append(words)

    # The call.

    async def act(self, push: Callable[[bytes], Awaitable[None]]) -> None:
        """Ask, interrupt, and wait for the answer to that, an end that is told, or the end of patience."""
        tasks = [asyncio.create_task(self._speak(push)), asyncio.create_task(self._play())]
        try:
            await self._until(lambda: self._at(UPDATED), READY_S)
            if self._first:
                self._say()
                await self._until(lambda: self._ended_s, 5)
            if self._speaks_again:
                await asyncio.sleep(BETWEEN_FRAMES * FRAME_MS / 1000)
            else:
                await self._until(lambda: len(self._heard) >= HEARD_FRAMES, FIRST_S)
            self._say()
            await self._until(lambda: len(self._ended_s) > self._first, 5)
            await self._until(lambda: self._answered() >= CONTENT_FRAMES, NEXT_S)
            await asyncio.sleep(0.3)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)

    def verdict(self) -> Json:
        """What was heard, what the server was told of that, and what it complained of."""
        begins = [at for at in self._at(STARTED) if len(self._began_s) > self._first and at > self._began_s[self._first]]
        end_s, begin_s = self._answer_s(), begins[0] if begins else math.inf
        old = [ms for at, ms in self._heard if begin_s < at < end_s]
        errors = [str((event.get("error") or {}).get("code") or (event.get("error") or {}).get("type")) for event in self._of("error")]
        heard = [ms for at, ms in self._heard if at < begin_s]
        return {
            "interrupted": bool(begins) and (bool(heard) or self._speaks_again),
            "old_ms": round(sum(old)),
            "answered": self._answered() >= CONTENT_FRAMES,
            "ends": self.ends,
            "errors": errors,
            "context_ms": self._context_ms(sum(heard) + sum(old)),
        }

    def _context_ms(self, heard_ms: float) -> float | None:
        """How far what the server takes for heard of the old answer is from what was; None where there was none, or a session was lost."""
        if len(self._of("session.created")) > 1 or not self._answered() or not heard_ms:
            return None
        answers, sizes = self._answers(), dict[str, float]()
        begun = {event["response"]["id"] for event in self._of("response.created")}
        for _, event in self._events:
            if event.get("type") == "response.output_audio.delta" and event.get("response_id") in begun - answers:
                sizes[event["item_id"]] = sizes.get(event["item_id"], 0.0) + len(event["delta"]) * 3 / 4 / 48
            elif event.get("type") == "conversation.item.truncated" and event["item_id"] in sizes:
                sizes[event["item_id"]] = min(sizes[event["item_id"]], event["audio_end_ms"])
            elif event.get("type") == "conversation.item.deleted":
                sizes.pop(event["item_id"], None)
        return round(abs(sum(sizes.values()) - heard_ms), 1)

    def _answers(self) -> set[str]:
        """The responses that began after the caller had interrupted."""
        since = self._ended_s[self._first] if len(self._ended_s) > self._first else math.inf
        return {event["response"]["id"] for at, event in self._events if event.get("type") == "response.created" and at > since}

    def _answer_s(self) -> float:
        """When the first sound of an answer to the interruption came."""
        answers = self._answers()
        kinds = ("response.output_audio.delta", "response.audio.delta")
        return next((at for at, event in self._events if event.get("type") in kinds and event.get("response_id") in answers), math.inf)

    def _answered(self) -> int:
        """How many frames of it were heard."""
        end_s = self._answer_s()
        return sum(at > end_s for at, _ in self._heard) if end_s < math.inf else 0

    def _of(self, kind: str) -> list[Json]:
        return [event for _, event in self._events if event.get("type") == kind]

    def _at(self, kind: str) -> list[float]:
        return [at for at, event in self._events if event.get("type") == kind]

    def _say(self) -> None:
        self._speech.extend([VOICED] * SPEECH_FRAMES)
        self._began_s.append(time.monotonic())

    async def _speak(self, push: Callable[[bytes], Awaitable[None]]) -> None:
        due = time.monotonic()
        while True:
            speaks = bool(self._speech)
            await push(self._speech.popleft() if speaks else bytes(FRAME_BYTES))
            if speaks and not self._speech:
                self._ended_s.append(time.monotonic())
            due += FRAME_MS / 1000
            await asyncio.sleep(max(0.0, due - time.monotonic()))

    async def _play(self) -> None:
        due = time.monotonic()
        while True:
            left = FRAME_BYTES
            now = time.monotonic()
            while left and self._queue:
                tag, sound = self._queue.popleft()
                heard, rest = sound[:left], sound[left:]
                if rest:
                    self._queue.appendleft((tag, rest))
                left -= len(heard)
                self.played(tag, heard)
            if left < FRAME_BYTES:
                self._heard.append((now, (FRAME_BYTES - left) / 48))
            due += FRAME_MS / 1000
            await asyncio.sleep(max(0.0, due - time.monotonic()))

    async def _until(self, done: Callable[[], object], patience_s: float) -> None:
        end = time.monotonic() + patience_s
        while not done() and not self.ends and time.monotonic() < end:
            await asyncio.sleep(0.005)


async def _held(perform: Perform, cell: Json, late: list[float], agent_first: bool) -> Json:
    """One call, however it ends."""
    scene, began = Stage(cell, agent_first), len(late)
    cpu_s, at_s = time.process_time(), time.monotonic()
    try:
        await asyncio.wait_for(perform(scene, cell), 45)
    except Exception as error:  # what the framework raises tells the application of an end, too
        if not scene.ends:
            scene.end(f"{type(error).__name__}: {error}"[:120])
    cpu = (time.process_time() - cpu_s) / (time.monotonic() - at_s)
    return {**cell, **scene.verdict(), "cpu_ms": round(cpu * 1000, 1), "late_ms": max(late[began:], default=0.0)}


async def _watch(late: list[float]) -> None:
    while True:
        began = time.monotonic()
        await asyncio.sleep(0.02)
        late.append((time.monotonic() - began) * 1000 - 20)


async def _all(perform: Perform, cells: list[Json], agent_first: bool) -> None:
    late: list[float] = []
    watching = asyncio.create_task(_watch(late))
    places = asyncio.Semaphore(int(os.environ.get("AT_ONCE", AT_ONCE)))

    async def one(cell: Json) -> None:
        async with places:
            print(json.dumps(await _held(perform, cell, late, agent_first)), flush=True)

    await asyncio.gather(*(one(cell) for cell in cells))
    watching.cancel()
    sys.stdout.flush()
    os._exit(0)  # a framework whose server failed may never let its loop end


def stage(perform: Perform, agent_first: bool = False) -> None:
    """Hold the calls that standard input names, a JSON object a line; each verdict is a line of JSON."""
    cells = [json.loads(line) for line in sys.stdin if line.strip()]
    asyncio.run(_all(perform, cells, agent_first))
