"""The recorded apology: what the caller hears, in sound of the operator's own, when the voice has failed for good."""

from pathlib import Path

import attrs

from adapters.audio.wav import WavStream
from adapters.audio.wav_file import read_wav
from adapters.chatterbox.feed import TAIL_S
from adapters.seam.ports import RATE_HZ


@attrs.frozen
class Apology:
    """A recording, `pcm` (24 kHz, mono, s16le), and in whose place it is heard.

    That is the last of `after` sentences in a row that could not be synthesised (`Policy.voice_failures`): it is told to have failed
    when the recording has been heard, and the core then closes the call.
    """

    pcm: bytes = attrs.field(repr=False)
    after: int

    @property
    def lasts_s(self) -> float:
        """How long it takes until it has surely been heard."""
        return len(self.pcm) / 2 / RATE_HZ + TAIL_S

    def must_fit(self, timeout_s: float) -> None:
        """It is heard within the time of its sentence, half of which is left to the servers; ValueError when it is too long for that."""
        if self.lasts_s > timeout_s / 2:
            told = f"the apology takes {self.lasts_s:.1f} s, half a second of the line's included"
            raise ValueError(f"{told}: it may take {timeout_s / 2:.1f}, half of a sentence's time; shorten it or raise synthesis_ms")


@attrs.define
class LastWords:
    """A call's apology until it is heard, and when that is due: the failures are counted as the core counts them."""

    _apology: Apology | None
    _failed: int = attrs.field(default=0, init=False)

    @property
    def due(self) -> Apology | None:
        """The apology, if the voice has failed for good should one more sentence fail."""
        return self._apology if self._apology is not None and self._failed + 1 >= self._apology.after else None

    def note(self, *, failed: bool) -> None:
        """A sentence failed, or was synthesised."""
        self._failed = self._failed + 1 if failed else 0

    def said(self) -> None:
        """The apology is with the speaker: it is never heard again."""
        self._apology = None


def read_apology(path: Path) -> bytes:
    """A WAV file as 24 kHz mono PCM. Raises ValueError in one line."""
    return read_wav(path, WavStream(whole=True))
