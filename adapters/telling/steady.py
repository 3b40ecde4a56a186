"""A text stream that cannot hold anybody up: its writes neither wait nor fail, whatever is behind it (R105)."""

import io
import os
import threading
from collections import deque
from collections.abc import Callable
from typing import TextIO

MOST_CHARS = 1_000_000
"""How much waits for a reader who does not read; what comes then is dropped."""
DRAIN_S = 0.5


class Steady(io.TextIOBase):
    """Writes what it is given in a thread of its own; a pipe that is closed, a disk that is full, or a reader who sleeps loses it alone."""

    def __init__(self, stream: TextIO, failed: Callable[[str], None]) -> None:
        """`failed` is told once, in that thread, in the system's words, that the stream takes no more."""
        self._stream, self._failed = stream, failed
        self._texts: deque[str] = deque()
        self._chars = 0
        self._broken = self._closing = False
        self._news = threading.Condition()
        self._thread = threading.Thread(target=self._write_all, name="steady", daemon=True)
        self._thread.start()

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """That of the stream."""
        return self._stream.encoding or "utf-8"

    def isatty(self) -> bool:
        """Is it a terminal?"""
        return self._stream.isatty()

    def fileno(self) -> int:
        """The stream's descriptor. Raises OSError where it has none."""
        return self._stream.fileno()

    def writable(self) -> bool:
        """Yes."""
        return True

    def write(self, text: str) -> int:
        """Have it written soon."""
        with self._news:
            if not self._broken and self._chars + len(text) <= MOST_CHARS:
                self._texts.append(text)
                self._chars += len(text)
                self._news.notify()
        return len(text)

    def drain(self, within_s: float = DRAIN_S) -> None:
        """No more will come: wait until all is written, or not longer."""
        with self._news:
            self._closing = True
            self._news.notify()
        self._thread.join(within_s)

    def _write_all(self) -> None:
        while True:
            with self._news:
                while not self._texts and not self._closing:
                    self._news.wait()
                text = "".join(self._texts)
                self._texts.clear()
                self._chars = 0
                if not text:
                    return
            try:
                self._put(text.encode(self.encoding, "backslashreplace"))
            except (OSError, ValueError) as error:
                self._broken = True
                self._failed(getattr(error, "strerror", None) or str(error))
                return

    def _put(self, octets: bytes) -> None:
        try:
            number = self._stream.fileno()
        except OSError:
            self._stream.write(octets.decode(self.encoding))
            return
        # Past Python's own buffer: its lock would be held by a write that never ends, and its rest be written at the very end.
        while octets:
            octets = octets[os.write(number, octets) :]
