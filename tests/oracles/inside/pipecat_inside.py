"""`pipecat-ai` on the stage: a pipeline with its own realtime service, or with that of callfsm; all else is the same.

The pipeline runs its context first, as the package's examples do: the agent speaks first, and that is what the caller interrupts.
"""

# /// script
# requires-python = ">=3.11"
# dependencies = ["pipecat-ai[openai]==1.14.0", "callfsm[pipecat]"]
# [tool.uv]
# exclude-newer = "2026-11-21T00:00:00Z"
# [tool.uv.sources]
# callfsm = { path = "../../..", editable = true }
# [tool.callfsm]
# stand-ins = []
# ///

import asyncio
import json
from contextlib import suppress
from contextvars import ContextVar
from typing import Any

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
from stage import RATE_HZ, Stage, stage

from adapters.hosts.frameworks.pipecat import CallfsmLLMService
from adapters.realtime.settings import RealtimeSettings
from fsm import Policy

SCENE: ContextVar[Stage] = ContextVar("scene")
PARSE = events.parse_server_event
logger.remove()


class Loudspeaker(FrameProcessor):
    """The end of the pipeline; it falls silent at an interruption, as a transport does."""

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


def told(text: str) -> Any:
    """Tell the stage each event as the package's own service parses it; it parses it all the same."""
    with suppress(ValueError):
        SCENE.get().server(json.loads(text))
    return PARSE(text)


events.parse_server_event = told


def own_service(cell: dict[str, Any]) -> Any:
    """The package's."""
    rights = {"create_response": True, "interrupt_response": cell["owner"] == "server"}
    hearing = events.AudioInput(
        transcription=events.InputAudioTranscription(), turn_detection=events.TurnDetection(silence_duration_ms=100, **rights)
    )
    properties = events.SessionProperties(audio=events.AudioConfiguration(input=hearing))
    settings = OpenAIRealtimeLLMService.Settings(session_properties=properties)
    return OpenAIRealtimeLLMService(api_key="none", base_url=cell["url"], settings=settings)


def our_service(cell: dict[str, Any], scene: Stage) -> Any:
    """callfsm's."""
    policy = Policy(**cell["policy"] | {"greeting": True, "greeting_protected": False})
    settings = RealtimeSettings(vad_silence_ms=100, transcription="gpt-4o-mini-transcribe")
    return CallfsmLLMService(
        api_key=None, base_url=cell["url"], policy=policy, settings=settings, overheard=lambda event: scene.server(dict(event))
    )


async def perform(scene: Stage, cell: dict[str, Any]) -> None:
    """Be called, and interrupted."""
    SCENE.set(scene)
    service = our_service(cell, scene) if cell["inside"] else own_service(cell)
    user, assistant = LLMContextAggregatorPair(LLMContext([]))
    parameters = PipelineParams(audio_in_sample_rate=RATE_HZ, audio_out_sample_rate=RATE_HZ)
    worker = PipelineWorker(Pipeline([user, service, Loudspeaker(scene), assistant]), params=parameters, cancel_on_idle_timeout=False)
    errors: list[str] = []

    async def note(_: Any, frame: Any) -> None:
        errors.append(str(frame.error)[:120])

    worker.add_event_handler("on_pipeline_error", note)
    runner = WorkerRunner(handle_sigint=False)
    await runner.add_workers(worker)
    running = asyncio.create_task(runner.run())
    await worker.queue_frame(frames.LLMRunFrame())

    async def push(frame: bytes) -> None:
        await worker.queue_frame(frames.InputAudioRawFrame(audio=frame, sample_rate=RATE_HZ, num_channels=1))

    acting = asyncio.create_task(scene.act(push))
    await asyncio.wait([running, acting], return_when=asyncio.FIRST_COMPLETED)
    if running.done() and not acting.done():
        scene.clear()
        scene.end(f"the pipeline ended: {errors}")
        await asyncio.wait([acting], timeout=1)
    elif errors and not scene.verdict()["answered"]:
        # An error alone is told too, by an ErrorFrame; an application may end there.
        scene.end(errors[-1])
    await runner.cancel()
    await asyncio.wait([running], timeout=10)


if __name__ == "__main__":
    stage(perform, agent_first=True)
