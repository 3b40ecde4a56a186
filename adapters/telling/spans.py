"""A call as OpenTelemetry spans: it, each turn, response, synthesis, tool and barge-in, named as the GenAI conventions do where they do.

It needs `opentelemetry-api`, and makes nothing where the program that runs has set up no tracer provider; `opentelemetry-instrument callfsm
serve` sets one up. Times are those of the call's events. No speech is in them, unless OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT,
the conventions' own variable, is `true`.
"""

import json
import logging
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import attrs

from adapters.seam.bounded import Bounded
from adapters.seam.driver import Watch
from adapters.seam.ports import Port, Post
from adapters.telling.latency import Timing, Wait
from adapters.telling.steps import DUE_ENDS
from fsm.call import effects as fx, events as ev
from fsm.call.snapshot import Call
from fsm.engine.machine import Step

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.trace import Span, Tracer

CAPTURE = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"
_LOG = logging.getLogger("callfsm.spans")
MOST_OPEN = 256
"""More responses, syntheses and tools than this are not under way at a time: of more no span is made."""


@attrs.frozen(kw_only=True)
class Model:
    """What is known of the model: who provides it, and its name; empty for what is not."""

    provider: str = ""
    name: str = ""


def spans_of(call: Call, model: Model, came_with: Mapping[str, str] | None = None) -> "Spans | None":
    """The spans of a call that begins, or None where nobody makes any; `came_with` is the W3C trace context of the webhook."""
    if find_spec("opentelemetry") is None:
        return None
    from opentelemetry import propagate, trace

    with _apart("begin"):
        provider = trace.get_tracer_provider()
        if not isinstance(provider, trace.ProxyTracerProvider):
            return Spans(call, model, provider.get_tracer("callfsm"), propagate.extract(came_with or {}))
    return None


@contextmanager
def _apart(what: str) -> Iterator[None]:
    """Keep apart what an operator's provider does, its processors and exporters: no call dies of it (R105)."""
    try:
        yield
    # Foreign code may raise anything, and a driver keeps only its watches apart.
    except Exception as bug:
        _LOG.error("spans_failed: %s", what, exc_info=bug)


class Spans:
    """The spans of one call: a `Watch` of its driver. `end` closes those that are open."""

    def __init__(
        self, call: Call, model: Model, tracer: "Tracer", parent: "Context | None" = None, now_ns: Callable[[], int] = time.time_ns
    ) -> None:
        self._call, self._model, self._tracer = call, model, tracer
        self._speech = os.environ.get(CAPTURE, "").lower() == "true"
        self._zero_ns, self._now_ns = now_ns(), now_ns
        self._begun = False
        self._timing = Timing()
        self._turn: tuple[Wait, Span] | None = None
        self._said = ""
        self._asked_ms: float | None = None
        self._responses: dict[str, tuple[Span, float]] = {}
        self._sounding: set[str] = set()
        self._syntheses: dict[str, Span] = {}
        self._tools: dict[str, Span] = {}
        self._of_tool: Bounded[str, str] = Bounded()
        known = {"gen_ai.operation.name": "invoke_agent", "gen_ai.conversation.id": call.call_id, **self._provider()}
        own = {"callfsm.voice": call.policy.voice, "callfsm.direction": call.policy.direction}
        self._root = tracer.start_span("invoke_agent", parent, attributes=known | own, start_time=self._zero_ns)
        self._barged = 0

    def __call__(self, event: ev.Event, answer: Step[Call]) -> None:
        """A step."""
        if not self._begun:
            self._begun, self._zero_ns = True, self._now_ns() - round(event.at_ms * 1e6)
        before, self._call = self._call, answer.snapshot
        self._timing.tell(before, event, answer)
        self._follow_turn(event.at_ms)
        self._see(event)
        for effect in answer.effects:
            self._see_effect(effect, event.at_ms)
        self._tell_barge_ins(whole=False)

    def tool(self, effect: fx.RunTool) -> "Context":
        """The context in which a tool runs that begins now."""
        from opentelemetry.context import get_current

        with _apart("a tool"):
            return self._begin_tool(effect)
        return get_current()

    def _begin_tool(self, effect: fx.RunTool) -> "Context":
        from opentelemetry.trace import set_span_in_context

        known = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": effect.name, "gen_ai.tool.type": "function"}
        span = self._child(
            f"execute_tool {effect.name}", self._now_ns(), self._response(self._of_tool.pop(effect.tool_call_id, self._call.response.id))
        )
        span.set_attributes({**known, "gen_ai.tool.call.id": effect.tool_call_id})
        if self._speech:
            span.set_attribute("gen_ai.tool.call.arguments", effect.arguments)
        if len(self._tools) < MOST_OPEN:
            self._tools[effect.tool_call_id] = span
        return set_span_in_context(span)

    def end(self, ended: fx.TellEnded | None) -> None:
        """The call is over: close what is open, and the call."""
        with _apart("end"):
            self._end(ended)

    def _end(self, ended: fx.TellEnded | None) -> None:
        at_ns = self._now_ns()
        self._timing.finish()
        self._tell_barge_ins(whole=True)
        for open_spans in (self._tools, self._syntheses):
            for span in open_spans.values():
                span.end(at_ns)
        for span, _ in self._responses.values():
            span.end(at_ns)
        if self._turn is not None:
            self._turn[1].end(at_ns)
        if ended is not None:
            self._root.set_attribute("callfsm.reason", ended.reason.value)
            if ended.reason not in DUE_ENDS:
                self._fail(self._root, ended.reason.name.lower())
        self._root.end(at_ns)

    # What begins and ends.

    def _follow_turn(self, at_ms: float) -> None:
        """A turn begins where the caller's wait does, and ends when its answer is heard, or the next one overtakes it."""
        wait = self._timing.waiting
        if self._turn is not None and self._turn[0] is not wait:
            done, span = self._turn
            span.set_attributes({f"callfsm.part.{name.replace(' ', '_')}_ms": round(ms, 1) for name, ms in done.parts()})
            span.set_attribute("callfsm.answered", done.answered)
            span.end(self._ns(done.from_ms + done.total_ms if done.answered else at_ms))
            self._turn = None
        if wait is not None and self._turn is None:
            span = self._child(wait.kind if wait.kind == "greeting" else "turn", self._ns(wait.from_ms), self._root)
            span.set_attribute("callfsm.turn.kind", wait.kind)
            self._turn = wait, span

    def _see(self, event: ev.Event) -> None:
        match event:
            case ev.ResponseCreated(response_id=response_id) if self._call.response.id == response_id not in self._responses:
                self._begin_response(response_id, event.at_ms)
            case ev.AudioArrived(response_id=response_id) | ev.TextArrived(response_id=response_id):
                self._note_first(response_id, event.at_ms)
            case ev.ResponseTranscribed(response_id=response_id, text=text) if self._speech and response_id in self._responses:
                self._responses[response_id][0].set_attribute("gen_ai.output.messages", _message("assistant", text))
            case ev.Transcribed(text=text) if self._speech and self._turn is not None:
                self._turn[1].set_attribute("gen_ai.input.messages", _message("user", text))
            case ev.ResponseEnded(response_id=response_id):
                self._end_response(event, response_id)
            case ev.ToolCalled(tool_call_id=tool_call_id, response_id=response_id) if tool_call_id not in self._tools:
                # One that waits for a decision begins later (R90).
                self._of_tool[tool_call_id] = response_id
            case ev.ToolFinished(tool_call_id=tool_call_id, output=output) if tool_call_id in self._tools:
                span = self._tools.pop(tool_call_id)
                if self._speech:
                    span.set_attribute("gen_ai.tool.call.result", output)
                if output.startswith("error: "):
                    self._fail(span, "tool_error")
                span.end(self._ns(event.at_ms))
            case ev.SynthesisEnded(session_id=session_id) if session_id in self._syntheses:
                span = self._syntheses.pop(session_id)
                if isinstance(event, ev.SynthesisFailed):
                    self._fail(span, "synthesis_failed")
                span.end(self._ns(event.at_ms))
            case _:
                pass

    def _see_effect(self, effect: fx.Effect, at_ms: float) -> None:
        match effect:
            case fx.CreateResponse():
                self._asked_ms = at_ms
            case fx.Synthesise(session_id=session_id, response_id=response_id, text=text) if len(self._syntheses) < MOST_OPEN:
                span = self._child("synthesis", self._ns(at_ms), self._response(response_id), client=True)
                span.set_attributes({"gen_ai.output.type": "speech", "callfsm.synthesis.id": session_id, "callfsm.characters": len(text)})
                self._syntheses[session_id] = span
            case fx.CancelSynthesis(session_id=session_id) if session_id in self._syntheses:
                self._syntheses[session_id].add_event("cancel", timestamp=self._ns(at_ms))
            case fx.CancelResponse(response_id=response_id) if response_id in self._responses:
                self._responses[response_id][0].add_event("cancel", timestamp=self._ns(at_ms))
            case _:
                pass

    def _begin_response(self, response_id: str, at_ms: float) -> None:
        if len(self._responses) >= MOST_OPEN:
            return
        asked_ms, self._asked_ms = self._asked_ms if self._asked_ms is not None else at_ms, None
        above = self._turn[1] if self._turn is not None else self._root
        span = self._child(f"chat {self._model.name}".rstrip(), self._ns(asked_ms), above, client=True)
        known = {"gen_ai.operation.name": "chat", "gen_ai.response.id": response_id, "gen_ai.conversation.id": self._call.call_id}
        kind = "speech" if self._call.policy.voice == "realtime" else "text"
        span.set_attributes({**known, **self._provider(), "gen_ai.output.type": kind, "gen_ai.request.stream": True})
        if self._model.name:
            span.set_attribute("gen_ai.request.model", self._model.name)
        self._responses[response_id] = span, asked_ms

    def _note_first(self, response_id: str, at_ms: float) -> None:
        """The first of a response is there: how long that took is an attribute of its span, in seconds."""
        if response_id in self._responses and response_id not in self._sounding:
            self._sounding.add(response_id)
            span, asked_ms = self._responses[response_id]
            span.set_attribute("gen_ai.response.time_to_first_chunk", round((at_ms - asked_ms) / 1000, 4))

    def _end_response(self, event: ev.ResponseEnded, response_id: str) -> None:
        held = self._responses.pop(response_id, None)
        self._sounding.discard(response_id)
        if held is None:
            return
        span = held[0]
        span.set_attribute("gen_ai.response.finish_reasons", [type(event).__name__.removeprefix("Response").lower()])
        if isinstance(event, ev.ResponseFailed):
            self._fail(span, event.reason or "failed")
        span.end(self._ns(event.at_ms))

    def _tell_barge_ins(self, *, whole: bool) -> None:
        """Of a barge-in whose response has ended, or of all at the end of the call: from its first sound on."""
        for one in self._timing.interruptions[self._barged :]:
            if one.ended_ms is None and not whole:
                return
            self._barged += 1
            last_ms = max(ms for ms in (one.decided_ms, one.stopped_ms, one.ended_ms) if ms is not None)
            span = self._child("barge_in", self._ns(one.heard_ms), self._root)
            span.set_attribute("gen_ai.response.id", one.response_id)
            for name, at_ms in (("held", one.held_ms), ("decided", one.decided_ms), ("stopped", one.stopped_ms)):
                if at_ms is not None:
                    span.add_event(name, timestamp=self._ns(at_ms))
            span.end(self._ns(last_ms))

    # How.

    def _response(self, response_id: str) -> "Span":
        """The span of a response, or the call's."""
        held = self._responses.get(response_id)
        return held[0] if held is not None else self._root

    def _child(self, name: str, at_ns: int, above: "Span", *, client: bool = False) -> "Span":
        from opentelemetry.trace import SpanKind, set_span_in_context

        kind = SpanKind.CLIENT if client else SpanKind.INTERNAL
        return self._tracer.start_span(name, set_span_in_context(above), kind, start_time=at_ns)

    @staticmethod
    def _fail(span: "Span", kind: str) -> None:
        from opentelemetry.trace import Status, StatusCode

        span.set_attribute("error.type", kind)
        span.set_status(Status(StatusCode.ERROR))

    def _provider(self) -> dict[str, str]:
        return {"gen_ai.provider.name": self._model.provider} if self._model.provider else {}

    def _ns(self, at_ms: float) -> int:
        """A time of the call's clock as OpenTelemetry has it."""
        return self._zero_ns + round(at_ms * 1e6)


class InSpans:
    """A port whose tools run each in its span, so that what they ask others for belongs to it: their requests carry its `traceparent`."""

    def __init__(self, port: Port, spans: Spans) -> None:
        self.performs = port.performs
        self._port, self._spans = port, spans

    async def run(self, post: Post) -> None:
        """See Port."""
        await self._port.run(post)

    def do(self, effect: fx.Effect) -> None:
        """See Port."""
        if not isinstance(effect, fx.RunTool):
            self._port.do(effect)
            return
        from opentelemetry import context

        token = context.attach(self._spans.tool(effect))
        try:
            self._port.do(effect)
        finally:
            context.detach(token)


def joined(spans: Spans | None, ports: list[Port], watches: list[Watch]) -> list[Port]:
    """The ports of a call that makes these spans, which watch it; those of one that makes none."""
    if spans is None:
        return ports
    watches.append(spans)
    return [InSpans(port, spans) if fx.RunTool in port.performs else port for port in ports]


def _message(role: str, text: str) -> str:
    """What was said, as the conventions have it."""
    parts: list[dict[str, Any]] = [{"role": role, "parts": [{"type": "text", "content": text}]}]
    return json.dumps(parts)
