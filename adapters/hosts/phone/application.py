"""A telephone call as its application sees it, a port and a watch: who called, a notice, an end, and afterwards what was said."""

from collections import deque
from collections.abc import Callable, Iterable, Mapping

import attrs

from adapters.seam.ports import Post
from fsm.call.effects import Effect, TellEnded
from fsm.call.events import (
    CallerHungUp,
    Event,
    GreetingPrepared,
    HangupRequested,
    NoticeRequested,
    OwnershipLost,
    PlayoutStopped,
    ResponseCreated,
    ResponseTranscribed,
    Transcribed,
)
from fsm.call.guards import nothing_to_interrupt
from fsm.call.snapshot import Call
from fsm.call.states import NO_TOOL, QUIET, STAYING
from fsm.engine.machine import Step

MAX_LINES = 2_000
"""The most lines that a call's transcript keeps, the last ones: more than a call of its longest has."""


@attrs.frozen
class Line:
    """A turn of the caller's, or an answer of the agent's as far as it was heard."""

    who: str
    """`caller` or `agent`."""
    text: str


@attrs.define
class _Said:
    """A line whose end is not known yet: what the response says, and which share of that was heard."""

    who: str
    text: str
    heard: float = 1.0


class PhoneCall:
    """One telephone call, for an agent of its own; `notice` and `end` are for the event loop's thread, as a coroutine tool is.

    The server runs it under the call's driver, and lets it watch too.
    """

    performs: tuple[type[Effect], ...] = (TellEnded,)

    def __init__(self, call_id: str = "", told: Mapping[str, str] | None = None, came_with: Mapping[str, str] | None = None) -> None:
        """`told` is what the webhook told of the call, `came_with` the W3C trace context of its request."""
        self.call_id = call_id
        """The call's id in logs and traces."""
        self.told: Mapping[str, str] = told or {}
        """The webhook's fields, as the carrier names them."""
        self.came_with: Mapping[str, str] = came_with or {}
        """`traceparent` and `tracestate` of the webhook, where it had them."""
        self.ended: TellEnded | None = None
        """Why the call ended, once it has; it is told once (R86)."""
        self._post: Post | None = None
        self._leaving = ""
        self._over = ""
        self._notices: list[str] = []
        self._said: deque[_Said] = deque(maxlen=MAX_LINES)
        self._lines: dict[str, _Said] = {}
        self._afterwards: list[Callable[[PhoneCall], None]] = []
        self._handing_over = False
        self._call: Call | None = None
        self.taken_up = False
        """Is this a call that another process began? What is asked for before it goes on was asked for there, and is left out."""

    @property
    def caller(self) -> str:
        """Who calls, as the webhook says it; empty where it does not."""
        return self.told.get("From", "")

    @property
    def called(self) -> str:
        """The number that was called."""
        return self.told.get("To", "")

    @property
    def transcript(self) -> tuple[Line, ...]:
        """What was said so far, in order; of an answer that was interrupted, about as many of its words as were heard."""
        lines = [Line(said.who, " ".join((words := said.text.split())[: round(len(words) * said.heard)])) for said in self._said]
        return tuple(line for line in lines if line.text)

    def notice(self, text: str) -> None:
        """Have something said that must be heard to its end; `text` is an instruction to the model."""
        if self._post is None:
            self._notices.append(text)
        else:
            self._post(NoticeRequested, text)

    def end(self, reason: str) -> None:
        """End the call politely: what is being said is heard first. `reason` is for the log."""
        self.leave(reason)

    def afterwards(self, work: Callable[["PhoneCall"], None]) -> None:
        """Have `work(call)` called once the call is over; what it raises is logged, and it waits for nothing."""
        self._afterwards.append(work)

    def finish(self) -> list[BaseException]:
        """Do what was to be done afterwards; gives what that raised."""
        faults: list[BaseException] = []
        for work in self._afterwards:
            try:
                work(self)
            # An application's own code, a SystemExit of its own too: no other call may hear of it (R105).
            except BaseException as fault:
                faults.append(fault)
        return faults

    async def run(self, post: Post) -> None:
        """Say that the greeting may begin, and what was asked for before there was a call to ask."""
        self._post = post
        post(GreetingPrepared)
        for text in self._notices if not self.taken_up else ():
            post(NoticeRequested, text)
        if self._over:
            post(CallerHungUp, self._over)
        elif self._leaving:
            post(HangupRequested, "", self._leaving)

    def recall(self, events: Iterable[Event]) -> None:
        """Know what was said before another process took the call up."""
        self.taken_up = True
        for event in events:
            self._note(event)

    def do(self, effect: Effect) -> None:
        """Note how the call ended."""
        if isinstance(effect, TellEnded):
            self.ended = effect

    def __call__(self, event: Event, answer: Step[Call]) -> None:
        """Note what is said; and ask again for an end that the caller withdrew by speaking (R45): after the answer to that."""
        self._note(event)
        self._call = answer.snapshot
        self._hand_over_if_quiet()
        if self._leaving and isinstance(event, ResponseCreated) and answer.snapshot.hangup.state is STAYING:
            self.leave(self._leaving)

    def _note(self, event: Event) -> None:
        match event:
            case Transcribed(item_id=item_id, text=text) if text:
                self._line("caller", item_id).text = text
            case ResponseTranscribed(response_id=response_id, text=text):
                self._line("agent", response_id).text = text
            case PlayoutStopped(response_id=response_id, played_ms=played_ms, received_ms=received_ms) if received_ms > 0:
                self._line("agent", response_id).heard = min(1.0, played_ms / received_ms)
            case _:
                pass

    def _line(self, who: str, said_as: str) -> _Said:
        """The line of a response or of the caller's turn, which stands where it was first told of; the words told last count."""
        said = self._lines.get(said_as)
        if said is None or not said_as:
            said = self._lines[said_as] = _Said(who, "")
            self._said.append(said)
            if len(self._lines) > MAX_LINES:
                del self._lines[next(iter(self._lines))]
        return said

    def leave(self, reason: str) -> None:
        """End the call politely: what is being said is heard first."""
        self._leaving = reason
        if self._post is not None:
            self._post(HangupRequested, "", reason)

    def hand_over(self, *, at_once: bool = False) -> None:
        """Leave the call to another machine: `at_once`, or at the next moment at which nobody speaks and nothing is on its way."""
        self._handing_over = True
        if at_once and self._post is not None:
            self._post(OwnershipLost)
        self._hand_over_if_quiet()

    def _hand_over_if_quiet(self) -> None:
        if self._handing_over and self._post is not None and self._call is not None and _is_quiet(self._call):
            self._handing_over = False
            self._post(OwnershipLost)

    def close(self, reason: str) -> None:
        """The caller is not on this line any more: the call is over at once, and no hang-up is sent for it."""
        self._over = reason
        if self._post is not None:
            self._post(CallerHungUp, reason)


def _is_quiet(call: Call) -> bool:
    """Does nobody speak, and is no answer and no tool under way?"""
    return nothing_to_interrupt(call, None) and call.turn.state is QUIET and call.tool.state is NO_TOOL
