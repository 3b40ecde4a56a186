"""`openai-agents` holds a call with callfsm inside: its session, agents, tools, handoffs and guardrails over a model that is ours.

The example of `adapters/hosts/frameworks/FRAMEWORKS.md`, with checks: what the caller heard is what the history and the server remember.
"""

# /// script
# requires-python = ">=3.11"
# dependencies = ["openai-agents==0.24.0", "callfsm[openai-agents]"]
# [tool.uv]
# exclude-newer = "2026-11-21T00:00:00Z"
# [tool.uv.sources]
# callfsm = { path = "../..", editable = true }
# [tool.callfsm]
# stand-ins = ["realtime"]
# says = ["What are your opening hours?", "Sorry, how much is a puncture repair?", "Can I talk to the mechanic?", "Thank you, goodbye!"]
# ///

import asyncio
import tempfile
from collections import deque
from pathlib import Path
from typing import Any

from agents import GuardrailFunctionOutput, OutputGuardrail, function_tool, set_tracing_disabled
from agents.realtime import RealtimeAgent, RealtimePlaybackTracker, RealtimeRunner
from kit import FRAME_BYTES, FRAME_MS, Checks, Complaints, Inbox, Microphone, oracle, recorded, soon
from wire import Wire

from adapters.hosts.frameworks.openai_agents import CallfsmModel
from fsm import Policy

SETTINGS = {"audio": {"input": {"transcription": {"model": "gpt-4o-mini-transcribe"}}, "output": {"voice": "ash"}}}


class Player:
    """A loudspeaker in real time, which tells the tracker what was played."""

    def __init__(self) -> None:
        self.tracker = RealtimePlaybackTracker()
        self.heard: dict[str, int] = {}
        self._queue: deque[Any] = deque()

    async def play(self) -> None:
        """Play, until cancelled."""
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            left = FRAME_BYTES
            while left and self._queue:
                audio, sound = self._queue.popleft()
                if sound[left:]:
                    self._queue.appendleft((audio, sound[left:]))
                sound = sound[:left]
                left -= len(sound)
                self.heard[audio.item_id] = self.heard.get(audio.item_id, 0) + len(sound)
                self.tracker.on_play_bytes(audio.item_id, audio.content_index, sound)
            due += FRAME_MS / 1000
            await asyncio.sleep(max(0.0, due - loop.time()))

    def heard_ms(self, item_id: str) -> float:
        """How much of an item was heard."""
        return self.heard.get(item_id, 0) / 48

    def take(self, event: Any) -> None:
        """Do what an event of the session says."""
        if event.type == "audio":
            self._queue.append((event.audio, event.audio.data))
        elif event.type == "audio_interrupted":
            self._queue.clear()


class _Call:
    """The session, its player, and what it told."""

    def __init__(self, session: Any, player: Player) -> None:
        self.session, self.player = session, player
        self.inbox, self.wire = Inbox(), Wire()

    async def read(self) -> None:
        """Follow the session's events to their end."""
        async for event in self.session:
            self.player.take(event)
            if event.type == "raw_model_event" and event.data.type == "raw_server_event":
                self.wire.judge(event.data.data)
            self.inbox.put(event)

    async def until(self, kind: str) -> Any:
        """The next session event of this kind."""
        return await self.inbox.until(lambda event: event.type == kind, kind)

    def history(self) -> dict[str, str]:
        """What each message of the latest history says."""
        told = [event.history for event in self.inbox.all if event.type == "history_updated"][-1]
        said = {one.item_id: one.content for one in told if one.type == "message"}
        return {item_id: " ".join(str(getattr(part, "transcript", "")) for part in content) for item_id, content in said.items()}

    def answers(self) -> list[str]:
        """The items of the agent that were played, in order."""
        return list(dict.fromkeys(event.item_id for event in self.inbox.all if event.type == "audio"))


async def hold(check: Checks, urls: list[str], lines: list[bytes]) -> None:
    """Hold the call."""
    set_tracing_disabled(True)
    complaints = Complaints("openai.agents", "agents", "callfsm")
    jobs: list[str] = []

    @function_tool
    def repair_price(job: str) -> str:
        """The price of a repair."""
        jobs.append(job)
        return "twelve pounds"

    looked: list[str] = []
    guardrail = OutputGuardrail(guardrail_function=lambda _, __, output: _allowed(looked, str(output)))
    mechanic = RealtimeAgent(name="Mechanic", handoff_description="Knows all about wheels.", instructions="You are the mechanic.")
    agent = RealtimeAgent(
        name="Receptionist",
        instructions="You work in a bicycle shop.",
        tools=[repair_price],
        handoffs=[mechanic],
        output_guardrails=[guardrail],
    )
    player = Player()
    with tempfile.TemporaryDirectory(prefix="callfsm-agents-") as folder:
        model = CallfsmModel(policy=Policy(voice="realtime"), out=Path(folder) / "call")
        runner = RealtimeRunner(agent, model=model, config={"model_settings": SETTINGS})
        config = {"url": urls[0], "api_key": "none", "playback_tracker": player.tracker}
        async with await runner.run(model_config=config) as session:
            call = _Call(session, player)
            tasks = [asyncio.create_task(call.read()), asyncio.create_task(player.play())]
            async with Microphone(session.send_audio) as microphone:
                greeting = await call.until("audio")
                await call.until("audio_end")
                check("the greeting is heard", "Bluebird" in str(call.history().get(greeting.item_id)), call.history())
                microphone.say(lines[0])
                await _interrupted(check, call, microphone, lines[1])
                await _used_a_tool(check, call, jobs)
                await _passed_on(check, call, microphone, lines[2])
                await _written_to(check, call)
                microphone.say(lines[3])
                await asyncio.wait_for(tasks[0], 40)
            goodbye = call.answers()[-1]
            check("the goodbye was heard to its end, then the events ended", "Goodbye" in call.history()[goodbye], call.history())
            tasks[1].cancel()
        check("the guardrail of the agent looked at what was said", looked, looked)
        await recorded(check, Path(folder) / "call")
    faults = [event.error for event in call.inbox.all if event.type == "error"]
    check("the session told of no error", not faults, faults)
    call.wire.tell(check)
    check("nobody logged a complaint", not complaints.lines, complaints.lines)


async def _allowed(looked: list[str], output: str) -> GuardrailFunctionOutput:
    looked.append(output)
    return GuardrailFunctionOutput(output_info=None, tripwire_triggered=False)


async def _interrupted(check: Checks, call: _Call, microphone: Microphone, line: bytes) -> None:
    """The caller hears an answer, and speaks into it: it is hushed, and remembered as far as it was heard."""
    before = len(call.answers())
    await soon(lambda: len(call.answers()) > before and call.player.heard_ms(call.answers()[-1]) > 2_000, "two seconds of the answer")
    old = call.answers()[-1]
    microphone.say(line)
    interrupted = await call.until("audio_interrupted")
    then_ms = call.player.heard_ms(old)
    check("the interruption is of the item that is heard", interrupted.item_id == old, interrupted.item_id)
    truncated = (await call.inbox.until(lambda event: _raw(event) == "conversation.item.truncated", "truncation")).data.data
    heard_ms = call.player.heard_ms(old)
    check("no old sound was heard after it", heard_ms - then_ms <= FRAME_MS, heard_ms - then_ms)
    off_ms = abs(truncated["audio_end_ms"] - heard_ms)
    check("the server remembers what was heard, within 40 ms", truncated["item_id"] == old and off_ms <= 40, (truncated, heard_ms))
    await soon(lambda: "We are" in call.history()[old] and "holidays" not in call.history()[old], "a history cut to what was heard")
    check("the history has what was heard of it, and no more", True)


async def _used_a_tool(check: Checks, call: _Call, jobs: list[str]) -> None:
    """The interrupting question needs the tool."""
    await call.until("tool_start")
    ended = await call.until("tool_end")
    check("the tool ran once", len(jobs) == 1 and ended.output == "twelve pounds", jobs)
    await call.until("audio")
    await soon(lambda: "twelve pounds" in call.history().get(call.answers()[-1], ""), "the price in the answer")
    check("the answer uses it", True)
    await call.until("audio_end")


async def _passed_on(check: Checks, call: _Call, microphone: Microphone, line: bytes) -> None:
    """The caller is handed over: the other agent's instructions and tools are the session's from then on."""
    microphone.say(line)
    handoff = await call.until("handoff")
    check("the call is handed over", handoff.to_agent.name == "Mechanic", handoff.to_agent.name)
    updated = (await call.inbox.some(lambda event: "You are the mechanic." in str(_session(event)), "session of the mechanic")).data.data
    check("the session is the other agent's", not updated["session"]["tools"], updated["session"]["tools"])
    await call.until("audio")
    await call.until("audio_end")


async def _written_to(check: Checks, call: _Call) -> None:
    """A written message is answered as a turn is, and `interrupt()` stops the answer."""
    await call.session.send_message("When are you open?")
    await call.until("audio")
    await soon(lambda: call.player.heard_ms(call.answers()[-1]) > 500, "half a second of the answer")
    await call.session.interrupt()
    interrupted = await call.until("audio_interrupted")
    check("a written message is answered, and interrupt() stops that", interrupted.item_id == call.answers()[-1], interrupted.item_id)


def _raw(event: Any) -> str:
    data = event.data if event.type == "raw_model_event" else None
    return str(data.data["type"]) if data is not None and data.type == "raw_server_event" else ""


def _session(event: Any) -> Any:
    return event.data.data["session"].get("instructions") if _raw(event) == "session.updated" else None


if __name__ == "__main__":
    oracle(hold, urls=1)
