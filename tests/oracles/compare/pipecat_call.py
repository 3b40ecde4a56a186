"""`pipecat-ai` on the stage: what leaves its pipeline is played, and cleared by an InterruptionFrame, as its own transports do."""

# mypy: disable-error-code="import-not-found"

import asyncio
import json
from contextlib import suppress
from typing import Any

from kit import RATE_HZ
from loguru import logger
from pipecat.frames import frames
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.aggregators.llm_response_universal import LLMContextAggregatorPair
from pipecat.processors.frame_processor import FrameProcessor
from pipecat.services.openai.realtime import events
from pipecat.services.openai.realtime.llm import OpenAIRealtimeLLMService
from pipecat.workers.runner import WorkerRunner
from stage import Stage, stage


class Loudspeaker(FrameProcessor):
    """The end of the pipeline; it tells when it falls silent, as a transport does."""

    def __init__(self, scene: Stage) -> None:
        super().__init__()
        self._scene = scene

    async def process_frame(self, frame: Any, direction: Any) -> None:
        """Play, or clear."""
        await super().process_frame(frame, direction)
        if isinstance(frame, frames.TTSAudioRawFrame):
            self._scene.play(frame.audio)
        elif isinstance(frame, frames.InterruptionFrame):
            self._scene.clear()
        await self.push_frame(frame, direction)


async def perform(scene: Stage, url: str) -> None:
    """Be called, and interrupted."""
    logger.remove()
    _listen_in(scene)
    properties = events.SessionProperties(audio=events.AudioConfiguration(input=events.AudioInput(turn_detection=events.TurnDetection())))
    settings = OpenAIRealtimeLLMService.Settings(session_properties=properties)
    service = OpenAIRealtimeLLMService(api_key="none", base_url=url, settings=settings)
    user, assistant = LLMContextAggregatorPair(LLMContext([]))
    parameters = PipelineParams(audio_in_sample_rate=RATE_HZ, audio_out_sample_rate=RATE_HZ)
    pipeline = Pipeline([user, service, Loudspeaker(scene), assistant])
    worker = PipelineWorker(pipeline, params=parameters, cancel_on_idle_timeout=False)
    runner = WorkerRunner(handle_sigint=False)
    await runner.add_workers(worker)
    running = asyncio.create_task(runner.run())

    async def push(frame: bytes) -> None:
        await worker.queue_frame(frames.InputAudioRawFrame(audio=frame, sample_rate=RATE_HZ, num_channels=1))

    await scene.act(push)
    await runner.cancel()
    await asyncio.wait([running], timeout=10)


def _listen_in(scene: Stage) -> None:
    """Tell the stage each event as the service parses it; it parses it all the same."""
    parse = events.parse_server_event

    def told(text: str) -> Any:
        with suppress(ValueError):
            scene.server(json.loads(text))
        return parse(text)

    events.parse_server_event = told


if __name__ == "__main__":
    stage(perform)
