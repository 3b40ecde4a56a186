"""Claims about telephone sound: mu-law is G.711's, and the step between 24 and 8 kHz keeps speech and adds no lag."""

import importlib
import warnings

import numpy as np
import pytest
import soxr

from adapters.seam import mulaw
from adapters.standin.ears import decode as others_decode
from adapters.twilio.narrowband import TAPS, Downsampler, Upsampler

EVERY_SAMPLE = np.arange(-32_768, 32_768).astype("<i2")
EVERY_OCTET = bytes(range(256))
LAG = (TAPS - 1) // 2


def as_samples(pcm: bytes) -> "np.ndarray[tuple[int], np.dtype[np.float64]]":
    return np.frombuffer(pcm, "<i2").astype(np.float64)


def tone(hz: float, rate_hz: int, seconds: float = 0.5) -> bytes:
    return (10_000 * np.sin(2 * np.pi * hz * np.arange(round(rate_hz * seconds)) / rate_hz)).astype("<i2").tobytes()


def in_frames(feed: "Downsampler | Upsampler", pcm: bytes, size: int) -> list[bytes]:
    return [feed.feed(pcm[start : start + size]) for start in range(0, len(pcm), size)]


def loudness(samples: "np.ndarray[tuple[int], np.dtype[np.float64]]") -> float:
    return float(20 * np.log10(np.sqrt(np.mean(np.square(samples))) + 1e-9))


# Mu-law.


def test_the_known_octets_of_g711() -> None:
    assert as_samples(mulaw.decode(b"\xff\x7f\x80\x00\xf0\x8f")).tolist() == [0, 0, 32_124, -32_124, 120, 16_764]


def test_what_was_decoded_is_encoded_to_the_same_octets() -> None:
    assert mulaw.encode(mulaw.decode(EVERY_OCTET)) == EVERY_OCTET.replace(b"\x7f", b"\xff")


def test_a_sample_is_off_by_at_most_half_a_step_of_its_segment() -> None:
    wanted = as_samples(EVERY_SAMPLE.tobytes()).clip(-32_635, 32_635)
    error = np.abs(as_samples(mulaw.decode(mulaw.encode(EVERY_SAMPLE.tobytes()))) - wanted)
    assert (error <= (np.abs(wanted) + 132) / 32).all()


def test_the_stand_in_decodes_the_same() -> None:
    assert as_samples(mulaw.decode(EVERY_OCTET)).tolist() == others_decode("audio/pcmu", EVERY_OCTET).tolist()


def test_the_standard_librarys_old_tables_agree() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        try:
            audioop = importlib.import_module("audioop")
        except ImportError:
            pytest.skip("audioop is gone since Python 3.13")
    assert mulaw.decode(EVERY_OCTET) == audioop.ulaw2lin(EVERY_OCTET, 2)
    ours = np.frombuffer(mulaw.encode(EVERY_SAMPLE.tobytes()), "u1")
    theirs = np.frombuffer(audioop.lin2ulaw(EVERY_SAMPLE.tobytes(), 2), "u1")
    differing = np.flatnonzero(ours != theirs)
    assert len(differing) < 400, "it drops two bits of a sample first, so that samples on a boundary may go to the other side"
    assert (np.abs(ours[differing].astype(int) - theirs[differing]) == 1).all()


def test_silence_is_silence() -> None:
    assert mulaw.encode(bytes(320)) == mulaw.SILENCE * 160


def test_half_a_sample_is_refused() -> None:
    with pytest.raises(ValueError, match="3 bytes are not whole"):
        mulaw.encode(b"abc")


# 24 kHz and 8 kHz.


def test_a_frame_in_is_a_frame_out() -> None:
    assert {len(frame) for frame in in_frames(Downsampler(), tone(440, 24_000), 960)} == {320}
    assert {len(frame) for frame in in_frames(Upsampler(), tone(440, 8_000), 320)} == {960}


@pytest.mark.parametrize("hz", [300, 1_000, 2_000, 3_000])
def test_what_a_telephone_carries_passes_unchanged(hz: float) -> None:
    down = as_samples(b"".join(in_frames(Downsampler(), tone(hz, 24_000), 960)))
    wanted = as_samples(soxr.resample(np.frombuffer(tone(hz, 24_000), "<i2"), 24_000, 8_000).tobytes())
    whole = slice(100, -100)
    assert loudness(down[LAG // 3 :][whole] - wanted[: -LAG // 3][whole][: len(down[LAG // 3 :][whole])]) < loudness(wanted) - 45
    up = as_samples(b"".join(in_frames(Upsampler(), tone(hz, 8_000), 320)))
    pure = as_samples(tone(hz, 24_000))
    assert loudness(up[LAG:][whole] - pure[:-LAG][whole]) < loudness(pure) - 40


@pytest.mark.parametrize("hz", [4_200, 5_000, 7_000, 11_000])
def test_what_a_telephone_does_not_carry_is_taken_away(hz: float) -> None:
    down = as_samples(b"".join(in_frames(Downsampler(), tone(hz, 24_000), 960)))
    assert loudness(down[100:]) < loudness(as_samples(tone(hz, 24_000))) - 55


def test_nothing_above_the_telephones_band_is_added() -> None:
    up = as_samples(b"".join(in_frames(Upsampler(), tone(3_000, 8_000), 320)))[2_000:10_000]
    spectrum = np.abs(np.fft.rfft(up * np.hanning(len(up))))
    above = np.fft.rfftfreq(len(up), 1 / 24_000) > 4_200
    assert spectrum[above].max() < spectrum.max() / 1_000


@pytest.mark.parametrize("samples", [3, 33, 480, 1_200])
def test_frames_of_no_size_are_a_seam(samples: int) -> None:
    sound = np.random.default_rng(1).normal(0, 8_000, 24_000).clip(-32_768, 32_767).astype("<i2").tobytes()
    assert b"".join(in_frames(Downsampler(), sound, 2 * samples)) == Downsampler().feed(sound)
    assert b"".join(in_frames(Upsampler(), sound, 2 * samples)) == Upsampler().feed(sound)


def test_a_number_of_samples_that_is_no_multiple_of_three_is_refused() -> None:
    with pytest.raises(ValueError, match="multiple of 3"):
        Downsampler().feed(bytes(8))
    assert Downsampler().feed(b"") == Upsampler().feed(b"") == b""


def test_a_loud_sound_is_clipped_and_does_not_wrap() -> None:
    loud = np.full(9_600, 32_767, "<i2").tobytes()
    for out in (as_samples(Downsampler().feed(loud)), as_samples(Upsampler().feed(loud))):
        assert out[200:].min() > 32_000
