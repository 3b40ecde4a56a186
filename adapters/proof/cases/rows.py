"""What the rows of a field log mean: each kind of row as the events that it gives the core.

Fields are read whatever shape the server gave them: beta and GA names, ids of their own or within a `response`, `item` or `error`, nulls.
A row that lacks what its meaning hangs on is refused; one of a kind that means nothing here is passed over.
"""

from collections.abc import Callable, Iterable

from adapters.proof.cases.fields import Row, RowError, fields_of, is_fed, is_heartbeat, kind, number_of, reason_of, text_of
from adapters.proof.cases.line import FRAME_MS, Core, Line
from adapters.proof.cases.survey import UNNAMED, response_of
from adapters.realtime.table import WITHOUT_MEANING
from fsm.call import events as ev
from fsm.call.guards import FATAL, IDLE
from fsm.call.states import CONFIGURING, IN_PROGRESS, REQUESTED
from fsm.call.synthesis import session_id

ENDS: dict[str, Callable[..., ev.ResponseEnded]] = {
    "completed": ev.ResponseCompleted,
    "cancelled": ev.ResponseCancelled,
    "failed": ev.ResponseFailed,
    "incomplete": ev.ResponseIncomplete,
}
SILENT_KINDS = {("tts", "cancel.post"), ("audio", "playback.killed"), ("llm", "response.text.delta"), ("llm", "response.text.done")}
"""Rows of what the old system did, of what the line answers by itself, and of text that the sentences' rows tell."""
SOUNDS = ("response.audio.delta", "audio_chunk.first", "response.audio.done", "response.audio_transcript.done")
"""Rows that only a response under way can have."""
OVER_ALREADY = ("response.audio.done", "response.audio_transcript.done", "response.done")
"""Rows of a response that has sounded before."""


def is_known(row: Row) -> bool:
    """Is it a row of a kind that is fed, or that is known to mean nothing here?"""
    source, event = kind(row)
    meaningless = (source, event) in SILENT_KINDS or (source == "llm" and row["event"] in WITHOUT_MEANING)
    return meaningless or (source, event) in _HANDLERS or not is_fed(row)


class Reader:
    """The rows of one call, read one by one; it remembers what the log has named so far."""

    def __init__(self, core: Core, line: Line, rows: Iterable[Row]) -> None:
        self.sessions: dict[str, str] = {}
        """The controller's synthesis session by the log's `session_id`."""
        self._core, self._line = core, line
        self._created = {response_of(row) for row in rows if kind(row) == ("llm", "response.created")}
        self._met: set[str] = set()
        self._sounded: set[str] = set()
        self._sentences: dict[tuple[str, int], str] = {}
        self._latest = ""

    def read(self, now: float, row: Row) -> None:
        """Give the core what a row tells. Raises RowError for one that lacks what it needs."""
        handler = _HANDLERS.get(kind(row))
        if handler is None or not is_fed(row):
            return
        payload = fields_of(row["payload"])
        try:
            if row["event"] == "audio_chunk.first" and not text_of(payload, "response_id"):
                payload["response_id"] = self._name()
            if kind(row)[1] in SOUNDS and (response_id := text_of(payload, "response_id")):
                self._meet(now, response_id)
            handler(self, now, payload)
        except RowError as error:
            raise RowError(f"the row {row['source']} {row['event']} at {now:g} ms {error}") from None

    def begin_under_way(self, now: float, row: Row) -> None:
        """The response that the log finds under way was created and admitted before it; one that only the queue shows is complete."""
        response_id = response_of(row) or UNNAMED
        self._met.add(response_id)
        self._core.post(ev.ResponseCreated(now, response_id))
        if kind(row)[1] in (*OVER_ALREADY, "tx_queue"):
            self._hear_first(now, response_id)
        if not response_of(row):
            self._core.post(ev.ResponseCompleted(now, response_id))

    def _meet(self, now: float, response_id: str) -> None:
        """A response of which the log does not show the creation was created when nothing else was."""
        free = self._core.call.response.state in (*IDLE, REQUESTED)
        if response_id not in self._created | self._met and free:
            self._core.post(ev.ResponseCreated(now, response_id))
        self._met.add(response_id)

    def _name(self) -> str:
        """The live response, or a name for the one that begins now: a provider without ids tells of its first sound alone."""
        response = self._core.call.response
        return response.id if response.state is IN_PROGRESS else f"{UNNAMED}_{len(self._met)}"

    def _hear_first(self, now: float, response_id: str) -> None:
        """The first sound of a response: the log may show it only by its end."""
        if response_id not in self._sounded:
            self._sounded.add(response_id)
            self._core.post(ev.AudioArrived(now, response_id, f"item_{response_id}"))

    def _response(self, payload: Row) -> str:
        """The response that a row is about: the one that it names, or else the live one."""
        return text_of(payload, "response_id") or self._core.call.response.id

    # What the model does.

    def _create(self, now: float, payload: Row) -> None:
        if not (response_id := text_of(payload, "response_id")):
            raise RowError("lacks response_id")
        self._line.begin_response()
        self._core.post(ev.ResponseCreated(now, response_id))

    def _sound(self, now: float, payload: Row) -> None:
        response_id = self._response(payload)
        frames = payload.get("frames_20ms")
        length_ms = None if frames is None else number_of(payload, "frames_20ms") * FRAME_MS
        self._hear_first(now, response_id)
        self._line.queue(now, response_id, length_ms)

    def _audio_done(self, now: float, payload: Row) -> None:
        response_id = self._response(payload)
        self._hear_first(now, response_id)
        self._end_sound(now, response_id)

    def _end_sound(self, now: float, response_id: str) -> None:
        """No more sound comes; of a response whose sound the log does not show, all was heard."""
        self._line.end(now, response_id)
        unshown = response_id in self._sounded and not self._line.has(response_id) and not self._line.told_later()
        if unshown and self._core.call.playout.id == response_id:
            self._line.finish(now, response_id)

    def _words(self, now: float, payload: Row) -> None:
        self._core.post(ev.TextArrived(now, self._response(payload)))

    def _transcript_done(self, now: float, payload: Row) -> None:
        if payload.get("is_goodbye"):
            self._core.post(ev.GoodbyeSaid(now, self._response(payload)))

    def _done(self, now: float, payload: Row) -> None:
        response_id, status = self._response(payload), text_of(payload, "status") or "completed"
        if status not in ENDS:
            raise RowError(f"has status {status!r}; a response ends as {', '.join(ENDS)}")
        reason = reason_of(payload)
        if status == "completed" and payload.get("output_count") == 0 and response_id not in self._sounded:
            status, reason = "incomplete", "empty_response"
        if self._core.call.policy.voice == "realtime":
            self._end_sound(now, response_id)
        self._core.post(ENDS[status](now, response_id, reason))

    def _error(self, now: float, payload: Row) -> None:
        code, message = text_of(payload, "code") or text_of(payload, "type"), text_of(payload, "message")
        if fatal := {code, text_of(payload, "type")} & FATAL:
            self._core.post(ev.ReceiverFailed(now, fatal.pop()))
        elif code == "session_expired":
            self._core.post(ev.SessionLost(now, code))
        elif self._core.call.session.state is CONFIGURING and "session" in f"{code} {message} {text_of(payload, 'param')}":
            self._core.post(ev.SessionRefused(now, f"{code}: {message}"))
        else:
            self._core.post(ev.ErrorReceived(now, code, message))

    # The line.

    def _digit(self, now: float, payload: Row) -> None:
        if not (digit := text_of(payload, "digit")):
            raise RowError("lacks digit")
        self._core.post(ev.DigitPressed(now, digit))

    def _mark(self, now: float, payload: Row) -> None:
        if not is_heartbeat(payload):
            self._line.mark(now)

    def _queue(self, now: float, payload: Row) -> None:
        self._line.tell_queue(now, number_of(payload, "frames"))

    # Sentences.

    def _sentence_text(self, now: float, payload: Row) -> None:
        """The first word of a sentence says that its text is at hand; one without a number is the next."""
        theirs, response_id = text_of(payload, "session_id"), self._response(payload)
        if theirs in self.sessions:
            return
        numbers = [number for response, number in self._sentences if response == response_id]
        number = max(numbers, default=0) + 1 if payload.get("sentence") is None else int(number_of(payload, "sentence"))
        if (response_id, number) not in self._sentences:
            self._sentences[response_id, number] = session_id(self._core.call, response_id, number)
            self._core.post(ev.SentenceCut(now, response_id, number, f"<sentence {number}>", f"item_{response_id}"))
        self._latest = self._sentences[response_id, number]
        if theirs:
            self.sessions[theirs] = self._latest

    def _session(self, payload: Row) -> str:
        """The controller's session of a row's sentence: by the log's own id, else by its latest number; empty if not ours."""
        if (theirs := text_of(payload, "session_id")) in self.sessions:
            return self.sessions[theirs]
        if payload.get("sentence") is not None:
            wanted = int(number_of(payload, "sentence"))
            return next((ours for (_, number), ours in reversed(self._sentences.items()) if number == wanted), "")
        if not theirs and not self._sentences:
            raise RowError("lacks sentence")
        return "" if theirs else self._latest

    def _synthesised(self, now: float, payload: Row) -> None:
        session, status = self._session(payload), payload.get("status", 200)
        if status == 200:
            self._core.post(ev.SentenceSynthesised(now, session))
        elif status == 204:
            self._core.post(ev.SynthesisDiscarded(now, session))
        else:
            self._core.post(ev.SynthesisFailed(now, session, f"the server answered {status}"))

    def _playback(self, now: float, payload: Row) -> None:
        response_id = self._core.call.playout.id
        if response_id:
            self._hear_first(now, response_id)
        self._line.queue(now, response_id, None)
        self._core.post(ev.SentenceStarted(now, self._session(payload)))

    def _hangup(self, now: float, payload: Row) -> None:
        self._core.post(ev.HangupRequested(now, text_of(payload, "response_id"), text_of(payload, "reason") or "application"))

    def _tool(self, now: float, payload: Row) -> None:
        self._core.post(ev.ToolCalled(now, *(text_of(payload, key) for key in ("call_id", "name", "arguments"))))

    def _voice(self, now: float, payload: Row) -> None:
        self._core.post(ev.VoiceHeard(now, 0.0 if payload.get("rms") is None else number_of(payload, "rms")))


def _plain(event: Callable[..., ev.Event], *keys: str) -> Callable[[Reader, float, Row], None]:
    """A handler that posts one event with the texts of these fields."""

    def post(reader: Reader, now: float, payload: Row) -> None:
        reader._core.post(event(now, *(text_of(payload, key) for key in keys)))

    return post


def _ended(status: str) -> Callable[[Reader, float, Row], None]:
    """A handler of an end that has its own name, as some servers send."""

    def end(reader: Reader, now: float, payload: Row) -> None:
        reader._done(now, {**payload, "status": status})

    return end


_HANDLERS: dict[tuple[str, str], Callable[[Reader, float, Row], None]] = {
    ("llm", "session.created"): _plain(ev.SessionOpened),
    ("llm", "session.updated"): _plain(ev.SessionConfirmed),
    ("llm", "setup_complete"): _plain(ev.SessionConfirmed),
    ("llm", "greeting.text_ready"): _plain(ev.GreetingPrepared),
    ("llm", "receiver.exception"): _plain(ev.ReceiverFailed, "type"),
    ("llm", "response.created"): Reader._create,
    ("llm", "response.audio.delta"): Reader._sound,
    ("llm", "audio_chunk.first"): Reader._sound,
    ("llm", "response.audio.done"): Reader._audio_done,
    ("llm", "response.audio_transcript.delta"): Reader._words,
    ("llm", "response.audio_transcript.done"): Reader._transcript_done,
    ("llm", "response.function_call_arguments.done"): Reader._tool,
    ("llm", "response.done"): Reader._done,
    ("llm", "response.cancelled"): _ended("cancelled"),
    ("llm", "response.failed"): _ended("failed"),
    ("llm", "response.incomplete"): _ended("incomplete"),
    ("llm", "error"): Reader._error,
    ("llm", "input_audio_buffer.speech_started"): _plain(ev.SpeechStarted, "item_id"),
    ("llm", "input_audio_buffer.speech_stopped"): _plain(ev.SpeechStopped, "item_id"),
    ("llm", "input_audio_buffer.committed"): _plain(ev.TurnCommitted, "item_id"),
    ("llm", "conversation.item.input_audio_transcription.completed"): _plain(ev.Transcribed, "item_id", "text"),
    ("telephony", "start"): _plain(ev.LineOpened),
    ("telephony", "stop"): _plain(ev.CallerHungUp),
    ("telephony", "dtmf"): Reader._digit,
    ("telephony", "mark"): Reader._mark,
    ("audio", "tx_queue"): Reader._queue,
    ("audio", "voice_energy"): Reader._voice,
    ("audio", "barge_in"): _plain(ev.BargeInDetected),
    ("audio", "playback.start"): Reader._playback,
    ("tts", "synth.request"): Reader._sentence_text,
    ("tts", "synth.post"): Reader._sentence_text,
    ("tts", "synth.response"): Reader._synthesised,
    ("app", "hangup.requested"): Reader._hangup,
}
