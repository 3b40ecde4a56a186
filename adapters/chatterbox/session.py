"""One sentence on its way through the Chatterbox port: where it stands, who has it, and how it is stopped."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum

import anyio
import attrs

from adapters.chatterbox.source import Source
from fsm.call.effects import Synthesise


class Progress(StrEnum):
    """Where a session stands on our side, until its one event is posted; then it is forgotten."""

    WAITING = "waiting"
    """No POST of it is with a server."""
    POSTED = "posted"
    SOUNDING = "sounding"
    """Its first sound is with the speaker, and more is to come."""
    WITHDRAWN = "withdrawn"
    """Cancelled while none of its POSTs was with a server: none is sent any more."""
    ABANDONED = "abandoned"
    """Cancelled after its POST: whatever still comes of it is dropped (R66)."""


@attrs.define(eq=False)
class Session:
    """One sentence on its way."""

    effect: Synthesise
    progress: Progress
    done: anyio.Event = attrs.field(factory=anyio.Event)
    source: Source | None = None
    posted_s: float = 0.0
    told: bool = False
    """Was SentenceSynthesised posted?"""
    begin_filling: Callable[[], object] | None = None
    """What keeps the speaker from running dry, until it is begun."""
    _scope: anyio.CancelScope | None = None

    @contextmanager
    def stoppable(self) -> Iterator[None]:
        """Do its work within: nothing of it, if it is withdrawn by now, and no more of it after `stop`."""
        with anyio.CancelScope() as self._scope:
            if self.progress is Progress.WITHDRAWN:
                self._scope.cancel()
            yield

    def stop(self) -> None:
        """End its work; its connection is closed."""
        if self._scope is not None:
            self._scope.cancel()

    @property
    def wanted(self) -> bool:
        """Is its one event still to come, and was it not cancelled?"""
        return not self.told and self.progress in (Progress.WAITING, Progress.POSTED)

    @property
    def cancellable(self) -> bool:
        """Can the server that has its POST be asked to cancel it?"""
        return self.source is not None and self.source.cancels

    def fill_once(self) -> None:
        """Keep the speaker from running dry from now on."""
        begin, self.begin_filling = self.begin_filling, None
        if begin is not None:
            begin()

    def post_to(self, source: Source) -> None:
        """Its POST leaves."""
        self.source, self.posted_s = source, anyio.current_time()
        if self.progress is Progress.WAITING:
            self.progress = Progress.POSTED

    def pause(self) -> None:
        """No POST of it is with a server."""
        if self.progress is Progress.POSTED:
            self.progress = Progress.WAITING
