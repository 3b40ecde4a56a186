"""The stand-in realtime LLM as a WebSocket server on this machine: sockets, pace, voice and dialogue; the protocol itself is not in here.

`run_realtime` is the process, `serve` the coroutine. One asyncio loop carries every connection; synthesis and transcription
run in threads, because either would hold up the sound of the other calls.
"""

import asyncio
import hmac
import json
import re
import secrets
import signal
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import suppress
from http import HTTPStatus
from pathlib import Path
from typing import Any, Protocol, TextIO
from urllib.parse import parse_qs, urlsplit

import attrs
from websockets.asyncio.server import Server, ServerConnection
from websockets.asyncio.server import serve as serve_websockets
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from adapters.standin.ears import Transcriber, bytes_per_ms, encode
from adapters.standin.realtime_session import DEFAULT_MODEL, Begin, Out, Plan, Session, Transcribe, Turn
from adapters.standin.voice import Voice

PATH = "/v1/realtime"
MESSAGE_BYTES = 24 * 2**20
"""A base64 message of 15 MiB of sound, and room to refuse what is a little longer with an event."""

CLOSE_S = 2.0
"""How long a client may take to answer a close frame."""
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
    hearing_s: float = 2.0
    """How long an answer waits for what the caller said; beyond it the dialogue answers without."""
    session_s: float = 3_600.0
    """How long a session may last: the original's 60 minutes."""


@attrs.frozen
class Say:
    """The agent says `text`."""

    text: str


@attrs.frozen
class Call:
    """The agent calls the client's function `name`; `arguments` is JSON."""

    name: str
    arguments: str


class Dialogue(Protocol):
    """What the agent says; one serves all connections, so it must decide from the turn alone."""

    def answer(self, turn: Turn) -> Say | Call:
        """The answer to a turn; called from the event loop, so it must be quick."""


class Speech(Protocol):
    """Where the agent's sound comes from; `Voice` is one."""

    def speak(self, text: str, *, pace: float = 1.0) -> Iterator[bytes]:
        """24 kHz mono s16le PCM, in pieces of any length; called from a thread."""


class BluebirdCycles:
    """The default dialogue: the receptionist of a bicycle repair shop, who goes by keywords and else by a list; the same every time.

    Answers to a question take about twenty seconds to say, so that a caller can interrupt them; the goodbye is short.
    """

    GREETING = "Hello, this is Bluebird Cycles, the bicycle repair shop by the old bridge. How can I help you today?"
    GOODBYE = "Thank you for calling Bluebird Cycles. Goodbye!"
    APPOINTMENT = (
        "Of course, I can find you an appointment. "
        "Our workshop has two free places tomorrow morning, one at nine and one at half past ten. "
        "There is another on Thursday afternoon at three, which is usually our quietest time. "
        "Please bring the bicycle a few minutes early, so that the mechanic can look at it together with you. "
        "If something comes up, just call us and we will move it to another day. "
        "Which of these would suit you best?"
    )
    PRICES = (
        "Our prices depend a little on the bicycle. "
        "A puncture costs twelve pounds, and that includes a new inner tube. "
        "A small service with brakes and gears costs forty five pounds, and the big one with new cables costs ninety. "
        "We always call you before we do anything that is not on the list. "
        "Parts are charged at the price on the shelf, with nothing added for fitting. "
        "Shall I put you down for one of these?"
    )
    HOURS = (
        "We are open from Monday to Friday, from half past eight in the morning until six in the evening. "
        "On Saturday we open at nine and close at two in the afternoon, and the workshop is always busy then. "
        "On Sunday and on public holidays we are closed. "
        "If you cannot come during the day, there is a locked shed beside the door where you may leave your bicycle over night. "
        "Just put a note with your name and number on the saddle, and we will call you in the morning."
    )
    REPAIR = (
        "That sounds like something we can repair. "
        "Most small jobs, such as a puncture or a loose brake, are done while you wait, in about half an hour. "
        "For a bent wheel or a worn chain we keep the bicycle until the next day. "
        "We have spare bicycles that you can borrow in the meantime, at no charge. "
        "Bring it in whenever you like, and the mechanic will tell you what it needs before anything is done."
    )
    HELLO = "Yes, I can hear you well, so tell me what I can do for you."
    TOPICS = (
        ("hello hear", HELLO),
        ("appointment appointments book booking slot", APPOINTMENT),
        ("price prices cost costs much expensive charge", PRICES),
        ("open opening hours close closed closing saturday sunday weekend", HOURS),
        ("repair repairs puncture flat tire tyre fix broken brake brakes chain wheel bike bicycle", REPAIR),
    )
    """Keywords and what is said of them; the first that the caller names wins."""
    OTHERWISE = (
        "I see. Could you tell me a little more about it? I can help you with opening hours, prices, repairs and appointments.",
        "All right, I have made a note of that. Our mechanic will read it in the morning. Is there anything else?",
        "Yes, that should be possible. It is best if you bring the bicycle along, and then we will look at it together.",
        "That is a good question. I will ask the mechanic, who is just back from lunch. May we call you back this afternoon?",
    )

    def answer(self, turn: Turn) -> Say | Call:
        """Greet an empty conversation, answer keywords, and else say the next thing on the list."""
        if not turn.caller_spoke and turn.replies == 0:
            return Say(self.GREETING)
        words = set(re.findall(r"[a-z]+", turn.heard.lower()))
        if words & {"goodbye", "bye"} or "good bye" in turn.heard.lower():
            return Say(self.GOODBYE)
        for keywords, text in self.TOPICS:
            if words & set(keywords.split()):
                return Say(text)
        if words & {"thank", "thanks"}:
            return Say(self.GOODBYE)
        return Say(self.OTHERWISE[turn.replies % len(self.OTHERWISE)])


def run_realtime(
    port: int,
    *,
    host: str = "127.0.0.1",
    key: str | None = None,
    dialogue: Dialogue | None = None,
    pace: Pace | None = None,
    log: Path | None = None,
) -> None:
    """Be the server until SIGTERM or SIGINT; prints one line, `ready ws://…`, when it takes connections. OSError when it cannot listen."""
    asyncio.run(_until_told(port, host=host, key=key, dialogue=dialogue, pace=pace, log=log))


async def serve(
    *,
    port: int,
    host: str = "127.0.0.1",
    key: str | None = None,
    dialogue: Dialogue | None = None,
    pace: Pace | None = None,
    on_ready: Callable[[str], None],
    log: Path | None = None,
    voice: Speech | None = None,
) -> None:
    """Serve until cancelled; `on_ready` is told the URL, with the port that port 0 became.

    With a `key` a client must send it as a bearer token. `log` receives the client's events, a JSON line each, sound
    replaced by its size. OSError when the port is taken or the log cannot be written; RuntimeError without a voice.
    """
    transcriber = Transcriber()
    spoken, _ = await asyncio.gather(_loaded(voice), asyncio.to_thread(transcriber.load))
    with _ClientLog(log) as notes:
        house = _House(dialogue or BluebirdCycles(), pace or Pace(), spoken, transcriber, notes)
        async with serve_websockets(
            house.receive,
            host,
            port,
            process_request=_door(key),
            max_size=MESSAGE_BYTES,
            compression=None,
            close_timeout=CLOSE_S,
        ) as server:
            on_ready(f"ws://{host}:{_port_of(server)}{PATH}")
            await server.wait_closed()


async def _until_told(port: int, **settings: Any) -> None:
    """Serve until a signal comes."""
    serving = asyncio.ensure_future(serve(port=port, on_ready=_print_ready, **settings))
    loop = asyncio.get_running_loop()
    for one in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(one, serving.cancel)
    await asyncio.wait([serving])
    if not serving.cancelled():
        serving.result()


def _print_ready(url: str) -> None:
    print(f"ready {url}", flush=True)


async def _loaded(voice: Speech | None) -> Speech:
    return await asyncio.to_thread(Voice.load) if voice is None else voice


def _port_of(server: Server) -> int:
    return int(next(iter(server.sockets)).getsockname()[1])


def _door(key: str | None) -> Callable[[ServerConnection, Request], Response | None]:
    """What lets a client in: the path, and the key where there is one."""

    def judge(connection: ServerConnection, request: Request) -> Response | None:
        if urlsplit(request.path).path != PATH:
            return connection.respond(HTTPStatus.NOT_FOUND, f"There is no WebSocket here: connect to {PATH}.\n")
        given = request.headers.get("Authorization", "")
        if key is not None and not hmac.compare_digest(given.encode(errors="replace"), f"Bearer {key}".encode()):
            return connection.respond(HTTPStatus.UNAUTHORIZED, "The API key is missing or not accepted.\n")
        return None

    return judge


class _ClientLog:
    """The file that client events are written to; without a path it writes nothing."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._file: TextIO | None = None

    def __enter__(self) -> "_ClientLog":
        if self._path:
            self._file = self._path.open("a", encoding="utf-8", buffering=1)
        return self

    def __exit__(self, *_: object) -> None:
        if self._file:
            self._file.close()

    def note(self, session: str, at_ms: int, message: str | bytes) -> None:
        """Write one event; what is no JSON object is written as text."""
        if self._file:
            line = {"session": session, "at_ms": at_ms, "event": _without_sound(message)}
            self._file.write(json.dumps(line) + "\n")


def _without_sound(message: str | bytes) -> Any:
    """The event with its sound replaced by the number of its bytes."""
    try:
        event = json.loads(message)
    except (ValueError, RecursionError):
        return repr(message[:200])
    if isinstance(event, dict) and isinstance(event.get("audio"), str):
        sound = event["audio"]
        event["audio"] = {"bytes": len(sound) * 3 // 4 - sound[-2:].count("=")}
    return event


@attrs.frozen
class _House:
    """What all connections share."""

    dialogue: Dialogue
    pace: Pace
    voice: Speech
    transcriber: Transcriber
    notes: _ClientLog

    async def receive(self, connection: ServerConnection) -> None:
        """Hold one session, to its end."""
        request = connection.request
        query = parse_qs(urlsplit(request.path).query) if request else {}
        name = secrets.token_hex(6)
        expires_at = int(time.time() + self.pace.session_s)
        session = Session(name=name, model=query.get("model", [DEFAULT_MODEL])[0], expires_at=expires_at)
        await _Guest(self, connection, session, name).stay()


class _Guest:
    """One connection: a reader, and a task for each response and each transcription in progress."""

    def __init__(self, house: _House, connection: ServerConnection, session: Session, name: str) -> None:
        self._house, self._connection, self._session, self._name = house, connection, session, name
        self._pace = house.pace
        self._began_at = time.monotonic()
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
                await self._read()
                for task in self._tasks:
                    task.cancel()
        except* ConnectionClosed:
            pass

    async def _read(self) -> None:
        """Take the client's messages one by one."""
        try:
            async with asyncio.timeout(self._pace.session_s):
                async for message in self._connection:
                    self._house.notes.note(self._name, round((time.monotonic() - self._began_at) * 1000), message)
                    await self._do(self._session.receive, message)
        except TimeoutError:
            await self._do(self._session.expire)
            await self._connection.close(1000, "session expired")

    async def _do(self, change: Callable[..., list[Out]], *args: Any) -> None:
        """Change the session and send or begin what follows from it."""
        async with self._step:
            for out in change(*args):
                if isinstance(out, Begin):
                    self._start(self._respond(out.response_id, self._heard))
                elif isinstance(out, Transcribe):
                    self._heard = asyncio.Event()
                    self._start(self._hear(out, self._heard))
                else:
                    await self._send(out)

    async def _send(self, event: dict[str, Any]) -> None:
        """Put one event on the wire: the only way out."""
        await self._connection.send(json.dumps(event))

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        """Begin something that ends by itself, or with the connection."""
        task = self._group.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _hear(self, turn: Transcribe, heard: asyncio.Event) -> None:
        """Find out what the caller said: for the dialogue at once, for the client when the original would tell it."""
        due = time.monotonic() + self._pace.transcript_s
        words = await asyncio.to_thread(self._house.transcriber.words, turn.kind, turn.sound)
        self._session.heard(turn.item_id, words)
        heard.set()
        if turn.told:
            await _until(due)
            await self._do(self._session.transcribed, turn.item_id, words, len(turn.sound) / bytes_per_ms(turn.kind) / 1000)

    async def _respond(self, response_id: str, heard: asyncio.Event | None) -> None:
        """Produce a response; whoever ends it meanwhile ends this too, at its next word or sound."""
        due = time.monotonic() + self._pace.first_token_s
        if heard:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._pace.hearing_s):
                    await heard.wait()
        turn, plan = self._session.turn(response_id), self._session.plan(response_id)
        if not turn or not plan:
            return
        answer = self._house.dialogue.answer(turn)
        if isinstance(answer, Call):
            await _until(due)
            await self._do(self._session.call, response_id, answer.name, answer.arguments)
        elif plan.modality == "text":
            await self._write(response_id, answer.text, due)
        else:
            await self._speak(response_id, plan, answer.text, due)
        await self._do(self._session.complete, response_id)

    async def _write(self, response_id: str, text: str, due: float) -> None:
        """Give the text word by word, from `due` on."""
        for word in _words(text):
            due = await _until(due) + 1 / self._pace.words_per_s
            if not self._session.plan(response_id):
                return
            await self._do(self._session.say, response_id, word)

    async def _speak(self, response_id: str, plan: Plan, text: str, due: float) -> None:
        """Give the text as sound and transcript, sentence by sentence, from `due` on."""
        chunk = self._pace.chunk_ms * bytes_per_ms(plan.kind)
        between = ""
        for sentence in re.split(r"(?<=[.!?])\s+", text):
            sound = await asyncio.to_thread(self._spoken, sentence, plan)
            words = [between + word if not at else word for at, word in enumerate(_words(sentence))]
            between = " "
            starts = range(0, len(sound), chunk) or range(1)
            for number, start in enumerate(starts):
                due = await _until(due) + self._pace.chunk_ms / 1000 / self._pace.audio_speed
                if not self._session.plan(response_id):
                    return
                for word in words[len(words) * number // len(starts) : len(words) * (number + 1) // len(starts)]:
                    await self._do(self._session.say, response_id, word)
                if sound:
                    await self._do(self._session.sound, response_id, sound[start : start + chunk])

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
