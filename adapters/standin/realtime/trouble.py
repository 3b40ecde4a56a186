"""What stands between a stand-in session and its socket: events pass through it unharmed, but where a fault script strikes.

It knows frames, times and the socket; what becomes of a session or a response under a fault is decided where these are.
"""

import asyncio
import json
import os
import signal
import socket
import struct
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed

from adapters.standin.faults import Fault, Schedule
from adapters.standin.realtime.events import Events
from adapters.standin.realtime.grammar import Json
from adapters.standin.realtime.lacks import Lacks
from adapters.standin.realtime.responses import RATE_LIMITS

FOREIGN_RESPONSE, FOREIGN_ITEM = "resp_foreign", "item_foreign"
RESET = 1006
"""The close code of a connection that ends without a close frame (RFC 6455, 7.1.5); it is never sent."""
EXPIRED = 1001
"""The code with which the original closes a session that has lasted too long (read in logs of its clients)."""


class Trouble:
    """One connection's way out, and the first to see what comes in; `occasion` and `armed` are what its session asks."""

    def __init__(
        self, connection: ServerConnection, schedule: Schedule, events: Events, lacks: Lacks, note: Callable[[Fault], None]
    ) -> None:
        """`note` is told each fault that strikes; `run` must run as long as the connection is used."""
        self._connection, self._schedule, self._events, self._lacks, self._note = connection, schedule, events, lacks, note
        self._is_half_open = False
        self._held: list[str] = []
        self._late_s: float | None = None
        self._quiet_until = 0.0
        self._queue: asyncio.Queue[tuple[float, str | bytes]] = asyncio.Queue()
        self._closing: asyncio.Future[tuple[int, str]] = asyncio.get_running_loop().create_future()

    async def run(self) -> None:
        """Strike at the times of the script, send what is late, and close when it is time; ends with its task."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._strike_in_time())
            group.create_task(self._send_late())
            group.create_task(self._close())

    async def order(self, fault: Fault) -> None:
        """A fault that is in no script begins now."""
        if self._schedule.add(fault):
            await asyncio.sleep(fault.at_s or 0.0)
            await self._strike(fault, None)

    # What the session asks.

    def occasion(self, name: str) -> Fault | None:
        """Does a fault of this name strike now that there is an occasion for it?"""
        return self._noted(self._schedule.occasion(name))

    def armed(self, name: str) -> Fault | None:
        """Has the time of a fault of this name come, while its occasion lasts?"""
        return self._noted(self._schedule.armed(name))

    def _noted(self, fault: Fault | None) -> Fault | None:
        if fault:
            self._note(fault)
        return fault

    # What passes.

    async def heard(self, message: str | bytes) -> bool:
        """A client's message has come: is it carried out? Of a half-open socket nothing is."""
        await self._stay_deaf()
        faults = self._schedule.happened(_type_of(message))
        for fault in faults:
            await self._strike(fault, message)
        await self._stay_deaf()
        return not self._closing.done() and not any(fault.name == "server_error" for fault in faults)

    async def send(self, event: Json) -> None:
        """Put an event on the wire, as the script will have it."""
        kind = event["type"]
        faults = [self._noted(fault) if fault.kind.strikes else fault for fault in self._schedule.happened(kind)]
        done_to_it = {fault.name for fault in faults if fault and fault.kind.strikes}
        told = self._lacks.told(_foreign(event) if "foreign_id" in done_to_it else event)
        if told and "out_of_order" in done_to_it:
            self._held.append(json.dumps(told))
        elif told and "lost" not in done_to_it:
            for _ in range(2 if "duplicate" in done_to_it else 1):
                await self._put(json.dumps(told))
            while self._held:
                await self._put(self._held.pop(0))
        for fault in faults:
            if fault and not fault.kind.strikes:
                await self._strike(fault, None)

    async def expire(self, error: Json, words: str) -> None:
        """The session's time is up: say so and close, unless the socket is half open."""
        await self._stay_deaf()
        await self.send(error)
        self.close(EXPIRED, words)

    def close(self, code: int, reason: str) -> None:
        """Send nothing more and close the connection; the first close counts."""
        if not self._closing.done():
            self._closing.set_result((code, reason))

    def let_go(self) -> None:
        """The server ends, and a half-open connection with it."""
        if self._is_half_open:
            self._connection.transport.abort()

    async def _put(self, data: str | bytes) -> None:
        """Send a frame, late if the script wants it so, or not at all once the connection is over."""
        if self._is_half_open or self._closing.done():
            return
        if self._late_s is None:
            await self._connection.send(data)
        else:
            self._queue.put_nowait((max(time.monotonic() + self._late_s, self._quiet_until), data))

    async def _stay_deaf(self) -> None:
        """Return at once; when the socket is half open, only once the server lets it go."""
        if self._is_half_open:
            # Taking a message out of the library's buffer may have made it read again.
            self._connection.transport.pause_reading()
            await self._connection.wait_closed()

    # The three tasks of `run`.

    async def _strike_in_time(self) -> None:
        began = time.monotonic()
        for seconds, fault in self._schedule.timed():
            await asyncio.sleep(began + seconds - time.monotonic())
            await self._strike(fault, None)

    async def _send_late(self) -> None:
        while True:
            due, data = await self._queue.get()
            await asyncio.sleep(due - time.monotonic())
            if not self._is_half_open and not self._closing.done():
                await self._connection.send(data)

    async def _close(self) -> None:
        code, reason = await self._closing
        if code == RESET:
            linger = struct.pack("ii", 1, 0)
            self._connection.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            self._connection.transport.abort()
        else:
            await self._connection.close(code, reason)

    # The strikes.

    async def _strike(self, fault: Fault, message: str | bytes | None) -> None:
        """A fault strikes at once; `message` is the client's that brought it on."""
        if self._is_half_open or self._closing.done():
            return
        self._note(fault)
        with suppress(ConnectionClosed):
            await _STRIKES[fault.name](self, fault, message)

    async def _malformed_json(self, fault: Fault, _: object) -> None:
        await self._put(str(fault["text"]))

    async def _unknown_type(self, fault: Fault, _: object) -> None:
        await self._tell(fault["type"])

    async def _oversized_frame(self, fault: Fault, _: object) -> None:
        place = {"response_id": FOREIGN_RESPONSE, "item_id": FOREIGN_ITEM, "output_index": 0, "content_index": 0}
        await self._tell("response.output_audio.delta", **place, delta="A" * (int(fault["mib"]) * 2**20))

    async def _binary_frame(self, fault: Fault, _: object) -> None:
        await self._put(bytes(fault["bytes"]))

    async def _server_error(self, fault: Fault, message: str | bytes | None) -> None:
        words = "The server had an error while processing your request. Sorry about that!"
        error = {"type": "server_error", "code": fault["code"], "message": words, "param": None, "event_id": _event_id_of(message)}
        await self._tell("error", error=error)

    async def _error_flood(self, fault: Fault, _: object) -> None:
        for number in range(int(fault["times"])):
            words = f"The client's message {number} could not be handled."
            await self._tell(
                "error", error={"type": "invalid_request_error", "code": None, "message": words, "param": None, "event_id": None}
            )

    async def _rate_limits(self, fault: Fault, _: object) -> None:
        limits = [
            {"name": name, "limit": most, "remaining": min(fault["remaining"], most), "reset_seconds": fault["reset_s"]}
            if name == fault["limit"]
            else {"name": name, "limit": most, "remaining": most, "reset_seconds": 0.0}
            for name, most in RATE_LIMITS.items()
        ]
        await self._tell("rate_limits.updated", rate_limits=limits)

    async def _foreign_done(self, fault: Fault, _: object) -> None:
        response = {"object": "realtime.response", "id": fault["response_id"], "status": fault["status"], "output": []}
        await self._tell("response.done", response=response | {"status_details": None, "usage": None, "conversation_id": "conv_foreign"})

    async def _session_expired(self, _: Fault, __: object) -> None:
        words = "Your session hit the maximum duration of 60 minutes."
        error = {"type": "invalid_request_error", "code": "session_expired", "message": words, "param": None, "event_id": None}
        await self._tell("error", error=error)
        self.close(EXPIRED, words)

    async def _close_with(self, fault: Fault, _: object) -> None:
        self.close(fault["code"], "by the fault script")

    async def _half_open(self, _: Fault, __: object) -> None:
        self._is_half_open = True
        self._connection.transport.pause_reading()

    async def _delay(self, fault: Fault, _: object) -> None:
        self._late_s = fault["ms"] / 1000

    async def _hiccup(self, fault: Fault, _: object) -> None:
        self._late_s = self._late_s or 0.0
        self._quiet_until = time.monotonic() + fault["ms"] / 1000

    async def _crash(self, _: Fault, __: object) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    async def _tell(self, kind: str, **fields: Any) -> None:
        """Put an event of the fault's own on the wire."""
        told = self._lacks.told(self._events.event(kind, **fields))
        if told:
            await self._put(json.dumps(told))


_STRIKES: dict[str, Callable[[Trouble, Fault, str | bytes | None], Awaitable[None]]] = {
    "malformed_json": Trouble._malformed_json,
    "unknown_type": Trouble._unknown_type,
    "oversized_frame": Trouble._oversized_frame,
    "binary_frame": Trouble._binary_frame,
    "server_error": Trouble._server_error,
    "error_flood": Trouble._error_flood,
    "rate_limits": Trouble._rate_limits,
    "foreign_done": Trouble._foreign_done,
    "session_expired": Trouble._session_expired,
    "close": Trouble._close_with,
    "half_open": Trouble._half_open,
    "delay": Trouble._delay,
    "hiccup": Trouble._hiccup,
    "crash": Trouble._crash,
}


def _read(message: str | bytes | None) -> Json:
    """The client's event, as far as it is one."""
    if message is None or isinstance(message, bytes):
        return {}
    try:
        event = json.loads(message)
    except (ValueError, RecursionError):
        return {}
    return event if isinstance(event, dict) else {}


def _type_of(message: str | bytes) -> str:
    kind = _read(message).get("type")
    return kind if isinstance(kind, str) else ""


def _event_id_of(message: str | bytes | None) -> str | None:
    event_id = _read(message).get("event_id")
    return event_id if isinstance(event_id, str) else None


def _foreign(event: Json) -> Json:
    """The event with the ids of nobody's response and item."""
    ids = {"response_id": FOREIGN_RESPONSE, "item_id": FOREIGN_ITEM}
    inner = {"response": FOREIGN_RESPONSE, "item": FOREIGN_ITEM}
    changed = {name: ids[name] for name in ids if name in event}
    return event | changed | {name: event[name] | {"id": new} for name, new in inner.items() if isinstance(event.get(name), dict)}
