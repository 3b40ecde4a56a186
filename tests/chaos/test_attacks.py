"""Claims about a good call beside attacks: it is held to its end, the server lives, every call ends once, and
afterwards the server has the tasks, descriptors and memory that it had before (R105, R106)."""

import anyio

from .attacks import MOODS, hold, model_moods


def test_a_good_call_is_held_beside_every_attack() -> None:
    figures = anyio.run(hold, 0.0, 1)
    assert figures.good_calls >= 1
    assert not figures.failed, figures.told()


def test_a_good_call_is_held_beside_every_mood_of_a_model_and_every_tool_that_misbehaves() -> None:
    figures = anyio.run(hold, 0.0, 1, (model_moods,) * len(MOODS), MOODS)
    assert sum(figures.inputs.values()) == len(MOODS)
    assert not figures.failed, figures.told()
