"""The thread that keeps one PortAudio stream: opens it, cuts it off when told, reopens it when it is lost, closes it.

What a device must be told may block, even for ever, so the event loop never tells it: it puts an order into a queue, and sees
whether the thread comes back for the next.
"""

import queue
import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from enum import Enum
from typing import Any, Protocol

import anyio

from adapters.audio.library import Endpoint, SoundLost, leave_behind, load, quietly
from adapters.audio.wake import Ring, Wake, nobody

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
HANG_S = 3.0
"""A driver that has not answered for this long, or for up to twice as long, hangs; a frozen sound server makes it so."""
CLOSE_S = 2.0
"""How long closing may take; a driver that hangs is left behind."""
THREADS = "callfsm "
"""How the threads' names begin: one that is still there when its stream is over hangs in its driver."""

Callback = Callable[[Any, int, Any], None]
"""What fills or takes a block: its sound, its frames, PortAudio's times of it."""


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

    def abort(self, ignore_errors: bool = True) -> None:
        """Drop what it holds, and stop."""

    def close(self) -> None:
        """Free it."""


class Keeper:
    """The thread of one stream: opens it, cuts it off when told, reopens it when it is lost, closes it; `run` ends with the reason."""

    def __init__(self, endpoint: Endpoint, make: Callable[[float], Stream], on_silence: Callable[[float], None]) -> None:
        self.counts: Counter[str] = Counter()
        self.beat_s = 0.0
        """When the stream last called back."""
        self.is_open = False
        """Has it called back?"""
        self._xruns: deque[float] = deque(maxlen=STORM_XRUNS)
        self._endpoint = endpoint
        self._make = make
        self._on_silence = on_silence
        self._orders: queue.SimpleQueue[_Order] = queue.SimpleQueue()
        self._latency_s = LATENCY_S
        self._lost: deque[float] = deque(maxlen=REOPENS)
        self._fault = ""
        self._bug: BaseException | None = None
        self._turns = 0
        self._over = False
        self._ring: Ring = nobody

    async def run(self, ring: Ring) -> None:
        """Keep the stream until cancelled. Raises SoundLost, and what was raised in the thread or in a callback."""
        self._ring = ring
        with Wake() as over:
            threading.Thread(target=self._serve, args=(over.ring,), name=THREADS + self._endpoint.kind, daemon=True).start()
            try:
                await self._watch(over)
            finally:
                self._orders.put(_Order.CLOSE)
                with anyio.move_on_after(CLOSE_S, shield=True):
                    while not self._over:
                        await over.wait()
                if not self._over:
                    leave_behind()
        if self._bug is not None:
            raise self._bug
        raise SoundLost(self._fault)

    def cut(self) -> None:
        """Have the stream drop what it holds."""
        self._orders.put(_Order.CUT)

    def calling(self, callback: Callback) -> Callable[[Any, int, Any, Any], None]:
        """What PortAudio is to call back: it notes the call and what went wrong, and a bug in `callback` is raised by `run`."""

        def call(sound: Any, frames: int, clock: Any, status: Any) -> None:
            self._note(status)
            try:
                callback(sound, frames, clock)
            # In a thread of PortAudio's, which has nobody above: the task that waits raises it.
            except Exception as bug:
                self._bug = bug
                raise load().CallbackAbort from bug

        return call

    async def _watch(self, over: Wake) -> None:
        """Wait until the thread is over, or hangs; each turn that it takes is under a second."""
        while not self._over:
            turns = self._turns
            with anyio.move_on_after(HANG_S):
                await over.wait()
            if not self._over and self._turns == turns:
                raise SoundLost(f"{self._endpoint} hangs: its driver does not answer; restart the sound system, or give another --device")

    def _note(self, status: Any) -> None:
        """Count what PortAudio says went wrong, in its callback; and that it calls."""
        self.beat_s = time.monotonic()
        if status:
            for name in ("input_underflow", "input_overflow", "output_underflow", "output_overflow"):
                if getattr(status, name):
                    self.counts[name] += 1
                    self._xruns.append(self.beat_s)
        if not self.is_open:
            self.is_open = True
            self._ring()

    def _serve(self, tell_over: Ring) -> None:
        """The thread."""
        try:
            self._keep()
        except BaseException as bug:
            self._bug = bug  # For `run` to raise.
        finally:
            self._over = True
            tell_over()

    def _keep(self) -> None:
        stream = self._opened()
        while stream is not None:
            order = self._next_order()
            if order is _Order.CLOSE or self._bug is not None:
                _end(stream)
                return
            if (order is _Order.CUT and not self._cut_off(stream)) or (order is None and self._is_lost(stream)):
                stream = self._reopened(stream)

    def _next_order(self, within_s: float = STALL_S / 4) -> _Order | None:
        self._turns += 1
        try:
            return self._orders.get(timeout=within_s)
        except queue.Empty:
            return None

    def _cut_off(self, stream: Stream) -> bool:
        """Drop what the device holds, and start again with silence; False when that fails."""
        try:
            stream.abort(ignore_errors=False)
            self._on_silence(time.monotonic())
            self._ring()
            self._start(stream)
        except load().PortAudioError as error:
            self._fault = _words(error)
            return False
        return True

    def _start(self, stream: Stream) -> None:
        """Have it call back; it may take its time to begin."""
        self.beat_s = time.monotonic() + START_S - STALL_S
        stream.start()

    def _is_lost(self, stream: Stream) -> bool:
        now_s = time.monotonic()
        if not stream.active or now_s - self.beat_s > STALL_S:
            self._fault = "it stopped"
            return True
        if len(self._xruns) == STORM_XRUNS and now_s - self._xruns[0] < STORM_S:
            self._fault = "it cannot keep up"
            self._latency_s = min(2 * self._latency_s, LATENCY_MOST_S)
            return True
        return False

    def _reopened(self, stream: Stream) -> Stream | None:
        """Another stream in place of a lost one; None when it is lost too often, or cannot be opened in time."""
        self._silence(stream)
        now_s = time.monotonic()
        if len(self._lost) == REOPENS and now_s - self._lost[0] < REOPENS_S:
            self._fault = f"{self._endpoint} fails again and again: {self._fault}; check its plug, or give another --device"
            return None
        self._lost.append(now_s)
        self.counts["reopened"] += 1
        return self._opened()

    def _opened(self) -> Stream | None:
        """An open stream that runs; tried again and again for REOPEN_S, until the thread is told to close."""
        until_s = time.monotonic() + REOPEN_S
        while True:
            stream: Stream | None = None
            try:
                with quietly():
                    stream = self._make(self._latency_s)
                    self._start(stream)
            except (load().PortAudioError, ValueError) as error:
                self._fault = f"{self._endpoint} cannot be opened ({_words(error)}); plug it in, or give another --device"
                if stream is not None:
                    self._silence(stream)
            else:
                return stream
            # A cut is without meaning while nothing is open.
            if time.monotonic() > until_s or self._next_order(RETRY_S) is _Order.CLOSE:
                return None

    def _silence(self, stream: Stream) -> None:
        """Close a stream that is lost, and tell that all it held is gone; before, it may still call back for more."""
        _end(stream)
        self._xruns.clear()
        self._on_silence(time.monotonic())
        self._ring()


def _end(stream: Stream) -> None:
    """Close a stream, whatever has become of it; PortAudio opens and closes one at a time."""
    stream.abort()
    with quietly():
        stream.close()


def _words(error: Exception) -> str:
    """The first line of what a library says, without PortAudio's numbers."""
    return str(error).splitlines()[0].split(" [PaErrorCode")[0]
