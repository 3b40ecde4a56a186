"""What the model must be made to forget: each item by what was heard of it, and nothing else (R34, R71, R88)."""

from typing import Any

from adapters.proof.world import Answer, Device, Sound, World, is_broken
from fsm.call import effects as fx, events as ev
from fsm.call.policy import Policy


def corrected_by_record(before: World, event: ev.TakenUp, made: list[Any], policy: Policy) -> bool:
    """Is each item that was to be heard, or to be accounted for, left with what the record tells?"""
    due = [(answer, of) for of in event.heard if (answer := before.answer(of.response_id)) is not None and _unaccounted(answer)]
    if policy.voice != "chatterbox":
        return sorted(map(repr, made)) == sorted(repr(effect) for answer, of in due for effect in truncations(answer, of))
    names = {item.name: answer.id for answer, _ in due for item in answer.items}
    return all(effect.item_id in names for effect in made) and all(
        rewritten(answer, of, [effect for effect in made if names[effect.item_id] == answer.id]) for answer, of in due
    )


def _unaccounted(answer: Answer) -> bool:
    return answer.audible or answer.device is Device.FLUSHED


def truncations(answer: Answer, event: ev.PlayoutStopped) -> list[fx.Effect]:
    """What the model must forget of a flushed response: each item by what was heard of it."""
    due: list[fx.Effect] = []
    for item in answer.items:
        parts = [part for part in event.items if part.item_id == item.name]
        if not parts and len(answer.items) == 1:
            parts = [ev.Heard(item.name, 0, event.played_ms, event.received_ms)]
        cut = next((part for part in parts if part.played_ms < part.received_ms), None)
        if not any(part.played_ms for part in parts):
            due.append(fx.DeleteItem(item.name))
        elif cut is not None:
            due.append(fx.TruncateItem(item.name, int(cut.played_ms), cut.content_index))
    return due


def rewritten(answer: Answer, event: ev.PlayoutStopped, made: list[Any]) -> bool:
    """Is each item left with the words that were heard: all of the sentences before the last one that began, and a part of that one?"""
    begun = [sentence for sentence in answer.sentences if sentence.from_ms is not None and sentence.from_ms < event.played_ms]
    by_item = {effect.item_id: effect for effect in made}
    last = begun[-1].item if begun else ""
    for item in answer.items:
        effect = by_item.pop(item.name, None)
        heard = [sentence for sentence in begun if sentence.item == item.name]
        if not heard:
            kept = isinstance(effect, fx.DeleteItem)
        elif item.name == last:
            kept = isinstance(effect, fx.RewriteItem) and _words_heard(heard, event.played_ms, effect.text)
        else:
            kept = effect is None
        if not kept:
            return False
    return not by_item


def _words_heard(heard: list[Any], played_ms: float, text: str) -> bool:
    whole = [word for sentence in heard[:-1] for word in sentence.text.split()]
    last, words = heard[-1], text.split()
    most = [*whole, *last.text.split()]
    all_of_it = played_ms - last.from_ms >= last.audio_ms
    return words == most if all_of_it else words == most[: len(words)] and len(whole) < len(words) < max(len(most), len(whole) + 2)


def never_heard(after: World, before: World, effect: fx.Effect) -> bool:
    """Is an item deleted, for the first time, of which no sound came, as its response is over?"""
    if not isinstance(effect, fx.DeleteItem):
        return False
    for answer in before.answers:
        item = next((item for item in answer.items if item.name == effect.item_id), None)
        now = after.answer(answer.id)
        if item is not None:
            return not item.came and not item.settled and (now is None or not now.audible)
    return False


def late_item(before: World, event: ev.Event) -> str | None:
    """The item that an event tells for the first time, of a response that was flushed or refused, or that failed or was given up."""
    if not isinstance(event, ev.ItemAdded | ev.AudioArrived | ev.SentenceCut) or not event.item_id:
        return None
    answer = before.answer(event.response_id)
    if answer is None or any(item.name == event.item_id for item in answer.items):
        return None
    over = answer.device is Device.RETIRED and (answer.sound < Sound.HEARD or is_broken(answer))
    return event.item_id if over or answer.device in (Device.SILENCED, Device.NEVER) else None
