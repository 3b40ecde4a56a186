"""The deadlines' events: one a region, so that a row names the deadline that it means (R49, R78)."""

from typing import ClassVar

import attrs

from fsm.call.families import Event


@attrs.frozen(eq=False, repr=False)
class Expired(Event):
    """The deadline of a region's state passed; `epoch` is the entry of the state that it was set by."""

    region: ClassVar[str]
    epoch: int


class PhaseExpired(Expired):
    """The call phase has lasted as long as it may."""

    __slots__ = ()

    region: ClassVar[str] = "phase"


class ResponseExpired(Expired):
    """The response status has lasted as long as it may."""

    __slots__ = ()

    region: ClassVar[str] = "response"


class PlayoutExpired(Expired):
    """The playout state has lasted as long as it may."""

    __slots__ = ()

    region: ClassVar[str] = "playout"


class InterruptionExpired(Expired):
    """The suspicion, or the lock after an interruption, has lasted long enough."""

    __slots__ = ()

    region: ClassVar[str] = "interruption"


class SynthesisExpired(Expired):
    """The Chatterbox server has not answered in time."""

    __slots__ = ()

    region: ClassVar[str] = "synthesis"


class TruncationExpired(Expired):
    """The device has not said in time what it played."""

    __slots__ = ()

    region: ClassVar[str] = "truncation"


class TurnExpired(Expired):
    """The caller's turn was not committed in time (R24)."""

    __slots__ = ()

    region: ClassVar[str] = "turn"


class PendingExpired(Expired):
    """The greeting's text did not come, a pause is over, or the server did not answer by itself in time."""

    __slots__ = ()

    region: ClassVar[str] = "pending"


class CalibrationExpired(Expired):
    """The noise floor is taken as known."""

    __slots__ = ()

    region: ClassVar[str] = "calibration"


class SessionExpired(Expired):
    """The realtime session was not confirmed in time."""

    __slots__ = ()

    region: ClassVar[str] = "session"


class LineExpired(Expired):
    """The line never carried sound."""

    __slots__ = ()

    region: ClassVar[str] = "line"


class DtmfExpired(Expired):
    """No further key was pressed in time."""

    __slots__ = ()

    region: ClassVar[str] = "dtmf"


class ToolExpired(Expired):
    """A tool has not answered in time."""

    __slots__ = ()

    region: ClassVar[str] = "tool"


class IdleExpired(Expired):
    """Both sides have been silent for as long as they may."""

    __slots__ = ()

    region: ClassVar[str] = "idle"


class LimitExpired(Expired):
    """The call is near its maximum duration, or at it."""

    __slots__ = ()

    region: ClassVar[str] = "limit"


class CooldownExpired(Expired):
    """A response without sound may be replaced again."""

    __slots__ = ()

    region: ClassVar[str] = "cooldown"


class HangupExpired(Expired):
    """The goodbye was not heard in time."""

    __slots__ = ()

    region: ClassVar[str] = "hangup"
