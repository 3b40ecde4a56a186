"""Claims about the tests themselves: what needs something that is not there is skipped, counted and named with what brings it."""

from pathlib import Path

from tests.shared.shell import python

TESTS = """\
import pytest

@pytest.mark.needs("aplay")
def test_a_player(): ...

@pytest.mark.needs("aplay", "openssl")
def test_a_player_and_a_key(): ...

def test_python(): ...
"""


def test_what_is_missing_is_counted_and_named_with_the_one_command_that_brings_it(tmp_path: Path) -> None:
    (tmp_path / "test_needy.py").write_text(TESTS)
    done = python("-m", "pytest", "-p", "tests.conftest", "--strict-markers", ".", cwd=tmp_path, PATH="/nowhere")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed, 2 skipped" in done.stdout
    assert "\n1 skipped: there is no aplay\n1 skipped: there is no aplay, no openssl\n" in done.stdout
    assert "\nwhat they need: apt-get install alsa-utils openssl\n" in done.stdout
