"""Claims about admission: places, tokens that are good once and for a while, and one owner of a call; without a socket."""

from typing import Any

import anyio
import pytest

from adapters.hosts.phone.calls import COMPLETED, TAKEN_OVER, Calls, NotAdmitted, Refused
from fsm.call.events import CallerHungUp, GreetingPrepared

pytestmark = pytest.mark.virtual_time


class Clock:
    """Seconds that pass when told."""

    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def refusal(act: Any, *fields: Any) -> Refused:
    with pytest.raises(NotAdmitted) as refused:
        act(*fields)
    assert len(str(refused.value).splitlines()) == 1
    return refused.value.why


async def test_a_call_takes_one_place_from_its_webhook_to_its_end() -> None:
    calls = Calls(1)
    handler = calls.begin("CA1", calls.announce("CA1"))
    assert calls.places_taken == 1
    assert refusal(calls.announce, "CA2") is Refused.BUSY
    calls.end(handler)
    assert calls.places_taken == 0
    calls.announce("CA2")
    assert calls.places_taken == 1


async def test_a_call_whose_stream_does_not_come_gives_its_place_away_and_is_let_in_where_there_is_room() -> None:
    """R106: also when its webhook is told again."""
    clock = Clock()
    calls = Calls(2, now_s=clock)
    late, later, never = (calls.announce(call_sid) for call_sid in ("CA1", "CA2", "CA1"))
    assert late == never
    assert refusal(calls.announce, "CA3") is Refused.BUSY
    clock.now_s += 5
    assert calls.places_taken == 0
    handlers = [calls.begin(call_sid, calls.announce(call_sid)) for call_sid in ("CA3", "CA4")]
    assert refusal(calls.begin, "CA1", late) is Refused.BUSY
    assert refusal(calls.announce, "CA2") is Refused.BUSY
    calls.end(handlers[0])
    assert calls.begin("CA2", later).call_sid == "CA2"
    assert calls.places_taken == 2


async def test_a_token_that_is_no_text_is_a_wrong_one() -> None:
    """JSON can say half a character, which no encoding can."""
    calls = Calls(1)
    calls.announce("CA1")
    for token in ("\ud800", "", "é"):
        assert refusal(calls.begin, "CA1", token) is Refused.WRONG_TOKEN


async def test_a_webhook_that_is_told_twice_changes_nothing() -> None:
    """R98: either answer lets the stream in, one stream alone, and there is one place."""
    calls = Calls(1)
    first, second = calls.announce("CA1"), calls.announce("CA1")
    assert first == second
    calls.begin("CA1", first)
    assert refusal(calls.begin, "CA1", second) is Refused.UNKNOWN_CALL
    assert calls.places_taken == 1


async def test_a_webhook_that_is_told_again_when_the_stream_has_come_leaves_the_call_alone() -> None:
    calls = Calls(1)
    owner = calls.begin("CA1", calls.announce("CA1"))
    calls.announce("CA1")
    assert (calls.places_taken, calls.handlers, owner.application.ended) == (1, {owner}, None)


async def test_a_webhook_that_is_told_twice_is_good_for_its_time_from_the_last() -> None:
    clock = Clock()
    calls = Calls(1, ticket_s=30, now_s=clock)
    token = calls.announce("CA1")
    clock.now_s = 20
    assert calls.announce("CA1") == token
    clock.now_s = 49
    calls.begin("CA1", token)
    assert calls.note_completed("CA1")
    clock.now_s = 200
    assert calls.announce("CA1") != token, "a token of another time is another"


async def test_a_call_that_is_over_before_its_stream_voids_every_answer() -> None:
    calls = Calls(1)
    token = calls.announce("CA1")
    calls.announce("CA1")
    assert calls.note_completed("CA1")
    assert refusal(calls.begin, "CA1", token) is Refused.UNKNOWN_CALL
    assert calls.places_taken == 0


async def test_a_token_is_good_once() -> None:
    calls = Calls(2)
    token = calls.announce("CA1")
    assert refusal(calls.begin, "CA1", "") is Refused.WRONG_TOKEN
    calls.begin("CA1", token)
    assert refusal(calls.begin, "CA1", token) is Refused.UNKNOWN_CALL
    assert refusal(calls.begin, "CA2", token) is Refused.UNKNOWN_CALL
    assert token not in repr(calls)


async def test_a_token_is_good_for_its_time_and_the_place_is_free_after_it() -> None:
    clock = Clock()
    calls = Calls(1, ticket_s=30, now_s=clock)
    early, late = calls.announce("CA1"), ""
    clock.now_s = 4.9
    assert refusal(calls.announce, "CA2") is Refused.BUSY
    clock.now_s = 30
    late = calls.announce("CA2")
    assert refusal(calls.begin, "CA1", early) is Refused.UNKNOWN_CALL
    calls.begin("CA2", late)


async def test_a_newcomer_closes_the_handler_that_owns_the_call_and_owns_it_then() -> None:
    """R61: the old one is told why, at once and once; its end takes nothing from the new one."""
    calls, posted = Calls(1), []
    old = calls.begin("CA1", calls.announce("CA1"))
    await old.application.run(lambda event, *fields: posted.append((event, *fields)))
    new = calls.begin("CA1", calls.announce("CA1"))
    assert old.call_id != new.call_id
    assert {handler.call_sid for handler in (old, new)} == {"CA1"}
    calls.end(old)
    assert calls.places_taken == 1
    assert calls.note_completed("CA1")
    await new.application.run(lambda event, *fields: posted.append((event, *fields)))
    calls.end(new)
    assert not calls.note_completed("CA1")
    assert posted == [(GreetingPrepared,), (CallerHungUp, TAKEN_OVER), (GreetingPrepared,), (CallerHungUp, COMPLETED)]


async def test_a_draining_server_lets_nobody_in_not_even_whom_it_announced() -> None:
    calls = Calls(5)
    token = calls.announce("CA1")
    assert await calls.drain(1.0) == 0
    assert refusal(calls.begin, "CA1", token) is Refused.UNKNOWN_CALL
    assert refusal(calls.announce, "CA1") is Refused.DRAINING


async def test_a_drain_waits_for_the_calls_and_cuts_off_those_that_stay() -> None:
    calls, ended_s = Calls(5), {}

    async def hold(call_sid: str, seconds: float) -> None:
        handler = calls.begin(call_sid, calls.announce(call_sid))
        with handler.scope:
            await anyio.sleep(seconds)
        calls.end(handler)
        ended_s[call_sid] = anyio.current_time() - began_s

    began_s = anyio.current_time()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(hold, "CA1", 3.0)
        tasks.start_soon(hold, "CA2", 300.0)
        await anyio.sleep(1.0)
        assert await calls.drain(10.0) == 1
    assert ended_s == pytest.approx({"CA1": 3.0, "CA2": 11.0}, abs=0.01)
