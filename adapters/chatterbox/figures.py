"""What a call's speech synthesis was like, in numbers: how fast the server is, what the cancels came to, what went wrong and how often."""

from collections import Counter, deque
from enum import StrEnum
from typing import Any

import attrs

from adapters.text.sentences import weight

REMEMBERED = 256
"""How many sentences and cancels are remembered; a call has some dozens (R07)."""
AUDIO_MS_A_LETTER = 65.0
"""How long a letter is heard before a server's own pace is known: 15 letters a second, a calm reader."""


class Count(StrEnum):
    """What is counted."""

    SYNTHESISED = "sentences synthesised"
    FAILED = "sentences failed"
    CUT_OFF = "sentences cut off while they were heard"
    DISCARDED = "sentences discarded"
    SPLIT = "sentences split"
    POSTED = "requests"
    RETRIED = "requests repeated"
    WAITED = "waits for a server that was busy or loaded its model"
    FELL_BACK = "times fallen back"
    RECOVERED = "times recovered"
    FILLED = "pauses filled with silence"
    APOLOGISED = "recorded apologies"


@attrs.frozen
class Cancelled:
    """A cancel: its session, what became of it, and how long its answer took (0 when none was asked for).

    `saved_ms` is how much synthesis it spared the server: the time that the text takes at the server's pace so far, less what had
    passed since its POST, when the server acknowledged the cancel or the POST never left; 0 when it came too late. It is None when that
    is not known: before the first sentence, and when only a closed connection told the server. A sentence that had waited at the server
    behind another one spared more than that.
    """

    session_id: str
    outcome: str
    answered_ms: float
    saved_ms: float | None


@attrs.define
class Pace:
    """How fast one server is, from the sentences that it finished; everything is in ms and in letters as `sentences.weight` counts them."""

    letters: int = 0
    synthesis_ms: float = 0.0
    audio_ms: float = 0.0

    def note(self, text: str, synthesis_ms: float, audio_ms: float) -> None:
        """One more sentence was finished."""
        self.letters += weight(text)
        self.synthesis_ms += synthesis_ms
        self.audio_ms += audio_ms

    def expected_synthesis_ms(self, text: str) -> float | None:
        """How long a text will take from its POST to the end of its answer; None before the first sentence."""
        return self.synthesis_ms / self.letters * weight(text) if self.letters else None

    def expected_audio_ms(self, text: str) -> float:
        """How long a text will be heard."""
        return (self.audio_ms / self.letters if self.letters else AUDIO_MS_A_LETTER) * weight(text)


@attrs.frozen
class Synthesised:
    """A finished sentence: how long after its POST its first and its last sound came, and how long it is heard."""

    session_id: str
    where: str
    first_sound_ms: float
    synthesis_ms: float
    audio_ms: float


def _memory() -> deque[Any]:
    return deque(maxlen=REMEMBERED)


@attrs.define
class Figures:
    """The figures of one call."""

    counts: Counter[Count] = attrs.field(factory=Counter)
    sentences: deque[Synthesised] = attrs.field(factory=_memory)
    cancels: deque[Cancelled] = attrs.field(factory=_memory)

    @property
    def saved_ms(self) -> float:
        """How much synthesis all cancels spared the server, as far as it is known."""
        return sum(cancel.saved_ms or 0.0 for cancel in self.cancels)

    def lines(self) -> tuple[tuple[str, str], ...]:
        """All of it for a reader, name and value; what never happened is left out."""
        outcomes = Counter(cancel.outcome for cancel in self.cancels)
        told = [(count.value, str(self.counts[count])) for count in Count if self.counts[count]]
        if self.sentences:
            told.append(("first sound after", _spread([one.first_sound_ms for one in self.sentences])))
            told.append(("whole sentence after", _spread([one.synthesis_ms for one in self.sentences])))
        if outcomes:
            told.append(("synthesis cancels", ", ".join(f"{count} {outcome}" for outcome, count in outcomes.items())))
        if any(cancel.saved_ms is not None for cancel in self.cancels):
            told.append(("synthesis spared, estimated", f"{self.saved_ms:.0f} ms"))
        return tuple(told)


def _spread(times_ms: list[float]) -> str:
    ordered = sorted(times_ms)
    return f"{ordered[len(ordered) // 2]:.0f} ms, worst {ordered[-1]:.0f}"
