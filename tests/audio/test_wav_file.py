"""Claims about a WAV file that somebody names: what is read of it, and the one line that refuses it."""

from array import array
from pathlib import Path

import pytest

from adapters.audio.wav_file import read_caller
from tests.shared.shell import level, write_wav
from tests.shared.speech import wav

SILENCE = array("h", bytes(120))


def test_a_24_khz_mono_16_bit_wav_is_read_bit_for_bit(tmp_path: Path) -> None:
    data = array("h", [-32768, 32767, 0, 1, -1, 12_345]).tobytes()
    assert read_caller(write_wav(tmp_path / "a.wav", data)) == data


def test_two_channels_are_averaged(tmp_path: Path) -> None:
    data = array("h", [1_000, 3_000, -2_000, 0]).tobytes()
    assert read_caller(write_wav(tmp_path / "a.wav", data, channels=2)) == array("h", [2_000, -1_000]).tobytes()


def test_a_wav_cut_off_in_mid_sample_is_read_up_to_there(tmp_path: Path) -> None:
    path = write_wav(tmp_path / "a.wav", level(20))
    path.write_bytes(path.read_bytes()[:-3])
    assert read_caller(path) == level(20)[:-4]


@pytest.mark.parametrize(
    ("octets", "says"),
    [
        (None, "can't be read .No such file or directory.; give the path"),
        (b"hello " * 20, "that is no WAV; convert it with: ffmpeg"),
        (b"", "that is no WAV: it is empty; convert it with"),
        (wav(array("h")), "holds no sound; convert it"),
        (wav(SILENCE, channels=6), "6 channels, 16 bits.*; convert it with"),
        (wav(SILENCE, rate=1), ", 1 Hz.*; convert it with"),
        (wav(SILENCE)[:34] + b"\x28\x00" + wav(SILENCE)[36:], "1 channels, 40 bits.*; convert it with"),
        (wav(SILENCE)[:20] + b"\x06\x00" + wav(SILENCE)[22:], "of kind 6 .*; convert it with"),
    ],
)
def test_a_file_that_is_no_callers_wav_is_refused_in_one_line_that_says_what_to_do(tmp_path: Path, octets: bytes | None, says: str) -> None:
    path = tmp_path / "caller.wav"
    if octets is not None:
        path.write_bytes(octets)
    with pytest.raises(ValueError, match=says) as caught:
        read_caller(path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def test_a_folder_is_no_callers_wav(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"can't be read .Is a directory.; give the path"):
        read_caller(tmp_path)
