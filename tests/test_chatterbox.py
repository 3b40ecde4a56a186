"""Claims about the Chatterbox port, on asyncio and trio: against the stand-in server's process, and against faulty ones."""

import io
import json
import math
import socket
import struct
import subprocess
import sys
import wave
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import attrs
import httpx
import numpy as np
import pytest
from anyio.abc import ByteStream, SocketAttribute
from hypothesis import given
from hypothesis import strategies as st

from adapters.chatterbox import MAX_AUDIO_S, MAX_CONNECTIONS, MAX_REMEMBERED, Chatterbox, check, wav_to_pcm
from adapters.ports import Port
from fsm.call.effects import CancelSynthesis, Synthesise
from fsm.call.events import Event, SentenceSynthesised, SynthesisCancelAnswered, SynthesisDiscarded, SynthesisFailed

LONG_MS = 60_000
"""A synthesis that never ends by itself within a test."""
PATIENCE_S = 20.0

each_backend = pytest.mark.anyio


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@attrs.frozen
class Played:
    """Sound that reached the speaker."""

    response_id: str
    pcm: bytes
    sentence: str


class Ends:
    """Both ends of the port: what it posts and what it plays, in one order."""

    def __init__(self) -> None:
        self.seen: list[Event | Played] = []
        self._more = anyio.Event()

    def post(self, event: Callable[..., Event], *args: Any, **kwargs: Any) -> None:
        self._add(event(0.0, *args, **kwargs))

    def play(self, response_id: str, pcm: bytes, *, item_id: str = "", sentence: str = "") -> bool:
        self._add(Played(response_id, pcm, sentence))
        return True

    def _add(self, fact: Event | Played) -> None:
        self.seen.append(fact)
        self._more.set()
        self._more = anyio.Event()

    async def until(self, kind: type[Any], session_id: str) -> Any:
        """The first fact of a kind about a session, once there is one."""
        with anyio.fail_after(PATIENCE_S):
            while True:
                for fact in self.seen:
                    if isinstance(fact, kind) and session_id in (getattr(fact, "session_id", None), getattr(fact, "sentence", None)):
                        return fact
                await self._more.wait()

    @property
    def played(self) -> list[str]:
        return [fact.sentence for fact in self.seen if isinstance(fact, Played)]


@asynccontextmanager
async def running(port: Port, ends: Ends) -> AsyncIterator[None]:
    async with anyio.create_task_group() as group:
        group.start_soon(port.run, ends.post)
        yield
        group.cancel_scope.cancel()


class Server:
    """The stand-in's process and its log."""

    def __init__(self, url: str, log: Path) -> None:
        self.url = url
        self._log = log

    def log(self) -> list[tuple[str, str]]:
        """What happened so far: session and event."""
        lines = [json.loads(line) for line in self._log.read_text().splitlines()]
        return [(line["session_id"], line["event"]) for line in lines]

    async def until(self, session_id: str, event: str) -> None:
        """Come back once the log says so; each look is a request, so that the server gets on."""
        async with httpx.AsyncClient(trust_env=False) as client:
            with anyio.fail_after(PATIENCE_S):
                while (session_id, event) not in self.log():
                    await client.get(f"{self.url}/health")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    log = tmp_path_factory.mktemp("chatterbox") / "log.jsonl"
    code = f"from pathlib import Path; from adapters.standin.chatterbox_server import run_chatterbox as r; r(0, log=Path({str(log)!r}))"
    process = subprocess.Popen([sys.executable, "-c", code], cwd=Path(__file__).parents[1], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    yield Server(process.stdout.readline().removeprefix("ready ").strip(), log)
    process.terminate()
    process.communicate(timeout=PATIENCE_S)


Answer = tuple[int, bytes]
Answers = Callable[[str], Awaitable[Answer]]


@asynccontextmanager
async def answering(answers: Answers, *, port: int = 0) -> AsyncIterator[str]:
    """A server that answers each path as it is told to; gives its url."""

    async def serve(stream: ByteStream) -> None:
        async with stream:
            request = b""
            while b"\r\n\r\n" not in request:
                request += await stream.receive()
            head, _, content = request.partition(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0] or 0)
            while len(content) < length:
                # closing with a byte unread would reset the connection
                content += await stream.receive()
            status, body = await answers(head.split()[1].decode())
            await stream.send(b"HTTP/1.1 %d X\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%b" % (status, len(body), body))

    async with await anyio.create_tcp_listener(local_host="127.0.0.1", local_port=port) as listener, anyio.create_task_group() as group:
        group.start_soon(listener.serve, serve)
        yield f"http://127.0.0.1:{listener.extra(SocketAttribute.local_port)}"
        group.cancel_scope.cancel()


def always(status: int, body: bytes = b"") -> Answers:
    async def answers(_: str) -> Answer:
        return status, body

    return answers


@each_backend
async def test_a_synthesised_sentence_is_told_and_then_played(server: Server, anyio_backend: str) -> None:
    ends, name = Ends(), f"told-{anyio_backend}"
    port = Chatterbox(url=server.url, speaker=ends)
    async with running(port, ends):
        port.do(Synthesise(name, "response", "Hello there."))
        await ends.until(Played, name)
    told, played = ends.seen
    assert isinstance(told, SentenceSynthesised)
    assert isinstance(played, Played)
    assert told.audio_ms == pytest.approx(len(played.pcm) / 48)
    assert told.audio_ms > 300
    assert played.response_id == "response"


@each_backend
async def test_an_effect_that_comes_before_the_run_is_not_lost(server: Server, anyio_backend: str) -> None:
    ends, name = Ends(), f"early-{anyio_backend}"
    port = Chatterbox(url=server.url, speaker=ends)
    port.do(Synthesise(name, "response", "Hello there."))
    async with running(port, ends):
        await ends.until(Played, name)


@each_backend
async def test_a_cancel_during_synthesis_discards_it_and_nothing_is_played(server: Server, anyio_backend: str) -> None:
    ends, name = Ends(), f"call 1 {anyio_backend}? 100% #é"
    port = Chatterbox(url=server.url, speaker=ends, fields={"synthesis_ms": LONG_MS})
    async with running(port, ends):
        port.do(Synthesise(name, "response", "Hello there."))
        await server.until(name, "synthesising")
        port.do(CancelSynthesis(name))
        assert (await ends.until(SynthesisCancelAnswered, name)).outcome == "acknowledged"
        await ends.until(SynthesisDiscarded, name)
    assert ends.played == []
    assert (name, "cancelled") in server.log()


@each_backend
async def test_a_session_cancelled_before_its_post_is_never_posted(server: Server, anyio_backend: str) -> None:
    ends, name, fence = Ends(), f"withdrawn-{anyio_backend}", f"fence-{anyio_backend}"
    port = Chatterbox(url=server.url, speaker=ends)
    async with running(port, ends):
        port.do(Synthesise(name, "response", "Hello there."))
        port.do(CancelSynthesis(name))
        port.do(Synthesise(fence, "response", "Hello there."))
        await ends.until(SynthesisDiscarded, name)
        assert (await ends.until(SynthesisCancelAnswered, name)).outcome == "acknowledged"
        await ends.until(Played, fence)
    assert ends.played == [fence]
    assert name not in {session_id for session_id, _ in server.log()}


@each_backend
async def test_a_session_that_was_cancelled_before_it_was_asked_for_is_silent(server: Server, anyio_backend: str) -> None:
    ends, name = Ends(), f"foretold-{anyio_backend}"
    port = Chatterbox(url=server.url, speaker=ends)
    async with running(port, ends):
        port.do(CancelSynthesis(name))
        port.do(Synthesise(name, "response", "Hello there."))
        await ends.until(SynthesisDiscarded, name)
        await ends.until(SynthesisCancelAnswered, name)
    assert ends.played == []
    assert {event for session_id, event in server.log() if session_id == name} == {"cancel"}


@each_backend
async def test_a_cancel_after_the_answer_is_too_late(server: Server, anyio_backend: str) -> None:
    ends, name = Ends(), f"late-{anyio_backend}"
    port = Chatterbox(url=server.url, speaker=ends)
    async with running(port, ends):
        port.do(Synthesise(name, "response", "Hello there."))
        await ends.until(Played, name)
        port.do(CancelSynthesis(name))
        assert (await ends.until(SynthesisCancelAnswered, name)).outcome == "too late"
    assert [type(fact) for fact in ends.seen] == [SentenceSynthesised, Played, SynthesisCancelAnswered]


@each_backend
async def test_a_cancel_never_waits_behind_a_synthesis(server: Server, anyio_backend: str) -> None:
    ends = Ends()
    names = [f"full-{anyio_backend}-{count}" for count in range(MAX_CONNECTIONS + 1)]
    port = Chatterbox(url=server.url, speaker=ends, fields={"synthesis_ms": LONG_MS})
    async with running(port, ends):
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
    cancelled = anyio.Event()

    async def too_late(path: str) -> Answer:
        if path.startswith("/cancel"):
            cancelled.set()
            return 200, b'{"cancelled": false}'
        await cancelled.wait()
        return 200, _wav(_sine(1, 24_000))

    ends = Ends()
    async with answering(too_late) as url:
        port = Chatterbox(url=url, speaker=ends)
        async with running(port, ends):
            port.do(Synthesise("s", "r", "Hello."))
            await anyio.wait_all_tasks_blocked()
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
    async def answers(path: str) -> Answer:
        if path.startswith("/cancel"):
            return status, body
        await anyio.sleep_forever()
        raise AssertionError

    ends = Ends()
    async with answering(answers) as url:
        port = Chatterbox(url=url, speaker=ends)
        async with running(port, ends):
            port.do(Synthesise("s", "r", "Hello."))
            await anyio.wait_all_tasks_blocked()
            port.do(CancelSynthesis("s"))
            assert (await ends.until(SynthesisCancelAnswered, "s")).outcome == outcome


@each_backend
async def test_an_id_unknown_to_the_server_after_its_answer_is_too_late() -> None:
    ends = Ends()
    async with answering(always(200, b'{"cancelled": false, "state": "unknown"}')) as url:
        port = Chatterbox(url=url, speaker=ends)
        async with running(port, ends):
            port.do(CancelSynthesis("s"))
            assert (await ends.until(SynthesisCancelAnswered, "s")).outcome == "too late"


@each_backend
@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (500, b"oops", "the server answered 500"),
        (400, b'{"detail": "text:\\n too long"}', "the server answered 400: text: too long"),
        (422, b'{"detail": [{"input": "what was to be said"}]}', "the server answered 422"),
        (200, b"", "the answer is no WAV"),
        (200, b"RIFF", "the answer is no WAV"),
        (200, b"\x00" * 400, "the answer is no WAV"),
    ],
)
async def test_a_bad_answer_fails_the_sentence_in_one_line(status: int, body: bytes, words: str) -> None:
    ends = Ends()
    async with answering(always(status, body)) as url:
        port = Chatterbox(url=url, speaker=ends)
        async with running(port, ends):
            port.do(Synthesise("s", "r", "Hello."))
            assert (await ends.until(SynthesisFailed, "s")).reason == words
    assert ends.played == []


@each_backend
async def test_an_answer_that_never_comes_fails_the_sentence_and_the_cancel_in_time() -> None:
    async def never(_: str) -> Answer:
        await anyio.sleep_forever()
        raise AssertionError

    ends = Ends()
    async with answering(never) as url:
        port = Chatterbox(url=url, speaker=ends, timeout_s=0.2, cancel_timeout_s=0.1)
        async with running(port, ends):
            port.do(Synthesise("s", "r", "Hello."))
            await anyio.wait_all_tasks_blocked()
            port.do(CancelSynthesis("s"))
            assert (await ends.until(SynthesisCancelAnswered, "s")).outcome == "failed"
            assert (await ends.until(SynthesisFailed, "s")).reason == "no answer within 0.2 s"


@each_backend
async def test_a_refused_connection_is_tried_again_and_then_fails_the_sentence() -> None:
    ends, port_number = Ends(), _free_port()
    port = Chatterbox(url=f"http://127.0.0.1:{port_number}", speaker=ends)
    async with running(port, ends):
        port.do(Synthesise("first", "r", "Hello."))
        await anyio.wait_all_tasks_blocked()
        assert ends.seen == []
        assert (await ends.until(SynthesisFailed, "first")).reason == "the connection was refused"
        port.do(Synthesise("second", "r", "Hello."))
        await anyio.wait_all_tasks_blocked()
        async with answering(always(200, _wav(_sine(1, 24_000))), port=port_number):
            await ends.until(Played, "second")


@each_backend
async def test_half_a_surrogate_pair_does_not_end_the_call(server: Server, anyio_backend: str) -> None:
    ends, name = Ends(), f"surrogate-{anyio_backend}"
    port = Chatterbox(url=server.url, speaker=ends)
    async with running(port, ends):
        port.do(Synthesise(name, "response", "Hello \ud83d there."))
        await ends.until(Played, name)


@each_backend
async def test_the_sound_that_is_played_is_24_khz_mono_whatever_the_server_sends() -> None:
    ends = Ends()
    stereo = np.repeat(_sine(1, 48_000), 2)
    async with answering(always(200, _wav(stereo, channels=2, rate=48_000))) as url:
        port = Chatterbox(url=url, speaker=ends)
        async with running(port, ends):
            port.do(Synthesise("s", "r", "Hello."))
            played = await ends.until(Played, "s")
    assert len(played.pcm) == 48_000
    assert _loudest_hz(played.pcm) == pytest.approx(440, abs=2)


@each_backend
async def test_an_effect_after_the_run_does_nothing(server: Server) -> None:
    ends = Ends()
    port = Chatterbox(url=server.url, speaker=ends)
    async with running(port, ends):
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


@each_backend
async def test_what_the_port_remembers_is_bounded(server: Server) -> None:
    port = Chatterbox(url=server.url, speaker=Ends())
    for number in range(10 * MAX_REMEMBERED):
        port.do(CancelSynthesis(str(number)))
    assert len(port._cancelled) == MAX_REMEMBERED
    assert len(port._early) <= 4 * MAX_REMEMBERED


@each_backend
async def test_the_check_passes_a_server_that_is_there(server: Server) -> None:
    await check(server.url)
    async with answering(always(404)) as url:
        await check(url)


@each_backend
async def test_the_check_names_what_is_wrong() -> None:
    with pytest.raises(ConnectionError, match=r"no Chatterbox server at http://127.0.0.1:\d+: the connection was refused"):
        await check(f"http://127.0.0.1:{_free_port()}")
    async with answering(always(503)) as url:
        with pytest.raises(ConnectionError, match="answered 503"):
            await check(url)


@pytest.mark.parametrize("url", ["", "127.0.0.1:8772", "ftp://host", "http://", "http://host:port", "http://host/?a=1", "http://[::1"])
def test_a_bad_url_is_refused_in_one_line(url: str) -> None:
    with pytest.raises(ValueError, match="is no url of a Chatterbox server") as refused:
        Chatterbox(url=url, speaker=Ends())
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("name", ["empty", "no sound", "no format", "cut off", "8 bits", "three channels", "too long"])
def test_a_damaged_wav_is_refused_in_one_line(name: str) -> None:
    body, words = {
        "empty": (b"", "no WAV"),
        "no sound": (_wav(np.zeros(0, "<i2")), "holds no sound"),
        "no format": (b"RIFF\x0e\0\0\0WAVEdata\x02\0\0\0\0\0", "no format"),
        "cut off": (_wav(_sine(1, 24_000))[:-2], "cut off"),
        "8 bits": (_wav(_sine(1, 24_000), width=1), "send 16-bit PCM"),
        "three channels": (_wav(np.zeros(300, "<i2"), channels=3), "send 16-bit PCM"),
        "too long": (_wav(np.zeros(4_000 * MAX_AUDIO_S + 1, "<i2"), rate=4_000), "at most 120 s"),
    }[name]
    with pytest.raises(ValueError, match=words) as refused:
        wav_to_pcm(body)
    assert "\n" not in str(refused.value)


def test_a_streamed_wav_lasts_to_the_end_of_the_file() -> None:
    whole = _wav(_sine(1, 24_000))
    streamed = whole[:40] + b"\xff\xff\xff\xff" + whole[44:]
    assert wav_to_pcm(streamed) == wav_to_pcm(whole) == whole[44:]


def test_a_wav_of_floats_and_other_chunks_is_understood() -> None:
    sound = (_sine(1, 24_000) / 32_768).astype("<f4").tobytes()
    header = struct.pack("<HHIIHH", 3, 1, 24_000, 96_000, 4, 32)
    parts = [(b"LIST", b"odd"), (b"fmt ", header), (b"data", sound)]
    body = b"".join(name + struct.pack("<I", len(part)) + part + b"\0" * (len(part) % 2) for name, part in parts)
    pcm = wav_to_pcm(b"RIFF" + struct.pack("<I", len(body) + 4) + b"WAVE" + body)
    assert np.abs(np.frombuffer(pcm, "<i2") - _sine(1, 24_000)).max() <= 2


@pytest.mark.parametrize(("rate", "channels"), [(8_000, 1), (16_000, 2), (22_050, 1), (44_100, 2), (96_000, 1)])
def test_a_tone_keeps_its_pitch_and_length_at_any_rate(rate: int, channels: int) -> None:
    pcm = wav_to_pcm(_wav(np.repeat(_sine(1, rate), channels), channels=channels, rate=rate))
    assert len(pcm) / 2 == pytest.approx(24_000, abs=2)
    assert _loudest_hz(pcm) == pytest.approx(440, abs=2)


@given(st.one_of(st.binary(max_size=200), st.tuples(st.integers(0, 60), st.binary(max_size=8)).map(lambda at: _overwritten(*at))))
def test_any_bytes_are_whole_samples_or_refused(body: bytes) -> None:
    try:
        pcm = wav_to_pcm(body)
    except ValueError as refused:
        assert "\n" not in str(refused)
    else:
        assert len(pcm) % 2 == 0


def _overwritten(at: int, damage: bytes) -> bytes:
    whole = _wav(_sine(0.01, 24_000))
    return whole[:at] + damage + whole[at + len(damage) :]


def _sine(seconds: float, rate: int) -> "np.ndarray[Any, np.dtype[np.int16]]":
    return (8_000 * np.sin(2 * math.pi * 440 * np.arange(int(seconds * rate)) / rate)).astype("<i2")


def _loudest_hz(pcm: bytes) -> float:
    spectrum = np.abs(np.fft.rfft(np.frombuffer(pcm, "<i2").astype(float)))
    return float(np.argmax(spectrum)) * 24_000 / (len(pcm) / 2)


def _wav(samples: "np.ndarray[Any, np.dtype[np.int16]]", *, channels: int = 1, rate: int = 24_000, width: int = 2) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(channels)
        writer.setsampwidth(width)
        writer.setframerate(rate)
        writer.writeframes(samples.tobytes())
    return file.getvalue()


def _free_port() -> int:
    """A port on which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])
