"""Claims about a WAV file that somebody names: what is read of it, and the one line that refuses it."""

from array import array
from collections.abc import Callable
from pathlib import Path

import pytest

from adapters.audio.wav_file import read_caller
from tests.shared.shell import level, write_wav


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


def a_text(path: Path) -> None:
    path.write_text("hello " * 20)


def an_empty_file(path: Path) -> None:
    path.touch()


def a_wav_without_sound(path: Path) -> None:
    write_wav(path, b"")


def a_wav_of_six_channels(path: Path) -> None:
    write_wav(path, bytes(120), channels=6)


def a_wav_of_one_hertz(path: Path) -> None:
    write_wav(path, bytes(120), rate_hz=1)


def a_wav_of_40_bit_samples(path: Path) -> None:
    data = bytearray(write_wav(path, bytes(120)).read_bytes())
    data[34:36] = (40).to_bytes(2, "little")
    path.write_bytes(data)


def a_wav_of_a_law(path: Path) -> None:
    data = bytearray(write_wav(path, bytes(120)).read_bytes())
    data[20:22] = (6).to_bytes(2, "little")
    path.write_bytes(data)


def a_folder(path: Path) -> None:
    path.mkdir()


def nothing(_: Path) -> None:
    """There is no such file."""


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (nothing, "can't be read .No such file or directory.; give the path"),
        (a_folder, "can't be read .Is a directory.; give the path"),
        (a_text, "that is no WAV; convert it with: ffmpeg"),
        (an_empty_file, "that is no WAV: it is empty; convert it with"),
        (a_wav_without_sound, "holds no sound; convert it"),
        (a_wav_of_six_channels, "6 channels, 16 bits.*; convert it with"),
        (a_wav_of_one_hertz, ", 1 Hz.*; convert it with"),
        (a_wav_of_40_bit_samples, "1 channels, 40 bits.*; convert it with"),
        (a_wav_of_a_law, "of kind 6 .*; convert it with"),
    ],
)
def test_a_file_that_is_no_callers_wav_is_refused_in_one_line_that_says_what_to_do(
    tmp_path: Path, make: Callable[[Path], None], says: str
) -> None:
    path = tmp_path / "caller.wav"
    make(path)
    with pytest.raises(ValueError, match=says) as caught:
        read_caller(path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)
