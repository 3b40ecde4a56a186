"""A stand-in call from the command line, put together: the caller, Twilio's side, its REST API, and what the call leaves behind."""

from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import anyio
import attrs
from anyio import to_thread

from adapters.audio.wav_file import read_caller
from adapters.seam import mulaw
from adapters.seam.files import private_file, write_private
from adapters.seam.ports import Caller
from adapters.standin.caller import At, Line, ScriptedCaller
from adapters.standin.demo import demo_caller
from adapters.standin.twilio.call import Call, CallFailed
from adapters.standin.twilio.http import Application
from adapters.standin.twilio.lacks import made_ids
from adapters.standin.twilio.rest import Calls, serve_rest
from adapters.standin.twilio.stream import Conditions, Hung, Stream
from adapters.twilio.narrowband import Downsampler

SOUND, SUMMARY = "dial.wav", "dial.txt"
"""What a call leaves in its folder."""


@attrs.frozen(kw_only=True)
class Dialling:
    """What call to place; a caller of None is the demonstration's, who speaks to an agent with `voice`. The token is shown nowhere."""

    url: str
    caller: Path | None = None
    voice: str = "realtime"
    conditions: Conditions = attrs.field(factory=Conditions)
    parameters: dict[str, str] = attrs.field(factory=dict, repr=False)
    token: str | None = attrs.field(default=None, repr=False)
    account: str | None = None
    called: str | None = None
    status_callback: str = ""
    rest_port: int | None = None
    out: Path | None = None


class Telephone:
    """A caller of 24 kHz, as the telephone network carries them: in mu-law, 20 ms at a time."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller
        self._down = Downsampler()

    @property
    def finished(self) -> bool:
        """Does the caller hang up now?"""
        return self._caller.finished

    def next_frame(self, agent_audible: bool) -> bytes:
        """The next 160 octets."""
        return mulaw.encode(self._down.feed(self._caller.next_frame(agent_audible)))


Signalled = Callable[[], Awaitable[None]]
"""Waits for the first signal that is to end us."""


async def dial(plan: Dialling, console: Any, first_signal: Signalled) -> bool:
    """Place the call, and tell of it; True when it was held and broke no rule. `first_signal` hangs up.

    Raises ValueError for a WAV file that is none, CallFailed when there was no call, OSError for a port that is taken or files
    that cannot be written.
    """

    def say(words: str) -> None:
        console.print(words)

    with console.status("preparing the caller's voice …"):
        caller = await to_thread.run_sync(_caller, plan)
    ids = made_ids(plan.conditions.without, plan.account)
    application = Application(ids, token=plan.token, **({"called": plan.called} if plan.called else {}))
    call = Call(application, Telephone(caller), plan.conditions, say, plan.status_callback)
    async with AsyncExitStack() as stack:
        if plan.rest_port is not None:
            root = await stack.enter_async_context(serve_rest(Calls(ids, plan.token, call.end, call.send_to), plan.rest_port))
            say(f"the REST API is at {root}")
        await _hold(call, plan, first_signal)
    if call.stream is not None:
        for line in summary(call.stream):
            say(line)
        if plan.out is not None:
            await to_thread.run_sync(_write, call.stream, plan.out)
            say(f"{plan.out}: {SUMMARY}, {SOUND}")
    return not call.rejected and call.hung in (Hung.CALLER, Hung.API, Hung.APPLICATION)


def summary(stream: Stream) -> list[str]:
    """What happened on the line, in words."""
    counts, buffer, gaps = stream.counts, stream.buffer, stream.ears.gaps_ms()
    sent, lost = counts["frames of the caller"], counts["frames of the caller lost"] + counts["frames lost to the caller"]
    lines = [
        f"the end      {stream.ended}",
        f"length       {stream.ears.now_ms / 1000:.2f} s, {sent} frames of the caller sent, {lost} frames lost",
        f"the agent    {counts['frames of the agent']} frames received, {buffer.played} played, {buffer.dropped} cleared,"
        f" {buffer.held_ms // 20} left; at most {buffer.most_ms} ms held",
        f"marks        {counts['marks']} received, {counts['marks returned']} returned, {counts['marks returned by a clear']} by a clear",
        f"gaps         {len(gaps)}, {sum(gaps)} ms in all",
    ]
    for one in stream.ears.barge_ins():
        clear = "no clear" if one.clear_ms is None else f"clear after {one.clear_ms} ms"
        silent = "spoken to the end" if one.silent_ms is None else f"silent after {one.silent_ms} ms"
        lines.append(f"interrupted  at {one.at_ms / 1000:.2f} s: {clear}, {silent}")
    return lines


async def _hold(call: Call, plan: Dialling, first_signal: Signalled) -> None:
    """Hold the call; a signal hangs up, or ends the dialling."""
    failed: list[CallFailed] = []
    async with anyio.create_task_group() as tasks:

        async def hang_up() -> None:
            await first_signal()
            if call.stream is None:
                tasks.cancel_scope.cancel()
            else:
                call.end(Hung.CALLER)

        tasks.start_soon(hang_up)
        try:
            await call.dial(plan.url, plan.parameters)
        except CallFailed as failure:
            failed.append(failure)
        tasks.cancel_scope.cancel()
    if failed:
        raise failed[0]


def _caller(plan: Dialling) -> Caller:
    """Whoever speaks; takes about a second of processor time for the demonstration's."""
    if plan.caller is None:
        return demo_caller(plan.voice)
    return ScriptedCaller([Line(read_caller(plan.caller), plan.caller.name, At(0))], noise_dbfs=None)


def _write(stream: Stream, out: Path) -> None:
    with private_file(out / SOUND) as file:
        stream.ears.write(file)
    write_private(out / SUMMARY, "".join(f"{line}\n" for line in summary(stream)))
