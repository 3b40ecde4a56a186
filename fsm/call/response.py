"""The response status: the only table that asks for a response and the only one that cancels one (R04, R13)."""

from fsm.call import events as ev
from fsm.call.common import closing
from fsm.call.effects import CancelResponse, Cause, CreateResponse, Level, Log
from fsm.call.guards import (
    ACTIVE_ALREADY,
    CANCELLINGS,
    CONFIRMED_SESSION,
    IDLE,
    free,
    heard_in_progress,
    known,
    no_audio,
    of_response,
    server_busy,
    server_interrupts,
    stalled,
    welcome,
)
from fsm.call.snapshot import Call, Response
from fsm.call.states import (
    BLOCKED,
    CANCEL_IN_FLIGHT,
    CANCEL_UNSENT,
    CANCELLED,
    COMPLETED,
    DUE,
    FAILED,
    IN_PROGRESS,
    INCOMPLETE,
    NONE,
    OVER,
    OWED,
    REQUESTED,
    SERVER_CANCELLING,
    WITHDRAWN,
)
from fsm.engine.notation import always, go, ignore, region, row, sets, stay

LIVE = (*IDLE, REQUESTED, BLOCKED, WITHDRAWN, IN_PROGRESS, *CANCELLINGS)
UNASKED = (*IDLE, BLOCKED, *CANCELLINGS)
"""Where a response may be that the server creates by itself: none is asked for, and none is being generated for the caller."""

HARMLESS = frozenset({"response_cancel_not_active", ACTIVE_ALREADY})
"""Errors that are normal races (R02); they are logged at DEBUG."""


def asked_and_free(call: Call, _: ev.AskingExpired) -> bool:
    """Is a response due, and is nothing in its way (R11)?"""
    return call.asking.state in (DUE, OWED) and free(call, None)


def servers_to_cancel(call: Call, _: ev.ResponseCreated) -> bool:
    """Does the caller speak over the server's own answer, in a session whose server cancels it?"""
    return server_interrupts(call, None) and call.session.state in CONFIRMED_SESSION


def attempts_left(call: Call, event: ev.CancelUnsent) -> bool:
    """May a cancel that did not leave be sent again (R05)?"""
    return of_response(call, event) and call.response.unsent + 1 < call.policy.cancel_attempts


def out_of_attempts(call: Call, event: ev.CancelUnsent) -> bool:
    """Has the cancel under way failed to leave once too often?"""
    return call.response.state is CANCEL_IN_FLIGHT and of_response(call, event) and not attempts_left(call, event)


def harmless(_: Call, event: ev.ErrorReceived | ev.CancelRefused) -> bool:
    """Is the error a normal race?"""
    return event.code in HARMLESS


def without_sound(call: Call, event: ev.PlayoutExpired) -> bool:
    """Does the response that is generated bring no sound, or the device no progress of it (R16, R79)?"""
    return heard_in_progress(call, event) and (no_audio(call, event) or stalled(call, event))


def create_response(call: Call, _: ev.AskingExpired) -> CreateResponse:
    """Ask for the response that is due."""
    return CreateResponse(call.asking.cause, call.asking.instructions)


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
    """Note an error of the server."""
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
def take_cause(call: Call, _: ev.AskingExpired) -> Cause:
    """Remember why the response is asked for (R12)."""
    return call.asking.cause


@sets("id", "unsent", "ended")
def take_id(call: Call, event: ev.ResponseCreated) -> tuple[str, int, tuple[str, ...]]:
    """The response that we asked for has an id; the one before it is done with."""
    return event.response_id, 0, _with(call, call.response.id)


@sets("id", "unsent", "ended", "cause")
def take_unasked(call: Call, event: ev.ResponseCreated) -> tuple[str, int, tuple[str, ...], Cause]:
    """A response that the server created by itself: it answers the caller's turn."""
    return event.response_id, 0, _with(call, call.response.id), Cause.USER_TURN


@sets("ended")
def remember_ended(call: Call, event: ev.ResponseEnded) -> tuple[str, ...]:
    """The response that the event names is done with (R06)."""
    return _with(call, event.response_id)


@sets("ended")
def remember_refused(call: Call, event: ev.ResponseCreated) -> tuple[str, ...]:
    """The response that was cancelled at its birth is done with."""
    return _with(call, event.response_id)


@sets("ended")
def remember_own(call: Call, _: ev.Event) -> tuple[str, ...]:
    """The live response is done with."""
    return _with(call, call.response.id)


@sets("unsent")
def count_unsent(call: Call, _: ev.CancelUnsent) -> int:
    """One more cancel that did not leave."""
    return call.response.unsent + 1


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
    row(IDLE,                    ev.AskingExpired,        asked_and_free,      go(REQUESTED, take_cause, create_response)),

    row(LIVE,                    ev.ResponseCreated,      known,               ignore("told twice, or late")),
    row(REQUESTED,               ev.ResponseCreated,      always,              go(IN_PROGRESS, take_id)),
    row(REQUESTED,               ev.InterruptionExpired,  always,              go(WITHDRAWN)),
    row(REQUESTED,               ev.CreateRefused,        server_busy,         go(BLOCKED, log_debug)),
    row(REQUESTED,               ev.CreateRefused,        always,              go(FAILED, log_warning)),
    row(REQUESTED,               ev.ResponseExpired,      always,              go(FAILED, log_create_unanswered)),

    row(WITHDRAWN,               ev.ResponseCreated,      always,              go(CANCEL_IN_FLIGHT, take_id, cancel_created)),
    row(WITHDRAWN,               ev.CreateRefused,        always,              go(CANCELLED, log_debug)),
    row(WITHDRAWN,               ev.ResponseExpired,      always,              go(CANCELLED, log_create_unanswered)),

    row(BLOCKED,                 ev.ResponseEnded,        always,              go(FAILED, remember_ended)),
    row(BLOCKED,                 (ev.ResponseExpired, ev.SessionLost), always, go(FAILED)),

    row(UNASKED,                 ev.ResponseCreated,      welcome,             go(IN_PROGRESS, take_unasked)),
    row(UNASKED,                 ev.ResponseCreated,      servers_to_cancel,   go(SERVER_CANCELLING, take_unasked)),
    row(UNASKED,                 ev.ResponseCreated,      always,              go(CANCEL_IN_FLIGHT, take_unasked, cancel_created)),

    row(IN_PROGRESS,             ev.InterruptionExpired,  server_interrupts,   go(SERVER_CANCELLING)),
    row(IN_PROGRESS,             ev.InterruptionExpired,  always,              go(CANCEL_IN_FLIGHT, cancel_response)),
    row(IN_PROGRESS,             ev.PlayoutExpired,       without_sound,       go(CANCEL_IN_FLIGHT, cancel_response, log_too_long)),
    row(IN_PROGRESS,             ev.ResponseExpired,      always,              go(CANCEL_IN_FLIGHT, cancel_response, log_too_long)),
    row(IN_PROGRESS,             ev.ResponseCreated,      always,              stay(remember_refused, cancel_created)),

    row((IN_PROGRESS, *CANCELLINGS), ev.ResponseCompleted,  of_response,       go(COMPLETED, remember_ended)),
    row((IN_PROGRESS, *CANCELLINGS), ev.ResponseCancelled,  of_response,       go(CANCELLED, remember_ended)),
    row((IN_PROGRESS, *CANCELLINGS), ev.ResponseFailed,     of_response,       go(FAILED, remember_ended)),
    row((IN_PROGRESS, *CANCELLINGS), ev.ResponseIncomplete, of_response,       go(INCOMPLETE, remember_ended)),

    row(SERVER_CANCELLING,       ev.ResponseExpired,      always,              go(CANCEL_IN_FLIGHT, cancel_response)),
    row(CANCEL_IN_FLIGHT,        ev.ResponseExpired,      always,              go(CANCELLED, remember_own, log_cancel_unconfirmed)),
    row(CANCEL_IN_FLIGHT,        ev.CancelUnsent,         attempts_left,       go(CANCEL_UNSENT, count_unsent)),
    row(CANCEL_IN_FLIGHT,        ev.CancelUnsent,         out_of_attempts,     go(CANCELLED, remember_own, log_cancel_unconfirmed)),
    row(CANCEL_UNSENT,           ev.ResponseExpired,      always,              go(CANCEL_IN_FLIGHT, cancel_response)),

    row(REQUESTED,               ev.SessionLost,          always,              go(FAILED)),
    row(WITHDRAWN,               ev.SessionLost,          always,              go(CANCELLED)),
    row(IN_PROGRESS,             ev.SessionLost,          always,              go(FAILED, remember_own)),
    row(CANCELLINGS,             ev.SessionLost,          always,              go(CANCELLED, remember_own)),

    row((*IDLE, REQUESTED, WITHDRAWN, IN_PROGRESS, *CANCELLINGS), ev.ResponseEnded, always, stay(remember_ended)),
    row(LIVE,                    (ev.ErrorReceived, ev.CancelRefused), harmless, stay(log_debug)),
    row(LIVE,                    (ev.ErrorReceived, ev.CancelRefused), always,   stay(log_warning)),
    row((*UNASKED, IN_PROGRESS), ev.CreateRefused,        always,              stay(log_debug)),
    row(LIVE,                    ev.ModelEvent,           always,              ignore("the response's status stays what it is")),
    row(LIVE,                    ev.Expired,              always,              ignore("another region's deadline")),
    row(LIVE,                    (ev.CallerEvent, ev.DeviceEvent, ev.SentenceEvent), always, ignore("generation is not playout, nor synthesis (R75)")),
    row(LIVE,                    (ev.LineEvent, ev.AppEvent), always,          ignore("a response is asked for by the asking table alone")),
    doc="the response status; asks for responses and cancels them, and nothing else does",
    record=Response,
    states=(NONE, REQUESTED, BLOCKED, WITHDRAWN, IN_PROGRESS, *CANCELLINGS, *IDLE[1:], OVER),
    expired=ev.ResponseExpired,
)  # fmt: skip
