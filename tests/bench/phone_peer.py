"""Both neighbours of a phone server as one lean process: Twilio with its callers, and a realtime LLM that does nothing but be interrupted.

The WebSockets are written by hand, so that fifty calls cost the peer a fraction of what they cost the server: frames are masked
with zeros, which changes nothing, and of what comes only the beginning is looked at. The peer announces its LLM as `ready URL`, takes
orders on standard input, a line of JSON each, and answers each with one; it ends when its standard input does.
"""

import asyncio
import base64
import hashlib
import json
import random
import re
import sys
import time
from collections import deque
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import httpx

FRAME_S = 0.02
AHEAD_FRAMES, BATCH = 10, 5
"""The server sends so much at once, then so many frames whenever they have been played."""
DELTA_MS = 100
PACE_S = 0.05
"""A delta comes this often: twice as fast as it is heard."""
LEAD = 4
"""So many deltas come at once, before that pace: what the server sends ahead is there from the start."""
GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
QUIET = base64.b64encode(b"\xff" * 160).decode()
BYTES_A_MS = {"audio/pcm": 48, "audio/pcmu": 8}
SOUND = {kind: base64.b64encode(random.Random(1).randbytes(DELTA_MS * size)).decode() for kind, size in BYTES_A_MS.items()}
FRAME_CHARS, ENVELOPE = 216, 100
"""About how long the base64 of a frame is, and what is around it."""
HEAD = 128
"""How much of a message is looked at."""


class Wire(asyncio.Protocol):
    """One end of a WebSocket: whole messages out, the beginnings of messages in."""

    def __init__(self, request: bytes = b"") -> None:
        """Be the client that sends `request`, or a server."""
        self.transport: Any = None
        self._request, self._buffer, self._open = request, bytearray(), False
        self.opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.transport.write(self._request)

    def connection_lost(self, _: Exception | None) -> None:
        for future in (self.opened, self.closed):
            if not future.done():
                future.set_result(None)
        self.end()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if not self._open:
            place = self._buffer.find(b"\r\n\r\n")
            if place < 0:
                return
            head = bytes(self._buffer[:place])
            del self._buffer[: place + 4]
            self._open = True
            if not self._request:
                self._agree(head)
            self.opened.set_result(None)
            self.begin()
        self._read()

    def send(self, text: str) -> None:
        """Send a message."""
        payload = text.encode()
        size, mask = len(payload), 0x80 if self._request else 0
        length = bytes((mask | size,)) if size < 126 else bytes((mask | 126,)) + size.to_bytes(2, "big")
        self.transport.write(b"\x81" + length + (bytes(4) if mask else b"") + payload)

    def close(self) -> None:
        """Close as a client does, at once."""
        self.transport.write(b"\x88\x82" + bytes(4) + b"\x03\xe8")
        self.transport.close()

    def begin(self) -> None:
        """The WebSocket is open."""

    def end(self) -> None:
        """It is closed."""

    def take(self, head: bytes, size: int) -> None:
        """A message of so many bytes has come; the beginning of it, or all of a session.update."""

    def _agree(self, request: bytes) -> None:
        found = re.search(rb"(?i)sec-websocket-key: *(\S+)", request)
        accept = base64.b64encode(hashlib.sha1(found[1] + GUID).digest())
        self.transport.write(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "
            + accept
            + b"\r\n\r\n"
        )

    def _read(self) -> None:
        buffer, at = self._buffer, 0
        while len(buffer) - at >= 2:
            opcode, size, place = buffer[at] & 15, buffer[at + 1] & 127, at + 2
            if size >= 126:
                wide = 2 if size == 126 else 8
                if len(buffer) < place + wide:
                    break
                size, place = int.from_bytes(buffer[place : place + wide], "big"), place + wide
            key = b""
            if buffer[at + 1] & 128:
                key, place = bytes(buffer[place : place + 4]), place + 4
            if len(buffer) < place + size:
                break
            head = _unmasked(bytes(buffer[place : place + min(size, HEAD)]), key)
            if b'"session.update"' in head:
                head = _unmasked(bytes(buffer[place : place + size]), key)
            at = place + size
            if opcode == 1:
                self.take(head, size)
            elif opcode == 8:
                self.transport.close()
            elif opcode == 9:
                self.transport.write(b"\x8a\x80" + bytes(4) if self._request else b"\x8a\x00")
        del buffer[:at]


def _unmasked(part: bytes, key: bytes) -> bytes:
    if not key:
        return part
    mask = (key * (len(part) // 4 + 1))[: len(part)]
    return (int.from_bytes(part, "big") ^ int.from_bytes(mask, "big")).to_bytes(len(part), "big")


class Figures:
    """What one run has measured, in milliseconds."""

    def __init__(self) -> None:
        self.clear: list[float] = []
        """From the write of speech_started to the arrival of the clear."""
        self.down: list[float] = []
        """How much later than it should a frame of the agent came."""
        self.up: list[float] = []
        """How much later than the quickest a frame of the caller came to the LLM."""
        self.through: list[float] = []
        """How long a frame of the caller took to the LLM."""
        self.late = 0
        """Frames of the agent that came after all before them had been played."""
        self.lag: list[float] = []
        """How late the peer itself was."""


class Session(Wire):
    """The LLM's side of one call."""

    def __init__(self, peer: "Peer") -> None:
        super().__init__()
        self.peer = peer
        self.caller: Caller | None = None
        self.asked = asyncio.Event()
        self.cancelled = asyncio.Event()
        self.updated = asyncio.Event()
        self.session: dict[str, Any] = {}
        self.frames = 0
        self.quickest_s = float("inf")
        self.task: asyncio.Task[None] | None = None

    def begin(self) -> None:
        self.say("session.created", session={})
        self.task = asyncio.ensure_future(self.serve())
        self.peer.tasks.add(self.task)
        self.task.add_done_callback(self.peer.tasks.discard)
        self.peer.arrived(self)

    def end(self) -> None:
        if self.task is not None:
            self.task.cancel()

    def take(self, head: bytes, size: int) -> None:
        if b'"input_audio_buffer.append"' in head:
            self.frames += 1
            took_s = time.monotonic() - self.frames * FRAME_S
            self.quickest_s = min(self.quickest_s, took_s)
            self.peer.figures.up.append((took_s - self.quickest_s) * 1000)
            if self.caller is not None:
                self.peer.figures.through.append((took_s + FRAME_S - self.caller.start_s) * 1000)
        elif b'"session.update"' in head:
            self.session = json.loads(head)["session"]
            self.updated.set()
        elif b'"response.create"' in head:
            self.asked.set()
        elif b'"response.cancel"' in head:
            self.cancelled.set()

    def say(self, kind: str, **fields: Any) -> None:
        self.send(json.dumps({"type": kind, "event_id": "e", **fields}))

    async def serve(self) -> None:
        """A turn of the caller, an answer that is interrupted, and so on."""
        await self.updated.wait()
        self.say("session.updated", session=self.session)
        number = 0
        while True:
            number += 1
            item = f"u{number}"
            self.say("input_audio_buffer.speech_stopped", item_id=item)
            self.say("input_audio_buffer.committed", item_id=item)
            self.asked.clear()
            await self.asked.wait()
            await self.answer(f"r{number}", f"u{number + 1}")
            await asyncio.sleep(0.1)

    async def answer(self, response_id: str, item_id: str) -> None:
        """Answer until the caller has interrupted."""
        self.cancelled.clear()
        self.say("response.created", response={"id": response_id, "status": "in_progress", "conversation_id": "c"})
        of = {"event_id": "e", "response_id": response_id, "item_id": "i"}
        kind = self.session["audio"].get("output", {}).get("format", {"type": "audio/pcm"})["type"]
        delta = json.dumps({"type": "response.output_audio.delta", **of, "delta": SOUND[kind]})
        for _ in range(LEAD):
            self.send(delta)
        until_s = time.monotonic() + random.uniform(*self.peer.talk_s)
        while (left_s := until_s - time.monotonic()) > 0:
            self.send(delta)
            await asyncio.sleep(min(left_s, PACE_S))
        self.caller.spoke_s = time.monotonic()
        self.say("input_audio_buffer.speech_started", item_id=item_id)
        await asyncio.wait_for(self.cancelled.wait(), 10)
        reason = {"type": "cancelled", "reason": "client_cancelled"}
        self.say("response.done", response={"id": response_id, "status": "cancelled", "conversation_id": "c", "status_details": reason})


class Caller(Wire):
    """Twilio's side of one call: sends a frame every 20 ms, and plays what comes."""

    def __init__(self, request: bytes, peer: "Peer", call_sid: str, token: str) -> None:
        super().__init__(request)
        self.peer, self.call_sid, self.token = peer, call_sid, token
        self.stream_sid = "MZ" + call_sid[2:]
        self.spoke_s = 0.0
        self.frames = self.numbered = 0
        self.start_s = 0.0
        self.burst, self.burst_s, self.dry_s = 0, 0.0, 0.0
        self.marks: deque[tuple[str, asyncio.TimerHandle]] = deque()
        self.timer: asyncio.TimerHandle | None = None

    def begin(self) -> None:
        start = {
            "accountSid": "AC1",
            "streamSid": self.stream_sid,
            "callSid": self.call_sid,
            "tracks": ["inbound"],
            "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
            "customParameters": {"token": self.token},
        }
        self.send('{"event": "connected", "protocol": "Call", "version": "1.0.0"}')
        self.send(self.message("start", json.dumps(start)))
        self.start_s = time.monotonic()
        self.tick()

    def end(self) -> None:
        if self.timer is not None:
            self.timer.cancel()
        for _, handle in self.marks:
            handle.cancel()

    def message(self, event: str, fields: str) -> str:
        self.numbered += 1
        return f'{{"event": "{event}", "sequenceNumber": "{self.numbered}", "streamSid": "{self.stream_sid}", "{event}": {fields}}}'

    def tick(self) -> None:
        """Send a frame, and plan the next."""
        if self.transport.is_closing():
            return
        at_ms = self.frames * 20
        fields = f'{{"track": "inbound", "chunk": "{self.frames + 1}", "timestamp": "{at_ms}", "payload": "{QUIET}"}}'
        self.send(self.message("media", fields))
        self.peer.figures.lag.append((time.monotonic() - self.start_s) * 1000 - at_ms)
        self.frames += 1
        loop = asyncio.get_running_loop()
        self.timer = loop.call_at(self.start_s + self.frames * FRAME_S, self.tick)

    def take(self, head: bytes, size: int) -> None:
        now_s = time.monotonic()
        if head.startswith(b'{"event": "media"'):
            self.play(now_s, round((size - ENVELOPE) / FRAME_CHARS))
        elif head.startswith(b'{"event": "mark"'):
            # the name is at the end of the message, which fits into what is read
            self.mark(head, now_s)
        elif head.startswith(b'{"event": "clear"'):
            if self.spoke_s:
                self.peer.figures.clear.append((now_s - self.spoke_s) * 1000)
                self.spoke_s = 0.0
            self.burst, self.dry_s = 0, min(self.dry_s, now_s + FRAME_S)
            for name, handle in self.marks:
                handle.cancel()
                self.send(self.message("mark", json.dumps({"name": name})))
            self.marks.clear()

    def play(self, now_s: float, frames: int) -> None:
        if not self.burst:
            self.burst_s = now_s
        else:
            due_s = self.burst_s + max(0, self.burst + BATCH - AHEAD_FRAMES) * FRAME_S
            self.peer.figures.down.append(max(0.0, now_s - due_s) * 1000)
            self.peer.figures.late += now_s > self.dry_s
        self.burst += frames
        self.dry_s = max(now_s, self.dry_s) + frames * FRAME_S

    def mark(self, head: bytes, now_s: float) -> None:
        found = self.peer.name.search(head)
        assert found is not None, head
        name = found[1].decode()
        if self.dry_s <= now_s:
            self.send(self.message("mark", json.dumps({"name": name})))
            return
        self.marks.append((name, asyncio.get_running_loop().call_at(self.dry_s, self.reach)))

    def reach(self) -> None:
        """The oldest mark is reached."""
        name, _ = self.marks.popleft()
        self.send(self.message("mark", json.dumps({"name": name})))


class Peer:
    """All calls, and the LLM."""

    name = re.compile(rb'"name": "(\w+)"')

    def __init__(self) -> None:
        self.figures = Figures()
        self.calls: list[Caller] = []
        self.talk_s = (0.5, 1.0)
        self.waiting: deque[asyncio.Future[Session]] = deque()
        self.dialled = 0
        self.tasks: set[asyncio.Task[None]] = set()

    def arrived(self, session: Session) -> None:
        """A session of the LLM: that of the call that was dialled last, or a preflight's."""
        if self.waiting:
            self.waiting.popleft().set_result(session)

    async def dial(self, client: httpx.AsyncClient, voice: str) -> Caller:
        """Ring, unless `voice` is the stream itself, and open it; one call after the other, so that each finds its session."""
        self.dialled += 1
        call_sid, stream, token = f"CA{self.dialled:032d}", voice, ""
        if not voice.startswith("ws"):
            twiml = (await client.post(voice, data={"CallSid": call_sid, "AccountSid": "AC1", "CallStatus": "ringing"})).text
            found = re.search(r'url="([^"]+)".*value="([^"]+)"', twiml)
            if found is None:
                raise RuntimeError(f"the server answered {twiml[:200]}")
            stream, token = found.groups()
        place = urlsplit(stream)
        request = (
            f"GET {place.path} HTTP/1.1\r\nHost: {place.netloc}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        ).encode()
        session: asyncio.Future[Session] = asyncio.get_running_loop().create_future()
        self.waiting.append(session)
        make = partial(Caller, request, self, call_sid, token)
        _, caller = await asyncio.get_running_loop().create_connection(make, place.hostname, place.port)
        await asyncio.wait_for(caller.opened, 10)
        (await asyncio.wait_for(session, 10)).caller = caller
        return caller

    async def order(self, order: dict[str, Any], client: httpx.AsyncClient) -> dict[str, Any]:
        """Do what is asked: hold so many calls for so long, or let callers come and go."""
        if order["do"] == "hold":
            self.talk_s = order["talk_s"]
            while len(self.calls) < order["calls"]:
                self.calls.append(await self.dial(client, order["voice"]))
                await asyncio.sleep(0.013)
            await asyncio.sleep(order["settle_s"])
            self.figures = Figures()
            await asyncio.sleep(order["seconds"])
            lost = sum(caller.closed.done() for caller in self.calls)
            return {**vars(self.figures), "lost": lost}
        if order["do"] == "leave":
            for caller in self.calls:
                caller.close()
            await asyncio.gather(*(caller.closed for caller in self.calls))
            self.calls.clear()
            return {}
        return await self.come_and_go(order, client)

    async def come_and_go(self, order: dict[str, Any], client: httpx.AsyncClient) -> dict[str, Any]:
        """Dial and hang up for a while, with so many calls at a time."""
        until_s, held, calls = time.monotonic() + order["seconds"], 0, deque[Caller]()
        while time.monotonic() < until_s:
            calls.append(await self.dial(client, order["voice"]))
            held += 1
            await asyncio.sleep(random.uniform(0.01, 0.1))
            while len(calls) > order["calls"]:
                calls.rotate(random.randrange(len(calls)))
                calls.popleft().close()
        for caller in calls:
            caller.close()
        await asyncio.gather(*(caller.closed for caller in calls))
        return {"held": held}


async def main() -> None:
    """Announce the LLM, then do as told."""
    peer = Peer()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(partial(Session, peer), "127.0.0.1", 0)
    print(f"ready ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1/realtime", flush=True)
    async with httpx.AsyncClient(timeout=20, limits=httpx.Limits(max_keepalive_connections=0)) as client:
        while line := await asyncio.to_thread(sys.stdin.readline):
            print(json.dumps(await peer.order(json.loads(line), client)), flush=True)


if __name__ == "__main__":
    asyncio.run(main())
