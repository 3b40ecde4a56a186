"""The floor of a phone call: a bare bridge that copies each message's sound between a stream and a realtime LLM, and nothing else.

It asks the LLM for the stream's own format, so nothing is decoded; it plays nothing, paces nothing, marks nothing and knows no state. It
announces its stream as `ready URL` and serves until it is killed. `python bridge.py URL`, the LLM's.
"""

import asyncio
import json
import sys

from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import ServerConnection, serve

FORMAT = {"format": {"type": "audio/pcmu"}}
SESSION = json.dumps({"type": "session.update", "session": {"type": "realtime", "audio": {"input": FORMAT, "output": FORMAT}}})


async def up(stream: ServerConnection, llm: ClientConnection) -> None:
    """The caller's sound to the LLM."""
    async for text in stream:
        message = json.loads(text)
        if message["event"] == "media":
            await llm.send(json.dumps({"type": "input_audio_buffer.append", "audio": message["media"]["payload"]}))


async def down(stream: ServerConnection, llm: ClientConnection, stream_sid: str) -> None:
    """The LLM's sound to the caller, and a clear when the caller speaks."""
    async for text in llm:
        message = json.loads(text)
        if message["type"] == "response.output_audio.delta":
            await stream.send(json.dumps({"event": "media", "streamSid": stream_sid, "media": {"payload": message["delta"]}}))
        elif message["type"] == "input_audio_buffer.committed":
            await llm.send(json.dumps({"type": "response.create"}))
        elif message["type"] == "input_audio_buffer.speech_started":
            await stream.send(json.dumps({"event": "clear", "streamSid": stream_sid}))
            await llm.send(json.dumps({"type": "response.cancel"}))


async def main(url: str) -> None:
    """Serve."""

    async def hold(stream: ServerConnection) -> None:
        async with connect(url, compression=None) as llm:
            await llm.send(SESSION)
            await stream.recv()
            stream_sid = json.loads(await stream.recv())["streamSid"]
            ways = [asyncio.ensure_future(up(stream, llm)), asyncio.ensure_future(down(stream, llm, stream_sid))]
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            for way in ways:
                way.cancel()

    async with serve(hold, "127.0.0.1", 0, compression=None) as server:
        print(f"ready ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/stream", flush=True)
        await asyncio.get_running_loop().create_future()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
