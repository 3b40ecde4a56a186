"""A phone server as one machine of a cluster: whose calls it has, how it takes up those of others, and what it does for the dead (R110)."""

import logging
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from time import time

import anyio
import attrs

from adapters.cluster.journal import Journal, Overtaken, Received, Remembers
from adapters.cluster.record import Left, Owner, Record, coming, event_line
from adapters.cluster.store import LEASE_S, Grip, Store, Unreachable, Unreadable
from adapters.hosts.phone.calls import NotAdmitted, Refused
from adapters.hosts.phone.log import masked, tell
from adapters.twilio.port import LineError
from fsm.call.events import Event, TakenUp
from fsm.call.machine import step
from fsm.call.policy import Policy
from fsm.call.snapshot import Call, start
from fsm.engine.machine import Step

BEAT_S = LEASE_S / 3
COMING_S = 5.0
"""How long a call may take to be redirected."""
ASKED = 3
"""How often a store that does not answer is asked whether there are other machines."""
TRIES = 20
"""So often is a call taken whose owner still writes: each of its lines makes us read again."""

Redirect = Callable[[str, str], Awaitable[None]]
"""Has a call, by account and id, ask us anew what to do. Raises LineError."""


@attrs.frozen(kw_only=True)
class Held:
    """A call that this machine owns, from its beginning or from where another left it."""

    record: Record
    grip: Grip
    first: TakenUp | None = None

    @property
    def call(self) -> Call:
        """The call as it is."""
        return self.record.call

    def steps(self) -> Iterator[tuple[Event, Step[Call]]]:
        """What happened before, step by step."""
        call = start(self.call.policy, self.call.call_id)
        for event in self.record.events:
            answer = step(call, event)
            call = answer.snapshot
            yield event, answer

    def journal(self, received: Received, ports: Iterable[object]) -> Journal:
        """What writes the record on."""
        return Journal(self.grip.append, received, [port for port in ports if isinstance(port, Remembers)])


class Membership:
    """This machine's part in the cluster."""

    def __init__(self, store: Store, name: str) -> None:
        """`name` is this process's own, and never another's."""
        self.store, self.name = store, name

    async def hold(self, call_sid: str, call_id: str, told: dict[str, str], policy: Policy, repeatable: frozenset[str]) -> Held:
        """Own a call: begin its record, or take it up. Raises NotAdmitted."""
        try:
            for _ in range(TRIES):
                try:
                    return await self._hold(call_sid, call_id, told, policy, repeatable)
                except Overtaken:
                    continue
        except Unreachable as error:
            raise NotAdmitted(Refused.STORE, f"the cluster's store does not answer: {error}") from None
        except Unreadable as error:
            raise NotAdmitted(Refused.UNKNOWN_CALL, f"its record cannot be read: {error}") from None
        raise NotAdmitted(Refused.UNKNOWN_CALL, "another machine holds on to the call")

    async def _hold(self, call_sid: str, call_id: str, told: dict[str, str], policy: Policy, repeatable: frozenset[str]) -> Held:
        found = await self.store.record(call_sid)
        if found is None:
            record = Record(call=start(policy, call_id), began_unix_ms=time() * 1000, told=told, owner=Owner(name=self.name, epoch=1))
            return Held(record=record, grip=await self.store.begin(call_sid, self.name, record))
        record, last = found
        match record.left(time() * 1000):
            case Left.OVER:
                raise NotAdmitted(Refused.UNKNOWN_CALL, "the call is over")
            case Left.COMING:
                raise NotAdmitted(Refused.COMING, "another machine has the call brought back")
        if record.call.policy.voice != policy.voice:
            raise NotAdmitted(Refused.UNKNOWN_CALL, f"it is spoken by another voice ({record.call.policy.voice}) than this machine has")
        first = record.taken_up(time() * 1000 - record.began_unix_ms, repeatable)
        grip = await self.store.take(call_sid, self.name, record, last, event_line(first, step(record.call, first)))
        tell(logging.WARNING, "call_taken_up", record.call.call_id, epoch=grip.owner.epoch, after=record.owner.name)
        return Held(record=record, grip=grip, first=first)

    async def left(self, call_sid: str) -> Left:
        """What is left of a call. Raises Unreachable."""
        try:
            found = await self.store.record(call_sid)
        except Unreadable:
            return Left.OVER
        if found is None:
            return Left.UNBEGUN
        return found[0].left(time() * 1000)

    async def others(self) -> bool:
        """Is there another machine that could take a call up? A store that is slow is asked again: a call depends on the answer."""
        for _ in range(ASKED):
            with suppress(Unreachable):
                return any(free > 0 for name, free in (await self.store.alive()).items() if name != self.name)
        return False

    async def ring(self, call_sid: str, told: Mapping[str, str], came_with: Mapping[str, str], free: int) -> str:
        """Take a place of the cluster for a call that rings, `free` of which are ours, and give its ticket. Raises NotAdmitted.

        Each machine's figure is as old as its last beat: a stream that finds no room after all asks again (`Refused.BUSY`).
        """
        try:
            alive = await self.store.alive() | {self.name: free}
            if sum(alive.values()) <= await self.store.ringing():
                raise NotAdmitted(Refused.BUSY, "all places of the cluster are taken")
            await self.store.announce(call_sid, told, came_with)
        except Unreachable as error:
            raise NotAdmitted(Refused.STORE, f"the cluster's store does not answer: {error}") from None
        return self.store.ticket(call_sid)

    async def answered(self, call_sid: str, ticket: str) -> tuple[dict[str, str], dict[str, str]]:
        """A call's stream comes with its ticket: what its webhook told, and came with. Raises NotAdmitted."""
        try:
            if not await self.store.spend(call_sid, ticket):
                raise NotAdmitted(Refused.WRONG_TOKEN, "the ticket is not ours, is too old, or was used before")
            return await self.store.answered(call_sid)
        except Unreachable as error:
            raise NotAdmitted(Refused.STORE, f"the cluster's store does not answer: {error}") from None

    async def beat(self, free: Callable[[], int]) -> None:
        """Be alive, until cancelled."""
        while True:
            try:
                await self.store.beat(self.name, free())
            except Unreachable as error:
                tell(logging.ERROR, "store_unreachable", words=str(error))
            await anyio.sleep(BEAT_S)

    async def watch(self, redirect: Redirect | None) -> None:
        """Bring back the calls of machines that are heard of no more, until cancelled."""
        seen: frozenset[str] | None = None
        while True:
            await anyio.sleep(BEAT_S)
            try:
                known = await self.store.owners() if seen is None else seen
                alive = frozenset(await self.store.alive())
                for gone in known - alive - {self.name}:
                    await self._bring_back(gone, redirect)
                seen = alive
            except Unreachable:
                seen = None

    async def _bring_back(self, gone: str, redirect: Redirect | None) -> None:
        for call_sid in await self.store.calls_of(gone):
            try:
                found = await self.store.record(call_sid)
            except Unreadable:
                found = None
            if found is None or found[0].over or found[0].owner.name != gone:
                await self.store.release(gone, call_sid)
            elif redirect is not None and await self.store.claim(f"rescue.{found[0].owner.epoch}.{call_sid}"):
                with suppress(Overtaken):
                    await self._redirected(call_sid, *found, redirect)

    async def _redirected(self, call_sid: str, record: Record, last: int, redirect: Redirect) -> None:
        """Have a call ask anew. Raises Overtaken where it was taken up after all, as its own stream was over.

        Until it has, nobody takes it up: the redirect would close the new stream, and look like the caller's hang-up.
        """
        last = await self.store.append(call_sid, coming(time() * 1000 + COMING_S * 1000), last)
        tell(logging.WARNING, "call_brought_back", call_sid, after=record.owner.name)
        try:
            await redirect(record.told.get("AccountSid", ""), call_sid)
        except LineError as error:
            tell(logging.ERROR, "redirect_failed", call_sid, words=masked(str(error)))
        await self.store.append(call_sid, coming(0), last)
