from __future__ import annotations

import asyncio
import itertools
import math
import random
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coc2mqtt.events.polling.due_queue import start_offset, start_window
from coc2mqtt.events.polling.scheduler import Scheduler
from coc2mqtt.events.resource import API, Kind, Resource
from tests.support.simulation import Polls, running

if TYPE_CHECKING:
    from collections.abc import Iterable

INTERVALS = st.lists(st.floats(1, 100_000), max_size=50)


def asked(intervals: Iterable[float], window: float) -> float:
    """The polls per second where all waves meet."""
    return sum(1 / min(interval, window) for interval in intervals)


@pytest.mark.parametrize(
    ("intervals", "rate", "window"),
    [
        ([], 10, 0),
        ([60], 10, 0.1),
        ([60] * 100, 10, 10),
        ([1, 60, 60], 2, 2),
        ([60, 1, 60], 2, 2),
        ([60] * 600, 10, 60),
        ([60] * 601, 10, math.inf),
        ([1, 1], 1, math.inf),
    ],
)
def test_the_window_is_as_short_as_the_rate_allows(intervals: list[float], rate: float, window: float) -> None:
    assert start_window(intervals, rate) == pytest.approx(window)


@given(INTERVALS.filter(bool), st.floats(0.001, 1000))
def test_a_window_keeps_below_the_rate_and_no_shorter_one_does(intervals: list[float], rate: float) -> None:
    window = start_window(intervals, rate)
    if window == math.inf:
        assert asked(intervals, window) > rate * (1 - 1e-9)
    else:
        assert asked(intervals, window) <= rate * (1 + 1e-9)
        assert asked(intervals, window * (1 - 1e-6)) > rate


@given(st.integers(0, 100_000), st.integers(2, 300))
def test_any_consecutive_resources_are_spread_evenly(first: int, count: int) -> None:
    places = sorted(start_offset(number, 60, 1) for number in range(first, first + count))
    gaps = [later - earlier for earlier, later in zip([0.0, *places], [*places, 1.0], strict=True)]
    assert max(gaps) < 3 / count


@given(st.integers(0, 100_000), st.floats(1, 1000), st.floats(0, 1000))
def test_the_first_poll_is_made_within_the_window_and_the_interval(number: int, interval: float, window: float) -> None:
    assert 0 <= start_offset(number, interval, window) <= min(interval, window)


def test_no_second_of_the_first_hours_sees_more_polls_than_the_pace_lets_through() -> None:
    intervals = [(30, 60, 120, 700)[number % 4] for number in range(2000)]
    window = start_window(intervals, 45)
    assert window < 300
    seconds = [0] * 7200
    for number, interval in enumerate(intervals):
        for lap in range(7200 // interval):
            seconds[int(start_offset(number, interval, window)) + lap * interval] += 1
    assert max(seconds) <= 50


@pytest.mark.looptime
async def test_a_few_watches_start_within_a_fraction_of_a_second() -> None:
    polls = await first_polls([60] * 10, rate=25, seconds=0.5)
    assert len(polls.times) == 10


@pytest.mark.looptime
async def test_many_watches_start_no_faster_than_the_pace_and_one_after_the_other() -> None:
    polls = await first_polls([60] * 400, rate=10, seconds=60)
    starts = sorted(times[0] for times in polls.times.values())
    assert len(starts) == 400
    assert starts[-1] == pytest.approx(400 / 9, abs=0.2)
    assert all(later - earlier < 0.3 for earlier, later in itertools.pairwise(starts))


@pytest.mark.looptime
async def test_without_a_pace_they_start_as_close_as_makes_no_burst() -> None:
    polls = await first_polls([60] * 100, rate=math.inf, seconds=10)
    starts = sorted(times[0] for times in polls.times.values())
    assert starts[0] < 0.1
    assert starts[-1] == pytest.approx(100 * 0.02, abs=0.05)


@pytest.mark.looptime
async def test_where_the_intervals_ask_for_too_much_each_starts_within_its_own() -> None:
    polls = await first_polls([10, 100] * 100, rate=5, seconds=101)
    short = [polls.times[Resource(Kind.CLAN, f"#{number}")][0] for number in range(0, 200, 2)]
    long = [polls.times[Resource(Kind.CLAN, f"#{number}")][0] for number in range(1, 200, 2)]
    assert 9 < max(short) < 10
    assert 95 < max(long) < 100


@pytest.mark.looptime
async def test_a_probe_starts_at_once_however_many_watches_there_are() -> None:
    scheduler, polls = Scheduler(rng=random.Random(1), rate=1), Polls()
    for number in range(100):
        resource = Resource(Kind.CLAN, f"#{number}")
        scheduler.add(resource, 1000, polls.record(resource))
    scheduler.add(API, 1000, polls.record(API), probe=True)
    async with running(scheduler):
        await asyncio.sleep(1)
    assert polls.times[API] == [0]


@pytest.mark.looptime
async def test_what_is_added_later_does_not_wait_for_a_place_in_the_window() -> None:
    scheduler, polls = Scheduler(rng=random.Random(1), rate=1), Polls()
    late = [Resource(Kind.PLAYER, f"#{number}") for number in range(5)]
    async with running(scheduler):
        await asyncio.sleep(20)
        for resource in late:
            scheduler.add(resource, 1000, polls.record(resource))
        await asyncio.sleep(1)
    assert [polls.times[resource] for resource in late] == [[20]] * 5


async def first_polls(intervals: list[float], *, rate: float, seconds: float) -> Polls:
    scheduler, polls = Scheduler(rng=random.Random(1), rate=rate), Polls()
    for number, interval in enumerate(intervals):
        resource = Resource(Kind.CLAN, f"#{number}")
        scheduler.add(resource, interval, polls.record(resource))
    async with running(scheduler):
        await asyncio.sleep(seconds)
    return polls
