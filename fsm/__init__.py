"""callfsm's core: an explicit, checked state machine for a voice agent's call; attrs and the standard library alone.

    call = start(Policy())                          # a frozen snapshot
    call, effects, rows = step(call, SpeechStarted(at_ms=1250.0))

`events` and `effects` hold what may happen and what may be asked for; `engine` declares a machine of one's own.
"""

from fsm import engine
from fsm.call import effects, events, states
from fsm.call.machine import CALL, admits, due_ms, expiry, step
from fsm.call.policy import Policy
from fsm.call.snapshot import Call, start

__all__ = ["CALL", "Call", "Policy", "admits", "due_ms", "effects", "engine", "events", "expiry", "start", "states", "step"]
