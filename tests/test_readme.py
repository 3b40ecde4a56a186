"""The README is true: its examples run, and its diagram is the table's."""

import doctest
import re
from pathlib import Path

import pytest

from fsm import Policy, events, start

ROOT = Path(__file__).parent.parent


PAGES = [*ROOT.glob("*.md"), *sorted(page for room in ("fsm", "adapters", "tests") for page in (ROOT / room).rglob("*.md"))]


@pytest.mark.parametrize(("page", "least"), [("README.md", 8), ("adapters/seam/PARTS.md", 19), ("adapters/hosts/terminal/DESKTOP.md", 4)])
def test_every_example_of_a_page_prints_what_it_says(page: str, least: int) -> None:
    names = {"ev": events, "start": start, "Policy": Policy}
    result = doctest.testfile(str(ROOT / page), module_relative=False, globs=names)
    assert result.attempted >= least
    assert result.failed == 0


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_of_a_page_leads_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text(encoding="utf-8"))
    assert [link for link in links if "://" not in link and not (page.parent / link).exists()] == []


def test_the_readme_leads_to_every_page() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert [str(page.relative_to(ROOT)) for page in PAGES if page.name != "README.md" and f"({page.relative_to(ROOT)})" not in readme] == []


def test_the_readme_shows_the_phase_diagram_as_the_tables_are_today() -> None:
    assert (ROOT / "diagrams" / "phase.mmd").read_text(encoding="utf-8").strip() in (ROOT / "README.md").read_text(encoding="utf-8")


def test_every_command_is_in_the_readme() -> None:
    from adapters.cli import _parser

    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    commands = next(action for action in _parser()._actions if action.choices is not None and action.dest != "help").choices
    assert commands is not None
    assert [command for command in commands if f"`callfsm {command}" not in readme] == []
