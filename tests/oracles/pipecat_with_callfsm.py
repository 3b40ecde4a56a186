"""`pipecat-ai` holds a call with callfsm inside: its pipeline, aggregators and functions around a service that is ours.

The example of `adapters/hosts/frameworks/FRAMEWORKS.md`, with checks: what the caller heard is what the context and the server remember,
a cough interrupts nothing, and the pipeline ends after a goodbye that was heard.
"""

# /// script
# requires-python = ">=3.11"
# dependencies = ["pipecat-ai[openai]==1.14.0", "callfsm[pipecat]"]
# [tool.uv]
# exclude-newer = "2026-11-21T00:00:00Z"
# [tool.uv.sources]
# callfsm = { path = "../..", editable = true }
# [tool.callfsm]
# stand-ins = ["realtime"]
# says = ["What are your opening hours?", "Sorry, how much is a puncture repair?", "Thank you, goodbye!"]
# ///

import asyncio
import tempfile
from collections import deque
from pathlib import Path
from typing import Any

from kit import FRAME_BYTES, FRAME_MS, RATE_HZ, Checks, Inbox, Microphone, oracle, recorded, soon
from loguru import logger
from pipecat.frames import frames
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.aggregators.llm_response_universal import LLMContextAggregatorPair
from pipecat.processors.frame_processor import FrameProcessor
from pipecat.services.llm_service import FunctionCallParams
from pipecat.workers.runner import WorkerRunner
from wire import Wire

from adapters.hosts.frameworks.pipecat import CallfsmLLMService
from adapters.realtime.settings import RealtimeSettings
from fsm import Policy

JOBS: list[str] = []


async def repair_price(params: FunctionCallParams, job: str) -> None:
    """Get the price of a repair.

    Args:
        job: The job, in a word.
    """
    JOBS.append(job)
    await params.result_callback("twelve pounds")


class Output(FrameProcessor):
    """The end of the pipeline, in the place of a transport: it plays in real time, and is cleared by an interruption."""

    def __init__(self, inbox: Inbox) -> None:
        super().__init__()
        self.heard_ms = 0.0
        self._inbox = inbox
        self._queue: deque[bytes] = deque()

    async def process_frame(self, frame: Any, direction: Any) -> None:
        """Play, or clear."""
        await super().process_frame(frame, direction)
        if isinstance(frame, frames.TTSAudioRawFrame):
            self._queue.append(frame.audio)
        elif isinstance(frame, frames.InterruptionFrame):
            self._queue.clear()
        if not isinstance(frame, frames.InputAudioRawFrame):
            self._inbox.put(frame)
        await self.push_frame(frame, direction)

    async def play(self) -> None:
        """Play, until cancelled."""
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            if self._queue:
                self.heard_ms += len(self._queue.popleft()) / FRAME_BYTES * FRAME_MS
            due += FRAME_MS / 1000
            await asyncio.sleep(max(0.0, due - loop.time()))


async def hold(check: Checks, urls: list[str], lines: list[bytes]) -> None:
    """Hold the call."""
    complaints: list[str] = []
    logger.remove()
    logger.add(complaints.append, level="WARNING", format="{level}: {name}: {message}")
    inbox, wire = Inbox(), Wire()
    output, context = Output(inbox), LLMContext([], [repair_price])
    with tempfile.TemporaryDirectory(prefix="callfsm-pipecat-") as folder:
        llm = CallfsmLLMService(
            api_key=None,
            base_url=urls[0],
            system_instruction="You work in a bicycle shop.",
            policy=Policy(voice="realtime"),
            settings=RealtimeSettings(transcription="gpt-4o-mini-transcribe"),
            out=Path(folder) / "call",
            overheard=lambda event: wire.judge(dict(event)),
        )
        user, assistant = LLMContextAggregatorPair(context)
        parameters = PipelineParams(audio_in_sample_rate=RATE_HZ, audio_out_sample_rate=RATE_HZ)
        worker = PipelineWorker(Pipeline([user, llm, output, assistant]), params=parameters, cancel_on_idle_timeout=False)
        runner = WorkerRunner(handle_sigint=False)
        await runner.add_workers(worker)
        tasks = [asyncio.create_task(runner.run()), asyncio.create_task(output.play())]
        await worker.queue_frame(frames.LLMRunFrame())

        async def push(frame: bytes) -> None:
            await worker.queue_frame(frames.InputAudioRawFrame(audio=frame, sample_rate=RATE_HZ, num_channels=1))

        async with Microphone(push) as microphone:
            await _until(inbox, frames.TTSStartedFrame)
            await _until(inbox, frames.LLMFullResponseEndFrame)
            check("the greeting is heard to its end", "Bluebird" in _said(context) and output.heard_ms > 2_000, output.heard_ms)
            microphone.say(lines[0])
            await _interrupted(check, wire, inbox, output, context, microphone, lines)
            await asyncio.wait_for(asyncio.shield(tasks[0]), 60)
        tasks[1].cancel()
        check("the pipeline ended by itself, after a goodbye that was heard", "Goodbye" in _said(context), _said(context))
        check("no goodbye was cut", not [end for end in wire.ends[-1:] if end["status"] != "completed"], wire.ends[-1:])
        await recorded(check, Path(folder) / "call")
    told = [frame.error for frame in inbox.all if isinstance(frame, frames.ErrorFrame)]
    check("nobody told of an error", not told, told)
    wire.tell(check)
    check("the package logged no complaint", not complaints, complaints)


async def _interrupted(
    check: Checks, wire: Wire, inbox: Inbox, output: Output, context: LLMContext, microphone: Microphone, lines: list[bytes]
) -> None:
    """The caller coughs into the answer, then interrupts it: a tool answers, and what was heard of the old answer is remembered."""
    await _until(inbox, frames.TTSStartedFrame)
    before_ms = output.heard_ms
    await soon(lambda: output.heard_ms - before_ms > 1_000, "a second of the answer")
    interruptions = _count(inbox, frames.InterruptionFrame)
    microphone.say(lines[1][: FRAME_BYTES * 4])
    await soon(lambda: output.heard_ms - before_ms > 3_000, "two more seconds")
    check("a sound of 80 ms interrupts nothing", _count(inbox, frames.InterruptionFrame) == interruptions, interruptions)
    microphone.say(lines[1])
    await inbox.until(lambda frame: isinstance(frame, frames.InterruptionFrame), "interruption")
    heard_ms = output.heard_ms - before_ms
    await soon(lambda: "conversation.item.truncated" in wire.latest, "the truncation")
    off_ms = abs(wire.latest["conversation.item.truncated"]["audio_end_ms"] - heard_ms)
    check("the server remembers what was heard, within 40 ms", off_ms <= 40, off_ms)
    await _until(inbox, frames.FunctionCallResultFrame)
    check("the function ran once", len(JOBS) == 1, JOBS)
    await inbox.until(lambda frame: isinstance(frame, frames.TTSTextFrame) and "pounds" in frame.text, "price in the answer")
    said = _said(context)
    check("the context has what was heard of the old answer, and no more", "We are open" in said and "holidays" not in said, said)
    check("the context has both questions", "opening hours" in said.lower() and "how much" in said.lower(), said)
    await _until(inbox, frames.LLMFullResponseEndFrame)
    microphone.say(lines[2])


async def _until(inbox: Inbox, kind: type) -> Any:
    return await inbox.until(lambda frame: isinstance(frame, kind), kind.__name__)


def _count(inbox: Inbox, kind: type) -> int:
    return sum(isinstance(frame, kind) for frame in inbox.all)


def _said(context: LLMContext) -> str:
    return str(context.get_messages())


if __name__ == "__main__":
    oracle(hold, urls=1)
