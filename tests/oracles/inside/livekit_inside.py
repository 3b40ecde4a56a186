"""`livekit-agents` on the stage: an AgentSession with the plugin's realtime model, or with that of callfsm; all else is the same."""

# /// script
# requires-python = ">=3.11"
# dependencies = ["livekit-plugins-openai==1.8.9", "livekit-agents==1.8.9", "callfsm[livekit]"]
# [tool.uv]
# exclude-newer = "2026-11-21T00:00:00Z"
# [tool.uv.sources]
# callfsm = { path = "../../..", editable = true }
# [tool.callfsm]
# stand-ins = []
# ///

import asyncio
import logging
import time
from typing import Any

import aiohttp
from livekit.agents import Agent, AgentSession
from livekit.agents.voice import io
from livekit.plugins import openai
from openai.types.beta.realtime.session import TurnDetection
from openai.types.realtime import AudioTranscription
from stage import RATE_HZ, Stage, stage

from adapters.hosts.frameworks.livekit import CallfsmModel
from adapters.realtime.settings import RealtimeSettings
from fsm import Policy
from tests.oracles.livekit_ear import Ear

logging.disable(logging.CRITICAL)


class Model(openai.realtime.RealtimeModel):
    """The plugin's model, whose sessions tell the stage what the server sends."""

    scene: Stage

    def session(self, **choices: Any) -> Any:
        """A session that is listened to."""
        session = super().session(**choices)
        session.on("openai_server_event_received", self.scene.server)
        return session


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
        left_s = self._scene.waiting_s
        self._scene.clear()
        if self._watching:
            self._watching.cancel()
        if self._pushed_s:
            self._finish(left_s, interrupted=True)

    async def _watch(self) -> None:
        while self._scene.waiting_s:
            await asyncio.sleep(0.01)
        self._finish(0.0, interrupted=False)

    def _finish(self, left_s: float, *, interrupted: bool) -> None:
        played_s, self._pushed_s, self._watching = max(0.0, self._pushed_s - left_s), 0.0, None
        self.on_playback_finished(playback_position=played_s, interrupted=interrupted)


def model_of(scene: Stage, cell: dict[str, Any], http: Any) -> Any:
    """The plugin's model, or ours."""
    if cell["inside"]:
        settings = RealtimeSettings(instructions="", vad_silence_ms=100, transcription="gpt-4o-mini-transcribe")
        policy = Policy(**cell["policy"])
        return CallfsmModel(
            api_key=None, base_url=cell["url"], policy=policy, settings=settings, overheard=lambda event: scene.server(dict(event))
        )
    rights = {"create_response": True, "interrupt_response": cell["owner"] == "server"}
    detection = TurnDetection(type="server_vad", silence_duration_ms=100, **rights)
    hearing = AudioTranscription(model="gpt-4o-mini-transcribe")
    model = Model(base_url=cell["url"], api_key="none", http_session=http, turn_detection=detection, input_audio_transcription=hearing)
    model.scene = scene
    return model


async def perform(scene: Stage, cell: dict[str, Any]) -> None:
    """Be called, and interrupted."""
    async with aiohttp.ClientSession() as http:
        model = model_of(scene, cell, http)
        session: Any = AgentSession(llm=model, aec_warmup_duration=None)
        session.on("error", lambda event: _failed(scene, event.error))
        session.on("close", lambda closed: _failed(scene, closed.error))
        ear = Ear()
        session.input.audio, session.output.audio = ear, Loudspeaker(scene)
        await session.start(Agent(instructions="You work in a bicycle shop."))
        await scene.act(ear.push)
        await asyncio.wait_for(session.aclose(), 10)
        await model.aclose()


def _failed(scene: Stage, error: Any) -> None:
    """An error from which there is no recovery tells of an end, and so does a session that closes on it."""
    if error is not None and not getattr(error, "recoverable", False) and not scene.ends:
        scene.clear()
        scene.end(str(getattr(error, "error", error))[:120])


if __name__ == "__main__":
    stage(perform)
