"""Claims about whole calls: four real ones at once with the stand-in servers as processes; judged by trace, sound and server log."""

import json
import math
import subprocess
from bisect import bisect_right
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import anyio
import anyio.to_thread
import attrs
import numpy as np
import pytest
import soxr
from pocketsphinx import Decoder

from adapters.audio.wav_device import AUDIBLE_RMS, WavDevice
from adapters.chatterbox.port import Chatterbox
from adapters.hosts.terminal.live import Prompter
from adapters.realtime.port import RealtimeLLM
from adapters.realtime.settings import RealtimeSettings
from adapters.seam.driver import Driver
from adapters.seam.ports import FRAME_MS, RATE_HZ, Port
from adapters.standin.caller import Line, ScriptedCaller, When
from adapters.standin.voice import Voice
from adapters.telling.report import Report, report_on
from adapters.telling.trace import Trace, TraceWriter, read_trace
from adapters.text.sentences import SentenceCutter
from fsm.call import effects as fx, events as ev
from fsm.call.policy import Policy
from fsm.call.snapshot import Call, start
from fsm.engine.machine import Step
from tests.shared.shell import PATIENCE_S, PATIENT, begin_callfsm, callfsm, channels, write_wav
from tests.shared.speech import Reply, Request, answering, never, sine, wav

E = TypeVar("E", bound=ev.Event)
F = TypeVar("F", bound=fx.Effect)

SCRIPT = (
    ("What are your opening hours?", 1_500),
    ("Sorry, how much is a puncture repair?", 3_500),
    ("All right, thank you very much. Goodbye!", 500),
)
"""Asks into the greeting, interrupts the answer, interrupts the next one and says goodbye: each line, and how much was heard of a response
when it begins, in milliseconds, each into another one. The caller goes by what was heard, not by pauses, so that a slow machine changes
nothing.

500 ms into a sentence the next one is still in synthesis.
"""


@attrs.define
class Heard:
    """An onlooker that knows how much is heard of the latest response, and into which the caller has spoken."""

    response_id: str = ""
    played_ms: float = 0
    spoken_into: set[str] = attrs.Factory(set)

    def __call__(self, event: ev.Event, answer: Step[Call]) -> None:
        if isinstance(event, ev.PlayoutProgressed):
            self.response_id, self.played_ms = event.response_id, event.played_ms

    def into(self, ms: float) -> bool:
        """Was so much heard of a response that the caller has not spoken into? They do now."""
        met = self.played_ms >= ms and self.response_id not in self.spoken_into
        if met:
            self.spoken_into.add(self.response_id)
        return met


KINDS: dict[str, tuple[str, Policy]] = {
    "chatterbox, client": ("asyncio", Policy(**PATIENT, voice="chatterbox", interrupts="client")),
    "chatterbox, server": ("trio", Policy(**PATIENT, voice="chatterbox", interrupts="server", create_response=True)),
    "realtime, client": ("asyncio", Policy(**PATIENT, voice="realtime", interrupts="client")),
    "realtime, server": ("trio", Policy(**PATIENT, voice="realtime", interrupts="server", create_response=True)),
}
OLD_AUDIO_MS = 60
"""How much of an interrupted answer may still be heard after the server's VAD told of the caller."""


@attrs.frozen
class Held:
    """A call that was held."""

    folder: Path
    trace: Trace
    report: Report
    caller: Any
    agent: Any
    frames: list[tuple[float, float]]
    """How much was recorded at each event, in ms: a machine that has no time for it records late."""

    def events(self, kind: type[E]) -> list[E]:
        """Its events of a kind."""
        return [event for event, _, _ in self.trace.steps() if isinstance(event, kind)]

    def effects(self, kind: type[F]) -> list[tuple[float, F]]:
        """Its effects of a kind, with their times."""
        return [(event.at_ms, effect) for event, answer, _ in self.trace.steps() for effect in answer.effects if isinstance(effect, kind)]

    def recorded_ms(self, at_ms: float) -> float:
        """How much was recorded at a time of the call."""
        before = bisect_right(self.frames, (at_ms, math.inf)) - 1
        event_ms, recorded_ms = self.frames[max(before, 0)]
        most_ms = self.frames[before + 1][1] if before + 1 < len(self.frames) else math.inf
        return min(recorded_ms + at_ms - event_ms, most_ms)

    def agent_sound(self, from_ms: float, to_ms: float) -> Any:
        """The agent's samples between two times of the recording."""
        low, high = (max(0, int(min(ms, 1e9) * RATE_HZ / 1000)) for ms in (from_ms, to_ms))
        return self.agent[low:high]


@attrs.frozen
class World:
    """All calls, and what the servers noted."""

    calls: dict[str, Held]
    chatterbox: list[dict[str, Any]]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("calls")
    log = folder / "chatterbox.log"
    servers = [
        begin_callfsm("stand-in", "realtime"),
        begin_callfsm("stand-in", "chatterbox", "--synthesis-ms", "1700:1800", "--log", log),
    ]
    try:
        urls = [ready(server) for server in servers]
        voices = [b"".join(Voice.load().speak(text, pitch=0.8)) for text, _ in SCRIPT]
        with ThreadPoolExecutor(len(KINDS)) as threads:
            held = [threads.submit(hold, folder / kind.replace(", ", "-"), kind, voices, *urls) for kind in KINDS]
            calls = dict(zip(KINDS, [one.result(PATIENCE_S) for one in held], strict=True))
    finally:
        for server in servers:
            server.terminate()
            server.communicate(timeout=PATIENCE_S)
    yield World(calls, [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()])


@pytest.fixture(params=KINDS)
def held(world: World, request: pytest.FixtureRequest) -> Held:
    return world.calls[request.param]


def ready(server: "subprocess.Popen[str]") -> str:
    """The URL that a server announces."""
    return server.stdout.readline().removeprefix("ready ").strip()


def hold(folder: Path, kind: str, voices: list[bytes], realtime_url: str, chatterbox_url: str) -> Held:
    """Hold one call in this thread."""
    backend, policy = KINDS[kind]
    folder.mkdir()
    call = start(policy, folder.name)
    heard = Heard()
    lines = [Line(pcm, text, When(partial(heard.into, ms))) for pcm, (text, ms) in zip(voices, SCRIPT, strict=True)]
    device = WavDevice(folder / "call.wav", ScriptedCaller(lines))
    settings = RealtimeSettings()
    llm = RealtimeLLM(url=realtime_url, key=None, settings=settings, policy=policy, speaker=device, cutter=SentenceCutter, openai=True)
    device.ears.append(llm)
    ports: list[Port] = [device, llm, Prompter()]
    if policy.voice == "chatterbox":
        ports.append(Chatterbox(url=chatterbox_url, speaker=device, timeout_s=10.0))
    writer = TraceWriter(folder / "call.trace", call)
    began_s = 0.0
    frames: list[tuple[float, float]] = []

    def note(event: ev.Event, _: Step[Call]) -> None:
        frames.append((event.at_ms, device.lateness().frames * FRAME_MS))

    async def main() -> Call:
        nonlocal began_s
        began_s = anyio.current_time()
        with anyio.fail_after(PATIENCE_S):
            return await Driver(call, ports, [writer, heard, note]).run()

    try:
        anyio.run(main, backend=backend)
    finally:
        writer.close()

    def old_audio(since_ms: float, response_id: str) -> float:
        return device.sounded_after(began_s + since_ms / 1000, response_id)

    trace = read_trace(folder / "call.trace")
    report = report_on(trace, old_audio)
    return Held(folder, trace, report, *channels(folder / "call.wav"), frames)


# What must hold for every call.


def test_the_call_ends_when_its_goodbye_was_heard(held: Held) -> None:
    assert [effect.reason for _, effect in held.effects(fx.TellEnded)] == [fx.Reason.GOODBYE]
    assert len(held.effects(fx.HangUp)) == 1
    assert len(held.events(ev.LineClosed)) == 1
    [goodbye] = held.events(ev.GoodbyeSaid)
    assert held.effects(fx.HangUp)[0][0] >= heard_until(held, goodbye.response_id), "it was heard to its end"


def test_each_answer_was_interrupted_and_only_those(held: Held) -> None:
    assert len(held.report.barge_ins) == 2
    greeting, *_ = held.events(ev.ResponseCreated)
    assert greeting.response_id not in {barge.response_id for barge in held.report.barge_ins}


def test_no_response_is_cancelled_twice(held: Held) -> None:
    ids = [effect.response_id for _, effect in held.effects(fx.CancelResponse)]
    assert len(ids) == len(set(ids))
    crossed = {event.response_id for event in held.events(ev.CancelRefused)}
    assert crossed <= {event.response_id for event in held.events(ev.ResponseCompleted)}, "it met the response's own end"


def test_an_interruption_has_one_owner(world: World) -> None:
    for kind, held in world.calls.items():
        if kind.endswith("server"):
            assert held.effects(fx.CancelResponse) == [], "the server cancels, so we don't"
        else:
            assert len(held.effects(fx.CancelResponse)) <= len(held.report.barge_ins)


def test_every_hold_ends_in_one_resume(held: Held) -> None:
    depth = 0
    for _, effect in held.effects(fx.Effect):
        depth += isinstance(effect, fx.Hold) - isinstance(effect, fx.Resume)
        assert depth in (0, 1)
    assert depth == 0


def test_nothing_is_asked_for_twice_at_a_time(held: Held) -> None:
    """R11: between two creates the first one's response has ended."""
    open_asked = 0
    for event, answer, _ in held.trace.steps():
        open_asked -= isinstance(event, ev.ResponseEnded)
        open_asked += sum(isinstance(effect, fx.CreateResponse) for effect in answer.effects)
        open_asked += isinstance(event, ev.ResponseCreated) and answer.snapshot.policy.create_response and not asked_before(answer)
        assert open_asked <= 1


def asked_before(answer: Any) -> bool:
    """Was this response asked for by us?"""
    return any("REQUESTED/ResponseCreated" in row.name for row in answer.rows)


def test_the_server_complained_of_nothing(held: Held) -> None:
    assert [event for event in held.events(ev.ErrorReceived) if event.code != "response_cancel_not_active"] == []
    assert not held.events(ev.CreateRefused)


def test_a_sound_over_the_greeting_does_not_touch_it(held: Held) -> None:
    greeting = held.events(ev.ResponseCreated)[0].response_id
    spoke = held.events(ev.SpeechStarted)[0]
    assert spoke.at_ms < heard_until(held, greeting), "the caller spoke into it"
    assert not [at_ms for at_ms, _ in held.effects(fx.Hold) if at_ms < heard_until(held, greeting)]
    assert not [effect for _, effect in held.effects(fx.Flush) if effect.response_id == greeting]
    assert {"help", "you", "today"} <= words(
        held.agent_sound(held.recorded_ms(spoke.at_ms), held.recorded_ms(heard_until(held, greeting)) + 100)
    )


def test_at_most_60_ms_of_an_interrupted_answer_are_heard(held: Held) -> None:
    for barge in held.report.barge_ins:
        assert barge.old_audio_ms <= OLD_AUDIO_MS


def test_the_recording_is_silent_from_the_interruption_to_the_next_answer(held: Held) -> None:
    for barge in held.report.barge_ins:
        answered_ms = next(event.at_ms for event in held.events(ev.AudioArrived) if event.at_ms > barge.decided_ms)
        spoke_ms = held.recorded_ms(barge.heard_ms)
        sound = held.agent_sound(spoke_ms + OLD_AUDIO_MS, held.recorded_ms(answered_ms) - FRAME_MS)
        assert len(sound) > RATE_HZ, "the caller speaks for more than a second"
        assert loudest(sound) < AUDIBLE_RMS
        assert loudest(held.agent_sound(spoke_ms - 1_000, spoke_ms)) > AUDIBLE_RMS, "there was something to interrupt"


def test_the_end_of_an_interrupted_answer_is_never_heard(held: Held) -> None:
    """On a busy machine the caller interrupts late, so what counts is what is heard from then on."""
    hours_ms, price_ms = (held.recorded_ms(barge.heard_ms) + OLD_AUDIO_MS for barge in held.report.barge_ins)
    between, after = words(held.agent_sound(hours_ms, price_ms)), words(held.agent_sound(price_ms, math.inf))
    assert between, "the recogniser hears the next answer"
    assert {"thank", "calling", "goodbye"} & after, "and the goodbye"
    assert not {"saturday", "sunday"} & between
    assert not {"saturday", "sunday", "saddle", "ninety", "fitting"} & after


def test_the_model_is_told_no_more_than_was_heard(held: Held) -> None:
    stopped = {event.response_id: event.played_ms for event in held.events(ev.PlayoutStopped)}
    for _, effect in held.effects(fx.TruncateItem):
        assert effect.audio_end_ms <= max(stopped.values())
    assert len(held.effects(fx.TruncateItem)) <= len(held.report.barge_ins)


def test_the_call_replays_to_the_same_rows(held: Held) -> None:
    done = callfsm("replay", held.folder / "call.trace")
    assert (done.returncode, done.stderr) == (0, "")
    assert "every row and effect as recorded" in done.stdout


def test_both_sides_are_recorded_for_the_length_of_the_call(held: Held) -> None:
    length_ms = held.recorded_ms(held.effects(fx.HangUp)[0][0])
    assert len(held.agent) == len(held.caller)
    assert len(held.agent) * 1000 / RATE_HZ == pytest.approx(length_ms, abs=500)


# The Chatterbox server's own account.


def test_every_cancelled_synthesis_was_stopped_at_the_server(world: World) -> None:
    noted = [(line["session_id"], line["event"]) for line in world.chatterbox]
    cancelled = [effect.session_id for held in world.calls.values() for _, effect in held.effects(fx.CancelSynthesis)]
    assert cancelled, "a sentence was in synthesis when the caller interrupted"
    outcomes = {event.session_id: event.outcome for held in world.calls.values() for event in held.events(ev.SynthesisCancelAnswered)}
    assert set(outcomes) == set(cancelled)
    for session_id, outcome in outcomes.items():
        posted = (session_id, "queued") in noted
        assert outcome in (("acknowledged", "too late") if posted else ("not needed",))
        assert noted.count((session_id, "cancel")) == posted
        assert (outcome == "acknowledged") == ((session_id, "cancelled") in noted), "204, as the log shows no sound of it"


def test_no_sentence_is_posted_twice_and_none_after_its_cancel(world: World) -> None:
    posted = [line["session_id"] for line in world.chatterbox if line["event"] == "queued"]
    assert len(posted) == len(set(posted))
    asked = [effect.session_id for held in world.calls.values() for _, effect in held.effects(fx.Synthesise)]
    assert set(posted) <= set(asked)
    assert len(asked) == len(set(asked))


# A call that loses its voice.


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_caller_hears_the_recorded_apology_before_a_call_without_a_voice_ends(anyio_backend: str, tmp_path: Path) -> None:
    """The command on its own: a speech server that says one sentence and is gone at the second."""
    sorry = (sine(0.4) // 2).tobytes()
    caller, recording = write_wav(tmp_path / "caller.wav", bytes(30 * 48_000)), write_wav(tmp_path / "sorry.wav", sorry)
    died, out = anyio.Event(), tmp_path / "out"
    said: list[str] = []

    async def dies(request: Request) -> Reply:
        if request.method == "POST":
            said.append(request.path)
            if len(said) > 1:
                died.set()
                return await never(request)
        return Reply(200, wav(sine(0.5)))

    ended: list[str] = []

    async def hold_call(url: str) -> None:
        chosen = ["--caller", caller, "--out", out, "--set", "voice_failures=1"]
        speech = ["--chatterbox", url, "--chatterbox-dialect", "seed", "--chatterbox-apology", recording]
        done = await anyio.to_thread.run_sync(partial(callfsm, "call", *chosen, *speech))
        ended.append(done.stdout + done.stderr)
        died.set()

    async with anyio.create_task_group() as group, answering(dies) as url:
        group.start_soon(hold_call, url)
        with anyio.fail_after(PATIENCE_S):
            await died.wait()
    effects = [effect for _, answer, _ in read_trace(out / "call.trace").steps() for effect in answer.effects]
    assert [effect for effect in effects if isinstance(effect, fx.TellEnded)] == [
        fx.TellEnded(fx.Reason.VOICE_FAILED, "the connection was refused")
    ]
    assert len([effect for effect in effects if isinstance(effect, fx.HangUp)]) == 1
    _, agent = channels(out / "call.wav")
    assert sorry in agent.astype("<i2").tobytes(), "the recording was heard, whole and without a gap"
    assert "the voice could not speak" in ended[0]


# How it is measured.


def heard_until(held: Held, response_id: str) -> float:
    """When the last of a response was heard."""
    return max(event.at_ms for event in held.events(ev.PlayoutFinished) if event.response_id == response_id)


def loudest(sound: Any) -> float:
    """The RMS of the loudest 20 ms."""
    frame = RATE_HZ * FRAME_MS // 1000
    frames = sound[: len(sound) // frame * frame].reshape(-1, frame)
    return float(np.sqrt(np.mean(np.square(frames), axis=1)).max(initial=0.0))


def words(sound: Any) -> set[str]:
    """The words that a recogniser hears in a sound."""
    samples = soxr.resample(sound / 32768, RATE_HZ, 16_000) * 32767
    samples += np.random.default_rng(0).normal(0, 20, len(samples))
    decoder = Decoder(samprate=16_000.0, loglevel="FATAL")
    decoder.start_utt()
    decoder.process_raw(samples.clip(-32_768, 32_767).astype("<i2").tobytes(), False, True)
    decoder.end_utt()
    found = decoder.hyp()
    return set(str(found.hypstr).split()) if found else set()
