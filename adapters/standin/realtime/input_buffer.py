"""The caller's sound on its way to becoming a turn: what the stand-in's input buffer holds, and where in it the caller speaks.

It knows no event and no setting of the wire. Times are in ms of all the sound appended in the session.
"""

from adapters.standin.ears import Detection, SpeechBegan, SpeechEnded, TurnDetector, bytes_per_ms

BUFFER_MS = 600_000
"""A buffer that nobody commits forgets its oldest sound beyond ten minutes."""
ONSET_MS = 200
"""More than the detector takes to be sure that speech has begun: two frames, a started one and the resampler's delay."""


class InputBuffer:
    """Sound of one wire format at a time, and the turn detector that hears it."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._detector = TurnDetector()
        self._sound = bytearray()
        self._appended_ms = 0.0

    @property
    def held_ms(self) -> float:
        """How much sound there is."""
        return len(self._sound) / bytes_per_ms(self.kind)

    @property
    def start_ms(self) -> float:
        """Where in all the sound appended the buffer begins."""
        return self._appended_ms - self.held_ms

    @property
    def turn_open(self) -> bool:
        """Has the caller begun and not yet ended?"""
        return self._detector.turn_open

    def append(self, sound: bytes, detection: Detection | None) -> list[SpeechBegan | SpeechEnded]:
        """Take sound; what was detected in it, in order."""
        self._sound += sound
        self._appended_ms += len(sound) / bytes_per_ms(self.kind)
        return self._detector.hear(self.kind, sound, detection)

    def take_before(self, at_ms: float) -> bytes:
        """Take out what there is of the time before `at_ms`."""
        size = int((at_ms - self.start_ms) * bytes_per_ms(self.kind)) & ~1
        taken = bytes(self._sound[: max(size, 0)])
        del self._sound[: len(taken)]
        return taken

    def take_all(self) -> bytes:
        """Take out everything, whether or not the caller is still speaking."""
        sound = bytes(self._sound)
        self.clear()
        return sound

    def forget_old_sound(self, *, detecting: bool, prefix_ms: int) -> None:
        """Between two detected turns keep only what may prove to be the next one's beginning, of which `prefix_ms` are padding."""
        keep_ms = ONSET_MS + prefix_ms if detecting and not self.turn_open else BUFFER_MS
        self.take_before(self._appended_ms - keep_ms)

    def take_format(self, kind: str) -> None:
        """From now on sound comes in the format `kind`; what there is of another is of no use."""
        if kind != self.kind:
            self.clear()
            self.kind = kind

    def clear(self) -> None:
        """Forget the sound and an open turn."""
        self._sound.clear()
        self.drop_turn()

    def drop_turn(self) -> None:
        """Forget that the caller has begun."""
        self._detector.drop_turn()
