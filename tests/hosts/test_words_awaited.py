"""A claim about a whole call whose voice waits for the caller's words: real speech, the stand-in's VAD and its recogniser."""

from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest

from adapters.audio.wav_device import WavDevice
from adapters.hosts.terminal.live import Prompter
from adapters.realtime.port import RealtimeLLM
from adapters.realtime.settings import RealtimeSettings
from adapters.seam.driver import Driver
from adapters.standin.caller import IntoSpeech, Line, ScriptedCaller
from adapters.standin.voice import Voice
from fsm.call import effects as fx, events as ev
from fsm.call.policy import Policy
from fsm.call.snapshot import Call, start
from fsm.engine.machine import Step
from tests.shared.shell import PATIENCE_S, PATIENT, begin_callfsm

SCRIPT = (
    ("Yeah.", IntoSpeech(1_500)),
    ("Sorry, how much is a puncture repair?", IntoSpeech(3_500)),
    ("All right, thank you very much. Goodbye!", IntoSpeech(2_500)),
)


@pytest.fixture
def realtime_url() -> Iterator[str]:
    server = begin_callfsm("stand-in", "realtime")
    try:
        yield server.stdout.readline().removeprefix("ready ").strip()
    finally:
        server.terminate()
        server.communicate(timeout=PATIENCE_S)


async def test_yeah_lets_the_voice_go_on_and_a_question_interrupts(realtime_url: str, tmp_path: Path) -> None:
    """R29, R74, R94: both were held at their first sound."""
    policy = Policy(**PATIENT, voice="realtime", greeting_protected=False, interruption_words_ms=5_000)
    voice = Voice.load()
    lines = [Line(b"".join(voice.speak(text, pitch=0.8)), text, cue) for text, cue in SCRIPT]
    device = WavDevice(tmp_path / "call.wav", ScriptedCaller(lines))
    llm = RealtimeLLM(url=realtime_url, key=None, settings=RealtimeSettings(), policy=policy, speaker=device, openai=True)
    device.ears.append(llm)
    said: list[str] = []

    def watch(event: ev.Event, answer: Step[Call]) -> None:
        said.extend(type(effect).__name__ for effect in answer.effects if isinstance(effect, fx.Hold | fx.Resume | fx.Flush))
        said.extend([event.text] if isinstance(event, ev.Transcribed) else [])

    with anyio.fail_after(PATIENCE_S):
        await Driver(start(policy, "words"), [device, llm, Prompter()], [watch]).run()
    interrupted = ["Hold", "Flush", "Resume"]
    [yeah, question, goodbye] = (text for text in said if text.islower())
    assert yeah == "yeah"
    assert said == ["Hold", "Resume", yeah, *interrupted, question, *interrupted, goodbye]
