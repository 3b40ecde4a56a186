"""Tools that misbehave, each in a way of its own: a file for `--tools`, of calls that are to be held all the same (R105)."""

import asyncio
import contextlib
import os
import threading
import time
from pathlib import Path
from typing import Any

from adapters.tools import Tools

tools = Tools()
BACK_S = float(os.environ.get("MISBEHAVES_S", "5"))
"""How long those misbehave that come back at all."""


@tools.tool
async def deaf() -> str:
    """Hears no cancellation."""
    until_s = time.monotonic() + BACK_S
    while time.monotonic() < until_s:
        with contextlib.suppress(BaseException):
            await asyncio.sleep(0.1)
    return ""


@tools.tool
async def standing() -> str:
    """Blocks the event loop."""
    time.sleep(BACK_S)
    return ""


@tools.tool
def blocking() -> str:
    """Blocks its thread."""
    time.sleep(BACK_S)
    return ""


def raising(kind: type[BaseException]) -> None:
    """Two tools that raise this: one in a thread, one on the event loop."""

    def plain() -> str:
        raise kind()

    async def waiting() -> str:
        await asyncio.sleep(0)
        raise kind()

    for tool in (plain, waiting):
        tool.__name__, tool.__doc__ = f"{tool.__name__}_{kind.__name__}", "Raises."
        tools.tool(tool)


class Unnamed(BaseException):
    """Has no words."""

    def __str__(self) -> str:
        raise ValueError("no words")

    __repr__ = __str__


for kind in (SystemExit, KeyboardInterrupt, GeneratorExit, asyncio.CancelledError, BaseException, RecursionError, MemoryError, Unnamed):
    raising(kind)


def giving(name: str, value: Any) -> None:
    """A tool that returns this."""

    def tool() -> Any:
        return value

    tool.__name__, tool.__doc__ = name, "Gives."
    tools.tool(tool)


round = []
round.append(round)
deep = []
for _ in range(20_000):
    deep = [deep]
giving("half", "\ud800")
giving("huge", "x" * 5_000_000)
giving("number", float("nan"))
giving("digits", 10**6_000)
giving("octets", b"\xff\x00")
giving("round", round)
giving("deep", deep)
giving("keys", {None: 1, (1, 2): {3}, "\udfff": object()})
giving("unnamed", Unnamed())


@tools.tool
def printing() -> str:
    """Speaks to a file that is closed."""
    with Path(os.devnull).open("w") as closed:
        pass
    print("never", file=closed)
    return ""


@tools.tool
async def cancelling() -> str:
    """Cancels itself."""
    asyncio.current_task().cancel()
    await asyncio.sleep(1)
    return ""


@tools.tool
async def leaving_a_task() -> str:
    """Leaves a task behind, which fails."""

    async def failing() -> None:
        raise SystemError("left behind")

    leaving_a_task.task = asyncio.create_task(failing())
    return ""


@tools.tool
async def leaving_an_end() -> str:
    """Leaves a task behind, which ends the program."""

    async def ending() -> None:
        raise SystemExit(3)

    leaving_an_end.task = asyncio.create_task(ending())
    return ""


@tools.tool
async def leaving_an_interrupt() -> str:
    """Leaves a callback behind, which ends the program as Ctrl-C does."""

    def interrupting() -> None:
        raise KeyboardInterrupt

    asyncio.get_running_loop().call_soon(interrupting)
    return ""


@tools.tool
def leaving_a_thread() -> str:
    """Leaves a thread behind, which fails."""
    threading.Thread(target=lambda: 1 / 0, daemon=True).start()
    return ""


class Mine(dict):
    """Ends the program when it is looked at."""

    def items(self):
        raise SystemExit(3)


class Words(str):
    """Likewise."""

    def encode(self, *_):
        raise SystemExit(3)

    __len__ = __getitem__ = __iter__ = encode


giving("mine", Mine(a=1))
giving("words", Words("a"))


@tools.tool
async def own() -> str:
    """As it is, on the event loop."""
    return Mine(a=1)
