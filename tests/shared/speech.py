"""What the tests of the Chatterbox port share: both its ends, the stand-in's process, servers made of a script; no claim is here."""

import io
import json
import math
import os
import socket
import subprocess
import sys
import wave
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import anyio
import attrs
import httpx
import numpy as np
from anyio.abc import ByteStream, SocketAttribute

from adapters.audio.wav import WavStream
from adapters.chatterbox.port import Chatterbox
from adapters.chatterbox.servers import Server as Asked
from adapters.seam.ports import Port
from fsm.call.effects import Synthesise
from fsm.call.events import Event
from tests.shared.shell import PATIENCE_S, each_backend as each_backend

LONG_MS = 60_000
"""A synthesis that never ends by itself within a test."""
ROOT = Path(__file__).parents[2]

Samples = np.ndarray[Any, np.dtype[np.int16]]


@attrs.frozen
class Played:
    """Sound that reached the speaker."""

    response_id: str
    pcm: bytes
    sentence: str


class Ends:
    """Both ends of the port: what it posts and what it plays, in one order. A speaker that `refuses` takes nothing more."""

    def __init__(self) -> None:
        self.seen: list[Event | Played] = []
        self.refuses = False
        self._more = anyio.Event()

    def post(self, event: Callable[..., Event], *args: Any, **kwargs: Any) -> None:
        self._add(event(0.0, *args, **kwargs))

    def play(self, response_id: str, pcm: bytes, *, item_id: str = "", content_index: int = 0, sentence: str = "") -> bool:
        if not self.refuses:
            self._add(Played(response_id, pcm, sentence))
        return not self.refuses

    def _add(self, fact: Event | Played) -> None:
        self.seen.append(fact)
        self._more.set()
        self._more = anyio.Event()

    async def until(self, kind: type[Any], session_id: str = "") -> Any:
        """The first fact of a kind, about a session if one is named, once there is one."""
        with anyio.fail_after(PATIENCE_S):
            while True:
                for fact in self.of(kind):
                    if session_id in ("", getattr(fact, "session_id", None), getattr(fact, "sentence", None)):
                        return fact
                await self._more.wait()

    def of(self, kind: type[Any]) -> list[Any]:
        return [fact for fact in self.seen if isinstance(fact, kind)]

    @property
    def played(self) -> list[str]:
        """The sentences of which there was sound, each once, in order."""
        return list(dict.fromkeys(fact.sentence for fact in self.of(Played)))

    def pcm(self, session_id: str) -> bytes:
        """All the sound of a sentence."""
        return b"".join(fact.pcm for fact in self.of(Played) if fact.sentence == session_id)


@asynccontextmanager
async def running(port: Port, ends: Ends) -> AsyncIterator[None]:
    async with anyio.create_task_group() as group:
        group.start_soon(port.run, ends.post)
        yield
        group.cancel_scope.cancel()


def seed(url: str) -> Asked:
    """A server of the seed's kind, which is not asked what it is."""
    return Asked(url=url, dialect="seed")


@asynccontextmanager
async def voicing(server: str | Asked, **settings: Any) -> AsyncIterator[tuple[Ends, Chatterbox]]:
    """A port of this server at work, and both its ends."""
    ends = Ends()
    port = Chatterbox(url=server, speaker=ends, **settings)
    async with running(port, ends):
        yield ends, port


@asynccontextmanager
async def saying(text: str, server: str | Asked, *, name: str = "s", **settings: Any) -> AsyncIterator[tuple[Ends, Chatterbox]]:
    """The same, and it is asked for one sentence."""
    async with voicing(server, **settings) as (ends, port):
        port.do(Synthesise(name, "r", text))
        yield ends, port


class Server:
    """The stand-in's process and its log."""

    def __init__(self, url: str, log: Path) -> None:
        self.url = url
        self._log = log

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self._log.read_text().splitlines()]

    def log(self) -> list[tuple[str, str]]:
        """What happened so far: session and event."""
        return [(line["session_id"], line["event"]) for line in self.lines()]

    async def until(self, session_id: str, event: str) -> None:
        """Come back once the log says so; each look is a request, so that the server gets on."""
        async with httpx.AsyncClient(trust_env=False) as client:
            with anyio.fail_after(PATIENCE_S):
                while (session_id, event) not in self.log():
                    await client.get(f"{self.url}/health")


@contextmanager
def stand_in(folder: Path, *arguments: str, faults: str = "", key: str = "") -> Iterator[Server]:
    """`callfsm stand-in chatterbox ARGUMENTS` as a process, with a script of `faults`; it demands the `key`, if there is one."""
    log = folder / "log.jsonl"
    command = [sys.executable, "-m", "adapters.cli", "stand-in", "chatterbox", "--log", str(log), "--with-parent", *arguments]
    if faults:
        (folder / "faults.toml").write_text(faults)
        command += ["--faults", str(folder / "faults.toml")]
    variables = {**os.environ, **({"CALLFSM_STAND_IN_KEY": key} if key else {})}
    process = subprocess.Popen(command, cwd=ROOT, env=variables, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        yield Server(process.stdout.readline().removeprefix("ready ").strip(), log)
    finally:
        process.terminate()
        process.communicate(timeout=PATIENCE_S)


@attrs.frozen
class Reply:
    """An answer: `parts` are sent as chunks when there are several, each after a call of `before`, and the last chunk ends it."""

    status: int = 200
    body: bytes = b""
    parts: tuple[bytes, ...] = ()
    headers: tuple[str, ...] = ()
    whole: bool = True
    """False: the connection is closed in mid-answer."""
    before: Callable[[int], Awaitable[None]] | None = None


@attrs.define
class Request:
    """What came."""

    method: str
    path: str
    head: str
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


Answers = Callable[[Request], Awaitable[Reply]]


@asynccontextmanager
async def answering(answers: Answers, *, port: int = 0) -> AsyncIterator[str]:
    """A server that answers each request as it is told to, one a connection; gives its url."""

    async def serve(stream: ByteStream) -> None:
        async with stream:
            try:
                await _send(stream, await answers(await _receive(stream)))
            except (anyio.BrokenResourceError, anyio.EndOfStream):
                return

    async with await anyio.create_tcp_listener(local_host="127.0.0.1", local_port=port) as listener, anyio.create_task_group() as group:
        group.start_soon(listener.serve, serve)
        yield f"http://127.0.0.1:{listener.extra(SocketAttribute.local_port)}"
        group.cancel_scope.cancel()


async def _receive(stream: ByteStream) -> Request:
    request = b""
    while b"\r\n\r\n" not in request:
        request += await stream.receive()
    head, _, content = request.partition(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0] or 0)
    while len(content) < length:
        # closing with a byte unread would reset the connection
        content += await stream.receive()
    method, path, _ = head.decode().split(" ", 2)
    return Request(method, path, head.decode(), content)


async def _send(stream: ByteStream, reply: Reply) -> None:
    size = "Transfer-Encoding: chunked" if reply.parts else f"Content-Length: {len(reply.body) + (0 if reply.whole else 1)}"
    lines = [f"HTTP/1.1 {reply.status} X", "Connection: close", size, *reply.headers]
    await stream.send("\r\n".join(lines).encode() + b"\r\n\r\n" + reply.body)
    for number, part in enumerate(reply.parts):
        if reply.before is not None:
            await reply.before(number)
        await stream.send(b"%x\r\n%b\r\n" % (len(part), part))
    if reply.parts and reply.whole:
        await stream.send(b"0\r\n\r\n")


def always(status: int = 200, body: bytes = b"", *, headers: tuple[str, ...] = ()) -> Answers:
    async def answers(_: Request) -> Reply:
        return Reply(status, body, headers=headers)

    return answers


async def never(_: Request) -> Reply:
    await anyio.sleep_forever()
    raise AssertionError


class Hangs:
    """A server that takes a synthesis and never answers it; `came` is set by then. A cancel gets `cancel`, if there is one."""

    def __init__(self, cancel: Reply | None = None) -> None:
        self.paths: list[str] = []
        self.came = anyio.Event()
        self._cancel = cancel

    async def __call__(self, request: Request) -> Reply:
        self.paths.append(request.path)
        if self._cancel is not None and request.path.startswith("/cancel"):
            return self._cancel
        self.came.set()
        return await never(request)


def sine(seconds: float, rate: int = 24_000) -> Samples:
    return (8_000 * np.sin(2 * math.pi * 440 * np.arange(int(seconds * rate)) / rate)).astype("<i2")


def loudest_hz(pcm: bytes) -> float:
    spectrum = np.abs(np.fft.rfft(np.frombuffer(pcm, "<i2").astype(float)))
    return float(np.argmax(spectrum)) * 24_000 / (len(pcm) / 2)


def wav_to_pcm(body: bytes) -> bytes:
    """What a whole WAV sounds like, as the port hears it. Raises WavError."""
    stream = WavStream(whole=True)
    return stream.feed(body) + stream.end()


def wav(samples: Samples, *, channels: int = 1, rate: int = 24_000, width: int = 2) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(channels)
        writer.setsampwidth(width)
        writer.setframerate(rate)
        writer.writeframes(samples.tobytes())
    return file.getvalue()


def streamed(whole: bytes) -> bytes:
    """A WAV as a streaming server writes it: of open length."""
    return whole[:40] + b"\xff\xff\xff\xff" + whole[44:]


def free_port() -> int:
    """A port on which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])
