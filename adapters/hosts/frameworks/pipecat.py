"""callfsm inside Pipecat: a realtime LLM service, so that pipelines, transports, aggregators, functions and observers stay theirs.

    llm = CallfsmLLMService(api_key=…, system_instruction="You take bookings.")
    pipeline = Pipeline([transport.input(), user_aggregator, llm, transport.output(), assistant_aggregator])

A turn of the caller's is proposed to the pipeline's turn strategies once the core has decided that it is one, so that an interruption which
the core refuses reaches nobody. Sound and words leave as they are to be heard. Of the package, public names alone are used.
"""

import asyncio
import json
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import attrs

from adapters.hosts.frameworks.guard import POLICY, CallFailed, Floor, Guard, is_generated
from adapters.hosts.frameworks.words import Words
from adapters.realtime.messages import Told
from adapters.realtime.settings import RealtimeSettings
from adapters.seam.frames import Run
from adapters.telling.steps import DUE_ENDS
from fsm.call import effects as fx, events as ev
from fsm.call.policy import Policy
from fsm.call.snapshot import Call
from fsm.engine.machine import Step

try:
    from pipecat.adapters.llm.services.open_ai_realtime_adapter import OpenAIRealtimeLLMAdapter
    from pipecat.audio.utils import create_stream_resampler
    from pipecat.frames import frames
    from pipecat.processors.frame_processor import FrameDirection
    from pipecat.services.llm_service import FunctionCallFromLLM, LLMService
    from pipecat.services.settings import LLMSettings
    from pipecat.turns.user_turn_strategies import ExternalUserTurnStrategies
    from pipecat.utils.text.base_text_aggregator import TextType
    from pipecat.utils.time import time_now_iso8601
except ImportError as lack:
    raise ImportError(f"{lack.name or lack} is not installed: pip install 'callfsm[pipecat]'") from None

URL = "wss://api.openai.com/v1/realtime"
RATE_HZ = 24_000
UPSTREAM = FrameDirection.UPSTREAM


class CallfsmLLMService(LLMService):  # type: ignore[misc]
    """A realtime LLM of one call, whose interruptions, cancels, truncations, recoveries and end the core decides."""

    adapter_class = OpenAIRealtimeLLMAdapter

    def __init__(
        self,
        *,
        api_key: str | None,
        base_url: str = URL,
        model: str = "gpt-realtime",
        system_instruction: str | None = None,
        policy: Policy = POLICY,
        settings: RealtimeSettings | None = None,
        out: Path | str | None = None,
        overheard: Callable[[Mapping[str, Any]], None] | None = None,
        **kwargs: Any,
    ) -> None:
        """`settings` are those of the model beside these; `out` is a folder for what `callfsm call` leaves.

        `overheard` is given each message of the server's.
        """
        unused = dict.fromkeys(("temperature", "max_tokens", "top_p", "top_k", "frequency_penalty", "presence_penalty", "seed"))
        given = {"filter_incomplete_user_turns": False, "user_turn_completion_config": None}
        super().__init__(settings=LLMSettings(model=model, system_instruction=system_instruction, **unused, **given), **kwargs)
        self._wanted = attrs.evolve(settings or RealtimeSettings(), model=model, instructions=system_instruction or "")
        self._inside = _Inside(self, overheard)
        self._place: dict[str, Any] = {"url": base_url, "key": api_key, "policy": policy, "out": Path(out) if out else None}
        self._greets = policy.greeting
        self._context: Any = None
        self._resampler = create_stream_resampler()
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def call(self) -> Call | None:
        """What is known of the call."""
        return self._inside.guard.call if self._inside.guard is not None else None

    def hang_up(self, reason: str = "application") -> None:
        """End the call politely: what is being said is heard first, then the pipeline ends."""
        self._inside.ask(lambda guard: guard.hang_up(reason))

    def service_metadata_frame(self) -> Any:
        """Say that turns are proposed by this service."""
        strategies = ExternalUserTurnStrategies()
        return frames.LLMServiceMetadataFrame(service_name=self.name, is_realtime_service=True, user_turn_strategies=strategies)

    async def start(self, frame: Any) -> None:
        """Begin the call, unless the agent opens it: then it begins with the first context."""
        await super().start(frame)
        self._tasks.append(self.create_task(self._inside.deliver()))
        if not self._greets:
            self._begin()

    async def stop(self, frame: Any) -> None:
        """The pipeline ends: the caller has gone."""
        await super().stop(frame)
        await self._leave()

    async def cancel(self, frame: Any) -> None:
        """The same, at once."""
        await super().cancel(frame)
        await self._leave()

    async def process_frame(self, frame: Any, direction: Any) -> None:
        """Take what the pipeline says to the model."""
        await super().process_frame(frame, direction)
        match frame:
            case frames.InputAudioRawFrame(audio=audio, sample_rate=rate):
                sound = audio if rate == RATE_HZ else await self._resampler.resample(audio, rate, RATE_HZ)
                self._inside.ask(lambda guard: guard.hear(sound))
            case frames.LLMContextFrame(context=context):
                await self._know(context)
            case frames.LLMMessagesAppendFrame(messages=messages, run_llm=run):
                self._inside.write([one for one in messages if isinstance(one, dict)], answered=bool(run))
            case frames.LLMSetToolsFrame():
                await self._know(self._context)
            case frames.InterruptionFrame():
                # Of what the core has stopped there is nothing left to stop: this is somebody else's wish.
                self._inside.ask(lambda guard: guard.interrupt())
            case _:
                pass
        await self.push_frame(frame, direction)

    async def push_frame(self, frame: Any, direction: Any = FrameDirection.DOWNSTREAM) -> None:
        """Push a frame; what a function gave is told to the core on its way."""
        if direction is FrameDirection.DOWNSTREAM:
            match frame:
                case frames.FunctionCallResultFrame(tool_call_id=call_id, result=result, properties=properties):
                    if properties is None or getattr(properties, "is_final", True):
                        output = json.dumps(result, ensure_ascii=False) if result else "COMPLETED"
                        self._inside.ask(lambda guard: guard.finish_tool(call_id, output))
                case frames.FunctionCallCancelFrame(tool_call_id=call_id):
                    self._inside.ask(lambda guard: guard.finish_tool(call_id, "CANCELLED"))
                case _:
                    pass
        await super().push_frame(frame, direction)

    async def run_tool(self, effect: fx.RunTool) -> None:
        """Run a function that the model calls, as any service does."""
        try:
            arguments = json.loads(effect.arguments or "{}")
        except ValueError:
            self._inside.ask(lambda guard: guard.finish_tool(effect.tool_call_id, "the arguments are not JSON"))
            return
        of = {"context": self._context, "tool_call_id": effect.tool_call_id, "function_name": effect.name}
        await self.run_function_calls([FunctionCallFromLLM(arguments=arguments, **of)])

    def _begin(self) -> None:
        self._inside.guard = Guard(self._inside, settings=self._wanted, **self._place)
        self._tasks.append(self.create_task(self._inside.guard.hold()))

    async def _leave(self) -> None:
        self._inside.leaving = True
        tasks, self._tasks = self._tasks, []
        self._inside.ask(lambda guard: guard.leave("the pipeline ended"))
        if len(tasks) > 1:
            await asyncio.wait(tasks[1:])
        for task in tasks[:1]:
            await self.cancel_task(task)

    async def _know(self, context: Any) -> None:
        """Be who the context says, with its tools; the first one brings the conversation so far."""
        first, self._context = self._context is None, context
        if context is None:
            return
        asked = await self.get_llm_adapter().get_llm_invocation_params(context, system_instruction=self._wanted.instructions or None)
        tools = tuple(tool if isinstance(tool, dict) else tool.model_dump(exclude_none=True) for tool in asked["tools"])
        wanted = attrs.evolve(self._wanted, instructions=asked["system_instruction"] or "", tools=tools)
        changed, self._wanted = wanted != self._wanted, wanted
        if self._inside.guard is None:
            self._begin()
        elif changed:
            self._inside.guard.llm.become(wanted)
        if first:
            items = [item.model_dump(exclude_none=True) for item in asked["messages"]]
            self._inside.write(items, answered=True)
            if not items and not self._greets:
                self._inside.ask(lambda guard: guard.tell(ev.TurnCommitted, "run"))


class _Inside:
    """One call: what happens, in the pipeline's frames, one after another."""

    def __init__(self, service: CallfsmLLMService, overheard: Callable[[Mapping[str, Any]], None] | None) -> None:
        self.guard: Guard | None = None
        self.leaving = False
        self._service, self._overheard = service, overheard
        self._out: asyncio.Queue[Any] = asyncio.Queue()
        self._floor = Floor()
        self._open = self._speaking = ""
        self._words = Words()

    def ask(self, wish: Callable[[Guard], None]) -> None:
        """Ask something of the call, if there is one."""
        if self.guard is not None:
            wish(self.guard)

    def write(self, messages: list[Any], *, answered: bool) -> None:
        """Add messages to the conversation; the last is answered."""
        for number, message in enumerate(messages, 1):
            content, role = message.get("content") or "", message.get("role") or "user"
            if isinstance(content, str):
                content = [{"type": "output_text" if role == "assistant" else "input_text", "text": content}]
            item = {"type": "message", "role": "system" if role == "developer" else role, "content": content}
            if self.guard is not None:
                self.guard.write(f"item_{uuid.uuid4().hex[:24]}", item, answered=answered and number == len(messages))

    async def deliver(self) -> None:
        """Push the frames, each way."""
        while True:
            push = await self._out.get()
            try:
                await push()
            # A function's or an observer's own code: it is told as the service's error, and the call goes on.
            except Exception as bug:
                await self._service.push_error(f"{type(bug).__name__}: {bug}", exception=bug)

    # What the guard tells.

    def sound(self, run: Run) -> None:
        """See Sink."""
        if self._speaking != run.response_id:
            self._stop()
            self._begin(run.response_id)
            self._speaking = run.response_id
            self._push(frames.TTSStartedFrame())
        self._push(frames.TTSAudioRawFrame(audio=bytes(run.pcm), sample_rate=RATE_HZ, num_channels=1))
        self._say(self._words.went(run))

    def hush(self) -> None:
        """See Sink: nothing is given ahead."""

    def happened(self, event: ev.Event, answer: Step[Call]) -> None:
        """See Inside."""
        assert self.guard is not None
        if self._floor.gave(event):
            self._broadcast(frames.ProposedUserStoppedSpeakingFrame)
        match event:
            case ev.Transcribed(text=text) if text:
                self._push(frames.TranscriptionFrame(text, "", time_now_iso8601(), finalized=True), UPSTREAM)
            case ev.ResponseCreated(response_id=response_id) if not self._open:
                self._begin(response_id)
            case ev.ErrorReceived(code=code, message=message):
                self._out.put_nowait(lambda: self._service.push_error(f"{code}: {message}"))
            case _:
                pass
        if self._open != self._speaking and not is_generated(answer.snapshot, self._open):
            self._end()
        if self._floor.took(self.guard.before, event, answer):
            self._broadcast(frames.ProposedUserStartedSpeakingFrame)
        for effect in answer.effects:
            match effect:
                case fx.Flush(response_id):
                    self._stop(response_id)
                case fx.Retire(response_id):
                    self._say(self._words.rest(response_id))
                    self._stop(response_id)
                case fx.RunTool():
                    self._out.put_nowait(lambda effect=effect: self._service.run_tool(effect))
                case _:
                    pass

    def overheard(self, told: Told) -> None:
        """See Inside: what is shown of the conversation, and decides nothing."""
        if self._overheard is not None:
            self._overheard(told.message)
        if delta := self._words.overhear(told):
            text = frames.LLMTextFrame(delta)
            text.append_to_context = False
            self._push(text)

    def ended(self, ended: fx.TellEnded) -> None:
        """See Inside: the pipeline ends, once what was said has left; a failure is told before."""
        if self.leaving:
            return
        if ended.reason not in DUE_ENDS:
            failed = CallFailed(ended)
            self._out.put_nowait(lambda: self._service.push_error(str(failed), exception=failed))
        self._push(frames.EndWorkerFrame(reason=ended.reason.value))

    def _say(self, words: str) -> None:
        """Give on words as they are heard: what is said in the pipeline is what its context remembers."""
        if words:
            frame = frames.TTSTextFrame(words, text_type=TextType.WORD)
            frame.includes_inter_frame_spaces = True
            self._push(frame)

    def _begin(self, response_id: str) -> None:
        if self._open != response_id:
            self._end()
            self._open = response_id
            self._push(frames.LLMFullResponseStartFrame())

    def _end(self) -> None:
        if self._open:
            self._open = ""
            self._push(frames.LLMFullResponseEndFrame())

    def _stop(self, response_id: str = "") -> None:
        """The voice is over."""
        if self._speaking and response_id in ("", self._speaking):
            self._speaking = ""
            self._push(frames.TTSStoppedFrame())
            self._end()

    def _push(self, frame: Any, direction: Any = FrameDirection.DOWNSTREAM) -> None:
        self._out.put_nowait(lambda: self._service.push_frame(frame, direction))

    def _broadcast(self, kind: Any) -> None:
        self._out.put_nowait(lambda: self._service.broadcast_frame(kind))
