"""`openai-agents` on the stage: the sound of its session is played, and cleared when it tells of an interruption."""

# mypy: disable-error-code="import-not-found"

import asyncio
from typing import Any

from agents import set_tracing_disabled
from agents.realtime import RealtimeAgent, RealtimeRunner
from stage import Stage, stage

SETTINGS = {
    "model_name": "gpt-realtime",
    "output_modalities": ["audio"],
    "audio": {"input": {"format": "pcm16", "turn_detection": {"type": "server_vad", "interrupt_response": True}}},
}


async def perform(scene: Stage, url: str) -> None:
    """Be called, and interrupted."""
    set_tracing_disabled(True)
    runner = RealtimeRunner(RealtimeAgent(name="Receptionist"), config={"model_settings": SETTINGS})
    async with await runner.run(model_config={"url": f"{url}?model=gpt-realtime", "api_key": "none"}) as session:
        tasks = [asyncio.create_task(_read(session, scene)), asyncio.create_task(scene.act(session.send_audio))]
        # Who reads an exception from the session has no call any more, and plays no more of it.
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
    for task in done:
        task.result()


async def _read(session: Any, scene: Stage) -> None:
    async for event in session:
        if event.type == "audio":
            scene.play(event.audio.data)
        elif event.type == "audio_interrupted":
            scene.clear()
        elif event.type == "raw_model_event" and event.data.type == "raw_server_event":
            scene.server(event.data.data)


if __name__ == "__main__":
    stage(perform)
