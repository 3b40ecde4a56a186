"""The virtual caller speaks on cue, whatever the machine's speed."""

from array import array
from collections.abc import Iterable

import numpy as np
import pytest

from adapters.seam.ports import FRAME_BYTES
from adapters.standin.caller import AfterQuiet, At, Cue, IntoSpeech, Line, ScriptedCaller, WavCaller

SILENCE = bytes(FRAME_BYTES)


def sound(ms: int, value: int = 1_000) -> bytes:
    """So many milliseconds of one value."""
    return array("h", [value] * (ms * 24)).tobytes()


def line(text: str, cue: Cue, ms: int = 100) -> Line:
    """A line that lasts `ms`."""
    return Line(sound(ms), text, cue)


def agent(*stretches: tuple[int, bool]) -> list[bool]:
    """What the agent does, frame by frame, from stretches of (milliseconds, audible)."""
    return [audible for ms, audible in stretches for _ in range(ms // 20)]


def listen(caller: ScriptedCaller | WavCaller, heard: Iterable[bool]) -> list[bytes]:
    """The caller's frames while the agent does this."""
    return [caller.next_frame(audible) for audible in heard]


def test_a_recording_is_played_once_to_its_last_sample_and_then_silence() -> None:
    caller = WavCaller(sound(50))
    frames = listen(caller, [True] * 4)
    assert b"".join(frames) == sound(50) + bytes(4 * FRAME_BYTES - len(sound(50)))
    assert caller.finished


def test_a_recording_is_finished_with_its_last_frame_and_not_before() -> None:
    caller = WavCaller(sound(40))
    caller.next_frame(False)
    assert not caller.finished
    caller.next_frame(False)
    assert caller.finished


def test_a_line_at_a_time_begins_in_the_frame_of_that_time() -> None:
    caller = ScriptedCaller([line("hello", At(200))], noise_dbfs=None)
    frames = listen(caller, [False] * 20)
    assert frames == [SILENCE] * 10 + [sound(20)] * 5 + [SILENCE] * 5
    assert caller.spoken == [(200, 300, "hello")]


def test_a_line_whose_time_has_passed_follows_the_one_before_at_once_and_no_line_overlaps_another() -> None:
    caller = ScriptedCaller([line("one", At(0)), line("two", At(40))])
    listen(caller, [False] * 20)
    assert caller.spoken == [(0, 100, "one"), (100, 200, "two")]


def test_after_quiet_waits_for_the_agent_to_speak_and_then_be_silent_for_so_long() -> None:
    caller = ScriptedCaller([line("yes", AfterQuiet(500))])
    listen(caller, agent((2_000, False), (1_000, True), (480, False), (400, True), (480, False)))
    assert caller.spoken == []
    listen(caller, agent((40, False)))
    assert caller.spoken == [(4_360, 4_460, "yes")]


def test_what_the_agent_said_before_the_last_line_is_no_answer_to_it() -> None:
    caller = ScriptedCaller([line("one", AfterQuiet(200)), line("two", AfterQuiet(200))])
    listen(caller, agent((500, True), (5_000, False)))
    assert [text for _, _, text in caller.spoken] == ["one"]


def test_the_end_of_what_a_short_line_interrupted_is_no_answer_to_it() -> None:
    caller = ScriptedCaller([line("stop", IntoSpeech(400)), line("thanks", AfterQuiet(200))])
    listen(caller, agent((400, True), (80, True), (300, True), (600, False)))
    assert [text for _, _, text in caller.spoken] == ["stop"]
    listen(caller, agent((20, True), (200, False)))
    assert [text for _, _, text in caller.spoken] == ["stop", "thanks"]


def test_into_speech_counts_audible_time_through_pauses_and_not_the_pauses() -> None:
    caller = ScriptedCaller([line("wait", IntoSpeech(1_000))])
    listen(caller, agent((600, True), (680, False), (380, True)))
    assert caller.spoken == []
    listen(caller, agent((20, True)))
    assert caller.spoken == [(1_660, 1_760, "wait")]


def test_a_silence_of_700_ms_ends_the_utterance_that_into_speech_counts() -> None:
    caller = ScriptedCaller([line("wait", IntoSpeech(1_000))])
    listen(caller, agent((900, True), (700, False), (980, True)))
    assert caller.spoken == []
    listen(caller, agent((20, True)))
    assert len(caller.spoken) == 1


def test_into_speech_does_not_count_what_the_agent_said_before_or_over_the_last_line() -> None:
    caller = ScriptedCaller([line("one", IntoSpeech(400)), line("two", IntoSpeech(400))])
    listen(caller, agent((400, True), (80, True), (380, True)))
    assert [text for _, _, text in caller.spoken] == ["one"]


def test_into_speech_of_zero_still_waits_for_speech() -> None:
    caller = ScriptedCaller([line("wait", IntoSpeech(0))])
    listen(caller, agent((1_000, False)))
    assert caller.spoken == []
    listen(caller, agent((20, True)))
    assert len(caller.spoken) == 1


@pytest.mark.parametrize("cue", [AfterQuiet(200, or_after_ms=600), IntoSpeech(200, or_after_ms=600)])
def test_a_cue_that_never_comes_is_given_up_after_its_patience_counted_from_the_last_line(cue: Cue) -> None:
    caller = ScriptedCaller([line("one", At(0)), line("anyone there?", cue)])
    listen(caller, [False] * 100)
    assert caller.spoken == [(0, 100, "one"), (700, 800, "anyone there?")]


def test_a_cue_without_patience_waits_for_ever() -> None:
    caller = ScriptedCaller([line("one", AfterQuiet(200, or_after_ms=None))])
    listen(caller, [False] * 10_000)
    assert caller.spoken == []


def test_a_caller_who_has_said_all_waits_for_the_agent_and_then_hangs_up() -> None:
    caller = ScriptedCaller([line("bye", At(0))], hang_up_after_ms=1_000)
    listen(caller, [True] * 4)
    assert not caller.said_all
    listen(caller, [True] * 50)
    assert caller.said_all and not caller.finished
    listen(caller, [True])
    assert caller.finished


def test_a_caller_with_a_line_left_never_hangs_up() -> None:
    caller = ScriptedCaller([line("one", AfterQuiet(0, or_after_ms=None))], hang_up_after_ms=0)
    listen(caller, [False] * 100)
    assert not caller.finished


def test_the_noise_between_lines_has_its_level_and_is_the_same_for_the_same_seed() -> None:
    noise, again, other = (b"".join(listen(ScriptedCaller([], seed=seed), [False] * 200)) for seed in (1, 1, 2))
    assert noise == again != other
    rms = np.sqrt(np.mean(np.frombuffer(noise, "<i2").astype(float) ** 2))
    assert 20 * np.log10(rms / 32768) == pytest.approx(-66, abs=0.2)


def test_every_frame_of_a_caller_is_a_whole_frame() -> None:
    caller = ScriptedCaller([Line(sound(30), "a", At(0)), Line(sound(1), "b", At(100))])
    assert {len(frame) for frame in listen(caller, [False] * 20)} == {FRAME_BYTES}


@pytest.mark.parametrize("pcm", [b"", b"\0\0\0"])
def test_a_line_without_whole_samples_is_an_error_in_one_line(pcm: bytes) -> None:
    with pytest.raises(ValueError, match="give 16-bit samples"):
        Line(pcm, "text", At(0))


@pytest.mark.parametrize("ms", [-1, float("nan")])
def test_a_cue_of_a_negative_time_is_an_error_in_one_line(ms: float) -> None:
    for make in (At, AfterQuiet, IntoSpeech):
        with pytest.raises(ValueError, match=r"ms is .*0 or more"):
            make(ms)
