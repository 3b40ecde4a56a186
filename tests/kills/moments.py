"""When the process that holds a call is lost: states that a record of the call can be in."""

from collections.abc import Callable

from fsm import effects as fx, states as st
from fsm.call.snapshot import Call

MOMENTS: dict[str, Callable[[Call], bool]] = {
    "the session is set up": lambda call: call.session.state is st.CONFIGURING,
    "the greeting is asked for": lambda call: call.response.state is st.REQUESTED and call.response.cause is fx.Cause.GREETING,
    "the greeting is heard": lambda call: call.phase.state is st.GREETING_LOCK and call.playout.heard,
    "the caller speaks": lambda call: call.turn.state is st.SPEAKING,
    "a turn is to be committed": lambda call: call.turn.state is st.STOPPED,
    "an answer is asked for": lambda call: call.response.state is st.REQUESTED and call.response.cause is not fx.Cause.GREETING,
    "an answer is generated, unheard": lambda call: call.response.state is st.IN_PROGRESS and call.playout.state is st.ADMITTED,
    "an answer is heard": lambda call: call.phase.state is st.AI_SPEAKING and call.playout.state is st.PLAYING,
    "an answer is played out": lambda call: call.response.state is st.COMPLETED and call.playout.state is st.PLAYING,
    "the voice is held": lambda call: call.interruption.state is st.SUSPECTED,
    "an answer is cancelled": lambda call: call.phase.state is st.CANCELLING,
    "a sentence is synthesised": lambda call: call.synthesis.state is st.SYNTHESISING and call.response.cause is not fx.Cause.GREETING,
    "a tool runs": lambda call: bool(call.tool.pending),
    "nobody speaks": lambda call: call.turn.turns >= 0 and call.idle.state is st.ARMED and call.response.state is st.COMPLETED,
}
"""The process is lost at the first of such states that is on record."""
CHATTERBOX_ALONE = frozenset({"a sentence is synthesised"})
