"""The snapshot of a call: one record a region, complete at construction, frozen; nothing about a call is kept anywhere else."""

import attrs

from fsm.call import states
from fsm.call.effects import Cause, Reason
from fsm.call.policy import Policy
from fsm.engine.notation import Record, State, Value


@attrs.frozen(repr=False)
class Sentence(Value):
    """A sentence that waits for synthesis: its response, its number from 1, what to say, and the item that it is part of."""

    response_id: str
    number: int
    text: str
    item_id: str = ""


@attrs.frozen(repr=False)
class Spoken(Value):
    """A sentence that went to the device, of which response and item, how long it lasts, where in its response it began to be heard, and
    until it does its synthesis session.

    `from_ms` is None where it did not begin, or the device can't tell.
    """

    response_id: str
    item_id: str
    text: str
    audio_ms: float
    from_ms: float | None = None
    session_id: str = ""


@attrs.frozen(repr=False)
class Item(Value):
    """A message of the model's in the conversation, the response that it is part of, and whether sound of it came."""

    response_id: str
    item_id: str
    sounds: bool = False


@attrs.frozen(repr=False)
class Debt(Value):
    """What is owed to the caller: why, and since when (R93)."""

    cause: Cause
    at_ms: float = 0.0
    text: str = ""
    """What the model is told to say, of a greeting or a notice; empty for its own words."""
    item_id: str = ""
    """The item of a caller's turn."""
    again: bool = False
    """Did a response that was to pay it fail?"""
    noise: bool = False
    """Was the turn a listener's word, or a sound that was no interruption: no turn unless the agent's voice is over soon after it (R94)?"""


@attrs.frozen(repr=False)
class Response(Record):
    """The response status: of which response, why it was asked for, how often its cancel failed to leave, and which are done with."""

    state: State = states.NONE
    id: str = ""
    cause: Cause = Cause.USER_TURN
    unsent: int = 0
    ended: tuple[str, ...] = ()
    """Ids that are done with, the oldest first, at most `Policy.remembered_ids` (R06, R07)."""
    unwanted: tuple[str, ...] = ()
    """Responses that were cancelled at their birth while this one was generated, and whose end is awaited (R73)."""
    completed: tuple[str, ...] = ()
    """Those that may be heard, or were as they completed, and have completed (R42)."""
    called: bool = False
    """Did the response call a tool, so that it need not be heard (R91)?"""
    over_speech: bool = False
    """Was it created while the caller spoke, so that the server, which cuts at the first sound, does not cut it (R68)?"""
    whole: bool = False
    """Is all that was begun of it told to be done, though the response is not told to have ended (R97)?"""
    wait_ms: float = 0.0
    """How long the server asks to be left alone, since the last failure (R92)."""
    fault: str = ""
    """What the last failure was, in the server's words."""


@attrs.frozen(repr=False)
class Playout(Record):
    """What may be heard: the response, and the response that is admitted to follow it."""

    state: State = states.SILENT
    id: str = ""
    next_id: str = ""
    arrived_id: str = ""
    """The response that follows, once its first sound has come."""
    heard: bool = False
    """Was anything of the response heard?"""
    asks: bool = False
    """Does what is said end in a question (R94)?"""
    next_asks: bool = False
    """Does what follows, if anything does?"""
    notice: bool = False
    """Is what is said a notice, which is heard to its end whatever the caller says (R36)?"""
    heard_out: str = ""
    """The last response of which all that had to be heard was heard (R42, R91)."""


@attrs.frozen(repr=False)
class Interruption(Record):
    """The interruption, and whether the caller's last sound over the voice was none, so that without words it is no turn (R94)."""

    state: State = states.CLEAR
    false_alarm: bool = False


@attrs.frozen(repr=False)
class Synthesis(Record):
    """The sentence in synthesis or synthesised ahead (its session, response, item and text), and those that wait."""

    state: State = states.RESTING
    session_id: str = ""
    response_id: str = ""
    item_id: str = ""
    text: str = ""
    queue: tuple[Sentence, ...] = ()
    failed: int = 0
    """Sentences in a row that could not be synthesised."""


@attrs.frozen(repr=False)
class Truncation(Record):
    """The account of what is heard, item by item, and the flushed responses of which the device is to say what was heard (R88)."""

    state: State = states.IN_STEP
    items: tuple[Item, ...] = ()
    """The messages of the responses that may be heard, or are awaited; in the order of the conversation."""
    spoken: tuple[Spoken, ...] = ()
    """The sentences of them that went to the device, in order."""
    awaited: tuple[str, ...] = ()
    cut: tuple[str, ...] = ()
    """Responses that were flushed or never admitted: whatever the conversation gets of them later was not heard."""


@attrs.frozen(repr=False)
class Session(Record):
    """The realtime session, and how often in a row it was lost."""

    state: State = states.CONNECTING
    lost: int = 0


@attrs.frozen(repr=False)
class Turn(Record):
    """The caller's turn, and how many there were, as far as `Policy.least_turns` counts."""

    state: State = states.QUIET
    turns: int = 0
    item_id: str = ""
    """The last committed turn: a turn told twice is answered once (R21)."""
    uncommitted: bool = False
    """Was the last turn taken without its commit, which may come late (R24)?"""


@attrs.frozen(repr=False)
class Dtmf(Record):
    """A number entered on the keypad: the digits so far."""

    state: State = states.NO_ENTRY
    digits: str = ""


@attrs.frozen(repr=False)
class ToolCall(Value):
    """A tool call that waits for the decision whether the caller interrupts (R90)."""

    id: str
    name: str
    arguments: str
    response_id: str


@attrs.frozen(repr=False)
class Tool(Record):
    """The model's tool calls: those that run, the oldest first; those that wait; and the ids of all that were told (R89)."""

    state: State = states.NO_TOOL
    pending: tuple[str, ...] = ()
    waiting: tuple[ToolCall, ...] = ()
    told: tuple[str, ...] = ()
    """The oldest first, at most `Policy.remembered_ids` (R07)."""


@attrs.frozen(repr=False)
class Idle(Record):
    """Silence on both sides, and how often in a row the caller was asked."""

    state: State = states.DISARMED
    prompts: int = 0
    asked: int = 0
    """How often in the whole call."""


@attrs.frozen(repr=False)
class Pending(Record):
    """The pending response: what is owed and not asked for, and what the last response that was asked for is to pay (R93)."""

    state: State = states.NOTHING
    owed: tuple[Debt, ...] = ()
    asked: tuple[Debt, ...] = ()
    recoveries: int = 0
    """Failures in a row (R15)."""


@attrs.frozen(repr=False)
class Hangup(Record):
    """The hang-up: after which response, and why."""

    state: State = states.STAYING
    id: str = ""
    reason: Reason = Reason.GOODBYE
    detail: str = ""


@attrs.frozen(repr=False)
class Call(Value):
    """A call as it is between two events."""

    call_id: str
    policy: Policy
    playout: Playout
    interruption: Interruption
    synthesis: Synthesis
    session: Session
    response: Response
    truncation: Truncation
    phase: Record
    line: Record
    calibration: Record
    turn: Turn
    dtmf: Dtmf
    tool: Tool
    cooldown: Record
    idle: Idle
    limit: Record
    pending: Pending
    hangup: Hangup


def start(policy: Policy, call_id: str = "call", at_ms: float = 0.0) -> Call:
    """The snapshot of a call that begins at `at_ms`: deadlines run from then."""
    greeting = Debt(Cause.GREETING, at_ms)
    return Call(
        call_id=call_id,
        policy=policy,
        playout=Playout(),
        interruption=Interruption(),
        synthesis=Synthesis(),
        session=Session(due_ms=at_ms + policy.session_ms),
        response=Response(),
        truncation=Truncation(),
        phase=Record(states.LISTENING),
        line=Record(states.LINE_AWAITED, due_ms=at_ms + policy.line_ms),
        calibration=Record(states.CALIBRATING, due_ms=at_ms + policy.calibration_ms),
        turn=Turn(),
        dtmf=Dtmf(),
        tool=Tool(),
        cooldown=Record(states.WARM),
        idle=Idle(),
        limit=Record(states.UNLIMITED, due_ms=at_ms + policy.call_ms - policy.call_warning_ms),
        pending=Pending(state=states.PREPARING, due_ms=at_ms + policy.session_ms, owed=(greeting,)) if policy.greets else Pending(),
        hangup=Hangup(),
    )
