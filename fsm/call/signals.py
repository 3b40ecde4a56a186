"""The facts that several tables act on: one row raises such a signal, and every table answers it within the same step.

They stand in the order in which they are answered: a row that answers one raises later ones only, so that a step ends.
"""

from fsm.call.families import Signal


class BargedIn(Signal):
    """The caller interrupts: it is decided (R29)."""

    __slots__ = ()


class VoiceResumed(Signal):
    """The sound over the voice was no interruption: the voice goes on (R74)."""

    __slots__ = ()


class VoiceMissing(Signal):
    """The response that should be heard brings no sound, or no more of it (R16, R97)."""

    __slots__ = ()


class PlayoutStalled(Signal):
    """The device plays nothing of what it was given (R79)."""

    __slots__ = ()


class AnswerFailed(Signal):
    """Our response was refused, not answered, failed, or came to its end with nothing to hear (R14, R15, R91)."""

    __slots__ = ()


class PlayoutOver(Signal):
    """Nothing more of the response that was heard will be heard."""

    __slots__ = ()


class TurnTaken(Signal):
    """The caller's turn is an item of the conversation, or was closed without its commit: it is owed an answer (R24)."""

    __slots__ = ()


class EntrySubmitted(Signal):
    """What was entered on the keypad is handed in: it is owed an answer (R63)."""

    __slots__ = ()


class ToolsAnswered(Signal):
    """The last of the tools that ran has answered, or was given up: the model's response to it is owed (R80)."""

    __slots__ = ()


class HangupDue(Signal):
    """The call is to be closed now (R41)."""

    __slots__ = ()


class ResponseDue(Signal):
    """A response is owed, and what was in its way may be gone: it is asked for now, if nothing is (R11)."""

    __slots__ = ()


SIGNALS: tuple[type[Signal], ...] = (
    BargedIn,
    VoiceResumed,
    VoiceMissing,
    PlayoutStalled,
    AnswerFailed,
    PlayoutOver,
    TurnTaken,
    EntrySubmitted,
    ToolsAnswered,
    HangupDue,
    ResponseDue,
)
