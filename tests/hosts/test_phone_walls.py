"""Claims about the wall between the phone server and the code of others: tools and ports end neither calls nor the server (R105)."""

import asyncio
import json
import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import anyio
import attrs
import pytest
from anyio import to_thread

from adapters.hosts.phone import holding
from adapters.hosts.phone.agent import ServedAgent
from adapters.seam.ports import Port, Post
from adapters.standin.twilio import http
from adapters.standin.twilio.call import Call
from adapters.standin.twilio.ids import Ids
from adapters.standin.twilio.stream import Conditions, Hung
from adapters.tools import Tools
from adapters.twilio.port import TwilioLine
from fsm.call.effects import Effect
from tests.shared import misbehaving
from tests.shared.phone_model import ToneModel, exchange, tone_server
from tests.shared.phone_process import server
from tests.shared.shell import PATIENCE_S
from tests.shared.telephone import Silent


def with_tools(*tools: Callable[..., Any]) -> Callable[[ServedAgent], ServedAgent]:
    box = Tools()
    for tool in tools:
        box.tool(tool)
    return lambda agent: attrs.evolve(agent, tools=box)


async def leaving() -> str:
    """Ends the program."""
    raise SystemExit(3)


def interrupting() -> str:
    """Ends the program as Ctrl-C does."""
    raise KeyboardInterrupt


@pytest.mark.parametrize("tool", [leaving, interrupting])
async def test_a_tool_that_would_end_the_program_fails_alone(tool: Callable[..., Any]) -> None:
    """The model is told, its call goes on, and another call beside it never notices."""
    model = ToneModel(tools=(tool.__name__,))
    async with exchange(model=model, agent=with_tools(tool)) as phone:
        calls = [phone.place(Silent(60)) for _ in range(2)]
        async with anyio.create_task_group() as tasks:
            for call in calls:
                tasks.start_soon(phone.dial, call)
        await phone.server.calls.wait_until_empty()
        assert [call.hung for call in calls] == [Hung.CALLER] * 2
        outputs = [message["item"]["output"] for message in model.received if message["type"] == "conversation.item.create"]
        assert len(outputs) == 2
        assert all("failed" in output for output in outputs)
        assert phone.count("crashed_total") == 0


@attrs.define
class ForeignPorts:
    """An agent of an application's, with a port of its own."""

    agent: ServedAgent
    port: Callable[[], Port]

    @property
    def policy(self) -> Any:
        return self.agent.policy

    def ports(self, line: TwilioLine) -> Sequence[Port]:
        return [*self.agent.ports(line), self.port()]


class Deaf:
    """A port that hears no cancellation until it is let go."""

    performs: tuple[type[Effect], ...] = ()
    free = False

    async def run(self, _: Post) -> None:
        while not self.free:
            try:
                await anyio.sleep(0.01)
            except asyncio.CancelledError:
                continue

    def do(self, _: Effect) -> None:
        """Nothing."""


async def test_a_port_that_hears_no_cancellation_holds_neither_a_place_nor_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(holding, "GRACE_S", 0.2)
    port = Deaf()
    async with exchange(agent=lambda agent: ForeignPorts(agent, lambda: port)) as phone:
        call = await phone.dial(phone.place(Silent(20)))
        assert call.hung is Hung.CALLER
        with anyio.fail_after(PATIENCE_S):
            await phone.server.calls.wait_until_empty()
        assert phone.count("places_taken") == 0
        assert phone.count("ended_total", reason="caller_hung_up") == 1
        port.free = True


@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt, OSError])
async def test_an_agent_that_fails_to_make_a_call_ends_that_call_alone(kind: type[BaseException]) -> None:
    made: list[int] = []

    def port() -> Port:
        made.append(1)
        if len(made) == 1:
            raise kind(3)
        other = Deaf()
        other.free = True
        return other

    async with exchange(agent=lambda agent: ForeignPorts(agent, port)) as phone:
        broken, fine = [await phone.dial(phone.place(Silent(20))) for _ in range(2)]
        assert (broken.hung, fine.hung) == (Hung.CUT_OFF, Hung.CALLER)
        assert phone.count("crashed_total") == 1
        assert phone.count("places_taken") == 0


async def _logged(log: list[str], event: str) -> dict[str, Any]:
    """The first line of the log of that event, once it has come."""
    with anyio.fail_after(PATIENCE_S):
        while True:
            for line in log:
                if event in line:
                    found: dict[str, Any] = json.loads(line)
                    return found
            await anyio.sleep(0.01)


async def served(tools: tuple[str, ...], until: str, *, again: bool) -> tuple[int, list[str]]:
    """The exit code and the log of a server, whose model calls tools, that is told to end once its log says something."""
    async with (
        tone_server(ToneModel(tools=tools)) as (url, _),
        server(
            "--realtime",
            url,
            "--voice",
            "realtime",
            "--tools",
            misbehaving.__file__,
            "--drain-s",
            0,
            "--set",
            "tool_ms=300",
            "--set",
            "tool_filler_ms=200",
            MISBEHAVES_S="3600",
        ) as (process, told, log),
    ):
        call = Call(http.Application(Ids()), Silent(3_000), Conditions(), str)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_dial, call, told["ready"])
            await _logged(log, until)
            process.send_signal(signal.SIGTERM)
            while again and process.poll() is None:
                # Two that come at once are one.
                await anyio.sleep(0.05)
                process.send_signal(signal.SIGTERM)
            return await to_thread.run_sync(process.wait), log


async def _dial(call: Call, url: str) -> None:
    """However it ends: the server is killed under it."""
    try:
        await call.dial(url, {})
    except Exception as error:
        print(f"the call ended with {error!r}")


async def test_a_drained_server_ends_although_tools_do_not() -> None:
    """One hears no cancellation, one blocks a thread: each is given up and named, and one signal ends the server with 0."""
    code, log = await served(("deaf", "blocking"), "tool_stuck: blocking", again=False)
    assert code == 0
    assert any("tool_stuck: deaf" in line for line in log)


async def test_a_loop_that_a_tool_blocks_is_named_and_two_signals_end_it() -> None:
    code, log = await served(("standing",), 'standing"', again=True)
    assert code in (128 + signal.SIGTERM, -signal.SIGTERM), "one more may come when Python has taken its handlers back"
    blocked = [json.loads(line)["where"][-1] for line in log if "loop_blocked" in line]
    assert any(place.endswith("standing") for place in blocked), "a busy machine may block it before"


def the_key_itself() -> str:
    """Says the key: a tool of that name."""
    return "done"


async def test_a_key_that_is_said_is_in_no_trace_of_a_telephone_call(tmp_path: Path) -> None:
    """What is called stays what it is: the tool of that name is run (R96)."""
    key = the_key_itself.__name__

    def keyed(agent: ServedAgent) -> ServedAgent:
        return attrs.evolve(with_tools(the_key_itself)(agent), key=key)

    model = ToneModel(tools=(key,))
    async with exchange(model=model, agent=keyed, traces=tmp_path) as phone:
        await phone.dial(phone.place(Silent(60)))
        await phone.server.calls.wait_until_empty()
    assert "done" in [message["item"]["output"] for message in model.received if message["type"] == "conversation.item.create"]
    [trace] = tmp_path.iterdir()
    text = trace.read_text()
    assert "ToolCalled" in text
    assert key not in text


async def test_what_a_tool_leaves_behind_ends_neither_a_call_nor_the_server() -> None:
    """It raises SystemExit or KeyboardInterrupt on the event loop, or anything in a thread, outside of all that waits for the tool."""
    tools = ("leaving_an_end", "leaving_an_interrupt", "leaving_a_thread", "blocking")
    code, log = await served(tools, "tool_stuck: blocking", again=False)
    assert code == 0
    assert len([line for line in log if "left behind" in line]) == 2
    assert [json.loads(line)["type"] for line in log if "thread_failed" in line] == ["ZeroDivisionError"]
    assert all(json.loads(line) for line in log)
    assert [json.loads(line)["reason"] for line in log if '"call_ended"' in line] == ["application"]
