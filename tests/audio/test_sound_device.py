"""Claims about calls on real sound devices: a whole audio stack without a sound card, judged by what its loudspeaker played."""

import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import numpy as np
import pytest

from adapters.audio import keeper as sound_keeper
from adapters.audio.device import SoundDevice
from adapters.audio.library import NoSound, find
from adapters.audio.local_vad import LocalVad
from adapters.audio.streams import Loudspeaker, Microphone
from adapters.seam.driver import Driver
from adapters.seam.ports import RATE_HZ
from adapters.standin.voice import Voice
from adapters.telling.trace import read_trace
from fsm.call import effects as fx, events as ev
from fsm.call.snapshot import start
from tests.shared.needs import SOUND
from tests.shared.pulse import APART_MS, SILENT_WITHIN_S, DeviceCall, Pulse, retaken, sound_system, tone
from tests.shared.shell import (
    PATIENCE_S,
    PATIENTLY,
    Puppet as Model,
    at,
    begin_callfsm,
    callfsm,
    channels,
    each_backend,
    silent_policy,
)

pytestmark = pytest.mark.needs(*SOUND)


class Call(DeviceCall):
    """A device, and what its ear heard."""

    def __init__(self, path: Path, *, rate_hz: int | None = None) -> None:
        microphone = Microphone(find("microphone", "microphone", rate_hz=rate_hz))
        super().__init__(SoundDevice(path, microphone, Loudspeaker(find("speaker", "loudspeaker", rate_hz=rate_hz)), [self]))
        self.heard = bytearray()

    def hear(self, pcm: bytes) -> None:
        self.heard += pcm
        self.change()

    def loudest(self) -> int:
        """The loudest sample that the ear heard."""
        return int(np.abs(np.frombuffer(bytes(self.heard), "<i2").astype(np.int32)).max(initial=0))


# The loudspeaker.


@each_backend
@retaken
async def test_an_interruption_is_silent_and_then_goes_on_with_the_sample_at_which_it_stopped(pulse: Pulse, tmp_path: Path) -> None:
    call = Call(tmp_path / "call.wav")
    async with call.held():
        recorder = pulse.record()
        await call.say(1.0)
        await anyio.sleep(0.2)
        held = time.monotonic()
        call.device.do(fx.Hold())
        await anyio.sleep(0.3)
        resumed = time.monotonic()
        call.device.do(fx.Resume())
        await call.until_posted(ev.PlayoutFinished)
        taken = recorder.stop()
    silence = taken.loud(held + SILENT_WITHIN_S, resumed)
    assert not len(silence)
    assert len(taken.loud(0, held))
    heard_ms = np.count_nonzero(np.diff(taken.loud(0, resumed + 10)) < 0.003) / RATE_HZ * 1000
    whole_ms = np.count_nonzero(np.abs(np.frombuffer(tone(1.0), "<i2").astype(int)) > 300) / RATE_HZ * 1000
    assert heard_ms == pytest.approx(whole_ms, abs=APART_MS), "all of it was heard, and nothing twice"
    assert call.posted[-1] == ev.LineClosed(0.0)


@retaken
async def test_the_played_position_is_what_was_heard(pulse: Pulse, tmp_path: Path) -> None:
    call = Call(tmp_path / "call.wav")
    async with call.held():
        recorder = pulse.record()
        await call.say(2.0)
        await anyio.sleep(0.4)
        call.device.do(fx.Flush("r1"))
        assert not call.device.play("r1", tone(0.1)), "it is refused at once"
        await call.until_posted(ev.PlayoutStopped)
        taken = recorder.stop()
    [stopped] = [event for event in call.posted if isinstance(event, ev.PlayoutStopped)]
    loud = taken.loud(0, time.monotonic())
    assert stopped.played_ms == pytest.approx((loud[-1] - loud[0]) * 1000, abs=APART_MS)
    assert stopped.received_ms == 2_000
    assert call.device.sounded_after(-1e9, "r1") == pytest.approx(stopped.played_ms, abs=1)
    assert not call.device.estimated
    _, agent = channels(tmp_path / "call.wav")
    recorded_ms = np.count_nonzero(np.abs(agent) > 0) / RATE_HZ * 1000
    assert recorded_ms == pytest.approx(stopped.played_ms, abs=APART_MS), "call.wav holds what was heard"


@each_backend
async def test_a_device_at_another_rate_sounds_the_same(pulse: Pulse, tmp_path: Path) -> None:
    call = Call(tmp_path / "call.wav", rate_hz=44_100)
    async with call.held():
        recorder = pulse.record()
        await call.say(0.5)
        with pulse.speaking(tone(3.0)):
            await call.until_posted(ev.PlayoutFinished)
            await call.until(lambda: call.loudest() > 6_000)
            call.heard.clear()
            await call.until(lambda: len(call.heard) > RATE_HZ)
        taken = recorder.stop()
    for samples in (taken.samples, np.frombuffer(bytes(call.heard), "<i2")):
        spectrum = np.abs(np.fft.rfft(samples.astype(np.float64)))
        assert np.argmax(spectrum) * RATE_HZ / len(samples) == pytest.approx(440, abs=3)


# The microphone.


@each_backend
async def test_the_microphone_hears_the_room_and_call_wav_keeps_it(pulse: Pulse, tmp_path: Path) -> None:
    call = Call(tmp_path / "call.wav")
    async with call.held():
        await call.until_posted(ev.VadCalibrated)
        assert call.loudest() < 300
        with pulse.speaking(tone(3.0)):
            await call.until(lambda: call.loudest() > 6_000)
    caller, _ = channels(tmp_path / "call.wav")
    assert len(caller) * 2 == len(call.heard)
    assert abs(caller).max() > 6_000


OPENING = (at(0, ev.SessionOpened), at(0, ev.SessionConfirmed), at(600, ev.ResponseCreated, "r1"))
"""What a model says before a response that lasts."""


async def test_an_echo_interrupts_nobody_and_the_caller_interrupts_through_it(tmp_path: Path) -> None:
    caller = b"".join(Voice.load().speak("Sorry, how much is a puncture repair?", pitch=0.8))
    agent = b"".join(Voice.load().speak("We are open from Monday to Friday, from half past eight in the morning until six in the evening."))
    told: list[type[ev.Event]] = []

    def look_on(event: ev.Event, _: Any) -> None:
        told.append(type(event))

    with sound_system(echo_db=-20.0) as pulse, anyio.fail_after(PATIENCE_S):
        microphone, loudspeaker = Microphone(find("microphone", "microphone")), Loudspeaker(find("speaker", "loudspeaker"))
        device = SoundDevice(tmp_path / "call.wav", microphone, loudspeaker, calibration_ms=None)
        vad = LocalVad(agent_sound=device.agent_sound)
        device.ears.append(vad)
        voice = _Voice(device, agent)
        driver = Driver(start(silent_policy(interruption_by="detector")), [device, vad, voice, Model(OPENING, performs=())], [look_on])
        async with anyio.create_task_group() as group:
            group.start_soon(driver.run)
            await voice.heard_for(1.5)
            speaks = len(told)
            assert vad.echo_db == pytest.approx(-20, abs=6)
            with pulse.speaking(caller):
                await voice.interrupted.wait()
            group.cancel_scope.cancel()
    assert ev.BargeInDetected not in told[:speaks], "its own echo"
    assert ev.BargeInDetected in told[speaks:]


class _Voice:
    """A port that speaks as soon as its response may be heard, and notices when it is flushed."""

    performs = (fx.Admit, fx.Flush)

    def __init__(self, device: SoundDevice, pcm: bytes) -> None:
        self.interrupted = anyio.Event()
        self._device = device
        self._pcm = pcm
        self._began = anyio.Event()

    async def run(self, post: Any) -> None:
        await anyio.sleep_forever()

    def do(self, effect: fx.Effect) -> None:
        if isinstance(effect, fx.Admit):
            self._device.play("r1", self._pcm, item_id="item")
            self._began.set()
        else:
            self.interrupted.set()

    async def heard_for(self, seconds: float) -> None:
        await self._began.wait()
        await anyio.sleep(seconds)


# Lost devices.


@each_backend
@retaken
async def test_a_device_that_comes_back_goes_on(tmp_path: Path) -> None:
    with sound_system() as pulse:
        call = Call(tmp_path / "call.wav")

        def failed() -> bool:
            return any(isinstance(event, ev.DeviceFailed) for event in call.posted)

        def goes_on(since: int) -> bool:
            played = any(isinstance(event, ev.PlayoutProgressed) for event in call.posted[since:])
            return failed() or (played and len(call.heard) > 9_600)

        async with call.held():
            await call.say(20.0)
            await anyio.to_thread.run_sync(pulse.kill)
            await anyio.to_thread.run_sync(pulse.start)
            await call.until(lambda: failed() or call.device.counts["reopened"] >= 2)
            call.heard.clear()
            await call.until(partial(goes_on, len(call.posted)))
    # a driver may hang for ever where its sound system dies beneath it
    assert not failed(), call.posted[-1]


@retaken
async def test_a_device_that_stays_away_ends_the_call_and_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sound_keeper, "REOPEN_S", 0.5)
    with sound_system() as pulse:
        call = Call(tmp_path / "call.wav")
        async with call.held():
            await call.say(20.0)
            await anyio.to_thread.run_sync(pulse.kill)
            failed = await call.until_posted(ev.DeviceFailed)
    assert "'speaker'" in failed.reason or "'microphone'" in failed.reason
    assert "plug it in" in failed.reason
    caller, _ = channels(tmp_path / "call.wav")
    assert len(caller), "the recording is whole"


# The command line.


def test_the_devices_are_listed_and_the_default_is_marked(pulse: Pulse) -> None:
    done = callfsm("devices", **pulse.variables)
    assert (done.returncode, done.stderr) == (0, "")
    assert [line.split()[1] for line in done.stdout.splitlines()] == ["speaker", "microphone", "pulse", "default"]
    assert "(default)" in done.stdout.splitlines()[-1]


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("none", "'none' is not there; `callfsm devices` lists them"),
        ("99", "'99' is not there"),
        ("e", "may be 0 (speaker), 1 (microphone), "),
    ],
)
def test_a_device_that_cannot_be_meant_is_refused(pulse: Pulse, name: str, told: str) -> None:
    with pytest.raises(NoSound) as refusal:
        find(name, "loudspeaker")
    assert told in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_a_call_without_its_device_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "asound.conf").write_text("pcm.gone { type pulse }\n")
    nowhere = {"ALSA_CONFIG_PATH": str(tmp_path / "asound.conf"), "PULSE_SERVER": "unix:/nowhere"}
    done = callfsm("call", "--device", "default", "--out", tmp_path / "out", **nowhere)
    assert done.returncode == 2
    [line] = done.stderr.splitlines()
    assert "this machine has no loudspeaker; plug one in" in line
    assert not (tmp_path / "out").exists()


# A whole call.

CALLS = 3
"""Calls whose device a busy machine may starve."""


@pytest.fixture(scope="module", autouse=True)
def whole_call(tmp_path_factory: pytest.TempPathFactory) -> Iterator["Future[tuple[int, str, Path]]"]:
    """A call by the command line, on a sound system of its own, held while the other tests run; what it gave, and its folder."""
    with ThreadPoolExecutor(1) as thread:
        yield thread.submit(_hold, tmp_path_factory.mktemp("whole"))


def _hold(folder: Path, calls: int = CALLS) -> tuple[int, str, Path]:
    """A call that a busy machine spoils, as its sound stands still, is held again."""
    system, out = Pulse(echo_db=-20.0), folder / f"call{calls}"
    arguments = ("--device", "speaker", "--microphone", "microphone", "--voice", "realtime", "--vad", "local", "--out", out)
    process = begin_callfsm("call", *arguments, *PATIENTLY, **system.variables)
    try:
        return _converse(process, system, out)
    except AssertionError as error:
        if calls == 1 or "the audio device failed" not in str(error):
            raise
    finally:
        process.kill()
        process.wait(PATIENCE_S)
        system.close()
    return _hold(folder, calls - 1)


def _converse(process: "subprocess.Popen[str]", system: Pulse, out: Path) -> tuple[int, str, Path]:
    """Be the caller in the room: ask into the greeting, interrupt the answer, and say goodbye."""
    question, goodbye = (
        b"".join(Voice.load().speak(text, pitch=0.8)) for text in ("What are your opening hours?", "All right, thank you. Goodbye!")
    )
    follow = partial(_follow, process)
    follow("greeting_lock")
    follow("agent  Hello")
    with system.speaking(question):
        follow("the greeting is protected")
        follow("ai_speaking")
    with system.speaking(goodbye):
        follow("BARGE-IN")
        follow("the call ends: the goodbye was heard")
    _, complaint = process.communicate(timeout=PATIENCE_S)
    return process.returncode, complaint, out


def _follow(process: "subprocess.Popen[str]", words: str) -> None:
    """Read what a call tells until it tells this."""
    told = []
    for line in process.stdout:
        told.append(line)
        if words in line:
            return
    raise AssertionError(f"the call never told {words!r}, but {''.join(told)} {process.communicate()[1]}")


def test_a_whole_call_over_real_sound(whole_call: "Future[tuple[int, str, Path]]") -> None:
    code, complaint, out = whole_call.result(3 * PATIENCE_S)
    assert (code, complaint) == (0, "")
    trace = read_trace(out / "call.trace")
    assert trace.first_difference() is None
    caller, agent = channels(out / "call.wav")
    assert abs(caller).max() > 2_000
    assert abs(agent).max() > 2_000
    assert (out / "call.svg").exists()
    assert "barge-ins                       1" in (out / "summary.txt").read_text()
