"""Claims about the faults of the stand-in speech server: each strikes when its script says, and the port gets over what can be got over."""

import io
import wave
from pathlib import Path

import httpx
import pytest

from adapters.audio.wav import WavError
from adapters.chatterbox import source as chatterbox_source
from adapters.chatterbox.figures import Count
from adapters.chatterbox.servers import Server as Asked
from adapters.standin.chatterbox.faults import CHATTERBOX
from adapters.standin.faults import ScriptError, parse
from fsm.call.effects import CancelSynthesis, Synthesise
from fsm.call.events import ErrorReceived, SynthesisCancelAnswered, SynthesisDiscarded
from tests.shared.shell import callfsm
from tests.shared.speech import PATIENCE_S, Played, always, answering, saying, seed, sine, stand_in, voicing, wav, wav_to_pcm

on_trio = pytest.mark.parametrize("anyio_backend", ["trio"])

SPOILED = """
fault = [
  {name = "status", code = 429, retry_after_s = 7},
  {name = "damaged_wav", nth = 2},
  {name = "empty_wav", nth = 3},
  {name = "other_rate", hz = 8000, nth = 4},
  {name = "stereo", nth = 5},
  {name = "far_too_long", s = 121, nth = 6},
  {name = "cut_off", share = 0.5, nth = 7},
  {name = "silent_wav", nth = 8},
  {name = "slow", ms = 300, nth = 9},
]
"""


def test_each_fault_of_an_answer_strikes_when_its_script_says(tmp_path: Path) -> None:
    with stand_in(tmp_path, faults=SPOILED) as server, httpx.Client(base_url=server.url, timeout=PATIENCE_S, trust_env=False) as client:

        def said() -> httpx.Response:
            return client.post("/v1/tts", json={"text": "Hello there."})

        refused = said()
        assert (refused.status_code, refused.headers["retry-after"]) == (429, "7")
        for words in ("no format", "holds no sound"):
            with pytest.raises(WavError, match=words):
                wav_to_pcm(said().content)
        for rate, channels in ((8_000, 1), (24_000, 2)):
            with wave.open(io.BytesIO(said().content)) as sound:
                assert (sound.getframerate(), sound.getnchannels()) == (rate, channels)
        with pytest.raises(WavError, match="lasts more than 120 s"):
            wav_to_pcm(said().content)
        with pytest.raises(httpx.RemoteProtocolError):
            said()
        silent = wav_to_pcm(said().content)
        assert len(silent) > 20_000
        assert not any(silent)
        assert any(wav_to_pcm(said().content))
    lines = server.lines()
    struck = [line["name"] for line in lines if line["event"] == "fault"]
    assert struck == ["status", "damaged_wav", "empty_wav", "other_rate", "stereo", "far_too_long", "cut_off", "silent_wav", "slow"]
    begun, done = ([line["at_ms"] for line in lines if line["event"] == event][-1] for event in ("synthesising", "done"))
    assert done - begun >= 299


@on_trio
async def test_a_server_that_crashes_under_a_sentence_is_back_for_it(tmp_path: Path) -> None:
    with stand_in(tmp_path, faults='fault = [{name = "crash", on = "tts", nth = 2, ms = 300}]') as server:
        async with voicing(server.url) as (ends, port):
            for name in ("one", "two"):
                port.do(Synthesise(name, "r", "Hello there."))
                await ends.until(Played, name)
    assert [line["name"] for line in server.lines() if line["event"] == "fault"] == ["crash"]
    assert port.figures.counts[Count.RETRIED] >= 1


async def test_a_fallback_of_another_kind_speaks_while_the_first_server_refuses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chatterbox_source, "PAUSES_S", (0.01,))
    refusing = 'fault = [{name = "refuse", on = "health", ms = 60000}]'
    with stand_in(tmp_path, faults=refusing) as first:
        async with httpx.AsyncClient(base_url=first.url, trust_env=False) as client:
            assert (await client.get("/health")).status_code == 200
        async with (
            answering(always(200, wav(sine(0.2)))) as second,
            saying("Hello there.", seed(first.url), fallback=Asked(url=second, dialect="openai")) as (ends, _),
        ):
            await ends.until(Played, "s")
            told = await ends.until(ErrorReceived)
    assert (told.code, told.message) == ("voice_fallback", f"{first.url}: the connection was refused; {second} speaks now")


@on_trio
async def test_a_cancel_that_is_lost_or_unknown_is_told_as_such(tmp_path: Path) -> None:
    script = 'fault = [{name = "hang", nth = "every"}, {name = "lost_cancel"}, {name = "cancel_404", nth = 2}]'
    with stand_in(tmp_path, faults=script) as server:
        async with voicing(server.url, cancel_timeout_s=0.3) as (ends, port):
            for name, outcome in (("lost", "failed"), ("unknown", "unsupported"), ("known", "acknowledged")):
                port.do(Synthesise(name, "r", "Hello there."))
                await server.until(name, "synthesising")
                port.do(CancelSynthesis(name))
                assert (await ends.until(SynthesisCancelAnswered, name)).outcome == outcome
                await ends.until(SynthesisDiscarded, name)
    assert ends.played == []


@on_trio
async def test_a_stream_that_is_cut_off_in_the_middle_is_told(tmp_path: Path) -> None:
    with stand_in(tmp_path, "--dialect", "travisvn", faults='fault = [{name = "cut_off"}]') as server:
        async with saying("Hello there, how are you today?", server.url) as (ends, _):
            assert (await ends.until(ErrorReceived)).code == "sentence_cut_off"
    assert ends.played == ["s"]


def test_the_command_lists_the_faults_and_refuses_others(tmp_path: Path) -> None:
    listed = callfsm("stand-in", "chatterbox", "--faults", "help")
    assert listed.returncode == 0
    assert all(name in listed.stdout for name in CHATTERBOX.kinds)
    (tmp_path / "bad.toml").write_text('fault = [{name = "explode"}]')
    refused = callfsm("stand-in", "chatterbox", "--faults", tmp_path / "bad.toml")
    assert (refused.returncode, len(refused.stderr.splitlines())) == (2, 1)
    assert "explode" in refused.stderr


@pytest.mark.parametrize("script", ['{name = "crash"}', '{name = "status", code = 200}', '{name = "slow", on = "speech"}'])
def test_a_fault_that_cannot_be_is_refused(script: str) -> None:
    with pytest.raises(ScriptError):
        parse(f"fault = [{script}]", CHATTERBOX)
