"""The store of these tests may take as long to answer as a busy machine does; those whose claim is that it does not answer say so."""

import pytest

from adapters.cluster import store


@pytest.fixture(autouse=True)
def patient_store(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for it."""
    monkeypatch.setattr(store, "ANSWER_S", 30.0)
