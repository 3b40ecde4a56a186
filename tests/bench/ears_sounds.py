"""The seeded sounds that the ears are measured with: callers, noises, sounds that are no voice, rooms; every one is the same each time.

Sound is float samples at 24 kHz in 16-bit units. Voices are the stand-in's at several pitches and paces, at -26 dBFS; a noise has its
level by its root mean square. No recording is among them: street, babble and music are made to be like theirs.
"""

from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from adapters.seam.ports import RATE_HZ
from adapters.standin.voice import Voice

Sound = npt.NDArray[np.float64]
SPEECH_RMS = 32_768 * 10 ** (-26 / 20)
"""-26 dBFS, the level at which ITU-T P.56 has speech measured."""
VOICES = ((1.0, 1.0), (0.8, 0.9), (1.25, 1.1), (0.9, 1.3), (1.1, 0.85))
"""Pitch and pace of the callers."""
AGENT = "We are open from Monday to Friday, from half past eight in the morning until six. Our prices depend on the bicycle you bring."
SENTENCES = ("Sorry, how much is a puncture repair?", "Hold on, that is not what I asked for.", "I only need a new chain for my bicycle.")
WORDS = ("Stop.", "Wait.", "No.", "Hello?", "Sorry?", "Excuse me.")
BACKCHANNELS = ("Yeah.", "Mm hmm.", "Uh huh.", "Right.", "Okay.")
NOISES = ("white", "pink", "babble", "street", "hum", "music")


def at_rms(sound: Sound, rms: float) -> Sound:
    """The same sound at a level; that of speech is taken where it is loud."""
    parts = np.sqrt(np.mean(sound[: len(sound) // 480 * 480].reshape(-1, 480) ** 2, axis=1))
    return sound * (rms / np.sqrt(np.mean(parts[parts > parts.max() / 10] ** 2)))


@cache
def said(text: str, voice: int = 0) -> Sound:
    """Somebody says something."""
    pitch, pace = VOICES[voice % len(VOICES)]
    return at_rms(np.frombuffer(b"".join(Voice.load().speak(text, pitch=pitch, pace=pace)), "<i2").astype(np.float64), SPEECH_RMS)


def softly(sound: Sound, ms: float = 200) -> Sound:
    """The same sound that grows louder for so long."""
    size = int(ms * RATE_HZ / 1000)
    grown = sound.copy()
    grown[:size] *= np.linspace(0.05, 1, size)
    return grown


def onset_ms(sound: Sound) -> float:
    """When a sound can be heard to begin: its first 10 ms within 30 dB of its loudest."""
    parts = np.sqrt(np.mean(sound[: len(sound) // 240 * 240].reshape(-1, 240) ** 2, axis=1))
    return 10.0 * int(np.argmax(parts > parts.max() / 32))


def noise(kind: str, seconds: float, rms: float, seed: int) -> Sound:
    """So much of a noise."""
    size, rng = int(seconds * RATE_HZ), np.random.default_rng(seed)
    return at_rms(_NOISES[kind](size, rng), rms)


def _shaped(size: int, rng: Any, slope: float, low_hz: float = 40, high_hz: float = 12_000) -> Sound:
    """Noise whose power falls by 3 dB an octave for a slope of 1."""
    hz = np.fft.rfftfreq(size, 1 / RATE_HZ)
    shape = np.where((hz >= low_hz) & (hz <= high_hz), np.maximum(hz, 1.0) ** (-slope / 2), 0.0)
    made: Sound = np.fft.irfft(np.fft.rfft(rng.normal(0, 1, size)) * shape, size)
    return made / np.sqrt(np.mean(made**2))


def _babble(size: int, rng: Any) -> Sound:
    """Eight people who speak at once."""
    mixed = np.zeros(size)
    for person in range(8):
        words = np.tile(said(AGENT, person), 1 + size // len(said(AGENT, person)))
        mixed += np.roll(words, int(rng.integers(len(words))))[:size]
    return mixed


def _street(size: int, rng: Any) -> Sound:
    """Cars: low noise that swells and fades by some 8 dB every few seconds."""
    seconds = np.arange(size) / RATE_HZ
    swell = 10 ** (4 * np.sin(2 * np.pi * seconds / rng.uniform(2.5, 4) + rng.uniform(0, 6)) / 20)
    return _shaped(size, rng, 1.6, 30, 6_000) * swell


def _hum(size: int, rng: Any) -> Sound:
    """The mains and its harmonics, with a little hiss."""
    seconds = np.arange(size) / RATE_HZ
    waves = sum(np.sin(2 * np.pi * 50 * n * seconds + rng.uniform(0, 6)) / n for n in range(1, 12))
    return waves + 0.1 * rng.normal(0, 1, size)


def _music(size: int, rng: Any) -> Sound:
    """Plucked chords, two a second, over a bass."""
    mixed = np.zeros(size)
    step = RATE_HZ // 2
    seconds = np.arange(RATE_HZ) / RATE_HZ
    for begin in range(0, size, step):
        for hz in rng.choice([110, 165, 220, 262, 330, 392, 440, 523], 4, replace=False):
            tone = sum(np.sin(2 * np.pi * hz * n * seconds) / n for n in range(1, 6)) * np.exp(-3 * seconds)
            part = tone[: max(0, size - begin)]
            mixed[begin : begin + len(part)] += part
    return mixed


_NOISES = {
    "white": lambda size, rng: rng.normal(0, 1, size),
    "pink": lambda size, rng: _shaped(size, rng, 1),
    "babble": _babble,
    "street": _street,
    "hum": _hum,
    "music": _music,
}


def _burst(ms: float, rng: Any, low_hz: float, high_hz: float, attack_ms: float = 5) -> Sound:
    """Noise that bursts out and fades."""
    size = int(ms * RATE_HZ / 1000)
    time = np.arange(size) / size
    return _shaped(size, rng, 0.5, low_hz, high_hz) * np.minimum(1, time * ms / attack_ms) * np.exp(-3 * time)


def _glottal(ms: float, rng: Any, hz: float) -> Sound:
    """A throat's pulses through an open mouth, falling in pitch: what is voiced in a cough and a laugh."""
    size = int(ms * RATE_HZ / 1000)
    time = np.arange(size) / RATE_HZ
    phase = np.cumsum(hz * (1 - 0.3 * np.arange(size) / size)) / RATE_HZ
    source = (phase % 1.0) - 0.5 + 0.1 * rng.normal(0, 1, size)
    spectrum, at_hz = np.fft.rfft(source), np.fft.rfftfreq(size, 1 / RATE_HZ)
    mouth = sum(1 / (1 + ((at_hz - formant) / wide) ** 2) for formant, wide in ((700, 90), (1_200, 110), (2_600, 160)))
    return np.fft.irfft(spectrum * mouth, size) * np.minimum(1, time / 0.02) * np.exp(-2 * np.arange(size) / size)


def _repeated(parts: list[Sound], gap_ms: float) -> Sound:
    gap = np.zeros(int(gap_ms * RATE_HZ / 1000))
    return np.concatenate([piece for part in parts for piece in (part, gap)])


def made(kind: str, seed: int) -> Sound:
    """A sound that is no word, as loud as speech."""
    rng = np.random.default_rng(seed)
    return at_rms(_MADE[kind](rng), SPEECH_RMS)


_MADE = {
    "cough": lambda rng: _burst(rng.uniform(200, 320), rng, 300, 5_000),
    "three coughs": lambda rng: _repeated([_burst(220, rng, 300, 5_000) for _ in range(3)], 260),
    "sneeze": lambda rng: np.concatenate([0.2 * _burst(300, rng, 500, 6_000, 250), _burst(260, rng, 800, 9_000)]),
    "breath": lambda rng: 0.15 * _burst(700, rng, 300, 6_000, 300),
    "slam": lambda rng: _burst(180, rng, 40, 1_500, 1),
    "tone": lambda rng: np.sin(2 * np.pi * rng.uniform(350, 1_000) * np.arange(RATE_HZ) / RATE_HZ),
    "level step": lambda rng: rng.normal(0, 1, 2 * RATE_HZ),
    "voiced cough": lambda rng: np.concatenate(
        [_burst(60, rng, 300, 5_000) * 0.02, _glottal(rng.uniform(130, 200), rng, rng.uniform(110, 220))]
    ),
    "three voiced coughs": lambda rng: _repeated([_glottal(140, rng, 150) for _ in range(3)], 300),
    "laugh": lambda rng: _repeated([_glottal(100, rng, hz) for hz in rng.uniform(160, 300) * np.array([1, 0.97, 0.93, 0.9, 0.86])], 90),
}
UNVOICED = ("cough", "three coughs", "sneeze", "breath", "slam", "tone", "level step")
VOICED = ("voiced cough", "three voiced coughs", "laugh")


def room(level_db: float, delay_ms: float, reverberant: bool, seed: int = 0) -> Sound:
    """What a loudspeaker's sound becomes on its way to the microphone: so much quieter, so late, perhaps with a tail of 0.3 s."""
    size = int(delay_ms * RATE_HZ / 1000)
    response = np.zeros(size + (RATE_HZ * 3 // 10 if reverberant else 1))
    response[size] = 1.0
    if reverberant:
        tail = np.arange(len(response) - size) / RATE_HZ
        response[size:] += np.random.default_rng(seed).normal(0, 0.03, len(tail)) * np.exp(-tail / 0.045)
    agent = said(AGENT)
    heard = np.convolve(agent, response)[: len(agent)]
    return response * (10 ** (level_db / 20) * np.sqrt(np.mean(agent**2) / np.mean(heard**2)))
