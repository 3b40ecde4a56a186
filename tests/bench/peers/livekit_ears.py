"""LiveKit's rule: the session's own Silero VAD, and so much speech in a row as `min_duration` of its interruption options."""

# /// script
# requires-python = ">=3.11"
# dependencies = ["livekit-agents==1.8.9"]
# [tool.uv]
# exclude-newer = "2026-11-21T00:00:00Z"
# [tool.callfsm]
# stand-ins = []
# ///

import asyncio
import json
import logging
import sys
from pathlib import Path

from livekit import rtc
from livekit.agents import inference, vad
from livekit.agents.voice.turn import _INTERRUPTION_DEFAULTS

HZ = 16_000


async def first_ms(sound: bytes, settings: list[float]) -> list[float | None]:
    """When there was first so much speech, by each setting."""
    found: list[float | None] = [None] * len(settings)
    stream = inference.VAD(model="silero").stream()
    for begin in range(0, len(sound), 2 * HZ // 50):
        part = sound[begin : begin + 2 * HZ // 50]
        stream.push_frame(rtc.AudioFrame(part, HZ, 1, len(part) // 2))
    stream.end_input()
    async for event in stream:
        if event.type is vad.VADEventType.INFERENCE_DONE:
            for number, seconds in enumerate(settings):
                if found[number] is None and event.speech_duration >= seconds:
                    found[number] = event.samples_index / HZ * 1000
    await stream.aclose()
    return found


async def main() -> None:
    """Hear every scene."""
    logging.disable(logging.CRITICAL)
    folder, settings = Path(sys.argv[1]), [float(one) / 1000 for one in sys.argv[2:]]
    assert settings[0] == _INTERRUPTION_DEFAULTS["min_duration"], f"the default is {_INTERRUPTION_DEFAULTS}"
    heard, begin = (folder / "heard.raw").read_bytes(), 0
    scenes = []
    for samples in json.loads((folder / "lengths.json").read_text()):
        scenes.append(await first_ms(heard[begin : begin + 2 * samples], settings))
        begin += 2 * samples
    print(json.dumps({name: [scene[number] for scene in scenes] for number, name in enumerate(sys.argv[2:])}))


asyncio.run(main())
