"""Claims about the claims: every declared row is taken by one, and each row, guard, target and act is missed by one when it is gone.

A row that no test misses is a rule that nobody keeps. The claims are the tests without parameters of tests/core; each is run
again on tables that lack one thing, if it took that row, until one of them fails. What else may break is in tests/proof/test_mutants.py.
"""

from functools import cache

import pytest

from fsm import CALL
from fsm.engine.notation import Region
from tests.mutants.breaking import Kind, name_of
from tests.mutants.judging import By, Finding
from tests.mutants.running import score_of_all
from tests.mutants.witnesses import gathered

BY_CLAIMS = (By.CHECK, By.CLAIM, By.FORM)
"""What will do: the check of the tables, a claim, or that nothing but a reason is gone."""
TABLES = pytest.mark.parametrize("table", CALL.regions, ids=[table.name for table in CALL.regions])


@cache
def taken() -> frozenset[tuple[str, int]]:
    """The declared rows that answer in a claim."""
    claims = [witness for witness in gathered().witnesses if witness.sort == "claim"]
    return frozenset((row.region, row.declared) for claim in claims for row in claim.rows)


def is_gone(finding: Finding) -> bool:
    """Is a row, its guard, its target or one of its acts gone?"""
    if finding.kind is Kind.ROW:
        return True
    return finding.name.endswith((": whatever the guard says", ": stays", " dropped"))


@TABLES
def test_every_row_is_taken_by_a_claim(table: Region) -> None:
    never = [name_of(table, number) for number in range(len(table.declared)) if (table.name, number) not in taken()]
    assert not never, "\n".join(["rows that no claim takes:", *never])


@TABLES
def test_every_row_guard_and_act_is_missed_when_it_is_gone(table: Region) -> None:
    found = [finding for finding in score_of_all().findings if finding.table == table.name and is_gone(finding)]
    assert len(found) > len(table.declared)
    missing = [finding.name for finding in found if finding.by not in BY_CLAIMS]
    assert not missing, "\n".join(["nobody misses:", *missing])
