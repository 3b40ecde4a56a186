"""Claims about the recorded apology: heard once, in the place of the last sentence that may fail, before that is told."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

from adapters.chatterbox import apology as chatterbox_apology, feed as chatterbox_feed
from adapters.chatterbox.apology import Apology, read_apology
from adapters.chatterbox.feed import Feed
from adapters.chatterbox.figures import Count, Figures
from adapters.chatterbox.port import Chatterbox
from fsm.call.effects import CancelSynthesis, Flush, Hold, Resume, Synthesise
from fsm.call.events import ErrorReceived, SynthesisCancelAnswered, SynthesisDiscarded, SynthesisFailed
from tests.shared.shell import callfsm
from tests.shared.speech import Answers, Ends, Played, Reply, Request, always, answering, each_backend, never, seed, sine, voicing, wav

SORRY = sine(0.02).tobytes()


@pytest.fixture(autouse=True)
def short_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """A line that holds sound for 10 ms."""
    monkeypatch.setattr(chatterbox_feed, "TAIL_S", 0.01)
    monkeypatch.setattr(chatterbox_apology, "TAIL_S", 0.01)


@asynccontextmanager
async def apologising(answers: Answers, *, after: int, **settings: Any) -> AsyncIterator[tuple[Ends, Chatterbox]]:
    async with answering(answers) as url, voicing(seed(url), apology=Apology(SORRY, after), **settings) as (ends, port):
        yield ends, port


async def fail(port: Chatterbox, ends: Ends, *names: str) -> None:
    for name in names:
        port.do(Synthesise(name, "r", "Hello."))
        await ends.until(SynthesisFailed, name)


@each_backend
async def test_the_apology_is_heard_in_the_place_of_the_last_sentence_that_may_fail() -> None:
    async with apologising(always(401), after=3) as (ends, port):
        await fail(port, ends, "one", "two")
        assert ends.of(Played) == []
        await fail(port, ends, "three")
    assert ends.of(Played) == [Played("r", SORRY, "")], "it is no sentence, so that the model is not told of one"
    assert isinstance(ends.seen[-1], SynthesisFailed), "told when it was heard"
    assert [(told.code, told.message) for told in ends.of(ErrorReceived)] == [
        ("voice_apology", "the server answered 401; the recorded apology is heard now")
    ]
    assert dict(port.figures.lines())["recorded apologies"] == "1"


@each_backend
async def test_a_sentence_that_succeeds_puts_the_apology_off() -> None:
    replies = [Reply(401), Reply(200, wav(sine(0.1))), Reply(401), Reply(401)]

    async def answers(_: Request) -> Reply:
        return replies.pop(0)

    async with apologising(answers, after=2) as (ends, port):
        await fail(port, ends, "one")
        port.do(Synthesise("two", "r", "Hello."))
        await ends.until(Played, "two")
        await fail(port, ends, "three")
        assert port.figures.counts[Count.APOLOGISED] == 0
        await fail(port, ends, "four")
    assert port.figures.counts[Count.APOLOGISED] == 1


@each_backend
async def test_an_apology_that_is_interrupted_is_not_heard_again() -> None:
    async with apologising(always(401), after=1) as (ends, port):
        port.do(Synthesise("one", "r", "Hello."))
        await ends.until(Played)
        port.do(Flush("r"))
        port.do(CancelSynthesis("one"))
        await ends.until(SynthesisDiscarded, "one")
        assert (await ends.until(SynthesisCancelAnswered, "one")).outcome == "not needed"
        await fail(port, ends, "two")
    assert len(ends.of(Played)) == 1
    assert len(ends.of(SynthesisFailed)) == 1


@each_backend
async def test_a_sentence_that_was_cancelled_calls_for_no_apology_however_it_ends() -> None:
    posted, cancelled = anyio.Event(), anyio.Event()

    async def answers(request: Request) -> Reply:
        if request.path.startswith("/cancel"):
            cancelled.set()
            return Reply()
        posted.set()
        await cancelled.wait()
        return Reply(401)

    async with apologising(answers, after=1) as (ends, port):
        port.do(Synthesise("one", "r", "Hello."))
        await posted.wait()
        port.do(CancelSynthesis("one"))
        await ends.until(SynthesisDiscarded, "one")
        assert port.figures.counts[Count.APOLOGISED] == 0
        await fail(port, ends, "two")
    assert port.figures.counts[Count.APOLOGISED] == 1


@each_backend
async def test_an_apology_that_may_not_be_heard_holds_nothing_up() -> None:
    async with apologising(always(401), after=1) as (ends, port):
        ends.refuses = True
        await fail(port, ends, "one")
    assert ends.of(ErrorReceived) == []


@each_backend
async def test_a_server_that_hangs_leaves_time_for_the_apology() -> None:
    """All of it must fit into the core's deadline for the sentence."""
    async with apologising(never, after=2, timeout_s=0.1) as (ends, port):
        await fail(port, ends, "one", "two")
    first_s, last_s = (float(failed.reason.removeprefix("no answer within ").removesuffix(" s")) for failed in ends.of(SynthesisFailed))
    assert last_s <= 0.1 - 0.03 < first_s <= 0.1


@pytest.mark.virtual_time
async def test_the_end_of_the_sound_is_reckoned_with_every_hold_and_flush() -> None:
    """On a virtual clock, which makes the times exact."""
    began_s, feed = anyio.current_time(), Feed(Ends(), Figures())
    feed.play("flushed", bytes(48_000 * 60))
    feed.follow(Flush("flushed"))
    feed.play("r", bytes(48_000))
    async with anyio.create_task_group() as group:
        group.start_soon(feed.heard)
        await anyio.sleep(0.25)
        feed.follow(Hold())
        await anyio.sleep(5)
        feed.play("r", bytes(24_000))
        feed.follow(Flush("of another response"))
        feed.follow(Resume())
    assert anyio.current_time() - began_s == pytest.approx(1 + 0.5 + 5 + 0.01)


@pytest.mark.virtual_time
async def test_a_held_speaker_is_not_filled_with_silence() -> None:
    ends = Ends()
    feed = Feed(ends, Figures())
    feed.play("r", bytes(4_800), "s")
    async with anyio.create_task_group() as group:
        group.start_soon(feed.fill, "r", "s")
        feed.follow(Hold())
        await anyio.sleep(60)
        assert len(ends.of(Played)) == 1
        feed.follow(Resume())
        await anyio.sleep(0.05)
        group.cancel_scope.cancel()
    assert len(ends.of(Played)) == 2


def test_an_apology_that_would_take_more_than_half_of_a_sentences_time_is_refused() -> None:
    with pytest.raises(ValueError, match=r"the apology takes 2.1 s, .* it may take 2.0, half of a sentence's time; shorten it or raise"):
        Chatterbox(url="http://127.0.0.1:1", speaker=Ends(), apology=Apology(bytes(48_000 * 2 + 4_800), 3), timeout_s=4.0)


def test_a_recording_is_read_whatever_its_rate(tmp_path: Path) -> None:
    (path := tmp_path / "sorry.wav").write_bytes(wav(sine(1, 8_000), rate=8_000))
    assert len(read_apology(path)) == pytest.approx(48_000, abs=4)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("missing.wav", None, "can't be read (No such file or directory); give the path of a WAV file"),
        ("empty.wav", b"", ": that is no WAV: it is empty; convert it with: ffmpeg"),
        ("cut.wav", wav(sine(1))[:-2], ": the WAV is cut off: 48000 bytes are declared and 47998 came; convert it"),
        ("song.wav", b"ID3" + bytes(100), ": that is no WAV but an MP3; convert it"),
    ],
)
def test_a_recording_that_cannot_be_heard_is_refused_in_one_line(tmp_path: Path, name: str, content: bytes | None, words: str) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ValueError, match=name) as refused:
        read_apology(path)
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_call_does_not_begin_without_the_apology_that_was_promised(tmp_path: Path) -> None:
    done = callfsm("call", "--chatterbox-apology", tmp_path / "none.wav", "--out", tmp_path / "out")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    assert "--chatterbox-apology" in done.stderr
    assert not (tmp_path / "out").exists()
