"""Claims about the phone server: whole calls over real sockets, between the stand-in of Twilio and an LLM that answers in tones."""

import json
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import attrs
import httpx
import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from adapters.hosts.phone.agent import LineSound, ServedAgent
from adapters.hosts.phone.signature import sign
from adapters.realtime.settings import RealtimeSettings
from adapters.seam import mulaw
from adapters.seam.ports import Port, Post
from adapters.standin.twilio import http
from adapters.standin.twilio.ids import Ids
from adapters.standin.twilio.lacks import LACKS, made_ids
from adapters.standin.twilio.stream import Conditions, Hung
from adapters.telling.trace import read_trace
from adapters.twilio.port import TwilioLine
from fsm.call import effects as fx, events as ev
from tests.shared.phone_model import (
    GREETING_HZ,
    TOKEN,
    Lines,
    ToneCaller,
    ToneModel,
    at_once,
    exchange,
    heard_pitches,
    phone_policy,
    tone,
    tone_server,
    until_spoken_to,
)
from tests.shared.shell import until
from tests.shared.telephone import Silent

# Whole calls.


async def test_a_call_is_greeted_interrupted_and_hung_up_by_rest(log: Lines, tmp_path: Path) -> None:
    """The caller speaks into the greeting, and so long that they are told goodbye; it is hung up once (R47).

    Neither log nor metrics hold a number, a token or what was said.
    """
    caller = ToneCaller(700, ((700, 1_700),))
    async with exchange(model=ToneModel(greeting_ms=4_000), traces=tmp_path) as phone, httpx.AsyncClient() as client:
        call = await phone.hold(phone.place(caller))
        assert call.hung is Hung.API
        assert [rest.updates for rest in phone.rest.calls.values()] == [1]
        assert call.stream.counts["clears"] == 1
        pitches = heard_pitches(call)
        assert pitches[0] == pytest.approx(GREETING_HZ, abs=20)
        assert pitches[-1] == pytest.approx(700, abs=20)
        assert phone.count("ended_total", reason="goodbye") == 1
        assert phone.count("barge_ins_total") == 1
        assert phone.count("cancels_total", what="response", outcome="cancelled") == 1
        assert phone.count("silence_seconds_count") == 1
        assert phone.count("places_taken") == 0
        metrics = await client.get(f"{phone.server.metrics_url}/metrics")
        assert metrics.headers["Content-Type"].startswith("text/plain; version=0.0.4")
        assert (await client.get(f"{phone.server.url}/metrics")).status_code == 404, "they have a port of their own"
    told = metrics.text + json.dumps(log.lines)
    assert log.of("call_announced")[0]["caller"] == "…06"
    for secret in (TOKEN, "15005550006", "15005550001", "Goodbye", '"token"'):
        assert secret not in told
    [ended] = log.of("call_ended")
    assert (ended["reason"], ended["barge_ins"]) == ("goodbye", 1)
    answers = [line for line in log.of("answer") if line["heard"] and line["to"] != "greeting"]
    assert len(answers) == ended["answers"]
    assert all(sum(line["parts"].values()) == pytest.approx(line["ms"], abs=len(line["parts"]) + 2) for line in answers)
    [barged] = log.of("barge_in")
    assert 0 <= barged["ms"]["held"] <= barged["ms"]["decided"] <= barged["ms"]["stopped"]
    [trace] = [read_trace(path) for path in tmp_path.iterdir()]
    assert trace.call.call_id == ended["call"]
    assert trace.first_difference() is None


IN_OCTETS = partial(attrs.evolve, line_sound="pcmu")
"""An agent whose LLM takes the line's own octets."""


async def test_the_llm_hears_the_callers_octets_and_the_caller_the_llms(tmp_path: Path) -> None:
    """And it is told how much of its answer was heard, across an interruption."""
    caller = ToneCaller(700, ((700, 1_700),))
    async with exchange(model=ToneModel(greeting_ms=4_000), agent=IN_OCTETS) as phone:
        call = await phone.hold(phone.place(caller))
        assert call.hung is Hung.API
        assert set(phone.model.heard) == {"audio/pcmu"}
        spoken = b"".join(call.stream.ears._caller)
        assert bytes(phone.model.heard["audio/pcmu"]) in spoken
        greeting = mulaw.encode(tone(GREETING_HZ, 4_000, 8_000))
        heard = [frame for frame in call.stream.ears._agent if frame is not None]
        cut = next(number for number, frame in enumerate(heard) if frame != greeting[number * 160 : number * 160 + 160])
        assert cut > 10
        [truncated] = [message for message in phone.model.received if message["type"] == "conversation.item.truncate"]
        assert truncated["audio_end_ms"] == pytest.approx(cut * 20, abs=40)
        assert heard_pitches(call)[-1] == pytest.approx(700, abs=20)
        assert phone.count("barge_ins_total") == 1


@pytest.mark.parametrize(
    ("wanted", "openai", "formats", "shown", "comes_to"),
    [
        ("auto", True, ("audio/pcm", "audio/pcmu"), "audio/pcm", "pcmu"),
        ("auto", False, ("audio/pcm", "audio/pcmu"), "audio/pcm", "pcm"),
        ("auto", False, ("audio/pcm", "audio/pcmu"), "audio/pcmu", "pcmu"),
        ("auto", True, ("audio/pcm",), "audio/pcm", "pcm"),
        ("pcmu", False, ("audio/pcm", "audio/pcmu"), "audio/pcm", "pcmu"),
        ("pcmu", True, ("audio/pcm",), "audio/pcm", None),
        ("pcm", True, ("audio/pcm", "audio/pcmu"), "audio/pcmu", "pcm"),
    ],
)
async def test_the_lines_octets_go_to_a_server_that_takes_them(
    wanted: LineSound, openai: bool, formats: tuple[str, ...], shown: str, comes_to: str | None, log: Lines
) -> None:
    """Which is found out before there is a call; one that was named and is refused is no server."""
    async with tone_server(ToneModel(formats=formats, form=shown)) as (url, _):
        agent = ServedAgent(policy=phone_policy(), settings=RealtimeSettings(), realtime_url=url, openai=openai, line_sound=wanted)
        if comes_to is None:
            with pytest.raises(ValueError, match=r"--line-sound pcmu: the realtime server does not take audio/pcmu: .*no such format"):
                await agent.checked()
        else:
            assert (await agent.checked()).line_sound == comes_to
    fell_back = (wanted, openai, formats) == ("auto", True, ("audio/pcm",))
    assert len(log.of("line_sound")) == fell_back
    assert all("no such format" in line["words"] for line in log.of("line_sound"))


async def test_a_caller_may_hang_up_at_any_time() -> None:
    """Before the first frame, in the greeting, and after it: each call ends alone, is told once, and no hang-up is sent (R86)."""
    lengths = (0, 1, 5, 12, 30, 60)
    async with exchange() as phone:
        calls = [phone.place(Silent(frames)) for frames in lengths]
        await at_once([partial(phone.dial, call) for call in calls])
        await phone.server.calls.wait_until_empty()
        assert {call.hung for call in calls} == {Hung.CALLER}
        assert phone.count("ended_total", reason="caller_hung_up") == phone.count("began_total") == len(lengths)
        assert {rest.updates for rest in phone.rest.calls.values()} == {0}
        assert phone.count("places_taken") == 0
        assert not phone.model.connections, "and no session is left behind (R50)"


async def test_twenty_calls_at_once_hear_each_its_own_agent_and_end_alone() -> None:
    """Each caller makes a tone of their own, and is answered in it; half are told goodbye, the others hang up once they heard enough."""
    callers = [ToneCaller(500 + 80 * n, ((300, 1_400 if n % 2 else 900),), 60_000, None if n % 2 else 3) for n in range(20)]
    async with exchange(policy=phone_policy(greeting=False)) as phone:
        calls = [phone.place(caller) for caller in callers]
        await at_once([partial(phone.dial, call) for call in calls])
        await phone.server.calls.wait_until_empty()
        assert phone.model.sessions == 20
        for number, call in enumerate(calls):
            assert call.hung is (Hung.API if number % 2 else Hung.CALLER), number
            pitches = heard_pitches(call)
            assert pitches, number
            assert pitches == pytest.approx([callers[number].hz] * len(pitches), abs=20), number
        assert phone.count("ended_total", reason="goodbye") == phone.count("ended_total", reason="caller_hung_up") == 10
        assert phone.count("crashed_total") == 0
        assert [rest.updates for rest in phone.rest.calls.values()] == [0, 1] * 10


@pytest.mark.parametrize("line_sound", ["pcm", "pcmu"])
async def test_a_call_goes_on_with_a_model_that_was_restarted(line_sound: str) -> None:
    """The socket breaks in mid-call, the next session answers the next turn (R85)."""
    caller = ToneCaller(900, ((1_700, 2_600),))
    async with exchange(policy=phone_policy(reconnect_pause_ms=50), agent=partial(attrs.evolve, line_sound=line_sound)) as phone:
        call = phone.place(caller)
        async with phone.dialling(call):
            await until(lambda: call.stream is not None and call.duration_ms > 1_000)
            for ws in list(phone.model.connections):
                ws.transport.abort()
        assert call.hung is Hung.API
        assert phone.model.sessions == 2
        assert heard_pitches(call)[-1] == pytest.approx(900, abs=20)
        assert phone.count("reconnects_total") == 1
        assert phone.count("errors_total", code="session_lost") == 1


@pytest.mark.parametrize("lack", LACKS)
async def test_a_carrier_that_lacks_some_of_twilios_ways_gets_its_call(lack: str, log: Lines) -> None:
    """R98, R102: the caller is greeted, answered and interrupts, and is hung up by what the model says."""
    without = frozenset({lack})
    # again and again, as a busy machine may cut one short
    long = ((at_ms, at_ms + 1_100) for at_ms in range(3_400, 60_000, 4_000))
    caller = ToneCaller(600, ((2_500, 3_000), *long), length_ms=60_000)
    async with exchange() as phone:
        call = phone.place(caller, ids=made_ids(without), conditions=Conditions(without=without, digits="1", digits_at_s=1.0))
        await phone.hold(call)
        assert call.hung is Hung.API
        pitches = heard_pitches(call)
        assert pitches[0] == pytest.approx(GREETING_HZ, rel=0.05)
        assert pitches[-1] == pytest.approx(600, rel=0.05)
        assert phone.count("ended_total", reason="goodbye") == 1
        assert phone.count("messages_set_aside_total") <= 1, "a frame, where the numbers begin anew"
    assert log.of("refused") == []


async def test_on_a_line_that_sends_no_marks_back_a_long_answer_is_heard_to_its_end_once(log: Lines) -> None:
    """R58: the clock says what is heard; nobody is cut off for want of marks."""
    without = frozenset({"marks"})
    async with exchange(model=ToneModel(greeting_ms=5_000), policy=phone_policy(stall_ms=2_000)) as phone:
        call = phone.place(ToneCaller(600, ((6_000, 6_500),), length_ms=9_000), conditions=Conditions(without=without))
        await phone.hold(call)
        heard = [hz for hz in heard_pitches(call, 1) if hz == pytest.approx(GREETING_HZ, rel=0.05)]
        assert len(heard) in range(245, 252), "5 s in frames of 20 ms, be there gaps between them or none"
    assert not [line for line in log.of("call_log") if line.get("code") == "playout_without_progress"]


# What goes wrong.


@attrs.frozen
class Faulty:
    """An agent one of whose ports has a bug, in every second call."""

    inner: ServedAgent
    calls: list[str] = attrs.Factory(list)

    @property
    def policy(self) -> Any:
        return self.inner.policy

    def ports(self, line: TwilioLine) -> list[Port]:
        self.calls.append("call")
        return [*self.inner.ports(line), *([Bug()] if len(self.calls) % 2 else [])]


class Bug:
    """A port that raises in mid-call, with words of the caller's in the text."""

    performs: tuple[type[fx.Effect], ...] = ()

    async def run(self, post: Post) -> None:
        await anyio.sleep(0.4)
        raise ValueError("the caller said: my number is 030 1234567")

    def do(self, effect: fx.Effect) -> None:
        """Nothing."""


async def test_a_call_that_crashes_is_closed_alone_and_told(log: Lines) -> None:
    """R87: the other call lasts; the log has the crash with its call, and not the text of the exception, which may hold speech."""
    async with exchange(agent=Faulty) as phone:
        first, second = phone.place(Silent(500)), phone.place(Silent(60))
        async with phone.dialling(first):
            await until(lambda: first.stream is not None)
            await phone.dial(second)
        assert first.hung is Hung.API, "a bug's caller is hung up on, once"
        assert second.hung is Hung.CALLER
        assert second.duration_ms == 1_200
        assert phone.count("crashed_total") == 1
        assert phone.count("ended_total", reason="internal") == 1
    [crash] = log.of("call_crashed")
    assert crash["type"] == "ValueError"
    assert any("test_phone_server.py" in place for place in crash["where"])
    assert "030 1234567" not in json.dumps(log.lines)


class Grumbling:
    """A port that tells, as the model's and the voice's do, in whose words something went wrong; the last of it twice."""

    performs: tuple[type[fx.Effect], ...] = ()

    async def run(self, post: Post) -> None:
        post(ev.ErrorReceived, "voice_fallback", f"http://tts.local: {SAID}; it speaks now")
        post(ev.SessionLost, f"closed with 1011 {SAID}")
        post(ev.CallerHungUp)

    def do(self, effect: fx.Effect) -> None:
        """Nothing."""


SAID = "out of memory, call 030 1234567 or send sk-a-key-of-ours"


class Grumbler:
    """An agent with such a port."""

    key = "sk-a-key-of-ours"

    def __init__(self, inner: ServedAgent) -> None:
        self.policy = inner.policy

    def ports(self, line: TwilioLine) -> list[Port]:
        """One."""
        return [Grumbling()]


async def test_the_log_has_the_servers_own_words_as_a_terminal_has(log: Lines) -> None:
    """R96, R108: cut, and without a phone number or our key."""
    async with exchange(agent=Grumbler) as phone:
        await phone.hold(phone.place(Silent(60)))
    said = "out of memory, call … or send …"
    assert {line["code"]: line["words"] for line in log.of("call_log")} == {
        "voice_fallback": f"http://tts.local: {said}; it speaks now",
        "session_lost": f"closed with 1011 {said}",
    }


async def test_an_agent_that_cannot_be_made_costs_its_call_alone(log: Lines) -> None:
    class Broken(Faulty):
        def ports(self, line: TwilioLine) -> list[Port]:
            raise KeyError("x")

    async with exchange(agent=Broken) as phone:
        call = await phone.hold(phone.place(Silent(100)))
        assert call.hung is Hung.CUT_OFF
        assert phone.count("crashed_total") == 1
    assert [line["reason"] for line in log.of("call_ended")] == ["never_began"]


async def test_a_hang_up_that_twilio_refuses_ends_the_stream_all_the_same(log: Lines) -> None:
    async with exchange(policy=phone_policy(greeting=False)) as phone:
        call = phone.place(ToneCaller(700, ((100, 900),)))
        phone.rest.calls.clear()
        await phone.hold(call)
        assert call.hung is Hung.APPLICATION
        assert phone.count("ended_total", reason="goodbye") == 1
        assert phone.count("hang_ups_failed_total") == 1
    assert "404" in log.of("hang_up_failed")[0]["words"]


async def test_what_twilio_calls_over_is_over() -> None:
    """A stream whose end is lost does not hold its place: the status of the call closes it."""
    async with exchange(token=None) as phone, httpx.AsyncClient() as client:
        call = phone.place(Silent(1_000), token=None)
        async with phone.dialling(call):
            await until(lambda: phone.count("began_total") == 1)
            fields = http.Application(call.application.ids)._fields("completed")
            assert (await client.post(f"{phone.server.url}/status", data=fields)).status_code == 204
        assert call.hung is Hung.APPLICATION
        assert phone.count("ended_total", reason="caller_hung_up") == 1


async def test_a_call_that_ends_before_its_stream_frees_its_place() -> None:
    async with exchange(token=None, max_calls=1) as phone, httpx.AsyncClient() as client:
        twilio = http.Application(Ids())
        await client.post(f"{phone.server.url}/voice", data=twilio._fields("ringing"))
        assert phone.count("places_taken") == 1
        await client.post(f"{phone.server.url}/status", data=twilio._fields("canceled"))
        assert phone.count("places_taken") == 0


# The end of the server.


async def test_a_draining_server_ends_its_calls_politely_and_takes_no_new_one(log: Lines) -> None:
    """What is being said is heard to its end; a caller who rings meanwhile hears busy, and a load balancer is told."""
    async with exchange(model=ToneModel(greeting_ms=1_500)) as phone, httpx.AsyncClient() as client:
        call = phone.place(Silent(1_000))
        async with phone.dialling(call):
            await until_spoken_to(call)
            assert (await client.get(f"{phone.server.url}/healthz")).status_code == 200
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(phone.server.drain, 20.0)
                await until(lambda: phone.server.calls.draining)
                health = await client.get(f"{phone.server.url}/healthz")
                assert (health.status_code, health.json()) == (503, {"status": "draining", "places": 20, "places_taken": 1})
                assert (await phone.dial(phone.place(Silent(5)))).rejected == "busy"
        assert call.hung is Hung.API
        assert call.stream.buffer.played >= 1_500 // 20
        assert phone.count("ended_total", reason="application") == 1
        assert phone.count("refused_total", why="draining") == 1
    assert [line["cut_off"] for line in log.of("drain_ended")] == [0]


async def test_a_drained_call_whose_caller_speaks_is_answered_once_more_and_then_ended() -> None:
    """The turn withdraws the hang-up (R45), and the server asks again."""
    async with exchange(model=ToneModel(greeting_ms=3_000, answer_ms=600)) as phone:
        call = phone.place(ToneCaller(700, ((900, 1_300),)))
        async with phone.dialling(call):
            await until_spoken_to(call)
            await phone.server.drain(20.0)
        assert call.hung is Hung.API
        assert heard_pitches(call)[-1] == pytest.approx(700, abs=20)
        assert phone.count("ended_total", reason="application") == 1


async def test_a_call_that_does_not_end_is_cut_off_at_the_deadline(log: Lines) -> None:
    async with exchange(model=ToneModel(greeting_ms=20_000)) as phone:
        call = phone.place(Silent(1_000))
        async with phone.dialling(call):
            await until_spoken_to(call)
            assert await phone.server.drain(0.3) == 1
        assert call.hung is Hung.CUT_OFF
        assert not phone.model.connections
    assert [line["detail"] for line in log.of("call_ended")] == ["stopped from outside"]


async def test_the_trace_context_of_the_webhook_is_that_of_the_calls_spans(monkeypatch: pytest.MonkeyPatch) -> None:
    exported = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exported))
    monkeypatch.setattr("opentelemetry.trace.get_tracer_provider", lambda: provider)
    given = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    async with exchange(model=ToneModel(answer_ms=200)) as phone, httpx.AsyncClient(trust_env=False) as client:
        call = phone.place(ToneCaller(700, ((900, 1_300),), hears=4))
        # A proxy in front adds its trace; the webhook is told twice, and the second time without.
        ids, url = call.application.ids, f"{phone.server.url}/voice"
        fields = {"CallSid": ids.call, "AccountSid": ids.account}
        signed = {"X-Twilio-Signature": sign(url, fields.items(), TOKEN), "traceparent": given}
        assert (await client.post(url, data=fields, headers=signed)).status_code == 200
        await phone.hold(call)
    spans = exported.get_finished_spans()
    assert {format(span.context.trace_id, "032x") for span in spans if span.context} == {given.split("-")[1]}
    assert {span.name.partition(" ")[0] for span in spans} >= {"invoke_agent", "greeting", "turn", "chat"}
