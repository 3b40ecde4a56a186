"""How soon a loudspeaker is silent: measured on the recording of a sound system without a card, beside its rivals.

The end of the sound is that of the last loud sample on the recording, which may be
2 ms off. The rivals are a device that lets its buffer be played out, and a player process that is killed.
"""

import random
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import anyio
import attrs
import numpy as np
from rich.table import Table

from adapters.audio.device import Loudspeaker, SoundDevice
from adapters.audio.library import NoSound, find
from adapters.audio.player import CallerMicrophone, Player
from adapters.audio.streams import Loudspeaker as PortAudioLoudspeaker
from adapters.realtime.port import RealtimeLLM
from adapters.realtime.settings import RealtimeSettings
from adapters.seam.driver import Driver
from adapters.seam.ports import RATE_HZ
from adapters.seam.tape import Tape
from fsm import Call, start
from fsm.call import effects as fx, events as ev
from fsm.engine.machine import Step
from tests.shared.needs import SOUND, bringing, lack_of
from tests.shared.pulse import Pulse, Taken, sound_system

from .processes import begun
from .reaction import POLICY as AT_ONCE, SERVER, Load, PatientCaller, Spread, spread_of, written_ns
from .tables import figure_table

Say = Callable[[str], None]

ROUNDS = 30
LOAD = Load(calls=1, rounds=ROUNDS, low_ms=300, high_ms=400, repetitions=1)
POLICY = attrs.evolve(AT_ONCE, interruption_lock_ms=0, reconnects=0)
GAP_S = 0.010
"""Silence of this length ends a sound."""
PAUSE = bytes(RATE_HZ * 2 // 10)
"""Each answer begins with 100 ms of silence, so that it cannot be taken for the end of the one before."""
TONE = (8_000 * np.sin(2 * np.pi * 440 * np.arange(RATE_HZ) / RATE_HZ)).astype("<i2").tobytes()
"""A second of a tone, whole periods."""
RUN_S = 60.0


@attrs.frozen
class SoundFigures:
    """From an order to silence on the recording, by what was ordered; and how far the told position is from what was heard."""

    spreads: dict[str, Spread]


class AfterAPause:
    """A speaker that says nothing at the beginning of a response."""

    def __init__(self, device: SoundDevice) -> None:
        self._device = device
        self._begun = ""

    def play(self, response_id: str, pcm: bytes, *, item_id: str = "", content_index: int = 0, sentence: str = "") -> bool:
        """Play a piece."""
        pcm = pcm if self._begun == response_id else PAUSE + pcm
        self._begun = response_id
        return self._device.play(response_id, pcm, item_id=item_id, sentence=sentence)


class PlayedOut:
    """The rival: a loudspeaker that gives silence from now on, and lets what it holds be heard."""

    estimated = False

    def __init__(self, inner: PortAudioLoudspeaker) -> None:
        self._inner = inner
        self._tape: Tape | None = None

    @property
    def is_open(self) -> bool:
        """Can it be heard?"""
        return self._inner.is_open

    @property
    def counts(self) -> Counter[str]:
        """What went wrong."""
        return self._inner.counts

    async def run(self, tape: Tape, ring: Callable[[], None]) -> None:
        """Play."""
        self._tape = tape
        await self._inner.run(tape, ring)

    def cut(self) -> None:
        """Cut nothing off."""
        self._tape.cut(time.monotonic() + 1.0)


async def measure_sound(say: Say) -> SoundFigures:
    """Interrupt on a real audio stack. Raises NoSound where there is none."""
    if lack := lack_of(*SOUND, "aplay"):
        raise NoSound(f"{lack}: {bringing(lack)}")
    spreads: dict[str, Spread] = {}
    with sound_system() as pulse:
        say("sound: interruptions from the server")
        spreads["speech_started written → silent"] = spread_of(await _from_server(pulse))
        for name, loudspeaker in _loudspeakers().items():
            say(f"sound: {name}")
            flushed_ms, apart_ms = await _flushes(pulse, loudspeaker)
            spreads[f"flush → silent, {name}"] = spread_of(flushed_ms)
            if isinstance(loudspeaker, PortAudioLoudspeaker):
                spreads["the told position is off by"] = spread_of(apart_ms)
    return SoundFigures(spreads)


def _loudspeakers() -> dict[str, Loudspeaker]:
    """The device and its rivals."""
    played_out = PlayedOut(PortAudioLoudspeaker(find("speaker", "loudspeaker")))
    return {
        "device": PortAudioLoudspeaker(find("speaker", "loudspeaker")),
        "rival: the buffer is played out": played_out,
        "rival: aplay is killed": Player("aplay"),
    }


async def _from_server(pulse: Pulse) -> list[float]:
    """Whole calls: from the server's write of speech_started to the last loud sample of the answer."""
    written: list[float] = []

    def look_on(event: ev.Event, answer: Step[Call]) -> None:
        if isinstance(event, ev.SpeechStarted) and any(isinstance(effect, fx.Hold) for effect in answer.effects):
            written.append(written_ns(event.item_id) / 1e9)

    with TemporaryDirectory() as folder:
        async with begun(SERVER) as server:
            device = _device(folder, PortAudioLoudspeaker(find("speaker", "loudspeaker")))
            llm = RealtimeLLM(
                url=LOAD.url(server.url), key=None, settings=RealtimeSettings(), policy=POLICY, speaker=AfterAPause(device), openai=True
            )
            device.ears.append(llm)
            recorder = pulse.record()
            with anyio.fail_after(RUN_S):
                await Driver(start(POLICY), [device, llm], [look_on]).run()
            taken = recorder.stop()
    if len(written) != ROUNDS:
        raise RuntimeError(f"of {ROUNDS} interruptions on the sound device, {len(written)} were measured")
    return [silent_after_ms(taken, at_s) for at_s in written]


async def _flushes(pulse: Pulse, loudspeaker: Loudspeaker) -> tuple[list[float], list[float]]:
    """One response after the other, each flushed in the middle: how soon it was silent, how far the told position was off."""
    at: list[float] = []
    told_ms: list[float] = []
    opened = anyio.Event()

    def post(event: Callable[..., ev.Event], *args: object) -> None:
        if event is ev.LineOpened:
            opened.set()
        elif event is ev.PlayoutStopped:
            told_ms.append(float(str(args[1])))

    with TemporaryDirectory() as folder:
        device = _device(folder, loudspeaker)
        async with anyio.create_task_group() as group:
            group.start_soon(device.run, post)
            with anyio.fail_after(RUN_S):
                await opened.wait()
                recorder = pulse.record()
                for number in range(ROUNDS):
                    device.do(fx.Admit(f"r{number}"))
                    device.play(f"r{number}", TONE)
                    await anyio.sleep(random.uniform(0.2, 0.3))
                    at.append(time.monotonic())
                    device.do(fx.Flush(f"r{number}"))
                    await anyio.sleep(0.15)
            taken = recorder.stop()
            group.cancel_scope.cancel()
    heard_ms = [_heard_before_ms(taken, at_s) for at_s in at]
    return [silent_after_ms(taken, at_s) for at_s in at], [abs(a - b) for a, b in zip(told_ms, heard_ms, strict=True)]


def _device(folder: str, loudspeaker: Loudspeaker) -> SoundDevice:
    return SoundDevice(Path(folder) / "call.wav", CallerMicrophone(PatientCaller()), loudspeaker)


def silent_after_ms(taken: Taken, at_s: float) -> float:
    """How long the sound that was heard at `at_s` went on."""
    loud = taken.loud(at_s - 0.1, at_s + 1.0)
    ends = np.flatnonzero(np.diff(loud) > GAP_S)
    for end in [*loud[ends], *loud[-1:]]:
        if end > at_s - 0.05:
            return max(0.0, float(end - at_s) * 1000)
    raise RuntimeError("nothing was heard before an interruption")


def _heard_before_ms(taken: Taken, at_s: float) -> float:
    """How long the sound was that ended near `at_s`."""
    loud = taken.loud(at_s - 0.4, at_s + 0.13)
    begin = loud[np.flatnonzero(np.diff(loud) > GAP_S) + 1]
    return float(loud[-1] - (begin[-1] if len(begin) else loud[0])) * 1000


def sound_table(figures: SoundFigures) -> Table:
    """The figures as a table."""
    table = figure_table(f"On the recording of a loudspeaker, {ROUNDS} interruptions each", "ms until", "p50", "p95", "worst")
    for name, one in figures.spreads.items():
        table.add_row(name, f"{one.p50_ms:.1f}", f"{one.p95_ms:.1f}", f"{one.worst_ms:.1f}")
    table.caption = "  the recording tells the time to some 3 ms"
    return table
