"""Claims about the simulation: it holds whole calls, the same for the same seed, and finds, makes small and replays what is planted."""

import hashlib
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import anyio
import attrs
import pytest
from test_verify import instead, mutated

from adapters.cli import main
from adapters.proof.laws import Rule
from adapters.proof.sim import campaign as sim
from adapters.proof.sim.call import Parts, Simulated, simulate
from adapters.proof.sim.campaign import Tally, again, campaign, hold_calls, report
from adapters.proof.sim.clock import Clock, Stuck, run_virtually
from adapters.proof.sim.draw import DEEDS, FAULTS, SETTINGS, draw, is_calm
from adapters.proof.sim.plan import Item, Plan, PlanError, plan_from_json
from adapters.proof.sim.shrink import kind_of, shrink, write
from adapters.realtime import port as realtime
from adapters.seam.frames import Part, Stopped
from adapters.seam.playout import Playout
from adapters.telling import trace
from adapters.telling.trace import answer_to_json, event_to_json, read_trace
from fsm import CALL, Policy, effects as fx, events as ev, states
from fsm.call import response as response_table
from fsm.call.snapshot import Call
from fsm.engine.notation import Declared, go, ignore, stay
from tests.shared.shell import PATIENCE_S, ROOT, environment

CALLS, JOBS = 1_000, 2
"""How many calls the tests hold, in how many processes."""
SEEDS = range(1, 200)
"""Where a planted fault is looked for."""
QUIET = Plan(1, (), ())
"""A call in which nobody does anything."""


REALTIME = ("voice", "realtime")
FOUND: dict[str, Plan] = {
    "the next response is heard before the one ahead of it is told to be over": Plan(
        102_761, (REALTIME, ("create_response", True), ("greeting_ms", 2_000)), (Item("speak", "start", 1, 877, 1_153),)
    ),
    "the next response is heard while the line still holds the end of the one ahead of it": Plan(
        16, (REALTIME,), (Item("holds", "line", 1, 0, 300), Item("unasked", "done", 2, 100))
    ),
    "a session that is told to have expired still sends sound": Plan(1, (REALTIME,), (Item("error", "create", 1, 300, "session_expired"),)),
    "a program is suspended in the middle of a sentence that streams": Plan(
        2, (), (Item("streams", "dialect"), Item("jump", "sound", 1, 100, 5_000))
    ),
    "silence that fills the gaps of a sentence counts as its words": Plan(
        66,
        (),
        (
            Item("streams", "dialect"),
            Item("drip", "synthesis", 2, 0, 2_000),
            Item("speak", "silence", 2, 500, 2_500),
            Item("speak", "start", 1, 900, 1_500),
        ),
    ),
}
"""Calls that broke a rule once."""


@pytest.fixture(scope="module")
def held() -> Tally:
    return campaign(CALLS, 1, JOBS)


# Many calls.


def test_no_call_breaks_a_rule(held: Tally) -> None:
    assert held.calls == CALLS
    assert not held.broken, "\n".join(report(again(held), Path("violations")))


@pytest.mark.parametrize("name", FOUND)
def test_what_was_found_is_mended(name: str) -> None:
    assert not simulate(FOUND[name]).fault


def test_everything_that_can_go_wrong_does(held: Tally) -> None:
    kinds = {Item(kind.what, cue).kind for kind in (*DEEDS, *FAULTS) for cue in kind.cues}
    assert not kinds - set(held.strikes)


def test_calls_end_in_every_way_that_a_fault_can_end_them(held: Tally) -> None:
    assert not {reason.value for reason in fx.Reason} - set(held.reasons)


def test_nearly_every_row_is_taken_in_some_call(held: Tally) -> None:
    """But those that no driver meets, each with its reason; `callfsm sim` shows how many are left of how many calls."""
    never = sim.rows_never_taken(held)
    assert len(never) < 68, "\n".join(never)


def test_a_row_that_no_driver_meets_is_told_with_the_reason(held: Tally) -> None:
    told = "\n".join(sim.in_words(held, 1.0))
    for row, why in sim.UNMET.items():
        assert f"that no driver meets: {row}: {why}" in told
        met = [name for name in sim.rows_never_taken(Tally()) if fnmatchcase(name, row)]
        assert not met


def test_every_setting_that_is_drawn_is_one_of_the_policy() -> None:
    assert not set(SETTINGS) - {field.name for field in attrs.fields(Policy)}


def test_a_campaign_in_processes_is_the_one_held_here() -> None:
    here = hold_calls(range(1, 51))
    spread = campaign(50, 1, 2)
    assert (here.steps, here.strikes, here.reasons, here.rows) == (spread.steps, spread.strikes, spread.reasons, spread.rows)


# The same seed.

HASHED = """
import hashlib, json
from adapters.proof.sim.call import simulate
from adapters.proof.sim.draw import draw
from adapters.telling.trace import answer_to_json, event_to_json
seal = hashlib.sha256()
for seed in range(1, 31):
    for event, answer in simulate(draw(seed)).steps:
        seal.update(json.dumps([event_to_json(event), answer_to_json(answer)]).encode())
print(seal.hexdigest())
"""


def sealed(seeds: range) -> str:
    """The hash of the calls of some seeds, in this process."""
    seal = hashlib.sha256()
    for seed in seeds:
        for event, answer in simulate(draw(seed)).steps:
            seal.update(json.dumps([event_to_json(event), answer_to_json(answer)]).encode())
    return seal.hexdigest()


def test_a_seed_is_the_same_call_to_the_byte_in_any_process() -> None:
    told = {
        subprocess.run(
            [sys.executable, "-c", HASHED],
            cwd=ROOT,
            env=environment(PYTHONPATH=str(ROOT), PYTHONHASHSEED=seed),
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=True,
        ).stdout.strip()
        for seed in ("1", "2")
    }
    assert told == {sealed(range(1, 31))}


def test_another_seed_is_another_call() -> None:
    assert len({sealed(range(seed, seed + 1)) for seed in range(1, 11)}) == 10


def test_a_plan_is_read_as_it_was_written() -> None:
    for seed in range(1, 50):
        assert plan_from_json(draw(seed).to_json()) == draw(seed)


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"seed": 1, "settings": {"call_ms": -1}, "items": []}', '{"seed": 1, "settings": {}, "items": [[1]]}']
)
def test_what_is_no_plan_is_refused(text: str) -> None:
    with pytest.raises(PlanError, match="not a plan"):
        plan_from_json(text)


# One call.


def test_a_call_in_which_nobody_does_anything_ends_with_a_goodbye() -> None:
    done = simulate(QUIET)
    assert not done.fault
    assert done.reason in {fx.Reason.GOODBYE.value, fx.Reason.IDLE.value}


def test_calls_in_which_nothing_goes_wrong_are_among_them() -> None:
    assert sum(is_calm(draw(seed)) for seed in range(1, 500)) > 10


def test_both_voices_speak_and_are_interrupted() -> None:
    for voice in ("chatterbox", "realtime"):
        done = simulate(Plan(1, (("voice", voice),), (Item("speak", "silence", 1, 500, 1_000), Item("speak", "sound", 4, 600, 2_000))))
        asked = [type(effect) for _, answer in done.steps for effect in answer.effects]
        assert not done.fault
        assert fx.Flush in asked
        assert (fx.RewriteItem if voice == "chatterbox" else fx.TruncateItem) in asked


def test_a_clock_that_jumps_lets_deadlines_pass() -> None:
    plain = simulate(QUIET)
    jumped = simulate(Plan(1, (), (Item("jump", "start", 1, 8_000, 30_000),)))
    assert not jumped.fault
    assert jumped.steps != plain.steps


# The clock.


def test_an_hour_passes_at_once_and_in_order() -> None:
    async def sleep(clock: Clock) -> list[float]:
        woken: list[float] = []

        async def until(seconds: float) -> None:
            await anyio.sleep(seconds)
            woken.append(clock.now_s)

        async with anyio.create_task_group() as group:
            for seconds in (3_600, 1, 60):
                group.start_soon(until, seconds)
        return woken

    assert run_virtually(sleep) == [1, 60, 3_600]


def test_a_program_that_waits_for_nothing_is_stuck() -> None:
    async def wait(_: Clock) -> None:
        await anyio.sleep_forever()

    with pytest.raises(Stuck, match="no timer runs"):
        run_virtually(wait)


def test_a_program_that_never_waits_is_stuck() -> None:
    async def spin(_: Clock) -> None:
        while True:
            await anyio.sleep(0)

    with pytest.raises(Stuck, match="time stands still"):
        run_virtually(spin)


# Planted faults.


def cancel_again(call: Call, _: object) -> fx.CancelResponse:
    return fx.CancelResponse(call.response.id)


def keep_too_much(_: Call, event: ev.PlayoutStopped) -> fx.TruncateItem:
    return fx.TruncateItem(f"item_{event.response_id}", int(event.received_ms))


def asked_any_time(declared: Declared) -> Declared:
    return attrs.evolve(declared, guard=wants) if declared.guard.__name__ == "may_ask" else declared


def wants(call: Call, _: object) -> bool:
    return call.pending.state is states.WANTED


def owe_nothing(declared: Declared) -> Declared:
    hit = ev.TurnTaken in declared.events and declared.guard.__name__ == "always"
    return attrs.evolve(declared, then=ignore("planted")) if hit else declared


Change = Callable[[Declared], Declared | None]
TABLES: dict[str, tuple[str, Change, str]] = {
    "a second cancel": (
        "response",
        instead(states.CANCEL_IN_FLIGHT, ev.ResponseExpired, go(states.CANCELLED, cancel_again)),
        Rule.CANCEL_ONCE,
    ),
    "a deadline that does nothing": (
        "response",
        instead(states.CANCEL_IN_FLIGHT, ev.ResponseExpired, stay(response_table.log_cancel_unconfirmed)),
        "its deadline runs on",
    ),
    "a hold without its resume": ("interruption", instead(states.LOCKED, ev.BargedIn, ignore("planted")), Rule.INTERRUPTED),
    "a voice that goes on": ("playout", instead(states.PLAYING, ev.BargedIn, ignore("planted")), Rule.INTERRUPTED),
    "a response asked for too early": ("response", asked_any_time, Rule.CREATE_ALONE),
    "an end that is not told": ("phase", instead(states.LISTENING, ev.CallerHungUp, go(states.CLOSED)), "the application is told"),
    "a turn that nobody answers": ("pending", owe_nothing, Rule.DEBTS),
    "a model that remembers what was not heard": (
        "truncation",
        instead(states.POSITION_AWAITED, ev.PlayoutStopped, go(states.IN_STEP, keep_too_much), "last_awaited"),
        Rule.CORRECTION,
    ),
}
"""What is planted into the tables, and the rule that it breaks."""


def found(parts: Parts, words: str, *, whole: bool = True) -> Simulated:
    """The first call that breaks a rule with these words, made small; `whole`: and none without what was planted."""
    for seed in SEEDS:
        done = simulate(draw(seed), parts)
        if words in done.fault and not (whole and simulate(draw(seed)).fault):
            return shrink(done, parts)
    raise AssertionError(f"no call breaks {words!r}")


def every_part_is_needed(small: Simulated, parts: Parts) -> bool:
    """Does leaving out any one item keep the rule whole?"""
    items = small.plan.items
    fewer = [attrs.evolve(small.plan, items=items[:at] + items[at + 1 :]) for at in range(len(items))]
    return all(kind_of(simulate(plan, parts).fault) != kind_of(small.fault) for plan in fewer)


@pytest.mark.parametrize("name", TABLES)
def test_a_fault_planted_in_a_table_is_found_made_small_and_replayed(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table, change, words = TABLES[name]
    parts = Parts(machine=mutated(table, change))
    small = found(parts, words)
    assert len(small.plan.items) <= 5
    assert every_part_is_needed(small, parts)
    assert simulate(small.plan, parts).steps == small.steps
    path, _ = write(small, tmp_path)
    monkeypatch.setattr(trace, "step", parts.machine.step)
    assert read_trace(path).first_difference() is None
    monkeypatch.setattr(trace, "step", CALL.step)
    assert read_trace(path).first_difference() is not None
    assert not simulate(small.plan).fault


def test_each_item_of_an_answer_that_is_interrupted_is_cut_or_deleted() -> None:
    """R88: the caller speaks into the first of three items, all of whose sound has come."""
    items = (Item("speak", "start", 1, 6_000, 1_000), Item("items", "response", 2, 0, 3), Item("speak", "sound", 2, 800, 1_500))
    done = simulate(Plan(13, (("voice", "realtime"),), items))
    assert not done.fault
    [(stopped, effects)] = [(event, answer.effects) for event, answer in done.steps if isinstance(event, ev.PlayoutStopped)]
    assert [one.item_id for one in stopped.items] == ["item_r2", "item_r2_2", "item_r2_3"]
    cut = fx.TruncateItem("item_r2", int(stopped.items[0].played_ms))
    assert effects == (cut, fx.DeleteItem("item_r2_2"), fx.DeleteItem("item_r2_3"))


class PlaysAfterFlush(Playout):
    """Its flush keeps what is queued, and takes more."""

    def flush(self, response_id: str) -> None:
        if response_id not in self._admitted:
            super().flush(response_id)


class PlaysWhileHeld(Playout):
    """It never holds."""

    def hold(self) -> None:
        """Go on."""


class AdmitsAll(Playout):
    """It plays what nobody has admitted."""

    def play(self, response_id: str, pcm: bytes, part: Part = ("", 0), sentence: str = "") -> bool:
        self.admit(response_id)
        return super().play(response_id, pcm, part, sentence)


class Exaggerates(Playout):
    """It says that all but the last of everything was heard."""

    def stopped(self, response_id: str) -> Stopped:
        told = super().stopped(response_id)
        items = (attrs.evolve(one, played_ms=max(0.0, one.received_ms - 1)) for one in told.items)
        return attrs.evolve(told, played_ms=max(0.0, told.received_ms - 1), items=tuple(items))


class Mixes(Playout):
    """It takes a position in the response for one in each of its items."""

    def stopped(self, response_id: str) -> Stopped:
        told = super().stopped(response_id)
        items = (attrs.evolve(one, played_ms=min(told.played_ms, one.received_ms)) for one in told.items)
        return attrs.evolve(told, items=tuple(items))


class Breaks(Playout):
    """It has a bug."""

    def resume(self) -> None:
        raise ZeroDivisionError("planted")


@pytest.mark.parametrize(
    ("playout", "words"),
    [
        (PlaysAfterFlush, "only what may be heard is heard"),
        (PlaysWhileHeld, "only what may be heard is heard"),
        (AdmitsAll, "only what may be heard is heard"),
        (Exaggerates, "the model remembers what was heard"),
        (Mixes, "R88)"),
        (Breaks, "a part raised ZeroDivisionError: planted"),
    ],
)
def test_a_fault_planted_in_the_playout_is_found_made_small_and_replayed(playout: type[Playout], words: str, tmp_path: Path) -> None:
    parts = Parts(playout=playout)
    small = found(parts, words)
    assert len(small.plan.items) <= 6
    assert every_part_is_needed(small, parts)
    assert not simulate(small.plan).fault
    assert read_trace(write(small, tmp_path)[0]).first_difference() is None


def test_a_cancel_that_leaves_twice_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    send = realtime.Wire.send

    def twice(wire: realtime.Wire, effect: fx.Effect) -> list[dict[str, Any]]:
        return send(wire, effect) * (2 if isinstance(effect, fx.CancelResponse) else 1)

    monkeypatch.setattr(realtime.Wire, "send", twice)
    assert found(Parts(), "a response is cancelled once on the wire", whole=False)


def test_a_socket_that_stays_open_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("adapters.proof.sim.link.Socket.close", _ignored)
    assert found(Parts(), "every socket is closed at the end", whole=False)


def _ignored(*_: object) -> None:
    """Nothing happens."""


# The command.


@pytest.fixture
def planted(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The playout of all calls of this process never holds."""
    monkeypatch.setattr(Playout, "hold", PlaysWhileHeld.hold)
    yield


def test_the_command_tells_what_happened(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["sim", "--calls", "20", "--seed", "3", "--jobs", "1", "--rows", "--out", str(tmp_path / "none")]) == 0
    told = capsys.readouterr().out
    assert told.startswith("20 calls ")
    for word in ("steps", "calls/s", "struck  speak", "ended   ", "taken, ", "never   playout:"):
        assert word in told
    assert not (tmp_path / "none").exists()


def test_the_command_writes_what_breaks_a_rule_and_how_to_repeat_it(
    planted: None, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert main(["sim", "--calls", "25", "--jobs", "1", "--out", str(tmp_path)]) == 1
    told = capsys.readouterr().out
    assert "BROKEN  only what may be heard is heard" in told
    plan, traced = next(tmp_path.glob("*.plan")), next(tmp_path.glob("*.trace"))
    seed = plan.stem.removeprefix("seed_")
    assert f"callfsm sim --calls 1 --seed {seed}" in told
    assert main(["replay", str(traced)]) == 0
    assert main(["sim", "--plan", str(plan)]) == 1
    assert main(["sim", "--calls", "1", "--seed", seed, "--jobs", "1", "--out", str(tmp_path)]) == 1


def test_a_plan_that_breaks_nothing_is_said_to(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "quiet.plan").write_text(QUIET.to_json())
    assert main(["sim", "--plan", str(tmp_path / "quiet.plan")]) == 0
    assert "no rule is broken" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments",
    [
        ("--calls", "0"),
        ("--calls", "-5"),
        ("--seed", "-1"),
        ("--jobs", "0"),
        ("--out", "README.md"),
        ("--out", "README.md/deeper"),
        ("--plan", "no such file"),
        ("--plan", "README.md"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(
    arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    assert main(["sim", *arguments]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("\n") == 1
    assert arguments[0] in said.err


@pytest.mark.parametrize("seed", ["x", "1.5", ""])
def test_a_seed_that_is_no_number_is_refused(seed: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sim", "--seed", seed]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_a_folder_that_cannot_be_written_is_refused_when_something_is_found(planted: None, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sim", "--calls", "25", "--jobs", "1", "--out", "/proc/callfsm"]) == 2
    assert "--out /proc/callfsm" in capsys.readouterr().err
