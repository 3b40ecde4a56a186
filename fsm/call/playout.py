"""The playout: which response may be heard and how much of it is still to be heard (R27); the only table that admits and flushes."""

from fsm.call import events as ev
from fsm.call.common import ending, guarded
from fsm.call.effects import Admit, Flush, Level, Log, Retire
from fsm.call.guards import (
    AUDIBLE,
    SOUNDING,
    UNHEARD,
    ends_with_session,
    followed_by_sound,
    last_of_playout,
    last_sentence_lost,
    leaving,
    more_to_come,
    no_audio,
    of_next,
    of_playout,
    of_session,
    stalled,
    welcome,
)
from fsm.call.snapshot import Call, Playout
from fsm.call.states import ADMITTED, FINISHED, ONSET, OVER, PLAYING, SILENT, STARVED, TAIL, VOICELESS
from fsm.engine.notation import always, go, ignore, region, row, sets, stay

LIVE = (SILENT, *AUDIBLE, FINISHED)


def followed(call: Call, _: object) -> bool:
    """Is another response admitted behind the one that is heard?"""
    return bool(call.playout.next_id)


def words_to_be_spoken(call: Call, event: ev.TextArrived) -> bool:
    """Are they the words of a response that the model speaks itself (R16)?"""
    return event.response_id == call.playout.id and call.policy.voice == "realtime"


def leaving_followed(call: Call, event: ev.HangupExpired) -> bool:
    """Is the call to be closed now, with another response admitted behind the one that is heard?"""
    return leaving(call, event) and followed(call, event)


def starved_of_more(call: Call, event: ev.PlayoutFinished) -> bool:
    """Has all that came been heard, with more to come?"""
    return of_playout(call, event) and more_to_come(call, None)


def admit(_: Call, event: ev.ResponseCreated) -> Admit:
    """Let the new response be heard."""
    return Admit(event.response_id)


def flush(call: Call, _: ev.Event) -> Flush:
    """Make what is heard inaudible for good (R30)."""
    return Flush(call.playout.id)


def retire(call: Call, _: ev.PlayoutExpired) -> Retire:
    """What is over is not heard any more, whatever still comes of it."""
    return Retire(call.playout.id)


def flush_next(call: Call, _: ev.Event) -> Flush:
    """Make the response that was to follow inaudible for good."""
    return Flush(call.playout.next_id)


def log_stalled(call: Call, _: ev.Event) -> Log:
    """Note a device that plays nothing of what it was given."""
    return Log(Level.WARNING, "playout_without_progress", call.playout.id)


@sets("id", "item_id", "next_id", "next_item_id", "arrived_id")
def take_id(_: Call, event: ev.ResponseCreated) -> tuple[str, str, str, str, str]:
    """The admitted response."""
    return event.response_id, "", "", "", ""


@sets("next_id", "next_item_id", "arrived_id")
def take_next(_: Call, event: ev.ResponseCreated) -> tuple[str, str, str]:
    """The response that is heard after the present one."""
    return event.response_id, "", ""


@sets("next_item_id", "arrived_id")
def take_next_item(_: Call, event: ev.AudioArrived) -> tuple[str, str]:
    """The item of the response that follows: its sound came while the present one is heard (R71)."""
    return event.item_id, event.response_id


@sets("id", "item_id", "next_id", "next_item_id", "arrived_id")
def promote_next(call: Call, _: ev.Event) -> tuple[str, str, str, str, str]:
    """The response that follows is the one heard now."""
    return call.playout.next_id, call.playout.next_item_id, "", "", ""


@sets("id", "item_id", "next_id", "next_item_id", "arrived_id")
def forget(_: Call, __: ev.Event) -> tuple[str, str, str, str, str]:
    """Nothing is heard."""
    return "", "", "", "", ""


@sets("next_id", "next_item_id", "arrived_id")
def drop_next(_: Call, __: ev.Event) -> tuple[str, str, str]:
    """Nothing follows."""
    return "", "", ""


@sets("item_id")
def take_item(_: Call, event: ev.AudioArrived) -> str:
    """The item that is heard: what an interruption truncates."""
    return event.item_id


PLAYOUT = region(
    "playout",
    *guarded(LIVE),
    #   while                    on                       if                    then
    row(AUDIBLE,                 ev.Ending,               followed,             go(OVER, flush, flush_next)),
    row(AUDIBLE,                 ev.HangupExpired,        leaving_followed,     go(OVER, flush, flush_next)),
    *ending(AUDIBLE, flush),
    *ending((SILENT, FINISHED)),

    row(SILENT,                  ev.ResponseCreated,      welcome,              go(ADMITTED, take_id, admit)),
    row((*AUDIBLE, FINISHED),    ev.ResponseCreated,      welcome,              stay(take_next, admit)),

    row(AUDIBLE,                 ev.InterruptionExpired,  followed,             go(SILENT, flush, flush_next, forget)),
    row(AUDIBLE,                 ev.InterruptionExpired,  always,               go(SILENT, flush, forget)),
    row(AUDIBLE,                 ev.ResponseCancelled,    of_playout,           go(FINISHED, flush)),
    row((*AUDIBLE, FINISHED),    ev.ResponseCancelled,    of_next,              stay(flush_next, drop_next)),
    row((*AUDIBLE, FINISHED),    ev.AudioArrived,         of_next,              stay(take_next_item)),

    row(ADMITTED,                ev.TextArrived,          words_to_be_spoken,   go(VOICELESS)),
    row(UNHEARD,                 ev.AudioArrived,         of_playout,           go(ONSET, take_item)),
    row(UNHEARD,                 ev.PlayoutProgressed,    of_playout,           go(ONSET)),
    row(UNHEARD,                 ev.ResponseEnded,        last_of_playout,      go(FINISHED)),
    row((*UNHEARD, STARVED),     ev.SessionLost,          ends_with_session,    go(FINISHED)),
    row(ADMITTED,                (ev.SynthesisFailed, ev.SynthesisDiscarded, ev.SynthesisExpired), last_sentence_lost, go(FINISHED)),
    row((ADMITTED, PLAYING, STARVED), ev.PlayoutExpired,  stalled,              go(FINISHED, flush, log_stalled)),
    row(ADMITTED,                ev.PlayoutExpired,       no_audio,             go(FINISHED, flush)),
    row(ADMITTED,                ev.PlayoutExpired,       always,               go(ADMITTED)),
    row(VOICELESS,               ev.PlayoutExpired,       always,               go(FINISHED, flush)),

    row(ONSET,                   ev.PlayoutExpired,       always,               go(PLAYING)),
    row(PLAYING,                 ev.PlayoutProgressed,    of_playout,           go(PLAYING)),
    row(PLAYING,                 ev.PlayoutExpired,       always,               go(PLAYING)),
    row((ONSET, PLAYING),        ev.QueueEmptied,         of_playout,           go(TAIL)),
    row(SOUNDING,                ev.PlayoutFinished,      starved_of_more,      go(STARVED)),
    row(SOUNDING,                ev.PlayoutFinished,      of_playout,           go(FINISHED)),
    row(TAIL,                    ev.PlayoutExpired,       more_to_come,         go(STARVED)),
    row(TAIL,                    ev.PlayoutExpired,       always,               go(FINISHED)),

    row((TAIL, STARVED),         ev.PlayoutProgressed,    of_playout,           go(PLAYING)),
    row(STARVED,                 ev.ResponseEnded,        last_of_playout,      go(FINISHED)),
    row(STARVED,                 (ev.SynthesisFailed, ev.SynthesisDiscarded, ev.SynthesisExpired), last_sentence_lost, go(FINISHED)),
    row(STARVED,                 ev.SentenceSynthesised,  of_session,           go(STARVED)),
    row(STARVED,                 ev.PlayoutExpired,       more_to_come,         go(STARVED)),
    row(STARVED,                 ev.PlayoutExpired,       always,               go(FINISHED)),

    row(FINISHED,                ev.PlayoutExpired,       followed_by_sound,    go(ONSET, promote_next, retire)),
    row(FINISHED,                ev.PlayoutExpired,       followed,             go(ADMITTED, promote_next, retire)),
    row(FINISHED,                ev.PlayoutExpired,       always,               go(SILENT, forget, retire)),

    row(LIVE,                    ev.DeviceEvent,          always,               ignore("of a response that is not heard, or nothing new")),
    row(LIVE,                    ev.ModelEvent,           always,               ignore("generation is not playout (R75)")),
    row(LIVE,                    ev.SentenceEvent,        always,               ignore("synthesis is not playout (R75)")),
    row(LIVE,                    ev.Expired,              always,               ignore("another region's deadline")),
    row(LIVE,                    ev.CallerEvent,          always,               ignore("a sound of the caller holds the voice; only an interruption flushes it")),
    row(LIVE,                    (ev.LineEvent, ev.AppEvent), always,           ignore("the line and the application do not change what is heard")),
    doc="which response may be heard, and how much of it is still to be heard",
    record=Playout,
    states=(*LIVE, OVER),
    expired=ev.PlayoutExpired,
)  # fmt: skip
