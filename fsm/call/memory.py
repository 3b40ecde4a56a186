"""The model's memory: after an interruption it must remember what the caller heard, and nothing more (R34, R71)."""

from itertools import accumulate
from math import inf

from fsm.call import events as ev
from fsm.call.common import closing
from fsm.call.effects import DeleteItem, Level, Log, RewriteItem, TruncateItem
from fsm.call.guards import AUDIBLE, of_playout, of_session
from fsm.call.snapshot import Call, Memory, Spoken
from fsm.call.states import AHEAD, IN_STEP, OVER, POSITION_AWAITED, SYNTHESISING
from fsm.engine.notation import always, go, ignore, region, row, sets, stay

LIVE = (IN_STEP, POSITION_AWAITED)


def nothing_said(call: Call, _: object) -> bool:
    """Is no item heard or about to be, so that there is nothing to correct?"""
    return call.playout.state not in AUDIBLE or not _item(call)[0]


def cut_by_server(call: Call, event: ev.ResponseCancelled) -> bool:
    """Did the server cut an item that is being heard?"""
    return of_playout(call, event) and not nothing_said(call, event)


def newly_synthesised(call: Call, event: ev.SentenceSynthesised) -> bool:
    """Is it the sentence in synthesis, told for the first time?"""
    return of_session(call, event) and call.synthesis.state is SYNTHESISING


def of_last_spoken(call: Call, event: ev.SentenceStarted) -> bool:
    """Is it the sentence that was synthesised last, which no other follows yet?"""
    return of_session(call, event) and call.synthesis.state is AHEAD and call.memory.id == call.synthesis.response_id


def unheard(call: Call, event: ev.PlayoutStopped) -> bool:
    """Was nothing of the interrupted item heard?"""
    return event.response_id == call.memory.id and event.played_ms < 1


def recording_heard(call: Call, event: ev.PlayoutStopped) -> bool:
    """Was of a text no sentence spoken, so that what was heard is a recording of ours, and no word of the model's (R34)?"""
    return event.response_id == call.memory.id and call.policy.voice == "chatterbox" and not call.memory.spoken


def spoken_in_part(call: Call, event: ev.PlayoutStopped) -> bool:
    """Were sentences of the interrupted item spoken, so that its text must be cut?"""
    return event.response_id == call.memory.id and bool(call.memory.spoken)


def heard_in_part(call: Call, event: ev.PlayoutStopped) -> bool:
    """Was less heard of the interrupted item than the model sent?"""
    return event.response_id == call.memory.id and event.played_ms < event.received_ms


def heard_in_full(call: Call, event: ev.PlayoutStopped) -> bool:
    """Was everything heard?"""
    return event.response_id == call.memory.id


def truncate_item(call: Call, event: ev.PlayoutStopped) -> TruncateItem:
    """Cut the item to what was played: never more than was received, never by a wall clock (R71)."""
    return TruncateItem(call.memory.item_id, int(event.played_ms))


def rewrite_item(call: Call, event: ev.PlayoutStopped) -> RewriteItem:
    """Leave of the text what was heard: whole sentences, and of the last one as many words as its played part allows (R34)."""
    words: list[str] = []
    begins = _begins(call.memory.spoken)
    for (sentence, from_ms), (_, until_ms) in zip(begins, [*begins[1:], (None, inf)], strict=True):
        left_ms = event.played_ms - from_ms
        # less than a millisecond is what adding up lengths left over, not a word
        if left_ms < 1:
            break
        heard = sentence.text.split()
        if left_ms < sentence.audio_ms and event.played_ms < until_ms + 1:
            heard = heard[: max(1, int(len(heard) * left_ms / sentence.audio_ms))]
        words += heard
    return RewriteItem(call.memory.item_id, " ".join(words))


def _begins(spoken: tuple[Spoken, ...]) -> list[tuple[Spoken, float]]:
    """The sentences that were heard, each with where it began: as the device told, or else one behind the other."""
    if any(sentence.from_ms is not None for sentence in spoken):
        return [(sentence, sentence.from_ms) for sentence in spoken if sentence.from_ms is not None]
    lengths = [sentence.audio_ms for sentence in spoken]
    return list(zip(spoken, accumulate(lengths, initial=0.0), strict=False))


def delete_item(call: Call, _: ev.PlayoutStopped) -> DeleteItem:
    """Forget an item of which nothing was heard."""
    return DeleteItem(call.memory.item_id)


def log_unknown(call: Call, _: ev.MemoryExpired) -> Log:
    """Note that the device did not say what it played."""
    return Log(Level.WARNING, "played_position_unknown", call.memory.id)


@sets("id", "item_id", "spoken")
def note_spoken(call: Call, event: ev.SentenceSynthesised) -> tuple[str, str, tuple[Spoken, ...]]:
    """One more sentence went to the device; of a response at most `Policy.queued_sentences` are remembered (R07)."""
    synthesis, memory = call.synthesis, call.memory
    earlier = memory.spoken if memory.id == synthesis.response_id else ()
    spoken = (*earlier, Spoken(synthesis.text, event.audio_ms))[: call.policy.queued_sentences]
    return synthesis.response_id, synthesis.item_id, spoken


@sets("spoken")
def note_begin(call: Call, event: ev.SentenceStarted) -> tuple[Spoken, ...]:
    """The sentence that was synthesised last is heard from here on."""
    *earlier, last = call.memory.spoken
    return (*earlier, Spoken(last.text, last.audio_ms, event.played_ms))


@sets("id", "item_id", "spoken")
def take_item(call: Call, _: ev.Event) -> tuple[str, str, tuple[Spoken, ...]]:
    """The item whose played part is awaited."""
    return call.playout.id, *_item(call)


def _item(call: Call) -> tuple[str, tuple[Spoken, ...]]:
    """The item that is heard, or that a sentence in synthesis is part of, and what was spoken of it; empty if none is known."""
    if call.memory.id == call.playout.id and call.memory.spoken:
        return call.memory.item_id, call.memory.spoken
    if not call.playout.item_id and call.synthesis.response_id == call.playout.id:
        return call.synthesis.item_id, ()
    return call.playout.item_id, ()


MEMORY = region(
    "memory",
    *closing(LIVE),
    #   while               on                       if                 then
    row(LIVE,               ev.InterruptionExpired,  nothing_said,      ignore("no item is heard")),
    row(LIVE,               ev.InterruptionExpired,  always,            go(POSITION_AWAITED, take_item)),
    row(LIVE,               ev.ResponseCancelled,    cut_by_server,     go(POSITION_AWAITED, take_item)),

    row(POSITION_AWAITED,   ev.PlayoutStopped,       unheard,           go(IN_STEP, delete_item)),
    row(POSITION_AWAITED,   ev.PlayoutStopped,       recording_heard,   go(IN_STEP, delete_item)),
    row(POSITION_AWAITED,   ev.PlayoutStopped,       spoken_in_part,    go(IN_STEP, rewrite_item)),
    row(POSITION_AWAITED,   ev.PlayoutStopped,       heard_in_part,     go(IN_STEP, truncate_item)),
    row(POSITION_AWAITED,   ev.PlayoutStopped,       heard_in_full,     go(IN_STEP)),
    row(POSITION_AWAITED,   ev.MemoryExpired,        always,            go(IN_STEP, log_unknown)),

    row(IN_STEP,            ev.SentenceSynthesised,  newly_synthesised, stay(note_spoken)),
    row(IN_STEP,            ev.SentenceStarted,      of_last_spoken,    stay(note_begin)),

    row(LIVE,               ev.DeviceEvent,          always,            ignore("only the answer to a flush says what was heard (R71)")),
    row(LIVE,               ev.ModelEvent,           always,            ignore("only an interruption puts the memory out of step")),
    row(LIVE,               ev.Expired,              always,            ignore("another region's deadline")),
    row(LIVE,               (ev.CallerEvent, ev.SentenceEvent, ev.LineEvent, ev.AppEvent), always, ignore("only an interruption puts the memory out of step")),
    doc="what the model must forget after an interruption",
    record=Memory,
    states=(*LIVE, OVER),
    expired=ev.MemoryExpired,
)  # fmt: skip
