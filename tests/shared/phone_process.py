"""`callfsm serve` as a process, for tests that end it, freeze it or attack it; no claim is here."""

import subprocess
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from typing import Any

from anyio import CancelScope, to_thread

from tests.shared.shell import PATIENCE_S, begin_callfsm

Served = tuple["subprocess.Popen[str]", dict[str, str], list[str]]
ANY_PORTS = ("--port", 0, "--metrics-port", 0)


@asynccontextmanager
async def server(*arguments: object, **how: Any) -> AsyncIterator[Served]:
    """`callfsm serve` as a process: what it announced, and its log as it comes; nobody on the event loop waits for it."""
    opened = _server(*arguments, **how)
    served = await to_thread.run_sync(opened.__enter__)
    try:
        yield served
    finally:
        with CancelScope(shield=True):
            await to_thread.run_sync(partial(opened.__exit__, None, None, None))


@contextmanager
def _server(*arguments: object, patience_s: float = PATIENCE_S, **variables: str) -> Iterator[Served]:
    process = begin_callfsm("serve", *ANY_PORTS, *arguments, **variables)
    log: list[str] = []
    reader = threading.Thread(target=log.extend, args=(process.stderr,))
    reader.start()
    guard = threading.Timer(patience_s, process.kill)
    guard.start()
    try:
        told = {}
        for line in process.stdout:
            name, _, rest = line.strip().partition(" ")
            told[name] = rest
            if name == "ready":
                break
        yield process, told, log
    finally:
        guard.cancel()
        if process.poll() is None:
            process.kill()
        process.wait()
        reader.join()
        process.stdout.close()
        process.stderr.close()
