"""The mutants that no call can tell from the sound tables, each with the reason; a test fails if one is told after all, or is no more."""

from collections.abc import Iterable
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path

import attrs


@attrs.frozen
class Equivalent:
    """Mutants for one reason: a row as `table:states/events/guard`, where `*` stands for anything, and the changes to it."""

    why: str
    row: str
    changes: tuple[str, ...]

    @property
    def patterns(self) -> tuple[str, ...]:
        """A pattern for the name of each mutant."""
        return tuple(f"{self.row}{change}" for change in self.changes)


EQUIVALENTS: tuple[Equivalent, ...] = (
    Equivalent(
        "Its guard asks for LEAVING, so the row, which all tables share, can hold in no other state of this one.",
        "hangup:*/HangupExpired/leaving",
        tuple(f" not for {state}/HangupExpired" for state in ("STAYING", "PARTING", "GOODBYE")),
    ),
)


SURVIVORS = Path(__file__).with_name("survivors.txt")
"""The mutants that nobody notices yet, one name a line; a test fails if one survives that is not in it, or if one in it does not."""


@cache
def survivors() -> frozenset[str]:
    """The names in that list."""
    return frozenset(SURVIVORS.read_text().splitlines())


def pattern_of(name: str, listed: Iterable[Equivalent] = EQUIVALENTS) -> str:
    """The pattern that lists the mutant of this name; empty if none does."""
    return next((pattern for one in listed for pattern in one.patterns if fnmatchcase(name, pattern)), "")


def patterns(listed: Iterable[Equivalent] = EQUIVALENTS) -> list[str]:
    """Every pattern of the list."""
    return [pattern for one in listed for pattern in one.patterns]
