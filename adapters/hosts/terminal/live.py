"""One call put together: the parts that the command line names, the driver over them, and the folder that a call leaves behind."""

import time
from contextlib import AsyncExitStack
from pathlib import Path

import anyio
import attrs
from anyio import to_thread
from rich.console import Console

from adapters.audio.device import SoundDevice
from adapters.audio.library import find
from adapters.audio.local_vad import LocalVad, VadSettings
from adapters.audio.player import CallerMicrophone, Player
from adapters.audio.push_to_talk import PushToTalk
from adapters.audio.streams import Loudspeaker, Microphone
from adapters.audio.wav_device import WavDevice
from adapters.audio.wav_file import read_caller
from adapters.chatterbox.port import Chatterbox, check as check_chatterbox
from adapters.chatterbox.servers import Server
from adapters.chatterbox.voice import Voice
from adapters.hosts.embedded import StandIn, StandInError, stand_in
from adapters.hosts.page.broadcast import Stage
from adapters.hosts.phone.agent import model_of
from adapters.hosts.terminal.follow import follow
from adapters.realtime.port import RealtimeLLM
from adapters.realtime.settings import RealtimeSettings
from adapters.realtime.websocket import WebSocketError
from adapters.seam.device import CALIBRATION_MS, Device
from adapters.seam.errors import first_of
from adapters.seam.files import private_folder
from adapters.seam.ports import Caller, Port, Post
from adapters.standin.caller import WavCaller
from adapters.standin.demo import demo_caller
from adapters.text.sentences import SentenceCutter
from adapters.tools import Tools
from fsm.call import effects as fx, events as ev
from fsm.call.effects import Effect
from fsm.call.policy import Policy
from fsm.call.snapshot import start


class CannotStart(Exception):
    """Something without which no call can begin; the text is one line that says what and what to do."""


@attrs.frozen(kw_only=True)
class Plan:
    """What call to hold. A URL of None means the embedded stand-in; `key` is shown nowhere.

    The caller is at the microphone `microphone`, or that of `device`; on the WAV file `caller`; or else the demonstration's. The
    agent is heard on the loudspeaker of `device`, through the process `player`, or else in call.wav alone. `vad`: server, local or key.
    """

    policy: Policy
    chained: Policy | None = None
    """The policy for a server that shows itself to be a chained one, if it is to be found out."""
    settings: RealtimeSettings
    out: Path
    realtime_url: str | None = None
    key: str | None = attrs.field(default=None, repr=False)
    voice: Voice = attrs.field(factory=Voice)
    """The Chatterbox voice; without a server, the stand-in's."""
    tools: Tools | None = None
    caller: Path | None = None
    synthesis_ms: str = "1800:2800"
    device: str | None = None
    microphone: str | None = None
    player: str | None = None
    vad: str = "server"


class Prompter:
    """The application of a call from the command line: it has the greeting's text from the start."""

    performs: tuple[type[Effect], ...] = ()

    async def run(self, post: Post) -> None:
        """Say that the greeting's text is at hand."""
        post(ev.GreetingPrepared)

    def do(self, effect: Effect) -> None:
        """Nothing is asked of it."""


async def hold_call(
    plan: Plan, console: Console, stage: Stage | None = None, started: dict[str, StandIn] | None = None
) -> fx.Reason | None:
    """Hold the call and write its folder: call.wav, call.trace, call.svg, summary.txt. The files are written however the call ends.

    On `stage` it is shown while it goes on; the stand-ins that are begun for it are noted in `started`, by their names.

    Gives the reason of that end, None if the call had none.

    Raises CannotStart before anything is written when a part is missing.
    """
    async with AsyncExitStack() as stack:
        try:
            device, ports, policy = await _prepare(plan, console, stack, {} if started is None else started)
        except* WebSocketError as group:
            raise CannotStart(f"--realtime: {first_of(group)}") from None
        except* (ValueError, OSError, StandInError) as group:
            raise CannotStart(str(first_of(group))) from None
        return await _drive(attrs.evolve(plan, policy=policy), console, device, ports, stage)


async def _prepare(plan: Plan, console: Console, stack: AsyncExitStack, started: dict[str, StandIn]) -> tuple[Device, list[Port], Policy]:
    """Start or find every part of the call, and the policy that fits the server."""
    made = _recorded(plan.caller)
    loudspeaker, microphone = _loudspeaker(plan), _microphone(plan)
    with console.status("starting the servers and the caller's voice …"):
        async with anyio.create_task_group() as group:
            if not made and microphone is None:
                group.start_soon(_make_caller, made, plan.policy.voice)
            for name, url, arguments in _servers(plan):
                if url is None:
                    group.start_soon(_start, stack, started, name, arguments)
    urls = {name: url or started[name].url for name, url, _ in _servers(plan)}
    device = _device(plan, made, loudspeaker, microphone)
    # the stand-in has what OpenAI's servers have
    openai = None if plan.realtime_url else True
    llm = RealtimeLLM(
        url=urls["realtime"], key=plan.key, settings=plan.settings, policy=plan.policy, speaker=device, cutter=SentenceCutter, openai=openai
    )
    device.ears.append(llm)
    ports: list[Port] = [device, llm, Prompter()]
    ports += _ears(plan, device)
    if "chatterbox" in urls:
        speech = plan.voice.speech or Server(url=urls["chatterbox"])
        ports.append(attrs.evolve(plan.voice, speech=speech).port(plan.policy, device))
        await check_chatterbox(speech)
    if plan.tools is not None:
        ports.append(plan.tools)
    await stack.enter_async_context(llm.checked())
    try:
        private_folder(plan.out)
    except OSError as error:
        raise CannotStart(f"--out {plan.out}: {error.strerror}; give a folder that can be written") from None
    if plan.chained is not None and plan.realtime_url and await llm.is_chained():
        return device, ports, plan.chained
    return device, ports, plan.policy


def _recorded(path: Path | None) -> list[Caller]:
    """The caller of a recording, if there is one."""
    try:
        return [WavCaller(read_caller(path))] if path else []
    except ValueError as error:
        raise CannotStart(f"--caller {error}") from None


def _loudspeaker(plan: Plan) -> Loudspeaker | Player | None:
    if plan.player is not None:
        return Player(plan.player)
    return Loudspeaker(find(plan.device, "loudspeaker")) if plan.device is not None else None


def _microphone(plan: Plan) -> Microphone | None:
    wanted = plan.microphone or plan.device
    return Microphone(find(wanted, "microphone")) if wanted is not None and plan.caller is None else None


def _device(plan: Plan, made: list[Caller], loudspeaker: Loudspeaker | Player | None, microphone: Microphone | None) -> Device:
    """Tie the two sides of the line together; whoever is on no microphone paces a virtual device, or a virtual microphone."""
    path, calibration_ms = plan.out / "call.wav", None if plan.vad == "local" else CALIBRATION_MS
    if loudspeaker is None:
        return WavDevice(path, made[0])
    if microphone is not None:
        return SoundDevice(path, microphone, loudspeaker, calibration_ms=calibration_ms)
    virtual = CallerMicrophone(made[0])
    device = SoundDevice(path, virtual, loudspeaker, calibration_ms=calibration_ms)
    virtual.agent_sound = device.agent_sound
    return device


def _ears(plan: Plan, device: Device) -> list[Port]:
    """What else than the server hears the caller; where it owns the turns, the server hears only these."""
    if plan.vad == "server":
        return []
    turns = plan.policy.turns == "local"
    onward = list(device.ears) if turns else []
    ear: PushToTalk | LocalVad
    if plan.vad == "key":
        ear = PushToTalk(turns=turns, onward=onward)
    else:
        settings = VadSettings(barge_in_ms=plan.policy.interruption_min_ms)
        ear = LocalVad(settings, turns=turns, onward=onward, agent_sound=device.agent_sound)
    device.ears[:] = [ear] if turns else [*device.ears, ear]
    return [ear]


async def _drive(plan: Plan, console: Console, device: Device, ports: list[Port], stage: Stage | None) -> fx.Reason | None:
    call, model = start(plan.policy, f"call-{time.strftime('%Y%m%d-%H%M%S')}"), model_of(plan.realtime_url or "", plan.settings)
    try:
        ended = await follow(call, device, ports, console, plan.out, model=model, key=plan.key, stage=stage)
    finally:
        _tell_of(device, console)
        for port in ports:
            if isinstance(port, Chatterbox) and (figures := port.figures.lines()):
                console.print("voice: " + ", ".join(f"{name} {value}" for name, value in figures), style="dim", markup=False)
    return ended.reason if ended else None


def _tell_of(device: Device, console: Console) -> None:
    """Say what the figures of a real device rest on, and what went wrong with it."""
    if device.estimated:
        console.print("the player tells no position: played milliseconds are estimated by the clock", style="dim")
    if device.counts:
        console.print("sound devices: " + ", ".join(f"{count} {name}" for name, count in device.counts.items()), style="yellow")


def _servers(plan: Plan) -> list[tuple[str, str | None, tuple[str, ...]]]:
    servers: list[tuple[str, str | None, tuple[str, ...]]] = [("realtime", plan.realtime_url, ("realtime", "--words-per-s", "12"))]
    if plan.policy.voice == "chatterbox":
        speech = plan.voice.speech
        servers.append(("chatterbox", speech.url if speech else None, ("chatterbox", "--synthesis-ms", plan.synthesis_ms)))
    return servers


async def _make_caller(made: list[Caller], voice: str) -> None:
    made.append(await to_thread.run_sync(demo_caller, voice))


async def _start(stack: AsyncExitStack, started: dict[str, StandIn], name: str, arguments: tuple[str, ...]) -> None:
    started[name] = await stack.enter_async_context(stand_in(*arguments))
