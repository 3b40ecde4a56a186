"""Processes that announce themselves in their first lines, as the servers and clients that the benchmark begins do."""

import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from subprocess import PIPE
from typing import Any

import anyio
import attrs
from anyio.abc import Process
from anyio.streams.buffered import BufferedByteReceiveStream

START_S = 30.0


@attrs.frozen
class Begun:
    """A process that is ready: what it announced, and what it says from now on."""

    process: Process
    told: dict[str, str]
    lines: BufferedByteReceiveStream

    @property
    def url(self) -> str:
        """Where it serves."""
        return self.told["ready"]


@asynccontextmanager
async def begun(*arguments: object, environment: Mapping[str, str] | None = None, errors: Any = None) -> AsyncIterator[Begun]:
    """Python with these arguments, once it is `ready`; at the end of the block its input is closed, and it is killed."""
    command = [sys.executable, *map(str, arguments)]
    async with await anyio.open_process(command, stdin=PIPE, stdout=PIPE, stderr=errors, env=environment) as process:
        lines, told = BufferedByteReceiveStream(process.stdout), dict[str, str]()
        try:
            with anyio.fail_after(START_S):
                while "ready" not in told:
                    name, _, rest = (await lines.receive_until(b"\n", 1_000)).decode().partition(" ")
                    told[name] = rest
            yield Begun(process, told, lines)
        finally:
            with suppress(ProcessLookupError):
                process.kill()
