"""A clock that nobody can set, the detection of changes of the wall clock, and durations as text."""

from __future__ import annotations

import re
import sys
import time
from datetime import timedelta

# Smaller differences are drift or a clock that is being slewed.
_MIN_JUMP_S = 2.0

# A duration in the configuration and in commands: seconds, or a number with a unit.
DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*([smhd])?")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", None: "seconds"}


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


def parse_duration(value: object) -> timedelta:
    """Parse a duration such as ``90``, ``30m`` or ``7d``; raises ValueError with a message for the user."""
    if isinstance(value, timedelta):
        return value
    match = DURATION.fullmatch(str(value).strip())
    try:
        if match:
            return timedelta(**{_UNITS[match[2]]: float(match[1])})
    except OverflowError:
        pass
    raise ValueError(f"must be seconds, or a number with s, m, h or d such as 7d, got {value!r}")
