"""Claims about a streamed voice in the Chatterbox port: heard from its first piece on, whole, in order, and stopped at any time."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path

import anyio
import attrs
import numpy as np
import pytest

from adapters.audio.wav_device import WavDevice
from adapters.chatterbox import source as chatterbox_source
from adapters.chatterbox.feed import FILLING
from adapters.chatterbox.figures import Count
from adapters.chatterbox.port import Chatterbox
from adapters.chatterbox.servers import Server as Asked
from adapters.seam.driver import Driver
from adapters.standin.caller import WavCaller
from adapters.telling.trace import TraceWriter, read_trace
from fsm.call import events as ev
from fsm.call.effects import CancelSynthesis, Flush, Synthesise
from fsm.call.events import ErrorReceived, SentenceSynthesised, SynthesisCancelAnswered, SynthesisDiscarded, SynthesisFailed
from fsm.call.policy import Policy
from fsm.call.snapshot import start
from tests.shared.shell import PATIENCE_S, Puppet, at, channels, until
from tests.shared.speech import Ends, Played, Reply, Request, answering, each_backend, loudest_hz, saying, sine, streamed, wav

SOUND = streamed(wav(sine(1)))
TEXT = "A sentence of some length."


@attrs.define
class Gate:
    """A server that streams each sentence in pieces; each piece after the first waits for one `open`."""

    pieces: tuple[bytes, ...]
    whole: bool = True
    said: list[str] = attrs.field(factory=list)
    _opened: anyio.Semaphore = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._opened = anyio.Semaphore(0)

    async def __call__(self, request: Request) -> Reply:
        if request.method != "POST":
            return Reply(404)
        self.said.append(request.json()["input"])
        return Reply(parts=self.pieces, before=self._before, whole=self.whole)

    async def _before(self, number: int) -> None:
        if number:
            await self._opened.acquire()

    def open(self, pieces: int = 1) -> None:
        for _ in range(pieces):
            self._opened.release()


@asynccontextmanager
async def streaming(gate: Gate) -> AsyncIterator[tuple[Ends, Chatterbox]]:
    async with answering(gate) as url, saying(TEXT, Asked(url=url, dialect="openai")) as (ends, port):
        yield ends, port


def halved(body: bytes = SOUND) -> tuple[bytes, bytes]:
    return body[:24_044], body[24_044:]


def sounding(pcm: bytes) -> bytes:
    """A tone without the silence that was put into it."""
    return pcm.replace(FILLING, b"")


@each_backend
async def test_a_streamed_sentence_is_heard_from_its_first_piece_on() -> None:
    gate = Gate(halved())
    async with streaming(gate) as (ends, port):
        first = await ends.until(Played, "s")
        assert first.pcm == SOUND[44:24_044]
        gate.open()
        await until(lambda: port.figures.counts[Count.SYNTHESISED] >= 1)
    assert sounding(ends.pcm("s")) == SOUND[44:]


@each_backend
async def test_a_streamed_sentence_is_told_once_before_its_sound_with_a_reckoned_length() -> None:
    gate = Gate(halved())
    async with streaming(gate) as (ends, port):
        await ends.until(Played, "s")
        told = ends.seen[0]
        gate.open()
        await until(lambda: port.figures.counts[Count.SYNTHESISED] >= 1)
        port.do(Synthesise("next", "r", TEXT))
        gate.open()
        reckoned = await ends.until(SentenceSynthesised, "next")
    assert isinstance(told, SentenceSynthesised)
    assert told.audio_ms == pytest.approx(65 * len(TEXT))
    assert reckoned.audio_ms == pytest.approx(1_000)
    assert len(ends.of(SentenceSynthesised)) == 2


@each_backend
@pytest.mark.parametrize("size", [1, 7, 45, 1_023])
async def test_the_pieces_may_end_anywhere(size: int) -> None:
    body = streamed(wav(sine(0.02 if size < 40 else 0.5)))
    gate = Gate(tuple(body[start : start + size] for start in range(0, len(body), size)))
    gate.open(len(gate.pieces))
    async with streaming(gate) as (ends, port):
        await until(lambda: port.figures.counts[Count.SYNTHESISED] >= 1)
    assert all(len(fact.pcm) % 2 == 0 for fact in ends.of(Played))
    assert sounding(ends.pcm("s")) == body[44:]


@each_backend
async def test_a_stream_of_another_rate_and_two_channels_keeps_its_pitch() -> None:
    body = streamed(wav(np.repeat(sine(1, 44_100), 2), channels=2, rate=44_100))
    gate = Gate(tuple(body[start : start + 9_999] for start in range(0, len(body), 9_999)))
    gate.open(len(gate.pieces))
    async with streaming(gate) as (ends, port):
        await until(lambda: port.figures.counts[Count.SYNTHESISED] >= 1)
    pcm = sounding(ends.pcm("s"))
    assert loudest_hz(pcm) == pytest.approx(440, abs=2)
    assert len(pcm) == pytest.approx(48_000, abs=10)


@each_backend
async def test_a_flush_stops_the_rest_of_a_stream() -> None:
    gate = Gate(halved())
    async with streaming(gate) as (ends, port):
        await ends.until(Played, "s")
        port.do(Flush("another response"))
        assert port._sessions
        port.do(Flush("r"))
        heard = len(ends.pcm("s"))
        gate.open()
        assert (await ends.until(SynthesisCancelAnswered, "s")).outcome == "closed"
        await until(lambda: not port._sessions)
    assert len(ends.pcm("s")) == heard
    assert not ends.of(SynthesisDiscarded) + ends.of(SynthesisFailed) + ends.of(ErrorReceived)


@each_backend
async def test_a_speaker_that_refuses_stops_the_rest_of_a_stream() -> None:
    gate = Gate((*halved(), b"\0\0"))
    async with streaming(gate) as (ends, port):
        await ends.until(Played, "s")
        ends.refuses = True
        gate.open()
        await ends.until(SynthesisCancelAnswered, "s")
        await until(lambda: not port._sessions)


@each_backend
async def test_a_cancel_before_the_first_sound_discards_a_stream() -> None:
    gate = Gate((SOUND[:44], SOUND[44:]))
    async with streaming(gate) as (ends, port):
        await until(lambda: gate.said)
        port.do(CancelSynthesis("s"))
        await ends.until(SynthesisDiscarded, "s")
    assert ends.played == []


@each_backend
async def test_the_next_sentence_is_posted_when_the_stream_before_it_has_ended() -> None:
    gate = Gate(halved())
    async with streaming(gate) as (ends, port):
        await ends.until(Played, "s")
        port.do(Synthesise("next", "r", "Next."))
        await anyio.wait_all_tasks_blocked()
        assert gate.said == [TEXT]
        gate.open(2)
        await ends.until(Played, "next")
    assert gate.said == [TEXT, "Next."]
    assert ends.played == ["s", "next"]


@each_backend
async def test_a_slow_stream_is_filled_with_silence_so_that_the_speaker_never_runs_dry() -> None:
    gate = Gate((SOUND[:6_044], SOUND[6_044:]))
    async with streaming(gate) as (ends, port):
        await until(lambda: port.figures.counts[Count.FILLED] >= 3)
        gate.open()
        await until(lambda: port.figures.counts[Count.SYNTHESISED] >= 1)
        filled = port.figures.counts[Count.FILLED]
    assert len(ends.pcm("s")) == 48_000 + filled * 4_800
    assert sounding(ends.pcm("s")) == SOUND[44:]


@each_backend
async def test_a_stream_that_is_cut_off_is_told_and_not_said_again() -> None:
    gate = Gate((SOUND[:24_044],), whole=False)
    async with streaming(gate) as (ends, _):
        told = await ends.until(ErrorReceived)
    assert (told.code, told.message) == ("sentence_cut_off", "s: the answer was cut off: the connection was closed")
    assert gate.said == [TEXT]
    assert ends.of(SynthesisFailed) == []


@each_backend
async def test_a_stream_that_is_cut_off_before_any_sound_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chatterbox_source, "PAUSES_S", (0.01, 0.01))
    gate = Gate((SOUND[:44],), whole=False)
    async with streaming(gate) as (ends, _):
        assert (await ends.until(SynthesisFailed, "s")).reason == "the answer was cut off: the connection was closed"
    assert gate.said == [TEXT] * 3


@each_backend
@pytest.mark.parametrize("status", [201, 206])
async def test_any_success_brings_sound(status: int) -> None:
    async def answer(_: Request) -> Reply:
        return Reply(status, SOUND)

    async with answering(answer) as url, saying(TEXT, Asked(url=url, dialect="openai")) as (ends, port):
        await ends.until(Played, "s")
        await until(lambda: port.figures.counts[Count.SYNTHESISED] >= 1)
    assert ends.pcm("s") == SOUND[44:]


@each_backend
async def test_a_stream_that_stops_coming_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chatterbox_source, "GAP_S", 0.1)
    async with streaming(Gate(halved())) as (ends, _):
        assert (await ends.until(ErrorReceived)).message == "s: its sound came too slowly, or none for 0.1 s"


@each_backend
async def test_a_stream_that_trickles_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each piece of it comes in time, but what is heard is silence."""
    monkeypatch.setattr(chatterbox_source, "GAP_S", 0.2)
    pieces = (SOUND[:6_044], *(SOUND[at : at + 2] for at in range(6_044, 7_044, 2)))

    async def trickles(_: Request) -> Reply:
        return Reply(parts=pieces, before=pause)

    async def pause(number: int) -> None:
        await anyio.sleep(0.1 if number else 0.0)

    monkeypatch.setattr(chatterbox_source, "SLOWEST", 1.0)
    async with answering(trickles) as url, saying(TEXT, Asked(url=url, dialect="openai")) as (ends, _):
        assert (await ends.until(ErrorReceived)).message == "s: its sound came too slowly, or none for 0.2 s"


@each_backend
async def test_a_stream_that_does_not_end_with_its_text_is_given_up() -> None:
    """R97: a model that does not find its end."""
    noise = streamed(wav(np.ones(24_000 * 10, "<i2")))
    gate = Gate((noise, *[noise[44:]] * 20))
    gate.open(20)
    async with streaming(gate) as (ends, _):
        told = await ends.until(ErrorReceived)
    assert (told.code, told.message.rpartition(" lasts ")[0]) == ("sentence_cut_off", "s: its sound")
    assert len(ends.pcm("s")) < 23 * 48_000


@each_backend
async def test_a_call_hears_slowly_streamed_sentences_to_their_end(tmp_path: Path) -> None:
    """The real tables, driver and device: two sentences, the first in three pieces with pauses that empty the device's queue."""
    tone = streamed(wav(sine(0.9)))
    edges = (0, 14_444, 28_844, len(tone))
    pieces = tuple(tone[one:two] for one, two in pairwise(edges))

    async def slowly(_: Request) -> Reply:
        return Reply(parts=pieces, before=pause)

    async def pause(number: int) -> None:
        await anyio.sleep(0.4 if number else 0.0)

    sentences = [at(50, ev.SentenceCut, "r1", number, TEXT, "item_r1") for number in (1, 2)]
    script = [
        at(0, ev.SessionOpened),
        at(0, ev.SessionConfirmed),
        at(20, ev.ResponseCreated, "r1"),
        *sentences,
        at(60, ev.ResponseCompleted, "r1"),
    ]
    policy = Policy(greeting=False, create_response=True)
    device = WavDevice(tmp_path / "call.wav", WavCaller(bytes(48 * 3_400)), calibration_ms=20)
    writer = TraceWriter(tmp_path / "call.trace", call := start(policy))
    async with answering(slowly) as url:
        port = Chatterbox(url=Asked(url=url, dialect="openai"), speaker=device)
        with anyio.fail_after(PATIENCE_S):
            await Driver(call, [device, port, Puppet(script, performs=())], [writer]).run()
    writer.close()
    _, agent = channels(tmp_path / "call.wav")
    assert np.count_nonzero(agent) / 24 == pytest.approx(1_800, rel=0.05)
    steps = list(read_trace(tmp_path / "call.trace").steps())
    told = [type(event).__name__ for event, _, _ in steps]
    assert told.count("SentenceSynthesised") == told.count("SentenceStarted") == 2
    # On a busy machine the queue may be empty between the two as well.
    assert max(place for place, name in enumerate(told) if name == "PlayoutFinished") > max(
        place for place, name in enumerate(told) if name == "SentenceStarted"
    )
