"""The agent's sound through a player process, `aplay` or `ffplay`: fed as it plays, killed on interruption, begun anew at once.

A player tells no position, so it is estimated: its start takes the usual time, and then it plays in real time. It cannot outlive
us: the end of its input ends it, and on Linux the kernel kills it with us. A caller on a WAV file may stand in for the microphone.
"""

import os
import shutil
import subprocess
import sys
import time
from collections import Counter, deque
from collections.abc import Callable
from contextlib import suppress

import anyio
import attrs
from anyio import to_thread

from adapters.audio.levels import loudest_rms
from adapters.audio.library import NoSound, SoundLost
from adapters.audio.wake import Ring
from adapters.seam.device import Samples
from adapters.seam.ports import FRAME_MS, PCM, RATE_HZ, Caller
from adapters.seam.tape import Tape

AHEAD_MS = 100
"""How much the player is given ahead of what is heard: its own buffer of 80 ms, and a frame."""
STUCK_S = 1.0
"""A player that has taken nothing for this long is stuck."""
RESTARTS, RESTARTS_S = 3, 10.0
"""A player that ends by itself more often than this in ten seconds is given up."""
RETRY_S = 0.3
"""So much longer than the last time is waited before each: a sound server that is begun anew takes about a second."""
PIPE_BYTES = 4096
"""What the pipe to a player may hold, where that can be set (Linux, its least): 85 ms, not 1.4 s, of which a slow clock makes use."""
AUDIBLE_RMS = 100.0
"""Louder than -50 dBFS: the caller on a WAV file hears the agent."""


@attrs.frozen
class Program:
    """How a player is run so that it plays 24 kHz mono s16 from its input, and how long it takes from its start to the first sound."""

    arguments: tuple[str, ...]
    start_ms: float
    install: str


PROGRAMS = {
    "aplay": Program(("-q", "-t", "raw", "-f", "S16_LE", "-r", str(RATE_HZ), "-c", "1", "--buffer-time=80000", "-"), 8, "alsa-utils"),
    "ffplay": Program(
        ("-nodisp", "-autoexit", "-loglevel", "error", "-probesize", "32", "-f", "s16le", "-sample_rate", str(RATE_HZ), "-i", "pipe:0"),
        300,
        "ffmpeg",
    ),
}
"""The players known; the start of aplay was measured (6 to 10 ms), that of ffplay too (211 to 396)."""


class Player:
    """A player process as a loudspeaker; see `adapters.audio.device.Loudspeaker`. What it says of positions is an estimate."""

    estimated = True

    def __init__(self, name: str) -> None:
        """Prepare the player `name`, one of PROGRAMS. Raises NoSound when it is not installed."""
        program = PROGRAMS[name]
        path = shutil.which(name)
        if path is None:
            others = " or ".join(f"--player {other}" for other in PROGRAMS if other != name)
            raise NoSound(f"the player {name} is not installed: apt install {program.install}, or give {others}")
        self.counts: Counter[str] = Counter()
        self.is_open = False
        self._name = name
        self._command = [*_with_us(), path, *program.arguments]
        self._start_s = program.start_ms / 1000
        self._process: subprocess.Popen[bytes] | None = None
        self._tape: Tape | None = None
        self._ring: Ring | None = None

    @property
    def pid(self) -> int | None:
        """The process id of the player that runs now."""
        return self._process.pid if self._process is not None else None

    async def run(self, tape: Tape, ring: Ring) -> None:
        """Keep a player until cancelled: another one after each cut. Raises SoundLost when none stays."""
        self._tape, self._ring = tape, ring
        ended: deque[float] = deque(maxlen=RESTARTS)
        while True:
            complaint = await self._play_once(tape, ring)
            if complaint is None:
                continue
            now_s = time.monotonic()
            tape.cut(now_s)
            if len(ended) == RESTARTS and now_s - ended[0] < RESTARTS_S:
                raise SoundLost(f"the player {self._name} fails again and again: {complaint}; check the sound system")
            ended.append(now_s)
            self.counts["restarted"] += 1
            await anyio.sleep(RETRY_S * sum(now_s - one_s < RESTARTS_S for one_s in ended))

    def cut(self) -> None:
        """Kill the player: what it holds is not heard. Another one is begun by `run`."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
        if self._tape is not None:
            self._tape.cut(time.monotonic())

    async def _play_once(self, tape: Tape, ring: Ring) -> str | None:
        """Feed one player until it is cut (None) or ends by itself (its complaint); it is dead and reaped on return."""
        try:
            process = subprocess.Popen(self._command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, bufsize=0)
        except OSError as error:
            raise SoundLost(f"the player {self._name} cannot be run ({error.strerror}); install it anew") from None
        self._process = process
        try:
            self.is_open = True
            ring()
            stuck = await self._feed(process, tape)
            if self._process is not process:
                return None
            return "it takes no sound" if stuck else await _complaint(process)
        finally:
            if self._process is process:
                self._process = None
            with anyio.CancelScope(shield=True):
                await _reap(process)

    async def _feed(self, process: "subprocess.Popen[bytes]", tape: Tape) -> bool:
        """Write what is played next, a little ahead of its time, until the player is gone; True when it is stuck instead."""
        assert process.stdin is not None
        pipe = _narrow(process.stdin.fileno())
        heard_s = time.monotonic() + self._start_s
        while self._process is process:
            now_s = time.monotonic()
            ahead_s = heard_s - self._start_s - now_s
            if ahead_s > (AHEAD_MS - FRAME_MS) / 1000:
                await anyio.sleep(ahead_s - (AHEAD_MS - FRAME_MS) / 1000)
                continue
            if heard_s < now_s:  # We were late, and it ran dry.
                self.counts["ran dry"] += 1
                heard_s = now_s
            pcm = tape.take(heard_s).whole
            heard_s += PCM.ms_of(len(pcm)) / 1000
            with anyio.move_on_after(STUCK_S) as patience:
                if not await _write(pipe, pcm):
                    return False
            if patience.cancelled_caught:
                return True
        return False


class CallerMicrophone:
    """A caller who is no person, paced in real time, as a microphone; see `adapters.audio.device.Microphone`."""

    is_open = True

    def __init__(self, caller: Caller, agent_sound: Callable[[], Samples] | None = None) -> None:
        """`agent_sound` gives what is heard of the agent, for a caller who waits for it; it may be set later."""
        self.counts: Counter[str] = Counter()
        self.agent_sound = agent_sound
        self._caller = caller
        self._frames: list[tuple[float, bytes]] = []

    async def run(self, ring: Ring) -> None:
        """Give frame n at start + n * 20 ms, until the caller hangs up."""
        start_s, clock_s, number = anyio.current_time(), time.monotonic(), 0
        while not self._caller.finished:
            began_s = number * FRAME_MS / 1000
            await anyio.sleep_until(start_s + began_s + FRAME_MS / 1000)
            audible = self.agent_sound is not None and loudest_rms(self.agent_sound()) > AUDIBLE_RMS
            self._frames.append((clock_s + began_s, self._caller.next_frame(audible)))
            number += 1
            ring()

    def frames(self) -> list[tuple[float, bytes]]:
        """The frames of 20 ms since the last call, with the time at which each began."""
        frames, self._frames = self._frames, []
        return frames


def _with_us() -> list[str]:
    """What makes a command die with us, where there is such a thing (util-linux); the end of its input ends a player anyway."""
    wrapper = shutil.which("setpriv")
    return [wrapper, "--pdeathsig", "KILL", "--"] if wrapper else []


async def _write(pipe: int, pcm: bytes) -> bool:
    """Write it all to a pipe that does not block; False when nobody reads it any more."""
    rest = memoryview(pcm)
    while rest:
        try:
            rest = rest[os.write(pipe, rest) :]
        except BlockingIOError:
            await anyio.wait_writable(pipe)
        except OSError:
            return False
    return True


def _narrow(pipe: int) -> int:
    """Make a pipe hold little, and never block."""
    os.set_blocking(pipe, False)
    if sys.platform == "linux":
        import fcntl

        fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
    return pipe


async def _complaint(process: "subprocess.Popen[bytes]") -> str:
    """What a player that reads no more has to say: its last line so far, as the pipe may be held open by another that it began."""
    try:
        await to_thread.run_sync(process.wait, STUCK_S)
    except subprocess.TimeoutExpired:
        return "it closed its input"
    assert process.stderr is not None
    os.set_blocking(process.stderr.fileno(), False)
    lines = (process.stderr.read() or b"").decode(errors="replace").strip().splitlines()
    return lines[-1] if lines else f"exit code {process.returncode}"


async def _reap(process: "subprocess.Popen[bytes]") -> None:
    """Leave no process and no pipe behind."""
    if process.poll() is None:
        process.kill()
        await to_thread.run_sync(process.wait)
    for pipe in (process.stdin, process.stderr):
        if pipe is not None:
            with suppress(OSError):
                pipe.close()
