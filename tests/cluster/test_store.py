"""Claims about what machines share, on a real NATS server: one owner at a time, tickets good once, and who is alive (R110)."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
import pytest

from adapters.cluster import store as stores
from adapters.cluster.journal import Overtaken, Unreachable
from adapters.cluster.nats import embedded
from adapters.cluster.record import Owner, Record, event_line
from adapters.cluster.store import Incompatible, Store, key_of, opened
from fsm import Policy, events as ev, start, step
from tests.shared.shell import PATIENCE_S, callfsm


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    """nats-py knows no other."""
    return "asyncio"


@pytest.fixture(scope="module")
async def url(anyio_backend: str) -> AsyncIterator[str]:
    """A server."""
    async with embedded() as place:
        yield place


def record(name: str = "w1") -> Record:
    """A call that begins."""
    return Record(call=start(Policy(greeting=False), "call_1"), began_unix_ms=5.0, told={"From": "+1"}, owner=Owner(name=name, epoch=1))


def line(event: ev.Event) -> str:
    """An event as a line, of a call that begins."""
    return event_line(event, step(record().call, event))


async def test_a_record_is_read_back_as_it_was_written(url: str) -> None:
    async with opened(url) as store:
        grip = await store.begin("CA1", "w1", record())
        await grip.append(line(ev.LineOpened(1.0)))
        await grip.append("\n".join([line(ev.SessionOpened(2.0)), line(ev.VadCalibrated(3.0))]))
        found = await store.record("CA1")
        assert found[0].events == [ev.LineOpened(1.0), ev.SessionOpened(2.0), ev.VadCalibrated(3.0)]
        assert found[1] == grip.last
        assert await store.record("CA-nobody") is None
        with anyio.fail_after(PATIENCE_S):
            while await store.calls_of("w1") != ["CA1"]:
                await anyio.sleep(0.05)
        await store.release("w1", "CA1")
        assert await store.calls_of("w1") == []


async def test_a_call_has_one_owner_and_whoever_lost_it_cannot_write(url: str) -> None:
    """R61: whoever is faster has it; the record is the fence."""
    async with opened(url) as one, opened(url) as two:
        first = await one.begin("CA2", "w1", record())
        await first.append(line(ev.LineOpened(1.0)))
        with pytest.raises(Overtaken):
            await two.begin("CA2", "w2", record("w2"))
        found = await two.record("CA2")
        second = await two.take("CA2", "w2", *found, line(ev.TakenUp(9.0)))
        for _ in range(2):
            with pytest.raises(Overtaken):
                await first.append(line(ev.VadCalibrated(2.0)))
        with pytest.raises(Overtaken):
            await one.take("CA2", "w3", *found, line(ev.TakenUp(10.0)))
        await second.append(line(ev.VadCalibrated(12.0)))
        again = await one.record("CA2")
        assert again[0].owner == Owner(name="w2", epoch=2)
        assert again[0].events == [ev.LineOpened(1.0), ev.TakenUp(9.0), ev.VadCalibrated(12.0)]


async def test_of_two_that_take_a_call_at_once_one_has_it(url: str) -> None:
    async with opened(url) as one, opened(url) as two:
        await one.begin("CA3", "w1", record())
        found = await one.record("CA3")
        came: list[str] = []

        async def take(store: Store, name: str) -> None:
            try:
                await store.take("CA3", name, *found, line(ev.TakenUp(9.0)))
                came.append(name)
            except Overtaken:
                came.append("")

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(take, one, "a")
            tasks.start_soon(take, two, "b")
        assert sorted(map(bool, came)) == [False, True]


async def test_a_line_whose_receipt_was_lost_is_written_once(url: str) -> None:
    async with opened(url) as store:
        grip = await store.begin("CA4", "w1", record())
        text = line(ev.LineOpened(1.0))
        there = await store.append("CA4", text, grip.last)
        assert await store.append("CA4", text, grip.last) == there


async def test_a_ticket_is_good_once_for_its_call_on_any_machine(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async with opened(url) as one, opened(url) as two:
        ticket = one.ticket("CA5")
        assert not await two.spend("CA6", ticket)
        assert not await two.spend("CA5", ticket[:-1] + ("0" if ticket[-1] != "0" else "1"))
        assert await two.spend("CA5", ticket)
        assert not await one.spend("CA5", ticket)
        for odd in ("", ".", "..", "a.b.c", "a.9.\udc80", ticket * 50):
            assert not await one.spend("CA5", odd)
        late = one.ticket("CA5")
        now = stores.time()
        monkeypatch.setattr(stores, "time", lambda: now + stores.TICKET_S + 2)
        assert not await two.spend("CA5", late)


async def test_what_a_webhook_told_is_known_to_the_machine_of_the_stream(url: str) -> None:
    async with opened(url) as one, opened(url) as two:
        await one.announce("CA7", {"From": "+972"}, {"traceparent": "00-1"})
        assert await two.ringing() == 1
        assert await two.answered("CA7") == ({"From": "+972"}, {"traceparent": "00-1"})
        assert await one.ringing() == 0, "it rings no more"
        assert await two.answered("CA8") == ({}, {})


async def test_who_is_not_heard_of_is_dead(url: str) -> None:
    async with opened(url) as store:
        await store.beat("w7", 4)
        assert (await store.alive())["w7"] == 4
        with anyio.fail_after(PATIENCE_S):
            while "w7" in await store.alive():
                await anyio.sleep(0.2)
        await store.beat("w8", 1)
        await store.rest("w8")
        assert "w8" not in await store.alive()
        assert await store.claim("rescue.1.CA7")
        assert not await store.claim("rescue.1.CA7")


async def test_a_cluster_that_is_not_there_is_told_without_its_password(monkeypatch: pytest.MonkeyPatch) -> None:
    async with embedded() as place, opened(place) as store:
        assert await store.record("CA9") is None
    monkeypatch.setattr(stores, "CONNECT_S", 0.2)
    secret = place.replace("//", "//callfsm:only-for-a-test@")
    with pytest.raises(OSError, match=rf"^--cluster {place},{place}: no NATS answers there within 0.2 s \(.+\)$"):
        async with opened(f"{secret},{secret}"):
            pass
    told = callfsm("serve", "--port", 0, "--help", CALLFSM_CLUSTER=secret)
    assert "only-for-a-test" not in told.stdout + told.stderr


async def test_calls_of_a_format_that_cannot_be_read_are_refused_before_any_is_taken(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """R107."""
    async with opened(url):
        pass
    monkeypatch.setattr(stores, "READS", (2,))
    with pytest.raises(Incompatible, match="the cluster's calls are of format 1; this version reads 2"):
        async with opened(url):
            pass


def _state(pid: int) -> str:
    """What a process does, as the kernel tells it: T is stopped."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


async def test_a_server_that_is_silent_is_unreachable(monkeypatch: pytest.MonkeyPatch) -> None:
    import signal

    monkeypatch.setattr(stores, "ANSWER_S", 0.2)
    seen: list[Any] = []
    real = anyio.open_process

    async def noted(*arguments: Any, **more: Any) -> Any:
        seen.append(await real(*arguments, **more))
        return seen[-1]

    monkeypatch.setattr(anyio, "open_process", noted)
    async with embedded() as place, opened(place) as store:
        grip = await store.begin("CA10", "w1", record())
        seen[0].send_signal(signal.SIGSTOP)
        while Path(f"/proc/{seen[0].pid}/stat").exists() and _state(seen[0].pid) != "T":
            await anyio.sleep(0.01)
        try:
            with pytest.raises(Unreachable):
                await grip.append(line(ev.LineOpened(1.0)))
        finally:
            seen[0].send_signal(signal.SIGCONT)
        with anyio.fail_after(PATIENCE_S):
            while True:
                try:
                    await grip.append(line(ev.LineOpened(1.0)))
                    break
                except Unreachable:
                    await anyio.sleep(0.1)
        found = await store.record("CA10")
        assert found[0].events == [ev.LineOpened(1.0)]


def test_a_call_s_id_is_a_token_whatever_is_in_it() -> None:
    assert key_of("CA12-x_y") == "CA12-x_y"
    for odd in ("a.b", "a*", ">", "a b", "x" * 300):
        assert "." not in key_of(odd) and key_of(odd).isalnum()
