"""The model's memory: after an interruption it must remember what the caller heard, and nothing more (R34, R71)."""

from fsm.call import events as ev
from fsm.call.common import closing
from fsm.call.effects import DeleteItem, Level, Log, TruncateItem
from fsm.call.guards import AUDIBLE, of_playout, protected
from fsm.call.snapshot import Call, Memory
from fsm.call.states import IN_STEP, OVER, POSITION_AWAITED
from fsm.engine.notation import always, go, ignore, region, row, sets

LIVE = (IN_STEP, POSITION_AWAITED)


def nothing_heard_of(call: Call, _: ev.InterruptionExpired) -> bool:
    """Is no item being heard, so that there is nothing to correct?"""
    return call.playout.state not in AUDIBLE or not call.playout.item_id


def cut_by_server(call: Call, event: ev.ResponseCancelled) -> bool:
    """Did the server cut an item that is being heard?"""
    return of_playout(call, event) and call.playout.state in AUDIBLE and bool(call.playout.item_id)


def unheard(call: Call, event: ev.PlayoutStopped) -> bool:
    """Was nothing of the interrupted item heard?"""
    return event.response_id == call.memory.id and event.played_ms < 1


def heard_in_part(call: Call, event: ev.PlayoutStopped) -> bool:
    """Was less heard of the interrupted item than the model sent?"""
    return event.response_id == call.memory.id and event.played_ms < event.received_ms


def heard_in_full(call: Call, event: ev.PlayoutStopped) -> bool:
    """Was everything heard?"""
    return event.response_id == call.memory.id


def truncate_item(call: Call, event: ev.PlayoutStopped) -> TruncateItem:
    """Cut the item to what was played: never more than was received, never by a wall clock (R71)."""
    return TruncateItem(call.memory.item_id, int(event.played_ms))


def delete_item(call: Call, _: ev.PlayoutStopped) -> DeleteItem:
    """Forget an item of which nothing was heard."""
    return DeleteItem(call.memory.item_id)


def log_unknown(call: Call, _: ev.MemoryExpired) -> Log:
    """Note that the device did not say what it played."""
    return Log(Level.WARNING, "played_position_unknown", call.memory.id)


@sets("id", "item_id")
def take_item(call: Call, _: ev.Event) -> tuple[str, str]:
    """The item whose played part is awaited."""
    return call.playout.id, call.playout.item_id


MEMORY = region(
    "memory",
    *closing(LIVE),
    #   while               on                       if                 then
    row(LIVE,               ev.InterruptionExpired,  protected,         ignore("the greeting is heard to its end (R36)")),
    row(LIVE,               ev.InterruptionExpired,  nothing_heard_of,  ignore("nothing of an item was heard")),
    row(LIVE,               ev.InterruptionExpired,  always,            go(POSITION_AWAITED, take_item)),
    row(LIVE,               ev.ResponseCancelled,    cut_by_server,     go(POSITION_AWAITED, take_item)),

    row(POSITION_AWAITED,   ev.PlayoutStopped,       unheard,           go(IN_STEP, delete_item)),
    row(POSITION_AWAITED,   ev.PlayoutStopped,       heard_in_part,     go(IN_STEP, truncate_item)),
    row(POSITION_AWAITED,   ev.PlayoutStopped,       heard_in_full,     go(IN_STEP)),
    row(POSITION_AWAITED,   ev.MemoryExpired,        always,            go(IN_STEP, log_unknown)),

    row(LIVE,               ev.DeviceEvent,          always,            ignore("only the answer to a flush says what was heard (R71)")),
    row(LIVE,               ev.ModelEvent,           always,            ignore("only an interruption puts the memory out of step")),
    row(LIVE,               ev.Expired,              always,            ignore("another region's deadline")),
    row(LIVE,               (ev.CallerEvent, ev.SentenceEvent, ev.LineEvent, ev.AppEvent), always, ignore("only an interruption puts the memory out of step")),
    doc="what the model must forget after an interruption",
    record=Memory,
    states=(*LIVE, OVER),
    expired=ev.MemoryExpired,
)  # fmt: skip
