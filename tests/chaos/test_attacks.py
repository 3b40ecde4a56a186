"""Claims about a good call beside attacks: it is held to its end, the server lives, and every call ends once (R105, R106)."""

import anyio

from .attacks import hold


def test_a_good_call_is_held_beside_every_attack() -> None:
    figures = anyio.run(hold, 0.0, 1)
    assert figures.good_calls >= 1
    assert not figures.failed, figures.told()
