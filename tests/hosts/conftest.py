"""What the tests of the hosts share: the log of the phone server; no claim is here."""

import logging
from collections.abc import Iterator

import pytest

from tests.shared.phone_model import Lines


@pytest.fixture
def log() -> Iterator[Lines]:
    """The log's lines, as they are written."""
    handler = Lines()
    logger = logging.getLogger("callfsm")
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    yield handler
    logger.removeHandler(handler)
    logger.setLevel(logging.NOTSET)
