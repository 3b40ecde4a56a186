"""One speech server as a call uses it: found out, asked for sentences, again after a passing fault, and told to stop; it posts no event."""

import math
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from urllib.parse import quote

import anyio
import attrs
import httpx

from adapters.audio.wav import MAX_AUDIO_S, NO_WAV, WavError, WavStream
from adapters.chatterbox.figures import Count, Figures, Pace, Synthesised
from adapters.chatterbox.http import Answer, Blame, Client, Fault, ask, client_of, faults, read_through, refusal
from adapters.chatterbox.known import Known, find_out, forget, recall
from adapters.chatterbox.servers import (
    DIALECTS,
    MAX_WORDS,
    Dialect,
    Health,
    Server,
    detail_of,
    health_of,
    names_voice,
    outcome_of,
    state_of,
)
from adapters.seam.errors import unkeyed
from adapters.seam.ports import PCM
from adapters.text.sentences import halves
from adapters.text.spoken import spoken

PROBE_S = 3.0
"""How long a question that needs no synthesis may take: what the server is, how it is."""
GAP_S = 3.0
"""How long the sound of a sentence may stop coming, once what came has been heard, before the sentence is given up."""
SLOWEST = 4.0
"""How much longer than it is heard a sentence may take to come: what trickles in more slowly is more pause than speech."""
LEAD_BYTES = PCM.bytes_of(120)
"""How much of a stream is there before it is heard: 120 ms, since a server may send its first samples one by one."""
SAYING_S, LETTER_S, DIGIT_LETTERS = 15.0, 0.3, 8
"""No voice takes longer for a sentence: so many seconds, and so many for each letter, of which a digit has so many; it is some 0.07 s of
speech. A model that does not find its end goes on for 40 s, with noise or silence (resemble-ai/chatterbox#531)."""
HEAD_BYTES = 4_096
"""How much is read of what is no sound: as long as an error is."""
BUSY_S = 0.5
"""How often a server is asked that is there and busy."""
AGAIN = frozenset({Blame.MOMENT, Blame.ABSENCE, Blame.CONNECTION, Blame.BUSY})
OTHERS = frozenset({400, 404, 405, 422})
"""What another kind of server answers than the one that was there before."""
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
    awaiting: Callable[[anyio.CancelScope, float, float], None]
    """More sound is awaited in this scope: for so many seconds once the speaker has run dry, and up to a time at most."""
    patient: bool = True
    """Is a server waited for that loads its model, or does nothing else while it synthesises? Not when another one can speak."""


class Source:
    """A server with its connections, those for cancels apart; use it within `connected`."""

    def __init__(self, server: Server, figures: Figures, client: Client = client_of) -> None:
        self.server = server
        self._client = client
        self.pace = Pace()
        self._figures = figures
        self._known = recall(server)
        self._recalled = self._known is not None
        self._asking = anyio.Lock()
        self._synthesis: httpx.AsyncClient | None = None
        self._other: httpx.AsyncClient | None = None

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[None]:
        """Own the connections."""
        async with self._client(self.server) as self._synthesis, self._client(self.server) as self._other:
            yield

    async def known(self) -> Known:
        """What the server is, asked for until it is known; Fault when it does not answer."""
        async with self._asking:
            if self._known is None:
                self._known = await find_out(self.server, self._ask)
            return self._known

    @property
    def cancels(self) -> bool:
        """Is the server known to be one that can be asked to cancel?"""
        return self._dialect is not None and self._dialect.cancels

    @property
    def _dialect(self) -> Dialect | None:
        """What it speaks, as far as that is known yet."""
        return self._known.dialect if self._known else DIALECTS.get(self.server.dialect)

    async def health(self) -> Answer:
        """The answer of the server's health check; Fault when there is none."""
        return await self._ask("GET", (await self.known()).dialect.health)

    async def is_well(self) -> bool:
        """Does the server say that a synthesis would work?"""
        try:
            answer = await self.health()
        except Fault:
            return False
        return health_of(answer.status, answer.body) is Health.WELL

    def words(self, text: str) -> str:
        """What this server's voice is to say of a model's text (R100); empty when there is nothing to say."""
        return spoken(text, self._dialect.sounds if self._dialect else ())

    async def say(self, listener: Listener, text: str, deadline_s: float) -> bool:
        """Have a text synthesised by `deadline_s`, in halves when it is too long; False after a 204, Fault when it came to nothing."""
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
        """POST /cancel/<session_id> on a connection of its own, and what became of it; `awaited`: its answer is still to come.

        A server that knows no cancel and sends sound as it comes stops when the connection is closed: "closed".
        """
        try:
            dialect = (await self.known()).dialect
            if not dialect.cancels:
                return ("closed" if awaited else "too late") if dialect.streams else "unsupported"
            answer = await self._ask("POST", f"/cancel/{quote(session_id, safe='')}", timeout_s)
        except Fault:
            return "failed"
        return outcome_of(answer.status, answer.body, awaited=awaited)

    async def _ask(self, method: str, path: str, timeout_s: float = PROBE_S) -> Answer:
        """Ask what needs no synthesis. One that does not answer in time is busy: it may stand still while it synthesises."""
        assert self._other is not None, "within connected()"
        try:
            return await ask(self._other, method, path, timeout_s)
        except Fault as fault:
            raise Fault(str(fault), Blame.BUSY) if fault.timed_out else fault from None

    async def _state(self) -> tuple[Health, str]:
        """How it is, and what it says of that; well when it does not say."""
        try:
            answer = await self.health()
        except Fault:
            return Health.WELL, ""
        return health_of(answer.status, answer.body), state_of(answer.body)

    async def _is_another(self) -> bool:
        """Is it another server than the one that was remembered? It is asked once a call at most."""
        if not self._recalled or self._known is None:
            return False
        before, self._recalled, self._known = self._known, False, None
        forget(self.server)
        try:
            return (await self.known()).dialect is not before.dialect
        except Fault:
            return True

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
        waited: Fault | None = None
        while True:
            try:
                return await self._post(attempt, text, deadline_s)
            except Fault as fault:
                last = Fault(str(waited), waited.blame, timed_out=True) if waited and fault.timed_out else fault
            if not sounded and not last.timed_out and last.blame is Blame.MOMENT:
                listener.pausing()
                waited = await self._loading(deadline_s, waited)
                last = waited or last
            if sounded or last.timed_out or last.blame not in AGAIN:
                raise last
            listener.pausing()
            if last.blame is Blame.BUSY:
                if not listener.patient:
                    raise last
                pause_s = BUSY_S
            elif last.blame is Blame.CONNECTION and at_once:
                at_once, pause_s = False, 0.0
            elif pauses:
                pause_s = max(pauses.pop(0), last.wait_s)
            else:
                raise last
            if anyio.current_time() + pause_s >= deadline_s:
                raise last
            self._figures.counts[Count.WAITED if last.blame is Blame.BUSY else Count.RETRIED] += 1
            await anyio.sleep(pause_s)

    async def _loading(self, deadline_s: float, before: Fault | None) -> Fault | None:
        """If that came of a model that is being loaded, or could not be, what to say of it; as `before`, when there is no time to ask."""
        with anyio.CancelScope(deadline=deadline_s) as scope:
            health, words = await self._state()
            if health is Health.LOADING:
                return Fault(f"the server loads its model{words}", Blame.BUSY)
            if health is Health.ILL and words:
                return Fault(f"the server is ill{words}", Blame.SERVER)
        return before if scope.cancelled_caught else None

    async def _post(self, listener: Listener, text: str, deadline_s: float) -> bool:
        """One POST and its answer, heard as it comes if the server streams; False after a 204."""
        given_s = deadline_s - anyio.current_time()
        refused: Fault | None = None
        reading = _Reading(listener, "", self.server.key)
        with anyio.CancelScope(deadline=deadline_s) as scope:
            known = await self.known()
            assert self._synthesis is not None
            words = reading.said = self.words(text)
            fields = self.server.request(known.dialect, words, listener.session_id, known.voice)
            began_s = anyio.current_time()
            listener.posting()
            self._figures.counts[Count.POSTED] += 1
            with faults() as progress:
                async with self._synthesis.stream("POST", known.dialect.path, json=fields) as response:
                    progress.answered = True
                    if response.status_code == 204:
                        return False
                    if 200 <= response.status_code < 300:
                        await reading.read(response, scope, streams=known.dialect.streams)
                    else:
                        refused = await refusal(response, self.server.key, words)
            if refused is not None and response.status_code in OTHERS and await self._is_another():
                refused = Fault(str(refused), Blame.CONNECTION)
        if scope.cancelled_caught:
            late = f"its sound came too slowly, or none for {GAP_S:g} s"
            why = late if reading.first_s < math.inf else f"no answer within {max(0.0, given_s):.3g} s"
            raise Fault(why, Blame.MOMENT, timed_out=True)
        if refused is not None:
            raise refused
        self._note(listener.session_id, words, began_s, reading)
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
    said: str
    key: str | None = attrs.field(repr=False)
    first_s: float = math.inf
    last_s: float = math.inf
    audio_ms: float = 0.0

    async def read(self, response: httpx.Response, scope: anyio.CancelScope, *, streams: bool) -> None:
        """Decode an answer to its end; what streams is heard as it comes, and may then take as long as it goes on without a gap.

        Silence alone is nothing to hear, and no sentence (R91).
        """
        wav, kept, head = WavStream(whole=not streams), b"", b""
        wrong: WavError | None = None

        def take(chunk: bytes) -> None:
            nonlocal kept, head, wrong
            head += chunk[: HEAD_BYTES - len(head)]
            try:
                kept += wav.feed(chunk) if wrong is None else b""
            except WavError as error:
                wrong = error
            if wrong is not None and (kept or self.audio_ms or len(head) >= HEAD_BYTES):
                raise self._no_sound(wrong, head, response)
            if streams and (kept if self.audio_ms else wav.loud and len(kept) >= LEAD_BYTES):
                self._heard(kept, more=True)
                kept = b""
                lasting_s = min(self.audio_ms / 1000 * SLOWEST + GAP_S, MAX_AUDIO_S)
                self.listener.awaiting(scope, GAP_S, self.first_s + lasting_s)

        await read_through(response, take)
        try:
            kept += wav.end() if wrong is None else b""
        except WavError as error:
            wrong = error
        if wrong is not None:
            raise self._no_sound(wrong, head, response)
        if not wav.loud:
            raise Fault(f"its sound is {PCM.ms_of(len(kept)) / 1000:.1f} s of silence alone", Blame.MOMENT)
        self.last_s = anyio.current_time()
        self._heard(kept, more=False)

    def _no_sound(self, wrong: WavError, head: bytes, response: httpx.Response) -> Fault:
        """What it is instead: an error that is told with 200 perhaps, which passes as one of 500 does."""
        if words := detail_of(head, self.said):
            blame = Blame.SERVER if names_voice(head, self.said) else Blame.MOMENT
            return Fault(unkeyed(f"the server answered {response.status_code}{words}", self.key), blame)
        kind = response.headers.get("Content-Type", "").partition(";")[0].strip()
        told = f" but {kind[:MAX_WORDS]}" if str(wrong) == NO_WAV and kind and "wav" not in kind.lower() else ""
        return Fault(f"{wrong}{told}", Blame.SERVER)

    def _heard(self, pcm: bytes, *, more: bool) -> None:
        longest_s = SAYING_S + LETTER_S * (len(self.said) + (DIGIT_LETTERS - 1) * sum(map(str.isdigit, self.said)))
        if (lasts_s := (self.audio_ms + PCM.ms_of(len(pcm))) / 1000) > longest_s:
            raise Fault(f"its sound lasts {lasts_s:.0f} s, for {len(self.said)} letters", Blame.MOMENT)
        self.first_s = min(self.first_s, anyio.current_time())
        self.audio_ms += PCM.ms_of(len(pcm))
        self.listener.hear(pcm, more)
