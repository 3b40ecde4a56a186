"""A virtual sound device: a virtual caller's frames go in, the agent's come out, paced in real time and recorded to a stereo WAV.

It may hold sound and tell what was heard of it; what that means for the call is the core's to say. A frame counts as heard from
the moment that it is written.
"""

import math
from collections import deque
from collections.abc import Iterable
from enum import Enum
from pathlib import Path

import anyio
import attrs
import numpy as np

from adapters.audio.recording import RecordingFailed, StereoWav
from adapters.seam.playout import BYTES_A_MS, Playout, tell
from adapters.seam.ports import FRAME_MS, Caller, Ear, Post
from fsm.call.effects import Admit, Effect, Flush, HangUp, Hold, Resume, Retire
from fsm.call.events import CallerHungUp, DeviceFailed, LineClosed, LineOpened, PlayoutStopped, VadCalibrated

AUDIBLE_RMS = 32768 * 10 ** (-50 / 20)
"""A frame of the agent's louder than -50 dBFS can be heard: speech is near -20, a synthesiser's pauses under -60."""

REMEMBERED_FRAMES = 30_000
"""Figures are kept of the last ten minutes."""


@attrs.frozen
class Lateness:
    """How late frames were, in milliseconds, over the last ten minutes of `frames` frames."""

    frames: int
    p50_ms: float
    p99_ms: float
    worst_ms: float


class _Line(Enum):
    NOT_OPEN = "not open"
    OPEN = "open"
    HANGING_UP = "hanging up"
    GONE = "gone"


class WavDevice:
    """The audio device of a call without a sound card: a port and a speaker. It serves one call."""

    performs: tuple[type[Effect], ...] = (Admit, Hold, Resume, Flush, Retire, HangUp)

    def __init__(
        self, path: Path, caller: Caller, ears: Iterable[Ear] = (), *, calibration_ms: float = 500, hang_up_at_end: bool = True
    ) -> None:
        """Record to `path` (left: caller, right: agent), and let all `ears` hear the caller; more may be added to `ears` before `run`.

        VadCalibrated is posted after `calibration_ms` of heard sound. With `hang_up_at_end` a caller who is `finished` has hung up;
        without it the caller stays on the line until the agent hangs up.
        """
        self.ears = list(ears)
        self._path = path
        self._caller = caller
        self._calibration_frames = max(1, math.ceil(calibration_ms / FRAME_MS))
        self._hang_up_at_end = hang_up_at_end
        self._playout = Playout()
        self._line = _Line.NOT_OPEN
        self._post: Post | None = None
        self._stopped: list[tuple[str, float, float]] = []
        self._agent_audible = False
        self._late_ms: deque[float] = deque(maxlen=REMEMBERED_FRAMES)
        self._sounded: deque[tuple[float, str, float]] = deque(maxlen=REMEMBERED_FRAMES)

    @property
    def playout(self) -> Playout:
        """The queue and its tallies, to be read."""
        return self._playout

    async def run(self, post: Post) -> None:
        """Carry sound until the line is gone or the task is cancelled; a file that can't be written is DeviceFailed.

        Returns after LineClosed (the agent hung up), CallerHungUp or DeviceFailed; the WAV is complete by then.
        """
        self._post = post
        self._report()
        try:
            with StereoWav(self._path) as recording:
                await self._carry_sound(recording, post)
        except RecordingFailed as error:
            self._line = _Line.GONE
            post(DeviceFailed, str(error))
            return
        ended, self._line = self._line, _Line.GONE
        if ended is _Line.HANGING_UP:
            post(LineClosed)
        else:
            post(CallerHungUp, "caller hung up")

    def do(self, effect: Effect) -> None:
        """Carry out an effect at once: the next frame is already without what was flushed."""
        match effect:
            case Admit(response_id):
                self._playout.admit(response_id)
            case Hold():
                self._playout.hold()
            case Resume():
                self._playout.resume()
            case Flush(response_id):
                self._stopped.append((response_id, *self._playout.flush(response_id)))
                self._report()
            case Retire(response_id):
                self._playout.retire(response_id)
            case HangUp():
                self._hang_up()
            case _:
                raise ValueError(f"the WAV device doesn't perform {type(effect).__name__}: give it one of its `performs`")

    def play(self, response_id: str, pcm: bytes, *, item_id: str = "", sentence: str = "") -> bool:
        """Queue sound of a response; False when it was refused (see `Playout.play`)."""
        taken = self._playout.play(response_id, pcm, item_id, sentence)
        self._report()
        return taken

    def lateness(self) -> Lateness:
        """How late the frames were; all 0 before the first."""
        late = np.array(self._late_ms or [0.0])
        p50, p99 = (float(np.percentile(late, share)) for share in (50, 99))
        return Lateness(len(self._late_ms), p50, p99, float(late.max()))

    def sounded_after(self, at_s: float, response_id: str | None = None) -> float:
        """How many milliseconds of the agent's sound were emitted at or after `at_s` on `anyio.current_time()`.

        With `response_id`, of that response alone: after an interruption it is how much of it was heard too long.
        """
        return sum(ms for when_s, of, ms in self._sounded if when_s >= at_s and response_id in (None, of))

    async def _carry_sound(self, recording: StereoWav, post: Post) -> None:
        """Give frame n at start + n * 20 ms; a late frame comes at once, so that the schedule never drifts."""
        if self._line is _Line.NOT_OPEN:
            self._line = _Line.OPEN
            post(LineOpened)
        start_s = anyio.current_time()
        frames = 0
        while self._line is _Line.OPEN:
            due_s = start_s + frames * FRAME_MS / 1000
            await anyio.sleep_until(due_s)
            if self._line is not _Line.OPEN:
                return
            now_s = anyio.current_time()
            self._late_ms.append(max(0.0, now_s - due_s) * 1000)
            self._carry_frame(recording, now_s)
            frames += 1
            if frames == self._calibration_frames:
                post(VadCalibrated)
            if self._hang_up_at_end and self._caller.finished:
                self._line = _Line.GONE

    def _carry_frame(self, recording: StereoWav, now_s: float) -> None:
        heard = self._caller.next_frame(self._agent_audible)
        for ear in self.ears:
            ear.hear(heard)
        said = self._playout.next_frame()
        self._sounded.extend((now_s, response_id, size / BYTES_A_MS) for response_id, size in self._playout.sounding.items())
        self._agent_audible = bool(self._playout.sounding) and _power(said) >= AUDIBLE_RMS**2
        recording.write(heard, said)
        self._report()

    def _hang_up(self) -> None:
        match self._line:
            case _Line.NOT_OPEN | _Line.OPEN:
                self._line = _Line.HANGING_UP
            case _Line.GONE if self._post is not None:
                self._post(LineClosed)
            case _:
                return

    def _report(self) -> None:
        """Post what has happened to the sound; before `run` it waits."""
        if self._post is None:
            return
        tell(self._playout.facts(), self._post)
        stopped, self._stopped = self._stopped, []
        for response_id, played_ms, received_ms in stopped:
            self._post(PlayoutStopped, response_id, played_ms, received_ms)


def _power(frame: bytes) -> float:
    """The mean square of the samples."""
    samples = np.frombuffer(frame, "<i2").astype(np.float32)
    return float(samples.dot(samples)) / len(samples)
