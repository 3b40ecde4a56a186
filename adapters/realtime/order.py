"""What is to be heard of a response, in the order of its items and their parts, whatever order it comes in (R88): pure, and bounded.

A part is known by its output_index and its content_index. What comes of one while an earlier one is not complete waits until that is. A
server need not say that a part is complete: one of which nothing came while ten seconds of later ones did is taken to be.
"""

import attrs

from adapters.realtime.incoming import Audio, TextDelta

Place = tuple[int, int]
Piece = Audio | TextDelta
ITEM = -1
"""In the place of a content_index: the item itself, of which nothing came yet."""
MOST_ALONE_MS, MOST_AHEAD_MS = 10_000.0, 60_000.0
"""So much may come of later parts while nothing comes of an earlier one, and so much may wait at all, in ms of sound."""
LETTER_MS = 60.0
"""About how long a letter is heard."""
MOST_PARTS = 32
"""So many parts of a response are told apart; what is beyond is heard as it comes."""


@attrs.define
class InOrder:
    """The order of one response."""

    _over: bool = attrs.field(default=False, init=False)
    _complete: dict[Place, bool] = attrs.field(factory=dict, init=False)
    """Of each part, and each item of which nothing came yet, whether it is complete."""
    _waiting: list[tuple[Place, Piece]] = attrs.field(factory=list, init=False)
    _ahead_ms: float = attrs.field(default=0.0, init=False)
    _alone_ms: float = attrs.field(default=0.0, init=False)

    def expect(self, index: int) -> None:
        """An item is there that may be heard."""
        if not any(known == index for known, _ in self._complete):
            self._know((index, ITEM))

    def take(self, index: int, content_index: int, piece: Piece) -> list[Piece]:
        """A piece of a part has come: what may be heard now."""
        place = (index, content_index)
        self._know(place)
        if (index, ITEM) in self._complete:
            self._complete[index, ITEM] = True
        if self._over or place not in self._complete or not self._is_early(place):
            self._alone_ms = 0.0
            return [piece]
        self._waiting.append((place, piece))
        ms = piece.ms if isinstance(piece, Audio) else len(piece.delta) * LETTER_MS
        self._ahead_ms += ms
        self._alone_ms += ms
        if self._alone_ms > MOST_ALONE_MS or self._ahead_ms > MOST_AHEAD_MS:
            first = min(where for where, _ in self._waiting)
            return self._close([where for where in self._complete if where < first])
        return []

    def complete(self, index: int, content_index: int | None = None) -> list[Piece]:
        """A part of an item, or with None all of it, is complete: what may be heard now."""
        return self._close([where for where in self._complete if where[0] == index and content_index in (None, where[1])])

    def end(self) -> list[Piece]:
        """The response is over: all that waits may be heard."""
        self._over = True
        return self._close(list(self._complete))

    def _know(self, place: Place) -> None:
        if len(self._complete) < MOST_PARTS:
            self._complete.setdefault(place, False)

    def _close(self, places: list[Place]) -> list[Piece]:
        self._complete.update(dict.fromkeys(places, True))
        if not self._waiting:
            return []
        self._waiting.sort(key=lambda one: one[0])
        due = [piece for place, piece in self._waiting if not self._is_early(place)]
        if due:
            self._waiting = [one for one in self._waiting if self._is_early(one[0])]
            self._alone_ms = self._ahead_ms = 0.0
        return due

    def _is_early(self, place: Place) -> bool:
        """Is a part that stands before this one not complete?"""
        return any(where < place and not done and where != (place[0], ITEM) for where, done in self._complete.items())
