"""Characters made whole: JSON lets a server send half of a surrogate pair, and nothing that holds one can be written down."""

from typing import Any

from adapters.seam.bounded import Bounded

_FIRST, _LAST = "\ud800", "\udfff"
_FIRST_LOW = "\udc00"


def whole(text: str) -> str:
    """The text with halves that stand together joined, and a half that stands alone replaced by U+FFFD."""
    if not any(_FIRST <= sign <= _LAST for sign in text):
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def whole_everywhere(value: Any) -> Any:
    """A value read from JSON with every text in it made whole."""
    if isinstance(value, str):
        return whole(value)
    if isinstance(value, list):
        return [whole_everywhere(one) for one in value]
    if isinstance(value, dict):
        return {whole(name): whole_everywhere(one) for name, one in value.items()}
    return value


class Pieces:
    """Texts that come in deltas, each a stream by its name: a half at the end of a delta waits for the next."""

    def __init__(self) -> None:
        self._halves: Bounded[str, str] = Bounded()

    def join(self, stream: str, delta: str) -> str:
        """What of a stream can be passed on with this delta."""
        delta = self._halves.pop(stream, "") + delta
        if delta and _FIRST <= delta[-1] < _FIRST_LOW:
            self._halves[stream] = delta[-1]
            delta = delta[:-1]
        return whole(delta)
