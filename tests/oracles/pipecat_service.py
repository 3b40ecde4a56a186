"""`pipecat-ai` holds a call: OpenAIRealtimeLLMService in a pipeline between its context aggregators, with no transport.

The caller's frames are queued into the pipeline, and a processor at its end keeps what comes out. The service's own models parse
every event and it takes any error for fatal; we judge the same texts by `wire` besides.
"""

# /// script
# requires-python = ">=3.11"
# dependencies = ["pipecat-ai[openai]==1.14.0"]
# [tool.uv]
# exclude-newer = "2026-11-21T00:00:00Z"
# [tool.callfsm]
# stand-ins = ["realtime"]
# says = ["What are your opening hours?", "Sorry, how much is a puncture repair?"]
# ///

import asyncio
from itertools import takewhile
from typing import Any

from kit import RATE_HZ, STEP_S, Checks, Inbox, Microphone, loudness, ms_of, oracle
from loguru import logger
from pipecat.frames import frames
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.aggregators.llm_response_universal import LLMContextAggregatorPair
from pipecat.processors.frame_processor import FrameProcessor
from pipecat.services.llm_service import FunctionCallParams
from pipecat.services.openai.realtime import events
from pipecat.services.openai.realtime.llm import OpenAIRealtimeLLMService
from pipecat.workers.runner import WorkerRunner
from wire import Wire

JOBS: list[str] = []
PARSE = events.parse_server_event


async def repair_price(params: FunctionCallParams, job: str) -> None:
    """Get the price of a repair.

    Args:
        job: The job, in a word.
    """
    JOBS.append(job)
    await params.result_callback("twelve pounds")


class Keeper(FrameProcessor):
    """Keeps what flows by, in both directions, and lets it pass."""

    def __init__(self, inbox: Inbox) -> None:
        super().__init__()
        self._inbox = inbox

    async def process_frame(self, frame: Any, direction: Any) -> None:
        """Keep it unless it is the caller's own sound."""
        await super().process_frame(frame, direction)
        if not isinstance(frame, frames.InputAudioRawFrame):
            self._inbox.put(frame)
        await self.push_frame(frame, direction)


class _Call:
    """The pipeline, what came out of it, and what the server sent into it."""

    def __init__(self, url: str, modality: str, *messages: dict[str, str]) -> None:
        self.inbox, self.upstream, self.wire = Inbox(), Inbox(), Wire()
        hearing = events.AudioInput(transcription=events.InputAudioTranscription(), turn_detection=events.TurnDetection())
        properties = events.SessionProperties(audio=events.AudioConfiguration(input=hearing), output_modalities=[modality])
        settings = OpenAIRealtimeLLMService.Settings(system_instruction="You work in a bicycle shop.", session_properties=properties)
        self.service = OpenAIRealtimeLLMService(api_key="none", base_url=url, settings=settings)
        self.context = LLMContext(list(messages), [repair_price])
        user, assistant = LLMContextAggregatorPair(self.context)
        stages = [user, Keeper(self.upstream), self.service, Keeper(self.inbox), assistant]
        parameters = PipelineParams(audio_in_sample_rate=RATE_HZ, audio_out_sample_rate=RATE_HZ)
        self.worker = PipelineWorker(Pipeline(stages), params=parameters, cancel_on_idle_timeout=False)

    async def push(self, frame: bytes) -> None:
        """The caller's next 20 ms."""
        await self.worker.queue_frame(frames.InputAudioRawFrame(audio=frame, sample_rate=RATE_HZ, num_channels=1))

    async def begin(self) -> "asyncio.Task[None]":
        """Run the pipeline, and the model on its context."""
        _listen_in(self.wire)
        runner = WorkerRunner(handle_sigint=False)
        await runner.add_workers(self.worker)
        running = asyncio.create_task(runner.run())
        await self.worker.queue_frame(frames.LLMRunFrame())
        return running

    async def until(self, kind: type) -> Any:
        """The next frame of this kind that comes out of the service."""
        return await self.inbox.until(lambda frame: isinstance(frame, kind), kind.__name__)

    def spoken(self) -> list[bytes]:
        """All sound of the agent so far."""
        return [frame.audio for frame in self.inbox.all if isinstance(frame, frames.TTSAudioRawFrame)]


async def hold(check: Checks, urls: list[str], lines: list[bytes]) -> None:
    """Hold the call."""
    complaints: list[str] = []
    logger.remove()
    logger.add(complaints.append, level="WARNING", format="{level}: {name}: {message}")
    await _in_text(check, _Call(urls[0], "text", {"role": "user", "content": "When are you open?"}))
    call = _Call(urls[0], "audio")
    running = await call.begin()
    await _greeted(check, call)
    async with Microphone(call.push) as microphone:
        microphone.say(lines[0])
        await _answered(check, call)
        microphone.say(lines[1])
        await _interrupted(check, call)
        await _answered_with_a_tool(check, call)
    await _retrieved(check, call)
    await call.worker.queue_frame(frames.EndFrame())
    await asyncio.wait_for(running, STEP_S)
    told = [frame.error for frame in call.inbox.all + call.upstream.all if isinstance(frame, frames.ErrorFrame)]
    check("the service told of no error", not told, told)
    call.wire.tell(check)
    check("the package logged no complaint", not complaints, complaints)


def _listen_in(wire: Wire) -> None:
    """Judge each text that the service parses from now on; it parses it all the same."""

    def judged(text: str) -> Any:
        wire.judge(text)
        return PARSE(text)

    events.parse_server_event = judged


async def _in_text(check: Checks, call: _Call) -> None:
    """A pipeline of its own, in text, whose context begins with a question."""
    running = await call.begin()
    await call.until(frames.LLMFullResponseStartFrame)
    await call.inbox.until(lambda frame: isinstance(frame, frames.LLMTextFrame), "text")
    await call.until(frames.LLMFullResponseEndFrame)
    await call.worker.queue_frame(frames.EndFrame())
    await asyncio.wait_for(running, STEP_S)
    text = "".join(frame.text for frame in call.inbox.all if isinstance(frame, frames.LLMTextFrame))
    check("a session in text is answered in text alone", text.startswith("We are open") and not call.spoken(), text)
    call.wire.tell(check)


async def _greeted(check: Checks, call: _Call) -> None:
    """The first run of the context is answered in sound, with its words."""
    await call.until(frames.LLMFullResponseStartFrame)
    await call.until(frames.TTSStartedFrame)
    await call.until(frames.TTSStoppedFrame)
    words = "".join(frame.text for frame in call.inbox.all if isinstance(frame, frames.TTSTextFrame))
    sound = b"".join(call.spoken())
    check("the greeting is heard: seconds of real sound", ms_of([sound]) > 2_000 and loudness(sound) > 30, ms_of([sound]))
    check("its words come with it", "Bluebird Cycles" in words, words)


async def _answered(check: Checks, call: _Call) -> None:
    """The caller asks, and hears the answer."""
    await call.upstream.until(lambda frame: isinstance(frame, frames.UserStoppedSpeakingFrame), "end of the caller's turn")
    await call.inbox.until(lambda frame: isinstance(frame, frames.TTSTextFrame) and "Monday" in frame.text, "opening hours in the answer")
    await call.until(frames.TTSAudioRawFrame)
    heard = await call.upstream.some(lambda frame: isinstance(frame, frames.TranscriptionFrame), "transcript of the question")
    check("the caller's words come, plausibly", "opening hours" in heard.text.lower(), heard.text)


async def _interrupted(check: Checks, call: _Call) -> None:
    """The caller speaks into the answer: the pipeline is interrupted, the item truncated, and nothing old is heard."""
    interruption = await call.until(frames.InterruptionFrame)
    await call.upstream.until(lambda frame: isinstance(frame, frames.UserStoppedSpeakingFrame), "end of the caller's turn")
    after = call.inbox.all[call.inbox.all.index(interruption) :]
    until_answered = takewhile(lambda frame: not isinstance(frame, frames.FunctionCallInProgressFrame), after)
    old = [frame.audio for frame in until_answered if isinstance(frame, frames.TTSAudioRawFrame)]
    check("no old sound came between the interruption and the next answer", not old, f"{ms_of(old)} ms")
    cut, truncated = [end for end in call.wire.ends if end["status"] == "cancelled"], call.wire.latest["conversation.item.truncated"]
    check("one response was cancelled, for the turn detected", [end["status_details"]["reason"] for end in cut] == ["turn_detected"], cut)
    check("its item was truncated", truncated["item_id"] == cut[0]["output"][0]["id"], truncated)


async def _answered_with_a_tool(check: Checks, call: _Call) -> None:
    """The interrupting question needs the function: it is run, and the answer uses what it gave."""
    await call.until(frames.FunctionCallInProgressFrame)
    result = await call.until(frames.FunctionCallResultFrame)
    check("the tool is called with arguments that it accepts", len(JOBS) == 1 and result.function_name == "repair_price", JOBS)
    await call.inbox.until(lambda frame: isinstance(frame, frames.TTSTextFrame) and "pounds" in frame.text, "price in the answer")
    await call.until(frames.LLMFullResponseEndFrame)
    check("the answer uses its result", True)
    said = str(call.context.get_messages()).lower()
    check("the context has both questions", "how much" in said and "opening hours" in said, said[-600:])


async def _retrieved(check: Checks, call: _Call) -> None:
    """The service retrieves an item by its id."""
    kept: list[Any] = [frame.result.item_id for frame in call.upstream.all if isinstance(frame, frames.TranscriptionFrame)]
    item = await asyncio.wait_for(call.service.retrieve_conversation_item(kept[0]), 10)
    check("an item is retrieved with the caller's words", "opening hours" in item.content[0].transcript.lower(), item.content[0].transcript)


if __name__ == "__main__":
    oracle(hold, urls=1)
