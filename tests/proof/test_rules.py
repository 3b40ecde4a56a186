"""Claims about the rules: each is claimed by a test."""

import re
from pathlib import Path
from typing import get_type_hints

import pytest

from adapters.proof.rules import RULES, kept
from fsm import effects as fx
from fsm.call.machine import CALL

TESTS = Path(__file__).parents[1]


def test_every_rule_is_claimed_by_a_test() -> None:
    assert len(RULES) == 110
    assert [rule.name for rule in kept() if not rule.tests] == []


BY_FORM = {"R04", "R13", "R17", "R23"}
"""Rules that no break of a row or a function can show: the tests below look at the tables themselves."""


def test_every_rule_is_proved_by_breaking_what_keeps_it_or_by_the_form_of_the_tables() -> None:
    assert {rule.name for rule in kept() if not rule.breaks} <= BY_FORM
    tests = {f"{path.stem}::{name}" for path in TESTS.rglob("test_*.py") for name in re.findall(r"def (test_\w+)", path.read_text())}
    cases = {f"cases/{path.stem}" for path in (TESTS / "cases").glob("*.jsonl")}
    noticed = {name for rule in kept() for name, _ in rule.noticed_by}
    assert noticed - tests - cases == set(), "make the list anew: python -m tests.mutants.proving"


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
