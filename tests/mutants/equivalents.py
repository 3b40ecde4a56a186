"""The mutants that no call can tell from the sound tables, each with the reason; a test fails if one is told after all, or is no more."""

from collections.abc import Iterable
from fnmatch import fnmatchcase

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
    *[
        Equivalent("The hang-up closes the call in the same step, and so every table.", row, changes)
        for row, changes in (
            ("session:CONNECTING|CONFIGURING/SessionExpired/always", (": stays", ": goes to *")),
            ("session:CONNECTING|CONFIGURING|GUARDED|READY|AGED/SessionLost/always", (" gone", " not for *", ": stays", ": goes to *")),
            ("line:AWAITED/LineExpired/always", (": stays", ": goes to *")),
            ("limit:WARNED/LimitExpired/always", (": stays", ": goes to *")),
            ("limit:UNLIMITED/LimitExpired/limit_reached", (": stays", ": goes to *")),
        )
    ],
    Equivalent(
        "The voice is over in the same step, while a cancel is under way: the floor goes on to that from there as well.",
        "phase:LISTENING/VoiceMissing|PlayoutStalled/heard_in_progress",
        (": goes to GREETING_LOCK", ": goes to AI_SPEAKING"),
    ),
    Equivalent(
        "All that is left of the deadline is the hang-up's row, which closes the call; the line has no other.",
        "line:AWAITED|OPEN/Expired/stale",
        (": whatever the guard says",),
    ),
    Equivalent(
        "Before the noise floor is known nothing was held, so that no false alarm is to be forgotten.",
        "interruption:CLEAR/SpeechStarted/unheeded",
        (" before CLEAR/SpeechStarted|BargeInDetected/uncalibrated",),
    ),
    Equivalent("A reason after which nothing is hoped for is a word, never empty.", "hangup.model_gone: ", ("without 'no answer came'",)),
    Equivalent(
        "A call begins in UNLIMITED, with the deadline that `start` gives it, and nothing leads there.",
        "states.call_ms - call_warning_ms: ",
        ("Add in call.policy.call_ms - call.policy.call_warning_ms",),
    ),
    Equivalent(
        "A response is asked for only when something is owed; the type alone needs it.",
        "response._next_cause: ",
        ("without Cause.RECOVERY",),
    ),
    Equivalent(
        "What is heard was cut only if it is awaited: what was cut before is never admitted.",
        "truncation.over_unheard: ",
        ("call.truncation.awaited as cut",),
    ),
    Equivalent(
        "All words of a sentence that was heard for its whole length are all its words.",
        "truncation._words: ",
        ("left_ms < sentence.audio_ms by LtE",),
    ),
    Equivalent("Two that are equal are both empty, or neither is.", "guards.followed_by_sound: ", ("call.playout.next_id as arrived_id",)),
)


def pattern_of(name: str, listed: Iterable[Equivalent] = EQUIVALENTS) -> str:
    """The pattern that lists the mutant of this name; empty if none does."""
    return next((pattern for one in listed for pattern in one.patterns if fnmatchcase(name, pattern)), "")


def patterns(listed: Iterable[Equivalent] = EQUIVALENTS) -> list[str]:
    """Every pattern of the list."""
    return [pattern for one in listed for pattern in one.patterns]
