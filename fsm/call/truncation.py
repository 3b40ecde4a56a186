"""What the model must forget: after a flush it must remember of each item what the caller heard of it, and nothing more (R34, R71, R88).

The account is kept by item: the messages of the responses that may be heard, and the sentences of them that went to the device. Whoever
flushes, the device answers with what was heard, and each item is then cut, deleted, rewritten or left, by its own figure. Whatever the
conversation gets later of a response that was flushed, or never admitted, is deleted: it was not heard.
"""

from itertools import accumulate
from math import inf

from fsm.call import events as ev
from fsm.call.common import closing
from fsm.call.effects import DeleteItem, Effect, Level, Log, RewriteItem, TruncateItem
from fsm.call.guards import (
    AUDIBLE,
    ended_before,
    heard_whole,
    known,
    of_next,
    of_playout,
    of_session,
    welcome,
    without_sound_to_follow,
)
from fsm.call.snapshot import Call, Item, Spoken, Truncation
from fsm.call.states import IN_STEP, OVER, POSITION_AWAITED, SILENT, SYNTHESISING
from fsm.engine.notation import always, go, ignore, region, row, sets, several, stay

LIVE = (IN_STEP, POSITION_AWAITED)

Named = ev.ItemAdded | ev.AudioArrived | ev.SentenceCut
"""The events that name an item of a response."""


def silent(call: Call, _: object) -> bool:
    """May nothing be heard, so that nothing is flushed?"""
    return call.playout.state is SILENT


def cut_heard(call: Call, event: ev.ResponseCancelled) -> bool:
    """Did the server cut what is heard?"""
    return of_playout(call, event) and call.playout.state in AUDIBLE


def cut_next(call: Call, event: ev.ResponseEnded) -> bool:
    """Is the response flushed that was to follow?"""
    return without_sound_to_follow(call, event) or _cancels_next(call, event)


def unwelcome(call: Call, event: ev.ResponseCreated) -> bool:
    """Is it a response that is cancelled at its birth, and never admitted (R68)?"""
    return not known(call, event) and not welcome(call, event)


def over_unheard(call: Call, _: ev.PlayoutOver) -> bool:
    """Is a response over of which nothing was heard, and that was not flushed, so that no device accounts for it (R91)?"""
    return not call.playout.heard and call.playout.id not in call.truncation.awaited


def given_up(call: Call, _: ev.PlayoutOver) -> bool:
    """Is a response over that failed, or was cancelled and its end does not come, and that was not flushed (R97)?"""
    return call.playout.id not in call.response.completed and call.playout.id not in call.truncation.awaited


def late(call: Call, event: Named) -> bool:
    """Does the conversation get an item of a response that was flushed or never admitted, told for the first time?"""
    gone = event.response_id in call.truncation.cut and event.response_id not in call.truncation.awaited
    return bool(event.item_id) and gone and not _listed(call, event)


def never_admitted(call: Call, event: ev.ResponseEnded) -> bool:
    """Does a response end of which nothing was told before, so that nothing of it may be heard?"""
    known_ids = (*call.response.ended, *call.truncation.cut, call.response.id, call.playout.id, call.playout.next_id)
    return event.response_id not in known_ids


def new(call: Call, event: Named) -> bool:
    """Is it an item of a response that may be heard, or of which the device is to say what was, told for the first time?"""
    heard = call.playout.state in AUDIBLE and event.response_id in (call.playout.id, call.playout.next_id)
    counts = heard or event.response_id in call.truncation.awaited
    return bool(event.item_id) and counts and not _listed(call, event)


def newly_synthesised(call: Call, event: ev.SentenceSynthesised) -> bool:
    """Is it the sentence in synthesis, told for the first time?"""
    return of_session(call, event) and call.synthesis.state is SYNTHESISING


def last_awaited(call: Call, event: ev.PlayoutStopped) -> bool:
    """Is it the only answer that is awaited?"""
    return call.truncation.awaited == (event.response_id,)


def awaited(call: Call, event: ev.PlayoutStopped) -> bool:
    """Is it an answer that is awaited?"""
    return event.response_id in call.truncation.awaited


def delete_late(_: Call, event: Named) -> DeleteItem:
    """Forget an item of which nothing was or will be heard."""
    return DeleteItem(event.item_id)


@several
def delete_unheard(call: Call, _: ev.PlayoutOver) -> tuple[DeleteItem, ...]:
    """Forget the items of a response of which nothing was heard."""
    return tuple(DeleteItem(item.item_id) for item in call.truncation.items if item.response_id == call.playout.id)


@several
def delete_silent(call: Call, _: ev.PlayoutOver) -> tuple[DeleteItem, ...]:
    """Forget the items of a response that was heard of which no sound came, where no device is asked for them."""
    over = "" if call.playout.id in call.truncation.awaited else call.playout.id
    return tuple(DeleteItem(item.item_id) for item in call.truncation.items if item.response_id == over and not item.sounds)


@several
def corrections(call: Call, event: ev.PlayoutStopped) -> tuple[Effect, ...]:
    """What the model must forget of each item of the flushed response, in their order."""
    account = call.truncation
    items = [item.item_id for item in account.items if item.response_id == event.response_id]
    if call.policy.voice == "chatterbox":
        spoken = tuple(sentence for sentence in account.spoken if sentence.response_id == event.response_id)
        return _rewritten(items, spoken, event.played_ms)
    if not event.items and len(items) == 1:
        return _truncated(items, (ev.Heard(items[0], 0, event.played_ms, event.received_ms),))
    return _truncated(items, event.items)


@several
def corrections_by_record(call: Call, event: ev.TakenUp) -> tuple[Effect, ...]:
    """The same of each response of which the record tells what was heard, and the model does not know (R110)."""
    owed = (*_heard_of(call), *call.truncation.awaited)
    return tuple(effect for stopped in event.heard if stopped.response_id in owed for effect in corrections(call, stopped))


def _truncated(items: list[str], heard: tuple[ev.Heard, ...]) -> tuple[Effect, ...]:
    """The item that was being heard is cut in the content part that was; those of which nothing was heard are deleted (R88)."""
    made: list[Effect] = []
    for item_id in dict.fromkeys([*items, *(part.item_id for part in heard if part.item_id)]):
        parts = [part for part in heard if part.item_id == item_id]
        cut = [part for part in parts if part.played_ms < part.received_ms]
        if sum(part.played_ms for part in parts) < 1:
            made.append(DeleteItem(item_id))
        elif cut:
            made.append(TruncateItem(item_id, int(cut[0].played_ms), cut[0].content_index))
    return tuple(made)


def _rewritten(items: list[str], spoken: tuple[Spoken, ...], played_ms: float) -> tuple[Effect, ...]:
    """The text that was being heard is cut to the words that were; those before it stay, and those of which nothing was heard go.

    Where no sentence was spoken, what was heard is a recording of ours, and no word of the model's.
    """
    words = _words(spoken, played_ms)
    known_items = dict.fromkeys([*items, *(sentence.item_id for sentence in spoken if sentence.item_id)])
    last = next(reversed(words), "")
    made: list[Effect] = []
    for item_id in known_items:
        if not words.get(item_id):
            made.append(DeleteItem(item_id))
        elif item_id == last:
            made.append(RewriteItem(item_id, " ".join(words[item_id])))
    return tuple(made)


def _words(spoken: tuple[Spoken, ...], played_ms: float) -> dict[str, list[str]]:
    """The words of each item that were heard: whole sentences, and of the last one as many as its played part allows (R34)."""
    words: dict[str, list[str]] = {}
    begins = _begins(spoken)
    ends = [from_ms for _, from_ms in begins[1:]]
    for (sentence, from_ms), until_ms in zip(begins, [*ends, inf], strict=False):
        left_ms = played_ms - from_ms
        # less than a millisecond is what adding up lengths left over, not a word
        if left_ms < 1:
            break
        heard = sentence.text.split()
        if left_ms < sentence.audio_ms and played_ms < until_ms + 1:
            heard = heard[: max(1, int(len(heard) * left_ms / sentence.audio_ms))]
        words.setdefault(sentence.item_id, []).extend(heard)
    return words


def _begins(spoken: tuple[Spoken, ...]) -> list[tuple[Spoken, float]]:
    """The sentences that were heard, each with where it began: as the device told, or else one behind the other."""
    if any(sentence.from_ms is not None for sentence in spoken):
        return [(sentence, sentence.from_ms) for sentence in spoken if sentence.from_ms is not None]
    lengths = [sentence.audio_ms for sentence in spoken]
    return list(zip(spoken, accumulate(lengths, initial=0.0), strict=False))


def log_unknown(call: Call, _: ev.TruncationExpired) -> Log:
    """Note that the device did not say what it played."""
    return Log(Level.WARNING, "played_position_unknown", " ".join(call.truncation.awaited))


@sets("items")
def note_item(call: Call, event: Named) -> tuple[Item, ...]:
    """One more item may be heard; of all responses at most `Policy.queued_sentences` are remembered (R07)."""
    item = Item(event.response_id, event.item_id, isinstance(event, ev.AudioArrived))
    return (*call.truncation.items, item)[-call.policy.queued_sentences :]


@sets("items")
def note_sound(call: Call, event: ev.AudioArrived) -> tuple[Item, ...]:
    """Sound of an item has come, if it is known."""
    return _sounding(call, event.response_id, event.item_id)


@sets("items", "spoken")
def note_spoken(call: Call, event: ev.SentenceSynthesised) -> tuple[tuple[Item, ...], tuple[Spoken, ...]]:
    """One more sentence went to the device; of a response at most `Policy.queued_sentences` are remembered one by one (R07).

    An item of which the last sentence is forgotten was heard whole, and needs no correction.
    """
    synthesis = call.synthesis
    items = _sounding(call, synthesis.response_id, synthesis.item_id)
    spoken = (
        *call.truncation.spoken,
        Spoken(synthesis.response_id, synthesis.item_id, synthesis.text, event.audio_ms, None, event.session_id),
    )
    mine = [sentence for sentence in spoken if sentence.response_id == synthesis.response_id]
    if len(mine) > call.policy.queued_sentences:
        first, second, *_ = mine
        spoken = tuple(_as_one(first, second) if sentence is second else sentence for sentence in spoken if sentence is not first)
        if first.item_id != second.item_id:
            items = tuple(item for item in items if (item.response_id, item.item_id) != (first.response_id, first.item_id))
    return items, spoken


@sets("spoken")
def note_begin(call: Call, event: ev.SentenceStarted) -> tuple[Spoken, ...]:
    """The sentence is heard from here on, though its response be flushed meanwhile."""
    return tuple(
        Spoken(one.response_id, one.item_id, one.text, one.audio_ms, event.played_ms) if one.session_id == event.session_id else one
        for one in call.truncation.spoken
    )


@sets("awaited", "cut")
def await_heard(call: Call, _: ev.Event) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What is heard is flushed, and what was to follow it, if anything was."""
    return _flushed(call, *_heard_of(call))


@sets("awaited", "cut")
def await_played(call: Call, _: ev.Event) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What is heard is flushed, and what was to follow it is not."""
    return _flushed(call, call.playout.id)


@sets("awaited", "cut")
def await_next(call: Call, _: ev.Event) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What was to follow is flushed."""
    return _flushed(call, call.playout.next_id)


@sets("cut")
def note_cut(call: Call, event: ev.ResponseCreated | ev.ResponseEnded) -> tuple[str, ...]:
    """A response that is never heard."""
    return _remembered(call, event.response_id)


@sets("spoken", "cut")
def keep_items(call: Call, _: ev.PlayoutOver) -> tuple[tuple[Spoken, ...], tuple[str, ...]]:
    """Nothing more of it will be heard, though the conversation may get more; what it has got is known, and needs no further correction."""
    return _without(call, call.playout.id)[1], _remembered(call, call.playout.id)


@sets("items", "spoken")
def forget_heard(call: Call, _: ev.PlayoutOver) -> tuple[tuple[Item, ...], tuple[Spoken, ...]]:
    """What was heard to its end needs no correction."""
    return _without(call, "" if call.playout.id in call.truncation.awaited else call.playout.id)


@sets("spoken", "awaited")
def settle(call: Call, event: ev.PlayoutStopped) -> tuple[tuple[Spoken, ...], tuple[str, ...]]:
    """The flushed response is accounted for; its items stay known, so that none is corrected twice."""
    awaited = tuple(other for other in call.truncation.awaited if other != event.response_id)
    return _without(call, event.response_id)[1], awaited


@sets("spoken", "awaited")
def give_up(call: Call, _: ev.TruncationExpired) -> tuple[tuple[Spoken, ...], tuple[str, ...]]:
    """What was heard will not be known."""
    return tuple(sentence for sentence in call.truncation.spoken if sentence.response_id not in call.truncation.awaited), ()


@sets("spoken", "awaited", "cut")
def settle_all(call: Call, _: ev.TakenUp) -> tuple[tuple[Spoken, ...], tuple[str, ...], tuple[str, ...]]:
    """All is accounted for, and nothing more of it is heard."""
    return (), (), _remembered(call, *_heard_of(call))


def _heard_of(call: Call) -> tuple[str, ...]:
    """What is heard, and what is to follow it."""
    return tuple(response_id for response_id in (call.playout.id, call.playout.next_id) if response_id)


def _listed(call: Call, event: Named) -> bool:
    return any(item.response_id == event.response_id and item.item_id == event.item_id for item in call.truncation.items)


def _sounding(call: Call, response_id: str, item_id: str) -> tuple[Item, ...]:
    silent_one = Item(response_id, item_id)
    return tuple(Item(response_id, item_id, sounds=True) if item == silent_one else item for item in call.truncation.items)


def _as_one(first: Spoken, second: Spoken) -> Spoken:
    """Two sentences told as one; of two items the first was heard whole, as a sentence behind it is in the device already."""
    if first.item_id != second.item_id:
        return second
    lasted_ms = first.audio_ms
    if first.from_ms is not None and second.from_ms is not None:
        # a length may be reckoned: what the device told is sooner believed
        lasted_ms = second.from_ms - first.from_ms
    return Spoken(first.response_id, first.item_id, f"{first.text} {second.text}", lasted_ms + second.audio_ms, first.from_ms)


def _cancels_next(call: Call, event: ev.ResponseEnded) -> bool:
    return isinstance(event, ev.ResponseCancelled) and of_next(call, event)


def _flushed(call: Call, *responses: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    return (*call.truncation.awaited, *responses), _remembered(call, *responses)


def _remembered(call: Call, *responses: str) -> tuple[str, ...]:
    return (*call.truncation.cut, *responses)[-call.policy.remembered_ids :]


def _without(call: Call, response_id: str) -> tuple[tuple[Item, ...], tuple[Spoken, ...]]:
    account = call.truncation
    items = tuple(item for item in account.items if item.response_id != response_id)
    return items, tuple(sentence for sentence in account.spoken if sentence.response_id != response_id)


TRUNCATION = region(
    "truncation",
    *closing(LIVE),
    #   while               on                       if                 then
    row(LIVE,               ev.BargedIn,             silent,            ignore("nothing is heard")),
    row(LIVE,               ev.BargedIn,             always,            go(POSITION_AWAITED, await_heard)),
    row(LIVE,               ev.VoiceMissing,         heard_whole,       ignore("all of it was heard (R97)")),
    row(LIVE,               (ev.VoiceMissing, ev.PlayoutStalled), always, go(POSITION_AWAITED, await_played)),
    row(LIVE,               ev.ResponseEnded,        ended_before,      ignore("it has ended before (R06)")),
    row(LIVE,               ev.ResponseCancelled,    cut_heard,         go(POSITION_AWAITED, await_played)),
    row(LIVE,               ev.ResponseEnded,        cut_next,          go(POSITION_AWAITED, await_next)),
    row(LIVE,               ev.ResponseCreated,      unwelcome,         stay(note_cut)),
    row(LIVE,               ev.ResponseEnded,        never_admitted,    stay(note_cut)),
    row(LIVE,               ev.PlayoutOver,          over_unheard,      stay(delete_unheard, keep_items)),
    row(LIVE,               ev.PlayoutOver,          given_up,          stay(delete_silent, keep_items)),
    row(LIVE,               ev.PlayoutOver,          always,            stay(delete_silent, forget_heard)),

    row(LIVE,               (ev.ItemAdded, ev.AudioArrived, ev.SentenceCut), late, stay(delete_late, note_item)),
    row(LIVE,               (ev.ItemAdded, ev.AudioArrived, ev.SentenceCut), new, stay(note_item)),
    row(LIVE,               ev.AudioArrived,         always,            stay(note_sound)),
    row(LIVE,               ev.SentenceSynthesised,  newly_synthesised, stay(note_spoken)),
    row(LIVE,               ev.SentenceStarted,      always,            stay(note_begin)),

    row(POSITION_AWAITED,   ev.PlayoutStopped,       last_awaited,      go(IN_STEP, corrections, settle)),
    row(POSITION_AWAITED,   ev.PlayoutStopped,       awaited,           stay(corrections, settle)),
    row(POSITION_AWAITED,   ev.TruncationExpired,    always,            go(IN_STEP, log_unknown, give_up)),

    row(LIVE,               ev.TakenUp,              always,            go(IN_STEP, corrections_by_record, settle_all)),

    row(LIVE,               ev.DeviceEvent,          always,            ignore("only the answer to a flush says what was heard (R71)")),
    row(LIVE,               ev.ModelEvent,           always,            ignore("it names no item that is not known, or of no response that counts")),
    row(LIVE,               (ev.Expired, ev.Signal), always,            ignore("another region's deadline, or nothing that is flushed")),
    row(LIVE,               (ev.CallerEvent, ev.SentenceEvent, ev.LineEvent, ev.AppEvent), always, ignore("only a flush puts the model's memory out of step")),
    doc="what the model must forget of what it said",
    record=Truncation,
    states=(*LIVE, OVER),
    expired=ev.TruncationExpired,
)  # fmt: skip
