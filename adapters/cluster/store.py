"""What machines share, in NATS JetStream: the records of live calls, tickets that are good once, who is alive; asyncio alone, as nats-py.

A record is a subject of one stream; whoever adds to it names the message that was its last, so that two owners cannot both write (compare
and set). Tickets and leases are keys that the server forgets by itself.
"""

import hashlib
import hmac
import json
import re
import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from time import time

import anyio
import attrs
import nats
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.js.api import DeliverPolicy, KeyValueConfig, StreamConfig
from nats.js.client import JetStreamContext
from nats.js.errors import APIError, KeyWrongLastSequenceError, NotFoundError
from nats.js.kv import KeyValue

from adapters.cluster.journal import Overtaken, Unreachable
from adapters.cluster.record import FORMAT, READS, Owner, Record, Unreadable, head, read

STREAM, SUBJECT = "CALLFSM_CALLS", "callfsm.call"
KEPT_S = 3_600.0
"""How long a record outlives its last line: a call that is over is nobody's."""
LEASE_S = 3.0
"""A process that has not been heard of for this long is taken for dead."""
TICKET_S = 60.0
"""How long a ticket is good, and a spent one remembered."""
RINGS_S = 5.0
"""How long an announced call keeps a place of the cluster without its stream (R106)."""
ANSWER_S = 1.0
"""How long the store may take to answer."""
CONNECT_S = 10.0
WRONG_LAST_SEQUENCE = 10071
_GONE = frozenset({"KV-Operation", "Nats-Marker-Reason"})
"""The headers of what is left of an entry that was purged, or whose time is over (NATS ADR-8, ADR-43)."""
_PLAIN = re.compile(r"[A-Za-z0-9_-]{1,64}")


class Incompatible(Exception):
    """The cluster's calls are written in a format that this version cannot take up; the message is one line."""


@attrs.define(eq=False)
class Grip:
    """One owner's hold of a record."""

    store: "Store"
    call_sid: str
    owner: Owner
    last: int
    """The number of the record's last message."""

    async def append(self, text: str) -> None:
        """See `journal.Append`."""
        self.last = await self.store.append(self.call_sid, text, self.last)


class Store:
    """The state of a cluster, for as long as `opened` lasts."""

    def __init__(self, client: Client, js: JetStreamContext, buckets: Mapping[str, KeyValue], secret: bytes) -> None:
        self._js, self._buckets, self._secret = js, buckets, secret
        self._reachable = _Reachable(client)

    # Records.

    async def append(self, call_sid: str, text: str, last: int) -> int:
        """Add to a record whose last message has that number; gives the number of the new one. Raises Overtaken and Unreachable."""
        subject, headers = f"{SUBJECT}.{key_of(call_sid)}", {"Nats-Expected-Last-Subject-Sequence": str(last)}
        with self._reachable:
            try:
                return (await self._js.publish(subject, text.encode(), timeout=ANSWER_S, headers=headers)).seq
            except APIError as error:
                if error.err_code != WRONG_LAST_SEQUENCE:
                    raise
            # A message whose receipt was lost is there already, and is the last.
            there = await self._js.get_last_msg(STREAM, subject)
        if there.data != text.encode() or there.seq is None or there.seq <= last:
            raise Overtaken
        return there.seq

    async def record(self, call_sid: str) -> tuple[Record, int] | None:
        """A call by its record, and the number of the last message; None where there is none. Raises Unreadable and Unreachable."""
        messages = await self._messages(STREAM, f"{SUBJECT}.{key_of(call_sid)}")
        lines = [line for message in messages for line in message.data.decode().split("\n")]
        return (read(lines), messages[-1].metadata.sequence.stream) if lines else None

    async def begin(self, call_sid: str, name: str, record: Record) -> Grip:
        """Write a new record's first line. Raises Overtaken where there is a record, and Unreachable."""
        line = head(record.owner, record.call, began_unix_ms=record.began_unix_ms, told=record.told)
        last = await self.append(call_sid, line, 0)
        await self._own(name, call_sid)
        return Grip(self, call_sid, record.owner, last)

    async def take(self, call_sid: str, name: str, record: Record, last: int, event_line: str) -> Grip:
        """Become the owner: the record has our line from now on, or Overtaken is raised, as somebody was faster. Raises Unreachable."""
        owner = Owner(name=name, epoch=record.owner.epoch + 1)
        last = await self.append(call_sid, f"{head(owner)}\n{event_line}", last)
        await self._own(name, call_sid)
        return Grip(self, call_sid, owner, last)

    async def release(self, name: str, call_sid: str) -> None:
        """The process has that call no more."""
        with suppress(NatsError, TimeoutError, OSError):
            await self._buckets["owners"].purge(f"{name}.{key_of(call_sid)}")

    async def _own(self, name: str, call_sid: str) -> None:
        with suppress(NatsError, TimeoutError, OSError):
            await self._buckets["owners"].put(f"{name}.{key_of(call_sid)}", call_sid.encode())

    async def calls_of(self, name: str) -> list[str]:
        """The calls that a process had. Raises Unreachable."""
        return [value.decode() for key, value in (await self._entries("owners")).items() if key.startswith(f"{name}.")]

    async def owners(self) -> frozenset[str]:
        """The processes that have calls, or had them when they died. Raises Unreachable."""
        return frozenset(key.split(".")[0] for key in await self._entries("owners"))

    # Tickets.

    def ticket(self, call_sid: str) -> str:
        """A ticket for a call, which any machine can check, and which is good once."""
        words = f"{secrets.token_urlsafe(12)}.{int(time() + TICKET_S)}"
        return f"{words}.{self._sign(call_sid, words)}"

    async def spend(self, call_sid: str, ticket: str) -> bool:
        """Is a ticket good for this call, and was it not used before? It is used now. Raises Unreachable."""
        words, _, signature = ticket.rpartition(".")
        if not hmac.compare_digest(signature.encode(errors="replace"), self._sign(call_sid, words).encode()):
            return False
        nonce, _, until = words.partition(".")
        if int(until) < time():
            return False
        return await self.claim(nonce)

    async def announce(self, call_sid: str, told: Mapping[str, str], came_with: Mapping[str, str]) -> None:
        """A call rings: take a place for it, and note its webhook for the machine to which its stream comes. Raises Unreachable."""
        with self._reachable:
            await self._buckets["ringing"].put(key_of(call_sid), b"")
            await self._buckets["told"].put(key_of(call_sid), json.dumps([dict(told), dict(came_with)]).encode())

    async def answered(self, call_sid: str) -> tuple[dict[str, str], dict[str, str]]:
        """A call's stream has come: its place is its machine's now; gives what its webhook told, and came with. Raises Unreachable."""
        with self._reachable:
            await self._buckets["ringing"].purge(key_of(call_sid))
            try:
                entry = await self._buckets["told"].get(key_of(call_sid))
            except NotFoundError:
                return {}, {}
            told, came_with = json.loads(entry.value or b"[{}, {}]")
            return told, came_with

    async def ringing(self) -> int:
        """How many calls were announced whose stream has not come yet. Raises Unreachable."""
        return len(await self._entries("ringing"))

    def _sign(self, call_sid: str, words: str) -> str:
        return hmac.new(self._secret, f"{call_sid} {words}".encode(errors="replace"), hashlib.sha256).hexdigest()

    # Who is alive.

    async def beat(self, name: str, free: int) -> None:
        """Be alive for LEASE_S, with so many free places. Raises Unreachable."""
        with self._reachable:
            await self._buckets["workers"].put(name, str(free).encode())

    async def rest(self, name: str) -> None:
        """Be alive no more."""
        with suppress(NatsError, TimeoutError, OSError):
            await self._buckets["workers"].purge(name)

    async def alive(self) -> dict[str, int]:
        """Who is alive, and how many free places each had at its last beat. Raises Unreachable."""
        return {name: int(free) for name, free in (await self._entries("workers")).items()}

    async def claim(self, what: str) -> bool:
        """Is it ours to do, as nobody else has claimed it in the last minutes? Raises Unreachable."""
        with self._reachable:
            try:
                await self._buckets["spent"].create(what, b"")
            except KeyWrongLastSequenceError:
                return False
        return True

    # Reading.

    async def _entries(self, bucket: str) -> dict[str, bytes]:
        """What a bucket holds. Raises Unreachable."""
        prefix = f"$KV.callfsm-{bucket}."
        messages = await self._messages(f"KV_callfsm-{bucket}", f"{prefix}>", DeliverPolicy.LAST_PER_SUBJECT)
        return {message.subject.removeprefix(prefix): message.data for message in messages if _GONE.isdisjoint(message.headers or ())}

    async def _messages(self, stream: str, subject: str, policy: DeliverPolicy = DeliverPolicy.ALL) -> list[Msg]:
        """The messages of a stream that have a subject. Raises Unreachable.

        Pushed, thousands are here in a tenth of the time that asking for each would take. They are counted by what the server has sent and
        is to send: nats-py's own listing of a bucket is empty where the server has sent all and none has come yet.
        """
        with self._reachable:
            sent = await self._js.subscribe(subject, stream=stream, ordered_consumer=True, deliver_policy=policy)
            try:
                about, found = await sent.consumer_info(), list[Msg]()
                left = (about.num_pending or 0) + (about.delivered.consumer_seq if about.delivered else 0)
                while left:
                    found.append(await sent.next_msg(ANSWER_S))
                    left = found[-1].metadata.num_pending
            finally:
                await sent.unsubscribe()
        return found


class _Reachable:
    """Turns what nats-py raises into Unreachable; where the line is broken there is nothing to wait for."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def __enter__(self) -> None:
        if not self._client.is_connected:
            raise Unreachable("the connection is broken")

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        if isinstance(error, NatsError | TimeoutError | OSError):
            raise Unreachable(str(error) or type(error).__name__) from None


@asynccontextmanager
async def opened(url: str, *, replicas: int = 1) -> AsyncIterator[Store]:
    """Join the cluster at `url`, or at several with commas between.

    Raises OSError where there is none, and Incompatible where its calls cannot be taken up.
    """
    last: list[Exception] = []

    async def note(error: Exception) -> None:
        """What fails later is told by whoever asked for it."""
        last[:] = [error]

    try:
        with anyio.fail_after(CONNECT_S):
            servers = url.split(",")
            client = await nats.connect(servers, max_reconnect_attempts=-1, reconnect_time_wait=0.25, connect_timeout=2, error_cb=note)
    except (NatsError, TimeoutError, OSError, ValueError) as error:
        why = last[0] if last else error
        told = f"no NATS answers there within {CONNECT_S:g} s ({str(why) or type(why).__name__})"
        raise OSError(f"--cluster {shown(url)}: {told}") from None
    try:
        js = client.jetstream(timeout=5)
        await js.add_stream(StreamConfig(name=STREAM, subjects=[f"{SUBJECT}.*"], max_age=KEPT_S, num_replicas=replicas))
        lives = {"workers": LEASE_S, "spent": 2 * TICKET_S, "ringing": RINGS_S, "told": TICKET_S, "owners": KEPT_S, "state": 0.0}
        buckets = {
            name: await js.create_key_value(KeyValueConfig(bucket=f"callfsm-{name}", ttl=ttl or None, replicas=replicas))
            for name, ttl in lives.items()
        }
        state = buckets["state"]
        secret = await _agreed(state, "secret", secrets.token_urlsafe(32))
        written = int(await _agreed(state, "format", str(FORMAT)))
        if written not in READS:
            raise Incompatible(f"the cluster's calls are of format {written}; this version reads {', '.join(map(str, READS))}")
        if written < FORMAT:
            await state.put("format", str(FORMAT).encode())
        yield Store(client, client.jetstream(timeout=ANSWER_S), buckets, secret.encode())
    except (NatsError, TimeoutError) as error:
        raise OSError(f"--cluster {shown(url)}: {str(error) or type(error).__name__}; has it JetStream (nats-server -js)?") from None
    finally:
        with suppress(NatsError, TimeoutError, OSError), anyio.CancelScope(shield=True):
            await client.close()


async def _agreed(state: KeyValue, name: str, mine: str) -> str:
    """The cluster's value: ours, if nobody was faster."""
    try:
        await state.create(name, mine.encode())
        return mine
    except KeyWrongLastSequenceError:
        return ((await state.get(name)).value or b"").decode()


def shown(url: str) -> str:
    """The URL of a NATS server without the secrets in it."""
    return re.sub(r"//[^/]*@", "//", url)


def key_of(call_sid: str) -> str:
    """A call's id as a token of a subject and a key."""
    return call_sid if _PLAIN.fullmatch(call_sid) else "x" + hashlib.sha256(call_sid.encode()).hexdigest()[:40]


__all__ = ["LEASE_S", "Grip", "Incompatible", "Store", "Unreachable", "Unreadable", "key_of", "opened", "shown"]
