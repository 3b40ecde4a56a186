"""`livekit-agents` holds a call with callfsm inside: its AgentSession, agents and functions over a model that is ours, without a room.

The example of `adapters/hosts/frameworks/FRAMEWORKS.md`, with checks: what the caller heard is what the session and the server remember,
a cough interrupts nothing, a function and a handover work, and the call ends after a goodbye that was heard.
"""

# /// script
# requires-python = ">=3.11"
# dependencies = ["livekit-agents==1.8.9", "callfsm[livekit]", "openai==3.52.0"]
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
import time
from collections import deque
from pathlib import Path
from typing import Any

from kit import FRAME_BYTES, FRAME_MS, RATE_HZ, Checks, Complaints, Inbox, Microphone, oracle, recorded, soon
from livekit.agents import Agent, AgentSession, function_tool
from livekit.agents.voice import io
from livekit_ear import Ear
from wire import Wire

from adapters.hosts.frameworks.livekit import CallfsmModel
from adapters.realtime.settings import RealtimeSettings
from fsm import Policy

JOBS: list[str] = []
LEAVING_S = 0.3
"""Longer than the server takes to begin an answer."""
KNOWN = ("resume_false_interruption", "skipping new realtime generation")
"""What it complains of in a good call: of its own loudspeaker, and of an answer that begins while agents change, which is told again."""


class Mechanic(Agent):
    """Another agent."""

    def __init__(self) -> None:
        super().__init__(instructions="You are the mechanic.")


class Receptionist(Agent):
    """The agent who answers."""

    def __init__(self) -> None:
        super().__init__(instructions="You work in a bicycle shop.")

    @function_tool
    async def repair_price(self, job: str) -> str:
        """The price of a repair."""
        JOBS.append(job)
        return "twelve pounds"

    @function_tool
    async def fetch_mechanic(self) -> Any:
        """Fetch the mechanic."""
        return Mechanic(), "the mechanic is here"

    async def on_exit(self) -> None:
        """Leave slowly: the answer of the function begins while nobody is there to say it."""
        await asyncio.sleep(LEAVING_S)


class Loudspeaker(io.AudioOutput):
    """Plays in real time, and tells how much of each segment was played."""

    def __init__(self) -> None:
        super().__init__(label="kit", capabilities=io.AudioOutputCapabilities(pause=False), sample_rate=RATE_HZ)
        self.heard_ms = 0.0
        self._queue: deque[bytes] = deque()
        self._pushed_s = 0.0
        self._flushed = False

    async def capture_frame(self, frame: Any) -> None:
        """Take a frame."""
        await super().capture_frame(frame)
        if not self._pushed_s:
            self.on_playback_started(created_at=time.time())
        self._pushed_s += frame.duration
        self._queue.append(bytes(frame.data))

    def flush(self) -> None:
        """The segment is whole."""
        super().flush()
        self._flushed = True

    def clear_buffer(self) -> None:
        """Be silent."""
        left_s = sum(map(len, self._queue)) / 2 / RATE_HZ
        self._queue.clear()
        self._finish(left_s, interrupted=True)

    async def play(self) -> None:
        """Play, until cancelled."""
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            if self._queue:
                self.heard_ms += len(self._queue.popleft()) / FRAME_BYTES * FRAME_MS
            elif self._flushed:
                self._finish(0.0, interrupted=False)
            due += FRAME_MS / 1000
            await asyncio.sleep(max(0.0, due - loop.time()))

    def _finish(self, left_s: float, *, interrupted: bool) -> None:
        self._flushed = False
        if self._pushed_s:
            played_s, self._pushed_s = self._pushed_s - left_s, 0.0
            self.on_playback_finished(playback_position=max(0.0, played_s), interrupted=interrupted)


async def hold(check: Checks, urls: list[str], lines: list[bytes]) -> None:
    """Hold the call."""
    complaints = Complaints("livekit", "callfsm")
    inbox, wire, loudspeaker, ear, ends = Inbox(), Wire(), Loudspeaker(), Ear(), []
    over = asyncio.Event()

    def ended(end: Any) -> None:
        ends.append(end)
        over.set()

    with tempfile.TemporaryDirectory(prefix="callfsm-livekit-") as folder:
        model = CallfsmModel(
            api_key=None,
            base_url=urls[0],
            policy=Policy(voice="realtime"),
            settings=RealtimeSettings(instructions="", transcription="gpt-4o-mini-transcribe"),
            out=Path(folder) / "call",
            ended=ended,
            overheard=lambda event: wire.judge(dict(event)),
        )
        session: Any = AgentSession(llm=model)
        for kind in ("user_state_changed", "agent_state_changed", "conversation_item_added", "function_tools_executed", "error"):
            session.on(kind, inbox.put)
        session.input.audio, session.output.audio = ear, loudspeaker
        playing = asyncio.create_task(loudspeaker.play())
        await session.start(Receptionist())
        async with Microphone(ear.push) as microphone:
            greeting = await _said(inbox)
            check("the greeting is heard to its end", "Bluebird" in greeting.text_content and loudspeaker.heard_ms > 2_000, greeting)
            microphone.say(lines[0])
            await _interrupted(check, wire, inbox, loudspeaker, microphone, lines[1])
            answer = await _said(inbox)
            check("the function ran once, and the answer uses it", len(JOBS) == 1 and "twelve pounds" in answer.text_content, answer)
            microphone.say(lines[2])
            answer = await _said(inbox)
            check("the caller is handed over, and the other agent answers", "mechanic is here" in answer.text_content, answer)
            check("the session is the other agent's", isinstance(session.current_agent, Mechanic), session.current_agent)
            forgotten = wire.latest.get("conversation.item.deleted")
            check("the other agent begins with what it was given, and the server forgets the rest", forgotten is not None, forgotten)
            microphone.say(lines[3])
            await asyncio.wait_for(over.wait(), 60)
        check("the call ended once, after a goodbye that was heard", [end.reason.name for end in ends] == ["GOODBYE"], ends)
        await soon(lambda: any("Goodbye" in str(item.text_content) for item in _items(inbox)), "the goodbye in the conversation")
        await session.aclose()
        playing.cancel()
        await model.aclose()
        await recorded(check, Path(folder) / "call")
    told = [event for event in inbox.all if event.type == "error"]
    check("nobody told of an error", not told, told)
    wire.tell(check)
    grave = [line for line in complaints.lines if not any(known in line for known in KNOWN)]
    check("the package logged no complaint", not grave, grave)


async def _interrupted(check: Checks, wire: Wire, inbox: Inbox, loudspeaker: Loudspeaker, microphone: Microphone, line: bytes) -> None:
    """The caller coughs into the answer, then interrupts it."""
    await inbox.until(lambda event: event.type == "agent_state_changed" and event.new_state == "speaking", "answer")
    before_ms = loudspeaker.heard_ms
    await soon(lambda: loudspeaker.heard_ms - before_ms > 4_000, "four seconds of the answer")
    spoke = _spoke(inbox)
    microphone.say(line[: FRAME_BYTES * 4])
    await soon(lambda: loudspeaker.heard_ms - before_ms > 5_500, "more of the answer")
    check("a sound of 80 ms interrupts nothing", _spoke(inbox) == spoke, spoke)
    microphone.say(line)
    await inbox.until(lambda event: event.type == "user_state_changed" and event.new_state == "speaking", "interruption")
    old = await _said(inbox)
    heard_ms = loudspeaker.heard_ms - before_ms
    await soon(lambda: "conversation.item.truncated" in wire.latest, "the truncation")
    off_ms = abs(wire.latest["conversation.item.truncated"]["audio_end_ms"] - heard_ms)
    check("the server remembers what was heard, within 40 ms", off_ms <= 40, off_ms)
    cut = "We are open" in old.text_content and "holidays" not in old.text_content
    check("the session has what was heard of it, and no more", old.interrupted and cut, old)


async def _said(inbox: Inbox) -> Any:
    """The next thing that the agent has said."""
    event = await inbox.until(lambda one: _is_said(one), "answer that was said")
    return event.item


def _is_said(event: Any) -> bool:
    return event.type == "conversation_item_added" and getattr(event.item, "role", "") == "assistant"


def _items(inbox: Inbox) -> list[Any]:
    return [event.item for event in inbox.all if _is_said(event)]


def _spoke(inbox: Inbox) -> int:
    return sum(event.type == "user_state_changed" and event.new_state == "speaking" for event in inbox.all)


if __name__ == "__main__":
    oracle(hold, urls=1)
