"""Who notices a mutant: the check of the tables at import, a claim, a case, its form, or the proof, asked in that order until one does."""

from collections.abc import Iterable
from enum import StrEnum
from functools import cache
from itertools import groupby
from typing import Any

import attrs

from fsm import CALL
from fsm.engine.checks import faults_of
from fsm.engine.notation import Region, Row, State

from .bodies import BodyMutant
from .breaking import Broken, Kind, Mutant, answers_in
from .witnesses import Witness

Deed = tuple[State | None, tuple[Any, ...]]
"""What a row does: its target and its acts."""
Answer = tuple[frozenset[Any], Deed]
"""The guards of which one must hold, and what is done then."""


class By(StrEnum):
    """Who notices."""

    CHECK = "import check"
    CLAIM = "claim"
    CASE = "case"
    PROOF = "proof"
    FORM = "its form"
    """Nobody can: it answers every pair as the sound table does, but for the reason given."""
    NOBODY = "nobody"


@attrs.frozen
class Finding:
    """What became of a mutant: who noticed it, and what exactly that said."""

    name: str
    table: str
    kind: Kind
    by: By
    word: str = ""


def judged(mutant: Mutant, seen: Iterable[Witness], proof: bool = True) -> Finding:
    """Ask everybody in turn, and last the proof, if `proof` says so."""
    return found(mutant, *_asked(mutant, seen, proof))


def judged_body(mutant: BodyMutant, seen: Iterable[Witness]) -> Finding:
    """Ask the claims and the cases that run the function."""
    ran = mutant.function.__code__
    for witness in seen:
        if ran in witness.ran:
            with mutant.in_place():
                noticed = witness.notices_body(CALL)
            if noticed:
                return found(mutant, By(witness.sort), witness.name)
    return found(mutant, By.NOBODY)


def found(mutant: Mutant | BodyMutant, by: By, word: str = "") -> Finding:
    """What became of it."""
    if isinstance(mutant, BodyMutant):
        return Finding(mutant.name, mutant.function.__module__.rpartition(".")[2], Kind.BODY, by, word)
    return Finding(mutant.name, mutant.table.name, mutant.kind, by, word)


def by_form(mutant: Mutant) -> Finding | None:
    """What the tables alone say of a mutant: refused at import, or the same in what it does; None if neither."""
    try:
        table = mutant.make()
    except ValueError as error:
        return found(mutant, By.CHECK, str(error))
    if faults := faults_of(table, answers_in(table)):
        return found(mutant, By.CHECK, faults[0])
    same = mutant.endless is None and _answers(table) == _answers(mutant.table)
    return found(mutant, By.FORM) if same else None


def _asked(mutant: Mutant, seen: Iterable[Witness], proof: bool) -> tuple[By, str]:
    formal = by_form(mutant)
    if formal is not None and formal.by is By.CHECK:
        return formal.by, formal.word
    machine = Broken(mutant.make(), mutant.endless)
    for witness in seen:
        if witness.may_notice(mutant) and witness.notices(mutant, machine):
            return By(witness.sort), witness.name
    if formal is not None:
        return formal.by, formal.word
    if proof:
        from .proof import proof_of  # it takes a second to import, and the claims alone do without

        if broken := proof_of(mutant, machine):
            return By.PROOF, broken
    return By.NOBODY, ""


@cache
def _answers(table: Region) -> list[tuple[Answer, ...]]:
    """How each pair of state and event is answered, in a form in which tables that can't differ in what they do are equal.

    Rows in a row that do the same are one, with the guards of all; those at the end need none, as one of them always answers.
    """
    return [_form(rows) for by_state in answers_in(table).values() for rows in by_state.values()]


def _form(rows: tuple[Row, ...]) -> tuple[Answer, ...]:
    found: list[Answer] = []
    for then, same in groupby(rows, _deed):
        found.append((frozenset(row.guard for row in same), then))
    return (*found[:-1], (frozenset(), found[-1][1]))


def _deed(row: Row) -> Deed:
    return row.then.target, row.then.acts
