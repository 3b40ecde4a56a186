"""Claims about the application's tools: what the model is told of them, and what becomes of each call (R80, R87), on asyncio and trio."""

import asyncio
import json
import logging
import threading
from pathlib import Path
from typing import Annotated, Any, Literal

import anyio
import anyio.lowlevel
import pytest

from adapters.realtime.settings import RealtimeSettings
from adapters.seam import foreign
from adapters.seam.driver import Driver
from adapters.seam.ports import Post
from adapters.tools import MAX_OUTPUT, MOST_HANGING, Tools, load
from fsm import Policy, events as ev, start
from fsm.call.effects import Effect, RunTool, SendToolResult
from tests.shared.shell import PATIENCE_S

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def toolbox(**settings: Any) -> Tools:
    tools = Tools(**settings)

    @tools.tool
    async def book(
        day: Annotated[str, "a weekday"], seats: int = 1, area: Literal["in", "out"] = "in", notes: list[str] | None = None
    ) -> Any:
        """Book a table."""
        return {"day": day, "seats": seats, "area": area, "notes": notes}

    @tools.tool
    def thread_name() -> str:
        """Where a plain function runs."""
        return threading.current_thread().name

    @tools.tool
    async def broken() -> str:
        """Always fails."""
        raise OSError("secret detail")

    @tools.tool
    async def endless() -> str:
        """Never ends."""
        await anyio.sleep_forever()
        return ""

    @tools.tool
    async def talkative() -> str:
        """Says too much."""
        return "x" * (MAX_OUTPUT + 1)

    return tools


async def called(tools: Tools, name: str, arguments: str = "{}") -> str:
    """What the model is told."""
    told: list[str] = []
    done = anyio.Event()

    def post(event: Any, *args: Any, **_: Any) -> None:
        made = event(0.0, *args)
        assert isinstance(made, ev.ToolFinished)
        assert made.tool_call_id == "t1"
        told.append(made.output)
        done.set()

    with anyio.fail_after(PATIENCE_S):
        async with anyio.create_task_group() as group:
            group.start_soon(tools.run, post)
            await anyio.wait_all_tasks_blocked()
            tools.do(RunTool("t1", name, arguments))
            await done.wait()
            group.cancel_scope.cancel()
    return told[0]


def test_a_function_declares_itself() -> None:
    declared = toolbox().declarations[0]
    assert declared["name"] == "book"
    assert declared["description"] == "Book a table."
    assert declared["parameters"] == {
        "type": "object",
        "properties": {
            "day": {"type": "string", "description": "a weekday"},
            "seats": {"type": "integer"},
            "area": {"enum": ["in", "out"]},
            "notes": {"anyOf": [{"type": "array", "items": {"type": "string"}}, {"type": "null"}]},
        },
        "required": ["day"],
        "additionalProperties": False,
    }
    assert RealtimeSettings(tools=toolbox().declarations).tools[0]["name"] == "book"


def test_a_function_that_the_model_could_not_call_is_refused() -> None:
    tools = Tools()

    async def wordless(day: str) -> str:
        return day

    async def untyped(day) -> str:
        """Has no type."""
        return str(day)

    async def odd(day: bytes) -> str:
        """Takes what JSON cannot say."""
        return str(day)

    for function, why in ((wordless, "docstring"), (untyped, "type"), (odd, "str, int")):
        with pytest.raises(ValueError, match=why):
            tools.tool(function)
    assert tools.declarations == ()


async def test_a_tool_is_run_and_its_answer_told() -> None:
    told = await called(toolbox(), "book", '{"day": "Friday", "seats": 4, "notes": ["late"]}')
    assert json.loads(told) == {"day": "Friday", "seats": 4, "area": "in", "notes": ["late"]}


async def test_a_plain_function_runs_in_a_thread() -> None:
    assert await called(toolbox(), "thread_name") != threading.main_thread().name


@pytest.mark.parametrize(
    ("name", "arguments", "why"),
    [
        ("nothing", "{}", "error: there is no tool nothing"),
        ("book", "{", "error: the arguments are not JSON"),
        ("book", "[]", "error: the arguments are not an object"),
        ("book", "{}", "error: missing: day"),
        ("book", '{"day": "Friday", "hat": 1}', "error: unknown: hat"),
        ("book", '{"day": 5}', "error: day is not what was declared"),
        ("book", '{"day": "x", "seats": true}', "error: seats is not what was declared"),
        ("book", '{"day": "x", "area": "roof"}', "error: area is not what was declared"),
        ("book", '{"day": "x", "notes": [1]}', "error: notes is not what was declared"),
    ],
)
async def test_a_call_that_makes_no_sense_is_told_to_the_model(name: str, arguments: str, why: str) -> None:
    assert await called(toolbox(), name, arguments) == why


async def test_a_tool_that_fails_is_told_without_its_words_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR, "callfsm.tools"):
        told = await called(toolbox(), "broken")
    assert told == "error: broken failed (OSError)"
    assert "secret detail" in caplog.text


async def test_a_tool_that_takes_too_long_is_cancelled() -> None:
    assert await called(toolbox(timeout_s=0.01), "endless") == "error: endless did not answer in time"


@pytest.mark.parametrize("plain", [False, True])
@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt, GeneratorExit, asyncio.CancelledError, RecursionError])
async def test_whatever_a_tool_raises_is_its_failure_and_nobody_elses(kind: type[BaseException], plain: bool) -> None:
    """R105: in a coroutine and in a plain function; what would end the program is told to the model."""
    tools = Tools()

    async def suspended() -> str:
        """Raise."""
        await anyio.lowlevel.checkpoint()
        raise kind("secret detail")

    def simple() -> str:
        """Raise."""
        raise kind("secret detail")

    tools.tool(simple if plain else suspended)
    [declared] = tools.declarations
    assert await called(tools, declared["name"]) == f"error: {declared['name']} failed ({kind.__name__})"


class Deaf:
    """A tool that hears no cancellation until it is let go."""

    def __init__(self) -> None:
        self.cancelled, self.free = anyio.Event(), anyio.Event()

    async def __call__(self) -> str:
        while not self.free.is_set():
            try:
                await anyio.sleep(0.01)
            except BaseException:
                self.cancelled.set()
                if trio_runs():
                    # On trio a cancellation never ends: what waits under it would spin.
                    with anyio.CancelScope(shield=True):
                        await self.free.wait()
        return "free"


def trio_runs() -> bool:
    return "trio" in str(anyio.get_cancelled_exc_class())


async def test_a_tool_that_hears_no_cancellation_is_abandoned_and_named(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R105: neither its timeout nor the end of its call waits for it."""
    monkeypatch.setattr(foreign, "STUCK_S", 0.05)
    deaf, tools = Deaf(), Tools(timeout_s=0.01)

    async def stubborn() -> str:
        """Goes on."""
        return await deaf()

    tools.tool(stubborn)
    assert await called(tools, "stubborn") == "error: stubborn did not answer in time"
    with anyio.fail_after(10):
        await deaf.cancelled.wait()
        while "tool_stuck" not in caplog.text:
            await anyio.sleep(0.01)
        deaf.free.set()
    assert [record.getMessage() for record in caplog.records] == ["tool_stuck: stubborn was abandoned 0.05 s ago and still runs"]


async def test_a_call_that_ends_waits_for_no_tool() -> None:
    deaf, tools = Deaf(), Tools()
    began = threading.Event()
    release = threading.Event()

    async def stubborn() -> str:
        """Goes on."""
        return await deaf()

    def blocking() -> str:
        """Blocks its thread."""
        began.set()
        release.wait()
        return ""

    tools.tool(stubborn)
    tools.tool(blocking)
    with anyio.fail_after(10):
        async with anyio.create_task_group() as call:
            call.start_soon(tools.run, print)
            await anyio.wait_all_tasks_blocked()
            tools.do(RunTool("t1", "stubborn", "{}"))
            tools.do(RunTool("t2", "blocking", "{}"))
            while not began.is_set():
                await anyio.sleep(0.01)
            call.cancel_scope.cancel()
        await deaf.cancelled.wait()
        deaf.free.set()
    release.set()


async def test_tools_that_never_end_hold_no_more_than_so_many_threads() -> None:
    tools, release, begun = Tools(timeout_s=0.001), threading.Event(), list[int]()

    @tools.tool
    def blocking() -> str:
        """Blocks its thread."""
        begun.append(1)
        release.wait()
        return ""

    told = [await called(tools.for_call(), "blocking") for _ in range(MOST_HANGING + 2)]
    assert told[-3:] == ["error: blocking did not answer in time", *["error: blocking is not available"] * 2]
    assert len(begun) == MOST_HANGING
    release.set()


@pytest.mark.parametrize("text", ["\ud83d", "\udc00", "a\ud800b"])
async def test_what_a_tool_gives_is_well_formed(text: str) -> None:
    tools = Tools()

    @tools.tool
    async def half() -> str:
        """Half a character."""
        return text

    @tools.tool
    async def whole(words: str) -> str:
        """Take words."""
        words.encode()
        return words

    (await called(tools, "half")).encode()
    (await called(tools, "whole", json.dumps({"words": text}))).encode()


class Looked(dict[str, int]):
    """Ends the program when it is looked at."""

    def items(self) -> Any:
        raise SystemExit(3)


class Words(str):
    """Likewise."""

    def encode(self, *_: Any) -> Any:
        raise KeyboardInterrupt

    __iter__ = __len__ = __getitem__ = encode


@pytest.mark.parametrize(("result", "told"), [(Looked(a=1), "error: odd failed (SystemExit)"), (Words("a"), "a")], ids=["looked", "words"])
@pytest.mark.parametrize("waits", [False, True])
async def test_a_result_that_ends_the_program_when_it_is_looked_at_ends_nothing(result: Any, told: str, waits: bool) -> None:
    tools = Tools()

    def odd() -> Any:
        """Give something odd."""
        return result

    async def waiting() -> Any:
        """Give something odd."""
        return result

    waiting.__name__ = "odd"
    tools.tool(waiting if waits else odd)
    assert await called(tools, "odd") == told


@pytest.mark.parametrize("result", [object(), {1: {2, 3}}, b"x", float("nan")])
async def test_a_result_that_json_cannot_say_is_told_as_a_failure(result: Any) -> None:
    tools = Tools()

    @tools.tool
    async def odd() -> Any:
        """Give something odd."""
        return result

    assert await called(tools, "odd") in ("error: odd failed (TypeError)", "error: odd failed (ValueError)")


async def test_an_answer_is_of_bounded_length() -> None:
    assert len(await called(toolbox(), "talkative")) == MAX_OUTPUT


async def test_a_tool_that_runs_ends_with_its_call() -> None:
    """R80, R87: through the driver, which leaves no task behind."""

    class Model:
        performs: tuple[type[Effect], ...] = (SendToolResult,)

        def __init__(self) -> None:
            self.results: list[Effect] = []
            self.answered = anyio.Event()

        async def run(self, post: Post) -> None:
            post(ev.ToolCalled, "t1", "book", '{"day": "Friday"}')
            post(ev.ToolCalled, "t2", "endless", "{}")
            await self.answered.wait()
            post(ev.CallerHungUp)

        def do(self, effect: Effect) -> None:
            self.results.append(effect)
            self.answered.set()

    model, tools = Model(), toolbox()
    with anyio.fail_after(PATIENCE_S):
        await Driver(start(Policy(greeting=False)), [tools, model]).run()
    [result] = model.results
    assert json.loads(result.output)["day"] == "Friday"


async def test_two_calls_at_once_have_each_its_own_answers() -> None:
    """Each of many calls has a port of its own; both tools are called before either answers."""
    tools, both, asked = Tools(), anyio.Event(), list[str]()

    @tools.tool
    async def mine(name: str) -> str:
        """Wait for the other call, and answer."""
        asked.append(name)
        if len(asked) == 2:
            both.set()
        await both.wait()
        return name

    told: dict[str, list[str]] = {"a": [], "b": []}
    over: dict[str, anyio.Event] = {name: anyio.Event() for name in told}

    async def hold(name: str) -> None:
        def post(event: Any, *args: Any, **_: Any) -> None:
            told[name].append(event(0.0, *args).output)
            over[name].set()

        port = tools.for_call()
        async with anyio.create_task_group() as call:
            call.start_soon(port.run, post)
            await anyio.wait_all_tasks_blocked()
            port.do(RunTool("t1", "mine", json.dumps({"name": name})))
            await over[name].wait()
            call.cancel_scope.cancel()

    with anyio.fail_after(PATIENCE_S):
        async with anyio.create_task_group() as calls:
            for name in told:
                calls.start_soon(hold, name)
    assert told == {"a": ["a"], "b": ["b"]}


async def test_tools_that_serve_a_call_refuse_a_second_one() -> None:
    tools = toolbox()
    with anyio.fail_after(PATIENCE_S):
        async with anyio.create_task_group() as calls:
            calls.start_soon(tools.run, print)
            await anyio.wait_all_tasks_blocked()
            with pytest.raises(RuntimeError, match="for_call"):
                await tools.run(print)
            calls.cancel_scope.cancel()
    assert json.loads(await called(tools, "book", '{"day": "Friday"}'))["seats"] == 1, "and serve the next one afterwards"


def test_a_file_with_tools_is_loaded(tmp_path: Path) -> None:
    file = tmp_path / "tools.py"
    file.write_text(
        'from adapters.tools import Tools\nmine = Tools()\n@mine.tool\ndef now() -> str:\n    """The time."""\n    return "noon"\n'
    )
    tools = load(file, 3)
    assert tools.timeout_s == 3
    assert [declared["name"] for declared in tools.declarations] == ["now"]


@pytest.mark.parametrize(
    ("text", "why"), [("x = 1", "one Tools"), ("x = ", "SyntaxError"), ("from adapters.tools import Tools\nt = Tools()", "at least one")]
)
def test_a_file_without_tools_is_refused_in_one_line(tmp_path: Path, text: str, why: str) -> None:
    file = tmp_path / "tools.py"
    file.write_text(text)
    with pytest.raises(ValueError, match=why):
        load(file, 3)
    with pytest.raises(OSError, match="give a Python file"):
        load(tmp_path / "none.py", 3)
