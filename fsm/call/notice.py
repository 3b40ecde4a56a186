"""What the application has to say: a notice waits until the floor is free, and is then heard to its end (R36).

Whatever may free the floor makes it due, and `NoticeExpired` then finds it free or not.
"""

from fsm.call import events as ev
from fsm.call.common import closing
from fsm.call.effects import Cause, Level, Log
from fsm.call.guards import notice_may_begin, sessionless, told_twice
from fsm.call.snapshot import Call, Notice
from fsm.call.states import NO_NOTICE, NOTICE_DUE, NOTICE_WAITING, OVER, PAUSED, WANTED
from fsm.engine.notation import always, go, ignore, region, row, sets, stay

PENDING = (NOTICE_WAITING, NOTICE_DUE)
LIVE = (NO_NOTICE, *PENDING)


def full(call: Call, _: ev.NoticeRequested) -> bool:
    """Do as many notices wait as may (R07)?"""
    return len(call.notice.waiting) >= call.policy.queued_notices


def last_begins(call: Call, event: ev.NoticeExpired) -> bool:
    """Is the floor free for the only notice that waits?"""
    return notice_may_begin(call, event) and len(call.notice.waiting) == 1


def displaced(call: Call, _: ev.TurnExpired) -> bool:
    """Does a turn of the caller take the place of a notice that failed and was to be tried again?"""
    return not sessionless(call, None) and call.asking.cause is Cause.NOTICE and call.asking.state in (PAUSED, WANTED)


def displaced_by_turn(call: Call, event: ev.TurnCommitted) -> bool:
    """The same, by a turn that is told for the first time (R21)?"""
    return not told_twice(call, event) and call.asking.cause is Cause.NOTICE and call.asking.state in (PAUSED, WANTED)


def log_dropped(_: Call, __: ev.NoticeRequested) -> Log:
    """Note a notice for which there is no room."""
    return Log(Level.WARNING, "notice_dropped")


@sets("waiting")
def add(call: Call, event: ev.NoticeRequested) -> tuple[str, ...]:
    """One more notice waits."""
    return (*call.notice.waiting, event.text)


@sets("waiting")
def put_back(call: Call, _: ev.Event) -> tuple[str, ...]:
    """It is the first that waits again."""
    return (call.asking.instructions, *call.notice.waiting)[: call.policy.queued_notices]


@sets("waiting")
def remove(call: Call, _: ev.NoticeExpired) -> tuple[str, ...]:
    """The oldest waits no longer."""
    return call.notice.waiting[1:]


NOTICE = region(
    "notice",
    *closing(LIVE),
    #   while            on                   if                then
    row(NO_NOTICE,       ev.NoticeRequested,  always,           go(NOTICE_DUE, add)),
    row(PENDING,         ev.NoticeRequested,  full,             stay(log_dropped)),
    row(PENDING,         ev.NoticeRequested,  always,           stay(add)),
    row(LIVE,            ev.TurnCommitted,    displaced_by_turn, go(NOTICE_WAITING, put_back)),
    row(LIVE,            ev.TurnExpired,      displaced,        go(NOTICE_WAITING, put_back)),
    row(NOTICE_DUE,      ev.NoticeExpired,    last_begins,      go(NO_NOTICE, remove)),
    row(NOTICE_DUE,      ev.NoticeExpired,    notice_may_begin, go(NOTICE_WAITING, remove)),
    row(NOTICE_DUE,      ev.NoticeExpired,    always,           go(NOTICE_WAITING)),
    row(NOTICE_WAITING,  (ev.ModelEvent, ev.CallerEvent, ev.LineEvent), always, go(NOTICE_DUE)),
    row(NOTICE_WAITING,  (ev.TurnDismissed, ev.Expired), always, go(NOTICE_DUE)),

    row(LIVE,            ev.AppEvent,         always,           ignore("it asks for no notice, and frees no floor")),
    row((NO_NOTICE, NOTICE_DUE), ev.Expired,  always,           ignore("another region's deadline")),
    row((NO_NOTICE, NOTICE_DUE), (ev.ModelEvent, ev.CallerEvent, ev.LineEvent), always, ignore("no notice waits, or one is due anyway")),
    row(LIVE,            (ev.DeviceEvent, ev.SentenceEvent), always, ignore("what is heard ends by the playout's deadline")),
    doc="what the application has to say",
    record=Notice,
    states=(*LIVE, OVER),
    expired=ev.NoticeExpired,
)  # fmt: skip
