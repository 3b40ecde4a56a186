"""What a terminal shows of a call while it goes on."""

from io import StringIO

from rich.console import Console

from adapters.hosts.terminal.show import Show
from fsm.call import events as ev
from fsm.call.machine import step
from fsm.call.policy import Policy
from fsm.call.snapshot import start


def test_an_error_is_shown_with_the_servers_own_words_and_without_our_key() -> None:
    """R96, R108."""
    call, out = start(Policy(greeting=False)), StringIO()
    show = Show(Console(file=out, width=200), call, lambda *_: None, key="sk-of-ours")
    errors = (ev.ErrorReceived(10, "unknown_parameter", "Unknown: 'speed' (sk-of-ours)"), ev.ErrorReceived(20, "odd"))
    for event in (ev.LineOpened(0), ev.SessionConfirmed(0), *errors):
        answer = step(call, event)
        show(event, answer)
        call = answer.snapshot
    assert [line.partition("warning: ")[2] for line in out.getvalue().splitlines() if "warning" in line] == [
        "unknown_parameter Unknown: 'speed' (…)",
        "odd",
    ]
