"""The Chatterbox port: has sentences synthesised by a server over HTTP and hands their sound to the speaker; decides nothing.

Four kinds of server are known (`adapters.chatterbox.servers.DIALECTS`), and asked at the start which they are. A cancel is local
first: from the moment of its effect nothing of the sentence is heard, whatever the server does.
"""

from collections import deque
from functools import partial

import anyio
import attrs
from anyio.abc import TaskGroup

from adapters.chatterbox.apology import Apology, LastWords
from adapters.chatterbox.fallback import Sources
from adapters.chatterbox.feed import Feed
from adapters.chatterbox.figures import Cancelled, Count, Figures
from adapters.chatterbox.http import Blame, Client, Fault, client_of, elsewhere
from adapters.chatterbox.known import forget
from adapters.chatterbox.servers import AUTO, Health, Server, health_of, state_of
from adapters.chatterbox.session import Progress, Session
from adapters.chatterbox.source import Listener, Source
from adapters.seam.bounded import Bounded
from adapters.seam.ports import PCM, Post, Speaker
from fsm.call.effects import CancelSynthesis, Effect, Flush, Hold, Resume, Retire, Synthesise
from fsm.call.events import ErrorReceived, SentenceSynthesised, SynthesisCancelAnswered, SynthesisDiscarded, SynthesisFailed

FIRST_SHARE = 0.5
"""How much of a sentence's time the first server has when there is a fallback."""
PATIENCE_S = 15.0
"""How long a server may be busy before a call begins: as long as its sentence may take."""
MAX_EARLY = 256
"""How many effects may wait for `run` to begin (R07); a call asks for one or two."""


class Chatterbox:
    """A port (`adapters.seam.ports.Port`) for one call and one speech server, with another one to fall back to.

    `url` is a server's root, or a `Server` with its dialect, voice and key; `fallback` likewise. `timeout_s` bounds a synthesis up to its
    first sound, repeats and fallback included, and `cancel_timeout_s` a cancel. `apology` is heard, once, when the voice has failed for
    good; within `timeout_s` too, so it may last half of that. A bad url or a longer one raises ValueError in one line.

    A sentence ends in one event: SentenceSynthesised before any sound of it, SynthesisDiscarded or SynthesisFailed. Of a server that
    streams, SentenceSynthesised comes with the first sound, and its length is reckoned from the server's pace; a Flush then stops the
    rest. A change of server, a sentence said in halves and one that stops short are ErrorReceived, which the call logs.
    """

    performs: tuple[type[Effect], ...] = (Synthesise, CancelSynthesis, Hold, Resume, Flush, Retire)

    def __init__(
        self,
        *,
        url: str | Server,
        speaker: Speaker,
        fallback: str | Server | None = None,
        apology: Apology | None = None,
        timeout_s: float = 15.0,
        cancel_timeout_s: float = 2.0,
        client: Client = client_of,
    ) -> None:
        """Prepare; nothing is opened before `run`. `client` makes the connections."""
        self.figures = Figures()
        first, *others = (Source(_server(one), self.figures, client) for one in (url, fallback) if one is not None)
        self._sources = Sources(first, others[0] if others else None, self.figures)
        if apology is not None:
            apology.must_fit(timeout_s)
        self._last_words = LastWords(apology)
        self._feed = Feed(speaker, self.figures)
        self._timeout_s = timeout_s
        self._cancel_timeout_s = cancel_timeout_s
        self._sessions: dict[str, Session] = {}
        self._cancelled: Bounded[str, Progress] = Bounded()
        self._early: deque[Effect] = deque(maxlen=MAX_EARLY)
        self._work: _Work | None = None

    async def run(self, post: Post) -> None:
        """Own the connections, those for cancels apart, until cancelled; effects that came early begin now."""
        async with self._sources.connected(), anyio.create_task_group() as group:
            self._work = _Work(group, post)
            group.start_soon(self._find_out, self._sources.current)
            if self._sources.fallback is not None:
                group.start_soon(self._find_out, self._sources.fallback)
                group.start_soon(self._sources.watch, partial(self._say_so, self._work, "voice_recovered"))
            try:
                while self._early:
                    self._begin(self._work, self._early.popleft())
                await anyio.sleep_forever()
            finally:
                self._work = None

    def do(self, effect: Effect) -> None:
        """Begin an effect; a cancelled session is silent from this moment on. ValueError for an id that is in synthesis already."""
        if isinstance(effect, Synthesise):
            if effect.session_id in self._sessions:
                raise ValueError(f"session {effect.session_id} is in synthesis already: an id names one sentence")
            known = effect.session_id in self._cancelled
            self._sessions[effect.session_id] = Session(effect, Progress.WITHDRAWN if known else Progress.WAITING)
        elif isinstance(effect, CancelSynthesis):
            self._silence(effect.session_id)
        if self._work:
            self._begin(self._work, effect)
        else:
            self._early.append(effect)

    def _begin(self, work: "_Work", effect: Effect) -> None:
        if isinstance(effect, Synthesise):
            work.group.start_soon(self._synthesise, work, self._sessions[effect.session_id])
        elif isinstance(effect, CancelSynthesis):
            work.group.start_soon(self._cancel, work, effect.session_id, self._sessions.get(effect.session_id), anyio.current_time())
        elif isinstance(effect, Hold | Resume | Flush | Retire):
            self._feed.follow(effect)
        if isinstance(effect, Flush | Retire):
            for session in self._sessions.values():
                if session.effect.response_id == effect.response_id and session.progress is Progress.SOUNDING:
                    self._stop(work, session)

    def _stop(self, work: "_Work", session: Session) -> None:
        """Stop a sentence that the core takes for synthesised: it sends no cancel of it."""
        self._silence(session.effect.session_id)
        work.group.start_soon(self._cancel, work, session.effect.session_id, session, anyio.current_time())

    def _silence(self, session_id: str) -> None:
        """From now on nothing of the session may reach the speaker; its work is stopped, unless the server is to be asked for that."""
        session = self._sessions.get(session_id)
        before = session.progress if session else self._cancelled.get(session_id, Progress.ABANDONED)
        now = Progress.WITHDRAWN if before in (Progress.WAITING, Progress.WITHDRAWN) else Progress.ABANDONED
        self._cancelled[session_id] = now
        if session is not None:
            session.progress = now
            if before is not Progress.POSTED or not session.cancellable:
                session.stop()

    async def _synthesise(self, work: "_Work", session: Session) -> None:
        """From the effect to the one event that ends it; between the last look at the progress and `play` nothing is awaited."""
        fault: Fault | None = None
        try:
            with session.stoppable():
                while sounding := self._sounding():
                    await sounding.done.wait()
                try:
                    await self._say(work, session)
                except Fault as error:
                    fault = error
                    await self._apologise(work, session, error)
        finally:
            del self._sessions[session.effect.session_id]
            session.done.set()
        self._tell_end(work, session, fault)

    def _tell_end(self, work: "_Work", session: Session, fault: Fault | None) -> None:
        session_id, counts = session.effect.session_id, self.figures.counts
        if session.told:
            if fault is not None:
                counts[Count.CUT_OFF] += 1
                self._say_so(work, "sentence_cut_off", f"{session_id}: {fault}")
        elif fault is not None and session.wanted:
            counts[Count.FAILED] += 1
            self._last_words.note(failed=True)
            work.post(SynthesisFailed, session_id, str(fault))
        else:
            counts[Count.DISCARDED] += 1
            work.post(SynthesisDiscarded, session_id)

    def _sounding(self) -> Session | None:
        """A sentence of which more is to come: the next one must be heard after it, and a server does one at a time."""
        return next((session for session in self._sessions.values() if session.progress is Progress.SOUNDING), None)

    async def _apologise(self, work: "_Work", session: Session, fault: Fault) -> None:
        """Have the recording heard if this fault is the last, before it is told: until then the core waits for the sentence."""
        apology = self._last_words.due
        if apology is None or not session.wanted:
            return
        session.pause()
        if self._feed.play(session.effect.response_id, apology.pcm):
            self._last_words.said()
            self.figures.counts[Count.APOLOGISED] += 1
            self._say_so(work, "voice_apology", f"{fault}; the recorded apology is heard now")
            await self._feed.heard()

    async def _say(self, work: "_Work", session: Session) -> None:
        """Have it said by the server that speaks, or by the one behind it; Fault says in a line what went wrong."""
        source, text = self._sources.current, session.effect.text
        if not source.words(text):
            return
        now_s, apology = anyio.current_time(), self._last_words.due
        given_s = self._timeout_s - (apology.lasts_s if apology else 0.0)
        last = self._sources.fallback is None or source is self._sources.fallback
        try:
            await self._say_by(work, source, session, now_s + given_s * (1.0 if last else FIRST_SHARE))
        except Fault as fault:
            other = None if session.told or fault.blame in (Blame.TEXT, Blame.LENGTH) else self._sources.fall_back(source)
            if other is None:
                raise
            self._say_so(work, "voice_fallback", f"{source.server.where}: {fault}; {other.server.where} speaks now")
            try:
                await self._say_by(work, other, session, now_s + given_s)
            except Fault as second:
                raise Fault(f"{fault}; the fallback: {second}", second.blame) from second

    async def _say_by(self, work: "_Work", source: Source, session: Session, deadline_s: float) -> None:
        session_id = session.effect.session_id
        listener = Listener(
            session_id,
            partial(session.post_to, source),
            session.pause,
            partial(self._hear, work, session),
            partial(self._say_so, work, "sentence_split", prefix=f"{session_id}: "),
            self._feed.await_more,
            patient=self._sources.fallback is None or source is self._sources.fallback,
        )
        fault: Fault | None = None
        session.pause()
        async with anyio.create_task_group() as group:
            session.begin_filling = partial(group.start_soon, self._feed.fill, session.effect.response_id, session_id)
            try:
                said = await source.say(listener, session.effect.text, deadline_s)
            except Fault as error:
                fault = error
            group.cancel_scope.cancel()
        if fault is not None:
            if fault.timed_out and source.cancels:
                # nobody waits for it any more, and it would hold up the next one (R77)
                work.group.start_soon(partial(source.cancel, session_id, self._cancel_timeout_s, awaited=False))
            raise fault
        if said:
            self.figures.counts[Count.SYNTHESISED] += 1
            self._sources.trust(source)

    def _hear(self, work: "_Work", session: Session, pcm: bytes, more: bool) -> None:
        """Sound has come. The first of it is told before it is played, as one sentence with all that is to come."""
        effect = session.effect
        if session.progress is Progress.ABANDONED:
            return
        if not session.told:
            session.told = True
            self._last_words.note(failed=False)
            length_ms = PCM.ms_of(len(pcm))
            if more:
                assert session.source is not None
                length_ms = max(length_ms, session.source.pace.expected_audio_ms(session.source.words(effect.text)))
                session.progress = Progress.SOUNDING
            work.post(SentenceSynthesised, effect.session_id, length_ms)
        # the event may have been answered by a flush
        if session.progress is Progress.ABANDONED:
            return
        taken = self._feed.play(effect.response_id, pcm, effect.session_id)
        if more and not taken:
            self._stop(work, session)
        elif more:
            session.fill_once()

    async def _cancel(self, work: "_Work", session_id: str, session: Session | None, asked_s: float) -> None:
        """POST /cancel/<session_id>, unless no POST of it is with a server, and tell what became of it; no session: it was over."""
        source = session.source if session and session.source else self._sources.current
        expected_ms = source.pace.expected_synthesis_ms(source.words(session.effect.text)) if session else None
        if self._cancelled.get(session_id) is Progress.WITHDRAWN:
            outcome, saved_ms = "not needed", expected_ms
        else:
            outcome = await source.cancel(session_id, self._cancel_timeout_s, awaited=session is not None)
            saved_ms = 0.0 if outcome == "too late" else None
            if session is not None and expected_ms is not None and outcome == "acknowledged":
                saved_ms = max(0.0, expected_ms - (asked_s - session.posted_s) * 1000)
        if session is not None and outcome in ("closed", "unsupported", "failed"):
            session.stop()
        self.figures.cancels.append(Cancelled(session_id, outcome, (anyio.current_time() - asked_s) * 1000, saved_ms))
        work.post(SynthesisCancelAnswered, session_id, outcome)

    def _say_so(self, work: "_Work", code: str, words: str, *, prefix: str = "") -> None:
        work.post(ErrorReceived, code, prefix + words)

    async def _find_out(self, source: Source) -> None:
        """Ask a server what it is before the first sentence needs to know; one that does not answer is asked again then."""
        try:
            await source.known()
        except Fault:
            return


async def check(url: str | Server) -> str:
    """Is a server there, and which dialect does it speak? One that loads its model is: each sentence waits for that within its time.

    One that is busy, as those are that do nothing else while they synthesise, is asked again for PATIENCE_S. ValueError when the url is
    none, ConnectionError when nobody answers, the server is ill, or it refuses the key; one line each.
    """
    server = _server(url)
    forget(server)  # What an earlier call found there may be gone.
    source = Source(server, Figures())
    async with source.connected():
        give_up_s = anyio.current_time() + PATIENCE_S
        while True:
            try:
                known = await source.known()
                answer = await source.health()
                break
            except Fault as fault:
                if fault.blame is not Blame.BUSY:
                    raise ConnectionError(f"no Chatterbox server at {server.where}: {fault}; start it or correct the url") from fault
                if anyio.current_time() >= give_up_s:
                    told = f"takes connections and answers nothing within {PATIENCE_S:g} s"
                    raise ConnectionError(f"the Chatterbox server at {server.where} {told}: it is busy, or it hangs") from fault
    if answer.status in (401, 403):
        raise ConnectionError(f"the speech server at {server.where} refused the key: it answered {answer.status}")
    if 300 <= answer.status < 400:
        raise ConnectionError(f"the speech server at {server.where} answered {answer.status}{elsewhere(answer.status)}")
    if answer.status >= 400 and not known.sure:
        told = f"shows no path that a speech server has, and answered {answer.status}"
        raise ConnectionError(f"the server at {server.where} {told}: correct the url, or name its kind with --chatterbox-dialect")
    health = health_of(answer.status, answer.body)
    if health is Health.ILL and answer.status < 500:
        raise ConnectionError(f"the Chatterbox server at {server.where} is ill{state_of(answer.body)}: look at its log")
    if answer.status >= 500 and health is not Health.LOADING:
        raise ConnectionError(f"the Chatterbox server at {server.where} answered {answer.status}: look at its log")
    return known.dialect.name


def _server(url: str | Server) -> Server:
    return url if isinstance(url, Server) else Server(url=url, dialect=AUTO)


@attrs.frozen
class _Work:
    """What exists while the port runs."""

    group: TaskGroup
    post: Post
