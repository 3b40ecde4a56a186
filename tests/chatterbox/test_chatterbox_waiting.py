"""Claims about servers that are there and cannot speak just now: waited for, not taken for gone; what a server is is remembered."""

import json
from pathlib import Path

import anyio
import attrs
import pytest

from adapters.chatterbox import known as chatterbox_known, port as chatterbox_port, source as chatterbox_source
from adapters.chatterbox.feed import Feed
from adapters.chatterbox.figures import Count, Figures
from adapters.chatterbox.port import Chatterbox, check
from adapters.chatterbox.servers import DIALECTS, Server as Asked, detail_of, names_voice
from fsm.call.effects import Hold, Resume, Synthesise
from fsm.call.events import ErrorReceived, SentenceSynthesised, SynthesisFailed
from tests.shared.shell import until
from tests.shared.speech import (
    Answers,
    Ends,
    Played,
    Reply,
    Request,
    answering,
    each_backend,
    free_port,
    never,
    running,
    saying,
    seed,
    sine,
    stand_in,
    voicing,
    wav,
)

SOUND = wav(sine(0.2))
LOADING = '[[fault]]\nname = "loading"\non = "tts"\nms = 1000\n'


@pytest.fixture(autouse=True)
def _strangers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every server is a stranger at first; a busy one is asked often."""
    chatterbox_known._KNOWN.clear()
    monkeypatch.setattr(chatterbox_source, "BUSY_S", 0.05)


# A model that is being loaded.


@pytest.mark.parametrize("dialect", ["seed", "devnen", "travisvn"])
async def test_a_server_that_loads_its_model_is_waited_for(tmp_path: Path, dialect: str) -> None:
    """Within the sentence's time, whether it answers 503 meanwhile, or 200 and breaks off."""
    with stand_in(tmp_path, "--dialect", dialect, faults=LOADING) as server:
        assert await check(server.url) == dialect, "it is there"
        async with saying("Good morning to you.", server.url) as (ends, port):
            await ends.until(Played, "s")
    assert ends.of(SynthesisFailed) == []
    assert port.figures.counts[Count.WAITED] > 0


async def test_a_server_that_is_started_again_and_loads_its_model_loses_no_sentence(tmp_path: Path) -> None:
    crash = '[[fault]]\nname = "crash"\non = "tts"\nnth = 2\nms = 300\nloading_ms = 1200\n'
    with stand_in(tmp_path, "--dialect", "travisvn", faults=crash) as server:
        async with voicing(server.url) as (ends, port):
            for name in ("one", "two"):
                port.do(Synthesise(name, "r", "Good morning to you."))
                await ends.until(Played, name)
    assert ends.of(SynthesisFailed) == []


@each_backend
async def test_a_model_that_takes_longer_than_the_sentence_fails_it_and_says_so() -> None:
    loading = b'{"status": "initializing", "initialization_progress": "Loading TTS model"}'
    async with (
        answering(_by_path(Reply(503), {"/health": Reply(200, loading)})) as url,
        saying("Hello.", seed(url), timeout_s=0.3) as (ends, _),
    ):
        failed = await ends.until(SynthesisFailed, "s")
    assert failed.reason == "the server loads its model: Loading TTS model"


@each_backend
async def test_a_model_that_could_not_be_loaded_is_not_waited_for() -> None:
    ill = b'{"status": "error", "model_loaded": false, "initialization_error": "no room on the GPU"}'
    async with answering(_by_path(Reply(500), {"/health": Reply(200, ill)})) as url:
        server = seed(url)
        async with saying("Hello.", server) as (ends, port):
            assert (await ends.until(SynthesisFailed, "s")).reason == "the server is ill: no room on the GPU"
        assert port.figures.counts[Count.POSTED] == 1
        with pytest.raises(ConnectionError, match="is ill: no room on the GPU: look at its log"):
            await check(server)


@each_backend
async def test_a_fallback_speaks_at_once_while_the_first_server_loads() -> None:
    first = _by_path(Reply(503), {"/health": Reply(200, b'{"status": "loading"}')})
    async with (
        answering(first) as url,
        answering(_by_path(Reply(200, SOUND))) as other,
        saying("Hello.", seed(url), fallback=seed(other)) as (ends, port),
    ):
        await ends.until(Played, "s")
    assert port.figures.counts[Count.WAITED] == 0


# A server that does nothing else while it synthesises.


async def test_a_server_that_stands_still_while_it_synthesises_costs_a_second_call_patience(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its questions are not answered in time, and its greeting is heard all the same; so is a check passed."""
    monkeypatch.setattr(chatterbox_source, "PROBE_S", 0.2)
    ends = Ends()
    with stand_in(tmp_path, "--dialect", "devnen", "--without", "loop", "--synthesis-ms", "1200:1200") as server:
        first = Chatterbox(url=Asked(url=server.url, dialect="devnen", voice="Adrian.wav"), speaker=ends)
        second = Chatterbox(url=server.url, speaker=ends)
        async with running(first, ends), running(second, ends), anyio.create_task_group() as group:
            first.do(Synthesise("one", "r", "Good morning to you."))
            await until(lambda: any(event == "synthesising" for _, event in server.log()))
            second.do(Synthesise("two", "q", "Good evening to you."))
            group.start_soon(check, server.url)
            await ends.until(Played, "one")
            await ends.until(Played, "two")
    assert ends.of(SynthesisFailed) == []


@each_backend
async def test_a_server_that_takes_connections_and_never_answers_is_told_from_one_that_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chatterbox_source, "PROBE_S", 0.05)
    monkeypatch.setattr(chatterbox_port, "PATIENCE_S", 0.2)

    async with answering(never) as url:
        with pytest.raises(ConnectionError, match=r"takes connections and answers nothing within 0.2 s: it is busy, or it hangs$"):
            await check(url)
    with pytest.raises(ConnectionError, match=r"the connection was refused; start it or correct the url$"):
        await check(f"http://127.0.0.1:{free_port()}")


# What is remembered.


@attrs.define
class Counted:
    """A server of one dialect, and what it was asked."""

    dialect: str
    replies: dict[str, Reply] = attrs.field(factory=dict)
    asked: list[str] = attrs.field(factory=list)
    fields: list[dict[str, object]] = attrs.field(factory=list)

    async def __call__(self, request: Request) -> Reply:
        self.asked.append(f"{request.method} {request.path}")
        if request.path == "/openapi.json":
            return Reply(200, json.dumps({"paths": {DIALECTS[self.dialect].path: {}}}).encode())
        if request.path == DIALECTS[self.dialect].path:
            self.fields.append(request.json())
            return Reply(200, SOUND)
        return self.replies.get(request.path, Reply(404, b'{"detail": "Not Found"}'))


@each_backend
async def test_what_a_server_is_is_asked_once_in_a_process() -> None:
    server = Counted("devnen", {"/get_predefined_voices": Reply(200, b'[{"filename": "a.wav"}]')})
    async with answering(server) as url:
        for name in ("one", "two"):
            async with saying("Hello.", url, name=name) as (ends, _):
                await ends.until(Played, name)
    assert server.asked == ["GET /openapi.json", "GET /api/ui/initial-data", "GET /get_predefined_voices", "POST /tts", "POST /tts"]


@each_backend
async def test_another_server_at_the_same_address_is_found_out() -> None:
    port_number = free_port()
    for dialect in ("travisvn", "seed", "openai"):
        server = Counted(dialect)
        async with answering(server, port=port_number) as url, saying("Hello.", url) as (ends, _):
            await ends.until(Played, "s")
        assert len(server.fields) == 1


VOICES = [{"filename": "a.wav"}, {"filename": "b.wav"}]


@each_backend
@pytest.mark.parametrize(
    ("told", "voice"),
    [
        ({"config": {"tts_engine": {"default_voice_id": "b.wav"}}, "predefined_voices": VOICES}, "b.wav"),
        ({"config": {"tts_engine": {"default_voice_id": "gone.wav"}}, "predefined_voices": VOICES}, "a.wav"),
        ({"config": {"tts_engine": {"default_voice_id": "b.wav"}}}, "b.wav"),
        ({"config": None}, "a.wav"),
    ],
)
async def test_a_servers_default_voice_is_its_default(told: object, voice: str) -> None:
    voices = json.dumps(VOICES).encode()
    replies = {"/api/ui/initial-data": Reply(200, json.dumps(told).encode()), "/get_predefined_voices": Reply(200, voices)}
    server = Counted("devnen", replies)
    async with answering(server) as url, saying("[laugh] [x] Hello.", url) as (ends, _):
        await ends.until(Played, "s")
    assert [(one["predefined_voice_id"], one["text"]) for one in server.fields] == [(voice, "[laugh] Hello.")]


# Sound that comes in bursts.


async def test_a_pause_that_nobody_hears_gives_no_stream_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The pause is longer than the gap that is borne, but what came lasts until then."""
    monkeypatch.setattr(chatterbox_source, "GAP_S", 0.5)
    bursts = '[[fault]]\nname = "bursts"\nburst_ms = 1000\npause_ms = 800\n'
    with stand_in(tmp_path, "--dialect", "travisvn", faults=bursts) as server:
        async with saying("Good morning to you, and a very nice day to all of your friends at home.", server.url) as (ends, port):
            await ends.until(SentenceSynthesised, "s")
            await until(lambda: not port._sessions)
    assert ends.of(ErrorReceived) == []


@each_backend
async def test_the_time_that_the_voice_is_held_is_no_gap() -> None:
    feed = Feed(Ends(), Figures())
    feed.play("r", bytes(48 * 100), "s")
    with anyio.CancelScope() as scope:
        feed.await_more(scope, 0.05, anyio.current_time() + 60)
        feed.follow(Hold())
        await anyio.sleep(0.3)
        assert not scope.cancel_called
        feed.follow(Resume())
        await anyio.sleep(10)
    assert scope.cancelled_caught


# What a refusal says.


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b'{"detail": {"error": "synthesis_failed", "message": "no room on the GPU"}}', "no room on the GPU"),
        (b'{"errors": [{"title": "no room on the GPU"}]}', "no room on the GPU"),
        (b'{"detail": {"message": "no room\\n on the GPU"}}', "no room on the GPU"),
        (b'{"detail": {"error": {"message": "Model not loaded", "type": "model_error"}}}', "Model not loaded"),
        (b'{"error": {"message": "TTS generation failed: x"}}', "TTS generation failed: x"),
        (b'{"error": "busy"}', "busy"),
        (b'{"message": "busy"}', "busy"),
        (b'"busy"', "busy"),
        (b'{"detail": [{"loc": ["body", "input"], "msg": "too short", "input": "what was said"}]}', "body.input: too short"),
        (b'{"detail": "cannot say: good morning to you, Ann"}', "cannot say: …"),
        (b'{"detail": 7}', ""),
        (b"<html>no</html>", ""),
        (b'{"detail": ' * 90 + b'"x"' + b"}" * 90, ""),
    ],
)
def test_a_servers_own_words_are_found_wherever_they_stand(body: bytes, words: str) -> None:
    """Never what was to be said."""
    assert detail_of(body, "good morning to you, Ann") == (f": {words}" if words else "")
    assert len(detail_of(json.dumps({"detail": {"message": "long " * 900}}).encode())) < 130


@pytest.mark.parametrize(
    ("body", "is_voice"),
    [
        (b'{"detail": "Predefined voice file \'x.wav\' not found."}', True),
        (b"{\"detail\": \"Missing 'predefined_voice_id' for 'predefined' voice mode.\"}", True),
        (b'{"detail": [{"loc": ["body", "voice"], "msg": "Input should be a string"}]}', True),
        (b'{"error": {"message": "bad value", "param": "voice"}}', True),
        (b'{"detail": {"message": "Unknown voice: mum"}}', True),
        (b'{"error": {"message": "voice must be one of alloy, echo"}}', True),
        (b'{"detail": "text: the voice finds nothing to say in it"}', False),
        (b'{"detail": "cannot say: no such voice"}', False),
        (b'{"detail": [{"loc": ["body", "input"], "msg": "too long", "input": "your voice was not found"}]}', False),
        (b"", False),
    ],
)
def test_a_refusal_that_names_the_voice_is_not_the_texts_fault(body: bytes, is_voice: bool) -> None:
    assert names_voice(body, "no such voice") is is_voice


@each_backend
@pytest.mark.parametrize("status", [400, 404, 422])
async def test_a_voice_that_the_server_does_not_have_is_said_by_the_fallback(status: int) -> None:
    first = _by_path(Reply(status, b'{"detail": {"message": "Unknown voice: mum"}}'))
    async with (
        answering(first) as url,
        answering(_by_path(Reply(200, SOUND))) as other,
        saying("Hello.", Asked(url=url, dialect="seed", voice="mum"), fallback=seed(other)) as (ends, _),
    ):
        await ends.until(Played, "s")
    assert ": Unknown voice: mum; " in ends.of(ErrorReceived)[0].message


async def test_errors_in_objects_reach_whoever_calls(tmp_path: Path) -> None:
    fault = '[[fault]]\nname = "status"\ncode = 410\n'
    with stand_in(tmp_path, "--without", "plain_errors", faults=fault) as server:
        async with saying("Hello.", server.url) as (ends, _):
            failed = await ends.until(SynthesisFailed, "s")
    assert failed.reason == "the server answered 410: a fault of the script"


def _by_path(reply: Reply, more: dict[str, Reply] | None = None) -> Answers:
    async def answers(request: Request) -> Reply:
        return (more or {}).get(request.path, reply)

    return answers
