"""A whole sound system without a sound card, for tests and benchmarks: PulseAudio with two null sinks; no claim is here.

What is played on the sink `speaker` can be recorded from its monitor; what is put into the sink `room` is what the microphone
hears, as its monitor is the source of the ALSA device `microphone`. With `echo_db` the loudspeaker is heard in the room too.
PortAudio of Debian speaks ALSA alone, so an ALSA configuration of its own leads to PulseAudio. Nothing of the machine's own
sound system, configuration or home is touched.
"""

import functools
import os
import re
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import anyio
import attrs
import numpy as np
import numpy.typing as npt

from adapters.audio.device import SoundDevice
from adapters.audio.keeper import THREADS
from adapters.seam.ports import RATE_HZ
from fsm.call import effects as fx, events as ev
from tests.shared.shell import PATIENCE_S

ALSA = """\
</usr/share/alsa/alsa.conf>
pcm.!default { type asym playback.pcm "speaker" capture.pcm "microphone" }
ctl.!default { type pulse }
pcm.speaker { type pulse device "speaker" }
pcm.microphone { type pulse device "room.monitor" }
"""
SINKS = ("speaker", "room")
LOUD = 300
"""A sample over this is sound: a null sink adds none of its own."""
TAKES = 8
"""Takes that a busy machine may spoil before a claim about time counts as broken."""
SILENT_WITHIN_S = 0.04
"""An interruption is silent within this, and usually within 3 ms; a device that plays out what it holds takes 48."""
APART_MS = 40.0
"""How far a told or estimated position may be from the heard one; usually it is 1 ms, with a player 5."""


def tone(seconds: float) -> bytes:
    """A tone of 440 Hz."""
    return (8_000 * np.sin(2 * np.pi * 440 * np.arange(int(seconds * RATE_HZ)) / RATE_HZ)).astype("<i2").tobytes()


class DeviceCall:
    """A device without a core: what it posts, and a way to wait for it."""

    def __init__(self, device: SoundDevice) -> None:
        self.device = device
        self.posted: list[ev.Event] = []
        self._changed = anyio.Event()

    @asynccontextmanager
    async def held(self) -> AsyncIterator[None]:
        """It runs from its opening on while the block lasts; then we hang up."""
        with anyio.fail_after(PATIENCE_S):
            async with anyio.create_task_group() as group:
                group.start_soon(self.device.run, self.post)
                await self.until_posted(ev.LineOpened)
                yield
                self.device.do(fx.HangUp(fx.Reason.GOODBYE))

    async def say(self, seconds: float, response_id: str = "r1") -> None:
        """Let the agent say something, and wait until it is heard."""
        self.device.do(fx.Admit(response_id))
        self.device.play(response_id, tone(seconds), item_id="item")
        await self.until_posted(ev.PlayoutProgressed)

    def post(self, event: Callable[..., ev.Event], *args: Any) -> None:
        """Keep it."""
        self.posted.append(event(0.0, *args))
        self.change()

    async def until(self, met: Callable[[], bool]) -> None:
        """Wait until something is so."""
        while not met():
            await self._changed.wait()

    async def until_posted(self, kind: type[ev.Event]) -> Any:
        """Wait until an event of a kind has been posted."""
        await self.until(lambda: any(isinstance(event, kind) for event in self.posted))
        return next(event for event in self.posted if isinstance(event, kind))

    def change(self) -> None:
        """Something is other than before."""
        self._changed.set()
        self._changed = anyio.Event()


def retaken(claim: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
    """A claim about when sound is heard, which a take of real sound must show: a busy machine spoils a take or two, a fault each."""

    @functools.wraps(claim)
    async def take(*, tmp_path: Path, **fixtures: object) -> None:
        for number in range(TAKES):
            folder = tmp_path / f"take{number}"
            folder.mkdir()
            try:
                await claim(tmp_path=folder, **fixtures)
            except AssertionError:
                if number == TAKES - 1:
                    raise
            else:
                return

    return take


@attrs.frozen(eq=False)
class Taken:
    """What a loudspeaker played: samples, and when the first was heard, in seconds of `time.monotonic`."""

    samples: npt.NDArray[np.int16]
    start_s: float

    def loud(self, from_s: float, to_s: float) -> npt.NDArray[np.float64]:
        """When there was sound between two times: the time of each loud sample."""
        low, high = (max(0, int((at_s - self.start_s) * RATE_HZ)) for at_s in (from_s, to_s))
        found: npt.NDArray[np.float64] = (np.flatnonzero(np.abs(self.samples[low:high].astype(np.int32)) > LOUD) + low) / RATE_HZ
        return found + self.start_s


class Recorder:
    """Records a source from when it is made until `stop`."""

    def __init__(self, environment: dict[str, str], source: str) -> None:
        command = ["parec", "-d", source, f"--rate={RATE_HZ}", "--channels=1", "--format=s16le", "--latency-msec=2", "--raw"]
        self._process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE)
        self.ahead_s = 0.0
        self._sound = bytearray()
        self._starts: list[float] = []
        self._began = threading.Event()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()
        assert self._began.wait(PATIENCE_S), "parec records nothing"

    def stop(self) -> Taken:
        """The recording. A chunk can only come late, so the earliest tells when it began; what it holds is heard `ahead_s` later."""
        self._process.terminate()
        self._thread.join(PATIENCE_S)
        self._process.communicate(timeout=PATIENCE_S)
        start_s = float(np.percentile(self._starts, 1)) + self.ahead_s
        return Taken(np.frombuffer(bytes(self._sound[: len(self._sound) // 2 * 2]), "<i2"), start_s)

    def _read(self) -> None:
        while chunk := os.read(self._process.stdout.fileno(), 65_536):
            self._sound += chunk
            self._starts.append(time.monotonic() - len(self._sound) / 2 / RATE_HZ)
            self._began.set()


class Pulse:
    """A sound server of one's own, gone with it."""

    def __init__(self, *, echo_db: float | None = None, rate_hz: int = 48_000) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="callfsm-pulse-"))
        self._socket = self._folder / "native"
        self._load = [
            f"--load=module-native-protocol-unix socket={self._socket} auth-anonymous=1",
            *(f"--load=module-null-sink sink_name={name} rate={rate_hz} channels=2" for name in SINKS),
        ]
        if echo_db is not None:
            echo = "source=speaker.monitor sink=room latency_msec=30 sink_input_properties=media.name=echo"
            self._load.append(f"--load=module-loopback {echo}")
        config = self._folder / "asound.conf"
        config.write_text(ALSA)
        self.variables = {
            "XDG_RUNTIME_DIR": str(self._folder),
            "HOME": str(self._folder),
            "PULSE_SERVER": f"unix:{self._socket}",
            "ALSA_CONFIG_PATH": str(config),
        }
        """What a process needs in its environment to use this sound system."""
        self._environment = {**os.environ, **self.variables}
        self.start()
        if echo_db is not None:
            self._control("set-sink-input-volume", self._echo_input(), f"{echo_db:g}dB")

    def start(self) -> None:
        """Start the server, as after `kill`."""
        command = ["pulseaudio", "-n", "--daemonize=no", "--exit-idle-time=-1", "--use-pid-file=no", "--log-level=error"]
        self._server = subprocess.Popen([*command, *self._load], env=self._environment)
        until_s = time.monotonic() + PATIENCE_S
        while subprocess.run(["pactl", "info"], env=self._environment, capture_output=True, check=False, timeout=PATIENCE_S).returncode:
            assert self._server.poll() is None and time.monotonic() < until_s, "PulseAudio did not start"
        # A sink without a listener is suspended, and takes its time to wake: somebody always plays silence.
        player = ["pacat", "--latency-msec=20", "--raw"]
        self._awake = [
            subprocess.Popen([*player, "-d", sink, "/dev/zero"], env=self._environment, stderr=subprocess.DEVNULL) for sink in SINKS
        ]
        while len(self._control("list", "short", "sink-inputs").splitlines()) < len(SINKS):
            assert time.monotonic() < until_s, "nobody plays silence"
        # It was rendered two seconds ahead before anyone asked for less: suspending it forgets that.
        for sink in SINKS:
            self._control("suspend-sink", sink, "1")
            self._control("suspend-sink", sink, "0")

    def kill(self) -> None:
        """End the server at once: every device of it is gone, as if they had been unplugged."""
        for process in (self._server, *self._awake):
            process.send_signal(signal.SIGKILL)
            process.wait(PATIENCE_S)
        self._socket.unlink(missing_ok=True)

    def close(self) -> None:
        """Leave nothing."""
        self.kill()
        shutil.rmtree(self._folder)

    def plug_in_microphone(self) -> None:
        """Be what a browser takes for a microphone, and hears the room by: it takes no monitor."""
        self._control("load-module", "module-remap-source", "master=room.monitor", "source_name=microphone")
        self._control("set-default-source", "microphone")
        self._control("set-default-sink", "speaker")

    def record(self, source: str = "speaker.monitor") -> Recorder:
        """Record what the loudspeaker plays; a null sink hands it over as far ahead of time as its latency is: 5 ms."""
        recorder = Recorder(self._environment, source)
        [ahead_us, *_] = re.findall(r"Name: speaker\b.*?configured (\d+) usec", self._control("list", "sinks"), re.DOTALL)
        recorder.ahead_s = int(ahead_us) / 1e6
        return recorder

    @contextmanager
    def speaking(self, pcm: bytes) -> Iterator["subprocess.Popen[bytes]"]:
        """Somebody in the room says `pcm` (24 kHz mono s16) while the body runs; the process ends when all is said."""
        command = ["pacat", "-d", "room", f"--rate={RATE_HZ}", "--channels=1", "--format=s16le", "--latency-msec=20", "--raw"]
        with tempfile.TemporaryFile() as file:
            file.write(pcm)
            file.seek(0)
            process = subprocess.Popen(command, env=self._environment, stdin=file)
        try:
            yield process
        finally:
            process.kill()
            process.wait(PATIENCE_S)

    def _echo_input(self) -> str:
        listed = self._control("list", "sink-inputs").split("Sink Input #")
        return next(one.split()[0] for one in listed if 'media.name = "echo"' in one)

    def _control(self, *arguments: str) -> str:
        told = subprocess.run(["pactl", *arguments], env=self._environment, capture_output=True, check=True, timeout=PATIENCE_S, text=True)
        return told.stdout


@contextmanager
def sound_system(**settings: float) -> Iterator[Pulse]:
    """A sound system that this process's PortAudio uses while the body runs; `needs.SOUND` says what it takes."""
    from adapters.audio.library import load

    library = load()
    pulse = Pulse(**settings)
    before = {name: os.environ.get(name) for name in pulse.variables}
    os.environ.update(pulse.variables)
    try:
        _again(library)
        yield pulse
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        pulse.close()
        _again(library)


def _again(library: object) -> None:
    """Have PortAudio look for devices again: it does so once, when it is loaded. Where a driver hangs it would wait for that, for ever."""
    if not any(thread.name.startswith(THREADS) for thread in threading.enumerate()):
        library._terminate()
        library._initialize()
