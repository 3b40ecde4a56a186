"""What one connection of the realtime wire remembers, all of it bounded (R07); what a message means is not in here."""

from collections import Counter
from collections.abc import Callable
from enum import StrEnum
from math import inf
from time import time
from typing import Any

import attrs

from adapters.realtime.calls import Calls
from adapters.realtime.messages import Malformed, Told, value_at
from adapters.realtime.order import InOrder
from adapters.realtime.rewrites import Rewrites
from adapters.realtime.session import SessionSetup
from adapters.realtime.settings import NO_TRANSCRIPTION, RealtimeSettings
from adapters.realtime.surrogates import Pieces
from adapters.seam.bounded import Bounded
from fsm.call.effects import Effect
from fsm.call.policy import Policy

FIRST_FEW = 3
"""So many errors of a kind are told; of more only their number is kept (R108)."""
KINDS = 32
"""So many kinds of errors are told apart; what comes then is of one kind."""


MOST_ITEMS = 64
"""So many items of a response are told apart, and so many of its calls, transcripts and ends of items are told (R108)."""


MADE = "response "
"""How an id begins that is ours; no id of the wire holds a blank."""


def is_made(response_id: str) -> bool:
    """Is it an id that the server does not know?"""
    return response_id.startswith(MADE)


class Gate(StrEnum):
    """How far the session is set up (R39)."""

    UNASKED = "unasked"
    ASKED = "asked"
    CONFIRMED = "confirmed"


class Turn(StrEnum):
    """How far a turn of the caller's has come."""

    SPEAKING = "the caller speaks"
    SPOKEN = "spoken"
    UNREAD = "committed, and its words are not known"
    PROVED = "known by its words alone"
    COMMITTED = "committed"


@attrs.define
class ResponseNotes:
    """What is known of a response: its items by their output_index, the latest of them, and the words of each so far."""

    at: dict[int, str] = attrs.field(factory=dict)
    last_item: str = ""
    words: dict[str, str] = attrs.field(factory=dict)
    kinds: dict[str, str] = attrs.field(factory=dict)
    """Whether an item's words came as text or as a transcript: the first counts."""
    transcribed: dict[str, bool] = attrs.field(factory=dict)
    begun: dict[str, bool] = attrs.field(factory=dict)
    """Items of whatever kind that are begun, and not done."""
    items: set[str] = attrs.field(factory=set)
    """The first MOST_ITEMS items; what comes of more is taken for the last one's."""
    told: Counter[str] = attrs.field(factory=Counter)
    """How often each of what may be told many times of a response was told."""
    sounded: bool = False
    """Has sound of it come?"""
    loud: bool = False
    """Was any of it more than silence?"""
    silent_ms: float = 0.0
    """How much came before that."""
    told_words: bool = False
    """Has the core been told that words came?"""
    order: InOrder = attrs.field(factory=InOrder)

    def may_tell(self, what: str) -> bool:
        """May this be told of the response once more, and count it (R108)?"""
        self.told[what] += 1
        return self.told[what] <= MOST_ITEMS

    def index_of(self, item_id: str) -> int | None:
        """Where an item stands in the output, if that is known."""
        return next((index for index, known in self.at.items() if known == item_id), None)


@attrs.define
class Memory:
    """The memory of a connection; the rows of the table read and change it."""

    settings: RealtimeSettings
    policy: Policy
    setup: SessionSetup
    key: str | None = attrs.field(default=None, repr=False)
    clock_s: Callable[[], float] = time
    """The time since 1970, by which a server may say when to come again."""
    gate: Gate = Gate.UNASKED
    running: str = ""
    """The response in progress, empty between two."""
    spoken_item: str = ""
    """The item of the caller's that was last heard of."""
    began_ms: float = inf
    """When the caller was last heard to begin, by the server's clock, if it tells."""
    words: Bounded[str, str] = attrs.field(factory=Bounded)
    """What was told of each turn of the caller's, while it was spoken and after."""
    tells_stops: bool | None = None
    """Does the server tell that speech stopped? None: it has not shown yet."""
    open_commits: int = 0
    """How many commits of ours are not answered."""
    open_corrections: int = 0
    """How many truncates and deletes of ours are not answered."""
    asking: bool = False
    """Is a response asked for that was neither created nor refused?"""
    names_responses: bool = False
    """Has the server given a response an id?"""
    made_ids: int = 0
    names_conversations: bool = False
    """Has the server named a conversation that a response is in?"""
    reset_ms: float = 0.0
    """When the rate limit that is used up is whole again, after it was told."""
    renamed: Bounded[str, str] = attrs.field(factory=Bounded)
    """What a response is called whose id an earlier one had."""
    begun_by: Bounded[str, str] = attrs.field(factory=Bounded)
    """The message that told that a response began."""
    ended: Bounded[str, bool] = attrs.field(factory=Bounded)
    """The responses whose end was told."""
    again: Bounded[str, str] = attrs.field(factory=Bounded)
    """What a turn of the caller's is called whose item's id an earlier one had, or which several items name."""
    half_samples: Bounded[tuple[str, str, int], bytes] = attrs.field(factory=Bounded)
    """Of a response, an item and a part: the half of a sample that came last."""
    commands: Bounded[str, Effect] = attrs.field(factory=Bounded)
    foreign: Bounded[str, bool] = attrs.field(factory=Bounded)
    untold: Bounded[str, bool] = attrs.field(factory=Bounded)
    """Responses that something else told of than their response.created."""
    responses: Bounded[str, ResponseNotes] = attrs.field(factory=Bounded)
    items: Bounded[str, str] = attrs.field(factory=Bounded)
    """The response of each item."""
    previous: Bounded[str, str] = attrs.field(factory=Bounded)
    """The item that each stands behind, as far as the server said."""
    added: Bounded[str, str] = attrs.field(factory=Bounded)
    """The response of each item that the core was told of."""
    turns: Bounded[str, Turn] = attrs.field(factory=Bounded)
    calls: Calls = attrs.field(factory=Calls)
    pieces: Pieces = attrs.field(factory=Pieces)
    rewrites: Rewrites = attrs.field(factory=Rewrites)
    errors: Counter[str] = attrs.field(factory=Counter)
    """How often each kind of error came."""
    set_aside: Counter[str] = attrs.field(factory=Counter)
    """How many messages were set aside, by code: `malformed_event`, `unknown_event`, `error` (R84)."""

    @property
    def writes(self) -> bool:
        """Does the model write what a voice of ours speaks?"""
        return self.policy.voice == "chatterbox"

    @property
    def transcript_first(self) -> bool:
        """Is a turn taken only once its words are known? Not where none are asked for."""
        asked = self.settings.transcript_first
        wanted = self.setup.transcribes_unasked if asked is None else asked
        return wanted and self.settings.transcription != NO_TRANSCRIPTION

    def notes(self, response_id: str) -> ResponseNotes:
        """What is known of a response."""
        if response_id not in self.responses:
            self.responses[response_id] = ResponseNotes()
        return self.responses[response_id]

    def whose(self, told: Told) -> tuple[str, str]:
        """The response and the item of a message; what it leaves out is known by the rest. Raises Malformed where nothing says whose."""
        item_id = told.text("item_id")
        response_id = told.text("response_id") or self.items.get(item_id, "") or self.running
        if not response_id:
            raise Malformed("it names no response, and none is in progress")
        notes = self.notes(response_id)
        if not item_id:
            place = told.number("output_index") if told.has("output_index") else -1
            return response_id, notes.at.get(place, notes.last_item)
        if item_id not in notes.items:
            if len(notes.items) >= MOST_ITEMS:
                return response_id, notes.last_item
            notes.items.add(item_id)
        if told.has("output_index") and len(notes.at) < KINDS:
            notes.at[told.number("output_index")] = item_id
        notes.last_item = item_id
        self.items[item_id] = response_id
        return response_id, item_id

    def made_id(self) -> str:
        """An id for a response that has none, which no other response of the call has, in this session or an earlier one."""
        self.made_ids += 1
        return f"{MADE}{self.clock_s():.0f}-{self.made_ids}"

    def has_one_id(self, response_id: str) -> bool:
        """Has the server given all its responses this id? Of one that gives each its own, it is told late."""
        return all(one == response_id or is_made(one) for one in self.ended)

    def is_foreign(self, told: Told) -> bool:
        """Does a message belong to a response that is somebody else's? Such a one is in no conversation."""
        self.names_responses |= bool(told.text("response_id"))
        response = value_at(told.message, "response")
        if isinstance(response, dict) and self._is_beside(response, told.text("response_id")):
            if response_id := told.text("response_id"):
                self.foreign[response_id] = True
            return True
        named = told.text("response_id") or self.items.get(told.text("item_id"), "")
        if named in self.foreign and (item_id := told.text("item_id")):
            self.items[item_id] = named
        return named in self.foreign

    def _is_beside(self, response: dict[str, Any], response_id: str) -> bool:
        """Is a response in no conversation? One without, of a server that never named any, is unless it is awaited (R102).

        OpenAI's documentation has null for a response that was asked for beside the conversation, and an id for every other, so an
        earlier response has named it. We ask for none beside: null from a server that names none is a field that it fills.
        """
        conversation = response.get("conversation_id", "")
        if isinstance(conversation, str):
            self.names_conversations |= conversation not in ("", "none")
            return conversation == "none"
        awaited = self.asking or self.policy.create_response or response_id in self.responses
        return conversation is None and (self.names_conversations or not awaited)

    @property
    def only_asks(self) -> bool:
        """Is nothing open but a response that is asked for, so that the failure of something is its own?"""
        corrects = self.open_corrections or self.rewrites.under_way
        return self.asking and not self.running and not self.open_commits and not corrects

    def is_told(self, kind: str) -> bool:
        """Is an error of this kind told, being one of the first few?"""
        kind = kind if kind in self.errors or len(self.errors) < KINDS else "others"
        self.errors[kind] += 1
        return self.errors[kind] <= FIRST_FEW
