"""What the tests of the realtime port share: a server that plays one script, a stand-in for the core, and the port at its URL."""

import contextlib
import json
import queue
import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import anyio
from websockets.exceptions import ConnectionClosed
from websockets.sync.server import ServerConnection, serve
from websockets.utils import accept_key

from adapters.realtime.port import RealtimeLLM
from adapters.realtime.settings import RealtimeSettings
from adapters.seam.ports import FRAME_BYTES
from adapters.text.sentences import SentenceCutter
from fsm.call import events as ev
from fsm.call.effects import CloseSession, ConfigureSession, Effect
from fsm.call.policy import Policy
from tests.shared.shell import PATIENCE_S

KEY = "sk-verysecret"
SETTINGS = RealtimeSettings()
VOICE = Policy(voice="realtime")
WRITING = Policy(voice="chatterbox")
Script = Callable[["Server"], None]


class Server:
    """One side of a scripted conversation; what the client sends passes through `got`."""

    def __init__(self, ws: ServerConnection) -> None:
        self.ws = ws
        self.got: list[dict[str, Any]] = []

    def say(self, kind: str, **fields: Any) -> None:
        self.ws.send(json.dumps({"type": kind, "event_id": "e", **fields}))

    def expect(self, kind: str) -> dict[str, Any]:
        """The client's next message of that type; what comes before it stays in `got`."""
        while True:
            message: dict[str, Any] = json.loads(self.ws.recv(PATIENCE_S))
            self.got.append(message)
            if message["type"] == kind:
                return message

    def set_up(self) -> None:
        self.say("session.created", session={})
        self.say("session.updated", session=self.expect("session.update")["session"])

    def respond(self, response_id: str, *texts: str, status: str = "completed", item_id: str = "i1") -> None:
        """A response in writing."""
        self.say("response.created", response={"id": response_id, "conversation_id": "c"})
        for text in texts:
            self.say("response.output_text.delta", response_id=response_id, item_id=item_id, delta=text)
        self.say("response.done", response={"id": response_id, "conversation_id": "c", "status": status})

    def stay(self) -> None:
        """Read until the client has gone."""
        with contextlib.suppress(ConnectionClosed):
            self.expect("nothing")


@contextlib.contextmanager
def scripted(script: Script, **options: object) -> Iterator[tuple[str, "queue.Queue[Server]"]]:
    """A server that plays one script; yields its URL, and where each connection is put, in their order, once its script is over."""
    over: queue.Queue[Server] = queue.Queue()
    ends: list[threading.Event] = []
    lock = threading.Lock()

    def handle(ws: ServerConnection) -> None:
        server, end = Server(ws), threading.Event()
        with lock:
            before = list(ends)
            ends.append(end)
        with contextlib.suppress(ConnectionClosed):
            script(server)
        for other in before:
            other.wait(PATIENCE_S)
        over.put(server)
        end.set()

    with serve(handle, "127.0.0.1", 0, **options) as listener:
        thread = threading.Thread(target=listener.serve_forever)
        thread.start()
        try:
            yield f"ws://127.0.0.1:{listener.socket.getsockname()[1]}", over
        finally:
            listener.shutdown()
            thread.join(PATIENCE_S)


@contextlib.contextmanager
def mute_server(*, agrees: bool, last_words: bytes = b"") -> Iterator[str]:
    """A server that agrees to a WebSocket, or not even that, says its last words and then neither reads nor writes."""
    over = threading.Event()

    def accept() -> None:
        connection, _ = listener.accept()
        with connection:
            request = connection.recv(65536).decode()
            key = next(line.split(": ")[1] for line in request.split("\r\n") if line.startswith("Sec-WebSocket-Key"))
            if agrees:
                answer = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                connection.sendall(f"{answer}Sec-WebSocket-Accept: {accept_key(key)}\r\n\r\n".encode() + last_words)
            over.wait(PATIENCE_S)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=accept)
        thread.start()
        try:
            yield f"ws://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            over.set()
            thread.join(PATIENCE_S)


class Loudspeaker:
    """Keeps what it is given to play."""

    def __init__(self) -> None:
        self.played: list[tuple[str, str, bytes]] = []

    def play(self, response_id: str, pcm: bytes, *, item_id: str = "", content_index: int = 0, sentence: str = "") -> bool:
        assert not sentence
        self.played.append((response_id, item_id, pcm))
        return True


class Core:
    """Stands where the driver stands: answers events with effects at once, from within `post`, and remembers the events."""

    def __init__(self, llm: RealtimeLLM, answers: dict[type[ev.Event], Effect] | None = None) -> None:
        self.events: list[ev.Event] = []
        self._llm = llm
        self.answers: dict[type[ev.Event], Effect | None] = {
            ev.SessionOpened: ConfigureSession(),
            ev.SessionLost: CloseSession(),
            ev.ReceiverFailed: CloseSession(),
        }
        self.answers.update(answers or {})
        self._news = anyio.Event()

    def post(self, event: Callable[..., ev.Event], *args: Any, **kwargs: Any) -> None:
        made = event(0.0, *args, **kwargs)
        self.events.append(made)
        if effect := self.answers.get(type(made)):
            self._llm.do(effect)
        self._news.set()

    async def until(self, kind: type[ev.Event]) -> Any:
        """The first event of that kind."""
        with anyio.fail_after(PATIENCE_S):
            while True:
                for event in self.events:
                    if isinstance(event, kind):
                        return event
                self._news = anyio.Event()
                await self._news.wait()

    def of(self, *kinds: type[ev.Event]) -> list[ev.Event]:
        return [event for event in self.events if isinstance(event, kinds)]


def llm_at(url: str, policy: Policy = VOICE, speaker: Loudspeaker | None = None, **options: Any) -> RealtimeLLM:
    cutter = SentenceCutter if policy.voice == "chatterbox" else None
    given: dict[str, Any] = {"key": KEY, "settings": SETTINGS, "cutter": cutter, **options}
    return RealtimeLLM(url=url, policy=policy, speaker=speaker or Loudspeaker(), **given)


@contextlib.asynccontextmanager
async def running(llm: RealtimeLLM, answers: dict[type[ev.Event], Effect] | None = None) -> AsyncIterator[Core]:
    core = Core(llm, answers)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(llm.run, core.post)
        yield core
        tasks.cancel_scope.cancel()


async def played_out(llm: RealtimeLLM, answers: dict[type[ev.Event], Effect] | None = None) -> Core:
    """Run until the port ends by itself."""
    core = Core(llm, answers)
    with anyio.fail_after(PATIENCE_S):
        await llm.run(core.post)
    return core


async def told_by(script: Script, *policy: Policy, answers: dict[type[ev.Event], Effect] | None = None, **options: Any) -> Core:
    """What a port tells of a server that plays this script, until it ends by itself."""
    with scripted(script) as (url, _):
        return await played_out(llm_at(url, *policy, **options), answers)


def frame(number: int) -> bytes:
    return number.to_bytes(2, "little") * (FRAME_BYTES // 2)
