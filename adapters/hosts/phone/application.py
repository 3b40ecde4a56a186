"""The application of a telephone call, as a port and a watch: it greets, ends the call when the server must, and notes why it ended."""

from adapters.seam.ports import Post
from fsm.call.effects import Effect, TellEnded
from fsm.call.events import CallerHungUp, Event, GreetingPrepared, HangupRequested, ResponseCreated
from fsm.call.snapshot import Call
from fsm.call.states import STAYING
from fsm.engine.machine import Step


class PhoneApplication:
    """The server's hand in one call: run it under the call's driver, and let it watch too."""

    performs: tuple[type[Effect], ...] = (TellEnded,)

    def __init__(self) -> None:
        self.ended: TellEnded | None = None
        """Why the call ended, once it has; it is told once (R86)."""
        self._post: Post | None = None
        self._leaving = ""
        self._over = ""

    async def run(self, post: Post) -> None:
        """Say that the greeting may begin, and what was asked for before there was a call to ask."""
        self._post = post
        post(GreetingPrepared)
        if self._over:
            post(CallerHungUp, self._over)
        elif self._leaving:
            post(HangupRequested, "", self._leaving)

    def do(self, effect: Effect) -> None:
        """Note how the call ended."""
        if isinstance(effect, TellEnded):
            self.ended = effect

    def __call__(self, event: Event, answer: Step[Call]) -> None:
        """Ask again for an end that the caller withdrew by speaking (R45): after the answer to that."""
        if self._leaving and isinstance(event, ResponseCreated) and answer.snapshot.hangup.state is STAYING:
            self.leave(self._leaving)

    def leave(self, reason: str) -> None:
        """End the call politely: what is being said is heard first."""
        self._leaving = reason
        if self._post is not None:
            self._post(HangupRequested, "", reason)

    def close(self, reason: str) -> None:
        """The caller is not on this line any more: the call is over at once, and no hang-up is sent for it."""
        self._over = reason
        if self._post is not None:
            self._post(CallerHungUp, reason)
