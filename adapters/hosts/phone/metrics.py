"""The figures of a phone server for Prometheus, and a `Watch` that keeps them for one call; `adapters.twilio.watched` times the line.

What each means for an operator, and what to do, is in OPERATING.md beside this file. Every label has a bounded set of values.
"""

import asyncio
import re
from collections import Counter as Tally
from collections.abc import Callable, Iterable, Iterator

import anyio
from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from adapters.hosts.phone.calls import Calls, Refused
from adapters.seam.bounded import Bounded
from adapters.telling.latency import ANSWERING, MARKS, Timing, Wait
from adapters.telling.steps import Faults, barged_in, false_alarm
from fsm.call import effects as fx, events as ev
from fsm.call.phase import PHASE
from fsm.call.snapshot import Call
from fsm.engine.machine import Step

OTHER = "other"
"""The label of whatever is beyond a bounded set."""
CLEAR_S = 1.0
"""A clear leaves at once, or when the one before it is answered: in 0.7 s at most (`adapters.twilio.marks.SETTLE_S`)."""
MOST_CODES = 50
"""How many codes of errors are told apart; a server could make up any number of them."""
SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0)
ANSWER_SECONDS = (0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0)
CALL_SECONDS = (5, 15, 30, 60, 120, 300, 600, 1_800, 3_600)
_CODE = re.compile(r"[a-z][a-z0-9_.-]{0,63}")


class Metrics:
    """All figures of one server, in a registry of its own; `rows` counts the rows taken, too; `machine` is its name in a cluster."""

    def __init__(self, calls: Calls, *, rows: bool = False, machine: str = "") -> None:
        self.registry = CollectorRegistry()
        self.registry.register(_Now(calls, machine))
        ProcessCollector(registry=self.registry)
        self.began = self._counter("began", "Calls that began.")
        self.ended = self._counter("ended", "Calls that ended, by reason.", "reason")
        self.refused = self._counter("refused", "Webhooks and streams that were refused, by cause.", "why")
        self.crashed = self._counter("crashed", "Calls that ended by a bug of the program.")
        self.taken_up = self._counter("taken_up", "Calls that another process began, and this one went on with.")
        self.taken_over = self._counter("taken_over", "Streams that were closed because another came for the same call.")
        self.barge_ins = self._counter("barge_ins", "Interruptions by the caller.")
        self.false_alarms = self._counter("false_alarms", "Sounds of the caller for which the voice was held and went on.")
        self.cancels = self._counter("cancels", "Cancels of responses and syntheses, by outcome.", "what", "outcome")
        self.errors = self._counter("errors", "Errors that calls were told of, by code.", "code")
        self.late_frames = self._counter("late_frames", "Frames sent after the line had run dry under the voice.")
        self.reconnects = self._counter("reconnects", "Realtime sessions that were opened anew.")
        self.hang_ups_failed = self._counter("hang_ups_failed", "Hang-ups that Twilio's REST interface did not carry out.")
        self.unsent = self._counter("responses_unsent", "Responses that had sound of which none was sent, or that were interrupted before.")
        self.set_aside = self._counter("messages_set_aside", "Messages of Twilio's that could not be used.")
        self.stream_errors = self._counter("stream_errors", "Errors of streams that Twilio reported.")
        self.silence = self._histogram("silence_seconds", "From the caller's first sound to the clear that hushes the voice.", SECONDS)
        self.answer = self._histogram(
            "answer_seconds", "From the end of the caller's speech to the first sound heard of the answer.", ANSWER_SECONDS, "to"
        )
        self.answer_part = self._histogram("answer_part_seconds", "The parts of that time.", ANSWER_SECONDS, "part")
        self.length = self._histogram("call_seconds", "How long calls lasted.", CALL_SECONDS)
        self.lag = self._histogram("loop_lag_seconds", "How late the event loop was.", SECONDS)
        self.rows = self._counter("rows", "Rows of the tables that calls took.", "row") if rows else None
        self._codes: set[str] = set()
        for reason in fx.Reason:
            self.ended.labels(reason.name.lower())
        for why in Refused:
            self.refused.labels(why.value)
        for kind in ANSWERING:
            self.answer.labels(_label(kind))
        for part in MARKS:
            self.answer_part.labels(_label(part))

    def count_error(self, code: str) -> None:
        """Count an error; a code that is none, or one too many, counts as `other`."""
        known = code in self._codes or (len(self._codes) < MOST_CODES and _CODE.fullmatch(code) is not None)
        if known:
            self._codes.add(code)
        self.errors.labels(code if known else OTHER).inc()

    def note_answer(self, wait: Wait) -> None:
        """An answer is heard."""
        self.answer.labels(_label(wait.kind)).observe(wait.total_ms / 1000)
        for part, ms in wait.parts():
            self.answer_part.labels(_label(part)).observe(ms / 1000)

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"callfsm_{name}", text, labels, registry=self.registry)

    def _histogram(self, name: str, text: str, buckets: Iterable[float], *labels: str) -> Histogram:
        return Histogram(f"callfsm_{name}", text, labels, registry=self.registry, buckets=tuple(buckets))


def _label(words: str) -> str:
    return words.replace(" ", "_")


class _Now(Collector):
    """What is so at the moment of asking."""

    def __init__(self, calls: Calls, machine: str) -> None:
        self._calls, self._machine = calls, machine

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """The gauges."""
        phases = Tally(handler.phase for handler in self._calls.handlers)
        by_phase = GaugeMetricFamily("callfsm_calls", "Calls that are held now, by phase.", labels=["phase"])
        for state in PHASE.states:
            by_phase.add_metric([state.name], phases[state.name])
        yield by_phase
        if self._machine:
            named = GaugeMetricFamily("callfsm_machine", "1; its label is this process's name in the cluster.", labels=["machine"])
            named.add_metric([self._machine], 1)
            yield named
        yield GaugeMetricFamily("callfsm_places_taken", "Calls and announced calls now.", value=self._calls.places_taken)
        yield GaugeMetricFamily("callfsm_places", "How many calls may be held at a time.", value=self._calls.max_calls)
        yield GaugeMetricFamily("callfsm_tasks", "Tasks of the event loop now.", value=_tasks())
        yield GaugeMetricFamily("callfsm_draining", "1 while the server lets nobody in.", value=int(self._calls.draining))


def _tasks() -> int:
    """How many tasks the event loop has; 0 where none runs."""
    try:
        return len(asyncio.all_tasks())
    except RuntimeError:
        return 0


class CallFigures:
    """One call's part in the metrics: a `Watch` of its driver, told by the wire of what is sent. `end` closes its accounts."""

    def __init__(self, metrics: Metrics, call: Call, now_s: Callable[[], float] = anyio.current_time) -> None:
        self.barge_ins = 0
        self._metrics, self._call, self._now_s = metrics, call, now_s
        self._began_s = now_s()
        self._spoke_s = self._began_s
        self._held: tuple[float, float] | None = None
        self._open: Bounded[str, str] = Bounded()
        self.timing = Timing()
        """Where the call's time goes."""
        self._timed = 0
        self._faults = Faults()

    @property
    def answers_ms(self) -> list[float]:
        """How long the caller waited for each answer that was heard, the greeting aside."""
        return [wait.total_ms for wait in self.timing.waits if wait.answered and wait.kind != "greeting"]

    def __call__(self, event: ev.Event, answer: Step[Call]) -> None:
        """Count what a step shows."""
        before, self._call = self._call, answer.snapshot
        if isinstance(event, ev.SpeechStarted | ev.BargeInDetected):
            self._spoke_s = self._now_s()
        self._see(before, event, answer)
        self._see_cancels(event)
        self._time(before, event, answer)
        for effect in answer.effects:
            self._see_effect(effect)
        if self._metrics.rows is not None:
            for row in answer.rows:
                self._metrics.rows.labels(row.name).inc()

    def note_clear(self) -> None:
        """A clear has been sent; one that no hold asked for shortly before hushes no interrupted voice."""
        if self._held is not None:
            (spoke_s, held_s), now_s, self._held = self._held, self._now_s(), None
            if now_s - held_s <= CLEAR_S:
                self._metrics.silence.observe(now_s - spoke_s)

    def note_frame(self, late: bool) -> None:
        """A frame of the voice has been sent."""
        if late:
            self._metrics.late_frames.inc()

    def end(self, ended: fx.TellEnded | None, counts: Tally[str]) -> float:
        """Close the accounts of a call that is over, and give its length in seconds; `counts` are those of its line."""
        metrics, seconds = self._metrics, self._now_s() - self._began_s
        for outcome in self._open.values():
            metrics.cancels.labels("response", outcome).inc()
        self._open.clear()
        metrics.length.observe(seconds)
        if ended is not None:
            metrics.ended.labels(ended.reason.name.lower()).inc()
        metrics.hang_ups_failed.inc(counts["hang-ups failed"] + counts["hang-ups timed out"])
        metrics.unsent.inc(counts["responses unsent"])
        metrics.set_aside.inc(sum(number for name, number in counts.items() if name.startswith("set aside: ")))
        return seconds

    def _see(self, before: Call, event: ev.Event, answer: Step[Call]) -> None:
        """Interruptions and errors."""
        if barged_in(before, event, answer):
            self._note_barge_in()
        elif false_alarm(answer):
            self._metrics.false_alarms.inc()
        told = self._faults.is_told(event)
        match event:
            case _ if told:
                pass
            case ev.ErrorReceived(code=code) | ev.CreateRefused(code=code) | ev.CancelRefused(code=code):
                self._metrics.count_error(code)
            case ev.ResponseFailed(reason=reason):
                self._metrics.count_error(reason)
            case ev.SessionLost():
                self._metrics.count_error("session_lost")
            case ev.SynthesisFailed():
                self._metrics.count_error("synthesis_failed")
            case _:
                pass

    def _time(self, before: Call, event: ev.Event, answer: Step[Call]) -> None:
        """Answers, when they are heard."""
        self.timing.tell(before, event, answer)
        waits = self.timing.waits
        for wait in waits[self._timed :]:
            if wait.answered:
                self._metrics.note_answer(wait)
        self._timed = len(waits)

    def _see_cancels(self, event: ev.Event) -> None:
        match event:
            case ev.ResponseEnded(response_id=response_id) if response_id in self._open:
                del self._open[response_id]
                outcome = type(event).__name__.removeprefix("Response").lower()
                self._metrics.cancels.labels("response", outcome).inc()
            case ev.CancelUnsent(response_id=response_id) if response_id in self._open:
                self._open[response_id] = "not_sent"
            case ev.SynthesisCancelAnswered(outcome=outcome):
                name = outcome.replace(" ", "_")
                self._metrics.cancels.labels("synthesis", name if name in SYNTHESIS_OUTCOMES else OTHER).inc()
            case _:
                pass

    def _see_effect(self, effect: fx.Effect) -> None:
        match effect:
            case fx.Hold():
                self._held = (self._spoke_s, self._now_s())
            case fx.CancelResponse(response_id=response_id):
                self._open[response_id] = "unconfirmed"
            case fx.OpenSession():
                self._metrics.reconnects.inc()
            case _:
                pass

    def _note_barge_in(self) -> None:
        self.barge_ins += 1
        self._metrics.barge_ins.inc()


SYNTHESIS_OUTCOMES = frozenset({"acknowledged", "too_late", "unsupported", "failed", "not_needed"})
"""What may become of a cancel of a synthesis (`SynthesisCancelAnswered`)."""
