"""The hang-up: the call is closed when its goodbye has been heard, or when nothing else is left (R41, R42).

The goodbye is heard when it was said, its response completed, and its playout finished, in whatever order these become true.
"""

from fsm.call import events as ev
from fsm.call.common import closing
from fsm.call.effects import Cause, Reason
from fsm.call.guards import (
    ANSWERS,
    AUDIBLE,
    CANCELLINGS,
    FATAL,
    SOUNDING,
    answer_waits,
    beyond_reconnecting,
    cut_unheard,
    ended_before,
    fatal,
    heard_in_progress,
    heard_out,
    heard_whole,
    known,
    limit_reached,
    may_replace,
    may_retry,
    nothing_to_interrupt,
    of_response,
    of_session,
    stalled_unpaid,
)
from fsm.call.idle import gives_up_waiting
from fsm.call.snapshot import Call, Hangup
from fsm.call.states import (
    COMPLETED,
    CONFIGURING,
    CONNECTING,
    GOODBYE,
    GREETING_LOCK,
    IN_PROGRESS,
    OVER,
    PARTING,
    QUIET,
    REQUESTED,
    STAYING,
    SYNTHESISING,
)
from fsm.engine.notation import always, go, ignore, raises, region, row, sets, stay

LIVE = (STAYING, PARTING, GOODBYE)


def heard_already(call: Call, event: ev.GoodbyeSaid | ev.HangupRequested) -> bool:
    """Was that response completed and heard before we learned that it says goodbye, so that it is not said again (R42, R43)?"""
    return event.response_id == call.response.id == call.playout.heard_out and call.response.state is COMPLETED


def called_a_tool(call: Call, event: ev.GoodbyeSaid) -> bool:
    """Did it call a tool besides, so that it is not the last word, and maybe nothing of it was heard (R80, R91)?"""
    return heard_already(call, event) and call.response.called


def caller_spoke(call: Call, _: object) -> bool:
    """Does the caller speak, or wait for an answer to what they said?"""
    return call.turn.state is not QUIET or any(debt.cause in ANSWERS for debt in call.pending.owed)


def withdrawn_already(call: Call, event: ev.GoodbyeSaid | ev.HangupRequested) -> bool:
    """Was the response that it names cut or broken off, or has the caller spoken since it was heard (R42, R45)?"""
    named = event.response_id
    if not named or (named == call.response.id and call.response.state is IN_PROGRESS):
        return False
    if being_heard(call, event):
        return named not in call.response.completed
    return named in (*call.response.ended, call.response.id) and (not heard_already(call, event) or caller_spoke(call, None))


def of_greeting(call: Call, event: ev.GoodbyeSaid) -> bool:
    """Is it the greeting that says goodbye (R48), though another response may be to follow it?"""
    followed = event.response_id == call.playout.id and call.phase.state is GREETING_LOCK
    return followed or (event.response_id == call.response.id and call.response.cause is Cause.GREETING)


def being_heard(call: Call, event: ev.GoodbyeSaid | ev.HangupRequested | ev.ResponseCompleted) -> bool:
    """Is that response admitted, so that it will be heard?"""
    return call.playout.state in AUDIBLE and event.response_id in (call.playout.id, call.playout.next_id)


def nothing_said(call: Call, event: ev.HangupRequested) -> bool:
    """Is nothing being said that the hang-up could wait for?"""
    return heard_already(call, event) or (not event.response_id and nothing_to_interrupt(call, None))


def goodbye_heard(call: Call, _: ev.PlayoutOver) -> bool:
    """Has the completed goodbye been heard (R42, R91)?"""
    ended = call.response.id != call.hangup.id or call.response.state not in (IN_PROGRESS, *CANCELLINGS)
    return call.playout.id == call.hangup.id and ended and call.playout.heard


def goodbye_stalled(call: Call, _: ev.PlayoutStalled) -> bool:
    """Does the device play no more of the goodbye, of which the caller has heard some (R44)?"""
    return call.playout.id == call.hangup.id and call.playout.heard and not call.playout.notice


def goodbye_unplayed(call: Call, _: ev.PlayoutStalled) -> bool:
    """Does the device play nothing of the goodbye, or not all of what must be heard?"""
    return call.playout.id == call.hangup.id


def farewell_unplayed(call: Call, event: ev.PlayoutStalled) -> bool:
    """Does it play nothing of a goodbye that is ours to say?"""
    return goodbye_unplayed(call, event) and ours_to_say(call, None)


def still_heard(call: Call, _: ev.HangupExpired) -> bool:
    """Is the goodbye still being heard, so that the wait is one for progress, which the playout watches (R44)?"""
    return call.playout.id == call.hangup.id and call.playout.state in SOUNDING


def of_goodbye(call: Call, event: ev.ResponseEnded) -> bool:
    """Is it the end of the goodbye, told for the first time?"""
    return event.response_id == call.hangup.id and not ended_before(call, event)


def ends_after_all(call: Call, event: ev.ResponseCompleted) -> bool:
    """Is the goodbye completed when all of it was heard, and its end was not awaited any more (R42)?"""
    return of_goodbye(call, event) and not being_heard(call, event)


def goodbye_failed(call: Call, _: ev.AnswerFailed | ev.VoiceMissing) -> bool:
    """Is it the goodbye that failed, maybe with the end of one that was cancelled at its birth still awaited (R73)?"""
    ended = call.response.ended[-1:] if call.response.state in CANCELLINGS else ()
    return call.hangup.id in (call.response.id, *ended)


def goodbye_broken_off(call: Call, _: ev.SessionLost) -> bool:
    """Was the goodbye generated yet as its session went, so that its last words may be missing (R42)?"""
    return call.hangup.id == call.response.id and call.response.state in (IN_PROGRESS, *CANCELLINGS)


def farewell_broken_off(call: Call, event: ev.SessionLost) -> bool:
    """Was it one that is ours to say?"""
    return goodbye_broken_off(call, event) and ours_to_say(call, None)


def goodbye_heard_out(call: Call, event: ev.TakenUp) -> bool:
    """Was the goodbye heard to its end before its process went (R42)?"""
    completed = call.response.id != call.hangup.id or call.response.state is COMPLETED
    return call.playout.id == call.hangup.id and completed and heard_out(call, event)


def goodbye_whole(call: Call, _: ev.VoiceMissing) -> bool:
    """Was the goodbye heard whole, though its end does not come (R42, R97)?"""
    return heard_whole(call, None) and call.response.id == call.hangup.id


def ours_to_say(call: Call, _: object) -> bool:
    """Is it a farewell of ours, which is asked for again, or does the application wish the end, whatever is said before it (R93)?"""
    ours = any(debt.cause is Cause.FAREWELL for debt in call.pending.asked)
    return ours or call.hangup.reason is Reason.APPLICATION


def farewell_failed(call: Call, event: ev.AnswerFailed | ev.VoiceMissing) -> bool:
    """Did a goodbye fail that is ours to say?"""
    return goodbye_failed(call, event) and ours_to_say(call, None)


def goodbye_created(call: Call, event: ev.ResponseCreated) -> bool:
    """Is it the goodbye that we asked for?"""
    return call.response.state is REQUESTED and not known(call, event)


def about_to_be_said(call: Call, event: ev.HangupRequested) -> bool:
    """Is the goodbye asked for, and has no id yet?"""
    return not event.response_id and call.response.state is REQUESTED


def too_soon(call: Call, _: ev.GoodbyeSaid) -> bool:
    """Has the caller not said enough for a goodbye (R46, R48)?"""
    return call.turn.turns < call.policy.least_turns


def voice_lost(call: Call, event: ev.SynthesisFailed | ev.SynthesisExpired) -> bool:
    """Could one more sentence not be synthesised than may?"""
    ours = isinstance(event, ev.SynthesisExpired) or of_session(call, event)
    return ours and call.synthesis.state is SYNTHESISING and call.synthesis.failed + 1 >= call.policy.voice_failures


def unconfirmed(call: Call, _: ev.SessionExpired) -> bool:
    """Was the session never confirmed (R39)?"""
    return call.session.state in (CONNECTING, CONFIGURING)


def hopeless(call: Call, event: ev.ResponseFailed) -> bool:
    """Did our response fail for good (R18)?"""
    return of_response(call, event) and fatal(call, event)


def refused_for_good(call: Call, event: ev.CreateRefused) -> bool:
    """Was our response.create refused for a reason that asking again cannot mend (R18)?"""
    return call.response.state is REQUESTED and event.code in FATAL


def voice_is_lost(call: Call, _: ev.AnswerFailed) -> bool:
    """Has the voice failed once more than it may, just now?"""
    return call.synthesis.failed >= call.policy.voice_failures


def failed_once_too_often(call: Call, _: ev.AnswerFailed) -> bool:
    """Did our response fail once more than it may be asked for, with no other answer owed (R14, R15)?"""
    return not may_retry(call, None) and not answer_waits(call, None)


def cut_once_too_often(call: Call, event: ev.ResponseCancelled) -> bool:
    """Did the server cancel one more answer unheard than may be, with nobody speaking (R93)?"""
    again = may_retry(call, None) or answer_waits(call, None) or call.response.cause is Cause.GREETING
    return call.turn.state is QUIET and cut_unheard(call, event) and not again


def missed_once_too_often(call: Call, event: ev.VoiceMissing) -> bool:
    """Did one more response bring no sound than may, with no other answer owed (R16)?"""
    lost = heard_in_progress(call, None) and not heard_whole(call, None)
    return lost and not may_replace(call, event) and not answer_waits(call, None)


def stalled_once_too_often(call: Call, event: ev.PlayoutStalled) -> bool:
    """Did the device play nothing once more than may be, with no other answer owed (R79, R93)?"""
    return stalled_unpaid(call, event) and not may_retry(call, None) and not answer_waits(call, None)


@sets("id", "reason", "detail")
def after_goodbye(_: Call, event: ev.GoodbyeSaid) -> tuple[str, Reason, str]:
    """Hang up after the response that says goodbye."""
    return event.response_id, Reason.GOODBYE, ""


@sets("id", "reason", "detail")
def as_requested(call: Call, event: ev.HangupRequested) -> tuple[str, Reason, str]:
    """Hang up after the response that the application named, or what is said last of what is heard, or the live one."""
    said = call.playout.next_id or call.playout.id or call.response.id
    return event.response_id or said, Reason.APPLICATION, event.reason


@sets("reason", "detail")
def model_failed(call: Call, _: ev.AnswerFailed) -> tuple[Reason, str]:
    """The model cannot answer."""
    return Reason.MODEL_FAILED, call.response.fault or "no answer came"


@sets("reason", "detail")
def no_sound_came(_: Call, __: ev.Event) -> tuple[Reason, str]:
    """The model's answers bring no sound."""
    return Reason.MODEL_FAILED, "no answer came"


@sets("reason", "detail")
def device_stalled(_: Call, __: ev.PlayoutStalled) -> tuple[Reason, str]:
    """The device plays nothing of what it is given."""
    return Reason.DEVICE_FAILED, "it plays nothing"


@sets("reason", "detail")
def model_gone(_: Call, event: ev.ResponseFailed) -> tuple[Reason, str]:
    """The model will never answer."""
    return Reason.MODEL_FAILED, event.reason or "no answer came"


@sets("reason", "detail")
def model_refuses(_: Call, event: ev.CreateRefused) -> tuple[Reason, str]:
    """The model will never be asked."""
    return Reason.MODEL_FAILED, event.code


@sets("reason", "detail")
def session_unconfirmed(_: Call, __: ev.SessionExpired) -> tuple[Reason, str]:
    """The session was not confirmed in time."""
    return Reason.SESSION_UNCONFIRMED, ""


@sets("reason", "detail")
def session_lost(_: Call, event: ev.SessionLost) -> tuple[Reason, str]:
    """The session was lost, and may not be opened anew."""
    return Reason.SESSION_LOST, event.reason


@sets("reason", "detail")
def voice_failed(_: Call, event: ev.SynthesisFailed | ev.SynthesisExpired) -> tuple[Reason, str]:
    """The agent has no voice."""
    return Reason.VOICE_FAILED, event.reason if isinstance(event, ev.SynthesisFailed) else "no answer came"


@sets("reason", "detail")
def idle(_: Call, __: ev.IdleExpired) -> tuple[Reason, str]:
    """The caller was silent through every prompt (R53)."""
    return Reason.IDLE, ""


@sets("id")
def after_farewell(_: Call, event: ev.ResponseCreated) -> str:
    """Hang up after the farewell that was asked for."""
    return event.response_id


@sets("reason", "detail")
def limit(_: Call, __: ev.LimitExpired) -> tuple[Reason, str]:
    """The call reached its maximum duration (R82)."""
    return Reason.LIMIT, ""


@sets("reason", "detail")
def no_line(_: Call, __: ev.LineExpired) -> tuple[Reason, str]:
    """The line carried no sound in time."""
    return Reason.NO_LINE, ""


HANGUP = region(
    "hangup",
    *closing(LIVE),
    #   while        on                      if                         then
    row(STAYING,     ev.GoodbyeSaid,         of_greeting,               ignore("a greeting ends no call (R48)")),
    row(STAYING,     ev.GoodbyeSaid,         too_soon,                  ignore("the caller has hardly spoken (R46, R48)")),
    row(STAYING,     (ev.GoodbyeSaid, ev.HangupRequested), withdrawn_already, ignore("that goodbye was cut off, or the caller has spoken since (R45)")),
    row(STAYING,     ev.GoodbyeSaid,         called_a_tool,             ignore("its tool is to be answered yet")),
    row(STAYING,     ev.GoodbyeSaid,         heard_already,             stay(after_goodbye, raises(ev.HangupDue))),
    row(STAYING,     ev.GoodbyeSaid,         being_heard,               go(GOODBYE, after_goodbye)),
    row(STAYING,     ev.HangupRequested,     nothing_said,              stay(as_requested, raises(ev.HangupDue))),
    row(STAYING,     ev.HangupRequested,     about_to_be_said,          go(PARTING, as_requested)),
    row(STAYING,     ev.HangupRequested,     always,                    go(GOODBYE, as_requested)),

    row(STAYING,     ev.IdleExpired,         gives_up_waiting,          go(PARTING, idle)),
    row(PARTING,     ev.ResponseCreated,     goodbye_created,           go(GOODBYE, after_farewell)),
    row(PARTING,     ev.HangupExpired,       always,                    stay(raises(ev.HangupDue))),
    row((PARTING, GOODBYE), (ev.BargedIn, ev.TurnTaken), always,        go(STAYING)),

    row(GOODBYE,     ev.PlayoutOver,         goodbye_heard,             stay(raises(ev.HangupDue))),
    row(GOODBYE,     ev.HangupExpired,       still_heard,               go(GOODBYE)),
    row(GOODBYE,     ev.HangupExpired,       always,                    stay(raises(ev.HangupDue))),
    row(GOODBYE,     ev.SpeechStarted,       nothing_to_interrupt,      go(STAYING)),
    row(LIVE,        ev.ResponseFailed,      hopeless,                  stay(model_gone, raises(ev.HangupDue))),
    row(LIVE,        ev.CreateRefused,       refused_for_good,          stay(model_refuses, raises(ev.HangupDue))),
    row(LIVE,        ev.AnswerFailed,        voice_is_lost,             ignore("the voice has failed for good, which ends the call already")),
    row(LIVE,        ev.AnswerFailed,        failed_once_too_often,     stay(model_failed, raises(ev.HangupDue))),
    row(LIVE,        ev.ResponseCancelled,   cut_once_too_often,        stay(no_sound_came, raises(ev.HangupDue))),
    row(LIVE,        ev.PlayoutStalled,      stalled_once_too_often,    stay(device_stalled, raises(ev.HangupDue))),
    row(LIVE,        ev.VoiceMissing,        missed_once_too_often,     stay(no_sound_came, raises(ev.HangupDue))),
    row(GOODBYE,     ev.ResponseCompleted,   ends_after_all,            stay(raises(ev.HangupDue))),
    row(GOODBYE,     ev.ResponseCancelled,   of_goodbye,                go(STAYING)),
    row(GOODBYE,     ev.PlayoutStalled,      goodbye_stalled,           stay(raises(ev.HangupDue))),
    row(GOODBYE,     ev.PlayoutStalled,      farewell_unplayed,         go(PARTING)),
    row(GOODBYE,     ev.PlayoutStalled,      goodbye_unplayed,          go(STAYING)),
    row(GOODBYE,     ev.VoiceMissing,        goodbye_whole,             stay(raises(ev.HangupDue))),
    row(GOODBYE,     (ev.AnswerFailed, ev.VoiceMissing), farewell_failed, go(PARTING)),
    row(GOODBYE,     (ev.AnswerFailed, ev.VoiceMissing), goodbye_failed, go(STAYING)),
    row(GOODBYE,     ev.TakenUp,             goodbye_heard_out,         stay(raises(ev.HangupDue))),
    row(GOODBYE,     ev.TakenUp,             ours_to_say,               go(PARTING)),
    row(GOODBYE,     ev.TakenUp,             always,                    go(STAYING)),
    row(LIVE,        (ev.SynthesisFailed, ev.SynthesisExpired), voice_lost, stay(voice_failed, raises(ev.HangupDue))),
    row(LIVE,        ev.SessionExpired,      unconfirmed,               stay(session_unconfirmed, raises(ev.HangupDue))),
    row(LIVE,        ev.SessionLost,         beyond_reconnecting,       stay(session_lost, raises(ev.HangupDue))),
    row(GOODBYE,     ev.SessionLost,         farewell_broken_off,       go(PARTING)),
    row(GOODBYE,     ev.SessionLost,         goodbye_broken_off,        go(STAYING)),
    row(LIVE,        ev.LimitExpired,        limit_reached,             stay(limit, raises(ev.HangupDue))),
    row(LIVE,        ev.LineExpired,         always,                    stay(no_line, raises(ev.HangupDue))),

    row(LIVE,        ev.AppEvent,            always,                    ignore("the hang-up is decided already, or it wishes none")),
    row(LIVE,        ev.ModelEvent,          always,                    ignore("audio.done, an empty queue or an error end no call (R41)")),
    row(LIVE,        ev.CallerEvent,         always,                    ignore("only a turn or an interruption withdraws a hang-up (R45)")),
    row(LIVE,        (ev.Expired, ev.Signal), always,                   ignore("another region's deadline, or nothing that ends a call")),
    row(LIVE,        (ev.DeviceEvent, ev.SentenceEvent, ev.LineEvent), always, ignore("an empty queue ends no call (R41)")),
    doc="whether and why the call is to end",
    record=Hangup,
    states=(*LIVE, OVER),
    expired=ev.HangupExpired,
)  # fmt: skip
