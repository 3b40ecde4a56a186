"""One client of the stand-in realtime server: its session at a natural pace, with voice, ears and dialogue; the protocol is not in here."""

import asyncio
import json
import re
import secrets
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import suppress
from typing import Any, Protocol
from urllib.parse import parse_qs, urlsplit
from weakref import WeakKeyDictionary, WeakSet

import attrs
from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed

from adapters.standin.client_log import ClientLog
from adapters.standin.dialogue import Call, Dialogue
from adapters.standin.ears import Transcriber, bytes_per_ms, encode
from adapters.standin.faults import Fault, Schedule, Script
from adapters.standin.realtime.events import Begin, Events, Later, Out, Transcribe
from adapters.standin.realtime.faults import SESSION_LIMIT_S
from adapters.standin.realtime.lacks import Lacks
from adapters.standin.realtime.response import Plan
from adapters.standin.realtime.responses import Responses
from adapters.standin.realtime.session import Session, expiry_words
from adapters.standin.realtime.settings import DEFAULT_MODEL
from adapters.standin.realtime.trouble import Trouble

FULL = {"type": "error", "event_id": "event_full", "error": {"type": "session_limit_reached", "message": "All places are taken."}}
"""What a client is told who finds no place, by a server that has one."""
RELEASE_S = 1.0
"""How long such a place stays taken."""
SLOWEST = 0.5
"""The slowest pace of the voice; the wire allows 0.25."""


@attrs.frozen(kw_only=True)
class Pace:
    """How fast the stand-in is; times in seconds. The defaults are those of a live system's logs where there were any."""

    first_token_s: float = 0.3
    """From response.created to the first word or sound (the logs: 450 ms to the first sound)."""
    words_per_s: float = 25.0
    """Words of a text answer."""
    chunk_ms: int = 200
    """Sound in one response.output_audio.delta."""
    audio_speed: float = 4.0
    """How many times faster than real time an answer in sound is sent."""
    transcript_s: float = 0.6
    """From the commit to the caller's transcript: after the answer began, as in the logs."""
    hearing_s: float = 10.0
    """How long an answer waits for what the caller said; beyond it the dialogue answers without."""
    session_s: float = SESSION_LIMIT_S
    """How long a session may last."""


class Speech(Protocol):
    """Where the agent's sound comes from; `Voice` is one."""

    def speak(self, text: str, *, pace: float = 1.0) -> Iterator[bytes]:
        """24 kHz mono s16le PCM, in pieces of any length; called from a thread."""


@attrs.define
class House:
    """What all connections share, and the door that counts them."""

    dialogue: Dialogue
    pace: Pace
    voice: Speech
    transcriber: Transcriber
    notes: ClientLog
    script: Script
    lacks: Lacks
    _count: int = attrs.field(default=0, init=False)
    _refusals: list[int] = attrs.field(factory=list, init=False)
    _at_the_door: "WeakKeyDictionary[ServerConnection, tuple[int, Schedule]]" = attrs.field(factory=WeakKeyDictionary, init=False)
    _schedules: list[Schedule] = attrs.field(factory=list, init=False)
    _guests: "WeakSet[Guest]" = attrs.field(factory=WeakSet, init=False)
    _taken: bool = attrs.field(default=False, init=False)
    _free_at: float = attrs.field(default=0.0, init=False)

    def knock(self, connection: ServerConnection) -> int | None:
        """Somebody wants in: the HTTP status with which the script refuses them, None to let them in."""
        self._count += 1
        schedule = Schedule(self.script, time.monotonic, self._count)
        if self.script.holds("refuse_connection"):
            self._schedules.append(schedule)
        for one in self._schedules:
            if fault := one.occasion("refuse_connection"):
                self._refusals += [fault["status"]] * fault["times"]
                self.notes.note_fault(None, self._count, 0, fault.told())
        if self._refusals:
            return self._refusals.pop(0)
        self._at_the_door[connection] = (self._count, schedule)
        return None

    async def receive(self, connection: ServerConnection) -> None:
        """Hold one session, to its end."""
        number, schedule = self._at_the_door.pop(connection)
        if "places" in self.lacks and (self._taken or time.monotonic() < self._free_at):
            with suppress(ConnectionClosed):
                await connection.send(json.dumps(FULL))
            await connection.close(1008, "session_limit_reached")
            return
        self._taken = True
        guest = Guest(self, connection, number, schedule)
        self._guests.add(guest)
        try:
            await guest.stay()
        finally:
            self._guests.discard(guest)
            self._taken, self._free_at = False, time.monotonic() + RELEASE_S

    def order(self, fault: Fault) -> None:
        """A fault that is in no script begins now, in every connection."""
        for guest in self._guests:
            guest.order(fault)

    def let_go(self) -> None:
        """The server ends: connections that would not notice are cut."""
        for guest in self._guests:
            guest.trouble.let_go()


class Guest:
    """One connection: a reader, and a task for each response and each transcription in progress."""

    def __init__(self, house: House, connection: ServerConnection, number: int, schedule: Schedule) -> None:
        self._house, self._connection, self._number = house, connection, number
        self._pace = house.pace
        self._began_at = time.monotonic()
        query = parse_qs(urlsplit(connection.request.path).query) if connection.request else {}
        self._name = secrets.token_hex(6)
        events = Events(self._name, in_digits="text_ids" in house.lacks)
        self.trouble = Trouble(connection, schedule, events, house.lacks, self._note_fault)
        """What stands between the session and the socket."""
        self._session = Session(
            events=events,
            model=query.get("model", [DEFAULT_MODEL])[0],
            expires_at=int(time.time() + self._pace.session_s),
            faults=self.trouble,
            lacks=house.lacks,
        )
        # A change of the session and the sending of what follows from it are one step: events leave in the order of the changes.
        self._step = asyncio.Lock()
        self._group = asyncio.TaskGroup()
        self._tasks: set[asyncio.Task[None]] = set()
        self._heard: asyncio.Event | None = None

    async def stay(self) -> None:
        """Serve the client until it leaves or its time is up."""
        try:
            async with self._group:
                await self._do(self._session.open)
                self._start(self.trouble.run())
                await self._read()
                for task in self._tasks:
                    task.cancel()
        except* ConnectionClosed:
            pass
        finally:
            received = self._connection.protocol.close_rcvd
            code, reason = (received.code, received.reason) if received else (None, "")
            self._house.notes.note_close(self._name, self._number, self._at_ms(), code, reason)

    async def _read(self) -> None:
        """Take the client's messages one by one."""
        try:
            async with asyncio.timeout(self._pace.session_s):
                async for message in self._connection:
                    self._house.notes.note(self._name, self._number, self._at_ms(), message)
                    if await self.trouble.heard(message):
                        await self._do(self._session.receive, message)
        except TimeoutError:
            await self.trouble.expire(self._session.expiry(self._pace.session_s), expiry_words(self._pace.session_s))
            async for _ in self._connection:
                pass

    def order(self, fault: Fault) -> None:
        """A fault that is in no script begins now."""
        self._start(self.trouble.order(fault))

    def _note_fault(self, fault: Fault) -> None:
        self._house.notes.note_fault(self._name, self._number, self._at_ms(), fault.told())

    def _at_ms(self) -> int:
        """The age of the connection."""
        return round((time.monotonic() - self._began_at) * 1000)

    async def _do(self, change: Callable[..., list[Out]], *args: Any) -> None:
        """Change the session and send or begin what follows from it."""
        async with self._step:
            for out in change(*args):
                if isinstance(out, Begin):
                    self._start(self._respond(out.response_id, self._heard))
                elif isinstance(out, Transcribe):
                    self._heard = asyncio.Event()
                    self._start(self._hear(out, self._heard))
                elif isinstance(out, Later):
                    self._start(self._change_later(out))
                else:
                    await self.trouble.send(out)

    async def _change_later(self, later: Later) -> None:
        """Do what the session wants done in a while."""
        await asyncio.sleep(later.ms / 1000)
        await self._do(later.change)

    @property
    def _responses(self) -> Responses:
        return self._session.responses

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        """Begin something that ends by itself, or with the connection."""
        task = self._group.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _hear(self, turn: Transcribe, heard: asyncio.Event) -> None:
        """Find out what the caller said: for the dialogue at once, for the client when the original would tell it."""
        due = time.monotonic() + self._pace.transcript_s
        reads = "early_hearing" in self._house.lacks
        if reads:
            heard.set()
        words = await asyncio.to_thread(self._house.transcriber.words, turn.kind, turn.sound)
        if not reads:
            self._session.heard(turn.item_id, words)
            heard.set()
        if turn.told:
            await _until(due)
            self._session.heard(turn.item_id, words)
            await self._do(self._session.transcribed, turn.item_id, words, len(turn.sound) / bytes_per_ms(turn.kind) / 1000)

    async def _respond(self, response_id: str, heard: asyncio.Event | None) -> None:
        """Produce a response; whoever ends it meanwhile ends this too, at its next word or sound."""
        due = time.monotonic() + self._pace.first_token_s
        if heard:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._pace.hearing_s):
                    await heard.wait()
        turn, plan = self._responses.turn(response_id), self._responses.plan(response_id)
        if not turn or not plan:
            return
        answer = self._house.dialogue.answer(turn)
        text = answer.saying if isinstance(answer, Call) else answer.text
        if text and plan.modality == "text":
            await self._write(response_id, text, due)
        elif text:
            await self._speak(response_id, plan, text, due)
        if isinstance(answer, Call):
            await _until(due)
            await self._do(self._responses.call, response_id, answer.name, answer.arguments)
        await self._do(self._responses.complete, response_id)

    async def _write(self, response_id: str, text: str, due: float) -> None:
        """Give the text word by word, from `due` on."""
        for word in _words(text):
            due = await _until(due) + 1 / self._pace.words_per_s
            if not self._responses.plan(response_id):
                return
            await self._do(self._responses.say, response_id, word)

    async def _speak(self, response_id: str, plan: Plan, text: str, due: float) -> None:
        """Give the text as sound and transcript, sentence by sentence, from `due` on."""
        chunk = self._pace.chunk_ms * bytes_per_ms(plan.kind)
        between = ""
        for sentence in re.split(r"(?<=[.!?])\s+", text):
            await self._do(self._responses.next_item, response_id)
            sound = await asyncio.to_thread(self._spoken, sentence, plan)
            words = [between + word if not at else word for at, word in enumerate(_words(sentence))]
            between = " "
            starts = range(0, len(sound), chunk) or range(1)
            for number, start in enumerate(starts):
                due = await _until(due) + self._pace.chunk_ms / 1000 / self._pace.audio_speed
                if not self._responses.plan(response_id):
                    return
                for word in words[len(words) * number // len(starts) : len(words) * (number + 1) // len(starts)]:
                    await self._do(self._responses.say, response_id, word)
                if sound:
                    await self._do(self._responses.sound, response_id, sound[start : start + chunk])

    def _spoken(self, sentence: str, plan: Plan) -> bytes:
        """A sentence in the wire format; runs in a thread."""
        pace = max(plan.speed, SLOWEST)
        return encode(plan.kind, b"".join(self._house.voice.speak(sentence, pace=pace)))


def _words(text: str) -> list[str]:
    """The words, each but the first with the space before it, so that they add up to the text."""
    return re.findall(r"\s*\S+", text)


async def _until(due: float) -> float:
    """Sleep until `due` on the monotonic clock; the time at which the next thing is counted from."""
    now = time.monotonic()
    if due > now:
        await asyncio.sleep(due - now)
    return max(due, now)
