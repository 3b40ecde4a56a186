"""The playout: which response may be heard and how much of it is still to be heard (R27); the only table that admits and flushes."""

from fsm.call import events as ev
from fsm.call.common import ending, guarded
from fsm.call.effects import Admit, Flush, Level, Log, Retire
from fsm.call.guards import (
    AUDIBLE,
    SOUNDING,
    UNHEARD,
    asks_patience,
    calls_instead,
    ended_before,
    followed_by_sound,
    heard_in_progress,
    heard_whole,
    last_sentence_lost,
    more_to_come,
    notice_to_be_heard,
    notice_under_way,
    of_next,
    of_playout,
    of_session,
    sentences_to_come,
    stalled,
    unheard,
    welcome,
    without_sound_to_follow,
)
from fsm.call.snapshot import Call, Playout
from fsm.call.states import ADMITTED, COMPLETED, NO_TOOL, ONSET, OVER, PLAYING, SILENT, STARVED, TAIL, VOICELESS
from fsm.engine.notation import always, go, ignore, raises, region, row, sets, stay

LIVE = (SILENT, *AUDIBLE)
LEADING = (ADMITTED, *SOUNDING, STARVED)
"""States in which another response may follow, and sentences are heard: not where the model's own words still bring no sound."""
UNSPOKEN = (ev.SynthesisFailed, ev.SynthesisDiscarded, ev.SynthesisExpired)
"""What may become of a sentence that is not spoken."""


def ends_with_session(call: Call, _: ev.SessionLost) -> bool:
    """Can no more sound of what is heard come, now that the session is lost?"""
    return heard_in_progress(call, None) and not sentences_to_come(call, None)


def last_of_playout(call: Call, event: ev.ResponseEnded) -> bool:
    """Is this the end of what is being heard, with no sentence left to speak?"""
    return of_playout(call, event) and not sentences_to_come(call, None)


def followed(call: Call, _: object) -> bool:
    """Is another response admitted behind the one that is heard?"""
    return bool(call.playout.next_id)


def words_to_be_spoken(call: Call, event: ev.TextArrived) -> bool:
    """Are they the words of a response that the model speaks itself (R16)?"""
    return event.response_id == call.playout.id and call.policy.voice == "realtime"


def tool_explains(call: Call, _: ev.PlayoutExpired) -> bool:
    """Does a tool that runs, or a sentence in synthesis, explain the silence in the middle of an answer (R97)?"""
    return sentences_to_come(call, None) or (heard_in_progress(call, None) and call.tool.state is not NO_TOOL)


def no_audio(call: Call, _: ev.PlayoutExpired) -> bool:
    """Has an admitted response brought neither sound nor a sentence in time (R16, R35)?"""
    return not sentences_to_come(call, None)


def last_word_lost(call: Call, event: ev.SynthesisEnded | ev.SynthesisExpired) -> bool:
    """Does the only sentence of what has ended come to nothing, so that it was never heard (R91)? A notice may have ended long since."""
    ours = call.response.id == call.playout.id
    to_be_heard = call.response.state is COMPLETED and not calls_instead(call) if ours else notice_to_be_heard(call)
    return to_be_heard and unheard(call, None) and last_sentence_lost(call, event)


def after_call(call: Call, _: ev.ToolsAnswered) -> bool:
    """Has the tool answered that the response called, before anything of it was heard?"""
    return heard_in_progress(call, None) and call.response.called


def first_sound(call: Call, event: ev.AudioArrived) -> bool:
    """Is it the first sound of what is heard?"""
    return of_playout(call, event) and unheard(call, None)


def begins_to_be_heard(call: Call, event: ev.SentenceStarted) -> bool:
    """Is a sentence of what is heard begun?"""
    return of_session(call, event) and sentences_to_come(call, None)


def starved_of_more(call: Call, event: ev.PlayoutFinished) -> bool:
    """Has all that came been heard, with more to come?"""
    return of_playout(call, event) and more_to_come(call, None)


def admit(_: Call, event: ev.ResponseCreated) -> Admit:
    """Let the new response be heard."""
    return Admit(event.response_id)


def flush(call: Call, _: ev.Event) -> Flush:
    """Make what is heard, and nothing else, inaudible for good (R30, R31)."""
    return Flush(call.playout.id)


def retire(call: Call, _: ev.PlayoutOver) -> Retire:
    """What is over is not heard any more, whatever still comes of it."""
    return Retire(call.playout.id)


def flush_next(call: Call, _: ev.Event) -> Flush:
    """Make the response that was to follow inaudible for good."""
    return Flush(call.playout.next_id)


def log_stalled(call: Call, _: ev.Event) -> Log:
    """Note a device that plays nothing of what it was given."""
    return Log(Level.WARNING, "playout_without_progress", call.playout.id)


@sets("id", "next_id", "arrived_id", "heard", "asks", "notice")
def take_id(call: Call, event: ev.ResponseCreated) -> tuple[str, str, str, bool, bool, bool]:
    """The admitted response."""
    return event.response_id, "", "", False, False, notice_under_way(call)


@sets("next_id", "arrived_id", "next_asks")
def take_next(_: Call, event: ev.ResponseCreated) -> tuple[str, str, bool]:
    """The response that is heard after the present one."""
    return event.response_id, "", False


@sets("arrived_id")
def note_arrival(_: Call, event: ev.AudioArrived) -> str:
    """Sound of the response that follows came while the present one is heard."""
    return event.response_id


@sets("id", "next_id", "arrived_id", "heard", "asks", "notice")
def promote_next(call: Call, _: ev.PlayoutOver) -> tuple[str, str, str, bool, bool, bool]:
    """The response that follows is the one heard now; it is no notice, as one is asked for only when nothing is heard."""
    return call.playout.next_id, "", "", False, call.playout.next_asks, False


@sets("id", "next_id", "arrived_id", "heard", "asks", "notice")
def forget(_: Call, __: ev.Event) -> tuple[str, str, str, bool, bool, bool]:
    """Nothing is heard."""
    return "", "", "", False, False, False


@sets("heard_out")
def note_heard_out(call: Call, _: ev.PlayoutOver) -> str:
    """It was heard to its end, if anything was or had to be, and it was not flushed: of one that was, the device is to account."""
    heard = call.playout.heard or (call.response.id == call.playout.id and calls_instead(call))
    flushed = call.playout.id in call.truncation.awaited
    return call.playout.id if heard and not flushed else call.playout.heard_out


@sets("heard")
def note_heard(_: Call, __: ev.DeviceEvent) -> bool:
    """Some of the response was heard."""
    return True


@sets("next_id", "arrived_id")
def drop_next(_: Call, __: ev.Event) -> tuple[str, str]:
    """Nothing follows."""
    return "", ""


@sets("asks")
def note_question(_: Call, __: ev.QuestionAsked) -> bool:
    """What is heard ends in a question."""
    return True


@sets("next_asks")
def note_next_question(_: Call, __: ev.QuestionAsked) -> bool:
    """What is heard next ends in a question."""
    return True


PLAYOUT = region(
    "playout",
    *guarded(LIVE),
    #   while                    on                       if                    then
    row(LEADING,                 (ev.Ending, ev.HangupDue), followed,           go(OVER, flush, flush_next)),
    *ending(AUDIBLE, flush),
    *ending((SILENT,)),

    row(LIVE,                    ev.ResponseEnded,        ended_before,         ignore("it has ended before (R06)")),
    row(SILENT,                  ev.ResponseCreated,      welcome,              go(ADMITTED, take_id, admit)),
    row(LEADING,                 ev.ResponseCreated,      welcome,              stay(take_next, admit)),

    row(LEADING,                 ev.BargedIn,             followed,             go(SILENT, flush, flush_next, forget)),
    row(AUDIBLE,                 ev.BargedIn,             always,               go(SILENT, flush, forget)),
    row(AUDIBLE,                 ev.TakenUp,              always,               go(SILENT, forget)),
    row(AUDIBLE,                 ev.ResponseCancelled,    of_playout,           stay(flush, raises(ev.PlayoutOver))),
    row(LEADING,                 ev.ResponseCancelled,    of_next,              stay(flush_next, drop_next)),
    row(LEADING,                 ev.ResponseEnded,        without_sound_to_follow, stay(flush_next, drop_next)),
    row(STARVED,                 ev.VoiceMissing,         heard_whole,          stay(raises(ev.PlayoutOver))),
    row(AUDIBLE,                 ev.VoiceMissing,         always,               stay(flush, raises(ev.PlayoutOver))),
    row((ADMITTED, PLAYING, STARVED), ev.PlayoutStalled,  always,               stay(flush, log_stalled, raises(ev.PlayoutOver))),
    row(LEADING,                 ev.PlayoutOver,          followed_by_sound,    go(ONSET, note_heard_out, promote_next, retire)),
    row(LEADING,                 ev.PlayoutOver,          followed,             go(ADMITTED, note_heard_out, promote_next, retire)),
    row(AUDIBLE,                 ev.PlayoutOver,          always,               go(SILENT, note_heard_out, forget, retire)),

    row(LEADING,                 ev.AudioArrived,         of_next,              stay(note_arrival)),
    row(AUDIBLE,                 ev.QuestionAsked,        of_playout,           stay(note_question)),
    row(LEADING,                 ev.QuestionAsked,        of_next,              stay(note_next_question)),
    row(ADMITTED,                ev.TextArrived,          words_to_be_spoken,   go(VOICELESS)),
    row((*UNHEARD, STARVED),     ev.AudioArrived,         first_sound,          go(ONSET)),
    row((TAIL, STARVED),         ev.AudioArrived,         of_playout,           go(PLAYING)),
    row(UNHEARD,                 ev.PlayoutProgressed,    of_playout,           go(ONSET, note_heard)),
    row(ONSET,                   ev.PlayoutProgressed,    of_playout,           stay(note_heard)),
    row(LEADING,                 ev.SentenceStarted,      begins_to_be_heard,   stay(note_heard)),
    row(ADMITTED,                ev.ResponseFailed,       asks_patience,        ignore("a voice of ours speaks of the wait (R92)")),
    row(UNHEARD,                 ev.ResponseEnded,        last_of_playout,      stay(raises(ev.PlayoutOver))),
    row((*UNHEARD, STARVED),     ev.SessionLost,          ends_with_session,    stay(raises(ev.PlayoutOver))),
    row((ADMITTED, STARVED),     UNSPOKEN,                last_word_lost,       stay(raises(ev.AnswerFailed), raises(ev.PlayoutOver))),
    row((ADMITTED, STARVED),     UNSPOKEN,                last_sentence_lost,   stay(raises(ev.PlayoutOver))),
    row((ADMITTED, PLAYING, STARVED), ev.PlayoutExpired,  stalled,              stay(raises(ev.PlayoutStalled))),
    row(ADMITTED,                ev.PlayoutExpired,       no_audio,             stay(raises(ev.VoiceMissing))),
    row(ADMITTED,                ev.PlayoutExpired,       always,               go(ADMITTED)),
    row(ADMITTED,                ev.ToolsAnswered,        after_call,           go(STARVED)),
    row(VOICELESS,               ev.PlayoutExpired,       always,               stay(raises(ev.VoiceMissing))),

    row(ONSET,                   ev.PlayoutExpired,       always,               go(PLAYING)),
    row(PLAYING,                 ev.PlayoutProgressed,    of_playout,           go(PLAYING, note_heard)),
    row(PLAYING,                 ev.PlayoutExpired,       always,               go(PLAYING)),
    row((ONSET, PLAYING),        ev.QueueEmptied,         of_playout,           go(TAIL, note_heard)),
    row(SOUNDING,                ev.PlayoutFinished,      starved_of_more,      go(STARVED, note_heard)),
    row(SOUNDING,                ev.PlayoutFinished,      of_playout,           stay(note_heard, raises(ev.PlayoutOver))),
    row(TAIL,                    ev.PlayoutExpired,       more_to_come,         go(STARVED)),
    row(TAIL,                    ev.PlayoutExpired,       always,               stay(raises(ev.PlayoutOver))),

    row((TAIL, STARVED),         ev.PlayoutProgressed,    of_playout,           go(PLAYING, note_heard)),
    row(STARVED,                 ev.ResponseEnded,        last_of_playout,      stay(raises(ev.PlayoutOver))),
    row(STARVED,                 ev.SentenceSynthesised,  of_session,           go(STARVED)),
    row(STARVED,                 ev.PlayoutExpired,       tool_explains,        go(STARVED)),
    row(STARVED,                 ev.PlayoutExpired,       heard_in_progress,    stay(raises(ev.VoiceMissing))),
    row(STARVED,                 ev.PlayoutExpired,       always,               stay(raises(ev.PlayoutOver))),

    row(LIVE,                    ev.DeviceEvent,          always,               ignore("of a response that is not heard, or nothing new")),
    row(LIVE,                    ev.ModelEvent,           always,               ignore("generation is not playout (R75)")),
    row(LIVE,                    ev.SentenceEvent,        always,               ignore("synthesis is not playout (R75)")),
    row(LIVE,                    (ev.Expired, ev.Signal), always,               ignore("another region's deadline, or nothing that ends what is heard")),
    row(LIVE,                    ev.CallerEvent,          always,               ignore("a sound of the caller holds the voice; only an interruption flushes it")),
    row(LIVE,                    (ev.LineEvent, ev.AppEvent), always,           ignore("the line and the application do not change what is heard")),
    doc="which response may be heard, and how much of it is still to be heard",
    record=Playout,
    states=(*LIVE, OVER),
    expired=ev.PlayoutExpired,
)  # fmt: skip
