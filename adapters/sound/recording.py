"""The recording of a call with real sound: a stereo WAV whose two sides come from two clocks, each sample put where it was heard.

Left is the caller, right the agent; 24 kHz, signed 16-bit. The microphone's frames make the timeline. It is written as it
goes, and its header is brought up to date once a second, so that even a killed process leaves a file that plays.
"""

import wave
from array import array
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from adapters.ports import FRAME_BYTES, FRAME_MS, RATE_HZ

HEADER_FRAMES = 50
SEAM_S = 0.03
"""A piece that begins this close to the end of the one before belongs to it: sound devices tell the time to some milliseconds."""
GAP_S = 0.2
"""A microphone that is this late has lost sound: silence takes its place, and keeps both sides together."""
LONGEST_GAP_S = 60.0
LAG_FRAMES = 10
"""How many frames of the caller wait for what was heard of the agent at their time, which is known a little later: 200 ms."""
SAMPLE_BYTES = 2


class RecordingFailed(Exception):
    """The file can't be made or written; the text is one line that says what and what to do."""


class Recording:
    """The stereo WAV of a call; a context, and closing it, however the call ended, completes its header. Raises RecordingFailed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._frames = 0
        self._start_s: float | None = None
        self._waiting: deque[bytes] = deque()
        self._right = bytearray()
        self._right_from = 0

    def __enter__(self) -> Self:
        with self._faults():
            self._file: BinaryIO = self._path.open("wb")
            self._wav = wave.open(self._file, "wb")
            self._wav.setparams((2, SAMPLE_BYTES, RATE_HZ, 0, "NONE", "not compressed"))
            self._wav.writeframes(b"")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        with self._faults(), self._file:
            try:
                while self._waiting:
                    self._write(self._waiting.popleft())
            finally:
                self._wav.close()

    def caller(self, at_s: float, frame: bytes) -> None:
        """Take 20 ms of the caller, which began at `at_s`."""
        if self._start_s is None:
            self._start_s = at_s
        missing_s = at_s - self._start_s - (self._frames + len(self._waiting)) * FRAME_MS / 1000
        if GAP_S < missing_s < LONGEST_GAP_S:
            self._waiting.extend([bytes(FRAME_BYTES)] * int(missing_s * 1000 / FRAME_MS))
        self._waiting.append(frame)
        while len(self._waiting) > LAG_FRAMES:
            self._write(self._waiting.popleft())

    def agent(self, at_s: float, pcm: bytes) -> None:
        """Take a piece of the agent's sound that was heard from `at_s` on; it is written with the caller's frames of that time."""
        if self._start_s is None:
            return
        end = self._right_from + len(self._right) // SAMPLE_BYTES
        begin = round((at_s - self._start_s) * RATE_HZ)
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
        both = array("h", bytes(FRAME_BYTES * 2))
        both[0::2] = array("h", left)
        both[1::2] = array("h", right)
        self._frames += 1
        with self._faults():
            if self._frames % HEADER_FRAMES:
                self._wav.writeframesraw(both)
            else:
                self._wav.writeframes(both)

    @contextmanager
    def _faults(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            reason = error.strerror or error
            raise RecordingFailed(f"the recording {self._path} can't be written ({reason}); give a path that can") from error
