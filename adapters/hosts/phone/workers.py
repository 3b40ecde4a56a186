"""Several processes that serve one address: each a `callfsm serve`, over one listening socket and one NATS; one that dies is replaced.

The parent holds no call. It reads what each worker announces, passes on the signals that end it, and starts anew what ended by itself. The
first is begun alone: what it refuses they would all refuse, for ever.
"""

import logging
import os
import signal
import sys
from collections.abc import Callable, Sequence
from subprocess import PIPE

import anyio
from anyio.abc import Process
from anyio.streams.buffered import BufferedByteReceiveStream

from adapters.hosts.phone.log import tell

AGAIN_S = 0.5
"""How long after the end of a worker another is begun."""
LONGEST_LINE = 4_096
REFUSED = 2
"""The exit code of a worker that cannot serve and has said why."""

Announce = Callable[[int, str], None]
"""Told of each line that a worker announces: which worker, and the line."""


class Workers:
    """The workers of one server, for as long as `run` lasts."""

    def __init__(self, command: Callable[[int], Sequence[str]], count: int, listener_fd: int, announce: Announce) -> None:
        """`command` gives the arguments of `callfsm` for a worker, by its number from 0."""
        self._command, self._count, self._fd, self._announce = command, count, listener_fd, announce
        self._processes: dict[int, Process] = {}
        self._ending = False
        self._tried = anyio.Event()
        self._code = 0

    @property
    def pids(self) -> list[int]:
        """The processes that run now."""
        return [process.pid for process in self._processes.values()]

    async def run(self) -> int:
        """Run them until all have ended that were told to; 0, or REFUSED where the first could not serve."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._keep, 0)
            await self._tried.wait()
            for number in range(1, self._count):
                tasks.start_soon(self._keep, number)
        return self._code

    def end(self, number: int = signal.SIGTERM) -> None:
        """Pass a signal on, and begin no further worker."""
        self._ending = True
        for process in self._processes.values():
            if process.returncode is None:
                os.kill(process.pid, number)

    async def _keep(self, number: int) -> None:
        while not self._ending:
            command = [sys.executable, "-P", "-m", "adapters.cli", "serve", *self._command(number)]
            # A worker ends with us: its standard input does.
            process = await anyio.open_process(command, stdin=PIPE, stdout=PIPE, stderr=None, pass_fds=[self._fd], start_new_session=True)
            self._processes[number] = process
            if self._ending:
                os.kill(process.pid, signal.SIGTERM)
            await self._listen(number, process)
            code = await process.wait()
            await process.aclose()
            if code == REFUSED and not self._tried.is_set() and not self._ending:
                self._code, self._ending = code, True
            if not self._ending:
                tell(logging.ERROR, "worker_ended", worker=number, code=code)
                await anyio.sleep(AGAIN_S)
        self._tried.set()

    async def _listen(self, number: int, process: Process) -> None:
        assert process.stdout is not None
        lines = BufferedByteReceiveStream(process.stdout)
        while True:
            try:
                line = await lines.receive_until(b"\n", LONGEST_LINE)
            except (anyio.IncompleteRead, anyio.EndOfStream, anyio.DelimiterNotFound):
                return
            if line.startswith(b"ready "):
                self._tried.set()
            self._announce(number, line.decode(errors="replace"))
