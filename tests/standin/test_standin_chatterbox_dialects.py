"""Claims about the kinds of speech server that the stand-in can be: what each takes, how it refuses, and how its sound comes."""

import io
import wave
from collections.abc import Iterator
from typing import Any

import anyio
import httpx
import numpy as np
import pytest

from adapters.chatterbox.port import check
from adapters.chatterbox.servers import DIALECTS as SPOKEN, Server as Asked
from adapters.standin.chatterbox.dialects import DIALECTS, VOICES
from fsm.call.effects import CancelSynthesis, Synthesise
from fsm.call.events import SynthesisCancelAnswered, SynthesisDiscarded
from tests.shared.shell import until
from tests.shared.speech import PATIENCE_S, Played, Server, each_backend, saying, stand_in, voicing

KEY = "sk-stand-in"
VALID: dict[str, dict[str, Any]] = {
    "devnen": {"text": "Hello there.", "voice_mode": "predefined", "predefined_voice_id": VOICES[0], "output_format": "wav"},
    "travisvn": {"input": "Hello there.", "voice": "alloy", "exaggeration": 0.5},
    "openai": {"input": "Hello there.", "model": "tts-1", "voice": "alloy", "response_format": "wav"},
}
PATHS = {"devnen": "/tts", "travisvn": "/audio/speech/stream", "openai": "/v1/audio/speech"}


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Server]]:
    with (
        stand_in(tmp_path_factory.mktemp("seed")) as seed,
        stand_in(tmp_path_factory.mktemp("devnen"), "--dialect", "devnen") as devnen,
        stand_in(tmp_path_factory.mktemp("travisvn"), "--dialect", "travisvn", "--synthesis-ms", "600:600") as travisvn,
        stand_in(tmp_path_factory.mktemp("openai"), "--dialect", "openai", key=KEY) as openai,
    ):
        yield {"seed": seed, "devnen": devnen, "travisvn": travisvn, "openai": openai}


def client(server: Server) -> httpx.Client:
    return httpx.Client(base_url=server.url, headers={"Authorization": f"Bearer {KEY}"}, timeout=PATIENCE_S, trust_env=False)


@pytest.mark.parametrize("dialect", VALID)
def test_each_dialect_answers_a_text_with_a_wav(servers: dict[str, Server], dialect: str) -> None:
    with client(servers[dialect]) as asking:
        answer = asking.post(PATHS[dialect], json=VALID[dialect])
    assert (answer.status_code, answer.headers["content-type"]) == (200, "audio/wav")
    with wave.open(io.BytesIO(answer.content)) as sound:
        assert (sound.getnchannels(), sound.getsampwidth(), sound.getframerate()) == (1, 2, 24_000)
    assert np.abs(np.frombuffer(answer.content[44:], "<i2")).max() > 1_000


@pytest.mark.parametrize("dialect", ["travisvn", "openai"])
def test_a_streamed_wav_comes_in_chunks_and_leaves_its_length_open(servers: dict[str, Server], dialect: str) -> None:
    with client(servers[dialect]) as asking, asking.stream("POST", PATHS[dialect], json=VALID[dialect]) as answer:
        pieces = list(answer.iter_raw())
    assert answer.headers["transfer-encoding"] == "chunked"
    assert len(pieces) > 2
    assert pieces[0][40:44] == b"\xff\xff\xff\xff"


@pytest.mark.parametrize("path", ["/audio/speech", "/v1/audio/speech", "/tts", "/v1/audio/speech/stream", "/tts/stream"])
def test_travisvns_aliases_are_there(servers: dict[str, Server], path: str) -> None:
    with client(servers["travisvn"]) as asking:
        answer = asking.post(path, json=VALID["travisvn"])
    assert answer.status_code == 200
    assert ("content-length" in answer.headers) == (not path.endswith("stream"))


def test_devnen_speaks_openais_way_too_with_a_voice_that_it_has(servers: dict[str, Server]) -> None:
    with client(servers["devnen"]) as asking:
        said = {"model": "chatterbox", "input": "Hello.", "voice": VOICES[1]}
        assert asking.post("/v1/audio/speech", json=said).status_code == 200
        assert asking.post("/v1/audio/speech", json={**said, "voice": "alloy"}).status_code == 404


def test_bare_samples_are_the_wav_without_its_header(servers: dict[str, Server]) -> None:
    with client(servers["openai"]) as asking:
        wav, pcm = (asking.post("/v1/audio/speech", json={**VALID["openai"], "response_format": name}) for name in ("wav", "pcm"))
    assert pcm.content == wav.content[44:]
    assert pcm.headers["content-type"] == "audio/pcm"


@pytest.mark.parametrize(
    ("dialect", "change", "status", "words"),
    [
        ("devnen", {"text": ""}, 422, "string_too_short"),
        ("devnen", {"session_id": "s"}, 422, "extra_forbidden"),
        ("devnen", {"predefined_voice_id": None}, 400, "Missing 'predefined_voice_id'"),
        ("devnen", {"predefined_voice_id": "Nobody.wav"}, 404, "Predefined voice file 'Nobody.wav' not found"),
        ("devnen", {"voice_mode": "clone"}, 400, "Missing 'reference_audio_filename'"),
        ("devnen", {"voice_mode": "sing"}, 422, "literal_error"),
        ("devnen", {"chunk_size": 10}, 422, "greater_than_equal"),
        ("devnen", {"temperature": 9}, 422, "less_than_equal"),
        ("devnen", {"split_text": "yes"}, 422, "bool_type"),
        ("travisvn", {"input": "x" * 3_001}, 422, "string_too_long"),
        ("travisvn", {"input": " "}, 422, "cannot be empty"),
        ("travisvn", {"text": "Hello."}, 422, "extra_forbidden"),
        ("openai", {"input": "x" * 4_097}, 400, "at most 4096"),
        ("openai", {"model": None}, 400, "model"),
        ("openai", {"response_format": None}, 400, "mp3"),
        ("openai", {"response_format": "mp3"}, 400, "response_format"),
        ("openai", {"input": "שלום"}, 400, "nothing to say"),
    ],
)
def test_an_impossible_request_is_refused_in_the_words_of_the_original(
    servers: dict[str, Server], dialect: str, change: dict[str, Any], status: int, words: str
) -> None:
    with client(servers[dialect]) as asking:
        answer = asking.post(PATHS[dialect], json={**VALID[dialect], **change})
    assert answer.status_code == status
    assert words in answer.text


def test_a_request_without_the_key_is_refused(servers: dict[str, Server]) -> None:
    with client(servers["openai"]) as asking:
        for answer in (
            asking.get("/v1/models", headers={"Authorization": ""}),
            asking.post("/v1/audio/speech", headers={"Authorization": "x"}),
        ):
            assert (answer.status_code, answer.json()["error"]["code"]) == (401, "invalid_api_key")


@pytest.mark.parametrize("dialect", ["devnen", "travisvn"])
def test_a_described_server_describes_what_takes_a_text(servers: dict[str, Server], dialect: str) -> None:
    with client(servers[dialect]) as asking:
        paths = asking.get("/openapi.json").json()["paths"]
    assert {endpoint.path for endpoint in DIALECTS[dialect].endpoints} <= set(paths)


def test_only_the_seeds_server_knows_cancels(servers: dict[str, Server]) -> None:
    for dialect, server in servers.items():
        with client(server) as asking:
            assert (asking.post("/cancel/nobody").status_code == 200) == (dialect == "seed")


def test_a_client_that_leaves_a_stream_ends_the_work(servers: dict[str, Server]) -> None:
    server = servers["travisvn"]
    with client(server) as asking:
        before = sum(line["event"] == "abandoned" for line in server.lines())
        with asking.stream("POST", PATHS["travisvn"], json=VALID["travisvn"]) as answer:
            next(answer.iter_raw())
        while sum(line["event"] == "abandoned" for line in server.lines()) == before:
            asking.get("/health")


# The port, which has to find out by itself.


@each_backend
@pytest.mark.parametrize("dialect", SPOKEN)
async def test_a_server_is_found_out_and_speaks(servers: dict[str, Server], dialect: str) -> None:
    asked = Asked(url=servers[dialect].url, key=KEY)
    assert await check(asked) == dialect
    before = len(servers[dialect].lines())
    async with saying("Hello there, how are you?", asked) as (ends, _):
        await ends.until(Played, "s")
    posts = [line for line in servers[dialect].lines()[before:] if line["event"] == "queued"]
    assert [line["path"] for line in posts] == [SPOKEN[dialect].path]


LONG = "Hello there, how are you today? " * 8
CANCELS = {
    ("seed", "before its POST"): ("not needed", True, []),
    ("seed", "during its synthesis"): ("acknowledged", True, ["cancelled"]),
    ("seed", "after its sound"): ("too late", False, []),
    ("devnen", "before its POST"): ("not needed", None, []),
    ("devnen", "during its synthesis"): ("unsupported", None, ["done"]),
    ("devnen", "after its sound"): ("unsupported", None, []),
    ("travisvn", "before its POST"): ("not needed", None, []),
    ("travisvn", "during its synthesis"): ("closed", None, ["abandoned"]),
    ("travisvn", "after its sound"): ("too late", False, []),
    ("openai", "before its POST"): ("not needed", None, []),
    ("openai", "during its synthesis"): ("closed", None, ["abandoned"]),
    ("openai", "after its sound"): ("too late", False, []),
}
"""What comes of a cancel at each kind of server: its outcome, whether synthesis was saved, how the work ended.

None: nobody knows, since only a closed connection told the server, or its pace is not known; here that of the first alone is.
"""


@pytest.mark.parametrize(("dialect", "moment"), CANCELS)
async def test_every_cancel_is_told_and_counted_as_what_it_was(servers: dict[str, Server], dialect: str, moment: str) -> None:
    outcome, saves, work = CANCELS[dialect, moment]
    server, name = servers[dialect], f"cancelled {moment}"
    async with voicing(Asked(url=server.url, key=KEY, dialect=dialect)) as (ends, port):
        if dialect == "seed":
            port.do(Synthesise(f"at its pace {moment}", "r", "Hello there."))
            await ends.until(Played)
        noted = len(server.lines())
        port.do(Synthesise(name, "r", "Hello there." if moment == "after its sound" else LONG))
        if moment == "during its synthesis":
            await happens(server, noted, "synthesising")
        elif moment == "after its sound":
            await until(lambda: name in {sentence.session_id for sentence in port.figures.sentences})
            await anyio.wait_all_tasks_blocked()
        noted = len(server.lines())
        port.do(CancelSynthesis(name))
        assert (await ends.until(SynthesisCancelAnswered, name)).outcome == outcome
        if moment != "after its sound":
            await ends.until(SynthesisDiscarded, name)
        for event in work:
            await happens(server, noted, event)
    (cancel,) = port.figures.cancels
    assert cancel.outcome == outcome
    assert saves is (None if cancel.saved_ms is None else cancel.saved_ms > 0)
    assert ("synthesis cancels", f"1 {outcome}") in port.figures.lines()
    assert (name in ends.played) == (moment == "after its sound")
    if moment == "before its POST":
        assert not [line for line in server.lines()[noted:] if line["event"] == "queued"]


async def happens(server: Server, noted: int, event: str) -> None:
    """Come back once the server has noted this since; each look is a request, so that it gets on."""
    async with httpx.AsyncClient(base_url=server.url, trust_env=False) as asking:
        with anyio.fail_after(PATIENCE_S):
            while all(line["event"] != event for line in server.lines()[noted:]):
                await asking.get("/health")
