"""How the first polls are spread out. Pure: no clock, no I/O."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

# Multiples of it, without their whole parts, fill the span from 0 to 1 evenly however many there are, and so does
# every run of consecutive ones.
_GOLDEN_RATIO = (math.sqrt(5) - 1) / 2


def start_window(intervals: Iterable[float], rate: float) -> float:
    """Return the shortest window, in seconds, in which all can be polled first without ever asking too much.

    Spread over min(own interval, window), polls come in waves of the window's length; even where all waves meet they
    are at most ``rate`` polls per second. It is inf where the intervals alone ask for more than that.
    """
    ordered = sorted(intervals)
    steady = 0.0  # polls per second of those whose interval is shorter than the window
    for number, interval in enumerate(ordered):
        waves = len(ordered) - number
        if steady < rate and waves / (rate - steady) <= interval:
            return waves / (rate - steady)
        steady += 1 / interval
    return math.inf if ordered else 0.0


def start_offset(number: int, interval: float, window: float) -> float:
    """Return how many seconds after the start the resource of this number, counted from 0, is polled first."""
    return (number * _GOLDEN_RATIO) % 1 * min(interval, window)
