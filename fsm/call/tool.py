"""The model's tool calls: while one runs, the call is neither idle nor answered anew, whatever is said meanwhile (R80)."""

from fsm.call import events as ev
from fsm.call.common import closing
from fsm.call.effects import Level, Log, RunTool, SendToolResult
from fsm.call.guards import CANCELLINGS, HELD
from fsm.call.snapshot import Call, Tool, ToolCall
from fsm.call.states import (
    BLOCKED,
    CANCELLED,
    ECHOED,
    FAILED,
    INCOMPLETE,
    NO_TOOL,
    OVER,
    REQUESTED,
    TOOL_RUNNING,
    TOOL_SLOW,
    WITHDRAWN,
)
from fsm.engine.notation import always, go, ignore, raises, region, row, sets, several, stay

RUNNING = (TOOL_RUNNING, TOOL_SLOW)
LIVE = (NO_TOOL, *RUNNING)
PAST = (REQUESTED, BLOCKED, FAILED, INCOMPLETE)
"""Response statuses in which the last response that has an id is past, and may not have been whole."""
NOT_RUN = "error: not carried out: its answer was cut off"
"""What the model is told of a call that was not whole when its response was interrupted, or that waited for that decision (R90)."""
NOT_BEGUN = "error: not carried out: the connection was lost before it began"
"""The same of a call that waited for that decision when its process went (R110)."""
UNKNOWN = "error: the connection was lost while it ran: whether it was carried out is not known"
"""What the model is told of a call that ran when its process went (R110)."""


def told_already(call: Call, event: ev.ToolCalled) -> bool:
    """Is that tool call known (R89)?"""
    return event.tool_call_id in call.tool.told


def not_ours(call: Call, event: ev.ToolCalled) -> bool:
    """Does it belong to a response that is neither generated nor was to its end: not the last one, or one that failed (R90)?"""
    return event.response_id not in ("", call.response.id) or (bool(event.response_id) and call.response.state in PAST)


def cut_off(call: Call, _: ev.ToolCalled) -> bool:
    """Was its response interrupted before the call was whole (R90)?"""
    return call.response.state in (WITHDRAWN, *CANCELLINGS, CANCELLED)


def cut_at_birth(call: Call, event: ev.ToolCalled) -> bool:
    """Is it of a response that was cancelled at its birth, and has not ended (R68, R90)?"""
    return event.response_id in call.response.unwanted


def undecided(call: Call, _: ev.ToolCalled) -> bool:
    """Is it not known yet whether the caller interrupts?"""
    return call.interruption.state in (ECHOED, *HELD)


def too_many(call: Call, _: ev.ToolCalled) -> bool:
    """Do as many tools run as may (R07)?"""
    return len(call.tool.pending) + len(call.tool.waiting) >= call.policy.tools_at_once


def waits(call: Call, _: object) -> bool:
    """Does a tool call wait for that decision?"""
    return bool(call.tool.waiting)


def of_waiting(call: Call, event: ev.ResponseCancelled) -> bool:
    """Was the response cancelled whose tool call waits?"""
    return any(waiting.response_id == event.response_id for waiting in call.tool.waiting)


def some_repeatable(call: Call, event: ev.TakenUp) -> bool:
    """May one of the tools that ran run again?"""
    return bool(_repeated(call, event))


def last_of_pending(call: Call, event: ev.ToolFinished) -> bool:
    """Is it the only tool that runs?"""
    return call.tool.pending == (event.tool_call_id,)


def of_pending(call: Call, event: ev.ToolFinished) -> bool:
    """Does that tool run?"""
    return event.tool_call_id in call.tool.pending


def run_tool(_: Call, event: ev.ToolCalled) -> RunTool:
    """Let the application run it."""
    return RunTool(event.tool_call_id, event.name, event.arguments)


def refuse_tool(_: Call, event: ev.ToolCalled) -> SendToolResult:
    """Tell the model that too many run."""
    return SendToolResult(event.tool_call_id, "error: too many tools at once")


def refuse_cut(_: Call, event: ev.ToolCalled) -> SendToolResult:
    """Tell the model that the call was not carried out."""
    return SendToolResult(event.tool_call_id, NOT_RUN)


@several
def run_waiting(call: Call, _: ev.VoiceResumed) -> tuple[RunTool, ...]:
    """Let the application run the tools that waited."""
    return tuple(RunTool(waiting.id, waiting.name, waiting.arguments) for waiting in call.tool.waiting)


@several
def refuse_waiting(call: Call, _: ev.Event) -> tuple[SendToolResult, ...]:
    """Tell the model that the calls that waited were not carried out."""
    return tuple(SendToolResult(waiting.id, NOT_RUN) for waiting in call.tool.waiting)


@several
def refuse_lost(call: Call, _: ev.TakenUp) -> tuple[SendToolResult, ...]:
    """Tell the model that the calls that waited were not begun."""
    return tuple(SendToolResult(waiting.id, NOT_BEGUN) for waiting in call.tool.waiting)


@several
def run_again(call: Call, event: ev.TakenUp) -> tuple[RunTool, ...]:
    """Let the application run those again that may run twice."""
    return tuple(RunTool(one.tool_call_id, one.name, one.arguments) for one in _repeated(call, event))


@several
def tell_unknown(call: Call, event: ev.TakenUp) -> tuple[SendToolResult, ...]:
    """Tell the model that what became of the others is not known."""
    repeated = [one.tool_call_id for one in _repeated(call, event)]
    return tuple(SendToolResult(tool, UNKNOWN) for tool in call.tool.pending if tool not in repeated)


def send_result(_: Call, event: ev.ToolFinished) -> SendToolResult:
    """Tell the model the result."""
    return SendToolResult(event.tool_call_id, event.output)


def send_timeout(call: Call, _: ev.ToolExpired) -> SendToolResult:
    """Tell the model that the tool that was called first did not answer."""
    return SendToolResult(call.tool.pending[0], "error: the tool did not answer in time")


def log_timeout(_: Call, __: ev.ToolExpired) -> Log:
    """Note a tool that did not answer."""
    return Log(Level.WARNING, "tool_timeout")


def waits_for_filler(call: Call, _: ev.ToolExpired) -> bool:
    """Has a tool run so long that the caller may be told so, and may it run longer (R80)?"""
    return call.tool.state is TOOL_RUNNING and call.policy.tool_filler_ms > 0


def others_pending(call: Call, _: ev.ToolExpired) -> bool:
    """Do other tools run besides the one that was called first?"""
    return len(call.tool.pending) > 1


@sets("pending", "told")
def add(call: Call, event: ev.ToolCalled) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """One more tool runs."""
    return (*call.tool.pending, event.tool_call_id), _told(call, event)


@sets("told")
def note_told(call: Call, event: ev.ToolCalled) -> tuple[str, ...]:
    """The call is known, and answered."""
    return _told(call, event)


@sets("waiting", "told")
def let_wait(call: Call, event: ev.ToolCalled) -> tuple[tuple[ToolCall, ...], tuple[str, ...]]:
    """The call waits."""
    waiting = ToolCall(event.tool_call_id, event.name, event.arguments, event.response_id)
    return (*call.tool.waiting, waiting), _told(call, event)


@sets("pending", "waiting")
def add_waiting(call: Call, _: ev.VoiceResumed) -> tuple[tuple[str, ...], tuple[ToolCall, ...]]:
    """The calls that waited run."""
    return (*call.tool.pending, *(waiting.id for waiting in call.tool.waiting)), ()


@sets("waiting")
def drop_waiting(_: Call, __: ev.Event) -> tuple[ToolCall, ...]:
    """No call waits."""
    return ()


@sets("pending", "waiting")
def keep_repeated(call: Call, event: ev.TakenUp) -> tuple[tuple[str, ...], tuple[ToolCall, ...]]:
    """Those that run again run, and no call waits."""
    return tuple(one.tool_call_id for one in _repeated(call, event)), ()


def _repeated(call: Call, event: ev.TakenUp) -> tuple[ev.ToolCalled, ...]:
    return tuple(one for one in event.repeatable if one.tool_call_id in call.tool.pending)


def _told(call: Call, event: ev.ToolCalled) -> tuple[str, ...]:
    return (*call.tool.told, event.tool_call_id)[-call.policy.remembered_ids :]


@sets("pending")
def remove(call: Call, event: ev.ToolFinished) -> tuple[str, ...]:
    """One tool has answered."""
    return tuple(tool for tool in call.tool.pending if tool != event.tool_call_id)


@sets("pending")
def remove_first(call: Call, _: ev.ToolExpired) -> tuple[str, ...]:
    """The tool that was called first is given up."""
    return call.tool.pending[1:]


TOOL = region(
    "tool",
    *closing(LIVE),
    #   while          on                if               then
    row(LIVE,          ev.ToolCalled,    told_already,    ignore("told twice, or again after its answer (R89)")),
    row(LIVE,          ev.ToolCalled,    cut_at_birth,    stay(note_told, refuse_cut)),
    row(LIVE,          ev.ToolCalled,    not_ours,        ignore("of a response that is not ours, or is past (R90)")),
    row(LIVE,          ev.ToolCalled,    cut_off,         stay(note_told, refuse_cut)),
    row(LIVE,          ev.ToolCalled,    too_many,        stay(note_told, refuse_tool)),
    row(LIVE,          ev.ToolCalled,    undecided,       stay(let_wait)),
    row(NO_TOOL,       ev.ToolCalled,    always,          go(TOOL_RUNNING, add, run_tool)),
    row(RUNNING,       ev.ToolCalled,    always,          stay(add, run_tool)),
    row(NO_TOOL,       ev.VoiceResumed,  waits,           go(TOOL_RUNNING, add_waiting, run_waiting)),
    row(RUNNING,       ev.VoiceResumed,  always,          stay(add_waiting, run_waiting)),
    row(LIVE,          ev.BargedIn,      always,          stay(drop_waiting, refuse_waiting)),
    row(LIVE,          ev.ResponseCancelled, of_waiting,  stay(drop_waiting, refuse_waiting)),
    row(RUNNING,       ev.ToolFinished,  last_of_pending, go(NO_TOOL, remove, send_result, raises(ev.ToolsAnswered))),
    row(RUNNING,       ev.ToolFinished,  of_pending,      stay(remove, send_result)),
    row(TOOL_RUNNING,  ev.ToolExpired,   waits_for_filler, go(TOOL_SLOW)),
    row(RUNNING,       ev.ToolExpired,   others_pending,  go(TOOL_SLOW, send_timeout, remove_first, log_timeout)),
    row(RUNNING,       ev.ToolExpired,   always,          go(NO_TOOL, send_timeout, remove_first, log_timeout, raises(ev.ToolsAnswered))),

    row(RUNNING,       ev.TakenUp,       some_repeatable, stay(keep_repeated, run_again, tell_unknown, refuse_lost)),
    row(RUNNING,       ev.TakenUp,       always,          go(NO_TOOL, keep_repeated, tell_unknown, refuse_lost, raises(ev.ToolsAnswered))),
    row(NO_TOOL,       ev.TakenUp,       waits,           stay(drop_waiting, refuse_lost, raises(ev.ToolsAnswered))),

    row(LIVE,          ev.AppEvent,      always,          ignore("of a tool that is given up, or of none")),
    row(LIVE,          ev.ModelEvent,    always,          ignore("what is said meanwhile does not end a tool (R80)")),
    row(LIVE,          (ev.Expired, ev.Signal), always,   ignore("another region's deadline, or no end of a tool")),
    row(LIVE,          (ev.CallerEvent, ev.DeviceEvent, ev.SentenceEvent, ev.LineEvent), always, ignore("what is said meanwhile does not end a tool (R80)")),
    doc="the model's tool calls",
    record=Tool,
    states=(*LIVE, OVER),
    expired=ev.ToolExpired,
)  # fmt: skip
