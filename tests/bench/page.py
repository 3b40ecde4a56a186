"""A call beside its page, at a hundred events a second: what the page costs it, and how soon a key is seen; nothing is printed here.

The page is a Chromium's, a process of its own. The call is driven by its own driver over a port that posts on time and notes how long each
post took, its effects included, and how late the event loop let it begin.
"""

import itertools
import tempfile
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path

import anyio
import attrs
import numpy as np
from anyio import to_thread
from rich.table import Table

from adapters.hosts.page.broadcast import Shown, Stage
from adapters.hosts.page.server import PageServer, served
from adapters.seam.driver import Driver
from adapters.seam.ports import Post
from fsm.call import events as ev
from fsm.call.effects import Effect
from fsm.call.policy import Policy
from fsm.call.snapshot import start
from tests.shared.browser import Tab, chromium

RATE_HZ = 100
SECONDS = 12.0
KEYS = 60
POLICY = Policy(voice="realtime", greeting=False, calibration_ms=0)
NOTE = """(() => {
  globalThis.seen = [];
  const channel = new MessageChannel(), waiting = [];
  channel.port1.onmessage = () => seen.push(performance.now() - waiting.shift());
  const note = (at) => { waiting.push(at); channel.port2.postMessage(0); };
  addEventListener("keydown", ({ timeStamp }) => requestAnimationFrame(() => note(timeStamp)), true);
})()"""
"""From the key to behind the frame in which it is drawn."""

Say = Callable[[str], None]


@attrs.frozen
class Figures:
    """Milliseconds: of each post and of how late it began, p50, p95 and worst; of each key, p50, p95 and worst."""

    posts: tuple[float, float, float]
    late: tuple[float, float, float]
    keys: tuple[float, float, float] | None = None


@attrs.define(eq=False)
class Busy:
    """A port that posts a turn and an interrupted answer again and again, RATE_HZ events a second."""

    posts: list[float] = attrs.Factory(list)
    late: list[float] = attrs.Factory(list)
    performs: tuple[type[Effect], ...] = ()

    async def run(self, post: Post) -> None:
        """Post for SECONDS."""
        for event in (ev.LineOpened, ev.SessionOpened, ev.SessionConfirmed, ev.VadCalibrated):
            post(event)
        due_s = anyio.current_time()
        until_s = due_s + SECONDS
        for number in itertools.count():
            name = f"r{number}"
            for event in (
                partial(ev.SpeechStarted, item_id=name),
                partial(ev.SpeechStopped, item_id=name),
                partial(ev.TurnCommitted, item_id=name),
                partial(ev.ResponseCreated, response_id=name),
                partial(ev.AudioArrived, response_id=name, item_id=name),
                *(partial(ev.PlayoutProgressed, response_id=name, played_ms=100.0 * part) for part in range(12)),
                partial(ev.ResponseCompleted, response_id=name),
                partial(ev.PlayoutFinished, response_id=name, played_ms=1_200.0),
            ):
                due_s += 1 / RATE_HZ
                await anyio.sleep_until(due_s)
                began_s = anyio.current_time()
                self.late.append((began_s - due_s) * 1000)
                began = time.perf_counter()
                post(event)
                self.posts.append((time.perf_counter() - began) * 1000)
            if anyio.current_time() > until_s:
                post(ev.CallerHungUp)
                return

    def do(self, effect: Effect) -> None:
        """Nothing."""


async def measure_page(say: Say) -> tuple[Figures, Figures]:
    """The call alone, and beside a page that is watched and whose keys are pressed."""
    say(f"a call of {RATE_HZ} events a second, alone …")
    alone = Busy()
    await Driver(start(POLICY), [alone]).run()
    say("… and watched")
    watched, keys = Busy(), list[float]()
    async with AsyncExitStack() as stack:
        stage = Stage(start(POLICY))
        url = await stack.enter_async_context(served(PageServer(source=stage), 0))
        shown = Shown(start(POLICY), lambda: driver.now_ms())
        driver = Driver(start(POLICY), [watched], [shown])
        stage.show(shown)
        async with anyio.create_task_group() as group:
            pressed = anyio.Event()

            async def press() -> None:
                keys.extend(await to_thread.run_sync(_press, url))
                pressed.set()

            group.start_soon(press)
            await driver.run()
            await pressed.wait()
    return Figures(_shares(alone.posts), _shares(alone.late)), Figures(_shares(watched.posts), _shares(watched.late), _shares(keys))


def _press(url: str) -> list[float]:
    """Press keys on the page; gives how long each took to be seen."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder, chromium(Path(folder)) as browser:
        tab: Tab = browser.tab()
        tab.open(url)
        tab.wait("globalThis.page?.model.steps.length > 200")
        tab.run(NOTE)
        for number in range(KEYS):
            tab.press("ArrowLeft" if number % 3 else "End")
            time.sleep(0.1)
        tab.wait(f"seen.length >= {KEYS}")
        found: list[float] = tab.run("seen")
        return found


def _shares(times: list[float]) -> tuple[float, float, float]:
    p50, p95 = (float(np.percentile(times, share)) for share in (50, 95))
    return p50, p95, max(times)


def page_table(alone: Figures, watched: Figures) -> Table:
    """The figures as a table."""
    table = Table(f"a call of {RATE_HZ} events a second, ms", "p50", "p95", "worst", "ratio of p50", title="The page")
    rows = (
        ("an event and its effects, without a page", alone.posts, None),
        ("the same, watched in a browser", watched.posts, alone.posts),
        ("how late the event loop is, without a page", alone.late, None),
        ("the same, watched in a browser", watched.late, alone.late),
        ("from a key on that page to the frame that shows it", watched.keys, None),
    )
    for words, figures, beside in rows:
        if figures is not None:
            table.add_row(words, *(f"{value:.2f}" for value in figures), f"{figures[0] / beside[0]:.2f}" if beside else "")
    return table
