"""The tables in Promela: spin's interpreter and ours agree, and spin finds what is planted in them."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pytest

from adapters.cli import main
from adapters.promela.check import PLANS, SMALL, left_out, model_of, retold, unmet
from adapters.promela.model import Model, model, said
from adapters.promela.rows import name_of
from adapters.promela.rules import CALL_RULES, PLAIN_RULES
from adapters.promela.spin import Search, search
from adapters.promela.walks import difference, walks
from fsm import CALL, Policy, start
from fsm.call import events as ev
from fsm.call import states as st
from fsm.call.hangup import limit_reached
from fsm.call.phase import tell_ended
from fsm.call.response import cancel_response, create_response
from fsm.engine.machine import Machine
from fsm.engine.notation import Declared, Record, Region, State, always, go, ignore, region, row

MISSING = [tool for tool in ("spin", "gcc") if shutil.which(tool) is None]
spin = pytest.mark.skipif(bool(MISSING), reason=f"not installed: {' '.join(MISSING)}; the tables are not checked by spin here")

BEGUN = (ev.LineOpened, ev.SessionOpened, ev.SessionConfirmed, ev.VadCalibrated)
BOUNDS = {"remembered_ids": 2, "queued_sentences": 2, "tools_at_once": 2, "cancel_attempts": 2}
POLICIES = (
    Policy(**BOUNDS, voice="chatterbox", dtmf_digits=2),
    Policy(**BOUNDS, voice="realtime", greeting=False, interrupts="server", create_response=True, recoveries=0, idle_prompts=1),
)
PATIENT = Policy(**{**SMALL, "idle_hangup": False})
"""A call that ends by its limit alone when nothing happens."""
Change = Callable[[tuple[Declared, ...]], list[Declared]]


def mutant(name: str, change: Change, of: tuple[Region, ...] = CALL.regions) -> tuple[Region, ...]:
    """The regions with the declared rows of one changed; not checked by the engine, as spin is to find what is wrong."""

    def made(part: Region) -> Region:
        rows = change(part.declared)
        assert list(part.declared) != rows
        return region(part.name, *rows, doc=part.doc, record=part.record, states=part.states, expired=part.expired)

    return tuple(made(part) if part.name == name else part for part in of)


def then(states: State | tuple[State, ...], on: type, what: Any, guard: Any = always) -> Change:
    """Let the row of these states, this event and this guard do something else."""
    wanted = (states if isinstance(states, tuple) else (states,), (on,), guard)
    return lambda rows: [attrs.evolve(one, then=what) if (one.states, one.events, one.guard) == wanted else one for one in rows]


def found(regions: tuple[Region, ...], flaw: str, *, silence: bool = False, **scope: Any) -> tuple[Model, Search]:
    """What spin finds in a call of these regions, within a few seconds."""
    made = model(regions, CALL.events, start(PATIENT), CALL_RULES, **{"begins": BEGUN, **scope})
    return made, search(made, 10, silence=silence, until=flaw)


@spin
@pytest.mark.parametrize("policy", POLICIES, ids=("chatterbox", "realtime"))
def test_spin_and_step_take_every_region_to_the_same_state(policy: Policy) -> None:
    made = model(CALL.regions, CALL.events, start(policy), CALL_RULES, ids=3, begins=BEGUN)
    walked = walks(made, CALL, 1, 40, 60)
    differs = difference(made, walked)
    assert differs is None, f"after {differs.walk.events[: differs.at + 1]}: {differs.walk.states[differs.at]}, in spin {differs.spins}"
    acting = {(one.region, one.declared) for part in CALL.regions for one in part.rows if not one.ignores}
    assert len(taken(policy, [one.events for one in walked]) & acting) > 0.6 * len(acting)


@spin
def test_what_a_search_takes_for_one_state_goes_on_as_one() -> None:
    """Ids named anew after each event, and fields forgotten where nobody reads them, lead to the same states."""
    made = model(CALL.regions, CALL.events, start(POLICIES[0]), CALL_RULES, ids=3, begins=BEGUN)
    differs = difference(made, walks(made, CALL, 3, 30, 60, named=True), named=True)
    assert differs is None, f"after {differs.walk.events[: differs.at + 1]}: {differs.walk.states[differs.at]}, in spin {differs.spins}"


def taken(policy: Policy, walked: list[tuple[Any, ...]]) -> set[tuple[str, int]]:
    """The declared rows that walks take."""
    rows = set()
    for events in walked:
        call = start(policy)
        for event in events:
            call, _, answered = CALL.step(call, event)
            rows |= {(one.region, one.declared) for one in answered}
    return rows


@spin
def test_a_model_of_other_tables_takes_another_way() -> None:
    other = mutant("turn", then((st.QUIET, st.STOPPED), ev.SpeechStarted, go(st.STOPPED)))
    made = model(other, CALL.events, start(POLICIES[0]), CALL_RULES, begins=BEGUN)
    differs = difference(made, walks(made, CALL, 2, 10, 40))
    assert differs is not None
    place = [part.name for part in CALL.regions].index("turn")
    assert (differs.walk.states[differs.at][place], differs.spins[place]) == ("SPEAKING", "STOPPED")
    assert isinstance(differs.walk.events[differs.at], ev.SpeechStarted)


@spin
def test_spin_finds_a_second_cancel_and_tells_the_way_to_it() -> None:
    again = go(st.CANCEL_IN_FLIGHT, cancel_response)
    made, told = found(mutant("response", then(st.CANCEL_IN_FLIGHT, ev.ResponseExpired, again)), "cancelled_twice")
    way = list(retold(made, told.flaws["cancelled_twice"]))
    assert way[: len(BEGUN)] == [f"{event.__name__}()" for event in BEGUN]
    assert way[-1] == "ResponseExpired()"
    assert len(way) < 40


def asks_at_once(rows: tuple[Declared, ...]) -> list[Declared]:
    return [*rows[:4], row(st.IN_PROGRESS, ev.TurnCommitted, always, go(st.REQUESTED, create_response)), *rows[4:]]


@spin
@pytest.mark.parametrize(
    ("name", "change", "flaw"),
    [
        ("response", asks_at_once, "asked_while_active"),
        ("phase", then(st.CLOSING, ev.CallerHungUp, go(st.CLOSED, tell_ended)), "told_twice"),
        ("phase", then(st.CLOSED, ev.Event, go(st.LISTENING)), "revived"),
    ],
)
def test_spin_finds_what_is_asked_for_in_the_wrong_state(name: str, change: Change, flaw: str) -> None:
    _, told = found(mutant(name, change), flaw)
    assert flaw in told.flaws


@spin
def test_spin_finds_a_deadline_on_which_nobody_acts() -> None:
    made, told = found(mutant("limit", then(st.WARNED, ev.LimitExpired, ignore("it is late"))), "passed_in_vain")
    assert list(retold(made, told.flaws["passed_in_vain"]))[-1] == "LimitExpired()"


@spin
def test_spin_finds_a_state_that_lost_its_deadline() -> None:
    waits = State("closing", "It waits for ever.", for_ever="nobody thought of it")

    def lost(rows: tuple[Declared, ...]) -> list[Declared]:
        aim = {st.CLOSING: waits}
        return [
            attrs.evolve(
                one,
                states=tuple(aim.get(state, state) for state in one.states),
                then=attrs.evolve(one.then, target=aim.get(one.then.target, one.then.target) if one.then.target else None),
            )
            for one in rows
        ]

    phase = next(part for part in CALL.regions if part.name == "phase")
    states = tuple(waits if state is st.CLOSING else state for state in phase.states)
    redone = region(phase.name, *lost(phase.declared), doc=phase.doc, record=phase.record, states=states, expired=phase.expired)
    regions = tuple(redone if part is phase else part for part in CALL.regions)
    _, told = found(regions, "no_deadline_left")
    assert "no_deadline_left" in told.flaws


@spin
def test_spin_finds_a_round_of_deadlines_that_never_ends() -> None:
    deaf = mutant("hangup", then((st.STAYING, st.PARTING, st.GOODBYE), ev.LimitExpired, ignore("the call goes on"), limit_reached))
    made, told = found(mutant("limit", then(st.WARNED, ev.LimitExpired, go(st.WARNED)), deaf), "never_closed", silence=True)
    assert "LimitExpired()" in list(retold(made, told.flaws["never_closed"]))


@spin
def test_spin_finds_an_event_without_an_answer_and_a_dead_row() -> None:
    """All but the line and the ends is left out, so that everything can be explored."""
    happens = (ev.LineOpened, ev.LineClosed, ev.CallerHungUp, ev.DeviceFailed)
    scope = {"begins": (), "without": set(CALL.events) - set(happens) - {part.expired for part in CALL.regions}}
    dead = row(st.UNLIMITED, ev.LineOpened, limit_reached, go(st.WARNED))
    regions = mutant("limit", lambda rows: [*rows[:1], dead, *rows[1:]])
    regions = mutant("calibration", lambda rows: [one for one in rows if ev.LineEvent not in one.events], regions)
    made, told = found(regions, "", **scope)
    assert told.complete
    assert [str(line) for line in retold(made, told.flaws["unanswered"])][-1] in ("LineOpened()", "LineClosed()")
    place = [part.name for part in regions].index("limit")
    assert (place, 2) not in told.rows
    assert {(place, 1), (place, 3)} <= told.rows


@spin
def test_a_search_is_told_as_it_goes_and_stops_in_time() -> None:
    seen: list[int] = []
    plan = PLANS[0]
    told = search(model_of(plan), 2, watch=lambda progress: seen.append(progress.states))
    assert not told.complete
    assert not told.flaws
    assert seen


@attrs.frozen
class Door:
    """A snapshot of another machine."""

    arm: Record


class Coin(ev.Event):
    """Somebody pays."""


@attrs.frozen
class Knock(ev.Event):
    """Somebody is there, and says who."""

    who: str


@attrs.frozen
class Late(ev.Event):
    """It is time."""

    epoch: int


def five(_: object) -> float:
    return 5.0


def is_long(_: Door, event: Knock) -> bool:
    return event.who.startswith("other")


LOCKED, OPEN = State("locked", "Nobody passes.", for_ever="until someone pays"), State("open", "One may pass.", at_most=five)
ARM = region(
    "arm",
    row(LOCKED, Coin, always, go(OPEN)),
    row(LOCKED, Knock, is_long, go(OPEN)),
    row(LOCKED, (Knock, Late), always, ignore("it is locked")),
    row(OPEN, Late, always, go(LOCKED)),
    row(OPEN, (Coin, Knock), always, ignore("it is open")),
    doc="whether one may pass",
    record=Record,
    states=(LOCKED, OPEN),
    expired=Late,
)


@spin
def test_another_machine_is_checked_too_and_a_guard_that_cannot_be_said_is_a_choice() -> None:
    door: Machine[Door] = Machine(Door, [ARM], [Coin, Knock, Late])
    made = model(door.regions, door.events, Door(Record(LOCKED)), PLAIN_RULES)
    assert said(made.tables) == ["is_long is chosen anew in each step: .startswith"]
    assert ":: a_is_long = 0 :: a_is_long = 1" in made.text
    told = search(made, 5)
    assert told.complete
    assert not told.flaws
    assert told.rows == {(0, number) for number in range(1, 6)}
    assert difference(made, walks(made, door, 4, 5, 30)) is None


def test_nearly_every_guard_of_the_call_is_translated_and_the_others_are_told() -> None:
    made = model_of(PLANS[0])
    translator, told = made.tables.translator, " ".join(left_out(made))
    assert len(translator.chosen) <= 0.06 * len(translator.macros), told
    assert all(guard.__name__ in told for guard in translator.chosen)


def test_a_model_names_every_row_and_says_guards_as_they_are_written() -> None:
    text = model_of(PLANS[0]).text
    for part in CALL.regions:
        for declared in part.declared:
            assert name_of(part, declared) in text
    assert "#define if_of_response (e_response_id == response_id)" in text
    assert "#define if_finished (playout == FINISHED)" in text


def test_a_row_that_answered_in_no_search_is_told() -> None:
    assert unmet([]) == (0, [])


def test_the_command_writes_the_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["promela", "--scope", "talk", "--out", str(tmp_path / "call.pml")]) == 0
    assert main(["promela", "--scope", "talk"]) == 0
    assert capsys.readouterr().out == (tmp_path / "call.pml").read_text()


@pytest.mark.parametrize(
    ("arguments", "said_of"),
    [
        (["--scope", "nowhere"], "--scope nowhere: there is everything, talk, opening"),
        (["--seconds", "0"], "--seconds 0: it takes 1 to 86400"),
        (["--set", "voice=none"], "voice is 'none'"),
        (["--set", "remembered_ids=5"], "remembered_ids is 5: a Promela model holds at most 4"),
        (["--out", "/nowhere/call.pml", "--scope", "talk"], "--out /nowhere/call.pml: No such file or directory"),
    ],
)
def test_bad_input_is_one_line(arguments: list[str], said_of: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["promela", *arguments]) == 2
    said_so = capsys.readouterr().err
    assert said_of in said_so
    assert said_so.count("\n") == 1


def test_a_check_without_spin_says_what_to_install(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setitem(os.environ, "PATH", "/nowhere")
    assert main(["promela", "--check"]) == 2
    assert capsys.readouterr().err == ("callfsm: --check: spin and gcc not found: apt-get install spin gcc, or `brew install spin gcc`\n")


@spin
def test_a_check_ends_with_a_verdict_for_each_rule(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["promela", "--check", "--scope", "talk", "--seconds", "2"]) == 0
    told = capsys.readouterr().out
    for flaw, rule in CALL_RULES.flaws.items():
        assert f"kept    {rule}" in told or flaw == "never_closed"
    assert "agrees  spin's interpreter and step take every region to the same state, 2,400 events" in told
    assert "states" in told and "bitstate" in told
