"""Claims about player processes as loudspeakers: heard, silent when killed, never left behind, and honest about what they don't know."""

import logging
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import anyio
import numpy as np
import pytest

from adapters.audio import player, recording
from adapters.audio.device import SoundDevice
from adapters.audio.levels import loudest_rms
from adapters.audio.library import NoSound
from adapters.audio.player import CallerMicrophone, Player
from adapters.hosts.terminal import live
from adapters.realtime.settings import RealtimeSettings
from adapters.seam.ports import RATE_HZ
from adapters.standin.caller import WavCaller
from fsm.call import effects as fx, events as ev
from fsm.call.policy import Policy
from tests.shared.needs import SOUND
from tests.shared.pulse import APART_MS, SILENT_WITHIN_S, DeviceCall, Pulse, retaken, tone
from tests.shared.shell import PATIENCE_S, ROOT, alive, channels, descendants, each_backend, environment

heard = pytest.mark.needs("aplay", *SOUND)


class Call(DeviceCall):
    """A device with a player."""

    def __init__(self, path: Path, caller_s: float = 60.0) -> None:
        self.player = Player("aplay")
        super().__init__(SoundDevice(path, CallerMicrophone(WavCaller(bytes(int(caller_s * RATE_HZ) * 2))), self.player))


@heard
@each_backend
@retaken
async def test_a_hold_kills_the_player_and_another_one_goes_on(pulse: Pulse, tmp_path: Path) -> None:
    call = Call(tmp_path / "call.wav")
    async with call.held():
        recorder = pulse.record()
        await call.say(1.0)
        await anyio.sleep(0.2)
        first, held = call.player.pid, time.monotonic()
        call.device.do(fx.Hold())
        await anyio.sleep(0.3)
        second, resumed = call.player.pid, time.monotonic()
        call.device.do(fx.Resume())
        await call.until_posted(ev.PlayoutFinished)
        taken = recorder.stop()
    assert len(taken.loud(0, held))
    assert not len(taken.loud(held + SILENT_WITHIN_S, resumed))
    assert first and second and first != second
    assert not alive(first) and not alive(second)
    assert not Path(f"/proc/{first}").exists(), "it was reaped"
    heard_ms = np.count_nonzero(np.diff(taken.loud(0, resumed + 10)) < 0.003) / RATE_HZ * 1000
    whole_ms = np.count_nonzero(np.abs(np.frombuffer(tone(1.0), "<i2").astype(int)) > 300) / RATE_HZ * 1000
    assert heard_ms == pytest.approx(whole_ms, abs=APART_MS), "it goes on from the estimate"
    assert call.device.estimated, "and it says that it is one"
    assert call.posted[-1] == ev.LineClosed(0.0)


@heard
async def test_a_caller_at_the_end_of_their_recording_has_hung_up(pulse: Pulse, tmp_path: Path) -> None:
    call = Call(tmp_path / "call.wav", caller_s=0.6)
    with anyio.fail_after(PATIENCE_S):
        await call.device.run(call.post)
    assert [type(event) for event in call.posted] == [ev.LineOpened, ev.VadCalibrated, ev.CallerHungUp]


@heard
async def test_a_player_that_ends_by_itself_is_begun_anew(pulse: Pulse, tmp_path: Path) -> None:
    call = Call(tmp_path / "call.wav")
    async with call.held():
        os.kill(call.player.pid, signal.SIGKILL)
        await call.say(0.3)
        await call.until_posted(ev.PlayoutFinished)
    assert call.device.counts["restarted"] == 1


@pytest.mark.needs("aplay")
async def test_a_player_that_cannot_play_ends_the_call_and_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "asound.conf").write_text("pcm.!default { type pulse }\n")
    monkeypatch.setenv("ALSA_CONFIG_PATH", str(tmp_path / "asound.conf"))
    monkeypatch.setenv("PULSE_SERVER", "unix:/nowhere")
    monkeypatch.setattr(player, "RETRY_S", 0.0)
    call = Call(tmp_path / "call.wav")
    with anyio.fail_after(PATIENCE_S):
        await call.device.run(call.post)
    failed = call.posted[-1]
    assert isinstance(failed, ev.DeviceFailed)
    assert "aplay fails again and again" in failed.reason
    assert "\n" not in failed.reason


def not_a_player(folder: Path, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put a program of this name before the true one."""
    (folder / "aplay").write_text(f"#!/bin/sh\n{script}\n")
    (folder / "aplay").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")


@pytest.mark.parametrize(
    ("script", "told"),
    [
        ("exec sleep 60", "it takes no sound"),
        ("exec <&-; exec sleep 60", "it closed its input"),
        ('sleep 60 & echo $! >>"$0.pids"; echo no card >&2; exit 3', "no card"),
        ("exit 3", "exit code 3"),
    ],
)
async def test_a_player_that_takes_nothing_ends_the_call_and_says_how(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, told: str
) -> None:
    monkeypatch.setattr(player, "STUCK_S", 0.1)
    monkeypatch.setattr(player, "RETRY_S", 0.0)
    not_a_player(tmp_path, script, monkeypatch)
    call = Call(tmp_path / "call.wav")
    with anyio.fail_after(PATIENCE_S):
        await call.device.run(call.post)
    left_behind = tmp_path / "aplay.pids"
    for pid in left_behind.read_text().split() if left_behind.exists() else []:
        os.kill(int(pid), signal.SIGKILL)
    failed = call.posted[-1]
    assert isinstance(failed, ev.DeviceFailed)
    assert failed.reason == f"the player aplay fails again and again: {told}; check the sound system"


class Told(logging.Handler):
    """What a log says, and when it has said something."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []
        self.said = anyio.Event()

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())
        self.said.set()


async def test_a_full_disk_ends_the_recording_and_says_so_once_and_not_the_call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """R105."""
    monkeypatch.setattr(recording, "SAVED_FRAMES", 5)
    not_a_player(tmp_path, "exec cat >/dev/null", monkeypatch)
    path, log = tmp_path / "call.wav", logging.getLogger("callfsm.recording")
    call, told, limits = Call(path), Told(), resource.getrlimit(resource.RLIMIT_FSIZE)
    log.addHandler(told)
    try:
        async with call.held():
            resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, limits[1]))
            await told.said.wait()
            await call.say(0.1)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        log.removeHandler(told)
    assert told.lines == [f"recording_failed: {path} ends here: File too large"]
    assert isinstance(call.posted[-1], ev.LineClosed)
    assert not [event for event in call.posted if isinstance(event, ev.DeviceFailed)]


class Levels:
    """An ear that notes how loud the agent is for each frame."""

    def __init__(self, device: SoundDevice, levels: list[float]) -> None:
        self._device = device
        self._levels = levels

    def hear(self, pcm: bytes) -> None:
        """Take a frame."""
        self._levels.append(loudest_rms(self._device.agent_sound()))


@heard
@retaken
async def test_a_busy_loop_neither_moves_the_caller_in_the_recording_nor_the_told_position(pulse: Pulse, tmp_path: Path) -> None:
    levels: list[float] = []
    call = Call(tmp_path / "call.wav")
    call.device.ears.append(Levels(call.device, levels))
    async with call.held():
        recorder = pulse.record()
        await call.say(3.0)
        await anyio.sleep(0.1)
        levels.clear()
        busy_until_s = time.monotonic() + 0.8
        while time.monotonic() < busy_until_s:
            os.sched_yield()
        await anyio.sleep(0.3)
        call.device.do(fx.Flush("r1"))
        stopped = await call.until_posted(ev.PlayoutStopped)
        taken = recorder.stop()
    heard_ms = np.count_nonzero(np.diff(taken.loud(0, time.monotonic())) < 0.003) / RATE_HZ * 1000
    assert stopped.played_ms == pytest.approx(heard_ms, abs=APART_MS)
    _, agent = channels(tmp_path / "call.wav")
    assert np.count_nonzero(agent) / RATE_HZ * 1000 == pytest.approx(stopped.played_ms, abs=APART_MS), "nothing is missing in call.wav"
    assert min(levels[:20]) > 5_000, "what was heard long ago may hold an echo of what was said then"


@heard
def test_a_player_dies_with_us_even_if_we_are_killed(pulse: Pulse, tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; import anyio\n"
        "from test_player_device import Call\n"
        "call = Call(Path(sys.argv[1]))\n"
        "def post(event, *_): print(event.__name__, flush=True)\n"
        "anyio.run(call.device.run, post)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path / "call.wav")],
        env=environment(PYTHONPATH=f"{ROOT}{os.pathsep}{ROOT / 'tests' / 'audio'}", **pulse.variables),
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout.readline() == "LineOpened\n"
        assert process.stdout.readline() == "VadCalibrated\n"
        [player] = descendants(process.pid)
        assert alive(player)
    finally:
        process.kill()
        process.communicate(timeout=PATIENCE_S)
    until_s = time.monotonic() + PATIENCE_S
    while alive(player):
        assert time.monotonic() < until_s, "the player is left behind"
        os.sched_yield()


def test_a_player_that_is_not_installed_is_refused_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(NoSound, match="the player ffplay is not installed: apt install ffmpeg, or give --player aplay"):
        Player("ffplay")


@heard
def test_the_command_line_ties_a_player_to_the_callers_recording(pulse: Pulse, tmp_path: Path) -> None:
    plan = live.Plan(
        policy=Policy(), settings=RealtimeSettings(), out=tmp_path, caller=tmp_path / "caller.wav", player="aplay", vad="local"
    )
    loudspeaker, microphone = live._loudspeaker(plan), live._microphone(plan)
    assert isinstance(loudspeaker, Player)
    assert microphone is None
    device = live._device(plan, [WavCaller(bytes(960))], loudspeaker, microphone)
    assert device.estimated
    [vad] = live._ears(plan, device)
    assert device.ears == [vad]
