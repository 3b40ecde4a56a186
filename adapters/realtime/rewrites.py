"""An item rewritten where the server may refuse any part of it: the old one is deleted, and only then is the new one made (R34).

A server that knows no delete keeps the answer as it was; one that deletes and says nothing is given the new item before it is next asked
to answer; one that refuses the new item is told it in other words, under the same id, so that what it did take is never there twice.
"""

import itertools
from typing import Any

import attrs

from adapters.seam.bounded import Bounded
from fsm.call.effects import RewriteItem

FORMS = 3
"""In how many ways a new item is tried: as GA writes it, as the beta does, and as a note by the system, which every server takes."""


@attrs.define
class _Rewrite:
    """One item on its way: `form` counts the ways that were tried, 0 while the old one may be there; `after` is what it stands behind."""

    effect: RewriteItem
    new_id: str
    after: str = ""
    form: int = 0
    doubted: bool = False
    """Did an error come that may be about the delete?"""


class Rewrites:
    """Those on their way, by the id of the old item; each method gives what is to be sent, and for which."""

    def __init__(self) -> None:
        self._under_way: Bounded[str, _Rewrite] = Bounded()
        self._numbers = itertools.count(1)

    @property
    def under_way(self) -> bool:
        """Is there any?"""
        return bool(self._under_way)

    def begin(self, effect: RewriteItem, after: str) -> list[dict[str, Any]]:
        """Rewrite an item, which stands behind the item `after`, empty where that is not known."""
        self._under_way[effect.item_id] = _Rewrite(effect, f"cf_item_{next(self._numbers)}", after)
        return [{"type": "conversation.item.delete", "item_id": effect.item_id}]

    def awaits(self, item_id: str) -> bool:
        """Was an item of this id asked for?"""
        return any(one.new_id == item_id for one in self._under_way.values())

    def deleted(self, item_id: str) -> list[tuple[RewriteItem, dict[str, Any]]]:
        """The server has deleted an item; one that does not say which, that which was to go first."""
        oldest = next((one for one in self._under_way.values() if not one.form), None)
        rewrite = self._under_way.get(item_id) if item_id else oldest
        return self._next(rewrite) if rewrite is not None and not rewrite.form else []

    def kept(self, item_id: str) -> None:
        """The server refuses to delete an item: it stays as it was."""
        if (rewrite := self._under_way.get(item_id)) is not None and not rewrite.form:
            del self._under_way[item_id]

    def due(self) -> list[tuple[RewriteItem, dict[str, Any]]]:
        """The conversation is about to be answered: what nothing speaks against was deleted without a word."""
        return [told for one in list(self._under_way.values()) if not one.form and not one.doubted for told in self._next(one)]

    def made(self, item_id: str) -> None:
        """The server has made the item of this id."""
        for old in [old for old, one in self._under_way.items() if one.new_id == item_id]:
            del self._under_way[old]

    def refused(self, item_id: str) -> list[tuple[RewriteItem, dict[str, Any]]]:
        """The server refuses to make the item that stands in for another: it is tried otherwise."""
        rewrite = self._under_way.get(item_id)
        return self._next(rewrite) if rewrite is not None and rewrite.form else []

    def refused_something(self) -> list[tuple[RewriteItem, dict[str, Any]]]:
        """An error names nothing: it may be about any delete, and about the oldest item that is not made yet."""
        for one in self._under_way.values():
            one.doubted = True
        oldest = next((one for one in self._under_way.values() if one.form), None)
        return self._next(oldest) if oldest is not None else []

    def _next(self, rewrite: _Rewrite) -> list[tuple[RewriteItem, dict[str, Any]]]:
        """The new item in the next form; nothing once all were tried."""
        rewrite.form += 1
        if rewrite.form > FORMS:
            del self._under_way[rewrite.effect.item_id]
            return []
        item: dict[str, Any] = {"id": rewrite.new_id, "type": "message", "role": "assistant"}
        item["content"] = [{"type": "text" if rewrite.form == FORMS - 1 else "output_text", "text": rewrite.effect.text}]
        if rewrite.form == FORMS:
            note = f"(You said, and were interrupted: {rewrite.effect.text})"
            item |= {"role": "system", "content": [{"type": "input_text", "text": note}]}
        place = {"previous_item_id": rewrite.after} if rewrite.after and rewrite.form == 1 else {}
        return [(rewrite.effect, {"type": "conversation.item.create", **place, "item": item})]
