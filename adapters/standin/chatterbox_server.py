"""A strict stand-in for the Chatterbox speech server, on 127.0.0.1 and in a process of its own; nothing of the project's core in here.

Three routes. POST /v1/tts {"text", "session_id"?, "synthesis_ms"?} answers a whole WAV (24 kHz, mono, 16 bits) once the
sentence is synthesised, or 204 when it was cancelled. POST /cancel/<session_id> says whether it came in time, and is
remembered for 2 s, since a cancel may overtake its POST. GET /health says that the server is there. Every refusal is
JSON, {"detail": "..."}.
"""

import io
import json
import signal
import socket
import time
import wave
import zlib
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack, asynccontextmanager, closing
from enum import StrEnum
from pathlib import Path
from typing import Any, TextIO

import anyio
import anyio.to_thread
import attrs
import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from adapters.standin.voice import RATE_HZ, Voice

REMEMBERED_S = 2.0
"""How long a cancelled id is remembered (the cancel contract's tombstone)."""
MAX_BODY_BYTES = 64 * 1024
MAX_TEXT_CHARS = 2_000
"""About two minutes of speech, far beyond a sentence."""
MAX_ID_CHARS = 200
MAX_SYNTHESIS_MS = 120_000
MAX_ENDED = 1_000
"""How many ended jobs are known by their id, so that a late cancel is answered as late."""


def run_chatterbox(port: int, *, synthesis_ms: tuple[int, int] = (0, 0), log: Path | None = None, at_once: int = 1) -> None:
    """Serve until SIGTERM or SIGINT; prints the one line `ready http://127.0.0.1:PORT` once it listens.

    `port` 0 takes a free one. A synthesis lasts at least as long as a number within `synthesis_ms` that its text alone
    decides, and `at_once` of them run at a time, the others queue, as on a GPU. `log` gets one JSON line for whatever
    happens to a request, never its text. OSError when the port is taken, ValueError for a bad setting; main thread only.
    """
    if not 0 <= synthesis_ms[0] <= synthesis_ms[1] <= MAX_SYNTHESIS_MS:
        raise ValueError(f"synthesis_ms is {synthesis_ms!r}: it takes two numbers from 0 to {MAX_SYNTHESIS_MS}, the lower one first")
    if at_once < 1:
        raise ValueError(f"at_once is {at_once!r}: at least one synthesis has to run")
    with ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", port)))
        lines = stack.enter_context(log.open("a", encoding="utf-8", buffering=1)) if log else None
        app = _application(_Server(Voice.load(), Jobs(), synthesis_ms, at_once, lines), listener.getsockname()[1])
        config = uvicorn.Config(app, log_level="critical", access_log=False, lifespan="on", timeout_graceful_shutdown=1)
        for number in (signal.SIGTERM, signal.SIGINT):
            # uvicorn stops at the first signal and then raises it again, for whoever had it before: nobody
            stack.callback(signal.signal, number, signal.signal(number, _already_stopped))
        uvicorn.Server(config).run(sockets=[listener])


class JobState(StrEnum):
    """Where a synthesis stands; the last four are its end."""

    QUEUED = "queued"
    SYNTHESISING = "synthesising"
    CANCELLED = "cancelled"
    ABANDONED = "abandoned"
    """The client closed the connection."""
    REFUSED = "refused"
    """The voice found nothing to say in the text."""
    DONE = "done"


LIVE = frozenset({JobState.QUEUED, JobState.SYNTHESISING})
STOPS = frozenset({JobState.CANCELLED, JobState.ABANDONED})


@attrs.define(eq=False)
class Job:
    """One POST /v1/tts; leaving its scope is how its work stops."""

    session_id: str
    state: JobState = JobState.QUEUED
    scope: anyio.CancelScope = attrs.field(factory=anyio.CancelScope)


@attrs.define
class Jobs:
    """Which sessions are live, which have ended, and which ids were cancelled lately; all bounded, `clock` in seconds."""

    clock: Callable[[], float] = time.monotonic
    _live: dict[str, Job] = attrs.field(factory=dict, init=False)
    _ended: OrderedDict[str, JobState] = attrs.field(factory=OrderedDict, init=False)
    _remembered: OrderedDict[str, float] = attrs.field(factory=OrderedDict, init=False)

    def open(self, session_id: str) -> Job:
        """A new job, already cancelled when its cancel came first; KeyError when the id is live."""
        if session_id in self._live:
            raise KeyError(session_id)
        job = Job(session_id)
        if self._remembered.get(session_id, -1.0) > self.clock():
            job.state = JobState.CANCELLED
        else:
            self._live[session_id] = job
        return job

    def begin(self, job: Job) -> None:
        """The job's turn has come."""
        job.state = JobState.SYNTHESISING

    def end(self, job: Job, state: JobState) -> None:
        """The job ends so, unless it has ended already: what came first stands."""
        if job.state not in LIVE:
            return
        job.state = state
        if state in STOPS:
            job.scope.cancel()
        del self._live[job.session_id]
        self._ended[job.session_id] = state
        _keep_last(self._ended)

    def cancel(self, session_id: str) -> str:
        """Cancel and remember; gives the state that the id was in, `unknown` when it has never come."""
        self._remembered[session_id] = self.clock() + REMEMBERED_S
        self._remembered.move_to_end(session_id)
        _keep_last(self._remembered)
        job = self._live.get(session_id)
        if job is None:
            return self._ended.get(session_id, "unknown")
        before = job.state
        self.end(job, JobState.CANCELLED)
        return before


def _keep_last(memory: OrderedDict[str, Any]) -> None:
    while len(memory) > MAX_ENDED:
        memory.popitem(last=False)


@attrs.define
class _Wanted:
    """A POST that asks for something possible."""

    text: str
    session_id: str
    synthesis_ms: int


@attrs.define
class _Server:
    """The three routes, and what they share."""

    voice: Voice
    jobs: Jobs
    synthesis_ms: tuple[int, int]
    at_once: int
    log: TextIO | None
    unnamed: int = 0
    turns: anyio.Semaphore = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.turns = anyio.Semaphore(self.at_once)

    async def synthesise(self, request: Request) -> Response:
        """POST /v1/tts."""
        wanted = self._wanted(await _json_of(request))
        try:
            job = self.jobs.open(wanted.session_id)
        except KeyError:
            raise HTTPException(409, f"session {wanted.session_id} is in synthesis already") from None
        self._note(job.session_id, job.state, chars=len(wanted.text))
        pcm = b""
        if job.state in LIVE:
            async with anyio.create_task_group() as group:
                group.start_soon(self._watch_client, request, job)
                with job.scope:
                    pcm = await self._speak(job, wanted)
                group.cancel_scope.cancel()
            self._note(job.session_id, job.state, audio_ms=len(pcm) * 500 // RATE_HZ)
        return _answer(job, pcm)

    async def cancel(self, request: Request) -> Response:
        """POST /cancel/<session_id>: `cancelled` is whether work was stopped, `state` what the id was before."""
        session_id = request.path_params["session_id"]
        if len(session_id) > MAX_ID_CHARS:
            raise HTTPException(400, f"session_id: at most {MAX_ID_CHARS} characters")
        before = self.jobs.cancel(session_id)
        self._note(session_id, "cancel", before=before)
        return JSONResponse({"cancelled": before in LIVE, "session_id": session_id, "state": str(before)})

    async def health(self, _: Request) -> Response:
        """GET /health."""
        return JSONResponse({"status": "ok", "engine": "callfsm stand-in for Chatterbox", "sample_rate": RATE_HZ})

    def _wanted(self, body: dict[str, Any]) -> _Wanted:
        """What a body asks for; HTTPException 400 with the reason when that is impossible."""
        text, session_id = body.get("text"), body.get("session_id")
        if not isinstance(text, str) or not text.strip():
            raise HTTPException(400, "text: a string with something to say is required")
        if len(text) > MAX_TEXT_CHARS:
            raise HTTPException(400, f"text: {len(text)} characters, at most {MAX_TEXT_CHARS} are taken")
        if session_id is None:
            self.unnamed += 1
            session_id = f"unnamed-{self.unnamed}"
        if not isinstance(session_id, str) or not 0 < len(session_id) <= MAX_ID_CHARS:
            raise HTTPException(400, f"session_id: a string of 1 to {MAX_ID_CHARS} characters")
        least_ms = body.get("synthesis_ms", _duration_of(text, self.synthesis_ms))
        if type(least_ms) is not int or not 0 <= least_ms <= MAX_SYNTHESIS_MS:
            raise HTTPException(400, f"synthesis_ms: a whole number from 0 to {MAX_SYNTHESIS_MS}")
        return _Wanted(text, session_id, least_ms)

    async def _speak(self, job: Job, wanted: _Wanted) -> bytes:
        """Wait for a turn, synthesise, and take as long as was asked."""
        async with self.turns:
            self.jobs.begin(job)
            self._note(job.session_id, job.state)
            due = anyio.current_time() + wanted.synthesis_ms / 1000
            pcm = b""
            with closing(self.voice.speak(wanted.text)) as chunks:
                while chunk := await anyio.to_thread.run_sync(next, chunks, b""):
                    pcm += chunk
            await anyio.sleep_until(due)
        self.jobs.end(job, JobState.DONE if pcm else JobState.REFUSED)
        return pcm

    async def _watch_client(self, request: Request, job: Job) -> None:
        """Stop the work of a client that has gone."""
        while (await request.receive())["type"] != "http.disconnect":
            pass
        self.jobs.end(job, JobState.ABANDONED)

    def _note(self, session_id: str, event: str, **facts: object) -> None:
        """Write one line of the log."""
        if self.log:
            line = {"at_ms": round(time.monotonic() * 1000), "event": str(event), "session_id": session_id, **facts}
            self.log.write(json.dumps(line) + "\n")


def _application(server: _Server, port: int) -> Starlette:
    """The routes, with every refusal as JSON; says that it is ready once it takes requests."""

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        print(f"ready http://127.0.0.1:{port}", flush=True)
        yield

    routes = [
        Route("/v1/tts", server.synthesise, methods=["POST"]),
        Route("/cancel/{session_id}", server.cancel, methods=["POST"]),
        Route("/health", server.health, methods=["GET"]),
    ]
    return Starlette(routes=routes, lifespan=lifespan, exception_handlers={HTTPException: _refuse, ClientDisconnect: _nobody})


async def _refuse(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return JSONResponse({"detail": error.detail}, status_code=error.status_code, headers=error.headers)


async def _nobody(_: Request, __: Exception) -> Response:
    """The client went while it sent its body: there is nobody to answer."""
    return Response(status_code=400)


async def _json_of(request: Request) -> dict[str, Any]:
    """The JSON object of a body of bounded size; HTTPException 413 or 422."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            raise HTTPException(413, f"the body is larger than {MAX_BODY_BYTES} bytes")
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        raise HTTPException(422, "the body is not JSON") from None
    if not isinstance(value, dict):
        raise HTTPException(422, "the body is not a JSON object")
    return value


def _answer(job: Job, pcm: bytes) -> Response:
    """The response that a job's end calls for."""
    if job.state is JobState.DONE:
        return Response(_wav(pcm), media_type="audio/wav")
    if job.state is JobState.REFUSED:
        return JSONResponse({"detail": "text: the voice finds nothing to say in it"}, status_code=400)
    return Response(status_code=204)


def _duration_of(text: str, span_ms: tuple[int, int]) -> int:
    """A synthesis time within the span that the text alone decides."""
    return span_ms[0] + zlib.crc32(text.encode(errors="replace")) % (span_ms[1] - span_ms[0] + 1)


def _wav(pcm: bytes) -> bytes:
    """Mono 24 kHz PCM as a WAV file."""
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(RATE_HZ)
        writer.writeframes(pcm)
    return file.getvalue()


def _already_stopped(_: int, __: object) -> None:
    """The second coming of a signal that has stopped the server."""
