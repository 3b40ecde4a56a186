"""The scenes of the ears as others would hear them: their own turn-start rules, each in an environment of its own, beside ours.

Their agents do not stop before they decide, so what they hear is the whole of it up to then. They have no echo canceller here, nor have
we; on a line with one they need not mind an echo. What cannot be installed is named, and left out.
"""

import json
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory

import attrs
import numpy as np
import soxr
from rich.table import Table

from adapters.seam.ports import RATE_HZ
from tests.oracles.catalog import oracles
from tests.oracles.environment import NoEnvironment, python_of, version_of

from .ears_scenes import AGENT_AT_MS, Scene
from .ears_sounds import AGENT, said
from .tables import figure_table

PEERS = Path(__file__).parent / "peers"
HZ = 16_000
SETTINGS = {"pipecat_ears": (200, 100, 400), "livekit_ears": (500, 200, 300, 800)}
"""So much voice starts a turn, in ms: the peer's own default, and what its curve is drawn by."""
CLASSES: dict[str, tuple[str, ...]] = {
    "callers in quiet": ("sentences", "words", "soft"),
    "callers over 20 and 10 dB": ("over white", "over pink", "over babble", "over street", "over hum", "over music"),
    "callers over 5 dB": (),
    "callers over an echo": ("over an echo",),
    "early callers": ("early",),
    "noise alone": ("noise alone",),
    "echo alone": ("echo alone",),
    "sounds without voice": ("cough", "three coughs", "sneeze", "breath", "slam", "tone", "level step"),
    "voiced coughs, laughs": ("voiced cough", "three voiced coughs", "laugh"),
    "backchannels": ("backchannels",),
    "far voices": ("far voices",),
}
"""The rows of the table, by how the kinds of scenes begin."""


@attrs.frozen
class Curve:
    """What a system did with each scene by each of its settings: when it was silent and when it decided, in ms after the sound began."""

    name: str
    points: dict[float, list["Heard"]]
    default: float


@attrs.frozen
class Heard:
    """One scene: after what time the agent was silent for the caller, and whether it stopped for good, rightly or wrongly."""

    scene: Scene
    silent_ms: float | None
    found: bool
    cut: bool


def class_of(scene: Scene) -> str:
    """The row of a scene."""
    if scene.kind.startswith("over ") and scene.kind.endswith(", 5 dB"):
        return "callers over 5 dB"
    return next(name for name, starts in CLASSES.items() if scene.kind.startswith(starts))


def by_peers(say: Callable[[str], None], scenes: list[Scene]) -> list[Curve]:
    """What each peer that can be had makes of the scenes; all of them run at a time."""
    with TemporaryDirectory() as name:
        folder, lengths = Path(name), []
        with (folder / "heard.raw").open("wb") as file:
            for scene in scenes:
                heard = _microphone(scene)
                file.write(heard.tobytes())
                lengths.append(len(heard))
        (folder / "lengths.json").write_text(json.dumps(lengths))

        def hear(stem: str) -> Curve | str:
            peer = next(one for one in oracles(PEERS) if one.name == stem)
            try:
                python = python_of(peer)
            except NoEnvironment as error:
                return f"left out: {error}"
            command = [python, "-I", peer.script, folder, *map(str, SETTINGS[stem])]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                return f"left out: {stem}: {(done.stderr.strip().splitlines() or ['it failed'])[-1]}"
            first = json.loads(done.stdout.splitlines()[-1])
            points = {float(one): [_heard(scene, at) for scene, at in zip(scenes, times, strict=True)] for one, times in first.items()}
            return Curve(f"{peer.client} {version_of(peer, python)}", points, SETTINGS[stem][0])

        with ThreadPoolExecutor() as pool:
            told = list(pool.map(hear, SETTINGS))
    for line in told:
        if isinstance(line, str):
            say(line)
    return [one for one in told if isinstance(one, Curve)]


def _heard(scene: Scene, at_ms: float | None) -> Heard:
    """What the time of the first interruption says of a scene."""
    if at_ms is None:
        return Heard(scene, None, found=False, cut=False)
    true = scene.wanted and at_ms >= scene.begins_ms
    return Heard(scene, at_ms - scene.begins_ms if true else None, found=true, cut=not true)


def _microphone(scene: Scene) -> np.ndarray:
    """All that is heard of a scene while nobody stops the agent."""
    heard, agent, response = scene.room(), said(AGENT, 0), scene.response()
    at = AGENT_AT_MS * RATE_HZ // 1000
    if response is not None:
        size = len(agent) + len(response)
        echo = np.fft.irfft(np.fft.rfft(agent, size) * np.fft.rfft(response, size), size)[: len(heard) - at]
        heard[at : at + len(echo)] += echo
    whole = heard[: int(scene.ends_ms * RATE_HZ / 1000)]
    return soxr.resample(np.clip(whole, -32_768, 32_767).astype("<i2"), RATE_HZ, HZ).astype("<i2")


def peers_table(curves: list[Curve]) -> Table:
    """What each system makes of each class by its default: found or cut off, and the median delay to silence."""
    names = [name for curve in curves for name in (curve.name.partition(" ")[0].removesuffix("-ai").removesuffix("-agents"), "ms")]
    table = figure_table("Found or, of what is no interruption, cut off; until silence, p50", "sound", *names)
    table.columns[0].min_width = 25
    for row in CLASSES:
        cells: list[str] = []
        for curve in curves:
            of = [one for one in curve.points[curve.default] if class_of(one.scene) == row]
            wanted = bool(of) and of[0].scene.wanted
            delays = [one.silent_ms for one in of if one.silent_ms is not None]
            cells += [f"{sum(one.found if wanted else one.cut for one in of)}/{len(of)}", f"{np.median(delays):.0f}" if delays else ""]
        table.add_row(row, *cells)
    return table
