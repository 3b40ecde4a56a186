"""One speech server as a call uses it: found out, asked for sentences, again after a passing fault, and told to stop; it posts no event."""

import math
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from urllib.parse import quote

import anyio
import attrs
import httpx

from adapters.audio.wav import MAX_AUDIO_S, WavError, WavStream
from adapters.chatterbox.figures import Count, Figures, Pace, Synthesised
from adapters.chatterbox.http import Answer, Blame, Client, Fault, ask, client_of, faults, read_through, refusal
from adapters.chatterbox.servers import DIALECTS, Dialect, Server, dialect_in, is_well, outcome_of, voice_in
from adapters.seam.ports import bytes_of, ms_of
from adapters.text.sentences import halves
from adapters.text.spoken import spoken

PROBE_S = 3.0
"""How long a question that needs no synthesis may take: what the server is, how it is."""
GAP_S = 3.0
"""How long the sound of a sentence that is being heard may stop coming before the sentence is given up."""
SLOWEST = 4.0
"""How much longer than it is heard a sentence may take to come: what trickles in more slowly is more pause than speech."""
LEAD_BYTES = bytes_of(120)
"""How much of a stream is there before it is heard: 120 ms, since a server may send its first samples one by one."""
PAUSES_S = (0.25, 0.5, 1.0)
"""The pauses before a request is repeated: a server that restarts its worker is back within 2 s. A connection that was found dead
is replaced at once, before the first of them."""


@attrs.frozen
class Listener:
    """What a sentence tells on its way."""

    session_id: str
    posting: Callable[[], None]
    """Its POST leaves now."""
    pausing: Callable[[], None]
    """The POST came to nothing, and another is to leave."""
    hear: Callable[[bytes, bool], None]
    """Sound of it, and whether more is to come."""
    halving: Callable[[str], None]
    """The server found it too long, in these words: it is said in two halves."""


class Source:
    """A server with its connections, those for cancels apart; use it within `connected`."""

    def __init__(self, server: Server, figures: Figures, client: Client = client_of) -> None:
        self.server = server
        self._client = client
        self.pace = Pace()
        self.known: Dialect | None = DIALECTS.get(server.dialect)
        """What the server speaks, once that is known."""
        self._figures = figures
        self._voice = ""
        self._asking = anyio.Lock()
        self._asked = False
        self._synthesis: httpx.AsyncClient | None = None
        self._other: httpx.AsyncClient | None = None

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[None]:
        """Own the connections."""
        async with self._client(self.server) as self._synthesis, self._client(self.server) as self._other:
            yield

    async def dialect(self) -> Dialect:
        """What the server speaks, asked for until it is known; Fault when it does not answer."""
        async with self._asking:
            if self.known is None:
                self.known = await self._find()
            if not self._asked and self.known.voices and not self.server.voice and "voice_mode" not in self.server.fields:
                self._voice = voice_in((await self._ask("GET", self.known.voices)).body)
            self._asked = True
            return self.known

    @property
    def cancels(self) -> bool:
        """Is the server known to be one that can be asked to cancel?"""
        return self.known is not None and self.known.cancels

    async def health(self) -> Answer:
        """The answer of the server's health check; Fault when there is none."""
        return await self._ask("GET", (await self.dialect()).health)

    async def is_well(self) -> bool:
        """Does the server say that a synthesis would work?"""
        try:
            answer = await self.health()
        except Fault:
            return False
        return is_well(answer.status, answer.body)

    def words(self, text: str) -> str:
        """What this server's voice is to say of a model's text (R100); empty when there is nothing to say."""
        return spoken(text)

    async def say(self, listener: Listener, text: str, deadline_s: float) -> bool:
        """Have words synthesised by `deadline_s`, in halves when they are too long.

        False after a 204, and when there are none; Fault when it came to nothing.
        """
        if not text:
            return False
        try:
            return await self._insist(listener, text, deadline_s, more=False)
        except Fault as fault:
            parts = halves(text) if fault.blame is Blame.LENGTH else None
            if parts is None:
                raise
            self._figures.counts[Count.SPLIT] += 1
            listener.halving(str(fault))
        first, second = parts
        return await self._insist(listener, first, deadline_s, more=True) and await self._insist(listener, second, deadline_s, more=False)

    async def cancel(self, session_id: str, timeout_s: float, *, awaited: bool) -> str:
        """POST /cancel/<session_id> on a connection of its own, and what became of it; `awaited`: its answer is still to come."""
        try:
            dialect = await self.dialect()
            if not dialect.cancels:
                return "unsupported"
            answer = await self._ask("POST", f"/cancel/{quote(session_id, safe='')}", timeout_s)
        except Fault:
            return "failed"
        return outcome_of(answer.status, answer.body, awaited=awaited)

    async def _ask(self, method: str, path: str, timeout_s: float = PROBE_S) -> Answer:
        assert self._other is not None, "within connected()"
        return await ask(self._other, method, path, timeout_s)

    async def _find(self) -> Dialect:
        """What the server is: by the description that it gives of itself, or else by the paths that take a POST."""
        described = await self._ask("GET", "/openapi.json")
        if described.status >= 500:
            raise Fault(f"the server answered {described.status}", Blame.MOMENT)
        found = dialect_in(described.body) if described.status == 200 else None
        for dialect in () if found else DIALECTS.values():
            if "POST" in (await self._ask("OPTIONS", dialect.path)).allows:
                return dialect
        return found or DIALECTS["openai" if self.server.key else "seed"]

    async def _insist(self, listener: Listener, text: str, deadline_s: float, *, more: bool) -> bool:
        """POST until there is an answer, the fault is a lasting one, or the time or the pauses are over."""
        sounded = False

        def hear(pcm: bytes, more_of_it: bool) -> None:
            nonlocal sounded
            sounded = True
            listener.hear(pcm, more or more_of_it)

        attempt = attrs.evolve(listener, hear=hear)
        pauses = list(PAUSES_S)
        at_once = True
        while True:
            try:
                return await self._post(attempt, text, deadline_s)
            except Fault as fault:
                again = fault.blame in (Blame.MOMENT, Blame.CONNECTION)
                if sounded or not again or fault.timed_out or not pauses:
                    raise
                pause_s = 0.0 if fault.blame is Blame.CONNECTION and at_once else max(pauses.pop(0), fault.wait_s)
                at_once = False
                if anyio.current_time() + pause_s >= deadline_s:
                    raise
                self._figures.counts[Count.RETRIED] += 1
                listener.pausing()
            await anyio.sleep(pause_s)

    async def _post(self, listener: Listener, text: str, deadline_s: float) -> bool:
        """One POST and its answer, heard as it comes if the server streams; False after a 204."""
        given_s = deadline_s - anyio.current_time()
        reading = _Reading(listener)
        with anyio.CancelScope(deadline=deadline_s) as scope:
            dialect = await self.dialect()
            assert self._synthesis is not None
            fields = self.server.request(dialect, text, listener.session_id, self._voice)
            began_s = anyio.current_time()
            listener.posting()
            self._figures.counts[Count.POSTED] += 1
            with faults() as progress:
                async with self._synthesis.stream("POST", dialect.path, json=fields) as response:
                    progress.answered = True
                    if response.status_code == 204:
                        return False
                    if response.status_code != 200:
                        raise await refusal(response, self.server.key)
                    await reading.read(response, scope, streams=dialect.streams)
        if scope.cancelled_caught:
            late = f"its sound came too slowly, or none for {GAP_S:g} s"
            words = late if reading.first_s < math.inf else f"no answer within {max(0.0, given_s):.3g} s"
            raise Fault(words, Blame.MOMENT, timed_out=True)
        self._note(listener.session_id, text, began_s, reading)
        return True

    def _note(self, session_id: str, text: str, began_s: float, reading: "_Reading") -> None:
        synthesis_ms = (reading.last_s - began_s) * 1000
        self.pace.note(text, synthesis_ms, reading.audio_ms)
        told = Synthesised(session_id, self.server.where, (reading.first_s - began_s) * 1000, synthesis_ms, reading.audio_ms)
        self._figures.sentences.append(told)


@attrs.define
class _Reading:
    """The reading of one answer: when its first and its last sound came, and how much there was."""

    listener: Listener
    first_s: float = math.inf
    last_s: float = math.inf
    audio_ms: float = 0.0

    async def read(self, response: httpx.Response, scope: anyio.CancelScope, *, streams: bool) -> None:
        """Decode an answer to its end; what streams is heard as it comes, and may then take as long as it goes on without a gap."""
        wav, kept = WavStream(whole=not streams), b""

        def take(chunk: bytes) -> None:
            nonlocal kept
            kept += _decoded(wav, chunk)
            if streams and (kept if self.audio_ms else len(kept) >= LEAD_BYTES):
                self._heard(kept, more=True)
                kept = b""
                lasting_s = min(self.audio_ms / 1000 * SLOWEST + GAP_S, MAX_AUDIO_S)
                scope.deadline = min(anyio.current_time() + GAP_S, self.first_s + lasting_s)

        await read_through(response, take)
        kept += _decoded(wav, None)
        self.last_s = anyio.current_time()
        self._heard(kept, more=False)

    def _heard(self, pcm: bytes, *, more: bool) -> None:
        self.first_s = min(self.first_s, anyio.current_time())
        self.audio_ms += ms_of(len(pcm))
        self.listener.hear(pcm, more)


def _decoded(wav: WavStream, chunk: bytes | None) -> bytes:
    """The sound in a chunk, None being the end; Fault when it is no sound."""
    try:
        return wav.end() if chunk is None else wav.feed(chunk)
    except WavError as error:
        raise Fault(str(error), Blame.SERVER) from error
