"""What went wrong, for a person: the one error that a group of tasks ended with, and words of others without our keys."""

import re

from adapters.seam.wellformed import well_formed


def first_of(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The first error of a group, however deep it lies."""
    error = group.exceptions[0]
    return first_of(error) if isinstance(error, BaseExceptionGroup) else error


LEAST_SECRET = 8
"""A shorter key, "none" or "local" for a server that wants none, is no secret but a word."""


def unkeyed(words: str, key: str | None) -> str:
    """An error's words as a server said them, without our key, and without what looks like one of OpenAI's. Never for live data (R96)."""
    return re.sub(r"\bsk-\S+", "sk-…", without_key(words, key))


def without_key(text: str, key: str | None) -> str:
    """What is shown or kept of a call for people: without our key, and otherwise as it is (R96)."""
    return text.replace(key, "…") if key and len(key) >= LEAST_SECRET else text


def described(error: BaseException) -> str:
    """An error's type and its words, whatever its own code makes of them."""
    try:
        words = well_formed(" ".join(str(error).split()))
    # An error of foreign code may fail even to say what it is.
    except BaseException:
        words = ""
    return f"{type(error).__name__}: {words}" if words else type(error).__name__


def is_cancellation(error: BaseException) -> bool:
    """Is it a cancellation, and nothing else?"""
    # Traces are read, and their words described, where the core alone is installed.
    import anyio

    cancelled = anyio.get_cancelled_exc_class()
    if isinstance(error, BaseExceptionGroup):
        return error.split(cancelled)[1] is None
    return isinstance(error, cancelled)
