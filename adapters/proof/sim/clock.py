"""A clock that passes no real time: an asyncio loop that jumps to its next timer when nothing is left to do; it knows nothing of calls.

asyncio runs its tasks in the order in which they became ready, so that the same work gives the same call, to the byte; a loop that
shuffles them, as trio's does, would not.
"""

import asyncio
import math
import selectors
from collections.abc import Awaitable, Callable
from typing import TypeVar

import anyio

T = TypeVar("T")

Idle = Callable[[float, float], float]
"""Asked whenever the loop would wait: `idle(now_s, until_s)` does what happens meanwhile, and says how far the clock may go."""

ROUNDS = 100_000
"""How often the loop may go round while its clock stands, before that counts as a program that never waits; a call needs some dozens."""


FOR_EVER_S = 30 * 86_400.0
"""No call lasts as long: a timer that is further away, as that of `anyio.sleep_forever`, is none."""


class Stuck(BaseException):
    """The program waits for nothing at all, or never waits; no handler of `Exception` may keep it going."""


class Clock:
    """The time of one loop, in seconds from 0; `jump` lets it pass at once, as a suspended machine's clock does."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.idle: Idle = _until

    def jump(self, seconds: float) -> None:
        """Let time pass in which nothing of this program runs."""
        self.now_s += seconds


def run_virtually(main: Callable[[Clock], Awaitable[T]]) -> T:
    """Run `main` to its end on a loop of its own, with its own clock; raises what `main` raises, and Stuck."""
    clock = Clock()

    async def begin() -> T:
        return await main(clock)

    def loop() -> asyncio.AbstractEventLoop:
        return _Loop(clock)

    return anyio.run(begin, backend="asyncio", backend_options={"loop_factory": loop})


def _until(_: float, until_s: float) -> float:
    return until_s


class _Loop(asyncio.SelectorEventLoop):
    """The loop whose time is the clock's."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(_Jumping(clock))
        self._clock = clock

    def time(self) -> float:
        """The clock's time, in seconds."""
        return self._clock.now_s


class _Jumping(selectors.SelectSelector):
    """Watches no file: where a selector would wait, the clock goes on."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self._clock = clock
        self._rounds = 0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Go on to the next timer, or as far as `idle` lets the clock go."""
        clock, now_s = self._clock, self._clock.now_s
        if timeout != 0:
            clock.now_s = clock.idle(now_s, math.inf if timeout is None else now_s + timeout)
        if clock.now_s > FOR_EVER_S:
            clock.now_s = now_s
            raise Stuck("every task waits, and no timer runs")
        self._rounds = self._rounds + 1 if clock.now_s == now_s else 0
        if self._rounds > ROUNDS:
            self._rounds = 0
            raise Stuck(f"time stands still at {now_s:.3f} s")
        return []
