"""The families of events: where an event comes from, so that a table can say in one row that it has no use for a whole kind."""

import attrs

from fsm.engine.notation import Value


@attrs.frozen(eq=False, repr=False)
class Event(Value):
    """Anything that happens; `at_ms` is when, on the call's monotonic clock."""

    at_ms: float


class LineEvent(Event):
    """From the line, other than its end."""

    __slots__ = ()


class AppEvent(Event):
    """From the application that runs the call."""

    __slots__ = ()


class ModelEvent(Event):
    """From the realtime LLM."""

    __slots__ = ()


class CallerEvent(Event):
    """What the caller does, as a VAD or a transcriber tells it."""

    __slots__ = ()


class DeviceEvent(Event):
    """From the audio device or line: what is really heard."""

    __slots__ = ()


class SentenceEvent(Event):
    """From the sentence cutter and the synthesiser."""

    __slots__ = ()


class Signal(Event):
    """A fact that several tables act on: raised by a row, and answered by every table within the same step; nobody posts one."""

    __slots__ = ()


@attrs.frozen(eq=False, repr=False)
class Ending(Event):
    """Something after which no call is left; `reason` is told to the application."""

    reason: str = ""
