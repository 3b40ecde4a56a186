"""Holds a call of our own with a server that others wrote, and judges it: greeting, barge-in, tool and goodbye, as they were heard.

The server's code is taken from a checkout, owner+name in the folder that CALLFSM_ORACLE_SERVERS names; where none is, nothing is judged.
"""

import argparse
import math
import os
import subprocess
import tempfile
import threading
from collections.abc import Collection, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Annotated

import anyio
import attrs
import numpy as np

from adapters.audio.wav_device import WavDevice
from adapters.chatterbox.port import check as check_chatterbox
from adapters.commands.agent import add_agent, chosen
from adapters.hosts.phone.agent import ServedAgent
from adapters.hosts.terminal.live import Prompter
from adapters.realtime.port import RealtimeLLM
from adapters.seam.driver import Driver
from adapters.seam.ports import FRAME_MS
from adapters.standin.caller import AfterQuiet, Cue, IntoSpeech, Line, ScriptedCaller
from adapters.standin.voice import RATE_HZ, Voice
from adapters.telling.report import Report, report_on
from adapters.telling.trace import Trace, TraceWriter, read_trace
from adapters.tools import Tools
from fsm.call import effects as fx, events as ev
from fsm.call.snapshot import start
from tests.oracles.catalog import Oracle

CHECKOUTS = "CALLFSM_ORACLE_SERVERS"
"""The environment variable that names the folder of checkouts."""
START_S = 90.0
CALL_S = 150.0
SCRIPT: tuple[tuple[str, int, Cue], ...] = (
    ("What are your opening hours?", 560, AfterQuiet(900)),
    ("Sorry, how much is a puncture repair?", 720, IntoSpeech(1_300)),
    ("All right, thank you very much. Goodbye!", 880, AfterQuiet(1_200)),
)
"""What the caller says: words for a stand-in that hears them, and the pitch in Hz of the tone that stands for them where a stub listens."""

PLACE_TAKEN = ("session_limit_reached", "session_lost")
"""What a server with one place may say to a call right after another; not to the first, whose connection was checked (R104)."""


class NoCheckout(RuntimeError):
    """A server's code is not at hand; the message says where it is looked for."""


def checkout_of(name: str) -> Path:
    """Where the code of `owner/name` is. Raises NoCheckout."""
    folder = os.environ.get(CHECKOUTS)
    if not folder:
        raise NoCheckout(f"no checkout of {name}: set {CHECKOUTS} to a folder that holds {name.replace('/', '+')}")
    place = Path(folder) / name.replace("/", "+")
    if not place.is_dir():
        raise NoCheckout(f"no checkout of {name}: {place} is no folder")
    return place.resolve()


@contextmanager
def serving(python: Path, oracle: Oracle, checkout: Path, log: Path) -> Iterator[int]:
    """The server as a process; gives its port on 127.0.0.1. RuntimeError, with its last line, where it does not start."""
    with log.open("w") as errors:
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": errors}
        with tempfile.TemporaryDirectory(prefix="callfsm-server-") as folder:
            command = [python, oracle.script, checkout, folder]
            process = subprocess.Popen(command, text=True, start_new_session=True, **pipes)
            overdue = threading.Timer(START_S, process.kill)
            overdue.start()
            try:
                told = next((line for line in process.stdout if line.startswith("ready ")), "")
                overdue.cancel()
                if not told:
                    last = [line for line in log.read_text().splitlines() if line.strip()][-1:]
                    raise RuntimeError(f"{oracle.server} did not start: {''.join(last)}")
                # What it prints from now on is read away, so that it never waits for us.
                threading.Thread(target=process.stdout.read, daemon=True).start()
                yield int(told.split()[1])
            finally:
                overdue.cancel()
                process.kill()
                process.wait()


@attrs.frozen
class Held:
    """A call that was held."""

    trace: Trace
    report: Report

    def checks(self, known: Collection[str]) -> Iterator[tuple[str, bool, str]]:
        """What must hold of any such call, whether it does, and what was seen; the errors in `known` are no news."""
        steps = list(self.trace.steps())
        told = [effect for _, answer, _ in steps for effect in answer.effects]
        agent = [said.text for said in self.report.said if said.who == "agent"]
        worst = max((one.old_audio_ms or 0.0 for one in self.report.barge_ins), default=math.inf)
        ended = [effect.reason.name for effect in told if isinstance(effect, fx.TellEnded)]
        tools = [effect.name for effect in told if isinstance(effect, fx.RunTool)]
        troubled = [effect.code for effect in told if isinstance(effect, fx.Log) and effect.level is not fx.Level.INFO]
        failed = [event for event, _, _ in steps if isinstance(event, ev.ResponseFailed | ev.SynthesisFailed)]
        yield "the greeting is heard", bool(agent) and not agent[0].startswith("We are open"), str(agent[:1])
        # The frame that the device is being given when the server tells of speech cannot be called back.
        yield "the caller interrupts the answer, and no more than a frame of it is heard after", worst <= FRAME_MS, f"{worst} ms"
        yield "the tool is run once", tools == ["repair_price"], str(tools)
        yield "its answer is heard", any("twelve" in text for text in agent), str(agent)
        yield "the goodbye is heard, and ends the call", ended == ["GOODBYE"], str(ended)
        yield "no answer and no sentence failed", not failed, str(failed[:2])
        yield "nothing is warned of but what is known", set(troubled) <= set(known), str(troubled)


def hold(folder: Path, flags: list[str], *, by_tone: bool) -> Held:
    """Hold one call with what the flags of `callfsm call` name; its files are in `folder`. `by_tone`: is the caller heard by a stub?"""
    parser = argparse.ArgumentParser()
    add_agent(parser, voice="chatterbox")
    agent = chosen(parser.parse_args(flags))
    tools = Tools()

    @tools.tool
    async def repair_price(job: Annotated[str, "what is to be repaired"]) -> str:
        """The price of a repair."""
        return "twelve pounds"

    device = WavDevice(folder / "call.wav", ScriptedCaller(lines(by_tone), noise_dbfs=None if by_tone else -66.0))
    served = ServedAgent(
        policy=agent.policy,
        settings=attrs.evolve(agent.settings, tools=tools.declarations),
        realtime_url=agent.realtime_url or "",
        key=agent.key,
        voice=agent.voice,
        tools=tools,
    )
    began_s = 0.0

    async def main() -> None:
        nonlocal began_s
        ports = served.ports(device)
        llm = next(port for port in ports if isinstance(port, RealtimeLLM))
        if agent.voice.speech is not None:
            await check_chatterbox(agent.voice.speech)
        async with llm.checked():
            chained = agent.chained is not None and await llm.is_chained()
            call = start(agent.chained if chained and agent.chained else agent.policy)
            began_s = anyio.current_time()
            with closing(TraceWriter(folder / "call.trace", call)) as writer, anyio.move_on_after(CALL_S):
                await Driver(call, [device, *ports, Prompter()], [writer]).run()

    anyio.run(main)

    def old_audio(since_ms: float, response_id: str) -> float | None:
        return device.sounded_after(began_s + since_ms / 1000, response_id)

    trace = read_trace(folder / "call.trace")
    return Held(trace, report_on(trace, old_audio))


def lines(by_tone: bool) -> list[Line]:
    """The caller's lines, as speech or as the tone of each."""
    if by_tone:
        return [Line(tone(pitch), text, cue) for text, pitch, cue in SCRIPT]
    return [Line(b"".join(Voice.load().speak(text, pitch=0.8)), text, cue) for text, _, cue in SCRIPT]


def tone(pitch_hz: int) -> bytes:
    """1.5 s of a tone."""
    at_s = np.arange(RATE_HZ * 3 // 2) / RATE_HZ
    return (8_000 * np.sin(2 * np.pi * pitch_hz * at_s)).astype("<i2").tobytes()
