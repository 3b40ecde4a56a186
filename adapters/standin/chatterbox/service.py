"""What the routes of the stand-in speech server do: take a text, synthesise it in its turn, answer it, and fail as its script wants."""

import json
import time
import zlib
from collections.abc import Callable
from contextlib import closing
from functools import partial
from typing import Any, TextIO

import anyio
import anyio.to_thread
import attrs
import uvicorn
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from adapters.standin.chatterbox.answers import SoundAnswer, StreamedAnswer
from adapters.standin.chatterbox.dialects import MAX_ID_CHARS, Dialect, Endpoint, Refusal, Wanted
from adapters.standin.chatterbox.faults import CANCEL, DOWNS, SYNTHESIS, Sound, spoiled, struck
from adapters.standin.chatterbox.jobs import LIVE, Job, Jobs, JobState
from adapters.standin.chatterbox.lacks import told
from adapters.standin.faults import Fault, Schedule, Script
from adapters.standin.voice import Voice

MAX_BODY_BYTES = 64 * 1024


@attrs.define
class Service:
    """What the routes share."""

    voice: Voice
    dialect: Dialect
    script: Script
    key: str | None
    synthesis_ms: tuple[int, int]
    at_once: int
    log: TextIO | None
    without: frozenset[str] = frozenset()
    jobs: Jobs = attrs.field(factory=Jobs, init=False)
    schedule: Schedule = attrs.field(init=False)
    unnamed: int = attrs.field(default=0, init=False)
    turns: anyio.Semaphore = attrs.field(init=False)
    engine: uvicorn.Server | None = attrs.field(default=None, init=False)
    down_s: float | None = attrs.field(default=None, init=False)
    """How long to be gone before listening again; None: for good."""
    loading_until_s: float = attrs.field(default=0.0, init=False)
    """Until when it loads its model, on `time.monotonic`."""
    ready: Callable[[], None] | None = attrs.field(default=None, init=False)
    _timed: list[tuple[float, Fault]] = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.begin()
        self.schedule = Schedule(self.script, time.monotonic)
        began_s = time.monotonic()
        self._timed = [(began_s + left_s, fault) for left_s, fault in self.schedule.timed()]

    def begin(self) -> None:
        """Take requests in a loop of its own, with nobody in synthesis yet."""
        self.turns = anyio.Semaphore(self.at_once)

    def stop(self) -> None:
        """Take no more requests, and break off those under way; from any thread."""
        if self.engine is not None:
            self.engine.should_exit = self.engine.force_exit = True

    def order(self, fault: Fault) -> None:
        """A fault that is in no script begins now; one that strikes at once is not for orders."""
        self.schedule.add(fault)

    async def strike_in_time(self) -> None:
        """Strike what has a time of its own; what struck before the server was down does not strike again."""
        while self._timed:
            due_s, fault = self._timed[0]
            await anyio.sleep(due_s - time.monotonic())
            self._timed.pop(0)
            self._strike(fault)

    async def synthesise(self, endpoint: Endpoint, request: Request) -> Response:
        """POST a text."""
        self._admit(request)
        self._happened("tts")
        wanted = self.dialect.wanted(endpoint, await _json_of(request))
        if wanted.session_id is None:
            self.unnamed += 1
        try:
            job = self.jobs.open(wanted.session_id or f"unnamed-{self.unnamed}")
        except KeyError:
            raise HTTPException(409, f"session {wanted.session_id} is in synthesis already") from None
        self._note(job.session_id, job.state, chars=len(wanted.text), path=endpoint.path)
        if time.monotonic() < self.loading_until_s:
            return self._refuse_to_load(endpoint, job)
        faults = struck(self.schedule, SYNTHESIS) if job.state in LIVE else {}
        for fault in faults.values():
            self._note(job.session_id, "fault", **fault.told())
        return await self._answer(request, endpoint, wanted, job, faults)

    async def cancel(self, request: Request) -> Response:
        """POST /cancel/<session_id>: `cancelled` is whether work was stopped, `state` what the id was before."""
        self._happened("cancel")
        session_id = request.path_params["session_id"]
        if len(session_id) > MAX_ID_CHARS:
            raise HTTPException(400, f"session_id: at most {MAX_ID_CHARS} characters")
        for fault in struck(self.schedule, CANCEL).values():
            self._note(session_id, "fault", **fault.told())
            if fault.name == "cancel_404":
                raise HTTPException(404, "Not Found")
            await anyio.sleep_forever()
        before = self.jobs.cancel(session_id)
        self._note(session_id, "cancel", before=before)
        return JSONResponse({"cancelled": before in LIVE, "session_id": session_id, "state": str(before)})

    async def get(self, path: str, answer: Any, request: Request) -> Response:
        """GET what does not change but while the model is loaded."""
        self._admit(request)
        self._happened("health")
        loading = time.monotonic() < self.loading_until_s and path == self.dialect.health and self.dialect.loading
        return JSONResponse(loading or answer)

    def _refuse_to_load(self, endpoint: Endpoint, job: Job) -> Response:
        """What a POST is answered while the model is loaded."""
        self.jobs.end(job, JobState.REFUSED)
        self._note_end(job)
        if endpoint.streams and self.dialect.breaks:
            return SoundAnswer(Sound(bytes(2)), header=True, share=0.0)
        return JSONResponse(told({"detail": "The model is not loaded yet."}, self.without), 503)

    async def _answer(self, request: Request, endpoint: Endpoint, wanted: Wanted, job: Job, faults: dict[str, Fault]) -> Response:
        """What the POST is answered, once it has had its turn."""
        if fault := faults.get("status"):
            self.jobs.end(job, JobState.REFUSED)
            self._note_end(job)
            after = {"Retry-After": str(fault["retry_after_s"])} if fault["retry_after_s"] >= 0 else None
            return JSONResponse(told({"detail": "a fault of the script"}, self.without), fault["code"], after)
        if "wrong_voice" in faults:
            self.jobs.end(job, JobState.REFUSED)
            self._note_end(job)
            return JSONResponse({"detail": [{"type": "value_error", "loc": ["body", "voice"], "msg": "Voice not found"}]}, 422)
        pcm, lasting_s = b"", 0.0
        if job.state in LIVE:
            async with anyio.create_task_group() as group:
                if self.dialect.notices and "loop" not in self.without:
                    group.start_soon(self._watch_client, request, job)
                with job.scope:
                    pcm, lasting_s = await self._speak(job, wanted, faults, streams=endpoint.streams)
                group.cancel_scope.cancel()
        sound = spoiled(pcm, faults)
        share = faults["cut_off"]["share"] if "cut_off" in faults else 1.0
        if pcm and endpoint.streams:
            ended = partial(self._note_end, job, sound.audio_ms)
            fault = faults.get("bursts")
            bursts = {name: fault[name] for name in ("burst_ms", "pause_ms")} if fault else {}
            return StreamedAnswer(sound, self.jobs, job, header=wanted.header, lasting_s=lasting_s, share=share, ended=ended, **bursts)
        self._note_end(job, sound.audio_ms)
        if pcm:
            return SoundAnswer(sound, header=wanted.header, share=share)
        if job.state is JobState.REFUSED:
            return JSONResponse(told({"detail": f"{endpoint.text}: the voice finds nothing to say in it"}, self.without), 400)
        return Response(status_code=204)

    async def _speak(self, job: Job, wanted: Wanted, faults: dict[str, Fault], *, streams: bool) -> tuple[bytes, float]:
        """Wait for a turn, synthesise, and take as long as was asked; what streams takes that time while it is sent."""
        least_ms = _duration_of(wanted.text, self.synthesis_ms) if wanted.synthesis_ms is None else wanted.synthesis_ms
        if "slow" in faults:
            least_ms += faults["slow"]["ms"]
        async with self.turns:
            self.jobs.begin(job)
            self._note(job.session_id, job.state)
            if "hang" in faults:
                await anyio.sleep_forever()
            due = anyio.current_time() + least_ms / 1000
            pcm = b""
            with closing(self.voice.speak(wanted.text)) as chunks:
                if "loop" in self.without:
                    pcm = b"".join(chunks)
                    # the whole server stands still
                    time.sleep(max(0.0, due - anyio.current_time()))
                while chunk := await anyio.to_thread.run_sync(next, chunks, b""):
                    pcm += chunk
            if not streams:
                await anyio.sleep_until(due)
        if not pcm:
            self.jobs.end(job, JobState.REFUSED)
        elif not streams:
            self.jobs.end(job, JobState.DONE)
        return pcm, max(0.0, due - anyio.current_time())

    async def _watch_client(self, request: Request, job: Job) -> None:
        """Stop the work of a client that has gone."""
        while (await request.receive())["type"] != "http.disconnect":
            pass
        self.jobs.end(job, JobState.ABANDONED)

    def _happened(self, event: str) -> None:
        """Strike what waits for this event."""
        for fault in self.schedule.happened(event):
            self._strike(fault)

    def _strike(self, fault: Fault) -> None:
        """Do what strikes at once."""
        if fault.name in DOWNS:
            self._go_down(fault)
            return
        self._note("", "fault", **fault.told())
        self._load(fault["ms"])

    def _load(self, ms: int) -> None:
        self.loading_until_s = time.monotonic() + ms / 1000

    def _go_down(self, fault: Fault) -> None:
        """Stop listening for a while; with a crash every connection breaks and nothing is remembered."""
        assert self.engine is not None
        self._note("", "fault", **fault.told())
        self.down_s = fault["ms"] / 1000
        for listening in self.engine.servers:
            listening.close()
        if fault.name == "crash":
            self._load(fault["ms"] + fault["loading_ms"] if fault["loading_ms"] else 0)
            self.jobs, self.turns = Jobs(), anyio.Semaphore(self.at_once)
            for connection in list(self.engine.server_state.connections):
                connection.transport.abort()
            self.engine.force_exit = True
        self.engine.should_exit = True

    def _admit(self, request: Request) -> None:
        """Let those in who have the key; Refusal for the others, in OpenAI's words."""
        if self.key and request.headers.get("Authorization") != f"Bearer {self.key}":
            message = "Incorrect API key provided."
            error = {"message": message, "type": "invalid_request_error", "param": None, "code": "invalid_api_key"}
            raise Refusal(401, {"error": error})

    def _note_end(self, job: Job, audio_ms: int = 0) -> None:
        self._note(job.session_id, job.state, audio_ms=audio_ms)

    def _note(self, session_id: str, event: str, **facts: object) -> None:
        """Write one line of the log."""
        if self.log:
            line = {"at_ms": round(time.monotonic() * 1000), "event": str(event), "session_id": session_id, **facts}
            self.log.write(json.dumps(line) + "\n")


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


def _duration_of(text: str, span_ms: tuple[int, int]) -> int:
    """A synthesis time within the span that the text alone decides."""
    return span_ms[0] + zlib.crc32(text.encode(errors="replace")) % (span_ms[1] - span_ms[0] + 1)
