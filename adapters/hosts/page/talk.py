"""The one call that a page talks in: its ports joined, those who watch told, and the folder that it leaves behind."""

import os
import time
from pathlib import Path

import attrs
from rich.console import Console

from adapters.browser.line import BrowserLine, Channel
from adapters.hosts.page.broadcast import Shown, Stage
from adapters.hosts.phone.agent import ServedAgent
from adapters.hosts.terminal.follow import follow
from adapters.hosts.terminal.live import Prompter
from adapters.seam.files import private_folder
from adapters.seam.ports import Port
from fsm.call.snapshot import start


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
        call, line = start(self.agent.policy, f"call-{folder.name}"), BrowserLine(channel, folder / "call.wav")
        ports: list[Port] = [line, Prompter(), *self.agent.ports(line)]

        def saved(shown: Shown) -> None:
            self.last = folder
            shown.save(str(folder))
            self.console.print(f"{folder}: {', '.join(sorted(file.name for file in folder.iterdir()))}")

        ended = await follow(
            call, line, ports, self.console, folder, model=self.agent.model, key=self.agent.key, stage=self.stage, saved=saved
        )
        return ended.reason.value if ended else "the call is over"
