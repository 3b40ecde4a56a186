"""What the ears are measured on: each scene one sound over an agent who speaks, and what of it is in the microphone."""

from typing import Any

import attrs
import numpy as np

from adapters.seam.ports import RATE_HZ

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

QUIET_RMS = SPEECH_RMS / 100
"""A quiet room: 40 dB under speech."""
AGENT_AT_MS, CALLER_AT_MS = 1_000, 2_600
LONGEST_MS, AFTER_MS = 1_400, 400
"""A caller is heard for so long, and is to be decided about so long after that."""


BACKCHANNEL = "backchannels"
"""The row of a listener's words."""


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

    @property
    def mine(self) -> Sound:
        """The sound itself."""
        return self.sound[0](*self.sound[1:])[: LONGEST_MS * RATE_HZ // 1000] if self.sound else np.zeros(0)

    @property
    def begins_ms(self) -> float:
        """When it can be heard."""
        mine = self.mine
        return self.at_ms + (onset_ms(mine) if len(mine) else 0)

    @property
    def ends_ms(self) -> float:
        """By when it is to be decided about."""
        return self.at_ms + len(self.mine) * 1000 / RATE_HZ + AFTER_MS if self.sound else AGENT_AT_MS + agent_ms() - 400

    def room(self) -> Sound:
        """What is in the microphone but the agent, and a while longer."""
        mine, at = self.mine, int(self.at_ms * RATE_HZ / 1000)
        heard = noise(self.noise, self.ends_ms / 1000 + 3, self.noise_rms, self.seed)
        heard[at : at + len(mine)] += mine * 10 ** (self.level_db / 20)
        return heard

    def response(self) -> Sound | None:
        """What becomes of the agent's sound on its way there."""
        return room(*self.echo) if self.echo else None


def agent_ms() -> float:
    """How long the agent speaks."""
    return len(said(AGENT, 0)) * 1000 / RATE_HZ


def soft(text: str, voice: int) -> Sound:
    """A sentence that begins softly."""
    return softly(said(text, voice))


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
    found += [Scene(BACKCHANNEL, (said, text, voice), seed=voice) for text in BACKCHANNELS for voice in range(3)]
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
