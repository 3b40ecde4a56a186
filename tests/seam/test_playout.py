"""What may be heard, what was heard, and what is said of it: the queue that every audio device shares."""

from array import array
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any

import attrs
import pytest
from hypothesis import given, strategies as st

from adapters.seam.frames import Arrived, Emptied, Part, Progressed, RanOut, SentenceBegan, Stopped, tell
from adapters.seam.playout import Playout, Refusal
from adapters.seam.ports import FRAME_BYTES
from fsm.call.events import AudioArrived, Event, Heard, PlayoutFinished, PlayoutProgressed, PlayoutStopped, QueueEmptied, SentenceStarted
from tests.shared.shell import level

FRAME_SAMPLES = FRAME_BYTES // 2
SAMPLES_A_MS = 24
SILENCE = bytes(FRAME_BYTES)
sound = partial(level, value=1)


def admitted(*response_ids: str) -> Playout:
    """A queue that has admitted these responses."""
    playout = Playout()
    for response_id in response_ids:
        playout.admit(response_id)
    return playout


def take(playout: Playout, frames: int) -> bytes:
    """The next frames in one."""
    return b"".join(playout.next_frame().whole for _ in range(frames))


def flush(playout: Playout, response_id: str) -> tuple[float, float]:
    """Flush a response, and give what was played and received of it."""
    playout.flush(response_id)
    stopped = playout.stopped(response_id)
    return stopped.played_ms, stopped.received_ms


# Properties, against a model that is a list of samples.

IDS = ("a", "b", "c")
ids = st.sampled_from(IDS)
operations = st.lists(
    st.one_of(
        st.tuples(st.just("admit"), ids),
        st.tuples(st.just("play"), ids, st.integers(0, 1300)),
        st.tuples(st.just("hold")),
        st.tuples(st.just("resume")),
        st.tuples(st.just("flush"), ids),
        st.tuples(st.just("frame")),
        st.tuples(st.just("frame")),
    ),
    max_size=80,
)


@attrs.define
class Model:
    """What a listener may expect, sample by sample; each sample says whose it is and how far into its response."""

    admitted: set[str] = attrs.field(factory=set)
    flushed: dict[str, tuple[float, float]] = attrs.field(factory=dict)
    queue: list[int] = attrs.field(factory=list)
    held: bool = False
    played: dict[str, int] = attrs.field(factory=lambda: dict.fromkeys(IDS, 0))
    handed: dict[str, int] = attrs.field(factory=lambda: dict.fromkeys(IDS, 0))
    refused: Counter[Refusal] = attrs.field(factory=Counter)
    parts: list[Part] = attrs.field(factory=list)
    """The part of each sample that was handed over."""

    def piece(self, response_id: str, size: int) -> list[int]:
        """The next samples of a response."""
        first = self.handed[response_id]
        return [IDS.index(response_id) * 10_000 + (first + n) % 9_999 + 1 for n in range(size)]

    def frame(self) -> list[int]:
        """The samples of the next frame."""
        heard = [] if self.held else self.queue[:FRAME_SAMPLES]
        self.queue = self.queue[len(heard) :]
        for sample in heard:
            self.played[IDS[(sample - 1) // 10_000]] += 1
        return heard + [0] * (FRAME_SAMPLES - len(heard))


def apply(playout: Playout, model: Model, operation: tuple[Any, ...]) -> None:
    """Do one thing to both and compare what they answer."""
    match operation:
        case ("admit", response_id):
            playout.admit(response_id)
            if response_id not in model.flushed:
                model.admitted.add(response_id)
        case ("play", response_id, size):
            piece = model.piece(response_id, size)
            allowed = response_id in model.admitted
            part = (response_id, model.handed[response_id] // 500)
            assert playout.play(response_id, array("h", piece).tobytes(), part) is allowed
            if allowed:
                model.queue += piece
                model.parts += [part] * size
                model.handed[response_id] += size
            else:
                model.refused[Refusal.FLUSHED if response_id in model.flushed else Refusal.NOT_ADMITTED] += 2 * size
        case ("hold",):
            playout.hold()
            model.held = True
        case ("resume",):
            playout.resume()
            model.held = False
        case ("flush", response_id):
            was_known = response_id in model.admitted
            figures = (model.played[response_id] / SAMPLES_A_MS, model.handed[response_id] / SAMPLES_A_MS) if was_known else (0.0, 0.0)
            assert flush(playout, response_id) == model.flushed.setdefault(response_id, figures)
            model.admitted.discard(response_id)
            model.queue = [sample for sample in model.queue if IDS[(sample - 1) // 10_000] != response_id]
        case ("frame",):
            samples = model.frame()
            assert array("h", playout.next_frame().whole).tolist() == samples
            assert playout.sounding == Counter(IDS[(sample - 1) // 10_000] for sample in samples if sample for _ in range(2))


@given(operations)
def test_exactly_the_admitted_unflushed_samples_are_heard_once_and_in_order_across_holds_and_flushes(
    given_operations: list[tuple[Any, ...]],
) -> None:
    playout, model = Playout(), Model()
    for operation in given_operations:
        apply(playout, model, operation)
    for response_id in IDS:
        apply(playout, model, ("flush", response_id))


@given(operations)
def test_what_was_heard_is_told_of_each_part_and_the_parts_are_the_whole(given_operations: list[tuple[Any, ...]]) -> None:
    """R88."""
    playout, model = Playout(), Model()
    for operation in given_operations:
        apply(playout, model, operation)
    for response_id in IDS:
        stopped = playout.stopped(response_id)
        parts = [part for part in model.parts if part[0] == response_id]
        left = round(stopped.played_ms * SAMPLES_A_MS)
        expected = []
        for part in dict.fromkeys(parts):
            size = parts.count(part)
            expected.append(Heard(*part, min(left, size) / SAMPLES_A_MS, size / SAMPLES_A_MS))
            left -= min(left, size)
        assert list(stopped.items) == expected


@given(operations)
def test_the_bytes_handed_over_are_always_all_accounted_for(given_operations: list[tuple[Any, ...]]) -> None:
    """R57: refused, dropped, played or queued, and the sums balance."""
    playout, model = Playout(), Model()
    for operation in given_operations:
        apply(playout, model, operation)
        assert playout.handed_over == playout.played + playout.queued + playout.dropped + sum(playout.refused.values())
        assert playout.queued == 2 * len(model.queue)
        assert playout.refused == model.refused


@given(operations)
def test_a_response_runs_out_once_a_stretch_and_with_nothing_of_it_left(given_operations: list[tuple[Any, ...]]) -> None:
    playout, model = Playout(), Model()
    heard: set[str] = set()
    for operation in given_operations:
        apply(playout, model, operation)
        for fact in playout.facts():
            match fact:
                case Arrived(response_id):
                    assert response_id in model.admitted
                case Progressed(response_id, played_ms):
                    assert played_ms == model.played[response_id] / SAMPLES_A_MS
                    heard.add(response_id)
                case RanOut(response_id, _):
                    assert response_id in heard
                    heard.discard(response_id)


# Bounds.


def test_ten_minutes_may_be_queued_and_no_sample_more() -> None:
    """R58."""
    playout = admitted("a", "b")
    minute = sound(60_000)
    assert all(playout.play("a", minute) for _ in range(10))
    assert not playout.play("b", sound(1))
    assert playout.refused == {Refusal.FULL: 48}
    assert playout.queued == 10 * len(minute)


def test_a_response_that_was_cut_because_the_queue_was_full_gets_no_hole() -> None:
    playout = Playout(limit_ms=100)
    playout.admit("a")
    assert playout.play("a", level(80, 1))
    assert not playout.play("a", level(40, 2))
    assert not playout.play("a", level(20, 3))
    assert take(playout, 5) == level(80, 1) + SILENCE
    assert not playout.play("a", level(20, 4))
    assert flush(playout, "a") == (80, 160)


def test_the_admitted_and_flushed_ids_are_bounded_and_the_oldest_goes_first() -> None:
    playout = Playout(remembered=2)
    for response_id in ("a", "b", "c"):
        playout.admit(response_id)
    assert not playout.play("a", sound(1))
    assert playout.play("b", sound(1)) and playout.play("c", sound(1))
    for number in range(1_000):
        playout.admit(f"admitted {number}")
        playout.flush(f"flushed {number}")
    assert not playout.play("flushed 999", sound(1))
    assert len(playout._admitted) == len(playout._flushed) == 2


def test_half_a_sample_is_refused_so_that_the_rest_is_not_turned_into_noise() -> None:
    playout = admitted("a")
    assert not playout.play("a", b"\1\2\3")
    assert playout.play("a", sound(20))
    assert playout.next_frame().whole == sound(20)
    assert playout.refused == {Refusal.HALF_SAMPLE: 3}


# What is said of it.


def test_the_first_sound_alone_arrives_and_an_empty_piece_is_none() -> None:
    playout = admitted("a")
    assert playout.play("a", b"", part=("item", 0))
    assert playout.facts() == []
    playout.play("a", sound(20), part=("item", 0))
    playout.play("a", sound(20), part=("item", 0))
    assert playout.facts() == [Arrived("a", "item")]


def test_sound_that_comes_after_all_was_played_arrives_anew() -> None:
    """R27: whoever waits for more is told at once, and not only when it is played."""
    playout = admitted("a")
    for _ in range(2):
        playout.play("a", sound(20), part=("item", 0))
        assert playout.facts() == [Arrived("a", "item")]
        take(playout, 2)
        playout.facts()
    playout.play("a", sound(20), part=("item", 0))
    playout.play("a", sound(20), part=("item", 0))
    assert playout.facts() == [Arrived("a", "item")]


def test_nothing_is_told_of_silence_until_there_is_sound_and_it_is_played_all_the_same() -> None:
    """R91: an answer of silence alone was not heard; what was told late would be heard late."""
    playout = admitted("a")
    for _ in range(3):
        assert playout.play("a", level(20, 0), ("i1", 0))
    assert (take(playout, 2), playout.facts()) == (SILENCE * 2, [])
    playout.play("a", level(20, 0) + sound(20), ("i2", 0))
    assert playout.facts() == [Arrived("a", "i2", 0)]
    assert take(playout, 4) == SILENCE * 2 + sound(20) + SILENCE
    assert playout.facts() == [Progressed("a", 60.0), RanOut("a", 100.0)]


def test_an_answer_of_silence_alone_runs_out_untold_and_had_no_sound() -> None:
    """R91."""
    playout = admitted("a")
    playout.play("a", level(20, 0))
    take(playout, 3)
    assert playout.facts() == []
    playout.flush("a")
    assert playout.silent == {"without sound": 1}


@pytest.mark.parametrize("piece_ms", [20, 500, 4_000, 8_000])
@pytest.mark.parametrize("heard_ms", [0, 20])
def test_silence_that_lasts_is_a_pause_of_four_seconds_and_what_comes_then_is_heard(piece_ms: int, heard_ms: int) -> None:
    """R97: nothing else would end an answer that goes on as silence."""
    playout = admitted("a")
    playout.play("a", sound(heard_ms))
    for _ in range(8_000 // piece_ms):
        assert playout.play("a", level(piece_ms, 0))
    assert playout.queued == len(sound(heard_ms + 4_000))
    assert playout.refused == {Refusal.LASTING_SILENCE: len(sound(4_000))}
    take(playout, (heard_ms + 4_000) // 20 + 1)
    assert [fact for fact in playout.facts() if isinstance(fact, RanOut)] == [RanOut("a", 4_020.0)] * bool(heard_ms)
    playout.play("a", level(20, 7))
    assert take(playout, 1) == level(20, 7)
    assert playout.handed_over == playout.played + playout.queued + playout.dropped + sum(playout.refused.values())


def test_progress_is_told_as_sound_starts_and_every_half_second() -> None:
    playout = admitted("a")
    playout.play("a", sound(1_200))
    playout.facts()
    take(playout, 60)
    assert playout.facts() == [Progressed("a", 20), Progressed("a", 520), Progressed("a", 1_020)]


@pytest.mark.parametrize("gap", [Playout.hold, Playout.next_frame], ids=["held", "empty"])
def test_progress_is_told_again_after_a_gap(gap: Callable[[Playout], object]) -> None:
    playout = admitted("a")
    playout.play("a", sound(20))
    take(playout, 1)
    gap(playout)
    playout.play("a", sound(40))
    take(playout, 1)
    playout.resume()
    playout.facts()
    take(playout, 1)
    expected = [Progressed("a", 40)] if gap is Playout.hold else []
    assert playout.facts() == expected
    take(playout, 3)
    playout.play("a", sound(20))
    playout.facts()
    take(playout, 1)
    assert playout.facts() == [Progressed("a", 80)]


def test_a_response_has_run_out_a_frame_after_its_last_sample_was_taken() -> None:
    playout = admitted("a")
    playout.play("a", sound(30))
    take(playout, 2)
    assert RanOut("a", 30) not in playout.facts()
    take(playout, 1)
    assert playout.facts() == [RanOut("a", 30)]
    take(playout, 5)
    assert playout.facts() == []


def test_a_response_that_gets_its_next_piece_in_time_has_not_run_out() -> None:
    playout = admitted("a")
    for _ in range(10):
        playout.play("a", sound(20))
        playout.next_frame()
    assert playout.facts() == [Arrived("a", ""), Progressed("a", 20)]


def test_a_response_that_runs_out_while_held_says_so_and_a_held_queue_does_not() -> None:
    playout = admitted("a", "b")
    playout.play("a", sound(20))
    playout.play("b", sound(20))
    take(playout, 1)
    playout.hold()
    playout.facts()
    take(playout, 5)
    assert playout.facts() == [RanOut("a", 20)]


def test_a_flushed_response_never_runs_out() -> None:
    playout = admitted("a")
    playout.play("a", sound(20))
    playout.next_frame()
    playout.flush("a")
    playout.facts()
    take(playout, 3)
    assert playout.facts() == []


def test_a_sentence_begins_once_and_as_its_first_sample_is_taken() -> None:
    playout = admitted("a")
    playout.play("a", sound(30), sentence="s1")
    playout.play("a", sound(30), sentence="s1")
    playout.play("a", sound(30), sentence="s2")
    began = []
    for _ in range(6):
        playout.next_frame()
        began.append([fact.sentence for fact in playout.facts() if isinstance(fact, SentenceBegan)])
    assert began == [["s1"], [], [], ["s2"], [], []]


def test_sound_without_a_sentence_begins_none() -> None:
    playout = admitted("a")
    playout.play("a", sound(20), sentence="s1")
    playout.play("a", sound(20))
    take(playout, 3)
    assert [fact for fact in playout.facts() if isinstance(fact, SentenceBegan)] == [SentenceBegan("s1", 0.0)]


def test_a_flushed_sentence_never_begins() -> None:
    playout = admitted("a")
    playout.play("a", sound(20), sentence="s1")
    playout.play("a", sound(20), sentence="s2")
    playout.next_frame()
    playout.flush("a")
    take(playout, 3)
    assert [fact for fact in playout.facts() if isinstance(fact, SentenceBegan)] == [SentenceBegan("s1", 0.0)]


def test_each_fact_is_posted_as_the_event_of_the_core() -> None:
    posted: list[Event] = []

    def post(event: Callable[..., Event], *args: object, **kwargs: object) -> None:
        posted.append(event(7.0, *args, **kwargs))

    heard = (Heard("item", 0, 20, 30),)
    facts = Arrived("a", "item"), SentenceBegan("s1", 40.0), Progressed("a", 20), Emptied("a"), RanOut("a", 20), Stopped("a", 20, 30, heard)
    for fact in facts:
        tell(fact, post)
    assert posted == [
        AudioArrived(7, "a", "item"),
        SentenceStarted(7, "s1", 40.0),
        PlayoutProgressed(7, "a", 20),
        QueueEmptied(7, "a"),
        PlayoutFinished(7, "a", 20),
        PlayoutStopped(7, "a", 20, 30, (Heard("item", 0, 20, 30),)),
    ]
