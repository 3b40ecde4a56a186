"""Claims about field logs: core and driver keep each case alike, every check can fail, and a broken file is known as such."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import attrs
import pytest

from adapters.cli import main
from adapters.proof.cases.feed import Moment
from adapters.proof.cases.judge import judge, passed_over, steps_before
from adapters.proof.cases.reading import NEEDED, Case, CaseError, read_case
from adapters.seam.driver import Driver
from adapters.seam.ports import Post
from fsm.call import effects as fx, events as ev
from fsm.call.snapshot import start
from tests.shared.shell import ROOT, Onlooker, run_on

OURS = sorted((ROOT / "tests" / "cases").glob("*.jsonl"))
SHARED = ROOT.parent / "shared" / "cases"
FOREIGN = sorted(SHARED.glob("*.jsonl"))


def named(paths: list[Path]) -> pytest.MarkDecorator:
    """Run a test for each of these cases."""
    return pytest.mark.parametrize("path", paths, ids=[path.stem for path in paths])


def complaints(case: Case) -> list[str]:
    """The checks that do not hold, each with what was seen and the steps that led there."""
    verdicts, history = judge(case)
    return [
        "\n".join([f"{verdict.check} [{verdict.seen}]", *steps_before(history, verdict.until_ms)])
        for verdict in verdicts
        if verdict.holds is False
    ]


@named(OURS)
def test_the_core_keeps_the_case(path: Path) -> None:
    assert complaints(read_case(path)) == []


@pytest.mark.skipif(not FOREIGN, reason=f"there are no cases of others in {SHARED}: the format is tried on our own alone")
@named(FOREIGN or [SHARED])
def test_the_core_keeps_the_cases_of_others(path: Path) -> None:
    assert complaints(read_case(path)) == []


# The same steps through the driver.


@attrs.define(eq=False)
class Log:
    """A port that posts what happened in a case, each thing a microsecond later than the one before, so that deadlines keep their place."""

    moments: list[Moment]
    performs: tuple[type[fx.Effect], ...] = ()

    async def run(self, post: Post) -> None:
        began_s = anyio.current_time()
        for number, moment in enumerate(self.moments):
            if not isinstance(moment.event, ev.Expired):
                await anyio.sleep_until(began_s + (moment.event.at_ms - self.moments[0].event.at_ms) / 1000 + number * 1e-6)
                post(type(moment.event), *attrs.astuple(moment.event)[1:])
        await anyio.sleep_forever()

    def do(self, effect: fx.Effect) -> None:
        raise AssertionError(f"a log performs nothing, so not {effect}")


def driven(moments: list[Moment], end_ms: float) -> list[tuple[str, list[str], tuple[Any, ...]]]:
    """What the driver does where these things happen, up to `end_ms`."""
    first = moments[0]
    call = start(first.answer.snapshot.policy, first.answer.snapshot.call_id)
    onlooker = Onlooker()

    async def main() -> None:
        with anyio.move_on_after((end_ms - first.event.at_ms) / 1000 + 5e-4):
            await Driver(call, [Log(moments)], [onlooker]).run()

    run_on("trio", main)
    if len(onlooker.steps) > len(moments):
        stopped = onlooker.steps.pop()[0]
        assert isinstance(stopped, ev.CallerHungUp), "a call that the log leaves open is stopped from outside"
    return [told(event, answer) for event, answer in onlooker.steps]


def told(event: ev.Event, answer: Any) -> tuple[str, list[str], tuple[Any, ...]]:
    """A step as its event, the rows that answered, and the effects."""
    return type(event).__name__, [row.name for row in answer.rows], answer.effects


@named([*OURS, *FOREIGN])
def test_the_driver_takes_the_same_steps(path: Path) -> None:
    case = read_case(path)
    _, history = judge(case)
    for name in {moment.name for moment in history.moments}:
        moments = [moment for moment in history.moments if moment.name == name]
        closed = next((at for at, moment in enumerate(moments, 1) if moment.answer.snapshot.phase.state.name == "closed"), len(moments))
        assert all(not moment.answer.effects for moment in moments[closed:]), (
            "nothing comes after the end, which the driver does not even answer"
        )
        expected = [told(moment.event, moment.answer) for moment in moments[:closed]]
        assert driven(moments, case.end_ms)[:closed] == expected


# Every check can fail.

TWICE = "the_caller_interrupts_twice_in_a_breath"
BYE = "goodbye_said_twice"
BOX = "the_next_sentence_was_in_synthesis"


@pytest.mark.parametrize(
    ("name", "check"),
    [
        (TWICE, {"check": "cancels", "response": "resp_1", "max": 0}),
        (TWICE, {"check": "cancels", "response": "resp_1", "min": 2}),
        (TWICE, {"check": "cancels", "response": "resp_2", "min": 1}),
        (TWICE, {"check": "creates", "max": 1}),
        (TWICE, {"check": "creates", "min": 1, "from_ms": 501, "to_ms": 2699}),
        (TWICE, {"check": "flushes", "max": 0}),
        (TWICE, {"check": "flushes", "response": "resp_1", "min": 1, "from_ms": 1651}),
        (TWICE, {"check": "audible", "response": "resp_1", "at_ms": 1400, "is": False}),
        (TWICE, {"check": "audible", "response": "resp_1", "at_ms": 1700, "is": True}),
        (TWICE, {"check": "phase", "at_ms": 1700, "in": ["listening", "ai_speaking"]}),
        (TWICE, {"check": "phase", "at_ms": 1700, "not_in": ["cancelling"]}),
        (TWICE, {"check": "ends_in", "in": ["closed"]}),
        (BYE, {"check": "hangups", "max": 0}),
        (BYE, {"check": "hangups", "min": 2}),
        (BYE, {"check": "hangups", "not_before_ms": 1999}),
        (BYE, {"check": "hangups", "min": 1, "not_after_ms": 1400}),
        (BYE, {"check": "effects_after", "t_ms": 1000, "max": 0}),
        (BOX, {"check": "synth_posts", "sentence": 1, "max": 0}),
        (BOX, {"check": "synth_posts", "sentence": 3, "min": 1}),
        (BOX, {"check": "synth_cancels", "max": 0}),
        (BOX, {"check": "synth_cancels", "session_id": "s1", "min": 1}),
        ("a_sentence_that_the_synthesiser_refused", {"check": "log_level", "of": "sentence_lost", "max": "info"}),
    ],
    ids=str,
)
def test_a_check_that_does_not_hold_fails(name: str, check: dict[str, Any]) -> None:
    case = our(name)
    verdicts, _ = judge(attrs.evolve(case, header={**case.header, "checks": [case.header["checks"][0], check]}))
    assert [verdict.holds for verdict in verdicts] == [False]


@pytest.mark.parametrize(
    ("name", "event", "failing"),
    [
        (TWICE, "input_audio_buffer.speech_started", {"phase"}),
        (BYE, "response.done", {"hangups", "ends_in"}),
        (BOX, "barge_in", {"flushes", "synth_cancels", "phase"}),
        ("speech_between_create_and_created", "input_audio_buffer.committed", {"creates"}),
        ("the_caller_talks_into_the_greeting", "session.updated", {"phase", "cancels", "audible"}),
        ("the_receiver_died_in_mid_answer", "receiver.exception", {"phase", "audible", "hangups", "ends_in"}),
    ],
)
def test_a_log_in_which_something_did_not_happen_fails(name: str, event: str, failing: set[str]) -> None:
    case = our(name)
    rows = [row for row in case.rows if row["event"] != event]
    assert {complaint.split()[0] for complaint in complaints(attrs.evolve(case, rows=rows))} >= failing


def test_our_cases_use_every_check() -> None:
    used = {check["check"] for path in OURS for check in read_case(path).header["checks"]}
    assert used == set(NEEDED)


def test_an_unjudged_expectation_is_told_and_fails_nothing() -> None:
    verdicts, _ = judge(our("the_greeting_lived_for_60_ms"))
    assert [verdict.holds for verdict in verdicts].count(None) == 1


def test_a_failed_check_comes_with_the_steps_that_led_there() -> None:
    case = our(TWICE)
    header = {**case.header, "checks": [*case.header["checks"], {"check": "phase", "at_ms": 1700, "in": ["listening"]}]}
    [complaint] = complaints(attrs.evolve(case, header=header))
    assert complaint.splitlines()[-1].strip().startswith("1650 ms")
    assert "CancelResponse(resp_1)" in complaint


def test_every_case_names_its_rules_and_what_it_expects() -> None:
    for path in OURS:
        header = read_case(path).header
        assert header["case"] == path.stem
        assert header["rules"]
        assert header["expect"]
        assert all(rule[0] == "R" and 1 <= int(rule[1:]) <= 87 for rule in header["rules"])


def our(name: str) -> Case:
    """A case of ours."""
    return read_case(ROOT / "tests" / "cases" / f"{name}.jsonl")


# A file that is no case.

HEADER: dict[str, Any] = {"case": "c", "checks": [{"check": "policy", "set": {"voice": "realtime"}}, {"check": "hangups", "max": 0}]}
ROW: dict[str, Any] = {"t_ms": 0, "source": "telephony", "event": "start", "payload": {}}


def with_check(**check: Any) -> list[Any]:
    """A case with one more check."""
    return [{**HEADER, "checks": [*HEADER["checks"], check]}, ROW]


def with_row(**row: Any) -> list[Any]:
    """A case with one more row."""
    return [HEADER, ROW, {**ROW, **row}]


def with_policy(**settings: Any) -> list[Any]:
    """A case with other settings."""
    return [{**HEADER, "checks": [{"check": "policy", "set": settings}]}, ROW]


BROKEN: dict[str, list[Any]] = {
    "no lines": [],
    "no header": [ROW],
    "no rows": [HEADER],
    "a header that is a list": [[1], ROW],
    "checks that are no list": [{**HEADER, "checks": {"check": "hangups"}}, ROW],
    "a check that is a word": [{**HEADER, "checks": ["hangups"]}, ROW],
    "a check without its name": with_check(max=0),
    "an unknown check": with_check(check="barks", max=0),
    "a check of a response without its name": with_check(check="cancels", max=0),
    "a check at no time": with_check(check="audible", response="r", **{"is": True}),
    "a time that is a word": with_check(check="phase", at_ms="soon", **{"in": ["listening"]}),
    "a count that is a word": with_check(check="creates", max="few"),
    "an unknown log level": with_check(check="log_level", of="x", max="loud"),
    "an unknown setting": with_policy(barks=True),
    "a setting out of range": with_policy(voice="dog"),
    "settings that are no object": [{**HEADER, "checks": [{"check": "policy", "set": ["voice"]}]}, ROW],
    "a policy without settings": [{**HEADER, "checks": [{"check": "policy"}]}, ROW],
    "a row that is a list": [HEADER, [0]],
    "a row without a time": [HEADER, {"source": "llm", "event": "error"}],
    "a row at no number": with_row(t_ms="soon"),
    "a row with a payload that is a word": with_row(payload="dog"),
    "a row whose source is a number": with_row(source=1),
    "a row at no finite time": with_row(t_ms=float("nan")),
    "a row from nowhere": with_row(source="telefony"),
    "an unknown phase": with_check(check="phase", at_ms=0, **{"in": ["asleep"]}),
    "a phase that is no list": with_check(check="ends_in", **{"in": 5}),
    "an audibility that is a word": with_check(check="audible", response="r", at_ms=0, **{"is": "no"}),
    "a response that is a number": with_check(check="cancels", response=5, max=0),
    "a sound of less than nothing": with_row(source="llm", event="response.audio.delta", payload={"response_id": "r", "frames_20ms": -5}),
    "a sentence whose number is a word": with_row(source="tts", event="synth.post", payload={"sentence": "one"}),
    "a key that is none": with_row(event="dtmf"),
    "a response without an id": with_row(source="llm", event="response.created", payload={}),
    "an unknown status": with_row(source="llm", event="response.done", payload={"response_id": "r", "status": "asleep"}),
    "a queue without a length": [HEADER, {**ROW, "source": "llm", "event": "response.audio.done", "payload": {"response_id": "r"}},
                                 {**ROW, "source": "audio", "event": "tx_queue", "payload": {"frames": "many"}}],
    "a sentence without a number": with_row(source="tts", event="synth.response", payload={"status": 200}),
}  # fmt: skip


@pytest.mark.parametrize("lines", BROKEN.values(), ids=BROKEN)
def test_a_broken_case_is_refused_in_one_line(tmp_path: Path, lines: list[Any]) -> None:
    path = tmp_path / "broken.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    with pytest.raises(CaseError) as error:
        judge(read_case(path))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "write",
    [
        lambda path: None,
        lambda path: path.mkdir(),
        lambda path: path.write_bytes(b"\xff\xfe\x00"),
        lambda path: path.write_text("{not json}\n"),
        lambda path: path.write_text("[" * 100_000),
        lambda path: path.write_text('{"checks": ' + "9" * 5_000 + "}"),
    ],
    ids=["missing", "a folder", "bytes", "no json", "deep", "a long number"],
)
def test_a_file_that_is_no_case_is_refused_in_one_line(tmp_path: Path, write: Callable[[Path], Any]) -> None:
    write(tmp_path / "case.jsonl")
    with pytest.raises(CaseError) as error:
        read_case(tmp_path / "case.jsonl")
    assert str(error.value).startswith(str(tmp_path))
    assert "\n" not in str(error.value)


def test_rows_of_an_unknown_kind_are_passed_over_and_told() -> None:
    case = our(BYE)
    odd = [{"t_ms": 700, "source": source, "event": "brand_new", "payload": {"left": 3}} for source in ("llm", "telephony", "audio")]
    known = [{"t_ms": 700, "source": "llm", "event": "rate_limits.updated", "payload": {}}, {**odd[0], "event": "response.cancel.sent"}]
    longer = attrs.evolve(case, rows=[*case.rows, *odd, *known])
    assert complaints(longer) == []
    assert passed_over(longer) == ["llm brand_new", "telephony brand_new", "audio brand_new"]


def test_our_cases_have_no_rows_that_are_passed_over_but_one() -> None:
    assert {kind for path in [*OURS, *FOREIGN] for kind in passed_over(read_case(path))} == {"llm response.brand_new"}


def test_a_file_may_begin_with_a_byte_order_mark_and_end_its_lines_in_other_ways(tmp_path: Path) -> None:
    path = tmp_path / "case.jsonl"
    spoken = json.dumps({**ROW, "payload": {"text": "two\u2028lines\x85of a text"}}, ensure_ascii=False)
    path.write_bytes("\r\n".join([json.dumps(HEADER), "", spoken, "  "]).encode("utf-8-sig"))
    assert complaints(read_case(path)) == []


def test_rows_are_fed_by_their_times_but_inferred_ones_in_their_order(tmp_path: Path) -> None:
    times = [(300, False), (100, False), (900, True), (400, False), (50, True)]
    rows = [{**ROW, "t_ms": t_ms, "inferred": inferred, "payload": {"n": n}} for n, (t_ms, inferred) in enumerate(times)]
    path = tmp_path / "case.jsonl"
    path.write_text("\n".join(json.dumps(line) for line in [HEADER, *rows]))
    assert [(row["payload"]["n"], row["t_ms"]) for row in read_case(path).rows] == [(1, 100), (0, 300), (2, 400), (3, 400), (4, 400)]


def test_a_bound_that_is_null_bounds_nothing(tmp_path: Path) -> None:
    path = tmp_path / "case.jsonl"
    path.write_text("\n".join(json.dumps(line) for line in with_check(check="hangups", min=0, max=None, not_after_ms=None)))
    assert complaints(read_case(path)) == []


def test_a_broken_file_keeps_no_other_from_being_judged(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "broken.jsonl").write_text("{")
    good = ROOT / "tests" / "cases" / f"{BYE}.jsonl"
    assert main(["case", str(tmp_path / "broken.jsonl"), str(good), str(tmp_path / "missing.jsonl")]) == 2
    told = capsys.readouterr()
    assert told.out.startswith(BYE)
    assert told.out.endswith("1 cases, 0 checks failed\n")
    assert len(told.err.splitlines()) == 1
    assert "broken.jsonl: line 1" in told.err
    assert "missing.jsonl" in told.err
