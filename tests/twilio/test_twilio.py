"""Claims about the telephone line, in virtual time against Twilio's stand-in: what is heard, and what is told of it."""

import json
import random

import attrs
import numpy as np
import pytest

from adapters.seam import mulaw
from adapters.seam.device import Device
from adapters.seam.playout import Playout
from adapters.seam.ports import FRAME_BYTES, PCM, PCMU, Sound
from adapters.seam.tape import Tape
from adapters.standin.twilio.stream import Conditions, Stream
from adapters.twilio.marks import FarClock
from adapters.twilio.port import TwilioLine
from fsm.call.effects import Admit, Flush, Hold, Resume
from fsm.call.events import (
    AudioArrived,
    CallerHungUp,
    DigitPressed,
    Heard,
    LineOpened,
    PlayoutFinished,
    PlayoutProgressed,
    PlayoutStopped,
    QueueEmptied,
    SentenceStarted,
    VadCalibrated,
)
from tests.shared.telephone import Act, Held, Log, Silent, Wire, answered, call, do, sound, speak, twice


def stairs(response_id: str, frames: int, first: int = 1) -> Act:
    """A response whose frames are levels of mu-law, of which there are 127, from the least: so they can be told apart."""

    def act(line: TwilioLine, _: Stream) -> None:
        line.do(Admit(response_id))
        for number in range(first, first + frames):
            line.play(response_id, sound(20, int(np.frombuffer(mulaw.decode(bytes([255 - number])), "<i2")[0])), item_id="item")

    return act


def heard_frames(held: Held) -> list[int]:
    """The numbers of the staircase's frames that the caller heard, in order."""
    return [255 - frame[120] for frame in held.stream.ears._agent if frame is not None]


def events_of(text: list[str]) -> list[str]:
    return [json.loads(one)["event"] for one in text]


# The octets.


@attrs.define
class Talker:
    """A caller whose octets are all different, as far as octets can be."""

    octets: bytes
    taken: int = 0

    @property
    def finished(self) -> bool:
        return self.taken * 160 >= len(self.octets)

    def next_frame(self, agent_audible: bool) -> bytes:
        self.taken += 1
        return self.octets[self.taken * 160 - 160 : self.taken * 160]


@pytest.mark.parametrize("seed", range(4))
def test_octets_pass_as_they_are_both_ways_and_are_counted_to_the_octet(seed: int) -> None:
    """Across holds, in pieces of any length; what a flush is told was heard is what was."""
    chance = random.Random(seed)
    caller, voice = chance.randbytes(160 * 300), chance.randbytes(160 * 200)
    ear = Recorder(sound=PCMU)
    flush_ms = chance.uniform(2_500, 3_900)

    def speaks(line: TwilioLine, _: Stream) -> None:
        line.do(Admit("a"))
        at = 0
        while at < len(voice):
            size = chance.randrange(1, 900)
            line.play("a", voice[at : at + size], item_id="item")
            at += size

    held = call(
        (500, speaks),
        (1_200, do(Hold())),
        (1_500, do(Resume())),
        (flush_ms, do(Flush("a"))),
        caller=Talker(caller),
        ears=[ear],
        sound=PCMU,
        delay_ms=chance.choice([0, 30]),
    )
    assert b"".join(ear.frames) == caller
    assert {len(frame) for frame in ear.frames} == {160}
    [stopped] = held.log.of(PlayoutStopped)
    heard = [frame for frame in held.stream.ears._agent if frame is not None]
    once = [frame for number, frame in enumerate(heard) if frame not in heard[:number]]
    assert len(heard) - len(once) <= 1, "at the hold one frame at most, which had just begun"
    assert b"".join(once) == voice[: len(once) * 160]
    assert stopped.items == (Heard("item", 0, stopped.played_ms, 4_000.0),)
    assert stopped.played_ms == pytest.approx(len(once) * 20, abs=40)


@pytest.mark.virtual_time
async def test_a_line_of_pcm_refuses_an_ear_and_a_voice_of_another_format() -> None:
    ear = Recorder(sound=PCMU)
    with pytest.raises(ValueError, match="carries pcm, not pcmu"):
        await Device([ear]).run(Log().post)
    with pytest.raises(ValueError, match="carries pcm, not pcmu"):
        Device(tape=Tape(Playout(sound=PCMU)))


def test_a_long_answer_is_sent_in_few_messages() -> None:
    """Each costs a wakeup and a system call, for each of many calls."""
    held = call((500, speak("a", 5_000)), caller=Silent(300))
    kinds = events_of(held.sent)
    assert kinds.count("media") <= 5_000 / 100 + 5_000 / 500 + 5, "five frames at a time, but where progress is told by a mark"
    assert held.stream.buffer.played == 250


# The line.


def test_it_opens_at_once_and_knows_the_noise_after_half_a_second() -> None:
    held = call(caller=Silent(100), delay_ms=40)
    assert held.log.when(LineOpened) == 40
    assert held.log.when(VadCalibrated) == 40 + 25 * 20 - 20
    assert [type(event) for _, event in held.log.posted] == [LineOpened, VadCalibrated, CallerHungUp]


def test_an_ear_of_either_format_hears_the_caller() -> None:
    tone = mulaw.encode((6_000 * np.sin(2 * np.pi * 500 * np.arange(160) / 8_000)).astype("<i2").tobytes())
    octets, one, other = ears = [Recorder(sound=PCMU), Recorder(), Recorder(sound=PCM)]
    call(caller=Silent(50, tone), ears=ears)
    assert octets.frames == [tone] * 50
    assert one.frames == other.frames
    assert [len(frame) for frame in one.frames] == [FRAME_BYTES] * 50
    heard = np.frombuffer(b"".join(one.frames[1:]), "<i2").astype(float)
    pure = 6_000 * np.sin(2 * np.pi * 500 * (np.arange(len(heard)) + 480 - 60) / 24_000)
    assert np.std(heard - pure) < 100


@attrs.define
class Recorder:
    """An ear."""

    frames: list[bytes] = attrs.Factory(list)
    sound: Sound = PCM

    def hear(self, pcm: bytes) -> None:
        self.frames.append(pcm)


def test_a_key_is_told() -> None:
    held = call(caller=Silent(200), conditions=Conditions(digits="12#", digits_at_s=1))
    assert held.log.of(DigitPressed) == [DigitPressed(0.0, key) for key in "12#"]


# What is heard, and told of it.


def test_a_response_is_told_from_its_first_sound_to_its_last() -> None:
    held = call((1_000, speak("a", 1_200)), caller=Silent(200), delay_ms=30)
    told = [(at_ms, event) for at_ms, event in held.log.posted if not isinstance(event, LineOpened | VadCalibrated | CallerHungUp)]
    assert [event for _, event in told] == [
        AudioArrived(0.0, "a", "item"),
        PlayoutProgressed(0.0, "a", 20.0),
        PlayoutProgressed(0.0, "a", 520.0),
        PlayoutProgressed(0.0, "a", 1_020.0),
        QueueEmptied(0.0, "a"),
        PlayoutFinished(0.0, "a", 1_200.0),
    ]
    began_ms = held.log.when(AudioArrived)
    assert held.log.when(PlayoutProgressed) >= began_ms + 30 + 20 + 30, "there, heard, and back"
    assert held.log.when(PlayoutFinished) >= began_ms + 30 + 1_200 + 30
    assert held.log.when(PlayoutFinished) - held.log.when(QueueEmptied) <= 500, "within the core's line_tail_ms (R27)"


def test_every_frame_is_heard_once_and_in_order() -> None:
    held = call((500, stairs("a", 50)), (700, stairs("b", 30, first=51)), caller=Silent(200))
    assert heard_frames(held) == list(range(1, 81))
    assert held.log.of(PlayoutFinished) == [PlayoutFinished(0.0, "a", 1_000.0), PlayoutFinished(0.0, "b", 600.0)]


@pytest.mark.parametrize("ahead_ms", [60, 200, 400])
def test_no_more_lies_at_twilio_than_was_asked_for(ahead_ms: float) -> None:
    """R58."""
    held = call((500, speak("a", 3_000)), caller=Silent(250), ahead_ms=ahead_ms)
    assert held.stream.buffer.most_ms <= ahead_ms
    assert held.stream.ears.gaps_ms() == []
    assert held.stream.buffer.played == 150


def test_a_network_that_holds_messages_up_makes_no_gap_and_no_pile() -> None:
    held = call((500, speak("a", 5_000)), caller=Silent(350), conditions=Conditions(jitter_ms=80), delay_ms=50)
    assert held.stream.ears.gaps_ms() == []
    assert held.stream.buffer.most_ms <= 300
    assert held.log.of(PlayoutFinished) == [PlayoutFinished(0.0, "a", 5_000.0)]


def test_sentences_are_told_when_they_are_heard() -> None:
    def two(line: TwilioLine, _: Stream) -> None:
        line.do(Admit("a"))
        line.play("a", sound(400), sentence="s1")
        line.play("a", sound(400), sentence="s2")

    held = call((500, two), caller=Silent(100), delay_ms=20)
    at_ms = {event.session_id: at_ms for at_ms, event in held.log.posted if isinstance(event, SentenceStarted)}
    assert at_ms["s1"] >= 500 + 20 + 20 + 20
    assert 380 <= at_ms["s2"] - at_ms["s1"] <= 420


def test_sound_that_comes_late_is_a_gap_and_progress_is_told_after_it() -> None:
    def more(line: TwilioLine, _: Stream) -> None:
        line.play("a", sound(300))

    held = call((500, speak("a", 300)), (1_200, more), caller=Silent(200))
    assert [type(event) for event in held.log.of(QueueEmptied, PlayoutFinished, PlayoutProgressed)] == [
        PlayoutProgressed,
        QueueEmptied,
        PlayoutFinished,
        PlayoutProgressed,
        QueueEmptied,
        PlayoutFinished,
    ]


def test_sound_that_comes_in_time_is_no_end() -> None:
    def more(line: TwilioLine, _: Stream) -> None:
        line.play("a", sound(100))

    held = call((500, speak("a", 100)), *((500 + 90 * n, more) for n in range(1, 10)), caller=Silent(150))
    assert len(held.log.of(PlayoutFinished)) == 1
    assert held.stream.ears.gaps_ms() == []


# Silence.


def test_a_hold_is_silence_as_soon_as_the_clear_has_arrived() -> None:
    held = call((500, speak("a", 3_000)), (1_230, do(Hold())), caller=Silent(150), delay_ms=25)
    agent = [frame is not None for frame in held.stream.ears._agent]
    assert not any(agent[(1_230 + 25 + 25) // 20 + 2 :])
    assert held.log.of(PlayoutFinished, PlayoutStopped, QueueEmptied) == []


@pytest.mark.parametrize("delay_ms", [0, 15, 70, 200])
def test_after_a_resume_no_frame_is_missing_and_none_comes_twice(delay_ms: float) -> None:
    held = call(
        (500, stairs("a", 100)),
        *((at_ms, do(Hold())) for at_ms in (811, 1_400, 2_107)),
        *((at_ms, do(Resume())) for at_ms in (812, 1_551, 2_640)),
        caller=Silent(400),
        delay_ms=delay_ms,
    )
    heard = heard_frames(held)
    assert sorted(set(heard)) == list(range(1, 101))
    assert len(heard) <= 103, "at each hold one frame at most, which had just begun"
    assert held.log.of(PlayoutFinished) == [PlayoutFinished(0.0, "a", 2_000.0)]


def test_a_hold_and_a_resume_in_one_step_only_hush_for_a_moment() -> None:
    held = call((500, stairs("a", 60)), (900, do(Hold(), Resume())), caller=Silent(200))
    assert set(heard_frames(held)) == set(range(1, 61))


def test_a_mark_that_a_clear_sends_back_is_no_proof_of_playout() -> None:
    """The whole response with its last mark lies at Twilio when the hold comes (R71)."""
    held = call((500, speak("a", 160)), (560, do(Hold())), (1_500, do(Resume())), caller=Silent(150))
    assert held.stream.counts["marks returned by a clear"] >= 2
    assert held.log.when(PlayoutFinished) > 1_500 + 80
    assert held.log.of(PlayoutFinished) == [PlayoutFinished(0.0, "a", 160.0)]


def test_a_flush_clears_the_line_and_tells_what_was_heard() -> None:
    held = call((500, speak("a", 3_000)), (1_500, do(Flush("a"))), caller=Silent(150), delay_ms=20)
    [stopped] = held.log.of(PlayoutStopped)
    heard_ms = held.stream.buffer.played * 20
    assert stopped == PlayoutStopped(0.0, "a", heard_ms, 3_000.0, (Heard("item", 0, heard_ms, 3_000.0),))
    assert events_of(held.sent).count("clear") == 1
    assert held.line.play("a", sound(20)) is False


@pytest.mark.parametrize("delay_ms", [0, 60])
def test_what_is_told_of_each_item_was_heard_of_it(delay_ms: float) -> None:
    """R88: across a hold, whose unheard sound is sent again, the marks tell each item's position."""

    def speak_of_three(line: TwilioLine, _: Stream) -> None:
        line.do(Admit("a"))
        for number, ms in enumerate((500, 700, 2_000)):
            line.play("a", sound(ms), item_id=f"item_{number}")

    held = call(
        (500, speak_of_three),
        (1_100, do(Hold())),
        (1_500, do(Resume())),
        (1_830, do(Flush("a"))),
        caller=Silent(150),
        delay_ms=delay_ms,
    )
    [stopped] = held.log.of(PlayoutStopped)
    first, second, third = stopped.items
    assert first == Heard("item_0", 0, 500.0, 500.0)
    assert second == Heard("item_1", 0, stopped.played_ms - 500, 700.0)
    assert third == Heard("item_2", 0, 0.0, 2_000.0)
    assert stopped.played_ms == pytest.approx(held.stream.buffer.played * 20, abs=40)
    assert held.log.of(AudioArrived) == [AudioArrived(0.0, "a", f"item_{number}") for number in range(3)]


def test_a_flush_of_what_is_not_on_the_line_clears_nothing() -> None:
    held = call(
        (100, do(Flush("never"))),
        (500, speak("a", 200)),
        (1_500, do(Flush("a"))),
        (1_600, do(Hold(), Resume())),
        caller=Silent(150),
    )
    whole = (Heard("item", 0, 200.0, 200.0),)
    assert held.log.of(PlayoutStopped) == [PlayoutStopped(0.0, "never", 0.0, 0.0), PlayoutStopped(0.0, "a", 200.0, 200.0, whole)]
    assert "clear" not in events_of(held.sent)


def test_a_flush_of_what_only_waits_clears_nothing() -> None:
    held = call((500, stairs("a", 60)), (510, stairs("b", 10, first=61)), (900, do(Flush("b"))), caller=Silent(150))
    assert heard_frames(held) == list(range(1, 61))
    assert "clear" not in events_of(held.sent)


def test_no_mark_is_sent_twice() -> None:
    """Else one that a clear sent back late would prove the playout of another frame."""
    held = call((500, stairs("a", 60)), (900, do(Hold())), (1_000, do(Resume())), (1_200, do(Flush("a"))), caller=Silent(150), delay_ms=20)
    names = [message["mark"]["name"] for message in map(json.loads, held.sent) if message["event"] == "mark"]
    assert len(names) == len(set(names)) > 5


def test_what_was_heard_too_long_can_be_asked() -> None:
    held = call((500, speak("a", 2_000)), (1_000, do(Flush("a"))), (1_500, speak("b", 400)), caller=Silent(150))
    assert held.line.sounded_after(1.0, "a") <= 20
    assert held.line.sounded_after(0.0, "a") == held.stream.buffer.played * 20 - 400
    assert held.line.sounded_after(1.0) == 400 + held.line.sounded_after(1.0, "a")


def test_a_second_flush_sends_no_second_clear_and_tells_the_same() -> None:
    held = call((500, speak("a", 3_000)), (1_000, twice(do(Flush("a")))), (1_300, do(Flush("a"))), caller=Silent(100), delay_ms=20)
    assert events_of(held.sent).count("clear") == 1
    assert len(set(map(str, held.log.of(PlayoutStopped)))) == 1


def test_a_flush_takes_off_one_response_and_leaves_the_other() -> None:
    """R31: both lie at Twilio, in one frame even."""
    held = call((500, stairs("a", 30)), (501, stairs("b", 20, first=31)), (1_040, do(Flush("a"))), caller=Silent(150))
    [stopped] = held.log.of(PlayoutStopped)
    heard = heard_frames(held)
    assert heard == [*range(1, round(stopped.played_ms / 20) + 1), *range(31, 51)]
    assert held.log.of(PlayoutFinished) == [PlayoutFinished(0.0, "b", 400.0)]


def test_a_flush_in_a_frame_of_two_responses_silences_its_part_alone() -> None:
    held = call((500, speak("a", 1_010, 3_000)), (501, speak("b", 400, 8_000)), (1_440, do(Flush("a"))), caller=Silent(150))
    [stopped] = held.log.of(PlayoutStopped)
    assert stopped.played_ms < 1_010
    assert held.log.of(PlayoutFinished) == [PlayoutFinished(0.0, "b", 400.0)]
    loud = [np.frombuffer(mulaw.decode(frame), "<i2") for frame in held.stream.ears._agent if frame is not None]
    assert sum(int((frame > 7_000).sum()) for frame in loud) == pytest.approx(400 * 8, abs=40)


def test_the_next_response_is_heard_after_a_flush() -> None:
    """R32."""
    held = call((500, stairs("a", 100)), (1_000, do(Flush("a"))), (1_010, stairs("b", 20, first=101)), caller=Silent(150), delay_ms=30)
    assert heard_frames(held)[-20:] == list(range(101, 121))
    assert held.log.of(PlayoutFinished) == [PlayoutFinished(0.0, "b", 400.0)]


def test_a_held_line_stays_silent_for_what_comes() -> None:
    held = call((500, do(Hold())), (600, speak("a", 300)), (1_500, do(Resume())), caller=Silent(150))
    assert held.log.when(PlayoutProgressed) >= 1_500
    assert held.stream.buffer.played == 15


@pytest.mark.parametrize("delay_ms", [0, 20, 60, 140])
@pytest.mark.parametrize("jitter_ms", [0, 20, 60])
def test_what_is_told_as_heard_was_heard(delay_ms: float, jitter_ms: float) -> None:
    """R71: wherever the interruption comes, the told position is within 40 ms of what Twilio played."""
    chance = random.Random(delay_ms + jitter_ms)
    for seed in range(3):
        at_ms = 500 + chance.uniform(30, 1_800)
        acts: list[tuple[float, Act]] = [(500, speak("a", 2_000)), (at_ms, do(Flush("a")))]
        if seed % 2:
            resume = (at_ms + chance.uniform(0, 400), do(Resume()))
            acts = [(500, speak("a", 2_000)), (at_ms, do(Hold())), resume, (at_ms + 600, do(Flush("a")))]
        held = call(*acts, caller=Silent(160), conditions=Conditions(jitter_ms=jitter_ms, seed=seed), delay_ms=delay_ms)
        [stopped] = held.log.of(PlayoutStopped)
        assert stopped.played_ms == pytest.approx(min(held.stream.buffer.played * 20, 2_000), abs=40)


def test_the_position_needs_no_timestamps_of_twilios() -> None:
    held = call((0, without_timestamps), (500, speak("a", 2_000)), (1_333, do(Flush("a"))), caller=Silent(150), delay_ms=60)
    [stopped] = held.log.of(PlayoutStopped)
    assert stopped.played_ms == pytest.approx(held.stream.buffer.played * 20, abs=40)


def without_timestamps(line: TwilioLine, _: Stream) -> None:
    """A provider that does not say when the caller's sound began."""
    receive = line._answered.wire.receive
    line._answered.wire.receive = lambda text: receive(text.replace('"timestamp"', '"when"'))


# A line that does not answer.


def test_a_clear_that_is_never_answered_is_decided_by_the_clock() -> None:
    held = call((1_000, deaf_to_marks), (500, speak("a", 3_000)), (1_300, do(Flush("a"))), caller=Silent(150))
    [stopped] = held.log.of(PlayoutStopped)
    assert stopped.played_ms == pytest.approx(held.stream.buffer.played * 20, abs=40)
    assert 1_900 <= held.log.when(PlayoutStopped) <= 2_100
    assert held.line.counts["clears unanswered"] == 1


def test_a_line_of_which_nothing_is_heard_takes_no_more_after_five_seconds() -> None:
    """R58: one that sent a mark back before."""
    held = call((400, deaf_to_marks), (500, speak("a", 20_000)), caller=Silent(600))
    assert held.line.counts["frames sent"] == 250
    assert held.log.of(PlayoutProgressed) == []


@pytest.mark.parametrize("acts", [[], [(4_000, do(Hold())), (4_200, do(Resume()))]])
def test_on_a_line_that_never_sends_a_mark_back_the_clock_says_what_is_heard(acts: list[Act]) -> None:
    held = call((0, deaf_to_marks), (500, speak("a", 8_000)), *acts, caller=Silent(600))
    [finished] = held.log.of(PlayoutFinished)
    assert finished.played_ms == 8_000
    assert held.log.when(PlayoutFinished) == pytest.approx(8_500 + (200 if acts else 0), abs=60)
    progress = [event.played_ms for event in held.log.of(PlayoutProgressed)]
    assert progress == sorted(progress)
    assert len(progress) > 10
    assert held.line.counts["frames heard"] == 400


def deaf_to_marks(_: TwilioLine, stream: Stream) -> None:
    """A provider that sends no mark back."""
    stream._return = lambda name: None


# Figures.


def test_the_sums_balance() -> None:
    """R57."""
    held = call(
        (500, speak("a", 2_000)),
        (1_000, do(Hold())),
        (1_400, do(Resume())),
        (1_800, do(Flush("a"))),
        (1_900, speak("b", 700)),
        caller=Silent(200),
        delay_ms=30,
    )
    counts = held.line.counts
    assert counts["frames sent"] == counts["frames heard"] + counts["frames cleared"]
    assert counts["frames sent"] == held.stream.counts["frames of the agent"]
    assert counts["frames heard"] == held.stream.buffer.played
    assert counts["frames of the caller"] == held.stream.counts["frames of the caller"] == 200
    assert counts["clears"] == 2


def test_a_response_of_which_nothing_was_sent_is_counted() -> None:
    """R40."""

    def admitted(line: TwilioLine, _: Stream) -> None:
        line.do(Admit("mute"))

    held = call((500, do(Hold())), (600, speak("a", 300)), (700, do(Flush("a"))), (800, admitted), caller=Silent(100))
    assert held.line.counts["responses unsent"] == 1
    assert held.line.counts["responses without sound"] == 1


def test_refused_sound_and_useless_messages_are_counted() -> None:
    def play(line: TwilioLine, _: Stream) -> None:
        assert not line.play("nobody", sound(20))

    held = call((500, play), caller=Silent(100), conditions=Conditions(loss=0.2, seed=3))
    assert held.line.counts["bytes refused: not admitted"] == FRAME_BYTES
    assert held.line.counts["messages missing"] == held.stream.counts["frames of the caller lost"] > 0


@pytest.mark.virtual_time
async def test_what_was_done_before_the_line_opened_is_told_then() -> None:
    wire, log = Wire(), Log()
    line = await answered(wire)
    line.do(Admit("a"))
    line.play("a", sound(20), item_id="i")
    line.do(Flush("b"))
    wire.up.close()
    await line.run(log.post)
    assert log.of(AudioArrived, PlayoutStopped) == [AudioArrived(0.0, "a", "i"), PlayoutStopped(0.0, "b", 0.0, 0.0)]


def test_a_timestamp_that_cannot_be_moves_no_time_by_more_than_a_second() -> None:
    clock = FarClock()
    for number, at_ms in enumerate((0, 10**17, 20, 0, 0, 10**12, 60)):
        now_s = 1_000 + number / 50
        clock.note(at_ms, now_s)
        assert now_s - 1 < clock.sent_s(now_s) <= now_s
    for number in range(500):
        clock.note(number * 20, 2_000 + number / 50)
    assert clock.sent_s(2_009.99) == pytest.approx(2_009.99), "and it is forgotten"


def test_sound_that_comes_in_pieces_is_one_voice() -> None:
    """The sender is woken by the first piece alone: those behind it change nothing of what is due."""

    def act(line: TwilioLine, _: Stream) -> None:
        line.do(Admit("a"))
        for _ in range(40):
            line.play("a", sound(10), item_id="i")

    held = call((100, act), (700, speak("b", 100)), caller=Silent(100))
    assert held.line.counts["frames heard"] == 25
    assert len(held.stream.ears.gaps_ms()) == 1, "between the two"
    assert held.log.of(PlayoutFinished) == [PlayoutFinished(0.0, "a", 400.0), PlayoutFinished(0.0, "b", 100.0)]
