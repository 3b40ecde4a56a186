"""One call put together: the parts that the command line names, the driver over them, and the folder that a call leaves behind."""

import time
from contextlib import AsyncExitStack
from pathlib import Path

import anyio
import attrs
from anyio import to_thread
from rich.console import Console

from adapters.caller import WavCaller
from adapters.chatterbox import Chatterbox
from adapters.chatterbox import check as check_chatterbox
from adapters.demo import demo_caller
from adapters.driver import Driver
from adapters.embedded import StandInError, stand_in
from adapters.picture import draw, read_stereo
from adapters.ports import Port, Post
from adapters.realtime import RealtimeLLM
from adapters.realtime_settings import RealtimeSettings
from adapters.report import OldAudio, Report, report_on
from adapters.sentences import SentenceCutter
from adapters.show import Show
from adapters.trace import TraceWriter, read_trace
from adapters.wav_device import Caller, WavDevice, read_caller
from adapters.websocket import WebSocketError
from fsm.call import events as ev
from fsm.call.effects import Effect
from fsm.call.policy import Policy
from fsm.call.snapshot import start


class CannotStart(Exception):
    """Something without which no call can begin; the text is one line that says what and what to do."""


@attrs.frozen(kw_only=True)
class Plan:
    """What call to hold. A URL of None means the embedded stand-in; a caller of None the demonstration's; `key` is shown nowhere."""

    policy: Policy
    settings: RealtimeSettings
    out: Path
    realtime_url: str | None = None
    key: str | None = attrs.field(default=None, repr=False)
    chatterbox_url: str | None = None
    caller: Path | None = None
    synthesis_ms: str = "1800:2800"


class Prompter:
    """The application of a call from the command line: it has the greeting's text from the start."""

    performs: tuple[type[Effect], ...] = ()

    async def run(self, post: Post) -> None:
        """Say that the greeting's text is at hand."""
        post(ev.GreetingPrepared)

    def do(self, effect: Effect) -> None:
        """Nothing is asked of it."""


async def hold_call(plan: Plan, console: Console) -> Report:
    """Hold the call and write its folder: call.wav, call.trace, call.svg, summary.txt. The files are written however the call ends.

    Raises CannotStart before anything is written when a part is missing.
    """
    async with AsyncExitStack() as stack:
        try:
            device, ports = await _prepare(plan, console, stack)
        except* (ValueError, OSError, StandInError, WebSocketError) as group:
            raise CannotStart(str(_first(group))) from None
        return await _drive(plan, console, device, ports)


async def _prepare(plan: Plan, console: Console, stack: AsyncExitStack) -> tuple[WavDevice, list[Port]]:
    """Start or find every part of the call."""
    made: list[Caller] = [WavCaller(read_caller(plan.caller))] if plan.caller else []
    urls: dict[str, str] = {}
    with console.status("starting the servers and the caller's voice …"):
        async with anyio.create_task_group() as group:
            if not made:
                group.start_soon(_make_caller, made, plan.policy.voice)
            for name, url, arguments in _servers(plan):
                group.start_soon(_find_server, stack, urls, name, url, arguments)
    device = WavDevice(plan.out / "call.wav", made[0])
    llm = RealtimeLLM(url=urls["realtime"], key=plan.key, settings=plan.settings, policy=plan.policy, speaker=device, cutter=SentenceCutter)
    device.ears.append(llm)
    ports: list[Port] = [device, llm, Prompter()]
    if "chatterbox" in urls:
        ports.append(Chatterbox(url=urls["chatterbox"], speaker=device, timeout_s=plan.policy.synthesis_ms / 1000))
        await check_chatterbox(urls["chatterbox"])
    await llm.check()
    plan.out.mkdir(parents=True, exist_ok=True)
    return device, ports


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The first error of a group, however deep it lies."""
    error = group.exceptions[0]
    return _first(error) if isinstance(error, BaseExceptionGroup) else error


async def _drive(plan: Plan, console: Console, device: WavDevice, ports: list[Port]) -> Report:
    call = start(plan.policy, f"call-{time.strftime('%Y%m%d-%H%M%S')}")
    began_s = anyio.current_time()

    def old_audio(since_ms: float, response_id: str) -> float | None:
        return device.sounded_after(began_s + since_ms / 1000, response_id)

    trace = TraceWriter(plan.out / "call.trace", call)
    driver = Driver(call, ports, [trace, Show(console, call, old_audio)])
    try:
        await driver.run()
    finally:
        trace.close()
        with anyio.CancelScope(shield=True):
            report = await to_thread.run_sync(_write, plan.out, old_audio)
    return report


def _write(out: Path, old_audio: OldAudio) -> Report:
    """Tell the call from its trace and its sound, as a picture and in words."""
    report = report_on(read_trace(out / "call.trace"), old_audio)
    caller, agent = read_stereo(out / "call.wav")
    (out / "call.svg").write_text(draw(report.picture("callfsm: a call", caller, agent)), encoding="utf-8")
    (out / "summary.txt").write_text(report.summary(), encoding="utf-8")
    return report


def _servers(plan: Plan) -> list[tuple[str, str | None, tuple[str, ...]]]:
    servers: list[tuple[str, str | None, tuple[str, ...]]] = [("realtime", plan.realtime_url, ("realtime", "--words-per-s", "12"))]
    if plan.policy.voice == "chatterbox":
        servers.append(("chatterbox", plan.chatterbox_url, ("chatterbox", "--synthesis-ms", plan.synthesis_ms)))
    return servers


async def _make_caller(made: list[Caller], voice: str) -> None:
    made.append(await to_thread.run_sync(demo_caller, voice))


async def _find_server(stack: AsyncExitStack, urls: dict[str, str], name: str, url: str | None, arguments: tuple[str, ...]) -> None:
    urls[name] = url if url else await stack.enter_async_context(stand_in(*arguments))
