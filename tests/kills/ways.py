"""How the process that holds a call is lost to it, and what it leans on: signals, a line to NATS that is cut, a NATS that goes away."""

import os
import signal
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import anyio
import attrs
from anyio.abc import SocketAttribute, SocketStream

from adapters.cluster.nats import embedded

GONE_S = 30.0
"""How long NATS is away."""


@attrs.define(eq=False)
class Nats:
    """A NATS server, and a proxy before it whose connections can be cut process by process."""

    url: str
    """The server's own address, for a test's own connection."""
    proxied: str
    """The address that workers are given."""
    restart: Callable[[float], Awaitable[None]]
    """Ends it, and starts it anew after so many seconds, with what it kept."""
    cut_off: set[int] = attrs.field(factory=set)
    """The processes that are let through no more."""
    lines: list[tuple[int, SocketStream]] = attrs.field(factory=list)

    async def cut(self, pid: int) -> None:
        """Cut a process off."""
        self.cut_off.add(pid)
        for owner, line in self.lines:
            if owner == pid:
                await line.aclose()


@asynccontextmanager
async def nats_behind_proxy() -> AsyncIterator[Nats]:
    """Run both while the block lasts."""
    with TemporaryDirectory(prefix="callfsm-kills-") as folder, socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
        free.close()
        running = embedded(port, Path(folder))
        url = await running.__aenter__()

        async def restart(after_s: float) -> None:
            nonlocal running
            await running.__aexit__(None, None, None)
            await anyio.sleep(after_s)
            running = embedded(port, Path(folder))
            await running.__aenter__()

        try:
            async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener, anyio.create_task_group() as tasks:
                proxied = listener.extra(SocketAttribute.local_port)
                nats = Nats(url, f"nats://127.0.0.1:{proxied}", restart)

                async def pass_on(near: SocketStream) -> None:
                    pid = 0
                    while not pid:  # a socket that is being opened is not listed yet
                        pid = _owner_of(near.extra(SocketAttribute.remote_port))
                        await anyio.sleep(0 if pid else 0.02)
                    async with near:
                        if pid in nats.cut_off:
                            return
                        nats.lines.append((pid, near))
                        with suppress(OSError, anyio.BrokenResourceError, anyio.ClosedResourceError):
                            async with await anyio.connect_tcp("127.0.0.1", port) as far, anyio.create_task_group() as both:
                                both.start_soon(_copy, near, far, both.cancel_scope)
                                both.start_soon(_copy, far, near, both.cancel_scope)

                tasks.start_soon(listener.serve, pass_on)
                try:
                    yield nats
                finally:
                    tasks.cancel_scope.cancel()
        finally:
            await running.__aexit__(None, None, None)


async def _copy(one: SocketStream, other: SocketStream, over: anyio.CancelScope) -> None:
    with suppress(anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError):
        async for data in one:
            await other.send(data)
    over.cancel()


def _owner_of(port: int) -> int:
    """The process that has a socket with that local port; 0 where there is none any more."""
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    inodes = {f"socket:[{words[9]}]" for words in lines if int(words[1].rpartition(":")[2], 16) == port}
    for file in Path("/proc").glob("[0-9]*/fd/*"):
        with suppress(OSError):
            if str(file.readlink()) in inodes:
                return int(file.parts[2])
    return 0


@attrs.frozen
class Way:
    """One way: what is done, and what heals it; whether the call goes on in another process."""

    strike: Callable[[Nats, int], Awaitable[None]]
    heal: Callable[[Nats, int], Awaitable[None]] | None = None
    taken_up: bool = True
    must_be_taken_up: bool = True
    """False: it may as well end where it is."""


def _signal(number: int) -> Callable[[Nats, int], Awaitable[None]]:
    async def send(_: Nats, pid: int) -> None:
        os.kill(pid, number)

    return send


async def _cut(nats: Nats, pid: int) -> None:
    await nats.cut(pid)


async def _mend(nats: Nats, pid: int) -> None:
    nats.cut_off.discard(pid)


WAYS = {
    "kill": Way(_signal(signal.SIGKILL)),
    "term": Way(_signal(signal.SIGTERM), must_be_taken_up=False),
    "stop": Way(_signal(signal.SIGSTOP), _signal(signal.SIGCONT)),
    "cut": Way(_cut, _mend),
    "restart": Way(lambda nats, _: nats.restart(0), taken_up=False),
    "gone": Way(lambda nats, _: nats.restart(GONE_S), taken_up=False),
}
"""SIGKILL; SIGTERM; frozen for longer than the lease, then awake; cut off from NATS; NATS started anew; NATS away for GONE_S."""
