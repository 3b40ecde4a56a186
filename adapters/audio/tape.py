"""Sound on its way from the queue to the ear: what a device took, when it is heard, and what was cut off before; no clock, no I/O in here.

A sound card, or a player, holds sound for a while after taking it. So a fact of the playout is told when it is heard; and what a
device was made to drop is given again after a hold (R74), or taken off what was played by a flush (R71). Times are seconds of
one monotonic clock. One short lock guards it all: the device's thread takes, the event loop does the rest.
"""

import threading
from collections import deque
from collections.abc import Mapping

import attrs
import numpy as np

from adapters.seam.bounded import remember
from adapters.seam.playout import BYTES_A_MS, Fact, Playout, Progressed, RanOut
from adapters.seam.ports import FRAME_BYTES

BYTES_A_S = BYTES_A_MS * 1000
SILENCE = bytes(FRAME_BYTES)


@attrs.frozen
class Heard:
    """A piece of the agent's sound that has been heard: from when on, of which responses how many bytes, the sound itself."""

    start_s: float
    sounding: Mapping[str, int]
    pcm: bytes

    @property
    def rms(self) -> float:
        """How loud it was, in 16-bit sample units."""
        return float(np.sqrt(np.mean(np.square(np.frombuffer(self.pcm, "<i2").astype(np.float64)))))


@attrs.frozen
class Stopped:
    """What a flush came to: of `received_ms` of the response, `played_ms` were heard."""

    response_id: str
    played_ms: float
    received_ms: float


@attrs.define
class _Piece:
    """Up to 20 ms that the device took, to be heard from `start_s` on; without sound when only facts hang on it."""

    pcm: bytes
    runs: list[tuple[str, int]]
    facts: list[Fact]
    start_s: float = 0.0

    @property
    def end_s(self) -> float:
        return self.start_s + len(self.pcm) / BYTES_A_S


class Tape:
    """What lies between a `Playout` and the ear. The loop holds, resumes and flushes; the device takes, and says when it was cut off."""

    def __init__(self, playout: Playout) -> None:
        self._playout = playout
        self._lock = threading.Lock()
        self._held = False
        self._cutting = False
        self._resumed = False
        self._on_its_way: deque[_Piece] = deque()
        self._again: deque[_Piece] = deque()
        self._facts: list[Fact] = []
        self._heard: list[Heard] = []
        self._flushing: dict[str, tuple[float, float]] = {}
        self._figures: dict[str, Stopped] = {}
        self._stopped: list[Stopped] = []

    # The event loop's side.

    def admit(self, response_id: str) -> None:
        """See `Playout.admit`."""
        with self._lock:
            self._playout.admit(response_id)

    def play(self, response_id: str, pcm: bytes, item_id: str, sentence: str) -> bool:
        """See `Playout.play`."""
        with self._lock:
            taken = self._playout.play(response_id, pcm, item_id, sentence)
            self._facts += self._playout.facts()
            return taken

    def retire(self, response_id: str) -> None:
        """See `Playout.retire`."""
        with self._lock:
            self._playout.retire(response_id)

    def hold(self) -> bool:
        """Give silence until `resume`; True when the device has sound that must be cut off."""
        with self._lock:
            self._held = True
            return self._cut_wanted()

    def resume(self) -> None:
        """Go on with the first sample that was not heard."""
        with self._lock:
            self._resumed = self._resumed or self._held
            self._held = False

    def flush(self, response_id: str) -> bool:
        """Refuse a response for good and drop what is not heard of it; True when the device has some that must be cut off.

        The answer is among `stopped`, at once or when the device was cut. A second flush has the figures of the first (R70).
        """
        with self._lock:
            if response_id in self._figures:
                self._stopped.append(self._figures[response_id])
                return False
            self._flushing[response_id] = self._playout.flush(response_id)
            if not self._cutting and all(response_id != of for piece in self._on_its_way for of, _ in piece.runs):
                self._settle()
                return False
            return self._cut_wanted()

    def heard(self, now_s: float) -> tuple[list[Fact], list[Heard], list[Stopped]]:
        """What has been heard, has happened and was stopped since the last call, each in order."""
        with self._lock:
            self._pass_by(now_s)
            answer = self._facts, self._heard, self._stopped
            self._facts, self._heard, self._stopped = [], [], []
            return answer

    @property
    def due_s(self) -> float | None:
        """When the next fact is heard; None while none is on its way."""
        with self._lock:
            return next((piece.start_s for piece in self._on_its_way if piece.facts), None)

    # The device's side, from any thread.

    def take(self, heard_from_s: float) -> bytes:
        """Give the next sound, up to 20 ms: silence when held or when there is none; its first sample will be heard at `heard_from_s`."""
        with self._lock:
            if self._held or self._cutting:
                return SILENCE
            while self._again:
                piece = self._again.popleft()
                self._send(piece, heard_from_s)
                if piece.pcm:
                    return piece.pcm
            frame = self._playout.next_frame()
            runs = list(self._playout.sounding.items())
            facts = self._playout.facts()
            if runs or facts:
                size = sum(size for _, size in runs)
                self._send(_Piece(frame[:size], runs, facts), heard_from_s)
            return frame

    def cut(self, at_s: float) -> None:
        """The device is silent since `at_s` and has dropped all that it held: what of it was not heard is given again, or is stopped."""
        with self._lock:
            self._pass_by(at_s)
            unheard = [self._rest(piece, at_s) for piece in self._on_its_way]
            self._on_its_way.clear()
            self._again.extendleft(reversed(unheard))
            self._cutting = False
            self._settle()

    # Under the lock.

    def _cut_wanted(self) -> bool:
        wanted = not self._cutting and any(piece.pcm for piece in self._on_its_way)
        self._cutting = self._cutting or wanted
        return wanted

    def _send(self, piece: _Piece, heard_from_s: float) -> None:
        """Note what the device took; after a hold it is progress, however little it is (R79)."""
        piece.start_s = heard_from_s
        if self._resumed and piece.runs:
            self._resumed = False
            response_id = piece.runs[0][0]
            if not any(isinstance(fact, Progressed) for fact in piece.facts):
                piece.facts.append(Progressed(response_id, self._playout.played_ms(response_id) - self._unheard_ms(response_id)))
        self._on_its_way.append(piece)

    def _unheard_ms(self, response_id: str) -> float:
        return sum(size for piece in self._again for of, size in piece.runs if of == response_id) / BYTES_A_MS

    def _pass_by(self, now_s: float) -> None:
        """Tell the facts of all that has begun to be heard, and put aside what has been heard to its end."""
        for piece in self._on_its_way:
            if piece.start_s > now_s:
                break
            self._facts += piece.facts
            piece.facts = []
        while self._on_its_way and self._on_its_way[0].end_s <= now_s:
            piece = self._on_its_way.popleft()
            self._put_aside(piece, len(piece.pcm))

    def _rest(self, piece: _Piece, at_s: float) -> _Piece:
        """What is left of a piece that was perhaps being heard at `at_s`; the rest of it is put aside."""
        size = min(len(piece.pcm), max(0, int((at_s - piece.start_s) * BYTES_A_S)) // 2 * 2)
        self._put_aside(piece, size)
        return _Piece(piece.pcm[size:], _split(piece.runs, size)[1], piece.facts)

    def _put_aside(self, piece: _Piece, size: int) -> None:
        if size:
            self._heard.append(Heard(piece.start_s, dict(_split(piece.runs, size)[0]), piece.pcm[:size]))

    def _settle(self) -> None:
        """Answer the flushes that wait: what the device dropped of them was not played."""
        for response_id, (taken_ms, received_ms) in self._flushing.items():
            stopped = Stopped(response_id, taken_ms - self._unheard_ms(response_id), received_ms)
            self._again = deque(_without(piece, response_id) for piece in self._again)
            remember(self._figures, response_id, stopped)
            self._stopped.append(stopped)
        self._flushing.clear()


def _split(runs: list[tuple[str, int]], size: int) -> tuple[list[tuple[str, int]], list[tuple[str, int]]]:
    """The runs that make up the first `size` bytes, and those after."""
    first, after = [], []
    for response_id, length in runs:
        before = min(length, size)
        size -= before
        if before:
            first.append((response_id, before))
        if length > before:
            after.append((response_id, length - before))
    return first, after


def _without(piece: _Piece, response_id: str) -> _Piece:
    """A piece less the sound and the facts of a response."""
    pcm, at = bytearray(), 0
    for of, size in piece.runs:
        if of != response_id:
            pcm += piece.pcm[at : at + size]
        at += size
    facts = [fact for fact in piece.facts if getattr(fact, "response_id", "") != response_id and (pcm or isinstance(fact, RanOut))]
    return _Piece(bytes(pcm), [run for run in piece.runs if run[0] != response_id], facts)
