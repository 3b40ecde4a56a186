"""What is to be noted of a step: each thing that goes wrong in the world once, by its own name, and nothing else (R02, R03, R108)."""

from collections.abc import Iterator

from adapters.proof.deadlines import Moment
from adapters.proof.world import Answer, Device, Sound, World, notices_waiting, sentences_waiting, to_be_spoken
from fsm.call import effects as fx, events as ev
from fsm.call.effects import Level, Log

RACES = ("response_cancel_not_active", "conversation_already_has_active_response")
"""Errors that say no more than that a message crossed another."""
Note = tuple[Level, str, str]


def mistold(moment: Moment) -> bool:
    """Is anything noted that did not happen, or not noted that did?"""
    told = [(effect.level, effect.code, effect.detail) for effect in moment.effects if isinstance(effect, Log)]
    return sorted(map(_plain, told)) != sorted(map(_plain, due(moment)))


def _plain(note: Note) -> Note:
    """The note, with the names that it holds in any order."""
    return (*note[:2], " ".join(sorted(note[2].split())))


def due(moment: Moment) -> Iterator[Note]:
    """What is to be noted of the step."""
    yield from _of_event(moment)
    yield from _of_effects(moment)
    if ev.AnswerFailed in moment.signals and moment.after.wait_ms:
        words = moment.event.code if isinstance(moment.event, ev.CreateRefused) else getattr(moment.event, "reason", "")
        yield Level.WARNING, "server_asks_to_wait", f"{moment.after.wait_ms:.0f} ms: {words}"


def _of_event(moment: Moment) -> Iterator[Note]:
    event, before = moment.event, moment.before
    match event:
        case ev.ErrorReceived() | ev.CancelRefused():
            yield (Level.DEBUG if event.code in RACES else Level.WARNING, event.code, "")
        case ev.CreateRefused():
            yield (Level.WARNING if ev.AnswerFailed in moment.signals else Level.DEBUG, event.code, "")
        case ev.ResponseExpired() if before.asked is not None and not before.asked.crossed:
            yield Level.WARNING, "create_unanswered", ""
        case ev.ResponseExpired() | ev.CancelUnsent():
            yield from [(Level.INFO, "cancel_unconfirmed", answer.id) for answer in before.answers if _given_up(answer, moment.after)][:1]
        case ev.TruncationExpired():
            flushed = sorted(answer.id for answer in before.answers if answer.device is Device.FLUSHED)
            yield Level.WARNING, "played_position_unknown", " ".join(flushed)
        case ev.ToolExpired() if any(isinstance(effect, fx.SendToolResult) for effect in moment.effects):
            yield Level.WARNING, "tool_timeout", ""
        case ev.LimitExpired() if ev.HangupDue not in moment.signals:
            yield Level.INFO, "call_limit_near", ""
        case ev.SessionLost() if not before.away and moment.after.lost <= moment.policy.reconnects:
            yield Level.WARNING, "session_lost", event.reason
        case ev.SynthesisCancelAnswered():
            yield Level.INFO, "synthesis_cancel_" + "_".join(event.outcome.split()), event.session_id
        case ev.SynthesisFailed() | ev.SynthesisDiscarded() if event.session_id == before.synthesis:
            yield Level.WARNING, "sentence_lost", before.synthesis
        case ev.SynthesisExpired():
            yield Level.WARNING, "sentence_lost", before.synthesis
        case ev.NoticeRequested() if notices_waiting(before) >= moment.policy.queued_notices:
            yield Level.WARNING, "notice_dropped", ""
        case ev.SentenceCut() if (
            to_be_spoken(before, event.response_id) and len(sentences_waiting(before)) >= moment.policy.queued_sentences
        ):
            yield Level.WARNING, "sentence_dropped", f"call.{event.response_id}.{event.sentence}"


def _of_effects(moment: Moment) -> Iterator[Note]:
    before = moment.before
    for effect in moment.effects:
        match effect:
            case fx.CancelResponse() if _of_ours(before.answer(effect.response_id), moment):
                yield Level.WARNING, "response_without_end_or_sound", effect.response_id
            case fx.Flush() if ev.PlayoutStalled in moment.signals and _given(before.front, effect.response_id):
                yield Level.WARNING, "playout_without_progress", effect.response_id
            case fx.Resume() if ev.VoiceResumed in moment.signals and not isinstance(moment.event, ev.ResponseCancelled | ev.TurnCommitted):
                yield Level.INFO, "false_interruption", ""


def _given(front: Answer | None, response_id: str) -> bool:
    """Is it that response which should be heard, and does the device hold sound of it that was not?"""
    ours = front is not None and front.id == response_id
    return ours and (front.sound in (Sound.CAME, Sound.HEARD) or any(one.ahead for one in front.sentences))  # type: ignore[union-attr]


def _of_ours(answer: Answer | None, moment: Moment) -> bool:
    """Is a response cancelled that nobody interrupted?"""
    wanted = answer is not None and answer.device is not Device.NEVER and not answer.cut and not answer.unsent
    return wanted and ev.BargedIn not in moment.signals


def _given_up(answer: Answer, after: World) -> bool:
    now = after.answer(answer.id)
    passed = answer.device is Device.NEVER and after.front is not None and after.front.generated
    return not answer.overdue and now is not None and now.overdue and not passed
