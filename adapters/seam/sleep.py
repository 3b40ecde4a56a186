"""How long this machine has slept: the clock of an event loop stands still meanwhile, and that of people does not."""

import time


def asleep_s() -> float:
    """Seconds of sleep since it was started; 0 where the system does not tell."""
    including = getattr(time, "CLOCK_BOOTTIME", None)
    if including is not None:
        return time.clock_gettime(including) - time.clock_gettime(time.CLOCK_MONOTONIC)
    without = getattr(time, "CLOCK_UPTIME_RAW", None)
    return time.clock_gettime(time.CLOCK_MONOTONIC) - time.clock_gettime(without) if without is not None else 0.0
