"""The model's tool calls: while one runs, the call is neither idle nor answered anew, whatever is said meanwhile (R80)."""

from fsm.call import events as ev
from fsm.call.common import closing
from fsm.call.effects import Level, Log, RunTool, SendToolResult
from fsm.call.snapshot import Call, Tool
from fsm.call.states import NO_TOOL, OVER, TOOL_RUNNING, TOOL_SLOW
from fsm.engine.notation import always, go, ignore, region, row, sets, stay

RUNNING = (TOOL_RUNNING, TOOL_SLOW)
LIVE = (NO_TOOL, *RUNNING)


def told_already(call: Call, event: ev.ToolCalled) -> bool:
    """Is that tool call known?"""
    return event.tool_call_id in call.tool.pending


def too_many(call: Call, _: ev.ToolCalled) -> bool:
    """Do as many tools run as may (R07)?"""
    return len(call.tool.pending) >= call.policy.tools_at_once


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


@sets("pending")
def add(call: Call, event: ev.ToolCalled) -> tuple[str, ...]:
    """One more tool runs."""
    return (*call.tool.pending, event.tool_call_id)


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
    row(RUNNING,       ev.ToolCalled,    told_already,    ignore("told twice")),
    row(RUNNING,       ev.ToolCalled,    too_many,        stay(refuse_tool)),
    row(NO_TOOL,       ev.ToolCalled,    always,          go(TOOL_RUNNING, add, run_tool)),
    row(RUNNING,       ev.ToolCalled,    always,          stay(add, run_tool)),
    row(RUNNING,       ev.ToolFinished,  last_of_pending, go(NO_TOOL, remove, send_result)),
    row(RUNNING,       ev.ToolFinished,  of_pending,      stay(remove, send_result)),
    row(TOOL_RUNNING,  ev.ToolExpired,   waits_for_filler, go(TOOL_SLOW)),
    row(RUNNING,       ev.ToolExpired,   others_pending,  go(TOOL_SLOW, send_timeout, remove_first, log_timeout)),
    row(RUNNING,       ev.ToolExpired,   always,          go(NO_TOOL, send_timeout, remove_first, log_timeout)),

    row(LIVE,          ev.AppEvent,      always,          ignore("of a tool that is given up, or of none")),
    row(LIVE,          ev.ModelEvent,    always,          ignore("what is said meanwhile does not end a tool (R80)")),
    row(LIVE,          ev.Expired,       always,          ignore("another region's deadline")),
    row(LIVE,          (ev.CallerEvent, ev.DeviceEvent, ev.SentenceEvent, ev.LineEvent), always, ignore("what is said meanwhile does not end a tool (R80)")),
    doc="the model's tool calls",
    record=Tool,
    states=(*LIVE, OVER),
    expired=ev.ToolExpired,
)  # fmt: skip
