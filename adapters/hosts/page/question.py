"""What a page asks about a trace, read and answered: what it tells, and what would have happened; pure.

    {"trace": its text, "settings": {name: value in words}, "without": [numbers of steps, from 0]}

The answer holds its `document`, the `trace` of that future, and the first `difference`, or null.
"""

import json
from typing import Any

import attrs

from adapters.seam.wellformed import read_json
from adapters.telling.page.document import Telling, told
from adapters.telling.trace import Trace, trace_in
from adapters.telling.whatif import future_of

NAME = "the trace"


def answer(question: bytes) -> str:
    """The answer, as JSON. Raises ValueError, in one line for who asks."""
    match _read(question):
        case {"trace": str(text), "settings": dict(settings), "without": list(without)}:
            trace = trace_in(text.encode(errors="surrogatepass"), NAME)
            numbers = frozenset(number for number in without if type(number) is int)
        case _:
            raise ValueError("a question has a trace, settings, and the numbers of events to leave out")
    future = future_of(trace, {name: _value(trace, name, value) for name, value in settings.items()}, numbers)
    document = told(Telling(future.call), ((taken.event, taken.answer) for taken in future.steps), trace.whole)
    difference = future.difference and attrs.asdict(future.difference)
    return json.dumps({"document": document, "trace": future.text(), "difference": difference})


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
