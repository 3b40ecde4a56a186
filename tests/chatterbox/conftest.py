"""What the tests of the Chatterbox port share."""

from collections.abc import Iterator

import pytest

from tests.shared.speech import Server, stand_in


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The stand-in's process."""
    with stand_in(tmp_path_factory.mktemp("chatterbox")) as running_server:
        yield running_server
