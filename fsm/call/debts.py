"""The sums of what is owed: how debts come together, what is left of them, and which come back; the table `pending` says when."""

from fsm.call import events as ev
from fsm.call.effects import Cause
from fsm.call.guards import ANSWERS, PROMPTS, SOUNDING, last_unheard, sentences_to_come
from fsm.call.snapshot import Call, Debt
from fsm.call.states import NO_TOOL, STARVED, WORDS_AWAITED

Debts = tuple[Debt, ...]


def is_turn(debt: Debt, item_id: str) -> bool:
    """Is it the turn of that item?"""
    return debt.cause is Cause.USER_TURN and debt.item_id == item_id


def may_be_none(call: Call, debt: Debt, item_id: str) -> bool:
    """Is it the turn of that item, and may it be none: noise, or a sound whose words are awaited (R94)?"""
    return is_turn(debt, item_id) and (debt.noise or call.interruption.state is WORDS_AWAITED)


def merged(first: Debts, then: Debts) -> Debts:
    """Both, in this order; of each cause but notices the later one counts, and an answer makes the greeting needless (R37).

    What the caller says after a turn that waits is one with it: no word or sound of theirs makes noise of both (R93).
    """
    causes = {debt.cause for debt in then if debt.cause is not Cause.NOTICE}
    needless = {Cause.GREETING, *PROMPTS} if causes.intersection(ANSWERS) else set()
    waits = any(debt.cause is Cause.USER_TURN and not debt.noise for debt in first)
    joined = (Debt(debt.cause, debt.at_ms, again=debt.again) if waits and debt.cause is Cause.USER_TURN else debt for debt in then)
    return (*(debt for debt in first if debt.cause not in causes | needless), *joined)


def without(owed: Debts, paid: Debts) -> Debts:
    """What is owed but these very debts."""
    return tuple(debt for debt in owed if not any(debt is other for other in paid))


def left_by_server(call: Call) -> Debts:
    """What the server's own response does not pay: what it could not know of when the caller's turn was taken, and what we have to say."""
    owed = call.pending.owed
    since_ms = max((debt.at_ms for debt in owed if debt.cause is Cause.USER_TURN), default=None)
    paid = (*ANSWERS, *PROMPTS, Cause.GREETING)
    return tuple(debt for debt in owed if debt.cause not in paid or (since_ms is not None and debt.at_ms > since_ms))


def back_from_interruption(call: Call) -> Debts:
    """Of what an interrupted response was to pay, what is owed again: the answers and what must be heard, if nothing of it was."""
    if not last_unheard(call):
        return ()
    kept = (*ANSWERS, Cause.LIMIT_WARNING, *([Cause.NOTICE] if call.response.cause is Cause.NOTICE else []))
    return tuple(debt for debt in call.pending.asked if debt.cause in kept)


def back_from_failure(call: Call) -> Debts:
    """What was asked for, as it is asked for again: a greeting of which sound came, or is to come, is gone on with, and not begun anew."""
    return _again(call, begun=_sounds(call) or sentences_to_come(call, None))


def back_from_loss(call: Call) -> Debts:
    """The same, where the device and the speech server are lost with all that they held (R110)."""
    return _again(call, begun=_sounds(call))


def _sounds(call: Call) -> bool:
    return call.playout.state in (*SOUNDING, STARVED)


def _again(call: Call, begun: bool) -> Debts:
    return tuple(
        Debt(Cause.RECOVERY, debt.at_ms, again=True)
        if begun and debt.cause is Cause.GREETING
        else Debt(debt.cause, debt.at_ms, debt.text, debt.item_id, again=True)
        for debt in call.pending.asked
        if debt.cause not in PROMPTS or call.tool.state is NO_TOOL
    )


def settled(call: Call, event: ev.Event) -> Debts:
    """What is owed now that the voice is over: what may be no turn wants no answer if the voice went on, and asked nothing (R94)."""
    return tuple(
        as_turn(debt)
        for debt in call.pending.owed
        if not debt.noise or call.playout.asks or event.at_ms - debt.at_ms < call.policy.backchannel_tail_ms
    )


def read(call: Call, event: ev.Transcribed) -> Debts:
    """What is owed now that the words of what may be no turn are told; to a question any sound is an answer, as a recogniser may miss it."""
    told = [(debt, may_be_none(call, debt, event.item_id)) for debt in call.pending.owed]
    if event.text.strip() or call.playout.asks:
        return tuple(as_turn(debt) if theirs else debt for debt, theirs in told)
    return tuple(debt for debt, theirs in told if not theirs)


def as_turn(debt: Debt) -> Debt:
    """The debt, which is a turn whatever it was taken for."""
    return Debt(debt.cause, debt.at_ms, debt.text, debt.item_id, debt.again)
