"""What is known of the line and the caller: three small tables, that the line is open, that the noise floor is known, and the caller's turn.

The turn is kept from the first event to the last, whatever the agent is doing: an interruption or a greeting never touches it (R22, R76).
"""

from fsm.call import events as ev
from fsm.call.common import closing
from fsm.call.effects import CommitTurn
from fsm.call.guards import answers_by_itself, sessionless
from fsm.call.snapshot import Call, Turn
from fsm.call.states import CALIBRATED, CALIBRATING, LINE_AWAITED, OPEN, OVER, QUIET, SPEAKING, STOPPED
from fsm.engine.notation import Record, always, go, ignore, raises, region, row, sets, stay


def ours_to_commit(call: Call, _: ev.SpeechStopped) -> bool:
    """Does the server have no VAD, so that we commit the turn?"""
    return call.policy.turns == "local"


def commit_turn(_: Call, __: ev.SpeechStopped) -> CommitTurn:
    """Commit the turn."""
    return CommitTurn()


def told_twice(call: Call, event: ev.TurnCommitted | ev.SpeechStopped) -> bool:
    """Is it about the turn that was committed last (R21)? A stop without a start is none, as after the greeting (R76)."""
    return bool(event.item_id) and event.item_id == call.turn.item_id


def taken_already(call: Call, _: ev.TurnCommitted) -> bool:
    """Is it the late commit of the turn that was taken without one (R24)?"""
    return call.turn.uncommitted


@sets("uncommitted")
def begin_turn(_: Call, __: ev.SpeechStarted) -> bool:
    """Whatever is committed next is a turn of its own."""
    return False


@sets("item_id", "uncommitted")
def take_item(_: Call, event: ev.TurnCommitted) -> tuple[str, bool]:
    """The turn's item."""
    return event.item_id, False


@sets("uncommitted")
def take_uncommitted(_: Call, __: ev.Event) -> bool:
    """The turn is taken without its commit."""
    return True


@sets("turns")
def count_turn(call: Call, _: ev.Event) -> int:
    """One more turn, as far as anyone asks (R46)."""
    return min(call.turn.turns + 1, call.policy.least_turns)


LINE = region(
    "line",
    *closing((LINE_AWAITED, OPEN)),
    #   while               on                on      then
    row(LINE_AWAITED,       ev.LineOpened,    always, go(OPEN)),
    row(LINE_AWAITED,       ev.LineExpired,   always, go(OVER)),
    row((LINE_AWAITED, OPEN), ev.TakenUp,     always, go(LINE_AWAITED)),
    row((LINE_AWAITED, OPEN), (ev.LineEvent, ev.AppEvent), always, ignore("the line is as it was")),
    row((LINE_AWAITED, OPEN), (ev.Expired, ev.Signal), always, ignore("another region's deadline, or nothing of the line")),
    row((LINE_AWAITED, OPEN), (ev.ModelEvent, ev.CallerEvent, ev.DeviceEvent, ev.SentenceEvent), always, ignore("the line is as it was")),
    doc="whether the line carries sound",
    record=Record,
    states=(LINE_AWAITED, OPEN, OVER),
    expired=ev.LineExpired,
)  # fmt: skip

CALIBRATION = region(
    "calibration",
    *closing((CALIBRATING, CALIBRATED)),
    #   while                     on                     if      then
    row(CALIBRATING,              ev.VadCalibrated,      always, go(CALIBRATED)),
    row(CALIBRATING,              ev.CalibrationExpired, always, go(CALIBRATED)),
    row((CALIBRATING, CALIBRATED), ev.CallerEvent,       always, ignore("it tells nothing about the noise floor, or nothing new")),
    row((CALIBRATING, CALIBRATED), (ev.Expired, ev.Signal), always, ignore("another region's deadline, or nothing of the noise floor")),
    row((CALIBRATING, CALIBRATED), (ev.ModelEvent, ev.DeviceEvent, ev.SentenceEvent, ev.LineEvent, ev.AppEvent), always, ignore("it tells nothing about the noise floor")),
    doc="whether the noise floor is known",
    record=Record,
    states=(CALIBRATING, CALIBRATED, OVER),
    expired=ev.CalibrationExpired,
)  # fmt: skip

TURN = region(
    "turn",
    *closing((QUIET, SPEAKING, STOPPED)),
    #   while                     on                   if                 then
    row((QUIET, SPEAKING),        ev.SpeechStopped,    told_twice,        ignore("its turn is committed already (R21)")),
    row((QUIET, SPEAKING, STOPPED), ev.TurnCommitted,  told_twice,        ignore("it was committed before (R21)")),
    row((QUIET, STOPPED),         ev.SpeechStarted,    always,            go(SPEAKING, begin_turn)),
    row((QUIET, SPEAKING),        ev.SpeechStopped,    ours_to_commit,    go(STOPPED, commit_turn)),
    row((QUIET, SPEAKING),        ev.SpeechStopped,    always,            go(STOPPED)),
    row((SPEAKING, STOPPED),      ev.TurnCommitted,    always,            go(QUIET, count_turn, take_item, raises(ev.TurnTaken))),
    row(QUIET,                    ev.TurnCommitted,    taken_already,     stay(take_item)),
    row(QUIET,                    ev.TurnCommitted,    always,            stay(count_turn, take_item, raises(ev.TurnTaken))),
    row(STOPPED,                  ev.CommitRefused,    always,            go(QUIET)),
    row(STOPPED,                  ev.TurnExpired,      sessionless,       go(STOPPED)),
    row(SPEAKING,                 ev.TurnExpired,      sessionless,       go(QUIET, count_turn)),
    row((SPEAKING, STOPPED),      ev.TurnExpired,      always,            go(QUIET, count_turn, take_uncommitted, raises(ev.TurnTaken))),
    row((SPEAKING, STOPPED),      (ev.SessionLost, ev.TakenUp), always,   go(STOPPED)),
    row(STOPPED,                  ev.SessionConfirmed, always,            go(STOPPED)),
    row(STOPPED,                  ev.ResponseCreated,  answers_by_itself, go(QUIET, count_turn, take_uncommitted)),
    row((QUIET, SPEAKING, STOPPED), ev.CallerEvent,    always,            ignore("told twice, or it neither begins nor ends a turn")),
    row((QUIET, SPEAKING, STOPPED), ev.ModelEvent,     always,            ignore("the model does not end the caller's turn")),
    row((QUIET, SPEAKING, STOPPED), (ev.Expired, ev.Signal), always,      ignore("another region's deadline, or nothing of the caller's")),
    row((QUIET, SPEAKING, STOPPED), (ev.DeviceEvent, ev.SentenceEvent, ev.LineEvent, ev.AppEvent), always, ignore("what the agent does is not the caller's turn")),
    doc="the caller's turn, from the first sound to its commit",
    record=Turn,
    states=(QUIET, SPEAKING, STOPPED, OVER),
    expired=ev.TurnExpired,
)  # fmt: skip
