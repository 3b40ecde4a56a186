"""The thread that keeps one PortAudio stream: opens it, cuts it off when told, reopens it when it is lost, closes it.

What a device must be told may block, so the event loop never tells it; it puts an order into a queue.
"""

import queue
import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from enum import Enum
from typing import Any, Protocol

import anyio
from anyio import to_thread

from adapters.sound.library import Endpoint, SoundLost, load, quietly

LATENCY_S = 0.04
"""What a device is asked to hold: enough for a busy interpreter. An interruption does not wait for it, as it is dropped."""
LATENCY_MOST_S = 0.16
"""What it may hold at most, after it ran dry too often."""
START_S = 3.0
"""How long a device may take to begin: those without a wire wake slowly."""
STALL_S = 1.0
"""A stream that has not called back for this long is lost."""
REOPEN_S = 3.0
"""How long a lost stream is tried anew: a caller does not wait longer in silence."""
RETRY_S = 0.1
STORM_XRUNS, STORM_S = 20, 2.0
"""So many under- or overflows in so long are a storm: the stream is reopened, with more in hand. A tenth of the blocks."""
REOPENS, REOPENS_S = 3, 60.0
"""A stream that is lost more often than this in a minute is given up."""
CLOSE_S = 2.0
"""How long closing may take; a driver that hangs is left behind."""

Ring = Callable[[], None]


class _Order(Enum):
    CUT = "cut"
    CLOSE = "close"


class Stream(Protocol):
    """What of a PortAudio stream is used."""

    @property
    def active(self) -> bool:
        """Does it call back?"""

    def start(self) -> None:
        """Begin to call back."""

    def abort(self) -> None:
        """Drop what it holds, and stop."""

    def close(self) -> None:
        """Free it."""


class Keeper:
    """The thread of one stream: opens it, cuts it off when told, reopens it when it is lost, closes it; `run` ends with the reason."""

    def __init__(self, endpoint: Endpoint, make: Callable[[float], Stream], on_silence: Callable[[float], None]) -> None:
        self.counts: Counter[str] = Counter()
        self.beat_s = 0.0
        """When the stream last called back."""
        self.xruns: deque[float] = deque(maxlen=STORM_XRUNS)
        self.is_open = False
        self._endpoint = endpoint
        self._make = make
        self._on_silence = on_silence
        self._orders: queue.SimpleQueue[_Order] = queue.SimpleQueue()
        self._latency_s = LATENCY_S
        self._lost: deque[float] = deque(maxlen=REOPENS)
        self._fault = ""
        self._ring: Ring = nobody

    async def run(self, ring: Ring) -> None:
        """Keep the stream until cancelled; raises SoundLost."""
        self._ring = ring
        ended = threading.Event()
        thread = threading.Thread(target=self._serve, args=(ended,), name=f"callfsm {self._endpoint.kind}", daemon=True)
        thread.start()
        try:
            await to_thread.run_sync(ended.wait, abandon_on_cancel=True)
        finally:
            self._orders.put(_Order.CLOSE)
            with anyio.CancelScope(shield=True):
                await to_thread.run_sync(thread.join, CLOSE_S)
        raise SoundLost(self._fault)

    def cut(self) -> None:
        """Have the stream drop what it holds."""
        self._orders.put(_Order.CUT)

    def note(self, status: Any) -> None:
        """Count what PortAudio says went wrong, in its callback; and that it calls."""
        self.beat_s = time.monotonic()
        if status:
            for name in ("input_underflow", "input_overflow", "output_underflow", "output_overflow"):
                if getattr(status, name):
                    self.counts[name] += 1
            self.xruns.append(self.beat_s)

    def _serve(self, ended: threading.Event) -> None:
        """The thread."""
        try:
            stream = self._opened()
            while stream is not None:
                order = self._next_order()
                if order is _Order.CLOSE:
                    _end(stream)
                    return
                if (order is _Order.CUT and not self._cut_off(stream)) or (order is None and self._is_lost(stream)):
                    stream = self._reopened(stream)
        finally:
            ended.set()
            self._ring()

    def _next_order(self) -> _Order | None:
        try:
            return self._orders.get(timeout=STALL_S / 4)
        except queue.Empty:
            return None

    def _cut_off(self, stream: Stream) -> bool:
        """Drop what the device holds, and start again with silence; False when that fails."""
        try:
            stream.abort()
            self._on_silence(time.monotonic())
            self._ring()
            stream.start()
        except load().PortAudioError as error:
            self._fault = _words(error)
            return False
        return True

    def _is_lost(self, stream: Stream) -> bool:
        now_s = time.monotonic()
        if not stream.active or now_s - self.beat_s > STALL_S:
            self._fault = "it stopped"
            return True
        if len(self.xruns) == STORM_XRUNS and now_s - self.xruns[0] < STORM_S:
            self._fault = "it cannot keep up"
            self._latency_s = min(2 * self._latency_s, LATENCY_MOST_S)
            return True
        return False

    def _reopened(self, stream: Stream) -> Stream | None:
        """Another stream in place of a lost one; None when it is lost too often, or cannot be opened in time."""
        now_s = time.monotonic()
        self._on_silence(now_s)
        _end(stream)
        self.xruns.clear()
        if len(self._lost) == REOPENS and now_s - self._lost[0] < REOPENS_S:
            self._fault = f"{self._endpoint} fails again and again: {self._fault}; check its plug, or give another --device"
            return None
        self._lost.append(now_s)
        self.counts["reopened"] += 1
        return self._opened()

    def _opened(self) -> Stream | None:
        """An open stream that runs; tried again and again for REOPEN_S."""
        until_s = time.monotonic() + REOPEN_S
        while True:
            try:
                with quietly():
                    stream = self._make(self._latency_s)
                    stream.start()
            except (load().PortAudioError, ValueError) as error:
                self._fault = f"{self._endpoint} cannot be opened ({_words(error)}); plug it in, or give another --device"
            else:
                self.beat_s, self.is_open = time.monotonic() + START_S - STALL_S, True
                self._ring()
                return stream
            if time.monotonic() > until_s or self._closes_within(RETRY_S):
                return None

    def _closes_within(self, seconds: float) -> bool:
        """Is the stream told to close within so long? What else it is told is without meaning while it is not open."""
        try:
            return self._orders.get(timeout=seconds) is _Order.CLOSE
        except queue.Empty:
            return False


def _end(stream: Stream) -> None:
    """Close a stream, whatever has become of it."""
    try:
        stream.abort()
    except load().PortAudioError:
        pass  # It is gone already; closing frees what is left.
    stream.close()


def _words(error: Exception) -> str:
    """The first line of what a library says, without PortAudio's numbers."""
    return str(error).splitlines()[0].split(" [PaErrorCode")[0]


def nobody() -> None:
    """Nobody waits yet."""
