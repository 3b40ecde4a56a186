"""Claims about the review of a change: what came, what went, what says something else, read by the program of each side."""

import shutil
import subprocess
from pathlib import Path

import pytest

from adapters.proof.review import Change, ReviewError, changes
from tests.shared.shell import ROOT


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A small repository with the core as it is, committed once."""
    shutil.copytree(ROOT / "fsm", tmp_path / "fsm", ignore=shutil.ignore_patterns("__pycache__"))
    who = ["-c", "user.name=a", "-c", "user.email=a@example.com"]
    for words in (["init", "-q"], ["add", "fsm"], [*who, "commit", "-qm", "the tables"]):
        subprocess.run(["git", *words], cwd=tmp_path, check=True, capture_output=True)
    return tmp_path


def test_tables_that_did_not_change_show_nothing(clone: Path) -> None:
    assert changes("HEAD", clone) == ()


def test_a_change_is_told_by_the_rows_that_it_touches(clone: Path) -> None:
    table = clone / "fsm/call/limit.py"
    words = table.read_text()
    table.write_text(
        words.replace("at_the_maximum, log_limit_near)", "at_the_maximum)").replace("nothing but time counts (R82)", "only time counts", 1)
    )
    assert changes("HEAD", clone) == (
        Change("limit", "UNLIMITED / LimitExpired", "go WARNED: at_the_maximum, log_limit_near", "go WARNED: at_the_maximum"),
        Change(
            "limit",
            "UNLIMITED|WARNED / ModelEvent|CallerEvent|DeviceEvent",
            "ignored: nothing but time counts (R82)",
            "ignored: only time counts",
        ),
    )


def test_a_revision_that_is_none_and_tables_that_are_not_sound_are_one_line(clone: Path) -> None:
    with pytest.raises(ReviewError, match="nowhere"):
        changes("nowhere", clone)
    table = clone / "fsm/call/limit.py"
    table.write_text(table.read_text().replace("row(WARNED,    ev.LimitExpired, always,        go(OVER)),", ""))
    with pytest.raises(ReviewError, match=r"OVER|WARNED|LimitExpired"):
        changes("HEAD", clone)
