"""Claims about the decoding of WAV files that arrive in pieces, honest, lying and damaged ones."""

import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from speech import loudest_hz, sine, streamed, wav

from adapters.wav import MAX_AUDIO_S, MAX_HEADER_BYTES, WavError, WavStream, wav_to_pcm


@pytest.mark.parametrize(
    "name", ["empty", "a beginning", "an MP3", "no sound", "no format", "no end", "cut off", "8 bits", "three channels"]
)
def test_a_damaged_wav_is_refused_in_one_line(name: str) -> None:
    body, words = {
        "empty": (b"", "no WAV: it is empty"),
        "a beginning": (b"RIFF", "no WAV"),
        "an MP3": (b"ID3\x04" + b"\0" * 100, "no WAV but an MP3"),
        "no sound": (wav(np.zeros(0, "<i2")), "holds no sound"),
        "no format": (b"RIFF\x0e\0\0\0WAVEdata\x02\0\0\0\0\0", "no format"),
        "no end": (wav(sine(0.1))[:30], "no format or no sound"),
        "cut off": (wav(sine(1))[:-2], "cut off: 48000 bytes are declared and 47998 came"),
        "8 bits": (wav(sine(1), width=1), "send 16-bit PCM"),
        "three channels": (wav(np.zeros(300, "<i2"), channels=3), "send 16-bit PCM"),
    }[name]
    with pytest.raises(WavError, match=words) as refused:
        wav_to_pcm(body)
    assert "\n" not in str(refused.value)


def test_a_wav_that_is_far_too_long_is_refused_before_its_end() -> None:
    stream = WavStream()
    stream.feed(streamed(wav(np.zeros(4_000 * MAX_AUDIO_S, "<i2"), rate=4_000)))
    with pytest.raises(WavError, match="lasts more than 120 s"):
        stream.feed(b"\0\0")


def test_a_header_without_end_is_refused() -> None:
    stream = WavStream()
    with pytest.raises(WavError, match="no sound in its first"):
        stream.feed(b"RIFF\0\0\0\0WAVELIST" + struct.pack("<I", MAX_HEADER_BYTES))


@pytest.mark.parametrize("declared", [0, 0x7FFF_FFFF, 0x7FFF_FFFF - 36, 0xFFFF_FFFF])
def test_a_size_that_is_none_means_all_that_comes(declared: int) -> None:
    whole = wav(sine(1))
    body = whole[:40] + struct.pack("<I", declared) + whole[44:]
    assert wav_to_pcm(body) == wav_to_pcm(whole) == whole[44:]


def test_a_size_that_is_too_large_is_no_fault_of_a_stream() -> None:
    whole = wav(sine(1))
    stream = WavStream()
    assert stream.feed(whole[:-2]) + stream.end() == whole[44:-2]


def test_a_size_that_is_too_small_cuts_no_sound() -> None:
    whole = wav(sine(1))
    body = whole[:40] + struct.pack("<I", 1_000) + whole[44:]
    assert wav_to_pcm(body) == whole[44:]


def test_what_follows_the_sound_is_not_heard() -> None:
    whole = wav(sine(1))
    assert wav_to_pcm(whole + b"LIST\x04\0\0\0abcd") == whole[44:]


def test_pieces_with_headers_of_their_own_are_put_together() -> None:
    one, two = wav(sine(0.1)), wav(sine(0.2))
    assert wav_to_pcm(one + two) == one[44:] + two[44:]


def test_a_stream_that_ends_within_a_sample_is_heard_without_it() -> None:
    body = streamed(wav(sine(0.1)))
    stream = WavStream()
    assert stream.feed(body + b"\x01") + stream.end() == body[44:]
    with pytest.raises(WavError, match="not whole"):
        wav_to_pcm(body + b"\x01")


def test_a_wav_of_floats_and_other_chunks_is_understood() -> None:
    sound = (sine(1) / 32_768).astype("<f4").tobytes()
    header = struct.pack("<HHIIHH", 3, 1, 24_000, 96_000, 4, 32)
    parts = [(b"LIST", b"odd"), (b"fmt ", header), (b"data", sound)]
    body = b"".join(name + struct.pack("<I", len(part)) + part + b"\0" * (len(part) % 2) for name, part in parts)
    pcm = wav_to_pcm(b"RIFF" + struct.pack("<I", len(body) + 4) + b"WAVE" + body)
    assert np.abs(np.frombuffer(pcm, "<i2") - sine(1)).max() <= 2


@pytest.mark.parametrize(("rate", "channels"), [(8_000, 1), (16_000, 2), (22_050, 1), (44_100, 2), (96_000, 1)])
def test_a_tone_keeps_its_pitch_and_length_at_any_rate(rate: int, channels: int) -> None:
    pcm = wav_to_pcm(wav(np.repeat(sine(1, rate), channels), channels=channels, rate=rate))
    assert len(pcm) / 2 == pytest.approx(24_000, abs=2)
    assert loudest_hz(pcm) == pytest.approx(440, abs=2)


@pytest.mark.parametrize(("rate", "channels"), [(24_000, 1), (24_000, 2), (44_100, 1)])
@given(sizes=st.lists(st.integers(1, 700), max_size=40))
def test_the_sound_does_not_depend_on_the_pieces(rate: int, channels: int, sizes: list[int]) -> None:
    body = wav(np.repeat(sine(0.05, rate), channels), channels=channels, rate=rate)
    stream, at, pcm = WavStream(whole=True), 0, b""
    for size in [*sizes, len(body)]:
        piece = stream.feed(body[at : at + size])
        assert len(piece) % 2 == 0
        pcm += piece
        at += size
    assert np.abs(np.frombuffer(pcm + stream.end(), "<i2").astype(int) - np.frombuffer(wav_to_pcm(body), "<i2")).max() <= 4, (
        "the resampler dithers"
    )


@given(st.one_of(st.binary(max_size=200), st.tuples(st.integers(0, 60), st.binary(max_size=8)).map(lambda at: _overwritten(*at))))
def test_any_bytes_are_whole_samples_or_refused(body: bytes) -> None:
    try:
        pcm = wav_to_pcm(body)
    except WavError as refused:
        assert "\n" not in str(refused)
    else:
        assert len(pcm) % 2 == 0


def _overwritten(at: int, damage: bytes) -> bytes:
    whole = wav(sine(0.01))
    return whole[:at] + damage + whole[at + len(damage) :]
