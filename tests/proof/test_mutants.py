"""Claims about the mutants: each change is what it says, and somebody notices it; the whole set, without the proof, on all cores."""

from collections import Counter
from pathlib import Path

import pytest
from rich.console import Console

from adapters.proof.verify.plans import PLAIN, Plan
from fsm import CALL, Policy, events as ev, start, states
from fsm.call.effects import CancelResponse
from fsm.engine.notation import NEVER, always, signal_of
from tests.mutants.__main__ import main
from tests.mutants.breaking import Broken, Kind, Mutant, beginning_without
from tests.mutants.equivalents import Equivalent
from tests.mutants.judging import By, Finding, judged
from tests.mutants.proof import NEAR, proof_of, proof_of_body
from tests.mutants.running import Wanted, bodies, mutants, score_of_all
from tests.mutants.showing import percent, score_tables, verdict
from tests.mutants.witnesses import gathered
from tests.shared import core

SMALL = (Plan("small", frozenset({"speech"}), Policy(**PLAIN)),)
LITTLE = NEAR._replace(most=300)


@pytest.fixture(scope="module")
def made() -> dict[str, Mutant]:
    """Every mutant by its name."""
    return {mutant.name: mutant for mutant in mutants(Wanted())}


def broken(mutant: Mutant) -> Broken:
    return Broken(mutant.make(), mutant.endless)


def one(made: dict[str, Mutant], name: str) -> Mutant:
    """The one mutant whose name ends like that."""
    (found,) = [mutant for key, mutant in made.items() if key.endswith(name)]
    return found


def test_no_mutant_survives() -> None:
    judgement = verdict(score_of_all().findings)
    assert not judgement.survivors, "\n".join(["nobody notices:", *[finding.name for finding in judgement.survivors]])


def test_what_is_listed_as_equivalent_is_and_still_exists() -> None:
    judgement = verdict(score_of_all().findings)
    assert not judgement.told
    assert not judgement.idle


def test_every_claim_and_case_holds_on_the_sound_tables() -> None:
    assert score_of_all().failing == ()


def test_every_row_guard_target_act_and_deadline_is_broken_in_each_way() -> None:
    expected: Counter[Kind] = Counter()
    for table in CALL.regions:
        expected[Kind.DEADLINE] += sum(state.at_most is not None for state in table.states)
        for declared in table.declared:
            expected[Kind.ROW] += 1
            pairs = len(declared.states) * len(declared.events)
            expected[Kind.PAIR] += pairs * (pairs > 1 and not declared.then.reason)
            expected[Kind.GUARD] += 2 * (declared.guard is not always)
            expected[Kind.TARGET] += len(table.states) * (declared.then.target is not None)
            expected[Kind.EFFECT] += 2 * len(declared.then.effects)
            expected[Kind.SIGNAL] += sum(bool(signal_of(act)) for act in declared.then.acts)
            expected[Kind.UPDATE] += len(declared.then.updates)
    made = mutants(Wanted())
    counted = Counter(mutant.kind for mutant in made)
    assert counted.pop(Kind.ORDER) > 20
    assert counted == expected
    assert len({mutant.name for mutant in made}) == len(made)


def test_the_score_counts_each_mutant_once() -> None:
    findings = score_of_all().findings
    assert [finding.name for finding in findings] == [mutant.name for mutant in (*mutants(Wanted()), *bodies(Wanted()))]
    console = Console(width=200, record=True, quiet=True)
    for table in score_tables(findings):
        console.print(table)
        totals = [int(word.replace("·", "0").replace(",", "")) for word in (list(column.cells)[-1] for column in table.columns[1:])]
        assert totals[0] == sum(totals[1:]) == len(findings)


def answering_with(mutant: Mutant, event: type[ev.Event], *fields: object) -> core.Script:
    """A call in which `r1` is heard, on the tables with the mutant from there on, after one more event."""
    script = core.speaking()
    script.machine = broken(mutant)
    script.post(event, *fields)
    return script


def test_an_act_is_dropped_or_doubled(made: dict[str, Mutant]) -> None:
    for change, times in (("dropped", 0), ("doubled", 2)):
        mutant = one(made, f"response:IN_PROGRESS/BargedIn/always: cancel_response {change}")
        assert answering_with(mutant, ev.BargeInDetected).of(CancelResponse) == [CancelResponse("r1")] * times


def test_a_guard_is_turned_round(made: dict[str, Mutant]) -> None:
    row = "playout:PLAYING/PlayoutProgressed/of_playout"
    for change, ours, foreign in (("whatever the guard says", True, True), ("if not", False, True)):
        for response_id, restarts in (("r1", ours), ("r9", foreign)):
            script = answering_with(one(made, f"{row}: {change}"), ev.QueueEmptied, "r9")
            script.wait(100)
            before = script.call.playout.epoch
            script.post(ev.PlayoutProgressed, response_id, 10.0)
            assert (script.call.playout.epoch > before) is restarts


def test_a_target_is_moved(made: dict[str, Mutant]) -> None:
    row = "phase:GREETING_LOCK|AI_SPEAKING/BargedIn/still_generated"
    for change, state in (("goes to GREETING_LOCK", states.GREETING_LOCK), ("stays", states.AI_SPEAKING)):
        assert answering_with(one(made, f"{row}: {change}"), ev.BargeInDetected).call.phase.state is state


def test_a_row_is_taken_out_for_one_pair_alone(made: dict[str, Mutant]) -> None:
    mutant = one(made, "turn:QUIET|SPEAKING|STOPPED/Ending|HangupDue/always not for QUIET/Ending")
    assert mutant.table.name == "turn"
    gone = {(row.state, row.on) for row in mutant.table.rows} - {(row.state, row.on) for row in mutant.make().rows}
    assert gone == {(states.QUIET, ev.Ending)}


def test_a_row_is_moved_up_where_both_hold(made: dict[str, Mutant]) -> None:
    moved = [mutant for mutant in made.values() if mutant.kind is Kind.ORDER]
    for mutant in moved:
        before, after = mutant.table.declared, mutant.make().declared
        assert before != after
        assert sorted(map(id, before)) == sorted(map(id, after))


def test_a_deadline_is_gone_from_the_beginning_and_on_entry(made: dict[str, Mutant]) -> None:
    mutant = one(made, "line:AWAITED for ever")
    assert start(Policy()).line.due_ms < NEVER
    with beginning_without(mutant.endless):
        call = start(Policy())
    assert (call.line.due_ms, call.line.state) == (NEVER, states.LINE_AWAITED)
    assert call.session.due_ms < NEVER
    script = answering_with(one(made, "playout:TAIL for ever"), ev.QueueEmptied, "r1")
    assert (script.call.playout.state, script.call.playout.due_ms) == (states.TAIL, NEVER)


def test_a_mutant_leaves_the_sound_machine_alone(made: dict[str, Mutant]) -> None:
    before = dict(vars(CALL))
    for name in ("line:AWAITED for ever", "response:IN_PROGRESS/BargedIn/always: cancel_response doubled"):
        judged(one(made, name), gathered().witnesses, proof=False)
    assert vars(CALL) == before
    assert start(Policy()).line.due_ms < NEVER


def test_rows_that_do_the_same_may_change_places_and_that_is_told_by_their_form() -> None:
    assert {finding.kind for finding in score_of_all().findings if finding.by is By.FORM} == {Kind.ORDER}


def test_what_nobody_is_asked_about_survives(made: dict[str, Mutant]) -> None:
    mutant = one(made, "response:IN_PROGRESS/BargedIn/always: cancel_response doubled")
    found = judged(mutant, (), proof=False)
    assert found.by is By.NOBODY
    assert [*verdict([found], ()).lines()] == [f"SURVIVED  {mutant.name}"]
    assert percent([found]) == 0
    listed = (Equivalent("it is said twice", "response:IN_PROGRESS/*/always", (": cancel_response doubled",)),)
    assert not [*verdict([found], listed).lines()]


def test_a_listed_equivalent_that_is_told_or_no_more_is_a_fault(made: dict[str, Mutant]) -> None:
    listed = (Equivalent("it is not", "limit:*/LimitExpired/always", (" gone",)), Equivalent("no such row", "limit:NOWHERE", (" gone",)))
    told = Finding("limit:WARNED/LimitExpired/always gone", "limit", Kind.ROW, By.CLAIM, "a claim")
    lines = [*verdict([told], listed).lines()]
    assert [line.split("  ")[0] for line in lines] == ["NOTICED, though listed, by the claim a claim", "NO SUCH MUTANT"]


@pytest.mark.parametrize(
    ("name", "rule"),
    [
        ("response:IN_PROGRESS/BargedIn/always: cancel_response doubled", "R01"),
        ("interruption:SUSPECTED for ever", "R78"),
    ],
)
def test_the_proof_notices_what_breaks_its_rules(made: dict[str, Mutant], name: str, rule: str) -> None:
    mutant = one(made, name)
    assert rule in proof_of(mutant, broken(mutant), SMALL, LITTLE)


@pytest.mark.parametrize("name", ["playout", "hangup"])
def test_the_proof_finds_nothing_in_the_sound_tables(name: str) -> None:
    table = next(table for table in CALL.regions if table.name == name)
    same = Mutant(table, Kind.ORDER, "nothing is changed", frozenset(table.rows), lambda: table)
    assert proof_of(same, broken(same), SMALL, LITTLE) == ""


@pytest.mark.parametrize(
    ("name", "rule"),
    [
        ("guards.of_response: event.response_id == call.response.id by NotEq", "R75"),
        ("guards.stalled: without call.playout.state is PLAYING", "R78"),
    ],
)
def test_the_proof_notices_a_function_that_breaks_its_rules(name: str, rule: str) -> None:
    (mutant,) = [body for body in bodies(Wanted()) if body.name == name]
    assert rule in proof_of_body(mutant, SMALL, LITTLE)


def test_the_command_tells_the_score(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--table", "limit", "--fast", "--jobs", "1"]) == 0
    said = capsys.readouterr().out
    assert "deadline removed" in said
    assert "0 survived: 100.00 %" in said


@pytest.mark.parametrize("words", [["--table", "nowhere"], ["--jobs", "0"], ["--cases", "/nowhere"]])
def test_a_bad_word_is_one_line(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    try:
        code = main(words)
    except SystemExit as stopped:
        code = int(str(stopped.code))
    assert code == 2
    assert words[1] in capsys.readouterr().err.splitlines()[-1]


def test_a_file_that_is_no_case_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "odd.jsonl").write_text("nothing\n")
    assert main(["--table", "limit", "--fast", "--jobs", "1", "--cases", str(tmp_path)]) == 2
    assert "each line is a JSON object" in capsys.readouterr().err.splitlines()[-1]
