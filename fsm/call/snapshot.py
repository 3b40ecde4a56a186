"""The snapshot of a call: one record a region, complete at construction, frozen; nothing about a call is kept anywhere else."""

import attrs

from fsm.call import states
from fsm.call.effects import Cause, Reason
from fsm.call.policy import Policy
from fsm.engine.notation import Record, State


@attrs.frozen
class Sentence:
    """A sentence that waits for synthesis: its response, its number from 1, what to say, and the item that it is part of."""

    response_id: str
    number: int
    text: str
    item_id: str = ""


@attrs.frozen
class Spoken:
    """A sentence that went to the device, how long it lasts, and where in its response it began to be heard; None if it did not."""

    text: str
    audio_ms: float
    from_ms: float | None = None


@attrs.frozen
class Phase(Record):
    """The call phase."""

    state: State = states.LISTENING


@attrs.frozen
class Response(Record):
    """The response status: of which response, why it was asked for, how often its cancel failed to leave, and which are done with."""

    state: State = states.NONE
    id: str = ""
    cause: Cause = Cause.USER_TURN
    unsent: int = 0
    ended: tuple[str, ...] = ()
    """Ids that are done with, the oldest first, at most `Policy.remembered_ids` (R06, R07)."""


@attrs.frozen
class Playout(Record):
    """What may be heard: the response, its item, and the response that is admitted to follow it, with its item."""

    state: State = states.SILENT
    id: str = ""
    item_id: str = ""
    next_id: str = ""
    next_item_id: str = ""
    arrived_id: str = ""
    """The response that follows, once its first sound has come."""


@attrs.frozen
class Interruption(Record):
    """Whether the caller interrupts."""

    state: State = states.CLEAR


@attrs.frozen
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


@attrs.frozen
class Memory(Record):
    """The response that is or was heard, its item, and the sentences of it that went to the device."""

    state: State = states.IN_STEP
    id: str = ""
    item_id: str = ""
    spoken: tuple[Spoken, ...] = ()


@attrs.frozen
class Session(Record):
    """The realtime session, and how often in a row it was lost."""

    state: State = states.CONNECTING
    lost: int = 0


@attrs.frozen
class Line(Record):
    """The audio device or telephone line."""

    state: State = states.LINE_AWAITED


@attrs.frozen
class Calibration(Record):
    """The noise floor."""

    state: State = states.CALIBRATING


@attrs.frozen
class Turn(Record):
    """The caller's turn, and how many there were, as far as `Policy.least_turns` counts."""

    state: State = states.QUIET
    turns: int = 0


@attrs.frozen
class Entry(Record):
    """A number entered on the keypad: the digits so far."""

    state: State = states.NO_ENTRY
    digits: str = ""


@attrs.frozen
class Tool(Record):
    """The model's tool calls that run, the oldest first."""

    state: State = states.NO_TOOL
    pending: tuple[str, ...] = ()


@attrs.frozen
class Notice(Record):
    """What the application has to say, the oldest first."""

    state: State = states.NO_NOTICE
    waiting: tuple[str, ...] = ()


@attrs.frozen
class Cooldown(Record):
    """Whether a response without sound may be replaced."""

    state: State = states.WARM


@attrs.frozen
class Idle(Record):
    """Silence on both sides, and how often in a row the caller was asked."""

    state: State = states.DISARMED
    prompts: int = 0
    asked: int = 0
    """How often in the whole call."""


@attrs.frozen
class Limit(Record):
    """The maximum duration."""

    state: State = states.UNLIMITED


@attrs.frozen
class Asking(Record):
    """The next response that we want: why, with which instructions; what it follows, and how often it was tried."""

    state: State = states.NOTHING
    cause: Cause = Cause.USER_TURN
    instructions: str = ""
    item_id: str = ""
    """The last committed turn: a turn told twice is answered once (R21)."""
    recoveries: int = 0
    """Failures in a row (R15)."""


@attrs.frozen
class Hangup(Record):
    """The hang-up: after which response, and why."""

    state: State = states.STAYING
    id: str = ""
    reason: Reason = Reason.GOODBYE
    detail: str = ""


@attrs.frozen
class Call:
    """A call as it is between two events."""

    call_id: str
    policy: Policy
    playout: Playout
    interruption: Interruption
    synthesis: Synthesis
    response: Response
    memory: Memory
    session: Session
    phase: Phase
    line: Line
    calibration: Calibration
    turn: Turn
    entry: Entry
    tool: Tool
    notice: Notice
    cooldown: Cooldown
    idle: Idle
    limit: Limit
    asking: Asking
    hangup: Hangup


def start(policy: Policy, call_id: str = "call", at_ms: float = 0.0) -> Call:
    """The snapshot of a call that begins at `at_ms`: deadlines run from then."""
    asking = Asking(state=states.PREPARING, due_ms=at_ms + policy.session_ms, cause=Cause.GREETING) if policy.greets else Asking()
    return Call(
        call_id=call_id,
        policy=policy,
        playout=Playout(),
        interruption=Interruption(),
        synthesis=Synthesis(),
        response=Response(),
        memory=Memory(),
        session=Session(due_ms=at_ms + policy.session_ms),
        phase=Phase(),
        line=Line(due_ms=at_ms + policy.line_ms),
        calibration=Calibration(due_ms=at_ms + policy.calibration_ms),
        turn=Turn(),
        entry=Entry(),
        tool=Tool(),
        notice=Notice(),
        cooldown=Cooldown(),
        idle=Idle(),
        limit=Limit(due_ms=at_ms + policy.call_ms - policy.call_warning_ms),
        asking=asking,
        hangup=Hangup(),
    )
