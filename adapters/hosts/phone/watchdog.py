"""Who looks on at the event loop: how late it is, and who blocks it (R105)."""

import logging
import sys
import threading
import traceback
from time import monotonic

import anyio

from adapters.hosts.phone.log import places, tell
from adapters.hosts.phone.metrics import Metrics

LAG_S = 0.1
"""How often the event loop is looked at."""
BLOCKED_S = 0.25
"""A loop that stands longer than this is logged, with the place at which it stands."""


class Watchdog:
    """The loop beats, and a thread looks whether it does."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._beat_s = monotonic()
        self._loop = threading.get_ident()
        self._over = threading.Event()

    async def beat(self) -> None:
        """Look on until cancelled: a server that is asked too much of is late with everything."""
        threading.Thread(target=self._look, name="watchdog", daemon=True).start()
        try:
            while True:
                due_s = anyio.current_time() + LAG_S
                await anyio.sleep_until(due_s)
                self._beat_s = monotonic()
                self._metrics.lag.observe(max(0.0, anyio.current_time() - due_s))
        finally:
            self._over.set()

    def _look(self) -> None:
        told_s, looked_s = 0.0, monotonic()
        while not self._over.wait(LAG_S / 2):
            before_s, looked_s = looked_s, monotonic()
            beat_s = self._beat_s
            # A machine that slept, or has no time for this thread either, says nothing about the loop.
            if looked_s - before_s < BLOCKED_S and looked_s - beat_s > LAG_S + BLOCKED_S and told_s != beat_s:
                told_s = beat_s
                frame = sys._current_frames().get(self._loop)
                tell(logging.ERROR, "loop_blocked", where=places(traceback.extract_stack(frame)) if frame else [])
