"""Claims about a call that is held at a terminal or in a page, in this process: its spans; and about its page, the stand-ins' faults."""

from collections.abc import Awaitable, Callable
from pathlib import Path

import anyio
import httpx
import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from rich.console import Console

from adapters.hosts.page.faults import FAULTS
from adapters.hosts.terminal.live import Plan, hold_call
from adapters.realtime.settings import RealtimeSettings
from fsm.call.effects import Reason
from tests.shared.page_host import Pretender, Served, page_host, silence
from tests.shared.phone_model import ToneModel, phone_policy, tone, tone_server
from tests.shared.shell import PATIENCE_S, begin_callfsm, callfsm, until, write_wav


async def at_a_terminal(folder: Path, _: Callable[[], bool]) -> None:
    wav = write_wav(folder / "caller.wav", silence(600) + tone(500, 400) + silence(1_500))
    async with tone_server(ToneModel(answer_ms=300)) as (url, _):
        plan = Plan(policy=phone_policy(), settings=RealtimeSettings(model="m"), out=folder / "held", realtime_url=url, caller=wav)
        assert await hold_call(plan, Console(quiet=True)) is Reason.CALLER_HUNG_UP


async def in_a_page(folder: Path, answered: Callable[[], bool]) -> None:
    async with page_host(folder, ToneModel(answer_ms=300)) as host, host.socket("talk") as socket, anyio.create_task_group() as group:
        group.start_soon(Pretender(socket, silence(600) + tone(500, 400)).run)
        await until(answered)
        group.cancel_scope.cancel()


@pytest.mark.parametrize("held", [at_a_terminal, in_a_page])
async def test_a_call_makes_spans_as_those_of_a_phone_server_do(
    held: Callable[[Path, Callable[[], bool]], Awaitable[None]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    exported, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exported))
    monkeypatch.setattr("opentelemetry.trace.get_tracer_provider", lambda: provider)
    await held(tmp_path, lambda: any(span.name == "turn" for span in exported.get_finished_spans()))
    spans = exported.get_finished_spans()
    assert {span.name.partition(" ")[0] for span in spans} >= {"invoke_agent", "greeting", "turn", "chat"}
    assert all(span.end_time for span in spans)


def test_nothing_is_said_of_a_voice_that_said_nothing(tmp_path: Path) -> None:
    wav = write_wav(tmp_path / "caller.wav", silence(200))
    told = callfsm("call", "--voice", "chatterbox", "--set", "greeting=false", "--caller", wav, "--out", tmp_path / "held")
    assert "the caller hung up" in told.stdout
    assert "voice:" not in told.stdout


async def test_the_stand_ins_of_a_call_fail_as_its_page_asks(tmp_path: Path) -> None:
    wav = write_wav(tmp_path / "caller.wav", silence(20_000))
    process = begin_callfsm("call", "--voice", "realtime", "--caller", wav, "--out", tmp_path / "held", "--page")
    page = (await anyio.to_thread.run_sync(process.stdout.readline)).split()[1]
    try:
        async with httpx.AsyncClient(trust_env=False) as client:
            with anyio.fail_after(PATIENCE_S):
                while FAULTS["line"].words not in (await client.get(page)).text:
                    await anyio.sleep(0.1)
            answer = await client.post(f"{page}fault", params={"name": "line"}, headers={"Origin": Served(page).origin})
    finally:
        process.kill()
        await anyio.to_thread.run_sync(process.communicate)
    assert answer.is_success, answer.text
