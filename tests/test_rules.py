"""Claims about the rules: each is claimed by a test, or is written down as one that waits for its adapter."""

from pathlib import Path
from typing import get_type_hints

import pytest

from adapters.rules import RULES, kept
from fsm import effects as fx
from fsm.call.machine import CALL

LATER = {61: "one call at a time so far: who owns a call id is decided where calls are accepted, on a telephone line"}
"""Rules that no test can claim yet, and why."""


def test_every_rule_is_claimed_by_a_test_or_waits_for_a_reason() -> None:
    assert len(RULES) == 87
    assert [rule.name for rule in kept() if not rule.tests and rule.number not in LATER] == []


def test_a_rule_that_waits_is_not_claimed_already() -> None:
    assert [rule.name for rule in kept() if rule.tests and rule.number in LATER] == []


def test_without_the_tests_every_rule_of_the_tables_is_still_named_by_its_rows(tmp_path: Path) -> None:
    assert sum(1 for rule in kept(tmp_path) if rule.rows) >= 50


@pytest.mark.parametrize("effect", [fx.CreateResponse, fx.CancelResponse])
def test_the_response_table_alone_creates_and_cancels(effect: type[fx.Effect]) -> None:
    """R04, R13: no other table has an act that makes one."""
    makers = {
        row.region for region in CALL.regions for row in region.rows for act in row.then.effects if get_type_hints(act)["return"] is effect
    }
    assert makers == {"response"}


def test_the_playout_table_alone_decides_what_is_heard() -> None:
    """R23: no guard elsewhere admits or flushes."""
    makers = {
        row.region
        for region in CALL.regions
        for row in region.rows
        for act in row.then.effects
        if get_type_hints(act)["return"] in (fx.Admit, fx.Flush)
    }
    assert makers == {"playout"}


def test_every_watchdog_is_a_row() -> None:
    """R17: each state with a deadline has rows that act on it, in the same table; there are no timers besides."""
    timed = [(region, state) for region in CALL.regions for state in region.states if state.at_most is not None]
    assert len(timed) > 30
    for region, state in timed:
        assert any(row.state is state and issubclass(region.expired, row.on) and not row.ignores for row in region.rows), (
            region.name,
            state,
        )
