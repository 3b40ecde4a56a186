"""The families of events: where an event comes from, so that a table can say in one row that it has no use for a whole kind."""

import attrs


@attrs.frozen
class Event:
    """Anything that happens; `at_ms` is when, on the call's monotonic clock."""

    at_ms: float


@attrs.frozen
class LineEvent(Event):
    """From the line, other than its end."""


@attrs.frozen
class AppEvent(Event):
    """From the application that runs the call."""


@attrs.frozen
class ModelEvent(Event):
    """From the realtime LLM."""


@attrs.frozen
class CallerEvent(Event):
    """What the caller does, as a VAD or a transcriber tells it."""


@attrs.frozen
class DeviceEvent(Event):
    """From the audio device or line: what is really heard."""


@attrs.frozen
class SentenceEvent(Event):
    """From the sentence cutter and the synthesiser."""


@attrs.frozen
class Signal(Event):
    """A fact that several tables act on: raised by a row, and answered by every table within the same step; nobody posts one."""


@attrs.frozen
class Ending(Event):
    """Something after which no call is left; `reason` is told to the application."""

    reason: str = ""
