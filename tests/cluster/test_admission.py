"""Claims about who is let in to a cluster of two machines over a real NATS server: its places are counted, and each call once."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial

import anyio
import httpx
import pytest

from adapters.cluster.nats import embedded
from adapters.cluster.record import Owner, Record, event_line
from adapters.cluster.store import Store, opened
from adapters.hosts.phone.agent import Agent
from adapters.hosts.phone.application import PhoneCall
from adapters.hosts.phone.calls import NotAdmitted
from adapters.hosts.phone.membership import Membership, Redirect
from adapters.hosts.phone.server import PhoneServer
from adapters.hosts.phone.service import Plan, phone_server
from fsm import Policy, events as ev, start, step
from tests.shared.shell import PATIENCE_S, until

Post = Callable[[str, str], Awaitable[str]]
OVER = ev.CallerHungUp(1.0)
BUSY = '<Reject reason="busy"/>'


def nobody(_: PhoneCall) -> Agent:
    raise AssertionError("no stream comes")


async def _post(client: httpx.AsyncClient, path: str, call_sid: str) -> str:
    answer = await client.post(path, data={"CallSid": call_sid, "AccountSid": "AC" + "0" * 32})
    return answer.text


@asynccontextmanager
async def machines(count: int, gap: str = "") -> AsyncIterator[tuple[list[PhoneServer], list[Post], Store]]:
    """So many machines with a place each, how one posts to them, and what they share."""
    async with AsyncExitStack() as stack:
        url = await stack.enter_async_context(embedded())
        store = await stack.enter_async_context(opened(url))
        plan = Plan(cluster=url, max_calls=1, gap=gap)
        servers = [await stack.enter_async_context(phone_server(plan, nobody)) for _ in range(count)]
        clients = [httpx.AsyncClient(transport=httpx.ASGITransport(server.app()), base_url="http://localhost") for server in servers]
        for client in clients:
            await stack.enter_async_context(client)
        with anyio.fail_after(PATIENCE_S):
            while len(await store.alive()) < count:
                await anyio.sleep(0.05)
        yield servers, [partial(_post, client) for client in clients], store


def sid(number: int) -> str:
    return f"CA{number:032}"


async def test_the_places_of_all_machines_are_let_whichever_is_asked() -> None:
    async with machines(2) as (_, (one, _), _):
        assert "<Connect>" in await one("/voice", sid(1))
        assert "<Connect>" in await one("/voice", sid(1)), "told twice it rings once (R98)"
        assert "<Connect>" in await one("/voice", sid(2)), "the other machine has a place"
        assert BUSY in await one("/voice", sid(3))
        with anyio.fail_after(PATIENCE_S):
            # A call whose stream never comes keeps no place (R106).
            while "<Connect>" not in await one("/voice", sid(3)):
                await anyio.sleep(0.1)


async def test_a_machine_that_drains_lets_callers_in_where_another_has_room() -> None:
    async with machines(2) as (servers, (one, other), store):
        servers[0].calls.draining = True
        assert "<Connect>" in await one("/voice", sid(1)), "the stream is not its own"
        servers[1].calls.draining = True
        with anyio.fail_after(PATIENCE_S):
            while any((await store.alive()).values()):
                await anyio.sleep(0.05)
        assert BUSY in await other("/voice", sid(2))


@pytest.mark.parametrize(
    ("gap", "heard"),
    [
        *[("One moment & I am back.", "<Say>One moment &amp; I am back.</Say>"), ("", "")],
        ("https://example.com/wait.mp3", "<Play>https://example.com/wait.mp3</Play>"),
    ],
)
async def test_a_caller_whose_call_comes_to_another_process_hears_what_the_operator_wants(gap: str, heard: str) -> None:
    async with machines(2, gap) as (_, (one, _), store):
        call = start(Policy(greeting=False), "call_1")
        await store.begin(sid(1), "w1", Record(call=call, began_unix_ms=0.0, told={}, owner=Owner(name="w1", epoch=1)))
        assert f"<Response>{heard}<Connect>" in await one("/again?turn=1", sid(1))
        assert "<Response><Connect>" in await one("/again?turn=1", sid(2)), "no machine has had this one yet"
        await store.append(sid(1), event_line(OVER, step(call, OVER)), 1)
        assert "<Hangup/>" in await one("/again?turn=1", sid(1))
        assert "<Hangup/>" in await one("/again?turn=99", sid(2))


async def begun(store: Store, call_sid: str, name: str) -> None:
    """A call of that process."""
    call = start(Policy(greeting=False), "call_1")
    await store.begin(call_sid, name, Record(call=call, began_unix_ms=0.0, told={}, owner=Owner(name=name, epoch=1)))


WATCH = Membership.watch


async def asleep(_: Membership, __: Redirect | None) -> None:
    """The servers' own watch, which may redirect nobody, and lets such calls be."""


async def brought_back(membership: Membership, redirect: Redirect, enough: Callable[[], bool]) -> None:
    """Look after the calls of the dead until that is so."""
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(WATCH, membership, redirect)
        await until(enough)
        tasks.cancel_scope.cancel()


async def test_nobody_takes_up_a_call_while_it_is_brought_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """The redirect would close the stream with which it was taken up, and the caller would seem to hang up."""
    monkeypatch.setattr(Membership, "watch", asleep)
    async with machines(2) as (servers, (one, other), store):
        await begun(store, sid(1), "dead")
        told, membership = list[str](), servers[0].membership

        async def redirect(_: str, call_sid: str) -> None:
            told.append(await other("/again?turn=1", call_sid))
            with pytest.raises(NotAdmitted, match="brought back") as refused:
                await membership.hold(call_sid, "call_1", {}, Policy(greeting=False), frozenset())
            told.append(refused.value.why.value)

        await brought_back(membership, redirect, lambda: len(told) == 2)
        assert '<Pause length="1"/><Redirect' in told[0]
        assert "<Connect>" not in told[0]
        assert told[1] == "coming", "and is asked again"
        with anyio.fail_after(PATIENCE_S):
            while "<Connect>" not in await one("/again?turn=2", sid(1)):
                await anyio.sleep(0.05)
        held = await membership.hold(sid(1), "call_1", {}, Policy(greeting=False), frozenset())
        assert held.grip.owner.epoch == 2


async def test_a_machine_that_may_redirect_nobody_leaves_the_dead_to_one_that_may() -> None:
    async with embedded() as url, opened(url) as store, anyio.create_task_group() as tasks:
        await begun(store, sid(1), "dead")
        await begun(store, sid(2), "dead")
        await store.append(sid(2), event_line(OVER, step(start(Policy(greeting=False), "call_1"), OVER)), 2)
        tasks.start_soon(WATCH, Membership(store, "living"), None)
        with anyio.fail_after(PATIENCE_S):
            while await store.calls_of("dead") != [sid(1)]:
                await anyio.sleep(0.05)
        tasks.cancel_scope.cancel()


async def test_a_call_that_was_taken_up_just_now_is_not_redirected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Membership, "watch", asleep)
    async with machines(2) as (servers, _, store):
        await begun(store, sid(1), "dead")
        one, other = (server.membership for server in servers)
        happened, claim, alive = list[str](), one.store.claim, one.store.alive

        async def too_late(what: str) -> bool:
            await other.hold(sid(1), "call_1", {}, Policy(greeting=False), frozenset())
            happened.append("taken up")
            return await claim(what)

        async def look() -> dict[str, int]:
            happened.append("looked")
            return await alive()

        async def redirect(_: str, call_sid: str) -> None:
            happened.append(call_sid)

        monkeypatch.setattr(one.store, "claim", too_late)
        monkeypatch.setattr(one.store, "alive", look)
        await brought_back(one, redirect, lambda: happened[-1:] == ["looked"] and "taken up" in happened)
        assert sid(1) not in happened, "until it looks again"
