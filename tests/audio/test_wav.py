"""Claims about the decoding of WAV files that arrive in pieces, honest, lying and damaged ones."""

import struct

import numpy as np
import pytest
from hypothesis import given, strategies as st

from adapters.audio.wav import MAX_AUDIO_S, MAX_HEADER_BYTES, WavError, WavStream
from tests.shared.speech import loudest_hz, sine, streamed, wav, wav_to_pcm


def chunked(kind: int, bits: int, sound: bytes, *, channels: int = 1, extensible: bool = False, after: bytes = b"") -> bytes:
    """A WAV of samples of any kind, behind a chunk of odd length."""
    block = channels * bits // 8
    form = struct.pack("<HHIIHH", 0xFFFE if extensible else kind, channels, 24_000, 24_000 * block, block, bits)
    if extensible:
        # the kind begins the last field, and the rest of it is the same for all
        form += struct.pack("<HHIH", 22, bits, 0, kind) + bytes.fromhex("000000001000800000aa00389b71")
    parts = [(b"LIST", b"odd"), (b"fmt ", form), (b"data", sound)]
    body = b"".join(name + struct.pack("<I", len(part)) + part + b"\0" * (len(part) % 2) for name, part in parts) + after
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WAVE" + body


def rf64(sound: bytes, after: bytes = b"") -> bytes:
    """A WAV whose sizes stand in a part of their own."""
    small = chunked(1, 16, sound, after=after)[12:].replace(b"data" + struct.pack("<I", len(sound)), b"data\xff\xff\xff\xff")
    sizes = b"ds64" + struct.pack("<IQQQI", 28, len(small) + 40, len(sound), len(sound) // 2, 0)
    return b"RF64\xff\xff\xff\xffWAVE" + sizes + small


@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_an_rf64_is_heard_to_its_true_end(size: int, whole: bool) -> None:
    body, stream = rf64(sine(0.1).tobytes(), after=b"LIST\4\0\0\0odd!"), WavStream(whole=whole)
    heard = b"".join(stream.feed(body[at : at + size]) for at in range(0, len(body), size)) + stream.end()
    assert heard == sine(0.1).tobytes()


def test_an_rf64_that_stops_short_is_told_as_that() -> None:
    with pytest.raises(WavError, match="cut off: 4800 bytes are declared and 4798 came"):
        wav_to_pcm(rf64(sine(0.1).tobytes())[:-2])


G711 = {
    6: {0xD5: 8, 0x55: -8, 0xD4: 24, 0xAA: 32_256, 0x2A: -32_256, 0x80: 5_504, 0x00: -5_504},
    7: {0xFF: 0, 0x7F: 0, 0xFE: 8, 0x80: 32_124, 0x00: -32_124, 0x8F: 16_764, 0x0F: -16_764},
}
"""Samples of some octets, by the tables of G.711: A-law (6) and mu-law (7)."""


@pytest.mark.parametrize("kind", G711)
def test_the_telephones_eight_bits_are_understood(kind: int) -> None:
    octets, samples = bytes(G711[kind]), list(G711[kind].values())
    stream = WavStream(whole=True)
    assert np.frombuffer(stream.feed(chunked(kind, 8, octets)) + stream.end(), "<i2").tolist() == samples


@pytest.mark.parametrize(("kind", "bits", "octet"), [(1, 16, 0), (1, 24, 0), (1, 8, 0x80), (3, 32, 0), (6, 8, 0xD5), (7, 8, 0xFF)])
def test_silence_is_told_from_sound_in_each_kind_of_samples(kind: int, bits: int, octet: int) -> None:
    """R91."""
    silence, stream = bytes([octet]) * (bits // 8 * 100), WavStream()
    stream.feed(chunked(kind, bits, silence))
    assert not stream.loud
    stream.feed(silence[:-1] + bytes([octet ^ 0x3F]) + silence)
    assert stream.loud


@pytest.mark.parametrize(
    ("kind", "bits", "channels", "sample"),
    [(3, 32, 1, struct.pack("<f", float("nan"))), (3, 32, 1, b"\0\0\0\1"), (1, 24, 1, b"\1\0\0"), (1, 16, 2, b"\0\x40\0\xc0")],
    ids=["no number", "too small a float", "too small a number", "channels that undo each other"],
)
def test_what_comes_to_nothing_is_silence(kind: int, bits: int, channels: int, sample: bytes) -> None:
    """R91."""
    stream = WavStream()
    assert not any(stream.feed(chunked(kind, bits, sample * 100, channels=channels)))
    assert not stream.loud


@pytest.mark.parametrize(
    "name", ["empty", "a beginning", "an MP3", "no sound", "no format", "no end", "cut off", "12 bits", "ADPCM", "three channels", "late"]
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
        "12 bits": (chunked(1, 12, sine(1).tobytes()), "of kind 1 with 1 channels, 12 bits, 24000 Hz: send 16-bit PCM"),
        "ADPCM": (chunked(2, 8, bytes(100)), "send 16-bit PCM"),
        "late": (b"\0" + wav(sine(1)), "no WAV"),
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


@pytest.mark.parametrize("declared", [0, 0x7FFF_FFFF, 0x7FFF_FFFF - 36, 0xFFFF_FFFF, 2_000_000_000, 100_000_000])
@pytest.mark.parametrize("believed", [True, False])
def test_a_size_that_is_none_means_all_that_comes(declared: int, believed: bool) -> None:
    whole = wav(sine(1))
    stream = WavStream(whole=believed)
    assert stream.feed(whole[:40] + struct.pack("<I", declared) + whole[44:]) + stream.end() == whole[44:]


@pytest.mark.parametrize("size", [1, 7, 44, 48_044, 200_000])
def test_the_header_of_each_piece_is_no_sound_where_none_says_how_long_it_is(size: int) -> None:
    whole = wav(sine(1))
    body = streamed(whole) * 2 + b"RIF"
    stream = WavStream()
    pcm = b"".join(stream.feed(body[at : at + size]) for at in range(0, len(body), size)) + stream.end()
    assert pcm == whole[44:] * 2 + b"RI"


def test_what_only_looks_like_a_header_is_sound() -> None:
    whole = streamed(wav(sine(1)))
    stream = WavStream()
    odd = b"RIFF1234RIFF1234WAVX"
    assert stream.feed(whole + odd) + stream.end() == whole[44:] + odd


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
    assert wav_to_pcm(body + b"\x01") == body[44:]


ENCODINGS = {
    (1, 8): lambda sound: (sound // 256 + 128).astype("u1"),
    (1, 16): lambda sound: sound.astype("<i2"),
    (1, 24): lambda sound: (sound.astype("<i4") << 8).view("u1").reshape(-1, 4)[:, :3],
    (1, 32): lambda sound: sound.astype("<i4") << 16,
    (3, 32): lambda sound: (sound / 32_768).astype("<f4"),
    (3, 64): lambda sound: (sound / 32_768).astype("<f8"),
}
"""How samples of 16 bits are written in each way, by kind and bits."""


@pytest.mark.parametrize("extensible", [False, True])
@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize(("kind", "bits"), ENCODINGS)
def test_samples_of_every_usual_kind_are_understood_however_they_are_cut(kind: int, bits: int, channels: int, extensible: bool) -> None:
    sound = sine(0.101)
    body = chunked(kind, bits, ENCODINGS[kind, bits](np.repeat(sound, channels)).tobytes(), channels=channels, extensible=extensible)
    stream = WavStream(whole=True)
    pcm = b"".join(stream.feed(body[at : at + 7]) for at in range(0, len(body), 7)) + stream.end()
    assert np.abs(np.frombuffer(pcm, "<i2") - sound.astype(int)).max() <= (256 if bits == 8 else 2)


@pytest.mark.parametrize("size", [1, 2, 3, 1_000])
def test_the_byte_that_pads_an_odd_sound_is_not_heard(size: int) -> None:
    sound = np.full(2_401, 160, "u1").tobytes()
    body = chunked(1, 8, sound, after=b"LIST\x04\0\0\0abcd")
    stream = WavStream(whole=True)
    pcm = b"".join(stream.feed(body[at : at + size]) for at in range(0, len(body), size)) + stream.end()
    assert pcm == np.full(2_401, 8_192, "<i2").tobytes()
    assert wav_to_pcm(chunked(1, 8, sound) + body) == pcm + pcm, "the next piece's header stands behind it too"


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
