"""What a call was like, told from its trace alone: barge-ins, cancels and their outcomes, who said what, and the ribbons of its states."""

from collections.abc import Callable

import attrs

from adapters.seam.ports import RATE_HZ
from adapters.seam.wellformed import printable
from adapters.telling.latency import Interruption, Timing, Wait, answer_times
from adapters.telling.picture.data import CallPicture, Marker, Ribbon, Said, Span
from adapters.telling.steps import barged_in, cut_untold, false_alarm
from adapters.telling.trace import Trace
from fsm.call import effects as fx, events as ev
from fsm.call.snapshot import Call
from fsm.call.states import CLEAR, LOCKED, OVER
from fsm.engine.machine import Step

RIBBONS = ("phase", "response", "playout", "interruption", "synthesis", "turn", "pending", "hangup")


OldAudio = Callable[[float, str], float | None]
"""Of a time and a response: how many ms of its sound were played after that."""


@attrs.frozen
class BargeIn:
    """An interruption: when the caller's first sound was known, when it was decided, of which response, and what it cut."""

    heard_ms: float
    decided_ms: float
    response_id: str
    during: str
    old_audio_ms: float | None = None


@attrs.frozen
class Cancel:
    """A cancel of a response or a synthesis session, and its outcome."""

    at_ms: float
    id: str
    outcome: str


@attrs.define
class Report:
    """A call as told from its trace. Times in ms since the call's start."""

    policy: dict[str, object]
    duration_ms: float = 0.0
    line_ms: float = 0.0
    ended: str = ""
    barge_ins: list[BargeIn] = attrs.Factory(list)
    false_alarms: list[float] = attrs.Factory(list)
    ignored_speech: list[float] = attrs.Factory(list)
    cancels: dict[str, Cancel] = attrs.Factory(dict)
    synthesis_cancels: dict[str, Cancel] = attrs.Factory(dict)
    responses: int = 0
    steps: int = 0
    waits: list[Wait] = attrs.Factory(list)
    interruptions: list[Interruption] = attrs.Factory(list)
    said: list[Said] = attrs.Factory(list)
    markers: list[Marker] = attrs.Factory(list)
    ribbons: tuple[Ribbon, ...] = ()

    def figures(self) -> tuple[tuple[str, str], ...]:
        """The figures that head the picture and the summary."""
        worst = max((barge.old_audio_ms for barge in self.barge_ins if barge.old_audio_ms is not None), default=None)
        return (
            ("length", f"{self.duration_ms / 1000:.1f} s"),
            ("responses", str(self.responses)),
            ("barge-ins", str(len(self.barge_ins))),
            *((("answer time", times),) if (times := answer_times(self.waits)) else ()),
            *((("old audio after speech, worst", f"{worst:.0f} ms"),) if worst is not None else ()),
            ("response cancels", _outcomes(self.cancels)),
            ("synthesis cancels", _outcomes(self.synthesis_cancels)),
            ("ended", self.ended or "cut short"),
        )

    def summary(self) -> str:
        """The call in a few lines of text."""
        lines = [f"{name:<32}{value}" for name, value in self.figures()]
        for number, barge in enumerate(self.barge_ins, start=1):
            old = "" if barge.old_audio_ms is None else f", {barge.old_audio_ms:.0f} ms of old audio after speech_started"
            lines.append(f"barge-in {number:<23}at {barge.heard_ms / 1000:.2f} s while {barge.during}{old}")
        lines += [
            f"{'greeting' if wait.kind == 'greeting' else f'answer to a {wait.kind}':<32}{wait.line()}"
            for wait in self.waits
            if wait.answered
        ]
        lines += [f"{'response cancel':<32}{cancel.outcome}: {cancel.id}" for cancel in self.cancels.values()]
        lines += [f"{'synthesis cancel':<32}{cancel.outcome}: {cancel.id}" for cancel in self.synthesis_cancels.values()]
        return printable("\n".join(lines)) + "\n"

    def picture(self, title: str, caller: bytes, agent: bytes) -> CallPicture:
        """The call as a picture, with the sound of both sides (s16le, 24 kHz, mono) from when the line was open."""
        before = bytes(2 * round(self.line_ms * RATE_HZ / 1000))
        return CallPicture(
            title=title,
            duration_ms=self.duration_ms,
            caller=before + caller,
            agent=before + agent,
            ribbons=self.ribbons,
            markers=tuple(self.markers),
            said=tuple(self.said),
            figures=self.figures(),
        )


def report_on(trace: Trace, old_audio: OldAudio | None = None) -> Report:
    """Tell a call from its trace; `old_audio` gives the ms of sound that a response still made after a time."""
    teller = Teller(trace.call, old_audio)
    for event, answer, _ in trace.steps():
        teller.tell(event, answer)
    return teller.finish()


class Teller:
    """Follows a call step by step; its `report` grows meanwhile, and is complete when it is finished."""

    def __init__(self, call: Call, old_audio: OldAudio | None = None) -> None:
        self.call, self.old_audio = call, old_audio
        self.start_ms = 0.0
        self.report = Report(attrs.asdict(call.policy))
        self.spans: dict[str, list[tuple[float, str]]] = {name: [(0.0, getattr(call, name).state.name)] for name in RIBBONS}
        self.now_ms = 0.0
        self.speech_ms = 0.0
        self.texts: dict[str, str] = {}
        self.talking: tuple[float, str] | None = None
        self.lengths: dict[str, float] = {}
        self.length_ms = 0.0
        self.turns: dict[str, tuple[float, float]] = {}
        self.quoted: dict[str, int] = {}
        self.wordless: dict[str, tuple[float, float, tuple[float, float]]] = {}
        """Answers that were cut before their words were known: when they were heard, and of how much how much."""
        self.timing = Timing()

    def tell(self, event: ev.Event, answer: Step[Call]) -> None:
        """One step."""
        before, self.call, self.now_ms = self.call, answer.snapshot, event.at_ms
        self.report.steps += 1
        self.timing.tell(before, event, answer)
        for row in answer.rows:
            if row.region in self.spans and row.then.target is not None:
                self.spans[row.region].append((event.at_ms, row.then.target.name))
        self._hear(before, event, answer)
        self._speak(before, event)
        for effect in answer.effects:
            self._ask(effect)

    def _hear(self, before: Call, event: ev.Event, answer: Step[Call]) -> None:
        """The caller's side."""
        report = self.report
        if cut_untold(before, event, answer):
            self.speech_ms = event.at_ms
        if barged_in(before, event, answer):
            self._barge_in(before)
        elif false_alarm(answer):
            report.false_alarms.append(event.at_ms)
            self._mark("false alarm", "false alarm", "the voice goes on")
        match event:
            case ev.LineOpened():
                report.line_ms = event.at_ms
            case ev.SpeechStarted():
                if before.interruption.state in (CLEAR, LOCKED):
                    self.speech_ms = event.at_ms
                if before.phase.state.name == "greeting_lock" and answer.snapshot.interruption.state is CLEAR:
                    report.ignored_speech.append(event.at_ms)
                    self._mark("ignored", "speech ignored", "the greeting is heard to its end")
            case ev.Transcribed(text=text, item_id=item) if text:
                start, end = self.turns.get(item, (self.speech_ms, event.at_ms))
                said = Said(start, max(start, end), "caller", text)
                if item and item in self.quoted:
                    # The server tells the turn again, with more of its words.
                    report.said[self.quoted[item]] = said
                else:
                    self.quoted[item] = len(report.said)
                    report.said.append(said)
            case ev.ResponseEnded(response_id=response_id) if response_id in report.cancels:
                self._outcome(report.cancels, response_id, type(event).__name__.removeprefix("Response").lower())
            case ev.CancelUnsent(response_id=response_id) if response_id in report.cancels:
                self._outcome(report.cancels, response_id, "not sent")
            case ev.SynthesisCancelAnswered(session_id=session_id, outcome=outcome):
                self._outcome(report.synthesis_cancels, session_id, outcome)
            case ev.ErrorReceived(code=code):
                self._mark("error", code, "an error of the server")
            case _:
                pass
        if isinstance(event, ev.SpeechStarted) and event.item_id:
            self.turns[event.item_id] = (event.at_ms, event.at_ms)
        elif isinstance(event, ev.SpeechStopped) and event.item_id in self.turns:
            self.turns[event.item_id] = (self.turns[event.item_id][0], event.at_ms)

    def _speak(self, before: Call, event: ev.Event) -> None:
        """The agent's side."""
        match event:
            case ev.SentenceSynthesised(session_id=session_id, audio_ms=audio_ms):
                self.lengths[session_id] = audio_ms
            case ev.SentenceStarted(session_id=session_id):
                self._hush(whole=True)
                self.length_ms = self.lengths.get(session_id, 0.0)
                self.talking = (event.at_ms, self.texts.get(session_id, ""))
            case ev.ResponseTranscribed(response_id=response_id, text=text) if (
                self._speaks_itself(before) and before.playout.id == response_id
            ):
                self.talking = (self.talking[0] if self.talking else event.at_ms, text)
            case ev.ResponseTranscribed(response_id=response_id, text=text) if response_id in self.wordless:
                start, end, heard = self.wordless.pop(response_id)
                self.report.said.append(Said(start, end, "agent", _heard(text, *heard)))
            case ev.PlayoutStopped(response_id=response_id, played_ms=played_ms, received_ms=received_ms) if (
                self._speaks_itself(before) and self.talking is not None
            ):
                (start, text), self.talking = self.talking, None
                if text and played_ms > 0:
                    self.report.said.append(Said(start, self.now_ms, "agent", _heard(text, played_ms, received_ms)))
                elif played_ms > 0:
                    self.wordless[response_id] = (start, self.now_ms, (played_ms, received_ms))
            case ev.AudioArrived() if self._speaks_itself(before):
                self._hush()
                self.talking = (event.at_ms, "")
            case ev.PlayoutFinished():
                self._hush(whole=True)
            case ev.PlayoutStopped() | ev.Ending():
                self._hush()
            case ev.ResponseCreated():
                self.report.responses += 1
            case _:
                pass

    @staticmethod
    def _speaks_itself(call: Call) -> bool:
        return call.policy.voice == "realtime"

    def _ask(self, effect: fx.Effect) -> None:
        report = self.report
        match effect:
            case fx.CancelResponse(response_id=response_id):
                report.cancels[response_id] = Cancel(self.now_ms, response_id, "unconfirmed")
                self._mark("cancel", "cancel response", response_id)
            case fx.Synthesise(session_id=session_id, text=text):
                self.texts[session_id] = text
            case fx.CancelSynthesis(session_id=session_id):
                report.synthesis_cancels[session_id] = Cancel(self.now_ms, session_id, "unanswered")
                self._mark("synthesis cancel", "cancel synthesis", session_id)
            case fx.TruncateItem(item_id=item_id, audio_end_ms=audio_end_ms):
                self._mark("truncate", "truncate", f"{item_id} to {audio_end_ms} ms")
            case fx.DeleteItem(item_id=item_id):
                self._mark("truncate", "forget", item_id)
            case fx.HangUp(reason=reason):
                self._mark("hang-up", "hang up", reason.value)
            case fx.TellEnded(reason=reason, detail=detail):
                report.ended = reason.value + (f": {detail}" if detail else "")
            case _:
                pass

    def _barge_in(self, before: Call) -> None:
        generated = before.response.state.name == "in_progress" and before.response.id == before.playout.id
        sentence = "the next sentence was in synthesis" if before.synthesis.state.name == "synthesising" else "a response was heard"
        during = sentence if generated else f"{sentence}, after response.done"
        old = self.old_audio(self.speech_ms, before.playout.id) if self.old_audio else None
        self.report.barge_ins.append(BargeIn(self.speech_ms, self.now_ms, before.playout.id, during, old))
        heard = "" if old is None else f": {old:.0f} ms of old audio"
        self.report.markers.append(Marker(self.speech_ms, "barge-in", f"barge-in{heard}", during))

    def _hush(self, *, whole: bool = False) -> None:
        if self.talking is not None:
            start, text = self.talking
            text = text if whole else _heard(text, self.now_ms - start, self.length_ms)
            if text:
                self.report.said.append(Said(start, max(start, self.now_ms), "agent", text))
            self.talking = None

    def _mark(self, kind: str, label: str, detail: str) -> None:
        self.report.markers.append(Marker(self.now_ms, kind, label, detail))

    @staticmethod
    def _outcome(cancels: dict[str, Cancel], key: str, outcome: str) -> None:
        if key in cancels:
            cancels[key] = attrs.evolve(cancels[key], outcome=outcome)

    def finish(self) -> Report:
        """The call is told."""
        self._hush()
        self.report.said.sort(key=lambda said: said.start_ms)
        self.timing.finish()
        self.report.waits, self.report.interruptions = self.timing.waits, self.timing.interruptions
        self.report.duration_ms = self.now_ms
        self.report.ribbons = tuple(self._ribbon(name, spans) for name, spans in self.spans.items() if len(spans) > 1)
        return self.report

    def _ribbon(self, name: str, spans: list[tuple[float, str]]) -> Ribbon:
        ends = [at_ms for at_ms, _ in spans[1:]] + [self.now_ms]
        drawn = [Span(start, end, state) for (start, state), end in zip(spans, ends, strict=True) if state != OVER.name and end > start]
        return Ribbon(name, tuple(_merged(drawn)))


def _heard(text: str, heard_ms: float, length_ms: float) -> str:
    """The words of a sentence that were heard, if it was cut: as many as its time allows."""
    if length_ms <= 0 or heard_ms >= 0.95 * length_ms:
        return text
    words = text.split()
    return " ".join(words[: max(1, round(len(words) * heard_ms / length_ms))]) + " —"


def _merged(spans: list[Span]) -> list[Span]:
    """Spans of one state that touch are one span."""
    merged: list[Span] = []
    for span in spans:
        if merged and merged[-1].state == span.state:
            merged[-1] = attrs.evolve(merged[-1], end_ms=span.end_ms)
        else:
            merged.append(span)
    return merged


def _outcomes(cancels: dict[str, Cancel]) -> str:
    counts: dict[str, int] = {}
    for cancel in cancels.values():
        counts[cancel.outcome] = counts.get(cancel.outcome, 0) + 1
    return ", ".join(f"{count} {outcome}" for outcome, count in counts.items()) or "none"
