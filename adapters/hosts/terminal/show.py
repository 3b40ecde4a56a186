"""A call on the terminal while it happens: phases, who says what, each barge-in and cancel; a `Watch` that only prints."""

from collections.abc import Callable

from rich.console import Console
from rich.text import Text

from adapters.seam.errors import without_key
from adapters.seam.wellformed import printable
from adapters.telling.steps import Faults, barged_in, cut_untold, false_alarm
from fsm.call import effects as fx, events as ev
from fsm.call.snapshot import Call
from fsm.engine.machine import Step

STYLES = {
    "greeting_lock": "magenta",
    "listening": "green",
    "ai_speaking": "blue",
    "cancelling": "red",
    "closing": "yellow",
    "closed": "yellow",
}


class Show:
    """Prints a call line by line; `old_audio` answers how many ms of old sound were played since a time in ms."""

    def __init__(self, console: Console, call: Call, old_audio: Callable[[float, str], float | None], key: str | None = None) -> None:
        self._key = key
        self._console = console
        self._call = call
        self._old_audio = old_audio
        self._speech_ms = 0.0
        self._texts: dict[str, str] = {}
        self._faults = Faults()

    def __call__(self, event: ev.Event, answer: Step[Call]) -> None:
        """One step."""
        before, self._call = self._call, answer.snapshot
        self._events(before, event)
        if cut_untold(before, event, answer):
            self._speech_ms = event.at_ms
        if barged_in(before, event, answer):
            self._barge_in(before, event, "cancelled by the server" if isinstance(event, ev.ResponseCancelled) else "decided")
        elif false_alarm(answer):
            self._note(event, "false alarm: the voice goes on", "yellow")
        for log, words in self._faults.warnings(event, answer):
            self._note(event, f"{log.level.value}: {log.code} {words}".rstrip(), "yellow")
        for effect in answer.effects:
            self._effect(event, effect)
        if before.phase.state is not self._call.phase.state or before.response.state is not self._call.response.state:
            self._states(event)

    def _states(self, event: ev.Event) -> None:
        phase, response = self._call.phase.state.name, self._call.response.state.name
        line = Text(f"{phase:<14}", style=f"bold {STYLES[phase]}")
        line.append(f"response {response}" if response != "over" else "", style="dim")
        self._print(event.at_ms, line)

    def _events(self, before: Call, event: ev.Event) -> None:
        match event:
            case ev.Transcribed(text=text) if text:
                self._say(event, "caller", text)
            case ev.SentenceStarted(session_id=session_id):
                self._say(event, "agent", self._texts.pop(session_id, ""))
            case ev.ResponseTranscribed(text=text) if text and before.policy.voice == "realtime":
                self._say(event, "agent", text)
            case ev.SpeechStarted():
                self._speech_ms = event.at_ms
                if before.phase.state.name == "greeting_lock" and self._call.interruption.state.name == "clear":
                    self._note(event, "the caller speaks; the greeting is protected", "dim")
            case ev.SynthesisCancelAnswered(session_id=session_id, outcome=outcome):
                self._note(event, f"synthesis cancel of {session_id}: {outcome}", "red")
            case ev.ResponseEnded(response_id=response_id) if before.response.state.name == "cancel_in_flight":
                if response_id == before.response.id:
                    self._note(event, f"cancel of {response_id}: {type(event).__name__.removeprefix('Response').lower()}", "red")
            case _:
                pass

    def _barge_in(self, before: Call, event: ev.Event, decided: str) -> None:
        old = self._old_audio(self._speech_ms, before.playout.id)
        heard = "" if old is None else f" {old:.0f} ms of old audio after speech_started,"
        self._note(event, f"BARGE-IN:{heard} {decided} after {event.at_ms - self._speech_ms:.0f} ms", "bold red")

    def _effect(self, event: ev.Event, effect: fx.Effect) -> None:
        match effect:
            case fx.CancelResponse(response_id=response_id):
                self._note(event, f"cancel response {response_id}", "red")
            case fx.Synthesise(session_id=session_id, text=text):
                self._texts[session_id] = " ".join(text.split())
            case fx.CancelSynthesis(session_id=session_id):
                self._note(event, f"cancel synthesis {session_id}", "red")
            case fx.TruncateItem(audio_end_ms=audio_end_ms):
                self._note(event, f"the model is told that {audio_end_ms} ms were heard", "dim")
            case fx.TellEnded(reason=reason, detail=detail):
                self._note(event, f"the call ends: {reason.value}" + (f" ({detail})" if detail else ""), "bold yellow")
            case _:
                pass

    def _say(self, event: ev.Event, who: str, text: str) -> None:
        self._print(
            event.at_ms,
            Text.assemble((f"{who:>14}  ", "bold cyan" if who == "caller" else "bold blue"), (printable(without_key(text, self._key)), "")),
        )

    def _note(self, event: ev.Event, text: str, style: str) -> None:
        self._print(event.at_ms, Text(" " * 16 + printable(without_key(text, self._key)), style=style))

    def _print(self, at_ms: float, line: Text) -> None:
        self._console.print(Text.assemble((f"{at_ms / 1000:7.2f} s  ", "dim"), line), soft_wrap=True)
