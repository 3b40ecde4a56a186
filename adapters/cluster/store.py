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
from typing import Any

import anyio
import attrs
import nats
from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.js.api import KeyValueConfig, StreamConfig
from nats.js.client import JetStreamContext
from nats.js.errors import APIError, KeyWrongLastSequenceError, NoKeysError, NotFoundError
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
ANSWER_S = 1.0
"""How long the store may take to answer."""
CONNECT_S = 10.0
WRONG_LAST_SEQUENCE = 10071
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
        self._client, self._js, self._buckets, self._secret = client, js, buckets, secret

    # Records.

    async def append(self, call_sid: str, text: str, last: int) -> int:
        """Add to a record whose last message has that number; gives the number of the new one. Raises Overtaken and Unreachable."""
        subject = f"{SUBJECT}.{key_of(call_sid)}"
        try:
            ack = await self._js.publish(
                subject, text.encode(), timeout=ANSWER_S, headers={"Nats-Expected-Last-Subject-Sequence": str(last)}
            )
        except APIError as error:
            if error.err_code != WRONG_LAST_SEQUENCE:
                raise Unreachable(str(error)) from None
            return await self._ours_already(subject, text, last)
        except (NatsError, TimeoutError, OSError) as error:
            raise Unreachable(str(error) or type(error).__name__) from None
        return ack.seq

    async def _ours_already(self, subject: str, text: str, last: int) -> int:
        """A message whose receipt was lost is there already, and is the last. Raises Overtaken, and Unreachable."""
        try:
            there = await self._js.get_last_msg(STREAM, subject)
        except (NatsError, TimeoutError, OSError) as error:
            raise Unreachable(str(error) or type(error).__name__) from None
        if there.data != text.encode() or there.seq is None or there.seq <= last:
            raise Overtaken
        return there.seq

    async def record(self, call_sid: str) -> tuple[Record, int] | None:
        """A call by its record, and the number of the last message; None where there is none. Raises Unreadable and Unreachable."""
        lines: list[str] = []
        last = 0
        try:
            while True:
                message = await self._js.get_msg(STREAM, last + 1, subject=f"{SUBJECT}.{key_of(call_sid)}", next=True)
                last = message.seq or 0
                lines += (message.data or b"").decode().split("\n")
        except NotFoundError:
            return (read(lines), last) if lines else None
        except (NatsError, TimeoutError, OSError) as error:
            raise Unreachable(str(error) or type(error).__name__) from None

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
        bucket = self._buckets["owners"]
        with _reachable():
            try:
                keys = [key for key in await bucket.keys() if key.startswith(f"{name}.")]
                return [((await bucket.get(key)).value or b"").decode() for key in keys]
            except NoKeysError:
                return []

    async def owners(self) -> frozenset[str]:
        """The processes that have calls, or had them when they died. Raises Unreachable."""
        with _reachable():
            try:
                return frozenset(key.split(".")[0] for key in await self._buckets["owners"].keys())
            except NoKeysError:
                return frozenset()

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

    async def announce(self, call_sid: str, told: Mapping[str, str]) -> None:
        """Note what a webhook told of a call, for the machine to which its stream comes. Raises Unreachable."""
        with _reachable():
            await self._buckets["rings"].put(key_of(call_sid), json.dumps(dict(told)).encode())

    async def told(self, call_sid: str) -> dict[str, str]:
        """What a webhook told of a call; empty where none did. Raises Unreachable."""
        with _reachable():
            try:
                entry = await self._buckets["rings"].get(key_of(call_sid))
            except NotFoundError:
                return {}
            found: dict[str, str] = json.loads(entry.value or b"{}")
            return found

    def _sign(self, call_sid: str, words: str) -> str:
        return hmac.new(self._secret, f"{call_sid} {words}".encode(errors="replace"), hashlib.sha256).hexdigest()

    # Who is alive.

    async def beat(self, name: str, about: Mapping[str, Any]) -> None:
        """Be alive for LEASE_S. Raises Unreachable."""
        with _reachable():
            await self._buckets["workers"].put(name, json.dumps(dict(about)).encode())

    async def rest(self, name: str) -> None:
        """Be alive no more."""
        with suppress(NatsError, TimeoutError, OSError):
            await self._buckets["workers"].purge(name)

    async def alive(self) -> frozenset[str]:
        """Who is alive. Raises Unreachable."""
        with _reachable():
            try:
                return frozenset(await self._buckets["workers"].keys())
            except NoKeysError:
                return frozenset()

    async def claim(self, what: str) -> bool:
        """Is it ours to do, as nobody else has claimed it in the last minutes? Raises Unreachable."""
        with _reachable():
            try:
                await self._buckets["spent"].create(what, b"")
            except KeyWrongLastSequenceError:
                return False
        return True


class _reachable:
    """Turns what nats-py raises into Unreachable."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        if isinstance(error, NatsError | TimeoutError | OSError):
            raise Unreachable(str(error) or type(error).__name__) from None


@asynccontextmanager
async def opened(url: str, *, replicas: int = 1) -> AsyncIterator[Store]:
    """Join the cluster at `url`. Raises OSError where there is none, Incompatible where its calls cannot be taken up."""
    try:
        with anyio.fail_after(CONNECT_S):
            client = await nats.connect(url, max_reconnect_attempts=-1, reconnect_time_wait=0.25, connect_timeout=2, allow_reconnect=True,
                error_cb=_quiet)  # fmt: skip
    except (NatsError, TimeoutError, OSError, ValueError) as error:
        raise OSError(f"--cluster {url}: no NATS answers there ({str(error) or type(error).__name__})") from None
    try:
        js = client.jetstream(timeout=5)
        await js.add_stream(StreamConfig(name=STREAM, subjects=[f"{SUBJECT}.*"], max_age=KEPT_S, num_replicas=replicas))
        lives = {"workers": LEASE_S, "spent": 2 * TICKET_S, "rings": TICKET_S, "owners": KEPT_S, "state": 0.0}
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
        yield Store(client, js, buckets, secret.encode())
    except (NatsError, TimeoutError) as error:
        raise OSError(f"--cluster {url}: {str(error) or type(error).__name__}; has it JetStream (nats-server -js)?") from None
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


async def _quiet(_: Exception) -> None:
    """What fails is told by whoever asked for it."""


def key_of(call_sid: str) -> str:
    """A call's id as a token of a subject and a key."""
    return call_sid if _PLAIN.fullmatch(call_sid) else "x" + hashlib.sha256(call_sid.encode()).hexdigest()[:40]


__all__ = ["LEASE_S", "Grip", "Incompatible", "Store", "Unreachable", "Unreadable", "key_of", "opened"]
