"""Time that nobody sets, and how far the wall clock was set."""

from __future__ import annotations

import sys
import time

# A smaller difference (seconds) is drift, or a clock that is being adjusted slowly.
_SMALLEST_JUMP = 2.0


def uptime() -> float:
    """Return seconds from an arbitrary start that no change of the wall clock affects.

    Time that the machine spends suspended counts where the system offers such a clock.
    """
    if sys.platform == "linux":
        return time.clock_gettime(time.CLOCK_BOOTTIME)
    return time.monotonic()


def clock_jump(before: float, after: float) -> float:
    """Return by how many seconds the wall clock was set between two looks, 0.0 if it was not.

    ``before`` and ``after`` are the difference between the wall clock and ``uptime`` at each look.
    """
    jump = after - before
    return jump if abs(jump) >= _SMALLEST_JUMP else 0.0
