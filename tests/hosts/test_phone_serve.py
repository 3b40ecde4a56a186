"""Claims about `callfsm serve` as a process: what it refuses, what it says, and how signals end it; real calls on loopback."""

import json
import signal
import socket
from functools import partial

import anyio
import attrs
import httpx
import pytest
from anyio import to_thread
from rich.console import Console
from starlette.applications import Starlette

from adapters.chatterbox.port import Chatterbox
from adapters.chatterbox.servers import Server
from adapters.chatterbox.voice import Voice
from adapters.cli import main
from adapters.hosts.phone.agent import ServedAgent
from adapters.hosts.phone.door import Door
from adapters.realtime.port import RealtimeLLM
from adapters.realtime.settings import RealtimeSettings
from adapters.seam.ports import PCM, PCMU, Sound, sound_of
from adapters.standin.twilio import http
from adapters.standin.twilio.call import Call
from adapters.standin.twilio.ids import Ids
from adapters.standin.twilio.stream import Conditions, Hung
from adapters.tools import Tools
from adapters.twilio import wire as twilio_wire
from adapters.twilio.port import Answered, TwilioLine
from adapters.twilio.wire import Started
from fsm.call.policy import Policy
from tests.bench import phone as bench
from tests.shared.phone_model import TOKEN, ToneModel, tone_server, until_spoken_to
from tests.shared.phone_process import server
from tests.shared.shell import PATIENCE_S, callfsm, until
from tests.shared.telephone import Silent, Wire


@pytest.mark.parametrize(
    ("arguments", "variables", "words"),
    [
        (("--host", "0.0.0.0"), {}, "TWILIO_AUTH_TOKEN is not set"),
        (("--public-url", "https://a.b"), {}, "TWILIO_AUTH_TOKEN is not set"),
        (("--host", "0.0.0.0"), {"TWILIO_AUTH_TOKEN": TOKEN}, "--public-url"),
        (("--public-url", "http://a.b"), {"TWILIO_AUTH_TOKEN": TOKEN}, "https://"),
        (("--public-url", "https://a.b/?c=d"), {"TWILIO_AUTH_TOKEN": TOKEN}, "https://"),
        (("--port", "65536"), {}, "--port 65536"),
        (("--max-calls", "0"), {}, "--max-calls 0"),
        (("--drain-s", "nan"), {}, "--drain-s nan"),
        (("--set", "call_ms=1"), {}, "call_ms is 1"),
        (("--realtime", "wss://a.b/v1/realtime"), {}, "no key"),
        (("--realtime", "http://127.0.0.1:1/"), {}, "begins with wss:// or ws://"),
        (("--realtime", "ws://127.0.0.1:1/"), {}, "could not connect"),
        (("--public-url", "https://["), {"TWILIO_AUTH_TOKEN": TOKEN}, "https://"),
        (("--public-url", "https://a.b:99999"), {"TWILIO_AUTH_TOKEN": TOKEN}, "https://"),
        (("--public-url", "https://me:secret@a.b"), {"TWILIO_AUTH_TOKEN": TOKEN}, "https://"),
        ((), {"TWILIO_AUTH_TOKEN": TOKEN[:-2] + " 1"}, "TWILIO_AUTH_TOKEN holds"),
        ((), {"TWILIO_ACCOUNT_SID": "AC1\n"}, "TWILIO_ACCOUNT_SID holds"),
        (("--gap", "One moment."), {}, "--gap: there is one process"),
        (("--gap", "x" * 501, "--workers", "2"), {}, "--gap: it takes 500"),
        (("--gap", "two\nlines", "--workers", "2"), {}, "--gap: it takes 500"),
        (("--replicas", "3"), {}, "--replicas: the NATS of one machine"),
        (("--replicas", "0"), {}, "--replicas 0"),
        (("--tools", "none.py"), {}, "--tools none.py"),
        (("--chatterbox", "http://a.b", "--chatterbox-dialect", "klingon"), {}, "klingon"),
        (("--chatterbox-fallback", "ftp://a.b"), {}, "ftp://a.b"),
        (("--chatterbox", "http://a.b"), {}, "--chatterbox: with --voice realtime the model speaks itself"),
        (("--chatterbox-apology", "none.wav"), {}, "--chatterbox-apology none.wav"),
        (("--voice", "chatterbox", "--realtime", "ws://127.0.0.1:1/", "--chatterbox", "http://127.0.0.1:1"), {}, "could not connect"),
    ],
)
def test_bad_input_is_refused_in_one_line(
    arguments: tuple[str, ...],
    variables: dict[str, str],
    words: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("TWILIO_AUTH_TOKEN", "TWILIO_ACCOUNT_SID", "CALLFSM_REALTIME_KEY", "OPENAI_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert main(["serve", *arguments]) == 2
    told = capsys.readouterr().err
    assert len(told.splitlines()) == 1
    assert words in told
    assert TOKEN not in told


def test_what_a_worker_refuses_the_command_refuses_in_its_line() -> None:
    """They would all refuse it, and be begun anew for ever."""
    for arguments, words in ((("--realtime", "ws://127.0.0.1:1/"), "could not connect"), (("--tools", "none.py"), "--tools none.py")):
        told = callfsm("serve", "--workers", 2, "--port", 0, "--metrics-port", 0, *arguments)
        assert told.returncode == 2
        [line] = told.stderr.splitlines()
        assert line.startswith("callfsm: ")
        assert words in line


async def test_a_port_that_is_taken_is_named() -> None:
    async with tone_server(ToneModel()) as (url, _):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            told = await to_thread.run_sync(partial(callfsm, "serve", "--realtime", url, "--port", port, "--metrics-port", 0))
    assert told.returncode == 2
    assert f"127.0.0.1:{port}" in told.stderr.splitlines()[-1]
    assert "Traceback" not in told.stderr


async def test_sigterm_drains_and_leaves_with_zero() -> None:
    """The call in progress is heard to the end of what is being said; meanwhile callers hear busy and /healthz says 503."""
    async with tone_server(ToneModel(greeting_ms=2_000)) as (url, _):
        async with server("--realtime", url, "--voice", "realtime") as (process, told, log):
            voice = told["ready"]
            root = voice.removesuffix("/voice")
            assert "anybody" not in "".join(told) and told["TWILIO_AUTH_TOKEN"]
            call, late = (Call(http.Application(Ids()), Silent(1_000), Conditions(), str) for _ in range(2))
            async with anyio.create_task_group() as tasks, httpx.AsyncClient() as client:
                tasks.start_soon(call.dial, voice, {})
                await until_spoken_to(call)
                process.send_signal(signal.SIGTERM)
                with anyio.fail_after(PATIENCE_S):
                    while (await client.get(f"{root}/healthz")).status_code != 503:
                        await anyio.sleep(0.01)
                metrics = (await client.get(told["metrics"])).text
                assert "callfsm_draining 1.0" in metrics
                await late.dial(voice, {})
            assert (call.hung, late.rejected) == (Hung.APPLICATION, "busy")
            assert call.stream.buffer.played >= 100
            assert await to_thread.run_sync(process.wait) == 0
        # How long the greeting took is told when it is heard, and a busy machine stands still at any time.
        events = [event for line in log if (event := json.loads(line)["event"]) not in ("answer", "loop_blocked")]
        assert events == ["call_announced", "call_began", "drain_began", "refused", "call_ended", "drain_ended"]


async def test_a_second_sigterm_ends_everything_at_once() -> None:
    async with tone_server(ToneModel(greeting_ms=30_000)) as (url, _):
        async with server("--realtime", url, TWILIO_AUTH_TOKEN=TOKEN) as (process, told, log):
            call = Call(http.Application(Ids(), token=TOKEN), Silent(3_000), Conditions(), str)
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(call.dial, told["ready"], {})
                await until_spoken_to(call)
                process.send_signal(signal.SIGTERM)
                await until(lambda: any("drain_began" in line for line in log))
                process.send_signal(signal.SIGTERM)
            assert call.hung is Hung.CUT_OFF
            assert await to_thread.run_sync(process.wait) == 128 + signal.SIGTERM
        assert TOKEN not in "".join(log)


def test_frames_leave_without_waiting_for_the_receipt_of_the_last() -> None:
    """Nagle's algorithm would hold a clear back for up to 40 ms: what a listener accepts has it off."""
    with Door(Starlette(), "127.0.0.1", 0, 10, note=lambda *_: None).listener as listener, socket.create_connection(listener.getsockname()):
        accepted, _ = listener.accept()
        with accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


async def test_the_benchmark_measures_what_a_phone_server_carries(monkeypatch: pytest.MonkeyPatch) -> None:
    """On numbers too small to time anything by."""
    monkeypatch.setattr(bench, "SETTLE_S", 1.5)
    loads = (bench.Load(3, 0.8, (0.1, 0.2)),)
    figures = await bench.measure_phone(str, loads, largest=0, soak_s=1.0)
    assert [one.calls for one in figures.loads] == [3]
    assert all(one.clear.count >= one.calls and one.clear.p50_ms > 0 for one in figures.loads)
    assert figures.soaked >= 3
    console = Console(width=80)
    with console.capture() as printed:
        for table in bench.phone_tables(figures):
            console.print(table)
    assert "…" not in printed.get()


def test_the_tools_and_the_voice_of_a_served_agent_are_each_calls_own() -> None:
    """What one call's model asks for is answered to that call."""
    tools = Tools()

    @tools.tool
    async def now() -> str:
        """The time."""
        return "noon"

    agent = ServedAgent(
        policy=Policy(),
        settings=RealtimeSettings(),
        realtime_url="ws://a",
        voice=Voice(Server(url="http://a"), Server(url="http://b")),
        tools=tools,
    )
    started = Started("MZ1", "CA1", "AC1")
    first, second = (agent.ports(TwilioLine(Answered(Wire().channel, twilio_wire.Wire(), started))) for _ in range(2))
    assert [type(port) for port in first] == [RealtimeLLM, Chatterbox, Tools]
    assert not {id(port) for port in first} & {id(port) for port in second}
    assert tools not in first


@pytest.mark.parametrize(("voice", "spoken"), [("chatterbox", PCM), ("realtime", PCMU)])
def test_the_callers_octets_reach_openai_whoever_speaks(voice: str, spoken: Sound) -> None:
    """A Chatterbox voice is 24 kHz, and resampled once."""
    settings, policy = RealtimeSettings(), Policy(voice=voice)
    agent = ServedAgent(
        policy=policy, settings=settings, realtime_url="wss://api.openai.com/v1/realtime", voice=Voice(Server(url="http://a"))
    )
    line = TwilioLine(Answered(Wire().channel, twilio_wire.Wire(), Started("MZ1", "CA1", "AC1")), sound=agent.sound)
    agent.ports(line)
    assert line.sound is spoken
    assert [sound_of(ear) for ear in line.ears] == [PCMU]
    assert attrs.evolve(agent, realtime_url="wss://a.b/v1/realtime").heard is PCM
