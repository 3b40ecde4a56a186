"""The call: all tables side by side, and the three functions that run one.

The order of the regions is the order of the effects in a step: the device falls silent before anything goes to the network.
"""

from fsm.call.cooldown import COOLDOWN
from fsm.call.dtmf import DTMF
from fsm.call.events import Event, kinds
from fsm.call.guards import AUDIBLE, HELD
from fsm.call.hangup import HANGUP
from fsm.call.hearing import CALIBRATION, LINE, TURN
from fsm.call.idle import IDLE
from fsm.call.interruption import INTERRUPTION
from fsm.call.limit import LIMIT
from fsm.call.pending import PENDING
from fsm.call.phase import PHASE
from fsm.call.playout import PLAYOUT
from fsm.call.response import RESPONSE
from fsm.call.session import SESSION
from fsm.call.signals import SIGNALS
from fsm.call.snapshot import Call
from fsm.call.synthesis import SYNTHESIS
from fsm.call.tool import TOOL
from fsm.call.truncation import TRUNCATION
from fsm.engine.machine import Machine, Step

CALL: Machine[Call] = Machine(
    Call,
    regions=(
        PLAYOUT,
        INTERRUPTION,
        SYNTHESIS,
        SESSION,
        RESPONSE,
        TRUNCATION,
        PHASE,
        LINE,
        CALIBRATION,
        TURN,
        DTMF,
        TOOL,
        COOLDOWN,
        IDLE,
        LIMIT,
        PENDING,
        HANGUP,
    ),
    events=kinds(),
    signals=SIGNALS,
)


def step(call: Call, event: Event) -> Step[Call]:
    """Answer one event: the next snapshot, the effects to carry out in order, and the rows that answered. Pure and total."""
    return CALL.step(call, event)


def due_ms(call: Call) -> float:
    """When the call's nearest deadline passes, on the clock of `Event.at_ms`; infinity if none runs."""
    return CALL.due_ms(call)


def expiry(call: Call, now_ms: float) -> Event | None:
    """The expiry event of a deadline that has passed at `now_ms`, or None. Feed it to `step` before anything else."""
    event: Event | None = CALL.expiry(call, now_ms)
    return event


def admits(call: Call, response_id: str) -> bool:
    """May frames of this response be heard now? The question that a transport of one's own asks for every frame."""
    playout = call.playout
    heard = playout.state in AUDIBLE and response_id in (playout.id, playout.next_id)
    return heard and bool(response_id) and call.interruption.state not in HELD
