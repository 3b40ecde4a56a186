"""What the oracles share: checks that are printed, a caller who speaks in real time, waits that end; stdlib only.

An oracle runs as a script in its own environment, `python ORACLE.py URL… LINE.wav…`: first the URL of each stand-in that it
declares, in that order, then a recording of each line that it wants said.
"""

import asyncio
import logging
import os
import subprocess
import sys
import time
import traceback
import wave
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from pathlib import Path
from typing import Any

RATE_HZ = 24_000
FRAME_MS = 20
FRAME_BYTES = RATE_HZ * 2 * FRAME_MS // 1000
STEP_S = 20.0
"""How long any one thing that an oracle waits for may take."""
CALL_S = 150.0
"""How long a whole oracle may take."""


Hold = Callable[["Checks", list[str], list[bytes]], Coroutine[Any, Any, None]]


class Failed(Exception):
    """Something that an oracle waited for did not come, so that the rest of it cannot be judged."""


class Checks:
    """Prints a line for each claim, and remembers whether all held."""

    def __init__(self) -> None:
        self.held = 0
        self.broken = 0

    def __call__(self, claim: str, holds: object, detail: object = "") -> None:
        """`claim` holds, or it does not and `detail` says what was seen instead."""
        self.held += bool(holds)
        self.broken += not holds
        print(f"ok    {claim}" if holds else f"FAIL  {claim}: {detail}", flush=True)


def oracle(hold: Hold, urls: int) -> None:
    """Run `hold(check, urls, lines)` as a script that was given that many URLs, and exit with 0 if every check held."""
    arguments = sys.argv[1:]
    if len(arguments) < urls:
        sys.exit(f"usage: {Path(sys.argv[0]).name} {'URL ' * urls}LINE.wav…")
    check = Checks()
    asyncio.run(_held(check, hold(check, arguments[:urls], [sound_of(path) for path in arguments[urls:]])))
    sys.exit(1 if check.broken or not check.held else 0)


async def _held(check: Checks, call: Coroutine[Any, Any, None]) -> None:
    """Hold the call; when it breaks off, end at once: the loop of a framework in the middle of a call may never end."""
    try:
        await asyncio.wait_for(call, CALL_S)
    except Failed as failure:
        check("the call goes on", False, failure)
    except Exception as error:
        traceback.print_exc()
        check("the call goes on", False, repr(error))
    else:
        return
    sys.stdout.flush()
    os._exit(1)


class Inbox:
    """Everything that happened to a client, in order, to be waited for; each wait goes on from where the last one ended."""

    def __init__(self) -> None:
        self.all: list[Any] = []
        self._seen = 0
        self._news = asyncio.Event()

    def put(self, thing: Any) -> None:
        """Something happened."""
        self.all.append(thing)
        self._news.set()

    async def until(self, wanted: Callable[[Any], object], what: str) -> Any:
        """The next thing that is `wanted`; Failed when it does not come."""
        end = time.monotonic() + STEP_S
        while True:
            while self._seen < len(self.all):
                self._seen += 1
                if wanted(self.all[self._seen - 1]):
                    return self.all[self._seen - 1]
            self._news.clear()
            try:
                await asyncio.wait_for(self._news.wait(), end - time.monotonic())
            except TimeoutError:
                latest = [str(getattr(thing, "type", thing))[:60] for thing in self.all[-5:]]
                raise Failed(f"no {what} within {STEP_S:g} s; the latest: {latest}") from None

    async def some(self, wanted: Callable[[Any], object], what: str) -> Any:
        """The first thing of all that is `wanted`, past or to come, for what has no fixed place in the order; Failed when there is none."""
        await soon(lambda: any(map(wanted, self.all)), what)
        return next(filter(wanted, self.all))


async def soon(done: Callable[[], object], what: str) -> None:
    """Wait until `done()` holds, which no event tells; Failed when it does not come about."""
    end = time.monotonic() + STEP_S
    while not done():
        if time.monotonic() > end:
            raise Failed(f"{what}: not within {STEP_S:g} s")
        await asyncio.sleep(0.01)


class Microphone:
    """The caller's sound, 20 ms after 20 ms in real time, for as long as the block lasts: the lines that they say, silence between them."""

    def __init__(self, push: Callable[[bytes], Awaitable[None]]) -> None:
        """`push` takes each frame, 24 kHz mono s16."""
        self._push = push
        self._frames: deque[bytes] = deque()

    def say(self, line: bytes) -> None:
        """Begin to say a line."""
        self._frames.extend(line[start : start + FRAME_BYTES].ljust(FRAME_BYTES, b"\0") for start in range(0, len(line), FRAME_BYTES))

    async def __aenter__(self) -> "Microphone":
        self._task = asyncio.create_task(self.speak())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        await asyncio.wait([self._task])
        if not self._task.cancelled():
            self._task.result()

    async def speak(self) -> None:
        """Push frame after frame, until cancelled or the push fails."""
        due = time.monotonic()
        while True:
            await self._push(self._frames.popleft() if self._frames else bytes(FRAME_BYTES))
            due += FRAME_MS / 1000
            await asyncio.sleep(max(0.0, due - time.monotonic()))


class Complaints(logging.Handler):
    """What a framework logs as a warning or worse: a server that it is content with gives it no cause."""

    def __init__(self, *loggers: str) -> None:
        """Listen to these loggers."""
        super().__init__(logging.WARNING)
        self.lines: list[str] = []
        for name in loggers:
            logging.getLogger(name).addHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the line."""
        self.lines.append(f"{record.levelname}: {record.getMessage()}"[:300])


async def recorded(check: Checks, folder: Path) -> None:
    """What a call of callfsm's left is what any other leaves, and replays."""
    left = {path.name for path in folder.iterdir()}
    wanted = {"call.svg", "call.trace", "call.wav", "summary.txt"}
    check("the call left its sound, its picture, its summary and its trace", left >= wanted, left)
    command = [sys.executable, "-m", "adapters.cli", "replay", str(folder / "call.trace")]
    done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, check=False)
    check("the trace replays outside the framework", "every row and effect as recorded" in done.stdout, done.stdout + done.stderr)


def sound_of(path: str) -> bytes:
    """A recording, 24 kHz mono s16."""
    with wave.open(path) as source:
        if (source.getnchannels(), source.getsampwidth(), source.getframerate()) != (1, 2, RATE_HZ):
            raise SystemExit(f"{path} is not 24 kHz mono 16-bit")
        return source.readframes(source.getnframes())


def ms_of(sounds: Iterable[bytes]) -> int:
    """How long 24 kHz mono s16 sounds are."""
    return sum(map(len, sounds)) * 1000 // (RATE_HZ * 2)


def loudness(sound: bytes) -> float:
    """The mean amplitude of s16 sound, 0 to 32,768: speech has hundreds, silence none."""
    samples = memoryview(sound).cast("h")
    return sum(map(abs, samples)) / max(len(samples), 1)
