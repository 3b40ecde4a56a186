"""Claims about the Chatterbox port on asyncio and trio: a sentence from its text to its sound, against the stand-in's process."""

import json

import anyio
import numpy as np
import pytest

from adapters.chatterbox.port import Chatterbox, check
from adapters.chatterbox.servers import Server as Asked
from adapters.seam.bounded import REMEMBERED
from fsm.call.effects import CancelSynthesis, Synthesise
from fsm.call.events import SentenceSynthesised, SynthesisFailed
from tests.shared.shell import PATIENCE_S
from tests.shared.speech import (
    Ends,
    Played,
    Reply,
    Request,
    Server,
    always,
    answering,
    each_backend,
    free_port,
    loudest_hz,
    never,
    running,
    saying,
    seed,
    sine,
    voicing,
    wav,
)


@each_backend
async def test_a_synthesised_sentence_is_told_and_then_played(server: Server, anyio_backend: str) -> None:
    name = f"told-{anyio_backend}"
    async with saying("Hello there.", server.url, name=name) as (ends, _):
        await ends.until(Played, name)
    told, played = ends.seen
    assert isinstance(told, SentenceSynthesised)
    assert isinstance(played, Played)
    assert told.audio_ms == pytest.approx(len(played.pcm) / 48)
    assert told.audio_ms > 300
    assert played.response_id == "r"


@each_backend
async def test_an_effect_that_comes_before_the_run_is_not_lost(server: Server, anyio_backend: str) -> None:
    ends, name = Ends(), f"early-{anyio_backend}"
    port = Chatterbox(url=server.url, speaker=ends)
    port.do(Synthesise(name, "response", "Hello there."))
    async with running(port, ends):
        await ends.until(Played, name)


def test_a_port_is_made_where_no_loop_runs(server: Server) -> None:
    port = Chatterbox(url=server.url, speaker=Ends(), fallback=server.url)
    port.do(Synthesise("early", "response", "Hello there."))
    port.do(CancelSynthesis("early"))


@each_backend
async def test_half_a_surrogate_pair_does_not_end_the_call(server: Server, anyio_backend: str) -> None:
    name = f"surrogate-{anyio_backend}"
    async with saying("Hello \ud83d there.", server.url, name=name) as (ends, _):
        await ends.until(Played, name)


@each_backend
async def test_the_sound_that_is_played_is_24_khz_mono_whatever_the_server_sends() -> None:
    stereo = np.repeat(sine(1, 48_000), 2)
    async with answering(always(200, wav(stereo, channels=2, rate=48_000))) as url, saying("Hello.", url) as (ends, _):
        played = await ends.until(Played, "s")
    assert len(played.pcm) == pytest.approx(48_000, abs=4)
    assert loudest_hz(played.pcm) == pytest.approx(440, abs=2)


@each_backend
async def test_an_effect_after_the_run_does_nothing(server: Server) -> None:
    async with voicing(server.url) as (ends, port):
        pass
    port.do(Synthesise("after", "r", "Hello."))
    port.do(CancelSynthesis("after"))
    await anyio.wait_all_tasks_blocked()
    assert ends.seen == []


@each_backend
async def test_an_id_in_synthesis_names_one_sentence(server: Server) -> None:
    port = Chatterbox(url=server.url, speaker=Ends())
    port.do(Synthesise("twice", "r", "Hello."))
    with pytest.raises(ValueError, match="in synthesis already"):
        port.do(Synthesise("twice", "r", "Hello."))


def test_what_the_port_remembers_is_bounded(server: Server) -> None:
    port = Chatterbox(url=server.url, speaker=Ends())
    for number in range(10 * REMEMBERED):
        port.do(CancelSynthesis(str(number)))
    assert len(port._cancelled) == REMEMBERED
    assert len(port._early) <= 4 * REMEMBERED


@each_backend
async def test_the_figures_say_how_fast_the_server_was(server: Server, anyio_backend: str) -> None:
    name = f"figures-{anyio_backend}"
    async with saying("Hello there.", Asked(url=server.url, fields={"synthesis_ms": 120}), name=name) as (ends, port):
        await ends.until(Played, name)
    (sentence,) = port.figures.sentences
    assert sentence.synthesis_ms >= 119
    assert sentence.audio_ms == pytest.approx(len(ends.pcm(name)) / 48)
    assert dict(port.figures.lines())["sentences synthesised"] == "1"


@each_backend
async def test_a_lasting_silence_of_the_server_fails_the_sentence_in_time() -> None:
    async with answering(never) as url, saying("Hello.", seed(url), timeout_s=0.2) as (ends, _):
        reason = (await ends.until(SynthesisFailed, "s")).reason
        assert 0 <= float(reason.removeprefix("no answer within ").removesuffix(" s")) <= 0.2, "what was left of its time as it was sent"


@each_backend
async def test_a_sentence_that_nobody_waits_for_any_more_is_stopped_at_the_server() -> None:
    cancelled = anyio.Event()

    async def hangs(request: Request) -> Reply:
        if request.path == "/cancel/s":
            cancelled.set()
            return Reply()
        return await never(request)

    async with answering(hangs) as url, saying("Hello.", seed(url), timeout_s=0.2) as (ends, _):
        await ends.until(SynthesisFailed, "s")
        with anyio.fail_after(PATIENCE_S):
            await cancelled.wait()


@each_backend
async def test_the_check_passes_a_server_that_is_there(server: Server) -> None:
    assert await check(server.url) == "seed"
    async with answering(always(404)) as url:
        with pytest.raises(ConnectionError, match="shows no path that a speech server has, and answered 404"):
            await check(url)


@each_backend
async def test_the_check_asks_anew_what_is_there() -> None:
    port, shown = free_port(), json.dumps({"paths": {"/v1/audio/speech": {}}}).encode()
    async with answering(always(200, shown), port=port) as url:
        assert await check(url) == "openai"
    async with answering(always(404), port=port) as url:
        with pytest.raises(ConnectionError, match="shows no path that a speech server has, and answered 404"):
            await check(url)


@each_backend
async def test_the_check_names_what_is_wrong() -> None:
    with pytest.raises(ConnectionError, match=r"no Chatterbox server at http://127.0.0.1:\d+: the connection was refused"):
        await check(f"http://127.0.0.1:{free_port()}")
    async with answering(always(503)) as url:
        with pytest.raises(ConnectionError, match="answered 503"):
            await check(seed(url))
        with pytest.raises(ConnectionError, match="answered 503"):
            await check(url)
    async with answering(always(401)) as url:
        with pytest.raises(ConnectionError, match="refused the key"):
            await check(Asked(url=url, dialect="openai", key="sk-wrong"))


@pytest.mark.parametrize("url", ["", "127.0.0.1:8772", "ftp://host", "http://", "http://host:port", "http://host/?a=1", "http://[::1"])
def test_a_bad_url_is_refused_in_one_line(url: str) -> None:
    with pytest.raises(ValueError, match="is no url of a Chatterbox server") as refused:
        Chatterbox(url=url, speaker=Ends())
    assert "\n" not in str(refused.value)
