"""What the tests of the stand-in realtime LLM share: a caller's question, and a quick server."""

from collections.abc import Iterator

import pytest

from adapters.standin.voice import Voice
from tests.shared.standin_client import serving


@pytest.fixture(scope="session")
def question() -> bytes:
    """A caller's question."""
    return b"".join(Voice.load().speak("What are your opening hours?"))


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """A quick stand-in; its URL."""
    with serving() as url:
        yield url
