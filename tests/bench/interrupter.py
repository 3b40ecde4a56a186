"""A realtime server that does nothing but be interrupted, as a process of its own; it notes when it writes speech_started.

The item_id of each speech_started holds the time at which it was written, in nanoseconds of the monotonic clock, which all
processes of a machine share. A connection says how it wants to be served: `ws://…/?rounds=10&low_ms=30&high_ms=70`.
The server ends when its standard input does, so that it cannot outlive the benchmark.
"""

import asyncio
import base64
import json
import random
import sys
import time
from typing import Any
from urllib.parse import parse_qs, urlsplit

from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

DELTA_MS = 100
"""How much sound a delta carries."""
PACE_S = 0.025
"""A delta comes this often: four times as fast as it is heard."""
STRAGGLERS = 3
"""How many deltas still come after the cancel has arrived."""
COMMAND_S = 10.0
"""How long a command may be waited for."""
SOUND = base64.b64encode(random.Random(1).randbytes(DELTA_MS * 48)).decode()


async def main() -> None:
    """Serve on a free port of 127.0.0.1, announce it as `ready URL`, and stop at the end of standard input."""
    async with serve(_hold, "127.0.0.1", 0, compression=None) as server:
        print(f"ready ws://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
        await asyncio.to_thread(sys.stdin.read)


async def _hold(ws: ServerConnection) -> None:
    wishes = parse_qs(urlsplit(ws.request.path).query)
    rounds, low_ms, high_ms = (int(wishes[name][0]) for name in ("rounds", "low_ms", "high_ms"))
    session = _Session(ws)
    reader = asyncio.create_task(session.read())
    try:
        await session.serve(rounds, low_ms / 1000, high_ms / 1000)
    except ConnectionClosed:
        return  # The client counts its interruptions, and misses those that did not come.
    finally:
        reader.cancel()


class _Session:
    """One connection: a turn of the caller, an answer that is interrupted, and so on."""

    def __init__(self, ws: ServerConnection) -> None:
        self._ws = ws
        self._commands: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._cancelled = asyncio.Event()

    async def read(self) -> None:
        """Take in what the client sends; its sound is not looked at."""
        async for message in self._ws:
            if "input_audio_buffer.append" in str(message[:60]):
                continue
            command = json.loads(message)
            if command["type"] == "response.cancel":
                self._cancelled.set()
            elif command["type"] in ("session.update", "response.create"):
                self._commands.put_nowait(command)

    async def serve(self, rounds: int, low_s: float, high_s: float) -> None:
        """Answer and be interrupted `rounds` times, each after `low_s` to `high_s`, at random against the device's frames."""
        await self._send("session.created", session={})
        await self._send("session.updated", session=(await self._command())["session"])
        item_id = "turn_0"
        for number in range(1, rounds + 1):
            await self._send("input_audio_buffer.speech_stopped", item_id=item_id)
            await self._send("input_audio_buffer.committed", item_id=item_id)
            await self._command()
            item_id = await self._answer(f"resp_{number}", random.uniform(low_s, high_s))

    async def _answer(self, response_id: str, after_s: float) -> str:
        """Give an answer that is interrupted after `after_s`, and stream it until the cancel comes, and a little longer."""
        self._cancelled.clear()
        await self._send("response.created", response={"id": response_id, "status": "in_progress", "conversation_id": "conv"})
        until_s = time.monotonic() + after_s
        while (left_s := until_s - time.monotonic()) > 0:
            await self._delta(response_id)
            await asyncio.sleep(min(left_s, PACE_S))
        item_id = f"item_{time.monotonic_ns()}"
        # Put together by hand: next to nothing lies between the note and the write.
        await self._ws.send('{"type": "input_audio_buffer.speech_started", "event_id": "ev", "item_id": "' + item_id + '"}')
        async with asyncio.timeout(COMMAND_S):
            while not self._cancelled.is_set():
                await self._delta(response_id)
                await self._wait_for_cancel()
        for _ in range(STRAGGLERS):
            await self._delta(response_id)
        reason = {"type": "cancelled", "reason": "client_cancelled"}
        await self._send(
            "response.done", response={"id": response_id, "status": "cancelled", "conversation_id": "conv", "status_details": reason}
        )
        return item_id

    async def _wait_for_cancel(self) -> None:
        """Wait until the cancel has come, or the next delta is due."""
        try:
            async with asyncio.timeout(PACE_S):
                await self._cancelled.wait()
        except TimeoutError:
            return

    async def _command(self) -> dict[str, Any]:
        async with asyncio.timeout(COMMAND_S):
            return await self._commands.get()

    async def _delta(self, response_id: str) -> None:
        await self._send("response.output_audio.delta", response_id=response_id, item_id=f"item_of_{response_id}", delta=SOUND)

    async def _send(self, kind: str, **fields: Any) -> None:
        await self._ws.send(json.dumps({"type": kind, "event_id": "ev", **fields}))


if __name__ == "__main__":
    asyncio.run(main())
