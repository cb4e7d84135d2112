"""Queue of due times, and how the first polls are spread. Pure: no clock, no I/O."""

from __future__ import annotations

import heapq
import itertools
import math
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

    from coc2mqtt.events.resource import Resource

# So many outdated turns (and as many as there are valid ones) are left where they are: sweeping costs O(n).
_OUTDATED = 64
# Multiples of it, without their whole parts, fill the span from 0 to 1 evenly however many there are, and so does
# every run of consecutive ones.
_GOLDEN_RATIO = (math.sqrt(5) - 1) / 2


class DueEntry(NamedTuple):
    """When it is a resource's turn; ``number`` keeps those of the same time in the order in which they came."""

    at: float
    number: int
    resource: Resource


class DueQueue:
    """Resources in the order of their times; each is in it at most once.

    Putting and taking cost O(log n), dropping O(1). What is moved or dropped leaves an outdated turn behind; of
    those there are never many more than valid ones.
    """

    def __init__(self) -> None:
        self._numbers = itertools.count()
        self._turns: dict[Resource, DueEntry] = {}
        self._heap: list[DueEntry] = []

    @property
    def first_at(self) -> float:
        """The earliest time, inf if there is none."""
        while self._heap and self._turns.get(self._heap[0].resource) is not self._heap[0]:
            heapq.heappop(self._heap)
        return self._heap[0].at if self._heap else math.inf

    def put(self, resource: Resource, at: float) -> None:
        """Give a resource its time; one that has another time is moved."""
        present = self._turns.get(resource)
        if present is not None and present.at == at:
            return
        turn = self._turns[resource] = DueEntry(at, next(self._numbers), resource)
        heapq.heappush(self._heap, turn)
        if len(self._heap) > 2 * len(self._turns) + _OUTDATED:
            self._heap = list(self._turns.values())
            heapq.heapify(self._heap)

    def drop(self, resource: Resource) -> None:
        """Take a resource out, if it is in."""
        self._turns.pop(resource, None)

    def take(self) -> Resource:
        """Take out the first one; LookupError where there is none."""
        if self.first_at == math.inf:
            raise LookupError("the timetable is empty")
        resource = heapq.heappop(self._heap).resource
        del self._turns[resource]
        return resource

    def count_before(self, time: float) -> int:
        """Return how many have an earlier time; costs O(n), which is a millisecond or two for 20,000."""
        return sum(turn.at < time for turn in self._turns.values())


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
