"""A sound system for the tests of a file."""

from collections.abc import Iterator

import pytest

from tests.shared.pulse import Pulse, sound_system


@pytest.fixture(scope="module")
def pulse() -> Iterator[Pulse]:
    with sound_system() as system:
        yield system
