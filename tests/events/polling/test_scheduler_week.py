"""Simulations: many watches for a long time, on a clock that jumps, with the real pace of the API's client."""

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
# A poll may be sent this share of its interval later than it was due: 2 % of jitter, the rest waiting for the pace.
TOLERANCE = 0.05
LONGEST_ANSWER = 9.0


class Poll(NamedTuple):
    """One poll in loop time: when it was started, sent (the pace let it through) and answered, and the answer."""

    started: float
    sent: float
    ended: float
    again: NextPoll


@dataclass
class Watched:
    """A watch, with its polls; ``first_due`` is in loop time, an answer is how long it takes and what it says."""

    number: int
    interval: float
    answer: Callable[[], tuple[float, NextPoll]]
    first_due: float = 0.0
    polls: list[Poll] = field(default_factory=list)

    @property
    def resource(self) -> Resource:
        return Resource(Kind.CLAN, f"#{self.number}")

    def due_times(self) -> list[float]:
        """When each poll was due, and the next one is: an interval after the one before was, unless its answer said
        otherwise."""
        due = [self.first_due]
        for _, _, ended, again in self.polls:
            due.append(max(min(due[-1] + self.interval, ended + again.latest), ended + again.earliest))
        return due


class Simulation:
    """Watches of these intervals (seconds), and the pace of the API's client at so many polls per second and token.

    A third of the watches never hears a max-age beyond its interval; the others do, and some answers want to be
    looked at again soon. One answer in a hundred is slow.
    """

    def __init__(self, intervals: list[float], *, per_second: float) -> None:
        self.per_second = per_second
        self.scheduler = Scheduler(rng=random.Random(1), rate=TOKENS * per_second)
        self.sent: list[list[float]] = [[] for _ in range(TOKENS)]
        self.watches = [
            Watched(number, interval, partial(_draw, random.Random(number), interval, (0.5, 1.2, 2.0)[number % 3]))
            for number, interval in enumerate(intervals)
        ]
        window = start_window(intervals, 0.9 * TOKENS * per_second)
        for watch in self.watches:
            watch.first_due = start_offset(watch.number, watch.interval, window)

    async def run(self, seconds: float) -> None:
        pace = TokenRateLimiter(TOKENS, self.per_second)
        for watch in self.watches:
            self.scheduler.add(watch.resource, watch.interval, partial(self._poll, watch, pace))
        async with running(self.scheduler):
            await asyncio.sleep(seconds)

    async def _poll(self, watch: Watched, pace: TokenRateLimiter) -> NextPoll:
        loop = asyncio.get_running_loop()
        started = loop.time()
        token = await pace.acquire()
        sent = loop.time()
        self.sent[token].append(sent)
        takes, again = watch.answer()
        await asyncio.sleep(takes)
        watch.polls.append(Poll(started, sent, loop.time(), again))
        return again


def _draw(rng: random.Random, interval: float, longest: float) -> tuple[float, NextPoll]:
    takes = rng.uniform(5, 9) if rng.random() < 0.01 else rng.uniform(0.05, 0.4)
    wanted = rng.uniform(0, interval) if longest > 1 and rng.random() < 0.1 else math.inf
    return takes, NextPoll(rng.uniform(0, longest * interval), wanted)


def assert_on_time(simulation: Simulation, seconds: float) -> None:
    """No watch is forgotten, none polled before its max-age has run out nor much later than it is due."""
    for watch in simulation.watches:
        *due_times, next_due = watch.due_times()
        tolerance = TOLERANCE * watch.interval
        for poll, due in zip(watch.polls, due_times, strict=True):
            assert due <= poll.started <= poll.sent <= due + tolerance
        for earlier, later in itertools.pairwise(watch.polls):
            assert later.started >= earlier.ended + earlier.again.earliest
        assert next_due >= seconds - tolerance - LONGEST_ANSWER


def assert_no_drift(simulation: Simulation, seconds: float) -> None:
    """Where no max-age is in the way, the polls keep to the multiples of the interval to the end."""
    for watch in simulation.watches:
        if watch.number % 3:
            continue
        for number, poll in enumerate(watch.polls):
            assert 0 <= poll.sent - watch.first_due - number * watch.interval <= TOLERANCE * watch.interval
        assert len(watch.polls) >= (seconds - watch.first_due) // watch.interval


def assert_pace_kept(simulation: Simulation) -> None:
    """No token is used more often than it may in any one second."""
    allowed = max(1, int(simulation.per_second))
    for sent in simulation.sent:
        assert len(sent) > 1000
        assert min(later - earlier for earlier, later in zip(sent, sent[allowed:], strict=False)) > 1 - 1e-6


def test_a_week_of_2000_watches_is_polled_on_time_from_the_first_minute_to_the_last() -> None:
    hours = (1 / 3, 1, 1, 1, 2, 2, 2, 4, 4, 4)
    simulation = Simulation([hours[number % 10] * HOUR for number in range(2000)], per_second=0.3)
    hanging = simulation.watches[700]
    answers = iter([(math.inf, NextPoll(0.0))])
    hanging.answer = lambda: next(answers)
    simulate(simulation.run(WEEK))
    assert next(answers, None) is None, "it was polled"
    simulation.watches.remove(hanging)
    assert_on_time(simulation, WEEK)
    assert_no_drift(simulation, WEEK)
    assert_pace_kept(simulation)


def test_an_hour_at_four_fifths_of_the_pace_is_polled_on_time_from_the_first_second_to_the_last() -> None:
    simulation = Simulation([(30, 60, 120)[number % 7 % 3] for number in range(750)], per_second=10)
    simulate(simulation.run(HOUR))
    assert simulation.scheduler.load == pytest.approx(0.8, abs=0.01)
    assert_on_time(simulation, HOUR)
    assert_no_drift(simulation, HOUR)
    assert_pace_kept(simulation)


def test_half_again_as_much_as_the_pace_lets_through_is_shared_fairly_and_said_once() -> None:
    simulation = Simulation([(30, 60, 120)[number % 3] for number in range(771)], per_second=5)
    scheduler = simulation.scheduler
    for watch in simulation.watches:
        watch.answer = lambda: (0.2, NextPoll(0.0))
    figures = []

    async def scenario() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(simulation.run(HOUR))
            for _ in range(5):
                await asyncio.sleep(600)
                figures.append((scheduler.overdue, scheduler.overdue_seconds))

    with capture_logs() as lines:
        simulate(scenario())
    assert [line["log_level"] for line in lines] == ["warning"]
    assert scheduler.load == pytest.approx(1.5, abs=0.01)
    for overdue, overdue_seconds in figures:
        # Five hundred of the shorter intervals take turns at what the others leave them, and a poll waits for the
        # pace as well.
        assert 400 < overdue < 600
        assert 45 < overdue_seconds < 65
    assert_pace_kept(simulation)
    for interval, gap in ((30, 65), (60, 65), (120, 120)):
        gaps = [
            later.sent - earlier.sent
            for watch in simulation.watches
            if watch.interval == interval
            for earlier, later in itertools.pairwise(watch.polls)
            if earlier.sent > HOUR / 6
        ]
        assert gap * 0.95 < min(gaps) <= max(gaps) < gap * 1.05
