"""What went wrong, for a person: the one error that a group of tasks ended with, and words of others without our keys."""

import re


def first_of(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The first error of a group, however deep it lies."""
    error = group.exceptions[0]
    return first_of(error) if isinstance(error, BaseExceptionGroup) else error


def unkeyed(words: str, key: str | None) -> str:
    """What a server said, without our key, and without what looks like one of OpenAI's: it goes into traces and logs."""
    return re.sub(r"\bsk-\S+", "sk-…", words.replace(key, "…") if key else words)
