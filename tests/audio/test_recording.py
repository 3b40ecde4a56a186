"""Claims about the recording of a call with real sound: both sides lie where they were heard, and it always plays."""

import wave
from pathlib import Path

import numpy as np
import pytest

from adapters.audio.recording import LAG_FRAMES, Recording, RecordingFailed
from adapters.seam.ports import FRAME_BYTES, RATE_HZ
from tests.shared.shell import distinct as sound

FRAME_S = 0.02


def written(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Both sides of a recording."""
    with wave.open(str(path), "rb") as file:
        assert file.getparams()[:3] == (2, 2, RATE_HZ)
        both = np.frombuffer(file.readframes(file.getnframes()), "<i2").reshape(-1, 2)
    return both[:, 0], both[:, 1]


def test_the_agent_is_recorded_where_it_was_heard(tmp_path: Path) -> None:
    caller, agent = [sound(20, number) for number in range(50)], sound(100, 99)
    with Recording(tmp_path / "call.wav") as recording:
        for number, frame in enumerate(caller):
            recording.caller(10.0 + number * FRAME_S, frame)
            if number == 20:
                recording.agent(10.3, agent[: len(agent) // 2])
            if number == 23:
                recording.agent(10.352, agent[len(agent) // 2 :])
    left, right = written(tmp_path / "call.wav")
    assert left.tobytes() == b"".join(caller)
    begin = round(0.3 * RATE_HZ)
    assert right[begin : begin + len(agent) // 2].tobytes() == agent, "2 ms are the clock's, not a gap"
    assert not right[:begin].any()
    assert not right[begin + len(agent) // 2 :].any()


def test_sound_that_the_microphone_lost_is_silence_in_the_recording(tmp_path: Path) -> None:
    with Recording(tmp_path / "call.wav") as recording:
        for at_s in (5.0, 5.02, 6.04, 6.06):
            recording.caller(at_s, b"\1\1" * (FRAME_BYTES // 2))
    left, _ = written(tmp_path / "call.wav")
    assert len(left) == pytest.approx(RATE_HZ * 1.08, abs=RATE_HZ * FRAME_S)
    assert np.count_nonzero(left) == 4 * FRAME_BYTES // 2


@pytest.mark.parametrize("ppm", [-1_000, -100, 100, 1_000])
def test_both_sides_stay_together_for_ten_minutes_though_the_microphones_clock_is_wrong(tmp_path: Path, ppm: int) -> None:
    """Both hear one click a minute at the same time; the loudspeaker's times are right."""
    click = b"\0\x40" * (FRAME_BYTES // 2)
    with Recording(tmp_path / "call.wav") as recording:
        for number in range(30_000):
            at_s = number * FRAME_S * (1 - ppm / 1e6)
            is_click = number % 3_000 == 2_900
            recording.caller(at_s, click if is_click else bytes(FRAME_BYTES))
            if is_click:
                recording.agent(at_s, click)
    left, right = written(tmp_path / "call.wav")
    apart = np.flatnonzero(np.diff(left) > 0) - np.flatnonzero(np.diff(right) > 0)
    assert len(apart) == 10
    assert np.abs(apart).max() <= 0.005 * RATE_HZ
    assert len(left) == 30_000 * FRAME_BYTES // 2, "no silence was put in"


def test_what_is_heard_of_the_agent_after_the_microphone_was_lost_is_recorded(tmp_path: Path) -> None:
    with Recording(tmp_path / "call.wav") as recording:
        recording.caller(5.0, bytes(FRAME_BYTES))
        recording.agent(5.0, sound(1_000))
    left, right = written(tmp_path / "call.wav")
    assert right.tobytes() == sound(1_000)
    assert len(left) == len(right)


def test_a_recording_that_cannot_be_made_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(RecordingFailed, match="give a path that can"), Recording(tmp_path):
        pass


def test_the_header_is_right_while_the_call_goes_on(tmp_path: Path) -> None:
    with Recording(tmp_path / "call.wav") as recording:
        for number in range(51 + LAG_FRAMES):
            recording.caller(number * FRAME_S, bytes(FRAME_BYTES))
        left, _ = written(tmp_path / "call.wav")
        assert len(left) >= 50 * FRAME_BYTES // 2
