"""Pipecat's rule: `SileroVADAnalyzer`, whose state SPEAKING starts a turn (`VADUserTurnStartStrategy`); the setting is `start_secs`."""

# /// script
# requires-python = ">=3.11"
# dependencies = ["pipecat-ai==1.14.0"]
# [tool.uv]
# exclude-newer = "2026-11-21T00:00:00Z"
# [tool.callfsm]
# stand-ins = []
# ///

import asyncio
import json
import sys
from pathlib import Path

import numpy as np
from loguru import logger
from pipecat.audio.vad.silero import SileroVADAnalyzer
from pipecat.audio.vad.vad_analyzer import VAD_START_SECS, VADParams, VADState

HZ, FRAME = 16_000, 1_024


class Analyzer(SileroVADAnalyzer):
    """The analyzer; those that hear the same scene ask the model once, so that the first one hears it to its end."""

    told: dict[int, float]
    asked = 0

    def voice_confidence(self, buffer: bytes) -> float:
        """How sure the model is of the next frame."""
        self.asked += 1
        if self.asked not in self.told:
            self.told[self.asked] = np.asarray(super().voice_confidence(buffer)).item()
        return self.told[self.asked]


async def first_ms(sound: bytes, settings: list[float]) -> list[float | None]:
    """When the caller's turn is first taken to begin, by each setting."""
    found: list[float | None] = []
    told: dict[int, float] = {}
    for seconds in settings:
        analyzer = Analyzer(sample_rate=HZ, params=VADParams(start_secs=seconds))
        analyzer.set_sample_rate(HZ)
        analyzer.told = told
        at: float | None = None
        for begin in range(0, len(sound), FRAME):
            speaks = await analyzer.analyze_audio(sound[begin : begin + FRAME]) is VADState.SPEAKING
            if speaks and at is None:
                at = (begin + FRAME) / 2 / HZ * 1000
        await analyzer.cleanup()
        found.append(at)
    return found


async def main() -> None:
    """Hear every scene."""
    logger.remove()
    folder, settings = Path(sys.argv[1]), [float(one) / 1000 for one in sys.argv[2:]]
    assert settings[0] == VAD_START_SECS, f"the default is {VAD_START_SECS}"
    heard, begin = (folder / "heard.raw").read_bytes(), 0
    scenes = []
    for samples in json.loads((folder / "lengths.json").read_text()):
        scenes.append(await first_ms(heard[begin : begin + 2 * samples], settings))
        begin += 2 * samples
    print(json.dumps({name: [scene[number] for scene in scenes] for number, name in enumerate(sys.argv[2:])}))


asyncio.run(main())
