"""`livekit-agents` on the stage: an AgentSession without a room, whose audio output is the stage's loudspeaker."""

# mypy: disable-error-code="import-not-found"

import asyncio
import logging
import time
from typing import Any

import aiohttp
from kit import RATE_HZ
from livekit import rtc
from livekit.agents import Agent, AgentSession
from livekit.agents.voice import io
from livekit.plugins import openai
from openai.types.beta.realtime.session import TurnDetection
from stage import Stage, stage


class Model(openai.realtime.RealtimeModel):
    """The plugin's model, whose sessions tell the stage what the server sends."""

    scene: Stage

    def session(self, **choices: Any) -> Any:
        """A session that is listened to."""
        session = super().session(**choices)
        session.on("openai_server_event_received", self.scene.server)
        return session


class Ear(io.AudioInput):
    """The caller's frames."""

    def __init__(self) -> None:
        super().__init__(label="stage")
        self._frames: asyncio.Queue[bytes] = asyncio.Queue()

    async def push(self, frame: bytes) -> None:
        """The caller's next 20 ms."""
        self._frames.put_nowait(frame)

    async def __anext__(self) -> Any:
        frame = await self._frames.get()
        return rtc.AudioFrame(frame, RATE_HZ, 1, len(frame) // 2)


class Loudspeaker(io.AudioOutput):
    """The stage's loudspeaker as an output: it reports how much of each segment was played."""

    def __init__(self, scene: Stage) -> None:
        super().__init__(label="stage", capabilities=io.AudioOutputCapabilities(pause=False), sample_rate=RATE_HZ)
        self._scene = scene
        self._pushed_s = 0.0
        self._watching: asyncio.Task[None] | None = None

    async def capture_frame(self, frame: Any) -> None:
        """Play."""
        await super().capture_frame(frame)
        if not self._pushed_s:
            self.on_playback_started(created_at=time.time())
        self._pushed_s += frame.duration
        self._scene.play(bytes(frame.data))

    def flush(self) -> None:
        """The segment is whole: it ends when all of it is heard."""
        super().flush()
        if self._pushed_s and self._watching is None:
            self._watching = asyncio.create_task(self._watch())

    def clear_buffer(self) -> None:
        """Be silent."""
        left_s = self._scene.waiting * 0.02
        self._scene.clear()
        if self._watching:
            self._watching.cancel()
        if self._pushed_s:
            self._finish(left_s, interrupted=True)

    async def _watch(self) -> None:
        while self._scene.waiting:
            await asyncio.sleep(0.01)
        self._finish(0.0, interrupted=False)

    def _finish(self, left_s: float, *, interrupted: bool) -> None:
        played_s, self._pushed_s, self._watching = max(0.0, self._pushed_s - left_s), 0.0, None
        self.on_playback_finished(playback_position=played_s, interrupted=interrupted)


async def perform(scene: Stage, url: str) -> None:
    """Be called, and interrupted."""
    logging.disable(logging.CRITICAL)
    async with aiohttp.ClientSession() as http:
        detection = TurnDetection(type="server_vad", create_response=True, interrupt_response=True)
        model = Model(base_url=url, api_key="none", http_session=http, turn_detection=detection)
        model.scene = scene
        session: Any = AgentSession(llm=model)
        ear = Ear()
        session.input.audio, session.output.audio = ear, Loudspeaker(scene)
        await session.start(Agent(instructions="You work in a bicycle shop."))
        await scene.act(ear.push)
        await asyncio.wait_for(session.aclose(), 10)
        await model.aclose()


if __name__ == "__main__":
    stage(perform)
