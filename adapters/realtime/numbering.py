"""The sentences of responses whose text comes in pieces: numbered, and each with its item; what cuts a text is given from outside."""

from collections.abc import Callable
from typing import Protocol

import attrs

from adapters.seam.bounded import Bounded


class Cutter(Protocol):
    """What turns pieces of text into sentences."""

    def feed(self, delta: str) -> list[str]:
        """Take a piece of text; return the sentences that are now whole."""

    def end(self) -> list[str]:
        """The text is at its end; return what is left of it."""


class ResponseSentences:
    """Cuts each response's text into numbered sentences; an item of its own begins a text of its own."""

    def __init__(self, cutter: Callable[[], Cutter]) -> None:
        self._cutter = cutter
        self._texts: Bounded[str, _Text | None] = Bounded()

    def feed(self, response_id: str, item_id: str, delta: str, *, last: bool = False) -> list[tuple[str, int, str, str]]:
        """The sentences that a delta, `last` of its item or not, completes, as SentenceCut's arguments; none for one that has ended."""
        if response_id not in self._texts:
            self._texts[response_id] = _Text(response_id, item_id, self._cutter())
        text = self._texts[response_id]
        if text is None:
            return []
        before = []
        if item_id != text.item_id:
            before = text.number(text.cutter.end())
            text.item_id, text.cutter = item_id, self._cutter()
        return before + text.number([*text.cutter.feed(delta), *(text.cutter.end() if last else [])])

    def end(self, response_id: str) -> list[tuple[str, int, str, str]]:
        """Take no more of a response; return the sentences that its end completes."""
        text = self._texts.pop(response_id, None)
        self._texts[response_id] = None
        return [] if text is None else text.number(text.cutter.end())


@attrs.define
class _Text:
    """The text of one response, as far as it has come."""

    response_id: str
    item_id: str
    cutter: Cutter
    sentences: int = 0

    def number(self, texts: list[str]) -> list[tuple[str, int, str, str]]:
        """Give sentences their numbers."""
        first, self.sentences = self.sentences + 1, self.sentences + len(texts)
        return [(self.response_id, number, text, self.item_id) for number, text in enumerate(texts, first)]
