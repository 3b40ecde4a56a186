"""callfsm inside LiveKit Agents: a `RealtimeModel`, so that `AgentSession`, agents, tools, rooms and outputs stay theirs.

    session = AgentSession(llm=CallfsmModel(api_key=…))
    await session.start(Agent(instructions="You take bookings."), room=ctx.room)

`input_speech_started` comes once the core has decided that the caller takes the floor, so that an interruption which it refuses reaches
nobody. Sound and words of a generation flow as they are to be heard. Of the package, public names alone are used.
"""

import asyncio
import time
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import attrs

from adapters.hosts.frameworks.guard import POLICY, CallFailed, Floor, Guard, is_generated
from adapters.hosts.frameworks.livekit_context import LONGEST_ID, Conversation, wire_item
from adapters.hosts.frameworks.words import Words
from adapters.realtime.messages import Told
from adapters.realtime.settings import RealtimeSettings
from adapters.seam.bounded import Bounded
from adapters.seam.frames import Run
from adapters.telling.steps import DUE_ENDS
from fsm.call import effects as fx, events as ev
from fsm.call.policy import Policy
from fsm.call.snapshot import Call
from fsm.engine.machine import Step

try:
    from livekit import rtc
    from livekit.agents import llm, utils
except ImportError as lack:
    raise ImportError(f"{lack.name or lack} is not installed: pip install 'callfsm[livekit]'") from None

URL = "wss://api.openai.com/v1/realtime"
RATE_HZ = 24_000


class CallfsmModel(llm.RealtimeModel):  # type: ignore[misc]
    """A realtime model whose sessions are calls: interruptions, cancels, truncations, recoveries and the end are the core's."""

    def __init__(
        self,
        *,
        api_key: str | None,
        base_url: str = URL,
        policy: Policy = POLICY,
        settings: RealtimeSettings | None = None,
        out: Path | str | None = None,
        ended: Callable[[fx.TellEnded], None] | None = None,
        overheard: Callable[[Mapping[str, Any]], None] | None = None,
    ) -> None:
        """`settings` are those of the model: its name, voice, VAD; `out` is a folder for what `callfsm call` leaves.

        `ended` is told when the call is over by the core's decision, after a goodbye that was heard above all; `overheard` is given each
        message of the server's.
        """
        may = dict.fromkeys(("mutable_chat_context", "mutable_instructions", "mutable_tools", "audio_output", "user_transcription"), True)
        super().__init__(
            # What of an interrupted item was heard, and that a tool's answer is answered, is the core's to say.
            capabilities=llm.RealtimeCapabilities(
                message_truncation=False, turn_detection=True, auto_tool_reply_generation=True, manual_function_calls=False, **may
            )
        )
        self.settings = settings or RealtimeSettings(instructions="")
        self.place: dict[str, Any] = {"url": base_url, "key": api_key, "policy": policy, "out": Path(out) if out else None}
        self.told_end, self.overheard = ended, overheard

    @property
    def model(self) -> str:
        """The model's name."""
        return self.settings.model

    @property
    def provider(self) -> str:
        """Who carries the call."""
        return "callfsm"

    def session(self, *, turn_detection_disabled: bool = False) -> "CallfsmSession":
        """A session, which is one call."""
        return CallfsmSession(self)

    async def aclose(self) -> None:
        """Nothing is left open but its sessions."""


class _Generation:
    """A response as the package has it: its messages, their sound and words, and its function calls."""

    def __init__(self) -> None:
        self.messages: Any = utils.aio.Chan()
        self.functions: Any = utils.aio.Chan()
        self.offered_to = 0
        """Which of the agents was told of it last."""
        self.over = self.ended = False
        """Is nothing more of it heard; has the model made all of it?"""
        self.open: dict[str, tuple[Any, Any]] = {}
        """The message that is heard now, with its words and its sound."""

    def message(self, item_id: str) -> tuple[Any, Any]:
        """The channels of words and sound of a message; those of the one before are complete."""
        if item_id not in self.open:
            self._close_message()
            words, sound = utils.aio.Chan(), utils.aio.Chan()
            self.open = {item_id: (words, sound)}
            modalities: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
            modalities.set_result(["audio", "text"])
            self.messages.send_nowait(
                llm.MessageGeneration(message_id=item_id, text_stream=words, audio_stream=sound, modalities=modalities)
            )
        return self.open[item_id]

    def told(self, response_id: str, *, asked: bool) -> Any:
        """The event that tells of it; `asked`: did the framework ask for it?"""
        return llm.GenerationCreatedEvent(
            message_stream=self.messages, function_stream=self.functions, user_initiated=asked, response_id=response_id
        )

    def close(self) -> None:
        """Nothing more is heard of it."""
        if not self.over:
            self.over = True
            self._close_message()
            self.messages.close()

    def _close_message(self) -> None:
        for channels in self.open.values():
            for channel in channels:
                channel.close()


class CallfsmSession(llm.RealtimeSession):  # type: ignore[misc]
    """One call; what happens is emitted in the package's events, one after another."""

    def __init__(self, model: CallfsmModel) -> None:
        super().__init__(model)
        self._model = model
        self._settings = model.settings
        self._conversation, self._tools = Conversation(), llm.ToolContext.empty()
        self._loop = asyncio.get_running_loop()
        self._resampler: Any = None
        self._closing = False
        self._floor, self._words = Floor(), Words()
        self._generations: Bounded[str, _Generation] = Bounded()
        self._calls: Bounded[str, str] = Bounded()
        self._untold: set[str] = set()
        """Calls of functions whose answers no response has told yet,"""
        self._answered: set[str] = set()
        """and of them those that were answered since the last response began."""
        self._replies: list[asyncio.Future[Any]] = []
        self._agents = 0
        """How many agents have come,"""
        self._deserted = False
        """and has the last of them left, and no other come?"""
        self.guard = Guard(self, settings=self._settings, **model.place)
        self._holding = asyncio.create_task(self.guard.hold())

    # What the framework asks for.

    def on(self, event: Any, callback: Any = None) -> Any:
        """An agent takes over: what began since the one before was leaving, and nobody took, is told again.

        The package drops a generation that begins while agents change ("skipping new realtime generation").
        """
        listening = super().on(event, callback)
        if event == "generation_created":
            self._deserted = False
            self._agents += 1
            self._loop.call_soon(self._offer_again)
        return listening

    def off(self, event: Any, callback: Any) -> None:
        """An agent leaves."""
        super().off(event, callback)
        self._deserted |= event == "generation_created"

    @property
    def chat_ctx(self) -> Any:
        """The conversation, as the server has it."""
        return self._conversation.context

    @property
    def tools(self) -> Any:
        """The functions that the model may call."""
        return self._tools.copy()

    async def update_instructions(self, instructions: str) -> None:
        """Be somebody else from now on."""
        self._become(instructions=instructions)

    async def update_tools(self, tools: list[Any]) -> None:
        """Have other functions from now on."""
        self._tools = llm.ToolContext(tools)
        told = self._tools.parse_function_tools("openai", strict=False)
        self._become(tools=tuple({"type": "function", **tool["function"]} for tool in told))

    async def update_chat_ctx(self, chat_ctx: Any) -> None:
        """Have the server remember this: what it lacks is added at the end, and what is gone from it is deleted.

        What of an answer was not heard, the core has the model forget. A message that is heard now, and a function's answer that is to be
        told, as at a handover to an agent who begins with nothing, are never deleted.
        """
        heard = {item_id for one in self._generations.values() for item_id in one.open}
        for item in self._conversation.without(chat_ctx.items):
            if item.id not in heard and getattr(item, "call_id", "") not in self._untold:
                self._conversation.drop(item.id)
                self.guard.llm.do(fx.DeleteItem(item.id[:LONGEST_ID]))
        for item in chat_ctx.items:
            if self._conversation.has(item) or (told := wire_item(item)) is None:
                continue
            if item.type == "function_call_output" and item.call_id in self._calls:
                self._answered.add(item.call_id)
                self.guard.finish_tool(item.call_id, item.output)
            else:
                self.guard.write(item.id[:LONGEST_ID], told, answered=False)
                self._conversation.wrote(item)

    def update_options(self, **_: Any) -> None:
        """Nothing of it changes in a call."""

    def push_audio(self, frame: Any) -> None:
        """Sound of the caller."""
        if frame.sample_rate == RATE_HZ and frame.num_channels == 1:
            self.guard.hear(bytes(frame.data))
            return
        if self._resampler is None:
            self._resampler = rtc.AudioResampler(frame.sample_rate, RATE_HZ, num_channels=frame.num_channels)
        for heard in self._resampler.push(frame):
            self.guard.hear(bytes(heard.data[:: frame.num_channels]))

    def push_video(self, frame: Any) -> None:
        """A call has no picture."""

    def generate_reply(self, *, instructions: Any = "", **_: Any) -> "asyncio.Future[Any]":
        """Have a response asked for, as soon as that may be; its wish is part of the conversation."""
        reply: asyncio.Future[Any] = self._loop.create_future()
        self._replies.append(reply)
        if isinstance(instructions, str) and instructions:
            content = [{"type": "input_text", "text": instructions}]
            self._conversation.hide(wish := f"item_{uuid.uuid4().hex[:24]}")
            self.guard.write(wish, {"type": "message", "role": "system", "content": content})
        else:
            self.guard.tell(ev.TurnCommitted, f"reply_{uuid.uuid4().hex[:24]}")
        return reply

    def commit_audio(self) -> None:
        """The server's VAD commits."""

    def clear_audio(self) -> None:
        """What the caller says is never thrown away."""

    def interrupt(self) -> None:
        """Stop what is said, unless the core has stopped it already; between two agents it is for the one who comes."""
        if not self._deserted and any(not one.over for one in self._generations.values()):
            self.guard.interrupt()

    def truncate(self, **_: Any) -> None:
        """The core does."""

    async def aclose(self) -> None:
        """The caller has gone, and the call is over."""
        self._closing = True
        self.guard.leave("the session was closed")
        await asyncio.wait([self._holding])

    def _become(self, **changes: Any) -> None:
        self._settings = attrs.evolve(self._settings, **changes)
        self.guard.llm.become(self._settings)

    # What the guard tells.

    def sound(self, run: Run) -> None:
        """See Sink."""
        generation = self._generations.get(run.response_id)
        if generation is not None and not generation.over:
            words, sound = generation.message(run.part[0])
            sound.send_nowait(rtc.AudioFrame(bytes(run.pcm), RATE_HZ, 1, len(run.pcm) // 2))
            if said := self._words.went(run):
                self._conversation.said(run.part[0], said)
                words.send_nowait(said)

    def hush(self) -> None:
        """See Sink: nothing is given ahead."""

    def happened(self, event: ev.Event, answer: Step[Call]) -> None:
        """See Inside."""
        if self._floor.gave(event):
            self._tell("input_speech_stopped", llm.InputSpeechStoppedEvent(user_transcription_enabled=True))
        match event:
            case ev.ResponseCreated(response_id=response_id) if response_id not in self._generations:
                self._begin(response_id)
            case ev.ItemAdded(response_id=response_id, item_id=item_id) if response_id in self._generations:
                if not self._generations[response_id].over:
                    self._generations[response_id].message(item_id)
            case ev.ToolCalled(tool_call_id=call_id, response_id=response_id):
                self._calls[call_id] = response_id
            case ev.Transcribed(item_id=item_id, text=text):
                self._conversation.said(item_id, text)
                said = llm.InputTranscriptionCompleted(item_id=item_id, transcript=text, is_final=True)
                self._tell("input_audio_transcription_completed", said)
            case _:
                pass
        for effect in answer.effects:
            match effect:
                case fx.RunTool(call_id, name, arguments):
                    if (generation := self._generations.get(self._calls.get(call_id, ""))) is not None:
                        self._untold.add(call_id)
                        known = self._conversation.call(call_id)
                        of = {} if known is None else {"id": known.id}
                        generation.functions.send_nowait(llm.FunctionCall(call_id=call_id, name=name, arguments=arguments, **of))
                case fx.Retire(response_id) | fx.Flush(response_id) if response_id in self._generations:
                    self._close(response_id, heard=isinstance(effect, fx.Retire))
                case _:
                    pass
        self._settle(answer)
        if self._floor.took(self.guard.before, event, answer):
            self._tell("input_speech_started", llm.InputSpeechStartedEvent())

    def overheard(self, told: Told) -> None:
        """See Inside: what is shown of the conversation, and decides nothing."""
        if self._model.overheard is not None:
            self._model.overheard(told.message)
        self._words.overhear(told)
        if (added := self._conversation.overhear(told)) is not None:
            self._tell("remote_item_added", added)

    def ended(self, ended: fx.TellEnded) -> None:
        """See Inside: a failure is an error from which there is no recovery; any end is told to who wants to know."""
        for response_id, generation in self._generations.items():
            self._close(response_id, heard=False)
            generation.functions.close()
        for reply in self._replies:
            if not reply.done():
                reply.set_exception(llm.RealtimeError(str(CallFailed(ended))))
        if self._closing:
            return
        if ended.reason not in DUE_ENDS:
            of = {"timestamp": time.time(), "label": self._model.label, "recoverable": False}
            self._tell("error", llm.RealtimeModelError(error=CallFailed(ended), **of))
        if self._model.told_end is not None:
            self._loop.call_soon(self._model.told_end, ended)

    def _begin(self, response_id: str) -> None:
        generation = self._generations[response_id] = _Generation()
        self._untold -= self._answered
        self._answered.clear()
        # Whoever does not wait any more takes no answer from the caller.
        self._replies = [one for one in self._replies if not one.done()]
        reply = self._replies.pop(0) if self._replies else None
        created = generation.told(response_id, asked=reply is not None)
        self._loop.call_soon(self._offer, generation, created)
        if reply is not None:
            reply.set_result(created)

    def _offer(self, generation: _Generation, created: Any) -> None:
        generation.offered_to = self._agents
        self.emit("generation_created", created)

    def _offer_again(self) -> None:
        for response_id, one in self._generations.items():
            if not one.over and one.offered_to != self._agents and (not one.open or not one.messages.empty()):
                self._offer(one, one.told(response_id, asked=False))

    def _close(self, response_id: str, *, heard: bool) -> None:
        generation = self._generations[response_id]
        if heard and not generation.over and (rest := self._words.rest(response_id)):
            for item_id, (words, _) in list(generation.open.items()):
                self._conversation.said(item_id, rest)
                words.send_nowait(rest)
        generation.close()

    def _settle(self, answer: Step[Call]) -> None:
        """A response that is over calls nothing more, unless a call of it waits for the decision of an interruption."""
        for response_id, one in self._generations.items():
            if not one.ended and not is_generated(answer.snapshot, response_id):
                one.ended = True
                if not one.open:
                    one.close()
            if one.ended and not any(call.response_id == response_id for call in answer.snapshot.tool.waiting):
                one.functions.close()

    def _tell(self, name: str, event: Any) -> None:
        self._loop.call_soon(self.emit, name, event)
