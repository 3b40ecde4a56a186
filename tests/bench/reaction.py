"""How soon a voice that is interrupted is refused: whole calls over loopback, beside a bare client; nothing is printed here.

The time runs from the server's write of speech_started to the device's refusal of the old response's sound. The verification of an
interruption is a wait by choice (`Policy.interruption_min_ms`), so it is set to nothing here.
"""

import time
from collections.abc import Callable, Coroutine
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import anyio
import attrs
import numpy as np
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from adapters.audio.wav_device import WavDevice
from adapters.realtime.port import RealtimeLLM
from adapters.realtime.settings import RealtimeSettings
from adapters.realtime.wire import append
from adapters.seam.driver import Driver
from adapters.seam.ports import FRAME_BYTES, FRAME_MS
from fsm import Call, Policy, start
from fsm.call.effects import Effect, Flush, Hold
from fsm.call.events import Event, SpeechStarted
from fsm.engine.machine import Step

from .processes import begun

SERVER = Path(__file__).with_name("interrupter.py")
POLICY = Policy(
    voice="realtime", greeting=False, calibration_ms=0, interruption_min_ms=0, interruption_lock_ms=0, echo_window_ms=0, reconnects=0
)
FRAME = bytes(FRAME_BYTES)
RUN_S = 60.0

Say = Callable[[str], None]


@attrs.frozen
class Load:
    """So many calls at a time in one process, each interrupted `rounds` times in a run, after `low_ms` to `high_ms` of an answer."""

    calls: int
    rounds: int
    low_ms: int
    high_ms: int
    repetitions: int

    def url(self, server: str) -> str:
        """Where a call with such a load is served."""
        return f"{server}/?rounds={self.rounds}&low_ms={self.low_ms}&high_ms={self.high_ms}"


LOADS = (
    Load(calls=1, rounds=60, low_ms=30, high_ms=70, repetitions=4),
    Load(calls=20, rounds=8, low_ms=200, high_ms=500, repetitions=3),
)
"""240 interruptions of one call, 480 of twenty at a time."""


@attrs.frozen
class Spread:
    """The mean, the middle, the 95th percentile and the worst of some milliseconds."""

    count: int
    mean_ms: float
    p50_ms: float
    p95_ms: float
    worst_ms: float


@attrs.frozen
class ReactionFigures:
    """From the write of speech_started: to silence, to the refusal, and to a bare client; and the old sound that was still begun."""

    calls: int
    silent: Spread
    refused: Spread
    floor: Spread
    old_audio: Spread


@attrs.define
class Taken:
    """What was measured so far, in milliseconds."""

    silent: list[float] = attrs.Factory(list)
    refused: list[float] = attrs.Factory(list)
    floor: list[float] = attrs.Factory(list)
    old_audio: list[float] = attrs.Factory(list)


async def measure_reaction(say: Say, loads: tuple[Load, ...] = LOADS) -> list[ReactionFigures]:
    """Interrupt calls and bare clients in turn, under each load. Raises RuntimeError if an interruption was not measured."""
    figures = []
    async with begun(SERVER) as server:
        for load in loads:
            taken = Taken()
            for repetition in range(load.repetitions):
                say(f"reaction, {load.calls} at a time: repetition {repetition + 1} of {load.repetitions}")
                with anyio.fail_after(RUN_S):
                    await _many(load, _call, load.url(server.url), taken)
                    await _many(load, _bare, load.url(server.url), taken)
            figures.append(figures_of(load, taken))
    return figures


def figures_of(load: Load, taken: Taken) -> ReactionFigures:
    """Sum up a load. Raises RuntimeError unless every interruption was measured, by the call and by the bare client."""
    expected = load.calls * load.rounds * load.repetitions
    for name, measured in attrs.asdict(taken).items():
        if len(measured) != expected:
            raise RuntimeError(f"of {expected} interruptions at {load.calls} calls, {len(measured)} were measured ({name})")
    return ReactionFigures(load.calls, *(spread_of(measured) for measured in attrs.astuple(taken)))


def spread_of(measured_ms: list[float]) -> Spread:
    p50, p95 = (float(np.percentile(measured_ms, share)) for share in (50, 95))
    return Spread(len(measured_ms), float(np.mean(measured_ms)), p50, p95, max(measured_ms))


async def _many(load: Load, one: Callable[[str, Taken, float], Coroutine[Any, Any, None]], url: str, taken: Taken) -> None:
    """Hold the calls side by side; each begins at a moment of its own within a frame, as calls do."""
    async with anyio.create_task_group() as group:
        for number in range(load.calls):
            group.start_soon(one, url, taken, number / load.calls * FRAME_MS / 1000)


async def _call(url: str, taken: Taken, after_s: float) -> None:
    """A whole call: the realtime LLM, the driver, the device with its recording."""
    await anyio.sleep(after_s)
    with TemporaryDirectory() as folder:
        device = StampedDevice(Path(folder) / "call.wav", PatientCaller())
        llm = RealtimeLLM(url=url, key=None, settings=RealtimeSettings(), policy=POLICY, speaker=device, openai=True)
        device.ears.append(llm)
        onlooker = Onlooker(device, taken)
        await Driver(start(POLICY), [device, llm], [onlooker]).run()
    taken.old_audio += [device.sounded_after(at_s, response_id) for at_s, response_id in onlooker.interrupted]


@attrs.define
class PatientCaller:
    """A caller of whom nothing is heard, as the server speaks for them, and who may hang up after so many frames."""

    frames: float = float("inf")
    frame: bytes = FRAME

    @property
    def finished(self) -> bool:
        """Have they hung up?"""
        return self.frames <= 0

    def next_frame(self, agent_audible: bool) -> bytes:
        """20 ms."""
        self.frames -= 1
        return self.frame


class StampedDevice(WavDevice):
    """The device, which notes when it has done each kind of effect: before the step's other effects, the cancels, are begun."""

    def __init__(self, path: Path, caller: "PatientCaller") -> None:
        super().__init__(path, caller)
        self.done_ns: dict[type[Effect], int] = {}

    def do(self, effect: Effect) -> None:
        """As ever, and the time after it."""
        super().do(effect)
        self.done_ns[type(effect)] = time.monotonic_ns()


class Onlooker:
    """Looks at each step of a call once its effects have begun, and tries the device."""

    def __init__(self, device: StampedDevice, taken: Taken) -> None:
        self.interrupted: list[tuple[float, str]] = []
        """When the server wrote each speech_started, in seconds, and over which response."""
        self._device = device
        self._taken = taken
        self._written_ns: int | None = None

    def __call__(self, event: Event, answer: Step[Call]) -> None:
        """Note the time at which the voice is held, and the one at which the device has refused the old response."""
        if isinstance(event, SpeechStarted):
            self._written_ns = written_ns(event.item_id)
        if self._written_ns is None:
            return
        for effect in answer.effects:
            if isinstance(effect, Hold):
                self._taken.silent.append(self._ms_until(Hold))
            elif isinstance(effect, Flush):
                if self._device.play(effect.response_id, FRAME):
                    raise RuntimeError(f"the device still takes sound of {effect.response_id}")
                self._taken.refused.append(self._ms_until(Flush))
                self.interrupted.append((self._written_ns / 1e9, effect.response_id))
                self._written_ns = None
                return

    def _ms_until(self, done: type[Effect]) -> float:
        return (self._device.done_ns[done] - self._written_ns) / 1e6


async def _bare(url: str, taken: Taken, after_s: float) -> None:
    """The floor: a client with the same traffic that does nothing but note the arrival of speech_started."""
    await anyio.sleep(after_s)
    async with connect(url, compression=None) as ws, anyio.create_task_group() as group:
        await ws.send('{"type": "session.update", "session": {}}')
        group.start_soon(_send_sound, ws)
        async for message in ws:
            head = str(message[:200])
            if "input_audio_buffer.speech_started" in head:
                taken.floor.append(_ms_since(written_ns(head.split('"')[-2])))
                await ws.send('{"type": "response.cancel"}')
            elif "input_audio_buffer.committed" in head:
                await ws.send('{"type": "response.create"}')
        group.cancel_scope.cancel()


async def _send_sound(ws: ClientConnection) -> None:
    """Send a frame every 20 ms until the connection is closed."""
    with suppress(ConnectionClosed):
        while True:
            await ws.send(append(FRAME))
            await anyio.sleep(FRAME_MS / 1000)


def written_ns(item_id: str) -> int:
    """The time that the server put into an item_id."""
    return int(item_id.removeprefix("item_"))


def _ms_since(written_ns: int) -> float:
    return (time.monotonic_ns() - written_ns) / 1e6
