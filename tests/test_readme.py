"""The README is true: its examples run, and its diagram is the table's."""

import doctest
from pathlib import Path

ROOT = Path(__file__).parent.parent


def test_every_example_of_the_readme_prints_what_it_says() -> None:
    result = doctest.testfile(str(ROOT / "README.md"), module_relative=False)
    assert result.attempted > 20
    assert result.failed == 0


def test_the_readme_shows_the_phase_diagram_as_the_tables_are_today() -> None:
    assert (ROOT / "diagrams" / "phase.mmd").read_text(encoding="utf-8").strip() in (ROOT / "README.md").read_text(encoding="utf-8")


def test_every_command_is_in_the_readme() -> None:
    from adapters.cli import _parser

    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    commands = next(action for action in _parser()._actions if action.choices is not None and action.dest != "help").choices
    assert commands is not None
    assert [command for command in commands if f"`callfsm {command}" not in readme] == []
