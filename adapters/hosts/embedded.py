"""The stand-in servers as processes of their own on loopback: started for one call, gone with it."""

import re
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from subprocess import PIPE
from tempfile import TemporaryFile
from typing import IO

import anyio
import attrs
from anyio.abc import ByteSendStream
from anyio.streams.buffered import BufferedByteReceiveStream

READY = re.compile(rb"ready (\S+)")
START_S = 60.0
"""How long a stand-in may take to load its voice on a slow machine."""
STOP_S = 0.4
"""How long one may take to end by itself, which has nothing to save: a process that ends waits no longer than `ending.LAST_S` for it."""


class StandInError(RuntimeError):
    """A stand-in that did not start; the message says which, and what it said."""


@attrs.frozen
class StandIn:
    """A stand-in that runs: its URL, and what it is told."""

    url: str
    _told: ByteSendStream

    async def order(self, script: str) -> None:
        """Have the faults of a script, a line of TOML, begin now. Raises StandInError where it is gone."""
        try:
            await self._told.send(f"{script}\n".encode())
        except (anyio.BrokenResourceError, anyio.ClosedResourceError):
            raise StandInError("the stand-in is gone") from None


@asynccontextmanager
async def stand_in(*arguments: str) -> AsyncIterator[StandIn]:
    """Run `callfsm stand-in ARGUMENTS --port 0` until the block ends."""
    command = [sys.executable, "-P", "-m", "adapters.cli", "stand-in", *arguments, "--port", "0", "--with-parent"]
    # its complaints go into a file: a pipe that nobody reads would stop it when it is full
    with TemporaryFile() as complaints:
        process = await anyio.open_process(command, stdin=PIPE, stdout=PIPE, stderr=complaints, start_new_session=True)
        try:
            assert process.stdin is not None
            yield StandIn(await _announced(process, arguments[0], complaints), process.stdin)
        finally:
            with anyio.CancelScope(shield=True):
                await _stop(process)


async def _announced(process: anyio.abc.Process, name: str, complaints: IO[bytes]) -> str:
    assert process.stdout is not None
    try:
        with anyio.fail_after(START_S):
            line = await BufferedByteReceiveStream(process.stdout).receive_until(b"\n", 1_000)
    except anyio.IncompleteRead:
        complaints.seek(0)
        words = complaints.read().decode(errors="replace").strip()
        raise StandInError(f"the stand-in {name} server did not start: {words}") from None
    except TimeoutError:
        raise StandInError(f"the stand-in {name} server was not ready within {START_S:g} s; try again on a less busy machine") from None
    found = READY.match(line)
    if found is None:
        raise StandInError(f"the stand-in {name} server said {line!r} instead of its URL")
    return found[1].decode()


async def _stop(process: anyio.abc.Process) -> None:
    if process.returncode is None:
        process.terminate()
    with anyio.move_on_after(STOP_S):
        await process.wait()
    if process.returncode is None:
        process.kill()
    await process.aclose()
