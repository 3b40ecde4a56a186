"""A call inside a framework: the core over the realtime LLM and a line of frames, with the framework in the place of the application.

What the framework asks for becomes an event, and what happens is told to it; nothing here knows any framework, and nothing decides.
"""

import json
import logging
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import anyio
from anyio import to_thread

from adapters.hosts.frameworks.line import FrameworkLine, Position, Sink
from adapters.realtime.messages import Malformed, Told
from adapters.realtime.port import RealtimeLLM
from adapters.realtime.settings import RealtimeSettings
from adapters.seam.driver import Driver
from adapters.seam.files import private_folder
from adapters.seam.ports import Post
from adapters.telling.folder import SOUND, TRACE, tell
from adapters.telling.steps import barged_in
from adapters.telling.trace import TraceError, Tracing
from fsm.call import events as ev
from fsm.call.effects import Effect, Reason, RunTool, TellEnded
from fsm.call.guards import CANCELLINGS
from fsm.call.policy import Policy
from fsm.call.snapshot import Call, start
from fsm.call.states import IN_PROGRESS, SILENT
from fsm.engine.machine import Step

POLICY = Policy(voice="realtime", greeting=False)
"""What a framework's call is run by unless it is told otherwise: the caller speaks first, and we cancel what they interrupt."""
_LOG = logging.getLogger("callfsm.frameworks")


class CallFailed(Exception):
    """A call that ended because something was wrong: the text says what, in the core's words and those of the fault."""

    def __init__(self, ended: TellEnded) -> None:
        super().__init__(": ".join(filter(None, (ended.reason.value, ended.detail))))
        self.reason = ended.reason


class Inside(Sink, Protocol):
    """The framework, as its own module speaks for it. Nothing of it may wait."""

    def happened(self, event: ev.Event, answer: Step[Call]) -> None:
        """A step of the call, after its effects have begun."""

    def overheard(self, told: Told) -> None:
        """A message of the server's, before it is read."""

    def ended(self, ended: TellEnded) -> None:
        """The call is over, and why; told once, and last."""


def is_generated(call: Call, response_id: str) -> bool:
    """Does the model still make a response, as far as the core knows? Not one whose end never comes, as its session was lost."""
    return call.response.id == response_id and call.response.state in (IN_PROGRESS, *CANCELLINGS)


class Floor:
    """Who is to be told that the caller has the floor: only once the core has decided so, or nobody else has it."""

    def __init__(self) -> None:
        self.taken = False

    def took(self, before: Call, event: ev.Event, answer: Step[Call]) -> bool:
        """Does the caller take the floor with this step?"""
        alone = isinstance(event, ev.SpeechStarted) and answer.snapshot.playout.state is SILENT
        takes = not self.taken and (alone or barged_in(before, event, answer))
        self.taken = self.taken or takes
        return takes

    def gave(self, event: ev.Event) -> bool:
        """Does the caller give it back?"""
        gives = self.taken and isinstance(event, ev.SpeechStopped | ev.TurnCommitted | ev.ResponseCreated)
        self.taken = self.taken and not gives
        return gives


class Guard:
    """One call: `run` it in a task of the event loop, and use the rest in that loop's thread."""

    performs: tuple[type[Effect], ...] = (RunTool, TellEnded)

    def __init__(
        self,
        inside: Inside,
        *,
        url: str,
        key: str | None,
        settings: RealtimeSettings,
        policy: Policy = POLICY,
        out: Path | None = None,
        ahead_ms: float = 0,
        position: Position | None = None,
    ) -> None:
        """Prepare; nothing is opened. `out` is a folder for what `callfsm call` leaves: sound, trace, picture, summary.

        Raises ValueError for a policy that has another voice than the model's, and OSError where `out` cannot be made.
        """
        if policy.voice != "realtime":
            raise ValueError(f"policy.voice is {policy.voice!r}: inside a framework it takes 'realtime'")
        if out is not None:
            private_folder(out)
        self._inside, self._policy, self._out, self._key = inside, policy, out, key
        self.line = FrameworkLine(inside, out=out and out / SOUND, ahead_ms=ahead_ms, position=position)
        self.llm = RealtimeLLM(url=url, key=key, settings=settings, policy=policy, speaker=self.line, overheard=self._overhear)
        self.line.ears.append(self.llm)
        self.call = start(policy, f"call-{time.strftime('%Y%m%d-%H%M%S')}")
        self.before = self.call
        """What was known of the call before its last step."""
        self._post: Post | None = None
        self._early: list[tuple[Any, ...]] = []
        self._ended: TellEnded | None = None

    async def hold(self) -> None:
        """Hold the call to its end; tells the framework of it, once, whatever becomes of the call."""
        trace = Tracing(self._out and self._out / TRACE, self.call, self._tell_of_trace, self._key)
        try:
            await Driver(self.call, [self.line, self.llm, self], [trace, self._look]).run()
        # A bug has closed the call, which is told as its end; who cancels us hangs up.
        except Exception as bug:
            _LOG.error("call_crashed", exc_info=bug)
        finally:
            trace.close()
            self._inside.ended(self._ended or TellEnded(Reason.INTERNAL, "it never began"))
            if self._out is not None:
                with anyio.CancelScope(shield=True):
                    await to_thread.run_sync(self._draw, self._out)

    # What a framework asks for.

    def hear(self, pcm: bytes) -> None:
        """Take sound of the caller: 24 kHz, mono, 16-bit, of any length."""
        self.line.hear_sound(pcm)

    def write(self, item_id: str, item: Mapping[str, Any], *, answered: bool = True) -> None:
        """Add an item to the conversation, and have it answered as a turn of the caller's."""
        self.llm.write(item_id, item)
        if answered:
            self.tell(ev.TurnCommitted, item_id)

    def interrupt(self) -> None:
        """Stop what is said, unless it is protected: somebody knows that it is not wanted."""
        self.tell(ev.BargeInDetected)

    def finish_tool(self, tool_call_id: str, output: str) -> None:
        """A tool has answered."""
        self.tell(ev.ToolFinished, tool_call_id, output)

    def hang_up(self, reason: str) -> None:
        """End the call politely, once what is being said has been heard."""
        self.tell(ev.HangupRequested, "", reason)

    def leave(self, words: str) -> None:
        """The caller has gone: the call is over."""
        self.line.gone(words)
        self.tell(ev.CallerHungUp, words)

    def tell(self, event: Any, *args: Any) -> None:
        """Post an event, once there is somebody to tell."""
        if self._post is None:
            self._early.append((event, *args))
        else:
            self._post(event, *args)

    # A port, and who looks on.

    async def run(self, post: Post) -> None:
        """Say that the greeting may begin."""
        self._post = post
        post(ev.GreetingPrepared)
        for event, *args in self._early:
            post(event, *args)

    def do(self, effect: Effect) -> None:
        """Note the end; a tool is run by the framework, which is told of the step."""
        if isinstance(effect, TellEnded):
            self._ended = effect

    def _look(self, event: ev.Event, answer: Step[Call]) -> None:
        self.before, self.call = self.call, answer.snapshot
        self._inside.happened(event, answer)

    def _overhear(self, text: str) -> None:
        try:
            told = Told(json.loads(text))
        except (ValueError, RecursionError, Malformed):
            return
        self._inside.overheard(told)

    def _tell_of_trace(self, error: OSError) -> None:
        _LOG.error("trace_failed: %s", error.strerror or type(error).__name__)

    def _draw(self, out: Path) -> None:
        try:
            tell(out)
        except (OSError, TraceError) as error:
            _LOG.error("no picture and no summary: %s", error)
