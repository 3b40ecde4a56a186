"""A field log as a call: its rows become events on a virtual clock, and the core answers them; nothing is judged here.

A log is a header and then rows of what happened to an older system, as `tests/cases` has them. Sound that the log does not time is played
at its own speed; nothing else answers the core.
"""

import heapq
import math
from collections.abc import Callable, Iterable
from itertools import count
from typing import Any

import attrs

from fsm.call import effects as fx
from fsm.call import events as ev
from fsm.call.guards import FATAL
from fsm.call.machine import due_ms, expiry, step
from fsm.call.policy import Policy
from fsm.call.snapshot import Call, start
from fsm.call.states import CONFIGURING, OVER, SILENT
from fsm.engine.machine import Step

Row = dict[str, Any]
FRAME_MS = 20.0
PROGRESS_MS = 500.0
BEFORE = 1.0
"""How long before the first row a call in mid-course is set up."""

ENDS: dict[str, Callable[..., ev.ResponseEnded]] = {
    "completed": ev.ResponseCompleted,
    "cancelled": ev.ResponseCancelled,
    "failed": ev.ResponseFailed,
    "incomplete": ev.ResponseIncomplete,
}


class RowError(ValueError):
    """A row that lacks something, or holds a thing that is none; the message says which."""


@attrs.frozen
class Moment:
    """One step of one call of the log: which call, its event, and the core's answer."""

    name: str
    event: ev.Event
    answer: Step[Call]


@attrs.define
class History:
    """All that the core did in a case, in order."""

    moments: list[Moment] = attrs.Factory(list)

    def snapshot(self, name: str, at_ms: float) -> Call | None:
        """The call's snapshot after all that was due at `at_ms`; None before it began."""
        found = None
        for moment in self.moments:
            if moment.name == name and moment.event.at_ms <= at_ms:
                found = moment.answer.snapshot
        return found


def run_case(rows: list[Row], settings: dict[str, Any], end_ms: float) -> tuple[History, list[str]]:
    """Feed the rows up to `end_ms`; gives the history and the calls' names in the order in which they began."""
    history = History()
    names = list(dict.fromkeys(row["payload"].get("call", "") for row in rows))
    default = next((name for name in names if name), "")
    by_call: dict[str, list[Row]] = {}
    for row in rows:
        by_call.setdefault(row["payload"].get("call") or default, []).append(row)
    ordered = sorted(by_call, key=lambda name: by_call[name][0]["t_ms"])
    moments = [_Feed(name, by_call[name], settings).run(end_ms) for name in ordered]
    history.moments = sorted((moment for feed in moments for moment in feed), key=lambda moment: moment.event.at_ms)
    return history, ordered


def begins(rows: Iterable[Row]) -> bool:
    """Does the log show the beginning of its call?"""
    opening = {("telephony", "start"), ("llm", "session.created"), ("llm", "setup_complete")}
    return any((row["source"], row["event"]) in opening or _asks_for_greeting(row) for row in rows)


def _asks_for_greeting(row: Row) -> bool:
    return bool(row["event"] == "response.create.sent" and str(row["payload"].get("reason", "")).upper() == "GREETING")


class _Feed:
    """One call of a log: a virtual clock, the core, and the little that the log leaves to its surroundings (a line that plays)."""

    def __init__(self, name: str, rows: list[Row], settings: dict[str, Any]) -> None:
        self.name, self.rows = name, rows
        self.fresh = begins(rows)
        self.policy = Policy(**settings, greeting=self.fresh)
        first = float(rows[0]["t_ms"])
        self.began_ms = first if self.fresh else first - BEFORE
        self.call = start(self.policy, name or "call", self.began_ms)
        self.moments: list[Moment] = []
        self.queue: list[tuple[float, int, Callable[[float], None]]] = []
        self.order = count()
        self.line = _Line(self)
        self.sessions: dict[str, str] = {}
        self.sentences: set[int] = set()
        self.seen: set[str] = set()
        self.sounded: set[str] = set()

    def run(self, end_ms: float) -> list[Moment]:
        """Feed everything up to `end_ms`."""
        self._open()
        for row in self.rows:
            self.at(float(row["t_ms"]), _Fed(self, row))
        while (now := min(self._next_ms(), due_ms(self.call))) <= end_ms:
            if (expired := expiry(self.call, now)) is not None:
                self.post(expired)
            else:
                at_ms, _, act = heapq.heappop(self.queue)
                act(at_ms)
        return self.moments

    def at(self, at_ms: float, act: Callable[[float], None]) -> None:
        """Do something at a time, after what was put there earlier."""
        heapq.heappush(self.queue, (at_ms, next(self.order), act))

    def post(self, event: ev.Event) -> None:
        """Give the core one event, and carry out what it asks for."""
        answer = step(self.call, event)
        self.call = answer.snapshot
        self.moments.append(Moment(self.name, event, answer))
        for effect in answer.effects:
            if isinstance(effect, fx.Synthesise):
                self.sessions[effect.session_id.rsplit(".", 1)[1]] = effect.session_id
            self.line.do(effect, event.at_ms)

    def _next_ms(self) -> float:
        return self.queue[0][0] if self.queue else math.inf

    def _open(self) -> None:
        """Set up what the log does not show: a confirmed session, an open line, and in mid-call a known noise floor."""
        now, kinds = self.began_ms, {(row["source"], row["event"]) for row in self.rows}
        if not self.fresh or ("telephony", "start") not in kinds:
            self.post(ev.LineOpened(now))
        if not kinds & {("llm", "session.created"), ("llm", "session.updated"), ("llm", "setup_complete")}:
            self.post(ev.SessionOpened(now))
            self.post(ev.SessionConfirmed(now))
        if not self.fresh:
            self.post(ev.VadCalibrated(now))
            self._in_mid_call(now)
        elif ("llm", "greeting.text_ready") not in kinds:
            self.post(ev.GreetingPrepared(now))

    def _in_mid_call(self, now: float) -> None:
        """The response that the log finds under way was created and admitted just before it."""
        for row in self.rows:
            if row["event"].endswith(".sent"):
                continue
            response_id = row["payload"].get("response_id", "resp_tts" if row["source"] == "tts" else "")
            if response_id:
                if row["event"] != "response.created":
                    self.seen.add(response_id)
                    self.post(ev.ResponseCreated(now, response_id))
                    if row["event"] in ("response.audio.done", "response.audio_transcript.done"):
                        self.hear_first(now, response_id)
                return

    def hear_first(self, now: float, response_id: str) -> None:
        """The first sound of a response: the log may show it only by its end."""
        if response_id not in self.sounded:
            self.sounded.add(response_id)
            self.post(ev.AudioArrived(now, response_id, f"item_{response_id}"))


class _Line:
    """The line of a log: it plays what is admitted, holds and drops what the core says, and tells what was heard."""

    def __init__(self, feed: _Feed) -> None:
        self.feed = feed
        self.told = any(row["event"] == "tx_queue" for row in feed.rows)
        self.response_id = ""
        self.left_ms = self.played_ms = self.received_ms = 0.0
        self.open_ended = self.held = False
        self.since_ms: float | None = None
        self.turn = 0

    def queue(self, now: float, response_id: str, length_ms: float | None) -> None:
        """Sound of a response arrives; without a length it lasts until `end`."""
        if not self._mine(response_id):
            return
        self.feed.hear_first(now, response_id)
        self._follow(now, response_id)
        self.open_ended |= length_ms is None
        self.left_ms += length_ms or 0.0
        self.received_ms += length_ms or 0.0
        if not self.told:
            self._play(now)

    def end(self, now: float, response_id: str) -> None:
        """No more sound of the response comes."""
        if response_id == self.response_id and self.open_ended and not self.told:
            self._settle(now)
            self.open_ended, self.left_ms = False, 0.0
            self._play(now)

    def told_queue(self, now: float, frames: int) -> None:
        """The log says how much is still to be sent of what is heard."""
        playing = self.feed.call.playout.id
        if not playing:
            return
        self._follow(now, playing)
        self.left_ms = frames * FRAME_MS
        self.received_ms = max(self.received_ms, self.played_ms + self.left_ms)
        later = any(row["event"] == "tx_queue" and row["t_ms"] > now for row in self.feed.rows)
        self.open_ended = bool(frames) and later
        if frames:
            self.feed.post(ev.PlayoutProgressed(now, playing, self.played_ms))
            self._play(now)
        else:
            self._stop(now)
            self.feed.post(ev.QueueEmptied(now, playing))

    def do(self, effect: fx.Effect, now: float) -> None:
        """Carry out what concerns the line."""
        if isinstance(effect, fx.Hold):
            self._settle(now)
            self.held = True
        elif isinstance(effect, fx.Resume):
            self.held = False
            if self.response_id:
                self._play(now)
        elif isinstance(effect, fx.Flush):
            self._settle(now)
            mine = effect.response_id == self.response_id
            played, received = (self.played_ms, self.received_ms) if mine else (0.0, 0.0)
            if mine:
                self._stop(now)
                self.response_id = ""
            self.feed.at(now, _Later(self.feed, ev.PlayoutStopped(now, effect.response_id, played, max(received, played))))
        elif isinstance(effect, fx.HangUp):
            self._stop(now)

    def _mine(self, response_id: str) -> bool:
        playout = self.feed.call.playout
        return playout.state not in (SILENT, OVER) and response_id in (playout.id, playout.next_id)

    def _follow(self, now: float, response_id: str) -> None:
        if response_id != self.response_id:
            self._settle(now)
            self.response_id, self.played_ms, self.received_ms, self.left_ms = response_id, 0.0, 0.0, 0.0

    def _play(self, now: float) -> None:
        self._settle(now)
        if self.held:
            return
        self.since_ms = now
        self.turn += 1
        self.feed.at(now + (PROGRESS_MS if self.open_ended else min(PROGRESS_MS, self.left_ms)), _Tick(self, self.turn))

    def tick(self, now: float) -> None:
        """Half a second was heard, or the rest."""
        self._settle(now)
        if self.left_ms > 0 or self.open_ended:
            self.feed.post(ev.PlayoutProgressed(now, self.response_id, self.played_ms))
            self._play(now)
            return
        self._stop(now)
        finished, self.response_id = self.response_id, ""
        self.feed.post((ev.QueueEmptied if self.told else ev.PlayoutFinished)(now, finished))

    def _settle(self, now: float) -> None:
        """Bring what was played up to now."""
        if self.since_ms is not None:
            heard = now - self.since_ms
            self.played_ms += heard if self.open_ended else min(heard, self.left_ms)
            self.left_ms = max(0.0, self.left_ms - heard)
            self.since_ms = None

    def _stop(self, now: float) -> None:
        self._settle(now)
        self.turn += 1
        self.left_ms, self.open_ended = 0.0, False


@attrs.frozen
class _Tick:
    line: _Line
    turn: int

    def __call__(self, now: float) -> None:
        if self.turn == self.line.turn:
            self.line.tick(now)


@attrs.frozen
class _Later:
    feed: _Feed
    event: ev.Event

    def __call__(self, _: float) -> None:
        self.feed.post(self.event)


@attrs.frozen
class _Fed:
    """One row of the log, given to the core when its time comes."""

    feed: _Feed
    row: Row

    def __call__(self, now: float) -> None:
        source, event, payload = self.row["source"], self.row["event"], _Payload(self.row["payload"])
        if event.endswith(".sent") or source == "timer":
            return
        response_id = payload.get("response_id", "")
        if source == "llm" and response_id and event != "response.created" and response_id not in self.feed.seen:
            self.feed.post(ev.ResponseCreated(now, response_id))
        if response_id:
            self.feed.seen.add(response_id)
        handler = _HANDLERS.get((source, event)) or _HANDLERS.get((source, event.split(".", 1)[0] + ".*"))
        if handler is not None:
            try:
                handler(self.feed, now, payload)
            except RowError as error:
                raise RowError(f"the row {source} {event} at {now:g} ms {error}") from None


class _Payload(dict[str, Any]):
    """What a row holds; a handler that needs what is not there refuses the row."""

    def __missing__(self, key: str) -> Any:
        raise RowError(f"lacks {key}")


def _number(payload: Row, key: str) -> float:
    value = payload[key]
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise RowError(f"has {key} {value!r}, which is no number")
    return value


def _created(feed: _Feed, now: float, payload: Row) -> None:
    feed.post(ev.ResponseCreated(now, payload["response_id"]))


def _delta(feed: _Feed, now: float, payload: Row) -> None:
    length_ms = _number(payload, "frames_20ms") * FRAME_MS if "frames_20ms" in payload else None
    feed.line.queue(now, payload.get("response_id") or feed.call.response.id, length_ms)


def _audio_done(feed: _Feed, now: float, payload: Row) -> None:
    response_id = payload.get("response_id") or feed.call.response.id
    feed.hear_first(now, response_id)
    feed.line.end(now, response_id)
    told_later = any(row["event"] == "tx_queue" and row["t_ms"] >= now for row in feed.rows)
    if response_id != feed.line.response_id and feed.call.playout.id == response_id and not told_later:
        feed.post(ev.PlayoutFinished(now, response_id))


def _transcript_done(feed: _Feed, now: float, payload: Row) -> None:
    if payload.get("is_goodbye"):
        feed.post(ev.GoodbyeSaid(now, payload["response_id"]))


def _done(feed: _Feed, now: float, payload: Row) -> None:
    details = payload.get("status_details") or {}
    error = details.get("error") or {}
    reason = error.get("code") or error.get("type") or details.get("reason") or ""
    status = payload.get("status", "completed")
    if status not in ENDS:
        raise RowError(f"has status {status!r}; a response ends as {', '.join(ENDS)}")
    feed.line.end(now, payload["response_id"])
    feed.post(ENDS[status](now, payload["response_id"], reason))


def _error(feed: _Feed, now: float, payload: Row) -> None:
    code, message = payload.get("code", ""), payload.get("message", "")
    if code in FATAL:
        feed.post(ev.ReceiverFailed(now, code))
    elif code == "session_expired":
        feed.post(ev.SessionLost(now, code))
    elif feed.call.session.state is CONFIGURING and "session" in f"{code} {message} {payload.get('param', '')}":
        feed.post(ev.SessionRefused(now, f"{code}: {message}"))
    else:
        feed.post(ev.ErrorReceived(now, code, message))


def _plain(kind: Callable[..., ev.Event], *keys: str, **defaults: Any) -> Callable[[_Feed, float, Row], None]:
    """A handler that posts one event with these keys of the payload."""

    def post(feed: _Feed, now: float, payload: Row) -> None:
        feed.post(kind(now, *[payload.get(key, defaults.get(key, "")) for key in keys]))

    return post


def _dtmf(feed: _Feed, now: float, payload: Row) -> None:
    feed.post(ev.DigitPressed(now, str(payload["digit"])))


def _mark(feed: _Feed, now: float, payload: Row) -> None:
    playing = feed.call.playout.id
    if playing and not str(payload.get("name", "")).startswith("heartbeat"):
        feed.post(ev.PlayoutFinished(now, playing))


def _tx_queue(feed: _Feed, now: float, payload: Row) -> None:
    feed.line.told_queue(now, int(_number(payload, "frames")))


def _sentence_text(feed: _Feed, now: float, payload: Row) -> None:
    number = int(_number(payload, "sentence"))
    if number not in feed.sentences:
        feed.sentences.add(number)
        response_id = payload.get("response_id") or feed.call.response.id
        feed.post(ev.SentenceCut(now, response_id, number, f"<sentence {number}>", f"item_{response_id}"))


def _synthesised(feed: _Feed, now: float, payload: Row) -> None:
    session_id = feed.sessions.get(str(payload["sentence"]), "")
    status = int(_number(payload, "status")) if "status" in payload else 200
    if status == 200:
        feed.post(ev.SentenceSynthesised(now, session_id))
    elif status == 204:
        feed.post(ev.SynthesisDiscarded(now, session_id))
    else:
        feed.post(ev.SynthesisFailed(now, session_id, f"the server answered {status}"))


def _playback_start(feed: _Feed, now: float, payload: Row) -> None:
    response_id = feed.call.playout.id
    feed.line.queue(now, response_id, None)
    feed.post(ev.SentenceStarted(now, feed.sessions.get(str(payload["sentence"]), "")))


_HANDLERS: dict[tuple[str, str], Callable[[_Feed, float, Row], None]] = {
    ("llm", "session.created"): _plain(ev.SessionOpened),
    ("llm", "session.updated"): _plain(ev.SessionConfirmed),
    ("llm", "setup_complete"): _plain(ev.SessionConfirmed),
    ("llm", "greeting.text_ready"): _plain(ev.GreetingPrepared),
    ("llm", "receiver.exception"): _plain(ev.ReceiverFailed, "type"),
    ("llm", "response.created"): _created,
    ("llm", "response.audio.delta"): _delta,
    ("llm", "audio_chunk.first"): _delta,
    ("llm", "response.audio.done"): _audio_done,
    ("llm", "response.audio_transcript.delta"): _plain(ev.TextArrived, "response_id"),
    ("llm", "response.audio_transcript.done"): _transcript_done,
    ("llm", "response.function_call_arguments.done"): _plain(ev.ToolCalled, "call_id", "name", "arguments"),
    ("llm", "response.done"): _done,
    ("llm", "error"): _error,
    ("llm", "input_audio_buffer.speech_started"): _plain(ev.SpeechStarted, "item_id"),
    ("llm", "input_audio_buffer.speech_stopped"): _plain(ev.SpeechStopped, "item_id"),
    ("llm", "input_audio_buffer.committed"): _plain(ev.TurnCommitted, "item_id"),
    ("llm", "conversation.item.input_audio_transcription.completed"): _plain(ev.Transcribed, "item_id", "text"),
    ("telephony", "start"): _plain(ev.LineOpened),
    ("telephony", "stop"): _plain(ev.CallerHungUp),
    ("telephony", "dtmf"): _dtmf,
    ("telephony", "mark"): _mark,
    ("audio", "tx_queue"): _tx_queue,
    ("audio", "voice_energy"): _plain(ev.VoiceHeard, "rms"),
    ("audio", "barge_in"): _plain(ev.BargeInDetected),
    ("audio", "playback.start"): _playback_start,
    ("tts", "synth.request"): _sentence_text,
    ("tts", "synth.post"): _sentence_text,
    ("tts", "synth.response"): _synthesised,
    ("app", "hangup.requested"): _plain(ev.HangupRequested, "response_id", "reason", reason="application"),
}
