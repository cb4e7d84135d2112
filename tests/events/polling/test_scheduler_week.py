"""Simulations of many watches over a long time, with the real rate limiter of the API's client."""

from __future__ import annotations

import asyncio
import itertools
import math
import random
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import pytest
from structlog.testing import capture_logs

from coc2mqtt.clash.rate_limiter import TokenRateLimiter
from coc2mqtt.events.polling.due_queue import start_offset, start_window
from coc2mqtt.events.polling.scheduler import NextPoll, Scheduler
from coc2mqtt.events.resource import Kind, Resource
from tests.support.simulation import running, simulate

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.slow

HOUR = 3600.0
WEEK = 7 * 24 * HOUR
TOKENS = 2
# A poll may be sent late by this share of its interval: 2 % of jitter, the rest waiting for the rate limiter.
TOLERANCE = 0.05
MAX_POLL_DURATION = 9.0


class Poll(NamedTuple):
    """One poll in loop time: when it was started, sent (after the rate limiter) and ended, and its result."""

    started: float
    sent: float
    ended: float
    next_poll: NextPoll


@dataclass
class SimulatedWatch:
    """A watch with its polls; ``first_due`` is in loop time, ``draw_poll`` returns a duration and a result."""

    number: int
    interval: float
    draw_poll: Callable[[], tuple[float, NextPoll]]
    first_due: float = 0.0
    polls: list[Poll] = field(default_factory=list)

    @property
    def resource(self) -> Resource:
        return Resource(Kind.CLAN, f"#{self.number}")

    def due_times(self) -> list[float]:
        """Return when each poll was due, and the next one is: an interval after the previous due time, unless the
        result changed that."""
        due = [self.first_due]
        for _, _, ended, next_poll in self.polls:
            due.append(max(min(due[-1] + self.interval, ended + next_poll.latest), ended + next_poll.earliest))
        return due


class Simulation:
    """Watches with these intervals (seconds), and a rate limit of ``per_second`` polls for each token.

    A third of the watches never gets a max-age beyond its interval. The others do, and some of their results request
    another poll soon. One poll in a hundred is slow.
    """

    def __init__(self, intervals: list[float], *, per_second: float) -> None:
        self.per_second = per_second
        self.scheduler = Scheduler(rng=random.Random(1), rate=TOKENS * per_second)
        self.sent: list[list[float]] = [[] for _ in range(TOKENS)]
        self.watches = [
            SimulatedWatch(
                number, interval, partial(_draw_poll, random.Random(number), interval, (0.5, 1.2, 2.0)[number % 3])
            )
            for number, interval in enumerate(intervals)
        ]
        window = start_window(intervals, 0.9 * TOKENS * per_second)
        for watch in self.watches:
            watch.first_due = start_offset(watch.number, watch.interval, window)

    async def run(self, seconds: float) -> None:
        limiter = TokenRateLimiter(TOKENS, self.per_second)
        for watch in self.watches:
            self.scheduler.add(watch.resource, watch.interval, partial(self._poll, watch, limiter))
        async with running(self.scheduler):
            await asyncio.sleep(seconds)

    async def _poll(self, watch: SimulatedWatch, limiter: TokenRateLimiter) -> NextPoll:
        loop = asyncio.get_running_loop()
        started = loop.time()
        token = await limiter.acquire()
        sent = loop.time()
        self.sent[token].append(sent)
        duration, next_poll = watch.draw_poll()
        await asyncio.sleep(duration)
        watch.polls.append(Poll(started, sent, loop.time(), next_poll))
        return next_poll


def _draw_poll(rng: random.Random, interval: float, max_cache_share: float) -> tuple[float, NextPoll]:
    duration = rng.uniform(5, 9) if rng.random() < 0.01 else rng.uniform(0.05, 0.4)
    latest = rng.uniform(0, interval) if max_cache_share > 1 and rng.random() < 0.1 else math.inf
    return duration, NextPoll(rng.uniform(0, max_cache_share * interval), latest)


def assert_on_time(simulation: Simulation, seconds: float) -> None:
    """Check that every watch is polled, never before its max-age has expired and never much later than due."""
    for watch in simulation.watches:
        *due_times, next_due = watch.due_times()
        tolerance = TOLERANCE * watch.interval
        for poll, due in zip(watch.polls, due_times, strict=True):
            assert due <= poll.started <= poll.sent <= due + tolerance
        for earlier, later in itertools.pairwise(watch.polls):
            assert later.started >= earlier.ended + earlier.next_poll.earliest
        assert next_due >= seconds - tolerance - MAX_POLL_DURATION


def assert_no_drift(simulation: Simulation, seconds: float) -> None:
    """Check that polls stay at multiples of the interval if no max-age delays them."""
    for watch in simulation.watches:
        if watch.number % 3:
            continue
        for number, poll in enumerate(watch.polls):
            assert 0 <= poll.sent - watch.first_due - number * watch.interval <= TOLERANCE * watch.interval
        assert len(watch.polls) >= (seconds - watch.first_due) // watch.interval


def assert_rate_limit_kept(simulation: Simulation) -> None:
    """Check that no token exceeds its rate limit in any second."""
    allowed = max(1, int(simulation.per_second))
    for sent in simulation.sent:
        assert len(sent) > 1000
        assert min(later - earlier for earlier, later in zip(sent, sent[allowed:], strict=False)) > 1 - 1e-6


def test_2000_watches_are_polled_on_time_for_a_week() -> None:
    hours = (1 / 3, 1, 1, 1, 2, 2, 2, 4, 4, 4)
    simulation = Simulation([hours[number % 10] * HOUR for number in range(2000)], per_second=0.3)
    hanging = simulation.watches[700]
    polls = iter([(math.inf, NextPoll(0.0))])
    hanging.draw_poll = lambda: next(polls)
    simulate(simulation.run(WEEK))
    assert next(polls, None) is None, "it was polled"
    simulation.watches.remove(hanging)
    assert_on_time(simulation, WEEK)
    assert_no_drift(simulation, WEEK)
    assert_rate_limit_kept(simulation)


def test_watches_at_80_percent_of_the_rate_are_polled_on_time_for_an_hour() -> None:
    simulation = Simulation([(30, 60, 120)[number % 7 % 3] for number in range(750)], per_second=10)
    simulate(simulation.run(HOUR))
    assert simulation.scheduler.load == pytest.approx(0.8, abs=0.01)
    assert_on_time(simulation, HOUR)
    assert_no_drift(simulation, HOUR)
    assert_rate_limit_kept(simulation)


def test_watches_at_150_percent_of_the_rate_are_polled_fairly() -> None:
    simulation = Simulation([(30, 60, 120)[number % 3] for number in range(771)], per_second=5)
    scheduler = simulation.scheduler
    for watch in simulation.watches:
        watch.draw_poll = lambda: (0.2, NextPoll(0.0))
    samples = []

    async def scenario() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(simulation.run(HOUR))
            for _ in range(5):
                await asyncio.sleep(600)
                samples.append((scheduler.overdue, scheduler.overdue_seconds))

    with capture_logs() as lines:
        simulate(scenario())
    assert [line["log_level"] for line in lines] == ["warning"]
    assert scheduler.load == pytest.approx(1.5, abs=0.01)
    for overdue, overdue_seconds in samples:
        # The 514 watches with the shorter intervals share the capacity that the others leave. Polls also wait for
        # the rate limiter.
        assert 400 < overdue < 600
        assert 45 < overdue_seconds < 65
    assert_rate_limit_kept(simulation)
    for interval, gap in ((30, 65), (60, 65), (120, 120)):
        gaps = [
            later.sent - earlier.sent
            for watch in simulation.watches
            if watch.interval == interval
            for earlier, later in itertools.pairwise(watch.polls)
            if earlier.sent > HOUR / 6
        ]
        assert gap * 0.95 < min(gaps) <= max(gaps) < gap * 1.05
