"""Claims about the checker: it walks what `step` does, finds each kind of planted fault, and finds none in the tables."""

from collections.abc import Callable, Iterator
from pathlib import Path

import attrs
import pytest

from adapters.cli import main
from adapters.proof.verify.checker import LIVELOCK, Checked, check, dead_rows, report
from adapters.proof.verify.model import Model
from adapters.proof.verify.scopes import BEGUN, FOLLOWING, KEYPAD, PLAIN, TALK, Plan, left_out, plans
from adapters.proof.verify.trace import Retold
from adapters.telling.trace import read_trace
from fsm import CALL, Call, Policy, effects as fx, events as ev, states
from fsm.call import response as response_table
from fsm.call.truncation import nothing_said
from fsm.engine.explore import Move, Space, explore, livelock
from fsm.engine.machine import Machine
from fsm.engine.notation import Declared, State, Then, go, ignore, region, stay
from fsm.engine.reference import walk

SMALL = attrs.evolve(TALK, ids=1)
ONE = Plan(SMALL, Policy(**PLAIN), most=2_500)
DAILY = plans()


def number_moves(step: Callable[[int], list[int]]) -> Callable[[int], Iterator[Move[int]]]:
    def moves(node: int) -> Iterator[Move[int]]:
        for target in step(node):
            yield Move(f"{node} to {target}", target, ("too far",) if target > 9 else (), waited=1)

    return moves


def no_faults(_: int) -> list[str]:
    return []


def test_the_explorer_finds_every_node_by_the_shortest_way() -> None:
    space = explore(1, number_moves(lambda node: [node + 1, node * 2]), no_faults)
    assert sorted(space.nodes) == list(range(1, 10))
    assert space.way_to(space.nodes.index(8)) == ["1 to 2", "2 to 4", "4 to 8"]
    assert space.complete


def test_a_move_that_breaks_a_rule_is_told_and_not_followed() -> None:
    space = explore(1, number_moves(lambda node: [node * 3]), no_faults)
    assert [(fault.rule, space.nodes[fault.node], fault.label) for fault in space.faults] == [("too far", 9, "9 to 27")]
    assert 27 not in space.nodes


def test_an_exploration_with_a_limit_says_that_it_is_not_complete() -> None:
    space = explore(1, number_moves(lambda node: [node + 1]), no_faults, most=4)
    assert not space.complete
    assert len(space.waits) == 4


@pytest.mark.parametrize(
    ("anew", "expected"),
    [(0b01, None), (0b11, 1)],
    ids=["a wait that runs through a round ends it", "a round in which every wait begins anew is a livelock"],
)
def test_a_round_is_a_livelock_only_if_no_wait_outlasts_it(anew: int, expected: int | None) -> None:
    space: Space[int] = explore(0, number_moves(lambda node: [{0: 1, 1: 2, 2: 1}[node]]), no_faults)
    space.waits = [tuple((target, anew) for target, _ in out) for out in space.waits]
    assert livelock(space, lambda _: 0b11) == expected


def mutated(name: str, change: Callable[[Declared], Declared | None]) -> Machine[Call]:
    """The machine with the rows of one region changed, or taken out."""
    regions = []
    for one in CALL.regions:
        if one.name == name:
            rows = [row for declared in one.declared if (row := change(declared)) is not None]
            assert rows != list(one.declared), "nothing was planted"
            one = region(name, *rows, doc=one.doc, record=one.record, states=one.states, expired=one.expired)
        regions.append(one)
    return Machine(Call, regions, CALL.events)


def instead(state: State, on: type[ev.Event], then: Then, guard: str = "") -> Callable[[Declared], Declared]:
    """Let the rows of a state and an event do something else."""

    def change(declared: Declared) -> Declared:
        hit = state in declared.states and on in declared.events and guard in ("", declared.guard.__name__)
        return attrs.evolve(declared, then=then) if hit else declared

    return change


def broken(machine: Machine[Call], plan: Plan = ONE) -> dict[str, Retold]:
    return {violation.rule: violation.retold for violation in check(plan, machine).violations}


def one_of(found: dict[str, Retold], words: str) -> Retold:
    """The way to the rule with these words."""
    told = [retold for rule, retold in found.items() if words in rule]
    assert told, f"{words!r} is not among {list(found)}"
    return told[0]


def happened(retold: Retold) -> list[str]:
    return [type(event).__name__ for event, _ in retold.steps[len(BEGUN) :]]


def cancel_again(call: Call, _: object) -> fx.CancelResponse:
    return fx.CancelResponse(call.response.id)


def test_a_deadline_that_does_nothing_is_found() -> None:
    plan = instead(states.CANCEL_IN_FLIGHT, ev.ResponseExpired, stay(response_table.log_cancel_unconfirmed))
    found = broken(mutated("response", plan))
    one_of(found, "its deadline runs on")


def test_a_wish_that_waits_for_ever_is_found() -> None:
    def change(declared: Declared) -> Declared | None:
        return None if declared.states == (states.WANTED,) else declared

    retold = one_of(broken(mutated("asking", change)), "every wait has an end, but none has that of")
    assert retold.call.pending.state is states.WANTED


def test_a_second_cancel_is_found_by_the_shortest_way() -> None:
    machine = mutated("response", instead(states.CANCEL_IN_FLIGHT, ev.ResponseExpired, go(states.CANCELLED, cancel_again)))
    retold = one_of(broken(machine), "no response is cancelled twice")
    assert len(happened(retold)) == 3
    assert happened(retold)[-1] == "ResponseExpired"


def test_a_livelock_is_found() -> None:
    found = broken(mutated("playout", instead(states.ADMITTED, ev.PlayoutExpired, go(states.ADMITTED))))
    retold = one_of(found, LIVELOCK)
    assert happened(retold).count("PlayoutExpired") > 1
    assert retold.call.playout.state is states.ADMITTED


def test_time_that_stands_still_is_found() -> None:
    found = broken(mutated("asking", instead(states.DUE, ev.PendingExpired, go(states.DUE))))
    one_of(found, LIVELOCK)


def test_a_hold_without_its_resume_is_found() -> None:
    machine = mutated("interruption", instead(states.SUSPECTED, ev.SpeechStopped, go(states.CLEAR)))
    retold = one_of(broken(machine), "the voice is held while an interruption is suspected")
    assert happened(retold) == ["ResponseCreated", "SpeechStarted", "SpeechStopped"]


def test_a_voice_that_goes_on_after_an_interruption_is_found() -> None:
    machine = mutated("playout", instead(states.ADMITTED, ev.InterruptionExpired, ignore("planted")))
    one_of(broken(machine), "after an interruption the interrupted response is not heard")


def test_a_response_asked_for_too_early_is_found() -> None:
    def change(declared: Declared) -> Declared:
        return attrs.evolve(declared, guard=nothing_said) if declared.guard.__name__ == "asked_and_free" else declared

    one_of(broken(mutated("response", change)), "no response is asked for while anything is in its way")


def test_an_end_that_is_not_told_is_found() -> None:
    machine = mutated("phase", instead(states.LISTENING, ev.CallerHungUp, go(states.CLOSED)))
    assert happened(one_of(broken(machine), "the application is told of every end")) == ["CallerHungUp"]


def test_a_region_that_outlives_the_call_is_found() -> None:
    machine = mutated("turn", instead(states.QUIET, ev.Ending, go(states.SPEAKING)))
    assert len(happened(one_of(broken(machine), "closing ends every region"))) == 1


def test_a_memory_that_forgets_is_found() -> None:
    machine = mutated("response", instead(states.CANCELLED, ev.ResponseEnded, ignore("planted")))
    assert happened(one_of(broken(machine), "an ended response is remembered"))[-1].startswith("Response")


def test_a_step_that_raises_is_found() -> None:
    def raises(_: Call, __: object) -> bool:
        raise ZeroDivisionError("planted")

    def change(declared: Declared) -> Declared:
        return attrs.evolve(declared, guard=raises) if declared.guard.__name__ == "told_twice" else declared

    retold = one_of(broken(mutated("turn", change)), "step raises ZeroDivisionError: planted")
    assert retold.lines()[-1].endswith("RAISES")


def test_a_row_that_nothing_takes_is_named() -> None:
    def never(_: Call, __: object) -> bool:
        return False

    def change(declared: Declared) -> Declared:
        return attrs.evolve(declared, guard=never) if declared.guard.__name__ == "terminates" else declared

    machine = mutated("entry", change)
    dead = dead_rows(machine, check(Plan(KEYPAD, Policy(**PLAIN), most=1_000), machine).rows)
    assert "entry:ENTERING/DigitPressed/never" in dead
    assert "entry:ENTERING/DigitPressed/always" not in dead


@pytest.fixture(scope="module")
def small() -> list[Checked]:
    """Every exploration, as far as its nearest states; the smallest to its end."""
    return [check(attrs.evolve(plan, most=20_000 if plan.scope.name in ("keypad", "following") else 500)) for plan in DAILY]


def test_no_rule_is_broken_near_the_start_of_any_scope(small: list[Checked]) -> None:
    assert [violation.rule for one in small for violation in one.violations] == []
    assert sum(one.explored for one in small) > 10_000


def test_the_small_scopes_are_explored_to_their_end(small: list[Checked]) -> None:
    assert {one.plan.scope.name for one in small if one.complete} == {"keypad", "following"}


def test_two_explorations_are_the_same(small: list[Checked]) -> None:
    first = next(one for one in small if one.plan.scope.name == "talk")
    again = check(first.plan)
    assert attrs.evolve(again, seconds=0.0) == attrs.evolve(first, seconds=0.0)


@pytest.mark.parametrize("plan", [ONE, Plan(FOLLOWING, Policy(**{**PLAIN, "voice": "chatterbox"}))], ids=["talk", "following"])
def test_a_way_retold_with_real_ids_and_times_leads_to_the_state_it_was_taken_from(plan: Plan) -> None:
    model = Model(CALL, plan.policy, plan.scope)
    space = explore(model.start, model.moves, model.faults, most=1_000)
    for number in range(0, len(space.nodes), 37):
        retold = Retold(CALL, plan.policy, plan.scope)
        for label in space.way_to(number):
            retold.follow(label)
        reached, expected = retold.call, model.states.call(space.nodes[number].numbers)
        for name in set(model.states.names) - plan.scope.still:
            assert getattr(reached, name).state is getattr(expected, name).state, (name, retold.lines())


def test_the_explored_step_is_the_one_that_the_tables_say() -> None:
    model = Model(CALL, ONE.policy, ONE.scope)
    for node in explore(model.start, model.moves, model.faults, most=300).nodes[:300:5]:
        call = model.states.call(node.numbers)
        for event in model.alphabet.outside(call, len(node.past.of)):
            assert CALL.step(call, event) == walk(CALL, call, event)


def test_a_violation_is_written_as_a_trace_that_replays(tmp_path: Path) -> None:
    machine = mutated("interruption", instead(states.SUSPECTED, ev.SpeechStopped, go(states.CLEAR)))
    lines = list(report(check(ONE, machine).violations[:1], tmp_path))
    assert lines[0].startswith("BROKEN  the voice is held")
    trace = read_trace(tmp_path / "1_talk.trace")
    difference = trace.first_difference()
    assert difference is not None
    assert "SpeechStopped" in difference, "the real tables differ in the planted row alone"


def test_the_command_explores_a_scope(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", "--scope", "following", "--out", str(tmp_path / "none")]) == 0
    told = capsys.readouterr().out
    assert left_out(DAILY[4].scope) in told
    assert "0 rules broken" in told
    assert not (tmp_path / "none").exists()


def test_a_scope_or_a_setting_that_is_none_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", "--scope", "chatter"]) == 2
    assert main(["verify", "--set", "recoveries=99"]) == 2
    told = capsys.readouterr().err.splitlines()
    assert told[0].startswith("callfsm: --scope chatter: there is keypad, silence")
    assert told[1].startswith("callfsm: recoveries is 99")
