"""Claims about the notation: a table that is not sound cannot be made, and its error says in words what is wrong."""

from typing import Any

import attrs
import pytest

from fsm.engine.checks import candidates
from fsm.engine.machine import Machine
from fsm.engine.notation import NEVER, Declared, Record, Region, State, always, go, ignore, raises, region, row, sets, stay


@attrs.frozen
class Happened:
    at_ms: float


@attrs.frozen
class Rang(Happened):
    pass


@attrs.frozen
class Lifted(Happened):
    pass


@attrs.frozen
class Tired(Happened):
    epoch: int


EVENTS = (Rang, Lifted, Tired)
QUIET = State("quiet", "Nothing rings.", for_ever="a telephone need not ring")
RINGING = State("ringing", "It rings.", at_most=lambda bell: bell.patience_ms)
FOREIGN = State("foreign", "No state of this region.", for_ever="never entered")


@attrs.frozen
class Bell(Record):
    state: State = QUIET
    rings: int = 0


@attrs.frozen
class Telephone:
    patience_ms: float
    bell: Bell = Bell()


def often(telephone: Telephone, _: object) -> bool:
    return telephone.bell.rings > 3


@sets("rings")
def count(telephone: Telephone, _: object) -> int:
    return telephone.bell.rings + 1


@sets("volume")
def louder(_: Telephone, __: object) -> int:
    return 11


@sets("rings", "due_ms")
def count_with_no_end(telephone: Telephone, _: object) -> tuple[int, float]:
    return telephone.bell.rings + 1, NEVER


SOUND = (
    row(QUIET, Rang, often, ignore("enough is enough")),
    row(QUIET, Rang, always, go(RINGING, count)),
    row(RINGING, (Lifted, Tired), always, go(QUIET)),
    row(RINGING, Rang, always, stay(count)),
    row(QUIET, Happened, always, ignore("nothing rings")),
)


def bell(*rows: Declared, states: tuple[State, ...] = (QUIET, RINGING)) -> Region:
    return region("bell", *rows, doc="a bell", record=Bell, states=states, expired=Tired)


def faults(*rows: Declared, states: tuple[State, ...] = (QUIET, RINGING)) -> str:
    with pytest.raises(ValueError) as raised:
        Machine(Telephone, (bell(*rows, states=states),), EVENTS)
    return str(raised.value)


def test_a_sound_table_is_accepted() -> None:
    machine = Machine(Telephone, (bell(*SOUND),), EVENTS)
    assert machine.regions[0].starts is QUIET


@pytest.mark.parametrize("end", [{}, {"at_most": lambda _: 1.0, "for_ever": "both"}])
def test_a_state_has_an_end_or_a_reason_and_not_both(end: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="state ringing: say either at_most=… or for_ever=…"):
        State("ringing", "It rings.", **end)


def test_an_event_is_ignored_for_a_reason() -> None:
    with pytest.raises(ValueError, match=r"ignored for a reason"):
        ignore("")


def test_a_row_may_not_name_a_foreign_state() -> None:
    with pytest.raises(ValueError, match="bell: row 5 names the state FOREIGN, which the region does not have"):
        bell(*SOUND, row(FOREIGN, Rang, always, go(QUIET)))


def test_a_row_may_not_lead_to_a_foreign_state() -> None:
    with pytest.raises(ValueError, match="bell: row 0 names the state FOREIGN"):
        bell(row(QUIET, Rang, always, go(FOREIGN)))


def test_an_update_may_not_set_a_field_that_the_record_lacks() -> None:
    with pytest.raises(ValueError, match="bell: louder sets volume, which Bell does not have"):
        bell(row(QUIET, Rang, always, stay(louder)))


def test_a_row_may_not_be_declared_twice() -> None:
    with pytest.raises(ValueError, match="bell: QUIET/Rang/always is declared twice"):
        bell(row(QUIET, (Rang, Lifted), always, go(RINGING)), row((RINGING, QUIET), Rang, always, stay()))


def test_an_unanswered_pair_is_refused() -> None:
    assert "bell: nothing answers Lifted in QUIET" in faults(*SOUND[:4])


def test_a_pair_that_only_a_guard_answers_is_refused() -> None:
    assert "bell: nothing answers Rang in QUIET" in faults(SOUND[0], *SOUND[2:4])


def test_a_row_behind_an_unconditional_one_is_refused() -> None:
    said = faults(SOUND[4], *SOUND[:4])
    assert "bell: QUIET/Rang/often can never be reached" in said
    assert "bell: QUIET/Rang/always can never be reached" in said


def test_a_row_for_an_event_that_cannot_happen_is_refused() -> None:
    class Dropped(Happened):
        pass

    assert "bell: RINGING/Dropped/always can never be reached" in faults(*SOUND, row(RINGING, Dropped, always, go(QUIET)))


def test_a_deadline_that_no_row_acts_on_is_refused() -> None:
    said = faults(*SOUND[:2], row(RINGING, (Lifted, Rang), always, go(QUIET)), row((QUIET, RINGING), Happened, always, ignore("so be it")))
    assert said.endswith("bell: RINGING has a deadline, but no row acts on Tired")


def test_every_fault_is_told_at_once() -> None:
    assert len(faults(SOUND[3], row(QUIET, Tired, always, stay())).splitlines()) == 6


def test_candidates_end_with_the_first_unconditional_row() -> None:
    rows = candidates(bell(*SOUND), QUIET, Rang)
    assert [found.name for found in rows] == ["bell:QUIET/Rang/often", "bell:QUIET/Rang/always"]


def test_a_row_is_named_by_region_state_event_and_guard() -> None:
    assert [repr(unfolded) for unfolded in bell(*SOUND).rows][2:4] == ["bell:RINGING/Lifted/always", "bell:RINGING/Tired/always"]


def test_several_states_and_events_unfold_into_one_row_each() -> None:
    declared = row((QUIET, RINGING), (Rang, Lifted), always, stay())
    assert [(unfolded.state, unfolded.on, unfolded.declared) for unfolded in bell(declared).rows] == [
        (QUIET, Rang, 0),
        (QUIET, Lifted, 0),
        (RINGING, Rang, 0),
        (RINGING, Lifted, 0),
    ]


def test_staying_with_an_update_keeps_the_deadline_and_the_epoch() -> None:
    machine = Machine(Telephone, (bell(*SOUND),), EVENTS)
    rung = machine.step(Telephone(500.0), Rang(100.0)).snapshot
    again = machine.step(rung, Rang(300.0)).snapshot
    assert rung.bell == Bell(state=RINGING, epoch=1, due_ms=600.0, rings=1)
    assert again.bell == attrs.evolve(rung.bell, rings=2)


def test_entering_a_state_anew_starts_its_deadline_and_epoch_anew() -> None:
    machine = Machine(Telephone, (bell(*SOUND[:3], row(RINGING, Rang, always, go(RINGING)), SOUND[4]),), EVENTS)
    rung = machine.step(Telephone(500.0), Rang(100.0)).snapshot
    assert machine.step(rung, Rang(300.0)).snapshot.bell == Bell(state=RINGING, epoch=2, due_ms=800.0, rings=1)


def test_an_update_may_set_several_fields_and_has_the_last_word() -> None:
    machine = Machine(Telephone, (bell(*SOUND[:3], row(RINGING, Rang, always, go(RINGING, count_with_no_end)), SOUND[4]),), EVENTS)
    rung = machine.step(Telephone(500.0), Rang(100.0)).snapshot
    assert machine.step(rung, Rang(300.0)).snapshot.bell == Bell(state=RINGING, epoch=2, due_ms=NEVER, rings=2)


class Answered(Happened):
    """A signal."""


class Hung(Happened):
    """A signal that stands behind it."""


def telephone(*rows: Declared) -> Region:
    return region(
        "bell", *rows, row(QUIET, Happened, always, ignore("it is nothing")), doc="a bell", record=Bell, states=(QUIET,), expired=Tired
    )


def test_a_signal_says_when_and_nothing_else() -> None:
    assert raises(Answered)(None, Rang(5.0)) == Answered(5.0)


def test_a_row_raises_signals_of_its_machine_alone() -> None:
    part = telephone(row(QUIET, Rang, always, stay(raises(Answered))))
    with pytest.raises(ValueError, match="bell:QUIET/Rang/always raises Answered, which is no signal of this machine"):
        Machine(Telephone, [part], EVENTS)
    assert Machine(Telephone, [part], EVENTS, [Answered]).step(Telephone(1.0), Rang(5.0)).signals == (Answered,)


def test_a_row_that_answers_a_signal_raises_later_ones_alone() -> None:
    """So a step ends."""
    part = telephone(row(QUIET, Rang, always, stay(raises(Answered))), row(QUIET, Answered, always, stay(raises(Hung))))
    Machine(Telephone, [part], EVENTS, [Answered, Hung])
    with pytest.raises(ValueError, match="bell:QUIET/Answered/always raises Hung, which does not stand behind Answered"):
        Machine(Telephone, [part], EVENTS, [Hung, Answered])
