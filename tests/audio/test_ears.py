"""Claims about who is taken to be speaking: a few scenes of the benchmark `make ears`, which tells of how many each is true."""

from collections.abc import Callable
from xml.etree import ElementTree

import pytest

from tests.bench.ears import our_curve, play
from tests.bench.ears_picture import draw
from tests.bench.ears_scenes import BACKCHANNEL, CALLER_AT_MS, Scene
from tests.bench.ears_sounds import SENTENCES, SPEECH_RMS, WORDS, made, said

AT_5_DB = SPEECH_RMS * 10 ** (-5 / 20)
LISTENING = ((BACKCHANNEL, "Yeah.", False), ("words in quiet", WORDS[0], True))
CALLER: tuple[Callable[..., object], str, int] = (said, SENTENCES[1], 1)


@pytest.mark.parametrize("noise", ["pink", "street", "hum", "music"])
def test_a_caller_is_heard_in_noise_that_is_5_dB_quieter(noise: str) -> None:
    assert play(Scene("", (said, SENTENCES[2], 0), noise, AT_5_DB, wanted=True)).found


@pytest.mark.parametrize("noise", ["white", "pink", "street", "hum"])
def test_the_quiet_syllable_of_a_word_is_no_end_of_it_in_noise(noise: str) -> None:
    assert play(Scene("", (said, WORDS[5], 0), noise, AT_5_DB, seed=11, wanted=True)).found


@pytest.mark.parametrize("echo", [(0.0, 150.0, False), (-6.0, 40.0, True), (-20.0, 250.0, True)])
@pytest.mark.parametrize("noise_rms", [SPEECH_RMS / 100, SPEECH_RMS / 10])
def test_the_echo_alone_holds_nothing_be_it_louder_or_quieter_than_the_noise(echo: tuple[float, float, bool], noise_rms: float) -> None:
    heard = play(Scene("", (), "pink", noise_rms, echo=echo))
    assert not heard.false_holds_ms
    assert not heard.falsely_decided


def test_a_caller_is_heard_over_an_echo_10_dB_quieter() -> None:
    assert play(Scene("", CALLER, echo=(-10.0, 40.0, True), at_ms=CALLER_AT_MS + 600, wanted=True)).found


def test_a_caller_in_a_quiet_room_is_held_for_at_once() -> None:
    heard = play(Scene("", CALLER, wanted=True))
    assert heard.held_ms is not None
    assert heard.held_ms < 200, "virtual time: nothing of it is the machine's"


@pytest.mark.parametrize("sort", ["laugh", "three voiced coughs"])
def test_a_laugh_and_voiced_coughs_hold_the_voice_and_do_not_interrupt(sort: str) -> None:
    for seed in range(2):
        heard = play(Scene("", (made, sort, seed), seed=seed))
        assert heard.false_holds_ms
        assert not heard.falsely_decided


def test_a_single_word_interrupts_whoever_says_it() -> None:
    assert all(play(Scene("", (said, text, voice), seed=voice, wanted=True)).found for voice, text in enumerate(WORDS[:4]))


def test_a_voice_that_waits_for_words_is_not_stopped_by_a_listeners_and_is_by_others() -> None:
    waiting = [play(Scene(kind, (said, text, 0), wanted=wanted), words_ms=1_500) for kind, text, wanted in LISTENING]
    assert [one.found for one in waiting] == [False, True]
    assert not waiting[0].falsely_decided
    assert not waiting[0].asked


def test_a_cough_that_is_let_go_is_not_answered_and_the_trade_off_is_drawn() -> None:
    scenes = [Scene("backchannels", (said, "Yeah.", 0)), Scene("sentences in quiet", CALLER, wanted=True)]
    heard = {ms: [play(scene, ms) for scene in scenes] for ms in (150.0, 500.0)}
    let_go = heard[500.0][0]
    assert let_go.false_holds_ms
    assert not let_go.falsely_decided
    assert not let_go.asked
    drawn = ElementTree.fromstring(draw([our_curve(heard)]))
    assert [one.text for one in drawn.iter() if one.get("class") == "m"] == ["150: 100 %", "500: 100 %"]
