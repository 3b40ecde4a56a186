"""Claims about sound on its way to the ear: told when it is heard, never lost and never heard twice; exact, with times made up."""

import math
import random

import pytest

from adapters.seam.frames import Arrived, Emptied, Fact, Frame, Progressed, RanOut, SentenceBegan, Stopped
from adapters.seam.playout import Playout
from adapters.seam.ports import PCM
from adapters.seam.tape import Tape
from fsm.call.events import Heard
from tests.shared.shell import distinct as sound


class Ear:
    """A device that holds what it takes for `latency_s`, on a clock of its own; and what was heard, as the tape tells it."""

    def __init__(self, latency_s: float = 0.04) -> None:
        self.tape = Tape(Playout(), whole=False)
        self.now_s = 100.0
        self.facts: list[tuple[float, Fact]] = []
        self.heard: list[Frame] = []
        self.stopped: list[Stopped] = []
        self._latency_s = latency_s
        self._end_s = self.now_s

    def pass_time(self, seconds: float) -> None:
        """Let the device take what it needs, and note what the tape tells, every 5 ms."""
        until_s = self.now_s + seconds
        while self.now_s < until_s:
            self._end_s = max(self._end_s, self.now_s)
            while self._end_s < self.now_s + self._latency_s:
                self._end_s += PCM.ms_of(len(self.tape.take(self._end_s).whole)) / 1000
            self.now_s = min(until_s, self.now_s + 0.005)
            self.look()

    def look(self) -> None:
        """Note what the tape tells now."""
        facts, heard = self.tape.look(self.now_s)
        self.facts += [(round(self.now_s - 100, 3), fact) for fact in facts if not isinstance(fact, Stopped)]
        self.heard += heard
        self.stopped += [fact for fact in facts if isinstance(fact, Stopped)]

    def cut(self) -> None:
        """The device drops what it holds."""
        self.tape.cut(self.now_s)
        self._end_s = self.now_s
        self.look()

    def pcm(self) -> bytes:
        """All that was heard."""
        return b"".join(frame.sound for frame in self.heard)

    def play(self, response_id: str, pcm: bytes, sentence: str = "") -> None:
        """Admit a response and queue its sound."""
        self.tape.admit(response_id)
        assert self.tape.play(response_id, pcm, (f"item_{response_id}", 0), sentence)


def test_a_fact_is_told_when_it_is_heard_and_not_when_the_device_takes_it() -> None:
    ear = Ear(latency_s=0.1)
    ear.pass_time(0.1)
    ear.play("r1", sound(60), "s1")
    ear.look()
    ear.pass_time(0.5)
    times = {type(fact): at_s for at_s, fact in ear.facts}
    assert times[Arrived] == 0.1, "it arrived at once"
    assert times[SentenceBegan] == times[Progressed] == pytest.approx(0.2, abs=0.03)
    assert times[RanOut] - times[Progressed] == pytest.approx(0.06, abs=0.006)


def test_nothing_is_due_while_nothing_is_on_its_way() -> None:
    ear = Ear()
    ear.pass_time(0.1)
    assert ear.tape.due_s == math.inf
    ear.play("r1", sound(100))
    ear.tape.take(ear.now_s + 1)
    assert ear.tape.due_s == ear.now_s + 1


@pytest.mark.parametrize("seed", range(20))
def test_whatever_is_held_and_cut_off_every_sample_is_heard_once_and_in_order(seed: int) -> None:
    dice, ear = random.Random(seed), Ear(latency_s=0.05)
    whole = b""
    for number in range(3):
        part = sound(dice.uniform(50, 400), seed * 10 + number)
        ear.play(f"r{number}", part)
        whole += part
    while len(ear.pcm()) < len(whole):
        assert ear.now_s < 130, "something is never heard"
        ear.pass_time(dice.uniform(0.001, 0.15))
        if ear.tape.hold():
            ear.pass_time(dice.uniform(0, 0.01))
            ear.cut()
        ear.pass_time(dice.uniform(0, 0.1))
        ear.tape.resume()
        ear.pass_time(0.02)
    assert ear.pcm() == whole
    ear.pass_time(0.2)
    assert [fact.response_id for _, fact in ear.facts if isinstance(fact, RanOut)] == ["r0", "r1", "r2"]


def test_a_hold_gives_silence_until_it_ends() -> None:
    ear = Ear()
    ear.play("r1", sound(500))
    ear.pass_time(0.1)
    assert ear.tape.hold()
    ear.cut()
    assert not any(any(ear.tape.take(ear.now_s).whole) for _ in range(10))
    ear.tape.resume()
    assert any(ear.tape.take(ear.now_s).whole)


def test_a_second_hold_cuts_nothing_off() -> None:
    ear = Ear()
    ear.play("r1", sound(500))
    ear.pass_time(0.1)
    assert ear.tape.hold()
    assert not ear.tape.hold(), "the first is under way"
    ear.cut()
    assert not ear.tape.hold(), "nothing is on its way"


@pytest.mark.parametrize("latency_s", [0.01, 0.05, 0.3])
def test_a_flush_tells_what_was_heard_however_much_the_device_had_taken(latency_s: float) -> None:
    ear = Ear(latency_s)
    ear.play("r1", sound(1_000))
    ear.pass_time(0.4)
    assert ear.tape.flush("r1")
    assert ear.stopped == [], "the device is not silent yet"
    ear.cut()
    [stopped] = ear.stopped
    assert stopped.played_ms == pytest.approx(len(ear.pcm()) / 48)
    assert stopped.played_ms == pytest.approx(400, abs=25)
    assert stopped.received_ms == 1_000


def test_a_flush_after_a_hold_is_answered_at_once_with_what_was_heard_before_it() -> None:
    ear = Ear()
    ear.play("r1", sound(1_000))
    ear.pass_time(0.3)
    ear.tape.hold()
    ear.cut()
    ear.pass_time(0.15)
    assert not ear.tape.flush("r1")
    ear.look()
    assert [stopped.played_ms for stopped in ear.stopped] == [pytest.approx(len(ear.pcm()) / 48)]
    ear.tape.resume()
    before = len(ear.pcm())
    ear.pass_time(0.3)
    assert len(ear.pcm()) == before, "nothing more of it is heard"


def test_a_flush_keeps_the_sound_of_another_response() -> None:
    ear = Ear()
    first, second = sound(50), sound(200, 2)
    ear.play("r1", first)
    ear.play("r2", second)
    ear.pass_time(0.03)
    ear.tape.flush("r1")
    ear.cut()
    ear.pass_time(0.5)
    assert ear.pcm() == first[: len(ear.pcm()) - len(second)] + second
    assert "r1" not in [fact.response_id for _, fact in ear.facts if isinstance(fact, RanOut)]


def test_a_second_flush_has_the_figures_of_the_first() -> None:
    ear = Ear()
    ear.play("r1", sound(500))
    ear.pass_time(0.2)
    ear.tape.flush("r1")
    ear.cut()
    ear.tape.flush("r1")
    ear.look()
    assert ear.stopped[0] == ear.stopped[1]


def test_a_flush_of_what_is_not_heard_cuts_nothing_off() -> None:
    ear = Ear()
    ear.play("r1", sound(500))
    ear.pass_time(0.1)
    ear.play("r2", sound(500))
    assert not ear.tape.flush("r2")
    ear.look()
    assert ear.stopped == [Stopped("r2", 0.0, 500.0, (Heard("item_r2", 0, 0.0, 500.0),))]


def test_going_on_after_a_hold_is_progress() -> None:
    ear = Ear()
    ear.play("r1", sound(500))
    ear.pass_time(0.1)
    ear.tape.hold()
    ear.cut()
    ear.facts.clear()
    ear.tape.resume()
    ear.pass_time(0.05)
    assert [fact.response_id for _, fact in ear.facts if isinstance(fact, Progressed)] == ["r1"]


@pytest.mark.parametrize("seed", range(10))
def test_each_item_is_told_what_was_heard_of_it_wherever_it_is_cut(seed: int) -> None:
    """R88: held at any time, gone on, and flushed at any time."""
    dice, ear = random.Random(seed), Ear(latency_s=0.05)
    ear.tape.admit("r1")
    lengths = [round(dice.uniform(10, 300)) for _ in range(5)]
    for number, ms in enumerate(lengths):
        assert ear.tape.play("r1", sound(ms, number), (f"item_{number // 2}", number % 2))
    ear.pass_time(dice.uniform(0, 0.3))
    if ear.tape.hold():
        ear.cut()
    ear.tape.resume()
    ear.pass_time(dice.uniform(0, 0.5))
    if ear.tape.flush("r1"):
        ear.cut()
    ear.look()
    [stopped] = ear.stopped
    assert stopped.played_ms == PCM.ms_of(len(ear.pcm()))
    left_ms, expected = stopped.played_ms, []
    for number, ms in enumerate(lengths):
        expected.append(Heard(f"item_{number // 2}", number % 2, pytest.approx(min(left_ms, ms)), ms))
        left_ms -= min(left_ms, ms)
    assert list(stopped.items) == expected


def test_a_response_that_ran_out_and_goes_on_before_that_is_heard_has_not_ended() -> None:
    ear = Ear(latency_s=0.1)
    ear.play("r1", sound(60))
    ear.pass_time(0.05)
    ear.play("r1", sound(60, 2))
    ear.pass_time(0.5)
    assert [fact for _, fact in ear.facts if isinstance(fact, RanOut)] == [RanOut("r1", 120.0)]


def test_a_response_that_was_cut_off_in_its_last_frame_has_run_out_where_frames_are_whole() -> None:
    tape = Tape(Playout())
    tape.admit("r1")
    tape.play("r1", sound(60))
    for number in range(4):
        tape.take(100 + number * 0.02)
    assert tape.hold()
    tape.cut(100.041)
    assert tape.look()[0][-1] == RanOut("r1", 60.0)


def test_a_line_that_plays_whole_frames_has_heard_one_that_has_begun() -> None:
    tape = Tape(Playout(), late=True)
    tape.admit("r1")
    tape.play("r1", sound(60), ("item", 0))
    for number in range(4):
        tape.take(100 + number * 0.02)
    assert [type(fact) for fact in tape.look()[0]] == [Arrived, Emptied], "told when it is taken, and not heard yet"
    assert tape.flush("r1")
    tape.cut(100.021)
    facts, _ = tape.look()
    assert facts[-1] == Stopped("r1", 40.0, 60.0, (Heard("item", 0, 40.0, 60.0),))
    assert (tape.sent, tape.heard, tape.cleared, tape.on_way) == (3, 2, 1, 0)
