"""The responses in progress of a stand-in realtime session: begun, given, cancelled and ended, faultlessly or as a script wants it.

The host produces words and sound; everything about a response that is no longer in progress is dropped, so no delta follows a cancel.
"""

from functools import partial
from typing import Protocol

from adapters.standin.checks import Refused
from adapters.standin.dialogue import Turn
from adapters.standin.ears import tone
from adapters.standin.faults import Fault
from adapters.standin.realtime.conversation import Conversation
from adapters.standin.realtime.events import Begin, Events, Later, Out
from adapters.standin.realtime.grammar import Json
from adapters.standin.realtime.response import STRAGGLER, STRAGGLER_MS, Plan, Response
from adapters.standin.realtime.settings import SessionSettings

_FLAWS = ("empty_response", "stalled_response")
_FLAWS_OF_SOUND = ("silent_response", "two_items")
RATE_LIMITS = {"requests": 20_000, "tokens": 15_000_000}
"""The limits that the stand-in tells: those of a large account."""
FAILURES = {
    "server_error": ("server_error", "The server had an error while processing your request. Sorry about that!"),
    "insufficient_quota": ("insufficient_quota", "You exceeded your current quota, please check your plan and billing details."),
    "rate_limit_exceeded": ("invalid_request_error", "Rate limit reached. Please try again later."),
    "inference_rate_limit_exceeded": ("invalid_request_error", "We're currently processing too many requests, please try again later."),
}
"""The type and the words of a failure, by its code (as logs of the original show them); others are of type server_error."""


class Faults(Protocol):
    """What a session asks of its fault script; `Schedule` is one."""

    def occasion(self, name: str) -> Fault | None:
        """There is an occasion for the fault of this name: does it strike?"""

    def armed(self, name: str) -> Fault | None:
        """Has the fault's own time come while its occasion lasts?"""


class Responses:
    """Those in progress: at most one in the conversation, any number beside it."""

    def __init__(self, events: Events, settings: SessionSettings, conversation: Conversation, faults: Faults) -> None:
        self._events, self._settings, self._conversation, self._faults = events, settings, conversation, faults
        self._active: dict[str, Response] = {}
        self._ending: set[str] = set()
        self._flaws: dict[str, Fault] = {}
        self._to_begin = 0

    # What begins and ends a response.

    def create(self, wishes: Json, event_id: str | None = None) -> list[Out]:
        """Begin a response; `event_id` is that of the client event that wants it. Refused when another is in progress."""
        self._refuse_a_second(wishes)
        never, late = self._faults.occasion("response_never_created"), self._faults.occasion("slow_created")
        if never:
            return []
        if not late:
            return self._begin(wishes)
        self._to_begin += bool(late["busy"])
        return [Later(late["ms"], partial(self._begin_late, wishes, event_id, busy=bool(late["busy"])))]

    def cancel(self, event: Json) -> list[Out]:
        """The client cancels a response. Refused when it is not in progress."""
        named = event.get("response_id")
        response = self._active.get(named) if named else self._main
        if not response or response.id in self._ending:
            raise _not_active()
        ended = self._stop(response, "client_cancelled")
        if response.status != "completed":
            return ended
        return [*ended, self._events.error(_not_active(), event.get("event_id"))]

    def interrupt(self) -> list[Out]:
        """The caller speaks: the conversation's response is cancelled, if there is one."""
        main = self._main
        return self._stop(main, "turn_detected") if main and main.id not in self._ending else []

    # What the host does for a response.

    def plan(self, response_id: str) -> Plan | None:
        """How to give the response; None once it is over."""
        response = self._given(response_id)
        return response.plan if response else None

    def turn(self, response_id: str) -> Turn | None:
        """What the dialogue has to answer, with the caller's words once they are known; None once the response is over."""
        response = self._given(response_id)
        return response.turn() if response else None

    def say(self, response_id: str, words: str) -> list[Out]:
        """The next word of the response; one too many ends it instead."""
        response = self._given(response_id)
        if not response:
            return []
        if ended := self._ended_by_fault(response):
            return ended
        if response.is_full:
            return self._end(response, "incomplete", {"type": "incomplete", "reason": "max_output_tokens"})
        return [] if self._is_mute(response) else response.say(words)

    def sound(self, response_id: str, data: bytes) -> list[Out]:
        """The next sound of the response, already in its wire format."""
        response = self._given(response_id)
        if not response:
            return []
        if ended := self._ended_by_fault(response):
            return ended
        flaw = self._flaws.get(response_id)
        return [] if self._is_mute(response) or (flaw and flaw.name == "silent_response") else response.sound(data)

    def next_item(self, response_id: str) -> list[Out]:
        """The response comes to its next sentence, which may be an item of its own."""
        response, flaw = self._given(response_id), self._flaws.get(response_id)
        return response.next_item() if response and flaw and flaw.name == "two_items" else []

    def call(self, response_id: str, name: str, arguments: str) -> list[Out]:
        """The response is a function call; `arguments` is JSON. The client answers with a function_call_output item."""
        response = self._given(response_id)
        if not response:
            return []
        return self._ended_by_fault(response) or ([] if self._is_mute(response) else response.call(name, arguments))

    def complete(self, response_id: str) -> list[Out]:
        """The response is said to its end."""
        response, flaw = self._given(response_id), self._flaws.get(response_id)
        if not response or (flaw and flaw.name == "stalled_response"):
            return []
        return self._end(response, "completed", None)

    # How it comes about.

    def _refuse_a_second(self, wishes: Json) -> None:
        """One at a time in the conversation."""
        if wishes.get("conversation") != "none" and (self._main or self._to_begin):
            named = f": {self._main.id}" if self._main else ""
            busy = f"Conversation already has an active response in progress{named}."
            advice = "Wait until the response is finished before creating a new one."
            raise Refused("conversation_already_has_active_response", f"{busy} {advice}")

    def _begin(self, wishes: Json) -> list[Out]:
        if self._faults.occasion("text_response"):
            wishes = wishes | {"output_modalities": ["text"]}
        response = Response(wishes, events=self._events, settings=self._settings, conversation=self._conversation)
        self._active[response.id] = response
        asked = (*_FLAWS_OF_SOUND, *_FLAWS) if response.plan.modality == "audio" else _FLAWS
        found = [fault for name in asked if (fault := self._faults.occasion(name))]
        if found:
            self._flaws[response.id] = found[0]
        out: list[Out] = [response.created(), self._rate_limits()]
        failed, incomplete = self._faults.occasion("failed_response"), self._faults.occasion("incomplete_response")
        return out + (self._fail(response, failed or incomplete) or [Begin(response.id)])

    def _begin_late(self, wishes: Json, event_id: str | None, *, busy: bool) -> list[Out]:
        """What was wanted a while ago is begun now, if it still may be; `busy`: it has kept others away."""
        self._to_begin -= busy
        try:
            self._refuse_a_second(wishes)
            return self._begin(wishes)
        except Refused as refusal:
            return [self._events.error(refusal, event_id)]

    def _stop(self, response: Response, reason: str) -> list[Out]:
        """Cancel it; nothing more is said of it, but what a script wants: it may even complete just now."""
        late, more = self._faults.occasion("slow_cancel"), self._faults.occasion("stragglers")
        if self._faults.occasion("cancel_races_done"):
            return self._end(response, "completed", None)
        before = _stragglers(response, more["count"]) if more and not more["after_done"] else []
        behind = int(more["count"]) if more and more["after_done"] else 0
        finish = partial(self._finish, response, reason, behind)
        if not late:
            return before + finish()
        self._ending.add(response.id)
        return [*before, Later(late["ms"], finish)]

    def _finish(self, response: Response, reason: str, behind: int) -> list[Out]:
        """A cancel is over, and `behind` it come so many stragglers."""
        return self._end(response, "cancelled", {"type": "cancelled", "reason": reason}) + [
            out for _ in range(behind) for out in response.straggle()
        ]

    def _ended_by_fault(self, response: Response) -> list[Out]:
        """The end that a script wants now, in the middle of the response."""
        return self._fail(response, self._faults.armed("failed_response") or self._faults.armed("incomplete_response"))

    def _fail(self, response: Response, fault: Fault | None) -> list[Out]:
        """It ends as a fault wants it; nothing without a fault."""
        if not fault:
            return []
        if fault.name == "incomplete_response":
            return self._end(response, "incomplete", {"type": "incomplete", "reason": fault["reason"]})
        kind, message = FAILURES.get(fault["code"], FAILURES["server_error"])
        message = f"{message} Please try again in {fault['wait_s']:g}s." if fault["wait_s"] else message
        error = {"type": kind, "code": fault["code"], "message": message}
        return self._end(response, "failed", {"type": "failed", "error": error})

    def _end(self, response: Response, status: str, details: Json | None) -> list[Out]:
        del self._active[response.id]
        self._ending.discard(response.id)
        self._flaws.pop(response.id, None)
        return response.end(status, details)

    def _is_mute(self, response: Response) -> bool:
        """Does a flaw keep it from saying any more?"""
        flaw = self._flaws.get(response.id)
        if not flaw:
            return False
        return flaw.name == "empty_response" or (flaw.name == "stalled_response" and response.words >= flaw["words"])

    def _given(self, response_id: str) -> Response | None:
        """The response, while anything can be said of it."""
        return None if response_id in self._ending else self._active.get(response_id)

    @property
    def _main(self) -> Response | None:
        """The response in progress in the conversation; at most one."""
        return next((response for response in self._active.values() if not response.aside), None)

    def _rate_limits(self) -> Json:
        """What the original tells at the beginning of a response; the stand-in has no limits, so nothing is ever used up."""
        limits = [{"name": name, "limit": most, "remaining": most, "reset_seconds": 0.0} for name, most in RATE_LIMITS.items()]
        return self._events.event("rate_limits.updated", rate_limits=limits)


def _not_active() -> Refused:
    return Refused("response_cancel_not_active", "Cancellation failed: no active response found")


def _stragglers(response: Response, count: int) -> list[Out]:
    """Deltas of a response that is being cancelled."""
    if response.plan.modality == "text":
        return [out for _ in range(count) for out in response.say(STRAGGLER)]
    return [out for _ in range(count) for out in response.sound(tone(response.plan.kind, STRAGGLER_MS))]
