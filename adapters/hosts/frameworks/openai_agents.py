"""callfsm inside openai-agents: a `RealtimeModel`, so that `RealtimeSession`, agents, handoffs, tools and guardrails stay theirs.

    tracker = RealtimePlaybackTracker()                      # your player tells it what was played
    runner = RealtimeRunner(agent, model=CallfsmModel())
    async with await runner.run(model_config={"playback_tracker": tracker}) as session:

`audio` events bring sound as it is to be heard, a little ahead where a tracker tells what was. Of the package, public names alone are used.
"""

import asyncio
import inspect
import os
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import attrs

from adapters.hosts.frameworks.guard import POLICY, CallFailed, Guard, is_generated
from adapters.hosts.frameworks.words import cut_to_heard
from adapters.realtime.messages import Told, value_at
from adapters.realtime.settings import NO_TRANSCRIPTION, RealtimeSettings
from adapters.seam.bounded import Bounded
from adapters.seam.frames import Part, Run
from adapters.telling.steps import DUE_ENDS
from fsm.call import effects as fx, events as ev
from fsm.call.policy import Policy
from fsm.call.snapshot import Call
from fsm.engine.machine import Step

try:
    from agents import FunctionTool, UserError, realtime as rt
    from agents.realtime.items import AssistantAudio
    from agents.realtime.model_events import RealtimeModelRawServerEvent
    from agents.usage import Usage
    from openai.types.realtime import RealtimeError
except ImportError as lack:
    raise ImportError(f"{lack.name or lack} is not installed: pip install 'callfsm[openai-agents]'") from None

URL = "wss://api.openai.com/v1/realtime"
AHEAD_MS = 100.0
"""How much sound a player is given ahead where a tracker tells what it played: enough for a busy loop."""
OURS = ("session.update", "response.create", "response.cancel", "input_audio_buffer.")
"""Raw messages that are the core's to send, and nobody else's (R04, R13, R39)."""
_PASSED_ON = ("max_output_tokens", "parallel_tool_calls", "prompt", "reasoning", "tracing")
_PCM = ("pcm16", "pcm", "audio/pcm")


class CallfsmModel(rt.RealtimeModel):  # type: ignore[misc]
    """A realtime model of one call at a time, whose interruptions, cancels, truncations, recoveries and end the core decides."""

    def __init__(self, *, policy: Policy = POLICY, settings: RealtimeSettings | None = None, out: Path | str | None = None) -> None:
        """`settings` are those that the package has no word for, phrases and prompts; `out` is a folder for what `callfsm call` leaves."""
        self._policy, self._settings, self._out = policy, settings or RealtimeSettings(instructions=""), Path(out) if out else None
        self._listeners: list[rt.RealtimeModelListener] = []
        self._inside: _Inside | None = None

    @property
    def call(self) -> Call | None:
        """What is known of the call."""
        return self._inside.guard.call if self._inside is not None else None

    def hang_up(self, reason: str = "application") -> None:
        """End the call politely: what is being said is heard first, and the session's events end."""
        self._connected().guard.hang_up(reason)

    def add_listener(self, listener: "rt.RealtimeModelListener") -> None:
        """See RealtimeModel."""
        if listener not in self._listeners:
            self._listeners.append(listener)

    def remove_listener(self, listener: "rt.RealtimeModelListener") -> None:
        """See RealtimeModel."""
        if listener in self._listeners:
            self._listeners.remove(listener)

    async def connect(self, options: "rt.RealtimeModelConfig") -> None:
        """Begin the call. What becomes of the connection is told by events: the core opens a lost one anew."""
        if self._inside is not None:
            raise UserError("this model holds a call: close it, or make another model")
        if odd := [name for name in ("headers", "call_id") if options.get(name)]:
            raise UserError(f"{odd[0]}: callfsm opens its own WebSocket with a key; leave it out")
        key = options.get("api_key", os.environ.get("OPENAI_API_KEY"))
        key = key() if callable(key) else key
        key = await key if inspect.isawaitable(key) else key
        settings = settings_of(options.get("initial_model_settings", {}), self._settings)
        # Copied at each event, as a listener may remove itself.
        self._inside = _Inside(lambda: tuple(self._listeners), options.get("playback_tracker"))
        try:
            self._inside.begin(options.get("url", URL), key, settings, self._policy, self._out)
        except BaseException:
            self._inside = None
            raise

    async def send_event(self, event: Any) -> None:
        """Do what the session wishes; what the core decides by itself is only asked of it."""
        inside = self._connected()
        guard = inside.guard
        match event:
            case rt.RealtimeModelSendAudio(audio=audio, commit=commit):
                inside.hear(audio, commit, local=self._policy.turns == "local")
            case rt.RealtimeModelSendUserInput(user_input=said):
                content = [{"type": "input_text", "text": said}] if isinstance(said, str) else list(said["content"])
                guard.write(f"item_{uuid.uuid4().hex[:24]}", {"type": "message", "role": "user", "content": content})
            case rt.RealtimeModelSendToolOutput(tool_call=call, output=output):
                inside.tool_is("completed", call, output)
                guard.finish_tool(call.call_id, output)
            case rt.RealtimeModelSendInterrupt(response_id=response_id):
                call = guard.call
                if response_id is None or response_id in (call.response.id, call.playout.id, call.playout.next_id):
                    guard.interrupt()
            case rt.RealtimeModelSendSessionUpdate(session_settings=wanted):
                guard.llm.become(settings_of(wanted, self._settings))
            case rt.RealtimeModelSendRawMessage(message=message):
                self._send_raw(guard, message)
            case _:
                raise UserError(f"callfsm knows no {type(event).__name__}")

    async def send_event_if(self, event: Any, send_if: Callable[[], bool]) -> bool:
        """See RealtimeModel: nothing of ours waits, so that nothing comes between."""
        if not send_if():
            return False
        await self.send_event(event)
        return True

    async def close(self) -> None:
        """The caller has gone, and the call is over; safe to call again."""
        inside, self._inside = self._inside, None
        if inside is not None:
            await inside.close()

    def _connected(self) -> "_Inside":
        if self._inside is None:
            raise UserError("there is no call: `async with` the session first")
        return self._inside

    def _send_raw(self, guard: Guard, message: Mapping[str, Any]) -> None:
        kind = str(message.get("type"))
        if kind != "conversation.item.create":
            why = "callfsm sends these itself" if kind.startswith(OURS) else "callfsm has no way to send it"
            raise UserError(f"{kind}: {why}; conversation.item.create alone is passed on")
        item = dict(message.get("other_data", {}).get("item", {}))
        guard.write(item.pop("id", None) or f"item_{uuid.uuid4().hex[:24]}", item, answered=False)


class _Inside:
    """One call: what happens, in the package's events, one after another."""

    def __init__(self, listeners: Callable[[], tuple[Any, ...]], tracker: Any) -> None:
        self._listeners, self._tracker = listeners, tracker
        self._events: asyncio.Queue[Any] = asyncio.Queue()
        self._tasks: list[asyncio.Task[None]] = []
        self._last: tuple[str, Part] | None = None
        self._said: Bounded[str, str] = Bounded()
        self._cut: Bounded[str, bool] = Bounded()
        self._turns: Bounded[str, bool] = Bounded()
        self._items: Bounded[str, str] = Bounded()
        self._closing = self._speaking = False
        self._guard: Guard | None = None

    @property
    def guard(self) -> Guard:
        """The call."""
        assert self._guard is not None
        return self._guard

    def begin(self, url: str, key: str | None, settings: RealtimeSettings, policy: Policy, out: Path | None) -> None:
        """Hold the call in a task of its own."""
        tracked: dict[str, Any] = {}
        if self._tracker is not None:
            self._tracker.set_audio_format("pcm16")
            tracked = {"position": self._position, "ahead_ms": AHEAD_MS}
        self._guard = Guard(self, url=url, key=key, settings=settings, policy=policy, out=out, **tracked)
        self._tasks = [asyncio.create_task(self._guard.hold()), asyncio.create_task(self._deliver())]

    async def close(self) -> None:
        """End the call, and wait until it has ended."""
        self._closing = True
        self.guard.leave("the session was closed")
        holding, delivering = self._tasks
        await asyncio.wait([holding])
        self._events.put_nowait(None)
        if asyncio.current_task() is not delivering:
            await asyncio.wait([delivering])

    def hear(self, audio: bytes, commit: bool, local: bool) -> None:
        """Sound of the caller, and the end of their turn where the application tells it."""
        if local and audio and not self._speaking:
            self._speaking = True
            self.guard.tell(ev.SpeechStarted)
        self.guard.hear(audio)
        if local and commit:
            self._speaking = False
            self.guard.tell(ev.SpeechStopped)

    def tool_is(self, status: str, call: Any, output: str | None) -> None:
        """Show a tool call in the history."""
        of = {"item_id": call.id or call.call_id, "previous_item_id": call.previous_item_id, "call_id": call.call_id, "name": call.name}
        item = rt.RealtimeToolCallItem(status=status, arguments=call.arguments, output=output, **of)
        self._emit(rt.RealtimeModelItemUpdatedEvent(item=item))

    # What the guard tells.

    def sound(self, run: Run) -> None:
        """See Sink."""
        self._last = (run.response_id, run.part)
        item_id, index = run.part
        self._emit(rt.RealtimeModelAudioEvent(data=bytes(run.pcm), response_id=run.response_id, item_id=item_id, content_index=index))

    def hush(self) -> None:
        """See Sink: whoever plays drops what they have, once for each time that the voice is stopped."""
        if self._last is not None:
            (item_id, index), self._last = self._last[1], None
            self._emit(rt.RealtimeModelAudioInterruptedEvent(item_id=item_id, content_index=index))
        if self._tracker is not None:
            self._tracker.on_interrupted()

    def happened(self, event: ev.Event, answer: Step[Call]) -> None:
        """See Inside."""
        for response_id in [one for one in self._turns if not is_generated(answer.snapshot, one)]:
            del self._turns[response_id]
            self._emit(rt.RealtimeModelTurnEndedEvent(response_id=response_id))
        match event:
            case ev.SessionConfirmed():
                self._emit(rt.RealtimeModelConnectionStatusEvent(status="connected"))
            case ev.SessionLost():
                self._emit(rt.RealtimeModelConnectionStatusEvent(status="connecting"))
            case ev.ResponseCreated(response_id=response_id):
                self._turns[response_id] = True
                self._emit(rt.RealtimeModelTurnStartedEvent(response_id=response_id))
            case ev.Transcribed(item_id=item_id, text=text):
                self._emit(rt.RealtimeModelInputAudioTranscriptionCompletedEvent(item_id=item_id, transcript=text))
            case ev.PlayoutStopped(items=items):
                for heard in items:
                    self._remember(heard)
            case ev.ErrorReceived(code=code, message=message):
                self._emit(rt.RealtimeModelErrorEvent(error=RealtimeError(type="error", code=code, message=message or code)))
            case _:
                pass
        for effect in answer.effects:
            match effect:
                case fx.Flush(response_id):
                    self._cut[response_id] = True
                    if self._last is not None and self._last[0] == response_id:
                        self.hush()
                case fx.Retire(response_id) if self._last is not None and self._last[0] == response_id:
                    item_id, index = self._last[1]
                    self._emit(rt.RealtimeModelAudioDoneEvent(item_id=item_id, content_index=index))
                case fx.RunTool(tool_call_id, name, arguments):
                    id_ = self._items.get(tool_call_id, "")
                    call = rt.RealtimeModelToolCallEvent(name=name, call_id=tool_call_id, arguments=arguments, id=id_ or None)
                    self.tool_is("in_progress", call, None)
                    self._emit(call)
                case _:
                    pass

    def overheard(self, told: Told) -> None:
        """See Inside: what is shown of the conversation, and decides nothing."""
        self._emit(RealtimeModelRawServerEvent(data=told.message))
        item_id, response_id = _text(told.message, "item_id"), _text(told.message, "response_id")
        match told.kind:
            case "conversation.item.added" | "conversation.item.created" if _text(told.message, "item", "role") == "user":
                self._show_caller(told.message["item"])
            case "response.output_item.added" if _text(told.message, "item", "type") == "message":
                self._show(_text(told.message, "item", "id"), "", "in_progress")
            case "response.output_item.added" if call_id := _text(told.message, "item", "call_id"):
                self._items[call_id] = _text(told.message, "item", "id")
            case "response.output_audio_transcript.delta" if response_id not in self._cut:
                delta = _text(told.message, "delta")
                self._said[item_id] = self._said.get(item_id, "") + delta
                self._emit(rt.RealtimeModelTranscriptDeltaEvent(item_id=item_id, delta=delta, response_id=response_id))
            case "response.output_audio_transcript.done" if response_id not in self._cut:
                self._said[item_id] = _text(told.message, "transcript")
                self._show(item_id, self._said[item_id], "completed")
            case "response.done":
                self._count(value_at(told.message, "response", "usage"))
            case _:
                pass

    def ended(self, ended: fx.TellEnded) -> None:
        """See Inside: the session's events end, or bring an exception."""
        if self._closing:
            return
        self._emit(rt.RealtimeModelConnectionStatusEvent(status="disconnected"))
        due = ended.reason in DUE_ENDS
        self._emit(rt.RealtimeModelEndOfStreamEvent() if due else rt.RealtimeModelExceptionEvent(exception=CallFailed(ended)))

    def _position(self) -> tuple[Part, float] | None:
        state = self._tracker.get_state()
        if state["current_item_id"] is None or state["elapsed_ms"] is None:
            return None
        return (state["current_item_id"], state["current_item_content_index"] or 0), state["elapsed_ms"]

    def _show_caller(self, item: Mapping[str, Any]) -> None:
        item_id = _text(item, "id")
        if item_id in self._items:
            return  # a session that was opened anew is told of it again
        self._items[item_id] = item_id
        texts = [_text(part, "text") for part in item.get("content") or () if _text(part, "type") == "input_text"]
        content = [rt.InputText(text=text) for text in texts] or [rt.InputAudio()]
        self._emit(rt.RealtimeModelItemUpdatedEvent(item=rt.UserMessageItem(item_id=item_id, content=content)))

    def _show(self, item_id: str, words: str, status: str) -> None:
        message = rt.AssistantMessageItem(item_id=item_id, status=status, content=[AssistantAudio(transcript=words)] if words else [])
        self._emit(rt.RealtimeModelItemUpdatedEvent(item=message))

    def _remember(self, heard: ev.Heard) -> None:
        """Have the history say what was heard of an interrupted item, as the model's own memory does."""
        if heard.played_ms <= 0:
            self._emit(rt.RealtimeModelItemDeletedEvent(item_id=heard.item_id))
        elif words := cut_to_heard(self._said.get(heard.item_id, ""), heard):
            self._show(heard.item_id, words, "incomplete")

    def _count(self, usage: Any) -> None:
        counts = {name: value_at(usage, name) for name in ("input_tokens", "output_tokens", "total_tokens")}
        if all(isinstance(count, int) for count in counts.values()):
            self._emit(rt.RealtimeModelUsageEvent(usage=Usage(requests=1, **counts)))

    def _emit(self, event: Any) -> None:
        self._events.put_nowait(event)

    async def _deliver(self) -> None:
        while (event := await self._events.get()) is not None:
            for listener in self._listeners():
                try:
                    await listener.on_event(event)
                # A listener's own code, a tool of the session's above all: the package tells of it by an event, and the call goes on.
                except Exception as bug:
                    if not isinstance(event, rt.RealtimeModelExceptionEvent):
                        self._emit(rt.RealtimeModelExceptionEvent(exception=bug, context="a listener failed"))


def settings_of(wanted: Mapping[str, Any], base: RealtimeSettings) -> RealtimeSettings:
    """The package's settings of a model as ours; the rights of the server's VAD are the policy's. Raises UserError, in one line."""
    heard, spoken = (dict(value_at(wanted, "audio", way) or {}) for way in ("input", "output"))
    for form in (heard.get("format"), spoken.get("format"), wanted.get("input_audio_format"), wanted.get("output_audio_format")):
        if form is not None and form not in _PCM and value_at(form, "type") not in _PCM and getattr(form, "type", "") not in _PCM:
            raise UserError(f"the audio format {form!r}: inside openai-agents callfsm speaks pcm16")
    modalities = wanted.get("output_modalities", wanted.get("modalities")) or ["audio"]
    if "audio" not in modalities:
        raise UserError(f"output_modalities {modalities!r}: callfsm holds calls, give ['audio']")
    given: dict[str, Any] = {"instructions": wanted.get("instructions") or base.instructions}
    session: dict[str, Any] = {name: wanted[name] for name in _PASSED_ON if wanted.get(name) is not None}
    audio: dict[str, dict[str, Any]] = {"input": {}, "output": {}}
    if wanted.get("model_name"):
        given["model"] = wanted["model_name"]
    voice = spoken.get("voice") or wanted.get("voice")
    if isinstance(voice, str):
        given["voice"] = voice
    elif voice:
        audio["output"]["voice"] = voice
    if speed := spoken.get("speed", wanted.get("speed")):
        audio["output"]["speed"] = speed
    if "transcription" in heard or "input_audio_transcription" in wanted:
        transcription = heard.get("transcription", wanted.get("input_audio_transcription"))
        given["transcription"] = value_at(transcription, "model") or (None if transcription else NO_TRANSCRIPTION)
        audio["input"] |= {"transcription": transcription} if transcription else {}
    noise = heard.get("noise_reduction", wanted.get("input_audio_noise_reduction"))
    audio["input"] |= {"noise_reduction": noise} if noise else {}
    vad = heard.get("turn_detection", wanted.get("turn_detection")) or {}
    given["turn_detection"] = {name: value for name, value in vad.items() if name not in ("create_response", "interrupt_response")}
    if choice := wanted.get("tool_choice"):
        session["tool_choice"] = choice if choice in ("auto", "none", "required") else {"type": "function", "name": choice}
    if audio := {way: told for way, told in audio.items() if told}:
        session["audio"] = audio
    tools = [_declared(tool) for tool in wanted.get("tools") or ()]
    for handoff in wanted.get("handoffs") or ():
        about = {"description": handoff.tool_description, "parameters": handoff.input_json_schema}
        tools.append({"type": "function", "name": handoff.tool_name, **about})
    return _evolved(base, {**given, "session": {**base.session, **session}, "tools": tuple(tools)})


def _declared(tool: Any) -> dict[str, Any]:
    if not isinstance(tool, FunctionTool):
        raise UserError(f"the tool {getattr(tool, 'name', tool)!r}: a realtime model takes function tools")
    return {"type": "function", "name": tool.name, "description": tool.description, "parameters": tool.params_json_schema}


def _evolved(base: RealtimeSettings, fields: dict[str, Any]) -> RealtimeSettings:
    try:
        return attrs.evolve(base, **fields)
    except ValueError as error:
        raise UserError(str(error)) from None


def _text(message: Any, *path: str) -> str:
    found = value_at(message, *path)
    return found if isinstance(found, str) else ""
