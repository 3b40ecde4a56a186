"""Claims about the servers that the Chatterbox port speaks with: found out without a synthesis, asked in their own fields."""

from typing import Any

import attrs
import pytest

from adapters.chatterbox.port import check
from adapters.chatterbox.servers import DIALECTS, Health, Server as Asked, health_of, root_of
from fsm.call.events import SynthesisFailed
from tests.shared.speech import Played, Reply, Request, answering, each_backend, saying, sine, wav

KEY = "sk-known"


@each_backend
@pytest.mark.parametrize("dialect", DIALECTS)
async def test_a_dialect_that_is_named_is_not_asked_for(dialect: str) -> None:
    paths: list[str] = []

    async def answers(request: Request) -> Reply:
        paths.append(request.path)
        return Reply(200, wav(sine(0.2)))

    async with answering(answers) as url, saying("Hello.", Asked(url=url, dialect=dialect, voice="v")) as (ends, _):
        await ends.until(Played, "s")
    assert paths == [DIALECTS[dialect].path]


@attrs.define
class Noted:
    """Describes itself by `openapi`, and keeps what it is asked."""

    openapi: bytes = b""
    asked: list[Request] = attrs.field(factory=list)

    async def __call__(self, request: Request) -> Reply:
        if request.path == "/openapi.json":
            return Reply(200 if self.openapi else 404, self.openapi)
        if request.method == "OPTIONS" or request.path == "/api/ui/initial-data":
            return Reply(404)
        if request.path == "/get_predefined_voices":
            return Reply(200, b'[{"display_name": "First", "filename": "first.wav"}]')
        self.asked.append(request)
        return Reply(200, wav(sine(0.2)))


@each_backend
@pytest.mark.parametrize(
    ("server", "fields"),
    [
        ({"dialect": "seed"}, {"text": "Hello.", "session_id": "s"}),
        ({"dialect": "seed", "voice": "mum"}, {"text": "Hello.", "session_id": "s", "voice": "mum"}),
        (
            {"dialect": "devnen"},
            {"text": "Hello.", "voice_mode": "predefined", "predefined_voice_id": "first.wav", "output_format": "wav", "split_text": False},
        ),
        (
            {"dialect": "devnen", "fields": {"voice_mode": "clone", "reference_audio_filename": "me.wav"}},
            {"text": "Hello.", "voice_mode": "clone", "reference_audio_filename": "me.wav", "output_format": "wav", "split_text": False},
        ),
        ({"dialect": "travisvn", "fields": {"exaggeration": 0.7}}, {"input": "Hello.", "response_format": "wav", "exaggeration": 0.7}),
        ({"dialect": "openai"}, {"input": "Hello.", "model": "tts-1", "voice": "alloy", "response_format": "wav"}),
        (
            {"dialect": "openai", "model": "kokoro", "voice": "bella", "fields": {"speed": 1.1, "input": "no", "model": "m"}},
            {"input": "Hello.", "model": "m", "voice": "bella", "response_format": "wav", "speed": 1.1},
        ),
    ],
)
async def test_a_text_is_asked_for_in_the_servers_own_fields(server: dict[str, Any], fields: dict[str, Any]) -> None:
    noted = Noted()
    async with answering(noted) as url, saying("Hello.", Asked(url=url, **server)) as (ends, _):
        await ends.until(Played, "s")
    assert [request.json() for request in noted.asked] == [fields]


@each_backend
@pytest.mark.parametrize(
    ("openapi", "dialect"),
    [
        (b'{"paths": {"/audio/speech/stream": {}, "/audio/speech": {}}}', "travisvn"),
        (b'{"paths": {"/tts": {}, "/v1/audio/speech": {}}}', "devnen"),
        (b'{"paths": {"/v1/audio/speech": {}}}', "openai"),
        (b'{"paths": {"/v1/tts": {}, "/cancel/{id}": {}}}', "seed"),
        (b'{"paths": []}', "seed"),
        (b"<html>", "seed"),
    ],
)
async def test_a_servers_description_shows_its_dialect(openapi: bytes, dialect: str) -> None:
    async with answering(Noted(openapi)) as url:
        assert await check(url) == dialect


@each_backend
async def test_a_catch_all_answer_to_options_is_not_taken_for_a_server() -> None:
    async def answers(request: Request) -> Reply:
        return Reply(200 if request.method == "OPTIONS" or request.path == "/v1/models" else 404)

    async with answering(answers) as url:
        assert await check(Asked(url=url, key=KEY)) == "openai"


@each_backend
@pytest.mark.parametrize("status", [400, 404, 405, 418, 429])
async def test_a_server_that_refuses_every_probe_is_none_before_the_call(status: int) -> None:
    """One that is named is asked for sound all the same: it may have no path for its health."""

    async def answers(_: Request) -> Reply:
        return Reply(status)

    async with answering(answers) as url:
        with pytest.raises(
            ConnectionError, match=rf"shows no path that a speech server has, and answered {status}: .*--chatterbox-dialect"
        ):
            await check(url)
        assert await check(Asked(url=url, dialect="openai")) == "openai"


@each_backend
async def test_a_server_that_was_ill_at_the_start_is_asked_again_what_it_is() -> None:
    noted = Noted(b'{"paths": {"/v1/audio/speech": {}}}')
    ill = True

    async def answers(request: Request) -> Reply:
        nonlocal ill
        if request.path == "/openapi.json" and ill:
            ill = False
            return Reply(503)
        return await noted(request)

    async with answering(answers) as url, saying("Hello.", url) as (ends, _):
        await ends.until(Played, "s")
    assert [request.path for request in noted.asked if request.method == "POST"] == ["/v1/audio/speech"]


@each_backend
async def test_the_key_goes_with_each_request_and_is_shown_nowhere() -> None:
    heads: list[str] = []

    async def answers(request: Request) -> Reply:
        heads.append(request.head)
        return Reply(401, b'{"error": {"message": "opensesame42 is a wrong key"}}')

    key = "opensesame42"
    async with answering(answers) as url:
        asked = Asked(url=url, dialect="openai", key=key)
        async with saying("Hello.", asked) as (ends, port):
            failed = await ends.until(SynthesisFailed, "s")
        with pytest.raises(ConnectionError) as refused:
            await check(asked)
    assert all(f"Authorization: Bearer {key}" in head for head in heads)
    assert key not in f"{asked!r} {failed!r} {refused.value} {ends.seen!r} {port.figures!r}"


@pytest.mark.parametrize("key", ["", " sk", "sk\n", "sk-é"])
def test_a_key_that_is_none_is_refused_without_being_shown(key: str) -> None:
    with pytest.raises(ValueError, match="the key of the speech server") as refused:
        Asked(url="http://127.0.0.1:1", key=key)
    assert not key.strip() or key.strip() not in str(refused.value)


@pytest.mark.parametrize("dialect", ["", "chatterbox", "SEED"])
def test_an_unknown_dialect_is_refused_with_the_known_ones(dialect: str) -> None:
    with pytest.raises(ValueError, match="it takes one of auto, seed, travisvn, devnen, openai"):
        Asked(url="http://127.0.0.1:1", dialect=dialect)


def test_a_url_with_a_password_is_refused_without_showing_it() -> None:
    with pytest.raises(ValueError, match="takes no name and password") as refused:
        Asked(url="http://me:secret@127.0.0.1:1")
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    ("url", "root"),
    [
        ("https://api.openai.com/v1", "https://api.openai.com/"),
        ("https://api.openai.com/v1/", "https://api.openai.com/"),
        ("http://h:1/tts-box", "http://h:1/tts-box/"),
        ("http://h:1", "http://h:1/"),
    ],
)
def test_a_root_is_taken_with_and_without_its_version(url: str, root: str) -> None:
    assert str(root_of(url)) == root


@pytest.mark.parametrize(
    ("status", "body", "health"),
    [
        (200, b'{"status": "healthy", "model_loaded": true}', Health.WELL),
        (200, b'{"status": "initializing"}', Health.LOADING),
        (200, b'{"status": "Loading", "model_loaded": false}', Health.LOADING),
        (503, b'{"status": "starting"}', Health.LOADING),
        (200, b'{"status": "ok", "model_loaded": false}', Health.LOADING),
        (200, b'{"loaded": false}', Health.LOADING),
        (200, b'{"status": "error", "model_loaded": false, "initialization_error": "no such file"}', Health.ILL),
        (200, b"fine", Health.WELL),
        (404, b"", Health.WELL),
        (503, b"", Health.ILL),
        (200, b'{"status": "loading_model"}', Health.LOADING),
        (200, b'{"status": "starting up"}', Health.LOADING),
        (200, b'{"ready": false}', Health.LOADING),
        (503, b'{"detail": "Model not loaded"}', Health.LOADING),
        (503, b'{"detail": {"error": "not_ready", "message": "TTS model is still being initialized"}}', Health.LOADING),
        (503, b'{"detail": "no such file"}', Health.ILL),
        (200, b'{"status": "unhealthy", "message": "not loaded"}', Health.ILL),
        (200, b'{"status": "ok", "message": "loading takes a minute"}', Health.WELL),
    ],
)
def test_a_health_check_is_read_as_the_servers_mean_it(status: int, body: bytes, health: Health) -> None:
    assert health_of(status, body) is health
