"""Claims about a wait that the server asks for (R92): it is kept, and the caller is not left in silence where we have a voice."""

from typing import Any

import pytest

from fsm import events as ev, states
from fsm.call.effects import CancelSynthesis, Cause, CreateResponse, Flush, Level, Log, Retire, Synthesise
from tests.shared.core import Script, answering, asked, begun, caller_says, greeting, heard_out, playing_out, put, reading, speaking

WAIT_MS = 5_000.0
LIMIT = "rate_limit_exceeded"
PATIENCE = Synthesise("call.r1.0", "r1", "One moment, please.")
TOLD = Log(Level.WARNING, "server_asks_to_wait", "5000 ms: rate_limit_exceeded")
TURN = CreateResponse(Cause.USER_TURN)
AGAIN = CreateResponse(Cause.RECOVERY)


def limited(script: Script, response_id: str = "r1", wait_ms: float = WAIT_MS) -> list[Any]:
    """A response fails, as too much was asked of the server."""
    return script.post(ev.ResponseFailed, response_id, LIMIT, wait_ms)


def waiting(**policy: Any) -> Script:
    """A voice of ours says that it takes a moment, and is not heard yet."""
    script = answering(voice="chatterbox", **policy)
    limited(script)
    return script.expects(synthesis=states.SYNTHESISING, playout=states.ADMITTED, pending=states.PAUSED)


def heard(script: Script) -> list[Any]:
    """What our voice says is synthesised and heard, within a second and a half."""
    before = len(script.effects)
    script.post(ev.SentenceSynthesised, "call.r1.0", 1_000.0)
    script.post(ev.AudioArrived, "r1")
    script.post(ev.SentenceStarted, "call.r1.0", 0.0)
    script.wait(1_000)
    script.post(ev.PlayoutProgressed, "r1", 1_000.0)
    heard_out(script)
    return script.effects[before:]


def test_the_caller_is_told_that_it_takes_a_moment_and_is_answered_after_the_wait() -> None:
    script = answering(voice="chatterbox")
    assert limited(script) == [PATIENCE, TOLD]
    began_ms = script.now_ms
    assert heard(script) == [Retire("r1")]
    script.expects(phase=states.LISTENING, playout=states.SILENT, pending=states.PAUSED, truncation=states.IN_STEP)
    script.wait_to(began_ms + WAIT_MS - 1)
    assert not [effect for effect in script.effects if effect == AGAIN]
    assert script.wait(1) == [AGAIN]


def test_the_wait_is_told_also_where_a_response_that_nobody_wants_is_left() -> None:
    script = put(answering(), "response", states.IN_PROGRESS, unwanted=("r8",))
    assert TOLD in limited(script)
    script.expects(response=states.CANCEL_IN_FLIGHT)


def test_it_is_said_at_each_wait_and_heard_to_its_end() -> None:
    script = waiting()
    heard(script)
    assert script.wait(WAIT_MS) == [AGAIN]
    script.post(ev.ResponseCreated, "r2")
    assert limited(script, "r2", 2_000.0)[:1] == [Synthesise("call.r2.0", "r2", "One moment, please.")]
    script.wait(1_500)
    script.post(ev.SentenceSynthesised, "call.r2.0", 1_000.0)
    script.post(ev.AudioArrived, "r2")
    assert AGAIN not in script.wait(1_000), "it is still said"


@pytest.mark.parametrize(
    ("script", "wait_ms"),
    [
        (answering, WAIT_MS),
        (lambda: answering(voice="chatterbox", wait_words=""), WAIT_MS),
        (lambda: answering(voice="chatterbox"), 1_999.0),
        (lambda: speaking(voice="chatterbox"), WAIT_MS),
        (reading, WAIT_MS),
    ],
    ids=["no voice of ours", "no words", "a short wait", "something is heard", "a sentence is to come"],
)
def test_nothing_is_said_where_there_is_no_need_or_no_voice(script: Any, wait_ms: float) -> None:
    made = script()
    assert not [effect for effect in limited(made, wait_ms=wait_ms) if isinstance(effect, Synthesise)]


def test_nothing_is_said_to_a_caller_who_speaks() -> None:
    script = answering(voice="chatterbox", interruption_min_ms=5_000)
    script.post(ev.SpeechStarted, "u2")
    assert PATIENCE not in limited(script)


def test_nothing_is_said_of_a_response_that_is_none() -> None:
    script = answering(voice="chatterbox")
    assert limited(script, "r9") == []


def test_nothing_is_said_in_place_of_what_must_be_heard() -> None:
    """R36: a greeting is asked for again as it is."""
    script = greeting(voice="chatterbox")
    assert not [effect for effect in limited(script, "g1") if isinstance(effect, Synthesise)]
    assert script.wait(WAIT_MS) == [CreateResponse(Cause.GREETING, "Say hello.")]


def test_nothing_is_said_over_the_answer_before() -> None:
    script = playing_out(voice="chatterbox", create_response=True)
    script.post(ev.ResponseCreated, "r2")
    assert not [effect for effect in limited(script, "r2") if isinstance(effect, Synthesise)]
    script.expects(playout=states.PLAYING)


def test_a_caller_who_interrupts_it_is_answered_after_the_wait() -> None:
    script = waiting()
    began_ms = script.now_ms
    script.post(ev.SentenceSynthesised, "call.r1.0", 1_000.0)
    script.post(ev.AudioArrived, "r1")
    script.wait(400)
    assert Flush("r1") in caller_says(script, "u2")
    assert script.post(ev.PlayoutStopped, "r1", 1_100.0, 2_000.0) == []
    script.expects(pending=states.PAUSED, truncation=states.IN_STEP)
    assert script.wait_to(began_ms + WAIT_MS - 1) == []
    assert script.wait(1) == [TURN]


def test_it_is_stopped_in_synthesis_by_a_caller_who_interrupts() -> None:
    script = waiting()
    script.post(ev.BargeInDetected)
    assert [effect for effect in script.effects if isinstance(effect, Flush | CancelSynthesis)] == [
        Flush("r1"),
        CancelSynthesis("call.r1.0"),
    ]
    script.expects(synthesis=states.RESTING, playout=states.SILENT, pending=states.PAUSED)


def test_where_it_cannot_be_said_the_wait_is_silent_and_the_answer_comes() -> None:
    script = waiting()
    began_ms = script.now_ms
    assert Retire("r1") in script.post(ev.SynthesisFailed, "call.r1.0", "500")
    script.expects(playout=states.SILENT, pending=states.PAUSED)
    script.wait_to(began_ms + WAIT_MS - 1)
    assert script.wait(1) == [AGAIN]


def test_the_wait_goes_on_while_the_caller_speaks() -> None:
    """Whoever speaks meanwhile is answered after it, and no sooner."""
    for voice in ("chatterbox", "realtime"):
        script = asked(voice=voice)
        script.post(ev.CreateRefused, LIMIT, WAIT_MS)
        script.wait(500)
        caller_says(script, "u2")
        assert not [effect for effect in script.wait(WAIT_MS - 901) if isinstance(effect, CreateResponse)]
        assert script.wait(1) == [TURN]


def test_a_caller_who_speaks_at_the_end_of_the_wait_is_answered_when_they_are_done() -> None:
    script = asked()
    script.post(ev.CreateRefused, LIMIT, WAIT_MS)
    script.wait(WAIT_MS - 100)
    assert caller_says(script, "u2") == [TURN]


def test_whatever_says_it_the_wait_is_told_once() -> None:
    refused = asked().post(ev.CreateRefused, LIMIT, WAIT_MS)
    assert [effect for effect in refused if isinstance(effect, Log)] == [Log(Level.WARNING, LIMIT), TOLD]
    assert answering().post(ev.ResponseIncomplete, "r1", LIMIT, WAIT_MS) == [TOLD, Retire("r1")]
    assert limited(answering(), wait_ms=0.0) == [Retire("r1")]
    assert limited(begun(greeting=False)) == []
