"""The questions that several tables ask of the snapshot; a guard that one table alone asks stands in that table.

A guard is pure and total. All tables see the same snapshot, so two tables that ask the same question of one event agree.
"""

from fsm.call import events as ev
from fsm.call.effects import Cause
from fsm.call.snapshot import Call, Debt
from fsm.call.states import (
    ADMITTED,
    AGED,
    AHEAD,
    BLOCKED,
    CANCEL_IN_FLIGHT,
    CANCEL_UNSENT,
    CANCELLED,
    CLEAR,
    COMPLETED,
    COOLING,
    ENTERING,
    FAILED,
    GREETING_LOCK,
    GUARDED,
    IN_PROGRESS,
    INCOMPLETE,
    LISTENING,
    LOCKED,
    LOST,
    NO_TOOL,
    NONE,
    NOTHING,
    ONSET,
    OPEN,
    PARTING,
    PAUSED,
    PLAYING,
    PREPARING,
    QUIET,
    READY,
    REQUESTED,
    SERVER_CANCELLING,
    SILENT,
    SPEAKING,
    STARVED,
    STAYING,
    SUSPECTED,
    SYNTHESISING,
    TAIL,
    VOICELESS,
    WANTED,
    WARNED,
    WORDS_AWAITED,
)

OfResponse = ev.ResponseEnded | ev.AudioArrived | ev.QuestionAsked | ev.PlayoutProgressed | ev.QueueEmptied | ev.PlayoutFinished
"""Events that name the response that they belong to."""
IDLE = (NONE, COMPLETED, CANCELLED, FAILED, INCOMPLETE)
"""Response statuses from which a response may be asked for (R11)."""
ACTIVE_ALREADY = "conversation_already_has_active_response"
"""The code of a server that still has an older response."""
NOT_ACTIVE = "response_cancel_not_active"
"""The code of a server that has nothing left to cancel."""
CANCELLINGS = (SERVER_CANCELLING, CANCEL_IN_FLIGHT, CANCEL_UNSENT)
"""Response statuses of an interrupted response whose end is awaited."""
AUDIBLE = (ADMITTED, VOICELESS, ONSET, PLAYING, TAIL, STARVED)
"""Playout states in which frames of the response may be heard."""
UNHEARD = (ADMITTED, VOICELESS)
"""Playout states of an admitted response of which no sound has come."""
SOUNDING = (ONSET, PLAYING, TAIL)
"""Playout states in which something is being heard."""
HELD = (SUSPECTED, WORDS_AWAITED)
"""Interruption states in which the voice is held."""

ANSWERS = (Cause.USER_TURN, Cause.ENTRY, Cause.TOOL_RESULT, Cause.RECOVERY)
"""Causes that one and the same response answers: it is asked for without words of ours, and the conversation holds what it answers."""
PROMPTS = (Cause.IDLE_PROMPT, Cause.FAREWELL, Cause.TOOL_FILLER)
"""What is said to a caller who waits or is silent: an answer makes it needless."""
CONFIRMED_SESSION = (GUARDED, READY, AGED)
"""States of a session that the server has confirmed."""

PROTECTED = (Cause.GREETING, Cause.NOTICE)
"""Causes of responses that must be heard to their end."""
PRESSING = (Cause.GREETING, Cause.NOTICE, Cause.LIMIT_WARNING, Cause.TOOL_FILLER, Cause.FAREWELL, Cause.IDLE_PROMPT)
"""What we have to say, the most pressing first; any answer goes before."""

FATAL = frozenset(
    {
        "account_deactivated",
        "authentication_error",
        "billing_hard_limit_reached",
        "billing_not_active",
        "insufficient_quota",
        "invalid_api_key",
        "model_not_found",
        "unsupported_country_region_territory",
    }
)
"""Error codes or types after which no answer will ever come (R18)."""


def stale(call: Call, event: ev.Expired) -> bool:
    """Does the expiry come from an earlier state, or before its time (R10, R49)?"""
    record = getattr(call, event.region)
    return bool(event.epoch != record.epoch or event.at_ms < record.due_ms)


def limit_reached(call: Call, event: ev.LimitExpired) -> bool:
    """Has the call lasted as long as it may (R82): warned of it, or asleep for so long that there is nothing left to warn of?"""
    return call.limit.state is WARNED or event.at_ms >= call.limit.due_ms + call.policy.call_warning_ms


def notice_under_way(call: Call) -> bool:
    """Is a notice asked for or being generated?"""
    return call.response.cause is Cause.NOTICE and call.response.state in (REQUESTED, IN_PROGRESS)


def calls_instead(call: Call) -> bool:
    """Did our response call a tool, so that it need not be heard (R91)? A notice must be."""
    return call.response.called and call.response.cause is not Cause.NOTICE


def protected(call: Call, _: object) -> bool:
    """Is the greeting under way and protected, or a notice of the application (R36)?"""
    if call.playout.notice or notice_under_way(call):
        return True
    under_way = call.response.state in (REQUESTED, IN_PROGRESS)
    greeting = call.phase.state is GREETING_LOCK or (call.response.cause is Cause.GREETING and under_way)
    return call.policy.greeting_protected and greeting


def server_interrupts(call: Call, _: object) -> bool:
    """Does the server cancel what its VAD interrupts (R02)?"""
    return call.policy.interrupts == "server"


def server_answers(call: Call, _: object) -> bool:
    """Will the server answer a committed turn by itself? Not while a response is guarded, nor while there is no session."""
    return call.policy.create_response and call.session.state in (READY, AGED)


def may_reconnect(call: Call, _: ev.SessionLost) -> bool:
    """May a lost session be opened anew (R60)?"""
    return call.session.lost < call.policy.reconnects


def beyond_reconnecting(call: Call, event: ev.SessionLost) -> bool:
    """Is the session lost once more than it may be opened anew (R60, R85)?"""
    return call.session.state is not LOST and not may_reconnect(call, event)


def server_busy(_: Call, event: ev.CreateRefused) -> bool:
    """Was our response.create refused because the server still has an older response (R11)?"""
    return event.code == ACTIVE_ALREADY


def may_wait(call: Call, event: ev.CreateRefused) -> bool:
    """Is the server busy with an older response, and may we ask again when that has ended (R11)?"""
    return server_busy(call, event) and call.response.state is REQUESTED and may_retry(call, None)


def sessionless(call: Call, _: object) -> bool:
    """Is there no session that could tell of the caller's turn, or answer it?"""
    return call.session.state not in CONFIRMED_SESSION


def known(call: Call, event: ev.ResponseCreated) -> bool:
    """Have we heard of this response before: a duplicate, or a late word of one that ended?"""
    return event.response_id == call.response.id or event.response_id in call.response.ended


def welcome(call: Call, event: ev.ResponseCreated) -> bool:
    """May this new response be heard: one that we asked for, or the server's answer to a turn (R39, R68, R69, R72)?"""
    if known(call, event) or call.playout.next_id:
        return False
    if call.response.state is REQUESTED:
        return True
    return (
        call.response.state in (*IDLE, BLOCKED, *CANCELLINGS)
        and not notice_to_be_heard(call)
        and call.session.state in CONFIRMED_SESSION
        and call.turn.state is not SPEAKING
    )


def notice_to_be_heard(call: Call) -> bool:
    """Is what is heard a notice, or a warning of which nothing was heard, so that it is owed again if it fails, and nothing may follow (R93)?"""
    causes = {debt.cause for debt in call.pending.asked}
    warns = Cause.LIMIT_WARNING in causes and not (call.playout.heard or calls_instead(call))
    return call.playout.state in AUDIBLE and (Cause.NOTICE in causes or warns)


def answers_by_itself(call: Call, event: ev.ResponseCreated) -> bool:
    """Did the server create a response that we did not ask for, and that may be heard?"""
    return call.response.state is not REQUESTED and welcome(call, event)


def ended_before(call: Call, event: ev.ResponseEnded) -> bool:
    """Is a response said to end that has ended, so that this end says nothing (R06)?"""
    return event.response_id in call.response.ended


def of_response(call: Call, event: ev.ResponseEnded | ev.CancelRefused | ev.CancelUnsent) -> bool:
    """Does the event belong to the live response (R72)?"""
    return event.response_id == call.response.id


def of_playout(call: Call, event: OfResponse) -> bool:
    """Does the event belong to the response that is being heard?"""
    return event.response_id == call.playout.id


def of_next(call: Call, event: ev.ResponseEnded | ev.AudioArrived | ev.QuestionAsked) -> bool:
    """Does the event belong to the response that is admitted to follow?"""
    return bool(call.playout.next_id) and event.response_id == call.playout.next_id


def in_progress(call: Call, _: object) -> bool:
    """Is a response being generated?"""
    return call.response.state is IN_PROGRESS


def heard_in_progress(call: Call, _: object) -> bool:
    """Is the response that is heard, and no other, being generated?"""
    return call.response.state is IN_PROGRESS and call.response.id == call.playout.id


def heard_whole(call: Call, _: object) -> bool:
    """Was all heard that came of the response in progress, and is that told to be done, while its end does not come (R97)?"""
    return call.playout.state is STARVED and call.playout.heard and call.response.whole


def cancelling(call: Call, _: object) -> bool:
    """Is the end of a cancelled response awaited?"""
    return call.response.state in CANCELLINGS


def sentences_to_come(call: Call, _: object) -> bool:
    """Is a sentence of what is heard in synthesis, or synthesised and not heard yet?"""
    return call.synthesis.state in (SYNTHESISING, AHEAD) and call.synthesis.response_id == call.playout.id


def followed_by_sound(call: Call, _: object) -> bool:
    """Is sound of the response that follows with the device already, so that it is heard from now on?"""
    return bool(call.playout.next_id) and call.playout.arrived_id == call.playout.next_id


def without_sound_to_follow(call: Call, event: ev.ResponseEnded) -> bool:
    """Does the response that is admitted to follow end with nothing to hear?"""
    working = call.synthesis.state in (SYNTHESISING, AHEAD) and call.synthesis.response_id == event.response_id
    spoken = working or any(sentence.response_id == event.response_id for sentence in call.synthesis.queue)
    return of_next(call, event) and call.playout.arrived_id != event.response_id and not spoken


def more_to_come(call: Call, _: object) -> bool:
    """May more sound of what is being heard come (R75)? A response lives until its own end, whatever of it has been heard (R08)."""
    return heard_in_progress(call, None) or sentences_to_come(call, None)


def heard_out(call: Call, event: ev.TakenUp) -> bool:
    """Does the record tell that all was heard of what was said, with nothing more to come?"""
    ended = not call.playout.next_id and not more_to_come(call, None)
    return ended and any(of.response_id == call.playout.id and 0 < of.received_ms <= of.played_ms for of in event.heard)


def being_synthesised(call: Call) -> bool:
    """Is a sentence of what is heard in synthesis, so that its sound cannot have come yet?"""
    return call.synthesis.state is SYNTHESISING and call.synthesis.response_id == call.playout.id


def of_session(call: Call, event: ev.SynthesisEnded | ev.SentenceStarted) -> bool:
    """Does the event belong to the sentence in synthesis or ahead?"""
    return event.session_id == call.synthesis.session_id


def last_sentence_lost(call: Call, event: ev.SynthesisEnded | ev.SynthesisExpired) -> bool:
    """Does the last sentence of an ended response come to nothing?"""
    ours = isinstance(event, ev.SynthesisExpired) or of_session(call, event)
    last = being_synthesised(call) and all(sentence.response_id != call.playout.id for sentence in call.synthesis.queue)
    return ours and last and not heard_in_progress(call, None)


def stalled(call: Call, _: object) -> bool:
    """Does the device play nothing of what it was given, though the line is there and nobody holds it (R79)?"""
    given = call.playout.state is PLAYING or (call.synthesis.state is AHEAD and sentences_to_come(call, None))
    return given and call.interruption.state not in HELD and call.line.state is OPEN


def told_to_wait(call: Call, _: object) -> bool:
    """Does the server ask to be left alone for a while (R92)?"""
    return call.response.wait_ms > 0


def asks_patience(call: Call, event: ev.ResponseFailed) -> bool:
    """Does a response fail, unheard, with a wait that a voice of ours speaks of meanwhile (R92)? Nobody speaks, or says what must be heard."""
    policy = call.policy
    speaks = policy.voice == "chatterbox" and bool(policy.wait_words) and event.retry_after_ms >= policy.wait_words_ms
    silent = call.playout.state is ADMITTED and of_playout(call, event) and call.turn.state is QUIET
    return speaks and silent and call.response.cause not in PROTECTED


def unheard(call: Call, _: object) -> bool:
    """Has no sound come of the response that may be heard, though a tool that it called may have answered?"""
    return call.playout.state in UNHEARD or (call.playout.state is STARVED and not call.playout.heard)


def last_unheard(call: Call) -> bool:
    """Was nothing heard yet of the response that was asked for last, and may it still be: it follows what is heard, or has not begun?"""
    unbegun = call.playout.state in AUDIBLE and not call.playout.heard
    return call.response.state is REQUESTED or bool(call.playout.next_id) or unbegun


def stalled_unpaid(call: Call, _: ev.PlayoutStalled) -> bool:
    """Does the device play nothing of a response that was not heard, or of a notice, so that what it was to pay is owed still (R93)?"""
    alone = bool(call.pending.asked) and not call.playout.next_id
    return alone and (call.playout.notice or last_unheard(call))


def cut_unheard(call: Call, event: ev.ResponseCancelled) -> bool:
    """Did the server cancel our response before anything of it was heard, or a notice before its end (R36, R93)?"""
    cut = of_response(call, event) and call.response.state is IN_PROGRESS
    owed = any(debt.cause not in PROMPTS for debt in call.pending.asked)
    return cut and owed and (last_unheard(call) or call.response.cause is Cause.NOTICE)


def free(call: Call, _: object) -> bool:
    """May a response be asked for: nobody speaks, nothing is under way, the session and the line are there (R11, R19, R39, R40)?"""
    return (
        call.response.state in IDLE
        and call.phase.state is LISTENING
        and call.playout.state is SILENT
        and call.turn.state is QUIET
        and call.session.state in CONFIRMED_SESSION
        and call.line.state is OPEN
        and call.hangup.state in (STAYING, PARTING)
    )


def payable(owed: tuple[Debt, ...]) -> tuple[Debt, ...]:
    """Of what is owed, that which one response pays: all answers at once, else the most pressing thing that we have to say."""
    answers = tuple(debt for debt in owed if debt.cause in ANSWERS)
    return answers or tuple(sorted(owed, key=lambda debt: PRESSING.index(debt.cause))[:1])


def next_cause(call: Call) -> Cause | None:
    """Why the next response is asked for (R12): of several answers, that which has been owed longest; None where nothing is owed."""
    due = payable(call.pending.owed)
    if not due:
        return None
    return Cause.RECOVERY if due[0].cause in ANSWERS and any(debt.again for debt in due) else due[0].cause


def protected_next(call: Call, _: object) -> bool:
    """Is the next response the greeting or a notice?"""
    return call.pending.state in (PREPARING, WANTED, PAUSED) and next_cause(call) in PROTECTED


def may_ask(call: Call, _: object) -> bool:
    """Is the way free for what is owed next: are no words awaited that may interrupt; for a notice, is nobody about to, and nobody to
    leave; to ask a silent caller, is no number being entered (R52)?"""
    undisturbed = call.interruption.state in (CLEAR, LOCKED) and call.hangup.state is STAYING
    wanted = call.pending.state is WANTED and bool(call.pending.owed)
    cause = next_cause(call)
    silent = call.dtmf.state is not ENTERING or cause not in (Cause.IDLE_PROMPT, Cause.FAREWELL)
    decided = call.interruption.state is not WORDS_AWAITED
    return wanted and free(call, None) and silent and decided and (undisturbed or cause is not Cause.NOTICE)


def call_is_quiet(call: Call, _: object) -> bool:
    """Is nothing going on that the caller could be waiting for, or that they are doing (R52)?"""
    return free(call, None) and call.pending.state is NOTHING and call.tool.state is NO_TOOL and call.dtmf.state is not ENTERING


def nothing_to_interrupt(call: Call, _: object) -> bool:
    """Is nothing audible and nothing on its way (R28)?"""
    return call.playout.state is SILENT and call.response.state not in (REQUESTED, IN_PROGRESS)


def may_retry(call: Call, _: object) -> bool:
    """May what failed be asked for again (R15)?"""
    return call.pending.recoveries < call.policy.recoveries


def answer_waits(call: Call, _: object) -> bool:
    """Is an answer owed that no response has failed to give yet, so that it has a try of its own?"""
    return any(debt.cause in ANSWERS and not debt.again for debt in call.pending.owed)


def may_replace(call: Call, _: ev.VoiceMissing) -> bool:
    """Is the response that brings no sound still generated, and may another be asked for (R16, R97)?"""
    soon = call.cooldown.state is COOLING and unheard(call, None)
    return heard_in_progress(call, None) and not heard_whole(call, None) and may_retry(call, None) and not soon


def fatal(_: Call, event: ev.ResponseFailed) -> bool:
    """Did the response fail for a reason that asking again cannot mend (R18)?"""
    return event.reason in FATAL
