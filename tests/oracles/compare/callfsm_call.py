"""callfsm itself on the stage: its driver, its realtime adapter and its virtual device, with the stage's caller on the line."""

import tempfile
import time
from collections import deque
from pathlib import Path
from typing import Any

import anyio
from kit import FRAME_BYTES
from stage import Stage, stage

from adapters.audio.wav_device import WavDevice
from adapters.realtime.port import RealtimeLLM
from adapters.realtime.settings import RealtimeSettings
from adapters.seam.driver import Driver
from fsm.call import events as ev
from fsm.call.policy import Policy
from fsm.call.snapshot import start

POLICY = Policy(voice="realtime", greeting=False, interrupts="server", create_response=True)
WIRE = {ev.SpeechStarted: "input_audio_buffer.speech_started", ev.TurnCommitted: "input_audio_buffer.committed"}


class Caller:
    """The stage's caller at the device, which tells the stage when the agent is heard."""

    finished = False

    def __init__(self, scene: Stage) -> None:
        self._scene = scene
        self._frames: deque[bytes] = deque()
        self._last_s = 0.0

    async def push(self, frame: bytes) -> None:
        """The caller's next 20 ms."""
        self._frames.append(frame)

    def next_frame(self, agent_audible: bool) -> bytes:
        """Give it to the device, whose last frame began to be heard when it last asked."""
        if agent_audible:
            self._scene.heard(self._last_s)
        self._last_s = time.monotonic()
        return self._frames.popleft() if self._frames else bytes(FRAME_BYTES)


class Watch:
    """Tells the stage what the server sent, from the events of the call."""

    def __init__(self, scene: Stage) -> None:
        self._scene = scene

    def __call__(self, event: Any, answer: Any) -> None:
        """One step of the call."""
        if type(event) in WIRE:
            self._scene.server({"type": WIRE[type(event)]})
        elif isinstance(event, ev.ResponseCreated):
            self._scene.server({"type": "response.created", "response": {"id": event.response_id}})
        elif isinstance(event, ev.AudioArrived):
            self._scene.server({"type": "response.output_audio.delta", "response_id": event.response_id})


async def perform(scene: Stage, url: str) -> None:
    """Be called, and interrupted."""
    caller = Caller(scene)
    with tempfile.TemporaryDirectory(prefix="callfsm-compare-") as folder:
        device = WavDevice(Path(folder) / "call.wav", caller)
        llm = RealtimeLLM(url=url, key=None, settings=RealtimeSettings(), policy=POLICY, speaker=device, openai=True)
        device.ears.append(llm)
        async with anyio.create_task_group() as group:
            group.start_soon(Driver(start(POLICY, "compared"), [device, llm], [Watch(scene)]).run)
            await scene.act(caller.push)
            group.cancel_scope.cancel()


if __name__ == "__main__":
    stage(perform)
