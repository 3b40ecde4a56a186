"""The pending response: what is owed to the caller, each debt by name, until a response pays it (R11, R12, R93).

A turn, a tool's answer, a keypad entry, a notice, the greeting, a prompt: each is a debt of its own, and none overwrites another. Whatever
may have cleared the way raises `ResponseDue`, on which the response table asks, if it is clear, for a response that pays all that it
can: all answers at once, or one thing that we have to say. A debt comes back when its response fails or is cut off before it was heard.
"""

from fsm.call import events as ev
from fsm.call.common import closing
from fsm.call.debts import (
    Debts,
    back_from_failure,
    back_from_interruption,
    back_from_loss,
    is_turn,
    left_by_server,
    merged,
    read,
    settled,
    without,
)
from fsm.call.effects import Cause, Level, Log
from fsm.call.guards import (
    AUDIBLE,
    PROTECTED,
    answer_waits,
    answers_by_itself,
    cut_unheard,
    free,
    heard_in_progress,
    heard_out,
    heard_whole,
    may_ask,
    may_replace,
    may_retry,
    may_wait,
    next_cause,
    payable,
    server_answers,
    stalled_unpaid,
    told_to_wait,
)
from fsm.call.idle import gives_up_waiting, prompts_left
from fsm.call.snapshot import Call, Debt, Pending
from fsm.call.states import IN_PROGRESS, NOTHING, OVER, OWED, PAUSED, PREPARING, QUIET, REQUESTED, WANTED
from fsm.call.tool import waits_for_filler
from fsm.engine.notation import always, go, ignore, raises, region, row, sets, stay

LIVE = (NOTHING, PREPARING, PAUSED, OWED, WANTED)
OWING = LIVE[1:]


def for_the_caller(call: Call, _: object) -> bool:
    """Is what is owed next an answer, and not the greeting?"""
    return next_cause(call) is not Cause.GREETING


def worth_a_retry(call: Call, _: object) -> bool:
    """May what failed be asked for again, and is it still wanted (R15)?"""
    return may_retry(call, None) and bool(back_from_failure(call))


def worth_replacing(call: Call, event: ev.VoiceMissing) -> bool:
    """May what brings no sound be asked for again, and is it still wanted (R16)? What asks a silent caller is not, while a tool runs."""
    return may_replace(call, event) and bool(back_from_failure(call))


def may_be_heard_yet(call: Call, event: ev.PlayoutStalled) -> bool:
    """May what the device did not play be asked for again?"""
    return stalled_unpaid(call, event) and worth_a_retry(call, None)


def answered_at_once(call: Call, _: object) -> bool:
    """Is another answer owed, and need the server not be left alone?"""
    return answer_waits(call, None) and not told_to_wait(call, None)


def lost_to_another(call: Call, _: ev.VoiceMissing) -> bool:
    """Does the response bring no sound that is generated, while another answer is owed?"""
    return heard_in_progress(call, None) and not heard_whole(call, None) and answer_waits(call, None)


def leaves_nothing(call: Call, _: object) -> bool:
    """Does one response pay all that is owed, if nothing is in its way?"""
    return may_ask(call, None) and len(payable(call.pending.owed)) == len(call.pending.owed)


def servers_pays_all(call: Call, event: ev.ResponseCreated) -> bool:
    """Does the response that the server created by itself pay all that is owed?"""
    return answers_by_itself(call, event) and not left_by_server(call)


def refused_yet_wanted(call: Call, event: ev.CreateRefused) -> bool:
    """Is the server busy with an older response, and what was asked of it wanted still (R11)?"""
    return may_wait(call, event) and bool(call.pending.asked)


def cut_over_speech(call: Call, event: ev.ResponseCancelled) -> bool:
    """Did the server cancel a response before anything of it was heard, for a caller who speaks, so that their turn is answered first?"""
    return cut_unheard(call, event) and call.response.cause not in PROTECTED and call.turn.state is not QUIET


def may_say_again(call: Call, event: ev.ResponseCancelled) -> bool:
    """Did the server cancel a response unheard, that may be asked for again: a greeting once, another as often as any failure (R36)?"""
    return cut_unheard(call, event) and (
        not call.pending.recoveries or (call.response.cause is not Cause.GREETING and may_retry(call, None))
    )


def cut_with_debts(call: Call, _: ev.BargedIn) -> bool:
    """Does the caller interrupt a response of which nothing was heard, and that was to pay what is still owed?"""
    return bool(back_from_interruption(call))


def answer_lost(call: Call, _: ev.SessionLost) -> bool:
    """Was a response asked for or being generated that is wanted still (R85)?"""
    return call.response.state in (REQUESTED, IN_PROGRESS) and bool(back_from_failure(call))


def broken_off(call: Call, event: ev.TakenUp) -> bool:
    """Was an answer asked for, generated or heard when its process went, and not heard to its end (R110)?"""
    begun = call.response.state in (REQUESTED, IN_PROGRESS) or call.playout.state in AUDIBLE
    return begun and not heard_out(call, event) and bool(back_from_failure(call))


def over_the_voice(call: Call, event: ev.BackchannelHeard | ev.Transcribed) -> bool:
    """Is it a listener's word, and does an answer to it wait until what is heard has been heard?"""
    listens = isinstance(event, ev.BackchannelHeard) or event.backchannel
    return listens and call.playout.state in AUDIBLE and any(is_turn(debt, event.item_id) for debt in call.pending.owed)


def only_noise(call: Call, event: ev.Event) -> bool:
    """Is nothing owed but answers to listener's words, and sounds, over which the voice went on (R94)?"""
    return not settled(call, event)


def cut_over_noise(call: Call, event: ev.BargedIn) -> bool:
    """Is nothing owed but that, and nothing of what the caller cuts off?"""
    return only_noise(call, event) and not cut_with_debts(call, event)


def only_wordless(call: Call, event: ev.Transcribed) -> bool:
    """Is nothing owed but an answer to a sound that was no interruption, and has no words (R94)?"""
    return not read(call, event)


def turn_alone(call: Call, _: ev.TurnDismissed) -> bool:
    """Is nothing owed but an answer to the caller's turn?"""
    return all(debt.cause is Cause.USER_TURN for debt in call.pending.owed)


def full(call: Call, _: ev.NoticeRequested) -> bool:
    """Do as many notices wait as may (R07)?"""
    return sum(debt.cause is Cause.NOTICE for debt in call.pending.owed) >= call.policy.queued_notices


def quiet_while_running(call: Call, event: ev.ToolExpired) -> bool:
    """Has a tool run so long that the caller is told so, with nobody speaking (R80)?"""
    return waits_for_filler(call, event) and free(call, None)


def log_dropped(_: Call, __: ev.NoticeRequested) -> Log:
    """Note a notice for which there is no room."""
    return Log(Level.WARNING, "notice_dropped")


@sets("owed", "recoveries")
def owe_turn(call: Call, event: ev.TurnTaken) -> tuple[Debts, int]:
    """An answer to the caller's turn is owed; one that is not committed is a turn whatever is told of it."""
    item_id = "" if call.turn.uncommitted else call.turn.item_id
    noise = call.interruption.false_alarm and call.playout.state in AUDIBLE and not call.turn.uncommitted
    return merged(call.pending.owed, (Debt(Cause.USER_TURN, event.at_ms, item_id=item_id, noise=noise),)), 0


@sets("owed", "recoveries")
def owe_entry(call: Call, event: ev.EntrySubmitted) -> tuple[Debts, int]:
    """An answer to what was entered on the keypad is owed."""
    return merged(call.pending.owed, (Debt(Cause.ENTRY, event.at_ms),)), 0


@sets("owed", "recoveries")
def owe_tool_result(call: Call, event: ev.ToolsAnswered) -> tuple[Debts, int]:
    """A response to what the tools answered is owed (R80)."""
    return merged(call.pending.owed, (Debt(Cause.TOOL_RESULT, event.at_ms),)), 0


@sets("owed", "recoveries")
def owe_idle_prompt(_: Call, event: ev.IdleExpired) -> tuple[Debts, int]:
    """The caller is to be asked whether they are there (R54)."""
    return (Debt(Cause.IDLE_PROMPT, event.at_ms),), 0


@sets("owed", "recoveries")
def owe_farewell(_: Call, event: ev.IdleExpired) -> tuple[Debts, int]:
    """A silent caller is to be told goodbye (R53)."""
    return (Debt(Cause.FAREWELL, event.at_ms),), 0


@sets("owed", "recoveries")
def owe_filler(_: Call, event: ev.ToolExpired) -> tuple[Debts, int]:
    """The caller is to be told that a tool takes a moment (R80)."""
    return (Debt(Cause.TOOL_FILLER, event.at_ms),), 0


@sets("owed")
def owe_limit_warning(call: Call, event: ev.LimitExpired) -> Debts:
    """The caller is to be warned that the call must end (R82)."""
    return merged(call.pending.owed, (Debt(Cause.LIMIT_WARNING, event.at_ms),))


@sets("owed")
def owe_notice(call: Call, event: ev.NoticeRequested) -> Debts:
    """What the application has to say is to be said."""
    return (*call.pending.owed, Debt(Cause.NOTICE, event.at_ms, event.text))


@sets("owed")
def take_text(call: Call, event: ev.GreetingPrepared) -> Debts:
    """The greeting's text."""
    return tuple(Debt(debt.cause, debt.at_ms, event.text) if debt.cause is Cause.GREETING else debt for debt in call.pending.owed)


@sets("owed", "asked", "recoveries")
def ask(call: Call, _: ev.ResponseDue) -> tuple[Debts, Debts, int]:
    """What the response that is asked for pays is owed no longer."""
    paid = payable(call.pending.owed)
    anew = paid[0].cause is Cause.NOTICE and not paid[0].again
    return without(call.pending.owed, paid), paid, 0 if anew else call.pending.recoveries


@sets("owed", "asked")
def paid_by_server(call: Call, event: ev.ResponseCreated) -> tuple[Debts, Debts]:
    """The server's own response pays what was owed when it began to answer; it answers a turn in any case."""
    left = left_by_server(call)
    paid = without(call.pending.owed, left)
    turn = any(debt.cause is Cause.USER_TURN for debt in paid)
    return left, paid if turn else (*paid, Debt(Cause.USER_TURN, event.at_ms))


@sets("owed", "asked")
def put_back(call: Call, _: ev.Event) -> tuple[Debts, Debts]:
    """What the failed response was to pay is owed again (R15)."""
    return merged(back_from_failure(call), call.pending.owed), ()


@sets("owed", "asked")
def put_back_lost(call: Call, _: ev.TakenUp) -> tuple[Debts, Debts]:
    """The same, of a response whose process went (R110)."""
    return merged(back_from_loss(call), call.pending.owed), ()


@sets("owed", "asked", "recoveries")
def put_back_counted(call: Call, _: ev.Event) -> tuple[Debts, Debts, int]:
    """The same, for one more failure in a row."""
    return merged(back_from_failure(call), call.pending.owed), (), call.pending.recoveries + 1


@sets("owed", "asked", "recoveries")
def put_back_refused(call: Call, _: ev.CreateRefused) -> tuple[Debts, Debts, int]:
    """The same, for a server that is busy: it is asked for the same reason again, but not for ever (R11)."""
    return merged(call.pending.asked, call.pending.owed), (), call.pending.recoveries + 1


@sets("owed", "asked")
def put_back_interrupted(call: Call, event: ev.Event) -> tuple[Debts, Debts]:
    """Of what the interrupted response was to pay, the answers are owed again, if nothing of it was heard."""
    return merged(back_from_interruption(call), settled(call, event)), ()


@sets("owed")
def settle_noise(call: Call, event: ev.PlayoutOver) -> Debts:
    """A listener's word over which the voice went on was none that wants an answer (R94)."""
    return settled(call, event)


@sets("owed")
def mark_noise(call: Call, event: ev.BackchannelHeard | ev.Transcribed) -> Debts:
    """The turn is a listener's word, unless the voice is over soon (R94)."""
    return tuple(
        Debt(debt.cause, debt.at_ms, debt.text, debt.item_id, debt.again, noise=True) if is_turn(debt, event.item_id) else debt
        for debt in call.pending.owed
    )


@sets("owed")
def read_words(call: Call, event: ev.Transcribed) -> Debts:
    """A sound that has words is a turn like any other; without any it is none (R22, R94)."""
    return read(call, event)


@sets("owed", "asked")
def forgive_turn(call: Call, _: ev.TurnDismissed) -> tuple[Debts, Debts]:
    """The caller wants no answer to their turn (R25): one that is under way and fails is not asked for again."""
    owed, asked = ([debt for debt in debts if debt.cause is not Cause.USER_TURN] for debts in (call.pending.owed, call.pending.asked))
    return tuple(owed), tuple(asked)


PENDING = region(
    "pending",
    *closing(LIVE),
    #   while                    on                     if                   then
    row(PAUSED,                  ev.TurnTaken,          told_to_wait,        stay(owe_turn)),
    row(LIVE,                    ev.TurnTaken,          server_answers,      go(OWED, owe_turn)),
    row(LIVE,                    ev.TurnTaken,          always,              go(WANTED, owe_turn, raises(ev.ResponseDue))),
    row((PAUSED, OWED),          ev.EntrySubmitted,     always,              stay(owe_entry)),
    row((NOTHING, PREPARING, WANTED), ev.EntrySubmitted, always,             go(WANTED, owe_entry, raises(ev.ResponseDue))),
    row((PAUSED, OWED),          ev.ToolsAnswered,      always,              stay(owe_tool_result)),
    row((NOTHING, PREPARING, WANTED), ev.ToolsAnswered, always,              go(WANTED, owe_tool_result, raises(ev.ResponseDue))),
    row(OWING,                   ev.NoticeRequested,    full,                stay(log_dropped)),
    row((PREPARING, PAUSED, OWED), ev.NoticeRequested,  always,              stay(owe_notice)),
    row((NOTHING, WANTED),       ev.NoticeRequested,    always,              go(WANTED, owe_notice, raises(ev.ResponseDue))),
    row((PREPARING, PAUSED, OWED), ev.LimitExpired,     always,              stay(owe_limit_warning)),
    row((NOTHING, WANTED),       ev.LimitExpired,       always,              go(WANTED, owe_limit_warning, raises(ev.ResponseDue))),
    row(NOTHING,                 ev.IdleExpired,        prompts_left,        go(WANTED, owe_idle_prompt, raises(ev.ResponseDue))),
    row(NOTHING,                 ev.IdleExpired,        gives_up_waiting,    go(WANTED, owe_farewell, raises(ev.ResponseDue))),
    row(NOTHING,                 ev.ToolExpired,        quiet_while_running, go(WANTED, owe_filler, raises(ev.ResponseDue))),

    row(PREPARING,               ev.GreetingPrepared,   always,              go(WANTED, take_text, raises(ev.ResponseDue))),
    row((PREPARING, PAUSED, OWED), ev.PendingExpired,   always,              go(WANTED, raises(ev.ResponseDue))),
    row(PAUSED,                  ev.SpeechStarted,      told_to_wait,        ignore("the wait goes on while the caller speaks (R92)")),
    row((PAUSED, OWED),          ev.SpeechStarted,      for_the_caller,      go(WANTED)),

    row(WANTED,                  ev.ResponseDue,        leaves_nothing,      go(NOTHING, ask)),
    row(WANTED,                  ev.ResponseDue,        may_ask,             stay(ask)),
    row(OWING,                   ev.ResponseCreated,    servers_pays_all,    go(NOTHING, paid_by_server)),
    row(OWING,                   ev.ResponseCreated,    answers_by_itself,   go(WANTED, paid_by_server)),
    row(NOTHING,                 ev.ResponseCreated,    answers_by_itself,   stay(paid_by_server)),

    row((OWED, WANTED),          (ev.BackchannelHeard, ev.Transcribed), over_the_voice, stay(mark_noise)),
    row((OWED, WANTED),          ev.Transcribed,        only_wordless,       go(NOTHING, read_words)),
    row(OWED,                    ev.Transcribed,        always,              stay(read_words)),
    row(WANTED,                  ev.Transcribed,        always,              stay(read_words, raises(ev.ResponseDue))),
    row((OWED, WANTED),          ev.PlayoutOver,        only_noise,          go(NOTHING, settle_noise)),
    row(OWED,                    ev.PlayoutOver,        always,              stay(settle_noise)),
    row(WANTED,                  ev.PlayoutOver,        always,              stay(settle_noise, raises(ev.ResponseDue))),
    row((PAUSED, OWED, WANTED),  ev.TurnDismissed,      turn_alone,          go(NOTHING, forgive_turn)),
    row((OWED, WANTED),          ev.TurnDismissed,      always,              go(WANTED, forgive_turn, raises(ev.ResponseDue))),
    row((NOTHING, PAUSED),       ev.TurnDismissed,      always,              stay(forgive_turn)),

    row(WANTED,                  ev.AnswerFailed,       answered_at_once,    stay(put_back)),
    row(WANTED,                  ev.AnswerFailed,       answer_waits,        go(PAUSED, put_back)),
    row((NOTHING, WANTED),       ev.AnswerFailed,       worth_a_retry,       go(PAUSED, put_back_counted)),
    row(OWED,                    ev.AnswerFailed,       may_retry,           stay(put_back_counted)),
    row(WANTED,                  ev.VoiceMissing,       lost_to_another,     stay(put_back)),
    row((NOTHING, WANTED),       ev.VoiceMissing,       worth_replacing,     go(PAUSED, put_back_counted)),
    row(OWED,                    ev.VoiceMissing,       may_replace,         stay(put_back_counted)),
    row((NOTHING, WANTED),       ev.PlayoutStalled,     may_be_heard_yet,    go(PAUSED, put_back_counted)),
    row(OWED,                    ev.PlayoutStalled,     may_be_heard_yet,    stay(put_back_counted)),
    row((NOTHING, WANTED),       ev.CreateRefused,      refused_yet_wanted,  go(WANTED, put_back_refused)),
    row(OWED,                    ev.CreateRefused,      refused_yet_wanted,  stay(put_back_refused)),
    row((NOTHING, WANTED),       ev.ResponseCancelled,  cut_over_speech,     go(WANTED, put_back_interrupted)),
    row((NOTHING, WANTED),       ev.ResponseCancelled,  may_say_again,       go(PAUSED, put_back_counted)),
    row(OWED,                    ev.ResponseCancelled,  cut_unheard,         stay(put_back_interrupted)),
    row(NOTHING,                 ev.BargedIn,           cut_with_debts,      go(WANTED, put_back_interrupted, raises(ev.ResponseDue))),
    row((OWED, WANTED),          ev.BargedIn,           cut_over_noise,      go(NOTHING, put_back_interrupted)),
    row((PAUSED, OWED, WANTED),  ev.BargedIn,           always,              stay(put_back_interrupted)),
    row(NOTHING,                 ev.SessionLost,        answer_lost,         go(PAUSED, put_back)),
    row((OWED, WANTED),          ev.SessionLost,        answer_lost,         go(WANTED, put_back)),
    row((NOTHING, OWED, WANTED), ev.TakenUp,            broken_off,          go(WANTED, put_back_lost)),
    row(OWED,                    (ev.SessionLost, ev.TakenUp), always,       go(WANTED)),

    row(WANTED,                  (ev.ModelEvent, ev.CallerEvent, ev.LineEvent, ev.Expired), always, stay(raises(ev.ResponseDue))),
    row((NOTHING, PREPARING, PAUSED, OWED), (ev.ModelEvent, ev.CallerEvent, ev.LineEvent, ev.Expired), always, ignore("it makes nothing owed: a turn that is taken does, not a transcript or a sound (R20, R22)")),
    row(LIVE,                    (ev.DeviceEvent, ev.SentenceEvent, ev.AppEvent, ev.Signal), always, ignore("it makes nothing owed, and clears no way")),
    doc="what is owed to the caller, and what its response waits for",
    record=Pending,
    states=(*LIVE, OVER),
    expired=ev.PendingExpired,
)  # fmt: skip
