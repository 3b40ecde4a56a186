"""The rules that spin judges in a call, written apart from the tables and from the other checker, and what must be remembered for them.

Each flaw is a byte of its own, so that spin names it; `{…}` in a statement is filled in by whoever writes the model.
"""

from typing import Any

import attrs

from fsm.call import effects as fx
from fsm.call import events as ev
from fsm.call import guards
from fsm.call import states as st
from fsm.engine.notation import State

UNANSWERED, UNBOUNDED, REVIVED = "unanswered", "unbounded", "revived"
NO_DEADLINE, IN_VAIN, TIME_STANDS, LIVELOCK = "no_deadline_left", "passed_in_vain", "time_stands_still", "never_closed"


@attrs.frozen
class Rules:
    """What is judged besides the tables' own soundness.

    `flaws` are the names of flaws with the rule that each breaks; `asks` says what is judged when an effect is asked for: the names of
    its arguments, which stand in the statements by these names, and the statements. `after` is judged after each step: variables hold
    the snapshot before it, those with `n_` the one after. `spent` is the sort of ids whose bits `spent` remembers.
    """

    flaws: dict[str, str]
    remembered: tuple[str, ...] = ()
    asks: dict[type, tuple[tuple[str, ...], tuple[str, ...]]] = attrs.field(factory=dict)
    before: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    spent: str = ""
    given: dict[Any, str] = attrs.field(factory=dict)
    """Guards about time, which is left out: a deadline's event says itself whether it is stale."""
    closed: str = "1"
    """When nothing need happen any more; in a machine of which nothing is known, always."""
    ends: frozenset[State] = frozenset()
    """States that are never left."""
    barred: dict[type, str] = attrs.field(factory=dict)
    """Events that cannot happen while this holds."""


SOUND: dict[str, str] = {
    UNANSWERED: "every event is answered in every state of every region",
    UNBOUNDED: "what is remembered is bounded (R07)",
    REVIVED: "what is over stays over (R49, R62)",
    NO_DEADLINE: "until the call is closed a deadline runs (R78)",
    IN_VAIN: "a deadline that passes ends its state, or begins anew (R78)",
    TIME_STANDS: "deadlines of 0 ms end (R78)",
    LIVELOCK: "deadlines alone lead to the end, from every state (R78)",
}
"""The rules of any machine."""

PLAIN_RULES = Rules(flaws=SOUND)
"""The rules of a machine of which nothing else is known."""


def _live() -> str:
    return " || ".join(f"response == {state!r}" for state in (st.REQUESTED, st.WITHDRAWN, st.IN_PROGRESS, *guards.CANCELLINGS))


_UNSENT = "is_CancelUnsent && response == CANCEL_IN_FLIGHT && e_response_id == response_id"
"""A cancel that is known not to have left is none (R05)."""

CALL_RULES = Rules(
    flaws={
        **SOUND,
        "cancelled_twice": "no response is cancelled twice, or after its end (R01, R06)",
        "asked_while_active": "no response is asked for while one is active (R11)",
        "told_twice": "the application is told of the end once (R86)",
        "hung_up_twice": "the line is hung up once (R47)",
        "asked_after_end": "nothing is asked for once the application was told (R50, R62)",
        "held_wrongly": "a voice is held and resumed in turn (R74)",
        "end_untold": "the application is told of every end, and of nothing else (R86)",
        "half_closed": "closing ends every region (R49, R62)",
    },
    remembered=("byte spent", "bit told", "bit hung_up", "bit held"),
    asks={
        fx.CancelResponse: (
            ("response_id",),
            (
                "judge(cancelled_twice, spent & (1 << {response_id}))",
                "spent = spent | (1 << {response_id})",
                "judge(asked_after_end, told)",
            ),
        ),
        fx.CreateResponse: ((), (f"judge(asked_while_active, {_live()})", "judge(asked_after_end, told)")),
        fx.TellEnded: ((), ("judge(told_twice, told)", "told = 1")),
        fx.HangUp: ((), ("judge(hung_up_twice, hung_up)", "judge(asked_after_end, told)", "hung_up = 1")),
        fx.Hold: ((), ("judge(held_wrongly, held)", "held = 1")),
        fx.Resume: ((), ("judge(held_wrongly, !held)", "held = 0")),
    },
    before=(f"if :: {_UNSENT} -> spent = spent & ~(1 << e_response_id) :: else fi",),
    after=(
        "if :: is_ResponseEnded && !(phase == CLOSING || phase == CLOSED) -> spent = spent | (1 << e_response_id) :: else fi",
        "judge(end_untold, told != (n_phase == CLOSING || n_phase == CLOSED))",
        "if :: n_phase == CLOSING || n_phase == CLOSED -> held = 0; judge(half_closed, !({all_others_over})) :: else fi",
    ),
    spent="response_id",
    given={guards.stale: "e_stale"},
    closed="phase == CLOSED",
    ends=frozenset((st.OVER, st.CLOSED)),
    barred={
        ev.ResponseCreated: "held_response_id(e_response_id) && !(if_known)",
    },
)
"""The rules of a call.

No server creates anew a response that is still heard, but that so many later ones pushed out of what is remembered.
"""
