"""Claims about every parser of what comes from outside: whatever it is given, it refuses in its own words or reads it (R105)."""

import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from . import guided
from .parsers import Parser, mutated, parsers

NAMES = ("twilio", "realtime", "json", "wav", "signature", "faults", "plan", "twiml", "arguments", "session", "trace", "case")


@pytest.fixture(scope="module")
def all_parsers() -> Iterator[dict[str, Parser]]:
    with parsers() as made:
        yield {parser.name: parser for parser in made}


def test_the_parsers_are_known(all_parsers: dict[str, Parser]) -> None:
    assert tuple(all_parsers) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_good_input_is_read(all_parsers: dict[str, Parser], name: str) -> None:
    for seed in all_parsers[name].seeds:
        all_parsers[name].feed(seed)


FOUND = [
    ("signature", b"\xff\nCallSid=\xff"),
    ("case", b'{"case": "a", "checks": [{"check": "hangups", "min": 1, "not_before_ms": 1%s}]}\n{}' % (b"9" * 400)),
    ("plan", b'{"seed": 1e999, "settings": {}, "items": []}'),
]
"""What once was more than refused."""
FAILING = """
import adapters.seam.wellformed


def read_json(text):
    if "null" in text and "NaN" in text:
        raise KeyError("found")


adapters.seam.wellformed.read_json = read_json
"""


@pytest.mark.parametrize(("name", "data"), FOUND)
def test_what_was_found_stays_refused(all_parsers: dict[str, Parser], name: str, data: bytes) -> None:
    all_parsers[name].feed(data)


@pytest.mark.parametrize("name", NAMES)
@given(seed=st.integers(0, 2**32), raw=st.one_of(st.none(), st.binary(max_size=300)))
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_input_is_more_than_refused(all_parsers: dict[str, Parser], name: str, seed: int, raw: bytes | None) -> None:
    parser, chance = all_parsers[name], random.Random(seed)
    parser.feed(mutated(chance.choice(parser.seeds), chance) if raw is None else raw)


@pytest.mark.needs("atheris")
@pytest.mark.parametrize("name", NAMES)
def test_no_input_that_coverage_leads_to_is_more_than_refused(name: str) -> None:
    inputs, faults = guided.guide(name, 1, 1)
    assert inputs > 10
    assert not faults, faults[0]


@pytest.mark.needs("atheris")
def test_what_coverage_finds_is_told_with_its_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader of JSON that fails for one with two odd values."""
    (tmp_path / "sitecustomize.py").write_text(FAILING)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    inputs, faults = guided.guide("json", 20, 1)
    assert inputs
    assert len(faults) == 1
    assert "KeyError: 'found'" in faults[0]
    assert faults[0].startswith("json: b'"), "with the input"
