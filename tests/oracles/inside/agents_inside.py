"""`openai-agents` on the stage: its session with its own model, or with that of callfsm; all else is the same."""

# /// script
# requires-python = ">=3.11"
# dependencies = ["openai-agents==0.24.0", "callfsm[openai-agents]"]
# [tool.uv]
# exclude-newer = "2026-11-21T00:00:00Z"
# [tool.uv.sources]
# callfsm = { path = "../../..", editable = true }
# [tool.callfsm]
# stand-ins = []
# ///

import asyncio
import logging
from typing import Any

from agents import set_tracing_disabled
from agents.realtime import RealtimeAgent, RealtimePlaybackTracker, RealtimeRunner
from stage import Stage, stage

from adapters.hosts.frameworks.openai_agents import CallfsmModel
from fsm import Policy

set_tracing_disabled(True)
logging.disable(logging.CRITICAL)


async def perform(scene: Stage, cell: dict[str, Any]) -> None:
    """Be called, and interrupted."""
    server = cell["owner"] == "server"
    detection = {"type": "server_vad", "silence_duration_ms": 100, "create_response": True, "interrupt_response": server}
    heard = {"format": "pcm16", "transcription": {"model": "gpt-4o-mini-transcribe"}, "turn_detection": detection}
    settings = {"model_name": "gpt-realtime", "output_modalities": ["audio"], "audio": {"input": heard}}
    model = CallfsmModel(policy=Policy(**cell["policy"])) if cell["inside"] else None
    runner = RealtimeRunner(RealtimeAgent(name="Receptionist"), model=model, config={"model_settings": settings})
    tracker = RealtimePlaybackTracker()
    scene.played = lambda tag, sound: tracker.on_play_bytes(*tag, sound)
    config = {"url": f"{cell['url']}?model=gpt-realtime", "api_key": "none", "playback_tracker": tracker}
    async with await runner.run(model_config=config) as session:
        reading = asyncio.create_task(_read(session, scene))
        acting = asyncio.create_task(scene.act(session.send_audio))
        await asyncio.wait([reading, acting], return_when=asyncio.FIRST_COMPLETED)
        # Who reads an exception from the session has no call any more, and plays no more of it.
        await asyncio.wait([acting], timeout=1)
        for task in (reading, acting):
            task.cancel()
        await asyncio.wait([reading, acting])


async def _read(session: Any, scene: Stage) -> None:
    try:
        async for event in session:
            if event.type == "audio":
                scene.play(event.audio.data, (event.item_id, event.content_index))
            elif event.type == "audio_interrupted":
                scene.clear()
            elif event.type == "raw_model_event" and event.data.type == "raw_server_event":
                scene.server(event.data.data)
        scene.clear()
        scene.end("the session's events ended")
    except Exception as error:
        scene.clear()
        scene.end(f"{type(error).__name__}: {error}"[:120])


if __name__ == "__main__":
    stage(perform)
