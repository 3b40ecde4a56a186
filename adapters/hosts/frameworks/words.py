"""The words of what is said, as far as its sound has gone: a transcript comes long before the voice does."""

import attrs

from adapters.realtime.messages import Told, value_at
from adapters.seam.bounded import Bounded
from adapters.seam.frames import Run
from fsm.call.events import Heard


@attrs.define
class _Item:
    """An item of the agent's: its words, the bytes of its sound that came and that went, and how many words have gone with them."""

    response_id: str
    text: str = ""
    came: int = 0
    went: int = 0
    told: int = 0

    def due(self, share: float) -> str:
        """The words that go now."""
        words = self.text.split(" ") if self.text else []
        first, self.told = self.told, max(self.told, round(len(words) * min(share, 1.0)))
        return " ".join(words[first : self.told])


class Words:
    """The words of a call's last items; `overhear` each message, and tell what `went`."""

    def __init__(self) -> None:
        self._items: Bounded[str, _Item] = Bounded()
        self._begun: Bounded[str, bool] = Bounded()

    def overhear(self, told: Told) -> str:
        """Note what a message brings; gives the words that it has, whole or in part."""
        item_id, response_id, delta = (value_at(told.message, name) for name in ("item_id", "response_id", "delta"))
        if not (isinstance(item_id, str) and isinstance(response_id, str) and isinstance(delta, str)):
            return ""
        item = self._items.setdefault(item_id, _Item(response_id))
        if told.kind == "response.output_audio.delta":
            item.came += len(delta) * 3 // 4
        elif told.kind == "response.output_audio_transcript.delta":
            item.text += delta
            return delta
        return ""

    def went(self, run: Run) -> str:
        """Sound goes out; gives the words that go with it, which begin with a blank where others went before."""
        item = self._items.get(run.part[0])
        if item is None:
            return ""
        item.went += len(run.pcm)
        return self._spaced(run.response_id, item.due(item.went / max(item.came, 1)))

    def rest(self, response_id: str) -> str:
        """The words that have not gone, of a response that was heard to its end."""
        due = [item.due(1.0) for item in self._items.values() if item.response_id == response_id]
        return self._spaced(response_id, " ".join(filter(None, due)))

    def _spaced(self, response_id: str, words: str) -> str:
        """The words, with a blank before them where others of the response went."""
        first = response_id not in self._begun
        if words:
            self._begun[response_id] = True
        return words if first or not words else f" {words}"


def cut_to_heard(text: str, heard: Heard) -> str:
    """About as many words of a text as were heard of its sound."""
    if heard.received_ms <= 0 or heard.played_ms >= heard.received_ms:
        return text
    words = text.split()
    return " ".join(words[: round(len(words) * heard.played_ms / heard.received_ms)])
