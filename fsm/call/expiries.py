"""The deadlines' events: one a region, so that a row names the deadline that it means (R49, R78)."""

from typing import ClassVar

import attrs

from fsm.call.families import Event


@attrs.frozen
class Expired(Event):
    """The deadline of a region's state passed; `epoch` is the entry of the state that it was set by."""

    region: ClassVar[str]
    epoch: int


@attrs.frozen
class PhaseExpired(Expired):
    """The call phase has lasted as long as it may."""

    region: ClassVar[str] = "phase"


@attrs.frozen
class ResponseExpired(Expired):
    """The response status has lasted as long as it may."""

    region: ClassVar[str] = "response"


@attrs.frozen
class PlayoutExpired(Expired):
    """The playout state has lasted as long as it may."""

    region: ClassVar[str] = "playout"


@attrs.frozen
class InterruptionExpired(Expired):
    """The suspicion, or the lock after an interruption, has lasted long enough."""

    region: ClassVar[str] = "interruption"


@attrs.frozen
class SynthesisExpired(Expired):
    """The Chatterbox server has not answered in time."""

    region: ClassVar[str] = "synthesis"


@attrs.frozen
class TruncationExpired(Expired):
    """The device has not said in time what it played."""

    region: ClassVar[str] = "truncation"


@attrs.frozen
class TurnExpired(Expired):
    """The caller's turn was not committed in time (R24)."""

    region: ClassVar[str] = "turn"


@attrs.frozen
class PendingExpired(Expired):
    """The greeting's text did not come, a pause is over, or the server did not answer by itself in time."""

    region: ClassVar[str] = "pending"


@attrs.frozen
class CalibrationExpired(Expired):
    """The noise floor is taken as known."""

    region: ClassVar[str] = "calibration"


@attrs.frozen
class SessionExpired(Expired):
    """The realtime session was not confirmed in time."""

    region: ClassVar[str] = "session"


@attrs.frozen
class LineExpired(Expired):
    """The line never carried sound."""

    region: ClassVar[str] = "line"


@attrs.frozen
class DtmfExpired(Expired):
    """No further key was pressed in time."""

    region: ClassVar[str] = "dtmf"


@attrs.frozen
class ToolExpired(Expired):
    """A tool has not answered in time."""

    region: ClassVar[str] = "tool"


@attrs.frozen
class IdleExpired(Expired):
    """Both sides have been silent for as long as they may."""

    region: ClassVar[str] = "idle"


@attrs.frozen
class LimitExpired(Expired):
    """The call is near its maximum duration, or at it."""

    region: ClassVar[str] = "limit"


@attrs.frozen
class CooldownExpired(Expired):
    """A response without sound may be replaced again."""

    region: ClassVar[str] = "cooldown"


@attrs.frozen
class HangupExpired(Expired):
    """The goodbye was not heard in time."""

    region: ClassVar[str] = "hangup"
