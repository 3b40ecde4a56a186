"""A part of the realtime wire's fuzzing: whole simulated calls with a server that sends messages in every form."""

import json
import random

import pytest

from adapters.proof.sim.forms import Ids, bent, drawn
from adapters.proof.sim.wire import fuzz, main
from adapters.realtime.incoming import Happened
from adapters.realtime.messages import Malformed, Told
from adapters.realtime.settings import RealtimeSettings
from adapters.realtime.table import EVERYWHERE, TABLE
from adapters.realtime.wire import Wire
from fsm.call.effects import Cause, CommitTurn, ConfigureSession, CreateResponse, RewriteItem
from fsm.call.policy import Policy


@pytest.mark.parametrize("seed", range(1, 13))
def test_no_form_of_a_message_breaks_a_call_or_leaves_it_silent(seed: int) -> None:
    """R59, R78, R84, R86: nothing raises, nobody waits beyond the deadlines, and one reason is told."""
    found = fuzz(seed)
    assert found.fault == ""
    assert found.reason
    assert found.forms > 20 or found.reason == "the session was refused"


def test_the_command_counts_the_forms_and_names_the_seed_of_what_is_wrong(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["50", "3"]) == 0
    assert capsys.readouterr().out.endswith(" 0 of them wrong\n")


def test_a_seed_draws_the_same_forms_whatever_was_drawn_before() -> None:
    def forms() -> list[str]:
        dice, ids = random.Random(2), Ids()
        return [json.dumps(bent(dice, drawn(dice, ids), ids)) for _ in range(3_000)]

    assert forms() == forms()


def test_nothing_comes_of_a_message_but_what_its_row_says() -> None:
    """The table is what the wire does, in every form."""
    dice, ids = random.Random(7), Ids()
    for voice in ("realtime", "chatterbox"):
        wire = Wire(RealtimeSettings(), Policy(voice=voice))
        for effect in (ConfigureSession(), CommitTurn(), RewriteItem("item_r1", "We are"), CreateResponse(Cause.USER_TURN)):
            wire.send(effect)
        for _ in range(4_000):
            message = drawn(dice, ids) if dice.random() < 0.7 else bent(dice, drawn(dice, ids), ids)
            allowed = _kinds_of(message)
            for incoming in wire.receive(json.dumps(message)):
                kind = incoming.event if isinstance(incoming, Happened) else type(incoming)
                assert kind in allowed, f"{kind} comes of {message}"


def _kinds_of(message: dict[str, object]) -> set[object]:
    try:
        declared = TABLE.get(Told(message).kind)
    except Malformed:
        declared = None
    return {*EVERYWHERE, *(kind for row in (declared.rows if declared else ()) for kind in row.kinds)}
