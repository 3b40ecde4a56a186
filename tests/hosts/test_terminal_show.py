"""What a terminal shows of a call while it goes on."""

from io import StringIO

from rich.console import Console

from adapters.hosts.terminal.show import Show
from fsm.call import events as ev
from fsm.call.machine import step
from fsm.call.policy import Policy
from fsm.call.snapshot import start


def shown(*events: ev.Event, key: str | None = None, voice: str = "chatterbox") -> list[str]:
    """What a terminal shows of a call in which this happens."""
    call, out = start(Policy(greeting=False, voice=voice), "c"), StringIO()
    show = Show(Console(file=out, width=200), call, lambda *_: None, key=key)
    for event in (ev.LineOpened(0), ev.SessionConfirmed(0), ev.VadCalibrated(0), *events):
        answer = step(call, event)
        show(event, answer)
        call = answer.snapshot
    return out.getvalue().splitlines()


def warnings(*events: ev.Event, key: str | None = None) -> list[str]:
    """The warnings among that."""
    return [line.partition("warning: ")[2] for line in shown(*events, key=key) if "warning" in line]


def test_an_answer_without_words_is_no_line_of_what_is_said() -> None:
    """R91: it stood there as if the agent had spoken."""
    created = (ev.TurnCommitted(5, "u1"), ev.ResponseCreated(10, "r1"))
    spoken = [shown(*created, ev.ResponseTranscribed(20, "r1", text), voice="realtime") for text in ("", "Hello.")]
    assert [[line for line in lines if "agent" in line] for lines in spoken] == [[], [spoken[1][-1]]]


def test_an_error_is_shown_with_the_servers_own_words_and_without_our_key() -> None:
    """R96, R108."""
    errors = (ev.ErrorReceived(10, "unknown_parameter", "Unknown: 'speed' (sk-of-ours)"), ev.ErrorReceived(20, "odd"))
    assert warnings(*errors, key="sk-of-ours") == ["unknown_parameter Unknown: 'speed' (…)", "odd"]


def test_a_refusal_is_one_line_with_the_servers_own_words_where_it_has_some() -> None:
    """R108."""
    asked, refused = ev.TurnCommitted(5, "u1"), ev.CreateRefused(10, "bad")
    assert warnings(asked, ev.ErrorReceived(10, "bad", "The model is away."), refused) == ["bad The model is away."]
    assert warnings(asked, refused) == ["bad"]
    assert warnings(asked, ev.ErrorReceived(10, "odd", "Something else."), refused) == ["odd Something else.", "bad"]


def test_a_sentence_that_is_lost_is_told_with_the_voices_own_words() -> None:
    """R108."""
    asked = (ev.TurnCommitted(5, "u1"), ev.ResponseCreated(10, "r1"), ev.SentenceCut(11, "r1", 1, "Hello.", "i1"))
    assert warnings(*asked, ev.SynthesisFailed(12, "c.r1.1", "the server answered 401: no")) == [
        "sentence_lost c.r1.1: the server answered 401: no"
    ]
