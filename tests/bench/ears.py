"""Who is speaking: seeded sounds over an agent who speaks, through the real `LocalVad` and the real tables, on a virtual clock.

A call with `--vad local` hears a microphone in which there may be noise, the agent's echo and the caller. The agent is silent while it
is held, as it would be. `python -m tests.bench.ears` prints the table; nothing in it depends on the machine.
"""

import os
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any

import anyio
import attrs
import numpy as np
from rich.console import Console
from rich.table import Table

from adapters.audio.local_vad import LocalVad
from adapters.seam.ports import FRAME_MS, RATE_HZ
from fsm.call import events as ev
from fsm.call.states import LOCKED, SUSPECTED
from tests.shared.core import answering

from .ears_sounds import (
    AGENT,
    BACKCHANNELS,
    NOISES,
    SENTENCES,
    SPEECH_RMS,
    UNVOICED,
    VOICED,
    WORDS,
    Sound,
    made,
    noise,
    onset_ms,
    room,
    said,
    softly,
)
from .tables import figure_table

Say = Callable[[str], None]
QUIET_RMS = SPEECH_RMS / 100
"""A quiet room: 40 dB under speech."""
AGENT_AT_MS, CALLER_AT_MS = 1_000, 2_600
ECHO_SPAN = 20
"""The agent's loudness is that of its loudest 20 ms of the last 400, as a device tells it."""
LONGEST_MS, AFTER_MS = 1_400, 400
"""A caller is heard for so long, and is to be decided about so long after that."""
FRAME = RATE_HZ * FRAME_MS // 1000


@attrs.frozen
class Scene:
    """One sound over an agent's: its kind (a row of the table), and what is in the microphone."""

    kind: str
    sound: tuple[Any, ...] = ()
    """A function of this module's sounds, and its arguments."""
    noise: str = "white"
    noise_rms: float = QUIET_RMS
    echo: tuple[float, float, bool] | None = None
    """Its level in dB, its delay in ms, and whether the room has a tail."""
    at_ms: float = CALLER_AT_MS
    level_db: float = 0.0
    seed: int = 0
    wanted: bool = False
    """Is it an interruption?"""


@attrs.frozen
class Outcome:
    """What became of a scene, in ms after the sound began: the first hold, the decision; holds that nobody wanted, with their lengths."""

    scene: Scene
    held_ms: float | None
    decided_ms: float | None
    false_holds_ms: tuple[float, ...]
    falsely_decided: bool

    @property
    def found(self) -> bool:
        """Was an interruption held within 300 ms and decided?"""
        return self.held_ms is not None and self.held_ms <= 300 and self.decided_ms is not None


def soft(text: str, voice: int) -> Sound:
    """A sentence that begins softly."""
    return softly(said(text, voice))


def play(scene: Scene) -> Outcome:
    """Let it happen."""
    agent = said(AGENT, 0)
    sound = scene.sound[0](*scene.sound[1:])[: LONGEST_MS * RATE_HZ // 1000] if scene.sound else np.zeros(0)
    begins_ms = scene.at_ms + (onset_ms(sound) if len(sound) else 0)
    ends_ms = scene.at_ms + len(sound) * 1000 / RATE_HZ + AFTER_MS if len(sound) else AGENT_AT_MS + len(agent) * 1000 / RATE_HZ - 400
    heard = noise(scene.noise, ends_ms / 1000 + 1, scene.noise_rms, scene.seed)
    at = int(scene.at_ms * RATE_HZ / 1000)
    heard[at : at + len(sound)] += sound * 10 ** (scene.level_db / 20)
    response = np.fft.rfft(room(*scene.echo), 16_384) if scene.echo else None
    heard = np.concatenate([heard, np.zeros(16_384)])

    script = answering(greeting=False, voice="realtime", turns="local", interruption_by="detector")
    zero_ms, now_ms, played, levels = script.now_ms, 0.0, 0, [0.0] * ECHO_SPAN
    holds: list[list[float]] = []
    decided_ms: float | None = None

    def look() -> None:
        nonlocal decided_ms
        state = script.call.interruption.state
        at_ms = script.now_ms - zero_ms
        if state is SUSPECTED and (not holds or len(holds[-1]) == 2):
            holds.append([at_ms])
        if state is not SUSPECTED and holds and len(holds[-1]) == 1:
            holds[-1].append(at_ms)
        if state is LOCKED and decided_ms is None:
            decided_ms = at_ms
            if not holds or holds[-1][-1] != at_ms:
                holds.append([at_ms, at_ms])

    def post(event: Any, *args: Any) -> None:
        script.post(event, *args)
        look()

    vad = LocalVad(turns=True, agent_rms=lambda: max(levels[-ECHO_SPAN:]))
    anyio.run(vad.run, post)
    while now_ms < ends_ms and decided_ms is None:
        held = script.call.interruption.state is SUSPECTED
        pcm = np.zeros(FRAME)
        if now_ms >= AGENT_AT_MS and not held:
            if played == 0:
                script.post(ev.AudioArrived, "r1", "item_r1")
            if played % 25 == 0:
                script.post(ev.PlayoutProgressed, "r1", float(played * FRAME_MS))
            pcm = agent[played * FRAME : (played + 1) * FRAME]
            pcm = np.pad(pcm, (0, FRAME - len(pcm)))
            played += 1
        levels.append(float(np.sqrt(np.mean(pcm**2))))
        begin = int(now_ms) * RATE_HZ // 1000
        if response is not None and pcm.any():
            echo = np.fft.irfft(np.fft.rfft(pcm, 16_384) * response)[: len(heard) - begin]
            heard[begin : begin + len(echo)] += echo
        now_ms += FRAME_MS
        script.wait_to(zero_ms + now_ms)
        look()
        vad.hear(np.clip(heard[begin : begin + FRAME], -32_768, 32_767).astype("<i2").tobytes())
    holds = [one if len(one) == 2 else [one[0], now_ms] for one in holds]
    mine = [one for one in holds if one[0] >= begins_ms] if scene.wanted else []
    true = decided_ms is not None and scene.wanted and decided_ms >= begins_ms
    # A hold that the decision ended was right; others, and those before the sound, were not.
    wrong = tuple(end - begin for begin, end in holds if not (scene.wanted and begin >= begins_ms))
    return Outcome(
        scene,
        mine[0][0] - begins_ms if mine else None,
        decided_ms - begins_ms if true and decided_ms is not None else None,
        wrong,
        decided_ms is not None and not true,
    )


def scenes() -> list[Scene]:
    """Every scene, in the order of the table."""
    found: list[Scene] = []
    talk = [
        *[(said, text, voice) for text, voices in zip(SENTENCES, ((0, 1), (2, 3), (4, 0)), strict=True) for voice in voices],
        *[(said, text, voice) for voice, text in enumerate(WORDS)],
        *[(soft, text, voice) for voice, text in enumerate(SENTENCES)],
    ]
    for kind in ("sentences", "words", "soft onsets"):
        wanted = {
            "sentences": talk[:6] * 2,
            "words": [(said, text, voice) for text in WORDS for voice in (0, 2)],
            "soft onsets": talk[12:] * 2,
        }[kind]
        found += [Scene(f"{kind} in quiet", one, seed=n, at_ms=CALLER_AT_MS + 37 * n, wanted=True) for n, one in enumerate(wanted)]
    for sort in NOISES:
        for snr in (20, 10, 5):
            rms = SPEECH_RMS * 10 ** (-snr / 20)
            found += [Scene(f"over {sort}, {snr} dB", one, sort, rms, seed=n, wanted=True) for n, one in enumerate(talk)]
    for snr in (20, 10, 5):
        rms = SPEECH_RMS * 10 ** (-snr / 20)
        found += [Scene(f"noise alone, {snr} dB", (), sort, rms, seed=n) for sort in NOISES for n in range(2)]
    found += [Scene(one, (made, one, n), seed=n) for one in UNVOICED + VOICED for n in range(4)]
    found += [Scene("backchannels", (said, text, voice), seed=voice) for text in BACKCHANNELS for voice in range(3)]
    found += [Scene("far voices, -25 dB", (said, text, voice), level_db=-25.0, seed=voice) for text in SENTENCES for voice in (0, 2)]
    rooms = [(delay_ms, tail) for delay_ms in (40.0, 150.0, 250.0) for tail in (False, True)]
    found += [Scene("echo alone", (), echo=(db, *one)) for db in (0.0, -6.0, -12.0, -20.0, -30.0) for one in rooms]
    found += [
        Scene("echo alone, noise 20 dB", (), "pink", SPEECH_RMS / 10, echo=(db, *one)) for db in (-6.0, -12.0, -20.0) for one in rooms
    ]
    for db in (-20.0, -10.0):
        found += [
            Scene(f"over an echo of {db:.0f} dB", one, echo=(db, *rooms[n % 6]), seed=n, at_ms=CALLER_AT_MS + 600, wanted=True)
            for n, one in enumerate([*talk, talk[0]])
        ]
    for echo in (None, (-20.0, 90.0, True)):
        name = "no echo" if echo is None else "echo -20 dB"
        found += [Scene(f"early, {name}", one, echo=echo, at_ms=AGENT_AT_MS + 100, seed=n, wanted=True) for n, one in enumerate(talk[:6])]
    return found


def measure_ears(say: Say, chosen: list[Scene] | None = None) -> list[Outcome]:
    """Play every scene, as many at a time as there are cores."""
    chosen = scenes() if chosen is None else chosen
    say(f"ears: {len(chosen)} scenes")
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # Two processes with two threads each are five times as slow.
    with ProcessPoolExecutor(os.cpu_count(), get_context("spawn")) as pool:
        return list(pool.map(play, chosen, chunksize=8))


def ears_table(outcomes: list[Outcome]) -> Table:
    """A row for each kind."""
    columns = ("found", "p50", "p95", "held", "for", "cut")
    table = figure_table("Found: held in 300 ms, and decided; the hold's delay; falsely held, cut off", "sound", *columns)
    rows: dict[str, list[Outcome]] = {}
    for one in outcomes:
        rows.setdefault(one.scene.kind, []).append(one)
    for kind, of in rows.items():
        delays = sorted(one.held_ms for one in of if one.held_ms is not None)
        spans = [ms for one in of for ms in one.false_holds_ms]
        table.add_row(
            kind,
            f"{sum(one.found for one in of)}/{len(of)}" if of[0].scene.wanted else "",
            f"{np.percentile(delays, 50):.0f}" if delays else "",
            f"{np.percentile(delays, 95):.0f}" if delays else "",
            f"{sum(bool(one.false_holds_ms) for one in of)}/{len(of)}",
            f"{np.mean(spans):.0f}" if spans else "",
            f"{sum(one.falsely_decided for one in of)}/{len(of)}",
        )
    return table


def main() -> int:
    """Measure and print it."""
    outcomes = measure_ears(Console(stderr=True, style="dim").print)
    Console(highlight=False).print(ears_table(outcomes))
    return 0


if __name__ == "__main__":
    sys.exit(main())
