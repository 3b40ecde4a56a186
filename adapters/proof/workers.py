"""Processes that work for this one: they end with it, however it ends."""

import multiprocessing
import os
import threading


def end_with_parent() -> None:
    """In a worker: end when the process that began it has ended, a killed one too."""
    threading.Thread(target=_wait, daemon=True).start()


def stop_workers() -> None:
    """In their parent: end them now, whatever they are at."""
    for worker in multiprocessing.active_children():
        worker.terminate()


def _wait() -> None:
    if (parent := multiprocessing.parent_process()) is not None:
        parent.join()
        os._exit(1)
