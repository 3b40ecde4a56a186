"""What would have happened: a recorded call folded again under another policy, without some of its events, or with others; pure.

What was recorded answered what the call did then. So a second future is exact up to where it first differs; behind that, the events stand
as they were, and the world might have sent others. Deadlines are no events of the world: each passes when it does in that future.
"""

from collections.abc import Iterable, Iterator, Mapping

import attrs

from adapters.telling.trace import Trace, answer_to_json, text_of
from fsm.call import events as ev
from fsm.call.machine import due_ms, expiry, step
from fsm.call.policy import Policy
from fsm.call.snapshot import Call, start
from fsm.call.states import CLOSED
from fsm.engine.machine import Step


@attrs.frozen
class Taken:
    """A step of a future: the event, the answer, and which recorded step it was, from 0; None for one that there is only here."""

    event: ev.Event
    answer: Step[Call]
    number: int | None


@attrs.frozen
class Difference:
    """Where two futures part: when, at which step of the new one and of the recorded one, and how, in words."""

    at_ms: float
    step: int
    recorded: int
    words: str


@attrs.frozen
class Future:
    """Another course of a recorded call."""

    call: Call
    """As it began."""
    steps: tuple[Taken, ...]
    difference: Difference | None
    """None where nothing but what was left out, or put in, is another."""

    def text(self) -> str:
        """It as a trace, which `callfsm replay` runs."""
        return text_of(self.call, ((taken.event, taken.answer) for taken in self.steps))


def future_of(
    trace: Trace, settings: Mapping[str, object], without: frozenset[int] = frozenset(), added: Iterable[ev.Event] = ()
) -> Future:
    """The call under a policy with these settings, without the events of these numbers, from 0, and with those that are `added`.

    Those come behind what was recorded of their time. Raises ValueError for an odd setting.
    """
    unknown = settings.keys() - attrs.asdict(trace.call.policy).keys()
    if unknown:
        raise ValueError(f"the policy has no {', '.join(sorted(unknown))}; `callfsm call --set help` lists what it has")
    policy = Policy(**{**attrs.asdict(trace.call.policy), **settings})
    call = start(policy, trace.call.call_id)
    recorded = tuple(trace.steps())
    events = [(number, event) for number, (event, _, _) in enumerate(recorded) if number not in without]
    steps = tuple(_refold(call, sorted([*events, *((None, event) for event in added)], key=_time)))
    return Future(
        call, steps, _difference(tuple(Taken(event, answer, at) for at, (event, answer, _) in enumerate(recorded)), steps, without)
    )


def _time(numbered: tuple[int | None, ev.Event]) -> float:
    return numbered[1].at_ms


def _refold(call: Call, events: Iterable[tuple[int | None, ev.Event]]) -> Iterator[Taken]:
    """As the driver does it: a deadline that has passed is answered before any event; one that does not pass here is left out."""
    for number, event in events:
        while isinstance(due := expiry(call, event.at_ms), ev.Expired):
            if isinstance(event, ev.Expired) and (type(event), event.epoch) == (type(due), due.epoch):
                break
            passed = type(due)(due_ms(call), due.epoch)
            answer = step(call, passed)
            call = answer.snapshot
            yield Taken(passed, answer, None)
        if isinstance(event, ev.Expired) and due is None:
            continue
        if call.phase.state is CLOSED:
            return
        answer = step(call, event)
        call = answer.snapshot
        yield Taken(event, answer, number)


def _difference(was: tuple[Taken, ...], now: tuple[Taken, ...], without: frozenset[int]) -> Difference | None:
    before = [taken for taken in was if taken.number not in without]
    after = [(place, taken) for place, taken in enumerate(now) if not _idle(taken)]
    for old, (place, new) in zip(before, after, strict=False):
        at = old.number or 0
        if new.number is None and not isinstance(new.event, ev.Expired):
            return _put_in(new, place, at)
        if new.number is None and type(new.event) is type(old.event):
            words = f"{type(new.event).__name__}: this deadline passes {abs(new.event.at_ms - old.event.at_ms):.0f} ms "
            words += "later" if new.event.at_ms > old.event.at_ms else "sooner"
            return Difference(min(old.event.at_ms, new.event.at_ms), place, at, words)
        if new.number is None:
            return Difference(new.event.at_ms, place, at, f"{type(new.event).__name__}: this deadline passes now")
        if new.number != old.number:
            return Difference(old.event.at_ms, place, at, f"{type(old.event).__name__}: this deadline does not pass any more")
        told, tells = answer_to_json(old.answer), answer_to_json(new.answer)
        if told != tells:
            return Difference(new.event.at_ms, place, at, f"{type(new.event).__name__}: {_changed(told, tells)}")
    if len(after) > len(before):
        place, more = after[len(before)]
        if not isinstance(more.event, ev.Expired):
            return _put_in(more, place, len(was) - 1)
        return Difference(more.event.at_ms, place, len(was) - 1, "more deadlines pass than were recorded")
    if len(after) < len(before):
        lost = before[len(after)]
        words = f"{type(lost.event).__name__}: this deadline does not pass any more"
        return Difference(lost.event.at_ms, len(now) - 1, lost.number or 0, words)
    return None


def _idle(taken: Taken) -> bool:
    """Was it put in, and did nothing? That is no difference."""
    return taken.number is None and not isinstance(taken.event, ev.Expired) and answer_to_json(taken.answer) == NOTHING


def _put_in(taken: Taken, place: int, recorded: int) -> Difference:
    words = f"{type(taken.event).__name__} is put in: {_changed(NOTHING, answer_to_json(taken.answer))}"
    return Difference(taken.event.at_ms, place, recorded, words)


NOTHING: Mapping[str, list[object]] = {"moves": [], "effects": []}


def _changed(was: Mapping[str, list[object]], now: Mapping[str, list[object]]) -> str:
    """What rows and effects came and went."""
    parts = []
    for kind in ("moves", "effects"):
        gone = [_word(one) for one in was[kind] if one not in now[kind]]
        come = [_word(one) for one in now[kind] if one not in was[kind]]
        parts += [f"no more {', '.join(gone)}"] if gone else []
        parts += [f"now {', '.join(come)}"] if come else []
    return "; ".join(parts) or "the same in another order"


def _word(one: object) -> str:
    return str(one["effect"]) if isinstance(one, dict) else str(one)
