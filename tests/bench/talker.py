"""A realtime server that only talks, as a process of its own: one answer in sound, at the pace at which it is heard, for as long as asked.

A connection says how long: `ws://…/?seconds=3`. The caller's sound is taken and not looked at. The end of its standard input ends it.
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

DELTA_MS = 200
"""How much sound a delta carries; with each come a few words of the transcript."""
LEAD = 3
"""So many deltas come at once at the beginning: no answer is sent at the very pace at which it is heard."""
SOUND = base64.b64encode(random.Random(1).randbytes(DELTA_MS * 48)).decode()
UPDATE = "session.update"


async def main() -> None:
    """Serve on a free port of 127.0.0.1, announce it as `ready URL`, and stop at the end of standard input."""
    async with serve(_hold, "127.0.0.1", 0) as server:
        print(f"ready ws://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
        await asyncio.to_thread(sys.stdin.read)


async def _hold(ws: ServerConnection) -> None:
    seconds = float(parse_qs(urlsplit(ws.request.path).query)["seconds"][0])
    talk: asyncio.Task[None] | None = None
    try:
        await _send(ws, "session.created", session={})
        async for message in ws:
            if UPDATE in str(message[:60]):
                await _send(ws, "session.updated", session=json.loads(message)["session"])
                talk = asyncio.create_task(_talk(ws, seconds))
    except ConnectionClosed:
        return
    finally:
        if talk is not None:
            talk.cancel()


async def _talk(ws: ServerConnection, seconds: float) -> None:
    await _send(ws, "response.created", response={"id": "resp_1", "status": "in_progress", "conversation_id": "conv"})
    began_s = time.monotonic()
    of = {"response_id": "resp_1", "item_id": "item_1", "output_index": 0, "content_index": 0}
    for number in range(int(seconds * 1000 / DELTA_MS)):
        await asyncio.sleep(began_s + max(0, number - LEAD) * DELTA_MS / 1000 - time.monotonic())
        await _send(ws, "response.output_audio.delta", **of, delta=SOUND)
        await _send(ws, "response.output_audio_transcript.delta", **of, delta=" word")
    await _send(ws, "response.done", response={"id": "resp_1", "status": "completed", "conversation_id": "conv", "status_details": None})


async def _send(ws: ServerConnection, kind: str, **fields: Any) -> None:
    await ws.send(json.dumps({"type": kind, "event_id": "ev", **fields}))


if __name__ == "__main__":
    asyncio.run(main())
