"""The phone server as a service: its listeners, the embedded stand-ins, the watch on its event loop, and how it drains; asyncio alone.

uvicorn, which carries the web side, knows no other event loop.
"""

import logging
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from os import getpid
from pathlib import Path
from secrets import token_hex
from socket import gethostname, socket
from typing import TYPE_CHECKING

import anyio
import attrs
from prometheus_client import generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from adapters.chatterbox.servers import Server
from adapters.chatterbox.voice import Voice
from adapters.hosts.embedded import StandIn, stand_in
from adapters.hosts.phone.agent import Agent, Answer, ServedAgent
from adapters.hosts.phone.calls import Calls
from adapters.hosts.phone.door import STOP_S, Door
from adapters.hosts.phone.holding import Gallery, Holding
from adapters.hosts.phone.log import tell
from adapters.hosts.phone.metrics import Metrics
from adapters.hosts.phone.rest import API, opened
from adapters.hosts.phone.server import PhoneServer
from adapters.hosts.phone.watchdog import Watchdog
from adapters.seam.files import private_folder

if TYPE_CHECKING:
    from adapters.hosts.phone.membership import Membership


@attrs.frozen(kw_only=True)
class Listeners:
    """Where the server listens; a port of 0 is a free one."""

    host: str = "127.0.0.1"
    port: int = 8080
    metrics_host: str = "127.0.0.1"
    metrics_port: int = 8081


@attrs.frozen(kw_only=True)
class Plan:
    """What to serve; the auth token is shown nowhere."""

    listeners: Listeners = attrs.Factory(Listeners)
    public_url: str = ""
    token: str | None = attrs.field(default=None, repr=False)
    account: str | None = None
    api: str = API
    max_calls: int = 20
    traces: Path | None = None
    start_s: float = 10.0
    """How long a stream may take to say which call it is, and a form to come."""
    rows: bool = False
    """Count each row that is taken."""
    cluster: str = ""
    """The NATS server that the machines of a cluster share; empty: this is one machine, and a call ends with its process."""
    replicas: int = 1
    """On how many NATS servers of a cluster of them the shared state is kept."""
    gap: str = ""
    """What the caller hears first when a call comes to another process; see `PhoneServer.gap`."""
    listener: socket | None = None
    """A listening socket that several processes share, in place of `listeners.host` and `port`."""


@attrs.frozen(kw_only=True)
class Serving:
    """A server that serves."""

    url: str
    metrics_url: str
    calls: Calls
    metrics: Metrics
    membership: "Membership | None" = None
    deafen: Callable[[], None] = lambda: None
    """Accepts no more connections: those to an address that other processes share come to them."""

    async def drain(self, within_s: float) -> int:
        """Take no more calls, and end those that there are within `within_s`, or hand them over where another machine is there.

        Gives how many had to be cut off.
        """
        hand_over = self.membership is not None and await self.membership.others()
        if hand_over:
            self.deafen()
        tell(logging.INFO, "drain_began", calls=len(self.calls.handlers), within_s=within_s, hand_over=hand_over)
        cut_off = await self.calls.drain(within_s, hand_over=hand_over)
        tell(logging.INFO, "drain_ended", cut_off=cut_off)
        return cut_off


@asynccontextmanager
async def phone_server(plan: Plan, answer: Answer, gallery: Gallery | None = None) -> AsyncIterator[PhoneServer]:
    """A server whose `app` is to be mounted in an application of one's own; calls that are held at the block's end are cut off.

    `answer` says who answers a call, and `gallery` is told of each; `plan.listeners` is not used. Raises OSError for a folder that cannot
    be made, ValueError for a URL that is none.
    """
    if plan.traces is not None:
        private_folder(plan.traces)
    calls = Calls(plan.max_calls)
    async with AsyncExitStack() as stack:
        rest = await stack.enter_async_context(opened(plan.api, plan.token)) if plan.token else None
        membership = await stack.enter_async_context(_joined(plan.cluster, plan.replicas)) if plan.cluster else None
        metrics = Metrics(calls, rows=plan.rows, machine=membership.name if membership else "")
        server = PhoneServer(
            calls=calls,
            holding=Holding(answer=answer, metrics=metrics, traces=plan.traces, gallery=gallery, membership=membership),
            metrics=metrics,
            rest=rest,
            public_url=plan.public_url,
            token=plan.token,
            account=plan.account,
            start_s=plan.start_s,
            membership=membership,
            gap=plan.gap,
        )
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(Watchdog(metrics).beat)
            if membership is not None:
                tasks.start_soon(membership.beat, lambda: calls.places_free)
                bring_back = partial(rest.redirect, url=server.again_url()) if rest is not None and plan.public_url else None
                tasks.start_soon(membership.watch, bring_back)
            try:
                yield server
            finally:
                await _cut_off(calls)
                tasks.cancel_scope.cancel()


@asynccontextmanager
async def serving(plan: Plan, agent: Agent, gallery: Gallery | None = None) -> AsyncIterator[Serving]:
    """Serve while the block lasts, and have `gallery` told of each call; those that are held at its end are cut off.

    Raises OSError for a port that cannot be had, or what `phone_server` does.
    """
    where, local, most = plan.listeners, plan.token is None, 2 * plan.max_calls + 64
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(phone_server(plan, lambda _: agent, gallery))
        doors = [
            Door(
                server.app(),
                where.host,
                where.port,
                most,
                note=server.note_refused,
                head_s=plan.start_s,
                local=local,
                listener=plan.listener,
            )
        ]
        doors += [Door(_figures(server), where.metrics_host, where.metrics_port, 16, note=server.note_refused, local=local)]
        for door in doors:
            stack.enter_context(door.listener)
        async with anyio.create_task_group() as tasks:
            for door in doors:
                tasks.start_soon(door.serve, [door.listener])
            try:
                yield Serving(
                    url=doors[0].url,
                    metrics_url=doors[1].url,
                    calls=server.calls,
                    metrics=server.metrics,
                    membership=server.membership,
                    deafen=doors[0].deafen,
                )
            finally:
                await _cut_off(server.calls)
                for door in doors:
                    door.should_exit = True


@asynccontextmanager
async def _joined(url: str, replicas: int) -> AsyncIterator["Membership"]:
    """Be one machine of the cluster while the block lasts. Raises OSError, and ValueError where its calls cannot be taken up."""
    from adapters.cluster import store
    from adapters.hosts.phone.membership import Membership

    try:
        async with store.opened(url, replicas=replicas) as opened_store:
            membership = Membership(opened_store, f"{gethostname()}-{getpid()}-{token_hex(3)}".replace(".", "-"))
            try:
                yield membership
            finally:
                with anyio.move_on_after(STOP_S, shield=True):
                    await opened_store.rest(membership.name)
    except store.Incompatible as error:
        raise ValueError(f"--cluster {store.shown(url)}: {error}") from None


async def _cut_off(calls: Calls) -> None:
    """End all calls, and wait a little until they have."""
    calls.cancel()
    with anyio.move_on_after(STOP_S, shield=True):
        await calls.wait_until_empty()


@asynccontextmanager
async def checked(agent: ServedAgent, started: dict[str, StandIn] | None = None) -> AsyncIterator[ServedAgent]:
    """The agent with its servers checked; where it names none, stand-ins are started, and noted in `started` by their names.

    Raises what `ServedAgent.checked` does.
    """
    started = {} if started is None else started
    async with AsyncExitStack() as stack:
        if not agent.realtime_url:
            started["realtime"] = await stack.enter_async_context(stand_in("realtime", "--words-per-s", "12"))
            agent = attrs.evolve(agent, realtime_url=started["realtime"].url, openai=True)
        if agent.policy.voice != "chatterbox":
            agent = attrs.evolve(agent, voice=Voice())
        elif agent.voice.speech is None:
            started["chatterbox"] = await stack.enter_async_context(stand_in("chatterbox"))
            speech = Server(url=started["chatterbox"].url)
            agent = attrs.evolve(agent, voice=attrs.evolve(agent.voice, speech=speech))
        yield await agent.checked()


def _figures(server: PhoneServer) -> Starlette:
    """GET /metrics, and /healthz once more."""

    async def show(_: Request) -> Response:
        return Response(generate_latest(server.metrics.registry), media_type=CONTENT_TYPE_PLAIN_0_0_4)

    return Starlette(routes=[Route("/metrics", show), Route("/healthz", server.health)])
