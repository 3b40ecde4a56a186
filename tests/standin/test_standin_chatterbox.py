"""Claims about the stand-in Chatterbox server: the real process on loopback, asked over HTTP."""

import io
import json
import signal
import socket
import time
import wave
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs
import httpx
import pytest

from adapters.hosts.embedded import StandInError, stand_in as embedded_stand_in
from adapters.standin.chatterbox.dialects import MAX_TEXT_CHARS
from adapters.standin.chatterbox.jobs import MAX_ENDED, REMEMBERED_S, Job, Jobs, JobState
from adapters.standin.chatterbox.server import run_chatterbox
from adapters.standin.chatterbox.service import MAX_BODY_BYTES
from adapters.standin.ears import Transcriber
from tests.shared.shell import PATIENCE_S, at_most, begin_callfsm
from tests.shared.speech import LONG_MS, Server, stand_in


@attrs.frozen
class StandIn:
    """A running server, and a client of it."""

    server: Server
    client: httpx.Client

    def wait_for(self, session_id: str, event: str) -> dict[str, Any]:
        """The log line of an event, once it is written."""
        with at_most(PATIENCE_S):
            while True:
                for line in self.server.lines():
                    if (line["session_id"], line["event"]) == (session_id, event):
                        return line
                time.sleep(0.005)

    def say(self, session_id: str, text: str = "Hello there.", synthesis_ms: int = 0) -> httpx.Response:
        return self.client.post("/v1/tts", json={"text": text, "session_id": session_id, "synthesis_ms": synthesis_ms})

    def cancel(self, session_id: str) -> dict[str, Any]:
        return self.client.post(f"/cancel/{session_id}").json()


@contextmanager
def asked(folder: Path, *arguments: str) -> Iterator[StandIn]:
    """A server process."""
    with stand_in(folder, *arguments) as server, httpx.Client(base_url=server.url, timeout=PATIENCE_S, trust_env=False) as client:
        yield StandIn(server, client)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StandIn]:
    with asked(tmp_path_factory.mktemp("seed")) as running:
        yield running


@pytest.fixture
def background() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor() as threads:
        yield threads


def test_a_sentence_is_answered_by_a_wav_that_says_it(server: StandIn) -> None:
    answer = server.say("words", "I would like to book a table for two.")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "audio/wav")
    with wave.open(io.BytesIO(answer.content)) as sound:
        assert (sound.getnchannels(), sound.getsampwidth(), sound.getframerate()) == (1, 2, 24_000)
        assert Transcriber().words("audio/pcm", sound.readframes(sound.getnframes())) == "i would like to book a table for two"


def test_the_same_sentence_sounds_the_same(server: StandIn) -> None:
    assert server.say("same-1").content == server.say("same-2").content


def test_a_cancel_during_synthesis_answers_the_post_with_204(server: StandIn, background: ThreadPoolExecutor) -> None:
    posted = background.submit(server.say, "during", synthesis_ms=LONG_MS)
    server.wait_for("during", "synthesising")
    assert server.cancel("during") == {"cancelled": True, "session_id": "during", "state": "synthesising"}
    assert (posted.result().status_code, posted.result().content) == (204, b"")


def test_one_sentence_is_synthesised_at_a_time_and_one_that_queues_can_be_cancelled(
    server: StandIn, background: ThreadPoolExecutor
) -> None:
    posts: list[Future[httpx.Response]] = []
    for session_id, begun in (("first", "synthesising"), ("second", "queued"), ("third", "queued")):
        posts.append(background.submit(server.say, session_id, synthesis_ms=0 if session_id == "third" else LONG_MS))
        server.wait_for(session_id, begun)
    assert server.cancel("second")["state"] == "queued"
    assert server.cancel("first")["state"] == "synthesising"
    assert [post.result().status_code for post in posts] == [204, 204, 200]
    server.wait_for("third", "done")
    assert ("second", "synthesising") not in server.server.log()
    assert server.server.log().index(("third", "synthesising")) > server.server.log().index(("first", "cancel"))


def test_a_cancel_that_overtakes_its_post_is_remembered(server: StandIn) -> None:
    assert server.cancel("overtaken") == {"cancelled": False, "session_id": "overtaken", "state": "unknown"}
    assert server.say("overtaken", synthesis_ms=LONG_MS).status_code == 204
    server.wait_for("overtaken", "cancelled")
    assert ("overtaken", "synthesising") not in server.server.log()


def test_a_cancel_after_the_answer_is_told_so(server: StandIn) -> None:
    assert server.say("answered").status_code == 200
    assert server.cancel("answered") == {"cancelled": False, "session_id": "answered", "state": "done"}


def test_a_client_that_leaves_stops_the_work(server: StandIn) -> None:
    body = json.dumps({"text": "Hello.", "session_id": "left", "synthesis_ms": LONG_MS}).encode()
    with socket.create_connection(("127.0.0.1", httpx.URL(server.server.url).port)) as line:
        line.sendall(b"POST /v1/tts HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
        server.wait_for("left", "synthesising")
    server.wait_for("left", "abandoned")
    assert server.say("after the one that left").status_code == 200


def test_an_id_in_synthesis_is_not_taken_twice(server: StandIn, background: ThreadPoolExecutor) -> None:
    posted = background.submit(server.say, "twice", synthesis_ms=LONG_MS)
    server.wait_for("twice", "synthesising")
    assert server.say("twice").status_code == 409
    server.cancel("twice")
    assert posted.result().status_code == 204


def test_a_synthesis_takes_at_least_the_time_that_was_set(tmp_path: Path) -> None:
    with asked(tmp_path, "--synthesis-ms", "300:400") as slow:
        for text in ("One.", "Two."):
            assert slow.client.post("/v1/tts", json={"text": text, "session_id": text}).status_code == 200
            assert slow.wait_for(text, "done")["at_ms"] - slow.wait_for(text, "synthesising")["at_ms"] >= 299


REFUSED = [
    ({}, 400, "text"),
    ({"text": ""}, 400, "text"),
    ({"text": " \n"}, 400, "text"),
    ({"text": 5}, 400, "text"),
    ({"text": "x" * (MAX_TEXT_CHARS + 1)}, 400, "text"),
    ({"text": "שלום"}, 400, "nothing to say"),
    ({"text": "Hello.", "session_id": ""}, 400, "session_id"),
    ({"text": "Hello.", "session_id": 7}, 400, "session_id"),
    ({"text": "Hello.", "synthesis_ms": -1}, 400, "synthesis_ms"),
    ({"text": "Hello.", "synthesis_ms": True}, 400, "synthesis_ms"),
    (["text"], 422, "JSON object"),
    ({"text": "x" * MAX_BODY_BYTES}, 413, "larger"),
]


@pytest.mark.parametrize(("body", "status", "words"), REFUSED)
def test_an_impossible_request_is_refused_with_its_reason(server: StandIn, body: object, status: int, words: str) -> None:
    answer = server.client.post("/v1/tts", json=body)
    assert answer.status_code == status
    assert words in answer.json()["detail"]


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"[" * 50_000])
def test_a_body_that_is_no_json_is_refused(server: StandIn, body: bytes) -> None:
    answer = server.client.post("/v1/tts", content=body)
    assert (answer.status_code, answer.json()) == (422, {"detail": "the body is not JSON"})


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/v1/tts", 405), ("GET", "/cancel/x", 405), ("POST", "/health", 405), ("POST", "/tts", 404), ("POST", "/cancel/", 404)],
)
def test_an_unknown_route_or_method_is_refused_in_json(server: StandIn, method: str, path: str, status: int) -> None:
    answer = server.client.request(method, path)
    assert answer.status_code == status
    assert "detail" in answer.json()


def test_health_says_ok(server: StandIn) -> None:
    assert server.client.get("/health").json()["status"] == "ok"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_server_cleanly_even_during_a_synthesis(number: int, background: ThreadPoolExecutor, tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    process = begin_callfsm("stand-in", "chatterbox", "--log", log)
    url = process.stdout.readline().removeprefix("ready ").strip()
    with httpx.Client(base_url=url, timeout=PATIENCE_S, trust_env=False) as client:
        ending = StandIn(Server(url, log), client)
        posted = background.submit(ending.say, "unfinished", synthesis_ms=LONG_MS)
        ending.wait_for("unfinished", "synthesising")
        process.send_signal(number)
        assert (process.communicate(timeout=PATIENCE_S), process.returncode) == (("", ""), 0)
        assert posted.exception() is not None or posted.result().status_code >= 500


def test_a_taken_port_is_an_os_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(OSError, match="in use"):
        run_chatterbox(taken.getsockname()[1])


def test_a_bad_setting_is_refused_in_one_line() -> None:
    with pytest.raises(ValueError, match="the lower one first"):
        run_chatterbox(0, synthesis_ms=(3_000, 1_000))


class Clock:
    """A clock that stands still until it is set."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


async def test_a_cancelled_id_is_forgotten_after_two_seconds() -> None:
    clock = Clock()
    jobs = Jobs(clock)
    jobs.cancel("early")
    clock.now += REMEMBERED_S - 0.001
    assert jobs.open("early").state is JobState.CANCELLED
    clock.now += 0.002
    assert jobs.open("early").state is JobState.QUEUED


async def test_what_the_server_remembers_is_bounded() -> None:
    jobs = Jobs()
    for number in range(MAX_ENDED + 10):
        jobs.end(jobs.open(str(number)), JobState.DONE)
    assert jobs.cancel("0") == "unknown"
    assert jobs.cancel(str(MAX_ENDED)) == "done"


async def test_the_first_end_of_a_job_stands() -> None:
    jobs = Jobs()
    job: Job = jobs.open("a")
    assert jobs.cancel("a") == "queued"
    jobs.end(job, JobState.DONE)
    assert job.state is JobState.CANCELLED
    assert jobs.cancel("a") == "cancelled"


async def test_a_stand_in_that_cannot_start_says_why() -> None:
    with pytest.raises(StandInError, match=r"the stand-in chatterbox server did not start: .*--synthesis-ms ²:3: give two whole numbers"):
        async with embedded_stand_in("chatterbox", "--synthesis-ms", "²:3"):
            pass
