"""A call that a terminal, and perhaps a page, follows to its end, over whatever line; and the folder that it leaves behind."""

from collections.abc import Callable
from pathlib import Path

import anyio
from anyio import to_thread
from rich.console import Console

from adapters.hosts.page.broadcast import Shown, Stage
from adapters.hosts.terminal.show import Show
from adapters.seam.device import Device
from adapters.seam.driver import Driver, Watch
from adapters.seam.ports import Port
from adapters.telling.folder import TRACE, tell
from adapters.telling.spans import Model, joined, spans_of
from adapters.telling.trace import TraceError, Tracing
from fsm.call import effects as fx, events as ev
from fsm.call.snapshot import Call
from fsm.engine.machine import Step


async def follow(
    call: Call,
    device: Device,
    ports: list[Port],
    console: Console,
    folder: Path,
    *,
    model: Model,
    key: str | None,
    stage: Stage | None = None,
    saved: Callable[[Shown], None] | None = None,
) -> fx.TellEnded | None:
    """Hold the call, and write its folder, which is there, however it ends; gives the end that the application was told, if it was.

    `stage` shows it while it goes on; `saved` is told when the folder is whole. A file that cannot be written is a line on the console.
    `key` is shown nowhere.
    """
    began_s = anyio.current_time()
    ends: list[fx.TellEnded] = []

    def old_audio(since_ms: float, response_id: str) -> float | None:
        return device.sounded_after(began_s + since_ms / 1000, response_id)

    def note_end(_: ev.Event, answer: Step[Call]) -> None:
        ends.extend(effect for effect in answer.effects if isinstance(effect, fx.TellEnded))

    def say_so(error: OSError) -> None:
        console.print(f"{folder / TRACE} ends here: {error.strerror}; make room, or give another --out", style="red", markup=False)

    trace = Tracing(folder / TRACE, call, say_so, key)
    shown = Shown(call, lambda: driver.now_ms(), key=key)
    spans = spans_of(call, model)
    watches: list[Watch] = [trace, Show(console, call, old_audio, key), note_end, *([shown] if stage else [])]
    driver = Driver(call, joined(spans, ports, watches), watches)
    if stage is not None:
        stage.show(shown)
        device.onlooker = shown.hear
    try:
        await driver.run()
    finally:
        trace.close()
        shown.end()
        if spans is not None:
            spans.end(ends[0] if ends else None)
        with anyio.CancelScope(shield=True):
            try:
                await to_thread.run_sync(tell, folder, old_audio)
            except (OSError, TraceError) as error:
                console.print(f"no picture, no page and no summary: {error}", style="red", markup=False, soft_wrap=True)
            else:
                if saved is not None:
                    saved(shown)
    return ends[0] if ends else None
