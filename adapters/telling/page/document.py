"""One call as one JSON document: what a page needs to show it at any moment, folded from its trace or told step by step as it happens.

    tables   the tables (`tables.py`): the same for every call
    call     its id, its policy, and the fields of every region's record at its start
    steps    one each: `at` (ms of the call's clock), the event and its fields; `rows`: the number of the row that fired in each region, for
             the event and then for each signal in `signals`; the effects; `moves`: what changed in the records. And what is told of it so
             far: `marks`, `said`, `waits`, and `barge` with its number
    end      the length, the figures, whether the trace is whole
    sound    how loud both sides were every 10 ms, and the sound itself if it is small enough (`sound.py`); or None

A page folds `moves` and `rows` as they come, so the same page shows a call that goes on.
"""

from collections.abc import Iterable, Iterator
from typing import Any

import attrs

from adapters.telling.latency import Interruption, Wait
from adapters.telling.page.plain import HIDDEN, Plain, Redacted
from adapters.telling.page.tables import tables
from adapters.telling.report import OldAudio, Report, Teller
from adapters.telling.trace import Trace
from fsm.call import events as ev
from fsm.call.machine import CALL
from fsm.call.snapshot import Call
from fsm.engine.machine import Step
from fsm.engine.notation import Row

FORMAT = 1
REGIONS = tuple(region.name for region in CALL.regions)
PUBLIC_FIGURES = frozenset({"length", "responses", "barge-ins", "answer time", "old audio after speech, worst"})


class Telling:
    """A call told step by step; `redact` leaves out words, numbers and ids."""

    def __init__(self, call: Call, old_audio: OldAudio | None = None, *, redact: bool = False) -> None:
        self._plain = Redacted() if redact else Plain()
        self._redact = redact
        self._start = self._call = call
        self._teller = Teller(call, old_audio)
        self._told: dict[str, int] = {}
        self._barges: list[dict[str, Any]] = []

    @property
    def report(self) -> Report:
        """What is known so far."""
        return self._teller.report

    def head(self) -> dict[str, Any]:
        """The document without what has happened."""
        call = self._start
        return {
            "callfsm_page": FORMAT,
            "tables": tables(),
            "call": {
                "id": HIDDEN if self._redact else call.call_id,
                "redacted": self._redact,
                "policy": attrs.asdict(call.policy),
                "start": {name: self._plain.fields(getattr(call, name)) for name in REGIONS},
            },
        }

    def step(self, event: ev.Event, answer: Step[Call]) -> dict[str, Any]:
        """A step of the document."""
        before, self._call = self._call, answer.snapshot
        self._teller.tell(event, answer)
        raised = answer.signals
        fields = self._plain.fields(event)
        del fields["at_ms"]
        step: dict[str, Any] = {
            "at": event.at_ms,
            "event": type(event).__name__,
            "fields": fields,
            "rows": list(_by_region(answer.rows)),
            "signals": [signal.__name__ for signal in CALL.signals if signal in raised],
            "effects": [{"effect": type(effect).__name__, **self._plain.fields(effect)} for effect in answer.effects],
            "moves": self._moves(before, answer.snapshot),
        }
        return step | self._news()

    def end(self, whole: bool = True) -> dict[str, Any]:
        """The call is told: its last part, with the news since the last step."""
        report = self._teller.finish()
        figures = [(name, value) for name, value in report.figures() if not self._redact or name in PUBLIC_FIGURES]
        return {"ms": report.duration_ms, "line_ms": report.line_ms, "figures": figures, "whole": whole, **self._news()}

    def _moves(self, before: Call, after: Call) -> dict[str, Any]:
        """What changed in each region's record, by its name."""
        moves = {}
        for name in REGIONS:
            old, new = getattr(before, name), getattr(after, name)
            if old is not new:
                was, now = self._plain.fields(old), self._plain.fields(new)
                changed = {field: value for field, value in now.items() if was[field] != value}
                if changed:
                    moves[name] = changed
        return moves

    def _news(self) -> dict[str, Any]:
        """What has been told since the last time."""
        report, timing = self._teller.report, self._teller.timing
        news: dict[str, Any] = {}
        for name, told in (("marks", report.markers), ("said", report.said), ("waits", timing.waits)):
            fresh = told[self._told.get(name, 0) :]
            self._told[name] = len(told)
            if fresh:
                news[name] = [self._shown(one) for one in fresh]
        barges = [self._barge(one) for one in timing.interruptions]
        fresh_barges = [(number, one) for number, one in enumerate(barges) if self._barges[number : number + 1] != [one]]
        self._barges = barges
        return news | ({"barges": fresh_barges} if fresh_barges else {})

    def _shown(self, one: Any) -> dict[str, Any]:
        if isinstance(one, Wait):
            parts = [[name, round(ms, 1)] for name, ms in one.parts()]
            response = self._plain.text(one.response_id, "response_id")
            return {"kind": one.kind, "from": one.from_ms, "response": response, "answered": one.answered, "parts": parts}
        shown = attrs.asdict(one)
        if self._redact:
            shown |= {name: HIDDEN for name in ("text", "detail") if name in shown}
        return shown

    def _barge(self, one: Interruption) -> dict[str, Any]:
        return self._plain.fields(one)


def document_of(trace: Trace, old_audio: OldAudio | None = None, *, redact: bool = False) -> dict[str, Any]:
    """A recorded call as a document; `sound` is None, for whoever has it to fill in."""
    return told(Telling(trace.call, old_audio, redact=redact), ((event, answer) for event, answer, _ in trace.steps()), trace.whole)


def told(telling: Telling, steps: Iterable[tuple[ev.Event, Step[Call]]], whole: bool = True) -> dict[str, Any]:
    """The document of a call that takes these steps."""
    made = [telling.step(event, answer) for event, answer in steps]
    return {**telling.head(), "steps": made, "end": telling.end(whole), "sound": None}


def _by_region(rows: tuple[Row, ...]) -> Iterator[list[int]]:
    """The numbers of the rows that fired, the event's first and then each signal's, in the order of the regions."""
    for at in range(0, len(rows), len(REGIONS)):
        yield [row.declared for row in rows[at : at + len(REGIONS)]]
