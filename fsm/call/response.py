"""The response status: the only table that asks for a response and the only one that cancels one (R04, R13)."""

from fsm.call import events as ev
from fsm.call.common import closing
from fsm.call.effects import CancelResponse, Cause, CreateResponse, Level, Log
from fsm.call.guards import (
    ACTIVE_ALREADY,
    CANCELLINGS,
    CONFIRMED_SESSION,
    IDLE,
    NOT_ACTIVE,
    calls_instead,
    heard_in_progress,
    known,
    may_ask,
    may_wait,
    next_cause,
    of_response,
    payable,
    sentences_to_come,
    server_interrupts,
    told_to_wait,
    unheard,
    welcome,
    without_sound_to_follow,
)
from fsm.call.snapshot import Call, Response
from fsm.call.states import (
    BLOCKED,
    CANCEL_IN_FLIGHT,
    CANCEL_UNSENT,
    CANCELLED,
    COMPLETED,
    FAILED,
    IN_PROGRESS,
    INCOMPLETE,
    NONE,
    OVER,
    REQUESTED,
    SERVER_CANCELLING,
    SPEAKING,
    WITHDRAWN,
)
from fsm.engine.notation import always, go, ignore, raises, region, row, sets, stay

LIVE = (*IDLE, REQUESTED, BLOCKED, WITHDRAWN, IN_PROGRESS, *CANCELLINGS)
UNASKED = (*IDLE, BLOCKED, *CANCELLINGS)
"""Where a response may be that the server creates by itself: none is asked for, and none is being generated for the caller."""

ENDS_SESSION = (ev.SessionLost, ev.TakenUp)
"""What leaves nothing of whatever was under way at the server."""
HARMLESS = frozenset({NOT_ACTIVE, ACTIVE_ALREADY})
"""Errors that are normal races (R02); they are logged at DEBUG."""


def servers_to_cancel(call: Call, _: ev.ResponseCreated) -> bool:
    """Does the caller speak over the server's own answer, in a session whose server cancels it?"""
    return server_interrupts(call, None) and call.session.state in CONFIRMED_SESSION


def server_will_cut(call: Call, event: ev.BargedIn) -> bool:
    """Does the server cut what the caller interrupts? What it began after their first sound it does not (R68)."""
    return server_interrupts(call, event) and not call.response.over_speech


def attempts_left(call: Call, event: ev.CancelUnsent) -> bool:
    """May a cancel that did not leave be sent again (R05)?"""
    return of_response(call, event) and call.response.unsent + 1 < call.policy.cancel_attempts


def out_of_attempts(call: Call, event: ev.CancelUnsent) -> bool:
    """Has the cancel under way failed to leave once too often?"""
    return call.response.state is CANCEL_IN_FLIGHT and of_response(call, event) and not attempts_left(call, event)


def harmless(_: Call, event: ev.ErrorReceived | ev.CancelRefused) -> bool:
    """Is the error a normal race?"""
    return event.code in HARMLESS


def completes_unheard(call: Call, event: ev.ResponseCompleted) -> bool:
    """Is our response generated to its end with nothing to hear, and no tool called, or was it a notice (R91)?"""
    if not of_response(call, event) or calls_instead(call):
        return False
    if call.playout.id == event.response_id:
        return unheard(call, None) and not sentences_to_come(call, None)
    return without_sound_to_follow(call, event)


def unheard_before_unwanted(call: Call, event: ev.ResponseCompleted) -> bool:
    """The same, with the end of one that was cancelled at its birth still awaited (R73)?"""
    return completes_unheard(call, event) and bool(call.response.unwanted)


def to_follow(call: Call, _: ev.ResponseExpired) -> bool:
    """Does the response wait for its turn to be heard?"""
    return call.response.id == call.playout.next_id


def takes_too_long(call: Call, _: ev.ResponseExpired) -> bool:
    """Was nothing heard yet of the response that should be, or does a notice, which is paid only when it is heard whole, not end?"""
    return heard_in_progress(call, None) and (not call.playout.heard or call.response.cause is Cause.NOTICE)


def of_generated(call: Call, event: ev.ItemAdded | ev.AudioArrived | ev.ItemsDone) -> bool:
    """Is it about the items of the response that is generated?"""
    return event.response_id == call.response.id


def first_call(call: Call, event: ev.ToolCalled) -> bool:
    """Does our response call a tool?"""
    return event.response_id in ("", call.response.id)


def unwanted_left(call: Call, event: ev.ResponseEnded) -> bool:
    """Is it the end of our response, with the end of one that was cancelled at its birth still awaited (R73)?"""
    return of_response(call, event) and bool(call.response.unwanted)


def create_response(call: Call, _: ev.ResponseDue) -> CreateResponse:
    """Ask for the response that is due."""
    return CreateResponse(_next_cause(call), payable(call.pending.owed)[0].text)


def cancel_response(call: Call, _: ev.Event) -> CancelResponse:
    """Cancel the live response."""
    return CancelResponse(call.response.id)


def cancel_created(_: Call, event: ev.ResponseCreated) -> CancelResponse:
    """Cancel the response that was just created."""
    return CancelResponse(event.response_id)


def log_debug(_: Call, event: ev.ErrorReceived | ev.CancelRefused | ev.CreateRefused) -> Log:
    """Note a harmless error (R02)."""
    return Log(Level.DEBUG, event.code)


def log_warning(_: Call, event: ev.ErrorReceived | ev.CancelRefused | ev.CreateRefused) -> Log:
    """Note an error of the server; one that no command of ours caused touches nothing else (R03)."""
    return Log(Level.WARNING, event.code)


def log_create_unanswered(_: Call, __: ev.ResponseExpired) -> Log:
    """Note a response.create that nobody answered (R14)."""
    return Log(Level.WARNING, "create_unanswered")


def log_cancel_unconfirmed(call: Call, _: ev.Event) -> Log:
    """Note a cancel whose response never ended."""
    return Log(Level.INFO, "cancel_unconfirmed", call.response.id)


def log_too_long(call: Call, _: ev.Event) -> Log:
    """Note a response that was cancelled because it took too long or brought no sound."""
    return Log(Level.WARNING, "response_without_end_or_sound", call.response.id)


@sets("cause")
def take_cause(call: Call, _: ev.ResponseDue) -> Cause:
    """Remember why the response is asked for (R12)."""
    return _next_cause(call)


@sets("called")
def note_call(_: Call, __: ev.ToolCalled) -> bool:
    """The response called a tool, and need not be heard."""
    return True


@sets("whole")
def note_done(_: Call, __: ev.ItemsDone) -> bool:
    """All that was begun of the response is done."""
    return True


@sets("whole")
def note_more(_: Call, __: ev.ItemAdded | ev.AudioArrived) -> bool:
    """More of the response is begun."""
    return False


@sets("wait_ms", "fault")
def note_failure(_: Call, event: ev.ResponseFailed | ev.ResponseIncomplete) -> tuple[float, str]:
    """How long the server asks to be left alone (R92), and what failed."""
    return event.retry_after_ms, event.reason


@sets("wait_ms", "fault")
def note_refusal(_: Call, event: ev.CreateRefused) -> tuple[float, str]:
    """The same, of a response.create that was refused."""
    return event.retry_after_ms, event.code


def log_wait(call: Call, _: ev.AnswerFailed) -> Log:
    """Note a wait that the server asks for: the reason of the silence (R92)."""
    return Log(Level.WARNING, "server_asks_to_wait", f"{call.response.wait_ms:.0f} ms: {call.response.fault}")


@sets("wait_ms", "fault")
def note_unanswered(_: Call, __: ev.ResponseExpired) -> tuple[float, str]:
    """Nothing was said of a wait, nor of what failed."""
    return 0.0, ""


@sets("wait_ms", "fault")
def note_unheard(_: Call, __: ev.ResponseCompleted) -> tuple[float, str]:
    """There was nothing to hear (R91)."""
    return 0.0, "nothing_to_hear"


@sets("id", "unsent", "ended", "called", "over_speech", "whole", "wait_ms")
def take_id(call: Call, event: ev.ResponseCreated) -> tuple[str, int, tuple[str, ...], bool, bool, bool, float]:
    """The response that we asked for has an id; the one before it is done with."""
    return event.response_id, 0, _with(call, call.response.id), False, call.turn.state is SPEAKING, False, 0.0


@sets("id", "unsent", "ended", "called", "over_speech", "whole", "wait_ms", "cause")
def take_unasked(call: Call, event: ev.ResponseCreated) -> tuple[str, int, tuple[str, ...], bool, bool, bool, float, Cause]:
    """A response that the server created by itself: it answers the caller's turn."""
    return event.response_id, 0, _with(call, call.response.id), False, False, False, 0.0, Cause.USER_TURN


@sets("ended", "unwanted")
def remember_ended(call: Call, event: ev.ResponseEnded) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The response that the event names is done with (R06)."""
    return _with(call, event.response_id), tuple(other for other in call.response.unwanted if other != event.response_id)


@sets("completed")
def note_completed(call: Call, event: ev.ResponseEnded) -> tuple[str, ...]:
    """It came to its end, and may be heard to it (R42)."""
    completed = (*call.response.completed, event.response_id) if isinstance(event, ev.ResponseCompleted) else call.response.completed
    return tuple(name for name in completed if name in (call.playout.id, call.playout.next_id))


@sets("ended", "unwanted")
def remember_refused(call: Call, event: ev.ResponseCreated) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The response that was cancelled at its birth is done with, but for its end."""
    unwanted = (*call.response.unwanted, event.response_id)
    return _with(call, event.response_id), unwanted[-call.policy.remembered_ids :]


@sets("id", "unsent", "ended", "unwanted")
def await_unwanted(call: Call, event: ev.ResponseEnded) -> tuple[str, int, tuple[str, ...], tuple[str, ...]]:
    """Our response is done with; the end of the one that was cancelled at its birth is awaited."""
    first, *others = call.response.unwanted
    return first, 0, _with(call, event.response_id), tuple(others)


@sets("ended", "unwanted")
def remember_own(call: Call, _: ev.Event) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The live response is done with before its end, and whatever else was awaited."""
    return _with(call, call.response.id), ()


@sets("unsent")
def count_unsent(call: Call, _: ev.CancelUnsent) -> int:
    """One more cancel that did not leave."""
    return call.response.unsent + 1


def _next_cause(call: Call) -> Cause:
    return next_cause(call) or Cause.RECOVERY


def _with(call: Call, response_id: str) -> tuple[str, ...]:
    """The ended ids and one more, bounded."""
    ended = call.response.ended
    if not response_id or response_id in ended:
        return ended
    return (*ended, response_id)[-call.policy.remembered_ids :]


RESPONSE = region(
    "response",
    *closing(LIVE),
    #   while                    on                       if                   then
    row(IDLE,                    ev.ResponseDue,          may_ask,             go(REQUESTED, take_cause, create_response)),

    row(LIVE,                    ev.ResponseCreated,      known,               ignore("told twice, or late")),
    row(REQUESTED,               ev.ResponseCreated,      always,              go(IN_PROGRESS, take_id)),
    row(REQUESTED,               ev.BargedIn,             always,              go(WITHDRAWN)),
    row(REQUESTED,               ev.CreateRefused,        may_wait,            go(BLOCKED, log_debug)),
    row(REQUESTED,               ev.CreateRefused,        always,              go(FAILED, note_refusal, log_warning, raises(ev.AnswerFailed))),
    row(REQUESTED,               ev.ResponseExpired,      always,              go(FAILED, note_unanswered, log_create_unanswered, raises(ev.AnswerFailed))),

    row(WITHDRAWN,               ev.ResponseCreated,      always,              go(CANCEL_IN_FLIGHT, take_id, cancel_created)),
    row(WITHDRAWN,               ev.CreateRefused,        always,              go(CANCELLED, log_debug)),
    row(WITHDRAWN,               ev.ResponseExpired,      always,              go(CANCELLED, log_create_unanswered)),

    row(BLOCKED,                 ev.ResponseEnded,        always,              go(FAILED, remember_ended)),
    row(BLOCKED,                 (ev.ResponseExpired, *ENDS_SESSION), always, go(FAILED)),

    row(UNASKED,                 ev.ResponseCreated,      welcome,             go(IN_PROGRESS, take_unasked)),
    row(UNASKED,                 ev.ResponseCreated,      servers_to_cancel,   go(SERVER_CANCELLING, take_unasked)),
    row(UNASKED,                 ev.ResponseCreated,      always,              go(CANCEL_IN_FLIGHT, take_unasked, cancel_created)),

    row(IN_PROGRESS,             ev.BargedIn,             server_will_cut,     go(SERVER_CANCELLING)),
    row(IN_PROGRESS,             ev.BargedIn,             always,              go(CANCEL_IN_FLIGHT, cancel_response)),
    row(IN_PROGRESS,             (ev.VoiceMissing, ev.PlayoutStalled), heard_in_progress, go(CANCEL_IN_FLIGHT, cancel_response, log_too_long)),
    row(IN_PROGRESS,             ev.ResponseExpired,      to_follow,           go(IN_PROGRESS)),
    row(IN_PROGRESS,             ev.ResponseExpired,      takes_too_long,      stay(raises(ev.VoiceMissing))),
    row(IN_PROGRESS,             ev.ResponseExpired,      always,              go(CANCEL_IN_FLIGHT, cancel_response, log_too_long)),
    row(IN_PROGRESS,             ev.ResponseCreated,      always,              stay(remember_refused, cancel_created)),
    row(IN_PROGRESS,             ev.ToolCalled,           first_call,          stay(note_call)),
    row(IN_PROGRESS,             ev.ItemsDone,             of_generated,        stay(note_done)),
    row(IN_PROGRESS,             (ev.ItemAdded, ev.AudioArrived), of_generated, stay(note_more)),

    row(IN_PROGRESS,             ev.ResponseCompleted,    unheard_before_unwanted, go(CANCEL_IN_FLIGHT, await_unwanted, note_unheard, raises(ev.AnswerFailed))),
    row(IN_PROGRESS,             (ev.ResponseFailed, ev.ResponseIncomplete), unwanted_left, go(CANCEL_IN_FLIGHT, await_unwanted, note_failure, raises(ev.AnswerFailed))),
    row(IN_PROGRESS,             ev.ResponseCompleted,    completes_unheard,   go(COMPLETED, remember_ended, note_unheard, raises(ev.AnswerFailed))),
    row(IN_PROGRESS,             ev.ResponseFailed,       of_response,         go(FAILED, remember_ended, note_failure, raises(ev.AnswerFailed))),
    row(IN_PROGRESS,             ev.ResponseIncomplete,   of_response,         go(INCOMPLETE, remember_ended, note_failure, raises(ev.AnswerFailed))),
    row((IN_PROGRESS, *CANCELLINGS), (ev.ResponseCompleted, ev.ResponseCancelled), unwanted_left, go(CANCEL_IN_FLIGHT, await_unwanted, note_completed)),
    row((IN_PROGRESS, *CANCELLINGS), ev.ResponseCompleted,  of_response,       go(COMPLETED, remember_ended, note_completed)),
    row((IN_PROGRESS, *CANCELLINGS), ev.ResponseCancelled,  of_response,       go(CANCELLED, remember_ended)),
    row(CANCELLINGS,             (ev.ResponseFailed, ev.ResponseIncomplete), unwanted_left, go(CANCEL_IN_FLIGHT, await_unwanted)),
    row(CANCELLINGS,             ev.ResponseFailed,       of_response,         go(FAILED, remember_ended)),
    row(CANCELLINGS,             ev.ResponseIncomplete,   of_response,         go(INCOMPLETE, remember_ended)),

    row(SERVER_CANCELLING,       ev.ResponseExpired,      always,              go(CANCEL_IN_FLIGHT, cancel_response)),
    row(CANCEL_IN_FLIGHT,        ev.ResponseExpired,      always,              go(CANCELLED, remember_own, log_cancel_unconfirmed)),
    row(CANCEL_IN_FLIGHT,        ev.CancelUnsent,         attempts_left,       go(CANCEL_UNSENT, count_unsent)),
    row(CANCEL_IN_FLIGHT,        ev.CancelUnsent,         out_of_attempts,     go(CANCELLED, remember_own, log_cancel_unconfirmed)),
    row(CANCEL_UNSENT,           ev.ResponseExpired,      always,              go(CANCEL_IN_FLIGHT, cancel_response)),

    row(REQUESTED,               ENDS_SESSION,           always,              go(FAILED)),
    row(WITHDRAWN,               ENDS_SESSION,           always,              go(CANCELLED)),
    row(IN_PROGRESS,             ENDS_SESSION,           always,              go(FAILED, remember_own)),
    row(CANCELLINGS,             ENDS_SESSION,           always,              go(CANCELLED, remember_own)),

    row((FAILED, INCOMPLETE, CANCEL_IN_FLIGHT), ev.AnswerFailed, told_to_wait, stay(log_wait)),
    row((*IDLE, REQUESTED, WITHDRAWN, IN_PROGRESS, *CANCELLINGS), ev.ResponseEnded, always, stay(remember_ended)),
    row(LIVE,                    (ev.ErrorReceived, ev.CancelRefused), harmless, stay(log_debug)),
    row(LIVE,                    (ev.ErrorReceived, ev.CancelRefused), always,   stay(log_warning)),
    row((*UNASKED, IN_PROGRESS), ev.CreateRefused,        always,              stay(log_debug)),
    row(LIVE,                    ev.ModelEvent,           always,              ignore("the response's status stays what it is")),
    row(LIVE,                    (ev.Expired, ev.Signal), always,              ignore("another region's deadline, or nothing that ends a response")),
    row(LIVE,                    (ev.CallerEvent, ev.DeviceEvent, ev.SentenceEvent), always, ignore("generation is not playout, nor synthesis (R75)")),
    row(LIVE,                    (ev.LineEvent, ev.AppEvent), always,          ignore("a response is asked for when it is owed, and the way is clear")),
    doc="the response status; asks for responses and cancels them, and nothing else does",
    record=Response,
    states=(NONE, REQUESTED, BLOCKED, WITHDRAWN, IN_PROGRESS, *CANCELLINGS, *IDLE[1:], OVER),
    expired=ev.ResponseExpired,
)  # fmt: skip
