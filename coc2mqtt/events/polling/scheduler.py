"""The scheduler: polls every resource when it is due."""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

import structlog

from coc2mqtt.events.polling.due_queue import DueQueue, start_offset, start_window

if TYPE_CHECKING:
    import random
    from collections.abc import Awaitable, Callable

    from coc2mqtt.events.resource import Resource

_log = structlog.get_logger()

# Each poll is delayed by up to 2 % of its interval, at most one second: enough to keep many clients from polling in
# step, too little to be noticed.
_JITTER_SHARE = 0.02
_MAX_JITTER_S = 1.0
# Thousands of resources may be due at the same time. The client enforces the rate limit of each token.
MAX_CONCURRENT_POLLS = 100
MAX_CONCURRENT_LOCAL = 16
# The first polls use this share of the rate limit, which leaves room for polls that are requested meanwhile.
_START_SHARE_OF_RATE = 0.9
# Polls per second at the start if there is no rate limit.
_START_RATE_WITHOUT_LIMIT = 50.0
# Scheduling tens of thousands of resources takes a while: after each batch of this size other tasks run.
_START_BATCH_SIZE = 1000
# The clock is checked this often even if nothing is due. If it is ahead of the expected time by more than _STALL_S, the
# machine was suspended or the loop was blocked.
_HEARTBEAT_S = 10.0
_STALL_S = 5.0
# A loop's timers may fire early by its clock's resolution (1 ms in uvloop). This delay avoids busy waiting until then.
_TICK_S = 1e-3
# The backlog of a pause is cleared within this time; polls that are late after it have another cause.
_OVERLOAD_GRACE_S = 3600.0
# A probe is also polled during a pause. A local entry makes no requests: it is run on time.
EntryType = Literal["regular", "probe", "local"]


class NextPoll(NamedTuple):
    """When to poll again, in seconds from the end of this poll.

    The poll is made no earlier than ``earliest`` and no later than ``latest`` (inf: the interval decides). After a
    failure it is delayed by ``backoff`` unless another component requests a poll.
    """

    earliest: float
    latest: float = math.inf
    backoff: float = 0.0


@dataclass(slots=True)
class _Entry:
    """The schedule of one resource.

    ``due`` is its next due time without jitter; during a poll it is the due time of that poll. ``cached_until`` is
    when the last response's cache entry expires. ``backed_off`` is true after a failure with a backoff.
    ``requested_now`` and ``requested_after_cache`` are polls that were requested during the present poll.
    """

    poll: Callable[[], Awaitable[NextPoll]]
    interval: float
    type: EntryType
    start_delay: float
    due: float
    cached_until: float = -math.inf
    polled: bool = False
    backed_off: bool = False
    requested_now: bool = False
    requested_after_cache: bool = False

    def skip_missed_polls(self, now: float, resumed_at: float) -> None:
        """Move ``due``, which is more than an interval ago, forward; polls missed before ``resumed_at`` are dropped."""
        if self.due < resumed_at:
            # Keep the old rhythm, in which the resources are spread out: after a pause all of them are due at once.
            # The next poll is at least half an interval away.
            self.due += math.ceil((now - self.due) / self.interval - 0.5) * self.interval
        else:
            # Under overload one missed poll is made up for. Otherwise resources with the same interval would alternate
            # between on time and late, in waves.
            self.due = now - self.interval

    def due_after(self, next_poll: NextPoll, now: float) -> float:
        """Return when the next poll is due if the present one ends ``now``."""
        if self.requested_now:
            return now
        if self.requested_after_cache:
            return now + next_poll.earliest
        return max(
            min(self.due + self.interval, now + next_poll.latest),
            now + max(next_poll.earliest, next_poll.backoff),
        )


class Scheduler:
    """Polls every resource when it is due, concurrently, in the order of the due times.

    Times are the event loop's monotonic seconds, so changes of the wall clock have no effect. The next poll is due one
    interval after the previous due time (no drift), or earlier if the response asks for it, but never before the
    response's cache entry expires. A small jitter is added. If more polls are due than can be made, the longest overdue
    resources are polled first. During a pause, only probes are polled, and local entries, which are never counted.

    ``rate`` is the rate limit in polls per second; the first polls stay below it. When polling falls more than an
    interval behind, this is logged once, and so is the recovery.
    """

    def __init__(self, *, rng: random.Random, rate: float = math.inf, concurrency: int = MAX_CONCURRENT_POLLS) -> None:
        self._rng = rng
        self._rate = rate
        self._concurrency = concurrency
        self._entries: dict[Resource, _Entry] = {}
        # The number of resources by interval and type, without the local ones.
        self._intervals: Counter[tuple[float, EntryType]] = Counter()
        # The resources that wait for their due time; those being polled are in no queue.
        self._queues: dict[EntryType, DueQueue] = {"local": DueQueue(), "probe": DueQueue(), "regular": DueQueue()}
        self._in_progress: dict[Resource, _Entry] = {}
        self._local_in_progress = 0
        self._wake_up = asyncio.Event()
        # When the loop wakes up by itself: only an earlier due time has to wake it.
        self._wake_at = -math.inf
        self._running = False
        self._paused = False
        self._overloaded = False
        # Waiting before `_resumed_at` does not count as overdue, lateness before `_grace_until` not as overload.
        self._resumed_at = self._grace_until = -math.inf

    def add(
        self,
        resource: Resource,
        interval: float,
        poll: Callable[[], Awaitable[NextPoll]],
        *,
        entry_type: EntryType = "regular",
        start_delay: float = 0.0,
    ) -> None:
        """Poll a resource every ``interval`` seconds; a resource that is already polled gets the new interval.

        Resources added before ``run`` are spread out when it starts, local ones after ``start_delay`` seconds, if they
        have one. A resource added later is due immediately.
        """
        if not 0 < interval < math.inf:
            raise ValueError(f"interval must be positive and finite, got {interval}")
        now = _now()
        entry = self._entries.get(resource)
        if entry is None:
            entry = self._entries[resource] = _Entry(poll, interval, entry_type, start_delay, due=now)
            self._count_interval(entry)
        else:
            self._queues[entry.type].remove(resource)
            self._discard_interval(entry)
            entry.poll, entry.interval, entry.type = poll, interval, entry_type
            self._count_interval(entry)
            if self._is_being_polled(resource, entry):
                return  # it is queued again when the poll ends
            entry.due = min(entry.due, max(now + interval, entry.cached_until))
        self._enqueue(resource, entry, entry.due)

    def remove(self, resource: Resource) -> None:
        """Stop polling a resource; a poll in progress is completed."""
        entry = self._entries.pop(resource, None)
        if entry is not None:
            self._queues[entry.type].remove(resource)
            self._discard_interval(entry)

    def poll_now(self, resource: Resource) -> bool:
        """Make a resource due immediately, even if the last response is still cached; return whether it is known.

        A resource that is being polled is polled again right afterwards.
        """
        entry = self._entries.get(resource)
        if entry is None:
            return False
        if self._is_being_polled(resource, entry):
            entry.requested_now = True
        else:
            # An overdue resource keeps its place.
            entry.due = min(entry.due, _now())
            self._enqueue(resource, entry, entry.due)
        return True

    def poll_when_fresh(self, resource: Resource) -> bool:
        """Make a resource due as soon as the last response's cache entry expires; return whether it is known.

        If the resource is being polled, the response of that poll counts.
        """
        entry = self._entries.get(resource)
        if entry is None:
            return False
        if self._is_being_polled(resource, entry):
            entry.requested_after_cache = True
        else:
            entry.due = min(entry.due, max(_now(), entry.cached_until))
            self._enqueue(resource, entry, entry.due)
        return True

    def pause(self) -> None:
        """Poll only probes until ``resume``."""
        self._paused = True

    def resume(self) -> None:
        """Poll all resources again, the longest overdue first."""
        if self._paused:
            self._paused = False
            self._reset_overload_grace(_now())
            self._wake_up.set()

    def retry_failed(self) -> None:
        """Make every resource with a backoff due as soon as its cache entry expires."""
        for resource in [resource for resource, entry in self._entries.items() if entry.backed_off]:
            self._entries[resource].backed_off = False
            self.poll_when_fresh(resource)

    @property
    def overdue(self) -> int:
        """The number of resources that wait for a poll although it is due."""
        now = _now()
        return sum(queue.count_before(now) for queue in self._request_queues())

    @property
    def overdue_seconds(self) -> float:
        """For how many seconds the longest overdue resource has been waiting, 0.0 if none is overdue."""
        now = _now()
        waits = [now - max(queue.next_due, self._resumed_at) for queue in self._request_queues()]
        return max([0.0, *waits])

    @property
    def load(self) -> float:
        """The polls per second that all intervals require, as a share of ``rate``."""
        return math.fsum(count / interval for (interval, _), count in self._intervals.items()) / self._rate

    @property
    def resource_count(self) -> int:
        """The number of resources without the probes and the local ones."""
        return sum(count for (_, entry_type), count in self._intervals.items() if entry_type == "regular")

    @property
    def shortest_interval(self) -> float:
        """The shortest interval without those of the probes and the local ones, inf if there is none."""
        return min((interval for interval, entry_type in self._intervals if entry_type == "regular"), default=math.inf)

    async def run(self) -> None:
        """Poll until cancelled. An exception of a poll ends the run: pollers handle the API's failures themselves.

        It can be run again: polls that were in progress when it was cancelled are repeated.
        """
        self._running = True
        try:
            await self._schedule_first_polls(_now())
            async with asyncio.TaskGroup() as group:
                await self._poll_forever(group)
        finally:
            self._running = False
            self._in_progress.clear()
            self._local_in_progress = 0

    async def _schedule_first_polls(self, now: float) -> None:
        self._reset_overload_grace(now)
        rate = _START_RATE_WITHOUT_LIMIT if self._rate == math.inf else _START_SHARE_OF_RATE * self._rate
        window = start_window((one.interval for one in self._entries.values() if one.type != "local"), rate)
        number = 0
        for count, (resource, entry) in enumerate(list(self._entries.items()), 1):
            if count % _START_BATCH_SIZE == 0:
                await asyncio.sleep(0)
            if self._entries.get(resource) is not entry:
                continue  # removed meanwhile
            if not entry.polled:
                entry.due = now
                if entry.type == "regular" or entry.start_delay:
                    entry.due += entry.start_delay + start_offset(number, entry.interval, window)
                number += entry.type == "regular"
            self._enqueue(resource, entry, entry.due)

    async def _poll_forever(self, group: asyncio.TaskGroup) -> None:
        loop = asyncio.get_running_loop()
        while True:
            self._wake_up.clear()
            self._wake_at = min(self._start_due_polls(group) + _TICK_S, loop.time() + _HEARTBEAT_S)
            timer = loop.call_at(self._wake_at, self._wake_up.set)
            try:
                await self._wake_up.wait()
            finally:
                timer.cancel()
            if loop.time() - self._wake_at > _STALL_S:
                self._reset_overload_grace(loop.time())

    def _start_due_polls(self, group: asyncio.TaskGroup) -> float:
        """Start the polls that are due; return the next due time, inf if a poll in progress has to end first."""
        now = _now()
        while self._next_local_due <= now:
            self._start_poll(self._queues["local"].pop(), now, group)
        for queue in self._request_queues():
            while queue.next_due <= now:
                if len(self._in_progress) - self._local_in_progress >= self._concurrency:
                    return self._next_local_due
                self._start_poll(queue.pop(), now, group)
        if not self._paused:
            self._report_recovery()
        return min(self._next_local_due, *(queue.next_due for queue in self._request_queues()))

    @property
    def _next_local_due(self) -> float:
        return math.inf if self._local_in_progress >= MAX_CONCURRENT_LOCAL else self._queues["local"].next_due

    def _start_poll(self, resource: Resource, now: float, group: asyncio.TaskGroup) -> None:
        if resource in self._in_progress:
            return  # removed and added again during a poll: it is queued again when that poll ends
        entry = self._entries[resource]
        if now - entry.due > entry.interval and entry.type != "local":
            self._report_overload(now)
            entry.skip_missed_polls(now, self._resumed_at)
        entry.polled = True
        entry.requested_now = entry.requested_after_cache = False
        self._in_progress[resource] = entry
        self._local_in_progress += entry.type == "local"
        group.create_task(self._poll(resource, entry), name=f"poll {resource.kind} {resource.tag}")

    async def _poll(self, resource: Resource, entry: _Entry) -> None:
        local = entry.type == "local"
        try:
            next_poll = await entry.poll()
        finally:
            if local or len(self._in_progress) - self._local_in_progress >= self._concurrency:
                self._wake_up.set()  # another poll may have been waiting for this one to end
            if self._in_progress.pop(resource, None) is not None:
                self._local_in_progress -= local
        now = _now()
        current = self._entries.get(resource)
        if current is entry:
            is_exact = entry.requested_now or entry.requested_after_cache or local
            jitter = 0.0 if is_exact else self._rng.uniform(0, min(_MAX_JITTER_S, _JITTER_SHARE * entry.interval))
            entry.due = entry.due_after(next_poll, now)
            entry.cached_until = now + next_poll.earliest
            entry.backed_off = next_poll.backoff > 0
            self._enqueue(resource, entry, entry.due + jitter)
        elif current is not None:
            # Removed and added again during the poll: its schedule starts now.
            current.due = max(current.due, now)
            self._enqueue(resource, current, current.due)

    def _enqueue(self, resource: Resource, entry: _Entry, due: float) -> None:
        self._queues[entry.type].put(resource, due)
        if due < self._wake_at:
            self._wake_up.set()

    def _count_interval(self, entry: _Entry) -> None:
        if entry.type != "local":
            self._intervals[entry.interval, entry.type] += 1

    def _discard_interval(self, entry: _Entry) -> None:
        if entry.type != "local":
            self._intervals[entry.interval, entry.type] -= 1
            if not self._intervals[entry.interval, entry.type]:
                del self._intervals[entry.interval, entry.type]

    def _request_queues(self) -> tuple[DueQueue, ...]:
        """Return the queues from which polls that make requests are started, the most urgent first."""
        if not self._running:
            return ()
        return (self._queues["probe"],) if self._paused else (self._queues["probe"], self._queues["regular"])

    def _is_being_polled(self, resource: Resource, entry: _Entry) -> bool:
        # By identity: if a resource was removed and added again, only its old entry is in progress.
        return self._in_progress.get(resource) is entry

    def _reset_overload_grace(self, now: float) -> None:
        """Count neither the waiting before now nor its consequences as overload."""
        self._resumed_at, self._grace_until = now, now + _OVERLOAD_GRACE_S

    def _report_overload(self, now: float) -> None:
        if not (self._overloaded or self._paused) and now >= self._grace_until:
            self._overloaded = True
            _log.warning(
                "polling is falling behind",
                load=round(self.load, 2),
                overdue=self.overdue + 1,  # the poll that is being started counts too
                hint="use longer intervals, fewer watches or more tokens",
            )

    def _report_recovery(self) -> None:
        self._grace_until = -math.inf
        if self._overloaded:
            self._overloaded = False
            _log.info("polling has caught up")


def _now() -> float:
    """Return the loop's time, or 0 before a loop runs: ``run`` then sets the due times."""
    try:
        return asyncio.get_running_loop().time()
    except RuntimeError:
        return 0.0
