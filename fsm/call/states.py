"""Every state of a call, and how long each may last; no table or guard is here.

Names read as participles or as the field's standard words. A state with `at_most` is left by its region's expiry event; one with
`for_ever` says what else ends it.
"""

from collections.abc import Callable
from typing import Any

import attrs

from fsm.call.policy import Policy
from fsm.engine.notation import State


def _limit(*settings: str) -> Callable[[Any], float]:
    """The sum of the policy's settings of these names, in milliseconds."""
    known = {field.name for field in attrs.fields(Policy)}
    assert known.issuperset(settings), settings

    def limit(call: Any) -> float:
        return float(sum([getattr(call.policy, setting) for setting in settings]))

    limit.__name__ = " + ".join(settings)
    return limit


def _until_warning(call: Any) -> float:
    return float(call.policy.call_ms - call.policy.call_warning_ms)


_until_warning.__name__ = "call_ms - call_warning_ms"


def _until_filler(call: Any) -> float:
    return float(call.policy.tool_filler_ms or call.policy.tool_ms)


_until_filler.__name__ = "tool_filler_ms, or tool_ms if that is 0"


def _after_filler(call: Any) -> float:
    return float(call.policy.tool_ms - call.policy.tool_filler_ms)


_after_filler.__name__ = "tool_ms - tool_filler_ms"


def _until_stall(call: Any) -> float:
    return float(call.policy.goodbye_stall_ms if call.hangup.state is GOODBYE else call.policy.stall_ms)


_until_stall.__name__ = "stall_ms, or goodbye_stall_ms"


def _until_retry(call: Any) -> float:
    policy = call.policy
    return float(max(policy.recovery_pause_ms, min(call.response.wait_ms, policy.retry_after_most_ms)))


_until_retry.__name__ = "recovery_pause_ms, or what the server says, retry_after_most_ms at most"


def _until_reconnect(call: Any) -> float:
    return float(call.policy.reconnect_pause_ms * 2.0**call.session.lost)


_until_reconnect.__name__ = "reconnect_pause_ms, doubled each time"


def _until_decided(call: Any) -> float:
    policy = call.policy
    return float(policy.detector_ms if policy.interruption_by == "detector" else policy.interruption_min_ms)


_until_decided.__name__ = "interruption_min_ms, or detector_ms"

OVER = State("over", "The call is closing or closed: nothing counts any more.", for_ever="nothing is awaited")

# The call phase.
LISTENING = State("listening", "The agent is silent and the caller may speak.", for_ever="the caller may take their time")
GREETING_LOCK = State("greeting_lock", "The accepted greeting is under way.", for_ever="the response's and the playout's deadlines end it")
AI_SPEAKING = State(
    "ai_speaking",
    "From the first sound of a response until it has both ended and been heard (R27).",
    for_ever="the response's and the playout's deadlines end it",
)
CANCELLING = State("cancelling", "Interrupted; the response's end is awaited (R73).", for_ever="the response's cancel deadline ends it")
CLOSING = State("closing", "The hang-up is sent; the line's end is awaited (R83).", at_most=_limit("closing_ms"))
CLOSED = State("closed", "The call is over.", for_ever="it is the end")

# The response status.
NONE = State("none", "No response yet.", for_ever="a response is asked for when one is wanted")
REQUESTED = State("requested", "response.create is sent; its answer is awaited (R14, R78).", at_most=_limit("create_ack_ms"))
BLOCKED = State(
    "blocked", "The server refused to create it: it still has an older one, whose end is awaited (R11).", at_most=_limit("busy_ms")
)
WITHDRAWN = State(
    "withdrawn", "Interrupted between create and created: cancelled as soon as it has an id (R68).", at_most=_limit("create_ack_ms")
)
IN_PROGRESS = State("in_progress", "The response is being generated.", at_most=_limit("response_ms"))
SERVER_CANCELLING = State("server_cancelling", "The server's VAD is to end it, so we do not (R02).", at_most=_limit("server_cancel_ms"))
CANCEL_IN_FLIGHT = State("cancel_in_flight", "Our one response.cancel is under way (R01).", at_most=_limit("cancel_ack_ms"))
CANCEL_UNSENT = State(
    "cancel_unsent", "The cancel is known not to have left: it may be sent again (R05).", at_most=_limit("cancel_retry_ms")
)
COMPLETED = State("completed", "Generated to its end.", for_ever="terminal")
CANCELLED = State("cancelled", "Cancelled, by us or by the server.", for_ever="terminal")
FAILED = State("failed", "Failed, refused, or never created.", for_ever="terminal")
INCOMPLETE = State("incomplete", "Stopped short by a filter or a limit.", for_ever="terminal")

# The playout: what the caller hears.
SILENT = State("silent", "Nothing may be heard.", for_ever="a response is admitted when it is created")
ADMITTED = State("admitted", "A response may be heard; no sound of it has come.", at_most=_limit("first_audio_ms"))
VOICELESS = State("voiceless", "Words of it have come, and no sound (R16).", at_most=_limit("no_sound_ms"))
ONSET = State("onset", "Its first sound is out: what is heard now may be its echo (R29).", at_most=_limit("echo_window_ms"))
PLAYING = State("playing", "It is being heard (R44, R79).", at_most=_until_stall)
TAIL = State("tail", "All that came has been sent; the line may hold a little more (R27).", at_most=_limit("line_tail_ms"))
STARVED = State("starved", "All that came has been heard, and more is to come (R75, R97).", at_most=_limit("mid_answer_ms"))

# The interruption.
CLEAR = State("clear", "Nobody interrupts.", for_ever="the caller need not speak")
ECHOED = State(
    "echoed", "A sound came so soon after ours that it may be its echo.", at_most=_limit("echo_window_ms", "interruption_min_ms")
)
SUSPECTED = State("suspected", "The caller made a sound; the voice is held (R29, R74).", at_most=_until_decided)
WORDS_AWAITED = State(
    "words_awaited",
    "The sound may interrupt; its words are to say whether they are a listener's (R29, R74).",
    at_most=_limit("interruption_words_ms"),
)
LOCKED = State("locked", "An interruption was just decided; what is heard now belongs to it (R29).", at_most=_limit("interruption_lock_ms"))

# The sentences of a Chatterbox voice.
RESTING = State("resting", "No sentence is in synthesis.", for_ever="the next sentence starts it")
SYNTHESISING = State("synthesising", "One sentence is in synthesis, at most one ahead of the one heard.", at_most=_limit("synthesis_ms"))
AHEAD = State("ahead", "A sentence is synthesised and waits to be heard.", for_ever="the playout's stall deadline ends it")

# The model's memory of what it said.
IN_STEP = State("in_step", "The model remembers what the caller heard.", for_ever="only an interruption changes it")
POSITION_AWAITED = State(
    "position_awaited", "The device is to say what was heard of each item that was flushed (R71, R88).", at_most=_limit("position_ms")
)

# The realtime session.
CONNECTING = State("connecting", "The socket is being opened.", at_most=_limit("session_ms"))
LOST = State("lost", "The socket is gone, and opened anew after a pause (R85).", at_most=_until_reconnect)
CONFIGURING = State("configuring", "session.update is sent; its echo is awaited (R39).", at_most=_limit("session_ms"))
GUARDED = State("guarded", "Confirmed; the server's VAD may not touch the greeting (R36).", at_most=_limit("greeting_ms"))
READY = State("ready", "Confirmed.", at_most=_limit("session_life_ms"))
AGED = State("aged", "Confirmed, and soon too old: opened anew when nothing goes on (R60).", at_most=_limit("session_recycle_ms"))

# The line.
LINE_AWAITED = State("awaited", "The line does not carry sound yet (R40).", at_most=_limit("line_ms"))
OPEN = State("open", "The line carries sound.", for_ever="its end is an event")

# The noise floor.
CALIBRATING = State("calibrating", "The noise floor is not known: a sound is no barge-in.", at_most=_limit("calibration_ms"))
CALIBRATED = State("calibrated", "The noise floor is known.", for_ever="it is known for the call")

# The caller's turn.
QUIET = State("quiet", "The caller is not speaking.", for_ever="the caller may take their time")
SPEAKING = State("speaking", "The caller is speaking (R19).", at_most=_limit("speaking_ms"))
STOPPED = State(
    "stopped",
    "The caller stopped; the commit of the turn is awaited (R24), and a refused one is no turn (R95).",
    at_most=_limit("turn_close_ms"),
)

# The pending response: what is owed to the caller.
NOTHING = State("nothing", "Nothing is owed.", for_ever="a turn, a tool's answer, an entry, a notice or a failure makes a response owed")
PREPARING = State("preparing", "The greeting is owed; its text is awaited.", at_most=_limit("session_ms"))
PAUSED = State("paused", "A response failed: it is asked for again after a pause (R15, R92).", at_most=_until_retry)
OWED = State("owed", "The server is to answer the turn by itself.", at_most=_limit("watchdog_ms"))
WANTED = State(
    "wanted",
    "A response is owed, and something is in the way.",
    for_ever="whatever is in the way has a deadline, and what ends it makes the response due",
)

# A number entered on the keypad.
NO_ENTRY = State("no_entry", "No key was pressed.", for_ever="the caller need not press any")
ENTERING = State("entering", "Digits come in.", at_most=_limit("dtmf_pause_ms"))
SUBMITTED = State("submitted", "Handed in: a terminator that comes now belongs to it (R63).", at_most=_limit("dtmf_pause_ms"))

# Tools.
NO_TOOL = State("no_tool", "No tool runs.", for_ever="the model need not call one")
TOOL_RUNNING = State("running", "A tool runs: the call is not idle (R80).", at_most=_until_filler)
TOOL_SLOW = State("slow", "A tool has run so long that the caller may be told so (R80).", at_most=_after_filler)

# Responses without sound.
WARM = State("warm", "A response without sound may be replaced.", for_ever="most responses have sound")
COOLING = State("cooling", "One was replaced a moment ago (R16).", at_most=_limit("no_sound_cooldown_ms"))

# Silence on both sides.
DISARMED = State("disarmed", "Something goes on, or is to come.", for_ever="the end of what is heard arms it")
ARMED = State("armed", "Silence is counted from the end of what was heard (R51).", at_most=_limit("idle_ms"))

# The maximum duration.
UNLIMITED = State("unlimited", "The call may go on.", at_most=_until_warning)
WARNED = State("warned", "The call is near its end (R82).", at_most=_limit("call_warning_ms"))

# The hang-up.
STAYING = State("staying", "Nobody wishes to end the call.", for_ever="a call may last")
GOODBYE = State("goodbye", "A goodbye is being said: hang up when it has been heard (R42).", at_most=_limit("goodbye_ms"))
PARTING = State("parting", "The response that says goodbye is asked for.", at_most=_limit("goodbye_ms"))
