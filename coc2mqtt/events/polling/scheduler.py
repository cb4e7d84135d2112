"""When each resource is polled."""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import structlog

from coc2mqtt.events.polling.due_queue import DueQueue, start_offset, start_window

if TYPE_CHECKING:
    import random
    from collections.abc import Awaitable, Callable

    from coc2mqtt.events.resource import Resource

_log = structlog.get_logger()

# A poll comes up to this much of its interval late, and at most so many seconds: enough to keep many clients from
# asking in step, not enough to be noticed.
_JITTER_SHARE = 0.02
_LONGEST_JITTER = 1.0
# Thousands of resources may be due at once; so many are under way together. The client keeps each token's pace.
CONCURRENT_POLLS = 100
# The share of the pace that the first polls take, so that some is left for what comes between; without a pace they
# are so many per second.
_START_SHARE = 0.9
_UNPACED = 50.0
# So many get their time before others have a turn: of tens of thousands it takes a while.
_AT_ONCE = 1000
# The clock is looked at this often (seconds) even if nothing is due. If it shows so much more than was waited for,
# the machine was suspended or the loop was blocked.
_HEARTBEAT = 10.0
_STALL = 5.0
# A loop's timers may fire early by its clock's resolution (uvloop's count milliseconds); those set so much later
# (seconds) do not, and nothing spins until it is time.
_TICK = 1e-3
# What a hold has left behind is worked off in this time (seconds); what is late then has other reasons.
_GRACE = 3600.0


class NextPoll(NamedTuple):
    """When to poll again, in seconds from the end of this poll.

    Not before ``not_before``, whatever else; and no later than ``wanted`` (inf: the interval alone decides).
    ``backoff`` is how long a resource is left alone for whose sake nothing speaks.
    """

    not_before: float
    wanted: float = math.inf
    backoff: float = 0.0


@dataclass(slots=True)
class _Entry:
    """What is known of a resource.

    ``due`` is its next due time without jitter, or while it is polled the one that was kept. ``cached_until`` is when
    the last answer's ``not_before`` has run out. ``backed_off`` tells whether it is left alone for longer than its
    interval because it failed. The wishes are those that came up since it is being polled.
    """

    poll: Callable[[], Awaitable[NextPoll]]
    interval: float
    probe: bool
    due: float
    cached_until: float = -math.inf
    polled: bool = False
    backed_off: bool = False
    wished_now: bool = False
    wished_soon: bool = False

    def start_anew(self, now: float, since: float) -> None:
        """Move a ``due`` that is more than an interval ago; what was missed before ``since`` is not made up for."""
        if self.due < since:
            # Back into the old rhythm, in which all resources are spread out: after a hold they come in one wave.
            # The next poll is at least half an interval away.
            self.due += math.ceil((now - self.due) / self.interval - 0.5) * self.interval
        else:
            # In overload one missed poll is made up for. Without that, resources of the same interval would be now
            # punctual, now late, in waves.
            self.due = now - self.interval

    def next_due(self, again: NextPoll, now: float) -> float:
        """Return when the next poll is due after one that ends ``now``."""
        if self.wished_now:
            return now
        if self.wished_soon:
            return now + again.not_before
        return max(min(self.due + self.interval, now + again.wanted), now + max(again.not_before, again.backoff))


class Scheduler:
    """Polls every resource on its own due time, concurrently, in the order in which they are due.

    Times are the event loop's monotonic seconds: a wall clock that jumps changes nothing. The next poll is due an
    interval after the last one was due (no drift) or earlier if its answer wants that, but never before the answer's
    cache has run out, plus a small jitter. Where more is due than can be polled, those that wait longest come first.
    While the scheduler holds, only probes go on.

    ``rate`` is how many polls per second the API's pace lets through. At the start the first polls keep below it. A
    pace that cannot be kept is said in the log, once, and so is its end.
    """

    def __init__(self, *, rng: random.Random, rate: float = math.inf, concurrency: int = CONCURRENT_POLLS) -> None:
        self._rng = rng
        self._rate = rate
        self._concurrency = concurrency
        self._entries: dict[Resource, _Entry] = {}
        # How many there are of each interval, probes apart.
        self._intervals: Counter[tuple[float, bool]] = Counter()
        # Who waits; those under way are in neither.
        self._probes = DueQueue()
        self._others = DueQueue()
        self._under_way: dict[Resource, _Entry] = {}
        self._changed = asyncio.Event()
        # When the loop looks again by itself: only what is to happen before that has to wake it.
        self._wake_at = -math.inf
        self._running = False
        self._holding = False
        self._overloaded = False
        # Waiting before `_since` does not count, and until `_excused_until` none is overload.
        self._since = self._excused_until = -math.inf

    def add(
        self, resource: Resource, interval: float, poll: Callable[[], Awaitable[NextPoll]], *, probe: bool = False
    ) -> None:
        """Have a resource polled from now on, every ``interval`` seconds; a known one gets the new interval.

        What is added before ``run`` begins is spread out then; later, it is due at once.
        """
        if not 0 < interval < math.inf:
            raise ValueError(f"an interval of {interval} s is none: it must be more than 0 and finite")
        now = _now()
        entry = self._entries.get(resource)
        if entry is None:
            entry = self._entries[resource] = _Entry(poll, interval, probe, due=now)
            self._intervals[interval, probe] += 1
        else:
            self._timetable(entry).drop(resource)
            self._intervals[interval, probe] += 1
            self._uncount(entry)
            entry.poll, entry.interval, entry.probe = poll, interval, probe
            if self._is_under_way(resource, entry):
                return  # it is put back when the poll ends
            entry.due = min(entry.due, max(now + interval, entry.cached_until))
        self._put(resource, entry, entry.due)

    def remove(self, resource: Resource) -> None:
        """Have a resource polled no more; a poll that is under way ends by itself."""
        entry = self._entries.pop(resource, None)
        if entry is not None:
            self._timetable(entry).drop(resource)
            self._uncount(entry)

    def poll_now(self, resource: Resource) -> bool:
        """Make a resource due at once, whatever the last answer's cache says; returns whether it is known.

        One that is being polled is polled again right after.
        """
        entry = self._entries.get(resource)
        if entry is None:
            return False
        if self._is_under_way(resource, entry):
            entry.wished_now = True
        else:
            # One that is overdue keeps its place.
            entry.due = min(entry.due, _now())
            self._put(resource, entry, entry.due)
        return True

    def look_again(self, resource: Resource) -> bool:
        """Make a resource due as soon as the last answer's cache lets it; returns whether it is known.

        For one that is being polled, that is the answer under way.
        """
        entry = self._entries.get(resource)
        if entry is None:
            return False
        if self._is_under_way(resource, entry):
            entry.wished_soon = True
        else:
            entry.due = min(entry.due, max(_now(), entry.cached_until))
            self._put(resource, entry, entry.due)
        return True

    def hold(self) -> None:
        """Let only probes through until ``release``."""
        self._holding = True

    def release(self) -> None:
        """Go on: what has become due meanwhile comes first, the longest overdue before the others."""
        if self._holding:
            self._holding = False
            self._excuse(_now())
            self._changed.set()

    def retry_failed(self) -> None:
        """Make due, as soon as their caches let them, all that are left alone because they failed."""
        for resource in [resource for resource, entry in self._entries.items() if entry.backed_off]:
            self._entries[resource].backed_off = False
            self.look_again(resource)

    @property
    def overdue(self) -> int:
        """How many resources should have been polled by now and are waiting for their turn."""
        now = _now()
        return sum(timetable.count_before(now) for timetable in self._going())

    @property
    def overdue_seconds(self) -> float:
        """For how many seconds the longest overdue of them has been waiting, 0.0 if there is none."""
        now = _now()
        waits = [now - max(timetable.first_at, self._since) for timetable in self._going()]
        return max([0.0, *waits])

    @property
    def load(self) -> float:
        """The polls per second that all intervals ask for, as a share of ``rate``."""
        return math.fsum(count / interval for (interval, _), count in self._intervals.items()) / self._rate

    @property
    def resources(self) -> int:
        """How many resources are polled, probes apart."""
        return sum(count for (_, probe), count in self._intervals.items() if not probe)

    @property
    def shortest_interval(self) -> float:
        """The shortest interval of those that are no probes, inf where there are none."""
        return min((interval for interval, probe in self._intervals if not probe), default=math.inf)

    async def run(self) -> None:
        """Poll until cancelled. What a poll raises ends everything: pollers turn the API's failures into answers.

        It can be run again: what was under way when it was cancelled is polled anew.
        """
        self._running = True
        try:
            await self._begin(_now())
            async with asyncio.TaskGroup() as group:
                await self._keep_polling(group)
        finally:
            self._running = False
            self._under_way.clear()

    async def _begin(self, now: float) -> None:
        self._excuse(now)
        rate = _UNPACED if self._rate == math.inf else _START_SHARE * self._rate
        window = start_window((entry.interval for entry in self._entries.values()), rate)
        number = 0
        for turn, (resource, entry) in enumerate(list(self._entries.items()), 1):
            if turn % _AT_ONCE == 0:
                await asyncio.sleep(0)
            if self._entries.get(resource) is not entry:
                continue  # removed meanwhile
            if not entry.polled:
                entry.due = now
                if not entry.probe:
                    entry.due += start_offset(number, entry.interval, window)
                    number += 1
            self._put(resource, entry, entry.due)

    async def _keep_polling(self, group: asyncio.TaskGroup) -> None:
        loop = asyncio.get_running_loop()
        while True:
            self._changed.clear()
            self._wake_at = min(self._start_due(group) + _TICK, loop.time() + _HEARTBEAT)
            timer = loop.call_at(self._wake_at, self._changed.set)
            try:
                await self._changed.wait()
            finally:
                timer.cancel()
            if loop.time() - self._wake_at > _STALL:
                self._excuse(loop.time())

    def _start_due(self, group: asyncio.TaskGroup) -> float:
        """Start the polls that are due; returns when the next one is, inf if that depends on those under way."""
        now = _now()
        for timetable in self._going():
            while timetable.first_at <= now:
                if len(self._under_way) >= self._concurrency:
                    return math.inf
                self._start(timetable.take(), now, group)
        if not self._holding:
            self._caught_up()
        return min(timetable.first_at for timetable in self._going())

    def _start(self, resource: Resource, now: float, group: asyncio.TaskGroup) -> None:
        if resource in self._under_way:
            return  # removed and added again meanwhile: it is put back when that poll ends
        entry = self._entries[resource]
        if now - entry.due > entry.interval:
            self._late(now)
            entry.start_anew(now, self._since)
        entry.polled = True
        entry.wished_now = entry.wished_soon = False
        self._under_way[resource] = entry
        group.create_task(self._poll(resource, entry), name=f"poll {resource.kind} {resource.tag}")

    async def _poll(self, resource: Resource, entry: _Entry) -> None:
        try:
            again = await entry.poll()
        finally:
            if len(self._under_way) >= self._concurrency:
                self._changed.set()  # the next one may have waited for this one's place
            self._under_way.pop(resource, None)
        now = _now()
        current = self._entries.get(resource)
        if current is entry:
            wished = entry.wished_now or entry.wished_soon
            jitter = 0.0 if wished else self._rng.uniform(0, min(_LONGEST_JITTER, _JITTER_SHARE * entry.interval))
            entry.due = entry.next_due(again, now)
            entry.cached_until = now + again.not_before
            entry.backed_off = again.backoff > 0
            self._put(resource, entry, entry.due + jitter)
        elif current is not None:
            # Removed and added again while it was polled: its time starts now.
            current.due = max(current.due, now)
            self._put(resource, current, current.due)

    def _put(self, resource: Resource, entry: _Entry, at: float) -> None:
        self._timetable(entry).put(resource, at)
        if at < self._wake_at:
            self._changed.set()

    def _uncount(self, entry: _Entry) -> None:
        self._intervals[entry.interval, entry.probe] -= 1
        if not self._intervals[entry.interval, entry.probe]:
            del self._intervals[entry.interval, entry.probe]

    def _timetable(self, entry: _Entry) -> DueQueue:
        return self._probes if entry.probe else self._others

    def _going(self) -> tuple[DueQueue, ...]:
        """Return where polls are started from, the most urgent first."""
        if not self._running:
            return ()
        return (self._probes,) if self._holding else (self._probes, self._others)

    def _is_under_way(self, resource: Resource, entry: _Entry) -> bool:
        # By identity: of one removed and added again the old entry is under way, the new one is not.
        return self._under_way.get(resource) is entry

    def _excuse(self, now: float) -> None:
        """Count no waiting before now, nor what comes of it, as overload."""
        self._since, self._excused_until = now, now + _GRACE

    def _late(self, now: float) -> None:
        if not (self._overloaded or self._holding) and now >= self._excused_until:
            self._overloaded = True
            _log.warning(
                "polls come more than an interval late: take longer intervals, fewer watches or more tokens",
                load=round(self.load, 2),
                overdue=self.overdue + 1,  # with the one that is just being started
            )

    def _caught_up(self) -> None:
        self._excused_until = -math.inf
        if self._overloaded:
            self._overloaded = False
            _log.info("polls are on time again")


def _now() -> float:
    """Return the loop's time; 0 before there is a loop: ``run`` then gives each resource its time."""
    try:
        return asyncio.get_running_loop().time()
    except RuntimeError:
        return 0.0
