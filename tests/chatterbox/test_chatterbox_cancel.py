"""Claims about cancels in the Chatterbox port: silent at once, never behind a synthesis, each with its outcome as an event and a figure."""

import anyio
import pytest

from adapters.chatterbox.figures import Count
from adapters.chatterbox.http import MAX_CONNECTIONS
from adapters.chatterbox.servers import Server as Asked
from fsm.call.effects import CancelSynthesis, Synthesise
from fsm.call.events import SentenceSynthesised, SynthesisCancelAnswered, SynthesisDiscarded
from tests.shared.shell import until
from tests.shared.speech import (
    LONG_MS,
    Hangs,
    Played,
    Reply,
    Request,
    Server,
    always,
    answering,
    each_backend,
    saying,
    seed,
    sine,
    voicing,
    wav,
)


def slow(url: str) -> Asked:
    return Asked(url=url, dialect="seed", fields={"synthesis_ms": LONG_MS})


@each_backend
async def test_a_cancel_during_synthesis_discards_it_and_nothing_is_played(server: Server, anyio_backend: str) -> None:
    name = f"call 1 {anyio_backend}? 100% #é"
    async with saying("Hello there.", slow(server.url), name=name) as (ends, port):
        await server.until(name, "synthesising")
        port.do(CancelSynthesis(name))
        assert (await ends.until(SynthesisCancelAnswered, name)).outcome == "acknowledged"
        await ends.until(SynthesisDiscarded, name)
    assert ends.played == []
    assert (name, "cancelled") in server.log()


@each_backend
async def test_a_session_cancelled_before_its_post_is_never_posted(server: Server, anyio_backend: str) -> None:
    name, fence = f"withdrawn-{anyio_backend}", f"fence-{anyio_backend}"
    async with saying("Hello there.", server.url, name=name) as (ends, port):
        port.do(CancelSynthesis(name))
        port.do(Synthesise(fence, "response", "Hello there."))
        await ends.until(SynthesisDiscarded, name)
        assert (await ends.until(SynthesisCancelAnswered, name)).outcome == "not needed"
        await ends.until(Played, fence)
    assert ends.played == [fence]
    assert name not in {session_id for session_id, _ in server.log()}


@each_backend
async def test_a_session_cancelled_between_two_attempts_is_posted_no_more() -> None:
    posts = 0

    async def busy(request: Request) -> Reply:
        nonlocal posts
        posts += request.method == "POST"
        return Reply(503, headers=("Retry-After: 5",))

    async with answering(busy) as url, saying("Hello.", seed(url)) as (ends, port):
        await until(lambda: port.figures.counts[Count.RETRIED])
        port.do(CancelSynthesis("s"))
        assert (await ends.until(SynthesisCancelAnswered, "s")).outcome == "not needed"
        await ends.until(SynthesisDiscarded, "s")
    assert posts == 1


@each_backend
async def test_a_session_that_was_cancelled_before_it_was_asked_for_is_silent(server: Server, anyio_backend: str) -> None:
    name = f"foretold-{anyio_backend}"
    async with voicing(server.url) as (ends, port):
        port.do(CancelSynthesis(name))
        port.do(Synthesise(name, "response", "Hello there."))
        await ends.until(SynthesisDiscarded, name)
        await ends.until(SynthesisCancelAnswered, name)
    assert ends.played == []
    assert {event for session_id, event in server.log() if session_id == name} == {"cancel"}


@each_backend
async def test_a_cancel_after_the_answer_is_too_late(server: Server, anyio_backend: str) -> None:
    name = f"late-{anyio_backend}"
    async with saying("Hello there.", server.url, name=name) as (ends, port):
        await ends.until(Played, name)
        port.do(CancelSynthesis(name))
        assert (await ends.until(SynthesisCancelAnswered, name)).outcome == "too late"
    assert [type(fact) for fact in ends.seen] == [SentenceSynthesised, Played, SynthesisCancelAnswered]


@each_backend
async def test_a_cancel_never_waits_behind_a_synthesis(server: Server, anyio_backend: str) -> None:
    names = [f"full-{anyio_backend}-{count}" for count in range(MAX_CONNECTIONS + 1)]
    async with voicing(slow(server.url)) as (ends, port):
        for name in names[:-1]:
            port.do(Synthesise(name, "response", "Hello there."))
        for name in names[:-1]:
            await server.until(name, "queued")
        port.do(Synthesise(names[-1], "response", "Hello there."))
        for name in names[:-1]:
            port.do(CancelSynthesis(name))
        outcomes = [(await ends.until(SynthesisCancelAnswered, name)).outcome for name in names[:-1]]
    assert outcomes == ["acknowledged"] * MAX_CONNECTIONS


@each_backend
async def test_a_wav_that_comes_after_its_cancel_is_dropped() -> None:
    posted, cancelled = anyio.Event(), anyio.Event()

    async def too_late(request: Request) -> Reply:
        if request.path.startswith("/cancel"):
            cancelled.set()
            return Reply(200, b'{"cancelled": false}')
        posted.set()
        await cancelled.wait()
        return Reply(200, wav(sine(1)))

    async with answering(too_late) as url, saying("Hello.", seed(url)) as (ends, port):
        await posted.wait()
        port.do(CancelSynthesis("s"))
        await ends.until(SynthesisDiscarded, "s")
        assert (await ends.until(SynthesisCancelAnswered, "s")).outcome == "too late"
    assert ends.played == []


@each_backend
@pytest.mark.parametrize(
    ("status", "body", "outcome"),
    [
        (200, b'{"cancelled": true}', "acknowledged"),
        (200, b'{"cancelled": false, "state": "unknown"}', "acknowledged"),
        (200, b'{"cancelled": false, "state": "done"}', "too late"),
        (200, b"[[", "acknowledged"),
        (204, b"", "acknowledged"),
        (404, b"", "unsupported"),
        (405, b"", "unsupported"),
        (500, b"", "failed"),
        (307, b"", "failed"),
    ],
)
async def test_every_answer_to_a_cancel_has_an_outcome(status: int, body: bytes, outcome: str) -> None:
    hangs = Hangs(Reply(status, body))
    async with answering(hangs) as url, saying("Hello.", seed(url), timeout_s=60) as (ends, port):
        await hangs.came.wait()
        port.do(CancelSynthesis("s"))
        assert (await ends.until(SynthesisCancelAnswered, "s")).outcome == outcome
        if outcome in ("unsupported", "failed"):
            await ends.until(SynthesisDiscarded, "s")
    assert [cancel.outcome for cancel in port.figures.cancels] == [outcome]


@each_backend
async def test_an_id_unknown_to_the_server_after_its_answer_is_too_late() -> None:
    async with answering(always(200, b'{"cancelled": false, "state": "unknown"}')) as url, voicing(seed(url)) as (ends, port):
        port.do(CancelSynthesis("s"))
        assert (await ends.until(SynthesisCancelAnswered, "s")).outcome == "too late"


@each_backend
async def test_a_cancel_that_is_never_answered_has_failed_in_time_and_the_connection_is_closed() -> None:
    hangs = Hangs()
    async with answering(hangs) as url, saying("Hello.", seed(url), timeout_s=60, cancel_timeout_s=0.1) as (ends, port):
        await hangs.came.wait()
        port.do(CancelSynthesis("s"))
        assert (await ends.until(SynthesisCancelAnswered, "s")).outcome == "failed"
        await ends.until(SynthesisDiscarded, "s")


@each_backend
@pytest.mark.parametrize("dialect", ["devnen", "travisvn", "openai"])
async def test_a_server_without_cancels_is_told_by_closing_the_connection(dialect: str) -> None:
    hangs = Hangs()
    async with answering(hangs) as url, saying("Hello.", Asked(url=url, dialect=dialect, voice="a.wav")) as (ends, port):
        await hangs.came.wait()
        port.do(CancelSynthesis("s"))
        await ends.until(SynthesisDiscarded, "s")
        outcome = (await ends.until(SynthesisCancelAnswered, "s")).outcome
    assert outcome == ("unsupported" if dialect == "devnen" else "closed"), "what streams stops there, and that is told"
    assert len(hangs.paths) == 1


@each_backend
async def test_what_a_cancel_spared_is_reckoned_from_the_servers_pace(server: Server, anyio_backend: str) -> None:
    names = [f"{word}-{anyio_backend}" for word in ("pace", "cut", "never", "late")]
    asked = Asked(url=server.url, dialect="seed", fields={"synthesis_ms": 400})
    async with saying("Hello there.", asked, name=names[0]) as (ends, port):
        await ends.until(Played, names[0])
        port.do(Synthesise(names[1], "response", "Hello there. " * 3))
        await server.until(names[1], "synthesising")
        port.do(CancelSynthesis(names[1]))
        await ends.until(SynthesisCancelAnswered, names[1])
        port.do(Synthesise(names[2], "response", "Hello there."))
        port.do(CancelSynthesis(names[2]))
        await ends.until(SynthesisCancelAnswered, names[2])
        port.do(CancelSynthesis(names[0]))
        await ends.until(SynthesisCancelAnswered, names[0])
    took_ms = port.figures.sentences[0].synthesis_ms
    cut, never_sent, late = port.figures.cancels
    assert 0 < cut.saved_ms < took_ms * 39 / 12, "less than the whole time of a text of 39 letters"
    assert never_sent.saved_ms == pytest.approx(took_ms)
    assert (never_sent.outcome, never_sent.answered_ms < took_ms) == ("not needed", True)
    assert (late.outcome, late.saved_ms) == ("too late", 0.0)
    assert port.figures.saved_ms == pytest.approx(cut.saved_ms + took_ms)


@each_backend
async def test_what_a_cancel_spared_is_not_known_before_the_first_sentence(server: Server, anyio_backend: str) -> None:
    name = f"unknown-{anyio_backend}"
    async with saying("Hello there.", slow(server.url), name=name) as (ends, port):
        await server.until(name, "synthesising")
        port.do(CancelSynthesis(name))
        await ends.until(SynthesisCancelAnswered, name)
    assert [cancel.saved_ms for cancel in port.figures.cancels] == [None]
