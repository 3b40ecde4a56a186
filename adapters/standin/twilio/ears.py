"""What is heard on the telephone of a stand-in call: both voices recorded, and who spoke when; no clock in here, only counted frames."""

import wave
from collections.abc import Iterator
from typing import BinaryIO

import attrs
import numpy as np

from adapters.standin.ears import decode

RATE_HZ, FRAME_MS = 8_000, 20
SILENT = b"\xff" * (RATE_HZ * FRAME_MS // 1000)
AGENT_RMS = 32_768 * 10 ** (-50 / 20)
"""A frame of the agent's louder than -50 dBFS is heard: a synthesiser's pauses are under -60."""
CALLER_RMS = 32_768 * 10 ** (-38 / 20)
"""A frame of the caller's louder than -38 dBFS is speech: line noise is under -60."""
PAUSE_FRAMES = 15
"""A silence of 300 ms ends what somebody says; a shorter one is a pause in it."""
GAP_FRAMES = 15
"""A buffer that ran dry for less than 300 ms in the middle of the agent's sound: a gap that the caller hears."""
INTERRUPTION_MS = 3_000
"""A clear later than this after the caller's first sound is not its consequence."""


@attrs.frozen
class BargeIn:
    """The caller spoke while the agent was heard: when, how long after it the clear came, and the agent fell silent; None for never."""

    at_ms: int
    clear_ms: int | None
    silent_ms: int | None


@attrs.define
class Ears:
    """What both sides sounded like, frame by frame, from the stream's start."""

    clears_ms: list[int] = attrs.Factory(list)
    """When a clear came."""
    _caller: list[bytes] = attrs.Factory(list)
    _agent: list[bytes | None] = attrs.Factory(list)
    _audible: bool = False

    @property
    def now_ms(self) -> int:
        """How much has been heard."""
        return len(self._agent) * FRAME_MS

    @property
    def agent_audible(self) -> bool:
        """Was the agent heard in the last frame?"""
        return self._audible

    def hear(self, caller: bytes, agent: bytes | None) -> None:
        """Take 20 ms of both, in mu-law; None is a buffer that had nothing to play."""
        self._caller.append(caller)
        self._agent.append(agent)
        self._audible = agent is not None and _rms(agent) >= AGENT_RMS

    def write(self, disk: BinaryIO) -> None:
        """Record to a stereo WAV: the caller left, the agent right, as the caller heard it. OSError when it cannot be written."""
        sides = [decode("audio/pcmu", b"".join(frame or SILENT for frame in side)) for side in (self._caller, self._agent)]
        with wave.open(disk, "wb") as file:
            file.setparams((2, 2, RATE_HZ, 0, "NONE", "not compressed"))
            file.writeframes(np.stack(sides, axis=1).astype("<i2").tobytes())

    def gaps_ms(self) -> list[int]:
        """How long each gap in the middle of the agent's sound was."""
        runs = list(_runs([frame is not None for frame in self._agent]))
        inner = runs[1:-1]
        return [(end - start) * FRAME_MS for start, end, sounding in inner if not sounding and end - start < GAP_FRAMES]

    def barge_ins(self) -> list[BargeIn]:
        """Each time that the caller began to speak while the agent was heard."""
        agent = _utterances([frame is not None and _rms(frame) >= AGENT_RMS for frame in self._agent])
        caller = _utterances([_rms(frame) >= CALLER_RMS for frame in self._caller])
        found = []
        for onset, _ in caller:
            over = [end for start, end in agent if start < onset < end]
            if over:
                at_ms = onset * FRAME_MS
                clears = [ms - at_ms for ms in self.clears_ms if 0 <= ms - at_ms <= INTERRUPTION_MS]
                ended = over[0] < len(self._agent)
                found.append(BargeIn(at_ms, clears[0] if clears else None, over[0] * FRAME_MS - at_ms if ended else None))
        return found


def _rms(octets: bytes) -> float:
    return float(np.sqrt(np.mean(np.square(decode("audio/pcmu", octets).astype(np.float64)))))


def _runs(flags: list[bool]) -> Iterator[tuple[int, int, bool]]:
    """Stretches of equal flags: where each starts and ends."""
    start = 0
    for place in range(1, len(flags) + 1):
        if place == len(flags) or flags[place] != flags[start]:
            yield start, place, flags[start]
            start = place


def _utterances(loud: list[bool]) -> list[tuple[int, int]]:
    """What somebody says, from first to last loud frame; pauses do not part it."""
    found: list[tuple[int, int]] = []
    for start, end, sounding in _runs(loud):
        if not sounding:
            continue
        if found and start - found[-1][1] < PAUSE_FRAMES:
            found[-1] = (found[-1][0], end)
        else:
            found.append((start, end))
    return found
