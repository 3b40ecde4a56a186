"""Claims about the checker: it walks what `step` does in a world, and its judges notice each kind of planted fault."""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import attrs
import pytest

from adapters.cli import main
from adapters.proof.laws import Rule
from adapters.proof.verify.checker import Checked, check, dead_rows, report
from adapters.proof.verify.model import Model
from adapters.proof.verify.plans import PLAIN, Plan, chosen_in, combinations_of_choices, plans
from adapters.proof.verify.reads import Reads
from adapters.proof.verify.trace import Retold
from adapters.telling.trace import read_trace
from fsm import CALL, Call, Policy, effects as fx, events as ev, states
from fsm.call import response as response_table, tool as tool_table
from fsm.engine.explore import explore
from fsm.engine.machine import Machine
from fsm.engine.notation import Declared, State, Then, go, ignore, region, stay
from fsm.engine.reference import walk

MOST = 400
"""How many of the nearest states are explored in most tests."""


def plan_of(parts: str, most: int = MOST, **settings: Any) -> Plan:
    return Plan("small", frozenset(parts.split()), Policy(**{**PLAIN, **settings}), most=most)


TALK = plan_of("speech")
KINDS = list({(plan.name, plan.parts): plan for plan in plans()}.values())
"""One plan of each kind."""


def mutated(name: str, change: Callable[[Declared], Declared | None]) -> Machine[Call]:
    """The machine with the rows of one region changed, or taken out."""
    regions = []
    for one in CALL.regions:
        if one.name == name:
            rows = [row for declared in one.declared if (row := change(declared)) is not None]
            assert rows != list(one.declared), "nothing was planted"
            one = region(name, *rows, doc=one.doc, record=one.record, states=one.states, expired=one.expired)
        regions.append(one)
    return Machine(Call, regions, CALL.events, CALL.signals)


def instead(state: State, on: type[ev.Event], then: Then[Any, Any], guard: str = "") -> Callable[[Declared], Declared]:
    """Let the rows of a state and an event do something else."""

    def change(declared: Declared) -> Declared:
        hit = state in declared.states and on in declared.events and guard in ("", declared.guard.__name__)
        return attrs.evolve(declared, then=then) if hit else declared

    return change


@cache
def sound(plan: Plan) -> dict[str, int]:
    """The rules that the sound tables break in a plan, with how many steps it takes."""
    return {violation.rule: len(violation.way) for violation in check(plan).violations}


def broken(machine: Machine[Call], plan: Plan = TALK) -> dict[str, Retold]:
    """The rules that a machine breaks and the sound one does not, or not so soon; each with the way to it."""
    known = sound(plan)
    found = check(plan, machine).violations
    return {one.rule: one.retell(machine) for one in found if one.rule not in known or len(one.way) < known[one.rule]}


def happened(retold: Retold) -> list[str]:
    """What happened in a call after its beginning."""
    return [type(event).__name__ for event, _ in retold.steps[4:]]


def cancel_again(call: Call, _: object) -> fx.CancelResponse:
    return fx.CancelResponse(call.response.id)


def cut_at_the_end(_: Call, event: ev.PlayoutStopped) -> fx.TruncateItem:
    return fx.TruncateItem("r1.a", int(event.received_ms))


def owe_nothing(declared: Declared) -> Declared:
    hit = ev.TurnTaken in declared.events and declared.guard.__name__ == "always"
    return attrs.evolve(declared, then=ignore("planted")) if hit else declared


def guarded_by(name: str, guard: Callable[[Any, Any], bool]) -> Callable[[Declared], Declared]:
    """Let every row with one guard have another."""

    def change(declared: Declared) -> Declared:
        return attrs.evolve(declared, guard=guard) if declared.guard.__name__ == name else declared

    return change


def never(_: Any, __: Any) -> bool:
    return False


def wants(call: Call, _: object) -> bool:
    return call.pending.state is states.WANTED


def raises(_: Call, __: object) -> bool:
    raise ZeroDivisionError("planted")


PLANTED: dict[str, tuple[Plan, str, Callable[[Declared], Declared | None], str]] = {
    "a deadline that does nothing": (
        TALK,
        "response",
        instead(states.REQUESTED, ev.ResponseExpired, stay(response_table.log_create_unanswered)),
        Rule.EXPIRY,
    ),
    "a second cancel": (
        plan_of("turns"),
        "response",
        instead(states.CANCEL_IN_FLIGHT, ev.ResponseExpired, go(states.CANCELLED, cancel_again)),
        Rule.CANCEL_ONCE,
    ),
    "a call that never comes to rest": (
        plan_of("turns"),
        "playout",
        instead(states.ADMITTED, ev.PlayoutExpired, go(states.ADMITTED)),
        Rule.LIVELOCK,
    ),
    "a hold without its resume": (TALK, "interruption", instead(states.SUSPECTED, ev.SpeechStopped, go(states.CLEAR)), Rule.HOLD),
    "a hold that ends in nothing": (
        TALK,
        "interruption",
        instead(states.SUSPECTED, ev.InterruptionExpired, go(states.CLEAR), "always"),
        Rule.INTERRUPTS,
    ),
    "a voice that goes on after an interruption": (
        TALK,
        "playout",
        instead(states.ADMITTED, ev.BargedIn, ignore("planted"), "always"),
        Rule.INTERRUPTED,
    ),
    "a response that is generated on after an interruption": (
        TALK,
        "response",
        instead(states.IN_PROGRESS, ev.BargedIn, ignore("planted")),
        Rule.INTERRUPTED_ENDS,
    ),
    "a response that the caller interrupted before its birth": (
        TALK,
        "response",
        instead(states.WITHDRAWN, ev.ResponseCreated, go(states.IN_PROGRESS, response_table.take_id)),
        Rule.INTERRUPTED_ENDS,
    ),
    "a response asked for at any time": (plan_of("turns"), "response", guarded_by("may_ask", wants), Rule.CREATE_ALONE),
    "a turn that nobody answers": (plan_of("turns"), "pending", owe_nothing, Rule.DEBTS),
    "an end that is not told": (TALK, "phase", instead(states.LISTENING, ev.CallerHungUp, go(states.CLOSED)), Rule.TOLD),
    "a region that outlives the call": (TALK, "turn", instead(states.QUIET, ev.Ending, go(states.SPEAKING)), Rule.CLOSES),
    "a figure that is not its own": (
        plan_of("turns memory"),
        "truncation",
        instead(states.POSITION_AWAITED, ev.PlayoutStopped, go(states.IN_STEP, cut_at_the_end), "last_awaited"),
        Rule.CORRECTION,
    ),
    "a tool call told twice": (plan_of("turns tools twice", tools_at_once=2), "tool", guarded_by("told_already", never), Rule.TOOL_ONCE),
    "a tool call that is answered twice": (
        plan_of("turns tools", most=800),
        "tool",
        instead(states.TOOL_RUNNING, ev.ToolFinished, stay(tool_table.send_result), "last_of_pending"),
        Rule.TOOL_ONCE,
    ),
    "a greeting that keeps the server's rights": (
        plan_of("greeting opening", greeting=True, create_response=True, most=1_500),
        "session",
        instead(states.GUARDED, ev.PlayoutOver, go(states.READY)),
        Rule.REST_RIGHTS,
    ),
    "a fault that nobody notes": (
        TALK,
        "response",
        instead(states.CANCEL_IN_FLIGHT, ev.ResponseExpired, go(states.CANCELLED, response_table.remember_own)),
        Rule.NOTED,
    ),
    "a silence that noise refills": (
        plan_of("speech idle"),
        "idle",
        instead(states.ARMED, ev.CallerEvent, go(states.ARMED)),
        f"{Rule.LASTS}: idle is armed",
    ),
    "a number that is not handed in": (
        plan_of("turns keys"),
        "dtmf",
        instead(states.ENTERING, ev.DtmfExpired, go(states.NO_ENTRY)),
        Rule.ENTRY,
    ),
    "a step that raises": (TALK, "turn", guarded_by("ours_to_commit", raises), f"{Rule.RAISES}: ZeroDivisionError: planted"),
}
"""What is planted into the tables, and the rule that it breaks."""


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_fault_is_noticed_by_its_judge(name: str) -> None:
    plan, table, change, rule = PLANTED[name]
    found = broken(mutated(table, change), plan)
    assert rule in found, list(found)


def test_a_fault_is_shown_by_the_shortest_way() -> None:
    machine = mutated("interruption", instead(states.SUSPECTED, ev.SpeechStopped, go(states.CLEAR)))
    told = happened(broken(machine)[Rule.HOLD])
    assert len(told) <= 9
    assert "SpeechStopped" in told


def test_a_fault_that_is_met_at_random_is_shown_without_what_it_does_not_need() -> None:
    machine = mutated("interruption", instead(states.SUSPECTED, ev.SpeechStopped, go(states.CLEAR)))
    plan = attrs.evolve(plan_of("speech keys idle tools", tools_at_once=2), most=None, steps=600)
    [found] = [one for one in check(plan, machine).violations if one.rule == Rule.HOLD]
    model = Model(machine, plan)
    assert model.breaks(found.way, Rule.HOLD)
    assert not any(model.breaks(found.way[:at] + found.way[at + 1 :], Rule.HOLD) for at in range(len(found.way)))
    assert not Model(CALL, plan).breaks(found.way, Rule.HOLD)


def test_every_combination_of_the_choices_is_walked_at_random() -> None:
    walked = [chosen_in(plan) for plan in plans() if plan.steps]
    assert walked == [tuple(chosen.values()) for chosen in combinations_of_choices()]


def test_a_row_that_nothing_takes_is_named() -> None:
    machine = mutated("dtmf", guarded_by("terminates", never))
    dead = dead_rows(machine, check(plan_of("keys"), machine).places)
    assert "dtmf:ENTERING/DigitPressed/never" in dead
    assert "dtmf:ENTERING/DigitPressed/always" not in dead


@pytest.fixture(scope="module")
def near() -> list[Checked]:
    """Every exploration, as far as its nearest states."""
    return [check(attrs.evolve(plan, most=300)) for plan in KINDS]


def test_no_rule_is_broken_near_the_start_of_any_plan(near: list[Checked]) -> None:
    assert [violation.rule for one in near for violation in one.violations] == []


def test_every_plan_holds_two_responses() -> None:
    assert all(plan.responses >= 2 for plan in plans())


def test_two_explorations_are_the_same(near: list[Checked]) -> None:
    for first in (near[0], next(one for one in near if one.plan.steps)):
        assert attrs.evolve(check(first.plan), seconds=0.0) == attrs.evolve(first, seconds=0.0)


@pytest.mark.parametrize("plan", KINDS, ids=[f"{plan.name}: {' '.join(sorted(plan.parts))}" for plan in KINDS])
def test_a_region_that_a_plan_leaves_out_is_read_by_nothing_that_happens_in_it(plan: Plan) -> None:
    """So nothing is lost by leaving it out: no row of another region that answers what can happen reads it."""
    reads = Reads(CALL)
    kinds = {type(event) for event in check(attrs.evolve(plan, most=300)).events}
    for name in plan.still:
        own = next(table for table in CALL.regions if table.name == name)
        rows = [row for table in CALL.regions for row in table.rows if any(issubclass(kind, row.on) for kind in kinds - {own.expired})]
        assert reads.readers(name, [row for row in rows if row.on not in (ev.Event, ev.Expired)]) == []
        assert not [row for row in rows if row.region == name and row.then.signals]


@pytest.mark.parametrize("plan", [TALK, plan_of("turns memory", voice="chatterbox")], ids=["talk", "memory"])
def test_a_way_retold_with_real_ids_and_times_leads_to_the_state_it_was_taken_from(plan: Plan) -> None:
    model = Model(CALL, plan)
    space = explore(model.start, model.moves, model.faults, most=500)
    for number in range(0, len(space.nodes), 37):
        retold = Retold(CALL, plan)
        for label in space.way_to(number):
            retold.follow(label)
        expected = model.canon.call(space.nodes[number].numbers)
        for name in set(model.canon.names) - plan.still:
            assert getattr(retold.call, name).state is getattr(expected, name).state, (name, retold.lines())


def test_the_explored_step_is_the_one_that_the_tables_say() -> None:
    model = Model(CALL, TALK)
    for node in explore(model.start, model.moves, model.faults, most=300).nodes[:300:5]:
        call = model.canon.call(node.numbers)
        for move in model.moves(node):
            assert CALL.step(call, move.label.event) == walk(CALL, call, move.label.event)


def test_a_violation_is_written_as_a_trace_that_replays(tmp_path: Path) -> None:
    machine = mutated("interruption", instead(states.SUSPECTED, ev.SpeechStopped, go(states.CLEAR)))
    found = [violation for violation in check(TALK, machine).violations if violation.rule == Rule.HOLD]
    lines = list(report(found, tmp_path, machine))
    assert lines[0] == f"BROKEN  {Rule.HOLD}"
    difference = read_trace(tmp_path / "1_small.trace").first_difference()
    assert difference is not None
    assert "SpeechStopped" in difference, "the real tables differ in the planted row alone"


def test_a_plan_or_a_setting_that_is_none_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", "--plan", "chatter"]) == 2
    assert main(["verify", "--set", "recoveries=99"]) == 2
    told = capsys.readouterr().err.splitlines()
    assert told[0].startswith("callfsm: --plan chatter: there is keypad, notice")
    assert told[1].startswith("callfsm: recoveries is 99")
