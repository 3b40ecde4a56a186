"""What a call may ask of the world: every effect, an imperative; carrying one out is an adapter's work.

Effects of one step come in the order in which they must begin: the device first, then the network (DESIGN: silence first).
"""

from enum import StrEnum

import attrs

from fsm.engine.notation import Value


@attrs.frozen(eq=False, repr=False)
class Effect(Value):
    """Anything that the core asks for."""


class Cause(StrEnum):
    """Why a response is asked for (R12); a response that the server creates by itself answers a user turn."""

    GREETING = "greeting"
    USER_TURN = "user_turn"
    ENTRY = "keypad_entry"
    RECOVERY = "recovery"
    TOOL_RESULT = "tool_result"
    IDLE_PROMPT = "idle_prompt"
    FAREWELL = "farewell"
    LIMIT_WARNING = "limit_warning"
    NOTICE = "notice"
    TOOL_FILLER = "tool_filler"


class Reason(StrEnum):
    """Why a call ends: nothing else ends one (R41)."""

    CALLER_HUNG_UP = "the caller hung up"
    GOODBYE = "the goodbye was heard"
    APPLICATION = "the application asked"
    IDLE = "the caller was silent"
    LIMIT = "the call reached its maximum duration"
    RECEIVER_FAILED = "the receiver failed"
    INTERNAL = "a fault of our own"
    SESSION_REFUSED = "the session was refused"
    SESSION_LOST = "the session was lost"
    SESSION_UNCONFIRMED = "the session was not confirmed in time"
    MODEL_FAILED = "the model could not answer"
    VOICE_FAILED = "the voice could not speak"
    DEVICE_FAILED = "the audio device failed"
    NO_LINE = "the line carried no sound in time"


# The audio device or line.


@attrs.frozen(eq=False, repr=False)
class Admit(Effect):
    """From now on frames of `response_id` may be heard; those of any id never admitted, or flushed, may not."""

    response_id: str


class Hold(Effect):
    """Be silent at once and keep what is queued: the caller may be interrupting."""

    __slots__ = ()


class Resume(Effect):
    """End a hold: go on from the sample at which it stopped, with whatever is still queued (R74). One for each Hold."""

    __slots__ = ()


@attrs.frozen(eq=False, repr=False)
class Flush(Effect):
    """Be silent at once, drop what is queued of `response_id`, refuse its frames for good; answer with PlayoutStopped (R30, R31)."""

    response_id: str


@attrs.frozen(eq=False, repr=False)
class Retire(Effect):
    """Nothing more of `response_id` is awaited: refuse what still comes of it, and drop what is queued of it; nothing is answered (R69)."""

    response_id: str


@attrs.frozen(eq=False, repr=False)
class HangUp(Effect):
    """Close the line; at most once a call (R47)."""

    reason: Reason


# The realtime LLM.


class OpenSession(Effect):
    """Open the realtime socket anew, and close the old one if it is still there (R60, R85); the first is opened unasked."""

    __slots__ = ()


class ConfigureSession(Effect):
    """Send the session's one session.update (R39), and after it, in a session opened anew, what was said so far (R85)."""

    __slots__ = ()


class ProtectResponse(Effect):
    """Take from the server's VAD the rights to interrupt and to answer, while a notice is said (R36)."""

    __slots__ = ()


class ReleaseResponse(Effect):
    """Give the server's VAD the rights that it was denied while the greeting, or a notice, was protected (R36)."""

    __slots__ = ()


class CommitTurn(Effect):
    """Commit what the caller said as a turn: the server has no VAD, and ours heard the caller end."""

    __slots__ = ()


@attrs.frozen(eq=False, repr=False)
class CreateResponse(Effect):
    """Send response.create; nothing else in the program does (R13)."""

    cause: Cause
    instructions: str = ""


@attrs.frozen(eq=False, repr=False)
class CancelResponse(Effect):
    """Send response.cancel for `response_id`; nothing else in the program does (R04)."""

    response_id: str


@attrs.frozen(eq=False, repr=False)
class AddEntry(Effect):
    """Add what the caller entered on the keypad to the conversation, as the caller's words; the response is asked for apart."""

    digits: str


@attrs.frozen(eq=False, repr=False)
class SendToolResult(Effect):
    """Add a tool's answer to the conversation; the response is asked for apart."""

    tool_call_id: str
    output: str


@attrs.frozen(eq=False, repr=False)
class TruncateItem(Effect):
    """Make the model forget what of `item_id`'s content part the caller did not hear, from `audio_end_ms` on (R34, R71, R88)."""

    item_id: str
    audio_end_ms: int
    content_index: int = 0


@attrs.frozen(eq=False, repr=False)
class RewriteItem(Effect):
    """Make the model remember only `text` of `item_id`: a text that Chatterbox spoke cannot be truncated by milliseconds (R34)."""

    item_id: str
    text: str


@attrs.frozen(eq=False, repr=False)
class DeleteItem(Effect):
    """Make the model forget `item_id`: nothing of it was heard (R71)."""

    item_id: str


class CloseSession(Effect):
    """Close the realtime socket (R50)."""

    __slots__ = ()


# The Chatterbox server.


@attrs.frozen(eq=False, repr=False)
class Synthesise(Effect):
    """POST `text` for synthesis as `session_id`; its audio goes to the device as part of `response_id`."""

    session_id: str
    response_id: str
    text: str


@attrs.frozen(eq=False, repr=False)
class CancelSynthesis(Effect):
    """POST /cancel/`session_id` on a connection of its own, and drop whatever still comes of it (R65, R66)."""

    session_id: str


# The application.


@attrs.frozen(eq=False, repr=False)
class RunTool(Effect):
    """Run a tool of the application; it answers with ToolFinished. `arguments` is JSON."""

    tool_call_id: str
    name: str
    arguments: str


@attrs.frozen(eq=False, repr=False)
class TellEnded(Effect):
    """Tell the application that the call is over, and why: exactly once a call (R86). `detail` is the fault's own words, if any."""

    reason: Reason
    detail: str = ""


class Level(StrEnum):
    """How loud a log line is."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


@attrs.frozen(eq=False, repr=False)
class Log(Effect):
    """Write a log line; `code` is an error's code or the name of what was noticed, never speech."""

    level: Level
    code: str
    detail: str = ""
