"""Claims about calls that outlive their process, held with real processes; `python -m tests.kills` tries every moment (R110)."""

import pytest

from tests.kills.held import lost
from tests.kills.moments import MOMENTS


@pytest.mark.parametrize("moment", ["an answer is heard"])
async def test_a_caller_hears_the_agent_again_when_its_process_is_killed(moment: str) -> None:
    outcome = await lost(moment)
    assert not outcome.wrong, outcome
    assert moment in MOMENTS
