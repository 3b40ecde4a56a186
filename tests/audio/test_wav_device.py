"""The virtual sound device: exact on a virtual clock, in order on a real one, and never without a readable recording."""

import resource
import signal
import wave
from array import array
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import attrs
import numpy as np
import pytest
import trio.testing

from adapters.audio.wav_device import WavDevice
from adapters.seam.playout import Refusal
from adapters.seam.ports import FRAME_BYTES, RATE_HZ
from adapters.standin.caller import At, Line, ScriptedCaller, WavCaller
from fsm.call.effects import Admit, CloseSession, Flush, HangUp, Hold, Reason, Resume
from fsm.call.events import (
    AudioArrived,
    CallerHungUp,
    DeviceFailed,
    Event,
    Heard,
    LineClosed,
    LineOpened,
    PlayoutFinished,
    PlayoutProgressed,
    PlayoutStopped,
    SentenceStarted,
    VadCalibrated,
)
from tests.shared.shell import each_backend, level as sound, run_on

SILENCE = bytes(FRAME_BYTES)


@attrs.define
class Log:
    """A driver that only writes down: (milliseconds, event) with the event's own stamp at 0, so that events compare."""

    posted: list[tuple[int, Event]] = attrs.field(factory=list)

    def post(self, event: Callable[..., Event], *args: Any, **kwargs: Any) -> None:
        """Take an event; the stamp is rounded, since a float clock is a little off."""
        self.posted.append((round(anyio.current_time() * 1000), event(0.0, *args, **kwargs)))

    def events(self) -> list[Event]:
        """The events without their times."""
        return [event for _, event in self.posted]


@attrs.define
class Cues:
    """An ear that does something at given frames: how these tests act in the middle of a call, in step with it."""

    at: dict[int, Callable[[], object]]
    heard: list[bytes] = attrs.field(factory=list)

    def hear(self, pcm: bytes) -> None:
        """Take a frame; the action of frame n comes just before the agent's frame n is taken."""
        action = self.at.get(len(self.heard))
        self.heard.append(pcm)
        if action is not None:
            action()


def recorded(path: Path) -> tuple[bytes, bytes]:
    """The caller's and the agent's sound in a recording."""
    with wave.open(str(path), "rb") as file:
        assert file.getparams()[:3] == (2, 2, RATE_HZ)
        both = np.frombuffer(file.readframes(file.getnframes()), "<i2").reshape(-1, 2)
    return both[:, 0].tobytes(), both[:, 1].tobytes()


def call(path: Path, caller_ms: float, at: Mapping[int, Callable[[WavDevice], object]], **settings: Any) -> tuple[WavDevice, Log, Cues]:
    """A whole call on the virtual clock, with things done to the device at given frames."""
    device, log = WavDevice(path, WavCaller(sound(caller_ms, 500)), **settings), Log()
    cues = Cues({frame: partial(action, device) for frame, action in at.items()})
    device.ears.append(cues)
    run_on("trio", partial(device.run, log.post))
    return device, log, cues


def admit_and_play(*sounds: tuple[str, bytes]) -> Callable[[WavDevice], None]:
    """Admit these responses and queue their sound."""

    def act(device: WavDevice) -> None:
        for response_id, pcm in sounds:
            device.do(Admit(response_id))
            device.play(response_id, pcm, item_id="item")

    return act


# The call's frame.


def test_frame_n_is_heard_at_n_times_20_ms_without_drift_for_ten_minutes(tmp_path: Path) -> None:
    """R56: the loop does nothing but carry frames."""
    times: list[float] = []
    frames = 30_000
    actions = dict.fromkeys(range(frames), lambda _: times.append(anyio.current_time()))
    device, _, cues = call(tmp_path / "call.wav", frames * 20, actions)
    assert len(cues.heard) == frames
    assert max(abs(time - n * 0.02) for n, time in enumerate(times)) < 1e-6
    assert device.lateness().worst_ms < 1e-3
    assert device.lateness().frames == frames


def test_the_line_opens_the_vad_is_calibrated_and_the_caller_hangs_up_each_once_and_in_time(tmp_path: Path) -> None:
    _, log, _ = call(tmp_path / "call.wav", 1_000, {}, calibration_ms=300)
    assert log.posted == [(0, LineOpened(0)), (280, VadCalibrated(0)), (980, CallerHungUp(0, "caller hung up"))]


def test_a_caller_who_stays_on_the_line_leaves_the_hang_up_to_the_agent(tmp_path: Path) -> None:
    _, log, cues = call(tmp_path / "call.wav", 100, {40: hang_up}, hang_up_at_end=False)
    assert log.events() == [LineOpened(0), VadCalibrated(0), LineClosed(0)]
    assert b"".join(cues.heard) == sound(100, 500) + SILENCE * 36


def hang_up(device: WavDevice) -> None:
    """The agent hangs up."""
    device.do(HangUp(Reason.APPLICATION))


def test_a_second_hang_up_closes_nothing_twice(tmp_path: Path) -> None:
    def twice(device: WavDevice) -> None:
        hang_up(device)
        hang_up(device)

    _, log, _ = call(tmp_path / "call.wav", 1_000, {5: twice})
    assert log.events().count(LineClosed(0)) == 1


@pytest.mark.virtual_time
async def test_a_hang_up_after_the_caller_has_gone_is_confirmed_at_once(tmp_path: Path) -> None:
    device, log = WavDevice(tmp_path / "call.wav", WavCaller(sound(20))), Log()

    await device.run(log.post)
    hang_up(device)
    assert log.events() == [LineOpened(0), CallerHungUp(0, "caller hung up"), LineClosed(0)]


@pytest.mark.virtual_time
async def test_a_hang_up_after_the_device_failed_is_confirmed_at_once(tmp_path: Path) -> None:
    device, log = WavDevice(tmp_path / "missing" / "call.wav", WavCaller(sound(20))), Log()

    await device.run(log.post)
    hang_up(device)
    assert [type(event) for event in log.events()] == [DeviceFailed, LineClosed]


@pytest.mark.virtual_time
async def test_what_is_done_between_two_frames_is_told_at_once_and_a_hang_up_then_lets_no_frame_through(tmp_path: Path) -> None:
    ear = Cues({})
    device, log = WavDevice(tmp_path / "call.wav", WavCaller(sound(200)), [ear]), Log()

    async def act() -> None:
        await anyio.sleep(0.05)
        admit_and_play(("r", sound(20)))(device)
        await anyio.sleep(0.005)
        device.do(Flush("r"))
        hang_up(device)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(act)
        await device.run(log.post)
    stopped = PlayoutStopped(0, "r", 0, 20, (Heard("item", 0, 0, 20),))
    assert log.posted[1:] == [(50, AudioArrived(0, "r", "item")), (55, stopped), (60, LineClosed(0))]
    assert len(ear.heard) == 3


@pytest.mark.virtual_time
async def test_every_ear_hears_every_frame_of_the_caller(tmp_path: Path) -> None:
    """R26: whatever the agent is doing."""
    ears = [Cues({}), Cues({})]
    device = WavDevice(tmp_path / "call.wav", WavCaller(sound(100)), ears)
    await device.run(Log().post)
    assert [b"".join(ear.heard) for ear in ears] == [sound(100)] * 2


@pytest.mark.virtual_time
async def test_a_scripted_caller_hears_the_agent_and_not_its_silence(tmp_path: Path) -> None:
    audible: list[bool] = []

    class Listener(WavCaller):
        def next_frame(self, agent_audible: bool) -> bytes:
            audible.append(agent_audible)
            return super().next_frame(agent_audible)

    device = WavDevice(tmp_path / "call.wav", Listener(sound(160)))
    admit_and_play(("r", sound(40) + sound(40, 2) + sound(20)))(device)
    await device.run(Log().post)
    assert audible == [False, True, True, False, False, True, False, False]


# The agent's sound.


def test_what_was_played_and_what_was_heard_lie_side_by_side_in_the_recording(tmp_path: Path) -> None:
    call(tmp_path / "call.wav", 200, {2: admit_and_play(("r", sound(50)))})
    caller, agent = recorded(tmp_path / "call.wav")
    assert caller == sound(200, 500)
    assert agent == SILENCE * 2 + sound(50) + bytes(len(caller) - len(sound(50)) - 2 * FRAME_BYTES)


def test_a_response_is_told_of_from_its_arrival_to_its_end(tmp_path: Path) -> None:
    _, log, _ = call(tmp_path / "call.wav", 1_000, {10: admit_and_play(("r", sound(610)))}, calibration_ms=5_000)
    assert log.posted[1:-1] == [
        (200, AudioArrived(0, "r", "item")),
        (200, PlayoutProgressed(0, "r", 20)),
        (700, PlayoutProgressed(0, "r", 520)),
        (820, PlayoutFinished(0, "r", 610)),
    ]


def test_a_response_that_goes_on_after_it_ran_out_is_told_of_again(tmp_path: Path) -> None:
    more = partial(WavDevice.play, response_id="r", pcm=sound(20))
    _, log, _ = call(tmp_path / "call.wav", 400, {2: admit_and_play(("r", sound(20))), 8: more}, calibration_ms=5_000)
    assert log.posted[3:-1] == [
        (60, PlayoutFinished(0, "r", 20)),
        (160, AudioArrived(0, "r")),
        (160, PlayoutProgressed(0, "r", 40)),
        (180, PlayoutFinished(0, "r", 40)),
    ]


def test_a_sentence_starts_when_it_is_heard_and_not_when_it_is_queued(tmp_path: Path) -> None:
    def speak(device: WavDevice) -> None:
        device.do(Admit("r"))
        device.play("r", sound(100), sentence="s1")
        device.play("r", sound(100), sentence="s2")

    _, log, _ = call(tmp_path / "call.wav", 400, {0: speak})
    started = [row for row in log.posted if isinstance(row[1], SentenceStarted)]
    assert started == [(0, SentenceStarted(0, "s1", 0.0)), (100, SentenceStarted(0, "s2", 100.0))]


def test_nothing_of_a_flushed_response_is_in_the_very_next_frame_and_the_next_response_is(tmp_path: Path) -> None:
    def start(device: WavDevice) -> None:
        admit_and_play(("old", sound(1_000, 3_000)), ("new", sound(100, 4_000)))(device)

    def interrupt(device: WavDevice) -> None:
        device.do(Flush("old"))
        assert not device.play("old", sound(500, 3_000))

    device, log, _ = call(tmp_path / "call.wav", 600, {2: start, 10: interrupt})
    _, agent = recorded(tmp_path / "call.wav")
    assert agent == SILENCE * 2 + sound(160, 3_000) + sound(100, 4_000) + SILENCE * 15
    assert (200, PlayoutStopped(0, "old", 160, 1_000, (Heard("item", 0, 160, 1_000),))) in log.posted
    assert not any(isinstance(event, PlayoutFinished) and event.response_id == "old" for event in log.events())
    assert device.playout.refused == {Refusal.FLUSHED: len(sound(500))}


def test_a_flush_tells_what_was_heard_of_each_item(tmp_path: Path) -> None:
    """R88: one heard whole, one cut, one of which nothing was heard; and each arrived once."""

    def speak(device: WavDevice) -> None:
        device.do(Admit("r"))
        for item_id, part, ms in (("one", 0, 50), ("two", 0, 20), ("two", 1, 500), ("three", 0, 300)):
            device.play("r", sound(ms / 2), item_id=item_id, content_index=part)
            device.play("r", sound(ms / 2), item_id=item_id, content_index=part)

    _, log, _ = call(tmp_path / "call.wav", 400, {2: speak, 7: partial(WavDevice.do, effect=Flush("r"))})
    arrived = [event for event in log.events() if isinstance(event, AudioArrived)]
    assert arrived == [
        AudioArrived(0, "r", "one"),
        AudioArrived(0, "r", "two"),
        AudioArrived(0, "r", "two", 1),
        AudioArrived(0, "r", "three"),
    ]
    heard = (Heard("one", 0, 50, 50), Heard("two", 0, 20, 20), Heard("two", 1, 30, 500), Heard("three", 0, 0, 300))
    assert (140, PlayoutStopped(0, "r", 100, 870, heard)) in log.posted


def test_a_flush_is_answered_when_nothing_was_queued(tmp_path: Path) -> None:
    _, log, _ = call(tmp_path / "call.wav", 100, {2: partial(WavDevice.do, effect=Flush("r"))})
    assert log.posted.count((40, PlayoutStopped(0, "r", 0, 0))) == log.events().count(PlayoutStopped(0, "r", 0, 0)) == 1


def test_a_hold_is_silent_in_the_very_next_frame_and_a_resume_goes_on_with_the_very_next_sample(tmp_path: Path) -> None:
    ramp = array("h", range(1, 2_401)).tobytes()
    actions: dict[int, Callable[[WavDevice], object]] = {
        0: admit_and_play(("r", ramp)),
        2: partial(WavDevice.do, effect=Hold()),
        7: partial(WavDevice.do, effect=Resume()),
    }
    call(tmp_path / "call.wav", 300, actions)
    _, agent = recorded(tmp_path / "call.wav")
    assert agent == ramp[: 2 * FRAME_BYTES] + SILENCE * 5 + ramp[2 * FRAME_BYTES :] + SILENCE * 5


@pytest.mark.virtual_time
async def test_what_was_done_before_the_line_opened_counts_and_is_told_of_when_it_opens(tmp_path: Path) -> None:
    device, log = WavDevice(tmp_path / "call.wav", WavCaller(sound(100))), Log()
    device.do(Admit("r"))
    device.do(Admit("gone"))
    device.play("r", sound(20), item_id="item")
    device.play("gone", sound(20))
    device.do(Flush("gone"))
    await device.run(log.post)
    assert log.events()[:4] == [AudioArrived(0, "r", "item"), AudioArrived(0, "gone"), PlayoutStopped(0, "gone", 0, 20), LineOpened(0)]
    assert recorded(tmp_path / "call.wav")[1][: 2 * FRAME_BYTES] == sound(20) + SILENCE


@pytest.mark.virtual_time
async def test_a_hang_up_before_the_line_opened_never_opens_it(tmp_path: Path) -> None:
    device, log = WavDevice(tmp_path / "call.wav", WavCaller(sound(100))), Log()
    hang_up(device)
    await device.run(log.post)
    assert log.events() == [LineClosed(0)]


def test_how_much_was_heard_after_a_moment_is_counted_in_sound_and_not_in_silence(tmp_path: Path) -> None:
    device, _, _ = call(tmp_path / "call.wav", 400, {5: admit_and_play(("a", sound(50)), ("b", sound(50)))})
    assert device.sounded_after(0) == pytest.approx(100)
    assert device.sounded_after(0.13, "a") == pytest.approx(10)
    assert device.sounded_after(0.13, "b") == pytest.approx(50)
    assert device.sounded_after(0.21) == 0


def test_an_effect_that_the_device_cannot_perform_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="doesn't perform CloseSession"):
        WavDevice(tmp_path / "call.wav", WavCaller(b"")).do(CloseSession())


# Late, cancelled, broken.


@pytest.mark.virtual_time
async def test_late_frames_come_at_once_and_in_order_and_the_schedule_stays(tmp_path: Path) -> None:
    clock = trio.lowlevel.current_clock()
    times: list[int] = []

    def note(_: int) -> None:
        times.append(round(anyio.current_time() * 1000))

    actions: dict[int, Callable[[], object]] = {n: partial(note, n) for n in range(12)}
    actions[3] = partial(clock.jump, 0.09)
    ear = Cues(actions)
    caller = array("h", range(12 * 480)).tobytes()
    device = WavDevice(tmp_path / "call.wav", WavCaller(caller), [ear])
    await device.run(Log().post)
    assert times == [0, 20, 40, 150, 150, 150, 150, 160, 180, 200, 220]
    assert b"".join(ear.heard) == caller
    assert device.lateness().worst_ms == pytest.approx(70)
    assert device.lateness().p50_ms == pytest.approx(0, abs=1e-6)


@each_backend
async def test_a_cancelled_call_leaves_a_complete_recording(tmp_path: Path) -> None:
    ear = Cues({})

    async with anyio.create_task_group() as tasks:
        ear.at[7] = tasks.cancel_scope.cancel
        await WavDevice(tmp_path / "call.wav", WavCaller(sound(60_000, 500)), [ear]).run(Log().post)
    assert recorded(tmp_path / "call.wav") == (b"".join(ear.heard), SILENCE * len(ear.heard))
    assert len(ear.heard) == 8


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError, OSError])
def test_a_fault_of_an_ear_is_raised_and_the_recording_is_complete(tmp_path: Path, error: type[BaseException]) -> None:
    def fail(_: WavDevice) -> None:
        raise error("on purpose")

    with pytest.raises(error, match="on purpose"):
        call(tmp_path / "call.wav", 1_000, {9: fail})
    assert recorded(tmp_path / "call.wav")[0] == sound(9 * 20, 500)


def test_a_process_killed_in_mid_call_leaves_a_recording_that_is_readable_up_to_its_last_second(tmp_path: Path) -> None:
    copy = tmp_path / "copy.wav"

    def copy_as_it_is(_: WavDevice) -> None:
        copy.write_bytes((tmp_path / "call.wav").read_bytes())

    call(tmp_path / "call.wav", 3_000, {70: copy_as_it_is})
    assert recorded(copy)[0] == sound(1_000, 500)


def test_a_recording_that_cannot_be_made_is_a_device_that_failed_in_one_plain_line(tmp_path: Path) -> None:
    path = tmp_path / "missing" / "call.wav"
    _, log, _ = call(path, 1_000, {})
    reason = f"the recording {path} can't be written (No such file or directory); give a path that can"
    assert log.events() == [DeviceFailed(0, reason)]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a disk that is always full")
def test_a_disk_that_is_always_full_costs_the_recording_and_not_the_call(caplog: pytest.LogCaptureFixture) -> None:
    _, log, _ = call(Path("/dev/full"), 5_000, {})
    assert not [event for event in log.events() if isinstance(event, DeviceFailed)]
    assert [record.getMessage().split(":")[0] for record in caplog.records] == ["recording_failed"]


def test_a_disk_that_fills_up_ends_the_recording_and_not_the_call(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """R105: it is logged once; what was written before still plays."""
    handler, (soft, hard) = signal.signal(signal.SIGXFSZ, signal.SIG_IGN), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (150_000, hard))
    try:
        _, log, _ = call(tmp_path / "call.wav", 5_000, {})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, handler)
    assert not [event for event in log.events() if isinstance(event, DeviceFailed)]
    assert [record.getMessage().split(":")[0] for record in caplog.records] == ["recording_failed"]
    with wave.open(str(tmp_path / "call.wav")) as file:
        assert file.getnframes() >= 24_000


@each_backend
async def test_a_call_in_real_time_carries_every_frame_both_ways(tmp_path: Path) -> None:
    caller = ScriptedCaller([Line(sound(100, 500), "hello", At(60))], noise_dbfs=None, hang_up_after_ms=100)
    device, log = WavDevice(tmp_path / "call.wav", caller, calibration_ms=100), Log()
    admit_and_play(("r", sound(100)))(device)
    await device.run(log.post)
    assert recorded(tmp_path / "call.wav") == (SILENCE * 3 + sound(100, 500) + SILENCE * 5, sound(100) + SILENCE * 8)
    assert [type(event) for event in log.events()] == [
        AudioArrived,
        LineOpened,
        PlayoutProgressed,
        VadCalibrated,
        PlayoutFinished,
        CallerHungUp,
    ]
    assert device.lateness().frames == 13


@pytest.mark.virtual_time
async def test_a_post_that_answers_a_frame_with_a_hang_up_ends_the_call_with_that_frame(tmp_path: Path) -> None:
    device, log, ear = WavDevice(tmp_path / "call.wav", WavCaller(sound(1_000))), Log(), Cues({})
    device.ears.append(ear)
    admit_and_play(("r", sound(100)))(device)

    def post(event: Callable[..., Event], *args: Any, **kwargs: Any) -> None:
        log.post(event, *args, **kwargs)
        if event is PlayoutFinished:
            hang_up(device)

    await device.run(post)
    assert log.events()[-2:] == [PlayoutFinished(0, "r", 100), LineClosed(0)]
    assert len(ear.heard) == 6
