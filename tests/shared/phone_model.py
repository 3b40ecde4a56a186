"""What the tests of the phone server share: an LLM that answers a tone with the same tone, callers who make tones; no claim is here."""

import base64
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import anyio
import attrs
import numpy as np
import numpy.typing as npt
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from adapters.hosts.phone.agent import ServedAgent
from adapters.hosts.phone.holding import Gallery
from adapters.hosts.phone.log import JsonLines
from adapters.hosts.phone.service import Listeners, Plan, Serving, serving as serving_calls
from adapters.realtime.settings import RealtimeSettings
from adapters.seam import mulaw
from adapters.standin.twilio import http
from adapters.standin.twilio.call import Call
from adapters.standin.twilio.ids import Ids
from adapters.standin.twilio.rest import Calls as RestCalls
from adapters.standin.twilio.stream import Conditions
from fsm.call.policy import Policy
from tests.shared.shell import PATIENT, until
from tests.shared.telephone import QUIET, serving

TOKEN = "12345678901234567890123456789012"
GREETING_HZ = 2_500
LOUD = 2_000.0
QUIET_FRAMES = 10
GOODBYE_MS = 700
"""A caller whose tone lasts longer than this is told goodbye."""


def tone(hz: float, ms: float, rate_hz: int = 24_000) -> bytes:
    """A tone, s16."""
    return (9_000 * np.sin(2 * np.pi * hz * np.arange(round(ms * rate_hz / 1000)) / rate_hz)).astype("<i2").tobytes()


def pitch(samples: npt.NDArray[np.float64], rate_hz: int) -> float:
    """The frequency that is loudest."""
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples)), 8 * len(samples)))
    return float(np.argmax(spectrum)) * rate_hz / (8 * len(samples))


@attrs.define(eq=False)
class ToneModel:
    """A realtime LLM: its VAD is loudness, and it answers in the tone that it heard, `answer_ms` long, sent faster than it is heard."""

    answer_ms: float = 1_000
    greeting_ms: float = 400
    goodbye_ms: float = GOODBYE_MS
    formats: tuple[str, ...] = ("audio/pcm", "audio/pcmu")
    """Those that it takes; it refuses a session of another."""
    form: str = "audio/pcm"
    """That of a session of which nobody asks another."""
    tools: tuple[str, ...] = ()
    """What it calls, one after the other, instead of an answer in words."""
    sessions: int = 0
    connections: set[ServerConnection] = attrs.Factory(set)
    received: list[dict[str, Any]] = attrs.Factory(list)
    """What clients sent, their sound aside."""
    heard: dict[str, bytearray] = attrs.Factory(dict)
    """Their sound, by its format."""

    async def handle(self, ws: ServerConnection) -> None:
        """One session."""
        self.sessions += 1
        self.connections.add(ws)
        try:
            await _Session(self, ws, self.sessions).run()
        except ConnectionClosed:
            return
        finally:
            self.connections.discard(ws)


@attrs.define(eq=False)
class _Session:
    model: ToneModel
    ws: ServerConnection
    number: int
    heard: list[npt.NDArray[np.float64]] = attrs.Factory(list)
    quiet: int = 0
    turns: int = 0
    responses: int = 0
    hz: float = GREETING_HZ
    spoken_ms: float = 0.0
    cancelled: bool = False
    form: str = "audio/pcm"

    async def run(self) -> None:
        self.form = self.model.form
        shown = {"format": {"type": self.form}}
        await self.say("session.created", session={"audio": {"input": shown, "output": shown}})
        async with anyio.create_task_group() as tasks:
            async for text in self.ws:
                message = json.loads(text)
                if message["type"] == "input_audio_buffer.append":
                    sound = base64.b64decode(message["audio"])
                    self.model.heard.setdefault(self.form, bytearray()).extend(sound)
                    pcm = mulaw.decode(sound) if self.form == "audio/pcmu" else sound
                    await self.hear(np.frombuffer(pcm, "<i2").astype(float))
                    continue
                self.model.received.append(message)
                if message["type"] == "session.update":
                    await self.set_up(message)
                elif message["type"] == "response.create":
                    self.cancelled = False
                    tasks.start_soon(self.answer)
                elif message["type"] == "response.cancel":
                    self.cancelled = True
            tasks.cancel_scope.cancel()

    async def set_up(self, update: dict[str, Any]) -> None:
        """Take a session as it is asked for, or refuse its format."""
        audio = update["session"].get("audio", {})
        asked = {side["format"]["type"] for side in audio.values() if "format" in side}
        if not asked <= set(self.model.formats):
            words = {"type": "invalid_request_error", "code": "invalid_value", "message": f"no such format: {', '.join(asked)}"}
            await self.say("error", error={**words, "event_id": update["event_id"]})
            return
        [self.form] = asked or {self.form}
        await self.say("session.updated", session=update["session"])

    async def hear(self, frame: npt.NDArray[np.float64]) -> None:
        loud = float(np.sqrt(np.mean(frame**2))) > LOUD
        if loud:
            self.quiet = 0
            self.heard.append(frame)
            if len(self.heard) == 3:
                await self.say("input_audio_buffer.speech_started", item_id=self.item)
        elif len(self.heard) >= 3:
            self.quiet += 1
            if self.quiet == QUIET_FRAMES:
                self.hz, self.spoken_ms = pitch(np.concatenate(self.heard[1:]), self.rate_hz), len(self.heard) * 20
                self.heard.clear()
                await self.say("input_audio_buffer.speech_stopped", item_id=self.item)
                await self.say("input_audio_buffer.committed", item_id=self.item)
                self.turns += 1

    async def answer(self) -> None:
        self.responses += 1
        response_id = f"r{self.number}_{self.responses}"
        of = {"id": response_id, "conversation_id": "c"}
        fields = {"response_id": response_id, "item_id": f"i_{response_id}"}
        await self.say("response.created", response={**of, "status": "in_progress"})
        if self.responses <= len(self.model.tools):
            call = {"call_id": f"call_{response_id}", "name": self.model.tools[self.responses - 1], "arguments": "{}"}
            await self.say("response.function_call_arguments.done", **fields, **call)
            item = {"id": fields["item_id"], "type": "function_call", "status": "completed", **call}
            await self.say("response.done", response={**of, "status": "completed", "output": [item]})
            return
        sound, size = tone(self.hz, self.model.answer_ms if self.turns else self.model.greeting_ms, self.rate_hz), 9_600
        if self.form == "audio/pcmu":
            sound, size = mulaw.encode(sound), 1_600
        for start in range(0, len(sound), size):
            if self.cancelled:
                break
            await self.say("response.output_audio.delta", delta=base64.b64encode(sound[start : start + size]).decode(), **fields)
            await anyio.sleep(0.05)
        if self.cancelled:
            reason = {"type": "cancelled", "reason": "client_cancelled"}
            await self.say("response.done", response={**of, "status": "cancelled", "status_details": reason})
            return
        words = "Goodbye." if self.spoken_ms > self.model.goodbye_ms else "I see."
        await self.say("response.output_audio_transcript.done", transcript=words, **fields)
        await self.say("response.done", response={**of, "status": "completed"})

    @property
    def rate_hz(self) -> int:
        return 8_000 if self.form == "audio/pcmu" else 24_000

    @property
    def item(self) -> str:
        return f"u{self.number}_{self.turns}"

    async def say(self, kind: str, **fields: Any) -> None:
        await self.ws.send(json.dumps({"type": kind, "event_id": "e", **fields}))


@asynccontextmanager
async def tone_server(model: ToneModel, port: int = 0) -> AsyncIterator[tuple[str, Server]]:
    """The model on loopback; gives its URL."""
    async with serve(model.handle, "127.0.0.1", port, compression=None) as server:
        yield f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1/realtime", server


WHOLE = 5
"""So many frames in a row, 100 ms, are enough to tell a pitch."""


@attrs.define
class ToneCaller:
    """A caller who makes a tone of `hz` at given times, in (from, to) ms; whoever is asked is mu-law.

    They hang up after `length_ms`, or when they have heard the agent for `hears` times 100 ms whole, however late that comes.
    """

    hz: float
    tones: tuple[tuple[int, int], ...] = ()
    length_ms: int = 30_000
    hears: int | None = None
    taken: int = 0
    heard: int = 0
    _run: int = 0

    @property
    def finished(self) -> bool:
        return self.taken * 20 >= self.length_ms or (self.hears is not None and self.heard >= self.hears)

    def next_frame(self, agent_audible: bool) -> bytes:
        at_ms = self.taken * 20
        self.taken += 1
        self._run = self._run + 1 if agent_audible else 0
        self.heard += self._run % WHOLE == 1 and self._run > 1
        if not any(start <= at_ms < end for start, end in self.tones):
            return QUIET
        phase = 2 * np.pi * self.hz * (np.arange(160) + at_ms * 8) / 8_000
        return mulaw.encode((9_000 * np.sin(phase)).astype("<i2").tobytes())


def heard_pitches(call: Call, frames: int = WHOLE) -> list[float]:
    """The pitch of each 100 ms, or of so many frames of 20, of the agent's that the caller heard whole."""
    part: list[bytes] = []
    found = []
    for frame in call.stream.ears._agent:
        part = [] if frame is None else [*part, frame]
        if len(part) == frames:
            samples, part = np.frombuffer(mulaw.decode(b"".join(part)), "<i2").astype(float), []
            if float(np.sqrt(np.mean(samples**2))) > LOUD:
                found.append(pitch(samples, 8_000))
    return found


@attrs.define
class Rest:
    """Twilio's REST API for many calls: the stand-in's, one for each call."""

    calls: dict[str, RestCalls] = attrs.Factory(dict)

    async def update(self, request: Request) -> Response:
        known = self.calls.get(request.path_params["call"])
        return await known.update(request) if known else Response(status_code=404)

    @property
    def routes(self) -> tuple[Route, ...]:
        return (Route("/2010-04-01/Accounts/{account}/Calls/{call}.json", self.update, methods=["POST"]),)


@attrs.define
class Exchange:
    """A server under test, its model, and Twilio around it."""

    server: Serving
    model: ToneModel
    rest: Rest
    said: list[str] = attrs.Factory(list)

    def place(self, caller: Any, *, token: str | None = TOKEN, ids: Ids | None = None, conditions: Conditions | None = None) -> Call:
        """A call to be dialled."""
        ids = ids or Ids()
        status = f"{self.server.url}/status"
        call = Call(http.Application(ids, token=token), caller, conditions or Conditions(), self.said.append, status)
        self.rest.calls[ids.call] = RestCalls(ids, TOKEN, call.end)
        return call

    async def dial(self, call: Call) -> Call:
        """Hold it."""
        await call.dial(f"{self.server.url}/voice", {})
        return call

    async def hold(self, call: Call) -> Call:
        """Hold it, until the server has let it go."""
        await self.dial(call)
        await self.server.calls.wait_until_empty()
        return call

    @asynccontextmanager
    async def dialling(self, call: Call) -> AsyncIterator[None]:
        """Hold it while the block acts; both end before the server has let it go."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self.dial, call)
            yield
        await self.server.calls.wait_until_empty()

    @property
    def stream_url(self) -> str:
        """Where a media stream goes to."""
        return self.server.url.replace("http", "ws") + "/stream"

    def count(self, name: str, **labels: str) -> float:
        """The value of a metric."""
        return self.server.metrics.registry.get_sample_value(f"callfsm_{name}", labels) or 0.0


@asynccontextmanager
async def exchange(
    *,
    model: ToneModel | None = None,
    policy: Policy | None = None,
    agent: Callable[[ServedAgent], Any] | None = None,
    gallery: Gallery | None = None,
    **more: Any,
) -> AsyncIterator[Exchange]:
    """A whole telephone exchange on loopback: the server, a tone model, Twilio's REST API."""
    model, rest = model or ToneModel(), Rest()
    async with AsyncExitStack() as stack:
        url, _ = await stack.enter_async_context(tone_server(model))
        api = await stack.enter_async_context(serving(*rest.routes))
        answers = ServedAgent(policy=policy or phone_policy(), settings=RealtimeSettings(), realtime_url=url)
        plan = Plan(**{"token": TOKEN, "api": api, "listeners": Listeners(port=0, metrics_port=0), **more})
        server = await stack.enter_async_context(serving_calls(plan, agent(answers) if agent else answers, gallery))
        yield Exchange(server, model, rest)


def phone_policy(**settings: Any) -> Policy:
    """A policy under which a short tone is a turn."""
    quick = {"calibration_ms": 100, "interruption_min_ms": 60}
    return Policy(**{**PATIENT, "voice": "realtime", "greeting_protected": False, **quick, **settings})


async def until_spoken_to(call: Call) -> None:
    """Wait until the caller has had more than 100 ms of the agent."""
    await until(lambda: call.stream is not None and call.stream.counts["frames of the agent"] > 5)


async def at_once(works: Iterable[Callable[[], Awaitable[Any]]]) -> None:
    """Do things side by side."""
    async with anyio.create_task_group() as tasks:
        for work in works:
            tasks.start_soon(work)


class Lines(logging.Handler):
    """A log in memory."""

    def __init__(self) -> None:
        super().__init__()
        self.setFormatter(JsonLines())
        self.lines: list[dict[str, Any]] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(json.loads(self.format(record)))

    def of(self, event: str) -> list[dict[str, Any]]:
        return [line for line in self.lines if line["event"] == event]
