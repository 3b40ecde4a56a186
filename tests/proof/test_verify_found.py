"""Claims about what the checker found broken in the tables: the shortest way to each, with the answer that is right."""

from fsm import effects as fx, events as ev, states
from tests.shared.core import answering


def test_a_sentence_that_comes_behind_those_of_the_next_response_is_not_spoken() -> None:
    """R66, R67: it would wait behind them, and be synthesised when its response is over."""
    script = answering("r1", voice="chatterbox", first_audio_ms=60_000, response_ms=1_000)
    script.wait(1_000)
    script.expects(response=states.CANCEL_IN_FLIGHT, playout=states.ADMITTED)
    script.post(ev.ResponseCreated, "r2")
    script.post(ev.SentenceCut, "r2", 1, "Two.", "i2")
    script.post(ev.SentenceCut, "r1", 1, "One.", "i1")
    script.post(ev.ResponseCompleted, "r1")
    script.post(ev.SynthesisDiscarded, "call.r2.1")
    assert [effect.response_id for effect in script.of(fx.Synthesise)] == ["r2"]
