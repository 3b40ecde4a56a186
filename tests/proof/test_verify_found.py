"""Claims about what the checker found broken in the tables: the shortest way to each, with the answer that is right."""

from fsm import effects as fx, events as ev, states
from tests.shared.core import expired, put, reading


def test_a_sentence_that_comes_behind_those_of_the_next_response_is_not_spoken() -> None:
    """R66, R67: it would wait behind them, and be synthesised when its response is over."""
    script = put(put(reading("r1"), "playout", states.PLAYING, heard=True), "synthesis", states.RESTING, session_id="", response_id="")
    expired(script, "response")
    script.expects(response=states.CANCEL_IN_FLIGHT, playout=states.PLAYING)
    before = len(script.of(fx.Synthesise))
    script.post(ev.ResponseCreated, "r2")
    script.post(ev.SentenceCut, "r2", 1, "Two.", "i2")
    script.post(ev.SentenceCut, "r1", 2, "One.", "i1")
    script.post(ev.ResponseCompleted, "r1")
    script.post(ev.SynthesisDiscarded, "call.r2.1")
    assert [effect.response_id for effect in script.of(fx.Synthesise)][before:] == ["r2"]
