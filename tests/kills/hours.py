"""A tool that takes its time, and notes each run in a file: for `--tools`."""

import asyncio
import os
from pathlib import Path

from adapters.tools import Tools

tools = Tools()
TAKES_S = 1.5


@tools.tool
async def opening_hours() -> str:
    """When the shop is open."""
    with Path(os.environ["HOURS_RUN"]).open("a") as file:
        file.write("ran\n")
    await asyncio.sleep(TAKES_S)
    return "nine to five"
