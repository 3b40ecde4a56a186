"""What a page asks about a trace, read and answered: what it tells, what would have happened, and what could come next; pure.

    {"trace": its text, "settings": {name: value in words}, "without": [numbers of steps, from 0], "added": [events as a trace has them]}

The answer holds its `document`, that future as a `trace` and as a `test`, and the first `difference`, or null. With `"next": N` it is
instead a list of the states that could come after step N of it, each with an event that brings it.
"""

import json
from typing import Any

import attrs

from adapters.seam.wellformed import read_json
from adapters.telling.claim import claim_of
from adapters.telling.nexts import nexts
from adapters.telling.page.document import Telling, told
from adapters.telling.trace import Trace, event_from_json, event_to_json, trace_in
from adapters.telling.whatif import Future, future_of
from fsm.call import events as ev

NAME = "the trace"
MOST_ADDED = 100
"""How many events may be put in."""


def answer(question: bytes) -> str:
    """The answer, as JSON. Raises ValueError, in one line for who asks."""
    asked = _read(question)
    match asked:
        case {"trace": str(text), "settings": dict(settings), "without": list(without)}:
            trace = trace_in(text.encode(errors="surrogatepass"), NAME)
            numbers = frozenset(number for number in without if type(number) is int)
        case _:
            raise ValueError("a question has a trace, settings, and the numbers of events to leave out")
    future = future_of(trace, {name: _value(trace, name, value) for name, value in settings.items()}, numbers, _added(asked))
    steps = [(taken.event, taken.answer) for taken in future.steps]
    if "next" in asked:
        return json.dumps(_nexts(future, asked["next"]))
    document = told(Telling(future.call), steps, trace.whole)
    difference = future.difference and attrs.asdict(future.difference)
    words = "A call as it was." if future.difference is None else f"What if: {future.difference.words}."
    return json.dumps({"document": document, "trace": future.text(), "test": claim_of(future.call, steps, words), "difference": difference})


def _added(asked: dict[str, Any]) -> list[ev.Event]:
    """The events to put in. Raises ValueError."""
    added = asked.get("added", [])
    if not isinstance(added, list) or len(added) > MOST_ADDED or not all(isinstance(one, dict) for one in added):
        raise ValueError(f"events to put in are a list of at most {MOST_ADDED}")
    events = [event_from_json({**one, "moves": [], "effects": []}) for one in added]
    if any(isinstance(event, ev.Expired) for event in events):
        raise ValueError("a deadline passes when it does: change the field of the policy that sets it")
    return events


def _nexts(future: Future, number: object) -> list[dict[str, Any]]:
    """The states that could come after a step. Raises ValueError."""
    if type(number) is not int or not 0 <= number < len(future.steps):
        raise ValueError("there is no such step")
    taken = future.steps[: number + 1]
    last = taken[-1]
    found = nexts(last.answer.snapshot, [one.event for one in taken], last.event.at_ms)
    return [{"region": one.region, "state": one.state, **event_to_json(one.event)} for one in found]


def _read(question: bytes) -> Any:
    try:
        return read_json(question.decode())
    except ValueError:
        raise ValueError("a question is JSON") from None


def _value(trace: Trace, name: str, words: object) -> object:
    """The value that a field of the policy is given, in words as a person types them; what is odd is for the policy to refuse."""
    was = getattr(trace.call.policy, name, None)
    if not isinstance(words, str) or isinstance(was, str):
        return words
    if isinstance(was, bool):
        return {"true": True, "yes": True, "false": False, "no": False}.get(words.lower(), words)
    try:
        return int(words) if words.lstrip("-").isdigit() else float(words)
    except ValueError:
        return words
