"""Claims about calls under fault: each fault with both voices, owners of interruption and backends, over real sockets.

The covering part of the matrix is held: two calls for each fault, which differ in everything that the fault leaves open, so that every
two values of fault, voice, owner and backend meet. With CALLFSM_MATRIX=full it is the whole product; `python -m tests.matrix` prints it.
"""

import itertools
import os
from collections.abc import Callable, Iterator

import attrs
import pytest

from fsm.call import effects as fx, events as ev
from tests.matrix import CallerOfTwoTurns, Held, end_of, hold_all, old_audio_of, servers, verdicts, words_of
from tests.matrix_faults import BACKENDS, FAULTS, Cell, covering_cells, every_cell

CELLS = every_cell() if os.environ.get("CALLFSM_MATRIX") == "full" else covering_cells()


@attrs.frozen
class World:
    """All calls, and what was left of them in this process by backend."""

    held: list[Held]
    left: dict[str, list[str]]

    def wrong(self, judge: Callable[[Held], object]) -> dict[str, object]:
        """The calls of which the judge finds something to say; their stories are printed."""
        found = {str(one.cell): words for one in self.held if (words := judge(one))}
        print(*(f"{one.story()}\nthe machine was {one.late_ms:.0f} ms late" for one in self.held if str(one.cell) in found), sep="\n\n")
        return found


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    held: list[Held] = []
    left: dict[str, list[str]] = {}
    with servers() as process:
        for backend in BACKENDS:
            some, left[backend] = hold_all(backend, [cell for cell in CELLS if cell.backend == backend], process)
            held += some
    yield World(held, left)


def test_every_fault_strikes(world: World) -> None:
    assert world.wrong(_missed) == {}


def test_the_next_turn_is_answered_or_the_call_is_closed_for_its_one_reason(world: World) -> None:
    """R59, R60, R78, R85, R86: within the deadlines that the tables declare, and the application is told once."""
    assert world.wrong(end_of) == {}


def test_no_old_audio_is_heard_once_the_voice_is_silent(world: World) -> None:
    """R09, R30, R31: nothing after a flush, nothing in a hold, and at most one frame after the caller's first sound."""
    assert world.wrong(old_audio_of) == {}


def test_no_error_is_provoked_and_nobody_is_talked_over(world: World) -> None:
    """R01, R02, R19: no command is refused but in a race, a response is cancelled once, and none is asked for while the caller speaks."""
    assert world.wrong(words_of) == {}


@pytest.mark.parametrize("backend", BACKENDS)
def test_nothing_is_left_of_the_calls(world: World, backend: str) -> None:
    """R07, R50: no task, socket or thread more than before."""
    assert world.left[backend] == []


def test_every_call_was_held(world: World) -> None:
    assert sorted(str(one.cell) for one in world.held) == sorted(map(str, CELLS))


def test_the_covering_part_meets_every_pair() -> None:
    """Of fault, voice, owner and backend, as far as there is a call of the product that does."""
    assert _pairs(covering_cells()) == _pairs(every_cell())
    assert len(covering_cells()) == 2 * len(FAULTS)


def test_a_judge_can_find_something_wrong(world: World) -> None:
    """The judges see the untroubled call, changed for the worse."""
    good = next(one for one in world.held if one.cell.fault == "none")
    assert verdicts(good) == []
    silent = CallerOfTwoTurns(speaks_again=False)
    flushed = next(step for step in good.steps if "Flush" in str(step.effects))
    moved = attrs.evolve(flushed, at_s=good.steps[0].at_s)
    spoken = CallerOfTwoTurns(speaks_again=False)
    spoken.content, spoken.spoke = True, [(good.steps[0].at_s - 1, good.steps[-1].at_s)]
    asked = next(one for one in world.held if one.cell.fault == "none" and one.cell.owner == "client")
    assert end_of(attrs.evolve(good, caller=silent)).startswith("the next turn was not answered")
    assert end_of(attrs.evolve(good, steps=good.steps[:-1])) == "0 ends"
    assert end_of(attrs.evolve(good, hung=True)).startswith("it did not end")
    assert old_audio_of(attrs.evolve(good, steps=[moved])).startswith("old audio")
    cancel = {**asked.realtime_log[0], "event": {"type": "response.cancel", "event_id": "cf_x", "response_id": "resp_x"}}
    assert "cancels" in words_of(attrs.evolve(asked, realtime_log=[*asked.realtime_log, cancel, cancel]))
    assert "while the caller spoke" in words_of(attrs.evolve(asked, caller=spoken))
    ended, sent, refused = (
        attrs.evolve(good.steps[0], event=event, effects=effects)
        for event, effects in (
            (ev.ResponseCompleted(0.0, "r1"), ()),
            (ev.BargeInDetected(0.0), (fx.CancelResponse("r1"),)),
            (ev.CancelRefused(0.0, "r1", "response_cancel_not_active"), ()),
        )
    )
    assert attrs.evolve(good, steps=[sent, ended, refused]).provoked == [], "they crossed"
    for steps in ([ended, sent, refused], [ended, refused], [sent, refused]):
        assert attrs.evolve(good, steps=steps).provoked == ["response_cancel_not_active"]
    other = attrs.evolve(good, cell=Cell("malformed_json", "realtime", "client", "trio"))
    assert "did not strike" in str(verdicts(other))


def _missed(held: Held) -> bool:
    return not held.struck


def _pairs(cells: list[Cell]) -> set[tuple[tuple[str, str], tuple[str, str]]]:
    return {pair for cell in cells for pair in itertools.combinations(attrs.asdict(cell).items(), 2)}
