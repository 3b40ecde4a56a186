"""What may happen next in the world: what a strict server, device, caller and application may do in their state, and declared faults.

A fault is something that no strict part does: late, twice, out of order, of an unknown id. A plan says how many a path may hold.
"""

from collections.abc import Iterator
from typing import NamedTuple

from adapters.proof.verify.plans import Plan
from adapters.proof.world import Answer, Device, Sound, World, is_past
from fsm.call import events as ev
from fsm.call.guards import ACTIVE_ALREADY

SOON, NOW, LATE, DUE = 50.0, 100.0, 9_000.0, 10_000.0
"""When events happen: a plain snapshot's debts are of 0, 1, 2, … ms, and its deadlines run until `DUE`."""
ASLEEP = DUE + 600_000.0
"""When a deadline is answered by a machine that slept meanwhile."""
SOUND_MS = 900.0


class Happening(NamedTuple):
    """Something that may happen; `fault` is 1 for what no strict part does; `by_itself`: a response that the server makes unasked."""

    event: ev.Event
    fault: int = 0
    by_itself: bool = False


def happenings(world: World, plan: Plan, known: tuple[str, ...]) -> Iterator[Happening]:
    """All that may happen from outside; `known` are response ids that the call remembers."""
    if "takeup" in plan.parts:
        yield Happening(ev.OwnershipLost(NOW), 1)
    if world.told:
        if not world.closed:
            yield Happening(ev.LineClosed(NOW))
            yield Happening(ev.CallerHungUp(NOW))
        return
    if "takeup" in plan.parts:
        yield from _taken_up(world, plan)
    yield from _line_and_session(world, plan)
    if world.confirmed:
        yield from _responses(world, plan, known)
    yield from _caller(world, plan)
    yield from _device(world, plan)
    yield from _application(world, plan)


def _line_and_session(world: World, plan: Plan) -> Iterator[Happening]:
    yield Happening(ev.CallerHungUp(NOW))
    if not world.line:
        yield Happening(ev.LineOpened(NOW))
    if not world.opened:
        yield Happening(ev.SessionOpened(NOW), int(world.configured))
    elif world.configured and not world.confirmed:
        yield Happening(ev.SessionConfirmed(NOW))
        yield Happening(ev.SessionRefused(NOW, "boom"), 1)
    if "faults" in plan.parts:
        yield Happening(ev.ReceiverFailed(NOW, "boom"), 1)
        yield Happening(ev.DeviceFailed(NOW, "boom"), 1)
        if world.confirmed:
            yield Happening(ev.SessionConfirmed(NOW), 1)
            yield Happening(ev.ErrorReceived(NOW, "boom"), 1)
            yield Happening(ev.ErrorReceived(NOW, ACTIVE_ALREADY), 1)
            yield Happening(ev.CancelRefused(NOW, "r99", "response_cancel_not_active"), 1)
            yield Happening(ev.CancelRefused(NOW, "r99", "boom"), 1)
            if world.asked is None:
                yield Happening(ev.CreateRefused(NOW, "boom"), 1)
    if "outage" in plan.parts:
        yield Happening(ev.SessionLost(NOW, "1006"), 1)


def _taken_up(world: World, plan: Plan) -> Iterator[Happening]:
    """The process dies and another goes on, told the least that may have been heard or the most, and no tool to be run again or all."""
    open_accounts = [answer for answer in world.answers if answer.audible or answer.device is Device.FLUSHED]
    told = [list(_stopped(answer, plan)) for answer in open_accounts]
    for heard in dict.fromkeys((tuple(every[0] for every in told), tuple(every[-1] for every in told))):
        yield Happening(ev.TakenUp(NOW, heard), 1)
    if world.running:
        known = [tool.id for tool in world.tools if tool.how in ("runs", "answered")]
        ran = tuple(ev.ToolCalled(NOW, tool, "look_up", "{}") for tool in known)
        yield Happening(ev.TakenUp(NOW, tuple(every[-1] for every in told), ran), 1)


def _responses(world: World, plan: Plan, known: tuple[str, ...]) -> Iterator[Happening]:
    """What the server tells of its responses."""
    there = [int(answer.id[1:]) for answer in world.answers] + [int(name[1:]) for name in known]
    new = f"r{max(there, default=0) + 1}"
    living = [answer for answer in world.answers if answer.live]
    room = sum(not is_past(answer) for answer in world.answers) < plan.responses
    if not living and room:
        if world.asked is not None:
            yield Happening(ev.ResponseCreated(NOW, new), by_itself=world.asked.crossed)
        if world.auto is not None:
            yield Happening(ev.ResponseCreated(NOW, new), by_itself=True)
        elif "unasked" in plan.parts:
            yield Happening(ev.ResponseCreated(NOW, new), 1, by_itself=True)
    elif room and world.asked is None and "unasked" in plan.parts:
        yield Happening(ev.ResponseCreated(NOW, new), 1, by_itself=True)
    if world.asked is not None:
        yield Happening(ev.CreateRefused(NOW, "boom"), 1)
        if "faults" in plan.parts:
            yield Happening(ev.CreateRefused(NOW, "insufficient_quota"), 1)
        if living or world.asked.crossed:
            yield Happening(ev.CreateRefused(NOW, ACTIVE_ALREADY))
    for answer in world.answers:
        if answer.live:
            yield from _life(world, plan, answer)
        else:
            yield from _afterlife(plan, answer)
    if "twice" in plan.parts:
        for name in known:
            yield Happening(ev.ResponseCompleted(NOW, name), 1)
        for name in (*known, *[answer.id for answer in world.answers]):
            yield Happening(ev.ResponseCreated(NOW, name), 1)
        yield Happening(ev.ResponseCompleted(NOW, "r99"), 1)
        yield Happening(ev.AudioArrived(NOW, "r99", "r99.a"), 1)


def _life(world: World, plan: Plan, answer: Answer) -> Iterator[Happening]:
    name = answer.id
    item = f"{name}.a"
    told = [known.name for known in answer.items]
    if "memory" in plan.parts and item not in told:
        yield Happening(ev.ItemAdded(NOW, name, item))
    if plan.policy.voice == "realtime":
        if answer.sound is Sound.NONE or (answer.sound is Sound.OUT and "progress" in plan.parts):
            yield Happening(ev.AudioArrived(NOW, name, item))
        elif "items" in plan.parts and f"{name}.b" not in told:
            yield Happening(ev.AudioArrived(NOW, name, f"{name}.b"))
            if not answer.cancelled:
                yield Happening(ev.ItemAdded(NOW, name, f"{name}.b"))
    elif len(answer.sentences) < plan.sentences:
        number = len(answer.sentences) + 1
        last = answer.sentences[-1].item[-1] if answer.sentences else "a"
        yield Happening(sentence(name, number, "b" if "items" in plan.parts and number > 1 and not answer.cancelled else last))
    if "mute" in plan.parts and answer.sound is Sound.NONE and not answer.words:
        yield Happening(ev.TextArrived(NOW, name))
    if "whole" in plan.parts and not answer.whole and (answer.sound or answer.sentences):
        yield Happening(ev.ItemsDone(NOW, name))
    if "tools" in plan.parts:
        most = plan.policy.tools_at_once
        for tool in (f"{name}.t", f"{name}.s", f"{name}.q")[: most + ("twice" not in plan.parts)]:
            if world.tool(tool) is None or "twice" in plan.parts:
                yield Happening(ev.ToolCalled(NOW, tool, "look_up", "{}", name), int(world.tool(tool) is not None))
    if "goodbye" in plan.parts and not world.bye:
        yield Happening(ev.GoodbyeSaid(NOW, name))
    if "listens" in plan.parts and not answer.asks:
        yield Happening(ev.QuestionAsked(NOW, name))
    yield Happening(ev.ResponseCompleted(NOW, name))
    cuts_in = plan.policy.interrupts == "server" and world.rights and world.speaking
    yield Happening(ev.ResponseCancelled(NOW, name, "" if answer.cancelled else "turn_detected"), int(not (answer.cancelled or cuts_in)))
    if "opening" in plan.parts and not answer.cancelled:
        yield Happening(ev.ResponseCancelled(NOW, name, "client_cancelled"), 1)
    yield Happening(ev.ResponseFailed(NOW, name, "boom"), 1)
    if "faults" in plan.parts:
        yield Happening(ev.ResponseIncomplete(NOW, name, "content_filter"), 1)
        yield Happening(ev.ResponseFailed(NOW, name, "insufficient_quota"), 1)
        yield Happening(ev.ResponseFailed(NOW, name, "rate_limit_exceeded", 2_000.0), 1)
    if answer.cancelled and "faults" in plan.parts:
        yield Happening(ev.CancelUnsent(NOW, name), 1)


def sentence(response_id: str, number: int, item: str = "a") -> ev.SentenceCut:
    """A sentence of three words."""
    return ev.SentenceCut(NOW, response_id, number, f"one{number} two{number} three{number}", f"{response_id}.{item}")


def _afterlife(plan: Plan, answer: Answer) -> Iterator[Happening]:
    """What may still come of a response that has ended: transcripts are late by nature, all else is a fault."""
    name = answer.id
    if "goodbye" in plan.parts:
        yield Happening(ev.GoodbyeSaid(NOW, name))
    if "late" in plan.parts:
        if answer.device is not Device.ADMITTED:
            yield Happening(ev.PlayoutProgressed(NOW, name, 20.0), 1)
            yield Happening(ev.PlayoutFinished(NOW, name, SOUND_MS), 1)
        if plan.policy.voice == "realtime":
            yield Happening(ev.AudioArrived(NOW, name, f"{name}.a"), 1)
            yield Happening(ev.AudioArrived(NOW, name), 1)
        if "memory" in plan.parts and not answer.items:
            yield Happening(ev.ItemAdded(NOW, name, f"{name}.a"), 1)
        if "tools" in plan.parts:
            yield Happening(ev.ToolCalled(NOW, f"{name}.t", "look_up", "{}", name), 1)
    if "twice" in plan.parts:
        yield Happening(ev.ResponseCancelled(NOW, name), 1)
        yield Happening(ev.CancelUnsent(NOW, name), 1)


def _caller(world: World, plan: Plan) -> Iterator[Happening]:
    if "speech" in plan.parts:
        new = new_turn(world, plan)
        local = plan.policy.turns == "local"
        hears = world.confirmed or local
        item = "" if local else new
        if not world.speaking and hears:
            yield Happening(ev.SpeechStarted(NOW, item))
        if world.speaking and hears:
            yield Happening(ev.SpeechStopped(NOW, item))
            least_ms = plan.policy.interruption_min_ms
            for spoken_ms in (least_ms, least_ms + plan.policy.echo_window_ms):
                yield Happening(ev.SpeechStopped(NOW, item, float(spoken_ms)))
            if plan.policy.interruption_by == "detector" and "speech" in plan.parts:
                yield Happening(ev.BargeInDetected(NOW))
                yield Happening(ev.VoicePaused(NOW))
        if world.confirmed and (world.committing if local else world.stopped):
            yield Happening(ev.TurnCommitted(NOW, new))
        if local and world.committing:
            yield Happening(ev.CommitRefused(NOW, "input_audio_buffer_commit_empty"))
        if "twice" in plan.parts and world.confirmed:
            if world.turn:
                yield Happening(ev.TurnCommitted(NOW, world.turn), 1)
                yield Happening(ev.SpeechStopped(NOW, world.turn), 1)
            yield Happening(ev.TurnCommitted(NOW, new), 1)
            yield Happening(ev.SpeechStopped(NOW, new), 1)
    elif "turns" in plan.parts and world.confirmed:
        yield Happening(ev.TurnCommitted(NOW, new_turn(world, plan)))
    if "listens" in plan.parts and ("turn" in world.owed or world.stopped) and not world.early:
        yield Happening(ev.BackchannelHeard(NOW, world.turn))
    if "listens" in plan.parts and world.turn:
        yield Happening(ev.BackchannelHeard(NOW, "u0"), 1)
    if "listens" in plan.parts and (world.doubt or (world.awaited and world.turn)):
        yield Happening(ev.Transcribed(NOW, "u0", ""), 1)
        yield Happening(ev.Transcribed(NOW, world.turn, "words"))
        yield Happening(ev.Transcribed(NOW, world.turn, ""))
        yield Happening(ev.Transcribed(NOW, world.turn, "mm-hm", True))
    if "keys" in plan.parts:
        yield Happening(ev.DigitPressed(NOW, "1"))
        yield Happening(ev.DigitPressed(NOW, "#"))
    if "dismiss" in plan.parts and ("turn" in world.owed):
        yield Happening(ev.TurnDismissed(NOW))
    if "opening" in plan.parts:
        yield Happening(ev.VadCalibrated(NOW))


def new_turn(world: World, plan: Plan) -> str:
    """The next turn's item; where no turn is told twice nor named again, its name is nothing that anyone asks for."""
    if not plan.parts & {"twice", "listens"}:
        return ""
    return f"u{int(world.turn[1:]) + 1}" if world.turn else "u1"


def _device(world: World, plan: Plan) -> Iterator[Happening]:
    front = world.front
    if front is not None and not world.held:
        if front.sound is Sound.CAME or (front.sound is Sound.HEARD and "progress" in plan.parts):
            yield Happening(ev.PlayoutProgressed(NOW, front.id, 20.0))
        if front.sound is Sound.NONE and "progress" in plan.parts:
            yield Happening(ev.PlayoutProgressed(NOW, front.id, 20.0), 1)
        if front.sound is Sound.HEARD:
            if "progress" in plan.parts:
                yield Happening(ev.QueueEmptied(NOW, front.id))
            yield Happening(ev.PlayoutFinished(NOW, front.id, SOUND_MS))
            if "turn" in world.owed | world.optional and "listens" in plan.parts:
                yield Happening(ev.PlayoutFinished(LATE, front.id, SOUND_MS))
        if front.sound:
            yield from _begins(front)
    for answer in world.answers:
        first = answer.sentences[0] if answer.sentences else None
        if answer.audible and not world.held and answer.sound is Sound.NONE and first is not None and first.audio_ms:
            yield Happening(ev.AudioArrived(NOW, answer.id, first.item))
    if "memory" in plan.parts:
        for answer in world.answers:
            if answer.device is Device.FLUSHED:
                yield from map(Happening, _stopped(answer, plan))
                yield from _begins(answer)
    if "late" in plan.parts and plan.policy.voice == "chatterbox":
        yield Happening(ev.SynthesisCancelAnswered(NOW, "call.r99.1", "acknowledged"), 1)
        yield Happening(ev.SynthesisDiscarded(NOW, "call.r99.1"), 1)
    if world.synthesis:
        session = world.synthesis
        yield Happening(ev.SentenceSynthesised(NOW, session, SOUND_MS))
        yield Happening(ev.SynthesisFailed(NOW, session, "boom"), 1)
        yield Happening(ev.SynthesisDiscarded(NOW, session), 1)


def _begins(answer: Answer) -> Iterator[Happening]:
    """The next sentence of a response is heard; its flush may be on its way."""
    ahead = [one.session for one in answer.sentences if one.ahead][:1]
    yield from (Happening(ev.SentenceStarted(NOW, one, SOUND_MS * max(0, int(one.rpartition(".")[2]) - 1))) for one in ahead)


def _stopped(answer: Answer, plan: Plan) -> Iterator[ev.PlayoutStopped]:
    """What the device may say of a flushed response: nothing of it was heard, a part, or all."""
    came = [item.name for item in answer.items if item.came]
    if plan.policy.voice == "chatterbox":
        synthesised = [sentence for sentence in answer.sentences if sentence.audio_ms]
        begun = [sentence.from_ms for sentence in answer.sentences if sentence.from_ms is not None]
        received = SOUND_MS * len(synthesised)
        played = [0.0] if not begun else [begun[-1] + 400.0, begun[-1] + SOUND_MS]
        for played_ms in played:
            yield ev.PlayoutStopped(NOW, answer.id, played_ms, received)
        return
    if not came:
        yield ev.PlayoutStopped(NOW, answer.id, 0.0, 0.0)
        return
    received = SOUND_MS * len(came)
    played = [at * SOUND_MS + part for at in range(len(came)) for part in (0.0, 1.0)]
    most = {Sound.CAME: played[:2], Sound.HEARD: [*played[1:], received], Sound.OUT: [received]}.get(answer.sound, [0.0])
    for played_ms in most:
        items = tuple(ev.Heard(name, 0, min(max(0.0, played_ms - at * SOUND_MS), SOUND_MS), SOUND_MS) for at, name in enumerate(came))
        yield ev.PlayoutStopped(NOW, answer.id, played_ms, received, items)


def _application(world: World, plan: Plan) -> Iterator[Happening]:
    if "greeting" in plan.parts and "greeting" in world.owed:
        yield Happening(ev.GreetingPrepared(NOW))
    if "notices" in plan.parts:
        for text in ("n1", "n2")[: plan.notices]:
            if "notice " + text not in world.owed:
                yield Happening(ev.NoticeRequested(NOW, text))
    for tool in world.running:
        yield Happening(ev.ToolFinished(NOW, tool, "found"))
    if "goodbye" in plan.parts and not world.bye:
        yield Happening(ev.HangupRequested(NOW, ""))
        heard = [
            answer for answer in world.answers[-1:] if answer.completed and answer.device is Device.RETIRED and answer.sound >= Sound.HEARD
        ]
        for answer in (*world.live, *heard):
            yield Happening(ev.HangupRequested(NOW, answer.id))
