"""The recording of a call with real sound: a stereo WAV whose two sides come from two clocks, each sample put where it was heard.

Left is the caller, right the agent; 24 kHz, signed 16-bit. The microphone's frames make the timeline, and where the agent's sound
goes on it follows the drift of the microphone's clock.
"""

import logging
import wave
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

import numpy as np

from adapters.seam.device import LineLost
from adapters.seam.files import private_file
from adapters.seam.ports import FRAME_BYTES, FRAME_MS, RATE_HZ

SAVED_FRAMES = 50
"""The WAV is written once a second, sound and header at once, so that even a killed process leaves a file that plays."""
SEAM_S = 0.03
"""A piece that begins this close to the end of the one before belongs to it: sound devices tell the time to some milliseconds."""
GAP_S = 0.2
"""A microphone that is this late has lost sound: silence takes its place."""
LONGEST_GAP_S = 60.0
FOLLOWED = 0.01
"""How much of a frame's lateness is taken for the microphone's clock: its jitter is averaged over two seconds, and of the 1,000 ppm
of a bad clock 2 ms are left."""
LAG_FRAMES = 10
"""How many frames of the caller wait for what was heard of the agent at their time, which is known a little later: 200 ms."""
SAMPLE_BYTES = 2
FRAME_S = FRAME_MS / 1000
SILENCE = bytes(FRAME_BYTES)


_LOG = logging.getLogger("callfsm.recording")


class RecordingFailed(LineLost):
    """The file can't be made; the text is one line that says what and what to do."""


class StereoWav:
    """A stereo WAV that grows frame by frame; a context, and closing it, however the call ended, completes it. Raises RecordingFailed.

    That is at its beginning; a disk that is full later ends the recording, which is logged once, and not the call (R105).
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._left: list[bytes] = []
        self._right: list[bytes] = []
        self._open: tuple[BinaryIO, wave.Wave_write] | None = None

    def __enter__(self) -> Self:
        try:
            file = private_file(self._path)
            wav = wave.open(file, "wb")
            self._open = file, wav
            wav.setparams((2, SAMPLE_BYTES, RATE_HZ, 0, "NONE", "not compressed"))
            wav.writeframes(b"")
        except OSError as error:
            self._abandon()
            raise RecordingFailed(f"the recording {self._path} can't be written ({_reason(error)}); give a path that can") from error
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        with self._while_it_can():
            self._save()
        if self._open is not None:
            file, wav = self._open
            with self._while_it_can(), file:
                wav.close()

    def write(self, left: bytes, right: bytes) -> None:
        """Take 20 ms of both sides."""
        self._left.append(left)
        self._right.append(right)
        if len(self._left) >= SAVED_FRAMES:
            with self._while_it_can():
                self._save()

    def _save(self) -> None:
        sides = [np.frombuffer(b"".join(side), "<i2") for side in (self._left, self._right)]
        self._left.clear()
        self._right.clear()
        if self._open is not None:
            self._open[1].writeframes(np.stack(sides, axis=1).tobytes())

    @contextmanager
    def _while_it_can(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self._abandon()
            _LOG.error("recording_failed: %s ends here: %s", self._path, _reason(error))

    def _abandon(self) -> None:
        for part in reversed(self._open or ()):
            with suppress(OSError, ValueError):
                part.close()
        self._open = None


def _reason(error: OSError) -> object:
    return error.strerror or error


class Recording:
    """The recording of a call whose two sides have clocks of their own; a context like `StereoWav`. Raises RecordingFailed."""

    def __init__(self, path: Path) -> None:
        self._wav = StereoWav(path)
        self._begin_s: float | None = None
        self._frames = 0
        self._waiting: deque[bytes] = deque()
        self._right = bytearray()
        self._right_from = 0

    def __enter__(self) -> Self:
        self._wav.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        try:
            while self._waiting or self._right:
                self._write(self._waiting.popleft() if self._waiting else SILENCE)
        finally:
            self._wav.__exit__(kind, error, trace)

    def caller(self, at_s: float, frame: bytes) -> None:
        """Take 20 ms of the caller, which began at `at_s`."""
        if self._begin_s is None:
            self._begin_s = at_s
        late_s = at_s - self._begin_s - self._frames * FRAME_S
        if GAP_S < late_s < LONGEST_GAP_S:
            lost = int(late_s / FRAME_S)
            self._waiting.extend([SILENCE] * lost)
            self._frames += lost
            late_s -= lost * FRAME_S
        self._begin_s += late_s * FOLLOWED
        self._waiting.append(frame)
        self._frames += 1
        while len(self._waiting) > LAG_FRAMES:
            self._write(self._waiting.popleft())

    def agent(self, at_s: float, pcm: bytes) -> None:
        """Take a piece of the agent's sound that was heard from `at_s` on; it is written with the caller's frames of that time."""
        if self._begin_s is None:
            return
        end = self._right_from + len(self._right) // SAMPLE_BYTES
        begin = round((at_s - self._begin_s) * RATE_HZ)
        if abs(begin - end) <= SEAM_S * RATE_HZ:
            begin = end
        lead = begin - end
        if lead > LONGEST_GAP_S * RATE_HZ:
            return
        self._right += bytes(max(0, lead) * SAMPLE_BYTES) + pcm[max(0, -lead) * SAMPLE_BYTES :]

    def _write(self, left: bytes) -> None:
        right = bytes(self._right[:FRAME_BYTES]).ljust(FRAME_BYTES, b"\0")
        del self._right[:FRAME_BYTES]
        self._right_from += FRAME_BYTES // SAMPLE_BYTES
        self._wav.write(left, right)
