"""Claims about a call as OpenTelemetry spans, with the SDK's own exporter in memory: what there is, when, whose child, and no speech."""

from collections.abc import Iterable
from typing import Any

import anyio
import pytest
from opentelemetry import propagate, trace
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from adapters.seam.driver import Driver
from adapters.seam.ports import Port
from adapters.telling.spans import CAPTURE, InSpans, Model, Spans, spans_of
from adapters.tools import Tools
from fsm.call import effects as fx, events as ev
from fsm.call.effects import Reason
from fsm.call.snapshot import Call, start
from tests.shared.shell import BACKENDS, BARGE_IN, Puppet, Said, at, run_on, silent_policy

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
ZERO_NS = 10**18
SENTENCE = "A sentence that nobody may read."
TOOLED: tuple[Said, ...] = (
    *BARGE_IN[:8],
    at(650, ev.ToolCalled, "t1", "look_up", '{"day": "a secret"}', "r1"),
    at(900, ev.ResponseTranscribed, "r1", SENTENCE),
    at(910, ev.Transcribed, "u1", SENTENCE),
    at(950, ev.ResponseCompleted, "r1"),
)


class Exported:
    """What was exported."""

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        self.provider = TracerProvider()
        self.provider.add_span_processor(SimpleSpanProcessor(self._exporter))

    def spans(self) -> list[ReadableSpan]:
        return list(self._exporter.get_finished_spans())

    def one(self, name: str) -> ReadableSpan:
        [span] = [span for span in self.spans() if span.name == name]
        return span


def told(
    script: Iterable[Said], *, backend: str = "trio", tools: Tools | None = None, ended: Reason = Reason.GOODBYE, **settings: Any
) -> Exported:
    """The spans of a call of this script; its clock begins at ZERO_NS."""
    exported, policy = Exported(), silent_policy(**settings)

    async def main() -> Call:
        call = start(policy)
        parent = propagate.extract({"traceparent": PARENT})
        spans = Spans(call, Model(provider="openai", name="gpt"), exported.provider.get_tracer("test"), parent, lambda: ZERO_NS)
        hangs_up = at(5_000 if backend == "asyncio" else 30_000, ev.CallerHungUp)
        ports: list[Port] = [Puppet((*script, hangs_up)), *([InSpans(tools, spans)] if tools else [])]
        with anyio.move_on_after(60):
            last = await Driver(call, ports, [spans]).run()
        spans.end(fx.TellEnded(ended))
        return last

    run_on(backend, main)
    return exported


def ms(span: ReadableSpan) -> tuple[float, float]:
    """When a span begins and ends, on the call's clock."""
    return (span.start_time - ZERO_NS) / 1e6, (span.end_time - ZERO_NS) / 1e6


def attributes(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


def test_a_turn_its_answer_and_its_interruption_are_spans_of_the_call_at_their_own_times() -> None:
    exported = told(BARGE_IN)
    root = exported.one("invoke_agent")
    assert format(root.parent.span_id, "016x") == PARENT.split("-")[2]
    assert {format(span.context.trace_id, "032x") for span in exported.spans() if span.context} == {PARENT.split("-")[1]}
    assert attributes(root)["gen_ai.conversation.id"] == "call"
    assert attributes(root)["gen_ai.provider.name"] == "openai"
    first, *_ = [span for span in exported.spans() if span.name == "turn"]
    assert ms(first) == pytest.approx((500, 900), abs=0.1)
    assert attributes(first)["callfsm.part.created_ms"] == pytest.approx(100)
    response = exported.one("chat gpt")
    assert ms(response) == pytest.approx((500, 1_750), abs=0.1)
    assert response.parent.span_id == first.context.span_id
    known = attributes(response)
    assert known["gen_ai.response.id"] == "r1"
    assert known["gen_ai.response.finish_reasons"] == ("cancelled",)
    assert known["gen_ai.response.time_to_first_chunk"] == pytest.approx(0.4)
    assert [event.name for event in response.events] == ["cancel"]
    barge = exported.one("barge_in")
    assert ms(barge) == pytest.approx((1_500, 1_750), abs=0.1)
    assert [event.name for event in barge.events] == ["held", "decided", "stopped"]


def test_a_sentences_synthesis_is_a_child_of_its_response() -> None:
    script = (
        *BARGE_IN[:8],
        at(700, ev.SentenceCut, "r1", 1, SENTENCE),
        at(1_900, ev.SynthesisFailed, "call.r1.1", "a timeout"),
    )
    exported = told(script, voice="chatterbox")
    synthesis, response = exported.one("synthesis"), exported.one("chat gpt")
    assert ms(synthesis) == pytest.approx((700, 1_900), abs=0.1)
    assert synthesis.parent.span_id == response.context.span_id
    assert synthesis.status.status_code is StatusCode.ERROR
    assert attributes(synthesis)["callfsm.characters"] == len(SENTENCE)
    assert attributes(response)["gen_ai.output.type"] == "text"


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("plain", [False, True], ids=["a coroutine", "a function"])
def test_a_tool_runs_in_its_span_and_what_it_asks_carries_that(backend: str, plain: bool) -> None:
    tools, seen = Tools(), list[dict[str, str]]()

    def note() -> str:
        carrier: dict[str, str] = {}
        propagate.inject(carrier)
        seen.append(carrier)
        return "found"

    async def look_up(day: str) -> str:
        """Look it up."""
        return note()

    def look_up_plainly(day: str) -> str:
        """Look it up."""
        return note()

    look_up_plainly.__name__ = "look_up"
    tools.tool(look_up_plainly if plain else look_up)
    exported = told(TOOLED, backend=backend, tools=tools)
    tool, response = exported.one("execute_tool look_up"), exported.one("chat gpt")
    assert tool.parent.span_id == response.context.span_id
    assert seen == [{"traceparent": f"{PARENT[:36]}{tool.context.span_id:016x}-01"}]
    assert attributes(tool)["gen_ai.tool.call.id"] == "t1"
    assert attributes(tool)["gen_ai.operation.name"] == "execute_tool"
    assert not trace.get_current_span().is_recording()


@pytest.mark.parametrize("asked", [False, True])
def test_no_speech_is_in_a_span_unless_it_is_asked_for(monkeypatch: pytest.MonkeyPatch, asked: bool) -> None:
    tools = Tools()

    @tools.tool
    def look_up(day: str) -> str:
        """Look it up."""
        return SENTENCE

    monkeypatch.setenv(CAPTURE, "true" if asked else "false")
    words = str([span.to_json() for span in told(TOOLED, tools=tools).spans()])
    assert (SENTENCE in words, "a secret" in words) == (asked, asked)


def test_what_is_open_when_the_call_ends_is_closed_and_a_fault_is_an_error() -> None:
    exported = told(TOOLED[:9], ended=Reason.SESSION_LOST)
    root = exported.one("invoke_agent")
    assert root.status.status_code is StatusCode.ERROR
    assert attributes(root)["error.type"] == "session_lost"
    assert {span.name for span in exported.spans()} >= {"invoke_agent", "turn", "chat gpt"}
    assert all(span.end_time for span in exported.spans())


def test_where_nobody_makes_spans_there_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    call = start(silent_policy())
    assert spans_of(call, Model()) is None
    exported = Exported()
    monkeypatch.setattr(trace, "get_tracer_provider", lambda: exported.provider)
    spans = spans_of(call, Model(), {"traceparent": "nonsense"})
    spans.end(None)
    assert exported.one("invoke_agent").parent is None


class Broken(SpanProcessor):
    """A processor that fails at everything."""

    def on_start(self, span: Any, parent_context: Any = None) -> None:
        raise RuntimeError("no room")

    def on_end(self, span: Any) -> None:
        raise RuntimeError("no room")


@pytest.mark.virtual_time
async def test_a_call_does_not_die_of_an_exporter_that_fails(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    provider, tools, ran = TracerProvider(), Tools(), list[str]()
    monkeypatch.setattr(trace, "get_tracer_provider", lambda: provider)
    spans = spans_of(start(silent_policy()), Model())
    provider.add_span_processor(Broken())
    assert spans_of(start(silent_policy()), Model()) is None

    @tools.tool
    def look_up(day: str) -> str:
        """Look it up."""
        ran.append(day)
        return "found"

    ports: list[Port] = [Puppet((*TOOLED, at(30_000, ev.CallerHungUp))), InSpans(tools, spans)]
    assert (await Driver(start(silent_policy()), ports, [spans]).run()).phase.state.name == "closed"
    spans.end(None)
    assert ran == ["a secret"]
    assert {record.message.partition(":")[0] for record in caplog.records} == {"spans_failed", "onlooker_dropped"}
