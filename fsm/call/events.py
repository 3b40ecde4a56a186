"""What may happen to a call: every event, in the past tense; nothing here decides anything.

Each event is frozen and carries `at_ms`, milliseconds on the one monotonic clock of the call (R55). Ids are those of the
wire: whatever comes back from outside names the response, item or synthesis session that it belongs to (R03, R10).
"""

import attrs

from fsm.call.endings import (
    CallerHungUp as CallerHungUp,
    DeviceFailed as DeviceFailed,
    OwnershipLost as OwnershipLost,
    PortFailed as PortFailed,
    ReceiverFailed as ReceiverFailed,
    SessionRefused as SessionRefused,
)
from fsm.call.expiries import (
    CalibrationExpired as CalibrationExpired,
    CooldownExpired as CooldownExpired,
    DtmfExpired as DtmfExpired,
    Expired as Expired,
    HangupExpired as HangupExpired,
    IdleExpired as IdleExpired,
    InterruptionExpired as InterruptionExpired,
    LimitExpired as LimitExpired,
    LineExpired as LineExpired,
    PendingExpired as PendingExpired,
    PhaseExpired as PhaseExpired,
    PlayoutExpired as PlayoutExpired,
    ResponseExpired as ResponseExpired,
    SessionExpired as SessionExpired,
    SynthesisExpired as SynthesisExpired,
    ToolExpired as ToolExpired,
    TruncationExpired as TruncationExpired,
    TurnExpired as TurnExpired,
)
from fsm.call.families import (
    AppEvent as AppEvent,
    CallerEvent as CallerEvent,
    DeviceEvent as DeviceEvent,
    Ending as Ending,
    Event as Event,
    LineEvent as LineEvent,
    ModelEvent as ModelEvent,
    SentenceEvent as SentenceEvent,
    Signal as Signal,
)
from fsm.call.signals import (
    AnswerFailed as AnswerFailed,
    BargedIn as BargedIn,
    EntrySubmitted as EntrySubmitted,
    HangupDue as HangupDue,
    PlayoutOver as PlayoutOver,
    PlayoutStalled as PlayoutStalled,
    ResponseDue as ResponseDue,
    ToolsAnswered as ToolsAnswered,
    TurnTaken as TurnTaken,
    VoiceMissing as VoiceMissing,
    VoiceResumed as VoiceResumed,
)
from fsm.engine.notation import Value

# The line and the application.


class LineClosed(LineEvent):
    """The hang-up that we asked for is done."""

    __slots__ = ()


class LineOpened(LineEvent):
    """The audio device or telephone line carries sound both ways (R40)."""

    __slots__ = ()


@attrs.frozen(eq=False, repr=False)
class GreetingPrepared(AppEvent):
    """The application has the greeting's text at hand; `text` is an instruction to the LLM, empty for its own words."""

    text: str = ""


@attrs.frozen(eq=False, repr=False)
class NoticeRequested(AppEvent):
    """The application has something to say that must be heard to its end, a legal notice; `text` is an instruction to the LLM."""

    text: str


@attrs.frozen(eq=False, repr=False)
class HangupRequested(AppEvent):
    """The application wishes to end politely once `response_id` (empty: whatever is being said) has been heard."""

    response_id: str = ""
    reason: str = "application"


@attrs.frozen(eq=False, repr=False)
class ToolFinished(AppEvent):
    """A tool that the model called has answered; `output` is what the model is told."""

    tool_call_id: str
    output: str = ""


class TurnDismissed(AppEvent):
    """What the caller said wants no answer: a "stop", a "be quiet" (R25)."""

    __slots__ = ()


# The realtime LLM.


@attrs.frozen(eq=False, repr=False)
class ResponseEvent(ModelEvent):
    """From the realtime LLM, about `response_id` and nothing else."""

    response_id: str


class SessionOpened(ModelEvent):
    """session.created: the socket talks; nothing is confirmed yet (R39)."""

    __slots__ = ()


class SessionConfirmed(ModelEvent):
    """A session.updated that matches what we asked for."""

    __slots__ = ()


@attrs.frozen(eq=False, repr=False)
class SessionLost(ModelEvent):
    """The realtime socket closed, went silent, or could not be opened; `reason` names the close code (R60, R85)."""

    reason: str = ""


class ResponseCreated(ResponseEvent):
    """response.created."""

    __slots__ = ()


@attrs.frozen(eq=False, repr=False)
class ResponseEnded(ModelEvent):
    """response.done, one subclass a status (R15); `reason` is status_details.reason or the error's code.

    `retry_after_ms` is the wait that the server asks for before it is asked again; 0 where it asks for none (R92).
    """

    response_id: str
    reason: str = ""
    retry_after_ms: float = 0.0


class ResponseCompleted(ResponseEnded):
    """The response is generated to its end; it may still be playing (R75)."""

    __slots__ = ()


class ResponseCancelled(ResponseEnded):
    """The response was cancelled, by us or by the server's VAD (`turn_detected`)."""

    __slots__ = ()


class ResponseFailed(ResponseEnded):
    """The response failed; `reason` is the server's error code."""

    __slots__ = ()


class ResponseIncomplete(ResponseEnded):
    """The response stopped short: max_output_tokens or content_filter."""

    __slots__ = ()


@attrs.frozen(eq=False, repr=False)
class ItemAdded(ModelEvent):
    """The conversation holds `item_id`, a message of the model's in this response; told once an item, before its sound (R88)."""

    response_id: str
    item_id: str


@attrs.frozen(eq=False, repr=False)
class AudioArrived(ModelEvent):
    """The first audio of a response's item, or of a further content part of it, reached the device, or the first since the response ran
    out of sound (PlayoutFinished, QueueEmptied); later frames are not events."""

    response_id: str
    item_id: str = ""
    content_index: int = 0


class ItemsDone(ResponseEvent):
    """Every item that was begun of the response has come whole: nothing is awaited of it but more items, or its end (R97)."""

    __slots__ = ()


class TextArrived(ResponseEvent):
    """The first words of a response that is to be spoken by the model: its sound must follow (R16)."""

    __slots__ = ()


@attrs.frozen(eq=False, repr=False)
class ToolCalled(ModelEvent):
    """The model calls a tool, and the call is whole; `arguments` is JSON. Told before the end of its response (R89, R90)."""

    tool_call_id: str
    name: str
    arguments: str = ""
    response_id: str = ""


@attrs.frozen(eq=False, repr=False)
class ResponseTranscribed(ModelEvent):
    """What the response says, whole; nothing waits for it."""

    response_id: str
    text: str


class GoodbyeSaid(ResponseEvent):
    """The final transcript of a response says goodbye (R46)."""

    __slots__ = ()


class QuestionAsked(ResponseEvent):
    """What the response says ends in a question: a short answer to it is a turn (R94)."""

    __slots__ = ()


@attrs.frozen(eq=False, repr=False)
class CreateRefused(ModelEvent):
    """An error that names our response.create (R03); `code` is the server's, `retry_after_ms` the wait that it asks for, or 0 (R92)."""

    code: str
    retry_after_ms: float = 0.0


@attrs.frozen(eq=False, repr=False)
class CancelRefused(ModelEvent):
    """An error that names our response.cancel of `response_id`, response_cancel_not_active above all (R02)."""

    response_id: str
    code: str


class CancelUnsent(ResponseEvent):
    """Our response.cancel of `response_id` is known not to have left (R05)."""

    __slots__ = ()


@attrs.frozen(eq=False, repr=False)
class ErrorReceived(ModelEvent):
    """An error that names no command of ours, or a command whose failure changes nothing (R03, R84)."""

    code: str
    message: str = ""


# The caller.


@attrs.frozen(eq=False, repr=False)
class TurnEvent(CallerEvent):
    """What the caller does in a turn; `item_id` names it, where the server does."""

    item_id: str = ""


class SpeechStarted(TurnEvent):
    """The VAD that owns the turn hears the caller begin."""

    __slots__ = ()


@attrs.frozen(eq=False, repr=False)
class SpeechStopped(TurnEvent):
    """The same VAD hears the caller end; `spoken_ms`: how long they spoke by its own clock, 0 where it does not say."""

    spoken_ms: float = 0.0


class TurnCommitted(TurnEvent):
    """input_audio_buffer.committed: the caller's turn is an item of the conversation."""

    __slots__ = ()


@attrs.frozen(eq=False, repr=False)
class CommitRefused(CallerEvent):
    """An error that names our input_audio_buffer.commit: nothing was said, and there is no turn (R95); `code` is the server's."""

    code: str = ""


@attrs.frozen(eq=False, repr=False)
class Transcribed(CallerEvent):
    """What the caller said in `item_id`; may come long after the answer began, so only a voice that is held waits for it, and not long (R20).

    With `backchannel` it is a listener's word, "mm-hm", and nothing else.
    """

    item_id: str = ""
    text: str = ""
    backchannel: bool = False


@attrs.frozen(eq=False, repr=False)
class VoiceHeard(CallerEvent):
    """Local voice energy above the noise floor; `rms` in 16-bit sample units."""

    rms: float = 0.0


class BargeInDetected(CallerEvent):
    """A detector of our own has verified that the caller interrupts: a local VAD, a push-to-talk key."""

    __slots__ = ()


class VoicePaused(CallerEvent):
    """A detector of our own hears nobody over the held voice any more, and did not verify what it heard."""

    __slots__ = ()


class BackchannelHeard(TurnEvent):
    """A detector of our own hears a listener's word, "mm-hm", and no turn; `item_id` names its turn once that is committed."""

    __slots__ = ()


@attrs.frozen(eq=False, repr=False)
class DigitPressed(CallerEvent):
    """A key of the caller's keypad: one of 0123456789*#ABCD."""

    digit: str


class VadCalibrated(CallerEvent):
    """The noise floor is known: speech_started may be believed from now on."""

    __slots__ = ()


# The audio device or line: what was really played.


@attrs.frozen(eq=False, repr=False)
class PlayedEvent(DeviceEvent):
    """Of `response_id`, `played_ms` have been heard so far."""

    response_id: str
    played_ms: float = 0.0


class PlayoutProgressed(PlayedEvent):
    """Audio of `response_id` is being heard: posted as it starts, after each gap, and every half second (R79)."""

    __slots__ = ()


@attrs.frozen(eq=False, repr=False)
class QueueEmptied(DeviceEvent):
    """The last frame of `response_id` left for the line, which may hold a little more (R27)."""

    response_id: str


class PlayoutFinished(PlayedEvent):
    """Everything queued of `response_id` has been heard: the device's clock or the line's mark says so."""

    __slots__ = ()


@attrs.frozen(eq=False, repr=False)
class Heard(Value):
    """What was heard of one content part of an item: `played_ms` of the `received_ms` that came of it (R88)."""

    item_id: str
    content_index: int
    played_ms: float
    received_ms: float


@attrs.frozen(eq=False, repr=False)
class PlayoutStopped(DeviceEvent):
    """The answer to a flush: of `received_ms` of `response_id`, `played_ms` were heard (R71); `items` says the same of each, in order.

    A line that speaks sentences leaves `items` empty: what was heard of those is known by their lengths and beginnings.
    """

    response_id: str
    played_ms: float
    received_ms: float
    items: tuple[Heard, ...] = ()


@attrs.frozen(eq=False, repr=False)
class SentenceStarted(DeviceEvent):
    """The first frame of synthesis session `session_id` is being heard, after `played_ms` of its response; None if the device can't tell."""

    session_id: str
    played_ms: float | None = None


# The process that holds the call.


@attrs.frozen(eq=False, repr=False)
class TakenUp(LineEvent):
    """The process that held the call is gone, and another goes on from its record: nothing is under way any more (R110).

    `heard` is what the record tells of each response that was to be heard, or of which the device was to say what was; `repeatable` are
    the tool calls that ran and of which the application says that they may run twice.
    """

    heard: tuple[PlayoutStopped, ...] = ()
    repeatable: tuple[ToolCalled, ...] = ()


# Sentences and the Chatterbox server.


@attrs.frozen(eq=False, repr=False)
class SentenceCut(SentenceEvent):
    """Sentence number `sentence` (from 1) of `response_id` is at hand; `text` is what to say, `item_id` its item."""

    response_id: str
    sentence: int
    text: str
    item_id: str = ""


@attrs.frozen(eq=False, repr=False)
class SynthesisEnded(SentenceEvent):
    """The POST of `session_id` was answered; one subclass an outcome."""

    session_id: str


@attrs.frozen(eq=False, repr=False)
class SentenceSynthesised(SynthesisEnded):
    """200: `audio_ms` of speech went to the device; of a voice that streams, its length is reckoned from the server's pace."""

    audio_ms: float = 0.0


class SynthesisDiscarded(SynthesisEnded):
    """204: the server dropped the synthesis because it was cancelled (R66)."""

    __slots__ = ()


@attrs.frozen(eq=False, repr=False)
class SynthesisFailed(SynthesisEnded):
    """A timeout, a refusal, a 4xx or 5xx, or a WAV that is none; `reason` says which."""

    reason: str = ""


@attrs.frozen(eq=False, repr=False)
class SynthesisCancelAnswered(SentenceEvent):
    """What became of POST /cancel/<session_id>: acknowledged, closed, too late, not needed, unsupported or failed (R64)."""

    session_id: str
    outcome: str


def kinds() -> tuple[type[Event], ...]:
    """The events that can happen: every class of this module that is no signal, and not a family of others, in order."""
    declared = [
        thing for thing in globals().values() if isinstance(thing, type) and issubclass(thing, Event) and not issubclass(thing, Signal)
    ]
    families = {base for event in declared for base in event.__mro__[1:]}
    return tuple(event for event in declared if event not in families)
