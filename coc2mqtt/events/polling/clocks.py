"""A clock that nobody can set, and the detection of changes of the wall clock."""

from __future__ import annotations

import sys
import time

# Smaller differences are drift or a clock that is being slewed.
_MIN_JUMP_S = 2.0


def uptime() -> float:
    """Return seconds since an arbitrary start, independent of the wall clock.

    The time that the machine spends suspended is included if the system has such a clock.
    """
    if sys.platform == "linux":
        return time.clock_gettime(time.CLOCK_BOOTTIME)
    return time.monotonic()


def clock_jump(before: float, after: float) -> float:
    """Return by how many seconds the wall clock was set between two moments, 0.0 if it was not.

    ``before`` and ``after`` are the difference between the wall clock and ``uptime`` at each moment.
    """
    jump = after - before
    return jump if abs(jump) >= _MIN_JUMP_S else 0.0
