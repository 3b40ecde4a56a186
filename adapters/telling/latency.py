"""Where a call's time went: each answer's wait in its parts, and what each barge-in took; told from the steps alone.

Live, replayed and simulated calls are timed alike, as nothing but the events' own times is read. A wait begins where the VAD told that the
caller had stopped: the silence that it needs to be sure of that is in no event.
"""

from statistics import median

import attrs

from adapters.telling.steps import barged_in
from fsm.call import effects as fx, events as ev
from fsm.call.effects import Cause
from fsm.call.snapshot import Call
from fsm.call.states import CLEAR, LOCKED
from fsm.engine.machine import Step

TAKEN, ASKED, CREATED, AGAIN, TOOL, WORDS, SYNTHESISED, SENT, HEARD = MARKS = (
    "end of turn",
    "asked",
    "created",
    "created again",
    "tool",
    "first words",
    "synthesis",
    "first sound",
    "heard",
)
"""What a wait passes, in the usual order: the turn's end is decided, a response is asked for, it is created, and again after one that
failed and the wait that the server asked for, its tools have answered, its first words are there, they are synthesised, their first sound
is at the device, and is heard. What a call does not do is left out.
"""
ANSWERING = {
    "greeting": (Cause.GREETING, Cause.RECOVERY),
    "turn": (Cause.USER_TURN, Cause.TOOL_RESULT, Cause.RECOVERY),
    "keypad entry": (Cause.ENTRY, Cause.USER_TURN, Cause.TOOL_RESULT, Cause.RECOVERY),
}
"""Which responses end the wait for what."""


@attrs.define
class Wait:
    """A wait of the caller's: for what, since when, for which response in the end, and when it passed each mark; ms of the call's clock."""

    kind: str
    from_ms: float
    response_id: str = ""
    marks: dict[str, float] = attrs.Factory(dict)

    @property
    def answered(self) -> bool:
        """Was anything of the answer heard?"""
        return HEARD in self.marks

    @property
    def total_ms(self) -> float:
        """How long it was, up to the last mark that it passed."""
        return max([self.from_ms, *self.marks.values()]) - self.from_ms

    def parts(self) -> tuple[tuple[str, float], ...]:
        """The time up to each mark from the one before it, in the order in which they were passed; together they are the whole."""
        parts, since_ms = [], self.from_ms
        for name, at_ms in sorted(self.marks.items(), key=lambda mark: (mark[1], MARKS.index(mark[0]))):
            parts.append((name, at_ms - since_ms))
            since_ms = at_ms
        return tuple(parts)

    def line(self) -> str:
        """It in one line; parts that took no time are left out."""
        parts = ", ".join(f"{name} {ms:.0f}" for name, ms in self.parts() if ms >= 1)
        return f"{self.total_ms:.0f} ms from {self.from_ms / 1000:.2f} s on: {parts or 'at once'}"


@attrs.define
class Interruption:
    """A barge-in: when its first sound was known, the voice was held, it was decided, the device had stopped, the response had ended."""

    heard_ms: float
    decided_ms: float
    response_id: str
    held_ms: float | None = None
    stopped_ms: float | None = None
    ended_ms: float | None = None
    played_ms: float | None = None
    """How much of the response was heard."""
    received_ms: float | None = None


class Timing:
    """Follows a call step by step."""

    def __init__(self) -> None:
        self.waits: list[Wait] = []
        """Those that are over, in order; of a turn that the next one overtook, or that nothing answered, the marks end before `heard`."""
        self.interruptions: list[Interruption] = []
        self._wait: Wait | None = None
        self._greets = True
        """Is this a call's beginning? The second line of one that was taken up is none."""
        self._speech_ms = 0.0
        self._stopped_ms: float | None = None
        self._held_ms: float | None = None
        self._sessions: dict[str, str] = {}

    @property
    def waiting(self) -> Wait | None:
        """The wait that goes on, if one does."""
        return self._wait

    def tell(self, before: Call, event: ev.Event, answer: Step[Call]) -> None:
        """One step, of which `before` is the snapshot that it began from."""
        if isinstance(event, ev.SpeechStarted) and before.interruption.state in (CLEAR, LOCKED):
            self._speech_ms, self._held_ms = event.at_ms, None
        if isinstance(event, ev.SpeechStopped):
            self._stopped_ms = event.at_ms
        self._greets = self._greets and not isinstance(event, ev.TakenUp)
        if isinstance(event, ev.LineOpened) and before.policy.greets and self._greets:
            self._wait = Wait("greeting", event.at_ms)
        if ev.EntrySubmitted in answer.signals:
            self._begin("keypad entry", event.at_ms)
        if ev.TurnTaken in answer.signals:
            self._begin("turn", event.at_ms if self._stopped_ms is None else self._stopped_ms)
            self._mark(TAKEN, event.at_ms)
            self._stopped_ms = None
        for effect in answer.effects:
            self._ask(effect, event.at_ms)
        self._time(before, event, answer)
        self._interrupt(before, event, answer)

    def finish(self) -> None:
        """The call is told."""
        self._end()

    def _begin(self, kind: str, from_ms: float) -> None:
        self._end()
        self._wait = Wait(kind, from_ms)

    def _end(self) -> None:
        if self._wait is not None:
            self.waits.append(self._wait)
        self._wait = None

    def _mark(self, name: str, at_ms: float) -> None:
        if self._wait is not None:
            self._wait.marks.setdefault(name, at_ms)

    def _ask(self, effect: fx.Effect, at_ms: float) -> None:
        match effect:
            case fx.CreateResponse(cause=cause) if self._wait is not None and cause in ANSWERING[self._wait.kind]:
                self._mark(ASKED, at_ms)
            case fx.Synthesise(session_id=session_id, response_id=response_id):
                self._sessions[session_id] = response_id
            case fx.Hold():
                self._held_ms = at_ms
            case _:
                pass

    def _time(self, before: Call, event: ev.Event, answer: Step[Call]) -> None:
        wait, after = self._wait, answer.snapshot
        if wait is None:
            return
        if isinstance(event, ev.ResponseCreated):
            taken = after.response.id == event.response_id != before.response.id
            if taken and after.response.cause in ANSWERING[wait.kind]:
                if CREATED in wait.marks and not wait.response_id:
                    wait.marks[AGAIN] = event.at_ms
                wait.response_id = event.response_id
                self._anew(wait)
                self._mark(CREATED, event.at_ms)
        elif isinstance(event, ev.ResponseFailed) and event.response_id == wait.response_id:
            # whatever is heard of it from now on is no answer (R92)
            wait.response_id = ""
        elif ev.ToolsAnswered in answer.signals:
            self._anew(wait)
            wait.marks[TOOL] = event.at_ms
        elif not wait.response_id or self._of(event) != wait.response_id:
            return
        match event:
            case ev.TextArrived() | ev.ResponseTranscribed() | ev.SentenceCut():
                self._mark(WORDS, event.at_ms)
            case ev.SentenceSynthesised() if SENT not in wait.marks:
                self._mark(SYNTHESISED, event.at_ms)
            case ev.AudioArrived():
                self._mark(SENT, event.at_ms)
            case ev.PlayoutProgressed() | ev.SentenceStarted():
                self._mark(HEARD, event.at_ms)
                self._end()
            case _:
                pass

    @staticmethod
    def _anew(wait: Wait) -> None:
        """What another response had come to does not count any more."""
        for name in (WORDS, SYNTHESISED, SENT):
            wait.marks.pop(name, None)

    def _of(self, event: ev.Event) -> str:
        """The response that an event is of."""
        session_id = getattr(event, "session_id", None)
        return self._sessions.get(session_id, "") if session_id is not None else getattr(event, "response_id", "")

    def _interrupt(self, before: Call, event: ev.Event, answer: Step[Call]) -> None:
        if barged_in(before, event, answer):
            self.interruptions.append(Interruption(self._speech_ms, event.at_ms, before.playout.id, self._held_ms))
        last = self.interruptions[-1] if self.interruptions else None
        if last is None or getattr(event, "response_id", "") != last.response_id:
            return
        if isinstance(event, ev.PlayoutStopped) and last.stopped_ms is None:
            last.stopped_ms, last.played_ms, last.received_ms = event.at_ms, event.played_ms, event.received_ms
        elif isinstance(event, ev.ResponseEnded) and last.ended_ms is None:
            last.ended_ms = event.at_ms


def answer_times(waits: list[Wait]) -> str:
    """The answers that were heard in a few words: their median and the longest; empty where there is none."""
    heard = [wait.total_ms for wait in waits if wait.answered and wait.kind != "greeting"]
    return f"{median(heard) / 1000:.2f} s median, {max(heard) / 1000:.2f} s at most" if heard else ""
