"""A good call held beside attacks on the same server, one after the other from a seed; and what it and the server came to.

The server is a process of its own. The good caller interrupts a voice that speaks all the time: a frame sent late is a gap that they
hear, and the time from their first sound to the clear is the server's own figure.
"""

import contextlib
import json
import random
import socket
import struct
import tempfile
import zlib
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from signal import SIGTERM
from typing import Any

import anyio
import attrs
import httpx
from anyio import to_thread
from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException
from websockets.frames import Frame, Opcode

from adapters.standin.twilio import http
from adapters.standin.twilio.call import Call, CallFailed
from adapters.standin.twilio.ids import Ids
from adapters.standin.twilio.stream import Conditions, Hung
from tests.shared import misbehaving
from tests.shared.phone_model import ToneCaller, ToneModel, tone_server
from tests.shared.phone_process import server
from tests.shared.telephone import Silent

from .parsers import _realtime_seeds, _twilio_seeds, mutated

CALL_MS = 9_000
ALONE = 0.1
"""For this share of the time a good call is held alone first: what it feels then is the machine's."""
FLOOD = 20_000
"""Each message lets others have their turn: the good caller and the model are in the attackers' process."""
SETTINGS = {"greeting_protected": "false", "calibration_ms": 100, "interruption_min_ms": 60, "tool_ms": 1_000, "tool_filler_ms": 500}


TOOLS = Path(misbehaving.__file__)
MOODS = ("flood", "nonsense", "gone", *(tool["name"] for tool in misbehaving.tools.declarations if tool["name"] != "standing"))
"""What a model does; who blocks the event loop stops every call, which is only told."""
TASKS, DESCRIPTORS, MEMORY = "callfsm_tasks", "process_open_fds", "process_resident_memory_bytes"
MORE_MB = 60.0
"""How much more memory the server may hold afterwards: it rises for the first few hundred calls (see OPERATING.md)."""


@attrs.define
class Figures:
    """What came of it; times in seconds."""

    inputs: Counter[str] = attrs.Factory(Counter)
    good_calls: int = 0
    busy: int = 0
    """How often a good caller heard that all places are taken."""
    attacked_calls: int = 0
    good_calls_lost: int = 0
    lost: dict[str, str] = attrs.Factory(dict)
    """Who hung up each of them, by the call's id."""
    servers_lost: int = 0
    alone: "Quiet" = attrs.Factory(lambda: Quiet())
    """Of a good call with nobody beside it, before the attacks: what is the machine's."""
    beside: "Quiet" = attrs.Factory(lambda: Quiet())
    """Of those that were held beside the attacks."""
    gaps: int = 0
    """Gaps in the agent's voice that good callers heard, so far."""
    before_after: dict[str, tuple[float, float]] = attrs.Factory(dict)
    faults: list[str] = attrs.Factory(list)

    @property
    def failed(self) -> bool:
        """Did something not hold? Gaps and lag are told, and not judged: they depend on the machine."""
        return bool(self.good_calls_lost or self.servers_lost or self.faults)

    def told(self) -> str:
        """The figures, a line each."""
        kinds = ", ".join(f"{name} {number:,}" for name, number in sorted(self.inputs.items()))
        lines = [
            f"attacks: {sum(self.inputs.values()):,} hostile inputs ({kinds})",
            f"good calls: {self.good_calls} held beside {self.attacked_calls} attacked ones, {self.good_calls_lost} lost",
            f"good callers told that all places are taken: {self.busy}",
            f"servers lost: {self.servers_lost}",
            f"good calls beside the attacks: {self.beside}",
            f"a good call alone in the same run: {self.alone}",
            *(f"{name}: {before:,.0f} before, {after:,.0f} after" for name, (before, after) in self.before_after.items()),
            *(f"fault: {fault}" for fault in self.faults),
        ]
        return "\n".join(lines)


@attrs.define
class Quiet:
    """How much of an attack, or of the machine, a good call feels; times in seconds."""

    clear: dict[float, float] = attrs.Factory(dict)
    lag: dict[float, float] = attrs.Factory(dict)
    gaps: int = 0
    seconds: float = 0.0

    @classmethod
    def read(cls, after: dict[str, float], before: dict[str, float], gaps: int, seconds: float) -> "Quiet":
        """What the server's figures grew by, and the gaps that were heard."""
        made = cls(gaps=gaps, seconds=seconds)
        for name, value in after.items():
            for wanted, buckets in (("callfsm_silence_seconds", made.clear), ("callfsm_loop_lag_seconds", made.lag)):
                if name.startswith(f"{wanted}_bucket"):
                    buckets[float(name.partition('le="')[2].rstrip('"}'))] = value - before.get(name, 0.0)
        return made

    def __str__(self) -> str:
        """The figures in one line."""
        clear, lag = _quantile(list(self.clear.items()), 0.95), _quantile(list(self.lag.items()), 0.99)
        gaps = f"{self.gaps} gaps heard in {self.seconds:.0f} s, {60 * self.gaps / self.seconds:.1f} a minute"
        return f"clear p95 at most {clear:g} s, {gaps}, event loop late p99 at most {lag:g} s"


def _quantile(buckets: list[tuple[float, float]], part: float) -> float:
    """The bound of the bucket in which that part of a histogram ends; infinity beyond its last."""
    most = max((count for _, count in buckets), default=0.0)
    return min((bound for bound, count in buckets if most and count >= part * most), default=float("nan"))


@attrs.define
class Range:
    """Who attacks, and what."""

    url: str
    metrics: str
    model: "Moody"
    chance: random.Random
    figures: Figures
    moods: list[str] = attrs.Factory(list)
    """Which the model is still to have; then any."""
    line: anyio.Lock = attrs.Factory(anyio.Lock)

    @property
    def port(self) -> int:
        """The server's."""
        return httpx.URL(self.url).port or 80

    async def stream(self, act: Callable[[Any, str], Awaitable[None]]) -> None:
        """Announce a call, open its stream, begin it, and do something on it."""
        ids = Ids()
        async with httpx.AsyncClient() as client:
            answer = await client.post(f"{self.url}/voice", data=http.Application(ids)._fields("ringing"))
        verbs = http.read_twiml(answer.content, f"{self.url}/voice")
        wanted = next((verb for verb in verbs if isinstance(verb, http.Stream)), None)
        if wanted is None:
            return
        async with connect(wanted.url, compression=None, ping_interval=None) as ws:
            layout = {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1}
            of = {"callSid": ids.call, "accountSid": ids.account, "streamSid": ids.stream}
            begun = {**of, "mediaFormat": layout, "customParameters": dict(wanted.parameters)}
            await ws.send(json.dumps({"event": "start", "sequenceNumber": "1", "streamSid": ids.stream, "start": begun}))
            self.figures.attacked_calls += 1
            await act(ws, ids.stream)

    async def dial(self, call: Call, mood: str = "") -> None:
        """Hold a call whose session has a mood; sessions come one after the other, so that each has its own."""
        async with anyio.create_task_group() as tasks, self.line:
            self.model.mood, self.model.begun = mood, anyio.Event()
            tasks.start_soon(call.dial, f"{self.url}/voice", {})
            with anyio.move_on_after(5):
                await self.model.begun.wait()

    async def good_call(self, length_ms: int) -> None:
        """A caller who interrupts again and again, and hangs up."""
        tones = tuple((start, start + 200) for start in range(1_000, length_ms - 500, 1_500))
        ids = Ids()
        call = Call(http.Application(ids), ToneCaller(700, tones, length_ms), Conditions(), str)
        try:
            await self.dial(call)
        except* CallFailed as failed:
            self.figures.faults.append(f"a good call: {failed.exceptions}")
        if call.hung is None:
            # Whoever may announce calls may take every place, for as long as one rings: the caller tries again, as people do.
            self.figures.busy += 1
            await anyio.sleep(1)
            return
        self.figures.good_calls += 1
        self.figures.gaps += len(call.stream.ears.gaps_ms()) if call.stream else 0
        if call.hung is not Hung.CALLER:
            self.figures.good_calls_lost += 1
            self.figures.lost[ids.call] = call.hung.value

    def count(self, name: str, number: int = 1) -> None:
        """So many hostile inputs of a kind were sent."""
        self.figures.inputs[name] += number


async def silence(at: Range) -> None:
    """Connections that say nothing, or half a request."""
    words = at.chance.choice((b"", b"P", b"POST /voice HTTP/1.1\r\nHost: localhost\r\n", b"GET / HTTP/1.1\r\nContent-Length: 9\r\n\r\nx"))
    streams = []
    for _ in range(300):
        streams.append(await anyio.connect_tcp("127.0.0.1", at.port))
        with contextlib.suppress(anyio.BrokenResourceError):
            await streams[-1].send(words or b"")
    at.count("silent connections", len(streams))
    async with httpx.AsyncClient() as client:
        if (await client.get(f"{at.url}/healthz")).status_code != 200:
            at.figures.faults.append("health did not answer beside silent connections")
    for stream in streams:
        await anyio.aclose_forcefully(stream)


async def nonsense(at: Range) -> None:
    """Requests that are none, and requests in the wrong words."""
    for _ in range(100):
        words = mutated(b"POST /voice HTTP/1.1\r\nHost: localhost\r\nContent-Length: 20\r\n\r\nCallSid=CA1&AccountS", at.chance)
        with contextlib.suppress(OSError, anyio.BrokenResourceError, anyio.EndOfStream):
            async with await anyio.connect_tcp("127.0.0.1", at.port) as stream:
                await stream.send(words)
                with anyio.move_on_after(0.02):
                    await stream.receive()
        at.count("requests")


async def resets(at: Range) -> None:
    """Streams that are reset at once."""

    async def reset(ws: Any, _: str) -> None:
        ws.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        ws.transport.abort()

    for _ in range(5):
        await at.stream(reset)
        at.count("resets")


async def media_flood(at: Range) -> None:
    """Sound faster than anybody speaks."""

    async def flood(ws: Any, sid: str) -> None:
        text = json.dumps({"event": "media", "streamSid": sid, "media": {"payload": "/w==" * 50}})
        for _ in range(FLOOD):
            await ws.send(text)
            await anyio.sleep(0)
            at.count("flood messages")

    await at.stream(flood)


async def control_flood(at: Range) -> None:
    """Pings, and fragments without an end."""
    kind = at.chance.choice((Opcode.PING, Opcode.CONT))

    async def flood(ws: Any, _: str) -> None:
        ws.transport.write(Frame(Opcode.TEXT, b"", fin=False).serialize(mask=True))
        for _ in range(FLOOD):
            ws.transport.write(Frame(kind, b"", fin=kind is Opcode.PING).serialize(mask=True))
            at.count("flood messages")
            await anyio.sleep(0)
            if ws.transport.is_closing():
                return

    await at.stream(flood)


async def mutations(at: Range) -> None:
    """Messages of Twilio's with something wrong, on a stream that has begun."""

    async def send(ws: Any, sid: str) -> None:
        for _ in range(400):
            text = mutated(at.chance.choice(_twilio_seeds()).replace(b"MZ1", sid.encode()), at.chance).decode(errors="replace")
            await ws.send(text)
            at.count("mutations")

    await at.stream(send)


async def broken_frames(at: Range) -> None:
    """Bytes that are no WebSocket."""

    async def send(ws: Any, _: str) -> None:
        ws.transport.write(at.chance.randbytes(2_000))
        at.count("broken streams")
        await anyio.sleep(0.05)

    await at.stream(send)


async def model_moods(at: Range) -> None:
    """A model that floods, talks nonsense, hangs up, or calls a tool that misbehaves."""
    mood = at.moods.pop() if at.moods else at.chance.choice(MOODS)
    at.count(f"model: {mood}")
    call = Call(http.Application(Ids()), Silent(30), Conditions(), str)
    at.figures.attacked_calls += 1
    await at.dial(call, mood)


async def wrong_words(at: Range) -> None:
    """Another protocol, heads without an end, a body that comes slowly, frames with reserved bits, a compressed bomb."""
    bomb = zlib.compressobj(9, zlib.DEFLATED, -15)
    squeezed = bomb.compress(b"x" * 10_000_000) + bomb.flush(zlib.Z_SYNC_FLUSH)
    for words in (
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(200),
        b"\x16\x03\x01\x02\x00" + at.chance.randbytes(500),
        b"GET / HTTP/1.1\r\n" + b"".join(b"X-%d: %s\r\n" % (number, b"y" * 50) for number in range(5_000)),
        b"GET /" + b"a" * 300_000,
        b"POST /voice HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n" + b"FFFFFFFF\r\n" + bytes(300_000),
        b"POST /voice HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999\r\n\r\n" + bytes(300_000),
        b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n" * 500,
    ):
        with contextlib.suppress(OSError, anyio.BrokenResourceError, anyio.EndOfStream):
            async with await anyio.connect_tcp("127.0.0.1", at.port) as stream:
                with anyio.move_on_after(0.3):
                    await stream.send(words)
                    await stream.receive()
        at.count("wrong words")
    for frame in (
        Frame(Opcode.TEXT, b"{}", rsv1=True),
        Frame(Opcode.TEXT, b"{}", rsv2=True, rsv3=True),
        Frame(Opcode.TEXT, squeezed, rsv1=True),
        Frame(Opcode.TEXT, b"\xff\xfe"),
        Frame(Opcode.CLOSE, b"\x00"),
        Frame(Opcode.CONT, b"of nothing"),
    ):

        async def send(ws: Any, _: str, frame: Frame = frame) -> None:
            ws.transport.write(_serialized(frame))
            await anyio.sleep(0.05)

        with contextlib.suppress(WebSocketException):
            await at.stream(send)
        at.count("wrong frames")


def _serialized(frame: Frame) -> bytes:
    """A masked frame, whatever the library that makes it thinks of its bits."""
    head = (0x80 | frame.rsv1 << 6 | frame.rsv2 << 5 | frame.rsv3 << 4 | frame.opcode, 0x80 | 127, len(frame.data), 0)
    return struct.pack("!BBQL", *head) + bytes(frame.data)


async def rebinding(at: Range) -> None:
    """A page of elsewhere."""
    async with httpx.AsyncClient() as client:
        for headers in ({"Host": "evil.example"}, {"Origin": "https://evil.example"}):
            if (await client.post(f"{at.url}/voice", headers=headers, data={"CallSid": "CA1"})).status_code != 403:
                at.figures.faults.append(f"{headers} was let in")
            at.count("foreign requests")


ATTACKS = (silence, nonsense, resets, media_flood, control_flood, mutations, broken_frames, wrong_words, model_moods, rebinding)


@attrs.define(eq=False)
class Moody(ToneModel):
    """A model whose next session is in a mood."""

    mood: str = ""
    begun: anyio.Event = attrs.Factory(anyio.Event)
    chance: random.Random = attrs.Factory(lambda: random.Random(1))

    async def handle(self, ws: Any) -> None:
        """One session."""
        mood, self.mood = self.mood, ""
        self.begun.set()
        with contextlib.suppress(WebSocketException):
            if mood in ("flood", "nonsense"):
                await ws.send(json.dumps({"type": "session.created", "session": {}}))
                for _ in range(FLOOD if mood == "flood" else 500):
                    seed = self.chance.choice(_realtime_seeds())
                    await ws.send(mutated(seed, self.chance).decode(errors="replace") if mood == "nonsense" else '{"type": "unknown.kind"}')
                    await anyio.sleep(0)
                return
            if mood == "gone":
                ws.transport.abort()
                return
            self.tools = (mood,) if mood else ()
            await super().handle(ws)


async def hold(
    seconds: float, seed: int, attacks: tuple[Callable[[Range], Awaitable[None]], ...] = ATTACKS, moods: tuple[str, ...] = ()
) -> Figures:
    """Attack for so long, each attack at least once, beside good calls; the model has these moods first."""
    figures, chance = Figures(), random.Random(seed)
    model = Moody(answer_ms=3_000, greeting_ms=3_000)
    with tempfile.TemporaryDirectory() as folder:
        options: list[object] = ["--voice", "realtime", "--tools", TOOLS, "--traces", Path(folder) / "traces", "--drain-s", 3]
        for name, value in SETTINGS.items():
            options += ["--set", f"{name}={value}"]
        async with tone_server(model) as (url, _):
            async with server("--realtime", url, *options, patience_s=seconds + 300) as (process, told, log):
                start_s = anyio.current_time()
                at = Range(told["ready"].removesuffix("/voice"), told["metrics"], model, chance, figures, [*moods])
                for _ in range(max(1, int(seconds * ALONE / CALL_MS * 1000))):
                    await at.good_call(CALL_MS if seconds else 1_000)
                before, began_s = await _settled(at), anyio.current_time()
                figures.alone = Quiet.read(before, {}, figures.gaps, began_s - start_s)
                figures.gaps = 0
                await _attack(at, attacks, seconds)
                await _judge(at, before, anyio.current_time() - began_s)
                process.send_signal(SIGTERM)
                if await to_thread.run_sync(process.wait) != 0:
                    figures.servers_lost += 1
            _judge_log(figures, log)
    return figures


async def _attack(at: Range, attacks: tuple[Callable[[Range], Awaitable[None]], ...], seconds: float) -> None:
    over = False

    async def hold_good_calls() -> None:
        while not over:
            await at.good_call(CALL_MS)

    until_s = anyio.current_time() + seconds
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(hold_good_calls)
        await anyio.sleep(0.5)
        todo = list(attacks)
        while todo or anyio.current_time() < until_s:
            attack = todo.pop() if todo else at.chance.choice(attacks)
            try:
                await attack(at)
            except* (OSError, httpx.HTTPError, WebSocketException, CallFailed, anyio.BrokenResourceError):
                # The attacker was thrown out.
                pass
        over = True


async def _settled(at: Range, before: dict[str, float] | None = None) -> dict[str, float]:
    """The server's figures, once its places are free, and it has no more tasks and descriptors than before; or a minute later."""
    until_s = anyio.current_time() + 60
    async with httpx.AsyncClient() as client:
        while True:
            found = {}
            for line in (await client.get(at.metrics)).text.splitlines():
                if not line.startswith("#"):
                    name, _, value = line.rpartition(" ")
                    found[name] = float(value)
            free = found["callfsm_places_taken"] == 0 and all(found[name] <= (before or found)[name] for name in (TASKS, DESCRIPTORS))
            if free or anyio.current_time() > until_s:
                return found
            await anyio.sleep(0.2)


async def _judge(at: Range, before: dict[str, float], seconds: float) -> None:
    """After it all the server is as before; and the figures of the good calls."""
    after, figures = await _settled(at, before), at.figures
    if after["callfsm_places_taken"]:
        figures.faults.append("a place is still taken")
    for name, more in ((TASKS, 0.0), (DESCRIPTORS, 0.0), (MEMORY, MORE_MB * 2**20)):
        figures.before_after[name] = (before[name], after[name])
        if after[name] > before[name] + more:
            figures.faults.append(f"{name} was {before[name]:g} and is {after[name]:g}")
    figures.beside = Quiet.read(after, before, figures.gaps, seconds)
    if crashed := after["callfsm_crashed_total"]:
        figures.faults.append(f"{crashed:g} calls crashed")


def _judge_log(figures: Figures, log: list[str]) -> None:
    """Every line is one of ours, and every call that began has ended once."""
    ended: Counter[str] = Counter()
    for line in log:
        try:
            told = json.loads(line)
        except ValueError:
            figures.faults.append(f"the log has {line[:200]!r}")
            continue
        if told.get("call") in figures.lost and told["event"] not in ("call_began", "interruption"):
            figures.faults.append(f"a good call was lost, {figures.lost[told['call']]}: {line.strip()[:300]}")
        ended[told.get("call", "")] += {"call_began": -1, "call_ended": 1}.get(told["event"], 0)
        if told["event"] == "call_crashed" or "Traceback" in line or told.get("words") == "Exception in ASGI application":
            figures.faults.append(line.strip()[:400])
    figures.faults += [f"{call} ended {1 + number} times" for call, number in ended.items() if number]
