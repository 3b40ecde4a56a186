"""The calls of a phone server: who may come in, and which handler owns which call; it knows no socket and runs no call."""

import hmac
import secrets
from collections.abc import Callable, Mapping
from enum import StrEnum
from time import monotonic

import anyio
import attrs

from adapters.hosts.phone.application import PhoneCall
from fsm.call.snapshot import Call

TICKET_S = 30.0
"""How long after the webhook's answer its stream may come; Twilio opens it within a second."""
RINGS_S = 5.0
"""How long an announced call keeps its place without its stream; one that comes later is let in where there is room (R106)."""
HANDED_OVER_S = 5.0
"""How long a call may take to be left to another machine."""
TAKEN_OVER = "another stream took the call over"
COMPLETED = "Twilio says that the call is over"


class Refused(StrEnum):
    """Why something was not let in: a label of the metric `callfsm_refused_total`."""

    BUSY = "busy"
    DRAINING = "draining"
    WRONG_ADDRESS = "wrong_address"
    BAD_REQUEST = "bad_request"
    WRONG_SIGNATURE = "wrong_signature"
    WRONG_ACCOUNT = "wrong_account"
    NO_START = "no_start"
    UNKNOWN_CALL = "unknown_call"
    WRONG_TOKEN = "wrong_token"
    SILENT = "silent"
    TOO_FAST = "too_fast"
    OVERLOADED = "overloaded"
    FOREIGN = "foreign"
    STORE = "store"
    COMING = "coming"


class NotAdmitted(Exception):
    """Somebody who is not let in; `why` is counted, and the text is the one line that they are told."""

    def __init__(self, why: Refused, words: str) -> None:
        super().__init__(words)
        self.why = why


@attrs.define(eq=False)
class Handler:
    """One stream's call: `call_id` is its own, `call_sid` that of the telephone call, which may have had a stream before."""

    call_sid: str
    call_id: str
    application: PhoneCall = attrs.Factory(PhoneCall)
    scope: anyio.CancelScope = attrs.Factory(anyio.CancelScope)
    """Cancelled, the call ends at once."""
    recording: anyio.CancelScope = attrs.Factory(anyio.CancelScope)
    """The wait for the end of the call to be on record, in a cluster."""
    call: Callable[[], Call] | None = None
    """The call as it is now, once it has begun."""

    @property
    def phase(self) -> str:
        """The name of the call's phase."""
        return self.call().phase.state.name if self.call else "listening"


@attrs.define
class _Ticket:
    """A call that was announced, and whose stream has not come yet."""

    token: str = attrs.field(repr=False)
    until_s: float = 0.0
    rings_until_s: float = 0.0
    """How long it has a place of its own."""
    told: Mapping[str, str] = attrs.field(factory=dict, repr=False)
    came_with: Mapping[str, str] = attrs.field(factory=dict, repr=False)


class Calls:
    """Admission and ownership. A telephone call takes one place from its webhook to its end, however many streams it has."""

    def __init__(self, max_calls: int, *, ticket_s: float = TICKET_S, now_s: Callable[[], float] = monotonic) -> None:
        """Let in `max_calls` at a time; a stream must come within `ticket_s` of its webhook."""
        self.max_calls = max_calls
        self.draining = False
        """Is nobody let in any more?"""
        self.handlers: set[Handler] = set()
        """Those that run, also such as are just being closed."""
        self._ticket_s, self._now_s = ticket_s, now_s
        self._tickets: dict[str, _Ticket] = {}
        self._owners: dict[str, Handler] = {}
        self._streams = 0
        self._empty = anyio.Event()

    @property
    def places_taken(self) -> int:
        """How many calls there are, those included whose stream is about to come."""
        self._drop_late()
        return len(self._owners.keys() | {call_sid for call_sid in self._tickets if self._rings(call_sid)})

    @property
    def places_free(self) -> int:
        """How many calls could come; none to a server that drains."""
        return 0 if self.draining else max(0, self.max_calls - self.places_taken)

    def announce(self, call_sid: str, told: Mapping[str, str] | None = None, came_with: Mapping[str, str] | None = None) -> str:
        """Take a place for a call that rings, and give the token with which its stream must come.

        The webhook told `told` of it, and came with the trace context `came_with`.

        Raises NotAdmitted. A webhook that is told twice gets the same token again: whichever answer is carried out, its stream is let in,
        once (R98).
        """
        if self.draining:
            raise NotAdmitted(Refused.DRAINING, "the server is shutting down")
        self._find_room(call_sid)
        self._drop_late()
        ticket = self._tickets.setdefault(call_sid, _Ticket(secrets.token_urlsafe(24)))
        ticket.told, ticket.came_with = told or ticket.told, came_with or ticket.came_with
        ticket.until_s, ticket.rings_until_s = self._now_s() + self._ticket_s, self._now_s() + RINGS_S
        return ticket.token

    def begin(self, call_sid: str, token: str) -> Handler:
        """Let a stream in with its token, which is void from now on; a handler that owns the call is closed (R61). Raises NotAdmitted."""
        self._drop_late()
        ticket = self._tickets.get(call_sid)
        if ticket is None:
            told = "its stream has come already" if call_sid in self._owners else "no webhook announced this call, or too long ago"
            raise NotAdmitted(Refused.UNKNOWN_CALL, told)
        if not hmac.compare_digest(ticket.token.encode(), token.encode(errors="replace")):
            raise NotAdmitted(Refused.WRONG_TOKEN, "the token is not that of the webhook's answer")
        return self.enter(call_sid, ticket.told, ticket.came_with)

    def enter(self, call_sid: str, told: Mapping[str, str], came_with: Mapping[str, str]) -> Handler:
        """Let a stream in that was checked; a handler that owns the call is closed (R61). Raises NotAdmitted."""
        if self.draining:
            raise NotAdmitted(Refused.DRAINING, "the server is shutting down")
        self._find_room(call_sid)
        self._tickets.pop(call_sid, None)
        self._streams += 1
        # An id of its own for each stream: what still comes of the old one must not be taken for the new one's (R10).
        call_id = f"{call_sid}-{self._streams}"
        handler = Handler(call_sid, call_id, PhoneCall(call_id, told, came_with))
        old, self._owners[call_sid] = self._owners.get(call_sid), handler
        self.handlers.add(handler)
        if old is not None:
            old.application.close(TAKEN_OVER)
        return handler

    def end(self, handler: Handler) -> None:
        """A handler's call is over."""
        self.handlers.discard(handler)
        if self._owners.get(handler.call_sid) is handler:
            del self._owners[handler.call_sid]
        if not self.handlers:
            self._empty.set()

    def note_completed(self, call_sid: str) -> bool:
        """Twilio says that a telephone call is over: its place is free, and a stream that is still there is closed. Was it known?"""
        ticket, owner = self._tickets.pop(call_sid, None), self._owners.get(call_sid)
        if owner is not None:
            owner.application.close(COMPLETED)
        return ticket is not None or owner is not None

    async def drain(self, within_s: float, *, hand_over: bool = False) -> int:
        """Let nobody in, have the calls end politely, and cancel those that have not within `within_s`; gives how many those were.

        `hand_over`: another machine takes the calls up, so each is left there at a moment when nobody speaks.
        """
        self.draining = True
        self._tickets.clear()
        for handler in list(self.handlers):
            if hand_over:
                handler.application.hand_over()
            else:
                handler.application.leave("the server is shutting down")
        with anyio.move_on_after(within_s):
            await self.wait_until_empty()
        if hand_over and self.handlers:
            # There was no such moment: a word that is cut is better than a call.
            for handler in list(self.handlers):
                handler.application.hand_over(at_once=True)
            with anyio.move_on_after(HANDED_OVER_S):
                await self.wait_until_empty()
        late = list(self.handlers)
        self.cancel()
        await self.wait_until_empty()
        return len(late)

    def cancel(self) -> None:
        """End all calls at once, and let nobody in."""
        self.draining = True
        for handler in list(self.handlers):
            handler.scope.cancel()
            handler.recording.cancel()

    async def wait_until_empty(self) -> None:
        """Wait until no handler runs."""
        while self.handlers:
            self._empty = anyio.Event()
            await self._empty.wait()

    def _find_room(self, call_sid: str) -> None:
        """Raise NotAdmitted where neither the call nor anybody has left it a place."""
        has_one = call_sid in self._owners or self._rings(call_sid)
        if not has_one and self.places_taken >= self.max_calls:
            raise NotAdmitted(Refused.BUSY, "all places are taken")

    def _rings(self, call_sid: str) -> bool:
        """Was the call announced, and is its stream about to come?"""
        ticket = self._tickets.get(call_sid)
        return ticket is not None and ticket.rings_until_s > self._now_s()

    def _drop_late(self) -> None:
        """Forget the calls whose stream never came."""
        now_s = self._now_s()
        for call_sid in [call_sid for call_sid, ticket in self._tickets.items() if ticket.until_s <= now_s]:
            del self._tickets[call_sid]
