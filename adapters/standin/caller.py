"""The virtual caller: where a device without a microphone gets its frames from; no clock and no I/O in it, only counted frames.

The lines of a scripted caller wait for what the agent does, not for a time, so that a call goes the same way on a slow machine
and on a fast one.
"""

from collections.abc import Callable, Iterable
from typing import Any

import attrs
import numpy as np

from adapters.seam.ports import FRAME_BYTES, FRAME_MS

PAUSE_MS = 700
"""A silence of the agent shorter than this is a pause inside an utterance: sentences are that close together."""

TAIL_MS = 300
"""What the agent says this soon after a line is the end of what the line interrupted, not an answer to it."""


def _not_negative(_: object, field: "attrs.Attribute[Any]", value: float | None) -> None:
    if value is not None and not value >= 0:
        raise ValueError(f"{field.name} is {value!r}: it takes a number of milliseconds, 0 or more")


@attrs.frozen
class At:
    """Speak `ms` milliseconds after the line opened, or as soon after that as the line before is over."""

    ms: float = attrs.field(validator=_not_negative)


@attrs.frozen
class AfterQuiet:
    """Speak when the agent has spoken since the last line and has now been silent for `ms`, or after `or_after_ms` of waiting.

    `utterances` is how many times the agent must have spoken; a silence of 700 ms ends an utterance.
    """

    ms: float = attrs.field(validator=_not_negative)
    or_after_ms: float | None = attrs.field(default=30_000, validator=_not_negative)
    utterances: int = 1


@attrs.frozen
class IntoSpeech:
    """Speak when the agent's utterance has been audible for `ms` since the last line, or after `or_after_ms` of waiting.

    A pause under 700 ms neither counts nor ends the utterance.
    """

    ms: float = attrs.field(validator=_not_negative)
    or_after_ms: float | None = attrs.field(default=30_000, validator=_not_negative)


@attrs.frozen
class When:
    """Speak when it `holds`: for a script whose author knows more of the call than its caller hears."""

    holds: Callable[[], bool]


Cue = At | AfterQuiet | IntoSpeech | When


def _whole_samples(_: object, field: "attrs.Attribute[Any]", value: bytes) -> None:
    if not value or len(value) % 2:
        raise ValueError(f"{field.name} has {len(value)} bytes: give 16-bit samples, at least one")


@attrs.frozen
class Line:
    """Something that the caller says: its sound (24 kHz mono s16), its words and its cue."""

    pcm: bytes = attrs.field(validator=_whole_samples, repr=False)
    text: str
    cue: Cue


class WavCaller:
    """A caller who plays one recording from the moment that the line opens, and is silent after it."""

    def __init__(self, pcm: bytes) -> None:
        """Take the recording, 24 kHz mono s16; see `adapters.audio.wav_file.read_caller`."""
        self._pcm = pcm
        self._taken = 0

    @property
    def finished(self) -> bool:
        """Has the whole recording been taken?"""
        return self._taken >= len(self._pcm)

    def next_frame(self, agent_audible: bool) -> bytes:
        """Take the next 20 ms; what the agent does makes no difference to a recording."""
        frame = self._pcm[self._taken : self._taken + FRAME_BYTES]
        self._taken += FRAME_BYTES
        return frame.ljust(FRAME_BYTES, b"\0")


class ScriptedCaller:
    """A caller who says lines in order, each when its cue comes, with a little line noise between them.

    `spoken` holds (start_ms, end_ms, text) of each line begun, in milliseconds since the line opened.
    """

    def __init__(self, lines: Iterable[Line], *, noise_dbfs: float | None = -66.0, seed: int = 1, hang_up_after_ms: float = 30_000) -> None:
        """Take the script; `noise_dbfs` is the level between lines (None: digital silence), the same for the same `seed`.

        After the last line the caller waits `hang_up_after_ms` for the agent to end the call, then is `finished`.
        """
        self.spoken: list[tuple[float, float, str]] = []
        self._waiting = list(lines)
        self._noise = _Noise(noise_dbfs, seed)
        self._hang_up_after_ms = hang_up_after_ms
        self._now_ms = 0.0
        self._waiting_since_ms = 0.0
        self._line = WavCaller(b"")
        self._heard = _Heard()

    @property
    def said_all(self) -> bool:
        """Has the last line been said to its end?"""
        return not self._waiting and self._line.finished

    @property
    def finished(self) -> bool:
        """Has the caller waited long enough after the last line, so that now they hang up?"""
        return self.said_all and self._now_ms - self._waiting_since_ms >= self._hang_up_after_ms

    def next_frame(self, agent_audible: bool) -> bytes:
        """Take the caller's next 20 ms; `agent_audible` says whether the agent's last 20 ms could be heard."""
        if self._line.finished:
            self._heard.listen(agent_audible)
            if self._waiting and _cued(self._waiting[0].cue, self._now_ms, self._now_ms - self._waiting_since_ms, self._heard):
                self._begin(self._waiting.pop(0))
        frame = self._noise.next_frame() if self._line.finished else self._line.next_frame(agent_audible)
        self._now_ms += FRAME_MS
        return frame

    def _begin(self, line: Line) -> None:
        frames = -(-len(line.pcm) // FRAME_BYTES)
        self._waiting_since_ms = self._now_ms + frames * FRAME_MS
        self.spoken.append((self._now_ms, self._waiting_since_ms, line.text))
        self._line = WavCaller(line.pcm)
        self._heard = _Heard(tail_ms=TAIL_MS)


@attrs.define
class _Heard:
    """What the caller has heard of the agent since their own last line, in milliseconds; while they speak they don't listen."""

    tail_ms: float = 0
    listened_ms: float = 0
    answer_ms: float = 0
    answers: int = 0
    utterance_ms: float = 0
    quiet_ms: float = 0

    def listen(self, agent_audible: bool) -> None:
        """Count one frame."""
        self.listened_ms += FRAME_MS
        if agent_audible:
            if self.listened_ms > self.tail_ms:
                self.answers += self.answer_ms == 0 or self.quiet_ms >= PAUSE_MS
                self.answer_ms += FRAME_MS
            self.utterance_ms += FRAME_MS
            self.quiet_ms = 0
        else:
            self.quiet_ms += FRAME_MS
            if self.quiet_ms >= PAUSE_MS:
                self.utterance_ms = 0


def _cued(cue: Cue, now_ms: float, waited_ms: float, heard: _Heard) -> bool:
    match cue:
        case At(ms):
            return now_ms >= ms
        case When(holds):
            return holds()
        case AfterQuiet(ms, or_after_ms, utterances):
            met = heard.answers >= utterances and heard.quiet_ms >= ms
        case IntoSpeech(ms, or_after_ms):
            met = heard.utterance_ms > 0 and heard.utterance_ms >= ms
    return met or (or_after_ms is not None and waited_ms >= or_after_ms)


class _Noise:
    """White noise of a given level, the same for the same seed."""

    def __init__(self, dbfs: float | None, seed: int) -> None:
        self._rms = 0.0 if dbfs is None else 32768 * 10 ** (dbfs / 20)
        self._random = np.random.default_rng(seed)

    def next_frame(self) -> bytes:
        samples = self._random.normal(0.0, self._rms, FRAME_BYTES // 2)
        return np.clip(np.rint(samples), -32768, 32767).astype("<i2").tobytes()
