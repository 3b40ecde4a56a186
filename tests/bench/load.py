"""What a call costs: processor time of twenty calls in one process, sound flowing both ways, beside bare clients with the same traffic.

A bare client sends a frame of the caller every 20 ms and takes each message of the server apart down to the sound; it plays nothing.
A call does that and runs the tables and the playout; with the WAV device it records too.
"""

import base64
import json
import random
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import anyio
import attrs
from rich.table import Table
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from adapters.audio.wav_device import WavDevice
from adapters.realtime.port import RealtimeLLM
from adapters.realtime.settings import RealtimeSettings
from adapters.realtime.wire import append
from adapters.seam.driver import Driver
from adapters.seam.frames import tell
from adapters.seam.playout import Playout
from adapters.seam.ports import FRAME_BYTES, FRAME_MS, Port, Post, Speaker
from fsm import Policy, start
from fsm.call import effects as fx, events as ev

from .processes import begun
from .reaction import PatientCaller
from .tables import figure_table, ratio

Say = Callable[[str], None]

SERVER = Path(__file__).with_name("talker.py")
POLICY = Policy(voice="realtime", greeting=False, calibration_ms=0)
CALLS = 20
SECONDS = 3.0
SETTLED = 0.3
"""The part of the time by which all have begun: what it takes to begin and end a call is told apart from what a second of it takes."""
ROUNDS = 3
FRAME = random.Random(1).randbytes(FRAME_BYTES)
RUN_S = 60.0
BARE, PLAIN, RECORDED = "bare websockets client", "a call", "a call with the WAV device, recorded"
PACKED = "bare client, compressed by default"


@attrs.frozen
class LoadFigures:
    """Processor time in ms, by who holds a call: the least of the rounds, since the machine's other work only adds."""

    calls: int
    ms: dict[str, float]
    """For a second of a call that has begun."""
    ends_ms: dict[str, float]
    """For the beginning and the end of a call."""
    sound_ms: dict[str, float]
    """How much of the agent's sound each took, to show that they did the same."""


@attrs.define
class Tally:
    """What came of one round."""

    sound_ms: float = 0.0


class PlainDevice:
    """A device that keeps the real playout and the pace of one, and records nothing."""

    performs: tuple[type[fx.Effect], ...] = (fx.Admit, fx.Hold, fx.Resume, fx.Flush, fx.HangUp)

    def __init__(self, frames: int) -> None:
        self.ears: list[RealtimeLLM] = []
        self.playout = Playout()
        self._frames = frames
        self._post: Post | None = None

    async def run(self, post: Post) -> None:
        """Carry frames at their times; then the caller hangs up."""
        self._post = post
        post(ev.LineOpened)
        began_s = anyio.current_time()
        for number in range(self._frames):
            await anyio.sleep_until(began_s + number * FRAME_MS / 1000)
            for ear in self.ears:
                ear.hear(FRAME)
            self.playout.next_frame()
            tell(self.playout.facts(), post)
        post(ev.CallerHungUp, "done")

    def do(self, effect: fx.Effect) -> None:
        """Admit; nothing else is asked for here but at the end."""
        if isinstance(effect, fx.Admit):
            self.playout.admit(effect.response_id)

    def play(self, response_id: str, pcm: bytes, *, item_id: str = "", content_index: int = 0, sentence: str = "") -> bool:
        """Queue sound."""
        taken = self.playout.play(response_id, pcm, (item_id, 0), sentence)
        tell(self.playout.facts(), self._post)
        return taken


async def measure_load(say: Say, calls: int = CALLS, seconds: float = SECONDS, rounds: int = ROUNDS) -> LoadFigures:
    """Let them take turns; RuntimeError when one did not get the sound that the others got."""
    ms: dict[str, list[float]] = {name: [] for name in _KINDS}
    ends_ms: dict[str, list[float]] = {name: [] for name in _KINDS}
    sound: dict[str, float] = {}
    async with begun(SERVER) as server:
        for number in range(rounds):
            for name, one in _KINDS.items():
                say(f"load, {calls} at a time, round {number + 1} of {rounds}: {name}")
                tally = Tally()
                began_s = time.process_time()
                with anyio.fail_after(RUN_S):
                    async with anyio.create_task_group() as group:
                        for place in range(calls):
                            group.start_soon(one, f"{server.url}/?seconds={seconds + 1}", seconds, place / calls * FRAME_MS / 1000, tally)
                        await anyio.sleep(SETTLED * seconds)
                        settled_s, settled_at_s = time.process_time(), anyio.current_time()
                        await anyio.sleep((1 - SETTLED) * seconds)
                        second_ms = (time.process_time() - settled_s) * 1000 / (anyio.current_time() - settled_at_s) / calls
                ms[name].append(second_ms)
                ends_ms[name].append((time.process_time() - began_s) * 1000 / calls - second_ms * seconds)
                sound[name] = tally.sound_ms / calls
    if min(sound.values()) < 0.7 * seconds * 1000:
        raise RuntimeError(f"too little of {seconds:g} s of sound came through: {sound}")
    return LoadFigures(calls, *({name: min(taken) for name, taken in of.items()} for of in (ms, ends_ms)), sound)


async def _bare(url: str, seconds: float, after_s: float, tally: Tally) -> None:
    """The rival: websockets' own client, with json and base64."""
    await anyio.sleep(after_s)
    await _take(connect(url, compression=None), seconds, tally)


async def _packed(url: str, seconds: float, after_s: float, tally: Tally) -> None:
    """The same with the compression that websockets agrees upon where a server offers it."""
    await anyio.sleep(after_s)
    await _take(connect(url), seconds, tally)


async def _take(connection: connect, seconds: float, tally: Tally) -> None:
    # A caller speaks from the beginning, as with a call: else the connections, made one after the other, would all send at one time.
    began_s = anyio.current_time()
    async with connection as ws, anyio.create_task_group() as group:
        await ws.send('{"type": "session.update", "session": {}}')
        group.start_soon(_send_sound, ws, began_s, seconds)
        async for text in ws:
            message = json.loads(text)
            if message["type"] == "response.output_audio.delta":
                tally.sound_ms += len(base64.b64decode(message["delta"])) / 48


async def _send_sound(ws: ClientConnection, began_s: float, seconds: float) -> None:
    """Send a frame every 20 ms, then close."""
    with suppress(ConnectionClosed):
        for number in range(int(seconds * 1000 / FRAME_MS)):
            await anyio.sleep_until(began_s + number * FRAME_MS / 1000)
            await ws.send(append(FRAME))
        await ws.close()


async def _plain(url: str, seconds: float, after_s: float, tally: Tally) -> None:
    device = PlainDevice(int(seconds * 1000 / FRAME_MS))
    await _call(url, after_s, device, device, device.ears)
    tally.sound_ms += device.playout.handed_over / 48


async def _recorded(url: str, seconds: float, after_s: float, tally: Tally) -> None:
    with TemporaryDirectory() as folder:
        device = WavDevice(Path(folder) / "call.wav", PatientCaller(int(seconds * 1000 / FRAME_MS), FRAME))
        await _call(url, after_s, device, device, device.ears)
    tally.sound_ms += device.playout.handed_over / 48


async def _call(url: str, after_s: float, device: Port, speaker: Speaker, ears: list[Any]) -> None:
    await anyio.sleep(after_s)
    llm = RealtimeLLM(url=url, key=None, settings=RealtimeSettings(), policy=POLICY, speaker=speaker, openai=True)
    ears.append(llm)
    await Driver(start(POLICY), [device, llm]).run()


_KINDS: dict[str, Callable[[str, float, float, Tally], Coroutine[Any, Any, None]]] = {
    BARE: _bare,
    PACKED: _packed,
    PLAIN: _plain,
    RECORDED: _recorded,
}


def load_table(figures: LoadFigures) -> Table:
    """Who takes how much, beside the bare client."""
    table = figure_table(f"Processor time in ms, {figures.calls} calls at once, sound both ways", "one call", "a second", "ratio", "ends")
    for name, ms in figures.ms.items():
        ratios = " / ".join(ratio(ms, figures.ms[rival]) for rival in (BARE, PACKED))
        table.add_row(name, f"{ms:.1f}", ratios, f"{figures.ends_ms[name]:.1f}")
    table.caption = "  ratio: to the bare client / to the one compressed by default; ends: to begin and end a call"
    return table
