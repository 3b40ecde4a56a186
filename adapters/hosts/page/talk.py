"""The one call that a page talks in: its ports joined, those who watch told, and the folder that it leaves behind."""

import os
import time
from pathlib import Path

import anyio
import attrs
from anyio import to_thread
from rich.console import Console

from adapters.browser.line import BrowserLine, Channel
from adapters.hosts.page.broadcast import Shown, Stage
from adapters.hosts.phone.agent import ServedAgent
from adapters.hosts.terminal.live import Prompter
from adapters.hosts.terminal.show import Show
from adapters.seam.driver import Driver, Watch
from adapters.seam.files import private_folder
from adapters.telling.folder import tell
from adapters.telling.report import OldAudio
from adapters.telling.spans import joined, spans_of
from adapters.telling.trace import TraceError, Tracing
from fsm.call import effects as fx, events as ev
from fsm.call.snapshot import Call, start
from fsm.engine.machine import Step


class Busy(Exception):
    """Another page talks; its text is what this one is told."""


@attrs.define(kw_only=True, eq=False)
class Talk:
    """Holds one call at a time, with `agent`; each leaves a folder of its own in `out`."""

    agent: ServedAgent
    out: Path
    console: Console
    stage: Stage = attrs.field(init=False)
    """Where its call is shown."""
    last: Path | None = attrs.field(default=None, init=False)
    """The folder of the last call, once all is written."""
    _busy: bool = attrs.field(default=False, init=False)
    _calls: int = attrs.field(default=0, init=False)

    def __attrs_post_init__(self) -> None:
        self.stage = Stage(start(self.agent.policy, "no call yet"))

    @property
    def busy(self) -> bool:
        """Does a call go on?"""
        return self._busy

    async def hold(self, channel: Channel) -> str:
        """Hold a call to its end; gives why it ended, in words. Raises Busy while another goes on, and OSError for its folder."""
        if self._busy:
            raise Busy("another tab talks; close it, or wait until its call is over")
        self._busy = True
        try:
            return await self._hold(channel, self._folder())
        finally:
            self._busy = False

    def _folder(self) -> Path:
        self._calls += 1
        folder = self.out / f"{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}-{self._calls}"
        private_folder(folder)
        return folder

    async def _hold(self, channel: Channel, folder: Path) -> str:
        call, key = start(self.agent.policy, f"call-{folder.name}"), self.agent.key
        began_s = anyio.current_time()
        ends: list[fx.TellEnded] = []

        def old_audio(since_ms: float, response_id: str) -> float | None:
            return line.sounded_after(began_s + since_ms / 1000, response_id)

        def note_end(_: ev.Event, answer: Step[Call]) -> None:
            ends.extend(effect for effect in answer.effects if isinstance(effect, fx.TellEnded))

        def say_so(error: OSError) -> None:
            self.console.print(f"{folder / 'call.trace'} ends here: {error.strerror}; make room", style="red")

        line = BrowserLine(channel, folder / "call.wav")
        trace = Tracing(folder / "call.trace", call, say_so, key)
        shown = Shown(call, lambda: driver.now_ms(), key=key)
        watches: list[Watch] = [trace, Show(self.console, call, old_audio, key), note_end, shown]
        spans = spans_of(call, self.agent.model)
        driver = Driver(call, joined(spans, [line, Prompter(), *self.agent.ports(line)], watches), watches)
        self.stage.show(shown)
        line.onlooker = shown.hear
        try:
            await driver.run()
        finally:
            trace.close()
            shown.end()
            if spans is not None:
                spans.end(ends[0] if ends else None)
            with anyio.CancelScope(shield=True):
                await self._tell(folder, old_audio, shown)
        return ends[0].reason.value if ends else "the call is over"

    async def _tell(self, folder: Path, old_audio: OldAudio, shown: Shown) -> None:
        try:
            await to_thread.run_sync(tell, folder, old_audio)
        except (OSError, TraceError) as error:
            self.console.print(f"no picture, no page and no summary: {error}", style="red")
            return
        self.last = folder
        shown.save(str(folder))
        self.console.print(f"{folder}: {', '.join(sorted(file.name for file in folder.iterdir()))}")
