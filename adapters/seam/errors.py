"""What went wrong, for a person: the one error that a group of tasks ended with, and words of others without our keys."""

import re

import anyio

from adapters.seam.wellformed import well_formed


def first_of(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The first error of a group, however deep it lies."""
    error = group.exceptions[0]
    return first_of(error) if isinstance(error, BaseExceptionGroup) else error


def unkeyed(words: str, key: str | None) -> str:
    """What a server said, without our key, and without what looks like one of OpenAI's: it goes into traces and logs."""
    return re.sub(r"\bsk-\S+", "sk-…", words.replace(key, "…") if key else words)


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
    cancelled = anyio.get_cancelled_exc_class()
    if isinstance(error, BaseExceptionGroup):
        return error.split(cancelled)[1] is None
    return isinstance(error, cancelled)
