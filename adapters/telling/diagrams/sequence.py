"""A barge-in as a sequence diagram: a scripted interruption run through the very machine, and its answers; it decides nothing of a call.

The script says what the world does and when; deadlines pass by themselves, as in a call.
"""

from collections.abc import Iterator
from typing import Any

import attrs

from fsm.call import effects as fx, events as ev
from fsm.call.policy import Policy
from fsm.call.snapshot import Call, start
from fsm.engine.machine import Machine
from fsm.engine.notation import Row

CALLER, MODEL, CORE, DEVICE, VOICE = "Caller", "Model", "Core", "Device", "Chatterbox"
NAMES = {
    CALLER: "Caller",
    MODEL: "Realtime LLM<br/>and its VAD",
    CORE: "callfsm<br/>pure core",
    DEVICE: "Audio device",
    VOICE: "Chatterbox",
}
FROM: dict[type[ev.Event], str] = {
    ev.ModelEvent: MODEL,
    ev.CallerEvent: MODEL,
    ev.DeviceEvent: DEVICE,
    ev.LineEvent: DEVICE,
    ev.SentenceEvent: VOICE,
    ev.Expired: CORE,
}
"""Who tells of each family of events: the VAD that owns the turn stands beside the model."""
TO: dict[type[fx.Effect], str] = {
    **dict.fromkeys((fx.Admit, fx.Hold, fx.Resume, fx.Flush, fx.Retire, fx.HangUp), DEVICE),
    **dict.fromkeys(
        (
            fx.OpenSession,
            fx.ConfigureSession,
            fx.ProtectResponse,
            fx.ReleaseResponse,
            fx.CommitTurn,
            fx.CreateResponse,
            fx.CancelResponse,
            fx.AddEntry,
        ),
        MODEL,
    ),
    **dict.fromkeys((fx.TruncateItem, fx.RewriteItem, fx.DeleteItem, fx.SendToolResult, fx.CloseSession), MODEL),
    **dict.fromkeys((fx.Synthesise, fx.CancelSynthesis), VOICE),
}
"""Who carries out each effect."""
UNDRAWN = (fx.Log, fx.RunTool, fx.TellEnded)
"""Effects that go to the application."""
TOLD = ("phase", "playout", "interruption", "response", "truncation")
"""The regions whose changes are noted beside the arrows."""
POLICY = Policy(greeting=False)
"""An agent that waits for its caller: the sequence is about the interruption."""


@attrs.frozen
class Moment:
    """One step of the run: the call before it, its event, its rows, its effects, and the states that it changed (region, from, to)."""

    before: Call
    event: ev.Event
    rows: tuple[Row, ...]
    effects: tuple[fx.Effect, ...]
    changes: tuple[tuple[str, str, str], ...]


def barge_in(machine: Machine[Call]) -> tuple[Moment, ...]:
    """The moments of the interruption, from the caller's first sound to the answer that follows it."""
    moments = tuple(_run(machine, start(POLICY, "call"), _script()))
    first = next(number for number, moment in enumerate(moments) if any(isinstance(effect, fx.Hold) for effect in moment.effects))
    return moments[first:]


def mermaid_sequence(machine: Machine[Call]) -> str:
    """The barge-in as a Mermaid sequence diagram."""
    lines = ["sequenceDiagram", "    autonumber"]
    lines += [f"    {'actor' if who == CALLER else 'participant'} {who} as {name}" for who, name in NAMES.items()]
    moments = barge_in(machine)
    first = moments[0]
    at_first = "<br/>".join(f"{region}: {getattr(first.before, region).state.name}" for region in TOLD)
    lines.append(f"    Note over {CORE}: {at_first}")
    for moment in moments:
        lines += [f"    {line}" for line in _drawn(moment, first.event.at_ms)]
    return "\n".join(lines) + "\n"


def _script() -> tuple[ev.Event, ...]:
    """What the world does: a call is set up, a turn is answered in two sentences, and the caller interrupts the first."""
    answer, item = "resp_1", "item_a1"
    return (
        ev.LineOpened(100),
        ev.VadCalibrated(200),
        ev.SessionOpened(300),
        ev.SessionConfirmed(400),
        ev.SpeechStarted(1_000, "item_u1"),
        ev.SpeechStopped(2_000, "item_u1", 1_000),
        ev.TurnCommitted(2_010, "item_u1"),
        ev.ResponseCreated(2_100, answer),
        ev.SentenceCut(2_300, answer, 1, "Your table is booked for eight.", item),
        ev.SentenceCut(2_500, answer, 2, "Shall I send a confirmation?", item),
        ev.AudioArrived(3_000, answer, item),
        ev.SentenceSynthesised(3_010, f"call.{answer}.1", 1_900),
        ev.PlayoutProgressed(3_020, answer, 0),
        ev.SentenceStarted(3_030, f"call.{answer}.1"),
        ev.PlayoutProgressed(3_520, answer, 500),
        ev.PlayoutProgressed(4_020, answer, 1_000),
        ev.SpeechStarted(4_200, "item_u2"),
        ev.PlayoutStopped(4_352, answer, 1_180, 1_900),
        ev.SynthesisCancelAnswered(4_380, f"call.{answer}.2", "acknowledged"),
        ev.ResponseCancelled(4_450, answer, "client_cancelled"),
        ev.SpeechStopped(5_400, "item_u2", 1_200),
        ev.TurnCommitted(5_410, "item_u2"),
        ev.ResponseCreated(5_500, "resp_2"),
    )


def _run(machine: Machine[Call], call: Call, script: tuple[ev.Event, ...]) -> Iterator[Moment]:
    """Step through the script; deadlines that have passed come first, at the moment at which they pass."""
    for told in script:
        while (due := machine.due_ms(call)) <= told.at_ms:
            call, moment = _step(machine, call, machine.expiry(call, due))
            yield moment
        call, moment = _step(machine, call, told)
        yield moment


def _step(machine: Machine[Call], call: Call, event: Any) -> tuple[Call, Moment]:
    answer = machine.step(call, event)
    changes = []
    for region in machine.regions:
        before, after = getattr(call, region.name).state, getattr(answer.snapshot, region.name).state
        if before is not after:
            changes.append((region.name, before.name, after.name))
    return answer.snapshot, Moment(call, event, answer.rows, answer.effects, tuple(changes))


def _drawn(moment: Moment, since_ms: float) -> list[str]:
    """A moment's arrows: the event and when it came after the first, what it asks for in order, and what it changes."""
    event = moment.event
    drawn = [effect for effect in moment.effects if not isinstance(effect, UNDRAWN)]
    told = [f"{region}: {before} → {after}" for region, before, after in moment.changes if region in TOLD]
    if isinstance(event, ev.Expired) and not drawn and not told:
        return []
    lines = []
    if isinstance(event, ev.SpeechStarted | ev.SpeechStopped):
        spoken = "speaks over the agent" if isinstance(event, ev.SpeechStarted) else "falls silent"
        lines.append(f"{CALLER}-->>{MODEL}: {spoken}")
    source = next(who for family, who in FROM.items() if isinstance(event, family))
    lines.append(f"{source}->>{CORE}: {_words(event)} ({event.at_ms - since_ms:g} ms)")
    signals = dict.fromkeys(signal.__name__ for row in moment.rows for signal in row.then.signals)
    if signals:
        lines.append(f"Note over {CORE}: {', '.join(signals)}")
    lines += [f"{CORE}->>{TO[type(effect)]}: {_words(effect)}" for effect in drawn]
    if told:
        lines.append(f"Note over {CORE}: {'<br/>'.join(told)}")
    return lines


def _words(thing: Any) -> str:
    """An event or effect by its name and what it says; the time of an event is told in milliseconds."""
    said = [
        str(getattr(thing, field.name))
        for field in attrs.fields(type(thing))
        if field.name not in ("at_ms", "epoch", "instructions", "reason")
    ]
    if isinstance(thing, ev.PlayoutStopped):
        said = [thing.response_id, f"played {thing.played_ms:g} of {thing.received_ms:g} ms"]
    if isinstance(thing, ev.ResponseEnded):
        said = [thing.response_id]
    if isinstance(thing, fx.TruncateItem):
        said = [thing.item_id, f"at {thing.audio_end_ms} ms"]
    return f"{type(thing).__name__} {', '.join(part for part in said if part)}".strip()
