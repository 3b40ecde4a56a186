"""Processes that work for this one: they end with it, however it ends."""

import multiprocessing
import os
import threading

POLITENESS = 5
"""By how much a worker's priority is lower than its parent's: its work is long, and a call that is held meanwhile is not to be late.
More, and it all but stands still on a machine that is busy with anything else."""


def end_with_parent() -> None:
    """In a worker: stand back for others, and end when the process that began it has ended, a killed one too."""
    if hasattr(os, "nice"):
        os.nice(POLITENESS)
    threading.Thread(target=_wait, daemon=True).start()


def stop_workers() -> None:
    """In their parent: end them now, whatever they are at."""
    for worker in multiprocessing.active_children():
        worker.terminate()


def _wait() -> None:
    if (parent := multiprocessing.parent_process()) is not None:
        parent.join()
        os._exit(1)
