"""Who is speaking: seeded sounds over an agent who speaks, through the real `LocalVad` and the real tables, on a virtual clock.

A call with `--vad local` hears a microphone in which there may be noise, the agent's echo and the caller. The agent is silent while it
is held, as it would be. `python -m tests.bench.ears` prints the table; nothing in it depends on the machine.
"""

import argparse
import math
import os
import sys
from collections import deque
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from itertools import repeat
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import anyio
import attrs
import numpy as np
from rich.console import Console
from rich.table import Table

from adapters.audio.levels import AGENT_MS
from adapters.audio.local_vad import LocalVad, VadSettings
from adapters.seam.ports import FRAME_MS, RATE_HZ
from fsm.call import effects as fx, events as ev
from fsm.call.guards import HELD
from fsm.call.states import LOCKED
from tests.shared.core import answering

from .ears_peers import Curve, Heard, by_peers, peers_table
from .ears_picture import draw
from .ears_scenes import AGENT_AT_MS, BACKCHANNEL, Scene, scenes
from .ears_sounds import AGENT, said
from .tables import figure_table

Say = Callable[[str], None]
FRAME = RATE_HZ * FRAME_MS // 1000
MIN_MS, OTHER_MS = 150.0, (96.0, 300.0, 500.0)
"""So much voice makes an interruption by default, and what else the curve is drawn by."""
WORDS_MS, TOLD_MS = 1_500.0, 400.0
"""With `--words` the voice stays held for so long; an ideal recogniser tells what was said so long after the turn's commit."""
ENDS_MS = 700
"""How long it is quiet at last, so that the caller's turn ends,"""
GOES_ON_MS = 3_000
"""and for how much longer the agent speaks."""


@attrs.frozen
class Outcome:
    """What became of a scene, in ms after the sound began: the first hold, the decision; holds that nobody wanted, with their lengths."""

    scene: Scene
    held_ms: float | None
    decided_ms: float | None
    false_holds_ms: tuple[float, ...]
    falsely_decided: bool
    again: bool
    """Was an interruption held, let go, and held again?"""
    asked: bool
    """Was the model asked to answer what was no interruption?"""

    @property
    def found(self) -> bool:
        """Was an interruption held within 300 ms and decided?"""
        return self.held_ms is not None and self.held_ms <= 300 and self.decided_ms is not None


class _Stage:
    """One scene as it is played: the call, its detector, the agent, and the microphone."""

    def __init__(self, scene: Scene, min_ms: float, words_ms: float) -> None:
        self.script = answering(
            greeting=False,
            voice="realtime",
            turns="local",
            interruption_by="detector",
            interruption_min_ms=min_ms,
            interruption_words_ms=words_ms,
        )
        self.words = ("mm-hm", True) if scene.kind == BACKCHANNEL else ("Stop." if scene.wanted else "", False)
        self.told_ms = math.inf
        self.zero_ms, self.now_ms, self.played = self.script.now_ms, 0.0, 0
        self.holds: list[list[float]] = []
        self.decided_ms: float | None = None
        self.agent = said(AGENT, 0)
        self.spoken = deque([np.zeros(FRAME, np.int16)] * (AGENT_MS // FRAME_MS), AGENT_MS // FRAME_MS)
        response = scene.response()
        self.response = None if response is None else np.fft.rfft(response, 16_384)
        self.heard = np.concatenate([scene.room(), np.zeros(16_384)])
        self.vad = LocalVad(VadSettings(barge_in_ms=min_ms), turns=True, agent_sound=lambda: np.concatenate(self.spoken))
        anyio.run(self.vad.run, self.post)

    def post(self, event: Any, *args: Any) -> None:
        """Let the detector tell something."""
        self._perform(self.script.post(event, *args))

    def frame(self) -> None:
        """20 ms more of everything."""
        held = self.script.call.interruption.state in HELD
        pcm = np.zeros(FRAME)
        if self.now_ms >= AGENT_AT_MS and not held:
            pcm = self._agent()
        self.spoken.append(pcm.astype(np.int16))
        begin = int(self.now_ms) * RATE_HZ // 1000
        if self.response is not None and pcm.any():
            echo = np.fft.irfft(np.fft.rfft(pcm, 16_384) * self.response)[: len(self.heard) - begin]
            self.heard[begin : begin + len(echo)] += echo
        self.now_ms += FRAME_MS
        self._perform(self.script.wait_to(self.zero_ms + self.now_ms))
        if self.now_ms >= self.told_ms:
            self.told_ms = math.inf
            self.post(ev.Transcribed, "u2", *self.words)
        self.vad.hear(np.clip(self.heard[begin : begin + FRAME], -32_768, 32_767).astype("<i2").tobytes())

    def asks(self) -> bool:
        """The agent speaks on to its end: is the model asked for an answer then?"""
        until_ms = self.now_ms + ENDS_MS
        while self.now_ms < until_ms:
            self.frame()
        self.script.post(ev.ResponseCompleted, "r1")
        for ms in range(0, GOES_ON_MS, 500):
            self.script.wait(500)
            self.script.post(ev.PlayoutProgressed, "r1", self.played * FRAME_MS + ms)
        before = len(self.script.effects)
        self.script.post(ev.PlayoutFinished, "r1", float(self.played * FRAME_MS + GOES_ON_MS))
        return any(isinstance(effect, fx.CreateResponse) for effect in self.script.effects[before:])

    def _agent(self) -> Any:
        """The agent's next 20 ms."""
        if self.played == 0:
            self.script.post(ev.AudioArrived, "r1", "item_r1")
        if self.played % 25 == 0:
            self.script.post(ev.PlayoutProgressed, "r1", float(self.played * FRAME_MS))
        pcm = self.agent[self.played * FRAME : (self.played + 1) * FRAME]
        self.played += 1
        return np.pad(pcm, (0, FRAME - len(pcm)))

    def _perform(self, effects: list[fx.Effect]) -> None:
        """Carry out what the call asks for, and note what it comes to."""
        for effect in effects:
            if isinstance(effect, self.vad.performs):
                self.vad.do(effect)
            elif isinstance(effect, fx.CommitTurn):
                self.script.post(ev.TurnCommitted, "u2")
                self.told_ms = self.now_ms + TOLD_MS
        state, at_ms = self.script.call.interruption.state, self.script.now_ms - self.zero_ms
        if state in HELD and (not self.holds or len(self.holds[-1]) == 2):
            self.holds.append([at_ms])
        if state not in HELD and self.holds and len(self.holds[-1]) == 1:
            self.holds[-1].append(at_ms)
        if state is LOCKED and self.decided_ms is None:
            self.decided_ms = at_ms
            if not self.holds or self.holds[-1][-1] != at_ms:
                self.holds.append([at_ms, at_ms])


def play(scene: Scene, min_ms: float = MIN_MS, words_ms: float = 0.0) -> Outcome:
    """Let it happen, with so much voice that makes an interruption, if its words do not say otherwise."""
    stage = _Stage(scene, min_ms, words_ms)
    ends_ms, begins_ms = scene.ends_ms + words_ms, scene.begins_ms
    while stage.now_ms < ends_ms and stage.decided_ms is None:
        stage.frame()
    decided_ms, now_ms = stage.decided_ms, stage.now_ms
    holds = [one if len(one) == 2 else [one[0], now_ms] for one in stage.holds]
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
        len(mine) > 1,
        bool(scene.sound) and not scene.wanted and decided_ms is None and stage.asks(),
    )


def measure_ears(say: Say, chosen: list[Scene] | None = None, min_ms: float = MIN_MS, words_ms: float = 0.0) -> list[Outcome]:
    """Play every scene, as many at a time as there are cores."""
    chosen = scenes() if chosen is None else chosen
    say(f"ears: {len(chosen)} scenes, {min_ms:g} ms of voice")
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # Two processes with two threads each are five times as slow.
    with ProcessPoolExecutor(os.cpu_count(), get_context("spawn")) as pool:
        return list(pool.map(play, chosen, repeat(min_ms), repeat(words_ms), chunksize=8))


def our_curve(outcomes: dict[float, list[Outcome]]) -> Curve:
    """Our own, as the others' are: silent at the first hold, stopped for good where it is decided."""
    points = {
        ms: [Heard(one.scene, one.held_ms, found=one.decided_ms is not None, cut=one.falsely_decided) for one in of]
        for ms, of in outcomes.items()
    }
    return Curve("callfsm --vad local", points, MIN_MS)


def ears_table(outcomes: list[Outcome]) -> Table:
    """A row for each kind."""
    columns = ("found", "p50", "p95", "decided", "again", "held", "for", "cut", "asked")
    title = (
        "Found: held in 300 ms, and decided; the hold's delay, the decision's; held twice;\n"
        "of what is none: held, for how long, cut off, answered"
    )
    table = figure_table(title, "sound", *columns)
    table.columns[0].min_width = 22
    rows: dict[str, list[Outcome]] = {}
    for one in outcomes:
        rows.setdefault(one.scene.kind, []).append(one)
    for kind, of in rows.items():
        wanted = of[0].scene.wanted
        delays = sorted(one.held_ms for one in of if one.held_ms is not None)
        decided = [one.decided_ms for one in of if one.decided_ms is not None]
        spans = [ms for one in of for ms in one.false_holds_ms]
        table.add_row(
            kind,
            f"{sum(one.found for one in of)}/{len(of)}" if wanted else "",
            f"{np.percentile(delays, 50):.0f}" if delays else "",
            f"{np.percentile(delays, 95):.0f}" if delays else "",
            f"{np.percentile(decided, 50):.0f}" if decided else "",
            f"{sum(one.again for one in of)}" if wanted else "",
            f"{sum(bool(one.false_holds_ms) for one in of)}",
            f"{np.mean(spans):.0f}" if spans else "",
            f"{sum(one.falsely_decided for one in of)}",
            "" if wanted else f"{sum(one.asked for one in of)}/{len(of)}",
        )
    return table


def main() -> int:
    """Measure and print it, ours and others', and draw the trade-off."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.ears", description="measures who is taken to be speaking")
    parser.add_argument("--ours", action="store_true", help="no peers, and no picture")
    parser.add_argument("--words", action="store_true", help="ours alone, with the voice held until the words are known")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="every Nth scene alone")
    parser.add_argument("--out", type=Path, default=Path("ears.svg"), help="where the picture goes (default: ears.svg)")
    given = parser.parse_args()
    say, console = Console(stderr=True, style="dim").print, Console(highlight=False)
    chosen = scenes()[:: given.every]
    ours = {MIN_MS: measure_ears(say, chosen, words_ms=WORDS_MS if given.words else 0.0)}
    console.print(ears_table(ours[MIN_MS]))
    if given.ours or given.words:
        return 0
    ours |= {ms: measure_ears(say, chosen, ms) for ms in OTHER_MS}
    curves = [our_curve(ours), *by_peers(say, chosen)]
    console.print(peers_table(curves))
    given.out.write_text(draw(curves), encoding="utf-8")
    console.print(f"{given.out}: the trade-off as a picture", markup=False)
    return 0


if __name__ == "__main__":
    sys.exit(main())
