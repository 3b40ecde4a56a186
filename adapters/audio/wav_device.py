"""A virtual sound device: a virtual caller's frames go in, the agent's come out, paced in real time and recorded to a stereo WAV.

A frame counts as heard from the moment that it is written.
"""

from collections import deque
from collections.abc import Iterable
from pathlib import Path

import anyio
import attrs
import numpy as np

from adapters.audio.recording import StereoWav
from adapters.seam.device import CALIBRATION_MS, REMEMBERED_FRAMES, Device, Line
from adapters.seam.ports import FRAME_MS, Caller, Ear

AUDIBLE_RMS = 32768 * 10 ** (-50 / 20)
"""A frame of the agent's louder than -50 dBFS can be heard: speech is near -20, a synthesiser's pauses under -60."""


@attrs.frozen
class Lateness:
    """How late frames were, in milliseconds, over the last ten minutes of `frames` frames."""

    frames: int
    p50_ms: float
    p99_ms: float
    worst_ms: float


class WavDevice(Device):
    """The audio device of a call without a sound card."""

    def __init__(
        self,
        path: Path,
        caller: Caller,
        ears: Iterable[Ear] = (),
        *,
        calibration_ms: float = CALIBRATION_MS,
        hang_up_at_end: bool = True,
    ) -> None:
        """Record to `path` (left: caller, right: agent); a file that can't be written is DeviceFailed.

        With `hang_up_at_end` a caller who is `finished` has hung up; without it the caller stays on the line until the agent hangs up.
        """
        super().__init__(ears, calibration_ms=calibration_ms)
        self._path = path
        self._caller = caller
        self._hang_up_at_end = hang_up_at_end
        self._agent_audible = False
        self._late_ms: deque[float] = deque(maxlen=REMEMBERED_FRAMES)

    def lateness(self) -> Lateness:
        """How late the frames were; all 0 before the first."""
        late = np.array(self._late_ms or [0.0])
        p50, p99 = (float(np.percentile(late, share)) for share in (50, 99))
        return Lateness(len(self._late_ms), p50, p99, float(late.max()))

    async def _carry(self) -> str:
        """Give frame n at start + n * 20 ms; a late frame comes at once, so that the schedule never drifts."""
        with StereoWav(self._path) as recording:
            self._open()
            start_s, frames = anyio.current_time(), 0
            while self.line is Line.OPEN and not (frames and self._hang_up_at_end and self._caller.finished):
                due_s = start_s + frames * FRAME_MS / 1000
                await anyio.sleep_until(due_s)
                if self.line is Line.OPEN:
                    now_s = anyio.current_time()
                    self._late_ms.append(max(0.0, now_s - due_s) * 1000)
                    self._carry_frame(recording, now_s)
                    frames += 1
        return "caller hung up"

    def _carry_frame(self, recording: StereoWav, now_s: float) -> None:
        """Take 20 ms of the caller to every ear (R26), give as much of the agent, and do nothing else (R56)."""
        heard = self._caller.next_frame(self._agent_audible)
        self._hear(heard)
        said = self._tape.take(now_s)
        self._agent_audible = bool(said.runs) and _power(said.whole) >= AUDIBLE_RMS**2
        recording.write(heard, said.whole)
        self._report(now_s)


def _power(frame: bytes) -> float:
    """The mean square of the samples."""
    samples = np.frombuffer(frame, "<i2").astype(np.float32)
    return float(samples.dot(samples)) / len(samples)
