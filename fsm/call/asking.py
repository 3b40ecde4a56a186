"""The next response that we want: every wish for one passes through here, names its cause, and waits until the way is free (R11, R12).

One wish at a time, the latest wins: a caller's turn replaces a greeting that was not yet asked for (R37) and a recovery. A wish that is
due ends in `AskingExpired`, on which the response table asks for it, if the way is free.
"""

from fsm.call import events as ev
from fsm.call.common import closing
from fsm.call.effects import Cause
from fsm.call.entry import entering, submits
from fsm.call.guards import (
    AUDIBLE,
    PROTECTED,
    UNHEARD,
    answers_by_itself,
    free,
    in_progress,
    may_recover,
    may_replace,
    notice_may_begin,
    server_answers,
    server_busy,
    sessionless,
    told_twice,
)
from fsm.call.idle import gives_up_waiting, prompts_left
from fsm.call.snapshot import Asking, Call
from fsm.call.states import DUE, IN_PROGRESS, NOTHING, OVER, OWED, PAUSED, PREPARING, REQUESTED, WANTED
from fsm.call.tool import last_of_pending, others_pending, waits_for_filler
from fsm.engine.notation import always, go, ignore, region, row, sets

LIVE = (NOTHING, PREPARING, PAUSED, OWED, WANTED, DUE)


def for_the_caller(call: Call, _: object) -> bool:
    """Is the wish an answer, not the greeting?"""
    return call.asking.cause is not Cause.GREETING


def protected_unheard(call: Call, event: ev.ResponseCancelled) -> bool:
    """Was the greeting, or a notice, cancelled before anything of it was heard, for the first time (R36)?"""
    protected = event.response_id == call.response.id and call.response.cause in PROTECTED and in_progress(call, None)
    return protected and call.playout.state in UNHEARD and not call.asking.recoveries


def may_ask_again(call: Call, _: ev.Event) -> bool:
    """Was our response.create refused or left unanswered, and may it be sent again (R14)?"""
    return call.response.state is REQUESTED and call.asking.recoveries < call.policy.recoveries


def may_wait(call: Call, event: ev.CreateRefused) -> bool:
    """Is the server busy with an older response, and may we ask again when that has ended (R11)?"""
    return server_busy(call, event) and may_ask_again(call, event)


def answer_lost(call: Call, _: ev.SessionLost) -> bool:
    """Was a response asked for or being generated (R85)?"""
    return call.response.state in (REQUESTED, IN_PROGRESS)


def over_the_voice(call: Call, event: ev.BackchannelHeard) -> bool:
    """Does an answer to it wait until what is heard has been heard?"""
    waits = call.asking.cause is Cause.USER_TURN and event.item_id == call.asking.item_id
    return waits and call.playout.state in AUDIBLE


def quiet_while_running(call: Call, event: ev.ToolExpired) -> bool:
    """Has a tool run so long that the caller is told so, with nobody speaking (R80)?"""
    return waits_for_filler(call, event) and free(call, None)


def last_tool(call: Call, event: ev.ToolExpired) -> bool:
    """Is the tool that did not answer the only one that runs?"""
    return not waits_for_filler(call, event) and not others_pending(call, event)


@sets("cause", "instructions", "item_id", "recoveries")
def take_turn(_: Call, event: ev.TurnCommitted) -> tuple[Cause, str, str, int]:
    """An answer to the caller's turn is wanted."""
    return Cause.USER_TURN, "", event.item_id, 0


@sets("cause", "instructions", "recoveries")
def take_uncommitted_turn(_: Call, __: ev.TurnExpired) -> tuple[Cause, str, int]:
    """An answer to a turn whose commit never came is wanted (R24)."""
    return Cause.USER_TURN, "", 0


@sets("cause", "instructions", "recoveries")
def take_entry(_: Call, __: ev.Event) -> tuple[Cause, str, int]:
    """An answer to what was entered on the keypad is wanted."""
    return Cause.USER_TURN, "", 0


@sets("cause", "instructions", "recoveries")
def take_tool_result(_: Call, __: ev.Event) -> tuple[Cause, str, int]:
    """A response to what the tools answered is wanted (R80)."""
    return Cause.TOOL_RESULT, "", 0


@sets("cause", "instructions", "recoveries")
def take_idle_prompt(_: Call, __: ev.IdleExpired) -> tuple[Cause, str, int]:
    """The caller is to be asked whether they are there (R54)."""
    return Cause.IDLE_PROMPT, "", 0


@sets("cause", "instructions", "recoveries")
def take_farewell(_: Call, __: ev.IdleExpired) -> tuple[Cause, str, int]:
    """A silent caller is to be told goodbye (R53)."""
    return Cause.FAREWELL, "", 0


@sets("cause", "instructions", "recoveries")
def take_limit_warning(_: Call, __: ev.LimitExpired) -> tuple[Cause, str, int]:
    """The caller is to be warned that the call must end (R82)."""
    return Cause.LIMIT_WARNING, "", 0


@sets("cause", "instructions", "recoveries")
def take_notice(call: Call, _: ev.NoticeExpired) -> tuple[Cause, str, int]:
    """What the application has to say is to be said."""
    return Cause.NOTICE, call.notice.waiting[0], 0


@sets("cause", "instructions", "recoveries")
def take_filler(_: Call, __: ev.ToolExpired) -> tuple[Cause, str, int]:
    """The caller is to be told that a tool takes a moment (R80)."""
    return Cause.TOOL_FILLER, "", 0


@sets("instructions")
def take_text(_: Call, event: ev.GreetingPrepared) -> str:
    """The greeting's text."""
    return event.text


@sets("cause", "recoveries")
def count_failure(call: Call, _: ev.Event) -> tuple[Cause, int]:
    """The response is wanted again, for one more failure (R15)."""
    return _again(call), call.asking.recoveries + 1


@sets("cause", "recoveries")
def count_refusal(call: Call, _: ev.CreateRefused) -> tuple[Cause, int]:
    """The response is wanted for the same reason; that it was refused counts, so that a server is not asked for ever."""
    return call.response.cause, call.asking.recoveries + 1


@sets("cause")
def take_lost(call: Call, _: ev.SessionLost) -> Cause:
    """The response that went with the session is wanted again; that it is, is bounded by the reconnects (R85)."""
    return _again(call)


def _again(call: Call) -> Cause:
    """Why a response is wanted again: a greeting or a notice of which nothing was heard as what it was, any other as a recovery."""
    unheard = call.playout.state in UNHEARD or call.response.state is REQUESTED
    return call.response.cause if unheard and call.response.cause in PROTECTED else Cause.RECOVERY


ASKING = region(
    "asking",
    *closing(LIVE),
    #   while                    on                     if                   then
    row(LIVE,                    ev.TurnCommitted,      told_twice,          ignore("a turn is answered once (R21)")),
    row(LIVE,                    ev.TurnCommitted,      server_answers,      go(OWED, take_turn)),
    row(LIVE,                    ev.TurnCommitted,      always,              go(DUE, take_turn)),
    row(LIVE,                    ev.TurnExpired,        sessionless,         ignore("the next session tells the turn anew, or it is closed there (R85)")),
    row(LIVE,                    ev.TurnExpired,        server_answers,      go(OWED, take_uncommitted_turn)),
    row(LIVE,                    ev.TurnExpired,        always,              go(DUE, take_uncommitted_turn)),
    row(LIVE,                    ev.DigitPressed,       submits,             go(DUE, take_entry)),
    row(LIVE,                    ev.EntryExpired,       entering,            go(DUE, take_entry)),
    row(LIVE[1:],                ev.ResponseCreated,    answers_by_itself,   go(NOTHING)),
    row((PAUSED, OWED, DUE),     ev.SpeechStarted,      for_the_caller,      go(WANTED)),

    row(LIVE[1:],                ev.TurnDismissed,      always,              go(NOTHING)),
    row((OWED, WANTED),          ev.BackchannelHeard,   over_the_voice,      go(NOTHING)),
    row(NOTHING,                 ev.ToolFinished,       last_of_pending,     go(DUE, take_tool_result)),
    row(NOTHING,                 ev.ToolExpired,        quiet_while_running, go(DUE, take_filler)),
    row(NOTHING,                 ev.ToolExpired,        last_tool,           go(DUE, take_tool_result)),
    row(NOTHING,                 ev.IdleExpired,        prompts_left,        go(DUE, take_idle_prompt)),
    row(NOTHING,                 ev.IdleExpired,        gives_up_waiting,    go(DUE, take_farewell)),
    row(NOTHING,                 ev.NoticeExpired,      notice_may_begin,    go(DUE, take_notice)),
    row(NOTHING,                 ev.LimitExpired,       always,              go(DUE, take_limit_warning)),

    row(PREPARING,               ev.GreetingPrepared,   always,              go(DUE, take_text)),
    row((PREPARING, PAUSED),     ev.AskingExpired,      always,              go(DUE)),
    row((OWED, DUE),             ev.AskingExpired,      free,                go(NOTHING)),
    row((OWED, DUE),             ev.AskingExpired,      always,              go(WANTED)),

    row(WANTED,                  ev.ResponseEnded,      always,              go(DUE)),
    row(WANTED,                  (ev.CreateRefused, ev.CancelUnsent), always, go(DUE)),
    row(WANTED,                  (ev.SessionConfirmed, ev.LineOpened), always, go(DUE)),
    row(WANTED,                  (ev.ResponseExpired, ev.PlayoutExpired, ev.InterruptionExpired), always, go(DUE)),

    row(NOTHING,                 (ev.ResponseFailed, ev.ResponseIncomplete), may_recover, go(PAUSED, count_failure)),
    row(NOTHING,                 ev.ResponseCancelled,  protected_unheard,   go(PAUSED, count_failure)),
    row(NOTHING,                 ev.PlayoutExpired,     may_replace,         go(PAUSED, count_failure)),
    row(NOTHING,                 ev.CreateRefused,      may_wait,            go(WANTED, count_refusal)),
    row(NOTHING,                 (ev.CreateRefused, ev.ResponseExpired), may_ask_again, go(PAUSED, count_failure)),

    row(OWED,                    ev.SessionLost,        always,              go(WANTED)),
    row(NOTHING,                 ev.SessionLost,        answer_lost,         go(PAUSED, take_lost)),

    row(LIVE,                    ev.ModelEvent,         always,              ignore("it makes no response wanted")),
    row(LIVE,                    ev.CallerEvent,        always,              ignore("a transcript or a sound is no turn: a committed turn is (R20)")),
    row(LIVE,                    ev.Expired,            always,              ignore("another region's deadline")),
    row(LIVE,                    (ev.DeviceEvent, ev.SentenceEvent, ev.LineEvent, ev.AppEvent), always, ignore("it makes no response wanted")),
    doc="the next response that we want, why, and what it waits for",
    record=Asking,
    states=(*LIVE, OVER),
    expired=ev.AskingExpired,
)  # fmt: skip
