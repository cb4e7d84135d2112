"""When each resource is polled."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import random
    from collections.abc import Awaitable, Callable

    from coc2mqtt.events.resource import Resource

# A poll comes up to this much of its interval late, and at most so many seconds: enough to keep many clients from
# asking in step, not enough to be noticed.
_JITTER_SHARE = 0.02
_LONGEST_JITTER = 1.0
# Thousands of resources may be due at once; so many are under way together. The client keeps each token's pace.
CONCURRENT_POLLS = 100
# At start resources come one after the other with this distance (seconds), not all at once.
_START_DISTANCE = 0.02
# Timers count in ticks, so a wait may end this much (seconds) before the moment that was asked for.
_TICK = 1e-5


@dataclass(slots=True)
class _Entry:
    """A resource's place in time; ``generation`` tells its place in the heap from outdated ones."""

    poll: Callable[[], Awaitable[float]]
    interval: float
    probe: bool
    due: float
    generation: int = 0
    again: bool = False


class Scheduler:
    """Polls every resource on its own due time, concurrently, in the order in which they are due.

    Times are the event loop's monotonic seconds: a wall clock that jumps changes nothing. The next poll is due an
    interval after the last one was due (no drift), but never before the last answer's cache has run out, plus a
    small jitter. While the scheduler holds, only probes go on.
    """

    def __init__(self, *, rng: random.Random, concurrency: int = CONCURRENT_POLLS) -> None:
        self._rng = rng
        self._concurrency = concurrency
        self._entries: dict[Resource, _Entry] = {}
        self._heap: list[tuple[float, int, int, Resource]] = []
        self._order = itertools.count()
        self._changed = asyncio.Event()
        self._running: set[Resource] = set()
        self._holding = False
        self._held: set[Resource] = set()

    def add(
        self,
        resource: Resource,
        interval: float,
        poll: Callable[[], Awaitable[float]],
        *,
        probe: bool = False,
    ) -> None:
        """Have a resource polled from now on, every ``interval`` seconds; a known one gets the new interval.

        ``poll`` returns in how many seconds the next poll makes sense at the soonest.
        """
        now = _now()
        entry = self._entries.get(resource)
        if entry is None:
            distance = 0.0 if probe else _START_DISTANCE * min(len(self._entries), interval / _START_DISTANCE)
            entry = self._entries[resource] = _Entry(poll, interval, probe, now + distance)
        else:
            entry.poll, entry.interval, entry.probe = poll, interval, probe
            entry.due = min(entry.due, now + interval)
        self._push(resource, entry)

    def remove(self, resource: Resource) -> None:
        """Have a resource polled no more; a poll that is under way ends by itself."""
        self._entries.pop(resource, None)
        self._held.discard(resource)

    def poll_now(self, resource: Resource) -> bool:
        """Make a resource due at once; returns whether it is known."""
        entry = self._entries.get(resource)
        if entry is None:
            return False
        if resource in self._running:
            entry.again = True
        else:
            entry.due = _now()
            self._push(resource, entry)
        return True

    def hold(self) -> None:
        """Let only probes through until ``release``."""
        self._holding = True

    def release(self) -> None:
        """Go on: what has become due meanwhile comes first, the longest overdue before the others."""
        self._holding = False
        for resource in self._held:
            self._push(resource, self._entries[resource])
        self._held.clear()

    @property
    def overdue(self) -> int:
        """How many resources should have been polled by now and are waiting for their turn."""
        now = _now()
        return sum(entry.due < now and resource not in self._running for resource, entry in self._entries.items())

    async def run(self) -> None:
        """Poll until cancelled. What a poll raises ends everything: pollers turn the API's failures into answers.

        It can be run again: what was under way when it was cancelled is polled anew.
        """
        self._running.clear()
        for resource, entry in self._entries.items():
            self._push(resource, entry)
        async with asyncio.TaskGroup() as group:
            while True:
                self._changed.clear()
                wait = self._start_due(group)
                try:
                    async with asyncio.timeout(wait):
                        await self._changed.wait()
                except TimeoutError:
                    pass

    def _start_due(self, group: asyncio.TaskGroup) -> float | None:
        """Start the polls that are due; returns in how many seconds the next one is, None if nobody knows."""
        now = _now()
        while self._heap and len(self._running) < self._concurrency:
            due, generation, _, resource = self._heap[0]
            entry = self._entries.get(resource)
            if entry is None or entry.generation != generation or resource in self._running:
                heapq.heappop(self._heap)
                continue
            if due > now + _TICK:
                return due - now
            heapq.heappop(self._heap)
            if self._holding and not entry.probe:
                self._held.add(resource)
                continue
            if now - entry.due > entry.interval:
                entry.due = now  # too far behind to catch up: its time starts anew
            self._running.add(resource)
            group.create_task(self._poll(resource, entry), name=f"poll {resource.kind} {resource.tag}")
        return None

    async def _poll(self, resource: Resource, entry: _Entry) -> None:
        try:
            not_before = await entry.poll()
        finally:
            self._running.discard(resource)
            self._changed.set()
        now = _now()
        jitter = self._rng.uniform(0, min(_LONGEST_JITTER, _JITTER_SHARE * entry.interval))
        entry.due = now if entry.again else max(entry.due + entry.interval, now + not_before)
        entry.again = False
        # Removed and added again while it was polled, a resource has a new entry, which waited for this.
        current = self._entries.get(resource)
        if current is not None:
            self._push(resource, current, current.due + (jitter if current is entry else 0.0))

    def _push(self, resource: Resource, entry: _Entry, at: float | None = None) -> None:
        entry.generation += 1
        heapq.heappush(self._heap, (entry.due if at is None else at, entry.generation, next(self._order), resource))
        self._changed.set()


def _now() -> float:
    return asyncio.get_running_loop().time()
