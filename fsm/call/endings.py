"""The events after which no call is left, here or at all: each closes a live call at once, whatever its regions are doing (R83)."""

from fsm.call.families import Ending, Event


class CallerHungUp(Ending):
    """The line is gone: Twilio's `stop`, a closed window, Ctrl-C."""

    __slots__ = ()


class ReceiverFailed(Ending):
    """The task that receives from the realtime LLM died, or its server said something fatal (R18, R59)."""

    __slots__ = ()


class PortFailed(Ending):
    """A port, the driver or a host has a bug: a fault of our own, and told as that (R87)."""

    __slots__ = ()


class SessionRefused(Ending):
    """The server refused our session.update; `reason` holds its words (R39)."""

    __slots__ = ()


class DeviceFailed(Ending):
    """The audio device or line can no longer play or record."""

    __slots__ = ()


class OwnershipLost(Event):
    """Another process has the call, or may have: this one does nothing for it any more (R110)."""

    __slots__ = ()
